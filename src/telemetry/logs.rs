//! Log lines: where they go and in which form.

mod queue;

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tracing::Subscriber;
use tracing_subscriber::filter::{LevelFilter, ParseError, Targets};
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, reload};

use crate::config::LogFormat;
use crate::telemetry::logs::queue::Queue;

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

/// The AWS SDK's crates, by their beginning: at `trace` they write what they sign and send, and
/// what they read of profiles. Never below `debug`.
const CAPPED: &str = "aws_";

/// A crate that warns at each attempt of what `credentials` tells once, with a remedy: below
/// `debug` only its errors count, unless the filter names it.
const REPEATS_ITSELF: &str = "aws_config";

/// Starts logging for the whole process. A second call changes nothing.
///
/// # Errors
///
/// Where `filter` is not in `RUST_LOG` syntax.
pub fn start(
    filter: &str,
    format: Option<LogFormat>,
    output: Output,
) -> Result<Filter, FilterError> {
    start_over(tracing_subscriber::registry(), filter, format, output)
}

/// The same, with spans for an exporter besides, whatever is logged.
///
/// # Errors
///
/// Where `filter` is not in `RUST_LOG` syntax.
#[cfg(feature = "otlp")]
pub fn start_with_traces(
    filter: &str,
    format: Option<LogFormat>,
    output: Output,
    exporter: &crate::telemetry::otlp::Exporter,
) -> Result<Filter, FilterError> {
    let target = crate::telemetry::traces::TARGET;
    let spans = tracing_opentelemetry::layer()
        .with_tracer(exporter.tracer())
        .with_location(false)
        .with_threads(false)
        .with_filter(Targets::new().with_target(target, LevelFilter::DEBUG));
    start_over(tracing_subscriber::registry().with(spans), filter, format, output)
}

fn start_over<S>(
    base: S,
    filter: &str,
    format: Option<LogFormat>,
    output: Output,
) -> Result<Filter, FilterError>
where
    S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
{
    let (filter, handle) = reload::Layer::new(parse(filter)?);
    let terminal = match output {
        Output::Stdout => std::io::stdout().is_terminal(),
        Output::Stderr => std::io::stderr().is_terminal(),
    };
    let format = format.unwrap_or(if terminal { LogFormat::Text } else { LogFormat::Json });
    let sink = Sink::of(output);
    let writer = move || sink;
    let started = match format {
        LogFormat::Json => {
            let lines = fmt::layer().json().flatten_event(true).with_current_span(false);
            let lines = lines.with_span_list(false).with_writer(writer);
            base.with(lines.with_filter(filter)).try_init()
        }
        LogFormat::Text => {
            let lines = fmt::layer().with_ansi(terminal).with_target(false).compact();
            base.with(lines.with_writer(writer).with_filter(filter)).try_init()
        }
    };
    let _ = started; // tests start it more than once
    // Where logging was never started there is nothing to change.
    Ok(Filter(Arc::new(move |parsed| drop(handle.reload(parsed)))))
}

/// The lines of a verb that serves: on a thread of their own, for a reader may stand still.
static QUEUE: OnceLock<Queue> = OnceLock::new();

/// Where a line goes.
#[derive(Clone, Copy)]
enum Sink {
    Queue(&'static Queue),
    Stdout,
    Stderr,
}

impl Sink {
    fn of(output: Output) -> Self {
        match output {
            Output::Stderr => Self::Stderr,
            Output::Stdout => match QUEUE.get() {
                Some(queue) => Self::Queue(queue),
                None => match Queue::to(io::stdout()) {
                    Ok(queue) => Self::Queue(QUEUE.get_or_init(|| queue)),
                    Err(_) => Self::Stdout, // a process without a thread to spare
                },
            },
        }
    }
}

impl Write for Sink {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match self {
            Self::Queue(queue) => queue.push(line),
            Self::Stdout => return io::stdout().write(line),
            Self::Stderr => return io::stderr().write(line),
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Queue(_) => Ok(()),
            Self::Stdout => io::stdout().flush(),
            Self::Stderr => io::stderr().flush(),
        }
    }
}

/// Prints a text after the lines so far. Like them, it waits for no reader.
pub fn print(text: &str) -> io::Result<()> {
    match QUEUE.get() {
        Some(queue) => {
            queue.push(text.as_bytes());
            Ok(())
        }
        None => {
            let mut out = io::stdout().lock();
            out.write_all(text.as_bytes())?;
            out.flush()
        }
    }
}

/// Waits until the lines so far are written, for a second at most: to be called before the process
/// ends.
pub fn flush() {
    if let Some(queue) = QUEUE.get() {
        queue.flush(Duration::from_secs(1));
    }
}

/// How many lines were lost since the start, for nobody read them.
pub fn lost() -> u64 {
    QUEUE.get().map_or(0, Queue::lost)
}

/// What is logged by the whole process: it may be changed while it runs.
#[derive(Clone)]
pub struct Filter(Arc<dyn Fn(Targets) + Send + Sync>);

impl std::fmt::Debug for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Filter")
    }
}

impl Filter {
    /// Logs by another filter from now on.
    ///
    /// # Errors
    ///
    /// Where `filter` is not in `RUST_LOG` syntax.
    pub fn set(&self, filter: &str) -> Result<(), FilterError> {
        (self.0)(parse(filter)?);
        Ok(())
    }
}

/// Tells what is wrong with a filter, for whoever reads the configuration.
///
/// # Errors
///
/// Where it is not in `RUST_LOG` syntax.
pub fn is_filter(filter: &str) -> Result<(), String> {
    parse(filter).map(drop).map_err(|error| error.cause.to_string())
}

/// The filter that `filter` says in `RUST_LOG` syntax, without its regular expressions for spans.
///
/// # Errors
///
/// Where it is not in that syntax.
pub fn parse(filter: &str) -> Result<Targets, FilterError> {
    let parsed: Targets =
        filter.parse().map_err(|cause| FilterError { filter: filter.to_owned(), cause })?;
    let least = parsed.default_level().unwrap_or(LevelFilter::OFF);
    let most = |level: LevelFilter| level.min(LevelFilter::DEBUG);
    let written = parsed.iter().map(|(target, level)| match target.starts_with(CAPPED) {
        true => (target, most(level)),
        false => (target, level),
    });
    let repeats = if least < LevelFilter::DEBUG { least.min(LevelFilter::ERROR) } else { least };
    let chosen = [(CAPPED, most(least)), (REPEATS_ITSELF, most(repeats))];
    Ok(Targets::new().with_default(least).with_targets(chosen).with_targets(written))
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::parse;

    #[test]
    fn takes_levels_for_all_and_for_one_crate() -> Result<(), super::FilterError> {
        let filter = parse("warn,countersign=trace")?;
        assert!(filter.would_enable("countersign::proxy", &Level::TRACE));
        assert!(!filter.would_enable("hyper", &Level::INFO));
        Ok(())
    }

    #[test]
    fn what_is_told_once_is_not_repeated_by_another() -> Result<(), super::FilterError> {
        let warns = |filter: &str| {
            Ok(parse(filter)?.would_enable("aws_config::sts::assume_role", &Level::WARN))
        };
        assert!(!warns("info")? && warns("debug")? && warns("info,aws_config=warn")?);
        Ok(())
    }

    #[test]
    fn never_lets_crates_write_what_they_sign() -> Result<(), super::FilterError> {
        for filter in [
            "trace",
            "info,aws_sigv4=trace",
            "TRACE",
            "5",
            "aws=trace",
            "off,aws_sigv4::http_request=trace",
        ] {
            let parsed = parse(filter)?;
            for target in [
                "aws_sigv4",
                "aws_sigv4::http_request",
                "aws_smithy_runtime::client",
                "aws_runtime::env_config",
            ] {
                assert!(!parsed.would_enable(target, &Level::TRACE), "{filter}: {target}");
            }
        }
        assert!(parse("trace")?.would_enable("aws_sigv4::http_request", &Level::DEBUG));
        Ok(())
    }
}
