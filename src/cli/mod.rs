//! The command line: one verb, one file.

mod arguments;
mod call;
mod check;
mod completions;
mod credentials;
mod demo;
mod emulate;
mod explain;
mod health;
mod import;
mod init;
mod man;
mod policy;
mod request;
mod run;
mod schema;
mod serve;
mod shell;
mod sign;
mod traces;

use std::ffi::OsString;
use std::fmt::Display;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::cli::arguments::{Arguments, Verb};
use crate::config::load::{Flags, Inputs};
use crate::config::nearest;
use crate::config::problem::Problems;
use crate::net::SetupError;
use crate::telemetry::logs;

/// How the program ends. 0 is success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    Success,
    /// A failure while it worked.
    Failure,
    /// sysexits.h: a service is unavailable.
    Unhealthy,
    /// What was typed means nothing.
    Usage,
    /// sysexits.h: a configuration problem.
    Configuration,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Success => 0,
            Exit::Failure => 1,
            Exit::Unhealthy => 69,
            Exit::Usage => 2,
            Exit::Configuration => 78,
        })
    }
}

/// The process's environment, read once.
pub type Environment = Vec<(String, String)>;

/// Does what the command line says. Usage mistakes end with 2.
pub fn run(arguments: Vec<OsString>, environment: Environment) -> ExitCode {
    let (meant, program) = (meant(&arguments), program(&arguments));
    let parsed = match Arguments::try_parse_from(arguments) {
        Ok(parsed) => parsed,
        Err(usage) => {
            let _ = usage.print(); // a closed terminal cannot be told anything
            if let Some(verb) = meant {
                tell(format_args!("\n  tip: did you mean the verb `{verb}`?"));
            }
            return ExitCode::from(if usage.use_stderr() { 2 } else { 0 });
        }
    };
    let verb = parsed.verb.unwrap_or(Verb::Run(parsed.run));
    let exit = match verb {
        Verb::Run(run) => run::run(run, environment, &program),
        Verb::Demo(demo) => demo::run(&demo, &environment),
        Verb::Emulate(emulate) => emulate::run(&emulate, &environment),
        Verb::Check(check) => check::run(&check, environment),
        Verb::Explain(explain) => explain::run(&explain, environment),
        Verb::Sign(sign) => sign::run(&sign, environment),
        Verb::Call(call) => call::run(&call, environment),
        Verb::Policy(policy) => policy::run(&policy, environment),
        Verb::Import(import) => import::run(&import, &environment),
        Verb::Health(health) => health::run(&health, environment),
        Verb::Init(init) => init::run(&init),
        Verb::Schema => schema::run(),
        Verb::Completions { shell } => completions::run(shell),
        Verb::Man { verb } => man::run(verb.as_deref()),
    };
    if let (Exit::Configuration, Some(verb)) = (exit, meant) {
        tell(format_args!("  hint: or did you mean the verb `{verb}`?"));
    }
    logs::flush();
    exit.into()
}

/// The name of the file that was started.
fn program(arguments: &[OsString]) -> String {
    let name = arguments.first().and_then(|path| Path::new(path).file_name()?.to_str());
    name.unwrap_or("countersign").to_owned()
}

/// The verb that a mistyped first word is near to: it is taken for a target otherwise.
fn meant(arguments: &[OsString]) -> Option<String> {
    let word = arguments.get(1)?.to_str()?;
    let program = Arguments::command();
    let verbs: Vec<&str> = program.get_subcommands().map(clap::Command::get_name).collect();
    let is_word = word.bytes().all(|byte| byte.is_ascii_alphabetic());
    if !is_word || word == "help" || verbs.contains(&word) {
        return None;
    }
    nearest(word, verbs).map(str::to_owned)
}

/// What configuration is loaded from, for a verb without flags of its own.
fn inputs(config: Option<PathBuf>, environment: Environment) -> Inputs {
    inputs_with(config, environment, Flags::default())
}

/// The same, for a verb with flags.
fn inputs_with(config: Option<PathBuf>, environment: Environment, flags: Flags) -> Inputs {
    Inputs { config, environment, flags, search: true, log_syntax: Some(logs::is_filter) }
}

/// Every problem, and the exit code that says so.
fn refuse(problems: &Problems) -> Exit {
    tell(problems);
    Exit::Configuration
}

/// TLS or the proxy cannot be what the configuration says; only those who build them can tell.
fn refuse_setup(error: &SetupError) -> Exit {
    complain(error, Some("look at `ca_file`, `roots` and `proxy` of `[upstream]`"));
    Exit::Configuration
}

/// A line for the person, not for a pipe. Nobody can be told that nobody can be told.
fn tell(line: impl Display) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// A failure with its causes, each on a line, and what to do.
fn complain(error: &dyn std::error::Error, hint: Option<&str>) {
    let mut text = format!("error: {error}");
    let mut cause = error.source();
    while let Some(deeper) = cause {
        text.push_str(&format!("\n  because: {deeper}"));
        cause = deeper.source();
    }
    if let Some(hint) = hint {
        text.push_str(&format!("\n  hint: {hint}"));
    }
    tell(text);
}

/// The verb's answer. A reader that went away (`| head`) is no failure.
fn print(text: impl AsRef<[u8]>) {
    let _ = try_print(text);
}

/// The same, for who would go on for long without a reader.
fn try_print(text: impl AsRef<[u8]>) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_ref()).and_then(|()| out.flush())
}
