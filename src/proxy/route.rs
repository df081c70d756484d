//! Which route takes the request, and the path that its target sees. One path is matched,
//! rewritten, signed and sent.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::uri::PathAndQuery;

use crate::config::{Config, Destination, Rewrite, Route, Taker, Target};
use crate::proxy::rejection::Rejection;
use crate::routing::{Found, Key, Params};
use crate::sigv4::{normalise_path, normalise_query, without_presign};

/// A request's route, and what its target is asked for.
#[derive(Debug)]
pub struct Choice<'a> {
    /// The index of the route.
    pub index: usize,
    /// The route.
    pub route: &'a Arc<Route>,
    /// Path and query as they go on the wire and are signed; of a route with several targets,
    /// without the base path of the one that gets them.
    pub sent: PathAndQuery,
}

impl Choice<'_> {
    /// Path and query as this target of the route gets them.
    ///
    /// # Errors
    ///
    /// Where they make no valid request target.
    pub fn sent_to(&self, target: &Target) -> Result<PathAndQuery, Rejection> {
        match &self.route.destination {
            Destination::One(_) => Ok(self.sent.clone()),
            Destination::Split(_) => below(&target.base_path, &self.sent),
        }
    }
}

/// Finds the route.
///
/// # Errors
///
/// Where none takes the request, or what would be sent is no valid request target.
pub fn choose<'a>(
    config: &'a Config,
    request: &Parts,
    host: Option<&str>,
) -> Result<Choice<'a>, Rejection> {
    let path = normalise_path(request.uri.path());
    let key = Key { host, method: &request.method, path: &path };
    match config.routes.find(key) {
        Found::Nothing => Err(Rejection::NoRoute),
        Found::MethodNotAllowed(methods) => Err(Rejection::MethodNotAllowed(methods)),
        Found::Route(index, params) => match config.routes.taker(index) {
            Taker::Sends(route) => {
                let sent = sent(route, request, &path, &params)?;
                Ok(Choice { index, route, sent })
            }
            Taker::Rejects(route) => Err(Rejection::ByRoute { index, route: Arc::clone(route) }),
        },
    }
}

fn sent(
    route: &Route,
    request: &Parts,
    path: &str,
    params: &Params<'_>,
) -> Result<PathAndQuery, Rejection> {
    let base = route.destination.base_path();
    let as_it_came = request.uri.path_and_query();
    match (&route.rewrite, as_it_came) {
        (Rewrite::Keep, Some(as_it_came)) => on_the_wire(base, as_it_came),
        (rewrite, _) => {
            // A parameter may end in the slash that the template goes on with.
            let path = rewritten(rewrite, path, params);
            join(base, &normalise_path(&path), request.uri.query().map(query))
        }
    }
}

/// A path and query as they are sent and signed: normalised, below the target's base path.
///
/// # Errors
///
/// Where they make no valid request target.
pub(super) fn on_the_wire(base: &str, typed: &PathAndQuery) -> Result<PathAndQuery, Rejection> {
    let path = normalise_path(typed.path());
    let query = typed.query().map(query);
    match (&path, &query) {
        (Cow::Borrowed(_), None | Some(Cow::Borrowed(_))) if base.is_empty() => Ok(typed.clone()),
        _ => join(base, &path, query),
    }
}

/// What another target is asked for where one with this base path is asked for `sent`.
///
/// # Errors
///
/// Where it makes no valid request target.
pub(super) fn below_another(
    sent: &PathAndQuery,
    (base, other): (&str, &str),
) -> Result<PathAndQuery, Rejection> {
    if base == other {
        return Ok(sent.clone());
    }
    let path = sent.path();
    let rest = path.strip_prefix(base).unwrap_or(path);
    join(other, rest, sent.query().map(Cow::Borrowed))
}

/// What is ready to be sent and signed, below a target's base path.
///
/// # Errors
///
/// Where they make no valid request target.
pub(super) fn below(base: &str, sent: &PathAndQuery) -> Result<PathAndQuery, Rejection> {
    match base {
        "" => Ok(sent.clone()),
        base => join(base, sent.path(), sent.query().map(Cow::Borrowed)),
    }
}

/// A query without a signature of the client's own, and as all readings of it agree on.
fn query(typed: &str) -> Cow<'_, str> {
    match without_presign(typed) {
        Cow::Borrowed(query) => normalise_query(query),
        Cow::Owned(query) => Cow::Owned(normalise_query(&query).into_owned()),
    }
}

fn join(base: &str, path: &str, query: Option<Cow<'_, str>>) -> Result<PathAndQuery, Rejection> {
    let mut sent = format!("{base}{path}");
    // A query that held nothing but what is not sent goes with its mark.
    if let Some(query) = query.filter(|query| !query.is_empty()) {
        sent.push('?');
        sent.push_str(&query);
    }
    PathAndQuery::from_maybe_shared(Bytes::from(sent))
        .map_err(|cause| Rejection::Unsendable(cause.into()))
}

fn rewritten<'p>(rewrite: &Rewrite, path: &'p str, params: &Params<'_>) -> Cow<'p, str> {
    match rewrite {
        Rewrite::Keep => Cow::Borrowed(path),
        Rewrite::StripPrefix(prefix) => match path.strip_prefix(prefix.as_str()) {
            Some("") => Cow::Borrowed("/"),
            Some(rest) if rest.starts_with('/') => Cow::Borrowed(rest),
            _ => Cow::Borrowed(path),
        },
        Rewrite::Template(template) => Cow::Owned(template.fill(params)),
    }
}
