//! Which requests are written to the access log, and what of them.

use serde_json::Value;

use crate::log::Log;
use crate::support::{Proxy, Setup, Target};

const REFUSED: &str = "GET /nowhere HTTP/1.1\r\nhost: localhost\r\n\r\n";
const KEPT: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

async fn proxy(target: &Target, access_log: &str) -> Proxy {
    let setup = Setup::to(target.address()).top(&format!("access_log = {access_log}"));
    setup.route("name = \"orders\"\nprefix = \"/orders\"").start().await
}

/// What is logged of so many answered requests, and of one that is refused after them.
async fn logged(access_log: &str, answered: usize) -> Vec<Value> {
    let log = Log::start();
    let target = Target::bind().await;
    let proxy = proxy(&target, access_log).await;
    let mut client = proxy.connect().await;
    let mut there = None;
    for _ in 0..answered {
        client.send("GET /orders/7 HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
        if there.is_none() {
            there = Some(target.accept().await);
        }
        let there = there.as_mut().unwrap();
        there.head().await;
        there.send(KEPT).await;
        assert_eq!(client.answer().await.status(), 200);
    }
    client.send(REFUSED).await;
    assert_eq!(client.answer().await.status(), 404);
    drop(client);
    proxy.stop().await; // every record is closed
    log.lines("request")
}

fn statuses(lines: &[Value]) -> Vec<u64> {
    lines.iter().map(|line| line["status"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn all_is_every_request() {
    assert_eq!(statuses(&logged("\"all\"", 3).await), [200, 200, 200, 404]);
}

#[tokio::test]
async fn errors_is_what_was_refused_or_failed() {
    assert_eq!(statuses(&logged("\"errors\"", 3).await), [404]);
}

#[tokio::test]
async fn off_is_none() {
    assert!(logged("\"off\"", 3).await.is_empty());
}

#[tokio::test]
async fn a_sample_is_a_share_of_what_went_well_and_all_of_the_rest() {
    assert_eq!(statuses(&logged("{ sample = 0.0 }", 3).await), [404]);
    let share = statuses(&logged("{ sample = 0.5 }", 200).await);
    let well = share.iter().filter(|status| **status == 200).count();
    // Outside of these bounds once in 10^12 runs.
    assert!((50..=150).contains(&well) && share.last() == Some(&404), "{well}");
}

#[tokio::test]
async fn a_slow_request_is_always_written() {
    let all = statuses(&logged("{ log = \"errors\", slow = \"1ms\" }", 0).await);
    assert_eq!(all, [404]);
    let log = Log::start();
    let target = Target::bind().await;
    let proxy = proxy(&target, "{ sample = 0.0, slow = \"50ms\" }").await;
    let mut client = proxy.connect().await;
    client.send("GET /orders/7 HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    let mut there = target.accept().await;
    there.head().await;
    tokio::time::sleep(std::time::Duration::from_millis(60)).await;
    there.send(KEPT).await;
    client.answer().await;
    drop(client);
    proxy.stop().await;
    let lines = log.lines("request");
    assert_eq!(statuses(&lines), [200]);
    assert!(lines[0]["duration_ms"].as_f64() >= Some(50.0), "{lines:?}");
}

#[tokio::test]
async fn the_route_stands_for_the_path_where_that_is_asked() {
    let full = logged("{ path = \"full\" }", 1).await;
    assert_eq!((&full[0]["path"], &full[0]["route"]), (&"/orders/7".into(), &"orders".into()));
    let route = logged("{ path = \"route\" }", 1).await;
    assert_eq!((&route[0]["path"], &route[0]["route"]), (&Value::Null, &"orders".into()));
    assert!(route[1]["path"].is_null(), "not even where no route took it");
}

#[tokio::test]
async fn traces_pass_through_and_are_named_in_both_forms() {
    let log = Log::start();
    let target = Target::bind().await;
    let proxy = proxy(&target, "\"all\"").await;
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let xray = "Root=1-67891233-abcdef012345678912345678;Parent=53995c3f42cd8ad8;Sampled=1";
    let request = format!(
        "GET /orders HTTP/1.1\r\nhost: localhost\r\ntraceparent: {parent}\r\n\
         tracestate: a=1,b=2\r\nx-amzn-trace-id: {xray}\r\n\r\n"
    );
    let answer = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\
                  x-amzn-trace-id: Root=1-12345678-abcdef012345678912345678\r\n\r\nok";
    let (seen, got) = target.exchange(&proxy, request, answer).await;
    assert_eq!(seen.text("traceparent").as_deref(), Some(parent));
    assert_eq!(seen.text("tracestate").as_deref(), Some("a=1,b=2"));
    assert_eq!(seen.text("x-amzn-trace-id").as_deref(), Some(xray));
    let root = "Root=1-12345678-abcdef012345678912345678";
    assert_eq!(got.head.text("x-amzn-trace-id").as_deref(), Some(root));
    log.attempts(1).await;
    let line = log.lines("request")[0].clone();
    assert_eq!(line["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(line["xray_trace_id"], "1-12345678-abcdef012345678912345678");
}
