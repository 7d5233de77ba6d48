//! One master key in the metadata: who it is, and the data key wrapped for it.

use bulla_doc::{Kind, Node, Tree};
use bulla_keys::{KeyId, Source, WrappedKey};

use super::field::{self, Fields};
use super::{LastModified, MetadataError};

/// An entry of one of the lists of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyEntry {
    source: Source,
    /// What names the key, by field; those that are empty are left out.
    fields: Vec<(&'static str, String)>,
    /// The encryption context of AWS KMS.
    context: Vec<(String, String)>,
    created_at: Option<String>,
    wrapped: WrappedKey,
}

/// Why no entry can be written for a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// Its entry has more fields than its name tells.
    #[error("keys of type `{0}` cannot be added to a file yet")]
    Source(Source),
}

/// The fields that name a key of this kind, beside `enc` and `created_at`.
const fn names(source: Source) -> &'static [&'static str] {
    match source {
        Source::Age => &["recipient"],
        Source::Pgp => &["fp"],
        Source::Kms => &["arn", "role", "aws_profile"],
        Source::GcpKms => &["resource_id"],
        Source::HcKms => &["key_id"],
        Source::AzureKv => &["vault_url", "name", "version"],
        Source::HcVault => &["vault_address", "engine_path", "key_name"],
    }
}

impl KeyEntry {
    /// The entry for the key `id`, which wrapped the data key at `created`.
    ///
    /// # Errors
    /// [`EntryError::Source`] for kinds whose entries have several fields.
    pub fn new(id: &KeyId, wrapped: WrappedKey, created: LastModified) -> Result<Self, EntryError> {
        let &[field] = names(id.source) else { return Err(EntryError::Source(id.source)) };
        // Entries of age have no date.
        let created_at = (id.source != Source::Age).then(|| created.to_string());
        Ok(Self { source: id.source, fields: vec![(field, id.name.clone())], context: Vec::new(), created_at, wrapped })
    }

    /// Reads an entry of the list for `source`.
    pub(super) fn read(source: Source, entry: Node<'_>) -> Result<Self, MetadataError> {
        let fields = Fields::new(entry);
        let mut given = Vec::new();
        for name in names(source) {
            if let Some(text) = fields.text(name)?.filter(|text| !text.is_empty()) {
                given.push((*name, text));
            }
        }
        let mut context = Vec::new();
        if let Some(mapping) = fields.get("context") {
            for entry in mapping.children().filter(|entry| entry.kind() == Kind::Scalar) {
                let value = field::text(entry).unwrap_or_default().unwrap_or_default();
                context.push((entry.key().unwrap_or_default().to_owned(), value));
            }
            context.sort();
        }
        Ok(Self {
            source,
            fields: given,
            context,
            created_at: fields.text("created_at")?,
            wrapped: WrappedKey::new(fields.text("enc")?.unwrap_or_default()),
        })
    }

    /// The kind of key.
    pub fn source(&self) -> Source {
        self.source
    }

    /// A field that names the key, such as `recipient` or `arn`.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| *field == name).map(|(_, text)| text.as_str())
    }

    /// The encryption context of AWS KMS, sorted.
    pub fn context(&self) -> &[(String, String)] {
        &self.context
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
        let field = |name| self.field(name).unwrap_or_default();
        let name = match self.source {
            Source::Age | Source::Pgp | Source::GcpKms | Source::HcKms => field(names(self.source)[0]).to_owned(),
            Source::AzureKv => format!("{}/keys/{}/{}", field("vault_url"), field("name"), field("version")),
            Source::HcVault => {
                format!("{}/v1/{}/keys/{}", field("vault_address"), field("engine_path"), field("key_name"))
            }
            Source::Kms => {
                let pairs: Vec<_> = self.context.iter().map(|(key, value)| format!("{key}:{value}")).collect();
                let role = self.field("role").map(|role| format!("+{role}")).unwrap_or_default();
                let profile = self.field("aws_profile").map(|profile| format!("|{profile}")).unwrap_or_default();
                let context = if pairs.is_empty() && profile.is_empty() { "" } else { "|" };
                format!("{}{role}{context}{}{profile}", field("arn"), pairs.join(","))
            }
        };
        KeyId { source: self.source, name }
    }

    /// As it is written, fields sorted.
    pub(super) fn to_tree(&self) -> Tree {
        let mut fields: Vec<(&str, &str)> = self.fields.iter().map(|(name, text)| (*name, text.as_str())).collect();
        fields.push(("enc", self.wrapped.as_str()));
        fields.extend(self.created_at.as_deref().map(|date| ("created_at", date)));
        fields.sort_unstable();
        Tree::mapping(fields.into_iter().map(|(name, text)| (name, Tree::string(text))))
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
        for (source, written) in [
            (Source::Age, "enc: |\n    line\nrecipient: name\n"),
            (Source::Pgp, "created_at: \"2026-01-02T03:04:05Z\"\nenc: |\n    line\nfp: name\n"),
        ] {
            let id = KeyId { source, name: "name".to_owned() };
            let entry = KeyEntry::new(&id, WrappedKey::new("line\n"), created).unwrap();
            let text = bulla_doc::write(&[entry.to_tree()], Format::Yaml, None);
            assert_eq!(std::str::from_utf8(&text).unwrap(), written);
            assert_eq!(read(source, written), entry);
        }
        let id = KeyId { source: Source::Kms, name: "arn".to_owned() };
        let error = KeyEntry::new(&id, WrappedKey::new("x"), created).unwrap_err();
        assert_eq!(error, EntryError::Source(Source::Kms));
    }
}
