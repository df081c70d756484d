//! What is wrong with a request that its route's `validate` refuses, for either form of an answer.

use serde_json::{Value, json};

use crate::config::json_schema::Fault;

/// What a route asks for and a request lacks, or has without anything in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// A header.
    Header(String),
    /// A parameter of the query.
    Parameter(String),
}

impl Missing {
    fn name(&self) -> &str {
        match self {
            Self::Header(name) | Self::Parameter(name) => name,
        }
    }
}

/// As API Gateway names them.
pub(super) fn listed(missing: &[Missing]) -> String {
    let names: Vec<&str> = missing.iter().map(Missing::name).collect();
    format!("Missing required request parameters: [{}]", names.join(", "))
}

/// The member `errors`, as RFC 9457, section 3, shows it.
pub(super) fn missing(missing: &[Missing]) -> Value {
    let one = |missing: &Missing| {
        let place = match missing {
            Missing::Header(_) => "header",
            Missing::Parameter(_) => "query",
        };
        json!({ "in": place, "name": missing.name(), "detail": "missing, or with nothing in it" })
    };
    missing.iter().map(one).collect()
}

/// The same for a body.
pub(super) fn faults(faults: &[Fault]) -> Value {
    let one = |fault: &Fault| json!({ "pointer": fault.pointer, "detail": fault.detail });
    faults.iter().map(one).collect()
}
