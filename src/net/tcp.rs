//! A TCP connection that counts what is [`Written`], and on which a single buffer leaves by `send`:
//! TLS hands its records over as a list of one, and the kernel takes longer over a `writev`.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use tokio::net::TcpStream;

/// A TCP connection.
#[derive(Debug)]
pub struct Tcp {
    stream: TokioIo<TcpStream>,
    written: Written,
}

/// What was handed to the kernel, TLS and all.
#[derive(Clone, Debug, Default)]
pub(super) struct Written(Arc<Progress>);

#[derive(Debug, Default)]
struct Progress {
    bytes: AtomicU64,
    /// Whether the kernel has taken nothing of the last write.
    is_stuck: AtomicBool,
    /// Wakes who reads and writes.
    driver: OnceLock<Waker>,
    /// Whether the next write shall ask the kernel, whatever is known of the socket.
    nudged: AtomicBool,
}

impl Written {
    /// How many bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.0.bytes.load(Ordering::Relaxed)
    }

    /// How many, where there are more that the kernel does not take.
    pub(super) fn stuck_at(&self) -> Option<u64> {
        self.0.is_stuck.load(Ordering::Relaxed).then(|| self.bytes())
    }

    /// The task that does it, which stays the same.
    pub(super) fn is_driven_by(&self, driver: &Waker) {
        let _ = self.0.driver.set(driver.clone());
    }

    /// Has that task look whether there is anything to do.
    pub(super) fn nudge(&self) {
        self.0.nudged.store(true, Ordering::Relaxed);
        if let Some(driver) = self.0.driver.get() {
            driver.wake_by_ref();
        }
    }

    /// One task at a time writes to a connection.
    fn note(&self, written: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(bytes)) = written {
            self.0.bytes.store(self.bytes() + *bytes as u64, Ordering::Relaxed);
        }
        self.0.is_stuck.store(written.is_pending(), Ordering::Relaxed);
    }
}

impl Tcp {
    pub(super) fn new(stream: TokioIo<TcpStream>) -> Self {
        Self { stream, written: Written::default() }
    }

    pub(super) fn written(&self) -> &Written {
        &self.written
    }

    /// What became of a write, once the kernel was asked for sure where that is due. It calls a
    /// socket writable only once a third of what it holds has left.
    fn settle(
        &self,
        written: Poll<io::Result<usize>>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let is_due = || self.written.0.nudged.swap(false, Ordering::Relaxed);
        let written = match bufs.iter().find(|buf| !buf.is_empty()) {
            Some(first) if written.is_pending() && is_due() => {
                match SockRef::from(self.stream.inner()).send(first) {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => Poll::Pending,
                    ended => Poll::Ready(ended),
                }
            }
            _ => written,
        };
        self.written.note(&written);
        written
    }

    #[cfg(test)]
    pub(super) fn socket(&self) -> &TcpStream {
        self.stream.inner()
    }
}

impl Connection for Tcp {
    fn connected(&self) -> Connected {
        self.stream.connected()
    }
}

impl Read for Tcp {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl Write for Tcp {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.settle(written, &[IoSlice::new(buf)])
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = match bufs {
            [only] => Pin::new(&mut self.stream).poll_write(cx, only),
            several => Pin::new(&mut self.stream).poll_write_vectored(cx, several),
        };
        self.settle(written, bufs)
    }
}
