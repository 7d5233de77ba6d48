//! What `set` and `unset` have in common: open files, change places of them, write them back.

use std::path::Path;

use bulla_crypto::EncryptedValue;
use bulla_doc::{Document, Node, Step, Value};
use bulla_sops::{Change, EncryptedFile, KeyPath, KeyRing, MetadataError, ReadError};
use serde_json::{Value as Json, json};

use crate::app::Failure;
use crate::batch::{self, Notes, Outcome};
use crate::commands::decrypt::{OpeningArgs, may_be_encrypted};
use crate::commands::opened::DocumentArgs;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::files::{FormatName, Selected, WalkArgs, format_of, read_selected, replace, select};
use crate::key_path::{PathText, find};

#[derive(Debug, clap::Args)]
pub(crate) struct ChangeArgs {
    #[command(flatten)]
    document: DocumentArgs,

    /// Tell what was done as JSON on standard output; no value is in it
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    opening: OpeningArgs,

    /// Format of the file, if its name does not tell
    #[arg(long, value_name = "FORMAT")]
    input_type: Option<FormatName>,

    #[command(flatten)]
    walk: WalkArgs,
}

/// Makes changes in the files that `file` means: what `of` says of the plain document and what the paths mean in it.
///
/// In a directory, files that are not encrypted and files that have nothing at the paths are passed over.
pub(crate) fn change(
    cx: &Context,
    file: &Path,
    args: &ChangeArgs,
    paths: &[PathText],
    of: impl Fn(&Document, Vec<KeyPath>) -> Result<Vec<Change>, CommandError> + Sync,
) -> Result<(), Failure> {
    let files = select(&[file.to_path_buf()], args.walk, cx)?;
    let ring = args.opening.identity.sources(cx)?;
    let is_single = matches!(files.as_slice(), [file] if !file.found);
    let (changed, outcome) = batch::collect(cx, &files, "changed", |selected, notes| {
        let changed =
            change_one(cx, args, selected, paths, &ring, &of, notes).map_err(|error| error.at(&selected.origin))?;
        let outcome =
            if changed.as_ref().is_some_and(|changed| changed.is_changed) { Outcome::Done } else { Outcome::Skipped };
        Ok((outcome, changed))
    });
    if args.json {
        let mut list: Vec<Json> = changed.iter().map(|(file, changed)| changed.to_json(file)).collect();
        let told = match list.pop() {
            Some(only) if is_single => only,
            last => Json::Array(list.into_iter().chain(last).collect()),
        };
        if !(is_single && told == Json::Array(Vec::new())) {
            cx.print(format!("{told:#}\n").as_bytes())?;
        }
    }
    outcome
}

/// What was done to a file.
struct Changed {
    is_changed: bool,
    paths: Vec<KeyPath>,
    /// Which of them the file's rule leaves readable.
    readable: Vec<KeyPath>,
}

impl Changed {
    fn to_json(&self, file: &str) -> Json {
        let texts = |paths: &[KeyPath]| paths.iter().map(ToString::to_string).collect::<Vec<_>>();
        json!({
            "file": file,
            "changed": self.is_changed,
            "paths": texts(&self.paths),
            "readable": texts(&self.readable),
        })
    }
}

/// `None` for a file that was found, and has nothing to change.
fn change_one(
    cx: &Context,
    args: &ChangeArgs,
    selected: &Selected,
    paths: &[PathText],
    ring: &dyn KeyRing,
    of: &(impl Fn(&Document, Vec<KeyPath>) -> Result<Vec<Change>, CommandError> + Sync),
    notes: &mut Notes,
) -> Result<Option<Changed>, CommandError> {
    let source = read_selected(selected)?;
    let Some(path) = source.origin.path().map(Path::to_path_buf) else {
        return Err(CommandError::new(Exit::Usage, "standard input cannot be changed: files are written in place"));
    };
    if selected.found && !may_be_encrypted(&source.bytes) {
        return Ok(None);
    }
    let format = format_of(&source, args.input_type, None)?;
    let file = match EncryptedFile::read(&source.bytes, format) {
        Err(ReadError::Metadata(MetadataError::NotEncrypted)) if selected.found => return Ok(None),
        file => file?,
    };
    if selected.found {
        // Keys are readable without a key: nothing is opened in vain.
        let document = file.document();
        let meant = |path: &PathText| path.resolve(document, args.document.branch(document).unwrap_or_default());
        if paths.iter().any(|path| find(document, &meant(path)).is_none()) {
            return Ok(None);
        }
    }
    let opened = args.opening.open(&file, ring, &source.origin, notes)?;
    let plain = Document::parse_owned(opened.to_plain(), format)?;
    let branch = args.document.branch(&plain)?;
    let meant: Vec<KeyPath> = paths.iter().map(|path| path.resolve(&plain, branch)).collect();
    let changes = of(&plain, meant.clone())?;
    drop(plain);
    let set: Vec<KeyPath> = changes.iter().filter_map(set_at).collect();

    let edited = opened.change(changes, cx.now(), &mut cx.rng()?)?;
    let mut changed = Changed { is_changed: edited.summary.is_some(), paths: meant, readable: Vec::new() };
    let Some(summary) = &edited.summary else {
        notes.status(format!("{}: nothing changed", source.origin));
        return Ok(Some(changed));
    };
    let after = Document::parse(&edited.bytes, format)?;
    changed.readable = set.into_iter().filter(|key_path| find(&after, key_path).is_some_and(is_plain)).collect();
    for key_path in &changed.readable {
        notes.warn(format!(
            "{}: the value at `{key_path}` is not encrypted: the file's rule leaves it readable",
            source.origin
        ));
    }
    for place in &summary.plain_copies {
        notes.warn(format!("{}: the alias at {place} is a copy in plain text now", source.origin));
    }
    if replace(&path, &source.bytes, &edited.bytes)?.other_names {
        notes
            .warn(format!("{}: the file has other names (hard links), which still hold what was in it", source.origin));
    }
    Ok(Some(changed))
}

/// Where `change` puts a value.
fn set_at(change: &Change) -> Option<KeyPath> {
    match change {
        Change::Set { path, .. } | Change::Insert { path, .. } => Some(path.clone()),
        Change::Remove { .. } => None,
    }
}

/// Whether a text or number can be read there, or below. Nothing and empty texts are never encrypted.
fn is_plain(node: Node<'_>) -> bool {
    node.walk().any(|step| match step {
        Step::Leaf(leaf) => match leaf.as_str() {
            Some(text) => !text.is_empty() && EncryptedValue::parse(text).is_none(),
            None => leaf.value() != Value::Null,
        },
        Step::Enter(_) | Step::Leave(_) | Step::Comment(_) => false,
    })
}
