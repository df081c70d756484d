//! The connections of all pools, counted together: they share the process's descriptors with its
//! clients. One too many closes the one that has rested longest, whichever pool it is in.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};

use tokio::time::Instant;

/// How many connections are open, and where there are some to spare.
#[derive(Debug)]
pub(super) struct Census {
    most: usize,
    open: AtomicUsize,
    pools: Mutex<Vec<Weak<dyn Evictable>>>,
}

/// A pool, as far as its connections without a request go.
pub(super) trait Evictable: Send + Sync {
    /// Since when the oldest of them rests.
    fn oldest(&self) -> Option<Instant>;
    /// Closes that one.
    fn close_oldest(&self);
}

/// A connection, counted until this is dropped.
#[derive(Debug)]
pub(super) struct Place(Arc<Census>);

impl Census {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, open: AtomicUsize::new(0), pools: Mutex::default() })
    }

    pub(super) fn add(&self, pool: Weak<dyn Evictable>) {
        let mut pools = self.pools.lock().expect("nothing panics while it is held");
        pools.retain(|pool| pool.strong_count() > 0);
        pools.push(pool);
    }

    /// Room for another one. It is there in any case: requests have bounds of their own.
    pub(super) fn enter(self: &Arc<Self>) -> Place {
        if self.open.fetch_add(1, Ordering::Relaxed) >= self.most {
            self.close_oldest();
        }
        Place(Arc::clone(self))
    }

    /// Whether there are too many: then none is kept, or opened for requests to come.
    pub(super) fn is_over(&self) -> bool {
        self.open.load(Ordering::Relaxed) > self.most
    }

    fn close_oldest(&self) {
        let pools = self.pools.lock().expect("nothing panics while it is held");
        let pools = pools.iter().filter_map(Weak::upgrade);
        let resting = pools.filter_map(|pool| Some((pool.oldest()?, pool)));
        if let Some((_, pool)) = resting.min_by_key(|(since, _)| *since) {
            pool.close_oldest();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}
