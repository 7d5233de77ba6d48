//! JSON as Go's `encoding/json` reads and writes it, over the bytes themselves: no tree, no copy that is not wiped.
//!
//! ```text
//! bytes ─ Json::read ─▶ Json, one checked value ─┬─ members(), elements()     the values in it, each a Json of the same bytes
//!                                                ├─ text()                    a string's bytes, without quotes and escapes
//!                                                └─ write(numbers, escapes)   as json.Marshal writes what json.Unmarshal read
//! ```
//! What is written: names in the order of their bytes, of names that come twice the last, no blanks, `<`, `>` and `&` escaped where Go
//! does so. Source: Go 1.26 `encoding/json`. Invariant: a value is nested at most
//! [`DEEPEST`] levels deep, and nothing here recurses on a value that was not checked.

use std::fmt;

use bulla_wipe::Wiping;
use memchr::memchr2;

/// How deep values may be nested. Go allows 10,000 levels.
pub const DEEPEST: usize = 256;

/// Why a text is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonError {
    /// It is not JSON from this byte on.
    NotJson(usize),
    /// It is nested deeper than [`DEEPEST`].
    TooDeep,
    /// A number in it has no value.
    Number,
}

/// One value of a text that was checked, without the blanks around it.
#[derive(Clone, Copy)]
pub struct Json<'a>(&'a [u8]);

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `null`
    Null,
    /// `true`
    True,
    /// `false`
    False,
    /// A number.
    Number,
    /// A string.
    Text,
    /// `[…]`
    Array,
    /// `{…}`
    Object,
}

/// How numbers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbers {
    /// As they are spelt: what Go does with `UseNumber`.
    Spelt,
    /// As the nearest `float64`: what Go does without.
    Float,
}

/// How `<`, `>` and `&` are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escapes {
    /// `\u003c`: what `json.Marshal` does.
    Html,
    /// As they are: `SetEscapeHTML(false)`.
    Plain,
}

/// Which surrogates belong together, and what stands for bytes that are no UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// `encoding/json`.
    Go,
    /// GJSON: an escape after a surrogate that does not fit it is lost, and bytes stay as they are.
    Gjson,
}

impl<'a> Json<'a> {
    /// The value that `text` holds.
    ///
    /// # Errors
    /// [`JsonError::NotJson`], [`JsonError::TooDeep`]
    pub fn read(text: &'a [u8]) -> Result<Self, JsonError> {
        check(text)?;
        let start = blanks(text, 0);
        let length = text[start..].iter().rposition(|byte| !is_blank(*byte)).map_or(0, |last| last + 1);
        Ok(Self(&text[start..start + length]))
    }

    /// Its bytes.
    pub fn raw(self) -> &'a [u8] {
        self.0
    }

    /// What it is.
    pub fn kind(self) -> Kind {
        match self.0.first() {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b'"') => Kind::Text,
            Some(b't') => Kind::True,
            Some(b'f') => Kind::False,
            Some(b'n') => Kind::Null,
            _ => Kind::Number,
        }
    }

    /// The value of the member of this name, the last of several; nothing of another value.
    pub fn member(self, name: &str) -> Option<Json<'a>> {
        self.members().filter(|(key, _)| *key.text(Reader::Go) == name.as_bytes()).last().map(|(_, value)| value)
    }

    /// Names and values of an object, in the order of the text; nothing of another value.
    pub fn members(self) -> impl Iterator<Item = (Json<'a>, Json<'a>)> {
        let mut at = self.first(Kind::Object);
        std::iter::from_fn(move || {
            let (name, end) = self.value(at?);
            // Checked text: after a name come blanks and a colon.
            let (value, end) = self.value(blanks(self.0, blanks(self.0, end) + 1));
            at = self.next(end);
            Some((name, value))
        })
    }

    /// The values of an array; nothing of another value.
    pub fn elements(self) -> impl Iterator<Item = Json<'a>> {
        let mut at = self.first(Kind::Array);
        std::iter::from_fn(move || {
            let (value, end) = self.value(at?);
            at = self.next(end);
            Some(value)
        })
    }

    /// Where the first value begins in a container of this kind.
    fn first(self, kind: Kind) -> Option<usize> {
        if self.kind() != kind {
            return None;
        }
        let at = blanks(self.0, 1);
        (!matches!(self.0[at], b'}' | b']')).then_some(at)
    }

    /// The value that begins at `at`, and where it ends.
    fn value(self, at: usize) -> (Json<'a>, usize) {
        let end = end_of_value(self.0, at);
        (Json(&self.0[at..end]), end)
    }

    /// Where the next one begins after one that ends at `end`.
    fn next(self, end: usize) -> Option<usize> {
        let at = blanks(self.0, end);
        (self.0[at] == b',').then(|| blanks(self.0, at + 1))
    }

    /// The bytes that a string stands for; nothing of another value.
    pub fn text(self, reader: Reader) -> Wiping<Vec<u8>> {
        let inner = match self.kind() {
            Kind::Text => &self.0[1..self.0.len() - 1],
            _ => &[],
        };
        unescape(inner, reader)
    }

    /// A number's value, infinite if it is too large.
    pub fn number(self) -> f64 {
        // What JSON calls a number, Rust reads as one.
        str::from_utf8(self.0).ok().and_then(|text| text.parse().ok()).unwrap_or_default()
    }

    /// Appends the value to `out`, as Go writes it again.
    ///
    /// # Errors
    /// [`JsonError::Number`], only with [`Numbers::Float`]
    pub fn write(self, numbers: Numbers, escapes: Escapes, out: &mut Wiping<Vec<u8>>) -> Result<(), JsonError> {
        match self.kind() {
            Kind::Null | Kind::True | Kind::False => out.append(self.0),
            Kind::Text => quote(&self.text(Reader::Go), escapes, out),
            Kind::Number => match numbers {
                Numbers::Spelt => out.append(self.0),
                Numbers::Float => {
                    let number = self.number();
                    if number.is_infinite() {
                        return Err(JsonError::Number);
                    }
                    out.append(float(number).as_bytes());
                }
            },
            Kind::Array => {
                out.append(b"[");
                for (index, element) in self.elements().enumerate() {
                    if index > 0 {
                        out.append(b",");
                    }
                    element.write(numbers, escapes, out)?;
                }
                out.append(b"]");
            }
            Kind::Object => {
                out.append(b"{");
                for (index, (name, value)) in self.sorted().iter().enumerate() {
                    if index > 0 {
                        out.append(b",");
                    }
                    quote(name, escapes, out);
                    out.append(b":");
                    value.write(numbers, escapes, out)?;
                }
                out.append(b"}");
            }
        }
        Ok(())
    }

    /// Names and values of an object as a map of Go has them: of equal names the last; in the order of their bytes.
    pub fn sorted(self) -> Vec<(Wiping<Vec<u8>>, Json<'a>)> {
        let mut members: Vec<_> = self.members().map(|(name, value)| (name.text(Reader::Go), value)).collect();
        members.sort_by(|(one, _), (other, _)| one.as_slice().cmp(other.as_slice()));
        // Stable: the last of equal ones stays.
        members.reverse();
        members.dedup_by(|(one, _), (other, _)| one == other);
        members.reverse();
        members
    }
}

/// Which value, not what is in it.
impl fmt::Debug for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Json({:?})", self.kind())
    }
}

/// A number as `strconv.FormatFloat(number, 'f', -1, 64)` writes it.
pub fn decimal(number: f64) -> String {
    if number.is_infinite() {
        return if number > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    number.to_string()
}

/// A number as `json.Marshal` writes it.
fn float(number: f64) -> String {
    let size = number.abs();
    if size == 0.0 || (1e-6..1e21).contains(&size) {
        return decimal(number);
    }
    // Go writes the sign of the exponent: `1e+21`, `1e-7`.
    let text = format!("{number:e}");
    match text.split_once('e') {
        Some((digits, exponent)) if !exponent.starts_with('-') => format!("{digits}e+{exponent}"),
        _ => text,
    }
}

/// Appends `text` as a string of JSON.
pub fn quote(text: &[u8], escapes: Escapes, out: &mut Wiping<Vec<u8>>) {
    out.append(b"\"");
    for chunk in text.utf8_chunks() {
        let mut plain = 0;
        let valid = chunk.valid();
        for (at, letter) in valid.char_indices() {
            let mut hexadecimal = [0; 6];
            let escaped: &[u8] = match letter {
                '"' => b"\\\"",
                '\\' => b"\\\\",
                '\u{8}' => b"\\b",
                '\u{c}' => b"\\f",
                '\n' => b"\\n",
                '\r' => b"\\r",
                '\t' => b"\\t",
                '\0'..='\u{1f}' | '\u{2028}' | '\u{2029}' => hex(letter, &mut hexadecimal),
                '<' | '>' | '&' if escapes == Escapes::Html => hex(letter, &mut hexadecimal),
                _ => continue,
            };
            out.append(&valid.as_bytes()[plain..at]);
            out.append(escaped);
            plain = at + letter.len_utf8();
        }
        out.append(&valid.as_bytes()[plain..]);
        for _ in chunk.invalid() {
            out.append(b"\\ufffd");
        }
    }
    out.append(b"\"");
}

fn hex(letter: char, escape: &mut [u8; 6]) -> &[u8] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    escape[..2].copy_from_slice(b"\\u");
    for (place, shift) in [12, 8, 4, 0].into_iter().enumerate() {
        escape[2 + place] = DIGITS[(letter as usize >> shift) & 15];
    }
    escape
}

fn unescape(inner: &[u8], reader: Reader) -> Wiping<Vec<u8>> {
    let mut out = Wiping::<Vec<u8>>::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        push(&rest[..at], reader, &mut out);
        // Checked text: an escape is whole.
        let (escape, after) = (rest[at + 1], &rest[at + 2..]);
        rest = after;
        let byte = match escape {
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let (letter, used) = letter(after, reader);
                rest = &after[used..];
                out.append(letter.encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            }
            other => other,
        };
        out.append(&[byte]);
    }
    push(rest, reader, &mut out);
    out
}

/// The letter whose four digits `text` begins with, and how many bytes spell it: those of the second surrogate, too.
fn letter(text: &[u8], reader: Reader) -> (char, usize) {
    let digits = |text: &[u8]| {
        text.iter().take(4).fold(0_u32, |sum, digit| sum * 16 + (*digit as char).to_digit(16).unwrap_or_default())
    };
    let first = digits(text);
    if let Some(letter) = char::from_u32(first) {
        return (letter, 4);
    }
    let Some(second) = text[4..].strip_prefix(b"\\u").map(digits) else { return (char::REPLACEMENT_CHARACTER, 4) };
    let both = char::decode_utf16([first as u16, second as u16]).next();
    match (both, reader) {
        (Some(Ok(letter)), _) => (letter, 10),
        (_, Reader::Go) => (char::REPLACEMENT_CHARACTER, 4),
        (_, Reader::Gjson) => (char::REPLACEMENT_CHARACTER, 10),
    }
}

fn push(plain: &[u8], reader: Reader, out: &mut Wiping<Vec<u8>>) {
    match reader {
        Reader::Gjson => out.append(plain),
        Reader::Go => {
            for chunk in plain.utf8_chunks() {
                out.append(chunk.valid().as_bytes());
                for _ in chunk.invalid() {
                    out.append("\u{fffd}".as_bytes());
                }
            }
        }
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// Where the blanks end that begin at `at`.
fn blanks(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    at + rest.iter().take_while(|byte| is_blank(**byte)).count()
}

/// Where the value ends that begins at `at`, in text that was checked.
fn end_of_value(text: &[u8], mut at: usize) -> usize {
    let mut depth = 0;
    loop {
        match text[at] {
            b'"' => at = end_of_checked_string(text, at),
            b'{' | b'[' => {
                depth += 1;
                at += 1;
            }
            b'}' | b']' => {
                depth -= 1;
                at += 1;
            }
            b',' | b':' | b' ' | b'\t' | b'\r' | b'\n' => at += 1,
            _ => {
                let is_over = |byte: &u8| matches!(byte, b',' | b']' | b'}' | b':') || is_blank(*byte);
                at = text[at..].iter().position(is_over).map_or(text.len(), |length| at + length);
            }
        }
        if depth == 0 {
            return at;
        }
    }
}

fn end_of_checked_string(text: &[u8], at: usize) -> usize {
    let mut at = at + 1;
    loop {
        match memchr2(b'"', b'\\', &text[at..]) {
            Some(length) if text[at + length] == b'"' => return at + length + 1,
            Some(length) => at += length + 2,
            None => return text.len(),
        }
    }
}

/// Is `text` one value, by Go's rules? Without recursion.
fn check(text: &[u8]) -> Result<(), JsonError> {
    // What closes the containers that are open.
    let mut open: Vec<u8> = Vec::new();
    let mut at = blanks(text, 0);
    loop {
        // A value begins.
        match text.get(at) {
            Some(begin @ (b'{' | b'[')) => {
                if open.len() == DEEPEST {
                    return Err(JsonError::TooDeep);
                }
                let close = begin + 2;
                at = blanks(text, at + 1);
                if text.get(at) == Some(&close) {
                    at += 1;
                } else {
                    open.push(close);
                    if close == b'}' {
                        at = name(text, at)?;
                    }
                    continue;
                }
            }
            Some(b'"') => at = string(text, at)?,
            Some(b't') => at = literal(text, at, b"true")?,
            Some(b'f') => at = literal(text, at, b"false")?,
            Some(b'n') => at = literal(text, at, b"null")?,
            Some(b'-' | b'0'..=b'9') => at = number(text, at)?,
            _ => return Err(JsonError::NotJson(at)),
        }
        // It has ended.
        loop {
            at = blanks(text, at);
            let Some(close) = open.last() else {
                return if at == text.len() { Ok(()) } else { Err(JsonError::NotJson(at)) };
            };
            match text.get(at) {
                Some(b',') => {
                    at = blanks(text, at + 1);
                    if *close == b'}' {
                        at = name(text, at)?;
                    }
                    break;
                }
                Some(byte) if byte == close => {
                    open.pop();
                    at += 1;
                }
                _ => return Err(JsonError::NotJson(at)),
            }
        }
    }
}

/// A name and its colon; where the value begins.
fn name(text: &[u8], at: usize) -> Result<usize, JsonError> {
    if text.get(at) != Some(&b'"') {
        return Err(JsonError::NotJson(at));
    }
    let at = blanks(text, string(text, at)?);
    if text.get(at) == Some(&b':') { Ok(blanks(text, at + 1)) } else { Err(JsonError::NotJson(at)) }
}

fn string(text: &[u8], at: usize) -> Result<usize, JsonError> {
    let mut at = at + 1;
    loop {
        match text.get(at) {
            Some(b'"') => return Ok(at + 1),
            Some(b'\\') => match text.get(at + 1) {
                Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => at += 2,
                Some(b'u') => {
                    let digits = text[at + 2..].iter().take(4).take_while(|byte| byte.is_ascii_hexdigit()).count();
                    if digits < 4 {
                        return Err(JsonError::NotJson(at + 2 + digits));
                    }
                    at += 6;
                }
                _ => return Err(JsonError::NotJson(at + 1)),
            },
            Some(0..=31) | None => return Err(JsonError::NotJson(at)),
            Some(_) => at += 1,
        }
    }
}

fn literal(text: &[u8], at: usize, literal: &[u8]) -> Result<usize, JsonError> {
    if text[at..].starts_with(literal) { Ok(at + literal.len()) } else { Err(JsonError::NotJson(at)) }
}

fn number(text: &[u8], mut at: usize) -> Result<usize, JsonError> {
    let digits = |at: usize| {
        let count = text[at.min(text.len())..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if count == 0 { Err(JsonError::NotJson(at)) } else { Ok(at + count) }
    };
    if text[at] == b'-' {
        at += 1;
    }
    at = if text.get(at) == Some(&b'0') { at + 1 } else { digits(at)? };
    if text.get(at) == Some(&b'.') {
        at = digits(at + 1)?;
    }
    if matches!(text.get(at), Some(b'e' | b'E')) {
        let signed = matches!(text.get(at + 1), Some(b'+' | b'-'));
        at = digits(at + 1 + usize::from(signed))?;
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str, numbers: Numbers, escapes: Escapes) -> Result<String, JsonError> {
        let mut out = Wiping::default();
        Json::read(text.as_bytes())?.write(numbers, escapes, &mut out)?;
        Ok(String::from_utf8(out.to_vec()).unwrap())
    }

    #[test]
    fn what_is_written_is_what_go_writes() {
        for (text, spelt, float) in [
            (r#" {"b" : 1 , "a":[ ] , "a":{}} "#, r#"{"a":{},"b":1}"#, r#"{"a":{},"b":1}"#),
            (r#"["<\/&é\u00e9\u2028"]"#, r#"["\u003c/\u0026éé\u2028"]"#, r#"["\u003c/\u0026éé\u2028"]"#),
            ("12345678901234567890", "12345678901234567890", "12345678901234567000"),
            ("[1.50, 1e2, 1e21, 1e-7, -0, 1e-6]", "[1.50,1e2,1e21,1e-7,-0,1e-6]", "[1.5,100,1e+21,1e-7,-0,0.000001]"),
            (r#""\ud83d\ude00\ud800x""#, "\"😀\u{fffd}x\"", "\"😀\u{fffd}x\""),
            (r#""\b\f\u0001\u007f""#, "\"\\b\\f\\u0001\u{7f}\"", "\"\\b\\f\\u0001\u{7f}\""),
        ] {
            assert_eq!(written(text, Numbers::Spelt, Escapes::Html).unwrap(), spelt);
            assert_eq!(written(text, Numbers::Float, Escapes::Html).unwrap(), float);
        }
        assert_eq!(written(r#""<""#, Numbers::Spelt, Escapes::Plain).unwrap(), r#""<""#);
        assert_eq!(written("[1e999]", Numbers::Float, Escapes::Html), Err(JsonError::Number));
        assert_eq!(written("[1e999]", Numbers::Spelt, Escapes::Html).unwrap(), "[1e999]");
    }

    #[test]
    fn what_is_no_json_is_told_with_its_place() {
        for (text, offset) in [
            ("", 0),
            ("hunter2", 0),
            ("{", 1),
            (r#"{"a"}"#, 4),
            (r#"{"a":1,}"#, 7),
            ("[1,]", 3),
            ("[1 2]", 3),
            ("1 1", 2),
            ("01", 1),
            ("1.", 2),
            ("1e+", 3),
            ("-", 1),
            ("\"\t\"", 1),
            (r#""\x""#, 2),
            (r#""\u12g4""#, 5),
            ("\"abc", 4),
            ("tru", 0),
            ("[}", 1),
        ] {
            let error = Json::read(text.as_bytes()).unwrap_err();
            assert_eq!(error, JsonError::NotJson(offset), "{text}");
        }
        let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(Json::read(deep(DEEPEST).as_bytes()).is_ok());
        assert_eq!(Json::read(deep(DEEPEST + 1).as_bytes()).unwrap_err(), JsonError::TooDeep);
        assert_eq!(Json::read("[".repeat(1_000_000).as_bytes()).unwrap_err(), JsonError::TooDeep);
    }

    #[test]
    fn members_and_elements_are_found_whatever_is_between() {
        let text = br#" { "a" : { "x" : "}" , "y" : [ "]" ] } , "b\"" : -1.5e3 , "c" : "\\" } "#;
        let json = Json::read(text).unwrap();
        let found: Vec<_> = json.members().map(|(name, value)| (name.raw(), value.raw())).collect();
        let expected: [(&[u8], &[u8]); 3] =
            [(br#""a""#, br#"{ "x" : "}" , "y" : [ "]" ] }"#), (br#""b\"""#, b"-1.5e3"), (br#""c""#, br#""\\""#)];
        assert_eq!(found, expected);
        let elements = Json::read(b"[ 1 , [ ] , null ]").unwrap();
        let found: Vec<_> = elements.elements().map(Json::raw).collect();
        assert_eq!(found, [&b"1"[..], b"[ ]", b"null"]);
        assert_eq!(json.elements().count() + elements.members().count(), 0);
    }
}
