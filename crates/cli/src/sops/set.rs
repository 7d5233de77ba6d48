//! `sops set` and `sops unset`, and the old `--set`.
//!
//! The file is written even if the value was there already, unless `--idempotent` is given: date and MAC are new then. A step into a
//! single value replaces it, and an index beyond the end of a list appends, as in sops.

use std::path::Path;

use bulla_doc::{DEPTH_LIMIT, Document, Format, Kind, Tree};
use bulla_keys::KeySources;
use bulla_sops::{Change, EditError, Edited, EncryptedFile, KeyGroups, KeyPath, NewValue, Opened, PathStep};
use bulla_wipe::Wiping;

use crate::files::read_all;

use super::failure::{Failure, code};
use super::file::{Target, absolute_of, open, read_encrypted, sources};
use super::recipe::{already_encrypted, tell};
use super::rotate::for_readers;
use super::{Outcome, Run, tree_path};

/// `sops set`
pub(super) fn set(run: &Run<'_>) -> Outcome {
    let (from_file, from_stdin) = (run.flags.is("value-file"), run.flags.is("value-stdin"));
    if from_file && from_stdin {
        return Err(Failure::new(code::FAILED, "Error: cannot use both --value-file and --value-stdin"));
    }
    let (name, path, value) = match (run.arguments(), from_stdin) {
        ([name, path], true) => (name, path, None),
        ([name, path, value], false) => (name, path, Some(value)),
        (_, true) => {
            return Err(Failure::new(
                code::NO_FILE,
                "Error: file specified, or index and value are missing. Need precisely 2 positional arguments since --value-stdin is used.",
            ));
        }
        (_, false) => {
            return Err(Failure::new(
                code::NO_FILE,
                "Error: no file specified, or index and value are missing. Need precisely 3 positional arguments.",
            ));
        }
    };
    let target = Target::of(run, Some(absolute_of(name)?))?;
    let path = tree_path::read(&path.to_string_lossy()).ok().filter(|path| !path.steps.is_empty());
    let path = path.ok_or_else(|| Failure::new(code::SET_FORMAT, "Invalid set index format"))?;
    let text = match value {
        None => read_all(std::io::stdin().lock(), 0).map_err(|error| Failure::new(code::FAILED, error.to_string()))?,
        Some(value) if from_file => super::file::read_file(Path::new(value))
            .map_err(|failure| Failure::new(code::FAILED, failure.message().replace("Error reading file: ", "")))?,
        Some(value) => Wiping::new(value.as_encoded_bytes().to_vec()),
    };
    let value = from_json(&text)?;
    let ring = sources(run)?;
    let bytes = target.read()?;
    let Some(changed) = changed(run, &target, bytes.clone(), &path, value, &ring)? else {
        run.inform("File not written due to no change");
        return Ok(());
    };
    target.write_in_place(run, &bytes, &changed)
}

/// `sops unset`
pub(super) fn unset(run: &Run<'_>) -> Outcome {
    let [name, path] = run.arguments() else {
        return Err(Failure::new(code::NO_FILE, "Error: no file specified, or index is missing"));
    };
    let target = Target::of(run, Some(absolute_of(name)?))?;
    let path = tree_path::read(&path.to_string_lossy()).ok().filter(|path| !path.steps.is_empty());
    let path = path.ok_or_else(|| Failure::new(code::SET_FORMAT, "Invalid unset index format"))?;
    let ring = sources(run)?;
    let bytes = target.read()?;
    let file = read_encrypted(bytes.clone(), target.input)?;
    let opened = open(run, &file, &ring)?;
    let mut rng = run.cx.rng().map_err(Failure::from)?;
    let edited = match opened.change(vec![Change::Remove { path: path.clone() }], run.cx.now(), &mut rng) {
        Err(EditError::NotFound { .. }) if run.flags.is("idempotent") => return Ok(()),
        Err(EditError::NotFound { path }) => return Err(not_found(&path)),
        // SOPS takes the metadata out before it looks.
        Err(EditError::Reserved { path }) if matches!(path.steps.first(), Some(PathStep::Key(_))) => {
            return if run.flags.is("idempotent") { Ok(()) } else { Err(not_found(&path)) };
        }
        edited => edited.map_err(unchangeable)?,
    };
    let result = in_output(run, &target, &file, edited, &ring)?;
    target.write_in_place(run, &bytes, &result)
}

fn not_found(path: &KeyPath) -> Failure {
    Failure::new(
        code::FAILED,
        match path.steps.last() {
            Some(PathStep::Index(index)) => format!("Index {index} out of bounds"),
            Some(PathStep::Key(key)) => format!("Key not found: {key}"),
            None => "Key not found".to_owned(),
        },
    )
}

/// What the old `--set` is given: a path, a blank, a value.
///
/// # Errors
/// Code 7.
pub(super) fn read_argument(argument: &str) -> Result<(KeyPath, Tree), Failure> {
    let wrong = || Failure::new(code::SET_FORMAT, "Invalid --set format");
    let at = argument.find("] ").ok_or_else(wrong)?;
    let value = from_json(&argument.as_bytes()[at + 2..])?;
    let path = tree_path::read(&argument[..=at]).map_err(|_| wrong())?;
    if path.steps.is_empty() { Err(wrong()) } else { Ok((path, value)) }
}

/// The encrypted file `bytes` with `value` at `path`. `None` if it is that already and `--idempotent` is given.
///
/// # Errors
/// In the words of sops.
pub(super) fn changed(
    run: &Run<'_>,
    target: &Target,
    bytes: Wiping<Vec<u8>>,
    path: &KeyPath,
    value: Tree,
    ring: &KeySources<'_>,
) -> Result<Option<Wiping<Vec<u8>>>, Failure> {
    let file = read_encrypted(bytes, target.input)?;
    let opened = open(run, &file, ring)?;
    let (path, value) = reachable(&opened, target.input, path, value)?;
    let mut rng = run.cx.rng().map_err(Failure::from)?;
    let value = NewValue::Tree(value);
    let mut edited = opened.change(vec![Change::Set { path, value }], run.cx.now(), &mut rng).map_err(unchangeable)?;
    if edited.summary.is_none() {
        if run.flags.is("idempotent") {
            return Ok(None);
        }
        edited = opened.renew(run.cx.now(), &mut rng).map_err(unchangeable)?;
    }
    in_output(run, target, &file, edited, ring).map(Some)
}

/// An edited file in the format of the output; in another one than it had it gets a new data key.
fn in_output(
    run: &Run<'_>,
    target: &Target,
    file: &EncryptedFile,
    edited: Edited,
    ring: &KeySources<'_>,
) -> Result<Wiping<Vec<u8>>, Failure> {
    if let Some(summary) = &edited.summary {
        tell(run, summary);
    }
    if target.input == target.output {
        return Ok(edited.bytes);
    }
    let edited = read_encrypted(edited.bytes, target.input)?;
    let opened = open(run, &edited, ring)?;
    for_readers(run, target, &edited, &opened, &KeyGroups::of(file.metadata()), ring)
}

/// Where the value goes: as far as the path exists, and what there has to be made.
fn reachable(opened: &Opened<'_>, format: Format, path: &KeyPath, value: Tree) -> Result<(KeyPath, Tree), Failure> {
    let document =
        Document::parse_owned(opened.to_plain(), format).map_err(|error| Failure::of(code::FAILED, "", error))?;
    let mut steps = path.steps.clone();
    let mut node = document.branches().next();
    for (index, step) in path.steps.iter().enumerate() {
        let Some(here) = node else { break };
        node = match (here.kind(), step) {
            (Kind::Mapping, PathStep::Key(key)) => here.get(key),
            (Kind::Sequence, PathStep::Index(number)) => {
                let items = || here.children().filter(|item| item.kind() != Kind::Comment);
                let length = items().count();
                steps[index] = PathStep::Index((*number).min(length));
                items().nth(*number)
            }
            (Kind::Scalar, _) if index > 0 => {
                let made = made(&path.steps[index..], value);
                steps.truncate(index);
                return Ok((KeyPath { branch: 0, steps }, made));
            }
            (_, PathStep::Key(key)) => {
                return Err(Failure::new(
                    code::FAILED,
                    format!("component ['{key}'] is a key, but tree part is not a map"),
                ));
            }
            (_, PathStep::Index(number)) => {
                return Err(Failure::new(
                    code::FAILED,
                    format!("component [{number}] is integer, but tree part is not a slice"),
                ));
            }
        };
    }
    Ok((KeyPath { branch: 0, steps }, value))
}

/// `value` in new containers, one for each step.
fn made(steps: &[PathStep], value: Tree) -> Tree {
    steps.iter().rev().fold(value, |tree, step| match step {
        PathStep::Key(key) => Tree::mapping([(key.as_str(), tree)]),
        PathStep::Index(_) => Tree::sequence([tree]),
    })
}

/// The value that JSON spells; no list, as in sops.
fn from_json(text: &[u8]) -> Result<Tree, Failure> {
    const BEFORE: &[u8] = b"{\"value\":";
    let mut object = Wiping::new(Vec::with_capacity(BEFORE.len() + text.len() + 1));
    object.extend_from_slice(BEFORE);
    object.extend_from_slice(text);
    object.push(b'}');
    let wrong = || Failure::new(code::SET_FORMAT, "Value for --set is not valid JSON");
    let document = Document::parse(&object, Format::Json).map_err(|_| wrong())?;
    let root = document.branches().next().ok_or_else(wrong)?;
    match (root.get("value"), root.children().count()) {
        (Some(node), 1) if node.kind() == Kind::Sequence => {
            Err(Failure::new(code::SET_FORMAT, "Invalid --set value format"))
        }
        (Some(node), 1) if node.is_deeper_than(DEPTH_LIMIT) => {
            Err(Failure::new(code::SET_FORMAT, "Value for --set nests deeper than 1,000 levels"))
        }
        (Some(node), 1) => Ok(Tree::copy_of(node)),
        _ => Err(wrong()),
    }
}

fn unchangeable(error: EditError) -> Failure {
    match error {
        EditError::Reserved { .. } | EditError::Metadata(_) => already_encrypted(error),
        EditError::Seal(error) => Failure::of(code::ENCRYPTING, "Error encrypting tree: Error walking tree", error),
        error => Failure::of(code::FAILED, "", error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_old_argument_is_cut_at_the_first_bracket_before_a_blank() {
        let (path, value) = read_argument(r#"["a"][0] {"b": 1}"#).unwrap();
        assert_eq!(path.to_string(), r#"["a"][0]"#);
        assert!(matches!(value, Tree::Mapping(_)));
        for (argument, message) in [
            (r#"["a"]1"#, "Invalid --set format"),
            (r#"["a"] x"#, "Value for --set is not valid JSON"),
            (r#"["a"] [1]"#, "Invalid --set value format"),
            (r#"["a" 1"#, "Invalid --set format"),
        ] {
            assert_eq!(read_argument(argument).unwrap_err().message(), message, "{argument}");
        }
    }

    #[test]
    fn values_that_are_no_json_are_refused() {
        let deep = format!("{}1{}", "{\"a\":".repeat(9_990), "}".repeat(9_990));
        for text in ["", "hunter2", "1,\"b\":2", "1}{", "{\"a\":1", "'x'", &deep] {
            assert_eq!(from_json(text.as_bytes()).unwrap_err().code(), 7, "{text}");
        }
    }
}
