//! `countersign schema`: the JSON Schema of the file, for editors. A test holds it to the reader.

use crate::cli::{Exit, print};

/// Draft 7: what editors' TOML plugins know best.
const SCHEMA: &str = include_str!("../../config/countersign.schema.json");

pub(super) fn run() -> Exit {
    print(SCHEMA);
    Exit::Success
}
