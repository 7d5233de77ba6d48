//! What SOPS decides by its configuration.

use serde::{Deserialize, Serialize};

use super::Oracle;
use crate::base64_text;
use crate::lines::Refusal;

/// What a configuration says of one file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Decision {
    /// Are there rules at all?
    pub found: bool,
    /// The keys by group, each as `type id`; `None` without rules.
    pub groups: Option<Vec<Vec<String>>>,
    /// As it is written.
    pub shamir_threshold: i64,
    /// The six selectors, empty where they are not given.
    pub unencrypted_suffix: String,
    /// As above.
    pub encrypted_suffix: String,
    /// As above.
    pub unencrypted_regex: String,
    /// As above.
    pub encrypted_regex: String,
    /// As above.
    pub unencrypted_comment_regex: String,
    /// As above.
    pub encrypted_comment_regex: String,
    /// Does the MAC cover encrypted values only?
    pub mac_only_encrypted: bool,
    /// Where a file `NAME` is published to; of a destination rule.
    pub destination: String,
    /// Without its extensions?
    pub omit_extensions: bool,
}

/// How far each store indents, by a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Indents {
    /// YAML; 0 for the default.
    pub yaml: i64,
    /// JSON; -1 for a tab.
    pub json: i64,
    /// Binary files, likewise.
    pub json_binary: i64,
}

#[derive(Serialize)]
struct Decide<'a> {
    #[serde(with = "base64_text")]
    input: &'a [u8],
    file: &'a str,
    destination: bool,
}

impl Oracle {
    /// What the creation rules of the configuration `input` say of `file`, a path below its directory.
    ///
    /// # Errors
    /// SOPS' own.
    pub fn sops_config(&self, input: &[u8], file: &str) -> Result<Decision, Refusal> {
        self.0.ask("sops-config", &Decide { input, file, destination: false })
    }

    /// What its destination rules say of `file`, as it is given on a command line.
    ///
    /// # Errors
    /// SOPS' own.
    pub fn sops_destination(&self, input: &[u8], file: &str) -> Result<Decision, Refusal> {
        self.0.ask("sops-config", &Decide { input, file, destination: true })
    }

    /// The indentations that it says.
    ///
    /// # Errors
    /// SOPS' own.
    pub fn sops_stores(&self, input: &[u8]) -> Result<Indents, Refusal> {
        #[derive(Serialize)]
        struct Load<'a> {
            #[serde(with = "base64_text")]
            input: &'a [u8],
        }
        self.0.ask("sops-stores", &Load { input })
    }
}
