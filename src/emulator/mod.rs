//! A Function URL with `AWS_IAM` on loopback, for the demo and for tests: it verifies each
//! signature from the specification, answers Lambda's own 403s, turns the request into an event,
//! calls a handler and maps its answer. It shares no code with the signer that it checks.
//!
//! A request's way: `body` → `verify` (with `authorization` and `canonical`; a `refusal` ends
//! here) → `event` → `builtin` or `invoke` → `answer`.

mod answer;
mod authorization;
mod body;
mod builtin;
mod canonical;
mod event;
mod invoke;
mod refusal;
mod serve;
mod timestamp;
mod verify;

#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Response, Uri};
use http_body_util::combinators::BoxBody;

use crate::clock::Clock;
use crate::secret::Secret;

pub use serve::serve;

/// What a body of an answer is: held or streamed, it does not fail.
type AnswerBody = BoxBody<Bytes, Infallible>;

/// An answer on its way out.
type Answer = Response<AnswerBody>;

/// The event and a held answer may each have this many bytes.
const INVOCATION_LIMIT: usize = 6 * 1024 * 1024;

/// What an emulated Function URL is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Who may call.
    pub credentials: Vec<KnownCredentials>,
    /// The region that a signature must be for.
    pub region: String,
    /// The service that a signature must be for.
    pub service: String,
    /// Whether a request may come without `x-amz-content-sha256`.
    pub content_sha256: ContentSha256,
    /// What is called with the event.
    pub handler: Handler,
    /// The time by which signatures and tokens are judged.
    pub clock: Clock,
    /// The time between two events of the built-in `/stream`.
    pub stream_interval: Duration,
    /// How long an invocation of [`Handler::Invoke`] may take.
    pub invoke_timeout: Duration,
}

impl Settings {
    /// A function in `us-east-1` with the built-in handler that `credentials` may call.
    pub fn new(credentials: Vec<KnownCredentials>) -> Self {
        Self {
            credentials,
            region: "us-east-1".to_owned(),
            service: "lambda".to_owned(),
            content_sha256: ContentSha256::Optional,
            handler: Handler::BuiltIn,
            clock: Clock::system(),
            stream_interval: Duration::from_millis(200),
            invoke_timeout: Duration::from_secs(900), // the longest that a function may run
        }
    }
}

/// Credentials that the emulator knows, and whose they are.
#[derive(Clone, Debug)]
pub struct KnownCredentials {
    /// The access key id.
    pub access_key_id: String,
    /// The secret access key.
    pub secret_access_key: Secret,
    /// The session token that has to come with this key, where the key is a temporary one.
    pub session_token: Option<Secret>,
    /// When they expire.
    pub expires: Option<SystemTime>,
    /// The caller that they stand for, such as `arn:aws:iam::111122223333:user/demo`.
    pub arn: String,
}

/// Whether `x-amz-content-sha256` has to be there. Where it is, it is checked in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentSha256 {
    /// It may be left out, as botocore does; the signature covers the body either way.
    Optional,
    /// It has to be there, also without a body, as Lambda web functions ask.
    Required,
}

/// What is called with the event.
#[derive(Clone, Debug)]
pub enum Handler {
    /// `GET /health`, `POST /process` and `GET /stream`.
    BuiltIn,
    /// A Lambda runtime emulator; without a path, the one that they all have is asked.
    Invoke(Uri),
}

/// An emulated Function URL, cheap to clone.
#[derive(Clone, Debug)]
pub struct Emulator(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    settings: Settings,
    runtime: Option<invoke::Runtime>,
}

impl Emulator {
    /// An emulator with these settings.
    pub fn new(settings: Settings) -> Self {
        let runtime = match &settings.handler {
            Handler::BuiltIn => None,
            Handler::Invoke(uri) => Some(invoke::Runtime::new(uri, settings.invoke_timeout)),
        };
        Self(Arc::new(Parts { settings, runtime }))
    }

    /// Judges a request's signature alone, for tests that bring their own sockets or none.
    ///
    /// # Errors
    ///
    /// With what is wrong with it, as the emulator's log would say.
    pub fn verify(
        &self,
        head: &http::request::Parts,
        body: &[u8],
    ) -> Result<(), impl std::error::Error + use<>> {
        let settings = &self.0.settings;
        verify::verify(settings, head, body, settings.clock.now()).map(|_known| ())
    }
}
