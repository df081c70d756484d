//! Path patterns ([`pattern`]) and the table that finds a request's route ([`table`]). The
//! configuration finds duplicates with it, the proxy matches with it, `explain` asks it why. Where
//! a route has several targets, [`weights`] choose one.

pub mod host;
pub mod pattern;
pub mod table;
pub mod weights;

pub use host::HostPattern;
pub use pattern::{Params, PathPattern, Pattern, PatternError, Template, TemplateError};
pub use table::{Conflict, Found, Key, Reason, Rule, Table};
pub use weights::{Turns, Weights};
