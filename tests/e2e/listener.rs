//! The listener: connections, their limits, and unix sockets.

use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::time::{Duration, Instant};

use countersign::app::{Ended, StartError};
use countersign::credentials::Stores;
use tokio::net::{TcpListener, UnixListener, UnixStream};

use crate::support::{OK, Setup, Target, Wire, credentials, function};

const GET: &str = "GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n";

async fn refused(setup: Setup) -> (String, String) {
    let fixed = |config: &_, clock: &_| Stores::fixed(config, &credentials(), clock);
    match setup.try_start(fixed).await {
        Err(StartError::Bind(error)) => (error.to_string(), error.hint),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it started"),
    }
}

#[tokio::test]
async fn a_connection_is_kept() {
    let proxy = Setup::to(function().await).start().await;
    let mut client = proxy.connect().await;
    for _ in 0..3 {
        client.send(GET).await;
        let answer = client.answer().await;
        assert_eq!(answer.status(), 200);
        assert!(!answer.head.has("connection"));
    }
}

#[tokio::test]
async fn requests_in_one_write_are_answered_in_order() {
    let proxy = Setup::to(function().await).start().await;
    let mut client = proxy.connect().await;
    let asked = |name: &str| {
        format!(
            "POST /process HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n{name}",
            name.len()
        )
    };
    client.send([asked("\"one\""), asked("\"three\""), GET.to_owned()].concat()).await;
    assert_eq!(client.answer().await.json()["received"], "one");
    assert_eq!(client.answer().await.json()["received"], "three");
    assert_eq!(client.answer().await.json()["status"], "healthy");
}

#[tokio::test]
async fn an_http_1_0_client_is_answered_and_closed() {
    let proxy = Setup::to(function().await).start().await;
    let mut client = proxy.connect().await;
    client.send("GET /health HTTP/1.0\r\n\r\n").await;
    let answer = client.answer().await;
    assert!(answer.head.line().starts_with("HTTP/1.0 200 "), "{}", answer.head.line());
    assert!(client.closes().await);

    let mut client = proxy.connect().await;
    for _ in 0..2 {
        client.send("GET /health HTTP/1.0\r\nconnection: keep-alive\r\n\r\n").await;
        assert_eq!(client.answer().await.head.text("connection").unwrap(), "keep-alive");
    }
}

#[tokio::test]
async fn a_client_that_says_close_is_closed() {
    let proxy = Setup::to(function().await).start().await;
    let mut client = proxy.connect().await;
    client.send("GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
    assert_eq!(client.answer().await.head.text("connection").unwrap(), "close");
    assert!(client.closes().await);
}

#[tokio::test]
async fn half_a_head_is_closed_long_before_a_silent_connection() {
    let limits = "[timeouts]\nheader_read = \"150ms\"\nclient_idle = \"60s\"\n";
    let proxy = Setup::to(function().await).tables(limits).start().await;
    let mut silent = proxy.connect().await;
    for before in ["", GET] {
        let mut client = proxy.connect().await;
        if !before.is_empty() {
            client.send(before).await;
            assert_eq!(client.answer().await.status(), 200);
        }
        // Bytes that keep dripping do not help: the limit counts from the first one.
        client.send("GET / HTTP/1.1\r\nx-").await;
        let drip = async {
            while client.stream.try_write(b"a").is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), drip).await.unwrap();
    }
    silent.send(GET).await;
    assert_eq!(silent.answer().await.status(), 200);
}

#[tokio::test]
async fn a_silent_connection_is_closed_long_before_half_a_head() {
    let limits = "[timeouts]\nheader_read = \"60s\"\nclient_idle = \"150ms\"\n";
    let proxy = Setup::to(function().await).tables(limits).start().await;
    let mut slow = proxy.connect().await;
    slow.send(&GET[..20]).await;
    let mut fresh = proxy.connect().await;
    assert!(fresh.closes().await);
    let mut kept = proxy.connect().await;
    kept.send(GET).await;
    kept.answer().await;
    assert!(kept.closes().await);
    slow.send(&GET[20..]).await;
    assert_eq!(slow.answer().await.status(), 200);
}

#[tokio::test]
async fn neither_limit_counts_while_a_request_is_answered() {
    let target = Target::bind().await;
    let limits = "[timeouts]\nheader_read = \"100ms\"\nclient_idle = \"100ms\"\n";
    let proxy = Setup::to(target.address()).tables(limits).start().await;
    let mut client = proxy.connect().await;
    client.send("POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n").await;
    tokio::time::sleep(Duration::from_millis(250)).await;
    client.send("hi").await;
    let mut there = target.accept().await;
    there.head().await;
    tokio::time::sleep(Duration::from_millis(250)).await;
    there.send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nok").await;
    client.head().await;
    tokio::time::sleep(Duration::from_millis(250)).await;
    there.send("ok").await;
    assert_eq!(client.bytes(4).await, b"okok");
}

#[tokio::test]
async fn a_head_past_the_limits_is_431() {
    let limits = "[limits]\nheader_bytes = \"16KiB\"\nheaders = 20\n";
    let proxy = Setup::to(function().await).tables(limits).start().await;
    let head = |count: usize, size: usize| {
        let line = format!("x-a: {}\r\n", "b".repeat(size));
        format!("GET /health HTTP/1.1\r\nhost: localhost\r\n{}\r\n", line.repeat(count))
    };
    assert_eq!(proxy.ask(head(19, 10)).await.status(), 200);
    assert_eq!(proxy.ask(head(1, 15_000)).await.status(), 200);
    for (count, size) in [(21, 10), (200, 1), (1, 17_000), (10, 2_000)] {
        let mut client = proxy.connect().await;
        client.send(head(count, size)).await;
        let answer = client.answer().await;
        assert_eq!(answer.status(), 431, "{count} of {size}");
        let _ = client.rest().await; // and it is closed, cleanly or not
    }
}

#[tokio::test]
async fn the_default_limits_take_what_they_say() {
    let proxy = Setup::to(function().await).start().await;
    let head = |count: usize| {
        let lines = "x-a: b\r\n".repeat(count - 1);
        format!("GET /health HTTP/1.1\r\nhost: localhost\r\n{lines}\r\n")
    };
    assert_eq!(proxy.ask(head(128)).await.status(), 200);
    assert_eq!(proxy.ask(head(129)).await.status(), 431);
}

#[tokio::test]
async fn what_is_no_http_gets_a_bare_400() {
    let proxy = Setup::to(function().await).start().await;
    let smuggle =
        "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nhi";
    for bytes in ["\x16\x03\x01\x02\r\n\r\n", "GET / HTTP/1.1\r\nbad header: x\r\n\r\n", smuggle] {
        let mut client = proxy.connect().await;
        client.send(bytes).await;
        let answer = client.answer().await;
        assert_eq!(answer.status(), 400, "{bytes:?}");
        assert!(answer.body.is_empty());
        assert!(client.closes().await);
    }
}

#[tokio::test]
async fn a_connection_past_the_limit_is_told_and_closed() {
    let limits = "[limits]\nconnections = 2\n";
    let proxy = Setup::to(function().await).tables(limits).start().await;
    let (mut one, mut two) = (proxy.connect().await, proxy.connect().await);
    for client in [&mut one, &mut two] {
        client.send(GET).await;
        assert_eq!(client.answer().await.status(), 200);
    }
    let mut third = proxy.connect().await;
    let answer = third.answer().await;
    assert_eq!((answer.status(), answer.code().as_str()), (503, "overloaded"));
    assert!(answer.head.has("retry-after"));
    assert_eq!(answer.head.text("connection").unwrap(), "close");
    assert!(third.closes().await);
    drop(one);
    let began = Instant::now();
    loop {
        let mut client = proxy.connect().await;
        client.send(GET).await;
        if client.answer().await.status() == 200 {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(5), "the place was not given back");
    }
}

#[tokio::test]
async fn a_unix_socket_has_its_mode_and_goes_with_the_listener() {
    let folder = tempfile::tempdir().unwrap();
    let function = function().await;
    let path = folder.path().join("http.sock");
    let plain = format!("\"unix:{}\"", path.display());
    let wide = format!("{{ address = {plain}, mode = \"0660\" }}");
    for (listen, mode) in [(plain, 0o600), (wide, 0o660)] {
        let proxy = Setup::to(function).top(&format!("listen = [{listen}]")).start().await;
        let file = std::fs::metadata(&path).unwrap();
        assert!(file.file_type().is_socket());
        assert_eq!(file.permissions().mode() & 0o777, mode);
        let mut client = Wire::new(UnixStream::connect(&path).await.unwrap());
        client.send(GET).await;
        assert_eq!(client.answer().await.status(), 200);
        assert_eq!(proxy.addresses, [format!("unix:{}", path.display())]);
        assert_eq!(proxy.stop().await, Ended::Drained);
        assert!(!path.exists(), "the file was left behind");
    }
}

#[tokio::test]
async fn a_socket_that_nobody_answers_on_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("http.sock");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let listen = format!("listen = [\"unix:{}\"]", path.display());
    let _proxy = Setup::to(function().await).top(&listen).start().await;
    let mut client = Wire::new(UnixStream::connect(&path).await.unwrap());
    client.send(GET).await;
    assert_eq!(client.answer().await.status(), 200);
}

#[tokio::test]
async fn a_socket_that_somebody_answers_on_and_a_plain_file_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let function = function().await;
    let live = folder.path().join("live.sock");
    let _other = UnixListener::bind(&live).unwrap();
    let listen = format!("listen = [\"unix:{}\"]", live.display());
    let (message, hint) = refused(Setup::to(function).top(&listen)).await;
    assert!(message.contains(&format!("`unix:{}`", live.display())), "{message}");
    assert!(hint.contains("another process answers on this socket"), "{hint}");
    assert!(live.exists());

    let busy = folder.path().join("busy.sock");
    let socket = tokio::net::UnixSocket::new_stream().unwrap();
    socket.bind(&busy).unwrap();
    let _never_accepts = socket.listen(0).unwrap();
    let _waiting = UnixStream::connect(&busy).await.unwrap();
    let full = UnixStream::connect(&busy).await.unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::WouldBlock);
    let listen = format!("listen = [\"unix:{}\"]", busy.display());
    let (_, hint) = refused(Setup::to(function).top(&listen)).await;
    assert!(hint.contains("another process answers on this socket"), "{hint}");
    assert!(busy.exists(), "it is only busy");

    let plain = folder.path().join("plain");
    std::fs::write(&plain, "precious").unwrap();
    let listen = format!("listen = [\"unix:{}\"]", plain.display());
    let (_, hint) = refused(Setup::to(function).top(&listen)).await;
    assert!(hint.contains("no socket"), "{hint}");
    assert_eq!(std::fs::read(&plain).unwrap(), b"precious");
}

#[tokio::test]
async fn a_port_in_use_names_the_other_containers() {
    let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = other.local_addr().unwrap();
    let listen = format!("listen = [\"{address}\"]");
    let (message, hint) = refused(Setup::to(function().await).top(&listen)).await;
    assert!(message.contains(&format!("`{address}`")), "{message}");
    assert!(hint.contains("containers"), "{hint}");
}

#[tokio::test]
async fn several_addresses_serve_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("http.sock");
    let listen =
        format!("listen = [\"127.0.0.1:0\", \"127.0.0.1:0\", \"unix:{}\"]", path.display());
    let proxy = Setup::to(function().await).top(&listen).start().await;
    for address in &proxy.addresses[..2] {
        let address = address.strip_prefix("http://").unwrap();
        let mut client = Wire::new(tokio::net::TcpStream::connect(address).await.unwrap());
        client.send(GET).await;
        assert_eq!(client.answer().await.status(), 200);
    }
    let mut client = Wire::new(UnixStream::connect(&path).await.unwrap());
    client.send(GET).await;
    assert_eq!(client.answer().await.status(), 200);
}

#[tokio::test]
async fn the_answer_under_way_is_finished_before_the_end() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address()).start().await;
    let address = proxy.address();
    let mut client = proxy.connect().await;
    let mut idle = proxy.connect().await;
    client.send(GET).await;
    let mut there = target.accept().await;
    there.head().await;
    let ended = tokio::spawn(proxy.stop());
    assert!(idle.closes().await, "a connection between requests ends at once");
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "no new ones are taken");
    there.send(OK).await;
    assert_eq!(client.answer().await.body, b"ok");
    assert!(client.closes().await);
    assert_eq!(ended.await.unwrap(), Ended::Drained);
}
