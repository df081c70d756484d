//! How the process and its credentials are: for `/status` and the metrics. Of the credentials
//! themselves no more than the end of their key's id.

use serde_json::{Value, json};

use super::{Health, requests};
use crate::credentials::Status;
use crate::listen::Connections;
use crate::telemetry::metrics::{ConnectionsReading, CredentialsReading};

/// For a person.
pub(super) fn listed(health: &Health) -> Value {
    let ready = health.ready();
    let checks = ready.checks().map(|(name, why)| json!({ "name": name, "ok": why.is_none() }));
    let credentials = health.credentials();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "ready": ready.passed(),
        "checks": checks.collect::<Vec<_>>(),
        "credentials": credentials.iter().map(credentials_of).collect::<Vec<_>>(),
    })
}

fn credentials_of((source, status): &(String, Status)) -> Value {
    let failure = status.failure.as_ref();
    json!({
        "source": source,
        "state": state(status),
        "expires": status.expires.map(requests::time),
        "loaded": status.loaded.map(requests::time),
        "key_id_ends_with": status.key_ending,
        "failure": failure.map(|why| json!({ "message": why.message, "hint": why.hint })),
    })
}

/// For Prometheus.
pub(super) fn readings(health: &Health) -> Vec<CredentialsReading> {
    let reading = |(source, status): (String, Status)| CredentialsReading {
        source,
        usable: status.usable,
        stale: status.stale,
        expires: status.expires,
        loaded: status.loaded,
        succeeded: status.succeeded,
        failed: status.failed,
    };
    health.credentials().into_iter().map(reading).collect()
}

fn state(status: &Status) -> &'static str {
    match (status.usable, status.stale) {
        (true, _) => "usable",
        (false, true) => "expired",
        (false, false) => "none",
    }
}

/// What the listeners for apps have counted, for Prometheus.
pub(super) fn connections(of: &Connections) -> ConnectionsReading {
    let counts = &of.counts;
    ConnectionsReading {
        open: of.open(),
        turned_away: counts.turned_away.total(),
        malformed: counts.malformed.total(),
        head_too_large: counts.head_too_large.total(),
        head_timeout: counts.head_timeout.total(),
        stalled: counts.stalled.total(),
    }
}
