//! What a command opens files with: the private keys of age from `--identity` and from where SOPS looks, and the services that hold keys.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use bulla_crypto::SecretBytes;
use bulla_keys::age::{
    AgeIdentities, IdentityKind, IdentitySource, Place, Reading, SourceContent, configuration_directory,
    identity_places,
};
use bulla_keys::{DecryptionOrder, KeySources};
use bulla_wipe::Wiping;

use crate::context::Context;
use crate::error::CommandError;
use crate::files::{read_all, read_bytes, read_file};
use crate::services::{self, KeyServiceArgs};
use crate::terminal::Terminal;
use crate::words;

/// Longest identity file, in bytes, as in SOPS.
const LONGEST_FILE: u64 = 1 << 24;

/// Which identities to use.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct IdentityArgs {
    /// File with age identities or an SSH private key, tried before those that SOPS finds; repeatable
    ///
    /// Without it, identities come from where SOPS looks: SOPS_AGE_SSH_PRIVATE_KEY_FILE, SOPS_AGE_SSH_PRIVATE_KEY_CMD,
    /// ~/.ssh/id_ed25519, ~/.ssh/id_rsa, SOPS_AGE_KEY, SOPS_AGE_KEY_FILE, SOPS_AGE_KEY_CMD, ~/.config/sops/age/keys.txt.
    #[arg(long = "identity", value_name = "FILE")]
    identities: Vec<PathBuf>,

    /// Kinds of keys to try first, separated by commas, of age, pgp, kms, gcp_kms, hckms, azure_kv, hc_vault; age,pgp if nothing is said
    #[arg(long, value_name = "KINDS", env = "SOPS_DECRYPTION_ORDER", hide_env_values = true)]
    decryption_order: Option<String>,

    #[command(flatten)]
    pub(crate) key_services: KeyServiceArgs,
}

impl IdentityArgs {
    /// These files, and where SOPS looks; no key service.
    pub(crate) fn of_files(identities: Vec<PathBuf>) -> Self {
        Self { identities, ..Self::default() }
    }

    /// Everything that may open a file: these identities, and the services of the environment.
    ///
    /// # Errors
    /// As [`IdentityArgs::gather`]; an order that is none.
    pub(crate) fn sources<'a>(&self, cx: &'a Context) -> Result<KeySources<'a>, CommandError> {
        let order = DecryptionOrder::read(self.decryption_order.as_deref().unwrap_or_default())?;
        let sources = KeySources { order, ..services::key_sources(cx, self.gather(cx)?) };
        self.key_services.join(sources, cx)
    }

    /// Reads them. What cannot be read is told if nothing else fits, except for a file that `--identity` names.
    ///
    /// # Errors
    /// [`Exit::Input`](crate::exit::Exit::Input) if such a file cannot be read.
    pub(crate) fn gather(&self, cx: &Context) -> Result<Arc<AgeIdentities>, CommandError> {
        let mut sources = Vec::new();
        for path in &self.identities {
            let content = SecretBytes::from(read_file(path)?.bytes);
            sources.push(IdentitySource {
                name: path.display().to_string(),
                kind: kind_of(content.expose_secret()),
                content: SourceContent::Found(content),
            });
        }
        let environment = |name: &str| cx.variable(name).and_then(|value| value.into_string().ok());
        let home = cx.home();
        let configuration = configuration_directory(environment, home.as_deref());
        let places = identity_places(environment, home.as_deref(), configuration.as_deref());
        sources.extend(places.into_iter().map(read));
        Ok(Arc::new(AgeIdentities::new(sources, Arc::new(Terminal))))
    }
}

/// An SSH private key is told from a list of age identities by its PEM header.
fn kind_of(content: &[u8]) -> IdentityKind {
    let is_age = content.starts_with(b"-----BEGIN AGE");
    if content.starts_with(b"-----BEGIN ") && !is_age {
        IdentityKind::Ssh { may_ask: true }
    } else {
        IdentityKind::Age { several_per_line: false }
    }
}

fn read(place: Place) -> IdentitySource {
    let name = match &place.reading {
        Reading::File { path, named: true } => format!("{} ({})", place.name, path.display()),
        _ => place.name,
    };
    let content = match place.reading {
        Reading::NotSet => SourceContent::Absent("not set".to_owned()),
        Reading::Value(value) => SourceContent::Found(value),
        Reading::File { path, named } => read_identity_file(&path, named),
        Reading::Command(command) => SourceContent::Deferred(Arc::new(move |recipient: &str| run(&command, recipient))),
    };
    IdentitySource { name, kind: place.kind, content }
}

fn read_identity_file(path: &Path, named: bool) -> SourceContent {
    match fs::metadata(path) {
        Ok(metadata) if metadata.len() > LONGEST_FILE => SourceContent::Unreadable("longer than 16 MiB".to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound && !named => {
            SourceContent::Absent("not there".to_owned())
        }
        Err(error) => SourceContent::Unreadable(error.to_string()),
        Ok(_) => match read_bytes(path) {
            Ok(bytes) => SourceContent::Found(bytes.into()),
            Err(error) => SourceContent::Unreadable(error.to_string()),
        },
    }
}

/// What `command` prints. It is no shell that runs it, and its errors go where ours go.
fn run(command: &str, recipient: &str) -> Result<SecretBytes, String> {
    let (program, arguments) = words::split(command).map_err(|error| error.to_string())?;
    let mut child = Command::new(&program)
        .args(arguments)
        .env("SOPS_AGE_RECIPIENT", recipient)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot run `{program}`: {error}"))?;
    let secret = child.stdout.take().map_or_else(|| Ok(Wiping::default()), |stdout| read_all(stdout, 0));
    let status = child.wait().map_err(|error| format!("`{program}`: {error}"))?;
    if !status.success() {
        return Err(format!("`{program}` failed: {status}"));
    }
    secret.map(SecretBytes::from).map_err(|error| format!("`{program}`: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ssh_key_is_told_from_age_identities() {
        for (content, ssh) in [
            ("AGE-SECRET-KEY-1", false),
            ("# created", false),
            ("-----BEGIN AGE ENCRYPTED FILE-----", false),
            ("-----BEGIN OPENSSH PRIVATE KEY-----", true),
            ("-----BEGIN RSA PRIVATE KEY-----", true),
        ] {
            assert_eq!(matches!(kind_of(content.as_bytes()), IdentityKind::Ssh { .. }), ssh, "{content}");
        }
    }

    #[test]
    fn a_command_gets_the_recipient_and_gives_what_it_prints() {
        let found = run("sh -c 'printf %s \"key for $SOPS_AGE_RECIPIENT\"'", "age1abc").unwrap();
        assert_eq!(found.expose_secret(), b"key for age1abc");
        assert_eq!(run("sh -c 'echo secret; exit 3'", "age1abc").unwrap_err(), "`sh` failed: exit status: 3");
        assert!(run("/nowhere/program", "").unwrap_err().starts_with("cannot run `/nowhere/program`"));
        assert_eq!(run("'", "").unwrap_err(), "a quote is not closed");
    }

    #[test]
    fn a_missing_file_is_an_error_only_where_it_was_named() {
        let path = Path::new("/nowhere/keys.txt");
        assert!(matches!(read_identity_file(path, false), SourceContent::Absent(_)));
        assert!(matches!(read_identity_file(path, true), SourceContent::Unreadable(_)));
    }
}
