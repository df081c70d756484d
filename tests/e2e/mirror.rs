//! A route's mirror: what it is sent, what is told of its answers, and that nobody waits for it.

use std::net::SocketAddr;

use countersign::app::Ended;
use countersign::emulator::Settings;
use tokio::io::AsyncWriteExt;

use crate::log::Log;
use crate::support::{Answer, Head, Proxy, Setup, Target, caller, function, function_of, sha256};

const ADMIN: &str = "admin = \"127.0.0.1:0\"";
const GET: &str = "GET /orders/7?q=1 HTTP/1.1\r\nhost: localhost\r\n\r\n";
const HEALTH: &str = "GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n";
const DIFFERS: &str = "a mirror answers something else";
const SAME: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A route `orders` to `target`, and `mirror` beside it.
fn setup(target: SocketAddr, mirror: &str, keys: &str) -> Setup {
    Setup::to(target)
        .top(ADMIN)
        .route(&format!("name = \"orders\"\nmirror = {{ target = \"new\", {keys} }}"))
        .tables(&format!(
            "[targets.new]\nurl = \"{mirror}\"\nservice = \"lambda\"\nregion = \"eu-west-1\"\n"
        ))
}

async fn proxy(target: &Target, mirror: &Target, keys: &str) -> Proxy {
    setup(target.address(), &url(mirror), keys).start().await
}

fn url(target: &Target) -> String {
    format!("http://{}", target.address())
}

/// Waits until so many mirrored requests have come to this.
async fn comes_to(proxy: &Proxy, outcome: &str, count: usize) {
    let sample = format!(
        "countersign_mirrored_requests_total{{http_route=\"orders\",outcome=\"{outcome}\",\
         target=\"new\"}} {count}"
    );
    proxy.admin_until("/metrics", |answer| answer.text().lines().any(|line| line == sample)).await;
}

fn json(body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

/// A request that both targets answer: what the mirror was sent, and what the client got.
async fn mirrored(
    proxy: &Proxy,
    (target, answer): (&Target, impl AsRef<[u8]>),
    (mirror, mirror_answer): (&Target, impl AsRef<[u8]>),
    request: &str,
) -> (Head, Answer) {
    let (_, answer) = target.exchange(proxy, request, answer).await;
    let mut there = mirror.accept().await;
    let head = there.head().await;
    there.send(mirror_answer).await;
    let _ = there.stream.shutdown().await;
    (head, answer)
}

#[tokio::test]
async fn a_difference_is_told_with_its_pointer_and_not_with_its_value() {
    let log = Log::start();
    let (target, mirror) = (Target::bind().await, Target::bind().await);
    let proxy = proxy(&target, &mirror, "ignore = [\"/at\", \"/a~1b\", \"header:date\"]").await;
    let body = r#"{"at":1,"a/b":[1],"items":[{"price":1.0,"who":"hunter2"}]}"#;
    let other = r#"{"items":[{"price":1,"who":"hunter3"}],"at":2,"a/b":{},"more":1}"#;
    let (_, answer) = mirrored(&proxy, (&target, json(body)), (&mirror, json(other)), GET).await;
    assert_eq!(answer.text(), body);
    comes_to(&proxy, "different", 1).await;
    let lines = log.lines(DIFFERS);
    let told: Vec<_> =
        lines.iter().map(|line| (line["at"].as_str(), line["kind"].as_str())).collect();
    let expected = [(Some("/items/0/who"), Some("changed")), (Some("/more"), Some("added"))];
    assert_eq!(told, expected);
    assert_eq!(lines[0]["route"], "orders");
    assert_eq!((&lines[0]["target_name"], &lines[0]["mirror"]), (&"only".into(), &"new".into()));
    assert_eq!((&lines[0]["method"], &lines[0]["path"]), (&"GET".into(), &"/orders/7".into()));
    assert!(!log.text().contains("hunter"), "{}", log.text());
}

#[tokio::test]
async fn answers_that_differ_only_where_they_may_are_the_same() {
    let log = Log::start();
    let (target, mirror) = (Target::bind().await, Target::bind().await);
    let proxy = proxy(&target, &mirror, "ignore = [\"/at\"]").await;
    let (one, other) = (json(r#"{"at":1,"id":7}"#), json(r#"{ "id": 7.0, "at": [2] }"#));
    mirrored(&proxy, (&target, one), (&mirror, other), GET).await;
    comes_to(&proxy, "same", 1).await;
    assert!(log.lines(DIFFERS).is_empty());
}

#[tokio::test]
async fn status_and_chosen_headers_are_told_with_their_values() {
    let log = Log::start();
    let (target, mirror) = (Target::bind().await, Target::bind().await);
    let keys = "headers = [\"x-version\", \"date\", \"x-gone\"], ignore = [\"header:date\"]";
    let proxy = proxy(&target, &mirror, keys).await;
    let one =
        "HTTP/1.1 200 OK\r\nx-version: 1\r\ndate: a\r\nx-gone: 3\r\ncontent-length: 2\r\n\r\nok";
    let other = "HTTP/1.1 503 Busy\r\nx-version: 2\r\ndate: b\r\ncontent-length: 4\r\n\r\nbusy";
    mirrored(&proxy, (&target, one), (&mirror, other), GET).await;
    comes_to(&proxy, "different", 1).await;
    let told: Vec<_> = log
        .lines(DIFFERS)
        .iter()
        .map(|line| {
            ["at", "kind", "value", "mirror_value"]
                .map(|key| line[key].as_str().unwrap().to_owned())
        })
        .collect();
    let expected = [
        ["status", "changed", "200", "503"],
        ["header:x-version", "changed", "1", "2"],
        ["header:x-gone", "missing", "3", ""],
    ];
    assert_eq!(told, expected.map(|line| line.map(ToOwned::to_owned)));
}

#[tokio::test]
async fn the_mirror_is_sent_the_same_request_signed_for_itself() {
    let (target, mirror) = (Target::bind().await, Target::bind().await);
    let at = format!("{}/v2", url(&mirror));
    let proxy = setup(target.address(), &at, "methods = \"all\"")
        .route("strip_prefix = \"/orders\"\nrequest_headers = { set = { x-env = \"prod\" } }")
        .start()
        .await;
    let request = "POST /orders/7/?q=%7e HTTP/1.1\r\nhost: localhost\r\nx-own: 1\r\n\
                   authorization: Bearer t\r\ncontent-length: 4\r\n\r\nbody";
    let mut client = proxy.connect().await;
    client.send(request).await;
    let mut there = target.accept().await;
    let first = there.head().await;
    assert!(mirror.is_untouched().await, "there is no answer yet");
    there.send(SAME).await;
    assert_eq!(client.answer().await.status(), 200);
    let mut there = mirror.accept().await;
    let second = there.head().await;
    assert_eq!(there.bytes(4).await, b"body");
    assert_eq!(
        (first.line().as_str(), second.line().as_str()),
        ("POST /7/?q=%7e HTTP/1.1", "POST /v2/7/?q=%7e HTTP/1.1")
    );
    assert_eq!(second.text("host"), Some(mirror.address().to_string()));
    let signed = second.text("authorization").unwrap();
    assert!(signed.contains("/eu-west-1/lambda/aws4_request"), "{signed}");
    for name in [
        "x-own",
        "x-env",
        "via",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-authorization",
        "x-amz-content-sha256",
        "content-length",
    ] {
        assert!(second.has(name), "{name}");
        assert_eq!(first.text(name), second.text(name), "{name}");
    }
}

#[tokio::test]
async fn its_signature_is_right_for_its_own_target() {
    let target = function().await;
    let mut settings = Settings::new(vec![caller()]);
    settings.region = "eu-west-1".to_owned();
    let mirror = function_of(settings).await;
    let proxy = setup(target, &format!("http://{mirror}"), "methods = \"all\"").start().await;
    let body = r#"{"order":7}"#;
    let request = format!(
        "POST /process HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    assert_eq!(proxy.ask(request).await.status(), 200);
    comes_to(&proxy, "same", 1).await;
}

#[tokio::test]
async fn a_request_that_must_not_run_twice_is_mirrored_only_where_that_is_said() {
    let (target, mirror) = (Target::bind().await, Target::bind().await);
    let proxy = proxy(&target, &mirror, "").await;
    let post = "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\n\r\nx";
    target.exchange(&proxy, post, SAME).await;
    assert!(mirror.is_untouched().await);
    let put = post.replace("POST", "PUT");
    mirrored(&proxy, (&target, SAME), (&mirror, SAME), &put).await;
    comes_to(&proxy, "same", 1).await;
}

#[tokio::test]
async fn neither_a_streamed_body_nor_what_is_not_in_the_sample_is_mirrored() {
    let (target, mirror) = (Target::bind().await, Target::bind().await);
    let proxy = setup(target.address(), &url(&mirror), "methods = \"all\"")
        .route("payload = \"client-digest\"")
        .start()
        .await;
    let digest = sha256(b"x");
    let streamed = format!(
        "PUT / HTTP/1.1\r\nhost: localhost\r\nx-amz-content-sha256: {digest}\r\n\
         content-length: 1\r\n\r\nx"
    );
    target.exchange(&proxy, streamed, SAME).await;
    assert!(mirror.is_untouched().await);
    let held = "PUT / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\n\r\nx";
    mirrored(&proxy, (&target, SAME), (&mirror, SAME), held).await;
    let proxy = self::proxy(&target, &mirror, "sample = 0").await;
    target.exchange(&proxy, GET, SAME).await;
    assert!(mirror.is_untouched().await);
}

#[tokio::test]
async fn a_mirror_that_is_dead_or_refuses_is_counted_and_told_once() {
    let log = Log::start();
    let (target, mirror) = (Target::bind().await, Target::bind().await);
    let at = url(&mirror);
    drop(mirror);
    let proxy = setup(target.address(), &at, "").start().await;
    for _ in 0..3 {
        let (_, answer) = target.exchange(&proxy, GET, SAME).await;
        assert_eq!(answer.status(), 200);
    }
    comes_to(&proxy, "failed", 3).await;
    let lines = log.lines("a mirror did not answer");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(lines[0]["reason"], "connection_refused");
    let refuses = function().await; // it is in another region
    let proxy = setup(target.address(), &format!("http://{refuses}"), "").start().await;
    target.exchange(&proxy, GET, SAME).await;
    comes_to(&proxy, "failed", 1).await;
    assert_eq!(log.lines("a mirror did not answer")[1]["reason"], "wrong_scope");
}

#[tokio::test]
async fn a_mirror_that_never_answers_holds_nobody_up_and_takes_no_more_than_its_own() {
    let mirror = Target::bind().await;
    let target = function().await;
    let proxy = setup(target, &url(&mirror), "")
        .top("limits.in_flight = 4")
        .top("access_log = \"off\"")
        .start()
        .await;
    let mut client = proxy.connect().await;
    let mut there = Vec::new();
    for count in 0..100 {
        client.send(HEALTH).await;
        assert_eq!(client.answer().await.status(), 200);
        if count < 64 {
            there.push(mirror.accept().await);
        }
    }
    comes_to(&proxy, "dropped", 36).await;
    assert!(mirror.is_untouched().await, "64 are under way at most");
    there.truncate(60); // four break off
    comes_to(&proxy, "failed", 4).await;
    client.send(HEALTH).await;
    assert_eq!(client.answer().await.status(), 200);
    let _again = mirror.accept().await;
    assert_eq!(proxy.stop().await, Ended::Drained, "nobody waits for mirrors");
}

#[tokio::test]
async fn bodies_that_wait_for_a_mirror_leave_room_for_others() {
    let mirror = Target::bind().await;
    let target = function().await;
    let proxy =
        setup(target, &url(&mirror), "").top("limits.buffered_bodies = \"2MiB\"").start().await;
    let body = "x".repeat(200 * 1024);
    let put = format!(
        "PUT / HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut client = proxy.connect().await;
    for _ in 0..20 {
        client.send(&put).await;
        assert_eq!(client.answer().await.status(), 404);
    }
    comes_to(&proxy, "dropped", 18).await; // a quarter is 512 KiB
}

#[tokio::test]
async fn the_bound_of_its_target_is_the_mirrors_too() {
    let (target, mirror) = (Target::bind().await, Target::bind().await);
    let proxy =
        setup(target.address(), &url(&mirror), "").tables("max_in_flight = 1\n").start().await;
    target.exchange(&proxy, GET, SAME).await;
    let mut there = mirror.accept().await;
    there.head().await;
    target.exchange(&proxy, GET, SAME).await;
    comes_to(&proxy, "dropped", 1).await;
    there.send(SAME).await;
    comes_to(&proxy, "same", 1).await;
    target.exchange(&proxy, GET, SAME).await;
    there.head().await; // on the connection that was kept
    there.send(SAME).await;
    comes_to(&proxy, "same", 2).await;
}

#[tokio::test]
async fn large_bodies_are_compared_up_to_a_bound() {
    let log = Log::start();
    let (target, mirror) = (Target::bind().await, Target::bind().await);
    let proxy = proxy(&target, &mirror, "").await;
    let of = |items: usize, last: &str| json(&format!("[{}{last}]", "1234567,".repeat(items)));
    mirrored(&proxy, (&target, of(20_000, "1")), (&mirror, of(20_000, "2")), GET).await;
    comes_to(&proxy, "different", 1).await;
    assert_eq!(log.lines(DIFFERS)[0]["at"], "/20000");
    let (_, answer) = mirrored(&proxy, (&target, of(150_000, "1")), (&mirror, SAME), GET).await;
    assert_eq!(answer.body.len(), 8 * 150_000 + 3);
    comes_to(&proxy, "different", 2).await; // the content types tell them apart
    mirrored(&proxy, (&target, of(150_000, "1")), (&mirror, json("1")), GET).await;
    comes_to(&proxy, "not_compared", 1).await;
    target.exchange(&proxy, GET, json("1")).await;
    let mut there = mirror.accept().await;
    there.head().await;
    there.send(&of(150_000, "1").as_bytes()[..1_100_000]).await;
    comes_to(&proxy, "not_compared", 2).await;
}

#[tokio::test]
async fn what_broke_off_or_is_encoded_in_two_ways_is_not_compared() {
    let (target, mirror) = (Target::bind().await, Target::bind().await);
    let proxy = proxy(&target, &mirror, "").await;
    let mut client = proxy.connect().await;
    client.send(GET).await;
    let mut there = target.accept().await;
    there.head().await;
    there.send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nok").await;
    client.head().await;
    let mut beside = mirror.accept().await;
    beside.head().await;
    beside.send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nokay").await;
    drop(there);
    comes_to(&proxy, "not_compared", 1).await;
    let gzip = "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\nok";
    target.exchange(&proxy, GET, gzip).await;
    beside.head().await; // its connection was kept
    beside.send(SAME).await;
    comes_to(&proxy, "not_compared", 2).await;
    target.exchange(&proxy, GET, gzip).await;
    beside.head().await;
    beside.send(gzip).await;
    comes_to(&proxy, "same", 1).await;
}

#[tokio::test]
async fn an_answer_that_its_client_did_not_wait_for_is_not_compared() {
    let (target, mirror) = (Target::bind().await, Target::bind().await);
    let proxy = proxy(&target, &mirror, "").await;
    let mut client = proxy.connect().await;
    client.send(GET).await;
    let mut there = target.accept().await;
    there.head().await;
    there.send("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nok").await;
    client.head().await;
    drop(client);
    let mut beside = mirror.accept().await;
    beside.head().await;
    beside.send(SAME).await;
    assert!(there.closes().await, "nobody wants the rest");
    comes_to(&proxy, "not_compared", 1).await;
}

#[tokio::test]
async fn without_a_comparison_the_request_is_sent_and_that_is_all() {
    let log = Log::start();
    let (target, mirror) = (Target::bind().await, Target::bind().await);
    let proxy = proxy(&target, &mirror, "compare = false").await;
    mirrored(&proxy, (&target, json("1")), (&mirror, json("2")), GET).await;
    comes_to(&proxy, "not_compared", 1).await;
    assert!(log.lines(DIFFERS).is_empty());
}

#[tokio::test]
async fn the_pages_name_the_mirror() {
    let (target, mirror) = (Target::bind().await, Target::bind().await);
    let keys = "sample = 0.5, ignore = [\"/at\", \"header:date\"], headers = [\"date\", \"etag\"]";
    let proxy = proxy(&target, &mirror, keys).await;
    let routes = proxy.admin("/routes").await.json();
    assert_eq!(routes["routes"][0]["mirror"]["url"], url(&mirror));
    let config = proxy.admin("/config").await.json();
    let expected = serde_json::json!({
        "target": "new", "sample": 0.5, "methods": "idempotent", "compare": true,
        "headers": ["etag"], "ignore": ["/at"],
    });
    assert_eq!(config["routes"][0]["mirror"], expected);
    let all = config["targets"].as_array().unwrap();
    assert!(all.iter().any(|target| target["name"] == "new"), "{all:?}");
}
