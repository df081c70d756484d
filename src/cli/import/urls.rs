//! Which function has which URL: an export names functions by their ARNs alone.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::cli::import::operation::Function;

/// What is known of URLs, by ARN (or, for a template, by name or logical id).
#[derive(Debug, Default)]
pub(super) struct Urls(BTreeMap<String, Known>);

/// A URL, and whether anybody may call it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) url: String,
    pub(super) open: bool,
}

/// A file that tells no URLs.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoUrls {
    #[error("line {}, column {}: it is no JSON", .0.line(), .0.column())]
    Json(#[source] serde_json::Error),
    #[error("it tells no URLs of functions")]
    Shape,
}

/// An answer of Lambda, as the AWS CLI prints it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct UrlConfig {
    function_arn: String,
    function_url: String,
    auth_type: Option<String>,
}

impl Urls {
    /// Adds a file: a JSON object of ARNs and URLs, or what `aws lambda list-function-url-configs`
    /// printed; several, one after another.
    pub(super) fn add(&mut self, text: &str) -> Result<(), NoUrls> {
        for document in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
            self.document(&document.map_err(NoUrls::Json)?)?;
        }
        Ok(())
    }

    fn document(&mut self, document: &Value) -> Result<(), NoUrls> {
        let table = document.as_object().ok_or(NoUrls::Shape)?;
        if let Some(configs) = table.get("FunctionUrlConfigs") {
            let configs = configs.as_array().ok_or(NoUrls::Shape)?;
            return configs.iter().try_for_each(|config| self.config(config));
        }
        if table.contains_key("FunctionArn") {
            return self.config(document);
        }
        for (name, url) in table {
            let url = url.as_str().ok_or(NoUrls::Shape)?;
            self.put(name, url, false);
        }
        Ok(())
    }

    fn config(&mut self, config: &Value) -> Result<(), NoUrls> {
        let config = UrlConfig::deserialize(config).map_err(|_| NoUrls::Shape)?;
        self.learn(&config);
        Ok(())
    }

    /// What Lambda itself said.
    pub(super) fn learn(&mut self, config: &UrlConfig) {
        let open = config.auth_type.as_deref() == Some("NONE");
        self.put(&config.function_arn, &config.function_url, open);
    }

    fn put(&mut self, name: &str, url: &str, open: bool) {
        let url = url.trim_end_matches('/').to_owned();
        if !url.is_empty() {
            self.0.insert(name.to_owned(), Known { url, open });
        }
    }

    /// The URL of a function, and its ARN where that is told here. An ARN must be the very same:
    /// an alias has a URL of its own.
    pub(super) fn of<'a>(&'a self, function: &'a Function) -> Option<(&'a Known, Option<&'a str>)> {
        let exact = function.arn.as_deref().or(Some(&function.id)).and_then(|key| self.0.get(key));
        if let Some(known) = exact {
            return Some((known, function.arn.as_deref()));
        }
        let name = function.name.as_deref().filter(|_| function.arn.is_none())?;
        let behind = function.qualifier().map(|alias| format!(":{alias}")).unwrap_or_default();
        let whole = format!("{name}{behind}");
        if let Some(known) = self.0.get(&whole) {
            return Some((known, None));
        }
        let end = format!(":function:{whole}");
        let mut ends = self.0.iter().filter(|(arn, _)| arn.ends_with(&end));
        match (ends.next(), ends.next()) {
            (Some((arn, known)), None) => Some((known, Some(arn))),
            _ => None, // of two regions nothing says which
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Urls;
    use crate::cli::import::operation::Function;

    fn arn(end: &str) -> String {
        format!("arn:aws:lambda:us-east-1:111122223333:function:{end}")
    }

    fn of_arn(urls: &Urls, end: &str) -> Option<String> {
        urls.of(&Function::of_arn(&arn(end)).unwrap()).map(|(known, _)| known.url.clone())
    }

    #[test]
    fn reads_maps_and_what_the_cli_prints_one_after_another() {
        let mut urls = Urls::default();
        let listed = format!(
            r#"{{"FunctionUrlConfigs": [{{"FunctionArn": "{}", "FunctionUrl": "https://b/", "AuthType": "NONE"}}]}}"#,
            arn("b:live")
        );
        let one = format!(r#"{{"FunctionArn": "{}", "FunctionUrl": "https://c/"}}"#, arn("c"));
        urls.add(&format!("{{\"{}\": \"https://a\"}}\n{listed}\n{one}", arn("a"))).unwrap();
        assert_eq!(of_arn(&urls, "a").as_deref(), Some("https://a"));
        assert_eq!(of_arn(&urls, "b:live").as_deref(), Some("https://b"));
        assert_eq!(of_arn(&urls, "c").as_deref(), Some("https://c"));
        let open = Function::of_arn(&arn("b:live")).unwrap();
        assert!(urls.of(&open).unwrap().0.open);
        assert_eq!((of_arn(&urls, "b"), of_arn(&urls, "a:live")), (None, None));
    }

    #[test]
    fn a_function_of_a_template_is_found_by_its_name_unless_two_have_it() {
        let of = |id: &str, name: Option<&str>| Function {
            id: id.to_owned(),
            arn: None,
            name: name.map(str::to_owned),
        };
        let mut urls = Urls::default();
        urls.add(&format!("{{\"{}\": \"https://a\", \"Logical\": \"https://l\"}}", arn("a:live")))
            .unwrap();
        let function = of("A:live", Some("a"));
        let (known, found) = urls.of(&function).unwrap();
        assert_eq!((known.url.as_str(), found), ("https://a", Some(arn("a:live").as_str())));
        assert_eq!(urls.of(&of("Logical", None)).unwrap().0.url, "https://l");
        assert_eq!(urls.of(&of("A", Some("a"))), None);
        urls.add(&format!("{{\"{}\": \"https://x\"}}", arn("a:live").replace("us-", "eu-")))
            .unwrap();
        assert_eq!(urls.of(&of("A:live", Some("a"))), None);
    }

    #[test]
    fn refuses_what_tells_no_urls() {
        for (text, told) in [
            ("{\n\"a\": }", "line 2, column 6: it is no JSON"),
            ("[]", "it tells no URLs of functions"),
            ("{\"a\": 1}", "it tells no URLs of functions"),
            ("{\"FunctionUrlConfigs\": [{}]}", "it tells no URLs of functions"),
        ] {
            assert_eq!(Urls::default().add(text).unwrap_err().to_string(), told);
        }
    }
}
