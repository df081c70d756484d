//! One signature of ours beside one of `aws_sigv4::http_request::sign`, both with a 600-byte
//! session token and both leaving their headers in the request's map.

// what the macros of criterion make has no doc comment
#![allow(missing_docs)]

use std::hint::black_box;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, SignableBody, SignableRequest, SigningSettings, sign,
};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use countersign::secret::Secret;
use countersign::sigv4::{PayloadHash, Scope, Signer, SigningCredentials, Unsigned};
use criterion::{Criterion, criterion_group, criterion_main};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

const HOST: &str = "abcdefghijklmnopqrstuvwxyz012345.lambda-url.us-east-1.on.aws";
const PATH: &str = "/orders/2b7f0c1e/items";
const QUERY: &str = "limit=10&sort=-date&next=%2Fa%3Fb&name=J%C3%BCrgen%20K&filter=open";
const KEY: &str = "ASIAIOSFODNN7EXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn token() -> String {
    "IQoJb3JpZ2luX2VjEXAMPLE+wEaCXVzLWVhc3QtMSJHMEUCIQ/".repeat(12)
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_440_938_160)
}

/// What a client's request usually carries, so that unsigned headers are looked at too.
fn headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("accept", "*/*"),
        ("content-type", "application/json"),
        ("user-agent", "curl/8.5.0"),
        ("x-forwarded-for", "127.0.0.1"),
        ("via", "1.1 countersign-01234567"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
}

struct Ours {
    signer: Signer,
    credentials: SigningCredentials,
    payload: PayloadHash,
    host: HeaderValue,
    headers: HeaderMap,
}

impl Ours {
    fn new() -> Self {
        let scope = Scope { region: "us-east-1".into(), service: "lambda".into() };
        let credentials = SigningCredentials::new(KEY, Secret::new(SECRET), Some(&token()));
        Self {
            signer: Signer::new(scope),
            credentials: credentials.expect("the token is a header value"),
            payload: PayloadHash::empty(),
            host: HeaderValue::from_static(HOST),
            headers: headers(),
        }
    }

    fn sign(&mut self, query: Option<&str>) {
        let request = Unsigned {
            method: &Method::GET,
            path: PATH,
            query,
            host: &self.host,
            headers: &mut self.headers,
            payload: &self.payload,
        };
        self.signer.sign(request, &self.credentials, now());
    }
}

struct Theirs {
    identity: Identity,
    settings: SigningSettings,
    headers: HeaderMap,
}

impl Theirs {
    fn new() -> Self {
        let mut settings = SigningSettings::default();
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        settings.excluded_headers = None;
        let identity = Credentials::new(KEY, SECRET, Some(token()), None, "bench").into();
        Self { identity, settings, headers: headers() }
    }

    fn sign(&mut self, query: Option<&str>) {
        let parameters = v4::SigningParams::builder()
            .identity(&self.identity)
            .region("us-east-1")
            .name("lambda")
            .time(now())
            .settings(self.settings.clone())
            .build()
            .expect("every parameter is given")
            .into();
        let uri = match query {
            Some(query) => format!("https://{HOST}{PATH}?{query}"),
            None => format!("https://{HOST}{PATH}"),
        };
        let signed = [("content-type", "application/json")].into_iter();
        let body = SignableBody::Precomputed(EMPTY.to_owned());
        let request = SignableRequest::new("GET", uri, signed, body).expect("the URI is absolute");
        let output = sign(request, &parameters).expect("the request can be signed");
        let (added, _) = output.into_parts().0.into_parts();
        for header in added {
            let value = HeaderValue::from_str(header.value()).expect("made of header characters");
            self.headers.insert(HeaderName::from_static(header.name()), value);
        }
    }
}

fn signer(criterion: &mut Criterion) {
    let (mut ours, mut theirs) = (Ours::new(), Theirs::new());
    for (name, query) in [("no query", None), ("five parameters", Some(QUERY))] {
        ours.sign(query);
        theirs.sign(query);
        assert!(ours.headers["authorization"] == theirs.headers["authorization"], "both agree");
        let mut group = criterion.benchmark_group(format!("GET, {name}"));
        group.bench_function("countersign", |b| b.iter(|| ours.sign(black_box(query))));
        group.bench_function("aws-sigv4", |b| b.iter(|| theirs.sign(black_box(query))));
        group.finish();
    }
}

criterion_group!(benches, signer);
criterion_main!(benches);
