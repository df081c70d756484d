//! THE REQUEST PATH, one file a step, in the order of a request:
//! guard → route → CORS → API key → limit → body → validate → headers → attempts → the answer,
//! streamed; and beside it, for nobody to wait for, the route's mirror.

mod access_log;
mod api_key;
mod body;
mod cors;
mod flood;
mod guard;
mod headers;
mod limit;
mod mirror;
mod rejection;
mod route;
mod trace;
mod upstream;
mod validate;

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use http::request::Parts;
use http::{HeaderValue, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use tracing::Instrument;

pub use rejection::{Rejection, overloaded_on_the_wire};
pub use route::{Choice, choose};
pub use upstream::response::{AnswerBody, Incomplete};
pub use upstream::{Forbidden, Single, TargetBody, Upstream};

use crate::clock::Clock;
use crate::config::{Config, Target};
use crate::credentials::Stores;
use crate::listen::Client;
use crate::net::Clients;
use crate::proxy::access_log::{Observer, Record};
use crate::proxy::body::{Bounds, Budget, Inbound};
use crate::proxy::flood::Flood;
use crate::proxy::guard::Admitted;
use crate::proxy::headers::Outgoing;
use crate::proxy::limit::{Gates, Permit};
use crate::proxy::mirror::Mirrors;
use crate::proxy::upstream::{Doors, Others, Outlet};
use crate::telemetry::{Telemetry, traces};

/// How long early requests wait for the first credentials: a pod's agent takes seconds.
const START_PATIENCE: Duration = Duration::from_secs(5);

/// The proxy: answers any number of requests at once.
#[derive(Debug)]
pub struct Proxy {
    served: ArcSwap<Served>,
    clock: Clock,
    /// What `Via` calls this process.
    via: Via,
    started: Instant,
    overloads: Flood,
}

/// One configuration, with what it takes to serve it. A request keeps the one it began with.
#[derive(Debug)]
struct Served {
    config: Arc<Config>,
    /// Where each route sends to, by the route's index.
    outlets: Vec<Outlet>,
    mirrors: Mirrors,
    observer: Arc<Observer>,
    clients: Clients,
    gates: Gates,
    budget: Budget,
}

/// What goes along with a request on its path.
struct Exchange {
    body: Inbound,
    record: Box<Record>,
    client: Client,
    permit: Option<Permit>,
    /// What the answer says to a browser.
    cors: Option<cors::Shared>,
}

/// The name of this process in `Via`, by which it knows its own requests again.
#[derive(Debug)]
struct Via {
    token: String,
    value: HeaderValue,
}

impl Via {
    fn new() -> Self {
        let token = format!("countersign-{:08x}", fastrand::u32(..));
        let value = HeaderValue::try_from(format!("1.1 {token}"));
        Self { token, value: value.expect("hex digits make a header value") }
    }
}

impl Proxy {
    /// A proxy that serves `config`, with credentials from `stores`.
    pub fn new(
        config: Arc<Config>,
        stores: &Stores,
        clients: &Clients,
        clock: &Clock,
        telemetry: &Telemetry,
    ) -> Self {
        Self {
            served: ArcSwap::from_pointee(Served::new(config, stores, clients, clock, telemetry)),
            clock: clock.clone(),
            via: Via::new(),
            started: Instant::now(),
            overloads: Flood::new(Instant::now()),
        }
    }

    /// The configuration that is served.
    pub fn config(&self) -> Arc<Config> {
        Arc::clone(&self.served.load().config)
    }

    /// Serves another configuration from the next request on. What stays the same keeps what it
    /// has: targets their signing keys, and all their connections where `clients` are none.
    pub fn serve_anew(&self, config: Arc<Config>, stores: &Stores, clients: Option<&Clients>) {
        let before = self.served.load_full();
        self.served.store(Arc::new(before.renewed(config, stores, clients, &self.clock)));
    }

    /// Answers one request.
    pub async fn answer(&self, request: Request<Incoming>, client: Client) -> Response<AnswerBody> {
        let served = self.served.load_full();
        let (mut request, body) = request.into_parts();
        let mut exchange = Exchange {
            body: Inbound::new(&request, body),
            record: Box::new(Record::open(&served.observer, &request, &client)),
            client,
            permit: None,
            cors: None,
        };
        let version = request.version;
        let span = exchange.record.span.clone();
        let passed = self.pass(&served, &mut request, &mut exchange); // large: pinned, not moved
        let passed = pin!(passed).instrument(span).await;
        let cors = exchange.cors.take();
        let mut answer = match passed {
            Ok((answer, silence)) => {
                let Exchange { record, client, permit, .. } = exchange;
                // An HTTP/1.0 answer ends with its connection, so a cut one needs a reset.
                let reset = (version == Version::HTTP_10).then(|| client.clone());
                let permit = permit.map(|permit| (permit, client));
                answer.map(|body| AnswerBody::of_target(body, silence, reset, record, permit))
            }
            Err(rejection) => {
                self.log(&rejection);
                Box::pin(served.reject(&rejection, exchange)).await
            }
        };
        if let Some(cors) = cors {
            cors.write(answer.headers_mut());
        }
        answer
    }

    /// The path of a request that nothing stops.
    async fn pass(
        &self,
        served: &Served,
        request: &mut Parts,
        exchange: &mut Exchange,
    ) -> Result<(Response<TargetBody>, Duration), Rejection> {
        let Exchange { body, record, client, permit, cors } = exchange;
        let (peer, config) = (client.peer(), &served.config);
        let Admitted { host, refusal } =
            guard::admit(&config.guard, request, peer, &self.via.token)?;
        if let Some((index, answer)) = cors::preflight(config, request, host.as_deref())? {
            record.routed(index);
            *cors = Some(answer);
            return Err(Rejection::Preflight);
        }
        let choice = route::choose(config, request, host.as_deref());
        let Choice { index, route, sent } = cors::admit(choice, request, refusal)?;
        record.routed(index);
        *cors = cors::of(route, &request.headers);
        let key = api_key::demand(route, &request.headers)?;
        record.api_key = key.cloned();
        let outlet = &served.outlets[index];
        let has_room = |target| served.gates.has_room(index, target);
        record.attempts.target = outlet.choose(&request.headers, has_room);
        let target = record.attempts.target;
        *permit = Some(served.gates.enter(index, target, key.map(|key| &**key))?);
        let bounds = Bounds { budget: &served.budget, timeouts: &config.timeouts, client };
        let payload = body.take(request, route, &bounds).instrument(traces::body()).await?;
        record.bytes_in = payload.held_length().unwrap_or_default();
        record.streamed_in = payload.passed();
        validate::admit(route, request, &sent, &payload).await?;
        Outgoing {
            route,
            target: route.destination.target(record.attempts.target),
            payload: &payload,
            client: client.address(),
            via: &self.via.value,
            authority: request.uri.authority(),
        }
        .apply(&mut request.headers);
        let mut outgoing = upstream::Outgoing {
            method: std::mem::take(&mut request.method),
            sent,
            headers: std::mem::take(&mut request.headers),
            payload,
            timeouts: route.timeouts,
            patience: START_PATIENCE.saturating_sub(self.started.elapsed()),
            retries: route.retries.as_ref(),
            others: Others::None,
        };
        let doors = Doors { gates: &served.gates, route: index, permit };
        let attempts = &mut record.attempts;
        let mut answer = outlet.send(&mut outgoing, attempts, doors).await?;
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Err(Rejection::UpstreamSwitched); // nobody asked for that
        }
        record.answered(answer.status(), answer.headers());
        if let Some(mirror) = served.mirrors.of_route(index) {
            let answered = (route.destination.target(record.attempts.target), &mut answer);
            mirror.begin(outgoing, request.uri.path(), answered);
        }
        headers::incoming(answer.headers_mut(), &route.response_headers);
        *answer.version_mut() = Version::HTTP_11; // an answer's version is its sender's
        Ok((answer, route.timeouts.response_idle))
    }

    /// The cause is for the log only. Whom the guard turned away may be somebody whom a setting was
    /// forgotten for, so the log names it.
    fn log(&self, rejection: &Rejection) {
        if let Rejection::Overloaded(full) = rejection {
            if let Some(left_out) = self.overloads.line(Instant::now()) {
                let (reason, error, hint) = (rejection.code(), full.to_string(), rejection.hint());
                tracing::warn!(reason, error, hint, left_out, "a request was turned away");
            }
            return;
        }
        let (reason, error, cause) = (rejection.code(), rejection.to_string(), rejection.cause());
        if matches!(rejection, Rejection::Preflight) {
            tracing::debug!("a preflight was answered");
        } else if rejection.is_fault() {
            tracing::warn!(reason, error, cause, "a request was not answered by its target");
        } else if rejection.is_for_a_setting() {
            tracing::warn!(reason, error, hint = rejection.hint(), "a request was refused");
        } else {
            tracing::debug!(reason, error, cause, "a request was refused");
        }
    }

    /// Requests under way, each until its answer has left.
    pub fn in_flight(&self) -> usize {
        self.served.load().gates.in_flight()
    }

    /// The answer to a request that met a bug.
    pub fn panicked(&self) -> Response<AnswerBody> {
        let answer = Rejection::Panic.answer(self.served.load().config.error_style, true);
        answer.map(AnswerBody::after_panic)
    }
}

impl Served {
    fn new(
        config: Arc<Config>,
        stores: &Stores,
        clients: &Clients,
        clock: &Clock,
        telemetry: &Telemetry,
    ) -> Self {
        let observer = Observer::new(Arc::clone(&config), telemetry);
        let gates = Gates::of(&config, None);
        let (made, known) = (Vec::new(), Vec::new());
        let mut making = Making { clients, stores, clock, telemetry, made, known };
        Self {
            outlets: making.of_routes(&config),
            mirrors: Mirrors::of(&gates, &observer, |target| making.of(target), None),
            observer: Arc::new(observer),
            clients: clients.clone(),
            gates,
            budget: Budget::new(config.limits.buffered_bodies),
            config,
        }
    }

    fn renewed(
        &self,
        config: Arc<Config>,
        stores: &Stores,
        clients: Option<&Clients>,
        clock: &Clock,
    ) -> Self {
        let observer = Observer::new(Arc::clone(&config), self.observer.telemetry());
        let gates = Gates::of(&config, Some(&self.gates));
        let known = match clients {
            Some(_) => Vec::new(), // their connections are the old clients'
            None => self.upstreams().cloned().collect(),
        };
        let (clients, telemetry) = (clients.unwrap_or(&self.clients), self.observer.telemetry());
        let mut making = Making { clients, stores, clock, telemetry, made: Vec::new(), known };
        self.budget.resize(config.limits.buffered_bodies);
        let before = Some(&self.mirrors);
        Self {
            outlets: making.of_routes(&config),
            mirrors: Mirrors::of(&gates, &observer, |target| making.of(target), before),
            observer: Arc::new(observer),
            clients: clients.clone(),
            gates,
            budget: self.budget.clone(),
            config,
        }
    }

    fn upstreams(&self) -> impl Iterator<Item = &Arc<Upstream>> {
        self.outlets.iter().flat_map(Outlet::upstreams).chain(self.mirrors.upstreams())
    }

    /// An answer of ours, once the client can hear it.
    async fn reject(&self, rejection: &Rejection, exchange: Exchange) -> Response<AnswerBody> {
        let Exchange { body, mut record, permit, client, .. } = exchange;
        let close = !body.linger(&client).await;
        let answer = rejection.answer(self.config.error_style, close);
        record.rejected(answer.status(), rejection);
        let permit = permit.map(|permit| (permit, client));
        answer.map(|body| AnswerBody::own(body, record, permit))
    }
}

/// Upstreams in the making: one for each distinct target. Known ones are kept.
struct Making<'m> {
    clients: &'m Clients,
    stores: &'m Stores,
    clock: &'m Clock,
    telemetry: &'m Telemetry,
    made: Vec<Arc<Upstream>>,
    known: Vec<Arc<Upstream>>,
}

impl Making<'_> {
    /// By the routes' indices.
    fn of_routes(&mut self, config: &Config) -> Vec<Outlet> {
        let routes = config.routes.routes().iter();
        routes.map(|route| Outlet::of(&route.destination, |target| self.of(target))).collect()
    }

    fn of(&mut self, target: &Arc<Target>) -> Arc<Upstream> {
        let store = self
            .stores
            .of(&target.credentials)
            .expect("there is a store for each source of a target");
        let serves = |upstream: &&Arc<Upstream>| upstream.serves(target, &store);
        if let Some(upstream) = self.made.iter().chain(&self.known).find(serves) {
            return Arc::clone(upstream);
        }
        let metrics = self.telemetry.metrics.target(&target.name);
        let (target, clock) = (Arc::clone(target), self.clock.clone());
        let upstream = Arc::new(Upstream::new(target, self.clients, store, clock, metrics));
        self.made.push(Arc::clone(&upstream));
        upstream
    }
}
