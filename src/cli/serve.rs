//! What verbs that serve have in common: a runtime, and an app that runs until it is told to
//! stop.

use std::future::Future;
use std::sync::Arc;

use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;

use crate::app::extension::Extension;
use crate::app::reload::Reload;
use crate::app::signals::{Signals, reload_signal};
use crate::app::{App, Ended, StartError};
use crate::cli::{Exit, complain, refuse_setup};
use crate::clock::Clock;
use crate::config::Config;
use crate::config::load::Inputs;
use crate::credentials::Stores;
use crate::listen::Inherited;
use crate::telemetry::logs::Filter;

/// A runtime: one thread serves tens of thousands of requests a second with the least work for
/// each.
pub(super) fn runtime(workers: usize) -> std::io::Result<Runtime> {
    if workers == 1 {
        return Builder::new_current_thread().enable_all().build();
    }
    Builder::new_multi_thread().worker_threads(workers).enable_all().build()
}

/// Runs `work` to its end on a runtime of its own.
pub(super) fn block_on<F>(workers: usize, work: F) -> Exit
where
    F: Future<Output = Exit>,
{
    match runtime(workers) {
        Ok(runtime) => {
            let exit = runtime.block_on(work);
            runtime.shutdown_background(); // a DNS look-up may still hang
            exit
        }
        Err(error) => {
            complain(&error, Some("allow the process more threads and descriptors"));
            Exit::Failure
        }
    }
}

/// What a program that lives long has besides its configuration.
pub(super) struct Live {
    /// The stores' too, so that what is learnt of the machine's clock holds for expiries as well.
    pub(super) clock: Clock,
    /// Sockets that it was started with.
    pub(super) inherited: Inherited,
    /// What its configuration is read again from, and the filter of its log.
    pub(super) reread: Option<(Inputs, Filter)>,
    /// Lambda, where it is an extension there.
    pub(super) extension: Option<Extension>,
}

/// Builds the program, says where it listens, and serves until it is told to stop.
pub(super) async fn serve(
    config: Config,
    stores: Stores,
    live: Live,
    announce: impl FnOnce(&App),
) -> Exit {
    let Live { clock, inherited, reread, extension } = live;
    let reload = |(inputs, filter)| {
        let asked = reload_signal()?;
        Ok::<_, std::io::Error>(Reload { inputs, filter: Some(filter), asked })
    };
    let (signals, reload) = match (Signals::listen(), reread.map(reload).transpose()) {
        (Ok(signals), Ok(reload)) => (signals, reload),
        (Err(error), _) | (_, Err(error)) => {
            complain(&error, None);
            return Exit::Failure;
        }
    };
    match App::with_sockets(Arc::new(config), stores, clock.clone(), inherited).await {
        Ok(mut app) => {
            announce(&app);
            if let Some(reload) = reload {
                app = app.reloading(reload);
            }
            match extension {
                None => exit(app.serve(signals.stop, signals.now).await),
                Some(extension) => {
                    serve_extension(app, extension, (signals.stop, signals.now), clock).await
                }
            }
        }
        Err(StartError::Net(error)) => refuse_setup(&error),
        Err(StartError::Bind(error)) => {
            complain(&error, Some(&error.hint));
            Exit::Failure
        }
    }
}

/// The same until Lambda ends it. It is registered once its addresses are taken: whoever connects
/// before it serves waits a moment, and is not refused.
async fn serve_extension(
    app: App,
    extension: Extension,
    (stop, now): (CancellationToken, CancellationToken),
    clock: Clock,
) -> Exit {
    let registered = match extension.register().await {
        Ok(registered) => registered,
        Err(error) => {
            complain(&error, Some(NO_EXTENSION));
            return Exit::Failure;
        }
    };
    let watching = tokio::spawn(registered.watch(stop.clone(), now.clone(), clock));
    let ended = app.serve(stop, now).await;
    watching.abort(); // it may have no more to say
    if let Ok(Err(error)) = watching.await {
        complain(&error, None);
        return Exit::Failure;
    }
    exit(ended)
}

/// It may have inherited the variable from the function that started it.
const NO_EXTENSION: &str = "put it into a layer as `extensions/countersign`, or take \
                            AWS_LAMBDA_RUNTIME_API out of its environment where it is none";

fn exit(ended: Ended) -> Exit {
    match ended {
        Ended::Drained => Exit::Success,
        Ended::CutOff => Exit::Failure,
    }
}
