//! The request's body: held and hashed within a bound, or passed through.
//!
//! Lambda takes no unsigned payload, so the hash of the whole body precedes the first header
//! byte. Frames are kept as they came; small ones and chunked bodies are joined, so that no
//! body costs many times its size.

mod budget;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{EXPECT, HeaderName};
use http::request::Parts;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use sha2::{Digest, Sha256};
use tokio::time::{Instant, timeout, timeout_at};

use crate::config::{Route, Timeouts};
use crate::listen::{BODY_LINGER, Client, Passing};
use crate::proxy::body::budget::{STEP, Share};
use crate::proxy::rejection::Rejection;
use crate::sigv4::PayloadHash;

pub(super) use budget::Budget;

/// Frames this large are kept as they came; smaller ones are joined in a tail. So are all of a
/// chunked body: a frame keeps the whole buffer that it was read into, and what stands between
/// chunks (sizes with any number of zeros before them) would fill that with bytes nobody counts.
const FRAME_KEPT: usize = 4 * 1024;
/// How large the tail grows before it is kept.
const TAIL: usize = 16 * 1024;
const CONTENT_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");

/// The client's body, until a step takes it.
pub(super) struct Inbound {
    body: Option<Incoming>,
    /// The client waits for `100 Continue`, which hyper sends at the first read.
    awaits_continue: bool,
}

/// What is signed and sent as the body.
#[derive(Debug)]
pub(super) enum Payload {
    /// No bytes at all.
    Empty,
    /// Here, whole; may be sent again.
    Held(Arc<Held>),
    /// Passed on as it comes, once.
    Streamed(Option<Streamed>, PayloadHash),
}

/// A body held in memory, and its share of the budget.
#[derive(Debug)]
pub(super) struct Held {
    frames: Vec<Bytes>,
    length: u64,
    hash: PayloadHash,
    shares: Vec<Share>,
}

impl Held {
    /// Its pieces, in order.
    pub(super) fn frames(&self) -> &[Bytes] {
        &self.frames
    }

    /// Bytes of all of them.
    pub(super) fn length(&self) -> u64 {
        self.length
    }
}

/// A body on its way through.
#[derive(Debug)]
pub(super) struct Streamed {
    body: Incoming,
    silence: Duration,
    timer: Option<Pin<Box<tokio::time::Sleep>>>,
    limit: u64,
    left: u64,
    /// Bytes so far, for who has given it away.
    passed: Arc<AtomicU64>,
    /// None once it has been read to its end.
    passing: Option<Passing>,
}

impl Inbound {
    pub(super) fn new(request: &Parts, body: Incoming) -> Self {
        let awaits_continue = request.headers.contains_key(EXPECT);
        Self { body: Some(body), awaits_continue }
    }

    /// The payload as the route wants it signed.
    ///
    /// # Errors
    ///
    /// Where the body is too large, too slow or broken, or there is no room to hold it.
    pub(super) async fn take(
        &mut self,
        request: &Parts,
        route: &Route,
        bounds: &Bounds<'_>,
    ) -> Result<Payload, Rejection> {
        use crate::config::Payload as As;
        let streamed = match route.payload {
            As::Signed => None,
            As::Unsigned => Some(PayloadHash::unsigned()),
            As::ClientDigest => match request.headers.get(CONTENT_SHA256) {
                None => None,
                Some(digest) => {
                    Some(PayloadHash::parse_client(digest).ok_or(Rejection::InvalidDigest)?)
                }
            },
        };
        match streamed {
            Some(hash) => self.stream(hash, route, bounds.client),
            None if self.is_empty() => Ok(Payload::Empty),
            None => Box::pin(self.hold(route, bounds)).await, // its state is large, and most have none
        }
    }

    fn is_empty(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn stream(
        &mut self,
        hash: PayloadHash,
        route: &Route,
        client: &Client,
    ) -> Result<Payload, Rejection> {
        let limit = route.max_body;
        let body = self.body.as_ref().filter(|body| !body.is_end_stream());
        match body.map(Body::size_hint) {
            None => Ok(Payload::Streamed(None, hash)),
            Some(size) if size.lower() > limit => Err(Rejection::BodyTooLarge { limit }),
            Some(_) => {
                let silence = route.timeouts.body_read;
                let streamed = self.body.take().map(|body| Streamed {
                    body,
                    silence,
                    timer: None,
                    limit,
                    left: limit,
                    passed: Arc::default(),
                    passing: Some(client.pass_on()),
                });
                Ok(Payload::Streamed(streamed, hash))
            }
        }
    }

    async fn hold(&mut self, route: &Route, bounds: &Bounds<'_>) -> Result<Payload, Rejection> {
        let limit = route.max_body;
        let Some(body) = self.body.as_mut() else { return Ok(Payload::Empty) };
        let size = body.size_hint();
        if size.lower() > limit {
            return Err(Rejection::BodyTooLarge { limit });
        }
        let mut holding = Holding::new(bounds.budget, limit);
        if let Some(length) = size.exact() {
            holding.shares.push(bounds.budget.reserve(length).await?);
            holding.room = length;
            holding.kept = FRAME_KEPT;
        }
        self.awaits_continue = false;
        let deadline = Instant::now() + bounds.timeouts.body_total;
        let silence = route.timeouts.body_read;
        while !body.is_end_stream()
            && let Some(frame) = read(body, silence, deadline).await?
        {
            holding.keep(frame)?;
        }
        self.body = None;
        bounds.client.upload().is_read();
        Ok(holding.finish())
    }

    /// Reads what is left of a refused body for a while, so that the connection can go on. Whether
    /// it can.
    pub(super) async fn linger(mut self, client: &Client) -> bool {
        let Some(body) = self.body.as_mut().filter(|body| !body.is_end_stream()) else {
            return true;
        };
        if self.awaits_continue {
            return false; // nothing was sent yet, and nothing shall be
        }
        let all_read = async {
            let mut left = BODY_LINGER.bytes;
            loop {
                match body.frame().await {
                    None => return true,
                    Some(Err(_)) => return false,
                    Some(Ok(frame)) => {
                        let length = frame.data_ref().map_or(0, Bytes::len) as u64;
                        let Some(rest) = left.checked_sub(length) else { return false };
                        left = rest;
                    }
                }
            }
        };
        let all_read = timeout(BODY_LINGER.time, all_read).await.unwrap_or(false);
        client.upload().is_read(); // whoever sends on after that is listened to no longer
        all_read
    }
}

/// What a held body is bounded by, besides its route.
pub(super) struct Bounds<'a> {
    pub(super) budget: &'a Budget,
    pub(super) timeouts: &'a Timeouts,
    pub(super) client: &'a Client,
}

/// The next piece of a body; trailers are dropped, for they cannot be signed.
async fn read(
    body: &mut Incoming,
    silence: Duration,
    deadline: Instant,
) -> Result<Option<Bytes>, Rejection> {
    loop {
        let until = deadline.min(Instant::now() + silence);
        let Ok(frame) = timeout_at(until, body.frame()).await else {
            return Err(Rejection::BodyTimeout);
        };
        match frame.transpose().map_err(Rejection::BodyBroken)? {
            None => return Ok(None),
            Some(frame) => match frame.into_data() {
                Ok(data) => return Ok(Some(data)),
                Err(_trailers) => {}
            },
        }
    }
}

/// A body while it arrives.
struct Holding<'a> {
    budget: &'a Budget,
    limit: u64,
    /// From which length on a frame is kept as it came.
    kept: usize,
    /// Bytes that the shares pay for.
    room: u64,
    shares: Vec<Share>,
    frames: Vec<Bytes>,
    tail: BytesMut,
    length: u64,
    hasher: Sha256,
}

impl<'a> Holding<'a> {
    fn new(budget: &'a Budget, limit: u64) -> Self {
        Self {
            budget,
            limit,
            kept: usize::MAX,
            room: 0,
            shares: Vec::new(),
            frames: Vec::new(),
            tail: BytesMut::new(),
            length: 0,
            hasher: Sha256::new(),
        }
    }

    fn keep(&mut self, frame: Bytes) -> Result<(), Rejection> {
        self.length += frame.len() as u64;
        if self.length > self.limit {
            return Err(Rejection::BodyTooLarge { limit: self.limit });
        }
        while self.room < self.length {
            self.shares.push(self.budget.step()?);
            self.room += STEP;
        }
        self.hasher.update(&frame);
        if frame.len() >= self.kept {
            self.close_tail();
            self.frames.push(frame);
        } else {
            self.join(&frame);
        }
        Ok(())
    }

    fn join(&mut self, mut frame: &[u8]) {
        // The last bytes of a body of known length need no more than themselves.
        let mut expected = self.room.saturating_sub(self.length) as usize + frame.len();
        while !frame.is_empty() {
            if self.tail.len() == self.tail.capacity() {
                self.close_tail();
                self.tail.reserve(expected.clamp(1, TAIL));
            }
            let fits = frame.len().min(self.tail.capacity() - self.tail.len());
            let (now, later) = frame.split_at(fits);
            self.tail.extend_from_slice(now);
            expected -= fits;
            frame = later;
        }
    }

    fn close_tail(&mut self) {
        if !self.tail.is_empty() {
            self.frames.push(std::mem::take(&mut self.tail).freeze());
        }
    }

    fn finish(mut self) -> Payload {
        self.close_tail();
        if self.length == 0 {
            return Payload::Empty;
        }
        Payload::Held(Arc::new(Held {
            frames: self.frames,
            length: self.length,
            hash: PayloadHash::from_digest(self.hasher.finalize().into()),
            shares: self.shares,
        }))
    }
}

impl Payload {
    /// A body that is here whole, outside any budget.
    pub(super) fn whole(body: Bytes) -> Self {
        if body.is_empty() {
            return Self::Empty;
        }
        let hash = PayloadHash::of(&body);
        let length = body.len() as u64;
        Self::Held(Arc::new(Held { frames: vec![body], length, hash, shares: Vec::new() }))
    }

    /// The payload's hash, for the signature.
    pub(super) fn hash(&self) -> PayloadHash {
        match self {
            Self::Empty => PayloadHash::empty(),
            Self::Held(held) => held.hash.clone(),
            Self::Streamed(_, hash) => hash.clone(),
        }
    }

    /// Its length, where it is here whole.
    pub(super) fn held_length(&self) -> Option<u64> {
        match self {
            Self::Empty => Some(0),
            Self::Held(held) => Some(held.length),
            Self::Streamed(..) => None,
        }
    }

    /// What it takes of the budget.
    pub(super) fn share(&self) -> u64 {
        match self {
            Self::Empty | Self::Streamed(..) => 0,
            Self::Held(held) => held.shares.iter().map(budget::bytes).sum(),
        }
    }

    /// The count of its bytes, where they are yet to come.
    pub(super) fn passed(&self) -> Option<Arc<AtomicU64>> {
        match self {
            Self::Streamed(Some(streamed), _) => Some(Arc::clone(&streamed.passed)),
            _ => None,
        }
    }

    /// The body of one send; none where it was streamed and is gone.
    pub(super) fn body(&mut self) -> Option<SentBody> {
        match self {
            Self::Empty | Self::Streamed(None, _) => Some(SentBody::Empty),
            Self::Held(held) => {
                Some(SentBody::Held { held: Arc::clone(held), next: 0, left: held.length })
            }
            Self::Streamed(streamed, _) => {
                let streamed = streamed.take();
                streamed.map(|streamed| SentBody::Streamed(Box::new(streamed)))
            }
        }
    }
}

/// A body on its way to the target.
#[derive(Debug)]
pub(super) enum SentBody {
    Empty,
    Held { held: Arc<Held>, next: usize, left: u64 },
    Streamed(Box<Streamed>),
}

/// Why a streamed body ended early.
#[derive(Debug, thiserror::Error)]
pub(super) enum StreamError {
    #[error("the client was silent for too long")]
    Silent,
    #[error("the body is larger than the route takes")]
    TooLarge { limit: u64 },
    #[error("the client broke off")]
    Broken(#[source] hyper::Error),
}

impl Body for SentBody {
    type Data = Bytes;
    type Error = StreamError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StreamError>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Held { held, next, left } => Poll::Ready(held.frames.get(*next).map(|frame| {
                *next += 1;
                *left -= frame.len() as u64;
                Ok(Frame::data(frame.clone()))
            })),
            Self::Streamed(streamed) => streamed.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Held { left, .. } => *left == 0,
            Self::Streamed(streamed) => streamed.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Held { left, .. } => SizeHint::with_exact(*left),
            Self::Streamed(streamed) => streamed.body.size_hint(),
        }
    }
}

impl Streamed {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, StreamError>>> {
        let frame = match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Pending => return self.poll_silence(cx).map(|()| Some(Err(StreamError::Silent))),
            Poll::Ready(frame) => frame,
        };
        self.timer = None;
        let is_last = |frame: &Result<Frame<_>, _>| frame.as_ref().is_ok_and(Frame::is_trailers);
        let has_ended = frame.as_ref().is_none_or(is_last) || self.body.is_end_stream();
        if has_ended && let Some(passing) = self.passing.take() {
            passing.is_read();
        }
        Poll::Ready(match frame {
            Some(Ok(frame)) if frame.is_trailers() => None,
            Some(Ok(frame)) => Some(self.count(frame)),
            Some(Err(cause)) => Some(Err(StreamError::Broken(cause))),
            None => None,
        })
    }

    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let silence = self.silence;
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(silence)));
        timer.as_mut().poll(cx)
    }

    fn count(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, StreamError> {
        let length = frame.data_ref().map_or(0, Bytes::len) as u64;
        self.left =
            self.left.checked_sub(length).ok_or(StreamError::TooLarge { limit: self.limit })?;
        self.passed.fetch_add(length, Ordering::Relaxed);
        Ok(frame)
    }
}
