//! What was typed in, a [`Config`] or every problem out.

mod api_keys;
mod cors;
mod credentials;
mod headers;
mod listen;
mod mirror;
mod reject;
mod retries;
mod routes;
mod settings;
mod split;
mod targets;
mod validate;

use std::path::PathBuf;

use figment::value::Dict;

use crate::config::load::{Inputs, LogSyntax};
use crate::config::origin::Origins;
use crate::config::problem::Problems;
use crate::config::reader::{Notes, Reader};
use crate::config::{Config, ErrorStyle, Listen, LogFormat, SourceFile};
use crate::routing::HostPattern;

/// What a configuration means depends on these as well.
pub(super) struct Surroundings {
    /// `AWS_REGION`, else `AWS_DEFAULT_REGION`.
    region: Option<String>,
    /// `HTTPS_PROXY` and `NO_PROXY`.
    https_proxy: Option<String>,
    no_proxy: Option<String>,
    /// The file, where there is one.
    file: Option<SourceFile>,
    /// What paths are relative to.
    folder: PathBuf,
    /// Tells what is wrong with a `log`.
    log_syntax: Option<LogSyntax>,
}

impl Surroundings {
    pub(super) fn new(inputs: &Inputs, file: Option<SourceFile>, folder: PathBuf) -> Self {
        let environment = &inputs.environment;
        let one = |name: &str| {
            let found = environment.iter().find(|(key, value)| key == name && !value.is_empty());
            found.map(|(_, value)| value.clone())
        };
        Self {
            region: one("AWS_REGION").or_else(|| one("AWS_DEFAULT_REGION")),
            https_proxy: one("HTTPS_PROXY").or_else(|| one("https_proxy")),
            no_proxy: one("NO_PROXY").or_else(|| one("no_proxy")),
            file,
            folder,
            log_syntax: inputs.log_syntax,
        }
    }
}

/// The configuration, or everything that is wrong with it.
pub(super) fn resolve(
    dict: &Dict,
    origins: Origins,
    around: &Surroundings,
) -> Result<Config, Problems> {
    let notes = Notes::new(origins);
    let reader = Reader::new(&notes, String::new(), dict);
    let config = root(&reader, around);
    reader.finish();
    let (problems, warnings) = notes.into_parts();
    match config {
        Some(mut config) if problems.is_empty() => {
            config.warnings = warnings;
            Ok(config)
        }
        _ => Err(Problems(problems)),
    }
}

/// `None`: a problem has been noted. Everything is read first, so that all problems are.
fn root(reader: &Reader<'_>, around: &Surroundings) -> Option<Config> {
    let remote = reader.take("allow_remote").and_then(|entry| entry.boolean()).unwrap_or(false);
    let listen = listen::listen(reader, remote);
    let admin = listen::admin(reader, remote);
    listen::apart(reader, &listen, admin);
    let listen: Vec<Listen> = listen.into_iter().map(|(_, listen)| listen).collect();
    let mut guard = settings::guard(reader);
    let access_log = settings::access_log(reader);
    let log = settings::log(reader, around.log_syntax);
    let log_format = settings::choice(
        reader,
        "log_format",
        &[("json", LogFormat::Json), ("text", LogFormat::Text)],
    );
    let error_style = settings::choice(
        reader,
        "error_style",
        &[("problem", ErrorStyle::Problem), ("api-gateway", ErrorStyle::ApiGateway)],
    );
    let workers = settings::workers(reader).unwrap_or(1);
    let upstream = settings::upstream(reader, around, &listen);
    let limits = settings::limits(reader);
    let timeouts = settings::timeouts(reader);
    let shutdown = settings::shutdown(reader);
    let targets = targets::targets(reader, around);
    let api_keys = api_keys::api_keys(reader);
    let routes = routes::routes(reader, &targets, &api_keys, &timeouts.exchange);
    let api_keys = api_keys.all();
    let (targets, routes) = routes?;
    // A route for any host says nothing of who may reach the listener.
    let hosts = routes.rules().filter_map(|(_, rule)| rule.host.clone());
    guard.hosts.extend(hosts.filter(|host| *host != HostPattern::Any));
    let upstream = upstream?;
    let schemas = validate::files(routes.routes());
    let files = around.file.iter().chain(&upstream.ca_file).chain(schemas).cloned().collect();
    Some(Config {
        listen,
        admin,
        guard,
        access_log,
        log: log.unwrap_or_else(|| "info".to_owned()),
        log_format,
        error_style: error_style.unwrap_or(ErrorStyle::Problem),
        workers,
        upstream,
        limits,
        timeouts,
        shutdown,
        targets,
        api_keys,
        routes,
        files,
        warnings: Vec::new(),
    })
}
