//! The routes of a configuration, and the table that finds the one of a request.

use std::sync::Arc;

use crate::config::{RejectRoute, Route};
use crate::routing::{Conflict, Found, Key, Reason, Rule, Table};

/// The routes and the table that finds one.
#[derive(Debug)]
pub struct RouteTable {
    routes: Vec<Arc<Route>>,
    /// Those that send nothing on; in the table they stand behind the others.
    rejecting: Vec<Arc<RejectRoute>>,
    table: Table,
}

/// What takes a request.
#[derive(Clone, Copy, Debug)]
pub enum Taker<'a> {
    /// A route that sends it on.
    Sends(&'a Arc<Route>),
    /// One that does not.
    Rejects(&'a Arc<RejectRoute>),
}

impl<'a> Taker<'a> {
    /// The route's name.
    pub fn name(self) -> &'a str {
        match self {
            Self::Sends(route) => &route.name,
            Self::Rejects(route) => &route.name,
        }
    }
}

impl RouteTable {
    pub(super) fn new(
        routes: Vec<Route>,
        rejecting: Vec<RejectRoute>,
    ) -> Result<Self, Vec<(usize, Conflict)>> {
        let sent = routes.iter().map(|route| route.matches.clone());
        let rules = sent.chain(rejecting.iter().map(|route| route.matches.clone()));
        let table = Table::new(rules.collect())?;
        let routes = routes.into_iter().map(Arc::new).collect();
        Ok(Self { routes, rejecting: rejecting.into_iter().map(Arc::new).collect(), table })
    }

    /// The routes that send on, in the order of the file.
    pub fn routes(&self) -> &[Arc<Route>] {
        &self.routes
    }

    /// The routes that reject, in the order of the file.
    pub fn rejecting(&self) -> &[Arc<RejectRoute>] {
        &self.rejecting
    }

    /// The names and rules of all routes, by the indices of [`Self::find`] and [`Self::explain`].
    pub fn rules(&self) -> impl Iterator<Item = (&str, &Rule)> {
        let sent = self.routes.iter().map(|route| (route.name.as_str(), &route.matches));
        let rejecting = self.rejecting.iter();
        sent.chain(rejecting.map(|route| (route.name.as_str(), &route.matches)))
    }

    /// The route of an index that [`Self::find`] gave.
    pub fn taker(&self, index: usize) -> Taker<'_> {
        match self.routes.get(index) {
            Some(route) => Taker::Sends(route),
            None => Taker::Rejects(&self.rejecting[index - self.routes.len()]),
        }
    }

    /// The route of a request.
    pub fn find<'p>(&'p self, key: Key<'p>) -> Found<'p> {
        self.table.find(key)
    }

    /// For each route, why it does or does not take the request.
    pub fn explain(&self, key: Key<'_>) -> Vec<(usize, Reason)> {
        self.table.explain(key)
    }
}
