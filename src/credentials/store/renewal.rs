//! New credentials before their time: a service has refused the ones at hand. However many
//! requests were refused, one load serves them all, and a service that refuses everything makes
//! no more than one every half minute.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::credentials::store::Store;
use crate::sigv4::SigningCredentials;

/// Forced loads are at least this far apart.
const GAP: Duration = Duration::from_secs(30);
/// How long a refused request waits: STS takes half a second, a new login takes longer than anybody
/// waits.
const PATIENCE: Duration = Duration::from_secs(5);

/// The last load that was forced.
#[derive(Debug)]
pub(super) struct Forced {
    /// Counted from the store's first.
    pub(super) load: u64,
    at: Instant,
}

impl Store {
    /// Credentials other than `refused`, which a service did not take: at once where there are
    /// some by now, else by a load for all who ask; none where that brings nothing new within 5 s
    /// or was tried within the last 30 s.
    pub async fn renew(&self, refused: &SigningCredentials) -> Option<Arc<SigningCredentials>> {
        let deadline = Instant::now() + PATIENCE;
        let mut loads = self.0.loads.subscribe();
        if let Some(other) = self.other_than(refused) {
            return Some(other);
        }
        let load = self.force()?;
        loop {
            let ended = *loads.borrow_and_update();
            if let Some(other) = self.other_than(refused) {
                return Some(other);
            }
            if ended >= load {
                return None;
            }
            timeout_at(deadline, loads.changed()).await.ok()?.ok()?;
        }
    }

    pub(super) fn other_than(
        &self,
        refused: &SigningCredentials,
    ) -> Option<Arc<SigningCredentials>> {
        let current = self.0.current.load();
        let credentials = &current.as_ref()?.credentials;
        (!credentials.are_the_same_as(refused)).then(|| Arc::clone(credentials))
    }

    /// Which load to wait for: one that begins from now on.
    fn force(&self) -> Option<u64> {
        let mut forced = self.0.forced.lock().expect("nothing panics while it is held");
        match forced.as_ref() {
            Some(forced) if forced.load > *self.0.loads.borrow() => return Some(forced.load),
            Some(forced) if forced.at.elapsed() < GAP => return None,
            _ => {}
        }
        let load = self.0.begun.load(Ordering::Relaxed) + 1;
        *forced = Some(Forced { load, at: Instant::now() });
        self.0.nudge.notify_one();
        Some(load)
    }

    /// A load is wanted that has not begun.
    pub(super) fn is_forced(&self) -> bool {
        let forced = self.0.forced.lock().expect("nothing panics while it is held");
        forced.as_ref().is_some_and(|forced| forced.load > self.0.begun.load(Ordering::Relaxed))
    }

    /// What a load under way has brought will do for those who wait for the next.
    pub(super) fn settle_forced(&self) {
        let mut forced = self.0.forced.lock().expect("nothing panics while it is held");
        if let Some(forced) = forced.as_mut() {
            forced.load = forced.load.min(self.0.begun.load(Ordering::Relaxed));
        }
    }
}
