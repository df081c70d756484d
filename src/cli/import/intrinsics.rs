//! Text with holes in it: CloudFormation's `Ref`, `Fn::Sub`, `Fn::GetAtt` and `Fn::Join`, and API
//! Gateway's stage variables. What is known is filled in; a resource stays as `${Name}`.

use std::collections::BTreeMap;

use serde_json::Value;

/// How API Gateway writes a stage variable.
const STAGE_VARIABLE: &str = "stageVariables.";

/// What holes are filled with.
#[derive(Debug, Default)]
pub(super) struct Words {
    /// Parameters of a template and pseudo parameters, such as `AWS::Region`.
    parameters: BTreeMap<String, String>,
    stage_variables: BTreeMap<String, String>,
}

impl Words {
    /// Stage variables and parameters as they were typed.
    pub(super) fn new(
        stage_variables: &[(String, String)],
        parameters: &[(String, String)],
    ) -> Self {
        let partition = ("AWS::Partition".to_owned(), "aws".to_owned());
        Self {
            parameters: std::iter::once(partition).chain(parameters.iter().cloned()).collect(),
            stage_variables: stage_variables.iter().cloned().collect(),
        }
    }

    /// A parameter's default counts where nothing was typed.
    pub(super) fn default_parameters(&mut self, template: &Value) {
        for (name, parameter) in template["Parameters"].as_object().into_iter().flatten() {
            let default = &parameter["Default"];
            // A default is no function: one made of others could grow without end.
            if let Some(default) = self.text(default).filter(|_| !default.is_object()) {
                self.parameters.entry(name.clone()).or_insert(default);
            }
        }
    }

    /// A parameter's value.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }

    /// Whether a value is there, but what it is cannot be told: a condition, an import.
    pub(super) fn is_unknown(&self, value: &Value) -> bool {
        !value.is_null() && self.text(value).is_none()
    }

    /// A value as text; none where it is a list, or an intrinsic function that is not known.
    pub(super) fn text(&self, value: &Value) -> Option<String> {
        match value {
            Value::String(text) => Some(self.fill(text, &BTreeMap::new(), is_stage_variable)),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(value) => Some(value.to_string()),
            Value::Object(table) if table.len() == 1 => {
                let (name, inner) = table.iter().next()?;
                self.function(name, inner)
            }
            _ => None,
        }
    }

    fn function(&self, name: &str, inner: &Value) -> Option<String> {
        match name {
            "Ref" => {
                let name = inner.as_str()?;
                Some(self.parameter(name).map_or_else(|| format!("${{{name}}}"), str::to_owned))
            }
            "Fn::GetAtt" => match inner {
                Value::String(text) => Some(format!("${{{text}}}")),
                Value::Array(parts) => {
                    let parts: Option<Vec<&str>> = parts.iter().map(Value::as_str).collect();
                    Some(format!("${{{}}}", parts?.join(".")))
                }
                _ => None,
            },
            "Fn::Sub" => match inner {
                Value::Array(parts) => {
                    let own = parts.get(1)?.as_object()?.iter();
                    let own =
                        own.filter_map(|(name, value)| Some((name.clone(), self.text(value)?)));
                    Some(self.fill(parts.first()?.as_str()?, &own.collect(), |_| true))
                }
                text => Some(self.fill(text.as_str()?, &BTreeMap::new(), |_| true)),
            },
            "Fn::Join" => {
                let between = inner.get(0)?.as_str()?;
                let parts = inner.get(1)?.as_array()?.iter().map(|part| self.text(part));
                Some(parts.collect::<Option<Vec<String>>>()?.join(between))
            }
            _ => None,
        }
    }

    /// Fills the holes `${name}` that `wanted` says; `${!name}` is `${name}` itself.
    fn fill(&self, text: &str, own: &BTreeMap<String, String>, wanted: fn(&str) -> bool) -> String {
        let (mut filled, mut rest) = (String::new(), text);
        while let Some((before, opened)) = rest.split_once("${") {
            let Some((name, after)) = opened.split_once('}') else { break };
            filled.push_str(before);
            let known = match name.strip_prefix(STAGE_VARIABLE) {
                Some(name) => self.stage_variables.get(name),
                None if wanted(name) => own.get(name).or_else(|| self.parameters.get(name)),
                None => None,
            };
            match known {
                Some(value) => filled.push_str(value),
                None => filled.push_str(&format!("${{{}}}", name.trim_start_matches('!'))),
            }
            rest = after;
        }
        filled + rest
    }
}

/// Outside of `Fn::Sub` only API Gateway's own holes are holes.
fn is_stage_variable(name: &str) -> bool {
    name.starts_with(STAGE_VARIABLE)
}

/// The stage variable that a text still has, after all that are known were filled in.
pub(super) fn stage_variable(text: &str) -> Option<&str> {
    let (_, after) = text.split_once("${stageVariables.")?;
    after.split_once('}').map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Words, stage_variable};

    #[test]
    fn fills_what_is_known_and_keeps_what_is_not() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let words = Words::new(&[pair("alias", "live")], &[pair("AWS::Region", "eu-west-1")]);
        let text = |value| words.text(&value);
        let sub = json!({"Fn::Sub": "arn:${AWS::Partition}:x:${AWS::Region}:${Fn.Arn}:${!kept}"});
        assert_eq!(text(sub).unwrap(), "arn:aws:x:eu-west-1:${Fn.Arn}:${kept}");
        assert_eq!(text(json!("f:${stageVariables.alias}")).unwrap(), "f:live");
        assert_eq!(text(json!("${AWS::Region}")).unwrap(), "${AWS::Region}");
        let own = json!({"Fn::Sub": ["${a}-${b}", {"a": {"Ref": "AWS::Region"}}]});
        assert_eq!(text(own).unwrap(), "eu-west-1-${b}");
        let join = json!({"Fn::Join": ["/", ["a", {"Fn::GetAtt": ["F", "Arn"]}, {"Ref": "G"}]]});
        assert_eq!(text(join).unwrap(), "a/${F.Arn}/${G}");
        assert_eq!(text(json!({"Fn::ImportValue": "x"})), None);
        assert_eq!(stage_variable("f:${stageVariables.fn}:x"), Some("fn"));
    }
}
