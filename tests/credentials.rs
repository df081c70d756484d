//! Where credentials come from: the program itself, in front of a target that writes down who
//! signed, with each kind of source standing beside it on loopback.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(20);
/// Known values, to be looked for in everything that the program writes.
const KEY: &str = "AKIAEXAMPLEKEYONE";
const SECRET: &str = "wJalrXUtnFEMIsecretsecretEXAMPLEKEY";
const TOKEN: &str = "IQoJb3JpZ2luX2VjtokentokenEXAMPLE";

/// A request as it arrived.
#[derive(Clone, Debug)]
struct Arrived {
    line: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Arrived {
    fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The access key in its signature.
    fn key(&self) -> &str {
        let authorization = self.header("authorization").expect("it is signed");
        let scope = authorization.split_once("Credential=").unwrap().1;
        scope.split_once('/').unwrap().0
    }

    fn signature(&self) -> &str {
        self.header("authorization").unwrap().split_once("Signature=").unwrap().1
    }
}

/// An http server on loopback, which answers as a function says and writes down what came.
#[derive(Clone)]
struct Stub {
    address: SocketAddr,
    arrived: Arc<Mutex<Vec<Arrived>>>,
}

type Answer = dyn Fn(&Arrived) -> (u16, String) + Send + Sync;

impl Stub {
    fn start(
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
    fn target() -> Self {
        Self::start("127.0.0.1:0", |_| (200, "ok".into()))
    }

    /// An agent of ECS or EKS that gives the known credentials.
    fn agent(address: &str) -> Self {
        Self::start(address, |_| (200, given(KEY)))
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn arrived(&self) -> Vec<Arrived> {
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

/// What an agent answers.
fn given(key: &str) -> String {
    format!(
        r#"{{"AccessKeyId":"{key}","SecretAccessKey":"{SECRET}","Token":"{TOKEN}",
            "Expiration":"2099-01-01T00:00:00Z","Code":"Success","Type":"AWS-HMAC",
            "LastUpdated":"2026-01-01T00:00:00Z"}}"#
    )
}

/// What to start: a folder that is also the home, variables, and the configuration.
struct Setup {
    home: TempDir,
    variables: Vec<(String, String)>,
    target: Stub,
    config: String,
    uid: Option<u32>,
}

impl Setup {
    /// One target, the AWS chain, and no source at all.
    fn new() -> Self {
        let target = Stub::target();
        let config = format!(
            "[targets.all]\nurl = \"{}\"\nservice = \"lambda\"\nregion = \"us-east-1\"\n\
             [[routes]]\ntarget = \"all\"\n",
            target.url()
        );
        let home = TempDir::new().unwrap();
        fs::create_dir(home.path().join(".aws")).unwrap();
        let setup = Self { home, variables: Vec::new(), target, config, uid: None };
        setup.with("AWS_EC2_METADATA_DISABLED", "true")
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    fn with_keys(self) -> Self {
        self.with("AWS_ACCESS_KEY_ID", KEY)
            .with("AWS_SECRET_ACCESS_KEY", SECRET)
            .with("AWS_SESSION_TOKEN", TOKEN)
    }

    fn file(self, name: &str, content: &str) -> Self {
        fs::write(self.home.path().join(name), content).unwrap();
        self
    }

    fn path(&self, name: &str) -> String {
        self.home.path().join(name).to_str().unwrap().to_owned()
    }

    fn start(self) -> Running {
        let config = self.home.path().join("countersign.toml");
        let top = "listen = [\"127.0.0.1:0\"]\nadmin = \"127.0.0.1:0\"\nlog = \"trace\"\n";
        fs::write(&config, format!("{top}{}", self.config)).unwrap();
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
        Running { child, output, listen, admin, target: self.target, _home: self.home }
    }
}

/// Everything that the program wrote, line by line.
#[derive(Default)]
struct Output {
    lines: Mutex<Vec<String>>,
    more: Condvar,
    open: AtomicUsize,
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
    fn wait_for(&self, text: &str) -> String {
        let found = |lines: &Vec<String>| lines.iter().find(|line| line.contains(text)).cloned();
        let lines = self.lines.lock().unwrap();
        let waiting = |lines: &mut Vec<String>| {
            found(lines).is_none() && self.open.load(Ordering::SeqCst) > 0
        };
        let (lines, _) = self.more.wait_timeout_while(lines, LIMIT, waiting).unwrap();
        found(&lines).unwrap_or_else(|| panic!("no {text:?} in:\n{}", lines.join("\n")))
    }

    /// Everything, once the program has ended.
    fn whole(&self) -> String {
        let lines = self.lines.lock().unwrap();
        let open = |_: &mut Vec<String>| self.open.load(Ordering::SeqCst) > 0;
        self.more.wait_timeout_while(lines, LIMIT, open).unwrap().0.join("\n")
    }
}

/// The program at work. Its end is the test of its whole output.
struct Running {
    child: Child,
    output: Arc<Output>,
    listen: SocketAddr,
    admin: SocketAddr,
    target: Stub,
    _home: TempDir,
}

impl Running {
    fn get(&self, path: &str) -> (u16, String) {
        get(self.listen, path)
    }

    fn admin(&self, path: &str) -> u16 {
        get(self.admin, path).0
    }

    /// One request, which must be signed with the known credentials.
    fn signs_with_the_known(self) {
        assert_eq!(self.get("/"), (200, "ok".into()));
        let arrived = self.target.arrived();
        assert_eq!(arrived.len(), 1);
        assert_eq!(arrived[0].key(), KEY);
        assert_eq!(arrived[0].header("x-amz-security-token"), Some(TOKEN));
        assert_eq!(self.admin("/readyz"), 200);
        self.stop();
    }

    /// Ends it, and holds that none of its lines gives anything away.
    fn stop(mut self) -> String {
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

fn get(from: SocketAddr, path: &str) -> (u16, String) {
    let mut connection = TcpStream::connect(from).unwrap();
    connection.set_read_timeout(Some(LIMIT)).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

fn profile(name: &str, key: &str) -> String {
    format!(
        "[{name}]\naws_access_key_id = {key}\naws_secret_access_key = {SECRET}\n\
         aws_session_token = {TOKEN}\n"
    )
}

#[test]
fn variables_of_the_environment() {
    Setup::new().with_keys().start().signs_with_the_known();
}

#[test]
fn the_default_profile_of_a_file() {
    Setup::new().file(".aws/credentials", &profile("default", KEY)).start().signs_with_the_known();
}

#[test]
fn a_profile_that_aws_profile_names() {
    Setup::new()
        .file(".aws/credentials", &(profile("default", "AKIAOTHER") + &profile("dev", KEY)))
        .with("AWS_PROFILE", "dev")
        .start()
        .signs_with_the_known();
}

#[test]
fn a_credential_process() {
    let printed = format!(
        r#"{{"Version":1,"AccessKeyId":"{KEY}","SecretAccessKey":"{SECRET}","SessionToken":"{TOKEN}"}}"#
    );
    let setup = Setup::new().file("printed.json", &printed);
    let process = format!("[default]\ncredential_process = cat {}\n", setup.path("printed.json"));
    setup.file(".aws/config", &process).start().signs_with_the_known();
}

#[test]
fn the_agent_of_ecs() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        if TcpListener::bind(address).is_err() {
            continue; // no IPv6 here
        }
        let agent = Stub::agent(address);
        Setup::new()
            .with(
                "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                &format!("{}/v2/credentials/id", agent.url()),
            )
            .start()
            .signs_with_the_known();
        assert_eq!(agent.arrived().len(), 1);
        assert_eq!(agent.arrived()[0].line, "GET /v2/credentials/id HTTP/1.1");
    }
}

#[test]
fn the_agent_of_eks_pod_identity() {
    let agent = Stub::start("127.0.0.1:0", |request| match request.header("authorization") {
        Some("the-pods-own-token") => (200, given(KEY)),
        other => (401, format!("{other:?}")),
    });
    let setup = Setup::new().file("token", "the-pods-own-token");
    let file = setup.path("token");
    let running = setup
        .with("AWS_CONTAINER_CREDENTIALS_FULL_URI", &format!("{}/v1/credentials", agent.url()))
        .with("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", &file)
        .start();
    running.output.wait_for("credentials loaded");
    assert!(!running.output.lines.lock().unwrap().join("\n").contains("the-pods-own-token"));
    running.signs_with_the_known();
}

#[test]
fn version_two_of_imds() {
    let imds = Stub::start("127.0.0.1:0", |request| {
        let first = request.line.as_str();
        let token = request.header("x-aws-ec2-metadata-token");
        let ttl = request.header("x-aws-ec2-metadata-token-ttl-seconds");
        let role = "/latest/meta-data/iam/security-credentials/";
        let extended = "/latest/meta-data/iam/security-credentials-extended/";
        match (first, token) {
            ("PUT /latest/api/token HTTP/1.1", None) if ttl.is_some() => (200, "imds-token".into()),
            (get, Some("imds-token")) if get == format!("GET {role} HTTP/1.1") => {
                (200, "the-role".into())
            }
            (get, Some("imds-token")) if get == format!("GET {role}the-role HTTP/1.1") => {
                (200, given(KEY))
            }
            (get, Some("imds-token")) if get.contains(extended) => (404, String::new()),
            _ => (401, String::new()),
        }
    });
    let running = Setup::new()
        .with("AWS_EC2_METADATA_DISABLED", "false")
        .with("AWS_EC2_METADATA_SERVICE_ENDPOINT", &imds.url())
        .start();
    running.signs_with_the_known();
    let lines: Vec<_> = imds.arrived().into_iter().map(|request| request.line).collect();
    assert!(lines.iter().any(|line| line.starts_with("PUT /latest/api/token")), "{lines:?}");
}

#[test]
fn a_web_identity() {
    let sts = Stub::start("127.0.0.1:0", |request| {
        let asked = ["Action=AssumeRoleWithWebIdentity", "WebIdentityToken=the-pods-jwt"];
        if !asked.iter().all(|asked| request.body.contains(asked)) {
            return (400, request.body.clone());
        }
        let name = "AssumeRoleWithWebIdentity";
        (
            200,
            format!(
                "<{name}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{name}Result>\
             <AssumedRoleUser><Arn>arn:aws:sts::111122223333:assumed-role/caller/x</Arn>\
             <AssumedRoleId>AROA:x</AssumedRoleId></AssumedRoleUser><Credentials>\
             <AccessKeyId>{KEY}</AccessKeyId><SecretAccessKey>{SECRET}</SecretAccessKey>\
             <SessionToken>{TOKEN}</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration>\
             </Credentials></{name}Result></{name}Response>"
            ),
        )
    });
    let setup = Setup::new().file("jwt", "the-pods-jwt");
    let file = setup.path("jwt");
    let running = setup
        .with("AWS_WEB_IDENTITY_TOKEN_FILE", &file)
        .with("AWS_ROLE_ARN", "arn:aws:iam::111122223333:role/caller")
        .with("AWS_ENDPOINT_URL_STS", &sts.url())
        .start();
    running.output.wait_for("credentials loaded");
    assert!(!running.output.lines.lock().unwrap().join("\n").contains("the-pods-jwt"));
    running.signs_with_the_known();
    assert_eq!(sts.arrived().len(), 1);
}

#[test]
fn profiles_of_two_targets_never_mix() {
    let mut setup = Setup::new()
        .file(".aws/credentials", &(profile("one", "AKIAONE") + &profile("two", "AKIATWO")));
    let url = setup.target.url();
    setup.config = ["one", "two"]
        .map(|name| {
            format!(
                "[targets.{name}]\nurl = \"{url}\"\nservice = \"lambda\"\nregion = \"us-east-1\"\n\
         credentials = {{ profile = \"{name}\" }}\n\
         [[routes]]\npath = \"/{name}/{{proxy+}}\"\ntarget = \"{name}\"\n"
            )
        })
        .concat();
    let running = setup.start();
    thread::scope(|scope| {
        for connection in 0..64 {
            let running = &running;
            scope.spawn(move || {
                for number in 0..5 {
                    let name = if (connection + number) % 2 == 0 { "one" } else { "two" };
                    assert_eq!(running.get(&format!("/{name}/{connection}")).0, 200);
                }
            });
        }
    });
    let arrived = running.target.arrived();
    assert_eq!(arrived.len(), 64 * 5);
    for request in &arrived {
        let expected = if request.line.contains("/one/") { "AKIAONE" } else { "AKIATWO" };
        assert_eq!(request.key(), expected, "{}", request.line);
    }
    running.stop();
}

#[test]
fn a_thousand_requests_ask_the_agent_once() {
    let agent = Stub::agent("127.0.0.1:0");
    let running = Setup::new().with("AWS_CONTAINER_CREDENTIALS_FULL_URI", &agent.url()).start();
    thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| (0..50).for_each(|_| assert_eq!(running.get("/").0, 200)));
        }
    });
    assert_eq!(running.target.arrived().len(), 1000);
    assert_eq!(agent.arrived().len(), 1);
}

#[test]
fn without_any_source_nothing_leaves() {
    let running = Setup::new().start();
    let (status, body) = running.get("/");
    assert_eq!(status, 503);
    assert!(body.contains("no_credentials"), "{body}");
    assert_eq!((running.admin("/readyz"), running.admin("/startupz")), (503, 503));
    assert_eq!(running.admin("/livez"), 200);
    let line = running.output.wait_for("credentials could not be loaded");
    for tried in ["environment", "profile", "web identity", "ECS", "EKS", "IMDS"] {
        assert!(line.contains(tried), "no {tried} in {line}");
    }
    assert!(running.target.arrived().is_empty());
    running.stop();
}

#[test]
fn a_profile_of_sso_without_login_says_how_to_log_in() {
    let start = |config: &str| {
        let running = Setup::new().file(".aws/config", config).with("AWS_PROFILE", "dev").start();
        let line = running.output.wait_for("credentials could not be loaded");
        assert!(line.contains("aws sso login --profile dev"), "{line}");
        running.stop();
    };
    start(
        "[profile dev]\nsso_session = corp\nsso_account_id = 111122223333\nsso_role_name = dev\n\
         [sso-session corp]\nsso_region = us-east-1\nsso_start_url = https://corp.example/start\n",
    );
    start(
        "[profile dev]\nsso_account_id = 111122223333\nsso_role_name = dev\n\
         sso_region = us-east-1\nsso_start_url = https://corp.example/start\n",
    );
}

#[test]
fn a_profile_that_is_nowhere_is_named() {
    let running = Setup::new().with("AWS_PROFILE", "nosuch").start();
    let line = running.output.wait_for("credentials could not be loaded");
    assert!(line.contains("define profile `nosuch`"), "{line}");
    running.stop();
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let mut setup = Setup::new().file(".aws/config", "[default]\nregion = eu-west-1\n");
    let file = setup.home.path().join(".aws/config");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::File::open(&file).is_ok() {
        setup.uid = Some(65534); // no file is shut to root
        open_to_all(setup.home.path());
        if !can_be_started(&setup) {
            return; // the build's folder is shut to everybody else
        }
    }
    let running = setup.start();
    let line = running.output.wait_for("credentials could not be loaded");
    assert!(line.contains("/.aws/config` cannot be read by this user"), "{line}");
    running.stop();
}

fn open_to_all(folder: &Path) {
    for folder in [folder.to_owned(), folder.join(".aws")] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

fn can_be_started(setup: &Setup) -> bool {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command.arg("--version").uid(setup.uid.unwrap()).stdout(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

#[test]
fn a_proxy_of_the_environment_is_never_used() {
    let hole = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", hole.local_addr().unwrap());
    let agent = Stub::agent("127.0.0.1:0");
    let mut setup = Setup::new().with("AWS_CONTAINER_CREDENTIALS_FULL_URI", &agent.url());
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]
    {
        setup = setup.with(name, &url);
    }
    setup.start().signs_with_the_known();
    hole.set_nonblocking(true).unwrap();
    assert!(hole.accept().is_err(), "somebody came to the proxy");
}

#[test]
fn an_agent_that_needs_a_moment_is_waited_for() {
    let asked = AtomicUsize::new(0);
    let agent = Stub::start("127.0.0.1:0", move |_| match asked.fetch_add(1, Ordering::SeqCst) {
        0 => (503, "not yet".into()),
        _ => (200, given(KEY)),
    });
    let running = Setup::new().with("AWS_CONTAINER_CREDENTIALS_FULL_URI", &agent.url()).start();
    let began = Instant::now();
    assert_eq!(running.get("/early").0, 200);
    assert!(began.elapsed() < Duration::from_secs(5));
    assert!(agent.arrived().len() >= 2);
    running.stop();
}
