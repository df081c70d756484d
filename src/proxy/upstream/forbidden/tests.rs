//! Each refusal by its cause, as the service words it.

use std::collections::BTreeSet;

use super::*;

const FORBIDDEN: &str = r#"{"Message":"Forbidden. For troubleshooting Function URL authorization issues, see: https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html"}"#;

fn of(error_type: &str, body: &[u8], skew: Option<i64>) -> Forbidden {
    Forbidden::of(&HeaderValue::from_str(error_type).unwrap(), body, skew)
}

#[test]
fn tells_every_cause_apart() {
    let cases = [
        ("AccessDeniedException", FORBIDDEN, Forbidden::Permission),
        ("AccessDeniedException", r#"{"Message":"Forbidden"}"#, Forbidden::Permission),
        (
            "AccessDeniedException",
            r#"{"Message":"User: arn:aws:sts::1:assumed-role/r/s is not authorized to perform: execute-api:Invoke"}"#,
            Forbidden::Permission,
        ),
        ("AccessDeniedException", r#"{"Message":null}"#, Forbidden::UnknownFunction),
        (
            "InvalidSignatureException",
            r#"{"message":"The request signature we calculated does not match the signature you provided."}"#,
            Forbidden::Signature,
        ),
        ("IncompleteSignatureException", r#"{"message":"no date"}"#, Forbidden::Signature),
        (
            "InvalidSignatureException",
            r#"{"message":"Credential should be scoped to correct service: 'lambda'. "}"#,
            Forbidden::Scope,
        ),
        (
            "InvalidSignatureException",
            r#"{"message":"Credential should be scoped to a valid region, not 'x'. "}"#,
            Forbidden::Scope,
        ),
        (
            "InvalidSignatureException",
            r#"{"message":"Signature expired: 20261124T000000Z is now earlier than 20261124T000500Z (20261124T001000Z - 5 min.)"}"#,
            Forbidden::Clock,
        ),
        (
            "InvalidSignatureException",
            r#"{"message":"Signature not yet current: 20261124T001000Z is still later than 20261124T000500Z (20261124T000000Z + 5 min.)"}"#,
            Forbidden::Clock,
        ),
        (
            "UnrecognizedClientException",
            r#"{"message":"The security token included in the request is invalid."}"#,
            Forbidden::UnknownToken,
        ),
        (
            "ExpiredTokenException",
            r#"{"message":"The security token included in the request is expired"}"#,
            Forbidden::ExpiredToken,
        ),
        ("ExpiredTokenException:http://internal.example/coral/", "{}", Forbidden::ExpiredToken),
        ("ForbiddenException", r#"{"message":"Forbidden"}"#, Forbidden::Other),
        ("", "", Forbidden::Other),
    ];
    for (error_type, body, expected) in cases {
        assert_eq!(of(error_type, body.as_bytes(), None), expected, "{error_type} {body}");
    }
}

#[test]
fn a_body_that_cannot_be_read_leaves_the_type() {
    let bodies = [&b""[..], b"\x1f\x8b\x08\x00\xff", b"{\"message\":\"cut of", b"[1]", b"<html>"];
    for body in bodies {
        assert_eq!(of("AccessDeniedException", body, None), Forbidden::Permission);
        assert_eq!(of("InvalidSignatureException", body, None), Forbidden::Signature);
        assert_eq!(of("ExpiredTokenException", body, None), Forbidden::ExpiredToken);
        // The answer to a HEAD has no message, but a date.
        for (skew, expected) in [
            (299, Forbidden::Clock),
            (-301, Forbidden::Clock),
            (i64::MIN + 1, Forbidden::Clock),
            (100, Forbidden::Signature),
        ] {
            assert_eq!(of("InvalidSignatureException", body, Some(skew)), expected);
        }
    }
    assert_eq!(
        Forbidden::of(&HeaderValue::from_bytes(b"\xff").unwrap(), b"", None),
        Forbidden::Other
    );
}

#[test]
fn every_cause_has_a_word_of_its_own_and_a_remedy() {
    let codes: BTreeSet<&str> = Forbidden::ALL.iter().map(|cause| cause.code()).collect();
    assert_eq!(codes.len(), Forbidden::ALL.len());
    for (position, cause) in Forbidden::ALL.into_iter().enumerate() {
        assert_eq!(cause as usize, position);
        let code = cause.code();
        assert!(code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{code}");
        let expected = format!("countersign; received-status=403; details=\"{code}\"");
        assert_eq!(cause.proxy_status(), expected);
        for service in ["lambda", "execute-api", "s3"] {
            assert!(!cause.remedy(service).ends_with('.'));
        }
    }
    let remedy = Forbidden::Permission.remedy("lambda");
    for part in ["`lambda:InvokeFunctionUrl`", "`lambda:InvokeFunction`", "`countersign policy`"] {
        assert!(remedy.contains(part), "{remedy}");
    }
}

#[test]
fn one_cause_is_logged_once_in_half_a_minute_with_its_count() {
    let notices = Notices::default();
    let began = Instant::now();
    assert_eq!(notices.note(Forbidden::Clock, began), Some(1));
    for second in 1..30 {
        let now = began + Duration::from_secs(second);
        assert_eq!(notices.note(Forbidden::Clock, now), None);
    }
    assert_eq!(notices.note(Forbidden::Scope, began), Some(1));
    assert_eq!(notices.note(Forbidden::Clock, began + LOG_GAP), Some(30));
}
