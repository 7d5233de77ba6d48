//! Kubernetes manifests: a stream of YAML documents or JSON objects ⇄ JSON values.
//!
//! Read as `kubectl` reads them: a date is text, and an unquoted `yes` or `on` is a boolean, so it is refused where text belongs instead of
//! being guessed. Lists (`kind: List`) are taken apart. Invariant: values may hold plaintext, and wipe themselves.

use std::ops::{Deref, DerefMut};

use bulla_doc::{Document, Format, Item, Kind, Node, Scalar, Tree};
use bulla_wipe::Wiping;
use serde::de::IgnoredAny;
use serde_json::{Map, Number, Value};
use zeroize::Zeroize as _;

use crate::error::CommandError;
use crate::exit::Exit;
use crate::files::Source;

/// How deep a manifest may nest. Kubernetes' own objects need a tenth of it.
const DEEPEST: usize = 100;

/// One object of a file.
pub(crate) struct Manifest {
    pub(crate) object: SecretValue,
    /// Where it begins.
    pub(crate) place: String,
}

/// A JSON value whose strings are wiped when it is dropped.
#[derive(Default)]
pub(crate) struct SecretValue(Value);

impl SecretValue {
    pub(crate) fn new(value: Value) -> Self {
        Self(value)
    }
}

impl Deref for SecretValue {
    type Target = Value;

    fn deref(&self) -> &Value {
        &self.0
    }
}

impl DerefMut for SecretValue {
    fn deref_mut(&mut self) -> &mut Value {
        &mut self.0
    }
}

impl Drop for SecretValue {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(items) => items.iter_mut().for_each(wipe),
        Value::Object(entries) => entries.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The objects of `source`, in order. Empty documents are passed over.
///
/// # Errors
/// [`Exit::Input`], with line and column.
pub(crate) fn read(source: &Source, format: Format) -> Result<Vec<Manifest>, CommandError> {
    let failed = |error: &dyn std::fmt::Display| CommandError::new(Exit::Input, error.to_string()).at(&source.origin);
    let mut manifests = Vec::new();
    for (part, lines_before) in parts(&source.bytes, format).map_err(|error| failed(&error))? {
        let document = Document::parse(part, format).map_err(|error| {
            let line = error.position().line + lines_before;
            failed(&format_args!("line {line}, column {}: {}", error.position().column, error.expected))
        })?;
        for branch in document.branches() {
            let line = branch.position().line + lines_before;
            let object = SecretValue(value_of(branch, 0).map_err(|error| failed(&error))?);
            if object.as_object().is_some_and(|object| !object.is_empty()) {
                take_apart(object, &format!("line {line}"), &mut manifests);
            }
        }
    }
    Ok(manifests)
}

/// The object that a mapping of a document is.
///
/// # Errors
/// [`Exit::Input`], with line and column.
pub(crate) fn object_of(mapping: Node<'_>) -> Result<SecretValue, CommandError> {
    value_of(mapping, 0).map(SecretValue).map_err(|error| CommandError::new(Exit::Input, error))
}

/// The objects of a `List`, or the object itself.
fn take_apart(mut object: SecretValue, place: &str, manifests: &mut Vec<Manifest>) {
    let is_list = object["kind"].as_str().is_none_or(|kind| kind == "List" || kind == "SecretList");
    match object.0.get_mut("items") {
        Some(Value::Array(items)) if is_list => {
            for (index, item) in items.iter_mut().enumerate() {
                let place = format!("{place}, items[{index}]");
                manifests.push(Manifest { object: SecretValue(item.take()), place });
            }
        }
        _ => manifests.push(Manifest { object, place: place.to_owned() }),
    }
}

/// JSON objects may follow one another in a file; each is a document, with the number of lines before it.
fn parts(bytes: &[u8], format: Format) -> Result<Vec<(&[u8], usize)>, String> {
    if format == Format::Yaml {
        return Ok(vec![(bytes, 0)]);
    }
    let mut parts = Vec::new();
    let mut stream = serde_json::Deserializer::from_slice(bytes).into_iter::<IgnoredAny>();
    let (mut start, mut lines) = (0, 0);
    while let Some(object) = stream.next() {
        // The message of the parser is a fixed text with a position; it quotes nothing.
        object.map_err(|error| error.to_string())?;
        let end = stream.byte_offset();
        parts.push((&bytes[start..end], lines));
        lines += bytes[start..end].split(|byte| *byte == b'\n').count() - 1;
        start = end;
    }
    Ok(parts)
}

fn value_of(node: Node<'_>, depth: usize) -> Result<Value, String> {
    let at = |message: &str| format!("{}: {message}", node.position());
    if depth > DEEPEST {
        return Err(at("nested deeper than any manifest"));
    }
    let children = || node.children().filter(|child| child.kind() != Kind::Comment);
    match node.kind() {
        Kind::Mapping => {
            let mut entries = Map::new();
            for child in children() {
                // Entries of a mapping that are no comments have a key.
                let key = child.key().unwrap_or_default().to_owned();
                entries.insert(key, value_of(child, depth + 1)?);
            }
            Ok(Value::Object(entries))
        }
        Kind::Sequence => {
            children().map(|child| value_of(child, depth + 1)).collect::<Result<_, _>>().map(Value::Array)
        }
        Kind::Scalar | Kind::Comment => scalar_of(node).ok_or_else(|| at("expected text in UTF-8, and finite numbers")),
    }
}

fn scalar_of(node: Node<'_>) -> Option<Value> {
    Some(match node.value() {
        bulla_doc::Value::Null => Value::Null,
        bulla_doc::Value::Bool(value) => Value::Bool(value),
        bulla_doc::Value::Int(value) => Value::Number(value.into()),
        bulla_doc::Value::Unsigned(value) => Value::Number(value.into()),
        bulla_doc::Value::Float(value) => Value::Number(Number::from_f64(value)?),
        bulla_doc::Value::Time(_) => Value::String(node.spelling().into_owned()),
        bulla_doc::Value::String(text) => match &*node.spelling() {
            // YAML 1.1, as Kubernetes reads it.
            "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "y" | "Y" => Value::Bool(true),
            "no" | "No" | "NO" | "off" | "Off" | "OFF" | "n" | "N" => Value::Bool(false),
            _ => Value::String(std::str::from_utf8(&text).ok()?.to_owned()),
        },
    })
}

/// Writes objects one after the other: YAML with `---` between them and sorted keys, JSON indented by two blanks in the order of fields;
/// so do `kubectl` and `kubeseal`.
pub(crate) fn write(objects: &[SecretValue], format: Format) -> Wiping<Vec<u8>> {
    let trees: Vec<Tree> = objects.iter().map(|object| tree_for(object, format)).collect();
    match format {
        Format::Yaml => bulla_doc::write(&trees, format, Some(2)),
        _ => {
            let texts: Vec<_> =
                trees.iter().map(|tree| bulla_doc::write(std::slice::from_ref(tree), format, Some(2))).collect();
            let mut joined = Wiping::new(Vec::with_capacity(texts.iter().map(|text| text.len()).sum()));
            for text in &texts {
                joined.extend_from_slice(text);
            }
            joined
        }
    }
}

/// An object as it is written in a file of this format.
pub(crate) fn tree_for(object: &SecretValue, format: Format) -> Tree {
    let tree = tree_of(object);
    if format == Format::Yaml { sort(tree) } else { tree }
}

fn tree_of(value: &Value) -> Tree {
    match value {
        Value::Null => Tree::Scalar(Scalar::Null),
        Value::Bool(value) => Tree::Scalar(Scalar::Bool(*value)),
        Value::Number(number) => Tree::Scalar(match number.as_i64() {
            Some(value) => Scalar::Int(value),
            None => Scalar::Float(number.as_f64().unwrap_or_default()),
        }),
        Value::String(text) => Tree::string(text),
        Value::Array(items) => Tree::Sequence(items.iter().map(|item| Item::Element(tree_of(item))).collect()),
        Value::Object(entries) => Tree::mapping(entries.iter().map(|(key, value)| (key.clone(), tree_of(value)))),
    }
}

fn sort(tree: Tree) -> Tree {
    match tree {
        Tree::Mapping(items) => {
            let sorted = items.into_iter().map(|item| match item {
                Item::Entry { key, value } => Item::Entry { key, value: sort(value) },
                item => item,
            });
            let mut sorted: Vec<Item> = sorted.collect();
            sorted.sort_by(|a, b| match (a, b) {
                (Item::Entry { key: a, .. }, Item::Entry { key: b, .. }) => a.cmp(b),
                _ => std::cmp::Ordering::Equal,
            });
            Tree::Mapping(sorted)
        }
        tree => tree,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Origin;
    use serde_json::json;

    fn read_text(text: &str, format: Format) -> Result<Vec<Value>, String> {
        let source = Source { origin: Origin::Stdin, bytes: Wiping::new(text.as_bytes().to_vec()) };
        match read(&source, format) {
            Ok(manifests) => Ok(manifests.iter().map(|manifest| manifest.object.clone()).collect()),
            Err(error) => Err(anstream::adapter::strip_str(&error.render()).to_string()),
        }
    }

    #[test]
    fn every_document_of_a_stream_is_read_and_lists_are_taken_apart() {
        for (text, format) in [
            ("# first\na: 1\n---\n# nothing\n---\nb: [x]\n---\nkind: List\nitems:\n- c: 2\n- d: null\n", Format::Yaml),
            ("{\"a\":1} {\"b\":[\"x\"]}\n{\"items\":[{\"c\":2},{\"d\":null}]}", Format::Json),
        ] {
            let expected = [json!({"a":1}), json!({"b":["x"]}), json!({"c":2}), json!({"d":null})];
            assert_eq!(read_text(text, format).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn scalars_are_read_as_kubernetes_reads_them() {
        let text = "a: yes\nb: 'yes'\nc: 2001-01-01\nd: 1e3\ne: 0x10\nf: \"\"\ng:\nh: off\n";
        let expected = json!({"a":true,"b":"yes","c":"2001-01-01","d":1000.0,"e":16,"f":"","g":null,"h":false});
        assert_eq!(read_text(text, Format::Yaml).unwrap(), [expected]);
    }

    #[test]
    fn an_error_names_the_line_in_the_file_and_nothing_that_stands_there() {
        for (text, format, line) in [
            ("a: 1\n---\nhunter2: [\n", Format::Yaml, "line "),
            ("{\"a\":1}\n{\"hunter2\":\"hunter2\",\n\"hunter2\":2}", Format::Json, "line 3, column"),
            ("{\"a\":1}\n{\"hunter2\" 1}", Format::Json, "line 2 column"),
            ("a: !!binary //8=\n", Format::Yaml, "line 1, column 1"),
        ] {
            let error = read_text(text, format).unwrap_err();
            assert!(error.contains(line), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        let deep = format!("{}1{}", "{\"a\":".repeat(110), "}".repeat(110));
        assert!(read_text(&deep, Format::Json).unwrap_err().contains("nested deeper"));
    }

    #[test]
    fn what_is_written_reads_back() {
        let objects = [json!({"a":"yes","b":{"c":["1",2,true,null]}}), json!({"d":"x\ny\n"})];
        for format in [Format::Yaml, Format::Json] {
            let secret: Vec<SecretValue> = objects.iter().cloned().map(SecretValue::new).collect();
            let text = write(&secret, format);
            assert_eq!(read_text(std::str::from_utf8(&text).unwrap(), format).unwrap(), objects);
        }
    }
}
