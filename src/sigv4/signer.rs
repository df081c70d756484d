//! The signer: date, token and digest in, canonical request, string to sign, `Authorization` out.

use std::time::SystemTime;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};
use sha2::{Digest, Sha256};

use super::canonical::{CanonicalParts, SignedHeaders};
use super::credentials::SigningCredentials;
use super::intermediates::Intermediates;
use super::key::KeySlot;
use super::stamp::Stamp;
use super::wire::without_tabs;
use super::{PayloadHash, Scope, Unsigned};

static DATE: HeaderName = HeaderName::from_static("x-amz-date");
static TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");
static CONTENT_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");

const ALGORITHM: &[u8] = b"AWS4-HMAC-SHA256";
const HEX_DIGEST: usize = 64;

/// Signs for one scope and keeps the day's signing key.
#[derive(Debug)]
pub struct Signer {
    scope: Scope,
    /// `/us-east-1/lambda/aws4_request`: the credential scope after its date.
    scope_after_date: String,
    key: KeySlot,
}

impl Signer {
    /// A signer for `scope`. A control character in it, which no scope has, is read as `?`, so
    /// that signing cannot fail: the service refuses the one like the other.
    pub fn new(scope: Scope) -> Self {
        let scope_after_date = format!("/{}/{}/aws4_request", scope.region, scope.service)
            .replace(|c: char| c.is_ascii_control(), "?");
        Self { scope, scope_after_date, key: KeySlot::default() }
    }

    /// What it signs for.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Writes a tab in what it signs as a space, and leaves exactly one `x-amz-date`,
    /// `x-amz-content-sha256`, `authorization` and, where the credentials have one,
    /// `x-amz-security-token`, whatever an earlier attempt or a client left.
    pub fn sign(
        &self,
        mut request: Unsigned<'_>,
        credentials: &SigningCredentials,
        now: SystemTime,
    ) {
        let intermediates = self.intermediates(&mut request, credentials, now);
        request.headers.insert(AUTHORIZATION, intermediates.authorization);
    }

    /// Signs as [`Signer::sign`] does and hands out every step.
    pub fn explain(
        &self,
        mut request: Unsigned<'_>,
        credentials: &SigningCredentials,
        now: SystemTime,
    ) -> Intermediates {
        let intermediates = self.intermediates(&mut request, credentials, now);
        request.headers.insert(AUTHORIZATION, intermediates.authorization.clone());
        intermediates
    }

    fn intermediates(
        &self,
        request: &mut Unsigned<'_>,
        credentials: &SigningCredentials,
        now: SystemTime,
    ) -> Intermediates {
        let stamp = Stamp::at(now);
        without_tabs(request.headers);
        put_headers(request.headers, request.payload, credentials, &stamp);
        let signed = SignedHeaders::select(request.host, request.headers);
        let parts = CanonicalParts {
            method: request.method.as_str(),
            path: request.path,
            query: request.query.unwrap_or_default(),
            headers: &signed,
            payload: request.payload.as_header().as_bytes(),
        };
        self.steps(&parts, credentials, &stamp)
    }

    /// From the parts of the canonical request to the `Authorization`.
    pub(super) fn steps(
        &self,
        parts: &CanonicalParts<'_>,
        credentials: &SigningCredentials,
        stamp: &Stamp,
    ) -> Intermediates {
        let mut text = Vec::with_capacity(parts.size() + self.string_to_sign_size());
        let signed_headers = parts.write(&mut text);
        let canonical_request_ends = text.len();
        self.write_string_to_sign(&mut text, stamp);
        let string_to_sign = &text[canonical_request_ends..];
        let signature = self.key.sign(string_to_sign, credentials, stamp, &self.scope);
        let names = &text[signed_headers.clone()];
        let authorization = self.authorization(credentials, stamp, names, &hex_digits(&signature));
        Intermediates { text, canonical_request_ends, signed_headers, authorization }
    }

    fn string_to_sign_size(&self) -> usize {
        ALGORITHM.len() + 16 + 8 + self.scope_after_date.len() + HEX_DIGEST + 3
    }

    /// Appends the string to sign of the canonical request that is all of `text` so far.
    fn write_string_to_sign(&self, text: &mut Vec<u8>, stamp: &Stamp) {
        let digest = hex_digits(&Sha256::digest(&text).into());
        text.extend_from_slice(ALGORITHM);
        text.push(b'\n');
        text.extend_from_slice(stamp.date_time());
        text.push(b'\n');
        text.extend_from_slice(stamp.date());
        text.extend_from_slice(self.scope_after_date.as_bytes());
        text.push(b'\n');
        text.extend_from_slice(&digest);
    }

    fn authorization(
        &self,
        credentials: &SigningCredentials,
        stamp: &Stamp,
        signed_headers: &[u8],
        signature: &[u8; HEX_DIGEST],
    ) -> HeaderValue {
        let value = [
            ALGORITHM,
            b" Credential=",
            credentials.access_key_id().as_bytes(),
            b"/",
            stamp.date(),
            self.scope_after_date.as_bytes(),
            b", SignedHeaders=",
            signed_headers,
            b", Signature=",
            signature,
        ]
        .concat();
        let mut value = HeaderValue::from_maybe_shared(Bytes::from(value))
            .expect("a checked key id, a checked scope, names and hex digits are a header value");
        value.set_sensitive(true);
        value
    }
}

fn hex_digits(digest: &[u8; 32]) -> [u8; HEX_DIGEST] {
    let mut digits = [0; HEX_DIGEST];
    hex::encode_to_slice(digest, &mut digits).expect("32 bytes are 64 digits");
    digits
}

fn put_headers(
    headers: &mut HeaderMap,
    payload: &PayloadHash,
    credentials: &SigningCredentials,
    stamp: &Stamp,
) {
    let date = HeaderValue::from_bytes(stamp.date_time()).expect("a date is a header value");
    headers.insert(&DATE, date);
    headers.insert(&CONTENT_SHA256, payload.as_header().clone());
    match credentials.session_token() {
        Some(token) => headers.insert(&TOKEN, token.clone()),
        None => headers.remove(&TOKEN),
    };
}

#[cfg(test)]
mod tests;
