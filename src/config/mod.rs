//! The configuration: found and merged ([`load`]), read key by key, and resolved to what the
//! program needs ([`Config`]), with every problem in one go ([`problem`]).

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::header::HeaderName;
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::routing::{HostPattern, Rule};
use crate::secret::Secret;
use crate::sigv4::Scope;

pub mod admin;
mod api_keys;
mod cors;
mod credentials;
mod defaults;
mod destination;
mod infer;
pub mod json_schema;
pub mod load;
mod mirror;
mod origin;
pub mod problem;
mod reader;
mod resolve;
mod route_table;
pub mod validate;
mod values;

pub use api_keys::{ApiKey, KeyDigest};
pub use cors::{Cors, CorsCredentials, CorsMethods, CorsOrigins};
pub use credentials::{AssumeRole, CredentialsSource};
pub use destination::{Destination, Split, Sticky};
pub use mirror::{Comparison, Mirror, MirroredMethods};
pub use route_table::{RouteTable, Taker};

/// The word nearest to one that was mistyped, if any is near.
pub fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    values::nearest(word, known)
}

/// A duration as the file writes it (`30s`), for flags.
///
/// # Errors
///
/// With what to write instead.
pub fn duration(text: &str) -> Result<Duration, String> {
    values::duration(text).map_err(|wrong| format!("{}; {}", wrong.message, wrong.hint))
}

/// A configuration that is right: every value parsed, every name resolved.
#[derive(Debug)]
pub struct Config {
    /// Where apps connect.
    pub listen: Vec<Listen>,
    /// Where probes and people connect; none where it is switched off.
    pub admin: Option<SocketAddr>,
    /// Which browsers and names may reach the listener.
    pub guard: Guard,
    /// Which requests are written to the access log.
    pub access_log: AccessLog,
    /// What is logged, in `RUST_LOG` syntax.
    pub log: String,
    /// How it is logged; none: text where stdout is a terminal, else JSON.
    pub log_format: Option<LogFormat>,
    /// How our own answers look.
    pub error_style: ErrorStyle,
    /// Threads that serve.
    pub workers: usize,
    /// How targets are reached.
    pub upstream: Upstream,
    /// What is held at most.
    pub limits: Limits,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// How the program ends.
    pub shutdown: Shutdown,
    /// Where routes send to: the named ones by name, then those that routes give as a URL.
    pub targets: Vec<Arc<Target>>,
    /// `[api_keys]`, by name.
    pub api_keys: Vec<Arc<ApiKey>>,
    /// Which request goes where.
    pub routes: RouteTable,
    /// The files that it was read from: one that changes is read again.
    pub files: Vec<SourceFile>,
    /// What is odd but not wrong, for the log and `check`.
    pub warnings: Vec<problem::Problem>,
}

/// A file that a configuration was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// Where it is.
    pub path: PathBuf,
    /// A number for what it held, which another content hardly has.
    pub content: u64,
}

impl SourceFile {
    /// A file that held `bytes`.
    fn new(path: PathBuf, bytes: &[u8]) -> Self {
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        Self { path, content: hasher.finish() }
    }

    /// The same file as it is now; one that cannot be read holds nothing.
    pub fn look(&self) -> Self {
        Self::new(self.path.clone(), &std::fs::read(&self.path).unwrap_or_default())
    }
}

/// One address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// A TCP address. `optional`: a default that is skipped where the machine has no such address
    /// family (`[::1]` without IPv6).
    Tcp {
        /// Address and port.
        address: SocketAddr,
        /// Whether a machine without this address family is no reason to stop.
        optional: bool,
    },
    /// A unix socket.
    Unix {
        /// The socket's file.
        path: PathBuf,
        /// Permission bits, `0600` unless said.
        mode: u32,
        /// The group that owns it, by name.
        group: Option<String>,
    },
    /// A socket that systemd has opened and passed on.
    Systemd {
        /// Its `FileDescriptorName`.
        name: String,
        /// Whether it may be any address but loopback: `allow_remote`.
        remote: bool,
    },
}

/// Which Hosts and Origins may reach the listener, besides loopback names and IP literals.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    /// `allowed_hosts` and the hosts of routes.
    pub hosts: Vec<HostPattern>,
    /// `allowed_origins`, as a browser writes them (`http://localhost:3000`), lower case.
    pub origins: Vec<String>,
    /// `allowed_origins = ["*"]`.
    pub any_origin: bool,
}

/// Which requests are written to the access log.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AccessLog {
    /// Which.
    pub log: Logged,
    /// The share of them, 0 to 1; errors and slow ones are always written.
    pub sample: f64,
    /// From when on a request is slow.
    pub slow: Option<Duration>,
    /// Whether the path or only the route is written.
    pub path: LoggedPath,
}

/// The three forms of `access_log`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Logged {
    /// Every request.
    All,
    /// Answers from 400 up, and broken ones.
    Errors,
    /// None.
    Off,
}

/// What stands in an access log line for the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoggedPath {
    /// The path, without its query.
    Full,
    /// The route's name only.
    Route,
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// The form of our own answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorStyle {
    /// `application/problem+json` (RFC 9457).
    Problem,
    /// `{"message": …}`, as API Gateway answers.
    ApiGateway,
}

/// How targets are reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// Who is trusted.
    pub roots: Roots,
    /// The file of certificates trusted besides the roots.
    pub ca_file: Option<SourceFile>,
    /// What it holds, in PEM.
    pub ca_pem: Option<Vec<u8>>,
    /// The way out, if not straight.
    pub proxy: Proxy,
    /// How long a pooled connection may idle.
    pub idle: Duration,
}

/// `upstream.roots`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Roots {
    /// Mozilla's roots, compiled in.
    BuiltIn,
    /// The machine's.
    System,
}

/// `upstream.proxy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proxy {
    /// Straight to the target.
    None,
    /// One proxy for every https target, by CONNECT. The URL may hold a password.
    Url(Secret),
    /// What `HTTPS_PROXY` and `NO_PROXY` said at start.
    Environment {
        /// `HTTPS_PROXY`, if set.
        https: Option<Secret>,
        /// `NO_PROXY`, if set.
        no: Option<String>,
    },
}

/// `[limits]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Client connections at once.
    pub connections: usize,
    /// Requests at once.
    pub in_flight: usize,
    /// Bytes of all bodies held for hashing.
    pub buffered_bodies: u64,
    /// Bytes of a request head.
    pub header_bytes: usize,
    /// Headers of a request.
    pub headers: usize,
}

/// `[timeouts]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// A request head, from its first byte.
    pub header_read: Duration,
    /// A client's kept connection between requests.
    pub client_idle: Duration,
    /// Those that a route may set for itself.
    pub exchange: ExchangeTimeouts,
    /// A held body, whole.
    pub body_total: Duration,
    /// DNS, TCP and TLS together.
    pub connect: Duration,
}

/// `[shutdown]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shutdown {
    /// How long requests are still accepted once the program is no longer ready.
    pub delay: Duration,
    /// How long requests under way are given after that.
    pub grace: Duration,
}

/// The time-outs that a route may set for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExchangeTimeouts {
    /// The longest silence of a client's body.
    pub body_read: Duration,
    /// One attempt until its answer's head.
    pub response_head: Duration,
    /// The longest silence of a target's body.
    pub response_idle: Duration,
}

/// A URL that routes send to, with what it takes to sign for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its name, or its URL where it has none.
    pub name: String,
    /// https, or http on loopback.
    pub tls: bool,
    /// Host, and a port where it is not the scheme's own: what is connected to.
    pub authority: Authority,
    /// The `Host` that is sent and signed: the authority, lower case, without a default port.
    pub host: HeaderValue,
    /// What is put before a request's path: empty, or `/base` without a slash at its end.
    pub base_path: String,
    /// Signing region and service.
    pub scope: Scope,
    /// Where its credentials come from.
    pub credentials: CredentialsSource,
    /// For `policy`.
    pub function_arn: Option<String>,
    /// Requests at once to it, from all routes.
    pub max_in_flight: Option<usize>,
}

impl Target {
    /// Its URL, for people.
    pub fn url(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}{}", self.authority, self.base_path)
    }
}

/// What becomes of a request that matched.
#[derive(Clone, Debug)]
pub struct Route {
    /// Its name: in logs and metrics.
    pub name: String,
    /// Where it sends to.
    pub destination: Destination,
    /// Which requests it takes; kept for `explain`.
    pub matches: Rule,
    /// What becomes of the path.
    pub rewrite: Rewrite,
    /// How its payload is signed.
    pub payload: Payload,
    /// The largest body.
    pub max_body: u64,
    /// Where the client's own `Authorization` goes; none: it is dropped.
    pub authorization: Option<HeaderName>,
    /// Changes to the request's headers.
    pub request_headers: HeaderChanges,
    /// Changes to the answer's headers.
    pub response_headers: HeaderChanges,
    /// Its time-outs.
    pub timeouts: ExchangeTimeouts,
    /// Whether and when a request is sent again; none: never for its answer.
    pub retries: Option<Retries>,
    /// How often it is taken.
    pub throttle: Option<Throttle>,
    /// Requests at once through it.
    pub max_in_flight: Option<usize>,
    /// What a request must bring.
    pub validate: Option<validate::Validate>,
    /// The keys of which a caller must have one; none: anybody may call.
    pub api_keys: Option<Vec<Arc<ApiKey>>>,
    /// Which pages of other sites may ask it.
    pub cors: Option<Cors>,
    /// A second target that gets its requests as well.
    pub mirror: Option<Mirror>,
}

/// A route that sends nothing on.
#[derive(Clone, Debug)]
pub struct RejectRoute {
    /// Its name: in logs and metrics.
    pub name: String,
    /// Which requests it takes.
    pub matches: Rule,
    /// What it answers.
    pub reject: Reject,
}

/// `reject`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// The status of the answer.
    pub status: StatusCode,
    /// What it says to the caller.
    pub message: String,
}

/// `retries`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retries {
    /// All attempts, the first one too.
    pub attempts: u32,
    /// The statuses that are tried again.
    pub on: Vec<StatusCode>,
    /// `methods`
    pub methods: RetriedMethods,
    /// `functions_too`
    pub answers: RetriedAnswers,
}

/// Which requests are sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetriedMethods {
    /// GET, HEAD, OPTIONS, TRACE, PUT and DELETE (RFC 9110, 9.2.2).
    Idempotent,
    /// Any: a function may run twice for one request.
    All,
}

/// Whose answers are tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetriedAnswers {
    /// Those that the service made, marked by `x-amzn-ErrorType`.
    OfTheService,
    /// A function's own, too.
    OfFunctionsToo,
}

/// `throttle`: a bucket of `burst` requests that one more flows into every `interval`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttle {
    /// What the rate leaves between two requests.
    pub interval: Duration,
    /// Requests that may come at once.
    pub burst: NonZeroU32,
}

/// What becomes of the path before the target's base path is put before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rewrite {
    /// It goes on as it came.
    Keep,
    /// This prefix is taken off (`/orders`); what is left begins with a slash.
    StripPrefix(String),
    /// A new path, with the parameters of the route's path in it.
    Template(crate::routing::Template),
}

/// `payload`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// Held and hashed.
    Signed,
    /// Streamed; the hash is the client's own `x-amz-content-sha256`, where it is a valid one.
    ClientDigest,
    /// Streamed as `UNSIGNED-PAYLOAD`, for services that take it.
    Unsigned,
}

/// `request_headers` and `response_headers`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderChanges {
    /// Set, whatever stood there.
    pub set: Vec<(HeaderName, HeaderValue)>,
    /// Removed.
    pub remove: Vec<HeaderName>,
}

impl HeaderChanges {
    /// Makes them.
    pub fn apply(&self, headers: &mut HeaderMap) {
        for name in &self.remove {
            headers.remove(name);
        }
        for (name, value) in &self.set {
            headers.insert(name, value.clone());
        }
    }
}
