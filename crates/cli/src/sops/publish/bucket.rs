//! The encrypted file goes to a bucket of S3 or Google Cloud Storage: as it is, or encrypted again for other keys.

use bulla_keys::KeySources;
use bulla_sops::rules::DestinationRule;
use bulla_sops::{EncryptedFile, KeyGroups, NothingSelected, Recipe};
use bulla_wipe::Wiping;

use crate::wait::block_on;

use super::super::Run;
use super::super::failure::Failure;
use super::super::file::{Target, open};
use super::super::recipe::{master_keys, tell, unencryptable};
use super::super::updatekeys::lines;

/// What is put there of `file`, whose bytes are given.
///
/// # Errors
/// In the words of sops: it does not open, or a key of the rule fails.
pub(super) fn content(
    run: &Run<'_>,
    rule: &DestinationRule,
    (file, bytes): (&EncryptedFile, Wiping<Vec<u8>>),
    target: &Target,
    ring: &KeySources<'_>,
) -> Result<Wiping<Vec<u8>>, Failure> {
    let wanted = rule.recreation.key_groups(&[]);
    if wanted.groups.iter().all(Vec::is_empty) {
        return Ok(bytes);
    }
    let plain = open(run, file, ring)?.to_plain();
    let differences = KeyGroups::of(file.metadata()).differences(&wanted);
    if differences.iter().any(|difference| !difference.is_none()) {
        let changes = format!("The following changes will be made to the file's key groups:\n{}", lines(&differences));
        run.print(changes.as_bytes())?;
    }
    let keys = master_keys(ring, &wanted, None)?;
    let recipe = Recipe {
        groups: &keys.by_group(),
        threshold: keys.threshold,
        selector: &rule.recreation.selector.clone().unwrap_or_default(),
        mac_only_encrypted: rule.recreation.mac_only_encrypted,
        // Others may read what is in a bucket.
        nothing_selected: NothingSelected::Refuse,
        now: run.cx.now(),
    };
    let mut rng = run.cx.rng().map_err(Failure::from)?;
    let encrypted = block_on(bulla_sops::encrypt(&plain, target.input, &recipe, &mut rng))
        .map_err(|error| unencryptable(error, target.input))?;
    tell(run, &encrypted.summary);
    Ok(encrypted.bytes)
}
