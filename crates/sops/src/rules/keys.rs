//! The keys that a rule names, itself or in groups, in SOPS' order.

use bulla_doc::{Node, Position};
use bulla_keys::aws::AwsKeyName;
use bulla_keys::azure::AzureKeyName;
use bulla_keys::gcp::GcpKeyName;
use bulla_keys::{KeyName, KeyNameError, Source};

use super::fields::{Fields, split};
use super::{RulesError, UnknownKeys};

/// What a rule's own keys are named by, which does not count beside groups.
pub(super) const KEYS_OF_RULE: &[&str] =
    &["age", "pgp", "kms", "aws_profile", "gcp_kms", "hckms", "azure_keyvault", "hc_vault_transit_uri"];

const GROUP_KEYS: &[&str] = &["merge", "age", "pgp", "kms", "gcp_kms", "hckms", "azure_keyvault", "hc_vault"];
/// A key of AWS, of Google, of Huawei, of Azure within a group.
const KMS_KEYS: &[&str] = &["arn", "role", "context", "aws_profile"];
const GCP_KEYS: &[&str] = &["resource_id"];
const HUAWEI_KEYS: &[&str] = &["key_id"];
const AZURE_KEYS: &[&str] = &["vaultUrl", "key", "version"];

/// Keys as they are found, whether or not they are some, each with its place.
type Found = Vec<(Result<KeyName, KeyNameError>, Position)>;

/// The keys that a rule names itself.
pub(super) fn keys_of_rule(fields: &Fields<'_>, profile: &str) -> Result<Found, RulesError> {
    let mut found = Found::new();
    add(&mut found, fields.names("age")?, Source::Age, profile);
    add(&mut found, fields.names("pgp")?, Source::Pgp, profile);
    add(&mut found, fields.names("kms")?, Source::Kms, profile);
    add(&mut found, fields.names("gcp_kms")?, Source::GcpKms, profile);
    // The only one that is a list in any case.
    for (text, position) in fields.texts("hckms")? {
        add(&mut found, split(&text).map(|id| (id, position)), Source::HcKms, profile);
    }
    add(&mut found, fields.names("azure_keyvault")?, Source::AzureKv, profile);
    add(&mut found, fields.names("hc_vault_transit_uri")?, Source::HcVault, profile);
    Ok(found)
}

/// Adds the keys of these texts. `profile` is that of keys of AWS.
fn add(found: &mut Found, texts: impl IntoIterator<Item = (String, Position)>, source: Source, profile: &str) {
    let name = |text: &str| KeyName::from_text(source, text, &[], profile);
    found.extend(texts.into_iter().map(|(text, position)| (name(&text), position)));
}

/// The keys of a group; those of its `merge` first.
pub(super) fn keys_of_group(group: Node<'_>, unknown: UnknownKeys) -> Result<Found, RulesError> {
    let mut found = Found::new();
    // The last is the next; merged groups come before the group itself.
    let mut groups = vec![(group, false)];
    while let Some((group, is_merged)) = groups.pop() {
        let fields = Fields::new(group, unknown);
        if is_merged {
            add_own_keys(&fields, unknown, &mut found)?;
            continue;
        }
        fields.check(GROUP_KEYS)?;
        groups.push((group, true));
        let merged = fields.list("merge", "a list of groups")?.unwrap_or_default();
        groups.extend(merged.into_iter().rev().map(|group| (group, false)));
    }
    Ok(found)
}

/// The keys that a group names itself.
fn add_own_keys(group: &Fields<'_>, unknown: UnknownKeys, found: &mut Found) -> Result<(), RulesError> {
    for (text, position) in group.texts("age")? {
        add(found, split(&text).map(|recipient| (recipient, position)), Source::Age, "");
    }
    add(found, group.texts("pgp")?, Source::Pgp, "");
    for fields in mappings(group, "kms", KMS_KEYS, unknown)? {
        let name = AwsKeyName {
            arn: fields.text("arn")?,
            role: fields.text("role")?,
            context: fields.pairs("context")?,
            profile: fields.text("aws_profile")?,
        };
        found.push((Ok(KeyName::Aws(name)), fields.position()));
    }
    for fields in mappings(group, "gcp_kms", GCP_KEYS, unknown)? {
        // Blanks within it go, as in SOPS.
        let resource_id = fields.text("resource_id")?.replace(' ', "");
        found.push((Ok(KeyName::Gcp(GcpKeyName { resource_id })), fields.position()));
    }
    for fields in mappings(group, "hckms", HUAWEI_KEYS, unknown)? {
        add(found, [(fields.text("key_id")?, fields.position())], Source::HcKms, "");
    }
    for fields in mappings(group, "azure_keyvault", AZURE_KEYS, unknown)? {
        let name = AzureKeyName {
            vault_url: fields.text("vaultUrl")?,
            name: fields.text("key")?,
            version: fields.text("version")?,
        };
        found.push((Ok(KeyName::Azure(name)), fields.position()));
    }
    add(found, group.texts("hc_vault")?, Source::HcVault, "");
    Ok(())
}

/// The mappings of a list, one for each key.
fn mappings<'d>(
    group: &Fields<'d>,
    list: &'static str,
    known: &'static [&'static str],
    unknown: UnknownKeys,
) -> Result<Vec<Fields<'d>>, RulesError> {
    let mut mappings = Vec::new();
    for key in group.list(list, "a list of mappings, one for each key")?.unwrap_or_default() {
        let fields = Fields::new(key, unknown);
        fields.check(known)?;
        mappings.push(fields);
    }
    Ok(mappings)
}
