//! The payload as SigV4 sees it: a digest, or the word that there is none.

use bytes::Bytes;
use http::HeaderValue;
use sha2::{Digest, Sha256};

const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// The value of `x-amz-content-sha256`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PayloadHash(HeaderValue);

impl PayloadHash {
    /// The hash of a body held whole.
    pub fn of(body: &[u8]) -> Self {
        if body.is_empty() { Self::empty() } else { Self::from_digest(Sha256::digest(body).into()) }
    }

    /// A SHA-256 that was made while the body arrived.
    pub fn from_digest(digest: [u8; 32]) -> Self {
        let text = Bytes::from(hex::encode(digest));
        Self(HeaderValue::from_maybe_shared(text).expect("hex digits are a header value"))
    }

    /// The hash of no body.
    pub fn empty() -> Self {
        Self(HeaderValue::from_static(EMPTY))
    }

    /// `UNSIGNED-PAYLOAD`, for the services that take it; Lambda does not.
    pub fn unsigned() -> Self {
        Self(HeaderValue::from_static("UNSIGNED-PAYLOAD"))
    }

    /// A client's own digest: 64 lower-case hex digits, since the service compares texts. The
    /// words that AWS knows besides (`UNSIGNED-PAYLOAD`, `STREAMING-…`) are no digest.
    pub fn parse_client(value: &HeaderValue) -> Option<Self> {
        let digits = value.as_bytes();
        let is_digest =
            digits.len() == 64 && digits.iter().all(|d| matches!(d, b'0'..=b'9' | b'a'..=b'f'));
        is_digest.then(|| {
            let mut value = value.clone();
            value.set_sensitive(false);
            Self(value)
        })
    }

    /// As a header.
    pub fn as_header(&self) -> &HeaderValue {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_a_body() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(PayloadHash::of(b"abc").as_header(), abc);
        assert_eq!(PayloadHash::from_digest(Sha256::digest(b"abc").into()).as_header(), abc);
    }

    #[test]
    fn no_body_has_the_hash_of_nothing() {
        assert_eq!(PayloadHash::of(b""), PayloadHash::from_digest(Sha256::digest(b"").into()));
        assert_eq!(PayloadHash::of(b""), PayloadHash::empty());
        assert_eq!(PayloadHash::unsigned().as_header(), "UNSIGNED-PAYLOAD");
    }

    #[test]
    fn takes_a_client_digest_of_64_lower_case_hex_digits_only() {
        let parse = |text: &str| PayloadHash::parse_client(&HeaderValue::from_str(text).unwrap());
        assert_eq!(parse(EMPTY), Some(PayloadHash::empty()));
        for refused in [
            "",
            "UNSIGNED-PAYLOAD",
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
            &EMPTY[1..],
            &format!("{EMPTY}0"),
            &EMPTY.to_uppercase(),
            &EMPTY.replace('e', "g"),
            &format!(" {}", &EMPTY[1..]),
        ] {
            assert_eq!(parse(refused), None, "{refused}");
        }
    }
}
