//! Where an integration leads: to a function by `aws_proxy`, or to something that has no place
//! here.

use serde::Deserialize;
use serde_json::Value;

use crate::cli::import::intrinsics::{Words, stage_variable};
use crate::cli::import::operation::{Function, Leads};

/// An integration, as OpenAPI (`type`), a REST method (`Type`) and an HTTP API's resource
/// (`IntegrationType`) write it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Integration {
    #[serde(rename = "type", alias = "Type", alias = "IntegrationType")]
    kind: Value,
    #[serde(alias = "Uri", alias = "IntegrationUri")]
    uri: Value,
    #[serde(rename = "integrationSubtype", alias = "IntegrationSubtype")]
    subtype: Value,
    #[serde(rename = "connectionType", alias = "ConnectionType")]
    connection: Value,
    #[serde(rename = "timeoutInMillis", alias = "TimeoutInMillis")]
    timeout: Value,
    #[serde(rename = "payloadFormatVersion", alias = "PayloadFormatVersion")]
    payload: Value,
    #[serde(rename = "requestParameters", alias = "RequestParameters")]
    parameters: Value,
    #[serde(rename = "responseParameters", alias = "ResponseParameters")]
    response_parameters: Value,
    #[serde(rename = "requestTemplates", alias = "RequestTemplates")]
    templates: Value,
    #[serde(rename = "cacheKeyParameters", alias = "CacheKeyParameters")]
    cache_key: Value,
    #[serde(alias = "Credentials", alias = "CredentialsArn")]
    credentials: Value,
}

/// What every REST API's function loses, and an HTTP API's that did not ask for 2.0.
pub(super) const OLD_FORMAT: &str = "event format 1.0: a Function URL sends 2.0";

/// Why a URI leads to no function that can be called here.
enum NoFunction {
    StageVariable(String),
    Unknown,
}

impl Integration {
    /// Reads one. What is no table is none.
    pub(super) fn read(value: &Value) -> Option<Self> {
        value.is_object().then(|| serde_json::from_value(value.clone()).ok()).flatten()
    }

    /// Where it leads, and what of it is lost.
    pub(super) fn leads(&self, words: &Words) -> (Leads, Vec<String>) {
        match self.function(words) {
            Ok(function) => {
                let within = words.text(&self.timeout).and_then(|text| text.parse().ok());
                (Leads::To { function, within }, self.lost(words))
            }
            Err(why) => (Leads::Nowhere(why), Vec::new()),
        }
    }

    fn function(&self, words: &Words) -> Result<Function, String> {
        let kind = words.text(&self.kind).unwrap_or_default().to_ascii_lowercase();
        match kind.as_str() {
            "aws_proxy" => {}
            "aws" => {
                return Err(
                    "an `aws` integration, with mapping templates in place of the proxy".to_owned()
                );
            }
            "mock" => return Err("a mock integration: API Gateway answers itself".to_owned()),
            "http" | "http_proxy" => return Err("an HTTP integration, not a function".to_owned()),
            other => return Err(format!("an integration of type `{other}`")),
        }
        if let Some(service) = words.text(&self.subtype) {
            return Err(format!("an integration with `{service}`, not a function"));
        }
        if words.text(&self.connection).is_some_and(|kind| kind == "VPC_LINK") {
            return Err("a VPC link".to_owned());
        }
        if maps(&self.parameters) || maps(&self.response_parameters) {
            return Err("parameters are mapped between the caller and the function".to_owned());
        }
        let uri = words.text(&self.uri).ok_or("its `uri` is no text")?;
        function(&uri).map_err(|error| match error {
            NoFunction::StageVariable(name) => {
                format!(
                    "its `uri` needs the stage variable `{name}` (--stage-variable {name}=VALUE)"
                )
            }
            NoFunction::Unknown if uri.contains("${AWS::") => format!(
                "its `uri` needs what the template does not say (--parameter AWS::Region=…, \
                 --parameter AWS::AccountId=…): `{uri}`"
            ),
            NoFunction::Unknown => format!("its `uri` names no function: `{uri}`"),
        })
    }

    fn lost(&self, words: &Words) -> Vec<String> {
        let mut lost = Vec::new();
        if words.text(&self.payload).is_none_or(|version| version != "2.0") {
            lost.push(OLD_FORMAT.to_owned());
        }
        if is_something(&self.templates) {
            lost.push("mapping templates, which `aws_proxy` does not use".to_owned());
        }
        if is_something(&self.cache_key) {
            lost.push("caching".to_owned());
        }
        if is_something(&self.credentials) {
            lost.push("the integration's own role: the role of this process signs".to_owned());
        }
        lost
    }
}

fn is_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Array(values) => !values.is_empty(),
        Value::Object(table) => !table.is_empty(),
        _ => true,
    }
}

/// An HTTP API's parameter mapping: `overwrite:path`, `append:header.x`, by status in answers. A
/// REST API's `integration.request.…` beside `aws_proxy` only names cache keys.
fn maps(parameters: &Value) -> bool {
    let changes =
        |key: &str| ["overwrite:", "append:", "remove:"].iter().any(|begin| key.starts_with(begin));
    let table = parameters.as_object().into_iter().flatten();
    table.into_iter().any(|(key, value)| changes(key) || maps(value))
}

/// The function of a URI: `arn:…:apigateway:…:lambda:path/2015-03-31/functions/ARN/invocations`,
/// an ARN alone, or a resource of a template in place of it.
fn function(uri: &str) -> Result<Function, NoFunction> {
    let bare =
        match uri.split_once("lambda:path/").and_then(|(_, rest)| rest.split_once("/functions/")) {
            Some((_date, rest)) => {
                let ends = ["/response-streaming-invocations", "/invocations"];
                ends.iter().find_map(|end| rest.strip_suffix(end)).unwrap_or(rest)
            }
            None => uri,
        };
    if let Some(name) = stage_variable(bare) {
        return Err(NoFunction::StageVariable(name.to_owned()));
    }
    if let Some(function) = Function::of_arn(bare) {
        return Ok(function);
    }
    resource(bare).ok_or(NoFunction::Unknown)
}

/// `${Orders.Arn}`, `${Orders}`, `${Orders.Alias}`, each with an alias behind a colon or without.
pub(super) fn resource(text: &str) -> Option<Function> {
    let (inner, rest) = text.strip_prefix("${")?.split_once('}')?;
    let (name, _attribute) = inner.split_once('.').unwrap_or((inner, ""));
    let is_word = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    let is_alias = rest.is_empty() || rest.strip_prefix(':').is_some_and(is_word);
    if !is_word(name) || !is_alias {
        return None;
    }
    Some(Function { id: format!("{name}{rest}"), arn: None, name: None })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Integration, OLD_FORMAT};
    use crate::cli::import::intrinsics::Words;
    use crate::cli::import::operation::Leads;

    const ARN: &str = "arn:aws:lambda:us-east-1:111122223333:function:orders:live";

    fn leads(value: Value) -> Result<(String, Vec<String>), String> {
        match Integration::read(&value).unwrap().leads(&Words::default()) {
            (Leads::To { function, .. }, lost) => Ok((function.id, lost)),
            (Leads::Nowhere(why) | Leads::Guarded { by: why, .. }, _) => Err(why),
        }
    }

    #[test]
    fn finds_the_function_of_every_form_of_uri() {
        for uri in [
            ARN.to_owned(),
            format!(
                "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{ARN}/invocations"
            ),
            format!(
                "arn:aws:apigateway:us-east-1:lambda:path/2021-11-15/functions/{ARN}/response-streaming-invocations"
            ),
        ] {
            let found = leads(json!({"type": "AWS_PROXY", "uri": uri})).unwrap();
            assert_eq!(found, (ARN.to_owned(), vec![OLD_FORMAT.to_owned()]));
        }
        let sub = json!({"Fn::Sub": "arn:aws:apigateway:r:lambda:path/2015-03-31/functions/${Orders.Arn}:live/invocations"});
        assert_eq!(leads(json!({"type": "aws_proxy", "uri": sub})).unwrap().0, "Orders:live");
        let alias = json!({"IntegrationType": "AWS_PROXY", "IntegrationUri": {"Ref": "Live"}});
        assert_eq!(leads(alias).unwrap().0, "Live");
    }

    #[test]
    fn what_is_no_function_leads_nowhere() {
        for (value, why) in [
            (json!({"type": "mock"}), "a mock integration"),
            (json!({"type": "HTTP_PROXY", "uri": "https://example.com"}), "an HTTP integration"),
            (json!({"type": "aws", "uri": ARN}), "an `aws` integration"),
            (
                json!({"type": "aws_proxy", "integrationSubtype": "SQS-SendMessage"}),
                "an integration with `SQS",
            ),
            (json!({"type": "aws_proxy", "uri": ARN, "connectionType": "VPC_LINK"}), "a VPC link"),
            (
                json!({"type": "aws_proxy", "uri": ARN, "requestParameters": {"overwrite:path": "/x"}}),
                "parameters are mapped",
            ),
            (
                json!({"type": "aws_proxy", "uri": ARN, "responseParameters": {"200": {"append:header.x": "1"}}}),
                "parameters are mapped",
            ),
            (
                json!({"type": "aws_proxy", "uri": "x:${stageVariables.fn}"}),
                "its `uri` needs the stage variable `fn`",
            ),
            (
                json!({"type": "aws_proxy", "uri": "arn:aws:sqs:us-east-1:1:q"}),
                "its `uri` names no function",
            ),
            (json!({"type": "aws_proxy"}), "its `uri` is no text"),
        ] {
            let told = leads(value).unwrap_err();
            assert!(told.starts_with(why), "{told}");
        }
    }

    #[test]
    fn tells_what_is_lost_beside_the_function() {
        let value = json!({
            "type": "aws_proxy", "uri": ARN, "payloadFormatVersion": "1.0",
            "requestTemplates": {"application/json": "{}"}, "cacheKeyParameters": ["x"], "credentials": "arn"
        });
        assert_eq!(leads(value).unwrap().1.len(), 4);
    }
}
