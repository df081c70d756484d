//! The life of the process: how it stops, and how it takes another configuration.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::Signal;
use tokio::net::{TcpStream, UnixDatagram, UnixStream};
use tokio::process::Command;

use crate::process::{Process, config, connect};
use crate::support::{Target, Wire, function, soon};

pub(crate) const GET: &str = "GET /orders HTTP/1.1\r\nhost: localhost\r\n\r\n";
/// What a target answers that keeps its connection.
pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
const HALF: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhalf \r\n";
const REST: &str = "6\r\na loaf\r\n0\r\n\r\n";
pub(crate) const SERVED: &str = "the configuration was read again and is served from now on";
pub(crate) const KEPT: &str = "the new configuration is not served; the old one holds on";

/// A request whose answer is half there.
async fn half_answered(target: &Target, client: &mut Wire<TcpStream>) -> Wire<TcpStream> {
    client.send(GET).await;
    let mut there = target.accept().await;
    there.head().await;
    there.send(HALF).await;
    client.head().await;
    client.bytes(10).await;
    there
}

#[tokio::test]
async fn finishes_a_stream_before_it_ends() {
    let target = Target::bind().await;
    let mut process = Process::run(&config(&target, ""));
    let mut client = connect(&mut process).await;
    let address = client.stream.peer_addr().unwrap();
    let mut idle = Wire::new(TcpStream::connect(address).await.unwrap());
    let mut there = half_answered(&target, &mut client).await;
    process.signal(Signal::SIGTERM);
    assert!(idle.rest().await.0.is_empty(), "an idle connection is closed at once");
    let is_open = async || TcpStream::connect(address).await.is_ok();
    soon(async { while is_open().await {} }).await; // nobody is let in any more
    there.send(REST).await;
    assert_eq!(client.rest().await.0, REST.as_bytes());
    assert_eq!(process.ended().await.0, Some(0));
}

#[tokio::test]
async fn the_last_answer_of_a_connection_says_so() {
    let target = Target::bind().await;
    let mut process = Process::run(&config(&target, ""));
    let mut client = connect(&mut process).await;
    client.send(GET).await;
    let mut there = target.accept().await;
    there.head().await;
    process.signal(Signal::SIGTERM);
    process.says("stopping: no longer ready").await;
    there.send(OK).await;
    assert_eq!(client.head().await.text("connection").as_deref(), Some("close"));
    assert_eq!(process.ended().await.0, Some(0));
}

#[tokio::test]
async fn cuts_off_and_counts_what_takes_longer_than_the_grace() {
    let target = Target::bind().await;
    let mut process = Process::run(&config(&target, "shutdown = { grace = \"200ms\" }"));
    let mut client = connect(&mut process).await;
    let address = client.stream.peer_addr().unwrap();
    let _there = half_answered(&target, &mut client).await;
    let mut unanswered = Wire::new(TcpStream::connect(address).await.unwrap());
    unanswered.send(GET).await;
    let mut there = target.accept().await;
    there.head().await;
    let mut half_a_head = Wire::new(TcpStream::connect(address).await.unwrap());
    half_a_head.send("GET /").await;
    process.signal(Signal::SIGTERM);
    let (rest, _) = client.rest().await;
    assert!(!rest.ends_with(b"0\r\n\r\n"), "a cut answer looked whole");
    assert!(unanswered.closes().await);
    assert_eq!(process.says("requests under way were cut off").await["requests"], 2);
    let (code, output) = process.ended().await;
    assert_eq!(code, Some(1));
    assert_eq!(output.matches("\"reason\":\"shutdown\"").count(), 2, "{output}");
}

#[tokio::test]
async fn a_cut_answer_of_http_1_0_ends_with_a_reset() {
    let target = Target::bind().await;
    let mut process = Process::run(&config(&target, "shutdown = { grace = \"50ms\" }"));
    let mut client = connect(&mut process).await;
    client.send("GET /orders HTTP/1.0\r\nhost: localhost\r\n\r\n").await;
    let mut there = target.accept().await;
    there.head().await;
    there.send(HALF).await;
    client.head().await;
    client.bytes(5).await;
    process.signal(Signal::SIGTERM);
    let (_, ended) = client.rest().await;
    assert_eq!(ended.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    assert_eq!(process.ended().await.0, Some(1));
}

#[tokio::test]
async fn a_head_that_never_ends_is_no_request_that_was_cut_off() {
    let target = Target::bind().await;
    let mut process = Process::run(&config(&target, "shutdown = { grace = \"100ms\" }"));
    let mut client = connect(&mut process).await;
    client.send("GET / HTTP/1.1\r\nhost: ").await;
    let address = client.stream.peer_addr().unwrap();
    let mut other = Wire::new(TcpStream::connect(address).await.unwrap());
    other.send("GET /x HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n").await;
    assert!(!other.closes().await, "by now the half head has come as well");
    process.signal(Signal::SIGTERM);
    assert_eq!(process.ended().await.0, Some(0));
}

#[tokio::test]
async fn a_client_that_has_its_answer_and_is_only_listened_to_is_not_cut_off() {
    let target = Target::bind().await;
    let mut process = Process::run(&config(&target, "shutdown = { grace = \"100ms\" }"));
    let mut client = connect(&mut process).await;
    let upload = "expect: 100-continue\r\ncontent-length: 10\r\n\r\n";
    client.send(format!("POST / HTTP/1.1\r\nhost: evil.example\r\n{upload}")).await;
    assert_eq!(client.answer().await.status(), 403);
    process.signal(Signal::SIGTERM);
    let (code, output) = process.ended().await;
    assert_eq!(code, Some(0), "{output}");
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let target = Target::bind().await;
    let mut process = Process::run(&config(&target, "shutdown = { delay = \"1h\" }"));
    let mut idle = connect(&mut process).await;
    idle.send("GET /x HTTP/1.1\r\nhost: evil.example\r\n\r\n").await;
    assert_eq!(idle.answer().await.status(), 403);
    let address = idle.stream.peer_addr().unwrap();
    let mut client = Wire::new(TcpStream::connect(address).await.unwrap());
    let _there = half_answered(&target, &mut client).await;
    process.signal(Signal::SIGTERM);
    process.says("stopping: no longer ready").await;
    process.signal(Signal::SIGINT);
    assert_eq!(process.says("requests under way were cut off").await["requests"], 1);
    assert_eq!(process.ended().await.0, Some(1));
}

#[tokio::test]
async fn goes_on_serving_for_the_delay_but_is_not_ready() {
    let target = Target::bind().await;
    let config = config(&target, "shutdown = { delay = \"3s\" }")
        .replace("admin = false", "admin = \"127.0.0.1:0\"");
    let mut process = Process::run(&config);
    let said = process.says("countersign is listening").await;
    let place = |field: &str| -> SocketAddr {
        said[field].as_str().unwrap().strip_prefix("http://").unwrap().parse().unwrap()
    };
    let (address, admin) = (place("listen"), place("admin"));
    process.says("credentials loaded").await;
    assert_eq!(asked(admin, "/readyz").await, 200);
    let mut client = Wire::new(TcpStream::connect(address).await.unwrap());
    let mut idle = Wire::new(TcpStream::connect(address).await.unwrap());
    process.signal(Signal::SIGTERM);
    process.says("stopping: no longer ready").await;
    assert_eq!((asked(admin, "/readyz").await, asked(admin, "/livez").await), (503, 200));
    client.send(GET).await;
    let mut there = target.accept().await;
    there.head().await;
    there.send(OK).await;
    let head = client.head().await;
    assert_eq!((head.status(), head.text("connection").as_deref()), (200, Some("close")));
    assert!(client.closes().await, "it is told to come again elsewhere");

    let mut last = Wire::new(TcpStream::connect(address).await.unwrap());
    last.send(GET).await;
    there.head().await;
    there.send(HALF).await;
    last.head().await;
    last.bytes(10).await;
    assert!(idle.closes().await, "the delay is over");
    assert_eq!((asked(admin, "/readyz").await, asked(admin, "/livez").await), (503, 200));
    there.send(REST).await;
    assert_eq!(last.rest().await.0, REST.as_bytes());
    assert_eq!(process.ended().await.0, Some(0));
}

#[tokio::test]
async fn a_unix_socket_goes_with_it_however_it_ends() {
    for (shutdown, second, code) in [
        ("grace = \"25s\"", None, 0),
        ("grace = \"1ms\"", None, 1),
        ("delay = \"1h\"", Some(Signal::SIGTERM), 1),
    ] {
        let target = Target::bind().await;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("http.sock");
        let config = config(&target, &format!("workers = 2\nshutdown = {{ {shutdown} }}"))
            .replace("127.0.0.1:0", &format!("unix:{}", path.display()));
        let mut process = Process::run(&config);
        process.says("countersign is listening").await;
        let mut client = Wire::new(UnixStream::connect(&path).await.unwrap());
        client.send(GET).await;
        let mut there = target.accept().await;
        there.head().await;
        process.signal(Signal::SIGTERM);
        process.says("stopping: no longer ready").await;
        if let Some(second) = second {
            process.signal(second);
        } else if code == 0 {
            there.send(OK).await;
            assert_eq!(client.head().await.status(), 200);
        }
        assert_eq!(process.ended().await.0, Some(code));
        assert!(!path.exists(), "the socket's file is still there");
    }
}

#[tokio::test]
async fn takes_another_route_table_and_keeps_its_connections() {
    let target = Target::bind().await;
    let before = config(&target, "");
    let mut process = Process::run(&before);
    let mut client = connect(&mut process).await;
    client.send(GET).await;
    let mut there = target.accept().await;
    there.head().await;
    there.send(OK).await;
    assert_eq!(client.head().await.status(), 200);

    let after = before.replace("name = \"all\"", "name = \"all\"\nstrip_prefix = \"/orders\"");
    write(&process, &after.replace("admin = false", "admin = false\nworkers = 2\nlog = \"debug\""));
    process.signal(Signal::SIGHUP);
    let kept = process.says("a change of this key takes a restart; the old value holds on").await;
    assert_eq!(kept["key"], "workers");
    process.says(SERVED).await;
    client.send(GET).await;
    assert!(there.head().await.line().starts_with("GET / "), "another path on the same connection");
    there.send(OK).await;
    assert_eq!(client.head().await.status(), 200);
    client.send("GET /nowhere HTTP/1.1\r\nhost: evil.example\r\n\r\n").await;
    assert_eq!(client.answer().await.status(), 403);
    process.says("a request was refused").await; // a line of `debug`
    assert_eq!(process.terminate().await.0, Some(0));
}

#[tokio::test]
async fn what_is_under_way_and_what_was_throttled_counts_on() {
    let target = Target::bind().await;
    let keys = "name = \"all\"\nthrottle = { rate = \"1/h\", burst = 2 }\nmax_in_flight = 2";
    let before = config(&target, "").replace("name = \"all\"", keys);
    let mut process = Process::run(&before);
    let mut first = connect(&mut process).await;
    first.send(GET).await;
    let mut there = target.accept().await;
    there.head().await;

    write(&process, &before.replace("max_in_flight = 2", "max_in_flight = 1"));
    process.signal(Signal::SIGHUP);
    process.says(SERVED).await;
    let address = first.stream.peer_addr().unwrap();
    let mut second = Wire::new(TcpStream::connect(address).await.unwrap());
    second.send(GET).await;
    assert_eq!(second.answer().await.status(), 503, "the first one is under way");

    there.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(first.answer().await.status(), 200);
    first.send(GET).await;
    there.head().await;
    there.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(first.answer().await.status(), 200);
    first.send(GET).await;
    assert_eq!(first.answer().await.status(), 429, "two were taken from the same bucket");
    assert_eq!(process.terminate().await.0, Some(0));
}

#[tokio::test]
async fn keeps_the_old_configuration_where_the_new_one_is_wrong() {
    let target = Target::bind().await;
    let before = config(&target, "");
    let mut process = Process::run(&before);
    let mut client = connect(&mut process).await;
    write(&process, &format!("nonsense = 1\n{before}"));
    process.signal(Signal::SIGHUP);
    let problem = process.says("the new configuration is wrong: unknown key").await;
    assert_eq!(problem["key"], "nonsense");
    assert!(problem["source"].as_str().unwrap().ends_with("t.toml:1:1"), "{problem}");
    assert!(problem["hint"].is_string());
    process.says(KEPT).await;
    client.send(GET).await;
    let mut there = target.accept().await;
    there.head().await;
    there.send(OK).await;
    assert_eq!(client.head().await.status(), 200);
    assert_eq!(process.terminate().await.0, Some(0));
}

#[tokio::test]
async fn sees_a_config_map_that_is_swapped() {
    let target = Target::bind().await;
    let folder = tempfile::tempdir().unwrap();
    // As the kubelet lays it: file -> ..data/file, ..data -> a folder named for its time.
    let lay = |name: &str, text: &str| {
        std::fs::create_dir(folder.path().join(name)).unwrap();
        std::fs::write(folder.path().join(name).join("t.toml"), text).unwrap();
        std::os::unix::fs::symlink(name, folder.path().join("..data_tmp")).unwrap();
        std::fs::rename(folder.path().join("..data_tmp"), folder.path().join("..data")).unwrap();
    };
    let before = config(&target, "");
    lay("..first", &before);
    std::os::unix::fs::symlink("..data/t.toml", folder.path().join("t.toml")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command.args(["run", "--config"]).arg(folder.path().join("t.toml"));
    let mut process = Process::start(command, tempfile::tempdir().unwrap());
    process.says("countersign is listening").await;
    lay("..second", &format!("{before}[[routes]]\ntarget = \"orders\"\npath = \"/more\"\n"));
    assert_eq!(process.says(SERVED).await["routes"], 2);
    // The same again is no reason, whatever its time.
    lay("..third", &format!("{before}[[routes]]\ntarget = \"orders\"\npath = \"/more\"\n"));
    process.signal(Signal::SIGHUP);
    process.says(SERVED).await;
    let (code, output) = process.terminate().await;
    assert_eq!((code, output.matches(SERVED).count()), (Some(0), 2));
}

#[tokio::test]
async fn fails_no_request_while_it_reloads_a_hundred_times() {
    let function = function().await;
    let table = |name: &str| {
        format!(
            "listen = [\"127.0.0.1:0\"]\nadmin = false\naccess_log = \"off\"\n[targets.f]\n\
             url = \"http://{function}\"\nservice = \"lambda\"\nregion = \"us-east-1\"\n[[routes]]\n\
             name = \"{name}\"\ntarget = \"f\"\nresponse_headers = {{ set = {{ x-table = \"{name}\" }} }}\n"
        )
    };
    let mut process = Process::run(&table("one"));
    let address = connect(&mut process).await.stream.peer_addr().unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> =
        (0..20).map(|client| tokio::spawn(ask_until(address, client, Arc::clone(&done)))).collect();
    for turn in 0..100 {
        write(&process, &table(if turn % 2 == 0 { "two" } else { "one" }));
        process.signal(Signal::SIGHUP);
        process.says(SERVED).await;
    }
    done.store(true, Ordering::Relaxed);
    let (mut asked, mut tables) = (0, [0, 0]);
    for client in clients {
        let (count, seen) = soon(client).await.unwrap();
        asked += count;
        tables = [tables[0] + seen[0], tables[1] + seen[1]];
    }
    assert!(asked > 100 && tables.iter().all(|count| *count > 0), "{asked} of {tables:?}");
    assert_eq!(process.terminate().await.0, Some(0));
}

/// Asks until it is `done`; every answer must be the right one. How often, and by which table.
async fn ask_until(address: SocketAddr, client: usize, done: Arc<AtomicBool>) -> (u32, [u32; 2]) {
    let mut wire = Wire::new(TcpStream::connect(address).await.unwrap());
    let (mut asked, mut tables) = (0, [0, 0]);
    while !done.load(Ordering::Relaxed) {
        let body = format!("\"{client}-{asked}\"");
        let length = body.len();
        wire.send(format!(
            "POST /process HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n\r\n{body}"
        ))
        .await;
        let answer = wire.answer().await;
        assert_eq!(answer.status(), 200);
        let text = String::from_utf8(answer.body.clone()).unwrap();
        assert!(text.contains(&body), "{text}");
        tables[usize::from(answer.head.text("x-table").as_deref() == Some("two"))] += 1;
        asked += 1;
    }
    (asked, tables)
}

#[tokio::test]
async fn tells_systemd_of_its_life() {
    let target = Target::bind().await;
    let folder = tempfile::tempdir().unwrap();
    let notices = UnixDatagram::bind(folder.path().join("notify")).unwrap();
    std::fs::write(folder.path().join("t.toml"), config(&target, "")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command.args(["run", "--config"]).arg(folder.path().join("t.toml"));
    command.env("NOTIFY_SOCKET", folder.path().join("notify"));
    command.env("WATCHDOG_USEC", "100000");
    let process = Process::start(command, folder);
    await_notice(&notices, "READY=1").await;
    await_notice(&notices, "WATCHDOG=1").await;
    process.signal(Signal::SIGHUP);
    assert!(await_notice(&notices, "RELOADING=1").await.contains("MONOTONIC_USEC="));
    await_notice(&notices, "READY=1").await;
    process.signal(Signal::SIGTERM);
    await_notice(&notices, "STOPPING=1").await;
    assert_eq!(process.ended().await.0, Some(0));
}

async fn await_notice(notices: &UnixDatagram, wanted: &str) -> String {
    loop {
        let mut buffer = [0; 512];
        let length = soon(notices.recv(&mut buffer)).await.unwrap();
        let notice = String::from_utf8(buffer[..length].to_vec()).unwrap();
        if notice.lines().any(|line| line == wanted) {
            return notice;
        }
    }
}

#[tokio::test]
async fn serves_a_socket_that_systemd_has_opened() {
    let target = Target::bind().await;
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let config = config(&target, "").replace("127.0.0.1:0", "systemd:http");
    let mut process = activated(&config, socket.into(), "other:http:http");
    let said = process.says("countersign is listening").await;
    assert_eq!(said["listen"], format!("http://{address} http://{address}"), "both of the name");
    let mut client = Wire::new(TcpStream::connect(address).await.unwrap());
    client.send(GET).await;
    let mut there = target.accept().await;
    there.head().await;
    there.send(OK).await;
    assert_eq!(client.head().await.status(), 200);
    assert_eq!(process.terminate().await.0, Some(0));
}

#[tokio::test]
async fn says_which_sockets_systemd_has_passed_where_one_is_missing() {
    let target = Target::bind().await;
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let config = config(&target, "").replace("127.0.0.1:0", "systemd:http");
    let (code, output) = activated(&config, socket.into(), "other").ended().await;
    assert_eq!(code, Some(1));
    assert!(output.contains("hint: systemd has passed `other`: use one of these"), "{output}");
}

/// The program, with the socket as systemd passes it, once for each name: descriptors 3 to 5.
fn activated(config: &str, socket: OwnedFd, names: &str) -> Process {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("t.toml");
    std::fs::write(&file, config).unwrap();
    let mut command = Command::new("sh");
    command.args([
        "-c",
        "exec 3<&0 4<&0 5<&0 0</dev/null; export LISTEN_PID=$$; exec \"$@\"",
        "sh",
    ]);
    command.arg(env!("CARGO_BIN_EXE_countersign")).args(["run", "--config"]).arg(file);
    command.env("LISTEN_FDS", names.split(':').count().to_string());
    command.env("LISTEN_FDNAMES", names).stdin(socket);
    Process::start(command, folder)
}

/// Writes the file as an editor does that is careful: whole, at once.
pub(crate) fn write(process: &Process, text: &str) {
    write_at(process, "t.toml", text);
}

/// Writes a file in one step: one that is half written would be looked at as well.
pub(crate) fn write_at(process: &Process, name: &str, text: impl AsRef<[u8]>) {
    let folder: &Path = process.folder.path();
    std::fs::write(folder.join("new"), text).unwrap();
    std::fs::rename(folder.join("new"), folder.join(name)).unwrap();
}

async fn asked(admin: SocketAddr, path: &str) -> u16 {
    let mut wire = Wire::new(TcpStream::connect(admin).await.unwrap());
    wire.send(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n")).await;
    wire.head().await.status()
}
