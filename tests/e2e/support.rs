//! The program in front of a target that a test drives by hand, or of the verifying emulator.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign::app::{App, Ended, StartError};
use countersign::clock::Clock;
use countersign::config::Config;
use countersign::config::load::{Inputs, load};
use countersign::credentials::Stores;
use countersign::emulator::{self, ContentSha256, Emulator, KnownCredentials};
use countersign::listen::Connections;
use countersign::secret::Secret;
use countersign::sigv4::SigningCredentials;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(15);

pub(crate) const KEY: &str = "AKIDEXAMPLE";
pub(crate) const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
pub(crate) const TOKEN: &str = "IQoJb3JpZ2luX2VjEXAMPLE//////////token==";

/// A short answer of a target that ends its connection.
pub(crate) const OK: &[u8] = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok";

/// Fails instead of hanging.
pub(crate) async fn soon<F: Future>(what: F) -> F::Output {
    tokio::time::timeout(PATIENCE, what).await.expect("it takes too long")
}

pub(crate) fn credentials() -> SigningCredentials {
    SigningCredentials::new(KEY, Secret::new(SECRET), Some(TOKEN)).unwrap()
}

/// What a test says of the configuration.
pub(crate) struct Setup {
    target: String,
    top: String,
    route: String,
    tables: String,
}

impl Setup {
    /// One target, `http://ADDRESS`, and a route that sends everything to it.
    pub(crate) fn to(target: SocketAddr) -> Self {
        Self::to_url(&format!("http://{target}"))
    }

    pub(crate) fn to_url(target: &str) -> Self {
        let none = String::new;
        Self { target: target.to_owned(), top: none(), route: none(), tables: none() }
    }

    /// Keys at the top of the file.
    pub(crate) fn top(mut self, keys: &str) -> Self {
        self.top.push_str(keys);
        self.top.push('\n');
        self
    }

    /// Keys of the route.
    pub(crate) fn route(mut self, keys: &str) -> Self {
        self.route.push_str(keys);
        self.route.push('\n');
        self
    }

    /// Tables after it.
    pub(crate) fn tables(mut self, tables: &str) -> Self {
        self.tables.push_str(tables);
        self
    }

    fn text(&self) -> String {
        let listen = if self.top.contains("listen =") { "" } else { "listen = [\"127.0.0.1:0\"]" };
        let admin = if self.top.contains("admin =") { "" } else { "admin = false" };
        format!(
            "{listen}\n{admin}\n{}\n[targets.only]\nurl = \"{}\"\nservice = \"lambda\"\n\
             region = \"us-east-1\"\n[[routes]]\ntarget = \"only\"\n{}\n{}",
            self.top, self.target, self.route, self.tables
        )
    }

    pub(crate) fn config(&self) -> Config {
        config_of(&self.text())
    }

    pub(crate) async fn start(self) -> Proxy {
        self.start_with(|config, clock| Stores::fixed(config, &credentials(), clock)).await
    }

    pub(crate) async fn start_with(self, stores: impl FnOnce(&Config, &Clock) -> Stores) -> Proxy {
        self.try_start(stores).await.unwrap()
    }

    pub(crate) async fn try_start(
        self,
        stores: impl FnOnce(&Config, &Clock) -> Stores,
    ) -> Result<Proxy, StartError> {
        self.try_start_at(Clock::system(), stores).await
    }

    /// With a clock of the test's own.
    pub(crate) async fn try_start_at(
        self,
        clock: Clock,
        stores: impl FnOnce(&Config, &Clock) -> Stores,
    ) -> Result<Proxy, StartError> {
        let config = self.config();
        let stores = stores(&config, &clock);
        Proxy::try_of(config, stores, clock).await
    }
}

/// What a whole file means.
fn config_of(text: &str) -> Config {
    let variable = ("COUNTERSIGN_CONFIG_TOML".to_owned(), text.to_owned());
    let inputs = Inputs { environment: vec![variable], ..Inputs::default() };
    load(&inputs).unwrap_or_else(|problems| panic!("{problems:?}\n{text}"))
}

/// The program with a whole file of the test's own.
pub(crate) async fn serve(text: &str) -> Proxy {
    let (config, clock) = (config_of(text), Clock::system());
    let stores = Stores::fixed(&config, &credentials(), &clock);
    Proxy::try_of(config, stores, clock).await.unwrap()
}

/// The program, serving.
pub(crate) struct Proxy {
    pub(crate) addresses: Vec<String>,
    pub(crate) clock: Clock,
    pub(crate) admin: Option<SocketAddr>,
    pub(crate) connections: Arc<Connections>,
    stop: CancellationToken,
    serving: JoinHandle<Ended>,
}

impl Proxy {
    async fn try_of(config: Config, stores: Stores, clock: Clock) -> Result<Self, StartError> {
        let app = App::new(Arc::new(config), stores, clock.clone()).await?;
        let addresses = app.addresses();
        let (admin, connections) = (app.admin_address(), app.connections());
        let stop = CancellationToken::new();
        let serving = tokio::spawn(app.serve(stop.clone(), CancellationToken::new()));
        Ok(Self { addresses, admin, connections, clock, stop, serving })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.addresses[0].strip_prefix("http://").unwrap().parse().unwrap()
    }

    pub(crate) async fn connect(&self) -> Wire<TcpStream> {
        let stream = TcpStream::connect(self.address()).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Wire::new(stream)
    }

    /// One request on a connection of its own, which is kept until the answer is read.
    pub(crate) async fn ask(&self, request: impl AsRef<[u8]>) -> Answer {
        let mut client = self.connect().await;
        client.send(request).await;
        client.answer().await
    }

    /// One request to the admin listener.
    pub(crate) async fn admin(&self, path: &str) -> Answer {
        let stream = TcpStream::connect(self.admin.unwrap()).await.unwrap();
        let mut client = Wire::new(stream);
        client.send(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n")).await;
        client.answer().await
    }

    /// Asks the admin listener until its answer is as it is to be.
    pub(crate) async fn admin_until(&self, path: &str, fits: impl Fn(&Answer) -> bool) -> Answer {
        let asked = async {
            loop {
                let answer = self.admin(path).await;
                if fits(&answer) {
                    return answer;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        soon(asked).await
    }

    pub(crate) async fn stop(self) -> Ended {
        self.stop.cancel();
        soon(self.serving).await.unwrap()
    }
}

/// A target that answers what the test says.
pub(crate) struct Target(TcpListener);

impl Target {
    pub(crate) async fn bind() -> Self {
        Self(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap())
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    /// The next connection.
    pub(crate) async fn accept(&self) -> Wire<TcpStream> {
        let (stream, _) = soon(self.0.accept()).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Wire::new(stream)
    }

    /// Whether nobody has connected so far.
    pub(crate) async fn is_untouched(&self) -> bool {
        let moment = Duration::from_millis(50);
        tokio::time::timeout(moment, self.0.accept()).await.is_err()
    }

    /// Sends `request` through the proxy and answers it: what the target saw, what the client got.
    pub(crate) async fn exchange(
        &self,
        proxy: &Proxy,
        request: impl AsRef<[u8]>,
        answer: impl AsRef<[u8]>,
    ) -> (Head, Answer) {
        let mut client = proxy.connect().await;
        client.send(request).await;
        let mut target = self.accept().await;
        let seen = target.head().await;
        target.send(answer).await;
        (seen, client.answer().await)
    }

    /// What the target sees of `request`.
    pub(crate) async fn sees(&self, proxy: &Proxy, request: impl AsRef<[u8]>) -> Head {
        let (seen, answer) = self.exchange(proxy, request, OK).await;
        assert_eq!(answer.status(), 200);
        seen
    }
}

/// A Function URL that verifies; the proxy's credentials may call it.
pub(crate) async fn function() -> SocketAddr {
    function_of(emulator::Settings::new(vec![caller()])).await
}

/// Whom the proxy's credentials stand for.
pub(crate) fn caller() -> KnownCredentials {
    KnownCredentials {
        access_key_id: KEY.to_owned(),
        secret_access_key: Secret::new(SECRET),
        session_token: Some(Secret::new(TOKEN)),
        expires: None,
        arn: "arn:aws:iam::111122223333:user/caller".to_owned(),
    }
}

/// A Function URL that verifies, as a test wants it.
pub(crate) async fn function_of(mut settings: emulator::Settings) -> SocketAddr {
    settings.content_sha256 = ContentSha256::Required;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(emulator::serve(listener, Emulator::new(settings), CancellationToken::new()));
    address
}

/// One end of a connection.
pub(crate) struct Wire<S> {
    pub(crate) stream: S,
    read: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, read: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        soon(self.stream.write_all(bytes.as_ref())).await.unwrap();
    }

    /// Sends piece by piece, as a client does that is still at it while the answer comes: into a
    /// connection that is closed already it fails. False where it took longer than a proxy listens
    /// to such a client: then the machine was busy, and nothing is shown.
    pub(crate) async fn send_slowly(&mut self, bytes: &[u8]) -> bool {
        let began = Instant::now();
        let is_in_time = || began.elapsed() < Duration::from_millis(800);
        for piece in bytes.chunks(bytes.len().div_ceil(4)) {
            if let Err(error) = soon(self.stream.write_all(piece)).await {
                assert!(!is_in_time(), "{error}");
                return false;
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        is_in_time()
    }

    /// Reads more; false at the end.
    async fn more(&mut self) -> std::io::Result<bool> {
        Ok(soon(self.stream.read_buf(&mut self.read)).await? > 0)
    }

    /// Whether there is more to read before the end.
    pub(crate) async fn begins(&mut self) -> bool {
        !self.read.is_empty() || matches!(self.stream.read_buf(&mut self.read).await, Ok(1..))
    }

    /// A head with its blank line.
    pub(crate) async fn head(&mut self) -> Head {
        loop {
            if let Some(at) = find(&self.read, b"\r\n\r\n") {
                return Head(self.read.drain(..at + 4).collect());
            }
            let so_far = String::from_utf8_lossy(&self.read).into_owned();
            assert!(self.more().await.unwrap(), "the head ends too early: {so_far:?}");
        }
    }

    pub(crate) async fn bytes(&mut self, count: usize) -> Vec<u8> {
        while self.read.len() < count {
            assert!(self.more().await.unwrap(), "the connection ends too early");
        }
        self.read.drain(..count).collect()
    }

    /// Everything up to the end, and how it ended.
    pub(crate) async fn rest(&mut self) -> (Vec<u8>, std::io::Result<()>) {
        let ended = loop {
            match self.more().await {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        (std::mem::take(&mut self.read), ended)
    }

    /// Whether the other side has closed, one way or the other, with nothing more to read.
    pub(crate) async fn closes(&mut self) -> bool {
        let (rest, _) = self.rest().await;
        rest.is_empty()
    }

    async fn line(&mut self) -> Vec<u8> {
        loop {
            if let Some(at) = find(&self.read, b"\r\n") {
                let line = self.read.drain(..at + 2).collect::<Vec<u8>>();
                return line[..at].to_vec();
            }
            assert!(self.more().await.unwrap(), "a line ends too early");
        }
    }

    /// One chunk of a chunked body; empty at the end of it.
    pub(crate) async fn chunk(&mut self) -> Vec<u8> {
        let size = String::from_utf8(self.line().await).unwrap();
        let size = usize::from_str_radix(&size, 16).unwrap();
        let data = self.bytes(size).await;
        assert!(self.line().await.is_empty());
        data
    }

    /// An answer, whole.
    pub(crate) async fn answer(&mut self) -> Answer {
        let head = self.head().await;
        let body = if let Some(length) = head.text("content-length") {
            self.bytes(length.parse().unwrap()).await
        } else if head.text("transfer-encoding").is_some() {
            self.chunks().await
        } else {
            self.rest().await.0
        };
        Answer { head, body }
    }

    pub(crate) async fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let chunk = self.chunk().await;
            if chunk.is_empty() {
                return body;
            }
            body.extend(chunk);
        }
    }
}

/// The head of a request or an answer, as it was on the wire.
#[derive(Debug)]
pub(crate) struct Head(pub(crate) Vec<u8>);

impl Head {
    /// The first line.
    pub(crate) fn line(&self) -> String {
        String::from_utf8(self.lines().next().unwrap().to_vec()).unwrap()
    }

    fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line))
    }

    /// The path and query of a request.
    pub(crate) fn asked(&self) -> String {
        self.line().split(' ').nth(1).unwrap().to_owned()
    }

    pub(crate) fn status(&self) -> u16 {
        self.line().split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// The values of a header, in order, byte for byte.
    pub(crate) fn all(&self, name: &str) -> Vec<&[u8]> {
        let of = |line| -> Option<&[u8]> {
            let line: &[u8] = line;
            let colon = line.iter().position(|byte| *byte == b':')?;
            let (found, value) = line.split_at(colon);
            found.eq_ignore_ascii_case(name.as_bytes()).then(|| value[1..].trim_ascii())
        };
        self.lines().skip(1).filter_map(of).collect()
    }

    /// The only value of a header.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        let all = self.all(name);
        assert!(all.len() < 2, "{name} stands there {} times", all.len());
        all.first().map(|value| String::from_utf8(value.to_vec()).unwrap())
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        !self.all(name).is_empty()
    }
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        self.head.status()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The stable code of an answer of countersign's own.
    pub(crate) fn code(&self) -> String {
        self.json()["code"].as_str().unwrap().to_owned()
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|part| part == wanted)
}

/// The digest of `body` in hex.
pub(crate) fn sha256(body: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    hex::encode(Sha256::digest(body))
}
