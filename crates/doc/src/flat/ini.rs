//! INI as `ini.v1` reads it for SOPS.
//!
//! ```text
//! ; one comment            a block of comments is one, of what stands below it; what stands behind that on its line belongs to it, too
//! [section] ; the same
//! key = value              `=` or `:`; blanks around are not part of it, nor quotes around all of it
//! key = `a # b`            protects `#` and `;`, which begin a comment everywhere else, in quotes, too
//! key = """two
//! lines"""                 so may backquotes
//! key = one \
//!     line
//! ```
//! In the tree a comment of a section is its first entry, and that of a key stands behind the key. What SOPS reads and does not write
//! again is refused here: a value that is cut at a `#` within it, text behind closing quotes, keys that come twice or are named `-`.
//! Comments at the end of the file, which SOPS loses, are entries at the top, and so are those above the metadata.
//!
//! Source: `gopkg.in/ini.v1` 1.67.3 `parser.go`, sops 3.13.3 `stores/ini/store.go`.

use std::collections::HashMap;
use std::ops::Range;

use bulla_wipe::Wiping;

use super::{Builder, DEFAULT_SECTION, Field, INI_SECTION, Token, position, span};
use crate::error::{Expected, ParseError};
use crate::spell::Quote;
use crate::tree::{EntryKind, NONE};

const SIGNS: [char; 2] = ['#', ';'];

pub(super) fn read(builder: &mut Builder<'_>) -> Result<(), ParseError> {
    let start = if builder.text.starts_with('\u{feff}') { 3 } else { 0 };
    let text = builder.text;
    let top = Token::verbatim(0..text.len());
    let top = builder.push(top);
    let root = builder.entry(EntryKind::Mapping, top, NONE, NONE);
    let default = builder.decoded(start..start, DEFAULT_SECTION);
    let key = builder.push(default);
    let section = builder.entry(EntryKind::Mapping, key, key, root);
    let mut reader = Reader {
        builder,
        text,
        offset: start,
        root,
        section: Section { entry: section, token: key, is_metadata: false, key: default },
        comment: Comment::default(),
        known: HashMap::new(),
        fields: Vec::new(),
    };
    while let Some(line) = reader.next_line() {
        reader.read_line(line)?;
    }
    reader.finish()
}

struct Reader<'b, 't> {
    builder: &'b mut Builder<'t>,
    text: &'t str,
    offset: usize,
    root: u32,
    section: Section,
    comment: Comment,
    /// Keys of the section, with their places.
    known: HashMap<&'t str, usize>,
    /// What the section of the metadata holds.
    fields: Vec<Field>,
}

/// The section that the reader is in.
struct Section {
    entry: u32,
    token: u32,
    is_metadata: bool,
    key: Token,
}

/// Comments that wait for what they belong to.
#[derive(Default)]
struct Comment {
    /// Whole lines, without the blanks at their beginning.
    lines: Vec<Range<usize>>,
    /// What stands behind a value or header.
    inline: Option<Range<usize>>,
}

/// A value that was read.
struct Spelt {
    /// Its characters, with its quotes.
    spelling: Range<usize>,
    quote: Quote,
    /// Its text, where that does not stand between the quotes as it is.
    decoded: Option<Wiping<String>>,
}

impl Reader<'_, '_> {
    /// The next line with its line break.
    fn next_line(&mut self) -> Option<Range<usize>> {
        let start = self.offset;
        let rest = &self.text[start..];
        if rest.is_empty() {
            return None;
        }
        self.offset = start + rest.find('\n').map_or(rest.len(), |place| place + 1);
        Some(start..self.offset)
    }

    fn fault<T>(&self, offset: usize, expected: &'static str) -> Result<T, ParseError> {
        self.builder.fault(offset, Expected::Ini(expected))
    }

    /// `range` without the blanks and line breaks around it.
    fn trimmed(&self, range: Range<usize>) -> Range<usize> {
        let text = &self.text[range.clone()];
        let start = range.start + (text.len() - text.trim_start().len());
        start..start + text.trim().len()
    }

    fn read_line(&mut self, line: Range<usize>) -> Result<(), ParseError> {
        let content = self.trimmed(line.clone());
        match self.text[content.clone()].chars().next() {
            None => Ok(()),
            Some('#' | ';') => {
                self.comment.lines.push(content.start..line.end);
                Ok(())
            }
            Some('[') => self.read_section(line, content),
            Some(_) => self.read_key(line, content),
        }
    }

    fn read_section(&mut self, line: Range<usize>, content: Range<usize>) -> Result<(), ParseError> {
        let header = &self.text[content.clone()];
        let Some(close) = header.rfind(']') else {
            return self.fault(content.start, "`]` at the end of the section's name");
        };
        if close == 1 {
            return self.fault(content.start, "a name between `[` and `]`");
        }
        let end = content.start + close + 1;
        let rest = self.trimmed(end..content.end);
        if !rest.is_empty() {
            if !self.text[rest.clone()].starts_with(SIGNS) {
                return self.fault(rest.start, "nothing but a comment behind `]`; SOPS loses it");
            }
            self.comment.inline = Some(rest);
        }
        self.close_section()?;
        let mut token = Token::verbatim(content.start..end);
        token.lines = span(line);
        let mut key = Token::verbatim(content.start + 1..end - 1);
        key.lines = token.lines;
        let is_metadata = &self.text[key.span.range()] == INI_SECTION;
        if is_metadata {
            // What stands above the metadata stood at the end of the file.
            self.attach_comment(self.root, end, Some(token.lines.start));
        }
        let token = self.builder.push(token);
        let entry = if is_metadata {
            self.root
        } else {
            let key = self.builder.push(key);
            self.builder.entry(EntryKind::Mapping, token, key, self.root)
        };
        let line = self.builder.tokens[token as usize].lines.start;
        self.section = Section { entry, token, is_metadata, key };
        self.attach_comment(entry, end, Some(line));
        Ok(())
    }

    /// Ends the section. Whatever comes next is not in it.
    fn close_section(&mut self) -> Result<(), ParseError> {
        self.known.clear();
        let end = self.builder.tokens[self.section.token as usize].lines.end;
        if self.section.is_metadata {
            let mut key = self.section.key;
            key.lines.end = end;
            let fields = std::mem::take(&mut self.fields);
            self.builder.nest(key, self.root, &fields)?;
        } else {
            self.builder.close(self.section.entry);
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), ParseError> {
        self.close_section()?;
        self.attach_comment(self.root, self.text.len(), None);
        self.builder.close(self.root);
        Ok(())
    }

    fn read_key(&mut self, line: Range<usize>, content: Range<usize>) -> Result<(), ParseError> {
        let (key, value) = self.key(content.start..line.end)?;
        let name = &self.text[key.clone()];
        if name.is_empty() {
            return self.fault(content.start, "a key before the `=`");
        }
        if name == "-" {
            return self.fault(content.start, "a name for the key; SOPS loses keys named `-`");
        }
        if let Some(earlier) = self.known.insert(name, key.start) {
            let line = position(self.text, earlier).line;
            return self.builder.fault(key.start, Expected::Duplicate(line));
        }
        let spelt = self.value(value..line.end)?;
        let (end, spelt_quote) = (spelt.spelling.end, spelt.quote);
        let lines = span(line.start..self.offset);
        let mut value = match &spelt.decoded {
            Some(text) => self.builder.decoded(spelt.spelling, text),
            None => {
                let quotes = spelt.quote.as_str().len();
                let text = spelt.spelling.start + quotes..spelt.spelling.end - quotes;
                let content = Token::verbatim(text).content;
                Token { content, ..Token::verbatim(spelt.spelling) }
            }
        };
        value.lines = lines;
        value.quote = spelt.quote;
        let section = self.section.token as usize;
        self.builder.tokens[section].lines.end = lines.end;
        if self.section.is_metadata {
            // Of the metadata a line break is written so, within quotes or without.
            let text = self.builder.text_of(&value);
            if text.contains("\\n") {
                let text = Wiping::new(text.replace("\\n", "\n"));
                value = Token { quote: value.quote, lines, ..self.builder.decoded(value.span.range(), &text) };
            }
            self.fields.push(Field { key, value });
            self.comment = Comment::default();
            return Ok(());
        }
        let mut key = Token::verbatim(key);
        key.lines = lines;
        let key = self.builder.push(key);
        let value = self.builder.push(value);
        self.builder.entry(EntryKind::Scalar, value, key, self.section.entry);
        let is_behind_quotes = matches!(spelt_quote, Quote::Triple | Quote::Back);
        self.attach_comment(self.section.entry, end, is_behind_quotes.then_some(lines.start));
        Ok(())
    }

    /// The key of a line, and where its value begins.
    fn key(&self, content: Range<usize>) -> Result<(Range<usize>, usize), ParseError> {
        const DELIMITERS: [char; 2] = ['=', ':'];
        let line = &self.text[content.clone()];
        let quote = match line.as_bytes()[0] {
            b'"' if line.len() > 6 && line.starts_with("\"\"\"") => "\"\"\"",
            b'"' => "\"",
            b'`' => "`",
            _ => "",
        };
        let expected = "`key = value`, `[section]`, or `;` and a comment";
        if quote.is_empty() {
            return match line.find(DELIMITERS) {
                None => self.fault(content.start, expected),
                Some(end) => Ok((self.trimmed(content.start..content.start + end), content.start + end + 1)),
            };
        }
        let Some(close) = line[quote.len()..].find(quote).map(|place| place + quote.len()) else {
            return self.fault(content.start, "the closing quote of the key");
        };
        let after = close + quote.len();
        let Some(end) = line[after..].find(DELIMITERS).map(|place| place + after) else {
            return self.fault(content.start, expected);
        };
        if !line[after..end].trim().is_empty() {
            return self.fault(content.start + after, "`=` behind the quoted key; SOPS loses what stands between");
        }
        Ok((self.trimmed(content.start + quote.len()..content.start + close), content.start + end + 1))
    }

    /// The value that begins in `rest`, the rest of a line.
    fn value(&mut self, rest: Range<usize>) -> Result<Spelt, ParseError> {
        let line = self.trimmed(rest.clone());
        let text = &self.text[line.clone()];
        if text.is_empty() {
            return Ok(Spelt { spelling: rest.start..rest.start, quote: Quote::None, decoded: None });
        }
        // Three quotes alone at the very end are a value to ini.v1; with anything behind them they are not.
        if text.starts_with("\"\"\"") {
            return self.quoted(line, Quote::Triple);
        }
        if text.starts_with('`') {
            return self.quoted(line, Quote::Back);
        }
        if let Some(text) = text.strip_suffix('\\') {
            return Ok(self.continued(line.start, text));
        }
        let mut value = line.clone();
        if let Some(sign) = text.find(SIGNS) {
            let before = &text[..sign];
            if before.ends_with(|character: char| !character.is_whitespace()) {
                return self.fault(
                    line.start + sign,
                    "a blank before a comment; if this is part of the value, put the value in backquotes: SOPS cuts it here",
                );
            }
            if let Some(quote @ ('"' | '\'')) = before.chars().next()
                && !before[1..].contains(quote)
                && text[sign..].contains(quote)
            {
                return self.fault(
                    line.start + sign,
                    "backquotes around a value with `#` or `;`; in other quotes SOPS cuts it here",
                );
            }
            value = match sign {
                0 => rest.start..rest.start,
                _ => self.trimmed(line.start..line.start + sign),
            };
            self.comment.inline = Some(line.start + sign..line.end);
        }
        let text = &self.text[value.clone()];
        let is_quoted = |quote: char| {
            let inner = text.strip_prefix(quote).and_then(|text| text.strip_suffix(quote));
            inner.is_some_and(|inner| !inner.contains(quote))
        };
        let quote = match text.chars().next() {
            Some('\'') if is_quoted('\'') => Quote::Single,
            Some('"') if is_quoted('"') => Quote::Double,
            _ => Quote::None,
        };
        Ok(Spelt { spelling: value, quote, decoded: None })
    }

    /// A value in quotes that may hold line breaks.
    fn quoted(&mut self, line: Range<usize>, quote: Quote) -> Result<Spelt, ParseError> {
        let sign = quote.as_str();
        let from = line.start + sign.len();
        let first = self.text[from..line.end.max(from)].rfind(sign).map(|place| from + place);
        let (close, end) = match first {
            Some(close) => (close, line.end),
            None => loop {
                let Some(next) = self.next_line() else {
                    return self.fault(line.start, "the closing quotes before the end of the file");
                };
                let Some(place) = self.text[next.clone()].rfind(sign) else { continue };
                let close = next.start + place;
                // A backslash behind the quotes: the value goes on.
                if !self.text[close + sign.len()..next.end].trim().ends_with('\\') {
                    break (close, next.end);
                }
            },
        };
        let spelling = line.start..close + sign.len();
        let rest = self.trimmed(spelling.end..end);
        if !rest.is_empty() {
            let text = &self.text[rest.clone()];
            let is_comment = text.starts_with(SIGNS) && !text.trim_matches(['#', ';', ' ']).is_empty();
            if first.is_some() || !is_comment {
                return self.fault(
                    rest.start,
                    "nothing behind the closing quotes; SOPS loses it, so write comments on lines of their own",
                );
            }
            self.comment.inline = Some(rest);
        }
        Ok(Spelt { spelling, quote, decoded: None })
    }

    /// A value on several lines, each but the last with a backslash at its end.
    fn continued(&mut self, start: usize, first: &str) -> Spelt {
        let mut value = Wiping::<String>::default();
        value.append(first);
        let mut end = start + first.len() + 1;
        while let Some(next) = self.next_line() {
            let line = self.trimmed(next.clone());
            if line.is_empty() {
                // The empty line ends the value, and is not part of it.
                break;
            }
            end = line.end;
            let text = &self.text[line];
            match text.strip_suffix('\\') {
                Some(text) => value.append(text),
                None => {
                    value.append(text);
                    break;
                }
            }
        }
        Spelt { spelling: start..end, quote: Quote::None, decoded: Some(value) }
    }

    /// Makes an entry of `container` of the comments so far. `end` is where what they belong to ends. If no encrypted comment can stand
    /// there, `line` is where that begins: a bracket in it would end the header, and behind quotes SOPS reads none.
    fn attach_comment(&mut self, container: u32, end: usize, line: Option<u32>) {
        let Comment { lines, inline } = std::mem::take(&mut self.comment);
        let text = self.text;
        let mut whole = Wiping::<String>::default();
        for line in &lines {
            whole.append(&text[line.clone()]);
        }
        whole.append(inline.clone().map_or("", |inline| &text[inline]));
        if whole.is_empty() {
            return;
        }
        let trimmed = whole.trim();
        let content = if trimmed.starts_with(';') {
            trimmed.trim_start_matches([';', ' '])
        } else {
            trimmed.trim_start_matches(['#', ' '])
        };
        let sign = trimmed.len() - content.len();
        let region = match (lines.first(), lines.last(), &inline) {
            (Some(first), Some(last), _) => {
                let mut last = self.trimmed(last.clone());
                if inline.is_some() {
                    // Blanks at the end of the line are within the text then.
                    let line = text[last.start..].split('\n').next().unwrap_or_default();
                    last.end = last.start + line.strip_suffix('\r').unwrap_or(line).len();
                }
                first.start + sign.min(last.end - first.start)..last.end
            }
            (_, _, Some(inline)) => match line {
                Some(line) => line as usize..line as usize,
                None => inline.start + sign..inline.end,
            },
            _ => return,
        };
        let needs_line = lines.is_empty() && line.is_some();
        let tail = match &inline {
            Some(inline) if needs_line || !lines.is_empty() => end..inline.end,
            _ => end..end,
        };
        let mut token = if text[region.clone()] == *content && tail.is_empty() {
            Token::verbatim(region)
        } else {
            self.builder.decoded(region, content)
        };
        token.tail = span(tail);
        token.needs_line = needs_line;
        let token = self.builder.push(token);
        self.builder.entry(EntryKind::Comment, token, NONE, container);
    }
}

impl Builder<'_> {
    /// The text of a token that is not among the others yet.
    fn text_of(&self, token: &Token) -> &str {
        match token.content {
            super::Content::Verbatim(span) => &self.text[span.range()],
            super::Content::Decoded(span) => &self.decoded[span.range()],
        }
    }
}

/// The text that `spelling` behind `key =` is read as; `None` if it is more or less than a value.
pub(crate) fn value_of(spelling: &str) -> Option<Wiping<String>> {
    let document = Wiping::new(format!("k = {spelling}\n"));
    let document = super::read(document.into_bytes(), crate::Format::Ini).ok()?;
    let only = only_section(&document)?;
    let mut children = only.children();
    let (Some(value), None) = (children.next(), children.next()) else { return None };
    (value.key() == Some("k")).then(|| Wiping::new(value.as_str().unwrap_or_default().to_owned()))
}

/// Is `spelling` before the `=` read as the key `name`?
pub(crate) fn key_reads_as(spelling: &str, name: &str) -> bool {
    let document = Wiping::new(format!("{spelling} = v\n"));
    let Ok(document) = super::read(document.into_bytes(), crate::Format::Ini) else { return false };
    let Some(only) = only_section(&document) else { return false };
    let mut children = only.children();
    let (Some(value), None) = (children.next(), children.next()) else { return false };
    value.key() == Some(name) && value.as_str() == Some("v")
}

/// Is a comment that is spelt `above` a key, and `behind` its value, read as `text`? Without a line above it stands behind a header or
/// behind quotes.
pub(crate) fn comment_reads_as(above: Option<&str>, behind: &str, text: &str) -> bool {
    let reads = |document: String| {
        let document = super::read(Wiping::new(document).into_bytes(), crate::Format::Ini).ok()?;
        let top = document.branches().next()?;
        let last = top.children().last()?;
        let mut children = last.children();
        let comment = match above {
            None if last.key() == Some("s") => children.next()?,
            _ => {
                let value = children.next()?;
                let is_value = value.key() == Some("k") && matches!(value.as_str(), Some("v" | "v\nw" | ""));
                children.next().filter(|_| is_value)?
            }
        };
        (comment.comment() == text && children.next().is_none()).then_some(())
    };
    // Without a blank it can only stand where there is no value.
    let value = if behind.starts_with(SIGNS) { "" } else { "v" };
    match above {
        // The last line break above is part of the comment, whichever it is.
        Some(above) => ["\n", "\r\n"].iter().any(|end| reads(format!("; {above}{end}k = {value}{behind}\n")).is_some()),
        None => reads(format!("[s]{behind}\n")).or_else(|| reads(format!("k = \"\"\"v\nw\"\"\"{behind}\n"))).is_some(),
    }
}

fn only_section(document: &crate::Document) -> Option<crate::Node<'_>> {
    let top = document.branches().next()?;
    let mut sections = top.children();
    let (only, None) = (sections.next()?, sections.next()) else { return None };
    Some(only)
}
