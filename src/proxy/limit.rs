//! May it go now: how many requests are under way, and how often its route was taken. The answer
//! is given at once, for a queue would only make everyone late and grow under a flood. All counts
//! are this process's own.

mod room;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use crate::config::{ApiKey, Config, Route, Target, Throttle};
use crate::proxy::rejection::Rejection;

pub(super) use room::{Room, Taken};

/// What is full where a request is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// `limits.connections`.
    Connections,
    /// `limits.in_flight`.
    Requests,
    /// `max_in_flight` of the target.
    Target,
    /// `max_in_flight` of the route.
    Route,
    /// `limits.buffered_bodies`.
    Bodies,
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connections => "too many connections are open",
            Self::Requests => "too many requests are under way",
            Self::Target => "too many requests to this target are under way",
            Self::Route => "too many requests of this route are under way",
            Self::Bodies => "too many bodies are held at once",
        })
    }
}

impl Full {
    /// The key that raises the bound.
    pub(super) fn hint(self) -> &'static str {
        match self {
            Self::Connections => "try again; `limits.connections` is the bound",
            Self::Requests => "try again; `limits.in_flight` is the bound",
            Self::Target => "try again; `max_in_flight` of the target is the bound",
            Self::Route => "try again; `max_in_flight` of the route is the bound",
            Self::Bodies => "try again; `limits.buffered_bodies` bounds what is held",
        }
    }
}

/// All bounds of one configuration.
#[derive(Debug)]
pub(super) struct Gates {
    whole: Gate,
    targets: Vec<(String, Gate)>,
    /// By the route's index.
    routes: Vec<OfRoute>,
    /// The throttles of API keys, by the key's name.
    keys: Vec<(String, Arc<Bucket>)>,
}

/// What a route's requests pass.
#[derive(Debug)]
struct OfRoute {
    name: String,
    route: Option<Gate>,
    /// By the target's position.
    targets: Vec<Option<Gate>>,
    throttle: Option<Arc<Bucket>>,
}

/// The right to be under way: held until the last byte of the answer is handed to the client.
#[derive(Debug)]
#[must_use]
pub(super) struct Permit {
    _whole: Option<Place>,
    target: Option<Place>,
    _route: Option<Place>,
}

impl Gates {
    /// The gates of a configuration. What was under way `before` counts on where a route or a
    /// target of the same name has a bound now; an unchanged throttle goes on where it is.
    pub(super) fn of(config: &Config, before: Option<&Self>) -> Self {
        let whole = Gate::of(config.limits.in_flight, before.map(|before| &before.whole));
        let targets: Vec<(String, Gate)> = config
            .targets
            .iter()
            .filter_map(|target| {
                let known = before.and_then(|before| before.target(&target.name));
                Some((target.name.clone(), Gate::of(target.max_in_flight?, known)))
            })
            .collect();
        let of_route = |route: &Arc<Route>| {
            let known = before.and_then(|before| before.route(&route.name));
            let gate = |target: &Arc<Target>| {
                let known = targets.iter().find(|(name, _)| *name == target.name);
                known.map(|(_, gate)| gate.clone())
            };
            OfRoute {
                name: route.name.clone(),
                route: route
                    .max_in_flight
                    .map(|most| Gate::of(most, known.and_then(|known| known.route.as_ref()))),
                targets: route.destination.targets().iter().map(gate).collect(),
                throttle: route.throttle.map(|settings| {
                    Bucket::of(settings, known.and_then(|known| known.throttle.as_ref()))
                }),
            }
        };
        let routes = config.routes.routes().iter().map(of_route).collect();
        let of_key = |key: &Arc<ApiKey>| {
            let known = before.and_then(|before| before.key(&key.name));
            Some((key.name.clone(), Bucket::of(key.throttle?, known)))
        };
        let keys = config.api_keys.iter().filter_map(of_key).collect();
        Self { whole, targets, routes, keys }
    }

    /// Lets a request of a route in, on its way to the target of a position and with the API key
    /// that it has, or not. A request that finds something full leaves the throttles as they were,
    /// one that its key has too many of that of the route.
    ///
    /// # Errors
    ///
    /// Where something is full, or the key or the route was taken too often.
    pub(super) fn enter(
        &self,
        route: usize,
        target: usize,
        key: Option<&ApiKey>,
    ) -> Result<Permit, Rejection> {
        let of = &self.routes[route];
        let whole = enter(Some(&self.whole), Full::Requests)?;
        let target = enter(of.targets[target].as_ref(), Full::Target)?;
        let route = enter(of.route.as_ref(), Full::Route)?;
        if let Some(bucket) =
            key.filter(|key| key.throttle.is_some()).and_then(|key| self.key(&key.name))
        {
            bucket.take().map_err(|wait| Rejection::KeyThrottled { wait })?;
        }
        if let Some(bucket) = &of.throttle {
            bucket.take().map_err(|wait| Rejection::Throttled { wait })?;
        }
        Ok(Permit { _whole: whole, target, _route: route })
    }

    /// Whether there is room at a target of a route.
    pub(super) fn has_room(&self, route: usize, target: usize) -> bool {
        let gate = self.routes[route].targets[target].as_ref();
        gate.is_none_or(|gate| gate.taken.load(Ordering::Relaxed) < gate.most)
    }

    /// Lets a request of a route go to another target than it was let in for.
    ///
    /// # Errors
    ///
    /// Where the other one is full; the request stays where it was.
    pub(super) fn cross(
        &self,
        permit: &mut Permit,
        route: usize,
        target: usize,
    ) -> Result<(), Rejection> {
        permit.target = enter(self.routes[route].targets[target].as_ref(), Full::Target)?;
        Ok(())
    }

    /// Requests under way.
    pub(super) fn in_flight(&self) -> usize {
        self.whole.taken.load(Ordering::Relaxed)
    }

    /// The bound of a target that has one.
    pub(super) fn target(&self, name: &str) -> Option<&Gate> {
        self.targets.iter().find(|(known, _)| known == name).map(|(_, gate)| gate)
    }

    fn key(&self, name: &str) -> Option<&Arc<Bucket>> {
        self.keys.iter().find(|(known, _)| known == name).map(|(_, bucket)| bucket)
    }

    fn route(&self, name: &str) -> Option<&OfRoute> {
        self.routes.iter().find(|known| known.name == name)
    }
}

fn enter(gate: Option<&Gate>, full: Full) -> Result<Option<Place>, Rejection> {
    match gate.map(Gate::enter) {
        Some(None) => Err(Rejection::Overloaded(full)),
        place => Ok(place.flatten()),
    }
}

/// A bound on how many are inside. Gates of several configurations may share one count, each
/// with a bound of its own.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    taken: Arc<AtomicUsize>,
    most: usize,
}

/// A place inside.
#[derive(Debug)]
pub(super) struct Place(Arc<AtomicUsize>);

impl Gate {
    pub(super) fn of(most: usize, before: Option<&Self>) -> Self {
        let taken = before.map(|before| Arc::clone(&before.taken)).unwrap_or_default();
        Self { taken, most }
    }

    /// A place, if there is one.
    pub(super) fn enter(&self) -> Option<Place> {
        let more = |taken| (taken < self.most).then_some(taken + 1);
        let entered = self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        entered.ok().map(|_| Place(Arc::clone(&self.taken)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A throttle: the generic cell rate algorithm, which is one atomic.
#[derive(Debug)]
struct Bucket {
    settings: Throttle,
    cells: RateLimiter<NotKeyed, InMemoryState, Elapsed, NoOpMiddleware<Duration>>,
    clock: Elapsed,
}

impl Bucket {
    /// The one from `before` where nothing has changed, else one that is full.
    fn of(settings: Throttle, before: Option<&Arc<Self>>) -> Arc<Self> {
        let same = before.filter(|bucket| bucket.settings == settings);
        same.map_or_else(|| Arc::new(Self::new(settings)), Arc::clone)
    }

    fn new(settings: Throttle) -> Self {
        let clock = Elapsed(Instant::now());
        let quota = Quota::with_period(settings.interval).expect("an interval is not nothing");
        let cells = RateLimiter::direct_with_clock(quota.allow_burst(settings.burst), clock);
        Self { settings, cells, clock }
    }

    /// Takes one, or says how long it will be until there is one.
    fn take(&self) -> Result<(), Duration> {
        self.cells.check().map_err(|later| later.wait_time_from(self.clock.now()))
    }
}

/// Time since a throttle was made.
#[derive(Clone, Copy, Debug)]
struct Elapsed(Instant);

impl Clock for Elapsed {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

#[cfg(test)]
mod tests;
