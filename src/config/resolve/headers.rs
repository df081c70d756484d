//! Headers that a route changes, and those that it may not.

use http::HeaderValue;
use http::header::{self, HeaderName};

use crate::config::HeaderChanges;
use crate::config::reader::Entry;
use crate::config::values::Wrong;

/// No changes where nothing is written.
pub(super) fn changes(entry: Option<Entry<'_>>, of_request: bool) -> HeaderChanges {
    let mut changes = HeaderChanges::default();
    let Some(table) = entry.and_then(|entry| entry.table()) else { return changes };
    if let Some(set) = table.table("set") {
        for (name, entry) in set.named() {
            let value = entry.parsed("a header's value", |text| {
                HeaderValue::try_from(text).map_err(|_| {
                    Wrong::new("this cannot stand in a header", "write printable characters")
                })
            });
            match (header_name(&name, of_request), value) {
                (Ok(name), Some(value)) => changes.set.push((name, value)),
                (Err(wrong), _) => entry.problem(wrong),
                (Ok(_), None) => {}
            }
        }
    }
    let remove = table.take("remove").and_then(|entry| entry.strings("a header's name"));
    for (entry, name) in remove.unwrap_or_default() {
        match header_name(&name, of_request) {
            Ok(name) => changes.remove.push(name),
            Err(wrong) => entry.problem(wrong),
        }
    }
    table.finish();
    changes
}

/// A header that a route may change: not those that make the message, the signature or the loop
/// guard what they are.
pub(super) fn header_name(text: &str, of_request: bool) -> Result<HeaderName, Wrong> {
    let name = HeaderName::try_from(text).map_err(|_| {
        Wrong::new(format!("`{text}` is no header's name"), "write a word such as `x-env`")
    })?;
    let framing = [
        header::CONNECTION,
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        header::TE,
        header::TRAILER,
        header::PROXY_AUTHENTICATE,
        header::PROXY_AUTHORIZATION,
        HeaderName::from_static("keep-alive"),
        HeaderName::from_static("proxy-connection"),
    ];
    let signing = [
        "authorization",
        "expect",
        "host",
        "via",
        "x-amz-content-sha256",
        "x-amz-date",
        "x-amz-security-token",
    ];
    if framing.contains(&name) || (of_request && signing.contains(&name.as_str())) {
        return Err(Wrong::new(
            format!("`{name}` is not a route's to change"),
            "leave it out: it belongs to the connection or to the signature",
        ));
    }
    Ok(name)
}
