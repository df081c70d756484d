//! `countersign emulate`: the verifying Function URL on its own, for other people's tests.

use http::Uri;
use tokio::net::TcpListener;

use crate::app::signals::Signals;
use crate::cli::arguments::Emulate;
use crate::cli::serve;
use crate::cli::{Environment, Exit, complain, print, tell};
use crate::config::LogFormat;
use crate::emulator::{self, Emulator, Handler, KnownCredentials, Settings};
use crate::secret::Secret;
use crate::sigv4::SigningCredentials;
use crate::telemetry::logs::{self, Output};

/// The example key of AWS's own documentation: it opens nothing.
const EXAMPLE_KEY: &str = "AKIAIOSFODNN7EXAMPLE";
const EXAMPLE_SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const EXAMPLE_ARN: &str = "arn:aws:sts::123456789012:assumed-role/example/countersign";

pub(super) fn run(arguments: &Emulate, environment: &Environment) -> Exit {
    if let Err(error) = logs::start("info", None::<LogFormat>, Output::Stderr) {
        complain(&error, None);
    }
    let (known, said) = known(environment);
    let settings = settings(vec![known], &arguments.region, arguments.invoke.clone());
    let listen = arguments.listen;
    serve::block_on(1, async move {
        let (listener, signals) = match (TcpListener::bind(listen).await, Signals::listen()) {
            (Ok(listener), Ok(signals)) => (listener, signals),
            (Err(error), _) | (_, Err(error)) => {
                tell(format_args!(
                    "error: cannot listen on `{listen}`\n  because: {error}\n  \
                     hint: choose another address with `--listen`"
                ));
                return Exit::Failure;
            }
        };
        let address = listener.local_addr().unwrap_or(listen);
        print(format!("a Function URL with AWS_IAM stands in on http://{address}\n{said}\n"));
        tokio::select! {
            () = emulator::serve(listener, Emulator::new(settings), signals.stop) => Exit::Success,
            () = signals.now.cancelled() => Exit::Failure,
        }
    })
}

/// Whose signatures are right: those of the environment's credentials, else of the example key.
fn known(environment: &Environment) -> (KnownCredentials, String) {
    let read = |name: &str| {
        let found = environment.iter().find(|(key, value)| key == name && !value.is_empty());
        found.map(|(_, value)| value.clone())
    };
    match (read("AWS_ACCESS_KEY_ID"), read("AWS_SECRET_ACCESS_KEY")) {
        (Some(access_key_id), Some(secret)) => {
            let said = format!("it knows the credentials of its environment (`{access_key_id}`)");
            let known = KnownCredentials {
                access_key_id,
                secret_access_key: Secret::new(secret),
                session_token: read("AWS_SESSION_TOKEN").map(Secret::new),
                arn: EXAMPLE_ARN.to_owned(),
                expires: None,
            };
            (known, said)
        }
        _ => {
            let said = format!(
                "it knows one key, the example of AWS's documentation:\n  \
                 export AWS_ACCESS_KEY_ID={EXAMPLE_KEY}\n  \
                 export AWS_SECRET_ACCESS_KEY={EXAMPLE_SECRET}"
            );
            (example_credentials(), said)
        }
    }
}

/// The example key, as the emulator knows it.
pub(super) fn example_credentials() -> KnownCredentials {
    KnownCredentials {
        access_key_id: EXAMPLE_KEY.to_owned(),
        secret_access_key: Secret::new(EXAMPLE_SECRET),
        session_token: None,
        arn: EXAMPLE_ARN.to_owned(),
        expires: None,
    }
}

/// A secret for the example key that is not its own, where the environment holds one: somebody
/// wants to see what a wrong one comes to. What belongs to another key is nobody's business here.
pub(super) fn wrong_secret(environment: &Environment) -> Option<Secret> {
    let one = |name: &str| {
        let found = environment.iter().find(|(key, value)| key == name && !value.is_empty());
        found.map(|(_, value)| value.as_str())
    };
    if one("AWS_ACCESS_KEY_ID").is_some_and(|key| key != EXAMPLE_KEY) {
        return None;
    }
    one("AWS_SECRET_ACCESS_KEY").filter(|secret| *secret != EXAMPLE_SECRET).map(Secret::new)
}

/// The example key, ready to sign with its own secret or another.
pub(super) fn signing_credentials(secret: Option<Secret>) -> SigningCredentials {
    let secret = secret.unwrap_or_else(|| Secret::new(EXAMPLE_SECRET));
    SigningCredentials::new(EXAMPLE_KEY, secret, None).expect("the example key is visible ASCII")
}

/// The settings of an emulator: the built-in function unless another is to be invoked.
pub(super) fn settings(
    credentials: Vec<KnownCredentials>,
    region: &str,
    invoke: Option<Uri>,
) -> Settings {
    Settings {
        region: region.to_owned(),
        handler: invoke.map_or(Handler::BuiltIn, Handler::Invoke),
        ..Settings::new(credentials)
    }
}
