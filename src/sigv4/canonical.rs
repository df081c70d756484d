//! The canonical request, written straight from the bytes of the wire into one buffer.

use std::ops::Range;

use http::{HeaderMap, HeaderValue};

use super::escape::{encode_path, recode_query};
use super::wire::normalise_path;

/// Whether a signature covers this header, besides `host`: what no hop rewrites.
pub(super) fn is_signed(name: &str) -> bool {
    name.starts_with("x-amz-") || name == "content-type"
}

/// The header lines that a signature covers: lower-case name and value, sorted by name, values of
/// one name in the order of the wire.
#[derive(Debug)]
pub(super) struct SignedHeaders<'a>(Vec<(&'a str, &'a HeaderValue)>);

impl<'a> SignedHeaders<'a> {
    /// `host`, `content-type` and every `x-amz-*`. A `host` among `headers` is not the one that is
    /// sent.
    pub(super) fn select(host: &'a HeaderValue, headers: &'a HeaderMap) -> Self {
        let mut lines = Vec::with_capacity(8);
        lines.push(("host", host));
        for (name, value) in headers {
            let name = name.as_str();
            if is_signed(name) {
                lines.push((name, value));
            }
        }
        Self::of(lines)
    }

    /// These lines and no others.
    pub(super) fn of(mut lines: Vec<(&'a str, &'a HeaderValue)>) -> Self {
        lines.sort_by_key(|(name, _)| *name); // stable: duplicates keep their order
        Self(lines)
    }

    /// Room for the lines twice named and once valued.
    fn size(&self) -> usize {
        self.0.iter().map(|(name, value)| 2 * name.len() + value.len() + 3).sum()
    }

    fn write_lines(&self, out: &mut Vec<u8>) {
        for same_name in self.0.chunk_by(|(one, _), (next, _)| one == next) {
            out.extend_from_slice(same_name[0].0.as_bytes());
            for (at, (_, value)) in same_name.iter().enumerate() {
                out.push(if at == 0 { b':' } else { b',' });
                write_value(out, value.as_bytes());
            }
            out.push(b'\n');
        }
    }

    fn write_names(&self, out: &mut Vec<u8>) {
        for (at, same_name) in self.0.chunk_by(|(one, _), (next, _)| one == next).enumerate() {
            if at > 0 {
                out.push(b';');
            }
            out.extend_from_slice(same_name[0].0.as_bytes());
        }
    }
}

/// What the canonical request is made of.
#[derive(Debug)]
pub(super) struct CanonicalParts<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) query: &'a str,
    pub(super) headers: &'a SignedHeaders<'a>,
    pub(super) payload: &'a [u8],
}

impl CanonicalParts<'_> {
    /// How much room the canonical request takes where nothing needs an escape.
    pub(super) fn size(&self) -> usize {
        let line = self.method.len() + self.path.len() + self.query.len() + self.payload.len();
        line + self.headers.size() + 8
    }

    /// Appends the canonical request and tells where in `out` its signed header names stand.
    pub(super) fn write(&self, out: &mut Vec<u8>) -> Range<usize> {
        out.extend_from_slice(self.method.as_bytes());
        out.push(b'\n');
        encode_path(out, normalise_path(self.path).as_bytes());
        out.push(b'\n');
        write_query(out, self.query);
        out.push(b'\n');
        self.headers.write_lines(out);
        out.push(b'\n');
        let names = out.len();
        self.headers.write_names(out);
        let names = names..out.len();
        out.push(b'\n');
        out.extend_from_slice(self.payload);
        names
    }
}

/// Trims a value and makes one space of several. A tab inside stays: only spaces are named.
fn write_value(out: &mut Vec<u8>, value: &[u8]) {
    let mut value = value.trim_ascii();
    // most values, and every token, have no space at all, which is quickly seen
    while memchr::memchr(b' ', value).is_some()
        && let Some(at) = value.windows(2).position(|pair| pair == b"  ")
    {
        out.extend_from_slice(&value[..=at]);
        let spaces = value[at..].iter().take_while(|&&byte| byte == b' ').count();
        value = &value[at + spaces..];
    }
    out.extend_from_slice(value);
}

/// Where one encoded pair stands in the buffer.
#[derive(Clone, Copy)]
struct Pair {
    start: usize,
    equals: usize,
    end: usize,
}

impl Pair {
    /// What pairs are sorted by; the text as a whole will not do, as `=` sorts after `-` and `0`.
    fn name_and_value(self, text: &[u8]) -> (&[u8], &[u8]) {
        (&text[self.start..self.equals], &text[self.equals + 1..self.end])
    }
}

/// Writes the pairs in the wire's order and sorts them only where they are not sorted yet.
fn write_query(out: &mut Vec<u8>, query: &str) {
    let start = out.len();
    let mut pairs = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        if out.len() > start {
            out.push(b'&');
        }
        let written = write_pair(out, pair.as_bytes());
        if pair.len() < query.len() {
            pairs.push(written);
        }
    }
    if !pairs.is_sorted_by_key(|pair| pair.name_and_value(out)) {
        sort_pairs(out, start, &mut pairs);
    }
}

fn write_pair(out: &mut Vec<u8>, pair: &[u8]) -> Pair {
    let (name, value) = match pair.iter().position(|&byte| byte == b'=') {
        Some(at) => (&pair[..at], &pair[at + 1..]),
        None => (pair, &[][..]),
    };
    let start = out.len();
    recode_query(out, name);
    let equals = out.len();
    out.push(b'=');
    recode_query(out, value);
    Pair { start, equals, end: out.len() }
}

fn sort_pairs(out: &mut Vec<u8>, start: usize, pairs: &mut [Pair]) {
    pairs.sort_unstable_by(|one, other| one.name_and_value(out).cmp(&other.name_and_value(out)));
    let mut sorted = Vec::with_capacity(out.len() - start);
    for pair in pairs {
        if !sorted.is_empty() {
            sorted.push(b'&');
        }
        sorted.extend_from_slice(&out[pair.start..pair.end]);
    }
    out.truncate(start);
    out.extend_from_slice(&sorted);
}

#[cfg(test)]
mod tests;
