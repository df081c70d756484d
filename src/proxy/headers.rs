//! What is dropped, set and kept, both ways. Everything else passes byte for byte.

use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderName, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, VIA,
};
use http::{HeaderMap, HeaderValue};

use crate::config::{HeaderChanges, Route};
use crate::listen::Peer;
use crate::proxy::body::Payload;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Headers of one connection (RFC 9110, 7.6.1), and those that a proxy answers itself.
const HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    KEEP_ALIVE,
    PROXY_CONNECTION,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// What a client must not smuggle past the signer: a signature of its own.
const SIGNING: [HeaderName; 6] = [
    HeaderName::from_static("x-amz-algorithm"),
    HeaderName::from_static("x-amz-content-sha256"),
    HeaderName::from_static("x-amz-credential"),
    HeaderName::from_static("x-amz-date"),
    HeaderName::from_static("x-amz-security-token"),
    HeaderName::from_static("x-amz-signature"),
];

/// What the request's headers are judged and completed by.
pub(super) struct Outgoing<'a> {
    pub(super) route: &'a Route,
    pub(super) payload: &'a Payload,
    pub(super) peer: Peer,
    /// `1.1 countersign-<8 hex>`.
    pub(super) via: &'a HeaderValue,
}

impl Outgoing<'_> {
    /// Turns a client's headers into those that are signed and sent.
    pub(super) fn apply(&self, headers: &mut HeaderMap) {
        let chunked = headers.contains_key(TRANSFER_ENCODING);
        drop_hop_by_hop(headers);
        for name in [EXPECT, HTTP2_SETTINGS] {
            headers.remove(name);
        }
        for name in &SIGNING {
            headers.remove(name);
        }
        if let (true, Some(length)) = (chunked, self.payload.held_length()) {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        self.move_authorization(headers);
        self.say_where_from(headers);
        change(headers, &self.route.request_headers);
        headers.insert(HOST, self.route.target.host.clone());
    }

    /// `Authorization` is SigV4's: the client's own goes where the route says.
    fn move_authorization(&self, headers: &mut HeaderMap) {
        let Some(to) = &self.route.authorization else {
            headers.remove(AUTHORIZATION);
            return;
        };
        let own: Vec<HeaderValue> = headers.get_all(AUTHORIZATION).iter().cloned().collect();
        if !own.is_empty() {
            headers.remove(AUTHORIZATION);
            headers.remove(to);
            for value in own {
                headers.append(to, value);
            }
        }
    }

    /// The client's address joins the list; host and scheme stay as the first proxy said.
    fn say_where_from(&self, headers: &mut HeaderMap) {
        if let Peer::Ip(ip) = self.peer {
            let value = forwarded_for(headers, ip);
            headers.insert(FORWARDED_FOR, value);
        }
        headers.entry(FORWARDED_PROTO).or_insert(HeaderValue::from_static("http"));
        if let (false, Some(host)) =
            (headers.contains_key(FORWARDED_HOST), headers.get(HOST).cloned())
        {
            headers.insert(FORWARDED_HOST, host);
        }
        headers.append(VIA, self.via.clone());
    }
}

/// One list, also where it came in several lines.
fn forwarded_for(headers: &HeaderMap, ip: std::net::IpAddr) -> HeaderValue {
    let own = ip.to_string();
    let before = headers.get_all(FORWARDED_FOR).iter().map(HeaderValue::as_bytes);
    let list: Vec<&[u8]> = before.chain([own.as_bytes()]).collect();
    HeaderValue::try_from(list.join(b", ".as_slice()))
        .expect("header values and an address make a header value")
}

/// Turns a target's headers into the client's.
pub(super) fn incoming(headers: &mut HeaderMap, changes: &HeaderChanges) {
    drop_hop_by_hop(headers);
    change(headers, changes);
}

fn drop_hop_by_hop(headers: &mut HeaderMap) {
    drop_named_by_connection(headers);
    for name in &HOP_BY_HOP {
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
            Ok(CONTENT_LENGTH | HOST) | Err(_) => {}
            Ok(name) => {
                headers.remove(name);
            }
        }
    }
}

fn change(headers: &mut HeaderMap, changes: &HeaderChanges) {
    for name in &changes.remove {
        headers.remove(name);
    }
    for (name, value) in &changes.set {
        headers.insert(name, value.clone());
    }
}
