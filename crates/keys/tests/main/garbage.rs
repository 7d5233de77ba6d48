//! What nobody wrote on purpose: cut, changed and random input, which is refused without a panic.

use bulla_keys::WrappedKey;
use bulla_keys::age::{AgeKey, check_recipient};
use bulla_testkit::vectors::vectors;
use proptest::prelude::*;

use crate::vectors::sections;
use crate::{age_source, identities, ssh_source};

#[test]
fn a_wrapped_key_cut_or_changed_anywhere_is_refused() {
    for name in ["x25519", "ssh_ed25519", "pq"] {
        let vectors = vectors("tests/vectors/keys/unwrap");
        let vector = vectors.iter().find(|vector| vector.name == name).unwrap();
        let sections = sections(std::str::from_utf8(&vector.body).unwrap());
        let sources = match sections.get("ssh key") {
            Some(text) => vec![ssh_source("key", text)],
            None => vec![age_source("keys", &sections["age keys"])],
        };
        let key = AgeKey::new("", identities(sources));
        let enc = sections["enc"].trim_end();
        let opens = |text: &str| matches!(key.unwrap_blocking(&WrappedKey::new(text)), Ok(Some(_)));
        assert!(opens(enc));
        for end in (0..enc.len()).step_by(enc.len() / 200) {
            assert!(!opens(&enc[..end]), "{name}, cut at {end}");
        }
        for at in (0..enc.len()).step_by(enc.len() / 200) {
            let mut changed = enc.as_bytes().to_vec();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            assert!(!opens(std::str::from_utf8(&changed).unwrap()), "{name}, changed at {at}");
        }
    }
}

proptest! {
    #[test]
    fn random_input_is_refused(bytes: Vec<u8>, text in "(age1|age1pq1|ssh-rsa |ssh-ed25519 |1|q|AAAA|=| )*") {
        prop_assert!(check_recipient(&text).is_err());
        let sources = vec![age_source("keys", &bytes), ssh_source("key", &bytes), age_source("more", &text)];
        let key = AgeKey::new(&text, identities(sources));
        prop_assert!(key.wrap_blocking(&crate::secret(&bytes)).is_err());
        prop_assert!(!matches!(key.unwrap_blocking(&WrappedKey::new(text)), Ok(Some(_))));
    }

    #[test]
    fn a_damaged_ssh_key_is_refused(at in any::<prop::sample::Index>(), byte: u8) {
        let vectors = vectors("tests/vectors/keys/unwrap");
        let vector = vectors.iter().find(|vector| vector.name == "ssh_rsa_2048").unwrap();
        let sections = sections(std::str::from_utf8(&vector.body).unwrap());
        let block = bulla_crypto::pem::blocks(sections["ssh key"].as_bytes()).next().unwrap();
        let mut content = block.content.expose_secret().to_vec();
        let at = at.index(content.len());
        content[at] = byte;
        let file = bulla_crypto::pem::encode("OPENSSH PRIVATE KEY", &content);
        let _ = identities(vec![ssh_source("key", file.as_bytes())]).tried();
        let file = bulla_crypto::pem::encode("OPENSSH PRIVATE KEY", &content[..at]);
        prop_assert!(identities(vec![ssh_source("key", file.as_bytes())]).recipients().is_empty());
    }
}
