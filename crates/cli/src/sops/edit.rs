//! `sops edit`, and `sops FILE`: the machinery of `bulla edit`, with sops' messages, codes and questions.
//!
//! With `--show-master-keys` the metadata stands in the editor, too: whoever changes keys or the selector there gives the file a new data
//! key. Other fields of it count for nothing.

use std::io::Read as _;
use std::path::Path;

use bulla_doc::{Document, Edits, Format};
use bulla_keys::KeySources;
use bulla_sops::{EncryptedFile, KeyGroups, METADATA_KEY, Metadata, Opened};
use bulla_wipe::Wiping;

use crate::commands::edit::Existing;
use crate::context::Context;
use crate::editing::{Again, Editor, OnDisk, Recovery, Session, Work, Workplace, name_of};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::files::{Readers, create_new, replace_or_overwrite};

use super::failure::{Failure, code};
use super::file::{Target, absolute_of, is_missing, open, read_encrypted, sources, warn_of_more};
use super::go::Level;
use super::recipe::NewFile;
use super::rotate::encrypted_again;
use super::{Outcome, Run};

const AGAIN: &str = "Press enter to return to the editor, or Ctrl+C to exit.";

/// `sops edit`
pub(super) fn edit(run: &Run<'_>) -> Outcome {
    let Some(name) = run.arguments().first() else {
        return Err(Failure::new(code::NO_FILE, "Error: no file specified"));
    };
    warn_of_more(run);
    let target = Target::of(run, Some(absolute_of(name)?))?;
    let ring = sources(run)?;
    edit_target(run, &target, &ring)
}

/// Edits the file, or a new one.
///
/// # Errors
/// In the words of sops.
pub(super) fn edit_target(run: &Run<'_>, target: &Target, ring: &KeySources<'_>) -> Outcome {
    let Some(path) = &target.path else { return Ok(()) };
    if target.input != target.output {
        return Err(Failure::new(code::CONFLICT, "Error: a file is edited in the format that it has"));
    }
    if is_missing(path) { edit_new(run, target, path) } else { edit_existing(run, target, path, ring) }
}

fn edit_existing(run: &Run<'_>, target: &Target, path: &Path, ring: &KeySources<'_>) -> Outcome {
    let bytes = target.read()?;
    let file = read_encrypted(bytes.clone(), target.input)?;
    let opened = open(run, &file, ring)?;
    let version = file.metadata().mac.as_deref().unwrap_or_default();
    let existing = Existing { cx: run.cx, path, opened: &opened, version, shown: None };
    let write = |encrypted: &[u8]| replace_or_overwrite(path, &bytes, encrypted).map(drop);
    if run.flags.is("show-master-keys") {
        let text = bulla_doc::with_metadata_of(&plain_document(&opened, target.input)?, file.document(), METADATA_KEY)
            .map_err(|error| Failure::of(code::DUMPING, "Could not marshal tree", error))?
            .to_bytes();
        let work = WithMetadata { run, existing: &existing, file: &file, format: target.input, shown: &text, ring };
        return edit_text(run, path, &Asking { run, inner: &work }, &text, write);
    }
    edit_text(run, path, &Asking { run, inner: &existing }, &opened.to_plain(), write)
}

fn plain_document(opened: &Opened<'_>, format: Format) -> Result<Document, Failure> {
    Document::parse_owned(opened.to_plain(), format)
        .map_err(|error| Failure::of(code::DUMPING, "Could not marshal tree", error))
}

fn edit_new(run: &Run<'_>, target: &Target, path: &Path) -> Outcome {
    let recipe = NewFile::of(run, target)?;
    let example = example(target.input);
    let work = New { run, target, recipe: &recipe, example };
    let write = |encrypted: &[u8]| create_new(path, encrypted, Readers::Everybody);
    edit_text(run, path, &Asking { run, inner: &work }, example.as_bytes(), write)
}

fn edit_text(
    run: &Run<'_>,
    path: &Path,
    work: &dyn Work,
    text: &[u8],
    write: impl FnOnce(&[u8]) -> Result<(), CommandError>,
) -> Outcome {
    let not_run = |error| Failure::of(code::EDITOR, "Could not run editor", error);
    let editor = Editor::find(run.cx).map_err(not_run)?;
    let recovery = Recovery::of(run.cx, path);
    if let Some(kept) = recovery.earlier() {
        run.warn(&format!(
            "an earlier edit of this file was not written; what was saved in it is kept in {}: `bulla edit --recover` goes on with it",
            kept.path.display()
        ));
    }
    // As sops, which knows no other place than that for temporary files.
    let workplace = Workplace::new(run.cx, name_of(path), OnDisk::Allow)
        .map_err(|error| Failure::of(code::OUTPUT, "Could not create temporary directory", error))?;
    let session = Session { cx: run.cx, editor: &editor, workplace: &workplace, recovery: &recovery, work };
    session.run(text, write).map_err(|error| match error.exit() {
        Exit::Unchanged => Failure::new(code::UNCHANGED, "File has not changed, exiting."),
        Exit::Editor => not_run(error),
        Exit::Output | Exit::ChangedMeanwhile => {
            Failure::of(code::OUTPUT, "Could not open in-place file for writing", error)
        }
        _ => Failure::from(error),
    })?;
    run.inform("File written successfully");
    Ok(())
}

/// What a new file begins with.
fn example(format: Format) -> &'static str {
    match format {
        Format::Yaml => {
            "hello: Write over this what is to be encrypted.\n\
             example_key: example_value\n\
             # Comments are kept\n\
             example_array:\n    - example_value1\n    - example_value2\n\
             example_number: 1234.56789\n\
             example_booleans:\n    - true\n    - false\n"
        }
        Format::Json => {
            "{\n\t\"hello\": \"Write over this what is to be encrypted.\",\n\
             \t\"example_key\": \"example_value\",\n\
             \t\"example_array\": [\n\t\t\"example_value1\",\n\t\t\"example_value2\"\n\t],\n\
             \t\"example_number\": 1234.56789,\n\
             \t\"example_booleans\": [\n\t\ttrue,\n\t\tfalse\n\t]\n}\n"
        }
        Format::Dotenv => {
            "# Comments are kept\nhello=Write over this what is to be encrypted.\nexample_key=example_value\n\
             example_multiline=foo\\nbar\\nbaz\n"
        }
        Format::Ini => {
            "; Comments are kept\n[Welcome!]\nhello       = Write over this what is to be encrypted.\n\
             example_key = example_value\n"
        }
        Format::Binary => "Write over this what is to be encrypted.",
    }
}

/// Asks as sops does when the text cannot be encrypted: a line of the log, and a key on standard input. Where that ends, so does this.
struct Asking<'a> {
    run: &'a Run<'a>,
    inner: &'a dyn Work,
}

impl Work for Asking<'_> {
    fn keep(&self, text: &[u8]) -> Result<Wiping<Vec<u8>>, CommandError> {
        self.inner.keep(text)
    }

    fn encrypt(&self, text: &[u8]) -> Result<Option<Wiping<Vec<u8>>>, CommandError> {
        self.inner.encrypt(text)
    }

    fn again(&self, error: &CommandError, _cx: &Context) -> Again {
        let message = format!("Could not load tree, probably due to invalid syntax. {AGAIN}");
        self.run.log(Level::Error, &message, &[("error", &error.sentence())]);
        match std::io::stdin().lock().read(&mut [0]) {
            Ok(1) => Again::Edit,
            _ => Again::Leave,
        }
    }
}

/// A file that is not there yet.
struct New<'a> {
    run: &'a Run<'a>,
    target: &'a Target,
    recipe: &'a NewFile,
    example: &'static str,
}

impl Work for New<'_> {
    fn keep(&self, text: &[u8]) -> Result<Wiping<Vec<u8>>, CommandError> {
        self.recipe.keep(self.run, self.target.path.as_deref(), text)
    }

    fn encrypt(&self, text: &[u8]) -> Result<Option<Wiping<Vec<u8>>>, CommandError> {
        if text == self.example.as_bytes() {
            return Ok(None);
        }
        self.recipe.encrypt(self.run, self.target, text).map(Some).map_err(Failure::into_error)
    }
}

/// A file whose metadata is edited with it.
struct WithMetadata<'a, 'k> {
    run: &'a Run<'a>,
    existing: &'a Existing<'a>,
    file: &'a EncryptedFile,
    format: Format,
    shown: &'a [u8],
    ring: &'a KeySources<'k>,
}

impl Work for WithMetadata<'_, '_> {
    fn keep(&self, text: &[u8]) -> Result<Wiping<Vec<u8>>, CommandError> {
        self.existing.keep(text)
    }

    fn encrypt(&self, text: &[u8]) -> Result<Option<Wiping<Vec<u8>>>, CommandError> {
        if text == self.shown {
            return Ok(None);
        }
        let document = Document::parse(text, self.format)?;
        let metadata = Metadata::read(&document)?;
        let mut edits = Edits::new(&document);
        bulla_doc::without_metadata(&mut edits, METADATA_KEY);
        let plain = edits.apply();
        let before = self.file.metadata();
        let is_same = KeyGroups::of(&metadata) == KeyGroups::of(before)
            && metadata.selector == before.selector
            && metadata.mac_only_encrypted == before.mac_only_encrypted;
        if is_same {
            return self.existing.encrypt(&plain);
        }
        let encrypted =
            encrypted_again(self.run, &plain, self.format, (&metadata, before), &KeyGroups::of(&metadata), self.ring);
        encrypted.map(Some).map_err(Failure::into_error)
    }
}
