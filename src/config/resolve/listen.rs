//! Addresses: `listen` and `admin`.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::config::reader::{Entry, Reader};
use crate::config::values::{self, Wrong};
use crate::config::{Listen, defaults};

pub(super) fn listen(reader: &Reader<'_>, remote: bool) -> Vec<Listen> {
    let Some(entry) = reader.take("listen") else { return default() };
    let found: Vec<Listen> = entry
        .list()
        .unwrap_or_default()
        .into_iter()
        .filter_map(|entry| address(&entry, remote))
        .collect();
    if found.is_empty() {
        entry.problem(Wrong::new(
            "there is no address to listen on",
            "write `listen = [\"127.0.0.1:8480\"]`, or leave it out",
        ));
    }
    found
}

fn default() -> Vec<Listen> {
    let tcp = |(position, text): (usize, &&str)| Listen::Tcp {
        address: text.parse().expect("a default is an address"),
        optional: position > 0, // a machine may be without IPv6
    };
    defaults::LISTEN.iter().enumerate().map(tcp).collect()
}

fn address(entry: &Entry<'_>, remote: bool) -> Option<Listen> {
    if !entry.is_table() {
        return entry.parsed("an address", |text| match text.strip_prefix("unix:") {
            Some(path) => socket(path, defaults::SOCKET_MODE, None),
            None => tcp(text, remote),
        });
    }
    let table = entry.table()?;
    let group = table.take("group").and_then(|entry| entry.string("a group's name"));
    let mode = table
        .take("mode")
        .and_then(|entry| entry.parsed("a mode such as `\"0660\"`", values::mode));
    let found = match table.take("address") {
        None => {
            table.problem(
                "address",
                Wrong::new(
                    "`address` is missing",
                    "write `{ address = \"unix:/run/countersign/http.sock\" }`",
                ),
            );
            None
        }
        Some(address) => address.parsed("an address", |text| match text.strip_prefix("unix:") {
            Some(path) => socket(path, mode.unwrap_or(defaults::SOCKET_MODE), group.clone()),
            None if mode.is_some() || group.is_some() => Err(Wrong::new(
                format!("`{text}` is no unix socket: it has neither mode nor group"),
                "write `unix:/path`, or leave `mode` and `group` out",
            )),
            None => tcp(text, remote),
        }),
    };
    table.finish();
    found
}

fn socket(path: &str, mode: u32, group: Option<String>) -> Result<Listen, Wrong> {
    let path = PathBuf::from(path);
    if !path.is_absolute() {
        return Err(Wrong::new(
            "a unix socket's path must be absolute",
            "write `unix:/run/countersign/http.sock`",
        ));
    }
    Ok(Listen::Unix { path, mode, group })
}

fn tcp(text: &str, remote: bool) -> Result<Listen, Wrong> {
    Ok(Listen::Tcp { address: allowed(text, remote)?, optional: false })
}

fn allowed(text: &str, remote: bool) -> Result<SocketAddr, Wrong> {
    let local = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    let address: SocketAddr = local.as_deref().unwrap_or(text).parse().map_err(|_| {
        Wrong::new(
            format!("`{text}` is no address"),
            "write an IP address and a port, `127.0.0.1:8480` or `[::1]:8480`, or `unix:/path`",
        )
    })?;
    if !remote && !address.ip().is_loopback() {
        return Err(Wrong::new(
            format!("`{text}` is not loopback: whoever reaches it acts as the role"),
            "use 127.0.0.1, or say `allow_remote = true`",
        ));
    }
    Ok(address)
}

pub(super) fn admin(reader: &Reader<'_>, remote: bool) -> Option<SocketAddr> {
    match reader.take("admin") {
        None => Some(defaults::ADMIN.parse().expect("a default is an address")),
        Some(entry) if entry.is_false() => None,
        Some(entry) => entry.parsed("an address, or `false`", |text| allowed(text, remote)),
    }
}

/// Two listeners cannot share an address.
pub(super) fn apart(reader: &Reader<'_>, listen: &[Listen], admin: Option<SocketAddr>) {
    let is_admin = |listen: &Listen| matches!(listen, Listen::Tcp { address, .. } if address.port() != 0 && Some(*address) == admin);
    if listen.iter().any(is_admin) {
        reader.problem(
            "admin",
            Wrong::new(
                "`admin` and `listen` are the same address",
                "give `admin` a port of its own",
            ),
        );
    }
    for (position, address) in listen.iter().enumerate() {
        let fixed = !matches!(address, Listen::Tcp { address, .. } if address.port() == 0);
        if fixed && listen[..position].contains(address) {
            reader.problem(
                &format!("listen[{position}]"),
                Wrong::new("this address is there twice", "leave one out"),
            );
        }
    }
}
