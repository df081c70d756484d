//! Whether a target could be reached lately. Where no packet comes back from one, finding that out
//! takes the whole connect time-out: not every request of a split shall wait for it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long a target that could not be reached is tried last: twice the connect time-out, after
/// which one request tries it again.
pub(super) const REST: Duration = Duration::from_secs(10);

/// When a target could not be reached last, if it has not been since.
#[derive(Debug)]
pub(super) struct Reach {
    born: Instant,
    /// Milliseconds after it was born, from 1 on; 0: nothing is known against it.
    missed: AtomicU64,
}

impl Reach {
    pub(super) fn new(born: Instant) -> Self {
        Self { born, missed: AtomicU64::new(0) }
    }

    /// Whether a request is to be sent there rather than elsewhere. After a rest, one request is
    /// told so, and no other before the next.
    pub(super) fn is_hopeful(&self, now: Instant) -> bool {
        let missed = self.missed.load(Ordering::Relaxed);
        if missed == 0 {
            return true;
        }
        let now = self.moment(now);
        let relaxed = Ordering::Relaxed;
        let is_first = || self.missed.compare_exchange(missed, now, relaxed, relaxed).is_ok();
        now.saturating_sub(missed) >= REST.as_millis() as u64 && is_first()
    }

    /// It could not be reached; true where that is news.
    pub(super) fn missed(&self, now: Instant) -> bool {
        self.missed.swap(self.moment(now), Ordering::Relaxed) == 0
    }

    /// It was reached; true where that is news.
    pub(super) fn reached(&self) -> bool {
        self.missed.load(Ordering::Relaxed) != 0 && self.missed.swap(0, Ordering::Relaxed) != 0
    }

    fn moment(&self, now: Instant) -> u64 {
        // No process lives for 500 million years.
        let since = now.saturating_duration_since(self.born).as_millis();
        u64::try_from(since).unwrap_or(u64::MAX).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_that_was_missed_rests_and_then_one_request_tries_it() {
        let born = Instant::now();
        let reach = Reach::new(born);
        assert!(reach.is_hopeful(born));
        assert!(reach.missed(born), "the first time is news");
        assert!(!reach.missed(born));
        assert!(!reach.is_hopeful(born + REST / 2));
        let later = born + REST + REST / 10;
        assert!(reach.is_hopeful(later));
        assert!(!reach.is_hopeful(later), "another one is on its way");
        assert!(reach.is_hopeful(later + REST), "which has never come back");
    }

    #[test]
    fn a_target_that_was_reached_is_as_good_as_any() {
        let born = Instant::now();
        let reach = Reach::new(born);
        assert!(!reach.reached(), "nobody doubted it");
        reach.missed(born + REST);
        assert!(!reach.is_hopeful(born + REST));
        assert!(reach.reached());
        assert!(reach.is_hopeful(born + REST) && !reach.reached());
    }
}
