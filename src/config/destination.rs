//! Where a route sends to: one target, or a split among several.

use std::cmp::Reverse;
use std::sync::Arc;

use http::header::HeaderName;

use crate::config::Target;
use crate::routing::Weights;

/// The target of a route, or its targets.
#[derive(Clone, Debug)]
pub enum Destination {
    /// `target`.
    One(Arc<Target>),
    /// `split`.
    Split(Split),
}

/// Several targets that share a route's requests.
#[derive(Clone, Debug)]
pub struct Split {
    /// In the order of the file; never empty.
    targets: Vec<Arc<Target>>,
    weights: Weights,
    sticky: Option<Sticky>,
}

/// What a request brings that keeps it with one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sticky {
    /// The value of this header.
    Header(HeaderName),
    /// The value of this cookie.
    Cookie(String),
}

impl Destination {
    /// All targets, in the order of the file; there is one at least.
    pub fn targets(&self) -> &[Arc<Target>] {
        match self {
            Self::One(target) => std::slice::from_ref(target),
            Self::Split(split) => &split.targets,
        }
    }

    /// The target of a position that [`Self::targets`] has.
    pub fn target(&self, position: usize) -> &Arc<Target> {
        &self.targets()[position]
    }

    /// The target that most requests go to; of several, the first one.
    pub fn foremost(&self) -> &Arc<Target> {
        match self {
            Self::One(target) => target,
            Self::Split(split) => {
                let most = split.shares().min_by_key(|(_, weight)| Reverse(*weight));
                most.map(|(target, _)| target).expect("a split has a target")
            }
        }
    }

    /// How several targets share the requests.
    pub fn split(&self) -> Option<&Split> {
        match self {
            Self::One(_) => None,
            Self::Split(split) => Some(split),
        }
    }

    /// What stands before the path of every request: of a split nothing, for each of its targets
    /// has a base path of its own.
    pub fn base_path(&self) -> &str {
        match self {
            Self::One(target) => &target.base_path,
            Self::Split(_) => "",
        }
    }
}

impl Split {
    /// `None`: no target has a weight but 0.
    pub(super) fn new(shares: Vec<(Arc<Target>, u32)>, sticky: Option<Sticky>) -> Option<Self> {
        let named = shares.iter().map(|(target, weight)| (target.name.as_str(), *weight));
        let weights = Weights::new(named)?;
        let targets = shares.into_iter().map(|(target, _)| target).collect();
        Some(Self { targets, weights, sticky })
    }

    /// The targets with their weights.
    pub fn shares(&self) -> impl Iterator<Item = (&Arc<Target>, u32)> {
        self.targets.iter().zip(self.weights.iter())
    }

    /// What decides which target gets a request.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// What keeps a request with one target.
    pub fn sticky(&self) -> Option<&Sticky> {
        self.sticky.as_ref()
    }
}

impl std::fmt::Display for Sticky {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Cookie(name) => write!(f, "cookie:{name}"),
        }
    }
}
