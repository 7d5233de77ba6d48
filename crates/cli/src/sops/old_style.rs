//! The old style, without a command: `sops [-d|-e|-r|--set …] FILE`; none of them edits.

use crate::files::Readers;

use super::failure::{Failure, code, missing};
use super::file::{Target, absolute_of, check_destination, is_missing, sources, warn_of_more};
use super::recipe::{NewFile, check_rule};
use super::rotate::{changes_keys, rotated};
use super::{Outcome, Run, decrypt, edit, set};

pub(super) fn run(run: &Run<'_>) -> Outcome {
    let (encrypts, decrypts, rotates) = (run.flags.is("encrypt"), run.flags.is("decrypt"), run.flags.is("rotate"));
    let argument = run.flags.text("set");
    let sets = !argument.is_empty();
    let Some(name) = run.arguments().first() else {
        return Err(Failure::new(code::NO_FILE, "Error: no file specified"));
    };
    warn_of_more(run);
    check_destination(run)?;
    let path = absolute_of(name)?;
    if is_missing(&path) {
        if changes_keys(run) {
            let behind = ", use `--kms` and `--pgp` instead.";
            return Err(missing(code::KEYS_WITHOUT_FILE, "add or remove keys on", &path, behind));
        }
        if encrypts || decrypts || rotates {
            return Err(missing(code::NO_FILE, "operate on", &path, ""));
        }
    }
    if [encrypts, decrypts, rotates, sets].into_iter().filter(|given| *given).count() > 1 {
        run.warn("More than one command (--encrypt, --decrypt, --rotate, --set) has been specified. Only the changes made by the last one will be visible. Note that this behavior is deprecated and will cause an error eventually.");
    }
    let target = Target::of(run, Some(path))?;
    if encrypts || rotates || sets || !decrypts {
        check_rule(run, &target)?;
    }
    let ring = sources(run)?;
    // Each does over what those before it did. But whether one could encrypt is looked at first.
    let recipe = if encrypts { Some(NewFile::of(run, &target)?) } else { None };
    if sets {
        let (path, value) = set::read_argument(&argument)?;
        let bytes = target.read()?;
        let Some(changed) = set::changed(run, &target, bytes.clone(), &path, value, &ring)? else { return Ok(()) };
        return target.write_in_place(run, &bytes, &changed);
    }
    if rotates {
        let bytes = target.read()?;
        let rotated = rotated(run, &target, bytes.clone(), &ring)?;
        return target.write(run, &bytes, &rotated, Readers::Everybody);
    }
    if decrypts {
        let path = decrypt::extracted(run)?;
        let bytes = target.read()?;
        let plain = decrypt::plain(run, &target, bytes.clone(), &path, &ring)?;
        return target.write(run, &bytes, &plain, Readers::Owner);
    }
    if let Some(recipe) = recipe {
        let plain = target.read()?;
        let encrypted = recipe.encrypt(run, &target, &plain)?;
        return target.write(run, &plain, &encrypted, Readers::Everybody);
    }
    edit::edit_target(run, &target, &ring)
}
