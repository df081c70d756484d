//! The way out: one TLS stack and one connector, for targets and for the sources of credentials.

mod alarm;
mod census;
mod client;
mod connect;
mod error;
mod opening;
mod pool;
mod received;
mod resolve;
mod sdk;
mod tcp;
#[cfg(test)]
mod tests;
mod tls;
mod way;

pub use client::Clients;
pub use connect::Connector;
pub use error::{ConnectError, SendError, Sent};
pub use opening::Lookout;
pub use pool::{CameOn, Pool, Reuse};
pub use received::Received;
pub use sdk::sdk_client;
pub use tls::SetupError;
