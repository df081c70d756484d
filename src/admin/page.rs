//! The status page: one file with all that it needs. Its policy lets nothing run but what is in
//! it, lets it ask nobody but this listener, and lets nobody show it in a frame.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_FRAME_OPTIONS};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use sha2::{Digest, Sha256};

use super::answers;

const PAGE: &str = include_str!("status.html");

/// Computed from the page, so that a change of it needs none here.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let (style, script) = (hash("style"), hash("script"));
    let policy = format!(
        "default-src 'none'; style-src {style}; script-src {script}; connect-src 'self'; \
         img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
         require-trusted-types-for 'script'"
    );
    HeaderValue::try_from(policy).expect("hashes are ASCII")
});

pub(super) fn page() -> Response<Full<Bytes>> {
    let body = Bytes::from_static(PAGE.as_bytes());
    let mut answer = answers::answer(StatusCode::OK, "text/html; charset=utf-8", body);
    let headers = answer.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, POLICY.clone());
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    answer
}

/// What a policy calls the content of the page's one element of this name (CSP 3, 2.3.1).
fn hash(element: &str) -> String {
    let (open, close) = (format!("<{element}>"), format!("</{element}>"));
    let content = PAGE.split_once(&open).and_then(|(_, rest)| rest.split_once(&close));
    let (content, _) = content.expect("the page has the element");
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(content)))
}
