//! `.sops.yaml`: which keys and which selector a new file gets.
//!
//! ```text
//! creation_rules:                 the first rule that matches the file's path counts
//!   - path_regex: \.enc\.yaml$    searched in the path below the directory of `.sops.yaml`; absent, it matches everything
//!     age: age1…, age1…           or a list; or `key_groups` with one group
//!     hc_vault_transit_uri: …     likewise; within a group it is called `hc_vault`
//!     kms: arn:aws:kms:…          likewise, and `aws_profile` for all of them; within a group a list of {arn, role, context, aws_profile}
//!     encrypted_regex: ^data$     one of the six selectors
//!     mac_only_encrypted: true
//! ```
//! SOPS passes over keys that it does not know, so a misspelt `encrypted_regexp` leaves values plain; here they are errors, unless its
//! own behaviour is asked for ([`UnknownKeys::Ignore`]). At the top, keys that hold anchors for the rules are taken for what they are.
//! Aliases and merge keys work. `destination_rules` and `stores` are known and not read.
//!
//! Source: sops 3.13.3 `config/config.go`.

mod fields;

use std::path::{Path, PathBuf};

use bulla_doc::{Document, Format, Kind, Node, ParseError, Position};
use bulla_keys::aws::AwsKeyName;
use bulla_keys::azure::AzureKeyName;
use bulla_keys::gcp::GcpKeyName;
use bulla_keys::huawei::HuaweiKeyName;
use bulla_keys::pgp::PgpKeyName;
use bulla_keys::vault::VaultKeyName;
use bulla_keys::{KeyName, KeyNameError};
use bulla_pattern::{Pattern, PatternError};

use crate::selector::{Selector, SelectorError, SelectorKind};
use fields::Fields;

/// Name of the file, in the directory of the files or one above.
pub const FILE_NAME: &str = ".sops.yaml";

/// What to do about keys that no SOPS knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownKeys {
    /// They are errors.
    Refuse,
    /// They are passed over, as by SOPS.
    Ignore,
}

/// A configuration that was read.
#[derive(Debug)]
pub struct Rules {
    directory: PathBuf,
    rules: Option<Vec<Rule>>,
}

/// A creation rule.
#[derive(Debug)]
#[non_exhaustive]
pub struct Rule {
    /// Where it stands.
    pub position: Position,
    /// What it matches; `None` matches everything.
    pub path_regex: Option<Pattern>,
    /// The keys of its one group, each once.
    pub keys: Vec<KeyName>,
    /// The selector, if it names one.
    pub selector: Option<Selector>,
    /// Does the MAC cover encrypted values only?
    pub mac_only_encrypted: bool,
    /// Does it name them itself, and not in a group?
    is_flat: bool,
    /// The first key that is none, with its place. It matters only if the rule is used.
    faulty: Option<(KeyNameError, Position)>,
    /// What it names and cannot be used yet, with its place.
    unsupported: Option<(&'static str, Position)>,
}

/// Why a configuration could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RulesError {
    /// It is no YAML.
    #[error("cannot read the configuration")]
    Parse(#[from] ParseError),
    /// A key that means nothing.
    #[error("{position}: unknown key `{key}`; {}", list(.known))]
    UnknownKey {
        /// The key.
        key: String,
        /// The keys that could stand there.
        known: &'static [&'static str],
        /// Where.
        position: Position,
    },
    /// A key whose value is of another kind.
    #[error("{position}: expected {expected} as `{key}`")]
    Expected {
        /// The key.
        key: &'static str,
        /// What should stand there.
        expected: &'static str,
        /// Where.
        position: Position,
    },
    /// A key that SOPS ignores beside another one.
    #[error("{position}: `{key}` does not count beside `key_groups`; put it into a group")]
    Ignored {
        /// The key.
        key: &'static str,
        /// Where.
        position: Position,
    },
    /// `path_regex` does not compile.
    #[error("{position}: `path_regex` is not a regular expression")]
    Pattern {
        /// Where.
        position: Position,
        /// What is wrong with it.
        source: PatternError,
    },
    /// The selector does not work.
    #[error("{position}: the rule does not say what is encrypted")]
    Selector {
        /// Where the rule is.
        position: Position,
        /// What is wrong.
        source: SelectorError,
    },
}

/// Why there is no rule for a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuleError {
    /// There are none at all.
    #[error("the configuration has no `creation_rules`")]
    NoRules,
    /// None matches.
    #[error(
        "no creation rule matches `{file}`: add one, or one without `path_regex` at the end that matches everything"
    )]
    NoMatch {
        /// The path that was searched.
        file: String,
    },
    /// The rule names keys of a kind that cannot be used yet.
    #[error("{position}: the rule for `{file}` uses `{what}`, which cannot be used yet")]
    Unsupported {
        /// The key in the configuration.
        what: &'static str,
        /// Where.
        position: Position,
        /// The path that it matches.
        file: String,
    },
    /// A key is not one.
    #[error("{position}: the rule for `{file}` names a key that is none")]
    Key {
        /// Where it is.
        position: Position,
        /// The path that it matches.
        file: String,
        /// What is wrong with it.
        source: KeyNameError,
    },
}

fn list(names: &[&str]) -> String {
    format!("expected one of `{}`", names.join("`, `"))
}

impl Rules {
    /// Reads the configuration `text`, which lies in `directory`.
    ///
    /// # Errors
    /// [`RulesError`]
    pub fn read(text: &[u8], directory: impl Into<PathBuf>, unknown: UnknownKeys) -> Result<Self, RulesError> {
        let document = Document::parse(text, Format::Yaml)?;
        let directory = directory.into();
        let Some(top) = document.branches().next() else {
            return Ok(Self { directory, rules: None });
        };
        let top = Fields::new(top);
        if unknown == UnknownKeys::Refuse {
            top.check_top(TOP_KEYS)?;
        }
        let rules = top.list("creation_rules", "a list of rules")?;
        let rules = rules.map(|rules| rules.into_iter().map(|rule| Rule::read(rule, unknown)).collect());
        Ok(Self { directory, rules: rules.transpose()? })
    }

    /// The first rule that matches `file`, an absolute path without `.` and `..`. A file that does not lie below the configuration's
    /// directory is matched by its whole path.
    ///
    /// # Errors
    /// [`RuleError`]
    pub fn rule_for(&self, file: &Path) -> Result<&Rule, RuleError> {
        let rules = self.rules.as_ref().ok_or(RuleError::NoRules)?;
        let below = file.strip_prefix(&self.directory).unwrap_or(file);
        let file = below.to_string_lossy().into_owned();
        let matches = |rule: &&Rule| rule.path_regex.as_ref().is_none_or(|pattern| pattern.is_match(&file));
        let Some(rule) = rules.iter().find(matches) else { return Err(RuleError::NoMatch { file }) };
        if let Some((what, position)) = rule.unsupported {
            return Err(RuleError::Unsupported { what, position, file });
        }
        match &rule.faulty {
            Some((source, position)) => Err(RuleError::Key { position: *position, file, source: source.clone() }),
            None => Ok(rule),
        }
    }
}

const TOP_KEYS: &[&str] = &["creation_rules", "destination_rules", "stores"];
const RULE_KEYS: &[&str] = &[
    "path_regex",
    "age",
    "pgp",
    "kms",
    "aws_profile",
    "gcp_kms",
    "hckms",
    "azure_keyvault",
    "hc_vault_transit_uri",
    "key_groups",
    "shamir_threshold",
    "unencrypted_suffix",
    "encrypted_suffix",
    "unencrypted_regex",
    "encrypted_regex",
    "unencrypted_comment_regex",
    "encrypted_comment_regex",
    "mac_only_encrypted",
];
const GROUP_KEYS: &[&str] = &["merge", "age", "pgp", "kms", "gcp_kms", "hckms", "azure_keyvault", "hc_vault"];
/// A key of KMS within a group.
const KMS_KEYS: &[&str] = &["arn", "role", "context", "aws_profile"];
/// What a rule's own keys are named by, which does not count beside groups.
const KEYS_OF_RULE: &[&str] =
    &["age", "pgp", "kms", "aws_profile", "gcp_kms", "hckms", "azure_keyvault", VAULT_OF_RULE];
/// A key of Google's, of Huawei's, of Azure's within a group.
const GCP_KEYS: &[&str] = &["resource_id"];
const HUAWEI_KEYS: &[&str] = &["key_id"];
const AZURE_KEYS: &[&str] = &["vaultUrl", "key", "version"];
/// Where a rule, and where a group names keys of Vault.
const VAULT_OF_RULE: &str = "hc_vault_transit_uri";
const VAULT_OF_GROUP: &str = "hc_vault";

impl Rule {
    fn read(rule: Node<'_>, unknown: UnknownKeys) -> Result<Self, RulesError> {
        let fields = Fields::new(rule);
        let position = rule.position();
        if unknown == UnknownKeys::Refuse {
            fields.check(RULE_KEYS)?;
        }
        let given: Vec<(SelectorKind, &str)> = SelectorKind::ALL
            .into_iter()
            .filter_map(|kind| fields.text(kind.as_str()).map(|text| text.map(|text| (kind, text))).transpose())
            .collect::<Result<_, _>>()?;
        let selector = Selector::choose(given).map_err(|source| RulesError::Selector { position, source })?;
        fields.number("shamir_threshold")?;

        let mut rule = Self {
            position,
            path_regex: read_path_regex(&fields)?,
            keys: Vec::new(),
            selector,
            mac_only_encrypted: fields.flag("mac_only_encrypted")?,
            is_flat: false,
            faulty: None,
            unsupported: None,
        };
        let groups = fields.list("key_groups", "a list of groups")?.unwrap_or_default();
        if groups.is_empty() {
            rule.is_flat = true;
            rule.add_flat_keys(&fields)?;
            return Ok(rule);
        }
        if unknown == UnknownKeys::Refuse {
            check_beside_groups(&fields)?;
        }
        if groups.len() > 1 {
            let position = fields.get("key_groups").map_or(position, Node::position);
            rule.unsupported = Some(("key_groups", position));
        }
        for group in groups {
            rule.add_group(group, unknown)?;
        }
        Ok(rule)
    }

    /// Adds the keys of a group, those of its `merge` first.
    fn add_group(&mut self, group: Node<'_>, unknown: UnknownKeys) -> Result<(), RulesError> {
        // The last is the next; merged groups come before the group itself.
        let mut groups = vec![(group, false)];
        while let Some((group, is_merged)) = groups.pop() {
            let fields = Fields::new(group);
            if is_merged {
                self.add_keys_of_group(&fields, unknown)?;
                continue;
            }
            if unknown == UnknownKeys::Refuse {
                fields.check(GROUP_KEYS)?;
            }
            groups.push((group, true));
            let merged = fields.list("merge", "a list of groups")?.unwrap_or_default();
            groups.extend(merged.into_iter().rev().map(|group| (group, false)));
        }
        Ok(())
    }

    /// Adds the keys that a rule names itself, in SOPS' order.
    fn add_flat_keys(&mut self, fields: &Fields<'_>) -> Result<(), RulesError> {
        self.add_names(fields, "age", |name| Ok(KeyName::Age(name.to_owned())))?;
        self.add_names(fields, "pgp", |text| Ok(KeyName::Pgp(PgpKeyName::from_argument(text)?)))?;
        let profile = fields.text("aws_profile")?.unwrap_or_default();
        self.add_names(fields, "kms", |arn| Ok(KeyName::Aws(AwsKeyName::split(arn, &[], profile))))?;
        self.add_names(fields, "gcp_kms", |id| Ok(KeyName::Gcp(GcpKeyName::from_argument(id)?)))?;
        self.add_names(fields, "hckms", |id| Ok(KeyName::Huawei(HuaweiKeyName::from_argument(id)?)))?;
        self.add_names(fields, "azure_keyvault", |url| Ok(KeyName::Azure(AzureKeyName::from_url(url)?)))?;
        self.add_names(fields, VAULT_OF_RULE, |uri| Ok(KeyName::Vault(VaultKeyName::from_uri(uri)?)))
    }

    /// Adds the keys that a group names itself, in SOPS' order.
    fn add_keys_of_group(&mut self, group: &Fields<'_>, unknown: UnknownKeys) -> Result<(), RulesError> {
        self.add_names(group, "age", |name| Ok(KeyName::Age(name.to_owned())))?;
        self.add_names(group, "pgp", |text| Ok(KeyName::Pgp(PgpKeyName::from_argument(text)?)))?;
        self.add_mappings(group, "kms", KMS_KEYS, unknown, |fields| {
            let text = |name| fields.text(name).map(|text| text.unwrap_or_default().to_owned());
            Ok(KeyName::Aws(AwsKeyName {
                arn: text("arn")?,
                role: text("role")?,
                context: fields.texts("context")?,
                profile: text("aws_profile")?,
            }))
        })?;
        self.add_mappings(group, "gcp_kms", GCP_KEYS, unknown, |fields| {
            let resource_id = fields.text("resource_id")?.unwrap_or_default().to_owned();
            Ok(KeyName::Gcp(GcpKeyName { resource_id }))
        })?;
        self.add_mappings(group, "hckms", HUAWEI_KEYS, unknown, |fields| {
            let key_id = fields.text("key_id")?.unwrap_or_default().to_owned();
            Ok(KeyName::Huawei(HuaweiKeyName { key_id }))
        })?;
        self.add_mappings(group, "azure_keyvault", AZURE_KEYS, unknown, |fields| {
            let text = |name| fields.text(name).map(|text| text.unwrap_or_default().to_owned());
            Ok(KeyName::Azure(AzureKeyName {
                vault_url: text("vaultUrl")?,
                name: text("key")?,
                version: text("version")?,
            }))
        })?;
        self.add_names(group, VAULT_OF_GROUP, |uri| Ok(KeyName::Vault(VaultKeyName::from_uri(uri)?)))
    }

    /// Adds the keys of a list of texts, or of a text with commas.
    fn add_names(
        &mut self,
        fields: &Fields<'_>,
        list: &'static str,
        read: impl Fn(&str) -> Result<KeyName, KeyNameError>,
    ) -> Result<(), RulesError> {
        let position = fields.get(list).map_or_else(|| fields.position(), Node::position);
        for text in fields.names(list)? {
            self.add_key(read(&text), position);
        }
        Ok(())
    }

    /// Adds the keys of a list of mappings.
    fn add_mappings(
        &mut self,
        group: &Fields<'_>,
        list: &'static str,
        known: &'static [&'static str],
        unknown: UnknownKeys,
        read: impl Fn(&Fields<'_>) -> Result<KeyName, RulesError>,
    ) -> Result<(), RulesError> {
        for key in group.list(list, "a list of mappings, one for each key")?.unwrap_or_default() {
            let fields = Fields::new(key);
            if unknown == UnknownKeys::Refuse {
                fields.check(known)?;
            }
            self.add_key(Ok(read(&fields)?), fields.position());
        }
        Ok(())
    }

    /// Adds a key, once.
    fn add_key(&mut self, key: Result<KeyName, KeyNameError>, position: Position) {
        match key.and_then(|key| key.check().map(|()| key)) {
            Ok(key) if self.keys.contains(&key) => {}
            Ok(key) => self.keys.push(key),
            Err(error) => drop(self.faulty.get_or_insert((error, position))),
        }
    }
}

impl Rule {
    /// Its keys; with this encryption context for those of KMS that the rule names itself, since only keys of groups have one there.
    pub fn keys_with_context(&self, context: &[(String, String)]) -> Vec<KeyName> {
        let mut keys = self.keys.clone();
        for key in &mut keys {
            if let KeyName::Aws(name) = key
                && self.is_flat
            {
                name.context = context.to_vec();
            }
        }
        keys
    }
}

fn read_path_regex(fields: &Fields<'_>) -> Result<Option<Pattern>, RulesError> {
    let Some(text) = fields.text("path_regex")?.filter(|text| !text.is_empty()) else { return Ok(None) };
    let position = fields.get("path_regex").map_or_else(|| fields.position(), Node::position);
    Pattern::new(text).map(Some).map_err(|source| RulesError::Pattern { position, source })
}

/// SOPS ignores a rule's own keys where it has groups: who reads the rule thinks that they can decrypt.
fn check_beside_groups(fields: &Fields<'_>) -> Result<(), RulesError> {
    for key in KEYS_OF_RULE {
        if let Some(node) = fields.get(key)
            && !fields::is_empty(node)
        {
            return Err(RulesError::Ignored { key, position: node.position() });
        }
    }
    Ok(())
}

/// The entries of a mapping, or the items of a list, without comments.
fn content(node: Node<'_>) -> impl Iterator<Item = Node<'_>> {
    node.children().filter(|child| child.kind() != Kind::Comment)
}

#[cfg(test)]
mod tests;
