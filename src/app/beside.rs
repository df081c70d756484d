//! Work that would hold up the requests, on a thread beside theirs.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// What `work` gives; none where the system starts no more threads. There tokio panics, and with it
/// the task that waits for a reason to reload would be gone.
pub(super) async fn beside<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let started = catch_unwind(AssertUnwindSafe(|| tokio::task::spawn_blocking(work))).ok()?;
    match started.await.map_err(tokio::task::JoinError::try_into_panic) {
        Ok(output) => Some(output),
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        Err(Err(_cancelled)) => None, // the process ends
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::beside;

    #[test]
    fn where_there_is_no_thread_there_is_no_panic_either() {
        assert_eq!(beside(|| 7).now_or_never(), Some(None), "no runtime is there to start one");
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        assert_eq!(runtime.ok().and_then(|runtime| runtime.block_on(beside(|| 7))), Some(7));
    }
}
