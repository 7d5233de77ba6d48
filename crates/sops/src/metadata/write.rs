//! Writing the metadata: a new entry, or the two fields that every change changes.

use bulla_doc::{Document, Edits, Kind, Tree, Value};
use bulla_keys::Source;

use super::field::Fields;
use super::{FORMAT_VERSION, KeyEntry, LastModified, METADATA_KEY};
use crate::selector::{Selector, SelectorKind};

/// The metadata of a file that is being encrypted.
#[derive(Debug)]
pub(crate) struct NewMetadata<'a> {
    pub(crate) keys: &'a [KeyEntry],
    pub(crate) selector: &'a Selector,
    pub(crate) mac_only_encrypted: bool,
    pub(crate) last_modified: LastModified,
    /// Fields that only others know.
    pub(crate) others: &'a [(String, Tree)],
}

impl NewMetadata<'_> {
    /// The entry with sorted fields.
    pub(crate) fn to_tree(&self, mac: &str) -> Tree {
        let mut fields: Vec<(&str, Tree)> = Vec::new();
        for source in Source::ALL {
            let keys: Vec<_> = self.keys.iter().filter(|key| key.source() == source).map(KeyEntry::to_tree).collect();
            if !keys.is_empty() {
                fields.push((source.as_str(), Tree::sequence(keys)));
            }
        }
        fields.push(("lastmodified", Tree::string(&self.last_modified.to_string())));
        fields.push(("mac", Tree::string(mac)));
        if self.mac_only_encrypted {
            fields.push(("mac_only_encrypted", Tree::Scalar(bulla_doc::Scalar::Bool(true))));
        }
        fields.push((self.selector.kind().as_str(), Tree::string(self.selector.text())));
        fields.push(("version", Tree::string(FORMAT_VERSION)));
        fields.extend(self.others.iter().map(|(name, tree)| (name.as_str(), tree.clone())));
        fields.sort_by_key(|(name, _)| *name);
        Tree::mapping(fields)
    }
}

/// Is this a field of the entry that is read and written here? Case does not count, as in reading.
pub(crate) fn is_known_field(name: &str) -> bool {
    const OTHERS: [&str; 6] =
        ["lastmodified", "mac", "mac_only_encrypted", "version", "shamir_threshold", "key_groups"];
    let sources = Source::ALL.iter().map(|source| source.as_str());
    let selectors = SelectorKind::ALL.iter().map(|kind| kind.as_str());
    sources.chain(selectors).chain(OTHERS).any(|known| known.eq_ignore_ascii_case(name))
}

/// Puts the encrypted `mac` and the date into the entry of every document, in their places.
pub(crate) fn update<'d>(edits: &mut Edits<'d>, document: &'d Document, mac: &'d str, last_modified: LastModified) {
    let date = last_modified.to_string();
    for branch in document.branches() {
        let Some(entry) = branch.get(METADATA_KEY).filter(|entry| entry.kind() == Kind::Mapping) else { continue };
        let fields = Fields::new(entry);
        match fields.get("lastmodified").filter(|date| date.kind() == Kind::Scalar) {
            Some(node) if node.as_str() == Some(&date) => {}
            Some(node) => edits.set_value(node, &Value::text(&date)),
            None => edits.append(entry, "lastmodified", &Tree::string(&date)),
        }
        match fields.get("mac").filter(|mac| mac.kind() == Kind::Scalar) {
            Some(node) => edits.set_encrypted(node, mac),
            None => edits.append(entry, "mac", &Tree::string(mac)),
        }
    }
}

#[cfg(test)]
mod tests {
    use bulla_doc::Format;
    use bulla_keys::{KeyName, WrappedKey};

    use super::*;

    #[test]
    fn a_new_entry_is_laid_out_as_sops_lays_it_out() {
        let last_modified = LastModified::read("2026-01-02T03:04:05Z").unwrap();
        let key = |name: &str| {
            let wrapped = "-----BEGIN AGE ENCRYPTED FILE-----\nYWdl\n-----END AGE ENCRYPTED FILE-----\n";
            KeyEntry::new(KeyName::Age(name.to_owned()), WrappedKey::new(wrapped), last_modified)
        };
        let keys = [key("age1a"), key("age1b")];
        let selector = Selector::default();
        let new =
            NewMetadata { keys: &keys, selector: &selector, mac_only_encrypted: true, last_modified, others: &[] };
        let document = bulla_doc::write(&[Tree::mapping([("sops", new.to_tree("ENC[mac]"))])], Format::Yaml, None);
        let expected = "sops:
    age:
        - enc: |
            -----BEGIN AGE ENCRYPTED FILE-----
            YWdl
            -----END AGE ENCRYPTED FILE-----
          recipient: age1a
        - enc: |
            -----BEGIN AGE ENCRYPTED FILE-----
            YWdl
            -----END AGE ENCRYPTED FILE-----
          recipient: age1b
    lastmodified: \"2026-01-02T03:04:05Z\"
    mac: ENC[mac]
    mac_only_encrypted: true
    unencrypted_suffix: _unencrypted
    version: 3.13.3
";
        assert_eq!(std::str::from_utf8(&document).unwrap(), expected);
    }

    #[test]
    fn an_update_changes_two_values_of_every_document_and_nothing_else() {
        let text = "a: 1\nsops:   # ours\n  Mac: \"old\"\n  lastmodified: '2020-01-01T00:00:00Z'\n  extra: {x: 1}\n---\nb: 1\nsops:\n    lastmodified: x\n    mac: y\n";
        let document = Document::parse(text.as_bytes(), Format::Yaml).unwrap();
        let mut edits = Edits::new(&document);
        update(&mut edits, &document, "ENC[new]", LastModified::read("2026-01-02T03:04:05Z").unwrap());
        let expected = "a: 1\nsops:   # ours\n  Mac: \"ENC[new]\"\n  lastmodified: '2026-01-02T03:04:05Z'\n  extra: {x: 1}\n---\nb: 1\nsops:\n    lastmodified: \"2026-01-02T03:04:05Z\"\n    mac: ENC[new]\n";
        assert_eq!(std::str::from_utf8(&edits.apply()).unwrap(), expected);
    }
}
