//! The JSON Schema of the configuration file, held to what the reader knows: the same keys in the
//! same places, the same defaults, and the files that are right and wrong.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use countersign::config::Config;
use countersign::config::load::{Inputs, load};
use serde_json::{Map, Value};

const FILE: &str = "config/countersign.schema.json";
const ROUTE: &str = "[[routes]]\ntarget = \"https://abc.lambda-url.us-east-1.on.aws\"\n";
/// A key that is near to none.
const UNKNOWN: &str = "zzzzzzzzzzzzzzzz";

/// Every table of the file: where the schema describes it, and a text with `KEY` in it.
const TABLES: [(&str, &str); 22] = [
    ("", "KEY = 1"),
    ("/properties/upstream", "[upstream]\nKEY = 1"),
    ("/definitions/credentials", "[credentials]\nKEY = 1"),
    (
        "/definitions/credentials/properties/assume_role",
        "[credentials.assume_role]\narn = \"arn:aws:iam::111122223333:role/r\"\nKEY = 1",
    ),
    ("/properties/limits", "[limits]\nKEY = 1"),
    ("/properties/timeouts", "[timeouts]\nKEY = 1"),
    ("/properties/shutdown", "[shutdown]\nKEY = 1"),
    ("/definitions/listen/anyOf/1", "listen = [{ address = \"127.0.0.1:0\", KEY = 1 }]"),
    ("/definitions/access_log", "[access_log]\nKEY = 1"),
    (
        "/definitions/target",
        "[targets.t]\nurl = \"https://a.lambda-url.us-east-1.on.aws\"\nKEY = 1",
    ),
    ("/definitions/route", "[defaults]\nKEY = 1"),
    (
        "/definitions/route",
        "[[routes]]\nprefix = \"/a\"\ntarget = \"https://a.execute-api.us-east-1.amazonaws.com\"\nKEY = 1",
    ),
    ("/definitions/header_changes", "[defaults]\nrequest_headers = { KEY = 1 }"),
    ("/definitions/header_changes", "[defaults]\nresponse_headers = { KEY = 1 }"),
    (
        "/definitions/share",
        "[[routes]]\nprefix = \"/a\"\nsplit = [{ target = \"http://localhost:1\", weight = 1, KEY = 1 }]",
    ),
    ("/definitions/reject", "[[routes]]\nprefix = \"/a\"\nreject = { KEY = 1 }"),
    ("/definitions/retries", "[defaults]\nretries = { KEY = 1 }"),
    ("/definitions/throttle", "[defaults]\nthrottle = { rate = \"1/s\", KEY = 1 }"),
    ("/definitions/route/properties/validate", "[defaults]\nvalidate = { KEY = 1 }"),
    ("/definitions/api_key", "[api_keys.k]\nKEY = 1"),
    ("/definitions/cors", "[defaults]\ncors = { origins = [\"*\"], KEY = 1 }"),
    ("/definitions/mirror", "[defaults]\nmirror = { KEY = 1 }"),
];

fn schema() -> Value {
    serde_json::from_str(&fs::read_to_string(FILE).unwrap()).unwrap()
}

fn at<'v>(schema: &'v Value, pointer: &str) -> &'v Value {
    schema.pointer(pointer).unwrap_or_else(|| panic!("the schema has no `{pointer}`"))
}

/// What a text means to the program, or its problems.
fn read(text: &str) -> Result<Config, String> {
    let environment = vec![("COUNTERSIGN_CONFIG_TOML".to_owned(), text.to_owned())];
    load(&Inputs { environment, ..Inputs::default() }).map_err(|problems| problems.to_string())
}

/// The keys that the reader knows in a table; none where it does not know the table.
fn known(text: &str) -> Option<BTreeSet<String>> {
    // Keys of the root stand before the first table, tables after the routes do no harm.
    let text = text.replace("KEY", UNKNOWN);
    let whole =
        if text.starts_with('[') { format!("{ROUTE}{text}") } else { format!("{text}\n{ROUTE}") };
    let told = read(&whole).expect_err("an unknown key is refused");
    let about = format!("{UNKNOWN}`: unknown key\n  hint: known are ");
    let list = told.split(&about).nth(1)?.lines().next()?;
    Some(list.split(", ").map(|key| key.trim_matches('`').to_owned()).collect())
}

#[test]
fn has_the_keys_that_the_reader_knows_and_no_others() {
    let schema = schema();
    for (pointer, text) in TABLES {
        let Some(known) = known(text) else {
            panic!("the reader does not know the table of:\n{text}");
        };
        let table = at(&schema, pointer)["properties"].as_object().unwrap();
        for key in &known {
            assert!(table.contains_key(key), "`{key}` is missing from `{pointer}` in {FILE}");
        }
        for key in table.keys() {
            let fine = known.contains(key);
            assert!(fine, "the reader knows no `{key}`, which `{pointer}` in {FILE} has");
        }
    }
}

#[test]
fn every_table_is_closed_and_compared_and_every_key_explained() {
    let schema = schema();
    let mut found = Vec::new();
    tables(&schema, String::new(), &mut found);
    for pointer in &found {
        assert!(TABLES.iter().any(|(known, _)| known == pointer), "`{pointer}` is not compared");
        let table = at(&schema, pointer);
        assert_eq!(table["additionalProperties"], Value::Bool(false), "`{pointer}` takes any key");
        for (key, value) in table["properties"].as_object().unwrap() {
            assert!(value["description"].is_string(), "`{pointer}`: `{key}` is not explained");
        }
    }
    assert!(found.len() >= 14, "{found:?}");
}

fn tables(value: &Value, pointer: String, found: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            if object.get("properties").is_some_and(|table| !table["type"].is_string()) {
                found.push(pointer.clone());
            }
            for (key, value) in object {
                tables(value, format!("{pointer}/{key}"), found);
            }
        }
        Value::Array(values) => {
            for (index, value) in values.iter().enumerate() {
                tables(value, format!("{pointer}/{index}"), found);
            }
        }
        _ => {}
    }
}

#[test]
fn its_defaults_are_those_of_the_program() {
    let schema = schema();
    let mut text = String::new();
    let root = defaults(&schema, "", "");
    let mut tables = String::new();
    for (pointer, prefix) in [
        ("/properties/upstream", "upstream."),
        ("/properties/limits", "limits."),
        ("/properties/timeouts", "timeouts."),
        ("/definitions/route", "defaults."),
    ] {
        let table = defaults(&schema, pointer, prefix);
        assert!(!table.is_empty(), "`{pointer}` has no defaults");
        tables.push_str(&table);
    }
    text.push_str(&root);
    text.push_str(&tables);
    let said = read(&format!("{text}{ROUTE}")).unwrap_or_else(|told| panic!("{told}\n{text}"));
    let meant = read(ROUTE).unwrap();
    assert_eq!(said.limits, meant.limits);
    assert_eq!(said.timeouts, meant.timeouts);
    assert_eq!(said.access_log, meant.access_log);
    assert_eq!(said.admin, meant.admin);
    assert_eq!(said.listen.len(), meant.listen.len());
    assert_eq!(
        (said.upstream.idle, said.upstream.roots),
        (meant.upstream.idle, meant.upstream.roots)
    );
    assert_eq!(
        (said.workers, said.log, said.error_style),
        (meant.workers, meant.log, meant.error_style)
    );
    let (said, meant) = (&said.routes.routes()[0], &meant.routes.routes()[0]);
    assert_eq!((said.payload, &said.authorization), (meant.payload, &meant.authorization));
}

/// The defaults of a table, as lines of a file: JSON's scalars and lists are TOML's too.
fn defaults(schema: &Value, pointer: &str, prefix: &str) -> String {
    let table = at(schema, pointer)["properties"].as_object().unwrap();
    let line = |(key, value): (&String, &Value)| {
        value.get("default").map(|default| format!("{prefix}{key} = {default}\n"))
    };
    table.iter().filter_map(line).collect()
}

#[test]
fn takes_every_file_that_is_right() {
    let schema = schema();
    let mut count = 0;
    for folder in ["config", "tests/fixtures/config/valid"] {
        for file in files(folder) {
            let value = toml::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
            let fit = Judge(&schema).fits(&schema, &value, "");
            assert_eq!(fit, Ok(()), "{}", file.display());
            count += 1;
        }
    }
    assert!(count >= 8, "only {count} files");
}

#[test]
fn refuses_files_with_unknown_keys_and_wrong_types() {
    let schema = schema();
    let mut count = 0;
    for file in files("tests/fixtures/config/invalid") {
        let name = file.file_name().unwrap().to_str().unwrap();
        let judged = [
            "unknown-key-",
            "wrong-types",
            "split-entries",
            "words.toml",
            "zeroes",
            "bare-numbers",
        ];
        if judged.iter().any(|mark| name.starts_with(mark)) {
            let value = toml::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
            assert!(Judge(&schema).fits(&schema, &value, "").is_err(), "{name} fits the schema");
            count += 1;
        }
    }
    assert!(count >= 10, "only {count} files");
}

#[test]
fn samples_name_the_schema_for_editors() {
    for file in files("config") {
        let text = fs::read_to_string(&file).unwrap();
        let first = text.lines().next().unwrap();
        assert_eq!(first, "#:schema ./countersign.schema.json", "{}", file.display());
    }
}

fn files(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|extension| extension == "toml")).collect()
}

/// What of JSON Schema is needed here: all but patterns, which an editor's plugin judges in
/// `.ci/run`.
struct Judge<'s>(&'s Value);

impl Judge<'_> {
    fn fits(&self, schema: &Value, value: &Value, place: &str) -> Result<(), String> {
        if let Some(name) = schema["$ref"].as_str() {
            self.fits(at(self.0, name.trim_start_matches('#')), value, place)?;
        }
        for part in schema["allOf"].as_array().into_iter().flatten() {
            self.fits(part, value, place)?;
        }
        if let Some(parts) = schema["anyOf"].as_array()
            && parts.iter().all(|part| self.fits(part, value, place).is_err())
        {
            return Err(format!("{place}: {value} is none of what may stand here"));
        }
        let is_one = |words: &Value| words.as_array().is_none_or(|words| words.contains(value));
        let is_const = schema.get("const").is_none_or(|only| only == value);
        let is_in = |bound: &str, less: bool| match (schema[bound].as_f64(), value.as_f64()) {
            (Some(bound), Some(number)) => number == bound || (number < bound) == less,
            _ => true,
        };
        if !is_type(&schema["type"], value)
            || !is_one(&schema["enum"])
            || !is_const
            || !is_in("minimum", false)
            || !is_in("maximum", true)
        {
            return Err(format!("{place}: {value} does not fit"));
        }
        match value {
            Value::Object(table) => self.table(schema, table, place),
            Value::Array(values) => {
                let enough = schema["minItems"].as_u64().unwrap_or(0) <= values.len() as u64;
                let mut each = values.iter().map(|value| self.fits(&schema["items"], value, place));
                enough.then_some(()).ok_or_else(|| format!("{place}: too few"))?;
                each.find(Result::is_err).unwrap_or(Ok(()))
            }
            _ => Ok(()),
        }
    }

    fn table(&self, schema: &Value, table: &Map<String, Value>, place: &str) -> Result<(), String> {
        for key in schema["required"].as_array().into_iter().flatten() {
            table.get(key.as_str().unwrap()).ok_or_else(|| format!("{place}: {key} is missing"))?;
        }
        for (key, value) in table {
            let place = format!("{place}.{key}");
            match (schema["properties"].get(key), &schema["additionalProperties"]) {
                (Some(schema), _) | (None, schema @ Value::Object(_)) => {
                    self.fits(schema, value, &place)?;
                }
                (None, Value::Bool(false)) => return Err(format!("{place}: unknown key")),
                (None, _) => {}
            }
        }
        Ok(())
    }
}

fn is_type(name: &Value, value: &Value) -> bool {
    match name.as_str() {
        None => true,
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some(other) => panic!("the judge knows no type `{other}`"),
    }
}
