//! Whatever bytes a client sends, the listener ends the connection in time and without a panic,
//! and what reaches the target is whole, signed requests: one for each that is answered. A second
//! request hidden in the first would arrive there without a signature.

use std::cell::RefCell;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use countersign::app::App;
use countersign::credentials::Stores;
use countersign::emulator::Emulator;
use http::header::{AUTHORIZATION, VIA};
use http::{HeaderMap, Method};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::task::LocalSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::wire::{Asked, Ended, Requests};

/// Nothing more comes after this; where it does, the client has left early, which clients do.
const QUIET: Duration = Duration::from_millis(3);
/// Nothing here waits for anybody, so this long is a hang.
const PATIENCE: Duration = Duration::from_secs(10);

/// Below this path bodies are streamed under the client's own digest.
const STREAMED: &str = "/streamed";

thread_local! {
    static LAB: Lab = Lab::new();
}

/// Sends the bytes.
pub(crate) fn holds(sent: &[u8]) {
    LAB.with(|lab| lab.local.block_on(&lab.runtime, lab.case(sent)));
}

/// The program and its target, which live as long as the thread.
struct Lab {
    runtime: Runtime,
    local: LocalSet,
    proxy: SocketAddr,
    target: Rc<Target>,
}

/// What the target saw.
struct Target {
    function: Emulator,
    seen: RefCell<Seen>,
}

#[derive(Default)]
struct Seen {
    /// What each answer was marked with, which no input can guess.
    marks: Vec<String>,
    wrong: Vec<String>,
}

impl Lab {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a thread may have a runtime");
        let local = LocalSet::new();
        let target = Rc::new(Target { function: super::function(), seen: RefCell::default() });
        let proxy = local.block_on(&runtime, start(Rc::clone(&target)));
        Self { runtime, local, proxy, target }
    }

    async fn case(&self, sent: &[u8]) {
        self.target.seen.borrow_mut().marks.clear();
        let received = self.converse(sent).await;
        tokio::task::yield_now().await;
        let seen = self.target.seen.borrow();
        assert!(seen.wrong.is_empty(), "the target saw {:#?}", seen.wrong);
        let received = String::from_utf8_lossy(&received);
        let answered = seen.marks.iter().filter(|mark| received.contains(*mark)).count();
        let asked = seen.marks.len();
        // the client may have left while one was on its way
        let accounted = answered == asked || answered + 1 == asked;
        assert!(accounted, "{asked} requests and {answered} answers: {received}");
        assert!(!received.contains("HTTP/1.1 500 "), "a panic: {received}");
    }

    /// What comes back until the end of the connection.
    async fn converse(&self, sent: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect(self.proxy).await.expect("the listener stands");
        stream.set_nodelay(true).expect("it is a TCP socket");
        stream.set_zero_linger().expect("it is a TCP socket"); // or ports would run out
        let written = timeout(PATIENCE, stream.write_all(sent)).await;
        let _ = written.expect("the listener neither reads nor closes"); // it may close early
        let mut received = Vec::new();
        // a broken connection is an end too
        while let Ok(Ok(1..)) = timeout(QUIET, stream.read_buf(&mut received)).await {}
        let _ = stream.shutdown().await;
        let rest = timeout(PATIENCE, stream.read_to_end(&mut received)).await;
        let _ = rest.expect("the listener does not close");
        received
    }
}

/// Starts the program in front of `target`.
async fn start(target: Rc<Target>) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("loopback has a port");
    let address = listener.local_addr().expect("it is bound");
    tokio::task::spawn_local(accept(listener, target));
    let config = super::of_text(&format!(
        "listen = [\"127.0.0.1:0\"]\nadmin = false\n\
         [targets.only]\nurl = \"http://{address}\"\nservice = \"lambda\"\nregion = \"us-east-1\"\n\
         [[routes]]\ntarget = \"only\"\n\
         [[routes]]\ntarget = \"only\"\nprefix = \"{STREAMED}\"\npayload = \"client-digest\"\n"
    ));
    let config = config.expect("the configuration is valid");
    let stores = Stores::fixed(&config, &super::credentials(), &super::clock());
    let app = App::new(Arc::new(config), stores, super::clock()).await.expect("it starts");
    let proxy = app.addresses()[0].strip_prefix("http://").and_then(|address| address.parse().ok());
    tokio::spawn(app.serve(CancellationToken::new(), CancellationToken::new()));
    proxy.expect("it listens on TCP")
}

async fn accept(listener: TcpListener, target: Rc<Target>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::task::spawn_local(Rc::clone(&target).serve(stream));
    }
}

impl Target {
    async fn serve(self: Rc<Self>, mut stream: TcpStream) {
        let (read, mut write) = stream.split();
        let mut requests = Requests::new(read);
        loop {
            match requests.next().await {
                Ok(asked) => {
                    let answer = self.answer(&asked);
                    if write.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
                Err(Ended::Wrong(why)) => return self.seen.borrow_mut().wrong.push(why),
                Err(Ended::Closed | Ended::Cut) => return,
            }
        }
    }

    fn answer(&self, asked: &Asked) -> String {
        let mut seen = self.seen.borrow_mut();
        if let Err(why) = self.judge(asked) {
            seen.wrong.push(format!("{why}: {asked:?}"));
        }
        let body = if asked.head.method == Method::HEAD { "" } else { "ok" };
        let mark = format!("{:016x}", fastrand::u64(..));
        let head = format!("HTTP/1.1 200 OK\r\nx-answer: {mark}\r\ncontent-length: 2\r\n\r\n");
        seen.marks.push(mark);
        head + body
    }

    fn judge(&self, asked: &Asked) -> Result<(), String> {
        let headers = &asked.head.headers;
        let ours = |via: &http::HeaderValue| via.as_bytes().starts_with(b"1.1 countersign-");
        if !headers.get_all(VIA).iter().any(ours) || lines(headers, AUTHORIZATION.as_str()) != 1 {
            return Err("it is not ours".to_owned());
        }
        for hop in ["connection", "keep-alive", "te", "trailer", "upgrade", "proxy-authorization"] {
            if lines(headers, hop) > 0 {
                return Err(format!("`{hop}` was passed on"));
            }
        }
        if asked.head.uri.path().starts_with(STREAMED) {
            return Ok(()); // the digest is the client's, right or wrong
        }
        self.function.verify(&asked.head, &asked.body).map_err(|refusal| refusal.to_string())
    }
}

fn lines(headers: &HeaderMap, name: &str) -> usize {
    headers.get_all(name).iter().count()
}
