//! `countersign check`: the same validation as `run`, every problem in one go.

use std::fmt::Write;

use crate::cli::arguments::Check;
use crate::cli::{Environment, Exit, inputs, print, refuse, tell};
use crate::config::Config;
use crate::config::load::load;

pub(super) fn run(arguments: &Check, environment: Environment) -> Exit {
    match load(&inputs(arguments.file.config.clone(), environment)) {
        Ok(config) => {
            for warning in &config.warnings {
                tell(format_args!("warning: {warning}"));
            }
            print(summary(&config));
            Exit::Success
        }
        Err(problems) => refuse(&problems),
    }
}

/// A line a route: what it takes and where it goes.
fn summary(config: &Config) -> String {
    let mut text = String::new();
    for route in config.routes.routes() {
        let (target, scope) = (&route.target, &route.target.scope);
        let _ = writeln!(
            text,
            "route `{}` → {} ({}, {})",
            route.name, target.authority, scope.service, scope.region
        );
    }
    let count = config.routes.routes().len();
    let _ = writeln!(text, "ok: {count} {}", if count == 1 { "route" } else { "routes" });
    text
}
