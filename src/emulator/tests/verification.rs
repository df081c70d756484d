//! Which signatures are taken, and which refusal the others get.

use http_body_util::{BodyExt, Limited};
use serde_json::{Value, json};

use super::*;
use crate::emulator::refusal::{Mismatch, Refusal};
use crate::emulator::verify::verify;

fn refusal(settings: &Settings, signed: &Signed) -> Refusal {
    verify(settings, &signed.head(), &signed.body(), settings.clock.now()).unwrap_err()
}

/// Status, error type and body of the answer to a refused request.
async fn answer(settings: &Settings, signed: &Signed) -> (u16, String, Value) {
    let answer = refusal(settings, signed).into_answer();
    assert_eq!(answer.headers()["content-type"], "application/json");
    let error_type = answer.headers()["x-amzn-errortype"].to_str().unwrap().to_owned();
    let status = answer.status().as_u16();
    let body = Limited::new(answer.into_body(), 4096);
    #[allow(clippy::disallowed_methods)] // limited in the line above
    let body = body.collect().await.unwrap().to_bytes();
    (status, error_type, serde_json::from_slice(&body).unwrap())
}

async fn assert_invalid(settings: &Settings, signed: &Signed, message: &str) {
    let (status, error_type, body) = answer(settings, signed).await;
    assert_eq!((status, error_type.as_str()), (403, "InvalidSignatureException"));
    assert_eq!(body, json!({ "message": message }));
}

fn mismatch(settings: &Settings, signed: &Signed) -> Option<Mismatch> {
    match refusal(settings, signed) {
        Refusal::Mismatch(mismatch) => Some(mismatch),
        _ => None,
    }
}

#[test]
fn takes_what_botocore_signed() {
    let settings = settings();
    let refused = ["unsigned", "streaming", "binary"];
    for signed in Signed::all().iter().filter(|signed| !refused.contains(&&*signed.name)) {
        let verified = verify(&settings, &signed.head(), &signed.body(), signed_at());
        let known = verified.unwrap_or_else(|refusal| panic!("{}: {refusal}", signed.name));
        let expected = if signed.name == "token" { ROLE } else { ARN };
        assert_eq!(known.arn, expected, "{}", signed.name);
    }
}

#[test]
fn refuses_a_request_that_changed_on_its_way() {
    let settings = settings();
    let signed = Signed::named("json");
    let changed = [
        Signed { method: "PUT".to_owned(), ..signed.clone() },
        Signed { target: "/Process".to_owned(), ..signed.clone() },
        Signed { target: "/process?a".to_owned(), ..signed.clone() },
        Signed { body: "{}".to_owned(), ..signed.clone() },
        signed.clone().changed("host", |_| "elsewhere.example".to_owned()),
        signed.clone().changed("content-type", |_| "text/plain".to_owned()),
        signed.clone().changed("x-amz-date", |_| "20261124T030406Z".to_owned()),
        signed.clone().without("content-type"),
        signed.clone().with("content-type", "application/json"),
    ];
    for changed in changed {
        assert_eq!(mismatch(&settings, &changed), Some(Mismatch::Signature), "{changed:?}");
    }
}

#[test]
fn takes_headers_besides_the_signed_ones() {
    let signed = Signed::named("health").with("user-agent", "curl").with("x-amzn-trace-id", "x");
    assert!(verify(&settings(), &signed.head(), b"", signed_at()).is_ok());
}

#[test]
fn refuses_a_signature_that_is_no_lower_case_hex() {
    let settings = settings();
    let in_signature = |change: fn(&str) -> String| {
        Signed::named("health").changed("authorization", |value| {
            let (before, signature) = value.split_once("Signature=").unwrap();
            format!("{before}Signature={}", change(signature))
        })
    };
    let changes: [fn(&str) -> String; 4] =
        [str::to_uppercase, |hex| hex[2..].to_owned(), |_| String::new(), |_| "zz".repeat(32)];
    for change in changes {
        assert_eq!(mismatch(&settings, &in_signature(change)), Some(Mismatch::Signature));
    }
}

#[tokio::test]
async fn answers_a_wrong_secret_as_lambda_does() {
    let mut settings = settings();
    settings.credentials[0].secret_access_key = Secret::new("another");
    let message = "The request signature we calculated does not match the signature you provided. \
                   Check your AWS Secret Access Key and signing method. Consult the service \
                   documentation for details.";
    assert_invalid(&settings, &Signed::named("health"), message).await;
}

#[tokio::test]
async fn answers_a_request_without_authorization_as_lambda_does() {
    let signed = Signed::named("health").without("authorization");
    let (status, error_type, body) = answer(&settings(), &signed).await;
    assert_eq!((status, error_type.as_str()), (403, "AccessDeniedException"));
    let message = "Forbidden. For troubleshooting Function URL authorization issues, see: \
                   https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html";
    assert_eq!(body, json!({ "Message": message }));
}

#[tokio::test]
async fn answers_a_malformed_authorization_as_incomplete() {
    let settings = settings();
    let date = "20261124";
    let cases = [
        ("Bearer x".to_owned(), "Unsupported AWS 'algorithm', must be 'AWS4-HMAC-SHA256'. "),
        (
            "AWS4-HMAC-SHA256 Signature=aa".to_owned(),
            "Authorization header requires 'Credential' parameter. Authorization header requires \
             'SignedHeaders' parameter. ",
        ),
        (
            format!("AWS4-HMAC-SHA256 Credential=A/{date}/r/s, SignedHeaders=host, Signature=aa"),
            "Credential must have exactly 5 slash-delimited elements, e.g. \
             keyid/date/region/service/term. ",
        ),
    ];
    for (value, message) in cases {
        let signed = Signed::named("health").changed("authorization", |_| value.clone());
        let (status, error_type, body) = answer(&settings, &signed).await;
        assert_eq!((status, error_type.as_str()), (403, "IncompleteSignatureException"));
        assert_eq!(body, json!({ "message": message }));
    }
}

#[test]
fn refuses_two_authorizations() {
    let signed = Signed::named("health").with("authorization", "Bearer x");
    assert!(matches!(refusal(&settings(), &signed), Refusal::Incomplete(_)));
}

#[test]
fn refuses_a_date_that_is_missing_or_no_date() {
    let settings = settings();
    for signed in [
        Signed::named("health").without("x-amz-date"),
        Signed::named("health").changed("x-amz-date", |_| "20261124".to_owned()),
    ] {
        assert!(matches!(refusal(&settings, &signed), Refusal::Incomplete(_)), "{signed:?}");
    }
}

#[tokio::test]
async fn answers_a_wrong_scope_as_lambda_does() {
    let signed = Signed::named("health");
    let service =
        signed.clone().changed("authorization", |value| value.replace("/lambda/", "/execute-api/"));
    let message = "Credential should be scoped to correct service: 'lambda'. ";
    assert_invalid(&settings(), &service, message).await;

    let elsewhere = Settings { region: "eu-west-1".to_owned(), ..settings() };
    let message = "Credential should be scoped to a valid region, not 'us-east-1'. ";
    assert_invalid(&elsewhere, &signed, message).await;

    let day =
        signed.clone().changed("authorization", |value| value.replace("/20261124/", "/20261123/"));
    let message = "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date \
                   from HTTP: '20261123' != '20261124', from '20261124T030405Z'. ";
    assert_invalid(&settings(), &day, message).await;

    let terminator = signed.changed("authorization", |value| value.replace("aws4_request", "aws5"));
    let message =
        "Credential should be scoped with a valid terminator: 'aws4_request', not 'aws5'. ";
    assert_invalid(&settings(), &terminator, message).await;
}

#[tokio::test]
async fn answers_a_clock_that_is_off_as_lambda_does() {
    let signed = Signed::named("health");
    let at = |time| Settings { clock: Clock::set_to(time), ..settings() };
    let message = "Signature expired: 20261124T030405Z is now earlier than 20261124T030406Z \
                   (20261124T030906Z - 5 min.)";
    assert_invalid(&at(signed_at() + Duration::from_secs(301)), &signed, message).await;
    let message = "Signature not yet current: 20261124T030405Z is still later than \
                   20261124T030404Z (20261124T025904Z + 5 min.)";
    assert_invalid(&at(signed_at() - Duration::from_secs(301)), &signed, message).await;
}

#[test]
fn takes_a_clock_that_is_five_minutes_off() {
    let signed = Signed::named("health");
    for now in [signed_at() + Duration::from_secs(300), signed_at() - Duration::from_secs(300)] {
        assert!(verify(&settings(), &signed.head(), b"", now).is_ok());
    }
}

#[tokio::test]
async fn answers_an_unknown_key_or_token_as_lambda_does() {
    let mut nobody = settings();
    nobody.credentials.clear();
    let token = Signed::named("token");
    let cases = [
        (&nobody, Signed::named("health")),
        (&settings(), token.clone().changed("x-amz-security-token", |_| "another".to_owned())),
        (&settings(), token.clone().without("x-amz-security-token")),
        (&settings(), Signed::named("health").with("x-amz-security-token", "one")),
    ];
    for (settings, signed) in cases {
        let (status, error_type, body) = answer(settings, &signed).await;
        assert_eq!((status, error_type.as_str()), (403, "UnrecognizedClientException"));
        let message = "The security token included in the request is invalid.";
        assert_eq!(body, json!({ "message": message }), "{signed:?}");
    }
}

#[tokio::test]
async fn answers_an_expired_token_as_lambda_does() {
    let expired =
        Settings { clock: Clock::set_to(signed_at() + Duration::from_secs(60)), ..settings() };
    let (status, error_type, body) = answer(&expired, &Signed::named("token")).await;
    assert_eq!((status, error_type.as_str()), (403, "ExpiredTokenException"));
    assert_eq!(body, json!({ "message": "The security token included in the request is expired" }));
}

#[test]
fn refuses_an_unsigned_or_streamed_payload() {
    for name in ["unsigned", "streaming"] {
        let found = mismatch(&settings(), &Signed::named(name));
        assert_eq!(found, Some(Mismatch::ContentSha256), "{name}");
    }
}

#[test]
fn asks_for_the_content_hash_where_it_is_required() {
    let settings = Settings { content_sha256: ContentSha256::Required, ..settings() };
    assert_eq!(mismatch(&settings, &Signed::named("health")), Some(Mismatch::NoContentSha256));
    let signed = Signed::named("hash of nothing");
    assert!(verify(&settings, &signed.head(), b"", signed_at()).is_ok());
}

#[test]
fn asks_for_host_and_every_amz_header_among_the_signed() {
    let settings = settings();
    let host = Signed::named("health")
        .changed("authorization", |value| value.replace("SignedHeaders=host;", "SignedHeaders="));
    assert_eq!(mismatch(&settings, &host), Some(Mismatch::HostNotSigned));
    let amz = Signed::named("health").with("x-amz-meta", "added later");
    assert_eq!(mismatch(&settings, &amz), Some(Mismatch::AmzNotSigned));
}

#[test]
fn asks_for_sorted_lower_case_names() {
    let settings = settings();
    for names in ["x-amz-date;host", "Host;x-amz-date", "host;host;x-amz-date"] {
        let signed = Signed::named("health")
            .changed("authorization", |value| value.replace("host;x-amz-date", names));
        assert_eq!(mismatch(&settings, &signed), Some(Mismatch::Order), "{names}");
    }
}
