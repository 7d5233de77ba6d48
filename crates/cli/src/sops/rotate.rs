//! `sops rotate`: a new data key, for the readers that the file has, with those of `--add-…` and without those of `--rm-…`.

use bulla_doc::Format;
use bulla_keys::KeySources;
use bulla_sops::{EncryptedFile, Groups, KeyGroups, Metadata, NothingSelected, Opened, Recipe};
use bulla_wipe::Wiping;

use crate::error::CommandError;
use crate::files::Readers;
use crate::wait::block_on;

use super::failure::{Failure, code, missing};
use super::file::{Target, absolute_of, check_destination, is_missing, open, read_encrypted, sources, warn_of_more};
use super::recipe::{context, convert, keys_of_flags, master_keys, tell, unencryptable};
use super::{Outcome, Run};

const KINDS: [&str; 7] = ["kms", "pgp", "gcp-kms", "hckms", "hc-vault-transit", "azure-kv", "age"];

pub(super) fn rotate(run: &Run<'_>) -> Outcome {
    let Some(name) = run.arguments().first() else {
        return Err(Failure::new(code::NO_FILE, "Error: no file specified"));
    };
    warn_of_more(run);
    check_destination(run)?;
    let path = absolute_of(name)?;
    if is_missing(&path) && changes_keys(run) {
        let behind = ", use the `edit` subcommand instead.";
        return Err(missing(code::KEYS_WITHOUT_FILE, "add or remove keys on", &path, behind));
    }
    let target = Target::of(run, Some(path))?;
    let ring = sources(run)?;
    let bytes = target.read()?;
    let rotated = rotated(run, &target, bytes.clone(), &ring)?;
    target.write(run, &bytes, &rotated, Readers::Everybody)
}

/// Does a flag add or remove keys?
pub(super) fn changes_keys(run: &Run<'_>) -> bool {
    let is_given = |flag: String| !run.flags.raw(&flag).is_empty();
    KINDS.iter().any(|kind| is_given(format!("add-{kind}")) || is_given(format!("rm-{kind}")))
}

/// The encrypted file `bytes` under a new data key.
///
/// # Errors
/// In the words of sops.
pub(super) fn rotated(
    run: &Run<'_>,
    target: &Target,
    bytes: Wiping<Vec<u8>>,
    ring: &KeySources<'_>,
) -> Result<Wiping<Vec<u8>>, Failure> {
    let context = context(run)?;
    let (add, remove) = (keys_of_flags(run, "add-", &context)?, keys_of_flags(run, "rm-", &context)?);
    let file = read_encrypted(bytes, target.input)?;
    let opened = open(run, &file, ring)?;
    let mut groups = KeyGroups::of(file.metadata());
    groups.add(add);
    groups.remove(&remove).map_err(|error| {
        Failure::above(
            code::FAILED,
            "Could not generate data key: [empty key group provided]",
            CommandError::from(error),
        )
    })?;
    for_readers(run, target, &file, &opened, &groups, ring)
}

/// The document of `file` in the output's format, under a new data key, for these groups of keys.
///
/// # Errors
/// In the words of sops.
pub(super) fn for_readers(
    run: &Run<'_>,
    target: &Target,
    file: &EncryptedFile,
    opened: &Opened<'_>,
    groups: &KeyGroups,
    ring: &KeySources<'_>,
) -> Result<Wiping<Vec<u8>>, Failure> {
    if target.input != target.output {
        let plain = plain_in(opened, target.input, target.output, target.indent)?;
        return encrypted_again(run, &plain, target.output, (file.metadata(), file.metadata()), groups, ring);
    }
    let keys = master_keys(ring, groups, Some(file.metadata()))?;
    let by_group = keys.by_group();
    let recipe = recipe_of(run, file.metadata(), &by_group, keys.threshold);
    let mut rng = run.cx.rng().map_err(Failure::from)?;
    let encrypted = block_on(opened.rotate(&recipe, &mut rng)).map_err(|error| unencryptable(error, target.output))?;
    tell(run, &encrypted.summary);
    Ok(encrypted.bytes)
}

/// `plain` under a new data key, for these groups of keys, encrypted as `metadata` says. `of_file` is that of the file as it was.
///
/// # Errors
/// In the words of sops.
pub(super) fn encrypted_again(
    run: &Run<'_>,
    plain: &[u8],
    format: Format,
    (metadata, of_file): (&Metadata, &Metadata),
    groups: &KeyGroups,
    ring: &KeySources<'_>,
) -> Result<Wiping<Vec<u8>>, Failure> {
    let keys = master_keys(ring, groups, Some(of_file))?;
    let by_group = keys.by_group();
    let recipe = recipe_of(run, metadata, &by_group, keys.threshold);
    let mut rng = run.cx.rng().map_err(Failure::from)?;
    let encrypted = block_on(bulla_sops::encrypt(plain, format, &recipe, &mut rng))
        .map_err(|error| unencryptable(error, format))?;
    tell(run, &encrypted.summary);
    Ok(encrypted.bytes)
}

fn recipe_of<'r>(run: &Run<'_>, metadata: &'r Metadata, groups: &'r Groups<'r>, threshold: usize) -> Recipe<'r> {
    Recipe {
        groups,
        threshold,
        selector: &metadata.selector,
        mac_only_encrypted: metadata.mac_only_encrypted,
        nothing_selected: NothingSelected::Allow,
        now: run.cx.now(),
    }
}

/// The opened document in another format.
pub(super) fn plain_in(
    opened: &Opened<'_>,
    input: Format,
    output: Format,
    indent: Option<usize>,
) -> Result<Wiping<Vec<u8>>, Failure> {
    let plain = opened.to_plain();
    if input == output {
        return Ok(plain);
    }
    convert(&plain, input, output, indent)
}
