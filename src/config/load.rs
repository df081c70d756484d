//! Finds the file and merges: defaults < file < environment < flags. The process's environment
//! and its folder are arguments.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};
use toml::de::DeTable;

use crate::config::origin::{Origin, Origins, place};
use crate::config::problem::Problems;
use crate::config::{Config, SourceFile, resolve};

/// Where the file is when nobody says.
const HERE: &str = "countersign.toml";
const SYSTEM: &str = "/etc/countersign/countersign.toml";
/// The smallest thing that works, for whoever has nothing yet.
const START: &str = "write `countersign https://ID.lambda-url.REGION.on.aws`, or a countersign.toml with\n    \
                     [[routes]]\n    target = \"https://ID.lambda-url.REGION.on.aws\"\n  \
                     or see it work first: `countersign demo`";

/// Tells what is wrong with a `log`, if anything is: this room knows no logging.
pub type LogSyntax = fn(&str) -> Result<(), String>;

/// What a configuration is made of.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// `--config`.
    pub config: Option<PathBuf>,
    /// The process's environment.
    pub environment: Vec<(String, String)>,
    /// The flags.
    pub flags: Flags,
    /// Whether files that nobody named are looked for.
    pub search: bool,
    /// What judges `log`; none: only its levels are.
    pub log_syntax: Option<LogSyntax>,
}

/// The flags, as they were typed.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)] // each is the flag of its name
pub struct Flags {
    pub target: Option<String>,
    pub listen: Vec<String>,
    pub admin: Option<String>,
    pub allow_remote: Option<bool>,
    pub access_log: Option<String>,
    pub log_format: Option<String>,
    pub log_level: Option<String>,
    pub workers: Option<usize>,
    pub region: Option<String>,
    pub service: Option<String>,
    pub profile: Option<String>,
}

/// The configuration, or everything that is wrong with it.
///
/// # Errors
///
/// With every problem found.
pub fn load(inputs: &Inputs) -> Result<Config, Problems> {
    let file = File::find(inputs)?;
    let (dict, mut origins) = file.parse()?;
    let mut figment = Figment::new().merge(Layer { name: file.name.clone(), dict });
    for (name, variable, value) in variables(&inputs.environment) {
        origins.put(&variable, &value, &Origin::Environment(name.clone()));
        let dict = nest(&variable, value);
        figment = figment.merge(Layer { name, dict });
    }
    for (flag, key, value) in inputs.flags.given() {
        origins.put(key, &value, &Origin::Flag(flag.to_owned()));
        let dict = nest(key, value);
        figment = figment.merge(Layer { name: flag.to_owned(), dict });
    }
    let merged = figment
        .data()
        .map_err(|error| Problems::one(file.name.clone(), error.to_string(), "look at the file"))?;
    let dict = merged.into_iter().next().map(|(_, dict)| dict).unwrap_or_default();
    if file.text.is_none() && !dict.contains_key("target") && !dict.contains_key("routes") {
        return Err(Problems::one("", "there is no configuration", START));
    }
    resolve::resolve(
        &dict,
        origins,
        &resolve::Surroundings::new(inputs, file.source(), file.folder),
    )
}

/// One layer of the configuration.
struct Layer {
    name: String,
    dict: Dict,
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name.clone())
    }

    fn data(&self) -> figment::error::Result<Map<Profile, Dict>> {
        Ok(Profile::Default.collect(self.dict.clone()))
    }
}

/// The file, or the variable that holds it.
pub(super) struct File {
    name: String,
    pub(super) text: Option<String>,
    /// Where it is; none for the variable.
    path: Option<PathBuf>,
    /// What its paths are relative to.
    folder: PathBuf,
}

impl File {
    pub(super) fn find(inputs: &Inputs) -> Result<Self, Problems> {
        let variable = |name: &str| {
            let found = inputs.environment.iter().find(|(key, _)| key == name);
            found.map(|(_, value)| value.clone()).filter(|value| !value.is_empty())
        };
        let named = match (&inputs.config, variable("COUNTERSIGN_CONFIG")) {
            (Some(path), _) => Some(("--config", path.clone())),
            (None, Some(path)) => Some(("COUNTERSIGN_CONFIG", PathBuf::from(path))),
            (None, None) => None,
        };
        match (named, variable("COUNTERSIGN_CONFIG_TOML")) {
            (Some((named, _)), Some(_)) => Err(Problems::one(
                named,
                "COUNTERSIGN_CONFIG_TOML holds a whole configuration too",
                "leave one of the two out",
            )),
            (Some((named, path)), None) => Self::read(&path, named),
            (None, Some(text)) => Ok(Self {
                name: "COUNTERSIGN_CONFIG_TOML".to_owned(),
                text: Some(text),
                path: None,
                folder: PathBuf::new(),
            }),
            (None, None) if inputs.search => Self::search(),
            (None, None) => Ok(Self::none()),
        }
    }

    fn search() -> Result<Self, Problems> {
        for path in [HERE, SYSTEM].map(Path::new) {
            if path.exists() {
                return Self::read(path, "");
            }
        }
        Ok(Self::none())
    }

    fn none() -> Self {
        Self { name: String::new(), text: None, path: None, folder: PathBuf::new() }
    }

    fn read(path: &Path, named: &str) -> Result<Self, Problems> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| {
            let message = format!("`{name}` cannot be read: {error}");
            let hint = match error.kind() {
                ErrorKind::InvalidData => "save it as UTF-8",
                _ => "name a file that is there and that this user may read",
            };
            Problems::one(named, message, hint)
        })?;
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        Ok(Self { name, text: Some(text), path: Some(path.to_owned()), folder })
    }

    fn source(&self) -> Option<SourceFile> {
        let (path, text) = (self.path.clone()?, self.text.as_ref()?);
        Some(SourceFile::new(path, text.as_bytes()))
    }

    /// What it says, and where.
    fn parse(&self) -> Result<(Dict, Origins), Problems> {
        let Some(text) = &self.text else { return Ok(Default::default()) };
        let no_toml = |error: toml::de::Error| {
            let offset = error.span().map_or(0, |span| span.start);
            let place = place(&self.name, text, offset);
            let message = error.message().trim_end_matches('.');
            match error.span().and_then(|span| text.get(span)) {
                Some(key) if message == "duplicate key" => {
                    Problems::one(place, format!("`{key}` is there twice"), "leave one out")
                }
                _ => Problems::one(
                    place,
                    format!("this is no TOML: {message}"),
                    "mend it here, or on the line before; <https://toml.io> has the syntax",
                ),
            }
        };
        let table = DeTable::parse(text).map_err(no_toml)?;
        let origins = Origins::of_file(&self.name, text, table.get_ref());
        // A number of more digits than any machine has is TOML as far as its syntax goes.
        Ok((toml::from_str(text).map_err(no_toml)?, origins))
    }
}

/// The variables that are ours: their names, keys and values.
fn variables(environment: &[(String, String)]) -> Vec<(String, String, Value)> {
    let ours = |(name, value): &(String, String)| {
        let key = name.strip_prefix("COUNTERSIGN_")?;
        if is_service_link(key) || matches!(key, "CONFIG" | "CONFIG_TOML") {
            return None;
        }
        let key = key.to_ascii_lowercase().replace("__", ".");
        let value = text_value(&key, value);
        Some((name.clone(), key, value))
    };
    let mut variables: Vec<_> = environment.iter().filter_map(ours).collect();
    variables.sort_by(|one, other| one.1.cmp(&other.1));
    variables
}

/// Kubernetes puts these into every pod beside a Service named `countersign`
/// (<https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables>).
fn is_service_link(key: &str) -> bool {
    key == "PORT" || key.starts_with("PORT_") || key.starts_with("SERVICE_")
}

/// Keys whose value is a list, so that `a,b` can be written for it.
const LISTS: [&str; 3] = ["listen", "allowed_hosts", "allowed_origins"];

/// Text as a value: never guessed into a number, but a list or a table in TOML's own syntax.
fn text_value(key: &str, text: &str) -> Value {
    if text.starts_with(['[', '{'])
        && let Ok(mut table) = toml::from_str::<Dict>(&format!("value = {text}"))
        && let Some(value) = table.remove("value")
    {
        return value;
    }
    if LISTS.contains(&key) {
        let items: Vec<&str> =
            text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect();
        return Value::from(items);
    }
    Value::from(text)
}

fn nest(path: &str, value: Value) -> Dict {
    figment::util::nest(path, value).into_dict().unwrap_or_default()
}

impl Flags {
    /// The flags that were given: their names, keys and values.
    fn given(&self) -> Vec<(&'static str, &'static str, Value)> {
        let text = |flag, key, value: &Option<String>| {
            value.as_deref().map(|value| (flag, key, Value::from(value)))
        };
        let listen = (!self.listen.is_empty())
            .then(|| ("--listen", "listen", Value::from(self.listen.clone())));
        let workers = self.workers.map(|count| ("--workers", "workers", Value::from(count)));
        let remote =
            self.allow_remote.map(|allow| ("--allow-remote", "allow_remote", Value::from(allow)));
        [
            text("TARGET", "target", &self.target),
            listen,
            text("--admin", "admin", &self.admin),
            remote,
            text("--access-log", "access_log", &self.access_log),
            text("--log-format", "log_format", &self.log_format),
            text("--log-level", "log", &self.log_level),
            workers,
            text("--region", "region", &self.region),
            text("--service", "service", &self.service),
            text("--profile", "credentials.profile", &self.profile),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}
