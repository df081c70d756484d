//! Where two JSON texts differ, by value: the order of an object's keys, blanks, escapes and the
//! way a number is written say nothing.
//!
//! The texts are strangers'. Neither is ever turned into a tree, which would take many times its
//! size; only what differs is looked into, level by level, and no deeper than [`DEEPEST`].

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::config::Comparison;

/// Levels that are looked into, each of which costs a look at all below it; people nest a dozen.
const DEEPEST: usize = 64;
/// Differences that are told of one answer: after these, its reader knows enough.
const MOST: usize = 10;

/// One value that differs. What the values are, nobody is told: they may be anybody's secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Difference {
    /// A JSON pointer (RFC 6901).
    pub(super) pointer: String,
    pub(super) kind: Kind,
}

/// How the mirror's text differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It is without the value.
    Missing,
    /// It has one more.
    Added,
    /// It has another.
    Changed,
}

/// The first differences of two texts; none where one of them is no JSON.
pub(super) fn differences(
    text: &[u8],
    mirrored: &[u8],
    comparison: &Comparison,
) -> Option<Vec<Difference>> {
    let (one, other) = (whole(text)?, whole(mirrored)?);
    let mut walk = Walk { comparison, pointer: String::new(), found: Vec::new() };
    walk.compare(one, other, 0);
    Some(walk.found)
}

fn whole(text: &[u8]) -> Option<&RawValue> {
    serde_json::from_slice(text).ok()
}

/// What is compared now, and what was found so far.
struct Walk<'c> {
    comparison: &'c Comparison,
    pointer: String,
    found: Vec<Difference>,
}

impl Walk<'_> {
    fn compare(&mut self, one: &RawValue, other: &RawValue, depth: usize) {
        let (a, b) = (one.get(), other.get());
        if a == b || self.is_over() {
            return;
        }
        let both = |first: char| a.starts_with(first) && b.starts_with(first);
        let same = match () {
            () if depth < DEEPEST && both('{') => match (object(a), object(b)) {
                (Some(a), Some(b)) => return self.objects(&a, &b, depth),
                _ => false,
            },
            () if depth < DEEPEST && both('[') => match (array(a), array(b)) {
                (Some(a), Some(b)) => return self.arrays(&a, &b, depth),
                _ => false,
            },
            () if both('"') => string(a).is_some_and(|a| Some(a) == string(b)),
            () => decimal(a).is_some_and(|a| Some(a) == decimal(b)),
        };
        if !same {
            self.find(Kind::Changed);
        }
    }

    fn objects(&mut self, one: &Object<'_>, other: &Object<'_>, depth: usize) {
        for (key, value) in one {
            self.below(&escaped(key), |walk| match other.get(key) {
                Some(mirrored) => walk.compare(value, mirrored, depth + 1),
                None => walk.find(Kind::Missing),
            });
        }
        for key in other.keys().filter(|key| !one.contains_key(*key)) {
            self.below(&escaped(key), |walk| walk.find(Kind::Added));
        }
    }

    fn arrays(&mut self, one: &[&RawValue], other: &[&RawValue], depth: usize) {
        for index in 0..one.len().max(other.len()) {
            if self.is_full() {
                return;
            }
            self.below(&index.to_string(), |walk| match (one.get(index), other.get(index)) {
                (Some(value), Some(mirrored)) => walk.compare(value, mirrored, depth + 1),
                (Some(_), None) => walk.find(Kind::Missing),
                (None, _) => walk.find(Kind::Added),
            });
        }
    }

    /// Looks at a value of an object or a list.
    fn below(&mut self, token: &str, look: impl FnOnce(&mut Self)) {
        let above = self.pointer.len();
        self.pointer.push('/');
        self.pointer.push_str(token);
        look(self);
        self.pointer.truncate(above);
    }

    fn find(&mut self, kind: Kind) {
        if !self.is_over() {
            self.found.push(Difference { pointer: self.pointer.clone(), kind });
        }
    }

    /// Whether nothing here or below it is to be found.
    fn is_over(&self) -> bool {
        self.is_full() || self.comparison.ignores(&self.pointer)
    }

    fn is_full(&self) -> bool {
        self.found.len() >= MOST
    }
}

/// Of two values with one key the last counts, as most parsers have it.
type Object<'t> = BTreeMap<String, &'t RawValue>;

fn object(text: &str) -> Option<Object<'_>> {
    serde_json::from_str(text).ok()
}

fn array(text: &str) -> Option<Vec<&RawValue>> {
    serde_json::from_str(text).ok()
}

fn string(text: &str) -> Option<String> {
    serde_json::from_str(text).ok()
}

/// A key as it stands in a pointer.
fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// A number's sign, its digits without zeros around them, and the power of ten that they are
/// counted in: exact, however long it is. None where it is no number.
fn decimal(text: &str) -> Option<(bool, String, i64)> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, power) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    if !all.bytes().all(|byte| byte.is_ascii_digit()) || all.is_empty() {
        return None;
    }
    let digits = all.trim_end_matches('0');
    let zeros = i64::try_from(all.len() - digits.len()).ok()?;
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return Some((false, String::new(), 0)); // -0 is 0
    }
    let behind = i64::try_from(fraction.len()).ok()?;
    let power = power.parse::<i64>().ok()?.checked_sub(behind)?.checked_add(zeros)?;
    Some((negative, digits.to_owned(), power))
}

#[cfg(test)]
mod tests;
