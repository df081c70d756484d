//! What SigV4 demands of the wire before a request is signed. A path with `//` or dots, a query
//! with `+` or empty pairs and a signed header with a tab are read in more than one way by those
//! who check a signature, so what is sent is what every reading agrees on. All else stays byte for
//! byte.

use std::borrow::Cow;

use http::{HeaderMap, HeaderValue};

use super::canonical::is_signed;
use super::escape::decode_query;

/// The query parameters of a presigned URL. A client's own would contradict our signature.
const PRESIGN: [&str; 7] = [
    "x-amz-algorithm",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-expires",
    "x-amz-signedheaders",
    "x-amz-signature",
    "x-amz-security-token",
];

/// Merges `//` and resolves `.` and `..`, as RFC 3986 does (`/a/b/..` is `/a/`). Escapes stay as
/// they are: `%2F` is no slash and `%2e` no dot. An empty path is `/`.
pub fn normalise_path(path: &str) -> Cow<'_, str> {
    match path.strip_prefix('/') {
        Some(rest) if rest.split_inclusive('/').all(is_plain) => Cow::Borrowed(path),
        _ if path.is_empty() => Cow::Borrowed("/"),
        _ => Cow::Owned(resolve(path)),
    }
}

fn is_plain(segment: &str) -> bool {
    !matches!(segment, "/" | "." | "./" | ".." | "../")
}

fn resolve(path: &str) -> String {
    let mut resolved = String::with_capacity(path.len() + 1);
    resolved.push('/');
    for segment in path.split_inclusive('/') {
        match segment {
            "/" | "." | "./" => {}
            ".." | "../" => {
                let parent = resolved.trim_end_matches('/').rfind('/').unwrap_or(0);
                resolved.truncate(parent + 1);
            }
            segment => resolved.push_str(segment),
        }
    }
    resolved
}

/// Writes a raw `+` as `%20` and drops empty pairs; a query of nothing but `&` becomes empty.
pub fn normalise_query(query: &str) -> Cow<'_, str> {
    let plain = !query.bytes().any(|byte| byte == b'+')
        && (query.is_empty() || query.split('&').all(|pair| !pair.is_empty()));
    if plain {
        return Cow::Borrowed(query);
    }
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    Cow::Owned(joined(pairs, query.len()).replace('+', "%20"))
}

/// Drops the parameters of a presigned URL, whatever the case of their names and also where an
/// escape hides one.
pub fn without_presign(query: &str) -> Cow<'_, str> {
    if !query.split('&').any(is_presign) {
        return Cow::Borrowed(query);
    }
    Cow::Owned(joined(query.split('&').filter(|pair| !is_presign(pair)), query.len()))
}

/// Writes a tab within a signed header as a space: some make one space of any white space, as they
/// should of several spaces, and some leave a tab alone.
pub(super) fn without_tabs(headers: &mut HeaderMap) {
    let signed = headers.iter_mut().filter(|(name, _)| is_signed(name.as_str()));
    for (_, value) in signed.filter(|(_, value)| value.as_bytes().contains(&b'\t')) {
        let spaced = value.as_bytes().iter().map(|&byte| if byte == b'\t' { b' ' } else { byte });
        let spaced = HeaderValue::from_bytes(&spaced.collect::<Vec<u8>>());
        let mut spaced = spaced.expect("a space is as good as a tab");
        spaced.set_sensitive(value.is_sensitive());
        *value = spaced;
    }
}

fn is_presign(pair: &str) -> bool {
    // nearly every name is told apart by its first byte
    if !matches!(pair.as_bytes().first(), Some(b'x' | b'X' | b'%')) {
        return false;
    }
    let name = pair.split_once('=').map_or(pair, |(name, _)| name);
    PRESIGN.iter().any(|presign| {
        let decoded = decode_query(name.as_bytes()).map(|byte| byte.to_ascii_lowercase());
        decoded.eq(presign.bytes())
    })
}

fn joined<'a>(pairs: impl Iterator<Item = &'a str>, capacity: usize) -> String {
    let mut query = String::with_capacity(capacity);
    for (at, pair) in pairs.enumerate() {
        if at > 0 {
            query.push('&');
        }
        query.push_str(pair);
    }
    query
}

#[cfg(test)]
mod tests;
