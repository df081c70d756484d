//! The connector: TCP or a tunnel, TLS on it where the scheme says so, all within one deadline.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::Uri;
use http_body::Body;
use hyper::client::conn::http1;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use prometheus::IntCounter;
use tokio::time::Instant;
use tower::{BoxError, Service, ServiceExt};

use crate::config::{Config, Upstream};
use crate::net::alarm::Alarm;
use crate::net::error::ConnectError;
use crate::net::pool::Connection;
use crate::net::tcp::{Tcp, Written};
use crate::net::tls::{self, SetupError};
use crate::net::way::Way;

/// What a connection is made of.
pub(super) type Stream = MaybeHttpsStream<Tcp>;

/// What is read ahead of a client that takes its answer slowly, and how large the head of an
/// answer may be. hyper's own 408 KiB would be a gigabyte for a thousand slow clients.
const READ_AHEAD: usize = 64 * 1024;

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
            .wrap_connector(Way::new(&upstream.proxy, deadline)?);
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

    /// A connection to the host of `to` that is ready for requests.
    pub(super) async fn open<B>(&self, to: Uri) -> Result<Connection<B>, ConnectError>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        let stream = self.clone().oneshot(to).await?;
        let written = written(&stream);
        let unready = |error: hyper::Error| ConnectError::Other(error.into());
        let shaking = http1::Builder::new().max_buf_size(READ_AHEAD).handshake(stream).await;
        let (mut sender, connection) = shaking.map_err(unready)?;
        let driven = written.clone();
        let task = tokio::spawn(async move {
            driven.is_driven_by(&poll_fn(|cx| Poll::Ready(cx.waker().clone())).await);
            if let Err(error) = connection.await {
                tracing::debug!(error = &error as &dyn std::error::Error, "a connection broke");
            }
        });
        let task = task.abort_handle();
        sender.ready().await.map_err(unready)?;
        Ok(Connection { sender, task, written, alarm: Alarm::default(), _place: None })
    }
}

fn written(stream: &Stream) -> Written {
    let tcp = match stream {
        MaybeHttpsStream::Http(tcp) => tcp,
        MaybeHttpsStream::Https(tls) => tls.inner().get_ref().0.inner(),
    };
    tcp.written().clone()
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
        let began = Instant::now();
        Box::pin(async move {
            match tokio::time::timeout(deadline, opened).await {
                Ok(Ok(opened)) => {
                    if let Some(count) = count {
                        count.inc();
                    }
                    Ok(opened)
                }
                // The TCP connection has a time-out of its own; after a pause, that one is heard first.
                Ok(Err(error)) if began.elapsed() < deadline => Err(ConnectError::classify(error)),
                Ok(Err(_)) | Err(_) => Err(ConnectError::TimedOut(deadline)),
            }
        })
    }
}
