//! Sockets and the connections on them: binds, accepts, bounds how long a connection may be
//! silent, and serves HTTP/1.1 with whatever service it is given. Knows no proxy.

mod accept;
mod bind;
mod body;
mod client;
mod counts;
mod descriptors;
mod inherit;
mod io;
mod stop;
mod stream;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

pub use accept::serve;
pub use bind::{BindError, Bound, SocketFile, bind};
pub use body::Watched;
pub use client::{Client, Passing, Peer, Upload};
pub use counts::{Connections, Count, Counts};
pub use descriptors::{Room, room_for};
pub use inherit::Inherited;
pub use io::BODY_LINGER;
pub use stop::Stop;

/// What a listener holds its clients to.
#[derive(Clone, Debug)]
pub struct Settings {
    /// A request head, from its first byte.
    pub header_read: Duration,
    /// A kept connection between requests, a new one before its first byte, and a client that
    /// takes nothing of its answer.
    pub client_idle: Duration,
    /// Bytes of a request head.
    pub header_bytes: usize,
    /// Headers of a request.
    pub headers: usize,
    /// The connections; listeners that share them share their bound.
    pub connections: Arc<Connections>,
    /// What a connection past that is told, as it goes on the wire.
    pub overloaded: Bytes,
}
