//! In every format: what did not change keeps its ciphertext, and no two values share a nonce, equal ones neither.

#![expect(clippy::print_stdout, reason = "how much was compared is asked for with `--nocapture`")]

use std::collections::HashMap;

use bulla_crypto::{DataKey, EncryptedValue, ValueCipher, encoding};
use bulla_doc::{Document, Format, Node, Step};
use bulla_sops::{EncryptedFile, SelectorKind};
use bulla_testkit::mutate::Random;

use crate::generate::{self, Yaml};
use crate::support::{Rule, chain, encrypt, moment, now, random, ring};

/// The ciphertexts of a file, by additional data, type and plaintext.
type Ciphertexts = HashMap<(String, String, Vec<u8>), Vec<String>>;

fn ciphertexts(bytes: &[u8], format: Format, key: &DataKey) -> Ciphertexts {
    let file = EncryptedFile::read(bytes, format).unwrap();
    let document: &Document = file.document();
    let cipher = ValueCipher::new(key);
    let (mut found, mut keys) = (Ciphertexts::new(), Vec::new());
    let mut add = |text: &str, keys: &[Option<&str>]| {
        let Some(value) = EncryptedValue::parse(text) else { return };
        let mut path: String = keys.iter().flatten().flat_map(|key| [*key, ":"]).collect();
        if path.is_empty() {
            path.push(':');
        }
        // What stands in the metadata is no value.
        let Ok((plain, kind)) = cipher.decrypt(&value, path.as_bytes()) else { return };
        let ciphertext = text[..text.len() - value.rest.len()].to_owned();
        found.entry((path, kind.to_string(), plain.expose_secret().to_vec())).or_default().push(ciphertext);
    };
    for step in document.branches().flat_map(Node::walk) {
        match step {
            Step::Enter(node) => keys.push(node.key()),
            Step::Leave(_) => drop(keys.pop()),
            Step::Leaf(node) => {
                keys.push(node.key());
                add(node.as_str().unwrap_or_default(), &keys);
                keys.pop();
            }
            Step::Comment(node) => add(node.comment(), &keys),
        }
    }
    found
}

/// Every nonce in a file: of values, comments, the MAC, and of spellings behind the bracket.
fn nonces(bytes: &[u8], format: Format) -> Vec<Vec<u8>> {
    let file = EncryptedFile::read(bytes, format).unwrap();
    let mac = file.metadata().mac.as_deref().unwrap();
    // Every document has the same MAC.
    let text = std::str::from_utf8(bytes).unwrap().replace(mac, "") + mac;
    let mut nonces = Vec::new();
    for part in text.split(",iv:").skip(1) {
        nonces.push(encoding::decode_go(part.split(',').next().unwrap().as_bytes()).unwrap());
        let rest = part.split(']').nth(1).unwrap_or_default();
        if let Some(spelling) = rest.strip_prefix('~') {
            let end =
                spelling.find(|c: char| !c.is_ascii_alphanumeric() && !"+/=".contains(c)).unwrap_or(spelling.len());
            nonces.push(encoding::decode_go(&spelling.as_bytes()[..end]).unwrap()[..32].to_vec());
        }
    }
    nonces
}

fn document(format: Format, seed: u64) -> String {
    match format {
        Format::Yaml => Yaml::new(seed).generate(),
        Format::Json => generate::json(seed),
        Format::Dotenv => generate::dotenv(seed),
        Format::Ini => generate::ini(seed),
        Format::Binary => String::from_utf8_lossy(&generate::binary(seed)).into_owned(),
    }
}

/// `plain` with one of its lines twice, gone, elsewhere, or with another letter in it.
fn edit_by_chance(plain: &str, random: &mut Random) -> String {
    let mut lines: Vec<String> = plain.split_inclusive('\n').map(str::to_owned).collect();
    if lines.is_empty() {
        return String::new();
    }
    let at = random.below(lines.len());
    match random.below(4) {
        0 => drop(lines.remove(at)),
        1 => lines[at] = lines[at].replacen(['a', 'x', 'e', '7'], "z", 1),
        2 => lines.insert(at, lines[at].clone()),
        _ => lines.swap(at, 0),
    }
    lines.concat()
}

#[test]
fn what_did_not_change_keeps_its_ciphertext_and_no_nonce_is_used_twice() {
    for format in [Format::Yaml, Format::Json, Format::Dotenv, Format::Ini, Format::Binary] {
        let (mut files, mut kept, mut new, mut equal) = (0, 0, 0, 0);
        for seed in 0..400 {
            let rule = match seed % 3 {
                0 if format != Format::Binary => Rule::new(SelectorKind::UnencryptedRegex, "^(name|b)$"),
                _ => Rule::DEFAULT,
            };
            let plain = document(format, seed);
            let Ok(encrypted) = encrypt(plain.as_bytes(), format, &rule, seed) else { continue };
            let edited = edit_by_chance(&plain, &mut Random::new(seed));
            let file = EncryptedFile::read(&encrypted.bytes, format).unwrap();
            let key = now(file.data_key(&ring())).unwrap();
            let opened = file.open(&key).unwrap();
            let later = moment() + jiff::SignedDuration::from_hours(1);
            // What is no document any more is refused.
            let Ok(after) = opened.update(edited.as_bytes(), later, &mut random(seed + 1000)) else { continue };
            let context = || format!("{format:?}, seed {seed}, {rule:?}\n{plain}\n---- edited\n{edited}");
            let again = EncryptedFile::read(&after.bytes, format).unwrap();
            let reopened = again.open(&key).unwrap_or_else(|error| panic!("{}\n{}", chain(&error), context()));
            assert_eq!(String::from_utf8_lossy(&reopened.to_plain()), edited, "{}", context());

            let (old, now) = (ciphertexts(&encrypted.bytes, format, &key), ciphertexts(&after.bytes, format, &key));
            for (value, texts) in &now {
                let before = old.get(value).map_or(&[][..], Vec::as_slice);
                let same = texts.iter().filter(|text| before.contains(text)).count();
                assert_eq!(same, texts.len().min(before.len()), "{value:?}\n{}", context());
                kept += same;
                new += texts.len() - same;
                equal += texts.len() - 1;
            }
            for bytes in [&encrypted.bytes, &after.bytes] {
                let mut nonces = nonces(bytes, format);
                let all = nonces.len();
                nonces.sort_unstable();
                nonces.dedup();
                assert_eq!(nonces.len(), all, "{}\n{}", context(), String::from_utf8_lossy(bytes));
            }
            files += 1;
        }
        println!("{format}: {files} files, {kept} values and comments kept, {new} new, {equal} equal to another one");
        assert!(files > 100, "{format}: only {files} files");
        assert!(new > 20 && (format == Format::Binary || kept > 300), "{format}: {kept} kept, {new} new");
        let has_equal = matches!(format, Format::Yaml | Format::Dotenv | Format::Ini);
        assert!(!has_equal || equal > 10, "{format}: {equal} equal ones");
    }
}
