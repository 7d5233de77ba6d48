//! SOPS files: metadata, creation rules, encrypting, decrypting and editing in place.
//!
//! ```text
//! plain document ─ encrypt(Recipe) ──────────────▶ encrypted file
//! encrypted file ─ EncryptedFile ─ data_key(KeyRing) ─ open ─ Opened ─ to_plain ─▶ plain document, byte for byte
//!                                                        ├─ edit: set, remove, update ─▶ encrypted file, the rest untouched
//!                                                        └─ rotate ─▶ encrypted file, with a new data key
//! .sops.yaml ─ rules ─▶ which keys and which selector     status ─▶ encrypted? for whom? what is still plain?
//!
//! selector  which values are encrypted        walk   the values of a document in order, with their paths
//! value     values as text, by type           seal   the one way in which ciphertext comes into a file
//! metadata  the `sops` entry                  keyring  the data key        wrap    the data key for its readers
//! outline   what the MAC leaves out: keys, structure, types, comments
//! ```
//! The files are those of sops 3.13.3, both ways: it opens what is written here, and what any version since 3.0 wrote is opened here.
//! Differences are listed in `docs/differences.md`; the largest is that a file is edited and never printed anew.
//!
//! Everything is given: bytes, keys, the time, randomness. No file, environment variable or clock is met here.
//! Invariants: nothing decrypted is given out before the MAC was checked, [`danger`] excepted; no error carries a value; no nonce is
//! used for two values.

mod before;
mod beside;
mod binary;
mod chunks;
mod convert;
pub mod danger;
mod decrypt;
mod edit;
mod encrypt;
mod file;
mod groups;
mod keyring;
mod metadata;
mod outline;
mod path;
mod rotate;
pub mod rules;
mod seal;
mod selector;
mod spelling;
mod status;
mod subtree;
mod value;
mod walk;
mod wrap;

pub use bulla_crypto::Coverage;
pub use convert::{ConvertError, convert};
pub use decrypt::{DecryptError, Opened, ReadError, ValueFault, decrypt};
pub use edit::{Change, EditError, Edited, NewValue};
pub use encrypt::{EncryptError, Encrypted, NothingSelected, Recipe, encrypt, encrypt_binary};
pub use file::EncryptedFile;
pub use groups::{GroupDifference, GroupsError, KeyGroups};
pub use keyring::{DataKeyError, GroupOutcome, KeyFailure, KeyReason, KeyRing};
pub use metadata::{FORMAT_VERSION, KeyEntry, LastModified, METADATA_KEY, Metadata, MetadataError, has_metadata};
pub use path::{KeyPath, PathError, PathStep, Place};
pub use rotate::Difference;
pub use seal::{SealError, Summary};
pub use selector::{Selector, SelectorError, SelectorKind};
pub use status::{Status, StatusError, status};
pub use value::{MismatchedType, UnsupportedValue};
pub use walk::TooMuch;
pub use wrap::{Groups, WrapKeysError};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn futures_can_be_spawned() {
        fn is_send<T: Send>(_: T) {}
        fn of_encrypt<'a>(recipe: &'a Recipe<'a>, rng: &'a mut (dyn rand_core::CryptoRng + Send)) {
            is_send(encrypt(b"", bulla_doc::Format::Yaml, recipe, rng));
        }
        fn of_decrypt(ring: &dyn KeyRing) {
            is_send(decrypt(b"", bulla_doc::Format::Yaml, ring));
        }
        let _ = (of_encrypt, of_decrypt);
    }
}
