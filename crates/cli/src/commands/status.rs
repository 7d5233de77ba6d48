//! `bulla status`

use std::fmt::Write as _;
use std::path::PathBuf;

use bulla_sops::{Metadata, Status};
use serde_json::{Value as Json, json};

use crate::app::Failure;
use crate::batch::{self, Outcome};
use crate::commands::decrypt::may_be_encrypted;
use crate::context::Context;
use crate::error::CommandError;
use crate::files::{FormatName, Selected, WalkArgs, format_of, read_selected, select};
use crate::shown::{self, one_line};

/// Tell what is known about encrypted files without a key: who can open them, what is encrypted, when they were written
///
/// Nothing of it is authenticated, as no key is used: `bulla verify --mac` checks.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  bulla status                              every encrypted file below the current directory
  bulla status shop.yaml
  bulla status --json secrets/ | jq -r '.[] | select(.plain > 0).file'")]
pub(crate) struct StatusArgs {
    /// Files, or directories with such files
    #[arg(value_name = "FILE", default_value = ".")]
    files: Vec<PathBuf>,

    /// As JSON, a list of files
    #[arg(long)]
    json: bool,

    /// Format of the files, if their names do not tell
    #[arg(long, value_name = "FORMAT")]
    input_type: Option<FormatName>,

    #[command(flatten)]
    walk: WalkArgs,
}

pub(crate) fn status(cx: &Context, args: &StatusArgs) -> Result<(), Failure> {
    let files = select(&args.files, args.walk, cx)?;
    let (found, outcome) = batch::collect(cx, &files, "encrypted", |selected, _| {
        let status = look(args, selected).map_err(|error| error.at(&selected.origin))?;
        Ok(match status {
            Some(status) => (Outcome::Done, Some(Some(status))),
            // Most files of a tree are not encrypted; of one that was named, that is told.
            None => (Outcome::Skipped, (!selected.found).then_some(None)),
        })
    });
    let told = if args.json {
        let list: Vec<Json> = found.iter().map(|(file, status)| as_json(file, status.as_ref())).collect();
        shown::json(&Json::Array(list))
    } else {
        found.iter().map(|(file, status)| as_text(file, status.as_ref())).collect()
    };
    cx.print(told.as_bytes())?;
    outcome
}

fn look(args: &StatusArgs, selected: &Selected) -> Result<Option<Status>, CommandError> {
    let source = read_selected(selected)?;
    if selected.found && !may_be_encrypted(&source.bytes) {
        return Ok(None);
    }
    let format = format_of(&source, args.input_type, None)?;
    Ok(bulla_sops::status(&source.bytes, format)?)
}

/// How many groups of keys must give their share.
fn needed(metadata: &Metadata) -> usize {
    match metadata.threshold() {
        0 => metadata.groups.len(),
        needed => needed,
    }
}

fn as_text(file: &str, status: Option<&Status>) -> String {
    let file = one_line(file);
    let Some(status) = status else { return format!("{file}\n  not encrypted\n") };
    let metadata = &status.metadata;
    let mut text = format!("{file}\n");
    let _ = writeln!(
        text,
        "  encrypted  {} of {} values; {}: {}",
        status.encrypted,
        status.encrypted + status.plain_count + status.unselected,
        metadata.selector.kind(),
        one_line(metadata.selector.text())
    );
    let _ = writeln!(text, "  written    {}, format of sops {}", metadata.last_modified, one_line(&metadata.version));
    for (number, group) in metadata.groups.iter().enumerate() {
        if metadata.groups.len() > 1 {
            let _ =
                writeln!(text, "  group {} of {}, {} are needed", number + 1, metadata.groups.len(), needed(metadata));
        }
        for (index, key) in group.iter().enumerate() {
            let _ = writeln!(text, "  {:<9}  {}", if index == 0 { "opened by" } else { "" }, key.id());
        }
    }
    for place in &status.plain {
        let _ = writeln!(text, "  PLAIN      {place}");
    }
    if status.plain_count > status.plain.len() {
        let _ = writeln!(text, "  PLAIN      and {} more", status.plain_count - status.plain.len());
    }
    text
}

fn as_json(file: &str, status: Option<&Status>) -> Json {
    let Some(status) = status else { return json!({ "file": file, "encrypted": false }) };
    let metadata = &status.metadata;
    let groups: Vec<Json> = metadata
        .groups
        .iter()
        .map(|group| {
            let key = |key: &bulla_sops::KeyEntry| {
                let id = key.id();
                json!({ "kind": id.source.as_str(), "name": id.name, "created": key.created_at() })
            };
            group.iter().map(key).collect()
        })
        .collect();
    json!({
        "file": file,
        "encrypted": true,
        "lastModified": metadata.last_modified.to_string(),
        "version": metadata.version,
        "selector": { "kind": metadata.selector.kind().as_str(), "text": metadata.selector.text() },
        "macOnlyEncrypted": metadata.mac_only_encrypted,
        "hasMac": metadata.mac.is_some(),
        "groups": groups,
        "threshold": needed(metadata),
        "values": status.encrypted,
        "readable": status.unselected,
        "plain": status.plain_count,
        "plainAt": status.plain.iter().map(place_json).collect::<Vec<_>>(),
    })
}

/// A place, for programs.
pub(crate) fn place_json(place: &bulla_sops::Place) -> Json {
    json!({ "path": place.path.to_string(), "line": place.position.line, "column": place.position.column })
}
