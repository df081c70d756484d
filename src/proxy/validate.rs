//! What the route says that a request must bring: headers, query parameters, a body that fits its
//! schema. What does not is told where, never with its value, and nothing of it is sent.
//!
//! A body is JSON of a client's choosing: one too deep is refused as it is parsed, and a larger
//! one is looked at beside the requests that wait for nothing but the network.

use std::io::{self, Read};
use std::sync::Arc;

use bytes::{Buf, Bytes};
use http::header::{CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, HeaderName};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method};
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::config::json_schema::{Fault, Schema, Told};
use crate::config::validate::Validate;
use crate::config::{HeaderChanges, Route};
use crate::proxy::body::{Held, Payload};
use crate::proxy::rejection::{Missing, Rejection};
use crate::sigv4::decode_query;

/// Up to here a body is looked at at once: it takes less than a thread's start. A larger one would
/// keep other requests waiting.
const AT_ONCE: u64 = 16 * 1024;
/// Larger bodies that are looked at at a time: parsed, they take several times their bytes.
const LARGE_AT_ONCE: usize = 1;
/// Bytes that a parsed body may take. One of nothing but small objects takes a hundred times its
/// length, and a sidecar has little memory; 6 MiB of objects that say something stay far below.
const PARSED: u64 = 64 * 1024 * 1024;
/// What a parsed object, array and each of their entries take at least, about.
const OBJECT: u64 = 640;
const ARRAY: u64 = 128;
const ENTRY: u64 = 64;
/// What a body without a `Content-Type` is taken for, as API Gateway does.
const DEFAULT_TYPE: &[u8] = b"application/json";

static LARGE: Semaphore = Semaphore::const_new(LARGE_AT_ONCE);

/// Lets the request pass, or says what is missing or wrong.
///
/// # Errors
///
/// Where something is.
pub(super) async fn admit(
    route: &Route,
    request: &Parts,
    sent: &PathAndQuery,
    payload: &Payload,
) -> Result<(), Rejection> {
    match &route.validate {
        None => Ok(()),
        // its state is large, and most routes ask for nothing
        Some(validate) => Box::pin(check(route, validate, request, sent, payload)).await,
    }
}

async fn check(
    route: &Route,
    validate: &Validate,
    request: &Parts,
    sent: &PathAndQuery,
    payload: &Payload,
) -> Result<(), Rejection> {
    let headers = validate.headers.iter().filter(|name| !has_header(&request.headers, name));
    let headers = headers.map(|name| Missing::Header(name.as_str().to_owned()));
    let query = sent.query().unwrap_or_default();
    let parameters = validate.query.iter().filter(|name| !has_parameter(query, name));
    let parameters = parameters.map(|name| Missing::Parameter(name.clone()));
    let missing: Vec<Missing> = headers.chain(parameters).collect();
    if !missing.is_empty() {
        return Err(Rejection::ParametersMissing(missing));
    }
    let schema = schema_for(validate, &request.headers, &route.request_headers);
    let Some(schema) = schema else { return Ok(()) };
    let faults = match payload {
        // What such a request means is in its head (RFC 9110, 9.3.1).
        Payload::Empty if has_no_body(&request.method) => Vec::new(),
        Payload::Held(_) if is_compressed(&request.headers) => {
            vec![whole("the body is compressed: send it as it is")]
        }
        Payload::Held(held) => judge(schema, held).await,
        Payload::Empty | Payload::Streamed(..) => vec![whole("there is no body to check")],
    };
    if faults.is_empty() { Ok(()) } else { Err(Rejection::BodyInvalid(faults)) }
}

/// Whether a header is there, with something in it, and goes on: one that `Connection` names ends
/// here.
fn has_header(headers: &HeaderMap, name: &HeaderName) -> bool {
    headers.get_all(name).iter().any(is_filled) && !ends_here(headers, name)
}

fn is_filled(value: &HeaderValue) -> bool {
    !value.as_bytes().trim_ascii().is_empty()
}

/// Whether `Connection` names a header, which then goes no further.
fn ends_here(headers: &HeaderMap, name: &HeaderName) -> bool {
    let named = |value: &HeaderValue| {
        let mut names = value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        names.any(|found| found.eq_ignore_ascii_case(name.as_str().as_bytes()))
    };
    headers.get_all(CONNECTION).iter().any(named)
}

/// Whether a parameter is there, with something in it.
fn has_parameter(query: &str, name: &str) -> bool {
    query.split('&').any(|pair| {
        let (found, value) = pair.split_once('=').unwrap_or((pair, ""));
        decode_query(found.as_bytes()).eq(name.bytes())
            && decode_query(value.as_bytes()).any(|byte| !byte.is_ascii_whitespace())
    })
}

/// By the type that the target will see, not by one that is changed or dropped on the way: else
/// whoever sends the request would choose whether it is checked.
fn schema_for<'v>(
    validate: &'v Validate,
    headers: &HeaderMap,
    changes: &HeaderChanges,
) -> Option<&'v Arc<Schema>> {
    if let Some((_, kind)) = changes.set.iter().find(|(name, _)| *name == CONTENT_TYPE) {
        return validate.schema(kind.as_bytes());
    }
    let dropped = changes.remove.contains(&CONTENT_TYPE) || ends_here(headers, &CONTENT_TYPE);
    let kinds = headers.get_all(CONTENT_TYPE).iter();
    let mut kinds = kinds.filter(|kind| is_filled(kind) && !dropped).peekable();
    if kinds.peek().is_none() {
        return validate.schema(DEFAULT_TYPE);
    }
    kinds.find_map(|kind| validate.schema(kind.as_bytes()))
}

fn has_no_body(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::DELETE, Method::OPTIONS, Method::TRACE].contains(method)
}

fn is_compressed(headers: &HeaderMap) -> bool {
    let coded = |value: &HeaderValue| !value.as_bytes().eq_ignore_ascii_case(b"identity");
    headers.get_all(CONTENT_ENCODING).iter().any(coded)
}

async fn judge(schema: &Arc<Schema>, held: &Arc<Held>) -> Vec<Fault> {
    if held.length() <= AT_ONCE {
        return faults(schema, held, Told::Several);
    }
    let place = LARGE.acquire().await.expect("it is never closed");
    let work = (place, Arc::clone(schema), Arc::clone(held));
    let judged = tokio::task::spawn_blocking(move || {
        // The place goes along with the work, which a client that leaves does not end.
        let (_place, schema, held) = work;
        match parsed_size(held.frames()) {
            0..=PARSED => faults(&schema, &held, Told::First),
            _ => vec![whole("the body holds too many small objects to be checked")],
        }
    });
    match judged.await {
        Ok(faults) => faults,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

fn faults(schema: &Schema, held: &Held, told: Told) -> Vec<Fault> {
    // A parser with an end to its depth: 128 levels.
    let parsed: Result<Value, serde_json::Error> = match held.frames() {
        [whole] => serde_json::from_slice(whole),
        frames => serde_json::from_reader(Frames(frames.iter().cloned().collect())),
    };
    match parsed {
        Ok(body) => schema.faults(&body, told),
        // Its own words may name a value.
        Err(error) => vec![whole(&format!(
            "the body is no JSON, or too deep, at line {} column {}",
            error.line(),
            error.column()
        ))],
    }
}

/// About how many bytes JSON takes once it is parsed.
fn parsed_size(frames: &[Bytes]) -> u64 {
    let (mut size, mut in_text, mut escaped) = (0, false, false);
    for byte in frames.iter().flatten() {
        size += match (in_text, byte) {
            (false, b'{') => OBJECT,
            (false, b'[') => ARRAY,
            (false, b',') => ENTRY,
            (true, _) => 1,
            (false, _) => 0,
        };
        match byte {
            b'"' if !escaped => in_text = !in_text,
            b'\\' if in_text && !escaped => escaped = true,
            _ => escaped = false,
        }
    }
    size
}

fn whole(detail: &str) -> Fault {
    Fault { pointer: "#".to_owned(), detail: detail.to_owned() }
}

/// The pieces of a body, read one after the other where they are.
struct Frames(std::collections::VecDeque<Bytes>);

impl Read for Frames {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while let Some(frame) = self.0.front_mut() {
            if frame.has_remaining() {
                let count = frame.remaining().min(into.len());
                frame.copy_to_slice(&mut into[..count]);
                return Ok(count);
            }
            self.0.pop_front();
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_parameter_is_there_by_its_decoded_name_with_something_in_it() {
        for query in ["id=7", "a=1&id=7", "%69d=7", "id=&id=7", "id=%20x", "id=0"] {
            assert!(has_parameter(query, "id"), "{query}");
        }
        for query in ["", "id", "id=", "id=%20%09", "ID=7", "xid=7", "id%3D7", "a=id"] {
            assert!(!has_parameter(query, "id"), "{query}");
        }
    }

    #[test]
    fn a_header_is_there_with_something_in_it_unless_it_ends_here() {
        let tenant = HeaderName::from_static("x-tenant");
        let headers = |pairs: &[(&'static str, &'static str)]| {
            let pairs = pairs.iter().map(|(name, value)| {
                (HeaderName::from_static(name), HeaderValue::from_static(value))
            });
            pairs.collect::<HeaderMap>()
        };
        assert!(has_header(&headers(&[("x-tenant", "a")]), &tenant));
        assert!(has_header(&headers(&[("x-tenant", "a"), ("connection", "close")]), &tenant));
        assert!(!has_header(&headers(&[]), &tenant));
        assert!(!has_header(&headers(&[("x-tenant", " ")]), &tenant));
        let smuggled = headers(&[("x-tenant", "a"), ("connection", "close, X-Tenant")]);
        assert!(!has_header(&smuggled, &tenant));
    }

    #[test]
    fn what_stands_in_a_text_makes_nothing_larger() {
        let size = |text: &'static str| parsed_size(&[Bytes::from(text)]);
        assert_eq!(size("[1, 2, {\"a\": 3}]"), ARRAY + 2 * ENTRY + OBJECT + 2);
        assert!(size("\"[{,\\\"{{{\\\\\"") < ENTRY);
        assert_eq!(size("[\"\\\\\", {}]"), ARRAY + 3 + ENTRY + OBJECT);
        let halves = ["[\"\\", "\"[[[[[\"]"].map(Bytes::from);
        assert!(parsed_size(&halves) < 2 * ARRAY);
    }

    #[test]
    fn reads_over_the_edges_of_frames() {
        let frames = ["{\"a\":", "", "[1,", "2]", "}"].map(Bytes::from);
        let read: Value = serde_json::from_reader(Frames(frames.into())).unwrap();
        assert_eq!(read, serde_json::json!({ "a": [1, 2] }));
    }
}
