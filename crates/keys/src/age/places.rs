//! Where SOPS looks for age identities, in its order. Only says where: reading is the caller's.
//!
//! Source: sops 3.13.3 `age/keysource.go`. SSH keys come first there, too; the other places it visits in random order.

use std::path::{Path, PathBuf};

use bulla_crypto::SecretBytes;

/// One place where identities may be.
#[derive(Debug)]
pub struct Place {
    /// Its name in messages: the environment variable, or the path of a default.
    pub name: String,
    /// What is expected there.
    pub kind: IdentityKind,
    /// How to get at it.
    pub reading: Reading,
}

/// What a source of identities contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdentityKind {
    /// Lines of `AGE-SECRET-KEY-…` and `AGE-PLUGIN-…`, or such a file encrypted with a passphrase.
    Age {
        /// Whether blanks separate keys, as they do in `SOPS_AGE_KEY` alone.
        several_per_line: bool,
    },
    /// One private key of SSH.
    Ssh {
        /// Whether its passphrase may be asked for. Not for what a command prints.
        may_ask: bool,
    },
}

/// How to get at the content of a [`Place`].
#[derive(Debug)]
pub enum Reading {
    /// The variable is not set: nothing to read, but worth a word when nothing else fits.
    NotSet,
    /// The variable's own value.
    Value(SecretBytes),
    /// A file.
    File {
        /// Where it is.
        path: PathBuf,
        /// Whether somebody named it, so that its absence is an error, or it is a default that need not exist.
        named: bool,
    },
    /// What a command prints. It is split into words as a shell would, run without one, and gets the recipient in the environment
    /// variable `SOPS_AGE_RECIPIENT`; so it runs once per recipient that nothing else can open.
    Command(String),
}

/// The places where SOPS looks for age identities, in order.
///
/// `home` is the user's home directory, and `configuration` what [`configuration_directory`] says; without them their defaults are
/// left out.
pub fn identity_places(
    environment: impl Fn(&str) -> Option<String>,
    home: Option<&Path>,
    configuration: Option<&Path>,
) -> Vec<Place> {
    let ssh = IdentityKind::Ssh { may_ask: true };
    let age = IdentityKind::Age { several_per_line: false };
    let variable = |name: &str, kind, reading: fn(String) -> Reading| Place {
        name: name.to_owned(),
        kind,
        reading: environment(name).map_or(Reading::NotSet, reading),
    };
    let file = |path: String| Reading::File { path: path.into(), named: true };
    let default = |path: PathBuf, kind| Place {
        name: path.display().to_string(),
        kind,
        reading: Reading::File { path, named: false },
    };

    let mut places = vec![
        variable("SOPS_AGE_SSH_PRIVATE_KEY_FILE", ssh, file),
        variable("SOPS_AGE_SSH_PRIVATE_KEY_CMD", IdentityKind::Ssh { may_ask: false }, Reading::Command),
    ];
    if let Some(home) = home {
        places.push(default(home.join(".ssh/id_ed25519"), ssh));
        places.push(default(home.join(".ssh/id_rsa"), ssh));
    }
    let value = |text: String| Reading::Value(SecretBytes::new(text.into_bytes()));
    places.push(variable("SOPS_AGE_KEY", IdentityKind::Age { several_per_line: true }, value));
    places.push(variable("SOPS_AGE_KEY_FILE", age, file));
    places.push(variable("SOPS_AGE_KEY_CMD", age, Reading::Command));
    if let Some(configuration) = configuration {
        places.push(default(configuration.join("sops/age/keys.txt"), age));
    }
    places
}

/// The user's configuration directory as SOPS finds it: `XDG_CONFIG_HOME`, else `~/.config`; on macOS
/// `~/Library/Application Support` instead of that; on Windows `%AppData%`, and no variable.
pub fn configuration_directory(environment: impl Fn(&str) -> Option<String>, home: Option<&Path>) -> Option<PathBuf> {
    let set = |name| environment(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if cfg!(windows) {
        return set("AppData");
    }
    let default = if cfg!(target_os = "macos") { "Library/Application Support" } else { ".config" };
    // Go ignores a relative path on Linux by refusing to answer.
    match set("XDG_CONFIG_HOME") {
        Some(path) if path.is_absolute() || cfg!(target_os = "macos") => Some(path),
        Some(_) => None,
        None => home.map(|home| home.join(default)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(places: &[Place]) -> Vec<String> {
        let one = |place: &Place| {
            let reading = match &place.reading {
                Reading::NotSet => "not set".to_owned(),
                Reading::Value(value) => format!("value of {} bytes", value.len()),
                Reading::File { path, named } => format!("file {} named {named}", path.display()),
                Reading::Command(line) => format!("command {line}"),
            };
            format!("{} {:?} {reading}", place.name, place.kind)
        };
        places.iter().map(one).collect()
    }

    #[test]
    fn everything_is_listed_in_the_order_of_sops() {
        let environment = |name: &str| match name {
            "SOPS_AGE_KEY" => Some("AGE".to_owned()),
            "SOPS_AGE_KEY_FILE" => Some("keys".to_owned()),
            "SOPS_AGE_SSH_PRIVATE_KEY_CMD" => Some("pass show ssh".to_owned()),
            _ => None,
        };
        let places = identity_places(environment, Some(Path::new("/h")), Some(Path::new("/c")));
        assert_eq!(
            described(&places),
            [
                "SOPS_AGE_SSH_PRIVATE_KEY_FILE Ssh { may_ask: true } not set",
                "SOPS_AGE_SSH_PRIVATE_KEY_CMD Ssh { may_ask: false } command pass show ssh",
                "/h/.ssh/id_ed25519 Ssh { may_ask: true } file /h/.ssh/id_ed25519 named false",
                "/h/.ssh/id_rsa Ssh { may_ask: true } file /h/.ssh/id_rsa named false",
                "SOPS_AGE_KEY Age { several_per_line: true } value of 3 bytes",
                "SOPS_AGE_KEY_FILE Age { several_per_line: false } file keys named true",
                "SOPS_AGE_KEY_CMD Age { several_per_line: false } not set",
                "/c/sops/age/keys.txt Age { several_per_line: false } file /c/sops/age/keys.txt named false",
            ]
        );
        assert_eq!(identity_places(|_| None, None, None).len(), 5);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_configuration_directory_follows_xdg() {
        let home = Some(Path::new("/h"));
        for (value, expected) in [
            (None, Some("/h/.config")),
            (Some(""), Some("/h/.config")),
            (Some("/x"), Some("/x")),
            (Some("relative"), None),
        ] {
            let environment = |name: &str| (name == "XDG_CONFIG_HOME").then_some(value).flatten().map(str::to_owned);
            assert_eq!(configuration_directory(environment, home), expected.map(PathBuf::from), "{value:?}");
        }
        assert_eq!(configuration_directory(|_| None, None), None);
    }
}
