//! `credentials`, of a target or of the whole file. What STS would refuse is refused here: a role
//! that cannot be assumed would be found out only by the first request.

use std::time::Duration;

use crate::config::reader::{Entry, Reader};
use crate::config::values::{self, Wrong};
use crate::config::{AssumeRole, CredentialsSource, defaults};

/// Bounds and alphabets of STS
/// (<https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>).
const SESSION_NAME: (usize, usize) = (2, 64);
const EXTERNAL_ID: (usize, usize) = (2, 1224);
const SHORTEST: Duration = Duration::from_secs(15 * 60);
const LONGEST: Duration = Duration::from_secs(12 * 60 * 60);

pub(super) fn source(table: &Reader<'_>) -> CredentialsSource {
    let profile = table.take("profile").and_then(|entry| entry.parsed("a profile's name", name));
    let assume_role = table.table("assume_role").and_then(|table| role(&table));
    table.finish();
    CredentialsSource { profile, assume_role }
}

fn name(text: &str) -> Result<String, Wrong> {
    if !text.trim().is_empty() {
        return Ok(text.to_owned());
    }
    Err(Wrong::new(
        "a profile has a name",
        "write one of ~/.aws/config, or leave `profile` out for the AWS chain",
    ))
}

fn role(table: &Reader<'_>) -> Option<AssumeRole> {
    let arn = table.take("arn");
    if arn.is_none() {
        table.problem_here(Wrong::new(
            "`arn` is missing",
            "write `assume_role = { arn = \"arn:aws:iam::ACCOUNT:role/NAME\" }`",
        ));
    }
    let external_id = table.take("external_id").map(|entry| entry.parsed(TEXT, external_id));
    let session_name = match table.take("session_name") {
        Some(entry) => entry.parsed(TEXT, session_name),
        None => Some(defaults::SESSION_NAME.to_owned()),
    };
    let duration = match table.take("duration") {
        Some(entry) => duration(&entry),
        None => Some(defaults::SESSION),
    };
    table.finish();
    Some(AssumeRole {
        arn: arn?.parsed("the role's ARN", role_arn)?,
        external_id: match external_id {
            Some(read) => Some(read?),
            None => None,
        },
        session_name: session_name?,
        duration: duration?,
    })
}

const TEXT: &str = "a string, in quotes";

fn role_arn(text: &str) -> Result<String, Wrong> {
    let shape = "write `arn:aws:iam::ACCOUNT:role/NAME`, as `aws iam get-role` shows it";
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let [arn, partition, service, region, account, resource] = parts[..] else {
        return Err(Wrong::new(format!("`{text}` is no role's ARN"), shape));
    };
    let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    let is_partition = partition == "aws" || partition.starts_with("aws-");
    if arn == "arn" && is_partition && service == "sts" && resource.starts_with("assumed-role/") {
        return Err(Wrong::new(
            format!("`{text}` is a session, not the role it was made of"),
            shape,
        ));
    }
    let name = resource.strip_prefix("role/").unwrap_or_default();
    let is_name = !name.is_empty() && name.chars().all(|c| is_word(c) || "+=,.@/-".contains(c));
    if arn == "arn"
        && is_partition
        && service == "iam"
        && region.is_empty()
        && is_account
        && is_name
    {
        return Ok(text.to_owned());
    }
    Err(Wrong::new(format!("`{text}` is no role's ARN"), shape))
}

fn session_name(text: &str) -> Result<String, Wrong> {
    if fits(text, SESSION_NAME, "+=,.@-") {
        return Ok(text.to_owned());
    }
    Err(Wrong::new(
        format!("`{text}` is no session name that STS takes"),
        "write 2 to 64 letters, digits and `_+=,.@-`",
    ))
}

/// Not repeated in its problem: some treat it as a password.
fn external_id(text: &str) -> Result<String, Wrong> {
    if fits(text, EXTERNAL_ID, "+=,.@:/-") {
        return Ok(text.to_owned());
    }
    Err(Wrong::new(
        "this is no external ID that STS takes",
        "write 2 to 1224 letters, digits and `_+=,.@:/-`, as the role's trust policy has it",
    ))
}

fn fits(text: &str, (least, most): (usize, usize), beside: &str) -> bool {
    (least..=most).contains(&text.len()) && text.chars().all(|c| is_word(c) || beside.contains(c))
}

/// `\w`
fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn duration(entry: &Entry<'_>) -> Option<Duration> {
    entry.parsed("a duration such as `\"1h\"`", |text| {
        let read = values::duration(text)?;
        if (SHORTEST..=LONGEST).contains(&read) && read.subsec_millis() == 0 {
            return Ok(read);
        }
        Err(Wrong::new(
            format!("`{text}` is no duration that STS takes"),
            "write whole seconds from `15m` to `12h`; the role's own maximum may be less, and is \
             1 h where the base is an assumed role itself",
        ))
    })
}
