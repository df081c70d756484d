//! A JSON Schema, compiled once; the feature `validation` brings what compiles it.
//!
//! Nothing is fetched for a schema: what it refers to stands in it. Its patterns run on an engine
//! that takes time in proportion to the text, so that no body chooses how long it is looked at.

use serde_json::Value;

use crate::config::values::Wrong;

/// What is wrong with a body, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// A JSON Pointer in the form of a URI fragment (RFC 6901, section 6): `#/items/0/id`.
    pub pointer: String,
    /// What is wrong there, without the value.
    pub detail: String,
}

/// How many faults are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// The first: a large body may hold a million of them.
    First,
    /// Several.
    Several,
}

/// What a body must fit.
#[cfg(feature = "validation")]
#[derive(Debug)]
pub struct Schema {
    validator: jsonschema::Validator,
    /// How much of it may be walked again, to tell where a fault is.
    ways: ways::Ways,
}

/// What a body must fit: in a build without the feature `validation` there is none.
#[cfg(not(feature = "validation"))]
#[derive(Debug)]
pub enum Schema {}

#[cfg(not(feature = "validation"))]
impl Schema {
    /// Whether there can be any, before one is looked for.
    pub(super) fn can_be() -> Result<(), Wrong> {
        Err(Wrong::new(
            "this build checks no bodies",
            "build with `--features validation`, or leave `body` out and let the function check",
        ))
    }

    pub(super) fn compile(_schema: &Value) -> Result<Self, Wrong> {
        Self::can_be().map(|()| unreachable!("there can be none"))
    }

    /// What is wrong with a body; nothing where it fits.
    pub fn faults(&self, _body: &Value, _told: Told) -> Vec<Fault> {
        match *self {}
    }
}

#[cfg(feature = "validation")]
mod ways;

#[cfg(feature = "validation")]
mod compiled {
    use jsonschema::error::{ValidationError, ValidationErrorKind as Kind};
    use jsonschema::{PatternOptions, ReferencingError};

    use super::ways::Ways;
    use super::{Fault, Schema, Told, Value, Wrong};

    /// Faults that are told of one body: enough to mend it, and an answer of a few KiB.
    const MOST_FAULTS: usize = 20;
    /// Bytes of a pointer or a sentence: the names in them are the client's, or the schema's.
    const LONGEST: usize = 256;

    impl Schema {
        /// Whether there can be any, before one is looked for.
        pub(in crate::config) fn can_be() -> Result<(), Wrong> {
            Ok(())
        }

        pub(in crate::config) fn compile(schema: &Value) -> Result<Self, Wrong> {
            let options =
                jsonschema::options().offline().with_pattern_options(PatternOptions::regex());
            let validator = options.build(schema).map_err(|error| wrong(&error))?;
            Ok(Self { validator, ways: Ways::of(schema) })
        }

        /// What is wrong with a body; nothing where it fits.
        pub fn faults(&self, body: &Value, told: Told) -> Vec<Fault> {
            // This remembers what it has seen of a schema that refers to itself; the rest, which
            // gathers each fault of each choice, does not.
            if self.validator.is_valid(body) {
                return Vec::new();
            }
            let found: Vec<Fault> = match (told, self.ways) {
                (_, Ways::Endless) | (Told::First, Ways::Several) => Vec::new(),
                (Told::First, Ways::One) => {
                    self.validator.validate(body).err().iter().map(fault).collect()
                }
                (Told::Several, _) => {
                    let errors = self.validator.iter_errors(body).take(MOST_FAULTS);
                    errors.map(|error| fault(&error)).collect()
                }
            };
            if found.is_empty() {
                let detail = "it does not fit; where is not looked for in such a schema";
                return vec![Fault { pointer: "#".to_owned(), detail: detail.to_owned() }];
            }
            found
        }
    }

    fn wrong(error: &ValidationError<'_>) -> Wrong {
        let place = match error.instance_path().as_str() {
            "" => String::new(),
            path => format!(" at `{path}`"),
        };
        match error.kind() {
            Kind::Referencing(ReferencingError::UnknownSpecification { specification }) => {
                Wrong::new(
                    format!("`$schema` names `{specification}`, which is not known here"),
                    "write `http://json-schema.org/draft-04/schema#` or a later draft's, or leave it out for 2020-12",
                )
            }
            Kind::Referencing(cause) => Wrong::new(
                match cause {
                    ReferencingError::Unretrievable { uri, .. } => {
                        format!("the schema refers to `{uri}`, which is not in it")
                    }
                    cause => format!("the schema refers to what is not in it: {cause}"),
                },
                "nothing is fetched: put it below `definitions`, and write `#/definitions/NAME`",
            ),
            Kind::Format { format } if format == "regex" => Wrong::new(
                format!("this pattern cannot be used{place}: {error}"),
                "write one without look-around and back-references, which may take for ever",
            ),
            _ => Wrong::new(
                format!("this is no JSON Schema{place}: {error}"),
                "mend it there; <https://json-schema.org> has the language",
            ),
        }
    }

    fn fault(error: &ValidationError<'_>) -> Fault {
        let path = error.instance_path().as_str();
        let (pointer, detail) = match error.kind() {
            Kind::AdditionalProperties { unexpected }
            | Kind::UnevaluatedProperties { unexpected } => {
                let name = unexpected.first().map_or("", String::as_str);
                let name = name.replace('~', "~0").replace('/', "~1");
                (format!("{path}/{name}"), "the schema knows no such property".to_owned())
            }
            Kind::PropertyNames { .. } => {
                (path.to_owned(), "the name of a property does not fit".to_owned())
            }
            _ => (path.to_owned(), error.masked_with("the value").to_string()),
        };
        Fault { pointer: fragment(&pointer), detail: shortened(detail) }
    }

    /// A pointer as a URI fragment; one too long becomes that of what its end stands in.
    fn fragment(pointer: &str) -> String {
        let mut written = String::from("#");
        for segment in pointer.split('/').skip(1) {
            let before = written.len();
            written.push('/');
            for byte in segment.bytes() {
                match byte {
                    b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => written.push(char::from(byte)),
                    b'-' | b'.' | b'_' | b'~' | b'$' | b'@' | b':' => {
                        written.push(char::from(byte))
                    }
                    _ => written.push_str(&format!("%{byte:02X}")),
                }
            }
            if written.len() > LONGEST {
                written.truncate(before);
                break;
            }
        }
        written
    }

    fn shortened(mut detail: String) -> String {
        if detail.len() > LONGEST {
            let end = (0..=LONGEST).rev().find(|at| detail.is_char_boundary(*at));
            detail.truncate(end.unwrap_or(0));
            detail.push('…');
        }
        detail
    }
}

#[cfg(all(test, feature = "validation"))]
mod tests;
