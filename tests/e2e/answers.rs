//! The answer on its way back, and what becomes of a send without one.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use countersign::credentials::source::{Loaded, Loading, Source};
use countersign::credentials::{Failure, Stores};

use crate::support::{OK, Setup, Target, credentials, function};

const GET: &str = "GET /x HTTP/1.1\r\nhost: localhost\r\n\r\n";
const OLD_GET: &str = "GET /x HTTP/1.0\r\nhost: localhost\r\n\r\n";
const POST: &str = "POST /x HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\nhi";
/// An answer on a connection that is kept.
const KEPT: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

#[tokio::test]
async fn an_answer_is_passed_on_as_it_comes() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address()).start().await;
    let mut client = proxy.connect().await;
    client.send(GET).await;
    let mut there = target.accept().await;
    there.head().await;
    there.send(CHUNKED).await;
    assert_eq!(client.head().await.text("transfer-encoding").unwrap(), "chunked");
    for chunk in ["first", "second"] {
        there.send(format!("{:x}\r\n{chunk}\r\n", chunk.len())).await;
        assert_eq!(client.chunk().await, chunk.as_bytes());
    }
    there.send("0\r\n\r\n").await;
    assert!(client.chunk().await.is_empty());
}

#[tokio::test]
async fn a_client_that_does_not_read_stalls_the_target() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address()).start().await;
    let mut client = proxy.connect().await;
    client.send(GET).await;
    let mut there = target.accept().await;
    there.head().await;
    let size = 64 << 20;
    there.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {size}\r\n\r\n")).await;
    let block = vec![b'x'; 64 << 10];
    let mut written = 0;
    // What the kernel takes on four sockets is far from 64 MiB, and the proxy holds little more.
    while written < size {
        let pause = Duration::from_millis(500);
        match tokio::time::timeout(pause, there.stream.write(&block)).await {
            Ok(count) => written += count.unwrap(),
            Err(_stalled) => break,
        }
    }
    assert!(written < size / 2, "{written} bytes went nowhere");
    let head = client.head().await;
    let rest = async {
        while written < size {
            let next = block.len().min(size - written);
            written += there.stream.write(&block[..next]).await.unwrap();
        }
    };
    let length = head.text("content-length").unwrap().parse().unwrap();
    let ((), body) = tokio::join!(rest, client.bytes(length));
    assert!(body.iter().all(|byte| *byte == b'x'));
}

#[tokio::test]
async fn a_head_passes_as_it_is() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address()).start().await;
    let cases = [
        ("HEAD", "200 OK", "content-length: 1234\r\n", Some("1234")),
        ("GET", "204 No Content", "", None),
        ("GET", "304 Not Modified", "etag: \"x\"\r\n", None),
        (
            "GET",
            "302 Found",
            "location: https://elsewhere.example/\r\ncontent-length: 0\r\n",
            Some("0"),
        ),
        ("GET", "403 Forbidden", "content-length: 0\r\n", Some("0")),
        ("GET", "500 Internal Server Error", "content-length: 0\r\n", Some("0")),
        ("GET", "429 Too Many Requests", "retry-after: 9\r\ncontent-length: 0\r\n", Some("0")),
    ];
    for (method, status, headers, length) in cases {
        let mut client = proxy.connect().await;
        client.send(format!("{method} /x HTTP/1.1\r\nhost: localhost\r\n\r\n")).await;
        let mut there = target.accept().await;
        assert!(there.head().await.line().starts_with(method));
        there.send(format!("HTTP/1.1 {status}\r\n{headers}connection: close\r\n\r\n")).await;
        let head = client.head().await;
        assert_eq!(head.line(), format!("HTTP/1.1 {status}"));
        assert_eq!(head.text("content-length").as_deref(), length, "{method} {status}");
        assert!(!head.has("transfer-encoding"), "{method} {status}");
        assert!(!head.has("proxy-status"));
        // The connection goes on: nothing of a body was sent.
        client.send(GET).await;
        let mut there = target.accept().await;
        there.head().await;
        there.send(OK).await;
        assert_eq!(client.answer().await.body, b"ok", "after {method} {status}");
    }
}

#[tokio::test]
async fn what_a_target_says_ahead_of_its_answer_is_not_taken_for_it() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address()).route("retries = {}").start().await;
    let early = "HTTP/1.1 103 Early Hints\r\nlink: </x.css>\r\n\r\n";
    let (_, answer) = target.exchange(&proxy, GET, [early.as_bytes(), OK].concat()).await;
    assert_eq!((answer.status(), answer.body.as_slice()), (200, &b"ok"[..]));
}

#[tokio::test]
async fn an_answer_leaves_as_http_1_1_whatever_the_target_speaks() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address()).start().await;
    let old = "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let (_, answer) = target.exchange(&proxy, GET, old).await;
    assert_eq!(answer.head.line(), "HTTP/1.1 200 OK");
    assert_eq!(answer.body, b"ok");
}

#[tokio::test]
async fn chunks_of_a_target_overrule_its_length() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address()).start().await;
    for length in [1, 50] {
        let both = format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\ntransfer-encoding: chunked\r\n\
             connection: close\r\n\r\n2\r\nok\r\n0\r\n\r\n"
        );
        let (_, answer) = target.exchange(&proxy, GET, both).await;
        assert!(!answer.head.has("content-length"));
        assert_eq!(answer.body, b"ok");
    }
}

#[tokio::test]
async fn a_protocol_that_nobody_asked_for_is_malformed() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address()).start().await;
    let switched = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n";
    let (_, answer) = target.exchange(&proxy, GET, switched).await;
    assert_eq!((answer.status(), answer.code().as_str()), (502, "upstream_malformed"));
}

#[tokio::test]
async fn an_answer_that_ends_with_its_connection_is_whole() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address()).start().await;
    let mut client = proxy.connect().await;
    client.send(GET).await;
    let mut there = target.accept().await;
    there.head().await;
    there.send("HTTP/1.1 200 OK\r\n\r\nall of it").await;
    drop(there);
    assert_eq!(client.answer().await.body, b"all of it");
}

#[tokio::test]
async fn a_cut_answer_never_looks_whole() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address()).start().await;
    let cuts = [
        (CHUNKED, "5\r\nhello\r\n"),
        (CHUNKED, "5\r\nhel"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n", "hello"),
    ];
    for (head, part) in cuts {
        let mut client = proxy.connect().await;
        client.send(GET).await;
        let mut there = target.accept().await;
        there.head().await;
        there.send(head).await;
        let head = client.head().await;
        there.send(part).await;
        drop(there);
        let (body, _) = client.rest().await; // up to the end of the connection
        assert!(!body.ends_with(b"0\r\n\r\n"), "{:?}", String::from_utf8_lossy(&body));
        assert!(head.has("transfer-encoding") || body.len() < 10);
    }
}

#[tokio::test]
async fn a_cut_answer_resets_an_http_1_0_client() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address()).start().await;
    let mut client = proxy.connect().await;
    client.send(OLD_GET).await;
    let mut there = target.accept().await;
    there.head().await;
    there.send([CHUNKED, "5\r\nhello\r\n"].concat()).await;
    let head = client.head().await;
    assert!(!head.has("transfer-encoding") && !head.has("content-length"));
    assert_eq!(client.bytes(5).await, b"hello");
    drop(there);
    let (_, ended) = client.rest().await;
    assert_eq!(ended.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn an_http_1_0_client_gets_a_whole_answer_with_a_clean_end() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address()).start().await;
    let mut client = proxy.connect().await;
    client.send(OLD_GET).await;
    let mut there = target.accept().await;
    there.head().await;
    there.send([CHUNKED, "5\r\nhello\r\n0\r\n\r\n"].concat()).await;
    client.head().await;
    let (body, ended) = client.rest().await;
    assert_eq!(body, b"hello");
    ended.unwrap();
}

#[tokio::test]
async fn a_target_that_falls_silent_amid_its_answer_is_given_up() {
    let target = Target::bind().await;
    let limit = "[timeouts]\nresponse_idle = \"150ms\"\n";
    let proxy = Setup::to(target.address()).tables(limit).start().await;
    let mut client = proxy.connect().await;
    client.send(GET).await;
    let mut there = target.accept().await;
    there.head().await;
    there.send([CHUNKED, "5\r\nhello\r\n"].concat()).await;
    client.head().await;
    let (body, _) = client.rest().await;
    assert!(!body.ends_with(b"0\r\n\r\n"));
    assert!(there.closes().await);
}

#[tokio::test]
async fn a_client_that_leaves_cancels_the_send() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address()).start().await;
    let mut client = proxy.connect().await;
    client.send(GET).await;
    let mut there = target.accept().await;
    there.head().await;
    drop(client); // before the head of the answer
    assert!(there.closes().await);

    let mut client = proxy.connect().await;
    client.send(GET).await;
    let mut there = target.accept().await;
    there.head().await;
    there.send([CHUNKED, "5\r\nhello\r\n"].concat()).await;
    client.head().await;
    drop(client); // amid the answer
    assert!(there.closes().await);
}

#[tokio::test]
async fn connections_to_the_target_are_kept() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address()).start().await;
    let mut client = proxy.connect().await;
    client.send(GET).await;
    let mut there = target.accept().await;
    there.head().await;
    there.send(KEPT).await;
    client.answer().await;
    for request in [GET, POST, GET] {
        let mut other = proxy.connect().await;
        other.send(request).await;
        let head = there.head().await;
        there.bytes(head.text("content-length").map_or(0, |length| length.parse().unwrap())).await;
        there.send(KEPT).await;
        assert_eq!(other.answer().await.body, b"ok");
    }
    assert!(target.is_untouched().await);
}

#[tokio::test]
async fn an_idempotent_request_is_sent_once_more_where_a_kept_connection_died() {
    let put = "PUT /x HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\nhi";
    for request in [GET, put] {
        let target = Target::bind().await;
        let proxy = Setup::to(target.address()).start().await;
        let mut client = proxy.connect().await;
        client.send(GET).await;
        let mut kept = target.accept().await;
        kept.head().await;
        kept.send(KEPT).await;
        client.answer().await;

        client.send(request).await;
        let first = kept.head().await;
        drop(kept); // it read the request and died
        let mut fresh = target.accept().await;
        let second = fresh.head().await;
        assert_eq!(second.line(), first.line());
        if request == put {
            assert_eq!(fresh.bytes(2).await, b"hi");
        }
        fresh.send(OK).await;
        assert_eq!(client.answer().await.body, b"ok");
    }
}

#[tokio::test]
async fn it_is_sent_once_more_and_no_oftener() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address()).start().await;
    let mut client = proxy.connect().await;
    client.send(GET).await;
    let mut kept = target.accept().await;
    kept.head().await;
    kept.send(KEPT).await;
    client.answer().await;
    client.send(GET).await;
    kept.head().await;
    drop(kept);
    let mut fresh = target.accept().await;
    fresh.head().await;
    drop(fresh);
    let answer = client.answer().await;
    assert_eq!((answer.status(), answer.code().as_str()), (502, "upstream_closed"));
    assert!(target.is_untouched().await);
}

#[tokio::test]
async fn a_connection_that_idles_is_closed_before_the_target_would() {
    let target = Target::bind().await;
    let idle = "[upstream]\nidle = \"200ms\"\n";
    let proxy = Setup::to(target.address()).tables(idle).start().await;
    let mut client = proxy.connect().await;
    client.send(GET).await;
    let mut there = target.accept().await;
    there.head().await;
    there.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    assert_eq!(client.answer().await.body, b"ok");
    assert!(there.closes().await);
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_unnoticed_costs_no_request() {
    for request in [GET, POST] {
        let target = Target::bind().await;
        let proxy = Setup::to(target.address()).start().await;
        let mut client = proxy.connect().await;
        client.send(GET).await;
        let mut kept = target.accept().await;
        kept.head().await;
        kept.send(KEPT).await;
        client.answer().await;
        drop(kept); // before anything more was written to it
        tokio::time::sleep(Duration::from_millis(20)).await; // until the proxy was told
        client.send(request).await;
        let mut fresh = target.accept().await;
        fresh.head().await;
        fresh.send(OK).await;
        assert_eq!(client.answer().await.body, b"ok");
    }
}

#[tokio::test]
async fn a_post_that_was_read_is_not_sent_twice() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address()).start().await;
    let mut client = proxy.connect().await;
    client.send(GET).await;
    let mut kept = target.accept().await;
    kept.head().await;
    kept.send(KEPT).await;
    client.answer().await;
    client.send(POST).await;
    kept.head().await;
    kept.bytes(2).await;
    drop(kept);
    let answer = client.answer().await;
    assert_eq!((answer.status(), answer.code().as_str()), (502, "upstream_closed"));
    assert!(target.is_untouched().await);
}

#[tokio::test]
async fn a_get_on_a_new_connection_that_dies_is_not_sent_twice() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address()).start().await;
    let mut client = proxy.connect().await;
    client.send(GET).await;
    let mut there = target.accept().await;
    there.head().await;
    drop(there);
    let answer = client.answer().await;
    assert_eq!((answer.status(), answer.code().as_str()), (502, "upstream_closed"));
    assert!(target.is_untouched().await);
}

#[tokio::test]
async fn what_is_no_answer_is_malformed() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address()).start().await;
    let (_, answer) = target.exchange(&proxy, GET, "SSH-2.0-OpenSSH_9.9\r\n\r\n").await;
    assert_eq!((answer.status(), answer.code().as_str()), (502, "upstream_malformed"));
}

#[tokio::test]
async fn a_target_that_does_not_answer_is_given_up() {
    let target = Target::bind().await;
    let limit = "[timeouts]\nresponse_head = \"150ms\"\n";
    let proxy = Setup::to(target.address()).tables(limit).start().await;
    let mut client = proxy.connect().await;
    client.send(GET).await;
    let mut there = target.accept().await;
    there.head().await;
    let answer = client.answer().await;
    assert_eq!((answer.status(), answer.code().as_str()), (504, "response_timeout"));
    assert!(there.closes().await, "the attempt ends with its time");
}

#[tokio::test]
async fn a_target_that_refuses_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let answer = Setup::to(address).start().await.ask(GET).await;
    assert_eq!((answer.status(), answer.code().as_str()), (502, "connection_refused"));
    let status = answer.head.text("proxy-status").unwrap();
    assert_eq!(status, "countersign; error=connection_refused; details=\"connection_refused\"");
}

#[derive(Debug)]
struct Broken;

impl Source for Broken {
    fn load(&self) -> Loading<'_> {
        let failure = Failure { message: "no profile".to_owned(), hint: "make one".to_owned() };
        Box::pin(async { Err(failure) })
    }
}

/// Gives credentials after a while.
#[derive(Debug)]
struct Slow;

impl Source for Slow {
    fn load(&self) -> Loading<'_> {
        Box::pin(async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            Ok(Loaded { credentials: credentials(), expires: None })
        })
    }
}

#[tokio::test]
async fn without_credentials_nothing_leaves() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address())
        .start_with(|config, clock| Stores::from_sources(config, clock, |_| Box::new(Broken)))
        .await;
    let answer = proxy.ask(GET).await; // it waits for 5 s from the start of the program
    assert_eq!((answer.status(), answer.code().as_str()), (503, "no_credentials"));
    assert!(answer.head.has("retry-after"));
    assert!(!String::from_utf8_lossy(&answer.body).contains("no profile"), "that is for the log");
    assert!(target.is_untouched().await, "not even a connection");
}

#[tokio::test]
async fn an_early_request_waits_for_the_first_credentials() {
    let proxy = Setup::to(function().await)
        .start_with(|config, clock| Stores::from_sources(config, clock, |_| Box::new(Slow)))
        .await;
    let answer = proxy.ask("GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert_eq!(answer.status(), 200);
}
