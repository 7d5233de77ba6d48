//! Files that the real SOPS made, and what must come of each: `tests/vectors/sops`, a fault a file.
//!
//! `made by` is the command, `plain` (base64) what it was given, `expect` the outcome by its kind. To make them anew:
//! `cargo test -p bulla-sops --test main make_the_vectors -- --ignored`.

mod make;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bulla_crypto::DataKey;
use bulla_doc::{Document, Format, Node, Step};
use bulla_sops::{DataKeyError, DecryptError, EncryptedFile, KeyPath, MetadataError, ReadError};
use bulla_testkit::vectors::{Vector, vectors};

use crate::support::{chain, identities, now};

pub(crate) const DIRECTORY: &str = "tests/vectors/sops";

#[test]
fn every_vector_ends_as_it_declares() {
    let vectors = vectors(DIRECTORY);
    assert!(vectors.len() >= 90, "vectors went missing: {} left", vectors.len());
    for vector in vectors {
        let format = if vector.header("format") == Some("json") { Format::Json } else { Format::Yaml };
        let outcome = open(&vector, format);
        let expected = vector.header("expect").unwrap();
        let found = outcome.as_ref().map_or_else(kind_of, |_| "success".to_owned());
        let reason = outcome.as_ref().map_or_else(|error| chain(error), |_| String::new());
        assert_eq!(found, expected, "{}: {:?} {reason}", vector.name, vector.header("comment"));
        if let Ok(plain) = outcome {
            let given = STANDARD.decode(vector.header("plain").unwrap()).unwrap();
            let context = format!("{}\n{}", vector.name, String::from_utf8_lossy(&plain));
            assert_eq!(content(&plain, format), content(&given, format), "{context}");
        }
    }
}

fn open(vector: &Vector, format: Format) -> Result<Vec<u8>, DecryptError> {
    let file = EncryptedFile::read(&vector.body, format)?;
    let key = match vector.header("data key") {
        Some(hex) => DataKey::init_with(|key| {
            for (at, byte) in key.iter_mut().enumerate() {
                *byte = u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap();
            }
        }),
        None => now(file.data_key(&identities(vector.header("identity").unwrap())))?,
    };
    Ok(file.open(&key)?.to_plain().to_vec())
}

/// An outcome by its kind; of a value, with its path.
fn kind_of(error: &DecryptError) -> String {
    match error {
        DecryptError::Value { place, .. } => return format!("value at {}", place.path),
        DecryptError::MacMismatch => "mac mismatch",
        DecryptError::MissingMac => "no mac",
        DecryptError::Mac { .. } => "unreadable mac",
        DecryptError::DataKey(DataKeyError::NoKey { .. }) => "no key",
        DecryptError::DataKey(DataKeyError::TooFewShares { .. }) => "too few groups",
        DecryptError::Read(ReadError::Parse(_)) => "no document",
        DecryptError::Read(ReadError::Metadata(MetadataError::NotEncrypted)) => "not encrypted",
        DecryptError::Read(ReadError::Metadata(_)) => "broken metadata",
        _ => "another error",
    }
    .to_owned()
}

/// Every value with its path and type, and all comments.
fn content(bytes: &[u8], format: Format) -> (Vec<String>, Vec<String>) {
    let document =
        Document::parse(bytes, format).unwrap_or_else(|error| panic!("{error}\n{}", String::from_utf8_lossy(bytes)));
    let (mut values, mut comments) = (Vec::new(), Vec::new());
    for step in document.branches().flat_map(Node::walk) {
        match step {
            Step::Leaf(leaf) => values.push(format!("{} {:?}", KeyPath::of(leaf, &document), leaf.value())),
            Step::Comment(comment) if !comment.comment().is_empty() => comments.push(comment.comment().to_owned()),
            _ => {}
        }
    }
    comments.sort();
    comments.dedup();
    (values, comments)
}
