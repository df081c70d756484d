//! The metrics as text. What is read off at a scrape is made anew each time, so that a source of
//! credentials which a reload took away is gone from here too.

use std::time::SystemTime;

use prometheus::{GaugeVec, IntCounterVec, IntGaugeVec, Registry, TEXT_FORMAT, TextEncoder};

use super::{Metrics, RESULT, labelled};

/// The media type of the text.
pub const CONTENT_TYPE: &str = TEXT_FORMAT;

const SOURCE: &str = "source";

/// How the credentials of one source are.
#[derive(Clone, Debug)]
pub struct CredentialsReading {
    /// The source's name.
    pub source: String,
    /// They have not expired.
    pub usable: bool,
    /// They have expired, and are given for want of better ones.
    pub stale: bool,
    /// When they expire.
    pub expires: Option<SystemTime>,
    /// When they were loaded.
    pub loaded: Option<SystemTime>,
    /// Loads that ended well.
    pub succeeded: u64,
    /// Loads that did not.
    pub failed: u64,
}

impl Metrics {
    /// Every metric as Prometheus text 0.0.4.
    pub fn text(&self, credentials: &[CredentialsReading], now: SystemTime) -> String {
        let mut families = self.0.registry.gather();
        families.extend(credentials_families(credentials, now).gather());
        let mut text = String::new();
        TextEncoder::new()
            .encode_utf8(&families, &mut text)
            .expect("a family that was registered has a name, and a series");
        text
    }
}

fn credentials_families(readings: &[CredentialsReading], now: SystemTime) -> Registry {
    let registry = Registry::new();
    let gauge = |name: &str, help: &str| labelled(&registry, name, help, &[SOURCE], GaugeVec::new);
    let flag =
        |name: &str, help: &str| labelled(&registry, name, help, &[SOURCE], IntGaugeVec::new);
    let expiry = gauge(
        "countersign_credentials_expiration_timestamp_seconds",
        "When the credentials expire; absent where their source did not say.",
    );
    let age = gauge("countersign_credentials_age_seconds", "How long ago they were loaded.");
    let usable = flag("countersign_credentials_usable", "Whether there are any, not expired.");
    let stale = flag(
        "countersign_credentials_stale",
        "Whether expired ones are used, for their source gives none.",
    );
    let refreshes = labelled(
        &registry,
        "countersign_credentials_refreshes_total",
        "Loads of credentials from their source.",
        &[SOURCE, RESULT],
        IntCounterVec::new,
    );
    for reading in readings {
        let source = [reading.source.as_str()];
        if let Some(expires) = reading.expires {
            expiry.with_label_values(&source).set(unix_seconds(expires));
        }
        if let Some(loaded) = reading.loaded {
            let elapsed = now.duration_since(loaded).unwrap_or_default();
            age.with_label_values(&source).set(elapsed.as_secs_f64());
        }
        usable.with_label_values(&source).set(i64::from(reading.usable));
        stale.with_label_values(&source).set(i64::from(reading.stale));
        let results = [("success", reading.succeeded), ("failure", reading.failed)];
        for (result, count) in results {
            refreshes.with_label_values(&[source[0], result]).inc_by(count);
        }
    }
    registry
}

fn unix_seconds(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
