//! Canonical requests: AWS's published suite, and the tables of odd paths and queries.

use proptest::prelude::*;

use super::*;
use crate::sigv4::normalise_query;

fn query(query: &str) -> String {
    let mut out = b"before\n".to_vec();
    write_query(&mut out, query);
    String::from_utf8(out).unwrap().strip_prefix("before\n").unwrap().to_owned()
}

fn path(path: &str) -> String {
    let mut out = Vec::new();
    encode_path(&mut out, normalise_path(path).as_bytes());
    String::from_utf8(out).unwrap()
}

fn lines(lines: &[(&str, &[u8])]) -> Vec<u8> {
    let values: Vec<_> = lines
        .iter()
        .map(|(name, value)| (*name, HeaderValue::from_bytes(value).unwrap()))
        .collect();
    let mut out = Vec::new();
    SignedHeaders::of(values.iter().map(|(name, value)| (*name, value)).collect())
        .write_lines(&mut out);
    out
}

#[test]
fn encodes_each_byte_of_a_normalised_path_once_more() {
    for (wire, canonical) in [
        ("", "/"),
        ("/a//b", "/a/b"),
        ("/a/../b", "/b"),
        ("/a/./b", "/a/b"),
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
        ("/AZaz09-._~", "/AZaz09-._~"),
    ] {
        assert_eq!(path(wire), canonical, "{wire}");
    }
}

#[test]
fn decodes_a_query_as_bytes_and_encodes_it_in_upper_case() {
    for (wire, canonical) in [
        ("", ""),
        ("flag", "flag="),
        ("=", "="),
        ("=v", "=v"),
        ("q=caf%E9", "q=caf%E9"),
        ("q=%ff%Fe", "q=%FF%FE"),
        ("q=caf\u{e9}", "q=caf%C3%A9"),
        ("q=!'()*", "q=%21%27%28%29%2A"),
        ("%41%2d%7e=%2E", "A-~=."),
        ("q=a%2Bb%20c", "q=a%2Bb%20c"),
        ("q=x=y", "q=x%3Dy"),
        ("q=a%26b%3d", "q=a%26b%3D"),
    ] {
        assert_eq!(query(wire), canonical, "{wire}");
    }
}

#[test]
fn an_escape_that_is_none_is_literal_bytes() {
    for (wire, canonical) in [
        ("q=%zz", "q=%25zz"),
        ("q=%", "q=%25"),
        ("q=%4", "q=%254"),
        ("q=%%41", "q=%25A"),
        ("q=%4%41", "q=%254A"),
        ("%=%&a", "%25=%25&a="),
        ("q=%\u{e9}1", "q=%25%C3%A91"),
        ("q=%+1", "q=%25%201"),
    ] {
        assert_eq!(query(wire), canonical, "{wire}");
    }
}

#[test]
fn sorts_a_query_by_encoded_name_and_then_value() {
    for (wire, canonical) in [
        ("b=2&a=1", "a=1&b=2"),
        ("a=2&a=10&a=1&a", "a=&a=1&a=10&a=2"),
        ("a0=1&a-=2&a=3", "a=3&a-=2&a0=1"),
        ("a=1&A=2&_=3&~=4&%2F=5", "%2F=5&A=2&_=3&a=1&~=4"),
        ("\u{e9}=1&z=2&%E9=3", "%C3%A9=1&%E9=3&z=2"),
        ("a=1&a=1", "a=1&a=1"),
    ] {
        assert_eq!(query(wire), canonical, "{wire}");
    }
}

#[test]
fn reads_a_query_that_was_not_normalised_as_if_it_were() {
    assert_eq!(query("&a+b=c+&&=&"), "=&a%20b=c%20");
    assert_eq!(query("&&"), "");
}

#[test]
fn trims_values_and_makes_one_space_of_several() {
    for (value, canonical) in [
        ("", "a:\n"),
        ("   ", "a:\n"),
        ("\t b \t", "a:b\n"),
        ("b  c   d e", "a:b c d e\n"),
        ("b  \tc", "a:b \tc\n"),
        ("\"b  c\"", "a:\"b c\"\n"),
    ] {
        assert_eq!(lines(&[("a", value.as_bytes())]), canonical.as_bytes(), "{value:?}");
    }
}

#[test]
fn joins_duplicates_in_the_order_of_the_wire_and_sorts_names() {
    let signed = lines(&[("b", b"2"), ("x", b" z"), ("a", b"1"), ("x", b""), ("x", b"y, w")]);
    assert_eq!(signed, b"a:1\nb:2\nx:z,,y, w\n");
}

#[test]
fn keeps_header_values_that_are_no_text_byte_for_byte() {
    assert_eq!(lines(&[("x-amz-meta", b" caf\xe9  \xff\xa0 ")]), b"x-amz-meta:caf\xe9 \xff\xa0\n");
}

#[test]
fn selects_host_content_type_and_every_x_amz_header() {
    let mut headers = HeaderMap::new();
    for at in 0..500 {
        let name = http::HeaderName::try_from(format!("x-amz-meta-{at:03}")).unwrap();
        headers.append(name, HeaderValue::from(at));
    }
    for name in ["host", "x-amzn-trace-id", "x-forwarded-for", "cookie", "content-length"] {
        headers.append(name, HeaderValue::from_static("not signed"));
    }
    headers.append("content-type", HeaderValue::from_static("text/plain"));
    let host = HeaderValue::from_static("target");
    let signed = SignedHeaders::select(&host, &headers);
    let mut names = Vec::new();
    signed.write_names(&mut names);
    let names = String::from_utf8(names).unwrap();
    assert!(names.starts_with("content-type;host;x-amz-meta-000;x-amz-meta-001;"));
    assert_eq!(names.split(';').count(), 502);
    let mut out = Vec::new();
    signed.write_lines(&mut out);
    assert!(out.starts_with(b"content-type:text/plain\nhost:target\nx-amz-meta-000:0\n"));
}

/// The rule said plainly, without a thought for speed.
fn plainly(query: &str) -> String {
    let recode = |text: &str| {
        let mut bytes = text.as_bytes().to_vec();
        let mut at = 0;
        while at < bytes.len() {
            let digits = bytes.get(at + 1..at + 3).unwrap_or_default();
            if bytes[at] == b'%' && digits.len() == 2 && digits.iter().all(u8::is_ascii_hexdigit) {
                let byte = hex::decode(digits).unwrap()[0];
                bytes.splice(at..at + 3, [byte]);
            }
            at += 1;
        }
        let encoded = bytes.iter().map(|&byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            byte => format!("%{byte:02X}"),
        });
        encoded.collect::<String>()
    };
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let mut pairs: Vec<_> = pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (recode(name), recode(value)))
        .collect();
    pairs.sort();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

proptest! {
    #[test]
    fn a_query_is_what_the_rule_says_plainly(
        wire in "(&|=|%|%2B|%e9|%41|\\*|[a-c0-2-]|\u{e9}|[!-~]){0,16}",
    ) {
        let normal = normalise_query(&wire);
        prop_assert_eq!(query(&normal), plainly(&normal));
        prop_assert_eq!(query(&wire), query(&normal));
    }
}
