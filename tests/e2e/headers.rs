//! Headers both ways: byte for byte, but for those of one connection and those of a signature.

use crate::support::{OK, Setup, Target};

const PLAIN: &str = "GET / HTTP/1.1\r\nhost: localhost:8480\r\n\r\n";

fn with(headers: &str) -> String {
    format!("GET / HTTP/1.1\r\nhost: localhost:8480\r\n{headers}\r\n")
}

#[tokio::test]
async fn headers_of_one_connection_stay_on_it() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address()).start().await;
    let request = with(
        "connection: close, X-Hop\r\nconnection: x-other\r\nx-hop: 1\r\nx-other: 1\r\n\
         keep-alive: timeout=5\r\nproxy-connection: keep-alive\r\nproxy-authorization: Basic eDp5\r\n\
         te: trailers\r\ntrailer: x-t\r\nx-end: stays\r\n",
    );
    let answer = "HTTP/1.1 200 OK\r\nConnection: close, X-Back\r\nX-Back: 1\r\nKeep-Alive: \
                  timeout=9\r\nProxy-Authenticate: Basic\r\nTrailer: x-t\r\nUpgrade: h2c\r\n\
                  X-End: stays\r\nContent-Length: 0\r\n\r\n";
    let (seen, got) = target.exchange(&proxy, request, answer).await;
    let dropped = ["connection", "x-hop", "x-other", "keep-alive", "proxy-connection", "te"];
    for name in dropped.iter().chain(&["proxy-authorization", "trailer"]) {
        assert!(!seen.has(name), "{name} went on");
    }
    assert_eq!(seen.text("x-end").unwrap(), "stays");
    for name in ["x-back", "keep-alive", "proxy-authenticate", "trailer", "upgrade"] {
        assert!(!got.head.has(name), "{name} came back");
    }
    assert_eq!(got.head.text("x-end").unwrap(), "stays");
}

#[tokio::test]
async fn connection_cannot_take_host_or_the_signature_away() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address()).start().await;
    let request = "POST / HTTP/1.1\r\nhost: localhost\r\nconnection: host, content-length, \
                   authorization, x-amz-date, x-forwarded-for, via\r\ncontent-length: 2\r\n\r\nhi";
    let mut client = proxy.connect().await;
    client.send(request).await;
    let mut there = target.accept().await;
    let seen = there.head().await;
    assert_eq!(there.bytes(2).await, b"hi");
    for name in ["host", "authorization", "x-amz-date", "x-forwarded-for", "via"] {
        assert_eq!(seen.all(name).len(), 1, "{name}");
    }
    assert_eq!(seen.text("content-length").unwrap(), "2");
    there.send(OK).await;
    assert_eq!(client.answer().await.status(), 200);
}

#[tokio::test]
async fn values_pass_byte_for_byte_both_ways() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address()).start().await;
    let values: [&[u8]; 5] =
        [b"caf\xe9", b"\xff\x80\x01", "wörld".as_bytes(), b"", b"a  b\tc;,\"\\"];
    let values = values.map(|value| value.iter().copied().filter(|b| *b != 1).collect::<Vec<u8>>());
    let mut lines = Vec::new();
    for value in &values {
        lines.extend([b"x-odd: ".as_slice(), value, b"\r\n"].concat());
    }
    let request = [b"GET / HTTP/1.1\r\nhost: localhost\r\n".as_slice(), &lines, b"\r\n"].concat();
    let answer =
        [b"HTTP/1.1 200 Fine\r\ncontent-length: 0\r\n".as_slice(), &lines, b"\r\n"].concat();
    let (seen, got) = target.exchange(&proxy, request, answer).await;
    assert_eq!(seen.all("x-odd"), values);
    assert_eq!(got.head.all("x-odd"), values);
}

#[tokio::test]
async fn set_cookie_twice_comes_back_twice_and_in_order() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address()).start().await;
    let answer = "HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nX: y\r\nSet-Cookie: b=2, c\r\n\
                  Content-Length: 0\r\n\r\n";
    let (_, got) = target.exchange(&proxy, PLAIN, answer).await;
    assert_eq!(got.head.all("set-cookie"), [b"a=1".as_slice(), b"b=2, c"]);
}

#[tokio::test]
async fn a_signature_of_the_clients_own_is_dropped() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address()).start().await;
    let request = with(
        "x-amz-date: 20200101T000000Z\r\nX-Amz-Security-Token: CLIENTS\r\n\
         x-amz-content-sha256: UNSIGNED-PAYLOAD\r\nx-amz-signature: s\r\nx-amz-credential: c\r\n\
         x-amz-algorithm: a\r\nx-amz-meta-x: stays\r\nauthorization: AWS4-HMAC-SHA256 theirs\r\n",
    );
    let seen = target.sees(&proxy, request).await;
    assert_ne!(seen.text("x-amz-date").unwrap(), "20200101T000000Z");
    assert_eq!(seen.text("x-amz-security-token").unwrap(), crate::support::TOKEN);
    assert_eq!(seen.text("x-amz-content-sha256").unwrap(), crate::support::sha256(b""));
    for name in ["x-amz-signature", "x-amz-credential", "x-amz-algorithm"] {
        assert!(!seen.has(name), "{name}");
    }
    let authorization = seen.text("authorization").unwrap();
    assert!(authorization.contains("x-amz-meta-x"), "{authorization}");
    assert_eq!(seen.text("x-forwarded-authorization").unwrap(), "AWS4-HMAC-SHA256 theirs");
}

#[tokio::test]
async fn the_clients_authorization_goes_where_the_route_says() {
    let target = Target::bind().await;
    let request = with("Authorization: Bearer own\r\nx-forwarded-authorization: forged\r\n");
    for (route, to) in [
        ("", Some("x-forwarded-authorization")),
        ("authorization = \"x-own\"", Some("x-own")),
        ("authorization = \"drop\"", None),
    ] {
        let proxy = Setup::to(target.address()).route(route).start().await;
        let seen = target.sees(&proxy, &request).await;
        assert!(seen.text("authorization").unwrap().starts_with("AWS4-HMAC-SHA256 "));
        match to {
            Some(to) => assert_eq!(seen.text(to).unwrap(), "Bearer own"),
            None => assert!(!String::from_utf8_lossy(&seen.0).contains("Bearer own")),
        }
    }
}

#[tokio::test]
async fn the_target_is_told_who_asked_and_how() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address()).start().await;
    let seen = target.sees(&proxy, PLAIN).await;
    assert_eq!(seen.text("x-forwarded-for").unwrap(), "127.0.0.1");
    assert_eq!(seen.text("x-forwarded-proto").unwrap(), "http");
    assert_eq!(seen.text("x-forwarded-host").unwrap(), "localhost:8480");
    let via = seen.text("via").unwrap();
    let token = via.strip_prefix("1.1 countersign-").unwrap();
    assert!(token.len() == 8 && token.bytes().all(|byte| byte.is_ascii_hexdigit()), "{via}");
}

#[tokio::test]
async fn what_an_earlier_proxy_said_is_kept() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address()).start().await;
    let request = with(
        "x-forwarded-for: 203.0.113.9\r\nx-forwarded-for: 198.51.100.7\r\n\
         x-forwarded-proto: https\r\nx-forwarded-host: shop.example\r\n\
         via: 1.1 countersign-zzzzzzzz\r\n",
    );
    let seen = target.sees(&proxy, request).await;
    let chain = seen.all("x-forwarded-for").join(b", ".as_slice());
    assert_eq!(String::from_utf8(chain).unwrap(), "203.0.113.9, 198.51.100.7, 127.0.0.1");
    assert_eq!(seen.text("x-forwarded-proto").unwrap(), "https");
    assert_eq!(seen.text("x-forwarded-host").unwrap(), "shop.example");
    let vias = seen.all("via");
    assert_eq!(vias[0], b"1.1 countersign-zzzzzzzz", "another's token is no loop");
    assert_eq!(vias.len(), 2);
}

#[tokio::test]
async fn a_target_that_leads_back_here_is_a_loop() {
    // An address that is free now, so that the target can be the listener itself.
    let free = Target::bind().await.address();
    let proxy = Setup::to(free).top(&format!("listen = [\"{free}\"]")).start().await;
    let answer = proxy.ask(PLAIN).await;
    assert_eq!(answer.status(), 508);
    assert_eq!(answer.code(), "loop");
    let status = answer.head.text("proxy-status").unwrap();
    assert!(status.contains("error=proxy_loop_detected"), "{status}");
}

#[tokio::test]
async fn the_route_sets_and_removes_headers_both_ways() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address())
        .route("request_headers = { set = { x-env = \"prod\", x-amz-meta-e = \"m\" }, remove = [\"cookie\"] }")
        .route("response_headers = { set = { x-by = \"us\" }, remove = [\"server\"] }")
        .start()
        .await;
    let request = with("cookie: a\r\ncookie: b\r\nX-Env: theirs\r\nx-env: again\r\n");
    let answer = "HTTP/1.1 200 OK\r\nServer: s\r\nX-By: them\r\ncontent-length: 0\r\n\r\n";
    let (seen, got) = target.exchange(&proxy, request, answer).await;
    assert_eq!(seen.text("x-env").unwrap(), "prod");
    assert!(!seen.has("cookie"));
    assert!(seen.text("authorization").unwrap().contains("x-amz-meta-e"), "it is signed too");
    assert_eq!(got.head.text("x-by").unwrap(), "us");
    assert!(!got.head.has("server"));
}

#[tokio::test]
async fn an_offer_of_h2c_is_ignored() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address()).start().await;
    for connection in ["Upgrade, HTTP2-Settings", "Upgrade", "keep-alive"] {
        let offer =
            format!("connection: {connection}\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n");
        let seen = target.sees(&proxy, with(&offer)).await;
        for name in ["upgrade", "http2-settings", "connection"] {
            assert!(!seen.has(name), "{name}, {connection}");
        }
    }
}

#[tokio::test]
async fn an_upgrade_that_means_nothing_is_ignored() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address()).start().await;
    let old =
        "GET / HTTP/1.0\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    for request in [old.to_owned(), with("connection: upgrade\r\nupgrade: h2c,\r\n")] {
        assert!(!target.sees(&proxy, &request).await.has("upgrade"), "{request}");
    }
}

#[tokio::test]
async fn requests_for_a_tunnel_or_another_protocol_are_refused() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address()).start().await;
    let websocket = with("connection: Upgrade\r\nupgrade: websocket\r\n");
    let both = with("connection: Upgrade\r\nupgrade: h2c, websocket\r\n");
    let connect = "CONNECT localhost:443 HTTP/1.1\r\nhost: localhost:443\r\n\r\n".to_owned();
    let coding =
        "POST / HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n"
            .to_owned();
    let cases = [
        (websocket, 501, "upgrade_not_supported"),
        (both, 501, "upgrade_not_supported"),
        (connect, 405, "connect_not_supported"),
        (coding, 501, "transfer_encoding_not_supported"),
    ];
    for (request, status, code) in cases {
        let answer = proxy.ask(&request).await;
        assert_eq!((answer.status(), answer.code().as_str()), (status, code), "{request}");
    }
    assert!(target.is_untouched().await);
}

#[tokio::test]
async fn a_request_names_exactly_one_host() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address()).start().await;
    let none = "GET / HTTP/1.1\r\n\r\n";
    let two = "GET / HTTP/1.1\r\nhost: localhost\r\nhost: localhost\r\n\r\n";
    let odd = "GET / HTTP/1.1\r\nhost: local host\r\n\r\n";
    for request in [none, two, odd] {
        let answer = proxy.ask(request).await;
        assert_eq!((answer.status(), answer.code().as_str()), (400, "bad_host"), "{request}");
    }
    assert!(target.is_untouched().await);
    let old = target.sees(&proxy, "GET / HTTP/1.0\r\n\r\n").await;
    assert_eq!(old.line(), "GET / HTTP/1.1");
    assert_eq!(old.text("host").unwrap(), target.address().to_string());
}
