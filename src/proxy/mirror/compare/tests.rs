//! Heads and bodies held against each other.

#![allow(clippy::unwrap_used)]

use http::header::HeaderName;
use http::{HeaderMap, HeaderValue, StatusCode};

use super::{At, Bodies, Difference, Head, bodies, heads};
use crate::config::Comparison;
use crate::proxy::mirror::json::Kind;

fn head(status: u16, headers: &[(&str, &str)]) -> Head {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(HeaderName::try_from(*name).unwrap(), HeaderValue::from_str(value).unwrap());
    }
    Head { status: StatusCode::from_u16(status).unwrap(), headers: map }
}

fn of_headers(names: &[&str]) -> Comparison {
    let headers = names.iter().map(|name| HeaderName::try_from(*name).unwrap()).collect();
    Comparison { headers, ignored: Vec::new() }
}

fn told(found: Vec<Difference>) -> Vec<(At, Kind, Option<[String; 2]>)> {
    found
        .into_iter()
        .map(|difference| (difference.at, difference.kind, difference.values))
        .collect()
}

fn named(name: &str) -> At {
    At::Header(HeaderName::try_from(name).unwrap())
}

#[test]
fn status_and_chosen_headers_are_told_with_both_values() {
    let chosen = of_headers(&["content-type", "x-many", "x-gone", "x-come", "x-same"]);
    let one = head(
        200,
        &[
            ("content-type", "text/plain"),
            ("x-many", "a"),
            ("x-many", "b"),
            ("x-gone", "1"),
            ("x-same", "s"),
            ("x-other", "1"),
        ],
    );
    let other = head(
        500,
        &[
            ("content-type", "text/html"),
            ("x-many", "b"),
            ("x-many", "a"),
            ("x-come", "2"),
            ("x-same", "s"),
            ("x-other", "2"),
        ],
    );
    let values = |a: &str, b: &str| Some([a.to_owned(), b.to_owned()]);
    let expected = [
        (At::Status, Kind::Changed, values("200", "500")),
        (named("content-type"), Kind::Changed, values("text/plain", "text/html")),
        (named("x-many"), Kind::Changed, values("a, b", "b, a")),
        (named("x-gone"), Kind::Missing, values("1", "")),
        (named("x-come"), Kind::Added, values("", "2")),
    ];
    assert_eq!(told(heads(&one, &other, &chosen)), expected);
    assert_eq!(heads(&one, &one, &chosen), []);
}

#[test]
fn a_cookie_is_not_told_and_a_long_value_is_cut() {
    let chosen = of_headers(&["set-cookie", "x-long"]);
    let one = head(200, &[("set-cookie", "session=1"), ("x-long", &"a".repeat(1000))]);
    let other = head(200, &[("set-cookie", "session=2"), ("x-long", "b")]);
    let expected = [
        (named("set-cookie"), Kind::Changed, None),
        (named("x-long"), Kind::Changed, Some(["a".repeat(128), "b".to_owned()])),
    ];
    assert_eq!(told(heads(&one, &other, &chosen)), expected);
}

fn judged(one: (&str, &[u8]), other: (&str, &[u8])) -> Bodies {
    let (a, b) = (head(200, &[("content-type", one.0)]), head(200, &[("content-type", other.0)]));
    bodies((&a, one.1), (&b, other.1), &of_headers(&[]))
}

fn different(at: At) -> Bodies {
    Bodies::Compared(vec![Difference { at, kind: Kind::Changed, values: None }])
}

#[test]
fn bodies_are_compared_by_value_where_both_are_json_else_by_bytes() {
    let same = Bodies::Compared(Vec::new());
    let (one, blank, other) = (b"{\"a\":1}", b"{ \"a\": 1 }", b"{\"a\":2}");
    let json = "application/json; charset=utf-8";
    assert_eq!(judged((json, one), ("Application/Problem+JSON", blank)), same);
    assert_eq!(judged((json, one), (json, other)), different(At::Pointer("/a".to_owned())));
    assert_eq!(judged((json, one), (json, b"[]")), different(At::Body));
    assert_eq!(judged((json, one), (json, b"{")), different(At::Body));
    assert_eq!(judged((json, one), ("text/plain", blank)), different(At::Body));
    assert_eq!(judged(("text/plain", one), ("text/plain", blank)), different(At::Body));
    assert_eq!(judged(("text/plain", one), ("text/html", one)), same);
}

#[test]
fn encoded_bodies_are_compared_by_bytes_where_both_are_encoded_alike() {
    let of = |encoding: &str| {
        head(200, &[("content-type", "application/json"), ("content-encoding", encoding)])
    };
    let none = of_headers(&[]);
    let judge =
        |one: &str, other: &str, a: &[u8], b: &[u8]| bodies((&of(one), a), (&of(other), b), &none);
    assert_eq!(judge("gzip", "gzip", b"1", b"1"), Bodies::Compared(Vec::new()));
    assert_eq!(judge("gzip", "GZIP", b"1", b"1.0"), different(At::Body));
    assert_eq!(judge("gzip", "br", b"1", b"1"), Bodies::NotComparable);
    assert_eq!(judge("gzip", "identity", b"1", b"1"), Bodies::NotComparable);
    assert_eq!(judge("identity", "", b"1", b"1.0"), Bodies::Compared(Vec::new()));
}
