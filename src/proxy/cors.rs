//! May a page of another site ask this route, and how is its browser told (Fetch standard, 3.2).
//! The guard finds such a page out; only a route whose `cors` names its origin lets it in. All
//! others are refused before anything is sent: a form needs no preflight, so the answer's headers
//! alone would keep nobody from posting one (CSRF).

use std::sync::Arc;

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::config::{Config, Cors, CorsCredentials, CorsOrigins, Route, Taker};
use crate::proxy::rejection::Rejection;
use crate::proxy::route::Choice;
use crate::routing::{Found, Key};
use crate::sigv4::normalise_path;

/// What a function may have said of CORS itself: where a route has `cors`, ours stands instead.
const OURS: [HeaderName; 6] = [
    ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_ALLOW_CREDENTIALS,
    ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_HEADERS,
    ACCESS_CONTROL_EXPOSE_HEADERS,
    ACCESS_CONTROL_MAX_AGE,
];

/// What the answer of a route with `cors` says, whoever makes it.
#[derive(Debug)]
pub(super) struct Shared {
    route: Arc<Route>,
    /// The page's, where it may ask.
    origin: Option<HeaderValue>,
    asked: Asked,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    /// Whether a request of this kind might come.
    Preflight,
    /// The request itself.
    Request,
}

/// A preflight that is answered here: the index of the route that it asks about, and the answer.
///
/// None also where a route names OPTIONS and has no `cors`: its function answers preflights.
///
/// # Errors
///
/// Where no route takes the method that it asks about, but a route with another one would let the
/// page in: its origin is not what is wrong.
pub(super) fn preflight(
    config: &Config,
    request: &Parts,
    host: Option<&str>,
) -> Result<Option<(usize, Shared)>, Rejection> {
    let Some(wanted) = wanted(request) else { return Ok(None) };
    let path = normalise_path(request.uri.path());
    let find = |method| config.routes.find(Key { host, method, path: &path });
    let route = |method| match find(method) {
        Found::Route(index, _) => match config.routes.taker(index) {
            Taker::Sends(route) => Some((index, route)),
            Taker::Rejects(_) => None,
        },
        Found::MethodNotAllowed(_) | Found::Nothing => None,
    };
    let keeps = |(_, own): (usize, &Arc<Route>)| {
        own.cors.is_none() && own.matches.methods.contains(&Method::OPTIONS)
    };
    if route(&request.method).is_some_and(keeps) {
        return Ok(None);
    }
    if let Found::MethodNotAllowed(methods) = find(&wanted) {
        let mut others = methods.iter().filter_map(route);
        let is_known = others.any(|(_, other)| {
            other.cors.as_ref().is_some_and(|cors| allowed(cors, &request.headers).is_some())
        });
        return if is_known { Err(Rejection::MethodNotAllowed(methods)) } else { Ok(None) };
    }
    let shared = route(&wanted).and_then(|(index, route)| {
        Some((index, Shared::of(route, &request.headers, Asked::Preflight)?))
    });
    Ok(shared)
}

/// The method that a preflight asks about; none where it is none.
fn wanted(request: &Parts) -> Option<Method> {
    if request.method != Method::OPTIONS || !request.headers.contains_key(ORIGIN) {
        return None;
    }
    let wanted = request.headers.get(ACCESS_CONTROL_REQUEST_METHOD)?;
    Method::from_bytes(wanted.as_bytes()).ok()
}

/// What the answer to a request of this route says; none where the route has no `cors`.
pub(super) fn of(route: &Arc<Route>, headers: &HeaderMap) -> Option<Shared> {
    Shared::of(route, headers, Asked::Request)
}

/// Lets a page of another site, to which the guard said no, in where its route says yes.
///
/// # Errors
///
/// With what the guard said, or where there is no route.
pub(super) fn admit<'c>(
    choice: Result<Choice<'c>, Rejection>,
    request: &Parts,
    refusal: Option<Rejection>,
) -> Result<Choice<'c>, Rejection> {
    match (refusal, choice) {
        (None, choice) => choice,
        (Some(_), Ok(choice)) if welcomes(choice.route, request) => Ok(choice),
        (Some(refusal), _) => Err(refusal),
    }
}

/// A page without an `Origin` is never welcome: nobody knows whose it is.
fn welcomes(route: &Route, request: &Parts) -> bool {
    let allows = |cors: &Cors| {
        cors.methods.allow(&request.method) && allowed(cors, &request.headers).is_some()
    };
    route.cors.as_ref().is_some_and(allows)
}

/// The page's origin, where it may ask.
fn allowed<'h>(cors: &Cors, headers: &'h HeaderMap) -> Option<&'h HeaderValue> {
    let mut origins = headers.get_all(ORIGIN).iter();
    let origin = origins.next().filter(|_| origins.next().is_none())?;
    cors.origins.allow(origin).then_some(origin)
}

impl Shared {
    fn of(route: &Arc<Route>, headers: &HeaderMap, asked: Asked) -> Option<Self> {
        let origin = allowed(route.cors.as_ref()?, headers).cloned();
        Some(Self { route: Arc::clone(route), origin, asked })
    }

    /// Puts it into the answer's headers, instead of what a function said.
    pub(super) fn write(&self, headers: &mut HeaderMap) {
        let Some(cors) = &self.route.cors else { return };
        for name in OURS {
            headers.remove(name);
        }
        self.vary(cors, headers);
        let Some(origin) = &self.origin else { return };
        let origin = match (&cors.origins, cors.credentials) {
            (CorsOrigins::Any, CorsCredentials::Withheld) => HeaderValue::from_static("*"),
            _ => origin.clone(),
        };
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if cors.credentials == CorsCredentials::Sent {
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        match self.asked {
            Asked::Preflight => describe(cors, headers),
            Asked::Request => {
                let exposed = cors.expose_headers.iter().cloned();
                headers.extend(exposed.map(|list| (ACCESS_CONTROL_EXPOSE_HEADERS, list)));
            }
        }
    }

    /// A cache must not give one page's answer to another's (Fetch standard, 3.2.7), nor one
    /// method's preflight to another.
    fn vary(&self, cors: &Cors, headers: &mut HeaderMap) {
        if self.asked == Asked::Preflight {
            let both = "origin, access-control-request-method";
            headers.insert(VARY, HeaderValue::from_static(both));
        } else if cors.origins != CorsOrigins::Any {
            let names = |value: &HeaderValue| {
                let mut names =
                    value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
                names.any(|name| name == b"*" || name.eq_ignore_ascii_case(b"origin"))
            };
            if !headers.get_all(VARY).iter().any(names) {
                headers.append(VARY, HeaderValue::from_static("origin"));
            }
        }
    }
}

/// What a preflight asks.
fn describe(cors: &Cors, headers: &mut HeaderMap) {
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, cors.methods.listed());
    if let Some(list) = &cors.headers {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, list.clone());
    }
    if let Some(age) = cors.max_age {
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from(age.as_secs()));
    }
}
