//! Values go to a key-value engine of Vault: as one object, unless the same is there already.

use std::collections::HashMap;
use std::sync::Arc;

use bulla_doc::{DEPTH_LIMIT, Document, Format, Item, Tree};
use bulla_services::vault::{Answer, Call, Client};
use bulla_services::{ServiceError, Surroundings};
use bulla_wipe::Wiping;

use crate::services;
use crate::wait::block_on;

use super::super::failure::{Failure, code};
use super::super::go::Level;
use super::super::{Outcome, Run};

/// Where Vault is if nobody says so.
const USUAL: &str = "https://127.0.0.1:8200";

/// The server of the environment.
pub(super) fn server(run: &Run<'_>) -> String {
    let address = run.cx.variable("VAULT_ADDR").and_then(|address| address.into_string().ok());
    address.map_or_else(|| USUAL.to_owned(), |address| address.trim_end_matches('/').to_owned())
}

/// All documents as one object. Of entries with the same key the last one counts.
///
/// # Errors
/// One nests too deeply.
pub(super) fn merged(document: &Document) -> Result<Tree, Failure> {
    let mut entries: Vec<(String, Tree)> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for entry in document.branches().flat_map(bulla_doc::Node::children) {
        let Some(key) = entry.key() else { continue };
        if entry.is_deeper_than(DEPTH_LIMIT) {
            return Err(Failure::new(code::FAILED, format!("{}: more than 1,000 levels", entry.position())));
        }
        let tree = Tree::copy_of(entry);
        match places.get(key) {
            Some(&place) => entries[place].1 = tree,
            None => {
                places.insert(key, entries.len());
                entries.push((key.to_owned(), tree));
            }
        }
    }
    Ok(Tree::mapping(entries))
}

/// What is to be in Vault.
pub(super) struct Secret {
    /// Below `/v1/`.
    pub(super) path: String,
    /// Does the engine keep versions?
    pub(super) has_versions: bool,
    pub(super) data: Tree,
}

/// Writes `secret` into the Vault at `address`.
///
/// # Errors
/// What Vault says.
pub(super) fn upload(run: &Run<'_>, address: &str, secret: &Secret) -> Outcome {
    let (client, surroundings) = services::vault_client(run.cx, address)
        .map_err(|reason| Failure::new(code::FAILED, format!("{address}: {reason}")))?;
    write(run, &client, &surroundings, secret)
}

fn write(run: &Run<'_>, client: &Arc<Client>, surroundings: &Surroundings, secret: &Secret) -> Outcome {
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
    data.is_some_and(|data| !data.is_deeper_than(DEPTH_LIMIT) && same(&Tree::copy_of(data), &secret.data))
}

/// Whether both are the same object. Vault sorts keys, and comments are no values.
fn same(there: &Tree, here: &Tree) -> bool {
    match (there, here) {
        (Tree::Mapping(there), Tree::Mapping(here)) => {
            let (there, here) = (values(there), values(here));
            let known: HashMap<&str, &Tree> = there.iter().copied().collect();
            let is_in = |(key, value): &(&str, &Tree)| known.get(key).is_some_and(|other| same(other, value));
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
        merged(&Document::parse(text.as_bytes(), Format::Yaml).unwrap()).unwrap()
    }

    #[test]
    fn documents_become_one_object() {
        let json =
            bulla_doc::write(&[tree("a: 1\nb: {c: [x, {d: null}]} # note\n---\na: two\n")], Format::Json, Some(0));
        let text = String::from_utf8(json.to_vec()).unwrap();
        assert_eq!(text.split_whitespace().collect::<String>(), r#"{"a":"two","b":{"c":["x",{"d":null}]}}"#);
    }

    #[test]
    fn many_keys_are_merged_and_compared_in_time_that_grows_with_them() {
        const KEYS: usize = 300_000;
        let lines = |order: &mut dyn Iterator<Item = usize>| -> String {
            order.map(|number| format!("key{number}: {number}\n")).collect::<Vec<_>>().concat()
        };
        let start = std::time::Instant::now();
        let here = tree(&lines(&mut (0..KEYS)));
        let there = tree(&lines(&mut (0..KEYS).rev()));
        assert!(same(&there, &here));
        // Quadratic, it takes many minutes; half a second here, on a machine that does nothing else.
        assert!(start.elapsed() < std::time::Duration::from_mins(1), "took {:?}", start.elapsed());
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
