//! The answers that the service makes before a function is called, each with the
//! `x-amzn-ErrorType` and the body that Lambda sends.
//!
//! | cause | status | type |
//! |---|---|---|
//! | not signed | 403 | `AccessDeniedException` |
//! | `Authorization` malformed | 403 | `IncompleteSignatureException` |
//! | scope, clock, signature | 403 | `InvalidSignatureException` |
//! | key or token unknown | 403 | `UnrecognizedClientException` |
//! | token expired | 403 | `ExpiredTokenException` |
//! | event over 6 MiB | 413 | `RequestEntityTooLargeException` |
//! | body broken off | 400 | `BadRequestException` |

use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::json;

use super::{Answer, INVOCATION_LIMIT};

const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");

const FORBIDDEN: &str = "Forbidden. For troubleshooting Function URL authorization issues, see: \
                         https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html";

const MISMATCH: &str = "The request signature we calculated does not match the signature you \
                        provided. Check your AWS Secret Access Key and signing method. Consult \
                        the service documentation for details.";

/// Why a request does not reach the function. `Display` is for the log: for a signature that does
/// not match it says more than the answer does.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("no Authorization header")]
    NotSigned,
    #[error("Authorization header not understood: {0}")]
    Incomplete(String),
    #[error("wrong scope: {0}")]
    Scope(String),
    #[error("clock off: {0}")]
    Clock(String),
    #[error("signature wrong: {0}")]
    Mismatch(Mismatch),
    #[error("access key or session token unknown")]
    UnknownToken,
    #[error("session token expired")]
    ExpiredToken,
    #[error("event larger than {INVOCATION_LIMIT} bytes")]
    TooLarge,
    #[error("body broke off or fell silent")]
    BrokenBody,
}

/// What is wrong with a signature, where that can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Mismatch {
    #[error("it is not the one of this request and this secret key")]
    Signature,
    #[error("`SignedHeaders` is not sorted, in lower case, each name once")]
    Order,
    #[error("`host` is not signed")]
    HostNotSigned,
    #[error("an `x-amz-` header is not signed")]
    AmzNotSigned,
    #[error("`x-amz-content-sha256` is not there")]
    NoContentSha256,
    #[error("`x-amz-content-sha256` is not the hash of the body")]
    ContentSha256,
}

impl Refusal {
    pub(super) fn incomplete(message: impl Into<String>) -> Self {
        Self::Incomplete(message.into())
    }

    /// The answer that Lambda makes of it.
    pub(super) fn into_answer(self) -> Answer {
        let error_type = self.error_type();
        let status = match self {
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BrokenBody => StatusCode::BAD_REQUEST,
            _ => StatusCode::FORBIDDEN,
        };
        let body = match self {
            Self::NotSigned => json!({ "Message": FORBIDDEN }),
            Self::Incomplete(message) | Self::Scope(message) | Self::Clock(message) => {
                json!({ "message": message })
            }
            Self::Mismatch(_) => json!({ "message": MISMATCH }),
            Self::UnknownToken => {
                json!({ "message": "The security token included in the request is invalid." })
            }
            Self::ExpiredToken => {
                json!({ "message": "The security token included in the request is expired" })
            }
            Self::TooLarge => json!({ "Message": format!(
                "Request must be smaller than {INVOCATION_LIMIT} bytes for the InvokeFunction operation"
            ) }),
            Self::BrokenBody => json!({ "Message": "Bad Request" }),
        };
        let mut answer = Response::new(Full::from(body.to_string()).boxed());
        *answer.status_mut() = status;
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ERROR_TYPE, HeaderValue::from_static(error_type));
        answer
    }

    fn error_type(&self) -> &'static str {
        match self {
            Self::NotSigned => "AccessDeniedException",
            Self::Incomplete(_) => "IncompleteSignatureException",
            Self::Scope(_) | Self::Clock(_) | Self::Mismatch(_) => "InvalidSignatureException",
            Self::UnknownToken => "UnrecognizedClientException",
            Self::ExpiredToken => "ExpiredTokenException",
            Self::TooLarge => "RequestEntityTooLargeException",
            Self::BrokenBody => "BadRequestException",
        }
    }
}
