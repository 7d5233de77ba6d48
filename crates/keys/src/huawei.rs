//! Huawei Cloud KMS: a key there wraps data keys, and never leaves it.
//!
//! ```text
//! metadata   hckms: created_at, enc (what KMS gives, as it is), key_id (`REGION:UUID`)
//! wrap       POST …/encrypt-data  {key_id, plain_text, encryption_algorithm}     needs `kms:cmk:encrypt`
//! unwrap     POST …/decrypt-data  {key_id, cipher_text, encryption_algorithm}    needs `kms:cmk:decrypt`
//! ```
//! KMS wraps texts, so a data key is base64 there. One [`HuaweiKms`] a command: connections and credentials are kept, calls at once are
//! bounded. The region asked is that of the name, which comes from the file; see [`bulla_services::huawei`] for why that decides nothing
//! about where credentials go.
//!
//! Source: sops 3.13.3 `hckms/keysource.go`; KMS v1.0.

mod name;

use std::sync::Arc;

use async_trait::async_trait;
use bulla_crypto::{SecretBytes, encoding};
use bulla_services::huawei::{Asked, Huawei, Settings};
use bulla_services::vault::object;
use bulla_services::{ServiceError, Surroundings};
use bulla_wipe::Wiping;
use serde::Deserialize;

pub use name::{HuaweiKeyName, HuaweiNameError};

use crate::cloud::Cloud;
use crate::{KeyName, MasterKey, Tried, UnwrapError, WrapError, WrappedKey};

/// How data keys are wrapped, as SOPS has it.
const ALGORITHM: &[u8] = b"SYMMETRIC_DEFAULT";
/// Longest wrapped key as text; those of data keys have some hundred.
const LONGEST: usize = 1 << 14;

/// KMS of Huawei Cloud, as one command uses it.
#[derive(Debug)]
pub struct HuaweiKms(Cloud<Huawei>);

impl HuaweiKms {
    /// `settings` are those of the command, or why they cannot be used: that is told by every key.
    pub fn new(settings: Result<Settings, String>, surroundings: Surroundings) -> Self {
        Self(Cloud::new(settings, surroundings, Huawei::new))
    }
}

/// One key of Huawei Cloud KMS.
#[derive(Debug)]
pub struct HuaweiKey {
    name: HuaweiKeyName,
    kms: Arc<HuaweiKms>,
}

/// What is read of an answer.
#[derive(Deserialize)]
struct Answer {
    cipher_text: Option<String>,
    plain_text: Option<String>,
}

/// What is done with a key: operation, action in IAM, name of what is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Encrypt,
    Decrypt,
}

impl HuaweiKey {
    /// The key of this name. Whether it is one shows when it is used; [`HuaweiKeyName::check`] tells beforehand.
    pub fn new(name: HuaweiKeyName, kms: Arc<HuaweiKms>) -> Self {
        Self { name, kms }
    }

    async fn call(&self, operation: Operation, input: &[u8]) -> Result<Wiping<String>, ServiceError> {
        let (region, id) = self.name.parts().map_err(|error| ServiceError::Settings(error.to_string()))?;
        let huawei = self.kms.0.client()?;
        let (path, action, field) = match operation {
            Operation::Encrypt => ("encrypt-data", "kms:cmk:encrypt", "plain_text"),
            Operation::Decrypt => ("decrypt-data", "kms:cmk:decrypt", "cipher_text"),
        };
        let body = object(&[("key_id", id.as_bytes()), (field, input), ("encryption_algorithm", ALGORITHM)]);
        let (region, key) = (region.to_owned(), self.name.key_id.clone());
        let call = async move {
            let asked = Asked { action, key: &key };
            let answer = huawei.call(&asked, &region, path, body).await?;
            take(&answer, operation).map_err(|reason| ServiceError::Unexpected {
                address: format!("Huawei Cloud KMS in {region}"),
                status: 200,
                reason: reason.to_owned(),
            })
        };
        self.kms.0.carry_out(call).await
    }
}

/// What was asked for. What serde says of a text may quote it, so nothing of that is told.
fn take(answer: &[u8], operation: Operation) -> Result<Wiping<String>, &'static str> {
    let answer: Answer = serde_json::from_slice(answer).map_err(|_| "what it sent is not an answer of KMS")?;
    let text = match operation {
        Operation::Encrypt => answer.cipher_text,
        Operation::Decrypt => answer.plain_text,
    };
    let text = Wiping::new(text.filter(|text| !text.is_empty()).ok_or("the answer lacks what was asked for")?);
    match operation {
        Operation::Encrypt if text.len() > LONGEST || !text.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Err("what it sent is no wrapped key")
        }
        Operation::Decrypt if encoding::decode_go(text.as_bytes()).is_err() => Err("what it sent is not base64"),
        _ => Ok(text),
    }
}

#[async_trait]
impl MasterKey for HuaweiKey {
    fn name(&self) -> KeyName {
        KeyName::Huawei(self.name.clone())
    }

    async fn wrap(&self, secret: &SecretBytes) -> Result<WrappedKey, WrapError> {
        let text = Wiping::new(encoding::encode(secret.expose_secret()));
        let wrapped = self.call(Operation::Encrypt, text.as_bytes()).await?;
        Ok(WrappedKey::new(wrapped.as_str()))
    }

    async fn unwrap(&self, wrapped: &WrappedKey) -> Result<Option<SecretBytes>, UnwrapError> {
        let wrapped = wrapped.as_str().trim();
        if wrapped.is_empty() || wrapped.len() > LONGEST {
            return Err(UnwrapError::Malformed(format!("it does not have 1 to {LONGEST} characters")));
        }
        let text = self.call(Operation::Decrypt, wrapped.as_bytes()).await?;
        let secret = encoding::decode_go(text.as_bytes())
            .map_err(|_| UnwrapError::Malformed("what KMS made of it is not base64".to_owned()))?;
        Ok(Some(secret.into()))
    }

    fn tried(&self) -> Vec<Tried> {
        self.kms.0.tried()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_answer_is_told_without_quoting_it() {
        for (answer, operation, reason) in [
            ("hunter2", Operation::Decrypt, "not an answer"),
            ("{}", Operation::Decrypt, "lacks"),
            (r#"{"plain_text":""}"#, Operation::Decrypt, "lacks"),
            (r#"{"plain_text":"hunter2!"}"#, Operation::Decrypt, "not base64"),
            (r#"{"plain_text":"aGk="}"#, Operation::Encrypt, "lacks"),
            (r#"{"cipher_text":"a\nsops: {}"}"#, Operation::Encrypt, "no wrapped key"),
        ] {
            let error = take(answer.as_bytes(), operation).unwrap_err();
            assert!(error.contains(reason), "{answer}: {error}");
        }
        let good = br#"{"key_id":"k","plain_text":"aGk\u003d","plain_text_base64":"x"}"#;
        assert_eq!(&**take(good, Operation::Decrypt).unwrap(), "aGk=");
    }
}
