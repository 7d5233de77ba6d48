//! What was read: documents of nodes, each with the bytes that spell it.
//!
//! Nodes lie in one array in the order of the document, a container before its content; `end` of each tells where its
//! content ends there. So a walk needs neither pointers nor recursion, and 100,000 nodes take 4 MB.

use std::fmt;
use std::ops::Range;

use bulla_wipe::Wiping;

use crate::error::Position;
use crate::resolve::{Resolved, resolve};
use crate::scan::Text;
use crate::source::{self, Encoding};

/// A range of bytes of [`Stream::text`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// Byte behind the last one.
    pub end: u32,
}

impl Span {
    /// Are there no bytes in it?
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// As a range for slicing.
    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Keys and values, alternating.
    Mapping,
    /// Items.
    Sequence,
    /// A leaf.
    Scalar,
    /// `*name`: stands for an earlier node.
    Alias,
}

/// How a node is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// A scalar without quotes.
    Plain,
    /// `'…'`
    SingleQuoted,
    /// `"…"`
    DoubleQuoted,
    /// `|`
    Literal,
    /// `>`
    Folded,
    /// A container by indentation.
    Block,
    /// A container in brackets or braces.
    Flow,
}

/// Place of a node in its stream; valid for that stream only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub(crate) u32);

#[derive(Debug)]
pub(crate) struct NodeData {
    pub(crate) kind: Kind,
    pub(crate) style: Style,
    /// Is it a scalar that is a string, as long as no tag says otherwise?
    pub(crate) is_string: bool,
    /// Value of a scalar, name of an alias.
    pub(crate) text: Text,
    /// Where the node begins, with its anchor and tag.
    pub(crate) start: u32,
    /// Where its content begins, behind anchor and tag.
    pub(crate) content: u32,
    /// Where it ends.
    pub(crate) finish: u32,
    /// Behind its last descendant in the array of nodes.
    pub(crate) end: u32,
    /// In the array of tags, from 1; 0 for none.
    pub(crate) tag: u32,
    /// Of a node with an anchor, its place in the array of anchors, from 1; of an alias, the node it stands for.
    pub(crate) anchor: u32,
    /// In the array of attached comments, from 1; 0 for none.
    pub(crate) comments: u32,
}

/// Ranges of comment lines.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attached {
    pub(crate) head: Range<u32>,
    pub(crate) line: Range<u32>,
    pub(crate) foot: Range<u32>,
}

#[derive(Debug, Default)]
pub(crate) struct DocumentData {
    pub(crate) root: u32,
    pub(crate) span: Span,
    /// Where its `...`, the next document or the end of the input begins.
    pub(crate) content_end: u32,
    pub(crate) explicit_start: bool,
    pub(crate) explicit_end: bool,
    pub(crate) head: Range<u32>,
    pub(crate) foot: Range<u32>,
}

/// Everything that was read from one input. Its text is wiped when it is dropped.
pub struct Stream {
    pub(crate) encoding: Encoding,
    pub(crate) text: Wiping<String>,
    pub(crate) decoded: Wiping<String>,
    pub(crate) nodes: Vec<NodeData>,
    pub(crate) documents: Vec<DocumentData>,
    pub(crate) tags: Vec<String>,
    pub(crate) anchors: Vec<Span>,
    pub(crate) attached: Vec<Attached>,
    pub(crate) comment_lines: Vec<Span>,
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("documents", &self.documents.len())
            .field("nodes", &self.nodes.len())
            .finish_non_exhaustive()
    }
}

impl Stream {
    /// The characters that were read, without byte order mark.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// How the input spelt its characters.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// The input, byte for byte.
    pub fn to_bytes(&self) -> Wiping<Vec<u8>> {
        self.encoding.encode(&self.text)
    }

    /// The documents in their order.
    pub fn documents(&self) -> impl ExactSizeIterator<Item = Document<'_>> {
        self.documents.iter().map(|data| Document { stream: self, data })
    }

    /// The node with this [number](Node::number), which must be one of this stream.
    pub fn node_by_number(&self, number: usize) -> Node<'_> {
        self.node(NodeId(number as u32))
    }

    /// Is there an alias in any document?
    pub fn has_aliases(&self) -> bool {
        self.nodes.iter().any(|node| node.kind == Kind::Alias)
    }

    /// How many nodes there are in all documents.
    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// The node of this name.
    pub fn node(&self, id: NodeId) -> Node<'_> {
        Node { stream: self, id }
    }

    /// Line and column of a byte of [`Stream::text`]. Takes time linear in `offset`.
    pub fn position(&self, offset: u32) -> Position {
        source::position(&self.text, offset as usize)
    }

    fn resolve_text(&self, text: Text) -> &str {
        let range = text.start as usize..(text.start + text.length) as usize;
        if text.decoded { &self.decoded[range] } else { &self.text[range] }
    }

    fn comments(&self, range: Range<u32>) -> Comments<'_> {
        Comments { stream: self, range }
    }
}

/// One document of a stream.
#[derive(Clone, Copy)]
pub struct Document<'s> {
    stream: &'s Stream,
    data: &'s DocumentData,
}

impl<'s> Document<'s> {
    /// Its only node; an empty scalar if the document is empty.
    pub fn root(&self) -> Node<'s> {
        self.stream.node(NodeId(self.data.root))
    }

    /// From its directives or its start mark, or else its first node, to its end mark or the next document.
    pub fn span(&self) -> Span {
        self.data.span
    }

    /// Where its content ends with all comments: where its `...`, the next document or the end of the input begins.
    pub fn content_end(&self) -> u32 {
        self.data.content_end
    }

    /// Does it begin with `---`?
    pub fn has_start_mark(&self) -> bool {
        self.data.explicit_start
    }

    /// Does it end with `...`?
    pub fn has_end_mark(&self) -> bool {
        self.data.explicit_end
    }

    /// Comments above everything, separated from the first node by an empty line.
    pub fn head(&self) -> Comments<'s> {
        self.stream.comments(self.data.head.clone())
    }

    /// Comments behind everything.
    pub fn foot(&self) -> Comments<'s> {
        self.stream.comments(self.data.foot.clone())
    }
}

/// A node and what it lies in.
#[derive(Clone, Copy)]
pub struct Node<'s> {
    stream: &'s Stream,
    id: NodeId,
}

impl fmt::Debug for Node<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("id", &self.id.0).field("kind", &self.kind()).finish_non_exhaustive()
    }
}

impl<'s> Node<'s> {
    fn data(&self) -> &'s NodeData {
        &self.stream.nodes[self.id.0 as usize]
    }

    /// Its name within the stream.
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// The stream it lies in.
    pub fn stream(&self) -> &'s Stream {
        self.stream
    }

    /// What it is.
    pub fn kind(&self) -> Kind {
        self.data().kind
    }

    /// How it is written. Of an alias: plain.
    pub fn style(&self) -> Style {
        self.data().style
    }

    /// Value of a scalar, decoded; name of an alias; empty for a container.
    pub fn value(&self) -> &'s str {
        self.stream.resolve_text(self.data().text)
    }

    /// Is the value spelt otherwise than it is, by escapes, folding or indentation?
    pub fn is_decoded(&self) -> bool {
        self.data().text.decoded
    }

    /// Keys and values of a mapping, alternating; items of a sequence.
    pub fn children(&self) -> Children<'s> {
        let end = self.data().end;
        Children { stream: self.stream, next: self.id.0 + 1, end }
    }

    /// Node behind the last descendant; ids from this one's to that one's are its subtree.
    pub fn end(&self) -> NodeId {
        NodeId(self.data().end)
    }

    /// Number of a node within its stream, from 0.
    pub fn number(&self) -> usize {
        self.id.0 as usize
    }

    /// What an alias stands for; of any other node itself.
    #[must_use]
    pub fn target(&self) -> Node<'s> {
        match self.kind() {
            Kind::Alias => self.stream.node(NodeId(self.data().anchor)),
            _ => *self,
        }
    }

    /// Name of its anchor.
    pub fn anchor(&self) -> Option<&'s str> {
        let data = self.data();
        if data.kind == Kind::Alias || data.anchor == 0 {
            return None;
        }
        Some(&self.stream.text[self.stream.anchors[data.anchor as usize - 1].range()])
    }

    /// Its explicit tag, short where it has a short form (`!!int`, `!local`). `!` alone counts as none.
    pub fn tag(&self) -> Option<&'s str> {
        match self.data().tag {
            0 => None,
            place => Some(&self.stream.tags[place as usize - 1]).filter(|tag| *tag != "!").map(String::as_str),
        }
    }

    /// Is there a tag in its text, be it only `!`?
    pub fn is_tagged(&self) -> bool {
        self.data().tag != 0
    }

    /// What its value means without regard to an explicit tag: a plain scalar by the resolver, any other a string.
    pub fn resolved(&self) -> Resolved {
        match self.style() {
            Style::Plain => resolve(self.value()),
            _ => Resolved::String,
        }
    }

    /// Is it a scalar that [means](Node::resolved) a string? Costs no look at its text.
    pub fn is_string(&self) -> bool {
        self.data().is_string
    }

    /// Bytes of the whole node, with anchor and tag. A block scalar ends behind its last line with its line break, and
    /// with its empty lines only where they are part of the value.
    pub fn span(&self) -> Span {
        let data = self.data();
        Span { start: data.start, end: data.finish }
    }

    /// Bytes of the node behind anchor and tag; quotes, brackets and the header of a block scalar are among them.
    pub fn content_span(&self) -> Span {
        let data = self.data();
        Span { start: data.content, end: data.finish }
    }

    /// Line and column of its first byte. Takes time linear in the place.
    pub fn position(&self) -> Position {
        self.stream.position(self.data().start)
    }

    /// Comment lines above it.
    pub fn head(&self) -> Comments<'s> {
        self.attached(|attached| &attached.head)
    }

    /// Comment behind it on its line.
    pub fn line(&self) -> Comments<'s> {
        self.attached(|attached| &attached.line)
    }

    /// Comment lines below it.
    pub fn foot(&self) -> Comments<'s> {
        self.attached(|attached| &attached.foot)
    }

    fn attached(&self, role: fn(&Attached) -> &Range<u32>) -> Comments<'s> {
        let range = match self.data().comments {
            0 => 0..0,
            place => role(&self.stream.attached[place as usize - 1]).clone(),
        };
        self.stream.comments(range)
    }
}

/// Iterator over the direct children of a node.
#[derive(Clone)]
pub struct Children<'s> {
    stream: &'s Stream,
    next: u32,
    end: u32,
}

impl<'s> Iterator for Children<'s> {
    type Item = Node<'s>;

    fn next(&mut self) -> Option<Node<'s>> {
        if self.next >= self.end {
            return None;
        }
        let node = self.stream.node(NodeId(self.next));
        self.next = node.data().end;
        Some(node)
    }
}

/// One line of a comment.
#[derive(Clone, Copy, Debug)]
pub struct Comment<'s> {
    /// From its `#` to the end of the line.
    pub text: &'s str,
    /// Where that lies.
    pub span: Span,
}

/// Iterator over the lines of comments in one place. An empty line between comments is an item with empty text.
#[derive(Clone)]
pub struct Comments<'s> {
    stream: &'s Stream,
    range: Range<u32>,
}

impl<'s> Iterator for Comments<'s> {
    type Item = Comment<'s>;

    fn next(&mut self) -> Option<Comment<'s>> {
        let span = self.stream.comment_lines[self.range.next()? as usize];
        Some(Comment { text: &self.stream.text[span.range()], span })
    }
}
