//! Files that were tampered with: each is refused, with a message that names the place.

use bulla_doc::Format;
use bulla_sops::{EncryptedFile, SelectorKind, danger};

use bulla_testkit::mutate::{Random, mutate};

use crate::support::{Rule, chain, decrypt, encrypt, identities, moment, now, random, ring};

const PLAIN: &str = "\
# about
db:
    user: admin
    password: hunter2
    ports: [5432, 5433]
    twins:
        - same
        - other
name_unencrypted: public
";

fn encrypted() -> String {
    String::from_utf8(encrypt(PLAIN.as_bytes(), Format::Yaml, &Rule::DEFAULT, 1).unwrap().bytes.to_vec()).unwrap()
}

/// The text of the value behind `key`.
fn value<'t>(text: &'t str, key: &str) -> &'t str {
    let start = text.find(&format!("{key}: ENC[")).unwrap_or_else(|| panic!("no {key}")) + key.len() + 2;
    &text[start..=start + text[start..].find(']').unwrap()]
}

/// `text` with another base64 digit in the middle of `part` of the value behind `key`.
fn flip(text: &str, key: &str, part: &str) -> String {
    let value = value(text, key);
    let start = value.find(&format!("{part}:")).unwrap() + part.len() + 1;
    let end = start + value[start..].find([',', ']']).unwrap();
    let at = start + (end - start) / 2;
    let digit = if &value[at..=at] == "A" { "B" } else { "A" };
    text.replacen(value, &format!("{}{digit}{}", &value[..at], &value[at + 1..]), 1)
}

fn line(text: &str, start: &str) -> String {
    text.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("no {start}")).to_owned()
}

#[test]
fn every_fault_is_refused_with_its_place() {
    let good = encrypted();
    assert_eq!(decrypt(good.as_bytes(), Format::Yaml).unwrap().as_slice(), PLAIN.as_bytes());
    let (user, password) = (value(&good, "user").to_owned(), value(&good, "password").to_owned());
    let authentication =
        "authentication failed: the value was changed, moved from another path, or encrypted with another data key";
    let at_user = format!("cannot decrypt the value at `[\"db\"][\"user\"]` (line 3, column 5): {authentication}");
    let mismatch = "MAC mismatch: the document was changed after it was encrypted";
    let items: Vec<&str> = good.lines().filter(|line| line.trim_start().starts_with("- ENC[")).collect();
    let [first, second] = items.as_slice() else { panic!("{items:?}") };
    let date = line(&good, "    lastmodified");
    let mac = line(&good, "    mac: ");
    let enc = good.lines().find(|line| line.trim_start().starts_with("YWdl")).unwrap();

    let cases: Vec<(&str, String, String)> = vec![
        ("data of a value", flip(&good, "user", "data"), at_user.clone()),
        ("iv of a value", flip(&good, "user", "iv"), at_user.clone()),
        ("tag of a value", flip(&good, "user", "tag"), at_user.clone()),
        (
            "type of a value",
            good.replacen(&user, &user.replace("type:str", "type:int"), 1),
            "cannot decrypt the value at `[\"db\"][\"user\"]` (line 3, column 5): the decrypted text is not a value of type `int`"
                .into(),
        ),
        (
            "a type that does not exist",
            good.replacen(&user, &user.replace("type:str", "type:text"), 1),
            "cannot decrypt the value at `[\"db\"][\"user\"]` (line 3, column 5): unknown type".into(),
        ),
        (
            "a value that becomes a comment",
            good.replacen(&user, &user.replace("type:str", "type:comment"), 1),
            "cannot decrypt the value at `[\"db\"][\"user\"]` (line 3, column 5): a comment was moved into the place of a value"
                .into(),
        ),
        ("an item that becomes a comment", good.replacen(first, &first.replace("type:str", "type:comment"), 1), mismatch.into()),
        (
            "swapped values",
            good.replace(&user, "@").replace(&password, &user).replace('@', &password),
            at_user.clone(),
        ),
        ("a moved value", good.replace("user:", "login:"), "cannot decrypt the value at `[\"db\"][\"login\"]` (line 3".into()),
        ("a copied value", good.replace(&password, &user), "cannot decrypt the value at `[\"db\"][\"password\"]` (line 4".into()),
        (
            "plain text in the place of a value",
            good.replace(&user, "admin"),
            "cannot decrypt the value at `[\"db\"][\"user\"]` (line 3, column 5): not an encrypted value".into(),
        ),
        (
            "a number in the place of a value",
            good.replace(&user, "7"),
            "cannot decrypt the value at `[\"db\"][\"user\"]` (line 3, column 5): it is a plain `int`".into(),
        ),
        ("a removed key", good.replace(&format!("    user: {user}\n"), ""), mismatch.into()),
        ("an added plain key", good.replace("name_unencrypted", "more_unencrypted: x\nname_unencrypted"), mismatch.into()),
        (
            "an added key that should be encrypted",
            good.replace("name_unencrypted", "more: x\nname_unencrypted"),
            "cannot decrypt the value at `[\"more\"]` (line 9, column 1): not an encrypted value".into(),
        ),
        ("a changed plain value", good.replace("public", "private"), mismatch.into()),
        ("swapped items of a list", good.replace(first, "@").replace(second, first).replace('@', second), mismatch.into()),
        ("a removed item of a list", good.replace(&format!("{second}\n"), ""), mismatch.into()),
        ("an item of a list twice", good.replace(second, &format!("{second}\n{second}")), mismatch.into()),
        ("no MAC", good.replace(&format!("{mac}\n"), ""), "the file has no MAC".into()),
        ("an empty MAC", good.replace(&mac, "    mac: ''"), "the file has no MAC".into()),
        ("data of the MAC", flip(&good, "mac", "data"), "cannot decrypt the MAC".into()),
        ("a MAC that is none", good.replace(&mac, "    mac: x"), "cannot decrypt the MAC".into()),
        ("another date", good.replace(&date, "    lastmodified: \"2026-01-02T03:04:06Z\""), "cannot decrypt the MAC".into()),
        (
            "the same date in another zone",
            good.replace(&date, "    lastmodified: \"2026-01-02T04:04:05+01:00\""),
            "cannot decrypt the MAC".into(),
        ),
        (
            "no date",
            good.replace(&format!("{date}\n"), ""),
            "the `sops` entry (line 10, column 1) has no `lastmodified`".into(),
        ),
        ("MAC of all values for encrypted ones", good.replace("    mac: ", "    mac_only_encrypted: true\n    mac: "), mismatch.into()),
        (
            "another selector",
            good.replace("unencrypted_suffix: _unencrypted", "unencrypted_suffix: _plain"),
            "cannot decrypt the value at `[\"name_unencrypted\"]` (line 9, column 1): not an encrypted value".into(),
        ),
        (
            "a selector that does not compile",
            good.replace("unencrypted_suffix: _unencrypted", "encrypted_regex: ("),
            "line 10, column 1: the `sops` entry does not say what is encrypted: `encrypted_regex` is not a regular expression"
                .into(),
        ),
        (
            "a damaged data key",
            good.replace(enc, "            AAAA"),
            "none of the file's 1 master key could unwrap the data key\n  age age1qea037edq40udfgmp6eanx5ej40s9t9x2w6858ywl9yg85a5r4gsc3rqk0: the wrapped key is damaged"
                .into(),
        ),
        ("no metadata", good[..good.find("sops:").unwrap()].to_owned(), "the file is not encrypted".into()),
        ("cut in the middle of the metadata", good[..good.find("    mac:").unwrap()].to_owned(), "the `sops` entry (line 10, column 1) has no `version`".into()),
        ("cut in the middle of a value", good[..good.find("password").unwrap() + 50].to_owned(), "the file is not encrypted".into()),
        (
            "no keys",
            {
                let (start, end) = (good.find("    age:").unwrap(), good.find("    lastmodified").unwrap());
                format!("{}{}", &good[..start], &good[end..])
            },
            "the `sops` entry (line 10, column 1) names no key: nobody can open this file".into(),
        ),
        ("a document behind it", format!("{good}---\nmore_unencrypted: x\n"), mismatch.into()),
    ];
    for (name, text, expected) in cases {
        assert_ne!(text, good, "{name}: nothing was changed");
        let error = decrypt(text.as_bytes(), Format::Yaml).expect_err(name);
        assert!(error.starts_with(&expected), "{name}\n  expected: {expected}\n  error:    {error}\n{text}");
        for secret in ["hunter2", "admin", "5432"] {
            assert!(!error.contains(secret), "{name}: {error}");
        }
    }
}

#[test]
fn no_changed_bit_goes_unseen() {
    let good = encrypted().into_bytes();
    let (start, end) = {
        let text = std::str::from_utf8(&good).unwrap();
        (text.find("db:").unwrap(), text.find("sops:").unwrap())
    };
    for at in start..end {
        for bit in [0, 1, 5] {
            let mut bytes = good.clone();
            bytes[at] ^= 1 << bit;
            if let Ok(plain) = decrypt(&bytes, Format::Yaml) {
                // Blanks, and what base64 does not use, mean nothing.
                let same = |text: &[u8]| {
                    let document = bulla_doc::Document::parse(text, Format::Yaml).unwrap();
                    let leaves = document.branches().flat_map(bulla_doc::Node::walk).filter_map(|step| match step {
                        bulla_doc::Step::Leaf(leaf) => {
                            Some((leaf.key().map(str::to_owned), format!("{:?}", leaf.value())))
                        }
                        _ => None,
                    });
                    leaves.collect::<Vec<_>>()
                };
                let changed = same(&plain) != same(PLAIN.as_bytes());
                // Names of plain keys are not authenticated: that is SOPS' format.
                let is_plain_key = at >= std::str::from_utf8(&good).unwrap().find("name_unencrypted").unwrap();
                assert!(!changed || is_plain_key, "byte {at}, bit {bit}: {}", String::from_utf8_lossy(&plain));
            }
        }
    }
}

#[test]
fn another_key_opens_nothing() {
    let other = identities("AGE-SECRET-KEY-1AX56H6Z7ZCMJGX3L8453Z5LUUUFXDHPD8LDNN9GVJRNAEH4LPFQSM26ZMM");
    let error = now(bulla_sops::decrypt(encrypted().as_bytes(), Format::Yaml, &other)).unwrap_err();
    let error = chain(&error);
    assert!(
        error.starts_with("none of the file's 1 master key could unwrap the data key\n  age age1qea037"),
        "{error}"
    );
}

#[test]
fn the_mac_is_ignored_only_on_request() {
    let text = encrypted().replace("public", "private");
    let file = EncryptedFile::read(text.as_bytes(), Format::Yaml).unwrap();
    let key = now(file.data_key(&ring())).unwrap();
    assert!(file.open(&key).is_err());
    let (opened, outcome) = danger::open_ignoring_mac(&file, &key).unwrap();
    assert!(outcome.is_err());
    assert_eq!(opened.to_plain().as_slice(), PLAIN.replace("public", "private").as_bytes());
}

#[test]
fn what_cannot_be_encrypted_is_refused_with_its_place() {
    let refused = |plain: &str, rule: &Rule| chain(&encrypt(plain.as_bytes(), Format::Yaml, rule, 1).unwrap_err());
    for (plain, message) in [
        ("", "the file is empty: it must hold at least one document"),
        ("# only a comment\n", "the file is empty: it must hold at least one document"),
        ("a: 1\nsops: 2\n", "the file is encrypted already: it has an entry `sops` at `[\"sops\"]` (line 2, column 1)"),
        (
            "a: 1\n---\nsops: {}\n",
            "the file is encrypted already: it has an entry `sops` at `document 2: [\"sops\"]` (line 3, column 1)",
        ),
        (
            "a:\n  - 18446744073709551615\n",
            "the value at `[\"a\"][0]` (line 2, column 5) is an integer above 9223372036854775807",
        ),
        (
            "a_unencrypted: 18446744073709551615\n",
            "the value at `[\"a_unencrypted\"]` (line 1, column 1) is an integer above",
        ),
        (
            "a: 2024-01-01T00:00:00+24:00\n",
            "the value at `[\"a\"]` (line 1, column 1) is a time with an offset of a day",
        ),
        ("[a]\n", "cannot read the document: line 1, column 1"),
        ("a: [\n", "cannot read the document: line "),
        ("a: 1\na: 2\n", "cannot read the document: line 2, column 1"),
        ("1: x\n", "cannot read the document: line 1, column 1"),
    ] {
        let error = refused(plain, &Rule::DEFAULT);
        assert!(error.starts_with(message), "{plain:?}: {error}");
    }
    let error = refused("# why\na: 1\n", &Rule::new(SelectorKind::UnencryptedCommentRegex, "AES"));
    assert!(error.starts_with("`unencrypted_comment_regex` matches the encrypted form of the comment at"), "{error}");
    assert!(error.contains("(line 1, column"), "{error}");
}

#[test]
fn a_file_in_which_nothing_would_be_encrypted_is_refused_unless_that_is_wanted() {
    use bulla_keys::age::AgeKey;
    use bulla_sops::{NothingSelected, Recipe, Selector};
    let key = AgeKey::new(crate::support::RECIPIENT, ring());
    let run = |plain: &str, nothing_selected| {
        let selector = Selector::new(SelectorKind::EncryptedRegex, "^dat$").unwrap();
        let recipe = Recipe {
            groups: &[vec![&key]],
            threshold: 0,
            selector: &selector,
            mac_only_encrypted: false,
            nothing_selected,
            now: moment(),
        };
        now(bulla_sops::encrypt(plain.as_bytes(), Format::Yaml, &recipe, &mut random(1)))
    };
    let error = run("data: {a: 1, b: 2, c: null}\n", NothingSelected::Refuse).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`encrypted_regex: ^dat$` selects none of the document's 2 values: all of it would stay plain text"
    );
    assert!(run("data: {a: 1}\n", NothingSelected::Allow).is_ok());
    assert!(run("data: {a: null, b: ''}\n", NothingSelected::Refuse).is_ok(), "there is nothing to be encrypted");
}

#[test]
fn keys_must_be_there_and_differ() {
    use bulla_keys::age::AgeKey;
    use bulla_sops::{NothingSelected, Recipe, Selector};
    let key = AgeKey::new(crate::support::RECIPIENT, ring());
    let wrong = AgeKey::new("age1nonsense", ring());
    let run = |keys: &[&dyn bulla_keys::MasterKey]| {
        let recipe = Recipe {
            groups: &[keys.to_vec()],
            threshold: 0,
            selector: &Selector::default(),
            mac_only_encrypted: false,
            nothing_selected: NothingSelected::Refuse,
            now: moment(),
        };
        chain(&now(bulla_sops::encrypt(b"a: 1\n", Format::Yaml, &recipe, &mut random(1))).unwrap_err())
    };
    assert_eq!(run(&[]), "no key to encrypt for: name at least one recipient");
    assert!(run(&[&key, &key]).ends_with("is named twice"));
    assert!(run(&[&key, &wrong]).starts_with("cannot wrap the data key for age age1nonsense: "));
}

#[test]
fn no_mutation_of_an_encrypted_file_panics_or_changes_a_value_unseen() {
    // A file that is the same in every run, so that a seed says what happened.
    let vectors = bulla_testkit::vectors::vectors("tests/vectors/sops/by-sops");
    let good = vectors.iter().find(|vector| vector.name == "rotate.yaml").unwrap();
    let secrets = |text: &[u8]| -> Vec<String> {
        let document = bulla_doc::Document::parse(text, Format::Yaml).unwrap();
        let leaves = document.branches().flat_map(bulla_doc::Node::walk).filter_map(|step| match step {
            bulla_doc::Step::Leaf(leaf) if leaf.value() != bulla_doc::Value::Null => {
                Some(format!("{:?}", leaf.value()))
            }
            _ => None,
        });
        leaves.filter(|value| value != "String([])").collect()
    };
    let expected = secrets(&decrypt(&good.body, Format::Yaml).unwrap());
    let mut opened = 0;
    for seed in 0..4000 {
        let text = mutate(&mut Random::new(seed), &good.body, &good.body);
        let _ = bulla_sops::status(&text, Format::Yaml);
        if let Ok(plain) = decrypt(&text, Format::Yaml) {
            // Values may be re-typed, and plain ones may share their characters otherwise; what is joined stays the same.
            let text = String::from_utf8_lossy(&text).into_owned();
            assert!(secrets(&plain).len() <= expected.len() + 1, "seed {seed}\n{text}");
            for secret in ["admin", "hunter2", "5432", "one", "two"] {
                assert!(String::from_utf8_lossy(&plain).contains(secret), "seed {seed}\n{text}");
            }
            opened += 1;
        }
    }
    assert!(opened > 20, "only {opened} still open");
}

#[test]
fn what_nests_deeply_is_refused_or_encrypted_and_never_ends_the_program() {
    for depth in [100, 1000, 9000] {
        let list = format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        let mapping = format!("{}1{}", "{k: ".repeat(depth), "}".repeat(depth));
        for plain in [
            format!("a: {list}\n"),
            format!("a: {mapping}\n"),
            format!("a: &a {list}\nb: *a\n"),
            format!("a_unencrypted: &a {mapping}\nb: *a\n"),
        ] {
            if let Ok(encrypted) = encrypt(plain.as_bytes(), Format::Yaml, &Rule::DEFAULT, 1) {
                decrypt(&encrypted.bytes, Format::Yaml).unwrap();
            }
        }
    }
}
