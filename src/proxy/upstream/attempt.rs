//! One signed send, and what is known of it afterwards.

use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, Method, Request, Response, Uri, Version};
use tracing::Instrument;

use crate::clock::Moment;
use crate::credentials::Unavailable;
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

/// An attempt without an answer.
pub(super) enum Failed {
    /// Nothing was sent, for there is nothing to sign it with.
    Unsigned(Unavailable),
    Unanswered(SendError),
}

impl Upstream {
    /// One signed send. The signature is made anew each time, for a signature ages.
    pub(super) async fn attempt(
        &self,
        reuse: Reuse,
        outgoing: &mut Outgoing<'_>,
        attempts: &mut Attempts,
    ) -> Result<Answered, Failed> {
        let credentials = self.credentials.get(outgoing.patience);
        let credentials = credentials.instrument(traces::credentials()).await;
        let credentials = credentials.map_err(Failed::Unsigned)?;
        let span = traces::attempt(&self.target.name, attempts.count);
        let began = Instant::now();
        let moment = self.clock.look();
        let request = self.sign(outgoing, &credentials, moment);
        let sent = Instant::now();
        self.metrics.sent(attempts.count, sent - began);
        attempts.signing += sent - began;
        attempts.count += 1;
        let limit = tokio::time::Instant::from_std(sent) + outgoing.timeouts.response_head;
        let answer = pin!(self.pool.send(request, reuse, limit)); // large: pinned, not moved
        let came = match answer.instrument(span.clone()).await {
            Ok((response, came_on)) => {
                if came_on == CameOn::Kept {
                    self.metrics.reused();
                }
                let signed = Signed { credentials, moment, sent };
                Ok(Answered { response, signed })
            }
            Err(error) => Err(Failed::Unanswered(error)),
        };
        let (head, ended) = (head(&came), Instant::now());
        attempts.ended = Some(ended);
        if came.is_ok() {
            self.reach.answered(ended);
        }
        self.metrics.observe(&outgoing.method, head, ended - sent);
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
fn head(came: &Result<Answered, Failed>) -> Head {
    match came {
        Ok(answered) => Head::Answered(answered.response.status()),
        Err(failed) => Head::Failed(failed.kind()),
    }
}

impl Failed {
    /// Its kind in a word, for the metrics.
    fn kind(&self) -> &'static str {
        match self {
            Self::Unsigned(_) => "no_credentials",
            Self::Unanswered(SendError::Connect(_)) => "connect_failed",
            Self::Unanswered(SendError::TimedOut) => "response_timeout",
            Self::Unanswered(SendError::Broken { cause, .. }) => match client_fault(cause) {
                Some(_) => "body_broken",
                None => "upstream_closed",
            },
        }
    }

    fn may_be_followed(&self, method: &Method) -> bool {
        let Self::Unanswered(SendError::Broken { sent, came_on, .. }) = self else { return false };
        *sent == Sent::Nothing || (method.is_idempotent() && *came_on == CameOn::Kept)
    }

    pub(super) fn into_rejection(self) -> Rejection {
        let cause = match self {
            Self::Unsigned(why) => return Rejection::NoCredentials(why),
            Self::Unanswered(SendError::Connect(error)) => return Rejection::Connect(error),
            Self::Unanswered(SendError::TimedOut) => return Rejection::ResponseTimeout,
            Self::Unanswered(SendError::Broken { cause, .. }) => cause,
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
