//! From characters to tokens, with a comment queue beside them.
//!
//! The algorithm is libyaml's: a queue of tokens in which an implicit key is only recognised when its `:` is met, so
//! `KEY` and `BLOCK-MAPPING-START` are inserted before tokens that already wait there. Comments are no tokens: each is
//! put into a queue with the mark of the token that it belongs to, and the parser takes it when it reaches that token.
//! Which token that is, is go-yaml's own rule (`comment.rs`).

mod comment;
mod property;
mod scalar;

use std::collections::VecDeque;

use bulla_wipe::Wiping;

use crate::error::{Expected, ParseError};
use crate::resolve::{Resolved, resolve};
use crate::source;
use crate::tree::{Span, Style};

/// How deep containers may be nested, in flow and in block context each.
const MAX_DEPTH: usize = 10_000;

/// A place between two characters.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mark {
    /// Offset in bytes.
    pub(crate) offset: u32,
    /// Offset in characters.
    pub(crate) index: i32,
    /// Line, from 0.
    pub(crate) line: i32,
    /// Column in characters, from 0.
    pub(crate) column: i32,
}

/// Text of a scalar or a name: a slice of the source, or of the buffer of decoded text.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Text {
    pub(crate) start: u32,
    pub(crate) length: u32,
    pub(crate) decoded: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum TokenKind {
    StreamStart,
    StreamEnd,
    VersionDirective { major: u8, minor: u8 },
    TagDirective(Box<TagParts>),
    DocumentStart,
    DocumentEnd,
    BlockSequenceStart,
    BlockMappingStart,
    BlockEnd,
    FlowSequenceStart,
    FlowSequenceEnd,
    FlowMappingStart,
    FlowMappingEnd,
    BlockEntry,
    FlowEntry,
    Key,
    Value,
    Alias(Text),
    Anchor(Text),
    Tag(Box<TagParts>),
    Scalar { text: Text, style: Style, end: u32 },
}

/// A handle and what it stands for, or what follows it.
#[derive(Clone, Debug)]
pub(crate) struct TagParts {
    pub(crate) handle: String,
    pub(crate) rest: String,
}

#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    pub(crate) start: Mark,
    pub(crate) end: Mark,
}

/// A run of comment lines with the mark of the token that takes it. An empty span among `lines` is an empty line.
#[derive(Debug)]
pub(crate) struct PendingComment {
    pub(crate) role: Role,
    pub(crate) lines: Vec<Span>,
    pub(crate) token: i32,
    scan: i32,
    start: Mark,
    end: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Head,
    Line,
    Foot,
}

/// A token that becomes a key if a `:` follows on its line.
#[derive(Clone, Copy, Debug)]
struct SimpleKey {
    possible: bool,
    required: bool,
    number: usize,
    mark: Mark,
}

pub(crate) struct Scanner<'t> {
    text: &'t str,
    bytes: &'t [u8],
    /// Decoded text of scalars that are not spelt verbatim.
    pub(crate) decoded: Wiping<Vec<u8>>,
    mark: Mark,
    /// Line breaks since the last character that was not blank.
    newlines: i32,
    flow_level: usize,
    indent: i32,
    indents: Vec<i32>,
    simple_key_allowed: bool,
    simple_keys: Vec<SimpleKey>,
    /// Numbers of the tokens that may be simple keys, ascending, with their place in `simple_keys`.
    keys_by_token: VecDeque<(usize, usize)>,
    tokens: VecDeque<Token>,
    tokens_taken: usize,
    comments: VecDeque<PendingComment>,
    started: bool,
}

impl<'t> Scanner<'t> {
    pub(crate) fn new(text: &'t str) -> Scanner<'t> {
        Scanner {
            text,
            bytes: text.as_bytes(),
            decoded: Wiping::default(),
            mark: Mark::default(),
            newlines: 0,
            flow_level: 0,
            indent: -1,
            indents: Vec::new(),
            simple_key_allowed: false,
            simple_keys: Vec::new(),
            keys_by_token: VecDeque::new(),
            tokens: VecDeque::new(),
            tokens_taken: 0,
            comments: VecDeque::new(),
            started: false,
        }
    }

    /// The next token, which stays in the queue.
    pub(crate) fn peek(&mut self) -> Result<&Token, ParseError> {
        // Three tokens are kept ready, because a comment may change its role until two tokens after it are known.
        while self.tokens.len() < 3 || self.head_may_be_a_key()? {
            self.fetch()?;
        }
        Ok(&self.tokens[0])
    }

    /// Removes the next token; to be called after [`Scanner::peek`].
    pub(crate) fn take(&mut self) -> Option<Token> {
        self.tokens_taken += 1;
        self.tokens.pop_front()
    }

    /// The next comment that belongs to a token at `index` or before it.
    pub(crate) fn comment_until(&mut self, index: i32, heads: bool) -> Option<PendingComment> {
        let next = self.comments.front()?;
        if next.token > index || (next.role == Role::Head && !heads) {
            return None;
        }
        self.comments.pop_front()
    }

    /// Does the text of a plain scalar mean a string?
    pub(crate) fn means_string(&self, text: Text) -> bool {
        let range = text.start as usize..(text.start + text.length) as usize;
        let text = if text.decoded { str::from_utf8(&self.decoded[range]) } else { Ok(&self.text[range]) };
        text.is_ok_and(|text| matches!(resolve(text), Resolved::String | Resolved::Merge))
    }

    pub(crate) fn fault<T>(&self, offset: u32, expected: Expected) -> Result<T, ParseError> {
        Err(ParseError { position: source::position(self.text, offset as usize), expected })
    }

    // Characters

    /// The byte `ahead` of the current character, or 0 behind the end.
    fn byte(&self, ahead: usize) -> u8 {
        self.bytes.get(self.mark.offset as usize + ahead).copied().unwrap_or(0)
    }

    fn is_end(&self) -> bool {
        self.mark.offset as usize >= self.bytes.len()
    }

    fn is_blank(&self, ahead: usize) -> bool {
        matches!(self.byte(ahead), b' ' | b'\t')
    }

    fn is_break(&self, ahead: usize) -> bool {
        break_length(self.bytes, self.mark.offset as usize + ahead) > 0
    }

    fn is_break_or_end(&self, ahead: usize) -> bool {
        self.byte(ahead) == 0 || self.is_break(ahead)
    }

    fn is_blank_or_end(&self, ahead: usize) -> bool {
        self.is_blank(ahead) || self.is_break_or_end(ahead)
    }

    fn is_name(&self) -> bool {
        matches!(self.byte(0), b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'_' | b'-')
    }

    /// Is a document indicator at the beginning of this line?
    fn is_document_indicator(&self) -> bool {
        self.mark.column == 0
            && matches!((self.byte(0), self.byte(1), self.byte(2)), (b'-', b'-', b'-') | (b'.', b'.', b'.'))
            && self.is_blank_or_end(3)
    }

    /// Passes one character.
    fn skip(&mut self) {
        if !self.is_blank(0) {
            self.newlines = 0;
        }
        self.mark.offset += width(self.byte(0));
        self.mark.index += 1;
        self.mark.column += 1;
    }

    /// Passes all spaces that stand here.
    fn skip_spaces(&mut self) {
        let count = self.bytes[self.mark.offset as usize..].iter().take_while(|&&byte| byte == b' ').count();
        self.mark.offset += count as u32;
        self.mark.index += count as i32;
        self.mark.column += count as i32;
    }

    /// Passes `count` characters of one byte each, of which at least one is not blank.
    fn skip_ascii(&mut self, count: usize) {
        self.newlines = 0;
        self.mark.offset += count as u32;
        self.mark.index += count as i32;
        self.mark.column += count as i32;
    }

    /// Passes a line break, if there is one, and gives its spelling.
    fn skip_line(&mut self) -> Break {
        let offset = self.mark.offset as usize;
        let length = break_length(self.bytes, offset);
        if length == 0 {
            return Break::None;
        }
        let kind = match self.bytes[offset] {
            0xe2 if self.bytes[offset + 2] == 0xa8 => Break::LineSeparator,
            0xe2 => Break::ParagraphSeparator,
            _ => Break::Line,
        };
        let carriage_return_line_feed = length == 2 && self.bytes[offset] == b'\r';
        self.mark.offset += length as u32;
        self.mark.index += if carriage_return_line_feed { 2 } else { 1 };
        self.mark.column = 0;
        self.mark.line += 1;
        self.newlines += 1;
        kind
    }

    // The queue

    fn insert(&mut self, place: Option<usize>, kind: TokenKind, start: Mark, end: Mark) {
        let token = Token { kind, start, end };
        match place {
            Some(place) if place < self.tokens.len() => self.tokens.insert(place, token),
            _ => self.tokens.push_back(token),
        }
    }

    fn push(&mut self, kind: TokenKind, start: Mark) {
        self.insert(None, kind, start, self.mark);
    }

    /// Takes an indicator of `length` characters.
    fn push_indicator(&mut self, kind: TokenKind, length: usize) {
        let start = self.mark;
        self.skip_ascii(length);
        self.push(kind, start);
    }

    /// Reads characters until at least one more token is in the queue.
    fn fetch(&mut self) -> Result<(), ParseError> {
        if !self.started {
            self.started = true;
            self.simple_keys.push(SimpleKey { possible: false, required: false, number: 0, mark: self.mark });
            self.simple_key_allowed = true;
            self.push(TokenKind::StreamStart, self.mark);
            return Ok(());
        }
        let scan = self.mark;
        self.skip_to_next_token()?;
        self.unroll_indent(self.mark.column, scan);

        if self.is_end() {
            return self.fetch_stream_end();
        }
        if self.mark.column == 0 && self.byte(0) == b'%' {
            return self.fetch_directive();
        }
        if self.is_document_indicator() {
            let kind = if self.byte(0) == b'-' { TokenKind::DocumentStart } else { TokenKind::DocumentEnd };
            self.end_block_context()?;
            self.push_indicator(kind, 3);
            return Ok(());
        }
        // A comment behind `:` or `,` belongs to what stands before it.
        let closes = if self.flow_level == 0 { b':' } else { b',' };
        let comment_index = match self.tokens.back() {
            Some(token) if self.byte(0) == closes => token.start.index,
            _ => self.mark.index,
        };
        self.fetch_content()?;
        // Behind a `-` a comment is the head of what follows.
        if !matches!(self.tokens.back(), Some(Token { kind: TokenKind::BlockEntry, .. })) {
            self.scan_line_comment(comment_index);
        }
        Ok(())
    }

    fn fetch_content(&mut self) -> Result<(), ParseError> {
        let in_flow = self.flow_level > 0;
        match self.byte(0) {
            b'[' => self.fetch_flow_start(TokenKind::FlowSequenceStart),
            b'{' => self.fetch_flow_start(TokenKind::FlowMappingStart),
            b']' => self.fetch_flow_end(TokenKind::FlowSequenceEnd),
            b'}' => self.fetch_flow_end(TokenKind::FlowMappingEnd),
            b',' => {
                self.forget_simple_key()?;
                self.simple_key_allowed = true;
                self.push_indicator(TokenKind::FlowEntry, 1);
                Ok(())
            }
            b'-' if self.is_blank_or_end(1) => self.fetch_block_entry(),
            b'?' if in_flow || self.is_blank_or_end(1) => self.fetch_key(),
            b':' if in_flow || self.is_blank_or_end(1) => self.fetch_value(),
            b'*' | b'&' => {
                self.save_simple_key()?;
                self.simple_key_allowed = false;
                self.scan_anchor()
            }
            b'!' => {
                self.save_simple_key()?;
                self.simple_key_allowed = false;
                self.scan_tag()
            }
            b'|' | b'>' if !in_flow => {
                self.forget_simple_key()?;
                self.simple_key_allowed = true;
                self.scan_block_scalar()
            }
            b'\'' | b'"' => {
                self.save_simple_key()?;
                self.simple_key_allowed = false;
                self.scan_quoted_scalar()
            }
            byte if self.starts_plain(byte) => {
                self.save_simple_key()?;
                self.simple_key_allowed = false;
                self.scan_plain_scalar()
            }
            b'\t' => self.fault(self.mark.offset, Expected::Tab),
            _ => self.fault(self.mark.offset, Expected::Start),
        }
    }

    fn starts_plain(&self, byte: u8) -> bool {
        match byte {
            b',' | b'[' | b']' | b'{' | b'}' | b'#' | b'&' | b'*' | b'!' | b'|' | b'>' | b'\'' | b'"' | b'%' | b'@'
            | b'`' => false,
            b'-' => !self.is_blank(1),
            b'?' | b':' => self.flow_level == 0 && !self.is_blank_or_end(1),
            _ => !self.is_blank_or_end(0),
        }
    }

    fn fetch_stream_end(&mut self) -> Result<(), ParseError> {
        if self.mark.column != 0 {
            self.mark.column = 0;
            self.mark.line += 1;
        }
        self.end_block_context()?;
        self.push(TokenKind::StreamEnd, self.mark);
        Ok(())
    }

    /// Ends every block: at a document's indicator, a directive, the end of the stream.
    fn end_block_context(&mut self) -> Result<(), ParseError> {
        self.unroll_indent(-1, self.mark);
        self.forget_simple_key()?;
        self.simple_key_allowed = false;
        Ok(())
    }

    fn fetch_flow_start(&mut self, kind: TokenKind) -> Result<(), ParseError> {
        self.save_simple_key()?;
        let number = self.next_number();
        self.simple_keys.push(SimpleKey { possible: false, required: false, number, mark: self.mark });
        self.flow_level += 1;
        if self.flow_level > MAX_DEPTH {
            return self.fault(self.mark.offset, Expected::Depth);
        }
        self.simple_key_allowed = true;
        self.push_indicator(kind, 1);
        Ok(())
    }

    fn fetch_flow_end(&mut self, kind: TokenKind) -> Result<(), ParseError> {
        self.forget_simple_key()?;
        if self.flow_level > 0 {
            self.flow_level -= 1;
            if let Some(key) = self.simple_keys.pop() {
                self.forget_token(key.number);
            }
        }
        self.simple_key_allowed = false;
        self.push_indicator(kind, 1);
        Ok(())
    }

    fn fetch_block_entry(&mut self) -> Result<(), ParseError> {
        if self.flow_level == 0 {
            if !self.simple_key_allowed {
                return self.fault(self.mark.offset, Expected::NotAllowed("`-`"));
            }
            self.roll_indent(self.mark.column, None, TokenKind::BlockSequenceStart, self.mark)?;
        }
        self.forget_simple_key()?;
        self.simple_key_allowed = true;
        self.push_indicator(TokenKind::BlockEntry, 1);
        Ok(())
    }

    fn fetch_key(&mut self) -> Result<(), ParseError> {
        if self.flow_level == 0 {
            if !self.simple_key_allowed {
                return self.fault(self.mark.offset, Expected::NotAllowed("`?`"));
            }
            self.roll_indent(self.mark.column, None, TokenKind::BlockMappingStart, self.mark)?;
        }
        self.forget_simple_key()?;
        self.simple_key_allowed = self.flow_level == 0;
        self.push_indicator(TokenKind::Key, 1);
        Ok(())
    }

    fn fetch_value(&mut self) -> Result<(), ParseError> {
        let level = self.simple_keys.len() - 1;
        if self.is_valid(level)? {
            let key = self.simple_keys[level];
            self.insert(key.number.checked_sub(self.tokens_taken), TokenKind::Key, key.mark, key.mark);
            self.roll_indent(key.mark.column, Some(key.number), TokenKind::BlockMappingStart, key.mark)?;
            self.simple_keys[level].possible = false;
            self.forget_token(key.number);
            self.simple_key_allowed = false;
        } else {
            if self.flow_level == 0 {
                if !self.simple_key_allowed {
                    return self.fault(self.mark.offset, Expected::NotAllowed("`:`"));
                }
                self.roll_indent(self.mark.column, None, TokenKind::BlockMappingStart, self.mark)?;
            }
            self.simple_key_allowed = self.flow_level == 0;
        }
        self.push_indicator(TokenKind::Value, 1);
        Ok(())
    }

    // Simple keys

    fn next_number(&self) -> usize {
        self.tokens_taken + self.tokens.len()
    }

    fn head_may_be_a_key(&mut self) -> Result<bool, ParseError> {
        while self.keys_by_token.front().is_some_and(|(number, _)| *number < self.tokens_taken) {
            self.keys_by_token.pop_front();
        }
        match self.keys_by_token.front() {
            Some(&(number, level)) if number == self.tokens_taken => self.is_valid(level),
            _ => Ok(false),
        }
    }

    /// Can this still become a key? It must be on the current line and within 1,024 characters.
    fn is_valid(&mut self, level: usize) -> Result<bool, ParseError> {
        let key = self.simple_keys[level];
        if !key.possible {
            return Ok(false);
        }
        if key.mark.line < self.mark.line || key.mark.index + 1024 < self.mark.index {
            if key.required {
                return self.fault(key.mark.offset, Expected::Colon);
            }
            self.simple_keys[level].possible = false;
            return Ok(false);
        }
        Ok(true)
    }

    fn save_simple_key(&mut self) -> Result<(), ParseError> {
        if !self.simple_key_allowed {
            return Ok(());
        }
        let required = self.flow_level == 0 && self.indent == self.mark.column;
        let number = self.next_number();
        self.forget_simple_key()?;
        let level = self.simple_keys.len() - 1;
        self.simple_keys[level] = SimpleKey { possible: true, required, number, mark: self.mark };
        self.keys_by_token.push_back((number, level));
        Ok(())
    }

    fn forget_simple_key(&mut self) -> Result<(), ParseError> {
        let level = self.simple_keys.len() - 1;
        let key = self.simple_keys[level];
        if key.possible {
            if key.required {
                return self.fault(key.mark.offset, Expected::Colon);
            }
            self.simple_keys[level].possible = false;
            self.forget_token(key.number);
        }
        Ok(())
    }

    fn forget_token(&mut self, number: usize) {
        if let Ok(place) = self.keys_by_token.binary_search_by_key(&number, |(number, _)| *number) {
            self.keys_by_token.remove(place);
        }
    }

    // Indentation

    /// Opens a block collection if `column` is deeper than the current one.
    fn roll_indent(
        &mut self,
        column: i32,
        number: Option<usize>,
        kind: TokenKind,
        mark: Mark,
    ) -> Result<(), ParseError> {
        if self.flow_level > 0 || self.indent >= column {
            return Ok(());
        }
        self.indents.push(self.indent);
        self.indent = column;
        if self.indents.len() > MAX_DEPTH {
            return self.fault(mark.offset, Expected::Depth);
        }
        let place = number.and_then(|number| number.checked_sub(self.tokens_taken));
        self.insert(place, kind, mark, mark);
        Ok(())
    }

    /// Closes the block collections that are deeper than `column`.
    ///
    /// A collection ends before a comment that is indented as its parent, so that the comment becomes the parent's foot.
    fn unroll_indent(&mut self, column: i32, scan: Mark) {
        if self.flow_level > 0 {
            return;
        }
        let mut end = scan;
        end.index -= 1;
        while self.indent > column {
            let mut stop = end.index;
            for comment in self.comments.iter().rev() {
                if comment.end < stop {
                    break;
                }
                if comment.start.column == self.indent + 1 {
                    end = comment.start;
                }
                stop = comment.scan;
            }
            self.insert(None, TokenKind::BlockEnd, end, end);
            self.indent = self.indents.pop().unwrap_or(-1);
        }
    }

    fn skip_to_next_token(&mut self) -> Result<(), ParseError> {
        let scan = self.mark;
        loop {
            let tabs = self.flow_level > 0 || !self.simple_key_allowed;
            self.skip_spaces();
            while tabs && self.byte(0) == b'\t' {
                self.skip();
                self.skip_spaces();
            }
            self.turn_line_comment_into_head();
            if self.byte(0) == b'#' {
                self.scan_comments(scan);
            }
            if !self.is_break(0) {
                return Ok(());
            }
            self.skip_line();
            if self.flow_level == 0 {
                self.simple_key_allowed = true;
            }
        }
    }
}

/// A line break as it counts in a scalar's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Break {
    None,
    /// Line feed, carriage return, both, or next line: a line feed.
    Line,
    LineSeparator,
    ParagraphSeparator,
}

impl Break {
    fn text(self) -> &'static str {
        match self {
            Break::None => "",
            Break::Line => "\n",
            Break::LineSeparator => "\u{2028}",
            Break::ParagraphSeparator => "\u{2029}",
        }
    }
}

/// Length in bytes of the line break at `offset`, 0 if there is none.
fn break_length(bytes: &[u8], offset: usize) -> usize {
    match bytes.get(offset) {
        Some(b'\r') if bytes.get(offset + 1) == Some(&b'\n') => 2,
        Some(b'\n' | b'\r') => 1,
        Some(0xc2) if bytes.get(offset + 1) == Some(&0x85) => 2,
        Some(0xe2) if bytes.get(offset + 1) == Some(&0x80) && matches!(bytes.get(offset + 2), Some(0xa8 | 0xa9)) => 3,
        _ => 0,
    }
}

/// Length in bytes of the character that starts with `byte`.
fn width(byte: u8) -> u32 {
    match byte {
        0..=0x7f => 1,
        0x80..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xff => 4,
    }
}
