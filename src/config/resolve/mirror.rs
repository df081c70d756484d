//! `mirror`: off unless written; a table says where to, and what may differ.

use http::header::HeaderName;

use crate::config::reader::{Entry, Reader};
use crate::config::resolve::settings::choice;
use crate::config::resolve::targets::Targets;
use crate::config::values::Wrong;
use crate::config::{Comparison, Mirror, MirroredMethods, Payload, defaults};

const METHODS: [(&str, MirroredMethods); 2] =
    [("idempotent", MirroredMethods::Idempotent), ("all", MirroredMethods::All)];

/// What `ignore` puts before the name of a header.
const HEADER: &str = "header:";

/// None where it is `false`, or has a problem.
pub(super) fn mirror(entry: &Entry<'_>, targets: &Targets<'_>, payload: Payload) -> Option<Mirror> {
    if entry.is_false() {
        return None;
    }
    if !entry.is_table() {
        let hint = "write `{ target = \"NAME\" }`, or `false`";
        entry.problem(Wrong::new("a mirror is a table", hint));
        return None;
    }
    if payload == Payload::Unsigned {
        entry.problem(Wrong::new(
            "a body that streams cannot be sent twice",
            "write `mirror = false`, or `payload = \"signed\"`",
        ));
    }
    let table = entry.table()?;
    let target = table.take("target");
    if target.is_none() {
        let hint = "write the mirror's `target`: a target's name, or its URL";
        table.problem_here(Wrong::new("`target` is missing", hint));
    }
    let target = target.and_then(|entry| targets.of(&entry));
    let sample = table.take("sample").map(|entry| entry.share());
    let methods = choice(&table, "methods", &METHODS);
    let compares = table.take("compare").and_then(|entry| entry.boolean());
    let comparison = comparison(&table);
    table.finish();
    Some(Mirror {
        target: target?,
        sample: sample.unwrap_or(Some(defaults::MIRRORED))?,
        methods: methods.unwrap_or(MirroredMethods::Idempotent),
        comparison: compares.unwrap_or(true).then_some(comparison),
    })
}

fn comparison(table: &Reader<'_>) -> Comparison {
    let mut headers = match table.take("headers").and_then(|entry| entry.strings("a header's name"))
    {
        None => vec![defaults::COMPARED_HEADER],
        Some(names) => noted(names, header_name),
    };
    let ignored = table.take("ignore");
    let ignored = ignored.and_then(|entry| entry.strings("a JSON pointer, or `header:NAME`"));
    let ignored = ignored.unwrap_or_default();
    let literal = ignored.iter().find(|(_, text)| text.starts_with('/') && text.contains('*'));
    if let Some((entry, text)) = literal {
        entry.warning(Wrong::new(
            format!("`*` in `{text}` stands for itself"),
            "a JSON pointer names one value: name what is above it instead",
        ));
    }
    let mut pointers = Vec::new();
    for ignored in noted(ignored, ignored_one) {
        match ignored {
            Ignored::Header(name) => headers.retain(|known| *known != name),
            Ignored::Pointer(pointer) => pointers.push(pointer),
        }
    }
    Comparison { headers, ignored: pointers }
}

/// What the texts mean; the mistakes are noted.
fn noted<T>(texts: Vec<(Entry<'_>, String)>, parse: impl Fn(&str) -> Result<T, Wrong>) -> Vec<T> {
    let read = |(entry, text): (Entry<'_>, String)| {
        parse(&text).map_err(|wrong| entry.problem(wrong)).ok()
    };
    texts.into_iter().filter_map(read).collect()
}

enum Ignored {
    Header(HeaderName),
    Pointer(String),
}

fn ignored_one(text: &str) -> Result<Ignored, Wrong> {
    if let Some(name) = text.strip_prefix(HEADER) {
        let name = HeaderName::try_from(name).map(Ignored::Header);
        let wrong = |_| Wrong::new(format!("`{text}` names no header"), "write `header:date`");
        return name.map_err(wrong);
    }
    if !text.is_empty() && !text.starts_with('/') {
        return Err(Wrong::new(
            format!("`{text}` is neither a JSON pointer nor a header"),
            "write `/orders/0/id` (RFC 6901), or `header:date`",
        ));
    }
    let is_escaped = |rest: &str| rest.starts_with(['0', '1']);
    if !text.split('~').skip(1).all(is_escaped) {
        return Err(Wrong::new(
            format!("`{text}` is no JSON pointer"),
            "in a key write `~0` for `~`, and `~1` for `/` (RFC 6901)",
        ));
    }
    Ok(Ignored::Pointer(text.to_owned()))
}

fn header_name(text: &str) -> Result<HeaderName, Wrong> {
    HeaderName::try_from(text).map_err(|_| {
        Wrong::new(format!("`{text}` is no header's name"), "write a word such as `content-type`")
    })
}
