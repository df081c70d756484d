//! A target that verifies every signature and every body, answers by the request's number, and
//! misbehaves where the path says so. Now and then it closes a kept connection without a word.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::header::AUTHORIZATION;
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use crate::credentials::Keys;
use crate::kinds::{Kind, content};
use crate::wire::{Asked, Ended, Requests};

/// One of so many answers is followed by a silent close.
const CLOSES: u32 = 50;
/// A silent target waits to be left; the program's limit for it is far shorter.
const SILENCE: Duration = Duration::from_secs(30);
/// Between the pieces of a streamed answer.
const PAUSE: Duration = Duration::from_millis(2);
const PIECE: usize = 16_000;

const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

/// What it knows and what it noted.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) keys: Keys,
    noted: Mutex<Noted>,
}

#[derive(Debug, Default)]
struct Noted {
    /// How often each request came, whole.
    came: HashMap<u64, (Kind, u32)>,
    closed: usize,
    wrong: Vec<String>,
}

/// Whether the connection goes on.
enum Then {
    Next,
    Close,
    Reset,
}

impl Target {
    pub(crate) fn new(keys: Keys) -> Self {
        Self { keys, noted: Mutex::default() }
    }

    /// Whether this request came whole.
    pub(crate) fn saw(&self, id: u64) -> bool {
        self.noted.lock().unwrap().came.contains_key(&id)
    }

    /// How many kept connections it closed.
    pub(crate) fn closed(&self) -> usize {
        self.noted.lock().unwrap().closed
    }

    /// What came that no proxy may send.
    pub(crate) fn wrong(&self) -> Vec<String> {
        self.noted.lock().unwrap().wrong.clone()
    }

    /// A request that is not idempotent and came twice.
    pub(crate) fn sent_twice(&self) -> Option<String> {
        let noted = self.noted.lock().unwrap();
        let twice = noted.came.iter().filter(|(_, (kind, times))| kind.posts() && *times > 1);
        let twice = twice.count();
        (twice > 0).then(|| format!("{twice} POSTs were sent twice"))
    }

    async fn serve(self: Arc<Self>, stream: TcpStream) {
        stream.set_nodelay(true).unwrap();
        let (read, mut write) = stream.into_split();
        let mut requests = Requests::new(read);
        loop {
            let asked = match requests.next().await {
                Ok(asked) => asked,
                Err(Ended::Wrong(why)) => return self.noted.lock().unwrap().wrong.push(why),
                Err(Ended::Closed | Ended::Cut) => return,
            };
            let (kind, id) = match self.judge(&asked) {
                Ok(judged) => judged,
                Err(why) => return self.noted.lock().unwrap().wrong.push(why),
            };
            // a few are refused at first, as a service does that is too busy: fewer than the
            // budget for retries lets through
            let kind = match (kind, self.note(kind, id)) {
                (Kind::Retried, 1) if id.is_multiple_of(8) => Kind::Unavailable,
                (kind, _) => kind,
            };
            match answer(kind, id, &mut write, &mut requests).await {
                Then::Next if fastrand::u32(..CLOSES) > 0 => {}
                Then::Next => {
                    self.noted.lock().unwrap().closed += 1;
                    return;
                }
                Then::Close => return,
                Then::Reset => return write.as_ref().set_zero_linger().unwrap(),
            }
        }
    }

    /// What is asked, if the signature and the body are right.
    fn judge(&self, asked: &Asked) -> Result<(Kind, u64), String> {
        let authorization = asked.head.headers.get(AUTHORIZATION);
        let authorization = authorization.and_then(|value| value.to_str().ok());
        let authorization = authorization.ok_or("an unsigned request came")?;
        let verifier =
            self.keys.verifier(authorization).ok_or("a request of an unknown key came")?;
        verifier.verify(&asked.head, &asked.body).map_err(|refusal| refusal.to_string())?;
        let path = asked.head.uri.path();
        let kind = Kind::of_path(path).ok_or("a path that nobody asked for")?;
        let id = path.rsplit('/').next().and_then(|id| id.parse().ok());
        let id: u64 = id.ok_or("a number that nobody asked for")?;
        if asked.body != content(id, kind.body_size(id)) {
            return Err(format!("{kind:?} {id} came with another body"));
        }
        Ok((kind, id))
    }

    /// Notes that it came; gives the number of times.
    fn note(&self, kind: Kind, id: u64) -> u32 {
        let mut noted = self.noted.lock().unwrap();
        let (_, times) = noted.came.entry(id).or_insert((kind, 0));
        *times += 1;
        *times
    }
}

/// Starts it.
pub(crate) async fn serve(target: Arc<Target>) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(Arc::clone(&target).serve(stream));
        }
    });
    address
}

async fn answer(
    kind: Kind,
    id: u64,
    write: &mut OwnedWriteHalf,
    requests: &mut Requests<OwnedReadHalf>,
) -> Then {
    let body = content(!id, kind.answer_size(id));
    let sent = match kind {
        Kind::Reset => return Then::Reset,
        Kind::Stall => return silent(requests).await,
        Kind::Stream | Kind::LeftStream => stream(write, &body).await,
        Kind::Cut | Kind::StallWithin => {
            let _ = write.write_all(&begun(id, &body)).await;
            if kind == Kind::StallWithin {
                return silent(requests).await;
            }
            sleep(PAUSE).await; // a reset takes what is still on its way with it
            return Then::Reset;
        }
        _ => write.write_all(&[head(status(kind), body.len()).as_bytes(), &body].concat()).await,
    };
    if sent.is_ok() { Then::Next } else { Then::Close }
}

/// The first half of an answer, in both kinds of framing.
fn begun(id: u64, body: &[u8]) -> Vec<u8> {
    let half = &body[..body.len() / 2];
    if id.is_multiple_of(2) {
        return [head("200 OK", body.len()).as_bytes(), half].concat();
    }
    let head = format!("{CHUNKED}{:x}\r\n", half.len());
    [head.as_bytes(), half, b"\r\n"].concat()
}

async fn silent(requests: &mut Requests<OwnedReadHalf>) -> Then {
    let _ = timeout(SILENCE, requests.next()).await; // ends when the other side does
    Then::Close
}

async fn stream(write: &mut OwnedWriteHalf, body: &[u8]) -> std::io::Result<()> {
    write.write_all(CHUNKED.as_bytes()).await?;
    for piece in body.chunks(PIECE) {
        let size = format!("{:x}\r\n", piece.len());
        write.write_all(&[size.as_bytes(), piece, b"\r\n"].concat()).await?;
        sleep(PAUSE).await;
    }
    write.write_all(b"0\r\n\r\n").await
}

fn status(kind: Kind) -> &'static str {
    match kind {
        Kind::TooMany => {
            "429 Too Many Requests\r\nretry-after: 1\r\nx-amzn-errortype: TooManyRequestsException"
        }
        Kind::Unavailable => {
            "503 Service Unavailable\r\nx-amzn-errortype: ServiceUnavailableException"
        }
        _ => "200 OK",
    }
}

fn head(status: &str, length: usize) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n")
}
