//! A new document, laid out as go-yaml lays it out: block collections, strings as plain as they can be.
//!
//! [`Writer`] takes a document piece by piece. A container is written only when its first entry comes, so that an empty
//! one can become `{}` or `[]`, and comments at the beginning of a list item stand above its dash.

use bulla_wipe::Wiping;

use crate::spell::{can_be_literal, double_quoted, may_be_literal, single_quoted, string_style};
use crate::tree::Style;

/// Writes one document after the other.
#[derive(Debug)]
pub struct Writer {
    text: Wiping<String>,
    step: usize,
    levels: Vec<Level>,
    /// Comment lines that wait for the entry below them.
    comments: Vec<String>,
    /// A comment that waits for the end of the value's line.
    inline: Option<String>,
    /// Where the next entry continues the line.
    fresh: bool,
    documents: usize,
}

#[derive(Debug)]
struct Level {
    kind: Container,
    indent: usize,
    /// Has something been written in it?
    open: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Container {
    Mapping,
    Sequence,
}

impl Writer {
    /// A writer that indents by `step` spaces, from 2 to 9; SOPS indents by 4.
    pub fn new(step: usize) -> Writer {
        Writer::at(step, 0)
    }

    /// A writer whose outermost container is indented by `indent` spaces already.
    pub fn at(step: usize, indent: usize) -> Writer {
        let outer = Level { kind: Container::Mapping, indent, open: false };
        Writer {
            text: Wiping::default(),
            step: if (2..10).contains(&step) { step } else { 2 },
            levels: vec![outer],
            comments: Vec::new(),
            inline: None,
            fresh: false,
            documents: 0,
        }
    }

    /// Begins a document, which is a mapping; `---` separates it from the one before.
    pub fn start_document(&mut self) {
        if self.documents > 0 {
            self.text.push_str("---\n");
        }
        self.documents += 1;
        self.levels[0].open = false;
    }

    /// Ends a document.
    pub fn end_document(&mut self) {
        if !self.levels[0].open {
            self.trailing_comments();
            self.text.push_str("{}\n");
        }
        self.trailing_comments();
    }

    /// A comment above the next entry, or below the last one; without its `#`.
    pub fn comment(&mut self, text: &str) {
        self.comments.push(text.to_owned());
    }

    /// A comment on the line of the value that comes next; a container takes it as its first comment.
    pub fn inline_comment(&mut self, text: &str) {
        if let Some(earlier) = self.inline.replace(text.to_owned()) {
            self.comments.push(earlier);
        }
    }

    /// The key of the next entry of a mapping.
    pub fn key(&mut self, key: &str) {
        self.begin_line();
        let style = if key.contains('\n') { Style::DoubleQuoted } else { string_style(key, false) };
        if key == "<<" {
            // It still merges for those who read it.
            self.text.push_str("!!merge <<:");
        } else if key.len() > 128 {
            self.text.push_str("? ");
            self.push_flow(key, style);
            self.text.push('\n');
            self.push_indent(self.level().indent);
            self.text.push(':');
        } else {
            self.push_flow(key, style);
            self.text.push(':');
        }
    }

    /// A string: value of the last key, or list item.
    pub fn string(&mut self, value: &str) {
        self.begin_value();
        match string_style(value, false) {
            Style::Literal => self.push_literal(value),
            style => {
                self.push_space();
                self.push_flow(value, style);
                self.push_line_end();
            }
        }
    }

    /// A scalar in the spelling given: a number, `null`, `true`.
    pub fn plain(&mut self, spelling: &str) {
        self.begin_value();
        self.push_space();
        self.text.push_str(spelling);
        self.push_line_end();
    }

    /// Lines behind a tag, as a literal block: go-yaml writes long `!!binary` so.
    pub fn tagged_lines(&mut self, tag: &str, lines: &str) {
        self.begin_value();
        self.push_space();
        self.text.push_str(tag);
        self.text.push(' ');
        let parent = self.level();
        let indent = match parent.kind {
            Container::Sequence => parent.indent + 2,
            Container::Mapping => self.next_indent(parent.indent),
        };
        let block = literal(lines, indent, None);
        let (header, lines) = block.split_once('\n').unwrap_or_default();
        self.text.push_str(header);
        self.push_line_end();
        self.text.push_str(lines);
    }

    /// Begins a mapping: value of the last key, or list item.
    pub fn start_mapping(&mut self) {
        self.start(Container::Mapping);
    }

    /// Begins a list: value of the last key, or list item.
    pub fn start_sequence(&mut self) {
        self.start(Container::Sequence);
    }

    /// Ends the innermost container.
    pub fn end(&mut self) {
        let Some(level) = self.levels.pop() else { return };
        if level.open {
            self.levels.push(level);
            self.trailing_comments();
            self.levels.pop();
            return;
        }
        let comments = std::mem::take(&mut self.comments);
        self.begin_value();
        self.push_space();
        let (start, end) = if level.kind == Container::Mapping { ('{', '}') } else { ('[', ']') };
        self.text.push(start);
        if !comments.is_empty() {
            // Between the brackets there is room for them.
            self.comments = comments;
            self.text.push('\n');
            self.push_comments(level.indent);
            let indent = self.level().indent;
            self.push_indent(indent);
        }
        self.text.push(end);
        self.push_line_end();
    }

    /// What was written.
    pub fn finish(mut self) -> Wiping<String> {
        std::mem::take(&mut self.text)
    }

    fn level(&self) -> &Level {
        // The outermost level is never popped: every `end` has its `start`.
        &self.levels[self.levels.len() - 1]
    }

    fn start(&mut self, kind: Container) {
        let parent = self.level();
        let indent = match parent.kind {
            Container::Sequence => parent.indent + 2,
            Container::Mapping => self.next_indent(parent.indent),
        };
        self.levels.push(Level { kind, indent, open: false });
        self.comments.extend(self.inline.take());
    }

    fn push_line_end(&mut self) {
        if let Some(comment) = self.inline.take() {
            self.text.push_str(" #");
            self.text.push_str(&comment);
        }
        self.text.push('\n');
    }

    fn next_indent(&self, indent: usize) -> usize {
        self.step * ((indent + self.step) / self.step)
    }

    /// Begins an entry of the innermost mapping, and every container around it that has not begun yet.
    fn begin_line(&mut self) {
        let depth = self.levels.len();
        let first = self.levels.iter().rposition(|level| level.open).map_or(0, |place| place + 1);
        for place in first..depth {
            self.levels[place].open = true;
            if place == 0 {
                continue;
            }
            let parent = &self.levels[place - 1];
            if parent.kind == Container::Sequence {
                let indent = parent.indent;
                self.begin_item(indent);
            } else {
                // Behind a key, or at the end of the line before it.
                self.text.push('\n');
                self.fresh = false;
            }
        }
        if !self.fresh {
            let indent = self.level().indent;
            self.push_comments(indent);
            self.push_indent(indent);
        }
        self.fresh = false;
    }

    /// Writes the dash of a list item at `indent`.
    fn begin_item(&mut self, indent: usize) {
        if !self.fresh {
            self.push_comments(indent);
            self.push_indent(indent);
        }
        self.text.push_str("- ");
        self.fresh = true;
    }

    /// Begins a value: behind its key, or as a list item.
    fn begin_value(&mut self) {
        if self.level().kind == Container::Sequence {
            let indent = self.level().indent;
            if self.level().open {
                self.begin_item(indent);
            } else {
                // Opens the containers around it; the innermost list then has its first item.
                self.begin_line();
                self.text.push_str("- ");
            }
            self.fresh = false;
        }
    }

    fn push_comments(&mut self, indent: usize) {
        for comment in std::mem::take(&mut self.comments) {
            self.push_indent(indent);
            self.text.push('#');
            self.text.push_str(&comment);
            self.text.push('\n');
        }
    }

    fn trailing_comments(&mut self) {
        let indent = self.level().indent;
        self.push_comments(indent);
    }

    fn push_indent(&mut self, indent: usize) {
        self.text.extend(std::iter::repeat_n(' ', indent));
    }

    fn push_space(&mut self) {
        if !self.text.ends_with(' ') {
            self.text.push(' ');
        }
    }

    fn push_flow(&mut self, text: &str, style: Style) {
        match style {
            Style::Plain => self.text.push_str(text),
            Style::SingleQuoted => {
                let spelling = single_quoted(text).unwrap_or_else(|| double_quoted(text));
                self.text.push_str(&spelling);
            }
            _ => self.text.push_str(&double_quoted(text)),
        }
    }

    fn push_literal(&mut self, value: &str) {
        let parent = self.level();
        let indent = match parent.kind {
            Container::Sequence => parent.indent + 2,
            Container::Mapping => self.next_indent(parent.indent),
        };
        // go-yaml writes its own step as the hint, also where the block is indented otherwise, and cannot read that.
        let hint = indent - parent.indent;
        let needs_hint = value.starts_with([' ', '\n']);
        if !may_be_literal(value) || !can_be_literal(value) || (needs_hint && hint > 9) {
            self.push_space();
            let spelling = double_quoted(value);
            self.text.push_str(&spelling);
            self.push_line_end();
            return;
        }
        self.push_space();
        let block = literal(value, indent, needs_hint.then_some(hint));
        let (header, lines) = block.split_once('\n').unwrap_or_default();
        self.text.push_str(header);
        self.push_line_end();
        self.text.push_str(lines);
    }
}

/// A literal block of `value` with lines indented by `indent` spaces, from `|` to the last line break. A value without
/// any line break at its end comes back without, by `-`.
pub fn literal(value: &str, indent: usize, hint: Option<usize>) -> String {
    let mut text = String::from("|");
    if let Some(hint) = hint {
        text.push_str(&hint.to_string());
    }
    if !value.ends_with('\n') {
        text.push('-');
    } else if value == "\n" || value.ends_with("\n\n") {
        text.push('+');
    }
    text.push('\n');
    for line in value.split_inclusive('\n') {
        if line != "\n" {
            text.extend(std::iter::repeat_n(' ', indent));
        }
        text.push_str(line);
    }
    if !value.ends_with('\n') {
        text.push('\n');
    }
    text
}
