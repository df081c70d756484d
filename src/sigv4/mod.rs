//! AWS Signature Version 4 for one request, straight from the bytes of the wire: pure functions,
//! no I/O, time is an argument.
//!
//! Source: AWS, "Create a signed AWS API request"
//! (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>).

mod canonical;
mod credentials;
mod escape;
mod intermediates;
mod key;
mod payload;
mod signer;
mod stamp;
mod wire;

#[cfg(test)]
mod oracle;
#[cfg(test)]
mod vectors;

use http::{HeaderMap, HeaderValue, Method};

pub use credentials::{InvalidCredentials, SigningCredentials};
pub use escape::decode_query;
pub use intermediates::Intermediates;
pub use payload::PayloadHash;
pub use signer::Signer;
pub use wire::{normalise_path, normalise_query, without_presign};

/// What a signature is valid for, besides the day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// The signing region, such as `us-east-1`.
    pub region: String,
    /// The signing service, such as `lambda`.
    pub service: String,
}

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
