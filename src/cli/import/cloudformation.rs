//! A CloudFormation template: REST APIs by their resources and methods, HTTP APIs by their routes
//! and integrations, and either by a `Body` in OpenAPI.

use serde_json::Value;

use crate::cli::import::integration::Integration;
use crate::cli::import::openapi;
use crate::cli::import::operation::{self, Found, Leads, Operation, Path, prefix};
use crate::cli::import::template::Template;

/// How deep resources may lie below each other; API Gateway's paths are shorter.
const DEEPEST: usize = 64;

/// What of a stage has no place here.
const STAGE: [(&str, &str); 3] = [
    ("CacheClusterEnabled", "caching"),
    ("CanarySetting", "a canary of the stage"),
    ("MethodSettings", "settings of methods: throttling, caching, logs, metrics"),
];

/// Adds what a template's APIs say.
pub(super) fn operations(template: &Template<'_>, base_path: Option<&str>, found: &mut Found) {
    methods_and_routes(template, base_path, found);
    bodies(template, base_path, found);
    for (_, stage) in template.of_type("AWS::ApiGateway::Stage") {
        for (key, what) in STAGE {
            if !matches!(&stage[key], Value::Null | Value::Bool(false)) {
                found.lost.push(what.to_owned());
            }
        }
    }
    around(template, found);
}

fn methods_and_routes(template: &Template<'_>, base_path: Option<&str>, found: &mut Found) {
    for (id, method) in template.of_type("AWS::ApiGateway::Method") {
        let api = template.named(&method["RestApiId"]);
        let prefix = base_path.map_or_else(|| rest_stage(template, api.as_deref()), prefix);
        match path(template, &method["ResourceId"], DEEPEST) {
            Some(path) if is_told(template, &method["HttpMethod"]) => {
                found.operations.push(rest(template, method, prefix, path));
            }
            _ => found.lost.push(format!("the method `{id}`: its path or verb cannot be told")),
        }
    }
    for (id, route) in template.of_type("AWS::ApiGatewayV2::Route") {
        let api = template.named(&route["ApiId"]);
        if is_websocket(template, api.as_deref()) {
            found.lost.push(format!("the route `{id}` of a WebSocket API"));
            continue;
        }
        let prefix = base_path.map_or_else(|| http_stage(template, api.as_deref()), prefix);
        match http(template, route, prefix) {
            Some(operation) => found.operations.push(operation),
            None => found.lost.push(format!("the route `{id}`: its `RouteKey` cannot be told")),
        }
    }
}

fn is_told(template: &Template<'_>, method: &Value) -> bool {
    template.words.text(method).as_deref().is_some_and(operation::is_method)
}

/// The APIs themselves, and the documents in them.
fn bodies(template: &Template<'_>, base_path: Option<&str>, found: &mut Found) {
    for kind in ["AWS::ApiGateway::RestApi", "AWS::ApiGatewayV2::Api"] {
        for (id, api) in template.of_type(kind) {
            if api["Body"]["paths"].is_object() {
                let prefix = base_path.map_or_else(
                    || match kind {
                        "AWS::ApiGateway::RestApi" => rest_stage(template, Some(id)),
                        _ => http_stage(template, Some(id)),
                    },
                    prefix,
                );
                let _ = openapi::operations(&api["Body"], &template.words, &prefix, found);
            } else if api.get("BodyS3Location").is_some() {
                found.lost.push(
                    "an API's definition in a file of its own: `import openapi` reads it"
                        .to_owned(),
                );
            }
            if api.get("Policy").is_some() {
                found.lost.push(
                    "the API's resource policy: whoever reaches the listener may call".to_owned(),
                );
            }
            if api.get("CorsConfiguration").is_some() {
                found.lost.push(operation::CORS.to_owned());
            }
        }
    }
}

/// What stands around an API.
fn around(template: &Template<'_>, found: &mut Found) {
    for (id, api) in template.of_type("AWS::ApiGatewayV2::Api") {
        if api.get("Target").is_some() {
            found.lost.push(format!("the `Target` of `{id}`: write a route for its function"));
        }
    }
    for kind in ["AWS::ApiGateway::BasePathMapping", "AWS::ApiGatewayV2::ApiMapping"] {
        if template.of_type(kind).next().is_some() {
            found.lost.push(operation::DOMAIN.to_owned());
        }
    }
    if template.of_type("AWS::WAFv2::WebACLAssociation").next().is_some() {
        found.lost.push("WAF".to_owned());
    }
    if template.of_type("AWS::ApiGateway::UsagePlan").next().is_some() {
        found.lost.push("usage plans".to_owned());
    }
}

/// The path of a resource: its own part below its parent's; the root has none.
fn path(template: &Template<'_>, resource: &Value, far: usize) -> Option<String> {
    let text = template.words.text(resource)?;
    if text.ends_with(".RootResourceId}") {
        return Some("/".to_owned());
    }
    let id = template.named(resource)?;
    let (_, found) = template.of_type("AWS::ApiGateway::Resource").find(|(name, _)| *name == id)?;
    let part = template.words.text(&found["PathPart"])?;
    let parent = path(template, &found["ParentId"], far.checked_sub(1)?)?;
    Some(format!("{}/{part}", parent.trim_end_matches('/')))
}

fn rest(template: &Template<'_>, method: &Value, prefix: String, path: String) -> Operation {
    let text = |key: &str| template.words.text(&method[key]);
    let (mut leads, mut lost) = match Integration::read(&method["Integration"]) {
        Some(integration) => integration.leads(&template.words),
        None => (Leads::Nowhere("it has no integration".to_owned()), Vec::new()),
    };
    if let Leads::To { .. } = &leads
        && method.get("RequestValidatorId").is_some()
    {
        lost.push("request validation (`validate` of a route does it)".to_owned());
    }
    let mut guards = Vec::new();
    guards.extend(authorizer(template, method));
    let is_unknown = template.words.is_unknown(&method["ApiKeyRequired"]);
    if is_unknown || text("ApiKeyRequired").as_deref() == Some("true") {
        guards.push(operation::API_KEY.to_owned());
    }
    leads = guarded(leads, &guards);
    let verb = text("HttpMethod").filter(|verb| verb != "ANY");
    Operation { prefix, path: Path::Of(path), method: verb, leads, lost }
}

fn http(template: &Template<'_>, route: &Value, prefix: String) -> Option<Operation> {
    let text = |key: &str| template.words.text(&route[key]);
    let key = text("RouteKey")?;
    let (method, path) = match key.split_once(' ') {
        Some((method, path)) if operation::is_method(method) => {
            (Some(method.to_owned()), Path::Of(path.to_owned()))
        }
        Some(_) => return None,
        None if key == "$default" => (None, Path::Default),
        None => return None,
    };
    let target = text("Target").unwrap_or_default();
    let id = target.strip_prefix("integrations/${").and_then(|rest| rest.strip_suffix('}'));
    let mut integrations = template.of_type("AWS::ApiGatewayV2::Integration");
    let found = integrations.find(|(name, _)| Some(*name) == id);
    let (leads, lost) = match found.and_then(|(_, properties)| Integration::read(properties)) {
        Some(integration) => integration.leads(&template.words),
        None => (Leads::Nowhere("it has no integration".to_owned()), Vec::new()),
    };
    let guards: Vec<String> = authorizer(template, route).into_iter().collect();
    let method = method.filter(|method| method != "ANY");
    Some(Operation { prefix, path, method, leads: guarded(leads, &guards), lost })
}

/// Callers of a WebSocket API speak another protocol; its `$default` is no path.
fn is_websocket(template: &Template<'_>, api: Option<&str>) -> bool {
    let mut apis = template.of_type("AWS::ApiGatewayV2::Api");
    let of = apis.find(|(id, _)| Some(*id) == api);
    of.and_then(|(_, api)| template.words.text(&api["ProtocolType"])).as_deref()
        == Some("WEBSOCKET")
}

fn authorizer(template: &Template<'_>, of: &Value) -> Option<String> {
    let kind = &of["AuthorizationType"];
    if template.words.is_unknown(kind) {
        return Some("an authorizer that cannot be told".to_owned());
    }
    let kind =
        template.words.text(kind).filter(|kind| !matches!(kind.as_str(), "NONE" | "AWS_IAM"))?;
    Some(format!("an authorizer ({kind})"))
}

fn guarded(leads: Leads, guards: &[String]) -> Leads {
    match leads {
        Leads::To { function, within } if !guards.is_empty() => {
            Leads::Guarded { function, within, by: guards.join(", ") }
        }
        leads => leads,
    }
}

/// The stage of a REST API: of a stage of its own, or in a deployment.
fn rest_stage(template: &Template<'_>, api: Option<&str>) -> String {
    let of_kind = |kind: &'static str| {
        let of_api = template
            .of_type(kind)
            .find(|(_, properties)| template.named(&properties["RestApiId"]).as_deref() == api);
        of_api.and_then(|(_, properties)| template.words.text(&properties["StageName"]))
    };
    let stage =
        of_kind("AWS::ApiGateway::Stage").or_else(|| of_kind("AWS::ApiGateway::Deployment"));
    prefix(&stage.unwrap_or_default())
}

fn http_stage(template: &Template<'_>, api: Option<&str>) -> String {
    let mut stages = template.of_type("AWS::ApiGatewayV2::Stage");
    let of_api = stages.find(|(_, stage)| template.named(&stage["ApiId"]).as_deref() == api);
    let stage = of_api.and_then(|(_, stage)| template.words.text(&stage["StageName"]));
    prefix(&stage.unwrap_or_default())
}
