//! What is wrong with a configuration, and why there is no rule for a file.

use std::sync::Arc;

use bulla_doc::{ParseError, Position};
use bulla_keys::KeyNameError;
use bulla_pattern::PatternError;

use crate::selector::SelectorError;

/// Why a configuration could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RulesError {
    /// It is no YAML.
    #[error("cannot read the configuration")]
    Parse(#[from] ParseError),
    /// A key that means nothing.
    #[error("{position}: unknown key `{key}`; {}", list(.known))]
    UnknownKey {
        /// The key.
        key: String,
        /// The keys that could stand there.
        known: &'static [&'static str],
        /// Where.
        position: Position,
    },
    /// A key whose value is of another kind.
    #[error("{position}: expected {expected} as `{key}`")]
    Expected {
        /// The key.
        key: &'static str,
        /// What should stand there.
        expected: &'static str,
        /// Where.
        position: Position,
    },
    /// A key that SOPS ignores beside another one.
    #[error("{position}: `{key}` does not count beside `key_groups`; put it into a group")]
    Ignored {
        /// The key.
        key: &'static str,
        /// Where.
        position: Position,
    },
    /// `path_regex` does not compile.
    #[error("{position}: `path_regex` is not a regular expression")]
    Pattern {
        /// Where.
        position: Position,
        /// What is wrong with it.
        source: PatternError,
    },
    /// The selector does not work.
    #[error("{position}: the rule does not say what is encrypted")]
    Selector {
        /// Where the rule is.
        position: Position,
        /// What is wrong.
        source: SelectorError,
    },
    /// No file comes to a rule.
    #[error(
        "{position}: no file comes to this rule: the one at {before} has no `path_regex`, so it matches everything"
    )]
    Unreachable {
        /// Where the rule is.
        position: Position,
        /// Where the rule before it is that matches everything.
        before: Position,
    },
    /// So many groups cannot be needed.
    #[error("{position}: `shamir_threshold` is {threshold}, and the rule has {groups}: {}", if *.groups < 2 {
        "every key of one group opens the file by itself"
    } else {
        "it must be 2 at least, and no more than there are groups"
    })]
    Threshold {
        /// What stands there.
        threshold: i64,
        /// How many groups there are.
        groups: usize,
        /// Where.
        position: Position,
    },
    /// A file has to go to one place.
    #[error(
        "{position}: a destination has one of `s3_bucket`, `gcs_bucket` and `vault_path`, and this one has {found}"
    )]
    Destination {
        /// How many it has.
        found: usize,
        /// Where.
        position: Position,
    },
}

/// Why there is no rule for a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuleError {
    /// There are none at all.
    #[error("the configuration has no `creation_rules`")]
    NoRules,
    /// None matches.
    #[error(
        "no creation rule matches `{file}`: add one, or one without `path_regex` at the end that matches everything"
    )]
    NoMatch {
        /// The path that was searched.
        file: String,
    },
    /// No destination matches.
    #[error("no destination rule matches `{file}`")]
    NoDestination {
        /// The path that was searched.
        file: String,
    },
    /// The rule, or one before it, is broken. Told here only where the whole configuration was not refused for it.
    #[error(transparent)]
    Broken(Arc<RulesError>),
    /// A key is not one.
    #[error("{position}: the rule for `{file}` names a key that is none")]
    Key {
        /// Where it is.
        position: Position,
        /// The path that it matches.
        file: String,
        /// What is wrong with it.
        source: KeyNameError,
    },
}

fn list(names: &[&str]) -> String {
    format!("expected one of `{}`", names.join("`, `"))
}
