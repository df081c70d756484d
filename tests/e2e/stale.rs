//! Targets that close a kept connection just as the next request goes out: no request that may be
//! sent twice is lost, and none is sent twice that may not.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{Setup, Target, sha256};

/// An answer on a connection that is kept, says the target.
const KEPT: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const GET: &str = "GET /x HTTP/1.1\r\nhost: localhost\r\n\r\n";

/// How the target ends a connection that it said it would keep.
#[derive(Clone, Copy, Debug)]
enum End {
    /// FIN, right after its answer.
    Fin,
    /// RST, right after its answer.
    Reset,
    /// RST once the next request is there, unread or read.
    ResetAtNext,
    /// FIN once the next request was read.
    FinAtNext,
}

/// Answers one request a connection and then ends it. Counts the requests that it answered.
async fn closing_target(end: End) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let answered = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&answered);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(one_answer(stream, end, Arc::clone(&count)));
        }
    });
    (address, answered)
}

async fn one_answer(mut stream: TcpStream, end: End, answered: Arc<AtomicUsize>) -> Option<()> {
    request(&mut stream).await?;
    answered.fetch_add(1, Ordering::Relaxed);
    stream.write_all(KEPT.as_bytes()).await.ok()?;
    match end {
        End::Fin => {}
        End::Reset => stream.set_zero_linger().ok()?,
        End::ResetAtNext => {
            stream.readable().await.ok()?;
            stream.set_zero_linger().ok()?;
        }
        End::FinAtNext => request(&mut stream).await?,
    }
    Some(())
}

/// Reads a request with a body of two bytes or none.
async fn request(stream: &mut TcpStream) -> Option<()> {
    let mut read = Vec::new();
    loop {
        if stream.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
        let text = String::from_utf8_lossy(&read);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = if head.to_lowercase().contains("content-length: 2") { 2 } else { 0 };
            if body.len() >= length {
                return Some(());
            }
        }
    }
}

#[tokio::test]
async fn no_request_that_may_be_sent_twice_is_lost() {
    for end in [End::Fin, End::Reset, End::ResetAtNext, End::FinAtNext] {
        let (address, answered) = closing_target(end).await;
        let proxy = Setup::to(address).start().await;
        let mut client = proxy.connect().await;
        for number in 0..300 {
            let method = ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"][number % 5];
            let body = if method == "PUT" { "content-length: 2\r\n\r\nhi" } else { "\r\n" };
            client.send(format!("{method} /x HTTP/1.1\r\nhost: localhost\r\n{body}")).await;
            let head = client.head().await;
            assert_eq!(head.status(), 200, "{method} {number}, {end:?}");
            if method != "HEAD" {
                assert_eq!(client.bytes(2).await, b"ok");
            }
            if number % 3 == 0 {
                // Sometimes the proxy is told before the next request, sometimes not.
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        assert_eq!(answered.load(Ordering::Relaxed), 300, "{end:?}");
    }
}

#[tokio::test]
async fn a_post_is_sent_again_only_where_nothing_was_written() {
    let post = "POST /x HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\nhi";
    for end in [End::Fin, End::Reset] {
        let (address, answered) = closing_target(end).await;
        let proxy = Setup::to(address).start().await;
        let mut client = proxy.connect().await;
        let (mut fine, mut lost) = (0, 0);
        for _ in 0..300 {
            client.send(post).await;
            let answer = client.answer().await;
            match answer.status() {
                200 => fine += 1,
                502 => {
                    assert_eq!(answer.code(), "upstream_closed");
                    lost += 1;
                }
                other => panic!("{other}"),
            }
        }
        assert_eq!(answered.load(Ordering::Relaxed), fine, "{end:?}: {lost} lost");
        assert!(fine >= 150, "{end:?}: {fine} of 300");
    }
}

#[tokio::test]
async fn a_streamed_body_is_never_sent_twice() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address()).route("payload = \"client-digest\"").start().await;
    let mut client = proxy.connect().await;
    client.send(GET).await;
    let mut kept = target.accept().await;
    kept.head().await;
    kept.send(KEPT).await;
    client.answer().await;
    let digest = sha256(b"hi");
    client
        .send(format!(
            "PUT /x HTTP/1.1\r\nhost: localhost\r\nx-amz-content-sha256: {digest}\r\n\
             content-length: 2\r\n\r\nhi"
        ))
        .await;
    kept.head().await;
    drop(kept);
    let answer = client.answer().await;
    assert_eq!((answer.status(), answer.code().as_str()), (502, "upstream_closed"));
    assert!(target.is_untouched().await);
}
