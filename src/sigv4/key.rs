//! The day's signing key: four HMACs that are worth making once, and two blocks of a fifth.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use aws_sigv4::sign::v4::generate_signing_key;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

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
    /// With the key taken in, and nothing else yet.
    mac: Hmac<Sha256>,
}

impl KeySlot {
    /// The signature of a text with the key of these credentials on this day; `scope` is the same
    /// at every call.
    pub(super) fn sign(
        &self,
        text: &[u8],
        credentials: &SigningCredentials,
        stamp: &Stamp,
        scope: &Scope,
    ) -> [u8; 32] {
        let mut mac = self.mac(credentials, stamp, scope);
        mac.update(text);
        mac.finalize().into_bytes().into()
    }

    fn mac(&self, credentials: &SigningCredentials, stamp: &Stamp, scope: &Scope) -> Hmac<Sha256> {
        let (id, day) = (credentials.id(), stamp.day());
        match &*self.0.load() {
            Some(kept) if kept.credentials == id && kept.day == day => kept.mac.clone(),
            _ => {
                let mac = derive(credentials, stamp, scope);
                let kept = DayKey { credentials: id, day, mac: mac.clone() };
                self.0.store(Some(Arc::new(kept)));
                mac
            }
        }
    }
}

fn derive(credentials: &SigningCredentials, stamp: &Stamp, scope: &Scope) -> Hmac<Sha256> {
    let secret = credentials.secret_access_key().expose();
    let key = generate_signing_key(secret, stamp.time(), &scope.region, &scope.service);
    Hmac::new_from_slice(key.as_ref()).expect("HMAC takes a key of any length")
}

impl fmt::Debug for KeySlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}
