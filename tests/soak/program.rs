//! The program as a process: started, watched from outside, ended.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

/// It starts and ends in less.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(100);

const FILE: &str = "countersign.toml";

/// The running program.
pub(crate) struct Program {
    process: Child,
    pub(crate) address: SocketAddr,
    target: SocketAddr,
    folder: TempDir,
}

/// How a configuration is told from the one before: a header of every answer.
pub(crate) const GENERATION: &str = "x-generation";

impl Program {
    /// Starts it in front of `target`, with credentials from `source`, and waits until it listens.
    pub(crate) async fn start(binary: &str, target: SocketAddr, source: SocketAddr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = free_address();
        let file = folder.path().join(FILE);
        fs::write(&file, configuration(address, target, 0)).unwrap();
        let log = |name: &str| Stdio::from(File::create(folder.path().join(name)).unwrap());
        let process = Command::new(binary)
            .args(["run", "--config"])
            .arg(&file)
            .env_clear()
            .env("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("http://{source}/credentials"))
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("HOME", "/nonexistent")
            .stdin(Stdio::null())
            .stdout(log("stdout"))
            .stderr(log("stderr"))
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut program = Self { process, address, target, folder };
        program.listens().await;
        program
    }

    async fn listens(&mut self) {
        let until = Instant::now() + PATIENCE;
        while TcpStream::connect(self.address).await.is_err() {
            let ended = self.process.try_wait().unwrap();
            assert!(ended.is_none() && Instant::now() < until, "{ended:?}: {}", self.said());
            sleep(LOOK).await;
        }
    }

    /// Has it read another configuration, right or wrong.
    pub(crate) fn reload(&self, generation: u64, is_right: bool) {
        let mut text = configuration(self.address, self.target, generation);
        if !is_right {
            text.push_str("targte = 1\n");
        }
        // in one step, as an editor or a ConfigMap does it
        let (file, new) = (self.folder.path().join(FILE), self.folder.path().join("new"));
        fs::write(&new, text).unwrap();
        fs::rename(new, file).unwrap();
        self.signal(Signal::SIGHUP);
    }

    fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.process.id().unwrap()).unwrap();
        kill(Pid::from_raw(id), signal).unwrap();
    }

    fn proc(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{name}", self.process.id().unwrap()))
    }

    /// Its resident memory in MiB.
    pub(crate) fn memory(&self) -> f64 {
        let status = fs::read_to_string(self.proc("status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
    }

    /// How many descriptors it has open once `enough` says so, or after `patience`.
    pub(crate) async fn settled(
        &self,
        patience: Duration,
        enough: impl Fn(usize) -> bool,
    ) -> usize {
        let until = Instant::now() + patience;
        let mut least = usize::MAX;
        while Instant::now() < until {
            let open = fs::read_dir(self.proc("fd")).unwrap().count();
            least = least.min(open);
            if enough(open) {
                return open;
            }
            sleep(LOOK).await;
        }
        least
    }

    /// Ends it as an orchestrator does: with nothing under way it goes at once, and with 0.
    pub(crate) async fn end(mut self) -> Result<(), String> {
        self.signal(Signal::SIGTERM);
        let ended = timeout(PATIENCE, self.process.wait()).await;
        let ended = ended.map_err(|_| "it does not end: something is under way still")?;
        let code = ended.unwrap().code();
        let said = self.said();
        if code != Some(0) || said.contains("panicked") {
            return Err(format!("it ended with {code:?}: {said}"));
        }
        Ok(())
    }

    /// The end of what it wrote to its standard error.
    fn said(&self) -> String {
        let said = fs::read(self.folder.path().join("stderr")).unwrap_or_default();
        String::from_utf8_lossy(&said[said.len().saturating_sub(4000)..]).into_owned()
    }
}

fn configuration(address: SocketAddr, target: SocketAddr, generation: u64) -> String {
    format!(
        r#"
listen = ["{address}"]
admin = false
access_log = {{ log = "all", sample = 0.01 }}
log = "error"

[upstream]
idle = "2s"

[timeouts]
response_head = "30s"
response_idle = "30s"

[defaults]
response_headers = {{ set = {{ {GENERATION} = "{generation}" }} }}

[targets.only]
url = "http://{target}"
service = "lambda"
region = "us-east-1"

[[routes]]
target = "only"

[[routes]]
target = "only"
prefix = "/stall"
response_head = "500ms"

[[routes]]
target = "only"
prefix = "/stallwithin"
response_idle = "500ms"

[[routes]]
target = "only"
prefix = "/streamedupload"
payload = "client-digest"

[[routes]]
target = "only"
prefix = "/retried"
retries = {{ attempts = 3, on = [503] }}
"#
    )
}

fn free_address() -> SocketAddr {
    std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap()
}
