//! Whether a target could be reached lately. Where no packet comes back from one, finding that out
//! takes the whole connect time-out: no request of a split shall wait for what is known already.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::net::{ConnectError, Lookout};

/// How long a target that could not be reached is left alone: twice the connect time-out.
const REST: Duration = Duration::from_secs(10);

/// When a target could not be reached last, if it has not been since.
#[derive(Debug)]
pub(super) struct Reach {
    /// The target's name.
    name: String,
    born: Instant,
    /// Milliseconds after it was born, from 1 on; 0: nothing is known against it.
    missed: AtomicU64,
}

/// What a request has to expect of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outlook {
    /// Nothing is known against it.
    Good,
    /// It could not be reached.
    Bad,
    /// It could not, and it is time to open another connection.
    Due,
}

impl Reach {
    pub(super) fn new(name: String, born: Instant) -> Self {
        Self { name, born, missed: AtomicU64::new(0) }
    }

    /// What is known of it. One that asks after a rest is told to try, and no other before the next.
    pub(super) fn look(&self, now: Instant) -> Outlook {
        let missed = self.missed.load(Ordering::Relaxed);
        if missed == 0 {
            return Outlook::Good;
        }
        let now = self.moment(now);
        let relaxed = Ordering::Relaxed;
        let is_first = || self.missed.compare_exchange(missed, now, relaxed, relaxed).is_ok();
        if now.saturating_sub(missed) >= REST.as_millis() as u64 && is_first() {
            Outlook::Due
        } else {
            Outlook::Bad
        }
    }

    /// It could not be reached; true where that is news.
    fn note_missed(&self, now: Instant) -> bool {
        self.missed.swap(self.moment(now), Ordering::Relaxed) == 0
    }

    /// It was reached; true where that is news.
    fn note_reached(&self) -> bool {
        self.missed.load(Ordering::Relaxed) != 0 && self.missed.swap(0, Ordering::Relaxed) != 0
    }

    fn moment(&self, now: Instant) -> u64 {
        // No process lives for 500 million years.
        let since = now.saturating_duration_since(self.born).as_millis();
        u64::try_from(since).unwrap_or(u64::MAX).max(1)
    }
}

impl Lookout for Reach {
    fn reached(&self) {
        if self.note_reached() {
            tracing::info!(target_name = self.name, "a target can be reached again");
        }
    }

    fn missed(&self, why: &ConnectError) {
        if self.note_missed(Instant::now()) {
            tracing::warn!(
                target_name = self.name,
                error = %why,
                hint = "where a split has other targets, they get its requests until a connection \
                        can be opened, which is tried every 10 s",
                "a target cannot be reached"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(born: Instant) -> Reach {
        Reach::new("orders".to_owned(), born)
    }

    #[test]
    fn a_target_that_was_missed_rests_and_is_then_tried_once() {
        let born = Instant::now();
        let reach = reach(born);
        assert_eq!(reach.look(born), Outlook::Good);
        assert!(reach.note_missed(born), "the first time is news");
        assert!(!reach.note_missed(born));
        assert_eq!(reach.look(born + REST / 2), Outlook::Bad);
        let later = born + REST + REST / 10;
        assert_eq!(reach.look(later), Outlook::Due);
        assert_eq!(reach.look(later), Outlook::Bad, "a connection is on its way");
        assert_eq!(reach.look(later + REST), Outlook::Due, "which has never come");
    }

    #[test]
    fn a_target_that_was_reached_is_as_good_as_any() {
        let born = Instant::now();
        let reach = reach(born);
        assert!(!reach.note_reached(), "nobody doubted it");
        reach.note_missed(born + REST);
        assert_eq!(reach.look(born + REST), Outlook::Bad);
        assert!(reach.note_reached());
        assert_eq!(reach.look(born + REST), Outlook::Good);
        assert!(!reach.note_reached());
    }
}
