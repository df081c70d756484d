//! The admin listener: who may ask it what, and what it says.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use countersign::credentials::Stores;
use countersign::credentials::failure::Failure;
use countersign::credentials::source::{Loading, Source};
use nix::sys::signal::Signal;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::process::{Process, config};
use crate::support::{Answer, KEY, OK, Proxy, SECRET, Setup, TOKEN, Target, Wire, soon};

const ADMIN: &str = "admin = \"127.0.0.1:0\"";
const OPEN: [&str; 5] = ["/livez", "/startupz", "/readyz", "/healthz", "/metrics"];
const PRIVATE: [&str; 5] = ["/", "/routes", "/status", "/requests", "/config"];

/// A source that never gives any.
#[derive(Debug)]
struct Down;

impl Source for Down {
    fn load(&self) -> Loading<'_> {
        let failure =
            Failure { message: "it is down".to_owned(), hint: "put it up again".to_owned() };
        Box::pin(std::future::ready(Err(failure)))
    }
}

async fn without_credentials(setup: Setup) -> Proxy {
    let down = |config: &_, clock: &_| Stores::from_sources(config, clock, |_| Box::new(Down));
    setup.start_with(down).await
}

async fn ask(address: SocketAddr, request: &str) -> Answer {
    let mut client = Wire::new(TcpStream::connect(address).await.unwrap());
    client.send(request).await;
    client.answer().await
}

async fn get(address: SocketAddr, path: &str, host: &str) -> Answer {
    ask(address, &format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n")).await
}

#[tokio::test]
async fn a_ready_process_says_what_it_looked_at() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address()).top(ADMIN).start().await;
    proxy.admin_until("/readyz", |answer| answer.status() == 200).await;
    for path in ["/livez", "/startupz", "/readyz"] {
        let answer = proxy.admin(path).await;
        assert_eq!((answer.status(), answer.text()), (200, "ok\n"), "{path}");
    }
    assert_eq!(
        proxy.admin("/readyz?verbose").await.text(),
        "[+]configuration ok\n[+]credentials/default ok\n[+]serving ok\nreadyz check passed\n"
    );
    assert_eq!(proxy.admin("/livez?verbose").await.text(), "[+]process ok\nlivez check passed\n");
}

#[tokio::test]
async fn a_process_without_credentials_lives_and_says_why_it_is_not_ready() {
    let target = Target::bind().await;
    let proxy = without_credentials(Setup::to(target.address()).top(ADMIN)).await;
    proxy.admin_until("/readyz", |answer| answer.text().contains("it is down")).await;
    assert_eq!(proxy.admin("/livez").await.status(), 200);
    for path in ["/readyz", "/readyz?verbose", "/startupz"] {
        let answer = proxy.admin(path).await;
        assert_eq!(answer.status(), 503, "{path}");
        let why = "[-]credentials/default failed: there are none yet: it is down (hint: put it up again)\n";
        assert!(answer.text().contains(why), "{path}: {}", answer.text());
    }
    assert!(target.is_untouched().await, "the target's health is nobody's question");
    let credentials = proxy.admin("/status").await.json();
    assert_eq!(credentials["credentials"][0]["state"], "none");
    assert_eq!(credentials["credentials"][0]["failure"]["hint"], "put it up again");
}

#[tokio::test]
async fn a_foreign_name_as_host_is_refused_and_an_address_is_not() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address())
        .top(ADMIN)
        .top("allowed_hosts = [\"countersign\"]")
        .start()
        .await;
    let address = proxy.admin.unwrap();
    for path in OPEN.iter().chain(&PRIVATE) {
        for host in ["evil.example", "127.0.0.1.evil.example", "a@localhost"] {
            assert_eq!(get(address, path, host).await.status(), 403, "{path} for {host}");
        }
        for host in ["localhost:8481", "10.0.0.7:8481", "[fd00::7]:8481", "app.localhost"] {
            assert_ne!(get(address, path, host).await.status(), 403, "{path} for {host}");
        }
        let twice = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nhost: localhost\r\n\r\n");
        assert_eq!(ask(address, &twice).await.status(), 403, "{path} with two Hosts");
    }
    // A name that was allowed may be anybody's: it opens what is open to everyone.
    assert_eq!(get(address, "/metrics", "countersign:8481").await.status(), 200);
    assert_eq!(get(address, "/config", "countersign:8481").await.status(), 403);
}

#[tokio::test]
async fn it_only_reads() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address()).top(ADMIN).start().await;
    let address = proxy.admin.unwrap();
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let request =
            format!("{method} /livez HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n");
        let answer = ask(address, &request).await;
        assert_eq!(answer.status(), 405, "{method}");
        assert_eq!(answer.head.text("allow").as_deref(), Some("GET, HEAD"));
    }
    let mut client = Wire::new(TcpStream::connect(address).await.unwrap());
    client.send("HEAD /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
    assert_eq!(client.head().await.status(), 200);
    assert!(client.closes().await, "HEAD has no body");
    let answer = proxy.admin("/nowhere").await;
    assert_eq!(answer.status(), 404);
    assert!(answer.text().contains("/metrics"), "{}", answer.text());
}

/// This machine's address on its network, where it has one.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?; // TEST-NET-1: nothing is sent
    Some(socket.local_addr().ok()?.ip()).filter(|ip| !ip.is_loopback() && !ip.is_unspecified())
}

#[tokio::test]
async fn a_kubelet_and_prometheus_are_answered_by_the_pods_address_and_nothing_else_is() {
    let Some(pod) = own_address() else { return };
    let target = Target::bind().await;
    let setup = Setup::to(target.address()).top("admin = \"0.0.0.0:0\"\nallow_remote = true");
    let proxy = without_credentials(setup).await;
    let port = proxy.admin.unwrap().port();
    proxy.admin_until("/readyz", |answer| answer.text().contains("it is down")).await;
    let from_afar = SocketAddr::new(pod, port);
    let host = from_afar.to_string();
    assert_eq!(get(from_afar, "/livez", &host).await.status(), 200);
    let metrics = get(from_afar, "/metrics", &host).await;
    assert!(metrics.text().contains("countersign_build_info"));
    let ready = get(from_afar, "/readyz?verbose", &host).await;
    assert_eq!(ready.status(), 503);
    assert!(ready.text().contains("[-]credentials/default failed: reason withheld"));
    for path in PRIVATE {
        assert_eq!(get(from_afar, path, &host).await.status(), 403, "{path}");
        assert_eq!(get(from_afar, path, "localhost").await.status(), 403, "{path} as localhost");
    }
    assert_eq!(proxy.admin("/config").await.status(), 200, "from loopback it is there");
}

#[tokio::test]
async fn the_last_requests_are_listed_with_reason_and_remedy() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address())
        .top(ADMIN)
        .route("name = \"orders\"\nprefix = \"/orders\"")
        .start()
        .await;
    let request = "GET /orders/7?q=hush HTTP/1.1\r\nhost: localhost\r\n\r\n";
    target.exchange(&proxy, request, OK).await;
    proxy.ask("POST /else HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n").await;
    let two = |answer: &Answer| answer.json()["requests"].as_array().unwrap().len() == 2;
    let answer = proxy.admin_until("/requests", two).await;
    assert!(!answer.text().contains("hush"), "a query is nobody's business");
    let [refused, passed] = [0, 1].map(|index| answer.json()["requests"][index].clone());
    let expected = [
        ("method", Value::from("GET")),
        ("path", "/orders/7".into()),
        ("route", "orders".into()),
        ("target", "only".into()),
        ("status", 200.into()),
        ("origin", "target".into()),
        ("reason", Value::Null),
        ("remedy", Value::Null),
        ("attempts", 1.into()),
        ("bytes_in", 0.into()),
        ("bytes_out", 2.into()),
    ];
    for (field, value) in expected {
        assert_eq!(passed[field], value, "{field} of {passed}");
    }
    assert!(passed["time"].as_str().unwrap().starts_with("20"), "{passed}");
    assert!(passed["duration_ms"].as_f64() >= passed["first_byte_ms"].as_f64(), "{passed}");
    assert_eq!(refused["reason"], "no_route");
    assert!(refused["remedy"].as_str().unwrap().contains("countersign explain"), "{refused}");
    assert_eq!((&refused["route"], &refused["status"]), (&Value::Null, &404.into()));
}

#[tokio::test]
async fn a_path_is_not_kept_where_only_the_route_is_to_be_written() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address())
        .top(ADMIN)
        .top("access_log = { log = \"off\", path = \"route\" }")
        .start()
        .await;
    target.exchange(&proxy, "GET /secret/7 HTTP/1.1\r\nhost: localhost\r\n\r\n", OK).await;
    let one = |answer: &Answer| answer.json()["requests"].as_array().unwrap().len() == 1;
    let answer = proxy.admin_until("/requests", one).await;
    assert!(answer.json()["requests"][0]["path"].is_null());
    assert!(!answer.text().contains("secret"), "{}", answer.text());
}

#[tokio::test]
async fn routes_say_where_they_go_and_the_configuration_holds_no_secret() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address())
        .top(ADMIN)
        .route("prefix = \"/orders\"\nmethods = [\"GET\"]\nstrip_prefix = \"/orders\"")
        .route("request_headers = { set = { x-api-key = \"hush-key\" } }")
        .tables("[upstream]\nproxy = \"http://user:hush-password@squid:3128\"\n")
        .start()
        .await;
    let routes = proxy.admin("/routes").await.json();
    let route = &routes["routes"][0];
    assert_eq!(route["path"], "/orders/…");
    assert_eq!(route["methods"][0], "GET");
    assert_eq!(route["rewrite"]["strip_prefix"], "/orders");
    assert_eq!(route["target"]["url"], format!("http://{}", target.address()));
    let config = proxy.admin("/config").await;
    assert_eq!(config.json()["upstream"]["proxy"], "http://squid:3128");
    assert_eq!(config.json()["limits"]["in_flight"], 1024);
    assert_eq!(config.json()["routes"][0]["request_headers"]["set"][0], "x-api-key");
    let until_loaded = |answer: &Answer| answer.text().contains("usable");
    let credentials = proxy.admin_until("/status", until_loaded).await;
    let ending = credentials.json()["credentials"][0]["key_id_ends_with"].clone();
    assert!(KEY.ends_with(ending.as_str().unwrap()) && ending.as_str().unwrap().len() <= 4);
    for path in OPEN.iter().chain(&PRIVATE) {
        let answer = proxy.admin(path).await;
        for hidden in ["hush-", SECRET, TOKEN, KEY] {
            assert!(!answer.text().contains(hidden), "{hidden} in {path}");
        }
    }
}

#[tokio::test]
async fn a_reload_shows_in_the_routes_and_in_the_metrics() {
    let target = Target::bind().await;
    let text = config(&target, "").replace("admin = false", "admin = \"127.0.0.1:0\"");
    let mut process = Process::run(&text);
    let said = process.says("countersign is listening").await;
    let address = said["admin"].as_str().unwrap().strip_prefix("http://").unwrap();
    let address: SocketAddr = address.parse().unwrap();
    let file = process.folder.path().join("t.toml");
    assert!(get(address, "/routes", "localhost").await.text().contains("\"name\": \"all\""));

    std::fs::write(&file, text.replace("name = \"all\"", "name = \"renamed\"")).unwrap();
    process.signal(Signal::SIGHUP);
    process.says("the configuration was read again and is served from now on").await;
    assert!(get(address, "/routes", "localhost").await.text().contains("\"name\": \"renamed\""));
    let sample = |text: &str, line: &str| text.lines().any(|found| found == line);
    let metrics = get(address, "/metrics", "localhost").await;
    assert!(!sample(metrics.text(), "countersign_config_last_reload_successful 0"));

    std::fs::write(&file, "nonsense = 1").unwrap();
    process.signal(Signal::SIGHUP);
    process.says("the new configuration is not served; the old one holds on").await;
    soon(async {
        loop {
            let metrics = get(address, "/metrics", "localhost").await;
            if sample(metrics.text(), "countersign_config_last_reload_successful 0") {
                let one = "countersign_config_reloads_total{result=\"success\"} 1";
                assert!(sample(metrics.text(), one), "{}", metrics.text());
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    assert_eq!(process.terminate().await.0, Some(0));
}
