//! A creation rule.

use std::sync::Arc;

use bulla_doc::{Node, Position};
use bulla_keys::{KeyName, KeyNameError};
use bulla_pattern::Pattern;

use super::fields::{self, Fields};
use super::keys::{KEYS_OF_RULE, keys_of_group, keys_of_rule};
use super::{RulesError, UnknownKeys};
use crate::groups::KeyGroups;
use crate::selector::{Selector, SelectorKind};

/// A creation rule, or what a destination is encrypted for.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Rule {
    /// Where it stands.
    pub position: Position,
    /// What it matches; `None` matches everything.
    pub path_regex: Option<Pattern>,
    /// Its groups of keys, each key once. One group, empty perhaps, where it names its keys itself.
    pub groups: Vec<Group>,
    /// How many of several groups are needed; 0 for all.
    pub threshold: usize,
    /// The selector, if it names one.
    pub selector: Option<Selector>,
    /// Does the MAC cover encrypted values only?
    pub mac_only_encrypted: bool,
    /// Does it name its keys itself, and not in groups?
    is_flat: bool,
    /// The first key that is none, with its place. It matters only if the rule is used.
    pub(super) faulty: Option<(KeyNameError, Position)>,
    /// What is wrong with its pattern: whoever comes to the rule cannot go on.
    pub(super) broken_pattern: Option<Arc<RulesError>>,
    /// What else is wrong with it, if it is used.
    pub(super) broken: Option<Arc<RulesError>>,
}

/// A group of keys of a rule.
#[derive(Debug)]
#[non_exhaustive]
pub struct Group {
    /// Where it stands; the rule, if that names its keys itself.
    pub position: Position,
    /// Its keys, each once.
    pub keys: Vec<KeyName>,
}

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
const THRESHOLD: &str = "shamir_threshold";

impl Rule {
    /// Reads a rule. SOPS looks at patterns, selectors and lists of names when it uses a rule, so as SOPS what is wrong with them waits.
    pub(super) fn read(rule: Node<'_>, unknown: UnknownKeys) -> Result<Self, RulesError> {
        let fields = Fields::new(rule, unknown);
        fields.check(RULE_KEYS)?;
        let mut rule = Self { position: rule.position(), ..Self::default() };
        rule.mac_only_encrypted = fields.flag("mac_only_encrypted")?;
        let text = |kind: SelectorKind| fields.text(kind.as_str()).map(|text| (kind, text));
        let selectors = SelectorKind::ALL.into_iter().map(text).collect::<Result<Vec<_>, _>>()?;
        let pattern = fields.text("path_regex")?;

        match read_pattern(&fields, &pattern) {
            Ok(pattern) => rule.path_regex = pattern,
            Err(error) => rule.broken_pattern = waits(unknown, error)?,
        }
        match Selector::choose(selectors.iter().map(|(kind, text)| (*kind, text.as_str()))) {
            Ok(selector) => rule.selector = selector,
            Err(source) => {
                let error = RulesError::Selector { position: rule.position, source };
                rule.broken = waits(unknown, error)?;
            }
        }
        rule.read_groups(&fields, unknown)?;
        rule.threshold = rule.read_threshold(&fields, unknown)?;
        Ok(rule)
    }

    fn read_groups(&mut self, fields: &Fields<'_>, unknown: UnknownKeys) -> Result<(), RulesError> {
        let groups = fields.list("key_groups", "a list of groups")?.unwrap_or_default();
        // Types of these are looked at in any case.
        let profile = fields.text("aws_profile")?;
        fields.texts("hckms")?;
        if groups.is_empty() {
            self.is_flat = true;
            let position = self.position;
            match keys_of_rule(fields, &profile) {
                Ok(keys) => self.add_group(position, keys),
                Err(error) => {
                    self.broken = waits(unknown, error)?;
                    self.groups.push(Group { position, keys: Vec::new() });
                }
            }
            return Ok(());
        }
        if unknown == UnknownKeys::Refuse {
            check_beside_groups(fields)?;
        }
        for group in groups {
            let keys = keys_of_group(group, unknown)?;
            self.add_group(group.position(), keys);
        }
        Ok(())
    }

    /// Adds a group of these keys, each once.
    fn add_group(&mut self, position: Position, found: Vec<(Result<KeyName, KeyNameError>, Position)>) {
        let mut keys: Vec<KeyName> = Vec::new();
        for (key, position) in found {
            match key.and_then(|key| key.check().map(|()| key)) {
                Ok(key) if keys.iter().any(|known| known.id() == key.id()) => {}
                Ok(key) => keys.push(key),
                Err(error) => drop(self.faulty.get_or_insert((error, position))),
            }
        }
        self.groups.push(Group { position, keys });
    }

    fn read_threshold(&self, fields: &Fields<'_>, unknown: UnknownKeys) -> Result<usize, RulesError> {
        let Some(threshold) = fields.number(THRESHOLD)? else { return Ok(0) };
        let groups = self.groups.len();
        let is_good = match usize::try_from(threshold) {
            Ok(0) => true,
            Ok(1) => groups < 2,
            Ok(threshold) => threshold <= groups,
            Err(_) => false,
        };
        match usize::try_from(threshold) {
            Ok(threshold) if is_good || unknown == UnknownKeys::Ignore => Ok(threshold),
            _ => Err(RulesError::Threshold { threshold, groups, position: fields.position_of(THRESHOLD) }),
        }
    }

    /// A rule that names no key.
    pub(super) fn without_keys(position: Position) -> Self {
        Self { position, groups: vec![Group { position, keys: Vec::new() }], ..Self::default() }
    }

    /// Its keys by group; with this encryption context for those of KMS that the rule names itself, since only keys of groups have one
    /// there.
    pub fn key_groups(&self, context: &[(String, String)]) -> KeyGroups {
        let mut groups: Vec<Vec<KeyName>> = self.groups.iter().map(|group| group.keys.clone()).collect();
        for key in groups.iter_mut().flatten().filter(|_| self.is_flat) {
            if let KeyName::Aws(name) = key {
                name.context = context.to_vec();
            }
        }
        KeyGroups { groups, threshold: self.threshold }
    }

    /// Does it match a file of this path?
    pub(super) fn matches(&self, file: &str) -> bool {
        self.path_regex.as_ref().is_none_or(|pattern| pattern.is_match(file))
    }
}

/// An error that SOPS meets only where the rule is used is kept for then.
pub(super) fn waits(unknown: UnknownKeys, error: RulesError) -> Result<Option<Arc<RulesError>>, RulesError> {
    match unknown {
        UnknownKeys::Refuse => Err(error),
        UnknownKeys::Ignore => Ok(Some(Arc::new(error))),
    }
}

pub(super) fn read_pattern(fields: &Fields<'_>, text: &str) -> Result<Option<Pattern>, RulesError> {
    if text.is_empty() {
        return Ok(None);
    }
    let position = fields.position_of("path_regex");
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
