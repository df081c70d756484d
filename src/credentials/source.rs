//! Where credentials come from: the AWS chain, read anew at each load, so that a rotated file, a
//! new SSO login or another container agent is seen without a restart.

use std::fmt::Debug;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard};
use std::time::SystemTime;

use aws_config::environment::region::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::profile::region::ProfileFileRegionProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::{BehaviorVersion, ConfigLoader, Region};
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use tokio::sync::watch;
use tower::BoxError;

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

    /// Whether a load may run a program. One that takes long is better waited for than begun anew:
    /// it may ask a person for something, and nobody would end it.
    fn is_program(&self) -> bool {
        false
    }

    /// Ends when another load is worth trying before its time, after one has failed.
    fn encouraged(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(std::future::pending())
    }
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

    /// The files of profiles, there or not.
    pub(super) fn files(&self) -> impl Iterator<Item = PathBuf> {
        let home = self.home.as_deref().map(|home| PathBuf::from(home).join(".aws"));
        let file = |named: &Option<String>, name: &str| match named {
            Some(named) => Some(PathBuf::from(named)),
            None => home.as_ref().map(|home| home.join(name)),
        };
        let files =
            [file(&self.config_file, "config"), file(&self.credentials_file, "credentials")];
        files.into_iter().flatten()
    }
}

/// The AWS chain: environment, profile (SSO and process too), web identity, ECS and EKS, IMDSv2.
/// A profile that was named is the only source: what else is there belongs to somebody else.
#[derive(Debug)]
pub(super) struct Chain {
    pub(super) sdk: Sdk,
    pub(super) environment: Environment,
}

impl Source for Chain {
    fn is_program(&self) -> bool {
        let text = |file| std::fs::read_to_string(file).unwrap_or_default();
        let says = |line: &str| line.trim_start().starts_with("credential_process");
        self.environment.files().any(|file| text(file).lines().any(says)) // of whichever profile
    }

    fn encouraged(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.sdk.way_changes())
    }

    fn load(&self) -> Loading<'_> {
        Box::pin(async move {
            self.sdk.load_begins();
            let asked = match &self.sdk.profile {
                None => self.ask_chain().await,
                Some(profile) => self.ask_profile(profile).await,
            };
            let profile = self.sdk.profile.as_deref();
            asked.map_err(|error| Failure::of(&*error, profile, &self.environment))
        })
    }
}

impl Chain {
    async fn ask_chain(&self) -> Result<Loaded, BoxError> {
        let config = self.sdk.loader().load().await;
        let provider = config.credentials_provider().ok_or("the AWS chain gave no provider")?;
        loaded(&provider.provide_credentials().await?)
    }

    /// The SDK's chain would ask the environment first, and IMDS where the profile is missing.
    async fn ask_profile(&self, profile: &str) -> Result<Loaded, BoxError> {
        let config = self.sdk.loader().no_credentials().load().await;
        let settings = ProviderConfig::without_region()
            .with_http_client(sdk_client(self.sdk.connector()))
            .with_region(config.region().cloned())
            .with_use_fips(config.use_fips())
            .with_use_dual_stack(config.use_dual_stack())
            .with_behavior_version(config.behavior_version());
        let provider = ProfileFileCredentialsProvider::builder()
            .configure(&settings)
            .profile_name(profile)
            .build();
        loaded(&provider.provide_credentials().await?)
    }
}

/// How the SDK reaches AWS.
#[derive(Debug)]
pub(super) struct Sdk {
    /// The profile whose region and endpoints count, if one was named.
    pub(super) profile: Option<String>,
    /// The region whose STS is asked where neither environment nor profile names one.
    pub(super) region: String,
    /// How connections are opened; a reload may change it. What was there when the last load began
    /// counts as seen.
    pub(super) way: Mutex<watch::Receiver<Connector>>,
}

impl Sdk {
    fn way(&self) -> MutexGuard<'_, watch::Receiver<Connector>> {
        self.way.lock().expect("nothing panics while it is held")
    }

    fn connector(&self) -> Connector {
        self.way().borrow().clone()
    }

    /// A load begins: to be called first, whatever it needs the way for.
    pub(super) fn load_begins(&self) {
        self.way().mark_unchanged();
    }

    /// Ends when connections are opened in another way than when the last load began.
    pub(super) async fn way_changes(&self) {
        let mut way = self.way().clone();
        if way.changed().await.is_err() {
            std::future::pending().await // nobody is left to change it
        }
    }

    /// Built for each load: the SDK reads files once for each of these.
    pub(super) fn loader(&self) -> ConfigLoader {
        let mut of_profile = ProfileFileRegionProvider::builder();
        if let Some(profile) = &self.profile {
            of_profile = of_profile.profile_name(profile);
        }
        let region = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
            .or_else(of_profile.build())
            .or_else(Region::new(self.region.clone()));
        // A version of its own name, so that an update of the SDK changes nothing by itself.
        #[allow(deprecated)]
        let version = BehaviorVersion::v2026_01_12();
        let loader =
            aws_config::defaults(version).http_client(sdk_client(self.connector())).region(region);
        match &self.profile {
            Some(profile) => loader.profile_name(profile),
            None => loader,
        }
    }
}

/// What the SDK gave, as what signs.
pub(super) fn loaded(given: &Credentials) -> Result<Loaded, BoxError> {
    let secret = Secret::new(given.secret_access_key());
    let credentials =
        SigningCredentials::new(given.access_key_id(), secret, given.session_token())?;
    Ok(Loaded { credentials, expires: given.expiry() })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use futures_util::FutureExt;

    use super::*;
    use crate::config::load::{Inputs, load};

    #[test]
    fn another_way_is_heard_of_once_since_the_last_load_began() {
        let text = "[[routes]]\ntarget = \"https://abc.lambda-url.us-east-1.on.aws\"\n".to_owned();
        let environment = vec![("COUNTERSIGN_CONFIG_TOML".to_owned(), text)];
        let config = load(&Inputs { environment, ..Inputs::default() }).unwrap();
        let connector = Connector::new(&config).unwrap();
        let sender = watch::Sender::new(connector.clone());
        let (profile, region) = (None, "us-east-1".to_owned());
        let sdk = Sdk { profile, region, way: Mutex::new(sender.subscribe()) };
        sdk.load_begins();
        assert_eq!(sdk.way_changes().now_or_never(), None);
        sender.send_replace(connector); // amid the load
        assert_eq!(sdk.way_changes().now_or_never(), Some(()));
        sdk.load_begins();
        assert_eq!(sdk.way_changes().now_or_never(), None);
        drop(sender);
        assert_eq!(sdk.way_changes().now_or_never(), None, "nobody is left to change it");
    }
}
