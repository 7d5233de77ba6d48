//! Exit codes. Stable: scripts rely on them. Where SOPS has a number for the same thing, it is that number.
//!
//! `docs/exit-codes.md` is the same list for users; a test holds the two together.

use std::process::ExitCode;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Nothing that has its own number; several files that failed for different reasons.
    Failed = 1,
    /// The input cannot be read, or is not what it should be.
    Input = 2,
    /// The output cannot be written; the file that was there is unchanged.
    Output = 3,
    /// The output's format has no room for the document.
    Emit = 4,
    /// `.sops.yaml` cannot be read or used.
    Configuration = 5,
    /// Options that exclude each other.
    Conflict = 8,
    /// A value does not open: it was changed, moved or damaged.
    Value = 25,
    /// Every value opens, but the file was changed after it was encrypted, comments included.
    MacMismatch = 51,
    /// The file has no MAC, so nothing tells whether it was changed.
    MacMissing = 52,
    /// The command line is wrong.
    Usage = 64,
    /// A key path is malformed, or leads nowhere.
    Path = 91,
    /// No file was named, and standard input is a terminal.
    NoFile = 100,
    /// Nobody to encrypt for: no recipient was given, and no rule gives one.
    NoRecipient = 111,
    /// The order in which kinds of keys are tried names one twice.
    DuplicateKind = 112,
    /// No key opens it.
    NoKey = 128,
    /// Nothing was changed, so nothing was written.
    Unchanged = 200,
    /// There is no editor, or it failed.
    Editor = 201,
    /// The file is encrypted already.
    AlreadyEncrypted = 203,
    /// The selectors leave every value of the file readable.
    NothingEncrypted = 210,
    /// Somebody else changed the file meanwhile; it was left as it is.
    ChangedMeanwhile = 211,
    /// The certificate is expired.
    Expired = 212,
    /// The cluster cannot be reached, or refuses.
    Cluster = 213,
}

impl Exit {
    /// Every code but success, in the order of their numbers.
    #[cfg(test)]
    pub(crate) const ALL: [Self; 22] = [
        Self::Failed,
        Self::Input,
        Self::Output,
        Self::Emit,
        Self::Configuration,
        Self::Conflict,
        Self::Value,
        Self::MacMismatch,
        Self::MacMissing,
        Self::Usage,
        Self::Path,
        Self::NoFile,
        Self::NoRecipient,
        Self::DuplicateKind,
        Self::NoKey,
        Self::Unchanged,
        Self::Editor,
        Self::AlreadyEncrypted,
        Self::NothingEncrypted,
        Self::ChangedMeanwhile,
        Self::Expired,
        Self::Cluster,
    ];
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_lists_every_code_and_no_other() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/exit-codes.md");
        let documentation = std::fs::read_to_string(path).unwrap();
        let documented: Vec<u8> = documentation
            .lines()
            .filter_map(|line| line.strip_prefix("| ")?.split(" |").next()?.parse().ok())
            .collect();
        let mut expected: Vec<u8> = Exit::ALL.iter().map(|exit| *exit as u8).chain([0]).collect();
        expected.sort_unstable();
        assert_eq!(documented, expected);
    }
}
