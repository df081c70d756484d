//! `countersign demo`: a verifying Function URL on loopback and the proxy in front of it.

use std::net::SocketAddr;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::cli::arguments::Demo;
use crate::cli::serve::Live;
use crate::cli::{Environment, Exit, complain, emulate, refuse, serve, tell};
use crate::clock::Clock;
use crate::config::LogFormat;
use crate::config::load::{Flags, Inputs, load};
use crate::credentials::Stores;
use crate::emulator::{self, Emulator};
use crate::listen::Inherited;
use crate::secret::Secret;
use crate::telemetry::logs::{self, Output};

/// Who set it on purpose sees that it counts; who did not, where the 403 comes from.
const WRONG_SECRET: &str = "\
note: AWS_SECRET_ACCESS_KEY is not the example key's secret: the function will refuse each request
  hint: unset it to see them answered";
/// The region that the stand-in is in.
const REGION: &str = "us-east-1";

pub(super) fn run(arguments: &Demo, environment: &Environment) -> Exit {
    if let Err(error) = logs::start("info", Some(LogFormat::Text), Output::Stdout) {
        complain(&error, None);
    }
    serve::block_on(1, demonstrate(arguments.listen, emulate::wrong_secret(environment)))
}

async fn demonstrate(listen: SocketAddr, wrong_secret: Option<Secret>) -> Exit {
    let known = emulate::example_credentials();
    let function = match TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await {
        Ok(listener) => listener,
        Err(error) => {
            complain(&error, None);
            return Exit::Failure;
        }
    };
    let Ok(address) = function.local_addr() else { return Exit::Failure };
    let config = match load(&inputs(listen, address)) {
        Ok(config) => config,
        Err(problems) => return refuse(&problems),
    };
    let clock = Clock::system();
    if wrong_secret.is_some() {
        tell(WRONG_SECRET);
    }
    let credentials = emulate::signing_credentials(wrong_secret);
    let stores = Stores::fixed(&config, &credentials, &clock);
    let ended = CancellationToken::new();
    let emulator = Emulator::new(emulate::settings(vec![known], REGION, None));
    let standing_in = tokio::spawn(emulator::serve(function, emulator, ended.clone()));
    let inherited = Inherited::nothing();
    let live = Live { clock, inherited, reread: None, extension: None };
    let announce = |app: &App| {
        let _ = logs::print(&banner(app, address)); // a reader that went away is no failure
    };
    let exit = serve::serve(config, stores, live, announce).await;
    ended.cancel();
    let _ = standing_in.await; // it ends on its own
    exit
}

fn inputs(listen: SocketAddr, function: SocketAddr) -> Inputs {
    let flags = Flags {
        target: Some(format!("http://{function}")),
        listen: vec![listen.to_string()],
        admin: Some(beside(listen).to_string()),
        region: Some(REGION.to_owned()),
        service: Some("lambda".to_owned()),
        ..Flags::default()
    };
    Inputs { flags, ..Inputs::default() }
}

/// The admin listener's address: the next port, or any where any will do.
fn beside(listen: SocketAddr) -> SocketAddr {
    let port = if listen.port() == 0 { 0 } else { listen.port().wrapping_add(1) };
    SocketAddr::new(listen.ip(), port)
}

fn banner(app: &App, function: SocketAddr) -> String {
    let url = app.addresses().first().cloned().unwrap_or_default();
    let page = app.admin_address().map(|address| format!("http://{address}/"));
    let page = page.unwrap_or_default();
    format!(
        "\n  countersign is listening on {url}\n  \
         and signs for a Function URL with AWS_IAM on http://{function}, which verifies it\n\n  \
         Try, in another terminal:\n\n    \
         curl {url}/health\n    \
         curl {url}/process -d '{{\"hello\":\"world\"}}' -H 'content-type: application/json'\n    \
         curl -N {url}/stream\n\n  \
         What became of each of them is on {page}\n\n  \
         The same request without a signature:\n\n    \
         curl http://{function}/health\n\n  \
         Ctrl-C ends it.\n\n"
    )
}
