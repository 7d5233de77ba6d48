//! The `data` of Kubernetes Secrets as text: people write and read text, the file holds base64.
//!
//! ```text
//! data: {password: aHVudGVyMg==}  ─ shown ─▶  data: {password: hunter2}  ─ editor ─▶  … ─ stored ─▶  data: {password: …=}
//! ```
//! What was not changed gets the characters that it had, so its ciphertext stays. What is no text is shown as YAML's `!!binary`, and as an
//! error in JSON, which has nothing of the kind. Secrets in a `List` count; `stringData` is text anyhow.

use std::collections::HashMap;

use bulla_crypto::{SecretBytes, encoding};
use bulla_doc::{Document, Edits, Format, Kind, Node, Tree, Value};
use bulla_sops::{KeyPath, PathStep, Place};
use bulla_wipe::Wiping;

use crate::error::CommandError;
use crate::exit::Exit;

/// The plain document and what is shown of it.
#[derive(Debug)]
pub(crate) struct Shown {
    /// The text for the editor.
    pub(crate) text: Wiping<Vec<u8>>,
    /// By path, what was stored.
    stored: HashMap<KeyPath, Stored>,
    format: Format,
}

#[derive(Debug)]
struct Stored {
    bytes: SecretBytes,
    characters: Wiping<String>,
}

/// The document with the `data` of its Secrets as text; `None` if it has none, and is shown as it is.
///
/// # Errors
/// [`Exit::Input`] with the place of a value that cannot be shown.
pub(crate) fn show(plain: &[u8], format: Format) -> Result<Option<Shown>, CommandError> {
    let document = Document::parse(plain, format)?;
    let mut stored = HashMap::new();
    let mut found = Vec::new();
    for (node, path) in values(&document) {
        // Finding a place reads the document from its beginning: for errors only.
        let place = || Place::of(node, &document);
        if node.is_alias() || node.is_expanded() || node.is_anchored() {
            return Err(not_shown(format!("the value at {} has an alias or is one", place())));
        }
        let Some(characters) = node.as_str() else { continue };
        let Ok(bytes) = encoding::decode_go(characters.as_bytes()) else {
            return Err(not_shown(format!("the value at {} is under `data` of a Secret, and no base64", place())));
        };
        if format == Format::Json && std::str::from_utf8(&bytes).is_err() {
            return Err(not_shown(format!("the value at {} is no text, and JSON has no way to write it", place())));
        }
        let characters = Wiping::new(characters.to_owned());
        stored.insert(path.clone(), Stored { bytes: SecretBytes::new(bytes), characters });
        found.push((node, path));
    }
    if found.is_empty() {
        return Ok(None);
    }
    // Texts of several lines as such, where the lines around let it; the rest as the document writes values.
    let text = [true, false].into_iter().find_map(|in_lines| {
        let mut edits = Edits::new(&document);
        for (node, path) in &found {
            let value = &stored[path];
            set_text(&mut edits, *node, value.bytes.expose_secret(), in_lines);
        }
        let text = edits.apply();
        is_shown_as(&text, &stored, format).then_some(text)
    });
    let text =
        text.ok_or_else(|| not_shown("the `data` of a Secret cannot be shown as text where it stands".to_owned()))?;
    Ok(Some(Shown { text, stored, format }))
}

impl Shown {
    /// The document with the edited text's `data` in base64 again.
    ///
    /// # Errors
    /// [`Exit::Input`] if it is no document.
    pub(crate) fn stored(&self, edited: &[u8]) -> Result<Wiping<Vec<u8>>, CommandError> {
        let document = Document::parse(edited, self.format)?;
        let mut edits = Edits::new(&document);
        for (node, path) in values(&document) {
            // A number or `true` is one of the mistakes that Kubernetes refuses; it stays as it is.
            let Value::String(bytes) = node.value() else { continue };
            if node.is_alias() || node.is_expanded() {
                let place = Place::of(node, &document);
                return Err(CommandError::new(Exit::Input, format!("the value at {place} is an alias"))
                    .hint("write the value itself, or edit the base64 with `--encoded`"));
            }
            let before = self.stored.get(&path);
            let characters = match before.filter(|before| *before.bytes.expose_secret() == *bytes) {
                Some(before) => before.characters.clone(),
                None => Wiping::new(encoding::encode(&bytes)),
            };
            let spelling = node.spelling();
            if spelling.starts_with(['|', '>', '!']) || node.as_str().is_none() {
                edits.set_tree(node, &Tree::string(&characters));
            } else {
                edits.set_value(node, &Value::text(&characters));
            }
        }
        Ok(edits.apply())
    }
}

fn not_shown(message: String) -> CommandError {
    CommandError::new(Exit::Input, message).hint("`--encoded` leaves the base64 under `data` as it is")
}

/// The scalars under `data` of every Secret, each with the way to it.
fn values(document: &Document) -> Vec<(Node<'_>, KeyPath)> {
    let mut found = Vec::new();
    for (number, branch) in document.branches().enumerate() {
        let items = branch.get("items").filter(|_| kind_of(branch).is_some_and(|kind| kind.ends_with("List")));
        let items = items.into_iter().flat_map(Node::children).filter(|item| item.kind() != Kind::Comment);
        let items = items.enumerate().filter(|(_, item)| item.kind() == Kind::Mapping);
        let items = items.map(|(index, item)| (item, vec![PathStep::Key("items".to_owned()), PathStep::Index(index)]));
        let objects = std::iter::once((branch, Vec::new())).chain(items);
        for (object, steps) in objects.filter(|(object, _)| is_secret(*object)) {
            let data = object.get("data").filter(|data| data.kind() == Kind::Mapping);
            for value in data.into_iter().flat_map(Node::children).filter(|value| value.kind() == Kind::Scalar) {
                let own = ["data", value.key().unwrap_or_default()].map(|key| PathStep::Key(key.to_owned()));
                found.push((value, KeyPath { branch: number, steps: [&steps[..], &own[..]].concat() }));
            }
        }
    }
    found
}

fn kind_of(object: Node<'_>) -> Option<&str> {
    object.get("kind")?.as_str()
}

/// Is this object a Secret of Kubernetes?
pub(crate) fn is_secret(object: Node<'_>) -> bool {
    kind_of(object) == Some("Secret") && object.get("apiVersion").is_some_and(|version| version.as_str() == Some("v1"))
}

/// How many steps of a path lead to a Secret's `data` or `stringData`, and whether it is `data`; `None` if the path does not go through one.
pub(crate) fn in_secret(document: &Document, path: &KeyPath) -> Option<(usize, bool)> {
    let branch = document.branches().nth(path.branch)?;
    let (object, before) = match path.steps.as_slice() {
        [PathStep::Key(items), PathStep::Index(index), ..] if items == "items" => {
            let items = branch.get("items")?;
            (items.children().filter(|item| item.kind() != Kind::Comment).nth(*index)?, 2)
        }
        _ => (branch, 0),
    };
    let PathStep::Key(field) = path.steps.get(before).filter(|_| is_secret(object))? else { return None };
    matches!(field.as_str(), "data" | "stringData").then_some((before + 1, field == "data"))
}

/// Does a path lead to one value under a Secret's `data`?
pub(crate) fn is_encoded(document: &Document, path: &KeyPath) -> bool {
    in_secret(document, path).is_some_and(|(steps, is_data)| is_data && path.steps.len() == steps + 1)
}

fn set_text<'d>(edits: &mut Edits<'d>, node: Node<'d>, bytes: &[u8], in_lines: bool) {
    let text = std::str::from_utf8(bytes).ok();
    if let Some(block) = text.filter(|_| in_lines).and_then(|text| as_block(text, node)) {
        edits.set_spelling(node, &block);
    } else {
        edits.set_value(node, &Value::String(bytes.into()));
    }
}

/// A text of several lines as a literal block of YAML below its key.
fn as_block(text: &str, node: Node<'_>) -> Option<Wiping<String>> {
    let plain_characters = text.chars().all(|character| matches!(character, '\n' | '\t') || !character.is_control());
    let is_block =
        text.trim_end_matches('\n').contains('\n') && !text.starts_with([' ', '\t', '\n']) && plain_characters;
    // In JSON, and where the entry is not at the start of its line, this is not read back, and is not taken.
    if !is_block || node.spelling().starts_with(['|', '>']) {
        return None;
    }
    let breaks = text.len() - text.trim_end_matches('\n').len();
    let indent = node.position().column.saturating_sub(1) + 2;
    let mut block = Wiping::new(match breaks {
        0 => "|-".to_owned(),
        1 => "|".to_owned(),
        _ => return None,
    });
    for line in text.trim_end_matches('\n').split('\n') {
        block.append("\n");
        if !line.is_empty() {
            block.append(&" ".repeat(indent));
            block.append(line);
        }
    }
    Some(block)
}

/// Does `text` have the bytes of `stored` at their places, and no others under `data`?
fn is_shown_as(text: &[u8], stored: &HashMap<KeyPath, Stored>, format: Format) -> bool {
    let Ok(document) = Document::parse(text, format) else { return false };
    let found = values(&document);
    let is_there = |(node, path): &(Node<'_>, KeyPath)| match (node.value(), stored.get(path)) {
        (Value::String(bytes), Some(stored)) => *stored.bytes.expose_secret() == *bytes,
        (Value::String(_), None) => false,
        (_, stored) => stored.is_none(),
    };
    found.iter().all(is_there)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "apiVersion: v1\nkind: Secret\nmetadata: {name: db}\n";

    fn shown(text: &str) -> Shown {
        show(text.as_bytes(), Format::Yaml).unwrap().unwrap()
    }

    fn text(bytes: &[u8]) -> &str {
        std::str::from_utf8(bytes).unwrap()
    }

    #[test]
    fn many_secrets_are_shown_in_time_that_grows_with_them() {
        const OBJECTS: usize = 30_000;
        let documents = "---\napiVersion: v1\nkind: Secret\ndata: {k: eA==}\n".repeat(OBJECTS);
        let items = "- {apiVersion: v1, kind: Secret, data: {k: eA==}}\n".repeat(OBJECTS);
        let start = std::time::Instant::now();
        for text in [documents, format!("kind: List\nitems:\n{items}")] {
            let shown = shown(&text);
            assert_eq!(shown.stored.len(), OBJECTS);
            assert_eq!(*shown.stored(&shown.text).unwrap(), text.as_bytes());
        }
        // Quadratic, it takes minutes; some seconds here.
        assert!(start.elapsed() < std::time::Duration::from_mins(1), "took {:?}", start.elapsed());
    }

    #[test]
    fn data_is_shown_as_text_and_comes_back_as_it_was() {
        for (data, expected) in [
            ("data:\n  a: aHVudGVyMg== # rotated\n", "data:\n  a: hunter2 # rotated\n"),
            ("data: {a: 'aHVudGVyMg==', b: \"\"}\n", "data: {a: 'hunter2', b: \"\"}\n"),
            ("data:\n  a: b25lCnR3bwo=\n  b: eA==\n", "data:\n  a: |\n    one\n    two\n  b: x\n"),
            ("data:\n    a: b25lCgp0d28=\n", "data:\n    a: |-\n      one\n\n      two\n"),
            ("data:\n  a: MTIz\n  b: dHJ1ZQ==\n", "data:\n  a: \"123\"\n  b: \"true\"\n"),
            ("data:\n  a: /w==\nstringData:\n  b: eA==\n", "data:\n  a: !!binary /w==\nstringData:\n  b: eA==\n"),
        ] {
            let stored = format!("{SECRET}{data}");
            let shown = shown(&stored);
            assert_eq!(text(&shown.text), format!("{SECRET}{expected}"));
            let back = shown.stored(&shown.text).unwrap();
            let (before, after) =
                (Document::parse(stored.as_bytes(), Format::Yaml), Document::parse(&back, Format::Yaml));
            let of = |document: &Document| -> Vec<String> {
                values(document).iter().map(|(node, _)| node.as_str().unwrap().to_owned()).collect()
            };
            assert_eq!(of(&before.unwrap()), of(&after.unwrap()), "{data}");
        }
    }

    #[test]
    fn what_was_changed_is_encoded_and_what_was_not_keeps_its_characters() {
        // Two characters more than needed: still base64 for Go, and not what we would write.
        let stored = format!("{SECRET}data:\n  a: |\n    aHVu\n    dGVyMg==\n  b: eA==\n");
        let shown = shown(&stored);
        let edited = text(&shown.text).replace("b: x", "b: y\n  c: new");
        let back = shown.stored(edited.as_bytes()).unwrap();
        let document = Document::parse(&back, Format::Yaml).unwrap();
        let of: Vec<_> = values(&document).iter().map(|(node, _)| node.as_str().unwrap()).collect();
        assert_eq!(of, ["aHVu\ndGVyMg==\n", "eQ==", "bmV3"]);
    }

    #[test]
    fn lists_have_secrets_and_other_objects_have_none() {
        let list = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Secret\n  data: {a: eA==}\n";
        assert!(text(&shown(list).text).ends_with("data: {a: x}\n"));
        for text in ["apiVersion: v1\nkind: ConfigMap\ndata: {a: eA==}\n", "data: {a: eA==}\n", SECRET] {
            assert!(show(text.as_bytes(), Format::Yaml).unwrap().is_none(), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_shown_is_refused_with_its_place() {
        let broken = format!("{SECRET}data:\n  a: hunter2!\n");
        let error = show(broken.as_bytes(), Format::Yaml).unwrap_err().render();
        assert!(error.contains(r#"`["data"]["a"]` (line 5, column 3)"#), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
        let json = r#"{"apiVersion": "v1", "kind": "Secret", "data": {"a": "/w=="}}"#;
        assert!(show(json.as_bytes(), Format::Json).unwrap_err().render().contains(r#"`["data"]["a"]`"#));
    }
}
