//! `countersign [run]`: serves until told to stop.

use crate::app::extension::Extension;
use crate::app::{self, App};
use crate::cli::arguments::Run;
use crate::cli::serve::Live;
use crate::cli::traces::Traces;
use crate::cli::{Environment, Exit, complain, inputs_with, refuse, refuse_setup, serve};
use crate::clock::Clock;
use crate::config::Config;
use crate::config::load::{Flags, Inputs, load};
use crate::credentials::Stores;
use crate::listen::Inherited;
use crate::telemetry::logs::Filter;

pub(super) fn run(arguments: Run, environment: Environment, program: &str) -> Exit {
    let inputs = inputs(arguments, environment);
    let config = match load(&inputs) {
        Ok(config) => config,
        Err(problems) => return refuse(&problems),
    };
    let (filter, traces) = match observe(&config, &inputs.environment) {
        Ok(observed) => observed,
        Err(exit) => return exit,
    };
    app::warn(&config.warnings);
    let inherited = Inherited::of(&inputs.environment);
    let workers = config.workers;
    let extension = Extension::of(&inputs.environment, program);
    serve::block_on(workers, async move {
        let clock = Clock::system();
        if let Err(error) = traces.begin(&config) {
            return refuse_setup(&error);
        }
        let exit = match Stores::new(&config, &inputs.environment, &clock) {
            Ok(stores) => {
                let reread = Some((inputs, filter));
                let live = Live { clock, inherited, reread, extension };
                serve::serve(config, stores, live, announce).await
            }
            Err(error) => refuse_setup(&error),
        };
        traces.end().await;
        exit
    })
}

/// Starts the log, and traces where there is a collector for them.
fn observe(config: &Config, environment: &Environment) -> Result<(Filter, Traces), Exit> {
    let traces = Traces::of(environment).map_err(|error| {
        complain(&*error, Some("write it as `http://localhost:4318`"));
        Exit::Configuration
    })?;
    let filter = traces.start_log(&config.log, config.log_format).map_err(|error| {
        complain(&error, None);
        Exit::Configuration
    })?;
    Ok((filter, traces))
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
