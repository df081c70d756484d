//! What a route says that a request must bring: what does not is refused, and nothing of it is
//! sent. Bodies and their schemas take the feature `validation`.

use crate::support::{Answer, Setup, Target, function, soon};

/// A request with these headers and this body.
pub(crate) fn request(line: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("{line} HTTP/1.1\r\nhost: localhost\r\n{headers}content-length: {length}\r\n\r\n{body}")
}

fn refused(answer: &Answer) -> serde_json::Value {
    assert_eq!((answer.status(), answer.code().as_str()), (400, "request_invalid"), "{answer:?}");
    assert_eq!(answer.head.text("content-type").unwrap(), "application/problem+json");
    assert!(answer.head.text("proxy-status").unwrap().contains("request_invalid"));
    answer.json()["errors"].clone()
}

#[tokio::test]
async fn headers_and_parameters_must_be_there_with_something_in_them() {
    let target = Target::bind().await;
    let route = "validate = { headers = [\"X-Tenant\"], query = [\"id\", \"page size\"] }";
    let proxy = Setup::to(target.address()).route(route).start().await;
    let all = "GET /orders?id=7&page%20size=1";
    for (line, headers, missing) in [
        ("GET /orders", "", vec![("header", "x-tenant"), ("query", "id"), ("query", "page size")]),
        (all, "", vec![("header", "x-tenant")]),
        (all, "x-tenant: \r\n", vec![("header", "x-tenant")]),
        (all, "x-tenant: a\r\nconnection: x-tenant\r\n", vec![("header", "x-tenant")]),
        ("GET /orders?id=&page+size=1", "x-tenant: a\r\n", vec![("query", "id")]),
        (
            "GET /orders?ID=7&page+size=%20",
            "x-tenant: a\r\n",
            vec![("query", "id"), ("query", "page size")],
        ),
    ] {
        let answer = proxy.ask(request(line, headers, "")).await;
        let errors = refused(&answer);
        let told: Vec<(&str, &str)> = errors
            .as_array()
            .unwrap()
            .iter()
            .map(|error| (error["in"].as_str().unwrap(), error["name"].as_str().unwrap()))
            .collect();
        assert_eq!(told, missing, "{line} {headers}");
    }
    assert!(target.is_untouched().await);
    let seen = target.sees(&proxy, request(all, "X-TENANT: a\r\n", "")).await;
    assert_eq!(seen.text("x-tenant").as_deref(), Some("a"));
    assert_eq!(seen.asked(), "/orders?id=7&page%20size=1");
}

#[tokio::test]
async fn says_what_is_missing_in_the_words_of_api_gateway() {
    let target = Target::bind().await;
    let route = "validate = { headers = [\"x-tenant\"], query = [\"id\"] }";
    let top = "error_style = \"api-gateway\"";
    let proxy = Setup::to(target.address()).top(top).route(route).start().await;
    let answer = proxy.ask(request("POST /orders", "", "{}")).await;
    assert_eq!(answer.status(), 400);
    assert_eq!(
        answer.text(),
        "{\"message\":\"Missing required request parameters: [x-tenant, id]\"}"
    );
    assert!(target.is_untouched().await);
}

#[tokio::test]
async fn a_connection_goes_on_after_a_request_that_was_refused() {
    let proxy = Setup::to(function().await).route("validate = { query = [\"id\"] }").start().await;
    let mut client = proxy.connect().await;
    for (line, status) in
        [("POST /process", 400), ("POST /process?id=1", 200), ("POST /process", 400)]
    {
        client.send(request(line, "", &format!("\"{}\"", "x".repeat(100_000)))).await;
        assert_eq!(soon(client.answer()).await.status(), status, "{line}");
    }
}

#[cfg(feature = "validation")]
mod bodies;
