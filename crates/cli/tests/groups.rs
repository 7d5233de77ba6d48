//! Groups of keys of several kinds: age, post-quantum age, OpenPGP, Vault, AWS KMS; the real SOPS on the other side.

use std::fmt::Write as _;

use bulla_testkit::gnupg::{Home, SOPS_KEYS};
use bulla_testkit::moto::Moto;
use bulla_testkit::process::Program;
use bulla_testkit::vault::{ROOT_TOKEN, Vault};
use bulla_testkit::{needs_peers, peers};

use crate::fixture::{Keys, Place};

const PLAIN: &str = "# comment\nuser: shop\npassword: hunter2\n";

/// Kinds of keys, one key each.
const KINDS: [&str; 5] = ["age", "quantum", "pgp", "vault", "kms"];

/// A directory with a plain file, and a key of each kind.
struct Scene {
    place: Place,
    /// A keyring with the keys of SOPS' tests, and one without any.
    keyring: Home,
    empty: Home,
    moto: Moto,
    quantum: String,
    uri: String,
    arn: String,
}

impl Scene {
    fn new(engine: &str) -> Self {
        let vault = Vault::shared();
        vault.write(&format!("sys/mounts/{engine}"), r#"{"type": "transit"}"#);
        vault.write(&format!("{engine}/keys/k"), "{}");
        let place = Place::new().with_program(&peers::sops());
        place.write("app.yaml", PLAIN);
        let generated = Program::new(peers::age_keygen()).arg("-pq").run().unwrap().success().stdout_text();
        let quantum = generated.lines().find_map(|line| line.strip_prefix("# public key: ")).unwrap().to_owned();
        place.write("quantum.key", &generated);
        let moto = Moto::start();
        let arn = moto.key("eu-west-1");
        let uri = format!("{}/v1/{engine}/keys/k", vault.address());
        Self { place, keyring: Home::of_sops(), empty: Home::new(), moto, quantum, uri, arn }
    }

    /// The environment of somebody with the means for these kinds, and for no other.
    fn with(&self, kinds: &[&str]) -> String {
        let has = |kind: &str| kinds.contains(&kind);
        let home = if has("pgp") { &self.keyring } else { &self.empty };
        let mut line = format!(
            "unset SOPS_AGE_KEY_FILE; export AWS_EC2_METADATA_DISABLED=true GNUPGHOME={};",
            home.path().display()
        );
        let (alice, quantum) = (Keys::shared().path("alice.key"), self.place.file("quantum.key"));
        for (kind, path) in [("age", alice), ("quantum", quantum)] {
            if has(kind) {
                let _ = write!(line, "SOPS_AGE_KEY=\"$SOPS_AGE_KEY\n$(cat {})\"; export SOPS_AGE_KEY;", path.display());
            }
        }
        if has("vault") {
            let _ = write!(line, "export VAULT_ADDR={} VAULT_TOKEN={ROOT_TOKEN};", Vault::shared().address());
        }
        if has("kms") {
            let address = self.moto.address();
            let _ =
                write!(line, "export AWS_ENDPOINT_URL={address} AWS_ACCESS_KEY_ID=A AWS_SECRET_ACCESS_KEY=swordfish;");
        }
        line
    }

    /// A configuration with a group of keys for each list of kinds.
    fn configuration(&self, groups: &[&[&str]], threshold: usize) -> String {
        let mut text = format!("creation_rules:\n  - shamir_threshold: {threshold}\n    key_groups:\n");
        for group in groups {
            let mut recipients = Vec::new();
            let mut others = String::new();
            for kind in *group {
                match *kind {
                    "age" => recipients.push(Keys::shared().alice.as_str()),
                    "quantum" => recipients.push(&self.quantum),
                    "pgp" => others = format!("{others}        pgp: [{}]\n", SOPS_KEYS[0]),
                    "vault" => others = format!("{others}        hc_vault: ['{}']\n", self.uri),
                    _ => others = format!("{others}        kms: [{{arn: '{}'}}]\n", self.arn),
                }
            }
            let _ = write!(text, "      - age: [{}]\n{others}", recipients.join(", "));
        }
        text
    }
}

/// Are the means for these kinds enough?
fn opens(groups: &[&[&str]], threshold: usize, kinds: &[&str]) -> bool {
    let needed = if threshold == 0 { groups.len() } else { threshold };
    groups.iter().filter(|group| group.iter().any(|kind| kinds.contains(kind))).count() >= needed
}

/// The lines of the metadata, without what is made anew each time.
fn layout(text: &str) -> Vec<String> {
    let lines = text.lines().skip_while(|line| *line != "sops:");
    let lines = lines.filter(|line| line.contains(": ") || line.ends_with(':') || line.trim_start().starts_with("- "));
    lines
        .map(|line| match line.split_once(": ") {
            Some((name, _)) if name.trim_start_matches(['-', ' ']).is_empty() => line.to_owned(),
            Some((name, _))
                if ["enc", "created_at", "mac", "lastmodified"].contains(&name.trim_start_matches(['-', ' '])) =>
            {
                name.to_owned()
            }
            _ => line.to_owned(),
        })
        .collect()
}

#[test]
fn whoever_has_keys_of_enough_groups_opens_a_file_with_either_program() {
    needs_peers!();
    let scene = Scene::new("groups");
    let place = &scene.place;
    let everything = scene.with(&KINDS);
    let cases: [(&[&[&str]], usize); 4] = [
        (&[&["age"], &["pgp"]], 0),
        (&[&["age", "vault"], &["pgp", "kms"], &["quantum"]], 2),
        (&[&["quantum"], &["age"], &["vault"], &["kms"]], 3),
        (&[&["age"], &["quantum"], &["pgp"], &["vault"], &["kms"]], 4),
    ];
    for (groups, threshold) in cases {
        place.write(".sops.yaml", scene.configuration(groups, threshold));
        for program in ["bulla", "sops"] {
            place.does(&format!("{everything} {program} encrypt app.yaml > by-{program}.yaml"));
        }
        assert_eq!(layout(&place.read("by-bulla.yaml")), layout(&place.read("by-sops.yaml")), "{groups:?}");
        for kinds in [&["age"][..], &["age", "pgp"], &["vault", "kms"], &["quantum", "vault", "kms"], &KINDS] {
            let means = scene.with(kinds);
            let expected = opens(groups, threshold, kinds);
            for file in ["by-bulla.yaml", "by-sops.yaml"] {
                for program in ["bulla", "sops", "bulla sops"] {
                    let opened = place.run(&format!("{means} {program} decrypt {file}"));
                    let context =
                        format!("{program} {file} {groups:?} {threshold} {kinds:?}\n{}", opened.stderr_text());
                    assert_eq!(opened.code(), Some(if expected { 0 } else { 128 }), "{context}");
                    assert_eq!(opened.stdout_text(), if expected { PLAIN } else { "" }, "{context}");
                }
            }
            if !expected {
                let report = |program: &str| {
                    let said = place.run(&format!("{means} {program} decrypt by-sops.yaml")).stderr_text();
                    let lines = said.lines().filter(|line| line.starts_with("Group ")).map(str::to_owned);
                    lines.collect::<Vec<_>>()
                };
                assert_eq!(report("bulla sops"), report("sops"), "{groups:?} {threshold} {kinds:?}");
            }
        }
    }
}

#[test]
fn every_share_is_asked_for_once_and_no_more_of_them_than_are_needed() {
    needs_peers!();
    let scene = Scene::new("counted");
    let (place, moto) = (&scene.place, &scene.moto);
    let others: Vec<String> = (0..2).map(|_| moto.key("eu-west-1")).collect();
    let group = |arn: &String| format!("      - kms: [{{arn: '{arn}'}}]\n");
    let groups: String = [&scene.arn, &others[0], &others[1]].into_iter().map(group).collect();
    place.write(".sops.yaml", format!("creation_rules:\n  - shamir_threshold: 2\n    key_groups:\n{groups}"));
    let means = scene.with(&["kms"]);
    for number in 0..8 {
        place.write(&format!("tree/{number}.yaml"), PLAIN);
    }
    place.does(&format!("{means} bulla encrypt --in-place tree"));
    assert_eq!(moto.count("kms:Encrypt"), 24);
    // Eight files with a data key each, and eight copies of one of them.
    place.does("mkdir copies; for i in 0 1 2 3 4 5 6 7; do cp tree/0.yaml copies/$i.yaml; done");
    moto.forget_calls();
    place.does(&format!("{means} bulla decrypt --in-place copies"));
    assert_eq!((moto.count("kms:Decrypt"), place.read("copies/7.yaml").as_str()), (2, PLAIN));
    moto.forget_calls();
    place.does(&format!("{means} bulla decrypt --in-place tree"));
    assert_eq!((moto.count("kms:Decrypt"), place.read("tree/7.yaml").as_str()), (16, PLAIN));
}
