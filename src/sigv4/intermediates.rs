//! Every step of one signature: what the signer makes anyway, kept for those who want to look.

use std::fmt;
use std::ops::Range;

use http::HeaderValue;

const TOKEN_LINE: &str = "x-amz-security-token:";

/// The canonical request, the string to sign and the header that came of them. The canonical
/// request holds the session token, so nothing here prints by `{:?}`.
pub struct Intermediates {
    /// The canonical request, then the string to sign.
    pub(super) text: Vec<u8>,
    pub(super) canonical_request_ends: usize,
    pub(super) signed_headers: Range<usize>,
    pub(super) authorization: HeaderValue,
}

impl Intermediates {
    /// The canonical request. It holds the session token and, where a header does, bytes that are
    /// no text.
    pub fn canonical_request(&self) -> &[u8] {
        &self.text[..self.canonical_request_ends]
    }

    /// The canonical request for people to read, its session token left out.
    pub fn redacted_canonical_request(&self) -> String {
        let text = String::from_utf8_lossy(self.canonical_request());
        let lines = text.split('\n').map(|line| match line.starts_with(TOKEN_LINE) {
            true => "x-amz-security-token:[redacted]",
            false => line,
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    /// The string to sign. The digest in it is that of the canonical request with its token.
    pub fn string_to_sign(&self) -> &str {
        str::from_utf8(&self.text[self.canonical_request_ends..])
            .expect("a date, a scope and a digest are text")
    }

    /// The names of the signed headers: lower-case, sorted, joined by `;`.
    pub fn signed_headers(&self) -> &str {
        str::from_utf8(&self.text[self.signed_headers.clone()]).expect("header names are ASCII")
    }

    /// `Authorization`, marked sensitive.
    pub fn authorization(&self) -> &HeaderValue {
        &self.authorization
    }

    /// `Authorization` for people to read, its signature left out.
    pub fn redacted_authorization(&self) -> String {
        let text = String::from_utf8_lossy(self.authorization.as_bytes());
        let kept = text.rfind("Signature=").map_or("", |at| &text[..at]);
        format!("{kept}Signature=[redacted]")
    }
}

impl fmt::Debug for Intermediates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Intermediates")
            .field("signed_headers", &self.signed_headers())
            .finish_non_exhaustive()
    }
}
