//! The tree of a document: what SOPS sees, in its order, with the place of everything.

use std::borrow::Cow;
use std::fmt;

use bulla_wipe::Wiping;
use bulla_yaml::{Position, Timestamp};

use crate::error::ParseError;
use crate::{Format, flat, json, spell, yaml};

/// A file that was read. Its bytes are wiped when it is dropped.
pub struct Document {
    pub(crate) source: Source,
    pub(crate) entries: Vec<Entry>,
    pub(crate) roots: Vec<u32>,
    /// By node of the format: the entry at its own place. Empty where there are no aliases.
    pub(crate) places: Vec<u32>,
}

/// The format's own view of the file.
pub(crate) enum Source {
    Yaml(bulla_yaml::Stream),
    Json(json::Text),
    /// dotenv and INI.
    Flat(flat::Text),
    /// Bytes that are one value.
    Binary(Wiping<Vec<u8>>),
}

/// One node of the tree. They lie in one array, each before its content.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) kind: EntryKind,
    pub(crate) alias: bool,
    pub(crate) expanded: bool,
    pub(crate) anchored: bool,
    /// The format's own node; of a comment of YAML, where its text begins.
    pub(crate) node: u32,
    /// The format's own node of the key; of a comment of YAML, where its text ends.
    pub(crate) key: u32,
    pub(crate) parent: u32,
    /// Behind its last descendant.
    pub(crate) end: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EntryKind {
    Mapping,
    Sequence,
    Scalar,
    Comment,
    InlineComment,
}

/// The one key of a binary file.
pub(crate) const BINARY_KEY: &str = "data";

/// No key, no parent.
pub(crate) const NONE: u32 = u32::MAX;

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Entries with keys, in order.
    Mapping,
    /// Items in order.
    Sequence,
    /// A value.
    Scalar,
    /// One line of a comment.
    Comment,
}

/// The value of a scalar, typed as SOPS types it.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'d> {
    /// Never encrypted.
    Null,
    /// A boolean.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// An integer above [`i64::MAX`], which SOPS cannot encrypt.
    Unsigned(u64),
    /// A floating point number.
    Float(f64),
    /// A date and time. Only YAML has them.
    Time(Timestamp),
    /// Text, or bytes that are not UTF-8 (YAML's `!!binary`).
    String(Cow<'d, [u8]>),
}

impl<'d> Value<'d> {
    /// A string.
    pub fn text(text: &'d str) -> Value<'d> {
        Value::String(Cow::Borrowed(text.as_bytes()))
    }
}

/// Names a node within its document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub(crate) u32);

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document")
            .field("format", &self.format())
            .field("branches", &self.roots.len())
            .finish_non_exhaustive()
    }
}

impl Document {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ParseError`] with line, column and what was expected: broken syntax, a top that is no mapping, keys that are no
    /// strings or come twice, values that do not fit their tag, aliases that expand without bound.
    pub fn parse(bytes: &[u8], format: Format) -> Result<Document, ParseError> {
        Document::parse_owned(Wiping::new(bytes.to_vec()), format)
    }

    /// [`Document::parse`] that takes over the bytes and, in UTF-8 without a byte order mark, does not copy them.
    ///
    /// # Errors
    /// As [`Document::parse`].
    pub fn parse_owned(bytes: Wiping<Vec<u8>>, format: Format) -> Result<Document, ParseError> {
        match format {
            Format::Yaml => yaml::read(bytes),
            Format::Json => json::read(bytes),
            Format::Dotenv | Format::Ini => flat::read(bytes, format),
            Format::Binary => Ok(flat::binary(bytes)),
        }
    }

    /// Which format it was read as.
    pub fn format(&self) -> Format {
        match &self.source {
            Source::Yaml(_) => Format::Yaml,
            Source::Json(_) => Format::Json,
            Source::Flat(text) => text.format,
            Source::Binary(_) => Format::Binary,
        }
    }

    /// What was read, byte for byte.
    pub fn to_bytes(&self) -> Wiping<Vec<u8>> {
        match &self.source {
            Source::Yaml(stream) => stream.to_bytes(),
            Source::Json(text) => Wiping::new(text.text().as_bytes().to_vec()),
            Source::Flat(text) => Wiping::new(text.text().as_bytes().to_vec()),
            Source::Binary(bytes) => Wiping::new(bytes.to_vec()),
        }
    }

    /// The documents of the file, each a mapping.
    pub fn branches(&self) -> impl ExactSizeIterator<Item = Node<'_>> {
        self.roots.iter().map(|&entry| Node { document: self, entry })
    }

    /// The node of this name.
    pub fn node(&self, id: NodeId) -> Node<'_> {
        Node { document: self, entry: id.0 }
    }

    /// Line and column of a byte of [`Document::text`].
    pub fn position(&self, offset: usize) -> Position {
        match &self.source {
            Source::Yaml(stream) => stream.position(offset as u32),
            Source::Json(text) => text.position(offset),
            Source::Flat(text) => text.position(offset),
            Source::Binary(_) => Position { line: 1, column: 1 },
        }
    }

    /// The characters of the file; of YAML without byte order mark. Bytes of a binary file that are no text are none.
    pub fn text(&self) -> &str {
        match &self.source {
            Source::Yaml(stream) => stream.text(),
            Source::Json(text) => text.text(),
            Source::Flat(text) => text.text(),
            Source::Binary(bytes) => str::from_utf8(bytes).unwrap_or_default(),
        }
    }
}

/// A node and the document it lies in.
#[derive(Clone, Copy)]
pub struct Node<'d> {
    pub(crate) document: &'d Document,
    pub(crate) entry: u32,
}

impl fmt::Debug for Node<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("id", &self.entry).field("kind", &self.kind()).finish_non_exhaustive()
    }
}

impl<'d> Node<'d> {
    pub(crate) fn data(self) -> &'d Entry {
        &self.document.entries[self.entry as usize]
    }

    pub(crate) fn at(self, entry: u32) -> Node<'d> {
        Node { document: self.document, entry }
    }

    /// Its name within the document.
    pub fn id(self) -> NodeId {
        NodeId(self.entry)
    }

    /// What it is.
    pub fn kind(self) -> Kind {
        match self.data().kind {
            EntryKind::Mapping => Kind::Mapping,
            EntryKind::Sequence => Kind::Sequence,
            EntryKind::Scalar => Kind::Scalar,
            EntryKind::Comment | EntryKind::InlineComment => Kind::Comment,
        }
    }

    /// Key of an entry of a mapping; `None` for a comment, a list item, the top of a document.
    pub fn key(self) -> Option<&'d str> {
        let data = self.data();
        if data.key == NONE || self.kind() == Kind::Comment {
            return None;
        }
        Some(match &self.document.source {
            Source::Yaml(stream) => stream.node_by_number(data.key as usize).target().value(),
            Source::Json(text) => text.string(data.key),
            Source::Flat(text) => text.string(data.key),
            Source::Binary(_) => BINARY_KEY,
        })
    }

    /// The container it lies in.
    pub fn parent(self) -> Option<Node<'d>> {
        let parent = self.data().parent;
        (parent != NONE).then(|| self.at(parent))
    }

    /// Entries of a mapping or items of a list, comments among them. Empty for anything else.
    pub fn children(self) -> Children<'d> {
        Children { document: self.document, next: self.entry + 1, end: self.data().end }
    }

    /// The entry of a mapping with this key.
    pub fn get(self, key: &str) -> Option<Node<'d>> {
        self.children().find(|child| child.key() == Some(key))
    }

    /// Value of a scalar; null for anything else.
    pub fn value(self) -> Value<'d> {
        let data = self.data();
        if data.kind != EntryKind::Scalar {
            return Value::Null;
        }
        match &self.document.source {
            Source::Yaml(stream) => {
                // Values that do not fit their tag were refused when the document was read.
                yaml::value(stream.node_by_number(data.node as usize).target()).unwrap_or(Value::Null)
            }
            Source::Json(text) => text.value(data.node),
            Source::Flat(text) => text.value(data.node),
            Source::Binary(bytes) => Value::String(Cow::Borrowed(bytes)),
        }
    }

    /// Value of a scalar that is a string in UTF-8.
    pub fn as_str(self) -> Option<&'d str> {
        let data = self.data();
        if data.kind != EntryKind::Scalar {
            return None;
        }
        match &self.document.source {
            Source::Yaml(stream) => yaml::text(stream.node_by_number(data.node as usize).target()),
            Source::Json(text) => text.is_string(data.node).then(|| text.string(data.node)),
            Source::Flat(text) => Some(text.string(data.node)),
            Source::Binary(bytes) => str::from_utf8(bytes).ok(),
        }
    }

    /// Is it a scalar that is a string in UTF-8? Costs less than its value.
    pub fn is_str(self) -> bool {
        let data = self.data();
        match &self.document.source {
            _ if data.kind != EntryKind::Scalar => false,
            Source::Yaml(stream) => {
                let scalar = stream.node_by_number(data.node as usize).target();
                if scalar.tag().is_none() { scalar.is_string() } else { self.as_str().is_some() }
            }
            Source::Json(text) => text.is_string(data.node),
            Source::Flat(_) => true,
            Source::Binary(bytes) => str::from_utf8(bytes).is_ok(),
        }
    }

    /// Text of a comment behind its `#`; empty for anything else. In INI it may be of several lines.
    pub fn comment(self) -> &'d str {
        let data = self.data();
        match (data.kind, &self.document.source) {
            (EntryKind::Comment | EntryKind::InlineComment, Source::Flat(text)) => text.string(data.node),
            (EntryKind::Comment | EntryKind::InlineComment, _) => {
                &self.document.text()[data.node as usize..data.key as usize]
            }
            _ => "",
        }
    }

    /// Is it a comment on the line of the value that follows it here?
    pub fn is_inline(self) -> bool {
        self.data().kind == EntryKind::InlineComment
    }

    /// Is it spelt `*name`, and its content a copy?
    pub fn is_alias(self) -> bool {
        self.data().alias
    }

    /// Of an alias: the entry that it stands for, at that entry's own place; `None` if that is a key.
    pub fn alias_target(self) -> Option<NodeId> {
        let Source::Yaml(stream) = &self.document.source else { return None };
        if !self.is_alias() {
            return None;
        }
        let target = stream.node_by_number(self.data().node as usize).target().number();
        self.document.places.get(target).copied().filter(|&entry| entry != NONE).map(NodeId)
    }

    /// Does it lie inside the copy that an alias stands for? Then it has no place of its own.
    pub fn is_expanded(self) -> bool {
        self.data().expanded
    }

    /// Does an alias elsewhere stand for it, or for something it lies in?
    pub fn is_anchored(self) -> bool {
        self.data().anchored
    }

    /// Line and column where it begins; of something expanded, where the anchor's own content does. Takes time linear
    /// in the place.
    pub fn position(self) -> Position {
        let data = self.data();
        let offset = match (&self.document.source, data.kind) {
            (Source::Flat(text), _) if data.key != NONE => text.token(data.key).span.start,
            (Source::Flat(text), _) => text.token(data.node).span.start,
            (Source::Binary(_), _) => 0,
            (_, EntryKind::Comment | EntryKind::InlineComment) => data.node,
            (Source::Yaml(stream), _) if data.key != NONE => stream.node_by_number(data.key as usize).span().start,
            (Source::Yaml(stream), _) => stream.node_by_number(data.node as usize).span().start,
            (Source::Json(text), _) if data.key != NONE => text.span(data.key).start,
            (Source::Json(text), _) => text.span(data.node).start,
        };
        self.document.position(offset as usize)
    }

    /// The characters that spell a scalar's value, as [`Edits::set_spelling`](crate::Edits::set_spelling) takes them.
    /// Of a block scalar: its indicators, without the comment that may stand behind them, and its lines, without the
    /// last line break.
    pub fn spelling(self) -> Cow<'d, str> {
        spell::spelling(self)
    }

    /// If this scalar were encrypted and `value` restored in its place, would it be spelt as it is now?
    pub fn restores(self, value: &Value<'_>) -> bool {
        spell::restores(self, value)
    }

    /// Are there more than `levels` containers one in the other, itself included?
    pub fn is_deeper_than(self, levels: usize) -> bool {
        let mut walk = self.walk();
        while walk.next().is_some() {
            if walk.open.len() > levels {
                return true;
            }
        }
        false
    }

    /// Everything in it, depth first, itself included.
    pub fn walk(self) -> Walk<'d> {
        Walk { document: self.document, next: self.entry, end: self.data().end, open: Vec::new() }
    }
}

/// Iterator over the direct children of a node.
#[derive(Clone, Debug)]
pub struct Children<'d> {
    document: &'d Document,
    next: u32,
    end: u32,
}

impl<'d> Iterator for Children<'d> {
    type Item = Node<'d>;

    fn next(&mut self) -> Option<Node<'d>> {
        if self.next >= self.end {
            return None;
        }
        let node = Node { document: self.document, entry: self.next };
        self.next = node.data().end;
        Some(node)
    }
}

/// A step of a walk.
#[derive(Clone, Copy, Debug)]
pub enum Step<'d> {
    /// Into a container.
    Enter(Node<'d>),
    /// Out of it again.
    Leave(Node<'d>),
    /// At a scalar.
    Leaf(Node<'d>),
    /// At a line of a comment.
    Comment(Node<'d>),
}

/// Iterator over a node and everything in it, depth first.
#[derive(Clone, Debug)]
pub struct Walk<'d> {
    document: &'d Document,
    next: u32,
    end: u32,
    open: Vec<u32>,
}

impl<'d> Iterator for Walk<'d> {
    type Item = Step<'d>;

    fn next(&mut self) -> Option<Step<'d>> {
        if let Some(&innermost) = self.open.last() {
            let container = Node { document: self.document, entry: innermost };
            if container.data().end == self.next {
                self.open.pop();
                return Some(Step::Leave(container));
            }
        }
        if self.next >= self.end {
            return None;
        }
        let node = Node { document: self.document, entry: self.next };
        self.next += 1;
        Some(match node.kind() {
            Kind::Mapping | Kind::Sequence => {
                self.open.push(node.entry);
                Step::Enter(node)
            }
            Kind::Scalar => Step::Leaf(node),
            Kind::Comment => Step::Comment(node),
        })
    }
}
