//! GJSON's paths, by which `property` selects a part of JSON: the part of that language that is in use.
//!
//! ```text
//! db.user      the member `user` of the member `db`          a\.b     the member `a.b`
//! hosts.0      the first element                             user*    the first member that begins with `user`; ? is one letter
//! hosts.#      how many elements there are                   hosts.#.name    the `name` of each, as an array
//! ```
//! Queries (`#(…)`), modifiers (`@keys`), pipes (`|`), several paths at once (`[…]`, `{…}`), literals (`!…`) and lines (`..`) are refused
//! by name where GJSON would obey them; as parts of a name where it does not, they stay what they are.
//!
//! Of members with one name the first counts that leads to something. Source: github.com/tidwall/gjson 1.18.0, as in external-secrets
//! 2.9.0. One difference: strings that hold JSON are not looked into.

use std::borrow::Cow;

use bulla_wipe::Wiping;

use crate::json::{Json, Kind, Reader, decimal};

/// The longest path in bytes.
const LONGEST: usize = 1024;
/// The most names in a path: each is a call within a call.
const MOST_NAMES: usize = 128;
/// GJSON's own modifiers. Another name after `@` is part of a name.
const MODIFIERS: [&str; 13] = [
    "pretty", "ugly", "reverse", "this", "flatten", "join", "valid", "keys", "values", "tostr", "fromstr", "group",
    "dig",
];

/// A path that is not followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the property `{path}` has {what}, which is not supported; names, `.`, indexes, `#`, `*`, `?` and `\\` are")]
pub struct PathError {
    path: String,
    what: String,
}

/// What a path leads to.
pub enum Found<'a> {
    /// A value of the text.
    Value(Json<'a>),
    /// How many elements an array has.
    Count(usize),
    /// An array of what each element has there.
    Each(Wiping<Vec<u8>>),
}

impl Found<'_> {
    /// What GJSON's `String()` gives: a string's text, everything else as JSON, null as nothing.
    pub fn text(&self) -> Wiping<Vec<u8>> {
        match self {
            Self::Value(json) => match json.kind() {
                Kind::Null => Wiping::default(),
                Kind::Text => json.text(Reader::Gjson),
                Kind::Number => {
                    let raw = json.raw();
                    let digits = raw.strip_prefix(b"-").unwrap_or(raw);
                    if digits.iter().all(u8::is_ascii_digit) {
                        Wiping::new(raw.to_vec())
                    } else {
                        Wiping::new(decimal(json.number()).into_bytes())
                    }
                }
                Kind::True | Kind::False | Kind::Array | Kind::Object => Wiping::new(json.raw().to_vec()),
            },
            Self::Count(_) | Self::Each(_) => {
                let mut out = Wiping::default();
                self.write(&mut out);
                out
            }
        }
    }

    /// Appends it as JSON.
    fn write(&self, out: &mut Wiping<Vec<u8>>) {
        match self {
            Self::Value(json) => out.append(json.raw()),
            Self::Count(count) => out.append(count.to_string().as_bytes()),
            Self::Each(array) => out.append(array),
        }
    }
}

/// What `path` leads to in `json`, if anything.
///
/// # Errors
/// [`PathError`] if GJSON would do with it what we do not.
pub fn find<'a>(json: Json<'a>, path: &str) -> Result<Option<Found<'a>>, PathError> {
    let refuse = |what: String| PathError { path: path.chars().take(200).collect(), what };
    if path.len() > LONGEST {
        return Err(refuse(format!("more than {LONGEST} bytes")));
    }
    if path.bytes().filter(|byte| *byte == b'.').count() >= MOST_NAMES {
        return Err(refuse(format!("more than {MOST_NAMES} names")));
    }
    get(json, path.as_bytes()).map_err(refuse)
}

/// A path from its beginning, where more has a meaning than behind a dot.
fn get<'a>(json: Json<'a>, path: &[u8]) -> Result<Option<Found<'a>>, String> {
    if path.len() > 1 {
        refuse_what_follows_a_dot(path)?;
        if let Some(literal) = path.strip_prefix(b"!") {
            let end = literal.iter().position(|byte| matches!(byte, b'|' | b'.')).unwrap_or(literal.len());
            let word = literal[..end].to_ascii_lowercase();
            let is_word = matches!(word.as_slice(), b"true" | b"false" | b"null" | b"nan" | b"inf");
            if is_word || matches!(literal[0], b'{' | b'[' | b'"' | b'+' | b'-' | b'0'..=b'9') {
                return Err("a literal (`!`)".to_owned());
            }
        }
        if path.starts_with(b"..") {
            return Err("lines (`..`)".to_owned());
        }
    }
    within(json, path)
}

fn within<'a>(json: Json<'a>, path: &[u8]) -> Result<Option<Found<'a>>, String> {
    match json.kind() {
        Kind::Object => in_object(json, path),
        Kind::Array => in_array(json, path),
        _ => Ok(None),
    }
}

fn in_object<'a>(json: Json<'a>, path: &[u8]) -> Result<Option<Found<'a>>, String> {
    let name = Name::read(path)?;
    for (key, value) in json.members() {
        if !name.fits(&key.text(Reader::Gjson)) {
            continue;
        }
        match name.rest {
            None => return Ok(Some(Found::Value(value))),
            Some(rest) => {
                if let Some(found) = within(value, rest)? {
                    return Ok(Some(found));
                }
            }
        }
    }
    Ok(None)
}

fn in_array<'a>(json: Json<'a>, path: &[u8]) -> Result<Option<Found<'a>>, String> {
    if path.starts_with(b"#(") || path.starts_with(b"#[") {
        return Err("a query (`#(…)`)".to_owned());
    }
    let end = path.iter().position(|byte| matches!(byte, b'.' | b'|')).unwrap_or(path.len());
    let part = &path[..end];
    let rest = match path.get(end) {
        Some(b'|') => return Err(PIPE.to_owned()),
        Some(_) => Some(&path[end + 1..]),
        None => None,
    };
    if part == b"#" {
        return match rest {
            None => Ok(Some(Found::Count(json.elements().count()))),
            Some(rest) => each(json, rest).map(Some),
        };
    }
    if part.contains(&b'#') {
        return Ok(None);
    }
    if let Some(rest) = rest {
        refuse_what_follows_a_dot(rest)?;
    }
    let is_index = !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    let index = str::from_utf8(part).ok().filter(|_| is_index).and_then(|digits| digits.parse::<usize>().ok());
    let Some(value) = index.and_then(|index| json.elements().nth(index)) else { return Ok(None) };
    match rest {
        None => Ok(Some(Found::Value(value))),
        Some(rest) => within(value, rest),
    }
}

/// What `path` leads to in each element, where it leads to something.
fn each<'a>(json: Json<'_>, path: &[u8]) -> Result<Found<'a>, String> {
    if has_pipe(path) {
        return Err(PIPE.to_owned());
    }
    let mut out = Wiping::<Vec<u8>>::default();
    out.append(b"[");
    for element in json.elements() {
        if let Some(found) = get(element, path)? {
            if out.len() > 1 {
                out.append(b",");
            }
            found.write(&mut out);
        }
    }
    out.append(b"]");
    Ok(Found::Each(out))
}

const PIPE: &str = "a pipe (`|`)";

/// Is there a pipe, as GJSON looks for one before it goes through the elements?
fn has_pipe(path: &[u8]) -> bool {
    let mut is_escaped = false;
    path.iter().any(|byte| {
        let is_pipe = *byte == b'|' && !is_escaped;
        is_escaped = *byte == b'\\' && !is_escaped;
        is_pipe
    })
}

/// What may stand at the beginning and behind a dot, and is no name.
fn refuse_what_follows_a_dot(path: &[u8]) -> Result<(), String> {
    match path.first() {
        Some(b'[' | b'{') => Err("several paths at once (`[…]`, `{…}`)".to_owned()),
        Some(b'@') => {
            let end = path.iter().position(|byte| matches!(byte, b'.' | b'|' | b':')).unwrap_or(path.len());
            let modifier = MODIFIERS.into_iter().find(|name| name.as_bytes() == &path[1..end]);
            modifier.map_or(Ok(()), |name| Err(format!("a modifier (`@{name}`)")))
        }
        _ => Ok(()),
    }
}

/// The first name of a path in an object.
struct Name<'a> {
    part: Cow<'a, [u8]>,
    is_pattern: bool,
    rest: Option<&'a [u8]>,
}

impl<'a> Name<'a> {
    fn read(path: &'a [u8]) -> Result<Self, String> {
        let mut part = Cow::Borrowed(path);
        let mut is_pattern = false;
        let mut at = 0;
        while let Some(byte) = path.get(at) {
            match byte {
                b'|' => return Err(PIPE.to_owned()),
                b'.' => {
                    let rest = &path[at + 1..];
                    refuse_what_follows_a_dot(rest)?;
                    if let Cow::Borrowed(_) = part {
                        part = Cow::Borrowed(&path[..at]);
                    }
                    return Ok(Self { part, is_pattern, rest: Some(rest) });
                }
                b'\\' => {
                    // Of an escape only what it escapes is part of the name.
                    if let Cow::Borrowed(_) = part {
                        part = Cow::Owned(path[..at].to_vec());
                    }
                    at += 1;
                    part.to_mut().extend(path.get(at));
                }
                byte => {
                    is_pattern |= matches!(byte, b'*' | b'?');
                    if let Cow::Owned(part) = &mut part {
                        part.push(*byte);
                    }
                }
            }
            at += 1;
        }
        Ok(Self { part, is_pattern, rest: None })
    }

    fn fits(&self, key: &[u8]) -> bool {
        if self.is_pattern { fits(key, &self.part) } else { key == &*self.part }
    }
}

/// Does `text` fit `pattern`, in which `*` is anything, `?` one letter, and `\` makes the next letter itself?
fn fits(text: &[u8], pattern: &[u8]) -> bool {
    let (mut at, mut next) = (0, 0);
    // Behind the last `*`, and the text that it has taken so far.
    let mut star: Option<(usize, usize)> = None;
    while at < text.len() || next < pattern.len() {
        let step = match pattern.get(next) {
            Some(b'*') => {
                star = Some((next + 1, at));
                next += 1;
                continue;
            }
            Some(b'?') => (at < text.len()).then(|| (width(&text[at..]), 1)),
            Some(b'\\') => same(&text[at..], &pattern[next + 1..]).map(|(taken, used)| (taken, used + 1)),
            Some(_) => same(&text[at..], &pattern[next..]),
            None => None,
        };
        match (step, star) {
            (Some((taken, used)), _) => {
                at += taken;
                next += used;
            }
            (None, Some((behind, taken))) if taken < text.len() => {
                let taken = taken + width(&text[taken..]);
                star = Some((behind, taken));
                (at, next) = (taken, behind);
            }
            (None, _) => return false,
        }
    }
    true
}

/// How many bytes the letter has that both begin with, in each. A byte that is no UTF-8 is the letter that stands for such.
fn same(text: &[u8], pattern: &[u8]) -> Option<(usize, usize)> {
    let used = width(pattern);
    if used > 0 && text.starts_with(&pattern[..used]) {
        return Some((used, used));
    }
    let is_replacement = pattern.starts_with("\u{fffd}".as_bytes());
    let is_broken = text.first().is_some_and(|byte| !byte.is_ascii()) && width(text) == 1;
    (is_replacement && is_broken).then_some((1, used))
}

/// How many bytes the first letter has; one that is no UTF-8 is a byte.
fn width(text: &[u8]) -> usize {
    let letter = &text[..text.len().min(4)];
    let valid = letter.utf8_chunks().next().and_then(|chunk| chunk.valid().chars().next());
    valid.map_or(usize::from(!text.is_empty()), char::len_utf8)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{"name": {"first": "Tom", "last": "An\"d"}, "age": 37, "a.b": "dotted", "size": 1.50, "large": 12345678901234567890,
        "children": ["Sara", "Alex", {"x": 1, "y": [1, 2]}], "none": null, "yes": true, "@type": "t", "dup": 1, "dup": {"b": 2},
        "friends": [{"first": "James", "nets": ["ig"]}, {"last": "Craig"}, 7]}"#;

    fn found(path: &str) -> Result<Option<String>, PathError> {
        let found = find(Json::read(TEXT.as_bytes()).unwrap(), path)?;
        Ok(found.map(|found| String::from_utf8(found.text().to_vec()).unwrap()))
    }

    #[test]
    fn a_path_leads_where_gjson_says() {
        for (path, expected) in [
            ("name.last", Some("An\"d")),
            ("name", Some(r#"{"first": "Tom", "last": "An\"d"}"#)),
            ("age", Some("37")),
            ("size", Some("1.5")),
            ("large", Some("12345678901234567890")),
            (r"a\.b", Some("dotted")),
            ("a.b", None),
            ("none", Some("")),
            ("yes", Some("true")),
            ("children.1", Some("Alex")),
            ("children.01", Some("Alex")),
            ("children.2.y.1", Some("2")),
            ("children.#", Some("3")),
            ("children.9", None),
            ("children.-1", None),
            ("children.99999999999999999999999", None),
            ("children.a#", None),
            ("child*.0", Some("Sara")),
            ("?ge", Some("37")),
            ("*", Some(r#"{"first": "Tom", "last": "An\"d"}"#)),
            (r"\*", None),
            ("friends.#.first", Some(r#"["James"]"#)),
            ("friends.#.nets.#", Some("[1]")),
            ("friends.#.nowhere", Some("[]")),
            ("@type", Some("t")),
            ("dup", Some("1")),
            ("dup.b", Some("2")),
            ("name.", None),
            ("age.x", None),
            ("#(a)", None),
            ("", None),
        ] {
            assert_eq!(found(path).unwrap().as_deref(), expected, "{path}");
        }
    }

    #[test]
    fn what_is_not_supported_is_refused_by_name() {
        for (path, what) in [
            ("friends.#(first==\"James\")", "a query"),
            ("friends.#[first==\"James\"]#.last", "a query"),
            ("name.@keys", "a modifier (`@keys`)"),
            ("@reverse", "a modifier (`@reverse`)"),
            ("name|last", "a pipe"),
            ("children|0", "a pipe"),
            ("children.0|x", "a pipe"),
            ("[name,age]", "several paths"),
            ("name.{first}", "several paths"),
            ("!true", "a literal"),
            ("!7", "a literal"),
            ("..0", "lines"),
        ] {
            let error = found(path).unwrap_err().to_string();
            assert!(error.contains(what) && error.contains(path), "{path}: {error}");
        }
        assert!(found(&"a".repeat(LONGEST + 1)).unwrap_err().to_string().contains("more than 1024 bytes"));
        assert!(found(&".".repeat(500)).unwrap_err().to_string().contains("more than 128 names"));
    }

    #[test]
    fn patterns_fit_whole_letters_and_end() {
        for (text, pattern, expected) in [
            ("user", "u*", true),
            ("user", "*r", true),
            ("user", "u?er", true),
            ("user", "u??er", false),
            ("user", "*", true),
            ("", "*", true),
            ("", "?", false),
            ("é", "?", true),
            ("éa", "?", false),
            ("a*b", r"a\*b", true),
            ("axb", r"a\*b", false),
            ("axbxc", "a*b*c", true),
            ("aaaaaaaaab", "*a*a*a*a*b", true),
            ("user", r"user\", false),
        ] {
            assert_eq!(fits(text.as_bytes(), pattern.as_bytes()), expected, "{text} {pattern}");
        }
        let text = "a".repeat(10_000);
        assert!(!fits(
            text.as_bytes(),
            "*a".repeat(500).as_bytes().iter().copied().chain(*b"b").collect::<Vec<_>>().as_slice()
        ));
    }
}
