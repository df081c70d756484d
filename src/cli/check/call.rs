//! `--call`: one real request through the proxy itself, on a port of its own: what it does to
//! headers, path and body, the route's limits and the recovery from refusals are those of `run`.

use std::net::Ipv4Addr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::header::HOST;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::cli::credentials::{self, loaded};
use crate::cli::{Exit, complain, explain, print, tell};
use crate::clock::Clock;
use crate::config::{Config, Listen, Logged, Route};
use crate::credentials::Stores;
use crate::net::Clients;
use crate::proxy::{Forbidden, choose};
use crate::routing::{HostPattern, host};

/// How much of a body is shown: the service's own have some hundred bytes.
const SHOWN: usize = 1024;

/// A method and a path, or a URL as the app writes it: `GET /health`.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    method: Method,
    url: Uri,
}

impl FromStr for Asked {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "write a method and a path, such as 'GET /health'";
        let (method, url) = text.trim().split_once(' ').unwrap_or(("GET", text));
        let method = Method::from_bytes(method.as_bytes()).map_err(|_| wrong)?;
        let url: Uri = url.trim().parse().map_err(|_| wrong)?;
        if url.path_and_query().is_none_or(|path| !path.as_str().starts_with('/')) {
            return Err(wrong);
        }
        Ok(Self { method, url })
    }
}

/// Sends it and tells what came back; 1 from 400 up.
pub(super) async fn call(
    mut config: Config,
    stores: Stores,
    clock: Clock,
    (asked, wanted): (&Asked, Option<&str>),
) -> Exit {
    let Some((request, route)) = routed(&config, asked, wanted) else { return Exit::Failure };
    config.listen = vec![Listen::Tcp { address: (Ipv4Addr::LOCALHOST, 0).into(), optional: false }];
    config.admin = None;
    config.access_log.log = Logged::Off; // what it would say is told below
    let clients = match Clients::new(&config) {
        Ok(clients) => clients,
        Err(error) => {
            complain(&error, None);
            return Exit::Failure;
        }
    };
    let app = match App::new(Arc::new(config), stores.clone(), clock.clone()).await {
        Ok(app) => app,
        Err(error) => {
            complain(&error, None);
            return Exit::Failure;
        }
    };
    let Some(proxy) = app.addresses().pop() else { return Exit::Failure };
    let stop = CancellationToken::new();
    let serving = tokio::spawn(app.serve(stop.clone(), stop.clone()));
    let exit = match ready(&stores, &route).await {
        Ok(()) => send(&clients, &proxy, request, &route).await,
        Err(exit) => exit,
    };
    if clock.offset() != 0 {
        tell(format_args!(
            "note: this machine's clock is {} s {}: the proxy signs by the target's\n  \
             hint: set the clock (NTP)",
            clock.offset().unsigned_abs(),
            if clock.offset() < 0 { "ahead" } else { "behind" },
        ));
    }
    stop.cancel();
    let _ = serving.await; // its one request is over
    exit
}

/// The request as a client would send it, and the route that takes it.
fn routed(
    config: &Config,
    asked: &Asked,
    wanted: Option<&str>,
) -> Option<(Request<Empty<Bytes>>, Arc<Route>)> {
    let mut parts = explain::request(&asked.method, &asked.url)?;
    if let Some(name) = wanted {
        let routes = config.routes.routes();
        let Some(route) = routes.iter().find(|route| route.name == name) else {
            tell(format_args!(
                "error: there is no route `{name}`\n  hint: the names stand in the lines above"
            ));
            return None;
        };
        if parts.uri.authority().is_none() {
            name_host(&mut parts, route)?;
        }
    }
    let host = parts.uri.authority().and_then(|name| host::of_authority(name.as_str()));
    let chosen = match choose(config, &parts, host.as_deref()) {
        Ok(choice) => Arc::clone(choice.route),
        Err(rejection) => {
            complain(&rejection, Some(rejection.hint()));
            return None;
        }
    };
    if let Some(name) = wanted.filter(|name| *name != chosen.name) {
        tell(format_args!(
            "error: route `{}` takes this request, not `{name}`\n  \
             hint: `countersign explain` says why; write a path that `{name}` takes",
            chosen.name
        ));
        return None;
    }
    let named = parts.uri.authority().map_or("localhost", |name| name.as_str());
    let named = HeaderValue::try_from(named).ok()?;
    parts.headers.insert(HOST, named);
    Some((Request::from_parts(parts, Empty::new()), chosen))
}

/// A host that the route is for, where the request names none.
fn name_host(parts: &mut Parts, route: &Route) -> Option<()> {
    let name = match &route.matches.host {
        None | Some(HostPattern::Any) => return Some(()),
        Some(HostPattern::Exact(name)) => name.clone(),
        Some(HostPattern::Suffix(suffix)) => format!("any{suffix}"),
    };
    let path = parts.uri.path_and_query()?;
    parts.uri = format!("http://{name}{path}").parse().ok()?;
    Some(())
}

/// Waits for credentials, longer than a request would: for those of each target that it may go to.
async fn ready(stores: &Stores, route: &Route) -> Result<(), Exit> {
    for target in route.destination.targets() {
        let Some(store) = stores.of(&target.credentials) else { return Err(Exit::Failure) };
        loaded(&store).await.map_err(|unavailable| {
            credentials::complain(&unavailable);
            Exit::Failure
        })?;
    }
    Ok(())
}

async fn send(
    clients: &Clients,
    proxy: &str,
    mut request: Request<Empty<Bytes>>,
    route: &Route,
) -> Exit {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let sent = format!("{} {path}", request.method());
    let Ok(uri) = format!("{proxy}{path}").parse() else { return Exit::Failure };
    *request.uri_mut() = uri;
    let began = Instant::now();
    let answer = match clients.send(request).await {
        Ok(answer) => answer,
        Err(error) => {
            complain(&error, None);
            return Exit::Failure;
        }
    };
    let first = began.elapsed();
    let status = answer.status();
    print(format!(
        "\n{sent} by route `{}` to {}\nanswer: {status} after {} ms\n",
        route.name,
        places(route),
        first.as_millis()
    ));
    let headers = answer.headers().clone();
    let body = read(answer).await;
    let (beginning, told) = match &body {
        Ok(Body { beginning, length }) => (beginning.as_slice(), format!("body: {length} bytes")),
        Err(error) => (&[][..], format!("body: broken off: {error}")),
    };
    print(format!("{told}, whole after {} ms\n", began.elapsed().as_millis()));
    if status.as_u16() < 400 && body.is_ok() {
        return Exit::Success;
    }
    if !beginning.is_empty() {
        print(format!("{}\n", shown(beginning)));
    }
    tell(verdict(status, &headers, beginning, &service(route)));
    Exit::Failure
}

/// Where the route sends to; of several targets, weight and turn chose one.
fn places(route: &Route) -> String {
    let targets = route.destination.targets().iter();
    targets.map(|target| target.authority.as_str()).collect::<Vec<_>>().join(" or ")
}

/// The service that was signed for: each, where the route has several.
fn service(route: &Route) -> String {
    let targets = route.destination.targets().iter();
    let mut services: Vec<&str> = targets.map(|target| target.scope.service.as_str()).collect();
    services.dedup();
    services.join(" or ")
}

/// What was read of a body.
struct Body {
    beginning: Vec<u8>,
    length: u64,
}

async fn read(mut answer: Response<Incoming>) -> Result<Body, hyper::Error> {
    let mut body = Body { beginning: Vec::new(), length: 0 };
    while let Some(frame) = answer.body_mut().frame().await {
        let Some(data) = frame?.into_data().ok() else { continue };
        body.length += data.len() as u64;
        let room = SHOWN - body.beginning.len();
        body.beginning.extend_from_slice(&data[..data.len().min(room)]);
    }
    Ok(body)
}

/// Text for a terminal: what a stranger wrote moves no cursor.
fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

/// Whose answer a failure is, and what to do about it.
fn verdict(status: StatusCode, headers: &HeaderMap, body: &[u8], service: &str) -> String {
    if let Some(forbidden) = forbidden(headers) {
        return format!(
            "error: the service refused it, before any function ran: {}\n  hint: {}",
            forbidden.code(),
            forbidden.remedy(service)
        );
    }
    let of_proxy = headers.get("proxy-status").and_then(|value| value.to_str().ok());
    if let Some(said) = of_proxy.filter(|said| said.contains("error=")) {
        return format!(
            "error: countersign itself answered ({said})\n  hint: {}",
            hint(body).unwrap_or_else(|| "its log says why".to_owned())
        );
    }
    match headers.get("x-amzn-errortype").and_then(|kind| kind.to_str().ok()) {
        Some(kind) => format!("error: the service answered {status}: `{kind}`"),
        None => {
            format!("error: the target itself answered {status}: it was reached and signed for")
        }
    }
}

/// Why the service refused it, as the proxy found out.
fn forbidden(headers: &HeaderMap) -> Option<Forbidden> {
    let said = headers.get_all("proxy-status").iter().filter_map(|value| value.to_str().ok());
    let mut of_service = said.filter(|said| said.contains("received-status=403"));
    of_service.find_map(|said| {
        let named = |forbidden: &Forbidden| said.contains(&format!("\"{}\"", forbidden.code()));
        Forbidden::ALL.into_iter().find(named)
    })
}

/// The hint of our own answers.
fn hint(body: &[u8]) -> Option<String> {
    let problem: serde_json::Value = serde_json::from_slice(body).ok()?;
    Some(problem.get("hint")?.as_str()?.to_owned())
}
