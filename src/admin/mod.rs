//! The admin listener: for probes. It only reads.
//!
//! | endpoint    | answers 200 while |
//! |-------------|-------------------|
//! | `/livez`    | the process runs |
//! | `/startupz` | it was ready once |
//! | `/readyz`   | it has usable credentials and is not draining |

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;

use crate::credentials::Stores;
use crate::routing::host;

/// What the admin listener knows of the process.
#[derive(Clone, Debug)]
pub struct Health(Arc<State>);

#[derive(Debug)]
struct State {
    stores: ArcSwap<Stores>,
    was_ready: AtomicBool,
    draining: AtomicBool,
}

impl Health {
    /// The health of a process whose credentials come from `stores`.
    pub fn new(stores: Stores) -> Self {
        let (was_ready, draining) = (AtomicBool::new(false), AtomicBool::new(false));
        Self(Arc::new(State { stores: ArcSwap::from_pointee(stores), was_ready, draining }))
    }

    /// From now on other stores count.
    pub fn watch(&self, stores: Stores) {
        self.0.stores.store(Arc::new(stores));
    }

    /// From now on the process takes no new work.
    pub fn drain(&self) {
        self.0.draining.store(true, Ordering::Relaxed);
    }

    fn is_ready(&self) -> bool {
        let ready = !self.0.draining.load(Ordering::Relaxed) && self.0.stores.load().all_usable();
        if ready {
            self.0.was_ready.store(true, Ordering::Relaxed);
        }
        ready
    }

    fn was_ready(&self) -> bool {
        self.is_ready() || self.0.was_ready.load(Ordering::Relaxed)
    }

    /// Answers one request.
    pub fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if !is_host_known(request) {
            return text(StatusCode::FORBIDDEN, "use `localhost` or an IP address as Host\n");
        }
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return text(StatusCode::METHOD_NOT_ALLOWED, "this listener only reads\n");
        }
        let healthy = match request.uri().path() {
            "/livez" => true,
            "/readyz" | "/healthz" => self.is_ready(),
            "/startupz" => self.was_ready(),
            _ => return text(StatusCode::NOT_FOUND, "/livez\n/readyz\n/startupz\n"),
        };
        match healthy {
            true => text(StatusCode::OK, "ok\n"),
            false => text(StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
        }
    }
}

/// A page whose name was made to resolve to this address has that name in its Host.
fn is_host_known(request: &Request<Incoming>) -> bool {
    let Some(host) = request.headers().get(HOST) else { return true };
    let name = host.to_str().ok().and_then(host::of_authority);
    name.is_some_and(|name| host::is_loopback_name(&name) || host::is_ip_literal(&name))
}

fn text(status: StatusCode, body: &'static str) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(Bytes::from_static(body.as_bytes())));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
