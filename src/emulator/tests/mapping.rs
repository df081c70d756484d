//! What becomes of a function's answer.

use http_body_util::{BodyExt, Limited};
use serde_json::{Value, json};

use super::*;
use crate::emulator::answer::from_payload;

async fn mapped(payload: impl Into<Bytes>) -> Response<String> {
    let (head, body) = from_payload(payload.into()).into_parts();
    #[allow(clippy::disallowed_methods)] // limited
    let body = Limited::new(body, 4096).collect().await.unwrap().to_bytes();
    Response::from_parts(head, String::from_utf8_lossy(&body).into_owned())
}

async fn mapped_json(payload: Value) -> Response<String> {
    mapped(payload.to_string()).await
}

#[tokio::test]
async fn takes_json_without_a_status_as_the_body() {
    for payload in ["\"Hello, world!\"", "{\n  \"message\": \"Hello, world!\"\n}", "null", "[1]"] {
        let answer = mapped(payload).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "application/json");
        assert_eq!(answer.body(), payload);
    }
}

#[tokio::test]
async fn sets_status_headers_cookies_and_body() {
    let answer = mapped_json(json!({
        "statusCode": 201,
        "headers": { "Content-Type": "text/plain", "My-Number": 3, "my-null": null, "Date": "x" },
        "cookies": ["a=1; Max-Age=5", "b=2"],
        "body": "hi",
    }))
    .await;
    assert_eq!(answer.status(), 201);
    assert_eq!(answer.headers()["content-type"], "text/plain");
    assert_eq!(answer.headers()["my-number"], "3");
    assert_eq!(answer.headers()["x-amzn-remapped-date"], "x");
    assert!(!answer.headers().contains_key("my-null"));
    let cookies: Vec<_> = answer.headers().get_all("set-cookie").iter().collect();
    assert_eq!(cookies, ["a=1; Max-Age=5", "b=2"]);
    assert_eq!(answer.body(), "hi");
}

#[tokio::test]
async fn takes_a_status_in_digits_and_a_body_of_json() {
    let answer = mapped_json(json!({ "statusCode": "404", "body": { "a": 1 } })).await;
    assert_eq!(answer.status(), 404);
    assert_eq!(answer.headers()["content-type"], "application/json");
    assert_eq!(answer.body(), "{\"a\":1}");
}

#[tokio::test]
async fn decodes_a_body_in_base64() {
    let payload = json!({ "statusCode": 200, "body": "aGk=", "isBase64Encoded": true });
    assert_eq!(mapped_json(payload).await.body(), "hi");
    assert_eq!(mapped_json(json!({ "statusCode": 204 })).await.body(), "");
}

#[tokio::test]
async fn answers_502_where_the_answer_is_malformed() {
    for payload in [
        json!({ "statusCode": "OK" }),
        json!({ "statusCode": 99 }),
        json!({ "statusCode": 101 }),
        json!({ "statusCode": 600 }),
        json!({ "statusCode": null }),
        json!({ "statusCode": 200, "headers": ["a"] }),
        json!({ "statusCode": 200, "headers": { "a": [1] } }),
        json!({ "statusCode": 200, "headers": { "a b": "c" } }),
        json!({ "statusCode": 200, "headers": { "a": "b\r\nc: d" } }),
        json!({ "statusCode": 200, "cookies": "a=1" }),
        json!({ "statusCode": 200, "cookies": ["a\n"] }),
        json!({ "statusCode": 200, "body": "?", "isBase64Encoded": true }),
    ] {
        let answer = mapped_json(payload.clone()).await;
        assert_eq!(
            (answer.status().as_u16(), answer.body().as_str()),
            (502, "Internal Server Error"),
            "{payload}"
        );
    }
    assert_eq!(mapped("Task timed out after 3.00 seconds").await.status(), 502);
}
