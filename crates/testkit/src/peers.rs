//! Where the real programs are: `tests/peers/build.sh` builds them once, pinned, into a cache outside the repository.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// What is built together.
#[derive(Clone, Copy, Debug)]
pub enum Set {
    /// sops, age and the oracle.
    Tools,
    /// etcd, kube-apiserver, kubectl, kubeseal and the controller of Sealed Secrets.
    ControlPlane,
    /// Vault.
    Vault,
    /// moto, which stands for AWS.
    Moto,
    /// The stand-in of Google Cloud, Azure and Huawei Cloud.
    Clouds,
    /// pre-commit.
    PreCommit,
    /// SOPS' tests of its own command line.
    FunctionalTests,
    /// Ansible, with the collection that calls sops.
    Ansible,
    /// Real manifests.
    Corpus,
    /// Real Helm charts.
    Charts,
    /// gitleaks, for benches only.
    Gitleaks,
    /// detect-secrets, for benches only.
    DetectSecrets,
    /// External Secrets, for benches only.
    ExternalSecrets,
}

impl Set {
    fn name(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::ControlPlane => "controlplane",
            Self::Vault => "vault",
            Self::Moto => "moto",
            Self::Clouds => "clouds",
            Self::PreCommit => "pre-commit",
            Self::FunctionalTests => "functional-tests",
            Self::Ansible => "ansible",
            Self::Corpus => "corpus",
            Self::Charts => "charts",
            Self::Gitleaks => "gitleaks",
            Self::DetectSecrets => "detect-secrets",
            Self::ExternalSecrets => "external-secrets",
        }
    }
}

/// The folder that `set` was built into.
///
/// # Panics
/// If it has not been built for this checkout; the message says how.
pub fn folder(set: Set) -> PathBuf {
    static FOLDERS: [OnceLock<Result<PathBuf, String>>; 13] = [const { OnceLock::new() }; 13];
    let folder = FOLDERS[set as usize].get_or_init(|| find(set));
    folder.clone().unwrap_or_else(|reason| {
        panic!("{reason}\nrun `make peers`, or set BULLA_WITHOUT_PEERS=1 to leave out the tests that need the real programs")
    })
}

fn find(set: Set) -> Result<PathBuf, String> {
    let script = crate::workspace().join("tests/peers/build.sh");
    let output = Command::new(&script)
        .args(["--path", set.name()])
        .output()
        .map_err(|error| format!("cannot run {}: {error}", script.display()))?;
    if output.status.success() {
        Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim_end()))
    } else {
        Err(String::from_utf8_lossy(&output.stderr).trim_end().to_owned())
    }
}

fn program(set: Set, name: &str) -> PathBuf {
    folder(set).join("bin").join(name)
}

/// SOPS. Run it with `--disable-version-check` where the command takes it: it asks the network otherwise.
pub fn sops() -> PathBuf {
    program(Set::Tools, "sops")
}

/// The reference implementation of age.
pub fn age() -> PathBuf {
    program(Set::Tools, "age")
}

/// age's key generator.
pub fn age_keygen() -> PathBuf {
    program(Set::Tools, "age-keygen")
}

/// Sealed Secrets' command line.
pub fn kubeseal() -> PathBuf {
    program(Set::ControlPlane, "kubeseal")
}

/// Sealed Secrets' controller. It only knows the in-cluster configuration, see `control_plane`.
pub fn sealed_secrets_controller() -> PathBuf {
    program(Set::ControlPlane, "sealed-secrets-controller")
}

/// The CustomResourceDefinition that Sealed Secrets ships.
pub fn sealed_secrets_crd() -> PathBuf {
    folder(Set::ControlPlane).join("sealed-secrets-crd.yaml")
}

/// Kubernetes' command line.
pub fn kubectl() -> PathBuf {
    program(Set::ControlPlane, "kubectl")
}

/// A Python that pre-commit can be run with: `python -m pre_commit`.
pub fn pre_commit_python() -> PathBuf {
    program(Set::PreCommit, "python")
}

/// SOPS' tests of its command line: a program that runs `./sops`, and needs `res` and `.sops.yaml` beside it, as they lie in the folder of
/// this set, and the keys in `key.asc` there.
pub fn functional_tests() -> PathBuf {
    program(Set::FunctionalTests, "functional-tests")
}

/// A Python that Ansible can be run with (`python -m ansible playbook`), and the path of its collections.
pub fn ansible() -> (PathBuf, PathBuf) {
    (program(Set::Ansible, "python"), folder(Set::Ansible).join("collections"))
}

/// gitleaks. Only `make bench` builds it.
pub fn gitleaks() -> PathBuf {
    program(Set::Gitleaks, "gitleaks")
}

/// A Python that detect-secrets can be run with: `python -m detect_secrets`. Only `make bench` builds it.
pub fn detect_secrets_python() -> PathBuf {
    program(Set::DetectSecrets, "python")
}

pub(crate) fn vault() -> PathBuf {
    program(Set::Vault, "vault")
}

pub(crate) fn oracle() -> PathBuf {
    program(Set::Tools, "oracle")
}

pub(crate) fn sealing_oracle() -> PathBuf {
    program(Set::ControlPlane, "sealing-oracle")
}

/// Whether the tests that need the real programs are left out: `BULLA_WITHOUT_PEERS=1`. Says so for the calling test.
pub fn left_out() -> bool {
    let left_out = std::env::var_os("BULLA_WITHOUT_PEERS").is_some_and(|value| value == "1");
    if left_out {
        crate::say_left_out("BULLA_WITHOUT_PEERS=1");
    }
    left_out
}

/// Ends a test here, with a line that says so, when `BULLA_WITHOUT_PEERS=1` is set: the first line of every test that runs
/// a real program.
#[macro_export]
macro_rules! needs_peers {
    () => {
        if $crate::peers::left_out() {
            return;
        }
    };
}
