//! Functions over text: they read bytes, and characters only where Go's do.

use bulla_wipe::Wiping;
use memchr::memmem;

use crate::error::{Limit, Reason};
use crate::functions::Type::{Any, Int, Text};
use crate::functions::{Function, function, integer, spelled, text, texts};
use crate::quote;
use crate::unicode::{characters, decode, is_digit, is_letter, is_space, lower, title, upper};
use crate::value::{Item, ListKind, MapKind, Work};

pub(crate) static FUNCTIONS: &[Function] = &[
    function("abbrev", &[Int, Text], None, |work, arguments| {
        let shortened = abbreviated(text(arguments, 1), 0, integer(arguments, 0));
        work.text(shortened)
    }),
    function("abbrevboth", &[Int, Int, Text], None, |work, arguments| {
        let (left, right) = (integer(arguments, 0), integer(arguments, 1));
        if left > 0 && right < 7 {
            return work.text(text(arguments, 2).to_vec());
        }
        let shortened = abbreviated(text(arguments, 2), left, right);
        work.text(shortened)
    }),
    function("cat", &[], Some(Any), cat),
    function("contains", &[Text; 2], None, |_, arguments| {
        Ok(Item::Bool(find(text(arguments, 1), text(arguments, 0)).is_some()))
    }),
    function("hasPrefix", &[Text; 2], None, |_, arguments| {
        Ok(Item::Bool(text(arguments, 1).starts_with(text(arguments, 0))))
    }),
    function("hasSuffix", &[Text; 2], None, |_, arguments| {
        Ok(Item::Bool(text(arguments, 1).ends_with(text(arguments, 0))))
    }),
    function("indent", &[Int, Text], None, |work, arguments| indented(work, b"", arguments)),
    function("initials", &[Text], None, initials),
    function("join", &[Text, Any], None, |work, arguments| {
        let parts = texts(work, &arguments[1])?;
        let joined = join(work, parts.iter().map(|part| &**part), text(arguments, 0))?;
        work.text(joined)
    }),
    function("lower", &[Text], None, |work, arguments| mapped(work, text(arguments, 0), lower)),
    function("nindent", &[Int, Text], None, |work, arguments| indented(work, b"\n", arguments)),
    function("nospace", &[Text], None, without_space),
    function("plural", &[Text, Text, Int], None, |_, arguments| {
        Ok(arguments[usize::from(integer(arguments, 2) != 1)].clone())
    }),
    function("quote", &[], Some(Any), |work, arguments| {
        let mut quoted = Vec::new();
        for item in arguments.iter().filter(|item| !matches!(item, Item::Nil)) {
            let spelled = spelled(work, item)?;
            quoted.push(quote::quote(&spelled, '"', false));
        }
        let joined = join(work, quoted.iter().map(|part| &***part), b" ")?;
        work.text(joined)
    }),
    function("repeat", &[Int, Text], None, |work, arguments| {
        let count = usize::try_from(integer(arguments, 0)).map_err(|_| Reason::Invalid("the count is negative"))?;
        let repeated = text(arguments, 1);
        if repeated.len().checked_mul(count).is_none_or(|length| length > work.room()) {
            return Err(Limit::Memory.into());
        }
        work.text(repeated.repeat(count))
    }),
    function("replace", &[Text; 3], None, |work, arguments| {
        let replaced = replace(work, text(arguments, 2), text(arguments, 0), text(arguments, 1))?;
        work.text(replaced)
    }),
    function("split", &[Text; 2], None, |work, arguments| numbered(work, text(arguments, 0), text(arguments, 1), -1)),
    function("splitList", &[Text; 2], None, |work, arguments| {
        let parts = split(text(arguments, 1), text(arguments, 0), -1);
        let parts = parts.into_iter().map(|part| work.text(part.to_vec())).collect::<Result<_, _>>()?;
        work.list(ListKind::Strings, parts)
    }),
    function("splitn", &[Text, Int, Text], None, |work, arguments| {
        numbered(work, text(arguments, 0), text(arguments, 2), integer(arguments, 1))
    }),
    function("squote", &[], Some(Any), |work, arguments| {
        let mut quoted = Vec::new();
        for item in arguments.iter().filter(|item| !matches!(item, Item::Nil)) {
            let mut part = Wiping::<Vec<u8>>::default();
            part.append(b"'");
            part.append(&spelled(work, item)?);
            part.append(b"'");
            quoted.push(part);
        }
        let joined = join(work, quoted.iter().map(|part| &***part), b" ")?;
        work.text(joined)
    }),
    function("substr", &[Int, Int, Text], None, substring),
    function("title", &[Text], None, capitalised),
    function("toString", &[Any], None, |work, arguments| spelled(work, &arguments[0]).map(Item::Text)),
    function("toStrings", &[Any], None, |work, arguments| {
        if let Item::List(id) = arguments[0]
            && work.list_of(id).kind == ListKind::Strings
        {
            return Ok(arguments[0].clone());
        }
        let texts = texts(work, &arguments[0])?;
        work.list(ListKind::Strings, texts.into_iter().map(Item::Text).collect())
    }),
    function("trim", &[Text], None, |work, arguments| work.text(trimmed(text(arguments, 0), is_space).to_vec())),
    function("trimAll", &[Text; 2], None, trim_all),
    function("trimall", &[Text; 2], None, trim_all),
    function("trimPrefix", &[Text; 2], None, |work, arguments| {
        let from = text(arguments, 1);
        work.text(from.strip_prefix(text(arguments, 0)).unwrap_or(from).to_vec())
    }),
    function("trimSuffix", &[Text; 2], None, |work, arguments| {
        let from = text(arguments, 1);
        work.text(from.strip_suffix(text(arguments, 0)).unwrap_or(from).to_vec())
    }),
    function("trunc", &[Int, Text], None, |work, arguments| {
        let from = text(arguments, 1);
        let length = usize::try_from(integer(arguments, 0).unsigned_abs()).unwrap_or(usize::MAX);
        let kept = if length >= from.len() {
            from
        } else if integer(arguments, 0) < 0 {
            &from[from.len() - length..]
        } else {
            &from[..length]
        };
        work.text(kept.to_vec())
    }),
    function("untitle", &[Text], None, uncapitalised),
    function("upper", &[Text], None, |work, arguments| mapped(work, text(arguments, 0), upper)),
    function("wrap", &[Int, Text], None, |work, arguments| {
        wrapped(work, text(arguments, 1), integer(arguments, 0), b"\n", false)
    }),
    function("wrapWith", &[Int, Text, Text], None, |work, arguments| {
        wrapped(work, text(arguments, 2), integer(arguments, 0), text(arguments, 1), true)
    }),
];

/// At most `width` bytes of a text, from about `offset` on; three dots stand for what is left out.
fn abbreviated(text: &[u8], offset: i64, width: i64) -> Vec<u8> {
    let length = i64::try_from(text.len()).unwrap_or(i64::MAX);
    let part = |from: i64, to: i64| {
        let place = |at: i64| usize::try_from(at.clamp(0, length)).unwrap_or(text.len());
        text[place(from)..place(to).max(place(from))].to_vec()
    };
    if width < 4 || length <= width {
        return text.to_vec();
    }
    let offset = offset.min(length).min(length - (width - 3));
    if offset <= 4 {
        return [part(0, width - 3), b"...".to_vec()].concat();
    }
    if width < 7 {
        return Vec::new();
    }
    if offset + width - 3 < length {
        return [b"...".to_vec(), part(offset, offset + width - 6), b"...".to_vec()].concat();
    }
    [b"...".to_vec(), part(length - (width - 3), length)].concat()
}

/// Breaks a text at blanks, so that lines have at most `width` bytes; words that are longer are broken if `anywhere`.
fn wrapped(work: &mut Work, text: &[u8], width: i64, separator: &[u8], anywhere: bool) -> Result<Item, Reason> {
    let width = usize::try_from(width).unwrap_or(0).max(1);
    let separator = if separator.is_empty() { b"\n" } else { separator };
    let mut out = Wiping::<Vec<u8>>::default();
    let mut rest = text;
    while rest.len() > width {
        if let Some(behind) = rest.strip_prefix(b" ") {
            rest = behind;
            continue;
        }
        work.spend(1 + width.min(rest.len()) / 256)?;
        let blank = rest[..=width].iter().rposition(|&byte| byte == b' ');
        let (line, behind) = match blank {
            Some(blank) => (&rest[..blank], &rest[blank + 1..]),
            None if anywhere => rest.split_at(width),
            None => match rest[width..].iter().position(|&byte| byte == b' ') {
                Some(blank) => (&rest[..width + blank], &rest[width + blank + 1..]),
                None => break,
            },
        };
        if out.len() + line.len() + separator.len() > work.room() {
            return Err(Limit::Memory.into());
        }
        out.append(line);
        out.append(separator);
        rest = behind;
    }
    out.append(rest);
    work.text(out)
}

/// Where `part` begins in `text`, in linear time.
pub(crate) fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    memmem::find(text, part)
}

/// `strings.Split`; with a `limit` above 0 the last part is all that is left, with 0 there is none.
pub(crate) fn split<'t>(text: &'t [u8], separator: &[u8], limit: i64) -> Vec<&'t [u8]> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut parts = Vec::new();
    let mut rest = text;
    if limit == 0 {
        return parts;
    }
    if separator.is_empty() {
        while !rest.is_empty() {
            let length = if parts.len() + 1 == limit { rest.len() } else { decode(rest).1 };
            let (part, behind) = rest.split_at(length);
            parts.push(part);
            rest = behind;
        }
        return parts;
    }
    while parts.len() + 1 < limit
        && let Some(place) = find(rest, separator)
    {
        parts.push(&rest[..place]);
        rest = &rest[place + separator.len()..];
    }
    parts.push(rest);
    parts
}

fn numbered(work: &mut Work, separator: &[u8], text: &[u8], limit: i64) -> Result<Item, Reason> {
    let mut entries = std::collections::BTreeMap::new();
    for (place, part) in split(text, separator, limit).into_iter().enumerate() {
        entries.insert(crate::value::Text::new(format!("_{place}").as_bytes()), work.text(part.to_vec())?);
    }
    work.map(MapKind::Strings, entries)
}

/// The parts with `separator` between them.
pub(crate) fn join<'t>(
    work: &Work,
    parts: impl Iterator<Item = &'t [u8]>,
    separator: &[u8],
) -> Result<Wiping<Vec<u8>>, Reason> {
    let mut joined = Wiping::<Vec<u8>>::default();
    for (place, part) in parts.enumerate() {
        if joined.len() + part.len() + separator.len() > work.room() {
            return Err(Limit::Memory.into());
        }
        if place > 0 {
            joined.append(separator);
        }
        joined.append(part);
    }
    Ok(joined)
}

/// `strings.ReplaceAll`.
pub(crate) fn replace(work: &Work, text: &[u8], old: &[u8], new: &[u8]) -> Result<Wiping<Vec<u8>>, Reason> {
    if old.is_empty() {
        let characters = characters(text).map(|(_, spelling)| spelling);
        return join(work, std::iter::once(&[][..]).chain(characters).chain(std::iter::once(&[][..])), new).map(
            |mut joined| {
                if text.is_empty() {
                    joined = Wiping::new(new.to_vec());
                }
                joined
            },
        );
    }
    join(work, split(text, old, -1).into_iter(), new)
}

fn cat(work: &mut Work, arguments: &[Item]) -> Result<Item, Reason> {
    let mut parts = Vec::new();
    for item in arguments.iter().filter(|item| !matches!(item, Item::Nil)) {
        parts.push(spelled(work, item)?);
    }
    let joined = join(work, parts.iter().map(|part| &**part), b" ")?;
    work.text(joined)
}

fn indented(work: &mut Work, before: &[u8], arguments: &[Item]) -> Result<Item, Reason> {
    let spaces = usize::try_from(integer(arguments, 0)).map_err(|_| Reason::Invalid("the count is negative"))?;
    if spaces > work.room() {
        return Err(Limit::Memory.into());
    }
    let padding = vec![b' '; spaces];
    let mut line_break = b"\n".to_vec();
    line_break.extend_from_slice(&padding);
    let lines = replace(work, text(arguments, 1), b"\n", &line_break)?;
    let parts = [before, &padding, &lines];
    let joined = join(work, parts.into_iter(), b"")?;
    work.text(joined)
}

/// Each character mapped, as `strings.Map` does it: a byte that is not UTF-8 becomes U+FFFD.
fn mapped(work: &mut Work, text: &[u8], map: impl FnMut(char) -> char) -> Result<Item, Reason> {
    let mut out = Wiping::<Vec<u8>>::with_capacity(text.len());
    for character in characters(text).map(|(character, _)| character).map(map) {
        out.append(character.encode_utf8(&mut [0; 4]).as_bytes());
    }
    work.text(out)
}

/// `strings.Title`: each letter that begins a word.
fn capitalised(work: &mut Work, arguments: &[Item]) -> Result<Item, Reason> {
    let separates = |character: char| {
        if character.is_ascii() {
            return !(character.is_ascii_alphanumeric() || character == '_');
        }
        !is_letter(character) && !is_digit(character) && is_space(character)
    };
    let mut before = ' ';
    mapped(work, text(arguments, 0), |character| {
        let begins = separates(std::mem::replace(&mut before, character));
        if begins { title(character) } else { character }
    })
}

fn uncapitalised(work: &mut Work, arguments: &[Item]) -> Result<Item, Reason> {
    let mut begins = true;
    mapped(work, text(arguments, 0), |character| {
        if is_space(character) {
            begins = true;
            return character;
        }
        if std::mem::take(&mut begins) { lower(character) } else { character }
    })
}

/// As goutils does it: bytes, not characters.
fn initials(work: &mut Work, arguments: &[Item]) -> Result<Item, Reason> {
    let mut out = Wiping::<Vec<u8>>::default();
    let mut begins = true;
    for character in text(arguments, 0).iter().map(|&byte| char::from(byte)) {
        if is_space(character) {
            begins = true;
        } else if std::mem::take(&mut begins) {
            out.append(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
    work.text(out)
}

/// As goutils does it: where there is a space, every byte becomes a character.
fn without_space(work: &mut Work, arguments: &[Item]) -> Result<Item, Reason> {
    let from = text(arguments, 0);
    let mut out = Wiping::<Vec<u8>>::with_capacity(2 * from.len());
    if !from.iter().any(|&byte| is_space(char::from(byte))) {
        return Ok(arguments[0].clone());
    }
    for character in from.iter().map(|&byte| char::from(byte)).filter(|&character| !is_space(character)) {
        out.append(character.encode_utf8(&mut [0; 4]).as_bytes());
    }
    work.text(out)
}

/// `text` without what `cut` accepts at its ends.
pub(crate) fn trimmed(text: &[u8], cut: impl Fn(char) -> bool) -> &[u8] {
    let mut bounds: Option<(usize, usize)> = None;
    let mut place = 0;
    for (character, spelling) in characters(text) {
        if !cut(character) {
            bounds = Some((bounds.map_or(place, |(start, _)| start), place + spelling.len()));
        }
        place += spelling.len();
    }
    bounds.map_or(&[], |(start, end)| &text[start..end])
}

fn trim_all(work: &mut Work, arguments: &[Item]) -> Result<Item, Reason> {
    let set: Vec<char> = characters(text(arguments, 0)).map(|(character, _)| character).collect();
    work.spend(set.len().saturating_mul(text(arguments, 1).len()) / 256)?;
    work.text(trimmed(text(arguments, 1), |character| set.contains(&character)).to_vec())
}

/// Sprig's: a negative start is the beginning, an end that is negative or too far is the end.
fn substring(work: &mut Work, arguments: &[Item]) -> Result<Item, Reason> {
    let from = text(arguments, 2);
    let (start, end) = (integer(arguments, 0), integer(arguments, 1));
    let range = if start < 0 {
        (0, end)
    } else if end < 0 || end > from.len() as i64 {
        (start, from.len() as i64)
    } else {
        (start, end)
    };
    let range = usize::try_from(range.0).ok().zip(usize::try_from(range.1).ok());
    let part =
        range.and_then(|(start, end)| from.get(start..end)).ok_or(Reason::Invalid("the index is out of range"))?;
    work.text(part.to_vec())
}
