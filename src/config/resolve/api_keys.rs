//! `[api_keys]`, and the keys that a route takes. What was typed is never repeated: it may be the
//! key itself, by mistake.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::config::reader::{Entry, Reader};
use crate::config::resolve::settings;
use crate::config::values::{Wrong, nearest};
use crate::config::{ApiKey, KeyDigest};

const HASH: &str = "write the 64 hex digits that `printf %s \"$KEY\" | sha256sum` prints";
/// The SHA-256 of nothing: what that command prints where `$KEY` is not set.
const OF_NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// All keys of the file. One that has a problem is here without a value: its name is known all
/// the same.
pub(super) struct ApiKeys<'a> {
    table: Option<Reader<'a>>,
    named: BTreeMap<String, Option<Arc<ApiKey>>>,
    used: RefCell<BTreeSet<String>>,
}

pub(super) fn api_keys<'a>(reader: &Reader<'a>) -> ApiKeys<'a> {
    let table = reader.table("api_keys");
    let mut named: BTreeMap<String, Option<Arc<ApiKey>>> = BTreeMap::new();
    for (name, entry) in table.iter().flat_map(Reader::named) {
        let key = one(&name, &entry).filter(|key| {
            let twin = named.values().flatten().find(|other| other.sha256 == key.sha256);
            if let Some(twin) = twin {
                entry.problem(Wrong::new(
                    format!("this is the hash of `{}`, too", twin.name),
                    "give each a key of its own, or name one of them in both places",
                ));
            }
            twin.is_none()
        });
        named.insert(name, key.map(Arc::new));
    }
    ApiKeys { table, named, used: RefCell::default() }
}

fn one(name: &str, entry: &Entry<'_>) -> Option<ApiKey> {
    if !entry.is_table() {
        entry.problem(Wrong::new("a key is a table", "write `{ sha256 = \"64 hex digits\" }`"));
        return None;
    }
    let table = entry.table()?;
    if name.trim().is_empty() || name.chars().any(char::is_control) {
        entry.problem(Wrong::new("a name has letters", "write a word such as `team-a`"));
    }
    let sha256 = table.take("sha256");
    let throttle = table.take("throttle").and_then(|entry| settings::throttle(&entry));
    table.finish();
    let Some(sha256) = sha256 else {
        table.problem_here(Wrong::new("`sha256` is missing", HASH));
        return None;
    };
    let sha256 = sha256.parsed("the key's SHA-256 in hex", digest)?;
    Some(ApiKey { name: name.to_owned(), sha256, throttle })
}

fn digest(text: &str) -> Result<KeyDigest, Wrong> {
    if text.eq_ignore_ascii_case(OF_NOTHING) {
        return Err(Wrong::new(
            "this is the hash of no key at all",
            "set `KEY` before it is hashed",
        ));
    }
    let mut digest = [0; 32];
    hex::decode_to_slice(text, &mut digest)
        .map_err(|_| Wrong::new("this is no SHA-256, and no key may stand here itself", HASH))?;
    Ok(KeyDigest::new(digest))
}

impl ApiKeys<'_> {
    /// The keys in the order of their names. One that no route takes is told: a route that was
    /// to ask for it may be open.
    pub(super) fn all(&self) -> Vec<Arc<ApiKey>> {
        let used = self.used.borrow();
        for (name, entry) in self.table.iter().flat_map(Reader::named) {
            if !used.contains(&name) {
                let hint = format!("write `api_keys = [\"{name}\"]` in a route, or remove the key");
                entry.warning(Wrong::new("no route takes this key", hint));
            }
        }
        self.named.values().flatten().cloned().collect()
    }

    /// `api_keys` of a route; none where it is `false`, or has a problem.
    pub(super) fn of(&self, entry: &Entry<'_>) -> Option<Vec<Arc<ApiKey>>> {
        if entry.is_false() {
            return None;
        }
        if entry.is_text("any") {
            if self.named.is_empty() {
                let hint = "write `[api_keys.NAME]` with a `sha256`";
                entry.problem(Wrong::new("there are no keys", hint));
            }
            self.used.borrow_mut().extend(self.named.keys().cloned());
            return Some(self.named.values().flatten().cloned().collect());
        }
        let names = entry.list("`[\"team-a\"]`, `\"any\"` for all keys, or `false`")?;
        if names.is_empty() {
            let hint = "name keys of `[api_keys]`, or write `\"any\"` or `false`";
            entry.problem(Wrong::new("no key would be taken", hint));
        }
        let named = names.into_iter().filter_map(|entry| {
            let name = entry.string("a key's name")?;
            self.used.borrow_mut().insert(name.clone());
            self.find(&entry, &name)
        });
        Some(named.collect())
    }

    /// An unknown name is not repeated, either.
    fn find(&self, entry: &Entry<'_>, name: &str) -> Option<Arc<ApiKey>> {
        if let Some(known) = self.named.get(name) {
            return known.clone();
        }
        let names = self.named.keys().map(String::as_str);
        let hint = match nearest(name, names.clone()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None if self.named.is_empty() => "write `[api_keys.NAME]` with a `sha256`".to_owned(),
            None => {
                let known: Vec<String> = names.map(|name| format!("`{name}`")).collect();
                format!("known are {}", known.join(", "))
            }
        };
        entry.problem(Wrong::new("no key has this name", hint));
        None
    }
}
