//! The command line of SOPS beside the real one: each line of `sops/*.txt` is run by a shell in two equal directories, in one of which
//! `sops` is a link to this program, and what happens is compared.
//!
//! ```text
//! # section
//! sops {decrypt|-d} enc.yaml                  what is in braces is written out: two lines
//! sops set enc.yaml '["l"]["x"]' 1            #! code err: why they differ, which docs/differences.md says, too
//! ```
//! Compared are the exit code, standard output, the first line of standard error, and the files of the directory. What was encrypted is
//! compared decrypted, by the real program, and what stands open beside it. A difference that is listed and is none any more fails, too.

mod compare;
mod setting;

use std::collections::BTreeSet;

use bulla_testkit::needs_peers;
use bulla_testkit::vault::{ROOT_TOKEN, Vault};
use rayon::prelude::*;

use setting::Setting;

/// What a line may differ in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Aspect {
    /// The exit code.
    Code,
    /// Standard output.
    Out,
    /// The first line of standard error.
    Err,
    /// The directory afterwards.
    Files,
}

impl Aspect {
    fn named(name: &str) -> Self {
        match name {
            "code" => Self::Code,
            "out" => Self::Out,
            "err" => Self::Err,
            "files" => Self::Files,
            other => panic!("no such aspect: {other}"),
        }
    }
}

/// One line of the table.
#[derive(Debug, Clone)]
struct Case {
    line: String,
    differs: BTreeSet<Aspect>,
}

/// The lines of a table, with what is in braces written out.
fn cases(table: &str) -> Vec<Case> {
    let mut cases = Vec::new();
    for line in table.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        let (line, note) = line.split_once("#!").unwrap_or((line, ""));
        let (aspects, reason) = note.split_once(':').unwrap_or(("", "none"));
        assert!(!reason.trim().is_empty(), "no reason: {line}");
        let differs: BTreeSet<Aspect> = aspects.split_whitespace().map(Aspect::named).collect();
        for line in written_out(line.trim()) {
            cases.push(Case { line, differs: differs.clone() });
        }
    }
    cases
}

/// `a {b|c}` is `a b` and `a c`. Braces without a bar stay.
fn written_out(line: &str) -> Vec<String> {
    let choice = line.match_indices('{').find_map(|(start, _)| {
        let end = start + line[start..].find('}')?;
        line[start + 1..end].contains('|').then_some((start, end))
    });
    let Some((start, end)) = choice else { return vec![line.to_owned()] };
    let choices = line[start + 1..end].split('|');
    choices.flat_map(|choice| written_out(&format!("{}{choice}{}", &line[..start], &line[end + 1..]))).collect()
}

fn run_table(table: &str, at_least: usize) {
    let cases = cases(table);
    assert!(cases.len() >= at_least, "lines went missing: {} left", cases.len());
    let setting = Setting::shared();
    let failed: Vec<String> = cases
        .par_iter()
        .filter_map(|case| {
            let (theirs, ours) =
                (setting.run(&case.line, setting::Whose::Real), setting.run(&case.line, setting::Whose::Ours));
            let found = compare::differences(&theirs, &ours);
            let aspects: BTreeSet<Aspect> = found.iter().map(|(aspect, _)| *aspect).collect();
            if aspects == case.differs {
                return None;
            }
            let details: Vec<String> =
                found.into_iter().map(|(aspect, detail)| format!("  {aspect:?}: {detail}")).collect();
            Some(format!("{}\n  listed: {:?}\n{}", case.line, case.differs, details.join("\n")))
        })
        .collect();
    assert!(failed.is_empty(), "{} of {} lines differ:\n\n{}", failed.len(), cases.len(), failed.join("\n"));
}

#[test]
fn braces_are_written_out() {
    assert_eq!(written_out("a {b|c} {d} {e|}"), ["a b {d} e", "a b {d} ", "a c {d} e", "a c {d} "]);
}

#[test]
fn flags_and_help() {
    needs_peers!();
    run_table(include_str!("sops/flags.txt"), 70);
}

#[test]
fn encrypting() {
    needs_peers!();
    run_table(include_str!("sops/encrypt.txt"), 80);
}

#[test]
fn decrypting() {
    needs_peers!();
    run_table(include_str!("sops/decrypt.txt"), 80);
}

#[test]
fn changing() {
    needs_peers!();
    run_table(include_str!("sops/change.txt"), 80);
}

#[test]
fn editing() {
    needs_peers!();
    run_table(include_str!("sops/edit.txt"), 40);
}

#[test]
fn running() {
    needs_peers!();
    run_table(include_str!("sops/exec.txt"), 40);
}

#[test]
fn keys_and_groups() {
    needs_peers!();
    run_table(include_str!("sops/keys.txt"), 60);
}

/// Both put the same into Vault, and neither a second version of what is there already.
#[test]
fn publishing_to_vault() {
    needs_peers!();
    let vault = Vault::shared();
    let setting = Setting::shared();
    for (engine, version) in [("kv-one", 1), ("kv-two", 2)] {
        vault.write(
            &format!("sys/mounts/{engine}"),
            &format!(r#"{{"type": "kv", "options": {{"version": "{version}"}}}}"#),
        );
    }
    let rules = |whose: &str| {
        format!(
            "destination_rules:\n  - path_regex: several\n    vault_path: {whose}/deep/\n    vault_kv_mount_name: kv-one/\n    vault_kv_version: 1\n  \
             - vault_path: {whose}\n    vault_kv_mount_name: kv-two\n    omit_extensions: true\n"
        )
    };
    let stored = |path: &str| vault.read(path);
    for (file, there) in
        [("enc-plain.json", "kv-two/data/WHOSE/enc-plain"), ("enc-several.yaml", "kv-one/WHOSE/deep/enc-several.yaml")]
    {
        let mut found = Vec::new();
        for (whose, name) in [(setting::Whose::Real, "real"), (setting::Whose::Ours, "ours")] {
            let publish = format!("printf '%s' \"$RULES\" > .sops.yaml; sops publish --yes {file}");
            let line = format!(
                "export VAULT_ADDR={} VAULT_TOKEN={ROOT_TOKEN} RULES='{}'; {publish} && {publish}",
                vault.address(),
                rules(name)
            );
            let done = setting.run(&line, whose);
            assert_eq!(done.code, Some(0), "{whose:?}: {}", done.stderr);
            let answer = stored(&there.replace("WHOSE", name));
            found.push(if there.contains("/data/") { answer["data"]["data"].clone() } else { answer["data"].clone() });
            if whose == setting::Whose::Ours && there.contains("/data/") {
                assert_eq!(answer["data"]["metadata"]["version"], 1, "what is there already is not written again");
            }
        }
        assert_eq!(found[0], found[1], "{file}");
        assert!(found[1].is_object(), "{file}");
    }
}

/// How a line is indented.
fn indentation(text: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(text);
    text.lines().map(|line| line[..line.len() - line.trim_start().len()].to_owned()).collect()
}

#[test]
fn a_new_binary_file_is_indented_as_it_is_said() {
    needs_peers!();
    let stores = |indent: i32| format!("printf 'stores: {{json_binary: {{indent: {indent}}}}}' > .sops.yaml;");
    for (before, flag) in [
        (String::new(), ""),
        (String::new(), "--indent 2"),
        (stores(3), ""),
        (stores(0), ""),
        (stores(-1), ""),
        (stores(3), "--indent 1"),
    ] {
        let line = format!("{before} sops {flag} encrypt --age $AGE plain.txt");
        let [theirs, ours] = [setting::Whose::Real, setting::Whose::Ours].map(|whose| {
            let done = Setting::shared().run(&line, whose);
            assert_eq!(done.code, Some(0), "{line}: {}", done.stderr);
            indentation(&done.stdout)
        });
        assert_eq!(ours, theirs, "{line}");
    }
}

#[test]
fn other_formats() {
    needs_peers!();
    run_table(include_str!("sops/formats.txt"), 60);
}
