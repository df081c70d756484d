//! Another configuration while the process runs: what it is read from, what wins, what stays.

use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio_rustls::TlsAcceptor;

use crate::lifecycle::{GET, KEPT, OK, SERVED, write, write_at};
use crate::process::{Process, config, connect};
use crate::support::{Target, Wire};

/// An https target that answers each connection once, the port that it is at, and its
/// certificate.
async fn https() -> (u16, String) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(stream) = acceptor.accept(stream).await else { continue };
            let mut wire = Wire::new(stream);
            wire.head().await;
            wire.send(OK).await;
        }
    });
    (port, cert.pem())
}

#[tokio::test]
async fn reads_certificates_again_where_their_file_changes() {
    let (port, pem) = https().await;
    let (_, of_another) = https().await;
    let folder = tempfile::tempdir().unwrap();
    let ca_file = folder.path().join("ca.pem");
    std::fs::write(&ca_file, of_another).unwrap();
    let text = format!(
        "listen = [\"127.0.0.1:0\"]\nadmin = false\n[upstream]\nca_file = \"{}\"\n[[routes]]\n\
         target = \"only\"\n[targets.only]\nurl = \"https://localhost:{port}\"\n\
         service = \"lambda\"\nregion = \"us-east-1\"\n",
        ca_file.display()
    );
    let mut process = Process::run(&text);
    let mut client = connect(&mut process).await;
    client.send(GET).await;
    let refused = client.answer().await;
    assert_eq!((refused.status(), refused.code().as_str()), (502, "tls_certificate_error"));
    std::fs::write(&ca_file, pem).unwrap();
    process.says(SERVED).await;
    client.send(GET).await;
    assert_eq!(client.answer().await.status(), 200);
    assert_eq!(process.terminate().await.0, Some(0));
}

#[tokio::test]
async fn what_a_refused_configuration_lacked_may_come_later() {
    let ((_, pem), (_, another)) = (https().await, https().await);
    let target = Target::bind().await;
    let before = config(&target, "");
    let mut process = Process::run(&before);
    process.says("countersign is listening").await;
    write(&process, &format!("{before}[upstream]\nca_file = \"later.pem\"\n"));
    process.signal(Signal::SIGHUP);
    process.says(KEPT).await;
    tokio::time::sleep(Duration::from_millis(3500)).await; // it has tried again, in silence
    process.signal(Signal::SIGHUP);
    process.says(KEPT).await;
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    write_at(&process, "later.pem", broken);
    process.says("TLS cannot be set up for the new configuration").await;
    process.says(KEPT).await;
    tokio::time::sleep(Duration::from_millis(3500)).await; // in silence again
    write_at(&process, "later.pem", &pem);
    process.says(SERVED).await;
    write_at(&process, "later.pem", &another);
    process.says(SERVED).await; // it is looked at as well from then on
    let (code, output) = process.terminate().await;
    let kept = output.matches(KEPT).count();
    assert_eq!((code, kept), (Some(0), 3), "once for each signal and each reason");
}

#[tokio::test]
async fn flags_and_variables_go_on_winning_over_the_file() {
    let target = Target::bind().await;
    let folder = tempfile::tempdir().unwrap();
    let text = config(&target, "error_style = \"problem\"\naccess_log = \"all\"");
    std::fs::write(folder.path().join("t.toml"), &text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command.args(["run", "--access-log", "off", "--config"]).arg(folder.path().join("t.toml"));
    command.env("COUNTERSIGN_ERROR_STYLE", "api-gateway");
    let mut process = Process::start(command, folder);
    let mut client = connect(&mut process).await;
    write(&process, &text.replace("name = \"all\"", "name = \"all\"\nmethods = [\"PUT\"]"));
    process.signal(Signal::SIGHUP);
    process.says(SERVED).await;
    client.send(GET).await;
    let answer = client.answer().await;
    assert_eq!(answer.status(), 405, "the file was read");
    assert!(answer.json()["message"].is_string(), "{answer:?}");
    let (code, output) = process.terminate().await;
    assert_eq!(code, Some(0));
    assert!(!output.contains("\"message\":\"request\""), "{output}");
}

#[tokio::test]
async fn a_request_keeps_the_configuration_that_it_began_with() {
    let target = Target::bind().await;
    let table = |name: &str| {
        let set = format!("response_headers = {{ set = {{ x-table = \"{name}\" }} }}");
        config(&target, "").replace("name = \"all\"", &format!("name = \"all\"\n{set}"))
    };
    let mut process = Process::run(&table("one"));
    let mut client = connect(&mut process).await;
    client.send(GET).await;
    let mut there = target.accept().await;
    there.head().await;
    write(&process, &table("two"));
    process.signal(Signal::SIGHUP);
    process.says(SERVED).await;
    for name in ["one", "two"] {
        there.send(OK).await;
        assert_eq!(client.answer().await.head.text("x-table").as_deref(), Some(name));
        if name == "one" {
            client.send(GET).await;
            there.head().await;
        }
    }
    assert_eq!(process.terminate().await.0, Some(0));
}

#[tokio::test]
async fn says_that_there_is_no_file_to_read_again() {
    let target = Target::bind().await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command.arg("run").env("COUNTERSIGN_CONFIG_TOML", config(&target, ""));
    let mut process = Process::start(command, tempfile::tempdir().unwrap());
    process.says("countersign is listening").await;
    process.signal(Signal::SIGHUP);
    process.says("there is no file to read again; flags and variables hold on").await;
    let (code, output) = process.terminate().await;
    assert_eq!((code, output.contains(SERVED)), (Some(0), false));
}
