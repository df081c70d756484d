//! The way out: one TLS stack and one connector, for targets and for the sources of credentials.

mod client;
mod connect;
mod error;
mod history;
mod resolve;
mod sdk;
mod tcp;
#[cfg(test)]
mod tests;
mod tls;
mod way;

pub use client::{CameOn, Client, Clients, mark_answered, was_kept, was_unwritten};
pub use connect::Connector;
pub use error::ConnectError;
pub use sdk::sdk_client;
pub use tls::SetupError;
