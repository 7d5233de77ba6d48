//! One master key in the metadata: who it is, and the data key wrapped for it.

use bulla_doc::{Kind, Node, Tree};
use bulla_keys::{KeyId, MasterKey, Source, WrappedKey};

use super::field::{self, Fields};
use super::{LastModified, MetadataError};

/// The field with the profile of a key of AWS KMS.
const PROFILE: &str = "aws_profile";

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

impl KeyEntry {
    /// The entry for `key`, which wrapped the data key at `created`.
    pub fn new(key: &dyn MasterKey, wrapped: WrappedKey, created: LastModified) -> Self {
        let source = key.id().source;
        let mut fields = key.fields();
        fields.retain(|(_, text)| !text.is_empty());
        // Entries of age have no date.
        let created_at = (source != Source::Age).then(|| created.to_string());
        let mut context = key.context();
        context.sort();
        Self { source, fields, context, created_at, wrapped }
    }

    /// Reads an entry of the list for `source`.
    pub(super) fn read(source: Source, entry: Node<'_>) -> Result<Self, MetadataError> {
        let fields = Fields::new(entry);
        let mut given = Vec::new();
        for name in source.fields() {
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
            Source::Age | Source::Pgp | Source::GcpKms | Source::HcKms => field(self.source.fields()[0]).to_owned(),
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
        if self.source == Source::Kms && self.field(PROFILE).is_none() {
            // SOPS writes this one even if it is empty.
            fields.push((PROFILE, ""));
        }
        let mut fields: Vec<_> = fields.into_iter().map(|(name, text)| (name, Tree::string(text))).collect();
        if !self.context.is_empty() {
            let pairs = self.context.iter().map(|(name, value)| (name.as_str(), Tree::string(value)));
            fields.push(("context", Tree::mapping(pairs)));
        }
        fields.sort_by_key(|(name, _)| *name);
        Tree::mapping(fields)
    }
}

#[cfg(test)]
mod tests {
    use bulla_doc::{Document, Format};
    use bulla_keys::fake::{Behaviour, FakeKey};

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

    /// A key of Vault, as far as an entry is concerned.
    #[derive(Debug)]
    struct Transit;

    #[async_trait::async_trait]
    impl MasterKey for Transit {
        fn id(&self) -> KeyId {
            KeyId { source: Source::HcVault, name: "https://v/v1/e/keys/k".to_owned() }
        }

        fn fields(&self) -> Vec<(&'static str, String)> {
            [("vault_address", "https://v"), ("engine_path", "e"), ("key_name", "k")]
                .map(|(field, text)| (field, text.to_owned()))
                .to_vec()
        }

        async fn wrap(&self, _: &bulla_crypto::SecretBytes) -> Result<WrappedKey, bulla_keys::WrapError> {
            unreachable!("an entry is made of what was wrapped")
        }

        async fn unwrap(&self, _: &WrappedKey) -> Result<Option<bulla_crypto::SecretBytes>, bulla_keys::UnwrapError> {
            unreachable!("an entry is made of what was wrapped")
        }
    }

    /// A key of KMS, likewise.
    #[derive(Debug)]
    struct Kms(&'static [(&'static str, &'static str)]);

    #[async_trait::async_trait]
    impl MasterKey for Kms {
        fn id(&self) -> KeyId {
            let pairs: Vec<String> = self.0.iter().map(|(name, value)| format!("{name}:{value}")).collect();
            let context = if pairs.is_empty() { String::new() } else { format!("|{}", pairs.join(",")) };
            KeyId { source: Source::Kms, name: format!("A+R{context}") }
        }

        fn fields(&self) -> Vec<(&'static str, String)> {
            [("arn", "A"), ("role", "R"), ("aws_profile", "")].map(|(field, text)| (field, text.to_owned())).to_vec()
        }

        fn context(&self) -> Vec<(String, String)> {
            self.0.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        }

        async fn wrap(&self, _: &bulla_crypto::SecretBytes) -> Result<WrappedKey, bulla_keys::WrapError> {
            unreachable!("an entry is made of what was wrapped")
        }

        async fn unwrap(&self, _: &WrappedKey) -> Result<Option<bulla_crypto::SecretBytes>, bulla_keys::UnwrapError> {
            unreachable!("an entry is made of what was wrapped")
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let created = LastModified::read("2026-01-02T03:04:05Z").unwrap();
        let fake = |source| FakeKey::new(source, "name", Behaviour::Works);
        let keys: [(&dyn MasterKey, &str); 5] = [
            (&fake(Source::Age), "enc: |\n    line\nrecipient: name\n"),
            (&fake(Source::Pgp), "created_at: \"2026-01-02T03:04:05Z\"\nenc: |\n    line\nfp: name\n"),
            (
                &Transit,
                "created_at: \"2026-01-02T03:04:05Z\"\nenc: |\n    line\nengine_path: e\nkey_name: k\nvault_address: https://v\n",
            ),
            (&Kms(&[]), "arn: A\naws_profile: \"\"\ncreated_at: \"2026-01-02T03:04:05Z\"\nenc: |\n    line\nrole: R\n"),
            (
                &Kms(&[("a", "1"), ("b", "yes")]),
                "arn: A\naws_profile: \"\"\ncontext:\n    a: \"1\"\n    b: \"yes\"\ncreated_at: \"2026-01-02T03:04:05Z\"\nenc: |\n    line\nrole: R\n",
            ),
        ];
        for (key, written) in keys {
            let entry = KeyEntry::new(key, WrappedKey::new("line\n"), created);
            let text = bulla_doc::write(&[entry.to_tree()], Format::Yaml, None);
            assert_eq!(std::str::from_utf8(&text).unwrap(), written);
            let again = read(key.id().source, written);
            assert_eq!(again.id(), key.id());
            assert_eq!(bulla_doc::write(&[again.to_tree()], Format::Yaml, None), text);
        }
    }
}
