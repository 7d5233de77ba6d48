//! Every byte of encrypted files is changed, in every way that one byte can be: what opens then has the values that were encrypted.
//!
//! What holds, exactly, for a file with one byte changed, put in, taken out or doubled that still opens:
//! - the encrypted values are there as they were, under their paths, in their order, and no others (a number or boolean may have become
//!   its text, where a tag of YAML was put before it);
//! - what the MAC covers of the plain values is the same: their texts, one behind the other (but for a line break at the very end). Their keys, nulls and empty containers it
//!   does not cover, nor where one ends and the next begins (`[1, 2]` and `[1_2]`): that is SOPS' format, see `docs/threat-model.md`;
//! - a comment that was decrypted is one that was encrypted. One that does not open any more stands there as it was encrypted.

use std::collections::BTreeSet;

use bulla_crypto::DataKey;
use bulla_doc::{Document, Format, Node, Step, Value};
use bulla_sops::{EncryptedFile, KeyPath, SelectorKind};
use bulla_testkit::mutate::Random;
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

use crate::generate::{self, Yaml};
use crate::support::{Rule, decrypt, encrypt, now, ring};

/// What a plain document says.
#[derive(Debug, Default, PartialEq)]
struct Content {
    /// Path and value of what is encrypted.
    secret: Vec<(String, String)>,
    /// The texts of all other values, one behind the other.
    plain: String,
    comments: BTreeSet<String>,
}

impl Content {
    fn of(bytes: &[u8], format: Format, rule: &Rule) -> Self {
        let document = Document::parse(bytes, format).unwrap();
        let mut content = Self::default();
        for step in document.branches().flat_map(Node::walk) {
            match step {
                Step::Comment(comment) => drop(content.comments.insert(comment.comment().to_owned())),
                Step::Leaf(leaf) if leaf.value() != Value::Null => content.add(leaf, &document, rule),
                _ => {}
            }
        }
        content
    }

    fn add(&mut self, leaf: Node<'_>, document: &Document, rule: &Rule) {
        let path = KeyPath::of(leaf, document).to_string();
        // Keys as the path shows them: `["a"]["b"]`.
        let mut keys = path.split("[\"").skip(1).filter_map(|part| part.rsplit_once("\"]")).map(|(key, _)| key);
        let is_secret = match rule.selector {
            None => !keys.any(|key| key.ends_with("_unencrypted")),
            Some(_) => keys.any(|key| key == "password" || key == "data"),
        };
        let value = match leaf.value() {
            // Nothing is encrypted of an empty text.
            Value::String(text) if text.is_empty() => return,
            Value::String(text) => text.escape_ascii().to_string(),
            Value::Bool(value) => value.to_string(),
            Value::Int(number) => number.to_string(),
            Value::Float(number) => number.to_string(),
            Value::Time(time) => time.to_string(),
            other => format!("{other:?}"),
        };
        if is_secret {
            // The place in a list is what the order says.
            let path = path.split(['[', ']']).filter(|part| part.parse::<usize>().is_err()).collect();
            self.secret.push((path, value));
        } else {
            self.plain.push_str(&value);
        }
    }
}

/// The ways in which the byte at a place is changed.
fn changes(bytes: &[u8], at: usize, random: &mut Random) -> Vec<Vec<u8>> {
    let with = |byte: u8| {
        let mut changed = bytes.to_vec();
        changed[at] = byte;
        changed
    };
    let mut changed: Vec<Vec<u8>> = [0, 1, 5].iter().map(|bit| with(bytes[at] ^ (1 << bit))).collect();
    changed.push(with(random.pick(b"#-:,_ \n\"'[]{}~&*!|>%@0Az")));
    changed.push([&bytes[..at], &bytes[at + 1..]].concat());
    changed.push([&bytes[..at], &bytes[at..=at], &bytes[at..]].concat());
    changed.push([&bytes[..at], &[random.pick(b"#-:,_ \n\"'[]{}~&*!|>0a")][..], &bytes[at..]].concat());
    changed.retain(|changed| changed != bytes);
    changed
}

fn open(bytes: &[u8], format: Format, key: &DataKey) -> Option<Vec<u8>> {
    let file = EncryptedFile::read(bytes, format).ok()?;
    let plain = file.open(key).ok()?.to_plain();
    Some(plain.to_vec())
}

/// Changes a file everywhere; how many changes were tried, how many of them opened, and what became of those that changed the content.
fn tamper(plain: &[u8], format: Format, rule: &Rule, seed: u64) -> (usize, usize, Vec<String>) {
    let good = encrypt(plain, format, rule, seed).unwrap().bytes.to_vec();
    let key = now(EncryptedFile::read(&good, format).unwrap().data_key(&ring())).unwrap();
    let expected = Content::of(&open(&good, format, &key).unwrap(), format, rule);
    // The wrapped key has a test of its own.
    let text = String::from_utf8_lossy(&good);
    let wrapped = text.find("-----BEGIN AGE").unwrap()..text.find("-----END AGE").unwrap();
    let places = (0..good.len()).into_par_iter().filter(|at| !wrapped.contains(at));
    let outcomes = places.map(|at| {
        let mut random = Random::new(seed ^ (at as u64) << 20);
        let (mut tried, mut still_open, mut failures) = (0, 0, Vec::new());
        for changed in changes(&good, at, &mut random) {
            tried += 1;
            let Some(opened) = open(&changed, format, &key) else { continue };
            still_open += 1;
            let found = Content::of(&opened, format, rule);
            // The last line break of a file is that of the document: a plain text in a block that ends it has it, or has not.
            let same_plain = found.plain == expected.plain || at + 2 > good.len();
            let new_comments = found.comments.difference(&expected.comments);
            // Nobody can have encrypted it: it stood in plain text, or it stands there encrypted.
            let invented = new_comments.filter(|comment| !String::from_utf8_lossy(&changed).contains(comment.as_str()));
            if found.secret != expected.secret || !same_plain || invented.count() > 0 {
                let around = at.saturating_sub(80)..(at + 80).min(changed.len());
                let [changed, opened] = [&changed[around], &opened[..]].map(|text| String::from_utf8_lossy(text).into_owned());
                failures.push(format!(
                    "seed {seed}, {format:?}, {rule:?}, byte {at}\n---- changed\n{changed}\n---- opened\n{opened}\n{found:?}\n{expected:?}"
                ));
            }
        }
        (tried, still_open, failures)
    });
    outcomes.reduce(
        || (0, 0, Vec::new()),
        |mut one, other| {
            one.2.extend(other.2);
            (one.0 + other.0, one.1 + other.1, one.2)
        },
    )
}

#[track_caller]
fn tamper_with(documents: impl Iterator<Item = (u64, Vec<u8>, Format)>, at_least: usize) {
    let (mut tried, mut still_open, mut files, mut failures) = (0, 0, 0, Vec::new());
    for (seed, plain, format) in documents {
        let rule = match seed % 3 {
            0 => Rule::new(SelectorKind::EncryptedRegex, "^(password|data)$"),
            _ => Rule::DEFAULT,
        };
        // Without keys that a dot or a quote would make hard to tell from the path's own.
        if plain.len() > 200 || encrypt(&plain, format, &rule, seed).is_err() {
            continue;
        }
        let (tried_here, open_here, failed_here) = tamper(&plain, format, &rule, seed);
        tried += tried_here;
        still_open += open_here;
        failures.extend(failed_here);
        files += 1;
    }
    let shown = failures.iter().take(6).map(String::as_str).collect::<Vec<_>>().join("\n\n");
    assert!(failures.is_empty(), "{} of {tried} changes changed what the file says:\n{shown}", failures.len());
    assert!(files >= at_least, "only {files} files");
    assert!(still_open * 3 < tried * 2 && still_open > 100, "{still_open} of {tried} changes open");
}

#[test]
fn no_changed_byte_of_yaml_changes_what_is_encrypted() {
    tamper_with((0..16).map(|seed| (seed, Yaml::new(seed).generate().into_bytes(), Format::Yaml)), 3);
}

#[test]
fn no_changed_byte_of_json_changes_what_is_encrypted() {
    tamper_with((0..8).map(|seed| (seed, generate::json(seed).into_bytes(), Format::Json)), 4);
}

/// The wrapped data key: it opens as the same key, or not at all.
#[test]
fn no_changed_byte_of_a_wrapped_key_gives_another_key() {
    let plain = b"a: secret\n";
    let good = encrypt(plain, Format::Yaml, &Rule::DEFAULT, 1).unwrap().bytes.to_vec();
    let text = String::from_utf8(good.clone()).unwrap();
    let (start, end) = (text.find("- enc:").unwrap(), text.find("lastmodified").unwrap());
    (start..end).into_par_iter().for_each(|at| {
        for bit in [0, 1, 5] {
            let mut changed = good.clone();
            changed[at] ^= 1 << bit;
            if let Ok(opened) = decrypt(&changed, Format::Yaml) {
                assert_eq!(opened.as_slice(), plain, "byte {at}, bit {bit}");
            }
        }
    });
}
