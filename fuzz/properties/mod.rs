//! What has to hold for any input at all. The fuzz targets call these with what libFuzzer finds,
//! `tests/properties.rs` with the corpus and what proptest makes of it; both panic where one does
//! not hold.
#![allow(dead_code)] // a fuzz target calls one of them

pub(crate) mod config;
pub(crate) mod head;
pub(crate) mod signature;
pub(crate) mod wire;

use std::time::{Duration, SystemTime};

use countersign::clock::Clock;
use countersign::config::Config;
use countersign::config::load::{Inputs, load};
use countersign::config::problem::Problems;
use countersign::emulator::{ContentSha256, Emulator, KnownCredentials, Settings};
use countersign::secret::Secret;
use countersign::sigv4::SigningCredentials;
use countersign::telemetry::logs;

const KEY: &str = "AKIDEXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const TOKEN: &str = "IQoJb3JpZ2luX2VjEXAMPLE//////////token==";

/// The configuration that a text means.
fn of_text(text: &str) -> Result<Config, Problems> {
    let environment = vec![("COUNTERSIGN_CONFIG_TOML".to_owned(), text.to_owned())];
    load(&Inputs { environment, log_syntax: Some(logs::is_filter), ..Inputs::default() })
}

fn credentials() -> SigningCredentials {
    SigningCredentials::new(KEY, Secret::new(SECRET), Some(TOKEN)).expect("they are plain text")
}

/// A function that these credentials may call, and no others.
fn function() -> Emulator {
    let known = KnownCredentials {
        access_key_id: KEY.to_owned(),
        secret_access_key: Secret::new(SECRET),
        session_token: Some(Secret::new(TOKEN)),
        expires: None,
        arn: "arn:aws:iam::111122223333:user/caller".to_owned(),
    };
    Emulator::new(Settings {
        content_sha256: ContentSha256::Required,
        clock: clock(),
        ..Settings::new(vec![known])
    })
}

/// It stands still, so that an input does the same each time: 2026-11-24T03:04:05Z.
fn clock() -> Clock {
    Clock::set_to(SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_489_445))
}
