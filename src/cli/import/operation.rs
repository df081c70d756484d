//! What an import finds, whatever it was read from: operations, where each leads, and what is lost.

use crate::routing::{Pattern, PatternError};

/// What callers needed, besides what an authorizer asked for.
pub(super) const API_KEY: &str = "an API key (`api_keys` of a route asks for one here)";
/// Whose base path callers may know.
pub(super) const DOMAIN: &str = "a domain of its own: `--base-path` where it has a base path";
/// What browsers were told.
pub(super) const CORS: &str = "CORS, which API Gateway answered (`cors` of a route does here)";

/// An API, or all that a template declares.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// What it is, for the first line of the file.
    pub(super) what: String,
    pub(super) operations: Vec<Operation>,
    /// Functions that have a URL and no operation.
    pub(super) unrouted: Vec<Function>,
    /// What is lost of the whole.
    pub(super) lost: Vec<String>,
}

/// One method of one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Operation {
    /// Stage or base path: empty, or `/prod`.
    pub(super) prefix: String,
    pub(super) path: Path,
    /// None: any.
    pub(super) method: Option<String>,
    pub(super) leads: Leads,
    /// What of it is lost.
    pub(super) lost: Vec<String>,
}

/// A path as API Gateway writes it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Path {
    /// `/orders/{id}`
    Of(String),
    /// `$default`: what nothing else takes.
    Default,
}

/// Where an operation leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Leads {
    /// To a function, which has so many milliseconds.
    To { function: Function, within: Option<u64> },
    /// Nowhere, and why.
    Nowhere(String),
    /// Nowhere yet: who may call it was checked by API Gateway, and is not here.
    Guarded { function: Function, within: Option<u64>, by: String },
}

impl Leads {
    /// Keeps it back, for who may call it was checked before.
    pub(super) fn guard(&mut self, by: &str) {
        match self {
            Self::To { function, within } => {
                let (function, within) = (function.clone(), *within);
                *self = Self::Guarded { function, within, by: by.to_owned() };
            }
            Self::Guarded { by: known, .. } if known != by => *known = format!("{known}, {by}"),
            Self::Guarded { .. } | Self::Nowhere(_) => {}
        }
    }
}

/// A function, as far as its origin names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Function {
    /// Its ARN, or its logical id in a template, with an alias behind a colon where it has one.
    pub(super) id: String,
    /// Its ARN, with the alias.
    pub(super) arn: Option<String>,
    /// Its name, without the alias.
    pub(super) name: Option<String>,
}

impl Function {
    /// Of an ARN, if it is a function's.
    pub(super) fn of_arn(arn: &str) -> Option<Self> {
        let parts: Vec<&str> = arn.split(':').collect();
        let ["arn", partition, "lambda", region, account, "function", name, ref qualifier @ ..] =
            parts[..]
        else {
            return None;
        };
        let words = [partition, region, account, name];
        if qualifier.len() > 1 || !words.iter().chain(qualifier).all(|word| is_word(word)) {
            return None;
        }
        Some(Self { id: arn.to_owned(), arn: Some(arn.to_owned()), name: Some(name.to_owned()) })
    }

    /// The alias or version.
    pub(super) fn qualifier(&self) -> Option<&str> {
        match &self.arn {
            Some(arn) => arn.splitn(8, ':').nth(7),
            None => self.id.split_once(':').map(|(_, qualifier)| qualifier),
        }
    }

    /// The region, where it is known.
    pub(super) fn region(&self) -> Option<&str> {
        self.arn.as_deref()?.split(':').nth(3)
    }

    /// A short name for a target.
    pub(super) fn short(&self) -> String {
        let name = self.name.as_deref().unwrap_or(&self.id);
        let name = name.split(':').next().unwrap_or_default();
        let qualifier = self.qualifier().filter(|qualifier| *qualifier != "$LATEST");
        let whole = qualifier.map_or_else(|| name.to_owned(), |alias| format!("{name}-{alias}"));
        match words(&whole) {
            bare if bare.is_empty() => "function".to_owned(),
            short => short,
        }
    }
}

/// What a part of an ARN is made of. A region becomes a part of a host that is sent credentials'
/// signatures: nothing in it may end the name.
pub(super) fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_$".contains(&b))
}

/// `OrdersFunction` is `orders-function`.
fn words(name: &str) -> String {
    let mut words = String::new();
    let mut was_lower = false;
    for c in name.chars() {
        if was_lower && c.is_ascii_uppercase() {
            words.push('-');
        }
        was_lower = c.is_ascii_lowercase() || c.is_ascii_digit();
        words.push(if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' });
    }
    words
}

/// A path that no route can have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoPath {
    #[error(transparent)]
    Pattern(#[from] PatternError),
    #[error("`{0}` is no base path")]
    Prefix(String),
}

/// What a route of the file takes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Takes {
    Path(String),
    Prefix(String),
    Everything,
}

/// Whether a text can be the method of a route; one with a hole in it cannot.
pub(super) fn is_method(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphabetic())
}

impl Operation {
    /// How people write it: `GET /prod/orders`.
    pub(super) fn label(&self) -> String {
        let method = self.method.as_deref().unwrap_or("ANY");
        match &self.path {
            Path::Of(path) => format!("{method} {}{path}", self.prefix),
            Path::Default if self.prefix.is_empty() => "$default".to_owned(),
            Path::Default => format!("$default below {}", self.prefix),
        }
    }

    /// What it takes, with its prefix. A root below a stage is asked for with and without a slash.
    pub(super) fn takes(&self) -> Result<Vec<Takes>, NoPath> {
        let prefix = &self.prefix;
        let is_plain = |pattern: Pattern| pattern.names().next().is_none();
        if !prefix.is_empty() && !Pattern::parse(prefix).is_ok_and(is_plain) {
            return Err(NoPath::Prefix(prefix.clone()));
        }
        let path = match &self.path {
            Path::Default if prefix.is_empty() => return Ok(vec![Takes::Everything]),
            Path::Default => return Ok(vec![Takes::Prefix(prefix.clone())]),
            Path::Of(path) => {
                Pattern::parse(path)?;
                format!("{prefix}{path}")
            }
        };
        if !prefix.is_empty() && path.strip_suffix('/') == Some(prefix) {
            return Ok(vec![Takes::Path(prefix.clone()), Takes::Path(path)]);
        }
        Ok(vec![Takes::Path(path)])
    }
}

/// A stage or a base path as a prefix: `prod`, `/prod` and `/prod/` are `/prod`; `$default` and
/// `/` are none.
pub(super) fn prefix(text: &str) -> String {
    match text.trim_matches('/') {
        "" | "$default" => String::new(),
        bare => format!("/{bare}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Function, prefix};

    #[test]
    fn a_functions_arn_tells_its_name_alias_and_region() {
        let arn = "arn:aws:lambda:eu-west-1:111122223333:function:OrderItems_x:live";
        let function = Function::of_arn(arn).unwrap();
        assert_eq!(function.name.as_deref(), Some("OrderItems_x"));
        assert_eq!(function.qualifier(), Some("live"));
        assert_eq!(function.region(), Some("eu-west-1"));
        assert_eq!(function.short(), "order-items-x-live");
        let bare = Function::of_arn("arn:aws:lambda:eu-west-1:111122223333:function:f").unwrap();
        assert_eq!((bare.qualifier(), bare.short().as_str()), (None, "f"));
        for odd in [
            "arn:aws:sqs:us-east-1:1:q",
            "f",
            "arn:aws:lambda:r:1:function:a:b:c",
            "arn:aws:lambda:evil.example/?x=:1:function:a",
            "arn:aws:lambda:evil.example#:1:function:a",
            "arn:aws:lambda:r:\n[x]:function:a",
        ] {
            assert_eq!(Function::of_arn(odd), None, "{odd}");
        }
    }

    #[test]
    fn a_stage_is_a_prefix_unless_it_is_the_default() {
        for (text, expected) in
            [("prod", "/prod"), ("/v1/a/", "/v1/a"), ("/", ""), ("$default", "")]
        {
            assert_eq!(prefix(text), expected);
        }
    }
}
