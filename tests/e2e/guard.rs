//! Who may reach the listener: names, pages of other sites, and unix sockets.

use tokio::net::UnixStream;

use crate::support::{OK, Proxy, Setup, Target, Wire};

fn from(host: &str, headers: &str) -> String {
    format!("GET /x HTTP/1.1\r\nhost: {host}\r\n{headers}connection: close\r\n\r\n")
}

async fn passes(target: &Target, proxy: &Proxy, host: &str, headers: &str) {
    let (_, answer) = target.exchange(proxy, from(host, headers), OK).await;
    assert_eq!(answer.status(), 200, "{host} {headers}");
}

async fn is_refused(proxy: &Proxy, host: &str, headers: &str, code: &str) {
    let answer = proxy.ask(from(host, headers)).await;
    assert_eq!((answer.status(), answer.code().as_str()), (403, code), "{host} {headers}");
    let status = answer.head.text("proxy-status").unwrap();
    assert!(status.contains("error=http_request_denied"), "{status}");
}

#[tokio::test]
async fn a_name_that_leads_here_is_not_enough() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address()).start().await;
    let foreign =
        ["evil.example", "evil.example:8480", "localhost.evil.example", "127.0.0.1.nip.io"];
    for host in foreign.into_iter().chain(["localhostx", "", "notlocalhost"]) {
        let answer = proxy.ask(from(host, "")).await;
        assert!(matches!(answer.status(), 400 | 403), "{host}: {}", answer.status());
    }
    is_refused(&proxy, "evil.example", "", "host_not_allowed").await;
    assert!(target.is_untouched().await);
}

#[tokio::test]
async fn loopback_names_and_addresses_pass() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address()).start().await;
    let own = proxy.address().to_string();
    let names = ["localhost", "LocalHost:8480", "localhost.", "app.localhost", "127.0.0.1"];
    for host in names.into_iter().chain(["10.0.0.7:80", "[::1]:8480", "[fd00::1]", &own]) {
        passes(&target, &proxy, host, "").await;
    }
}

#[tokio::test]
async fn the_authority_of_an_absolute_form_is_judged_too() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address()).start().await;
    let request = "GET http://evil.example/ HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let answer = proxy.ask(request).await;
    assert_eq!((answer.status(), answer.code().as_str()), (403, "host_not_allowed"));
    assert!(target.is_untouched().await);
}

#[tokio::test]
async fn hosts_of_routes_and_allowed_ones_pass() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address())
        .top("allowed_hosts = [\"countersign\", \"*.internal\"]")
        .tables("[[routes]]\ntarget = \"only\"\nhost = \"orders.example\"")
        .start()
        .await;
    for host in ["countersign:8480", "COUNTERSIGN", "a.internal", "orders.example"] {
        passes(&target, &proxy, host, "").await;
    }
    for host in ["internal", "xcountersign", "users.example"] {
        is_refused(&proxy, host, "", "host_not_allowed").await;
    }
    let any = Setup::to(target.address()).top("allowed_hosts = [\"*\"]").start().await;
    passes(&target, &any, "evil.example", "").await;
}

#[tokio::test]
async fn a_form_posted_by_another_site_is_refused() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address()).start().await;
    let form = "POST /x HTTP/1.1\r\nhost: 127.0.0.1:8480\r\norigin: http://evil.example\r\n\
                content-type: application/x-www-form-urlencoded\r\ncontent-length: 3\r\n\r\na=b";
    let answer = proxy.ask(form).await;
    assert_eq!((answer.status(), answer.code().as_str()), (403, "origin_not_allowed"));
    let origins = ["http://evil.example", "null", "https://localhost", "http://localhost:3000"];
    for origin in origins {
        let header = format!("origin: {origin}\r\n");
        is_refused(&proxy, "localhost", &header, "origin_not_allowed").await;
    }
    for site in ["cross-site", "same-site"] {
        let header = format!("sec-fetch-site: {site}\r\n");
        is_refused(&proxy, "localhost", &header, "origin_not_allowed").await;
    }
    assert!(target.is_untouched().await);
}

#[tokio::test]
async fn a_page_of_this_listener_and_allowed_origins_pass() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address())
        .top("allowed_origins = [\"http://localhost:3000\"]")
        .start()
        .await;
    let allowed = [
        "origin: http://localhost:8480\r\n",
        "origin: http://localhost:3000\r\nsec-fetch-site: cross-site\r\n",
        "sec-fetch-site: same-origin\r\n",
        "sec-fetch-site: none\r\n",
        "",
    ];
    for headers in allowed {
        passes(&target, &proxy, "localhost:8480", headers).await;
    }
    let two = "origin: http://localhost:3000\r\norigin: http://evil.example\r\n";
    is_refused(&proxy, "localhost:8480", two, "origin_not_allowed").await;
    let any = Setup::to(target.address()).top("allowed_origins = [\"*\"]").start().await;
    passes(&target, &any, "localhost", "origin: http://evil.example\r\n").await;
}

#[tokio::test]
async fn a_unix_socket_has_its_permissions_instead() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("http.sock");
    let target = Target::bind().await;
    let listen = format!("listen = [\"unix:{}\"]", path.display());
    let _proxy = Setup::to(target.address()).top(&listen).start().await;
    let mut client = Wire::new(UnixStream::connect(&path).await.unwrap());
    client.send(from("any.example", "origin: http://evil.example\r\n")).await;
    let mut there = target.accept().await;
    let seen = there.head().await;
    assert!(!seen.has("x-forwarded-for"), "there is no address to tell");
    assert_eq!(seen.text("x-forwarded-host").unwrap(), "any.example");
    there.send(OK).await;
    assert_eq!(client.answer().await.status(), 200);
}
