//! Connections that die at moments which only a test inside the process can hold on to: the
//! runtime has one thread, and while a test does not wait, nobody is told what the kernel knows.

use std::net::Ipv4Addr;
use std::sync::Arc;

use http::header::HOST;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::config::Config;
use crate::config::load::{Inputs, load};
use crate::credentials::Stores;
use crate::secret::Secret;
use crate::sigv4::SigningCredentials;
use crate::telemetry::Metrics;

const KEPT: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
/// A test that waits this long has failed.
const LIMIT: Duration = Duration::from_secs(15);

/// A target's side of the proxy, without a listener of its own.
struct Bench {
    upstream: Arc<Upstream>,
    stop: CancellationToken,
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Bench {
    fn to(url: &str, ca_pem: Option<Vec<u8>>) -> Self {
        let text = format!(
            "[targets.only]\nurl = \"{url}\"\nservice = \"lambda\"\nregion = \"us-east-1\"\n\
             [[routes]]\ntarget = \"only\"\n"
        );
        let environment = vec![("COUNTERSIGN_CONFIG_TOML".to_owned(), text)];
        let mut config: Config = load(&Inputs { environment, ..Inputs::default() }).unwrap();
        config.upstream.ca_pem = ca_pem;
        let secret = Secret::new("secret");
        let credentials = SigningCredentials::new("AKIDEXAMPLE", secret, None).unwrap();
        let clock = Clock::system();
        let stores = Stores::fixed(&config, &credentials, &clock);
        let target = Arc::clone(&config.targets[0]);
        let store = stores.of(&target.credentials).unwrap();
        let stop = CancellationToken::new();
        tokio::spawn(stores.run(stop.clone()));
        let clients = Clients::new(&config).unwrap();
        let metrics = Metrics::new(clock.now()).target(&target.name);
        let upstream = Arc::new(Upstream::new(target, &clients, store, clock, metrics));
        Self { upstream, stop }
    }

    /// Status and attempts of one request.
    fn ask(&self, method: Method) -> tokio::task::JoinHandle<(u16, Attempts)> {
        let upstream = Arc::clone(&self.upstream);
        tokio::spawn(async move {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, upstream.target.host.clone());
            let mut outgoing = Outgoing {
                method,
                sent: PathAndQuery::from_static("/x"),
                headers,
                payload: Payload::whole(Bytes::from_static(b"hi")),
                timeouts: WITHOUT_HURRY,
                patience: LIMIT,
                retries: None,
                others: Others::None,
            };
            let mut attempts = Attempts::default();
            let answer = upstream.send(&mut outgoing, &mut attempts).await;
            match answer {
                Ok(answer) => {
                    answer.into_body().drain().await; // so that the connection is kept
                    (200, attempts)
                }
                Err(_) => (502, attempts),
            }
        })
    }
}

async fn soon<F: Future>(what: F) -> F::Output {
    tokio::time::timeout(LIMIT, what).await.expect("it takes too long")
}

/// Reads a request with its two bytes.
async fn request(stream: &mut (impl AsyncRead + Unpin)) {
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\nhi") {
        let byte = soon(stream.read_u8()).await.unwrap();
        read.push(byte);
    }
}

async fn bind() -> (TcpListener, String) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let authority = format!("localhost:{}", listener.local_addr().unwrap().port());
    (listener, authority)
}

async fn accept(listener: &TcpListener) -> TcpStream {
    soon(listener.accept()).await.unwrap().0
}

#[tokio::test]
async fn a_post_of_which_nothing_was_written_is_sent_again() {
    let (listener, authority) = bind().await;
    let bench = Bench::to(&format!("http://{authority}"), None);
    let first = bench.ask(Method::GET);
    let mut stream = accept(&listener).await;
    request(&mut stream).await;
    stream.write_all(KEPT).await.unwrap();
    assert_eq!(soon(first).await.unwrap().0, 200);
    // Nothing waits between the two: the reset is there first, and the proxy is not told.
    stream.set_zero_linger().unwrap();
    drop(stream);
    let second = bench.ask(Method::POST);
    let mut fresh = accept(&listener).await;
    request(&mut fresh).await;
    fresh.write_all(KEPT).await.unwrap();
    let (status, attempts) = soon(second).await.unwrap();
    assert_eq!((status, attempts.count, attempts.resends), (200, 2, 1));
}

#[tokio::test]
async fn a_connection_that_was_opened_ahead_and_died_costs_no_request() {
    let (listener, authority) = bind().await;
    let (acceptor, pem) = tls();
    let bench = Bench::to(&format!("https://{authority}"), Some(pem));
    let first = bench.ask(Method::GET);
    let mut one = soon(acceptor.accept(accept(&listener).await)).await.unwrap();
    request(&mut one).await;
    let second = bench.ask(Method::GET);
    let ahead = accept(&listener).await; // its handshake waits, so the first connection is faster
    one.write_all(KEPT).await.unwrap();
    assert_eq!(soon(first).await.unwrap().0, 200);
    request(&mut one).await;
    let mut ahead = soon(acceptor.accept(ahead)).await.unwrap();
    one.write_all(KEPT).await.unwrap();
    assert_eq!(soon(second).await.unwrap().0, 200);
    drop(one);
    tokio::time::sleep(Duration::from_millis(50)).await; // until the proxy has seen both

    let third = bench.ask(Method::GET);
    request(&mut ahead).await;
    drop(ahead); // it never brought an answer
    let mut fresh = soon(acceptor.accept(accept(&listener).await)).await.unwrap();
    request(&mut fresh).await;
    fresh.write_all(KEPT).await.unwrap();
    let (status, attempts) = soon(third).await.unwrap();
    assert_eq!((status, attempts.resends), (200, 1));
}

/// A certificate for `localhost`, as PEM, and what presents it.
fn tls() -> (TlsAcceptor, Vec<u8>) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), cert.pem().into_bytes())
}
