//! `countersign explain`: which route takes a request, and why the others do not.

use std::fmt::Write;

use http::request::Parts;
use http::{Method, Request, Uri};

use crate::cli::arguments::Explain;
use crate::cli::{Environment, Exit, inputs, print, refuse, tell};
use crate::config::load::load;
use crate::config::{Config, CorsOrigins, Mirror, MirroredMethods, Reject, Route, Split, Target};
use crate::proxy::{Choice, Rejection, choose};
use crate::routing::{HostPattern, Key, PathPattern, Reason, Rule, host};
use crate::sigv4::{Scope, normalise_path};

pub(super) fn run(arguments: &Explain, environment: Environment) -> Exit {
    let config = match load(&inputs(arguments.file.config.clone(), environment)) {
        Ok(config) => config,
        Err(problems) => return refuse(&problems),
    };
    let Some(request) = request(&arguments.method, &arguments.url) else {
        tell(
            "error: this is neither a path nor a URL\n  hint: write `/orders/7` or `http://host/orders/7`",
        );
        return Exit::Usage;
    };
    let host = request.uri.authority().and_then(|name| host::of_authority(name.as_str()));
    let mut text = passed_over(&config, &request, host.as_deref());
    let exit = match choose(&config, &request, host.as_deref()) {
        Ok(choice) => {
            let _ = writeln!(text, "\nroute `{}` takes it", choice.route.name);
            if let Some(split) = choice.route.destination.split() {
                text.push_str(&shared(split));
            }
            for target in choice.route.destination.targets() {
                text.push_str(&sent(&request.method, &choice, target));
            }
            if let Some(mirror) = &choice.route.mirror {
                let _ = writeln!(text, "{}", mirrored(mirror, &request.method));
            }
            text.push_str(&wanted(choice.route));
            Exit::Success
        }
        Err(Rejection::ByRoute { route, .. }) => {
            let Reject { status, message } = &route.reject;
            let _ = writeln!(text, "\nroute `{}` rejects it: {status}, {message}", route.name);
            Exit::Failure
        }
        Err(rejection) => {
            let _ = writeln!(text, "\nno route takes it: the answer is `{}`", rejection.code());
            Exit::Failure
        }
    };
    print(text);
    exit
}

/// What the caller has to bring along.
fn wanted(route: &Route) -> String {
    let mut text = String::new();
    if let Some(keys) = &route.api_keys {
        let names: Vec<String> = keys.iter().map(|key| format!("`{}`", key.name)).collect();
        let _ = writeln!(text, "wants:  an API key in x-api-key: {}", names.join(" or "));
    }
    if let Some(cors) = &route.cors {
        let origins = match &cors.origins {
            CorsOrigins::Any => "any origin".to_owned(),
            CorsOrigins::Only(origins) => origins.join(", "),
        };
        let _ = writeln!(text, "cors:   pages of {origins}");
    }
    text
}

/// Where a request of this method goes as well.
fn mirrored(mirror: &Mirror, method: &Method) -> String {
    match mirror.methods {
        MirroredMethods::Idempotent if !method.is_idempotent() => {
            format!("mirror: not for {method}")
        }
        _ => format!("mirror: {}, sample {}", mirror.target.url(), mirror.sample),
    }
}

/// What each of several targets gets.
fn shared(split: &Split) -> String {
    let (mut text, sum) = (String::new(), split.weights().sum());
    for (target, weight) in split.shares() {
        let _ = match weight {
            0 => writeln!(text, "split:  none to `{}`, a standby", target.name),
            weight => writeln!(text, "split:  {weight} of {sum} to `{}`", target.name),
        };
    }
    if let Some(sticky) = split.sticky() {
        let _ = writeln!(text, "sticky: the same target for the same `{sticky}`");
    }
    text
}

/// What a target of the route gets.
fn sent(method: &Method, choice: &Choice<'_>, target: &Target) -> String {
    let scheme = if target.tls { "https" } else { "http" };
    let sent = match choice.sent_to(target) {
        Ok(sent) => format!("{method} {scheme}://{}{sent}", target.authority),
        Err(rejection) => format!("nothing: {rejection}"),
    };
    let Scope { service, region } = &target.scope;
    format!("sent:   {sent}\nsigned: host, content-type, x-amz-* for {service} in {region}\n")
}

/// The request that was typed; a path alone is for any host.
pub(super) fn request(method: &Method, url: &Uri) -> Option<Parts> {
    url.path_and_query()?;
    let request = Request::builder().method(method).uri(url).body(()).ok()?;
    Some(request.into_parts().0)
}

fn passed_over(config: &Config, request: &Parts, host: Option<&str>) -> String {
    let path = normalise_path(request.uri.path());
    let key = Key { host, method: &request.method, path: &path };
    let mut text = String::new();
    let rules: Vec<(&str, &Rule)> = config.routes.rules().collect();
    for (index, reason) in config.routes.explain(key) {
        let (name, rule) = rules[index];
        let why = match reason {
            Reason::Taken => "takes it".to_owned(),
            Reason::Host => format!("passed over: it is for the host {}", hosts(rule)),
            Reason::Path => format!("passed over: it is for the path {}", paths(rule)),
            Reason::Method => {
                let methods: Vec<&str> = rule.methods.iter().map(Method::as_str).collect();
                format!("passed over: it is for {}", methods.join(", "))
            }
            Reason::LessSpecific => "would take it, but another one is more specific".to_owned(),
        };
        let _ = writeln!(text, "`{name}`: {why}");
    }
    text
}

fn hosts(rule: &Rule) -> String {
    match &rule.host {
        None | Some(HostPattern::Any) => "`*`".to_owned(),
        Some(HostPattern::Exact(name)) => format!("`{name}`"),
        Some(HostPattern::Suffix(suffix)) => format!("`*{suffix}`"),
    }
}

fn paths(rule: &Rule) -> String {
    match &rule.path {
        PathPattern::Everything => "`/`".to_owned(),
        PathPattern::Prefix(prefix) => format!("`{prefix}` and all below it"),
        PathPattern::Path(pattern) => format!("`{}`", pattern.as_str()),
    }
}
