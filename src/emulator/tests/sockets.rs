//! The emulator behind a real socket.

use std::net::SocketAddr;
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::*;

/// An emulator that is being served.
pub(super) struct Served {
    pub(super) address: SocketAddr,
    stop: CancellationToken,
    ended: JoinHandle<()>,
}

impl Served {
    pub(super) async fn start(settings: Settings) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let ended = tokio::spawn(serve(listener, Emulator::new(settings), stop.clone()));
        Self { address, stop, ended }
    }

    /// Stops it and waits until it has ended.
    pub(super) async fn stop(self) {
        self.stop.cancel();
        self.ended.await.unwrap();
    }

    pub(super) async fn send(&self, signed: &Signed) -> TcpStream {
        let body = signed.body();
        let mut head = format!("{} {} HTTP/1.1\r\n", signed.method, signed.target);
        for (name, value) in &signed.headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += &format!("content-length: {}\r\nconnection: close\r\n\r\n", body.len());
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&body).await.unwrap();
        stream
    }

    /// Head and body of the answer to one request.
    pub(super) async fn exchange(&self, signed: &Signed) -> (String, String) {
        let mut answer = String::new();
        self.send(signed).await.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.to_owned(), body.to_owned())
    }
}

#[tokio::test]
async fn answers_health_with_the_caller() {
    let served = Served::start(settings()).await;
    let (head, body) = served.exchange(&Signed::named("token")).await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(head.contains("\r\nx-amzn-requestid: "), "{head}");
    assert!(head.contains("\r\ndate: Tue, 24 Nov 2026 03:04:05 GMT"), "{head}");
    assert_eq!(body, format!(r#"{{"status":"healthy","caller":"{ROLE}"}}"#));
    served.stop().await;
}

#[tokio::test]
async fn answers_process_with_the_json_or_the_text_that_it_received() {
    let served = Served::start(settings()).await;
    for (name, received) in [("json", r#"{"key": "value"}"#), ("text", r#""say \"hi\"""#)] {
        let (_, body) = served.exchange(&Signed::named(name)).await;
        let message = "Data processed successfully";
        let expected =
            format!(r#"{{"message":"{message}","received":{received},"caller":"{ARN}"}}"#);
        assert_eq!(body, expected);
    }
    served.stop().await;
}

#[tokio::test]
async fn answers_404_with_method_and_path() {
    let served = Served::start(settings()).await;
    let (head, body) = served.exchange(&Signed::named("unknown")).await;
    assert!(head.starts_with("HTTP/1.1 404 "), "{head}");
    let expected = r#"{"error":"Not Found","method":"DELETE","path":"/no/such%20path"}"#;
    assert_eq!(body, expected);
    served.stop().await;
}

#[tokio::test]
async fn takes_a_path_of_raw_letters_from_the_wire() {
    let served = Served::start(settings()).await;
    let (_, body) = served.exchange(&Signed::named("raw letters")).await;
    assert!(body.ends_with(r#""path":"/café"}"#), "{body}");
    served.stop().await;
}

#[tokio::test]
async fn refuses_on_the_wire_as_lambda_does() {
    let served = Served::start(settings()).await;
    let (head, body) = served.exchange(&Signed::named("unsigned")).await;
    assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
    assert!(head.contains("\r\nx-amzn-errortype: InvalidSignatureException"), "{head}");
    assert!(head.contains("\r\nx-amzn-requestid: "), "{head}");
    assert!(body.contains("does not match"), "{body}");
    served.stop().await;
}

#[tokio::test]
async fn streams_events_one_by_one() {
    let interval = Duration::from_millis(300);
    let served = Served::start(Settings { stream_interval: interval, ..settings() }).await;
    let mut stream = served.send(&Signed::named("stream")).await;
    let mut answer = String::new();
    while !answer.contains("id: 1\n") {
        let mut piece = [0; 1024];
        let length = stream.read(&mut piece).await.unwrap();
        assert_ne!(length, 0, "{answer}");
        answer += std::str::from_utf8(&piece[..length]).unwrap();
    }
    let first = Instant::now();
    assert!(answer.contains("\r\ncontent-type: text/event-stream\r\n"), "{answer}");
    assert!(!answer.contains("id: 10\n"), "{answer}");
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(first.elapsed() > interval * 5, "{:?}", first.elapsed());
    assert_eq!(answer.matches("\ndata: ").count(), 10);
    assert!(answer.ends_with("\r\n0\r\n\r\n"), "{answer}");
    served.stop().await;
}

#[tokio::test]
async fn answers_413_where_the_event_is_too_large() {
    let served = Served::start(settings()).await;
    let (head, _) = served.exchange(&Signed::named("binary")).await;
    assert!(head.starts_with("HTTP/1.1 413 "), "{head}");
    assert!(head.contains("\r\nx-amzn-errortype: RequestEntityTooLargeException"), "{head}");
    served.stop().await;
}

#[tokio::test]
async fn answers_413_after_reading_a_body_that_is_too_large() {
    let served = Served::start(settings()).await;
    let signed = Signed { times: 8_000_000, ..Signed::named("binary") };
    let (head, _) = served.exchange(&signed).await;
    assert!(head.starts_with("HTTP/1.1 413 "), "{head}");
    served.stop().await;
}

#[tokio::test]
async fn ends_soon_while_a_stream_is_open() {
    let slow = Settings { stream_interval: Duration::from_secs(60), ..settings() };
    let served = Served::start(slow).await;
    let mut stream = served.send(&Signed::named("stream")).await;
    stream.read_u8().await.unwrap();
    let started = Instant::now();
    served.stop().await;
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}
