//! Where `publish` puts a file: a rule of `destination_rules`.

use std::sync::Arc;

use bulla_doc::{Node, Position};
use bulla_pattern::Pattern;

use super::fields::Fields;
use super::rule::{Rule, read_pattern, waits};
use super::{RulesError, UnknownKeys};

/// A rule for publishing.
#[derive(Debug)]
#[non_exhaustive]
pub struct DestinationRule {
    /// Where it stands.
    pub position: Position,
    /// What it matches, of a path as it is typed; `None` matches everything.
    pub path_regex: Option<Pattern>,
    /// Where the file goes; `None` where nothing is said, which nothing but SOPS' own reading of a configuration gives.
    pub destination: Option<Destination>,
    /// Is the file named without its extensions there?
    pub omit_extensions: bool,
    /// For whom it is encrypted there; as it is, if this names no key.
    pub recreation: Rule,
    /// What is wrong with it, if it is used.
    pub(super) broken: Option<Arc<RulesError>>,
}

/// Where a file goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// A bucket of S3.
    S3 {
        /// Its name.
        bucket: String,
        /// What names of objects begin with.
        prefix: String,
    },
    /// A bucket of Google Cloud Storage.
    Gcs {
        /// Its name.
        bucket: String,
        /// What names of objects begin with.
        prefix: String,
    },
    /// Secrets of a key-value engine of Vault.
    Vault {
        /// The server; empty for that of the environment.
        address: String,
        /// Where in the engine, closed by a slash.
        path: String,
        /// Where the engine is mounted, closed by a slash.
        mount: String,
        /// Version of the engine: 1 or 2.
        version: u8,
    },
}

impl Destination {
    /// The place of a file of this name: a URL, but for the address of a Vault that is that of the environment.
    pub fn place(&self, name: &str) -> String {
        match self {
            Self::S3 { bucket, prefix } => format!("s3://{bucket}/{prefix}{name}"),
            Self::Gcs { bucket, prefix } => format!("gcs://{bucket}/{prefix}{name}"),
            Self::Vault { address, path, mount, version } => {
                let data = if *version == 2 { "data/" } else { "" };
                format!("{address}/v1/{mount}{data}{path}{name}")
            }
        }
    }
}

const DESTINATION_KEYS: &[&str] = &[
    "path_regex",
    "s3_bucket",
    "s3_prefix",
    "gcs_bucket",
    "gcs_prefix",
    "vault_address",
    "vault_path",
    "vault_kv_mount_name",
    "vault_kv_version",
    "omit_extensions",
    "recreation_rule",
];

impl DestinationRule {
    pub(super) fn read(rule: Node<'_>, unknown: UnknownKeys) -> Result<Self, RulesError> {
        let fields = Fields::new(rule, unknown);
        fields.check(DESTINATION_KEYS)?;
        let position = rule.position();
        let recreation = match fields.present("recreation_rule") {
            Some(rule) if rule.kind() == bulla_doc::Kind::Mapping => Rule::read(rule, unknown)?,
            Some(node) => {
                let (key, expected) = ("recreation_rule", "a rule");
                return Err(RulesError::Expected { key, expected, position: node.position() });
            }
            None => Rule::without_keys(position),
        };
        let mut read = Self {
            position,
            path_regex: None,
            destination: None,
            omit_extensions: fields.flag("omit_extensions")?,
            recreation,
            broken: None,
        };
        match read_pattern(&fields, &fields.text("path_regex")?) {
            Ok(pattern) => read.path_regex = pattern,
            // SOPS takes an expression that does not compile for one that matches nothing.
            Err(error) => {
                waits(unknown, error)?;
                read.path_regex = Pattern::new(r"[^\s\S]").ok();
            }
        }
        let mut found = destinations(&fields)?;
        match (found.pop(), found.len()) {
            (destination @ Some(_), 0) => read.destination = destination,
            (None, _) if unknown == UnknownKeys::Ignore => {}
            (last, others) => {
                let found = others + usize::from(last.is_some());
                read.broken = waits(unknown, RulesError::Destination { found, position })?;
            }
        }
        Ok(read)
    }

    pub(super) fn matches(&self, file: &str) -> bool {
        self.path_regex.as_ref().is_none_or(|pattern| pattern.is_match(file))
    }
}

/// Every place that the rule names.
fn destinations(fields: &Fields<'_>) -> Result<Vec<Destination>, RulesError> {
    let mut found = Vec::new();
    let (bucket, prefix) = (fields.text("s3_bucket")?, fields.text("s3_prefix")?);
    if !bucket.is_empty() {
        found.push(Destination::S3 { bucket, prefix });
    }
    let (bucket, prefix) = (fields.text("gcs_bucket")?, fields.text("gcs_prefix")?);
    if !bucket.is_empty() {
        found.push(Destination::Gcs { bucket, prefix });
    }
    let (address, path) = (fields.text("vault_address")?, fields.text("vault_path")?);
    let mount = fields.text("vault_kv_mount_name")?;
    // Whatever is not 1 is 2.
    let version = if fields.number("vault_kv_version")? == Some(1) { 1 } else { 2 };
    if !path.is_empty() {
        let mount = if mount.is_empty() { "secret".to_owned() } else { mount };
        found.push(Destination::Vault { address, path: closed(path), mount: closed(mount), version });
    }
    Ok(found)
}

/// With a slash at its end.
fn closed(mut path: String) -> String {
    if !path.ends_with('/') {
        path.push('/');
    }
    path
}
