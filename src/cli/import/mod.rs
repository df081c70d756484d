//! `countersign import`: a route table from an export of API Gateway, or from a template. What
//! cannot be carried over becomes a route that rejects: left out, it would fall through to a
//! broader one, without the check that stood before it.

mod cloudformation;
mod document;
mod integration;
mod intrinsics;
mod leftovers;
mod openapi;
mod operation;
mod resolve;
mod sam;
mod template;
mod urls;
mod write;

use std::io::{ErrorKind, Read};
use std::path::Path;

use serde_json::Value;

use crate::cli::arguments::{Import, Imported};
use crate::cli::import::intrinsics::Words;
use crate::cli::import::operation::Found;
use crate::cli::import::resolve::Asking;
use crate::cli::import::template::Template;
use crate::cli::import::urls::Urls;
use crate::cli::{Environment, Exit, complain, print, serve, tell};

/// What cannot be imported.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("`{0}` cannot be read")]
    Unreadable(String, #[source] std::io::Error),
    #[error("`{0}` is malformed")]
    Malformed(String, #[source] Box<document::Malformed>),
    #[error("`{0}`: {1}")]
    NoApi(String, openapi::NoApi),
    #[error("`{0}`: {1}")]
    NoTemplate(String, template::NoTemplate),
    #[error("`{0}`: there is no operation in it")]
    Nothing(String),
    #[error("`{file}`: `{label}`: {cause}")]
    NoPath { file: String, label: String, cause: operation::NoPath },
    #[error("`{0}` is no list of URLs")]
    NoUrls(String, #[source] urls::NoUrls),
}

impl Failed {
    fn hint(&self) -> &'static str {
        match self {
            Self::Unreadable(_, cause) if cause.kind() == ErrorKind::InvalidData => {
                "save it as UTF-8"
            }
            Self::Unreadable(..) => "name a file that is there, or `-` for standard input",
            Self::Malformed(..) => "give it JSON or YAML, as API Gateway exports it",
            Self::NoApi(..) => {
                "`aws apigatewayv2 export-api --specification OAS30 …` and `aws apigateway get-export \
                 --export-type oas30 --parameters extensions=apigateway …` make one"
            }
            Self::NoTemplate(..) => "`countersign import openapi` reads exports of API Gateway",
            Self::Nothing(_) => {
                "an export needs Amazon's extensions: `--parameters extensions=apigateway`"
            }
            Self::NoPath { cause: operation::NoPath::Prefix(_), .. } => {
                "write the one that callers know: `--base-path /prod`, `--parameter NAME=VALUE`"
            }
            Self::NoPath { .. } => "API Gateway has no such path: mend the file",
            Self::NoUrls(..) => {
                "write `{\"ARN\": \"URL\"}`, or give it what `aws lambda list-function-url-configs` prints"
            }
        }
    }
}

pub(super) fn run(arguments: &Import, environment: &Environment) -> Exit {
    let from = arguments.from.file();
    let read = read(arguments).and_then(|found| Ok((found, urls(&from.urls)?)));
    let (found, mut urls) = match read {
        Ok(read) => read,
        Err(failed) => {
            complain(&failed, Some(failed.hint()));
            return Exit::Failure;
        }
    };
    if !from.resolve {
        finish(arguments, &found, &urls, &[]);
        return Exit::Success;
    }
    let functions: Vec<_> = write::names(&found).into_keys().cloned().collect();
    let unknown: Vec<_> =
        functions.into_iter().filter(|function| urls.of(function).is_none()).collect();
    let asking = Asking {
        region: region(arguments, environment),
        profile: from.profile.clone(),
        environment,
    };
    serve::block_on(1, async {
        let mut unasked = Vec::new();
        match resolve::resolve(&unknown, &asking, &mut urls, &mut unasked).await {
            Ok(()) => {
                finish(arguments, &found, &urls, &unasked);
                Exit::Success
            }
            Err(exit) => exit,
        }
    })
}

/// Everything but the URLs.
fn read(arguments: &Import) -> Result<Found, Failed> {
    let from = arguments.from.file();
    let name = from.file.display().to_string();
    let text = contents(&from.file)?;
    let document =
        document::parse(&text).map_err(|error| Failed::Malformed(name.clone(), error.into()))?;
    let base_path = from.base_path.as_deref();
    let words = Words::new(&from.stage_variables, arguments.from.parameters());
    let mut found = match &arguments.from {
        Imported::Openapi(_) => openapi::read(&document, &words, base_path)
            .map_err(|error| Failed::NoApi(name.clone(), error))?,
        Imported::Sam { .. } => of_template(&document, words, base_path)
            .map_err(|error| Failed::NoTemplate(name.clone(), error))?,
    };
    if found.operations.is_empty() {
        return Err(Failed::Nothing(name));
    }
    for operation in &found.operations {
        if let Err(cause) = operation.takes() {
            let label = write::plain(&operation.label());
            return Err(Failed::NoPath { file: name, label, cause });
        }
    }
    leftovers::tell_apart(&mut found);
    if from.without_authorizers {
        leftovers::open(&mut found);
    }
    leftovers::gather(&mut found);
    Ok(found)
}

fn of_template(
    document: &Value,
    words: Words,
    base_path: Option<&str>,
) -> Result<Found, template::NoTemplate> {
    let template = Template::new(document, words)?;
    let mut found = Found { what: "a template".to_owned(), ..Found::default() };
    sam::operations(&template, base_path, &mut found);
    cloudformation::operations(&template, base_path, &mut found);
    template.complete(&mut found);
    Ok(found)
}

fn contents(path: &Path) -> Result<String, Failed> {
    let read = if path.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(path)
    };
    let text = read.map_err(|error| Failed::Unreadable(path.display().to_string(), error))?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

fn urls(files: &[std::path::PathBuf]) -> Result<Urls, Failed> {
    let mut urls = Urls::default();
    for file in files {
        let text = contents(file)?;
        urls.add(&text).map_err(|error| Failed::NoUrls(file.display().to_string(), error))?;
    }
    Ok(urls)
}

/// The region of functions whose ARN is not known.
fn region(arguments: &Import, environment: &Environment) -> Option<String> {
    let read = |name: &str| {
        let found = environment.iter().find(|(key, value)| key == name && !value.is_empty());
        found.map(|(_, value)| value.clone())
    };
    let typed = arguments.from.file().region.clone();
    typed.or_else(|| read("AWS_REGION")).or_else(|| read("AWS_DEFAULT_REGION"))
}

fn finish(arguments: &Import, found: &Found, urls: &Urls, unasked: &[String]) {
    let file = arguments.from.file().file.file_name().unwrap_or_default().display();
    let origin = format!("countersign import {} {file}", arguments.from.name());
    print(write::file(found, urls, &origin));
    if let Some(list) = leftovers::list(found, urls, unasked) {
        tell(list);
    }
}
