//! A file that is opened to be looked at: its plain document, in memory.

use bulla_doc::{Document, Node, Value};
use bulla_sops::{EncryptedFile, KeyRing, MetadataError, ReadError};
use bulla_wipe::Wiping;

use crate::batch::Notes;
use crate::commands::decrypt::{OpeningArgs, may_be_encrypted};
use crate::error::CommandError;
use crate::files::{FormatName, Selected, Source, format_of, read_selected};

/// The plain document of a file; `None` for one that was found and is not encrypted.
///
/// # Errors
/// What reading and opening say; without the file's name.
pub(crate) fn open_plain(
    selected: &Selected,
    input_type: Option<FormatName>,
    opening: &OpeningArgs,
    ring: &dyn KeyRing,
    notes: &mut Notes,
) -> Result<Option<Document>, CommandError> {
    let source = read_selected(selected)?;
    if selected.found && !may_be_encrypted(&source.bytes) {
        return Ok(None);
    }
    let format = format_of(&source, input_type, None)?;
    let Source { origin, bytes } = source;
    let file = match EncryptedFile::read_owned(bytes, format) {
        Err(ReadError::Metadata(MetadataError::NotEncrypted)) if selected.found => return Ok(None),
        file => file?,
    };
    let opened = opening.open(&file, ring, &origin, notes)?;
    Ok(Some(Document::parse_owned(opened.to_plain(), format)?))
}

/// A scalar as a program takes it: a text as it is, null as nothing, whatever else as it is spelt.
pub(crate) fn text_of(scalar: Node<'_>) -> Wiping<Vec<u8>> {
    match scalar.value() {
        Value::Null => Wiping::default(),
        Value::String(text) => Wiping::new(text.into_owned()),
        Value::Bool(value) => Wiping::new(value.to_string().into_bytes()),
        Value::Int(value) => Wiping::new(value.to_string().into_bytes()),
        _ => Wiping::new(scalar.spelling().as_bytes().to_vec()),
    }
}
