//! The client's body: held and hashed within its bounds, or passed through.

use std::time::Duration;

use crate::support::{OK, Setup, Target, function, sha256};

/// Longer than any pause that a test makes; shorter than its patience.
const SHORT: &str = "[timeouts]\nbody_read = \"150ms\"\n";

fn post(headers: &str) -> String {
    format!("POST /process HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n")
}

fn with_length(length: usize) -> String {
    post(&format!("content-length: {length}\r\n"))
}

fn chunked(chunks: &[&[u8]]) -> Vec<u8> {
    let mut wire = post("transfer-encoding: chunked\r\n").into_bytes();
    for chunk in chunks {
        wire.extend(format!("{:x}\r\n", chunk.len()).as_bytes());
        wire.extend([chunk, b"\r\n".as_slice()].concat());
    }
    wire.extend(b"0\r\n\r\n");
    wire
}

#[tokio::test]
async fn a_chunked_body_leaves_with_its_length_and_its_hash() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address()).start().await;
    let long = vec![b'x'; 70_000];
    let cases: [&[&[u8]]; 3] = [&[], &[b"hello"], &[b"a", &long, b"b", &long[..4096], b"c"]];
    for chunks in cases {
        let body = chunks.concat();
        let mut client = proxy.connect().await;
        client.send(chunked(chunks)).await;
        let mut there = target.accept().await;
        let seen = there.head().await;
        assert!(!seen.has("transfer-encoding"));
        assert_eq!(seen.text("content-length").unwrap(), body.len().to_string());
        assert_eq!(seen.text("x-amz-content-sha256").unwrap(), sha256(&body));
        assert!(there.bytes(body.len()).await == body);
        there.send(OK).await;
        assert_eq!(client.answer().await.status(), 200);
    }
}

#[tokio::test]
async fn thousands_of_chunks_of_one_byte_arrive_as_they_were() {
    let proxy = Setup::to(function().await).start().await;
    let body: Vec<u8> = (0..20_000_u32).map(|at| b'a' + (at % 26) as u8).collect();
    let chunks: Vec<&[u8]> = body.chunks(1).collect();
    let answer = proxy.ask(chunked(&chunks)).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.json()["received"].as_str().unwrap().as_bytes(), body);
}

#[tokio::test]
async fn trailers_and_chunk_extensions_are_dropped() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address()).start().await;
    let mut request = post("transfer-encoding: chunked\r\ntrailer: x-sum\r\n").into_bytes();
    request.extend(b"2;name=value\r\nhi\r\n0\r\nx-sum: 1\r\n\r\n");
    let mut client = proxy.connect().await;
    client.send(request).await;
    let mut there = target.accept().await;
    let seen = there.head().await;
    assert_eq!(seen.text("content-length").unwrap(), "2");
    assert!(!seen.has("x-sum"));
    assert_eq!(there.bytes(2).await, b"hi");
    there.send(OK).await;
    assert_eq!(client.answer().await.status(), 200);
}

#[tokio::test]
async fn a_body_of_exactly_the_limit_passes() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address()).route("max_body = \"1KiB\"").start().await;
    let body = vec![b'x'; 1024];
    for request in [[with_length(1024).as_bytes(), &body].concat(), chunked(&[&body])] {
        let mut client = proxy.connect().await;
        client.send(request).await;
        let mut there = target.accept().await;
        there.head().await;
        there.bytes(1024).await;
        there.send(OK).await;
        assert_eq!(client.answer().await.status(), 200);
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_before_the_target_is_called() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address()).route("max_body = \"1KiB\"").start().await;
    let body = vec![b'x'; 1025];
    for request in [[with_length(1025).as_bytes(), &body].concat(), chunked(&[&body])] {
        let answer = proxy.ask(request).await;
        assert_eq!((answer.status(), answer.code().as_str()), (413, "body_too_large"));
    }
    assert!(target.is_untouched().await);
}

#[tokio::test]
async fn a_connection_goes_on_after_a_body_that_was_read_and_refused() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address()).route("max_body = \"1KiB\"").start().await;
    let mut client = proxy.connect().await;
    client.send([with_length(2000).as_bytes(), &[b'x'; 2000]].concat()).await;
    assert_eq!(client.answer().await.status(), 413);
    client.send(with_length(0)).await;
    let mut there = target.accept().await;
    there.head().await;
    there.send(OK).await;
    assert_eq!(client.answer().await.status(), 200);
}

#[tokio::test]
async fn a_client_that_sends_all_before_it_reads_gets_its_413() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address()).start().await;
    let size = 7 << 20;
    let body = vec![b'x'; size];
    for head in [with_length(size), post("transfer-encoding: chunked\r\n")] {
        let mut client = proxy.connect().await;
        client.send(&head).await;
        if head.contains("chunked") {
            client.send(format!("{size:x}\r\n")).await;
            client.send(&body).await;
            client.send("\r\n0\r\n\r\n").await;
        } else {
            client.send(&body).await;
        }
        let answer = client.answer().await;
        assert_eq!((answer.status(), answer.code().as_str()), (413, "body_too_large"));
    }
    assert!(target.is_untouched().await);
}

#[tokio::test]
async fn an_expectation_is_met_here_and_not_forwarded() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address()).start().await;
    let mut client = proxy.connect().await;
    client.send(post("expect: 100-continue\r\ncontent-length: 5\r\n")).await;
    assert_eq!(client.head().await.line(), "HTTP/1.1 100 Continue");
    client.send("hello").await;
    let mut there = target.accept().await;
    assert!(!there.head().await.has("expect"));
    assert_eq!(there.bytes(5).await, b"hello");
    there.send(OK).await;
    assert_eq!(client.answer().await.status(), 200);
}

#[tokio::test]
async fn a_client_that_asks_first_with_too_large_a_body_is_not_told_to_go_on() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address()).start().await;
    let mut client = proxy.connect().await;
    client.send(post("expect: 100-continue\r\ncontent-length: 7000000\r\n")).await;
    let answer = client.answer().await;
    assert_eq!((answer.status(), answer.code().as_str()), (413, "body_too_large"));
    assert_eq!(answer.head.text("connection").unwrap(), "close");
    assert!(client.closes().await);
    assert!(target.is_untouched().await);
}

#[tokio::test]
async fn a_silent_body_is_given_up() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address()).tables(SHORT).start().await;
    let mut client = proxy.connect().await;
    client.send([with_length(10).as_str(), "half"].concat()).await;
    let answer = client.answer().await;
    assert_eq!((answer.status(), answer.code().as_str()), (408, "body_timeout"));
    assert_eq!(answer.head.text("connection").unwrap(), "close");
    assert!(target.is_untouched().await);
}

#[tokio::test]
async fn a_body_that_drips_has_a_limit_over_all() {
    let target = Target::bind().await;
    let limits = "[timeouts]\nbody_read = \"10s\"\nbody_total = \"300ms\"\n";
    let proxy = Setup::to(target.address()).tables(limits).start().await;
    let mut client = proxy.connect().await;
    client.send(with_length(1000)).await;
    let drip = async {
        loop {
            client.send("x").await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let _ = tokio::time::timeout(Duration::from_millis(400), drip).await;
    let answer = client.answer().await;
    assert_eq!((answer.status(), answer.code().as_str()), (408, "body_timeout"));
    assert!(target.is_untouched().await);
}

#[tokio::test]
async fn a_broken_chunk_is_refused() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address()).start().await;
    let request = [post("transfer-encoding: chunked\r\n"), "zz\r\nhello\r\n0\r\n\r\n".to_owned()];
    let answer = proxy.ask(request.concat()).await;
    assert_eq!((answer.status(), answer.code().as_str()), (400, "body_broken"));
    assert!(target.is_untouched().await);
}

#[tokio::test]
async fn a_body_that_ends_too_early_reaches_no_target() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address()).start().await;
    let mut client = proxy.connect().await;
    client.send([with_length(10).as_str(), "half"].concat()).await;
    tokio::io::AsyncWriteExt::shutdown(&mut client.stream).await.unwrap();
    let _ = client.rest().await; // a 400 or nothing: nobody may be there to hear it
    assert!(target.is_untouched().await);
}

#[tokio::test]
async fn bodies_held_at_once_are_bounded_and_their_room_is_given_back() {
    let target = Target::bind().await;
    let limits = "[limits]\nbuffered_bodies = \"1MiB\"\n";
    let proxy = Setup::to(target.address()).tables(limits).start().await;
    let size = 900 * 1024;
    let mut first = proxy.connect().await;
    first.send([with_length(size).as_bytes(), &vec![b'x'; size]].concat()).await;
    let mut there = target.accept().await;
    there.head().await; // the first body is held until it is answered

    let mut second = proxy.connect().await;
    second.send([with_length(size).as_bytes(), &vec![b'x'; size]].concat()).await;
    let answer = second.answer().await;
    assert_eq!((answer.status(), answer.code().as_str()), (503, "overloaded"));
    assert_eq!(answer.head.text("retry-after").unwrap(), "1");

    there.bytes(size).await;
    there.send(OK).await;
    assert_eq!(first.answer().await.status(), 200);
    second.send([with_length(size).as_bytes(), &vec![b'x'; size]].concat()).await;
    let mut there = target.accept().await;
    there.head().await;
    there.bytes(size).await;
    there.send(OK).await;
    assert_eq!(second.answer().await.status(), 200);
}

#[tokio::test]
async fn a_chunked_body_takes_room_as_it_grows() {
    let target = Target::bind().await;
    let limits = "[limits]\nbuffered_bodies = \"1MiB\"\n";
    let proxy = Setup::to(target.address()).tables(limits).start().await;
    let block = vec![b'x'; 700 * 1024];
    let mut first = proxy.connect().await;
    first.send(chunked(&[&block])).await;
    let mut there = target.accept().await;
    there.head().await;
    let mut second = proxy.connect().await;
    second.send(chunked(&[&block])).await;
    let answer = second.answer().await;
    assert_eq!((answer.status(), answer.code().as_str()), (503, "overloaded"));
    there.bytes(block.len()).await;
    there.send(OK).await;
    assert_eq!(first.answer().await.status(), 200);
    assert!(target.is_untouched().await);
}

#[tokio::test]
async fn a_body_waits_a_moment_for_room() {
    let target = Target::bind().await;
    let limits = "[limits]\nbuffered_bodies = \"1MiB\"\n";
    let proxy = Setup::to(target.address()).tables(limits).start().await;
    let size = 900 * 1024;
    let request = [with_length(size).as_bytes(), &vec![b'x'; size]].concat();
    let (mut first, mut second) = (proxy.connect().await, proxy.connect().await);
    first.send(&request).await;
    let mut there = target.accept().await;
    there.head().await;
    there.bytes(size).await;
    second.send(&request[..1024]).await;
    assert!(target.is_untouched().await);
    there.send(OK).await;
    second.send(&request[1024..]).await;
    let mut there = target.accept().await;
    there.head().await;
    there.bytes(size).await;
    there.send(OK).await;
    assert_eq!(second.answer().await.status(), 200);
}

#[tokio::test]
async fn a_body_whose_digest_the_client_knows_streams() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address()).route("payload = \"client-digest\"").start().await;
    let digest = sha256(b"first-last");
    for (framing, parts) in [
        ("content-length: 10\r\n", ["first-", "last"]),
        ("transfer-encoding: chunked\r\n", ["6\r\nfirst-\r\n", "4\r\nlast\r\n0\r\n\r\n"]),
    ] {
        let mut client = proxy.connect().await;
        client.send(post(&format!("x-amz-content-sha256: {digest}\r\n{framing}"))).await;
        client.send(parts[0]).await;
        let mut there = target.accept().await;
        let seen = there.head().await;
        assert_eq!(seen.text("x-amz-content-sha256").unwrap(), digest);
        if seen.has("content-length") {
            assert_eq!(there.bytes(6).await, b"first-");
            client.send(parts[1]).await;
            assert_eq!(there.bytes(4).await, b"last");
        } else {
            assert_eq!(there.chunk().await, b"first-");
            client.send(parts[1]).await;
            assert_eq!(there.chunks().await, b"last");
        }
        there.send(OK).await;
        assert_eq!(client.answer().await.status(), 200);
    }
}

#[tokio::test]
async fn a_streamed_body_is_verified_by_the_function() {
    let proxy = Setup::to(function().await).route("payload = \"client-digest\"").start().await;
    let send = |digest: String| {
        post(&format!("x-amz-content-sha256: {digest}\r\ncontent-length: 2\r\n")) + "42"
    };
    let right = proxy.ask(send(sha256(b"42"))).await;
    assert_eq!(right.status(), 200);
    let wrong = proxy.ask(send(sha256(b"43"))).await;
    assert_ne!(wrong.status(), 200);
    let held = proxy.ask([with_length(2).as_str(), "42"].concat()).await;
    assert_eq!(held.status(), 200, "without a digest it is held and hashed");
}

#[tokio::test]
async fn what_is_no_digest_is_refused() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address()).route("payload = \"client-digest\"").start().await;
    let short = sha256(b"")[..63].to_owned();
    for digest in ["UNSIGNED-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "", &short] {
        let request = post(&format!("x-amz-content-sha256: {digest}\r\ncontent-length: 0\r\n"));
        let answer = proxy.ask(request).await;
        assert_eq!((answer.status(), answer.code().as_str()), (400, "invalid_digest"), "{digest}");
    }
    assert!(target.is_untouched().await);
}

#[tokio::test]
async fn a_streamed_body_has_the_same_limits() {
    let target = Target::bind().await;
    let route = "payload = \"client-digest\"\nmax_body = \"1KiB\"";
    let proxy = Setup::to(target.address()).route(route).tables(SHORT).start().await;
    let digest = sha256(b"");
    let declared = post(&format!("x-amz-content-sha256: {digest}\r\ncontent-length: 1025\r\n"));
    let answer = proxy.ask([declared.as_bytes(), &[b'x'; 1025]].concat()).await;
    assert_eq!((answer.status(), answer.code().as_str()), (413, "body_too_large"));
    assert!(target.is_untouched().await);

    let silent = post(&format!("x-amz-content-sha256: {digest}\r\ncontent-length: 9\r\n"));
    let answer = proxy.ask(silent + "x").await;
    assert_eq!((answer.status(), answer.code().as_str()), (408, "body_timeout"));
}

#[tokio::test]
async fn a_streamed_body_of_unknown_length_is_cut_at_the_limit() {
    let target = Target::bind().await;
    let route = "payload = \"client-digest\"\nmax_body = \"1KiB\"";
    let proxy = Setup::to(target.address()).route(route).start().await;
    let framing = "transfer-encoding: chunked\r\n";
    let head = post(&format!("x-amz-content-sha256: {}\r\n{framing}", sha256(b"")));
    let chunk = format!("400\r\n{}\r\n", "x".repeat(1024));
    let mut client = proxy.connect().await;
    client.send([&head, &chunk, "1\r\nx\r\n0\r\n\r\n"].concat()).await;
    let mut there = target.accept().await;
    there.head().await;
    let (body, _) = there.rest().await;
    assert!(!body.ends_with(b"0\r\n\r\n"), "a cut body must not look whole");
    let answer = client.answer().await;
    assert_eq!((answer.status(), answer.code().as_str()), (413, "body_too_large"));
}

#[tokio::test]
async fn an_answer_that_comes_amid_a_streamed_body_arrives_though_the_client_sends_on() {
    let target = Target::bind().await;
    let route = "payload = \"client-digest\"\nmax_body = \"1MiB\"";
    let proxy = Setup::to(target.address()).route(route).start().await;
    let early = "HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\nno";
    let head =
        post(&format!("x-amz-content-sha256: {}\r\ntransfer-encoding: chunked\r\n", sha256(b"")));
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    for (answer, status) in [(Some(early), 401), (None, 413)] {
        let mut client = proxy.connect().await;
        client.send(&head).await;
        let mut there = target.accept().await;
        there.head().await;
        if let Some(answer) = answer {
            there.send(answer).await;
        }
        let reading = async { drop(there.rest().await) };
        let sending = async {
            for _ in 0..100 {
                client.send(&chunk).await; // fails where the connection was reset
            }
            client.send("0\r\n\r\n").await;
        };
        tokio::join!(reading, sending);
        assert_eq!(client.answer().await.status(), status);
    }
}

#[tokio::test]
async fn a_refused_body_that_did_not_wait_for_100_does_not_lose_the_answer() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address()).start().await;
    let mut client = proxy.connect().await;
    let head = post("expect: 100-continue\r\ncontent-length: 6553600\r\n");
    client.send(head.replace("localhost", "evil.example")).await;
    for _ in 0..100 {
        client.send("x".repeat(0x10000)).await;
    }
    assert_eq!(client.answer().await.status(), 403);
}

#[tokio::test]
async fn a_client_that_leaves_amid_a_streamed_body_breaks_the_send() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address()).route("payload = \"client-digest\"").start().await;
    let digest = sha256(b"");
    for framing in ["content-length: 10\r\n", "transfer-encoding: chunked\r\n"] {
        let mut client = proxy.connect().await;
        client.send(post(&format!("x-amz-content-sha256: {digest}\r\n{framing}"))).await;
        client
            .send(
                "4\r\nhalf\r\n"
                    .as_bytes()
                    .get(..if framing.contains("chunked") { 9 } else { 4 })
                    .unwrap(),
            )
            .await;
        let mut there = target.accept().await;
        there.head().await;
        drop(client);
        let (body, _) = there.rest().await;
        assert!(!body.ends_with(b"0\r\n\r\n"), "a cut body must not look whole");
        assert!(body.len() < 10);
    }
}

#[tokio::test]
async fn an_upload_that_outlives_its_answer_is_no_slow_head() {
    let target = Target::bind().await;
    let limits = "[timeouts]\nheader_read = \"1s\"\nclient_idle = \"10s\"\nbody_read = \"10s\"\n";
    let setup = Setup::to(target.address()).tables(limits).route("payload = \"client-digest\"");
    let proxy = setup.start().await;
    let body = [b'x'; 16];
    let digest = format!("x-amz-content-sha256: {}\r\ncontent-length: 16\r\n", sha256(&body));
    let mut client = proxy.connect().await;
    client.send(post(&digest)).await;
    let mut there = target.accept().await;
    there.head().await;
    there.send(OK).await;
    assert_eq!(client.answer().await.status(), 200);
    for piece in body.chunks(1) {
        client.send(piece).await;
        tokio::time::sleep(Duration::from_millis(80)).await;
    }
    assert_eq!(there.bytes(body.len()).await, body);
    // The connection goes on, and its next head is held to its time again.
    client.send(post("content-length: 0\r\n")).await;
    let mut there = target.accept().await;
    there.head().await;
    there.send(OK).await;
    assert_eq!(client.answer().await.status(), 200);
    client.send("GET / HT").await;
    client.rest().await.1.unwrap();
}
