//! Over real sockets: what is kept until an answer has left.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::{sleep, timeout};

use super::*;

const LIMIT: Duration = Duration::from_secs(10);
/// More than a socket holds.
const LENGTH: usize = 4 << 20;

/// A body that leaves something to be kept.
struct Leaving {
    body: Full<Bytes>,
    kept: Arc<()>,
    client: Client,
    gone: Arc<AtomicBool>,
}

impl Body for Leaving {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.client.keep_until_left(Arc::clone(&self.kept));
        self.gone.store(true, Ordering::Release);
    }
}

async fn until(is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(LIMIT, waiting).await.unwrap();
}

#[tokio::test]
async fn what_is_kept_outlives_the_body_until_the_client_has_taken_it_or_left() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let bound = Bound::Unix(UnixListener::bind(&path).unwrap(), None);
    let settings = Settings {
        header_read: LIMIT,
        client_idle: LIMIT,
        header_bytes: 16 * 1024,
        headers: 100,
        connections: Connections::new(8),
        overloaded: Bytes::new(),
    };
    let (kept, gone) = (Arc::new(()), Arc::new(AtomicBool::new(false)));
    let (of_service, of_body) = (Arc::clone(&kept), Arc::clone(&gone));
    let service = move |client: Client| {
        let (kept, gone) = (Arc::clone(&of_service), Arc::clone(&of_body));
        service_fn(move |_: Request<Incoming>| {
            let body = Full::new(Bytes::from(vec![b'x'; LENGTH]));
            let (kept, gone) = (Arc::clone(&kept), Arc::clone(&gone));
            let body = Leaving { body, kept, client: client.clone(), gone };
            async { Ok::<_, Infallible>(Response::new(body)) }
        })
    };
    tokio::spawn(serve(bound, settings, service, Stop::default()));
    for takes_it in [true, false] {
        let mut client = UnixStream::connect(&path).await.unwrap();
        // The service has one, and one that it made for the connection.
        until(|| Arc::strong_count(&kept) == 3).await;
        client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        until(|| gone.swap(false, Ordering::Acquire)).await;
        sleep(Duration::from_millis(50)).await;
        assert_eq!(Arc::strong_count(&kept), 4, "it has not left");
        if takes_it {
            let mut answer = vec![0; LENGTH];
            timeout(LIMIT, client.read_exact(&mut answer)).await.unwrap().unwrap(); // but for a head
            until(|| Arc::strong_count(&kept) == 3).await;
        }
        drop(client);
        until(|| Arc::strong_count(&kept) == 2).await;
    }
}

#[test]
fn nothing_is_kept_for_a_connection_that_has_ended() {
    let (client, kept) = (Client::new(Peer::Unix, Stop::default()), Arc::new(()));
    let keep = || {
        client.keep_until_left(Arc::clone(&kept));
        Arc::strong_count(&kept)
    };
    assert_eq!(keep(), 2);
    client.all_has_left();
    assert_eq!(keep(), 2);
    client.has_ended();
    assert_eq!(keep(), 1);
}

#[test]
fn the_end_of_one_upload_says_nothing_of_the_next() {
    let client = Client::new(Peer::Unix, Stop::default());
    let request = Request::new(Full::new(Bytes::from_static(b"body")));
    client.request_begins(&request);
    let first = client.upload();
    client.request_begins(&request);
    first.is_read();
    assert!(client.is_sending());
    client.upload().is_read();
    assert!(!client.is_sending());
}

#[test]
fn a_body_that_is_passed_on_keeps_a_head_from_being_awaited_while_it_is_of_the_last_request() {
    let client = Client::new(Peer::Unix, Stop::default());
    let with_a_body = Request::new(Full::new(Bytes::from_static(b"body")));
    client.request_begins(&with_a_body);
    let passing = client.pass_on();
    client.request_ends();
    assert!(!client.is_between(), "its answer has left, and it is still coming");
    client.request_begins(&Request::new(Full::new(Bytes::new())));
    assert!(!client.is_between());
    client.request_ends();
    assert!(client.is_between(), "the body before has come, whoever still takes it");
    let last = client.pass_on();
    drop(passing);
    assert!(!client.is_between(), "that was of an earlier one");
    drop(last);
    assert!(client.is_between());
}
