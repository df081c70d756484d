//! The answer's body on its way back: as it comes, with back-pressure, and never a clean end
//! where the target broke off.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Sleep;

use crate::listen::Client;
use crate::proxy::access_log::Record;
use crate::proxy::limit::Permit;
use crate::proxy::upstream::TargetBody;

/// The body of an answer, ours or a target's. The request's record is written when it is dropped.
#[derive(Debug)]
pub struct AnswerBody {
    source: Source,
    /// None where the record was lost with a panic, which has written it.
    record: Option<Box<Record>>,
    /// Held until the client has all of it; none where the request got no further than the gates.
    permit: Option<(Permit, Client)>,
}

#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // the larger one is the usual one
enum Source {
    Own(Option<Bytes>),
    Target(FromTarget),
}

#[derive(Debug)]
struct FromTarget {
    body: TargetBody,
    silence: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    /// Set where the end of the connection is the end of the answer (HTTP/1.0).
    reset: Option<Client>,
}

/// Why an answer broke off after its head. The client sees a broken connection.
#[derive(Debug, thiserror::Error)]
pub enum Incomplete {
    /// The target broke off.
    #[error("the target broke off")]
    Broken(#[source] hyper::Error),
    /// The target was silent for longer than `response_idle`.
    #[error("the target was silent for too long")]
    Silent,
}

impl AnswerBody {
    /// An answer of ours.
    pub(in crate::proxy) fn own(
        body: Bytes,
        record: Box<Record>,
        permit: Option<(Permit, Client)>,
    ) -> Self {
        let body = Some(body).filter(|body| !body.is_empty());
        Self { source: Source::Own(body), record: Some(record), permit }
    }

    /// An answer of ours to a request that met a bug.
    pub(in crate::proxy) fn after_panic(body: Bytes) -> Self {
        Self { source: Source::Own(Some(body)), record: None, permit: None }
    }

    /// A target's answer. `reset`: the client's connection, where only its end ends the answer.
    pub(in crate::proxy) fn of_target(
        body: TargetBody,
        silence: Duration,
        reset: Option<Client>,
        record: Box<Record>,
        permit: Option<(Permit, Client)>,
    ) -> Self {
        let from = FromTarget { body, silence, timer: None, reset };
        Self { source: Source::Target(from), record: Some(record), permit }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Incomplete;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Incomplete>>> {
        let this = &mut *self;
        let frame = match &mut this.source {
            Source::Own(body) => Poll::Ready(body.take().map(|body| Ok(Frame::data(body)))),
            Source::Target(from) => from.poll(cx),
        };
        match &frame {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(record) = &mut this.record {
                    record.bytes_out += frame.data_ref().map_or(0, Bytes::len) as u64;
                }
            }
            Poll::Ready(Some(Err(_))) => this.break_off(),
            Poll::Ready(None) => this.complete(),
            Poll::Pending => {}
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Own(body) => body.is_none(),
            Source::Target(from) => from.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Own(body) => {
                SizeHint::with_exact(body.as_ref().map_or(0, |body| body.len() as u64))
            }
            Source::Target(from) => from.body.size_hint(),
        }
    }
}

impl AnswerBody {
    fn complete(&mut self) {
        if let Some(record) = &mut self.record {
            record.complete();
        }
    }

    fn break_off(&mut self) {
        if let Some(record) = &mut self.record {
            record.broken();
        }
        if let Source::Target(from) = &self.source
            && let Some(client) = &from.reset
        {
            client.reset();
        }
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        if self.is_end_stream() {
            self.complete(); // hyper does not ask past the last byte of a known length
        }
        if let Some((permit, client)) = self.permit.take() {
            client.keep_until_left(permit);
        }
    }
}

impl FromTarget {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Incomplete>>> {
        let silence = self.silence;
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(frame) => {
                self.timer = None;
                Poll::Ready(frame.map(|frame| frame.map_err(Incomplete::Broken)))
            }
            Poll::Pending => {
                let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(silence)));
                timer.as_mut().poll(cx).map(|()| Some(Err(Incomplete::Silent)))
            }
        }
    }
}
