//! Does the caller have one of the route's keys. The hash of what was sent is compared with that
//! of each key, in a time that does not depend on either: a hash cannot be felt out byte by byte.

use std::sync::Arc;

use http::{HeaderMap, HeaderName};
use sha2::{Digest, Sha256};
use subtle::{ConditionallySelectable, ConstantTimeEq};

use crate::config::{ApiKey, Route};
use crate::proxy::rejection::Rejection;

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The key that the caller has; none where the route asks for none.
///
/// # Errors
///
/// Where the route asks for one, and none or another was sent.
pub(super) fn demand<'r>(
    route: &'r Route,
    headers: &HeaderMap,
) -> Result<Option<&'r Arc<ApiKey>>, Rejection> {
    let Some(allowed) = &route.api_keys else { return Ok(None) };
    let mut sent = headers.get_all(API_KEY).iter();
    let (key, more) = (sent.next().filter(|key| !key.is_empty()), sent.next());
    let key = key.ok_or(Rejection::ApiKeyRequired)?;
    if more.is_some() {
        return Err(Rejection::ApiKeyNotAllowed); // whichever the target would read
    }
    let digest: [u8; 32] = Sha256::digest(key.as_bytes()).into();
    among(allowed, &digest).ok_or(Rejection::ApiKeyNotAllowed).map(Some)
}

/// Looks at every key, whichever it is.
fn among<'k>(allowed: &'k [Arc<ApiKey>], digest: &[u8; 32]) -> Option<&'k Arc<ApiKey>> {
    let mut found = u64::MAX;
    for (index, key) in (0..).zip(allowed) {
        found.conditional_assign(&index, key.sha256.expose().ct_eq(digest));
    }
    usize::try_from(found).ok().and_then(|index| allowed.get(index))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::among;
    use crate::config::{ApiKey, KeyDigest};

    #[test]
    fn finds_the_key_of_a_digest_and_no_other() {
        let key = |byte: u8| {
            let name = byte.to_string();
            Arc::new(ApiKey { name, sha256: KeyDigest::new([byte; 32]), throttle: None })
        };
        let keys = [key(1), key(2), key(3)];
        for byte in 1..=3 {
            assert_eq!(among(&keys, &[byte; 32]).unwrap().name, byte.to_string());
        }
        let mut near = [2; 32];
        near[31] = 3;
        assert!(among(&keys, &near).is_none());
        assert!(among(&[], &[1; 32]).is_none());
    }
}
