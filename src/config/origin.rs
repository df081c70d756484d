//! Where each value was written: a line of the file, a variable, a flag.

use std::collections::BTreeMap;

use toml::de::{DeTable, DeValue};

/// Where each key was written, by its path (`routes[1].target`).
#[derive(Debug, Default)]
pub(super) struct Origins(BTreeMap<String, Origin>);

/// One place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// `countersign.toml:7:3`
    File(String),
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

    /// A key that was written elsewhere: what the file said of it, and below it, does not count.
    pub(super) fn put(&mut self, path: &str, origin: Origin) {
        self.0.retain(|known, _| {
            let below = known.strip_prefix(path);
            !below.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        });
        self.0.insert(path.to_owned(), origin);
    }

    /// Where a key, or the nearest one around it, was written.
    pub(super) fn of(&self, path: &str) -> String {
        match self.nearest(path) {
            Some(Origin::File(place) | Origin::Environment(place) | Origin::Flag(place)) => {
                place.clone()
            }
            None => String::new(),
        }
    }

    pub(super) fn is_file(&self, path: &str) -> bool {
        matches!(self.nearest(path), Some(Origin::File(_)))
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
        self.origins.0.insert(path.to_owned(), Origin::File(place));
    }
}

/// `name:line:column`, both from 1.
pub(super) fn place(name: &str, text: &str, offset: usize) -> String {
    let before = &text.as_bytes()[..offset.min(text.len())];
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let begun = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    format!("{name}:{line}:{}", before.len() - begun + 1)
}
