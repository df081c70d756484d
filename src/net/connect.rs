//! The connector: TCP or a tunnel, TLS on it where the scheme says so, all within one deadline.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use tower::Service;

use crate::config::{Config, Upstream};
use crate::net::error::ConnectError;
use crate::net::tcp::Tcp;
use crate::net::tls::{self, SetupError};
use crate::net::tracked::Tracked;
use crate::net::way::Way;

/// What a connection is made of.
pub(super) type Stream = MaybeHttpsStream<Tcp>;

/// Opens connections to targets and to the sources of credentials.
#[derive(Clone, Debug)]
pub struct Connector {
    https: HttpsConnector<Way>,
    deadline: Duration,
}

impl Connector {
    /// The connector of a configuration.
    ///
    /// # Errors
    ///
    /// Where its certificates or its proxy cannot be used.
    pub fn new(config: &Config) -> Result<Self, SetupError> {
        Self::with(&config.upstream, config.timeouts.connect)
    }

    pub(super) fn with(upstream: &Upstream, deadline: Duration) -> Result<Self, SetupError> {
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(tls::config(upstream)?)
            .https_or_http() // plain http is for loopback, which the configuration has checked
            .enable_http1()
            .wrap_connector(Way::new(&upstream.proxy)?);
        Ok(Self { https, deadline })
    }

    /// The same, with another deadline.
    pub(super) fn within(&self, deadline: Duration) -> Self {
        Self { https: self.https.clone(), deadline }
    }
}

impl Service<Uri> for Connector {
    type Response = Tracked<Stream>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Tracked<Stream>, ConnectError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        self.https.poll_ready(cx).map_err(ConnectError::classify)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let deadline = self.deadline;
        let opened = self.https.call(to);
        Box::pin(async move {
            match tokio::time::timeout(deadline, opened).await {
                Ok(opened) => opened.map(Tracked::new).map_err(ConnectError::classify),
                Err(_elapsed) => Err(ConnectError::TimedOut(deadline)),
            }
        })
    }
}
