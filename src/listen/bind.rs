//! Takes an address, or says why it could not and what is likely to hold it.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use nix::sys::stat::{Mode, umask};
use nix::unistd::Group;
use tokio::net::{TcpListener, TcpSocket, UnixListener, UnixStream};

use crate::config::Listen;
use crate::listen::inherit::Inherited;

/// Connections that the kernel keeps for us until they are accepted.
const BACKLOG: u32 = 1024;

/// An address that is ours.
#[derive(Debug)]
pub enum Bound {
    /// A TCP listener.
    Tcp(TcpListener),
    /// A unix socket and its file; none where the file is systemd's.
    Unix(UnixListener, Option<SocketFile>),
}

/// A unix socket's file, removed when the listener goes.
#[derive(Debug)]
pub struct SocketFile(PathBuf);

impl SocketFile {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0); // somebody else may have removed it
    }
}

/// Why an address could not be taken.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on `{address}`")]
pub struct BindError {
    /// The address, as the configuration writes it.
    pub address: String,
    /// What to do about it.
    pub hint: String,
    #[source]
    cause: io::Error,
}

impl Bound {
    /// The TCP address, with the port that the system chose where 0 was asked for.
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            Self::Unix(..) => None,
        }
    }
}

/// Takes an address. None: an optional one that this machine does not have; several: sockets of
/// one name that systemd has passed.
///
/// # Errors
///
/// Where the address is taken, not ours, or not allowed.
pub async fn bind(listen: &Listen, inherited: &mut Inherited) -> Result<Vec<Bound>, BindError> {
    match listen {
        Listen::Systemd { name, remote } => inherited
            .take(name, *remote)
            .map_err(|(cause, hint)| refused(format!("systemd:{name}"), hint, cause)),
        Listen::Tcp { address, optional } => match bind_tcp(*address) {
            Ok(listener) => Ok(vec![Bound::Tcp(listener)]),
            Err(cause) if *optional && is_missing_family(&cause) => Ok(Vec::new()),
            Err(cause) => Err(refused(address.to_string(), tcp_hint(*address, &cause), cause)),
        },
        Listen::Unix { path, mode, group } => {
            match bind_unix(path, *mode, group.as_deref()).await {
                Ok(listener) => Ok(vec![Bound::Unix(listener, Some(SocketFile(path.clone())))]),
                Err(cause) => {
                    let address = format!("unix:{}", path.display());
                    Err(refused(address, unix_hint(path, group.as_deref(), &cause), cause))
                }
            }
        }
    }
}

fn refused(address: String, hint: String, cause: io::Error) -> BindError {
    BindError { address, hint, cause }
}

fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?; // a restart must not wait for the last one's TIME_WAIT
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn is_missing_family(cause: &io::Error) -> bool {
    cause.kind() == io::ErrorKind::AddrNotAvailable
        || cause.raw_os_error() == Some(nix::errno::Errno::EAFNOSUPPORT as i32)
}

fn tcp_hint(address: SocketAddr, cause: &io::Error) -> String {
    let port = address.port();
    match cause.kind() {
        io::ErrorKind::AddrInUse => format!(
            "something else listens on port {port}: containers of one pod or task share their \
             ports, so look at the other ones too, then give one of them another port \
             (`--listen` or `--admin`, in the file `listen` or `admin`)"
        ),
        io::ErrorKind::PermissionDenied => {
            format!("port {port} is reserved for root: choose one from 1024 up")
        }
        io::ErrorKind::AddrNotAvailable => {
            format!("this machine has no address `{}`: use `127.0.0.1`", address.ip())
        }
        _ => "choose another address".to_owned(),
    }
}

/// Takes a socket's path over only where nobody answers there any more.
async fn bind_unix(path: &Path, mode: u32, group: Option<&str>) -> io::Result<UnixListener> {
    let listener = match bind_private(path) {
        Err(cause) if cause.kind() == io::ErrorKind::AddrInUse => {
            // Only a refusal says so: an owner with too many waiting, or another user's, does not.
            let answered = UnixStream::connect(path).await.map_err(|error| error.kind());
            if answered.err() != Some(io::ErrorKind::ConnectionRefused) || !is_socket(path) {
                return Err(cause);
            }
            std::fs::remove_file(path)?;
            bind_private(path)?
        }
        other => other?,
    };
    if let Some(name) = group {
        let group = Group::from_name(name).map_err(io::Error::from)?;
        let group = group.ok_or(io::ErrorKind::NotFound)?;
        chown(path, None, Some(group.gid.as_raw()))?;
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    Ok(listener)
}

/// Nobody but us may connect before the mode and the group are set.
fn bind_private(path: &Path) -> io::Result<UnixListener> {
    let before = umask(Mode::from_bits_truncate(0o177));
    let listener = UnixListener::bind(path);
    umask(before);
    listener
}

fn is_socket(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    std::fs::metadata(path).is_ok_and(|found| found.file_type().is_socket())
}

fn unix_hint(path: &Path, group: Option<&str>, cause: &io::Error) -> String {
    match (cause.kind(), group) {
        (io::ErrorKind::AddrInUse, _) if is_socket(path) => {
            "another process answers on this socket: stop it, or choose another path".to_owned()
        }
        (io::ErrorKind::AddrInUse, _) => {
            "a file that is no socket stands there: remove it, or choose another path".to_owned()
        }
        (io::ErrorKind::NotFound, Some(name)) if path.exists() => {
            format!("there is no group `{name}` here: create it, or leave `group` out")
        }
        (io::ErrorKind::NotFound, _) => "create the socket's folder first".to_owned(),
        (io::ErrorKind::PermissionDenied, Some(name)) if path.exists() => {
            format!("only a member of `{name}`, or root, may give the socket to that group")
        }
        _ => "choose a path in a folder that this user may write to".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::bind_private;

    #[tokio::test]
    async fn a_new_socket_is_ours_alone_until_its_mode_is_set() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("http.sock");
        let _listener = bind_private(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o177, 0);
    }
}
