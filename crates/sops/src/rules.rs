//! `.sops.yaml`: for whom new files are encrypted, and what of them; where they are published; how they are laid out.
//!
//! ```text
//! creation_rules:                 the first rule that matches the file's path counts
//!   - path_regex: \.enc\.yaml$    searched in the path below the directory of `.sops.yaml`; absent, it matches everything
//!     age: age1…, age1…           keys of a kind, separated by commas or in a list; also pgp, kms (with aws_profile), gcp_kms,
//!                                 azure_keyvault, hc_vault_transit_uri; hckms is a list
//!     key_groups:                 or groups of keys, between which the data key is split
//!       - age: [age1…]            also pgp, hc_vault: lists of names; kms, gcp_kms, hckms, azure_keyvault: lists of mappings
//!         merge: [{age: […]}]     groups whose keys are this one's, too, and come first; each key counts once
//!     shamir_threshold: 2         how many groups are needed; all, if it is not said
//!     encrypted_regex: ^data$     one of the six selectors
//!     mac_only_encrypted: true
//! destination_rules:              for publishing: path_regex, one of s3_bucket, gcs_bucket, vault_path, and recreation_rule
//! stores: {yaml: {indent: 2}, json: {indent: 2}, json_binary: {indent: 2}}
//! ```
//! SOPS passes over keys that it does not know, so a misspelt `encrypted_regexp` leaves values plain; here they are errors, unless its
//! own behaviour is asked for ([`UnknownKeys::Ignore`]). Then types are as lenient as Go's decoder is, too, and what is wrong with a rule
//! that is not used is not looked at. At the top, keys that hold anchors for the rules are taken for what they are. Aliases and merge keys
//! work. A selector that does not compile is an error always.
//!
//! Source: sops 3.13.3 `config/config.go`; the tests ask it about generated configurations.

mod destination;
mod error;
mod fields;
mod keys;
mod rule;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bulla_doc::{Document, Format, Kind, Node, Position};

pub use destination::{Destination, DestinationRule};
pub use error::{RuleError, RulesError};
use fields::Fields;
pub use rule::{Group, Rule};

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
    creation: Option<Vec<Rule>>,
    destinations: Vec<DestinationRule>,
    stores: Stores,
}

/// How far files are indented, as it stands in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stores {
    /// YAML: blanks; 0 for SOPS' own 4.
    pub yaml: i64,
    /// JSON: blanks; 0 for line breaks alone, -1 for a tab.
    pub json: i64,
    /// Binary files, which are JSON once they are encrypted; likewise.
    pub json_binary: i64,
}

impl Default for Stores {
    fn default() -> Self {
        Self { yaml: 0, json: -1, json_binary: -1 }
    }
}

impl Rules {
    /// Reads the configuration `text`, which lies in `directory`.
    ///
    /// # Errors
    /// [`RulesError`]
    pub fn read(text: &[u8], directory: impl Into<PathBuf>, unknown: UnknownKeys) -> Result<Self, RulesError> {
        let document = Document::parse(text, Format::Yaml)?;
        let directory = directory.into();
        let mut read = Self { directory, creation: None, destinations: Vec::new(), stores: Stores::default() };
        let Some(top) = document.branches().next() else {
            return Ok(read);
        };
        let top = Fields::new(top, unknown);
        top.check_top(TOP_KEYS)?;
        let rules = top.list("creation_rules", LIST)?;
        let rules = rules.map(|rules| rules.into_iter().map(|rule| Rule::read(rule, unknown)).collect());
        read.creation = rules.transpose()?;
        let destinations = top.list("destination_rules", LIST)?.unwrap_or_default();
        read.destinations =
            destinations.into_iter().map(|rule| DestinationRule::read(rule, unknown)).collect::<Result<_, _>>()?;
        read.stores = Stores::read(&top, unknown)?;
        if unknown == UnknownKeys::Refuse {
            let creation = read.creation.iter().flatten().map(|rule| (rule.position, rule.path_regex.is_none()));
            refuse_unreachable(creation)?;
            refuse_unreachable(read.destinations.iter().map(|rule| (rule.position, rule.path_regex.is_none())))?;
        }
        Ok(read)
    }

    /// The first rule that matches `file`, an absolute path without `.` and `..`. A file that does not lie below the configuration's
    /// directory is matched by its whole path.
    ///
    /// # Errors
    /// [`RuleError`]
    pub fn rule_for(&self, file: &Path) -> Result<&Rule, RuleError> {
        let rules = self.creation.as_ref().ok_or(RuleError::NoRules)?;
        let below = file.strip_prefix(&self.directory).unwrap_or(file);
        let file = below.to_string_lossy().into_owned();
        for rule in rules {
            if let Some(error) = &rule.broken_pattern {
                return Err(RuleError::Broken(Arc::clone(error)));
            }
            if rule.matches(&file) {
                check(rule, file)?;
                return Ok(rule);
            }
        }
        Err(RuleError::NoMatch { file })
    }

    /// The first destination that matches `file`, the path as it was typed.
    ///
    /// # Errors
    /// [`RuleError`]
    pub fn destination_for(&self, file: &str) -> Result<&DestinationRule, RuleError> {
        let found = self.destinations.iter().find(|rule| rule.matches(file));
        let rule = found.ok_or_else(|| RuleError::NoDestination { file: file.to_owned() })?;
        if let Some(error) = &rule.broken {
            return Err(RuleError::Broken(Arc::clone(error)));
        }
        check(&rule.recreation, file.to_owned())?;
        Ok(rule)
    }

    /// Are there creation rules at all? An empty list is one.
    pub fn has_creation_rules(&self) -> bool {
        self.creation.is_some()
    }

    /// How far files are indented.
    pub fn stores(&self) -> Stores {
        self.stores
    }
}

/// Refuses a rule behind one that matches everything. Of each rule, its place and whether it does.
fn refuse_unreachable(rules: impl Iterator<Item = (Position, bool)>) -> Result<(), RulesError> {
    let mut before = None;
    for (position, matches_everything) in rules {
        if let Some(before) = before {
            return Err(RulesError::Unreachable { position, before });
        }
        before = matches_everything.then_some(position);
    }
    Ok(())
}

/// Can the rule be used for `file`?
fn check(rule: &Rule, file: String) -> Result<(), RuleError> {
    if let Some(error) = &rule.broken {
        return Err(RuleError::Broken(Arc::clone(error)));
    }
    match &rule.faulty {
        Some((source, position)) => Err(RuleError::Key { position: *position, file, source: source.clone() }),
        None => Ok(()),
    }
}

const TOP_KEYS: &[&str] = &["creation_rules", "destination_rules", "stores"];
const STORE_KEYS: &[&str] = &["yaml", "json", "json_binary", "dotenv", "ini"];
const LIST: &str = "a list of rules";

impl Stores {
    fn read(top: &Fields<'_>, unknown: UnknownKeys) -> Result<Self, RulesError> {
        const EXPECTATION: &str = "a mapping with `indent`";
        let mut read = Self::default();
        let Some(stores) = top.mapping("stores", "a mapping of formats")? else { return Ok(read) };
        stores.check(STORE_KEYS)?;
        for (name, indent, least, most) in [
            ("yaml", &mut read.yaml, 0, 9),
            ("json", &mut read.json, -1, 64),
            ("json_binary", &mut read.json_binary, -1, 64),
        ] {
            let Some(store) = stores.mapping(name, EXPECTATION)? else { continue };
            store.check(&["indent"])?;
            let Some(number) = store.number("indent")? else { continue };
            // With one blank, or ten, go-yaml writes two.
            let is_good = (least..=most).contains(&number) && (name, number) != ("yaml", 1);
            if unknown == UnknownKeys::Refuse && !is_good {
                let expected = if name == "yaml" {
                    "a number of blanks from 2 to 9, or 0 for SOPS' own"
                } else {
                    "a number of blanks, or -1 for a tab"
                };
                return Err(RulesError::Expected { key: "indent", expected, position: store.position_of("indent") });
            }
            *indent = number;
        }
        for name in ["dotenv", "ini"] {
            if let Some(store) = stores.mapping(name, "an empty mapping")? {
                store.check(&[])?;
            }
        }
        Ok(read)
    }
}

/// The entries of a mapping, or the items of a list, without comments.
fn content(node: Node<'_>) -> impl Iterator<Item = Node<'_>> {
    node.children().filter(|child| child.kind() != Kind::Comment)
}

#[cfg(test)]
mod tests;
