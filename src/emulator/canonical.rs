//! The canonical request, as the service builds it from what it received.
//!
//! Source: AWS, "Create a signed AWS API request", step 1
//! (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>).

use http::HeaderMap;
use http::request::Parts;

/// The canonical request of `head` over the headers of `signed` and a body of hash `payload`.
/// `None` where a signed header is not there.
pub(super) fn canonical_request(head: &Parts, signed: &[&str], payload: &str) -> Option<Vec<u8>> {
    let mut canonical = Vec::new();
    let mut line = |text: &[u8]| {
        canonical.extend_from_slice(text);
        canonical.push(b'\n');
    };
    line(head.method.as_str().as_bytes());
    line(canonical_path(head.uri.path()).as_bytes());
    line(canonical_query(head.uri.query().unwrap_or_default()).as_bytes());
    for name in signed {
        line(&header_line(&head.headers, name)?);
    }
    line(b"");
    line(signed.join(";").as_bytes());
    canonical.extend_from_slice(payload.as_bytes());
    Some(canonical)
}

/// The path, normalised, with every byte encoded that is not unreserved; what came encoded is
/// encoded once more.
fn canonical_path(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            segment => kept.push(segment),
        }
    }
    let is_folder = ["/", "/.", "/.."].iter().any(|end| path.ends_with(end));
    let mut canonical = String::from("/");
    canonical.push_str(&encode(kept.join("/").as_bytes(), b"/"));
    if is_folder && !kept.is_empty() {
        canonical.push('/');
    }
    canonical
}

/// The query: each name and value decoded to bytes, encoded again and sorted.
fn canonical_query(query: &str) -> String {
    let mut pairs: Vec<(String, String)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (encode(&decode(name), b""), encode(&decode(value), b""))
        })
        .collect();
    pairs.sort();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

/// `name:value`, the value without the spaces around it and with single spaces inside; several
/// values are joined by commas.
fn header_line(headers: &HeaderMap, name: &str) -> Option<Vec<u8>> {
    let values: Vec<Vec<u8>> = headers
        .get_all(name)
        .iter()
        .map(|value| {
            let words = value.as_bytes().split(u8::is_ascii_whitespace);
            words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(&b' ')
        })
        .collect();
    if values.is_empty() {
        return None;
    }
    Some([name.as_bytes(), b":", &values.join(&b',')].concat())
}

/// Percent-decodes one part of a query to bytes; a `+` is a space.
pub(super) fn decode(text: &str) -> Vec<u8> {
    let mut rest = text.as_bytes();
    let mut decoded = Vec::with_capacity(rest.len());
    while let [byte, tail @ ..] = rest {
        rest = tail;
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => match tail.get(..2).and_then(|digits| hex::decode(digits).ok()) {
                Some(escaped) => {
                    rest = &tail[2..];
                    escaped[0]
                }
                None => b'%',
            },
            byte => *byte,
        });
    }
    decoded
}

/// Percent-encodes every byte that is neither unreserved nor in `also`.
fn encode(bytes: &[u8], also: &[u8]) -> String {
    let mut encoded = String::with_capacity(bytes.len());
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || also.contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalises_a_path_and_encodes_it_once_more() {
        for (wire, canonical) in [
            ("", "/"),
            ("/", "/"),
            ("/a//b", "/a/b"),
            ("/a/../b", "/b"),
            ("/a/./b", "/a/b"),
            ("/a/..", "/"),
            ("/a/b/..", "/a/"),
            ("/../a", "/a"),
            ("/a%2Fb", "/a%252Fb"),
            ("/a%20b", "/a%2520b"),
            ("/a/%2e%2e/b", "/a/%252e%252e/b"),
            ("/a+b", "/a%2Bb"),
            ("/caf%C3%A9", "/caf%25C3%25A9"),
            ("/caf\u{e9}", "/caf%C3%A9"),
            ("/(x)!*'$", "/%28x%29%21%2A%27%24"),
            ("/a%", "/a%25"),
            ("/foo//", "/foo/"),
            ("/a@b:c,d;e=f", "/a%40b%3Ac%2Cd%3Be%3Df"),
        ] {
            assert_eq!(canonical_path(wire), canonical, "{wire}");
        }
    }

    #[test]
    fn decodes_encodes_and_sorts_a_query() {
        for (wire, canonical) in [
            ("", ""),
            ("flag", "flag="),
            ("b=2&a=1", "a=1&b=2"),
            ("a=2&a=1&a=", "a=&a=1&a=2"),
            ("q=caf%E9", "q=caf%E9"),
            ("q=%ff%2f", "q=%FF%2F"),
            ("q=a+b", "q=a%20b"),
            ("q=a%2Bb", "q=a%2Bb"),
            ("q=%zz%4", "q=%25zz%254"),
            ("a=1&&b=2&", "a=1&b=2"),
            ("a=b=c", "a=b%3Dc"),
            ("q=!'()*~", "q=%21%27%28%29%2A~"),
            ("a-=1&a=2", "a=2&a-=1"),
        ] {
            assert_eq!(canonical_query(wire), canonical, "{wire}");
        }
    }

    #[test]
    fn folds_spaces_and_joins_the_values_of_a_header() {
        let mut headers = HeaderMap::new();
        headers.append("x-amz-a", "  one   two ".parse().unwrap());
        headers.append("x-amz-a", "three".parse().unwrap());
        assert_eq!(header_line(&headers, "x-amz-a").unwrap(), b"x-amz-a:one two,three");
        assert_eq!(header_line(&headers, "x-amz-b"), None);
    }
}
