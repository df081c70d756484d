//! The settings that are not about a route: guard, access log, upstream, limits, time-outs.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use http::Uri;

use crate::config::load::LogSyntax;
use crate::config::reader::{Entry, Reader};
use crate::config::resolve::Surroundings;
use crate::config::values::{self, Wrong, nearest};
use crate::config::{
    AccessLog, ExchangeTimeouts, Guard, Limits, Listen, Logged, LoggedPath, Proxy, Roots, Shutdown,
    SourceFile, Throttle, Timeouts, Upstream, defaults,
};
use crate::routing::HostPattern;
use crate::secret::Secret;

/// One of a few words.
pub(super) fn choice<T: Copy>(
    reader: &Reader<'_>,
    key: &'static str,
    words: &[(&'static str, T)],
) -> Option<T> {
    chosen(&reader.take(key)?, words)
}

pub(super) fn chosen<T: Copy>(entry: &Entry<'_>, words: &[(&'static str, T)]) -> Option<T> {
    let all: Vec<String> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
    entry.parsed(&all.join(" or "), |text| {
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        found.ok_or_else(|| {
            let hint = match nearest(text, words.iter().map(|(word, _)| *word)) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("write {}", all.join(" or ")),
            };
            Wrong::new(format!("`{text}` is not known here"), hint)
        })
    })
}

const LEVELS: [&str; 6] = ["trace", "debug", "info", "warn", "error", "off"];

/// `log`: one word that is no level would be taken for a crate, and nothing would be logged.
pub(super) fn log(reader: &Reader<'_>, syntax: Option<LogSyntax>) -> Option<String> {
    let filter = |text: &str| {
        let levels = LEVELS.map(|level| format!("`{level}`")).join(", ");
        let hint = || format!("write one of {levels}, or `NAME=debug` for one crate");
        let lower = text.to_ascii_lowercase();
        let is_word = !text.is_empty() && lower.chars().all(|c| c.is_ascii_alphabetic());
        if is_word && !LEVELS.contains(&lower.as_str()) {
            return Err(Wrong::new(format!("`{text}` is no level"), hint()));
        }
        match syntax.map(|syntax| syntax(text)) {
            Some(Err(cause)) => {
                Err(Wrong::new(format!("`{text}` is no log filter: {cause}"), hint()))
            }
            Some(Ok(())) | None => Ok(text.to_owned()),
        }
    };
    reader.take("log")?.parsed("a level such as `\"info\"`", filter)
}

pub(super) fn guard(reader: &Reader<'_>) -> Guard {
    let strings = |key: &'static str, expected| {
        reader.take(key).and_then(|entry| entry.strings(expected)).unwrap_or_default()
    };
    let host =
        |(entry, text): (Entry<'_>, String)| host(&text).map_err(|wrong| entry.problem(wrong)).ok();
    let hosts = strings("allowed_hosts", "a host such as `\"countersign\"`");
    let mut guard =
        Guard { hosts: hosts.into_iter().filter_map(host).collect(), ..Guard::default() };
    for (entry, text) in strings("allowed_origins", "an origin such as `\"http://localhost:3000\"`")
    {
        match origin(&text) {
            Ok(origin) if origin == "*" => guard.any_origin = true,
            Ok(origin) => guard.origins.push(origin),
            Err(wrong) => entry.problem(wrong),
        }
    }
    guard
}

/// A host, or `*.internal`, or `*`.
pub(super) fn host(text: &str) -> Result<HostPattern, Wrong> {
    let lower = text.to_ascii_lowercase();
    if lower == "*" {
        return Ok(HostPattern::Any);
    }
    let name = lower.strip_prefix("*.").unwrap_or(&lower);
    let known = crate::routing::host::of_authority(name).is_some_and(|host| host == name);
    if !known || name.contains('*') {
        return Err(Wrong::new(
            format!("`{text}` is no host"),
            "write a name without a port, `orders.internal`, or `*.internal`",
        ));
    }
    Ok(match lower.strip_prefix('*') {
        Some(suffix) => HostPattern::Suffix(suffix.to_owned()),
        None => HostPattern::Exact(lower),
    })
}

pub(super) fn origin(text: &str) -> Result<String, Wrong> {
    let lower = text.to_ascii_lowercase();
    if lower == "*" {
        return Ok(lower);
    }
    // A browser leaves the scheme's own port out (Fetch standard, 3.1).
    let [plain, tls] = [("http://", ":80"), ("https://", ":443")].map(|(scheme, port)| {
        let name = lower.strip_prefix(scheme)?;
        Some((scheme, name.strip_suffix(port).unwrap_or(name)))
    });
    if let Some((scheme, name)) = plain.or(tls)
        && !name.is_empty()
        && !name.contains(['/', '@', '?', '#'])
    {
        return Ok(format!("{scheme}{name}"));
    }
    Err(Wrong::new(
        format!("`{text}` is no origin"),
        "write scheme, host and port as the browser does: `http://localhost:3000`",
    ))
}

const LOGGED: [(&str, Logged); 3] =
    [("all", Logged::All), ("errors", Logged::Errors), ("off", Logged::Off)];

pub(super) fn access_log(reader: &Reader<'_>) -> AccessLog {
    let mut policy =
        AccessLog { log: Logged::All, sample: 1.0, slow: None, path: LoggedPath::Full };
    let Some(entry) = reader.take("access_log") else { return policy };
    if !entry.is_table() {
        policy.log = chosen(&entry, &LOGGED).unwrap_or(policy.log);
        return policy;
    }
    let Some(table) = entry.table() else { return policy };
    policy.log = choice(&table, "log", &LOGGED).unwrap_or(policy.log);
    policy.sample = table.take("sample").and_then(|entry| entry.share()).unwrap_or(policy.sample);
    policy.slow = duration(&table, "slow");
    let paths = [("full", LoggedPath::Full), ("route", LoggedPath::Route)];
    policy.path = choice(&table, "path", &paths).unwrap_or(policy.path);
    table.finish();
    policy
}

pub(super) fn upstream(
    reader: &Reader<'_>,
    around: &Surroundings,
    listen: &[Listen],
) -> Option<Upstream> {
    let mut upstream = Upstream {
        roots: Roots::BuiltIn,
        ca_file: None,
        ca_pem: None,
        proxy: Proxy::None,
        idle: defaults::UPSTREAM_IDLE,
    };
    let Some(table) = reader.table("upstream") else { return Some(upstream) };
    let roots = [("built-in", Roots::BuiltIn), ("system", Roots::System)];
    upstream.roots = choice(&table, "roots", &roots).unwrap_or(upstream.roots);
    upstream.idle = duration(&table, "idle").unwrap_or(upstream.idle);
    if let Some(entry) = table.take("ca_file") {
        let read = |name: &str| {
            let pem = certificates(name, around)?;
            Ok((SourceFile::new(around.folder.join(name), &pem), pem))
        };
        (upstream.ca_file, upstream.ca_pem) =
            entry.parsed("a file of PEM certificates", read).unzip();
    }
    if let Some(entry) = table.take("proxy") {
        let proxy = entry
            .parsed("a URL such as `\"http://squid:3128\"`", |text| proxy(text, around, listen));
        upstream.proxy = proxy.unwrap_or(Proxy::None);
    }
    table.finish();
    Some(upstream)
}

fn certificates(name: &str, around: &Surroundings) -> Result<Vec<u8>, Wrong> {
    let path = around.folder.join(name);
    let pem = std::fs::read(&path).map_err(|error| {
        Wrong::new(
            format!("`{}` cannot be read: {error}", path.display()),
            "name a file that this user may read; a path is relative to the configuration file",
        )
    })?;
    let mut lines = pem.split(|byte| *byte == b'\n');
    if lines.any(|line| line.starts_with(b"-----BEGIN CERTIFICATE-----")) {
        return Ok(pem);
    }
    Err(Wrong::new(
        format!("`{}` holds no certificate", path.display()),
        "write PEM: it begins with `-----BEGIN CERTIFICATE-----`",
    ))
}

fn proxy(text: &str, around: &Surroundings, listen: &[Listen]) -> Result<Proxy, Wrong> {
    if text != "environment" {
        let wrong = || {
            let hint = "write `http://host:port`, or `environment`";
            Wrong::new("this is no URL of an http proxy", hint)
        };
        return Ok(Proxy::Url(proxy_url(text, listen, wrong)?));
    }
    // In a variable `host:port` alone is usual.
    let whole = |url: &String| match url.contains("://") {
        true => url.clone(),
        false => format!("http://{url}"),
    };
    let wrong = || {
        Wrong::new("HTTPS_PROXY holds no URL of an http proxy", "write `http://host:port` into it")
    };
    let https = around.https_proxy.as_ref().map(whole);
    let https = https.map(|url| proxy_url(&url, listen, wrong)).transpose()?;
    Ok(Proxy::Environment { https, no: around.no_proxy.clone() })
}

/// The URL may hold a password: it is not repeated.
fn proxy_url(text: &str, listen: &[Listen], wrong: impl Fn() -> Wrong) -> Result<Secret, Wrong> {
    let url: Uri = text.parse().map_err(|_| wrong())?;
    let (Some("http"), Some(host)) = (url.scheme_str(), url.host()) else { return Err(wrong()) };
    let port = url.port_u16().unwrap_or(80);
    let ours = |listen: &Listen| match listen {
        Listen::Tcp { address, .. } => is_at(*address, host, port),
        Listen::Unix { .. } | Listen::Systemd { .. } => false,
    };
    if listen.iter().any(ours) {
        return Err(Wrong::new(
            "this proxy is our own listener: credentials would be fetched through ourselves",
            "name the proxy that leads out, or leave `proxy` out",
        ));
    }
    Ok(Secret::new(text))
}

fn is_at(address: SocketAddr, host: &str, port: u16) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let same = match bare.parse::<std::net::IpAddr>() {
        Ok(ip) => ip == address.ip() || (ip.is_loopback() && address.ip().is_unspecified()),
        Err(_) => {
            crate::routing::host::is_loopback_name(host)
                && (address.ip().is_loopback() || address.ip().is_unspecified())
        }
    };
    same && port == address.port()
}

pub(super) fn limits(reader: &Reader<'_>) -> Limits {
    let mut limits = defaults::LIMITS;
    let Some(table) = reader.table("limits") else { return limits };
    let count = |key: &'static str, most| bounded(&table, key, most);
    limits.connections = count("connections", MOST_AT_ONCE).unwrap_or(limits.connections);
    limits.in_flight = count("in_flight", MOST_AT_ONCE).unwrap_or(limits.in_flight);
    limits.headers = count("headers", MOST_HEADERS).unwrap_or(limits.headers);
    limits.buffered_bodies = size(&table, "buffered_bodies").unwrap_or(limits.buffered_bodies);
    if let Some(bytes) = size(&table, "header_bytes") {
        limits.header_bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    }
    if !HEADER_BYTES.contains(&limits.header_bytes) {
        table.problem(
            "header_bytes",
            Wrong::new(
                "a request head of this size cannot be read",
                "write a size from `8KiB` to `1MiB`, which is Lambda's own limit",
            ),
        );
    }
    table.finish();
    limits
}

pub(super) fn workers(reader: &Reader<'_>) -> Option<usize> {
    bounded(reader, "workers", MOST_WORKERS)
}

/// Requests at once of a route or a target.
pub(super) fn max_in_flight(table: &Reader<'_>) -> Option<usize> {
    bounded(table, "max_in_flight", MOST_AT_ONCE)
}

/// A count, from 1 to `most`.
fn bounded(table: &Reader<'_>, key: &'static str, most: usize) -> Option<usize> {
    let count = table.take(key)?.count()?;
    if count > most {
        table.problem(key, too_many(count, most));
    }
    Some(count)
}

pub(super) fn too_many(count: usize, most: usize) -> Wrong {
    Wrong::new(format!("`{count}` is more than can be"), format!("write {most} at most"))
}

/// `throttle = { rate = "100/s", burst = 200 }`; without a `burst`, as many at once as the rate
/// counts.
pub(super) fn throttle(entry: &Entry<'_>) -> Option<Throttle> {
    if !entry.is_table() {
        let shape = "write `{ rate = \"100/s\", burst = 200 }`";
        entry.problem(Wrong::new("a throttle is a table", shape));
        return None;
    }
    let table = entry.table()?;
    let rate = table.take("rate");
    let burst = bounded(&table, "burst", MOST_AT_ONCE);
    table.finish();
    let Some(rate) = rate else {
        table.problem_here(Wrong::new("`rate` is missing", "write `rate = \"100/s\"`"));
        return None;
    };
    let (count, interval) = rate.parsed("a rate such as `\"100/s\"`", values::rate)?;
    let burst = burst.and_then(|burst| NonZeroU32::new(u32::try_from(burst).ok()?));
    Some(Throttle { interval, burst: burst.unwrap_or(count) })
}

/// Threads; more than any machine has cores for.
const MOST_WORKERS: usize = 1024;
/// More than the descriptors of any process: connections, requests at once, a burst.
const MOST_AT_ONCE: usize = 1_000_000;
/// `http::HeaderMap` holds 32,768 at most; no client sends a thousandth of that.
const MOST_HEADERS: usize = 1000;
/// hyper's least buffer; Lambda's limit for a request line and its headers.
const HEADER_BYTES: std::ops::RangeInclusive<usize> = 8 << 10..=1 << 20;

pub(super) fn timeouts(reader: &Reader<'_>) -> Timeouts {
    let mut timeouts = defaults::TIMEOUTS;
    let Some(table) = reader.table("timeouts") else { return timeouts };
    timeouts.header_read = duration(&table, "header_read").unwrap_or(timeouts.header_read);
    timeouts.client_idle = duration(&table, "client_idle").unwrap_or(timeouts.client_idle);
    timeouts.body_total = duration(&table, "body_total").unwrap_or(timeouts.body_total);
    timeouts.connect = duration(&table, "connect").unwrap_or(timeouts.connect);
    timeouts.exchange = exchange(&table, &timeouts.exchange);
    table.finish();
    timeouts
}

/// The time-outs that may stand in a route too.
pub(super) fn exchange(table: &Reader<'_>, around: &ExchangeTimeouts) -> ExchangeTimeouts {
    ExchangeTimeouts {
        body_read: duration(table, "body_read").unwrap_or(around.body_read),
        response_head: duration(table, "response_head").unwrap_or(around.response_head),
        response_idle: duration(table, "response_idle").unwrap_or(around.response_idle),
    }
}

pub(super) fn shutdown(reader: &Reader<'_>) -> Shutdown {
    let mut shutdown = defaults::SHUTDOWN;
    let Some(table) = reader.table("shutdown") else { return shutdown };
    let time = |key: &'static str| {
        table.take(key)?.parsed("a duration such as `\"25s\"`", values::duration)
    };
    shutdown.delay = time("delay").unwrap_or(shutdown.delay);
    shutdown.grace = time("grace").unwrap_or(shutdown.grace);
    table.finish();
    shutdown
}

/// A duration that is not nothing.
pub(super) fn duration(table: &Reader<'_>, key: &'static str) -> Option<Duration> {
    table.take(key)?.parsed("a duration such as `\"30s\"`", |text| match values::duration(text)? {
        Duration::ZERO => {
            Err(Wrong::new("nothing is done in no time", "write a longer one, such as `30s`"))
        }
        duration => Ok(duration),
    })
}

/// A size that is not nothing.
pub(super) fn size(table: &Reader<'_>, key: &'static str) -> Option<u64> {
    table.take(key)?.parsed("a size such as `\"6MiB\"`", |text| match values::size(text)? {
        0 => Err(Wrong::new("nothing fits in no bytes", "write a larger one, such as `6MiB`")),
        size => Ok(size),
    })
}
