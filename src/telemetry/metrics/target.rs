//! What one target gives.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use prometheus::{Histogram, IntCounter};

use super::slots::Slots;
use super::{Metrics, method};

/// A target's metrics, at hand.
#[derive(Clone, Debug)]
pub struct TargetMetrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    metrics: Metrics,
    name: String,
    attempts: IntCounter,
    retries: IntCounter,
    reused: IntCounter,
    signing: Histogram,
    heads: Slots<(&'static str, Head), Histogram>,
}

/// What one attempt came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// The head of an answer.
    Answered(StatusCode),
    /// No answer, for a reason that is a word of ours.
    Failed(&'static str),
}

impl Head {
    /// The answer's status.
    pub fn status(self) -> Option<u16> {
        match self {
            Self::Answered(status) => Some(status.as_u16()),
            Self::Failed(_) => None,
        }
    }

    /// Why there was none.
    pub fn error(self) -> Option<&'static str> {
        match self {
            Self::Answered(_) => None,
            Self::Failed(reason) => Some(reason),
        }
    }
}

impl TargetMetrics {
    pub(super) fn new(metrics: Metrics, name: &str) -> Self {
        let client = &metrics.0.client;
        Self(Arc::new(Inner {
            attempts: client.attempts.with_label_values(&[name]),
            retries: client.retries.with_label_values(&[name]),
            reused: client.reused.with_label_values(&[name]),
            signing: client.signing.clone(),
            heads: Slots::new(),
            name: name.to_owned(),
            metrics,
        }))
    }

    /// An attempt is signed and goes out; `before`: the request's attempts before it.
    pub fn sent(&self, before: u32, signing: Duration) {
        self.0.signing.observe(signing.as_secs_f64());
        self.0.attempts.inc();
        if before > 0 {
            self.0.retries.inc();
        }
    }

    /// An attempt has come to something.
    pub fn observe(&self, method: &Method, head: Head, took: Duration) {
        let key = (method::label(method), head);
        self.0.heads.with(key, || self.series(key), |series| series.observe(took.as_secs_f64()));
    }

    /// An answer came on a connection that had brought others.
    pub fn reused(&self) {
        self.0.reused.inc();
    }

    /// The service refused signature, token or permission; `reason` is a word of ours.
    pub fn auth_failed(&self, reason: &'static str) {
        let failures = &self.0.metrics.0.client.auth_failures;
        failures.with_label_values(&[self.0.name.as_str(), reason]).inc();
    }

    /// Another target of a split got a request in place of it, for it could not be reached.
    pub fn failed_over(&self) {
        self.0.metrics.0.client.failovers.with_label_values(&[&self.0.name]).inc();
    }

    /// How far the target's clock is ahead of ours, in seconds.
    pub fn clock_offset(&self, seconds: f64) {
        let offsets = &self.0.metrics.0.client.clock_offset;
        offsets.with_label_values(&[&self.0.name]).set(seconds);
    }

    fn series(&self, (method, head): (&'static str, Head)) -> Histogram {
        let (status, error) = match &head {
            Head::Answered(status) => (status.as_str(), ""),
            Head::Failed(reason) => ("", *reason),
        };
        let labels = [self.0.name.as_str(), method, status, error];
        self.0.metrics.0.client.durations.with_label_values(&labels)
    }
}
