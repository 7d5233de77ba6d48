//! A new data key: the document stays, and whoever was taken off the list opens nothing that is written from then on.

use bulla_crypto::{EncryptedValue, ValueCipher};
use bulla_doc::{Document, Format};
use bulla_keys::age::AgeKey;
use bulla_keys::fake::{Behaviour, FakeKey};
use bulla_keys::{KeyName, Source};
use bulla_sops::{Difference, EncryptError, EncryptedFile, Groups, NothingSelected, Recipe, Selector, SelectorKind};
use bulla_testkit::needs_peers;

use crate::support::{RECIPIENT, Rule, Sops, chain, decrypt, encrypt, identities, moment, now, random, ring};

/// Another throw-away identity, and who it is.
const OTHER_IDENTITY: &str = "AGE-SECRET-KEY-1LGF58WCNPWEE5XZ2DRD58CJGU4V3MLY203P9LV7XUG3KL0KUVH3S7DGNQS";
const OTHER: &str = "age1q5sg9u56nxz9v3vj98zk07tgcrqz26mnkd9akf669w7pdq9crs2qs8dwpl";

const PLAIN: &str = "# of the shop\ndb:\n    user:  shop   # kept\n    password: 'swordfish'\n    port: 0x1F\nlist: [a, b]\n\
                     pem: |\n    one\n    two\n";

fn recipe<'a>(groups: &'a Groups<'a>, selector: &'a Selector) -> Recipe<'a> {
    Recipe {
        groups,
        threshold: 0,
        selector,
        mac_only_encrypted: false,
        nothing_selected: NothingSelected::Refuse,
        now: moment(),
    }
}

/// `bytes`, rotated by who can open it now, for `recipient`.
fn rotate(bytes: &[u8], recipient: &str, selector: &Selector) -> Result<Vec<u8>, EncryptError> {
    let file = EncryptedFile::read(bytes, Format::Yaml).unwrap();
    let key = now(file.data_key(&ring())).unwrap();
    let reader = AgeKey::new(recipient, ring());
    let rotated = now(file.open(&key).unwrap().rotate(&recipe(&[vec![&reader]], selector), &mut random(7)));
    rotated.map(|rotated| rotated.bytes.to_vec())
}

/// Every value `ENC[…]` of a file.
fn values(bytes: &[u8]) -> Vec<String> {
    let text = std::str::from_utf8(bytes).unwrap();
    let document = Document::parse(text.as_bytes(), Format::Yaml).unwrap();
    let leaves = document.branches().flat_map(|branch| branch.walk().collect::<Vec<_>>());
    let texts = leaves.filter_map(|step| match step {
        bulla_doc::Step::Leaf(leaf) => leaf.as_str().map(|text| text.trim_end().to_owned()),
        _ => None,
    });
    texts.filter(|text| EncryptedValue::parse(text).is_some()).collect()
}

#[test]
fn the_document_stays_and_nothing_of_the_ciphertext_does() {
    let before = encrypt(PLAIN.as_bytes(), Format::Yaml, &Rule::DEFAULT, 1).unwrap().bytes;
    let after = rotate(&before, RECIPIENT, &Selector::default()).unwrap();
    assert_eq!(*decrypt(&after, Format::Yaml).unwrap(), PLAIN.as_bytes());
    let (old, new) = (values(&before), values(&after));
    assert_eq!(old.len(), new.len());
    for (old, new) in old.iter().zip(&new) {
        let (old, new) = (EncryptedValue::parse(old).unwrap(), EncryptedValue::parse(new).unwrap());
        assert!(old.iv != new.iv && old.data != new.data, "something was taken over");
    }
}

#[test]
fn who_left_opens_neither_the_file_nor_what_is_written_later_with_the_key_from_the_history() {
    let before = encrypt(PLAIN.as_bytes(), Format::Yaml, &Rule::DEFAULT, 1).unwrap().bytes;
    let after = rotate(&before, OTHER, &Selector::default()).unwrap();

    let refused = decrypt(&after, Format::Yaml).unwrap_err();
    assert!(refused.contains("no identity here fits it"), "{refused}");
    let opened = now(bulla_sops::decrypt(&after, Format::Yaml, &identities(OTHER_IDENTITY))).unwrap();
    assert_eq!(*opened, PLAIN.as_bytes());

    let history = EncryptedFile::read(&before, Format::Yaml).unwrap();
    let old_key = now(history.data_key(&ring())).unwrap();
    let file = EncryptedFile::read(&after, Format::Yaml).unwrap();
    assert!(chain(&file.open(&old_key).unwrap_err()).contains("authentication failed"));
    let cipher = ValueCipher::new(&old_key);
    for value in values(&after) {
        let value = EncryptedValue::parse(&value).unwrap();
        for path in ["db:user:", "db:password:", "db:port:", "list:", "pem:", "2026-01-02T03:04:05Z"] {
            assert!(cipher.decrypt(&value, path.as_bytes()).is_err());
        }
    }
}

#[test]
fn the_difference_says_who_joins_and_who_leaves() {
    let bytes = encrypt(PLAIN.as_bytes(), Format::Yaml, &Rule::DEFAULT, 1).unwrap().bytes;
    let file = EncryptedFile::read(&bytes, Format::Yaml).unwrap();
    let (here, there) = (AgeKey::new(RECIPIENT, ring()), AgeKey::new(OTHER, ring()));
    let (default, another) = (Selector::default(), Selector::new(SelectorKind::EncryptedRegex, "^db$").unwrap());
    let difference = |recipe: &Recipe<'_>| Difference::between(file.metadata(), recipe);

    assert!(difference(&recipe(&[vec![&here]], &default)).is_none());
    let both = difference(&recipe(&[vec![&there, &here]], &default));
    assert_eq!((both.joins.len(), both.leaves.len(), both.is_none()), (1, 0, false));
    let instead = difference(&recipe(&[vec![&there]], &another));
    assert_eq!(instead.joins[0].to_string(), format!("age {OTHER}"));
    assert_eq!(instead.leaves[0].to_string(), format!("age {RECIPIENT}"));
    assert_eq!(instead.selector, Some(default.clone()));
    assert!(difference(&Recipe { mac_only_encrypted: true, ..recipe(&[vec![&here]], &default) }).mac);
}

#[test]
fn another_selector_encrypts_what_it_names_and_one_that_names_nothing_is_refused() {
    let bytes = encrypt(PLAIN.as_bytes(), Format::Yaml, &Rule::DEFAULT, 1).unwrap().bytes;
    let selector = Selector::new(SelectorKind::EncryptedRegex, "^password$").unwrap();
    let after = rotate(&bytes, RECIPIENT, &selector).unwrap();
    assert_eq!(values(&after).len(), 2, "the password and the MAC");
    assert_eq!(*decrypt(&after, Format::Yaml).unwrap(), PLAIN.as_bytes());
    let nothing = Selector::new(SelectorKind::EncryptedRegex, "^nothing$").unwrap();
    assert!(matches!(rotate(&bytes, RECIPIENT, &nothing), Err(EncryptError::NothingSelected { .. })));
}

#[test]
fn fields_that_only_others_know_stay() {
    let bytes = encrypt(PLAIN.as_bytes(), Format::Yaml, &Rule::DEFAULT, 1).unwrap().bytes;
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let with = text.replace("    version: ", "    owner: {team: shop, since: 2026}\n    version: ");
    let after = rotate(with.as_bytes(), RECIPIENT, &Selector::default()).unwrap();
    let document = Document::parse(&after, Format::Yaml).unwrap();
    let entry = document.branches().next().and_then(|branch| branch.get("sops")).unwrap();
    let team = entry.get("owner").and_then(|owner| owner.get("team")).and_then(bulla_doc::Node::as_str);
    assert_eq!(team, Some("shop"));
    assert_eq!(*decrypt(&after, Format::Yaml).unwrap(), PLAIN.as_bytes());
}

#[test]
fn the_real_sops_opens_what_was_rotated_and_its_files_can_be() {
    needs_peers!();
    let sops = Sops::new();
    let rule = Rule::new(SelectorKind::UnencryptedRegex, "^list$");
    let before = sops.encrypt(PLAIN.as_bytes(), Format::Yaml, &rule).unwrap();
    let plain = sops.decrypt(&before, Format::Yaml).unwrap();
    let after = rotate(&before, RECIPIENT, &rule.selector()).unwrap();
    assert_eq!(sops.decrypt(&after, Format::Yaml).unwrap(), plain);
    assert_eq!(*decrypt(&after, Format::Yaml).unwrap(), *decrypt(&before, Format::Yaml).unwrap());

    let elsewhere = rotate(&before, OTHER, &rule.selector()).unwrap();
    let refused = sops.decrypt(&elsewhere, Format::Yaml).unwrap_err();
    assert!(refused.contains("no master key was able to decrypt the file"), "{refused}");
}

#[test]
fn a_key_of_azure_that_is_named_without_its_version_is_the_one_that_is_there() {
    let key = |name: &str, version: &str| {
        let field = |field: &str| match field {
            "vault_url" => "https://shop.vault.azure.net".to_owned(),
            "name" => name.to_owned(),
            _ => version.to_owned(),
        };
        FakeKey::named(KeyName::of_fields(Source::AzureKv, field, Vec::new()), Behaviour::Works)
    };
    let selector = Selector::default();
    let written = key("sops", "6af1");
    let plain = b"a: b\n";
    let bytes = now(bulla_sops::encrypt(plain, Format::Yaml, &recipe(&[vec![&written]], &selector), &mut random(1)));
    let file = EncryptedFile::read(&bytes.unwrap().bytes, Format::Yaml).unwrap();
    let between = |key: &FakeKey| Difference::between(file.metadata(), &recipe(&[vec![key]], &selector));
    assert!(between(&key("sops", "6af1")).is_none());
    assert!(between(&key("sops", "")).is_none());
    assert_eq!(between(&key("sops", "77b0")).joins.len(), 1);
    assert_eq!(between(&key("other", "")).leaves.len(), 1);
}
