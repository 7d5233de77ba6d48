//! The real SOPS opens what bulla writes, and the reverse.

use bulla_doc::{Document, Format};
use bulla_sops::SelectorKind;
use bulla_testkit::needs_peers;

use crate::generate::{self, Yaml};
use crate::support::{Rule, Sops, decrypt, encrypt, essence, trees};

/// How many documents a direction; each costs a process of SOPS or two.
const DOCUMENTS: u64 = 120;

fn rule(seed: u64) -> Rule {
    match seed % 9 {
        0 => Rule::new(SelectorKind::EncryptedSuffix, "_secret"),
        1 => Rule::new(SelectorKind::EncryptedRegex, "^(data|password|a|k1)$"),
        2 => Rule::new(SelectorKind::UnencryptedRegex, r"^(metadata|name|\w\d)$"),
        3 => Rule::new(SelectorKind::EncryptedCommentRegex, "secret"),
        4 => Rule::new(SelectorKind::UnencryptedCommentRegex, "public$"),
        5 => Rule { mac_only_encrypted: true, ..Rule::new(SelectorKind::EncryptedRegex, "a") },
        6 => Rule::new(SelectorKind::UnencryptedSuffix, "a"),
        _ => Rule::DEFAULT,
    }
}

fn document(seed: u64, format: Format) -> Option<String> {
    let text = match format {
        Format::Yaml if seed.is_multiple_of(3) => Yaml::with_aliases(seed).generate(),
        Format::Yaml => Yaml::new(seed).generate(),
        Format::Json => generate::json(seed),
        Format::Dotenv => generate::dotenv(seed),
        Format::Ini => generate::ini(seed),
        Format::Binary => return None,
    };
    Document::parse(text.as_bytes(), format).ok().map(|_| text)
}

#[test]
fn sops_opens_what_bulla_writes() {
    needs_peers!();
    let sops = Sops::new();
    let mut done = 0;
    for (seed, format) in (0..DOCUMENTS).flat_map(|seed| [(seed, Format::Yaml), (seed, Format::Json)]) {
        if format == Format::Json && seed % 4 != 0 {
            continue;
        }
        let Some(plain) = document(seed, format) else { continue };
        let rule = rule(seed);
        let Ok(encrypted) = encrypt(plain.as_bytes(), format, &rule, seed) else { continue };
        let encrypted = &encrypted.bytes;
        let context =
            || format!("seed {seed}, {rule:?}\n{plain}\n---- encrypted\n{}", String::from_utf8_lossy(encrypted));
        let decrypted = sops.decrypt(encrypted, format).unwrap_or_else(|error| panic!("{error}\n{}", context()));
        let (expected, expected_comments) = essence(trees(plain.as_bytes(), format));
        let (found, found_comments) = essence(trees(&decrypted, format));
        assert_eq!(found, expected, "{}", context());
        // Comments of what an alias stood for are not copied.
        if !plain.contains('*') {
            assert_eq!(found_comments, expected_comments, "{}", context());
        }
        done += 1;
    }
    assert!(done > DOCUMENTS, "only {done} documents were usable");
}

/// Documents whose last characters matter to what SOPS reads once the metadata stands behind them.
const ENDS: &[&str] = &[
    "a: |\n  text",
    "a: |+\n  text",
    "a: |-\n  text",
    "a: >\n  text\n",
    "a: |+\n  text\n\n\n",
    "a: | # comment\n  text",
    "a: x # comment",
    "a: x\n# comment",
    "a:\n  b: x\n  # comment\n# another",
    "a:\n  - x\n  -",
    "a:\n  # lost\n  -\n",
    "a:",
    "a: # comment",
    "a: x\n...\n",
    "a: x\n---\nb: y",
    "a: x\n---",
    "{a: x}",
    "{a: x} # comment",
    "a: \"x",
];

#[test]
fn the_end_of_a_document_is_kept() {
    needs_peers!();
    let sops = Sops::new();
    for plain in ENDS {
        if Document::parse(plain.as_bytes(), Format::Yaml).is_err() {
            continue;
        }
        let encrypted = encrypt(plain.as_bytes(), Format::Yaml, &Rule::DEFAULT, 1).unwrap().bytes;
        let text = String::from_utf8_lossy(&encrypted);
        let decrypted = decrypt(&encrypted, Format::Yaml).unwrap_or_else(|error| panic!("{error}: {plain:?}\n{text}"));
        assert_eq!(String::from_utf8_lossy(&decrypted), *plain, "{text}");
        let by_sops =
            sops.decrypt(&encrypted, Format::Yaml).unwrap_or_else(|error| panic!("{error}: {plain:?}\n{text}"));
        let (found, _) = essence(trees(&by_sops, Format::Yaml));
        let (expected, _) = essence(trees(plain.as_bytes(), Format::Yaml));
        assert_eq!(found, expected, "{plain:?}\n{text}");
    }
}

#[test]
fn a_last_line_break_that_was_lost_after_encryption_changes_no_value() {
    for plain in ["a: |\n  text\n", "a: |+\n  text\n", "a: >\n  text\n"] {
        let encrypted = encrypt(plain.as_bytes(), Format::Yaml, &Rule::DEFAULT, 1).unwrap().bytes;
        let cut = encrypted.strip_suffix(b"\n").unwrap();
        let decrypted = decrypt(cut, Format::Yaml).unwrap();
        assert_eq!(String::from_utf8_lossy(&decrypted), plain);
    }
    let encrypted = encrypt(b"a: text\n", Format::Yaml, &Rule::DEFAULT, 1).unwrap().bytes;
    let cut = encrypted.strip_suffix(b"\n").unwrap();
    assert_eq!(decrypt(cut, Format::Yaml).unwrap().as_slice(), b"a: text");
}

#[test]
fn bulla_opens_what_sops_writes() {
    needs_peers!();
    let sops = Sops::new();
    let mut done = 0;
    for (seed, format) in (1000..1000 + DOCUMENTS).flat_map(|seed| [(seed, Format::Yaml), (seed, Format::Json)]) {
        if format == Format::Json && seed % 4 != 0 {
            continue;
        }
        let Some(plain) = document(seed, format) else { continue };
        let rule = rule(seed);
        let Ok(encrypted) = sops.encrypt(plain.as_bytes(), format, &rule) else { continue };
        let context =
            || format!("seed {seed}, {rule:?}\n{plain}\n---- encrypted\n{}", String::from_utf8_lossy(&encrypted));
        let decrypted = decrypt(&encrypted, format).unwrap_or_else(|error| panic!("{error}\n{}", context()));
        let (expected, _) = essence(trees(plain.as_bytes(), format));
        let (found, found_comments) = essence(trees(&decrypted, format));
        assert_eq!(found, expected, "{}\n---- decrypted\n{}", context(), String::from_utf8_lossy(&decrypted));
        // Some comments SOPS prints where it cannot decrypt them, and some of its files it cannot open at all.
        if let Ok(by_sops) = sops.decrypt(&encrypted, format) {
            let (_, expected_comments) = essence(trees(&by_sops, format));
            assert_eq!(found_comments, expected_comments, "{}", context());
        }
        done += 1;
    }
    assert!(done > DOCUMENTS * 2 / 3, "only {done} documents were usable");
}

/// getsops/sops#2281: a comment that is encrypted in a list hides the comments before it from SOPS when it decrypts.
#[test]
fn files_that_sops_cannot_open_itself_are_opened() {
    needs_peers!();
    let sops = Sops::new();
    let plain =
        "l:\n    # secret\n    # a second line\n    - a\n    - b\n    # secret\n    # more\n    - [c, {d: e}]\nm: f\n";
    let rule = Rule::new(SelectorKind::EncryptedCommentRegex, "secret");
    let encrypted = sops.encrypt(plain.as_bytes(), Format::Yaml, &rule).unwrap();
    assert!(sops.decrypt(&encrypted, Format::Yaml).is_err(), "SOPS has learnt it: bring the differences up to date");
    let decrypted = decrypt(&encrypted, Format::Yaml).unwrap();
    assert_eq!(essence(trees(&decrypted, Format::Yaml)), essence(trees(plain.as_bytes(), Format::Yaml)));

    // What bulla writes for the same document has comments where SOPS has items, and SOPS opens it.
    let encrypted = encrypt(plain.as_bytes(), Format::Yaml, &rule, 1).unwrap().bytes;
    let decrypted = sops.decrypt(&encrypted, Format::Yaml).unwrap();
    assert_eq!(essence(trees(&decrypted, Format::Yaml)), essence(trees(plain.as_bytes(), Format::Yaml)));
}
