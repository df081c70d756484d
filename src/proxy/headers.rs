//! What is dropped, set and kept, both ways. Everything else passes byte for byte.

use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, Entry, HOST, HeaderName, TRANSFER_ENCODING, VIA,
};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue};

use crate::config::{HeaderChanges, Route, Target};
use crate::proxy::body::Payload;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Headers that come in here and with the signature.
const ADDED: usize = 9;

/// Headers of one connection (RFC 9110, 7.6.1), and those that a proxy answers itself.
fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// What does not go on to a target: this connection's, what is answered here, and what a client
/// must not smuggle past the signer, a signature of its own.
fn stays_here(name: &HeaderName) -> bool {
    is_hop_by_hop(name)
        || matches!(
            name.as_str(),
            "expect"
                | "http2-settings"
                | "x-amz-algorithm"
                | "x-amz-content-sha256"
                | "x-amz-credential"
                | "x-amz-date"
                | "x-amz-security-token"
                | "x-amz-signature"
        )
}

/// What the request's headers are judged and completed by.
pub(super) struct Outgoing<'a> {
    pub(super) route: &'a Route,
    pub(super) target: &'a Target,
    pub(super) payload: &'a Payload,
    /// The client's address, where it has one.
    pub(super) client: Option<&'a HeaderValue>,
    /// `1.1 countersign-<8 hex>`.
    pub(super) via: &'a HeaderValue,
    /// Of a request in absolute form; it goes before `Host` (RFC 9112, 3.2.2).
    pub(super) authority: Option<&'a Authority>,
}

impl Outgoing<'_> {
    /// Turns a client's headers into those that are signed and sent.
    pub(super) fn apply(&self, headers: &mut HeaderMap) {
        // One look at the names, for most requests have none of what is looked for here.
        let is_plain = !headers.keys().any(|name| stays_here(name) || *name == AUTHORIZATION);
        let chunked = !is_plain && headers.contains_key(TRANSFER_ENCODING);
        if !is_plain {
            drop_named_by_connection(headers);
            drop_each(headers, stays_here);
            self.move_authorization(headers);
        }
        headers.reserve(ADDED); // once, instead of growing step by step
        match (chunked, self.payload.held_length()) {
            (false, _) => plain_length(headers),
            (true, Some(length)) => {
                headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
            }
            (true, None) => {
                headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
            }
        }
        self.say_where_from(headers);
        self.route.request_headers.apply(headers);
    }

    /// `Authorization` is SigV4's: the client's own goes where the route says.
    fn move_authorization(&self, headers: &mut HeaderMap) {
        if !headers.contains_key(AUTHORIZATION) {
            return;
        }
        let own: Vec<HeaderValue> = headers.get_all(AUTHORIZATION).iter().cloned().collect();
        headers.remove(AUTHORIZATION);
        if let Some(to) = &self.route.authorization {
            headers.remove(to);
            for value in own {
                headers.append(to, value);
            }
        }
    }

    /// The client's address joins the list; host and scheme stay as the first proxy said.
    fn say_where_from(&self, headers: &mut HeaderMap) {
        if let Some(client) = self.client {
            match headers.entry(FORWARDED_FOR) {
                Entry::Vacant(entry) => {
                    entry.insert(client.clone());
                }
                Entry::Occupied(mut entry) => {
                    let list = joined(entry.iter().chain([client]));
                    entry.insert(list);
                }
            }
        }
        headers.entry(FORWARDED_PROTO).or_insert(HeaderValue::from_static("http"));
        let named = headers.insert(HOST, self.target.host.clone());
        let authority = self.authority.and_then(|it| HeaderValue::from_str(it.as_str()).ok());
        if let Some(host) = authority.or(named) {
            headers.entry(FORWARDED_HOST).or_insert(host);
        }
        headers.append(VIA, self.via.clone());
    }
}

/// `005` is 5 to us; what it is to a target nobody needs to find out.
fn plain_length(headers: &mut HeaderMap) {
    let Some(length) = headers.get(CONTENT_LENGTH).map(HeaderValue::as_bytes) else { return };
    if let [b'0', _, ..] = length {
        let zeros = length.iter().take(length.len() - 1).take_while(|digit| **digit == b'0');
        let plain = HeaderValue::from_bytes(&length[zeros.count()..]);
        headers.insert(CONTENT_LENGTH, plain.expect("digits make a header value"));
    }
}

/// One list, also where it came in several lines.
fn joined<'v>(values: impl Iterator<Item = &'v HeaderValue>) -> HeaderValue {
    let list: Vec<&[u8]> = values.map(HeaderValue::as_bytes).collect();
    HeaderValue::try_from(list.join(b", ".as_slice())).expect("header values make a header value")
}

/// Turns a target's headers into the client's.
pub(super) fn incoming(headers: &mut HeaderMap, changes: &HeaderChanges) {
    if headers.keys().any(is_hop_by_hop) {
        // Chunks overrule a length (RFC 9112, 6.3), which then says nothing of what is sent on.
        if headers.contains_key(TRANSFER_ENCODING) {
            headers.remove(CONTENT_LENGTH);
        }
        drop_named_by_connection(headers);
        drop_each(headers, is_hop_by_hop);
    }
    changes.apply(headers);
}

/// Drops headers by their names; most requests have one or two of them, or none.
fn drop_each(headers: &mut HeaderMap, dropped: impl Fn(&HeaderName) -> bool) {
    while let Some(name) = headers.keys().find(|name| dropped(name)).cloned() {
        headers.remove(name);
    }
}

/// Whatever `Connection` names belongs to this hop too. Two may not be taken away like that:
/// without them the rest would be another request.
fn drop_named_by_connection(headers: &mut HeaderMap) {
    let plain = |value: &HeaderValue| {
        value.as_bytes().eq_ignore_ascii_case(b"keep-alive")
            || value.as_bytes().eq_ignore_ascii_case(b"close")
    };
    if headers.get_all(CONNECTION).iter().all(plain) {
        return;
    }
    let values: Vec<HeaderValue> = headers.get_all(CONNECTION).iter().cloned().collect();
    for name in values.iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b',')) {
        match HeaderName::from_bytes(name.trim_ascii()) {
            Ok(name) if name != CONTENT_LENGTH && name != HOST => {
                headers.remove(name);
            }
            _ => {}
        }
    }
}
