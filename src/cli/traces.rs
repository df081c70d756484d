//! Traces to a collector, with the feature `otlp`: the way from OpenTelemetry's thread to our
//! runtime and our client. Without it all this is nothing.

use crate::cli::Environment;
use crate::config::{Config, LogFormat};
use crate::net::SetupError;
use crate::telemetry::logs::{self, Filter, FilterError, Output};

/// The way to a collector, where there is to be one.
#[derive(Debug, Default)]
pub(super) struct Traces {
    #[cfg(feature = "otlp")]
    exporter: Option<crate::telemetry::otlp::Exporter>,
}

#[cfg(not(feature = "otlp"))]
impl Traces {
    pub(super) fn of(_: &Environment) -> Result<Self, tower::BoxError> {
        Ok(Self::default())
    }

    pub(super) fn start_log(
        &self,
        filter: &str,
        format: Option<LogFormat>,
    ) -> Result<Filter, FilterError> {
        logs::start(filter, format, Output::Stdout)
    }

    pub(super) fn begin(&self, _: &Config) -> Result<(), SetupError> {
        Ok(())
    }

    pub(super) async fn end(self) {}
}

#[cfg(feature = "otlp")]
impl Traces {
    /// What the environment asks for.
    pub(super) fn of(environment: &Environment) -> Result<Self, tower::BoxError> {
        Ok(Self { exporter: crate::telemetry::otlp::Exporter::of(environment)? })
    }

    /// Starts the log, with spans for the exporter besides.
    pub(super) fn start_log(
        &self,
        filter: &str,
        format: Option<LogFormat>,
    ) -> Result<Filter, FilterError> {
        match &self.exporter {
            Some(exporter) => logs::start_with_traces(filter, format, Output::Stdout, exporter),
            None => logs::start(filter, format, Output::Stdout),
        }
    }

    /// Sends from now on, by the client of this configuration. To be called on the runtime.
    pub(super) fn begin(&self, config: &Config) -> Result<(), SetupError> {
        let Some(exporter) = &self.exporter else { return Ok(()) };
        let clients = crate::net::Clients::new(config)?;
        let runtime = tokio::runtime::Handle::current();
        exporter.send_by(Box::new(move |request| {
            let sending = runtime.spawn(sending::ask(clients.clone(), request));
            Box::pin(async move { sending.await? })
        }));
        Ok(())
    }

    /// Sends what is left, on a thread that may wait for the runtime.
    pub(super) async fn end(self) {
        if let Some(exporter) = self.exporter {
            let _ = tokio::task::spawn_blocking(move || exporter.finish()).await; // it says nothing
        }
    }
}

#[cfg(feature = "otlp")]
mod sending {
    use std::time::Duration;

    use bytes::Bytes;
    use http::{Request, Response};
    use http_body_util::{BodyExt, Full, Limited};
    use tower::BoxError;

    use crate::net::Clients;

    /// A collector answers at once; what it does not take in this time is lost.
    const PATIENCE: Duration = Duration::from_secs(10);
    /// A collector says in a few words what it did not take.
    const ANSWER: usize = 64 * 1024;

    #[allow(clippy::disallowed_methods)] // it is bounded
    pub(super) async fn ask(
        clients: Clients,
        request: Request<Bytes>,
    ) -> Result<Response<Bytes>, BoxError> {
        let asked = async {
            let (head, body) = clients.send(request.map(Full::new)).await?.into_parts();
            let body = Limited::new(body, ANSWER).collect().await?.to_bytes();
            Ok(Response::from_parts(head, body))
        };
        tokio::time::timeout(PATIENCE, asked).await?
    }
}
