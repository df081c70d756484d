//! The route table as JSON, in the order of the file.

use serde_json::{Value, json};

use crate::config::{Config, Payload, Rewrite, Route, Target};
use crate::routing::HostPattern;

pub(super) fn listed(config: &Config) -> Value {
    let routes: Vec<Value> = config.routes.routes().iter().map(|route| one(route)).collect();
    json!({ "routes": routes })
}

pub(super) fn one(route: &Route) -> Value {
    let methods: Vec<&str> = route.matches.methods.iter().map(|method| method.as_str()).collect();
    json!({
        "name": route.name,
        "host": route.matches.host.as_ref().map(host),
        "path": route.matches.path.to_string(),
        "methods": methods,
        "target": target(&route.target),
        "rewrite": rewrite(&route.rewrite),
        "payload": payload(route.payload),
        "max_body_bytes": route.max_body,
    })
}

pub(super) fn target(target: &Target) -> Value {
    json!({
        "name": target.name,
        "url": target.url(),
        "service": target.scope.service,
        "region": target.scope.region,
        "credentials": target.credentials.to_string(),
        "max_in_flight": target.max_in_flight,
    })
}

pub(super) fn host(pattern: &HostPattern) -> String {
    match pattern {
        HostPattern::Any => "*".to_owned(),
        HostPattern::Exact(name) => name.clone(),
        HostPattern::Suffix(suffix) => format!("*{suffix}"),
    }
}

fn rewrite(rewrite: &Rewrite) -> Value {
    match rewrite {
        Rewrite::Keep => Value::Null,
        Rewrite::StripPrefix(prefix) => json!({ "strip_prefix": prefix }),
        Rewrite::Template(template) => json!({ "rewrite": template.to_string() }),
    }
}

fn payload(payload: Payload) -> &'static str {
    match payload {
        Payload::Signed => "signed",
        Payload::ClientDigest => "client-digest",
        Payload::Unsigned => "unsigned",
    }
}
