//! Sockets and connections, and the way of one request through the emulator.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::time::Duration;

use http::header::DATE;
use http::{HeaderName, HeaderValue, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::event::{Caller, Event, Invocation};
use super::refusal::Refusal;
use super::{Answer, Emulator, INVOCATION_LIMIT, answer, body, builtin, verify};

/// How long a connection may still take once the emulator was told to stop.
const STOP_GRACE: Duration = Duration::from_millis(500);

/// How long a head may take, and how long a kept connection may wait for one; longer than
/// clients' pools keep theirs (often 90 s), so that it is the client who closes.
const HEAD_TIMEOUT: Duration = Duration::from_secs(120);

/// How long to wait after a failed accept: it fails again at once while file descriptors are out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A signed request has a few headers more than its client sent.
const MAX_HEADERS: usize = 256;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");

/// Serves `emulator` on `listener` until `stop`; connections then have half a second to end.
pub async fn serve(listener: TcpListener, emulator: Emulator, stop: CancellationToken) {
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                connections.spawn(connection(stream, peer, emulator.clone(), stop.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "the emulator could not accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    emulator: Emulator,
    stop: CancellationToken,
) {
    // Without it an event of a stream may wait for the client's delayed acknowledgement.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY was refused");
    }
    let service = service_fn(move |request| {
        let emulator = emulator.clone();
        async move { Ok::<_, Infallible>(emulator.respond(request, peer.ip()).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(stream), service);
    let mut served = pin!(served);
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = stop.cancelled() => {
            served.as_mut().graceful_shutdown();
            tokio::time::timeout(STOP_GRACE, served).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection to the emulator broke off");
    }
}

impl Emulator {
    /// The answer to one request, with the headers that every answer of Lambda has.
    async fn respond(&self, request: Request<Incoming>, peer: IpAddr) -> Answer {
        let request_id = new_request_id();
        let mut answer = match self.invoke(request, peer, &request_id).await {
            Ok(answer) => answer,
            Err(refusal) => {
                tracing::debug!(%refusal, request_id, "the emulator refused a request");
                refusal.into_answer()
            }
        };
        let date = httpdate::fmt_http_date(self.0.settings.clock.now());
        let values = [(REQUEST_ID, request_id), (DATE, date)];
        for (name, value) in values {
            let value = HeaderValue::try_from(value).expect("both are printable ASCII");
            answer.headers_mut().insert(name, value);
        }
        answer
    }

    async fn invoke(
        &self,
        request: Request<Incoming>,
        peer: IpAddr,
        request_id: &str,
    ) -> Result<Answer, Refusal> {
        let (head, incoming) = request.into_parts();
        let body = body::read(incoming).await?;
        let now = self.0.settings.clock.now();
        let known = verify::verify(&self.0.settings, &head, &body, now)?;
        let caller = Caller::new(&known.access_key_id, &known.arn);
        let source_ip = peer.to_canonical();
        let invocation = Invocation { request_id, source_ip, now, caller };
        let event = Event::new(&head, &body, invocation);
        let json = serde_json::to_vec(&event).expect("an event is strings, numbers and lists");
        if json.len() > INVOCATION_LIMIT {
            return Err(Refusal::TooLarge);
        }
        Ok(match &self.0.runtime {
            None => builtin::handle(&event, &body, self.0.settings.stream_interval),
            Some(runtime) => match runtime.invoke(json).await {
                Ok(payload) => answer::from_payload(payload),
                Err(failure) => failure.into_answer(),
            },
        })
    }
}

/// A request id of the form that Lambda's have (a UUID, version 4).
fn new_request_id() -> String {
    let high = fastrand::u64(..) & !0xf000 | 0x4000;
    let low = fastrand::u64(..) & (u64::MAX >> 2) | 1 << 63;
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff
    )
}
