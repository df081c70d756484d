//! What was tried, a row each, with what to do where it failed.

use std::fmt::Write;

use serde::Serialize;

/// One thing that was tried of one target.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Row {
    pub(super) target: String,
    pub(super) check: Check,
    pub(super) result: Outcome,
    /// What was found.
    pub(super) what: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hint: Option<String>,
}

/// What was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Check {
    Credentials,
    Dns,
    Connect,
    Clock,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Outcome {
    Ok,
    Failed,
    /// It was not tried, or nothing was learnt.
    Unknown,
}

/// What came of it, before it is a row.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) result: Outcome,
    pub(super) what: String,
    pub(super) hint: Option<String>,
}

impl Found {
    pub(super) fn ok(what: impl Into<String>) -> Self {
        Self { result: Outcome::Ok, what: what.into(), hint: None }
    }

    pub(super) fn failed(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { result: Outcome::Failed, what: what.into(), hint: Some(hint.into()) }
    }

    pub(super) fn unknown(what: impl Into<String>) -> Self {
        Self { result: Outcome::Unknown, what: what.into(), hint: None }
    }

    pub(super) fn row(self, target: &str, check: Check) -> Row {
        let Self { result, what, hint } = self;
        Row { target: target.to_owned(), check, result, what, hint }
    }
}

impl Row {
    pub(super) fn is_failed(&self) -> bool {
        self.result == Outcome::Failed
    }
}

impl Check {
    fn name(self) -> &'static str {
        match self {
            Self::Credentials => "credentials",
            Self::Dns => "DNS",
            Self::Connect => "TCP, TLS",
            Self::Clock => "clock",
        }
    }
}

impl Outcome {
    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "FAILED",
            Self::Unknown => "-",
        }
    }
}

/// For people: columns that stand below each other, and the remedy on a line of its own.
pub(super) fn text(rows: &[Row]) -> String {
    let width = rows.iter().map(|row| row.target.chars().count()).max().unwrap_or_default();
    let mut text = String::from("\n");
    for row in rows {
        let (check, result) = (row.check.name(), row.result.name());
        let _ = writeln!(text, "{:width$}  {check:11}  {result:6}  {}", row.target, row.what);
        if let Some(hint) = &row.hint {
            let _ = writeln!(text, "{:width$}  {:11}  {:6}  hint: {hint}", "", "", "");
        }
    }
    let failed = rows.iter().filter(|row| row.is_failed()).count();
    let _ = match failed {
        0 => writeln!(text, "\nok: nothing failed"),
        1 => writeln!(text, "\n1 check failed"),
        _ => writeln!(text, "\n{failed} checks failed"),
    };
    text
}

/// For programs: a list of rows.
pub(super) fn json(rows: &[Row]) -> String {
    serde_json::to_string_pretty(rows).expect("rows are text") + "\n"
}
