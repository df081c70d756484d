//! Load for a program that takes down how it runs (profile-guided optimisation, `deploy/build.sh`):
//! what it does all day, in proportion. Requests of 64 clients over TLS to a target on loopback, most
//! of them small, then the end by SIGTERM, at which the profile is written.
//!
//! `cargo run --example training -- PROGRAM SECONDS`
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};
use tokio_rustls::TlsAcceptor;

/// As many as one task serves without a pause.
const CLIENTS: usize = 64;
/// One request in so many has a large body.
const LARGE: usize = 500;
/// As long as a session token of a role.
const TOKEN: usize = 900;
/// A program that takes down how it runs is slow to begin.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(program), Some(Ok(seconds))) =
        (arguments.next(), arguments.next().map(|seconds| seconds.parse()))
    else {
        eprintln!("usage: training PROGRAM SECONDS");
        return ExitCode::from(2);
    };
    let folder = tempfile::tempdir().unwrap();
    let (address, mut program) = start(&program, &folder, target(&folder).await);
    let until = Instant::now() + PATIENCE;
    while TcpStream::connect(address).await.is_err() {
        assert!(Instant::now() < until, "it does not listen");
        sleep(Duration::from_millis(50)).await;
    }
    let end = Instant::now() + Duration::from_secs(seconds);
    let clients: Vec<_> = (0..CLIENTS).map(|_| tokio::spawn(client(address, end))).collect();
    let mut asked = 0;
    for client in clients {
        asked += client.await.unwrap();
    }
    kill(Pid::from_raw(program.id().unwrap().try_into().unwrap()), Signal::SIGTERM).unwrap();
    let ended = program.wait().await.unwrap();
    eprintln!("{asked} requests");
    assert!(ended.success() && asked > 0, "{ended}");
    ExitCode::SUCCESS
}

fn start(program: &str, folder: &TempDir, target: SocketAddr) -> (SocketAddr, Child) {
    let (address, admin) = (free_address(), free_address());
    let text = format!(
        "listen = [\"{address}\"]\nadmin = \"{admin}\"\naccess_log = {{ sample = 0.2 }}\n\
         upstream.ca_file = \"ca.pem\"\ntimeouts.connect = \"60s\"\n[targets.all]\nurl = \"https://localhost:{}\"\n\
         service = \"lambda\"\nregion = \"us-east-1\"\n[[routes]]\ntarget = \"all\"\n",
        target.port()
    );
    std::fs::write(folder.path().join("countersign.toml"), text).unwrap();
    let program = Command::new(std::fs::canonicalize(program).unwrap()) // it runs elsewhere
        .args(["run", "--config", "countersign.toml"])
        .current_dir(folder.path())
        .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        .env("AWS_SECRET_ACCESS_KEY", "secret")
        .env("AWS_SESSION_TOKEN", "t".repeat(TOKEN))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn();
    (address, program.unwrap())
}

fn free_address() -> SocketAddr {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap()
}

/// Asks until the end; gives how often it did.
async fn client(to: SocketAddr, end: Instant) -> usize {
    let head = "host: localhost\r\naccept: */*\r\nuser-agent: training/1.0\r\n";
    let post = |length: usize| {
        let fields = format!("content-type: application/json\r\ncontent-length: {length}\r\n\r\n");
        let body = "x".repeat(length);
        format!("POST /orders?id=5&kind=new HTTP/1.1\r\n{head}{fields}{body}").into_bytes()
    };
    let get = format!("GET /orders/5 HTTP/1.1\r\n{head}\r\n").into_bytes();
    let (small, large) = (post(1024), post(1024 * 1024));
    let mut stream = TcpStream::connect(to).await.unwrap();
    let mut asked = 0;
    while Instant::now() < end {
        let request = match asked % LARGE {
            0 => &large,
            turn if turn % 2 == 0 => &small,
            _ => &get,
        };
        stream.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(ANSWER.as_bytes()) {
            assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0, "it has hung up");
        }
        asked += 1;
    }
    asked
}

const ANSWER: &str = r#"{"message":"Data processed successfully","received":{"id":5}}"#;

/// A target that answers everything, and its certificate in the folder.
async fn target(folder: &TempDir) -> SocketAddr {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(folder.path().join("ca.pem"), cert.pem()).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let stream = TokioIo::new(acceptor.accept(stream).await.unwrap());
                let http = hyper::server::conn::http1::Builder::new();
                let _ = http.serve_connection(stream, service_fn(answer)).await; // until it leaves
            });
        }
    });
    address
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let mut body = request.into_body();
    while let Some(frame) = body.frame().await {
        frame?;
    }
    let answer = Response::builder()
        .header("content-type", "application/json")
        .header("x-amzn-requestid", "3f2c1a5e-0000-4000-8000-000000000000")
        .header("x-amzn-trace-id", "root=1-00000000-000000000000000000000000;sampled=0");
    Ok(answer.body(Full::from(ANSWER)).unwrap())
}
