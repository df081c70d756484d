//! Over real sockets: what each way of not getting a connection is called, and what goes through
//! a proxy.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tower::{Service, ServiceExt};

use crate::config::{Proxy, Roots, Upstream};
#[cfg(target_os = "linux")]
use crate::net::way::Way;
use crate::net::{ConnectError, Connector};
use crate::secret::Secret;

const DEADLINE: Duration = Duration::from_millis(300);
/// A test that waits this long has failed, or its name server has.
const LIMIT: Duration = Duration::from_secs(60);

/// An https server that shakes hands and says nothing more, and its certificate as PEM.
async fn https(names: &[&str]) -> (SocketAddr, Vec<u8>) {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = bind().await;
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut stream = acceptor.accept(stream).await?;
                stream.read_u8().await // until the client leaves
            });
        }
    });
    (address, cert.pem().into_bytes())
}

async fn bind() -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap()
}

fn upstream(ca_pem: Option<Vec<u8>>, proxy: Proxy) -> Upstream {
    Upstream { roots: Roots::BuiltIn, ca_file: None, ca_pem, proxy, idle: Duration::from_secs(1) }
}

async fn connect(upstream: &Upstream, to: &str) -> Result<(), ConnectError> {
    connect_within(LIMIT, upstream, to).await
}

async fn connect_within(
    deadline: Duration,
    upstream: &Upstream,
    to: &str,
) -> Result<(), ConnectError> {
    let mut connector = Connector::with(upstream, deadline).unwrap();
    connector.ready().await?.call(to.parse().unwrap()).await.map(drop)
}

/// A proxy that answers the first CONNECT with `answer`, and then leads to `to`; gives its head.
async fn proxy(
    answer: &'static str,
    to: SocketAddr,
) -> (SocketAddr, tokio::task::JoinHandle<String>) {
    let listener = bind().await;
    let address = listener.local_addr().unwrap();
    let head = tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            head.push(char::from(client.read_u8().await.unwrap()));
        }
        client.write_all(answer.as_bytes()).await.unwrap();
        let mut target = TcpStream::connect(to).await.unwrap();
        tokio::spawn(async move { tokio::io::copy_bidirectional(&mut client, &mut target).await });
        head
    });
    (address, head)
}

#[tokio::test]
async fn trusts_the_certificate_of_ca_file() {
    let (address, pem) = https(&["localhost"]).await;
    let to = format!("https://localhost:{}", address.port());
    connect(&upstream(Some(pem), Proxy::None), &to).await.unwrap();
}

#[tokio::test]
async fn trusts_no_unknown_certificate() {
    let (address, _) = https(&["localhost"]).await;
    let to = format!("https://localhost:{}", address.port());
    let refused = connect(&upstream(None, Proxy::None), &to).await;
    assert!(matches!(refused, Err(ConnectError::Certificate(_))), "{refused:?}");
}

#[tokio::test]
async fn trusts_no_certificate_for_another_name() {
    let (address, pem) = https(&["other.test"]).await;
    let to = format!("https://localhost:{}", address.port());
    let refused = connect(&upstream(Some(pem), Proxy::None), &to).await;
    assert!(matches!(refused, Err(ConnectError::Certificate(_))), "{refused:?}");
}

#[tokio::test]
async fn tells_a_server_without_tls() {
    let listener = bind().await;
    let to = format!("https://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await?;
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await?;
        stream.read_u8().await
    });
    let refused = connect(&upstream(None, Proxy::None), &to).await;
    assert!(matches!(refused, Err(ConnectError::Tls(_))), "{refused:?}");
}

#[tokio::test]
async fn tells_a_refused_port() {
    let to = format!("http://{}", bind().await.local_addr().unwrap()); // and closed again
    let refused = connect(&upstream(None, Proxy::None), &to).await;
    assert!(matches!(refused, Err(ConnectError::Refused(_))), "{refused:?}");
}

#[tokio::test]
async fn tells_a_name_without_an_address() {
    let mut connector = Connector::with(&upstream(None, Proxy::None), LIMIT);
    let connector = connector.as_mut().unwrap().ready().await.unwrap();
    let refused = connector.call("http://nosuch.invalid".parse().unwrap()).await.map(drop);
    assert!(matches!(refused, Err(ConnectError::Dns(_))), "{refused:?}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_host_that_is_gone_is_found_out_in_two_minutes_whether_bytes_are_under_way_or_not() {
    let listener = bind().await;
    let port = listener.local_addr().unwrap().port();
    let mut way = Way::new(&Proxy::None, DEADLINE).unwrap();
    // The same place by a name that does not say so.
    let far = way.call(format!("http://127.1:{port}").parse().unwrap()).await.unwrap();
    let socket = socket2::SockRef::from(far.socket());
    let (first, next) =
        (socket.tcp_keepalive_time().unwrap(), socket.tcp_keepalive_interval().unwrap());
    let found_out = first + next * socket.tcp_keepalive_retries().unwrap();
    assert!(socket.keepalive().unwrap());
    assert_eq!(found_out, Duration::from_secs(120));
    assert_eq!(socket.tcp_user_timeout().unwrap(), Some(found_out));
    assert!(first < Duration::from_secs(350), "a NAT gateway would have forgotten it");
    let near = way.call(format!("http://localhost:{port}").parse().unwrap()).await.unwrap();
    let waits = socket2::SockRef::from(near.socket()).tcp_user_timeout().unwrap();
    assert_eq!(waits, None, "a program in a debugger takes nothing for a while");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_host_that_says_nothing_ends_at_the_deadline_too() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let full = socket.listen(1).unwrap(); // past that, the kernel drops what would connect
    let address = full.local_addr().unwrap();
    let mut taken = Vec::new();
    while let Ok(stream) = timeout(DEADLINE / 3, TcpStream::connect(address)).await {
        taken.push(stream.unwrap());
    }
    let (direct, to) = (upstream(None, Proxy::None), format!("http://{address}"));
    let refused = connect_within(DEADLINE, &direct, &to).await;
    assert!(matches!(refused, Err(ConnectError::TimedOut(DEADLINE))), "{refused:?}");
}

#[tokio::test]
async fn a_handshake_without_an_answer_ends_at_the_deadline() {
    let listener = bind().await; // the kernel accepts, nobody answers
    let to = format!("https://{}", listener.local_addr().unwrap());
    let began = Instant::now();
    let refused = connect_within(DEADLINE, &upstream(None, Proxy::None), &to).await;
    assert!(matches!(refused, Err(ConnectError::TimedOut(DEADLINE))), "{refused:?}");
    assert!(began.elapsed() < LIMIT);
}

#[tokio::test]
async fn goes_through_a_proxy_with_its_password() {
    let (address, pem) = https(&["target.test"]).await;
    let (by, head) = proxy("HTTP/1.1 200 OK\r\n\r\n", address).await;
    let url = Secret::new(format!("http://user:p%40ss@{by}"));
    connect(&upstream(Some(pem), Proxy::Url(url)), "https://target.test").await.unwrap();
    let head = head.await.unwrap();
    assert!(head.starts_with("CONNECT target.test:443 HTTP/1.1\r\n"), "{head}");
    // base64 of `user:p@ss`
    assert!(head.to_lowercase().contains("proxy-authorization: basic dxnlcjpwqhnz\r\n"), "{head}");
}

#[tokio::test]
async fn tells_a_proxy_that_refuses() {
    let (address, pem) = https(&["target.test"]).await;
    let (by, _head) = proxy("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", address).await;
    let url = Secret::new(format!("http://{by}"));
    let refused = connect(&upstream(Some(pem), Proxy::Url(url)), "https://target.test").await;
    assert!(matches!(refused, Err(ConnectError::Proxy(_))), "{refused:?}");
}

#[tokio::test]
async fn loopback_and_no_proxy_go_straight() {
    let (address, pem) = https(&["localhost"]).await;
    // Nobody listens where the proxy should be: whatever went there would fail.
    let nobody = bind().await.local_addr().unwrap();
    let url = || Secret::new(format!("http://{nobody}"));
    let to = format!("https://localhost:{}", address.port());
    connect(&upstream(Some(pem.clone()), Proxy::Url(url())), &to).await.unwrap();
    let http = bind().await;
    let plain = format!("http://{}", http.local_addr().unwrap());
    connect(&upstream(None, Proxy::Url(url())), &plain).await.unwrap();
    let environment =
        Proxy::Environment { https: Some(url()), no: Some("nosuch.invalid".to_owned()) };
    let mut connector = Connector::with(&upstream(Some(pem), environment), LIMIT).unwrap();
    let straight = connector.call("https://nosuch.invalid".parse().unwrap()).await.map(drop);
    assert!(matches!(straight, Err(ConnectError::Dns(_))), "{straight:?}");
}
