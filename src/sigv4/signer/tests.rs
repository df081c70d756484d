//! Whole signatures: over midnight, over a change of credentials, over stale headers.

use std::time::Duration;

use aws_sigv4::sign::v4;
use http::Method;

use super::*;
use crate::secret::Secret;

/// 2024-12-31T23:59:59Z, a second before a new day, month and year.
const LAST_SECOND: u64 = 1_735_689_599;

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn signer() -> Signer {
    Signer::new(Scope { region: "us-east-1".into(), service: "lambda".into() })
}

fn credentials(secret: &str, token: Option<&str>) -> SigningCredentials {
    SigningCredentials::new("AKIDEXAMPLE", Secret::new(secret), token).unwrap()
}

fn explain(
    signer: &Signer,
    headers: &mut HeaderMap,
    credentials: &SigningCredentials,
    now: u64,
) -> Intermediates {
    let request = Unsigned {
        method: &Method::GET,
        path: "/",
        query: None,
        host: &HeaderValue::from_static("target"),
        headers,
        payload: &PayloadHash::empty(),
    };
    signer.explain(request, credentials, at(now))
}

fn authorization(signer: &Signer, credentials: &SigningCredentials, now: u64) -> String {
    let steps = explain(signer, &mut HeaderMap::new(), credentials, now);
    steps.authorization().to_str().unwrap().to_owned()
}

#[test]
fn one_signer_is_right_on_both_sides_of_midnight() {
    let credentials = credentials("secret", None);
    let kept = signer();
    let moments = [LAST_SECOND, LAST_SECOND + 1, LAST_SECOND, LAST_SECOND + 86_401];
    for (moment, day) in moments.into_iter().zip(["20241231", "20250101", "20241231", "20250102"]) {
        let signed = authorization(&kept, &credentials, moment);
        assert!(signed.contains(&format!("AKIDEXAMPLE/{day}/us-east-1/lambda/aws4_request,")));
        assert_eq!(signed, authorization(&signer(), &credentials, moment), "a key made anew");
    }
}

#[test]
fn a_key_is_kept_for_its_day_only() {
    let credentials = credentials("secret", None);
    let scope = Scope { region: "us-east-1".into(), service: "lambda".into() };
    let slot = KeySlot::default();
    for moment in [LAST_SECOND - 86_399, LAST_SECOND, LAST_SECOND + 1] {
        let kept = slot.sign(b"text", &credentials, &Stamp::at(at(moment)), &scope);
        let made = v4::generate_signing_key("secret", at(moment), &scope.region, &scope.service);
        assert_eq!(hex::encode(kept), v4::calculate_signature(made, b"text"));
    }
}

#[test]
fn two_secrets_under_one_access_key_id_never_share_a_key() {
    let (old, new) = (credentials("mistyped", None), credentials("secret", None));
    let kept = signer();
    for credentials in [&old, &new, &old, &old.clone(), &new] {
        let signed = authorization(&kept, credentials, LAST_SECOND);
        assert_eq!(signed, authorization(&signer(), credentials, LAST_SECOND));
    }
    assert_ne!(authorization(&kept, &old, LAST_SECOND), authorization(&kept, &new, LAST_SECOND));
}

#[test]
fn leaves_exactly_one_of_each_header_whatever_was_there() {
    const OURS: [&str; 4] =
        ["x-amz-date", "x-amz-content-sha256", "x-amz-security-token", "authorization"];
    let mut headers = HeaderMap::new();
    for name in OURS {
        headers.append(name, HeaderValue::from_static("a client's"));
        headers.append(name, HeaderValue::from_static("and another"));
    }
    let clean = explain(&signer(), &mut HeaderMap::new(), &credentials("s", Some("t")), 1);
    let stale = explain(&signer(), &mut headers, &credentials("s", Some("t")), 1);
    assert_eq!(clean.authorization(), stale.authorization());
    for name in OURS {
        assert_eq!(headers.get_all(name).iter().count(), 1, "{name}");
    }
    assert_eq!(headers["x-amz-date"], "19700101T000001Z");
    assert_eq!(headers["x-amz-security-token"], "t");
}

#[test]
fn a_second_attempt_with_other_credentials_leaves_nothing_of_the_first() {
    let mut headers = HeaderMap::new();
    explain(&signer(), &mut headers, &credentials("first", Some("token")), LAST_SECOND);
    let again = explain(&signer(), &mut headers, &credentials("second", None), LAST_SECOND + 1);
    let fresh =
        explain(&signer(), &mut HeaderMap::new(), &credentials("second", None), LAST_SECOND + 1);
    assert_eq!(again.authorization(), fresh.authorization());
    assert!(!headers.contains_key("x-amz-security-token"));
    assert_eq!(headers.len(), 3);
}

#[test]
fn sign_and_explain_leave_the_same_headers() {
    let (mut signed, mut explained) = (HeaderMap::new(), HeaderMap::new());
    let credentials = credentials("secret", Some("token"));
    let signer = signer();
    let (host, payload) = (HeaderValue::from_static("target"), PayloadHash::unsigned());
    for headers in [&mut signed, &mut explained] {
        headers.insert("content-type", HeaderValue::from_static("text/plain"));
    }
    let request = |headers| Unsigned {
        method: &Method::PUT,
        path: "/a",
        query: Some("b"),
        host: &host,
        headers,
        payload: &payload,
    };
    signer.sign(request(&mut signed), &credentials, at(7));
    let steps = signer.explain(request(&mut explained), &credentials, at(7));
    assert_eq!(signed, explained);
    assert_eq!(signed["authorization"], steps.authorization());
    assert_eq!(
        steps.signed_headers(),
        "content-type;host;x-amz-content-sha256;x-amz-date;x-amz-security-token"
    );
    assert!(steps.canonical_request().ends_with(b"\nUNSIGNED-PAYLOAD"));
}

#[test]
fn signs_the_host_that_is_sent_and_not_one_among_the_headers() {
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_static("client.example"));
    let steps = explain(&signer(), &mut headers, &credentials("s", None), 1);
    let canonical = str::from_utf8(steps.canonical_request()).unwrap();
    assert!(canonical.contains("\nhost:target\n") && !canonical.contains("client.example"));
}

#[test]
fn secrets_do_not_print() {
    let signer = signer();
    let mut headers = HeaderMap::new();
    let steps = explain(&signer, &mut headers, &credentials("hunter2", Some("sesame")), 1);
    let signature = steps.authorization().to_str().unwrap().rsplit('=').next().unwrap().to_owned();
    let printed = format!(
        "{signer:?} {headers:?} {steps:?} {} {}",
        steps.redacted_canonical_request(),
        steps.redacted_authorization()
    );
    for secret in ["hunter2", "sesame", &signature] {
        assert!(!printed.contains(secret), "{printed}");
    }
    assert!(headers["authorization"].is_sensitive());
    assert!(headers["x-amz-security-token"].is_sensitive());
    assert!(printed.contains("x-amz-security-token:[redacted]\n\nhost;"));
    assert!(printed.contains("x-amz-security-token, Signature=[redacted]"));
}

#[test]
fn a_scope_that_no_header_can_carry_does_not_panic() {
    let signer = Signer::new(Scope { region: "us-east-1\n".into(), service: "lam\0bda".into() });
    let signed = authorization(&signer, &credentials("s", None), 1);
    assert!(signed.contains("/us-east-1?/lam?bda/aws4_request"));
}
