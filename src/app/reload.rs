//! A new configuration without a restart: on SIGHUP, or where the file's content changes. It is
//! taken in one step or not at all; a wrong one changes nothing and is told in the log. Requests
//! under way keep the configuration that they began with.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::admin::Admin;
use crate::app::beside::beside;
use crate::app::refresh::Refreshers;
use crate::app::{systemd, watch};
use crate::clock::Clock;
use crate::config::load::{Inputs, load};
use crate::config::problem::{Problem, Problems};
use crate::config::{Config, Listen};
use crate::credentials::Stores;
use crate::net::{Clients, SetupError};
use crate::proxy::Proxy;
use crate::telemetry::logs::Filter;
use crate::telemetry::metrics::{self, Metrics};

/// How often a configuration that was refused is tried again: what it lacked, such as a file of
/// certificates, may come later, and its own files do not tell. More than a look at those takes.
const TRY_AGAIN: Duration = Duration::from_secs(3);
/// How long new sources are given to bring credentials before requests depend on them.
const FIRST_CREDENTIALS: Duration = Duration::from_secs(5);

/// What a reload reads, and what it changes besides the proxy.
#[derive(Debug)]
pub struct Reload {
    /// The same file, environment and flags as at start.
    pub inputs: Inputs,
    /// What is logged.
    pub filter: Option<Filter>,
    /// Wakes a reload: SIGHUP.
    pub asked: Arc<Notify>,
}

/// Waits for reasons to reload, and reloads.
pub(super) struct Reloader {
    pub(super) reload: Reload,
    pub(super) proxy: Arc<Proxy>,
    pub(super) operator: Admin,
    pub(super) metrics: Metrics,
    pub(super) stores: Stores,
    pub(super) clients: Clients,
    pub(super) refreshers: Refreshers,
    pub(super) clock: Clock,
}

impl Reloader {
    /// Reloads whenever there is a reason to, until `stop`.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        tokio::select! {
            () = self.follow_reasons() => {}
            () = stop.cancelled() => {}
        }
    }

    async fn follow_reasons(&mut self) {
        let mut seen = self.proxy.config().files.clone();
        let mut refused: Option<Refused> = None;
        loop {
            tokio::select! {
                () = self.reload.asked.notified() => refused = None, // who asks is answered
                () = watch::changed(&seen) => refused = None,
                () = tokio::time::sleep(TRY_AGAIN), if refused.is_some() => {}
            }
            seen = watch::look(&seen).await; // what changes from here on is a reason again
            let Some(read) = self.read().await else {
                if !matches!(refused, Some(Refused::Unread)) {
                    refused = self.reload(Err(Refused::Unread)).await.err();
                }
                continue;
            };
            let (read, is_told) = match &refused {
                Some(refused) => refused.compare(read).await,
                None => (read, false),
            };
            if is_told {
                continue;
            }
            refused = self.reload(read.map_err(Refused::Wrong)).await.err();
            if refused.is_none() {
                seen.clone_from(&self.proxy.config().files);
            }
        }
    }

    /// Serves what was read, or tells why not.
    async fn reload(&mut self, read: Result<Config, Refused>) -> Result<(), Refused> {
        systemd::reloading();
        let reloaded = match read {
            Ok(config) if config.files.is_empty() && self.proxy.config().files.is_empty() => {
                tracing::info!("there is no file to read again; flags and variables hold on");
                Ok(())
            }
            Ok(config) => self.take(config).await.map_err(Refused::Setup),
            Err(refused) => Err(refused),
        };
        let result = match &reloaded {
            Ok(()) => metrics::Reload::Success,
            Err(refused) => {
                refused.tell();
                metrics::Reload::Failure
            }
        };
        self.metrics.reloaded(result, self.clock.now());
        systemd::ready();
        reloaded
    }

    /// What the file says now; none where it cannot be read.
    async fn read(&self) -> Option<Result<Config, Problems>> {
        let inputs = self.reload.inputs.clone();
        beside(move || load(&inputs)).await
    }

    /// Serves a configuration from now on.
    async fn take(&mut self, mut config: Config) -> Result<(), SetupError> {
        let before = self.proxy.config();
        let kept = keep_what_needs_a_restart(&mut config, &before);
        let config = Arc::new(config);
        self.follow(&config, &before).await?;
        for key in kept {
            tracing::warn!(key, "a change of this key takes a restart; the old value holds on");
        }
        super::warn(&config.warnings);
        if let Some(filter) = &self.reload.filter
            && let Err(error) = filter.set(&config.log)
        {
            tracing::warn!(error = &error as &dyn std::error::Error, "the old log filter holds on");
        }
        tracing::info!(
            routes = config.routes.rules().count(),
            targets = config.targets.len(),
            "the configuration was read again and is served from now on"
        );
        Ok(())
    }

    /// Builds what the configuration needs anew, and then changes over to it.
    async fn follow(&mut self, config: &Arc<Config>, before: &Config) -> Result<(), SetupError> {
        let same_way = config.upstream == before.upstream
            && config.timeouts.connect == before.timeouts.connect;
        let clients = if same_way {
            None
        } else {
            let clients = Clients::new(config)?.counted(self.metrics.connections_opened());
            Some(clients.bounded_with(&self.clients))
        };
        let environment = &self.reload.inputs.environment;
        let stores = self.stores.renewed(config, environment, &self.clock)?;
        self.refreshers.add(&stores);
        stores.await_first(FIRST_CREDENTIALS).await;
        self.proxy.serve_anew(Arc::clone(config), &stores, clients.as_ref());
        self.operator.follow(Arc::clone(config), stores.clone());
        self.refreshers.leave_only(&stores);
        self.stores = stores;
        if let Some(clients) = clients {
            self.clients = clients;
        }
        Ok(())
    }
}

/// Why a configuration is not served; what is served stays.
enum Refused {
    /// It is wrong.
    Wrong(Problems),
    /// Targets cannot be reached as it says.
    Setup(SetupError),
    /// There is no thread to read it on.
    Unread,
}

impl Refused {
    /// What is read now, and whether it would be refused for the same.
    async fn compare(&self, read: Result<Config, Problems>) -> (Result<Config, Problems>, bool) {
        match (self, read) {
            (Self::Wrong(problems), Err(now)) => {
                let same = now == *problems;
                (Err(now), same)
            }
            (Self::Setup(error), Ok(config)) => {
                let told = error.to_string();
                let try_it = move || {
                    let same = Clients::new(&config).is_err_and(|now| now.to_string() == told);
                    (Ok(config), same)
                };
                let none = || (Err(Problems(Vec::new())), true); // it is tried again
                beside(try_it).await.unwrap_or_else(none)
            }
            (_, read) => (read, false),
        }
    }

    /// Puts all of it into the log.
    fn tell(&self) {
        let problems = match self {
            Self::Wrong(Problems(problems)) => problems.as_slice(),
            Self::Setup(error) => {
                let error = error as &dyn std::error::Error;
                let hint = "look at `ca_file`, `roots` and `proxy` of `[upstream]`";
                tracing::error!(error, hint, "TLS cannot be set up for the new configuration");
                &[]
            }
            Self::Unread => {
                let hint = "allow the process more threads; it is tried again meanwhile";
                tracing::error!(hint, "the configuration is not read: the system starts no thread");
                &[]
            }
        };
        for Problem { key, source, message, hint } in problems {
            tracing::error!(key, source, hint, "the new configuration is wrong: {message}");
        }
        tracing::error!(
            problems = problems.len().max(1),
            "the new configuration is not served; the old one holds on"
        );
    }
}

/// What listeners and the runtime were built with stays as it is. Gives the keys that differ.
fn keep_what_needs_a_restart(config: &mut Config, before: &Config) -> Vec<&'static str> {
    let mut keys = Vec::new();
    let mut keep = |key, differs: bool| {
        if differs {
            keys.push(key);
        }
    };
    keep("listen", places(&config.listen) != places(&before.listen));
    keep("admin", config.admin != before.admin);
    keep("workers", config.workers != before.workers);
    keep("log_format", config.log_format != before.log_format);
    keep("limits.connections", config.limits.connections != before.limits.connections);
    keep("limits.header_bytes", config.limits.header_bytes != before.limits.header_bytes);
    keep("limits.headers", config.limits.headers != before.limits.headers);
    keep("timeouts.header_read", config.timeouts.header_read != before.timeouts.header_read);
    keep("timeouts.client_idle", config.timeouts.client_idle != before.timeouts.client_idle);
    config.listen.clone_from(&before.listen);
    config.admin = before.admin;
    config.workers = before.workers;
    config.log_format = before.log_format;
    config.limits.connections = before.limits.connections;
    config.limits.header_bytes = before.limits.header_bytes;
    config.limits.headers = before.limits.headers;
    config.timeouts.header_read = before.timeouts.header_read;
    config.timeouts.client_idle = before.timeouts.client_idle;
    keys
}

/// Addresses as they are compared: whether one is optional says nothing of where it is.
fn places(listen: &[Listen]) -> Vec<Listen> {
    let place = |listen: &Listen| match listen {
        Listen::Tcp { address, .. } => Listen::Tcp { address: *address, optional: false },
        other => other.clone(),
    };
    listen.iter().map(place).collect()
}
