//! What is bounded, and what is told past the bound: requests under way, throttles, connections.

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use countersign::clock::Clock;
use countersign::credentials::Stores;
use tokio::net::TcpStream;

use crate::log::Log;
use crate::support::{OK, Setup, Target, Wire, credentials, function};

const GET: &str = "GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n";
const ONE_AT_ONCE: &str = "[limits]\nin_flight = 1\n";

/// Asks until it is let in.
async fn let_in(client: &mut Wire<TcpStream>, target: &Target) {
    let began = Instant::now();
    loop {
        client.send(GET).await;
        tokio::select! {
            mut there = target.accept() => {
                there.head().await;
                there.send(OK).await;
                assert_eq!(client.answer().await.status(), 200);
                return;
            }
            refused = client.answer() => assert_eq!(refused.status(), 503),
        }
        assert!(began.elapsed() < Duration::from_secs(10), "the place was not given back");
    }
}

#[tokio::test]
async fn a_place_is_held_until_the_last_byte_of_the_answer() {
    for (keys, route, told) in [
        (ONE_AT_ONCE, "", "`limits.in_flight`"),
        ("", "max_in_flight = 1", "`max_in_flight` of the route"),
    ] {
        let target = Target::bind().await;
        let proxy = Setup::to(target.address()).route(route).tables(keys).start().await;
        let (mut first, mut second) = (proxy.connect().await, proxy.connect().await);
        first.send(GET).await;
        let mut there = target.accept().await;
        there.head().await;
        for part in ["HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 4\r\n\r\n", "ab"] {
            second.send(GET).await;
            let answer = second.answer().await;
            assert_eq!((answer.status(), answer.code().as_str()), (503, "overloaded"));
            assert_eq!(answer.head.text("retry-after").unwrap(), "1");
            let status = answer.head.text("proxy-status").unwrap();
            assert!(status.contains("error=connection_limit_reached"), "{status}");
            assert!(answer.json()["hint"].as_str().unwrap().contains(told), "{}", answer.json());
            there.send(part).await;
        }
        first.head().await;
        assert_eq!(first.bytes(2).await, b"ab");
        second.send(GET).await;
        assert_eq!(second.answer().await.status(), 503, "half an answer is still under way");
        there.send("cd").await;
        assert_eq!(first.bytes(2).await, b"cd");
        let_in(&mut second, &target).await;
    }
}

#[tokio::test]
async fn a_flood_that_is_turned_away_does_not_flood_the_log() {
    let log = Log::start();
    let target = Target::bind().await;
    let proxy = Setup::to(target.address()).tables(ONE_AT_ONCE).start().await;
    let (mut first, mut second) = (proxy.connect().await, proxy.connect().await);
    first.send(GET).await;
    let mut there = target.accept().await;
    there.head().await;
    let began = Instant::now();
    for _ in 0..100 {
        second.send(GET).await;
        assert_eq!(second.answer().await.status(), 503);
    }
    let seconds = began.elapsed().as_secs() as usize;
    let lines = log.lines("a request was turned away");
    assert!((1..=seconds + 1).contains(&lines.len()), "{} in {seconds} s", lines.len());
    assert_eq!((&lines[0]["reason"], &lines[0]["left_out"]), (&"overloaded".into(), &0.into()));
    assert!(lines[0]["hint"].as_str().unwrap().contains("`limits.in_flight`"), "{}", lines[0]);
}

#[tokio::test]
async fn a_client_that_leaves_gives_its_place_back() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address()).tables(ONE_AT_ONCE).start().await;
    let mut first = proxy.connect().await;
    first.send(GET).await;
    let mut there = target.accept().await;
    there.head().await;
    drop(first);
    let_in(&mut proxy.connect().await, &target).await;
}

#[tokio::test]
async fn an_answer_of_our_own_holds_its_place_too() {
    let target = Target::bind().await;
    let route = "max_body = \"1KiB\"";
    let proxy = Setup::to(target.address()).route(route).tables(ONE_AT_ONCE).start().await;
    let (mut first, mut second) = (proxy.connect().await, proxy.connect().await);
    // Its refused body is read a while, so that the answer arrives.
    first.send("POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2000\r\n\r\nx").await;
    let began = Instant::now();
    loop {
        second.send(GET).await;
        let answer = tokio::select! {
            answer = second.answer() => answer,
            _ = target.accept() => panic!("it was let in"),
        };
        assert_eq!((answer.status(), answer.code().as_str()), (503, "overloaded"));
        if began.elapsed() > Duration::from_millis(300) {
            break;
        }
    }
    first.send([b'x'; 1999]).await;
    assert_eq!(first.answer().await.status(), 413);
    let_in(&mut second, &target).await;
}

#[tokio::test]
async fn a_target_has_one_bound_for_all_its_routes() {
    let target = Target::bind().await;
    let more = "[[routes]]\nprefix = \"/other\"\ntarget = \"named\"\n\
                [[routes]]\nprefix = \"/third\"\ntarget = \"named\"\n";
    let named = format!(
        "[targets.named]\nurl = \"http://{}\"\nservice = \"lambda\"\nregion = \"us-east-1\"\n\
         max_in_flight = 1\n{more}",
        target.address()
    );
    let proxy = Setup::to(target.address()).tables(&named).start().await;
    let (mut first, mut second) = (proxy.connect().await, proxy.connect().await);
    first.send("GET /other HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    let mut there = target.accept().await;
    there.head().await;
    second.send("GET /third HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    let answer = second.answer().await;
    assert_eq!((answer.status(), answer.code().as_str()), (503, "overloaded"));
    assert!(answer.json()["hint"].as_str().unwrap().contains("of the target"));
    let_in(&mut second, &target).await; // another target of the same address
    there.send(OK).await;
    assert_eq!(first.answer().await.status(), 200);
}

#[tokio::test]
async fn a_route_called_too_often_is_429_with_the_time_to_wait() {
    let throttle = "throttle = { rate = \"60/h\", burst = 2 }";
    let proxy = Setup::to(function().await).route(throttle).start().await;
    for _ in 0..2 {
        assert_eq!(proxy.ask(GET).await.status(), 200);
    }
    let answer = proxy.ask(GET).await;
    assert_eq!((answer.status(), answer.code().as_str()), (429, "throttled"));
    let wait: u64 = answer.head.text("retry-after").unwrap().parse().unwrap();
    assert!((50..=60).contains(&wait), "{wait}");
    assert!(answer.head.text("proxy-status").unwrap().contains("error=http_request_denied"));

    let style = "error_style = \"api-gateway\"";
    let throttle = "throttle = { rate = \"1/s\", burst = 1 }";
    let proxy = Setup::to(function().await).top(style).route(throttle).start().await;
    let mut client = proxy.connect().await;
    client.send([GET, GET].concat()).await;
    assert_eq!(client.answer().await.status(), 200);
    let answer = client.answer().await;
    assert_eq!(answer.status(), 429);
    assert_eq!(answer.head.text("retry-after").unwrap(), "1", "whole seconds, at least one");
    assert_eq!(answer.body, br#"{"message":"Too Many Requests"}"#);
}

#[tokio::test]
async fn connections_are_bounded_over_all_addresses() {
    let top = "listen = [\"127.0.0.1:0\", \"127.0.0.1:0\"]";
    let limits = "[limits]\nconnections = 2\n";
    let proxy = Setup::to(function().await).top(top).tables(limits).start().await;
    let address = |index: usize| -> SocketAddr {
        proxy.addresses[index].strip_prefix("http://").unwrap().parse().unwrap()
    };
    let mut kept = Vec::new();
    for index in [0, 1] {
        let mut client = Wire::new(TcpStream::connect(address(index)).await.unwrap());
        client.send(GET).await;
        assert_eq!(client.answer().await.status(), 200);
        kept.push(client);
    }
    for index in [0, 1] {
        let mut client = Wire::new(TcpStream::connect(address(index)).await.unwrap());
        assert_eq!(client.answer().await.status(), 503);
    }
    assert_eq!(proxy.connections.open(), 2);
    assert_eq!(proxy.connections.counts.turned_away.total(), 2);
}

#[tokio::test]
async fn one_connection_too_many_hears_so_whatever_it_has_sent() {
    let limits = "[limits]\nconnections = 1\n";
    let proxy = Setup::to(function().await).tables(limits).start().await;
    let mut kept = proxy.connect().await;
    kept.send(GET).await;
    assert_eq!(kept.answer().await.status(), 200);
    // A close over bytes that nobody has read would be a reset amid the client's writing.
    for size in [0, 1_000, 400_000] {
        for _ in 0..3 {
            let mut client = proxy.connect().await;
            let body = vec![b'x'; size];
            let head = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {size}\r\n\r\n");
            let mut tries = 0;
            while !client.send_slowly(&[head.as_bytes(), &body].concat()).await {
                tries += 1;
                assert!(tries < 30, "the machine is too busy for any of them");
                client = proxy.connect().await;
            }
            let answer = client.answer().await;
            assert_eq!((answer.status(), answer.code().as_str()), (503, "overloaded"));
            assert!(answer.json()["hint"].as_str().unwrap().contains("limits.connections"));
        }
    }
}

#[tokio::test]
async fn the_admin_listener_answers_when_all_else_is_full() {
    let target = Target::bind().await;
    let limits = "[limits]\nconnections = 20\nin_flight = 5\n";
    let admin = "admin = \"127.0.0.1:0\"";
    let proxy = Setup::to(target.address()).top(admin).tables(limits).start().await;
    let mut under_way = Vec::new();
    for _ in 0..5 {
        let mut client = proxy.connect().await;
        client.send(GET).await;
        let mut there = target.accept().await;
        there.head().await;
        under_way.push((client, there));
    }
    let mut idle = Vec::new();
    for _ in 0..15 {
        let mut client = proxy.connect().await;
        client.send(GET).await;
        assert_eq!(client.answer().await.status(), 503);
        idle.push(client);
    }
    assert_eq!(proxy.connections.open(), 20);
    let mut past = proxy.connect().await;
    assert_eq!(past.answer().await.status(), 503);
    for path in ["/livez", "/readyz", "/startupz"] {
        let mut probe = Wire::new(TcpStream::connect(proxy.admin.unwrap()).await.unwrap());
        probe.send(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n")).await;
        assert_eq!(probe.answer().await.status(), 200, "{path}");
    }
    for (mut client, mut there) in under_way {
        there.send(OK).await;
        assert_eq!(client.answer().await.status(), 200);
    }
}

#[tokio::test]
async fn a_panic_is_a_500_of_that_request_alone_and_gives_its_place_back() {
    // A clock past the end of time makes whoever asks it panic.
    let far = Duration::from_secs(u64::MAX / 2);
    let clock = Clock::set_to(SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000));
    let setup = Setup::to(function().await).tables(ONE_AT_ONCE);
    let fixed = |config: &_, clock: &_| Stores::fixed(config, &credentials(), clock);
    let proxy = setup.try_start_at(clock.clone(), fixed).await.unwrap();
    let mut client = proxy.connect().await;
    client.send(GET).await;
    assert_ne!(client.answer().await.status(), 500);
    for _ in 0..3 {
        clock.advance(far);
        client.send(GET).await;
        let answer = client.answer().await;
        assert_eq!((answer.status(), answer.code().as_str()), (500, "internal"));
        clock.advance(Duration::from_secs(u64::MAX - far.as_secs() + 1)); // once around, to the start
        client = proxy.connect().await;
        client.send(GET).await;
        let answer = client.answer().await;
        assert_ne!(answer.status(), 500);
        assert_ne!(answer.status(), 503, "the place was not given back");
    }
}
