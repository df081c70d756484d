//! What a function answered, as the HTTP answer that Lambda makes of it.
//!
//! Source: AWS, "Invoking Lambda function URLs", response payload format
//! (<https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html#urls-response-payload>).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::{Map, Value};

use super::Answer;

pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Headers that belong to the connection or are the service's own: a function's go out under
/// another name.
const REMAPPED: [&str; 7] =
    ["connection", "content-length", "date", "keep-alive", "te", "transfer-encoding", "upgrade"];

/// Why an answer cannot be made of a payload. For the log: the caller sees a bare 502.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum Malformed {
    #[error("the payload is not JSON")]
    NotJson,
    #[error("`statusCode` is no status")]
    Status,
    #[error("`headers` is no object of strings")]
    Headers,
    #[error("`cookies` is no list of strings")]
    Cookies,
    #[error("`body` is not in base64")]
    Body,
}

/// The answer for a payload that a function returned.
pub(super) fn from_payload(payload: Bytes) -> Answer {
    map(payload).unwrap_or_else(|malformed| {
        tracing::warn!(error = %malformed, "the function's answer is malformed");
        bad_gateway()
    })
}

/// The answer where a function failed: a bare 502, as Lambda tells nobody why.
pub(super) fn bad_gateway() -> Answer {
    held(StatusCode::BAD_GATEWAY, Bytes::from_static(b"Internal Server Error"))
}

/// An answer with a held body, of type JSON unless that is changed.
pub(super) fn held(status: StatusCode, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body).boxed());
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, JSON);
    answer
}

fn map(payload: Bytes) -> Result<Answer, Malformed> {
    match serde_json::from_slice(&payload).map_err(|_| Malformed::NotJson)? {
        Value::Object(fields) if fields.contains_key("statusCode") => from_fields(&fields),
        _ => Ok(held(StatusCode::OK, payload)),
    }
}

fn from_fields(fields: &Map<String, Value>) -> Result<Answer, Malformed> {
    let mut answer = held(status(&fields["statusCode"])?, body(fields)?);
    set_headers(answer.headers_mut(), fields.get("headers"))?;
    add_cookies(answer.headers_mut(), fields.get("cookies"))?;
    Ok(answer)
}

/// A final status, as a number or as its digits.
fn status(value: &Value) -> Result<StatusCode, Malformed> {
    let number = match value {
        Value::String(digits) => digits.parse().ok(),
        value => value.as_u64(),
    };
    let status = number.and_then(|number| u16::try_from(number).ok());
    let status = status.filter(|status| (200..600).contains(status));
    status.and_then(|status| StatusCode::from_u16(status).ok()).ok_or(Malformed::Status)
}

fn body(fields: &Map<String, Value>) -> Result<Bytes, Malformed> {
    let encoded = fields.get("isBase64Encoded").and_then(Value::as_bool).unwrap_or(false);
    match fields.get("body") {
        None | Some(Value::Null) => Ok(Bytes::new()),
        Some(Value::String(body)) if encoded => {
            STANDARD.decode(body).map(Bytes::from).map_err(|_| Malformed::Body)
        }
        Some(Value::String(body)) => Ok(Bytes::copy_from_slice(body.as_bytes())),
        Some(value) => Ok(Bytes::from(value.to_string())),
    }
}

fn set_headers(headers: &mut HeaderMap, given: Option<&Value>) -> Result<(), Malformed> {
    let given = match given {
        None | Some(Value::Null) => return Ok(()),
        Some(Value::Object(given)) => given,
        Some(_) => return Err(Malformed::Headers),
    };
    for (name, value) in given {
        let value = match value {
            Value::Null => continue,
            Value::String(text) => text.clone(),
            Value::Number(_) | Value::Bool(_) => value.to_string(),
            Value::Array(_) | Value::Object(_) => return Err(Malformed::Headers),
        };
        let name = name.to_ascii_lowercase();
        let remapped = REMAPPED.contains(&name.as_str());
        let name = if remapped { format!("x-amzn-remapped-{name}") } else { name };
        let name = HeaderName::try_from(name).map_err(|_| Malformed::Headers)?;
        headers.insert(name, HeaderValue::try_from(value).map_err(|_| Malformed::Headers)?);
    }
    Ok(())
}

fn add_cookies(headers: &mut HeaderMap, given: Option<&Value>) -> Result<(), Malformed> {
    let given = match given {
        None | Some(Value::Null) => return Ok(()),
        Some(Value::Array(given)) => given,
        Some(_) => return Err(Malformed::Cookies),
    };
    for cookie in given {
        let cookie = cookie.as_str().ok_or(Malformed::Cookies)?;
        let cookie = HeaderValue::from_str(cookie).map_err(|_| Malformed::Cookies)?;
        headers.append(SET_COOKIE, cookie);
    }
    Ok(())
}
