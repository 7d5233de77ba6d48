//! C2SP's test vectors (`CCTV/age`), all of them: what the `age` crate reads, and what our own identities open.

use std::borrow::Cow;
use std::io::Read as _;
use std::sync::Arc;

use age::{DecryptError, Decryptor};
use bulla_crypto::SecretBytes;
use bulla_testkit::vectors::{Vector, shared_data, vectors};
use sha2::{Digest as _, Sha256};

use super::identities::Attempt;
use super::identity::{LARGEST_WORK, is_armor, reader};
use super::{AgeIdentities, IdentityKind, IdentitySource, NoPrompt, SourceContent};

/// Vectors that end otherwise here, and how: the `age` crate still reads stanzas as beta versions wrote them, without the
/// empty line that ends a body of whole lines. The header is authenticated either way.
const DIFFERENT: &[(&str, &str)] = &[("stanza_missing_body", "success"), ("stanza_missing_final_line", "success")];

#[test]
fn every_vector_of_c2sp_ends_as_it_declares() {
    let Some(folder) = shared_data("age-vectors") else { return };
    let vectors = vectors(folder);
    assert!(vectors.len() >= 143, "vectors went missing: {} left", vectors.len());
    let mut wrong = Vec::new();
    for vector in &vectors {
        let expected = vector.header("expect").unwrap();
        let expected = DIFFERENT.iter().find(|(name, _)| *name == vector.name).map_or(expected, |(_, outcome)| outcome);
        let (outcome, payload) = decrypt(vector);
        if outcome != expected {
            wrong.push(format!("{}: expected {expected}, was {outcome}", vector.name));
        }
        // What came out before an error counts, too.
        if let (Some(hash), Some(payload)) = (vector.header("payload"), payload) {
            let found: String =
                Sha256::digest(payload).iter().fold(String::new(), |text, b| text + &format!("{b:02x}"));
            assert_eq!(found, hash, "{}: the payload", vector.name);
        }
    }
    assert!(wrong.is_empty(), "{} vectors end otherwise:\n{}", wrong.len(), wrong.join("\n"));
}

/// Decrypts a vector: its outcome in the vectors' words, and as much as came out.
fn decrypt(vector: &Vector) -> (&'static str, Option<Vec<u8>>) {
    let file = match vector.header("compressed") {
        Some("zlib") => Cow::Owned(miniz_oxide::inflate::decompress_to_vec_zlib(&vector.body).unwrap()),
        None => Cow::Borrowed(&vector.body),
        Some(other) => panic!("{}: compressed with {other}", vector.name),
    };
    let decryptor = match Decryptor::new_buffered(reader(&file)) {
        Ok(decryptor) => decryptor,
        Err(error) => return (failure(&error, vector), None),
    };
    let passphrases: Vec<age::scrypt::Identity> = vector
        .headers_named("passphrase")
        .map(|passphrase| {
            let mut identity = age::scrypt::Identity::new(passphrase.to_owned().into());
            identity.set_max_work_factor(LARGEST_WORK);
            identity
        })
        .collect();
    let lines: Vec<&str> = vector.headers_named("identity").collect();
    let source = IdentitySource {
        name: "the vector".to_owned(),
        kind: IdentityKind::Age { several_per_line: false },
        content: SourceContent::Found(SecretBytes::new(lines.join("\n").into_bytes())),
    };
    let identities = AgeIdentities::new(vec![source], Arc::new(NoPrompt));
    let attempt = Attempt::new(&identities, "");
    let ours = std::iter::once(&attempt as &dyn age::Identity);
    let all = ours.chain(passphrases.iter().map(|identity| identity as &dyn age::Identity));
    let mut stream = match decryptor.decrypt(all) {
        Ok(stream) => stream,
        Err(error) => return (failure(&error, vector), None),
    };
    let mut payload = Vec::new();
    let outcome = match stream.read_to_end(&mut payload) {
        Ok(_) => "success",
        Err(error) if is_armor(&error) => "armor failure",
        Err(_) => "payload failure",
    };
    (outcome, Some(payload))
}

fn failure(error: &DecryptError, vector: &Vector) -> &'static str {
    match error {
        DecryptError::InvalidMac => "HMAC failure",
        // The latter is what a wrong passphrase gives.
        DecryptError::NoMatchingKeys | DecryptError::DecryptionFailed => "no match",
        DecryptError::Io(error) if is_armor(error) => "armor failure",
        // Without the line that begins the armor, it passes for a damaged binary file.
        _ if vector.header("armored").is_some() && !starts_with_armor(&vector.body) => "armor failure",
        _ => "header failure",
    }
}

fn starts_with_armor(body: &[u8]) -> bool {
    body.trim_ascii_start().starts_with(b"-----BEGIN AGE ENCRYPTED FILE-----")
}
