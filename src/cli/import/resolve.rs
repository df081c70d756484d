//! Asks Lambda for the URLs of functions: `GetFunctionUrlConfig`, by the project's own signer and
//! client. <https://docs.aws.amazon.com/lambda/latest/api/API_GetFunctionUrlConfig.html>

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
use tokio_util::sync::CancellationToken;

use crate::cli::arguments::Signing;
use crate::cli::credentials::{self, loaded};
use crate::cli::import::operation::Function;
use crate::cli::import::urls::{UrlConfig, Urls};
use crate::cli::request::to_one_target;
use crate::cli::{Environment, Exit, complain, refuse_setup};
use crate::clock::Clock;
use crate::net::Clients;
use crate::proxy::{Rejection, Single, Upstream};
use crate::telemetry::Metrics;

/// An answer takes some hundred bytes.
const LARGEST_ANSWER: usize = 64 << 10;

/// What Lambda is asked, and as whom.
pub(super) struct Asking<'a> {
    /// The region of functions whose ARN is not known.
    pub(super) region: Option<String>,
    pub(super) profile: Option<String>,
    pub(super) environment: &'a Environment,
}

/// Asks for each function; what cannot be told is said in `lost`. An `Exit` where Lambda cannot
/// be asked at all.
pub(super) async fn resolve(
    functions: &[Function],
    asking: &Asking<'_>,
    urls: &mut Urls,
    lost: &mut Vec<String>,
) -> Result<(), Exit> {
    let mut by_region: BTreeMap<String, Vec<&Function>> = BTreeMap::new();
    for function in functions {
        let region = function.region().map(str::to_owned).or_else(|| asking.region.clone());
        match (region, &function.name) {
            (Some(region), Some(_)) => by_region.entry(region).or_default().push(function),
            (None, _) => lost.push(format!("`{}` was not asked for: write --region", function.id)),
            (_, None) => {
                lost.push(format!(
                    "`{}` was not asked for: the template has no name of it",
                    function.id
                ));
            }
        }
    }
    for (region, functions) in by_region {
        in_region(&region, &functions, asking, (urls, lost)).await?;
    }
    Ok(())
}

async fn in_region(
    region: &str,
    functions: &[&Function],
    asking: &Asking<'_>,
    (urls, lost): (&mut Urls, &mut Vec<String>),
) -> Result<(), Exit> {
    let failed = |error: &dyn std::error::Error, hint: Option<&str>| {
        complain(error, hint);
        Exit::Failure
    };
    let endpoint = endpoint(asking.environment, region);
    let endpoint: Uri = endpoint
        .parse()
        .map_err(|error| failed(&error, Some("`AWS_ENDPOINT_URL_LAMBDA` is a URL, or not set")))?;
    let signing = Signing {
        region: Some(region.to_owned()),
        service: Some("lambda".to_owned()),
        profile: asking.profile.clone(),
    };
    let (config, stores) = to_one_target(&endpoint, &signing, asking.environment.clone())?;
    let clients = Clients::new(&config).map_err(|error| refuse_setup(&error))?;
    let target = config.targets.first().ok_or(Exit::Failure)?;
    let store = stores.of(&target.credentials).ok_or(Exit::Failure)?;
    let stop = CancellationToken::new();
    let refreshing = tokio::spawn(stores.run(stop.clone()));
    loaded(&store).await.map_err(|unavailable| {
        credentials::complain(&unavailable);
        Exit::Failure
    })?;
    let metrics = Metrics::new(Clock::system().now()).target(&target.name); // nobody reads them
    let lambda = Upstream::new(Arc::clone(target), &clients, store, Clock::system(), metrics);
    let mut outcome = Ok(());
    for function in functions {
        match ask(&lambda, function).await {
            Ok(Ok(config)) => urls.learn(&config),
            Ok(Err(why)) => lost.push(format!("`{}`: {why}", function.id)),
            Err(rejection) => {
                let asked = format!(
                    "this is Lambda's own API, at {endpoint}: look at the region, and at \
                     AWS_ENDPOINT_URL_LAMBDA"
                );
                let hint = match rejection {
                    Rejection::Connect(_) => &asked,
                    _ => rejection.hint(),
                };
                outcome = Err(failed(&rejection, Some(hint)));
                break;
            }
        }
    }
    stop.cancel();
    let _ = refreshing.await; // it has nothing to say
    outcome
}

/// The URL of one, or what Lambda says instead.
async fn ask(
    lambda: &Upstream,
    function: &Function,
) -> Result<Result<UrlConfig, String>, Rejection> {
    let name = function.name.as_deref().unwrap_or_default();
    let qualifier = function.qualifier().filter(|qualifier| *qualifier != "$LATEST");
    let query = qualifier.map(|name| format!("?Qualifier={name}")).unwrap_or_default();
    let Ok(sent) = format!("/2021-10-31/functions/{name}/url{query}").parse() else {
        return Ok(Err("its name cannot stand in a URL".to_owned()));
    };
    let single =
        Single { method: Method::GET, sent, headers: HeaderMap::new(), body: Bytes::new() };
    let answer = lambda.send_single(single).await?;
    let status = answer.status();
    #[allow(clippy::disallowed_methods)] // bounded by `Limited`
    let collected = Limited::new(answer.into_body(), LARGEST_ANSWER).collect().await;
    let Ok(body) = collected else {
        return Ok(Err("Lambda's answer broke off".to_owned()));
    };
    Ok(match status {
        StatusCode::OK => serde_json::from_slice(&body.to_bytes())
            .map_err(|_| "Lambda's answer cannot be read".to_owned()),
        StatusCode::NOT_FOUND => Err("it has no Function URL yet: \
             `aws lambda create-function-url-config --auth-type AWS_IAM` makes one"
            .to_owned()),
        StatusCode::FORBIDDEN => {
            Err("`lambda:GetFunctionUrlConfig` is not allowed, or there is no such function"
                .to_owned())
        }
        status => Err(format!("Lambda answered {status}")),
    })
}

/// `AWS_ENDPOINT_URL_LAMBDA`, else `AWS_ENDPOINT_URL`, else the region's own.
fn endpoint(environment: &Environment, region: &str) -> String {
    let read = |name: &str| {
        let found = environment.iter().find(|(key, value)| key == name && !value.is_empty());
        found.map(|(_, value)| value.clone())
    };
    let end = if region.starts_with("cn-") { ".cn" } else { "" };
    let named = read("AWS_ENDPOINT_URL_LAMBDA").or_else(|| read("AWS_ENDPOINT_URL"));
    named.unwrap_or_else(|| format!("https://lambda.{region}.amazonaws.com{end}"))
}
