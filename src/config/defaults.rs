//! Every number that holds where nothing is written, with its reason.

use std::time::Duration;

use http::header::{CONTENT_TYPE, HeaderName};
use http::{Method, StatusCode};

use crate::config::{ExchangeTimeouts, Limits, Shutdown, Timeouts};

/// Apps on loopback, IPv4 first.
pub(super) const LISTEN: [&str; 2] = ["127.0.0.1:8480", "[::1]:8480"];
/// The port beside it.
pub(super) const ADMIN: &str = "127.0.0.1:8481";
/// Function URLs keep a connection for 20 s or more; one that we close first is never stale.
pub(super) const UPSTREAM_IDLE: Duration = Duration::from_secs(20);
/// Lambda's limit for an event: 6 MB (AWS, Lambda quotas).
pub(super) const MAX_BODY: u64 = 6 << 20;
/// API Gateway's: 10 MB (AWS, API Gateway quotas).
pub(super) const MAX_BODY_EXECUTE_API: u64 = 10 << 20;
/// Where the AWS Lambda Web Adapter can pick a client's own `Authorization` up.
pub(super) const AUTHORIZATION: &str = "x-forwarded-authorization";
/// What CloudTrail calls a session of an assumed role.
pub(super) const SESSION_NAME: &str = "countersign";
/// STS's own default, and the most that it gives where the base is an assumed role itself.
pub(super) const SESSION: Duration = Duration::from_secs(60 * 60);
/// Only the user of the process may connect to a unix socket.
pub(super) const SOCKET_MODE: u32 = 0o600;

/// Attempts of a request whose route says `retries`: more would only add load.
pub(super) const ATTEMPTS: u32 = 3;
/// What passes by itself: throttled, a bad moment of the service, overloaded, too slow.
pub(super) const RETRIED: [StatusCode; 4] = [
    StatusCode::TOO_MANY_REQUESTS,
    StatusCode::BAD_GATEWAY,
    StatusCode::SERVICE_UNAVAILABLE,
    StatusCode::GATEWAY_TIMEOUT,
];

/// What pages may ask with where neither `cors` nor the route says: what functions are asked with.
pub(super) const CORS_METHODS: [Method; 6] =
    [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

/// What a route that rejects says, unless told: 501, for nobody has made it work here.
pub(super) const REJECTION: StatusCode = StatusCode::NOT_IMPLEMENTED;
pub(super) const REJECTED: &str = "the route table rejects this request";

/// Every request, for whoever shadows a route wants to see it.
pub(super) const MIRRORED: f64 = 1.0;
/// What two versions of one function agree on; most others name the moment or the machine.
pub(super) const COMPARED_HEADER: HeaderName = CONTENT_TYPE;

pub(super) const LIMITS: Limits = Limits {
    connections: 4096,
    in_flight: 1024, // Lambda runs 1,000 at once in an account (AWS, Lambda quotas)
    buffered_bodies: 64 << 20,
    header_bytes: 64 << 10,
    headers: 128,
};

/// A function may run for 900 s; it must time out by itself before we do.
const FUNCTION: Duration = Duration::from_secs(905);

pub(super) const TIMEOUTS: Timeouts = Timeouts {
    header_read: Duration::from_secs(10),
    client_idle: Duration::from_secs(120), // clients' pools often keep 90 s: they close first
    exchange: ExchangeTimeouts {
        body_read: Duration::from_secs(30),
        response_head: FUNCTION,
        response_idle: FUNCTION,
    },
    body_total: Duration::from_secs(120),
    connect: Duration::from_secs(5),
};

/// Kubernetes and ECS wait 30 s before they kill.
pub(super) const SHUTDOWN: Shutdown =
    Shutdown { delay: Duration::ZERO, grace: Duration::from_secs(25) };
