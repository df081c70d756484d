//! `validate`: what a request must bring to be signed and sent.

use std::sync::Arc;

use http::header::HeaderName;

use crate::config::SourceFile;
use crate::config::json_schema::Schema;

/// What a request must bring.
#[derive(Clone, Debug, Default)]
pub struct Validate {
    /// Headers that it must have.
    pub headers: Vec<HeaderName>,
    /// Query parameters that it must have, by their decoded names.
    pub query: Vec<String>,
    /// What its body must fit, by content type.
    pub bodies: Vec<BodySchema>,
}

/// What a body of one content type must fit.
#[derive(Clone, Debug)]
pub struct BodySchema {
    /// Which bodies it is for.
    pub kind: MediaType,
    /// What they must fit.
    pub schema: Arc<Schema>,
    /// The file that it was read from; none where it stands in the route.
    pub file: Option<SourceFile>,
}

/// Which bodies a schema is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MediaType {
    /// Those of this type (`application/json`, lower case), whatever its parameters.
    Exact(String),
    /// `$default`: those that no other schema is for.
    Any,
}

impl std::fmt::Display for MediaType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exact(kind) => f.write_str(kind),
            Self::Any => f.write_str("$default"),
        }
    }
}

impl Validate {
    /// The schema for a body of this type, as a header gives it, with parameters of any bytes.
    pub fn schema(&self, content_type: &[u8]) -> Option<&Arc<Schema>> {
        let essence = content_type.split(|byte| *byte == b';').next().unwrap_or_default();
        let exact = |body: &&BodySchema| match &body.kind {
            MediaType::Exact(kind) => kind.as_bytes().eq_ignore_ascii_case(essence.trim_ascii()),
            MediaType::Any => false,
        };
        let any = |body: &&BodySchema| body.kind == MediaType::Any;
        let found = self.bodies.iter().find(exact).or_else(|| self.bodies.iter().find(any));
        found.map(|body| &body.schema)
    }
}
