//! A SAM template: the `Api` and `HttpApi` events of its functions, and APIs with an OpenAPI
//! document in `DefinitionBody`.
//! <https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-specification.html>

use serde_json::Value;

use crate::cli::import::integration::OLD_FORMAT;
use crate::cli::import::openapi;
use crate::cli::import::operation::{self, Found, Leads, Operation, Path, prefix};
use crate::cli::import::template::Template;

/// The stage of the REST API that SAM makes where no event names one.
const IMPLICIT_STAGE: &str = "Prod";

/// What stands for a name that a condition gives.
const UNKNOWN: &str = "of a condition";

/// A kind of event, and of the API behind it.
struct Kind {
    event: &'static str,
    resource: &'static str,
    /// What an event calls its API.
    api: &'static str,
    /// What `Globals` calls it.
    globals: &'static str,
    format: &'static str,
}

const KINDS: [Kind; 2] = [
    Kind {
        event: "Api",
        resource: "AWS::Serverless::Api",
        api: "RestApiId",
        globals: "Api",
        format: "1.0",
    },
    Kind {
        event: "HttpApi",
        resource: "AWS::Serverless::HttpApi",
        api: "ApiId",
        globals: "HttpApi",
        format: "2.0",
    },
];

/// Adds what a template's events say.
pub(super) fn operations(template: &Template<'_>, base_path: Option<&str>, found: &mut Found) {
    for (id, function) in template.of_type("AWS::Serverless::Function") {
        let to = Leads::To {
            function: template.function(&template.published(id, function)),
            within: None,
        };
        events(template, (id, function), &to, base_path, found);
    }
    for (id, machine) in template.of_type("AWS::Serverless::StateMachine") {
        let nowhere = Leads::Nowhere("a state machine, not a function".to_owned());
        events(template, (id, machine), &nowhere, base_path, found);
    }
    for kind in &KINDS {
        settings(template, kind, &Value::Null, found); // of the APIs that SAM makes itself
        for (_, api) in template.of_type(kind.resource) {
            settings(template, kind, api, found);
            if api["DefinitionBody"]["paths"].is_object() {
                let stage = base_path.map_or_else(|| stage(template, kind, Some(api)), prefix);
                let before = found.operations.len();
                let _ = openapi::operations(&api["DefinitionBody"], &template.words, &stage, found);
                // SAM puts the API's authorizer before each of them.
                if let Some(by) = guard(template, kind, &Value::Null, Some(api)) {
                    found.operations[before..].iter_mut().for_each(|of| of.leads.guard(&by));
                }
            } else if api.get("DefinitionUri").is_some() || api.get("DefinitionBody").is_some() {
                found.lost.push(
                    "an API's definition in a file of its own: `import openapi` reads it"
                        .to_owned(),
                );
            }
        }
    }
}

/// Adds the operations of one resource.
fn events(
    template: &Template<'_>,
    (id, resource): (&str, &Value),
    leads: &Leads,
    base_path: Option<&str>,
    found: &mut Found,
) {
    for (name, event) in resource["Events"].as_object().into_iter().flatten() {
        let Some(kind) = KINDS.iter().find(|kind| event["Type"] == kind.event) else { continue };
        match operation(template, kind, leads, &event["Properties"], base_path) {
            Some(operation) => found.operations.push(operation),
            None => found.lost.push(format!(
                "the event `{name}` of `{id}`: its path or its method cannot be told"
            )),
        }
    }
}

/// None where a condition says what it takes: read as all, it would be a broader route.
fn operation(
    template: &Template<'_>,
    kind: &Kind,
    leads: &Leads,
    event: &Value,
    base_path: Option<&str>,
) -> Option<Operation> {
    let is_unknown = |key: &str| template.words.is_unknown(&event[key]);
    if is_unknown("Path") || is_unknown("Method") {
        return None;
    }
    let text = |key: &str| template.words.text(&event[key]);
    let api = template.named(&event[kind.api]);
    let api = api.and_then(|id| template.of_type(kind.resource).find(|(name, _)| *name == id));
    let api = api.map(|(_, properties)| properties);
    let path = match text("Path") {
        Some(path) if path != "$default" && path != "/$default" => Path::Of(path),
        _ => Path::Default,
    };
    let method = text("Method").map(|method| method.to_ascii_uppercase());
    let method = method.filter(|method| {
        !matches!(method.as_str(), "ANY" | "*" | "$DEFAULT" | "X-AMAZON-APIGATEWAY-ANY-METHOD")
    });
    if !method.as_deref().is_none_or(operation::is_method) {
        return None;
    }
    let within = text("TimeoutInMillis").and_then(|text| text.parse().ok());
    let mut lost = Vec::new();
    let format = text("PayloadFormatVersion").unwrap_or_else(|| kind.format.to_owned());
    if format.starts_with('1') {
        lost.push(OLD_FORMAT.to_owned());
    }
    if event.get("RequestModel").is_some() || event.get("RequestParameters").is_some() {
        lost.push("request validation (`validate` of a route does it)".to_owned());
    }
    let mut leads = match leads {
        Leads::To { function, .. } => Leads::To { function: function.clone(), within },
        other => other.clone(),
    };
    if let Some(by) = guard(template, kind, event, api) {
        leads.guard(&by);
    }
    let prefix = base_path.map_or_else(|| stage(template, kind, api), prefix);
    Some(Operation { prefix, path, method, leads, lost })
}

/// The stage as it stands in paths.
fn stage(template: &Template<'_>, kind: &Kind, api: Option<&Value>) -> String {
    let named = api.and_then(|api| template.words.text(&api["StageName"]));
    let implied = if kind.event == "Api" { IMPLICIT_STAGE } else { "$default" };
    prefix(&named.unwrap_or_else(|| implied.to_owned()))
}

/// Who checks the caller: the event's own `Auth`, else that of its API or of `Globals`.
fn guard(
    template: &Template<'_>,
    kind: &Kind,
    event: &Value,
    api: Option<&Value>,
) -> Option<String> {
    let around = template.properties(api.unwrap_or(&Value::Null), kind.globals, "Auth");
    // What a condition says is nobody's name, and asks for a key: better too much than too little.
    let told = |auth: &Value, key: &str| {
        let is_condition =
            auth.as_object().is_some_and(|table| table.keys().any(|key| key.starts_with("Fn::")));
        let unknown = is_condition || template.words.is_unknown(&auth[key]);
        if unknown { Some(UNKNOWN.to_owned()) } else { template.words.text(&auth[key]) }
    };
    let said = |key: &str, default: &str| {
        let own = told(&event["Auth"], key);
        own.or_else(|| around.iter().find_map(|auth| told(auth, default)))
    };
    let mut guards = Vec::new();
    match said("Authorizer", "DefaultAuthorizer").as_deref() {
        None | Some("NONE" | "AWS_IAM") => {}
        Some(name) => guards.push(format!("the authorizer `{name}`")),
    }
    if matches!(said("ApiKeyRequired", "ApiKeyRequired").as_deref(), Some("true" | UNKNOWN)) {
        guards.push(operation::API_KEY.to_owned());
    }
    (!guards.is_empty()).then(|| guards.join(", "))
}

/// What an API itself loses.
fn settings(template: &Template<'_>, kind: &Kind, api: &Value, found: &mut Found) {
    for (key, what) in [
        ("CacheClusterEnabled", "caching"),
        ("Cors", operation::CORS),
        ("CorsConfiguration", operation::CORS),
        ("GatewayResponses", "gateway responses (`error_style = \"api-gateway\"` comes near)"),
        ("Domain", operation::DOMAIN),
    ] {
        let value = template.property(api, kind.globals, key);
        if !matches!(value, Value::Null | Value::Bool(false)) {
            found.lost.push(what.to_owned());
        }
    }
}
