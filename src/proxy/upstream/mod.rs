//! Attempts: sign, send, and once more where that is safe.

pub(super) mod response;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::HOST;
use http::uri::{PathAndQuery, Scheme};
use http::{HeaderMap, Method, Request, Response, Uri, Version};
use hyper::body::Incoming;
use hyper_util::client::legacy::Error;

use crate::clock::Clock;
use crate::config::{ExchangeTimeouts, Target};
use crate::credentials::Store;
use crate::net::{Client, Clients, ConnectError, mark_answered, was_reused};
use crate::proxy::body::{Payload, SentBody, StreamError};
use crate::proxy::rejection::Rejection;
use crate::proxy::route::on_the_wire;
use crate::sigv4::{Signer, SigningCredentials, Unsigned};

/// A person who calls by hand can end it by hand.
const WITHOUT_HURRY: ExchangeTimeouts = ExchangeTimeouts {
    body_read: Duration::from_secs(905),
    response_head: Duration::from_secs(905),
    response_idle: Duration::from_secs(905),
};

/// A target with what it takes to sign for it and to reach it.
#[derive(Debug)]
pub struct Upstream {
    target: Arc<Target>,
    signer: Signer,
    credentials: Store,
    clock: Clock,
}

/// The clients that send: one with kept connections, one that opens a new one each time.
#[derive(Clone, Debug)]
pub(super) struct Senders {
    pub(super) pooled: Client<SentBody>,
    pub(super) fresh: Client<SentBody>,
}

/// A request, complete but for its signature.
pub(super) struct Outgoing {
    pub(super) method: Method,
    pub(super) sent: PathAndQuery,
    pub(super) headers: HeaderMap,
    pub(super) payload: Payload,
    pub(super) timeouts: ExchangeTimeouts,
    /// Until when the first credentials are waited for.
    pub(super) patience: Duration,
}

/// What the attempts of one request took.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Attempts {
    pub(super) count: u32,
    pub(super) signing: Duration,
}

impl Upstream {
    /// An upstream for `target`.
    pub fn new(target: Arc<Target>, credentials: Store, clock: Clock) -> Self {
        let signer = Signer::new(target.scope.clone());
        Self { target, signer, credentials, clock }
    }

    /// Sends the request and gives the head of its answer.
    ///
    /// # Errors
    ///
    /// Where there are no credentials or no answer.
    pub(super) async fn send(
        &self,
        senders: &Senders,
        outgoing: &mut Outgoing,
        attempts: &mut Attempts,
    ) -> Result<Response<Incoming>, Rejection> {
        let again = outgoing.may_be_sent_twice().then(|| outgoing.headers.clone());
        let headers = std::mem::take(&mut outgoing.headers);
        let failed = match self.attempt(&senders.pooled, outgoing, headers, attempts).await? {
            Ok(answer) => return Ok(answer),
            Err(failed) => failed,
        };
        // A kept connection that died as the request went out says nothing of the target.
        match again {
            Some(headers) if failed.on_kept_connection() => {
                let sent = self.attempt(&senders.fresh, outgoing, headers, attempts);
                Box::pin(sent).await?.map_err(Failed::into_rejection)
            }
            _ => Err(failed.into_rejection()),
        }
    }

    /// One signed send.
    async fn attempt(
        &self,
        client: &Client<SentBody>,
        outgoing: &mut Outgoing,
        headers: HeaderMap,
        attempts: &mut Attempts,
    ) -> Result<Result<Response<Incoming>, Failed>, Rejection> {
        let credentials =
            self.credentials.get(outgoing.patience).await.map_err(Rejection::NoCredentials)?;
        let began = Instant::now();
        let request = self.signed(outgoing, headers, &credentials)?;
        attempts.signing += began.elapsed();
        attempts.count += 1;
        let limit = outgoing.timeouts.response_head;
        match tokio::time::timeout(limit, client.request(request)).await {
            Err(_elapsed) => Err(Rejection::ResponseTimeout),
            Ok(Ok(mut answer)) => {
                mark_answered(&mut answer);
                Ok(Ok(answer))
            }
            Ok(Err(error)) => Ok(Err(Failed(error))),
        }
    }

    /// The request with its signature: made anew for each attempt, for a signature ages.
    fn signed(
        &self,
        outgoing: &mut Outgoing,
        mut headers: HeaderMap,
        credentials: &SigningCredentials,
    ) -> Result<Request<SentBody>, Rejection> {
        let body = outgoing.payload.body().unwrap_or(SentBody::Empty);
        let unsigned = Unsigned {
            method: &outgoing.method,
            path: outgoing.sent.path(),
            query: outgoing.sent.query(),
            host: &self.target.host,
            headers: &mut headers,
            payload: &outgoing.payload.hash(),
        };
        self.signer.sign(unsigned, credentials, self.clock.now());
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

/// A request of a person's own, for `call`.
#[derive(Debug)]
pub struct Single {
    /// The method.
    pub method: Method,
    /// Path and query; what SigV4 demands of them is done here.
    pub sent: PathAndQuery,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// How long credentials are waited for.
    pub patience: Duration,
}

impl Upstream {
    /// Sends one request of a person's own.
    ///
    /// # Errors
    ///
    /// Where there are no credentials or no answer.
    pub async fn send_single(
        &self,
        clients: &Clients,
        single: Single,
    ) -> Result<Response<Incoming>, Rejection> {
        let senders = Senders { pooled: clients.pooled(), fresh: clients.fresh() };
        let mut headers = single.headers;
        headers.insert(HOST, self.target.host.clone());
        let mut outgoing = Outgoing {
            method: single.method,
            sent: on_the_wire(&self.target.base_path, &single.sent)?,
            headers,
            payload: Payload::whole(single.body),
            timeouts: WITHOUT_HURRY,
            patience: single.patience,
        };
        self.send(&senders, &mut outgoing, &mut Attempts::default()).await
    }
}

impl Outgoing {
    /// Whether a second send does no harm: the method says so (RFC 9110, 9.2.2) and the body is
    /// still here.
    fn may_be_sent_twice(&self) -> bool {
        self.method.is_idempotent() && self.payload.held_length().is_some()
    }
}

/// A send without an answer.
struct Failed(Error);

impl Failed {
    fn on_kept_connection(&self) -> bool {
        was_reused(&self.0) && !self.0.is_connect()
    }

    fn into_rejection(self) -> Rejection {
        match client_fault(&self.0) {
            Some(StreamError::Silent) => return Rejection::BodyTimeout,
            Some(StreamError::TooLarge { limit }) => {
                return Rejection::BodyTooLarge { limit: *limit };
            }
            Some(StreamError::Broken(_)) => return Rejection::StreamBroken(self.0),
            None => {}
        }
        if self.0.is_connect() {
            return Rejection::Connect(ConnectError::from(self.0));
        }
        match hyper_cause(&self.0) {
            Some(cause) if cause.is_parse() => Rejection::UpstreamMalformed(self.0),
            _ => Rejection::UpstreamClosed(self.0),
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
