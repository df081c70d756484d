//! What has to hold for any input at all (`fuzz/properties`): first for the corpus, then for what
//! comes of changing it here and there. The fuzz targets look further, on a nightly compiler.

#![allow(clippy::unwrap_used)]

#[path = "../fuzz/properties/mod.rs"]
mod properties;

use std::fs;
use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, TestRunner};

/// How many changed inputs are tried; the slowest property takes some milliseconds each.
const CASES: u32 = 400;

#[test]
fn whatever_is_signed_is_verified() {
    hold("signature", properties::signature::holds);
}

#[test]
fn any_text_is_a_configuration_or_has_problems_that_can_be_mended() {
    hold("config", properties::config::holds);
}

#[test]
fn whatever_a_client_sends_the_target_sees_whole_signed_requests() {
    hold("head", properties::head::holds);
}

fn hold(target: &str, holds: impl Fn(&[u8])) {
    let corpus = corpus(target);
    corpus.iter().for_each(|input| holds(input));
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let tried = TestRunner::new(config).run(&changed(corpus, dictionary(target)), |input| {
        holds(&input);
        Ok(())
    });
    if let Err(failed) = tried {
        panic!("{failed}");
    }
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new("fuzz/corpus").join(target);
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 10, "the corpus of {target} is gone");
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

/// The words of a target, in libFuzzer's own form: a quoted word a line, `\xNN` for a byte.
fn dictionary(target: &str) -> Vec<Vec<u8>> {
    let text = fs::read_to_string(format!("fuzz/dictionaries/{target}.dict")).unwrap();
    let quoted = |line: &str| Some(line.strip_prefix('"')?.strip_suffix('"')?.to_owned());
    text.lines().filter_map(quoted).map(|word| unescaped(&word)).collect()
}

fn unescaped(word: &str) -> Vec<u8> {
    let mut parts = word.split('\\');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        match part.strip_prefix('x') {
            Some(hex) => {
                let (digits, rest) = hex.split_at(2);
                bytes.push(u8::from_str_radix(digits, 16).unwrap());
                bytes.extend(rest.as_bytes());
            }
            None => bytes.extend(part.as_bytes()), // `\"`; the target's words have no `\\`
        }
    }
    bytes
}

/// One change of an input, at a place that is found once its length is known.
#[derive(Clone, Debug)]
enum Change {
    Put(Index, u8),
    Insert(Index, Vec<u8>),
    Take(Index, Index),
    Cut(Index),
}

fn changed(corpus: Vec<Vec<u8>>, words: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let piece = (select(corpus.clone()), any::<Index>(), any::<Index>())
        .prop_map(|(input, from, to)| between(&input, from, to).to_vec());
    let change = prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Change::Put(at, byte)),
        (any::<Index>(), select(words)).prop_map(|(at, word)| Change::Insert(at, word)),
        (any::<Index>(), piece).prop_map(|(at, piece)| Change::Insert(at, piece)),
        (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Change::Take(from, to)),
        any::<Index>().prop_map(Change::Cut),
    ];
    (select(corpus), vec(change, 1..5))
        .prop_map(|(input, changes)| changes.into_iter().fold(input, apply))
}

fn between(input: &[u8], one: Index, other: Index) -> &[u8] {
    let (one, other) = (one.index(input.len() + 1), other.index(input.len() + 1));
    &input[one.min(other)..one.max(other)]
}

fn apply(mut input: Vec<u8>, change: Change) -> Vec<u8> {
    let length = input.len() + 1;
    match change {
        Change::Put(at, byte) if !input.is_empty() => {
            let at = at.index(input.len());
            input[at] = byte;
        }
        Change::Put(_, byte) => input.push(byte),
        Change::Insert(at, bytes) => {
            let at = at.index(length);
            input.splice(at..at, bytes);
        }
        Change::Take(from, to) => {
            let (from, to) = (from.index(length), to.index(length));
            input.drain(from.min(to)..from.max(to).min(from.min(to) + 16));
        }
        Change::Cut(at) => input.truncate(at.index(length)),
    }
    input
}
