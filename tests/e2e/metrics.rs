//! What Prometheus reads of requests, attempts, connections and credentials.

use crate::support::{OK, Proxy, Setup, Target};

const ADMIN: &str = "admin = \"127.0.0.1:0\"";
const KEPT: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A proxy with one route, `orders`, to the target `only`.
async fn proxy(target: &Target) -> Proxy {
    Setup::to(target.address())
        .top(ADMIN)
        .top("access_log = \"off\"")
        .route("name = \"orders\"\nprefix = \"/orders\"\nmax_body = \"1KiB\"")
        .start()
        .await
}

/// Scrapes until this sample has come to this value.
async fn comes_to(proxy: &Proxy, sample: &str, value: f64) -> String {
    let of = |text: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        line.map(|number| number.parse::<f64>().unwrap())
    };
    let answer = proxy.admin_until("/metrics", |answer| of(answer.text()) == Some(value)).await;
    answer.text().to_owned()
}

/// Every sample that is to be there; what it is now is in the message.
fn holds(text: &str, samples: &[&str]) {
    for sample in samples {
        assert!(text.lines().any(|line| line == *sample), "no `{sample}` in\n{text}");
    }
}

#[tokio::test]
async fn a_request_counts_when_its_last_byte_has_left() {
    let target = Target::bind().await;
    let proxy = proxy(&target).await;
    let mut client = proxy.connect().await;
    client
        .send("POST /orders/7?q=1 HTTP/1.1\r\nhost: localhost\r\ncontent-length: 4\r\n\r\nbody")
        .await;
    let mut there = target.accept().await;
    there.head().await;
    there.bytes(4).await;
    there.send("HTTP/1.1 201 Created\r\ncontent-length: 6\r\n\r\nans").await;
    client.head().await;
    let ended = "http_server_request_duration_seconds_count{error_type=\"\",\
                 http_request_method=\"POST\",http_response_status_code=\"201\",\
                 http_route=\"orders\"}";
    let text = comes_to(&proxy, "http_server_active_requests{http_route=\"orders\"}", 1.0).await;
    assert!(!text.contains(ended), "it is not over yet");
    there.send("wer").await;
    client.bytes(6).await;
    let text = comes_to(&proxy, ended, 1.0).await;
    holds(
        &text,
        &[
            "http_server_active_requests{http_route=\"orders\"} 0",
            "countersign_request_body_bytes_total{http_route=\"orders\"} 4",
            "countersign_response_body_bytes_total{http_route=\"orders\"} 6",
            "countersign_responses_total{http_route=\"orders\",origin=\"target\",proxy_error=\"\"} 1",
            "http_client_request_duration_seconds_count{error_type=\"\",\
             http_request_method=\"POST\",http_response_status_code=\"201\",target=\"only\"} 1",
            "countersign_attempts_total{target=\"only\"} 1",
            "countersign_retries_total{target=\"only\"} 0",
            "countersign_signing_duration_seconds_count 1",
        ],
    );
    assert!(!text.contains("/orders"), "a path is no label");
}

#[tokio::test]
async fn an_answer_of_our_own_counts_by_its_error() {
    let target = Target::bind().await;
    let proxy = proxy(&target).await;
    proxy.ask("GET /else HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    let large = format!(
        "POST /orders HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1025\r\n\r\n{}",
        "x".repeat(1025)
    );
    proxy.ask(large).await;
    proxy.ask("BREW /orders/tea HTTP/1.1\r\nhost: evil.example\r\n\r\n").await;
    let denied = "countersign_responses_total{http_route=\"\",origin=\"proxy\",\
                  proxy_error=\"http_request_denied\"}";
    let text = comes_to(&proxy, denied, 1.0).await;
    holds(
        &text,
        &[
            "countersign_responses_total{http_route=\"\",origin=\"proxy\",\
             proxy_error=\"destination_not_found\"} 1",
            "countersign_responses_total{http_route=\"orders\",origin=\"proxy\",\
             proxy_error=\"http_request_error\"} 1",
            "http_server_request_duration_seconds_count{error_type=\"host_not_allowed\",\
             http_request_method=\"_OTHER\",http_response_status_code=\"403\",http_route=\"\"} 1",
            "countersign_attempts_total{target=\"only\"} 0",
        ],
    );
    assert!(!text.contains("BREW") && !text.contains("evil"), "a client makes up no label");
}

#[tokio::test]
async fn a_client_that_leaves_and_a_target_that_breaks_off_are_told_apart() {
    let target = Target::bind().await;
    let proxy = proxy(&target).await;
    let request = "GET /orders HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let mut leaves = proxy.connect().await;
    leaves.send(request).await;
    let mut there = target.accept().await;
    there.head().await;
    drop(leaves);
    let left =
        "countersign_responses_total{http_route=\"orders\",origin=\"none\",proxy_error=\"\"}";
    comes_to(&proxy, left, 1.0).await;

    let mut client = proxy.connect().await;
    client.send(request).await;
    let mut there = target.accept().await;
    there.head().await;
    there.send("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nans").await;
    client.head().await;
    drop(there);
    let broken = "countersign_responses_total{http_route=\"orders\",origin=\"target\",\
                  proxy_error=\"http_response_incomplete\"}";
    comes_to(&proxy, broken, 1.0).await;
    comes_to(&proxy, "http_server_active_requests{http_route=\"orders\"}", 0.0).await;
}

#[tokio::test]
async fn connections_count_as_opened_and_as_kept() {
    let target = Target::bind().await;
    let proxy = proxy(&target).await;
    let request = "GET /orders HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let mut client = proxy.connect().await;
    client.send(request).await;
    let mut there = target.accept().await;
    for _ in 0..3 {
        there.head().await;
        there.send(KEPT).await;
        client.answer().await;
        client.send(request).await;
    }
    there.head().await;
    drop(there); // a kept connection dies: a GET is sent again, on a new one
    let mut there = target.accept().await;
    there.head().await;
    there.send(OK).await;
    client.answer().await;
    let text = comes_to(&proxy, "countersign_attempts_total{target=\"only\"}", 5.0).await;
    holds(
        &text,
        &[
            "countersign_connections_opened_total 2",
            "countersign_connections_reused_total{target=\"only\"} 2",
            "countersign_retries_total{target=\"only\"} 1",
            "http_client_request_duration_seconds_count{error_type=\"upstream_closed\",\
             http_request_method=\"GET\",http_response_status_code=\"\",target=\"only\"} 1",
        ],
    );
}

#[tokio::test]
async fn credentials_and_reloads_are_read_off_at_the_scrape() {
    let target = Target::bind().await;
    let proxy = proxy(&target).await;
    let loaded = "countersign_credentials_refreshes_total{result=\"success\",source=\"default\"}";
    let text = comes_to(&proxy, loaded, 1.0).await;
    holds(
        &text,
        &[
            "countersign_credentials_refreshes_total{result=\"failure\",source=\"default\"} 0",
            "countersign_credentials_usable{source=\"default\"} 1",
            "countersign_credentials_stale{source=\"default\"} 0",
            "countersign_config_reloads_total{result=\"failure\"} 0",
            "countersign_config_last_reload_successful 1",
            &format!("countersign_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION")),
        ],
    );
    let age = text.lines().find(|line| line.starts_with("countersign_credentials_age_seconds{"));
    assert!(age.is_some(), "{text}");
    assert!(!text.contains("expiration_timestamp"), "these say of no end");
}

#[tokio::test]
async fn a_refusal_of_the_service_counts_by_its_reason_and_is_shown_with_its_remedy() {
    let target = Target::bind().await;
    let proxy = proxy(&target).await;
    let request = "GET /orders HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let refusal = "HTTP/1.1 403 Forbidden\r\nx-amzn-ErrorType: AccessDeniedException\r\n\
                   connection: close\r\ncontent-length: 23\r\n\r\n{\"Message\":\"Forbidden\"}";
    target.exchange(&proxy, request, refusal).await;
    let refused = "countersign_upstream_auth_failures_total{reason=\"permission_denied\",\
                   target=\"only\"}";
    let text = comes_to(&proxy, refused, 1.0).await;
    holds(
        &text,
        &[
            "countersign_responses_total{http_route=\"orders\",origin=\"target\",proxy_error=\"\"} 1",
        ],
    );
    let last = proxy.admin("/requests").await.json()["requests"][0].clone();
    assert_eq!((&last["reason"], &last["origin"]), (&"permission_denied".into(), &"target".into()));
    assert!(last["remedy"].as_str().unwrap().contains("`lambda:InvokeFunction`"), "{last}");
}

#[tokio::test]
async fn what_is_turned_away_counts_by_the_bound_it_met() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address())
        .top(ADMIN)
        .top("limits = { in_flight = 1, connections = 3 }")
        .route("name = \"orders\"\nthrottle = { rate = \"1/h\", burst = 1 }")
        .start()
        .await;
    let get = "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let mut under_way = proxy.connect().await;
    under_way.send(get).await;
    let mut there = target.accept().await;
    there.head().await;
    assert_eq!(proxy.ask(get).await.status(), 503, "one is in flight");
    there.send(OK).await;
    assert_eq!(under_way.answer().await.status(), 200);
    let mut odd = proxy.connect().await;
    odd.send("no http\r\n\r\n").await;
    assert!(odd.rest().await.0.starts_with(b"HTTP/1.1 400"));
    drop(odd);
    under_way.send(get).await;
    assert_eq!(under_way.answer().await.status(), 429);
    comes_to(&proxy, "countersign_open_connections", 1.0).await;
    let (_second, _third) = (proxy.connect().await, proxy.connect().await);
    let mut past = proxy.connect().await;
    assert_eq!(past.answer().await.status(), 503);
    let text = comes_to(&proxy, "countersign_shed_total{limit=\"connections\"}", 1.0).await;
    holds(
        &text,
        &[
            "countersign_shed_total{limit=\"in_flight\"} 1",
            "countersign_throttled_total{http_route=\"orders\"} 1",
            "countersign_http_refusals_total{reason=\"malformed\"} 1",
            "countersign_open_connections 3",
        ],
    );
}
