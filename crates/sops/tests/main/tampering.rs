//! Every byte of encrypted files is changed, in every way that one byte can be: changed, taken out, doubled, another put in.
//!
//! | file | what holds for a changed one that still opens |
//! |---|---|
//! | written by bulla | whoever reads it gets what was encrypted: keys, values, types, structure, order, encrypted comments and their places |
//! | with `mac_only_encrypted` | so it is with what is encrypted; the rest is for others to change |
//! | written by SOPS, or without comments and structure covered | the encrypted values are there as they were, under their paths, in their order, and no others; so are the texts of the plain ones, one behind the other. What else may be another is classified, and nothing falls through: [`Class`] |
//!
//! `BULLA_TAMPERING=20 cargo test --release -p bulla-sops --test main tampering -- --nocapture` changes twenty times as many files.

#![expect(clippy::print_stdout, reason = "how much was changed is asked for with `--nocapture`")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use bulla_crypto::DataKey;
use bulla_doc::{Document, Format, Kind, Node, Step, Value};
use bulla_sops::{Coverage, DecryptError, EncryptedFile, SelectorKind, danger};
use bulla_testkit::mutate::Random;
use bulla_testkit::needs_peers;
use bulla_testkit::oracle::{Oracle, WholeFile};
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

use crate::generate::{self, Yaml};
use crate::groups;
use crate::support::{IDENTITY, RECIPIENT, Rule, Sops, chain, decrypt, encrypt, essence, name_of, now, ring};

/// Something that a reader of a plain document gets.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// A container begins; of an entry, with its key.
    Enter(Option<String>, Kind),
    Leave,
    Null(Option<String>),
    /// A value: its key, its type, its text.
    Value {
        path: Vec<String>,
        kind: &'static str,
        text: String,
        secret: bool,
    },
    Comment {
        text: String,
        secret: bool,
    },
}

/// What a reader of a plain document gets, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Content(Vec<Part>);

impl Content {
    fn of(bytes: &[u8], format: Format, rule: &Rule) -> Self {
        let document = Document::parse(bytes, format).unwrap();
        let mut parts = Vec::new();
        let mut keys: Vec<Option<String>> = Vec::new();
        for step in document.branches().flat_map(Node::walk) {
            let key = |node: Node<'_>| node.key().map(str::to_owned);
            match step {
                Step::Enter(node) => {
                    parts.push(Part::Enter(key(node), node.kind()));
                    keys.push(key(node));
                }
                Step::Leave(_) => {
                    keys.pop();
                    parts.push(Part::Leave);
                }
                Step::Leaf(node) if node.value() == Value::Null => parts.push(Part::Null(key(node))),
                Step::Leaf(node) => {
                    let path: Vec<String> = keys.iter().cloned().chain([key(node)]).flatten().collect();
                    let (kind, text) = text_of(&node.value());
                    let secret = is_secret(&path, rule) && !text.is_empty();
                    parts.push(Part::Value { path, kind, text, secret });
                }
                // Those in what an alias stands for are copies.
                Step::Comment(node) if node.is_expanded() => {}
                Step::Comment(node) => {
                    let path: Vec<String> = keys.iter().flatten().cloned().collect();
                    parts.push(Part::Comment { text: node.comment().to_owned(), secret: is_secret(&path, rule) });
                }
            }
        }
        Self(parts)
    }

    fn only(&self, keeps: impl Fn(&Part) -> bool) -> Self {
        Self(self.0.iter().filter(|part| keeps(part)).cloned().collect())
    }

    /// All but comments that were never encrypted.
    fn without_plain_comments(&self) -> Self {
        self.only(|part| !matches!(part, Part::Comment { secret: false, .. }))
    }

    /// What is encrypted.
    fn secrets(&self) -> Self {
        self.only(|part| matches!(part, Part::Value { secret: true, .. } | Part::Comment { secret: true, .. }))
    }

    /// What SOPS' MAC covers of it: the encrypted values under their paths, and the texts of all others.
    fn covered_by_sops(&self, mac_only_encrypted: bool) -> (Vec<(String, &str)>, String) {
        let (mut secret, mut plain) = (Vec::new(), String::new());
        for part in &self.0 {
            match part {
                // A key may have a colon, and so may the path.
                Part::Value { path, text, secret: true, .. } => secret.push((path.join(":"), text.as_str())),
                Part::Value { text, secret: false, .. } if !mac_only_encrypted => plain.push_str(text),
                _ => {}
            }
        }
        (secret, plain)
    }

    fn comments(&self) -> BTreeSet<&str> {
        let comments =
            self.0.iter().filter_map(|part| if let Part::Comment { text, .. } = part { Some(text) } else { None });
        comments.map(String::as_str).collect()
    }
}

fn text_of(value: &Value<'_>) -> (&'static str, String) {
    match value {
        Value::String(text) => ("text", text.escape_ascii().to_string()),
        Value::Bool(value) => ("boolean", value.to_string()),
        // `1` and `1.` are the same number, and SOPS itself prints one for the other.
        Value::Int(number) => ("number", number.to_string()),
        Value::Float(number) => ("number", number.to_string()),
        Value::Time(time) => ("time", time.to_string()),
        other => ("other", format!("{other:?}")),
    }
}

/// Is what stands under these keys encrypted, as far as keys decide?
fn is_secret(path: &[String], rule: &Rule) -> bool {
    let (kind, text) = match &rule.selector {
        None => (SelectorKind::UnencryptedSuffix, "_unencrypted"),
        Some((kind, text)) => (*kind, text.as_str()),
    };
    let any = |test: &dyn Fn(&str) -> bool| path.iter().any(|key| test(key));
    // The two expressions of `RULES`, which need no engine.
    let one_of = |key: &str| text.trim_start_matches("^(").trim_end_matches(")$").split('|').any(|name| name == key);
    match kind {
        SelectorKind::UnencryptedSuffix => !any(&|key| key.ends_with(text)),
        SelectorKind::EncryptedSuffix => any(&|key| key.ends_with(text)),
        SelectorKind::EncryptedRegex => any(&one_of),
        SelectorKind::UnencryptedRegex => !any(&one_of),
        // Comments decide: all values are held to be plain, which asks for more.
        SelectorKind::EncryptedCommentRegex | SelectorKind::UnencryptedCommentRegex => false,
    }
}

/// The rule of a file: the default one, each of the six selectors, and the MAC over encrypted values only.
fn rule(seed: u64) -> Rule {
    match seed % 9 {
        0 => Rule::new(SelectorKind::EncryptedRegex, "^(password|data|a)$"),
        1 => Rule::new(SelectorKind::UnencryptedRegex, "^(name|metadata|b)$"),
        2 => Rule::new(SelectorKind::EncryptedSuffix, "a"),
        3 => Rule::new(SelectorKind::UnencryptedSuffix, "a"),
        4 => Rule::new(SelectorKind::EncryptedCommentRegex, "secret"),
        5 => Rule::new(SelectorKind::UnencryptedCommentRegex, "public$"),
        6 => Rule { mac_only_encrypted: true, ..Rule::new(SelectorKind::EncryptedRegex, "^(password|data|a|name)$") },
        _ => Rule::DEFAULT,
    }
}

/// What may be another in a file whose MAC covers values only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    /// Nothing is.
    Same,
    /// Comments: a plain one is another, new, gone or elsewhere; an encrypted one is gone, elsewhere, or stands there as it was encrypted.
    Comment,
    /// A null, an empty text, list or mapping is new or gone, or has another key.
    Empty,
    /// The same text is of another type (`! 5`).
    Type,
    /// A plain value has another key.
    Key,
    /// What holds plain values, or where one of them ends and the next begins, or where the same encrypted one lies in lists.
    Structure,
}

fn class(expected: &Content, found: &Content) -> Class {
    let same = |change: &dyn Fn(&Content) -> Content| change(expected) == change(found);
    let values = |content: &Content| content.only(|part| !matches!(part, Part::Comment { .. }));
    let kinds = |content: &Content, keep_kinds: bool, keep_keys: bool| {
        let parts = without_empty(&values(content)).0.into_iter().map(|part| match part {
            Part::Value { path, kind, text, secret } => Part::Value {
                path: if keep_keys || secret { path } else { Vec::new() },
                kind: if keep_kinds { kind } else { "" },
                text,
                secret,
            },
            Part::Enter(_, kind) if !keep_keys => Part::Enter(None, kind),
            part => part,
        });
        Content(parts.collect())
    };
    match () {
        () if expected == found => Class::Same,
        () if same(&values) => Class::Comment,
        () if same(&|content| kinds(content, true, true)) => Class::Empty,
        () if same(&|content| kinds(content, false, true)) => Class::Type,
        () if same(&|content| kinds(content, false, false)) => Class::Key,
        () => Class::Structure,
    }
}

fn without_empty(content: &Content) -> Content {
    let is_empty = |part: &Part| match part {
        Part::Null(_) => true,
        Part::Value { text, .. } => text.is_empty(),
        _ => false,
    };
    let mut kept: Vec<Part> = Vec::new();
    for part in content.0.iter().filter(|part| !is_empty(part)) {
        if *part == Part::Leave && matches!(kept.last(), Some(Part::Enter(..))) {
            kept.pop();
        } else {
            kept.push(part.clone());
        }
    }
    Content(kept)
}

/// The ways in which the byte at a place is changed.
fn changes(bytes: &[u8], at: usize, random: &mut Random) -> Vec<Vec<u8>> {
    let with = |byte: u8| {
        let mut changed = bytes.to_vec();
        changed[at] = byte;
        changed
    };
    let mut changed: Vec<Vec<u8>> = [0, 1, 5].iter().map(|bit| with(bytes[at] ^ (1 << bit))).collect();
    changed.push(with(random.pick(b"#-:,_ \n\"'[]{}~&*!|>%@0Az=;")));
    changed.push([&bytes[..at], &bytes[at + 1..]].concat());
    changed.push([&bytes[..at], &bytes[at..=at], &bytes[at..]].concat());
    changed.push([&bytes[..at], &[random.pick(b"#-:,_ \n\"'[]{}~&*!|>0a=;")][..], &bytes[at..]].concat());
    changed.retain(|changed| changed != bytes);
    // In the usual run three of them.
    while scale() == 1 && changed.len() > 3 {
        changed.swap_remove(random.below(changed.len()));
    }
    changed
}

/// What is promised of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Promise {
    /// Nothing changes but plain comments.
    Whole,
    /// Nothing that is encrypted changes.
    Encrypted,
    /// What SOPS promises.
    Sops,
}

/// How many changes were tried, how many files of them opened, and what became of those that say something else.
#[derive(Debug, Default)]
struct Tally {
    tried: usize,
    open: usize,
    classes: BTreeMap<Class, usize>,
    failures: Vec<String>,
}

impl Tally {
    fn add(mut self, other: Self) -> Self {
        self.tried += other.tried;
        self.open += other.open;
        for (class, count) in other.classes {
            *self.classes.entry(class).or_default() += count;
        }
        self.failures.extend(other.failures);
        self
    }
}

fn open(bytes: &[u8], format: Format, key: &DataKey, promise: Promise) -> Option<Vec<u8>> {
    let file = EncryptedFile::read(bytes, format).ok()?;
    let opened =
        if promise == Promise::Sops { danger::open_as_sops(&file, key).ok()?.0 } else { file.open(key).ok()? };
    Some(opened.to_plain().to_vec())
}

/// Changes `good`, an encrypted file, everywhere but in its wrapped key, which has a test of its own.
fn tamper(good: &[u8], format: Format, rule: &Rule, promise: Promise, seed: u64) -> Tally {
    let key = now(EncryptedFile::read(good, format).unwrap().data_key(&ring())).unwrap();
    let plain = open(good, format, &key, promise).unwrap();
    let expected = (format != Format::Binary).then(|| Content::of(&plain, format, rule));
    let text = String::from_utf8_lossy(good);
    let wrapped = text.find("-----BEGIN AGE").unwrap()..text.find("-----END AGE").unwrap();
    let places = (0..good.len()).into_par_iter().filter(|at| !wrapped.contains(at));
    let outcomes = places.map(|at| {
        let mut random = Random::new(seed ^ (at as u64) << 20);
        let mut tally = Tally::default();
        for changed in changes(good, at, &mut random) {
            tally.tried += 1;
            let Some(opened) = open(&changed, format, &key, promise) else { continue };
            tally.open += 1;
            let Some(expected) = &expected else {
                if opened != plain {
                    tally.failures.push(format!("seed {seed}, binary, byte {at}: {}", opened.escape_ascii()));
                }
                continue;
            };
            let found = Content::of(&opened, format, rule);
            let class = class(expected, &found);
            *tally.classes.entry(class).or_default() += 1;
            let kept = match promise {
                // The last line break is that of the file: behind a last comment, it may be lost, and go-yaml loses sight of the comment.
                Promise::Whole => {
                    found.without_plain_comments() == expected.without_plain_comments()
                        || is_same_but_for_last_break(&plain, &opened, class)
                }
                Promise::Encrypted => found.secrets() == expected.secrets(),
                Promise::Sops => {
                    let new: Vec<_> = found.comments().difference(&expected.comments()).copied().collect();
                    // Nobody can have encrypted it: it stood in plain text, or it stands there encrypted.
                    // (Of INI, several lines are one comment.)
                    let text = String::from_utf8_lossy(&changed);
                    let is_there = |comment: &&str| comment.lines().all(|line| text.contains(line));
                    let covered = |content: &Content| {
                        let (secret, plain) = content.covered_by_sops(rule.mac_only_encrypted);
                        (secret.into_iter().map(|(path, text)| (path, text.to_owned())).collect::<Vec<_>>(), plain)
                    };
                    // Line breaks at the very end are part of a last plain block once the metadata is gone.
                    (covered(&found) == covered(expected) || without_last_breaks(&opened) == without_last_breaks(&plain))
                        && new.iter().all(is_there)
                }
            };
            if !kept {
                let around = at.saturating_sub(80)..(at + 80).min(changed.len());
                let [changed, opened] = [&changed[around], &opened[..]].map(|text| String::from_utf8_lossy(text).into_owned());
                tally.failures.push(format!(
                    "seed {seed}, {format:?}, {rule:?}, byte {at}: {class:?}\n---- changed\n{changed}\n---- opened\n{opened}\n---- was\n{}",
                    String::from_utf8_lossy(&plain)
                ));
            }
        }
        tally
    });
    outcomes.reduce(Tally::default, Tally::add)
}

fn without_last_breaks(text: &[u8]) -> &[u8] {
    let breaks = text.iter().rev().take_while(|byte| matches!(byte, b'\n' | b'\r')).count();
    &text[..text.len() - breaks]
}

fn is_same_but_for_last_break(plain: &[u8], opened: &[u8], class: Class) -> bool {
    class == Class::Comment && plain.strip_suffix(b"\n").is_some_and(|plain| plain == opened)
}

/// How many times as many files as usual.
fn scale() -> usize {
    static SCALE: LazyLock<usize> =
        LazyLock::new(|| std::env::var("BULLA_TAMPERING").ok().and_then(|text| text.parse().ok()).unwrap_or(1));
    *SCALE
}

fn document(format: Format, seed: u64) -> Vec<u8> {
    match format {
        Format::Yaml => Yaml::new(seed).generate().into_bytes(),
        Format::Json => generate::json(seed).into_bytes(),
        Format::Dotenv => generate::dotenv(seed).into_bytes(),
        Format::Ini => generate::ini(seed).into_bytes(),
        Format::Binary => generate::binary(seed),
    }
}

/// Tampers with `files` files of a format, of at most `longest` bytes before they were encrypted.
#[track_caller]
fn tamper_with(
    format: Format,
    files: usize,
    longest: usize,
    promise: Promise,
    encrypted: impl Fn(&[u8], &Rule, u64) -> Option<Vec<u8>>,
) -> Tally {
    let wanted = files * scale();
    let (mut tally, mut done, mut with_comments) = (Tally::default(), 0, 0);
    for seed in 0..(200 + wanted as u64 * 50) {
        if done == wanted {
            break;
        }
        let (plain, rule) = (document(format, seed), rule(seed));
        let is_right = match promise {
            Promise::Whole => !rule.mac_only_encrypted,
            Promise::Encrypted => rule.mac_only_encrypted,
            Promise::Sops => true,
        };
        if !is_right || plain.is_empty() || plain.len() > longest {
            continue;
        }
        let Some(good) = encrypted(&plain, &rule, seed) else { continue };
        tally = tally.add(tamper(&good, format, &rule, promise, seed));
        done += 1;
        with_comments += usize::from(String::from_utf8_lossy(&good).contains("type:comment]"));
    }
    let Tally { tried, open, classes, failures } = &tally;
    println!(
        "{format}, {promise:?}: {done} files, {with_comments} with encrypted comments; {tried} changes, {open} open: {classes:?}"
    );
    let shown = failures.iter().take(6).map(String::as_str).collect::<Vec<_>>().join("\n\n");
    assert!(failures.is_empty(), "{} of {tried} changes changed what the file says:\n{shown}", failures.len());
    assert_eq!(done, wanted, "files went missing");
    assert!(format != Format::Yaml || promise == Promise::Encrypted || with_comments > 0, "no file has comments");
    assert!(open * 3 < tried * 2 && *open > 20, "{open} of {tried} changes open");
    tally
}

/// A file of bulla, whose MAC must cover all of it.
fn by_bulla(format: Format) -> impl Fn(&[u8], &Rule, u64) -> Option<Vec<u8>> {
    move |plain, rule, seed| {
        let good = encrypt(plain, format, rule, seed).ok()?.bytes.to_vec();
        let file = EncryptedFile::read(&good, format).unwrap();
        let key = now(file.data_key(&ring())).unwrap();
        assert_eq!(file.open(&key).unwrap().coverage(), Coverage::Whole, "seed {seed}");
        Some(good)
    }
}

#[test]
fn no_changed_byte_of_yaml_changes_what_it_says() {
    tamper_with(Format::Yaml, 5, 160, Promise::Whole, by_bulla(Format::Yaml));
}

#[test]
fn no_changed_byte_of_json_changes_what_it_says() {
    tamper_with(Format::Json, 3, 160, Promise::Whole, by_bulla(Format::Json));
}

#[test]
fn no_changed_byte_of_dotenv_changes_what_it_says() {
    tamper_with(Format::Dotenv, 4, 120, Promise::Whole, by_bulla(Format::Dotenv));
}

#[test]
fn no_changed_byte_of_ini_changes_what_it_says() {
    tamper_with(Format::Ini, 4, 160, Promise::Whole, by_bulla(Format::Ini));
}

#[test]
fn no_changed_byte_of_a_binary_file_changes_it() {
    tamper_with(Format::Binary, 2, 200, Promise::Whole, by_bulla(Format::Binary));
}

#[test]
fn where_only_what_is_encrypted_is_covered_no_changed_byte_changes_that() {
    for format in [Format::Yaml, Format::Json, Format::Dotenv, Format::Ini] {
        tamper_with(format, 1, 200, Promise::Encrypted, by_bulla(format));
    }
}

/// The real SOPS on the same changed files: what bulla opens, it opens, with the same values; and it opens what bulla refuses because a key,
/// the structure or a comment is another.
#[test]
fn sops_opens_what_bulla_does_and_more() {
    needs_peers!();
    for format in [Format::Yaml, Format::Json, Format::Dotenv, Format::Ini, Format::Binary] {
        let (mut counts, mut reasons) = (BTreeMap::<&str, usize>::new(), BTreeMap::<String, usize>::new());
        let (mut done, wanted) = (0, scale());
        for seed in (0..500).filter(|seed| !rule(*seed).mac_only_encrypted) {
            let (plain, rule) = (document(format, seed), rule(seed));
            if done == wanted || plain.is_empty() || plain.len() > 160 {
                continue;
            }
            let Some(good) = by_bulla(format)(&plain, &rule, seed) else { continue };
            let has_encrypted_comment = String::from_utf8_lossy(&good).contains("type:comment]");
            if format == Format::Yaml && !has_encrypted_comment {
                continue;
            }
            done += 1;
            let sops = |bytes: &[u8]| {
                let file = WholeFile { identities: IDENTITY, ..WholeFile::new(bytes, name_of(format)) };
                Oracle::shared().sops_open(&file).ok().map(|trees| essence(trees).0)
            };
            let expected = sops(&good).unwrap();
            let text = String::from_utf8_lossy(&good);
            let wrapped = text.find("-----BEGIN AGE").unwrap()..text.find("-----END AGE").unwrap();
            for at in (0..good.len()).filter(|at| !wrapped.contains(at)) {
                let mut random = Random::new(seed ^ (at as u64) << 20);
                let all = changes(&good, at, &mut random);
                let changed = &all[random.below(all.len())];
                let outcome = now(bulla_sops::decrypt(changed, format, &ring()));
                let by_sops = sops(changed);
                let name = match (&outcome, &by_sops) {
                    (Ok(_), Some(found)) => {
                        assert_eq!(
                            *found,
                            expected,
                            "seed {seed}, {format}, byte {at}\n{}",
                            String::from_utf8_lossy(changed)
                        );
                        "both open it"
                    }
                    (Ok(_), None) => "only bulla opens it",
                    (Err(DecryptError::Structure), Some(_)) => "only sops: structure, keys",
                    (Err(DecryptError::Comments | DecryptError::Comment { .. }), Some(_)) => "only sops: comments",
                    (Err(error), Some(_)) => {
                        *reasons
                            .entry(chain(error).split(['`', ',', ';']).next().unwrap_or_default().to_owned())
                            .or_insert(0) += 1;
                        "only sops: otherwise"
                    }
                    (_, None) => "both refuse it",
                };
                *counts.entry(name).or_default() += 1;
            }
        }
        println!("{format}: {done} files, {counts:?} {reasons:?}");
        let count = |name| counts.get(name).copied().unwrap_or(0);
        assert_eq!(done, wanted);
        assert_eq!(count("only bulla opens it"), 0, "{format}: {counts:?}");
        assert!(count("both refuse it") > 100 && count("both open it") > 20, "{format}: {counts:?}");
        assert!(format != Format::Yaml || count("only sops: comments") > 0, "{format}: {counts:?}");
    }
}

/// SOPS' MAC covers values only. What a changed byte does to the rest is what [`Class`] says, and it happens.
#[test]
fn no_changed_byte_of_a_file_of_sops_changes_what_its_mac_covers() {
    needs_peers!();
    let sops = Sops::new();
    let mut classes = BTreeMap::new();
    for (format, files) in
        [(Format::Yaml, 3), (Format::Json, 2), (Format::Dotenv, 2), (Format::Ini, 2), (Format::Binary, 1)]
    {
        let encrypted = |plain: &[u8], rule: &Rule, _| {
            let rule = if format == Format::Binary { &Rule::DEFAULT } else { rule };
            // What SOPS itself does not read again is no file to begin with.
            let good = sops.encrypt(plain, format, rule).ok()?;
            decrypt(&good, format).ok().map(|_| good)
        };
        let tally = tamper_with(format, files, 200, Promise::Sops, encrypted);
        for (class, count) in tally.classes {
            *classes.entry(class).or_insert(0) += count;
        }
    }
    for class in [Class::Same, Class::Comment, Class::Empty, Class::Key] {
        assert!(classes.contains_key(&class), "nothing is of {class:?}: {classes:?}");
    }
}

/// What sops writes is held to what sops covers; and where it prints a file anew and keeps the MAC, keys, values and structure are as before.
#[test]
fn what_sops_made_of_a_file_opens() {
    needs_peers!();
    let sops = Sops::new();
    sops.configure(&format!("creation_rules: [{{age: '{RECIPIENT},{}'}}]\n", groups::recipient(0)));
    let formats = [Format::Yaml, Format::Yaml, Format::Yaml, Format::Json, Format::Dotenv];
    let (mut done, mut whole, mut comments) = (0, 0, 0);
    for (seed, format) in (0..60).zip(formats.iter().cycle()) {
        let (plain, rule) = (document(*format, seed), rule(seed));
        let Some(good) = by_bulla(*format)(&plain, &rule, seed).filter(|_| !plain.is_empty()) else { continue };
        done += 1;
        let key = now(EncryptedFile::read(&good, *format).unwrap().data_key(&ring())).unwrap();
        let opened = |bytes: &[u8]| {
            let file = EncryptedFile::read(bytes, *format).unwrap();
            let (opened, outcome) = danger::open_as_sops(&file, &key).unwrap();
            (opened.coverage(), outcome)
        };
        let set = sops.change(&["set"], &[r#"["new"]"#, r#""value""#], &good, *format).unwrap();
        // Some of what sops prints it does not open itself.
        if sops.decrypt(&set, *format).is_ok() {
            assert_eq!(opened(&set).0, Coverage::Values, "{}", String::from_utf8_lossy(&set));
        }
        let updated = sops.change(&["updatekeys", "-y"], &[], &good, *format).unwrap();
        if sops.decrypt(&updated, *format).is_err() {
            continue;
        }
        whole += 1;
        match opened(&updated) {
            (Coverage::Whole, Ok(())) => {}
            (Coverage::OtherComments, Err(DecryptError::Comments | DecryptError::Comment { .. })) => comments += 1,
            outcome => panic!(
                "{outcome:?}\n{}\n---- by sops\n{}",
                String::from_utf8_lossy(&good),
                String::from_utf8_lossy(&updated)
            ),
        }
    }
    println!(
        "of {whole} files that sops printed anew, {comments} had other comments; it does not open {} more",
        done - whole
    );
    assert!(whole * 10 > done * 9 && comments * 3 < whole, "{comments} of {whole}, of {done}");
}

/// The wrapped data key of every format, and shares of it: they open as the same key, or not at all.
#[test]
fn no_changed_byte_of_a_wrapped_key_gives_another_key() {
    let one = |format: Format, plain: &[u8]| {
        (format, encrypt(plain, format, &Rule::DEFAULT, 1).unwrap().bytes, plain.to_vec(), ring())
    };
    let mut files = vec![
        one(Format::Yaml, b"a: secret\n"),
        one(Format::Json, b"{\"a\": \"secret\"}\n"),
        one(Format::Dotenv, b"A=secret\n"),
        one(Format::Ini, b"[a]\nb = secret\n"),
        one(Format::Binary, b"secret"),
    ];
    let shared = groups::encrypt(&[vec![0], vec![1], vec![2]], 2, 7).unwrap();
    files.push((Format::Yaml, shared, groups::PLAIN.as_bytes().to_vec(), groups::ring_of(&[0, 1, 2])));
    for (format, good, plain, ring) in files {
        let text = String::from_utf8(good.to_vec()).unwrap();
        let (start, end) = (text.find("-----BEGIN AGE").unwrap(), text.rfind("-----END AGE").unwrap());
        let step = 7 / scale().min(7);
        let opened = (start..end).into_par_iter().filter(|at| at % step == 0).map(|at| {
            [0, 1, 5]
                .iter()
                .filter(|bit| {
                    let mut changed = good.to_vec();
                    changed[at] ^= 1 << **bit;
                    let opened = now(bulla_sops::decrypt(&changed, format, &ring));
                    if let Ok(opened) = &opened {
                        assert_eq!(opened.as_slice(), plain, "{format:?}, byte {at}, bit {bit}");
                    }
                    opened.is_ok()
                })
                .count()
        });
        let (opened, tried) = (opened.sum::<usize>(), 3 * (end - start) / step);
        println!("{format:?}, keys: {tried} changes, {opened} open");
        assert!(opened < tried, "{opened} of {tried}");
    }
}
