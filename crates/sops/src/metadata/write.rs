//! Writing the metadata: a new entry, the two fields that every change changes, or other keys.

use bulla_doc::{Document, Edits, Kind, Scalar, Tree, Value};
use bulla_keys::Source;

use super::field::Fields;
use super::{KeyEntry, LastModified};
use crate::selector::{Selector, SelectorKind};
use crate::wrap::Wrapped;

/// The metadata of a file that is being encrypted.
#[derive(Debug)]
pub(crate) struct NewMetadata<'a> {
    pub(crate) keys: &'a Wrapped,
    /// None in a binary file, which is one value.
    pub(crate) selector: Option<&'a Selector>,
    pub(crate) mac_only_encrypted: bool,
    pub(crate) last_modified: LastModified,
    pub(crate) version: &'a str,
    /// Fields that only others know.
    pub(crate) others: &'a [(String, Tree)],
}

impl NewMetadata<'_> {
    /// The entry with sorted fields.
    pub(crate) fn to_tree(&self, mac: &str) -> Tree {
        let mut fields: Vec<(&str, Tree)> = keys(self.keys);
        fields.push(("lastmodified", Tree::string(&self.last_modified.to_string())));
        fields.push(("mac", Tree::string(mac)));
        if self.mac_only_encrypted {
            fields.push(("mac_only_encrypted", Tree::Scalar(Scalar::Bool(true))));
        }
        if let Some(selector) = self.selector {
            fields.push((selector.kind().as_str(), Tree::string(selector.text())));
        }
        fields.push(("version", Tree::string(self.version)));
        fields.extend(self.others.iter().map(|(name, tree)| (name.as_str(), tree.clone())));
        fields.sort_by_key(|(name, _)| *name);
        Tree::mapping(fields)
    }
}

/// How far SOPS indents.
const INDENT: usize = 4;

const KEY_GROUPS: &str = "key_groups";
const THRESHOLD: &str = "shamir_threshold";

/// The fields that say who can open a file: lists of the only group, or `key_groups`.
fn keys(keys: &Wrapped) -> Vec<(&'static str, Tree)> {
    let mut fields = match keys.groups.as_slice() {
        [group] => lists(group, &[]),
        groups => {
            // SOPS leaves out every empty list of a group but these.
            let group = |group: &Vec<KeyEntry>| Tree::mapping(lists(group, &[Source::Age, Source::HcVault]));
            vec![(KEY_GROUPS, Tree::sequence(groups.iter().map(group)))]
        }
    };
    if let Ok(threshold) = i64::try_from(keys.threshold)
        && threshold > 0
    {
        fields.push((THRESHOLD, Tree::Scalar(Scalar::Int(threshold))));
    }
    fields
}

/// The keys of a group by kind, sorted by the names of the kinds. Of kinds without keys only those of `always` are there.
fn lists(group: &[KeyEntry], always: &[Source]) -> Vec<(&'static str, Tree)> {
    let mut lists = Vec::new();
    for source in Source::ALL {
        let keys: Vec<_> = group.iter().filter(|key| key.source() == source).map(KeyEntry::to_tree).collect();
        if !keys.is_empty() || always.contains(&source) {
            lists.push((source.as_str(), Tree::sequence(keys)));
        }
    }
    lists.sort_by_key(|(name, _)| *name);
    lists
}

/// Puts other keys into the entry of every document. All its other fields stay what they are; it is laid out anew.
pub(crate) fn replace_keys<'d>(edits: &mut Edits<'d>, document: &'d Document, wrapped: &Wrapped) {
    for branch in document.branches() {
        let key = document.format().metadata_key();
        let Some(entry) = branch.get(key).filter(|entry| entry.kind() == Kind::Mapping) else { continue };
        let others = entry.children().filter_map(|field| Some((field.key()?, field)));
        let others = others.filter(|(name, _)| !is_about_keys(name)).map(|(name, field)| (name, Tree::copy_of(field)));
        let mut fields: Vec<(&str, Tree)> = others.collect();
        fields.extend(keys(wrapped));
        fields.sort_by_key(|(name, _)| *name);
        // As the entry is indented at the top, so it is within.
        let step = entry.children().next().map_or(0, |field| field.position().column.saturating_sub(1));
        let step = if (2..10).contains(&step) { step } else { INDENT };
        edits.replace_mapping_indented(entry, &Tree::mapping(fields), step);
    }
}

/// Does this field of the entry say who can open the file? Case does not count, as in reading.
fn is_about_keys(name: &str) -> bool {
    let sources = Source::ALL.iter().map(|source| source.as_str());
    sources.chain([KEY_GROUPS, THRESHOLD]).any(|known| known.eq_ignore_ascii_case(name))
}

/// Is this a field of the entry that is read and written here? Case does not count, as in reading.
pub(crate) fn is_known_field(name: &str) -> bool {
    const OTHERS: [&str; 4] = ["lastmodified", "mac", "mac_only_encrypted", "version"];
    let selectors = SelectorKind::ALL.iter().map(|kind| kind.as_str());
    is_about_keys(name) || selectors.chain(OTHERS).any(|known| known.eq_ignore_ascii_case(name))
}

/// Puts the encrypted `mac` and the date into the entry of every document, in their places.
pub(crate) fn update<'d>(edits: &mut Edits<'d>, document: &'d Document, mac: &'d str, last_modified: LastModified) {
    let date = last_modified.to_string();
    for branch in document.branches() {
        let Some(entry) = branch.get(document.format().metadata_key()).filter(|entry| entry.kind() == Kind::Mapping)
        else {
            continue;
        };
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
    use crate::metadata::FORMAT_VERSION;

    #[test]
    fn groups_are_laid_out_as_sops_lays_them_out() {
        let date = LastModified::read("2026-01-02T03:04:05Z").unwrap();
        let key = |name| KeyEntry::new(name, WrappedKey::new("E"), date);
        let age = |name: &str| key(KeyName::Age(name.to_owned()));
        let of = |source| key(KeyName::of_fields(source, ToOwned::to_owned, Vec::new()));
        let groups = vec![vec![of(Source::Pgp), age("a")], vec![of(Source::HcVault), of(Source::Kms)]];
        let keys = Wrapped { groups, threshold: 2 };
        let selector = Selector::default();
        let new = NewMetadata {
            keys: &keys,
            selector: Some(&selector),
            mac_only_encrypted: false,
            last_modified: date,
            version: FORMAT_VERSION,
            others: &[],
        };
        let document = bulla_doc::write(&[Tree::mapping([("sops", new.to_tree("M"))])], Format::Yaml, None);
        let expected = "sops:
    key_groups:
        - age:
            - enc: E
              recipient: a
          hc_vault: []
          pgp:
            - created_at: \"2026-01-02T03:04:05Z\"
              enc: E
              fp: fp
        - age: []
          hc_vault:
            - created_at: \"2026-01-02T03:04:05Z\"
              enc: E
              engine_path: engine_path
              key_name: key_name
              vault_address: vault_address
          kms:
            - arn: arn
              aws_profile: aws_profile
              created_at: \"2026-01-02T03:04:05Z\"
              enc: E
              role: role
    lastmodified: \"2026-01-02T03:04:05Z\"
    mac: M
    shamir_threshold: 2
    unencrypted_suffix: _unencrypted
    version: 3.13.3
";
        assert_eq!(std::str::from_utf8(&document).unwrap(), expected);
    }

    #[test]
    fn other_keys_leave_everything_else_as_it_is() {
        let date = LastModified::read("2026-01-02T03:04:05Z").unwrap();
        let key = |name: &str| KeyEntry::new(KeyName::Age(name.to_owned()), WrappedKey::new("E"), date);
        let text = "a:  1 # one\nsops:\n    kms: []\n    age:\n        - recipient: x\n          enc: y\n    lastmodified: '2020-01-01T00:00:00Z'\n    mac: M\n    owner: {x: 1}\n    version: 3.9.0\n# end\n";
        let document = Document::parse(text.as_bytes(), Format::Yaml).unwrap();
        let replaced = |groups: Vec<Vec<KeyEntry>>, threshold| {
            let mut edits = Edits::new(&document);
            replace_keys(&mut edits, &document, &Wrapped { groups, threshold });
            String::from_utf8(edits.apply().to_vec()).unwrap()
        };
        assert_eq!(
            replaced(vec![vec![key("a"), key("b")]], 0),
            "a:  1 # one\nsops:\n    age:\n        - enc: E\n          recipient: a\n        - enc: E\n          recipient: b\n    lastmodified: \"2020-01-01T00:00:00Z\"\n    mac: M\n    owner:\n        x: 1\n    version: 3.9.0\n# end\n"
        );
        let groups = replaced(vec![vec![key("a")], vec![key("b")]], 2);
        assert!(groups.starts_with("a:  1 # one\nsops:\n    key_groups:\n        - age:\n"), "{groups}");
        assert!(groups.ends_with("    shamir_threshold: 2\n    version: 3.9.0\n# end\n"), "{groups}");
    }

    #[test]
    fn a_new_entry_is_laid_out_as_sops_lays_it_out() {
        let last_modified = LastModified::read("2026-01-02T03:04:05Z").unwrap();
        let key = |name: &str| {
            let wrapped = "-----BEGIN AGE ENCRYPTED FILE-----\nYWdl\n-----END AGE ENCRYPTED FILE-----\n";
            KeyEntry::new(KeyName::Age(name.to_owned()), WrappedKey::new(wrapped), last_modified)
        };
        let keys = Wrapped { groups: vec![vec![key("age1a"), key("age1b")]], threshold: 0 };
        let selector = Selector::default();
        let new = NewMetadata {
            keys: &keys,
            selector: Some(&selector),
            mac_only_encrypted: true,
            last_modified,
            version: FORMAT_VERSION,
            others: &[],
        };
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
