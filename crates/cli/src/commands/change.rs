//! What `set` and `unset` have in common: open a file, change places of it, write it back.

use std::path::Path;

use bulla_crypto::EncryptedValue;
use bulla_doc::{Document, Node, Step, Value};
use bulla_sops::{Change, EncryptedFile, KeyPath};
use serde_json::json;

use crate::batch::Notes;
use crate::commands::decrypt::OpeningArgs;
use crate::commands::opened::DocumentArgs;
use crate::context::Context;
use crate::error::{CommandError, InFile as _};
use crate::files::{FormatName, format_of, read_file, replace};
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
}

/// Makes changes in the file at `path`: what `of` says of the plain document and what the paths mean in it.
pub(crate) fn change(
    cx: &Context,
    path: &Path,
    args: &ChangeArgs,
    paths: &[PathText],
    of: impl FnOnce(&Document, Vec<KeyPath>) -> Result<Vec<Change>, CommandError>,
) -> Result<(), CommandError> {
    let source = read_file(path)?;
    let format = format_of(&source, args.input_type, None)?;
    let ring = args.opening.identity.sources(cx)?;
    let mut notes = Notes::default();
    let file = EncryptedFile::read(&source.bytes, format).in_file(path)?;
    let opened = args.opening.open(&file, &ring, &source.origin, &mut notes).in_file(path)?;
    notes.tell(cx);
    let plain = Document::parse_owned(opened.to_plain(), format).in_file(path)?;
    let branch = args.document.branch(&plain).in_file(path)?;
    let meant: Vec<KeyPath> = paths.iter().map(|path| path.resolve(&plain, branch)).collect();
    let changes = of(&plain, meant.clone()).in_file(path)?;
    drop(plain);
    let set: Vec<KeyPath> = changes.iter().filter_map(set_at).collect();

    let edited = opened.change(changes, cx.now(), &mut cx.rng()?).in_file(path)?;
    let mut readable: Vec<&KeyPath> = Vec::new();
    if let Some(summary) = &edited.summary {
        let after = Document::parse(&edited.bytes, format).in_file(path)?;
        readable.extend(set.iter().filter(|key_path| find(&after, key_path).is_some_and(is_plain)));
        for key_path in &readable {
            cx.warn(format_args!(
                "{}: the value at `{key_path}` is not encrypted: the file's rule leaves it readable",
                path.display()
            ));
        }
        for place in &summary.plain_copies {
            cx.warn(format_args!("{}: the alias at {place} is a copy in plain text now", path.display()));
        }
        if replace(path, &source.bytes, &edited.bytes)?.other_names {
            cx.warn(format_args!(
                "{}: the file has other names (hard links), which still hold what was in it",
                path.display()
            ));
        }
    } else {
        cx.status(format_args!("{}: nothing changed", path.display()));
    }
    if args.json {
        let told = json!({
            "file": path.display().to_string(),
            "changed": edited.summary.is_some(),
            "paths": meant.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "readable": readable.iter().map(ToString::to_string).collect::<Vec<_>>(),
        });
        cx.print(format!("{told:#}\n").as_bytes())?;
    }
    Ok(())
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
