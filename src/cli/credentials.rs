//! Credentials for a verb that signs or sends by itself: waited for as long as there is hope.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::cli::tell;
use crate::credentials::{Store, Unavailable};
use crate::sigv4::SigningCredentials;

/// How long a source that says nothing is waited for: as long as a load may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long one is that has failed: the agents of ECS and EKS may need another try.
const SECOND_TRY: Duration = Duration::from_secs(2);
/// How often it is looked whether it has failed.
const LOOK: Duration = Duration::from_millis(250);

/// The credentials of a store that is being filled.
pub(super) async fn loaded(store: &Store) -> Result<Arc<SigningCredentials>, Unavailable> {
    let began = Instant::now();
    loop {
        let error = match store.get(LOOK).await {
            Ok(credentials) => return Ok(credentials),
            Err(error) => error,
        };
        let limit = if matches!(error, Unavailable::Failed(_)) { SECOND_TRY } else { PATIENCE };
        if began.elapsed() >= limit {
            return Err(error);
        }
    }
}

/// Why there are none, and what to do.
pub(super) fn why(unavailable: &Unavailable) -> (String, String) {
    match unavailable {
        Unavailable::Failed(failure) => {
            // What the chain tried is in the hint.
            let what = failure.message.split(". Attempted:").next().unwrap_or_default();
            (what.to_owned(), failure.hint.to_string())
        }
        Unavailable::Pending => {
            (unavailable.to_string(), "look at the container's agent, IMDS or STS".to_owned())
        }
    }
}

/// Says that there are none.
pub(super) fn complain(unavailable: &Unavailable) {
    let (what, hint) = why(unavailable);
    tell(format_args!("error: no credentials: {what}\n  hint: {hint}"));
}
