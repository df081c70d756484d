//! The emulator against requests that botocore signed (`tests/fixtures/emulator/make.py`).

mod event;
mod mapping;
mod runtime;
mod sockets;
mod verification;

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::Request;
use http::request::Parts as Head;
use serde::Deserialize;

use super::*;

/// The moment at which the requests were signed: 2026-11-24T03:04:05Z.
const SIGNED_AT: u64 = 1_795_489_445;

const ARN: &str = "arn:aws:iam::111122223333:user/demo";
const ROLE: &str = "arn:aws:sts::111122223333:assumed-role/caller/session";

/// A request that botocore signed.
#[derive(Clone, Debug, Deserialize)]
struct Signed {
    name: String,
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: String,
    times: usize,
}

impl Signed {
    fn all() -> Vec<Self> {
        let json = include_str!("../../tests/fixtures/emulator/botocore.json");
        serde_json::from_str(json).unwrap()
    }

    fn named(name: &str) -> Self {
        Self::all().into_iter().find(|signed| signed.name == name).unwrap()
    }

    fn body(&self) -> Bytes {
        self.body.repeat(self.times).into()
    }

    fn head(&self) -> Head {
        let mut request = Request::builder().method(&*self.method).uri(&*self.target);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request.body(()).unwrap().into_parts().0
    }

    /// The same request with one header's value changed.
    fn changed(mut self, name: &str, change: impl Fn(&str) -> String) -> Self {
        let header = self.headers.iter_mut().find(|(found, _)| found == name).unwrap();
        header.1 = change(&header.1);
        self
    }

    /// The same request without a header.
    fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(found, _)| found != name);
        self
    }

    /// The same request with one header more.
    fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

fn signed_at() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(SIGNED_AT)
}

/// A function that knows who signed, at the moment of signing.
fn settings() -> Settings {
    let secret = Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
    let long_term = KnownCredentials {
        access_key_id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
        secret_access_key: secret,
        session_token: None,
        expires: None,
        arn: ARN.to_owned(),
    };
    let temporary = KnownCredentials {
        access_key_id: "ASIAIOSFODNN7EXAMPLE".to_owned(),
        session_token: Some(Secret::new("session/token+with=signs")),
        expires: Some(signed_at() + Duration::from_secs(60)),
        arn: ROLE.to_owned(),
        ..long_term.clone()
    };
    Settings {
        clock: Clock::set_to(signed_at()),
        stream_interval: Duration::from_millis(10),
        ..Settings::new(vec![long_term, temporary])
    }
}
