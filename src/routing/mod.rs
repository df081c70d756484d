//! Path patterns and the table that finds a request's route. Config finds duplicates with it, the
//! proxy matches with it, `explain` asks it why.

use http::Method;

pub mod host;

/// What a request is matched by.
#[derive(Clone, Copy, Debug)]
pub struct Key<'a> {
    /// The request's host, lower case, without its port; none where the client sent none.
    pub host: Option<&'a str>,
    /// The method.
    pub method: &'a Method,
    /// The path, normalised.
    pub path: &'a str,
}

/// What a route's `path` or `prefix` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathPattern {
    /// Everything.
    Everything,
    /// `prefix = "/orders"`: itself and what is below it.
    Prefix(String),
    /// `path = "/orders/{id}"`, `"/orders/{proxy+}"` or a full path.
    Path(Pattern),
}

/// A path with parameters, in API Gateway's syntax.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {}

/// A `rewrite` with the parameters of a pattern in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {}

/// What a lookup found.
#[derive(Debug, PartialEq, Eq)]
pub enum Found<'p> {
    /// The index of the route, and the path's parameters.
    Route(usize, Params<'p>),
    /// Routes would take the path, but with one of these methods.
    MethodNotAllowed(Vec<Method>),
    /// No route takes it.
    Nothing,
}

/// The parameters of a matched path, by name, as they stand in it (percent-escapes kept).
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Params<'p>(Vec<(&'p str, &'p str)>);

/// Finds a request's route.
#[derive(Debug, Default)]
pub struct Table {}

impl Table {
    /// The route for a request.
    pub fn find<'p>(&'p self, key: Key<'p>) -> Found<'p> {
        let _ = key;
        Found::Nothing
    }
}
