//! A route with several targets: how they share its requests, what is kept with one of them, and
//! who gets a request that could not be sent.

use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use countersign::emulator;
use nix::sys::signal::Signal;
use serde_json::Value;
use tokio::net::{TcpListener, TcpSocket};

use crate::lifecycle::{SERVED, write};
use crate::log::Log;
use crate::process::{Process, connect};
use crate::support::{Proxy, Target, Wire, caller, function, function_of, serve};

const GET: &str = "GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n";
const POST: &str = "POST /process HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
                    content-length: 8\r\n\r\n{\"a\": 1}";

/// A target that answers everything at once with its name, and counts.
#[derive(Clone)]
struct Named {
    address: SocketAddr,
    count: Arc<AtomicUsize>,
}

impl Named {
    async fn serve(name: &'static str) -> Self {
        Self::on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap(), name)
    }

    fn on(listener: TcpListener, name: &'static str) -> Self {
        let this = Self { address: listener.local_addr().unwrap(), count: Arc::default() };
        let count = Arc::clone(&this.count);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                let count = Arc::clone(&count);
                tokio::spawn(answer(Wire::new(stream), name, count));
            }
        });
        this
    }

    fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

async fn answer(
    mut wire: Wire<tokio::net::TcpStream>,
    name: &'static str,
    count: Arc<AtomicUsize>,
) {
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{name}", name.len());
    while wire.begins().await {
        let head = wire.head().await;
        wire.bytes(head.text("content-length").map_or(0, |it| it.parse().unwrap())).await;
        count.fetch_add(1, Ordering::Relaxed);
        wire.send(&answer).await;
    }
}

/// A port that nobody listens on, and that nobody else gets.
struct Dead(TcpSocket);

impl Dead {
    fn bind() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        Self(socket)
    }

    fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }
}

/// A file with a target of each name and a route that shares its requests among them.
fn file(top: &str, targets: &[(&str, &str, u32)], route: &str) -> String {
    let mut text = format!("listen = [\"127.0.0.1:0\"]\n{top}\n");
    for (name, url, _) in targets {
        let _ = writeln!(
            text,
            "[targets.{name}]\nurl = \"{url}\"\nservice = \"lambda\"\nregion = \"us-east-1\""
        );
    }
    let shares = targets
        .iter()
        .map(|(name, _, weight)| format!("{{ target = \"{name}\", weight = {weight} }}"));
    let shares = shares.collect::<Vec<_>>().join(", ");
    let _ = writeln!(text, "[[routes]]\nname = \"all\"\nsplit = [{shares}]\n{route}");
    text
}

fn url(address: SocketAddr) -> String {
    format!("http://{address}")
}

/// The name of the target that answers each of these requests, on one connection.
async fn asked(proxy: &Proxy, requests: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut client = proxy.connect().await;
    let mut names = Vec::new();
    for request in requests {
        client.send(request).await;
        names.push(client.answer().await.text().to_owned());
    }
    names
}

fn users() -> impl Iterator<Item = String> {
    (0..40).map(|user| format!("user-{user}"))
}

fn with(header: &str) -> String {
    format!("GET / HTTP/1.1\r\nhost: localhost\r\n{header}\r\n\r\n")
}

#[tokio::test]
async fn ninety_to_ten_is_so_over_a_thousand_requests() {
    let (most, few) = (Named::serve("most").await, Named::serve("few").await);
    let standby = Named::serve("standby").await;
    let targets = [
        ("most", &*url(most.address), 90),
        ("few", &*url(few.address), 10),
        ("standby", &*url(standby.address), 0),
    ];
    let proxy = serve(&file("admin = \"127.0.0.1:0\"", &targets, "")).await;
    asked(&proxy, (0..1000).map(|_| GET.to_owned())).await;
    assert!(few.count().abs_diff(100) <= 3, "{} of 1000", few.count());
    assert_eq!((most.count() + few.count(), standby.count()), (1000, 0));
    let metrics = proxy.admin("/metrics").await;
    for (name, count) in [("most", most.count()), ("few", few.count()), ("standby", 0)] {
        let line = format!("countersign_attempts_total{{target=\"{name}\"}} {count}\n");
        assert!(metrics.text().contains(&line), "{line}{}", metrics.text());
    }
}

#[tokio::test]
async fn a_header_keeps_a_user_with_a_target_in_every_process() {
    let (one, other) = (Named::serve("one").await, Named::serve("other").await);
    let (one, other) = (url(one.address), url(other.address));
    let sticky = "sticky = \"header:x-user-id\"\nrequest_headers = { remove = [\"x-user-id\"] }";
    let there = [("one", &*one, 50), ("other", &*other, 50)];
    let back = [("other", &*other, 50), ("one", &*one, 50)];
    let first = serve(&file("admin = false", &there, sticky)).await;
    let second = serve(&file("admin = false", &back, sticky)).await;
    let requests = || users().map(|user| with(&format!("x-user-id: {user}")));
    let found = asked(&first, requests()).await;
    assert_eq!(asked(&first, requests()).await, found);
    assert_eq!(asked(&second, requests()).await, found, "the order of the list says nothing");
    assert!(found.iter().any(|name| name == "one") && found.iter().any(|name| name == "other"));
    // Who brings no value is shared out as others are.
    let nobody = asked(&first, (0..10).map(|_| with("x-user: a"))).await;
    let ones = nobody.iter().filter(|name| *name == "one").count();
    assert!((4..=6).contains(&ones), "{nobody:?}");
}

#[tokio::test]
async fn a_cookie_keeps_a_session_with_its_target_over_a_reload_that_moves_few() {
    let (orders, canary) = (Named::serve("orders").await, Named::serve("canary").await);
    let (orders, canary) = (url(orders.address), url(canary.address));
    let sticky = "sticky = \"cookie:session\"";
    let weighed = |orders_weight, canary_weight| {
        let targets = [("orders", &*orders, orders_weight), ("canary", &*canary, canary_weight)];
        file("admin = false", &targets, sticky)
    };
    let mut process = Process::run(&weighed(80, 20));
    let mut client = connect(&mut process).await;
    let mut found = Vec::new();
    for next in [Some(weighed(80, 20) + "# read again\n"), Some(weighed(60, 40)), None] {
        let mut names = Vec::new();
        for user in users() {
            client.send(with(&format!("cookie: a=b; session={user}; c=d"))).await;
            names.push(client.answer().await.text().to_owned());
        }
        found.push(names);
        if let Some(text) = next {
            write(&process, &text);
            process.signal(Signal::SIGHUP);
            process.says(SERVED).await;
        }
    }
    let [before, same, after] = &found[..] else { unreachable!() };
    assert_eq!(before, same);
    let moved: Vec<_> = same.iter().zip(after).filter(|(from, to)| from != to).collect();
    assert!(!moved.is_empty() && moved.iter().all(|(_, to)| *to == "canary"), "{moved:?}");
    assert_eq!(process.terminate().await.0, Some(0));
}

#[tokio::test]
async fn the_admin_listener_tells_every_target_of_a_split() {
    let targets = [("one", "http://127.0.0.1:1", 3), ("other", "http://127.0.0.1:2", 0)];
    let sticky = "sticky = \"cookie:session\"";
    let proxy = serve(&file("admin = \"127.0.0.1:0\"", &targets, sticky)).await;
    let routes = proxy.admin("/routes").await.json();
    let route = &routes["routes"][0];
    assert!(route["target"].is_null());
    assert_eq!(route["split"]["sticky"], "cookie:session");
    let shares = &route["split"]["shares"];
    assert_eq!((&shares[0]["weight"], &shares[1]["weight"]), (&3.into(), &0.into()));
    assert_eq!(shares[1]["target"]["url"], "http://127.0.0.1:2");
    let config = proxy.admin("/config").await.json();
    let route = &config["routes"][0];
    assert_eq!(route["split"][0], serde_json::json!({ "target": "one", "weight": 3 }));
    assert_eq!((&route["sticky"], &route["target"]), (&"cookie:session".into(), &Value::Null));
}

#[tokio::test]
async fn a_dead_target_loses_no_request_of_any_method() {
    let (dead, alive) = (Dead::bind(), url(function().await));
    let targets = [("dead", &*url(dead.address()), 1), ("alive", &*alive, 0)];
    let log = Log::start();
    let proxy = serve(&file("admin = \"127.0.0.1:0\"", &targets, "")).await;
    let mut client = proxy.connect().await;
    for request in [POST, GET].into_iter().cycle().take(20) {
        client.send(request).await;
        let answer = client.answer().await;
        assert_eq!(answer.status(), 200, "{}", answer.text());
        assert!(answer.text().contains("user/caller"), "{}", answer.text());
    }
    log.attempts(20).await;
    let lines = log.lines("request");
    assert!(lines.iter().all(|line| line["target_name"] == "alive"), "{lines:?}");
    // The first that was to go there went on; the rest did not try.
    let tried_twice = lines.iter().filter(|line| line["attempts"] == 2).count();
    assert_eq!(tried_twice, 1);
    let told = log.lines("a target cannot be reached");
    assert_eq!((told.len(), &told[0]["target_name"]), (1, &Value::from("dead")));
    let metrics = proxy.admin("/metrics").await;
    let failovers = "countersign_failovers_total{target=\"dead\"} 20\n";
    assert!(metrics.text().contains(failovers), "{}", metrics.text());
    let requests = proxy.admin("/requests").await.json();
    let requests = requests["requests"].as_array().unwrap();
    assert_eq!(requests.len(), 20);
    assert!(requests.iter().all(|request| request["target"] == "alive"), "{requests:?}");
}

#[tokio::test]
async fn a_standby_gets_requests_only_where_no_target_with_a_weight_is_reached() {
    let (dead, also_dead) = (Dead::bind(), Dead::bind());
    let (standby, alive) = (Named::serve("standby").await, Named::serve("alive").await);
    let [dead, also_dead] = [dead, also_dead].map(|dead| (url(dead.address()), dead));
    let (standby, alive) = (url(standby.address), url(alive.address));
    let last = |url| [("dead", &*dead.0, 99), ("standby", &*standby, 0), ("last", url, 1)];
    let proxy = serve(&file("admin = false", &last(&alive), "")).await;
    assert_eq!(asked(&proxy, (0..10).map(|_| GET.to_owned())).await, ["alive"; 10]);
    let proxy = serve(&file("admin = false", &last(&also_dead.0), "")).await;
    assert_eq!(asked(&proxy, (0..3).map(|_| GET.to_owned())).await, ["standby"; 3]);
}

#[tokio::test]
async fn a_target_that_says_nothing_costs_one_request_the_connect_timeout_and_no_other() {
    let (silent, alive) = (Target::bind().await, Named::serve("alive").await);
    let at = silent.address().port();
    // TLS to a listener that never answers: as where no packet comes back, but on loopback.
    let targets =
        [("silent", &*format!("https://localhost:{at}"), 1), ("alive", &*url(alive.address), 0)];
    let log = Log::start();
    let proxy = serve(&file("admin = false\ntimeouts = { connect = \"1s\" }", &targets, "")).await;
    // Those that come meanwhile wait as well: nobody knows yet.
    let mut clients = [proxy.connect().await, proxy.connect().await];
    for client in &mut clients {
        client.send(POST).await;
    }
    for client in &mut clients {
        assert_eq!(client.answer().await.text(), "alive");
    }
    assert_eq!(asked(&proxy, (0..50).map(|_| GET.to_owned())).await, ["alive"; 50]);
    assert_eq!(alive.count(), 52);
    let attempts = log.attempts(52).await;
    assert_eq!(attempts.iter().filter(|count| **count == 2).count(), 2, "{attempts:?}");
    assert_eq!(log.lines("a target cannot be reached").len(), 1);
}

#[tokio::test]
async fn a_silent_target_is_found_out_though_its_client_does_not_wait() {
    let (silent, alive) = (Target::bind().await, Named::serve("alive").await);
    let at = silent.address().port();
    let targets =
        [("silent", &*format!("https://localhost:{at}"), 1), ("alive", &*url(alive.address), 0)];
    let log = Log::start();
    let proxy = serve(&file("admin = false\ntimeouts = { connect = \"4s\" }", &targets, "")).await;
    let mut client = proxy.connect().await;
    client.send(POST).await;
    let _shaking = silent.accept().await;
    drop(client);
    assert_eq!(log.attempts(1).await, [1]); // its request is over before the connect time-out is
    assert_eq!(log.lines("a target cannot be reached").len(), 0);
    log.says("a target cannot be reached").await;
    assert_eq!(asked(&proxy, (0..10).map(|_| POST.to_owned())).await, ["alive"; 10]);
    assert_eq!(log.attempts(11).await, [1; 11]);
}

#[tokio::test]
async fn that_a_target_is_back_is_found_out_at_no_request_s_cost() {
    let (dead, alive) = (Dead::bind(), Named::serve("alive").await);
    let targets = [("dead", &*url(dead.address()), 1), ("alive", &*url(alive.address), 0)];
    let log = Log::start();
    let proxy = serve(&file("admin = false", &targets, "")).await;
    assert_eq!(asked(&proxy, [POST.to_owned()]).await, ["alive"]);
    let back = Named::on(dead.0.listen(16).unwrap(), "back");
    assert_eq!(asked(&proxy, [POST.to_owned()]).await, ["alive"]);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(asked(&proxy, [POST.to_owned()]).await, ["alive"], "which sees to a connection");
    log.says("a target can be reached again").await;
    assert_eq!(asked(&proxy, [POST.to_owned(), GET.to_owned()]).await, ["back"; 2]);
    assert_eq!((alive.count(), back.count()), (3, 2));
    assert_eq!(log.attempts(5).await, [2, 1, 1, 1, 1]);
}

#[tokio::test]
async fn the_second_target_has_its_own_path_host_scope_and_body() {
    let mut settings = emulator::Settings::new(vec![caller()]);
    settings.region = "eu-west-1".to_owned();
    let (nobody, alive) = (Dead::bind(), function_of(settings).await);
    let dead = nobody.address();
    // Listens, so that what arrives can be looked at.
    let watched = Target::bind().await;
    let text = |second: SocketAddr, path: &str| {
        format!(
            "listen = [\"127.0.0.1:0\"]\nadmin = false\n[targets.dead]\nurl = \"http://{dead}/base\"\n\
             service = \"execute-api\"\nregion = \"us-east-1\"\n[targets.second]\n\
             url = \"http://{second}{path}\"\nservice = \"lambda\"\nregion = \"eu-west-1\"\n\
             [[routes]]\nprefix = \"/v1\"\nstrip_prefix = \"/v1\"\n\
             split = [{{ target = \"dead\", weight = 1 }}, {{ target = \"second\", weight = 0 }}]\n"
        )
    };
    let proxy = serve(&text(alive, "")).await;
    let post = POST.replace("/process", "/v1/process?a=b%20c");
    let answer = proxy.ask(&post).await;
    assert_eq!(answer.status(), 200, "{}", answer.text());
    assert!(answer.text().contains("{\"a\": 1}") || answer.json()["received"]["a"] == 1);
    let proxy = serve(&text(watched.address(), "/stage")).await;
    let seen = watched.sees(&proxy, &post).await;
    assert_eq!(seen.asked(), "/stage/process?a=b%20c");
    assert_eq!(seen.text("host"), Some(watched.address().to_string()));
    assert_eq!(seen.text("x-forwarded-host").as_deref(), Some("localhost"));
    let authorization = seen.text("authorization").unwrap();
    assert!(authorization.contains("/eu-west-1/lambda/aws4_request"), "{authorization}");
}

#[tokio::test]
async fn where_no_target_is_reached_the_last_one_says_why() {
    let (one, other) = (Dead::bind(), Dead::bind());
    let targets = [("one", &*url(one.address()), 1), ("other", &*url(other.address()), 0)];
    let log = Log::start();
    let proxy = serve(&file("admin = false", &targets, "")).await;
    let answer = proxy.ask(GET).await;
    assert_eq!((answer.status(), answer.code().as_str()), (502, "connection_refused"));
    assert_eq!(log.attempts(1).await, [2]);
    assert_eq!(log.lines("request")[0]["target_name"], "other");
    // Both are known to be down, and each is tried all the same.
    assert_eq!(proxy.ask(GET).await.status(), 502);
    assert_eq!(log.attempts(2).await, [2, 2]);
}

#[tokio::test]
async fn an_answer_or_a_broken_connection_is_no_reason_to_go_elsewhere() {
    let first = Target::bind().await;
    let second = Target::bind().await;
    let (one, other) = (url(first.address()), url(second.address()));
    let proxy = serve(&file("admin = false", &[("one", &one, 1), ("other", &other, 0)], "")).await;
    let busy = "HTTP/1.1 503 X\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(first.exchange(&proxy, GET, busy).await.1.status(), 503);
    let mut client = proxy.connect().await;
    client.send(POST).await;
    let mut broken = first.accept().await;
    broken.head().await;
    drop(broken);
    let answer = client.answer().await;
    assert_eq!((answer.status(), answer.code().as_str()), (502, "upstream_closed"));
    assert!(second.is_untouched().await);
}

#[tokio::test]
async fn retries_are_for_the_last_target_and_do_not_delay_the_way_to_it() {
    let (dead, alive) = (Dead::bind(), Target::bind().await);
    let targets = [("dead", &*url(dead.address()), 1), ("alive", &*url(alive.address()), 0)];
    let retries = "retries = { attempts = 3, functions_too = true }";
    let log = Log::start();
    let proxy = serve(&file("admin = false", &targets, retries)).await;
    let mut client = proxy.connect().await;
    client.send(GET).await;
    for answer in [
        "HTTP/1.1 503 X\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 X\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
    ] {
        let mut wire = alive.accept().await;
        wire.head().await;
        wire.send(answer).await;
    }
    assert_eq!(client.answer().await.status(), 200);
    assert_eq!(log.attempts(1).await, [3]);
}

#[tokio::test]
async fn a_full_target_is_passed_over_and_its_places_are_given_back() {
    let (nobody, full, free) = (Dead::bind(), Target::bind().await, Named::serve("free").await);
    let dead = nobody.address();
    let text = format!(
        "listen = [\"127.0.0.1:0\"]\nadmin = false\n[defaults]\npayload = \"signed\"\n\
         [targets.dead]\nurl = \"http://{dead}\"\nservice = \"lambda\"\nregion = \"us-east-1\"\nmax_in_flight = 1\n\
         [targets.full]\nurl = \"http://{}\"\nservice = \"lambda\"\nregion = \"us-east-1\"\nmax_in_flight = 1\n\
         [targets.free]\nurl = \"http://{}\"\nservice = \"lambda\"\nregion = \"us-east-1\"\n\
         [[routes]]\npath = \"/full\"\ntarget = \"full\"\n[[routes]]\nsplit = [{{ target = \"dead\", weight = 1 }}, \
         {{ target = \"full\", weight = 0 }}, {{ target = \"free\", weight = 0 }}]\n",
        full.address(),
        free.address
    );
    let proxy = serve(&text).await;
    let mut busy = proxy.connect().await;
    busy.send(GET.replace("/health", "/full")).await;
    let mut held = full.accept().await;
    held.head().await;
    assert_eq!(asked(&proxy, [GET.to_owned(), GET.to_owned()]).await, ["free", "free"]);
    held.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
    assert_eq!(busy.answer().await.status(), 200);
    // The place at the dead target was given back, and one at the other is taken and given back.
    for _ in 0..2 {
        let (_, answer) = full.exchange(&proxy, GET, crate::support::OK).await;
        assert_eq!(answer.status(), 200);
    }
}

#[tokio::test]
async fn who_goes_on_to_another_target_counts_there_and_no_longer_here() {
    let (nobody, second) = (Dead::bind(), Target::bind().await);
    let target = |name: &str, address: SocketAddr| {
        format!(
            "[targets.{name}]\nurl = \"http://{address}\"\nservice = \"lambda\"\n\
             region = \"us-east-1\"\nmax_in_flight = 1\n[[routes]]\npath = \"/{name}\"\n\
             target = \"{name}\"\n"
        )
    };
    let text = format!(
        "listen = [\"127.0.0.1:0\"]\nadmin = false\n{}{}[[routes]]\nsplit = [\
         {{ target = \"first\", weight = 1 }}, {{ target = \"second\", weight = 0 }}]\n",
        target("first", nobody.address()),
        target("second", second.address())
    );
    let proxy = serve(&text).await;
    let mut client = proxy.connect().await;
    client.send(GET).await;
    let mut there = second.accept().await;
    there.head().await;
    let code = async |path| proxy.ask(GET.replace("/health", path)).await.code();
    assert_eq!(code("/second").await, "overloaded");
    assert_eq!(code("/first").await, "connection_refused");
    there.send(crate::support::OK).await;
    assert_eq!(client.answer().await.status(), 200);
}

#[tokio::test]
async fn a_body_that_streams_is_gone_with_the_connection() {
    let (nobody, alive) = (Dead::bind(), Target::bind().await);
    let dead = nobody.address();
    let text = format!(
        "listen = [\"127.0.0.1:0\"]\nadmin = false\n\
         [targets.dead]\nurl = \"http://{dead}\"\nservice = \"s3\"\nregion = \"us-east-1\"\n\
         [targets.alive]\nurl = \"http://{}\"\nservice = \"s3\"\nregion = \"us-east-1\"\n\
         [[routes]]\npayload = \"unsigned\"\nsplit = [{{ target = \"dead\", weight = 1 }}, \
         {{ target = \"alive\", weight = 0 }}]\n",
        alive.address()
    );
    let proxy = serve(&text).await;
    let answer = proxy.ask(POST).await;
    assert_eq!((answer.status(), answer.code().as_str()), (502, "connection_refused"));
    assert!(alive.is_untouched().await);
}
