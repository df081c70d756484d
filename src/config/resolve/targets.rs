//! Targets: named ones from `[targets.NAME]`, nameless ones from a URL in a route or on the
//! command line.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use http::uri::Authority;
use http::{HeaderValue, Uri};

use crate::config::infer::{Inferred, infer, is_loopback};
use crate::config::reader::{Entry, Reader};
use crate::config::resolve::credentials::source;
use crate::config::resolve::{Surroundings, settings};
use crate::config::values::{Wrong, nearest};
use crate::config::{CredentialsSource, Target};
use crate::sigv4::Scope;

/// All targets: the named ones, and the nameless ones that routes have brought so far.
pub(super) struct Targets<'a> {
    around: &'a Surroundings,
    credentials: CredentialsSource,
    /// A target that has a problem is here without a value: its name is known all the same.
    named: BTreeMap<String, Option<Arc<Target>>>,
    /// Those that variables alone have brought, and that nothing has named yet.
    strays: RefCell<BTreeMap<String, Entry<'a>>>,
    nameless: RefCell<Vec<(String, Option<Arc<Target>>)>>,
    /// What the flags say of a nameless target.
    service: Option<String>,
    region: Option<String>,
}

/// What may be written of a target besides its URL.
#[derive(Default)]
struct Written {
    service: Option<String>,
    region: Option<String>,
    credentials: Option<CredentialsSource>,
    function_arn: Option<String>,
    max_in_flight: Option<usize>,
}

pub(super) fn targets<'a>(reader: &Reader<'a>, around: &'a Surroundings) -> Targets<'a> {
    let credentials = reader.table("credentials").map(|table| source(&table)).unwrap_or_default();
    let mut targets = Targets {
        around,
        credentials,
        named: BTreeMap::new(),
        strays: RefCell::default(),
        nameless: RefCell::default(),
        service: None,
        region: None,
    };
    let one_target = reader.take("target").is_some();
    let word = |key: &'static str| {
        let entry = reader.take(key)?;
        if !one_target {
            entry.problem(Wrong::new(
                "this is for a URL on the command line",
                format!("write `{key}` beside the `url` of a target, in `[targets.NAME]`"),
            ));
        }
        entry.parsed("a word", signing_word)
    };
    (targets.service, targets.region) = (word("service"), word("region"));
    let Some(table) = reader.table("targets") else { return targets };
    for (name, entry) in table.named() {
        let target = entry.table().and_then(|table| targets.read(&name, &table));
        if entry.is_of_environment() && !one_target {
            targets.strays.borrow_mut().insert(name.clone(), entry);
        }
        targets.named.insert(name, target.map(Arc::new));
    }
    targets
}

impl Targets<'_> {
    /// What a configuration depends on besides what was typed.
    pub(super) fn around(&self) -> &Surroundings {
        self.around
    }

    fn read(&self, name: &str, table: &Reader<'_>) -> Option<Target> {
        let word = |key: &'static str, expected| {
            table.take(key).and_then(|entry| entry.parsed(expected, signing_word))
        };
        let written = Written {
            service: word("service", "a signing service such as `\"lambda\"`"),
            region: word("region", "a region such as `\"us-east-1\"`"),
            credentials: table.table("credentials").map(|table| source(&table)),
            function_arn: table
                .take("function_arn")
                .and_then(|entry| entry.parsed("the function's ARN", function_arn)),
            max_in_flight: settings::max_in_flight(table),
        };
        let url = table.take("url");
        table.finish();
        let Some(url) = url else {
            table.problem_here(Wrong::new(
                "`url` is missing",
                "write `url = \"https://ID.lambda-url.REGION.on.aws\"`",
            ));
            return None;
        };
        if url.is_empty_text() {
            url.problem(unknown_url(written.function_arn.as_deref()));
            return None;
        }
        let misread = |key: &'static str, read: bool| !read && table.take(key).is_some();
        if misread("service", written.service.is_some())
            || misread("region", written.region.is_some())
        {
            return None;
        }
        self.build(name.to_owned(), &url, written)
    }

    /// The target that a route names, by its name or as a URL.
    pub(super) fn of(&self, entry: &Entry<'_>) -> Option<Arc<Target>> {
        let text = entry.string("a target's name, or a URL")?;
        if !text.contains("://") {
            self.strays.borrow_mut().remove(&text);
            return match self.named.get(&text) {
                Some(target) => target.clone(),
                None => {
                    entry.problem(self.unknown(&text));
                    None
                }
            };
        }
        let known = self.nameless.borrow().iter().find(|(url, _)| *url == text).cloned();
        if let Some((_, target)) = known {
            return target;
        }
        let written = Written {
            service: self.service.clone(),
            region: self.region.clone(),
            ..Written::default()
        };
        let name = text.split_once("://").map_or("", |(_, rest)| rest).trim_end_matches('/');
        let target = self.build(name.to_owned(), entry, written).map(Arc::new);
        self.nameless.borrow_mut().push((text, target.clone()));
        target
    }

    fn unknown(&self, name: &str) -> Wrong {
        if name.contains('@') {
            return Wrong::new("this is no target", "write its name, or a URL without a user");
        }
        let hint = match nearest(name, self.named.keys().map(String::as_str)) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None if name.contains('.') => format!("did you mean `https://{name}`?"),
            None => format!("write `[targets.{name}]` with its `url`, or the URL itself"),
        };
        Wrong::new(format!("there is no target `{name}`"), hint)
    }

    /// Every target, named ones first. One of a variable that nothing sends to is told: it was to
    /// change another one, and its name is wrong.
    pub(super) fn all(&self) -> Vec<Arc<Target>> {
        for (name, entry) in self.strays.take() {
            let others = self.named.keys().filter(|other| **other != name);
            let hint = match nearest(&name, others.map(String::as_str)) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("write `target = \"{name}\"` in a route, or unset the variable"),
            };
            entry.warning(Wrong::new("no route sends to this target", hint));
        }
        let nameless = self.nameless.borrow();
        let named = self.named.values().flatten();
        named.chain(nameless.iter().filter_map(|(_, target)| target.as_ref())).cloned().collect()
    }

    fn build(&self, name: String, url: &Entry<'_>, written: Written) -> Option<Target> {
        let at = url.parsed("a URL", location)?;
        let scope = url.parsed("a URL", |_| self.scope(&at, &written))?;
        Some(Target {
            name,
            tls: at.tls,
            host: HeaderValue::try_from(at.authority.as_str()).ok()?,
            authority: at.authority,
            base_path: at.base_path,
            scope,
            credentials: written.credentials.unwrap_or_else(|| self.credentials.clone()),
            function_arn: written.function_arn,
            max_in_flight: written.max_in_flight,
        })
    }

    fn scope(&self, at: &Location, written: &Written) -> Result<Scope, Wrong> {
        let host = at.authority.host();
        let (service, region) = match infer(host) {
            Inferred::Scope { service, region } => (Some(service.to_owned()), Some(region)),
            Inferred::NotYet => {
                return Err(Wrong::new(
                    format!("`{host}` takes SigV4a only, which is not supported yet"),
                    "use the function's URL in one region, `*.lambda-web.REGION.on.aws`",
                ));
            }
            Inferred::Nothing => (None, None),
        };
        let service = written.service.clone().or(service);
        let region = written.region.clone().or(region).or(self.around.region.clone());
        let (what, hint) = match (service, region) {
            (Some(service), Some(region)) => return Ok(Scope { region, service }),
            (None, Some(_)) => (
                "service",
                "write `service = \"lambda\"` beside its `url` in `[targets.NAME]`; \
                 on the command line `--service lambda`",
            ),
            (Some(_), None) => (
                "region",
                "write `region = \"us-east-1\"` beside its `url` in `[targets.NAME]`, or set AWS_REGION; \
                 on the command line `--region us-east-1`",
            ),
            (None, None) => (
                "service and region",
                "write `service = \"lambda\"` and `region = \"us-east-1\"` beside its `url` in \
                 `[targets.NAME]`; on the command line `--service lambda --region us-east-1`",
            ),
        };
        Err(Wrong::new(
            format!("the signing {what} of `{host}` cannot be told from its name"),
            hint,
        ))
    }
}

/// A service or a region, as it stands in a credential scope.
fn signing_word(text: &str) -> Result<String, Wrong> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '*');
    if !text.is_empty() && text.chars().all(plain) {
        return Ok(text.to_owned());
    }
    Err(Wrong::new(
        format!("`{text}` is neither a service nor a region"),
        "write a word such as `lambda` or `us-east-1`",
    ))
}

/// A place that waits for its URL, as `import` leaves it.
fn unknown_url(function_arn: Option<&str>) -> Wrong {
    let hint = match function_arn {
        Some(arn) => {
            let parts: Vec<&str> = arn.splitn(8, ':').collect();
            let function = parts.get(..7).unwrap_or_default().join(":");
            let qualifier = parts.get(7).map(|name| format!(" --qualifier {name}"));
            let qualifier = qualifier.unwrap_or_default();
            format!(
                "`aws lambda get-function-url-config --function-name {function}{qualifier}` tells it"
            )
        }
        None => "write `https://ID.lambda-url.REGION.on.aws`".to_owned(),
    };
    Wrong::new("the URL is not known yet", hint)
}

/// Where a target is.
struct Location {
    tls: bool,
    authority: Authority,
    base_path: String,
}

fn location(text: &str) -> Result<Location, Wrong> {
    let wrong = |message: String, hint: &str| Wrong::new(message, hint);
    let shape = "write `https://ID.lambda-url.REGION.on.aws`, with a path if every request shall begin with it";
    // First of all: no later message may repeat a password.
    if text.contains('@') {
        return Err(wrong("a target's URL holds no user and no password".to_owned(), shape));
    }
    let url: Uri = text.parse().map_err(|_| wrong(format!("`{text}` is no URL"), shape))?;
    let (Some(scheme), Some(authority)) = (url.scheme_str(), url.authority()) else {
        return Err(wrong(format!("`{text}` is no URL"), shape));
    };
    if url.query().is_some() || text.contains('#') {
        return Err(wrong("a target's URL has neither query nor fragment".to_owned(), shape));
    }
    let tls = match scheme {
        "https" => true,
        "http" if is_loopback(authority.host()) => false,
        "http" => {
            return Err(wrong(
                format!("`{text}` is not https: a signature must not travel in the clear"),
                "write `https://`; plain http is for loopback only",
            ));
        }
        other => return Err(wrong(format!("`{other}` is not a scheme that targets have"), shape)),
    };
    let base_path = crate::sigv4::normalise_path(url.path()).trim_end_matches('/').to_owned();
    Ok(Location { tls, authority: without_default_port(authority, tls)?, base_path })
}

/// Lower case, and no port where it is the scheme's own: as `Host` is sent and signed.
fn without_default_port(authority: &Authority, tls: bool) -> Result<Authority, Wrong> {
    let lower = authority.as_str().to_ascii_lowercase();
    let default = if tls { ":443" } else { ":80" };
    let host = lower.strip_suffix(default).unwrap_or(&lower);
    let host = host.strip_suffix('.').unwrap_or(host);
    host.parse().map_err(|_| {
        Wrong::new(format!("`{authority}` is no host"), "write a name, and a port if it is not 443")
    })
}

fn function_arn(text: &str) -> Result<String, Wrong> {
    let parts: Vec<&str> = text.split(':').collect();
    let is_function = matches!(
        parts.as_slice(),
        ["arn", _, "lambda", _, _, "function", _] | ["arn", _, "lambda", _, _, "function", _, _]
    );
    if is_function {
        return Ok(text.to_owned());
    }
    Err(Wrong::new(
        format!("`{text}` is no function's ARN"),
        "write `arn:aws:lambda:REGION:ACCOUNT:function:NAME`",
    ))
}
