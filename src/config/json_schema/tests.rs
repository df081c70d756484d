//! Bodies against schemas: what fits, what is told of what does not, and what no body may cost.

#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Schema, Told};

fn compiled(schema: Value) -> Schema {
    Schema::compile(&schema).unwrap()
}

/// Pointer and sentence of each fault.
fn told(schema: Value, body: Value) -> Vec<(String, String)> {
    let faults = compiled(schema).faults(&body, Told::Several);
    faults.into_iter().map(|fault| (fault.pointer, fault.detail)).collect()
}

#[test]
fn tells_each_fault_with_its_pointer_and_no_value() {
    let schema = json!({
        "type": "object",
        "required": ["id"],
        "additionalProperties": false,
        "properties": {
            "id": { "type": "string" },
            "items": { "items": { "minimum": 1, "type": "integer" } },
            "a/b ~é": { "enum": ["x"] },
            "card": { "pattern": "^[0-9]+$" },
        },
    });
    let body = json!({
        "items": [1, 0, "hunter2"],
        "a/b ~é": "hunter2",
        "card": "hunter2",
        "un/known": "hunter2",
    });
    let told = told(schema, body);
    let mut pointers: Vec<&str> = told.iter().map(|(pointer, _)| pointer.as_str()).collect();
    pointers.sort_unstable();
    let expected = ["#", "#/a~1b%20~0%C3%A9", "#/card", "#/items/1", "#/items/2", "#/un~1known"];
    assert_eq!(pointers, expected, "{told:?}");
    assert!(!format!("{told:?}").contains("hunter2"), "{told:?}");
    assert!(told.iter().any(|(_, detail)| detail.contains("\"id\"")), "{told:?}");
}

#[test]
fn judges_by_the_draft_that_a_schema_names() {
    // Draft 4's is a boolean beside `maximum`, later ones have a number alone.
    let of_draft_4 = json!({
        "$schema": "http://json-schema.org/draft-04/schema#",
        "maximum": 5,
        "exclusiveMaximum": true,
    });
    assert_eq!(told(of_draft_4.clone(), json!(5)).len(), 1);
    assert_eq!(told(of_draft_4, json!(4)), []);
    assert_eq!(told(json!({ "exclusiveMaximum": 5 }), json!(5)).len(), 1);
}

#[test]
fn names_and_sentences_of_any_length_stay_short() {
    let long = "é".repeat(10_000);
    let closed = json!({ "properties": { "in": { "additionalProperties": false } } });
    let [(pointer, _)] = &told(closed, json!({ "in": { long.clone(): 1 } }))[..] else { panic!() };
    assert_eq!(pointer, "#/in", "what is too long is told of what it stands in");
    let [(_, detail)] = &told(json!({ "const": long }), json!(1))[..] else { panic!() };
    assert!(detail.len() < 300, "{}", detail.len());
    let many: Vec<u32> = (0..1000).collect();
    assert_eq!(told(json!({ "items": { "type": "string" } }), json!(many)).len(), 20);
    let first =
        compiled(json!({ "items": { "type": "string" } })).faults(&json!(many), Told::First);
    assert_eq!(first.len(), 1);
    assert_eq!(first[0].pointer, "#/0");
}

#[test]
fn refuses_what_would_be_fetched_and_what_may_take_for_ever() {
    for (schema, message, hint) in [
        (json!({ "$ref": "https://example.com/s.json" }), "refers to", "`definitions`"),
        (json!({ "$ref": "file:///etc/passwd" }), "refers to", "`definitions`"),
        (json!({ "properties": { "a": { "$ref": "other.json" } } }), "refers to", "`definitions`"),
        (json!({ "$ref": "#/definitions/none" }), "refers to", "`definitions`"),
        (json!({ "pattern": "^(?=a)b$" }), "pattern", "look-around"),
        (json!({ "pattern": "(a)\\1" }), "pattern", "look-around"),
        (json!({ "$schema": "http://example.com/own" }), "example.com/own", "draft-04"),
        (json!({ "type": "strnig" }), "`/type`", "mend it"),
        (json!({ "properties": [] }), "`/properties`", "mend it"),
        (json!(7), "no JSON Schema", "mend it"),
    ] {
        let wrong = Schema::compile(&schema).unwrap_err();
        assert!(wrong.message.contains(message), "{schema}: {wrong:?}");
        assert!(wrong.hint.contains(hint), "{schema}: {wrong:?}");
    }
}

#[test]
fn no_body_takes_long() {
    // The first would take an engine that goes back 2^50 steps; the second pairs all with all.
    let schema = compiled(json!({
        "properties": {
            "text": { "pattern": "^(a+)+$" },
            "list": { "uniqueItems": true },
            "tree": { "$ref": "#/definitions/tree" },
        },
        "definitions": { "tree": { "items": { "$ref": "#/definitions/tree" } } },
    }));
    let text = format!("{}b", "a".repeat(50_000));
    let list: Vec<Value> = (0..50_000).map(|n| json!({ "n": n })).collect();
    let tree = (0..120).fold(json!(0), |tree, _| json!([tree]));
    let began = Instant::now();
    let faults = schema.faults(&json!({ "text": text, "list": list, "tree": tree }), Told::First);
    assert_eq!(faults.len(), 1);
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
}

#[test]
fn a_deep_body_takes_no_longer_where_a_schema_chooses_and_refers_to_itself() {
    let branch = |more: Value| json!({ "properties": { "a": { "$ref": "#" } }, "required": more });
    let schema = compiled(json!({
        "type": ["object", "integer"],
        "anyOf": [branch(json!(["k"])), branch(json!(["l"])), branch(json!([]))],
    }));
    let nested = |last: Value| (0..100).fold(last, |body, _| json!({ "a": body }));
    let began = Instant::now();
    assert_eq!(schema.faults(&nested(json!(7)), Told::Several), []);
    let faults = schema.faults(&nested(json!("x")), Told::Several);
    assert_eq!((faults.len(), faults[0].pointer.as_str()), (1, "#"));
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
}

#[test]
fn a_large_body_gathers_no_faults_of_choices() {
    let schema = compiled(json!({ "anyOf": [{ "items": { "type": "string" } }, false] }));
    let body = json!([1, 2]);
    assert_eq!(schema.faults(&body, Told::First)[0].pointer, "#");
    assert!(schema.faults(&body, Told::First)[0].detail.contains("not looked for"));
    assert!(schema.faults(&body, Told::Several)[0].detail.contains("anyOf"));
}

#[test]
fn a_schema_that_refers_to_itself_ends() {
    if let Ok(schema) = Schema::compile(&json!({ "$ref": "#" })) {
        assert_eq!(schema.faults(&json!({ "a": 1 }), Told::Several), []);
    }
}
