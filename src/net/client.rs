//! What sends requests: pools of connections for targets, and a connection of its own for a request
//! that is alone.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{HOST, HeaderValue};
use http::{Request, Response, Uri};
use http_body::Body;
use hyper::body::Incoming;
use prometheus::IntCounter;
use tower::BoxError;

use crate::config::Config;
use crate::net::census::Census;
use crate::net::connect::Connector;
use crate::net::error::{ConnectError, SendError, Sent};
use crate::net::opening::Lookout;
use crate::net::pool::{CameOn, Pool};
use crate::net::tls::SetupError;

/// Idle connections kept for each target. A burst of requests must find as many connections as
/// the last one left, or each would cost a handshake: so no fewer than clients may be connected.
const IDLE_FLOOR: usize = 1024;

/// Makes pools that share TLS settings and a connector, each with connections of its own.
#[derive(Clone, Debug)]
pub struct Clients {
    connector: Connector,
    idle: std::time::Duration,
    most_idle: usize,
    census: Arc<Census>,
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
            census: Census::new(usize::MAX),
        })
    }

    /// The same, with no more than `most` connections in all pools together, but for those that
    /// requests need.
    #[must_use]
    pub fn bounded(self, most: usize) -> Self {
        Self { census: Census::new(most), ..self }
    }

    /// The same, with a bound that the pools of `others` share.
    #[must_use]
    pub fn bounded_with(self, others: &Self) -> Self {
        Self { census: Arc::clone(&others.census), ..self }
    }

    /// The same, with each connection that they open counted.
    #[must_use]
    pub fn counted(self, opened: IntCounter) -> Self {
        Self { connector: self.connector.counted(opened), ..self }
    }

    /// A pool of connections to the host of `to`.
    pub fn pool<B>(&self, to: Uri, lookout: Arc<dyn Lookout>) -> Pool<B>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        let bounds = (self.most_idle, &self.census);
        Pool::new(self.connector.clone(), to, self.idle, bounds, lookout)
    }

    /// Sends one request on a connection of its own.
    ///
    /// # Errors
    ///
    /// Where there is no connection, or it breaks before the answer's head is there.
    pub async fn send<B>(&self, request: Request<B>) -> Result<Response<Incoming>, SendError>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        send(&self.connector, request).await
    }
}

/// Sends one request, whose URI is a whole one, on a connection of its own.
pub(super) async fn send<B>(
    connector: &Connector,
    mut request: Request<B>,
) -> Result<Response<Incoming>, SendError>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    let to = request.uri().clone();
    let unnamed = |cause| SendError::Connect(ConnectError::Other(cause));
    let authority = to.authority().ok_or_else(|| unnamed("its URI names no host".into()))?;
    if !request.headers().contains_key(HOST) {
        let host = HeaderValue::from_str(authority.as_str());
        request.headers_mut().insert(HOST, host.map_err(|error| unnamed(error.into()))?);
    }
    *request.uri_mut() = to.path_and_query().cloned().map(Uri::from).unwrap_or_default();
    let mut connection = connector.open(to).await?;
    let answer = connection.sender.send_request(request).await;
    answer.map_err(|cause| SendError::Broken { cause, came_on: CameOn::New, sent: Sent::Some })
}
