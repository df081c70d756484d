//! What a refusal of the service teaches: credentials that are no longer taken are loaded anew, and
//! a clock that is off is corrected by the answer's own `Date`. Then a second attempt may do.

use std::time::{Duration, SystemTime};

use futures_util::FutureExt;
use http::HeaderMap;
use http::header::DATE;

use crate::proxy::upstream::attempt::Signed;
use crate::proxy::upstream::forbidden::Forbidden;
use crate::proxy::upstream::{Outgoing, Upstream};

/// From when on a clock counts as off, in seconds: a signature holds for five minutes either way,
/// and the way takes some of it.
pub(super) const LEAST_SKEW: i64 = 4 * 60;
/// Two answers do not measure quite the same: a correction this near is the one before.
const NOISE: i64 = 60;

/// What one request has been refused for and sent again since: each kind once.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Recovered {
    token: bool,
    clock: bool,
}

impl Upstream {
    /// Whether to send the request once more, now that what it was refused for is mended.
    pub(super) async fn recover(
        &self,
        forbidden: Forbidden,
        (signed, skew): (&Signed, Option<i64>),
        outgoing: &Outgoing<'_>,
        recovered: &mut Recovered,
    ) -> bool {
        if forbidden.is_of_the_token() && !recovered.token {
            recovered.token = true;
            let renewal = self.credentials.renew(&signed.credentials);
            if !outgoing.is_held() {
                let _ = renewal.now_or_never(); // the next request will find what it brings
                return false;
            }
            return renewal.await.is_some();
        }
        if forbidden == Forbidden::Clock && !recovered.clock {
            recovered.clock = true;
            let learnt = skew.is_some_and(|skew| self.learn(signed, skew));
            return learnt && outgoing.is_held();
        }
        false
    }

    /// Corrects the clock that all targets share.
    fn learn(&self, signed: &Signed, skew: i64) -> bool {
        if skew.abs() < LEAST_SKEW {
            return false;
        }
        let learnt = signed.moment.offset.saturating_add(skew);
        let offset = if learnt.abs() < LEAST_SKEW { 0 } else { learnt };
        let before = self.clock.correct(offset);
        self.metrics.clock_offset(offset as f64);
        if offset == 0 {
            tracing::info!("this machine's clock is right again");
        } else if offset.abs_diff(before) > NOISE.unsigned_abs() {
            tracing::warn!(
                offset_s = offset,
                target_name = self.target.name,
                hint = "set the clock (NTP); until then signatures are dated as the service counts",
                "this machine's clock is off"
            );
        }
        true
    }
}

/// The seconds that the service is ahead of the clock that signed: its `Date` against the middle
/// of the way there and back.
pub(super) fn skew(signed: &Signed, headers: &HeaderMap) -> Option<i64> {
    let date = httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()?;
    // `Date` has no fraction: half a second is its mean.
    let there = date.checked_add(Duration::from_millis(500))?;
    let here = signed.moment.time.checked_add(signed.sent.elapsed() / 2)?;
    Some(seconds_between(here, there))
}

fn seconds_between(from: SystemTime, to: SystemTime) -> i64 {
    let whole = |distance: Duration| i64::try_from(distance.as_secs()).unwrap_or(i64::MAX);
    match to.duration_since(from) {
        Ok(ahead) => whole(ahead),
        Err(behind) => -whole(behind.duration()),
    }
}
