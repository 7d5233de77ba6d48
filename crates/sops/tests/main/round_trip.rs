//! Decrypting gives back what was encrypted, byte for byte.

use bulla_doc::{Document, Format};
use bulla_sops::{Coverage, EncryptError, EncryptedFile, KeyPath, SealError, SelectorKind};
use bulla_testkit::mutate::{Random, mutate};
use bulla_testkit::{corpus, needs_peers};
use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};

use crate::generate::{self, Yaml};
use crate::support::{Rule, chain, decrypt, encrypt, now, ring};

fn rules() -> Vec<Rule> {
    vec![
        Rule::DEFAULT,
        Rule { selector: None, mac_only_encrypted: true },
        Rule::new(SelectorKind::EncryptedSuffix, "_secret"),
        Rule::new(SelectorKind::EncryptedRegex, "^(data|password|a|k1)$"),
        Rule::new(SelectorKind::UnencryptedRegex, "^(metadata|name|b)$"),
        Rule::new(SelectorKind::EncryptedCommentRegex, "secret"),
        Rule::new(SelectorKind::UnencryptedCommentRegex, "public$"),
    ]
}

/// Why a document was refused, for a reason that it may be.
#[derive(Debug, PartialEq)]
enum Refused {
    /// It holds what SOPS cannot encrypt.
    Unsupported,
    /// A comment would be read elsewhere.
    Moved,
    /// None of these; this is why.
    Failed(String),
}

fn round_trip(plain: &[u8], format: Format, rule: &Rule, seed: u64) -> Result<Vec<u8>, Refused> {
    let context = || format!("seed {seed}, {rule:?}\n{}", String::from_utf8_lossy(plain));
    let encrypted = match encrypt(plain, format, rule, seed) {
        Ok(encrypted) => encrypted.bytes,
        Err(EncryptError::Seal(SealError::Unsupported { .. } | SealError::MisleadingComment { .. })) => {
            return Err(Refused::Unsupported);
        }
        Err(EncryptError::Seal(SealError::Moved { .. })) => return Err(Refused::Moved),
        Err(error) => return Err(Refused::Failed(format!("{}\n{}", chain(&error), context()))),
    };
    let shown = || format!("{}\n---- encrypted\n{}", context(), String::from_utf8_lossy(&encrypted));
    let failed = |error: &dyn std::error::Error| Refused::Failed(format!("{}\n{}", chain(error), shown()));
    let file = EncryptedFile::read(&encrypted, format).map_err(|error| failed(&error))?;
    let key = now(file.data_key(&ring())).map_err(|error| failed(&error))?;
    let opened = file.open(&key).map_err(|error| failed(&error))?;
    if opened.coverage() != Coverage::Whole {
        return Err(Refused::Failed(format!("its MAC covers values only\n{}", shown())));
    }
    Ok(opened.to_plain().to_vec())
}

/// What became of documents that were encrypted and decrypted.
#[derive(Debug, Default)]
struct Count {
    same: usize,
    unsupported: usize,
    moved: usize,
}

impl Count {
    fn of(documents: &[(Vec<u8>, Format, u64)], rules: &[Rule]) -> Self {
        let outcome = |(plain, format, seed): &(Vec<u8>, Format, u64)| {
            let rule = &rules[*seed as usize % rules.len()];
            let decrypted = round_trip(plain, *format, rule, *seed)?;
            if decrypted == *plain {
                return Ok(());
            }
            let [was, is] = [plain, &decrypted].map(|text| String::from_utf8_lossy(text).into_owned());
            Err(Refused::Failed(format!("seed {seed}, {rule:?}\n{was}\n---- came back as\n{is}")))
        };
        let outcomes: Vec<_> = documents.par_iter().map(outcome).collect();
        let mut count = Self::default();
        let mut failures = Vec::new();
        for outcome in outcomes {
            match outcome {
                Ok(()) => count.same += 1,
                Err(Refused::Unsupported) => count.unsupported += 1,
                Err(Refused::Moved) => count.moved += 1,
                Err(Refused::Failed(reason)) => failures.push(reason),
            }
        }
        assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), documents.len(), failures.join("\n\n====\n"));
        count
    }
}

#[test]
fn generated_yaml_comes_back_byte_for_byte() {
    let documents: Vec<_> = (0..4000)
        .map(|seed| (Yaml::new(seed).generate().into_bytes(), Format::Yaml, seed))
        .filter(|(plain, ..)| Document::parse(plain, Format::Yaml).is_ok())
        .collect();
    let count = Count::of(&documents, &rules());
    assert!(count.same > 2500 && count.moved < 3, "{count:?}");
}

#[test]
fn generated_json_comes_back_byte_for_byte() {
    let documents: Vec<_> = (0..2000).map(|seed| (generate::json(seed).into_bytes(), Format::Json, seed)).collect();
    let count = Count::of(&documents, &rules());
    assert_eq!((count.same, count.moved), (2000, 0), "{count:?}");
}

#[test]
fn real_manifests_come_back_byte_for_byte() {
    needs_peers!();
    let mut documents = Vec::new();
    for (number, file) in corpus::manifests().into_iter().enumerate() {
        let format = match file.path.extension().and_then(|extension| extension.to_str()) {
            Some("yaml" | "yml") => Format::Yaml,
            Some("json") => Format::Json,
            _ => continue,
        };
        let plain = std::fs::read(&file.path).unwrap();
        // Nine tenths of all bytes are in the few large files, which are much alike.
        if plain.len() > 16 << 10 && !number.is_multiple_of(16) {
            continue;
        }
        let Ok(document) = Document::parse(&plain, format) else { continue };
        let is_empty = document.branches().len() == 0;
        let has_aliases = document.branches().flat_map(bulla_doc::Node::walk).any(is_alias);
        if !is_empty && !has_aliases && !bulla_sops::has_metadata(&document) {
            documents.push((plain, format, number as u64));
        }
    }
    let count = Count::of(&documents, &[Rule::DEFAULT]);
    assert!(count.same > 3000 && count.unsupported < 20 && count.moved < 5, "{count:?}");
}

fn is_alias(step: bulla_doc::Step<'_>) -> bool {
    match step {
        bulla_doc::Step::Enter(node) | bulla_doc::Step::Leaf(node) => node.is_alias(),
        bulla_doc::Step::Leave(_) | bulla_doc::Step::Comment(_) => false,
    }
}

#[test]
fn mutated_documents_come_back_byte_for_byte_or_are_refused() {
    let documents: Vec<_> = (0..4000)
        .map(|seed| {
            let text = Yaml::new(seed % 300).generate();
            let other = Yaml::new(seed % 300 + 1).generate();
            (mutate(&mut Random::new(seed), text.as_bytes(), other.as_bytes()), Format::Yaml, seed)
        })
        .filter(|(plain, ..)| {
            Document::parse(plain, Format::Yaml).is_ok_and(|document| {
                let has_aliases = document.branches().flat_map(bulla_doc::Node::walk).any(is_alias);
                document.branches().len() > 0 && !bulla_sops::has_metadata(&document) && !has_aliases
            })
        })
        .collect();
    let count = Count::of(&documents, &rules());
    assert!(count.same > 500 && count.moved < 5, "{count:?}");
}

/// Every value with its path.
fn values(bytes: &[u8]) -> Vec<String> {
    let document = Document::parse(bytes, Format::Yaml).unwrap();
    let leaves = document.branches().flat_map(bulla_doc::Node::walk).filter_map(|step| match step {
        bulla_doc::Step::Leaf(leaf) => Some(format!("{} {:?}", KeyPath::of(leaf, &document), leaf.value())),
        _ => None,
    });
    leaves.collect()
}

#[test]
fn documents_with_aliases_keep_their_values() {
    let mut done = 0;
    for seed in 0..1500 {
        let plain = Yaml::with_aliases(seed).generate();
        if Document::parse(plain.as_bytes(), Format::Yaml).is_err() {
            continue;
        }
        let rules = rules();
        let rule = &rules[seed as usize % rules.len()];
        let Ok(decrypted) = round_trip(plain.as_bytes(), Format::Yaml, rule, seed) else { continue };
        let shown = String::from_utf8_lossy(&decrypted);
        assert_eq!(values(&decrypted), values(plain.as_bytes()), "seed {seed}, {rule:?}\n{plain}\n----\n{shown}");
        done += 1;
    }
    assert!(done > 700, "only {done} documents were usable");
}

#[test]
fn aliases_of_what_is_plain_stay_and_others_become_copies() {
    for (plain, expected) in [
        ("a: &a {x: 1}\nb: *a\n", "a: &a {x: 1}\nb: {\"x\": 1}\n"),
        ("a_unencrypted: &a {x: 1}\nb_unencrypted: *a\n", "a_unencrypted: &a {x: 1}\nb_unencrypted: *a\n"),
        ("a_unencrypted: &a [x]\nb: *a\n", "a_unencrypted: &a [x]\nb: [\"x\"]\n"),
        ("a: &a secret\nl: [*a, 1]\n", "a: &a secret\nl: [\"secret\", 1]\n"),
        ("a: &a {}\nb: *a\n", "a: &a {}\nb: *a\n"),
    ] {
        let decrypted = round_trip(plain.as_bytes(), Format::Yaml, &Rule::DEFAULT, 1).unwrap();
        let decrypted = String::from_utf8(decrypted).unwrap();
        let same = Document::parse(decrypted.as_bytes(), Format::Yaml).unwrap();
        assert_eq!(same.branches().len(), 1);
        assert_eq!(decrypted, expected, "{plain}");
    }
}

#[test]
fn a_plain_copy_of_something_encrypted_is_reported() {
    let plain = b"a: &a {x: 1}\nb_unencrypted: *a\n";
    let encrypted = encrypt(plain, Format::Yaml, &Rule::DEFAULT, 1).unwrap();
    assert_eq!((encrypted.summary.encrypted, encrypted.summary.plain, encrypted.summary.expanded_aliases), (1, 1, 1));
    let places: Vec<_> = encrypted.summary.plain_copies.iter().map(ToString::to_string).collect();
    assert_eq!(places, ["`[\"b_unencrypted\"]` (line 2, column 1)"]);
}

#[test]
fn no_nonce_is_used_twice() {
    let items: Vec<String> = (0..1500).map(|_| "  - same".to_owned()).collect();
    let plain = format!("l:\n{}\nhex: 0x1F\n", items.join("\n"));
    let encrypted = encrypt(plain.as_bytes(), Format::Yaml, &Rule::DEFAULT, 7).unwrap();
    let text = String::from_utf8(encrypted.bytes.to_vec()).unwrap();
    let mut nonces: Vec<&str> = text.split(",iv:").skip(1).map(|rest| rest.split(',').next().unwrap()).collect();
    assert_eq!(nonces.len(), 1502);
    nonces.sort_unstable();
    nonces.dedup();
    assert_eq!(nonces.len(), 1502);
    assert_eq!(decrypt(&encrypted.bytes, Format::Yaml).unwrap().as_slice(), plain.as_bytes());
}

#[test]
fn time_is_linear_in_the_number_of_keys() {
    let measure = |keys: usize| {
        let lines: Vec<String> = (0..keys).map(|key| format!("key-{key}: value {key}\n")).collect();
        let plain = lines.concat();
        let start = std::time::Instant::now();
        let encrypted = encrypt(plain.as_bytes(), Format::Yaml, &Rule::DEFAULT, 1).unwrap().bytes;
        assert_eq!(decrypt(&encrypted, Format::Yaml).unwrap().as_slice(), plain.as_bytes());
        start.elapsed()
    };
    measure(500);
    // Sixteen times the keys; a quadratic step would make it 256 times the time. A machine that is busy may be late once, but a quadratic
    // step is there every time.
    let is_linear = (0..20).any(|_| measure(16_000) < measure(1_000) * 80);
    assert!(is_linear, "sixteen times the keys take more than eighty times as long, whenever it is tried");
}
