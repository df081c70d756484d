//! The HTTP client: hyper-util's, which keeps connections and sends a request again by itself
//! only where not a byte of it was written.

use std::time::Instant;

use bytes::Bytes;
use http::Response;
use http_body::Body;
use hyper::body::Incoming;
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use prometheus::IntCounter;
use tower::BoxError;

use crate::config::Config;
use crate::net::connect::Connector;
use crate::net::history::History;
use crate::net::tls::SetupError;

/// A client for bodies of one kind.
pub type Client<B> = legacy::Client<Connector, B>;

/// Idle connections kept for each target. A burst of requests must find as many connections as
/// the last one left, or each would cost a handshake: so no fewer than clients may be connected.
const IDLE_FLOOR: usize = 1024;

/// What is read ahead of a client that takes its answer slowly, and how large the head of an
/// answer may be. hyper's own 408 KiB would be a gigabyte for a thousand slow clients.
const READ_AHEAD: usize = 64 * 1024;

/// Makes clients that share TLS settings and a connector, each with connections of its own.
#[derive(Clone, Debug)]
pub struct Clients {
    connector: Connector,
    idle: std::time::Duration,
    most_idle: usize,
}

impl Clients {
    /// The clients of a configuration.
    ///
    /// # Errors
    ///
    /// Where TLS or the proxy cannot be set up.
    pub fn new(config: &Config) -> Result<Self, SetupError> {
        Ok(Self {
            connector: Connector::new(config)?,
            idle: config.upstream.idle,
            most_idle: config.limits.connections.max(IDLE_FLOOR),
        })
    }

    /// The same, with each connection that they open counted.
    #[must_use]
    pub fn counted(self, opened: IntCounter) -> Self {
        Self { connector: self.connector.counted(opened), ..self }
    }

    /// A client that keeps its connections.
    pub fn pooled<B>(&self) -> Client<B>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        self.client(self.most_idle)
    }

    /// A client that opens a connection for each request.
    pub fn fresh<B>(&self) -> Client<B>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        self.client(0)
    }

    fn client<B>(&self, most_idle: usize) -> Client<B>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new()) // without it idle connections stay for ever
            .pool_idle_timeout(self.idle)
            .pool_max_idle_per_host(most_idle)
            .http1_max_buf_size(READ_AHEAD)
            .set_host(false) // it is signed, so it is already there
            .build(self.connector.clone())
    }
}

/// The connection that an answer came on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CameOn {
    /// One that was opened for it.
    New,
    /// One that had been kept.
    Kept,
}

/// Notes that the answer's connection has brought one, to a request that was `sent` then.
pub fn mark_answered(answer: &mut Response<Incoming>, sent: Instant) -> CameOn {
    let Some(history) = answer.extensions_mut().remove::<History>() else { return CameOn::New };
    history.settle();
    if history.is_older_than(sent) { CameOn::Kept } else { CameOn::New }
}

/// Whether a send of `moment` failed on a connection that had been open before.
pub fn was_kept(error: &legacy::Error, moment: Instant) -> bool {
    history(error).is_some_and(|history| history.is_older_than(moment))
}

/// Whether a send failed on a connection to which nothing of it had been written.
pub fn was_unwritten(error: &legacy::Error) -> bool {
    history(error).is_some_and(|history| history.is_settled())
}

fn history(error: &legacy::Error) -> Option<History> {
    let mut extras = http::Extensions::new();
    error.connect_info()?.get_extras(&mut extras);
    extras.remove()
}
