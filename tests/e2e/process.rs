//! The binary as a process of its own: its log, its signals and its exit codes.

use std::path::Path;
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdout, Command};

use crate::support::{KEY, OK, SECRET, TOKEN, Target, Wire, soon};

/// `countersign run` with a file in a folder of its own.
pub(crate) struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    pub(crate) output: String,
    pub(crate) folder: tempfile::TempDir,
}

impl Process {
    pub(crate) fn run(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let command = Self::command(&folder, config);
        Self::start(command, folder)
    }

    /// After a command of the shell that bounds it.
    fn run_after(bound: &str, config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let direct = Self::command(&folder, config);
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &format!("{bound} && exec \"$0\" \"$@\"")]);
        command.arg(direct.as_std().get_program()).args(direct.as_std().get_args());
        Self::start(command, folder)
    }

    /// What runs it with that file; a test may change the environment.
    fn command(folder: &tempfile::TempDir, config: &str) -> Command {
        let file = folder.path().join("t.toml");
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
        command.args(["run", "--config"]).arg(&file);
        command
    }

    /// Runs the program as `command` says; what it says of the environment goes last.
    pub(crate) fn start(mut command: Command, folder: tempfile::TempDir) -> Self {
        let kept: Vec<_> = command
            .as_std()
            .get_envs()
            .map(|(n, v)| (n.to_owned(), v.map(ToOwned::to_owned)))
            .collect();
        command
            .env_clear()
            .env("AWS_ACCESS_KEY_ID", KEY)
            .env("AWS_SECRET_ACCESS_KEY", SECRET)
            .env("AWS_SESSION_TOKEN", TOKEN)
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("HOME", folder.path())
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        for (name, value) in kept {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines, output: String::new(), folder }
    }

    /// The first line with this message.
    pub(crate) async fn says(&mut self, message: &str) -> serde_json::Value {
        loop {
            let line = soon(self.lines.next_line()).await.unwrap();
            let line = line.unwrap_or_else(|| panic!("it ended: {}", self.output));
            self.output.push_str(&line);
            self.output.push('\n');
            let entry: serde_json::Value = serde_json::from_str(&line).unwrap();
            if entry["message"] == message {
                return entry;
            }
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id().unwrap()).unwrap();
        kill(Pid::from_raw(id), signal).unwrap();
    }

    /// Sends SIGTERM; gives the exit code and everything that it ever wrote.
    pub(crate) async fn terminate(self) -> (Option<i32>, String) {
        self.signal(Signal::SIGTERM);
        self.ended().await
    }

    /// Waits for its end; gives the exit code and everything that it ever wrote.
    pub(crate) async fn ended(mut self) -> (Option<i32>, String) {
        while let Some(line) = soon(self.lines.next_line()).await.unwrap() {
            self.output.push_str(&line);
            self.output.push('\n');
        }
        let status = soon(self.child.wait()).await.unwrap();
        let mut errors = String::new();
        let mut stderr = self.child.stderr.take().unwrap();
        soon(stderr.read_to_string(&mut errors)).await.unwrap();
        (status.code(), self.output + &errors)
    }
}

pub(crate) fn config(target: &Target, more: &str) -> String {
    format!(
        "listen = [\"127.0.0.1:0\"]\nadmin = false\n{more}\n[targets.orders]\nurl = \"http://{}\"\n\
         service = \"lambda\"\nregion = \"us-east-1\"\n[[routes]]\nname = \"all\"\n\
         target = \"orders\"\n",
        target.address()
    )
}

pub(crate) async fn connect(process: &mut Process) -> Wire<TcpStream> {
    let said = process.says("countersign is listening").await;
    let address = said["listen"].as_str().unwrap().strip_prefix("http://").unwrap();
    Wire::new(TcpStream::connect(address).await.unwrap())
}

#[tokio::test]
async fn a_request_is_one_line_of_the_access_log() {
    let target = Target::bind().await;
    let mut process = Process::run(&config(&target, ""));
    let mut client = connect(&mut process).await;
    client
        .send(
            "POST /orders/7?q=hush HTTP/1.1\r\nhost: localhost\r\ncontent-length: 4\r\n\
             x-amzn-trace-id: Root=1-67891233-abcdef012345678912345678\r\n\r\nbody",
        )
        .await;
    let mut there = target.accept().await;
    there.head().await;
    there.bytes(4).await;
    there
        .send("HTTP/1.1 201 Created\r\nx-amzn-requestid: the-id\r\ncontent-length: 6\r\n\r\nanswer")
        .await;
    assert_eq!(client.answer().await.status(), 201);
    let line = process.says("request").await;
    let expected = [
        ("target", "access"),
        ("route", "all"),
        ("target_name", "orders"),
        ("method", "POST"),
        ("path", "/orders/7"),
        ("origin", "target"),
        ("aws_request_id", "the-id"),
        ("trace_id", "67891233abcdef012345678912345678"),
        ("xray_trace_id", "1-67891233-abcdef012345678912345678"),
    ];
    for (field, value) in expected {
        assert_eq!(line[field], value, "{field} of {line}");
    }
    for (field, value) in [("status", 201), ("bytes_in", 4), ("bytes_out", 6), ("attempts", 1)] {
        assert_eq!(line[field], value, "{field} of {line}");
    }
    for field in ["duration_ms", "first_byte_ms", "sign_ms"] {
        assert!(line[field].as_f64().is_some_and(|took| took >= 0.0), "{field} of {line}");
    }
    assert!(line["duration_ms"].as_f64() >= line["first_byte_ms"].as_f64());
    assert!(line["reason"].is_null());

    client.send("GET /x HTTP/1.1\r\nhost: evil.example\r\n\r\n").await;
    assert_eq!(client.answer().await.status(), 403);
    let line = process.says("request").await;
    assert_eq!((&line["origin"], &line["status"]), (&"proxy".into(), &403.into()));
    assert_eq!(line["reason"], "host_not_allowed");
    assert_eq!(line["attempts"], 0);
    assert_eq!(process.terminate().await.0, Some(0));
}

#[tokio::test]
async fn the_log_says_why_a_target_did_not_answer_and_which_setting_is_missing() {
    let target = Target::bind().await;
    let mut process = Process::run(&config(&target, ""));
    let mut client = connect(&mut process).await;
    drop(target);
    client.send("GET /x HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert_eq!(client.answer().await.status(), 502);
    let line = process.says("a request was not answered by its target").await;
    assert_eq!(line["reason"], "connection_refused");
    assert!(line["cause"].as_str().is_some_and(|cause| cause.contains("os error")), "{line}");

    for (header, named, key) in [
        ("host: evil.example\r\n", "`evil.example`", "`allowed_hosts`"),
        (
            "host: localhost\r\norigin: http://evil.example\r\n",
            "`http://evil.example`",
            "`allowed_origins`",
        ),
    ] {
        client.send(format!("GET /x HTTP/1.1\r\n{header}\r\n")).await;
        assert_eq!(client.answer().await.status(), 403);
        let line = process.says("a request was refused").await;
        assert!(line["error"].as_str().unwrap().contains(named), "{line}");
        assert!(line["hint"].as_str().unwrap().contains(key), "{line}");
    }
    assert_eq!(process.terminate().await.0, Some(0));
}

#[tokio::test]
async fn no_log_holds_a_secret_at_any_level() {
    let target = Target::bind().await;
    let mut process = Process::run(&config(&target, "log = \"trace\""));
    let mut client = connect(&mut process).await;
    let request = "POST /p?q=hush-query HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\
                   authorization: Bearer hush-bearer\r\ncookie: hush-cookie\r\n\r\nhush-body";
    client.send(request).await;
    let mut there = target.accept().await;
    let seen = there.head().await;
    there.bytes(9).await;
    there.send("HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\nhush-answer").await;
    assert_eq!(client.answer().await.status(), 200);
    process.says("request").await;
    // And a send that fails.
    client.send(request).await;
    there.head().await;
    drop(there);
    assert_eq!(client.answer().await.status(), 502);
    process.says("request").await;

    let authorization = seen.text("authorization").unwrap();
    let (_, signature) = authorization.rsplit_once("Signature=").unwrap();
    let (code, output) = process.terminate().await;
    assert_eq!(code, Some(0));
    assert!(output.contains("\"TRACE\""), "the level was not taken");
    for hidden in [SECRET, TOKEN, signature, "hush-", "Signature="] {
        let line = output.lines().find(|line| line.contains(hidden));
        assert_eq!(line, None, "{hidden} is in the log");
    }
}

#[tokio::test]
async fn the_access_log_counts_a_body_that_streams() {
    let target = Target::bind().await;
    let config = config(&target, "") + "payload = \"client-digest\"\n";
    let mut process = Process::run(&config);
    let mut client = connect(&mut process).await;
    let digest = crate::support::sha256(b"four");
    client
        .send(format!(
            "POST / HTTP/1.1\r\nhost: localhost\r\nx-amz-content-sha256: {digest}\r\n\
             content-length: 4\r\n\r\nfour"
        ))
        .await;
    let mut there = target.accept().await;
    there.head().await;
    assert_eq!(there.bytes(4).await, b"four");
    there.send(OK).await;
    assert_eq!(client.answer().await.status(), 200);
    let line = process.says("request").await;
    assert_eq!(line["bytes_in"], 4, "{line}");
    assert_eq!(process.terminate().await.0, Some(0));
}

/// A login by SSO, whose token is `hush-token`; the file is named for the SHA-1 of the URL.
fn log_in(home: &Path) {
    let cache = home.join(".aws/sso/cache");
    std::fs::create_dir_all(&cache).unwrap();
    let profile = "[default]\nsso_start_url = https://example.awsapps.com/start\n\
                   sso_region = us-east-1\nsso_account_id = 111122223333\nsso_role_name = caller\n";
    std::fs::write(home.join(".aws/config"), profile).unwrap();
    let token = r#"{"accessToken": "hush-token", "expiresAt": "9999-01-01T00:00:00Z"}"#;
    std::fs::write(cache.join("e8be5486177c5b5392bd9aa76563515b29358e6e.json"), token).unwrap();
}

#[tokio::test]
async fn no_filter_makes_the_sdk_print_what_it_sends() {
    for filter in ["trace", "TRACE", "5", "aws_smithy_runtime::client=trace,info"] {
        let (target, sso) = (Target::bind().await, Target::bind().await);
        let config = config(&target, &format!("log = \"{filter}\""));
        let folder = tempfile::tempdir().unwrap();
        log_in(folder.path());
        let mut command = Process::command(&folder, &config);
        command
            .env_remove("AWS_ACCESS_KEY_ID")
            .env("AWS_ENDPOINT_URL_SSO", format!("http://{}", sso.address()));
        let mut process = Process::start(command, folder);
        let mut there = sso.accept().await;
        let sent = there.head().await;
        assert_eq!(sent.text("x-amz-sso_bearer_token").unwrap(), "hush-token");
        there.send("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
        process.says("credentials could not be loaded").await;
        let (_, output) = process.terminate().await;
        let line = output.lines().find(|line| line.contains("hush-"));
        assert_eq!(line, None, "{filter}");
    }
}

#[tokio::test]
async fn a_log_that_nobody_reads_holds_up_no_request_and_no_end() {
    let target = Target::bind().await;
    let config = config(&target, "").replace("admin = false", "admin = \"127.0.0.1:0\"");
    let mut process = Process::run(&config);
    let said = process.says("countersign is listening").await;
    let place = |field: &str| said[field].as_str().unwrap().strip_prefix("http://").unwrap();
    let mut client = Wire::new(TcpStream::connect(place("listen")).await.unwrap());
    // A line each: more than a pipe and the queue before it hold.
    let refused = format!("GET /{} HTTP/1.1\r\nhost: evil.example\r\n\r\n", "a".repeat(2000));
    for _ in 0..1000 {
        client.send(&refused).await;
        assert_eq!(client.answer().await.status(), 403);
    }
    let mut probe = Wire::new(TcpStream::connect(place("admin")).await.unwrap());
    probe.send("GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    let metrics = probe.answer().await;
    let lost = metrics.text().lines().find_map(|line| {
        line.strip_prefix("countersign_log_lines_lost_total ")?.parse::<u64>().ok()
    });
    assert!(lost.is_some_and(|lost| lost > 0), "{}", metrics.text());
    process.signal(Signal::SIGTERM);
    let status = soon(process.child.wait()).await.unwrap();
    assert_eq!(status.code(), Some(0));
}

#[tokio::test]
async fn log_lines_that_were_lost_are_told_once_somebody_reads_on() {
    let target = Target::bind().await;
    let mut process = Process::run(&config(&target, ""));
    let mut client = connect(&mut process).await;
    let refused = format!("GET /{} HTTP/1.1\r\nhost: evil.example\r\n\r\n", "a".repeat(2000));
    for _ in 0..1000 {
        client.send(&refused).await;
        assert_eq!(client.answer().await.status(), 403);
    }
    let told = process.says("log lines were lost: they were not read for a while").await;
    assert!(told["lost"].as_u64().unwrap() > 0, "{told}");
    assert_eq!(process.terminate().await.0, Some(0));
}

#[tokio::test]
async fn connections_are_made_to_fit_the_descriptors() {
    let target = Target::bind().await;
    let config = config(&target, "").replace("admin = false", "admin = \"127.0.0.1:0\"");
    let mut process = Process::run_after("ulimit -n 128", &config);
    let said = process
        .says(
            "there are too few file descriptors for `limits.connections`: fewer are taken; raise \
             the hard limit (`ulimit -Hn`, `LimitNOFILE=`, `ulimits`) or write fewer",
        )
        .await;
    assert_eq!((&said["wanted"], &said["fitting"]), (&4096.into(), &48.into()), "{said}");
    let said = process.says("countersign is listening").await;
    let place = |field: &str| said[field].as_str().unwrap().strip_prefix("http://").unwrap();
    let mut clients = Vec::new();
    for _ in 0..48 {
        let mut client = Wire::new(TcpStream::connect(place("listen")).await.unwrap());
        client.send("GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
        let mut there = target.accept().await;
        there.head().await;
        clients.push((client, there));
    }
    let mut past = Wire::new(TcpStream::connect(place("listen")).await.unwrap());
    assert_eq!(past.answer().await.status(), 503);
    let mut probe = Wire::new(TcpStream::connect(place("admin")).await.unwrap());
    probe.send("GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert_eq!(probe.answer().await.status(), 200);
    for (client, there) in &mut clients {
        there.send(OK).await;
        assert_eq!(client.answer().await.status(), 200);
    }
    let (_, output) = process.terminate().await;
    assert!(!output.contains("could not be accepted"), "{output}");
}

#[tokio::test]
async fn connections_at_rest_to_one_target_make_room_for_another() {
    let targets = [Target::bind().await, Target::bind().await, Target::bind().await];
    let mut text = "listen = [\"127.0.0.1:0\"]\nadmin = \"127.0.0.1:0\"\n".to_owned();
    for (number, target) in targets.iter().enumerate() {
        text += &format!(
            "[targets.t{number}]\nurl = \"http://{}\"\nservice = \"lambda\"\n\
             region = \"us-east-1\"\n[[routes]]\nprefix = \"/{number}\"\ntarget = \"t{number}\"\n",
            target.address()
        );
    }
    let mut process = Process::run_after("ulimit -n 128", &text);
    let said = process.says("countersign is listening").await;
    let place = |field: &str| said[field].as_str().unwrap().strip_prefix("http://").unwrap();
    let mut clients = Vec::new();
    for _ in 0..40 {
        clients.push(Wire::new(TcpStream::connect(place("listen")).await.unwrap()));
    }
    let mut held = Vec::new();
    for (number, target) in targets.iter().enumerate() {
        let request = format!("GET /{number} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        let mut there = Vec::new();
        for client in &mut clients {
            client.send(&request).await;
            let mut wire = target.accept().await;
            wire.head().await;
            there.push(wire);
        }
        for (client, wire) in clients.iter_mut().zip(&mut there) {
            wire.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
            assert_eq!(client.answer().await.status(), 200);
        }
        held.push(there); // each would be kept
    }
    let mut probe = Wire::new(TcpStream::connect(place("admin")).await.unwrap());
    probe.send("GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert_eq!(probe.answer().await.status(), 200);
    assert_eq!(process.terminate().await.0, Some(0));
}

#[tokio::test]
async fn descriptors_that_run_out_are_waited_for() {
    let target = Target::bind().await;
    let mut process = Process::run_after("ulimit -n 24", &config(&target, ""));
    let said = process.says("countersign is listening").await;
    let address = said["listen"].as_str().unwrap().strip_prefix("http://").unwrap().to_owned();
    let mut clients = Vec::new();
    for _ in 0..40 {
        clients.push(TcpStream::connect(&address).await.unwrap());
    }
    process.says("a connection could not be accepted").await;
    drop(clients);
    let mut client = loop {
        let mut client = Wire::new(TcpStream::connect(&address).await.unwrap());
        client.send("GET / HTTP/1.1\r\nhost: evil.example\r\n\r\n").await;
        if client.head().await.status() == 403 {
            break client;
        }
    };
    client.send("GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    target.accept().await;
    drop(client);
    let (_, output) = process.terminate().await;
    let failed = output.matches("a connection could not be accepted").count();
    assert!(failed < 40, "it tried {failed} times");
}

#[tokio::test]
async fn the_soft_descriptor_limit_is_raised_to_the_hard_one() {
    let target = Target::bind().await;
    let mut process = Process::run_after("ulimit -Sn 100", &config(&target, ""));
    process.says("countersign is listening").await;
    let limits = format!("/proc/{}/limits", process.child.id().unwrap());
    let limits = std::fs::read_to_string(limits).unwrap();
    let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let [soft, hard] = [3, 4].map(|column| files.split_whitespace().nth(column).unwrap());
    assert_eq!(soft, hard, "{files}");
}

#[tokio::test]
async fn a_wrong_configuration_is_exit_78() {
    let target = Target::bind().await;
    let mut process = Process::run(&config(&target, "nonsense = 1"));
    let status = soon(process.child.wait()).await.unwrap();
    assert_eq!(status.code(), Some(78));
}
