//! JSON texts compared by value, with the pointers of what differs.

#![allow(clippy::unwrap_used)]

use super::{Difference, Kind, MOST, differences};
use crate::config::Comparison;

fn ignoring(pointers: &[&str]) -> Comparison {
    let ignored = pointers.iter().map(|pointer| (*pointer).to_owned()).collect();
    Comparison { headers: Vec::new(), ignored }
}

fn found(one: &str, other: &str, ignored: &[&str]) -> Vec<(String, Kind)> {
    let found = differences(one.as_bytes(), other.as_bytes(), &ignoring(ignored)).unwrap();
    found.into_iter().map(|Difference { pointer, kind }| (pointer, kind)).collect()
}

fn changed(pointer: &str) -> Vec<(String, Kind)> {
    vec![(pointer.to_owned(), Kind::Changed)]
}

#[test]
fn the_way_it_is_written_says_nothing() {
    for (one, other) in [
        (r#"{"a":1,"b":[true,null]}"#, "{ \"b\" : [ true , null ],\n\"a\": 1 }"),
        (r#""é""#, r#""\u00e9""#),
        (r#"{"\u0061/b":1}"#, r#"{"a\/b":1.0}"#),
        ("1", "1.0"),
        ("100", "1e2"),
        ("100", "1E+2"),
        ("0.001", "1e-3"),
        ("-0", "0"),
        ("0e99999999999999999999", "0.0"),
        ("123456789012345678901234567890", "1234567890123456789012345678.90e2"),
        (r#"{"a":1,"a":2}"#, r#"{"a":2}"#),
    ] {
        assert_eq!(found(one, other, &[]), [], "{one} {other}");
    }
}

#[test]
fn numbers_are_compared_exactly() {
    for (one, other) in [
        ("1", "-1"),
        ("1", "10"),
        ("12345678901234567890123", "12345678901234567890124"),
        ("0.1", "0.1000000000000000055511151231257827"),
        ("1e400", "1e401"),
        ("1e9223372036854775807", "1e9223372036854775806"),
        ("1e99999999999999999999", "1e99999999999999999998"),
    ] {
        assert_eq!(found(one, other, &[]), changed(""), "{one} {other}");
    }
}

#[test]
fn each_difference_has_its_pointer_and_kind() {
    let one = r#"{"id":1,"a/b":{"m~n":[1,2,{"x":null}]},"gone":0,"":"k"}"#;
    let other = r#"{"id":"1","a/b":{"m~n":[1,3,{"x":false},4]},"come":{},"":"K"}"#;
    let expected = [
        ("/", Kind::Changed),
        ("/a~1b/m~0n/1", Kind::Changed),
        ("/a~1b/m~0n/2/x", Kind::Changed),
        ("/a~1b/m~0n/3", Kind::Added),
        ("/gone", Kind::Missing),
        ("/id", Kind::Changed),
        ("/come", Kind::Added),
    ];
    let expected = expected.map(|(pointer, kind)| (pointer.to_owned(), kind));
    assert_eq!(found(one, other, &[]), expected);
}

#[test]
fn what_is_ignored_is_ignored_whole_and_nothing_else_is() {
    let one = r#"{"a/b":{"m~n":[1,2]},"at":{"s":1,"ns":2},"attic":1,"l":[{"t":1},{"t":1}],"o":1}"#;
    let other = r#"{"a/b":{"m~n":[1,3]},"at":[],"attic":2,"l":[{"t":2},{"t":2}],"n":1}"#;
    let ignored = ["/a~1b/m~0n/1", "/at", "/l/0/t", "/l/*/t", "/o", "/n"];
    let expected = [("/attic", Kind::Changed), ("/l/1/t", Kind::Changed)];
    let expected = expected.map(|(pointer, kind)| (pointer.to_owned(), kind));
    assert_eq!(found(one, other, &ignored), expected);
    assert_eq!(found("{}", "[1]", &[""]), [], "the empty pointer is the whole");
}

#[test]
fn no_more_differences_are_told_than_help() {
    let (one, other) = (format!("[{}1]", "1,".repeat(999)), format!("[{}2]", "2,".repeat(1999)));
    let found = found(&one, &other, &[]);
    assert_eq!(found.len(), MOST);
    assert_eq!(found[9], ("/9".to_owned(), Kind::Changed));
}

#[test]
fn text_that_is_no_json_is_not_compared_as_such() {
    let none = ignoring(&[]);
    for wrong in [&b"{"[..], b"", b"{} {}", b"\xff", b"{\"a\":01}", b"nul"] {
        assert_eq!(differences(b"{}", wrong, &none), None, "{wrong:?}");
        assert_eq!(differences(wrong, b"{}", &none), None, "{wrong:?}");
    }
}

#[test]
fn deep_and_broken_values_end_in_a_difference() {
    let nested =
        |depth: usize, value: &str| format!("{}{value}{}", "[".repeat(depth), "]".repeat(depth));
    let at = |depth: usize| "/0".repeat(depth);
    assert_eq!(found(&nested(60, "1"), &nested(60, "2"), &[]), changed(&at(60)));
    assert_eq!(found(&nested(10_000, "1"), &nested(10_000, "2"), &[]), changed(&at(64)));
    assert_eq!(found(&nested(10_000, "1"), &nested(10_000, "1"), &[]), []);
    // Half of a pair of surrogates is no text, and no key either.
    assert_eq!(found(r#"{"a":"\ud800"}"#, r#"{"a":"\ud801"}"#, &[]), changed("/a"));
    assert_eq!(found(r#"{"\ud800":1}"#, r#"{"\ud801":1}"#, &[]), changed(""));
}
