//! The AWS SDK's HTTP client, over our own: one TLS stack and one set of roots, also for STS and
//! SSO; and plain http for the agents of ECS and EKS and for IMDS, never through a proxy.

use std::sync::Mutex;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;

use crate::net::client;
use crate::net::connect::Connector;

/// DNS, TCP and TLS where the SDK names no limit of its own.
const CONNECT: Duration = Duration::from_secs(5);
/// The head of an answer where the SDK names no limit of its own.
const READ: Duration = Duration::from_secs(10);

/// The client for sources of credentials. They are asked a few times an hour: no connection is
/// kept for them.
pub fn sdk_client(connector: Connector) -> SharedHttpClient {
    let known: Mutex<Vec<(Limits, SharedHttpConnector)>> = Mutex::default();
    http_client_fn(move |settings, _| {
        let limits = Limits::of(settings);
        let mut known = known.lock().expect("nothing panics while it is held");
        if let Some((_, made)) = known.iter().find(|(of, _)| *of == limits) {
            return made.clone();
        }
        let made = SharedHttpConnector::new(Sender::new(&connector, limits));
        known.push((limits, made.clone()));
        made
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Limits {
    connect: Duration,
    read: Duration,
}

impl Limits {
    fn of(settings: &HttpConnectorSettings) -> Self {
        Self {
            connect: settings.connect_timeout().unwrap_or(CONNECT),
            read: settings.read_timeout().unwrap_or(READ),
        }
    }
}

#[derive(Clone, Debug)]
struct Sender {
    connector: Connector,
    read: Duration,
}

impl Sender {
    fn new(connector: &Connector, limits: Limits) -> Self {
        Self { connector: connector.within(limits.connect), read: limits.read }
    }

    async fn send(self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let request =
            request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
        let answer = tokio::time::timeout(self.read, client::send(&self.connector, request))
            .await
            .map_err(|elapsed| ConnectorError::timeout(elapsed.into()))?
            .map_err(|error| ConnectorError::io(error.into()))?;
        HttpResponse::try_from(answer.map(SdkBody::from_body_1_x))
            .map_err(|error| ConnectorError::other(error.into(), None))
    }
}

impl HttpConnector for Sender {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::new(self.clone().send(request))
    }
}
