//! Hosts as they are compared: in lower case and without a port.

use std::borrow::Cow;
use std::net::IpAddr;

/// A host as routes and `allowed_hosts` write it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// `*`
    Any,
    /// `orders.internal`, lower case.
    Exact(String),
    /// `*.internal`: kept as `.internal`, lower case.
    Suffix(String),
}

impl HostPattern {
    /// Whether a host, in lower case and without its port, fits.
    pub fn takes(&self, host: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(name) => name == host,
            Self::Suffix(suffix) => host.len() > suffix.len() && host.ends_with(suffix.as_str()),
        }
    }
}

/// What a registered name is made of (RFC 3986, 3.2.2).
const IN_HOST: [bool; 256] = {
    let mut allowed = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        allowed[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let (others, mut at) = (b"-._~%!$&'()*+,;=", 0);
    while at < others.len() {
        allowed[others[at] as usize] = true;
        at += 1;
    }
    allowed
};

/// The host of an authority, in lower case; `[::1]` keeps its brackets. `None`: it is no
/// authority (RFC 3986, 3.2), or it holds a user's name, which no Host may.
pub fn of_authority(authority: &str) -> Option<Cow<'_, str>> {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ => (authority, ""),
    };
    let allowed = |byte: u8| IN_HOST[usize::from(byte)];
    let is_host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(literal) => literal.bytes().all(|byte| allowed(byte) || byte == b':'),
        None => host.bytes().all(allowed),
    };
    if host.is_empty() || !is_host || !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let host = host.strip_suffix('.').unwrap_or(host);
    match host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => Some(Cow::Owned(host.to_ascii_lowercase())),
        false => Some(Cow::Borrowed(host)),
    }
}

/// DNS rebinding needs a name: an address in the Host is what the user typed.
pub fn is_ip_literal(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    bare.parse::<IpAddr>().is_ok()
}

/// RFC 6761, 6.3: these never leave the machine.
pub fn is_loopback_name(host: &str) -> bool {
    host == "localhost" || host.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::{is_ip_literal, is_loopback_name, of_authority};

    #[test]
    fn strips_the_port_and_lowers_the_case() {
        assert_eq!(of_authority("Orders.Internal:8480").as_deref(), Some("orders.internal"));
        assert_eq!(of_authority("[::1]:8480").as_deref(), Some("[::1]"));
        assert_eq!(of_authority("localhost.").as_deref(), Some("localhost"));
    }

    #[test]
    fn refuses_what_is_no_host() {
        for odd in ["user@localhost", "local host", "localhost/path", "", ":80", "a:b:80", "a:8o"] {
            assert_eq!(of_authority(odd), None, "{odd}");
        }
    }

    #[test]
    fn tells_addresses_from_names() {
        assert!(is_ip_literal("127.0.0.1") && is_ip_literal("[::1]") && is_ip_literal("10.0.0.7"));
        assert!(!is_ip_literal("127.0.0.1.evil.example") && !is_ip_literal("localhost"));
        assert!(is_loopback_name("localhost") && is_loopback_name("app.localhost"));
        assert!(!is_loopback_name("evillocalhost") && !is_loopback_name("localhost.evil.example"));
    }
}
