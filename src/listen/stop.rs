//! How listeners end, in three steps: answers say that they are their connection's last, so that
//! clients go by themselves; nobody is let in any more; what is still under way is cut off.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio_util::sync::CancellationToken;

/// The end of one or more listeners; each step includes those before it.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<Steps>);

#[derive(Debug, Default)]
struct Steps {
    announced: AtomicBool,
    closing: CancellationToken,
    cutting: CancellationToken,
    cut_off: AtomicUsize,
}

impl Stop {
    /// From now on each answer says `Connection: close`.
    pub fn announce(&self) {
        self.0.announced.store(true, Ordering::Relaxed);
    }

    /// Closes the listeners and the connections that wait for a request.
    pub fn close(&self) {
        self.announce();
        self.0.closing.cancel();
    }

    /// Ends the other connections too, in the middle of their requests.
    pub fn cut(&self) {
        self.close();
        self.0.cutting.cancel();
    }

    /// How many requests that has hit so far.
    pub fn cut_off(&self) -> usize {
        self.0.cut_off.load(Ordering::Relaxed)
    }

    pub(super) fn is_cutting(&self) -> bool {
        self.0.cutting.is_cancelled()
    }

    pub(super) fn is_announced(&self) -> bool {
        self.0.announced.load(Ordering::Relaxed)
    }

    pub(super) async fn closed(&self) {
        self.0.closing.cancelled().await;
    }

    pub(super) async fn cutting(&self) {
        self.0.cutting.cancelled().await;
    }

    pub(super) fn one_cut_off(&self) {
        self.0.cut_off.fetch_add(1, Ordering::Relaxed);
    }
}
