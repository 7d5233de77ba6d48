//! What the real programs wrapped, with the identities as the user has them.

use std::collections::BTreeMap;
use std::sync::Arc;

use bulla_keys::age::{AgeIdentities, AgeKey};
use bulla_keys::{UnwrapError, WrappedKey};
use bulla_testkit::vectors::vectors;

use crate::person::Person;
use crate::{age_source, ssh_source};

#[test]
fn every_vector_ends_as_it_declares() {
    let vectors = vectors("tests/vectors/keys/unwrap");
    assert!(vectors.len() >= 33, "vectors went missing: {} left", vectors.len());
    for vector in vectors {
        let name = &vector.name;
        let sections = sections(std::str::from_utf8(&vector.body).unwrap());
        let sources = sections
            .iter()
            .filter_map(|(section, text)| match section.as_str() {
                "age keys" => Some(age_source("keys.txt", text)),
                "ssh key" => Some(ssh_source("id_ssh", text)),
                "enc" => None,
                other => panic!("{name}: section {other}"),
            })
            .collect();
        let person = Arc::new(Person::answering(vector.header("passphrase")));
        let identities = AgeIdentities::new(sources, Arc::clone(&person) as _);
        assert_eq!(person.asked(), [""; 0], "{name}: asked before it was needed");
        let key = AgeKey::new("age1unused", Arc::new(identities));
        let wrapped = WrappedKey::new(sections["enc"].clone());
        let outcome = match key.unwrap_blocking(&wrapped) {
            Ok(Some(secret)) => {
                let hex = secret.expose_secret().iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
                assert_eq!(Some(hex.as_str()), vector.header("secret"), "{name}");
                "success"
            }
            Ok(None) => "no match",
            Err(UnwrapError::Damaged) => "damaged",
            Err(UnwrapError::Malformed(_)) => "malformed",
            Err(UnwrapError::NoIdentity(tried)) => {
                assert_eq!(tried.len(), 1, "{name}");
                "no identity"
            }
            Err(other) => panic!("{name}: {other}"),
        };
        assert_eq!(Some(outcome), vector.header("expect"), "{name}: {:?}", key_says(&key, &wrapped));

        let asked: usize = vector.header("asked").map_or(0, |asked| asked.parse().unwrap());
        assert_eq!(person.asked().len(), asked, "{name}: {:?}", person.asked());
        // The answer, or that there is none, is remembered.
        let again = key.unwrap_blocking(&wrapped);
        assert_eq!(again.is_ok_and(|secret| secret.is_some()), outcome == "success", "{name}");
        assert_eq!(person.asked().len(), asked, "{name}: asked again");
    }
}

fn key_says(key: &AgeKey, wrapped: &WrappedKey) -> String {
    match key.unwrap_blocking(wrapped) {
        Ok(_) => String::new(),
        Err(error) => error.to_string(),
    }
}

/// The parts of a body, each after a line `== NAME`.
pub(crate) fn sections(body: &str) -> BTreeMap<String, String> {
    let mut sections = BTreeMap::new();
    for part in body.split("== ").skip(1) {
        let (name, text) = part.split_once('\n').expect("a line that names the section");
        sections.insert(name.to_owned(), text.to_owned());
    }
    sections
}
