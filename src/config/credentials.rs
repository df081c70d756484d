//! Where a target's credentials come from.

use std::time::Duration;

/// Where credentials come from; equal sources share one store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct CredentialsSource {
    /// A profile of the AWS configuration files; none: the AWS chain.
    pub profile: Option<String>,
    /// The role that is assumed with what the profile or the chain gives.
    pub assume_role: Option<AssumeRole>,
}

impl CredentialsSource {
    /// What the role is assumed with: the same without it.
    pub fn base(&self) -> Self {
        Self { profile: self.profile.clone(), assume_role: None }
    }

    /// Whether it is without a role.
    pub fn is_base(&self) -> bool {
        self.assume_role.is_none()
    }
}

/// `assume_role`: the parameters of STS's `AssumeRole`, within its limits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AssumeRole {
    /// The role's ARN.
    pub arn: String,
    /// The external ID that the role's trust policy asks for.
    pub external_id: Option<String>,
    /// How the session is named: it stands in CloudTrail.
    pub session_name: String,
    /// How long the session's credentials live.
    pub duration: Duration,
}

impl std::fmt::Display for CredentialsSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.profile {
            None => f.write_str("default"),
            Some(profile) => write!(f, "profile/{profile}"),
        }?;
        match &self.assume_role {
            None => Ok(()),
            Some(role) => write!(f, "/{}/{}", role.arn, role.session_name),
        }
    }
}
