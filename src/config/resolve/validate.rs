//! `validate`: names that must be there, and schemas, which are compiled here: a wrong one is a
//! problem of the configuration, and no request is let through unchecked for it.

use std::sync::Arc;

use http::header::HeaderName;
use serde_json::Value;

use crate::config::json_schema::Schema;
use crate::config::reader::Entry;
use crate::config::resolve::Surroundings;
use crate::config::validate::{BodySchema, MediaType, Validate};
use crate::config::values::Wrong;
use crate::config::{Payload, Route, SourceFile};

/// The files that schemas were read from.
pub(super) fn files(routes: &[Arc<Route>]) -> impl Iterator<Item = &SourceFile> {
    let validates = routes.iter().filter_map(|route| route.validate.as_ref());
    validates.flat_map(|validate| validate.bodies.iter().filter_map(|body| body.file.as_ref()))
}

/// None where it has a problem, or says nothing.
pub(super) fn validate(
    entry: &Entry<'_>,
    around: &Surroundings,
    payload: Payload,
) -> Option<Validate> {
    if !entry.is_table() {
        let shape = "write `{ headers = [\"x-tenant\"], query = [\"id\"] }`";
        entry.problem(Wrong::new("what is validated is a table", shape));
        return None;
    }
    let table = entry.table()?;
    let names = |key: &'static str, expected| {
        table.take(key).and_then(|entry| entry.strings(expected)).unwrap_or_default()
    };
    let mut validate = Validate::default();
    for (entry, text) in names("headers", "a header's name") {
        match HeaderName::try_from(text.as_str()) {
            Ok(name) => validate.headers.push(name),
            Err(_) => entry.problem(Wrong::new(
                format!("`{text}` is no header's name"),
                "write a word such as `x-tenant`",
            )),
        }
    }
    for (entry, text) in names("query", "a parameter's name") {
        if text.is_empty() {
            entry.problem(Wrong::new("a parameter has a name", "write a word such as `id`"));
        }
        validate.query.push(text);
    }
    if let Some(entry) = table.take("body") {
        validate.bodies = bodies(&entry, around, payload);
    }
    table.finish();
    Some(validate)
}

fn bodies(entry: &Entry<'_>, around: &Surroundings, payload: Payload) -> Vec<BodySchema> {
    if !entry.is_table() {
        let shape = "write `{ \"application/json\" = \"order.json\" }`";
        entry.problem(Wrong::new("schemas stand in a table, by content type", shape));
        return Vec::new();
    }
    if let Err(wrong) = Schema::can_be() {
        entry.problem(wrong);
        return Vec::new();
    }
    if payload != Payload::Signed {
        entry.problem(Wrong::new(
            "a body that is streamed cannot be checked",
            "leave `payload` out, so that the body is held, or `body`",
        ));
    }
    let Some(table) = entry.table() else { return Vec::new() };
    let read = |(name, entry): (String, Entry<'_>)| {
        let kind = media_type(&name).map_err(|wrong| entry.problem(wrong)).ok();
        let (schema, file) = schema(&entry, around)?;
        Some(BodySchema { kind: kind?, schema: Arc::new(schema), file })
    };
    table.named().into_iter().filter_map(read).collect()
}

fn media_type(text: &str) -> Result<MediaType, Wrong> {
    if text == "$default" {
        return Ok(MediaType::Any);
    }
    let odd = |c: char| !c.is_ascii_graphic() || matches!(c, ';' | ',' | '*' | '"');
    match text.split_once('/') {
        Some((kind, rest)) if !kind.is_empty() && !rest.is_empty() && !text.contains(odd) => {
            Ok(MediaType::Exact(text.to_ascii_lowercase()))
        }
        _ => Err(Wrong::new(
            format!("`{text}` is no content type"),
            "write `\"application/json\"`, without parameters, or `\"$default\"` for all others",
        )),
    }
}

/// A file of JSON, or a table in its place.
fn schema(entry: &Entry<'_>, around: &Surroundings) -> Option<(Schema, Option<SourceFile>)> {
    if entry.is_table() {
        let written = entry.json()?;
        let schema = Schema::compile(&written).map_err(|wrong| entry.problem(wrong)).ok()?;
        return Some((schema, None));
    }
    entry.parsed("a file that holds a JSON Schema, or the schema as a table", |name| {
        let path = around.folder.join(name);
        let bytes = std::fs::read(&path).map_err(|error| {
            Wrong::new(
                format!("`{}` cannot be read: {error}", path.display()),
                "name a file that this user may read; a path is relative to the configuration file",
            )
        })?;
        let written: Value = serde_json::from_slice(&bytes).map_err(|error| {
            Wrong::new(
                format!("`{}` is no JSON: {error}", path.display()),
                "write a JSON Schema into it",
            )
        })?;
        let in_file = |wrong: Wrong| Wrong {
            message: format!("`{}`: {}", path.display(), wrong.message),
            ..wrong
        };
        let schema = Schema::compile(&written).map_err(in_file)?;
        Ok((schema, Some(SourceFile::new(path, &bytes))))
    })
}
