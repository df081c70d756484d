//! `countersign check`: the same validation as `run`, every problem in one go. `--connect` also
//! tries what every target needs, `--call` sends one real request.

mod call;
mod clock;
mod connect;
mod table;

use std::fmt::Write;

use crate::cli::arguments::Check;
use crate::cli::check::clock::Judges;
use crate::cli::{Environment, Exit, inputs, print, refuse, refuse_setup, serve, tell};
use crate::clock::Clock;
use crate::config::load::load;
use crate::config::{Config, Destination, Target};
use crate::credentials::Stores;
use crate::net::Clients;

pub(super) fn run(arguments: &Check, environment: Environment) -> Exit {
    let inputs = inputs(arguments.file.config.clone(), environment);
    let config = match load(&inputs) {
        Ok(config) => config,
        Err(problems) => return refuse(&problems),
    };
    for warning in &config.warnings {
        tell(format_args!("warning: {warning}"));
    }
    if let Err(error) = Clients::new(&config) {
        return refuse_setup(&error);
    }
    if arguments.format == Format::Text {
        print(summary(&config));
    }
    if !arguments.connect && arguments.call.is_none() {
        return Exit::Success;
    }
    serve::block_on(1, live(arguments, config, &inputs.environment))
}

/// What cannot be told from the file.
async fn live(arguments: &Check, config: Config, environment: &[(String, String)]) -> Exit {
    let clock = Clock::system();
    let stores = match Stores::new(&config, environment, &clock) {
        Ok(stores) => stores,
        Err(error) => return refuse_setup(&error),
    };
    if arguments.connect {
        let judges = Judges::of(environment);
        let rows = match connect::connect(&config, stores.clone(), &judges).await {
            Ok(rows) => rows,
            Err(error) => return refuse_setup(&error),
        };
        print(match arguments.format {
            Format::Text => table::text(&rows),
            Format::Json => table::json(&rows),
        });
        if rows.iter().any(table::Row::is_failed) {
            return Exit::Failure; // a request would fail for the same reason
        }
    }
    match &arguments.call {
        Some(asked) => {
            let wanted = (asked, arguments.route.as_deref());
            call::call(config, stores, clock, wanted).await
        }
        None => Exit::Success,
    }
}

/// How the outcome is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    Text,
    Json,
}

pub(super) use call::Asked;

/// A line a route: what it takes and where it goes.
fn summary(config: &Config) -> String {
    let mut text = String::new();
    for route in config.routes.routes() {
        match &route.destination {
            Destination::One(target) => {
                let _ = writeln!(text, "route `{}` → {}", route.name, place(target));
            }
            Destination::Split(split) => {
                let _ = writeln!(text, "route `{}` →", route.name);
                let sum = split.weights().sum();
                for (target, weight) in split.shares() {
                    let _ = writeln!(text, "  {weight} of {sum} to {}", place(target));
                }
            }
        }
        if let Some(mirror) = &route.mirror {
            let _ = writeln!(text, "  mirrored to {}", place(&mirror.target));
        }
    }
    for route in config.routes.rejecting() {
        let _ = writeln!(text, "route `{}` rejects ({})", route.name, route.reject.status.as_u16());
    }
    let count = config.routes.routes().len() + config.routes.rejecting().len();
    let _ = writeln!(text, "ok: {count} {}", if count == 1 { "route" } else { "routes" });
    text
}

fn place(target: &Target) -> String {
    let scope = &target.scope;
    format!("{} ({}, {})", target.authority, scope.service, scope.region)
}
