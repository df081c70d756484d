//! `mirror`: a second target that gets a route's requests as well, and what its answers are held
//! against.

use std::sync::Arc;

use http::header::HeaderName;

use crate::config::{Route, Target};

/// `mirror`
#[derive(Clone, Debug, PartialEq)]
pub struct Mirror {
    /// Where the second request goes.
    pub target: Arc<Target>,
    /// The share of the requests, 0 to 1.
    pub sample: f64,
    /// `methods`
    pub methods: MirroredMethods,
    /// What is compared; none: nothing is.
    pub comparison: Option<Comparison>,
}

/// Which requests are sent a second time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MirroredMethods {
    /// GET, HEAD, OPTIONS, TRACE, PUT and DELETE (RFC 9110, 9.2.2).
    Idempotent,
    /// Any: what a request does is done twice.
    All,
}

/// What of two answers is compared, besides their status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// The headers.
    pub headers: Vec<HeaderName>,
    /// JSON pointers (RFC 6901) to what may differ. The empty one is the whole body.
    pub ignored: Vec<String>,
}

impl Comparison {
    /// Whether a value may differ, and all below it.
    pub fn ignores(&self, pointer: &str) -> bool {
        self.ignored.iter().any(|ignored| ignored == pointer)
    }
}

impl Route {
    /// Every target that its requests go to: those that answer, then its mirror's.
    pub fn targets(&self) -> impl Iterator<Item = &Arc<Target>> {
        let mirrors = self.mirror.iter().map(|mirror| &mirror.target);
        self.destination.targets().iter().chain(mirrors)
    }
}
