//! An export of API Gateway: OpenAPI 3.0 or Swagger 2.0 with Amazon's extensions, of a REST or an
//! HTTP API. <https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-swagger-extensions.html>

use serde_json::{Map, Value};

use crate::cli::import::integration::Integration;
use crate::cli::import::intrinsics::Words;
use crate::cli::import::operation::{self, Found, Leads, Operation, Path, prefix};

const ANY: &str = "x-amazon-apigateway-any-method";
const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

/// What of the whole API has no place here, by its key.
const LOST: [(&str, &str); 5] = [
    (
        "x-amazon-apigateway-policy",
        "the API's resource policy: whoever reaches the listener may call",
    ),
    ("x-amazon-apigateway-request-validator", "request validation (`validate` of a route does it)"),
    (
        "x-amazon-apigateway-gateway-responses",
        "gateway responses (`error_style = \"api-gateway\"` comes near)",
    ),
    ("x-amazon-apigateway-cors", operation::CORS),
    ("x-amazon-apigateway-minimum-compression-size", "compression of answers"),
];

/// A document that is no such export.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoApi {
    #[error("it is no OpenAPI document: `openapi: 3.0.x` or `swagger: \"2.0\"` is missing")]
    Version,
    #[error("it has no `paths`")]
    Paths,
}

/// Reads a whole export. `base_path` goes before what the export says.
pub(super) fn read(
    document: &Value,
    words: &Words,
    base_path: Option<&str>,
) -> Result<Found, NoApi> {
    let version = match (&document["openapi"], &document["swagger"]) {
        (Value::String(version), _) if version.starts_with("3.") => format!("OpenAPI {version}"),
        (_, Value::String(version)) if version == "2.0" => "Swagger 2.0".to_owned(),
        _ => return Err(NoApi::Version),
    };
    let title = document["info"]["title"].as_str().unwrap_or("without a title");
    let mut found = Found { what: format!("the API `{title}`, {version}"), ..Found::default() };
    let prefix = match base_path {
        Some(base_path) => prefix(base_path),
        None => base(document, &mut found.lost),
    };
    operations(document, words, &prefix, &mut found)?;
    Ok(found)
}

/// Adds the operations of a document, below a prefix.
pub(super) fn operations(
    document: &Value,
    words: &Words,
    prefix: &str,
    found: &mut Found,
) -> Result<(), NoApi> {
    let paths = document["paths"].as_object().ok_or(NoApi::Paths)?;
    let lost = LOST.iter().filter(|(key, _)| document.get(key).is_some());
    found.lost.extend(lost.map(|(_, what)| (*what).to_owned()));
    for (path, item) in paths {
        let item = item.as_object().into_iter().flatten();
        for (key, operation) in item {
            let key = key.to_ascii_lowercase();
            let method = match key.as_str() {
                ANY => None,
                method if METHODS.contains(&method) => Some(method.to_ascii_uppercase()),
                "$ref" => None,
                key if key.starts_with("fn::") => None,
                _ => continue, // `parameters`, `summary`
            };
            let (leads, lost) = leads(document, operation, words);
            let is_default = operation["isDefaultRoute"] == true
                || matches!(path.as_str(), "$default" | "/$default");
            let path = if is_default { Path::Default } else { Path::Of(path.clone()) };
            let prefix = prefix.to_owned();
            found.operations.push(Operation { prefix, path, method, leads, lost });
        }
    }
    Ok(())
}

fn leads(document: &Value, operation: &Value, words: &Words) -> (Leads, Vec<String>) {
    let integration = followed(document, &operation["x-amazon-apigateway-integration"]);
    let Some(integration) = Integration::read(integration) else {
        return (Leads::Nowhere("it has no integration".to_owned()), Vec::new());
    };
    let (mut leads, mut lost) = integration.leads(words);
    if let Leads::To { function, within } = &leads {
        if operation.get("x-amazon-apigateway-request-validator").is_some() {
            lost.push("request validation (`validate` of a route does it)".to_owned());
        }
        if let Some(by) = guard(document, operation) {
            leads = Leads::Guarded { function: function.clone(), within: *within, by };
        }
    }
    (leads, lost)
}

/// What a `$ref` within the document leads to.
fn followed<'d>(document: &'d Value, value: &'d Value) -> &'d Value {
    let pointer = value["$ref"].as_str().and_then(|text| text.strip_prefix('#'));
    pointer.map_or(value, |pointer| document.pointer(pointer).unwrap_or(&Value::Null))
}

/// Who checks the caller of an operation, where it is not SigV4, which this process speaks.
fn guard(document: &Value, operation: &Value) -> Option<String> {
    let needed = match operation.get("security").unwrap_or(&document["security"]) {
        Value::Null => return None,
        Value::Array(needed) => needed,
        _ => return Some("an authorizer that cannot be told".to_owned()),
    };
    let schemes = match &document["components"]["securitySchemes"] {
        Value::Null => &document["securityDefinitions"],
        schemes => schemes,
    };
    let mut guards: Vec<String> = Vec::new();
    // API Gateway asks for all of them, an API key beside IAM too: to it they are no alternatives.
    for check in needed.iter().filter_map(Value::as_object).flat_map(|one| checks(one, schemes)) {
        if !guards.contains(&check) {
            guards.push(check);
        }
    }
    (!guards.is_empty()).then(|| guards.join(", "))
}

fn checks(alternative: &Map<String, Value>, schemes: &Value) -> Vec<String> {
    let check = |name: &String| {
        let scheme = &schemes[name.as_str()];
        let is_sigv4 = scheme["x-amazon-apigateway-authtype"] == "awsSigv4";
        let is_key = scheme["type"] == "apiKey"
            && scheme["name"].as_str().is_some_and(|name| name.eq_ignore_ascii_case("x-api-key"))
            && scheme.get("x-amazon-apigateway-authorizer").is_none();
        match (is_sigv4, is_key) {
            (true, _) => None,
            (_, true) => Some(operation::API_KEY.to_owned()),
            _ => Some(format!("the authorizer `{name}`")),
        }
    };
    alternative.keys().filter_map(check).collect()
}

/// The path that the API's URL has: `basePath`, or the path of the first server at API Gateway.
fn base(document: &Value, lost: &mut Vec<String>) -> String {
    if let Some(base_path) = document["basePath"].as_str() {
        return prefix(base_path);
    }
    let servers = document["servers"].as_array().into_iter().flatten();
    let mut urls: Vec<String> = servers.filter_map(server).collect();
    urls.sort_by_key(|url| !url.contains(".execute-api.")); // stable: the first one stays first
    let mut bases = urls.iter().map(|url| {
        let after = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
        prefix(after.split_once('/').map_or("", |(_, path)| path))
    });
    let first = bases.next().unwrap_or_default();
    for other in bases.filter(|other| *other != first) {
        lost.push(format!("another server has the base path `{other}/` (--base-path {other}/)"));
    }
    first
}

/// A server's URL, its variables filled with their defaults.
fn server(server: &Value) -> Option<String> {
    let mut url = server["url"].as_str()?.to_owned();
    for (name, variable) in server["variables"].as_object().into_iter().flatten() {
        let default = variable["default"].as_str().unwrap_or_default();
        url = url.replace(&format!("/{{{name}}}"), &format!("/{}", default.trim_matches('/')));
        url = url.replace(&format!("{{{name}}}"), default);
    }
    Some(url)
}
