//! The `sops` entry of an encrypted file: who can open it, what is encrypted, when it changed, and its MAC.
//!
//! ```text
//! sops:
//!     age:                          one list per kind of key: kms, gcp_kms, hckms, azure_kv, hc_vault, pgp, age
//!         - enc: |                  the data key, wrapped
//!             -----BEGIN AGE ENCRYPTED FILE-----
//!           recipient: age1…
//!     lastmodified: "2026-01-02T03:04:05Z"
//!     mac: ENC[AES256_GCM,…,type:str]
//!     unencrypted_suffix: _unencrypted
//!     version: 3.13.3
//! ```
//! Read as SOPS reads it: names of fields without regard to case, numbers and booleans where texts belong and the reverse, comments
//! and unknown fields passed over. Nothing here is authenticated but the date, with the MAC. Of several documents the first one's
//! entry counts, and all get the same. Written with sorted keys; an existing entry is edited in place and keeps what is unknown.
//!
//! Source: sops 3.13.3 `stores/metadata.go`, `stores/stores.go`, `version/version.go`; mapstructure 2 for the weak types.

mod date;
mod entry;
mod field;
mod write;

use bulla_doc::{DEPTH_LIMIT, Document, Kind, Node, Position};
use bulla_keys::Source;

pub use date::LastModified;
pub use entry::KeyEntry;
pub(crate) use write::{NewMetadata, is_known_field, replace_keys, update};

use crate::selector::{Selector, SelectorError, SelectorKind};
use field::{Expected, Fields};

/// Key of the entry at the top of each document of YAML; [`bulla_doc::Format::metadata_key`] knows that of every format.
pub const METADATA_KEY: &str = "sops";

/// What is written as `version` of a new file: that of the SOPS whose format it is, to the letter. A reader refuses a file without
/// one, and tells old formats by it.
pub const FORMAT_VERSION: &str = "3.13.3";

/// What the `sops` entry says.
#[derive(Debug)]
#[non_exhaustive]
pub struct Metadata {
    /// The version of the program that made the file, as it is written there.
    pub version: String,
    /// When the file changed last; the MAC is bound to it.
    pub last_modified: LastModified,
    /// The encrypted MAC, if there is one.
    pub mac: Option<String>,
    /// What is encrypted.
    pub selector: Selector,
    /// Does the MAC cover encrypted values only?
    pub mac_only_encrypted: bool,
    /// The master keys by group, in the order in which SOPS reads them. Always one group at least; with several, the data key is split
    /// between them.
    pub groups: Vec<Vec<KeyEntry>>,
    /// How many groups must give their share; 0 for all.
    pub shamir_threshold: u64,
}

/// Why the `sops` entry of a file could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MetadataError {
    /// There is none.
    #[error("the file is not encrypted: it has no entry `sops` at its top")]
    NotEncrypted,
    /// It is something else.
    #[error("{position}: `sops` at the top is not a mapping, so this is not an encrypted file")]
    NotAMapping {
        /// Where.
        position: Position,
    },
    /// There are two.
    #[error("{position}: `sops` comes a second time at the top")]
    Duplicate {
        /// Where the second is.
        position: Position,
    },
    /// It is deeper than anything that is printed anew.
    #[error("{position}: the `sops` entry nests deeper than 1,000 levels")]
    Depth {
        /// Where.
        position: Position,
    },
    /// A field has a value of another kind.
    #[error("{position}: expected {expected} as `{field}` of the `sops` entry")]
    Field {
        /// The name of the field.
        field: &'static str,
        /// What should stand there.
        expected: &'static str,
        /// Where.
        position: Position,
    },
    /// A field that must be there is not.
    #[error("the `sops` entry ({position}) has no `{field}`")]
    Missing {
        /// The name of the field.
        field: &'static str,
        /// Where the entry is.
        position: Position,
    },
    /// The rule for what is encrypted is broken.
    #[error("{position}: the `sops` entry does not say what is encrypted")]
    Selector {
        /// Where the entry is.
        position: Position,
        /// What is wrong.
        source: SelectorError,
    },
    /// Nobody can open the file.
    #[error("the `sops` entry ({position}) names no key: nobody can open this file")]
    NoKeys {
        /// Where the entry is.
        position: Position,
    },
}

impl Metadata {
    /// Reads the entry of the first document.
    ///
    /// # Errors
    /// [`MetadataError`]
    pub fn read(document: &Document) -> Result<Self, MetadataError> {
        let entry = find(document)?;
        let fields = Fields::new(entry);
        let missing = |field| MetadataError::Missing { field, position: entry.position() };

        let given: Vec<(SelectorKind, String)> = SelectorKind::ALL
            .into_iter()
            .filter_map(|kind| fields.text(kind.as_str()).map(|text| text.map(|text| (kind, text))).transpose())
            .collect::<Result<_, _>>()?;
        let selector = Selector::choose(given.iter().map(|(kind, text)| (*kind, text.as_str())))
            .map_err(|source| MetadataError::Selector { position: entry.position(), source })?
            .unwrap_or_default();

        let date = fields.get("lastmodified").ok_or_else(|| missing("lastmodified"))?;
        let last_modified = date.as_str().and_then(LastModified::read);
        let last_modified = last_modified.ok_or_else(|| Expected::DATE.at("lastmodified", date))?;
        let version = fields.text("version")?.filter(|version| !version.is_empty());
        let version = version.ok_or_else(|| missing("version"))?;
        if !is_version(&version) {
            return Err(fields.wrong("version", Expected::VERSION));
        }

        Ok(Self {
            version,
            last_modified,
            mac: fields.text("mac")?.filter(|mac| !mac.is_empty()),
            selector,
            mac_only_encrypted: fields.flag("mac_only_encrypted")?,
            groups: read_groups(&fields)?.ok_or_else(|| MetadataError::NoKeys { position: entry.position() })?,
            shamir_threshold: fields.number("shamir_threshold")?,
        })
    }

    /// [`Metadata::shamir_threshold`], however large it claims to be.
    pub fn threshold(&self) -> usize {
        usize::try_from(self.shamir_threshold).unwrap_or(usize::MAX)
    }

    /// All master keys, of all groups.
    pub fn keys(&self) -> impl Iterator<Item = &KeyEntry> {
        self.groups.iter().flatten()
    }
}

/// Is there a `sops` entry at the top of any document?
pub fn has_metadata(document: &Document) -> bool {
    entry_of(document).is_some()
}

/// The first `sops` entry at the top of any document.
pub(crate) fn entry_of(document: &Document) -> Option<Node<'_>> {
    document.branches().find_map(|branch| branch.get(document.format().metadata_key()))
}

/// The entry of the first document.
fn find(document: &Document) -> Result<Node<'_>, MetadataError> {
    let branch = document.branches().next().ok_or(MetadataError::NotEncrypted)?;
    let mut entries = branch.children().filter(|entry| entry.key() == Some(document.format().metadata_key()));
    let entry = entries.next().ok_or(MetadataError::NotEncrypted)?;
    if let Some(second) = entries.next() {
        return Err(MetadataError::Duplicate { position: second.position() });
    }
    if entry.kind() != Kind::Mapping {
        return Err(MetadataError::NotAMapping { position: entry.position() });
    }
    if entry.is_deeper_than(DEPTH_LIMIT) {
        return Err(MetadataError::Depth { position: entry.position() });
    }
    Ok(entry)
}

/// The lists at the top of the entry are the one group; only if all are empty, `key_groups` counts.
fn read_groups(fields: &Fields<'_>) -> Result<Option<Vec<Vec<KeyEntry>>>, MetadataError> {
    let group = read_group(fields)?;
    if !group.is_empty() {
        return Ok(Some(vec![group]));
    }
    let groups = fields.list("key_groups")?;
    let groups: Vec<_> = groups.iter().map(|group| read_group(&Fields::new(*group))).collect::<Result<_, _>>()?;
    Ok(if groups.is_empty() { None } else { Some(groups) })
}

fn read_group(fields: &Fields<'_>) -> Result<Vec<KeyEntry>, MetadataError> {
    let mut group = Vec::new();
    for source in Source::ALL {
        for entry in fields.list(source.as_str())? {
            group.push(KeyEntry::read(source, entry)?);
        }
    }
    Ok(group)
}

/// `1.` and anything, or a semantic version with or without a `v`.
fn is_version(text: &str) -> bool {
    if text.starts_with("1.") {
        return true;
    }
    let text = text.strip_prefix('v').unwrap_or(text);
    let core_end = text.find(['-', '+']).unwrap_or(text.len());
    let (core, suffix) = text.split_at(core_end);
    let is_number = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()) && (part == "0" || !part.starts_with('0'))
    };
    let is_name =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let (pre, build) = match suffix.split_once('+') {
        Some((pre, build)) => (pre, Some(build)),
        None => (suffix, None),
    };
    core.split('.').count() == 3
        && core.split('.').all(is_number)
        && pre.strip_prefix('-').is_none_or(|pre| {
            pre.split('.').all(|part| is_name(part) && (is_number(part) || !part.bytes().all(|b| b.is_ascii_digit())))
        })
        && build.is_none_or(|build| build.split('.').all(is_name))
}

#[cfg(test)]
mod tests {
    use bulla_doc::Format;

    use super::*;

    const AGE: &str = "age: [{enc: E, recipient: R}]";

    fn read(fields: &str) -> Result<Metadata, MetadataError> {
        let text = format!("a: 1\nsops:\n    {}\n", fields.replace('\n', "\n    "));
        Metadata::read(&Document::parse(text.as_bytes(), Format::Yaml).unwrap())
    }

    fn complete(extra: &str) -> Result<Metadata, MetadataError> {
        read(&format!("{AGE}\nlastmodified: '2026-01-02T03:04:05Z'\nversion: 3.13.3\n{extra}"))
    }

    #[test]
    fn what_sops_writes_is_read() {
        let metadata =
            complete("mac: M\nencrypted_regex: ^data$\nmac_only_encrypted: true\nshamir_threshold: 2").unwrap();
        assert_eq!(metadata.version, "3.13.3");
        assert_eq!(metadata.last_modified.additional_data(), "2026-01-02T03:04:05Z");
        assert_eq!(metadata.mac.as_deref(), Some("M"));
        assert_eq!((metadata.selector.kind(), metadata.selector.text()), (SelectorKind::EncryptedRegex, "^data$"));
        assert!(metadata.mac_only_encrypted);
        assert_eq!(metadata.shamir_threshold, 2);
        let keys: Vec<_> = metadata.keys().map(|key| key.id().to_string()).collect();
        assert_eq!(keys, ["age R"]);
    }

    #[test]
    fn what_is_missing_has_its_default() {
        let metadata = complete("").unwrap();
        assert_eq!((metadata.mac, metadata.mac_only_encrypted, metadata.shamir_threshold), (None, false, 0));
        assert_eq!(metadata.selector.text(), "_unencrypted");
        let metadata = complete("encrypted_suffix: ''\nmac: ''\nencrypted_regex: null").unwrap();
        assert_eq!((metadata.mac, metadata.selector.text()), (None, "_unencrypted"));
    }

    #[test]
    fn names_types_and_unknown_fields_are_taken_as_sops_takes_them() {
        let metadata = read(
            "# a comment\nAge: {Recipient: 7, ENC: E}\nLastModified: '2026-01-02T03:04:05+02:00'\nVERSION: v3.7.0-rc.1\n\
             mac_only_encrypted: 'true'\nshamir_threshold: '0x2'\nunknown: [1]\nkms: []\npgp: null\nkey_groups: [{age: [{enc: X}]}]",
        )
        .unwrap();
        assert_eq!(metadata.keys().next().unwrap().id().name, "7");
        assert_eq!(metadata.groups.len(), 1);
        assert!(metadata.mac_only_encrypted);
        assert_eq!(metadata.shamir_threshold, 2);
        assert_eq!(metadata.last_modified.additional_data(), "2026-01-02T03:04:05+02:00");
    }

    #[test]
    fn groups_count_where_there_is_no_list_beside_them() {
        let metadata = read(
            "age: []\nkey_groups:\n- age: [{enc: E, recipient: A}]\n  kms: [{arn: K, enc: E}]\n- pgp: [{fp: F, enc: E}]\n  age: []\n\
             lastmodified: '2026-01-02T03:04:05Z'\nversion: 3.9.0",
        )
        .unwrap();
        let groups: Vec<Vec<String>> =
            metadata.groups.iter().map(|group| group.iter().map(|key| key.id().to_string()).collect()).collect();
        assert_eq!(groups, [vec!["kms K".to_owned(), "age A".to_owned()], vec!["pgp F".to_owned()]]);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let date = "lastmodified: '2026-01-02T03:04:05Z'";
        for (fields, message) in [
            (format!("{AGE}\nversion: 3.13.3"), "the `sops` entry (line 2, column 1) has no `lastmodified`"),
            (format!("{AGE}\n{date}"), "the `sops` entry (line 2, column 1) has no `version`"),
            (
                format!("{AGE}\n{date}\nversion: new"),
                "line 5, column 5: expected a version like `3.13.3` as `version` of the `sops` entry",
            ),
            (
                format!("{AGE}\nversion: 3.1.0\nlastmodified: 2026-01-02T03:04:05Z"),
                "line 5, column 5: expected a date like `\"2026-01-02T03:04:05Z\"` in quotes as `lastmodified` of the `sops` entry",
            ),
            (
                format!("{AGE}\nversion: 3.1.0\nlastmodified: yesterday"),
                "line 5, column 5: expected a date like `\"2026-01-02T03:04:05Z\"` in quotes as `lastmodified` of the `sops` entry",
            ),
            (
                format!("{AGE}\n{date}\nversion: 3.1.0\nencrypted_regex: ("),
                "line 2, column 1: the `sops` entry does not say what is encrypted",
            ),
            (
                format!("{AGE}\n{date}\nversion: 3.1.0\nencrypted_regex: a\nencrypted_suffix: b"),
                "line 2, column 1: the `sops` entry does not say what is encrypted",
            ),
            (
                format!("{date}\nversion: 3.1.0\nage: []"),
                "the `sops` entry (line 2, column 1) names no key: nobody can open this file",
            ),
            (
                format!("{date}\nversion: 3.1.0\nage: 7"),
                "line 5, column 5: expected a list of keys as `age` of the `sops` entry",
            ),
            (
                format!("{date}\nversion: 3.1.0\nmac_only_encrypted: maybe\n{AGE}"),
                "line 5, column 5: expected `true` or `false` as `mac_only_encrypted` of the `sops` entry",
            ),
        ] {
            assert_eq!(read(&fields).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn a_file_without_the_entry_is_told_from_one_with_a_broken_entry() {
        for (text, message) in [
            ("a: 1\n", "the file is not encrypted: it has no entry `sops` at its top"),
            ("a: {sops: {}}\n", "the file is not encrypted: it has no entry `sops` at its top"),
            ("", "the file is not encrypted: it has no entry `sops` at its top"),
            (
                "a: 1\nsops: x\n",
                "line 2, column 1: `sops` at the top is not a mapping, so this is not an encrypted file",
            ),
        ] {
            let document = Document::parse(text.as_bytes(), Format::Yaml).unwrap();
            assert_eq!(Metadata::read(&document).unwrap_err().to_string(), message, "{text}");
        }
    }

    #[test]
    fn versions_are_those_that_sops_accepts() {
        for (text, accepted) in [
            ("3.13.3", true),
            ("v3.0.0", true),
            ("1.16", true),
            ("4.0.0-rc.1+build.7", true),
            ("3.7", false),
            ("3.07.1", false),
            ("3.7.1-", false),
            ("3.7.1-01", false),
            ("new", false),
        ] {
            assert_eq!(is_version(text), accepted, "{text}");
        }
    }
}
