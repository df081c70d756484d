//! In how many ways a schema may look at one value. Where it chooses among several and refers to
//! itself, they multiply with each level of a body, and a body of a hundred bytes could be looked
//! at for ever; so its faults are not gathered.

use std::collections::BTreeSet;

use serde_json::Value;

/// What makes a schema look at a value more than once.
const CHOICES: [&str; 2] = ["anyOf", "oneOf"];
/// What does so with fewer faults to gather: it counts only where the schema refers to itself.
const REPEATS: [&str; 9] = [
    "allOf",
    "contains",
    "dependencies",
    "dependentSchemas",
    "else",
    "patternProperties",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
];
/// References that only a validator can follow.
const DYNAMIC: [&str; 2] = ["$dynamicRef", "$recursiveRef"];

/// How often one value is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ways {
    /// Once, about.
    One,
    /// As often as the schema says.
    Several,
    /// As often as the body has it.
    Endless,
}

impl Ways {
    /// Errs towards more of them: a property may bear a keyword's name.
    pub(super) fn of(schema: &Value) -> Self {
        let chooses = has(schema, &CHOICES);
        let repeats = chooses || has(schema, &REPEATS);
        let mut walk = Walk { root: schema, open: Vec::new(), done: BTreeSet::new() };
        match () {
            () if repeats && walk.returns(schema) => Self::Endless,
            () if chooses => Self::Several,
            () => Self::One,
        }
    }
}

fn has(value: &Value, keys: &[&str]) -> bool {
    match value {
        Value::Object(map) => {
            map.iter().any(|(key, value)| keys.contains(&key.as_str()) || has(value, keys))
        }
        Value::Array(values) => values.iter().any(|value| has(value, keys)),
        _ => false,
    }
}

/// Follows references.
struct Walk<'s> {
    root: &'s Value,
    /// What is being followed now.
    open: Vec<&'s str>,
    /// What was followed to its end.
    done: BTreeSet<&'s str>,
}

impl<'s> Walk<'s> {
    /// Whether a reference leads back to where it stands.
    fn returns(&mut self, value: &'s Value) -> bool {
        match value {
            Value::Object(map) => map.iter().any(|(key, value)| match value {
                Value::String(to) if key == "$ref" => self.follows_back(to),
                _ => DYNAMIC.contains(&key.as_str()) || self.returns(value),
            }),
            Value::Array(values) => values.iter().any(|value| self.returns(value)),
            _ => false,
        }
    }

    fn follows_back(&mut self, to: &'s str) -> bool {
        if self.done.contains(to) {
            return false;
        }
        // What is no plain pointer into the schema may lead anywhere.
        let plain = to.strip_prefix('#').filter(|rest| !rest.is_empty() && !rest.contains('%'));
        let Some(value) = plain.and_then(|pointer| self.root.pointer(pointer)) else {
            return true;
        };
        if self.open.contains(&to) {
            return true;
        }
        self.open.push(to);
        let back = self.returns(value);
        self.open.pop();
        self.done.insert(to);
        back
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Ways;

    #[test]
    fn a_schema_that_chooses_and_refers_to_itself_has_endless_ways() {
        let item = json!({ "properties": { "in": { "$ref": "#/$defs/list" } } });
        let list = |items| json!({ "$ref": "#/$defs/list", "$defs": { "list": items } });
        assert_eq!(Ways::of(&list(json!({ "items": item }))), Ways::One, "there is one way");
        let choice = json!({ "items": { "anyOf": [item, { "type": "null" }] } });
        assert_eq!(Ways::of(&list(choice)), Ways::Endless);
        let twice = json!({ "items": { "allOf": [item, item] } });
        assert_eq!(Ways::of(&list(twice)), Ways::Endless);
        for endless in [
            json!({ "oneOf": [{ "items": { "$ref": "#" } }, { "type": "null" }] }),
            json!({ "anyOf": [{ "$dynamicRef": "#node" }] }),
            json!({ "anyOf": [{ "$ref": "#anchor" }] }),
        ] {
            assert_eq!(Ways::of(&endless), Ways::Endless, "{endless}");
        }
    }

    #[test]
    fn a_schema_that_only_chooses_or_only_refers_has_not() {
        let refers = json!({ "$defs": { "a": { "type": "string" } }, "allOf": [
            { "$ref": "#/$defs/a" }, { "$ref": "#/$defs/a" }] });
        assert_eq!(Ways::of(&refers), Ways::One);
        let chooses = json!({ "anyOf": [{ "type": "string" }, { "type": "null" }] });
        assert_eq!(Ways::of(&chooses), Ways::Several);
    }
}
