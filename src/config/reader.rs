//! What was typed, key by key. Each key is taken once; what is left is unknown. Every mistake is
//! noted with its place, and reading goes on.

use std::cell::RefCell;
use std::collections::BTreeSet;

use figment::value::{Dict, Value};

use crate::config::origin::Origins;
use crate::config::problem::Problem;
use crate::config::values::{Wrong, nearest};

/// What all readers of one configuration share.
pub(super) struct Notes {
    pub(super) origins: Origins,
    problems: RefCell<Vec<((u8, usize), Problem)>>,
    warnings: RefCell<Vec<Problem>>,
}

/// A table.
pub(super) struct Reader<'a> {
    notes: &'a Notes,
    path: String,
    table: &'a Dict,
    known: RefCell<BTreeSet<&'static str>>,
}

/// A value, with its place.
#[derive(Clone)]
pub(super) struct Entry<'a> {
    notes: &'a Notes,
    path: String,
    value: &'a Value,
}

impl<'a> Reader<'a> {
    pub(super) fn new(notes: &'a Notes, path: String, table: &'a Dict) -> Self {
        Self { notes, path, table, known: RefCell::default() }
    }

    /// The value of a key.
    pub(super) fn take(&self, key: &'static str) -> Option<Entry<'a>> {
        self.known.borrow_mut().insert(key);
        let value = self.table.get(key)?;
        Some(Entry { notes: self.notes, path: join(&self.path, key), value })
    }

    /// The table of a key.
    pub(super) fn table(&self, key: &'static str) -> Option<Reader<'a>> {
        self.take(key)?.table()
    }

    /// All entries of a table whose keys are names.
    pub(super) fn named(&self) -> Vec<(String, Entry<'a>)> {
        let entry = |(name, value): (&'a String, &'a Value)| {
            let path = join(&self.path, name);
            (name.clone(), Entry { notes: self.notes, path, value })
        };
        self.table.iter().map(entry).collect()
    }

    /// A problem with a key of this table, whether it was written or not.
    pub(super) fn problem(&self, key: &str, wrong: Wrong) {
        self.notes.problem(join(&self.path, key), wrong);
    }

    /// A problem with the table as a whole.
    pub(super) fn problem_here(&self, wrong: Wrong) {
        self.notes.problem(self.path.clone(), wrong);
    }

    /// Notes what was not taken. A variable too many is no reason to stop: many things put
    /// variables into a container.
    pub(super) fn finish(&self) {
        let known = self.known.borrow();
        for key in self.table.keys().filter(|key| !known.contains(key.as_str())) {
            let path = join(&self.path, key);
            let hint = match nearest(key, known.iter().copied()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("known are {}", list(known.iter())),
            };
            let wrong = Wrong::new("unknown key", hint);
            match self.notes.origins.is_environment(&path) {
                true => self.notes.warning(path, wrong),
                false => self.notes.problem(path, wrong),
            }
        }
    }
}

impl Notes {
    pub(super) fn new(origins: Origins) -> Self {
        Self { origins, problems: RefCell::default(), warnings: RefCell::default() }
    }

    /// Told once, however many routes have it from `[defaults]`.
    fn problem(&self, path: String, wrong: Wrong) {
        let noted = (self.origins.order(&path), self.describe(path, wrong));
        let mut problems = self.problems.borrow_mut();
        if !problems.contains(&noted) {
            problems.push(noted);
        }
    }

    fn warning(&self, path: String, wrong: Wrong) {
        let warning = self.describe(path, wrong);
        let mut warnings = self.warnings.borrow_mut();
        if !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }

    /// The problems from the file's first line to its last, and the warnings.
    pub(super) fn into_parts(self) -> (Vec<Problem>, Vec<Problem>) {
        let mut problems = self.problems.into_inner();
        problems.sort_by_key(|(order, _)| *order);
        let problems = problems.into_iter().map(|(_, problem)| problem).collect();
        (problems, self.warnings.into_inner())
    }

    fn describe(&self, path: String, wrong: Wrong) -> Problem {
        let source = self.origins.of(&path);
        Problem { key: path, source, message: wrong.message, hint: Some(wrong.hint) }
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn list<'k>(words: impl Iterator<Item = &'k &'static str>) -> String {
    words.map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

impl<'a> Entry<'a> {
    /// A problem with this value.
    pub(super) fn problem(&self, wrong: Wrong) {
        self.notes.problem(self.path.clone(), wrong);
    }

    /// Something odd that is no reason to stop.
    pub(super) fn warning(&self, wrong: Wrong) {
        self.notes.warning(self.path.clone(), wrong);
    }

    /// Whether a variable brought it, and no file.
    pub(super) fn is_of_environment(&self) -> bool {
        self.notes.origins.is_environment(&self.path)
    }

    fn mistyped<T>(&self, expected: &str) -> Option<T> {
        // A string is not repeated: it may be a password.
        let found = match self.value {
            Value::String(..) | Value::Char(..) => "this is a string".to_owned(),
            Value::Bool(_, value) => format!("`{value}` is a boolean"),
            Value::Num(..) => format!("{} is a number", self.number()),
            Value::Dict(..) => "this is a table".to_owned(),
            Value::Array(..) => "this is a list".to_owned(),
            Value::Empty(..) => "this is nothing".to_owned(),
        };
        self.problem(Wrong::new(found, format!("write {expected}")));
        None
    }

    /// A number as it was written.
    fn number(&self) -> String {
        let Value::Num(_, number) = self.value else { return "this".to_owned() };
        let whole = number.to_i128().map(|n| n.to_string());
        let whole = whole.or_else(|| number.to_u128().map(|n| n.to_string()));
        let written = whole.or_else(|| number.to_f64().map(|n| n.to_string()));
        written.map_or("this".to_owned(), |written| format!("`{written}`"))
    }

    /// Variables and flags are text: what they mean, the key says.
    pub(super) fn is_text_only(&self) -> bool {
        !self.notes.origins.is_file(&self.path)
    }

    /// Whether it is a table.
    pub(super) fn is_table(&self) -> bool {
        matches!(self.value, Value::Dict(..))
    }

    /// Whether it is a string with nothing in it.
    pub(super) fn is_empty_text(&self) -> bool {
        matches!(self.value, Value::String(_, text) if text.is_empty())
    }

    /// Whether it is this word.
    pub(super) fn is_text(&self, word: &str) -> bool {
        matches!(self.value, Value::String(_, text) if text == word)
    }

    /// Whether it is a list of this word alone.
    pub(super) fn is_list_of(&self, word: &str) -> bool {
        let is = |value: &Value| matches!(value, Value::String(_, text) if text == word);
        matches!(self.value, Value::Array(_, values) if values.len() == 1 && is(&values[0]))
    }

    /// Whether it is `false`.
    pub(super) fn is_false(&self) -> bool {
        match self.value {
            Value::Bool(_, value) => !value,
            Value::String(_, text) => self.is_text_only() && text == "false",
            _ => false,
        }
    }

    /// A string.
    pub(super) fn string(&self, expected: &str) -> Option<String> {
        match self.value {
            Value::String(_, text) => Some(text.clone()),
            _ => self.mistyped(expected),
        }
    }

    /// A string, read further; its mistakes are noted here.
    pub(super) fn parsed<T>(
        &self,
        expected: &str,
        parse: impl FnOnce(&str) -> Result<T, Wrong>,
    ) -> Option<T> {
        let text = self.string(expected)?;
        parse(&text).map_err(|wrong| self.problem(wrong)).ok()
    }

    /// `true` or `false`.
    pub(super) fn boolean(&self) -> Option<bool> {
        match self.value {
            Value::Bool(_, value) => Some(*value),
            Value::String(_, text) if self.is_text_only() => match text.as_str() {
                "true" | "1" => Some(true),
                "false" | "0" => Some(false),
                _ => self.misread(text, "`true` or `false`"),
            },
            _ => self.mistyped("`true` or `false`"),
        }
    }

    /// A count of something, from 1 up.
    pub(super) fn count(&self) -> Option<usize> {
        match self.whole("a whole number from 1 up")? {
            0 => {
                self.problem(Wrong::new(
                    "`0` would let nothing through",
                    "write a number from 1 up",
                ));
                None
            }
            count => Some(count),
        }
    }

    /// A whole number, from 0 up.
    pub(super) fn whole(&self, expected: &str) -> Option<usize> {
        let number = match self.value {
            Value::Num(_, number) => number.to_i128().or(number.to_u128().map(|n| n as i128)),
            Value::String(_, text) if self.is_text_only() => text.parse().ok(),
            _ => None,
        };
        let whole = number.and_then(|number| usize::try_from(number).ok());
        match self.value {
            _ if whole.is_some() => whole,
            Value::String(_, text) if self.is_text_only() => self.misread(text, expected),
            Value::Num(..) => {
                let wrong = format!("{} is no count", self.number());
                self.problem(Wrong::new(wrong, format!("write {expected}")));
                None
            }
            _ => self.mistyped(&format!("{expected}, without quotes")),
        }
    }

    /// A variable or a flag that holds the wrong text.
    fn misread<T>(&self, text: &str, expected: &str) -> Option<T> {
        self.problem(Wrong::new(
            format!("`{text}` does not fit here"),
            format!("write {expected}"),
        ));
        None
    }

    /// A share, from 0 to 1.
    pub(super) fn share(&self) -> Option<f64> {
        let number = match self.value {
            Value::Num(_, number) => number
                .to_f64()
                .or(number.to_i128().map(|n| n as f64))
                .or(number.to_u128().map(|n| n as f64)),
            Value::String(_, text) if self.is_text_only() => text.parse().ok(),
            _ => None,
        };
        match number {
            Some(share) if (0.0..=1.0).contains(&share) => Some(share),
            Some(_) => {
                let wrong = format!("{} is no share", self.number());
                self.problem(Wrong::new(
                    wrong,
                    "write a number from 0 to 1: `0.01` is one in a hundred",
                ));
                None
            }
            None => self.mistyped("a number from 0 to 1"),
        }
    }

    /// A table as JSON.
    pub(super) fn json(&self) -> Option<serde_json::Value> {
        let json = serde_json::to_value(self.value);
        json.map_err(|error| self.problem(Wrong::new(error.to_string(), "write JSON's types"))).ok()
    }

    /// A list of anything.
    pub(super) fn list(&self, expected: &str) -> Option<Vec<Entry<'a>>> {
        let entry = |(position, value): (usize, &'a Value)| Entry {
            notes: self.notes,
            path: format!("{}[{position}]", self.path),
            value,
        };
        match self.value {
            Value::Array(_, values) => Some(values.iter().enumerate().map(entry).collect()),
            _ => self.mistyped(expected),
        }
    }

    /// A list of strings.
    pub(super) fn strings(&self, expected: &str) -> Option<Vec<(Entry<'a>, String)>> {
        let entries = self.list(&format!("a list, in brackets: each is {expected}"))?;
        let read = |entry: Entry<'a>| entry.string(expected).map(|text| (entry, text));
        Some(entries.into_iter().filter_map(read).collect())
    }

    /// A table.
    pub(super) fn table(&self) -> Option<Reader<'a>> {
        match self.value {
            Value::Dict(_, table) => Some(Reader::new(self.notes, self.path.clone(), table)),
            _ => {
                let key = self.path.rsplit('.').next().unwrap_or_default();
                self.mistyped(&format!("a table: `{key} = {{ … }}`"))
            }
        }
    }
}
