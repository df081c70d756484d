//! Where credentials come from: the AWS chain, read anew at each load, so that a rotated file, a
//! new SSO login or another container agent is seen without a restart.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::time::SystemTime;

use aws_config::environment::region::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::region::ProfileFileRegionProvider;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;

use crate::credentials::failure::Failure;
use crate::net::{Connector, sdk_client};
use crate::secret::Secret;
use crate::sigv4::SigningCredentials;

/// What a source gave.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The credentials, ready to sign with.
    pub credentials: SigningCredentials,
    /// When they stop being valid; `None`: the source did not say.
    pub expires: Option<SystemTime>,
}

/// A load under way.
pub type Loading<'a> = Pin<Box<dyn Future<Output = Result<Loaded, Failure>> + Send + 'a>>;

/// Something that gives credentials when asked. It is asked by one task at a time.
pub trait Source: Debug + Send + Sync {
    /// Asks.
    fn load(&self) -> Loading<'_>;
}

/// The same credentials always: for `demo`, and for tests.
#[derive(Debug)]
pub struct Fixed(pub SigningCredentials);

impl Source for Fixed {
    fn load(&self) -> Loading<'_> {
        let loaded = Loaded { credentials: self.0.clone(), expires: None };
        Box::pin(std::future::ready(Ok(loaded)))
    }
}

/// What failures are explained with: the variables that name profiles and files.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// `HOME`
    pub home: Option<String>,
    /// `AWS_PROFILE`
    pub profile: Option<String>,
    /// `AWS_CONFIG_FILE`
    pub config_file: Option<String>,
    /// `AWS_SHARED_CREDENTIALS_FILE`
    pub credentials_file: Option<String>,
}

impl Environment {
    /// Picks them out of the process's environment.
    pub fn of(variables: &[(String, String)]) -> Self {
        let read = |name: &str| {
            variables.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
        };
        Self {
            home: read("HOME"),
            profile: read("AWS_PROFILE"),
            config_file: read("AWS_CONFIG_FILE"),
            credentials_file: read("AWS_SHARED_CREDENTIALS_FILE"),
        }
    }
}

/// The AWS chain: environment, profile (SSO and process too), web identity, ECS and EKS, IMDSv2.
#[derive(Debug)]
pub(super) struct Chain {
    pub(super) profile: Option<String>,
    /// The region whose STS is asked where neither environment nor profile names one.
    pub(super) region: String,
    pub(super) environment: Environment,
    pub(super) connector: Connector,
}

impl Source for Chain {
    fn load(&self) -> Loading<'_> {
        Box::pin(async move {
            let asked = self.ask().await;
            asked.map_err(|error| Failure::of(&*error, self.profile.as_deref(), &self.environment))
        })
    }
}

impl Chain {
    async fn ask(&self) -> Result<Loaded, Box<dyn std::error::Error + Send + Sync>> {
        let config = self.sdk_config().await;
        let provider = config.credentials_provider().ok_or("the AWS chain gave no provider")?;
        loaded(&provider.provide_credentials().await?)
    }

    /// Built for each load: the SDK reads files once for each of these.
    async fn sdk_config(&self) -> SdkConfig {
        let region = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
            .or_else(ProfileFileRegionProvider::new())
            .or_else(Region::new(self.region.clone()));
        // A version of its own name, so that an update of the SDK changes nothing by itself.
        #[allow(deprecated)]
        let version = BehaviorVersion::v2026_01_12();
        let mut loader = aws_config::defaults(version)
            .http_client(sdk_client(self.connector.clone()))
            .region(region);
        if let Some(profile) = &self.profile {
            loader = loader.profile_name(profile);
        }
        loader.load().await
    }
}

fn loaded(given: &Credentials) -> Result<Loaded, Box<dyn std::error::Error + Send + Sync>> {
    let secret = Secret::new(given.secret_access_key());
    let credentials =
        SigningCredentials::new(given.access_key_id(), secret, given.session_token())?;
    Ok(Loaded { credentials, expires: given.expiry() })
}
