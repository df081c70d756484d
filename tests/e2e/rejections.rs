//! Answers of countersign's own: status, problem and `Proxy-Status`, in both styles.

use crate::support::{Setup, Target};

const TABLE: &str = "methods = [\"GET\", \"PUT\"]\npath = \"/orders/{id}\"";

fn ask(method: &str, path: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n\r\n")
}

#[tokio::test]
async fn a_problem_has_every_field_and_nothing_of_the_request() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address()).route(TABLE).start().await;
    let answer = proxy.ask(ask("GET", "/nowhere?token=hush")).await;
    assert_eq!(answer.head.line(), "HTTP/1.1 404 Not Found");
    assert_eq!(answer.head.text("content-type").unwrap(), "application/problem+json");
    assert_eq!(
        answer.head.text("proxy-status").unwrap(),
        "countersign; error=destination_not_found; details=\"no_route\""
    );
    let expected = serde_json::json!({
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "no route takes this request",
        "code": "no_route",
        "hint": "`countersign explain METHOD PATH` says why each route passed it over",
    });
    assert_eq!(answer.json(), expected);
    assert!(target.is_untouched().await);
}

#[tokio::test]
async fn a_method_that_no_route_takes_is_told_which_ones_they_take() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address()).route(TABLE).start().await;
    let answer = proxy.ask(ask("DELETE", "/orders/7")).await;
    assert_eq!((answer.status(), answer.code().as_str()), (405, "method_not_allowed"));
    let allow = answer.head.text("allow").unwrap();
    let mut methods: Vec<&str> = allow.split(", ").collect();
    methods.sort_unstable();
    assert_eq!(methods, ["GET", "PUT"]);
    assert!(answer.head.text("proxy-status").unwrap().contains("error=http_request_denied"));
    assert_eq!(proxy.ask(ask("DELETE", "/nowhere")).await.status(), 404);
    assert!(target.is_untouched().await);
}

#[tokio::test]
async fn api_gateways_style_is_its_message_alone() {
    let target = Target::bind().await;
    let style = "error_style = \"api-gateway\"";
    let proxy = Setup::to(target.address()).top(style).route(TABLE).start().await;
    let answer = proxy.ask(ask("GET", "/nowhere")).await;
    assert_eq!(answer.status(), 404);
    assert_eq!(answer.head.text("content-type").unwrap(), "application/json");
    assert_eq!(answer.json(), serde_json::json!({"message": "Not Found"}));
    assert!(answer.head.text("proxy-status").unwrap().contains("no_route"));
    let answer = proxy.ask("GET /orders/7 HTTP/1.1\r\nhost: evil.example\r\n\r\n").await;
    assert_eq!(answer.status(), 403);
    assert_eq!(answer.json(), serde_json::json!({"message": "Forbidden"}));
    let proxy = Setup::to(target.address()).top(style).tables(REJECTING).start().await;
    let answer = proxy.ask(ask("GET", "/orders/old")).await;
    assert_eq!(answer.json(), serde_json::json!({"message": "in the archive"}));
}

const REJECTING: &str = "\n[[routes]]\nname = \"old\"\npath = \"/orders/old\"\n\
                         reject = { status = 410, message = \"in the archive\" }\n";

#[tokio::test]
async fn a_route_that_rejects_answers_before_it_asks_for_the_body() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address()).tables(REJECTING).start().await;
    let request = "POST /orders/old HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9999999\r\nexpect: 100-continue\r\n\r\n";
    let answer = proxy.ask(request).await;
    assert_eq!((answer.status(), answer.code().as_str()), (410, "rejected_by_route"));
    assert_eq!(answer.json()["detail"], "in the archive");
    assert_eq!(
        answer.head.text("proxy-status").unwrap(),
        "countersign; error=http_request_denied; details=\"rejected_by_route\""
    );
    assert!(target.is_untouched().await);
}

#[tokio::test]
async fn a_request_for_no_path_is_refused() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address()).start().await;
    for asked in ["*", "https://localhost/x"] {
        let answer = proxy.ask(ask("OPTIONS", asked)).await;
        assert_eq!((answer.status(), answer.code().as_str()), (400, "bad_target"), "{asked}");
    }
    assert!(target.is_untouched().await);
}

#[tokio::test]
async fn a_rejection_of_a_head_has_no_body_and_the_connection_goes_on() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address()).route(TABLE).start().await;
    let mut client = proxy.connect().await;
    client.send(ask("HEAD", "/nowhere")).await;
    let head = client.head().await;
    assert_eq!(head.status(), 404);
    assert!(!head.has("connection"));
    client.send(ask("GET", "/nowhere")).await;
    assert_eq!(client.answer().await.code(), "no_route");
}

#[tokio::test]
async fn every_rejection_has_the_type_of_its_kind() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address()).start().await;
    let head = |rest: &str| format!("POST / HTTP/1.1\r\nhost: localhost\r\n{rest}\r\n");
    let cases = [
        (
            head("content-length: 9999999\r\nexpect: 100-continue\r\n"),
            "http_request_error",
            "body_too_large",
        ),
        (head("upgrade: websocket\r\n"), "http_request_denied", "upgrade_not_supported"),
        (head("host: localhost\r\n"), "http_request_error", "bad_host"),
        (head("transfer-encoding: chunked\r\n") + "x\r\n", "http_request_error", "body_broken"),
        (head("origin: null\r\n"), "http_request_denied", "origin_not_allowed"),
    ];
    for (request, error, code) in cases {
        let answer = proxy.ask(&request).await;
        let expected = format!("countersign; error={error}; details=\"{code}\"");
        assert_eq!(answer.head.text("proxy-status").unwrap(), expected, "{request}");
        let problem = answer.json();
        assert_eq!(problem["code"], code);
        assert_eq!(problem["status"], answer.status());
        for field in ["type", "title", "detail", "hint"] {
            assert!(problem[field].as_str().is_some_and(|text| !text.is_empty()), "{code} {field}");
        }
    }
    assert!(target.is_untouched().await);
}
