//! The binary as a process of its own: its log, its signals and its exit codes.

use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdout, Command};

use crate::support::{KEY, SECRET, TOKEN, Target, Wire, soon};

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
        let file = folder.path().join("t.toml");
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
        command.args(["run", "--config"]).arg(&file);
        Self::start(command, folder)
    }

    /// Runs the program as `command` says.
    pub(crate) fn start(mut command: Command, folder: tempfile::TempDir) -> Self {
        let kept: Vec<_> = command
            .as_std()
            .get_envs()
            .map(|(n, v)| (n.to_owned(), v.map(ToOwned::to_owned)))
            .collect();
        command.env_clear();
        command.envs(kept.into_iter().filter_map(|(name, value)| Some((name, value?))));
        let mut child = command
            .env("AWS_ACCESS_KEY_ID", KEY)
            .env("AWS_SECRET_ACCESS_KEY", SECRET)
            .env("AWS_SESSION_TOKEN", TOKEN)
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("HOME", folder.path())
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
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
async fn a_wrong_configuration_is_exit_78() {
    let target = Target::bind().await;
    let mut process = Process::run(&config(&target, "nonsense = 1"));
    let status = soon(process.child.wait()).await.unwrap();
    assert_eq!(status.code(), Some(78));
}
