//! The binary as an external Lambda extension, with a stand-in for the Extensions API.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::sys::signal::Signal;
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::process::{Process, config, connect};
use crate::support::{Target, Wire, soon};

const GET: &str = "GET /orders HTTP/1.1\r\nhost: localhost\r\n\r\n";
const KEPT: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const REGISTERED: &str = "HTTP/1.1 200 OK\r\nlambda-extension-identifier: the-id\r\n\
                          content-length: 2\r\n\r\n{}";

/// The program as Lambda starts it: no arguments, everything from the environment.
fn started(api: &Target, target: &Target) -> Process {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("signer");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_countersign"), &file).unwrap();
    let mut command = Command::new(file);
    command
        .env("AWS_LAMBDA_RUNTIME_API", api.address().to_string())
        .env("COUNTERSIGN_CONFIG_TOML", config(target, ""));
    Process::start(command, folder)
}

/// Takes the registration; what comes next is the question for the next event.
async fn registered(api: &Target) -> Wire<TcpStream> {
    let mut wire = api.accept().await;
    let asked = wire.head().await;
    assert_eq!(asked.line(), "POST /2020-01-01/extension/register HTTP/1.1");
    assert_eq!(asked.text("lambda-extension-name").as_deref(), Some("signer"));
    let length = asked.text("content-length").unwrap().parse().unwrap();
    assert_eq!(wire.bytes(length).await, br#"{"events":["SHUTDOWN"]}"#);
    wire.send(REGISTERED).await;
    next(api).await
}

async fn next(api: &Target) -> Wire<TcpStream> {
    let mut wire = api.accept().await;
    let asked = wire.head().await;
    assert_eq!(asked.line(), "GET /2020-01-01/extension/event/next HTTP/1.1");
    assert_eq!(asked.text("lambda-extension-identifier").as_deref(), Some("the-id"));
    wire
}

/// Ends the execution environment; `left` is what the extension has for its end.
async fn shut_down(mut events: Wire<TcpStream>, left: Duration) {
    #[allow(clippy::disallowed_methods)] // what another process compares with its own clock
    let deadline = (SystemTime::now() + left).duration_since(UNIX_EPOCH).unwrap().as_millis();
    events
        .send(json(&format!(
            r#"{{"eventType":"SHUTDOWN","shutdownReason":"spindown","deadlineMs":{deadline}}}"#
        )))
        .await;
}

fn json(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn registers_serves_and_ends_with_its_environment() {
    let (api, target) = (Target::bind().await, Target::bind().await);
    let mut process = started(&api, &target);
    let mut events = registered(&api).await;
    let mut client = connect(&mut process).await;
    client.send(GET).await;
    let mut there = target.accept().await;
    assert!(there.head().await.has("authorization"));
    there.send(KEPT).await;
    assert_eq!(client.answer().await.status(), 200);
    // An event that it never asked for is none of its business.
    events.send(json(r#"{"eventType":"INVOKE","deadlineMs":1}"#)).await;
    shut_down(next(&api).await, Duration::from_secs(10)).await;
    let (code, output) = process.ended().await;
    assert_eq!(code, Some(0), "{output}");
    assert!(output.contains("the execution environment ends"), "{output}");
}

#[tokio::test]
async fn survives_being_frozen_and_thawed() {
    let (api, target) = (Target::bind().await, Target::bind().await);
    let mut process = started(&api, &target);
    let events = registered(&api).await;
    let mut client = connect(&mut process).await;
    for _ in 0..3 {
        client.send(GET).await;
        let mut there = target.accept().await;
        there.head().await;
        there.send(KEPT).await;
        assert_eq!(client.answer().await.status(), 200);
        process.signal(Signal::SIGSTOP);
        drop(there); // the target's idle time is over
        client
            .send("POST /orders HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n{}")
            .await;
        process.signal(Signal::SIGCONT);
        let mut there = target.accept().await;
        there.head().await;
        there.bytes(2).await;
        there.send(KEPT).await;
        assert_eq!(client.answer().await.status(), 200);
        process.signal(Signal::SIGSTOP);
        client.send(GET).await;
        process.signal(Signal::SIGCONT);
        there.head().await;
        drop(there); // its idle time is over just now
        let mut there = target.accept().await;
        there.head().await;
        there.send(KEPT).await;
        assert_eq!(client.answer().await.status(), 200);
        drop(there);
    }
    shut_down(events, Duration::from_secs(10)).await;
    assert_eq!(process.ended().await.0, Some(0));
}

#[tokio::test]
async fn cuts_off_what_is_under_way_before_it_is_killed() {
    let (api, target) = (Target::bind().await, Target::bind().await);
    let mut process = started(&api, &target);
    let events = registered(&api).await;
    let mut client = connect(&mut process).await;
    client.send(GET).await;
    let mut there = target.accept().await;
    there.head().await;
    // The grace is 25 s, longer than this test waits.
    shut_down(events, Duration::from_millis(700)).await;
    let (code, output) = process.ended().await;
    assert_eq!(code, Some(1));
    assert!(output.contains("requests under way were cut off"), "{output}");
}

#[tokio::test]
async fn a_registration_that_fails_is_an_error_with_a_hint() {
    let (api, target) = (Target::bind().await, Target::bind().await);
    let process = started(&api, &target);
    let mut wire = api.accept().await;
    wire.head().await;
    let body = r#"{"errorType":"Extension.UnknownExtension"}"#;
    wire.send(format!("HTTP/1.1 403 Forbidden\r\ncontent-length: {}\r\n\r\n{body}", body.len()))
        .await;
    let (code, output) = process.ended().await;
    assert_eq!(code, Some(1));
    let expected = format!(
        "error: the Lambda Extensions API at `{}` answered 403 Forbidden: {body}\n  hint: put it",
        api.address()
    );
    assert!(output.contains(&expected), "{output}");
}

#[tokio::test]
async fn nobody_at_the_extensions_api_is_an_error_with_its_cause() {
    let (api, target) = (Target::bind().await, Target::bind().await);
    let address = api.address();
    drop(api);
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command
        .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
        .env("COUNTERSIGN_CONFIG_TOML", config(&target, ""));
    let (code, output) = Process::start(command, folder).ended().await;
    assert_eq!(code, Some(1));
    assert!(output.contains("does not answer\n  because:"), "{output}");
    assert!(output.contains("Connection refused"), "{output}");
}

#[tokio::test]
async fn asks_again_where_the_connection_breaks() {
    let (api, target) = (Target::bind().await, Target::bind().await);
    let process = started(&api, &target);
    drop(registered(&api).await);
    shut_down(next(&api).await, Duration::from_secs(10)).await;
    assert_eq!(process.ended().await.0, Some(0));
}

#[tokio::test]
async fn ends_where_the_extensions_api_refuses_to_tell() {
    let (api, target) = (Target::bind().await, Target::bind().await);
    let mut process = started(&api, &target);
    let mut events = registered(&api).await;
    process.says("registered as a Lambda extension").await;
    events.send("HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n").await;
    let (code, output) = soon(process.ended()).await;
    assert_eq!(code, Some(1));
    assert!(output.contains("answered 500 Internal Server Error"), "{output}");
}
