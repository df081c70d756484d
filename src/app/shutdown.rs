//! How the program ends: still accepting for a while but no longer ready, so that nobody sends
//! new work; then no longer accepting, until the requests under way are answered.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::Ended;
use crate::config::Shutdown;
use crate::listen::Stop;

/// How long connections that are cut off are given to close: they wait for nobody.
const CUT: Duration = Duration::from_secs(1);

/// Ends what is `serving`, step by step; `now` cuts everything short.
pub(super) async fn end(
    shutdown: Shutdown,
    serving: &TaskTracker,
    stop: &Stop,
    now: &CancellationToken,
) -> Ended {
    tracing::info!(
        delay_s = shutdown.delay.as_secs_f64(),
        grace_s = shutdown.grace.as_secs_f64(),
        "stopping: no longer ready"
    );
    stop.announce();
    tokio::select! {
        () = tokio::time::sleep(shutdown.delay) => {}
        () = now.cancelled() => {}
    }
    stop.close();
    tokio::select! {
        biased;
        () = serving.wait() => return Ended::Drained,
        () = now.cancelled() => {}
        () = tokio::time::sleep(shutdown.grace) => {}
    }
    stop.cut();
    let _ = tokio::time::timeout(CUT, serving.wait()).await; // whoever is late goes with us
    let requests = stop.cut_off();
    if requests > 0 {
        tracing::warn!(requests, "requests under way were cut off");
    } else if !now.is_cancelled() {
        return Ended::Drained; // no more than heads that never ended
    }
    Ended::CutOff
}
