//! A TCP connection that counts what is [`Written`], and on which a single buffer leaves by `send`:
//! TLS hands its records over as a list of one, and the kernel takes longer over a `writev`.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// A TCP connection.
#[derive(Debug)]
pub struct Tcp {
    stream: TokioIo<TcpStream>,
    written: Written,
}

/// How many bytes were handed to the kernel, TLS and all.
#[derive(Clone, Debug, Default)]
pub(super) struct Written(Arc<AtomicU64>);

impl Written {
    pub(super) fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// One task at a time writes to a connection.
    fn add(&self, bytes: usize) {
        self.0.store(self.bytes() + bytes as u64, Ordering::Relaxed);
    }
}

impl Tcp {
    pub(super) fn new(stream: TokioIo<TcpStream>) -> Self {
        Self { stream, written: Written::default() }
    }

    pub(super) fn written(&self) -> &Written {
        &self.written
    }

    #[cfg(test)]
    pub(super) fn socket(&self) -> &TcpStream {
        self.stream.inner()
    }

    fn count(&self, written: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(bytes)) = written {
            self.written.add(*bytes);
        }
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
        self.count(&written);
        written
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
        self.count(&written);
        written
    }
}
