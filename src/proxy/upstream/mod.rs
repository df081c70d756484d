//! Attempts: sign, send, and once more where that is safe, mends something, or was asked for.

mod attempt;
mod copy;
mod forbidden;
mod look;
mod reach;
mod recovery;
pub(super) mod response;
mod retry;
mod split;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::HOST;
use http::uri::{PathAndQuery, Scheme};
use http::{HeaderMap, Method, Response, StatusCode, Uri};

pub(super) use copy::Copied;
pub use forbidden::Forbidden;
pub use look::TargetBody;
pub(super) use split::{Doors, Outlet};

use crate::clock::Clock;
use crate::config::{ExchangeTimeouts, Retries, Target};
use crate::credentials::Store;
use crate::net::{Clients, Lookout, Pool, Reuse};
use crate::proxy::body::{Payload, SentBody};
use crate::proxy::rejection::{PROXY_STATUS, Rejection};
use crate::proxy::route::on_the_wire;
use crate::proxy::upstream::attempt::{Answered, Failed};
use crate::proxy::upstream::forbidden::{ERROR_TYPE, Notices};
use crate::proxy::upstream::reach::Reach;
use crate::proxy::upstream::recovery::{Recovered, skew};
use crate::proxy::upstream::retry::Budget;
use crate::sigv4::Signer;
use crate::telemetry::metrics::TargetMetrics;

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
    pool: Pool<SentBody>,
    signer: Signer,
    credentials: Store,
    clock: Clock,
    budget: Budget,
    notices: Notices,
    reach: Arc<Reach>,
    metrics: TargetMetrics,
}

/// A request, complete but for its signature.
pub(super) struct Outgoing<'r> {
    pub(super) method: Method,
    pub(super) sent: PathAndQuery,
    pub(super) headers: HeaderMap,
    pub(super) payload: Payload,
    pub(super) timeouts: ExchangeTimeouts,
    /// Until when the first credentials are waited for.
    pub(super) patience: Duration,
    pub(super) retries: Option<&'r Retries>,
    pub(super) others: Others,
}

/// Whether a request that could not be sent goes on to another target, rather than here again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Others {
    /// There is no other.
    None,
    /// One is left.
    Left,
}

/// What the attempts of one request took.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Attempts {
    /// The position of the target, of those that its route has: the last one that was tried.
    pub(super) target: usize,
    /// All of them.
    pub(super) count: u32,
    pub(super) signing: Duration,
    /// When the last one ended, with the head of an answer or without.
    pub(super) ended: Option<Instant>,
    /// Those after a kept connection had died, or before anything was written.
    pub(super) resends: u32,
    /// Those that the route's `retries` asked for.
    pub(super) retries: u32,
    /// What the service refused, and another attempt followed once it was mended.
    pub(super) mended: Option<Forbidden>,
    /// Why the service refused the request, where its 403 is the answer.
    pub(super) refused: Option<Forbidden>,
}

impl Upstream {
    /// An upstream for `target`, with connections of its own.
    pub fn new(
        target: Arc<Target>,
        clients: &Clients,
        credentials: Store,
        clock: Clock,
        metrics: TargetMetrics,
    ) -> Self {
        let reach = Arc::new(Reach::new(target.name.clone(), Instant::now()));
        let pool = clients.pool(url(&target), Arc::clone(&reach) as Arc<dyn Lookout>);
        let signer = Signer::new(target.scope.clone());
        let (budget, notices) = (Budget::new(), Notices::default());
        Self { target, pool, signer, credentials, clock, budget, notices, reach, metrics }
    }

    /// Whether it reaches this target with credentials of this store.
    pub(super) fn serves(&self, target: &Target, credentials: &Store) -> bool {
        *self.target == *target && self.credentials.is(credentials)
    }

    /// Sends the request and gives the head of its answer.
    ///
    /// # Errors
    ///
    /// Where there are no credentials or no answer.
    pub(super) async fn send(
        &self,
        outgoing: &mut Outgoing<'_>,
        attempts: &mut Attempts,
    ) -> Result<Response<TargetBody>, Rejection> {
        if outgoing.retries.is_some() {
            self.budget.pay_in();
        }
        // An answer is large, and each call that it comes through moves it: so there is but one.
        match self.attempt(Reuse::Allowed, outgoing, attempts).await {
            Ok(answered) if answered.is_final(outgoing) => Ok(answered.pass()),
            outcome => Box::pin(self.persist(outgoing, attempts, outcome)).await,
        }
    }

    /// What few requests need: another attempt on a new connection where a kept one was dead, a
    /// refusal looked into and mended, and the route's retries.
    async fn persist(
        &self,
        outgoing: &mut Outgoing<'_>,
        attempts: &mut Attempts,
        outcome: Result<Answered, Failed>,
    ) -> Result<Response<TargetBody>, Rejection> {
        let mut outcome = self.resend(outgoing, attempts, outcome).await;
        let mut recovered = Recovered::default();
        loop {
            let is_refused = outcome.as_ref().is_ok_and(Answered::is_refused);
            match outcome {
                Ok(answered) if is_refused => {
                    let looked_into = self.look_into(answered, outgoing, &mut recovered).await;
                    match looked_into {
                        Looked::Mended(forbidden) => attempts.mended = Some(forbidden),
                        Looked::Refused(forbidden, answer) => {
                            attempts.refused = Some(forbidden);
                            return Ok(answer);
                        }
                    }
                }
                outcome => {
                    let now = self.clock.now();
                    let Some(pause) = self.budget.grant(&outcome, outgoing, attempts, now) else {
                        return outcome.map(Answered::pass);
                    };
                    attempts.retries += 1;
                    wait(pause, outcome).await;
                }
            }
            let again = self.attempt(Reuse::Allowed, outgoing, attempts).await;
            outcome = self.resend(outgoing, attempts, again).await;
        }
    }

    /// Another attempt on a new connection where the last one found a kept one dead.
    async fn resend(
        &self,
        outgoing: &mut Outgoing<'_>,
        attempts: &mut Attempts,
        outcome: Result<Answered, Failed>,
    ) -> Result<Answered, Rejection> {
        let outcome = match outcome {
            Err(failed) if outgoing.may_follow(&failed) => {
                attempts.resends += 1;
                self.attempt(Reuse::Refused, outgoing, attempts).await
            }
            outcome => outcome,
        };
        outcome.map_err(Failed::into_rejection)
    }

    /// Finds out why the service refused a request, and mends it where that can be done.
    async fn look_into(
        &self,
        answered: Answered,
        outgoing: &Outgoing<'_>,
        recovered: &mut Recovered,
    ) -> Looked {
        let skew = skew(&answered.signed, answered.response.headers());
        let Answered { response, signed } = answered;
        let (mut head, body) = response.into_parts();
        let mut body = TargetBody::new(body);
        let beginning = body.beginning().await;
        let error_type = head.headers.get(ERROR_TYPE).expect("a refusal has it");
        let forbidden = Forbidden::of(error_type, &beginning, skew);
        self.metrics.auth_failed(forbidden.code());
        if self.recover(forbidden, (&signed, skew), outgoing, recovered).await {
            tracing::debug!(reason = forbidden.code(), "a refused request is sent once more");
            return Looked::Mended(forbidden);
        }
        let whose = (self.target.name.as_str(), self.target.scope.service.as_str());
        self.notices.log(forbidden, whose, &head.headers);
        head.headers.append(PROXY_STATUS, forbidden.proxy_status());
        head.extensions.insert(forbidden);
        Looked::Refused(forbidden, Response::from_parts(head, body))
    }
}

fn url(target: &Target) -> Uri {
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(if target.tls { Scheme::HTTPS } else { Scheme::HTTP });
    parts.authority = Some(target.authority.clone());
    parts.path_and_query = Some(PathAndQuery::from_static("/"));
    Uri::from_parts(parts).expect("it has all three")
}

/// What became of a refusal.
#[allow(clippy::large_enum_variant)] // it is taken apart where it is made
enum Looked {
    /// Another attempt may do.
    Mended(Forbidden),
    /// It is the answer.
    Refused(Forbidden, Response<TargetBody>),
}

impl Answered {
    /// Whether there is nothing more to it than to pass it on.
    fn is_final(&self, outgoing: &Outgoing<'_>) -> bool {
        !self.is_refused()
            && outgoing.retries.is_none_or(|retries| !retry::wants(retries, &self.response))
    }

    /// A 403 that the service made; a function's own is its own affair.
    fn is_refused(&self) -> bool {
        self.response.status() == StatusCode::FORBIDDEN
            && self.response.headers().contains_key(ERROR_TYPE)
    }

    fn pass(self) -> Response<TargetBody> {
        self.response.map(TargetBody::new)
    }
}

/// Waits, and meanwhile empties the answer that nobody gets.
async fn wait(pause: Duration, outcome: Result<Answered, Rejection>) {
    let until = tokio::time::Instant::now() + pause;
    if let Ok(answered) = outcome {
        let drained = answered.pass().into_body().drain();
        let _ = tokio::time::timeout_at(until, drained).await; // else its connection is closed
    }
    tokio::time::sleep_until(until).await;
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
}

impl Upstream {
    /// Sends one request of a person's own, with the credentials at hand. Where the service refuses
    /// it, why stands in the extensions of the answer, as a [`Forbidden`].
    ///
    /// # Errors
    ///
    /// Where there are no credentials or no answer.
    pub async fn send_single(&self, single: Single) -> Result<Response<TargetBody>, Rejection> {
        let mut headers = single.headers;
        headers.insert(HOST, self.target.host.clone());
        let mut outgoing = Outgoing {
            method: single.method,
            sent: on_the_wire(&self.target.base_path, &single.sent)?,
            headers,
            payload: Payload::whole(single.body),
            timeouts: WITHOUT_HURRY,
            patience: Duration::ZERO,
            retries: None,
            others: Others::None,
        };
        self.send(&mut outgoing, &mut Attempts::default()).await
    }
}

#[cfg(test)]
mod tests;
