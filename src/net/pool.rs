//! The connections to one target, kept between requests; the last one used is taken first.
//!
//! A request may be sent again only where the target cannot have acted on it, so that each send that
//! fails tells whether its connection had been open before, and whether a byte of it was written.

use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body::Body;
use hyper::client::conn::http1::SendRequest;
use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout, timeout_at};
use tower::BoxError;

use crate::net::alarm::Alarm;
use crate::net::census::{Census, Evictable, Place};
use crate::net::connect::Connector;
use crate::net::error::{ConnectError, SendError, Sent};
use crate::net::opening::{AHEAD, Lookout, Opening};
use crate::net::received::Received;
use crate::net::tcp::Written;

/// The connections to one target, for requests with bodies of one kind.
#[derive(Debug)]
pub struct Pool<B>(Arc<Shared<B>>);

#[derive(Debug)]
pub(super) struct Shared<B> {
    connector: Connector,
    to: Uri,
    /// How long a connection is kept without a request.
    idle: Duration,
    most_idle: usize,
    pub(super) census: Arc<Census>,
    resting: Mutex<Resting<B>>,
    /// A connection has come to rest.
    rested: Notify,
    /// Places for connections that are opened with nobody waiting.
    pub(super) ahead: Arc<Semaphore>,
    pub(super) lookout: Arc<dyn Lookout>,
}

/// The connections without a request.
#[derive(Debug)]
struct Resting<B> {
    /// The longest at rest first.
    connections: Vec<(Instant, Connection<B>)>,
    eviction: Eviction,
}

/// Whether a task waits for connections that rest for too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Eviction {
    Off,
    On,
}

#[derive(Debug)]
pub(super) struct Connection<B> {
    pub(super) sender: SendRequest<B>,
    /// hyper's, which reads and writes.
    pub(super) task: AbortHandle,
    pub(super) written: Written,
    pub(super) alarm: Alarm,
    /// In the count of all; none where it is in no pool.
    pub(super) _place: Option<Place>,
}

/// How long a target that has answered may take nothing of what is left of the request.
const STALL: Duration = Duration::from_secs(30);
/// How often it is looked whether the rest has left. Where the last of a request leaves after its
/// answer was read, hyper knows that, and says so when its task is woken the next time.
const LOOK: Duration = Duration::from_secs(1);

impl<B> Connection<B> {
    /// Waits for what is left of an exchange after its answer, which is hyper's to read or to write:
    /// whether it has come to its end. Where the target takes nothing for so long, nothing else would
    /// give it up: no bytes are awaited, of the target or of the client.
    async fn comes_to_rest(&mut self, stall: Duration) -> bool {
        let pause = LOOK.min(stall);
        // Looks are counted, and no time: a process that was frozen has not looked.
        let (mut stuck, mut quiet) = (None, Duration::ZERO);
        loop {
            if let Ok(ready) = timeout(pause, self.sender.ready()).await {
                return ready.is_ok();
            }
            let now = self.written.stuck_at();
            quiet = if now.is_some() && now == stuck { quiet + pause } else { Duration::ZERO };
            stuck = now;
            if quiet >= stall {
                self.task.abort();
                return false;
            }
            self.written.nudge();
        }
    }
}

/// The connection that a request went out on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CameOn {
    /// One that was opened for it.
    New,
    /// One that had been kept.
    Kept,
}

/// Whether a kept connection will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// It will.
    Allowed,
    /// Another one has just been found dead.
    Refused,
}

impl<B> Pool<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    /// No connection yet. `to` has a scheme and an authority.
    pub(super) fn new(
        connector: Connector,
        to: Uri,
        idle: Duration,
        (most_idle, census): (usize, &Arc<Census>),
        lookout: Arc<dyn Lookout>,
    ) -> Self {
        let census = Arc::clone(census);
        let resting = Resting { connections: Vec::new(), eviction: Eviction::Off };
        let (resting, rested) = (Mutex::new(resting), Notify::new());
        let ahead = Arc::new(Semaphore::new(AHEAD));
        let shared = Arc::new(Shared {
            connector,
            to,
            idle,
            most_idle,
            census,
            resting,
            rested,
            ahead,
            lookout,
        });
        let evictable: Weak<Shared<B>> = Arc::downgrade(&shared);
        shared.census.add(evictable);
        Self(shared)
    }

    /// Sends a request, in origin form and with its `Host`, and gives the head of its answer.
    ///
    /// # Errors
    ///
    /// Where there is no connection, or it breaks before the head is there, or that takes until
    /// `limit`.
    pub async fn send(
        &self,
        mut request: Request<B>,
        reuse: Reuse,
        limit: Instant,
    ) -> Result<(Response<Received<B>>, CameOn), SendError> {
        loop {
            let kept = if reuse == Reuse::Allowed { self.0.take() } else { None };
            let (mut lease, came_on) = match kept {
                Some(connection) => (self.lease(connection), CameOn::Kept),
                None => {
                    let connection = Box::pin(timeout_at(limit, self.connection(reuse)));
                    connection.await.map_err(|_elapsed| SendError::TimedOut)??
                }
            };
            let Connection { sender, written, alarm, .. } = lease.connection();
            let before = written.bytes();
            let mut failed = match alarm.within(limit, sender.try_send_request(request)).await {
                Some(Ok(answer)) => {
                    return Ok((answer.map(|body| Received::new(body, lease)), came_on));
                }
                Some(Err(failed)) => failed,
                None => return Err(SendError::TimedOut),
            };
            match failed.take_message() {
                // It had died at rest, and has taken nothing of the request.
                Some(back) if came_on == CameOn::Kept => request = back,
                _ => {
                    let cause = failed.into_error();
                    let sent = if written.bytes() == before { Sent::Nothing } else { Sent::Some };
                    return Err(SendError::Broken { cause, came_on, sent });
                }
            }
        }
    }

    fn lease(&self, connection: Connection<B>) -> Lease<B> {
        Lease { connection: Some(connection), pool: Arc::clone(&self.0) }
    }

    /// A new connection, or one that comes to rest while that is opened.
    async fn connection(&self, reuse: Reuse) -> Result<(Lease<B>, CameOn), ConnectError> {
        let mut opening = self.0.open();
        if reuse == Reuse::Refused {
            return Ok((self.lease(opening.wait().await?), CameOn::New));
        }
        loop {
            let rested = self.0.rested.notified();
            if let Some(connection) = self.0.take() {
                return Ok((self.lease(connection), CameOn::Kept));
            }
            tokio::select! {
                biased;
                opened = opening.wait() => return Ok((self.lease(opened?), CameOn::New)),
                () = rested => {}
            }
        }
    }

    /// Opens a connection for requests to come, if not enough are being opened.
    pub fn open_ahead(&self) {
        drop(self.0.open()); // nobody waits for it
    }
}

impl<B> Shared<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    fn open(self: &Arc<Self>) -> Opening<B> {
        let pool = Arc::clone(self);
        Opening::new(self, async move {
            let place = Some(pool.census.enter());
            let opened = pool.connector.open(pool.to.clone()).await;
            opened.map(|connection| Connection { _place: place, ..connection })
        })
    }
}

impl<B: Send + 'static> Shared<B> {
    fn resting(&self) -> MutexGuard<'_, Resting<B>> {
        self.resting.lock().expect("nothing panics while it is held")
    }

    /// The connection that rests for the shortest time, if one is alive.
    fn take(&self) -> Option<Connection<B>> {
        let mut resting = self.resting();
        while let Some((_, connection)) = resting.connections.pop() {
            if connection.sender.is_ready() {
                return Some(connection);
            }
        }
        None
    }

    pub(super) fn keep(self: &Arc<Self>, connection: Connection<B>) {
        let mut resting = self.resting();
        if resting.connections.len() >= self.most_idle || self.census.is_over() {
            return;
        }
        resting.connections.push((Instant::now(), connection));
        if resting.eviction == Eviction::Off {
            let Ok(runtime) = Handle::try_current() else { return };
            resting.eviction = Eviction::On;
            runtime.spawn(evict(Arc::downgrade(self), self.idle));
        }
        drop(resting);
        self.rested.notify_one();
    }

    /// Closes what rests for too long; how long there is until the next may, if one is left.
    fn leave_out(&self) -> Option<Duration> {
        let now = Instant::now();
        let mut resting = self.resting();
        resting.connections.retain(|(since, connection)| {
            now.duration_since(*since) < self.idle && !connection.sender.is_closed()
        });
        let Some((since, _)) = resting.connections.first() else {
            *resting = Resting { connections: Vec::new(), eviction: Eviction::Off };
            return None;
        };
        Some((*since + self.idle).duration_since(now))
    }
}

impl<B: Send + 'static> Evictable for Shared<B> {
    fn oldest(&self) -> Option<Instant> {
        self.resting().connections.first().map(|(since, _)| *since)
    }

    fn close_oldest(&self) {
        let mut resting = self.resting();
        if !resting.connections.is_empty() {
            resting.connections.remove(0);
        }
    }
}

async fn evict<B: Send + 'static>(pool: Weak<Shared<B>>, idle: Duration) {
    let mut pause = Some(idle);
    while let Some(time) = pause {
        tokio::time::sleep(time).await;
        pause = pool.upgrade().and_then(|pool| pool.leave_out());
    }
}

/// A connection in use. It goes back to its pool once its answer has been read to the end.
#[derive(Debug)]
pub(super) struct Lease<B: Send + 'static> {
    /// None once it is dropped.
    connection: Option<Connection<B>>,
    pool: Arc<Shared<B>>,
}

impl<B: Send + 'static> Lease<B> {
    fn connection(&mut self) -> &mut Connection<B> {
        self.connection.as_mut().expect("it is taken when the lease is dropped")
    }
}

impl<B: Send + 'static> Drop for Lease<B> {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        if connection.sender.is_ready() {
            self.pool.keep(connection);
        } else if !connection.sender.is_closed()
            && let Ok(runtime) = Handle::try_current()
        {
            let pool = Arc::clone(&self.pool);
            runtime.spawn(async move {
                if connection.comes_to_rest(STALL).await {
                    pool.keep(connection);
                }
            });
        }
    }
}

#[cfg(test)]
mod tests;
