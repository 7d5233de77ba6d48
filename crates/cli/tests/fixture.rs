//! A directory to run commands in, with the keys that the tests use. The environment of a command is nothing but what is said here.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use bulla_crypto::{PrivateKey, SecretBytes};
use bulla_keys::age::encrypt_identity_file;
use bulla_sealed::{Certificate, CertificateRequest};
use bulla_testkit::process::{Finished, Program};
use jiff::SignedDuration;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tempfile::TempDir;

/// Keys that every test may use: made once, with the program itself.
pub(crate) struct Keys {
    directory: TempDir,
    /// Recipients of `alice.key` and `bob.key`.
    pub(crate) alice: String,
    pub(crate) bob: String,
}

impl Keys {
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Keys> = OnceLock::new();
        SHARED.get_or_init(|| {
            let directory = tempfile::tempdir().unwrap();
            let keygen = |arguments: &[&str]| {
                let bulla = Program::new(bulla()).env_clear().current_dir(directory.path()).arg("keygen");
                assert_eq!(bulla.args(arguments).run().unwrap().code(), Some(0));
            };
            for name in ["alice", "bob"] {
                keygen(&["age", "--output", &format!("{name}.key")]);
            }
            for name in ["sealing", "other-sealing"] {
                keygen(&[
                    "sealing",
                    "--bits",
                    "2048",
                    "--key",
                    &format!("{name}.key"),
                    "--cert",
                    &format!("{name}.pem"),
                ]);
            }
            make_the_unusual(directory.path());
            let recipient = |name: &str| {
                let file = std::fs::read_to_string(directory.path().join(name)).unwrap();
                file.lines().find_map(|line| line.strip_prefix("# public key: ")).unwrap().to_owned()
            };
            let (alice, bob) = (recipient("alice.key"), recipient("bob.key"));
            Self { directory, alice, bob }
        })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }
}

/// Keys that the program does not make: an expired certificate, an identity file with the passphrase `a passphrase`.
fn make_the_unusual(directory: &Path) {
    let key = PrivateKey::from_pem(&std::fs::read(directory.join("sealing.key")).unwrap()).unwrap();
    let request = CertificateRequest {
        common_name: "",
        not_before: "2020-01-01T00:00:00Z".parse().unwrap(),
        valid_for: SignedDuration::from_hours(24),
    };
    let mut rng = StdRng::seed_from_u64(1);
    let expired = Certificate::generate(&key, &request, &mut rng).unwrap();
    std::fs::write(directory.join("expired.pem"), expired.to_pem()).unwrap();

    let identity = SecretBytes::new(std::fs::read(directory.join("alice.key")).unwrap());
    let locked = encrypt_identity_file(&identity, &SecretBytes::new(PASSPHRASE.as_bytes().to_vec())).unwrap();
    std::fs::write(directory.join("locked.key"), locked).unwrap();
}

pub(crate) const PASSPHRASE: &str = "a passphrase";

pub(crate) fn bulla() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_bulla"))
}

/// A directory of one test.
pub(crate) struct Place {
    directory: TempDir,
    /// Programs to be found beside those of the system.
    programs: Vec<PathBuf>,
}

impl Place {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        for folder in ["work", "home", "tmp"] {
            std::fs::create_dir(directory.path().join(folder)).unwrap();
        }
        let programs = vec![bulla().parent().unwrap().to_path_buf()];
        Self { directory, programs }
    }

    /// Makes a program visible to the commands.
    pub(crate) fn with_program(mut self, program: &Path) -> Self {
        self.programs.push(program.parent().unwrap().to_path_buf());
        self
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("work")
    }

    pub(crate) fn root(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.file(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn read(&self, name: &str) -> String {
        String::from_utf8(std::fs::read(self.file(name)).unwrap()).unwrap()
    }

    /// The names in the directory, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.path()).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// A command line for a shell without a terminal.
    pub(crate) fn shell(&self, line: &str) -> Program {
        let keys = Keys::shared();
        let path = self.programs.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(":");
        Program::new("setsid")
            .args(["--wait", "sh", "-c", line])
            .current_dir(self.path())
            .env_clear()
            .env("PATH", format!("{path}:/usr/local/bin:/usr/bin:/bin"))
            .env("HOME", self.directory.path().join("home"))
            .env("TMPDIR", self.directory.path().join("tmp"))
            .env("KEYS", keys.directory())
            .env("ALICE", &keys.alice)
            .env("BOB", &keys.bob)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_AUTHOR_NAME", "a")
            .env("GIT_AUTHOR_EMAIL", "a@example.org")
            .env("GIT_COMMITTER_NAME", "a")
            .env("GIT_COMMITTER_EMAIL", "a@example.org")
    }

    /// Runs a command line with Alice's identity.
    pub(crate) fn run(&self, line: &str) -> Finished {
        self.shell(line).env("SOPS_AGE_KEY_FILE", Keys::shared().path("alice.key")).run().unwrap()
    }

    /// Runs a command line that must succeed, and gives its standard output.
    pub(crate) fn does(&self, line: &str) -> String {
        self.run(line).success().stdout_text()
    }
}
