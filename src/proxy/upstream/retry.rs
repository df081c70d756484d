//! Retries, where a route asks for them: what is worth one, how long to wait, and a budget, so that
//! a target that is down does not get the load of several.

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::RETRY_AFTER;
use tower::retry::budget::{Budget as _, TpsBudget};

use crate::config::{RetriedAnswers, RetriedMethods, Retries};
use crate::net::ConnectError;
use crate::proxy::rejection::Rejection;
use crate::proxy::upstream::attempt::Answered;
use crate::proxy::upstream::forbidden::ERROR_TYPE;
use crate::proxy::upstream::{Attempts, Others, Outgoing};

/// The pause before the first retry; doubling, at most.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(2);
/// A longer `Retry-After` is the client's to heed: nobody keeps a request for a minute.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(5);
/// Retries per request, counted over the last ten seconds …
const BUDGET_SHARE: f32 = 0.2;
const BUDGET_WINDOW: Duration = Duration::from_secs(10);
/// … and what is free for a target that few requests go to, each second.
const BUDGET_FREE: u32 = 1;

/// The retries that a target's requests have left together.
pub(super) struct Budget(TpsBudget);

impl Budget {
    pub(super) fn new() -> Self {
        Self(TpsBudget::new(BUDGET_WINDOW, BUDGET_FREE, BUDGET_SHARE))
    }

    /// A request pays in.
    pub(super) fn pay_in(&self) {
        self.0.deposit();
    }

    /// The pause before the next attempt, where there is to be one.
    pub(super) fn grant(
        &self,
        outcome: &Result<Answered, Rejection>,
        outgoing: &Outgoing<'_>,
        attempts: &Attempts,
        now: SystemTime,
    ) -> Option<Duration> {
        let retries = outgoing.retries?;
        if attempts.retries + 1 >= retries.attempts || !outgoing.is_held() {
            return None;
        }
        if !is_worth_it(retries, outcome, outgoing) {
            return None;
        }
        let pause = pause(attempts.retries, outcome.as_ref().ok(), now)?;
        self.0.withdraw().then_some(pause)
    }
}

impl std::fmt::Debug for Budget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Budget")
    }
}

fn is_worth_it(
    retries: &Retries,
    outcome: &Result<Answered, Rejection>,
    outgoing: &Outgoing<'_>,
) -> bool {
    let method_allows = match retries.methods {
        RetriedMethods::Idempotent => outgoing.method.is_idempotent(),
        RetriedMethods::All => true,
    };
    match outcome {
        Ok(answered) => method_allows && wants(retries, &answered.response),
        // Nothing was sent; a certificate will be no better.
        Err(Rejection::Connect(cause)) => {
            outgoing.others == Others::None && !matches!(cause, ConnectError::Certificate(_))
        }
        Err(Rejection::UpstreamClosed(_)) => method_allows,
        Err(_) => false,
    }
}

/// Whether an answer is one to be tried again.
pub(super) fn wants(retries: &Retries, answer: &http::Response<impl Sized>) -> bool {
    let by_the_service = || match retries.answers {
        RetriedAnswers::OfTheService => answer.headers().contains_key(ERROR_TYPE),
        RetriedAnswers::OfFunctionsToo => true,
    };
    retries.on.contains(&answer.status()) && by_the_service()
}

/// Full jitter on half of it: clients that failed together do not come back together.
fn pause(retried: u32, answered: Option<&Answered>, now: SystemTime) -> Option<Duration> {
    let doubled = FIRST_PAUSE.saturating_mul(1 << retried.min(16)).min(LAST_PAUSE);
    let own = doubled.mul_f64(0.5 + fastrand::f64() * 0.5);
    match answered.and_then(|answered| retry_after(answered.response.headers(), now)) {
        None => Some(own),
        Some(told) if told > LONGEST_RETRY_AFTER => None,
        Some(told) => Some(own.max(told)),
    }
}

/// Seconds or a date (RFC 9110, 10.2.3).
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    match value.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => {
            let date = httpdate::parse_http_date(value).ok()?;
            Some(date.duration_since(now).unwrap_or_default())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn told(value: &str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, value.parse().unwrap());
        retry_after(&headers, NOW)
    }

    #[test]
    fn the_pause_doubles_to_two_seconds_and_is_never_less_than_half() {
        for (retried, most) in [(0, 100), (1, 200), (2, 400), (4, 1600), (5, 2000), (60, 2000)] {
            let most = Duration::from_millis(most);
            for _ in 0..100 {
                let pause = pause(retried, None, NOW).unwrap();
                assert!(most / 2 <= pause && pause <= most, "{pause:?} of {most:?}");
            }
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(told("3"), Some(Duration::from_secs(3)));
        assert_eq!(told("Thu, 01 Jan 1970 00:00:04 GMT"), Some(Duration::from_secs(4)));
        assert_eq!(told("Wed, 31 Dec 1969 23:59:00 GMT"), None); // no HTTP date is that early
        for nothing in ["", "-1", "soon", "1.5"] {
            assert_eq!(told(nothing), None, "{nothing}");
        }
    }
}
