//! The route table as JSON, in the order of the file; routes that reject come last.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::config::{
    Config, Cors, CorsOrigins, Destination, Payload, RejectRoute, Rewrite, Route, Split, Sticky,
    Target,
};
use crate::routing::{HostPattern, Rule};

pub(super) fn listed(config: &Config) -> Value {
    let sending = config.routes.routes().iter().map(|route| one(route));
    let routes = sending.chain(config.routes.rejecting().iter().map(|route| rejecting(route)));
    json!({ "routes": routes.collect::<Vec<Value>>() })
}

pub(super) fn one(route: &Route) -> Value {
    json!({
        "name": route.name,
        "host": route.matches.host.as_ref().map(host),
        "path": route.matches.path.to_string(),
        "methods": methods(&route.matches),
        "target": match &route.destination {
            Destination::One(target) => self::target(target),
            Destination::Split(_) => Value::Null,
        },
        "split": route.destination.split().map(split),
        "mirror": route.mirror.as_ref().map(|mirror| target(&mirror.target)),
        "rewrite": rewrite(&route.rewrite),
        "payload": payload(route.payload),
        "max_body_bytes": route.max_body,
        "api_keys": route.api_keys.as_ref().map(|keys| {
            keys.iter().map(|key| key.name.as_str()).collect::<Vec<_>>()
        }),
        "cors": route.cors.as_ref().map(origins),
    })
}

/// Several targets, with what each gets.
fn split(split: &Split) -> Value {
    let share = |(target, weight): (&Arc<Target>, u32)| json!({ "weight": weight, "target": self::target(target) });
    json!({
        "shares": split.shares().map(share).collect::<Vec<Value>>(),
        "sticky": split.sticky().map(Sticky::to_string),
    })
}

/// A route that sends nothing on.
pub(super) fn rejecting(route: &RejectRoute) -> Value {
    json!({
        "name": route.name,
        "host": route.matches.host.as_ref().map(host),
        "path": route.matches.path.to_string(),
        "methods": methods(&route.matches),
        "reject": {
            "status": route.reject.status.as_u16(),
            "message": route.reject.message,
        },
    })
}

fn methods(rule: &Rule) -> Vec<&str> {
    rule.methods.iter().map(|method| method.as_str()).collect()
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

/// Whose pages may ask.
pub(super) fn origins(cors: &Cors) -> Value {
    match &cors.origins {
        CorsOrigins::Any => json!(["*"]),
        CorsOrigins::Only(origins) => json!(origins),
    }
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
