//! HashiCorp Vault and OpenBao: a key of a transit engine wraps data keys, and never leaves the server.
//!
//! ```text
//! metadata   hc_vault: vault_address, engine_path, key_name, created_at, enc (`vault:v1:…`, the key's version in it)
//! wrap       POST /v1/ENGINE/encrypt/KEY  {"plaintext": base64}    needs `update`; with `create`, Vault makes a key that is not there
//! unwrap     POST /v1/ENGINE/decrypt/KEY  {"ciphertext": enc}      needs `update`
//! ```
//! One [`Vault`] a command holds a client ([`bulla_services::vault`]) for each address that occurs: connections and the token that was
//! exchanged are kept, calls at once are bounded, and what may work later is asked again. The address comes from the file; see
//! [`bulla_services::vault::AllowedAddresses`] for where a token goes.
//!
//! Source: sops 3.13.3 `hcvault/keysource.go`; Vault 1.21 `builtin/logical/transit`.

mod answer;
mod name;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bulla_crypto::{SecretBytes, encoding};
use bulla_wipe::Wiping;

use bulla_services::vault::{Address, Call, Client, Login, Settings, object};
use bulla_services::{NamedBy, ServiceError, Surroundings};
pub use name::{VaultKeyName, VaultNameError};

use crate::{KeyName, MasterKey, Tried, UnwrapError, WrapError, WrappedKey};
use answer::Field;

/// What every wrapped key begins with.
const PREFIX: &str = "vault:v";

/// The Vault servers of one command.
pub struct Vault {
    settings: Result<Arc<Settings>, String>,
    surroundings: Surroundings,
    clients: Mutex<HashMap<Address, Arc<Client>>>,
}

impl Vault {
    /// `settings` are those of the command, or why they cannot be used: that is told by every key.
    pub fn new(settings: Result<Settings, String>, surroundings: Surroundings) -> Self {
        Self { settings: settings.map(Arc::new), surroundings, clients: Mutex::default() }
    }

    /// The client for `address`, or for who is asked in its place: always the same one.
    fn client(&self, address: Address, named_by: NamedBy) -> Result<Arc<Client>, ServiceError> {
        let settings = self.settings.as_ref().map_err(|reason| ServiceError::Settings(reason.clone()))?;
        let address = settings.whom_to_ask(address, named_by)?;
        // A panic elsewhere leaves at worst a client out, which is made again.
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        match clients.entry(address) {
            Entry::Occupied(entry) => Ok(Arc::clone(entry.get())),
            Entry::Vacant(entry) => {
                let client = Client::new(entry.key().clone(), Arc::clone(settings), self.surroundings.clone())?;
                Ok(Arc::clone(entry.insert(Arc::new(client))))
            }
        }
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// One transit key.
#[derive(Debug)]
pub struct VaultKey {
    name: VaultKeyName,
    named_by: NamedBy,
    vault: Arc<Vault>,
}

impl VaultKey {
    /// The key of this name. Whether it is one shows when it is used; [`VaultKeyName::check`] tells beforehand.
    pub fn new(name: VaultKeyName, named_by: NamedBy, vault: Arc<Vault>) -> Self {
        Self { name, named_by, vault }
    }

    async fn call(
        &self,
        operation: &'static str,
        field: Field,
        input: (&str, &[u8]),
    ) -> Result<Wiping<String>, ServiceError> {
        let address = self.name.check().map_err(|error| ServiceError::Settings(error.to_string()))?;
        let client = self.vault.client(address, self.named_by)?;
        let path = self.name.path(operation).map_err(|error| ServiceError::Settings(error.to_string()))?;
        let (key, body) = (self.name.to_string(), object(&[input]));
        let call = async move { answer::take(&client.send(Call::update(&path, body)).await?, field, &key) };
        self.vault.surroundings.carry_out(call).await
    }
}

#[async_trait]
impl MasterKey for VaultKey {
    fn name(&self) -> KeyName {
        KeyName::Vault(self.name.clone())
    }

    async fn wrap(&self, secret: &SecretBytes) -> Result<WrappedKey, WrapError> {
        let plaintext = Wiping::new(encoding::encode(secret.expose_secret()));
        let wrapped = self.call("encrypt", Field::Ciphertext, ("plaintext", plaintext.as_bytes())).await?;
        if !wrapped.starts_with(PREFIX) {
            return Err(WrapError::Failed(format!("the answer does not begin with `{PREFIX}`")));
        }
        Ok(WrappedKey::new(wrapped.as_str()))
    }

    async fn unwrap(&self, wrapped: &WrappedKey) -> Result<Option<SecretBytes>, UnwrapError> {
        let ciphertext = wrapped.as_str().trim();
        if !ciphertext.starts_with(PREFIX) {
            return Err(UnwrapError::Malformed(format!("it does not begin with `{PREFIX}`")));
        }
        let plaintext = self.call("decrypt", Field::Plaintext, ("ciphertext", ciphertext.as_bytes())).await?;
        let secret = encoding::decode_go(plaintext.as_bytes())
            .map_err(|_| UnwrapError::Malformed("what Vault made of it is not base64".to_owned()))?;
        Ok(Some(secret.into()))
    }

    fn tried(&self) -> Vec<Tried> {
        match &self.vault.settings {
            Ok(settings) => match &settings.login {
                Login::None(tried) => tried.clone(),
                _ => Vec::new(),
            },
            Err(_) => Vec::new(),
        }
    }
}
