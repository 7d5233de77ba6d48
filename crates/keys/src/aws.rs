//! AWS KMS: a key there wraps data keys, and never leaves it.
//!
//! ```text
//! metadata   kms: arn, aws_profile (always), context, created_at, enc (base64), role
//! wrap       kms:Encrypt  {KeyId: arn, Plaintext, EncryptionContext}         needs `kms:Encrypt` on the key
//! unwrap     kms:Decrypt  {KeyId: arn, CiphertextBlob, EncryptionContext}    needs `kms:Decrypt` on the key
//!
//! a multi-Region key (mrk-…) whose region fails ─▶ its replicas: regions of the settings, and of other keys that were met
//! ```
//! One [`Kms`] a command holds a client for each region, profile and role that occurs. The region asked is that of the ARN, which
//! comes from the file; that decides nothing about where credentials go, since nothing but a region's name passes
//! ([`bulla_services::aws::is_region`]), and AWS is asked there.
//!
//! Source: sops 3.13.3 `kms/keysource.go`.

mod name;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use aws_sdk_kms::Client;
use aws_sdk_kms::primitives::Blob;
use bulla_crypto::{SecretBytes, encoding};
use bulla_services::aws::{Access, Asked, Aws, Session, Settings};
use bulla_services::{ServiceError, Surroundings};

pub use name::{AwsKeyName, AwsNameError, read_context};

use crate::{KeyName, MasterKey, Tried, UnwrapError, WrapError, WrappedKey};
use name::Arn;

/// Longest wrapped key in bytes: what KMS takes.
const LONGEST: usize = 6144;

/// KMS, as one command uses it.
pub struct Kms {
    aws: Result<Aws, ServiceError>,
    surroundings: Surroundings,
    /// Where replicas of multi-Region keys may be.
    replica_regions: Vec<String>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    clients: HashMap<Access, Connection>,
    /// The regions of each multi-Region key that was met.
    replicas: HashMap<(String, String, String), BTreeSet<String>>,
    /// Regions that failed: asked last from then on.
    failed: HashSet<String>,
    /// Where credentials were looked for, if there were none.
    tried: Vec<Tried>,
}

/// A client, and how it is called.
#[derive(Clone)]
struct Connection {
    session: Arc<Session>,
    client: Client,
}

impl Kms {
    /// `settings` are those of the command, or why they cannot be used: that is told by every key. `replica_regions` are asked for
    /// multi-Region keys whose own region fails.
    pub fn new(settings: Result<Settings, String>, replica_regions: Vec<String>, surroundings: Surroundings) -> Self {
        let aws =
            settings.map_err(ServiceError::Settings).and_then(|settings| Aws::new(settings, surroundings.clone()));
        Self { aws, surroundings, replica_regions, known: Mutex::default() }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // A panic elsewhere leaves at worst something out, which is found again.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The client for this access, always the same one.
    async fn connection(&self, access: &Access) -> Result<Connection, ServiceError> {
        if let Some(connection) = self.known().clients.get(access) {
            return Ok(connection.clone());
        }
        let session = self.aws.as_ref().map_err(Clone::clone)?.session(access).await?;
        let connection = Connection { client: Client::new(session.config()), session };
        Ok(self.known().clients.entry(access.clone()).or_insert(connection).clone())
    }

    /// Where the key can be asked for, its own region first, unless that failed before.
    fn regions(&self, arn: &Arn) -> Vec<String> {
        let mut regions = vec![arn.region.clone()];
        if arn.is_multi_region() {
            let known = self.known();
            let met = known.replicas.get(&arn.without_region()).into_iter().flatten();
            for region in met.chain(&self.replica_regions) {
                if !regions.contains(region) {
                    regions.push(region.clone());
                }
            }
            regions.sort_by_key(|region| known.failed.contains(region));
        }
        regions
    }
}

impl fmt::Debug for Kms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kms").field("aws", &self.aws).finish_non_exhaustive()
    }
}

/// One key of KMS.
#[derive(Debug)]
pub struct AwsKey {
    name: AwsKeyName,
    kms: Arc<Kms>,
}

impl AwsKey {
    /// The key of this name. Whether it is one shows when it is used; [`AwsKeyName::check`] tells beforehand.
    pub fn new(name: AwsKeyName, kms: Arc<Kms>) -> Self {
        if let Ok(arn) = name.arn()
            && arn.is_multi_region()
        {
            kms.known().replicas.entry(arn.without_region()).or_default().insert(arn.region);
        }
        Self { name, kms }
    }

    /// Does `operation` with the key where it is: it is given the connection, and the ARN that the key has there.
    async fn call<T, F>(&self, operation: impl Fn(Connection, String) -> F + Send + 'static) -> Result<T, ServiceError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, ServiceError>> + Send,
    {
        let arn = self.name.arn().map_err(|error| ServiceError::Settings(error.to_string()))?;
        let (kms, name) = (Arc::clone(&self.kms), self.name.clone());
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let call = async move {
            let mut failure = None;
            for region in kms.regions(&arn) {
                let key = if region == arn.region { name.arn.clone() } else { arn.in_region(&region) };
                let access = Access { region, profile: some(&name.profile), role: some(&name.role) };
                let outcome = match kms.connection(&access).await {
                    Ok(connection) => operation(connection, key).await,
                    Err(error) => Err(error),
                };
                match outcome {
                    Err(error) if is_of_its_region(&error) => {
                        kms.known().failed.insert(access.region);
                        failure.get_or_insert(error);
                    }
                    Err(error) => {
                        if let ServiceError::NoCredentials { tried, .. } = &error {
                            kms.known().tried.clone_from(tried);
                        }
                        return Err(failure.unwrap_or(error));
                    }
                    outcome => return outcome,
                }
            }
            // There is one region at least.
            Err(failure.unwrap_or_else(|| ServiceError::Settings("the key has no region".to_owned())))
        };
        self.kms.surroundings.carry_out(call).await
    }

    /// As the SDK takes it; an empty one is sent, too, as sops does.
    fn context(&self) -> HashMap<String, String> {
        self.name.context.iter().cloned().collect()
    }
}

/// May a replica of the key work where this one does not?
fn is_of_its_region(error: &ServiceError) -> bool {
    matches!(
        error,
        ServiceError::Unreachable { .. }
            | ServiceError::Unavailable { .. }
            | ServiceError::Throttled { .. }
            | ServiceError::Unusable { .. }
            | ServiceError::UnknownKey { .. }
    )
}

#[async_trait]
impl MasterKey for AwsKey {
    fn name(&self) -> KeyName {
        KeyName::Aws(self.name.clone())
    }

    async fn wrap(&self, secret: &SecretBytes) -> Result<WrappedKey, WrapError> {
        // A copy for each attempt lies in the SDK's own memory.
        let secret = Arc::new(SecretBytes::new(secret.expose_secret().to_vec()));
        let context = self.context();
        let wrapped = self.call(move |connection, arn| {
            let (secret, context) = (Arc::clone(&secret), context.clone());
            async move {
                let attempt = || {
                    let request = connection.client.encrypt().key_id(&arn);
                    let request = request.set_encryption_context(Some(context.clone()));
                    request.plaintext(Blob::new(secret.expose_secret())).send()
                };
                let asked = Asked { action: "kms:Encrypt", resource: &arn };
                Ok(connection.session.call(&asked, attempt).await?.ciphertext_blob)
            }
        });
        let wrapped =
            wrapped.await?.ok_or_else(|| WrapError::Failed("the answer of KMS has no wrapped key".to_owned()))?;
        Ok(WrappedKey::new(encoding::encode(wrapped.as_ref())))
    }

    async fn unwrap(&self, wrapped: &WrappedKey) -> Result<Option<SecretBytes>, UnwrapError> {
        let wrapped = encoding::decode_go(wrapped.as_str().as_bytes())
            .map_err(|_| UnwrapError::Malformed("it is not base64".to_owned()))?;
        if wrapped.len() > LONGEST {
            return Err(UnwrapError::Malformed(format!("it is longer than {LONGEST} bytes, which KMS takes")));
        }
        let (wrapped, context) = (Blob::new(&wrapped[..]), self.context());
        let secret = self.call(move |connection, arn| {
            let (wrapped, context) = (wrapped.clone(), context.clone());
            async move {
                let attempt = || {
                    let request = connection.client.decrypt().key_id(&arn);
                    let request = request.set_encryption_context(Some(context.clone()));
                    request.ciphertext_blob(wrapped.clone()).send()
                };
                let asked = Asked { action: "kms:Decrypt", resource: &arn };
                let answer = connection.session.call(&asked, attempt).await?;
                Ok(answer.plaintext.map(|plaintext| SecretBytes::new(plaintext.into_inner())))
            }
        });
        let secret = secret.await?;
        Ok(Some(secret.ok_or_else(|| UnwrapError::Malformed("the answer of KMS has no data key".to_owned()))?))
    }

    fn tried(&self) -> Vec<Tried> {
        // Whose credentials were found is told by the error itself.
        self.kms.known().tried.clone()
    }
}
