//! A role that is assumed with the credentials of another store. All roles of one base share that
//! store, so the base's own source is asked once for all of them.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use aws_config::sts::AssumeRoleProvider;
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use tower::BoxError;

use crate::config::AssumeRole;
use crate::credentials::failure::{self, Failure};
use crate::credentials::source::{Loaded, Loading, Sdk, Source, loaded};
use crate::credentials::store::{Store, Unavailable};
use crate::sigv4::SigningCredentials;

/// How long the base may take: less than a load may, so that its own reason is told.
const BASE: Duration = Duration::from_secs(15);

/// An assumed role.
#[derive(Debug)]
pub(super) struct AssumedRole {
    pub(super) role: AssumeRole,
    pub(super) base: Store,
    pub(super) sdk: Sdk,
}

impl Source for AssumedRole {
    fn load(&self) -> Loading<'_> {
        Box::pin(async move {
            self.sdk.load_begins();
            self.base.answered(BASE).await;
            match self.base.get(Duration::ZERO).await {
                Ok(base) => {
                    let assumed = self.assume_with_renewal(&base).await;
                    assumed.map_err(|error| Failure::of_role(&*error, &self.role.arn))
                }
                Err(Unavailable::Failed(why)) => Err(Failure::of_base(&self.role.arn, &why)),
                Err(Unavailable::Pending) => Err(Failure::silent(BASE)),
            }
        })
    }

    /// The base is back: without this, two back-offs would add up.
    fn encouraged(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async {
            tokio::select! {
                () = self.base.recovered() => {}
                () = self.sdk.way_changes() => {}
            }
        })
    }
}

impl AssumedRole {
    /// Credentials of the base may end before their time: then the base has newer ones, or finds
    /// some.
    async fn assume_with_renewal(&self, base: &SigningCredentials) -> Result<Loaded, BoxError> {
        let refused = match self.assume(base).await {
            Err(error) if failure::is_refusal_of_base(&*error) => error,
            other => return other,
        };
        match self.base.renew(base).await {
            Some(renewed) => self.assume(&renewed).await,
            None => Err(refused),
        }
    }

    async fn assume(&self, base: &SigningCredentials) -> Result<Loaded, BoxError> {
        let config = self.sdk.loader().credentials_provider(of_sdk(base)).load().await;
        let mut builder = AssumeRoleProvider::builder(&self.role.arn)
            .session_name(&self.role.session_name)
            .session_length(self.role.duration)
            .configure(&config);
        if let Some(external_id) = &self.role.external_id {
            builder = builder.external_id(external_id);
        }
        loaded(&builder.build().await.provide_credentials().await?)
    }
}

/// Without an expiry: what is expired is for STS to say.
fn of_sdk(base: &SigningCredentials) -> Credentials {
    let token = base.session_token().and_then(|token| token.to_str().ok()).map(str::to_owned);
    let secret = base.secret_access_key().expose();
    Credentials::new(base.access_key_id(), secret, token, None, "base")
}
