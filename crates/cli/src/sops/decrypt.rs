//! `sops decrypt`

use bulla_doc::{Document, Kind, Node};
use bulla_keys::KeySources;
use bulla_sops::{ConvertError, KeyPath, PathStep};
use bulla_wipe::Wiping;

use crate::files::Readers;
use crate::key_path::find;

use super::encrypt::refuse_in_place;
use super::failure::{Failure, code};
use super::file::{Target, check_destination, layout, open, read_encrypted, sources, warn_of_more};
use super::{Outcome, Run, tree_path};

pub(super) fn decrypt(run: &Run<'_>) -> Outcome {
    if run.arguments().is_empty() {
        refuse_in_place(run)?;
    }
    warn_of_more(run);
    check_destination(run)?;
    let target = Target::find(run)?;
    let ring = sources(run)?;
    let bytes = target.read();
    let path = extracted(run)?;
    let bytes = bytes?;
    let plain = plain(run, &target, bytes.clone(), &path, &ring)?;
    target.write(run, &bytes, &plain, Readers::Owner)
}

/// The path of `--extract`; without steps for the whole document.
///
/// # Errors
/// Code 91.
pub(super) fn extracted(run: &Run<'_>) -> Result<KeyPath, Failure> {
    tree_path::read(&run.flags.text("extract"))
        .map_err(|error| Failure::new(code::TREE_PATH, format!("error parsing --extract path: {error}")))
}

/// What is at `path` of the encrypted file `bytes`, decrypted, in the format of the output.
///
/// # Errors
/// In the words of sops.
pub(super) fn plain(
    run: &Run<'_>,
    target: &Target,
    bytes: Wiping<Vec<u8>>,
    path: &KeyPath,
    ring: &KeySources<'_>,
) -> Result<Wiping<Vec<u8>>, Failure> {
    let file = read_encrypted(bytes, target.input)?;
    let opened = open(run, &file, ring)?;
    let layout = layout(target.indent);
    if path.steps.is_empty() {
        if target.input == target.output {
            return Ok(opened.to_plain());
        }
        return opened.emit(target.output, &layout).map_err(undumpable);
    }
    let part = opened.emit_part(path, target.output, &layout).map_err(undumpable)?;
    part.ok_or_else(|| Failure::new(code::FAILED, format!("error truncating tree: {}", missing(file.document(), path))))
}

/// The format of the output has no room for it.
pub(super) fn undumpable(error: ConvertError) -> Failure {
    Failure::of(code::DUMPING, "Error dumping file", error)
}

/// The step that leads nowhere, as sops says it.
fn missing(document: &Document, path: &KeyPath) -> String {
    let mut node = document.branches().nth(path.branch);
    for (index, step) in path.steps.iter().enumerate() {
        let through = KeyPath { branch: path.branch, steps: path.steps[..=index].to_vec() };
        let next = find(document, &through);
        if next.is_none() {
            return match step {
                PathStep::Key(key) => format!("component ['{key}'] not found"),
                PathStep::Index(index) if node.map(Node::kind) == Some(Kind::Sequence) => {
                    format!("component [{index}] accesses out of bounds")
                }
                PathStep::Index(index) => format!("component [{index}] is integer, but tree part is not a slice"),
            };
        }
        node = next;
    }
    format!("there is nothing at `{path}`")
}
