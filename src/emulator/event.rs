//! The event that a function is called with: payload format 2.0.
//!
//! Source: AWS, "Invoking Lambda function URLs"
//! (<https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html#urls-payloads>).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HOST, USER_AGENT};
use http::request::Parts;
use serde::Serialize;

use super::canonical::decode;
use super::timestamp::Timestamp;

const DEFAULT: &str = "$default";

/// One request as the function sees it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Event<'a> {
    version: &'static str,
    route_key: &'static str,
    pub(super) raw_path: &'a str,
    raw_query_string: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cookies: Vec<String>,
    headers: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    query_string_parameters: BTreeMap<String, String>,
    pub(super) request_context: RequestContext<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    is_base64_encoded: bool,
}

/// What the service adds to the request.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RequestContext<'a> {
    account_id: &'a str,
    api_id: String,
    authentication: Option<()>,
    pub(super) authorizer: Authorizer<'a>,
    domain_name: String,
    domain_prefix: String,
    pub(super) http: Http<'a>,
    request_id: &'a str,
    route_key: &'static str,
    stage: &'static str,
    time: String,
    time_epoch: u64,
}

/// Who may call, by IAM.
#[derive(Debug, Serialize)]
pub(super) struct Authorizer<'a> {
    pub(super) iam: Caller<'a>,
}

/// Who calls.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Caller<'a> {
    access_key: &'a str,
    account_id: &'a str,
    caller_id: String,
    cognito_identity: Option<()>,
    principal_org_id: Option<()>,
    pub(super) user_arn: &'a str,
    user_id: String,
}

/// The request line and where it came from.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Http<'a> {
    pub(super) method: &'a str,
    path: &'a str,
    protocol: String,
    source_ip: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<String>,
}

/// What the event says besides the request itself.
#[derive(Debug)]
pub(super) struct Invocation<'a> {
    pub(super) request_id: &'a str,
    pub(super) source_ip: IpAddr,
    pub(super) now: SystemTime,
    pub(super) caller: Caller<'a>,
}

impl<'a> Caller<'a> {
    /// The caller `arn`. Its unique id, which an ARN does not have, is made up.
    pub(super) fn new(access_key: &'a str, arn: &'a str) -> Self {
        let mut parts = arn.splitn(6, ':');
        let (account_id, resource) = (parts.nth(4).unwrap_or(""), parts.next().unwrap_or(""));
        let id = match resource.strip_prefix("assumed-role/").and_then(|r| r.split_once('/')) {
            Some((_, session)) => format!("AROACOUNTERSIGNEXAMPLE:{session}"),
            None => "AIDACOUNTERSIGNEXAMPLE".to_owned(),
        };
        Self {
            access_key,
            account_id,
            caller_id: id.clone(),
            cognito_identity: None,
            principal_org_id: None,
            user_arn: arn,
            user_id: id,
        }
    }
}

impl<'a> Event<'a> {
    /// The event of a request.
    pub(super) fn new(head: &'a Parts, body: &[u8], invocation: Invocation<'a>) -> Self {
        let source_ip = invocation.source_ip.to_string();
        let (body, is_base64_encoded) = body_field(&head.headers, body);
        let raw_query_string = head.uri.query().unwrap_or_default();
        Self {
            version: "2.0",
            route_key: DEFAULT,
            raw_path: head.uri.path(),
            raw_query_string,
            cookies: cookies(&head.headers),
            headers: headers(&head.headers, &source_ip),
            query_string_parameters: parameters(raw_query_string),
            request_context: RequestContext::new(head, source_ip, invocation),
            body,
            is_base64_encoded,
        }
    }
}

impl<'a> RequestContext<'a> {
    fn new(head: &'a Parts, source_ip: String, invocation: Invocation<'a>) -> Self {
        let Invocation { request_id, now, caller, .. } = invocation;
        let domain_name = domain_name(&head.headers);
        let prefix = match domain_name.parse::<IpAddr>() {
            Ok(_) => &domain_name,
            Err(_) => domain_name.split('.').next().unwrap_or_default(),
        };
        let since_epoch = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self {
            account_id: caller.account_id,
            api_id: prefix.to_owned(),
            authentication: None,
            domain_prefix: prefix.to_owned(),
            http: Http {
                method: head.method.as_str(),
                path: head.uri.path(),
                protocol: format!("{:?}", head.version),
                source_ip,
                user_agent: head.headers.get(USER_AGENT).map(|value| text(value.as_bytes())),
            },
            authorizer: Authorizer { iam: caller },
            domain_name,
            request_id,
            route_key: DEFAULT,
            stage: DEFAULT,
            time: Timestamp::new(now).common_log(),
            time_epoch: u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// `Host` without its port.
fn domain_name(headers: &HeaderMap) -> String {
    let host = headers.get(HOST).map_or("", |host| host.to_str().unwrap_or_default());
    let authority = host.parse::<http::uri::Authority>();
    let name = authority.as_ref().map_or("", |authority| authority.host());
    name.trim_start_matches('[').trim_end_matches(']').to_owned()
}

fn cookies(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all(COOKIE).iter().map(|value| text(value.as_bytes()));
    let cookies = values.flat_map(|value| {
        value.split(';').map(|cookie| cookie.trim().to_owned()).collect::<Vec<_>>()
    });
    cookies.filter(|cookie| !cookie.is_empty()).collect()
}

/// The headers, the values of one name joined by commas: without the cookies, which have a field
/// of their own, and the signature, which the service keeps to itself. As Lambda's do, they say
/// who connected, whatever the request said.
fn headers(all: &HeaderMap, source_ip: &str) -> BTreeMap<String, String> {
    let passed = all.keys().filter(|name| *name != AUTHORIZATION && *name != COOKIE);
    let joined = passed.map(|name| {
        let values = all.get_all(name).iter().map(|value| text(value.as_bytes()));
        (name.as_str().to_owned(), values.collect::<Vec<_>>().join(","))
    });
    let overwritten = [
        ("x-forwarded-for", source_ip),
        ("x-forwarded-port", "443"),
        ("x-forwarded-proto", "https"),
    ];
    let overwritten = overwritten.map(|(name, value)| (name.to_owned(), value.to_owned()));
    joined.chain(overwritten).collect()
}

/// The query decoded, the values of one name joined by commas.
fn parameters(query: &str) -> BTreeMap<String, String> {
    let mut parameters: BTreeMap<String, String> = BTreeMap::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = text(&decode(value));
        parameters
            .entry(text(&decode(name)))
            .and_modify(|values| {
                values.push(',');
                values.push_str(&value);
            })
            .or_insert(value);
    }
    parameters
}

/// The body as it is where its type is a textual one, else in base64, and which of the two.
fn body_field(headers: &HeaderMap, body: &[u8]) -> (Option<String>, bool) {
    if body.is_empty() {
        return (None, false);
    }
    match std::str::from_utf8(body) {
        Ok(body) if is_textual(headers) => (Some(body.to_owned()), false),
        _ => (Some(STANDARD.encode(body)), true),
    }
}

/// Whether the content type is text, JSON, XML or JavaScript. A form is none of these: Lambda
/// hands it on in base64.
fn is_textual(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let Some((kind, subtype)) = essence.split_once('/') else { return false };
    let suffix = subtype.rsplit('+').next().unwrap_or_default();
    kind == "text" || (kind == "application" && ["json", "xml", "javascript"].contains(&suffix))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
