//! Why a source gave no credentials, with a name and a remedy.

use std::error::Error;
use std::fmt;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use crate::credentials::source::Environment;

/// Why there are no credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What went wrong, with its causes. The SDK's messages name no secret, and its `Debug`
    /// output, which may, is not used.
    pub message: String,
    /// What to do.
    pub hint: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Failure {}

impl Failure {
    /// The source did not answer.
    pub(super) fn silent(limit: Duration) -> Self {
        Self {
            message: format!("the source of the credentials gave nothing within {limit:?}"),
            hint: "look at the container's agent, IMDS, STS or the `credential_process`".to_owned(),
        }
    }

    /// The source answered, and what it gave is over. Without the time that has passed since: the
    /// same failure again is to be known as the same.
    pub(super) fn expired(at: SystemTime) -> Self {
        let at = httpdate::fmt_http_date(at);
        Self {
            message: format!("the source gave credentials that expired on {at}"),
            hint: "look at this machine's clock, and at what writes the credentials".to_owned(),
        }
    }

    /// What an error of the AWS chain means.
    pub(super) fn of(
        error: &(dyn Error + Send + Sync + 'static),
        profile: Option<&str>,
        environment: &Environment,
    ) -> Self {
        let cause = one_line(error);
        let named = profile.or(environment.profile.as_deref());
        let hint = match unreadable(environment) {
            Some(file) => {
                format!("`{}` cannot be read by this user: mend its permissions", file.display())
            }
            None => hint(&cause, named),
        };
        let message = match profile {
            Some(profile) => format!("profile `{profile}` gave nothing: {cause}"),
            None => cause,
        };
        Self { message, hint }
    }

    /// A role could not be assumed, because there is nothing to assume it with.
    pub(super) fn of_base(role: &str, why: &Self) -> Self {
        Self {
            message: format!("there is nothing to assume `{role}` with: {}", why.message),
            hint: why.hint.clone(),
        }
    }

    /// What an error of STS's `AssumeRole` means.
    pub(super) fn of_role(error: &(dyn Error + Send + Sync + 'static), role: &str) -> Self {
        let cause = one_line(error);
        Self {
            hint: hint_of_role(&cause, role),
            message: format!("`{role}` could not be assumed: {cause}"),
        }
    }
}

fn one_line(error: &(dyn Error + 'static)) -> String {
    let line = chain(error).split_whitespace().collect::<Vec<_>>().join(" ");
    without_request_id(line)
}

/// Each attempt has an id of its own, and the same failure again is to be known as the same.
fn without_request_id(mut line: String) -> String {
    const NAME: &str = "aws_request_id: \"";
    while let Some(from) = line.find(NAME) {
        let value = from + NAME.len();
        let Some(length) = line[value..].find('"') else { break };
        let from = if line[..from].ends_with(", ") { from - 2 } else { from };
        line.replace_range(from..=value + length, "");
    }
    line
}

/// An error and its causes, by their messages.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause {
        text.push_str(": ");
        text.push_str(&deeper.to_string());
        cause = deeper.source();
    }
    text
}

fn hint(message: &str, named: Option<&str>) -> String {
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    let profile = named.unwrap_or("default");
    let undefined = format!("define profile `{profile}` in ~/.aws/config, or name another one");
    if says(&["no credentials found in chain", "no providers in chain"]) {
        return named.map_or(NOTHING_FOUND.to_owned(), |_| undefined);
    }
    // What the SDK says of a profile that has no credentials, and of files without profiles.
    if says(&["provider was not enabled"]) {
        return format!(
            "define profile `{profile}` in ~/.aws/config with a key, a role, SSO or \
             `credential_process`, or name another one"
        );
    }
    if says(&["SSO token", "SSO session", "sso/cache", "cached SSO", "UnauthorizedException"]) {
        return format!("run `aws sso login --profile {profile}`");
    }
    if says(&["could not find profile", "profile `", "was not defined"]) {
        return undefined;
    }
    if says(&["auth token could not be used as an HTTP header"]) {
        return "the file that AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE names, or the variable \
                AWS_CONTAINER_AUTHORIZATION_TOKEN, holds a newline: the token ends without one"
            .to_owned();
    }
    if says(&["AssumeRoleWithWebIdentity", "WebIdentity", "web identity"]) {
        return "look at the role's trust policy and the pod's service account".to_owned();
    }
    "`aws sts get-caller-identity` with the same environment shows more".to_owned()
}

/// STS no longer takes, or never took, the credentials that it was asked with.
const REFUSED: [&str; 3] = ["ExpiredToken", "InvalidClientTokenId", "UnrecognizedClient"];

/// Whether other credentials might have been taken.
pub(super) fn is_refusal_of_base(error: &(dyn Error + Send + Sync + 'static)) -> bool {
    let message = chain(error);
    REFUSED.iter().any(|code| message.contains(code))
}

fn hint_of_role(message: &str, role: &str) -> String {
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    if says(&["DurationSeconds", "MaxSessionDuration", "session limit"]) {
        return "write a shorter `duration`, or raise the role's maximum session duration (1 h where \
                the base is an assumed role itself)"
            .to_owned();
    }
    if says(&["AccessDenied"]) {
        return format!(
            "look at the trust policy of `{role}` (who may assume it, and with which external ID), \
             and whether the base may `sts:AssumeRole` it"
        );
    }
    if says(&[
        "ExpiredToken",
        "InvalidClientTokenId",
        "UnrecognizedClient",
        "SignatureDoesNotMatch",
    ]) {
        return "STS does not take the credentials that the role is assumed with: look at their \
                source, and at this machine's clock"
            .to_owned();
    }
    if says(&["RegionDisabled"]) {
        return "activate STS for this region in the account, or set AWS_REGION to another"
            .to_owned();
    }
    "look at the way to STS: AWS_REGION, `upstream.proxy`, the VPC endpoint, AWS_ENDPOINT_URL_STS"
        .to_owned()
}

/// Every source of the chain was asked, and none is set up.
const NOTHING_FOUND: &str = "tried: environment (AWS_ACCESS_KEY_ID), profile, web identity, ECS \
                             and EKS agent, IMDS; give the pod, task or instance a role, or log in";

/// A file of `~/.aws` that is there but shut: the SDK passes it over without a word.
fn unreadable(environment: &Environment) -> Option<PathBuf> {
    environment.files().find(|file| {
        std::fs::File::open(file).is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
    })
}

#[cfg(test)]
mod tests {
    use super::without_request_id;

    #[test]
    fn an_id_of_one_request_is_no_part_of_a_failure() {
        let told = |line: &str| without_request_id(line.to_owned());
        let with = r#"denied: Error { code: "AccessDenied", aws_request_id: "0a-1" }: again"#;
        assert_eq!(told(with), r#"denied: Error { code: "AccessDenied" }: again"#);
        assert_eq!(told(r#"Error { aws_request_id: "1" }"#), "Error {  }");
        for without in ["denied", r#"aws_request_id: "cut"#] {
            assert_eq!(told(without), without);
        }
    }
}
