//! Room for bytes that somebody may keep for a while, but not without end. Like all bounds here, it
//! is taken at once or not at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A bound on bytes. Rooms of several configurations may share one count, each with a bound of its
/// own.
#[derive(Clone, Debug)]
pub(in crate::proxy) struct Room {
    taken: Arc<AtomicU64>,
    most: u64,
}

/// Bytes of the room, given back when they are dropped.
#[derive(Debug)]
pub(in crate::proxy) struct Taken {
    room: Room,
    bytes: u64,
}

impl Room {
    /// Room for so many bytes; what was taken `before` counts on.
    pub(in crate::proxy) fn of(most: u64, before: Option<&Self>) -> Self {
        let taken = before.map(|before| Arc::clone(&before.taken)).unwrap_or_default();
        Self { taken, most }
    }

    /// So many of its bytes, if there are that many left.
    pub(in crate::proxy) fn take(&self, bytes: u64) -> Option<Taken> {
        let mut taken = self.nothing();
        taken.grow(bytes).then_some(taken)
    }

    /// None of its bytes yet.
    pub(in crate::proxy) fn nothing(&self) -> Taken {
        Taken { room: self.clone(), bytes: 0 }
    }
}

impl Taken {
    /// Takes more; false where there is not that much.
    pub(in crate::proxy) fn grow(&mut self, bytes: u64) -> bool {
        let most = self.room.most;
        let more = |taken: u64| taken.checked_add(bytes).filter(|taken| *taken <= most);
        let count = &self.room.taken;
        let grown = count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok();
        if grown {
            self.bytes += bytes;
        }
        grown
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.room.taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::Room;

    #[test]
    fn gives_no_more_than_there_is_and_takes_it_back() {
        let room = Room::of(10, None);
        let mut first = room.take(4).unwrap();
        assert!(room.take(7).is_none());
        let second = room.take(6).unwrap();
        assert!(!first.grow(1) && room.take(u64::MAX).is_none());
        drop(second);
        assert!(first.grow(6) && room.take(1).is_none());
        let wider = Room::of(12, Some(&room));
        assert!(wider.take(3).is_none() && wider.take(2).is_some());
        drop(first);
        assert!(room.take(10).is_some());
    }
}
