//! `[api_keys.NAME]`: who may ask a route. The file holds hashes, so that whoever reads it can
//! call nothing; and a hash does not print either, for a short key could be guessed from it.

use std::fmt;

use crate::config::Throttle;

/// One key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// Its name: in routes and the access log.
    pub name: String,
    /// What its SHA-256 is.
    pub sha256: KeyDigest,
    /// How often it is taken, over all routes.
    pub throttle: Option<Throttle>,
}

/// The SHA-256 of an API key.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyDigest([u8; 32]);

impl KeyDigest {
    /// Takes the digest in.
    pub fn new(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    /// The digest itself, for the one place that compares it.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::KeyDigest;

    #[test]
    fn a_digest_does_not_print() {
        assert_eq!(format!("{:?}", KeyDigest::new([7; 32])), "[redacted]");
    }
}
