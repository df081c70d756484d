//! The time of day as an argument: whoever signs or judges an expiry is handed a [`Clock`], so
//! that a test can stand at midnight UTC or ten minutes past an expiry.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

/// A source of wall-clock time.
#[derive(Clone, Debug, Default)]
pub struct Clock(Source);

#[derive(Clone, Debug, Default)]
enum Source {
    #[default]
    System,
    Set(Arc<AtomicU64>),
}

impl Clock {
    /// The machine's own clock.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands still at `time`, to the second, until [`Clock::advance`] moves it.
    pub fn set_to(time: SystemTime) -> Self {
        let seconds = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        Self(Source::Set(Arc::new(AtomicU64::new(seconds))))
    }

    /// The time now.
    #[allow(clippy::disallowed_methods)] // the one place that asks the machine
    pub fn now(&self) -> SystemTime {
        match &self.0 {
            Source::System => SystemTime::now(),
            Source::Set(seconds) => {
                SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.load(Ordering::Relaxed))
            }
        }
    }

    /// Moves a clock that was set forward, for every clone of it; the system's clock stays.
    pub fn advance(&self, by: Duration) {
        if let Source::Set(seconds) = &self.0 {
            seconds.fetch_add(by.as_secs(), Ordering::Relaxed);
        }
    }
}
