//! The body of a target's answer, whose beginning may be looked at before it goes on, and of which
//! a copy may be taken: it passes as it came, and no more than the beginning is ever held.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use crate::net::Received;
use crate::proxy::body::SentBody;
use crate::proxy::upstream::copy::{Copied, Copying};

/// The service's error bodies have some hundred bytes.
const LOOK_BYTES: usize = 4 * 1024;
/// They come with their head.
const LOOK_TIME: Duration = Duration::from_secs(1);
/// What is read of an answer that nobody gets, so that its connection can be kept.
const DRAIN_BYTES: usize = 64 * 1024;

/// The body of a target's answer.
#[derive(Debug)]
pub struct TargetBody {
    /// What was looked at and has to go first.
    seen: VecDeque<Result<Frame<Bytes>, hyper::Error>>,
    rest: Received<SentBody>,
    copying: Option<Box<Copying>>,
}

impl TargetBody {
    pub(super) fn new(rest: Received<SentBody>) -> Self {
        Self { seen: VecDeque::new(), rest, copying: None }
    }

    /// A copy of it once it has passed whole; nothing where it breaks off or is too large.
    pub(in crate::proxy) fn copy(&mut self, so_far: Copied) -> oneshot::Receiver<Copied> {
        let (to, copied) = oneshot::channel();
        self.copying = Some(Box::new(Copying::new(so_far, to)));
        copied
    }

    fn copied(&mut self, passed: &Poll<Option<Result<Frame<Bytes>, hyper::Error>>>) {
        let Some(copying) = self.copying.take() else { return };
        match passed {
            Poll::Ready(None) => copying.finish(),
            Poll::Ready(Some(Err(_))) => {}
            Poll::Ready(Some(Ok(frame))) => {
                self.copying = match frame.data_ref() {
                    Some(data) => copying.add(data),
                    None => Some(copying),
                };
            }
            Poll::Pending => self.copying = Some(copying),
        }
    }

    /// Its first bytes: 4 KiB or all of it, or what came within a second.
    pub(super) async fn beginning(&mut self) -> Vec<u8> {
        let deadline = Instant::now() + LOOK_TIME;
        let mut beginning = Vec::new();
        while beginning.len() < LOOK_BYTES {
            let Ok(Some(frame)) = timeout_at(deadline, self.rest.frame()).await else { break };
            if let Some(data) = frame.as_ref().ok().and_then(Frame::data_ref) {
                let room = LOOK_BYTES - beginning.len();
                beginning.extend_from_slice(&data[..data.len().min(room)]);
            }
            let broken = frame.is_err();
            self.seen.push_back(frame);
            if broken {
                break;
            }
        }
        beginning
    }

    /// Reads what is left of an answer that nobody gets, if it is little.
    pub(super) async fn drain(mut self) {
        let mut left = DRAIN_BYTES;
        while let Some(Ok(frame)) = self.rest.frame().await {
            match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    }
}

impl Body for TargetBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let passed = match self.seen.pop_front() {
            Some(frame) => Poll::Ready(Some(frame)),
            None => Pin::new(&mut self.rest).poll_frame(cx),
        };
        if self.copying.is_some() {
            self.copied(&passed);
        }
        passed
    }

    fn is_end_stream(&self) -> bool {
        self.seen.is_empty() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.size_hint();
        if self.seen.is_empty() {
            return rest;
        }
        let data = |frame: &Result<Frame<Bytes>, _>| {
            frame.as_ref().ok().and_then(Frame::data_ref).map_or(0, Bytes::len) as u64
        };
        let seen: u64 = self.seen.iter().map(data).sum();
        let mut whole = SizeHint::new();
        whole.set_lower(rest.lower() + seen);
        if let Some(upper) = rest.upper() {
            whole.set_upper(upper + seen);
        }
        whole
    }
}

impl Drop for TargetBody {
    fn drop(&mut self) {
        if self.copying.is_some() && self.is_end_stream() {
            self.copied(&Poll::Ready(None)); // hyper does not ask past the last byte of a known length
        }
    }
}
