//! Whether a target could be reached lately. Where no packet comes back from one, finding that out
//! takes the whole connect time-out: no request of a split shall wait for what is known already.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::net::{ConnectError, Lookout};

/// How long a target that could not be reached is left alone: twice the usual connect time-out.
const REST: Duration = Duration::from_secs(10);

/// When a target could not be reached last, if it has not been since.
#[derive(Debug)]
pub(super) struct Reach {
    /// The target's name.
    name: String,
    born: Instant,
    /// Milliseconds after it was born, from 1 on; 0: nothing is known against it.
    missed: AtomicU64,
    /// The same of its last answer.
    answered: AtomicU64,
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
        Self { name, born, missed: AtomicU64::new(0), answered: AtomicU64::new(0) }
    }

    /// What is known of it. One that asks after a rest is told to try, and no other before the next.
    pub(super) fn look(&self) -> Outlook {
        match self.missed.load(Ordering::Relaxed) {
            0 => Outlook::Good,
            missed => self.look_at(missed, Instant::now()),
        }
    }

    fn look_at(&self, missed: u64, now: Instant) -> Outlook {
        let now = self.moment(now);
        let relaxed = Ordering::Relaxed;
        let is_first = || self.missed.compare_exchange(missed, now, relaxed, relaxed).is_ok();
        if now.saturating_sub(missed) >= REST.as_millis() as u64 && is_first() {
            Outlook::Due
        } else {
            Outlook::Bad
        }
    }

    /// It has answered a request.
    pub(super) fn answered(&self, at: Instant) {
        self.answered.store(self.moment(at), Ordering::Relaxed);
        self.reached();
    }

    /// It could not be reached by a connection that began at this time; true where that is news. One
    /// that has answered since then is slow to take more, and no worse.
    fn note_missed(&self, began: Instant, now: Instant) -> bool {
        let answered = self.answered.load(Ordering::Relaxed);
        let has_answered = answered != 0 && answered >= self.moment(began);
        !has_answered && self.missed.swap(self.moment(now), Ordering::Relaxed) == 0
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

    fn missed(&self, why: &ConnectError, began: Instant) {
        if self.note_missed(began, Instant::now()) {
            tracing::warn!(target_name = self.name, error = %why, "a target cannot be reached");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(born: Instant) -> Reach {
        Reach::new("orders".to_owned(), born)
    }

    fn look(reach: &Reach, now: Instant) -> Outlook {
        match reach.missed.load(Ordering::Relaxed) {
            0 => reach.look(),
            missed => reach.look_at(missed, now),
        }
    }

    #[test]
    fn a_target_that_was_missed_rests_and_is_then_tried_once() {
        let born = Instant::now();
        let reach = reach(born);
        assert_eq!(look(&reach, born), Outlook::Good);
        assert!(reach.note_missed(born, born), "the first time is news");
        assert!(!reach.note_missed(born, born));
        assert_eq!(look(&reach, born + REST / 2), Outlook::Bad);
        let later = born + REST + REST / 10;
        assert_eq!(look(&reach, later), Outlook::Due);
        assert_eq!(look(&reach, later), Outlook::Bad, "a connection is on its way");
        assert_eq!(look(&reach, later + REST), Outlook::Due, "which has never come");
    }

    #[test]
    fn a_target_that_was_reached_is_as_good_as_any() {
        let born = Instant::now();
        let reach = reach(born);
        assert!(!reach.note_reached(), "nobody doubted it");
        reach.note_missed(born + REST, born + REST);
        assert_eq!(look(&reach, born + REST), Outlook::Bad);
        assert!(reach.note_reached());
        assert_eq!(look(&reach, born + REST), Outlook::Good);
        assert!(!reach.note_reached());
    }

    #[test]
    fn a_target_that_answers_is_not_put_out_by_a_connection_that_does_not_come_about() {
        let born = Instant::now();
        let reach = reach(born);
        let (began, answered, failed) = (born + REST, born + REST + REST / 10, born + REST * 2);
        reach.answered(answered);
        assert!(!reach.note_missed(began, failed));
        assert_eq!(look(&reach, failed), Outlook::Good);
        assert!(reach.note_missed(failed, failed + REST), "the last answer was before it began");
        reach.answered(failed + REST);
        assert_eq!(look(&reach, failed + REST), Outlook::Good);
    }
}
