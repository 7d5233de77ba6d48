//! Files for keys of OpenPGP, with the real gpg and the real SOPS on the other side.

use bulla_testkit::gnupg::{Home, SOPS_KEYS, pinentry};
use bulla_testkit::{corpus, needs_peers, peers};
use std::fmt::Write as _;

use crate::fixture::{Keys, Place};

const PLAIN: &str = "# comment\nuser: shop\npassword: hunter2\n";

/// A directory with a plain file, and a keyring with the keys of SOPS' tests.
fn place() -> (Place, Home) {
    let place = Place::new().with_program(&peers::sops());
    place.write("app.yaml", PLAIN);
    (place, Home::of_sops())
}

/// The environment of somebody who has this keyring and nothing of age.
fn with(home: &Home) -> String {
    format!("unset SOPS_AGE_KEY_FILE; export GNUPGHOME={};", home.path().display())
}

#[test]
fn sops_opens_what_bulla_encrypts_for_a_key_of_openpgp_and_the_reverse() {
    needs_peers!();
    let (place, home) = place();
    let (one, two) = (SOPS_KEYS[0], SOPS_KEYS[1]);
    let with = with(&home);
    place.does(&format!("{with} bulla encrypt --pgp {one},{two} app.yaml > by-bulla.yaml"));
    place.does(&format!("{with} sops encrypt --pgp {one},{two} app.yaml > by-sops.yaml"));
    for file in ["by-bulla.yaml", "by-sops.yaml"] {
        assert!(!place.read(file).contains("hunter2"));
        assert_eq!(place.does(&format!("{with} sops decrypt {file}")), PLAIN, "{file}");
        assert_eq!(place.does(&format!("{with} bulla decrypt {file}")), PLAIN, "{file}");
    }
    // The entries of either have the same fields in the same order, and the same spelling.
    let entries = |file: &str| -> Vec<String> {
        let text = place.read(file);
        let lines = text.lines().skip_while(|line| !line.contains("pgp:")).skip(1);
        let lines = lines.take_while(|line| !line.contains("unencrypted_suffix"));
        let armor = |line: &&str| {
            !line.contains("created_at") && (line.contains(": ") || line.contains("-----") || line.contains("- "))
        };
        lines.filter(armor).map(str::to_owned).collect()
    };
    assert_eq!(entries("by-bulla.yaml"), entries("by-sops.yaml"));

    // What changes a file unwraps with the same keys.
    place.does(&format!("{with} printf swordfish | bulla set by-sops.yaml '[\"password\"]'"));
    assert_eq!(place.does(&format!("{with} sops decrypt --extract '[\"password\"]' by-sops.yaml")), "swordfish");
    // A rule and the environment name keys, too, with blanks as gpg prints them.
    place.write(".sops.yaml", "creation_rules:\n    - pgp: FBC7 B9E2 A4F9 289A C0C1  D484 3D16 CEE4 A273 81B4\n");
    place.does(&format!("{with} bulla encrypt app.yaml > by-rule.yaml"));
    assert_eq!(place.does(&format!("{with} sops decrypt by-rule.yaml")), PLAIN);
    assert!(place.read("by-rule.yaml").contains(&format!("fp: {one}")));
    place.does(&format!("{with} export SOPS_PGP_FP={two}; bulla encrypt app.yaml > by-variable.yaml"));
    assert_eq!(place.does(&format!("{with} sops decrypt by-variable.yaml")), PLAIN);
    // Another program in place of gpg.
    place.write("wrapper", "#!/bin/sh\necho \"$@\" >> arguments\nexec gpg \"$@\"\n");
    place.does(&format!("{with} chmod +x wrapper; SOPS_GPG_EXEC=./wrapper bulla decrypt by-bulla.yaml"));
    assert_eq!(place.read("arguments"), format!("{LISTING}--status-fd 2 -d\n"));
}

/// What gpg is asked first where a file names several of its keys.
const LISTING: &str = "--status-fd 2 --batch --with-colons --fingerprint --fingerprint --list-secret-keys\n";

#[test]
fn of_a_large_team_the_key_that_is_here_is_tried_first() {
    needs_peers!();
    let (place, home) = place();
    let with = with(&home);
    place.does(&format!("{with} bulla encrypt --pgp {} app.yaml > app.enc.yaml", SOPS_KEYS[0]));
    let mut others = String::new();
    for number in 1..=120 {
        let _ = write!(
            others,
            "        - created_at: \"2026-01-02T03:04:05Z\"\n          enc: |-\n            -----BEGIN PGP MESSAGE-----\n\n            \
             hQ==\n            -----END PGP MESSAGE-----\n          fp: {number:040X}\n"
        );
    }
    let text = place.read("app.enc.yaml");
    assert!(text.contains("    pgp:\n"), "{text}");
    place.write("team.yaml", text.replace("    pgp:\n", &format!("    pgp:\n{others}")));
    place.write("wrapper", "#!/bin/sh\necho \"$@\" >> arguments\nexec gpg \"$@\"\n");
    let line = format!("{with} chmod +x wrapper; SOPS_GPG_EXEC=./wrapper bulla decrypt team.yaml");
    assert_eq!(place.does(&line), PLAIN);
    assert_eq!(place.read("arguments"), format!("{LISTING}--status-fd 2 -d\n"));
    assert_eq!(place.does(&format!("{with} sops decrypt team.yaml")), PLAIN);
}

#[test]
fn the_examples_of_sops_open() {
    needs_peers!();
    let (place, home) = place();
    let corpus = corpus::manifests();
    for name in [
        "example.yaml",
        "example.json",
        "functional-tests/res/comments.enc.yaml",
        "functional-tests/res/comments_list.yaml",
        "functional-tests/res/multiple_keys.yaml",
        "examples/per_file/config.enc/static_github.json",
    ] {
        let path = format!("github.com/getsops/sops/v3/{name}");
        let Some(file) = corpus.iter().find(|file| file.name == path) else { panic!("no {path}") };
        let bytes = std::fs::read(&file.path).unwrap();
        if !String::from_utf8_lossy(&bytes).contains("ENC[") {
            continue;
        }
        let file = if name.ends_with(".json") { "example.json" } else { "example.yaml" };
        place.write(file, bytes);
        let shown = place.does(&format!("{} bulla decrypt {file}", with(&home)));
        assert!(shown.len() > 10 && !shown.contains("ENC["), "{name}: {shown}");
        place.does(&format!("{} sops decrypt {file} > /dev/null", with(&home)));
    }
}

#[test]
fn what_is_missing_is_told_with_the_next_step() {
    needs_peers!();
    let (place, home) = place();
    place.does(&format!("{} bulla encrypt --pgp {} app.yaml > app.enc.yaml", with(&home), SOPS_KEYS[0]));
    let nobody = Home::new();
    let failed = place.run(&format!("{} bulla decrypt app.enc.yaml", with(&nobody)));
    assert_eq!(failed.code(), Some(128));
    let said = failed.stderr_text();
    assert!(said.contains(&format!("pgp {}: gpg has no secret key of this fingerprint", SOPS_KEYS[0])), "{said}");
    assert!(said.contains("hint: `gpg --list-secret-keys` says which are here"), "{said}");
    let failed = place.run(&format!("{} bulla encrypt --pgp {} app.yaml", with(&nobody), SOPS_KEYS[0]));
    assert_eq!(failed.code(), Some(1));
    let said = failed.stderr_text();
    assert!(
        said.contains("gpg has no public key of this fingerprint") && said.contains("hint: `gpg --import"),
        "{said}"
    );
    let failed = place.run(&format!("{} bulla encrypt --pgp me@example.org app.yaml", with(&nobody)));
    assert_eq!(failed.code(), Some(64));
    let failed = place.run(&format!("{} SOPS_GPG_EXEC=gpg-of-nobody bulla decrypt app.enc.yaml", with(&home)));
    let said = failed.stderr_text();
    assert!(
        said.contains("`gpg-of-nobody` is not installed, or not in PATH") && said.contains("hint: install GnuPG"),
        "{said}"
    );
    // A key of age beside it opens the file; nobody is told of gpg then.
    let alice = &Keys::shared().alice;
    place.does(&format!("{} bulla encrypt --pgp {} --age {alice} app.yaml > both.yaml", with(&home), SOPS_KEYS[0]));
    let opened = place.run(&format!("GNUPGHOME={} bulla decrypt both.yaml", nobody.path().display()));
    assert_eq!((opened.stdout_text().as_str(), opened.stderr_text().as_str()), (PLAIN, ""));
}

#[test]
fn many_files_ask_for_a_passphrase_once() {
    needs_peers!();
    let (place, _) = place();
    let home = Home::new();
    let key = home.generate("locked@example.org", &["future-default", "default", "never"], "a passphrase");
    home.ask(&pinentry("\"D a passphrase\"\nOK"));
    for number in 0..6 {
        place.write(&format!("files/{number}.yaml"), format!("a: {number}\n"));
    }
    place.does(&format!("{} bulla encrypt --pgp {key} --in-place files", with(&home)));
    assert!(!home.path().join("asked").exists());
    place.does(&format!("{} bulla decrypt --in-place files", with(&home)));
    assert_eq!(place.read("files/5.yaml"), "a: 5\n");
    assert_eq!(std::fs::read_to_string(home.path().join("asked")).unwrap(), "asked\n");
}
