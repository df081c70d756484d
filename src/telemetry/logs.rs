//! Log lines: where they go and in which form.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::LogFormat;

/// Where log lines go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Standard output: for verbs that serve.
    Stdout,
    /// Standard error: for verbs whose answer is on standard output.
    Stderr,
}

/// A filter that was not understood.
#[derive(Debug, thiserror::Error)]
#[error("`{filter}` is no log filter")]
pub struct FilterError {
    filter: String,
    #[source]
    cause: ParseError,
}

/// Crates that write what they sign at `trace`: never below `debug`.
const CAPPED: [&str; 2] = ["aws_sigv4=debug", "aws_smithy_runtime=debug"];

/// Starts logging for the whole process. A second call changes nothing.
///
/// # Errors
///
/// Where `filter` is not in `RUST_LOG` syntax.
pub fn start(filter: &str, format: Option<LogFormat>, output: Output) -> Result<(), FilterError> {
    let parsed = parse(filter)?;
    let terminal = match output {
        Output::Stdout => std::io::stdout().is_terminal(),
        Output::Stderr => std::io::stderr().is_terminal(),
    };
    let format = format.unwrap_or(if terminal { LogFormat::Text } else { LogFormat::Json });
    let writer = move || -> Box<dyn std::io::Write> {
        match output {
            Output::Stdout => Box::new(std::io::stdout()),
            Output::Stderr => Box::new(std::io::stderr()),
        }
    };
    let registry = tracing_subscriber::registry().with(parsed);
    let started = match format {
        LogFormat::Json => {
            let lines = fmt::layer().json().flatten_event(true).with_current_span(false);
            registry.with(lines.with_span_list(false).with_writer(writer)).try_init()
        }
        LogFormat::Text => {
            let lines = fmt::layer().with_ansi(terminal).with_target(false).compact();
            registry.with(lines.with_writer(writer)).try_init()
        }
    };
    let _ = started; // tests start it more than once
    Ok(())
}

/// Tells what is wrong with a filter, for whoever reads the configuration.
///
/// # Errors
///
/// Where it is not in `RUST_LOG` syntax.
pub fn is_filter(filter: &str) -> Result<(), String> {
    parse(filter).map(drop).map_err(|error| error.cause.to_string())
}

/// Whether `filter` is in `RUST_LOG` syntax.
///
/// # Errors
///
/// Where it is not.
pub fn parse(filter: &str) -> Result<EnvFilter, FilterError> {
    let parsed = EnvFilter::try_new(filter)
        .map_err(|cause| FilterError { filter: filter.to_owned(), cause })?;
    if !filter.contains("trace") {
        return Ok(parsed);
    }
    Ok(CAPPED.iter().fold(parsed, |filter, cap| match cap.parse() {
        Ok(directive) => filter.add_directive(directive),
        Err(_) => filter,
    }))
}
