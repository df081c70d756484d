//! Signatures that others made: AWS's own test suite, and botocore with awscrt as its second.
//! Canonical request, string to sign and `Authorization` are compared each.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::Deserialize;

use super::canonical::{CanonicalParts, SignedHeaders};
use super::stamp::Stamp;
use super::{Intermediates, PayloadHash, Scope, Signer, SigningCredentials, Unsigned};
use crate::secret::Secret;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

#[derive(Deserialize)]
struct Published {
    vector: Vec<PublishedVector>,
}

#[derive(Deserialize)]
struct PublishedVector {
    name: String,
    method: String,
    path: String,
    query: String,
    lines: Vec<(String, String)>,
    payload: String,
    canonical_request: String,
    string_to_sign: String,
    authorization: String,
}

#[derive(Deserialize)]
struct Botocore {
    host: String,
    vector: Vec<BotocoreVector>,
}

#[derive(Deserialize)]
struct BotocoreVector {
    name: String,
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    body: String,
    token: Option<String>,
    canonical_request: String,
    string_to_sign: String,
    authorization: String,
}

fn time() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_440_938_160) // 2015-08-30T12:36:00Z
}

fn signer(service: &str) -> Signer {
    Signer::new(Scope { region: "us-east-1".into(), service: service.into() })
}

fn credentials(token: Option<&str>) -> SigningCredentials {
    SigningCredentials::new("AKIDEXAMPLE", Secret::new(SECRET), token).unwrap()
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::from_bytes(text.as_bytes()).unwrap()
}

fn assert_steps(name: &str, steps: &Intermediates, expected: [&str; 3]) {
    let canonical = str::from_utf8(steps.canonical_request()).unwrap();
    assert_eq!(canonical, expected[0], "canonical request of {name}");
    assert_eq!(steps.string_to_sign(), expected[1], "string to sign of {name}");
    assert_eq!(steps.authorization().to_str().unwrap(), expected[2], "authorization of {name}");
}

#[test]
fn signs_as_the_published_test_suite_does() {
    let suite: Published =
        toml::from_str(include_str!("../../tests/fixtures/sigv4/published.toml")).unwrap();
    assert_eq!(suite.vector.len(), 29);
    let signer = signer("service");
    for vector in &suite.vector {
        let lines: Vec<_> = vector.lines.iter().map(|(n, v)| (n.as_str(), value(v))).collect();
        let headers = SignedHeaders::of(lines.iter().map(|(n, v)| (*n, v)).collect());
        let parts = CanonicalParts {
            method: &vector.method,
            path: &vector.path,
            query: &vector.query,
            headers: &headers,
            payload: vector.payload.as_bytes(),
        };
        let steps = signer.steps(&parts, &credentials(None), &Stamp::at(time()));
        let expected = [&vector.canonical_request, &vector.string_to_sign, &vector.authorization];
        assert_steps(&vector.name, &steps, expected.map(String::as_str));
    }
}

#[test]
fn signs_as_botocore_does() {
    let made: Botocore =
        toml::from_str(include_str!("../../tests/fixtures/sigv4/botocore.toml")).unwrap();
    assert!(made.vector.len() > 50);
    let signer = signer("lambda");
    let host = value(&made.host);
    for vector in &made.vector {
        let mut headers = HeaderMap::new();
        for (name, text) in &vector.headers {
            headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value(text));
        }
        let request = Unsigned {
            method: &Method::from_bytes(vector.method.as_bytes()).unwrap(),
            path: &vector.path,
            query: Some(vector.query.as_str()).filter(|query| !query.is_empty()),
            host: &host,
            headers: &mut headers,
            payload: &PayloadHash::of(vector.body.as_bytes()),
        };
        let steps = signer.explain(request, &credentials(vector.token.as_deref()), time());
        let expected = [&vector.canonical_request, &vector.string_to_sign, &vector.authorization];
        assert_steps(&vector.name, &steps, expected.map(String::as_str));
        assert_eq!(headers["authorization"], vector.authorization);
    }
}
