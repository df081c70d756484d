//! What all listeners of one kind share: places for connections, so that the bound is one however
//! many addresses there are, and counts of what no service ever hears of.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::io::Silence;

/// Connections past the bound that are told so at once; a flood of them must not cost what the
/// bound saves.
pub(super) const TOLD_AT_ONCE: usize = 64;

/// The connections of one or more listeners.
#[derive(Debug)]
pub struct Connections {
    places: Arc<Semaphore>,
    most: usize,
    away: Arc<Semaphore>,
    /// What has happened to them.
    pub counts: Counts,
}

/// What has happened to connections since the start.
#[derive(Debug, Default)]
pub struct Counts {
    /// Connections that got a place.
    pub accepted: Count,
    /// Connections past the bound: answered 503 and closed.
    pub turned_away: Count,
    /// Accepts that failed, mostly for want of descriptors.
    pub accept_failed: Count,
    /// Heads that are not HTTP/1: answered with a bare 400 and closed.
    pub malformed: Count,
    /// Heads over a bound: answered with a bare 431 or 414 and closed.
    pub head_too_large: Count,
    /// Heads that did not end in time: closed.
    pub head_timeout: Count,
    /// Clients that took no byte of an answer for too long: reset.
    pub stalled: Count,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// How often so far.
    pub fn total(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn one_more(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Connections {
    /// At most `most` at once.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            places: Arc::new(Semaphore::new(most)),
            most,
            away: Arc::new(Semaphore::new(TOLD_AT_ONCE)),
            counts: Counts::default(),
        })
    }

    /// Connections open now.
    pub fn open(&self) -> usize {
        self.most - self.places.available_permits()
    }

    pub(super) fn place(&self) -> Option<OwnedSemaphorePermit> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        self.counts.accepted.one_more();
        Some(place)
    }

    pub(super) fn place_to_be_told(&self) -> Option<OwnedSemaphorePermit> {
        self.counts.turned_away.one_more();
        Arc::clone(&self.away).try_acquire_owned().ok()
    }
}

impl Counts {
    /// Counts how a connection broke, where that was our doing.
    pub(super) fn broke(&self, error: &hyper::Error) {
        if error.is_parse_too_large() {
            self.head_too_large.one_more();
        } else if error.is_parse() {
            self.malformed.one_more();
        } else {
            match Silence::behind(error) {
                Some(Silence::Head) => self.head_timeout.one_more(),
                Some(Silence::Answer) => self.stalled.one_more(),
                Some(Silence::Between) | None => {}
            }
        }
    }
}
