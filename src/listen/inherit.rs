//! Sockets that systemd has opened for us (sd_listen_fds(3)), by their names: it holds them while
//! we restart, so that no connection is refused.

use std::io;

use listenfd::ListenFd;
use tokio::net::{TcpListener, UnixListener};

use super::Bound;

/// What sd_listen_fds_with_names(3) calls a socket without a name.
const NAMELESS: &str = "unknown";

/// The sockets that the process was started with, until each is taken.
pub struct Inherited {
    sockets: ListenFd,
    names: Vec<String>,
}

impl std::fmt::Debug for Inherited {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inherited").field("names", &self.names).finish_non_exhaustive()
    }
}

impl Inherited {
    /// None at all.
    pub fn nothing() -> Self {
        Self { sockets: ListenFd::empty(), names: Vec::new() }
    }

    /// Those that `LISTEN_FDS` counts, if they are for this process, by `LISTEN_FDNAMES`. To be
    /// called while there is one thread, for both variables are taken away: they are for nobody
    /// else.
    pub fn of(environment: &[(String, String)]) -> Self {
        let sockets = ListenFd::from_env();
        let names = environment.iter().find(|(name, _)| name == "LISTEN_FDNAMES");
        let names = names.map(|(_, names)| names.split(':').map(str::to_owned).collect());
        let mut names: Vec<String> = names.unwrap_or_default();
        names.resize(sockets.len(), NAMELESS.to_owned());
        Self { sockets, names }
    }

    /// The sockets of that name, or why not and what to do. One unit may hold several of a name.
    pub(super) fn take(
        &mut self,
        name: &str,
        remote: bool,
    ) -> Result<Vec<Bound>, (io::Error, String)> {
        let named = |position: &usize| self.names[*position] == name;
        let positions: Vec<usize> = (0..self.names.len()).filter(named).collect();
        if positions.is_empty() {
            return Err((io::ErrorKind::NotFound.into(), self.missing(name)));
        }
        positions.into_iter().map(|position| self.take_one(position, remote)).collect()
    }

    fn take_one(&mut self, position: usize, remote: bool) -> Result<Bound, (io::Error, String)> {
        let wrong = |cause: io::Error| (cause, "it must be a listening stream socket".to_owned());
        if let Ok(Some(socket)) = self.sockets.take_unix_listener(position) {
            socket.set_nonblocking(true).map_err(wrong)?;
            return Ok(Bound::Unix(UnixListener::from_std(socket).map_err(wrong)?, None));
        }
        let socket = self.sockets.take_tcp_listener(position).map_err(wrong)?;
        let socket = socket.ok_or_else(|| wrong(io::ErrorKind::NotFound.into()))?;
        let address = socket.local_addr().map_err(wrong)?;
        if !remote && !address.ip().is_loopback() {
            let hint = format!(
                "`{address}` is not loopback, and whoever reaches it acts as the role: use \
                 127.0.0.1 in the socket unit, or say `allow_remote = true`"
            );
            return Err((io::ErrorKind::PermissionDenied.into(), hint));
        }
        socket.set_nonblocking(true).map_err(wrong)?;
        Ok(Bound::Tcp(TcpListener::from_std(socket).map_err(wrong)?))
    }

    fn missing(&self, name: &str) -> String {
        match self.names.as_slice() {
            [] => format!(
                "systemd has passed no socket: start the service by a socket unit with \
                 `FileDescriptorName={name}`"
            ),
            names => format!("systemd has passed `{}`: use one of these", names.join("`, `")),
        }
    }
}
