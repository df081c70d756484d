//! How the program ends: still accepting for a while but no longer ready, so that nobody sends
//! new work; then no longer accepting, until the requests under way are answered.

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::Ended;
use crate::config::Shutdown;

/// Ends what is `serving`. `closing` closes the listeners; `now` cuts everything short.
pub(super) async fn end(
    shutdown: Shutdown,
    serving: &TaskTracker,
    closing: &CancellationToken,
    now: &CancellationToken,
) -> Ended {
    tracing::info!(
        delay_s = shutdown.delay.as_secs_f64(),
        grace_s = shutdown.grace.as_secs_f64(),
        "stopping: no longer ready"
    );
    tokio::select! {
        () = tokio::time::sleep(shutdown.delay) => {}
        () = now.cancelled() => {}
    }
    closing.cancel();
    tokio::select! {
        biased;
        () = serving.wait() => Ended::Drained,
        () = now.cancelled() => Ended::CutOff,
        () = tokio::time::sleep(shutdown.grace) => Ended::CutOff,
    }
}
