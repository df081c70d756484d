//! Where a route sends to: its `target`, or a `split` among several.

use std::sync::Arc;

use http::header::HeaderName;

use crate::config::reader::{Entry, Reader};
use crate::config::resolve::routes::Layers;
use crate::config::resolve::settings;
use crate::config::resolve::targets::Targets;
use crate::config::values::Wrong;
use crate::config::{Destination, Split, Sticky, Target};

/// Parts of a million are fine enough, and their sum stays far from any bound.
const MOST_WEIGHT: usize = 1_000_000;
/// A request may be tried at each of them: more are a mistake.
const MOST_TARGETS: usize = 32;

const SHAPE: &str = "a list of tables: `[{ target = \"orders\", weight = 90 }, { target = \"canary\", weight = 10 }]`";

/// Where a route sends to, by its `target` or its `split`; none where it has a problem.
pub(super) fn destination(
    keys: &Layers<'_, '_>,
    [target, split]: [Option<Entry<'_>>; 2],
    own: &Reader<'_>,
    targets: &Targets<'_>,
) -> Option<Destination> {
    let sticky = sticky(keys, split.as_ref());
    match (target, split) {
        (Some(target), None) => targets.of(&target).map(Destination::One),
        (None, Some(entry)) => self::split(&entry, targets, sticky).map(Destination::Split),
        (Some(_), Some(_)) => {
            own.problem_here(Wrong::new(
                "a route has a `target` or a `split`, not both",
                "leave the `target` out: a `split` names all targets",
            ));
            None
        }
        (None, None) => {
            let hint = "write a target's name, or its URL";
            own.problem_here(Wrong::new("`target` is missing", hint));
            None
        }
    }
}

fn split(entry: &Entry<'_>, targets: &Targets<'_>, sticky: Option<Sticky>) -> Option<Split> {
    let entries = entry.list(SHAPE)?;
    if entries.is_empty() {
        entry.problem(Wrong::new("this split has no targets", format!("write {SHAPE}")));
        return None;
    }
    if entries.len() > MOST_TARGETS {
        entry.problem(settings::too_many(entries.len(), MOST_TARGETS));
        return None;
    }
    let read: Vec<_> = entries.iter().map(|entry| share(entry, targets)).collect();
    let shares: Vec<(Arc<Target>, u32)> = read.into_iter().collect::<Option<_>>()?;
    if let Some(twin) = twin(&shares) {
        entries[twin].problem(Wrong::new(
            format!("`{}` stands in this split twice", shares[twin].0.name),
            "name it once, with both weights together",
        ));
        return None;
    }
    let split = Split::new(shares, sticky);
    if split.is_none() {
        entry.problem(Wrong::new(
            "no target of this split has a weight",
            "write `weight = 1` for one at least: 0 gets requests only where others are not reached",
        ));
    }
    split
}

fn share(entry: &Entry<'_>, targets: &Targets<'_>) -> Option<(Arc<Target>, u32)> {
    if !entry.is_table() {
        let shape = "write `{ target = \"orders\", weight = 90 }`";
        entry.problem(Wrong::new("each target of a split has a weight", shape));
        return None;
    }
    let table = entry.table()?;
    let (target, weight) = (table.take("target"), table.take("weight"));
    table.finish();
    let missing = |key, hint: &str| {
        table.problem_here(Wrong::new(format!("`{key}` is missing"), hint));
    };
    if target.is_none() {
        missing("target", "write a target's name, or its URL");
    }
    if weight.is_none() {
        missing("weight", "write a whole number: `90` of `100`, or `0` for a standby");
    }
    let target = target.and_then(|entry| targets.of(&entry));
    let weight = weight.and_then(|entry| self::weight(&entry));
    target.zip(weight)
}

fn weight(entry: &Entry<'_>) -> Option<u32> {
    let weight = entry.whole("a whole number from 0 up")?;
    if weight > MOST_WEIGHT {
        entry.problem(settings::too_many(weight, MOST_WEIGHT));
        return None;
    }
    u32::try_from(weight).ok()
}

/// The position of a target that was named before.
fn twin(shares: &[(Arc<Target>, u32)]) -> Option<usize> {
    let named = |position: usize| &shares[position].0.name;
    (1..shares.len()).find(|later| (0..*later).any(|earlier| named(earlier) == named(*later)))
}

/// None where it is not written, or has a problem. A default is for the routes that have a split.
fn sticky(keys: &Layers<'_, '_>, split: Option<&Entry<'_>>) -> Option<Sticky> {
    let [own, default] = keys.take_apart("sticky");
    if let (Some(own), None) = (&own, split) {
        own.problem(Wrong::new(
            "only the requests of a `split` are kept with a target",
            "leave `sticky` out, or write a `split` in place of the `target`",
        ));
    }
    own.or(default)?.parsed("a header or a cookie: `\"header:x-user-id\"`", |text| {
        let wrong = || {
            Wrong::new(
                format!("`{text}` names neither a header nor a cookie"),
                "write `header:x-user-id` or `cookie:session`",
            )
        };
        let (kind, name) = text.split_once(':').ok_or_else(wrong)?;
        // A cookie's name is made of the same characters as a header's (RFC 6265, 4.1.1).
        let header = HeaderName::try_from(name).map_err(|_| wrong())?;
        match kind {
            "header" => Ok(Sticky::Header(header)),
            "cookie" => Ok(Sticky::Cookie(name.to_owned())),
            _ => Err(wrong()),
        }
    })
}
