//! What verbs that serve have in common: a runtime, signals, and an app that runs between them.

use std::future::Future;
use std::sync::Arc;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::app::reload::Reload;
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

/// The stop signals: the first asks to finish, the second to leave at once; and SIGHUP.
pub(super) struct Signals {
    pub(super) stop: CancellationToken,
    pub(super) now: CancellationToken,
    /// SIGHUP: read the configuration again.
    pub(super) reload: Arc<Notify>,
}

impl Signals {
    /// Listens for SIGTERM, SIGINT and SIGHUP from here on.
    pub(super) fn listen() -> std::io::Result<Self> {
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        let (stop, now) = (CancellationToken::new(), CancellationToken::new());
        tokio::spawn(watch(terminate, interrupt, stop.clone(), now.clone()));
        let (mut hang_up, reload) = (signal(SignalKind::hangup())?, Arc::new(Notify::new()));
        let asked = Arc::clone(&reload);
        tokio::spawn(async move {
            while hang_up.recv().await.is_some() {
                asked.notify_one();
            }
        });
        Ok(Self { stop, now, reload })
    }
}

async fn watch(
    mut terminate: Signal,
    mut interrupt: Signal,
    stop: CancellationToken,
    now: CancellationToken,
) {
    for token in [stop, now] {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        token.cancel();
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
}

/// Builds the program, says where it listens, and serves until it is told to stop.
pub(super) async fn serve(
    config: Config,
    stores: Stores,
    live: Live,
    announce: impl FnOnce(&App),
) -> Exit {
    let signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => {
            complain(&error, None);
            return Exit::Failure;
        }
    };
    let Live { clock, inherited, reread } = live;
    match App::with_sockets(Arc::new(config), stores, clock, inherited).await {
        Ok(mut app) => {
            announce(&app);
            if let Some((inputs, filter)) = reread {
                app = app.reloading(Reload { inputs, filter: Some(filter), asked: signals.reload });
            }
            match app.serve(signals.stop, signals.now).await {
                Ended::Drained => Exit::Success,
                Ended::CutOff => Exit::Failure,
            }
        }
        Err(StartError::Net(error)) => refuse_setup(&error),
        Err(StartError::Bind(error)) => {
            complain(&error, Some(&error.hint));
            Exit::Failure
        }
    }
}
