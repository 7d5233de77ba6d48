//! The messages of the protocol, and the way between their keys and [`KeyName`].
//!
//! Written by hand after `keyservice.proto`, so that no compiler of protocol buffers is needed. A field that is unknown is passed over.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::mem;

use bulla_crypto::SecretBytes;
use bulla_wipe::wipe;
use prost::Message;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

use crate::KeyName;
use crate::aws::AwsKeyName;
use crate::azure::AzureKeyName;
use crate::gcp::GcpKeyName;
use crate::huawei::HuaweiKeyName;
use crate::pgp::PgpKeyName;
use crate::vault::VaultKeyName;

/// `/KeyService/Encrypt`
pub(super) const ENCRYPT: &str = "/KeyService/Encrypt";
/// `/KeyService/Decrypt`
pub(super) const DECRYPT: &str = "/KeyService/Decrypt";

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct Key {
    #[prost(oneof = "Kind", tags = "1, 2, 3, 4, 5, 6, 7")]
    kind: Option<Kind>,
}

#[derive(Clone, PartialEq, Eq, prost::Oneof)]
enum Kind {
    #[prost(message, tag = "1")]
    Kms(Kms),
    #[prost(message, tag = "2")]
    Pgp(Pgp),
    #[prost(message, tag = "3")]
    GcpKms(GcpKms),
    #[prost(message, tag = "4")]
    AzureKeyVault(AzureKeyVault),
    #[prost(message, tag = "5")]
    Vault(Vault),
    #[prost(message, tag = "6")]
    Age(Age),
    #[prost(message, tag = "7")]
    Hckms(Hckms),
}

#[derive(Clone, PartialEq, Eq, Message)]
struct Kms {
    #[prost(string, tag = "1")]
    arn: String,
    #[prost(string, tag = "2")]
    role: String,
    #[prost(btree_map = "string, string", tag = "3")]
    context: BTreeMap<String, String>,
    #[prost(string, tag = "4")]
    aws_profile: String,
}

#[derive(Clone, PartialEq, Eq, Message)]
struct Pgp {
    #[prost(string, tag = "1")]
    fingerprint: String,
}

#[derive(Clone, PartialEq, Eq, Message)]
struct GcpKms {
    #[prost(string, tag = "1")]
    resource_id: String,
}

#[derive(Clone, PartialEq, Eq, Message)]
struct AzureKeyVault {
    #[prost(string, tag = "1")]
    vault_url: String,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(string, tag = "3")]
    version: String,
}

#[derive(Clone, PartialEq, Eq, Message)]
struct Vault {
    #[prost(string, tag = "1")]
    vault_address: String,
    #[prost(string, tag = "2")]
    engine_path: String,
    #[prost(string, tag = "3")]
    key_name: String,
}

#[derive(Clone, PartialEq, Eq, Message)]
struct Age {
    #[prost(string, tag = "1")]
    recipient: String,
}

#[derive(Clone, PartialEq, Eq, Message)]
struct Hckms {
    #[prost(string, tag = "1")]
    key_id: String,
}

/// Wrap `secret` with `key`, or unwrap it: both requests look alike.
#[derive(Clone, PartialEq, Eq, Message)]
#[prost(skip_debug)]
pub(super) struct Request {
    #[prost(message, optional, tag = "1")]
    key: Option<Key>,
    #[prost(bytes = "vec", tag = "2")]
    bytes: Vec<u8>,
}

/// What became of it: both answers look alike, too.
#[derive(Clone, PartialEq, Eq, Message)]
#[prost(skip_debug)]
pub(super) struct Answer {
    #[prost(bytes = "vec", tag = "1")]
    bytes: Vec<u8>,
}

impl Request {
    pub(super) fn new(key: &KeyName, bytes: &[u8]) -> Self {
        Self { key: Some(Key::from(key)), bytes: bytes.to_vec() }
    }

    /// The key that it names; `None` if it names none, or one of a kind that came later.
    pub(super) fn key(&self) -> Option<KeyName> {
        self.key.as_ref()?.kind.clone().map(KeyName::from)
    }

    pub(super) fn take(&mut self) -> SecretBytes {
        SecretBytes::new(mem::take(&mut self.bytes))
    }
}

impl Answer {
    pub(super) fn new(bytes: &[u8]) -> Self {
        Self { bytes: bytes.to_vec() }
    }

    pub(super) fn take(&mut self) -> SecretBytes {
        SecretBytes::new(mem::take(&mut self.bytes))
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("key", &self.key).finish_non_exhaustive()
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answer(..)")
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        wipe(&mut self.bytes);
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        wipe(&mut self.bytes);
    }
}

impl From<&KeyName> for Key {
    fn from(name: &KeyName) -> Self {
        let kind = match name.clone() {
            KeyName::Age(recipient) => Kind::Age(Age { recipient }),
            KeyName::Pgp(PgpKeyName { fingerprint }) => Kind::Pgp(Pgp { fingerprint }),
            KeyName::Aws(AwsKeyName { arn, role, context, profile }) => {
                Kind::Kms(Kms { arn, role, context: context.into_iter().collect(), aws_profile: profile })
            }
            KeyName::Gcp(GcpKeyName { resource_id }) => Kind::GcpKms(GcpKms { resource_id }),
            KeyName::Huawei(HuaweiKeyName { key_id }) => Kind::Hckms(Hckms { key_id }),
            KeyName::Azure(AzureKeyName { vault_url, name, version }) => {
                Kind::AzureKeyVault(AzureKeyVault { vault_url, name, version })
            }
            KeyName::Vault(VaultKeyName { address, engine_path, key_name }) => {
                Kind::Vault(Vault { vault_address: address, engine_path, key_name })
            }
        };
        Self { kind: Some(kind) }
    }
}

impl From<Kind> for KeyName {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Age(Age { recipient }) => Self::Age(recipient),
            Kind::Pgp(Pgp { fingerprint }) => Self::Pgp(PgpKeyName { fingerprint }),
            Kind::Kms(Kms { arn, role, context, aws_profile }) => {
                Self::Aws(AwsKeyName { arn, role, context: context.into_iter().collect(), profile: aws_profile })
            }
            Kind::GcpKms(GcpKms { resource_id }) => Self::Gcp(GcpKeyName { resource_id }),
            Kind::Hckms(Hckms { key_id }) => Self::Huawei(HuaweiKeyName { key_id }),
            Kind::AzureKeyVault(AzureKeyVault { vault_url, name, version }) => {
                Self::Azure(AzureKeyName { vault_url, name, version })
            }
            Kind::Vault(Vault { vault_address, engine_path, key_name }) => {
                Self::Vault(VaultKeyName { address: vault_address, engine_path, key_name })
            }
        }
    }
}

/// Messages as gRPC carries them: `E` is sent, `D` is received.
pub(super) struct Protobuf<E, D>(PhantomData<fn() -> (E, D)>);

impl<E, D> Default for Protobuf<E, D> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<E: Message + 'static, D: Message + Default + 'static> Codec for Protobuf<E, D> {
    type Encode = E;
    type Decode = D;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self::default()
    }

    fn decoder(&mut self) -> Self {
        Self::default()
    }
}

impl<E: Message + 'static, D> Encoder for Protobuf<E, D> {
    type Item = E;
    type Error = Status;

    fn encode(&mut self, message: E, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        message.encode(buffer).map_err(|error| Status::internal(error.to_string()))
    }
}

impl<E, D: Message + Default + 'static> Decoder for Protobuf<E, D> {
    type Item = D;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<D>, Status> {
        D::decode(buffer).map(Some).map_err(|_| Status::invalid_argument("the message is not one of this service"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> [KeyName; 7] {
        let text = str::to_owned;
        [
            KeyName::Age(text("age1x")),
            KeyName::Pgp(PgpKeyName { fingerprint: text("F") }),
            KeyName::Aws(AwsKeyName {
                arn: text("a"),
                role: text("r"),
                context: vec![(text("k"), text("v"))],
                profile: text("p"),
            }),
            KeyName::Gcp(GcpKeyName { resource_id: text("g") }),
            KeyName::Huawei(HuaweiKeyName { key_id: text("h") }),
            KeyName::Azure(AzureKeyName { vault_url: text("u"), name: text("n"), version: text("v") }),
            KeyName::Vault(VaultKeyName { address: text("a"), engine_path: text("e"), key_name: text("k") }),
        ]
    }

    #[test]
    fn every_kind_of_key_goes_there_and_back() {
        for name in names() {
            let sent = Request::new(&name, b"secret").encode_to_vec();
            let mut received = Request::decode(&sent[..]).unwrap();
            assert_eq!(received.key(), Some(name));
            assert_eq!(received.take().expose_secret(), b"secret");
        }
    }

    #[test]
    fn the_bytes_are_those_of_the_protocol() {
        // As protoc-gen-go writes them: field 1 (the key) holds field 2 (pgp_key), which holds field 1; then field 2, the bytes.
        let name = KeyName::Pgp(PgpKeyName { fingerprint: "AB".to_owned() });
        assert_eq!(Request::new(&name, b"xyz").encode_to_vec(), b"\x0a\x06\x12\x04\x0a\x02AB\x12\x03xyz");
        // A kind that came later, and a field that nobody knows.
        let later = Request::decode(&b"\x0a\x04\x42\x02\x0a\x00\x12\x01x\x1a\x01y"[..]).unwrap();
        assert_eq!(later.key(), None);
    }

    #[test]
    fn no_secret_is_in_what_debug_shows() {
        let shown =
            format!("{:?} {:?}", Request::new(&KeyName::Age("age1x".to_owned()), b"hunter2"), Answer::new(b"hunter2"));
        assert!(shown.contains("age1x") && !shown.contains("104, 117"), "{shown}");
    }
}
