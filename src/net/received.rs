//! The body of an answer, which holds on to its connection until it is dropped.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::net::pool::Lease;

/// The body of an answer to a request with a body `B`.
#[derive(Debug)]
pub struct Received<B: Send + 'static> {
    body: Incoming,
    /// Goes after the body: by then the connection knows whether it may be used again.
    _lease: Lease<B>,
}

impl<B: Send + 'static> Received<B> {
    pub(super) fn new(body: Incoming, lease: Lease<B>) -> Self {
        Self { body, _lease: lease }
    }
}

impl<B: Send + 'static> Body for Received<B> {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
