//! One pattern, asked of Go and of us.

use std::ops::Range;

use bulla_pattern::{BoundedPattern, Groups, Pattern, PatternError};
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
            let mut groups = None;
            // Those that are too large for it are left out.
            let bounded = BoundedPattern::new(pattern).ok();
            let mut search = bounded.as_ref().map(BoundedPattern::search);
            for (haystack, theirs) in haystacks.iter().zip(theirs) {
                let shown = haystack.escape_ascii();
                assert_eq!(ours.is_match_bytes(haystack), theirs.is_match, "whether {pattern:?} matches \"{shown}\"");
                if let Ok(text) = str::from_utf8(haystack) {
                    let span = ours.find(text).map(|found| (found.start, found.end));
                    assert_eq!(span, theirs.span, "where {pattern:?} matches \"{shown}\"");
                    assert_eq!(ours.is_match(text), theirs.is_match);
                    if let Some(search) = &mut search {
                        assert_eq!(
                            search.is_match(text),
                            Ok(theirs.is_match),
                            "bounded: whether {pattern:?} matches \"{shown}\""
                        );
                    }
                    let all = theirs.all.unwrap_or_default();
                    assert_eq!(everywhere(&ours, text), whole(&all), "all matches of {pattern:?} in \"{shown}\"");
                    let groups = groups.get_or_insert_with(|| ours.groups().unwrap());
                    assert_eq!(with_groups(groups, text), all, "the groups of {pattern:?} in \"{shown}\"");
                }
            }
            true
        }
        (ours, theirs) => panic!("{pattern:?}: we say {ours:?}, Go says {theirs:?}"),
    }
}

/// Searches behind each match, as `FindAll` does: an empty match directly behind another is none.
fn all<T>(text: &str, find: impl Fn(usize) -> Option<(Range<usize>, T)>) -> Vec<T> {
    let (mut found, mut from, mut last_end) = (Vec::new(), 0, None);
    while from <= text.len()
        && let Some((range, item)) = find(from)
    {
        if range.end != from || last_end != Some(range.start) {
            found.push(item);
        }
        last_end = Some(range.end);
        let next = || text[from..].chars().next().map_or(1, char::len_utf8);
        from = if range.end > from { range.end } else { from + next() };
    }
    found
}

fn everywhere(pattern: &Pattern, text: &str) -> Vec<Range<usize>> {
    all(text, |from| pattern.find_at(text, from).map(|range| (range.clone(), range)))
}

fn with_groups(groups: &Groups, text: &str) -> Vec<Vec<i64>> {
    let place = |place: usize| i64::try_from(place).unwrap();
    all(text, |from| {
        let found = groups.find_at(text, from)?;
        let groups = (0..=groups.count()).map(|index| found.group(index));
        let flat = groups.flat_map(|range| range.map_or([-1, -1], |range| [place(range.start), place(range.end)]));
        Some((found.range(), flat.collect()))
    })
}

/// Of all matches the whole.
fn whole(all: &[Vec<i64>]) -> Vec<Range<usize>> {
    let place = |place: i64| usize::try_from(place).unwrap();
    all.iter().map(|groups| place(groups[0])..place(groups[1])).collect()
}

/// The error as Go prints it.
fn in_go(error: &PatternError) -> String {
    format!("error parsing regexp: {}: `{}`", error.kind(), error.fragment())
}
