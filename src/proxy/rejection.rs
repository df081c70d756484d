//! Every answer of our own; the only place that picks a status.
//!
//! An answer is `application/problem+json` (RFC 9457) with `Proxy-Status` (RFC 9209): a stable
//! code, a sentence for the caller and a hint. The cause goes to the log only.

mod gateway;
mod invalid;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Method, Response, StatusCode};

use crate::config::json_schema::Fault;
use crate::config::{ErrorStyle, RejectRoute};
use crate::credentials::Unavailable;
use crate::net::ConnectError;
use crate::proxy::limit::Full;

pub(super) use invalid::Missing;

/// RFC 9209.
pub(super) const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");
/// When it is worth to try again after we were too busy or had no credentials.
const RETRY_SOON: Duration = Duration::from_secs(1);

/// Why a request is not answered by its target.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // each says itself below
pub enum Rejection {
    #[error("no route takes this request")]
    NoRoute,
    #[error("the routes for this path take other methods")]
    MethodNotAllowed(Vec<Method>),
    #[error("{}", .route.reject.message)]
    ByRoute { index: usize, route: Arc<RejectRoute> },
    #[error("a preflight is answered here")]
    Preflight,
    #[error("this route asks for an API key")]
    ApiKeyRequired,
    #[error("the API key is none of this route's")]
    ApiKeyNotAllowed,
    #[error("the Host `{0}` is not allowed here")]
    HostNotAllowed(String),
    #[error("the request has no Host, or more than one")]
    BadHost,
    #[error("the Origin `{0}` is not allowed here")]
    OriginNotAllowed(String),
    #[error("the request target is not a path or an http URL")]
    BadTarget,
    #[error("CONNECT is not supported")]
    ConnectNotSupported,
    #[error("Upgrade to `{0}` is not supported")]
    UpgradeNotSupported(String),
    #[error("a Transfer-Encoding other than one `chunked` is not supported")]
    TransferEncodingNotSupported,
    #[error("the request came round again")]
    Loop,
    #[error("the body is larger than {limit} bytes")]
    BodyTooLarge { limit: u64 },
    #[error("the body was silent for too long")]
    BodyTimeout,
    #[error("the body broke off or is malformed")]
    BodyBroken(#[source] hyper::Error),
    #[error("the body broke off or is malformed")]
    StreamBroken(#[source] hyper::Error),
    #[error("`x-amz-content-sha256` is not a SHA-256 in hex")]
    InvalidDigest,
    #[error("the request lacks what the route asks for")]
    ParametersMissing(Vec<Missing>),
    #[error("the body does not fit the route's schema")]
    BodyInvalid(Vec<Fault>),
    #[error("{0}")]
    Overloaded(Full),
    #[error("this route is called too often")]
    Throttled { wait: Duration },
    #[error("this API key calls too often")]
    KeyThrottled { wait: Duration },
    #[error("there are no usable credentials")]
    NoCredentials(#[source] Unavailable),
    #[error("the target could not be reached")]
    Connect(#[source] ConnectError),
    #[error("the target did not answer in time")]
    ResponseTimeout,
    #[error("the target closed the connection before it answered")]
    UpstreamClosed(#[source] hyper::Error),
    #[error("the target's answer is not HTTP")]
    UpstreamMalformed(#[source] hyper::Error),
    #[error("the target switched to another protocol")]
    UpstreamSwitched,
    #[error("the rewritten request is no valid HTTP")]
    Unsendable(#[source] http::Error),
    #[error("a request met a bug")]
    Panic,
}

/// What a rejection looks like from outside.
struct Face {
    status: StatusCode,
    /// RFC 9209's error type.
    error: &'static str,
    code: &'static str,
    hint: &'static str,
}

const fn face(
    status: StatusCode,
    error: &'static str,
    code: &'static str,
    hint: &'static str,
) -> Face {
    Face { status, error, code, hint }
}

impl Rejection {
    /// The stable code, for logs and metrics.
    pub fn code(&self) -> &'static str {
        self.face().code
    }

    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        self.face().hint
    }

    /// RFC 9209's error type.
    pub fn proxy_error(&self) -> &'static str {
        self.face().error
    }

    /// Whether it is ours, or the target's side, that somebody has to look at.
    pub fn is_fault(&self) -> bool {
        // What the route table says is what somebody wants.
        self.face().status.is_server_error() && !matches!(self, Self::ByRoute { .. })
    }

    /// Whether a setting would let the request in.
    pub fn is_for_a_setting(&self) -> bool {
        matches!(self, Self::HostNotAllowed(_) | Self::OriginNotAllowed(_))
    }

    /// What led to it, each cause after what it caused; for the log. A JSON line would hold an
    /// error's own words alone.
    pub fn cause(&self) -> Option<String> {
        let first = std::error::Error::source(self)?;
        let causes = std::iter::successors(Some(first), |cause| cause.source());
        Some(causes.map(ToString::to_string).collect::<Vec<_>>().join(": "))
    }

    fn face(&self) -> Face {
        match self {
            Self::NoRoute | Self::MethodNotAllowed(_) | Self::ByRoute { .. } => self.routing(),
            Self::Preflight | Self::ApiKeyRequired | Self::ApiKeyNotAllowed => self.caller(),
            Self::HostNotAllowed(_)
            | Self::BadHost
            | Self::OriginNotAllowed(_)
            | Self::BadTarget
            | Self::ConnectNotSupported
            | Self::UpgradeNotSupported(_)
            | Self::TransferEncodingNotSupported
            | Self::Loop => self.guard(),
            Self::BodyTooLarge { .. }
            | Self::BodyTimeout
            | Self::BodyBroken(_)
            | Self::StreamBroken(_)
            | Self::InvalidDigest
            | Self::ParametersMissing(_)
            | Self::BodyInvalid(_) => self.body(),
            Self::Connect(cause) => connect(cause),
            _ => self.sending(),
        }
    }

    fn routing(&self) -> Face {
        match self {
            Self::MethodNotAllowed(_) => face(
                StatusCode::METHOD_NOT_ALLOWED,
                "http_request_denied",
                "method_not_allowed",
                "use one of the methods in `Allow`",
            ),
            Self::ByRoute { route, .. } => face(
                route.reject.status,
                "http_request_denied",
                "rejected_by_route",
                "`countersign explain METHOD PATH` names the route, whose `reject` says so",
            ),
            _ => face(
                StatusCode::NOT_FOUND,
                "destination_not_found",
                "no_route",
                "`countersign explain METHOD PATH` says why each route passed it over",
            ),
        }
    }

    fn caller(&self) -> Face {
        let denied = "http_request_denied";
        match self {
            Self::Preflight => face(StatusCode::NO_CONTENT, "", "preflight", ""), // no refusal
            Self::ApiKeyRequired => {
                face(StatusCode::FORBIDDEN, denied, "api_key_required", "send a key in `x-api-key`")
            }
            _ => face(
                StatusCode::FORBIDDEN,
                denied,
                "api_key_not_allowed",
                "send one key in `x-api-key`, which `api_keys` of the route names",
            ),
        }
    }

    fn guard(&self) -> Face {
        let bad = StatusCode::BAD_REQUEST;
        let denied = "http_request_denied";
        let malformed = "http_request_error";
        match self {
            Self::HostNotAllowed(_) => face(
                StatusCode::FORBIDDEN,
                denied,
                "host_not_allowed",
                "add the name to `allowed_hosts`, or use `localhost` or an IP address",
            ),
            Self::OriginNotAllowed(_) => face(
                StatusCode::FORBIDDEN,
                denied,
                "origin_not_allowed",
                "add the page's origin to `allowed_origins`, or to the `cors` of a route",
            ),
            Self::BadHost => face(bad, malformed, "bad_host", "send exactly one Host"),
            Self::ConnectNotSupported => face(
                StatusCode::METHOD_NOT_ALLOWED,
                denied,
                "connect_not_supported",
                "send the request itself: this is no tunnel",
            ),
            Self::UpgradeNotSupported(_) => face(
                StatusCode::NOT_IMPLEMENTED,
                denied,
                "upgrade_not_supported",
                "Function URLs speak plain HTTP/1.1: leave `Upgrade` out",
            ),
            Self::TransferEncodingNotSupported => face(
                StatusCode::NOT_IMPLEMENTED,
                denied,
                "transfer_encoding_not_supported",
                "send the body `chunked` or with a Content-Length",
            ),
            Self::Loop => face(
                StatusCode::LOOP_DETECTED,
                "proxy_loop_detected",
                "loop",
                "a target of this route table leads back to this listener",
            ),
            _ => face(bad, malformed, "bad_target", "ask for a path, such as `GET /health`"),
        }
    }

    fn body(&self) -> Face {
        let error = "http_request_error";
        match self {
            Self::BodyTooLarge { .. } => face(
                StatusCode::PAYLOAD_TOO_LARGE,
                error,
                "body_too_large",
                "`max_body` of the route is the limit; Lambda itself takes 6 MiB",
            ),
            Self::BodyTimeout => face(
                StatusCode::REQUEST_TIMEOUT,
                error,
                "body_timeout",
                "send the body without long pauses (`body_read`, `body_total`)",
            ),
            Self::InvalidDigest => face(
                StatusCode::BAD_REQUEST,
                error,
                "invalid_digest",
                "send the SHA-256 of the body as 64 lower-case hex digits, or leave it out",
            ),
            Self::ParametersMissing(_) | Self::BodyInvalid(_) => face(
                StatusCode::BAD_REQUEST,
                error,
                "request_invalid",
                "`errors` says what and where; `validate` of the route is the rule",
            ),
            _ => face(StatusCode::BAD_REQUEST, error, "body_broken", "send the whole body"),
        }
    }

    fn sending(&self) -> Face {
        match self {
            Self::Overloaded(full) => face(
                StatusCode::SERVICE_UNAVAILABLE,
                "connection_limit_reached",
                "overloaded",
                full.hint(),
            ),
            Self::Throttled { .. } => face(
                StatusCode::TOO_MANY_REQUESTS,
                "http_request_denied",
                "throttled",
                "try again after `Retry-After`; `throttle` of the route is the bound",
            ),
            Self::KeyThrottled { .. } => face(
                StatusCode::TOO_MANY_REQUESTS,
                "http_request_denied",
                "api_key_throttled",
                "try again after `Retry-After`; `throttle` of the API key is the bound",
            ),
            Self::NoCredentials(_) => face(
                StatusCode::SERVICE_UNAVAILABLE,
                "proxy_internal_error",
                "no_credentials",
                "the log names what was tried and what to do",
            ),
            Self::ResponseTimeout => face(
                StatusCode::GATEWAY_TIMEOUT,
                "http_response_timeout",
                "response_timeout",
                "`response_head` of the route is the limit",
            ),
            Self::UpstreamClosed(_) => face(
                StatusCode::BAD_GATEWAY,
                "connection_terminated",
                "upstream_closed",
                "it may have been read: it was not sent again",
            ),
            Self::UpstreamMalformed(_) | Self::UpstreamSwitched => face(
                StatusCode::BAD_GATEWAY,
                "http_protocol_error",
                "upstream_malformed",
                "look at what listens at the target's URL",
            ),
            Self::Unsendable(_) => face(
                StatusCode::BAD_REQUEST,
                "http_request_error",
                "bad_target",
                "`countersign explain METHOD PATH` shows the path that the target would see",
            ),
            _ => face(
                StatusCode::INTERNAL_SERVER_ERROR,
                "proxy_internal_error",
                "internal",
                "the log has the place; please report it",
            ),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Overloaded(_) | Self::NoCredentials(_) => Some(RETRY_SOON),
            Self::Throttled { wait } | Self::KeyThrottled { wait } => Some(*wait),
            _ => None,
        }
    }

    /// The answer. `close`: whether the connection ends with it.
    pub fn answer(&self, style: ErrorStyle, close: bool) -> Response<Bytes> {
        let face = self.face();
        let (content_type, body) = match style {
            ErrorStyle::Problem => ("application/problem+json", self.problem(&face)),
            ErrorStyle::ApiGateway => ("application/json", self.gateway_message(face.status)),
        };
        let mut answer = Response::new(Bytes::from(body));
        *answer.status_mut() = face.status;
        let headers = answer.headers_mut();
        if close {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if let Self::Preflight = self {
            *answer.body_mut() = Bytes::new();
            return answer;
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(PROXY_STATUS, proxy_status(&face));
        if let Some(wait) = self.retry_after() {
            headers.insert(RETRY_AFTER, HeaderValue::from(whole_seconds(wait)));
        }
        if let Self::MethodNotAllowed(methods) = self {
            headers.insert(ALLOW, allow(methods));
        }
        answer
    }

    fn problem(&self, face: &Face) -> String {
        let mut problem = serde_json::json!({
            "type": "about:blank",
            "title": face.status.canonical_reason(),
            "status": face.status.as_u16(),
            "detail": self.to_string(),
            "code": face.code,
            "hint": face.hint,
        });
        match self {
            Self::ParametersMissing(names) => problem["errors"] = invalid::missing(names),
            Self::BodyInvalid(faults) => problem["errors"] = invalid::faults(faults),
            _ => {}
        }
        problem.to_string()
    }
}

/// DNS, connect and TLS, each with RFC 9209's name.
fn connect(cause: &ConnectError) -> Face {
    let gateway = StatusCode::BAD_GATEWAY;
    match cause {
        ConnectError::Dns(_) => face(
            gateway,
            "dns_error",
            "dns_error",
            "check the name and the region in the target's URL",
        ),
        ConnectError::Refused(_) => {
            face(gateway, "connection_refused", "connection_refused", "check the target's URL")
        }
        ConnectError::TimedOut(_) => face(
            StatusCode::GATEWAY_TIMEOUT,
            "connection_timeout",
            "connection_timeout",
            "Function URLs are on the public internet: a VPC needs a NAT gateway or IPv6",
        ),
        ConnectError::Certificate(_) => face(
            gateway,
            "tls_certificate_error",
            "tls_certificate_error",
            "where a company's proxy opens TLS, name its CA in `upstream.ca_file`",
        ),
        ConnectError::Tls(_) => face(
            gateway,
            "tls_protocol_error",
            "tls_protocol_error",
            "the target must speak TLS 1.2 or 1.3",
        ),
        ConnectError::Proxy(_) => face(
            gateway,
            "destination_unavailable",
            "proxy_refused",
            "`upstream.proxy` did not let the connection through",
        ),
        ConnectError::Other(_) => {
            face(gateway, "destination_unavailable", "connect_failed", "the log has the cause")
        }
    }
}

/// The whole answer as it goes on the wire, for where there is no HTTP connection yet.
pub fn overloaded_on_the_wire(style: ErrorStyle) -> Bytes {
    let answer = Rejection::Overloaded(Full::Connections).answer(style, true);
    let mut wire = format!("HTTP/1.1 {}\r\n", answer.status()).into_bytes();
    for (name, value) in answer.headers() {
        wire.extend_from_slice(name.as_str().as_bytes());
        wire.extend_from_slice(b": ");
        wire.extend_from_slice(value.as_bytes());
        wire.extend_from_slice(b"\r\n");
    }
    let length = answer.body().len();
    wire.extend_from_slice(format!("{CONTENT_LENGTH}: {length}\r\n\r\n").as_bytes());
    wire.extend_from_slice(answer.body());
    Bytes::from(wire)
}

/// `Retry-After` knows no less; a client that came back earlier would be turned away again.
fn whole_seconds(wait: Duration) -> u64 {
    let begun = u64::from(wait.subsec_nanos() > 0);
    (wait.as_secs() + begun).max(1)
}

fn proxy_status(face: &Face) -> HeaderValue {
    let value = format!("countersign; error={}; details=\"{}\"", face.error, face.code);
    HeaderValue::try_from(value).expect("error types and codes are visible ASCII")
}

fn allow(methods: &[Method]) -> HeaderValue {
    let names: Vec<&str> = methods.iter().map(Method::as_str).collect();
    HeaderValue::try_from(names.join(", ")).expect("methods are tokens")
}

#[cfg(test)]
mod tests;
