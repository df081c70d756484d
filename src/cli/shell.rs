//! Words for a POSIX shell.

/// A word that a shell takes as it stands.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
