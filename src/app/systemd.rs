//! What systemd is told of the process's life (sd_notify(3)). Without `NOTIFY_SOCKET` all of it
//! does nothing.

use std::time::Duration;

use sd_notify::{NotifyState, notify, watchdog_enabled};
use tokio_util::sync::CancellationToken;

/// The listeners stand.
pub(super) fn ready() {
    tell(&[NotifyState::Ready, NotifyState::Status("serving")]);
}

/// The configuration is being read again.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now, NotifyState::Status("reloading")]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

/// It was told to stop.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("answering the requests under way")]);
}

/// Says that the process lives, twice as often as systemd asks for, until `stop`.
pub(super) async fn keep_alive(stop: CancellationToken) {
    let Some(limit) = watchdog_enabled() else { return };
    let pause = (limit / 2).max(Duration::from_millis(1));
    while !stop.is_cancelled() {
        tell(&[NotifyState::Watchdog]);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => {}
        }
    }
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = notify(state) {
        tracing::debug!(%error, "systemd could not be told");
    }
}
