//! The emulator in front of a stub of a Lambda runtime emulator.

use std::convert::Infallible;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::sockets::Served;
use super::*;

/// What the stub answers.
#[derive(Clone)]
struct Stub {
    status: u16,
    header: Option<(&'static str, &'static str)>,
    payload: &'static str,
    /// It never answers.
    silent: bool,
}

const OK: Stub = Stub { status: 200, header: None, payload: "{}", silent: false };

/// Serves the stub; the receiver gets each request's path and event.
async fn start(stub: Stub) -> (Uri, mpsc::UnboundedReceiver<(String, Value)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let (events, received) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (stub, events) = (stub.clone(), events.clone());
            let service = service_fn(move |request| answer(request, stub.clone(), events.clone()));
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    (uri, received)
}

async fn answer(
    request: Request<Incoming>,
    stub: Stub,
    events: mpsc::UnboundedSender<(String, Value)>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    assert_eq!(request.method(), "POST");
    let path = request.uri().path().to_owned();
    #[allow(clippy::disallowed_methods)] // limited
    let event = Limited::new(request.into_body(), 1 << 20).collect().await.unwrap().to_bytes();
    events.send((path, serde_json::from_slice(&event).unwrap())).unwrap();
    if stub.silent {
        std::future::pending::<()>().await;
    }
    let mut response = Response::builder().status(stub.status);
    if let Some((name, value)) = stub.header {
        response = response.header(name, value);
    }
    Ok(response.body(Full::from(stub.payload)).unwrap())
}

/// Head and body that a caller sees in front of `handler`.
async fn call(handler: Handler) -> (String, String) {
    let invoke_timeout = Duration::from_secs(2);
    let served = Served::start(Settings { handler, invoke_timeout, ..settings() }).await;
    let answer = served.exchange(&Signed::named("json")).await;
    served.stop().await;
    answer
}

#[tokio::test]
async fn invokes_the_function_and_maps_its_answer() {
    let payload = r#"{"statusCode":418,"headers":{"x-kind":"teapot"},"body":"short and stout"}"#;
    let (uri, mut received) = start(Stub { payload, ..OK }).await;
    let (head, body) = call(Handler::Invoke(uri)).await;
    assert!(head.starts_with("HTTP/1.1 418 "), "{head}");
    assert!(head.contains("\r\nx-kind: teapot"), "{head}");
    assert_eq!(body, "short and stout");
    let (path, event) = received.recv().await.unwrap();
    assert_eq!(path, "/2015-03-31/functions/function/invocations");
    assert_eq!(event["rawPath"], "/process");
    assert_eq!(event["body"], "{\"key\": \"value\"}");
    assert_eq!(event["requestContext"]["authorizer"]["iam"]["userArn"], ARN);
}

#[tokio::test]
async fn keeps_a_path_that_was_given() {
    let (uri, mut received) = start(OK).await;
    call(Handler::Invoke(format!("{uri}other").parse().unwrap())).await;
    assert_eq!(received.recv().await.unwrap().0, "/other");
}

#[tokio::test]
async fn answers_502_where_the_function_fails() {
    let threw = r#"{"errorType":"Error","errorMessage":"secret detail"}"#;
    for stub in [
        Stub { payload: threw, ..OK },
        Stub { header: Some(("x-amz-function-error", "Unhandled")), ..OK },
        Stub { status: 500, ..OK },
        Stub { payload: "Task timed out after 3.00 seconds", ..OK },
        Stub { silent: true, ..OK },
    ] {
        let (uri, _received) = start(stub).await;
        let (head, body) = call(Handler::Invoke(uri)).await;
        assert!(head.starts_with("HTTP/1.1 502 "), "{head}");
        assert_eq!(body, "Internal Server Error");
    }
}

#[tokio::test]
async fn says_where_nobody_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri: Uri = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    drop(listener);
    let (head, body) = call(Handler::Invoke(uri.clone())).await;
    assert!(head.starts_with("HTTP/1.1 502 "), "{head}");
    let body: Value = serde_json::from_str(&body).unwrap();
    let place = format!("`{uri}2015-03-31/functions/function/invocations`");
    assert!(body["message"].as_str().unwrap().contains(&place), "{body}");
    assert_ne!(body["hint"], json!(null));
}
