//! The route table as a file: commented, in the order of its paths, with nothing in it that a
//! title or a name could smuggle in.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::cli::import::operation::{API_KEY, Found, Function, Leads, Operation, Takes};
use crate::cli::import::urls::Urls;

/// What a route that could not be carried over says.
const REJECTED: &str = "not carried over from API Gateway";

/// The names of targets, by function.
pub(super) type Names<'f> = BTreeMap<&'f Function, String>;

/// One route: operations of a path that differ in their method alone.
struct Group<'f> {
    takes: Takes,
    methods: Vec<&'f str>,
    of: &'f Operation,
}

/// The file. `origin`: the command that made it.
pub(super) fn file(found: &Found, urls: &Urls, origin: &str) -> String {
    let names = names(found);
    let mut text = format!("# Made by `{}` from {}.\n", plain(origin), plain(&found.what));
    text.push_str("# Paths are as callers know them; `strip_prefix` takes the stage off again before the function sees it.\n");
    if !found.lost.is_empty() {
        text.push_str("#\n# Not carried over:\n");
        for lost in &found.lost {
            let _ = writeln!(text, "# - {}", plain(lost));
        }
    }
    for (function, name) in &names {
        target(&mut text, function, name, urls);
    }
    for group in groups(found) {
        route(&mut text, &group, &names);
    }
    text
}

/// A name of its own for each function.
pub(super) fn names(found: &Found) -> Names<'_> {
    let mut names: Names<'_> = BTreeMap::new();
    let led = found.operations.iter().filter_map(|operation| match &operation.leads {
        Leads::To { function, .. } | Leads::Guarded { function, .. } => Some(function),
        Leads::Nowhere(_) => None,
    });
    for function in led.chain(&found.unrouted) {
        if names.contains_key(function) {
            continue;
        }
        let short = function.short();
        let mut name = short.clone();
        for count in 2.. {
            if names.values().all(|known| *known != name) {
                break;
            }
            name = format!("{short}-{count}");
        }
        names.insert(function, name);
    }
    names
}

fn target(text: &mut String, function: &Function, name: &str, urls: &Urls) {
    let known = urls.of(function);
    let _ = writeln!(text, "\n[targets.{name}]");
    match known {
        Some((known, _)) => {
            if known.open {
                text.push_str("# Anybody may call this URL (AuthType NONE).\n");
            }
            let _ = writeln!(text, "url = {}", quoted(&known.url));
            scope(text, &known.url, function.region());
        }
        None => {
            text.push_str("url = \"\" # not known yet: `countersign check` says how to find it\n")
        }
    }
    let arn = known.and_then(|(_, arn)| arn).or(function.arn.as_deref());
    match arn {
        Some(arn) => {
            let _ = writeln!(text, "function_arn = {}", quoted(arn));
        }
        None => {
            let _ = writeln!(
                text,
                "# the function `{}` of the template; its ARN is not in it",
                plain(&function.id)
            );
        }
    }
}

/// The host of a Function URL tells service and region; another one, on the way to it, does not.
fn scope(text: &mut String, url: &str, region: Option<&str>) {
    let host = url.split('/').nth(2).unwrap_or_default();
    if host.ends_with(".on.aws") {
        return;
    }
    text.push_str("service = \"lambda\"\n");
    if let Some(region) = region {
        let _ = writeln!(text, "region = {}", quoted(region));
    }
}

fn groups(found: &Found) -> Vec<Group<'_>> {
    let mut all: Vec<(Takes, &Operation)> = Vec::new();
    for operation in &found.operations {
        for takes in operation.takes().unwrap_or_default() {
            all.push((takes, operation));
        }
    }
    all.sort_by(|(a, one), (b, other)| (a, &one.method).cmp(&(b, &other.method)));
    let mut groups: Vec<Group<'_>> = Vec::new();
    for (takes, of) in all {
        let Some(method) = of.method.as_deref() else {
            groups.push(Group { takes, methods: Vec::new(), of });
            continue;
        };
        let same = |group: &&mut Group<'_>| {
            group.takes == takes
                && !group.methods.is_empty()
                && (&group.of.leads, &group.of.lost) == (&of.leads, &of.lost)
        };
        match groups.iter_mut().rev().take_while(|group| group.takes == takes).find(same) {
            Some(group) => group.methods.push(method),
            None => groups.push(Group { takes, methods: vec![method], of }),
        }
    }
    groups
}

fn route(text: &mut String, group: &Group<'_>, names: &Names<'_>) {
    let Operation { prefix, leads, lost, .. } = group.of;
    text.push('\n');
    for lost in lost {
        let _ = writeln!(text, "# Not carried over: {}", plain(lost));
    }
    let name = |function: &Function| names.get(function).map(String::as_str).unwrap_or_default();
    match leads {
        Leads::To { function, within } => {
            head(text, group);
            send(text, "", prefix, name(function), *within);
        }
        Leads::Nowhere(why) => {
            let _ = writeln!(text, "# Not carried over: {}", plain(why));
            head(text, group);
            let _ = writeln!(text, "reject = {{ status = 501, message = \"{REJECTED}\" }}");
        }
        Leads::Guarded { function, within, by } => {
            let _ = writeln!(
                text,
                "# Not carried over: {}. Where whoever reaches the listener may call it,\n\
                 # the lines below take the place of `reject`.",
                plain(by)
            );
            head(text, group);
            send(text, "# ", prefix, name(function), *within);
            if by.contains(API_KEY) {
                text.push_str(
                    "# api_keys = \"any\" # of `[api_keys.NAME]`, each with its `sha256`\n",
                );
            }
            let _ = writeln!(text, "reject = {{ status = 501, message = \"{REJECTED}\" }}");
        }
    }
}

fn head(text: &mut String, group: &Group<'_>) {
    text.push_str("[[routes]]\n");
    let _ = match &group.takes {
        Takes::Path(path) => writeln!(text, "path = {}", quoted(path)),
        Takes::Prefix(prefix) => writeln!(text, "prefix = {}", quoted(prefix)),
        Takes::Everything => writeln!(text, "# everything that no other route takes"),
    };
    if !group.methods.is_empty() {
        let methods: Vec<String> = group.methods.iter().map(|method| quoted(method)).collect();
        let _ = writeln!(text, "methods = [{}]", methods.join(", "));
    }
}

fn send(text: &mut String, begin: &str, prefix: &str, target: &str, within: Option<u64>) {
    if !prefix.is_empty() {
        let _ = writeln!(text, "{begin}strip_prefix = {}", quoted(prefix));
    }
    let _ = writeln!(text, "{begin}target = {}", quoted(target));
    // In no time nothing is done: `check` refuses it.
    if let Some(within) = within.filter(|within| *within > 0) {
        let time =
            if within % 1000 == 0 { format!("{}s", within / 1000) } else { format!("{within}ms") };
        let _ = writeln!(text, "{begin}response_head = \"{time}\"");
    }
}

/// A TOML string: JSON's escapes are TOML's too, but for one control character.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007F")
}

/// Text of others for a comment, which ends with its line, and for a terminal. Marks that turn
/// the direction of what follows would let a comment look like a line of the file.
pub(super) fn plain(text: &str) -> String {
    text.chars()
        .flat_map(|c| if is_odd(c) { c.escape_debug().collect() } else { vec![c] })
        .collect()
}

fn is_odd(c: char) -> bool {
    let turns =
        matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns || c.is_control()
}

#[cfg(test)]
mod tests {
    use super::{plain, quoted};

    #[test]
    fn what_others_wrote_stays_in_its_string_and_its_comment() {
        assert_eq!(quoted("a\"\n[x]\u{7f}"), r#""a\"\n[x]\u007F""#);
        assert_eq!(plain("a\nadmin = false\u{1b}[31m"), "a\\nadmin = false\\u{1b}[31m");
        assert_eq!(plain("é\u{202e}a\u{2028}"), "é\\u{202e}a\\u{2028}");
    }
}
