//! Groups of keys: the data key is split between them, by bulla and by the real SOPS, and joined by either.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bulla_crypto::SecretBytes;
use bulla_doc::{Document, Format};
use bulla_keys::age::{AgeIdentities, AgeKey};
use bulla_keys::fake::{Behaviour, FakeKey};
use bulla_keys::memory::Memory;
use bulla_keys::{KeyName, MasterKey, Source, UnwrapError, WrapError, WrappedKey};
use bulla_sops::danger::{Dates, wrap_data_key_again};
use bulla_sops::{
    DataKeyError, DecryptError, EncryptedFile, GroupsError, KeyEntry, KeyGroups, KeyRing, NothingSelected, Recipe,
    Selector, WrapKeysError,
};
use bulla_testkit::mutate::Random;
use bulla_testkit::{needs_peers, peers};
use bulla_wipe::Wiping;

use crate::support::{chain, identities, moment, now, random, ring};

/// Throw-away identities, and who they are.
pub(crate) const PEOPLE: [(&str, &str); 6] = [
    (
        "AGE-SECRET-KEY-193L86SHZ9K5ADJSWN8TEDNSW6Z5FDZGTCHM4PH46ACAN8WTAR8DQTSTADV",
        "age1c54s3hzq009t6tcq0jcejxfcecgcrxkn6qccfd4g9rx9trg5s5vqwdg4ep",
    ),
    (
        "AGE-SECRET-KEY-135MZQ7A255C26E4KW05Q2PCACKX763QR3DH39HRV7UTHM85FL7GSYJYAEM",
        "age1qln5rzatc0cyw2cm5tr059a9mufp3rck0kq9z9zl2z0jhzaaq3ss587fry",
    ),
    (
        "AGE-SECRET-KEY-1WZNHR0SV244SDCSZH4LQJEZGY7SZAZ9VMDJ7ZAHTP32PV4ST2YZS5E9P5Q",
        "age19s3jsw8368lvsyvfkf2rdazp92h3zl5mee4lfs87h8udecxltdzqmx5yf8",
    ),
    (
        "AGE-SECRET-KEY-16A7WST3JZTD7SPXRRSJQW4Z393DYAP85HP76V47023T6U47Q5VRQ6QQ9RK",
        "age1cq3rtrpc3gkrlkfa20n5q657vk49rmhttencyjgehmjw5t727vssucjqnq",
    ),
    (
        "AGE-SECRET-KEY-1UEPFZZTPTMHQ9A2JJUXP3XTVXK999V69XWQUZV5ZQ265JA6VPAJQLLC8RH",
        "age1npug26y24ddvk0fv827nqt5guwep84xk6l5rm993qghvz4q4sfnqqds8n8",
    ),
    (
        "AGE-SECRET-KEY-14FH2TU95R9N25PJ33ERUQPLL9LV05EEYQCEKS6RKSSQVZFFR35LQV5HK8U",
        "age1j4spxw4g22gkkzpu8rpxkfd8gj973alerfx7s99qxenfnv9dyalssmyxh6",
    ),
];

pub(crate) const PLAIN: &str =
    "# of the shop\ndb:\n    user:  shop   # kept\n    password: 'swordfish'\nlist: [a, b]\n";

pub(crate) fn recipient(person: usize) -> &'static str {
    PEOPLE[person].1
}

/// The identities of `people`.
pub(crate) fn ring_of(people: &[usize]) -> Arc<AgeIdentities> {
    let lines: Vec<&str> = people.iter().map(|person| PEOPLE[*person].0).collect();
    identities(&lines.join("\n"))
}

/// Encrypts [`PLAIN`] for groups of people.
pub(crate) fn encrypt(groups: &[Vec<usize>], threshold: usize, seed: u64) -> Result<Wiping<Vec<u8>>, String> {
    let keys: Vec<Vec<AgeKey>> = groups
        .iter()
        .map(|group| group.iter().map(|person| AgeKey::new(recipient(*person), ring())).collect())
        .collect();
    let groups: Vec<Vec<&dyn MasterKey>> =
        keys.iter().map(|group| group.iter().map(|key| key as &dyn MasterKey).collect()).collect();
    let recipe = Recipe {
        groups: &groups,
        threshold,
        selector: &Selector::default(),
        mac_only_encrypted: false,
        nothing_selected: NothingSelected::Refuse,
        now: moment(),
    };
    let encrypted = now(bulla_sops::encrypt(PLAIN.as_bytes(), Format::Yaml, &recipe, &mut random(seed)));
    encrypted.map(|encrypted| encrypted.bytes).map_err(|error| chain(&error))
}

fn decrypt(bytes: &[u8], people: &[usize]) -> Result<Wiping<Vec<u8>>, String> {
    now(bulla_sops::decrypt(bytes, Format::Yaml, &ring_of(people))).map_err(|error| chain(&error))
}

/// Runs the real SOPS on a file of this content, with the identities of `people`; gives what it prints.
fn sops(arguments: &[&str], config: Option<&str>, content: &[u8], people: &[usize]) -> Result<Vec<u8>, String> {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("file.yaml");
    std::fs::write(&file, content).unwrap();
    if let Some(config) = config {
        std::fs::write(place.path().join(".sops.yaml"), config).unwrap();
    }
    let keys: Vec<&str> = people.iter().map(|person| PEOPLE[*person].0).collect();
    let output = std::process::Command::new(peers::sops())
        .current_dir(place.path())
        .env_clear()
        .env("HOME", place.path())
        .env("SOPS_AGE_KEY", keys.join("\n"))
        .env("SOPS_DISABLE_VERSION_CHECK", "1")
        .args(arguments)
        .arg("file.yaml")
        .output()
        .unwrap();
    if output.status.success() { Ok(output.stdout) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

/// Groups of people that differ from one another, and how many groups are needed; 0 for all.
pub(crate) fn draw(random: &mut Random) -> (Vec<Vec<usize>>, usize) {
    let count = 2 + random.below(4);
    let mut groups = vec![Vec::new(); count];
    for (index, group) in groups.iter_mut().enumerate() {
        group.push(index);
        let more = random.below(PEOPLE.len());
        if more != index {
            group.push(more);
        }
    }
    let threshold = match random.below(count) {
        0 => 0,
        threshold => threshold + 1,
    };
    (groups, threshold)
}

/// Are these people enough?
pub(crate) fn opens(groups: &[Vec<usize>], threshold: usize, people: &[usize]) -> bool {
    let needed = if threshold == 0 { groups.len() } else { threshold };
    groups.iter().filter(|group| group.iter().any(|person| people.contains(person))).count() >= needed
}

fn config(groups: &[Vec<usize>], threshold: usize) -> String {
    let group = |group: &Vec<usize>| {
        let names: Vec<&str> = group.iter().map(|person| recipient(*person)).collect();
        format!("      - age: [{}]\n", names.join(", "))
    };
    let groups: String = groups.iter().map(group).collect();
    format!("creation_rules:\n  - shamir_threshold: {threshold}\n    key_groups:\n{groups}")
}

#[test]
fn whoever_is_in_enough_groups_opens_what_bulla_split() {
    for seed in 0..40 {
        let mut draws = Random::new(seed);
        let (groups, threshold) = draw(&mut draws);
        let file = encrypt(&groups, threshold, seed).unwrap();
        for people in [vec![0], vec![1, 2], vec![0, 3, 4], vec![0, 1, 2, 3, 4]] {
            let opened = decrypt(&file, &people);
            assert_eq!(opened.is_ok(), opens(&groups, threshold, &people), "{groups:?} {threshold} {people:?}");
            match opened {
                Ok(plain) => assert_eq!(*plain, PLAIN.as_bytes()),
                Err(error) => assert!(error.starts_with("shares of the data key are needed from "), "{error}"),
            }
        }
    }
}

#[test]
fn sops_joins_what_bulla_split_and_bulla_what_sops_split() {
    needs_peers!();
    for seed in 0..24 {
        let mut draws = Random::new(1000 + seed);
        let (groups, threshold) = draw(&mut draws);
        let by_bulla = encrypt(&groups, threshold, seed).unwrap();
        let by_sops = sops(&["--encrypt"], Some(&config(&groups, threshold)), PLAIN.as_bytes(), &[]).unwrap();
        let layout = |file: &[u8]| {
            let document = Document::parse(file, Format::Yaml).unwrap();
            let metadata = EncryptedFile::read(file, Format::Yaml).unwrap();
            let entry = document.branches().next().and_then(|branch| branch.get("sops")).unwrap();
            let fields: Vec<String> = entry.children().filter_map(|field| field.key().map(str::to_owned)).collect();
            let lists = entry.get("key_groups").unwrap().children();
            let lists: Vec<Vec<String>> = lists
                .map(|group| group.children().filter_map(|list| list.key().map(str::to_owned)).collect())
                .collect();
            (fields, lists, KeyGroups::of(metadata.metadata()))
        };
        assert_eq!(layout(&by_bulla), layout(&by_sops), "{groups:?} {threshold}");
        let plain = sops(&["--decrypt"], None, &by_sops, &[0, 1, 2, 3, 4, 5]).unwrap();
        for people in [vec![5], vec![1, 2], vec![0, 1, 2, 3, 4]] {
            let expected = opens(&groups, threshold, &people);
            let context = format!("{groups:?} {threshold} {people:?}");
            let theirs = sops(&["--decrypt"], None, &by_bulla, &people);
            assert_eq!(theirs.is_ok(), expected, "{context}: {theirs:?}");
            assert!(theirs.is_err() || theirs.unwrap() == plain, "{context}");
            let ours = decrypt(&by_sops, &people);
            assert_eq!(ours.is_ok(), expected, "{context}: {ours:?}");
        }
    }
}

#[test]
fn groups_that_cannot_be_are_refused_before_any_key_is_asked() {
    for (groups, threshold, message) in [
        (vec![], 0, "no key to encrypt for: name at least one recipient"),
        (vec![vec![], vec![]], 0, "no key to encrypt for: name at least one recipient"),
        (vec![vec![0], vec![], vec![1]], 0, "group 2 of 3 names no key: nobody could give its share of the data key"),
        (vec![vec![0], vec![1, 1]], 0, "the key age "),
        (
            vec![vec![0], vec![1]],
            1,
            "the data key cannot be split for 2 groups of keys: a threshold of 1 would make every share the whole secret",
        ),
        (
            vec![vec![0], vec![1]],
            3,
            "the data key cannot be split for 2 groups of keys: a threshold of 3 cannot be reached with 2 shares",
        ),
    ] {
        let error = encrypt(&groups, threshold, 1).unwrap_err();
        assert!(error.starts_with(message), "{error}");
    }
    assert!(encrypt(&[vec![0, 1], vec![1, 0]], 0, 1).is_ok(), "a key may be in several groups");
}

#[test]
fn a_share_that_was_changed_opens_nothing() {
    let file = encrypt(&[vec![0], vec![1], vec![2]], 2, 1).unwrap();
    let text = String::from_utf8(file.to_vec()).unwrap();
    // The wrapped share of one group in the place of another's: the same share twice.
    let encrypted = EncryptedFile::read(&file, Format::Yaml).unwrap();
    let groups = &encrypted.metadata().groups;
    let indented = |group: usize| {
        let lines = groups[group][0].wrapped().as_str().trim_end().lines();
        lines.fold(String::new(), |text, line| text + "                " + line + "\n")
    };
    let swapped = text.replace(&indented(1), &indented(0)).replace(recipient(1), recipient(0));
    assert_ne!(swapped, text);
    let error = decrypt(swapped.as_bytes(), &[0]).unwrap_err();
    assert!(error.contains("two shares say that they are number 1"), "{error}");
    // A share of another file with the same groups: another data key comes out, and no value opens.
    let other = encrypt(&[vec![0], vec![1], vec![2]], 2, 2).unwrap();
    let other = EncryptedFile::read(&other, Format::Yaml).unwrap();
    let lines = other.metadata().groups[0][0].wrapped().as_str().trim_end().lines();
    let of_other = lines.fold(String::new(), |text, line| text + "                " + line + "\n");
    let mixed = text.replace(&indented(0), &of_other);
    assert_ne!(mixed, text);
    assert!(decrypt(mixed.as_bytes(), &[0, 1]).unwrap_err().contains("authentication failed"));
    assert_eq!(*decrypt(mixed.as_bytes(), &[1, 2]).unwrap(), PLAIN.as_bytes(), "the others are whole");
}

/// `file` with other groups and the same data key, as `sops updatekeys` and `sops groups` make it.
fn again(file: &[u8], groups: &KeyGroups, dates: Dates, people: &[usize]) -> Result<Vec<u8>, WrapKeysError> {
    let file = EncryptedFile::read(file, Format::Yaml).unwrap();
    let key = now(file.data_key(&ring_of(people))).unwrap();
    let made: Vec<Vec<AgeKey>> = groups
        .groups
        .iter()
        .map(|group| group.iter().map(|name| AgeKey::new(&name.id().name, ring())).collect())
        .collect();
    let keys: Vec<Vec<&dyn MasterKey>> =
        made.iter().map(|group| group.iter().map(|key| key as &dyn MasterKey).collect()).collect();
    let moment = "2026-05-05T00:00:00Z".parse().unwrap();
    let mut random = random(9);
    let again = wrap_data_key_again(&file, &key, &keys, groups.threshold, (moment, dates), &mut random);
    now(again).map(|bytes| bytes.to_vec())
}

fn groups_of(people: &[&[usize]], threshold: usize) -> KeyGroups {
    let group = |group: &&[usize]| group.iter().map(|person| KeyName::Age(recipient(*person).to_owned())).collect();
    KeyGroups { groups: people.iter().map(group).collect(), threshold }
}

#[test]
fn other_groups_change_the_metadata_and_no_other_byte() {
    let before = encrypt(&[vec![0]], 0, 1).unwrap();
    let split = again(&before, &groups_of(&[&[0, 3], &[1], &[2]], 2), Dates::Renew, &[0]).unwrap();
    let body = |file: &[u8]| {
        let text = String::from_utf8(file.to_vec()).unwrap();
        let start = text.find("sops:\n").unwrap();
        let kept: Vec<String> = text
            .lines()
            .filter(|line| line.starts_with("    mac:") || line.starts_with("    lastmodified:"))
            .map(str::to_owned)
            .collect();
        (text[..start].to_owned(), kept)
    };
    assert_eq!(body(&split), body(&before));
    assert_eq!(*decrypt(&split, &[1, 3]).unwrap(), PLAIN.as_bytes());
    assert!(decrypt(&split, &[0, 3]).is_err());
    let joined = again(&split, &groups_of(&[&[4]], 2), Dates::Keep, &[1, 2]).unwrap();
    assert_eq!(body(&joined), body(&before));
    assert_eq!(*decrypt(&joined, &[4]).unwrap(), PLAIN.as_bytes());
    assert!(!String::from_utf8(joined).unwrap().contains("key_groups"));
    assert!(matches!(again(&before, &groups_of(&[], 0), Dates::Keep, &[0]), Err(WrapKeysError::NoKeys)));
}

#[test]
fn every_document_and_every_layout_gets_the_other_keys_in_its_place() {
    let file = |text: &str, format: Format| {
        let key = AgeKey::new(recipient(0), ring());
        let recipe = Recipe {
            groups: &[vec![&key]],
            threshold: 0,
            selector: &Selector::default(),
            mac_only_encrypted: false,
            nothing_selected: NothingSelected::Refuse,
            now: moment(),
        };
        now(bulla_sops::encrypt(text.as_bytes(), format, &recipe, &mut random(3))).unwrap().bytes
    };
    let wrapped_again = |bytes: &[u8], format: Format, groups: &[&[usize]]| {
        let file = EncryptedFile::read(bytes, format).unwrap();
        let key = now(file.data_key(&ring_of(&[0]))).unwrap();
        let made: Vec<Vec<AgeKey>> = groups
            .iter()
            .map(|group| group.iter().map(|person| AgeKey::new(recipient(*person), ring())).collect())
            .collect();
        let keys: Vec<Vec<&dyn MasterKey>> =
            made.iter().map(|group| group.iter().map(|key| key as &dyn MasterKey).collect()).collect();
        let mut random = random(4);
        now(wrap_data_key_again(&file, &key, &keys, 0, (moment(), Dates::Renew), &mut random)).unwrap()
    };
    let several = "a: 1\n---\n# head\nb: {c: x} # kept\n---\nd: |\n  lines\n";
    let windows = "a: 1\r\nb:   x # kept\r\n";
    let json = "{\n  \"a\": 1,\n  \"b\": {\"c\": \"x\"}\n}\n";
    for (plain, format) in [
        (several, Format::Yaml),
        (windows, Format::Yaml),
        (PLAIN, Format::Yaml),
        ("{a: 1, b: x}", Format::Yaml),
        (json, Format::Json),
        ("{\"a\":1}", Format::Json),
    ] {
        let before = file(plain, format);
        for groups in [&[&[0, 1][..]][..], &[&[0], &[1]], &[&[0, 2], &[1], &[0]]] {
            let after = wrapped_again(&before, format, groups);
            let text = String::from_utf8_lossy(&after);
            let opened = now(bulla_sops::decrypt(&after, format, &ring_of(&[0, 1])));
            let opened = opened.unwrap_or_else(|error| panic!("{}\n{text}", chain(&error)));
            assert_eq!(String::from_utf8_lossy(&opened), plain, "{text}");
            // Every document has the same entry.
            let document = Document::parse(&after, format).unwrap();
            let entries: Vec<_> =
                document.branches().map(|branch| bulla_doc::Tree::copy_of(branch.get("sops").unwrap())).collect();
            let shown = |tree: &bulla_doc::Tree| bulla_doc::write(std::slice::from_ref(tree), Format::Json, None);
            assert!(entries.iter().all(|entry| shown(entry) == shown(&entries[0])), "{text}");
            // What is not metadata has not changed by a byte.
            let lines = |bytes: &[u8]| -> Vec<String> {
                let text = String::from_utf8(bytes.to_vec()).unwrap();
                text.lines().filter(|line| line.contains("ENC[") && !line.contains("mac")).map(str::to_owned).collect()
            };
            if format == Format::Yaml && !plain.starts_with('{') {
                assert_eq!(lines(&after), lines(&before));
                assert_eq!(text.contains("\r\n"), plain.contains("\r\n"));
            }
        }
        // Back to the keys that it had: the same layout.
        let after = wrapped_again(&before, format, &[&[0]]);
        let shape = |bytes: &[u8]| {
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            let mut indents: Vec<_> = text.lines().map(|line| line.len() - line.trim_start().len()).collect();
            // A wrapped key has more lines at one time than at another.
            indents.dedup();
            indents
        };
        assert_eq!(shape(&after), shape(&before), "{}", String::from_utf8_lossy(&after));
    }
}

#[test]
fn dates_of_keys_stay_or_are_renewed() {
    let key = |name: &str| FakeKey::new(Source::Kms, name, Behaviour::Works);
    let (one, two) = (key("one"), key("two"));
    let recipe = Recipe {
        groups: &[vec![&one]],
        threshold: 0,
        selector: &Selector::default(),
        mac_only_encrypted: false,
        nothing_selected: NothingSelected::Refuse,
        now: moment(),
    };
    let bytes = now(bulla_sops::encrypt(PLAIN.as_bytes(), Format::Yaml, &recipe, &mut random(1))).unwrap().bytes;
    let text = String::from_utf8(bytes.to_vec()).unwrap().replace("version: 3.13.3", "version: 3.7.1");
    let file = EncryptedFile::read(text.as_bytes(), Format::Yaml).unwrap();
    let command = Command::default();
    let data_key = now(file.data_key(&command)).unwrap();
    let later: jiff::Timestamp = "2026-05-05T00:00:00Z".parse().unwrap();
    let dates = |bytes: &[u8]| -> Vec<String> {
        let file = EncryptedFile::read(bytes, Format::Yaml).unwrap();
        assert_eq!(file.metadata().version, "3.7.1");
        file.metadata().keys().map(|key| key.created_at().unwrap()[..10].to_owned()).collect()
    };
    for (kept, expected) in [(Dates::Keep, "2026-01-02"), (Dates::Renew, "2026-05-05")] {
        let mut random = random(2);
        let groups: [Vec<&dyn MasterKey>; 1] = [vec![&one, &two]];
        let again = wrap_data_key_again(&file, &data_key, &groups, 0, (later, kept), &mut random);
        assert_eq!(dates(&now(again).unwrap()), [expected, "2026-05-05"]);
    }
    // Under a new data key, too, the file is the same one.
    let recipe = Recipe { groups: &[vec![&one, &two]], now: later, ..recipe };
    let rotated = now(file.open(&data_key).unwrap().rotate(&recipe, &mut random(3))).unwrap();
    assert_eq!(dates(&rotated.bytes), ["2026-01-02", "2026-05-05"]);
}

#[test]
fn sops_opens_what_was_wrapped_again_and_updates_it_to_the_same_groups() {
    needs_peers!();
    let before = encrypt(&[vec![0]], 0, 1).unwrap();
    let plain = sops(&["--decrypt"], None, &before, &[0]).unwrap();
    for (groups, threshold, people) in [
        (vec![vec![0, 1]], 0, vec![1]),
        (vec![vec![0], vec![1], vec![2]], 2, vec![1, 2]),
        (vec![vec![3], vec![4]], 0, vec![3, 4]),
    ] {
        let slices: Vec<&[usize]> = groups.iter().map(Vec::as_slice).collect();
        let ours = again(&before, &groups_of(&slices, threshold), Dates::Renew, &[0]).unwrap();
        assert_eq!(sops(&["--decrypt"], None, &ours, &people).unwrap(), plain, "{groups:?}");
        let said = sops(&["updatekeys", "--yes"], Some(&config(&groups, threshold)), &ours, &people).unwrap();
        assert!(said.is_empty(), "{}", String::from_utf8_lossy(&said));
    }
}

#[test]
fn bulla_opens_what_sops_made_of_a_file_of_bulla() {
    needs_peers!();
    let three = config(&[vec![0, 3], vec![1], vec![2]], 0);
    let person = recipient(4);
    for (groups, threshold, command, rules, people) in [
        (vec![vec![0], vec![1]], 0, vec!["rotate", "--in-place"], None, vec![0, 1]),
        (vec![vec![0], vec![1]], 0, vec!["rotate", "--in-place", "--add-age", person], None, vec![4, 1]),
        (vec![vec![0], vec![1]], 0, vec!["updatekeys", "--yes"], Some(&three), vec![3, 2]),
        (vec![vec![0, 4]], 0, vec!["updatekeys", "--yes"], Some(&three), vec![1, 2, 3]),
        (vec![vec![0], vec![1]], 2, vec!["groups", "add", "--age", person, "--in-place", "--file"], None, vec![1, 4]),
        (vec![vec![0], vec![1], vec![2]], 2, vec!["groups", "delete", "1", "--in-place", "--file"], None, vec![0, 2]),
        (vec![vec![0], vec![1]], 0, vec!["set", "file.yaml", "[\"db\"][\"user\"]", "\"shop\""], None, vec![0, 1]),
    ] {
        let file = encrypt(&groups, threshold, 1).unwrap();
        let changed = in_place(&command, rules.map(String::as_str), &file, &[0, 1, 2, 4]);
        assert_ne!(changed, file.to_vec(), "{command:?}");
        let plain = decrypt(&changed, &people).unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let lines = |text: &[u8]| -> Vec<String> {
            // The printer of SOPS has a layout of its own.
            let text = String::from_utf8(text.to_vec()).unwrap();
            text.split_whitespace().filter(|word| !word.starts_with(['#', '-', '['])).map(str::to_owned).collect()
        };
        assert!(lines(&plain).contains(&"swordfish".to_owned()) || lines(&plain).contains(&"'swordfish'".to_owned()));
        assert!(decrypt(&changed, &people[1..]).is_err(), "{command:?}: one of them is enough");
    }
}

/// What the real SOPS makes of a file in place.
fn in_place(arguments: &[&str], config: Option<&str>, content: &[u8], people: &[usize]) -> Vec<u8> {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("file.yaml");
    std::fs::write(&file, content).unwrap();
    if let Some(config) = config {
        std::fs::write(place.path().join(".sops.yaml"), config).unwrap();
    }
    let keys: Vec<&str> = people.iter().map(|person| PEOPLE[*person].0).collect();
    let mut command = std::process::Command::new(peers::sops());
    command.current_dir(place.path()).env_clear().env("HOME", place.path()).env("SOPS_AGE_KEY", keys.join("\n"));
    command.env("SOPS_DISABLE_VERSION_CHECK", "1").args(arguments);
    if !arguments.contains(&"file.yaml") {
        command.arg("file.yaml");
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    std::fs::read(&file).unwrap()
}

#[test]
fn names_are_added_and_removed_by_group() {
    let name = |person: usize| KeyName::Age(recipient(person).to_owned());
    let mut groups = groups_of(&[&[0], &[1, 2], &[2]], 2);
    groups.add([name(3), name(0)]);
    assert_eq!(groups, groups_of(&[&[0, 3], &[1, 2], &[2]], 2));
    assert_eq!(groups.remove(&[name(2)]), Err(GroupsError::Emptied { index: 2 }));
    groups.remove(&[name(1), name(0)]).unwrap();
    assert_eq!(groups, groups_of(&[&[3], &[2], &[2]], 2));
    groups.add_group(vec![name(4)]).unwrap();
    assert_eq!(groups.add_group(vec![]), Err(GroupsError::Emptied { index: 4 }));
    groups.remove_group(2).unwrap();
    groups.remove_group(0).unwrap();
    assert_eq!(groups, groups_of(&[&[2], &[4]], 2));
    assert_eq!(groups.remove_group(0), Err(GroupsError::Threshold { threshold: 2, groups: 1 }));
    assert_eq!(groups.remove_group(2), Err(GroupsError::NoSuchGroup { index: 2, groups: 2 }));
    groups.threshold = 0;
    groups.remove_group(1).unwrap();
    assert_eq!(groups.remove_group(0), Err(GroupsError::LastGroup));
    assert_eq!(groups.remove(&[name(2)]), Err(GroupsError::LastGroup));

    let differences = groups_of(&[&[0, 1], &[2]], 0).differences(&groups_of(&[&[3, 1]], 0));
    let shown: Vec<String> = differences
        .iter()
        .map(|group| {
            let names = |ids: &[bulla_keys::KeyId]| {
                let index = |id: &bulla_keys::KeyId| PEOPLE.iter().position(|(_, name)| *name == id.name).unwrap();
                ids.iter().map(|id| index(id).to_string()).collect::<String>()
            };
            format!("={} +{} -{}", names(&group.common), names(&group.added), names(&group.removed))
        })
        .collect();
    assert_eq!(shown, ["=1 +3 -0", "= + -2"]);
    assert!(!differences[1].is_none());
}

#[test]
fn a_threshold_that_cannot_be_reached_is_told_without_a_call() {
    let text = String::from_utf8(encrypt(&[vec![0], vec![1]], 2, 1).unwrap().to_vec()).unwrap();
    let changed = text.replace("shamir_threshold: 2", "shamir_threshold: 5");
    let file = EncryptedFile::read(changed.as_bytes(), Format::Yaml).unwrap();
    let error = now(file.data_key(&ring_of(&[0, 1]))).unwrap_err();
    assert!(matches!(error, DataKeyError::Threshold { needed: 5, groups: 2 }), "{error}");
}

/// A key that counts how often it is asked.
#[derive(Debug)]
struct Counted(FakeKey, Arc<AtomicUsize>);

#[async_trait::async_trait]
impl MasterKey for Counted {
    fn name(&self) -> KeyName {
        self.0.name()
    }

    async fn wrap(&self, secret: &SecretBytes) -> Result<WrappedKey, WrapError> {
        self.0.wrap(secret).await
    }

    async fn unwrap(&self, wrapped: &WrappedKey) -> Result<Option<SecretBytes>, UnwrapError> {
        self.1.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        self.0.unwrap(wrapped).await
    }
}

/// The means of one command: what was unwrapped is remembered.
#[derive(Debug, Default)]
struct Command {
    memory: Arc<Memory>,
    calls: Arc<AtomicUsize>,
}

impl KeyRing for Command {
    fn master_key(&self, entry: &KeyEntry) -> Option<Box<dyn MasterKey>> {
        let id = entry.id();
        let key = FakeKey::new(id.source, id.name, Behaviour::Works);
        Some(self.memory.of(Counted(key, Arc::clone(&self.calls))))
    }
}

#[test]
fn a_command_asks_for_each_wrapped_key_once_however_many_files_have_it() {
    let arn = |name: &str| format!("arn:aws:kms:eu-west-1:123456789012:key/{name}");
    let encrypt = |groups: &[&[&str]], seed| {
        let key = |name: &&str| FakeKey::new(Source::Kms, arn(name), Behaviour::Works);
        let made: Vec<Vec<FakeKey>> = groups.iter().map(|group| group.iter().map(key).collect()).collect();
        let keys: Vec<Vec<&dyn MasterKey>> =
            made.iter().map(|group| group.iter().map(|key| key as &dyn MasterKey).collect()).collect();
        let recipe = Recipe {
            groups: &keys,
            threshold: 0,
            selector: &Selector::default(),
            mac_only_encrypted: false,
            nothing_selected: NothingSelected::Refuse,
            now: moment(),
        };
        now(bulla_sops::encrypt(PLAIN.as_bytes(), Format::Yaml, &recipe, &mut random(seed))).unwrap().bytes
    };
    let one_group: Vec<_> = (0..3).map(|seed| encrypt(&[&["a", "b"]], seed)).collect();
    let two_groups: Vec<_> = (0..3).map(|seed| encrypt(&[&["a"], &["b"], &["c"]], 10 + seed)).collect();
    for (files, keys_of_each) in [(one_group, 1), (two_groups, 3)] {
        let command = Command::default();
        std::thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    for file in &files {
                        let plain = now(bulla_sops::decrypt(file, Format::Yaml, &command)).unwrap();
                        assert_eq!(*plain, PLAIN.as_bytes());
                    }
                });
            }
        });
        assert_eq!(command.calls.load(Ordering::SeqCst), 3 * keys_of_each);
    }
}

#[test]
fn groups_lie_in_every_format_as_sops_puts_them_there() {
    needs_peers!();
    let people = [0, 1, 2];
    for (name, plain, format) in [
        ("file.json", "{\n\t\"a\": \"x\"\n}\n", Format::Json),
        ("file.env", "A=x\nB=y\n", Format::Dotenv),
        ("file.ini", "[s]\na = x\n", Format::Ini),
        ("file.bin", "anything\n", Format::Binary),
    ] {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join(name);
        let configuration = config(&[vec![0, 3], vec![1], vec![2]], 2);
        std::fs::write(place.path().join(".sops.yaml"), &configuration).unwrap();
        let sops = |arguments: &[&str], content: &[u8]| {
            std::fs::write(&file, content).unwrap();
            let keys: Vec<&str> = people.iter().map(|person| PEOPLE[*person].0).collect();
            let mut command = std::process::Command::new(peers::sops());
            command
                .current_dir(place.path())
                .env_clear()
                .env("HOME", place.path())
                .env("SOPS_AGE_KEY", keys.join("\n"));
            let output = command.env("SOPS_DISABLE_VERSION_CHECK", "1").args(arguments).arg(name).output().unwrap();
            assert!(output.status.success(), "{arguments:?} {name}: {}", String::from_utf8_lossy(&output.stderr));
            output.stdout
        };
        let keys = |groups: &[&[usize]]| -> Vec<Vec<AgeKey>> {
            let key = |person: &usize| AgeKey::new(recipient(*person), ring());
            groups.iter().map(|group| group.iter().map(key).collect()).collect()
        };
        let made = keys(&[&[0, 3], &[1], &[2]]);
        let groups: Vec<Vec<&dyn MasterKey>> =
            made.iter().map(|group| group.iter().map(|key| key as &dyn MasterKey).collect()).collect();
        let recipe = Recipe {
            groups: &groups,
            threshold: 2,
            selector: &Selector::default(),
            mac_only_encrypted: false,
            nothing_selected: NothingSelected::Refuse,
            now: moment(),
        };
        let ours = now(bulla_sops::encrypt(plain.as_bytes(), format, &recipe, &mut random(1))).unwrap().bytes;
        let theirs = sops(&["--encrypt"], plain.as_bytes());
        assert_eq!(sops(&["--decrypt"], &ours), sops(&["--decrypt"], &theirs), "{name}");
        let opened = |bytes: &[u8], people: &[usize]| now(bulla_sops::decrypt(bytes, format, &ring_of(people)));
        for bytes in [&*ours, &theirs] {
            assert_eq!(*opened(bytes, &[3, 2]).unwrap(), plain.as_bytes(), "{name}");
            assert!(matches!(opened(bytes, &[3]), Err(DecryptError::DataKey(DataKeyError::TooFewShares { .. }))));
        }
        // Other groups, the same data key; and to one group.
        for (groups, people) in [(&[&[4][..], &[5]][..], &[4, 5][..]), (&[&[1]], &[1])] {
            for bytes in [&*ours, &theirs] {
                let file = EncryptedFile::read(bytes, format).unwrap();
                let key = now(file.data_key(&ring_of(&[0, 1]))).unwrap();
                let made = keys(groups);
                let keys: Vec<Vec<&dyn MasterKey>> =
                    made.iter().map(|group| group.iter().map(|key| key as &dyn MasterKey).collect()).collect();
                let mut random = random(2);
                let again = wrap_data_key_again(&file, &key, &keys, 0, (moment(), Dates::Renew), &mut random);
                let again = now(again).unwrap();
                assert_eq!(*opened(&again, people).unwrap(), plain.as_bytes(), "{name}");
                assert!(opened(&again, &[0]).is_err(), "{name}");
                if people == [1] {
                    assert_eq!(sops(&["--decrypt"], &again), sops(&["--decrypt"], &theirs), "{name}");
                }
            }
        }
    }
}
