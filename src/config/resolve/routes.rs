//! Routes: which requests each takes, where it sends them, and how.

use std::sync::Arc;

use http::Method;
use http::header::HeaderName;

use crate::config::reader::{Entry, Reader};
use crate::config::resolve::api_keys::ApiKeys;
use crate::config::resolve::headers::{changes, header_name};
use crate::config::resolve::settings::{self, choice};
use crate::config::resolve::targets::Targets;
use crate::config::resolve::{cors, mirror, reject, retries, split, validate};
use crate::config::values::Wrong;
use crate::config::{
    Destination, ExchangeTimeouts, HeaderChanges, Payload, RejectRoute, Rewrite, Route, RouteTable,
    Target, defaults,
};
use crate::routing::{HostPattern, PathPattern, Pattern, PatternError, Rule, Table, Template};

/// The route table and its targets; `None`: a problem has been noted.
pub(super) fn routes(
    reader: &Reader<'_>,
    targets: &Targets<'_>,
    api_keys: &ApiKeys<'_>,
    timeouts: &ExchangeTimeouts,
) -> Option<(Vec<Arc<Target>>, RouteTable)> {
    let defaults = reader.table("defaults");
    let entries = reader.take("routes");
    let read = match (reader.take("target"), entries) {
        (Some(target), entries) => {
            if let Some(entries) = entries {
                beside(&target, &entries);
            }
            vec![catch_all(&target, targets, timeouts)]
        }
        (None, Some(entries)) => entries
            .list("a table for each route, in double brackets: `[[routes]]`")?
            .iter()
            .map(|entry| one(entry, defaults.as_ref(), (targets, api_keys), timeouts))
            .collect(),
        (None, None) => Vec::new(),
    };
    if let Some(defaults) = &defaults {
        // A default that no route heard of is unknown; the keys are those of a route.
        let unheard = Layers { own: None, defaults: Some(defaults) };
        unheard.touch();
        defaults.finish();
    }
    if read.is_empty() {
        reader.problem(
            "routes",
            Wrong::new("there are no routes", "write `[[routes]]` with a `target`"),
        );
        return None;
    }
    tell_apart(reader, &read);
    let (mut sending, mut rejecting) = (Vec::new(), Vec::new());
    for read in read {
        match read.made? {
            Made::Sends(route) => sending.push(*route),
            Made::Rejects(route) => rejecting.push(route),
        }
    }
    // What two routes share has been told.
    let table = RouteTable::new(sending, rejecting).ok()?;
    Some((targets.all(), table))
}

/// What was read of a route. Its rule and name are compared with those of the others even where
/// something else about it is wrong.
struct Read {
    named: Option<(String, Rule)>,
    made: Option<Made>,
}

enum Made {
    Sends(Box<Route>),
    Rejects(RejectRoute),
}

/// A `target` takes everything: routes beside it are out of work.
fn beside(target: &Entry<'_>, routes: &Entry<'_>) {
    if target.is_text_only() {
        routes.warning(Wrong::new(
            "the routes are not used, for one target takes everything",
            "leave the target out to use them",
        ));
    } else if !target.is_table() {
        target.problem(Wrong::new(
            "a `target` takes everything, and there are `[[routes]]` too",
            "write `target` in each route",
        ));
    }
}

/// `countersign TARGET`.
fn catch_all(entry: &Entry<'_>, targets: &Targets<'_>, timeouts: &ExchangeTimeouts) -> Read {
    let rule = Rule { host: None, path: PathPattern::Everything, methods: Vec::new() };
    if entry.is_table() {
        entry.problem(Wrong::new("this is a table", "did you mean `targets`?"));
        return Read { named: None, made: None };
    }
    let route = targets.of(entry).map(|target| Route {
        name: target.name.clone(),
        rewrite: Rewrite::Keep,
        payload: Payload::Signed,
        max_body: max_body(&target),
        destination: Destination::One(target),
        authorization: Some(HeaderName::from_static(defaults::AUTHORIZATION)),
        request_headers: HeaderChanges::default(),
        response_headers: HeaderChanges::default(),
        timeouts: *timeouts,
        retries: None,
        throttle: None,
        max_in_flight: None,
        validate: None,
        api_keys: None,
        cors: None,
        mirror: None,
        matches: rule,
    });
    Read { named: None, made: route.map(|route| Made::Sends(Box::new(route))) }
}

/// Notes what nothing tells apart: rules first, then names.
fn tell_apart(reader: &Reader<'_>, read: &[Read]) {
    let named = |(position, read): (usize, &Read)| Some((position, read.named.clone()?));
    let named: Vec<(usize, (String, Rule))> = read.iter().enumerate().filter_map(named).collect();
    let rules = named.iter().map(|(_, (_, rule))| rule.clone()).collect();
    let conflicts = Table::new(rules).err().unwrap_or_default();
    for (index, (position, (name, _))) in named.iter().enumerate() {
        let conflict = conflicts.iter().find(|(later, _)| *later == index);
        let twin = named[..index].iter().find(|(_, (other, _))| other == name);
        let wrong = if let Some((_, conflict)) = conflict {
            let (other, (name, _)) = &named[conflict.with];
            Wrong::new(
                format!("nothing tells this route and `{name}` (`routes[{other}]`) apart"),
                "give one another host, path or method, or remove it",
            )
        } else if let Some((other, _)) = twin {
            Wrong::new(
                format!("`routes[{other}]` is called `{name}` too"),
                "give each a `name` of its own",
            )
        } else {
            continue;
        };
        reader.problem(&format!("routes[{position}]"), wrong);
    }
}

/// A route's own keys, and `[defaults]` behind them.
pub(super) struct Layers<'r, 'a> {
    own: Option<&'r Reader<'a>>,
    defaults: Option<&'r Reader<'a>>,
}

impl<'a> Layers<'_, 'a> {
    /// The values of keys that exclude each other: a route's own of any goes before a default of
    /// another.
    fn either<const N: usize>(&self, keys: [&'static str; N]) -> [Option<Entry<'a>>; N] {
        let of = |table: Option<&Reader<'a>>| keys.map(|key| table.and_then(|it| it.take(key)));
        let (own, defaults) = (of(self.own), of(self.defaults));
        if own.iter().any(Option::is_some) { own } else { defaults }
    }

    /// A value that a route has for itself, and the one that it has otherwise.
    pub(super) fn take_apart(&self, key: &'static str) -> [Option<Entry<'a>>; 2] {
        [self.own, self.defaults].map(|table| table.and_then(|table| table.take(key)))
    }

    fn take(&self, key: &'static str) -> Option<Entry<'a>> {
        let default = self.defaults.and_then(|defaults| defaults.take(key));
        self.own.and_then(|own| own.take(key)).or(default)
    }

    /// The table that has a key, so that what reads from a table can be used.
    fn holding(&self, key: &'static str) -> Option<&Reader<'a>> {
        let own = self.own.filter(|own| own.take(key).is_some());
        own.or(self.defaults)
    }

    /// Makes every key of a route known.
    fn touch(&self) {
        for key in KEYS {
            self.take(key);
        }
    }
}

/// What may stand in a route.
pub(super) const KEYS: [&str; 26] = [
    "name",
    "target",
    "split",
    "sticky",
    "reject",
    "host",
    "path",
    "prefix",
    "methods",
    "strip_prefix",
    "rewrite",
    "payload",
    "max_body",
    "authorization",
    "request_headers",
    "response_headers",
    "body_read",
    "response_head",
    "response_idle",
    "retries",
    "throttle",
    "max_in_flight",
    "validate",
    "api_keys",
    "cors",
    "mirror",
];

fn one(
    entry: &Entry<'_>,
    defaults: Option<&Reader<'_>>,
    (targets, api_keys): (&Targets<'_>, &ApiKeys<'_>),
    timeouts: &ExchangeTimeouts,
) -> Read {
    let Some(own) = entry.table() else { return Read { named: None, made: None } };
    let keys = Layers { own: Some(&own), defaults };
    let [target, split, reject] = keys.either(["target", "split", "reject"]);
    if let Some(reject) = reject {
        return rejecting(&keys, &own, &reject);
    }
    let destination = split::destination(&keys, [target, split], &own, targets);
    let name = keys.take("name").and_then(|entry| entry.parsed("a name", route_name));
    let matches = matches(&keys, &own);
    let rewrite = rewrite(&keys, &own, matches.as_ref());
    let payload = payload(&keys, destination.as_ref());
    let authorization = authorization(&keys);
    let request_headers = changes(keys.take("request_headers"), true);
    let response_headers = changes(keys.take("response_headers"), false);
    let timeouts = route_timeouts(&keys, timeouts);
    let retries = keys.take("retries").and_then(|entry| retries::retries(&entry));
    let throttle = keys.take("throttle").and_then(|entry| settings::throttle(&entry));
    let max_in_flight = keys.holding("max_in_flight").and_then(settings::max_in_flight);
    let validate = keys
        .take("validate")
        .and_then(|entry| validate::validate(&entry, targets.around(), payload));
    let api_keys = keys.take("api_keys").and_then(|entry| api_keys.of(&entry));
    let cors = keys.take("cors").and_then(|entry| {
        let cors = cors::cors(&entry, matches.as_ref().map_or(&[], |rule| &rule.methods))?;
        if api_keys.is_none() {
            cors::warn_of_any(&entry, &cors);
        }
        Some(cors)
    });
    let mirror = keys.take("mirror").and_then(|entry| mirror::mirror(&entry, targets, payload));
    let size = keys.holding("max_body").and_then(|table| settings::size(table, "max_body"));
    own.finish();
    let named = matches.map(|rule| (name.unwrap_or_else(|| describe(&rule)), rule));
    let whole = || {
        let ((name, matches), destination, rewrite) = (named.clone()?, destination?, rewrite?);
        let most = || destination.targets().iter().map(|target| max_body(target)).min();
        Some(Route {
            name,
            max_body: size.or_else(most).unwrap_or(defaults::MAX_BODY),
            destination,
            rewrite,
            payload,
            authorization,
            request_headers,
            response_headers,
            timeouts,
            retries,
            throttle,
            max_in_flight,
            validate,
            api_keys,
            cors,
            mirror,
            matches,
        })
    };
    let made = whole().map(|route| Made::Sends(Box::new(route)));
    Read { named, made }
}

fn rejecting(keys: &Layers<'_, '_>, own: &Reader<'_>, entry: &Entry<'_>) -> Read {
    keys.touch();
    reject::alone(own);
    let reject = reject::reject(entry);
    let name = keys.take("name").and_then(|entry| entry.parsed("a name", route_name));
    let matches = matches(keys, own);
    own.finish();
    let named = matches.map(|rule| (name.unwrap_or_else(|| describe(&rule)), rule));
    let whole = || {
        let (name, matches) = named.clone()?;
        Some(Made::Rejects(RejectRoute { name, matches, reject: reject? }))
    };
    let made = whole();
    Read { named, made }
}

fn route_name(text: &str) -> Result<String, Wrong> {
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err(Wrong::new("a name has letters", "write a word such as `orders`"));
    }
    Ok(text.to_owned())
}

fn max_body(target: &Target) -> u64 {
    match target.scope.service.as_str() {
        "execute-api" => defaults::MAX_BODY_EXECUTE_API,
        _ => defaults::MAX_BODY,
    }
}

fn route_timeouts(keys: &Layers<'_, '_>, around: &ExchangeTimeouts) -> ExchangeTimeouts {
    let outer = match keys.defaults {
        Some(defaults) => settings::exchange(defaults, around),
        None => *around,
    };
    keys.own.map_or(outer, |own| settings::exchange(own, &outer))
}

fn matches(keys: &Layers<'_, '_>, own: &Reader<'_>) -> Option<Rule> {
    let host = keys.take("host").map(|entry| entry.parsed("a host", settings::host));
    let methods = keys.take("methods").map_or(Some(Vec::new()), |entry| methods(&entry));
    let path = path(keys, own);
    let host = match host {
        None => None,
        Some(read) => Some(read?),
    };
    Some(Rule { host, path: path?, methods: methods? })
}

fn path(keys: &Layers<'_, '_>, own: &Reader<'_>) -> Option<PathPattern> {
    let [pattern, prefix] = keys.either(["path", "prefix"]);
    let pattern = pattern.map(|entry| {
        entry.parsed("a path", |text| {
            Pattern::parse(text).map_err(|error| Wrong::new(error.to_string(), mended(&error)))
        })
    });
    let prefix = prefix.map(|entry| entry.parsed("a path", path_prefix));
    match (pattern, prefix) {
        (Some(_), Some(_)) => {
            own.problem_here(Wrong::new(
                "a route has a `path` or a `prefix`, not both",
                "leave one out: a `prefix` takes itself and all below it",
            ));
            None
        }
        (Some(pattern), None) => pattern.map(PathPattern::Path),
        (None, Some(prefix)) => prefix,
        (None, None) => Some(PathPattern::Everything),
    }
}

fn path_prefix(text: &str) -> Result<PathPattern, Wrong> {
    let odd = |c: char| matches!(c, '{' | '}' | '?' | '#' | '*') || !c.is_ascii_graphic();
    let bad = text.chars().any(odd);
    if !text.starts_with('/') || bad {
        return Err(Wrong::new(
            format!("`{text}` is no prefix"),
            "write `/orders`, without parameters, as it is on the wire; `path` has parameters",
        ));
    }
    let normal = crate::sigv4::normalise_path(text);
    let bare = normal.trim_end_matches('/');
    Ok(if bare.is_empty() { PathPattern::Everything } else { PathPattern::Prefix(bare.to_owned()) })
}

pub(super) fn methods(entry: &Entry<'_>) -> Option<Vec<Method>> {
    let (mut methods, mut fine) = (Vec::new(), true);
    let entries = entry.list("a list of methods, in brackets: `[\"GET\"]`")?;
    let is_empty = entries.is_empty();
    for entry in entries {
        let Some(text) = entry.string("a method such as `\"GET\"`") else {
            fine = false;
            continue;
        };
        match Method::from_bytes(text.as_bytes()) {
            Ok(Method::CONNECT) | Err(_) => {
                entry.problem(Wrong::new(
                    format!("`{text}` is no method that is sent on"),
                    "write `GET`, `POST` …; leave `methods` out for any",
                ));
                fine = false;
            }
            Ok(method) if method.as_str().chars().any(|c| c.is_ascii_lowercase()) => {
                let hint = format!("write `{}`: methods have a case", text.to_ascii_uppercase());
                entry.problem(Wrong::new(format!("`{text}` is not in upper case"), hint));
                fine = false;
            }
            Ok(method) => methods.push(method),
        }
    }
    if is_empty {
        entry.problem(Wrong::new(
            "a route that takes no method takes nothing",
            "leave `methods` out for any",
        ));
        return None;
    }
    fine.then_some(methods)
}

/// `rule`: none where it has a problem; then a template cannot be judged.
fn rewrite(keys: &Layers<'_, '_>, own: &Reader<'_>, rule: Option<&Rule>) -> Option<Rewrite> {
    match keys.either(["strip_prefix", "rewrite"]) {
        [None, None] => Some(Rewrite::Keep),
        [Some(_), Some(_)] => {
            own.problem_here(Wrong::new(
                "a route has a `strip_prefix` or a `rewrite`, not both",
                "leave one out: `rewrite = \"/v2/{proxy}\"` can do either",
            ));
            None
        }
        [Some(entry), None] => match entry.parsed("a path", path_prefix)? {
            PathPattern::Prefix(prefix) => Some(Rewrite::StripPrefix(prefix)),
            PathPattern::Everything | PathPattern::Path(_) => Some(Rewrite::Keep),
        },
        [None, Some(entry)] => {
            let path = &rule?.path;
            entry.parsed("a path", |text| {
                let template = Template::parse(text, path).map(Rewrite::Template);
                template.map_err(|error| Wrong::new(error.to_string(), parameters(path)))
            })
        }
    }
}

/// What to write instead of a path that is no pattern.
fn mended(error: &PatternError) -> &'static str {
    match error {
        PatternError::Character(_) => {
            "write the path alone, as it is on the wire: a space is `%20`, an `ö` is `%C3%B6`"
        }
        PatternError::Dots(_) => "write the path that is left: `/a/../b` is `/b`",
        _ => "write API Gateway's syntax: `/orders/{id}`, `/files/{proxy+}`",
    }
}

/// What may stand in the template of a path.
fn parameters(path: &PathPattern) -> String {
    match path {
        PathPattern::Path(pattern) if pattern.names().next().is_some() => {
            let names: Vec<String> = pattern.names().map(|name| format!("`{{{name}}}`")).collect();
            format!("write a path; {} may stand in it", names.join(" and "))
        }
        _ => "parameters come from the route's `path`, such as `/orders/{proxy+}`".to_owned(),
    }
}

fn payload(keys: &Layers<'_, '_>, destination: Option<&Destination>) -> Payload {
    let words = [
        ("signed", Payload::Signed),
        ("client-digest", Payload::ClientDigest),
        ("unsigned", Payload::Unsigned),
    ];
    let payload = keys.holding("payload").and_then(|table| choice(table, "payload", &words));
    let is_lambda = |target: &Arc<Target>| target.scope.service == "lambda";
    let of_lambda = destination.is_some_and(|all| all.targets().iter().any(is_lambda));
    if let (Some(Payload::Unsigned), true, Some(entry)) = (payload, of_lambda, keys.take("payload"))
    {
        entry.problem(Wrong::new(
            "Lambda takes no unsigned payload",
            "write `signed`, or `client-digest` where the client sends the hash",
        ));
    }
    payload.unwrap_or(Payload::Signed)
}

fn authorization(keys: &Layers<'_, '_>) -> Option<HeaderName> {
    let Some(entry) = keys.take("authorization") else {
        return Some(HeaderName::from_static(defaults::AUTHORIZATION));
    };
    let read = entry.parsed("a header's name, or `\"drop\"`", |text| match text {
        "drop" => Ok(None),
        name => header_name(name, true).map(Some),
    });
    read.flatten()
}

/// A name for a route without one: what it takes.
fn describe(rule: &Rule) -> String {
    let methods = rule.methods.iter().map(Method::as_str).collect::<Vec<_>>().join(",");
    let host = match &rule.host {
        None | Some(HostPattern::Any) => String::new(),
        Some(HostPattern::Exact(name)) => name.clone(),
        Some(HostPattern::Suffix(suffix)) => format!("*{suffix}"),
    };
    let path = match &rule.path {
        PathPattern::Everything => "/*".to_owned(),
        PathPattern::Prefix(prefix) => format!("{prefix}/*"),
        PathPattern::Path(pattern) => pattern.as_str().to_owned(),
    };
    format!("{methods} {host}{path}").trim_start().to_owned()
}
