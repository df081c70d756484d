//! A new configuration without a restart: on SIGHUP, or where the file's content changes. It is
//! taken in one step or not at all; a wrong one changes nothing and is told in the log. Requests
//! under way keep the configuration that they began with.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::admin::Admin;
use crate::app::refresh::Refreshers;
use crate::app::systemd;
use crate::clock::Clock;
use crate::config::load::{Inputs, load};
use crate::config::problem::{Problem, Problems};
use crate::config::{Config, Listen, SourceFile};
use crate::credentials::Stores;
use crate::net::{Clients, SetupError};
use crate::proxy::Proxy;
use crate::telemetry::logs::Filter;
use crate::telemetry::metrics::{self, Metrics};

/// How often the files are looked at. Their content is compared, not their times: a ConfigMap is
/// swapped by renaming a folder, and an editor may write the same again.
const LOOK: Duration = Duration::from_secs(2);
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
        let mut seen = self.proxy.config().files.clone();
        loop {
            tokio::select! {
                () = self.reload.asked.notified() => {}
                () = changed(&seen) => {}
                () = stop.cancelled() => return,
            }
            let now = look(&seen).await; // what changes from here on is a reason again
            let taken = self.reload().await;
            seen = if taken { self.proxy.config().files.clone() } else { now };
        }
    }

    async fn reload(&mut self) -> bool {
        systemd::reloading();
        let taken = match self.read().await {
            Ok(config) => self.take(config).await,
            Err(problems) => {
                refuse(&problems);
                false
            }
        };
        let result = if taken { metrics::Reload::Success } else { metrics::Reload::Failure };
        self.metrics.reloaded(result, self.clock.now());
        systemd::ready();
        taken
    }

    async fn read(&self) -> Result<Config, Problems> {
        let inputs = self.reload.inputs.clone();
        match tokio::task::spawn_blocking(move || load(&inputs)).await {
            Ok(loaded) => loaded,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }

    /// Serves a configuration from now on; false where TLS could not be set up for it.
    async fn take(&mut self, mut config: Config) -> bool {
        let before = self.proxy.config();
        for key in keep_what_needs_a_restart(&mut config, &before) {
            tracing::warn!(key, "a change of this key takes a restart; the old value holds on");
        }
        super::warn(&config.warnings);
        let config = Arc::new(config);
        if let Err(error) = self.follow(&config, &before).await {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "the new configuration is not served: TLS cannot be set up");
            return false;
        }
        if let Some(filter) = &self.reload.filter
            && let Err(error) = filter.set(&config.log)
        {
            tracing::warn!(error = &error as &dyn std::error::Error, "the old log filter holds on");
        }
        tracing::info!(
            routes = config.routes.routes().len(),
            targets = config.targets.len(),
            "the configuration was read again and is served from now on"
        );
        true
    }

    /// Builds what the configuration needs anew, and then changes over to it.
    async fn follow(&mut self, config: &Arc<Config>, before: &Config) -> Result<(), SetupError> {
        let same_way = config.upstream == before.upstream
            && config.timeouts.connect == before.timeouts.connect;
        let environment = &self.reload.inputs.environment;
        let (stores, clients) = if same_way {
            (self.stores.renewed(config, environment, &self.clock)?, None)
        } else {
            // STS and SSO are reached the same way as targets are.
            let stores = Stores::new(config, environment, &self.clock)?;
            let clients = Clients::new(config)?.counted(self.metrics.connections_opened());
            (stores, Some(clients))
        };
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

/// Puts what is wrong into the log; what is served stays.
fn refuse(problems: &Problems) {
    for Problem { key, source, message, hint } in &problems.0 {
        tracing::error!(key, source, hint, "the new configuration is wrong: {message}");
    }
    let problems = problems.0.len();
    tracing::error!(problems, "the new configuration is not served; the old one holds on");
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

/// Ends once the files hold something else than what was `seen`.
async fn changed(seen: &[SourceFile]) {
    if seen.is_empty() {
        return std::future::pending().await;
    }
    loop {
        tokio::time::sleep(LOOK).await;
        if look(seen).await != seen {
            return;
        }
    }
}

/// The files as they are now.
async fn look(files: &[SourceFile]) -> Vec<SourceFile> {
    let files = files.to_vec();
    let read = move || files.iter().map(SourceFile::look).collect();
    tokio::task::spawn_blocking(read).await.unwrap_or_default()
}
