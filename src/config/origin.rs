//! Where each value was written: a line of the file, a variable, a flag.

use std::collections::BTreeMap;

use figment::value::Value;
use toml::de::{DeTable, DeValue};

/// Where each key was written, by its path (`routes[1].target`).
#[derive(Debug, Default)]
pub(super) struct Origins(BTreeMap<String, Origin>);

/// One place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// `countersign.toml:7:3`, and the byte of the file, by which problems are ordered.
    File(String, usize),
    /// The variable's name.
    Environment(String),
    /// The flag.
    Flag(String),
}

impl Origins {
    /// The places of a file's keys.
    pub(super) fn of_file(name: &str, text: &str, table: &DeTable<'_>) -> Self {
        let mut origins = Self::default();
        Walk { name, text, origins: &mut origins }.table("", table);
        origins
    }

    /// A value that was written elsewhere. What the file said of it does not count, but tables
    /// are merged key by key: what the file alone says stays the file's.
    pub(super) fn put(&mut self, path: &str, value: &Value, origin: &Origin) {
        let replaced: &[char] = if value.as_dict().is_some() { &['['] } else { &['.', '['] };
        self.0.retain(|known, _| {
            let below = known.strip_prefix(path);
            !below.is_some_and(|rest| rest.starts_with(replaced))
        });
        match value.as_dict() {
            None => {
                self.0.insert(path.to_owned(), origin.clone());
            }
            Some(table) => {
                self.0.entry(path.to_owned()).or_insert(origin.clone());
                for (key, value) in table {
                    self.put(&format!("{path}.{key}"), value, origin);
                }
            }
        }
        for (end, _) in path.match_indices('.') {
            self.0.entry(path[..end].to_owned()).or_insert(origin.clone());
        }
    }

    /// Where a key, or the nearest one around it, was written.
    pub(super) fn of(&self, path: &str) -> String {
        match self.nearest(path) {
            Some(Origin::File(place, _) | Origin::Environment(place) | Origin::Flag(place)) => {
                place.clone()
            }
            None => String::new(),
        }
    }

    /// By what problems are ordered: the file from its first line to its last, then the rest.
    pub(super) fn order(&self, path: &str) -> (u8, usize) {
        match self.nearest(path) {
            Some(Origin::File(_, offset)) => (0, *offset),
            Some(Origin::Environment(_)) => (1, 0),
            Some(Origin::Flag(_)) => (2, 0),
            None => (3, 0),
        }
    }

    pub(super) fn is_file(&self, path: &str) -> bool {
        matches!(self.nearest(path), Some(Origin::File(..)))
    }

    pub(super) fn is_environment(&self, path: &str) -> bool {
        matches!(self.nearest(path), Some(Origin::Environment(_)))
    }

    fn nearest(&self, path: &str) -> Option<&Origin> {
        let mut path = path;
        loop {
            if let Some(origin) = self.0.get(path) {
                return Some(origin);
            }
            path = &path[..path.rfind(['.', '['])?];
        }
    }
}

struct Walk<'w> {
    name: &'w str,
    text: &'w str,
    origins: &'w mut Origins,
}

impl Walk<'_> {
    fn table(&mut self, path: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            let name: &str = key.get_ref();
            let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
            self.note(&path, key.span().start);
            self.value(&path, value.get_ref());
        }
    }

    fn value(&mut self, path: &str, value: &DeValue<'_>) {
        match value {
            DeValue::Table(table) => self.table(path, table),
            DeValue::Array(values) => {
                for (position, value) in values.iter().enumerate() {
                    let path = format!("{path}[{position}]");
                    self.note(&path, value.span().start);
                    self.value(&path, value.get_ref());
                }
            }
            _ => {}
        }
    }

    fn note(&mut self, path: &str, offset: usize) {
        let place = place(self.name, self.text, offset);
        self.origins.0.insert(path.to_owned(), Origin::File(place, offset));
    }
}

/// `name:line:column`, both from 1.
pub(super) fn place(name: &str, text: &str, offset: usize) -> String {
    let before = &text.as_bytes()[..offset.min(text.len())];
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let begun = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    format!("{name}:{line}:{}", before.len() - begun + 1)
}
