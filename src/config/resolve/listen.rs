//! Addresses: `listen` and `admin`.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use crate::config::reader::{Entry, Reader};
use crate::config::values::{self, Wrong};
use crate::config::{Listen, defaults};

/// The addresses, each with its position in the list.
pub(super) fn listen(reader: &Reader<'_>, remote: bool) -> Vec<(usize, Listen)> {
    let Some(entry) = reader.take("listen") else { return default() };
    let expected = "a list of addresses: `[\"127.0.0.1:8480\"]`";
    let Some(entries) = entry.list(expected) else { return Vec::new() };
    if entries.is_empty() {
        entry.problem(Wrong::new(
            "there is no address to listen on",
            "write `listen = [\"127.0.0.1:8480\"]`, or leave it out",
        ));
    }
    let read = |(position, entry)| Some((position, address(&entry, remote)?));
    entries.into_iter().enumerate().filter_map(read).collect()
}

fn default() -> Vec<(usize, Listen)> {
    let tcp = |(position, text): (usize, &&str)| {
        let address = text.parse().expect("a default is an address");
        (position, Listen::Tcp { address, optional: position > 0 }) // it may be without IPv6
    };
    defaults::LISTEN.iter().enumerate().map(tcp).collect()
}

fn address(entry: &Entry<'_>, remote: bool) -> Option<Listen> {
    if !entry.is_table() {
        return entry.parsed("an address", |text| {
            if let Some(name) = text.strip_prefix("systemd:") {
                return systemd(name, remote);
            }
            match text.strip_prefix("unix:") {
                Some(path) => socket(path, defaults::SOCKET_MODE, None),
                None => tcp(text, remote),
            }
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
                    "it is missing",
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
            format!("`{}` is no absolute path", path.display()),
            "write `unix:/run/countersign/http.sock`",
        ));
    }
    Ok(Listen::Unix { path, mode, group })
}

/// systemd allows printable ASCII without colons (systemd.socket(5), `FileDescriptorName`).
fn systemd(name: &str, remote: bool) -> Result<Listen, Wrong> {
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':') {
        return Err(Wrong::new(
            format!("`{name}` is no name of a socket"),
            "write `systemd:NAME`, with the `FileDescriptorName` of the socket unit",
        ));
    }
    Ok(Listen::Systemd { name: name.to_owned(), remote })
}

fn tcp(text: &str, remote: bool) -> Result<Listen, Wrong> {
    Ok(Listen::Tcp { address: allowed(text, remote)?, optional: false })
}

fn allowed(text: &str, remote: bool) -> Result<SocketAddr, Wrong> {
    let local = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    let address: SocketAddr =
        local.as_deref().unwrap_or(text).parse().map_err(|_| {
            let hint = match (text.trim_start_matches(':').parse::<u16>(), text.parse::<IpAddr>()) {
            (Ok(port), _) => format!("write an IP address too: `127.0.0.1:{port}`"),
            (_, Ok(IpAddr::V6(ip))) => format!("write a port too: `[{ip}]:8480`"),
            (_, Ok(ip)) => format!("write a port too: `{ip}:8480`"),
            _ => "write an IP address and a port, `127.0.0.1:8480` or `[::1]:8480`, or `unix:/path`"
                .to_owned(),
        };
            Wrong::new(format!("`{text}` is no address"), hint)
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
pub(super) fn apart(reader: &Reader<'_>, listen: &[(usize, Listen)], admin: Option<SocketAddr>) {
    let tcp = |listen: &Listen| match listen {
        Listen::Tcp { address, .. } => Some(*address).filter(|address| address.port() != 0),
        Listen::Unix { .. } | Listen::Systemd { .. } => None,
    };
    for (index, (position, one)) in listen.iter().enumerate() {
        let key = format!("listen[{position}]");
        if let (Some(one), Some(admin)) = (tcp(one), admin)
            && one == admin
        {
            let message = format!("`{one}` is the address of `admin` too");
            reader.problem(&key, Wrong::new(message, "give one of them another port"));
        }
        if listen[..index].iter().any(|(_, other)| same(one, other)) {
            reader.problem(&key, Wrong::new("this address is there twice", "leave one out"));
        }
    }
}

fn same(one: &Listen, other: &Listen) -> bool {
    match (one, other) {
        (Listen::Tcp { address: one, .. }, Listen::Tcp { address: other, .. }) => {
            one == other && one.port() != 0
        }
        (Listen::Unix { path: one, .. }, Listen::Unix { path: other, .. }) => one == other,
        (Listen::Systemd { name: one, .. }, Listen::Systemd { name: other, .. }) => one == other,
        _ => false,
    }
}
