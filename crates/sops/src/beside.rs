//! A small file beside an encrypted one, for the same readers: what somebody is about to write into it, and has not yet.
//!
//! ```text
//! {"text": "ENC[…]", …, "sops": {the keys of the other file with their wrapped data key, a MAC and a date of its own}}
//! ```
//! It has the data key of the other file, so nobody is asked to wrap one, and whoever opens that opens this; it stays readable when the
//! other file changes or is rotated. It is a SOPS file like any other. Every value in it is encrypted, with a nonce of its own.

use bulla_doc::{Document, Format, Item, Kind, Tree};
use bulla_wipe::Wiping;
use rand_core::CryptoRng;

use crate::decrypt::Opened;
use crate::edit::EditError;
use crate::metadata::{LastModified, METADATA_KEY, NewMetadata};
use crate::seal::Seal;
use crate::selector::{Selector, SelectorKind};
use crate::walk::NO_COMMENT_ITEMS;
use crate::wrap::Wrapped;

impl Opened<'_> {
    /// A JSON file with `entries`, all of them encrypted, that the readers of this one can open. Their names do not end in `_unencrypted`.
    ///
    /// # Errors
    /// [`EditError`]
    pub fn seal_beside(
        &self,
        entries: &[(&str, &str)],
        now: jiff::Timestamp,
        rng: &mut (dyn CryptoRng + Send),
    ) -> Result<Wiping<Vec<u8>>, EditError> {
        let selector = Selector::default();
        let last_modified = LastModified::from(now);
        let mut fields: Vec<(String, Tree)> =
            entries.iter().map(|(name, text)| ((*name).to_owned(), Tree::string(text))).collect();
        fields.push((METADATA_KEY.to_owned(), self.keys_for(&selector, last_modified)));
        let document =
            Document::parse_owned(bulla_doc::write(&[Tree::mapping(fields)], Format::Json, None), Format::Json)?;
        let seal = Seal {
            cipher: &self.cipher,
            selector: &selector,
            mac_only_encrypted: false,
            last_modified,
            is_comment_item: NO_COMMENT_ITEMS,
            before: None,
            new_metadata: None,
            cut_last_break: false,
            binary: None,
        };
        Ok(seal.apply(&document, rng)?.0)
    }

    /// The metadata of this file, groups of keys and all, for one in which everything is encrypted.
    fn keys_for(&self, selector: &Selector, last_modified: LastModified) -> Tree {
        let document = self.file.document();
        let key = document.format().metadata_key();
        let entry =
            document.branches().next().and_then(|branch| branch.get(key)).filter(|entry| entry.kind() == Kind::Mapping);
        let Some(Tree::Mapping(items)) = entry.map(Tree::copy_of) else {
            // Of a format in which the metadata is no mapping.
            let metadata = self.file.metadata();
            let keys = Wrapped { groups: metadata.groups.clone(), threshold: metadata.threshold() };
            let new = NewMetadata {
                keys: &keys,
                selector: Some(selector),
                mac_only_encrypted: false,
                last_modified,
                version: &metadata.version,
                others: &[],
            };
            return new.to_tree(NO_MAC_YET);
        };
        let is_dropped = |name: &str| {
            let own = ["mac", "lastmodified", "mac_only_encrypted"].into_iter();
            own.chain(SelectorKind::ALL.iter().map(|kind| kind.as_str())).any(|other| other.eq_ignore_ascii_case(name))
        };
        let mut fields: Vec<(String, Tree)> = items
            .into_iter()
            .filter_map(|item| match item {
                Item::Entry { key, value } if !is_dropped(&key) => Some((key, value)),
                _ => None,
            })
            .collect();
        fields.push(("lastmodified".to_owned(), Tree::string(&last_modified.to_string())));
        fields.push(("mac".to_owned(), Tree::string(NO_MAC_YET)));
        fields.push((selector.kind().as_str().to_owned(), Tree::string(selector.text())));
        fields.sort_by(|(left, _), (right, _)| left.cmp(right));
        Tree::mapping(fields)
    }
}

/// What stands as `mac` until the values are encrypted.
const NO_MAC_YET: &str = "ENC[]";

#[cfg(test)]
mod tests {
    use bulla_keys::fake::{Behaviour, FakeKey};
    use bulla_keys::{MasterKey, Source};
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use crate::encrypt::{NothingSelected, Recipe, encrypt};
    use crate::file::EncryptedFile;
    use crate::keyring::KeyRing;
    use crate::metadata::KeyEntry;

    use super::*;

    #[derive(Debug)]
    struct Ring;

    impl KeyRing for Ring {
        fn master_key(&self, entry: &KeyEntry) -> Option<Box<dyn MasterKey>> {
            let id = entry.id();
            Some(Box::new(FakeKey::new(id.source, id.name, Behaviour::Works)))
        }
    }

    #[tokio::test]
    async fn the_readers_of_a_file_open_what_lies_beside_it() {
        let mut rng = StdRng::seed_from_u64(5);
        let key = FakeKey::new(Source::Age, "age1x", Behaviour::Works);
        let now = "2026-01-02T03:04:05Z".parse().unwrap();
        for (kind, text) in [
            (SelectorKind::EncryptedRegex, "^password$"),
            (SelectorKind::UnencryptedSuffix, "text"),
            (SelectorKind::EncryptedCommentRegex, "secret"),
        ] {
            let selector = Selector::new(kind, text).unwrap();
            let recipe = Recipe {
                groups: &[vec![&key]],
                threshold: 0,
                selector: &selector,
                mac_only_encrypted: true,
                nothing_selected: NothingSelected::Allow,
                now,
            };
            let plain = b"password: hunter2\nother: swordfish\n";
            let encrypted = encrypt(plain, Format::Yaml, &recipe, &mut rng).await.unwrap();
            let file = EncryptedFile::read(&encrypted.bytes, Format::Yaml).unwrap();
            let opened = file.open(&file.data_key(&Ring).await.unwrap()).unwrap();
            let beside = opened.seal_beside(&[("text", "hunter3: [\n"), ("of", "x")], now, &mut rng).unwrap();
            let shown = String::from_utf8(beside.to_vec()).unwrap();
            assert!(!shown.contains("hunter") && !shown.contains("\"x\""), "{shown}");

            let file = EncryptedFile::read(&beside, Format::Json).unwrap();
            assert_eq!(file.metadata().selector, Selector::default());
            let opened = file.open(&file.data_key(&Ring).await.unwrap()).unwrap();
            let plain = String::from_utf8(opened.to_plain().to_vec()).unwrap();
            assert_eq!(plain, "{\n\t\"text\": \"hunter3: [\\n\",\n\t\"of\": \"x\"\n}\n");
        }
    }
}
