//! Files that older versions wrote: the fixtures of SOPS' own tests, from its module. Their data keys were wrapped for a public test key.

use async_trait::async_trait;
use bulla_crypto::SecretBytes;
use bulla_doc::{Document, Format};
use bulla_keys::pgp::PgpKeyName;
use bulla_keys::{KeyName, MasterKey, Source, UnwrapError, WrapError, WrappedKey};
use bulla_sops::{KeyEntry, KeyRing};
use bulla_testkit::{corpus, needs_peers};

use crate::support::{chain, now};

/// Stands for every key of a file whose data key is known.
#[derive(Debug, Clone)]
pub(crate) struct Known(Vec<u8>);

#[async_trait]
impl MasterKey for Known {
    fn name(&self) -> KeyName {
        KeyName::Pgp(PgpKeyName { fingerprint: "known".to_owned() })
    }

    async fn wrap(&self, _: &SecretBytes) -> Result<WrappedKey, WrapError> {
        Err(WrapError::Failed("not for this".to_owned()))
    }

    async fn unwrap(&self, _: &WrappedKey) -> Result<Option<SecretBytes>, UnwrapError> {
        Ok(Some(SecretBytes::new(self.0.clone())))
    }
}

impl KeyRing for Known {
    fn master_key(&self, entry: &KeyEntry) -> Option<Box<dyn MasterKey>> {
        (entry.source() == Source::Pgp).then(|| -> Box<dyn MasterKey> { Box::new(self.clone()) })
    }
}

pub(crate) fn known(hex: &str) -> Known {
    Known((0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect())
}

/// File, data key, and what the decrypted file holds: a word of it, or the error.
const FIXTURES: &[(&str, &str, Result<&str, &str>)] = &[
    ("example.yaml", "8c68886c50b5b72965a3cb99c5172e1d74a8aca27b39ee880b535d6907e59f68", Ok("app2:")),
    ("example.json", "faf6a891866fac550ef548b4e5f6fbc98fccc6827cd943cc8d7539747f1d87bd", Ok("John")),
    (
        "functional-tests/res/comments.enc.yaml",
        "61bec946f5783fd4cea3d1b1ce407fce2b6e81fc301cc539c422015e27f6d1be",
        Ok("# first comment in file"),
    ),
    (
        "functional-tests/res/comments_unencrypted_comments.yaml",
        "70f645aec88418dff72ac2a7a5503209cf00beda80706e6e157fd94ae53885a0",
        Ok("# first comment in file"),
    ),
    (
        "functional-tests/res/format.enc.yaml",
        "af5e68dd342b72c6a0475f81a50da4fde898f4b7742c92cbcf1668211411f4e4",
        Ok(":"),
    ),
    (
        "functional-tests/res/format.enc.json",
        "9f6aeda6383502c38f7dae6fbbb8cb6890582adb0335effa8952fe590d7a9596",
        Ok(":"),
    ),
    (
        "functional-tests/res/multiple_keys.yaml",
        "1e1db61c6b93c001caa9ce34a9d68448eee8a3c69336697eab36bb92327ce786",
        Ok("message: hello"),
    ),
    (
        "functional-tests/res/no_mac.yaml",
        "87f9ee7ab041cfd1946fb50e6166b29858fcb4224ae3816186a129248558461f",
        Err("the file has no MAC"),
    ),
    (
        "examples/per_file/config.enc/static_github.json",
        "71efd79c6aef0d04b3c15b1d4a4662d0ad43634463b39f597bbde4ba7f9c184f",
        Ok("github"),
    ),
    (
        "examples/all_in_one/config/secret.enc.json",
        "276343cf31746c1cc08d9d123c93d2d5d3abcb306f2505e568560e6d15e11fba",
        Ok("github"),
    ),
];

#[test]
fn files_of_older_versions_are_opened() {
    needs_peers!();
    let files = corpus::manifests();
    for (name, key, expected) in FIXTURES {
        let path = format!("github.com/getsops/sops/v3/{name}");
        let file = files.iter().find(|file| file.name == path).unwrap_or_else(|| panic!("no {path}"));
        let bytes = std::fs::read(&file.path).unwrap();
        let format = if file.name.ends_with(".json") { Format::Json } else { Format::Yaml };
        let decrypted = now(bulla_sops::decrypt(&bytes, format, &known(key))).map_err(|error| chain(&error));
        match (decrypted, expected) {
            (Ok(plain), Ok(word)) => {
                let text = String::from_utf8(plain.to_vec()).unwrap();
                assert!(text.contains(word), "{name}: {text}");
                assert!(!text.contains("ENC["), "{name}: {text}");
                assert!(Document::parse(text.as_bytes(), format).is_ok(), "{name}: {text}");
            }
            (Err(error), Err(expected)) => assert!(error.starts_with(expected), "{name}: {error}"),
            (outcome, _) => panic!("{name}: {outcome:?}"),
        }
    }
}
