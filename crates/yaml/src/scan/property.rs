//! Anchors, aliases, tags and directives.

use super::{Scanner, TagParts, Text, Token, TokenKind};
use crate::error::{Expected, ParseError};

impl Scanner<'_> {
    pub(super) fn scan_anchor(&mut self) -> Result<(), ParseError> {
        let start = self.mark;
        let is_alias = self.byte(0) == b'*';
        self.skip();
        let from = self.mark.offset;
        while self.is_name() {
            self.skip();
        }
        let text = Text { start: from, length: self.mark.offset - from, decoded: false };
        let ends = matches!(self.byte(0), b'?' | b':' | b',' | b']' | b'}' | b'%' | b'@' | b'`');
        if text.length == 0 || !(ends || self.is_blank_or_end(0)) {
            return self.fault(self.mark.offset, Expected::Anchor);
        }
        self.push(if is_alias { TokenKind::Alias(text) } else { TokenKind::Anchor(text) }, start);
        Ok(())
    }

    pub(super) fn scan_tag(&mut self) -> Result<(), ParseError> {
        let start = self.mark;
        let (handle, suffix) = if self.byte(1) == b'<' {
            self.skip_ascii(2);
            let suffix = self.scan_tag_text(String::new(), false)?;
            if self.byte(0) != b'>' {
                return self.fault(self.mark.offset, Expected::Tag("`>` at the end of a verbatim tag"));
            }
            self.skip();
            (String::new(), suffix)
        } else {
            let handle = self.scan_tag_handle(false)?;
            if handle.len() > 1 && handle.ends_with('!') {
                let suffix = self.scan_tag_text(String::new(), false)?;
                (handle, suffix)
            } else {
                // No handle after all: what was read is the beginning of a local tag.
                let suffix = self.scan_tag_text(handle[1..].to_owned(), true)?;
                if suffix.is_empty() { (String::new(), "!".to_owned()) } else { ("!".to_owned(), suffix) }
            }
        };
        if !self.is_blank_or_end(0) {
            return self.fault(self.mark.offset, Expected::Tag("a space or a line break after it"));
        }
        self.push(TokenKind::Tag(Box::new(TagParts { handle, rest: suffix })), start);
        Ok(())
    }

    fn scan_tag_handle(&mut self, in_directive: bool) -> Result<String, ParseError> {
        if self.byte(0) != b'!' {
            return self.fault(self.mark.offset, Expected::Tag("`!` at the beginning of the handle"));
        }
        let start = self.mark.offset as usize;
        self.skip();
        while self.is_name() {
            self.skip();
        }
        if self.byte(0) == b'!' {
            self.skip();
        } else if in_directive && self.mark.offset as usize - start > 1 {
            return self.fault(self.mark.offset, Expected::Tag("`!` at the end of the handle"));
        }
        Ok(self.text[start..self.mark.offset as usize].to_owned())
    }

    /// The characters of a tag, after `head`. Empty only if `may_be_empty`.
    fn scan_tag_text(&mut self, head: String, may_be_empty: bool) -> Result<String, ParseError> {
        let mut text = head.into_bytes();
        let mut any = may_be_empty;
        while self.is_name() || b";/?:@&=+$,.!~*'()[]%".contains(&self.byte(0)) && !self.is_end() {
            if self.byte(0) == b'%' {
                self.scan_escaped_character(&mut text)?;
            } else {
                text.push(self.byte(0));
                self.skip();
            }
            any = true;
        }
        if !any {
            return self.fault(self.mark.offset, Expected::Tag("a name"));
        }
        // Escapes can spell bytes that are not UTF-8; such a tag has no meaning for anybody.
        match String::from_utf8(text) {
            Ok(text) => Ok(text),
            Err(_) => self.fault(self.mark.offset, Expected::Tag("UTF-8 in its escapes")),
        }
    }

    /// `%C3%A9`: one character, each byte escaped.
    fn scan_escaped_character(&mut self, text: &mut Vec<u8>) -> Result<(), ParseError> {
        let mut left = None;
        while left != Some(0) {
            let digits = (hexadecimal(self.byte(1)), hexadecimal(self.byte(2)));
            let (b'%', (Some(high), Some(low))) = (self.byte(0), digits) else {
                return self.fault(self.mark.offset, Expected::Tag("two hexadecimal digits after `%`"));
            };
            let byte = (high << 4 | low) as u8;
            left = match (left, byte) {
                (None, 0..=0x7f) => Some(0),
                (None, 0xc0..=0xdf) => Some(1),
                (None, 0xe0..=0xef) => Some(2),
                (None, 0xf0..=0xf7) => Some(3),
                (Some(left), 0x80..=0xbf) => Some(left - 1),
                _ => return self.fault(self.mark.offset, Expected::Tag("UTF-8 in its escapes")),
            };
            text.push(byte);
            self.skip_ascii(3);
        }
        Ok(())
    }

    pub(super) fn fetch_directive(&mut self) -> Result<(), ParseError> {
        self.end_block_context()?;
        let start = self.mark;
        self.skip();
        let from = self.mark.offset as usize;
        while self.is_name() {
            self.skip();
        }
        let name = &self.text[from..self.mark.offset as usize];
        if name.is_empty() || !self.is_blank_or_end(0) {
            return self.fault(self.mark.offset, Expected::Directive("a name"));
        }
        let kind = match name {
            "YAML" => {
                self.skip_blanks();
                let major = self.scan_version_number()?;
                if self.byte(0) != b'.' {
                    return self.fault(self.mark.offset, Expected::Directive("`.` in the version"));
                }
                self.skip();
                let minor = self.scan_version_number()?;
                TokenKind::VersionDirective { major, minor }
            }
            "TAG" => {
                self.skip_blanks();
                let handle = self.scan_tag_handle(true)?;
                if !self.is_blank(0) {
                    return self.fault(self.mark.offset, Expected::Directive("a space after the handle"));
                }
                self.skip_blanks();
                let prefix = self.scan_tag_text(String::new(), false)?;
                if !self.is_blank_or_end(0) {
                    return self.fault(self.mark.offset, Expected::Directive("a line break after the prefix"));
                }
                TokenKind::TagDirective(Box::new(TagParts { handle, rest: prefix }))
            }
            _ => return self.fault(start.offset, Expected::Directive("`YAML` or `TAG`")),
        };
        let end = self.mark;
        self.skip_blanks();
        if self.byte(0) == b'#' {
            while !self.is_break_or_end(0) {
                self.skip();
            }
        }
        if !self.is_break_or_end(0) {
            return self.fault(self.mark.offset, Expected::Directive("a line break at its end"));
        }
        self.skip_line();
        self.tokens.push_back(Token { kind, start, end });
        Ok(())
    }

    fn scan_version_number(&mut self) -> Result<u8, ParseError> {
        let mut number = 0;
        let mut digits = 0;
        while self.byte(0).is_ascii_digit() {
            digits += 1;
            if digits > 2 {
                return self.fault(self.mark.offset, Expected::Directive("at most two digits in a version number"));
            }
            number = number * 10 + (self.byte(0) - b'0');
            self.skip();
        }
        if digits == 0 {
            return self.fault(self.mark.offset, Expected::Directive("a version number"));
        }
        Ok(number)
    }

    pub(super) fn skip_blanks(&mut self) {
        while self.is_blank(0) {
            self.skip();
        }
    }
}

/// Value of a hexadecimal digit.
pub(super) fn hexadecimal(byte: u8) -> Option<u32> {
    char::from(byte).to_digit(16)
}
