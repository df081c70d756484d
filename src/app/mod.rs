//! The running program: listeners, proxy and refreshers, built from a configuration, read anew
//! where it changes ([`reload`]), and ended in order.

mod beside;
pub mod extension;
mod refresh;
pub mod reload;
mod shutdown;
pub mod signals;
mod systemd;
mod watch;

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admin::{Admin, Health};
use crate::app::refresh::Refreshers;
use crate::app::reload::{Reload, Reloader};
use crate::clock::Clock;
use crate::config::{Config, Listen, problem::Problem};
use crate::credentials::Stores;
use crate::listen::{self, Bound, Client, Connections, Inherited, Settings};
use crate::net::{Clients, SetupError};
use crate::proxy::{Proxy, overloaded_on_the_wire};
use crate::telemetry::{Metrics, Recent, Telemetry};

/// Connections of the admin listener: probes and a person.
const ADMIN_CONNECTIONS: usize = 64;
/// An admin request has no body and few headers.
const ADMIN_SILENCE: Duration = Duration::from_secs(10);

/// Why the program did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address could not be taken.
    #[error(transparent)]
    Bind(#[from] listen::BindError),
    /// Targets cannot be reached as configured.
    #[error(transparent)]
    Net(#[from] SetupError),
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Every request under way was answered.
    Drained,
    /// Some were cut off.
    CutOff,
}

/// A program whose addresses are taken, ready to serve.
pub struct App {
    proxy: Arc<Proxy>,
    operator: Admin,
    metrics: Metrics,
    stores: Stores,
    clients: Clients,
    clock: Clock,
    reload: Option<Reload>,
    listeners: Vec<Bound>,
    connections: Arc<Connections>,
    admin: Option<Bound>,
}

impl App {
    /// Takes the addresses and builds the rest; serves nothing yet.
    ///
    /// # Errors
    ///
    /// Where an address is taken, or TLS cannot be set up.
    pub async fn new(
        config: Arc<Config>,
        stores: Stores,
        clock: Clock,
    ) -> Result<Self, StartError> {
        Self::with_sockets(config, stores, clock, Inherited::nothing()).await
    }

    /// The same, with sockets that the process was started with.
    ///
    /// # Errors
    ///
    /// Where an address is taken, or TLS cannot be set up.
    pub async fn with_sockets(
        config: Arc<Config>,
        stores: Stores,
        clock: Clock,
        mut inherited: Inherited,
    ) -> Result<Self, StartError> {
        let mut listeners = Vec::new();
        for address in &config.listen {
            listeners.extend(listen::bind(address, &mut inherited).await?);
        }
        let admin = match config.admin {
            None => None,
            Some(address) => {
                let at = Listen::Tcp { address, optional: false };
                listen::bind(&at, &mut inherited).await?.pop()
            }
        };
        let telemetry = Telemetry {
            metrics: Metrics::new(clock.now()),
            recent: if admin.is_some() { Recent::kept() } else { Recent::off() },
        };
        let metrics = telemetry.metrics.clone();
        let room = listen::room_for(config.limits.connections);
        let clients = Clients::new(&config)?.counted(metrics.connections_opened());
        let clients = clients.bounded(room.targets);
        let connections = Connections::new(room.clients);
        let served = Arc::clone(&config);
        let proxy = Arc::new(Proxy::new(served, &stores, &clients, &clock, &telemetry));
        let health = Health::new(stores.clone());
        let operator =
            Admin::new(config, health, Arc::clone(&connections), telemetry, clock.clone());
        let reload = None;
        Ok(Self {
            proxy,
            operator,
            metrics,
            stores,
            clients,
            clock,
            reload,
            listeners,
            connections,
            admin,
        })
    }

    /// Reads its configuration again whenever there is a reason to.
    #[must_use]
    pub fn reloading(mut self, reload: Reload) -> Self {
        self.reload = Some(reload);
        self
    }

    /// The addresses taken for apps, as a client writes them.
    pub fn addresses(&self) -> Vec<String> {
        let name = |bound: &Bound| match (bound, bound.address()) {
            (_, Some(address)) => format!("http://{address}"),
            (Bound::Unix(_, Some(file)), _) => format!("unix:{}", file.path().display()),
            (Bound::Unix(_, None), _) => "unix: (from systemd)".to_owned(),
            (Bound::Tcp(_), None) => "?".to_owned(),
        };
        self.listeners.iter().map(name).collect()
    }

    /// The address taken for probes and people.
    pub fn admin_address(&self) -> Option<std::net::SocketAddr> {
        self.admin.as_ref().and_then(Bound::address)
    }

    /// The connections of all addresses for apps: how many are open, and what became of others.
    pub fn connections(&self) -> Arc<Connections> {
        Arc::clone(&self.connections)
    }

    /// Serves until `stop`, then until the requests under way are answered, or `now` comes.
    pub async fn serve(self, stop: CancellationToken, now: CancellationToken) -> Ended {
        let background = CancellationToken::new();
        let (listeners, probes) = (listen::Stop::default(), listen::Stop::default());
        let (beside, serving) = (TaskTracker::new(), TaskTracker::new());
        let mut refreshers = Refreshers::new(background.clone());
        refreshers.add(&self.stores);
        if let Some(admin) = self.admin {
            beside.spawn(serve_admin(admin, self.operator.clone(), probes.clone()));
        }
        for bound in self.listeners {
            let settings = settings(&self.proxy.config(), &self.connections);
            serving.spawn(serve_apps(bound, settings, Arc::clone(&self.proxy), listeners.clone()));
        }
        serving.close();
        let (proxy, health) = (Arc::clone(&self.proxy), self.operator.health());
        if let Some(reload) = self.reload {
            let reloader = Reloader {
                reload,
                proxy: self.proxy,
                operator: self.operator,
                metrics: self.metrics,
                stores: self.stores,
                clients: self.clients,
                refreshers,
                clock: self.clock,
            };
            beside.spawn(reloader.run(stop.clone()));
        }
        systemd::ready();
        beside.spawn(systemd::keep_alive(background.clone()));
        stop.cancelled().await;
        health.drain();
        systemd::stopping();
        let ended = shutdown::end(proxy.config().shutdown, &serving, &listeners, &now).await;
        background.cancel();
        probes.close();
        ended
    }
}

fn settings(config: &Config, connections: &Arc<Connections>) -> Settings {
    Settings {
        header_read: config.timeouts.header_read,
        client_idle: config.timeouts.client_idle,
        header_bytes: config.limits.header_bytes,
        headers: config.limits.headers,
        connections: Arc::clone(connections),
        overloaded: overloaded_on_the_wire(config.error_style),
    }
}

async fn serve_apps(bound: Bound, settings: Settings, proxy: Arc<Proxy>, stop: listen::Stop) {
    let service = |client: Client| {
        let proxy = Arc::clone(&proxy);
        service_fn(move |request: Request<Incoming>| {
            let (proxy, client) = (Arc::clone(&proxy), client.clone());
            // Large: made in the box that it stays in, for each layer around it would move it.
            Box::into_pin(Box::write(Box::new_uninit(), async move {
                let answered = AssertUnwindSafe(proxy.answer(request, client)).catch_unwind().await;
                Ok::<_, Infallible>(answered.unwrap_or_else(|_panic| proxy.panicked()))
            }))
        })
    };
    listen::serve(bound, settings, service, stop).await;
}

async fn serve_admin(bound: Bound, admin: Admin, stop: listen::Stop) {
    let settings = Settings {
        header_read: ADMIN_SILENCE,
        client_idle: ADMIN_SILENCE,
        header_bytes: 16 * 1024,
        headers: 100,
        connections: Connections::new(ADMIN_CONNECTIONS),
        overloaded: Bytes::from_static(
            b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n",
        ),
    };
    let service = |client: Client| {
        let admin = admin.clone();
        service_fn(move |request: Request<Incoming>| {
            let answer = admin.answer(&request, client.peer());
            async move { Ok::<_, Infallible>(answer) }
        })
    };
    listen::serve(bound, settings, service, stop).await;
}

/// Puts what is odd about a configuration into the log.
pub fn warn(problems: &[Problem]) {
    for problem in problems {
        tracing::warn!(key = problem.key, source = problem.source, "{}", problem.message);
    }
}
