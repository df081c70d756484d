//! A function behind a Lambda runtime emulator: the event goes there by plain HTTP.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::uri::PathAndQuery;
use http::{HeaderName, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde_json::{Value, json};

use super::{Answer, INVOCATION_LIMIT, answer};

const INVOCATIONS: &str = "/2015-03-31/functions/function/invocations";

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a kept connection may wait for the next invocation.
const IDLE: Duration = Duration::from_secs(20);

const FUNCTION_ERROR: HeaderName = HeaderName::from_static("x-amz-function-error");

/// A Lambda runtime emulator.
#[derive(Debug)]
pub(super) struct Runtime {
    client: Client<HttpConnector, Full<Bytes>>,
    uri: Uri,
    timeout: Duration,
}

/// Why an invocation has no payload.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("the Lambda runtime emulator cannot be reached at `{uri}`: {cause}")]
    Unreachable { uri: Uri, cause: String },
    #[error("the invocation broke off: {0}")]
    Broken(String),
    #[error("the function did not answer within {0:?}")]
    Timeout(Duration),
    #[error("the Lambda runtime emulator answered {0}")]
    Status(StatusCode),
    #[error("the function's answer is larger than {INVOCATION_LIMIT} bytes")]
    TooLarge,
    #[error("the function failed: {0}")]
    Function(String),
}

impl Runtime {
    /// The runtime emulator at `uri`; one without a path gets the usual one.
    pub(super) fn new(uri: &Uri, timeout: Duration) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .build(connector);
        Self { client, uri: with_path(uri), timeout }
    }

    /// Calls the function with an event and returns what it returned.
    pub(super) async fn invoke(&self, event: Vec<u8>) -> Result<Bytes, Failure> {
        let answered = tokio::time::timeout(self.timeout, self.exchange(event)).await;
        answered.unwrap_or(Err(Failure::Timeout(self.timeout)))
    }

    async fn exchange(&self, event: Vec<u8>) -> Result<Bytes, Failure> {
        let mut request = Request::new(Full::from(event));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        request.headers_mut().insert(CONTENT_TYPE, answer::JSON);
        let response = self.client.request(request).await.map_err(|error| {
            let cause = root_cause(&error);
            if error.is_connect() {
                Failure::Unreachable { uri: self.uri.clone(), cause }
            } else {
                Failure::Broken(cause)
            }
        })?;
        payload(response).await
    }
}

/// The payload of an invocation that did not fail.
async fn payload(response: Response<Incoming>) -> Result<Bytes, Failure> {
    let (head, body) = response.into_parts();
    if !head.status.is_success() {
        return Err(Failure::Status(head.status));
    }
    let limited = Limited::new(body, INVOCATION_LIMIT);
    #[allow(clippy::disallowed_methods)] // the limit stands in the line above
    let collected = limited.collect().await;
    let payload = collected.map_err(|error| {
        if error.is::<http_body_util::LengthLimitError>() {
            Failure::TooLarge
        } else {
            Failure::Broken(root_cause(&*error))
        }
    })?;
    let payload = payload.to_bytes();
    match function_error(&payload) {
        Some(message) => Err(Failure::Function(message)),
        None if head.headers.contains_key(FUNCTION_ERROR) => {
            Err(Failure::Function("it says no more".to_owned()))
        }
        None => Ok(payload),
    }
}

/// The message of a payload that says that the function threw: runtime emulators send it with a
/// 200 and often without the header that Lambda's API has.
fn function_error(payload: &[u8]) -> Option<String> {
    let Ok(Value::Object(fields)) = serde_json::from_slice(payload) else { return None };
    let threw = !fields.contains_key("statusCode");
    fields.get("errorMessage")?.as_str().filter(|_| threw).map(str::to_owned)
}

impl Failure {
    /// A bare 502 as Lambda's; where nobody listens, one that helps.
    pub(super) fn into_answer(self) -> Answer {
        tracing::warn!(error = %self, "the invocation failed");
        match self {
            Self::Unreachable { .. } => {
                let body = json!({
                    "message": self.to_string(),
                    "hint": "start the function's container, for example with \
                             `docker run -p 9000:8080 IMAGE`, and check host and port",
                });
                answer::held(StatusCode::BAD_GATEWAY, body.to_string().into())
            }
            _ => answer::bad_gateway(),
        }
    }
}

fn with_path(uri: &Uri) -> Uri {
    if uri.path() != "/" || uri.query().is_some() {
        return uri.clone();
    }
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::from_static(INVOCATIONS));
    Uri::from_parts(parts).unwrap_or_else(|_| uri.clone())
}

/// The innermost cause: what the operating system said.
fn root_cause(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
