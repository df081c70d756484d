//! A route's mirror: a second target that gets the request as well, once the client's answer is
//! under way, and whose answer is held against that one.
//!
//! Nobody waits for it, and it must not take from those who do: it has bounds of its own, and
//! whatever is past them is dropped and counted, never queued.

mod compare;
mod exchange;
mod json;
mod report;

use std::sync::Arc;

use http::Response;
use http::header::HOST;
use tokio::sync::Semaphore;

use crate::config::{self, Comparison, Config, LoggedPath, MirroredMethods, Route, Target};
use crate::proxy::access_log::Observer;
use crate::proxy::limit::{Gate, Gates, Place, Room, Taken};
use crate::proxy::mirror::compare::Head;
use crate::proxy::mirror::exchange::{Exchange, Original};
use crate::proxy::mirror::report::{Failure, Failures};
use crate::proxy::rejection::Rejection;
use crate::proxy::route::below_another;
use crate::proxy::upstream::{Copied, Others, Outgoing, TargetBody, Upstream};
use crate::telemetry::metrics::{MirrorMetrics, Mirrored};

/// Mirrored requests under way in the process.
const AT_ONCE: usize = 64;
/// The part of `limits.buffered_bodies` that mirrors may hold on to: clients keep the rest.
const SHARE_OF_BODIES: u64 = 4;
/// What is kept of an answer to compare it; a Function URL gives 6 MB at most, and few do.
const COMPARED_BYTES: usize = 1024 * 1024;
/// What is kept of all answers at once.
const KEPT_BYTES: u64 = 16 * 1024 * 1024;

/// The mirrors of one configuration.
#[derive(Debug)]
pub(super) struct Mirrors {
    /// By the route's index.
    of_routes: Vec<Option<Arc<Mirror>>>,
    bounds: Bounds,
}

/// What all mirrors share, also those of several configurations.
#[derive(Clone, Debug)]
struct Bounds {
    places: Gate,
    bodies: Room,
    answers: Room,
    /// Large bodies are compared one by one: they take one core at most, and the memory of one.
    turn: Arc<Semaphore>,
}

/// What it takes to send a route's requests a second time.
#[derive(Debug)]
pub(super) struct Mirror {
    route: Arc<Route>,
    upstream: Arc<Upstream>,
    /// `max_in_flight` of its target.
    of_target: Option<Gate>,
    bounds: Bounds,
    metrics: MirrorMetrics,
    failures: Failures,
    path: LoggedPath,
}

/// The right to be under way.
#[derive(Debug)]
struct Admitted {
    _places: (Place, Option<Place>),
    body: Taken,
}

impl Mirrors {
    /// The mirrors of a configuration; `upstream` finds or makes the one of a target. What was
    /// under way `before` counts on.
    pub(super) fn of(
        gates: &Gates,
        observer: &Observer,
        mut upstream: impl FnMut(&Arc<Target>) -> Arc<Upstream>,
        before: Option<&Self>,
    ) -> Self {
        let (config, metrics) = (observer.config(), &observer.telemetry().metrics);
        let bounds = Bounds::of(config, before.map(|before| &before.bounds));
        let of_route = |route: &Arc<Route>| {
            let target = &route.mirror.as_ref()?.target;
            Some(Arc::new(Mirror {
                upstream: upstream(target),
                of_target: gates.target(&target.name).cloned(),
                bounds: bounds.clone(),
                metrics: metrics.mirror(&route.name, &target.name),
                failures: Failures::default(),
                path: config.access_log.path,
                route: Arc::clone(route),
            }))
        };
        let of_routes = config.routes.routes().iter().map(of_route).collect();
        Self { of_routes, bounds }
    }

    /// The mirror of a route that has one.
    pub(super) fn of_route(&self, index: usize) -> Option<&Arc<Mirror>> {
        self.of_routes[index].as_ref()
    }

    /// The upstreams of all mirrors.
    pub(super) fn upstreams(&self) -> impl Iterator<Item = &Arc<Upstream>> {
        self.of_routes.iter().flatten().map(|mirror| &mirror.upstream)
    }
}

impl Bounds {
    fn of(config: &Config, before: Option<&Self>) -> Self {
        let bodies = config.limits.buffered_bodies / SHARE_OF_BODIES;
        Self {
            places: Gate::of(AT_ONCE, before.map(|before| &before.places)),
            bodies: Room::of(bodies, before.map(|before| &before.bodies)),
            answers: Room::of(KEPT_BYTES, before.map(|before| &before.answers)),
            turn: before.map_or_else(|| Arc::new(Semaphore::new(1)), |it| Arc::clone(&it.turn)),
        }
    }
}

impl Mirror {
    /// Sends a request once more, as far as it may be: not one whose body is gone. `answer` is
    /// the client's, from the target that `outgoing` went to; a copy is taken of it as it passes.
    pub(super) fn begin(
        self: &Arc<Self>,
        outgoing: Outgoing<'_>,
        path: &str,
        (target, answer): (&Arc<Target>, &mut Response<TargetBody>),
    ) {
        if !self.wants(&outgoing) {
            return;
        }
        let Some(admitted) = self.admit(outgoing.payload.share()) else {
            return self.metrics.observe(Mirrored::Dropped);
        };
        let outgoing = match self.turned(outgoing, target) {
            Ok(outgoing) => outgoing,
            Err(rejection) => return self.metrics.observe(self.failed(&Failure::of(&rejection))),
        };
        let exchange = Exchange {
            original: self.comparison().map(|comparison| self.original(comparison, answer)),
            target: Arc::clone(target),
            path: (self.path == LoggedPath::Full).then(|| path.to_owned()),
            outgoing,
            admitted,
        };
        let mirror = Arc::clone(self);
        tokio::spawn(async move {
            tokio::task::yield_now().await; // the answer goes first
            let came = mirror.run(exchange).await;
            mirror.metrics.observe(came);
        });
    }

    fn settings(&self) -> &config::Mirror {
        self.route.mirror.as_ref().expect("only a route that has one gets here")
    }

    fn comparison(&self) -> Option<&Comparison> {
        self.settings().comparison.as_ref()
    }

    fn wants(&self, outgoing: &Outgoing<'_>) -> bool {
        let settings = self.settings();
        let by_method = match settings.methods {
            MirroredMethods::Idempotent => outgoing.method.is_idempotent(),
            MirroredMethods::All => true,
        };
        by_method
            && outgoing.payload.held_length().is_some()
            && (settings.sample >= 1.0 || fastrand::f64() < settings.sample)
    }

    fn admit(&self, body: u64) -> Option<Admitted> {
        let place = self.bounds.places.enter()?;
        let of_target = match &self.of_target {
            Some(gate) => Some(gate.enter()?),
            None => None,
        };
        let body = self.bounds.bodies.take(body)?;
        Some(Admitted { _places: (place, of_target), body })
    }

    /// A request that went to another target, as the mirror's is to have it.
    fn turned(
        &self,
        outgoing: Outgoing<'_>,
        from: &Target,
    ) -> Result<Outgoing<'static>, Rejection> {
        let to = &self.settings().target;
        let sent = below_another(&outgoing.sent, (&from.base_path, &to.base_path))?;
        let mut headers = outgoing.headers;
        headers.insert(HOST, to.host.clone());
        Ok(Outgoing { sent, headers, retries: None, others: Others::None, ..outgoing })
    }

    fn original(&self, comparison: &Comparison, answer: &mut Response<TargetBody>) -> Original {
        let head = Head { status: answer.status(), headers: answer.headers().clone() };
        let compares_bodies = !comparison.ignores("");
        let body = compares_bodies.then(|| answer.body_mut().copy(self.copied()));
        Original { head, body }
    }

    /// Room for what an answer's body will be.
    fn copied(&self) -> Copied {
        Copied::new(COMPARED_BYTES, &self.bounds.answers)
    }

    fn failed(&self, failure: &Failure) -> Mirrored {
        self.failures.log(&self.route, self.settings(), failure);
        Mirrored::Failed
    }
}
