//! Clients that mean harm, or are broken: what reaches the target is exactly what was asked, or
//! nothing; the client gets a refusal or a clean close, and never has to wait for ever.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use countersign::listen::Count;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::support::{Proxy, Setup, Target, Wire, function, sha256, soon};

const GET: &str = "GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n";
/// What must never arrive as a request.
const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nhost: localhost\r\n\r\n";

/// A target that answers everything and keeps all that it was sent.
struct Witness {
    address: std::net::SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// A request as it arrived.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    line: String,
    headers: String,
    body: Vec<u8>,
}

impl Witness {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let all = Arc::clone(&seen);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(Self::answer(stream, Arc::clone(&all)));
            }
        });
        Self { address, seen }
    }

    /// Reads what is there byte for byte, not what a server would make of it.
    async fn answer(mut stream: TcpStream, all: Arc<Mutex<Vec<Seen>>>) {
        let mut read = Vec::new();
        loop {
            while let Some((seen, end)) = Self::first(&read) {
                read.drain(..end);
                all.lock().unwrap().push(seen);
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                let _ = stream.write_all(answer).await;
            }
            match stream.read_buf(&mut read).await {
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
        }
        assert!(read.is_empty(), "half a request: {:?}", String::from_utf8_lossy(&read));
    }

    fn first(read: &[u8]) -> Option<(Seen, usize)> {
        let end = read.windows(4).position(|part| part == b"\r\n\r\n")? + 4;
        let head = String::from_utf8_lossy(&read[..end]).into_owned();
        assert!(!head.contains("transfer-encoding"), "a held body has a length: {head}");
        let length = head.split("content-length: ").nth(1);
        let length: usize = length.map_or(0, |rest| rest.lines().next().unwrap().parse().unwrap());
        let body = read.get(end..end + length)?.to_vec();
        let (line, headers) = head.split_once("\r\n").unwrap();
        Some((Seen { line: line.to_owned(), headers: headers.to_owned(), body }, end + length))
    }

    fn lines(&self) -> Vec<String> {
        self.seen.lock().unwrap().iter().map(|seen| seen.line.clone()).collect()
    }
}

/// Sends `bytes` on a connection of its own: the statuses of all that comes back until its end.
async fn statuses(proxy: &Proxy, bytes: impl AsRef<[u8]>) -> Vec<u16> {
    let mut client = proxy.connect().await;
    client.send(bytes).await;
    let (answered, _) = client.rest().await;
    let answered = String::from_utf8_lossy(&answered).into_owned();
    let status = |part: &str| part.get(..3).and_then(|status| status.parse().ok());
    answered.split("HTTP/1.1 ").skip(1).filter_map(status).collect()
}

/// A connection is counted when it has ended, which its client may see a little earlier.
async fn comes_to(count: &Count, total: u64) {
    let all = async {
        while count.total() < total {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    soon(all).await;
    assert_eq!(count.total(), total);
}

fn post(headers: &str, body: &str) -> String {
    format!("POST /asked HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n{body}")
}

#[tokio::test]
async fn a_head_that_two_servers_read_differently_is_refused() {
    let target = Witness::start().await;
    let proxy = Setup::to(target.address).start().await;
    let chunks = format!("0\r\n\r\n{HIDDEN}");
    let long = format!("hello{HIDDEN}");
    let cases = [
        ("content-length: 4\r\ncontent-length: 5\r\n", &long),
        ("content-length: 5\r\ncontent-length: +5\r\n", &long),
        ("content-length: +5\r\n", &long),
        ("content-length: -5\r\n", &long),
        ("content-length: 5 5\r\n", &long),
        ("content-length: 5, 6\r\n", &long),
        ("content-length: 0x5\r\n", &long),
        ("content-length: 5_0\r\n", &long),
        ("content-length: \r\n", &long),
        ("content-length: 18446744073709551621\r\n", &long), // 2^64 + 5
        ("content-length : 5\r\n", &long),
        ("content-length\t: 5\r\n", &long),
        ("content-length\r\n : 5\r\n", &long),
        ("x: a\r\n content-length: 5\r\n", &long),
        ("content-length: 5\rx\r\n", &long),
        ("transfer-encoding : chunked\r\n", &chunks),
        ("transfer-encoding: xchunked\r\n", &chunks),
        ("transfer-encoding: chunked, x\r\n", &chunks),
        ("transfer-encoding: x, chunked\r\n", &chunks),
        ("transfer-encoding: identity\r\n", &chunks),
        ("transfer-encoding: chunked;a=b\r\n", &chunks),
        ("transfer-encoding: \"chunked\"\r\n", &chunks),
        ("transfer-encoding: \x0bchunked\r\n", &chunks),
        ("transfer-encoding: chunked\0\r\n", &chunks),
        ("transfer-encoding:\r\n chunked\r\n", &chunks),
        ("transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n", &chunks),
        ("transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n", &chunks),
        ("transfer-encoding: identity\r\ntransfer-encoding: chunked\r\n", &chunks),
        ("transfer-encoding: chunked, chunked\r\n", &chunks),
        ("transfer-encoding: \r\n", &chunks),
        ("bad name: x\r\n", &chunks),
        (": x\r\n", &chunks),
        ("x\0y: z\r\n", &chunks),
        ("x: y\0z\r\n", &chunks),
        ("no colon\r\n", &chunks),
    ];
    for (headers, body) in cases {
        let close = "connection: close\r\n"; // where it is a refusal of ours, which keeps it
        let got = statuses(&proxy, post(&format!("{headers}{close}"), body)).await;
        assert!(matches!(got.as_slice(), [400 | 501]), "{headers:?}: {got:?}");
        assert_eq!(target.lines(), [] as [&str; 0], "{headers:?}");
    }
    assert!(proxy.connections.counts.malformed.total() > 20, "refusals are counted");
    assert_eq!(proxy.ask(GET).await.status(), 200, "and it still serves");
}

#[tokio::test]
async fn a_first_line_of_another_protocol_is_refused() {
    let target = Witness::start().await;
    let proxy = Setup::to(target.address).start().await;
    for (bytes, expected) in [
        ("GET /\r\n\r\n", vec![400]), // HTTP/0.9
        ("GET / HTTP/0.9\r\n\r\n", vec![400]),
        ("GET / HTTP/2.0\r\nhost: localhost\r\n\r\n", vec![400]),
        ("GET / HTTP/1.1 HTTP/1.1\r\nhost: localhost\r\n\r\n", vec![400]),
        ("GET /a b HTTP/1.1\r\nhost: localhost\r\n\r\n", vec![400]),
        ("GET /\0 HTTP/1.1\r\nhost: localhost\r\n\r\n", vec![400]),
        ("GET\0 / HTTP/1.1\r\nhost: localhost\r\n\r\n", vec![400]),
        (" GET / HTTP/1.1\r\nhost: localhost\r\n\r\n", vec![400]),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", vec![]),
        ("\x16\x03\x01\x02\0\x01\0\x01\x7c\x03\x03\r\n\r\n", vec![400]), // a TLS hello
        ("EHLO mail\r\nMAIL FROM:<a@b>\r\n\r\n", vec![400]),
        ("\0\0\0\0", vec![400]),
    ] {
        assert_eq!(statuses(&proxy, bytes).await, expected, "{bytes:?}");
    }
    assert_eq!(target.lines(), [] as [&str; 0]);
}

#[tokio::test]
async fn odd_spellings_of_one_meaning_leave_as_one_plain_request() {
    let target = Witness::start().await;
    let proxy = Setup::to(target.address).start().await;
    let chunked = "5\r\nhello\r\n0\r\n\r\n";
    for (request, body) in [
        (post("transfer-encoding:\tchunked\r\nconnection: close\r\n", chunked), "hello"),
        (post("transfer-encoding: chunked \t\r\nconnection: close\r\n", chunked), "hello"),
        (post("TRANSFER-ENCODING: Chunked\r\nconnection: close\r\n", chunked), "hello"),
        (post("content-length: 005\r\nconnection: close\r\n", "hello"), "hello"),
        (post("content-length: 0\r\nconnection: close\r\n", ""), ""),
        (post("content-length: 000\r\nconnection: close\r\n", ""), ""),
        (post("content-length: 5\r\ncontent-length: 5\r\nconnection: close\r\n", "hello"), "hello"),
        // A lone LF ends a line (RFC 9112, 2.2 allows it): for both readers, or for neither.
        (
            post("content-length: 5\r\nconnection: close\r\n", "hello").replace("\r\n", "\n"),
            "hello",
        ),
    ] {
        assert_eq!(statuses(&proxy, &request).await, [200], "{request:?}");
        let seen = target.seen.lock().unwrap().split_off(0);
        assert_eq!(seen.len(), 1, "{request:?}: {seen:?}");
        assert_eq!(seen[0].line, "POST /asked HTTP/1.1");
        assert_eq!(seen[0].body, body.as_bytes());
        let length = format!("content-length: {}\r\n", body.len());
        assert_eq!(seen[0].headers.matches(&length).count(), 1, "{seen:?}");
        assert!(seen[0].headers.contains(&sha256(body.as_bytes())));
    }
}

#[tokio::test]
async fn both_lengths_at_once_count_as_chunked_and_end_the_connection() {
    let target = Witness::start().await;
    let proxy = Setup::to(target.address).start().await;
    // RFC 9112, 6.1 and 6.3: the chunks count, the length is not passed on, and nothing that
    // follows is a request.
    for order in [
        "content-length: 60\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 60\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 5\r\ncontent-length: 60\r\n",
        "transfer-encoding: chunked\r\ncontent-length: sixty\r\n",
    ] {
        let body = format!("5\r\nhello\r\n0\r\n\r\n{HIDDEN}");
        assert_eq!(statuses(&proxy, post(order, &body)).await, [200], "{order:?}");
        let seen = target.seen.lock().unwrap().split_off(0);
        assert_eq!(seen.len(), 1, "{order:?}: {seen:?}");
        assert_eq!(seen[0].body, b"hello");
        assert!(seen[0].headers.contains("content-length: 5\r\n"));
    }
}

#[tokio::test]
async fn odd_chunks_reach_no_target() {
    let target = Witness::start().await;
    let proxy = Setup::to(target.address).start().await;
    for chunks in [
        "0x5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "5 5\r\nhello\r\n0\r\n\r\n",
        "\r\nhello\r\n0\r\n\r\n",
        ";a=b\r\nhello\r\n0\r\n\r\n",
        "g\r\nhello\r\n0\r\n\r\n",
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
        "fffffffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        "3\r\nhello\r\n0\r\n\r\n",      // longer than it says
        "5\r\nhelloX\r\n0\r\n\r\n",     // no end of line after it
        "5\nhello\r\n0\r\n\r\n",        // a lone LF
        "5;a\nb\r\nhello\r\n0\r\n\r\n", // a lone LF in an extension
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\nx: y\0\r\n\r\n\r\n",
    ] {
        let request = post("transfer-encoding: chunked\r\n", &format!("{chunks}{HIDDEN}"));
        let got = statuses(&proxy, request).await;
        assert!(got.iter().all(|status| *status == 400) && got.len() <= 1, "{chunks:?}: {got:?}");
        let seen = target.lines();
        assert_eq!(seen, [] as [&str; 0], "{chunks:?}");
    }
}

#[tokio::test]
async fn what_follows_a_body_is_no_part_of_it() {
    let target = Witness::start().await;
    let proxy = Setup::to(target.address).start().await;
    for request in [
        post("content-length: 2\r\n", "higarbage\r\n\r\n"),
        post("transfer-encoding: chunked\r\n", "2\r\nhi\r\n0\r\n\r\ngarbage\r\n\r\n"),
    ] {
        assert_eq!(statuses(&proxy, request).await, [200, 400]);
        let seen = target.seen.lock().unwrap().split_off(0);
        assert_eq!(seen.len(), 1);
        assert_eq!(seen[0].body, b"hi");
    }
}

#[tokio::test]
async fn a_pipeline_is_answered_in_order_whatever_stands_in_it() {
    let target = Witness::start().await;
    let proxy = Setup::to(target.address).route("max_body = \"10B\"").start().await;
    let large = post("content-length: 20\r\n", &"x".repeat(20));
    let nobody = "GET /no HTTP/1.1\r\nhost: evil.example\r\n\r\n".to_owned();
    let chunked = post("transfer-encoding: chunked\r\n", "1\r\na\r\n0\r\n\r\n");
    let last = GET.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n");
    let all = [GET.to_owned(), large, nobody, chunked, last, HIDDEN.to_owned()].concat();
    assert_eq!(statuses(&proxy, all).await, [200, 413, 403, 200, 200]);
    let asked = ["GET /health HTTP/1.1", "POST /asked HTTP/1.1", "GET /health HTTP/1.1"];
    assert_eq!(target.lines(), asked);
}

#[tokio::test]
async fn an_absolute_target_counts_before_host() {
    let target = Witness::start().await;
    let proxy = Setup::to(target.address).start().await;
    let ask = |target: &str, host: &str| {
        format!("GET {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n")
    };
    for (asked, status) in [
        ("http://evil.example/asked", 403),
        ("http://user:password@localhost/asked", 400),
        ("https://localhost/asked", 400),
        ("ftp://localhost/asked", 400),
        ("localhost:80", 400),
    ] {
        assert_eq!(statuses(&proxy, ask(asked, "localhost")).await, [status], "{asked}");
    }
    assert_eq!(target.lines(), [] as [&str; 0]);
    assert_eq!(statuses(&proxy, ask("http://localhost:81/asked", "evil.example")).await, [200]);
    let seen = target.seen.lock().unwrap().split_off(0);
    assert_eq!(seen[0].line, "GET /asked HTTP/1.1");
    assert!(seen[0].headers.contains("x-forwarded-host: localhost:81\r\n"), "{seen:?}");
    assert!(!seen[0].headers.contains("evil.example"));
}

#[tokio::test]
async fn too_large_a_head_hears_so_even_while_it_is_still_being_sent() {
    let proxy = Setup::to(function().await).start().await;
    let lines = "x-a: b\r\n".repeat(10_000);
    let line = format!("x-a: {}\r\n", "b".repeat(500_000));
    let path = format!("GET /{} HTTP/1.1\r\n", "a".repeat(500_000));
    let start = "GET / HTTP/1.1\r\n";
    let mut refused = 0;
    for head in [format!("{start}{lines}"), format!("{start}{line}"), path] {
        for _ in 0..3 {
            let mut client = proxy.connect().await;
            while !client.send_slowly(format!("{head}\r\n").as_bytes()).await {
                refused += 1;
                assert!(refused < 100, "the machine is too busy for any of them");
                client = proxy.connect().await;
            }
            let answer = client.answer().await;
            assert!(matches!(answer.status(), 431 | 414), "{}", answer.status());
            assert!(client.closes().await);
            refused += 1;
        }
    }
    comes_to(&proxy.connections.counts.head_too_large, refused).await;
}

#[tokio::test]
async fn a_hundred_heads_that_drip_are_closed_while_others_are_served() {
    let limits = "[timeouts]\nheader_read = \"500ms\"\n";
    let proxy = Setup::to(function().await).tables(limits).start().await;
    let mut drips = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let mut client = proxy.connect().await;
        drips.spawn(async move {
            client.send("GET / HTTP/1.1\r\nx-").await;
            while client.stream.try_write(b"a").is_ok() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
    }
    assert_eq!(proxy.ask(GET).await.status(), 200);
    soon(drips.join_all()).await;
    comes_to(&proxy.connections.counts.head_timeout, 100).await;
}

#[tokio::test]
async fn hundreds_of_silent_connections_are_in_nobody_s_way() {
    let proxy = Setup::to(function().await).start().await;
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(proxy.connect().await);
    }
    for _ in 0..20 {
        assert_eq!(proxy.ask(GET).await.status(), 200);
    }
    for client in &mut silent {
        client.send(GET).await;
        assert_eq!(client.answer().await.status(), 200);
    }
}

/// A client whose kernel takes little, and the endless answer that it asked for.
async fn endless(proxy: &Proxy, target: &Target) -> (Wire<TcpStream>, Wire<TcpStream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(64 * 1024).unwrap();
    let mut client = Wire::new(socket.connect(proxy.address()).await.unwrap());
    client.send(GET).await;
    let mut there = target.accept().await;
    there.head().await;
    there.send("HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n").await;
    (client, there)
}

#[tokio::test]
async fn a_client_that_never_reads_is_given_up_and_its_place_given_back() {
    let target = Target::bind().await;
    let limits = "[timeouts]\nclient_idle = \"300ms\"\n[limits]\nin_flight = 1\n";
    let proxy = Setup::to(target.address()).tables(limits).start().await;
    let (client, mut there) = endless(&proxy, &target).await;
    let block = vec![b'x'; 256 * 1024];
    soon(async { while there.stream.write_all(&block).await.is_ok() {} }).await;
    comes_to(&proxy.connections.counts.stalled, 1).await;
    let mut next = proxy.connect().await;
    next.send(GET).await;
    target.accept().await; // it was let in
    drop(client);
}

#[tokio::test]
async fn a_client_that_reads_slowly_is_waited_for() {
    let target = Target::bind().await;
    let limits = "[timeouts]\nclient_idle = \"1500ms\"\n";
    let proxy = Setup::to(target.address()).tables(limits).start().await;
    let (mut client, mut there) = endless(&proxy, &target).await;
    let sending = tokio::spawn(async move {
        let block = vec![b'x'; 256 * 1024];
        while there.stream.write_all(&block).await.is_ok() {}
    });
    client.head().await;
    // So slowly that the kernel calls the socket writable far less often than `client_idle`.
    let mut block = vec![0; 12 * 1024];
    for _ in 0..120 {
        client.stream.read_exact(&mut block).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(proxy.connections.counts.stalled.total(), 0);
    soon(client.bytes(10_000_000)).await;
    drop(client);
    soon(sending).await.unwrap();
}
