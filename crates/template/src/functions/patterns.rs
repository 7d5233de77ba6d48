//! Go's regular expressions.
//!
//! A pattern is searched for again behind each match. What a pattern says of the text before a match (`\b`, a `^` that is not its
//! beginning) is not known there, and groups are not known at all, so functions that need them refuse such patterns.

use bulla_pattern::Pattern;
use bulla_wipe::Wiping;

use crate::error::{Limit, Reason};
use crate::functions::Type::{Int, Text};
use crate::functions::{Function, function, integer, text};
use crate::unicode::characters;
use crate::value::{Item, ListKind, Work};

pub(crate) static FUNCTIONS: &[Function] = &[
    function("mustRegexFind", &[Text; 2], None, first),
    function("mustRegexFindAll", &[Text, Text, Int], None, all),
    function("mustRegexMatch", &[Text; 2], None, |work, arguments| {
        Ok(Item::Bool(compile(work, text(arguments, 0))?.is_match_bytes(text(arguments, 1))))
    }),
    function("mustRegexReplaceAll", &[Text; 3], None, replace),
    function("mustRegexReplaceAllLiteral", &[Text; 3], None, replace_literally),
    function("mustRegexSplit", &[Text, Text, Int], None, split),
    function("regexFind", &[Text; 2], None, first),
    function("regexFindAll", &[Text, Text, Int], None, all),
    // A malformed pattern matches nothing, as in sprig.
    function("regexMatch", &[Text; 2], None, |work, arguments| match compile(work, text(arguments, 0)) {
        Ok(pattern) => Ok(Item::Bool(pattern.is_match_bytes(text(arguments, 1)))),
        Err(Reason::Invalid(MALFORMED)) => Ok(Item::Bool(false)),
        Err(reason) => Err(reason),
    }),
    function("regexQuoteMeta", &[Text], None, |work, arguments| {
        let mut quoted = Wiping::<Vec<u8>>::with_capacity(2 * text(arguments, 0).len());
        for &byte in text(arguments, 0) {
            if br"\.+*?()|[]{}^$".contains(&byte) {
                quoted.append(b"\\");
            }
            quoted.append(&[byte]);
        }
        work.text(quoted)
    }),
    function("regexReplaceAll", &[Text; 3], None, replace),
    function("regexReplaceAllLiteral", &[Text; 3], None, replace_literally),
    function("regexSplit", &[Text, Text, Int], None, split),
];

const MALFORMED: &str = "the pattern is malformed";

/// What compiling a pattern is taken to need, in steps.
const COMPILING: usize = 1000;

fn compile(work: &mut Work, pattern: &[u8]) -> Result<Pattern, Reason> {
    work.spend(COMPILING + pattern.len())?;
    let pattern = std::str::from_utf8(pattern).map_err(|_| Reason::Invalid(MALFORMED))?;
    Pattern::new(pattern).map_err(|_| Reason::Invalid(MALFORMED))
}

/// Text in which each byte that is not UTF-8 is U+FFFD, and where each of its bytes is in the original.
struct Searched {
    text: Wiping<String>,
    /// Only where they differ.
    offsets: Option<Vec<usize>>,
}

impl Searched {
    fn new(bytes: &[u8]) -> Self {
        if let Ok(text) = std::str::from_utf8(bytes) {
            return Self { text: Wiping::new(text.to_owned()), offsets: None };
        }
        let mut text = Wiping::<String>::default();
        let mut offsets = Vec::with_capacity(bytes.len() + 1);
        let mut place = 0;
        for (character, spelling) in characters(bytes) {
            let length = character.len_utf8();
            text.append(character.encode_utf8(&mut [0; 4]));
            offsets.extend((0..length).map(|byte| place + byte.min(spelling.len())));
            place += spelling.len();
        }
        offsets.push(place);
        Self { text, offsets: Some(offsets) }
    }

    fn original(&self, place: usize) -> usize {
        self.offsets.as_ref().map_or(place, |offsets| offsets[place])
    }
}

fn first(work: &mut Work, arguments: &[Item]) -> Result<Item, Reason> {
    let pattern = compile(work, text(arguments, 0))?;
    let searched = Searched::new(text(arguments, 1));
    let found = pattern.find(&searched.text).map(|range| searched.original(range.start)..searched.original(range.end));
    work.text(found.map_or(&[][..], |range| &text(arguments, 1)[range]).to_vec())
}

/// Where the pattern matches, as `FindAllStringIndex` has it: no empty match directly behind another.
fn matches(work: &mut Work, pattern: &[u8], searched: &[u8], limit: i64) -> Result<Vec<(usize, usize)>, Reason> {
    let compiled = compile(work, pattern)?;
    let looks_back = looks_back(compiled.as_str());
    if looks_back == LooksBack::Anywhere {
        return Err(Reason::Invalid("a pattern that looks at what is before a match can only be searched for once"));
    }
    let searched = Searched::new(searched);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut found = Vec::new();
    let (mut from, mut last_end) = (0, None);
    while from <= searched.text.len() && found.len() < limit {
        if from > 0 && looks_back == LooksBack::AtStart {
            break;
        }
        // Each search may read to the end.
        work.spend(1 + (searched.text.len() - from) / 256)?;
        let Some(range) = compiled.find(&searched.text[from..]) else {
            break;
        };
        let (start, end) = (from + range.start, from + range.end);
        let follows = start == end && last_end == Some(start);
        if !follows {
            found.push((searched.original(start), searched.original(end)));
        }
        last_end = Some(end);
        from = if end > from { end } else { end + searched.text[end..].chars().next().map_or(1, char::len_utf8) };
    }
    Ok(found)
}

/// Whether what is before a match decides it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LooksBack {
    No,
    /// It matches at the beginning of the text only.
    AtStart,
    Anywhere,
}

fn looks_back(pattern: &str) -> LooksBack {
    let (anchored, rest) = match pattern.strip_prefix('^').or_else(|| pattern.strip_prefix(r"\A")) {
        Some(rest) => (true, rest),
        None => (false, pattern),
    };
    let mut characters = rest.chars().peekable();
    let mut before = ' ';
    while let Some(character) = characters.next() {
        let looks = match character {
            '\\' => matches!(characters.next(), Some('b' | 'B' | 'A')),
            // In a class it is no anchor. Where a class begins is not looked at closer than this.
            '^' => before != '[',
            // One branch is anchored, another may not be.
            '|' => anchored,
            _ => false,
        };
        if looks {
            return LooksBack::Anywhere;
        }
        before = character;
    }
    if anchored { LooksBack::AtStart } else { LooksBack::No }
}

fn all(work: &mut Work, arguments: &[Item]) -> Result<Item, Reason> {
    let searched = text(arguments, 1);
    let found = matches(work, text(arguments, 0), searched, integer(arguments, 2))?;
    if found.is_empty() {
        return work.nil_list(ListKind::Strings);
    }
    let texts =
        found.into_iter().map(|(start, end)| work.text(searched[start..end].to_vec())).collect::<Result<_, _>>()?;
    work.list(ListKind::Strings, texts)
}

/// `Regexp.Split`.
fn split(work: &mut Work, arguments: &[Item]) -> Result<Item, Reason> {
    let (pattern, searched, limit) = (text(arguments, 0), text(arguments, 1), integer(arguments, 2));
    if limit == 0 {
        compile(work, pattern)?;
        return work.nil_list(ListKind::Strings);
    }
    let mut parts = Vec::new();
    if !pattern.is_empty() && searched.is_empty() {
        compile(work, pattern)?;
        parts.push(work.text(Vec::new())?);
        return work.list(ListKind::Strings, parts);
    }
    let limit_of_parts = usize::try_from(limit).unwrap_or(usize::MAX);
    let (mut from, mut end) = (0, 0);
    for (start, behind) in matches(work, pattern, searched, limit)? {
        if parts.len() + 1 == limit_of_parts {
            break;
        }
        end = start;
        if behind != 0 {
            parts.push(work.text(searched[from..end].to_vec())?);
        }
        from = behind;
    }
    if end != searched.len() {
        parts.push(work.text(searched[from..].to_vec())?);
    }
    work.list(ListKind::Strings, parts)
}

fn replace_literally(work: &mut Work, arguments: &[Item]) -> Result<Item, Reason> {
    let found = matches(work, text(arguments, 0), text(arguments, 1), -1)?;
    replaced(work, text(arguments, 1), &found, |_, out| out.append(text(arguments, 2)))
}

fn replace(work: &mut Work, arguments: &[Item]) -> Result<Item, Reason> {
    let (pattern, searched) = (text(arguments, 0), text(arguments, 1));
    let parts = expansion(text(arguments, 2), pattern.contains(&b'('))?;
    let found = matches(work, pattern, searched, -1)?;
    replaced(work, searched, &found, |range, out| {
        for part in &parts {
            out.append(match part {
                Part::Text(text) => text,
                Part::Match => &searched[range.0..range.1],
            });
        }
    })
}

fn replaced(
    work: &mut Work,
    searched: &[u8],
    found: &[(usize, usize)],
    replacement: impl Fn((usize, usize), &mut Wiping<Vec<u8>>),
) -> Result<Item, Reason> {
    let mut out = Wiping::<Vec<u8>>::with_capacity(searched.len());
    let mut from = 0;
    for &(start, end) in found {
        out.append(&searched[from..start]);
        replacement((start, end), &mut out);
        from = end;
        if out.len() > work.room() {
            return Err(Limit::Memory.into());
        }
    }
    out.append(&searched[from..]);
    work.text(out)
}

/// A part of what a match is replaced by.
enum Part<'t> {
    Text(&'t [u8]),
    Match,
}

/// `Regexp.Expand`: `$1`, `${name}` and `$$`. A group that does not exist is empty.
fn expansion(template: &[u8], has_groups: bool) -> Result<Vec<Part<'_>>, Reason> {
    let mut parts = Vec::new();
    let mut rest = template;
    while let Some(place) = rest.iter().position(|&byte| byte == b'$') {
        parts.push(Part::Text(&rest[..place]));
        rest = &rest[place..];
        if rest.starts_with(b"$$") {
            parts.push(Part::Text(b"$"));
            rest = &rest[2..];
            continue;
        }
        let braced = rest.starts_with(b"${");
        let from = if braced { 2 } else { 1 };
        let is_name = |&(character, _): &(char, &[u8])| {
            character == '_' || crate::unicode::is_letter(character) || crate::unicode::is_digit(character)
        };
        let length: usize = characters(&rest[from..]).take_while(is_name).map(|(_, spelling)| spelling.len()).sum();
        let name = &rest[from..from + length];
        if length == 0 || braced && rest.get(from + length) != Some(&b'}') {
            parts.push(Part::Text(b"$"));
            rest = &rest[1..];
            continue;
        }
        rest = &rest[from + length + usize::from(braced)..];
        if name == b"0" {
            parts.push(Part::Match);
        } else if has_groups {
            return Err(Reason::Invalid("groups in a replacement are not supported"));
        }
    }
    parts.push(Part::Text(rest));
    Ok(parts)
}
