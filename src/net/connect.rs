//! The connector: TCP or a tunnel, TLS on it where the scheme says so, all within one deadline.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::Connection;
use prometheus::IntCounter;
use tower::Service;

use crate::config::{Config, Upstream};
use crate::net::error::ConnectError;
use crate::net::history::History;
use crate::net::tcp::Tcp;
use crate::net::tls::{self, SetupError};
use crate::net::way::Way;

/// What a connection is made of.
pub(super) type Stream = MaybeHttpsStream<Tcp>;

/// Opens connections to targets and to the sources of credentials.
#[derive(Clone, Debug)]
pub struct Connector {
    https: HttpsConnector<Way>,
    deadline: Duration,
    opened: Option<IntCounter>,
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
        Ok(Self { https, deadline, opened: None })
    }

    /// The same, with another deadline.
    pub(super) fn within(&self, deadline: Duration) -> Self {
        Self { https: self.https.clone(), deadline, opened: None }
    }

    /// The same, with each connection that it opens counted.
    pub(super) fn counted(self, opened: IntCounter) -> Self {
        Self { opened: Some(opened), ..self }
    }
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, ConnectError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        self.https.poll_ready(cx).map_err(ConnectError::classify)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let deadline = self.deadline;
        let count = self.opened.clone();
        let opened = self.https.call(to);
        Box::pin(async move {
            match tokio::time::timeout(deadline, opened).await {
                Ok(Ok(opened)) => {
                    settle_handshake(&opened);
                    if let Some(count) = count {
                        count.inc();
                    }
                    Ok(opened)
                }
                Ok(Err(error)) => Err(ConnectError::classify(error)),
                Err(_elapsed) => Err(ConnectError::TimedOut(deadline)),
            }
        })
    }
}

/// What TLS has written is no part of a request.
fn settle_handshake(stream: &Stream) {
    let mut extras = http::Extensions::new();
    stream.connected().get_extras(&mut extras);
    if let Some(history) = extras.get::<History>() {
        history.settle();
    }
}
