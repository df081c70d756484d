//! Why a service refused a request, read from the answer as a client gets it.

use http::{HeaderMap, StatusCode};

/// A cause and its remedy.
pub(super) struct Refusal {
    pub(super) class: &'static str,
    pub(super) remedy: &'static str,
}

/// The refusal that an answer is; none where it is a function's own.
pub(super) fn of(
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    _service: &str,
) -> Option<Refusal> {
    let kind = headers.get("x-amzn-errortype")?.to_str().ok()?;
    if status != StatusCode::FORBIDDEN {
        return None;
    }
    let says = |words: &str| String::from_utf8_lossy(body).contains(words);
    let (class, remedy) = match kind.split(':').next().unwrap_or_default() {
        "AccessDeniedException" if says("\"Message\":null") => {
            ("unknown_function", "check the id and the region in the target's URL")
        }
        "AccessDeniedException" => (
            "permission_denied",
            "allow the role both `lambda:InvokeFunctionUrl` and `lambda:InvokeFunction`; \
             `countersign policy` prints the policy",
        ),
        "InvalidSignatureException" if says("scoped") => {
            ("wrong_scope", "leave the target's `service` and `region` out")
        }
        "InvalidSignatureException" if says("Signature expired") || says("not yet current") => {
            ("clock_skew", "set this machine's clock (NTP)")
        }
        "InvalidSignatureException" => ("signature_mismatch", "check the secret key"),
        "ExpiredTokenException" => ("expired_token", "log in again, or check the role"),
        "UnrecognizedClientException" => ("unknown_token", "check the credentials"),
        _ => ("forbidden", "the answer's body says more"),
    };
    Some(Refusal { class, remedy })
}
