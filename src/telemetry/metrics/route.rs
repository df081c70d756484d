//! What apps get of one route.

use std::time::Duration;

use http::{Method, StatusCode};
use prometheus::{Histogram, IntCounter, IntGauge};

use super::slots::Slots;
use super::{Metrics, method};
use crate::telemetry::Origin;

/// A route's metrics, at hand.
#[derive(Debug)]
pub struct RouteMetrics {
    metrics: Metrics,
    name: String,
    active: IntGauge,
    bytes_in: IntCounter,
    bytes_out: IntCounter,
    outcomes: Slots<Key, Series>,
}

/// How a request ended.
#[derive(Clone, Copy, Debug)]
pub struct Outcome<'a> {
    /// Its method.
    pub method: &'a Method,
    /// The answer's status, if there was an answer.
    pub status: Option<StatusCode>,
    /// Whose answer it was.
    pub origin: Origin,
    /// Our code for why it was not answered, or not whole.
    pub reason: Option<&'static str>,
    /// RFC 9209's word for it.
    pub proxy_error: Option<&'static str>,
}

/// What a kind of outcome is known by; `reason` brings its `proxy_error` along.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Key {
    method: &'static str,
    status: Option<StatusCode>,
    origin: Origin,
    reason: Option<&'static str>,
}

#[derive(Debug)]
struct Series {
    durations: Histogram,
    responses: IntCounter,
}

impl RouteMetrics {
    pub(super) fn new(metrics: Metrics, name: &str) -> Self {
        let server = &metrics.0.server;
        Self {
            active: server.active.with_label_values(&[name]),
            bytes_in: server.bytes_in.with_label_values(&[name]),
            bytes_out: server.bytes_out.with_label_values(&[name]),
            outcomes: Slots::new(),
            name: name.to_owned(),
            metrics,
        }
    }

    /// A request has come; [`RouteMetrics::ended`] is to follow.
    pub fn began(&self) {
        self.active.inc();
    }

    /// A request that began is over.
    pub fn ended(&self) {
        self.active.dec();
    }

    /// A request was over the route's rate.
    pub fn throttled(&self) {
        self.metrics.0.server.throttled.with_label_values(&[&self.name]).inc();
    }

    /// Counts a request that is over, with the bytes of its body and its answer's.
    pub fn observe(&self, outcome: &Outcome<'_>, took: Duration, bytes: (u64, u64)) {
        let key = Key {
            method: method::label(outcome.method),
            status: outcome.status,
            origin: outcome.origin,
            reason: outcome.reason,
        };
        self.outcomes.with(
            key,
            || self.series(&key, outcome.proxy_error),
            |series| {
                series.durations.observe(took.as_secs_f64());
                series.responses.inc();
            },
        );
        let (bytes_in, bytes_out) = bytes;
        if bytes_in > 0 {
            self.bytes_in.inc_by(bytes_in);
        }
        if bytes_out > 0 {
            self.bytes_out.inc_by(bytes_out);
        }
    }

    fn series(&self, key: &Key, proxy_error: Option<&str>) -> Series {
        let server = &self.metrics.0.server;
        let status = key.status.as_ref().map_or("", StatusCode::as_str);
        let error = key.reason.unwrap_or_default();
        let labels = [self.name.as_str(), key.method, status, error];
        let answer = [self.name.as_str(), key.origin.name(), proxy_error.unwrap_or_default()];
        Series {
            durations: server.durations.with_label_values(&labels),
            responses: server.responses.with_label_values(&answer),
        }
    }
}
