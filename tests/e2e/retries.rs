//! Retries as a route asks for them: of what, how often, how soon, and within a budget.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::log::Log;
use crate::support::{Head, OK, Setup, Wire, sha256};

const GET: &str = "GET /x HTTP/1.1\r\nhost: localhost\r\n\r\n";
const POST: &str = "POST /x HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\nhi";

/// Answers each request with the next of its answers, the last one over and over. An empty one is
/// a closed connection.
#[derive(Clone)]
struct Scripted {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Request>>>,
}

/// A head and its body.
type Request = (Head, Vec<u8>);

impl Scripted {
    async fn answers(answers: &[&str]) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let this = Self { address, seen: Arc::default() };
        let answers: Vec<String> = answers.iter().map(|answer| (*answer).to_owned()).collect();
        let seen = Arc::clone(&this.seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (answers, seen) = (answers.clone(), Arc::clone(&seen));
                tokio::spawn(async move {
                    let mut wire = Wire::new(stream);
                    let head = wire.head().await;
                    let length = head.text("content-length").map_or(0, |it| it.parse().unwrap());
                    let body = wire.bytes(length).await;
                    let number = {
                        let mut seen = seen.lock().unwrap();
                        seen.push((head, body));
                        seen.len() - 1
                    };
                    wire.send(&answers[number.min(answers.len() - 1)]).await;
                });
            }
        });
        this
    }

    fn requests(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

/// An answer that the service made.
fn service(status: u16, more: &str) -> String {
    format!(
        "HTTP/1.1 {status} X\r\nx-amzn-errortype: XException\r\n{more}connection: close\r\ncontent-length: 4\r\n\r\nbusy"
    )
}

/// The same status from the function itself.
fn function(status: u16) -> String {
    format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: 4\r\n\r\nbusy")
}

fn ok() -> &'static str {
    std::str::from_utf8(OK).unwrap()
}

#[tokio::test]
async fn no_status_is_tried_again_unless_a_route_says_so() {
    let busy = service(503, "");
    let target = Scripted::answers(&[&busy, ok()]).await;
    let proxy = Setup::to(target.address).start().await;
    let answer = proxy.ask(GET).await;
    assert_eq!((answer.status(), answer.body.as_slice()), (503, &b"busy"[..]));
    assert_eq!(target.requests(), 1);
}

#[tokio::test]
async fn a_status_of_the_service_is_tried_again_and_signed_each_time() {
    for status in [429, 502, 503, 504] {
        let busy = service(status, "");
        let target = Scripted::answers(&[&busy, &busy, ok()]).await;
        let proxy = Setup::to(target.address).route("retries = {}").start().await;
        assert_eq!(proxy.ask(GET).await.status(), 200);
        let seen = target.seen.lock().unwrap();
        assert_eq!(seen.len(), 3);
        assert!(seen.iter().all(|(head, _)| head.has("authorization") && head.has("x-amz-date")));
    }
}

#[tokio::test]
async fn the_last_answer_passes_as_it_came() {
    let (first, last) = (service(503, ""), service(503, "x-last: yes\r\n"));
    let target = Scripted::answers(&[&first, &last]).await;
    let proxy = Setup::to(target.address).route("retries = { attempts = 2 }").start().await;
    let answer = proxy.ask(GET).await;
    assert_eq!((answer.status(), answer.body.as_slice()), (503, &b"busy"[..]));
    assert_eq!(answer.head.text("x-last").unwrap(), "yes");
    assert_eq!(target.requests(), 2);
}

#[tokio::test]
async fn what_a_route_does_not_name_is_not_tried_again() {
    let digest = sha256(b"hi");
    let streamed = format!(
        "PUT /x HTTP/1.1\r\nhost: localhost\r\nx-amz-content-sha256: {digest}\r\n\
         content-length: 2\r\n\r\nhi"
    );
    let cases = [
        ("retries = {}", GET, function(503)),
        ("retries = {}", GET, service(500, "")),
        ("retries = {}", POST, service(503, "")),
        ("retries = { on = [429] }", GET, service(503, "")),
        (
            "retries = { methods = \"all\" }\npayload = \"client-digest\"",
            &streamed,
            service(503, ""),
        ),
        ("retries = {}", GET, service(429, "retry-after: 60\r\n")),
    ];
    for (route, request, answer) in cases {
        let target = Scripted::answers(&[&answer, ok()]).await;
        let proxy = Setup::to(target.address).route(route).start().await;
        assert_eq!(proxy.ask(request).await.body, b"busy", "{route}: {request}");
        assert_eq!(target.requests(), 1, "{route}: {request}");
    }
}

#[tokio::test]
async fn a_post_and_a_functions_answer_are_tried_again_where_a_route_says_so() {
    let cases = [
        ("retries = { methods = \"all\" }", service(503, "")),
        ("retries = { methods = \"all\", functions_too = true }", function(502)),
    ];
    for (route, busy) in cases {
        let target = Scripted::answers(&[&busy, ok()]).await;
        let proxy = Setup::to(target.address).route(route).start().await;
        assert_eq!(proxy.ask(POST).await.status(), 200, "{route}");
        let seen = target.seen.lock().unwrap();
        assert_eq!(seen.len(), 2);
        assert!(seen.iter().all(|(_, body)| body == b"hi"));
    }
}

#[tokio::test]
async fn retry_after_is_heard() {
    let busy = service(429, "retry-after: 1\r\n");
    let target = Scripted::answers(&[&busy, ok()]).await;
    let proxy = Setup::to(target.address).tables("[defaults]\nretries = {}").start().await;
    let began = Instant::now();
    assert_eq!(proxy.ask(GET).await.status(), 200);
    assert!(began.elapsed() >= Duration::from_secs(1));
    assert_eq!(target.requests(), 2);
}

#[tokio::test]
async fn a_target_that_cannot_be_reached_is_tried_again_whatever_the_method() {
    let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap();
    for (route, attempts) in [("", 1), ("retries = {}", 3)] {
        let log = Log::start();
        let proxy = Setup::to(nobody).route(route).start().await;
        let answer = proxy.ask(POST).await;
        assert_eq!((answer.status(), answer.code().as_str()), (502, "connection_refused"));
        assert_eq!(log.attempts(1).await, [attempts]);
    }
}

#[tokio::test]
async fn a_target_that_closes_without_an_answer_is_tried_again_where_the_method_allows() {
    for (request, status, requests) in [(GET, 200, 2), (POST, 502, 1)] {
        let target = Scripted::answers(&["", ok()]).await;
        let proxy = Setup::to(target.address).route("retries = {}").start().await;
        assert_eq!(proxy.ask(request).await.status(), status);
        assert_eq!(target.requests(), requests);
    }
}

#[tokio::test]
async fn retries_add_a_fifth_to_the_load_and_no_more() {
    let busy = service(503, "");
    let target = Scripted::answers(&[&busy]).await;
    let proxy = Arc::new(Setup::to(target.address).route("retries = {}").start().await);
    let mut clients = JoinSet::new();
    for _ in 0..30 {
        let proxy = Arc::clone(&proxy);
        clients.spawn(async move {
            for _ in 0..10 {
                assert_eq!(proxy.ask(GET).await.status(), 503);
            }
        });
    }
    let began = Instant::now();
    clients.join_all().await;
    // A fifth of 300, and one a second that is free: ten for the window, and for what it lasts.
    let (extra, lasted) = (target.requests() - 300, began.elapsed().as_secs() as usize);
    assert!((50..=80 + lasted).contains(&extra), "{extra} more in {lasted} s");
}
