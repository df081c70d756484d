//! The built-in function.
//!
//! | request | answer |
//! |---|---|
//! | `GET /health` | the caller's ARN |
//! | `POST /process` | the body that was received, and the caller's ARN |
//! | `GET /stream` | ten server-sent events, one at a time |
//! | anything else | 404 |

use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response};
use http_body_util::BodyExt;
use http_body_util::channel::{Channel, Sender};
use serde_json::{Value, json};

use super::event::Event;
use super::{Answer, answer};

/// How many events `/stream` sends.
pub(super) const STREAM_EVENTS: u32 = 10;

/// The built-in function's answer to an event; `body` is the event's, decoded.
pub(super) fn handle(event: &Event<'_>, body: &[u8], stream_interval: Duration) -> Answer {
    let context = &event.request_context;
    let (method, path) = (context.http.method, event.raw_path);
    let caller = context.authorizer.iam.user_arn;
    match (method, path) {
        ("GET", "/health") => held(200, &json!({ "status": "healthy", "caller": caller })),
        ("POST", "/process") => held(
            200,
            &json!({
                "message": "Data processed successfully",
                "received": received(body),
                "caller": caller,
            }),
        ),
        ("GET", "/stream") => stream(stream_interval),
        _ => held(404, &json!({ "error": "Not Found", "method": method, "path": path })),
    }
}

/// An answer in the form that a function gives it, so that it goes the same way as any other.
fn held(status: u16, body: &Value) -> Answer {
    let payload = json!({
        "statusCode": status,
        "headers": { "content-type": "application/json" },
        "body": body.to_string(),
    });
    answer::from_payload(payload.to_string().into())
}

fn received(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap_or_else(|_| String::from_utf8_lossy(body).into())
}

fn stream(interval: Duration) -> Answer {
    let (sender, body) = Channel::new(1);
    tokio::spawn(send_events(sender, interval));
    let mut answer = Response::new(body.boxed());
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    answer
}

/// Sends the events until the client has left.
async fn send_events(mut sender: Sender<Bytes>, interval: Duration) {
    let mut ticks = tokio::time::interval(interval.max(Duration::from_millis(1)));
    for number in 1..=STREAM_EVENTS {
        ticks.tick().await;
        let data = json!({ "event": number, "of": STREAM_EVENTS });
        let event = format!("id: {number}\ndata: {data}\n\n");
        if sender.send_data(event.into()).await.is_err() {
            return;
        }
    }
}
