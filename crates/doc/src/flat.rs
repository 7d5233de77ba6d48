//! Files of lines: dotenv and INI, as SOPS' tree.
//!
//! ```text
//! dotenv  KEY=value, #comment              entries at the top; the metadata in keys that begin with `sops_`
//! INI     [section], key = value, ; comment  a mapping for each section; the metadata in the section `sops`
//! ```
//! Both have texts only. The metadata is flat there (`age__list_0__map_enc`); in the tree it is nested as everywhere else, and each of
//! its values still has its own place in the file.
//!
//! Source: sops 3.13.3 `stores/dotenv/store.go`, `stores/ini/store.go`, `stores/flatten.go`.

mod dotenv;
mod ini;
mod nested;

use std::borrow::Cow;
use std::ops::Range;

use bulla_wipe::Wiping;
use bulla_yaml::{Position, Span};

use crate::Format;
use crate::error::{Expected, ParseError};
use crate::spell::Quote;
use crate::text::{self, position};
use crate::tree::{Document, Entry, EntryKind, NONE, Source, Value};

pub(crate) use ini::{comment_reads_as, key_reads_as as ini_key_reads_as, value_of as ini_value};
pub(crate) use nested::{LIST, MAP};

/// What the keys of the metadata begin with in dotenv.
pub(crate) const DOTENV_PREFIX: &str = "sops_";
/// The section of the metadata in INI.
pub(crate) const INI_SECTION: &str = "sops";
/// The section of the keys above all sections.
pub(crate) const DEFAULT_SECTION: &str = "DEFAULT";

/// The characters of a file and the places of what is in it.
pub(crate) struct Text {
    pub(crate) format: Format,
    text: Wiping<String>,
    decoded: Wiping<String>,
    tokens: Vec<Token>,
}

/// A key, a value, a comment or a section.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token {
    /// The characters that spell it: of a value with its quotes, of a comment without the sign before its text, of a section its header.
    pub(crate) span: Span,
    content: Content,
    pub(crate) quote: Quote,
    /// The whole lines that it takes.
    pub(crate) lines: Span,
    /// Of a comment of INI that stands behind a header or several lines: it needs a line above to be encrypted, and `span` is where.
    pub(crate) needs_line: bool,
    /// Of a comment of INI: what of it stands behind the value (or header) that it belongs to, with the blanks before it. It is a part
    /// of its own only if there are lines above, too; else it is empty, and where it would begin.
    pub(crate) tail: Span,
}

impl Token {
    /// A token whose text stands there as it is.
    fn verbatim(text: Range<usize>) -> Self {
        let span = span(text);
        Self { span, content: Content::Verbatim(span), quote: Quote::None, lines: span, needs_line: false, tail: span }
    }
}

/// Where the text of a token is.
#[derive(Clone, Copy, Debug)]
enum Content {
    /// In the file, as it is.
    Verbatim(Span),
    /// Among the decoded texts.
    Decoded(Span),
}

impl Text {
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn token(&self, token: u32) -> &Token {
        &self.tokens[token as usize]
    }

    pub(crate) fn string(&self, token: u32) -> &str {
        match self.tokens[token as usize].content {
            Content::Verbatim(span) => &self.text[span.range()],
            Content::Decoded(span) => &self.decoded[span.range()],
        }
    }

    pub(crate) fn value(&self, token: u32) -> Value<'_> {
        Value::String(Cow::Borrowed(self.string(token).as_bytes()))
    }

    pub(crate) fn position(&self, offset: usize) -> Position {
        position(&self.text, offset)
    }
}

fn span(range: Range<usize>) -> Span {
    Span { start: range.start as u32, end: range.end as u32 }
}

/// Reads a file of dotenv or INI.
pub(crate) fn read(bytes: Wiping<Vec<u8>>, format: Format) -> Result<Document, ParseError> {
    let text = text::read(bytes, Expected::Text)?;
    let mut builder = Builder { text: &text, decoded: Wiping::default(), tokens: Vec::new(), entries: Vec::new() };
    if format == Format::Ini {
        ini::read(&mut builder)?;
    } else {
        dotenv::read(&mut builder)?;
    }
    let Builder { decoded, tokens, entries, .. } = builder;
    Ok(Document {
        source: Source::Flat(Text { format, text, decoded, tokens }),
        entries,
        roots: vec![0],
        places: Vec::new(),
    })
}

/// A file of bytes that are one value.
pub(crate) fn binary(bytes: Wiping<Vec<u8>>) -> Document {
    let entry = |kind, parent, end| Entry {
        kind,
        alias: false,
        expanded: false,
        anchored: false,
        node: 0,
        key: if parent == NONE { NONE } else { 0 },
        parent,
        end,
    };
    let entries = vec![entry(EntryKind::Mapping, NONE, 2), entry(EntryKind::Scalar, 0, 2)];
    Document { source: Source::Binary(bytes), entries, roots: vec![0], places: Vec::new() }
}

/// Makes the tree, entry by entry.
struct Builder<'t> {
    text: &'t str,
    decoded: Wiping<String>,
    tokens: Vec<Token>,
    entries: Vec<Entry>,
}

impl Builder<'_> {
    fn fault<T>(&self, offset: usize, expected: Expected) -> Result<T, ParseError> {
        Err(ParseError { position: position(self.text, offset), expected })
    }

    /// A token whose text is another than its spelling.
    fn decoded(&mut self, spelling: Range<usize>, text: &str) -> Token {
        let start = self.decoded.len();
        self.decoded.append(text);
        let content = Content::Decoded(span(start..self.decoded.len()));
        Token { content, ..Token::verbatim(spelling) }
    }

    fn push(&mut self, token: Token) -> u32 {
        self.tokens.push(token);
        self.tokens.len() as u32 - 1
    }

    fn entry(&mut self, kind: EntryKind, node: u32, key: u32, parent: u32) -> u32 {
        let entry = self.entries.len() as u32;
        let end = entry + 1;
        self.entries.push(Entry { kind, alias: false, expanded: false, anchored: false, node, key, parent, end });
        entry
    }

    fn close(&mut self, entry: u32) {
        self.entries[entry as usize].end = self.entries.len() as u32;
    }
}

/// A value of the metadata with its flattened key.
struct Field {
    /// The key in the text, without the prefix that all have.
    key: Range<usize>,
    value: Token,
}
