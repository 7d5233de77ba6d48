//! One pattern, asked of Go and of us.

use bulla_pattern::{Pattern, PatternError};
use bulla_testkit::oracle::{Oracle, Refusal};

/// Whether Go accepts `pattern`.
///
/// # Panics
/// If we differ from Go: in accepting it, in the error, in whether it matches one of `haystacks`, or in where.
pub(crate) fn same_as_go(pattern: &str, haystacks: &[&[u8]]) -> bool {
    let theirs = Oracle::shared().regex(pattern.as_bytes(), haystacks);
    match (Pattern::new(pattern), theirs) {
        (Err(ours), Err(Refusal::Error(theirs))) => {
            assert_eq!(in_go(&ours), theirs, "the error in {pattern:?}");
            let fragment = ours.fragment();
            assert_eq!(&pattern[ours.offset()..][..fragment.len()], fragment, "where the error in {pattern:?} is");
            false
        }
        (Ok(ours), Ok(theirs)) => {
            assert_eq!(haystacks.len(), theirs.len());
            for (haystack, theirs) in haystacks.iter().zip(theirs) {
                let shown = haystack.escape_ascii();
                assert_eq!(ours.is_match_bytes(haystack), theirs.is_match, "whether {pattern:?} matches \"{shown}\"");
                if let Ok(text) = str::from_utf8(haystack) {
                    let span = ours.find(text).map(|found| (found.start, found.end));
                    assert_eq!(span, theirs.span, "where {pattern:?} matches \"{shown}\"");
                    assert_eq!(ours.is_match(text), theirs.is_match);
                }
            }
            true
        }
        (ours, theirs) => panic!("{pattern:?}: we say {ours:?}, Go says {theirs:?}"),
    }
}

/// The error as Go prints it.
fn in_go(error: &PatternError) -> String {
    format!("error parsing regexp: {}: `{}`", error.kind(), error.fragment())
}
