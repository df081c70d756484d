//! One record a request, opened on arrival and closed when the last byte has left: its line in
//! the access log, its share of the metrics, its place among the last requests. All this is done
//! when it is dropped, so that no way out of a request is without it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use tracing::Span;

use crate::config::{ApiKey, Config, Logged, LoggedPath, Route, Taker, Target};
use crate::listen::Client;
use crate::proxy::limit::Full;
use crate::proxy::rejection::Rejection;
use crate::proxy::trace::{Trace, TraceId};
use crate::proxy::upstream::{Attempts, Forbidden};
use crate::telemetry::metrics::{Limit, Outcome, RouteMetrics};
use crate::telemetry::recent::Seen;
use crate::telemetry::{Origin, Telemetry, traces};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");

/// What is done with a request once it is over. One a configuration.
#[derive(Debug)]
pub(super) struct Observer {
    config: Arc<Config>,
    telemetry: Telemetry,
    /// By the route's index.
    routes: Vec<RouteMetrics>,
    unrouted: RouteMetrics,
}

impl Observer {
    pub(super) fn new(config: Arc<Config>, telemetry: &Telemetry) -> Self {
        let metrics = &telemetry.metrics;
        let routes = config.routes.rules();
        Self {
            routes: routes.map(|(name, _)| metrics.route(name)).collect(),
            unrouted: metrics.route(""), // to Prometheus, the same as no such label
            telemetry: telemetry.clone(),
            config,
        }
    }

    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    pub(super) fn telemetry(&self) -> &Telemetry {
        &self.telemetry
    }
}

/// What is known of a request so far.
#[derive(Debug)]
pub(super) struct Record {
    observer: Arc<Observer>,
    client: Client,
    pub(super) span: Span,
    arrived: Instant,
    method: Method,
    uri: Uri,
    /// The index of its route.
    route: Option<usize>,
    /// The API key of its caller, by name alone.
    pub(super) api_key: Option<Arc<ApiKey>>,
    pub(super) bytes_in: u64,
    /// The count of a body that streams, which is complete at the end.
    pub(super) streamed_in: Option<Arc<AtomicU64>>,
    pub(super) bytes_out: u64,
    pub(super) attempts: Attempts,
    first_byte: Option<Duration>,
    status: Option<StatusCode>,
    origin: Origin,
    end: End,
    request_id: Option<HeaderValue>,
    trace: Trace,
}

/// Why a request was not answered, or not whole; nothing where it was.
#[derive(Clone, Copy, Debug, Default)]
struct End {
    reason: Option<&'static str>,
    /// RFC 9209's word for it.
    proxy_error: Option<&'static str>,
    remedy: Option<&'static str>,
}

/// The client left before the answer did.
const CLIENT_CLOSED: End = End {
    reason: Some("client_closed"),
    proxy_error: None,
    remedy: Some("the client left first: look at its own time-out"),
};
/// The process ended before the answer did.
const CUT_OFF: End = End {
    reason: Some("shutdown"),
    proxy_error: None,
    remedy: Some("it was cut off when countersign stopped: `shutdown.grace` is what it has"),
};
/// The target broke off after the head.
const RESPONSE_INCOMPLETE: End = End {
    reason: Some("response_incomplete"),
    proxy_error: Some("http_response_incomplete"),
    remedy: Some("the target broke off: look at the function's log"),
};

impl Record {
    /// A request has arrived.
    pub(super) fn open(observer: &Arc<Observer>, request: &Parts, client: &Client) -> Self {
        let logged = observer.config.access_log.log != Logged::Off;
        Self {
            observer: Arc::clone(observer),
            client: client.clone(),
            span: traces::request(&request.method, &request.headers),
            arrived: Instant::now(),
            method: request.method.clone(),
            uri: request.uri.clone(),
            route: None,
            api_key: None,
            bytes_in: 0,
            streamed_in: None,
            bytes_out: 0,
            attempts: Attempts::default(),
            first_byte: None,
            status: None,
            origin: Origin::Nobody,
            end: CLIENT_CLOSED,
            request_id: None,
            trace: if logged { Trace::of(&request.headers) } else { Trace::default() },
        }
    }

    /// The route of this index takes it.
    pub(super) fn routed(&mut self, index: usize) {
        self.observer.routes[index].began();
        if !self.span.is_disabled() {
            self.span.record("http.route", self.observer.config.routes.taker(index).name());
        }
        self.route = Some(index);
    }

    /// The head of the target's answer is here.
    pub(super) fn answered(&mut self, status: StatusCode, headers: &HeaderMap) {
        self.first_byte = self.attempts.ended.map(|ended| ended - self.arrived);
        self.status = Some(status);
        self.origin = Origin::Target;
        if self.is_logged() {
            self.request_id = headers.get(REQUEST_ID).cloned();
            self.trace.answered(headers);
        }
    }

    /// The answer is ours.
    pub(super) fn rejected(&mut self, status: StatusCode, rejection: &Rejection) {
        self.status = Some(status);
        self.origin = Origin::Proxy;
        self.end = End {
            reason: Some(rejection.code()),
            proxy_error: Some(rejection.proxy_error()),
            remedy: Some(rejection.hint()),
        };
        match rejection {
            Rejection::Overloaded(Full::Bodies) => self.shed(Limit::BufferedBodies),
            Rejection::Overloaded(_) => self.shed(Limit::InFlight),
            Rejection::Throttled { .. } => {
                if let Some(index) = self.route {
                    self.observer.routes[index].throttled();
                }
            }
            Rejection::ByRoute { index, .. } => self.routed(*index),
            Rejection::Preflight => self.end = End::default(),
            _ => {}
        }
    }

    fn shed(&self, limit: Limit) {
        self.observer.telemetry.metrics.shed(limit);
    }

    /// The target broke off after the head.
    pub(super) fn broken(&mut self) {
        self.end = RESPONSE_INCOMPLETE;
    }

    /// The last byte has left.
    pub(super) fn complete(&mut self) {
        if self.origin == Origin::Target {
            self.end = match self.attempts.refused {
                Some(forbidden) => self.refused(forbidden),
                None => End::default(),
            };
        }
    }

    /// The request met a bug: what its client is told, this record does not hear.
    fn panicked(&mut self) {
        let bug = Rejection::Panic;
        self.rejected(StatusCode::INTERNAL_SERVER_ERROR, &bug);
    }

    /// The service refused it.
    fn refused(&self, forbidden: Forbidden) -> End {
        let service = self.target().map_or("", |target| &target.scope.service);
        End {
            reason: Some(forbidden.code()),
            proxy_error: None,
            remedy: Some(forbidden.remedy(service)),
        }
    }

    fn is_logged(&self) -> bool {
        self.observer.config.access_log.log != Logged::Off
    }

    fn is_wanted(&self, total: Duration) -> bool {
        let policy = &self.observer.config.access_log;
        let failed = self.status.is_none_or(|status| status.as_u16() >= 400);
        let broken = self.origin == Origin::Target && self.end.reason.is_some();
        let slow = policy.slow.is_some_and(|slow| total >= slow);
        match policy.log {
            Logged::Off => false,
            _ if failed || broken || slow => true,
            Logged::Errors => false,
            Logged::All => policy.sample >= 1.0 || fastrand::f64() < policy.sample,
        }
    }

    fn count(&self, total: Duration) {
        let metrics = self.route.map_or(&self.observer.unrouted, |index| {
            let metrics = &self.observer.routes[index];
            metrics.ended();
            metrics
        });
        let outcome = Outcome {
            method: &self.method,
            status: self.status,
            origin: self.origin,
            reason: self.end.reason,
            proxy_error: self.end.proxy_error,
        };
        metrics.observe(&outcome, total, (self.bytes_in, self.bytes_out));
    }

    fn remember(&self, total: Duration) {
        let recent = &self.observer.telemetry.recent;
        if !recent.is_kept() {
            return;
        }
        let route = self.route().cloned();
        let seen = Seen {
            number: 0, // the ring knows
            ended: self.arrived + total,
            method: self.method.clone(),
            path: None,
            target: self.target().cloned(),
            route,
            status: self.status,
            origin: self.origin,
            reason: self.end.reason,
            remedy: self.end.remedy,
            attempts: self.attempts.count,
            took: total,
            first_byte: self.first_byte,
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
        };
        recent.push(seen, self.path());
    }

    fn route(&self) -> Option<&Arc<Route>> {
        match self.observer.config.routes.taker(self.route?) {
            Taker::Sends(route) => Some(route),
            Taker::Rejects(_) => None,
        }
    }

    /// The target that it was sent to last, or is to be sent to.
    fn target(&self) -> Option<&Arc<Target>> {
        Some(self.route()?.destination.target(self.attempts.target))
    }

    fn route_name(&self) -> Option<&str> {
        Some(self.observer.config.routes.taker(self.route?).name())
    }

    /// The path, where it may be written down.
    fn path(&self) -> Option<&str> {
        let full = self.observer.config.access_log.path == LoggedPath::Full;
        full.then(|| self.uri.path())
    }

    fn log(&self, total: Duration) {
        tracing::info!(
            target: "access",
            route = self.route_name(),
            target_name = self.target().map(|target| target.name.as_str()),
            api_key = self.api_key.as_ref().map(|key| key.name.as_str()),
            method = self.method.as_str(),
            path = self.path(),
            status = self.status.map(|status| status.as_u16()),
            origin = self.origin.name(),
            reason = self.end.reason,
            bytes_in = self.bytes_in,
            bytes_out = self.bytes_out,
            duration_ms = milliseconds(total),
            first_byte_ms = self.first_byte.map(milliseconds),
            sign_ms = milliseconds(self.attempts.signing),
            attempts = self.attempts.count,
            aws_request_id = self.request_id.as_ref().and_then(|id| id.to_str().ok()),
            trace_id = self.trace.w3c().map(TraceId::in_w3c),
            xray_trace_id = self.trace.xray().map(TraceId::in_xray),
            "request"
        );
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let total = self.arrived.elapsed();
        if let Some(passed) = &self.streamed_in {
            self.bytes_in = passed.load(Ordering::Relaxed);
        }
        if std::thread::panicking() {
            self.panicked();
        } else if self.end.reason == CLIENT_CLOSED.reason && self.client.is_cut_off() {
            self.end = CUT_OFF;
        }
        let status = self.status.map(|status| status.as_u16());
        traces::ended(&self.span, status, self.end.reason);
        self.count(total);
        self.remember(total);
        if self.is_wanted(total) {
            self.log(total);
        }
    }
}

/// Milliseconds to the microsecond.
fn milliseconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1e3
}
