//! JSON as Go's `encoding/json` reads and writes it.

use std::collections::BTreeMap;

use bulla_wipe::Wiping;

use crate::error::{Limit, Reason};
use crate::float;
use crate::functions::Type::{Any, Text};
use crate::functions::{Function, function, text};
use crate::unicode::characters;
use crate::value::{self, Item, ListKind, MapKind, Work};

pub(crate) static FUNCTIONS: &[Function] = &[
    function("fromJson", &[Text], None, |work, arguments| Ok(read(work, text(arguments, 0))?.unwrap_or(Item::Nil))),
    function("mustFromJson", &[Text], None, |work, arguments| {
        read(work, text(arguments, 0))?.ok_or(Reason::Invalid("this is no JSON"))
    }),
    function("mustToJson", &[Any], None, |work, arguments| must_write(work, &arguments[0], HTML)),
    function("mustToPrettyJson", &[Any], None, |work, arguments| must_write(work, &arguments[0], PRETTY)),
    function("mustToRawJson", &[Any], None, |work, arguments| must_write(work, &arguments[0], RAW)),
    function("toJson", &[Any], None, |work, arguments| write(work, &arguments[0], HTML)),
    function("toPrettyJson", &[Any], None, |work, arguments| write(work, &arguments[0], PRETTY)),
    function("toRawJson", &[Any], None, |work, arguments| must_write(work, &arguments[0], RAW)),
];

/// How JSON is written.
#[derive(Clone, Copy)]
pub(crate) struct Style {
    /// `<`, `>` and `&` are escaped.
    html: bool,
    /// In lines, indented by two spaces.
    pretty: bool,
}

pub(crate) const HTML: Style = Style { html: true, pretty: false };
const PRETTY: Style = Style { html: true, pretty: true };
const RAW: Style = Style { html: false, pretty: false };

/// Nothing where Go cannot write it, as sprig has it.
fn write(work: &mut Work, item: &Item, style: Style) -> Result<Item, Reason> {
    match spell(work, item, style)? {
        Some(text) => work.text(text),
        None => work.text(Vec::new()),
    }
}

fn must_write(work: &mut Work, item: &Item, style: Style) -> Result<Item, Reason> {
    match spell(work, item, style)? {
        Some(text) => work.text(text),
        None => Err(Reason::Invalid("JSON has no such number")),
    }
}

/// The item as JSON; `None` if there is a number in it that JSON has not.
pub(crate) fn spell(work: &mut Work, item: &Item, style: Style) -> Result<Option<Wiping<Vec<u8>>>, Reason> {
    let mut writer = Writer { work, out: Wiping::default(), style, is_whole: true };
    writer.item(item, 0)?;
    let Writer { out, is_whole, .. } = writer;
    Ok(is_whole.then_some(out))
}

struct Writer<'w> {
    work: &'w mut Work,
    out: Wiping<Vec<u8>>,
    style: Style,
    is_whole: bool,
}

impl Writer<'_> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), Reason> {
        if self.out.len() + bytes.len() > self.work.room() {
            return Err(Limit::Memory.into());
        }
        self.out.append(bytes);
        Ok(())
    }

    fn line(&mut self, depth: usize) -> Result<(), Reason> {
        if self.style.pretty { self.put(format!("\n{}", "  ".repeat(depth)).as_bytes()) } else { Ok(()) }
    }

    fn item(&mut self, item: &Item, depth: usize) -> Result<(), Reason> {
        if depth > self.work.depth() {
            return Err(Limit::Depth.into());
        }
        self.work.spend(1)?;
        match item {
            Item::Missing | Item::Nil => self.put(b"null"),
            Item::Bool(bool) => self.put(bool.to_string().as_bytes()),
            Item::Int(integer) | Item::Int64(integer) => self.put(integer.to_string().as_bytes()),
            Item::Byte(byte) => self.put(byte.to_string().as_bytes()),
            Item::Float(float) => match spell_float(*float) {
                Some(spelled) => self.put(spelled.as_bytes()),
                None => {
                    self.is_whole = false;
                    Ok(())
                }
            },
            Item::Text(text) => self.text(text),
            Item::List(id) => {
                let list = self.work.list_of(*id);
                if list.is_nil {
                    return self.put(b"null");
                }
                let items = list.items.clone();
                if items.is_empty() {
                    return self.put(b"[]");
                }
                self.put(b"[")?;
                for (place, item) in items.iter().enumerate() {
                    if place > 0 {
                        self.put(b",")?;
                    }
                    self.line(depth + 1)?;
                    self.item(item, depth + 1)?;
                }
                self.line(depth)?;
                self.put(b"]")
            }
            Item::Map(id) => {
                let map = self.work.map_of(*id);
                if map.is_nil {
                    return self.put(b"null");
                }
                let entries = map.entries.clone();
                if entries.is_empty() {
                    return self.put(b"{}");
                }
                self.put(b"{")?;
                for (place, (key, item)) in entries.iter().enumerate() {
                    if place > 0 {
                        self.put(b",")?;
                    }
                    self.line(depth + 1)?;
                    self.text(key)?;
                    self.put(if self.style.pretty { b": " } else { b":" })?;
                    self.item(item, depth + 1)?;
                }
                self.line(depth)?;
                self.put(b"}")
            }
        }
    }

    fn text(&mut self, text: &[u8]) -> Result<(), Reason> {
        self.put(b"\"")?;
        for (character, spelling) in characters(text) {
            match character {
                '"' => self.put(b"\\\"")?,
                '\\' => self.put(b"\\\\")?,
                '\u{8}' => self.put(b"\\b")?,
                '\u{c}' => self.put(b"\\f")?,
                '\n' => self.put(b"\\n")?,
                '\r' => self.put(b"\\r")?,
                '\t' => self.put(b"\\t")?,
                '\0'..='\u{1f}' | '\u{2028}' | '\u{2029}' => {
                    self.put(format!("\\u{:04x}", u32::from(character)).as_bytes())?;
                }
                '<' | '>' | '&' if self.style.html => {
                    self.put(format!("\\u{:04x}", u32::from(character)).as_bytes())?;
                }
                char::REPLACEMENT_CHARACTER if spelling.len() == 1 => self.put(b"\\ufffd")?,
                _ => self.put(spelling)?,
            }
        }
        self.put(b"\"")
    }
}

/// A float as JSON has it: no exponent between 1e-6 and 1e21.
pub(crate) fn spell_float(float: f64) -> Option<String> {
    if !float.is_finite() {
        return None;
    }
    let magnitude = float.abs();
    if magnitude == 0.0 || (1e-6..1e21).contains(&magnitude) {
        return Some(float::spell(float, 'f', None));
    }
    // `1e-09` is written as `1e-9`.
    Some(float::spell(float, 'e', None).replace("e-0", "e-"))
}

/// The value that `input` says; `None` if it is no JSON. Numbers are floats.
pub(crate) fn read(work: &mut Work, input: &[u8]) -> Result<Option<Item>, Reason> {
    let mut reader = Reader { work, rest: input };
    let item = match reader.item(0) {
        Ok(item) => item,
        Err(Stop::Malformed) => return Ok(None),
        Err(Stop::Reason(reason)) => return Err(reason),
    };
    reader.space();
    Ok(reader.rest.is_empty().then_some(item))
}

struct Reader<'r> {
    work: &'r mut Work,
    rest: &'r [u8],
}

enum Stop {
    Malformed,
    Reason(Reason),
}

impl From<Reason> for Stop {
    fn from(reason: Reason) -> Self {
        Self::Reason(reason)
    }
}

impl Reader<'_> {
    fn space(&mut self) {
        let count = self.rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count();
        self.rest = &self.rest[count..];
    }

    /// Whether `byte` is the next one behind spaces; it is taken.
    fn takes(&mut self, byte: u8) -> bool {
        self.space();
        match self.rest.strip_prefix(&[byte]) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn item(&mut self, depth: usize) -> Result<Item, Stop> {
        if depth > self.work.depth() {
            return Err(Stop::Reason(Limit::Depth.into()));
        }
        self.work.spend(1)?;
        self.space();
        match self.rest.first() {
            Some(b'{') => self.map(depth),
            Some(b'[') => self.list(depth),
            Some(b'"') => {
                let text = self.text()?;
                Ok(self.work.text(text)?)
            }
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => {
                for (word, item) in [("true", Item::Bool(true)), ("false", Item::Bool(false)), ("null", Item::Nil)] {
                    if let Some(rest) = self.rest.strip_prefix(word.as_bytes()) {
                        self.rest = rest;
                        return Ok(item);
                    }
                }
                Err(Stop::Malformed)
            }
        }
    }

    fn list(&mut self, depth: usize) -> Result<Item, Stop> {
        self.takes(b'[');
        let mut items = Vec::new();
        if !self.takes(b']') {
            loop {
                items.push(self.item(depth + 1)?);
                if self.takes(b']') {
                    break;
                }
                if !self.takes(b',') {
                    return Err(Stop::Malformed);
                }
            }
        }
        Ok(self.work.list(ListKind::Any, items)?)
    }

    fn map(&mut self, depth: usize) -> Result<Item, Stop> {
        self.takes(b'{');
        let mut entries = BTreeMap::new();
        if !self.takes(b'}') {
            loop {
                self.space();
                let key = self.text()?;
                if !self.takes(b':') {
                    return Err(Stop::Malformed);
                }
                let item = self.item(depth + 1)?;
                entries.insert(value::Text::from(key), item);
                if self.takes(b'}') {
                    break;
                }
                if !self.takes(b',') {
                    return Err(Stop::Malformed);
                }
            }
        }
        Ok(self.work.map(MapKind::Any, entries)?)
    }

    fn number(&mut self) -> Result<Item, Stop> {
        let is_part = |byte: &&u8| matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9');
        let length = self.rest.iter().take_while(is_part).count();
        let (number, rest) = self.rest.split_at(length);
        let number = std::str::from_utf8(number).ok().filter(|number| is_number(number)).ok_or(Stop::Malformed)?;
        self.rest = rest;
        let float: f64 = number.parse().map_err(|_| Stop::Malformed)?;
        // Go leaves out what is too large, and goes on.
        Ok(if float.is_finite() { Item::Float(float) } else { Item::Nil })
    }

    fn text(&mut self) -> Result<Wiping<Vec<u8>>, Stop> {
        let mut rest = self.rest.strip_prefix(b"\"").ok_or(Stop::Malformed)?;
        let mut text = Wiping::<Vec<u8>>::default();
        loop {
            let plain = rest.iter().take_while(|byte| !matches!(byte, b'"' | b'\\' | 0..=0x1f)).count();
            let (part, behind) = rest.split_at(plain);
            for chunk in part.utf8_chunks() {
                text.append(chunk.valid().as_bytes());
                for _ in chunk.invalid() {
                    text.append("\u{fffd}".as_bytes());
                }
            }
            rest = behind;
            let Some((&mark, behind)) = rest.split_first() else {
                return Err(Stop::Malformed);
            };
            rest = behind;
            if mark == b'"' {
                self.rest = rest;
                return Ok(text);
            }
            if mark != b'\\' {
                return Err(Stop::Malformed);
            }
            let Some((&escape, behind)) = rest.split_first() else {
                return Err(Stop::Malformed);
            };
            rest = behind;
            match escape {
                b'"' | b'\\' | b'/' => text.append(&[escape]),
                b'b' => text.append(b"\x08"),
                b'f' => text.append(b"\x0c"),
                b'n' => text.append(b"\n"),
                b'r' => text.append(b"\r"),
                b't' => text.append(b"\t"),
                b'u' => {
                    let unit = unit(rest).ok_or(Stop::Malformed)?;
                    rest = &rest[4..];
                    let mut character = char::from_u32(unit);
                    if (0xd800..0xdc00).contains(&unit)
                        && let Some(second) = rest.strip_prefix(b"\\u").and_then(unit_of_pair)
                    {
                        rest = &rest[6..];
                        character = char::from_u32(0x1_0000 + ((unit - 0xd800) << 10) + (second - 0xdc00));
                    }
                    let character = character.unwrap_or(char::REPLACEMENT_CHARACTER);
                    text.append(character.encode_utf8(&mut [0; 4]).as_bytes());
                }
                _ => return Err(Stop::Malformed),
            }
        }
    }
}

fn unit(rest: &[u8]) -> Option<u32> {
    let digits = rest.get(..4).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

fn unit_of_pair(rest: &[u8]) -> Option<u32> {
    unit(rest).filter(|unit| (0xdc00..0xe000).contains(unit))
}

/// JSON's grammar of numbers.
fn is_number(text: &str) -> bool {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let mut rest = text.strip_prefix('-').unwrap_or(text);
    let whole = digits(rest);
    if whole == 0 || whole > 1 && rest.starts_with('0') {
        return false;
    }
    rest = &rest[whole..];
    if let Some(fraction) = rest.strip_prefix('.') {
        let count = digits(fraction);
        if count == 0 {
            return false;
        }
        rest = &fraction[count..];
    }
    if let Some(exponent) = rest.strip_prefix(['e', 'E']) {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        return !exponent.is_empty() && digits(exponent) == exponent.len();
    }
    rest.is_empty()
}
