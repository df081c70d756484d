//! What could not be carried over: told once for all operations that share it, and listed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use crate::cli::import::operation::{Found, Leads, Operation, Takes};
use crate::cli::import::urls::Urls;
use crate::cli::import::write::{names, plain};

/// Puts what every function's operation loses to the API as a whole, and each thing once.
pub(super) fn gather(found: &mut Found) {
    let routed = |operation: &&Operation| !matches!(operation.leads, Leads::Nowhere(_));
    let shared: BTreeSet<String> = {
        let mut routed = found.operations.iter().filter(routed);
        let first: BTreeSet<String> = routed
            .next()
            .map(|operation| operation.lost.iter().cloned().collect())
            .unwrap_or_default();
        routed.fold(first, |shared, operation| {
            shared.into_iter().filter(|lost| operation.lost.contains(lost)).collect()
        })
    };
    for operation in &mut found.operations {
        operation.lost.retain(|lost| !shared.contains(lost));
    }
    found.lost.extend(shared);
    let mut seen = BTreeSet::new();
    found.lost.retain(|lost| seen.insert(lost.clone()));
}

/// Leaves out an operation that nothing tells from one before it: two APIs may share a path, but
/// a route table is one.
pub(super) fn tell_apart(found: &mut Found) {
    let mut known: BTreeMap<(Takes, Option<String>), String> = BTreeMap::new();
    let mut lost = Vec::new();
    found.operations.retain(|operation| {
        let takes = operation.takes().unwrap_or_default().into_iter().map(nameless);
        let keys: Vec<_> = takes.map(|takes| (takes, operation.method.clone())).collect();
        match keys.iter().find_map(|key| known.get(key)) {
            Some(other) => {
                lost.push(format!("`{}` a second time, after `{other}`", operation.label()));
                false
            }
            None => {
                known.extend(keys.into_iter().map(|key| (key, operation.label())));
                true
            }
        }
    });
    found.lost.extend(lost);
}

/// `/a/{id}` and `/a/{name}` take the same.
fn nameless(takes: Takes) -> Takes {
    let Takes::Path(path) = takes else { return takes };
    let piece = |piece: &str| match (piece.starts_with('{'), piece.ends_with("+}")) {
        (true, true) => "{+}".to_owned(),
        (true, false) => "{}".to_owned(),
        _ => piece.to_owned(),
    };
    Takes::Path(path.split('/').map(piece).collect::<Vec<_>>().join("/"))
}

/// Lets operations through whose callers API Gateway checked.
pub(super) fn open(found: &mut Found) {
    for operation in &mut found.operations {
        if let Leads::Guarded { function, within, by } = &operation.leads {
            operation.lost.push(format!("{by}: whoever reaches the listener may call it"));
            operation.leads = Leads::To { function: function.clone(), within: *within };
        }
    }
}

/// The list for the person at the terminal; none where nothing is left over.
pub(super) fn list(found: &Found, urls: &Urls, unasked: &[String]) -> Option<String> {
    let mut text = String::new();
    for operation in &found.operations {
        let label = plain(&operation.label());
        for lost in &operation.lost {
            let _ = writeln!(text, "  {label}: {}", plain(lost));
        }
        let why = match &operation.leads {
            Leads::To { .. } => continue,
            Leads::Nowhere(why) => why,
            Leads::Guarded { by, .. } => by,
        };
        let _ = writeln!(text, "  {label} rejects with 501: {}", plain(why));
    }
    for lost in &found.lost {
        let _ = writeln!(text, "  {}", plain(lost));
    }
    let mut list = String::new();
    if !text.is_empty() {
        list = format!("not carried over:\n{text}");
    }
    let unknown: Vec<String> = names(found)
        .iter()
        .filter(|(function, _)| urls.of(function).is_none())
        .map(|(_, name)| format!("  [targets.{name}]\n"))
        .collect();
    if !unknown.is_empty() {
        let _ = write!(list, "without a URL yet (--urls FILE, --resolve):\n{}", unknown.concat());
    }
    for line in unasked {
        let _ = writeln!(list, "  {}", plain(line));
    }
    let list = list.trim_end().to_owned();
    (!list.is_empty()).then_some(list)
}
