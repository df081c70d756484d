//! What an operator hears of a mirror: a line a difference, a line for failures now and then, and
//! counts. A body's values stay out of the log: they may be anybody's secret.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::Method;

use crate::config::{Mirror, Route, Target};
use crate::proxy::mirror::compare::{At, Difference};
use crate::proxy::mirror::json::Kind;
use crate::proxy::rejection::Rejection;

/// What filters know these lines by.
const TARGET: &str = "mirror";
/// How often a mirror's failures are logged: one that is down fails all the time.
const LOG_GAP: Duration = Duration::from_secs(30);
/// What a line has of a pointer: keys come from a body, and may be long.
const POINTER_SHOWN: usize = 256;

/// When a mirror's failures were last told, and how many there were since.
#[derive(Debug, Default)]
pub(super) struct Failures(Mutex<(Option<Instant>, u64)>);

impl Failures {
    /// Counts one; gives the count since the last line where it is time for the next.
    fn note(&self, now: Instant) -> Option<u64> {
        let mut noted = self.0.lock().expect("nothing panics while it is held");
        let (last, count) = &mut *noted;
        *count += 1;
        let due = last.is_none_or(|last| now.duration_since(last) >= LOG_GAP);
        due.then(|| {
            *last = Some(now);
            std::mem::take(count)
        })
    }

    /// One line for all within half a minute.
    pub(super) fn log(&self, route: &Route, mirror: &Mirror, failure: &Failure) {
        let Some(count) = self.note(Instant::now()) else { return };
        tracing::warn!(
            target: TARGET,
            route = route.name,
            mirror = mirror.target.name,
            reason = failure.reason,
            error = failure.error,
            count,
            "a mirror did not answer"
        );
    }
}

/// A request that was sent twice.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: Method,
    /// Where it may be logged.
    pub(super) path: Option<String>,
    /// Whose answer the client got.
    pub(super) target: Arc<Target>,
}

/// Why there is no answer of a mirror, or none of its function.
#[derive(Debug)]
pub(super) struct Failure {
    /// A word of ours.
    pub(super) reason: &'static str,
    pub(super) error: String,
}

impl Failure {
    pub(super) fn new(reason: &'static str, error: &str) -> Self {
        Self { reason, error: error.to_owned() }
    }

    /// What stopped a request before its answer.
    pub(super) fn of(rejection: &Rejection) -> Self {
        Self { reason: rejection.code(), error: rejection.to_string() }
    }
}

/// A line for each difference.
pub(super) fn differences(route: &Route, mirror: &Mirror, request: &Request, found: &[Difference]) {
    for Difference { at, kind, values } in found {
        let [value, mirrored] = match values {
            Some([value, mirrored]) => [Some(value.as_str()), Some(mirrored.as_str())],
            None => [None, None],
        };
        tracing::info!(
            target: TARGET,
            route = route.name,
            target_name = request.target.name,
            mirror = mirror.target.name,
            method = request.method.as_str(),
            path = request.path,
            at = place(at),
            kind = word(*kind),
            value,
            mirror_value = mirrored,
            "a mirror answers something else"
        );
    }
}

/// A line for answers of which too little is known.
pub(super) fn not_compared(route: &Route, mirror: &Mirror, request: &Request, why: &str) {
    tracing::debug!(
        target: TARGET,
        route = route.name,
        mirror = mirror.target.name,
        method = request.method.as_str(),
        path = request.path,
        why,
        "a mirror's answer was not compared"
    );
}

fn place(at: &At) -> String {
    match at {
        At::Status => "status".to_owned(),
        At::Header(name) => format!("header:{name}"),
        At::Body => "body".to_owned(),
        At::Pointer(pointer) => pointer.chars().take(POINTER_SHOWN).collect(),
    }
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Missing => "missing",
        Kind::Added => "added",
        Kind::Changed => "changed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_told_at_once_and_then_counted() {
        let (failures, begin) = (Failures::default(), Instant::now());
        assert_eq!(failures.note(begin), Some(1));
        assert_eq!(failures.note(begin + LOG_GAP / 2), None);
        assert_eq!(failures.note(begin + LOG_GAP), Some(2));
    }
}
