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
use serde::Serialize;
use serde::de::IgnoredAny;
use serde_json::json;
use tokio::time::MissedTickBehavior;

use super::event::Event;
use super::{Answer, answer};

/// How many events `/stream` sends.
const STREAM_EVENTS: u32 = 10;

/// The built-in function's answer to an event; `body` is the event's, decoded.
pub(super) fn handle(event: &Event<'_>, body: &[u8], stream_interval: Duration) -> Answer {
    let context = &event.request_context;
    let (method, path) = (context.http.method, event.raw_path);
    let caller = context.authorizer.iam.user_arn;
    match (method, path) {
        ("GET", "/health") => held(200, &Health { status: "healthy", caller }),
        ("POST", "/process") => processed(body, caller),
        ("GET", "/stream") => stream(stream_interval),
        _ => held(404, &NotFound { error: "Not Found", method, path }),
    }
}

#[derive(Serialize)]
struct Health<'a> {
    status: &'static str,
    caller: &'a str,
}

#[derive(Serialize)]
struct NotFound<'a> {
    error: &'static str,
    method: &'a str,
    path: &'a str,
}

/// An answer in the form that a function gives it, so that it goes the same way as any other.
fn held(status: u16, body: &impl Serialize) -> Answer {
    returned(status, &serde_json::to_string(body).expect("a struct of strings"))
}

/// Says what was received: JSON as it came, to the byte, anything else as a string.
fn processed(body: &[u8], caller: &str) -> Answer {
    let text = String::from_utf8_lossy(body);
    let received = match serde_json::from_str::<IgnoredAny>(&text) {
        Ok(_) => text.into_owned(),
        Err(_) => json!(text).to_string(),
    };
    let caller = json!(caller);
    returned(
        200,
        &format!(
            r#"{{"message":"Data processed successfully","received":{received},"caller":{caller}}}"#
        ),
    )
}

fn returned(status: u16, body: &str) -> Answer {
    let payload = json!({
        "statusCode": status,
        "headers": { "content-type": "application/json" },
        "body": body,
    });
    answer::from_payload(payload.to_string().into())
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
    // A late event is no reason to send the next ones in a burst.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for number in 1..=STREAM_EVENTS {
        ticks.tick().await;
        let data = json!({ "event": number, "of": STREAM_EVENTS });
        let event = format!("id: {number}\ndata: {data}\n\n");
        if sender.send_data(event.into()).await.is_err() {
            return;
        }
    }
}
