//! The means of a whole command: the one place where a name becomes a key.

use std::sync::{Arc, LazyLock};

use bulla_services::NamedBy;

use crate::age::{AgeIdentities, AgeKey};
use crate::aws::{AwsKey, Kms};
use crate::azure::{AzureKey, KeyVault};
use crate::gcp::{GcpKey, GcpKms};
use crate::huawei::{HuaweiKey, HuaweiKms};
use crate::memory::Memory;
use crate::pgp::{Gpg, PgpKey};
use crate::service::{FirstOf, KeyService};
use crate::vault::{Vault, VaultKey};
use crate::{DecryptionOrder, KeyName, MasterKey};

/// What keys of each kind are used with.
#[derive(Debug)]
pub struct KeySources<'a> {
    /// The identities of age.
    pub age: Arc<AgeIdentities>,
    /// Vault, made ready for the first key that needs it: most commands never meet one.
    pub vault: Later<'a, Vault>,
    /// AWS KMS, likewise.
    pub kms: Later<'a, Kms>,
    /// KMS of Google Cloud, likewise.
    pub gcp: Later<'a, GcpKms>,
    /// KMS of Huawei Cloud, likewise.
    pub huawei: Later<'a, HuaweiKms>,
    /// The vaults of Azure, likewise.
    pub azure: Later<'a, KeyVault>,
    /// gpg, likewise.
    pub pgp: Later<'a, Gpg>,
    /// What they unwrapped.
    pub memory: Arc<Memory>,
    /// Which kinds are tried first.
    pub order: DecryptionOrder,
    /// Whether keys are used here at all, before key services are asked.
    pub is_here: bool,
    /// Key services, in the order in which they are asked.
    pub services: Arc<Vec<Arc<KeyService>>>,
}

/// Something that is made when it is first used.
pub type Later<'a, T> = LazyLock<Arc<T>, Box<dyn FnOnce() -> Arc<T> + Send + 'a>>;

impl KeySources<'_> {
    /// The key of this name, ready to wrap and unwrap; `None` if keys are not used here and there is no key service. Whether it is one
    /// shows when it is used.
    ///
    /// What a service unwrapped for it is remembered in [`KeySources::memory`].
    pub fn key(&self, name: &KeyName, named_by: NamedBy) -> Option<Box<dyn MasterKey>> {
        let here = self.is_here.then(|| self.key_here(name, named_by));
        if self.services.is_empty() {
            return here;
        }
        Some(Box::new(FirstOf::new(name, here, &self.services, &self.memory)))
    }

    /// The same services and their logins for another piece of work, with these identities and this gpg. Nothing of what was unwrapped is
    /// known there, and no key service is asked.
    pub fn afresh<'b>(&'b self, age: Arc<AgeIdentities>, pgp: Later<'b, Gpg>) -> KeySources<'b> {
        KeySources {
            age,
            pgp,
            vault: LazyLock::new(Box::new(|| Arc::clone(&self.vault))),
            kms: LazyLock::new(Box::new(|| Arc::clone(&self.kms))),
            gcp: LazyLock::new(Box::new(|| Arc::clone(&self.gcp))),
            azure: LazyLock::new(Box::new(|| Arc::clone(&self.azure))),
            huawei: LazyLock::new(Box::new(|| Arc::clone(&self.huawei))),
            memory: Arc::default(),
            order: DecryptionOrder::default(),
            is_here: true,
            services: Arc::default(),
        }
    }

    /// The key as it is used without any key service.
    fn key_here(&self, name: &KeyName, named_by: NamedBy) -> Box<dyn MasterKey> {
        match name {
            KeyName::Age(recipient) => Box::new(AgeKey::new(recipient, Arc::clone(&self.age))),
            KeyName::Aws(name) => self.memory.of(AwsKey::new(name.clone(), Arc::clone(&self.kms))),
            KeyName::Vault(name) => self.memory.of(VaultKey::new(name.clone(), named_by, Arc::clone(&self.vault))),
            KeyName::Gcp(name) => self.memory.of(GcpKey::new(name.clone(), Arc::clone(&self.gcp))),
            KeyName::Azure(name) => self.memory.of(AzureKey::new(name.clone(), Arc::clone(&self.azure))),
            KeyName::Pgp(name) => self.memory.of(PgpKey::new(name.clone(), Arc::clone(&self.pgp))),
            KeyName::Huawei(name) => self.memory.of(HuaweiKey::new(name.clone(), Arc::clone(&self.huawei))),
        }
    }
}
