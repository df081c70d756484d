//! Clients that know what each answer has to be.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{Method, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::kinds::{KINDS, Kind, content};
use crate::program::GENERATION;
use crate::target::Target;

/// Whoever waits this long was lost.
const PATIENCE: Duration = Duration::from_secs(20);
/// Each client's numbers begin at its own multiple.
const NUMBERS: u64 = 1 << 32;
/// Failures that are told in full.
const TOLD: usize = 20;

type Connection = SendRequest<BoxBody<Bytes, Infallible>>;

/// What came of a request.
#[derive(Debug)]
enum Outcome {
    /// A whole answer.
    Whole { status: StatusCode, body: Vec<u8> },
    /// A head, and a body that broke off.
    Cut { status: StatusCode, body: Vec<u8> },
    /// The client left.
    Left,
    /// The connection broke without an answer.
    Broken(hyper::Error),
    /// Nothing came.
    Silence,
}

impl Outcome {
    /// What a reader of a failure wants to know.
    fn told(&self) -> String {
        let start =
            |body: &[u8]| String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
        match self {
            Self::Whole { status, body } => {
                format!("{status}, {} bytes whole: {:?}", body.len(), start(body))
            }
            Self::Cut { status, body } => {
                format!("{status}, {} bytes and a cut: {:?}", body.len(), start(body))
            }
            Self::Broken(error) => format!("no answer: {error:?}"),
            Self::Left => "the client left".to_owned(),
            Self::Silence => format!("nothing within {PATIENCE:?}"),
        }
    }
}

/// How often what was asked, and what of it was lost.
#[derive(Debug, Default)]
pub(crate) struct Score {
    tried: BTreeMap<Kind, usize>,
    right: BTreeMap<Kind, usize>,
    /// POSTs that met a kept connection as the target closed it.
    unsent: Vec<u64>,
    wrong: Vec<String>,
    wrong_count: usize,
}

impl Score {
    pub(crate) fn add(&mut self, other: Self) {
        for (kind, count) in other.tried {
            *self.tried.entry(kind).or_default() += count;
        }
        for (kind, count) in other.right {
            *self.right.entry(kind).or_default() += count;
        }
        self.unsent.extend(other.unsent);
        self.wrong.extend(other.wrong);
        self.wrong_count += other.wrong_count;
    }

    fn judge(&mut self, kind: Kind, id: u64, outcome: Outcome) {
        *self.tried.entry(kind).or_default() += 1;
        if is_right(kind, id, &outcome) {
            *self.right.entry(kind).or_default() += 1;
        } else if kind.posts() && is_closed(&outcome) {
            self.unsent.push(id);
        } else {
            self.wrong_count += 1;
            if self.wrong.len() < TOLD {
                self.wrong.push(format!("{kind:?} {id}: {}", outcome.told()));
            }
        }
    }

    /// What was lost without the target's doing.
    pub(crate) fn wrong(&self, target: &Target) -> Vec<String> {
        let mut wrong = target.wrong();
        // what the target has seen, it has answered
        wrong.extend(self.lost(target).map(|id| format!("POST {id} came and has no answer")));
        wrong.extend(self.wrong.iter().cloned());
        if self.unsent.len() > target.closed() / 20 {
            let (unsent, closed) = (self.unsent.len(), target.closed());
            wrong.push(format!("{unsent} POSTs were not sent, with {closed} connections closed"));
        }
        match wrong.is_empty() {
            true => Vec::new(),
            false => vec![format!("{} answers: {wrong:#?}", self.wrong_count.max(wrong.len()))],
        }
    }

    fn lost<'s>(&'s self, target: &'s Target) -> impl Iterator<Item = u64> + 's {
        self.unsent.iter().copied().filter(|id| target.saw(*id))
    }

    pub(crate) fn print(&self, target: &Target) {
        println!("{:<24} {:>9} {:>9}", "what was tried", "how often", "lost");
        for (kind, _, name) in KINDS {
            let count = |of: &BTreeMap<Kind, usize>| of.get(&kind).copied().unwrap_or_default();
            let lost = count(&self.tried) - count(&self.right);
            println!("{name:<24} {:>9} {lost:>9}", count(&self.tried));
        }
        let unsent = self.unsent.len() - self.lost(target).count();
        println!("{:<24} {:>9} {unsent:>9} POSTs", "kept connection closed", target.closed());
        let (given, refused) = target.keys.count();
        println!("{:<24} {given:>9}", "credentials renewed");
        println!("{:<24} {refused:>9}", "credentials refused");
    }
}

/// Whether this is the answer that the target gave, or what its fault has to look like.
fn is_right(kind: Kind, id: u64, outcome: &Outcome) -> bool {
    let expected = || content(!id, kind.answer_size(id));
    match (kind, outcome) {
        (Kind::Reset, Outcome::Whole { status, body }) => {
            *status == 502 && code(body) == "upstream_closed"
        }
        (Kind::Stall, Outcome::Whole { status, body }) => {
            *status == 504 && code(body) == "response_timeout"
        }
        (Kind::Cut | Kind::StallWithin, Outcome::Cut { status, body }) => {
            *status == 200 && expected().starts_with(body)
        }
        (Kind::Reset | Kind::Stall | Kind::Cut | Kind::StallWithin, _) => false,
        (Kind::LeftStream, outcome) => matches!(outcome, Outcome::Left),
        (kind, Outcome::Whole { status, body }) => {
            let wanted = match kind {
                Kind::TooMany => 429,
                Kind::Unavailable => 503,
                _ => 200,
            };
            *status == wanted && *body == expected()
        }
        _ => false,
    }
}

fn is_closed(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Whole { status, body }
        if *status == 502 && code(body) == "upstream_closed")
}

/// The code of an answer of the program's own.
fn code(body: &[u8]) -> String {
    let problem: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    problem["code"].as_str().unwrap_or_default().to_owned()
}

/// Has the program load its credentials and open its first connection.
pub(crate) async fn warm_up(address: SocketAddr) {
    let id = u64::MAX - 1;
    let outcome = ask(&mut None, address, Kind::Get, id).await;
    assert!(is_right(Kind::Get, id, &outcome), "it does not work at all: {outcome:?}");
}

/// The generation of the configuration that answers now.
pub(crate) async fn generation(address: SocketAddr) -> Option<u64> {
    let mut connection = connect(address).await;
    let answer = connection.send_request(request(Kind::Get, u64::MAX - 1)).await.ok()?;
    answer.headers().get(GENERATION)?.to_str().ok()?.parse().ok()
}

/// One client that asks without a pause.
pub(crate) async fn ask_until(address: SocketAddr, until: Instant, number: u64) -> Score {
    let mut score = Score::default();
    let mut connection = None;
    for id in number * NUMBERS.. {
        if Instant::now() >= until {
            break;
        }
        let kind = Kind::any();
        let asked = timeout(PATIENCE, ask(&mut connection, address, kind, id)).await;
        let outcome = asked.unwrap_or_else(|_| {
            connection = None;
            Outcome::Silence
        });
        score.judge(kind, id, outcome);
    }
    score
}

/// One request, on the connection that there is.
async fn ask(kept: &mut Option<Connection>, address: SocketAddr, kind: Kind, id: u64) -> Outcome {
    let mut connection = match kept.take() {
        Some(kept) if !kept.is_closed() => kept,
        _ => connect(address).await,
    };
    if connection.ready().await.is_err() {
        connection = connect(address).await;
    }
    let answer = match connection.send_request(request(kind, id)).await {
        Ok(answer) => answer,
        Err(error) => return Outcome::Broken(error),
    };
    let outcome = read(kind, answer).await;
    if matches!(outcome, Outcome::Whole { .. }) {
        *kept = Some(connection);
    }
    outcome
}

async fn connect(address: SocketAddr) -> Connection {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

async fn read(kind: Kind, answer: Response<Incoming>) -> Outcome {
    let status = answer.status();
    let mut incoming = answer.into_body();
    let mut body = Vec::new();
    while let Some(frame) = incoming.frame().await {
        match frame {
            Ok(frame) => body.extend(frame.into_data().unwrap_or_default()),
            Err(_) => return Outcome::Cut { status, body },
        }
        if kind == Kind::LeftStream {
            return Outcome::Left;
        }
    }
    Outcome::Whole { status, body }
}

fn request(kind: Kind, id: u64) -> Request<BoxBody<Bytes, Infallible>> {
    let method = if kind.posts() { Method::POST } else { Method::GET };
    let body = content(id, kind.body_size(id));
    let segment = kind.segment();
    // what SigV4 reads in more than one way comes along
    let mut request = Request::builder()
        .method(method)
        .uri(format!("/{segment}/./a%20b//{id}?q=a+b&&c=%E9"))
        .header("host", "localhost")
        .header("x-amz-meta-note", "two  spaces\tand a tab");
    if kind == Kind::StreamedUpload {
        request = request.header("x-amz-content-sha256", hex::encode(Sha256::digest(&body)));
    }
    let body = match kind {
        Kind::ChunkedUpload | Kind::StreamedUpload => chunked(&body),
        _ => Full::from(body).boxed(),
    };
    request.body(body).unwrap()
}

/// In pieces of any size, so that its length is not known.
fn chunked(body: &[u8]) -> BoxBody<Bytes, Infallible> {
    let pieces = body.chunks(fastrand::usize(1_000..20_000));
    let frames: Vec<_> =
        pieces.map(|piece| Ok(Frame::data(Bytes::copy_from_slice(piece)))).collect();
    BodyExt::boxed(StreamBody::new(stream::iter(frames)))
}
