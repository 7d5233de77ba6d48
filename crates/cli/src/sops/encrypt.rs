//! `sops encrypt`

use crate::files::Readers;

use super::failure::{Failure, code};
use super::file::{Target, check_destination, warn_of_more};
use super::recipe::NewFile;
use super::{Outcome, Run, dates};

pub(super) fn encrypt(run: &Run<'_>) -> Outcome {
    if run.arguments().is_empty() {
        refuse_in_place(run)?;
        if run.flags.raw("filename-override").is_empty() {
            return Err(Failure::new(
                code::CONFLICT,
                "Error: must specify --filename-override when reading from stdin",
            ));
        }
    }
    warn_of_more(run);
    check_destination(run)?;
    let target = Target::find(run)?;
    let recipe = NewFile::of(run, &target)?;
    let plain = target.read()?;
    let in_full = dates::in_full(&plain, target.input);
    let encrypted = recipe.encrypt(run, &target, in_full.as_ref().unwrap_or(&plain))?;
    target.write(run, &plain, &encrypted, Readers::Everybody)
}

/// Standard input cannot be written to.
pub(super) fn refuse_in_place(run: &Run<'_>) -> Outcome {
    if run.flags.is("in-place") {
        return Err(Failure::new(code::CONFLICT, "Error: cannot use --in-place when reading from stdin"));
    }
    Ok(())
}
