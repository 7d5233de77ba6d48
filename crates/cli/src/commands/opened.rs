//! A file that is opened to be looked at: its plain document, in memory.

use std::io;

use bulla_doc::{DEPTH_LIMIT, Document, Kind, Node, Step, Value};
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

/// Why a part of a document cannot be written as JSON.
#[derive(Debug, Clone, Copy)]
pub(crate) enum NoJson<'d> {
    /// These bytes are no text.
    Bytes(Node<'d>),
    /// This nests deeper than what is printed anew may.
    Depth(Node<'d>),
}

/// How JSON is laid out.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Form {
    /// Each level indented by two spaces.
    Lines {
        /// How many levels there are around it.
        around: usize,
    },
    /// Without blanks.
    OneLine,
}

impl Form {
    fn start_line(self, json: &mut Wiping<Vec<u8>>, levels: usize) {
        if let Self::Lines { around } = self {
            start_line(json, around + levels);
        }
    }
}

/// Appends a part of a document as JSON, dates as texts.
///
/// # Errors
/// [`NoJson`]
pub(crate) fn append_json<'d>(json: &mut Wiping<Vec<u8>>, node: Node<'d>, form: Form) -> Result<(), NoJson<'d>> {
    // Of each container that is open, whether anything is in it yet.
    let mut open: Vec<bool> = Vec::new();
    for step in node.walk() {
        let inner = match step {
            Step::Comment(_) => continue,
            Step::Enter(inner) | Step::Leaf(inner) => inner,
            Step::Leave(container) => {
                if open.pop() == Some(true) {
                    form.start_line(json, open.len());
                }
                json.append(if container.kind() == Kind::Mapping { b"}" } else { b"]" });
                continue;
            }
        };
        let levels = open.len();
        if let Some(has_content) = open.last_mut() {
            if *has_content {
                json.append(b",");
            }
            *has_content = true;
            form.start_line(json, levels);
            if let Some(key) = inner.key() {
                append_spelt(json, key);
                json.append(if matches!(form, Form::OneLine) { b":".as_slice() } else { b": " });
            }
        }
        match inner.kind() {
            Kind::Mapping | Kind::Sequence if levels > DEPTH_LIMIT => return Err(NoJson::Depth(inner)),
            Kind::Mapping => json.append(b"{"),
            Kind::Sequence => json.append(b"["),
            Kind::Scalar | Kind::Comment => append_scalar(json, inner)?,
        }
        if matches!(step, Step::Enter(_)) {
            open.push(false);
        }
    }
    Ok(())
}

fn append_scalar<'d>(json: &mut Wiping<Vec<u8>>, node: Node<'d>) -> Result<(), NoJson<'d>> {
    match node.value() {
        Value::Null => json.append(b"null"),
        Value::Bool(value) => append_spelt(json, &value),
        Value::Int(value) => append_spelt(json, &value),
        Value::Unsigned(value) => append_spelt(json, &value),
        Value::Float(value) if value.is_finite() => append_spelt(json, &value),
        // What JSON has no number for is a text, as it is spelt.
        Value::Float(_) | Value::Time(_) => append_spelt(json, &*node.spelling()),
        Value::String(text) => {
            append_spelt(json, std::str::from_utf8(&text).map_err(|_| NoJson::Bytes(node))?);
        }
    }
    Ok(())
}

/// Appends a key or value that is no container, as `serde_json` spells it.
pub(crate) fn append_spelt<T: serde::Serialize + ?Sized>(json: &mut Wiping<Vec<u8>>, value: &T) {
    let written = serde_json::to_writer(Appender(json), value);
    debug_assert!(written.is_ok(), "memory takes everything, and texts and numbers are JSON");
}

/// Begins a line that is indented by `levels`.
pub(crate) fn start_line(json: &mut Wiping<Vec<u8>>, levels: usize) {
    json.append(b"\n");
    for _ in 0..levels {
        json.append(b"  ");
    }
}

/// Grows without leaving anything behind.
struct Appender<'j>(&'j mut Wiping<Vec<u8>>);

impl io::Write for Appender<'_> {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        self.0.append(part);
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
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
