//! One signed send, and what is known of it afterwards.

use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, Method, Request, Response, Uri, Version};
use tracing::Instrument;

use crate::clock::Moment;
use crate::net::{CameOn, Received, Reuse, SendError, Sent};
use crate::proxy::body::{SentBody, StreamError};
use crate::proxy::rejection::Rejection;
use crate::proxy::upstream::{Attempts, Outgoing, Upstream};
use crate::sigv4::{SigningCredentials, Unsigned};
use crate::telemetry::metrics::Head;
use crate::telemetry::traces;

/// What an attempt was signed with, and when it went out.
pub(super) struct Signed {
    pub(super) credentials: Arc<SigningCredentials>,
    pub(super) moment: Moment,
    pub(super) sent: Instant,
}

/// The head of an answer.
pub(super) struct Answered {
    pub(super) response: Response<Received<SentBody>>,
    pub(super) signed: Signed,
}

/// A send without an answer.
pub(super) struct Failed(SendError);

impl Upstream {
    /// One signed send. The signature is made anew each time, for a signature ages.
    pub(super) async fn attempt(
        &self,
        reuse: Reuse,
        outgoing: &mut Outgoing<'_>,
        attempts: &mut Attempts,
    ) -> Result<Result<Answered, Failed>, Rejection> {
        let credentials = self.credentials.get(outgoing.patience);
        let credentials = credentials.instrument(traces::credentials()).await;
        let credentials = credentials.map_err(Rejection::NoCredentials)?;
        let span = traces::attempt(&self.target.name, attempts.count);
        let began = Instant::now();
        let moment = self.clock.look();
        let request = self.sign(outgoing, &credentials, moment);
        let sent = Instant::now();
        self.metrics.sent(attempts.count, sent - began);
        attempts.signing += sent - began;
        attempts.count += 1;
        let limit = tokio::time::Instant::from_std(sent) + outgoing.timeouts.response_head;
        let answer = pin!(self.pool.send(request, reuse)); // large: pinned, not moved
        let answer = answer.instrument(span.clone());
        let came = match tokio::time::timeout_at(limit, answer).await {
            Err(_elapsed) => Err(Rejection::ResponseTimeout),
            Ok(Ok((response, came_on))) => {
                if came_on == CameOn::Kept {
                    self.metrics.reused();
                }
                let signed = Signed { credentials, moment, sent };
                Ok(Ok(Answered { response, signed }))
            }
            Ok(Err(error)) => Ok(Err(Failed(error))),
        };
        let head = head(&came);
        self.metrics.observe(&outgoing.method, head, sent.elapsed());
        traces::ended(&span, head.status(), head.error());
        came
    }

    fn sign(
        &self,
        outgoing: &mut Outgoing<'_>,
        credentials: &SigningCredentials,
        moment: Moment,
    ) -> Request<SentBody> {
        let mut headers = outgoing.headers();
        let body = outgoing.payload.body().unwrap_or(SentBody::Empty);
        let unsigned = Unsigned {
            method: &outgoing.method,
            path: outgoing.sent.path(),
            query: outgoing.sent.query(),
            host: &self.target.host,
            headers: &mut headers,
            payload: &outgoing.payload.hash(),
        };
        self.signer.sign(unsigned, credentials, moment.time);
        let mut request = Request::new(body);
        *request.method_mut() = outgoing.method.clone();
        *request.uri_mut() = Uri::from(outgoing.sent.clone());
        *request.version_mut() = Version::HTTP_11;
        *request.headers_mut() = headers;
        request
    }
}

impl Outgoing<'_> {
    /// Whether all of it is still here after a send.
    pub(super) fn is_held(&self) -> bool {
        self.payload.held_length().is_some()
    }

    /// The headers of one send; what is sent once leaves no copy of them. The copy has no room for
    /// a signature, so that it is what stays.
    fn headers(&mut self) -> HeaderMap {
        let stays = if self.is_held() { self.headers.clone() } else { HeaderMap::new() };
        std::mem::replace(&mut self.headers, stays)
    }

    /// Whether a second send does no harm: nothing of the first has left, or the connection was a
    /// kept one, which says nothing of the target, and the method allows it (RFC 9110, 9.2.2).
    pub(super) fn may_follow(&self, failed: &Failed) -> bool {
        self.is_held() && failed.may_be_followed(&self.method)
    }
}

/// What an attempt came to, for the metrics.
fn head(came: &Result<Result<Answered, Failed>, Rejection>) -> Head {
    match came {
        Ok(Ok(answered)) => Head::Answered(answered.response.status()),
        Ok(Err(failed)) => Head::Failed(failed.kind()),
        Err(rejection) => Head::Failed(rejection.code()),
    }
}

impl Failed {
    /// Its kind in a word, for the metrics.
    fn kind(&self) -> &'static str {
        match &self.0 {
            SendError::Connect(_) => "connect_failed",
            SendError::Broken { cause, .. } if client_fault(cause).is_some() => "body_broken",
            SendError::Broken { .. } => "upstream_closed",
        }
    }

    fn may_be_followed(&self, method: &Method) -> bool {
        match &self.0 {
            SendError::Connect(_) => false,
            SendError::Broken { sent: Sent::Nothing, .. } => true,
            SendError::Broken { came_on, .. } => method.is_idempotent() && *came_on == CameOn::Kept,
        }
    }

    pub(super) fn into_rejection(self) -> Rejection {
        let cause = match self.0 {
            SendError::Connect(error) => return Rejection::Connect(error),
            SendError::Broken { cause, .. } => cause,
        };
        match client_fault(&cause) {
            Some(StreamError::Silent) => Rejection::BodyTimeout,
            Some(StreamError::TooLarge { limit }) => Rejection::BodyTooLarge { limit: *limit },
            Some(StreamError::Broken(_)) => Rejection::StreamBroken(cause),
            None if cause.is_parse() => Rejection::UpstreamMalformed(cause),
            None => Rejection::UpstreamClosed(cause),
        }
    }
}

/// The client's own fault, where its body was on its way through.
fn client_fault(error: &hyper::Error) -> Option<&StreamError> {
    let first = std::error::Error::source(error);
    std::iter::successors(first, |cause| (**cause).source()).find_map(|cause| cause.downcast_ref())
}
