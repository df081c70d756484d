//! The last requests as JSON, the newest first.

use std::time::{Duration, SystemTime};

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use serde_json::{Value, json};

use crate::telemetry::recent::Seen;

/// `now` is the wall clock's word for this moment: requests know theirs by a clock of another kind.
pub(super) fn listed(latest: &[Seen], now: SystemTime) -> Value {
    let list: Vec<Value> = latest.iter().map(|seen| request(seen, now)).collect();
    json!({ "requests": list })
}

fn request(seen: &Seen, now: SystemTime) -> Value {
    let ended = now.checked_sub(seen.ended.elapsed()).unwrap_or(now);
    json!({
        "number": seen.number,
        "time": time(ended),
        "method": seen.method.as_str(),
        "path": seen.path,
        "route": seen.route.as_ref().map(|route| &route.name),
        "target": seen.target.as_ref().map(|target| &target.name),
        "status": seen.status.map(|status| status.as_u16()),
        "origin": seen.origin.name(),
        "reason": seen.reason,
        "remedy": seen.remedy,
        "attempts": seen.attempts,
        "duration_ms": milliseconds(seen.took),
        "first_byte_ms": seen.first_byte.map(milliseconds),
        "bytes_in": seen.bytes_in,
        "bytes_out": seen.bytes_out,
    })
}

/// A moment as RFC 3339 writes it, to the millisecond.
pub(super) fn time(moment: SystemTime) -> Option<String> {
    let since = moment.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    let milliseconds = i64::try_from(since.as_millis()).ok()?;
    DateTime::from_millis(milliseconds).fmt(Format::DateTime).ok()
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1e3
}
