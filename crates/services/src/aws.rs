//! AWS: the settings of its SDK, whose credentials are used, and what its errors mean; for keys (KMS) and for stores.
//!
//! ```text
//! Access: region, profile, role ─ Aws::session ─▶ Session ─ config ─▶ the SDK's client of a service, which the caller makes
//!                                                    │
//!                                                    └─ call ─▶ attempt ─ throttled, 5xx, silence ─▶ again, after a wait
//!                                                                  └─▶ what was asked for, or a ServiceError that says who may not what
//! s3   one object is put into a bucket, by a session of the region that the environment names
//! ```
//! One [`Session`] for each access, with the credentials of a profile fetched once for all of them. A request is signed, not
//! accompanied by a secret key, and goes to the endpoint of a region, or where the environment says (`AWS_ENDPOINT_URL`); who names a
//! region decides nothing else, see [`is_region`].
//!
//! The SDK is an exception to the rule that libraries meet no environment: with [`Login::Environment`] it finds credentials and
//! endpoints by itself, as every program for AWS does (variables, `~/.aws`, the container, the instance), reads the clock to sign,
//! and copies what it receives into buffers that nobody wipes.
//!
//! Source: aws-config 1.13; sops 3.13.3 `kms/keysource.go` for roles.

mod answer;
mod credentials;
mod s3;

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_config::identity::IdentityCache;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_sts::config::{RuntimeComponents, SharedHttpClient, SharedIdentityCache};
use aws_sdk_sts::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use bulla_crypto::SecretBytes;
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::Instant;

pub use crate::limits::Limits;
pub use crate::transport::Authorities;
pub use answer::Asked;
pub use s3::S3;

use crate::proxy::{Proxies, Ways};
use crate::{ServiceError, Surroundings, TokenSource, Tried, transport};
use answer::Fault;
use credentials::{Role, Source, WebIdentity};

/// How long connecting may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);
/// How long credentials are waited for: a program that gives them may ask somebody.
const CREDENTIALS_LIMIT: Duration = Duration::from_mins(1);
/// How long who we are is asked for: it only makes an error clearer.
const CALLER_LIMIT: Duration = Duration::from_secs(5);
/// How long a region that did not answer counts as one that does not: a thousand files do not wait for it one after the other.
const SILENCE_COUNTS: Duration = Duration::from_secs(5);

/// How AWS is used.
#[derive(Debug)]
pub struct Settings {
    /// Who we are.
    pub login: Login,
    /// What a session of a role is called, in AWS' logs.
    pub session_name: String,
    /// What a role asks for from whoever assumes it, if it belongs to somebody else.
    pub external_id: Option<String>,
    /// The profile that counts where nothing names one, in place of `AWS_PROFILE`.
    pub usual_profile: Option<String>,
    /// Where all services are asked, instead of where the region's are.
    pub endpoint: Option<String>,
    /// The way there; `None` for what the SDK finds in the environment.
    pub proxies: Option<Proxies>,
    /// The only authorities that are trusted (`AWS_CA_BUNDLE`); `None` for those of the system, which are looked for where OpenSSL
    /// does.
    pub authorities: Option<Authorities>,
    /// What is waited for, and for how long.
    pub limits: Limits,
}

impl Settings {
    /// With this login, and everything else as it usually is.
    pub fn new(login: Login, session_name: String) -> Self {
        Self {
            login,
            session_name,
            external_id: None,
            usual_profile: None,
            endpoint: None,
            proxies: None,
            authorities: None,
            limits: Limits::default(),
        }
    }
}

/// The credentials of a command, or of a store.
#[derive(Debug)]
pub enum Login {
    /// Those that the SDK finds: in the environment, in the profile, of the container, of the instance.
    Environment {
        /// Whose they probably are, for messages where AWS does not say: ``the profile `default` ``.
        principal: String,
        /// Where they are looked for, for the message when there are none.
        tried: Vec<Tried>,
    },
    /// An access key.
    Key {
        /// Its id. Not a secret.
        id: String,
        /// Its secret.
        secret: SecretBytes,
        /// The token that it is good with, if it is a temporary one.
        session_token: Option<SecretBytes>,
        /// Where it was found, for messages.
        place: String,
    },
    /// The token of a service account, exchanged for temporary credentials of a role that trusts the cluster (IRSA).
    WebIdentity {
        /// The role's ARN.
        role: String,
        /// The service account's tokens, for the audience `sts.amazonaws.com`.
        tokens: Arc<dyn TokenSource>,
    },
}

/// Where something is asked for, and as whom.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Access {
    /// `eu-west-1`; one for which [`is_region`] holds.
    pub region: String,
    /// The profile whose credentials count; `None` for those that [`Login`] says.
    pub profile: Option<String>,
    /// The role that is assumed with them.
    pub role: Option<String>,
}

/// Can this be the name of a region? It becomes a part of a host's name, so nothing else may be in it.
pub fn is_region(text: &str) -> bool {
    const LONGEST: usize = 40;
    text.len() <= LONGEST
        && text.split('-').count() >= 3
        && text
            .split('-')
            .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()))
}

/// The sessions of one command.
pub struct Aws {
    settings: Arc<Settings>,
    surroundings: Surroundings,
    http: SharedHttpClient,
    identities: SharedIdentityCache,
    sources: Mutex<HashMap<Option<String>, SharedCredentialsProvider>>,
    sessions: Mutex<HashMap<Access, Arc<OnceCell<Arc<Session>>>>>,
}

impl Aws {
    /// Nothing is read or sent before the first session.
    ///
    /// # Errors
    /// [`ServiceError::Settings`] for certificates and proxies that are none.
    pub fn new(settings: Settings, surroundings: Surroundings) -> Result<Self, ServiceError> {
        Ok(Self {
            http: http(settings.authorities.as_ref(), settings.proxies.as_ref())?,
            settings: Arc::new(settings),
            surroundings,
            identities: IdentityCache::lazy().load_timeout(CREDENTIALS_LIMIT).build(),
            sources: Mutex::default(),
            sessions: Mutex::default(),
        })
    }

    /// The session for this access, always the same one. To be awaited on the runtime of the surroundings.
    ///
    /// # Errors
    /// [`ServiceError::Settings`] for a region that is none.
    pub async fn session(&self, access: &Access) -> Result<Arc<Session>, ServiceError> {
        if !is_region(&access.region) {
            return Err(ServiceError::Settings(format!("`{}` is not a region of AWS", access.region)));
        }
        Ok(self.kept_session(access).await)
    }

    async fn kept_session(&self, access: &Access) -> Arc<Session> {
        let cell = {
            // A panic elsewhere leaves at worst a session out, which is made again.
            let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(sessions.entry(access.clone()).or_default())
        };
        Arc::clone(cell.get_or_init(|| async { Arc::new(self.new_session(access).await) }).await)
    }

    async fn new_session(&self, access: &Access) -> Session {
        let region = Region::new(access.region.clone());
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_LIMIT)
            .operation_attempt_timeout(self.settings.limits.attempt)
            .build();
        let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .region(region.clone())
            .http_client(self.http.clone())
            // Attempts are counted here, and waits are spread by the randomness that was handed in.
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts)
            .identity_cache(self.identities.clone())
            .credentials_provider(self.source(access.profile.as_deref(), &region).await);
        if let Some(endpoint) = &self.settings.endpoint {
            loader = loader.endpoint_url(endpoint);
        }
        if let Some(profile) = access.profile.as_ref().or(self.settings.usual_profile.as_ref()) {
            loader = loader.profile_name(profile);
        }
        let session = Session {
            config: loader.load().await,
            principal: self.principal(access),
            caller: OnceCell::new(),
            calls: Semaphore::new(self.settings.limits.calls.max(1)),
            silence: Mutex::default(),
            settings: Arc::clone(&self.settings),
            surroundings: self.surroundings.clone(),
        };
        let Some(role) = &access.role else { return session };
        let principal = format!("the role `{role}`");
        let (settings, surroundings) = (Arc::clone(&session.settings), session.surroundings.clone());
        let config = session.config.clone();
        let role = Role { base: session, role: role.clone() };
        Session {
            config: config.into_builder().credentials_provider(SharedCredentialsProvider::new(role)).build(),
            principal,
            caller: OnceCell::new(),
            calls: Semaphore::new(settings.limits.calls.max(1)),
            silence: Mutex::default(),
            settings,
            surroundings,
        }
    }

    /// The credentials of a profile, the same for all regions.
    async fn source(&self, profile: Option<&str>, region: &Region) -> SharedCredentialsProvider {
        let key = profile.map(str::to_owned);
        let known = self.sources.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some(known) = known {
            return known;
        }
        let source = match (&self.settings.login, profile) {
            (Login::WebIdentity { role, tokens }, None) => {
                let base = self.anonymous(region, tokens.service_account()).await;
                SharedCredentialsProvider::new(WebIdentity { base, role: role.clone(), tokens: Arc::clone(tokens) })
            }
            (_, profile) => {
                SharedCredentialsProvider::new(Source::new(&self.settings, profile, region, &self.http).await)
            }
        };
        // Two may have made one at the same time; the first counts.
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        sources.entry(key).or_insert(source).clone()
    }

    /// A session without credentials, to ask for some.
    async fn anonymous(&self, region: &Region, service_account: String) -> Session {
        let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .region(region.clone())
            .http_client(self.http.clone())
            .retry_config(RetryConfig::disabled())
            .no_credentials();
        if let Some(endpoint) = &self.settings.endpoint {
            loader = loader.endpoint_url(endpoint);
        }
        Session {
            config: loader.load().await,
            principal: format!("the service account `{service_account}`"),
            // Nobody can tell who has no credentials.
            caller: OnceCell::new_with(Some(None)),
            calls: Semaphore::new(self.settings.limits.calls.max(1)),
            silence: Mutex::default(),
            settings: Arc::clone(&self.settings),
            surroundings: self.surroundings.clone(),
        }
    }

    /// Whose credentials these are, where AWS does not say.
    fn principal(&self, access: &Access) -> String {
        match (&self.settings.login, &access.profile) {
            (_, Some(profile)) => format!("the profile `{profile}`"),
            (Login::Key { place, .. }, None) => format!("the access key from `{place}`"),
            (Login::Environment { principal, .. }, None) => principal.clone(),
            (Login::WebIdentity { tokens, .. }, None) => format!("the service account `{}`", tokens.service_account()),
        }
    }
}

impl fmt::Debug for Aws {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Aws").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// One region, asked as one principal. The client of a service is made of its [`Session::config`].
pub struct Session {
    config: SdkConfig,
    /// Whose credentials, where AWS does not say.
    principal: String,
    /// Who we are by AWS' own word, if it was asked and said so.
    caller: OnceCell<Option<String>>,
    calls: Semaphore,
    /// When it was last found that there is no answer, and why.
    silence: Mutex<Option<(String, Instant)>>,
    settings: Arc<Settings>,
    surroundings: Surroundings,
}

impl Session {
    /// What clients are made of. It does not try again by itself: [`Session::call`] does.
    pub fn config(&self) -> &SdkConfig {
        &self.config
    }

    /// Makes attempts at a call until one gives an answer that is final.
    ///
    /// # Errors
    /// What the last one means.
    pub async fn call<T, E, F>(&self, asked: &Asked<'_>, attempt: impl Fn() -> F) -> Result<T, ServiceError>
    where
        F: Future<Output = Result<T, SdkError<E>>> + Send,
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let limits = self.settings.limits;
        // Nobody closes it; if somebody did, there would be no bound, and no harm.
        let _permit = self.calls.acquire().await;
        let mut number = 1;
        if let Some((reason, at)) = &*self.silence()
            && at.elapsed() < SILENCE_COUNTS
        {
            return Err(ServiceError::Unreachable { address: self.address(asked), reason: reason.clone() });
        }
        loop {
            let fault = match attempt().await {
                Ok(answer) => return Ok(answer),
                Err(error) => Fault::of(error),
            };
            if number >= fault.attempts(&limits) {
                if let Fault::Silent(reason) | Fault::Tls(reason) = &fault {
                    *self.silence() = Some((reason.clone(), Instant::now()));
                }
                return Err(self.meaning(fault, asked, self.address(asked), number).await);
            }
            let fraction = self.surroundings.fraction();
            tokio::time::sleep(transport::wait(number, fraction, None, limits.first_wait, limits.longest_wait)).await;
            number += 1;
        }
    }

    async fn meaning(&self, fault: Fault, asked: &Asked<'_>, address: String, attempts: u32) -> ServiceError {
        match fault {
            Fault::Ours(error) => error,
            Fault::Silent(reason) | Fault::Tls(reason) => ServiceError::Unreachable { address, reason },
            Fault::Said(said) => {
                let caller = if said.needs_a_name() && asked.action != GET_CALLER { self.caller().await } else { None };
                said.meaning(asked, &address, caller.as_deref(), &self.principal, attempts)
            }
        }
    }

    fn silence(&self) -> MutexGuard<'_, Option<(String, Instant)>> {
        // A panic elsewhere leaves at worst something out, which is found again.
        self.silence.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who we are by AWS' own word. Everybody may ask that; whoever may not reach STS is named by where the credentials come from.
    async fn caller(&self) -> Option<String> {
        let ask = || async {
            let client = aws_sdk_sts::Client::new(&self.config);
            let answer = tokio::time::timeout(CALLER_LIMIT, client.get_caller_identity().send()).await;
            answer.ok()?.ok()?.arn().map(str::to_owned)
        };
        // Boxed: it may be asked while a role is assumed, which asks the same of the session below.
        self.caller.get_or_init(|| Box::pin(ask())).await.clone()
    }

    /// What is asked, for messages.
    fn address(&self, asked: &Asked<'_>) -> String {
        let service = match asked.action.split(':').next().unwrap_or_default() {
            "kms" => "AWS KMS",
            "secretsmanager" => "AWS Secrets Manager",
            "ssm" => "AWS Systems Manager",
            "sts" => "AWS STS",
            _ => "AWS",
        };
        let region = self.config.region().map(ToString::to_string).unwrap_or_default();
        match self.config.endpoint_url() {
            Some(url) => format!("{service} in {region} ({url})"),
            None => format!("{service} in {region}"),
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("principal", &self.principal).finish_non_exhaustive()
    }
}

/// The call that tells who we are.
const GET_CALLER: &str = "sts:GetCallerIdentity";

/// Connections of all sessions: TLS by the same library as everywhere.
fn http(authorities: Option<&Authorities>, proxies: Option<&Proxies>) -> Result<SharedHttpClient, ServiceError> {
    let proxies = match proxies {
        Some(proxies) => way(proxies).map_err(ServiceError::Settings)?,
        None => ProxyConfig::from_env(),
    };
    let mut trusted = TrustStore::default();
    if let Some(given) = authorities {
        // Those that are none are found now: later they would be told as a handshake that failed.
        transport::tls(authorities, None, true).map_err(ServiceError::Settings)?;
        trusted = TrustStore::empty().with_pem_certificate(given.pem.as_slice());
    }
    let context = TlsContext::builder().with_trust_store(trusted).build();
    let context = context.map_err(|error| ServiceError::Settings(format!("TLS for AWS: {error}")))?;
    Ok(aws_smithy_http_client::Builder::new().build_with_connector_fn(move |settings, components| {
        let mut connector = Connector::builder()
            .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
            .tls_context(context.clone())
            .proxy_config(proxies.clone());
        connector.set_connector_settings(settings.cloned());
        connector.set_sleep_impl(components.and_then(RuntimeComponents::sleep_impl));
        connector.build()
    }))
}

/// The proxies in the SDK's words. It knows none of SOCKS, and reads exceptions otherwise than Go does: each becomes what means the same
/// for a host of AWS, whose port is that of TLS.
fn way(proxies: &Proxies) -> Result<ProxyConfig, String> {
    Ways::new(proxies)?;
    let Some(proxy) = proxies.https.as_deref().map(str::trim).filter(|proxy| !proxy.is_empty()) else {
        return Ok(ProxyConfig::disabled());
    };
    if proxy.starts_with("socks") {
        return Err("`HTTPS_PROXY`: AWS is not reached through proxies that are asked over `socks5://`".to_owned());
    }
    let proxy = if proxy.contains("://") { proxy.to_owned() } else { format!("http://{proxy}") };
    let config = ProxyConfig::https(proxy).map_err(|_| "`HTTPS_PROXY` is no URL".to_owned())?;
    let mut except = "localhost,127.0.0.0/8,::1".to_owned();
    for entry in proxies.except.as_deref().unwrap_or_default().split(',').map(str::trim) {
        let entry = entry.strip_suffix(":443").unwrap_or(entry);
        except.push(',');
        except.push_str(entry.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(entry));
    }
    Ok(config.no_proxy(except))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_is_a_part_of_a_host_and_nothing_else() {
        for region in ["us-east-1", "eu-central-2", "us-gov-west-1", "cn-north-1", "us-isob-east-1"] {
            assert!(is_region(region), "{region}");
        }
        for region in [
            "",
            "us",
            "us-east",
            "us-east-1.evil.example",
            "us-east-1/x",
            "us-east-1@evil",
            "us-east-1#",
            "us-east-1?x",
            "us-east-1:80",
            "US-EAST-1",
            "us--1",
            "-us-east-1",
            "us-east-1-",
            "us-east-1\n",
            "us-east-%31",
            "us-éast-1",
        ] {
            assert!(!is_region(region), "{region}");
        }
        assert!(!is_region(&format!("us-east-{}", "1".repeat(40))));
    }
}
