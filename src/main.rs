//! Argv in, exit code out.

use std::process::ExitCode;

#[allow(clippy::disallowed_methods)] // the one place that reads the environment
fn main() -> ExitCode {
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    countersign::cli::run(std::env::args_os().collect(), environment)
}
