//! The key of all tests, and the programs that they are run against.

use std::fmt;
use std::process::{Command, Output};
use std::sync::{Arc, LazyLock};

use bulla_crypto::SecretBytes;
use bulla_doc::Format;
use bulla_keys::age::{AgeIdentities, AgeKey, IdentityKind, IdentitySource, NoPrompt, SourceContent};
use bulla_sops::{EncryptError, Encrypted, NothingSelected, Recipe, Selector, SelectorKind};
use bulla_testkit::oracle::{self, Branch, Oracle};
use bulla_testkit::peers;
use bulla_wipe::Wiping;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tempfile::TempDir;

/// A throw-away identity, and who it is.
pub(crate) const IDENTITY: &str = "AGE-SECRET-KEY-1JX0ZW0TDL98P0SAH80KAUCKGWS4EMPQP9SU2K0TGYLHKRXYZZY0SF0UJPQ";
pub(crate) const RECIPIENT: &str = "age1qea037edq40udfgmp6eanx5ej40s9t9x2w6858ywl9yg85a5r4gsc3rqk0";

/// An error with its causes on one line, as a person would see it.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// Runs a future to its end. Nothing here ever waits.
pub(crate) fn now<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// Generator of nonces: another stream for every seed.
pub(crate) fn random(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

/// The moment of all changes.
pub(crate) fn moment() -> jiff::Timestamp {
    "2026-01-02T03:04:05.678Z".parse().unwrap()
}

/// Identities from the text of a key file.
pub(crate) fn identities(text: &str) -> Arc<AgeIdentities> {
    let source = IdentitySource {
        name: "the test's key".to_owned(),
        kind: IdentityKind::Age { several_per_line: false },
        content: SourceContent::Found(SecretBytes::new(text.as_bytes().to_vec())),
    };
    Arc::new(AgeIdentities::new(vec![source], Arc::new(NoPrompt)))
}

pub(crate) fn ring() -> Arc<AgeIdentities> {
    static RING: LazyLock<Arc<AgeIdentities>> = LazyLock::new(|| identities(IDENTITY));
    RING.clone()
}

/// How a document is encrypted, in a form that both programs understand.
#[derive(Clone)]
pub(crate) struct Rule {
    pub(crate) selector: Option<(SelectorKind, String)>,
    pub(crate) mac_only_encrypted: bool,
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.flags().join(" "))
    }
}

impl Rule {
    pub(crate) const DEFAULT: Self = Self { selector: None, mac_only_encrypted: false };

    pub(crate) fn new(kind: SelectorKind, text: &str) -> Self {
        Self { selector: Some((kind, text.to_owned())), mac_only_encrypted: false }
    }

    pub(crate) fn selector(&self) -> Selector {
        match &self.selector {
            Some((kind, text)) => Selector::new(*kind, text).unwrap(),
            None => Selector::default(),
        }
    }

    /// The flags of SOPS' command line.
    pub(crate) fn flags(&self) -> Vec<String> {
        let mut flags = Vec::new();
        if let Some((kind, text)) = &self.selector {
            flags.push(format!("--{}", kind.as_str().replace('_', "-")));
            flags.push(text.clone());
        }
        if self.mac_only_encrypted {
            flags.push("--mac-only-encrypted".to_owned());
        }
        flags
    }
}

/// Encrypts for the test's key.
pub(crate) fn encrypt(plain: &[u8], format: Format, rule: &Rule, seed: u64) -> Result<Encrypted, EncryptError> {
    let key = AgeKey::new(RECIPIENT, ring());
    let recipe = Recipe {
        groups: &[vec![&key]],
        threshold: 0,
        selector: &rule.selector(),
        mac_only_encrypted: rule.mac_only_encrypted,
        nothing_selected: NothingSelected::Allow,
        now: moment(),
    };
    now(bulla_sops::encrypt(plain, format, &recipe, &mut random(seed)))
}

/// Decrypts with the test's key.
pub(crate) fn decrypt(bytes: &[u8], format: Format) -> Result<Wiping<Vec<u8>>, String> {
    now(bulla_sops::decrypt(bytes, format, &ring())).map_err(|error| chain(&error))
}

/// The real SOPS, in a directory of its own without configuration.
pub(crate) struct Sops(TempDir);

impl Sops {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn encrypt(&self, plain: &[u8], format: Format, rule: &Rule) -> Result<Vec<u8>, String> {
        let mut arguments = vec!["--encrypt".to_owned(), "--age".to_owned(), RECIPIENT.to_owned()];
        arguments.extend(rule.flags());
        self.run(&arguments, plain, format)
    }

    pub(crate) fn decrypt(&self, encrypted: &[u8], format: Format) -> Result<Vec<u8>, String> {
        self.run(&["--decrypt".to_owned()], encrypted, format)
    }

    /// Runs SOPS on a file of this content, and gives what it prints.
    pub(crate) fn run(&self, arguments: &[String], content: &[u8], format: Format) -> Result<Vec<u8>, String> {
        let output = self.run_on_file(arguments, content, format);
        if output.status.success() {
            Ok(output.stdout)
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    /// As [`Sops::run`], with further arguments behind the file, which it changes in place; gives the file.
    pub(crate) fn change(
        &self,
        command: &[&str],
        further: &[&str],
        content: &[u8],
        format: Format,
    ) -> Result<Vec<u8>, String> {
        let file = self.file(content, format);
        let output = self.command().args(command).arg(&file).args(further).output().unwrap();
        if output.status.success() {
            Ok(std::fs::read(file).unwrap())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    /// The `.sops.yaml` that counts from now on.
    pub(crate) fn configure(&self, text: &str) {
        std::fs::write(self.0.path().join(".sops.yaml"), text).unwrap();
    }

    fn run_on_file(&self, arguments: &[String], content: &[u8], format: Format) -> Output {
        let file = self.file(content, format);
        self.command().args(arguments).arg(file).output().unwrap()
    }

    fn file(&self, content: &[u8], format: Format) -> std::path::PathBuf {
        let name = match format {
            Format::Yaml => "file.yaml",
            Format::Json => "file.json",
            Format::Dotenv => "file.env",
            Format::Ini => "file.ini",
            Format::Binary => "file",
        };
        let file = self.0.path().join(name);
        std::fs::write(&file, content).unwrap();
        file
    }

    fn command(&self) -> Command {
        let mut command = Command::new(peers::sops());
        command.current_dir(self.0.path()).env_clear();
        command.env("HOME", self.0.path()).env("SOPS_AGE_KEY", IDENTITY).env("SOPS_DISABLE_VERSION_CHECK", "1");
        command
    }
}

/// A format as the oracle names it.
pub(crate) fn name_of(format: Format) -> oracle::Format {
    match format {
        Format::Yaml => oracle::Format::Yaml,
        Format::Json => oracle::Format::Json,
        Format::Dotenv => oracle::Format::Dotenv,
        Format::Ini => oracle::Format::Ini,
        Format::Binary => oracle::Format::Binary,
    }
}

/// The trees that SOPS reads from a file.
pub(crate) fn trees(bytes: &[u8], format: Format) -> Vec<Branch> {
    Oracle::shared()
        .sops_tree(bytes, name_of(format))
        .unwrap_or_else(|refusal| panic!("{refusal:?}\n{}", String::from_utf8_lossy(bytes)))
}

/// What is left of trees once SOPS has printed them: no flags, no order or number of comments, and integral floats as integers.
pub(crate) fn essence(trees: Vec<Branch>) -> (Vec<Branch>, Vec<String>) {
    let mut comments = Vec::new();
    let values = trees
        .into_iter()
        .map(|tree| {
            // The number of entries counts comments.
            let mut values = Vec::new();
            for mut item in tree {
                if item.kind == "comment" {
                    comments.push(String::from_utf8_lossy(&item.text).into_owned());
                    continue;
                }
                item.length = 0;
                if item.kind == "float" && !item.text.contains(&b'.') {
                    "int".clone_into(&mut item.kind);
                }
                values.push(item);
            }
            values
        })
        .collect();
    comments.retain(|comment| !comment.is_empty());
    comments.sort();
    // The printer of SOPS writes some of them twice.
    comments.dedup();
    (values, comments)
}
