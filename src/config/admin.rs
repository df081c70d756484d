//! The admin listener's address and nothing else, for the health check. It is asked every few
//! seconds beside a process that runs, and a file that was just spoilt must not make that process
//! look dead: what can be read of it is read, and for the rest the default is taken.

use std::net::SocketAddr;

use toml::de::{DeTable, DeValue};

use crate::config::defaults;
use crate::config::load::{File, Inputs};

/// Where the admin listener is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admin {
    /// At this address.
    At(SocketAddr),
    /// `admin = false`.
    Off,
}

/// Where flags, environment and file say that it is.
pub fn admin(inputs: &Inputs) -> Admin {
    let variable = inputs.environment.iter().find(|(name, _)| name == "COUNTERSIGN_ADMIN");
    let typed = inputs.flags.admin.as_deref().or(variable.map(|(_, value)| value.as_str()));
    let said = match typed {
        Some(text) => read(text),
        None => File::find(inputs).ok().and_then(|file| in_file(&file.text?)),
    };
    said.unwrap_or(Admin::At(defaults::ADMIN.parse().expect("a default is an address")))
}

/// An address as `admin` is written, or `false`.
pub fn read(text: &str) -> Option<Admin> {
    if text == "false" {
        return Some(Admin::Off);
    }
    let local = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    local.as_deref().unwrap_or(text).parse().ok().map(Admin::At)
}

fn in_file(text: &str) -> Option<Admin> {
    let (table, _mistakes) = DeTable::parse_recoverable(text);
    match table.get_ref().get("admin")?.get_ref() {
        DeValue::String(text) => read(text),
        DeValue::Boolean(false) => Some(Admin::Off),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Admin, admin};
    use crate::config::load::{Flags, Inputs};

    fn of(file: &str, variable: Option<&str>, flag: Option<&str>) -> String {
        let mut environment = vec![("COUNTERSIGN_CONFIG_TOML".to_owned(), file.to_owned())];
        let variable = variable.map(|value| ("COUNTERSIGN_ADMIN".to_owned(), value.to_owned()));
        environment.extend(variable);
        let flags = Flags { admin: flag.map(str::to_owned), ..Flags::default() };
        match admin(&Inputs { environment, flags, ..Inputs::default() }) {
            Admin::At(address) => address.to_string(),
            Admin::Off => "off".to_owned(),
        }
    }

    #[test]
    fn the_flag_goes_before_the_variable_and_that_before_the_file() {
        let file = "admin = \"127.0.0.1:1\"";
        assert_eq!(of("workers = 2", None, None), "127.0.0.1:8481");
        assert_eq!(of(file, None, None), "127.0.0.1:1");
        assert_eq!(of(file, Some("localhost:2"), None), "127.0.0.1:2");
        assert_eq!(of(file, Some("[::1]:2"), Some("127.0.0.1:3")), "127.0.0.1:3");
        assert_eq!(of("admin = false", None, None), "off");
        assert_eq!(of(file, Some("false"), None), "off");
    }

    #[test]
    fn a_file_that_is_wrong_elsewhere_still_tells_the_address() {
        let unknown = "wrokers = 0\nadmin = \"127.0.0.1:9\"\n[[routes]]\n";
        assert_eq!(of(unknown, None, None), "127.0.0.1:9");
        let broken = "admin = \"127.0.0.1:9\"\n[[routes]\ntarget = \"https://";
        assert_eq!(of(broken, None, None), "127.0.0.1:9");
        assert_eq!(of("admin = 8481", None, None), "127.0.0.1:8481");
        assert_eq!(of("admin = \"nowhere\"", None, None), "127.0.0.1:8481");
    }
}
