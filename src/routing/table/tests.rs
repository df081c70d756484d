//! The order of precedence, case by case and against a reference that scores every route.

use http::Method;
use proptest::prelude::*;

use crate::routing::{Found, HostPattern, Key, PathPattern, Pattern, Reason, Rule, Table};

fn rule(host: &str, path: &str, methods: &[&str]) -> Rule {
    let host = match (host, host.strip_prefix('*')) {
        ("", _) => None,
        ("*", _) => Some(HostPattern::Any),
        (_, Some(suffix)) => Some(HostPattern::Suffix(suffix.to_owned())),
        (name, None) => Some(HostPattern::Exact(name.to_owned())),
    };
    let path = match path.strip_suffix("/*") {
        Some("") => PathPattern::Everything,
        Some(prefix) => PathPattern::Prefix(prefix.to_owned()),
        None => PathPattern::Path(Pattern::parse(path).unwrap()),
    };
    let methods = methods.iter().map(|name| name.parse().unwrap()).collect();
    Rule { host, path, methods }
}

fn table(routes: &[(&str, &str, &[&str])]) -> Table {
    Table::new(routes.iter().map(|(host, path, methods)| rule(host, path, methods)).collect())
        .unwrap()
}

/// The index of the route that takes a request, if one does.
fn taker(table: &Table, host: &str, method: &Method, path: &str) -> Option<usize> {
    let host = (!host.is_empty()).then_some(host);
    match table.find(Key { host, method, path }) {
        Found::Route(index, _) => Some(index),
        Found::MethodNotAllowed(_) | Found::Nothing => None,
    }
}

#[test]
fn prefers_the_more_specific_path() {
    let table = table(&[
        ("", "/*", &[]),
        ("", "/a/*", &[]),
        ("", "/a/b/*", &[]),
        ("", "/a/{proxy+}", &[]),
        ("", "/a/{x}", &[]),
        ("", "/a/b", &[]),
        ("", "/a/{x}/c/{proxy+}", &[]),
        ("", "/{x}/{y}/{z}", &[]),
    ]);
    let taker = |path| taker(&table, "", &Method::GET, path);
    assert_eq!(taker("/a/b"), Some(5));
    assert_eq!(taker("/a/x"), Some(4));
    assert_eq!(taker("/a/x/c"), Some(7), "a parameter goes before a greedy one");
    assert_eq!(taker("/a/x/c/d"), Some(6));
    assert_eq!(taker("/a/b/c/"), Some(3), "a greedy parameter goes before a prefix");
    assert_eq!(taker("/a"), Some(1));
    assert_eq!(taker("/a/"), Some(1));
    assert_eq!(taker("/b"), Some(0));
}

#[test]
fn prefers_the_longest_prefix() {
    let table = table(&[("", "/a/*", &[]), ("", "/a/b/c/*", &[]), ("", "/a/b/*", &[])]);
    let taker = |path| taker(&table, "", &Method::GET, path);
    assert_eq!(taker("/a/b/c/d"), Some(1));
    assert_eq!(taker("/a/b/cd"), Some(2));
    assert_eq!(taker("/a/bc"), Some(0));
    assert_eq!(taker("/ab"), None);
}

#[test]
fn prefers_the_exact_host_then_the_longest_wildcard() {
    let table = table(&[
        ("", "/*", &[]),
        ("*.internal", "/*", &[]),
        ("*.eu.internal", "/*", &[]),
        ("a.eu.internal", "/*", &[]),
    ]);
    let taker = |host| taker(&table, host, &Method::GET, "/");
    assert_eq!(taker("a.eu.internal"), Some(3));
    assert_eq!(taker("b.eu.internal"), Some(2));
    assert_eq!(taker("a.us.internal"), Some(1));
    assert_eq!(taker("elsewhere"), Some(0));
    assert_eq!(taker(""), Some(0));
}

#[test]
fn passes_over_a_host_or_path_whose_route_does_not_take_the_request() {
    let table = table(&[
        ("a.internal", "/a", &["GET"]),
        ("*.internal", "/a/*", &["POST"]),
        ("", "/*", &["PUT"]),
    ]);
    let taker = |method, path| taker(&table, "a.internal", &method, path);
    assert_eq!(taker(Method::GET, "/a"), Some(0));
    assert_eq!(taker(Method::POST, "/a"), Some(1));
    assert_eq!(taker(Method::PUT, "/a"), Some(2));
    assert_eq!(taker(Method::PUT, "/b"), Some(2));
}

#[test]
fn prefers_the_named_method_on_the_same_path_only() {
    let table =
        table(&[("", "/a", &[]), ("", "/a", &["GET"]), ("", "/{x}", &["GET"]), ("", "/b", &[])]);
    let taker = |method, path| taker(&table, "", &method, path);
    assert_eq!(taker(Method::GET, "/a"), Some(1));
    assert_eq!(taker(Method::POST, "/a"), Some(0));
    assert_eq!(taker(Method::GET, "/b"), Some(3), "the path goes before the method");
}

#[test]
fn says_405_only_where_nothing_but_methods_failed() {
    let table = table(&[("", "/a", &["GET", "HEAD"]), ("", "/{x}", &["GET", "PUT"])]);
    let find = |path| table.find(Key { host: None, method: &Method::POST, path });
    let allowed = vec![Method::GET, Method::HEAD, Method::PUT];
    assert_eq!(find("/a"), Found::MethodNotAllowed(allowed));
    assert_eq!(find("/a/b"), Found::Nothing);
}

#[test]
fn takes_parameters_as_they_stand_on_the_wire() {
    let table = table(&[("", "/{a}/x", &["GET"]), ("", "/{b}/y/{rest+}", &[])]);
    let params = |path| match table.find(Key { host: None, method: &Method::GET, path }) {
        Found::Route(_, params) => params.0,
        other => panic!("{other:?}"),
    };
    assert_eq!(params("/1%2F2/x"), [("a", "1%2F2")]);
    assert_eq!(params("/%C3%A9/y/p/q/"), [("b", "%C3%A9"), ("rest", "p/q/")]);
}

#[test]
fn refuses_routes_that_nothing_tells_apart() {
    let conflicts = |routes: &[(&str, &str, &[&str])]| {
        Table::new(routes.iter().map(|(host, path, methods)| rule(host, path, methods)).collect())
            .err()
            .unwrap_or_default()
            .into_iter()
            .map(|(later, conflict)| (conflict.with, later))
            .collect::<Vec<_>>()
    };
    let first_two = [(0, 1)];
    assert_eq!(conflicts(&[("", "/a/{x}", &[]), ("", "/a/{y}", &[])]), first_two);
    assert_eq!(conflicts(&[("", "/*", &[]), ("*", "/*", &[])]), first_two);
    assert_eq!(conflicts(&[("", "/a", &["GET", "PUT"]), ("", "/a", &["PUT", "GET"])]), first_two);
    assert_eq!(conflicts(&[("", "/a", &[]), ("", "/a", &["GET"]), ("", "/a/*", &[])]), []);
    assert_eq!(conflicts(&[("", "/a/{x}", &[]), ("", "/a/{x+}", &[]), ("h", "/a/{x}", &[])]), []);
}

#[test]
fn explains_every_route() {
    let table = table(&[
        ("other", "/a", &[]),
        ("", "/b", &[]),
        ("", "/a", &["POST"]),
        ("", "/*", &[]),
        ("", "/a", &["GET"]),
    ]);
    let reasons = table.explain(Key { host: None, method: &Method::GET, path: "/a" });
    let reasons: Vec<_> = reasons.into_iter().map(|(_, reason)| reason).collect();
    let expected =
        [Reason::Host, Reason::Path, Reason::Method, Reason::LessSpecific, Reason::Taken];
    assert_eq!(reasons, expected);
}

// What follows knows nothing of routers: it scores every route and takes the best.

#[derive(Clone, Debug)]
struct Written {
    host: String,
    path: String,
    methods: Vec<&'static str>,
}

/// Smaller is better; `None`: it does not take the request.
fn score(
    route: &Written,
    host: &str,
    method: &str,
    path: &str,
) -> Option<(usize, Vec<usize>, usize)> {
    let host_score = match route.host.strip_prefix('*') {
        _ if route.host.is_empty() || route.host == "*" => 1000,
        Some(suffix) if host.ends_with(suffix) && host.len() > suffix.len() => 500 - suffix.len(),
        None if route.host == host => 0,
        _ => return None,
    };
    let method_score = match route.methods.as_slice() {
        [] => 1,
        named if named.contains(&method) => 0,
        _ => return None,
    };
    Some((host_score, path_score(&route.path, path)?, method_score))
}

fn path_score(pattern: &str, path: &str) -> Option<Vec<usize>> {
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    if let Some(prefix) = pattern.strip_suffix("/*") {
        let below = path == prefix || path.starts_with(&format!("{prefix}/"));
        return below.then(|| vec![if prefix.is_empty() { 4 } else { 3 }, 1000 - prefix.len()]);
    }
    let wanted: Vec<&str> = pattern.split('/').skip(1).collect();
    let class = match wanted.last() {
        Some(last) if last.ends_with("+}") => 2,
        _ => usize::from(pattern.contains('{')),
    };
    let mut score = vec![class];
    for (at, want) in wanted.iter().enumerate() {
        if want.ends_with("+}") {
            let rest = parts.get(at..)?.join("/");
            score.push(2);
            return (!rest.is_empty()).then_some(score);
        }
        let part = parts.get(at)?;
        match want.starts_with('{') {
            true if part.is_empty() => return None,
            true => score.push(1),
            false if want != part => return None,
            false => score.push(0),
        }
    }
    (wanted.len() == parts.len()).then_some(score)
}

fn segment() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b", "ab", "%2F"])
}

fn written_path() -> impl Strategy<Value = String> {
    let inner = prop_oneof![3 => segment(), 2 => Just("{}")];
    let last = prop::sample::select(vec!["", "", "", "/", "/{+}", "/{+}", "/*", "/*"]);
    (prop::collection::vec(inner, 0..4), last).prop_map(|(inner, last)| {
        let parameters = inner.contains(&"{}");
        let last = if parameters && last == "/*" { "/{+}" } else { last };
        let mut path = String::new();
        for (at, segment) in inner.iter().enumerate() {
            path.push('/');
            path.push_str(&segment.replace("{}", &format!("{{p{at}}}")));
        }
        path.push_str(&last.replace("{+}", "{rest+}"));
        if path.is_empty() { "/".to_owned() } else { path }
    })
}

fn written() -> impl Strategy<Value = Written> {
    let hosts = prop::sample::select(vec!["", "", "*", "x.y.z", "*.y.z", "*.z", "y.z"]);
    let methods = prop::sample::select(vec![vec![], vec![], vec!["GET"], vec!["GET", "PUT"]]);
    (hosts, written_path(), methods).prop_map(|(host, path, methods)| Written {
        host: host.to_owned(),
        path,
        methods,
    })
}

fn asked_path() -> impl Strategy<Value = String> {
    (prop::collection::vec(segment(), 0..5), any::<bool>()).prop_map(|(segments, slash)| {
        let path: String = segments.iter().map(|segment| format!("/{segment}")).collect();
        if slash || path.is_empty() { path + "/" } else { path }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn finds_what_scoring_every_route_finds(
        routes in prop::collection::vec(written(), 0..12),
        host in prop::sample::select(vec!["x.y.z", "w.y.z", "y.z", "v.z", "z", "elsewhere"]),
        method in prop::sample::select(vec!["GET", "PUT", "POST"]),
        paths in prop::collection::vec(asked_path(), 12),
    ) {
        let mut kept: Vec<Written> = Vec::new();
        for route in routes {
            let mut tried = kept.clone();
            tried.push(route);
            if Table::new(tried.iter().map(parsed).collect()).is_ok() {
                kept = tried;
            }
        }
        let table = Table::new(kept.iter().map(parsed).collect()).unwrap();
        let asked: Method = method.parse().unwrap();
        for path in paths {
            let scored = kept.iter().enumerate();
            let scored = scored.filter_map(|(at, route)| Some((score(route, host, method, &path)?, at)));
            let best = scored.min().map(|(_, at)| at);
            prop_assert_eq!(taker(&table, host, &asked, &path), best, "{} {}", host, path);
        }
    }
}

fn parsed(route: &Written) -> Rule {
    rule(&route.host, &route.path, &route.methods)
}
