//! A 403 of the service: told apart, explained, mended where that can be done, and otherwise
//! passed on as it came.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use countersign::clock::Clock;
use countersign::credentials::Stores;
use countersign::credentials::source::{Loaded, Loading, Source};
use countersign::emulator::{self, KnownCredentials};
use countersign::secret::Secret;
use countersign::sigv4::SigningCredentials;
use tokio::task::JoinSet;

use crate::log::Log;
use crate::support::{KEY, OK, SECRET, Setup, TOKEN, Target, caller, function_of, sha256, soon};

const GET: &str = "GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n";
const NEW_KEY: &str = "AKIDRENEWED";
const NEW_SECRET: &str = "0123456789abcdefghijEXAMPLESECRETKEY+++";
const NEW_TOKEN: &str = "FwoGZXIvYXdzEXAMPLE//////////renewed==";
const HOUR: Duration = Duration::from_secs(3600);

fn post(body: &str) -> String {
    let length = body.len();
    let json = "content-type: application/json";
    format!(
        "POST /process HTTP/1.1\r\nhost: localhost\r\n{json}\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

/// A Function URL whose clock is ahead by so many seconds.
async fn function_ahead_by(seconds: i64) -> SocketAddr {
    let settings = emulator::Settings::new(vec![caller()]);
    settings.clock.correct(seconds);
    function_of(settings).await
}

#[tokio::test]
async fn a_clock_that_is_off_costs_one_second_attempt_and_no_more() {
    for seconds in [600, -600, 86_400] {
        let log = Log::start();
        let proxy = Setup::to(function_ahead_by(seconds).await).start().await;
        assert_eq!(proxy.ask(GET).await.status(), 200, "{seconds} s");
        assert_eq!(proxy.ask(GET).await.status(), 200, "{seconds} s");
        assert_eq!(log.attempts(2).await, [2, 1], "{seconds} s");
        let offset = proxy.clock.offset();
        assert!(offset.abs_diff(seconds) <= 5, "{offset} for {seconds}");
        let told = log.lines("this machine's clock is off");
        assert_eq!(told.len(), 1);
        assert_eq!(told[0]["offset_s"], offset);
        assert!(log.lines("the service refused a request (403)").is_empty());
    }
}

#[tokio::test]
async fn a_clock_that_is_off_is_learnt_once_for_all_requests_at_once() {
    let log = Log::start();
    let proxy = Setup::to(function_ahead_by(600).await).start().await;
    let mut requests = JoinSet::new();
    for _ in 0..20 {
        let mut client = proxy.connect().await;
        requests.spawn(async move {
            client.send(GET).await;
            client.answer().await.status()
        });
    }
    assert!(requests.join_all().await.iter().all(|status| *status == 200));
    assert_eq!(log.lines("this machine's clock is off").len(), 1);
}

#[tokio::test]
async fn a_clock_that_is_off_is_learnt_from_the_answer_to_a_head() {
    let proxy = Setup::to(function_ahead_by(600).await).start().await;
    let mut client = proxy.connect().await;
    client.send("HEAD /health HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert_eq!(client.head().await.status(), 404); // by the function, which has no HEAD
    assert!(proxy.clock.offset().abs_diff(600) <= 5);
}

#[tokio::test]
async fn a_body_is_sent_again_whole_and_signed_anew() {
    let proxy = Setup::to(function_ahead_by(-600).await).start().await;
    let value = "x".repeat(100_000);
    let answer = proxy.ask(post(&format!(r#"{{"value":"{value}"}}"#))).await;
    assert_eq!(answer.status(), 200, "{}", String::from_utf8_lossy(&answer.body));
    assert_eq!(answer.json()["received"]["value"], value);
}

#[tokio::test]
async fn a_streamed_body_with_the_wrong_date_passes_refused_and_the_next_is_right() {
    let log = Log::start();
    let route = "payload = \"client-digest\"";
    let proxy = Setup::to(function_ahead_by(600).await).route(route).start().await;
    let answer = proxy.ask(streamed()).await;
    assert_eq!(answer.status(), 403);
    assert!(answer.head.text("proxy-status").unwrap().contains("\"clock_skew\""));
    assert_eq!(proxy.ask(streamed()).await.status(), 200);
    assert_eq!(log.attempts(2).await, [1, 1]);
}

/// A POST whose digest comes with it.
fn streamed() -> String {
    let digest = sha256(b"{}");
    format!(
        "POST /process HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         x-amz-content-sha256: {digest}\r\ncontent-length: 2\r\n\r\n{{}}"
    )
}

#[tokio::test]
async fn a_clock_that_was_set_right_again_is_believed_again() {
    let proxy = Setup::to(function_ahead_by(0).await).start().await;
    proxy.clock.correct(-900); // what was learnt before somebody set the clock
    assert_eq!(proxy.ask(GET).await.status(), 200);
    assert_eq!(proxy.clock.offset(), 0);
}

#[tokio::test]
async fn a_date_that_is_near_corrects_nothing() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address()).start().await;
    let body = r#"{"message":"Signature expired: 20260101T000000Z is now earlier than …"}"#;
    let near = httpdate::fmt_http_date(Clock::system().now() + Duration::from_secs(200));
    for date in [near.as_str(), "nonsense", "Mon, 01 Jan 99999 00:00:00 GMT"] {
        let refusal = refusal("InvalidSignatureException", body, &format!("date: {date}\r\n"));
        let (_, answer) = target.exchange(&proxy, GET, &refusal).await;
        assert_eq!((answer.status(), answer.body.as_slice()), (403, body.as_bytes()));
        assert_eq!(proxy.clock.offset(), 0);
    }
    assert!(target.is_untouched().await);
}

/// Gives the known credentials first, and others from then on, or the same again and again.
#[derive(Debug)]
struct Rotating {
    loads: Arc<AtomicUsize>,
    rotates: Rotates,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Rotates {
    Once,
    Never,
}

impl Source for Rotating {
    fn load(&self) -> Loading<'_> {
        let is_first = self.loads.fetch_add(1, Ordering::Relaxed) == 0;
        let (key, secret, token) = if is_first || self.rotates == Rotates::Never {
            (KEY, SECRET, TOKEN)
        } else {
            (NEW_KEY, NEW_SECRET, NEW_TOKEN)
        };
        let credentials = SigningCredentials::new(key, Secret::new(secret), Some(token)).unwrap();
        let expires = Some(Clock::system().now() + HOUR);
        Box::pin(std::future::ready(Ok(Loaded { credentials, expires })))
    }
}

/// What a Function URL knows of the first credentials.
#[derive(Clone, Copy, Debug)]
enum First {
    Expired,
    Unknown,
}

async fn function_that_refuses(first: First) -> SocketAddr {
    let renewed = KnownCredentials {
        access_key_id: NEW_KEY.to_owned(),
        secret_access_key: Secret::new(NEW_SECRET),
        session_token: Some(Secret::new(NEW_TOKEN)),
        ..caller()
    };
    let mut known = vec![renewed];
    if let First::Expired = first {
        known.push(KnownCredentials { expires: Some(SystemTime::UNIX_EPOCH), ..caller() });
    }
    function_of(emulator::Settings::new(known)).await
}

async fn proxy_to(
    function: SocketAddr,
    route: &str,
    rotates: Rotates,
) -> (crate::support::Proxy, Arc<AtomicUsize>) {
    let loads = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&loads);
    let stores = move |config: &_, clock: &Clock| {
        Stores::from_sources(config, clock, |_| {
            Box::new(Rotating { loads: Arc::clone(&counted), rotates })
        })
    };
    let proxy = Setup::to(function).route(route).start_with(stores).await;
    (proxy, loads)
}

#[tokio::test]
async fn refused_credentials_cost_one_refresh_and_one_second_attempt() {
    for first in [First::Expired, First::Unknown] {
        let log = Log::start();
        let function = function_that_refuses(first).await;
        let (proxy, loads) = proxy_to(function, "", Rotates::Once).await;
        let answer = proxy.ask(post(r#"{"first":true}"#)).await;
        assert_eq!(answer.status(), 200, "{first:?}");
        assert_eq!(answer.json()["received"]["first"], true);
        assert_eq!(proxy.ask(GET).await.status(), 200);
        assert_eq!(log.attempts(2).await, [2, 1], "{first:?}");
        assert_eq!(loads.load(Ordering::Relaxed), 2, "{first:?}");
        assert!(log.lines("the service refused a request (403)").is_empty());
        for secret in [SECRET, TOKEN, NEW_SECRET, NEW_TOKEN, "Signature="] {
            assert!(!log.text().contains(secret), "{secret} is logged");
        }
    }
}

#[tokio::test]
async fn fifty_requests_with_an_expired_token_cost_one_refresh() {
    let function = function_that_refuses(First::Expired).await;
    let (proxy, loads) = proxy_to(function, "", Rotates::Once).await;
    let mut requests = JoinSet::new();
    for _ in 0..50 {
        let mut client = proxy.connect().await;
        requests.spawn(async move {
            client.send(GET).await;
            client.answer().await.status()
        });
    }
    let statuses = requests.join_all().await;
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    assert_eq!(loads.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_source_with_nothing_new_is_asked_once_and_the_refusal_passes() {
    let log = Log::start();
    let function = function_that_refuses(First::Expired).await;
    let (proxy, loads) = proxy_to(function, "", Rotates::Never).await;
    for _ in 0..5 {
        let answer = proxy.ask(GET).await;
        assert_eq!(answer.status(), 403);
        let status = answer.head.text("proxy-status").unwrap();
        assert_eq!(status, "countersign; received-status=403; details=\"expired_token\"");
        assert_eq!(answer.head.text("x-amzn-errortype").unwrap(), "ExpiredTokenException");
    }
    assert_eq!(loads.load(Ordering::Relaxed), 2);
    assert_eq!(log.attempts(5).await, [1; 5]);
    assert_eq!(log.lines("the service refused a request (403)").len(), 1);
}

#[tokio::test]
async fn a_streamed_body_is_not_sent_again_but_the_next_request_is_right() {
    let function = function_that_refuses(First::Expired).await;
    let route = "payload = \"client-digest\"";
    let (proxy, loads) = proxy_to(function, route, Rotates::Once).await;
    assert_eq!(proxy.ask(streamed()).await.status(), 403);
    soon(async {
        while loads.load(Ordering::Relaxed) < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    assert_eq!(proxy.ask(streamed()).await.status(), 200);
}

fn refusal(error_type: &str, body: &str, more: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 403 Forbidden\r\nx-amzn-ErrorType: {error_type}\r\nconnection: close\r\n\
         x-amzn-requestid: id-1\r\n{more}content-length: {length}\r\n\r\n{body}"
    )
}

#[tokio::test]
async fn every_other_refusal_passes_untouched_and_is_explained() {
    let cases = [
        (
            "AccessDeniedException",
            r#"{"Message":"Forbidden. For troubleshooting Function URL authorization issues, see: https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html"}"#,
            "permission_denied",
            "countersign policy",
        ),
        ("AccessDeniedException", r#"{"Message":null}"#, "unknown_function", "check the id"),
        (
            "InvalidSignatureException",
            r#"{"message":"The request signature we calculated does not match the signature you provided."}"#,
            "signature_mismatch",
            "countersign sign",
        ),
        (
            "InvalidSignatureException",
            r#"{"message":"Credential should be scoped to correct service: 'lambda'. "}"#,
            "wrong_scope",
            "`service`",
        ),
        ("SomethingNewException", "\u{1f510} no JSON at all", "forbidden", "body"),
        ("AccessDeniedException", "", "permission_denied", "lambda:InvokeFunctionUrl"),
    ];
    for (error_type, body, code, remedy) in cases {
        let log = Log::start();
        let target = Target::bind().await;
        let proxy = Setup::to(target.address()).start().await;
        let (_, answer) = target.exchange(&proxy, GET, refusal(error_type, body, "")).await;
        assert_eq!((answer.status(), answer.body.as_slice()), (403, body.as_bytes()));
        assert_eq!(answer.head.text("x-amzn-errortype").unwrap(), error_type);
        let status = format!("countersign; received-status=403; details=\"{code}\"");
        assert_eq!(answer.head.text("proxy-status").unwrap(), status);
        assert!(target.is_untouched().await, "{code}");
        let [line] = &log.lines("the service refused a request (403)")[..] else {
            panic!("{}", log.text())
        };
        assert_eq!((&line["reason"], &line["target_name"]), (&code.into(), &"only".into()));
        assert_eq!(line["aws_request_id"], "id-1");
        assert!(line["hint"].as_str().unwrap().contains(remedy), "{line}");
        log.attempts(1).await;
        assert_eq!(log.lines("request")[0]["reason"], code);
    }
}

#[tokio::test]
async fn a_functions_own_403_is_passed_without_a_look() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address()).start().await;
    let mut client = proxy.connect().await;
    client.send(GET).await;
    let mut there = target.accept().await;
    there.head().await;
    there.send("HTTP/1.1 403 Forbidden\r\ncontent-length: 3\r\n\r\n").await;
    let head = client.head().await; // though no byte of the body is here
    assert!(!head.has("proxy-status"));
    there.send("own").await;
    assert_eq!(client.bytes(3).await, b"own");
}

#[tokio::test]
async fn a_look_at_a_refusal_is_bounded_in_time_and_changes_nothing() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address()).start().await;
    let mut client = proxy.connect().await;
    client.send(GET).await;
    let mut there = target.accept().await;
    there.head().await;
    let head = "HTTP/1.1 403 Forbidden\r\nx-amzn-errortype: AccessDeniedException\r\n\
                content-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n";
    there.send(head).await;
    there.send(b"4\r\n\x1f\x8b\x08\x00\r\n").await;
    let head = client.head().await; // though the rest never comes by itself
    assert_eq!(head.text("content-encoding").unwrap(), "gzip");
    assert!(head.text("proxy-status").unwrap().contains("permission_denied"));
    assert_eq!(client.chunk().await, b"\x1f\x8b\x08\x00");
    let large = vec![b'z'; 300_000];
    there.send(format!("{:x}\r\n", large.len())).await;
    there.send(&large).await;
    there.send("\r\n0\r\n\r\n").await;
    assert_eq!(client.chunks().await, large);
}

#[tokio::test]
async fn a_refusal_that_is_cut_never_looks_whole() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address()).start().await;
    let mut client = proxy.connect().await;
    client.send(GET).await;
    let mut there = target.accept().await;
    there.head().await;
    let head = "HTTP/1.1 403 Forbidden\r\nx-amzn-errortype: AccessDeniedException\r\n\
                content-length: 100\r\n\r\n{\"Message\"";
    there.send(head).await;
    drop(there);
    let (answer, _) = client.rest().await; // the head may be lost with it
    let body = answer.split(|byte| *byte == b'{').nth(1).unwrap_or_default();
    assert!(body.len() < 100, "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn a_refusal_of_another_status_is_the_functions_affair() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address()).start().await;
    let throttled = "HTTP/1.1 429 Too Many Requests\r\nx-amzn-errortype: TooManyRequestsException\r\n\
                     connection: close\r\ncontent-length: 2\r\n\r\n{}";
    let (_, answer) = target.exchange(&proxy, GET, throttled).await;
    assert_eq!((answer.status(), answer.head.has("proxy-status")), (429, false));
    assert!(target.is_untouched().await);
    assert_eq!(target.exchange(&proxy, GET, OK).await.1.status(), 200);
}
