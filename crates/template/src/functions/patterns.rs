//! Go's regular expressions.

use std::ops::Range;

use bulla_pattern::{Groups, Match, Pattern, PatternErrorKind};
use bulla_wipe::Wiping;

use crate::error::{Limit, Reason};
use crate::functions::Type::{Int, Text};
use crate::functions::{Function, function, integer, text};
use crate::unicode::characters;
use crate::value::{Item, ListKind, Work};

pub(crate) static FUNCTIONS: &[Function] = &[
    function("mustRegexFind", &[Text; 2], None, first),
    function("mustRegexFindAll", &[Text, Text, Int], None, all),
    function("mustRegexMatch", &[Text; 2], None, is_match),
    function("mustRegexReplaceAll", &[Text; 3], None, replace),
    function("mustRegexReplaceAllLiteral", &[Text; 3], None, replace_literally),
    function("mustRegexSplit", &[Text, Text, Int], None, split),
    function("regexFind", &[Text; 2], None, first),
    function("regexFindAll", &[Text, Text, Int], None, all),
    // A malformed pattern matches nothing, as in sprig.
    function("regexMatch", &[Text; 2], None, |work, arguments| match is_match(work, arguments) {
        Err(Reason::Invalid(MALFORMED)) => Ok(Item::Bool(false)),
        matched => matched,
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

/// A higher number is none, but a name.
const MOST: usize = 999_999_999;

const MALFORMED: &str = "the pattern is malformed";

/// What compiling a pattern is taken to need, in steps, beside what its size tells.
const COMPILING: usize = 1000;

/// Bytes of a compiled pattern that are taken to be made in one step.
const MADE_IN_A_STEP: usize = 256;

/// Bytes of a compiled pattern times bytes of text that are taken to be gone through in one step, at worst.
const SEARCHED_IN_A_STEP: usize = 8 << 20;

/// What is spent for a pattern that turns out to be too large, in steps: it was nearly made.
const TOO_LARGE: usize = (32 << 20) / MADE_IN_A_STEP;

fn compile(work: &mut Work, pattern: &[u8]) -> Result<Pattern, Reason> {
    work.spend(COMPILING + pattern.len())?;
    let pattern = std::str::from_utf8(pattern).map_err(|_| Reason::Invalid(MALFORMED))?;
    match Pattern::new(pattern) {
        Ok(pattern) => {
            work.spend(pattern.size() / MADE_IN_A_STEP)?;
            Ok(pattern)
        }
        // Go may well accept it, so it is no malformed pattern, which some functions pass over.
        Err(error) if error.kind() == PatternErrorKind::TooLarge => {
            work.spend(TOO_LARGE)?;
            Err(Limit::Memory.into())
        }
        Err(_) => Err(Reason::Invalid(MALFORMED)),
    }
}

/// Takes the steps of a search through `length` bytes for a pattern of this `size`.
fn search(work: &mut Work, length: usize, size: usize) -> Result<(), Reason> {
    work.spend(1 + length / 256 + length.saturating_mul(size) / SEARCHED_IN_A_STEP)
}

fn is_match(work: &mut Work, arguments: &[Item]) -> Result<Item, Reason> {
    let pattern = compile(work, text(arguments, 0))?;
    search(work, text(arguments, 1).len(), pattern.size())?;
    Ok(Item::Bool(pattern.is_match_bytes(text(arguments, 1))))
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
    search(work, searched.text.len(), pattern.size())?;
    let found = pattern.find(&searched.text).map(|range| searched.original(range.start)..searched.original(range.end));
    work.text(found.map_or(&[][..], |range| &text(arguments, 1)[range]).to_vec())
}

/// Where the pattern matches, as `FindAllStringIndex` has it.
fn matches(work: &mut Work, pattern: &[u8], searched: &[u8], limit: i64) -> Result<Vec<Range<usize>>, Reason> {
    let compiled = compile(work, pattern)?;
    let searched = Searched::new(searched);
    let sizes = (compiled.size(), size_of::<Range<usize>>());
    let ranges = everywhere(work, &searched.text, limit, sizes, |from| {
        let range = compiled.find_at(&searched.text, from)?;
        Some((range.clone(), range))
    })?;
    Ok(ranges.into_iter().map(|range| searched.original(range.start)..searched.original(range.end)).collect())
}

/// What `find` finds, searching again behind each match: no empty match directly behind another. `sizes` are those of the pattern and
/// of what is kept of a match, in bytes.
fn everywhere<T>(
    work: &mut Work,
    text: &str,
    limit: i64,
    (pattern, kept): (usize, usize),
    find: impl Fn(usize) -> Option<(Range<usize>, T)>,
) -> Result<Vec<T>, Reason> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut all = Vec::new();
    let (mut from, mut last_end) = (0, None);
    while from <= text.len() && all.len() < limit {
        // Each search may read to the end.
        search(work, text.len() - from, pattern)?;
        let Some((range, found)) = find(from) else { break };
        if !range.is_empty() || last_end != Some(range.start) {
            work.allow(kept)?;
            all.push(found);
        }
        last_end = Some(range.end);
        let next = |at: usize| at + text[at..].chars().next().map_or(1, char::len_utf8);
        from = if range.end > from { range.end } else { next(range.end) };
    }
    Ok(all)
}

fn all(work: &mut Work, arguments: &[Item]) -> Result<Item, Reason> {
    let searched = text(arguments, 1);
    let found = matches(work, text(arguments, 0), searched, integer(arguments, 2))?;
    if found.is_empty() {
        return work.nil_list(ListKind::Strings);
    }
    let texts = found.into_iter().map(|range| work.text(searched[range].to_vec())).collect::<Result<_, _>>()?;
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
    for Range { start, end: behind } in matches(work, pattern, searched, limit)? {
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
    let searched = text(arguments, 1);
    let found = matches(work, text(arguments, 0), searched, -1)?;
    let mut out = Replaced::new(searched);
    for range in found {
        out.skip_to(work, range)?;
        out.append(work, text(arguments, 2))?;
    }
    out.finish(work)
}

fn replace(work: &mut Work, arguments: &[Item]) -> Result<Item, Reason> {
    let (pattern, template) = (text(arguments, 0), text(arguments, 2));
    if !template.contains(&b'$') {
        return replace_literally(work, arguments);
    }
    let compiled = compile(work, pattern)?;
    // It is compiled once more, and only its size can be wrong now.
    work.spend(COMPILING + pattern.len())?;
    let groups = compiled.groups().map_err(|_| Reason::from(Limit::Memory))?;
    work.spend(groups.size() / MADE_IN_A_STEP)?;
    let parts = expansion(template, &groups);
    let searched = Searched::new(text(arguments, 1));
    let kept = size_of::<Match>() + (1 + groups.count()) * size_of::<Option<Range<usize>>>();
    let found = everywhere(work, &searched.text, -1, (groups.size(), kept), |from| {
        let found = groups.find_at(&searched.text, from)?;
        Some((found.range(), found))
    })?;
    let mut out = Replaced::new(text(arguments, 1));
    let original = |range: Range<usize>| searched.original(range.start)..searched.original(range.end);
    for found in found {
        out.skip_to(work, original(found.range()))?;
        for part in &parts {
            match part {
                Part::Text(text) => out.append(work, text)?,
                Part::Groups(indices) => {
                    if let Some(range) = took_part(&found, indices) {
                        out.append(work, &text(arguments, 1)[original(range)])?;
                    }
                }
            }
        }
    }
    out.finish(work)
}

/// The first of these groups that is part of the match.
fn took_part(found: &Match, indices: &[usize]) -> Option<Range<usize>> {
    indices.iter().find_map(|index| found.group(*index))
}

/// A text that is copied while parts of it are replaced.
struct Replaced<'t> {
    text: &'t [u8],
    /// What has been copied.
    copied: usize,
    out: Wiping<Vec<u8>>,
}

impl<'t> Replaced<'t> {
    fn new(text: &'t [u8]) -> Self {
        Self { text, copied: 0, out: Wiping::with_capacity(text.len()) }
    }

    /// Copies what is before `range`, and leaves that out.
    fn skip_to(&mut self, work: &Work, range: Range<usize>) -> Result<(), Reason> {
        let before = &self.text[self.copied..range.start];
        self.copied = range.end;
        self.append(work, before)
    }

    fn append(&mut self, work: &Work, text: &[u8]) -> Result<(), Reason> {
        if self.out.len() + text.len() > work.room() {
            return Err(Limit::Memory.into());
        }
        self.out.append(text);
        Ok(())
    }

    fn finish(mut self, work: &mut Work) -> Result<Item, Reason> {
        self.out.append(&self.text[self.copied..]);
        work.text(self.out)
    }
}

/// A part of what a match is replaced by.
enum Part<'t> {
    Text(&'t [u8]),
    /// Groups of one name, or one by its number.
    Groups(Vec<usize>),
}

/// `Regexp.Expand`: `$1`, `${name}` and `$$`. A group that does not exist is empty.
fn expansion<'t>(template: &'t [u8], groups: &Groups) -> Vec<Part<'t>> {
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
        parts.push(Part::Groups(named(name, groups)));
    }
    parts.push(Part::Text(rest));
    parts
}

/// The groups that a name behind a `$` means: its number without zeros in front, or those of this name.
fn named(name: &[u8], groups: &Groups) -> Vec<usize> {
    let name = str::from_utf8(name).unwrap_or_default();
    let is_number = name.bytes().all(|byte| byte.is_ascii_digit()) && (name == "0" || !name.starts_with('0'));
    match name.parse() {
        Ok(number) if is_number && number <= MOST => vec![number],
        _ => groups.named(name).collect(),
    }
}
