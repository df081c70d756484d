//! A client's socket with limits on its silence: a head that has begun, a connection between
//! requests, and an answer that is not taken. hyper has one timer for the first two, armed anew
//! for each request, and none for the last; here one timer sleeps on and is asked only when it
//! fires.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::Client;
use super::stream::Stream;

/// A client's socket.
pub(super) struct ClientIo {
    stream: Stream,
    client: Client,
    limits: Limits,
    wait: Wait,
    timer: Option<Pin<Box<Sleep>>>,
    /// Runs while the client takes nothing.
    stall: Option<Pin<Box<Sleep>>>,
    ending: Ending,
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

/// How far the end of a connection has come.
enum Ending {
    NotYet,
    /// Our side is shut. What still comes is read and thrown away, for a close over unread bytes
    /// is a reset, which may overtake the answer.
    Lingering {
        until: Pin<Box<Sleep>>,
        left: u64,
    },
}

/// How long, and over how much, a client is listened to that has its answer and may not know yet.
#[derive(Clone, Copy, Debug)]
pub struct Linger {
    /// No longer than this.
    pub time: Duration,
    /// No more than this.
    pub bytes: u64,
}

/// After a refused head.
pub(super) const HEAD_LINGER: Linger = Linger { time: Duration::from_secs(1), bytes: 1 << 20 };
/// Amid a body.
pub const BODY_LINGER: Linger = Linger { time: Duration::from_secs(2), bytes: 8 << 20 };

/// Why a connection is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Silence {
    #[error("the head did not end in time")]
    Head,
    #[error("the client was silent for too long")]
    Between,
    #[error("the client took nothing of its answer for too long")]
    Answer,
}

impl Silence {
    /// The silence that an error comes from, if one.
    pub(super) fn behind(error: &hyper::Error) -> Option<Self> {
        let cause: &io::Error = std::error::Error::source(error)?.downcast_ref()?;
        cause.get_ref()?.downcast_ref().copied()
    }
}

impl From<Silence> for io::Error {
    fn from(silence: Silence) -> Self {
        Self::new(io::ErrorKind::TimedOut, silence)
    }
}

impl ClientIo {
    pub(super) fn new(stream: Stream, client: Client, limits: Limits) -> Self {
        let wait = Wait { since: Instant::now(), begun: 0, head: false };
        Self { stream, client, limits, wait, timer: None, stall: None, ending: Ending::NotYet }
    }

    /// Notes that bytes came: the first ones between requests begin a head.
    fn heard(&mut self) {
        let begun = self.client.begun();
        if !self.wait.head || self.wait.begun != begun {
            self.wait = Wait { since: Instant::now(), begun, head: true };
        }
    }

    /// Fails once the client has been silent for too long between or within heads.
    ///
    /// To be called while a request is answered too: hyper, once told that there is nothing to
    /// read, does not ask again when the answer has left, so the timer must run by then.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let due = self.client.is_between().then(|| self.deadline());
        let (limits, since) = (self.limits, self.wait.since);
        let timer = self.timer.get_or_insert_with(|| {
            let first = since + limits.header_read.min(limits.client_idle);
            Box::pin(tokio::time::sleep_until(first))
        });
        match due {
            Some(due) if timer.deadline() > due => timer.as_mut().reset(due),
            None if limits.header_read > limits.client_idle => {
                timer.as_mut().reset(Instant::now() + limits.client_idle); // a head's was later
            }
            _ => {}
        }
        loop {
            ready!(timer.as_mut().poll(cx));
            let next = match due {
                Some(due) if timer.deadline() >= due => {
                    let silence = if self.wait.head { Silence::Head } else { Silence::Between };
                    return Poll::Ready(silence.into());
                }
                Some(due) => due, // it was set for an earlier wait
                None => Instant::now() + limits.client_idle,
            };
            timer.as_mut().reset(next);
        }
    }

    /// When the wait for a head, or for the rest of one, is over.
    fn deadline(&mut self) -> Instant {
        let begun = self.client.begun();
        if self.wait.begun != begun {
            self.wait = Wait { since: self.client.last_ended(), begun, head: false };
        }
        let limit = if self.wait.head { self.limits.header_read } else { self.limits.client_idle };
        self.wait.since + limit
    }

    /// Whether bytes came that no request was made of: hyper has refused them.
    fn is_refused(&self) -> bool {
        self.wait.head && self.client.is_between() && self.wait.begun == self.client.begun()
    }

    /// Whether the client may still be sending, and for how long that is heard.
    fn linger(&self) -> Option<Linger> {
        match self.client.is_sending() {
            true => Some(BODY_LINGER),
            false => self.is_refused().then_some(HEAD_LINGER),
        }
    }

    /// Ends the wait of a client that takes nothing, unless it has taken a little after all.
    fn poll_stall(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let limit = self.limits.client_idle;
        let timer = self.stall.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        loop {
            ready!(timer.as_mut().poll(cx));
            match self.stream.write_now(buf) {
                Ok(taken) => {
                    self.stall = None;
                    return Poll::Ready(Ok(taken));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.client.reset();
                    return Poll::Ready(Err(Silence::Answer.into()));
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// What became of a write.
    fn written(
        &mut self,
        cx: &mut Context<'_>,
        wrote: Poll<io::Result<usize>>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match wrote {
            Poll::Pending => self.poll_stall(cx, buf),
            ended => {
                self.stall = None;
                ended
            }
        }
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
        let read = Pin::new(&mut this.stream).poll_read(cx, buf);
        if read.is_pending() {
            return this.poll_silence(cx).map(Err);
        }
        if this.client.is_between() && buf.filled().len() > before {
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
        let wrote = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.written(cx, wrote, buf)
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
        let wrote = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        let first = bufs.iter().find(|buf| !buf.is_empty());
        self.written(cx, wrote, first.map_or(&[], |buf| buf))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.client.all_has_left(); // hyper flushes once it has written all that it had
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if let Ending::NotYet = this.ending {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
            this.client.note_shut();
            let Some(linger) = this.linger() else { return Poll::Ready(Ok(())) };
            let until = Box::pin(tokio::time::sleep(linger.time));
            this.ending = Ending::Lingering { until, left: linger.bytes };
        }
        let Ending::Lingering { until, left } = &mut this.ending else {
            return Poll::Ready(Ok(()));
        };
        let mut thrown_away = [0; 4096];
        while until.as_mut().poll(cx).is_pending() {
            let mut buf = ReadBuf::new(&mut thrown_away);
            let read = ready!(Pin::new(&mut this.stream).poll_read(cx, &mut buf));
            let came = buf.filled().len() as u64;
            match left.checked_sub(came) {
                Some(rest) if read.is_ok() && came > 0 => *left = rest,
                _ => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for ClientIo {
    fn drop(&mut self) {
        if self.client.is_to_reset() {
            self.stream.end_with_reset();
        }
        self.client.has_ended();
    }
}
