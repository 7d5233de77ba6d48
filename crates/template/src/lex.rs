//! The tokens of a template, as Go's lexer cuts them: text between actions with its trimmed spaces left out, and the words
//! of actions with the spaces between them.
//!
//! Source: observation of Go 1.26 `text/template/parse`. Every token is a range of the input.

use memchr::memmem;

use crate::unicode::{decode, is_digit, is_letter};

const SPACES: &[u8] = b" \t\r\n";

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The input cannot be cut here; it ends with this token.
    Error(&'static str),
    /// The end of the input.
    End,
    Text,
    LeftDelimiter,
    RightDelimiter,
    LeftParenthesis,
    RightParenthesis,
    Space,
    Pipe,
    Assign,
    Declare,
    /// `,` and other characters that mean nothing, or nothing here.
    Character,
    Bool,
    CharacterConstant,
    Complex,
    Number,
    String,
    RawString,
    /// `.name`.
    Field,
    /// `.`.
    Dot,
    /// `$` or `$name`.
    Variable,
    Identifier,
    Nil,
    Keyword(Keyword),
}

/// Words that begin or end a construct.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keyword {
    Block,
    Break,
    Continue,
    Define,
    Else,
    End,
    If,
    Range,
    Template,
    With,
}

/// A token and where it stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// Cuts tokens off the front.
pub(crate) struct Lexer<'i> {
    input: &'i [u8],
    left: &'i [u8],
    right: &'i [u8],
    position: usize,
    start: usize,
    inside: bool,
    parentheses: usize,
}

impl<'i> Lexer<'i> {
    /// A lexer of `input`, of which actions stand between `left` and `right`.
    pub(crate) fn new(input: &'i [u8], left: &'i [u8], right: &'i [u8]) -> Self {
        Self { input, left, right, position: 0, start: 0, inside: false, parentheses: 0 }
    }

    /// The next token; behind an error or the end it is the end.
    pub(crate) fn next_token(&mut self) -> Token {
        if self.inside { self.inside_action() } else { self.text() }
    }

    fn rest(&self) -> &'i [u8] {
        &self.input[self.position..]
    }

    fn token(&mut self, kind: Kind) -> Token {
        let token = Token { kind, start: self.start, end: self.position };
        self.start = self.position;
        token
    }

    fn error(&mut self, reason: &'static str) -> Token {
        let token = Token { kind: Kind::Error(reason), start: self.start, end: self.position };
        self.input = &self.input[..self.position];
        self.inside = false;
        self.start = self.position;
        token
    }

    fn text(&mut self) -> Token {
        loop {
            let Some(length) = memmem::find(self.rest(), self.left) else {
                self.position = self.input.len();
                let kind = if self.position > self.start { Kind::Text } else { Kind::End };
                return self.token(kind);
            };
            self.position += length;
            if length > 0 {
                let delimiter = self.position;
                if has_left_trim(&self.input[delimiter + self.left.len()..]) {
                    let text = &self.input[self.start..delimiter];
                    let spaces = text.iter().rev().take_while(|byte| SPACES.contains(byte)).count();
                    self.position -= spaces;
                }
                let token = self.token(Kind::Text);
                self.position = delimiter;
                self.start = delimiter;
                if token.end > token.start {
                    return token;
                }
            }
            // The left delimiter stands here.
            self.position += self.left.len();
            let marker = if has_left_trim(self.rest()) { 2 } else { 0 };
            if !self.input[self.position + marker..].starts_with(b"/*") {
                let token = self.token(Kind::LeftDelimiter);
                self.inside = true;
                self.position += marker;
                self.start = self.position;
                self.parentheses = 0;
                return token;
            }
            self.position += marker;
            self.start = self.position;
            self.position += 2;
            let Some(length) = memmem::find(self.rest(), b"*/") else {
                return self.error("a comment that does not end");
            };
            self.position += length + 2;
            let Some(trims) = self.at_right_delimiter() else {
                return self.error("a comment ends before its action does");
            };
            self.skip_right_delimiter(trims);
            self.start = self.position;
        }
    }

    /// Whether the right delimiter stands here, and whether it trims the text behind it.
    fn at_right_delimiter(&self) -> Option<bool> {
        if has_right_trim(self.rest()) && self.rest()[2..].starts_with(self.right) {
            return Some(true);
        }
        self.rest().starts_with(self.right).then_some(false)
    }

    fn skip_right_delimiter(&mut self, trims: bool) {
        self.position += self.right.len() + if trims { 2 } else { 0 };
        if trims {
            self.position += self.rest().iter().take_while(|byte| SPACES.contains(byte)).count();
        }
    }

    fn right_delimiter(&mut self, trims: bool) -> Token {
        let token = Token { kind: Kind::RightDelimiter, start: self.start, end: self.position };
        self.skip_right_delimiter(trims);
        self.start = self.position;
        self.inside = false;
        token
    }

    fn inside_action(&mut self) -> Token {
        if let Some(trims) = self.at_right_delimiter() {
            if self.parentheses == 0 {
                return self.right_delimiter(trims);
            }
            return self.error("a parenthesis that is not closed");
        }
        let Some(character) = self.take() else {
            return self.error("an action that is not closed");
        };
        match character {
            ' ' | '\t' | '\r' | '\n' => self.space(),
            '=' => self.token(Kind::Assign),
            ':' => match self.take() {
                Some('=') => self.token(Kind::Declare),
                _ => self.error("`:` without `=`"),
            },
            '|' => self.token(Kind::Pipe),
            '"' => self.quoted(b'"', Kind::String, "a string that does not end"),
            '`' => match memmem::find(self.rest(), b"`") {
                Some(length) => {
                    self.position += length + 1;
                    self.token(Kind::RawString)
                }
                None => self.error("a string that does not end"),
            },
            '\'' => self.quoted(b'\'', Kind::CharacterConstant, "a character that does not end"),
            '$' => self.name(Kind::Variable, Kind::Variable),
            '.' if !self.rest().first().is_some_and(u8::is_ascii_digit) && !self.rest().is_empty() => {
                self.name(Kind::Field, Kind::Dot)
            }
            '.' | '+' | '-' | '0'..='9' => {
                self.position = self.start;
                self.number()
            }
            '(' => {
                self.parentheses += 1;
                self.token(Kind::LeftParenthesis)
            }
            ')' if self.parentheses == 0 => self.error("a parenthesis closes that was not opened"),
            ')' => {
                self.parentheses -= 1;
                self.token(Kind::RightParenthesis)
            }
            character if is_alphanumeric(character) => self.word(),
            '!'..='~' => self.token(Kind::Character),
            _ => self.error("a character that means nothing in an action"),
        }
    }

    /// Spaces, of which the first is behind us; the one before a trimming delimiter belongs to that.
    fn space(&mut self) -> Token {
        while self.peek().is_some_and(is_space) {
            self.position += 1;
        }
        let last = self.position - 1;
        if has_right_trim(&self.input[last..]) && self.input[last + 2..].starts_with(self.right) {
            self.position = last;
            if self.start == last {
                return self.right_delimiter(true);
            }
        }
        self.token(Kind::Space)
    }

    fn word(&mut self) -> Token {
        self.skip_alphanumeric();
        if !self.at_terminator() {
            return self.error("a character that cannot follow a name");
        }
        let kind = match &self.input[self.start..self.position] {
            b"true" | b"false" => Kind::Bool,
            b"nil" => Kind::Nil,
            b"block" => Kind::Keyword(Keyword::Block),
            b"break" => Kind::Keyword(Keyword::Break),
            b"continue" => Kind::Keyword(Keyword::Continue),
            b"define" => Kind::Keyword(Keyword::Define),
            b"else" => Kind::Keyword(Keyword::Else),
            b"end" => Kind::Keyword(Keyword::End),
            b"if" => Kind::Keyword(Keyword::If),
            b"range" => Kind::Keyword(Keyword::Range),
            b"template" => Kind::Keyword(Keyword::Template),
            b"with" => Kind::Keyword(Keyword::With),
            _ => Kind::Identifier,
        };
        self.token(kind)
    }

    /// A field or variable behind its `.` or `$`; `bare` without a name.
    fn name(&mut self, named: Kind, bare: Kind) -> Token {
        if self.at_terminator() {
            return self.token(bare);
        }
        self.skip_alphanumeric();
        if !self.at_terminator() {
            return self.error("a character that cannot follow a name");
        }
        self.token(named)
    }

    fn quoted(&mut self, quote: u8, kind: Kind, unterminated: &'static str) -> Token {
        loop {
            match self.take() {
                Some('\\') => {
                    if matches!(self.take(), None | Some('\n')) {
                        return self.error(unterminated);
                    }
                }
                None | Some('\n') => return self.error(unterminated),
                Some(character) if character == char::from(quote) => return self.token(kind),
                Some(_) => {}
            }
        }
    }

    fn number(&mut self) -> Token {
        const BAD: &str = "a malformed number";
        if !self.scan_number() {
            return self.error(BAD);
        }
        if matches!(self.peek(), Some('+' | '-')) {
            if !self.scan_number() || self.input[self.position - 1] != b'i' {
                return self.error(BAD);
            }
            return self.token(Kind::Complex);
        }
        self.token(Kind::Number)
    }

    fn scan_number(&mut self) -> bool {
        self.accept(b"+-");
        let mut digits: &[u8] = b"0123456789_";
        let mut exponent: &[u8] = b"eE";
        if self.accept(b"0") {
            if self.accept(b"xX") {
                (digits, exponent) = (b"0123456789abcdefABCDEF_", b"pP");
            } else if self.accept(b"oO") {
                (digits, exponent) = (b"01234567_", b"");
            } else if self.accept(b"bB") {
                (digits, exponent) = (b"01_", b"");
            }
        }
        while self.accept(digits) {}
        if self.accept(b".") {
            while self.accept(digits) {}
        }
        if self.accept(exponent) {
            self.accept(b"+-");
            while self.accept(b"0123456789_") {}
        }
        self.accept(b"i");
        if self.peek().is_some_and(is_alphanumeric) {
            self.take();
            return false;
        }
        true
    }

    fn accept(&mut self, valid: &[u8]) -> bool {
        let accepted = self.rest().first().is_some_and(|byte| valid.contains(byte));
        self.position += usize::from(accepted);
        accepted
    }

    fn peek(&self) -> Option<char> {
        (!self.rest().is_empty()).then(|| decode(self.rest()).0)
    }

    fn take(&mut self) -> Option<char> {
        let (character, length) = decode(self.rest());
        self.position += length;
        (length > 0).then_some(character)
    }

    fn skip_alphanumeric(&mut self) {
        while self.peek().is_some_and(is_alphanumeric) {
            self.take();
        }
    }

    fn at_terminator(&self) -> bool {
        match self.peek() {
            None | Some(' ' | '\t' | '\r' | '\n' | '.' | ',' | '|' | ':' | ')' | '(') => true,
            Some(_) => self.rest().starts_with(self.right),
        }
    }
}

fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\r' | '\n')
}

fn is_alphanumeric(character: char) -> bool {
    character == '_' || is_letter(character) || is_digit(character)
}

fn has_left_trim(text: &[u8]) -> bool {
    text.first() == Some(&b'-') && text.get(1).is_some_and(|byte| SPACES.contains(byte))
}

fn has_right_trim(text: &[u8]) -> bool {
    text.get(1) == Some(&b'-') && SPACES.contains(&text[0])
}
