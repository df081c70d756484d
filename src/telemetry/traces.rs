//! The spans of a request: itself, its body, the wait for credentials, each attempt. Their level
//! is `debug`: where neither the log nor an exporter wants them, each is a load and a branch.

use http::{HeaderMap, Method};
use tracing::field::Empty;
use tracing::{Span, debug_span};

/// What all of them are known by to filters.
pub const TARGET: &str = "countersign::spans";

/// A request, up to the last byte of its answer; part of the trace that its client names.
pub fn request(method: &Method, headers: &HeaderMap) -> Span {
    let span = debug_span!(
        target: TARGET,
        "request",
        otel.kind = "server",
        http.request.method = method.as_str(),
        http.route = Empty,
        http.response.status_code = Empty,
        error.type = Empty,
    );
    #[cfg(feature = "otlp")]
    if !span.is_disabled() {
        super::otlp::adopt(&span, headers);
    }
    #[cfg(not(feature = "otlp"))]
    let _ = headers;
    span
}

/// Reading and hashing a request's body.
pub fn body() -> Span {
    debug_span!(target: TARGET, "body")
}

/// Waiting for credentials.
pub fn credentials() -> Span {
    debug_span!(target: TARGET, "credentials")
}

/// One signed send to the head of its answer; `before`: the request's attempts before it.
pub fn attempt(target: &str, before: u32) -> Span {
    debug_span!(
        target: TARGET,
        "attempt",
        otel.kind = "client",
        server.address = target,
        http.request.resend_count = i64::from(before),
        http.response.status_code = Empty,
        error.type = Empty,
    )
}

/// Notes how a request or an attempt ended.
pub fn ended(span: &Span, status: Option<u16>, error: Option<&str>) {
    if span.is_disabled() {
        return;
    }
    if let Some(status) = status {
        span.record("http.response.status_code", i64::from(status)); // else it is sent as text
    }
    if let Some(error) = error {
        span.record("error.type", error);
    }
}
