//! The time of day as an argument: whoever signs or judges an expiry is handed a [`Clock`], so
//! that a test can stand at midnight UTC or ten minutes past an expiry.
//!
//! AWS judges signatures and expiries by its own clock. Where the machine's is off, what was
//! learnt of that is kept here, and every clone goes right from then on.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

/// A source of wall-clock time.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    source: Source,
    /// Seconds that the source is behind.
    offset: Arc<AtomicI64>,
}

#[derive(Clone, Debug, Default)]
enum Source {
    #[default]
    System,
    Set(Arc<AtomicU64>),
}

/// One look at a clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The time, corrected.
    pub time: SystemTime,
    /// The seconds by which it was corrected.
    pub offset: i64,
}

impl Clock {
    /// The machine's own clock.
    pub fn system() -> Self {
        Self::default()
    }

    /// A clock that stands still at `time`, to the second, until [`Clock::advance`] moves it.
    pub fn set_to(time: SystemTime) -> Self {
        let seconds = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        Self { source: Source::Set(Arc::new(AtomicU64::new(seconds))), offset: Arc::default() }
    }

    /// The time now.
    pub fn now(&self) -> SystemTime {
        self.look().time
    }

    /// The time now, and by how much it is corrected.
    pub fn look(&self) -> Moment {
        let offset = self.offset();
        let time = self.uncorrected();
        let distance = Duration::from_secs(offset.unsigned_abs());
        let corrected =
            if offset < 0 { time.checked_sub(distance) } else { time.checked_add(distance) };
        match corrected {
            Some(time) => Moment { time, offset },
            None => Moment { time, offset: 0 },
        }
    }

    #[allow(clippy::disallowed_methods)] // the one place that asks the machine
    fn uncorrected(&self) -> SystemTime {
        match &self.source {
            Source::System => SystemTime::now(),
            Source::Set(seconds) => {
                SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.load(Ordering::Relaxed))
            }
        }
    }

    /// The seconds by which the time is corrected: more than 0 where the machine is behind.
    pub fn offset(&self) -> i64 {
        self.offset.load(Ordering::Relaxed)
    }

    /// Corrects the time by `seconds`, for every clone; gives the correction before.
    pub fn correct(&self, seconds: i64) -> i64 {
        self.offset.swap(seconds, Ordering::Relaxed)
    }

    /// Moves a clock that was set forward, for every clone of it; the system's clock stays.
    pub fn advance(&self, by: Duration) {
        if let Source::Set(seconds) = &self.source {
            seconds.fetch_add(by.as_secs(), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_correction_holds_for_every_clone() {
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let clock = Clock::set_to(start);
        let clone = clock.clone();
        assert_eq!(clock.correct(-600), 0);
        assert_eq!(clone.now(), start - Duration::from_secs(600));
        assert_eq!(clone.correct(90), -600);
        assert_eq!(clock.look(), Moment { time: start + Duration::from_secs(90), offset: 90 });
    }

    #[test]
    fn a_correction_that_no_time_can_take_is_none() {
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
        let clock = Clock::set_to(start);
        clock.correct(i64::MAX);
        assert_eq!(clock.look(), Moment { time: start, offset: 0 });
    }
}
