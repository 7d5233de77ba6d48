//! AWS Secrets Manager.
//!
//! ```text
//! key app/db       secretsmanager:GetSecretValue of PREFIXapp/db, version AWSCURRENT      key: name or ARN
//! version v        stage `v`;  `uuid/ID`: the version with that id
//!
//! property a.b     the member `a.b`, else the path a.b (GJSON)      entries   strings as text, everything else as it is spelt
//! ```
//! A secret is a text or bytes, JSON or not. One that is marked for deletion is not there.
//!
//! Source: external-secrets 2.9.0 `providers/v1/aws/secretsmanager`.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_secretsmanager::Client;
use bulla_crypto::SecretBytes;
use bulla_services::aws::{Access, Asked, Aws, Limits, Session, Settings};
use bulla_services::{ServiceError, Surroundings};
use tokio::sync::OnceCell;

use crate::text::{Rule, Text};
use crate::{FetchError, Payload, Remote, Store, Usable};

/// What this store waits for.
pub const LIMITS: Limits = Limits {
    // A secret has 64 KiB at most; AWS sees to that.
    answer: 1 << 20,
    ..crate::LIMITS
};

/// Which secrets, and as whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// `eu-west-1`
    pub region: String,
    /// The role that is assumed with the credentials.
    pub role: Option<String>,
    /// What every key begins with, unless it is an ARN.
    pub prefix: String,
}

/// The secrets of a region as a store.
pub struct SecretsManager {
    aws: Aws,
    access: Access,
    prefix: String,
    shown: String,
    connection: OnceCell<Connection>,
}

struct Connection {
    session: Arc<Session>,
    client: Client,
}

impl SecretsManager {
    /// The secrets of `place`. It is not connected yet. [`LIMITS`] are those to put in `settings`.
    ///
    /// # Errors
    /// [`FetchError::Settings`]
    pub fn new(place: Place, settings: Settings, surroundings: Surroundings) -> Result<Self, FetchError> {
        let Place { region, role, prefix } = place;
        let shown = format!("AWS Secrets Manager in {region}");
        let aws = Aws::new(settings, surroundings);
        let aws = aws.map_err(|error| FetchError::of_service(error, shown.clone(), &""))?;
        if !bulla_services::aws::is_region(&region) {
            let reason = format!("`{region}` is not a region of AWS");
            return Err(FetchError::Settings { store: shown, reason });
        }
        let access = Access { region, profile: None, role };
        Ok(Self { aws, access, prefix, shown, connection: OnceCell::new() })
    }

    /// The same for all fetches; who fails to make one tries again with the next.
    async fn connection(&self) -> Result<&Connection, ServiceError> {
        let connect = || async {
            let session = self.aws.session(&self.access).await?;
            let client = Client::new(session.config());
            Ok(Connection { session, client })
        };
        self.connection.get_or_try_init(connect).await
    }

    /// What an error means for `remote`.
    fn meaning(&self, error: ServiceError, remote: &Remote) -> FetchError {
        let (store, key) = (self.shown.clone(), remote.to_string());
        match error {
            ServiceError::UnknownKey { .. } => FetchError::NotFound {
                store,
                key,
                advice: "see its name, the region and the prefix of the store".to_owned(),
            },
            ServiceError::Unexpected { reason, .. } if is_deleted(&reason) => FetchError::NotFound {
                store,
                key,
                advice: "it is marked for deletion; `aws secretsmanager restore-secret` brings it back".to_owned(),
            },
            ServiceError::Unexpected { reason, .. } if reason.contains("DecryptionFailure") => {
                FetchError::Unavailable { store, reason }
            }
            ServiceError::Unexpected { reason, .. } if is_about_the_name(&reason) => {
                FetchError::Key { store, key, reason }
            }
            error => FetchError::of_service(error, store, remote),
        }
    }
}

/// Is it a secret that is there only to be brought back?
fn is_deleted(reason: &str) -> bool {
    reason.contains("marked for deletion") || reason.contains("marked deleted")
}

/// Is the name of the secret, or of the version, none that there can be?
fn is_about_the_name(reason: &str) -> bool {
    reason.contains("(ValidationException)") || reason.contains("(InvalidParameterException)")
}

#[async_trait]
impl Store for SecretsManager {
    async fn fetch(&self, remote: &Remote) -> Result<Payload, FetchError> {
        let refuse = |error| self.meaning(error, remote);
        let Connection { session, client } = self.connection().await.map_err(refuse)?;
        let id = format!("{}{}", self.prefix, remote.key);
        let attempt = || {
            let call = client.get_secret_value().secret_id(&id);
            let version = remote.version.as_deref().unwrap_or("AWSCURRENT");
            match version.strip_prefix("uuid/") {
                Some(version) => call.version_id(version).send(),
                None => call.version_stage(version).send(),
            }
        };
        let resource = if id.starts_with("arn:") {
            id.clone()
        } else {
            // AWS adds six letters to the name.
            format!("arn:aws:secretsmanager:{}:*:secret:{id}-??????", self.access.region)
        };
        let asked = Asked { action: "secretsmanager:GetSecretValue", resource: &resource };
        let answer = session.call(&asked, attempt).await.map_err(refuse)?;
        let bytes = match (answer.secret_binary, answer.secret_string) {
            (Some(bytes), _) => bytes.into_inner(),
            (None, Some(text)) => text.into_bytes(),
            (None, None) => {
                let reason = "it has neither a text nor bytes".to_owned();
                return Err(FetchError::Malformed { store: self.shown.clone(), key: remote.to_string(), reason });
            }
        };
        Ok(Payload::new(Text { bytes: SecretBytes::new(bytes), rule: Rule::NameOrPath }))
    }

    /// Asks who we are: everybody may.
    async fn check(&self) -> Result<Usable, FetchError> {
        let refuse = |error| FetchError::of_service(error, self.shown.clone(), &"who we are");
        let Connection { session, .. } = self.connection().await.map_err(refuse)?;
        let client = aws_sdk_sts::Client::new(session.config());
        let asked = Asked { action: "sts:GetCallerIdentity", resource: "*" };
        match session.call(&asked, || client.get_caller_identity().send()).await {
            Ok(_) => Ok(Usable::Yes),
            // Who may reach the secrets may still not reach STS.
            Err(ServiceError::Unreachable { .. } | ServiceError::Denied { .. }) if self.access.role.is_none() => {
                Ok(Usable::Unknown)
            }
            Err(error) => Err(refuse(error)),
        }
    }
}

impl fmt::Debug for SecretsManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretsManager").field("aws", &self.aws).field("access", &self.access).finish_non_exhaustive()
    }
}
