//! Which values of a file are encrypted: one of SOPS' six rules.
//!
//! ```text
//! unencrypted_suffix, encrypted_suffix                  a key on the way ends with it
//! unencrypted_regex, encrypted_regex                    a key on the way matches, each tested by itself
//! unencrypted_comment_regex, encrypted_comment_regex    a comment before the entry, or before one that it lies in, matches
//! ```
//! Suffixes and expressions apply to a key's whole subtree, comments in it included. Indices of lists are no keys. Comments count
//! for the next entry of their container, all of them; under `encrypted_comment_regex` the line that matches stays readable itself.
//!
//! Source: sops 3.13.3 `sops.go` (`shouldBeEncrypted`, `walkBranch`, `walkSlice`). Unlike SOPS, for which a regular expression that
//! does not compile matches nothing, so that a file stays plain text, it is an error here.
//!
//! Anybody can write a file with an expression in it, so expressions are bounded in size and in the work that searching for them may
//! be. Those of configurations too: what is encrypted by one must be opened by the same.

use std::fmt;
use std::sync::Arc;

use bulla_pattern::{BoundedPattern, BoundedSearch, PatternError, TooMuchWork};

/// The name of a rule, as metadata and configuration spell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SelectorKind {
    /// `unencrypted_suffix`
    UnencryptedSuffix,
    /// `encrypted_suffix`
    EncryptedSuffix,
    /// `unencrypted_regex`
    UnencryptedRegex,
    /// `encrypted_regex`
    EncryptedRegex,
    /// `unencrypted_comment_regex`
    UnencryptedCommentRegex,
    /// `encrypted_comment_regex`
    EncryptedCommentRegex,
}

impl SelectorKind {
    /// All six.
    pub const ALL: [Self; 6] = [
        Self::UnencryptedSuffix,
        Self::EncryptedSuffix,
        Self::UnencryptedRegex,
        Self::EncryptedRegex,
        Self::UnencryptedCommentRegex,
        Self::EncryptedCommentRegex,
    ];

    /// The field's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnencryptedSuffix => "unencrypted_suffix",
            Self::EncryptedSuffix => "encrypted_suffix",
            Self::UnencryptedRegex => "unencrypted_regex",
            Self::EncryptedRegex => "encrypted_regex",
            Self::UnencryptedCommentRegex => "unencrypted_comment_regex",
            Self::EncryptedCommentRegex => "encrypted_comment_regex",
        }
    }

    /// Does what matches get encrypted, or everything else?
    const fn encrypts_matches(self) -> bool {
        matches!(self, Self::EncryptedSuffix | Self::EncryptedRegex | Self::EncryptedCommentRegex)
    }

    const fn is_suffix(self) -> bool {
        matches!(self, Self::UnencryptedSuffix | Self::EncryptedSuffix)
    }
}

impl fmt::Display for SelectorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The rule of one file.
#[derive(Debug, Clone)]
pub struct Selector {
    kind: SelectorKind,
    test: Test,
}

#[derive(Debug, Clone)]
enum Test {
    Suffix(String),
    Regex(Arc<BoundedPattern>),
}

/// Why there is no rule to be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SelectorError {
    /// More than one rule.
    #[error("`{0}` and `{1}` exclude each other: a file has one rule for what is encrypted")]
    Conflict(SelectorKind, SelectorKind),
    /// The expression does not compile. SOPS would leave the file unencrypted without a word.
    #[error("`{kind}` is not a regular expression")]
    Regex {
        /// Which rule.
        kind: SelectorKind,
        /// What is wrong with it.
        source: PatternError,
    },
}

/// SOPS' own rule where none is given: `unencrypted_suffix: _unencrypted`.
impl Default for Selector {
    fn default() -> Self {
        Self { kind: SelectorKind::UnencryptedSuffix, test: Test::Suffix("_unencrypted".to_owned()) }
    }
}

/// The same rule in the same words.
impl PartialEq for Selector {
    fn eq(&self, other: &Self) -> bool {
        (self.kind(), self.text()) == (other.kind(), other.text())
    }
}

impl Eq for Selector {}

impl Selector {
    /// The rule `kind` with its suffix or expression.
    ///
    /// # Errors
    /// [`SelectorError::Regex`].
    pub fn new(kind: SelectorKind, text: &str) -> Result<Self, SelectorError> {
        let test = if kind.is_suffix() {
            Test::Suffix(text.to_owned())
        } else {
            let pattern = BoundedPattern::new(text).map_err(|source| SelectorError::Regex { kind, source })?;
            Test::Regex(Arc::new(pattern))
        };
        Ok(Self { kind, test })
    }

    /// The only one of `given` that is not empty; `None` if all are.
    ///
    /// # Errors
    /// [`SelectorError`]
    pub fn choose<'t>(given: impl IntoIterator<Item = (SelectorKind, &'t str)>) -> Result<Option<Self>, SelectorError> {
        let mut given = given.into_iter().filter(|(_, text)| !text.is_empty());
        match (given.next(), given.next()) {
            (None, _) => Ok(None),
            (Some((kind, text)), None) => Self::new(kind, text).map(Some),
            (Some((first, _)), Some((second, _))) => Err(SelectorError::Conflict(first, second)),
        }
    }

    /// Which rule.
    pub fn kind(&self) -> SelectorKind {
        self.kind
    }

    /// The suffix or expression.
    pub fn text(&self) -> &str {
        match &self.test {
            Test::Suffix(suffix) => suffix,
            Test::Regex(pattern) => pattern.as_str(),
        }
    }

    /// Does it look at comments, and not at keys?
    pub fn is_about_comments(&self) -> bool {
        matches!(self.kind, SelectorKind::UnencryptedCommentRegex | SelectorKind::EncryptedCommentRegex)
    }

    /// Begins to look at the keys or comments of a document.
    pub(crate) fn matcher(&self) -> Matcher<'_> {
        let search = match &self.test {
            Test::Suffix(_) => None,
            Test::Regex(pattern) => Some(pattern.search()),
        };
        Matcher { selector: self, search }
    }
}

/// A rule at work on one document.
#[derive(Debug)]
pub(crate) struct Matcher<'s> {
    pub(crate) selector: &'s Selector,
    search: Option<BoundedSearch<'s>>,
}

impl Matcher<'_> {
    /// Would an encrypted comment with this text be taken for one that keeps its entry unencrypted?
    pub(crate) fn is_misled_by(&mut self, encrypted_comment: &str) -> Result<bool, TooMuchWork> {
        Ok(self.selector.kind == SelectorKind::UnencryptedCommentRegex && self.matches(encrypted_comment)?)
    }

    fn matches(&mut self, text: &str) -> Result<bool, TooMuchWork> {
        match (&self.selector.test, &mut self.search) {
            (Test::Regex(_), Some(search)) => search.is_match(text),
            // An empty suffix is none.
            (Test::Suffix(suffix), _) => Ok(!suffix.is_empty() && text.ends_with(suffix.as_str())),
            (Test::Regex(_), None) => Ok(false),
        }
    }
}

/// What a [`Selector`] remembers of one container on the way to a value.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Level {
    /// Some key on the way here matches.
    keys: bool,
    /// Some comment matches that counts for the whole container.
    outer: bool,
    /// Some comment matches that counts for the next entry.
    next: bool,
}

impl Level {
    /// The level of a container that is an entry (with its key) or item (without) of this one.
    pub(crate) fn enter(self, matcher: &mut Matcher<'_>, key: Option<&str>) -> Result<Self, TooMuchWork> {
        Ok(Self { keys: self.matches_key(matcher, key)?, outer: self.outer || self.next, next: false })
    }

    /// After an entry or item that is no comment.
    pub(crate) fn pass(&mut self) {
        self.next = false;
    }

    /// Is the value of this entry or item encrypted?
    pub(crate) fn selects(self, matcher: &mut Matcher<'_>, key: Option<&str>) -> Result<bool, TooMuchWork> {
        let selector = matcher.selector;
        let matched =
            if selector.is_about_comments() { self.outer || self.next } else { self.matches_key(matcher, key)? };
        Ok(matched == selector.kind.encrypts_matches())
    }

    /// Is this comment, the next thing in the container, encrypted?
    pub(crate) fn selects_comment(&mut self, matcher: &mut Matcher<'_>, text: &str) -> Result<bool, TooMuchWork> {
        let selector = matcher.selector;
        if !selector.is_about_comments() {
            return Ok(self.keys == selector.kind.encrypts_matches());
        }
        let before = self.outer || self.next;
        self.next |= matcher.matches(text)?;
        Ok(if selector.kind.encrypts_matches() { before } else { !(self.outer || self.next) })
    }

    fn matches_key(self, matcher: &mut Matcher<'_>, key: Option<&str>) -> Result<bool, TooMuchWork> {
        if self.keys || matcher.selector.is_about_comments() {
            return Ok(self.keys);
        }
        key.map_or(Ok(false), |key| matcher.matches(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_one_rule_is_chosen() {
        use SelectorKind::{EncryptedRegex, EncryptedSuffix, UnencryptedSuffix};
        assert!(Selector::choose([(EncryptedSuffix, "")]).unwrap().is_none());
        let chosen = Selector::choose([(EncryptedSuffix, ""), (EncryptedRegex, "^a")]).unwrap().unwrap();
        assert_eq!((chosen.kind(), chosen.text()), (EncryptedRegex, "^a"));
        let error = Selector::choose([(UnencryptedSuffix, "_x"), (EncryptedRegex, "^a")]).unwrap_err();
        assert_eq!(error, SelectorError::Conflict(UnencryptedSuffix, EncryptedRegex));
    }

    #[test]
    fn an_expression_that_does_not_compile_is_an_error() {
        let error = Selector::new(SelectorKind::EncryptedRegex, "(").unwrap_err();
        assert_eq!(error.to_string(), "`encrypted_regex` is not a regular expression");
    }

    #[test]
    fn keys_count_for_their_subtree_and_each_by_itself() {
        for (kind, text, path, encrypted) in [
            (SelectorKind::UnencryptedSuffix, "_unencrypted", &["a"][..], true),
            (SelectorKind::UnencryptedSuffix, "_unencrypted", &["a_unencrypted", "b"], false),
            (SelectorKind::UnencryptedSuffix, "_unencrypted", &["a_unencrypted_not"], true),
            (SelectorKind::EncryptedSuffix, "_secret", &["a", "b_secret"], true),
            (SelectorKind::EncryptedSuffix, "_secret", &["a", "b"], false),
            (SelectorKind::EncryptedRegex, "^(data|stringData)$", &["data", "x"], true),
            (SelectorKind::EncryptedRegex, "^(data|stringData)$", &["metadata", "name"], false),
            (SelectorKind::EncryptedRegex, "a:b", &["a", "b"], false),
            (SelectorKind::EncryptedRegex, "ass", &["password"], true),
            (SelectorKind::UnencryptedRegex, "^meta", &["metadata", "name"], false),
            (SelectorKind::UnencryptedRegex, r"^\d$", &["٣"], true),
        ] {
            let selector = Selector::new(kind, text).unwrap();
            let matcher = &mut selector.matcher();
            let (last, outer) = path.split_last().unwrap();
            let level = outer.iter().fold(Level::default(), |level, key| level.enter(matcher, Some(key)).unwrap());
            assert_eq!(level.selects(matcher, Some(last)).unwrap(), encrypted, "{kind} {text} {path:?}");
            let in_list = level.enter(matcher, Some(last)).unwrap().enter(matcher, None).unwrap();
            assert_eq!(in_list.selects(matcher, None).unwrap(), encrypted, "{kind} {text} {path:?} in a list");
        }
    }

    #[test]
    fn comments_count_for_the_next_entry_and_what_it_holds() {
        let selector = Selector::new(SelectorKind::EncryptedCommentRegex, "secret").unwrap();
        let matcher = &mut selector.matcher();
        let mut level = Level::default();
        assert!(!level.selects(matcher, Some("a")).unwrap());
        level.pass();
        assert!(!level.selects_comment(matcher, " secret").unwrap(), "the line that matches stays readable");
        assert!(level.selects_comment(matcher, " more").unwrap(), "what stands behind it does not");
        assert!(level.selects_comment(matcher, " secret").unwrap(), "nor if it matches too");
        assert!(level.selects(matcher, Some("b")).unwrap());
        assert!(level.enter(matcher, Some("b")).unwrap().selects(matcher, Some("c")).unwrap());
        level.pass();
        assert!(!level.selects(matcher, Some("d")).unwrap());

        let selector = Selector::new(SelectorKind::UnencryptedCommentRegex, "public").unwrap();
        let matcher = &mut selector.matcher();
        let mut level = Level::default();
        assert!(level.selects_comment(matcher, " other").unwrap());
        assert!(!level.selects_comment(matcher, " public").unwrap());
        assert!(!level.selects_comment(matcher, " other").unwrap());
        assert!(!level.enter(matcher, Some("b")).unwrap().selects(matcher, Some("c")).unwrap());
        level.pass();
        assert!(level.selects(matcher, Some("d")).unwrap());
        assert!(matcher.is_misled_by("not public").unwrap() && !matcher.is_misled_by("ENC").unwrap());
    }

    #[test]
    fn keys_do_not_matter_where_comments_decide() {
        let selector = Selector::new(SelectorKind::EncryptedCommentRegex, "secret").unwrap();
        let matcher = &mut selector.matcher();
        assert!(!Level::default().enter(matcher, Some("secret")).unwrap().selects(matcher, Some("secret")).unwrap());
    }
}
