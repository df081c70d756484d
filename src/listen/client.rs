//! A client's connection as its service and its I/O both know it: what is under way on it, and
//! what has to become of it.

use std::any::Any;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use http::{HeaderValue, Request, Version};
use http_body::Body;
use tokio::time::Instant;

use super::Stop;

/// A client's connection, as the service sees it.
#[derive(Clone, Debug)]
pub struct Client(Arc<Connection>);

#[derive(Debug)]
struct Connection {
    peer: Peer,
    stop: Stop,
    /// Made once for all of the connection's requests.
    address: Option<HeaderValue>,
    /// Requests that began; tells the I/O whether a head is awaited or a body.
    begun: AtomicU64,
    /// Whether none of them is being answered.
    between: AtomicBool,
    opened: Instant,
    /// When the last answer had left and its request had come, in milliseconds since the connection
    /// was opened.
    ended: AtomicU64,
    /// Whether only the end of the connection ends the answer under way (HTTP/1.0).
    unframed: AtomicBool,
    /// Whether the connection must end with a reset, so that a cut answer cannot look whole.
    reset: AtomicBool,
    /// The request, counted from 1, whose body the client may still be sending; 0: none.
    unread: AtomicU64,
    /// The same, whose body is passed on as it comes; its answer may have left long ago.
    passing: AtomicU64,
    /// Whether our side is shut: every answer has left.
    shut: AtomicBool,
    /// What is dropped once the answers so far have left; none once the connection has ended.
    kept: Mutex<Option<Vec<Box<dyn Any + Send>>>>,
    /// Whether there is any of it.
    any_kept: AtomicBool,
}

/// The body of one request of a client.
#[derive(Debug)]
pub struct Upload {
    client: Client,
    request: u64,
}

/// A body that is passed on as it comes. While this lives, its connection is not between requests:
/// whoever reads the body bounds the client's silence.
#[derive(Debug)]
pub struct Passing(Upload);

impl Upload {
    /// It has been read to its end, or read enough of. Where the connection closes before that, it
    /// goes on reading for a while, or a reset would overtake the answer.
    pub fn is_read(&self) {
        let (unread, relaxed) = (&self.client.0.unread, Ordering::Relaxed);
        let _ = unread.compare_exchange(self.request, 0, relaxed, relaxed); // or of a later one
    }
}

impl Passing {
    /// It has been read to its end.
    pub fn is_read(self) {
        self.0.is_read();
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        let (client, relaxed) = (&self.0.client, Ordering::Relaxed);
        client.last_heard();
        // Or another one is passed on by now.
        let _ = client.0.passing.compare_exchange(self.0.request, 0, relaxed, relaxed);
    }
}

/// Who is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A TCP client.
    Ip(IpAddr),
    /// A client of a unix socket: the file's permissions have judged it.
    Unix,
}

impl Client {
    /// A client that has sent nothing yet, of a listener that ends with `stop`.
    pub fn new(peer: Peer, stop: Stop) -> Self {
        let address = match peer {
            Peer::Ip(ip) => HeaderValue::try_from(ip.to_string()).ok(),
            Peer::Unix => None,
        };
        Self(Arc::new(Connection {
            peer,
            address,
            stop,
            begun: AtomicU64::new(0),
            between: AtomicBool::new(true),
            opened: Instant::now(),
            ended: AtomicU64::new(0),
            unframed: AtomicBool::new(false),
            reset: AtomicBool::new(false),
            unread: AtomicU64::new(0),
            passing: AtomicU64::new(0),
            shut: AtomicBool::new(false),
            kept: Mutex::new(Some(Vec::new())),
            any_kept: AtomicBool::new(false),
        }))
    }

    /// Its address as a header's value; none on a unix socket.
    pub fn address(&self) -> Option<&HeaderValue> {
        self.0.address.as_ref()
    }

    /// Who it is.
    pub fn peer(&self) -> Peer {
        self.0.peer
    }

    /// Whether what is under way is cut off, for its listener ends.
    pub fn is_cut_off(&self) -> bool {
        self.0.stop.is_cutting()
    }

    /// Ends the connection with a reset once it is dropped: where the end of the connection is
    /// the end of the answer (HTTP/1.0), a clean end would make a cut answer look whole.
    pub fn reset(&self) {
        self.0.reset.store(true, Ordering::Relaxed);
    }

    /// The body of its request under way.
    pub fn upload(&self) -> Upload {
        Upload { client: self.clone(), request: self.0.begun.load(Ordering::Relaxed) }
    }

    /// The same, which is passed on as it comes.
    pub fn pass_on(&self) -> Passing {
        let upload = self.upload();
        self.0.passing.store(upload.request, Ordering::Relaxed);
        Passing(upload)
    }

    /// Keeps `what` until the answers so far have left, or the connection has ended. It is dropped
    /// under a lock: that must do nothing with this client.
    pub fn keep_until_left(&self, what: impl Any + Send) {
        if let Some(kept) = self.kept().as_mut() {
            kept.push(Box::new(what));
            self.0.any_kept.store(true, Ordering::Release);
        }
    }

    /// The answers so far have left.
    pub(super) fn all_has_left(&self) {
        if self.0.any_kept.load(Ordering::Acquire) {
            self.0.any_kept.store(false, Ordering::Relaxed);
            self.kept().iter_mut().for_each(Vec::clear);
        }
    }

    /// The connection has ended.
    pub(super) fn has_ended(&self) {
        *self.kept() = None;
    }

    fn kept(&self) -> MutexGuard<'_, Option<Vec<Box<dyn Any + Send>>>> {
        self.0.kept.lock().expect("nothing panics while it is held")
    }

    /// Whether the answer under way should be the connection's last.
    pub(super) fn is_to_leave(&self) -> bool {
        self.0.stop.is_announced()
    }

    /// Gives the connection up. One that had no request yet has only a head that never ended, and one
    /// whose answers have left is only listened to.
    pub(super) fn cut_off(&self) {
        if self.0.begun.load(Ordering::Relaxed) == 0 || self.0.shut.load(Ordering::Relaxed) {
            return;
        }
        self.0.stop.one_cut_off();
        if self.0.unframed.load(Ordering::Relaxed) {
            self.reset();
        }
    }

    pub(super) fn request_begins<B: Body>(&self, request: &Request<B>) {
        let number = self.0.begun.fetch_add(1, Ordering::Relaxed) + 1;
        self.0.unframed.store(request.version() == Version::HTTP_10, Ordering::Relaxed);
        let unread = if request.body().is_end_stream() { 0 } else { number };
        self.0.unread.store(unread, Ordering::Relaxed);
        self.0.between.store(false, Ordering::Relaxed);
    }

    pub(super) fn request_ends(&self) {
        self.last_heard();
        self.0.between.store(true, Ordering::Relaxed);
    }

    /// From now on the next head is waited for, if there is nothing else to wait for.
    fn last_heard(&self) {
        let since_opened = self.0.opened.elapsed().as_millis();
        self.0.ended.store(u64::try_from(since_opened).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// How many requests began.
    pub(super) fn begun(&self) -> u64 {
        self.0.begun.load(Ordering::Relaxed)
    }

    /// Whether the client may still be sending the body of a request.
    pub(super) fn is_sending(&self) -> bool {
        self.0.unread.load(Ordering::Relaxed) != 0
    }

    /// Our side is shut.
    pub(super) fn note_shut(&self) {
        self.0.shut.store(true, Ordering::Relaxed);
    }

    /// Whether the connection must end with a reset.
    pub(super) fn is_to_reset(&self) -> bool {
        self.0.reset.load(Ordering::Relaxed)
    }

    /// The end of its listener.
    pub(super) fn stop(&self) -> &Stop {
        &self.0.stop
    }

    /// Whether the next thing that may come is a head. The body of an earlier request may still be
    /// on its way to the target, but has come.
    pub(super) fn is_between(&self) -> bool {
        let passing = self.0.passing.load(Ordering::Relaxed);
        self.0.between.load(Ordering::Relaxed) && (passing == 0 || passing != self.begun())
    }

    pub(super) fn last_ended(&self) -> Instant {
        self.0.opened + Duration::from_millis(self.0.ended.load(Ordering::Relaxed))
    }
}
