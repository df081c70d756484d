//! Log lines that a flood would make by the thousand: one a second, and how many were left out.
//! A log that takes longer than the answers would make an overload worse.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Between two lines.
const PAUSE: Duration = Duration::from_secs(1);

/// Lines of one kind.
#[derive(Debug)]
pub(super) struct Flood {
    began: Instant,
    /// When the next line is due, in milliseconds since it began.
    due: AtomicU64,
    left_out: AtomicU64,
}

impl Flood {
    /// The first line is due at once.
    pub(super) fn new(began: Instant) -> Self {
        Self { began, due: AtomicU64::new(0), left_out: AtomicU64::new(0) }
    }

    /// How many lines were left out before this one; none where it is left out itself.
    pub(super) fn line(&self, now: Instant) -> Option<u64> {
        let now = now.saturating_duration_since(self.began).as_millis() as u64;
        let due = self.due.load(Ordering::Relaxed);
        let next = now + PAUSE.as_millis() as u64;
        let first = now >= due
            && self.due.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if first {
            return Some(self.left_out.swap(0, Ordering::Relaxed));
        }
        self.left_out.fetch_add(1, Ordering::Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_second_says_how_many_were_left_out() {
        let began = Instant::now();
        let flood = Flood::new(began);
        let line = |milliseconds| flood.line(began + Duration::from_millis(milliseconds));
        assert_eq!(line(0), Some(0));
        assert_eq!([line(1), line(500), line(999)], [None, None, None]);
        assert_eq!(line(1000), Some(3));
        assert_eq!(line(1001), None);
        assert_eq!(line(60_000), Some(1));
        assert_eq!(line(120_000), Some(0));
    }
}
