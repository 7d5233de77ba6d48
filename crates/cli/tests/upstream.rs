//! SOPS' own tests of its command line, run from outside: on the real program first, then on ours under its name. What passes there
//! passes here.
//!
//! They need GnuPG with the keys that SOPS ships for them, a Vault with both versions of KV, and a key of AWS KMS. Source: SOPS'
//! `functional-tests`; `tests/peers/build.sh` compiles them.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::time::Duration;

use bulla_testkit::moto::Moto;
use bulla_testkit::needs_peers;
use bulla_testkit::peers::{self, Set};
use bulla_testkit::process::Program;
use bulla_testkit::vault::{ROOT_TOKEN, Vault};
use tempfile::TempDir;

use crate::fixture::bulla;

/// The one that needs a bucket of S3 with SOPS' own name.
const NEEDS_S3: &str = "tests::publish_json_file_s3";

/// A keyring of its own, with the keys of SOPS' tests in it, and the agent that watches over it.
struct Keyring(TempDir);

impl Keyring {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let keyring = Self(folder);
        let keys = peers::folder(Set::FunctionalTests).join("key.asc");
        // It complains where a key comes without its secret half, as one of them does.
        let imported = keyring.gpg("gpg").args(["--batch", "--import"]).arg(keys).run().unwrap();
        let listed = keyring.gpg("gpg").args(["--batch", "--list-secret-keys"]).run().unwrap();
        assert!(
            listed.stdout_text().contains("FBC7B9E2A4F9289AC0C1D4843D16CEE4A27381B4"),
            "{}",
            imported.stderr_text()
        );
        keyring
    }

    fn gpg(&self, program: &str) -> Program {
        Program::new(program).env("GNUPGHOME", self.0.path())
    }
}

impl Drop for Keyring {
    fn drop(&mut self) {
        // The agent ends by itself, too, once its folder is gone; only later.
        let _ = self.gpg("gpgconf").args(["--kill", "all"]).run();
    }
}

/// Name and outcome (`ok`, `FAILED`, `ignored`) of each test, and all that was printed.
fn run(sops: &Path) -> (BTreeMap<String, String>, String) {
    let folder = tempfile::tempdir().unwrap();
    let set = peers::folder(Set::FunctionalTests);
    fs::copy(set.join(".sops.yaml"), folder.path().join(".sops.yaml")).unwrap();
    symlink(set.join("res"), folder.path().join("res")).unwrap();
    symlink(sops, folder.path().join("sops")).unwrap();
    for name in ["home", "tmp"] {
        fs::create_dir(folder.path().join(name)).unwrap();
    }
    let keyring = Keyring::new();
    let vault = Vault::start();
    vault.write("sys/mounts/kv", r#"{"type": "kv", "options": {"version": "1"}}"#);
    let moto = Moto::shared();
    let tests = Program::new(peers::functional_tests())
        .args(["--include-ignored", "--exact", "--skip", NEEDS_S3])
        .current_dir(folder.path())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", folder.path().join("home"))
        .env("TMPDIR", folder.path().join("tmp"))
        .env("GNUPGHOME", keyring.0.path())
        .env("SOPS_DISABLE_VERSION_CHECK", "1")
        .env("VAULT_ADDR", vault.address())
        .env("VAULT_TOKEN", ROOT_TOKEN)
        .env("AWS_ENDPOINT_URL", moto.address())
        .env("AWS_ACCESS_KEY_ID", "anything")
        .env("AWS_SECRET_ACCESS_KEY", "anything")
        .env("FUNCTIONAL_TEST_KMS_ARN", moto.key("us-east-1"))
        .time_limit(Duration::from_mins(5));
    let printed = tests.run().unwrap().stdout_text();
    let outcome = |line: &str| {
        let (name, outcome) = line.strip_prefix("test ")?.split_once(" ... ")?;
        Some((name.to_owned(), outcome.to_owned()))
    };
    (printed.lines().filter_map(outcome).collect(), printed)
}

#[test]
fn what_passes_with_sops_passes_with_bulla() {
    needs_peers!();
    let (theirs, printed) = run(&peers::sops());
    let passing: Vec<&String> = theirs.iter().filter(|(_, outcome)| *outcome == "ok").map(|(name, _)| name).collect();
    assert!(passing.len() >= 40, "SOPS itself passes {} of {} only:\n{printed}", passing.len(), theirs.len());
    let (ours, printed) = run(bulla());
    let failing: Vec<&String> =
        passing.into_iter().filter(|name| ours.get(*name).is_none_or(|outcome| outcome != "ok")).collect();
    assert!(failing.is_empty(), "{} fail: {failing:#?}\n{printed}", failing.len());
}
