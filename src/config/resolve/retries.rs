//! `retries`: off unless written; a table changes what it names.

use http::StatusCode;

use crate::config::reader::{Entry, Reader};
use crate::config::resolve::settings::choice;
use crate::config::values::Wrong;
use crate::config::{RetriedAnswers, RetriedMethods, Retries, defaults};

/// More attempts than this help nobody: a client has long given up.
const MOST_ATTEMPTS: usize = 10;

const METHODS: [(&str, RetriedMethods); 2] =
    [("idempotent", RetriedMethods::Idempotent), ("all", RetriedMethods::All)];

/// None where it is `false`, or has a problem.
pub(super) fn retries(entry: &Entry<'_>) -> Option<Retries> {
    if entry.is_false() {
        return None;
    }
    if !entry.is_table() {
        let hint = "write `{ attempts = 3 }`, or `false`";
        entry.problem(Wrong::new("retries are a table", hint));
        return None;
    }
    let table = entry.table()?;
    let functions_too = table.take("functions_too").and_then(|entry| entry.boolean());
    let retries = Retries {
        attempts: attempts(&table).unwrap_or(defaults::ATTEMPTS),
        on: statuses(&table).unwrap_or_else(|| defaults::RETRIED.to_vec()),
        methods: choice(&table, "methods", &METHODS).unwrap_or(RetriedMethods::Idempotent),
        answers: match functions_too {
            Some(true) => RetriedAnswers::OfFunctionsToo,
            Some(false) | None => RetriedAnswers::OfTheService,
        },
    };
    table.finish();
    Some(retries)
}

fn attempts(table: &Reader<'_>) -> Option<u32> {
    let entry = table.take("attempts")?;
    match entry.count()? {
        1 => {
            entry.problem(Wrong::new(
                "one attempt is no retry",
                format!("write 2 to {MOST_ATTEMPTS}, or `retries = false`"),
            ));
            None
        }
        count if count > MOST_ATTEMPTS => {
            entry.problem(Wrong::new(
                format!("`{count}` attempts are a flood"),
                format!("write 2 to {MOST_ATTEMPTS}"),
            ));
            None
        }
        count => u32::try_from(count).ok(),
    }
}

fn statuses(table: &Reader<'_>) -> Option<Vec<StatusCode>> {
    let entry = table.take("on")?;
    let entries = entry.list("a list of statuses, in brackets: `[429, 503]`")?;
    if entries.is_empty() {
        let hint = "name statuses such as `503`, or write `retries = false`";
        entry.problem(Wrong::new("no status is tried again", hint));
    }
    Some(entries.iter().filter_map(status).collect())
}

/// The status of an error.
pub(super) fn status(entry: &Entry<'_>) -> Option<StatusCode> {
    let number = entry.count()?;
    let status = u16::try_from(number).ok().and_then(|number| StatusCode::from_u16(number).ok());
    let status = status.filter(|status| status.is_client_error() || status.is_server_error());
    if status.is_none() {
        entry.problem(Wrong::new(
            format!("`{number}` is no status of an error"),
            "write one from 400 to 599, such as `503`",
        ));
    }
    status
}
