//! `countersign [run]`: serves until told to stop.

use crate::app::{self, App};
use crate::cli::arguments::Run;
use crate::cli::serve::Live;
use crate::cli::{Environment, Exit, complain, inputs_with, refuse, refuse_setup, serve};
use crate::clock::Clock;
use crate::config::load::{Flags, Inputs, load};
use crate::credentials::Stores;
use crate::listen::Inherited;
use crate::telemetry::logs::{self, Output};

pub(super) fn run(arguments: Run, environment: Environment) -> Exit {
    let inputs = inputs(arguments, environment);
    let config = match load(&inputs) {
        Ok(config) => config,
        Err(problems) => return refuse(&problems),
    };
    let filter = match logs::start(&config.log, config.log_format, Output::Stdout) {
        Ok(filter) => filter,
        Err(error) => {
            complain(&error, None);
            return Exit::Configuration;
        }
    };
    app::warn(&config.warnings);
    let inherited = Inherited::of(&inputs.environment);
    let workers = config.workers;
    serve::block_on(workers, async move {
        let clock = Clock::system();
        match Stores::new(&config, &inputs.environment, &clock) {
            Ok(stores) => {
                let live = Live { clock, inherited, reread: Some((inputs, filter)) };
                serve::serve(config, stores, live, announce).await
            }
            Err(error) => refuse_setup(&error),
        }
    })
}

fn announce(app: &App) {
    let admin = app.admin_address().map(|address| format!("http://{address}"));
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        listen = app.addresses().join(" "),
        admin,
        "countersign is listening"
    );
}

fn inputs(arguments: Run, environment: Environment) -> Inputs {
    let flags = Flags {
        target: arguments.target,
        listen: arguments.listen,
        admin: arguments.admin,
        allow_remote: arguments.allow_remote.then_some(true),
        access_log: arguments.access_log,
        log_format: arguments.log_format,
        log_level: arguments.log_level,
        workers: arguments.workers,
        region: arguments.signing.region,
        service: arguments.signing.service,
        profile: arguments.signing.profile,
    };
    inputs_with(arguments.file.config, environment, flags)
}
