//! `sops decrypt`

use bulla_doc::{Document, Format, Kind, Node, Tree, Value};
use bulla_keys::KeySources;
use bulla_sops::{KeyPath, PathStep};
use bulla_wipe::Wiping;

use crate::files::Readers;
use crate::key_path::find;

use super::encrypt::refuse_in_place;
use super::failure::{Failure, code};
use super::file::{Target, check_destination, open, read_encrypted, sources, unreadable, warn_of_more};
use super::recipe::convert;
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
    let plain = open(run, &file, ring)?.to_plain();
    if path.steps.is_empty() && target.input == target.output {
        return Ok(plain);
    }
    let document =
        Document::parse_owned(plain, target.input).map_err(|error| unreadable(error.into(), target.input))?;
    if path.steps.is_empty() {
        return convert(&document, target.output, target.indent);
    }
    extract(&document, path, target)
}

/// Of a text its bytes, of a mapping a document, of anything else its spelling in the format of the output.
fn extract(document: &Document, path: &KeyPath, target: &Target) -> Result<Wiping<Vec<u8>>, Failure> {
    let node = find(document, path)
        .ok_or_else(|| Failure::new(code::FAILED, format!("error truncating tree: {}", missing(document, path))))?;
    let (format, indent) = (target.output, target.indent);
    Ok(match (node.kind(), format) {
        (Kind::Mapping, _) => bulla_doc::write(&[Tree::copy_of(node)], format, indent),
        (Kind::Scalar | Kind::Comment, _) if matches!(node.value(), Value::String(_)) => match node.value() {
            Value::String(text) => Wiping::new(text.into_owned()),
            _ => Wiping::default(),
        },
        (Kind::Sequence | Kind::Scalar | Kind::Comment, _) => {
            let mut value = crate::key_path::value(node, format);
            if format == Format::Json && value.ends_with(b"\n") {
                value.pop();
            }
            value
        }
    })
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
