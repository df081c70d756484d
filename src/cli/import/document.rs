//! A file as a tree of values: JSON, or YAML with CloudFormation's short tags (`!Ref`, `!Sub`,
//! `!GetAtt`), which become the long forms that JSON has. A file may come from anywhere: aliases
//! that multiply and nesting without end are refused.

use std::collections::HashMap;
use std::fmt;

use granit_parser::{Event, Options, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// All values of a document, aliases unfolded: an API has some thousands.
const MOST_VALUES: usize = 1 << 20;
/// Text counts as a value for each so many bytes of it.
const WORD: usize = 64;
/// One within another.
const DEEPEST: usize = 128;

/// A file that is no document.
#[derive(Debug, thiserror::Error)]
pub(super) enum Malformed {
    #[error("line {}, column {}: it is no JSON", .0.line(), .0.column())]
    Json(#[source] serde_json::Error),
    #[error("line {line}, column {column}: it is no YAML")]
    Yaml {
        line: usize,
        column: usize,
        #[source]
        cause: ScanError,
    },
    #[error("line {line}: {what}")]
    Refused { line: usize, what: &'static str },
    #[error("it is empty")]
    Empty,
}

/// The one document of a text.
pub(super) fn parse(text: &str) -> Result<Value, Malformed> {
    let text = text.trim_start_matches('\u{feff}');
    if text.trim_start().starts_with(['{', '[']) {
        return serde_json::from_str(text).map(|Json(value)| value).map_err(Malformed::Json);
    }
    let mut tree = Tree {
        events: Parser::new_from_str_with_options(text, options()),
        seen: 0,
        known: HashMap::new(),
    };
    loop {
        match tree.next()? {
            (Event::StreamEnd, _) => return Err(Malformed::Empty),
            (Event::StreamStart | Event::DocumentStart(..), _) => {}
            (first, span) => return tree.only(first, span),
        }
    }
}

/// JSON in which no key is there twice: the first one's operations would be lost without a word.
struct Json(Value);

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Once).map(Self)
    }
}

struct Once;

impl<'de> Visitor<'de> for Once {
    type Value = Value;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("a value of JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::from(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Json(value)) = from.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut table = Map::new();
        while let Some((key, Json(value))) = from.next_entry::<String, Json>()? {
            if table.insert(key, value).is_some() {
                return Err(A::Error::custom("this key is there twice"));
            }
        }
        Ok(Value::Object(table))
    }
}

fn options() -> Options {
    let mut options = Options::default();
    options.emit_comments = false;
    options
}

struct Tree<'t> {
    events: Parser<'t, StrInput<'t>>,
    /// Values so far.
    seen: usize,
    /// What aliases stand for, and how many values that is.
    known: HashMap<usize, (Value, usize)>,
}

impl<'t> Tree<'t> {
    fn next(&mut self) -> Result<(Event<'t>, Span), Malformed> {
        match self.events.next() {
            Some(Ok(next)) => Ok(next),
            Some(Err(cause)) => {
                let at = cause.marker();
                Err(Malformed::Yaml { line: at.line(), column: at.col() + 1, cause })
            }
            None => Err(Malformed::Empty),
        }
    }

    /// The value of the one document: what stood in another would be lost without a word.
    fn only(&mut self, first: Event<'t>, span: Span) -> Result<Value, Malformed> {
        let value = self.value(first, span, 0)?;
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => return Ok(value),
                (Event::DocumentEnd, _) => {}
                (_, span) => {
                    let (line, what) = (span.start.line(), "a second document begins");
                    return Err(Malformed::Refused { line, what });
                }
            }
        }
    }

    fn value(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<Value, Malformed> {
        let refused = |what| Malformed::Refused { line: span.start.line(), what };
        if depth > DEEPEST {
            return Err(refused("it is nested too deep"));
        }
        let before = self.seen;
        self.seen += 1;
        let (anchor, tag, value) = match event {
            Event::Alias(anchor) => {
                let (value, size) =
                    self.known.get(&anchor).ok_or(refused("an alias of nothing"))?;
                self.seen += size;
                if self.seen > MOST_VALUES {
                    return Err(refused("its aliases unfold to too much"));
                }
                return Ok(value.clone());
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.seen += text.len() / WORD;
                let typed = style == ScalarStyle::Plain && tag.is_none();
                let value = if typed { plain(&text) } else { Value::String(text.into_owned()) };
                (anchor, tag, value)
            }
            Event::SequenceStart(_, anchor, tag) => (anchor, tag, self.list(depth)?),
            Event::MappingStart(_, anchor, tag) => (anchor, tag, self.table(depth)?),
            _ => return Err(refused("a value is missing")),
        };
        if self.seen > MOST_VALUES {
            return Err(refused("it holds too much"));
        }
        let value = long_form(tag.as_deref(), value);
        if anchor != 0 {
            self.known.insert(anchor, (value.clone(), self.seen - before));
        }
        Ok(value)
    }

    fn list(&mut self, depth: usize) -> Result<Value, Malformed> {
        let mut values = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Value::Array(values)),
                (event, span) => values.push(self.value(event, span, depth + 1)?),
            }
        }
    }

    fn table(&mut self, depth: usize) -> Result<Value, Malformed> {
        let (mut table, mut merged) = (Map::new(), Map::new());
        loop {
            let (event, span) = self.next()?;
            let refused = |what| Err(Malformed::Refused { line: span.start.line(), what });
            // A key is what stands there: `200` and `on` are names here.
            let key = match event {
                Event::MappingEnd => {
                    // What stands in the table itself wins over what is merged into it.
                    for (key, value) in merged {
                        table.entry(key).or_insert(value);
                    }
                    return Ok(Value::Object(table));
                }
                Event::Scalar(text, ..) => text.into_owned(),
                _ => return refused("a key is no word"),
            };
            let (event, at) = self.next()?;
            let value = self.value(event, at, depth + 1)?;
            match (key.as_str(), value) {
                ("<<", Value::Object(one)) => merge(&mut merged, one),
                ("<<", Value::Array(all)) => {
                    for one in all {
                        let Value::Object(one) = one else { return refused("it merges no table") };
                        merge(&mut merged, one);
                    }
                }
                (_, value) => {
                    if table.insert(key, value).is_some() {
                        return refused("this key is there twice");
                    }
                }
            }
        }
    }
}

/// The first one wins.
fn merge(merged: &mut Map<String, Value>, one: Map<String, Value>) {
    for (key, value) in one {
        merged.entry(key).or_insert(value);
    }
}

/// YAML 1.2's core schema, as far as it is asked for.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" => Value::Null,
        "true" | "True" => Value::Bool(true),
        "false" | "False" => Value::Bool(false),
        // An account id keeps its zeros.
        _ if text.len() > 1 && text.starts_with('0') => Value::String(text.to_owned()),
        _ => match text.parse::<u64>() {
            Ok(number) => Value::Number(Number::from(number)),
            Err(_) => Value::String(text.to_owned()),
        },
    }
}

/// `!Sub x` is `{"Fn::Sub": "x"}`, `!GetAtt a.b` is `{"Fn::GetAtt": ["a", "b"]}`.
fn long_form(tag: Option<&Tag>, value: Value) -> Value {
    let Some(tag) = tag.filter(|tag| tag.handle() == "!") else { return value };
    let name = match tag.suffix() {
        "" => return value,
        "Ref" | "Condition" => tag.suffix().to_owned(),
        function => format!("Fn::{function}"),
    };
    let value = match value {
        Value::String(text) if name == "Fn::GetAtt" => {
            text.split('.').map(|part| Value::String(part.to_owned())).collect()
        }
        value => value,
    };
    Value::Object(Map::from_iter([(name, value)]))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::parse;

    fn told(text: &str) -> String {
        parse(text).expect_err("it is malformed").to_string()
    }

    #[test]
    fn reads_json_and_yaml_alike() {
        let yaml = "paths:\n  /a: {get: {timeout: 29000, on: true, id: '7', account: 012}}\n";
        let json = r#"{"paths": {"/a": {"get": {"timeout": 29000, "on": true, "id": "7", "account": "012"}}}}"#;
        assert_eq!(parse(yaml).unwrap(), parse(json).unwrap());
    }

    #[test]
    fn short_tags_become_long_forms() {
        let value = parse("a: !Ref X\nb: !Sub '${X}'\nc: !GetAtt X.Arn\nd: !Join ['', [!Ref Y]]\n");
        let expected = json!({
            "a": {"Ref": "X"}, "b": {"Fn::Sub": "${X}"}, "c": {"Fn::GetAtt": ["X", "Arn"]},
            "d": {"Fn::Join": ["", [{"Ref": "Y"}]]}
        });
        assert_eq!(value.unwrap(), expected);
    }

    #[test]
    fn aliases_and_merged_keys_are_unfolded() {
        let value = parse("a: &a {x: 1, y: 2}\nb: {<<: *a, y2: 3}\nc: *a\n").unwrap();
        assert_eq!(value["b"], json!({"x": 1, "y": 2, "y2": 3}));
        assert_eq!(value["c"], value["a"]);
        let over =
            parse("a: &a {x: 1, y: 2}\nz: &z {x: 5, z: 6}\nb: {<<: [*a, *z], y: 3}\n").unwrap();
        assert_eq!(over["b"], json!({"x": 1, "y": 3, "z": 6}));
    }

    #[test]
    fn tells_where_it_is_malformed() {
        assert_eq!(told("{\"a\": 1,\n }"), "line 2, column 2: it is no JSON");
        assert!(told("a: [1,\nb: 2\n").starts_with("line "), "{}", told("a: [1,\nb: 2\n"));
        assert_eq!(told("a: 1\na: 2\n"), "line 2: this key is there twice");
        assert_eq!(told("  \n"), "it is empty");
        assert_eq!(told("a: 1\n---\nb: 1\n"), "line 2: a second document begins");
        assert_eq!(told("{\"a\": 1,\n \"a\": 2}"), "line 2, column 8: it is no JSON");
    }

    #[test]
    fn refuses_what_unfolds_without_end() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..9 {
            let alias = format!("*a{}", level - 1);
            let all = [alias.as_str(); 10].join(", ");
            bomb.push_str(&format!("a{level}: &a{level} [{all}]\n"));
        }
        assert!(told(&bomb).ends_with("its aliases unfold to too much"));
        let long = format!("a: &a '{}'\nb: [{}]\n", "x".repeat(1 << 20), "*a, ".repeat(100));
        assert!(told(&long).ends_with("its aliases unfold to too much"));
        assert!(parse(&"[".repeat(100_000)).is_err());
        assert!(parse(&format!("a: {}", "[".repeat(100_000))).is_err());
    }
}
