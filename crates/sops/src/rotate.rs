//! Rotation: the same document under a new data key, for whoever is to read it from now on.
//!
//! ```text
//! Metadata, Recipe ─ Difference: who joins, who leaves, what else is another ─ nothing to do | rotate
//! Opened ─ rotate ─ new data key, new nonces, new metadata; every other byte stays
//! ```
//! Whoever is taken off the list knows the data key: from the file as it is in the history, with the identity that opened it then. What is
//! written later under the same data key would open for them, too. So a file whose readers change is rotated; what `sops updatekeys` does
//! is in [`crate::danger`].

use bulla_doc::{Kind, Tree};
use bulla_keys::{KeyId, MasterKey};
use rand_core::CryptoRng;

use crate::binary;
use crate::decrypt::Opened;
use crate::encrypt::{EncryptError, Encrypted, Recipe, encrypt_plain};
use crate::metadata::{KeyEntry, Metadata, is_known_field};
use crate::selector::Selector;
use crate::subtree::tree_of;
use crate::wrap::needed;

/// What is to be another about a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// Keys that the file lacks.
    pub joins: Vec<KeyId>,
    /// Keys of the file that are to open it no more.
    pub leaves: Vec<KeyId>,
    /// Are its keys to be in other groups, or is another number of groups to be needed? Of no concern where one group is and stays one.
    pub groups: bool,
    /// The selector of the file, where it is to have another.
    pub selector: Option<Selector>,
    /// Is the MAC to cover other values than it does?
    pub mac: bool,
}

impl Difference {
    /// Between a file with `metadata` and one that `recipe` makes.
    pub fn between(metadata: &Metadata, recipe: &Recipe<'_>) -> Self {
        // A rule may name a key without its version: any version that the file has is that key.
        let wanted = |key: &&dyn MasterKey| {
            let name = key.name();
            metadata.keys().find(|entry| entry.name().is_version_of(&name)).map_or_else(|| name.id(), KeyEntry::id)
        };
        let wanted: Vec<Vec<KeyId>> = recipe.groups.iter().map(|group| ids(group, wanted)).collect();
        let there: Vec<Vec<KeyId>> = metadata.groups.iter().map(|group| ids(group, KeyEntry::id)).collect();
        let threshold = |groups: &[Vec<KeyId>], threshold| match groups {
            [_] => 0,
            groups => needed(groups.len(), threshold),
        };
        let groups = sorted(&wanted) != sorted(&there)
            || threshold(&wanted, recipe.threshold) != threshold(&there, metadata.threshold());
        let (wanted, there) = (wanted.concat(), there.concat());
        let missing = |from: &[KeyId], others: &[KeyId]| -> Vec<KeyId> {
            from.iter().filter(|key| !others.contains(key)).cloned().collect()
        };
        let (joins, leaves) = (missing(&wanted, &there), missing(&there, &wanted));
        let is_one = recipe.groups.len() == 1 && metadata.groups.len() == 1;
        Self {
            groups: groups && !is_one,
            joins,
            leaves,
            selector: (metadata.selector != *recipe.selector).then(|| metadata.selector.clone()),
            mac: metadata.mac_only_encrypted != recipe.mac_only_encrypted,
        }
    }

    /// Is the file as it should be?
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

fn ids<K>(group: &[K], id: impl Fn(&K) -> KeyId) -> Vec<KeyId> {
    group.iter().map(id).collect()
}

/// The same groups, the keys of each in an order that does not depend on how they are written.
fn sorted(groups: &[Vec<KeyId>]) -> Vec<Vec<KeyId>> {
    let mut groups = groups.to_vec();
    for group in &mut groups {
        group.sort();
    }
    groups
}

impl Opened<'_> {
    /// The document of this file under a new data key, encrypted as `recipe` says.
    ///
    /// Fields of the metadata that are not known stay, and so does every byte that is not a value. Nothing of the old ciphertext is taken
    /// over: every nonce is new. `rng` gives the data key and the nonces.
    ///
    /// # Errors
    /// [`EncryptError`]
    pub async fn rotate(
        &self,
        recipe: &Recipe<'_>,
        rng: &mut (dyn CryptoRng + Send),
    ) -> Result<Encrypted, EncryptError> {
        let before = Some(self.file.metadata());
        let format = (self.file.format(), binary::indent_of(self.file.document()));
        encrypt_plain(self.to_plain(), format, recipe, before, self.unknown_fields(), rng).await
    }

    /// Fields of the metadata that only others know.
    fn unknown_fields(&self) -> Vec<(String, Tree)> {
        let document = self.file.document();
        let branch = document.branches().next();
        let key = document.format().metadata_key();
        let entry = branch.and_then(|branch| branch.get(key)).filter(|entry| entry.kind() == Kind::Mapping);
        let fields = entry.into_iter().flat_map(bulla_doc::Node::children);
        let unknown = fields.filter_map(|field| Some((field.key().filter(|key| !is_known_field(key))?, field)));
        unknown.map(|(key, field)| (key.to_owned(), tree_of(field, &self.plan, &mut |_| None, None))).collect()
    }
}
