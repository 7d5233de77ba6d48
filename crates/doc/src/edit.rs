//! Changes to a document. What no change touches keeps its bytes.
//!
//! ```text
//! insert   entries and items that are added       replace  a mapping in place of another
//! remove   entries and items that go              flat     all of it for dotenv and INI
//! place    where in the text what stands
//! ```

mod flat;
mod insert;
mod place;
mod remove;
mod replace;

pub use flat::comment_reads;

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use bulla_wipe::Wiping;

use crate::spell::{self, Encrypted, LINE_BREAKS, Mode, Place, Quote, in_flow};
use crate::tree::{Document, Kind, Node, Source, Value};
use crate::{Format, Tree};

/// Why an entry could not be removed or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// It shares its line with the container around it.
    #[error("cannot remove an entry that shares its line with another; write it on a line of its own")]
    SharedLine,
    /// It lies in what an alias stands for.
    #[error("cannot remove an entry of an alias; change the anchor's own content, or replace the alias")]
    Expanded,
    /// The format has no way to write it.
    #[error("{0}")]
    Unwritable(&'static str),
    /// Too deep.
    #[error("it would lie deeper than 1,000 levels")]
    Depth,
}

/// Changes to one document, in any order.
pub struct Edits<'d> {
    document: &'d Document,
    changes: Vec<Change<'d>>,
    /// New texts, one behind the other.
    texts: Wiping<String>,
}

/// These bytes of the document become others.
#[derive(Clone, Copy)]
struct Change<'d> {
    start: u32,
    end: u32,
    text: NewText<'d>,
}

#[derive(Clone, Copy)]
enum NewText<'d> {
    /// A part of [`Edits::texts`].
    Own { from: usize, to: usize },
    /// A text as it is, in quotes or in none, behind a blank or not.
    Quoted { text: &'d str, blank: bool, quote: Quote },
}

impl NewText<'_> {
    fn parts<'t>(&'t self, own: &'t str) -> [&'t str; 4] {
        match *self {
            NewText::Own { from, to } => ["", "", &own[from..to], ""],
            NewText::Quoted { text, blank, quote } => {
                [if blank { " " } else { "" }, quote.as_str(), text, quote.as_str()]
            }
        }
    }
}

impl fmt::Debug for Edits<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Edits").field("changes", &self.changes.len()).finish_non_exhaustive()
    }
}

impl<'d> Edits<'d> {
    /// No changes yet.
    pub fn new(document: &'d Document) -> Edits<'d> {
        Edits { document, changes: Vec::new(), texts: Wiping::default() }
    }

    /// The document that is changed.
    pub fn document(&self) -> &'d Document {
        self.document
    }

    /// Are there no changes?
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Gives a scalar a new value. It keeps its style where that can carry the value, and is quoted wherever some reader
    /// of YAML might misread it.
    pub fn set_value(&mut self, scalar: Node<'d>, value: &Value<'_>) {
        let text = Wiping::new(spell::rendered(scalar, value, Mode::New));
        match self.flat() {
            Some(source) => self.set_flat_value(source, scalar, &text),
            None => self.replace_scalar(scalar, &text),
        }
    }

    /// Puts a decrypted value back in its place, as plain as the place was.
    pub fn restore_value(&mut self, scalar: Node<'d>, value: &Value<'d>) {
        // The common case costs no copy.
        if let Value::String(Cow::Borrowed(bytes)) = value
            && let Ok(text) = str::from_utf8(bytes)
            && let Some(quote) = spell::restored_quote(scalar, text)
        {
            return self.replace_by_quoted(scalar, text, quote);
        }
        let text = Wiping::new(spell::rendered(scalar, value, Mode::Restored));
        self.replace_scalar(scalar, &text);
    }

    /// Spells a scalar exactly so.
    pub fn set_spelling(&mut self, scalar: Node<'d>, spelling: &str) {
        self.replace_scalar(scalar, spelling);
    }

    /// Puts `ENC[…]` in place of a scalar: inside its quotes, below its block header; in flow context in quotes.
    pub fn set_encrypted(&mut self, scalar: Node<'d>, text: &'d str) {
        match spell::encrypted(scalar, text) {
            Encrypted::Quoted(quote) => self.replace_by_quoted(scalar, text, quote),
            Encrypted::Block(block) => self.replace_scalar(scalar, &block),
        }
    }

    fn replace_by_quoted(&mut self, scalar: Node<'d>, text: &'d str, quote: Quote) {
        match spell::place(scalar) {
            Place::Whole(range) => {
                let blank = range.is_empty() && self.follows_indicator(range.start);
                let text = NewText::Quoted { text, blank, quote };
                self.changes.push(Change { start: range.start as u32, end: range.end as u32, text });
            }
            Place::Block { indicators, .. } => {
                // A block may begin a line of its own as far left as its key, a quoted scalar may not: it gets a blank more, which goes
                // again when the block comes back.
                let blank = if self.begins_line(indicators.start) { " " } else { "" };
                self.replace_scalar(scalar, &[blank, quote.as_str(), text, quote.as_str()].concat());
            }
        }
    }

    /// Replaces what stands behind the `#` of a comment.
    pub fn set_comment(&mut self, comment: Node<'d>, text: &str) {
        if let Some(source) = self.flat() {
            return self.set_flat_comment(source, comment, text);
        }
        let data = comment.data();
        self.change(data.node as usize..data.key as usize, text);
    }

    /// Makes a comment line of a list item: SOPS writes an encrypted comment of a list as an item. Where there are no
    /// comments, in JSON and in flow context, the item goes.
    ///
    /// # Errors
    /// [`EditError`] if it lies in what an alias stands for.
    pub fn set_item_comment(&mut self, item: Node<'d>, text: &str) -> Result<(), EditError> {
        if in_flow(item) || item.is_expanded() {
            return self.remove(item);
        }
        let Some(lines) = self.lines_of(item) else {
            self.set_first_item_comment(item, text);
            return Ok(());
        };
        let source = &self.document.text()[lines.clone()];
        let indent = source.len() - source.trim_start_matches(' ').len();
        let end = spell::without_last_break(source).len();
        self.change(lines.start + indent..lines.start + end, &format!("#{text}"));
        self.keep_empty(item, lines.end);
        Ok(())
    }

    /// The same for an item that shares its line with the dash around it: `- - item`.
    fn set_first_item_comment(&mut self, item: Node<'d>, text: &str) {
        let place = self.entry_start(item);
        let line = self.line_start(place);
        let dash = self.document.text()[line..place].rfind('-').map_or(place, |dash| line + dash);
        let alone = item.parent().is_none_or(|parent| {
            !parent.children().any(|child| child.kind() != Kind::Comment && child.entry != item.entry)
        });
        let empty = if alone { "[] " } else { "" };
        self.change(dash..self.flow_end(item), &format!("{empty}#{text}"));
    }

    /// Replaces a scalar, an alias or a container by a tree on one line.
    pub fn set_tree(&mut self, node: Node<'d>, tree: &Tree) {
        if let Some(source) = self.flat() {
            return self.set_flat_tree(source, node, tree);
        }
        let text = tree.on_one_line(self.document.format());
        if node.kind() == Kind::Scalar || node.is_alias() {
            self.replace_scalar(node, &text);
            return;
        }
        let range = self.container_range(node);
        let blank = if self.follows_indicator(range.start) { " " } else { "" };
        self.change(range, &format!("{blank}{}", *text));
    }

    /// The bytes with every change in them. Where one change lies inside another, the outer one counts.
    pub fn apply(mut self) -> Wiping<Vec<u8>> {
        let source = self.document.text();
        // What is inserted comes before what is replaced behind it; it is not inside of that.
        self.changes.sort_by_key(|change| (change.start, change.end > change.start, std::cmp::Reverse(change.end)));
        let mut done = 0;
        self.changes.retain(|change| {
            let is_outer = change.start >= done;
            if is_outer {
                done = change.end;
            }
            is_outer
        });
        let parts = |change: &'_ Change<'d>| change.text.parts(&self.texts).map(str::len).iter().sum::<usize>();
        let added: usize = self.changes.iter().map(parts).sum();
        let removed: usize = self.changes.iter().map(|change| (change.end - change.start) as usize).sum();

        let mut text = Wiping::<String>::with_capacity(source.len() - removed + added);
        let mut done = 0;
        for change in &self.changes {
            text.append(&source[done..change.start as usize]);
            for part in change.text.parts(&self.texts) {
                text.append(part);
            }
            done = change.end as usize;
        }
        text.append(&source[done..]);
        match &self.document.source {
            Source::Yaml(stream) if stream.encoding() != bulla_yaml::Encoding::Utf8 => stream.encoding().encode(&text),
            _ => text.into_bytes(),
        }
    }

    fn change(&mut self, range: Range<usize>, text: &str) {
        let from = self.texts.len();
        self.texts.append(text);
        let text = NewText::Own { from, to: self.texts.len() };
        self.changes.push(Change { start: range.start as u32, end: range.end as u32, text });
    }

    fn replace_scalar(&mut self, scalar: Node<'d>, text: &str) {
        let is_block = text.starts_with(['|', '>']) && self.document.format() == Format::Yaml;
        let (header, lines) =
            if is_block { text.split_at(text.find(LINE_BREAKS).unwrap_or(text.len())) } else { (text, "") };
        match spell::place(scalar) {
            // An empty value has no characters, and nothing before it but its indicator.
            Place::Whole(range) if range.is_empty() && self.follows_indicator(range.start) => {
                self.change(range, &format!(" {text}"));
            }
            Place::Whole(mut range) if is_block => {
                if self.begins_line(range.start) && self.document.text()[..range.start].ends_with(' ') {
                    range.start -= 1;
                }
                // A comment that stands behind the value stays in the header.
                let rest = &self.document.text()[range.end..];
                let end = range.end + rest.find(LINE_BREAKS).unwrap_or(rest.len());
                if end == range.end {
                    self.change(range, text);
                } else {
                    self.change(range, header);
                    self.change(end..end, lines);
                }
            }
            Place::Whole(range) => self.change(range, text),
            Place::Block { indicators, body } => {
                if self.document.text()[indicators.clone()] != *header {
                    self.change(indicators, header);
                }
                self.change(body, lines);
            }
        }
    }
}
