//! The tasks that keep credentials fresh, one a store, over reloads.

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::credentials::{Store, Stores};

/// The stores that are being kept fresh.
#[derive(Debug, Default)]
pub(super) struct Refreshers {
    running: Vec<(Store, CancellationToken)>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Refreshers {
    /// None yet; all end with `stop`.
    pub(super) fn new(stop: CancellationToken) -> Self {
        Self { running: Vec::new(), tasks: TaskTracker::new(), stop }
    }

    /// Keeps these fresh too.
    pub(super) fn add(&mut self, stores: &Stores) {
        for store in stores.all() {
            if self.running.iter().all(|(running, _)| !running.is(store)) {
                let stop = self.stop.child_token();
                self.tasks.spawn(store.clone().run(stop.clone()));
                self.running.push((store.clone(), stop));
            }
        }
    }

    /// Stops asking for those that nobody needs any more.
    pub(super) fn leave_only(&mut self, stores: &Stores) {
        self.running.retain(|(running, stop)| {
            let needed = stores.all().any(|store| store.is(running));
            if !needed {
                stop.cancel();
            }
            needed
        });
    }
}
