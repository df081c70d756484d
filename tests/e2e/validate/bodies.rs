//! Bodies against their schemas.

use std::fmt::Write as _;

use super::{refused, request};
use crate::lifecycle::{KEPT, SERVED};
use crate::process::{Process, config, connect};
use crate::support::{OK, Proxy, Setup, Target, function};

const JSON: &str = "content-type: application/json; charset=utf-8\r\n";
const ORDER: &str = "validate.body.\"application/json\" = { type = \"object\", required = [\"id\"], \
                     properties = { id = { type = \"string\" }, lines = { items = { type = \"integer\" } } } }";

async fn started(target: &Target, route: &str) -> Proxy {
    Setup::to(target.address()).route(route).start().await
}

#[tokio::test]
async fn a_body_that_does_not_fit_is_refused_with_the_place_of_each_fault() {
    let target = Target::bind().await;
    let proxy = started(&target, ORDER).await;
    let body = "{\"id\": 7, \"lines\": [1, \"hunter2\"]}";
    let answer = proxy.ask(request("POST /orders", JSON, body)).await;
    let errors = refused(&answer);
    let mut pointers: Vec<&str> =
        errors.as_array().unwrap().iter().map(|error| error["pointer"].as_str().unwrap()).collect();
    pointers.sort_unstable();
    assert_eq!(pointers, ["#/id", "#/lines/1"]);
    assert!(errors.as_array().unwrap().iter().all(|error| error["detail"].is_string()));
    assert!(!answer.text().contains("hunter2"), "{}", answer.text());
    assert!(target.is_untouched().await);
}

#[tokio::test]
async fn a_body_that_fits_is_sent_as_it_came() {
    let proxy = Setup::to(function().await).route(ORDER).start().await;
    let body = "{ \"id\" : \"7\",\n \"lines\": [1e0, 2] }";
    let answer = proxy.ask(request("POST /process", JSON, body)).await;
    assert_eq!(answer.status(), 200, "the emulator has verified its hash: {answer:?}");
    let chunked = "POST /process HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
                   transfer-encoding: chunked\r\n\r\n";
    for (pieces, status) in [(["{\"i", "d\": \"", "7\"}"], 200), (["{\"i", "d\": ", "7}"], 400)] {
        let mut text = chunked.to_owned();
        for piece in pieces {
            let _ = write!(text, "{:x}\r\n{piece}\r\n", piece.len());
        }
        let answer = proxy.ask(format!("{text}0\r\n\r\n")).await;
        assert_eq!(answer.status(), status, "{pieces:?}");
    }
}

#[tokio::test]
async fn the_content_type_says_which_schema_and_none_lets_it_pass() {
    let target = Target::bind().await;
    let proxy = started(&target, ORDER).await;
    for headers in ["content-type: text/plain\r\n", "content-type: application/xml\r\n"] {
        target.sees(&proxy, request("POST /orders", headers, "7")).await;
    }
    for headers in ["", JSON, "Content-Type: APPLICATION/JSON\r\n"] {
        refused(&proxy.ask(request("POST /orders", headers, "7")).await);
    }
    let route = format!("{ORDER}\nvalidate.body.\"$default\" = {{ type = \"array\" }}");
    let proxy = started(&target, &route).await;
    refused(&proxy.ask(request("POST /orders", "content-type: text/plain\r\n", "7")).await);
    target.sees(&proxy, request("POST /orders", "content-type: text/plain\r\n", "[7]")).await;
    refused(&proxy.ask(request("POST /orders", JSON, "[7]")).await);
}

#[tokio::test]
async fn the_type_that_the_function_will_see_says_which_schema() {
    let target = Target::bind().await;
    let proxy = started(&target, ORDER).await;
    let named = "content-type: text/plain\r\nconnection: Content-Type\r\n";
    for headers in ["content-type:\r\n", named, "content-type: application/json; a=\u{e9}\r\n"] {
        refused(&proxy.ask(request("POST /orders", headers, "7")).await);
    }
    for change in ["set = { content-type = \"application/json\" }", "remove = [\"content-type\"]"] {
        let route = format!("{ORDER}\nrequest_headers = {{ {change} }}");
        let proxy = started(&target, &route).await;
        refused(&proxy.ask(request("POST /orders", "content-type: text/plain\r\n", "7")).await);
    }
    assert!(target.is_untouched().await);
}

#[tokio::test]
async fn what_cannot_be_checked_is_refused() {
    let target = Target::bind().await;
    let proxy = started(&target, ORDER).await;
    let deep = "[".repeat(100_000);
    let many = format!("[{}{{}}]", "{},".repeat(1_000_000));
    for (headers, body, told) in [
        (JSON, many.as_str(), "too many"),
        (JSON, "", "no body"),
        (JSON, "{\"id\": \"hunter2\"", "no JSON"),
        (JSON, "{\"id\": \"7\"} {}", "no JSON"),
        (JSON, "\u{feff}{\"id\": \"7\"}", "no JSON"),
        (JSON, deep.as_str(), "too deep"),
        ("content-encoding: gzip\r\n", "{\"id\": \"7\"}", "compressed"),
    ] {
        let answer = proxy.ask(request("POST /orders", headers, body)).await;
        let errors = refused(&answer);
        assert_eq!(errors[0]["pointer"], "#");
        assert!(errors[0]["detail"].as_str().unwrap().contains(told), "{errors}");
        assert!(!answer.text().contains("hunter2"), "{}", answer.text());
    }
    assert!(target.is_untouched().await);
    target.sees(&proxy, "GET /orders HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
}

#[tokio::test]
async fn says_that_a_body_is_wrong_in_the_words_of_api_gateway() {
    let target = Target::bind().await;
    let setup = Setup::to(target.address()).top("error_style = \"api-gateway\"").route(ORDER);
    let proxy = setup.start().await;
    let answer = proxy.ask(request("POST /orders", JSON, "{}")).await;
    assert_eq!((answer.status(), answer.text()), (400, "{\"message\":\"Invalid request body\"}"));
}

#[tokio::test]
async fn a_large_body_keeps_no_other_request_waiting() {
    let target = Target::bind().await;
    let route = "validate.body.\"application/json\" = { items = { properties = { a = { type = \"integer\" } } } }";
    let proxy = started(&target, route).await;
    // Some 6 MB in 60,000 objects, the last one wrong.
    let object = format!("{{\"a\":1,\"b\":\"{}\"}},", "x".repeat(80));
    let body = format!("[{}{{\"a\":\"x\"}}]", object.repeat(60_000));
    let mut large = proxy.connect().await;
    large.send(request("POST /large", JSON, &body)).await;
    let checked = tokio::spawn(async move { large.answer().await });
    let mut asked = 0;
    while !checked.is_finished() {
        target.sees(&proxy, request("POST /small", JSON, "[{\"a\":1}]")).await;
        asked += 1;
    }
    let errors = refused(&checked.await.unwrap());
    assert_eq!(errors[0]["pointer"], "#/60000/a");
    assert!(asked > 5, "{asked} were answered meanwhile");
}

#[tokio::test]
async fn a_schema_that_changes_is_read_again() {
    let target = Target::bind().await;
    let text = config(&target, "");
    let all = "name = \"all\"";
    let route = format!("{all}\nvalidate.body = {{ \"application/json\" = \"order.json\" }}");
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("order.json"), "{\"type\":\"object\"}").unwrap();
    std::fs::write(folder.path().join("t.toml"), text.replace(all, &route)).unwrap();
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_countersign"));
    command.args(["run", "--config"]).arg(folder.path().join("t.toml"));
    let mut process = Process::start(command, folder);
    let mut client = connect(&mut process).await;
    let post = request("POST /orders", JSON, "[]");
    client.send(&post).await;
    refused(&client.answer().await);
    let schema = process.folder.path().join("order.json");
    std::fs::write(&schema, "{\"type\":").unwrap();
    process.says(KEPT).await;
    client.send(&post).await;
    refused(&client.answer().await);
    std::fs::write(&schema, "{\"type\":\"array\"}").unwrap();
    process.says(SERVED).await;
    client.send(&post).await;
    let mut there = target.accept().await;
    there.head().await;
    there.send(OK).await;
    assert_eq!(client.answer().await.status(), 200);
    assert_eq!(process.terminate().await.0, Some(0));
}
