//! What the program says of itself: log lines, metrics, traces, and the last requests.

pub mod logs;
pub mod metrics;
#[cfg(feature = "otlp")]
pub mod otlp;
pub mod recent;
pub mod traces;

pub use metrics::Metrics;
pub use recent::Recent;

/// What a request leaves behind besides its log line. One for the whole process, whatever
/// configuration it serves.
#[derive(Clone, Debug)]
pub struct Telemetry {
    /// Every metric.
    pub metrics: Metrics,
    /// The last requests.
    pub recent: Recent,
}

/// Whose answer a request got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The target's.
    Target,
    /// Ours.
    Proxy,
    /// The client left first.
    Nobody,
}

impl Origin {
    /// Its name in logs, metrics and pages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Target => "target",
            Self::Proxy => "proxy",
            Self::Nobody => "none",
        }
    }
}
