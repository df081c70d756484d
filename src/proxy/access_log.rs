//! One line a request, opened on arrival and written when the last byte has left: the record is
//! written when it is dropped, so that no way out of a request is without one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};

use crate::config::{AccessLog, Logged, LoggedPath, Route};
use crate::proxy::rejection::Rejection;
use crate::proxy::upstream::{Attempts, Forbidden};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const TRACE_ID: HeaderName = HeaderName::from_static("x-amzn-trace-id");

/// What is known of a request so far.
#[derive(Debug)]
pub(super) struct Record {
    policy: AccessLog,
    arrived: Instant,
    request: Option<(Method, Uri)>,
    pub(super) route: Option<Arc<Route>>,
    pub(super) bytes_in: u64,
    /// The count of a body that streams, which is complete at the end.
    pub(super) streamed_in: Option<Arc<AtomicU64>>,
    pub(super) bytes_out: u64,
    pub(super) attempts: Attempts,
    first_byte: Option<Duration>,
    status: Option<StatusCode>,
    origin: Origin,
    reason: Option<&'static str>,
    request_id: Option<HeaderValue>,
    trace_id: Option<HeaderValue>,
}

/// Whose answer it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Target,
    Proxy,
    /// The client left first.
    Nobody,
}

impl Record {
    /// A request has arrived.
    pub(super) fn open(policy: AccessLog, request: &Parts) -> Self {
        let logged = policy.log != Logged::Off;
        Self {
            policy,
            arrived: Instant::now(),
            request: logged.then(|| (request.method.clone(), request.uri.clone())),
            route: None,
            bytes_in: 0,
            streamed_in: None,
            bytes_out: 0,
            attempts: Attempts::default(),
            first_byte: None,
            status: None,
            origin: Origin::Nobody,
            reason: Some("client_closed"),
            request_id: None,
            trace_id: if logged { request.headers.get(TRACE_ID).cloned() } else { None },
        }
    }

    /// The head of the target's answer is here.
    pub(super) fn answered(&mut self, status: StatusCode, headers: &HeaderMap) {
        self.first_byte = Some(self.arrived.elapsed());
        self.status = Some(status);
        self.origin = Origin::Target;
        if self.request.is_some() {
            self.request_id = headers.get(REQUEST_ID).cloned();
            if let Some(trace) = headers.get(TRACE_ID) {
                self.trace_id = Some(trace.clone());
            }
        }
    }

    /// The answer is ours.
    pub(super) fn rejected(&mut self, status: StatusCode, rejection: &Rejection) {
        self.status = Some(status);
        self.origin = Origin::Proxy;
        self.reason = Some(rejection.code());
    }

    /// The target broke off after the head.
    pub(super) fn broken(&mut self) {
        self.reason = Some("response_incomplete");
    }

    /// The last byte has left.
    pub(super) fn complete(&mut self) {
        if self.origin == Origin::Target {
            self.reason = self.attempts.refused.map(Forbidden::code);
        }
    }

    fn is_wanted(&self, total: Duration) -> bool {
        let failed = self.status.is_none_or(|status| status.as_u16() >= 400);
        let broken = self.origin == Origin::Target && self.reason.is_some();
        let slow = self.policy.slow.is_some_and(|slow| total >= slow);
        match self.policy.log {
            Logged::Off => false,
            _ if failed || broken || slow => true,
            Logged::Errors => false,
            Logged::All => self.policy.sample >= 1.0 || fastrand::f64() < self.policy.sample,
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let total = self.arrived.elapsed();
        if let Some(passed) = &self.streamed_in {
            self.bytes_in = passed.load(Ordering::Relaxed);
        }
        if std::thread::panicking() {
            self.reason = Some("internal");
        }
        let Some((method, uri)) = self.request.take() else { return };
        if !self.is_wanted(total) {
            return;
        }
        let route = self.route.as_deref();
        let path = (self.policy.path == LoggedPath::Full).then(|| uri.path());
        tracing::info!(
            target: "access",
            route = route.map(|route| route.name.as_str()),
            target_name = route.map(|route| route.target.name.as_str()),
            method = method.as_str(),
            path,
            status = self.status.map(|status| status.as_u16()),
            origin = self.origin.name(),
            reason = self.reason,
            bytes_in = self.bytes_in,
            bytes_out = self.bytes_out,
            duration_ms = milliseconds(total),
            first_byte_ms = self.first_byte.map(milliseconds),
            sign_ms = milliseconds(self.attempts.signing),
            attempts = self.attempts.count,
            aws_request_id = self.request_id.as_ref().and_then(|id| id.to_str().ok()),
            trace_id = self.trace_id.as_ref().and_then(|id| id.to_str().ok()),
            "request"
        );
    }
}

impl Origin {
    fn name(self) -> &'static str {
        match self {
            Self::Target => "target",
            Self::Proxy => "proxy",
            Self::Nobody => "none",
        }
    }
}

/// Milliseconds to the microsecond.
fn milliseconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1e3
}
