//! Holds our signatures to those of `aws_sigv4::http_request::sign` wherever the crate is right,
//! and says what ours are where it is wrong.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, SignableBody, SignableRequest, SigningSettings, sign,
};
use aws_sigv4::sign::v4;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use proptest::prelude::*;

use super::{PayloadHash, Scope, Signer, SigningCredentials, Unsigned};
use crate::secret::Secret;

const HOST: &str = "id.lambda-url.us-east-1.on.aws";

#[derive(Clone, Debug)]
struct Request {
    method: String,
    path: String,
    query: Option<String>,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    key: (String, String, Option<String>),
    scope: (String, String),
    seconds: u64,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            method: "GET".into(),
            path: "/".into(),
            query: None,
            headers: Vec::new(),
            body: Vec::new(),
            key: ("AKID".into(), "secret".into(), None),
            scope: ("us-east-1".into(), "lambda".into()),
            seconds: 1_440_938_160,
        }
    }
}

impl Request {
    fn time(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(self.seconds)
    }

    /// The `Authorization` that our signer makes, and the canonical query beside it.
    fn ours(&self) -> (String, String) {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let (id, secret, token) = &self.key;
        let credentials =
            SigningCredentials::new(id, Secret::new(secret.as_str()), token.as_deref()).unwrap();
        let (region, service) = self.scope.clone();
        let request = Unsigned {
            method: &Method::from_bytes(self.method.as_bytes()).unwrap(),
            path: &self.path,
            query: self.query.as_deref(),
            host: &HeaderValue::from_static(HOST),
            headers: &mut headers,
            payload: &PayloadHash::of(&self.body),
        };
        let steps =
            Signer::new(Scope { region, service }).explain(request, &credentials, self.time());
        let canonical = str::from_utf8(steps.canonical_request()).unwrap();
        let query = canonical.split('\n').nth(2).unwrap().to_owned();
        (steps.authorization().to_str().unwrap().to_owned(), query)
    }

    /// The `Authorization` that the crate makes.
    fn theirs(&self) -> String {
        let (id, secret, token) = self.key.clone();
        let identity = Credentials::new(id, secret, token, None, "test").into();
        let mut settings = SigningSettings::default();
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        settings.excluded_headers = None;
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.scope.0)
            .name(&self.scope.1)
            .time(self.time())
            .settings(settings)
            .build()
            .unwrap()
            .into();
        let query = self.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
        let headers = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let signed =
            headers.filter(|(name, _)| name.starts_with("x-amz-") || *name == "content-type");
        let uri = format!("https://{HOST}{}{query}", self.path);
        let body = SignableBody::Bytes(&self.body);
        let request = SignableRequest::new(&self.method, uri, signed, body).unwrap();
        let (instructions, _) = sign(request, &parameters).unwrap().into_parts();
        let (added, _) = instructions.into_parts();
        let authorization = added.iter().find(|header| header.name() == "authorization");
        authorization.unwrap().value().to_owned()
    }
}

fn path() -> impl Strategy<Value = String> {
    // what `http::Uri` takes, dots, slashes and escapes more often than chance would have them
    let piece = "[-._~!$&'()*+,;=:@A-Za-z0-9]|/|\\.|%[0-9A-Fa-f]{2}|%|\u{e9}|\u{65e5}";
    proptest::string::string_regex(&format!("/({piece}){{0,20}}")).unwrap()
}

fn query() -> impl Strategy<Value = Option<String>> {
    // every escape here decodes to UTF-8: the crate is known wrong where it does not
    let piece = "[-._~!$'()*,;:@/?A-Ca-c0-2]|&|=|\\+|%[2-6][0-9A-F]|%7e|%C3%A9|%e6%97%a5|\u{e9}";
    proptest::option::of(
        proptest::string::string_regex(&format!("({piece}|%|%z){{0,24}}")).unwrap(),
    )
    .prop_filter("the escapes decode to UTF-8", |query| {
        query.as_deref().is_none_or(decodes_to_utf8)
    })
}

fn decodes_to_utf8(query: &str) -> bool {
    let pieces = query.split(['&', '=']);
    pieces
        .map(|piece| super::escape::decode_query(piece.as_bytes()).collect::<Vec<_>>())
        .all(|bytes| String::from_utf8(bytes).is_ok())
}

fn headers() -> impl Strategy<Value = Vec<(String, String)>> {
    let name = prop_oneof![
        Just("content-type".to_owned()),
        Just("x-amz-meta".to_owned()),
        Just("x-amzn-trace-id".to_owned()),
        Just("accept".to_owned()),
        "x-amz-[a-z0-9-]{0,8}",
    ];
    let ours = ["x-amz-date", "x-amz-security-token", "x-amz-content-sha256"];
    let name = name.prop_filter("not the signer's own", move |name| !ours.contains(&name.as_str()));
    // no tab at an end: the wire trims it there, the crate does not
    proptest::collection::vec((name, "([ -~\u{e9}]| {1,3}|,){0,12}"), 0..12)
}

prop_compose! {
    fn request()(
        method in "GET|POST|PUT|DELETE|PATCH|HEAD|OPTIONS|[A-Z]{1,8}",
        path in path(),
        query in query(),
        headers in headers(),
        body in proptest::collection::vec(any::<u8>(), 0..64),
        key in ("[A-Z0-9]{4,20}", "[A-Za-z0-9+/]{1,40}", proptest::option::of("[!-~]{1,80}")),
        scope in ("[a-z]{2}-[a-z]{4}-[1-9]", "[a-z-]{1,12}"),
        seconds in 0u64..253_402_300_800,
    ) -> Request {
        Request { method, path, query, headers, body, key, scope, seconds }
    }
}

proptest! {
    #[test]
    fn signs_as_the_crate_does(request in request()) {
        prop_assert_eq!(request.ours().0, request.theirs());
    }
}

/// The crate reads a query as UTF-8 and signs `U+FFFD` for what is none, which is a 403.
#[test]
fn signs_the_bytes_of_a_query_that_is_no_utf8_where_the_crate_does_not() {
    for (wire, canonical) in [
        ("q=caf%E9", "q=caf%E9"),
        ("q=%FF", "q=%FF"),
        ("%ff=%fe&a=%80", "%FF=%FE&a=%80"),
        ("q=%C3", "q=%C3"),
        ("q=%E9%41", "q=%E9A"),
        ("q=\u{e9}%A9", "q=%C3%A9%A9"),
    ] {
        let request = Request { query: Some(wire.into()), ..Request::default() };
        let (authorization, query) = request.ours();
        assert_eq!(query, canonical);
        assert_ne!(authorization, request.theirs(), "the crate is right now about {wire}");
    }
}
