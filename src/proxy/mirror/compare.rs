//! Two answers to one request, held against each other: status, chosen headers, body.

use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::config::Comparison;
use crate::proxy::mirror::json::{self, Kind};

/// What a log line has of a header's value.
const VALUE_SHOWN: usize = 128;

/// The head of an answer, as its target sent it.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) at: At,
    pub(super) kind: Kind,
    /// The answer's value and the mirror's, where they may be told.
    pub(super) values: Option<[String; 2]>,
}

/// Where two answers differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum At {
    Status,
    Header(HeaderName),
    /// The body, byte by byte.
    Body,
    /// A value of a JSON body.
    Pointer(String),
}

/// What can be said of two bodies.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Bodies {
    Compared(Vec<Difference>),
    /// They are encoded in two ways.
    NotComparable,
}

/// The differences of two heads.
pub(super) fn heads(one: &Head, mirrored: &Head, comparison: &Comparison) -> Vec<Difference> {
    let mut found = Vec::new();
    if one.status != mirrored.status {
        let values = [one, mirrored].map(|head| head.status.as_u16().to_string());
        found.push(Difference { at: At::Status, kind: Kind::Changed, values: Some(values) });
    }
    let headers = comparison.headers.iter();
    found.extend(headers.filter_map(|name| header(name, &one.headers, &mirrored.headers)));
    found
}

fn header(name: &HeaderName, one: &HeaderMap, mirrored: &HeaderMap) -> Option<Difference> {
    let (a, b) = (one.get_all(name), mirrored.get_all(name));
    if a == b {
        return None;
    }
    let kind = match (one.contains_key(name), mirrored.contains_key(name)) {
        (true, false) => Kind::Missing,
        (false, true) => Kind::Added,
        _ => Kind::Changed,
    };
    // A cookie that is set opens a session.
    let values = (*name != "set-cookie").then(|| [one, mirrored].map(|map| shown(map, name)));
    Some(Difference { at: At::Header(name.clone()), kind, values })
}

fn shown(headers: &HeaderMap, name: &HeaderName) -> String {
    let values: Vec<_> = headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
    let text = String::from_utf8_lossy(&values.join(b", ".as_slice())).into_owned();
    text.chars().take(VALUE_SHOWN).collect()
}

/// The differences of two bodies: by value where both are JSON, else in any byte.
pub(super) fn bodies(
    (one, body): (&Head, &[u8]),
    (mirrored, mirrored_body): (&Head, &[u8]),
    comparison: &Comparison,
) -> Bodies {
    let encoding = encoding(&one.headers);
    if encoding != self::encoding(&mirrored.headers) {
        return Bodies::NotComparable;
    }
    if body == mirrored_body {
        return Bodies::Compared(Vec::new());
    }
    let are_json = encoding.is_empty() && is_json(&one.headers) && is_json(&mirrored.headers);
    let by_value = are_json.then(|| json::differences(body, mirrored_body, comparison)).flatten();
    let Some(found) = by_value else {
        let at = At::Body;
        return Bodies::Compared(vec![Difference { at, kind: Kind::Changed, values: None }]);
    };
    let told = |json::Difference { pointer, kind }| {
        let at = if pointer.is_empty() { At::Body } else { At::Pointer(pointer) };
        Difference { at, kind, values: None }
    };
    Bodies::Compared(found.into_iter().map(told).collect())
}

/// The codings in their order, without the one that is none (RFC 9110, 8.4.1).
fn encoding(headers: &HeaderMap) -> Vec<Vec<u8>> {
    let values = headers.get_all(CONTENT_ENCODING).iter().map(HeaderValue::as_bytes);
    let codings = values.flat_map(|value| value.split(|byte| *byte == b','));
    let codings = codings.map(|coding| coding.trim_ascii().to_ascii_lowercase());
    codings.filter(|coding| !coding.is_empty() && coding != b"identity").collect()
}

/// `application/json`, and whatever is JSON by its suffix (RFC 6839).
fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()) else {
        return false;
    };
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || essence.ends_with("+json")
}

#[cfg(test)]
mod tests;
