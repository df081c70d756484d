//! The program as an external Lambda extension: where Lambda starts it from a layer's
//! `extensions/` folder, it registers once its listeners stand, and ends when the execution
//! environment does. The function's own code starts only when every extension has asked for its
//! first event, so a failed registration must end the program and never hang: Lambda would wait.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html>

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;
use tower::BoxError;

use crate::clock::Clock;

/// Lambda gives all that starts 10 s together.
const REGISTERING: Duration = Duration::from_secs(5);
/// Between two tries to ask for the next event, after a connection that broke.
const PAUSE: Duration = Duration::from_secs(1);
/// What is left of the time to end in when requests under way are cut off: Lambda kills at 0.
const RESERVE: Duration = Duration::from_millis(200);
/// An event takes some hundred bytes.
const EVENT_LIMIT: usize = 64 * 1024;

const NAME: &str = "lambda-extension-name";
const IDENTIFIER: &str = "lambda-extension-identifier";

/// Where the Extensions API is, and what the program is called there.
#[derive(Clone, Debug)]
pub struct Extension {
    api: String,
    name: String,
}

/// Why the Extensions API and this program do not understand each other.
#[derive(Debug, thiserror::Error)]
pub enum ExtensionError {
    /// No answer.
    #[error("the Lambda Extensions API at `{api}` does not answer")]
    Unreachable {
        /// Its address.
        api: String,
        /// Why.
        #[source]
        cause: BoxError,
    },
    /// An answer, but another one than is agreed.
    #[error("the Lambda Extensions API at `{api}` answered {what}")]
    Unexpected {
        /// Its address.
        api: String,
        /// What it answered.
        what: String,
    },
}

/// An extension that Lambda knows.
#[derive(Debug)]
pub struct Registered {
    extension: Extension,
    client: Client<HttpConnector, Full<Bytes>>,
    identifier: HeaderValue,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    event_type: String,
    #[serde(default)]
    deadline_ms: Option<u64>,
    #[serde(default)]
    shutdown_reason: Option<String>,
}

impl Extension {
    /// The Extensions API that the environment names, if it names one. `program` is the file that
    /// was started: Lambda wants its name.
    pub fn of(environment: &[(String, String)], program: &str) -> Option<Self> {
        let named = environment.iter().find(|(name, _)| name == "AWS_LAMBDA_RUNTIME_API");
        let (_, api) = named.filter(|(_, api)| !api.is_empty())?;
        Some(Self { api: api.clone(), name: program.to_owned() })
    }

    /// Registers for the end of the execution environment, and for nothing else: requests come by
    /// the listeners.
    ///
    /// # Errors
    ///
    /// Where Lambda does not take it.
    pub async fn register(self) -> Result<Registered, ExtensionError> {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(REGISTERING));
        // Each call has a connection of its own: a kept one may have died in a frozen environment.
        let client =
            Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("http://{}/2020-01-01/extension/register", self.api))
            .header(NAME, &self.name)
            .body(Full::from(r#"{"events":["SHUTDOWN"]}"#))
            .map_err(|error| self.unreachable(error))?;
        let answered = tokio::time::timeout(REGISTERING, client.request(request)).await;
        let response = answered
            .map_err(|elapsed| self.unreachable(elapsed))?
            .map_err(|error| self.unreachable(error))?;
        if response.status() != StatusCode::OK {
            return Err(self.refused(response).await);
        }
        let Some(identifier) = response.headers().get(IDENTIFIER) else {
            return Err(self.unexpected(format!("without `{IDENTIFIER}`")));
        };
        let identifier = identifier.clone();
        tracing::info!(name = self.name, "registered as a Lambda extension");
        Ok(Registered { extension: self, client, identifier })
    }

    fn unreachable(&self, cause: impl Into<BoxError>) -> ExtensionError {
        ExtensionError::Unreachable { api: self.api.clone(), cause: cause.into() }
    }

    fn unexpected(&self, what: String) -> ExtensionError {
        ExtensionError::Unexpected { api: self.api.clone(), what }
    }

    /// What it says of a request that it does not take.
    async fn refused(&self, response: Response<Incoming>) -> ExtensionError {
        let status = response.status();
        let said = whole(response).await.unwrap_or_default();
        self.unexpected(format!("{status}: {}", String::from_utf8_lossy(&said).trim()))
    }
}

impl Registered {
    /// Waits until the execution environment ends. Then asks the program to `stop`, and cuts it
    /// short, `now`, just before Lambda does.
    ///
    /// # Errors
    ///
    /// Where the Extensions API refuses to tell, which AWS calls a reason to exit promptly: `stop`
    /// was asked for.
    pub async fn watch(
        self,
        stop: CancellationToken,
        now: CancellationToken,
        clock: Clock,
    ) -> Result<(), ExtensionError> {
        let _stopped = stop.clone().drop_guard();
        let event = tokio::select! {
            event = self.ended() => event?,
            () = stop.cancelled() => return Ok(()),
        };
        let left = left(&event, clock.now());
        let reason = event.shutdown_reason.as_deref();
        tracing::info!(reason, left_ms = left.as_millis(), "the execution environment ends");
        stop.cancel();
        tokio::time::sleep(left.saturating_sub(RESERVE)).await;
        now.cancel();
        Ok(())
    }

    /// The event that says so.
    async fn ended(&self) -> Result<Event, ExtensionError> {
        loop {
            match self.next().await {
                Ok(event) if event.event_type == "SHUTDOWN" => return Ok(event),
                Ok(_) => {}
                Err(error @ ExtensionError::Unexpected { .. }) => return Err(error),
                Err(error) => {
                    tracing::warn!(%error, "asking again for the next Lambda event");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// The next event. It takes as long as the environment lives, so there is no limit.
    async fn next(&self) -> Result<Event, ExtensionError> {
        let extension = &self.extension;
        let request = Request::builder()
            .uri(format!("http://{}/2020-01-01/extension/event/next", extension.api))
            .header(IDENTIFIER, self.identifier.clone())
            .body(Full::default())
            .map_err(|error| extension.unreachable(error))?;
        let answered = self.client.request(request).await;
        let response = answered.map_err(|error| extension.unreachable(error))?;
        if response.status() != StatusCode::OK {
            return Err(extension.refused(response).await);
        }
        let event = whole(response).await.map_err(|error| extension.unreachable(error))?;
        serde_json::from_slice(&event)
            .map_err(|error| extension.unexpected(format!("with what is no event: {error}")))
    }
}

/// How long the program may still take.
fn left(event: &Event, now: SystemTime) -> Duration {
    let deadline = Duration::from_millis(event.deadline_ms.unwrap_or_default());
    let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    deadline.saturating_sub(now)
}

async fn whole(response: Response<Incoming>) -> Result<Bytes, BoxError> {
    let limited = Limited::new(response.into_body(), EVENT_LIMIT);
    #[allow(clippy::disallowed_methods)] // the limit stands in the line above
    let collected = limited.collect().await?;
    Ok(collected.to_bytes())
}
