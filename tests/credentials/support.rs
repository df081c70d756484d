//! The program itself, a target that writes down who signed, and stubs of the sources of
//! credentials, all on loopback.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use countersign::clock::Clock;
use tempfile::TempDir;

pub(crate) const LIMIT: Duration = Duration::from_secs(20);
/// Known values, to be looked for in everything that the program writes.
pub(crate) const KEY: &str = "AKIAEXAMPLEKEYONE";
pub(crate) const SECRET: &str = "wJalrXUtnFEMIsecretsecretEXAMPLEKEY";
pub(crate) const TOKEN: &str = "IQoJb3JpZ2luX2VjtokentokenEXAMPLE";

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Arrived {
    pub(crate) line: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Arrived {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The access key in its signature.
    pub(crate) fn key(&self) -> &str {
        let authorization = self.header("authorization").expect("it is signed");
        let scope = authorization.split_once("Credential=").unwrap().1;
        scope.split_once('/').unwrap().0
    }

    pub(crate) fn signature(&self) -> &str {
        self.header("authorization").unwrap().split_once("Signature=").unwrap().1
    }
}

/// An http server on loopback, which answers as a function says and writes down what came.
#[derive(Clone)]
pub(crate) struct Stub {
    pub(crate) address: SocketAddr,
    pub(crate) arrived: Arc<Mutex<Vec<Arrived>>>,
}

type Answer = dyn Fn(&Arrived) -> (u16, String) + Send + Sync;

impl Stub {
    pub(crate) fn start(
        address: &str,
        answer: impl Fn(&Arrived) -> (u16, String) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let stub = Self { address: listener.local_addr().unwrap(), arrived: Arc::default() };
        let (arrived, answer) = (Arc::clone(&stub.arrived), Arc::new(answer));
        thread::spawn(move || {
            for connection in listener.incoming() {
                let (arrived, answer) = (Arc::clone(&arrived), Arc::clone(&answer));
                thread::spawn(move || serve(connection.unwrap(), &arrived, &*answer));
            }
        });
        stub
    }

    /// The target: takes everything.
    pub(crate) fn target() -> Self {
        Self::start("127.0.0.1:0", |_| (200, "ok".into()))
    }

    /// An agent of ECS or EKS that gives the known credentials.
    pub(crate) fn agent(address: &str) -> Self {
        Self::start(address, |_| (200, given(KEY)))
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn arrived(&self) -> Vec<Arrived> {
        self.arrived.lock().unwrap().clone()
    }
}

fn serve(connection: TcpStream, arrived: &Mutex<Vec<Arrived>>, answer: &Answer) {
    let mut reader = BufReader::new(connection.try_clone().unwrap());
    let mut writer = connection;
    while let Some(request) = read(&mut reader) {
        let (status, body) = answer(&request);
        arrived.lock().unwrap().push(request);
        let head =
            format!("HTTP/1.1 {status} Status\r\nx-aws-ec2-metadata-token-ttl-seconds: 21600");
        let answer = format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        if writer.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

fn read(reader: &mut impl BufRead) -> Option<Arrived> {
    let mut next = || {
        let mut line = String::new();
        let read = reader.read_line(&mut line).ok()?;
        (read > 0).then(|| line.trim_end().to_owned())
    };
    let line = next()?;
    let mut headers = Vec::new();
    while let Some(header) = next().filter(|header| !header.is_empty()) {
        let (name, value) = header.split_once(':').unwrap();
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let mut request = Arrived { line, headers, body: String::new() };
    let length = request.header("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    request.body = String::from_utf8(body).unwrap();
    Some(request)
}

/// The loopback addresses of this machine: not each has IPv6.
pub(crate) fn loopbacks() -> Vec<&'static str> {
    ["127.0.0.1:0", "[::1]:0"].into_iter().filter(|at| TcpListener::bind(at).is_ok()).collect()
}

/// What an agent answers.
pub(crate) fn given(key: &str) -> String {
    given_until(key, "2099-01-01T00:00:00Z")
}

/// What an agent answers, with an expiry of one's own.
pub(crate) fn given_until(key: &str, expires: &str) -> String {
    format!(
        r#"{{"AccessKeyId":"{key}","SecretAccessKey":"{SECRET}","Token":"{TOKEN}",
            "Expiration":"{expires}","Code":"Success","Type":"AWS-HMAC",
            "LastUpdated":"2026-01-01T00:00:00Z"}}"#
    )
}

/// What STS answers to an `action`.
pub(crate) fn given_by_sts(action: &str, key: &str) -> String {
    format!(
        "<{action}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{action}Result>\
         <AssumedRoleUser><Arn>arn:aws:sts::111122223333:assumed-role/caller/x</Arn>\
         <AssumedRoleId>AROA:x</AssumedRoleId></AssumedRoleUser><Credentials>\
         <AccessKeyId>{key}</AccessKeyId><SecretAccessKey>{SECRET}</SecretAccessKey>\
         <SessionToken>{TOKEN}</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration>\
         </Credentials></{action}Result></{action}Response>"
    )
}

/// What STS answers where it refuses.
pub(crate) fn refused_by_sts(code: &str, message: &str) -> String {
    format!(
        "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
         <Code>{code}</Code><Message>{message}</Message></Error>\
         <RequestId>00000000-0000-0000-0000-000000000000</RequestId></ErrorResponse>"
    )
}

/// An expiry, from now on.
pub(crate) fn in_seconds(seconds: u64) -> String {
    let at = Clock::system().now() + Duration::from_secs(seconds);
    DateTime::from(at).fmt(Format::DateTime).unwrap()
}

/// What to start: a folder that is also the home, variables, and the configuration.
pub(crate) struct Setup {
    pub(crate) home: TempDir,
    pub(crate) variables: Vec<(String, String)>,
    pub(crate) target: Stub,
    pub(crate) config: String,
    pub(crate) uid: Option<u32>,
    pub(crate) listen: SocketAddr,
}

impl Setup {
    /// One target, the AWS chain, and no source at all.
    pub(crate) fn new() -> Self {
        let target = Stub::target();
        let config = format!(
            "[targets.all]\nurl = \"{}\"\nservice = \"lambda\"\nregion = \"us-east-1\"\n\
             [[routes]]\ntarget = \"all\"\n",
            target.url()
        );
        let home = TempDir::new().unwrap();
        fs::create_dir(home.path().join(".aws")).unwrap();
        let listen = ([127, 0, 0, 1], 0).into();
        let setup = Self { home, variables: Vec::new(), target, config, uid: None, listen };
        setup.with("AWS_EC2_METADATA_DISABLED", "true")
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn with_keys(self) -> Self {
        self.with("AWS_ACCESS_KEY_ID", KEY)
            .with("AWS_SECRET_ACCESS_KEY", SECRET)
            .with("AWS_SESSION_TOKEN", TOKEN)
    }

    pub(crate) fn file(self, name: &str, content: &str) -> Self {
        fs::write(self.home.path().join(name), content).unwrap();
        self
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.home.path().join(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn start(self) -> Running {
        let config = self.home.path().join("countersign.toml");
        let top = "admin = \"127.0.0.1:0\"\nlog = \"trace\"\n";
        let listen = format!("listen = [\"{}\"]\n", self.listen);
        fs::write(&config, format!("{listen}{top}{}", self.config)).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
        command.args(["run", "--config"]).arg(&config);
        command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", self.home.path());
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        if let Some(uid) = self.uid {
            command.uid(uid).gid(uid);
        }
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let output = Arc::new(Output::default());
        output.follow(child.stdout.take().unwrap());
        output.follow(child.stderr.take().unwrap());
        let ready = output.wait_for("countersign is listening");
        let address = |key: &str| {
            let from = ready.split_once(&format!("\"{key}\":\"http://")).unwrap().1;
            from.split_once('"').unwrap().0.parse().unwrap()
        };
        let (listen, admin) = (address("listen"), address("admin"));
        Running { child, output, listen, admin, target: self.target, home: self.home }
    }
}

/// Everything that the program wrote, line by line.
#[derive(Default)]
pub(crate) struct Output {
    pub(crate) lines: Mutex<Vec<String>>,
    pub(crate) more: Condvar,
    pub(crate) open: AtomicUsize,
}

impl Output {
    fn follow(self: &Arc<Self>, from: impl Read + Send + 'static) {
        self.open.fetch_add(1, Ordering::SeqCst);
        let output = Arc::clone(self);
        thread::spawn(move || {
            for line in BufReader::new(from).split(b'\n') {
                let line = String::from_utf8_lossy(&line.unwrap()).into_owned();
                output.lines.lock().unwrap().push(line);
                output.more.notify_all();
            }
            let _lines = output.lines.lock().unwrap();
            output.open.fetch_sub(1, Ordering::SeqCst);
            output.more.notify_all();
        });
    }

    /// The first line that holds `text`, as soon as there is one.
    pub(crate) fn wait_for(&self, text: &str) -> String {
        let found = |lines: &Vec<String>| lines.iter().find(|line| line.contains(text)).cloned();
        let lines = self.lines.lock().unwrap();
        let waiting = |lines: &mut Vec<String>| {
            found(lines).is_none() && self.open.load(Ordering::SeqCst) > 0
        };
        let (lines, _) = self.more.wait_timeout_while(lines, LIMIT, waiting).unwrap();
        found(&lines).unwrap_or_else(|| panic!("no {text:?} in:\n{}", lines.join("\n")))
    }

    /// Everything, once the program has ended.
    pub(crate) fn whole(&self) -> String {
        let lines = self.lines.lock().unwrap();
        let open = |_: &mut Vec<String>| self.open.load(Ordering::SeqCst) > 0;
        self.more.wait_timeout_while(lines, LIMIT, open).unwrap().0.join("\n")
    }
}

/// The program at work. Its end is the test of its whole output.
pub(crate) struct Running {
    pub(crate) child: Child,
    pub(crate) output: Arc<Output>,
    pub(crate) listen: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) target: Stub,
    pub(crate) home: TempDir,
}

impl Running {
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        get(self.listen, path)
    }

    pub(crate) fn admin(&self, path: &str) -> u16 {
        get(self.admin, path).0
    }

    /// One request, which must be signed with the known credentials.
    pub(crate) fn signs_with_the_known(self) {
        assert_eq!(self.get("/"), (200, "ok".into()));
        let arrived = self.target.arrived();
        assert_eq!(arrived.len(), 1);
        assert_eq!(arrived[0].key(), KEY);
        assert_eq!(arrived[0].header("x-amz-security-token"), Some(TOKEN));
        assert_eq!(self.admin("/readyz"), 200);
        self.stop();
    }

    /// Ends it, and holds that none of its lines gives anything away.
    pub(crate) fn stop(mut self) -> String {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let written = self.output.whole();
        for secret in [SECRET, TOKEN] {
            assert!(!written.contains(secret), "{secret} in:\n{written}");
        }
        for request in self.target.arrived() {
            assert!(!written.contains(request.signature()), "a signature in:\n{written}");
        }
        written
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn get(from: SocketAddr, path: &str) -> (u16, String) {
    let mut connection = TcpStream::connect(from).unwrap();
    connection.set_read_timeout(Some(LIMIT)).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

pub(crate) fn profile(name: &str, key: &str) -> String {
    format!(
        "[{name}]\naws_access_key_id = {key}\naws_secret_access_key = {SECRET}\n\
         aws_session_token = {TOKEN}\n"
    )
}
