//! dotenv, INI and binary files: edited, rotated, looked at and attacked as YAML and JSON are.

use std::path::PathBuf;
use std::process::Command;

use bulla_doc::{Format, Scalar, Tree};
use bulla_keys::age::AgeKey;
use bulla_sops::danger::{Dates, wrap_data_key_again};
use bulla_sops::{Change, EncryptError, EncryptedFile, KeyPath, NewValue, NothingSelected, Recipe, Selector, status};
use bulla_testkit::mutate::{Random, mutate};
use bulla_testkit::needs_peers;
use bulla_wipe::Wiping;

use crate::generate;
use crate::old_versions::known;
use crate::support::{RECIPIENT, Rule, Sops, chain, decrypt, encrypt, moment, now, random, ring};

const DOTENV: &str = "# for the shop\nUSER=shop\nPASSWORD=\"sword\\nfish\"\n\nHOST_unencrypted=db\n#end";

const INI: &str = "top = 1\n\n; the database\n[db] # main\n; who\nuser = shop ; may read\npassword = `sword#fish`\nhost_unencrypted = x\nkey = \"\"\"one\ntwo\"\"\"\n\n[cache]\n\n; end\n";

const LINES: [(&str, Format); 2] = [(DOTENV, Format::Dotenv), (INI, Format::Ini)];

fn later() -> jiff::Timestamp {
    "2026-02-03T00:00:00Z".parse().unwrap()
}

fn changed(encrypted: &[u8], format: Format, changes: Vec<Change>) -> Result<Vec<u8>, String> {
    let file = EncryptedFile::read(encrypted, format).unwrap();
    let key = now(file.data_key(&ring())).unwrap();
    let edited = file.open(&key).unwrap().change(changes, later(), &mut random(9));
    edited.map(|edited| edited.bytes.to_vec()).map_err(|error| chain(&error))
}

fn set(path: &str, text: &str) -> Change {
    Change::Set { path: path.parse().unwrap(), value: NewValue::Tree(Tree::string(text)) }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// How many lines of `new` are not in `old`.
fn new_lines(old: &[u8], new: &[u8]) -> usize {
    let (old, new) = (text(old), text(new));
    new.lines().filter(|line| !old.lines().any(|known| known == *line)).count()
}

#[test]
fn a_value_that_is_set_changes_its_line_the_date_and_the_mac() {
    needs_peers!();
    let sops = Sops::new();
    for (plain, format, path, expected) in [
        (DOTENV, Format::Dotenv, "['USER']", DOTENV.replace("USER=shop", "USER=new\\nline")),
        (
            INI,
            Format::Ini,
            "['db']['user']",
            INI.replace("user = shop ; may read", "; may read\nuser = \"\"\"new\nline\"\"\""),
        ),
        (INI, Format::Ini, "['DEFAULT']['top']", INI.replace("top = 1", "top = \"\"\"new\nline\"\"\"")),
    ] {
        let before = encrypt(plain.as_bytes(), format, &Rule::DEFAULT, 1).unwrap().bytes;
        let after = changed(&before, format, vec![set(path, "new\nline")]).unwrap();
        assert_eq!(text(&decrypt(&after, format).unwrap()), expected);
        assert!(new_lines(&before, &after) <= 4, "{}\n{}", text(&before), text(&after));
        assert!(text(&sops.decrypt(&after, format).unwrap()).contains("new"));
        assert_eq!(changed(&after, format, vec![set(path, "new\nline")]).unwrap(), after, "nothing changed");
    }
}

#[test]
fn entries_come_and_go() {
    needs_peers!();
    let sops = Sops::new();
    let remove = |path: &str| Change::Remove { path: path.parse().unwrap() };
    for (plain, format, changes, expected) in [
        (
            DOTENV,
            Format::Dotenv,
            vec![set("['NEW']", "1"), remove("['PASSWORD']")],
            "# for the shop\nUSER=shop\n\nHOST_unencrypted=db\n#end\nNEW=1".to_owned(),
        ),
        (
            INI,
            Format::Ini,
            vec![set("['new']['k']", "a#b"), set("['db']['port']", "5"), remove("['db']['user']")],
            INI.replace("user = shop ; may read\n", "")
                .replace("two\"\"\"\n", "two\"\"\"\nport = 5\n")
                .replace("[cache]\n", "[cache]\n\n[new]\nk = `a#b`\n"),
        ),
    ] {
        let before = encrypt(plain.as_bytes(), format, &Rule::DEFAULT, 1).unwrap().bytes;
        let after = changed(&before, format, changes).unwrap();
        assert_eq!(text(&decrypt(&after, format).unwrap()), expected);
        sops.decrypt(&after, format).unwrap();
    }
}

#[test]
fn what_the_format_cannot_hold_is_refused() {
    for (plain, format, change, message) in [
        (
            DOTENV,
            Format::Dotenv,
            set("['USER']", "C:\\new"),
            "cannot write `[\"USER\"]`: a dotenv file cannot hold a backslash",
        ),
        (DOTENV, Format::Dotenv, set("['sops_mac']", "x"), "`[\"sops_mac\"]` is not a value of the document"),
        (DOTENV, Format::Dotenv, set("['a']['b']", "x"), "cannot write `[\"a\"]`: a dotenv file holds texts only"),
        (INI, Format::Ini, set("['a']", "x"), "cannot write `[\"a\"]`: an INI file holds texts in sections"),
        (
            INI,
            Format::Ini,
            set("['db']['user']", "`\"\"\"\n"),
            "cannot write `[\"db\"][\"user\"]`: there is no way to quote",
        ),
        (INI, Format::Ini, set("['sops']['x']", "x"), "`[\"sops\"][\"x\"]` is not a value of the document"),
        ("x", Format::Binary, set("['other']", "x"), "cannot write `[\"other\"]`: a binary file is one text"),
    ] {
        let encrypted = encrypt(plain.as_bytes(), format, &Rule::DEFAULT, 1).unwrap().bytes;
        let error = changed(&encrypted, format, vec![change]).unwrap_err();
        assert!(error.starts_with(message), "{error}");
    }
    let error = encrypt(b"sops_version=1\n", Format::Dotenv, &Rule::DEFAULT, 1).unwrap_err();
    assert!(matches!(error, EncryptError::AlreadyEncrypted(_)), "{error}");
    let error = encrypt(b"[sops]\nx = 1\n", Format::Ini, &Rule::DEFAULT, 1).unwrap_err();
    assert!(matches!(error, EncryptError::AlreadyEncrypted(_)), "{error}");
}

#[test]
fn an_edited_text_keeps_the_ciphertext_of_what_did_not_change() {
    needs_peers!();
    let sops = Sops::new();
    for (plain, format) in LINES {
        let before = encrypt(plain.as_bytes(), format, &Rule::DEFAULT, 1).unwrap().bytes;
        let edited = plain.replace("shop", "market").replacen("# ", "#  ", 1).replace("end", "the end");
        let file = EncryptedFile::read(&before, format).unwrap();
        let key = now(file.data_key(&ring())).unwrap();
        let opened = file.open(&key).unwrap();
        let after = opened.update(edited.as_bytes(), later(), &mut random(3)).unwrap().bytes;
        assert_eq!(text(&decrypt(&after, format).unwrap()), edited);
        assert!(new_lines(&before, &after) <= 7, "{}\n{}", text(&before), text(&after));
        sops.decrypt(&after, format).unwrap();
        assert!(opened.update(plain.as_bytes(), later(), &mut random(3)).unwrap().summary.is_none());
    }
    let before = encrypt(b"\x00\xff", Format::Binary, &Rule::DEFAULT, 1).unwrap().bytes;
    let file = EncryptedFile::read(&before, Format::Binary).unwrap();
    let key = now(file.data_key(&ring())).unwrap();
    let after = file.open(&key).unwrap().update(b"\xfe\n", later(), &mut random(3)).unwrap().bytes;
    assert_eq!(decrypt(&after, Format::Binary).unwrap().as_slice(), b"\xfe\n");
    assert_eq!(sops.decrypt(&after, Format::Binary).unwrap(), b"\xfe\n");
    let set = Change::Set {
        path: "['data']".parse::<KeyPath>().unwrap(),
        value: NewValue::Tree(Tree::Scalar(Scalar::String(Wiping::new(b"\xfd".to_vec())))),
    };
    let after = changed(&after, Format::Binary, vec![set]).unwrap();
    assert_eq!(decrypt(&after, Format::Binary).unwrap().as_slice(), b"\xfd");
}

#[test]
fn files_are_rotated_and_get_other_keys() {
    needs_peers!();
    let sops = Sops::new();
    let reader = AgeKey::new(RECIPIENT, ring());
    let groups = [vec![&reader as &dyn bulla_keys::MasterKey]];
    for (plain, format) in [LINES[0], LINES[1], ("any\ntext", Format::Binary)] {
        let encrypted = encrypt(plain.as_bytes(), format, &Rule::DEFAULT, 1).unwrap().bytes;
        let extra = match format {
            Format::Dotenv => text(&encrypted).replacen("sops_version", "sops_owner__map_team=shop\nsops_version", 1),
            Format::Ini => text(&encrypted).replacen("version ", "owner__map_team = shop\nversion ", 1),
            _ => text(&encrypted).replacen("\"version\"", "\"owner\": {\"team\": \"shop\"},\n\"version\"", 1),
        };
        let file = EncryptedFile::read(extra.as_bytes(), format).unwrap();
        let key = now(file.data_key(&ring())).unwrap();
        let recipe = Recipe {
            groups: &groups,
            threshold: 0,
            selector: &Selector::default(),
            mac_only_encrypted: false,
            nothing_selected: NothingSelected::Refuse,
            now: moment(),
        };
        let rotated = now(file.open(&key).unwrap().rotate(&recipe, &mut random(7))).unwrap().bytes;
        let again = now(wrap_data_key_again(&file, &key, &groups, 0, (later(), Dates::Renew), &mut random(8))).unwrap();
        for bytes in [&rotated, &again] {
            assert!(text(bytes).contains("team"), "{}", text(bytes));
            assert_eq!(text(&decrypt(bytes, format).unwrap()), plain);
            sops.decrypt(bytes, format).unwrap();
        }
        assert_ne!(rotated.as_slice(), again.as_slice());
    }
}

#[test]
fn the_state_of_a_file_is_told_without_keys() {
    for (plain, format) in LINES {
        assert!(status(plain.as_bytes(), format).unwrap().is_none());
        let encrypted = encrypt(plain.as_bytes(), format, &Rule::DEFAULT, 1).unwrap().bytes;
        let state = status(&encrypted, format).unwrap().unwrap();
        assert_eq!((state.plain_count, state.unselected), (0, 1), "{}", text(&encrypted));
        assert_eq!(state.metadata.keys().count(), 1);
        assert!(state.encrypted >= 2 && state.plain_comments.is_empty());
        let leaked = text(&encrypted).replacen("[db]", "leak = secret\n[db]", 1);
        let leaked = if format == Format::Dotenv { format!("LEAK=secret\n{leaked}") } else { leaked };
        let state = status(leaked.as_bytes(), format).unwrap().unwrap();
        assert_eq!(state.plain.len(), 1);
        assert!(state.plain[0].to_string().contains(if format == Format::Dotenv { "LEAK" } else { "leak" }));
    }
    assert!(status(b"anything", Format::Binary).unwrap().is_none());
    let encrypted = encrypt(b"anything", Format::Binary, &Rule::DEFAULT, 1).unwrap().bytes;
    assert_eq!(status(&encrypted, Format::Binary).unwrap().unwrap().encrypted, 1);
}

#[test]
fn files_that_were_tampered_with_are_refused_and_none_is_fatal() {
    let mut random = Random::new(11);
    for format in [Format::Dotenv, Format::Ini, Format::Binary] {
        let plain = |seed: u64| match format {
            Format::Dotenv => generate::dotenv(seed).into_bytes(),
            Format::Ini => generate::ini(seed).into_bytes(),
            _ => generate::binary(seed),
        };
        let files: Vec<_> = (0..20)
            .filter_map(|seed| Some((plain(seed), encrypt(&plain(seed), format, &Rule::DEFAULT, seed).ok()?.bytes)))
            .collect();
        let mut refused = 0;
        for round in 0..600 {
            let (plain, encrypted) = &files[round % files.len()];
            let other = &files[random.below(files.len())].1;
            let broken = mutate(&mut random, encrypted, other);
            match decrypt(&broken, format) {
                Err(_) => refused += 1,
                // What is neither a value nor counted by the MAC: comments, blanks, the order of what is empty.
                Ok(opened) => {
                    let words = |bytes: &[u8]| {
                        let text = String::from_utf8_lossy(bytes).into_owned();
                        text.lines().filter(|line| line.contains(['=', ':'])).count()
                    };
                    assert!(format != Format::Binary || *opened == *plain, "{}", String::from_utf8_lossy(&broken));
                    let _ = words(&opened);
                }
            }
            let _ = status(&broken, format);
        }
        assert!(refused > 300, "{format}: {refused}");
    }
}

/// SOPS' own module, whose fixtures are read from where it lies.
fn module() -> PathBuf {
    let oracle = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/peers/oracle");
    let listed = Command::new("go")
        .args(["list", "-m", "-f", "{{.Dir}}", "github.com/getsops/sops/v3"])
        .current_dir(oracle)
        .output()
        .unwrap();
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    PathBuf::from(String::from_utf8(listed.stdout).unwrap().trim())
}

#[test]
fn every_layout_that_sops_ever_wrote_is_read() {
    needs_peers!();
    let module = module();
    for (name, format, key, expected) in [
        (
            "functional-tests/res/format.enc.env",
            Format::Dotenv,
            "322d9a97997823fb2bf42f55a6c26100cbaf0520cf88bb7ebee1cf47dd6d318d",
            "foo =",
        ),
        (
            "functional-tests/res/format.enc.ini",
            Format::Ini,
            "ce46fd76883106d55913ff2207e160bbeac65a71d6e1cf84c510614bed6f8ccd",
            "[foo]\nbar = baz\n",
        ),
        (
            "functional-tests/res/format-2.enc.ini",
            Format::Ini,
            "200b251d35608cb3451d26d95d0f6c4580575d8f61d908b6d224fc488c65263f",
            "[foo]\nbar = baz\n",
        ),
        (
            "example.ini",
            Format::Ini,
            "110e4d601e66ac7039e9ef32e6e8bb93fb1dbf833fb42003c93877ece3003575",
            "[not private]\nnotsecret_unencrypted = hi there!\n",
        ),
        ("example.txt", Format::Binary, "67788979caa78ea7c5ae7adae47eb9161bfd15c94a2f3d88c708bcfa19a85dd7", ""),
    ] {
        let bytes = std::fs::read(module.join(name)).unwrap();
        let file = EncryptedFile::read(&bytes, format).unwrap_or_else(|error| panic!("{name}: {}", chain(&error)));
        let opened = now(bulla_sops::decrypt(&bytes, format, &known(key)));
        let opened = opened.unwrap_or_else(|error| panic!("{name}: {}", chain(&error)));
        let opened = String::from_utf8(opened.to_vec()).unwrap();
        assert!(opened.contains(expected) && !opened.contains("ENC["), "{name}: {opened}");
        assert!(!opened.is_empty() && !opened.contains("pgp"), "{name}: {opened}");
        assert!(file.metadata().keys().count() > 0);
    }
}
