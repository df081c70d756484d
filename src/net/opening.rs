//! A connection on its way. Where nobody waits for it any more it is opened all the same, for the
//! next request: one that came to rest was quicker, or the client has gone. Only so does a target
//! that says nothing become known where every client goes before the connect time-out.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use tokio::runtime::Handle;

use crate::net::error::ConnectError;
use crate::net::pool::{Connection, Shared};

/// How many connections to one target may be opened with nobody waiting. Where none comes about,
/// each request would add one that lives on for the whole connect time-out.
pub(super) const AHEAD: usize = 64;

/// Is told what became of connections that nobody waited for.
pub trait Lookout: std::fmt::Debug + Send + Sync {
    /// One was opened.
    fn reached(&self);
    /// One was not, which began at this time.
    fn missed(&self, why: &ConnectError, began: Instant);
}

type Opened<B> = Result<Connection<B>, ConnectError>;

/// A connection on its way to a pool.
pub(super) struct Opening<B: Send + 'static> {
    /// None once it has come, or not.
    under_way: Option<Pin<Box<dyn Future<Output = Opened<B>> + Send>>>,
    began: Instant,
    pool: Arc<Shared<B>>,
}

impl<B: Send + 'static> Opening<B> {
    pub(super) fn new(
        pool: &Arc<Shared<B>>,
        opened: impl Future<Output = Opened<B>> + Send + 'static,
    ) -> Self {
        let (under_way, began) = (Some(Box::pin(opened) as Pin<Box<_>>), Instant::now());
        Self { under_way, began, pool: Arc::clone(pool) }
    }

    /// Waits for it, once.
    pub(super) async fn wait(&mut self) -> Opened<B> {
        let opened = self.under_way.as_mut().expect("nobody waits twice").await;
        self.under_way = None;
        opened
    }
}

/// It goes on with nobody waiting, unless too many do.
impl<B: Send + 'static> Drop for Opening<B> {
    fn drop(&mut self) {
        let Some(under_way) = self.under_way.take() else { return };
        if std::thread::panicking() {
            return; // what has panicked cannot go on
        }
        let ahead = &self.pool.ahead;
        // One tells whether the target can be reached, however many connections there are.
        if self.pool.census.is_over() && ahead.available_permits() < AHEAD {
            return;
        }
        let Ok(place) = Arc::clone(ahead).try_acquire_owned() else { return };
        let Ok(runtime) = Handle::try_current() else { return };
        let (pool, began) = (Arc::clone(&self.pool), self.began);
        runtime.spawn(async move {
            match under_way.await {
                Ok(connection) => {
                    pool.lookout.reached();
                    pool.keep(connection);
                }
                Err(error) => pool.lookout.missed(&error, began),
            }
            drop(place);
        });
    }
}
