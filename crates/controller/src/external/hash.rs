//! Digests that External Secrets writes, in its own words, so that taking over from it changes no object; and ours of a Secret's data, under
//! a key.
//!
//! ```text
//! data-hash, upstream   SHA3-224 of Go's print of a map of bytes: anybody who sees it can test a guess of the values
//! data-hash, ours       `KEY-ID:HMAC`, under a key derived from a sealing key: only a controller that has the key can
//! ```
//! Either is accepted; only ours is written. Source: external-secrets 2.9.0 `runtime/esutils` `ObjectHash`; the vectors below were computed
//! with Go's formatting and an independent SHA3.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use aws_lc_rs::constant_time;
use bulla_sealed::KeyRing;
use bulla_wipe::Wiping;
use k8s_openapi::ByteString;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use sha3::{Digest as _, Sha3_224};

/// What the name of a field manager begins with.
const MANAGER: &str = "externalsecrets.external-secrets.io/";
/// Longest name of a field manager that upstream takes as it is, in bytes.
const LONGEST_MANAGER: usize = 63;
/// Bytes of our digest that are kept.
const LENGTH: usize = 16;

/// The data of a Secret.
pub(crate) type Data = BTreeMap<String, ByteString>;

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn digest(text: &[u8]) -> String {
    hex(&Sha3_224::digest(text))
}

/// Upstream's digest of the data of a Secret.
pub(crate) fn plain_hash(data: &Data) -> String {
    let mut printed = Wiping::<Vec<u8>>::default();
    printed.append(b"map[");
    for (index, (key, ByteString(value))) in data.iter().enumerate() {
        if index > 0 {
            printed.append(b" ");
        }
        printed.append(key.as_bytes());
        printed.append(b":[");
        for (index, byte) in value.iter().enumerate() {
            if index > 0 {
                printed.append(b" ");
            }
            let digits = [b'0' + byte / 100, b'0' + byte / 10 % 10, b'0' + byte % 10];
            let zeros = usize::from(*byte < 100) + usize::from(*byte < 10);
            printed.append(&digits[zeros..]);
        }
        printed.append(b"]");
    }
    printed.append(b"]");
    digest(&printed)
}

/// Our digest of the data of a Secret, under the newest key of `ring`; `None` if it has none.
pub(crate) fn keyed_hash(data: &Data, ring: &KeyRing) -> Option<String> {
    let key = ring.keys().first()?;
    Some(format!("{}:{}", key.id(), keyed(data, |parts| key.keyed_digest(parts))))
}

fn keyed(data: &Data, digest: impl Fn(&[&[u8]]) -> [u8; 32]) -> String {
    let mut parts: Vec<&[u8]> = vec![b"bulla: data of a Secret"];
    for (key, ByteString(value)) in data {
        parts.push(key.as_bytes());
        parts.push(value);
    }
    hex(&digest(&parts)[..LENGTH])
}

/// Whether `found`, the annotation of a Secret, is a digest of this `data`, whoever wrote it.
pub(crate) fn fits(found: &str, data: &Data, ring: &KeyRing) -> bool {
    let expected = match found.split_once(':') {
        None => plain_hash(data),
        Some((id, _)) => match ring.by_id(id) {
            Some(key) => format!("{id}:{}", keyed(data, |parts| key.keyed_digest(parts))),
            None => return false,
        },
    };
    constant_time::verify_slices_are_equal(expected.as_bytes(), found.as_bytes()).is_ok()
}

/// What of an ExternalSecret decides whether it has to be fetched anew: its generation, its labels and annotations.
pub(crate) fn synced_version(metadata: &ObjectMeta) -> String {
    let mut printed = String::from("{annotations:");
    print_map(&mut printed, metadata.annotations.as_ref());
    printed.push_str(" labels:");
    print_map(&mut printed, metadata.labels.as_ref());
    printed.push('}');
    format!("{}-{}", metadata.generation.unwrap_or_default(), digest(printed.as_bytes()))
}

fn print_map(printed: &mut String, map: Option<&BTreeMap<String, String>>) {
    printed.push_str("map[");
    for (index, (key, value)) in map.into_iter().flatten().enumerate() {
        if index > 0 {
            printed.push(' ');
        }
        let _ = write!(printed, "{key}:{value}");
    }
    printed.push(']');
}

/// The value of the label that names the ExternalSecret which made a Secret.
pub(crate) fn created_by(namespace: &str, name: &str) -> String {
    digest(format!("{namespace}/{name}").as_bytes())
}

/// The name under which the API server notes what is written for the ExternalSecret `name`.
pub(crate) fn field_manager(name: &str) -> String {
    if MANAGER.len() + name.len() > LONGEST_MANAGER {
        return format!("{MANAGER}sha3/{}", digest(name.as_bytes()));
    }
    format!("{MANAGER}{name}")
}

#[cfg(test)]
mod tests {
    use bulla_crypto::PrivateKey;
    use bulla_sealed::{CertificateError, KeyOrder, SealingKey};
    use jiff::Timestamp;

    use super::*;

    fn data(entries: &[(&str, &str)]) -> Data {
        entries.iter().map(|(key, value)| ((*key).to_owned(), ByteString(value.as_bytes().to_vec()))).collect()
    }

    fn metadata(generation: i64, annotations: &[(&str, &str)], labels: &[(&str, &str)]) -> ObjectMeta {
        let map = |entries: &[(&str, &str)]| {
            (!entries.is_empty()).then(|| entries.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
        };
        ObjectMeta {
            generation: Some(generation),
            annotations: map(annotations),
            labels: map(labels),
            ..ObjectMeta::default()
        }
    }

    #[test]
    fn digests_are_upstreams() {
        for (data, expected) in [
            (data(&[("foo", "value1"), ("bar", "value2")]), "1bed8bcbcb4547ffe19a19cd47d9078e84aa6598266d86b99f992d64"),
            (data(&[]), "74a974446e359fb3e6baff9bd0058950e6edd0f040888d9989b0a11b"),
            (data(&[("a", ""), ("b", "x")]), "ad4200b5ac2d5145c9ad53847f9edcd7abcb9af9a709a65e5f3439f9"),
        ] {
            assert_eq!(plain_hash(&data), expected);
        }
        assert_eq!(created_by("default", "test-es"), "a8e09351ea392b727f69f63683b28619fbed1174f572e728706a9ea8");
        assert_eq!(
            synced_version(&metadata(3, &[], &[])),
            "3-f47fe3c0b255b6dd8047cdffa772587bb829efe7a1cb70febeda2eb2"
        );
        assert_eq!(
            synced_version(&metadata(1, &[("a", "1")], &[("b", "2")])),
            "1-1820d0ab508127f0c212335e7f116745a81b6d20e4032192df538406"
        );
    }

    #[test]
    fn long_names_of_managers_are_digests() {
        assert_eq!(field_manager("db"), "externalsecrets.external-secrets.io/db");
        let name = "a".repeat(27);
        assert_eq!(field_manager(&name), format!("externalsecrets.external-secrets.io/{name}"));
        assert_eq!(
            field_manager("a-name-that-is-longer-than-27-chars"),
            "externalsecrets.external-secrets.io/sha3/35de21bd0b0753db5f9afeeb0f3d8100a43635b656427e38834ba988"
        );
    }

    #[test]
    fn either_digest_fits_its_data_and_no_other() {
        let key = SealingKey::new(
            "key",
            Timestamp::UNIX_EPOCH,
            PrivateKey::generate(2048).unwrap(),
            Err(CertificateError::Absent),
        );
        let mut ring = KeyRing::new(KeyOrder::default());
        ring.insert(key);
        let right = data(&[("a", "b"), ("c", "")]);
        let other = data(&[("a", "b"), ("c", "x")]);
        let keyed = keyed_hash(&right, &ring).unwrap();
        for found in [keyed.as_str(), &plain_hash(&right)] {
            assert!(fits(found, &right, &ring) && !fits(found, &other, &ring), "{found}");
        }
        assert!(!fits(&keyed, &right, &KeyRing::new(KeyOrder::default())), "the key is gone");
        assert!(!fits("", &right, &ring) && !fits("x:y", &right, &ring));
        assert_eq!(keyed_hash(&right, &KeyRing::new(KeyOrder::default())), None);
        let (split, joined) = (data(&[("a", "bc")]), data(&[("ab", "c")]));
        assert_ne!(keyed_hash(&split, &ring), keyed_hash(&joined, &ring), "parts are told apart");
    }
}
