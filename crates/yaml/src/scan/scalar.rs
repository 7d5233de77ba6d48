//! Scalars: plain, quoted, literal, folded.
//!
//! A scalar that is spelt verbatim stays a slice of the source; only folding, escapes and indentation make a copy.

use super::property::hexadecimal;
use super::{Break, Mark, Scanner, Text, TokenKind, break_length, width};
use crate::error::{Expected, ParseError};
use crate::tree::Style;

/// Value of a flow scalar while it is read: a slice of the source for as long as that is possible.
struct Builder {
    /// Where the part begins that is not yet copied.
    from: usize,
    /// Where the decoded text begins, once there is some.
    decoded: Option<usize>,
}

/// Line breaks and blanks between two words of a flow scalar.
#[derive(Default)]
struct Gap {
    /// The first line break.
    first: Option<Break>,
    /// The line breaks behind it.
    more: Vec<Break>,
    /// Where the blanks before the first line break begin.
    blanks: usize,
}

impl Builder {
    /// Copies the source up to `offset`; what follows is decoded.
    fn flush(&mut self, scanner: &mut Scanner<'_>, offset: usize) {
        let start = *self.decoded.get_or_insert(scanner.decoded.len());
        debug_assert!(start <= scanner.decoded.len());
        scanner.decoded.append(&scanner.bytes[self.from..offset]);
        self.from = offset;
    }

    fn push(scanner: &mut Scanner<'_>, text: &str) {
        scanner.decoded.append(text.as_bytes());
    }

    /// Folds the line breaks of `gap`, whose end is the current place.
    fn fold(&mut self, scanner: &mut Scanner<'_>, gap: &Gap) {
        self.flush(scanner, gap.blanks);
        match gap.first {
            // Behind an escaped line break there is no first break, and the others count as they are.
            Some(Break::Line) if gap.more.is_empty() => Self::push(scanner, " "),
            None | Some(Break::Line) => {}
            Some(first) => Self::push(scanner, first.text()),
        }
        for line_break in &gap.more {
            Self::push(scanner, line_break.text());
        }
        self.from = scanner.mark.offset as usize;
    }

    fn finish(self, scanner: &mut Scanner<'_>, offset: usize) -> Text {
        match self.decoded {
            None => Text { start: self.from as u32, length: (offset - self.from) as u32, decoded: false },
            Some(start) => {
                scanner.decoded.append(&scanner.bytes[self.from..offset]);
                Text { start: start as u32, length: (scanner.decoded.len() - start) as u32, decoded: true }
            }
        }
    }
}

/// Can this byte stand inside a plain scalar of block context without a closer look?
fn fits_in_block(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~') && byte != b':'
}

/// Inside a plain scalar of flow context?
fn fits_in_flow(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~') && !matches!(byte, b':' | b',' | b'?' | b'[' | b']' | b'{' | b'}')
}

/// Inside quotes of either kind?
fn fits_in_quotes(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~') && !matches!(byte, b'\'' | b'"' | b'\\')
}

/// Number of bytes at the beginning of `bytes` that all fit.
#[inline]
fn run(bytes: &[u8], fits: impl Fn(u8) -> bool) -> usize {
    let (blocks, _) = bytes.as_chunks::<16>();
    let fits_whole = |block: &&[u8; 16]| {
        let mut fitting = 0;
        for &byte in *block {
            fitting += u8::from(fits(byte));
        }
        fitting == 16
    };
    // Sixteen at a time as long as that goes: such a sum is made of all of them at once.
    let length = 16 * blocks.iter().take_while(fits_whole).count();
    length + bytes[length..].iter().take_while(|&&byte| fits(byte)).count()
}

impl Scanner<'_> {
    fn rest(&self) -> &[u8] {
        &self.bytes[self.mark.offset as usize..]
    }

    pub(super) fn scan_plain_scalar(&mut self) -> Result<(), ParseError> {
        let start = self.mark;
        let mut end = self.mark;
        let indent = self.indent + 1;
        let mut builder = Builder { from: start.offset as usize, decoded: None };
        let mut gap = Gap::default();
        let mut leading_blanks = false;
        loop {
            if self.is_document_indicator() || self.byte(0) == b'#' {
                break;
            }
            loop {
                let run =
                    if self.flow_level > 0 { run(self.rest(), fits_in_flow) } else { run(self.rest(), fits_in_block) };
                if run == 0 && self.is_blank_or_end(0) {
                    break;
                }
                let byte = self.byte(0);
                let ends = (byte == b':' && self.is_blank_or_end(1))
                    || (self.flow_level > 0 && matches!(byte, b',' | b'?' | b'[' | b']' | b'{' | b'}'));
                if ends {
                    break;
                }
                if leading_blanks {
                    builder.fold(self, &gap);
                    gap = Gap::default();
                    leading_blanks = false;
                }
                if run > 0 {
                    self.skip_ascii(run);
                } else {
                    self.skip();
                }
                end = self.mark;
            }
            if !(self.is_blank(0) || self.is_break(0)) {
                break;
            }
            if !leading_blanks {
                gap.blanks = self.mark.offset as usize;
            }
            while self.is_blank(0) || self.is_break(0) {
                if self.byte(0) == b' ' {
                    self.skip_spaces();
                } else if self.byte(0) == b'\t' {
                    if leading_blanks && self.mark.column < indent {
                        return self.fault(self.mark.offset, Expected::Tab);
                    }
                    self.skip();
                } else {
                    gap.push(self.skip_line());
                    leading_blanks = true;
                }
            }
            if self.flow_level == 0 && self.mark.column < indent {
                break;
            }
        }
        let text = builder.finish(self, end.offset as usize);
        self.insert(None, TokenKind::Scalar { text, style: Style::Plain, end: end.offset }, start, end);
        if leading_blanks {
            self.simple_key_allowed = true;
        }
        Ok(())
    }

    pub(super) fn scan_quoted_scalar(&mut self) -> Result<(), ParseError> {
        let start = self.mark;
        let quote = self.byte(0);
        self.skip();
        let mut builder = Builder { from: self.mark.offset as usize, decoded: None };
        loop {
            if self.is_document_indicator() || self.is_end() {
                return self.fault(start.offset, Expected::Quote);
            }
            let mut escaped = false;
            loop {
                let run = run(self.rest(), fits_in_quotes);
                if run > 0 {
                    self.skip_ascii(run);
                }
                if self.is_blank_or_end(0) {
                    break;
                }
                let byte = self.byte(0);
                if byte == quote && quote == b'\'' && self.byte(1) == b'\'' {
                    self.skip();
                    builder.flush(self, self.mark.offset as usize);
                    self.skip();
                    builder.from = self.mark.offset as usize;
                } else if byte == quote {
                    break;
                } else if quote == b'"' && byte == b'\\' {
                    builder.flush(self, self.mark.offset as usize);
                    if break_length(self.bytes, self.mark.offset as usize + 1) > 0 {
                        self.skip();
                        self.skip_line();
                        builder.from = self.mark.offset as usize;
                        escaped = true;
                        break;
                    }
                    self.scan_escape()?;
                    builder.from = self.mark.offset as usize;
                } else {
                    self.skip();
                }
            }
            if self.byte(0) == quote {
                break;
            }
            let mut gap = Gap { blanks: self.mark.offset as usize, ..Gap::default() };
            let mut leading_blanks = escaped;
            while self.is_blank(0) || self.is_break(0) {
                if self.is_blank(0) {
                    self.skip();
                } else {
                    let line_break = self.skip_line();
                    if escaped {
                        gap.more.push(line_break);
                    } else {
                        gap.push(line_break);
                    }
                    leading_blanks = true;
                }
            }
            if leading_blanks {
                builder.fold(self, &gap);
            }
        }
        let text = builder.finish(self, self.mark.offset as usize);
        self.skip();
        let style = if quote == b'"' { Style::DoubleQuoted } else { Style::SingleQuoted };
        self.push(TokenKind::Scalar { text, style, end: self.mark.offset }, start);
        Ok(())
    }

    /// Decodes an escape sequence of a double-quoted scalar.
    fn scan_escape(&mut self) -> Result<(), ParseError> {
        let at = self.mark.offset;
        let digits = match self.byte(1) {
            b'x' => 2,
            b'u' => 4,
            b'U' => 8,
            escape => {
                let Some(text) = simple_escape(escape) else {
                    return self.fault(at, Expected::Escape);
                };
                Builder::push(self, text);
                self.skip_ascii(1);
                // The escaped character may be a tab or a space, which do not end a run of line breaks; but the
                // backslash before it did.
                self.skip();
                return Ok(());
            }
        };
        self.skip_ascii(2);
        let mut value = 0;
        for ahead in 0..digits {
            let Some(digit) = hexadecimal(self.byte(ahead)) else {
                return self.fault(at, Expected::Escape);
            };
            // Eight digits fit.
            value = value << 4 | digit;
        }
        let Some(character) = char::from_u32(value) else {
            return self.fault(at, Expected::Escape);
        };
        Builder::push(self, character.encode_utf8(&mut [0; 4]));
        self.skip_ascii(digits);
        Ok(())
    }

    pub(super) fn scan_block_scalar(&mut self) -> Result<(), ParseError> {
        let start = self.mark;
        let literal = self.byte(0) == b'|';
        self.skip();
        let mut chomping = 0_i8;
        let mut increment = 0;
        for _ in 0..2 {
            match self.byte(0) {
                b'+' | b'-' if chomping == 0 => {
                    chomping = if self.byte(0) == b'+' { 1 } else { -1 };
                    self.skip();
                }
                b'1'..=b'9' if increment == 0 => {
                    increment = i32::from(self.byte(0) - b'0');
                    self.skip();
                }
                b'0' if increment == 0 => return self.fault(self.mark.offset, Expected::BlockHeader),
                _ => break,
            }
        }
        self.skip_blanks();
        if self.byte(0) == b'#' {
            self.scan_line_comment(start.index);
            while !self.is_break_or_end(0) {
                self.skip();
            }
        }
        if !self.is_break_or_end(0) {
            return self.fault(self.mark.offset, Expected::BlockHeader);
        }
        self.skip_line();

        let mut indent = if increment > 0 { self.indent.max(0) + increment } else { 0 };
        let from = self.decoded.len();
        let mut breaks = Vec::new();
        let mut content_end = self.mark.offset;
        let mut end = self.scan_block_scalar_breaks(&mut indent, &mut breaks)?;
        let mut last_break = Break::None;
        let mut leading_blank = false;
        while self.mark.column == indent && !self.is_end() {
            let blank = self.is_blank(0);
            if !literal && last_break == Break::Line && !leading_blank && !blank {
                if breaks.is_empty() {
                    self.decoded.append(b" ");
                }
            } else {
                self.decoded.append(last_break.text().as_bytes());
            }
            for line_break in breaks.drain(..) {
                self.decoded.append(Break::text(line_break).as_bytes());
            }
            leading_blank = blank;
            let line = self.mark.offset as usize;
            self.skip_to_line_end();
            self.decoded.append(&self.bytes[line..self.mark.offset as usize]);
            last_break = self.skip_line();
            content_end = self.mark.offset;
            end = self.scan_block_scalar_breaks(&mut indent, &mut breaks)?;
        }
        if chomping != -1 {
            self.decoded.append(last_break.text().as_bytes());
        }
        if chomping == 1 {
            for line_break in &breaks {
                self.decoded.append(line_break.text().as_bytes());
            }
            content_end = end.offset;
        }
        let text = Text { start: from as u32, length: (self.decoded.len() - from) as u32, decoded: true };
        let style = if literal { Style::Literal } else { Style::Folded };
        self.insert(None, TokenKind::Scalar { text, style, end: content_end }, start, end);
        Ok(())
    }

    /// Passes the empty lines and the indentation of a block scalar. The place behind the last line break comes back.
    fn scan_block_scalar_breaks(&mut self, indent: &mut i32, breaks: &mut Vec<Break>) -> Result<Mark, ParseError> {
        let mut end = self.mark;
        let mut deepest = 0;
        loop {
            while (*indent == 0 || self.mark.column < *indent) && self.byte(0) == b' ' {
                self.skip();
            }
            deepest = deepest.max(self.mark.column);
            if (*indent == 0 || self.mark.column < *indent) && self.byte(0) == b'\t' {
                return self.fault(self.mark.offset, Expected::Tab);
            }
            if !self.is_break(0) {
                break;
            }
            breaks.push(self.skip_line());
            end = self.mark;
        }
        if *indent == 0 {
            *indent = deepest.max(self.indent + 1).max(1);
        }
        Ok(end)
    }

    fn skip_to_line_end(&mut self) {
        let bytes = &self.bytes[self.mark.offset as usize..];
        let mut length = 0;
        let mut characters = 0;
        let mut blank = true;
        while let Some(&byte) = bytes.get(length) {
            if matches!(byte, b'\n' | b'\r') || (byte >= 0xc2 && break_length(bytes, length) > 0) {
                break;
            }
            blank &= matches!(byte, b' ' | b'\t');
            length += width(byte) as usize;
            characters += 1;
        }
        if !blank {
            self.newlines = 0;
        }
        self.mark.offset += length as u32;
        self.mark.index += characters;
        self.mark.column += characters;
    }
}

impl Gap {
    fn push(&mut self, line_break: Break) {
        if self.first.is_none() {
            self.first = Some(line_break);
        } else {
            self.more.push(line_break);
        }
    }
}

fn simple_escape(byte: u8) -> Option<&'static str> {
    Some(match byte {
        b'0' => "\0",
        b'a' => "\x07",
        b'b' => "\x08",
        b't' | b'\t' => "\t",
        b'n' => "\n",
        b'v' => "\x0b",
        b'f' => "\x0c",
        b'r' => "\r",
        b'e' => "\x1b",
        b' ' => " ",
        b'"' => "\"",
        b'\'' => "'",
        b'\\' => "\\",
        b'N' => "\u{85}",
        b'_' => "\u{a0}",
        b'L' => "\u{2028}",
        b'P' => "\u{2029}",
        _ => return None,
    })
}
