//! One mistake in a configuration, told so that it can be mended: where it was written, what is
//! wrong, what to write instead.

use std::fmt;

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key, such as `routes[1].target`; empty where it is about the whole.
    pub key: String,
    /// Where it was written: `countersign.toml:7:3`, `COUNTERSIGN_LISTEN`, `--listen`; empty
    /// where it was not written at all.
    pub source: String,
    /// What is wrong: no trailing period, values in backticks.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.source.is_empty() {
            write!(f, "{}: ", self.source)?;
        }
        if !self.key.is_empty() {
            write!(f, "`{}`: ", self.key)?;
        }
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

/// Every problem of one configuration; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// A single problem, about the configuration as a whole.
    pub(super) fn one(source: impl Into<String>, message: impl Into<String>, hint: &str) -> Self {
        Self(vec![Problem {
            key: String::new(),
            source: source.into(),
            message: message.into(),
            hint: Some(hint.to_owned()),
        }])
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, problem) in self.0.iter().enumerate() {
            if position > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
