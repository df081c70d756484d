//! Room for all bodies held at once, by their bytes: so many clients, so large bodies, and never
//! more memory than `limits.buffered_bodies`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::proxy::limit::Full;
use crate::proxy::rejection::Rejection;

/// The budget is counted in these.
const UNIT: u64 = 1024;
/// What a body of unknown length takes from the budget at a time.
pub(super) const STEP: u64 = 256 * 1024;
/// How long a body waits for room in the budget.
const ROOM_WAIT: Duration = Duration::from_secs(1);

/// The room that is left. All configurations share one, so that bodies held under an old one
/// count on.
#[derive(Clone, Debug)]
pub(in crate::proxy) struct Budget {
    room: Arc<Semaphore>,
    units: Arc<AtomicU32>,
}

/// A body's share of the room, given back when it is dropped.
pub(super) type Share = OwnedSemaphorePermit;

impl Budget {
    /// Room for so many bytes.
    pub(in crate::proxy) fn new(bytes: u64) -> Self {
        let units = units(bytes);
        let room = Arc::new(Semaphore::new(units as usize));
        Self { room, units: Arc::new(AtomicU32::new(units)) }
    }

    /// Makes it room for so many bytes. What is held beyond them is not given to others when it
    /// is released.
    pub(in crate::proxy) fn resize(&self, bytes: u64) {
        let after = units(bytes);
        let before = self.units.swap(after, Ordering::Relaxed);
        self.room.add_permits(after.saturating_sub(before) as usize);
        let less = before.saturating_sub(after);
        let free = self.room.forget_permits(less as usize);
        let held = less.saturating_sub(u32::try_from(free).unwrap_or(less));
        if held > 0 {
            let room = Arc::clone(&self.room);
            tokio::spawn(async move { room.acquire_many(held).await.map(|share| share.forget()) });
        }
    }

    /// Room for a body whose length is known: waits a moment for it.
    pub(super) async fn reserve(&self, bytes: u64) -> Result<Share, Rejection> {
        // One body larger than the whole budget may have all of it.
        let wanted = units(bytes).min(self.units.load(Ordering::Relaxed));
        if let Ok(share) = Arc::clone(&self.room).try_acquire_many_owned(wanted) {
            return Ok(share); // nearly always
        }
        let room = Arc::clone(&self.room).acquire_many_owned(wanted);
        match timeout(ROOM_WAIT, room).await {
            Ok(Ok(share)) => Ok(share),
            _ => Err(Rejection::Overloaded(Full::Bodies)),
        }
    }

    /// Room for the next step of a body whose length is not known. It does not wait: two such
    /// bodies could wait for each other.
    pub(super) fn step(&self) -> Result<Share, Rejection> {
        let wanted = units(STEP).min(self.units.load(Ordering::Relaxed));
        let room = Arc::clone(&self.room).try_acquire_many_owned(wanted);
        room.map_err(|_| Rejection::Overloaded(Full::Bodies))
    }
}

/// The bytes of a share.
pub(super) fn bytes(share: &Share) -> u64 {
    share.num_permits() as u64 * UNIT
}

fn units(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX >> 3)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_was_held_before_it_grew_or_shrank_counts_on() {
        let budget = Budget::new(100 * UNIT);
        let held = budget.reserve(80 * UNIT).await.unwrap();
        budget.resize(110 * UNIT);
        assert!(budget.reserve(31 * UNIT).await.is_err());
        assert!(budget.reserve(30 * UNIT).await.is_ok());
        budget.resize(50 * UNIT);
        assert!(budget.reserve(1).await.is_err(), "more is held than there is room now");
        drop(held);
        let all = budget.reserve(60 * UNIT).await.unwrap();
        assert!(budget.reserve(1).await.is_err(), "that was all");
        drop(all);
        budget.resize(60 * UNIT);
        let half = budget.reserve(50 * UNIT).await.unwrap();
        assert!(budget.reserve(10 * UNIT).await.is_ok());
        budget.resize(20 * UNIT);
        budget.resize(70 * UNIT); // before the first 30 are given back
        assert!(budget.reserve(20 * UNIT).await.is_ok());
        drop(half);
        assert!(budget.reserve(70 * UNIT).await.is_ok());
        assert!(budget.step().is_ok());
    }
}
