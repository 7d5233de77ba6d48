//! Azure Key Vault and Managed HSM: an RSA key there wraps data keys, and its private part never leaves it.
//!
//! ```text
//! metadata   azure_kv: created_at, enc (URL-safe base64 without padding), name, vault_url, version
//! wrap       POST VAULT/keys/NAME/VERSION/encrypt  {alg: RSA-OAEP-256, value}    needs `keys/encrypt`
//! unwrap     POST VAULT/keys/NAME/VERSION/decrypt  {alg: RSA-OAEP-256, value}    needs `keys/decrypt`
//! version    GET  VAULT/keys/NAME                   {key: {kid}}                  needs `keys/get`; where a name has none
//! ```
//! One [`KeyVault`] a command: connections and tokens are kept, calls at once are bounded. The vault comes from the file; see
//! [`bulla_services::azure::AllowedVaults`] for where a token goes.
//!
//! Source: sops 3.13.3 `azkv/keysource.go`; Key Vault REST 7.4.

mod name;

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bulla_crypto::SecretBytes;
use bulla_services::azure::{Address, Asked, Azure, Settings};
use bulla_services::vault::object;
use bulla_services::{ServiceError, Surroundings};
use bulla_wipe::Wiping;
use serde::Deserialize;

pub use name::{AzureKeyName, AzureNameError};

use crate::cloud::Cloud;
use crate::{KeyName, MasterKey, Tried, UnwrapError, WrapError, WrappedKey};

/// How data keys are wrapped, as SOPS has it.
const ALGORITHM: &[u8] = b"RSA-OAEP-256";
/// Longest wrapped key in bytes: that of an RSA key of 16,384 bits.
const LONGEST: usize = 2048;

/// The vaults of Azure, as one command uses them.
#[derive(Debug)]
pub struct KeyVault(Cloud<Azure>);

impl KeyVault {
    /// `settings` are those of the command, or why they cannot be used: that is told by every key.
    pub fn new(settings: Result<Settings, String>, surroundings: Surroundings) -> Self {
        Self(Cloud::new(settings, surroundings, Azure::new))
    }

    async fn call(
        &self,
        name: &AzureKeyName,
        operation: &'static str,
        input: Option<Wiping<Vec<u8>>>,
    ) -> Result<Wiping<Vec<u8>>, ServiceError> {
        name.check().map_err(|error| ServiceError::Settings(error.to_string()))?;
        let vault: Address = name.vault_url.parse().map_err(|error| ServiceError::Settings(format!("{error}")))?;
        let azure = self.0.client()?;
        let path = match &input {
            // Without a version there are two slashes, as SOPS has it.
            Some(_) => format!("/keys/{}/{}/{operation}", name.name, name.version),
            None => format!("/keys/{}/{}", name.name, name.version).trim_end_matches('/').to_owned(),
        };
        let key = name.to_string();
        let call = async move { azure.call(&Asked { operation, key: &key }, &vault, &path, input).await };
        self.0.carry_out(call).await
    }
}

/// One key of a vault.
#[derive(Debug)]
pub struct AzureKey {
    name: AzureKeyName,
    /// The version that was found to be the newest, if the name has none.
    newest: OnceLock<String>,
    vault: Arc<KeyVault>,
}

/// What is read of an answer.
#[derive(Deserialize)]
struct Answer {
    value: Option<String>,
    key: Option<KeyText>,
}

#[derive(Deserialize)]
struct KeyText {
    kid: Option<String>,
}

impl AzureKey {
    /// The key of this name. Whether it is one shows when it is used; [`AzureKeyName::check`] tells beforehand.
    pub fn new(name: AzureKeyName, vault: Arc<KeyVault>) -> Self {
        Self { name, newest: OnceLock::new(), vault }
    }

    /// The name with a version: its own, else the one that was found.
    fn whole_name(&self) -> AzureKeyName {
        let mut name = self.name.clone();
        if let (true, Some(newest)) = (name.version.is_empty(), self.newest.get()) {
            name.version.clone_from(newest);
        }
        name
    }

    /// The name with the version that is the newest, if it has none.
    async fn settle(&self) -> Result<AzureKeyName, ServiceError> {
        let name = self.whole_name();
        if !name.version.is_empty() {
            return Ok(name);
        }
        let answer = self.vault.call(&name, "get", None).await?;
        let answer: Option<Answer> = serde_json::from_slice(&answer).ok();
        let version = answer.and_then(|answer| version_of(&answer.key?.kid?, &name.name));
        let version = version.ok_or_else(|| unexpected(&name, "the answer does not name the key's version"))?;
        // Two may have asked at the same time; the first counts.
        self.newest.get_or_init(|| version);
        Ok(self.whole_name())
    }

    async fn transform(
        &self,
        name: &AzureKeyName,
        operation: &'static str,
        input: &[u8],
    ) -> Result<SecretBytes, ServiceError> {
        let text = Wiping::new(URL_SAFE_NO_PAD.encode(input));
        let body = object(&[("alg", ALGORITHM), ("value", text.as_bytes())]);
        let answer = self.vault.call(name, operation, Some(body)).await?;
        let read: Option<Answer> = serde_json::from_slice(&answer).ok();
        let text = read.and_then(|answer| answer.value).filter(|text| !text.is_empty()).map(Wiping::new);
        let text = text.ok_or_else(|| unexpected(name, "the answer lacks what was asked for"))?;
        let bytes = URL_SAFE_NO_PAD.decode(text.trim_end_matches('='));
        bytes.map(SecretBytes::new).map_err(|_| unexpected(name, "what it sent is not base64"))
    }
}

/// The version in the id of a key: `https://shop.vault.azure.net/keys/sops/VERSION`.
fn version_of(id: &str, name: &str) -> Option<String> {
    let (_, rest) = id.split_once("/keys/")?;
    let (found, version) = rest.split_once('/')?;
    let is_version = !version.is_empty() && version.len() <= 64 && version.bytes().all(|b| b.is_ascii_alphanumeric());
    (found.eq_ignore_ascii_case(name) && is_version).then(|| version.to_owned())
}

fn unexpected(name: &AzureKeyName, reason: &str) -> ServiceError {
    ServiceError::Unexpected { address: name.vault_url.clone(), status: 200, reason: reason.to_owned() }
}

#[async_trait]
impl MasterKey for AzureKey {
    /// Once it wrapped, the version is in it.
    fn name(&self) -> KeyName {
        KeyName::Azure(self.whole_name())
    }

    async fn wrap(&self, secret: &SecretBytes) -> Result<WrappedKey, WrapError> {
        let name = self.settle().await?;
        let wrapped = self.transform(&name, "encrypt", secret.expose_secret()).await?;
        Ok(WrappedKey::new(URL_SAFE_NO_PAD.encode(wrapped.expose_secret())))
    }

    async fn unwrap(&self, wrapped: &WrappedKey) -> Result<Option<SecretBytes>, UnwrapError> {
        let wrapped = URL_SAFE_NO_PAD
            .decode(wrapped.as_str().trim())
            .map_err(|_| UnwrapError::Malformed("it is not URL-safe base64".to_owned()))?;
        if wrapped.is_empty() || wrapped.len() > LONGEST {
            return Err(UnwrapError::Malformed(format!("it does not have 1 to {LONGEST} bytes")));
        }
        Ok(Some(self.transform(&self.whole_name(), "decrypt", &wrapped).await?))
    }

    fn tried(&self) -> Vec<Tried> {
        self.vault.0.tried()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_taken_from_the_id_of_the_key_that_was_asked_for() {
        for (id, version) in [
            ("https://shop.vault.azure.net/keys/sops/0123abcd", Some("0123abcd")),
            ("https://shop.vault.azure.net/keys/SOPS/0123abcd", Some("0123abcd")),
            ("https://shop.vault.azure.net/keys/other/0123abcd", None),
            ("https://shop.vault.azure.net/keys/sops", None),
            ("https://shop.vault.azure.net/keys/sops/", None),
            ("https://shop.vault.azure.net/keys/sops/a/b", None),
            ("https://shop.vault.azure.net/keys/sops/a\nb", None),
        ] {
            assert_eq!(version_of(id, "sops").as_deref(), version, "{id}");
        }
    }
}
