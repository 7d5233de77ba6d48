//! `sops groups add` and `sops groups delete`. The data key stays, as there.
//!
//! A group without keys, the last group, and one that is not there are refused, and so is a key that does not wrap: sops leaves a file
//! that nobody opens, or one with an empty entry.

use std::path::PathBuf;

use bulla_keys::KeyName;
use bulla_sops::danger::{Dates, wrap_data_key_again};
use bulla_sops::{EncryptedFile, GroupsError, KeyGroups};

use crate::error::CommandError;
use crate::files::Readers;
use crate::wait::block_on;

use super::failure::{Failure, code};
use super::file::{Target, read_encrypted, sources};
use super::go::quoted;
use super::recipe::{Lists, context, master_keys, threshold, without_data_key};
use super::{Outcome, Run, report};

/// `sops groups add`
pub(super) fn add(run: &Run<'_>) -> Outcome {
    if !run.arguments().is_empty() {
        return Err(Failure::new(code::FAILED, "error: no positional arguments allowed"));
    }
    let names = keys_of_flags(run)?;
    change(run, |groups| groups.add_group(names).map_err(|error| fatal(error, String::new())))
}

/// `sops groups delete`
pub(super) fn delete(run: &Run<'_>) -> Outcome {
    let [index] = run.arguments() else {
        return Err(Failure::new(code::FAILED, "error: exactly one positional argument (index) required"));
    };
    let index = index.to_string_lossy();
    let number = index.parse::<u32>().map_err(|_| {
        let reason = format!("strconv.ParseUint: parsing {}: invalid syntax", quoted(&index));
        Failure::fatal(format!("failed to parse [index] argument: {reason}"))
    })?;
    change(run, |groups| {
        groups.remove_group(number as usize).map_err(|error| {
            let words = match error {
                GroupsError::Threshold { threshold, groups } => format!(
                    "removing this key group will make the Shamir threshold impossible to satisfy: Shamir threshold is {threshold}, \
                     but we only have {groups} key groups"
                ),
                _ => String::new(),
            };
            fatal(error, words)
        })
    })
}

/// In `words`, or in our own.
fn fatal(error: GroupsError, words: String) -> Failure {
    Failure::fatal(if words.is_empty() { CommandError::from(error).sentence() } else { words })
}

/// Changes the groups of the file, and wraps its data key for them.
fn change(run: &Run<'_>, edit: impl FnOnce(&mut KeyGroups) -> Result<(), Failure>) -> Outcome {
    let target = Target::of(run, Some(PathBuf::from(run.flags.raw("file"))))?;
    let ring = sources(run)?;
    let bytes = target.read()?;
    let file = read_encrypted(bytes.clone(), target.input).map_err(Failure::logged)?;
    let key = block_on(file.data_key(&ring)).map_err(report::failure)?;
    let again = changed(run, &file, edit, &ring, &key)?;
    target.write(run, &bytes, &again, Readers::Everybody)
}

fn changed(
    run: &Run<'_>,
    file: &EncryptedFile,
    edit: impl FnOnce(&mut KeyGroups) -> Result<(), Failure>,
    ring: &bulla_keys::KeySources<'_>,
    key: &bulla_crypto::DataKey,
) -> Result<bulla_wipe::Wiping<Vec<u8>>, Failure> {
    let mut groups = KeyGroups::of(file.metadata());
    groups.threshold = threshold(run)?.unwrap_or(groups.threshold);
    edit(&mut groups)?;
    let keys = master_keys(ring, &groups, Some(file.metadata()))?;
    let mut rng = run.cx.rng().map_err(Failure::from)?;
    let moment = (run.cx.now(), Dates::Keep);
    block_on(wrap_data_key_again(file, key, &keys.by_group(), groups.threshold, moment, &mut rng))
        .map_err(without_data_key)
}

/// The keys of the new group, in sops' order.
fn keys_of_flags(run: &Run<'_>) -> Result<Vec<KeyName>, Failure> {
    let context = context(run)?;
    let profile = run.flags.text("aws-profile");
    let list = |flag: &str| run.flags.list(flag).join(",");
    let none = Lists::default();
    let lists = [
        Lists { pgp: list("pgp"), ..none.clone() },
        Lists { kms: list("kms"), ..none.clone() },
        Lists { gcp: list("gcp-kms"), huawei: list("hckms"), ..none.clone() },
        Lists { vault: list("hc-vault-transit"), ..none.clone() },
        Lists { azure: list("azure-kv"), ..none.clone() },
        Lists { age: list("age"), ..none },
    ];
    let mut names = Vec::new();
    for lists in lists {
        names.append(&mut lists.read(&context, &profile)?);
    }
    Ok(names)
}
