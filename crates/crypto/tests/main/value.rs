//! Whole documents of the real sops: every value opens under its path, and the MAC over all of them fits.

use bulla_crypto::{DataKey, EncryptedValue, Mac, SecretBytes, ValueCipher, ValueError, ValueKind};
use bulla_testkit::vectors::{Vector, vectors};
use serde_json::Value;

use crate::hex;

#[test]
fn every_document_ends_as_it_declares() {
    let mut vectors = vectors("tests/vectors/crypto/value");
    vectors.extend(self::vectors("tests/vectors/crypto/older"));
    assert!(vectors.len() >= 17, "vectors went missing: {} left", vectors.len());
    for vector in vectors {
        let expected = vector.header("expect").expect("every vector says what must happen");
        let outcome = open(&vector).err().unwrap_or_else(|| "success".to_owned());
        assert_eq!(outcome, expected, "{}: {:?}", vector.name, vector.header("comment"));
    }
}

/// Opens a document and compares it with its plaintext. The error is the outcome in the words of the vectors.
fn open(vector: &Vector) -> Result<(), String> {
    let mut document: Value = serde_json::from_slice(&vector.body).expect("a JSON document");
    let metadata = document.as_object_mut().unwrap().remove("sops").expect("metadata");
    let key = SecretBytes::new(hex(vector.header("data key").unwrap()));
    let cipher = ValueCipher::new(&DataKey::try_from(&key).unwrap());
    let only_encrypted = metadata["mac_only_encrypted"] == true;
    let mac = if only_encrypted { Mac::only_encrypted() } else { Mac::new() };
    let mut reader = Reader { cipher, mac, only_encrypted };
    let plain: Option<Value> = vector.header("plain").map(|plain| serde_json::from_str(plain).unwrap());
    reader.leaf(&document, plain.as_ref(), "", true)?;

    let stored = EncryptedValue::try_from(metadata["mac"].as_str().unwrap()).map_err(|error| outcome(&error))?;
    let date = metadata["lastmodified"].as_str().unwrap();
    let (stored, kind) = reader.cipher.decrypt(&stored, date.as_bytes()).map_err(|error| outcome(&error))?;
    assert_eq!(kind, ValueKind::Str);
    if let Some(known) = vector.header("mac") {
        assert_eq!(stored.expose_secret(), known.as_bytes());
    }
    assert!(reader.mac.finish().matches(stored.expose_secret()), "{}: the MAC", vector.name);
    Ok(())
}

struct Reader {
    cipher: ValueCipher,
    mac: Mac,
    only_encrypted: bool,
}

impl Reader {
    /// Walks one value. `plain` is what it must be, `path` its keys, each closed by a colon.
    fn leaf(&mut self, value: &Value, plain: Option<&Value>, path: &str, encrypted: bool) -> Result<(), String> {
        match value {
            Value::Object(map) => {
                for (key, value) in map {
                    let plain = plain.map(|plain| &plain[key]);
                    let encrypted = encrypted && !key.ends_with("_unencrypted");
                    self.leaf(value, plain, &format!("{path}{key}:"), encrypted)?;
                }
            }
            Value::Array(list) => {
                for (index, value) in list.iter().enumerate() {
                    self.leaf(value, plain.map(|plain| &plain[index]), path, encrypted)?;
                }
            }
            Value::String(text) if encrypted && !text.is_empty() => {
                let value = EncryptedValue::try_from(text.as_str()).map_err(|error| outcome(&error))?;
                assert_eq!(value.rest, "");
                let opened = self.cipher.decrypt(&value, path.as_bytes());
                let (opened, kind) = opened.map_err(|error| outcome(&error))?;
                let opened = opened.expose_secret();
                self.mac.update(opened);
                if let Some(plain) = plain {
                    assert!(same(opened, kind, plain), "{path} is not {plain}");
                }
                // With the nonce that sops chose, ours is the same text.
                let again = self.cipher.encrypt(opened, kind, path.as_bytes(), &value.nonce().unwrap());
                assert_eq!(&again, text);
            }
            Value::String(text) => {
                if !self.only_encrypted {
                    self.mac.update(text.as_bytes());
                }
            }
            Value::Null => {}
            other => panic!("{path}: {other} should be encrypted"),
        }
        Ok(())
    }
}

fn same(opened: &[u8], kind: ValueKind, plain: &Value) -> bool {
    let text = std::str::from_utf8(opened).unwrap();
    match (kind, plain) {
        (ValueKind::Str, Value::String(plain)) => text == plain,
        (ValueKind::Bool, Value::Bool(plain)) => text == if *plain { "True" } else { "False" },
        (ValueKind::Int, Value::Number(plain)) => text == plain.to_string(),
        (ValueKind::Float, Value::Number(plain)) => text.parse::<f64>().ok() == plain.as_f64() && !text.contains('e'),
        _ => false,
    }
}

fn outcome(error: &ValueError) -> String {
    match error {
        ValueError::NotEncrypted => "not encrypted".to_owned(),
        ValueError::Base64 { part, .. } => format!("base64 of {part}"),
        ValueError::Authentication => "authentication failed".to_owned(),
        ValueError::UnknownType => "unknown type".to_owned(),
        other => other.to_string(),
    }
}
