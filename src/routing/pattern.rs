//! Paths with parameters, in API Gateway's syntax: `/orders/{id}`, `/files/{proxy+}`.

use std::fmt;

/// What a route's `path` or `prefix` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathPattern {
    /// Everything.
    Everything,
    /// `prefix = "/orders"`: itself and what is below it. No slash at its end.
    Prefix(String),
    /// `path = "/orders/{id}"`, or a full path.
    Path(Pattern),
}

/// A path, a segment a piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    segments: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Literal(String),
    /// `{id}`: one segment, not empty.
    Param(String),
    /// `{proxy+}`: all that is left, at least one segment.
    Greedy(String),
}

/// A path that is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // each says itself
pub enum PatternError {
    #[error("a path begins with `/`")]
    NoSlash,
    #[error("`{0}` is neither a whole segment `{{name}}` nor without braces")]
    Brace(String),
    #[error("`{0}` holds no name of a parameter")]
    Name(String),
    #[error("`{{{0}+}}` must be the last segment")]
    GreedyInside(String),
    #[error("the parameter `{0}` is there twice")]
    Twice(String),
    #[error("`{0}` cannot stand in a path")]
    Character(char),
    #[error("`{0}` is resolved before a path is matched")]
    Dots(String),
}

/// What no path has on the wire: a letter beyond ASCII is escaped there.
fn is_odd(c: &char) -> bool {
    matches!(c, '?' | '#' | '\\') || !c.is_ascii_graphic()
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    ///
    /// With the first thing in it that is no pattern.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let rest = text.strip_prefix('/').ok_or(PatternError::NoSlash)?;
        if let Some(odd) = text.chars().find(is_odd) {
            return Err(PatternError::Character(odd));
        }
        if text.contains("//") {
            return Err(PatternError::Dots("//".to_owned()));
        }
        let mut segments: Vec<Segment> = Vec::new();
        for piece in rest.split('/') {
            if let Some(Segment::Greedy(name)) = segments.last() {
                return Err(PatternError::GreedyInside(name.clone()));
            }
            let segment = Segment::parse(piece)?;
            if let Some(name) = segment.name()
                && segments.iter().any(|known| known.name() == Some(name))
            {
                return Err(PatternError::Twice(name.to_owned()));
            }
            segments.push(segment);
        }
        Ok(Self { text: text.to_owned(), segments })
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The names of its parameters, in their order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(Segment::name)
    }

    /// Whether a path fits.
    pub(super) fn takes(&self, path: &str) -> bool {
        self.matched(path).is_some()
    }

    /// The parameters of a path that fits; none of one that does not.
    pub(super) fn params<'p>(&'p self, path: &'p str) -> Params<'p> {
        self.matched(path).unwrap_or_default()
    }

    fn matched<'p>(&'p self, path: &'p str) -> Option<Params<'p>> {
        let mut params = Params::default();
        let mut rest = path.strip_prefix('/');
        for segment in &self.segments {
            let left = rest?;
            let (piece, after) = match left.split_once('/') {
                Some((piece, after)) => (piece, Some(after)),
                None => (left, None),
            };
            rest = after;
            match segment {
                Segment::Literal(literal) if literal == piece => {}
                Segment::Param(name) if !piece.is_empty() => params.0.push((name, piece)),
                Segment::Greedy(name) if !left.is_empty() => {
                    params.0.push((name, left));
                    rest = None;
                }
                _ => return None,
            }
        }
        rest.is_none().then_some(params)
    }

    /// How specific it is: a full path, then parameters, then a greedy one.
    pub(super) fn rank(&self) -> Rank {
        match self.segments.last() {
            Some(Segment::Greedy(_)) => Rank::Greedy,
            _ if self.names().next().is_some() => Rank::Params,
            _ => Rank::Full,
        }
    }

    /// How specific each of its segments is.
    pub(super) fn ranks(&self) -> impl Iterator<Item = Rank> {
        self.segments.iter().map(|segment| match segment {
            Segment::Literal(_) => Rank::Full,
            Segment::Param(_) => Rank::Params,
            Segment::Greedy(_) => Rank::Greedy,
        })
    }

    /// The pattern in matchit's syntax, its parameters named by position: two patterns that
    /// name the same parameter differently are the same pattern.
    pub(super) fn for_matchit(&self) -> String {
        let mut text = String::new();
        for (position, segment) in self.segments.iter().enumerate() {
            text.push('/');
            match segment {
                Segment::Literal(literal) => {
                    text.push_str(&literal.replace('{', "{{").replace('}', "}}"));
                }
                Segment::Param(_) => text.push_str(&format!("{{p{position}}}")),
                Segment::Greedy(_) => text.push_str(&format!("{{*p{position}}}")),
            }
        }
        text
    }
}

/// How specific a path is, from the most to the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    Full,
    Params,
    Greedy,
}

impl Segment {
    fn parse(piece: &str) -> Result<Self, PatternError> {
        if !piece.contains(['{', '}']) {
            if matches!(piece, "." | "..") {
                return Err(PatternError::Dots(piece.to_owned()));
            }
            return Ok(Self::Literal(piece.to_owned()));
        }
        let inner = piece.strip_prefix('{').and_then(|piece| piece.strip_suffix('}'));
        let inner = inner.ok_or_else(|| PatternError::Brace(piece.to_owned()))?;
        let (name, greedy) = match inner.strip_suffix('+') {
            Some(name) => (name, true),
            None => (inner, false),
        };
        let allowed =
            |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '$' | ':');
        if name.is_empty() || !name.chars().all(allowed) {
            return Err(PatternError::Name(piece.to_owned()));
        }
        let name = name.to_owned();
        Ok(if greedy { Self::Greedy(name) } else { Self::Param(name) })
    }

    fn name(&self) -> Option<&str> {
        match self {
            Self::Literal(_) => None,
            Self::Param(name) | Self::Greedy(name) => Some(name),
        }
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everything => f.write_str("everything"),
            Self::Prefix(prefix) => write!(f, "{prefix}/…"),
            Self::Path(pattern) => f.write_str(pattern.as_str()),
        }
    }
}

/// The parameters of a matched path, by name, as they stand in it (percent-escapes kept).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params<'p>(pub(super) Vec<(&'p str, &'p str)>);

impl<'p> Params<'p> {
    /// The value of one.
    pub fn value(&self, name: &str) -> Option<&'p str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }
}

/// A `rewrite`: a path with parameters of the route's path in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Param(String),
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|piece| match piece {
            Piece::Text(text) => f.write_str(text),
            Piece::Param(name) => write!(f, "{{{name}}}"),
        })
    }
}

/// A `rewrite` that cannot be filled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // each says itself
pub enum TemplateError {
    #[error("a path begins with `/`")]
    NoSlash,
    #[error("a brace is not closed, or not opened")]
    Brace,
    #[error("the route's path has no parameter `{0}`")]
    Unknown(String),
    #[error("`{0}` cannot stand in a path")]
    Character(char),
}

impl Template {
    /// Reads a template for paths that `pattern` matches; `{proxy+}` may be written as `{proxy}`.
    ///
    /// # Errors
    ///
    /// With the first thing in it that cannot be filled.
    pub fn parse(text: &str, pattern: &PathPattern) -> Result<Self, TemplateError> {
        if !text.starts_with('/') {
            return Err(TemplateError::NoSlash);
        }
        if let Some(odd) = text.chars().find(is_odd) {
            return Err(TemplateError::Character(odd));
        }
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, opened)) = rest.split_once('{') {
            let (name, after) = opened.split_once('}').ok_or(TemplateError::Brace)?;
            let name = name.strip_suffix('+').unwrap_or(name);
            let known = match pattern {
                PathPattern::Path(pattern) => pattern.names().any(|known| known == name),
                PathPattern::Prefix(_) | PathPattern::Everything => false,
            };
            if !known {
                return Err(TemplateError::Unknown(name.to_owned()));
            }
            pieces.push(Piece::Text(before.to_owned()));
            pieces.push(Piece::Param(name.to_owned()));
            rest = after;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        let open = pieces.iter().any(|piece| matches!(piece, Piece::Text(t) if t.contains('}')));
        if open { Err(TemplateError::Brace) } else { Ok(Self(pieces)) }
    }

    /// The path, with the parameters in it.
    pub fn fill(&self, params: &Params<'_>) -> String {
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Param(name) => params.value(name).unwrap_or_default().to_owned(),
        };
        self.0.iter().map(piece).collect()
    }
}

#[cfg(test)]
mod tests;
