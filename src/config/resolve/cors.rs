//! `cors`: the keys of an HTTP API's configuration, and what the Fetch standard does not let
//! stand together.

use http::header::HeaderName;
use http::{HeaderValue, Method};

use crate::config::reader::{Entry, Reader};
use crate::config::resolve::{routes, settings};
use crate::config::values::{self, Wrong};
use crate::config::{Cors, CorsCredentials, CorsMethods, CorsOrigins, defaults};

/// None where it is `false`, or has a problem. `taken`: the methods of the route; none: any.
pub(super) fn cors(entry: &Entry<'_>, taken: &[Method]) -> Option<Cors> {
    if entry.is_false() {
        return None;
    }
    if !entry.is_table() {
        let hint = "write `{ origins = [\"https://app.example.com\"] }`, or `false`";
        entry.problem(Wrong::new("CORS is a table", hint));
        return None;
    }
    let table = entry.table()?;
    let origins = origins(&table);
    let methods = table.take("methods");
    let headers = table.take("headers").and_then(|entry| names(&entry));
    let expose_headers = table.take("expose_headers").and_then(|entry| names(&entry));
    let max_age = table.take("max_age").and_then(|entry| {
        entry.parsed("a duration such as `\"10m\"`", |text| {
            let age = values::duration(text)?;
            let whole = age.subsec_nanos() == 0;
            whole.then_some(age).ok_or_else(|| {
                Wrong::new("browsers count in seconds", "write whole ones: `0s`, `10m`")
            })
        })
    });
    let credentials = table.take("credentials").and_then(|entry| entry.boolean());
    table.finish();
    let by_default = || {
        CorsMethods::Only(if taken.is_empty() { &defaults::CORS_METHODS } else { taken }.to_vec())
    };
    let cors = Cors {
        origins: origins?,
        methods: methods.map_or_else(|| Some(by_default()), |entry| self::methods(&entry))?,
        headers,
        expose_headers,
        max_age,
        credentials: match credentials {
            Some(true) => CorsCredentials::Sent,
            Some(false) | None => CorsCredentials::Withheld,
        },
    };
    refuse_any_with_credentials(&table, &cors);
    Some(cors)
}

fn origins(table: &Reader<'_>) -> Option<CorsOrigins> {
    let Some(entry) = table.take("origins") else {
        let hint = "write `origins = [\"https://app.example.com\"]`";
        table.problem_here(Wrong::new("`origins` is missing", hint));
        return None;
    };
    let typed = entry.strings("an origin such as `\"https://app.example.com\"`")?;
    if typed.is_empty() {
        let hint = "name one such as `https://app.example.com`, or leave `cors` out";
        entry.problem(Wrong::new("no page would be let in", hint));
        return None;
    }
    let mut origins = Vec::new();
    for (entry, text) in typed {
        match settings::origin(&text) {
            Ok(origin) if origin == "*" => return Some(CorsOrigins::Any),
            Ok(origin) if origin.contains('*') => entry.problem(Wrong::new(
                format!("`{text}` holds a `*`, which stands for any origin, alone"),
                "name each origin, or write `[\"*\"]`",
            )),
            Ok(origin) => origins.push(origin),
            Err(wrong) => entry.problem(wrong),
        }
    }
    Some(CorsOrigins::Only(origins))
}

fn methods(entry: &Entry<'_>) -> Option<CorsMethods> {
    if is_any(entry) {
        return Some(CorsMethods::Any);
    }
    let methods = routes::methods(entry)?;
    if methods.iter().any(|method| method == "*") {
        let hint = "name each method, or write `[\"*\"]`";
        entry.problem(Wrong::new("`*` stands for any method, alone", hint));
    }
    Some(CorsMethods::Only(methods))
}

fn is_any(entry: &Entry<'_>) -> bool {
    entry.is_list_of("*")
}

/// Names of headers as one header lists them.
fn names(entry: &Entry<'_>) -> Option<HeaderValue> {
    if is_any(entry) {
        return Some(HeaderValue::from_static("*"));
    }
    let typed = entry.strings("a header's name such as `\"content-type\"`")?;
    let name = |(entry, text): (Entry<'_>, String)| match HeaderName::try_from(&text) {
        Ok(name) if name != "*" => Some(name.as_str().to_owned()),
        _ => {
            let hint = "write a word such as `content-type`, or `[\"*\"]` for any";
            entry.problem(Wrong::new(format!("`{text}` is no header's name"), hint));
            None
        }
    };
    let names: Vec<String> = typed.into_iter().filter_map(name).collect();
    let list = HeaderValue::try_from(names.join(", ")).expect("names of headers are tokens");
    (!names.is_empty()).then_some(list)
}

/// To a request with credentials a `*` is a plain word (Fetch standard, 3.2.5).
fn refuse_any_with_credentials(table: &Reader<'_>, cors: &Cors) {
    if cors.credentials == CorsCredentials::Withheld {
        return;
    }
    let any = |list: &Option<HeaderValue>| list.as_ref().is_some_and(|list| list == "*");
    for (key, is_any) in [
        ("origins", cors.origins == CorsOrigins::Any),
        ("methods", cors.methods == CorsMethods::Any),
        ("headers", any(&cors.headers)),
        ("expose_headers", any(&cors.expose_headers)),
    ] {
        if is_any {
            table.problem(
                key,
                Wrong::new(
                    "browsers take no `*` with credentials",
                    "name each, or write `credentials = false`",
                ),
            );
        }
    }
}

/// Tells what `["*"]` means here, where no key stands in between.
pub(super) fn warn_of_any(entry: &Entry<'_>, cors: &Cors) {
    if cors.origins == CorsOrigins::Any {
        entry.warning(Wrong::new(
            "any page that a browser opens may call this route, as the role",
            "name the pages' origins, or ask for a key with `api_keys`",
        ));
    }
}
