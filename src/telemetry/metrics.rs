//! Every metric, registered in one place; OpenTelemetry's HTTP names where it has one.
//!
//! Labels are names of routes and targets, known methods, status codes and words of ours: nothing
//! that a client could make up, and never a path. What a request touches is found ahead
//! ([`RouteMetrics`], [`TargetMetrics`]): on its way no label is hashed and no lock is taken.

mod method;
mod mirror;
mod route;
mod scrape;
mod slots;
mod target;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use prometheus::core::Collector;
use prometheus::{
    GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry,
};

pub use mirror::{MirrorMetrics, Mirrored};
pub use route::{Outcome, RouteMetrics};
pub use scrape::{CONTENT_TYPE, CredentialsReading};
pub use target::{Head, TargetMetrics};

/// Seconds, as OpenTelemetry advises for HTTP, and on to the 15 minutes that a function may run.
const DURATIONS: [f64; 18] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 30.0, 60.0,
    300.0, 900.0,
];
/// Seconds: a signature takes microseconds.
const SIGNING: [f64; 9] = [1e-6, 2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 1e-3, 1e-2];

const ROUTE: &str = "http_route";
const METHOD: &str = "http_request_method";
const STATUS: &str = "http_response_status_code";
const ERROR: &str = "error_type";
const TARGET: &str = "target";
const RESULT: &str = "result";
const REASON: &str = "reason";

/// The metrics of a process.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Families>);

#[derive(Debug)]
struct Families {
    registry: Registry,
    server: Server,
    client: Client,
    mirrors: mirror::Mirrors,
    listener: Listener,
    reloads: Reloads,
    log_lines_lost: IntCounter,
}

/// What apps get.
#[derive(Debug)]
struct Server {
    durations: HistogramVec,
    active: IntGaugeVec,
    responses: IntCounterVec,
    bytes_in: IntCounterVec,
    bytes_out: IntCounterVec,
    throttled: IntCounterVec,
}

/// What targets give.
#[derive(Debug)]
struct Client {
    durations: HistogramVec,
    attempts: IntCounterVec,
    retries: IntCounterVec,
    signing: Histogram,
    opened: IntCounter,
    reused: IntCounterVec,
    auth_failures: IntCounterVec,
    failovers: IntCounterVec,
    clock_offset: GaugeVec,
}

/// What never became a request, or was too much.
#[derive(Debug)]
struct Listener {
    open: IntGauge,
    shed: IntCounterVec,
    refusals: IntCounterVec,
    taking_over: Mutex<()>,
}

#[derive(Debug)]
struct Reloads {
    results: IntCounterVec,
    last_succeeded: IntGauge,
    last_success: IntGauge,
}

/// The limit for whose sake a request was turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// `limits.in_flight`, or `max_in_flight` of a route or target.
    InFlight,
    /// `limits.buffered_bodies`
    BufferedBodies,
}

/// What the listeners have counted by themselves since the start.
#[derive(Clone, Copy, Debug, Default)]
pub struct ConnectionsReading {
    /// Connections open now.
    pub open: usize,
    /// Connections past `limits.connections`.
    pub turned_away: u64,
    /// No HTTP/1.x: 400.
    pub malformed: u64,
    /// Too many bytes or headers: 431 or 414.
    pub head_too_large: u64,
    /// A head that did not end in time: closed.
    pub head_timeout: u64,
    /// A client that took no byte of its answer for too long: reset.
    pub stalled: u64,
}

/// How a reload went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// The new configuration is served.
    Success,
    /// The old one still is.
    Failure,
}

impl Metrics {
    /// The metrics of a process that began, and read its configuration, at `now`.
    pub fn new(now: SystemTime) -> Self {
        let registry = Registry::new();
        let families = Families {
            server: Server::new(&registry),
            client: Client::new(&registry),
            mirrors: mirror::Mirrors::new(&registry),
            listener: Listener::new(&registry),
            reloads: Reloads::new(&registry),
            log_lines_lost: register(
                &registry,
                IntCounter::new(
                    "countersign_log_lines_lost_total",
                    "Log lines that were not written, for nobody read them.",
                ),
            ),
            registry,
        };
        let version = labelled(
            &families.registry,
            "countersign_build_info",
            "1, with the version of this program as a label.",
            &["version"],
            IntGaugeVec::new,
        );
        version.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        families.reloads.last_succeeded.set(1);
        families.reloads.last_success.set(unix_seconds(now));
        Self(Arc::new(families))
    }

    /// The metrics of a route.
    pub fn route(&self, name: &str) -> RouteMetrics {
        RouteMetrics::new(self.clone(), name)
    }

    /// The metrics of a target.
    pub fn target(&self, name: &str) -> TargetMetrics {
        TargetMetrics::new(self.clone(), name)
    }

    /// The metrics of a route's mirror.
    pub fn mirror(&self, route: &str, target: &str) -> MirrorMetrics {
        MirrorMetrics::new(self, route, target)
    }

    /// Counts connections that were opened to targets.
    pub fn connections_opened(&self) -> IntCounter {
        self.0.client.opened.clone()
    }

    /// A request was turned away for the sake of a limit.
    pub fn shed(&self, limit: Limit) {
        let name = match limit {
            Limit::InFlight => "in_flight",
            Limit::BufferedBodies => "buffered_bodies",
        };
        self.0.listener.shed.with_label_values(&[name]).inc();
    }

    /// Takes over what the listeners have counted.
    pub fn connections(&self, reading: &ConnectionsReading) {
        let listener = &self.0.listener;
        listener.open.set(i64::try_from(reading.open).unwrap_or(i64::MAX));
        // Two scrapes at once would both add what is new.
        let _alone = listener.taking_over.lock().unwrap_or_else(PoisonError::into_inner);
        let catch_up = |counters: &IntCounterVec, label: &str, total: u64| {
            let counter = counters.with_label_values(&[label]);
            counter.inc_by(total.saturating_sub(counter.get()));
        };
        catch_up(&listener.shed, "connections", reading.turned_away);
        catch_up(&listener.refusals, "malformed", reading.malformed);
        catch_up(&listener.refusals, "head_too_large", reading.head_too_large);
        catch_up(&listener.refusals, "head_timeout", reading.head_timeout);
        catch_up(&listener.refusals, "stalled", reading.stalled);
    }

    /// Takes over how many log lines were lost since the start.
    pub fn log_lines_lost(&self, total: u64) {
        let counter = &self.0.log_lines_lost;
        counter.inc_by(total.saturating_sub(counter.get()));
    }

    /// The configuration was read again.
    pub fn reloaded(&self, reload: Reload, now: SystemTime) {
        let reloads = &self.0.reloads;
        match reload {
            Reload::Success => {
                reloads.results.with_label_values(&["success"]).inc();
                reloads.last_succeeded.set(1);
                reloads.last_success.set(unix_seconds(now));
            }
            Reload::Failure => {
                reloads.results.with_label_values(&["failure"]).inc();
                reloads.last_succeeded.set(0);
            }
        }
    }
}

impl Server {
    fn new(registry: &Registry) -> Self {
        let counters = |name: &str, help: &str, labels: &[&str]| {
            labelled(registry, name, help, labels, IntCounterVec::new)
        };
        Self {
            durations: durations(
                registry,
                "http_server_request_duration_seconds",
                "Time from a request's head to the last byte of its answer.",
                &[ROUTE, METHOD, STATUS, ERROR],
            ),
            active: labelled(
                registry,
                "http_server_active_requests",
                "Requests that are being answered.",
                &[ROUTE],
                IntGaugeVec::new,
            ),
            responses: counters(
                "countersign_responses_total",
                "Answers by whose they are, and RFC 9209's error type where they are ours.",
                &[ROUTE, "origin", "proxy_error"],
            ),
            bytes_in: counters(
                "countersign_request_body_bytes_total",
                "Bytes of request bodies.",
                &[ROUTE],
            ),
            bytes_out: counters(
                "countersign_response_body_bytes_total",
                "Bytes of answers' bodies.",
                &[ROUTE],
            ),
            throttled: counters(
                "countersign_throttled_total",
                "Requests over a route's `throttle`, answered 429.",
                &[ROUTE],
            ),
        }
    }
}

impl Client {
    fn new(registry: &Registry) -> Self {
        let counters = |name: &str, help: &str, labels: &[&str]| {
            labelled(registry, name, help, labels, IntCounterVec::new)
        };
        let signing = HistogramOpts::new(
            "countersign_signing_duration_seconds",
            "Time to sign one attempt, its body's hash not counted.",
        );
        Self {
            durations: durations(
                registry,
                "http_client_request_duration_seconds",
                "Time from the send of one attempt to the head of its answer.",
                &[TARGET, METHOD, STATUS, ERROR],
            ),
            attempts: counters("countersign_attempts_total", "Signed sends.", &[TARGET]),
            retries: counters(
                "countersign_retries_total",
                "Signed sends that were not a request's first.",
                &[TARGET],
            ),
            signing: register(registry, Histogram::with_opts(signing.buckets(SIGNING.to_vec()))),
            opened: register(
                registry,
                IntCounter::new(
                    "countersign_connections_opened_total",
                    "Connections opened to targets.",
                ),
            ),
            reused: counters(
                "countersign_connections_reused_total",
                "Attempts answered on a connection that had brought answers before.",
                &[TARGET],
            ),
            auth_failures: counters(
                "countersign_upstream_auth_failures_total",
                "Answers in which a target's service refused signature, token or permission.",
                &[TARGET, REASON],
            ),
            failovers: counters(
                "countersign_failovers_total",
                "Requests that another target of a split got in place of this one, for it could not be reached.",
                &[TARGET],
            ),
            clock_offset: labelled(
                registry,
                "countersign_clock_offset_seconds",
                "How far a target's clock is ahead of ours, by the Date of its last answer looked at.",
                &[TARGET],
                GaugeVec::new,
            ),
        }
    }
}

impl Listener {
    fn new(registry: &Registry) -> Self {
        let counters = |name: &str, help: &str, labels: &[&str]| {
            labelled(registry, name, help, labels, IntCounterVec::new)
        };
        Self {
            open: register(
                registry,
                IntGauge::new("countersign_open_connections", "Connections of clients."),
            ),
            shed: counters(
                "countersign_shed_total",
                "Requests and connections turned away with 503, by the limit that was reached.",
                &["limit"],
            ),
            refusals: counters(
                "countersign_http_refusals_total",
                "What ended below any request: refused by the HTTP parser, or silent for too long.",
                &[REASON],
            ),
            taking_over: Mutex::new(()),
        }
    }
}

impl Reloads {
    fn new(registry: &Registry) -> Self {
        let gauge = |name: &str, help: &str| register(registry, IntGauge::new(name, help));
        let results = labelled(
            registry,
            "countersign_config_reloads_total",
            "Reloads of the configuration.",
            &[RESULT],
            IntCounterVec::new,
        );
        for result in ["success", "failure"] {
            results.with_label_values(&[result]); // there from the start, so that a rise is seen
        }
        Self {
            results,
            last_succeeded: gauge(
                "countersign_config_last_reload_successful",
                "Whether the last reload, or the start, took the configuration.",
            ),
            last_success: gauge(
                "countersign_config_last_reload_success_timestamp_seconds",
                "When the configuration that is served was read.",
            ),
        }
    }
}

fn durations(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> HistogramVec {
    let opts = HistogramOpts::new(name, help).buckets(DURATIONS.to_vec());
    register(registry, HistogramVec::new(opts, labels))
}

fn labelled<C: Collector + Clone + 'static>(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
    make: impl Fn(Opts, &[&str]) -> prometheus::Result<C>,
) -> C {
    register(registry, make(Opts::new(name, help), labels))
}

fn register<C: Collector + Clone + 'static>(registry: &Registry, made: prometheus::Result<C>) -> C {
    let made = made.expect("names and labels are constants, and valid");
    registry.register(Box::new(made.clone())).expect("no two metrics share a name");
    made
}

fn unix_seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
