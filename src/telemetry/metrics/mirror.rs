//! What came of the requests that a route sent to its mirror as well.

use prometheus::{IntCounter, IntCounterVec, Registry};

use super::{Metrics, ROUTE, TARGET, labelled};

/// The families of all mirrors.
#[derive(Debug)]
pub(super) struct Mirrors(IntCounterVec);

impl Mirrors {
    pub(super) fn new(registry: &Registry) -> Self {
        Self(labelled(
            registry,
            "countersign_mirrored_requests_total",
            "Requests for a route's mirror, by what came of them.",
            &[ROUTE, TARGET, "outcome"],
            IntCounterVec::new,
        ))
    }
}

/// What came of a mirrored request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mirrored {
    /// Both answers are the same in what is compared.
    Same,
    /// They are not.
    Different,
    /// The mirror gave no answer, or the service refused the request.
    Failed,
    /// Too much was under way: it was not sent.
    Dropped,
    /// It was answered, and that is all that is known.
    NotCompared,
}

impl Mirrored {
    const ALL: [Self; 5] =
        [Self::Same, Self::Different, Self::Failed, Self::Dropped, Self::NotCompared];

    fn name(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Different => "different",
            Self::Failed => "failed",
            Self::Dropped => "dropped",
            Self::NotCompared => "not_compared",
        }
    }
}

/// The metrics of a route's mirror, at hand, and there from the start, so that a rise is seen.
#[derive(Clone, Debug)]
pub struct MirrorMetrics([IntCounter; Mirrored::ALL.len()]);

impl MirrorMetrics {
    pub(super) fn new(metrics: &Metrics, route: &str, target: &str) -> Self {
        let family = &metrics.0.mirrors.0;
        Self(Mirrored::ALL.map(|came| family.with_label_values(&[route, target, came.name()])))
    }

    /// A mirrored request is over.
    pub fn observe(&self, came: Mirrored) {
        self.0[came as usize].inc();
    }
}
