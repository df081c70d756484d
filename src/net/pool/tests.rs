//! Over real sockets: which connection a request gets, and what becomes of it afterwards.

use std::net::Ipv4Addr;

use http_body_util::{BodyExt, Empty, Full};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::*;
use crate::config::{Proxy, Roots, Upstream};

type Nothing = Empty<Bytes>;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const LONG: Duration = Duration::from_secs(3600);
/// A test that waits this long has failed.
const LIMIT: Duration = Duration::from_secs(15);

#[derive(Debug)]
struct Nobody;

impl Lookout for Nobody {
    fn reached(&self) {}

    fn missed(&self, _: &ConnectError, _: std::time::Instant) {}
}

/// A pool, and the target that it is for.
struct Bench {
    pool: Pool<Nothing>,
    target: TcpListener,
}

impl Bench {
    async fn new(idle: Duration, most_idle: usize) -> Self {
        Self::with(idle, (most_idle, &Census::new(usize::MAX))).await
    }

    async fn with(idle: Duration, bounds: (usize, &Arc<Census>)) -> Self {
        let target = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let to = format!("http://{}/", target.local_addr().unwrap()).parse().unwrap();
        let (roots, proxy) = (Roots::BuiltIn, Proxy::None);
        let upstream = Upstream { roots, ca_file: None, ca_pem: None, proxy, idle };
        let connector = Connector::with(&upstream, LIMIT).unwrap();
        Self { pool: Pool::new(connector, to, idle, bounds, Arc::new(Nobody)), target }
    }

    /// A request under way; what it came on once its answer has been read.
    fn ask(&self) -> tokio::task::JoinHandle<CameOn> {
        let pool = Pool(Arc::clone(&self.pool.0));
        tokio::spawn(async move {
            let (answer, came_on) = pool.send(request(), Reuse::Allowed, far()).await.unwrap();
            let mut body = answer.into_body();
            while let Some(frame) = body.frame().await {
                frame.unwrap();
            }
            came_on
        })
    }

    async fn accept(&self) -> TcpStream {
        soon(self.target.accept()).await.unwrap().0
    }
}

fn request() -> Request<Nothing> {
    Request::builder().uri("/").header("host", "target").body(Empty::new()).unwrap()
}

fn far() -> Instant {
    Instant::now() + LIMIT
}

async fn soon<F: Future>(what: F) -> F::Output {
    timeout(LIMIT, what).await.expect("it takes too long")
}

/// Reads the head of a request.
async fn head(stream: &mut TcpStream) {
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\n") {
        read.push(soon(stream.read_u8()).await.unwrap());
    }
}

/// Reads a request and answers it.
async fn answer(stream: &mut TcpStream) {
    head(stream).await;
    stream.write_all(OK).await.unwrap();
}

/// Waits until the other side has closed.
async fn closed(stream: &mut TcpStream) {
    let ended = soon(stream.read_u8()).await;
    assert!(ended.is_err(), "{ended:?} came instead");
}

#[tokio::test]
async fn a_connection_is_kept_for_the_next_request() {
    let bench = Bench::new(LONG, 8).await;
    let first = bench.ask();
    let mut stream = bench.accept().await;
    answer(&mut stream).await;
    assert_eq!(soon(first).await.unwrap(), CameOn::New);
    for _ in 0..3 {
        let next = bench.ask();
        answer(&mut stream).await;
        assert_eq!(soon(next).await.unwrap(), CameOn::Kept);
    }
}

#[tokio::test]
async fn the_one_that_was_used_last_is_taken_first() {
    let bench = Bench::new(LONG, 8).await;
    let (first, mut one) = (bench.ask(), bench.accept().await);
    head(&mut one).await;
    let (second, mut other) = (bench.ask(), bench.accept().await);
    answer(&mut other).await;
    soon(second).await.unwrap();
    one.write_all(OK).await.unwrap();
    soon(first).await.unwrap();
    let third = bench.ask();
    answer(&mut one).await;
    assert_eq!(soon(third).await.unwrap(), CameOn::Kept);
}

#[tokio::test]
async fn a_connection_at_rest_is_closed_in_time() {
    let bench = Bench::new(Duration::from_millis(100), 8).await;
    for _ in 0..2 {
        let asked = bench.ask(); // after the first one nobody watches any more
        let mut stream = bench.accept().await;
        answer(&mut stream).await;
        assert_eq!(soon(asked).await.unwrap(), CameOn::New);
        closed(&mut stream).await;
    }
}

#[tokio::test]
async fn no_more_are_kept_than_may_be() {
    let bench = Bench::new(LONG, 1).await;
    let (first, second) = (bench.ask(), bench.ask());
    let (mut one, mut other) = (bench.accept().await, bench.accept().await);
    head(&mut one).await;
    head(&mut other).await;
    one.write_all(OK).await.unwrap();
    other.write_all(OK).await.unwrap();
    soon(first).await.unwrap();
    soon(second).await.unwrap();
    tokio::select! {
        () = closed(&mut one) => {}
        () = closed(&mut other) => {}
    }
    assert_eq!(bench.pool.0.resting().connections.len(), 1);
}

#[tokio::test]
async fn one_too_many_in_all_pools_closes_the_one_that_has_rested_longest() {
    let census = Census::new(2);
    let bench = async || Bench::with(LONG, (8, &census)).await;
    let (first, second, third) = (bench().await, bench().await, bench().await);
    let mut streams = Vec::new();
    for bench in [&first, &second] {
        let asked = bench.ask();
        let mut stream = bench.accept().await;
        answer(&mut stream).await;
        soon(asked).await.unwrap();
        streams.push(stream);
    }
    let (asked, mut stream) = (third.ask(), third.accept().await);
    closed(&mut streams[0]).await;
    answer(&mut stream).await;
    soon(asked).await.unwrap();
    let asked = second.ask();
    answer(&mut streams[1]).await;
    assert_eq!(soon(asked).await.unwrap(), CameOn::Kept);
    // Requests get what they need, though there are too many by then.
    let asked = [second.ask(), third.ask(), first.ask()];
    let mut opened = first.accept().await;
    for stream in [&mut streams[1], &mut stream, &mut opened] {
        answer(stream).await;
    }
    for asked in asked {
        soon(asked).await.unwrap();
    }
}

#[tokio::test]
async fn one_that_the_target_has_closed_is_not_taken() {
    let bench = Bench::new(LONG, 8).await;
    let first = bench.ask();
    let mut stream = bench.accept().await;
    answer(&mut stream).await;
    soon(first).await.unwrap();
    drop(stream);
    while bench.pool.0.resting().connections[0].1.sender.is_ready() {
        tokio::task::yield_now().await;
    }
    let second = bench.ask();
    answer(&mut bench.accept().await).await;
    assert_eq!(soon(second).await.unwrap(), CameOn::New);
}

#[tokio::test]
async fn a_request_that_is_given_up_takes_its_connection_along() {
    let bench = Bench::new(LONG, 8).await;
    let asked = bench.ask();
    let mut stream = bench.accept().await;
    head(&mut stream).await;
    asked.abort();
    closed(&mut stream).await;
}

#[tokio::test]
async fn a_connection_whose_request_is_given_up_meanwhile_is_there_for_the_next() {
    let bench = Bench::new(LONG, 8).await;
    let (go, gone) = oneshot::channel::<()>();
    let pool = Arc::clone(&bench.pool.0);
    let mut opening = Opening::new(&bench.pool.0, async move {
        gone.await.unwrap();
        pool.connector.open(pool.to.clone()).await
    });
    assert!(timeout(Duration::from_millis(20), opening.wait()).await.is_err());
    drop(opening);
    go.send(()).unwrap();
    let mut stream = bench.accept().await;
    while bench.pool.0.resting().connections.is_empty() {
        tokio::task::yield_now().await;
    }
    let asked = bench.ask();
    answer(&mut stream).await;
    assert_eq!(soon(asked).await.unwrap(), CameOn::Kept);
}

#[tokio::test]
async fn connections_that_do_not_come_about_are_bounded_where_nobody_waits() {
    let bench = Bench::new(LONG, 8).await;
    let alive = Arc::new(());
    for _ in 0..AHEAD + 10 {
        let alive = Arc::clone(&alive);
        let endless = async move {
            let _alive = alive;
            std::future::pending().await
        };
        drop(Opening::new(&bench.pool.0, endless));
    }
    assert_eq!(Arc::strong_count(&alive), 1 + AHEAD);
}

#[tokio::test]
async fn where_there_are_too_many_one_is_still_opened_to_learn_of_the_target() {
    let census = Census::new(0);
    let _one_too_many = census.enter();
    let bench = Bench::with(LONG, (8, &census)).await;
    let alive = Arc::new(());
    for _ in 0..3 {
        let alive = Arc::clone(&alive);
        let endless = async move {
            let _alive = alive;
            std::future::pending().await
        };
        drop(Opening::new(&bench.pool.0, endless));
    }
    assert_eq!(Arc::strong_count(&alive), 2);
}

#[tokio::test]
async fn an_answer_that_is_not_read_to_its_end_takes_its_connection_along() {
    let bench = Bench::new(LONG, 8).await;
    let pool = Pool(Arc::clone(&bench.pool.0));
    let asked = tokio::spawn(async move { pool.send(request(), Reuse::Allowed, far()).await });
    let mut stream = bench.accept().await;
    head(&mut stream).await;
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\nok").await.unwrap();
    drop(soon(asked).await.unwrap().unwrap());
    closed(&mut stream).await;
    assert!(bench.pool.0.take().is_none());
}

/// A connection that has its answer, and megabytes of its request left; and the target.
async fn answered_amid_an_upload() -> (Connection<Full<Bytes>>, TcpStream) {
    let bench = Bench::new(LONG, 8).await;
    let mut connection = soon(bench.pool.0.connector.open(bench.pool.0.to.clone())).await.unwrap();
    let mut stream = bench.accept().await;
    let body = Full::new(Bytes::from(vec![b'x'; UPLOAD]));
    let request = Request::post("/").header("host", "target").body(body).unwrap();
    let sent = connection.sender.send_request(request);
    let (answered, ()) = tokio::join!(soon(sent), answer(&mut stream));
    let mut body = answered.unwrap().into_body();
    while let Some(frame) = soon(body.frame()).await {
        frame.unwrap();
    }
    (connection, stream)
}

/// More than sockets hold.
const UPLOAD: usize = 32 << 20;

#[tokio::test]
async fn an_upload_that_the_target_takes_nothing_of_is_given_up() {
    let (mut connection, mut stream) = answered_amid_an_upload().await;
    assert!(!soon(connection.comes_to_rest(Duration::from_millis(50))).await);
    let mut rest = Vec::new();
    let ended = soon(stream.read_to_end(&mut rest)).await;
    assert!(ended.is_err() || rest.len() < UPLOAD, "{} bytes", rest.len());
}

#[tokio::test]
async fn an_upload_that_the_target_takes_slowly_goes_on() {
    let stall = Duration::from_secs(2);
    let (mut connection, mut stream) = answered_amid_an_upload().await;
    let reading = async {
        let (mut taken, mut left) = (vec![0; 256 << 10], UPLOAD);
        while left > 0 {
            // Far less than makes the socket writable, for longer than it may take nothing.
            if left > UPLOAD - 6 * taken.len() {
                tokio::time::sleep(stall / 4).await;
            }
            let most = taken.len().min(left);
            left -= soon(stream.read_exact(&mut taken[..most])).await.unwrap();
        }
    };
    let (rests, ()) = tokio::join!(soon(connection.comes_to_rest(stall)), reading);
    assert!(rests);
}
