//! Errors of SOPS files: reading, decrypting, encrypting, editing.

use bulla_crypto::ValueError;
use bulla_doc::{ParseError, Unwritable, WriteError};
use bulla_keys::WrapError;
use bulla_services::ServiceError;
use bulla_sops::rules::{RuleError, RulesError};
use bulla_sops::{
    ConvertError, DecryptError, EditError, EncryptError, GroupsError, MetadataError, PathError, ReadError, SealError,
    SelectorError, StatusError, TooMuch, ValueFault, WrapKeysError,
};

use crate::error::CommandError;
use crate::error::keys::{of_gpg, of_service};
use crate::exit::Exit;

impl From<ParseError> for CommandError {
    fn from(error: ParseError) -> Self {
        Self::new(Exit::Input, error)
    }
}

impl From<ReadError> for CommandError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Parse(error) => error.into(),
            ReadError::Metadata(error) => error.into(),
            error => Self::new(Exit::Input, error),
        }
    }
}

impl From<MetadataError> for CommandError {
    fn from(error: MetadataError) -> Self {
        let hint = match &error {
            MetadataError::NotEncrypted => "`bulla encrypt` encrypts it",
            _ => "the entry was damaged, by hand or by a merge: restore it from Git",
        };
        Self::new(Exit::Input, error).hint(hint)
    }
}

impl From<StatusError> for CommandError {
    fn from(error: StatusError) -> Self {
        match error {
            StatusError::Read(error) => error.into(),
            StatusError::TooMuch(error) => error.into(),
            error => Self::new(Exit::Input, error),
        }
    }
}

impl From<TooMuch> for CommandError {
    fn from(error: TooMuch) -> Self {
        Self::new(Exit::Input, error)
    }
}

impl From<PathError> for CommandError {
    fn from(error: PathError) -> Self {
        Self::new(Exit::Path, error).hint("quote it for the shell: '[\"db\"][\"password\"]'; or write `db.password`")
    }
}

impl From<SelectorError> for CommandError {
    fn from(error: SelectorError) -> Self {
        let exit = if matches!(error, SelectorError::Conflict(..)) { Exit::Conflict } else { Exit::Usage };
        Self::new(exit, error)
    }
}

impl From<DecryptError> for CommandError {
    fn from(error: DecryptError) -> Self {
        let (exit, hint) = match error {
            DecryptError::Read(error) => return error.into(),
            DecryptError::DataKey(error) => return error.into(),
            DecryptError::TooMuch(error) => return error.into(),
            DecryptError::Value { ref source, .. } => (Exit::Value, of_value(source)),
            DecryptError::MissingMac => (
                Exit::MacMissing,
                "restore the file from Git; to read it all the same, use `--ignore-mac`, and trust nothing in it",
            ),
            DecryptError::Mac { .. } | DecryptError::MacMismatch | DecryptError::Structure => (
                Exit::MacMismatch,
                "look with `git log -p` for what changed; to read it all the same, use `--ignore-mac`, and trust nothing in it",
            ),
            DecryptError::Comments | DecryptError::Comment { .. } => (
                Exit::MacMismatch,
                "look with `git log -p` for what changed; if a person, a formatter or `sops updatekeys` did it, `--ignore-comments` goes on, \
                 and what `bulla set` or `edit` writes with it covers them as they are",
            ),
            error => return Self::new(Exit::Value, error),
        };
        Self::new(exit, error).hint(hint)
    }
}

fn of_value(fault: &ValueFault) -> &'static str {
    match fault {
        ValueFault::Plain(_) | ValueFault::Cipher(ValueError::NotEncrypted) => {
            "it was written there in plain text: restore its line from Git, then set it with `bulla set`, which encrypts it"
        }
        _ => "restore its line from Git; `git log -p` shows when it changed",
    }
}

impl From<EncryptError> for CommandError {
    fn from(error: EncryptError) -> Self {
        let (exit, hint) = match error {
            EncryptError::Parse(error) => return error.into(),
            EncryptError::Seal(error) => return error.into(),
            EncryptError::AlreadyEncrypted(_) => (
                Exit::AlreadyEncrypted,
                Some("`bulla edit` and `bulla set` change an encrypted file; otherwise give that entry another name"),
            ),
            EncryptError::Keys(error) => return error.into(),
            EncryptError::NothingSelected { .. } => {
                (Exit::NothingEncrypted, Some("correct the selector; if it is meant, say `--allow-unencrypted`"))
            }
            EncryptError::Empty => (Exit::Input, None),
            _ => (Exit::Failed, None),
        };
        hint.into_iter().fold(Self::new(exit, error), Self::hint)
    }
}

impl From<GroupsError> for CommandError {
    fn from(error: GroupsError) -> Self {
        Self::new(Exit::Usage, error)
    }
}

impl From<WrapKeysError> for CommandError {
    fn from(error: WrapKeysError) -> Self {
        let (exit, hint) = match error {
            WrapKeysError::NoKeys => {
                (Exit::NoRecipient, Some("name a recipient with `--age`, `--kms` or `--hc-vault-transit`"))
            }
            WrapKeysError::EmptyGroup { .. } => (Exit::NoRecipient, None),
            WrapKeysError::Wrap { ref id, source: WrapError::Service(ref source) } => {
                let hint = of_service(source, id.source);
                if let ServiceError::NoCredentials { tried, .. } = &**source {
                    let places =
                        tried.iter().map(|tried| format!("  {}: {}", tried.place, tried.outcome)).collect::<Vec<_>>();
                    let failed = places.into_iter().fold(Self::new(Exit::Failed, error), Self::detail);
                    return hint.into_iter().fold(failed, Self::hint);
                }
                return hint.into_iter().fold(Self::new(Exit::Failed, error), Self::hint);
            }
            WrapKeysError::Wrap { source: WrapError::Gpg(ref gpg), .. } => (Exit::Failed, of_gpg(gpg)),
            WrapKeysError::DuplicateKey(_) | WrapKeysError::Split { .. } => (Exit::Usage, None),
            WrapKeysError::Wrap { source: WrapError::Recipient(error), .. } => return error.into(),
            _ => (Exit::Failed, None),
        };
        hint.into_iter().fold(Self::new(exit, error), Self::hint)
    }
}

impl From<ConvertError> for CommandError {
    fn from(error: ConvertError) -> Self {
        match error {
            ConvertError::Parse(error) => error.into(),
            ConvertError::Write(error) => error.into(),
            error => Self::new(Exit::Emit, error),
        }
    }
}

impl From<WriteError> for CommandError {
    fn from(error: WriteError) -> Self {
        let hint = match error.reason {
            Unwritable::NoData => Some("it was encrypted from another format: say so with `--output-type`"),
            Unwritable::Bytes => Some("`--output-type binary` writes it as it is"),
            _ => Some("`--output-type yaml` has room for everything"),
        };
        hint.into_iter().fold(Self::new(Exit::Emit, error), Self::hint)
    }
}

impl From<SealError> for CommandError {
    fn from(error: SealError) -> Self {
        Self::new(Exit::Input, error)
    }
}

impl From<EditError> for CommandError {
    fn from(error: EditError) -> Self {
        let (exit, hint) = match error {
            EditError::Parse(error) => return error.into(),
            EditError::Seal(error) => return error.into(),
            EditError::Empty => (Exit::Input, None),
            EditError::Metadata(_) => (Exit::Input, Some("give the entry another name")),
            // Its cause speaks of what was decrypted, and here it is what was given.
            EditError::Type { .. } => {
                return Self::new(Exit::Input, error.to_string())
                    .hint("`--json-value` sets a value of another type: \"text\", 1, true, null, {…}");
            }
            _ => (Exit::Path, None),
        };
        hint.into_iter().fold(Self::new(exit, error), Self::hint)
    }
}

impl From<RulesError> for CommandError {
    fn from(error: RulesError) -> Self {
        Self::new(Exit::Configuration, error)
    }
}

impl From<RuleError> for CommandError {
    fn from(error: RuleError) -> Self {
        let exit = match error {
            RuleError::NoRules | RuleError::NoMatch { .. } => Exit::NoRecipient,
            _ => Exit::Configuration,
        };
        Self::new(exit, error).hint("`--age` names recipients without a rule")
    }
}
