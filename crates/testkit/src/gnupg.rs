//! A keyring of the real gpg, with an agent of its own. Both end with it.
//!
//! ```no_run
//! use bulla_testkit::gnupg::Home;
//! let home = Home::new();
//! let fingerprint = home.generate("me@example.org", &["rsa2048", "encrypt", "never"], "");
//! let keys = home.gpg(["--list-secret-keys"]).run().unwrap().success();
//! ```

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::process::Program;

/// Fingerprints of the keys that SOPS' own tests use: two with their secret keys, one without. They are public; nothing is protected by them.
pub const SOPS_KEYS: [&str; 3] = [
    "FBC7B9E2A4F9289AC0C1D4843D16CEE4A27381B4",
    "D7229043384BCC60326C6FB9D8720D957C3D3074",
    "B611A2F9F11D0FF82568805119F9B5DAEA91FF86",
];

/// What `GNUPGHOME` names.
#[derive(Debug)]
pub struct Home {
    // Short, since the agent's sockets lie in it.
    folder: TempDir,
}

impl Default for Home {
    fn default() -> Self {
        Self::new()
    }
}

impl Home {
    /// An empty one.
    ///
    /// # Panics
    /// If there is no place for it, or gpg is not installed; the message says so.
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("g").tempdir().expect("a folder for keys");
        let home = Self { folder };
        let version = home.gpg(["--version"]).run();
        assert!(version.is_ok(), "gpg is not installed (Debian: gnupg), and the tests compare with it");
        home
    }

    /// One with the keys of [`SOPS_KEYS`].
    ///
    /// # Panics
    /// If gpg does not take them.
    pub fn of_sops() -> Self {
        let home = Self::new();
        let keys = crate::workspace().join("tests/vectors/keys/pgp/sops-functional-tests.asc");
        let _imported = home.gpg(["--batch", "--import"]).arg(keys).run().expect("gpg runs").success();
        home
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// gpg, with these keys and these arguments.
    pub fn gpg(&self, arguments: impl IntoIterator<Item = impl AsRef<std::ffi::OsStr>>) -> Program {
        Program::new("gpg").args(arguments).env("GNUPGHOME", self.path()).env_remove("GPG_TTY")
    }

    /// Makes a key: `how` is algorithm, usage and time of life as `--quick-generate-key` takes them. Its fingerprint.
    ///
    /// # Panics
    /// If gpg does not make it.
    pub fn generate(&self, user: &str, how: &[&str], passphrase: &str) -> String {
        let quick =
            ["--batch", "-q", "--pinentry-mode", "loopback", "--passphrase", passphrase, "--quick-generate-key", user];
        let _made = self.gpg(quick).args(how).run().expect("gpg runs").success();
        self.fingerprints(user).swap_remove(0)
    }

    /// The fingerprints of a user's key and its subkeys.
    ///
    /// # Panics
    /// If there is none.
    pub fn fingerprints(&self, user: &str) -> Vec<String> {
        let listing = self.gpg(["--batch", "--with-colons", "--list-keys", user]).run().expect("gpg runs").success();
        let lines = listing.stdout_text();
        let fields = lines.lines().filter(|line| line.starts_with("fpr:")).filter_map(|line| line.split(':').nth(9));
        fields.map(str::to_owned).collect()
    }

    /// Has the agent ask a program of this text (of `sh`) for passphrases, and forget those that it knows.
    ///
    /// # Panics
    /// If the program cannot be written.
    pub fn ask(&self, pinentry: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let program = self.path().join("pinentry");
        fs::write(&program, format!("#!/bin/sh\n{pinentry}\n")).expect("a program in the folder");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).expect("it is ours");
        let configuration = format!("pinentry-program {}\n", program.display());
        fs::write(self.path().join("gpg-agent.conf"), configuration).expect("a file in the folder");
        self.forget();
    }

    /// Ends the agent, and with it what it knows. The next gpg starts another.
    pub fn forget(&self) {
        let end = Program::new("gpgconf").args(["--kill", "gpg-agent"]).env("GNUPGHOME", self.path());
        // Where there is none, there is none to end.
        end.run().ok();
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        self.forget();
    }
}

/// A pinentry that answers `answer` (a line of its protocol, or several) whenever it is asked for a passphrase, and notes that in
/// the file `asked` beside it.
pub fn pinentry(answer: &str) -> String {
    let answer = answer.replace('\n', "\necho ");
    format!(
        "echo OK\nwhile read -r line; do case $line in\n\
         GETPIN*) echo asked >> \"$(dirname \"$0\")/asked\"\necho {answer} ;;\nBYE*) echo OK; exit ;;\n*) echo OK ;;\nesac; done"
    )
}
