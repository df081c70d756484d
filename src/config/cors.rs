//! `cors`: which pages of other sites may ask a route (Fetch standard, 3.2), in the form in which
//! their browsers are told.

use std::time::Duration;

use http::{HeaderValue, Method};

/// A route's `cors`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cors {
    /// Whose pages.
    pub origins: CorsOrigins,
    /// With which methods.
    pub methods: CorsMethods,
    /// The request headers that a page may set besides the plain ones, as a list.
    pub headers: Option<HeaderValue>,
    /// The answer's headers that a page may read besides the plain ones, as a list.
    pub expose_headers: Option<HeaderValue>,
    /// How long a browser may remember a preflight; none: as long as it likes.
    pub max_age: Option<Duration>,
    /// Whether a browser may send cookies along.
    pub credentials: CorsCredentials,
}

/// `origins`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CorsOrigins {
    /// `["*"]`
    Any,
    /// As a browser writes them, lower case.
    Only(Vec<String>),
}

/// `methods`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CorsMethods {
    /// `["*"]`
    Any,
    /// These.
    Only(Vec<Method>),
}

/// `credentials`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CorsCredentials {
    /// `true`
    Sent,
    /// `false`
    Withheld,
}

impl CorsOrigins {
    /// Whether pages of this origin may ask.
    pub fn allow(&self, origin: &HeaderValue) -> bool {
        match self {
            Self::Any => true,
            Self::Only(origins) => {
                origins.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(origin.as_bytes()))
            }
        }
    }
}

impl CorsMethods {
    /// Whether pages may ask with this method.
    pub fn allow(&self, method: &Method) -> bool {
        match self {
            Self::Any => true,
            Self::Only(methods) => methods.contains(method),
        }
    }

    /// As `Access-Control-Allow-Methods` says it.
    pub fn listed(&self) -> HeaderValue {
        match self {
            Self::Any => HeaderValue::from_static("*"),
            Self::Only(methods) => {
                let names: Vec<&str> = methods.iter().map(Method::as_str).collect();
                HeaderValue::try_from(names.join(", ")).expect("methods are tokens")
            }
        }
    }
}
