//! One master key in the metadata: who it is, and the data key wrapped for it.

use bulla_doc::{Kind, Node, Tree};
use bulla_keys::{KeyId, KeyName, Source, WrappedKey};

use super::field::{self, Fields};
use super::{LastModified, MetadataError};

/// The field with the profile of a key of AWS KMS.
const PROFILE: &str = "aws_profile";

/// An entry of one of the lists of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyEntry {
    name: KeyName,
    created_at: Option<String>,
    wrapped: WrappedKey,
}

impl KeyEntry {
    /// The entry for the key `name`, which wrapped the data key at `created`.
    pub fn new(name: KeyName, wrapped: WrappedKey, created: LastModified) -> Self {
        // Entries of age have no date.
        let created_at = (name.source() != Source::Age).then(|| created.to_string());
        Self { name, created_at, wrapped }
    }

    /// The same entry with the date of `known`, if it has one.
    pub(crate) fn dated_as(mut self, known: &Self) -> Self {
        if known.created_at.is_some() {
            self.created_at.clone_from(&known.created_at);
        }
        self
    }

    /// Reads an entry of the list for `source`.
    pub(super) fn read(source: Source, entry: Node<'_>) -> Result<Self, MetadataError> {
        let fields = Fields::new(entry);
        let mut given = Vec::new();
        for name in source.fields() {
            given.push((*name, fields.text(name)?.unwrap_or_default()));
        }
        let mut context = Vec::new();
        if let Some(mapping) = fields.get("context").filter(|_| source == Source::Kms) {
            for entry in mapping.children().filter(|entry| entry.kind() == Kind::Scalar) {
                let value = field::text(entry).unwrap_or_default().unwrap_or_default();
                context.push((entry.key().unwrap_or_default().to_owned(), value));
            }
        }
        let text = |name: &str| given.iter().find(|(field, _)| *field == name).map(|(_, text)| text.clone());
        Ok(Self {
            name: KeyName::of_fields(source, |name| text(name).unwrap_or_default(), context),
            created_at: fields.text("created_at")?,
            wrapped: WrappedKey::new(fields.text("enc")?.unwrap_or_default()),
        })
    }

    /// What names the key.
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// The kind of key.
    pub fn source(&self) -> Source {
        self.name.source()
    }

    /// When the data key was wrapped, as it is written; age has no such date.
    pub fn created_at(&self) -> Option<&str> {
        self.created_at.as_deref()
    }

    /// The wrapped data key. Empty if the entry has none.
    pub fn wrapped(&self) -> &WrappedKey {
        &self.wrapped
    }

    /// The key as SOPS identifies it.
    pub fn id(&self) -> KeyId {
        self.name.id()
    }

    /// As it is written, fields sorted.
    pub(super) fn to_tree(&self) -> Tree {
        let mut fields: Vec<(&str, &str)> = self.name.fields();
        // SOPS writes this one even if it is empty.
        fields.retain(|(name, text)| !text.is_empty() || *name == PROFILE);
        fields.push(("enc", self.wrapped.as_str()));
        fields.extend(self.created_at.as_deref().map(|date| ("created_at", date)));
        let mut fields: Vec<_> = fields.into_iter().map(|(name, text)| (name, Tree::string(text))).collect();
        if !self.name.context().is_empty() {
            let pairs = self.name.context().iter().map(|(name, value)| (name.as_str(), Tree::string(value)));
            fields.push(("context", Tree::mapping(pairs)));
        }
        fields.sort_by_key(|(name, _)| *name);
        Tree::mapping(fields)
    }
}

#[cfg(test)]
mod tests {
    use bulla_doc::{Document, Format};

    use super::*;

    fn read(source: Source, text: &str) -> KeyEntry {
        let document = Document::parse(text.as_bytes(), Format::Yaml).unwrap();
        KeyEntry::read(source, document.branches().next().unwrap()).unwrap()
    }

    #[test]
    fn every_kind_is_identified_as_sops_identifies_it() {
        for (source, text, id) in [
            (Source::Age, "recipient: age1x", "age age1x"),
            (Source::Pgp, "fp: '0123'", "pgp 0123"),
            (Source::GcpKms, "resource_id: projects/p", "gcp_kms projects/p"),
            (Source::HcKms, "key_id: r:u", "hckms r:u"),
            (Source::AzureKv, "{vault_url: 'https://v', name: n, version: '1'}", "azure_kv https://v/keys/n/1"),
            (
                Source::HcVault,
                "{vault_address: 'https://v', engine_path: e, key_name: k}",
                "hc_vault https://v/v1/e/keys/k",
            ),
            (Source::Kms, "arn: A", "kms A"),
            (Source::Kms, "{arn: A, aws_profile: '', role: R}", "kms A+R"),
            (Source::Kms, "{arn: A, context: {b: '2', a: '1'}}", "kms A|a:1,b:2"),
            (Source::Kms, "{arn: A, aws_profile: P}", "kms A||P"),
            (Source::Kms, "{arn: A, role: R, aws_profile: P, context: {a: '1'}}", "kms A+R|a:1|P"),
        ] {
            assert_eq!(read(source, text).id().to_string(), id);
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let created = LastModified::read("2026-01-02T03:04:05Z").unwrap();
        let one = |source: Source| {
            KeyName::of_fields(
                source,
                |field| if field == source.fields()[0] { "name" } else { "" }.to_owned(),
                Vec::new(),
            )
        };
        let transit = |field: &str| {
            let fields = [("vault_address", "https://v"), ("engine_path", "e"), ("key_name", "k")];
            fields.iter().find(|(name, _)| *name == field).map(|(_, text)| (*text).to_owned()).unwrap_or_default()
        };
        let kms = |context: &[(&str, &str)]| {
            let field = |field: &str| match field {
                "arn" => "A".to_owned(),
                "role" => "R".to_owned(),
                _ => String::new(),
            };
            let context = context.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            KeyName::of_fields(Source::Kms, field, context)
        };
        let keys = [
            (one(Source::Age), "enc: |\n    line\nrecipient: name\n"),
            (one(Source::Pgp), "created_at: \"2026-01-02T03:04:05Z\"\nenc: |\n    line\nfp: name\n"),
            (
                KeyName::of_fields(Source::HcVault, transit, Vec::new()),
                "created_at: \"2026-01-02T03:04:05Z\"\nenc: |\n    line\nengine_path: e\nkey_name: k\nvault_address: https://v\n",
            ),
            (kms(&[]), "arn: A\naws_profile: \"\"\ncreated_at: \"2026-01-02T03:04:05Z\"\nenc: |\n    line\nrole: R\n"),
            (
                kms(&[("b", "yes"), ("a", "1")]),
                "arn: A\naws_profile: \"\"\ncontext:\n    a: \"1\"\n    b: \"yes\"\ncreated_at: \"2026-01-02T03:04:05Z\"\nenc: |\n    line\nrole: R\n",
            ),
        ];
        for (key, written) in keys {
            let entry = KeyEntry::new(key.clone(), WrappedKey::new("line\n"), created);
            let text = bulla_doc::write(&[entry.to_tree()], Format::Yaml, None);
            assert_eq!(std::str::from_utf8(&text).unwrap(), written);
            let again = read(key.source(), written);
            assert_eq!(again.id(), key.id());
            assert_eq!(bulla_doc::write(&[again.to_tree()], Format::Yaml, None), text);
        }
    }
}
