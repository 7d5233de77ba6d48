//! A JSON file as SOPS' tree.
//!
//! Source: RFC 8259, and Go 1.26 `encoding/json`, with which SOPS reads: integers within 64 bits are integers, any other
//! number is a float; a lone surrogate becomes U+FFFD. Unlike SOPS this refuses what it would lose: a truncated file,
//! text behind the object, bytes that are not UTF-8, the same key twice.

use std::borrow::Cow;
use std::collections::HashMap;

use bulla_wipe::Wiping;
use bulla_yaml::{Position, Span};

use crate::error::{Expected, ParseError};
use crate::text::{self, position};
use crate::tree::{Document, Entry, EntryKind, NONE, Source, Value};

const DEPTH_LIMIT: usize = 10_000;

/// The characters of a file and the places of its values and keys.
pub(crate) struct Text {
    text: Wiping<String>,
    decoded: Wiping<String>,
    tokens: Vec<Token>,
}

#[derive(Clone, Copy)]
struct Token {
    span: Span,
    kind: TokenKind,
}

#[derive(Clone, Copy, PartialEq)]
enum TokenKind {
    Container,
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// Spelt without escapes.
    Verbatim,
    /// In the decoded text.
    Decoded {
        start: u32,
        end: u32,
    },
}

impl Text {
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn span(&self, token: u32) -> Span {
        self.tokens[token as usize].span
    }

    pub(crate) fn string(&self, token: u32) -> &str {
        let token = self.tokens[token as usize];
        match token.kind {
            TokenKind::Decoded { start, end } => &self.decoded[start as usize..end as usize],
            _ => &self.text[token.span.start as usize + 1..token.span.end as usize - 1],
        }
    }

    pub(crate) fn is_string(&self, token: u32) -> bool {
        matches!(self.tokens[token as usize].kind, TokenKind::Verbatim | TokenKind::Decoded { .. })
    }

    pub(crate) fn value(&self, token: u32) -> Value<'_> {
        match self.tokens[token as usize].kind {
            TokenKind::Container | TokenKind::Null => Value::Null,
            TokenKind::Bool(value) => Value::Bool(value),
            TokenKind::Int(value) => Value::Int(value),
            TokenKind::Float(value) => Value::Float(value),
            TokenKind::Verbatim | TokenKind::Decoded { .. } => {
                Value::String(Cow::Borrowed(self.string(token).as_bytes()))
            }
        }
    }

    pub(crate) fn position(&self, offset: usize) -> Position {
        position(&self.text, offset)
    }
}

pub(crate) fn read(bytes: Wiping<Vec<u8>>) -> Result<Document, ParseError> {
    let text = text::read(bytes, Expected::Json("UTF-8 text, found bytes that are not"))?;
    let mut reader =
        Reader { text: &text, offset: 0, decoded: Wiping::default(), tokens: Vec::new(), entries: Vec::new() };
    reader.read()?;
    let Reader { decoded, tokens, entries, .. } = reader;
    Ok(Document { source: Source::Json(Text { text, decoded, tokens }), entries, roots: vec![0], places: Vec::new() })
}

struct Reader<'t> {
    text: &'t str,
    offset: usize,
    decoded: Wiping<String>,
    tokens: Vec<Token>,
    entries: Vec<Entry>,
}

/// A container whose end has not come yet.
struct Open {
    entry: u32,
    is_object: bool,
    empty: bool,
    keys: Keys,
}

/// The keys of an object so far: few are searched, many indexed.
#[derive(Default)]
struct Keys {
    few: Vec<u32>,
    many: HashMap<String, u32>,
}

impl Reader<'_> {
    fn read(&mut self) -> Result<(), ParseError> {
        self.skip_space();
        if self.byte() != Some(b'{') {
            let expected = "`{`: SOPS reads JSON only with an object at the top, so put this under a key";
            return self.fault(self.offset, expected);
        }
        let mut open = vec![self.open(NONE, NONE, true)];
        while let Some(innermost) = open.last_mut() {
            self.skip_space();
            let close = if innermost.is_object { b'}' } else { b']' };
            if self.byte() == Some(close) {
                self.offset += 1;
                let end = self.entries.len() as u32;
                let entry = &mut self.entries[innermost.entry as usize];
                entry.end = end;
                let token = entry.node;
                self.tokens[token as usize].span.end = self.offset as u32;
                open.pop();
                continue;
            }
            if !innermost.empty {
                if self.byte() != Some(b',') {
                    return self.fault(self.offset, if close == b'}' { "`,` or `}`" } else { "`,` or `]`" });
                }
                self.offset += 1;
                self.skip_space();
            }
            innermost.empty = false;
            let parent = innermost.entry;
            let key = if innermost.is_object { self.read_key(&mut innermost.keys)? } else { NONE };
            match self.byte() {
                Some(byte @ (b'{' | b'[')) => {
                    if open.len() >= DEPTH_LIMIT {
                        return Err(ParseError {
                            position: position(self.text, self.offset),
                            expected: Expected::Depth,
                        });
                    }
                    let inner = self.open(parent, key, byte == b'{');
                    open.push(inner);
                }
                _ => self.read_scalar(parent, key)?,
            }
        }
        self.skip_space();
        if self.offset < self.text.len() {
            return self.fault(self.offset, "nothing behind the object");
        }
        Ok(())
    }

    fn fault<T>(&self, offset: usize, expected: &'static str) -> Result<T, ParseError> {
        Err(ParseError { position: position(self.text, offset), expected: Expected::Json(expected) })
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.offset).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.byte(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.offset += 1;
        }
    }

    fn token(&mut self, start: usize, kind: TokenKind) -> u32 {
        let span = Span { start: start as u32, end: self.offset as u32 };
        self.tokens.push(Token { span, kind });
        self.tokens.len() as u32 - 1
    }

    fn entry(&mut self, kind: EntryKind, node: u32, key: u32, parent: u32) -> u32 {
        let entry = self.entries.len() as u32;
        let end = entry + 1;
        self.entries.push(Entry { kind, alias: false, expanded: false, anchored: false, node, key, parent, end });
        entry
    }

    fn open(&mut self, parent: u32, key: u32, is_object: bool) -> Open {
        let start = self.offset;
        self.offset += 1;
        let token = self.token(start, TokenKind::Container);
        let kind = if is_object { EntryKind::Mapping } else { EntryKind::Sequence };
        let entry = self.entry(kind, token, key, parent);
        Open { entry, is_object, empty: true, keys: Keys::default() }
    }

    fn read_key(&mut self, keys: &mut Keys) -> Result<u32, ParseError> {
        let start = self.offset;
        if self.byte() != Some(b'"') {
            return self.fault(start, "a key in double quotes");
        }
        let kind = self.read_string()?;
        let token = self.token(start, kind);
        let name = string(self.text, &self.decoded, self.tokens[token as usize]);
        let earlier = if keys.many.is_empty() {
            let known = |&&known: &&u32| string(self.text, &self.decoded, self.tokens[known as usize]) == name;
            keys.few.iter().find(known).copied()
        } else {
            keys.many.get(name).copied()
        };
        if let Some(earlier) = earlier {
            let line = position(self.text, self.tokens[earlier as usize].span.start as usize).line;
            return Err(ParseError { position: position(self.text, start), expected: Expected::Duplicate(line) });
        }
        if !keys.many.is_empty() {
            keys.many.insert(name.to_owned(), token);
        } else if keys.few.len() < 16 {
            keys.few.push(token);
        } else {
            keys.many.insert(name.to_owned(), token);
            for few in keys.few.drain(..) {
                let name = string(self.text, &self.decoded, self.tokens[few as usize]);
                keys.many.insert(name.to_owned(), few);
            }
        }
        self.skip_space();
        if self.byte() != Some(b':') {
            return self.fault(self.offset, "`:` after the key");
        }
        self.offset += 1;
        self.skip_space();
        Ok(token)
    }

    fn read_scalar(&mut self, parent: u32, key: u32) -> Result<(), ParseError> {
        let start = self.offset;
        let rest = &self.text[start..];
        let kind = match self.byte() {
            Some(b'"') => self.read_string()?,
            Some(b'-' | b'0'..=b'9') => self.read_number()?,
            _ => {
                let words =
                    [("true", TokenKind::Bool(true)), ("false", TokenKind::Bool(false)), ("null", TokenKind::Null)];
                let Some((word, kind)) = words.into_iter().find(|(word, _)| rest.starts_with(word)) else {
                    return self.fault(start, "a value");
                };
                self.offset += word.len();
                kind
            }
        };
        let token = self.token(start, kind);
        self.entry(EntryKind::Scalar, token, key, parent);
        Ok(())
    }

    fn read_number(&mut self) -> Result<TokenKind, ParseError> {
        let start = self.offset;
        let digits = |reader: &mut Self| {
            let from = reader.offset;
            while reader.byte().is_some_and(|byte| byte.is_ascii_digit()) {
                reader.offset += 1;
            }
            reader.offset - from
        };
        if self.byte() == Some(b'-') {
            self.offset += 1;
        }
        let leading_zero = self.byte() == Some(b'0');
        let whole = digits(self);
        if whole == 0 || (leading_zero && whole > 1) {
            return self.fault(start, "a number without leading zeros");
        }
        if self.byte() == Some(b'.') {
            self.offset += 1;
            if digits(self) == 0 {
                return self.fault(self.offset, "a digit after the decimal point");
            }
        }
        if matches!(self.byte(), Some(b'e' | b'E')) {
            self.offset += 1;
            if matches!(self.byte(), Some(b'+' | b'-')) {
                self.offset += 1;
            }
            if digits(self) == 0 {
                return self.fault(self.offset, "a digit in the exponent");
            }
        }
        let spelling = &self.text[start..self.offset];
        if let Ok(value) = spelling.parse() {
            return Ok(TokenKind::Int(value));
        }
        match spelling.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(TokenKind::Float(value)),
            _ => self.fault(start, "a number that fits a 64-bit float"),
        }
    }

    fn read_string(&mut self) -> Result<TokenKind, ParseError> {
        let start = self.offset;
        self.offset += 1;
        let mut from = self.offset;
        let mut decoded = None;
        loop {
            match self.byte() {
                None => return self.fault(start, "the closing quote before the end of the file"),
                Some(b'"') => break,
                Some(b'\\') => {
                    decoded.get_or_insert(self.decoded.len() as u32);
                    self.decoded.append(&self.text[from..self.offset]);
                    let character = self.read_escape()?;
                    self.decoded.append(character.encode_utf8(&mut [0; 4]));
                    from = self.offset;
                }
                Some(0..=0x1f) => return self.fault(self.offset, "an escape instead of a control character"),
                Some(_) => self.offset += 1,
            }
        }
        let kind = match decoded {
            None => TokenKind::Verbatim,
            Some(start) => {
                self.decoded.append(&self.text[from..self.offset]);
                TokenKind::Decoded { start, end: self.decoded.len() as u32 }
            }
        };
        self.offset += 1;
        Ok(kind)
    }

    fn read_escape(&mut self) -> Result<char, ParseError> {
        let start = self.offset;
        self.offset += 2;
        Ok(match self.text.as_bytes().get(start + 1) {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\x08',
            Some(b'f') => '\x0c',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                let high = self.read_unit(start)?;
                if let Some(character) = char::from_u32(high) {
                    return Ok(character);
                }
                let after = self.offset;
                if self.text[after..].starts_with("\\u") && high < 0xdc00 {
                    self.offset += 2;
                    let low = self.read_unit(after)?;
                    if (0xdc00..0xe000).contains(&low) {
                        let code = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                        return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
                    }
                    self.offset = after;
                }
                char::REPLACEMENT_CHARACTER
            }
            _ => return self.fault(start, "a valid escape sequence after the backslash"),
        })
    }

    /// Four hexadecimal digits.
    fn read_unit(&mut self, start: usize) -> Result<u32, ParseError> {
        let digits = self.text.as_bytes().get(self.offset..self.offset + 4);
        let valid = digits.filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let Some(digits) = valid.and_then(|digits| std::str::from_utf8(digits).ok()) else {
            return self.fault(start, "four hexadecimal digits after `\\u`");
        };
        self.offset += 4;
        Ok(u32::from_str_radix(digits, 16).unwrap_or_default())
    }
}

fn string<'t>(text: &'t str, decoded: &'t str, token: Token) -> &'t str {
    match token.kind {
        TokenKind::Decoded { start, end } => &decoded[start as usize..end as usize],
        _ => &text[token.span.start as usize + 1..token.span.end as usize - 1],
    }
}
