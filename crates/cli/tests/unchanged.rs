//! What `set`, `unset` and `edit` leave alone, over generated documents: a value that did not change keeps its ciphertext, two values never
//! share a nonce, and the real sops reads what is expected after each change.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use bulla_crypto::EncryptedValue;
use bulla_doc::{Document, Format, Node, Step};
use bulla_testkit::mutate::Random;
use bulla_testkit::{needs_peers, peers};
use serde_json::{Map, Value, json};

use crate::fixture::Place;

const DOCUMENTS: u64 = 24;
const CHANGES: usize = 5;

/// Few texts, so that equal values are common.
const TEXTS: [&str; 5] = ["hunter2", "a b", "42", "line\nline\n", "ä: {x}"];

fn scalar(random: &mut Random) -> Value {
    match random.below(6) {
        0 => json!(random.below(3)),
        1 => json!(random.below(2) == 0),
        _ => json!(TEXTS[random.below(TEXTS.len())]),
    }
}

fn document(random: &mut Random) -> Map<String, Value> {
    let mut map = Map::new();
    for number in 0..2 + random.below(6) {
        let value = match random.below(4) {
            0 => Value::Array((0..=random.below(5)).map(|_| scalar(random)).collect()),
            1 => json!({ "a": scalar(random), "b": [scalar(random), scalar(random)], "c": { "d": scalar(random) } }),
            _ => scalar(random),
        };
        map.insert(format!("k{number}"), value);
    }
    map
}

/// In block style, each scalar as JSON, which is YAML; now and then with a comment.
fn as_yaml(value: &Value, indent: usize, text: &mut String) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let _ = write!(text, "{:indent$}{key}:", "");
                below(value, indent, text);
            }
        }
        Value::Array(items) => {
            for item in items {
                let _ = write!(text, "{:indent$}-", "");
                below(item, indent, text);
            }
        }
        scalar => drop(writeln!(text, "{scalar}")),
    }
}

fn below(value: &Value, indent: usize, text: &mut String) {
    if value.is_object() || value.is_array() {
        let _ = writeln!(text);
        as_yaml(value, indent + 2, text);
    } else {
        let _ = writeln!(text, " {value}");
    }
}

fn text_of(map: &Map<String, Value>, format: Format) -> String {
    if format == Format::Json {
        return serde_json::to_string_pretty(map).unwrap() + "\n";
    }
    let mut text = "# of the test\n".to_owned();
    as_yaml(&Value::Object(map.clone()), 0, &mut text);
    text
}

/// Changes the model, and gives the command that does the same to the file.
fn change(map: &mut Map<String, Value>, random: &mut Random, place: &Place, format: Format) -> String {
    let keys: Vec<String> = map.keys().cloned().collect();
    let key = keys[random.below(keys.len())].clone();
    match random.below(5) {
        0 => {
            let text = TEXTS[random.below(TEXTS.len())];
            place.write("value", text);
            map.insert(format!("new{}", keys.len()), json!(text));
            format!("bulla set --value-file value FILE new{}", keys.len())
        }
        1 if keys.len() > 1 => {
            map.shift_remove(&key);
            format!("bulla unset FILE {key}")
        }
        2 => {
            let value = scalar(random);
            place.write("value", value.to_string());
            let path = match map.get_mut(&key) {
                Some(Value::Array(items)) => {
                    let index = random.below(items.len());
                    items[index] = value;
                    format!("'{key}[{index}]'")
                }
                Some(Value::Object(inner)) => {
                    inner.insert("a".to_owned(), value);
                    format!("{key}.a")
                }
                _ => {
                    map.insert(key.clone(), value);
                    key
                }
            };
            format!("bulla set --json-value --value-file value FILE {path}")
        }
        _ => {
            // Something in front of everything, and something else in the middle.
            let mut edited = Map::new();
            edited.insert(format!("first{}", keys.len()), scalar(random));
            for (name, value) in std::mem::take(map) {
                let value = if name == key { scalar(random) } else { value };
                edited.insert(name, value);
            }
            *map = edited;
            place.write("edited", text_of(map, format));
            "EDITOR='cp edited' bulla edit FILE".to_owned()
        }
    }
}

/// Path without indices, plain text, encrypted text, of every value in order.
fn leaves(encrypted: &str, plain: &str, format: Format) -> Vec<(String, String, String)> {
    let read = |text: &str| Document::parse(text.as_bytes(), format).unwrap();
    let texts = |document: &Document| -> Vec<(String, String)> {
        let entries: Vec<Node<'_>> = document.branches().next().unwrap().children().collect();
        let entries = entries.into_iter().filter(|entry| entry.key() != Some("sops"));
        let leaf = |step| if let Step::Leaf(node) = step { Some(node) } else { None };
        entries
            .flat_map(Node::walk)
            .filter_map(leaf)
            .map(|node| (path_of(node), format!("{:?}", node.value())))
            .collect()
    };
    let (encrypted, plain) = (read(encrypted), read(plain));
    let (encrypted, plain) = (texts(&encrypted), texts(&plain));
    assert_eq!(encrypted.len(), plain.len());
    encrypted.into_iter().zip(plain).map(|((path, encrypted), (_, plain))| (path, plain, encrypted)).collect()
}

fn path_of(node: Node<'_>) -> String {
    let mut path = String::new();
    let mut next = Some(node);
    while let Some(node) = next {
        path = format!("{}:{path}", node.key().unwrap_or_default());
        next = node.parent();
    }
    path
}

fn by_content(leaves: &[(String, String, String)]) -> HashMap<(&str, &str), HashSet<&str>> {
    let mut found: HashMap<(&str, &str), HashSet<&str>> = HashMap::new();
    for (path, plain, encrypted) in leaves {
        found.entry((path, plain)).or_default().insert(encrypted);
    }
    found
}

#[test]
fn what_does_not_change_keeps_its_ciphertext_and_no_nonce_is_used_twice() {
    needs_peers!();
    let (mut kept, mut changes) = (0, 0);
    for seed in 0..DOCUMENTS {
        let mut random = Random::new(seed);
        let place = Place::new().with_program(&peers::sops());
        let mut model = document(&mut random);
        let (file, format) = if seed % 4 == 3 { ("a.json", Format::Json) } else { ("a.yaml", Format::Yaml) };
        place.write(file, text_of(&model, format));
        place.does(&format!("bulla encrypt --in-place --age $ALICE {file}"));
        let decrypt = format!("bulla decrypt {file}");
        let mut before = leaves(&place.read(file), &place.does(&decrypt), format);
        for _ in 0..CHANGES {
            let command = change(&mut model, &mut random, &place, format).replace("FILE", file);
            let finished = place.run(&command);
            assert!(matches!(finished.code(), Some(0 | 200)), "{seed}: {command}: {}", finished.stderr_text());
            let encrypted = place.read(file);
            let after = leaves(&encrypted, &place.does(&decrypt), format);
            let read = place.does(&format!("sops decrypt --output-type json {file}"));
            let read: Value = serde_json::from_str(&read).unwrap();
            assert_eq!(read, Value::Object(model.clone()), "{seed}: {command}");

            let (old, new) = (by_content(&before), by_content(&after));
            for (content, texts) in &new {
                let texts_before = old.get(content).map_or(0, HashSet::len);
                let shared = old.get(content).map_or(0, |before| before.intersection(texts).count());
                assert_eq!(shared, texts_before.min(texts.len()), "{seed}: {command}: {}", content.0);
                kept += shared;
            }
            let mut nonces = HashSet::new();
            for (at, _) in encrypted.match_indices("ENC[") {
                let value = EncryptedValue::parse(&encrypted[at..]).unwrap();
                assert!(nonces.insert(value.iv.to_owned()), "{seed}: {command}: a nonce comes twice");
            }
            changes += 1;
            before = after;
        }
    }
    assert!(changes >= 100 && kept > 500, "{changes} changes, {kept} values kept");
}
