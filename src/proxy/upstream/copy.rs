//! A copy of a body, taken frame by frame while it passes. Whoever waits for the body is not slowed:
//! a large frame is shared, and a copy that grows past its bounds is given up.

use bytes::{Bytes, BytesMut};
use tokio::sync::oneshot;

use crate::proxy::limit::{Room, Taken};

/// Frames this large are shared; smaller ones are joined, for a frame keeps the whole buffer that
/// it was read into.
const FRAME_SHARED: usize = 16 * 1024;

/// A body so far.
#[derive(Debug)]
pub(in crate::proxy) struct Copied {
    frames: Vec<Bytes>,
    tail: BytesMut,
    length: usize,
    most: usize,
    taken: Taken,
}

impl Copied {
    /// Nothing yet, and `most` bytes in the end, which are taken from `room`.
    pub(in crate::proxy) fn new(most: usize, room: &Room) -> Self {
        let (frames, tail) = (Vec::new(), BytesMut::new());
        Self { frames, tail, length: 0, most, taken: room.nothing() }
    }

    /// Adds a frame; false where it is too much.
    pub(in crate::proxy) fn add(&mut self, frame: &Bytes) -> bool {
        self.length += frame.len();
        if self.length > self.most || !self.taken.grow(frame.len() as u64) {
            return false;
        }
        if frame.len() >= FRAME_SHARED {
            self.close_tail();
            self.frames.push(frame.clone());
        } else {
            self.tail.extend_from_slice(frame);
        }
        true
    }

    fn close_tail(&mut self) {
        if !self.tail.is_empty() {
            self.frames.push(self.tail.split().freeze());
        }
    }

    /// How many bytes it has.
    pub(in crate::proxy) fn length(&self) -> usize {
        self.length
    }

    /// The body in one piece.
    pub(in crate::proxy) fn joined(mut self) -> Bytes {
        self.close_tail();
        match self.frames.as_slice() {
            [] => Bytes::new(),
            [only] => only.clone(),
            frames => Bytes::from(frames.concat()),
        }
    }
}

/// A copy in the making. Who is to have it gets nothing where the body breaks off or is too large.
#[derive(Debug)]
pub(super) struct Copying {
    so_far: Copied,
    to: oneshot::Sender<Copied>,
}

impl Copying {
    pub(super) fn new(so_far: Copied, to: oneshot::Sender<Copied>) -> Self {
        Self { so_far, to }
    }

    /// Adds a frame; none where that was too much, or nobody waits for it any more.
    pub(super) fn add(mut self: Box<Self>, frame: &Bytes) -> Option<Box<Self>> {
        (!self.to.is_closed() && self.so_far.add(frame)).then_some(self)
    }

    /// The body is whole.
    pub(super) fn finish(self) {
        let _ = self.to.send(self.so_far); // nobody may want it any more
    }
}

#[cfg(test)]
mod tests {
    use super::{Bytes, Copied, FRAME_SHARED, Room};

    #[test]
    fn a_copy_is_what_passed_and_shares_large_frames() {
        let room = Room::of(1 << 20, None);
        let mut copied = Copied::new(1 << 20, &room);
        let large = Bytes::from(vec![b'x'; FRAME_SHARED]);
        for frame in [&Bytes::from_static(b"a"), &Bytes::from_static(b"b"), &large, &large] {
            assert!(copied.add(frame));
        }
        assert!(copied.add(&Bytes::from_static(b"c")));
        assert_eq!(copied.frames.len(), 3);
        assert_eq!(copied.frames[1].as_ptr(), large.as_ptr());
        assert_eq!(copied.length(), 3 + 2 * FRAME_SHARED);
        let expected = [b"ab", &large[..], &large[..], b"c"].concat();
        assert_eq!(copied.joined(), expected);
    }

    #[test]
    fn a_copy_ends_at_its_own_bound_and_at_that_of_all() {
        let room = Room::of(10, None);
        let (mut small, mut other) = (Copied::new(4, &room), Copied::new(100, &room));
        let frame = Bytes::from_static(b"abc");
        assert!(small.add(&frame) && !small.add(&frame));
        assert!(other.add(&frame) && other.add(&frame) && !other.add(&frame));
        drop(small);
        assert!(other.add(&frame));
    }
}
