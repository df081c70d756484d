//! Straight to the host, or through a proxy by CONNECT.
//!
//! `HTTP_PROXY` is never read: a sidecar may itself be somebody's `HTTP_PROXY`, and would fetch
//! its own credentials through itself.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::Matcher;
use tower::{BoxError, Service, ServiceExt};

use crate::config::Proxy;
use crate::net::error::ConnectError;
use crate::net::resolve::Resolver;
use crate::net::tcp::Tcp;
use crate::net::tls::SetupError;

/// A NAT gateway forgets a silent connection after 350 s, without a word.
const KEEP_ALIVE: Duration = Duration::from_secs(60);
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(15);
const KEEP_ALIVE_PROBES: u32 = 4;
/// Keep-alive says nothing while bytes are under way: without this (RFC 5482), Linux sends them for
/// a quarter of an hour to a host that is gone. As long as keep-alive takes to find that out. It also
/// ends an upload of which a host takes nothing for as long.
#[cfg(target_os = "linux")]
const GONE: Duration =
    KEEP_ALIVE.saturating_add(KEEP_ALIVE_INTERVAL.saturating_mul(KEEP_ALIVE_PROBES));

const SPARE: Duration = Duration::from_millis(100);

/// What an address is given at least, where the deadline has it twice: longer than any way there and
/// back. TLS takes as long again, so that what needs over half of the deadline comes too late.
const SHARE: Duration = Duration::from_secs(1);

/// Opens TCP connections.
#[derive(Clone, Debug)]
pub(super) struct Way {
    tcp: HttpConnector<Resolver>,
    proxy: std::sync::Arc<Option<Matcher>>,
}

impl Way {
    /// `deadline`: what a connection may take, TLS and all.
    pub(super) fn new(proxy: &Proxy, deadline: Duration) -> Result<Self, SetupError> {
        let addresses = (deadline.as_secs() / SHARE.as_secs()).max(2);
        let resolver = Resolver::new(usize::try_from(addresses).unwrap_or(usize::MAX));
        let mut tcp = HttpConnector::new_with_resolver(resolver);
        tcp.enforce_http(false); // https passes through it on its way to TLS
        tcp.set_nodelay(true);
        // Shared out among a name's addresses, so that one that is dead leaves time for the next. A
        // little more than there is: where all are dead, it is the whole that took too long.
        tcp.set_connect_timeout(Some(deadline + SPARE));
        tcp.set_keepalive(Some(KEEP_ALIVE));
        tcp.set_keepalive_interval(Some(KEEP_ALIVE_INTERVAL));
        tcp.set_keepalive_retries(Some(KEEP_ALIVE_PROBES));
        #[cfg(target_os = "linux")]
        tcp.set_tcp_user_timeout(Some(GONE));
        Ok(Self { tcp, proxy: std::sync::Arc::new(matcher(proxy)?) })
    }

    fn tunnel(&self, to: &Uri) -> Option<Tunnel<HttpConnector<Resolver>>> {
        let matcher = self.proxy.as_ref().as_ref()?;
        if to.scheme_str() != Some("https") || is_loopback(to) {
            return None;
        }
        let by = matcher.intercept(to)?;
        let tunnel = Tunnel::new(by.uri().clone(), self.tcp.clone());
        Some(match by.basic_auth() {
            Some(auth) => tunnel.with_auth(auth.clone()),
            None => tunnel,
        })
    }
}

fn matcher(proxy: &Proxy) -> Result<Option<Matcher>, SetupError> {
    let (url, no) = match proxy {
        Proxy::None | Proxy::Environment { https: None, .. } => return Ok(None),
        Proxy::Url(url) => (url, None),
        Proxy::Environment { https: Some(url), no } => (url, no.as_deref()),
    };
    let parsed: Uri = url.expose().parse().map_err(|_| SetupError::Proxy)?;
    if parsed.scheme_str() != Some("http") {
        return Err(SetupError::Proxy);
    }
    let builder = Matcher::builder().https(url.expose().to_owned());
    Ok(Some(builder.no(no.unwrap_or_default().to_owned()).build()))
}

fn is_loopback(to: &Uri) -> bool {
    let host = to.host().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || host.ends_with(".localhost")
        || bare.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

impl Service<Uri> for Way {
    type Response = Tcp;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Tcp, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(())) // `oneshot` below waits for what it calls
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        if let Some(tunnel) = self.tunnel(&to) {
            let opened = tunnel.oneshot(to);
            return Box::pin(async move {
                opened
                    .await
                    .map(Tcp::new)
                    .map_err(|cause| ConnectError::Proxy(BoxError::from(cause)))
            });
        }
        let mut tcp = self.tcp.clone();
        #[cfg(target_os = "linux")]
        if is_loopback(&to) {
            tcp.set_tcp_user_timeout(None); // such a host is never gone, but may be in a debugger
        }
        let opened = tcp.oneshot(to);
        Box::pin(async move {
            opened
                .await
                .map(Tcp::new)
                .map_err(|cause| ConnectError::classify(BoxError::from(cause)))
        })
    }
}
