//! The day's signing key: four HMACs that are worth making once.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use aws_sigv4::sign::v4::generate_signing_key;

use super::Scope;
use super::credentials::SigningCredentials;
use super::stamp::Stamp;

/// Keeps the last key. One is enough: a signer has one scope, and its credentials and its day
/// change rarely and never back.
#[derive(Default)]
pub(super) struct KeySlot(ArcSwapOption<DayKey>);

struct DayKey {
    credentials: u64,
    day: i64,
    key: [u8; 32],
}

impl KeySlot {
    /// The key of these credentials on this day; `scope` is the same at every call.
    pub(super) fn key(
        &self,
        credentials: &SigningCredentials,
        stamp: &Stamp,
        scope: &Scope,
    ) -> [u8; 32] {
        let (id, day) = (credentials.id(), stamp.day());
        match &*self.0.load() {
            Some(kept) if kept.credentials == id && kept.day == day => kept.key,
            _ => {
                let key = derive(credentials, stamp, scope);
                self.0.store(Some(Arc::new(DayKey { credentials: id, day, key })));
                key
            }
        }
    }
}

fn derive(credentials: &SigningCredentials, stamp: &Stamp, scope: &Scope) -> [u8; 32] {
    let secret = credentials.secret_access_key().expose();
    let key = generate_signing_key(secret, stamp.time(), &scope.region, &scope.service);
    key.as_ref().try_into().expect("an HMAC-SHA256 is 32 bytes")
}

impl fmt::Debug for KeySlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}
