//! What every target needs before a request can be sent, tried without sending one: credentials
//! from their real source, DNS, TCP and TLS through the proxy's own connector, and the clock.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use futures_util::future::join_all;
use http::Uri;
use hyper_util::client::legacy::connect::{Connection, HttpInfo};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::cli::check::clock::Judges;
use crate::cli::check::table::{Check, Found, Row};
use crate::cli::credentials::{loaded, why};
use crate::config::{Config, Target};
use crate::credentials::{Store, Stores};
use crate::net::{Clients, ConnectError, Connector, SetupError};

/// Tries all targets that routes send to, at once.
pub(super) async fn connect(
    config: &Config,
    stores: Stores,
    judges: &Judges,
) -> Result<Vec<Row>, SetupError> {
    let (connector, clients) = (Connector::new(config)?, Clients::new(config)?);
    let targets = targets(config);
    let clocks = clocks(&targets, judges, &clients);
    let stop = CancellationToken::new();
    let refreshing = tokio::spawn(stores.clone().run(stop.clone()));
    let tried = targets.iter().map(|target| {
        let (connector, store) = (connector.clone(), stores.of(&target.credentials));
        async move { (credentials(store).await, reach(connector, target).await) }
    });
    let (tried, clocks) = futures_util::join!(join_all(tried), clocks);
    stop.cancel();
    let _ = refreshing.await; // it has nothing to say
    let mut rows = Vec::new();
    for (target, (credentials, (dns, reached))) in targets.iter().zip(tried) {
        let clock = clocks.iter().find(|(region, _)| *region == target.scope.region);
        let clock = match clock {
            Some((_, clock)) if target.tls || judges.is_named() => clock.clone(),
            _ => Found::unknown("not compared: the target is on this machine"),
        };
        rows.push(credentials.row(&target.name, Check::Credentials));
        rows.push(dns.row(&target.name, Check::Dns));
        rows.push(reached.row(&target.name, Check::Connect));
        rows.push(clock.row(&target.name, Check::Clock));
    }
    Ok(rows)
}

/// The targets of the routes, and of their mirrors, each once.
fn targets(config: &Config) -> Vec<Arc<Target>> {
    let mut targets: Vec<Arc<Target>> = Vec::new();
    for target in config.routes.routes().iter().flat_map(|route| route.targets()) {
        if targets.iter().all(|known| known.name != target.name) {
            targets.push(Arc::clone(target));
        }
    }
    targets
}

/// The clock is this machine's: each region is asked once.
async fn clocks(
    targets: &[Arc<Target>],
    judges: &Judges,
    clients: &Clients,
) -> Vec<(String, Found)> {
    let away = targets.iter().filter(|target| target.tls || judges.is_named());
    let mut regions: Vec<String> = away.map(|target| target.scope.region.clone()).collect();
    regions.sort();
    regions.dedup();
    join_all(regions.into_iter().map(async |region| {
        let found = judges.compare(clients, &region).await;
        (region, found)
    }))
    .await
}

async fn credentials(store: Option<Store>) -> Found {
    let Some(store) = store else { return Found::unknown("no source") };
    match loaded(&store).await {
        Ok(_) => match store.status() {
            status if status.stale => {
                Found::failed("they have expired", "log in again, or look at their source")
            }
            status => match status.expires {
                Some(expires) => {
                    Found::ok(format!("valid until {}", httpdate::fmt_http_date(expires)))
                }
                None => Found::ok("no expiry"),
            },
        },
        Err(unavailable) => {
            let (what, hint) = why(&unavailable);
            Found::failed(what, hint)
        }
    }
}

/// DNS, and the connection.
async fn reach(connector: Connector, target: &Target) -> (Found, Found) {
    let scheme = if target.tls { "https" } else { "http" };
    let Ok(uri) = format!("{scheme}://{}/", target.authority).parse::<Uri>() else {
        return (Found::unknown("not tried"), Found::unknown("not tried"));
    };
    let address = match target.authority.host().trim_start_matches('[').trim_end_matches(']') {
        host if host.parse::<IpAddr>().is_ok() => "an IP address: nothing to look up",
        _ => "it has an address",
    };
    let began = Instant::now();
    match connector.oneshot(uri).await {
        Ok(stream) => {
            let took = began.elapsed().as_millis();
            let mut extras = http::Extensions::new();
            stream.connected().get_extras(&mut extras);
            let peer = extras.get::<HttpInfo>().map(|info| info.remote_addr().to_string());
            let peer = peer.unwrap_or_else(|| "the proxy".to_owned());
            (Found::ok(address), Found::ok(format!("{peer} in {took} ms")))
        }
        Err(error) => unreached(&error, target, address),
    }
}

fn unreached(error: &ConnectError, target: &Target, address: &str) -> (Found, Found) {
    let host = target.authority.host();
    let what = told(error);
    let resolved = || Found::ok(address);
    match error {
        ConnectError::Dns(_) => (
            Found::failed(
                format!("`{host}` does not resolve"),
                "check the id and the region in the URL, and this machine's resolver",
            ),
            Found::unknown("not tried"),
        ),
        ConnectError::Refused(_) => {
            (resolved(), Found::failed(what, "nobody listens there: check the port in the URL"))
        }
        ConnectError::Certificate(_) => (
            resolved(),
            Found::failed(
                what,
                "does something on the way open TLS? name its certificate in `upstream.ca_file`, \
                 or write `roots = \"system\"`",
            ),
        ),
        ConnectError::Tls(_) => {
            (resolved(), Found::failed(what, "is it an https port, and not a proxy's?"))
        }
        ConnectError::Proxy(_) => {
            (Found::unknown("the proxy's affair"), Found::failed(what, "look at `upstream.proxy`"))
        }
        ConnectError::TimedOut(_) | ConnectError::Other(_) => (
            Found::unknown("not known"),
            Found::failed(
                what,
                "is there a way out: a NAT gateway, a security group, an `upstream.proxy`?",
            ),
        ),
    }
}

/// An error and the last of its causes, which knows most.
fn told(error: &ConnectError) -> String {
    let mut last: &dyn std::error::Error = error;
    while let Some(deeper) = last.source() {
        last = deeper;
    }
    let (first, last) = (error.to_string(), last.to_string());
    if first == last { first } else { format!("{first}: {last}") }
}
