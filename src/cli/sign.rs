//! `countersign sign`: the signature of one request, step by step, without its secrets.

use std::fmt::Write;
use std::sync::Arc;

use http::uri::PathAndQuery;
use http::{HeaderMap, Method};
use tokio_util::sync::CancellationToken;

use crate::cli::arguments::{Sign, Signing};
use crate::cli::credentials::{self, loaded};
use crate::cli::request::{Mistyped, to_one_target};
use crate::cli::shell::quoted;
use crate::cli::{
    Environment, Exit, complain, emulate, explain, inputs, print, refuse, refuse_setup, serve, tell,
};
use crate::clock::Clock;
use crate::config::load::load;
use crate::config::{Payload, Route, Target};
use crate::credentials::Stores;
use crate::proxy::{Rejection, choose};
use crate::routing::host;
use crate::sigv4::{PayloadHash, Signer, Unsigned};

/// A flag that would have changed nothing.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is for the URL of a target; this is signed as the route table says")]
struct PassedOver(&'static str);

/// A request that is about to be signed, and who signs it.
struct Subject {
    target: Arc<Target>,
    stores: Stores,
    route: Arc<Route>,
    method: Method,
    sent: PathAndQuery,
}

pub(super) fn run(arguments: &Sign, environment: Environment) -> Exit {
    let (mut headers, payload) = match typed(arguments) {
        Ok(typed) => typed,
        Err(mistyped) => return mistyped.exit(),
    };
    serve::block_on(1, async move {
        match subject(arguments, environment) {
            Ok(subject) => {
                // As the proxy sends it: changes of headers come before the signature.
                subject.route.request_headers.apply(&mut headers);
                if arguments.curl {
                    print(curl(arguments, &subject));
                    return Exit::Success;
                }
                let payload = match subject.route.payload {
                    Payload::Unsigned => PayloadHash::unsigned(),
                    Payload::Signed | Payload::ClientDigest => payload,
                };
                sign(subject, headers, payload).await
            }
            Err(exit) => exit,
        }
    })
}

fn typed(arguments: &Sign) -> Result<(HeaderMap, PayloadHash), Mistyped> {
    let body = arguments.request.body()?;
    let payload = if body.is_empty() { PayloadHash::empty() } else { PayloadHash::of(&body) };
    Ok((arguments.request.headers()?, payload))
}

/// A URL of a target is signed as it is; a path goes through the route table.
fn subject(arguments: &Sign, environment: Environment) -> Result<Subject, Exit> {
    let (method, url) = (&arguments.request.method, &arguments.url);
    let Some(request) = explain::request(method, url) else {
        complain(&Mistyped::Url(url.clone()), Some("write a path, or a target's URL"));
        return Err(Exit::Usage);
    };
    match url.scheme_str() {
        Some("https") => {
            let (config, stores) = to_one_target(url, &arguments.signing, environment)?;
            return of_table(&config, stores, &request, None);
        }
        Some("http") | None => {}
        Some(_) => return Err(Mistyped::Url(url.clone()).exit()),
    }
    let Signing { region, service, profile } = &arguments.signing;
    let flags = [("--region", region), ("--service", service), ("--profile", profile)];
    if let Some((flag, _)) = flags.into_iter().find(|(_, value)| value.is_some()) {
        let hint = "the target of a route has its own; or sign the target's URL, which is https";
        complain(&PassedOver(flag), Some(hint));
        return Err(Exit::Usage);
    }
    let inputs = inputs(arguments.file.config.clone(), environment);
    let config = load(&inputs).map_err(|problems| refuse(&problems))?;
    let stores = Stores::new(&config, &inputs.environment, &Clock::system())
        .map_err(|error| refuse_setup(&error))?;
    let host = request.uri.authority().and_then(|name| host::of_authority(name.as_str()));
    of_table(&config, stores, &request, host.as_deref())
}

fn of_table(
    config: &crate::config::Config,
    stores: Stores,
    request: &http::request::Parts,
    host: Option<&str>,
) -> Result<Subject, Exit> {
    match choose(config, request, host) {
        Ok(choice) => {
            let target = choice.route.destination.foremost();
            if choice.route.destination.split().is_some() {
                tell(format_args!(
                    "note: route `{}` has several targets: this is for `{}`\n  \
                     hint: `countersign explain` names the others; their URLs can be signed too",
                    choice.route.name, target.name
                ));
            }
            let sent = choice.sent_to(target).map_err(unsigned)?;
            let (target, route) = (Arc::clone(target), Arc::clone(choice.route));
            Ok(Subject { target, stores, route, method: request.method.clone(), sent })
        }
        Err(rejection) => Err(unsigned(rejection)),
    }
}

fn unsigned(rejection: Rejection) -> Exit {
    complain(&rejection, Some(rejection.hint()));
    Exit::Failure
}

async fn sign(subject: Subject, mut headers: HeaderMap, payload: PayloadHash) -> Exit {
    let Some(store) = subject.stores.of(&subject.target.credentials) else {
        return Exit::Failure;
    };
    let stop = CancellationToken::new();
    let refreshing = tokio::spawn(subject.stores.run(stop.clone()));
    let credentials = match loaded(&store).await {
        Ok(credentials) => credentials,
        Err(unavailable) => {
            credentials::complain(&unavailable);
            tell("signed with the example key of AWS's documentation instead");
            Arc::new(emulate::signing_credentials(None))
        }
    };
    stop.cancel();
    let _ = refreshing.await; // it has nothing to say
    let target = &subject.target;
    let unsigned = Unsigned {
        method: &subject.method,
        path: subject.sent.path(),
        query: subject.sent.query(),
        host: &target.host,
        headers: &mut headers,
        payload: &payload,
    };
    let steps =
        Signer::new(target.scope.clone()).explain(unsigned, &credentials, Clock::system().now());
    print(format!(
        "canonical request:\n{}\n\nstring to sign:\n{}\n\nauthorization:\n{}\n",
        steps.redacted_canonical_request(),
        steps.string_to_sign(),
        steps.redacted_authorization(),
    ));
    Exit::Success
}

/// A line for curl 7.75 and later; the shell puts the secrets in, not we.
fn curl(arguments: &Sign, subject: &Subject) -> String {
    let (target, scope) = (&subject.target, &subject.target.scope);
    let scheme = if target.tls { "https" } else { "http" };
    let mut line = format!(
        "curl --globoff --aws-sigv4 'aws:amz:{}:{}' --user \"$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY\" \\\n  \
         ${{AWS_SESSION_TOKEN:+-H \"x-amz-security-token: $AWS_SESSION_TOKEN\"}} \\\n  \
         {}",
        scope.region,
        scope.service,
        match &subject.method {
            &Method::HEAD => "--head".to_owned(), // with `-X HEAD` curl waits for a body
            method => format!("-X {method}"),
        }
    );
    let changes = &subject.route.request_headers;
    let stays = |header: &&String| {
        let name = header.split(':').next().unwrap_or_default().trim();
        let mut changed = changes.remove.iter().chain(changes.set.iter().map(|(name, _)| name));
        !changed.any(|known| name.eq_ignore_ascii_case(known.as_str()))
    };
    for header in arguments.request.headers.iter().filter(stays) {
        let _ = write!(line, " -H {}", quoted(header));
    }
    for (name, value) in &changes.set {
        let header = format!("{name}: {}", String::from_utf8_lossy(value.as_bytes()));
        let _ = write!(line, " -H {}", quoted(&header));
    }
    if subject.route.payload == Payload::Unsigned {
        line.push_str(" -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD'");
    }
    if let Some(data) = &arguments.request.data {
        let _ = write!(line, " --data-binary {}", quoted(data));
    }
    let url = format!("{scheme}://{}{}", target.authority, subject.sent);
    let _ = writeln!(line, " {}", quoted(&url));
    line
}
