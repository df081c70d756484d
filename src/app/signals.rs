//! The signals that a person, a container engine or systemd sends: what they ask of the program.

use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// The stop signals: the first asks to finish, the second to leave at once.
pub struct Signals {
    /// To finish.
    pub stop: CancellationToken,
    /// To leave at once.
    pub now: CancellationToken,
}

impl Signals {
    /// Listens for SIGTERM and SIGINT from here on.
    ///
    /// # Errors
    ///
    /// Where the operating system does not let it.
    pub fn listen() -> std::io::Result<Self> {
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        let (stop, now) = (CancellationToken::new(), CancellationToken::new());
        tokio::spawn(watch(terminate, interrupt, stop.clone(), now.clone()));
        Ok(Self { stop, now })
    }
}

/// Listens for SIGHUP: read the configuration again. A program that does not listen for it ends
/// with its terminal.
///
/// # Errors
///
/// Where the operating system does not let it.
pub fn reload_signal() -> std::io::Result<Arc<Notify>> {
    let (mut hang_up, reload) = (signal(SignalKind::hangup())?, Arc::new(Notify::new()));
    let asked = Arc::clone(&reload);
    tokio::spawn(async move {
        while hang_up.recv().await.is_some() {
            asked.notify_one();
        }
    });
    Ok(reload)
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
