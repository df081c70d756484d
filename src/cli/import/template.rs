//! The resources of a CloudFormation or SAM template: functions, their aliases and their URLs.

use serde_json::{Map, Value};

use crate::cli::import::integration::resource;
use crate::cli::import::intrinsics::Words;
use crate::cli::import::operation::{Found, Function, Leads, is_word};

/// How many aliases of aliases are followed.
const FAR_ENOUGH: usize = 4;

/// A template that is none.
#[derive(Debug, thiserror::Error)]
#[error("it is no template: it has no `Resources`")]
pub(super) struct NoTemplate;

/// A template, with what its parameters mean.
pub(super) struct Template<'t> {
    resources: &'t Map<String, Value>,
    globals: &'t Value,
    pub(super) words: Words,
}

impl<'t> Template<'t> {
    pub(super) fn new(document: &'t Value, mut words: Words) -> Result<Self, NoTemplate> {
        words.default_parameters(document);
        let resources = document["Resources"].as_object().ok_or(NoTemplate)?;
        Ok(Self { resources, globals: &document["Globals"], words })
    }

    /// The resources of a type, by their logical ids.
    pub(super) fn of_type(&self, kind: &str) -> impl Iterator<Item = (&'t str, &'t Value)> {
        let fits = move |(_, resource): &(&String, &Value)| resource["Type"] == kind;
        let found = self.resources.iter().filter(fits);
        found.map(|(name, resource)| (name.as_str(), &resource["Properties"]))
    }

    /// A property of a SAM resource, or what `Globals` says of all of its kind.
    pub(super) fn property<'v>(&'v self, of: &'v Value, kind: &str, key: &str) -> &'v Value {
        of.get(key).unwrap_or(&self.globals[kind][key])
    }

    /// A table of a SAM resource, and what `Globals` says, which SAM merges key by key.
    pub(super) fn properties<'v>(&'v self, of: &'v Value, kind: &str, key: &str) -> [&'v Value; 2] {
        [&of[key], &self.globals[kind][key]]
    }

    /// The logical id that a `Ref` or `Fn::GetAtt` names.
    pub(super) fn named(&self, value: &Value) -> Option<String> {
        let text = self.words.text(value)?;
        resource(&text).map(|function| function.id)
    }

    /// A function of a logical id, with all that the template says of it.
    pub(super) fn function(&self, id: &str) -> Function {
        self.followed(id, FAR_ENOUGH)
    }

    fn followed(&self, id: &str, far: usize) -> Function {
        let (name, qualifier) = match id.split_once(':') {
            Some((name, qualifier)) => (name, Some(qualifier.to_owned())),
            None => (id, None),
        };
        let found = self.resources.get(name).unwrap_or(&Value::Null);
        let properties = &found["Properties"];
        if found["Type"] == "AWS::Lambda::Alias" && far > 0 {
            let alias = self.words.text(&properties["Name"]).unwrap_or_else(|| name.to_owned());
            let of = self.words.text(&properties["FunctionName"]).unwrap_or_default();
            return match (Function::of_arn(&format!("{of}:{alias}")), resource(&of)) {
                (Some(function), _) => function,
                (None, Some(inner)) => self.followed(&format!("{}:{alias}", inner.id), far - 1),
                (None, None) => self.described(&of, None, Some(alias)),
            };
        }
        let named = self.words.text(&properties["FunctionName"]).filter(|name| is_word(name));
        self.described(name, named, qualifier)
    }

    /// The ARN is known where name, region and account are.
    fn described(&self, id: &str, name: Option<String>, qualifier: Option<String>) -> Function {
        let behind = qualifier.map(|alias| format!(":{alias}")).unwrap_or_default();
        let pseudo = |name: &str| self.words.parameter(name);
        let arn = || {
            let (region, account) = (pseudo("AWS::Region")?, pseudo("AWS::AccountId")?);
            let partition = pseudo("AWS::Partition")?;
            let name = name.as_deref()?;
            let arn = format!("arn:{partition}:lambda:{region}:{account}:function:{name}{behind}");
            Function::of_arn(&arn).and(Some(arn))
        };
        Function { id: format!("{id}{behind}"), arn: arn(), name }
    }

    /// Puts what the template says of a function where only its logical id stands, and adds
    /// the functions that have a URL alone.
    pub(super) fn complete(&self, found: &mut Found) {
        let describe = |function: &mut Function| {
            if function.arn.is_none() {
                *function = self.function(&function.id);
            }
        };
        for operation in &mut found.operations {
            if let Leads::To { function, .. } | Leads::Guarded { function, .. } =
                &mut operation.leads
            {
                describe(function);
            }
        }
        for id in self.resources.keys().filter(|id| id.starts_with("Fn::")) {
            found.lost.push(format!("what `{id}` unfolds to"));
        }
        for (function, open) in self.with_url() {
            if open {
                let name = function.short();
                found.lost.push(format!(
                    "the Function URL of `{name}` has AuthType NONE: anybody may call it"
                ));
            }
            let is_routed = found.operations.iter().any(|operation| match &operation.leads {
                Leads::To { function: known, .. } | Leads::Guarded { function: known, .. } => {
                    *known == function
                }
                Leads::Nowhere(_) => false,
            });
            if !is_routed && !found.unrouted.contains(&function) {
                found.unrouted.push(function);
            }
        }
    }

    /// The functions with a URL of their own, and whether it is open to anybody.
    fn with_url(&self) -> Vec<(Function, bool)> {
        let is_open =
            |value: &Value| self.words.text(&value["AuthType"]).is_some_and(|auth| auth == "NONE");
        let mut with_url = Vec::new();
        for (id, properties) in self.of_type("AWS::Serverless::Function") {
            let url = self.property(properties, "Function", "FunctionUrlConfig");
            if url.is_object() {
                with_url.push((self.function(&self.published(id, properties)), is_open(url)));
            }
        }
        for (_, properties) in self.of_type("AWS::Lambda::Url") {
            let Some(text) = self.words.text(&properties["TargetFunctionArn"]) else { continue };
            let qualifier = self.words.text(&properties["Qualifier"]);
            let behind = qualifier.map(|alias| format!(":{alias}")).unwrap_or_default();
            let function = match resource(&text) {
                Some(function) => self.function(&format!("{}{behind}", function.id)),
                None => match Function::of_arn(&format!("{text}{behind}")) {
                    Some(function) => function,
                    None => continue,
                },
            };
            with_url.push((function, is_open(properties)));
        }
        with_url
    }

    /// The id of a SAM function as its events reach it: with `AutoPublishAlias`, where it has one.
    pub(super) fn published(&self, id: &str, properties: &Value) -> String {
        match self.words.text(self.property(properties, "Function", "AutoPublishAlias")) {
            Some(alias) => format!("{id}:{alias}"),
            None => id.to_owned(),
        }
    }
}
