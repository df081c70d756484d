//! Credentials: where they come from ([`source`]), what went wrong ([`failure`]), and the store
//! that always has the last good ones at hand ([`store`]).

pub mod failure;
pub mod source;
pub mod store;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use failure::Failure;
pub use store::{Status, Store, Unavailable};

use crate::clock::Clock;
use crate::config::{Config, CredentialsSource};
use crate::credentials::source::{Chain, Environment, Fixed, Source};
use crate::net::{Connector, SetupError};
use crate::sigv4::SigningCredentials;

/// One store for each distinct source of the configuration.
#[derive(Clone, Debug)]
pub struct Stores(Arc<Vec<(CredentialsSource, Store)>>);

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
        Self(Arc::default()).renewed(config, environment, clock)
    }

    /// The stores of another configuration; a source that was there keeps its store.
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
        let connector = Connector::new(config)?;
        let environment = Environment::of(environment);
        let mut stores: Vec<(CredentialsSource, Store)> = Vec::new();
        for target in &config.targets {
            if stores.iter().all(|(known, _)| *known != target.credentials) {
                if let Some(store) = self.of(&target.credentials) {
                    stores.push((target.credentials.clone(), store));
                    continue;
                }
                let chain = Chain {
                    profile: target.credentials.profile.clone(),
                    region: target.scope.region.clone(),
                    environment: environment.clone(),
                    connector: connector.clone(),
                };
                let store = Store::new(Box::new(chain), clock.clone());
                stores.push((target.credentials.clone(), store));
            }
        }
        Ok(Self(Arc::new(stores)))
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
        Self(Arc::new(stores))
    }

    /// The store of a source; none where no target of the configuration named it.
    pub fn of(&self, source: &CredentialsSource) -> Option<Store> {
        self.0.iter().find(|(known, _)| known == source).map(|(_, store)| store.clone())
    }

    /// How each store is, by the name of its source.
    pub fn statuses(&self) -> Vec<(String, Status)> {
        self.0.iter().map(|(source, store)| (source.to_string(), store.status())).collect()
    }

    /// Whether every store has credentials that have not expired.
    pub fn all_usable(&self) -> bool {
        self.0.iter().all(|(_, store)| store.status().usable)
    }

    /// Loads and refreshes until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let refreshers = TaskTracker::new();
        for (_, store) in self.0.iter() {
            refreshers.spawn(store.clone().run(stop.clone()));
        }
        refreshers.close();
        refreshers.wait().await;
    }

    /// Every store.
    pub fn all(&self) -> impl Iterator<Item = &Store> {
        self.0.iter().map(|(_, store)| store)
    }

    /// Waits until each store has credentials or has failed to get any, for `patience` at most.
    pub async fn await_first(&self, patience: Duration) {
        let first = self.all().map(|store| async move { drop(store.get(patience).await) });
        futures_util::future::join_all(first).await;
    }
}
