//! A 403 of the service, told apart: it never reached the function, and each cause has a remedy
//! of its own.
//!
//! `x-amzn-ErrorType` marks such an answer; what it says is in its message, and a HEAD has none.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;

use crate::proxy::upstream::recovery::LEAST_SKEW;

pub(super) const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");

/// How often one cause is logged: a caller that is refused asks again.
const LOG_GAP: Duration = Duration::from_secs(30);

/// Why the service refused a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forbidden {
    /// The role may not call the function.
    Permission,
    /// There is no such Function URL.
    UnknownFunction,
    /// The signature is not that of the request that arrived.
    Signature,
    /// It was signed for another service or region.
    Scope,
    /// The clocks are more than 5 minutes apart.
    Clock,
    /// The session token has expired.
    ExpiredToken,
    /// The access key or the session token is not known.
    UnknownToken,
    /// Something else.
    Other,
}

impl Forbidden {
    /// Every cause.
    pub const ALL: [Self; 8] = [
        Self::Permission,
        Self::UnknownFunction,
        Self::Signature,
        Self::Scope,
        Self::Clock,
        Self::ExpiredToken,
        Self::UnknownToken,
        Self::Other,
    ];

    /// What an answer says. `skew`: the seconds that its `Date` was ahead of the signature.
    pub(super) fn of(error_type: &HeaderValue, body: &[u8], skew: Option<i64>) -> Self {
        let message = Message::read(body);
        // Some services write a URI after it: `AccessDeniedException:http://…`.
        let error_type = error_type.to_str().unwrap_or_default();
        match error_type.split(':').next().unwrap_or_default().trim() {
            "InvalidSignatureException" | "IncompleteSignatureException" => {
                Self::of_signature(&message, skew)
            }
            "ExpiredTokenException" => Self::ExpiredToken,
            "UnrecognizedClientException" | "InvalidClientTokenId" => Self::UnknownToken,
            "AccessDeniedException" if message == Message::Null => Self::UnknownFunction,
            "AccessDeniedException" => Self::Permission,
            _ => Self::Other,
        }
    }

    fn of_signature(message: &Message, skew: Option<i64>) -> Self {
        match message {
            Message::Text(text) if text.contains("Credential should be scoped") => Self::Scope,
            Message::Text(text)
                if text.contains("Signature expired")
                    || text.contains("Signature not yet current") =>
            {
                Self::Clock
            }
            Message::Text(_) | Message::Null => Self::Signature,
            Message::Unread if skew.is_some_and(|skew| skew.abs() >= LEAST_SKEW) => Self::Clock,
            Message::Unread => Self::Signature,
        }
    }

    /// The stable word for it, in logs, metrics and `Proxy-Status`.
    pub fn code(self) -> &'static str {
        match self {
            Self::Permission => "permission_denied",
            Self::UnknownFunction => "unknown_function",
            Self::Signature => "signature_mismatch",
            Self::Scope => "wrong_scope",
            Self::Clock => "clock_skew",
            Self::ExpiredToken => "expired_token",
            Self::UnknownToken => "unknown_token",
            Self::Other => "forbidden",
        }
    }

    /// What to do about it, for a target of this signing service.
    pub fn remedy(self, service: &str) -> &'static str {
        match (self, service) {
            (Self::Permission, "lambda") => {
                "allow the role both `lambda:InvokeFunctionUrl` and `lambda:InvokeFunction`; \
                 `countersign policy` prints the policy; across accounts the function's side needs both too"
            }
            (Self::Permission, "execute-api") => {
                "allow the role `execute-api:Invoke`, and look at the API's resource policy"
            }
            (Self::Permission, _) => "allow the role the action that the answer names",
            (Self::UnknownFunction, _) => {
                "check the id and the region in the target's URL: there is no such Function URL"
            }
            (Self::Signature, _) => {
                "check the secret key, and whether something on the way changes signed headers or \
                 the path; `countersign sign` shows what is signed"
            }
            (Self::Scope, _) => {
                "leave the target's `service` and `region` out, or write those that the answer names"
            }
            (Self::Clock, _) => "set the machine's clock (NTP): signatures hold for 5 minutes",
            (Self::ExpiredToken, _) => {
                "the source of the credentials gives expired ones: log in again, or check the role"
            }
            (Self::UnknownToken, _) => {
                "the access key or its session token is not known to AWS: check the credentials, \
                 their account and, for an opt-in region, its STS endpoint"
            }
            (Self::Other, _) => "the answer's body says more",
        }
    }

    /// Whether other credentials may be taken instead.
    pub(super) fn is_of_the_token(self) -> bool {
        matches!(self, Self::ExpiredToken | Self::UnknownToken)
    }

    /// What `Proxy-Status` says of it (RFC 9209).
    pub(super) fn proxy_status(self) -> HeaderValue {
        let code = self.code();
        let value = format!("countersign; received-status=403; details=\"{code}\"");
        HeaderValue::try_from(value).expect("codes are visible ASCII")
    }
}

/// The one text of the service's error bodies.
#[derive(Debug, PartialEq, Eq)]
enum Message {
    Text(String),
    Null,
    /// There is none, or it is cut, compressed or not JSON.
    Unread,
}

impl Message {
    fn read(body: &[u8]) -> Self {
        /// Lambda writes it either way.
        #[derive(Deserialize)]
        struct Wire {
            #[serde(alias = "Message")]
            message: Option<String>,
        }
        match serde_json::from_slice(body) {
            Ok(Wire { message: Some(text) }) => Self::Text(text),
            Ok(Wire { message: None }) => Self::Null,
            Err(_) => Self::Unread,
        }
    }
}

/// When each cause was logged, for one target.
#[derive(Debug, Default)]
pub(super) struct Notices(Mutex<[Notice; Forbidden::ALL.len()]>);

#[derive(Clone, Copy, Debug, Default)]
struct Notice {
    last: Option<Instant>,
    /// Since then.
    count: u64,
}

impl Notices {
    /// Counts one; gives the count since the last line where it is time for the next.
    fn note(&self, forbidden: Forbidden, now: Instant) -> Option<u64> {
        let mut notices = self.0.lock().expect("nothing panics while it is held");
        let notice = &mut notices[forbidden as usize];
        notice.count += 1;
        let due = notice.last.is_none_or(|last| now.duration_since(last) >= LOG_GAP);
        due.then(|| {
            notice.last = Some(now);
            std::mem::take(&mut notice.count)
        })
    }

    /// One line for all of the same cause within half a minute.
    pub(super) fn log(
        &self,
        forbidden: Forbidden,
        (target_name, service): (&str, &str),
        headers: &HeaderMap,
    ) {
        let Some(count) = self.note(forbidden, Instant::now()) else { return };
        let request_id = headers.get("x-amzn-requestid").and_then(|id| id.to_str().ok());
        tracing::warn!(
            reason = forbidden.code(),
            target_name,
            count,
            aws_request_id = request_id,
            hint = forbidden.remedy(service),
            "the service refused a request (403)"
        );
    }
}

#[cfg(test)]
mod tests;
