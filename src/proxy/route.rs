//! Which route takes the request, and the path that its target sees. One path is matched,
//! rewritten, signed and sent.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::uri::PathAndQuery;

use crate::config::{Config, Rewrite, Route};
use crate::proxy::rejection::Rejection;
use crate::routing::{Found, Key, Params};
use crate::sigv4::wire;

/// A request's route, and what its target is asked for.
#[derive(Debug)]
pub struct Choice<'a> {
    /// The index of the route.
    pub index: usize,
    /// The route.
    pub route: &'a Arc<Route>,
    /// Path and query as they go on the wire and are signed.
    pub sent: PathAndQuery,
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
    let path = wire::normalise_path(request.uri.path());
    let key = Key { host, method: &request.method, path: &path };
    match config.routes.find(key) {
        Found::Nothing => Err(Rejection::NoRoute),
        Found::MethodNotAllowed(methods) => Err(Rejection::MethodNotAllowed(methods)),
        Found::Route(index, params) => {
            let route = &config.routes.routes()[index];
            let sent = sent(route, request, &path, &params)?;
            Ok(Choice { index, route, sent })
        }
    }
}

fn sent(
    route: &Route,
    request: &Parts,
    path: &Cow<'_, str>,
    params: &Params<'_>,
) -> Result<PathAndQuery, Rejection> {
    let query = request.uri.query().map(|query| match wire::without_presign(query) {
        Cow::Borrowed(query) => wire::normalise_query(query),
        Cow::Owned(query) => Cow::Owned(wire::normalise_query(&query).into_owned()),
    });
    let rewritten = rewrite(&route.rewrite, path, params);
    let base = &route.target.base_path;
    let untouched = base.is_empty()
        && matches!((path, &rewritten), (Cow::Borrowed(_), Cow::Borrowed(_)))
        && rewritten.len() == path.len()
        && matches!(query, None | Some(Cow::Borrowed(_)));
    if let (true, Some(as_it_came)) = (untouched, request.uri.path_and_query()) {
        return Ok(as_it_came.clone());
    }
    let mut sent = format!("{base}{rewritten}");
    if let Some(query) = query {
        sent.push('?');
        sent.push_str(&query);
    }
    PathAndQuery::from_maybe_shared(Bytes::from(sent))
        .map_err(|cause| Rejection::Unsendable(cause.into()))
}

fn rewrite<'p>(rewrite: &Rewrite, path: &'p str, params: &Params<'_>) -> Cow<'p, str> {
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
