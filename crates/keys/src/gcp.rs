//! Google Cloud KMS: a key there wraps data keys, and never leaves it.
//!
//! ```text
//! metadata   gcp_kms: created_at, enc (base64), resource_id
//! wrap       POST /v1/KEY:encrypt  {plaintext, plaintextCrc32c}      needs `cloudkms.cryptoKeyVersions.useToEncrypt`
//! unwrap     POST /v1/KEY:decrypt  {ciphertext, ciphertextCrc32c}    needs `cloudkms.cryptoKeyVersions.useToDecrypt`
//! ```
//! One [`GcpKms`] a command: connections and the token are kept, calls at once are bounded. What is sent and what comes back carry a
//! checksum, as Google asks of its clients: a data key that was damaged on the way opens nothing, and nobody would know why.
//!
//! Source: sops 3.13.3 `gcpkms/keysource.go`; Cloud KMS REST v1.

mod name;

use std::sync::Arc;

use async_trait::async_trait;
use bulla_crypto::{SecretBytes, encoding};
use bulla_services::checksum::crc32c;
use bulla_services::gcp::{Asked, Gcp, Settings};
use bulla_services::vault::object;
use bulla_services::{ServiceError, Surroundings};
use bulla_wipe::Wiping;
use serde::{Deserialize, Deserializer};

pub use name::{GcpKeyName, GcpNameError};

use crate::cloud::Cloud;
use crate::{KeyName, MasterKey, Tried, UnwrapError, WrapError, WrappedKey};

/// Longest wrapped key in bytes; those of data keys have some hundred.
const LONGEST: usize = 1 << 16;

/// KMS of Google Cloud, as one command uses it.
#[derive(Debug)]
pub struct GcpKms(Cloud<Gcp>);

impl GcpKms {
    /// `settings` are those of the command, or why they cannot be used: that is told by every key.
    pub fn new(settings: Result<Settings, String>, surroundings: Surroundings) -> Self {
        Self(Cloud::new(settings, surroundings, Gcp::new))
    }
}

/// One key of Google Cloud KMS.
#[derive(Debug)]
pub struct GcpKey {
    name: GcpKeyName,
    kms: Arc<GcpKms>,
}

/// What is done with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Encrypt,
    Decrypt,
}

impl Operation {
    const fn verb(self) -> &'static str {
        match self {
            Self::Encrypt => "encrypt",
            Self::Decrypt => "decrypt",
        }
    }

    /// The name of what is sent, and of its checksum.
    const fn input(self) -> (&'static str, &'static str) {
        match self {
            Self::Encrypt => ("plaintext", "plaintextCrc32c"),
            Self::Decrypt => ("ciphertext", "ciphertextCrc32c"),
        }
    }

    fn asked(self, resource: &str) -> Asked<'_> {
        let (permission, role) = match self {
            Self::Encrypt => ("cloudkms.cryptoKeyVersions.useToEncrypt", "roles/cloudkms.cryptoKeyEncrypter"),
            Self::Decrypt => ("cloudkms.cryptoKeyVersions.useToDecrypt", "roles/cloudkms.cryptoKeyDecrypter"),
        };
        Asked { permission, role, resource }
    }
}

/// What is read of an answer.
#[derive(Deserialize)]
struct Answer {
    ciphertext: Option<String>,
    plaintext: Option<String>,
    #[serde(default, rename = "ciphertextCrc32c", deserialize_with = "number")]
    ciphertext_checksum: Option<u32>,
    #[serde(default, rename = "plaintextCrc32c", deserialize_with = "number")]
    plaintext_checksum: Option<u32>,
    #[serde(default, rename = "verifiedPlaintextCrc32c")]
    is_input_verified: Option<bool>,
}

/// Numbers of 64 bits are texts in Google's JSON.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    let number = value.as_u64().or_else(|| value.as_str()?.parse().ok());
    Ok(number.and_then(|number| u32::try_from(number).ok()))
}

impl GcpKey {
    /// The key of this name. Whether it is one shows when it is used; [`GcpKeyName::check`] tells beforehand.
    pub fn new(name: GcpKeyName, kms: Arc<GcpKms>) -> Self {
        Self { name, kms }
    }

    async fn call(&self, operation: Operation, input: &[u8]) -> Result<SecretBytes, ServiceError> {
        self.name.check().map_err(|error| ServiceError::Settings(error.to_string()))?;
        let gcp = self.kms.0.client()?;
        let (text, checksum) = (Wiping::new(encoding::encode(input)), crc32c(input).to_string());
        let names = operation.input();
        let body = object(&[(names.0, text.as_bytes()), (names.1, checksum.as_bytes())]);
        let resource = self.name.resource_id.clone();
        let call = async move {
            let path = format!("/v1/{resource}:{}", operation.verb());
            let answer = gcp.call(&operation.asked(&resource), &path, body).await?;
            take(&answer, operation).map_err(|reason| ServiceError::Unexpected {
                address: "Google Cloud KMS".to_owned(),
                status: 200,
                reason: reason.to_owned(),
            })
        };
        self.kms.0.carry_out(call).await
    }
}

/// What was asked for, whole. What serde says of a text may quote it, so nothing of that is told.
fn take(answer: &[u8], operation: Operation) -> Result<SecretBytes, &'static str> {
    let answer: Answer = serde_json::from_slice(answer).map_err(|_| "what it sent is not an answer of KMS")?;
    let (text, expected) = match operation {
        Operation::Encrypt => (answer.ciphertext, answer.ciphertext_checksum),
        Operation::Decrypt => (answer.plaintext, answer.plaintext_checksum),
    };
    if operation == Operation::Encrypt && answer.is_input_verified == Some(false) {
        return Err("the data key was damaged on its way there");
    }
    let text = Wiping::new(text.filter(|text| !text.is_empty()).ok_or("the answer lacks what was asked for")?);
    let bytes = encoding::decode_go(text.as_bytes()).map_err(|_| "what it sent is not base64")?;
    let bytes = SecretBytes::new(bytes);
    if expected.is_some_and(|expected| expected != crc32c(bytes.expose_secret())) {
        return Err("the answer was damaged on its way: its checksum does not fit");
    }
    Ok(bytes)
}

#[async_trait]
impl MasterKey for GcpKey {
    fn name(&self) -> KeyName {
        KeyName::Gcp(self.name.clone())
    }

    async fn wrap(&self, secret: &SecretBytes) -> Result<WrappedKey, WrapError> {
        let wrapped = self.call(Operation::Encrypt, secret.expose_secret()).await?;
        Ok(WrappedKey::new(encoding::encode(wrapped.expose_secret())))
    }

    async fn unwrap(&self, wrapped: &WrappedKey) -> Result<Option<SecretBytes>, UnwrapError> {
        let wrapped = encoding::decode_go(wrapped.as_str().as_bytes())
            .map_err(|_| UnwrapError::Malformed("it is not base64".to_owned()))?;
        if wrapped.len() > LONGEST {
            return Err(UnwrapError::Malformed(format!("it is longer than {LONGEST} bytes")));
        }
        Ok(Some(self.call(Operation::Decrypt, &wrapped).await?))
    }

    fn tried(&self) -> Vec<Tried> {
        self.kms.0.tried()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_whole_answer_is_told_without_quoting_it() {
        for (answer, operation, reason) in [
            ("", Operation::Decrypt, "not an answer"),
            (r#"{"plaintext":"hunter2"#, Operation::Decrypt, "not an answer"),
            (r#"{"plaintext":7}"#, Operation::Decrypt, "not an answer"),
            ("{}", Operation::Decrypt, "lacks"),
            (r#"{"plaintext":""}"#, Operation::Decrypt, "lacks"),
            (r#"{"plaintext":"aGk="}"#, Operation::Encrypt, "lacks"),
            (r#"{"plaintext":"hunter2!"}"#, Operation::Decrypt, "not base64"),
            (r#"{"plaintext":"aGk=","plaintextCrc32c":"1"}"#, Operation::Decrypt, "checksum"),
            (r#"{"ciphertext":"aGk=","verifiedPlaintextCrc32c":false}"#, Operation::Encrypt, "damaged"),
        ] {
            let error = take(answer.as_bytes(), operation).unwrap_err();
            assert!(error.contains(reason), "{answer}: {error}");
        }
        let deep = format!("{}{}", r#"{"x":"#, "[".repeat(100_000));
        assert!(take(deep.as_bytes(), Operation::Decrypt).is_err());
        let sum = crc32c(b"hi");
        for sum in [format!("\"{sum}\""), sum.to_string(), "null".to_owned()] {
            let answer = format!(r#"{{"plaintext":"aGk=","plaintextCrc32c":{sum},"usedPrimary":true}}"#);
            assert_eq!(take(answer.as_bytes(), Operation::Decrypt).unwrap().expose_secret(), b"hi");
        }
    }
}
