//! `sops publish`: files go where a rule of `destination_rules` says. Vault gets the values, a bucket the encrypted file.
//!
//! ```text
//! FILE or what is below a directory ─ rule ─┬─ vault_path: decrypted, merged into one object ─ the same there already? ─ written
//!                                           └─ s3_bucket, gcs_bucket: refused, that is not there
//! ```
//! Source: sops 3.13.3 `cmd/sops/subcommand/publish`, `publish/vault.go`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bulla_doc::{Document, Format, Item, Tree};
use bulla_keys::KeySources;
use bulla_services::vault::{Answer, Call, Client};
use bulla_services::{ServiceError, Surroundings};
use bulla_sops::rules::{Destination, DestinationRule, RuleError};
use bulla_wipe::Wiping;

use crate::error::CommandError;
use crate::services;
use crate::wait::block_on;

use super::failure::{Failure, code};
use super::file::{Target, absolute_of, open, read_encrypted, read_file, sources, warn_of_more};
use super::go::Level;
use super::rules::{Configuration, required};
use super::updatekeys::is_confirmed;
use super::{Outcome, Run};

/// Where Vault is if nobody says so.
const USUAL: &str = "https://127.0.0.1:8200";

pub(super) fn publish(run: &Run<'_>) -> Outcome {
    let configuration = required(run)?;
    let Some(name) = run.arguments().first() else {
        return Err(Failure::new(code::NO_FILE, "Error: no file specified"));
    };
    warn_of_more(run);
    let root = Path::new(name);
    let metadata = std::fs::metadata(root).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            Failure::new(code::FAILED, format!("stat {}: no such file or directory", root.display()))
        }
        _ => Failure::new(code::FAILED, format!("stat {}: {error}", root.display())),
    })?;
    if metadata.is_dir() && !run.flags.is("recursive") {
        return Err(Failure::fatal("can't operate on a directory without --recursive flag."));
    }
    let ring = sources(run)?;
    for file in files_below(root)? {
        publish_one(run, &configuration, root, &file, &ring)?;
    }
    Ok(())
}

/// The file, or every file below the directory, in the order of their names. Links are not followed.
fn files_below(root: &Path) -> Result<Vec<PathBuf>, Failure> {
    let failed = |error: std::io::Error| Failure::new(code::FAILED, format!("{}: {error}", root.display()));
    let mut waiting = vec![root.to_path_buf()];
    let mut files = Vec::new();
    while let Some(path) = waiting.pop() {
        let is_directory = if path == root {
            std::fs::metadata(&path).map_err(failed)?.is_dir()
        } else {
            std::fs::symlink_metadata(&path).map_err(failed)?.is_dir()
        };
        if !is_directory {
            files.push(path);
            continue;
        }
        let entries = std::fs::read_dir(&path).map_err(failed)?;
        let mut inside =
            entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>().map_err(failed)?;
        inside.sort();
        waiting.extend(inside.into_iter().rev());
    }
    Ok(files)
}

fn publish_one(
    run: &Run<'_>,
    configuration: &Configuration,
    root: &Path,
    path: &Path,
    ring: &KeySources<'_>,
) -> Outcome {
    let rule = match configuration.rules.destination_for(&path.to_string_lossy()) {
        Ok(rule) => rule,
        Err(error @ RuleError::NoDestination { .. }) => {
            let words = "error loading config: no matching destination found in config";
            return Err(Failure::above(
                code::FAILED,
                words,
                CommandError::from(error).at(configuration.path.display()),
            ));
        }
        Err(error) => {
            let error = CommandError::from(error).at(configuration.path.display());
            return Err(Failure::of(code::FAILED, "error loading config", error));
        }
    };
    let Some(destination) = &rule.destination else {
        return Err(Failure::new(code::FAILED, "no destination configured for this file"));
    };
    let name = name_there(run, rule, root, path)?;
    let target = Target::of(run, Some(path.to_path_buf()))?;
    let file = read_encrypted(read_file(path)?, target.input)?;
    let Destination::Vault { address, path: folder, mount, version } = destination else {
        return Err(Failure::new(code::FAILED, format!("{}: bulla publishes to Vault only", destination.place(&name))));
    };
    let plain = open(run, &file, ring)?.to_plain();
    let document = Document::parse_owned(plain, target.input).map_err(|error| Failure::of(code::FAILED, "", error))?;
    let data = merged(&document);
    let address = if address.is_empty() { server(run) } else { address.clone() };
    let secret = Secret {
        path: format!("{mount}{}{folder}{name}", if *version == 2 { "data/" } else { "" }),
        has_versions: *version == 2,
        data,
    };
    let absolute = absolute_of(path.as_os_str())?;
    let question = format!("uploading {} to {address}/v1/{} ? (y/n): ", absolute.display(), secret.path);
    if !run.flags.is("yes") && !is_confirmed(run, &question)? {
        let message = format!("Publication of {} canceled", absolute.display());
        if run.flags.is("recursive") {
            return run.print(format!("{message}\n").as_bytes());
        }
        return Err(Failure::new(code::FAILED, message));
    }
    let (client, surroundings) = services::vault_client(run.cx, &address)
        .map_err(|reason| Failure::new(code::FAILED, format!("{address}: {reason}")))?;
    upload(run, &client, &surroundings, &secret)
}

/// The server of the environment.
fn server(run: &Run<'_>) -> String {
    let address = run.cx.variable("VAULT_ADDR").and_then(|address| address.into_string().ok());
    address.map_or_else(|| USUAL.to_owned(), |address| address.trim_end_matches('/').to_owned())
}

/// What the file is called there: its name, or its path below the directory that was named.
fn name_there(run: &Run<'_>, rule: &DestinationRule, root: &Path, path: &Path) -> Result<String, Failure> {
    let mut name = if run.flags.is("recursive") && path != root {
        path.strip_prefix(root).unwrap_or(path).to_path_buf()
    } else {
        PathBuf::from(path.file_name().unwrap_or_default())
    };
    if run.flags.is("omit-extensions") || rule.omit_extensions {
        name.set_extension("");
    }
    let text = name.to_string_lossy().into_owned();
    if text.split('/').any(|part| part == "..") {
        return Err(Failure::new(
            code::FAILED,
            format!("{}: its name would lead out of the destination", path.display()),
        ));
    }
    Ok(text)
}

/// All documents as one object. Of entries with the same key the last one counts.
fn merged(document: &Document) -> Tree {
    let mut entries: Vec<(String, Tree)> = Vec::new();
    for entry in document.branches().flat_map(bulla_doc::Node::children) {
        let Some(key) = entry.key() else { continue };
        let tree = Tree::copy_of(entry);
        match entries.iter_mut().find(|(known, _)| known == key) {
            Some((_, old)) => *old = tree,
            None => entries.push((key.to_owned(), tree)),
        }
    }
    Tree::mapping(entries)
}

/// What is to be in Vault.
struct Secret {
    /// Below `/v1/`.
    path: String,
    /// Does the engine keep versions?
    has_versions: bool,
    data: Tree,
}

fn upload(run: &Run<'_>, client: &Arc<Client>, surroundings: &Surroundings, secret: &Secret) -> Outcome {
    let send = |body: Option<Wiping<Vec<u8>>>| {
        let (client, path) = (Arc::clone(client), secret.path.clone());
        block_on(surroundings.carry_out(async move {
            let call = match body {
                Some(body) => Call::update(&path, body),
                None => Call::read(&path),
            };
            client.send(call).await
        }))
    };
    match send(None) {
        Ok(answer) if answer.status == 200 && is_there(&answer, secret) => {
            run.inform(&format!("Secret in {} is already up-to-date.", secret.path));
            return Ok(());
        }
        Ok(answer) if matches!(answer.status, 200 | 404) => {}
        _ => run.log_as(
            "PUBLISH",
            Level::Warning,
            &format!(
                "Cannot check if destination secret already exists in {}. New version will be created even if the data has not been changed.",
                secret.path
            ),
            &[],
        ),
    }
    let data = secret.data.clone();
    let body = if secret.has_versions { Tree::mapping([("data", data)]) } else { data };
    match send(Some(bulla_doc::write(&[body], Format::Json, None))) {
        Ok(answer) if (200..300).contains(&answer.status) => Ok(()),
        Ok(answer) => Err(refused(&answer.refusal())),
        Err(error) => Err(refused(&error)),
    }
}

fn refused(error: &ServiceError) -> Failure {
    Failure::new(code::FAILED, error.to_string())
}

/// Is what Vault has what it is to have?
fn is_there(answer: &Answer, secret: &Secret) -> bool {
    let Ok(document) = Document::parse_owned(Wiping::new(answer.body.to_vec()), Format::Json) else { return false };
    let data = document.branches().next().and_then(|top| top.get("data"));
    let data = if secret.has_versions { data.and_then(|data| data.get("data")) } else { data };
    data.is_some_and(|data| same(&Tree::copy_of(data), &secret.data))
}

/// Whether both are the same object. Vault sorts keys, and comments are no values. As deep as documents may be, and no deeper.
fn same(there: &Tree, here: &Tree) -> bool {
    match (there, here) {
        (Tree::Mapping(there), Tree::Mapping(here)) => {
            let (there, here) = (values(there), values(here));
            let is_in =
                |(key, value): &(&str, &Tree)| there.iter().any(|(known, other)| known == key && same(other, value));
            there.len() == here.len() && here.iter().all(is_in)
        }
        (Tree::Sequence(there), Tree::Sequence(here)) => {
            let (there, here) = (values(there), values(here));
            there.len() == here.len() && there.iter().zip(&here).all(|((_, there), (_, here))| same(there, here))
        }
        (Tree::Scalar(there), Tree::Scalar(here)) => there == here,
        _ => false,
    }
}

/// What is no comment; items of a list have no key.
fn values(items: &[Item]) -> Vec<(&str, &Tree)> {
    items
        .iter()
        .filter_map(|item| match item {
            Item::Comment { .. } => None,
            Item::Entry { key, value } => Some((key.as_str(), value)),
            Item::Element(value) => Some(("", value)),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(text: &str) -> Tree {
        merged(&Document::parse(text.as_bytes(), Format::Yaml).unwrap())
    }

    #[test]
    fn documents_become_one_object() {
        let json =
            bulla_doc::write(&[tree("a: 1\nb: {c: [x, {d: null}]} # note\n---\na: two\n")], Format::Json, Some(0));
        let text = String::from_utf8(json.to_vec()).unwrap();
        assert_eq!(text.split_whitespace().collect::<String>(), r#"{"a":"two","b":{"c":["x",{"d":null}]}}"#);
    }

    #[test]
    fn what_vault_has_is_compared_without_regard_to_order() {
        for (there, here, equal) in [
            ("{b: 1, a: {x: [1, 2]}}", "# note\na:\n  x: [1, 2]\nb: 1\n", true),
            ("{a: [1, 2]}", "a: [2, 1]", false),
            ("{a: 1}", "a: '1'", false),
            ("{a: 1, b: 2}", "a: 1", false),
        ] {
            assert_eq!(same(&tree(there), &tree(here)), equal, "{there} {here}");
        }
    }
}
