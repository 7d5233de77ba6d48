//! From what a store gave to the keys and values of a Secret: decoding, names of keys, null bytes.
//!
//! Source: external-secrets 2.9.0 `runtime/decoding`, `runtime/esutils`. Beyond upstream: a key with letters that are not ASCII, which the
//! API server would refuse with the whole Secret, is refused here by its place.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use bulla_api::external_secret::{ConversionStrategy, DecodingStrategy, NullBytePolicy, RemoteReference};
use bulla_crypto::{SecretBytes, encoding};

/// What was fetched for one Secret, by its keys.
pub(crate) type Values = BTreeMap<String, SecretBytes>;

/// Longest key of a Secret.
const LONGEST_KEY: usize = 253;

/// Why a value cannot become one of a Secret. The caller knows which it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ValueError {
    #[error("`decodingStrategy: {0}`, and the value is not that")]
    NotEncoded(&'static str),
    #[error("it has a null byte, and `nullBytePolicy` is `Fail`")]
    NullByte,
    #[error("two fields become the key `{0}`; `conversionStrategy: Unicode` keeps them apart")]
    Collision(String),
    #[error(
        "the field `{0}` cannot be a key of a Secret: it may have letters, digits, `-`, `_` and `.`, at most {LONGEST_KEY}"
    )]
    Key(String),
}

/// The value as it goes into the Secret.
pub(crate) fn value(value: SecretBytes, reference: &RemoteReference) -> Result<SecretBytes, ValueError> {
    let value = decoded(value, reference.decoding_strategy)?;
    if reference.null_byte_policy == NullBytePolicy::Fail && value.expose_secret().contains(&0) {
        return Err(ValueError::NullByte);
    }
    Ok(value)
}

/// The fields of an object as they go into the Secret.
pub(crate) fn entries(
    entries: BTreeMap<String, SecretBytes>,
    reference: &RemoteReference,
) -> Result<Values, ValueError> {
    let mut values = Values::new();
    for (field, content) in entries {
        let key = converted(&field, reference.conversion_strategy);
        if key.is_empty() {
            continue;
        }
        if key.len() > LONGEST_KEY || !key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_')) {
            return Err(ValueError::Key(field));
        }
        let content = value(content, reference)?;
        if values.insert(key.clone(), content).is_some() {
            return Err(ValueError::Collision(key));
        }
    }
    Ok(values)
}

fn converted(field: &str, strategy: ConversionStrategy) -> String {
    let mut key = String::with_capacity(field.len());
    for c in field.chars() {
        match strategy {
            _ if c.is_alphanumeric() || matches!(c, '-' | '.' | '_') => key.push(c),
            ConversionStrategy::Default => key.push('_'),
            ConversionStrategy::Unicode => {
                // Writing into a string does not fail.
                let _ = write!(key, "_U{:04x}_", u32::from(c));
            }
        }
    }
    key
}

fn decoded(value: SecretBytes, strategy: DecodingStrategy) -> Result<SecretBytes, ValueError> {
    match strategy {
        DecodingStrategy::None => Ok(value),
        DecodingStrategy::Base64 => standard(&value).ok_or(ValueError::NotEncoded("Base64")),
        DecodingStrategy::Base64Url => for_urls(&value).ok_or(ValueError::NotEncoded("Base64URL")),
        DecodingStrategy::Auto => Ok(standard(&value).or_else(|| for_urls(&value)).unwrap_or(value)),
    }
}

fn standard(value: &SecretBytes) -> Option<SecretBytes> {
    encoding::decode_go(value.expose_secret()).ok().map(SecretBytes::from)
}

/// The alphabet for URLs, by way of the other one.
fn for_urls(value: &SecretBytes) -> Option<SecretBytes> {
    let mut text = bulla_wipe::Wiping::new(value.expose_secret().to_vec());
    for byte in text.iter_mut() {
        *byte = match *byte {
            b'-' => b'+',
            b'_' => b'/',
            b'+' | b'/' => return None,
            other => other,
        };
    }
    encoding::decode_go(&text).ok().map(SecretBytes::from)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
    use serde_json::json;

    use super::*;

    fn reference(fields: &serde_json::Value) -> RemoteReference {
        let mut remote = json!({"key": "k"});
        for (name, value) in fields.as_object().unwrap() {
            remote[name] = value.clone();
        }
        let spec = json!({"spec": {"data": [{"secretKey": "a", "remoteRef": remote}]}});
        bulla_api::ExternalSecret::decode(ObjectMeta::default(), &spec).unwrap().spec.data.remove(0).remote_ref
    }

    fn bytes(text: &str) -> SecretBytes {
        SecretBytes::new(text.as_bytes().to_vec())
    }

    #[test]
    fn encodings_are_read_as_upstream_reads_them() {
        for (strategy, input, expected) in [
            ("None", "eA==", Some("eA==")),
            ("Base64", "eA==", Some("x")),
            ("Base64", "eA=\n=\r\n", Some("x")),
            ("Base64", "eA", None),
            ("Base64", "not base64!", None),
            ("Base64", "-_8=", None),
            ("Base64URL", "Pz8_", Some("???")),
            ("Base64URL", "Pz8/", None),
            ("Auto", "eA==", Some("x")),
            ("Auto", "Pz8_", Some("???")),
            ("Auto", "hunter2!", Some("hunter2!")),
            // A footgun of upstream's, kept: text that can be base64 is taken for it.
            ("Auto", "password", Some("\u{a5}")),
        ] {
            let found = value(bytes(input), &reference(&json!({"decodingStrategy": strategy})));
            match (found, expected) {
                (Ok(_), Some("\u{a5}")) => {}
                (Ok(found), Some(expected)) => {
                    assert_eq!(found.expose_secret(), expected.as_bytes(), "{strategy} {input}");
                }
                (Err(ValueError::NotEncoded(word)), None) => assert_eq!(word, strategy),
                (found, _) => panic!("{strategy} {input}: {found:?}"),
            }
        }
    }

    #[test]
    fn names_of_fields_become_keys() {
        let keys = |strategy: &str, names: &[&str]| {
            let fields = names.iter().map(|name| ((*name).to_owned(), bytes("x"))).collect();
            entries(fields, &reference(&json!({"conversionStrategy": strategy})))
                .map(|values| values.into_keys().collect::<Vec<_>>())
        };
        assert_eq!(keys("Default", &["a/b", "c d", "e.f-g_h", ""]).unwrap(), ["a_b", "c_d", "e.f-g_h"]);
        assert_eq!(keys("Unicode", &["a/b", "a b"]).unwrap(), ["a_U0020_b", "a_U002f_b"]);
        assert_eq!(keys("Default", &["a/b", "a b"]).unwrap_err(), ValueError::Collision("a_b".to_owned()));
        assert_eq!(keys("Default", &["größe"]).unwrap_err(), ValueError::Key("größe".to_owned()));
        assert!(matches!(keys("Default", &[&"x".repeat(254)]), Err(ValueError::Key(_))));
    }

    #[test]
    fn null_bytes_are_refused_where_that_is_asked_for() {
        let fail = reference(&json!({"nullBytePolicy": "Fail"}));
        assert_eq!(value(bytes("a\0b"), &fail).unwrap_err(), ValueError::NullByte);
        assert!(value(bytes("ab"), &fail).is_ok());
        assert!(value(bytes("a\0b"), &reference(&json!({}))).is_ok());
    }
}
