//! Changes to a document. What no change touches keeps its bytes.

mod flat;
mod replace;

pub use flat::comment_reads;

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use bulla_wipe::Wiping;
use bulla_yaml::{Style, Writer};

use crate::spell::{self, Encrypted, LINE_BREAKS, Mode, Place, Quote, in_flow};
use crate::tree::{Document, Kind, NONE, Node, Source, Value};
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

    /// Is there nothing but blanks before it on its line?
    fn begins_line(&self, offset: usize) -> bool {
        self.document.text()[self.line_start(offset)..offset].bytes().all(|byte| byte == b' ')
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

    /// Inserts an entry, or without `key` a list item, above another.
    pub fn insert_before(&mut self, entry: Node<'d>, key: Option<&str>, tree: &Tree) {
        if let Some(source) = self.flat() {
            // The order of entries is not kept where there is room for them at the end only.
            let Some((parent, key)) = entry.parent().zip(key) else { return };
            return self.append_flat(source, parent, key, tree);
        }
        let start = self.entry_start(entry);
        let format = self.document.format();
        if let Source::Yaml(_) = &self.document.source
            && !in_flow(entry)
            && let Some(lines) = self.lines_of(entry)
        {
            let text = &self.document.text()[lines.clone()];
            let column = text.len() - text.trim_start_matches(' ').len();
            let mut inserted = match key {
                Some(key) => {
                    let mut writer = Writer::at(4, column);
                    writer.key(key);
                    tree.feed(&mut writer);
                    writer.finish()
                }
                None => Wiping::new(format!("{:column$}- {}\n", "", tree.on_one_line(format))),
            };
            if self.line_break() == "\r\n" {
                *inserted = inserted.replace('\n', "\r\n");
            }
            self.change(lines.start..lines.start, &inserted);
            return;
        }
        let value = Wiping::new(tree.on_one_line(format));
        let entry = match (key, format) {
            (Some(key), Format::Yaml) => format!("{}: {}", spell::flow_key(key), *value),
            (Some(key), _) => format!("{}: {}", spell::json_string(key), *value),
            (None, _) => value.to_string(),
        };
        // Behind the comma stands what stood before the entry: a blank, or a line break and its indentation.
        let text = self.document.text();
        let before = &text[..start];
        let gap = &before[before.trim_end_matches([' ', '\t', '\n', '\r']).len()..];
        let gap = if gap.is_empty() { " " } else { gap };
        self.change(start..start, &format!("{entry},{gap}"));
    }

    /// Replaces a scalar, an alias or a container by a tree on one line.
    pub fn set_tree(&mut self, node: Node<'d>, tree: &Tree) {
        if let Some(source) = self.flat() {
            return self.set_flat_tree(source, node, tree);
        }
        let text = Wiping::new(tree.on_one_line(self.document.format()));
        if node.kind() == Kind::Scalar || node.is_alias() {
            self.replace_scalar(node, &text);
            return;
        }
        let range = self.container_range(node);
        let blank = if self.follows_indicator(range.start) { " " } else { "" };
        self.change(range, &format!("{blank}{}", *text));
    }

    /// Adds an entry behind the last one of a mapping. At the top of a document it comes behind everything else.
    pub fn append(&mut self, mapping: Node<'d>, key: &str, tree: &Tree) {
        match &self.document.source {
            Source::Json(_) => self.append_json(mapping, key, tree),
            Source::Yaml(stream) => self.append_yaml(stream, mapping, key, tree),
            Source::Flat(source) => self.append_flat(source, mapping, key, tree),
            // There is one value, and no room for another.
            Source::Binary(_) => {}
        }
    }

    /// Adds an item behind the last one of a list, on one line.
    pub fn append_item(&mut self, sequence: Node<'d>, tree: &Tree) {
        let item = tree.on_one_line(self.document.format());
        if let Source::Yaml(stream) = &self.document.source {
            let node = stream.node_by_number(sequence.data().node as usize);
            if node.style() == Style::Block {
                let end = node.span().end as usize;
                let at = if self.line_start(end) == end { end } else { self.line_end(end) };
                let indent = self.column(node);
                self.insert_lines(at, Wiping::new(format!("{:indent$}- {item}\n", "")));
                return;
            }
        }
        self.append_flow(sequence, &item);
    }

    /// Removes an entry of a mapping or an item of a list with its lines. A container that has no other becomes empty.
    ///
    /// # Errors
    /// [`EditError`] if it has no lines of its own.
    pub fn remove(&mut self, entry: Node<'d>) -> Result<(), EditError> {
        if entry.is_expanded() {
            return Err(EditError::Expanded);
        }
        if let Some(source) = self.flat() {
            self.remove_flat(source, entry);
            return Ok(());
        }
        if in_flow(entry) {
            self.remove_from_flow(entry);
            return Ok(());
        }
        let Some(lines) = self.lines_of(entry) else {
            return Err(EditError::SharedLine);
        };
        let end = lines.end;
        self.change(lines, "");
        self.keep_empty(entry, end);
        Ok(())
    }

    /// The container of an entry that goes stays a container, be it empty. `end` is where the entry ended.
    fn keep_empty(&mut self, entry: Node<'d>, end: usize) {
        let Some(parent) = entry.parent() else { return };
        if parent.children().any(|child| child.kind() != Kind::Comment && child.entry != entry.entry) {
            return;
        }
        let empty = if parent.kind() == Kind::Mapping { "{}" } else { "[]" };
        match self.value_place(parent).or_else(|| self.item_place(parent)) {
            Some(place) => self.change(place..place, &format!(" {empty}")),
            None => self.change(end..end, &format!("{empty}\n")),
        }
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

    fn follows_indicator(&self, offset: usize) -> bool {
        self.document.format() == Format::Yaml && self.document.text()[..offset].ends_with([':', '-', '?'])
    }

    /// The line break that the file uses.
    fn line_break(&self) -> &'static str {
        let text = self.document.text();
        match text.find('\n') {
            Some(place) if text[..place].ends_with('\r') => "\r\n",
            _ => "\n",
        }
    }

    /// Where the line of `offset` begins.
    fn line_start(&self, offset: usize) -> usize {
        let before = &self.document.text()[..offset];
        before.rfind(LINE_BREAKS).map_or(0, |place| place + before[place..].chars().next().map_or(1, char::len_utf8))
    }

    /// Behind the line break of the line of `offset`; the end of the text if it has none.
    fn line_end(&self, offset: usize) -> usize {
        let text = self.document.text();
        let mut rest = text[offset..].char_indices().skip_while(|(_, character)| !LINE_BREAKS.contains(character));
        match (rest.next(), rest.next()) {
            (Some((_, '\r')), Some((place, '\n'))) => offset + place + 1,
            (Some(_), Some((place, _))) => offset + place,
            _ => text.len(),
        }
    }

    // YAML

    fn append_yaml(&mut self, stream: &bulla_yaml::Stream, mapping: Node<'d>, key: &str, tree: &Tree) {
        let node = stream.node_by_number(mapping.data().node as usize);
        if node.style() == Style::Flow {
            self.append_flow(mapping, &format!("{}: {}", spell::flow_key(key), tree.on_one_line(Format::Yaml)));
            return;
        }
        let column = self.column(node);
        let at = if mapping.data().parent == NONE {
            self.branch_end(stream, mapping)
        } else {
            let end = node.span().end as usize;
            if self.line_start(end) == end { end } else { self.line_end(end) }
        };
        let mut writer = Writer::at(4, column);
        writer.key(key);
        tree.feed(&mut writer);
        self.insert_lines(at, writer.finish());
    }

    /// How far the entries of a block collection are indented; not at all where there is none.
    fn column(&self, container: bulla_yaml::Node<'_>) -> usize {
        match container.kind() {
            bulla_yaml::Kind::Mapping | bulla_yaml::Kind::Sequence => {
                let start = container.content_span().start as usize;
                start - self.line_start(start)
            }
            _ => 0,
        }
    }

    /// Where a branch ends with all its comments.
    fn branch_end(&self, stream: &bulla_yaml::Stream, branch: Node<'_>) -> usize {
        let place = self.document.roots.iter().position(|&root| root == branch.entry).unwrap_or_default();
        stream.documents().nth(place).map_or(self.document.text().len(), |document| document.content_end() as usize)
    }

    /// Adds an entry of another document to the end of a branch, spelt as it is there if it can be.
    pub(crate) fn append_copy(&mut self, branch: Node<'d>, entry: Node<'_>) {
        let key = entry.key().unwrap_or_default();
        if let Some(source) = self.flat() {
            return self.append_metadata_of(source, entry);
        }
        if let (Source::Yaml(stream), Source::Yaml(other)) = (&self.document.source, &entry.document.source) {
            let root = stream.node_by_number(branch.data().node as usize);
            let edits = Edits::new(entry.document);
            let around = entry.parent().map(|parent| other.node_by_number(parent.data().node as usize));
            let column = around.map_or(0, |around| edits.column(around));
            if root.style() != Style::Flow
                && self.column(root) == column
                && let Some(lines) = edits.lines_of(entry)
            {
                let mut text = entry.document.text()[lines].replace("\r\n", "\n");
                if !text.ends_with('\n') {
                    text.push('\n');
                }
                let at = self.branch_end(stream, branch);
                self.insert_lines(at, Wiping::new(text));
                return;
            }
        }
        self.append(branch, key, &Tree::copy_of(entry));
    }

    /// Inserts whole lines, each with its line break.
    fn insert_lines(&mut self, at: usize, mut lines: Wiping<String>) {
        let text = self.document.text();
        let starts_line = at == 0 || text[..at].ends_with(LINE_BREAKS);
        if !starts_line {
            lines.insert(0, '\n');
            // As the file ended without a line break, so it ends now.
            lines.pop();
        }
        if self.line_break() == "\r\n" {
            *lines = lines.replace('\n', "\r\n");
        }
        self.change(at..at, &lines);
    }

    /// Adds an entry before the closing brace.
    fn append_flow(&mut self, mapping: Node<'d>, entry: &str) {
        let last = mapping.children().filter(|child| child.kind() != Kind::Comment).last();
        match last {
            Some(last) => {
                let end = self.flow_end(last);
                self.change(end..end, &format!(", {entry}"));
            }
            None => {
                let start = self.flow_start(mapping) + 1;
                self.change(start..start, entry);
            }
        }
    }

    /// Removes what [`Edits::append`] added at the top of a document.
    pub(crate) fn remove_appended(&mut self, entry: Node<'d>) {
        if self.flat().is_some() {
            return self.remove_metadata();
        }
        if in_flow(entry) {
            self.remove_from_flow(entry);
            return;
        }
        let Some(lines) = self.lines_of(entry) else { return };
        let text = self.document.text();
        let unfinished = lines.end == text.len() && !text.ends_with(LINE_BREAKS);
        let start = if unfinished { spell::without_last_break(&text[..lines.start]).len() } else { lines.start };
        self.change(start..lines.end, "");
    }

    /// The whole lines of an entry or item in block context; `None` if it shares its first line with something else.
    fn lines_of(&self, entry: Node<'d>) -> Option<Range<usize>> {
        let Source::Yaml(stream) = &self.document.source else { return None };
        let data = entry.data();
        let value = stream.node_by_number(data.node as usize);
        let first = match data.key {
            NONE => value.span().start,
            key => stream.node_by_number(key as usize).span().start,
        };
        let start = self.line_start(first as usize);
        let before = self.document.text()[start..first as usize].trim_matches(' ');
        let own = match data.key {
            NONE => before == "-",
            _ => before.is_empty() || before == "?",
        };
        let end = (value.span().end as usize).max(first as usize);
        let end = if end > start && self.line_start(end) == end { end } else { self.line_end(end) };
        own.then_some(start..end)
    }

    /// Where the value of a container's key begins, behind the `:`.
    fn value_place(&self, container: Node<'d>) -> Option<usize> {
        let Source::Yaml(stream) = &self.document.source else { return None };
        let key = container.data().key;
        if key == NONE {
            return None;
        }
        let end = stream.node_by_number(key as usize).span().end as usize;
        self.document.text()[end..].find(':').map(|place| end + place + 1)
    }

    /// Where the content of a list item begins, behind its dash.
    fn item_place(&self, item: Node<'d>) -> Option<usize> {
        let Source::Yaml(stream) = &self.document.source else { return None };
        let list = item.parent().filter(|parent| parent.kind() == Kind::Sequence)?;
        let column = self.column(stream.node_by_number(list.data().node as usize));
        // The dash stands where the list's dashes stand, on this line or above, with nothing but comments between.
        let mut line = self.line_start(self.entry_start(item));
        loop {
            let text = &self.document.text()[line..];
            if text.as_bytes().get(column) == Some(&b'-') && !text.trim_start_matches(' ').starts_with('#') {
                return Some(line + column + 1);
            }
            line = self.line_start(line.checked_sub(1)?);
        }
    }

    /// All characters of a container behind its key, anchor and tag.
    fn container_range(&self, node: Node<'d>) -> Range<usize> {
        match &self.document.source {
            Source::Json(text) => text.span(node.data().node).range(),
            Source::Flat(text) => text.token(node.data().node).lines.range(),
            Source::Binary(_) => 0..self.document.text().len(),
            Source::Yaml(stream) => {
                let container = stream.node_by_number(node.data().node as usize);
                let mut range = container.content_span().range();
                if container.style() == Style::Block {
                    range.start = self.value_place(node).unwrap_or(range.start);
                    let text = spell::without_last_break(&self.document.text()[range.clone()]);
                    range.end = range.start + text.len();
                }
                range
            }
        }
    }

    // Flow collections and JSON

    fn flow_start(&self, container: Node<'d>) -> usize {
        match &self.document.source {
            Source::Json(text) => text.span(container.data().node).start as usize,
            Source::Flat(text) => text.token(container.data().node).span.start as usize,
            Source::Binary(_) => 0,
            Source::Yaml(stream) => stream.node_by_number(container.data().node as usize).content_span().start as usize,
        }
    }

    fn flow_end(&self, entry: Node<'d>) -> usize {
        let data = entry.data();
        match &self.document.source {
            Source::Json(text) => text.span(data.node).end as usize,
            Source::Flat(text) => text.token(data.node).span.end as usize,
            Source::Binary(_) => self.document.text().len(),
            Source::Yaml(stream) => {
                let value = stream.node_by_number(data.node as usize).span().end;
                let key = if data.key == NONE { 0 } else { stream.node_by_number(data.key as usize).span().end };
                value.max(key) as usize
            }
        }
    }

    fn entry_start(&self, entry: Node<'d>) -> usize {
        let data = entry.data();
        let place = if data.key == NONE { data.node } else { data.key };
        match &self.document.source {
            Source::Json(text) => text.span(place).start as usize,
            Source::Flat(text) => text.token(place).span.start as usize,
            Source::Binary(_) => 0,
            Source::Yaml(stream) => stream.node_by_number(place as usize).span().start as usize,
        }
    }

    fn remove_from_flow(&mut self, entry: Node<'d>) {
        let Some(parent) = entry.parent() else { return };
        let siblings: Vec<_> = parent.children().filter(|child| child.kind() != Kind::Comment).collect();
        let place = siblings.iter().position(|sibling| sibling.entry == entry.entry).unwrap_or_default();
        let range = if place > 0 {
            self.flow_end(siblings[place - 1])..self.flow_end(entry)
        } else if let Some(next) = siblings.get(1) {
            self.entry_start(entry)..self.entry_start(*next)
        } else {
            self.entry_start(entry)..self.flow_end(entry)
        };
        self.change(range, "");
    }

    fn append_json(&mut self, mapping: Node<'d>, key: &str, tree: &Tree) {
        let text = self.document.text();
        let last = mapping.children().last();
        let first = mapping.children().next();
        // Entries on lines of their own get another line, indented as they are.
        let indent = first.and_then(|first| {
            let start = self.entry_start(first);
            let line = self.line_start(start);
            let indent = &text[line..start];
            (line > 0 && indent.bytes().all(|byte| matches!(byte, b' ' | b'\t'))).then_some(indent)
        });
        let key = spell::json_string(key);
        let entry = match indent {
            Some(indent) => {
                let outer = self.line_start(self.flow_start(mapping));
                let around = text[outer..].bytes().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
                let step = indent.get(around.min(indent.len())..).filter(|step| !step.is_empty()).unwrap_or("\t");
                let depth = if step.is_empty() { 1 } else { indent.len() / step.len() };
                let mut value = String::new();
                tree.write_json(&mut value, step, depth);
                let line_break = self.line_break();
                format!("{line_break}{indent}{key}: {}", value.replace('\n', line_break))
            }
            None => format!("{key}: {}", tree.on_one_line(Format::Json)),
        };
        match last {
            Some(last) => {
                let end = self.flow_end(last);
                let separator = if indent.is_some() { "," } else { ", " };
                self.change(end..end, &format!("{separator}{entry}"));
            }
            None => {
                let start = self.flow_start(mapping) + 1;
                self.change(start..start, &entry);
            }
        }
    }
}
