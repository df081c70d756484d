//! One signed send, and what is known of it afterwards.

use std::sync::Arc;
use std::time::Instant;

use http::uri::{PathAndQuery, Scheme};
use http::{HeaderMap, Method, Request, Response, Uri, Version};
use hyper::body::Incoming;
use hyper_util::client::legacy::Error;
use tracing::Instrument;

use crate::clock::Moment;
use crate::net::{CameOn, Client, ConnectError, mark_answered, was_kept, was_unwritten};
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
    pub(super) response: Response<Incoming>,
    pub(super) signed: Signed,
}

/// A send without an answer.
pub(super) struct Failed {
    error: Error,
    sent: Instant,
}

impl Upstream {
    /// One signed send. The signature is made anew each time, for a signature ages.
    pub(super) async fn attempt(
        &self,
        client: &Client<SentBody>,
        outgoing: &mut Outgoing<'_>,
        attempts: &mut Attempts,
    ) -> Result<Result<Answered, Failed>, Rejection> {
        let credentials = self.credentials.get(outgoing.patience);
        let credentials = credentials.instrument(traces::credentials()).await;
        let credentials = credentials.map_err(Rejection::NoCredentials)?;
        let span = traces::attempt(&self.target.name, attempts.count);
        let began = Instant::now();
        let moment = self.clock.look();
        let request = self.sign(outgoing, &credentials, moment)?;
        let sent = Instant::now();
        self.metrics.sent(attempts.count, sent - began);
        attempts.signing += sent - began;
        attempts.count += 1;
        let limit = outgoing.timeouts.response_head;
        let answer = client.request(request).instrument(span.clone());
        let came = match tokio::time::timeout(limit, answer).await {
            Err(_elapsed) => Err(Rejection::ResponseTimeout),
            Ok(Ok(mut response)) => {
                if mark_answered(&mut response, sent) == CameOn::Kept {
                    self.metrics.reused();
                }
                let signed = Signed { credentials, moment, sent };
                Ok(Ok(Answered { response, signed }))
            }
            Ok(Err(error)) => Ok(Err(Failed { error, sent })),
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
    ) -> Result<Request<SentBody>, Rejection> {
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
        *request.uri_mut() = self.uri(outgoing.sent.clone())?;
        *request.version_mut() = Version::HTTP_11;
        *request.headers_mut() = headers;
        Ok(request)
    }

    fn uri(&self, sent: PathAndQuery) -> Result<Uri, Rejection> {
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(if self.target.tls { Scheme::HTTPS } else { Scheme::HTTP });
        parts.authority = Some(self.target.authority.clone());
        parts.path_and_query = Some(sent);
        Uri::from_parts(parts).map_err(|cause| Rejection::Unsendable(cause.into()))
    }
}

impl Outgoing<'_> {
    /// Whether all of it is still here after a send.
    pub(super) fn is_held(&self) -> bool {
        self.payload.held_length().is_some()
    }

    /// The headers of one send; what is sent once needs no copy of them.
    fn headers(&mut self) -> HeaderMap {
        if self.is_held() { self.headers.clone() } else { std::mem::take(&mut self.headers) }
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
        if client_fault(&self.error).is_some() {
            return "body_broken";
        }
        if self.error.is_connect() { "connect_failed" } else { "upstream_closed" }
    }

    fn may_be_followed(&self, method: &Method) -> bool {
        if self.error.is_connect() {
            return false;
        }
        was_unwritten(&self.error) || (method.is_idempotent() && was_kept(&self.error, self.sent))
    }

    pub(super) fn into_rejection(self) -> Rejection {
        match client_fault(&self.error) {
            Some(StreamError::Silent) => return Rejection::BodyTimeout,
            Some(StreamError::TooLarge { limit }) => {
                return Rejection::BodyTooLarge { limit: *limit };
            }
            Some(StreamError::Broken(_)) => return Rejection::StreamBroken(self.error),
            None => {}
        }
        if self.error.is_connect() {
            return Rejection::Connect(ConnectError::from(self.error));
        }
        match hyper_cause(&self.error) {
            Some(cause) if cause.is_parse() => Rejection::UpstreamMalformed(self.error),
            _ => Rejection::UpstreamClosed(self.error),
        }
    }
}

fn hyper_cause(error: &Error) -> Option<&hyper::Error> {
    causes(error).find_map(|cause| cause.downcast_ref())
}

/// The client's own fault, where its body was on its way through.
fn client_fault(error: &Error) -> Option<&StreamError> {
    causes(error).find_map(|cause| cause.downcast_ref())
}

fn causes<'e>(error: &'e Error) -> impl Iterator<Item = &'e (dyn std::error::Error + 'static)> {
    std::iter::successors(std::error::Error::source(error), |cause| (**cause).source())
}
