//! Credentials: where they come from ([`source`], and roles assumed with those), what went wrong
//! ([`failure`]), and the store that always has the last good ones at hand ([`store`]).

pub mod failure;
mod role;
pub mod source;
pub mod store;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use failure::Failure;
pub use store::{Status, Store, Unavailable};

use crate::clock::Clock;
use crate::config::{Config, CredentialsSource, Target, Upstream};
use crate::credentials::role::AssumedRole;
use crate::credentials::source::{Chain, Environment, Fixed, Sdk, Source};
use crate::net::{Connector, SetupError};
use crate::sigv4::SigningCredentials;

/// One store for each distinct source of the configuration.
#[derive(Clone, Debug)]
pub struct Stores {
    of_targets: Arc<Vec<(CredentialsSource, Store)>>,
    /// What roles are assumed with, where no target signs with it.
    bases: Arc<Vec<(CredentialsSource, Store)>>,
    /// How the sources open connections; none where they open none.
    way: Option<Way>,
}

/// How connections are opened, and what of a configuration that depends on.
#[derive(Clone, Debug)]
struct Way {
    connector: watch::Sender<Connector>,
    of: (Upstream, Duration),
}

impl Stores {
    /// The stores of a configuration. Nothing is loaded before [`Stores::run`].
    ///
    /// # Errors
    ///
    /// Where the TLS for STS and SSO cannot be set up.
    pub fn new(
        config: &Config,
        environment: &[(String, String)],
        clock: &Clock,
    ) -> Result<Self, SetupError> {
        let none = Self { of_targets: Arc::default(), bases: Arc::default(), way: None };
        none.renewed(config, environment, clock)
    }

    /// The stores of another configuration; a source that was there keeps its store, with what is in
    /// it. It is reached as this configuration says from its next load on; the region of STS stays.
    ///
    /// # Errors
    ///
    /// Where the TLS for STS and SSO cannot be set up.
    pub fn renewed(
        &self,
        config: &Config,
        environment: &[(String, String)],
        clock: &Clock,
    ) -> Result<Self, SetupError> {
        let way = self.way(config)?;
        let environment = Environment::of(environment);
        let sdk = |target: &Target| Sdk {
            profile: target.credentials.profile.clone(),
            region: target.scope.region.clone(),
            way: Mutex::new(way.connector.subscribe()),
        };
        // Without a role: with what a target signs, or with what its role is assumed.
        let base = |target: &Target| {
            let source = target.credentials.base();
            self.of(&source).or_else(|| find(&self.bases, &source)).unwrap_or_else(|| {
                let chain = Chain { sdk: sdk(target), environment: environment.clone() };
                Store::new(Box::new(chain), clock.clone())
            })
        };
        let (mut of_targets, mut bases) = (Vec::new(), Vec::new());
        for target in config.targets.iter().filter(|target| target.credentials.is_base()) {
            if find(&of_targets, &target.credentials).is_none() {
                of_targets.push((target.credentials.clone(), base(target)));
            }
        }
        for target in &config.targets {
            let source = &target.credentials;
            let Some(role) = &source.assume_role else { continue };
            if find(&of_targets, source).is_some() {
                continue;
            }
            let known = find(&of_targets, &source.base()).or_else(|| find(&bases, &source.base()));
            let base = known.unwrap_or_else(|| {
                let base = base(target);
                bases.push((source.base(), base.clone()));
                base
            });
            let store = self.of(source).unwrap_or_else(|| {
                let assumed = AssumedRole { role: role.clone(), base, sdk: sdk(target) };
                Store::new(Box::new(assumed), clock.clone())
            });
            of_targets.push((source.clone(), store));
        }
        Ok(Self { of_targets: Arc::new(of_targets), bases: Arc::new(bases), way: Some(way) })
    }

    /// The way of a configuration; where it is another one, the sources learn of it.
    fn way(&self, config: &Config) -> Result<Way, SetupError> {
        let of = (config.upstream.clone(), config.timeouts.connect);
        match &self.way {
            Some(way) if way.of == of => Ok(way.clone()),
            Some(Way { connector, .. }) => {
                connector.send_replace(Connector::new(config)?);
                Ok(Way { connector: connector.clone(), of })
            }
            None => Ok(Way { connector: watch::Sender::new(Connector::new(config)?), of }),
        }
    }

    /// Every source of `config` gives these credentials.
    pub fn fixed(config: &Config, credentials: &SigningCredentials, clock: &Clock) -> Self {
        Self::from_sources(config, clock, |_| Box::new(Fixed(credentials.clone())))
    }

    /// The stores of a configuration, with sources of one's own.
    pub fn from_sources(
        config: &Config,
        clock: &Clock,
        mut source: impl FnMut(&CredentialsSource) -> Box<dyn Source>,
    ) -> Self {
        let mut stores: Vec<(CredentialsSource, Store)> = Vec::new();
        for target in &config.targets {
            let of = &target.credentials;
            if stores.iter().all(|(known, _)| known != of) {
                stores.push((of.clone(), Store::new(source(of), clock.clone())));
            }
        }
        Self { of_targets: Arc::new(stores), bases: Arc::default(), way: None }
    }

    /// The store of a source; none where no target of the configuration named it.
    pub fn of(&self, source: &CredentialsSource) -> Option<Store> {
        find(&self.of_targets, source)
    }

    /// How each store is, by the name of its source.
    pub fn statuses(&self) -> Vec<(String, Status)> {
        let mut statuses = self.statuses_of_targets();
        statuses.extend(named(&self.bases));
        statuses
    }

    /// How each store is that a target signs with. What roles are assumed with may be down for as
    /// long as the roles' own credentials last.
    pub fn statuses_of_targets(&self) -> Vec<(String, Status)> {
        named(&self.of_targets)
    }

    /// Loads and refreshes until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let refreshers = TaskTracker::new();
        for store in self.all() {
            refreshers.spawn(store.clone().run(stop.clone()));
        }
        refreshers.close();
        refreshers.wait().await;
    }

    /// Every store: those that targets sign with, and those that roles are assumed with.
    pub fn all(&self) -> impl Iterator<Item = &Store> {
        self.of_targets.iter().chain(self.bases.iter()).map(|(_, store)| store)
    }

    /// Waits until each store has credentials or has failed to get any, for `patience` at most.
    pub async fn await_first(&self, patience: Duration) {
        let first = self.all().map(|store| async move { drop(store.get(patience).await) });
        futures_util::future::join_all(first).await;
    }
}

fn find(stores: &[(CredentialsSource, Store)], source: &CredentialsSource) -> Option<Store> {
    stores.iter().find(|(known, _)| known == source).map(|(_, store)| store.clone())
}

/// Sources that differ only in what their names do not tell (an external ID, a duration) are
/// numbered: a metric takes a name once.
fn named(stores: &[(CredentialsSource, Store)]) -> Vec<(String, Status)> {
    let mut names: Vec<String> = Vec::new();
    let status = |(source, store): &(CredentialsSource, Store)| {
        names.push(source.to_string());
        let name = source.to_string();
        match names.iter().filter(|known| **known == name).count() {
            1 => (name, store.status()),
            number => (format!("{name}#{number}"), store.status()),
        }
    };
    stores.iter().map(status).collect()
}
