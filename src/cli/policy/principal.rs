//! Who is allowed, on the function's side: a role, a user or a whole account.

use std::fmt::Write;
use std::str::FromStr;

use sha2::{Digest, Sha256};

/// Bytes of the digest in a statement's id: told apart among the few that one function has.
const ID: usize = 4;

/// A principal of another's policy, as `add-permission` takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Principal {
    text: String,
    account: String,
}

/// Why it is none.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoPrincipal {
    #[error(
        "this is a session; write the role's ARN, `arn:aws:iam::ACCOUNT:role/NAME` \
         (`aws iam get-role --role-name NAME` prints it)"
    )]
    Session,
    #[error("write `arn:aws:iam::ACCOUNT:role/NAME`, or an account's twelve digits")]
    Other,
}

impl FromStr for Principal {
    type Err = NoPrincipal;

    fn from_str(text: &str) -> Result<Self, NoPrincipal> {
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let account = match parts.as_slice() {
            [account] => *account,
            ["arn", _, "sts", _, _, name] if name.starts_with("assumed-role/") => {
                return Err(NoPrincipal::Session);
            }
            ["arn", _, "iam", "", account, name] if is_name(name) => *account,
            _ => return Err(NoPrincipal::Other),
        };
        if account.len() != 12 || !account.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(NoPrincipal::Other);
        }
        Ok(Self { text: text.to_owned(), account: account.to_owned() })
    }
}

fn is_name(name: &str) -> bool {
    let named = |kind| name.strip_prefix(kind).is_some_and(|rest| !rest.is_empty());
    name == "root" || named("role/") || named("user/")
}

impl Principal {
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    pub(super) fn account(&self) -> &str {
        &self.account
    }

    /// Whether it is all of an account.
    pub(super) fn is_account(&self) -> bool {
        self.text == self.account || self.text.ends_with(":root")
    }

    /// The end of a statement's id: the same for the same principal, so that a line run twice adds
    /// nothing.
    pub(super) fn id(&self) -> String {
        let digest = Sha256::digest(self.text.as_bytes());
        let mut id = String::new();
        for byte in digest.iter().take(ID) {
            let _ = write!(id, "{byte:02x}");
        }
        id
    }
}

#[cfg(test)]
mod tests {
    use super::Principal;

    #[test]
    fn takes_roles_users_and_accounts() {
        for (text, account) in [
            ("arn:aws:iam::111122223333:role/path/app", "111122223333"),
            ("arn:aws-cn:iam::111122223333:user/ann", "111122223333"),
            ("arn:aws:iam::111122223333:root", "111122223333"),
            ("444455556666", "444455556666"),
        ] {
            assert_eq!(text.parse::<Principal>().unwrap().account(), account, "{text}");
        }
    }

    #[test]
    fn takes_nothing_that_add_permission_would_refuse() {
        for text in [
            "*",
            "app",
            "1111",
            "arn:aws:iam::111122223333:role/",
            "arn:aws:iam::x:role/app",
            "arn:aws:iam::111122223333:group/all",
        ] {
            assert!(text.parse::<Principal>().is_err(), "{text}");
        }
        let session = "arn:aws:sts::111122223333:assumed-role/app/session".parse::<Principal>();
        assert!(session.unwrap_err().to_string().contains("the role's ARN"));
    }
}
