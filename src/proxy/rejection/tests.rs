//! What callers of API Gateway are used to hear, rejection by rejection.

use std::time::Duration;

use http::{Method, StatusCode};

use super::{Full, Rejection};
use crate::config::ErrorStyle;

fn said(rejection: &Rejection) -> (u16, String) {
    let answer = rejection.answer(ErrorStyle::ApiGateway, false);
    let body = String::from_utf8(answer.body().to_vec()).unwrap();
    (answer.status().as_u16(), body)
}

#[test]
fn each_status_has_api_gateways_words_and_nothing_else() {
    let name = || "evil.example".to_owned();
    let wait = Duration::from_secs(1);
    let cases = [
        (Rejection::NoRoute, 404, "Not Found"),
        (Rejection::MethodNotAllowed(vec![Method::GET]), 405, "Method Not Allowed"),
        (Rejection::HostNotAllowed(name()), 403, "Forbidden"),
        (Rejection::OriginNotAllowed(name()), 403, "Forbidden"),
        (Rejection::ApiKeyRequired, 403, "Forbidden"),
        (Rejection::ApiKeyNotAllowed, 403, "Forbidden"),
        (Rejection::BadHost, 400, "Bad Request"),
        (Rejection::BadTarget, 400, "Bad Request"),
        (Rejection::InvalidDigest, 400, "Bad Request"),
        (Rejection::BodyTimeout, 408, "Request Timeout"),
        (Rejection::BodyTooLarge { limit: 1 }, 413, "Request Entity Too Large"),
        (Rejection::Throttled { wait }, 429, "Too Many Requests"),
        (Rejection::KeyThrottled { wait }, 429, "Too Many Requests"),
        (Rejection::Panic, 500, "Internal server error"),
        (Rejection::UpstreamSwitched, 502, "Internal server error"),
        (Rejection::Overloaded(Full::Requests), 503, "Service Unavailable"),
        (Rejection::ResponseTimeout, 504, "Endpoint request timed out"),
    ];
    for (rejection, status, words) in cases {
        let body = format!("{{\"message\":\"{words}\"}}");
        assert_eq!(said(&rejection), (status, body), "{}", rejection.code());
    }
}

#[test]
fn a_preflight_is_no_refusal() {
    for style in [ErrorStyle::Problem, ErrorStyle::ApiGateway] {
        let answer = Rejection::Preflight.answer(style, false);
        assert_eq!(answer.status(), StatusCode::NO_CONTENT);
        assert!(answer.body().is_empty() && answer.headers().is_empty());
    }
    assert!(!Rejection::Preflight.is_fault());
}
