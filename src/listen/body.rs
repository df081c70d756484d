//! An answer's body that tells its connection when it has ended.

use std::pin::Pin;
use std::task::{Context, Poll};

use http_body::{Body, Frame, SizeHint};

use super::Client;

/// A body; while it lives, its connection is not between requests.
#[derive(Debug)]
pub struct Watched<B> {
    body: B,
    client: Client,
}

impl<B> Watched<B> {
    pub(super) fn new(body: B, client: Client) -> Self {
        Self { body, client }
    }
}

impl<B: Body + Unpin> Body for Watched<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B> Drop for Watched<B> {
    fn drop(&mut self) {
        self.client.request_ends();
    }
}
