//! A client's socket with two limits on its silence: a head that has begun, and a connection
//! between requests. hyper has one timer for both, armed anew for each request; here one timer
//! sleeps on and is asked only when it fires.

use std::io;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, Sleep};

use super::Client;

/// A client's socket.
pub(super) struct ClientIo {
    stream: Stream,
    client: Client,
    limits: Limits,
    wait: Wait,
    timer: Option<Pin<Box<Sleep>>>,
}

/// Up to here a head and its body are copied into one write: `send` costs the kernel less than
/// `writev`, by more than the copy.
const JOINED: usize = 2048;

/// How long a client may be silent.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    pub(super) header_read: Duration,
    pub(super) client_idle: Duration,
}

/// What is being waited for, and since when.
struct Wait {
    since: Instant,
    /// The count of requests when the wait began: another count is another wait.
    begun: u64,
    head: bool,
}

/// The two kinds of socket.
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl ClientIo {
    pub(super) fn new(stream: Stream, client: Client, limits: Limits) -> Self {
        let wait = Wait { since: Instant::now(), begun: 0, head: false };
        Self { stream, client, limits, wait, timer: None }
    }

    /// Notes that bytes came: the first ones between requests begin a head.
    fn heard(&mut self) {
        let begun = self.client.0.begun.load(Ordering::Relaxed);
        if !self.wait.head || self.wait.begun != begun {
            self.wait = Wait { since: Instant::now(), begun, head: true };
        }
    }

    /// Fails once the client has been silent for too long between or within heads.
    ///
    /// To be called while a request is answered too: hyper, once told that there is nothing to
    /// read, does not ask again when the answer has left, so the timer must run by then.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let between = self.client.0.between.load(Ordering::Relaxed);
        let deadline = if between { self.deadline() } else { self.next_look() };
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if timer.deadline() > deadline {
            timer.as_mut().reset(deadline);
        }
        loop {
            ready!(timer.as_mut().poll(cx));
            if between && timer.deadline() >= deadline {
                return Poll::Ready(io::ErrorKind::TimedOut.into());
            }
            timer.as_mut().reset(deadline); // it was set for an earlier wait
        }
    }

    /// When the wait for a head, or for the rest of one, is over.
    fn deadline(&mut self) -> Instant {
        let begun = self.client.0.begun.load(Ordering::Relaxed);
        if self.wait.begun != begun {
            self.wait = Wait { since: self.client.last_ended(), begun, head: false };
        }
        let limit = if self.wait.head { self.limits.header_read } else { self.limits.client_idle };
        self.wait.since + limit
    }

    /// No later than the end of the wait that follows the answer under way.
    fn next_look(&self) -> Instant {
        Instant::now() + self.limits.client_idle
    }
}

impl AsyncRead for ClientIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        let read = match &mut this.stream {
            Stream::Tcp(s) => Pin::new(s).poll_read(cx, buf),
            Stream::Unix(s) => Pin::new(s).poll_read(cx, buf),
        };
        if read.is_pending() {
            return this.poll_silence(cx).map(Err);
        }
        let between = this.client.0.between.load(Ordering::Relaxed);
        if between && buf.filled().len() > before {
            this.heard();
        }
        read
    }
}

impl AsyncWrite for ClientIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Tcp(s) => Pin::new(s).poll_write(cx, buf),
            Stream::Unix(s) => Pin::new(s).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let whole: usize = bufs.iter().map(|buf| buf.len()).sum();
        if whole <= JOINED {
            let (mut joined, mut end) = ([0; JOINED], 0);
            for buf in bufs {
                joined[end..end + buf.len()].copy_from_slice(buf);
                end += buf.len();
            }
            return self.poll_write(cx, &joined[..end]);
        }
        match &mut self.stream {
            Stream::Tcp(s) => Pin::new(s).poll_write_vectored(cx, bufs),
            Stream::Unix(s) => Pin::new(s).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(())) // a socket holds nothing back
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Tcp(s) => Pin::new(s).poll_shutdown(cx),
            Stream::Unix(s) => Pin::new(s).poll_shutdown(cx),
        }
    }
}

impl Drop for ClientIo {
    fn drop(&mut self) {
        if let (true, Stream::Tcp(stream)) =
            (self.client.0.reset.load(Ordering::Relaxed), &self.stream)
        {
            let _ = stream.set_zero_linger(); // a socket already closed needs no reset
        }
    }
}
