//! `sops filestatus`: whether a file is encrypted, as JSON. Its metadata is read, and nothing is opened.

use std::path::Path;

use bulla_doc::{Document, Format};
use bulla_sops::{EncryptedFile, MetadataError, ReadError};

use super::failure::{Failure, code};
use super::file::{Target, absolute_of, read_file, unreadable};
use super::{Outcome, Run};

pub(super) fn filestatus(run: &Run<'_>) -> Outcome {
    let Some(name) = run.arguments().first() else {
        return Err(Failure::new(code::NO_FILE, "Error: no file specified"));
    };
    let target = Target::of(run, Some(absolute_of(name)?))?;
    let failed = |failure: Failure| {
        Failure::fatal(format!("cannot check file status: cannot load encrypted file: {}", failure.message()))
    };
    let bytes = read_file(Path::new(name)).map_err(failed)?;
    if target.input == Format::Binary {
        // A binary file of SOPS is JSON; what is none cannot be read, and is not just a file that is not encrypted.
        Document::parse(&bytes, Format::Json)
            .map_err(|error| failed(unreadable(ReadError::Parse(error), target.input)))?;
    }
    let is_encrypted = match EncryptedFile::read_owned(bytes, target.input) {
        Ok(file) => file.metadata().mac.is_some(),
        Err(ReadError::Metadata(MetadataError::NotEncrypted | MetadataError::Missing { field: "version", .. })) => {
            false
        }
        Err(error) => return Err(failed(unreadable(error, target.input))),
    };
    run.print(format!("{{\"encrypted\":{is_encrypted}}}\n").as_bytes())
}
