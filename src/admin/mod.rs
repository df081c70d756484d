//! The admin listener: for probes, Prometheus and a person. It only reads.
//!
//! | endpoint    | to whom  | answers |
//! |-------------|----------|---------|
//! | `/livez`    | everyone | 200 while the process runs |
//! | `/startupz` | everyone | 200 once it was ready |
//! | `/readyz`   | everyone | 200 while it has usable credentials and is not draining; `/healthz` too |
//! | `/metrics`  | everyone | Prometheus text 0.0.4 |
//! | `/`         | loopback | the status page |
//! | `/status`   | loopback | the checks, and until when credentials are valid; never what they are |
//! | `/routes`   | loopback | the route table |
//! | `/requests` | loopback | the last requests |
//! | `/config`   | loopback | the configuration, without what may be secret |
//!
//! Probes take `?verbose` for the checks behind the answer. A kubelet and a Prometheus send the
//! pod's address as Host; a web page whose name was made to resolve to this address sends that
//! name, and is refused.

mod answers;
mod config;
mod health;
mod page;
mod requests;
mod routes;
mod status;

use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::HOST;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;

pub use health::Health;

use crate::clock::Clock;
use crate::config::Config;
use crate::credentials::Stores;
use crate::listen::{Connections, Peer};
use crate::routing::host;
use crate::telemetry::{Telemetry, logs};

/// What answers on the admin listener.
#[derive(Clone, Debug)]
pub struct Admin(Arc<State>);

#[derive(Debug)]
struct State {
    config: ArcSwap<Config>,
    health: Health,
    connections: Arc<Connections>,
    telemetry: Telemetry,
    clock: Clock,
}

/// Whom an answer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reader {
    /// Somebody on this machine, or in this pod.
    Near,
    /// Whoever can reach the address.
    Anyone,
}

impl Admin {
    /// The admin side of a program that serves `config`.
    pub fn new(
        config: Arc<Config>,
        health: Health,
        connections: Arc<Connections>,
        telemetry: Telemetry,
        clock: Clock,
    ) -> Self {
        let config = ArcSwap::new(config);
        Self(Arc::new(State { config, health, connections, telemetry, clock }))
    }

    /// From now on another configuration is served, with credentials from `stores`.
    pub fn follow(&self, config: Arc<Config>, stores: Stores) {
        self.0.config.store(config);
        self.0.health.watch(stores);
    }

    /// What probes are told.
    pub fn health(&self) -> Health {
        self.0.health.clone()
    }

    /// Answers one request.
    pub fn answer<B>(&self, request: &Request<B>, peer: Peer) -> Response<Full<Bytes>> {
        let Some(host) = self.known_host(request) else {
            let hint =
                "use `localhost` or an IP address as Host, or add the name to `allowed_hosts`\n";
            return answers::text(StatusCode::FORBIDDEN, hint);
        };
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return answers::read_only();
        }
        let near = match peer {
            Peer::Ip(ip) => ip.is_loopback(),
            Peer::Unix => true,
        };
        let reader = if near { Reader::Near } else { Reader::Anyone };
        let path = request.uri().path();
        if let Some(answer) = self.open(path, request.uri().query(), reader) {
            return answer;
        }
        let Some(answer) = self.private(path) else {
            return answers::text(StatusCode::NOT_FOUND, ENDPOINTS);
        };
        if reader != Reader::Near || host == KnownHost::Allowed {
            let hint = "ask from this machine or pod, as `localhost`: only probes and metrics answer others\n";
            return answers::text(StatusCode::FORBIDDEN, hint);
        }
        answer()
    }

    /// What probes and Prometheus ask for.
    fn open(
        &self,
        path: &str,
        query: Option<&str>,
        reader: Reader,
    ) -> Option<Response<Full<Bytes>>> {
        let health = &self.0.health;
        let probe = match path {
            "/livez" => health.live(),
            "/startupz" => health.started(),
            "/readyz" | "/healthz" => health.ready(),
            "/metrics" => return Some(self.metrics()),
            _ => return None,
        };
        let verbose = query.is_some_and(|query| query.split('&').any(|pair| pair == "verbose"));
        Some(probe.answer(path, verbose, reader))
    }

    /// What is for a person on this machine.
    fn private(&self, path: &str) -> Option<Box<dyn FnOnce() -> Response<Full<Bytes>> + '_>> {
        let state = &self.0;
        let config = state.config.load_full();
        Some(match path {
            "/" => Box::new(page::page),
            "/routes" => Box::new(move || answers::json(&routes::listed(&config))),
            "/config" => Box::new(move || answers::json(&config::redacted(&config))),
            "/status" => Box::new(|| answers::json(&status::listed(&state.health))),
            "/requests" => Box::new(|| {
                let latest = state.telemetry.recent.latest();
                answers::json(&requests::listed(&latest, state.clock.now()))
            }),
            _ => return None,
        })
    }

    fn metrics(&self) -> Response<Full<Bytes>> {
        let readings = status::readings(&self.0.health);
        self.0.telemetry.metrics.connections(&status::connections(&self.0.connections));
        self.0.telemetry.metrics.log_lines_lost(logs::lost());
        answers::metrics(self.0.telemetry.metrics.text(&readings, self.0.clock.now()))
    }

    fn known_host<B>(&self, request: &Request<B>) -> Option<KnownHost> {
        let mut hosts = request.headers().get_all(HOST).iter();
        let first = hosts.next().map(|host| host.to_str().ok());
        if hosts.next().is_some() {
            return None;
        }
        // A request in absolute form has its authority there; HTTP/1.0 may have none at all.
        let authority = match (request.uri().authority(), first) {
            (Some(authority), _) => authority.as_str(),
            (None, Some(host)) => host?,
            (None, None) => return Some(KnownHost::Local),
        };
        let name = host::of_authority(authority)?;
        if host::is_loopback_name(&name) || host::is_ip_literal(&name) {
            return Some(KnownHost::Local);
        }
        let guard = &self.0.config.load().guard;
        guard.hosts.iter().any(|pattern| pattern.takes(&name)).then_some(KnownHost::Allowed)
    }
}

/// A Host that may be here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum KnownHost {
    /// A name of this machine, or an address.
    Local,
    /// A name that the configuration allows: it may be anybody's, so it opens nothing private.
    Allowed,
}

/// What a person who asked for something else is shown.
const ENDPOINTS: &str = "/\n/livez\n/startupz\n/readyz\n/metrics\n/routes\n/status\n\
                         /requests\n/config\n";
