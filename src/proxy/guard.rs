//! May this request be here at all. Whoever reaches the listener acts as the role, and a browser
//! reaches loopback too: a page may resolve its own name to 127.0.0.1 (DNS rebinding), or post a
//! form across sites. So Host must be a name that we know, and Origin one that was allowed, here
//! or by the `cors` of the route that is found next.

use std::borrow::Cow;

use http::header::{HOST, HeaderName, ORIGIN, TRANSFER_ENCODING, UPGRADE, VIA};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Version};

use crate::config::Guard;
use crate::listen::Peer;
use crate::proxy::rejection::Rejection;
use crate::routing::host;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Who comes past the guard.
#[derive(Debug)]
pub(super) struct Admitted<'r> {
    /// The host that a request is for, in lower case and without its port, where it names one.
    pub(super) host: Option<Cow<'r, str>>,
    /// Why a page of another site is to be refused, unless its route lets it in.
    pub(super) refusal: Option<Rejection>,
}

/// Judges all but what a route may allow.
///
/// # Errors
///
/// With the first reason why the request may not be here.
pub(super) fn admit<'r>(
    guard: &Guard,
    request: &'r Parts,
    peer: Peer,
    via: &str,
) -> Result<Admitted<'r>, Rejection> {
    refuse_odd_forms(request)?;
    // One look at the names, for most requests have none of what is looked into here and below.
    let is_telling = request.headers.keys().any(is_telling);
    if is_telling {
        refuse_odd_coding(&request.headers)?;
        refuse_loop(&request.headers, via)?;
        refuse_upgrade(request)?;
    }
    let authority = authority(request)?;
    let host = authority.map(|name| host::of_authority(name).ok_or(Rejection::BadHost));
    let host = host.transpose()?;
    if peer == Peer::Unix {
        return Ok(Admitted { host, refusal: None });
    }
    refuse_foreign_host(guard, host.as_deref())?;
    let refusal = match is_telling {
        true => refuse_cross_site(guard, &request.headers, authority).err(),
        false => None,
    };
    Ok(Admitted { host, refusal })
}

/// A header that a request may be refused for.
fn is_telling(name: &HeaderName) -> bool {
    matches!(name.as_str(), "transfer-encoding" | "via" | "upgrade" | "origin" | "sec-fetch-site")
}

/// hyper lets through what only a proxy of another kind, or a server, could mean.
fn refuse_odd_forms(request: &Parts) -> Result<(), Rejection> {
    if request.method == Method::CONNECT {
        return Err(Rejection::ConnectNotSupported);
    }
    if !request.uri.path().starts_with('/') {
        return Err(Rejection::BadTarget); // `*`, or an authority alone
    }
    if request.uri.scheme_str().is_some_and(|scheme| scheme != "http") {
        return Err(Rejection::BadTarget);
    }
    Ok(())
}

fn refuse_odd_coding(headers: &HeaderMap) -> Result<(), Rejection> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let chunked = |coding: &HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"chunked");
    if !codings.next().is_none_or(chunked) || codings.next().is_some() {
        return Err(Rejection::TransferEncodingNotSupported);
    }
    Ok(())
}

/// A target that leads back here would sign its own signed requests without end.
fn refuse_loop(headers: &HeaderMap, via: &str) -> Result<(), Rejection> {
    let ours = |value: &[u8]| value.windows(via.len()).any(|part| part == via.as_bytes());
    if headers.get_all(VIA).iter().any(|value| ours(value.as_bytes())) {
        return Err(Rejection::Loop);
    }
    Ok(())
}

/// `h2c` is an offer that may be ignored (RFC 9110, 7.8; Java's client makes it always), and that
/// of an HTTP/1.0 client must be; a client that asks for any other protocol would wait for it.
fn refuse_upgrade(request: &Parts) -> Result<(), Rejection> {
    if request.version == Version::HTTP_10 {
        return Ok(());
    }
    for value in request.headers.get_all(UPGRADE) {
        let protocols = value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        for protocol in protocols.filter(|protocol| !protocol.is_empty()) {
            if !protocol.eq_ignore_ascii_case(b"h2c") {
                let protocol = String::from_utf8_lossy(protocol).into_owned();
                return Err(Rejection::UpgradeNotSupported(protocol));
            }
        }
    }
    Ok(())
}

/// The authority of a request in absolute form, else its Host.
fn authority(request: &Parts) -> Result<Option<&str>, Rejection> {
    let mut hosts = request.headers.get_all(HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() || (host.is_none() && request.version != Version::HTTP_10) {
        return Err(Rejection::BadHost);
    }
    if let Some(authority) = request.uri.authority() {
        return Ok(Some(authority.as_str()));
    }
    host.map(|host| host.to_str().map_err(|_| Rejection::BadHost)).transpose()
}

fn refuse_foreign_host(guard: &Guard, host: Option<&str>) -> Result<(), Rejection> {
    match host {
        // An HTTP/1.0 client that names no host cannot have been rebound by a browser.
        None => Ok(()),
        Some(name) if host::is_loopback_name(name) || host::is_ip_literal(name) => Ok(()),
        Some(name) if guard.hosts.iter().any(|pattern| pattern.takes(name)) => Ok(()),
        Some(name) => Err(Rejection::HostNotAllowed(name.to_owned())),
    }
}

/// A browser says with `Origin` or `Sec-Fetch-Site` that another site's page asks.
fn refuse_cross_site(
    guard: &Guard,
    headers: &HeaderMap,
    authority: Option<&str>,
) -> Result<(), Rejection> {
    if guard.any_origin {
        return Ok(());
    }
    let refused = |origin: &[u8]| {
        Err(Rejection::OriginNotAllowed(String::from_utf8_lossy(origin).into_owned()))
    };
    let mut origins = headers.get_all(ORIGIN).iter().peekable();
    if origins.peek().is_none() {
        return match headers.get(SEC_FETCH_SITE).map(|site| site.as_bytes()) {
            None | Some(b"same-origin" | b"none") => Ok(()),
            Some(site) => refused(site),
        };
    }
    for origin in origins {
        let known = origin.to_str().is_ok_and(|origin| {
            let origin = origin.to_ascii_lowercase();
            let own =
                authority.map(|authority| format!("http://{}", authority.to_ascii_lowercase()));
            guard.origins.contains(&origin) || own == Some(origin)
        });
        if !known {
            return refused(origin.as_bytes());
        }
    }
    Ok(())
}
