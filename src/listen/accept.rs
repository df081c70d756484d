//! The accept loop, and one task a connection.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::header::CONNECTION;
use http::{HeaderValue, Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::task::TaskTracker;
use tower::BoxError;

use super::io::{ClientIo, HEAD_LINGER, Limits};
use super::stream::Stream;
use super::{Bound, Client, Connections, Peer, Settings, Stop, Watched};

/// hyper's least read buffer; it refuses to be given less.
const LEAST_BUFFER: usize = 8 * 1024;
/// The first pause after a failed accept (no descriptors left, mostly); doubles to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LAST_PAUSE: Duration = Duration::from_secs(1);

/// Serves `bound` until it is to `stop`, then lets the answers under way finish. `service` is
/// called once a connection and gives what answers its requests.
pub async fn serve<M, S, B>(bound: Bound, settings: Settings, service: M, stop: Stop)
where
    M: Fn(Client) -> S,
    S: Service<Request<Incoming>, Response = Response<B>> + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: Body + Unpin + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    let listener = Listener::new(&settings);
    let mut pause = FIRST_PAUSE;
    loop {
        let accepted = tokio::select! {
            accepted = accept(&bound) => accepted,
            () = stop.closed() => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                pause = FIRST_PAUSE;
                let client = Client::new(peer, stop.clone());
                let served = service(client.clone());
                listener.admit(stream, client, served);
            }
            Err(error) if is_of_one_client(&error) => {}
            Err(error) => {
                listener.connections.counts.accept_failed.one_more();
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = stop.closed() => break,
                }
                pause = (pause * 2).min(LAST_PAUSE);
            }
        }
    }
    drop(bound);
    listener.tasks.close();
    listener.tasks.wait().await;
}

/// What all connections of one listener share.
struct Listener {
    http: http1::Builder,
    limits: Limits,
    connections: Arc<Connections>,
    overloaded: bytes::Bytes,
    tasks: TaskTracker,
}

impl Listener {
    fn new(settings: &Settings) -> Self {
        let mut http = http1::Builder::new();
        http.max_buf_size(settings.header_bytes.max(LEAST_BUFFER));
        http.max_header_size(settings.header_bytes);
        if settings.headers != 100 {
            http.max_headers(settings.headers); // hyper keeps 100 on the stack, others on the heap
        }
        let limits =
            Limits { header_read: settings.header_read, client_idle: settings.client_idle };
        Self {
            http,
            limits,
            connections: Arc::clone(&settings.connections),
            overloaded: settings.overloaded.clone(),
            tasks: TaskTracker::new(),
        }
    }

    fn admit<S, B>(&self, stream: Stream, client: Client, service: S)
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Send + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
        B: Body + Unpin + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        let Some(place) = self.connections.place() else {
            self.turn_away(stream);
            return;
        };
        let io = ClientIo::new(stream, client.clone(), self.limits);
        let served = client.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            served.request_begins(&request);
            let answer = service.call(request);
            let client = served.clone();
            async move {
                let mut answer = answer.await?;
                if client.is_to_leave() {
                    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, S::Error>(answer.map(|body| Watched::new(body, client)))
            }
        });
        let connection = self.http.serve_connection(TokioIo::new(io), service);
        self.tasks.spawn(run(connection, place, Arc::clone(&self.connections), client));
    }

    /// Tells a connection too many and closes it. In a flood the last ones are told no more than
    /// the kernel takes at once.
    fn turn_away(&self, stream: Stream) {
        match self.connections.place_to_be_told() {
            Some(place) => {
                self.tasks.spawn(tell(stream, self.overloaded.clone(), place));
            }
            None => {
                let _ = stream.write_now(&self.overloaded); // who cannot hear it sees the close
            }
        }
    }
}

/// Drives one connection; once its listener has closed, the answer under way is its last.
async fn run<S, B>(
    connection: http1::Connection<TokioIo<ClientIo>, S>,
    _place: OwnedSemaphorePermit,
    connections: Arc<Connections>,
    client: Client,
) where
    S: hyper::service::HttpService<Incoming, ResBody = B>,
    S::Error: Into<BoxError>,
    B: Body + 'static,
    B::Error: Into<BoxError>,
{
    let mut connection = std::pin::pin!(connection);
    let stop = client.stop();
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.closed() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                biased; // one that waits for a request ends by itself
                ended = connection => ended,
                () = stop.cutting() => return client.cut_off(),
            }
        }
    };
    if let Err(error) = ended {
        connections.counts.broke(&error);
        tracing::debug!(error = &error as &dyn std::error::Error, "a connection broke");
    }
}

/// Answers one connection too many without looking at what it asks. That is read all the same: a
/// close over unread bytes would be a reset, and the answer might be lost.
async fn tell(mut stream: Stream, answer: bytes::Bytes, _place: OwnedSemaphorePermit) {
    let told = async {
        stream.write_all(&answer).await?;
        stream.shutdown().await?;
        let mut asked = stream.take(HEAD_LINGER.bytes);
        tokio::io::copy(&mut asked, &mut tokio::io::sink()).await
    };
    let _ = tokio::time::timeout(HEAD_LINGER.time, told).await; // who does not listen is not told
}

/// A client that was gone before it was accepted says nothing of the next one.
fn is_of_one_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
    )
}

async fn accept(bound: &Bound) -> io::Result<(Stream, Peer)> {
    match bound {
        Bound::Tcp(listener) => {
            let (stream, address) = listener.accept().await?;
            let _ = stream.set_nodelay(true); // it fails where the client is gone again
            Ok((Stream::Tcp(stream), Peer::Ip(address.ip().to_canonical())))
        }
        Bound::Unix(listener, _) => {
            let (stream, _) = listener.accept().await?;
            Ok((Stream::Unix(stream), Peer::Unix))
        }
    }
}
