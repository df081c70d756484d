//! One mistake in a configuration, told so that it can be mended: which key, where it was
//! written, what is wrong, what to write instead.

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key, such as `routes[1].target`.
    pub key: String,
    /// Where it was written: `countersign.toml:7:3`, `COUNTERSIGN_LISTEN`, `--listen`.
    pub source: String,
    /// What is wrong: no trailing period, values in backticks.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}
