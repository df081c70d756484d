//! What probes ask: is it alive, was it ever ready, is it ready now. Never how a target is: a
//! fleet must not go down with a function.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::Full;

use super::{Reader, answers};
use crate::credentials::{Status, Stores};

/// What probes are told of the process.
#[derive(Clone, Debug)]
pub struct Health(Arc<State>);

#[derive(Debug)]
struct State {
    stores: ArcSwap<Stores>,
    was_ready: AtomicBool,
    draining: AtomicBool,
}

impl Health {
    /// The health of a process whose credentials come from `stores`.
    pub fn new(stores: Stores) -> Self {
        let (was_ready, draining) = (AtomicBool::new(false), AtomicBool::new(false));
        Self(Arc::new(State { stores: ArcSwap::from_pointee(stores), was_ready, draining }))
    }

    /// From now on credentials come from other stores.
    pub fn watch(&self, stores: Stores) {
        self.0.stores.store(Arc::new(stores));
    }

    /// From now on the process takes no new work.
    pub fn drain(&self) {
        self.0.draining.store(true, Ordering::Relaxed);
    }

    /// How each source of credentials is.
    pub(super) fn credentials(&self) -> Vec<(String, Status)> {
        self.0.stores.load().statuses()
    }

    /// It answers, so it is.
    pub(super) fn live(&self) -> Probe {
        Probe(vec![Check::of("process", Ok(()))])
    }

    pub(super) fn ready(&self) -> Probe {
        // A configuration that is wrong would have kept the process from getting here.
        let mut checks = vec![Check::of("configuration", Ok(()))];
        for (source, status) in self.0.stores.load().statuses_of_targets() {
            checks.push(Check::of(format!("credentials/{source}"), usable(&status)));
        }
        let draining = self.0.draining.load(Ordering::Relaxed);
        let serving = if draining { Err("it is told to stop".to_owned()) } else { Ok(()) };
        checks.push(Check::of("serving", serving));
        let probe = Probe(checks);
        if probe.passed() {
            self.0.was_ready.store(true, Ordering::Relaxed);
        }
        probe
    }

    pub(super) fn started(&self) -> Probe {
        let ready = self.ready();
        if ready.passed() || !self.0.was_ready.load(Ordering::Relaxed) {
            return ready;
        }
        Probe(vec![Check::of("was-ready", Ok(()))])
    }
}

fn usable(status: &Status) -> Result<(), String> {
    if status.usable {
        return Ok(());
    }
    let state = if status.stale { "they have expired" } else { "there are none yet" };
    Err(match &status.failure {
        Some(failure) => format!("{state}: {} (hint: {})", failure.message, failure.hint),
        None => state.to_owned(),
    })
}

/// The checks behind one answer.
#[derive(Debug)]
pub(super) struct Probe(Vec<Check>);

#[derive(Debug)]
struct Check {
    name: String,
    failure: Option<String>,
}

impl Check {
    fn of(name: impl Into<String>, outcome: Result<(), String>) -> Self {
        Self { name: name.into(), failure: outcome.err() }
    }
}

impl Probe {
    /// Each check by its name, and why it failed if it did.
    pub(super) fn checks(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.0.iter().map(|check| (check.name.as_str(), check.failure.as_deref()))
    }

    pub(super) fn passed(&self) -> bool {
        self.0.iter().all(|check| check.failure.is_none())
    }

    /// As kube-apiserver answers: `ok`, or what it was made of.
    pub(super) fn answer(
        &self,
        path: &str,
        verbose: bool,
        reader: Reader,
    ) -> Response<Full<Bytes>> {
        let passed = self.passed();
        if passed && !verbose {
            return answers::text(StatusCode::OK, "ok\n");
        }
        let (status, outcome) = match passed {
            true => (StatusCode::OK, "passed"),
            false => (StatusCode::SERVICE_UNAVAILABLE, "failed"),
        };
        let mut text = self.listed(reader);
        let _ = writeln!(text, "{} check {outcome}", path.trim_start_matches('/'));
        answers::text(status, text)
    }

    /// Why a check failed is for those on this machine: it may name roles and files.
    fn listed(&self, reader: Reader) -> String {
        let mut text = String::new();
        for Check { name, failure } in &self.0 {
            let _ = match (failure, reader) {
                (None, _) => writeln!(text, "[+]{name} ok"),
                (Some(why), Reader::Near) => writeln!(text, "[-]{name} failed: {why}"),
                (Some(_), Reader::Anyone) => writeln!(text, "[-]{name} failed: reason withheld"),
            };
        }
        text
    }
}
