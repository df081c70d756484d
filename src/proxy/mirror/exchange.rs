//! One mirrored request, from its send to the verdict. All of it together is bounded in time.

use std::sync::Arc;
use std::time::Duration;

use http::Response;
use http_body_util::BodyExt;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use crate::config::{Comparison, Target};
use crate::proxy::mirror::compare::{Bodies, Difference, Head, bodies, heads};
use crate::proxy::mirror::report::{self, Failure, Request};
use crate::proxy::mirror::{Admitted, COMPARED_BYTES, Mirror};
use crate::proxy::upstream::{Attempts, Copied, Outgoing, TargetBody};
use crate::telemetry::metrics::Mirrored;

/// How long a mirrored request may take, its answer read and both compared.
const LONGEST: Duration = Duration::from_secs(30);
/// Bodies up to this size are compared on the spot; larger ones, which take milliseconds, beside
/// the requests.
const COMPARED_ON_THE_SPOT: usize = 16 * 1024;

/// A request that is to be sent to the mirror.
pub(super) struct Exchange {
    pub(super) outgoing: Outgoing<'static>,
    pub(super) admitted: Admitted,
    /// Whose answer the client gets.
    pub(super) target: Arc<Target>,
    /// Where it may be logged.
    pub(super) path: Option<String>,
    /// None where nothing is compared.
    pub(super) original: Option<Original>,
}

/// The answer that the client gets.
pub(super) struct Original {
    pub(super) head: Head,
    /// None where its body may differ as it likes.
    pub(super) body: Option<oneshot::Receiver<Copied>>,
}

/// What is known of two answers.
enum Verdict {
    Compared(Vec<Difference>),
    /// Why there is more that is not known.
    NotCompared(&'static str),
}

impl Mirror {
    /// Sends the request and compares the answers; what came of it is logged, and given.
    pub(super) async fn run(self: &Arc<Self>, exchange: Exchange) -> Mirrored {
        let Exchange { outgoing, admitted, target, path, original } = exchange;
        let Admitted { _places, body } = admitted;
        let deadline = Instant::now() + LONGEST;
        let request = Request { method: outgoing.method.clone(), path, target };
        let copied = original.as_ref().is_some_and(|original| original.body.is_some());
        let answered = async {
            let answer = self.send(outgoing).await?;
            drop(body); // it has left
            let (head, body) = answer.into_parts();
            let copied = copied.then(|| self.copied());
            let body = read(body, copied).await?;
            Ok((Head { status: head.status, headers: head.headers }, body))
        };
        let answered = timeout_at(deadline, answered).await.unwrap_or_else(|_elapsed| {
            Err(Failure::new("mirror_timeout", "its answer was not there in time"))
        });
        let (mirrored, original) = match (answered, original) {
            (Err(failure), _) => return self.failed(&failure),
            (Ok(_), None) => return Mirrored::NotCompared,
            (Ok(mirrored), Some(original)) => (mirrored, original),
        };
        let compared = timeout_at(deadline, self.compare(original, mirrored)).await;
        let verdict = compared.unwrap_or(Verdict::NotCompared("the answer had not ended in time"));
        self.tell(verdict, &request)
    }

    async fn send(&self, mut outgoing: Outgoing<'static>) -> Result<Response<TargetBody>, Failure> {
        let mut attempts = Attempts::default();
        let sent = self.upstream.send(&mut outgoing, &mut attempts).await;
        let answer = sent.map_err(|rejection| Failure::of(&rejection))?;
        match attempts.refused {
            Some(forbidden) => Err(Failure::new(forbidden.code(), "the service refused it (403)")),
            None => Ok(answer),
        }
    }

    async fn compare(
        self: &Arc<Self>,
        original: Original,
        (mirrored, mirrored_body): (Head, Option<Copied>),
    ) -> Verdict {
        let Some(comparison) = self.comparison() else { return Verdict::Compared(Vec::new()) };
        let found = heads(&original.head, &mirrored, comparison);
        let Some(body) = original.body else { return Verdict::Compared(found) };
        if original.head.status != mirrored.status {
            return Verdict::Compared(found); // another status has another body
        }
        let verdict = match (body.await, mirrored_body) {
            (Ok(body), Some(mirrored_body)) => {
                self.compare_bodies((original.head, body), (mirrored, mirrored_body)).await
            }
            _ => Verdict::NotCompared("an answer was too large, or broke off"),
        };
        match verdict {
            Verdict::NotCompared(_) if !found.is_empty() => Verdict::Compared(found),
            Verdict::Compared(more) => Verdict::Compared([found, more].concat()),
            not_compared => not_compared,
        }
    }

    async fn compare_bodies(
        self: &Arc<Self>,
        (head, body): (Head, Copied),
        (mirrored, mirrored_body): (Head, Copied),
    ) -> Verdict {
        let small = body.length().max(mirrored_body.length()) <= COMPARED_ON_THE_SPOT;
        let mirror = Arc::clone(self);
        let compare = move || {
            let comparison = mirror.comparison();
            let (body, mirrored_body) = (body.joined(), mirrored_body.joined());
            let held = |comparison: &Comparison| {
                bodies((&head, &body), (&mirrored, &mirrored_body), comparison)
            };
            comparison.map_or(Bodies::Compared(Vec::new()), held)
        };
        let compared = if small {
            Ok(compare())
        } else {
            let turn = Arc::clone(&self.bounds.turn).acquire_owned().await;
            tokio::task::spawn_blocking(move || {
                let _turn = turn; // also where nobody waits any more
                compare()
            })
            .await
        };
        match compared {
            Ok(Bodies::Compared(found)) => Verdict::Compared(found),
            Ok(Bodies::NotComparable) => Verdict::NotCompared("they are encoded in two ways"),
            Err(_ended) => Verdict::NotCompared("the comparison did not end"),
        }
    }

    fn tell(&self, verdict: Verdict, request: &Request) -> Mirrored {
        match verdict {
            Verdict::Compared(found) if found.is_empty() => Mirrored::Same,
            Verdict::Compared(found) => {
                report::differences(&self.route, self.settings(), request, &found);
                Mirrored::Different
            }
            Verdict::NotCompared(why) => {
                report::not_compared(&self.route, self.settings(), request, why);
                Mirrored::NotCompared
            }
        }
    }
}

/// Reads the mirror's answer, so that its connection can be kept; none where it is too large, or
/// nobody wants a copy.
async fn read(mut body: TargetBody, mut copied: Option<Copied>) -> Result<Option<Copied>, Failure> {
    let mut left = COMPARED_BYTES;
    while let Some(frame) = body.frame().await {
        let frame =
            frame.map_err(|_broken| Failure::new("response_incomplete", "its answer broke off"))?;
        let Some(data) = frame.data_ref() else { continue };
        let Some(rest) = left.checked_sub(data.len()) else { return Ok(None) };
        left = rest;
        copied = copied.and_then(|mut copied| copied.add(data).then_some(copied));
    }
    Ok(copied)
}
