//! Methods as a label: a client may send any token, so unknown ones share a name.

use http::Method;

/// A method's name as OpenTelemetry has it.
pub(super) fn label(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] =
        ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "CONNECT", "TRACE"];
    let name = method.as_str();
    KNOWN.into_iter().find(|known| *known == name).unwrap_or("_OTHER")
}
