//! `reject`: a route that sends nothing on. It keeps what it takes from a broader route, which
//! would answer something else.

use crate::config::Reject;
use crate::config::defaults;
use crate::config::reader::{Entry, Reader};
use crate::config::resolve::retries;
use crate::config::values::Wrong;

/// What may stand in a route that rejects: what it takes, and what it is called.
pub(super) const BESIDE: [&str; 6] = ["name", "host", "path", "prefix", "methods", "reject"];

/// A status, or a table of what is said. None where it has a problem.
pub(super) fn reject(entry: &Entry<'_>) -> Option<Reject> {
    let default = || defaults::REJECTED.to_owned();
    if !entry.is_table() {
        return Some(Reject { status: retries::status(entry)?, message: default() });
    }
    let table = entry.table()?;
    let status = table.take("status").map(|entry| retries::status(&entry));
    let message = table.take("message").map(|entry| entry.parsed("a sentence", sentence));
    table.finish();
    let status = status.unwrap_or(Some(defaults::REJECTION))?;
    Some(Reject { status, message: message.unwrap_or_else(|| Some(default()))? })
}

fn sentence(text: &str) -> Result<String, Wrong> {
    if text.trim().is_empty() || text.chars().any(char::is_control) {
        return Err(Wrong::new(
            "this says nothing",
            "write a sentence for the caller, on one line",
        ));
    }
    Ok(text.to_owned())
}

/// Notes each key that says how a request is sent: none is.
pub(super) fn alone(own: &Reader<'_>) {
    for (key, entry) in own.named() {
        if super::routes::KEYS.contains(&key.as_str()) && !BESIDE.contains(&key.as_str()) {
            entry.problem(Wrong::new(
                "a route that rejects sends nothing",
                format!("leave `{key}` or `reject` out"),
            ));
        }
    }
}
