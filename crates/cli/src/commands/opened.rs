//! A file that is opened to be looked at: its plain document, in memory.

use bulla_doc::{Document, Node, Value};
use bulla_sops::{EncryptedFile, KeyRing, MetadataError, ReadError};
use bulla_wipe::Wiping;

use crate::batch::Notes;
use crate::commands::decrypt::{OpeningArgs, may_be_encrypted};
use crate::error::CommandError;
use crate::exit::Exit;
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

/// A part of a document as JSON on one line, dates as texts. Bytes that are no text have no place there: `None`.
pub(crate) fn to_json(node: Node<'_>) -> Option<serde_json::Value> {
    use serde_json::Value as Json;
    Some(match node.kind() {
        bulla_doc::Kind::Mapping => {
            let mut object = serde_json::Map::new();
            for entry in node.children() {
                if let Some(key) = entry.key() {
                    object.insert(key.to_owned(), to_json(entry)?);
                }
            }
            Json::Object(object)
        }
        bulla_doc::Kind::Sequence => {
            let items = node.children().filter(|item| item.kind() != bulla_doc::Kind::Comment);
            Json::Array(items.map(to_json).collect::<Option<_>>()?)
        }
        bulla_doc::Kind::Scalar | bulla_doc::Kind::Comment => match node.value() {
            Value::Null => Json::Null,
            Value::Bool(value) => value.into(),
            Value::Int(value) => value.into(),
            Value::Unsigned(value) => value.into(),
            // What JSON has no number for is a text, as it is spelt.
            Value::Float(value) => {
                serde_json::Number::from_f64(value).map_or_else(|| node.spelling().into_owned().into(), Json::Number)
            }
            Value::Time(_) => node.spelling().into_owned().into(),
            Value::String(text) => std::str::from_utf8(&text).ok()?.into(),
        },
    })
}

/// Which document of a file is meant.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct DocumentArgs {
    /// Which document of the file, from 1
    #[arg(long, value_name = "NUMBER", default_value = "1", value_parser = clap::value_parser!(u32).range(1..))]
    document: u32,
}

impl DocumentArgs {
    /// Its number from 0, if the file has it.
    ///
    /// # Errors
    /// [`Exit::Path`].
    pub(crate) fn branch(self, document: &Document) -> Result<usize, CommandError> {
        let (branch, count) = (self.document as usize - 1, document.branches().len());
        if branch < count {
            return Ok(branch);
        }
        let documents = if count == 1 { "document" } else { "documents" };
        Err(CommandError::new(
            Exit::Path,
            format!("there is no document {}: the file has {count} {documents}", self.document),
        ))
    }
}
