//! The configuration that is served, as JSON by the file's keys. What may be secret is left out:
//! the values of headers that are set, the hashes of API keys, and the password of a proxy.

use std::sync::Arc;

use http::{HeaderValue, Uri};
use serde_json::{Map, Value, json};

use super::routes;
use crate::config::validate::Validate;
use crate::config::{
    ApiKey, Config, Cors, CorsCredentials, Destination, ErrorStyle, HeaderChanges, Limits, Listen,
    Logged, LoggedPath, Mirror, MirroredMethods, Proxy, RetriedAnswers, RetriedMethods, Retries,
    Roots, Route, Split, Sticky, Target, Throttle, Timeouts, Upstream,
};
use crate::secret::Secret;

pub(super) fn redacted(config: &Config) -> Value {
    let listen: Vec<String> = config.listen.iter().map(address).collect();
    let hosts: Vec<String> = config.guard.hosts.iter().map(routes::host).collect();
    let targets = config.targets.iter().map(|target| routes::target(target));
    let routes = config.routes.routes().iter().map(|route| one(route));
    let rejecting = config.routes.rejecting().iter().map(|route| routes::rejecting(route));
    json!({
        "listen": listen,
        "admin": config.admin.map(|address| address.to_string()),
        "allowed_hosts": hosts,
        "allowed_origins": if config.guard.any_origin { json!(["*"]) } else { json!(config.guard.origins) },
        "access_log": {
            "log": match config.access_log.log {
                Logged::All => "all",
                Logged::Errors => "errors",
                Logged::Off => "off",
            },
            "sample": config.access_log.sample,
            "slow": config.access_log.slow.map(written),
            "path": match config.access_log.path {
                LoggedPath::Full => "full",
                LoggedPath::Route => "route",
            },
        },
        "log": config.log,
        "error_style": match config.error_style {
            ErrorStyle::Problem => "problem",
            ErrorStyle::ApiGateway => "api-gateway",
        },
        "workers": config.workers,
        "upstream": upstream(&config.upstream),
        "limits": limits(&config.limits),
        "timeouts": timeouts(&config.timeouts),
        "shutdown": {
            "delay": written(config.shutdown.delay),
            "grace": written(config.shutdown.grace),
        },
        "api_keys": config.api_keys.iter().map(|key| api_key(key)).collect::<Vec<_>>(),
        "targets": targets.collect::<Vec<_>>(),
        "routes": routes.chain(rejecting).collect::<Vec<_>>(),
    })
}

fn address(listen: &Listen) -> String {
    match listen {
        Listen::Tcp { address, .. } => address.to_string(),
        Listen::Unix { path, .. } => format!("unix:{}", path.display()),
        Listen::Systemd { name, .. } => format!("systemd:{name}"),
    }
}

fn upstream(upstream: &Upstream) -> Value {
    let proxy = match &upstream.proxy {
        Proxy::None => None,
        Proxy::Url(url) => Some(without_password(url)),
        Proxy::Environment { https, .. } => https.as_ref().map(without_password),
    };
    json!({
        "roots": match upstream.roots {
            Roots::BuiltIn => "built-in",
            Roots::System => "system",
        },
        "ca_file": upstream.ca_pem.is_some(),
        "proxy": proxy,
        "idle": written(upstream.idle),
    })
}

/// Scheme, host and port: whatever else a proxy's URL says stays here.
fn without_password(url: &Secret) -> String {
    let parsed = url.expose().parse::<Uri>().ok();
    let authority = parsed.as_ref().and_then(Uri::authority);
    let port = authority.and_then(|known| known.port_u16()).map(|port| format!(":{port}"));
    match authority {
        Some(known) => format!("http://{}{}", known.host(), port.unwrap_or_default()),
        None => "set".to_owned(),
    }
}

fn limits(limits: &Limits) -> Value {
    json!({
        "connections": limits.connections,
        "in_flight": limits.in_flight,
        "buffered_bodies": limits.buffered_bodies,
        "header_bytes": limits.header_bytes,
        "headers": limits.headers,
    })
}

fn timeouts(timeouts: &Timeouts) -> Value {
    json!({
        "header_read": written(timeouts.header_read),
        "client_idle": written(timeouts.client_idle),
        "body_read": written(timeouts.exchange.body_read),
        "body_total": written(timeouts.body_total),
        "connect": written(timeouts.connect),
        "response_head": written(timeouts.exchange.response_head),
        "response_idle": written(timeouts.exchange.response_idle),
    })
}

fn one(route: &Route) -> Value {
    let mut all = routes::one(route);
    let own = json!({
        "target": match &route.destination {
            Destination::One(target) => Some(&target.name),
            Destination::Split(_) => None,
        },
        "split": route.destination.split().map(split),
        "sticky": route.destination.split().and_then(|split| split.sticky()).map(Sticky::to_string),
        "mirror": route.mirror.as_ref().map(mirror),
        "authorization": route.authorization.as_ref().map_or("drop", |name| name.as_str()),
        "request_headers": changes(&route.request_headers),
        "response_headers": changes(&route.response_headers),
        "retries": route.retries.as_ref().map(retries),
        "throttle": route.throttle.map(throttle),
        "max_in_flight": route.max_in_flight,
        "validate": route.validate.as_ref().map(validate),
        "cors": route.cors.as_ref().map(cors),
        "timeouts": {
            "body_read": written(route.timeouts.body_read),
            "response_head": written(route.timeouts.response_head),
            "response_idle": written(route.timeouts.response_idle),
        },
    });
    if let (Some(all), Value::Object(own)) = (all.as_object_mut(), own) {
        all.extend::<Map<String, Value>>(own);
    }
    all
}

fn split(split: &Split) -> Vec<Value> {
    let share =
        |(target, weight): (&Arc<Target>, u32)| json!({ "target": target.name, "weight": weight });
    split.shares().map(share).collect()
}

fn retries(retries: &Retries) -> Value {
    let on: Vec<u16> = retries.on.iter().map(|status| status.as_u16()).collect();
    json!({
        "attempts": retries.attempts,
        "on": on,
        "methods": match retries.methods {
            RetriedMethods::Idempotent => "idempotent",
            RetriedMethods::All => "all",
        },
        "functions_too": retries.answers == RetriedAnswers::OfFunctionsToo,
    })
}

fn mirror(mirror: &Mirror) -> Value {
    let comparison = mirror.comparison.as_ref();
    let headers: Option<Vec<&str>> =
        comparison.map(|it| it.headers.iter().map(|name| name.as_str()).collect());
    json!({
        "target": mirror.target.name,
        "sample": mirror.sample,
        "methods": match mirror.methods {
            MirroredMethods::Idempotent => "idempotent",
            MirroredMethods::All => "all",
        },
        "compare": comparison.is_some(),
        "headers": headers.unwrap_or_default(),
        "ignore": comparison.map(|it| it.ignored.as_slice()).unwrap_or_default(),
    })
}

fn throttle(throttle: Throttle) -> Value {
    json!({ "interval": written(throttle.interval), "burst": throttle.burst })
}

fn validate(validate: &Validate) -> Value {
    let headers: Vec<&str> = validate.headers.iter().map(|name| name.as_str()).collect();
    let body = validate.bodies.iter().map(|body| {
        let file = body.file.as_ref().map(|file| file.path.display().to_string());
        (body.kind.to_string(), file.map_or(Value::Bool(true), Value::String))
    });
    json!({ "headers": headers, "query": validate.query, "body": body.collect::<Map<_, _>>() })
}

/// The name alone: a short key could be guessed from its hash.
fn api_key(key: &ApiKey) -> Value {
    json!({ "name": key.name, "throttle": key.throttle.map(throttle) })
}

fn cors(cors: &Cors) -> Value {
    let list = |list: &HeaderValue| String::from_utf8_lossy(list.as_bytes()).into_owned();
    json!({
        "origins": routes::origins(cors),
        "methods": list(&cors.methods.listed()),
        "headers": cors.headers.as_ref().map(list),
        "expose_headers": cors.expose_headers.as_ref().map(list),
        "max_age": cors.max_age.map(written),
        "credentials": cors.credentials == CorsCredentials::Sent,
    })
}

/// Names alone: a value may be an API key.
fn changes(changes: &HeaderChanges) -> Value {
    let set: Vec<&str> = changes.set.iter().map(|(name, _)| name.as_str()).collect();
    let remove: Vec<&str> = changes.remove.iter().map(|name| name.as_str()).collect();
    json!({ "set": set, "remove": remove })
}

/// As a file would say it.
fn written(duration: std::time::Duration) -> String {
    format!("{duration:?}")
}
