//! Routes that ask their callers for a key: who is let in, what the others are told, and that
//! neither a key nor its hash is written down.

use nix::sys::signal::Signal;

use crate::lifecycle::{SERVED, write};
use crate::log::Log;
use crate::process::{Process, config, connect};
use crate::support::{Proxy, Setup, Target, sha256};

const KEY: &str = "kv-3f9c1b7e5d2a4c68";
const OTHER: &str = "kv-of-another-team";

/// Two keys, of which the route takes the first.
fn keys(throttle: &str) -> String {
    format!(
        "[api_keys.team-a]\nsha256 = \"{}\"\n{throttle}\n[api_keys.team-b]\nsha256 = \"{}\"\n\
         [[routes]]\nprefix = \"/b\"\ntarget = \"only\"\napi_keys = \"any\"\n",
        sha256(KEY.as_bytes()),
        sha256(OTHER.as_bytes())
    )
}

fn setup(target: &Target, throttle: &str) -> Setup {
    Setup::to(target.address()).route("api_keys = [\"team-a\"]").tables(&keys(throttle))
}

fn with(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n")
}

fn key(key: &str) -> String {
    format!("x-api-key: {key}\r\n")
}

async fn is_refused(proxy: &Proxy, headers: &str, code: &str) {
    let answer = proxy.ask(with("/x", headers)).await;
    assert_eq!((answer.status(), answer.code().as_str()), (403, code), "{headers}");
    let expected = format!("countersign; error=http_request_denied; details=\"{code}\"");
    assert_eq!(answer.head.text("proxy-status").unwrap(), expected);
}

#[tokio::test]
async fn a_key_of_the_route_opens_it_and_goes_on() {
    let target = Target::bind().await;
    let proxy = setup(&target, "").start().await;
    let seen = target.sees(&proxy, with("/x", &key(KEY))).await;
    assert_eq!(seen.text("x-api-key").unwrap(), KEY);
    target.sees(&proxy, with("/b", &key(OTHER))).await;
}

#[tokio::test]
async fn a_route_may_keep_the_key_here() {
    let target = Target::bind().await;
    let keep = "request_headers = { remove = [\"x-api-key\"] }";
    let proxy = setup(&target, "").route(keep).start().await;
    let seen = target.sees(&proxy, with("/x", &key(KEY))).await;
    assert!(!seen.has("x-api-key"));
}

#[tokio::test]
async fn without_a_key_of_the_route_nothing_is_sent() {
    let target = Target::bind().await;
    let proxy = setup(&target, "").start().await;
    for none in ["", "x-api-key:\r\n", "x-api-key:  \r\n", "authorization: Bearer x\r\n"] {
        is_refused(&proxy, none, "api_key_required").await;
    }
    let hash = sha256(KEY.as_bytes());
    let cut = &KEY[..KEY.len() - 1];
    let longer = format!("{KEY}x");
    for wrong in [OTHER, cut, &longer, &KEY.to_uppercase(), &hash] {
        is_refused(&proxy, &key(wrong), "api_key_not_allowed").await;
    }
    is_refused(&proxy, &(key(KEY) + &key(OTHER)), "api_key_not_allowed").await;
    is_refused(&proxy, &(key(KEY) + &key(KEY)), "api_key_not_allowed").await;
    assert!(target.is_untouched().await);
}

#[tokio::test]
async fn a_stranger_is_refused_before_the_body_and_uses_nothing_up() {
    let target = Target::bind().await;
    let bounds = "throttle = { rate = \"1/h\", burst = 1 }\nmax_in_flight = 1";
    let proxy = setup(&target, "").route(bounds).start().await;
    let request = "POST /x HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9999999\r\n\
                   expect: 100-continue\r\n\r\n";
    let mut waiting = Vec::new();
    for _ in 0..3 {
        let mut client = proxy.connect().await;
        client.send(request).await;
        let answer = client.answer().await;
        assert_eq!((answer.status(), answer.code().as_str()), (403, "api_key_required"));
        waiting.push(client);
    }
    assert!(target.is_untouched().await);
    target.sees(&proxy, with("/x", &key(KEY))).await;
    let answer = proxy.ask(with("/x", &key(KEY))).await;
    assert_eq!((answer.status(), answer.code().as_str()), (429, "throttled"));
}

#[tokio::test]
async fn a_key_has_a_throttle_of_its_own_over_all_routes() {
    let target = Target::bind().await;
    let throttle = "throttle = { rate = \"1/h\", burst = 2 }";
    let proxy = setup(&target, throttle).start().await;
    target.sees(&proxy, with("/x", &key(KEY))).await;
    target.sees(&proxy, with("/b", &key(KEY))).await;
    for path in ["/x", "/b"] {
        let answer = proxy.ask(with(path, &key(KEY))).await;
        assert_eq!((answer.status(), answer.code().as_str()), (429, "api_key_throttled"));
        let wait: u64 = answer.head.text("retry-after").unwrap().parse().unwrap();
        assert!((3000..=3600).contains(&wait), "{wait}");
    }
    target.sees(&proxy, with("/b", &key(OTHER))).await;
}

#[tokio::test]
async fn a_key_that_calls_too_often_leaves_the_routes_throttle_to_others() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address())
        .route("api_keys = \"any\"\nthrottle = { rate = \"1/h\", burst = 2 }")
        .tables(&keys("throttle = { rate = \"1/h\", burst = 1 }"))
        .start()
        .await;
    target.sees(&proxy, with("/x", &key(KEY))).await;
    for _ in 0..3 {
        assert_eq!(proxy.ask(with("/x", &key(KEY))).await.code(), "api_key_throttled");
    }
    target.sees(&proxy, with("/x", &key(OTHER))).await;
    assert_eq!(proxy.ask(with("/x", &key(OTHER))).await.code(), "throttled");
}

#[tokio::test]
async fn api_gateways_words_are_its_own() {
    let target = Target::bind().await;
    let proxy = setup(&target, "throttle = { rate = \"1/h\", burst = 1 }")
        .top("error_style = \"api-gateway\"")
        .start()
        .await;
    for headers in ["", "x-api-key: wrong\r\n"] {
        let answer = proxy.ask(with("/x", headers)).await;
        assert_eq!((answer.status(), answer.text()), (403, "{\"message\":\"Forbidden\"}"));
        assert_eq!(answer.head.text("content-type").unwrap(), "application/json");
    }
    target.sees(&proxy, with("/x", &key(KEY))).await;
    let answer = proxy.ask(with("/x", &key(KEY))).await;
    assert_eq!((answer.status(), answer.text()), (429, "{\"message\":\"Too Many Requests\"}"));
    assert!(answer.head.has("retry-after"));
}

#[tokio::test]
async fn the_log_has_the_keys_name_and_neither_key_nor_hash() {
    let log = Log::start();
    let target = Target::bind().await;
    let proxy = setup(&target, "").top("admin = \"127.0.0.1:0\"").start().await;
    target.sees(&proxy, with("/x", &key(KEY))).await;
    proxy.ask(with("/x", &key(OTHER))).await;
    proxy.ask(with("/x", "")).await;
    let mut pages = String::new();
    for path in ["/config", "/routes", "/requests", "/status", "/metrics"] {
        let page = proxy.admin(path).await;
        assert_eq!(page.status(), 200, "{path}");
        pages.push_str(page.text());
    }
    assert!(pages.contains("team-a") && pages.contains("team-b"));
    proxy.stop().await;
    let lines = log.lines("request");
    let told: Vec<_> =
        lines.iter().map(|line| (line["api_key"].as_str(), line["reason"].as_str())).collect();
    assert_eq!(
        told,
        [
            (Some("team-a"), None),
            (None, Some("api_key_not_allowed")),
            (None, Some("api_key_required"))
        ]
    );
    for secret in [KEY, OTHER, &sha256(KEY.as_bytes()), &sha256(OTHER.as_bytes())] {
        assert!(!pages.contains(secret) && !log.text().contains(secret), "{secret} is told");
    }
}

#[tokio::test]
async fn what_a_key_has_used_up_counts_on_after_a_reload_and_another_key_is_taken_at_once() {
    let target = Target::bind().await;
    let keys = |key: &str| {
        let hash = sha256(key.as_bytes());
        format!(
            "[api_keys.team-a]\nsha256 = \"{hash}\"\nthrottle = {{ rate = \"1/h\", burst = 2 }}\n"
        )
    };
    let routes =
        config(&target, "").replace("name = \"all\"", "name = \"all\"\napi_keys = \"any\"");
    let mut process = Process::run(&format!("{routes}{}", keys(KEY)));
    let mut client = connect(&mut process).await;
    client.send(with("/x", &key(KEY))).await;
    let mut there = target.accept().await;
    let kept = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    there.head().await;
    there.send(kept).await;
    assert_eq!(client.answer().await.status(), 200);

    write(&process, &format!("{routes}{}", keys(OTHER)));
    process.signal(Signal::SIGHUP);
    process.says(SERVED).await;
    client.send(with("/x", &key(KEY))).await;
    assert_eq!(client.answer().await.code(), "api_key_not_allowed");
    client.send(with("/x", &key(OTHER))).await;
    there.head().await;
    there.send(kept).await;
    assert_eq!(client.answer().await.status(), 200);
    client.send(with("/x", &key(OTHER))).await;
    assert_eq!(client.answer().await.code(), "api_key_throttled", "it is the same name's throttle");
    assert_eq!(process.terminate().await.0, Some(0));
}
