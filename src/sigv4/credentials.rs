//! The credentials of a signature, ready for the hot path and told apart by identity.

use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderValue;
use thiserror::Error;

use crate::secret::Secret;

/// Who signs: one set of credentials, ready for the hot path (the token is a header already).
#[derive(Clone, Debug)]
pub struct SigningCredentials {
    id: u64,
    access_key_id: String,
    secret_access_key: Secret,
    session_token: Option<HeaderValue>,
}

/// Why credentials cannot sign. The values themselves are not repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidCredentials {
    /// The access key id is empty or cannot stand in a header.
    #[error("the access key id is empty or has a character that a header cannot carry")]
    AccessKeyId,
    /// The session token cannot stand in a header.
    #[error("the session token has a character that a header cannot carry, such as a newline")]
    SessionToken,
}

impl SigningCredentials {
    /// Takes in what a credential source gave.
    pub fn new(
        access_key_id: impl Into<String>,
        secret_access_key: Secret,
        session_token: Option<&str>,
    ) -> Result<Self, InvalidCredentials> {
        let access_key_id = access_key_id.into();
        if access_key_id.is_empty() || HeaderValue::from_str(&access_key_id).is_err() {
            return Err(InvalidCredentials::AccessKeyId);
        }
        let session_token = session_token.map(sensitive).transpose()?;
        Ok(Self { id: next_id(), access_key_id, secret_access_key, session_token })
    }

    /// The access key id, which is not a secret.
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    /// The session token as the header it travels in, marked sensitive.
    pub fn session_token(&self) -> Option<&HeaderValue> {
        self.session_token.as_ref()
    }

    /// Whether key, secret and token are equal, however often they were taken in.
    pub fn are_the_same_as(&self, other: &Self) -> bool {
        self.access_key_id == other.access_key_id
            && self.session_token == other.session_token
            && self.secret_access_key.expose() == other.secret_access_key.expose()
    }

    /// Tells these credentials from any other ever made in this process; a clone is the same.
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// The secret, for what signs: here, and the SDK that assumes a role with it.
    pub(crate) fn secret_access_key(&self) -> &Secret {
        &self.secret_access_key
    }
}

fn sensitive(token: &str) -> Result<HeaderValue, InvalidCredentials> {
    let mut value = HeaderValue::from_str(token).map_err(|_| InvalidCredentials::SessionToken)?;
    value.set_sensitive(true);
    Ok(value)
}

/// An access key id does not name its secret (a mistyped secret is corrected under the same id),
/// so what a signing key is cached for is a number of our own.
fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(key: &str, token: Option<&str>) -> Result<SigningCredentials, InvalidCredentials> {
        SigningCredentials::new(key, Secret::new("hunter2"), token)
    }

    #[test]
    fn refuses_what_cannot_be_a_header_value() {
        for key in ["", "AKID\n", "AKID\0", "AKID\u{e9}\r"] {
            assert_eq!(made(key, None).unwrap_err(), InvalidCredentials::AccessKeyId, "{key:?}");
        }
        let refused = made("AKID", Some("token\n")).unwrap_err();
        assert_eq!(refused, InvalidCredentials::SessionToken);
        assert!(!refused.to_string().contains("token\n"));
    }

    #[test]
    fn does_not_print_its_secrets() {
        let printed = format!("{:?}", made("AKID", Some("sesame")).unwrap());
        assert!(printed.contains("AKID"));
        assert!(!printed.contains("sesame") && !printed.contains("hunter2"));
    }

    #[test]
    fn the_same_values_taken_in_twice_are_two_identities_and_a_clone_is_one() {
        let first = made("AKID", None).unwrap();
        assert_ne!(first.id(), made("AKID", None).unwrap().id());
        assert_eq!(first.id(), first.clone().id());
    }
}
