//! What a master key is called: by the metadata of a file, by creation rules, on the command line, by the key service.
//!
//! ```text
//! metadata's entry, rule, flag, message of the key service ─▶ KeyName ─ KeySources::key ─▶ MasterKey
//! ```
//! A name is kept as it is spelt, whether or not it is one: a file may list keys that nothing here could use.

use bulla_services::vault::AddressError;

use crate::age::{RecipientError, check_recipient};
use crate::aws::{AwsKeyName, AwsNameError};
use crate::azure::{AzureKeyName, AzureNameError};
use crate::gcp::{GcpKeyName, GcpNameError};
use crate::huawei::{HuaweiKeyName, HuaweiNameError};
use crate::pgp::{PgpKeyName, PgpNameError};
use crate::vault::{VaultKeyName, VaultNameError};
use crate::{KeyId, Source};

/// The name of one master key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum KeyName {
    /// A recipient of age.
    Age(String),
    /// The fingerprint of an OpenPGP key.
    Pgp(PgpKeyName),
    /// A key of AWS KMS.
    Aws(AwsKeyName),
    /// A key of Google Cloud KMS.
    Gcp(GcpKeyName),
    /// A key of Huawei Cloud KMS.
    Huawei(HuaweiKeyName),
    /// A key of Azure Key Vault.
    Azure(AzureKeyName),
    /// A transit key of Vault.
    Vault(VaultKeyName),
}

/// Why a name is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyNameError {
    /// Not a recipient of age.
    #[error(transparent)]
    Age(#[from] RecipientError),
    /// Not a fingerprint.
    #[error(transparent)]
    Pgp(#[from] PgpNameError),
    /// Not a key of AWS KMS.
    #[error(transparent)]
    Aws(#[from] AwsNameError),
    /// Not a key of Google Cloud KMS.
    #[error(transparent)]
    Gcp(#[from] GcpNameError),
    /// Not a key of Huawei Cloud KMS.
    #[error(transparent)]
    Huawei(#[from] HuaweiNameError),
    /// Not a key of Azure Key Vault.
    #[error(transparent)]
    Azure(#[from] AzureNameError),
    /// Not a transit key of Vault.
    #[error(transparent)]
    Vault(#[from] VaultNameError),
}

impl From<AddressError> for KeyNameError {
    fn from(error: AddressError) -> Self {
        Self::Vault(error.into())
    }
}

impl KeyName {
    /// The name that these fields of the metadata give. `field` gives the text of a field, empty if it is not there; `context` is the
    /// encryption context, which only keys of AWS KMS have.
    pub fn of_fields(source: Source, field: impl Fn(&str) -> String, mut context: Vec<(String, String)>) -> Self {
        match source {
            Source::Age => Self::Age(field("recipient")),
            Source::Pgp => Self::Pgp(PgpKeyName { fingerprint: field("fp") }),
            Source::Kms => {
                context.sort();
                let (arn, role, profile) = (field("arn"), field("role"), field("aws_profile"));
                Self::Aws(AwsKeyName { arn, role, context, profile })
            }
            Source::GcpKms => Self::Gcp(GcpKeyName { resource_id: field("resource_id") }),
            Source::HcKms => Self::Huawei(HuaweiKeyName { key_id: field("key_id") }),
            Source::AzureKv => Self::Azure(AzureKeyName {
                vault_url: field("vault_url"),
                name: field("name"),
                version: field("version"),
            }),
            Source::HcVault => Self::Vault(VaultKeyName {
                address: field("vault_address"),
                engine_path: field("engine_path"),
                key_name: field("key_name"),
            }),
        }
    }

    /// The name that one text gives, as flags, variables and rules have it: a recipient, a fingerprint, an ARN, an identifier, a URI.
    /// `context` and `profile` are those of keys of AWS KMS. Whether it is a key that can be asked, [`KeyName::check`] says.
    ///
    /// # Errors
    /// [`KeyNameError`], for a text that cannot be taken apart.
    pub fn from_text(
        source: Source,
        text: &str,
        context: &[(String, String)],
        profile: &str,
    ) -> Result<Self, KeyNameError> {
        Ok(match source {
            Source::Age => Self::Age(text.trim().to_owned()),
            Source::Pgp => Self::Pgp(PgpKeyName::from_argument(text)?),
            Source::Kms => Self::Aws(AwsKeyName::split(text, context, profile)),
            Source::GcpKms => Self::Gcp(GcpKeyName::from_argument(text)?),
            Source::HcKms => Self::Huawei(HuaweiKeyName::from_argument(text)?),
            Source::AzureKv => Self::Azure(AzureKeyName::from_url(text)?),
            Source::HcVault => Self::Vault(VaultKeyName::from_uri(text)?),
        })
    }

    /// The names that texts of several kinds give, in the order in which they are given. Of each text, the parts between commas count that
    /// are not blank.
    ///
    /// # Errors
    /// [`KeyNameError`] of the first that is none; nothing is called.
    pub fn from_texts<'t>(
        texts: impl IntoIterator<Item = (Source, &'t str)>,
        context: &[(String, String)],
        profile: &str,
    ) -> Result<Vec<Self>, KeyNameError> {
        let parts = texts.into_iter().flat_map(|(source, text)| text.split(',').map(move |part| (source, part.trim())));
        let parts = parts.filter(|(_, part)| !part.is_empty());
        let names: Vec<Self> =
            parts.map(|(source, part)| Self::from_text(source, part, context, profile)).collect::<Result<_, _>>()?;
        names.iter().try_for_each(Self::check)?;
        Ok(names)
    }

    /// The fields of the metadata that name it, beside `enc` and `created_at`: all of its kind ([`Source::fields`]), also empty ones.
    pub fn fields(&self) -> Vec<(&'static str, &str)> {
        match self {
            Self::Age(recipient) => vec![("recipient", recipient)],
            Self::Pgp(name) => vec![("fp", &name.fingerprint)],
            Self::Aws(name) => vec![("arn", &name.arn), ("role", &name.role), ("aws_profile", &name.profile)],
            Self::Gcp(name) => vec![("resource_id", &name.resource_id)],
            Self::Huawei(name) => vec![("key_id", &name.key_id)],
            Self::Azure(name) => {
                vec![("vault_url", &name.vault_url), ("name", &name.name), ("version", &name.version)]
            }
            Self::Vault(name) => {
                vec![("vault_address", &name.address), ("engine_path", &name.engine_path), ("key_name", &name.key_name)]
            }
        }
    }

    /// The encryption context, sorted: keys of AWS KMS may have one.
    pub fn context(&self) -> &[(String, String)] {
        match self {
            Self::Aws(name) => &name.context,
            _ => &[],
        }
    }

    /// Its kind.
    pub fn source(&self) -> Source {
        match self {
            Self::Age(_) => Source::Age,
            Self::Pgp(_) => Source::Pgp,
            Self::Aws(_) => Source::Kms,
            Self::Gcp(_) => Source::GcpKms,
            Self::Huawei(_) => Source::HcKms,
            Self::Azure(_) => Source::AzureKv,
            Self::Vault(_) => Source::HcVault,
        }
    }

    /// The key as SOPS identifies it.
    pub fn id(&self) -> KeyId {
        let name = match self {
            Self::Age(recipient) => recipient.clone(),
            Self::Pgp(name) => name.fingerprint.clone(),
            Self::Aws(name) => name.to_string(),
            Self::Gcp(name) => name.resource_id.clone(),
            Self::Huawei(name) => name.key_id.clone(),
            Self::Azure(name) => name.to_string(),
            Self::Vault(name) => name.to_string(),
        };
        KeyId { source: self.source(), name }
    }

    /// Is this a version of the key that `other` names without one? Only keys of Azure have a version in their name.
    pub fn is_version_of(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Azure(version), Self::Azure(any)) => {
                any.version.is_empty() && version.vault_url == any.vault_url && version.name == any.name
            }
            _ => false,
        }
    }

    /// Whether it is the name of a key that can be asked. Nothing is called.
    ///
    /// # Errors
    /// [`KeyNameError`]
    pub fn check(&self) -> Result<(), KeyNameError> {
        match self {
            Self::Age(recipient) => check_recipient(recipient)?,
            Self::Pgp(name) => name.check()?,
            Self::Aws(name) => name.check()?,
            Self::Gcp(name) => name.check()?,
            Self::Huawei(name) => name.check()?,
            Self::Azure(name) => name.check()?,
            Self::Vault(name) => drop(name.check()?),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_become_names_in_their_order_and_the_first_that_is_none_is_told() {
        let age = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
        let texts = [
            (Source::Kms, "arn:aws:kms:eu-west-1:1:key/k+arn:aws:iam::1:role/r, "),
            (Source::HcVault, "https://vault:8200/v1/transit/keys/k"),
            (Source::Age, &*format!(" ,{age}")),
        ];
        let context = [("a".to_owned(), "b".to_owned())];
        let names = KeyName::from_texts(texts, &context, "team").unwrap();
        let sources: Vec<Source> = names.iter().map(KeyName::source).collect();
        assert_eq!(sources, [Source::Kms, Source::HcVault, Source::Age]);
        let KeyName::Aws(name) = &names[0] else { panic!("{names:?}") };
        assert_eq!((&*name.role, &*name.profile, &*name.context), ("arn:aws:iam::1:role/r", "team", &context[..]));
        let error = KeyName::from_texts([(Source::Pgp, "no fingerprint"), (Source::Age, "x")], &[], "").unwrap_err();
        assert!(matches!(error, KeyNameError::Pgp(_)), "{error}");
    }

    #[test]
    fn a_name_of_every_kind_is_made_of_its_fields_and_gives_them_again() {
        for source in Source::ALL {
            let context = if source == Source::Kms { vec![("a".to_owned(), "1".to_owned())] } else { Vec::new() };
            let name = KeyName::of_fields(source, |field| format!("<{field}>"), context.clone());
            assert_eq!(name.source(), source);
            assert_eq!(name.context(), context);
            let fields: Vec<&str> = name.fields().iter().map(|(field, _)| *field).collect();
            assert_eq!(fields, source.fields());
            assert!(name.fields().iter().all(|(field, text)| *text == format!("<{field}>")));
            assert!(name.check().is_err(), "{source}");
        }
    }
}
