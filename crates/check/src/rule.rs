//! The rules: ids that stay, how bad each is, what it finds and what to do about it. `docs/check.md` has a section for each.

use std::fmt;
use std::str::FromStr;

/// A rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "`Rule::title` says what each finds")]
pub enum Rule {
    KS001,
    KS002,
    KS003,
    KS004,
    KS005,
    KS006,
    KS009,
    KS010,
    KS011,
    KE101,
    KE103,
    KE104,
    KC202,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// A value is readable, or an encrypted file is broken.
    High,
    /// A key is readable: so is everything that was ever encrypted for it.
    Critical,
}

impl Severity {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no rule `{0}`; the rules are in `docs/check.md`")]
pub struct UnknownRule(pub String);

impl Rule {
    /// All of them, in the order of their ids.
    pub const ALL: [Self; 13] = [
        Self::KS001,
        Self::KS002,
        Self::KS003,
        Self::KS004,
        Self::KS005,
        Self::KS006,
        Self::KS009,
        Self::KS010,
        Self::KS011,
        Self::KE101,
        Self::KE103,
        Self::KE104,
        Self::KC202,
    ];

    /// Its id. What is once an id never means anything else.
    pub const fn id(self) -> &'static str {
        match self {
            Self::KS001 => "KS001",
            Self::KS002 => "KS002",
            Self::KS003 => "KS003",
            Self::KS004 => "KS004",
            Self::KS005 => "KS005",
            Self::KS006 => "KS006",
            Self::KS009 => "KS009",
            Self::KS010 => "KS010",
            Self::KS011 => "KS011",
            Self::KE101 => "KE101",
            Self::KE103 => "KE103",
            Self::KE104 => "KE104",
            Self::KC202 => "KC202",
        }
    }

    /// Its heading in `docs/check.md`, as a fragment of a URL.
    pub const fn anchor(self) -> &'static str {
        match self {
            Self::KS001 => "ks001",
            Self::KS002 => "ks002",
            Self::KS003 => "ks003",
            Self::KS004 => "ks004",
            Self::KS005 => "ks005",
            Self::KS006 => "ks006",
            Self::KS009 => "ks009",
            Self::KS010 => "ks010",
            Self::KS011 => "ks011",
            Self::KE101 => "ke101",
            Self::KE103 => "ke103",
            Self::KE104 => "ke104",
            Self::KC202 => "kc202",
        }
    }

    /// How bad a finding of it is.
    pub const fn severity(self) -> Severity {
        match self {
            Self::KS011 => Severity::Critical,
            _ => Severity::High,
        }
    }

    /// What it finds, in a few words.
    pub const fn title(self) -> &'static str {
        match self {
            Self::KS001 => "Secret with a plain value",
            Self::KS002 => "Secret with a plain value inside another object",
            Self::KS003 => "secretGenerator with a plain value",
            Self::KS004 => "patch that sets a Secret's value",
            Self::KS005 => "Secret with a literal in a Helm template",
            Self::KS006 => "credential in the values of a Helm chart",
            Self::KS009 => "file of credentials",
            Self::KS010 => "decrypted copy beside the encrypted file",
            Self::KS011 => "private key that opens encrypted values",
            Self::KE101 => "plain value in an encrypted file",
            Self::KE103 => "plain document in an encrypted file",
            Self::KE104 => "broken encryption",
            Self::KC202 => "SealedSecret with a plain value",
        }
    }

    /// What to do about it.
    pub const fn hint(self) -> &'static str {
        match self {
            Self::KS001 => "encrypt the file with `bulla encrypt`, or seal it with `bulla seal`",
            Self::KS002 => {
                "move the Secret into a file of its own and encrypt or seal it; remove a leftover annotation"
            }
            Self::KS003 => {
                "encrypt the Secret and list it under `resources`, or let the generator read an encrypted file"
            }
            Self::KS004 => "change the value in the encrypted or sealed Secret instead of patching it",
            Self::KS005 => "take the value from `.Values`, or refer to a Secret that exists already",
            Self::KS006 => "encrypt the values file, or take the value from a Secret (`valuesFrom`, `existingSecret`)",
            Self::KS009 => "encrypt the file or remove it and ignore it; then change the credential at its source",
            Self::KS010 => "delete it, and add its name to `.gitignore`",
            Self::KS011 => "remove it, make a new key, and change every value that was ever encrypted for it",
            Self::KE101 => "encrypt the value with `bulla set`, or decrypt and encrypt the file again",
            Self::KE103 => "move the document into a file of its own, or encrypt the whole file again",
            Self::KE104 => "restore the file from Git, then change it with `bulla edit` or `bulla set` only",
            Self::KC202 => "move the value into `encryptedData` with `bulla seal`",
        }
    }

    /// Why a finding of it is left to a person; `None` if encrypting the file, or sealing the Secret, is what there is to do.
    pub const fn left_because(self) -> Option<&'static str> {
        Some(match self {
            Self::KS001 | Self::KS002 | Self::KS006 | Self::KS009 => return None,
            Self::KS003 | Self::KS004 => "kustomize reads this file as it is, so it cannot be encrypted",
            Self::KS005 => "a template cannot be encrypted",
            Self::KS010 => "nothing is deleted that somebody may need",
            Self::KS011 => {
                "a key that opens what is encrypted is to be replaced; encrypting the file would only hide it"
            }
            Self::KE101 | Self::KE103 | Self::KE104 => "the file is encrypted, and changing it takes its key",
            Self::KC202 => "what of the template is secret is for a person to say",
        })
    }

    /// Of two findings in the same place the one with the smaller rank stays: it says more.
    pub(crate) const fn rank(self) -> u8 {
        match self {
            Self::KS011 => 0,
            Self::KE104 => 1,
            Self::KE101 => 2,
            Self::KE103 => 3,
            Self::KS004 => 4,
            Self::KS003 => 5,
            Self::KS005 => 6,
            Self::KC202 => 7,
            Self::KS002 => 8,
            Self::KS001 => 9,
            Self::KS006 => 10,
            Self::KS009 => 11,
            Self::KS010 => 12,
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

impl FromStr for Rule {
    type Err = UnknownRule;

    fn from_str(id: &str) -> Result<Self, Self::Err> {
        let named = |rule: &Self| rule.id().eq_ignore_ascii_case(id);
        Self::ALL.into_iter().find(named).ok_or_else(|| UnknownRule(id.to_owned()))
    }
}
