//! The table that finds a request's route: exact host before wildcard before none; full path
//! before `{param}` before `{proxy+}` before prefix before everything; a named method before any.
//!
//! There is one set of paths for each host and method, with all the routes in it that take the
//! method. So the first path that fits is the right one, and nothing has to be tried twice.

use std::collections::HashMap;

use http::Method;

use crate::routing::host::HostPattern;
use crate::routing::pattern::{Params, PathPattern, Pattern, Rank};

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

/// What a route takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The host; `None`: any, or none at all.
    pub host: Option<HostPattern>,
    /// The path.
    pub path: PathPattern,
    /// The methods; empty: any.
    pub methods: Vec<Method>,
}

/// What a look-up found.
#[derive(Debug, PartialEq, Eq)]
pub enum Found<'p> {
    /// The index of the route, and the path's parameters.
    Route(usize, Params<'p>),
    /// Routes would take the path, but with one of these methods.
    MethodNotAllowed(Vec<Method>),
    /// No route takes it.
    Nothing,
}

/// Two routes that nothing tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("another route takes the same requests")]
pub struct Conflict {
    /// The index of the other one.
    pub with: usize,
}

/// Why a route does or does not take a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It takes it.
    Taken,
    /// The host is another.
    Host,
    /// The path is another.
    Path,
    /// The method is another.
    Method,
    /// It would, but a more specific one does.
    LessSpecific,
}

/// Finds a request's route.
#[derive(Debug, Default)]
pub struct Table {
    rules: Vec<Rule>,
    exact: HashMap<String, Methods>,
    /// Longest first.
    suffixes: Vec<(String, Methods)>,
    any: Methods,
}

/// The paths of one host, by method.
#[derive(Debug, Default)]
struct Methods {
    named: HashMap<Method, Paths>,
    /// For every method that no route names: the routes that take any.
    other: Paths,
}

/// The paths of one host and method.
#[derive(Debug, Default)]
struct Paths {
    full: HashMap<String, usize>,
    params: Patterns,
    greedy: Patterns,
    /// Longest first.
    prefixes: Vec<(String, usize)>,
    everything: Option<usize>,
}

impl Table {
    /// The table of `rules`; a rule's index is its route's.
    ///
    /// # Errors
    ///
    /// With the pairs that nothing tells apart: the index of the later one first.
    pub fn new(rules: Vec<Rule>) -> Result<Self, Vec<(usize, Conflict)>> {
        let mut conflicts = Vec::new();
        for (index, rule) in rules.iter().enumerate() {
            if let Some(with) = rules[..index].iter().position(|other| rule.equals(other)) {
                conflicts.push((index, Conflict { with }));
            }
        }
        if !conflicts.is_empty() {
            return Err(conflicts);
        }
        let mut table = Self::default();
        let mut order: Vec<usize> = (0..rules.len()).collect();
        // Routes that name a method go in first: where a path is taken, it stays taken.
        order.sort_by_key(|index| rules[*index].methods.is_empty());
        let mut methods: Vec<&Method> = rules.iter().flat_map(|rule| &rule.methods).collect();
        methods.sort_by_key(|method| method.as_str());
        methods.dedup();
        for index in order {
            table.host(&rules[index]).insert(index, &rules[index], &methods);
        }
        table.suffixes.sort_by_key(|(suffix, _)| std::cmp::Reverse(suffix.len()));
        table.rules = rules;
        Ok(table)
    }

    fn host(&mut self, rule: &Rule) -> &mut Methods {
        match &rule.host {
            None | Some(HostPattern::Any) => &mut self.any,
            Some(HostPattern::Exact(name)) => self.exact.entry(name.clone()).or_default(),
            Some(HostPattern::Suffix(suffix)) => {
                let known = self.suffixes.iter().position(|(known, _)| known == suffix);
                let position = known.unwrap_or_else(|| {
                    self.suffixes.push((suffix.clone(), Methods::default()));
                    self.suffixes.len() - 1
                });
                &mut self.suffixes[position].1
            }
        }
    }

    /// The route of a request.
    pub fn find<'p>(&'p self, key: Key<'p>) -> Found<'p> {
        let hosts = self.hosts(key.host);
        match hosts.into_iter().find_map(|methods| methods.find(key)) {
            Some(index) => Found::Route(index, self.params(index, key.path)),
            None => self.not_found(key),
        }
    }

    /// The sets of paths that a host may use, the most specific first.
    fn hosts<'t>(&'t self, host: Option<&'t str>) -> impl IntoIterator<Item = &'t Methods> {
        let exact = host.and_then(|host| self.exact.get(host));
        let suffixes = self.suffixes.iter().filter(move |(suffix, _)| {
            host.is_some_and(|host| host.len() > suffix.len() && host.ends_with(suffix.as_str()))
        });
        exact.into_iter().chain(suffixes.map(|(_, methods)| methods)).chain([&self.any])
    }

    fn params<'p>(&'p self, index: usize, path: &'p str) -> Params<'p> {
        match &self.rules[index].path {
            PathPattern::Path(pattern) => pattern.params(path),
            PathPattern::Prefix(_) | PathPattern::Everything => Params::default(),
        }
    }

    fn not_found(&self, key: Key<'_>) -> Found<'_> {
        let fits = |rule: &&Rule| rule.takes_host(key.host) && rule.takes_path(key.path);
        let mut methods: Vec<Method> =
            self.rules.iter().filter(fits).flat_map(|rule| rule.methods.clone()).collect();
        methods.sort_by(|one, other| one.as_str().cmp(other.as_str()));
        methods.dedup();
        if methods.is_empty() { Found::Nothing } else { Found::MethodNotAllowed(methods) }
    }

    /// For each route, in its order, why it does or does not take the request.
    pub fn explain(&self, key: Key<'_>) -> Vec<(usize, Reason)> {
        let taken = match self.find(key) {
            Found::Route(index, _) => Some(index),
            Found::MethodNotAllowed(_) | Found::Nothing => None,
        };
        let reason = |(index, rule): (usize, &Rule)| {
            let reason = if taken == Some(index) {
                Reason::Taken
            } else if !rule.takes_host(key.host) {
                Reason::Host
            } else if !rule.takes_path(key.path) {
                Reason::Path
            } else if !rule.takes_method(key.method) {
                Reason::Method
            } else {
                Reason::LessSpecific
            };
            (index, reason)
        };
        self.rules.iter().enumerate().map(reason).collect()
    }
}

impl Rule {
    fn takes_host(&self, host: Option<&str>) -> bool {
        match (&self.host, host) {
            (None | Some(HostPattern::Any), _) => true,
            (Some(pattern), Some(host)) => pattern.takes(host),
            (Some(_), None) => false,
        }
    }

    fn takes_path(&self, path: &str) -> bool {
        match &self.path {
            PathPattern::Everything => true,
            PathPattern::Prefix(prefix) => is_below(path, prefix),
            PathPattern::Path(pattern) => pattern.takes(path),
        }
    }

    fn takes_method(&self, method: &Method) -> bool {
        self.methods.is_empty() || self.methods.contains(method)
    }

    /// Whether there are requests for which nothing tells the two apart.
    fn equals(&self, other: &Self) -> bool {
        let path = match (&self.path, &other.path) {
            (PathPattern::Path(one), PathPattern::Path(two)) => {
                one.for_matchit() == two.for_matchit()
            }
            (one, two) => one == two,
        };
        let any = |host: &Option<HostPattern>| matches!(host, None | Some(HostPattern::Any));
        let host = self.host == other.host || (any(&self.host) && any(&other.host));
        let methods = match (self.methods.is_empty(), other.methods.is_empty()) {
            (true, true) => true,
            (false, false) => self.methods.iter().any(|method| other.methods.contains(method)),
            _ => false,
        };
        path && host && methods
    }
}

/// `/orders` takes `/orders` and `/orders/7`, not `/ordersx`.
fn is_below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl Methods {
    fn insert(&mut self, index: usize, rule: &Rule, methods: &[&Method]) {
        for method in methods {
            if rule.takes_method(method) {
                self.named.entry((*method).clone()).or_default().insert(index, &rule.path);
            }
        }
        if rule.methods.is_empty() {
            self.other.insert(index, &rule.path);
        }
    }

    fn find(&self, key: Key<'_>) -> Option<usize> {
        self.named.get(key.method).unwrap_or(&self.other).find(key.path)
    }
}

impl Paths {
    fn insert(&mut self, index: usize, path: &PathPattern) {
        match path {
            PathPattern::Everything => {
                self.everything.get_or_insert(index);
            }
            PathPattern::Prefix(prefix) => {
                if self.prefixes.iter().all(|(known, _)| known != prefix) {
                    self.prefixes.push((prefix.clone(), index));
                    self.prefixes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
                }
            }
            PathPattern::Path(pattern) => self.insert_pattern(index, pattern),
        }
    }

    fn insert_pattern(&mut self, index: usize, pattern: &Pattern) {
        match pattern.rank() {
            Rank::Full => {
                self.full.entry(pattern.as_str().to_owned()).or_insert(index);
            }
            Rank::Params => self.params.insert(index, pattern),
            Rank::Greedy => self.greedy.insert(index, pattern),
        }
    }

    fn find(&self, path: &str) -> Option<usize> {
        let full = || self.full.get(path).copied();
        let params = || self.params.find(path);
        let greedy = || self.greedy.find(path);
        let prefix = || {
            let found = self.prefixes.iter().find(|(prefix, _)| is_below(path, prefix));
            found.map(|(_, index)| *index)
        };
        full().or_else(params).or_else(greedy).or_else(prefix).or(self.everything)
    }
}

/// Patterns with parameters. matchit takes a literal before a parameter, segment by segment, but
/// some pairs cannot stand in one of its routers (`/{proxy+}` and `/{id}/{proxy+}`): they stand
/// in two, and the more specific of what both find wins.
#[derive(Debug, Default)]
struct Patterns(Vec<matchit::Router<Ranked>>);

/// A route, and how specific each segment of its path is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Ranked(Vec<Rank>, usize);

impl Patterns {
    fn insert(&mut self, index: usize, pattern: &Pattern) {
        let text = pattern.for_matchit();
        let ranked = Ranked(pattern.ranks().collect(), index);
        for router in &mut self.0 {
            match router.insert(text.clone(), ranked.clone()) {
                Ok(()) => return,
                // The same path with a named method is there, which goes before any.
                Err(matchit::InsertError::Conflict { with }) if with == text => return,
                Err(_) => {}
            }
        }
        let mut router = matchit::Router::new();
        router.insert(text, ranked).expect("one pattern cannot be in its own way");
        self.0.push(router);
    }

    fn find(&self, path: &str) -> Option<usize> {
        let found = self.0.iter().filter_map(|router| router.at(path).ok());
        found.map(|found| found.value).min().map(|Ranked(_, index)| *index)
    }
}

#[cfg(test)]
mod tests;
