//! The event that a request becomes.

use std::net::{IpAddr, Ipv4Addr};

use serde_json::{Value, json};

use super::*;
use crate::emulator::event::{Caller, Event, Invocation};

fn event(head: &Head, body: &[u8]) -> Value {
    let invocation = Invocation {
        request_id: "id",
        source_ip: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)),
        now: signed_at() + Duration::from_millis(250),
        caller: Caller::new("AKIAIOSFODNN7EXAMPLE", ARN),
    };
    serde_json::to_value(Event::new(head, body, invocation)).unwrap()
}

fn head(target: &str, headers: &[(&str, &str)]) -> Head {
    let mut request = Request::post(target).header("host", "abc.lambda-url.us-east-1.on.aws:8443");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

#[test]
fn has_every_field_of_format_2_0() {
    let headers = [
        ("content-type", "application/json; charset=utf-8"),
        ("user-agent", "curl/8"),
        ("x-twice", "one"),
        ("x-twice", "two"),
        ("cookie", "a=1; b=2"),
        ("cookie", "c=3"),
        ("authorization", "AWS4-HMAC-SHA256 …"),
        ("x-forwarded-for", "203.0.113.9"),
    ];
    let head = head("/a%20b//c?x=1&x=a%2Cb&y=%C3%A9+z&flag", &headers);
    let expected = json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": "/a%20b//c",
        "rawQueryString": "x=1&x=a%2Cb&y=%C3%A9+z&flag",
        "cookies": ["a=1", "b=2", "c=3"],
        "headers": {
            "content-type": "application/json; charset=utf-8",
            "host": "abc.lambda-url.us-east-1.on.aws:8443",
            "user-agent": "curl/8",
            "x-forwarded-for": "192.0.2.7",
            "x-forwarded-port": "443",
            "x-forwarded-proto": "https",
            "x-twice": "one,two",
        },
        "queryStringParameters": { "x": "1,a,b", "y": "é z", "flag": "" },
        "requestContext": {
            "accountId": "111122223333",
            "apiId": "abc",
            "authentication": null,
            "authorizer": { "iam": {
                "accessKey": "AKIAIOSFODNN7EXAMPLE",
                "accountId": "111122223333",
                "callerId": "AIDACOUNTERSIGNEXAMPLE",
                "cognitoIdentity": null,
                "principalOrgId": null,
                "userArn": ARN,
                "userId": "AIDACOUNTERSIGNEXAMPLE",
            } },
            "domainName": "abc.lambda-url.us-east-1.on.aws",
            "domainPrefix": "abc",
            "http": {
                "method": "POST",
                "path": "/a%20b//c",
                "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.7",
                "userAgent": "curl/8",
            },
            "requestId": "id",
            "routeKey": "$default",
            "stage": "$default",
            "time": "24/Nov/2026:03:04:05 +0000",
            "timeEpoch": SIGNED_AT * 1000 + 250,
        },
        "body": "{}",
        "isBase64Encoded": false,
    });
    assert_eq!(event(&head, b"{}"), expected);
}

#[test]
fn leaves_out_what_the_request_does_not_have() {
    let event = event(&head("/", &[]), b"");
    for field in ["cookies", "queryStringParameters", "body"] {
        assert_eq!(event.get(field), None, "{field}");
    }
    assert_eq!(event["requestContext"]["http"].get("userAgent"), None);
    assert_eq!(event["rawQueryString"], "");
    assert_eq!(event["isBase64Encoded"], false);
}

#[test]
fn has_text_as_it_is_and_the_rest_in_base64() {
    for (content_type, body, expected) in [
        ("text/plain", &b"hi"[..], ("hi", false)),
        ("application/problem+json", b"{}", ("{}", false)),
        ("image/svg+xml", b"<svg/>", ("PHN2Zy8+", true)),
        ("Application/XML", b"<a/>", ("<a/>", false)),
        ("application/x-www-form-urlencoded", b"a=1", ("YT0x", true)),
        ("application/octet-stream", b"hi", ("aGk=", true)),
        ("application/json", b"\xff", ("/w==", true)),
        ("", b"hi", ("aGk=", true)),
    ] {
        let event = event(&head("/", &[("content-type", content_type)]), body);
        let found = (event["body"].as_str().unwrap(), event["isBase64Encoded"].as_bool().unwrap());
        assert_eq!(found, expected, "{content_type}");
    }
}

#[test]
fn names_the_session_of_an_assumed_role() {
    let caller = serde_json::to_value(Caller::new("ASIA", ROLE)).unwrap();
    assert_eq!(caller["accountId"], "111122223333");
    assert_eq!(caller["userId"], "AROACOUNTERSIGNEXAMPLE:session");
    assert_eq!(caller["userArn"], ROLE);
}
