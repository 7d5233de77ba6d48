//! Where the credentials of a session come from: the SDK's own search, a profile, an access key, a role that is assumed.
//!
//! ```text
//! Source ─ a profile that was named ─▶ that profile, whatever else is there (as sops has it)
//!        ├ Login::Environment ───────▶ AWS_ACCESS_KEY_ID, profile, web identity, container, instance: the first that is there
//!        └ Login::Key ───────────────▶ the key
//! WebIdentity ─ token of a service account ─ sts:AssumeRoleWithWebIdentity ─▶ temporary credentials, until they are over
//! Role ── Source of the session below ─ sts:AssumeRole ─▶ temporary credentials, until they are over
//! ```
//! What fails here is a [`ServiceError`] within the SDK's error, where [`Fault`](super::answer::Fault) finds it. A failure is kept for a
//! while: a thousand files wait once for an instance that is none.

use std::error::Error as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_config::Region;
use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::imds::client::error::ImdsError;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::future::ProvideCredentials as Provided;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sdk_sts::config::SharedHttpClient;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::answer::{WEB_IDENTITY, said};
use super::{Asked, CREDENTIALS_LIMIT, Login, Session, Settings};
use crate::token::Bearer;
use crate::{ServiceError, TokenSource, Tried};

/// How long a failure counts for those who ask next.
const FAILURE_COUNTS: Duration = Duration::from_secs(30);
/// How long the instance is waited for. Most programs run on none, and there it does not answer.
const INSTANCE_LIMIT: Duration = Duration::from_secs(1);
/// How often it is asked.
const INSTANCE_ATTEMPTS: u32 = 2;

/// The credentials of a profile, or of the environment.
#[derive(Debug)]
pub(super) struct Source {
    provider: SharedCredentialsProvider,
    /// Whose they are, for messages.
    principal: String,
    /// Where they are looked for, if they may not be there.
    tried: Vec<Tried>,
    failure: Mutex<Option<(ServiceError, Instant)>>,
}

impl Source {
    pub(super) async fn new(
        settings: &Settings,
        profile: Option<&str>,
        region: &Region,
        http: &SharedHttpClient,
    ) -> Self {
        let config = ProviderConfig::without_region().with_region(Some(region.clone())).with_http_client(http.clone());
        let (provider, principal, tried) = match (&settings.login, profile) {
            (_, Some(profile)) => {
                let provider = ProfileFileCredentialsProvider::builder().configure(&config).profile_name(profile);
                (SharedCredentialsProvider::new(provider.build()), format!("the profile `{profile}`"), Vec::new())
            }
            (Login::Environment { principal, tried }, None) => {
                let instance = aws_config::imds::Client::builder()
                    .configure(&config)
                    .max_attempts(INSTANCE_ATTEMPTS)
                    .connect_timeout(INSTANCE_LIMIT)
                    .read_timeout(INSTANCE_LIMIT)
                    .operation_attempt_timeout(INSTANCE_LIMIT)
                    .build();
                let mut chain = DefaultCredentialsChain::builder().region(region.clone()).imds_client(instance);
                if let Some(profile) = &settings.usual_profile {
                    chain = chain.profile_name(profile);
                }
                let provider = SharedCredentialsProvider::new(chain.configure(config).build().await);
                (provider, principal.clone(), tried.clone())
            }
            (Login::WebIdentity { .. }, None) => unreachable!("that has a provider of its own"),
            (Login::Key { id, secret, session_token, place }, None) => {
                let text =
                    |secret: &bulla_crypto::SecretBytes| String::from_utf8_lossy(secret.expose_secret()).into_owned();
                let token = session_token.as_ref().map(text);
                let key = Credentials::new(id, text(secret), token, None, "given");
                (SharedCredentialsProvider::new(key), format!("the access key from `{place}`"), Vec::new())
            }
        };
        Self { provider, principal, tried, failure: Mutex::default() }
    }

    async fn credentials(&self) -> Result<Credentials, ServiceError> {
        let mut failure = self.failure.lock().await;
        if let Some((error, at)) = &*failure
            && at.elapsed() < FAILURE_COUNTS
        {
            return Err(error.clone());
        }
        let outcome = tokio::time::timeout(CREDENTIALS_LIMIT, self.provider.provide_credentials()).await;
        let outcome = outcome.unwrap_or_else(|_| Err(CredentialsError::provider_timed_out(CREDENTIALS_LIMIT)));
        let outcome = outcome.map_err(|error| self.meaning(&error));
        *failure = outcome.as_ref().err().map(|error| (error.clone(), Instant::now()));
        outcome
    }

    fn meaning(&self, error: &CredentialsError) -> ServiceError {
        // Its own words say no more than that there are none.
        let reason = error.source().map_or_else(|| error.to_string(), said);
        if let CredentialsError::InvalidConfiguration(_) = error {
            return ServiceError::Settings(format!("{} gives no credentials: {reason}", self.principal));
        }
        let mut tried = self.tried.clone();
        // The instance comes last, and is asked only if there is nothing else.
        if let Some(instance) = tried.last_mut()
            && is_of_the_instance(error)
        {
            instance.outcome = reason;
        } else if tried.is_empty() || !matches!(error, CredentialsError::CredentialsNotLoaded(_)) {
            tried = vec![Tried { place: self.principal.clone(), outcome: reason }];
        }
        ServiceError::NoCredentials { address: "AWS".to_owned(), tried }
    }
}

/// Is it the metadata of the instance that failed?
fn is_of_the_instance(error: &CredentialsError) -> bool {
    let mut next = error.source();
    while let Some(error) = next {
        if error.is::<ImdsError>() {
            return true;
        }
        next = error.source();
    }
    false
}

impl ProvideCredentials for Source {
    fn provide_credentials<'a>(&'a self) -> Provided<'a>
    where
        Self: 'a,
    {
        Provided::new(async { self.credentials().await.map_err(CredentialsError::provider_error) })
    }
}

/// The temporary credentials of a role.
#[derive(Debug)]
pub(super) struct Role {
    /// As whom it is assumed, and in which region.
    pub(super) base: Session,
    pub(super) role: String,
}

impl Role {
    async fn credentials(&self) -> Result<Credentials, ServiceError> {
        let client = aws_sdk_sts::Client::new(self.base.config());
        let session = &self.base.settings.session_name;
        let asked = Asked { action: "sts:AssumeRole", resource: &self.role };
        let external_id = &self.base.settings.external_id;
        let attempt = || {
            let call = client.assume_role().role_arn(&self.role).role_session_name(session);
            call.set_external_id(external_id.clone()).send()
        };
        temporary(self.base.call(&asked, attempt).await?.credentials)
    }
}

fn temporary(given: Option<aws_sdk_sts::types::Credentials>) -> Result<Credentials, ServiceError> {
    let unexpected = || ServiceError::Unexpected {
        address: "AWS STS".to_owned(),
        status: 200,
        reason: "the answer lacks credentials".to_owned(),
    };
    let given = given.ok_or_else(unexpected)?;
    let until = SystemTime::try_from(given.expiration).ok();
    Ok(Credentials::new(given.access_key_id, given.secret_access_key, Some(given.session_token), until, "role"))
}

/// The temporary credentials of a role that trusts the cluster of a service account.
#[derive(Debug)]
pub(super) struct WebIdentity {
    /// Without credentials: the token is all that is shown.
    pub(super) base: Session,
    pub(super) role: String,
    pub(super) tokens: Arc<dyn TokenSource>,
}

impl WebIdentity {
    async fn credentials(&self) -> Result<Credentials, ServiceError> {
        let first = self.exchange().await;
        if matches!(first, Err(ServiceError::Rejected { .. })) {
            self.tokens.reject();
            return self.exchange().await;
        }
        first
    }

    async fn exchange(&self) -> Result<Credentials, ServiceError> {
        let token = Bearer::Source(Arc::clone(&self.tokens)).token().await?;
        let token = String::from_utf8_lossy(token.expose_secret()).trim().to_owned();
        let client = aws_sdk_sts::Client::new(self.base.config());
        let session = &self.base.settings.session_name;
        let asked = Asked { action: WEB_IDENTITY, resource: &self.role };
        let attempt = || {
            let call = client.assume_role_with_web_identity().role_arn(&self.role).role_session_name(session);
            call.web_identity_token(&token).send()
        };
        temporary(self.base.call(&asked, attempt).await?.credentials)
    }
}

impl ProvideCredentials for WebIdentity {
    fn provide_credentials<'a>(&'a self) -> Provided<'a>
    where
        Self: 'a,
    {
        Provided::new(async { self.credentials().await.map_err(CredentialsError::provider_error) })
    }
}

impl ProvideCredentials for Role {
    fn provide_credentials<'a>(&'a self) -> Provided<'a>
    where
        Self: 'a,
    {
        Provided::new(async { self.credentials().await.map_err(CredentialsError::provider_error) })
    }
}
