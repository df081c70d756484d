//! `countersign call`: one signed request, its answer on standard output. awscurl's place.

use std::io::ErrorKind;
use std::sync::Arc;

use http::Response;
use http_body_util::BodyExt;
use tokio_util::sync::CancellationToken;

use crate::cli::arguments::Call;
use crate::cli::credentials::{self, loaded};
use crate::cli::request::{Mistyped, to_one_target};
use crate::cli::{Environment, Exit, complain, print, refuse_setup, serve, tell, try_print};
use crate::clock::Clock;
use crate::config::{Config, LogFormat};
use crate::credentials::Stores;
use crate::net::Clients;
use crate::proxy::{Single, TargetBody, Upstream};
use crate::telemetry::Metrics;
use crate::telemetry::logs::{self, Output};

/// Why there are no credentials is said once.
const LOGGED: &str = "warn,countersign::credentials=off";

pub(super) fn run(arguments: &Call, environment: Environment) -> Exit {
    let _ = logs::start(LOGGED, Some(LogFormat::Text), Output::Stderr); // it is a filter
    let single = match single(arguments) {
        Ok(single) => single,
        Err(mistyped) => return mistyped.exit(),
    };
    serve::block_on(1, async move {
        match to_one_target(&arguments.url, &arguments.signing, environment) {
            Ok((config, stores)) => call(&config, stores, single, arguments.include).await,
            Err(exit) => exit,
        }
    })
}

fn single(arguments: &Call) -> Result<Single, Mistyped> {
    let sent = arguments.url.path_and_query();
    let sent = sent.ok_or_else(|| Mistyped::Url(arguments.url.clone()))?;
    Ok(Single {
        method: arguments.request.method.clone(),
        sent: sent.clone(),
        headers: arguments.request.headers()?,
        body: arguments.request.body()?,
    })
}

async fn call(config: &Config, stores: Stores, single: Single, include: bool) -> Exit {
    let clients = match Clients::new(config) {
        Ok(clients) => clients,
        Err(error) => return refuse_setup(&error),
    };
    let Some(target) = config.targets.first() else { return Exit::Failure };
    let Some(store) = stores.of(&target.credentials) else { return Exit::Failure };
    let stop = CancellationToken::new();
    let refreshing = tokio::spawn(stores.run(stop.clone()));
    let metrics = Metrics::new(Clock::system().now()).target(&target.name); // nobody reads them
    let loaded = loaded(&store).await;
    let upstream = Upstream::new(Arc::clone(target), &clients, store, Clock::system(), metrics);
    let exit = match loaded {
        Ok(_) => send(&upstream, single, include).await,
        Err(unavailable) => {
            credentials::complain(&unavailable);
            Exit::Failure
        }
    };
    stop.cancel();
    let _ = refreshing.await; // it has nothing to say
    exit
}

async fn send(upstream: &Upstream, single: Single, include: bool) -> Exit {
    match upstream.send_single(single).await {
        Ok(answer) => show(answer, include).await,
        Err(rejection) => {
            complain(&rejection, Some(rejection.hint()));
            Exit::Failure
        }
    }
}

/// The answer as it comes; 1 from 400 up, as `curl --fail-with-body` does.
async fn show(mut answer: Response<TargetBody>, include: bool) -> Exit {
    if include {
        let mut head = format!("{:?} {}\n", answer.version(), answer.status()).into_bytes();
        for (name, value) in answer.headers() {
            head.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\n"].concat());
        }
        head.push(b'\n');
        print(head);
    }
    while let Some(frame) = answer.body_mut().frame().await {
        match frame {
            Ok(frame) => match try_print(frame.data_ref().map_or(&[][..], |data| data.as_ref())) {
                Ok(()) => {}
                Err(gone) if gone.kind() == ErrorKind::BrokenPipe => return Exit::Success,
                Err(error) => {
                    complain(&error, Some("what was printed is not whole"));
                    return Exit::Failure;
                }
            },
            Err(error) => {
                complain(&error, Some("the target broke off: what was printed is not whole"));
                return Exit::Failure;
            }
        }
    }
    if answer.status().as_u16() < 400 {
        return Exit::Success;
    }
    tell(format_args!("error: the answer is {}", answer.status()));
    Exit::Failure
}
