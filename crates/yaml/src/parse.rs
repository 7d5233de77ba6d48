//! From tokens to the tree: the productions of libyaml's grammar, as a machine with an explicit stack.
//!
//! ```text
//! stream        ::= implicit_document? explicit_document*
//! block_node    ::= ALIAS | properties block_content? | block_content
//! properties    ::= TAG ANCHOR? | ANCHOR TAG?
//! block_content ::= block_collection | flow_collection | SCALAR
//! ```
//!
//! Comments wait in three lists until a node takes them; which production takes which is go-yaml's rule, as is the way
//! of a foot comment from a value to its key (`Build::end_node`).

use std::collections::HashMap;
use std::mem;
use std::ops::Range;

use bulla_wipe::Wiping;

use crate::error::{Expected, ParseError};
use crate::scan::{Mark, Role, Scanner, TagParts, Text, Token, TokenKind};
use crate::source::Encoding;
use crate::tree::{Attached, DocumentData, Kind, NodeData, Span, Stream, Style};

pub(crate) fn parse(encoding: Encoding, text: Wiping<String>) -> Result<Stream, ParseError> {
    let mut stream = build(&text)?;
    stream.encoding = encoding;
    stream.text = text;
    Ok(stream)
}

/// Everything but the text itself.
fn build(text: &str) -> Result<Stream, ParseError> {
    let mut parser = Parser::new(text);
    let mut state = State::ImplicitDocumentStart;
    parser.scanner.peek()?;
    parser.scanner.take();
    while state != State::End {
        state = parser.step(state)?;
    }
    let Parser { mut scanner, build, .. } = parser;
    // Only whole characters were copied into it.
    let decoded = mem::take(&mut scanner.decoded).into_text().unwrap_or_default();
    Ok(Stream {
        encoding: Encoding::Utf8,
        text: Wiping::default(),
        decoded,
        nodes: build.nodes,
        documents: build.documents,
        tags: build.tags,
        anchors: build.anchors,
        attached: build.attached,
        comment_lines: build.comment_lines,
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    ImplicitDocumentStart,
    DocumentStart,
    DocumentContent,
    DocumentEnd,
    BlockNode,
    BlockSequenceFirstEntry,
    BlockSequenceEntry,
    IndentlessSequenceEntry,
    BlockMappingFirstKey,
    BlockMappingKey,
    BlockMappingValue,
    FlowSequenceFirstEntry,
    FlowSequenceEntry,
    FlowSequenceEntryMappingKey,
    FlowSequenceEntryMappingValue,
    FlowSequenceEntryMappingEnd,
    FlowMappingFirstKey,
    FlowMappingKey,
    FlowMappingValue,
    FlowMappingEmptyValue,
    End,
}

/// Kinds of tokens that the productions decide by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Directive,
    DocumentStart,
    DocumentEnd,
    StreamEnd,
    BlockSequenceStart,
    BlockMappingStart,
    BlockEnd,
    BlockEntry,
    FlowSequenceStart,
    FlowSequenceEnd,
    FlowMappingStart,
    FlowMappingEnd,
    FlowEntry,
    Key,
    Value,
    Alias,
    Anchor,
    Tag,
    Scalar,
}

struct Parser<'t> {
    scanner: Scanner<'t>,
    /// What [`Parser::peek`] answered, until the token is taken.
    peeked: Option<(Next, Mark, Mark)>,
    states: Vec<State>,
    /// Comments that no node has taken yet.
    head: Vec<Span>,
    line: Vec<Span>,
    foot: Vec<Span>,
    /// Head of a collection inside a sequence entry, kept apart from the head of its first key.
    stem: Vec<Span>,
    tag_directives: Vec<(String, String)>,
    build: Build<'t>,
}

/// Anchor and tag in front of a node.
#[derive(Default)]
struct Properties {
    anchor: Option<Text>,
    tag: Option<String>,
}

impl<'t> Parser<'t> {
    fn new(text: &'t str) -> Parser<'t> {
        Parser {
            scanner: Scanner::new(text),
            peeked: None,
            states: Vec::new(),
            head: Vec::new(),
            line: Vec::new(),
            foot: Vec::new(),
            stem: Vec::new(),
            tag_directives: Vec::new(),
            build: Build { text, ..Build::default() },
        }
    }

    /// Looks at the next token and takes the comments that belong to it or to tokens before it.
    fn peek(&mut self) -> Result<(Next, Mark, Mark), ParseError> {
        if let Some(peeked) = self.peeked {
            return Ok(peeked);
        }
        let token = self.scanner.peek()?;
        let (next, start, end) = (next(token), token.start, token.end);
        // An end takes no heads, so they stay for the token behind it.
        while let Some(comment) = self.scanner.comment_until(start.index, next != Next::BlockEnd) {
            match comment.role {
                Role::Head => self.head.extend(comment.lines),
                Role::Line => self.line.extend(comment.lines),
                Role::Foot => self.foot.extend(comment.lines),
            }
        }
        self.peeked = Some((next, start, end));
        Ok((next, start, end))
    }

    fn take(&mut self) -> Option<Token> {
        self.peeked = None;
        self.scanner.take()
    }

    fn pop_state(&mut self) -> State {
        // Every production is entered by pushing the state that follows it.
        self.states.pop().unwrap_or(State::End)
    }

    fn step(&mut self, state: State) -> Result<State, ParseError> {
        match state {
            State::ImplicitDocumentStart => self.document_start(true),
            State::DocumentStart => self.document_start(false),
            State::DocumentContent => self.document_content(),
            State::DocumentEnd => self.document_end(),
            State::BlockNode => self.node(true, false),
            State::BlockSequenceFirstEntry => self.block_sequence_entry(true),
            State::BlockSequenceEntry => self.block_sequence_entry(false),
            State::IndentlessSequenceEntry => self.indentless_sequence_entry(),
            State::BlockMappingFirstKey => self.block_mapping_key(true),
            State::BlockMappingKey => self.block_mapping_key(false),
            State::BlockMappingValue => self.block_mapping_value(),
            State::FlowSequenceFirstEntry => self.flow_sequence_entry(true),
            State::FlowSequenceEntry => self.flow_sequence_entry(false),
            State::FlowSequenceEntryMappingKey => self.flow_sequence_entry_mapping_key(),
            State::FlowSequenceEntryMappingValue => self.flow_sequence_entry_mapping_value(),
            State::FlowSequenceEntryMappingEnd => self.flow_sequence_entry_mapping_end(),
            State::FlowMappingFirstKey => self.flow_mapping_key(true),
            State::FlowMappingKey => self.flow_mapping_key(false),
            State::FlowMappingValue => self.flow_mapping_value(false),
            State::FlowMappingEmptyValue => self.flow_mapping_value(true),
            State::End => Ok(State::End),
        }
    }

    // Documents

    fn document_start(&mut self, implicit: bool) -> Result<State, ParseError> {
        let (mut next, mut start, _) = self.peek()?;
        if !implicit {
            while next == Next::DocumentEnd {
                self.take();
                (next, start, _) = self.peek()?;
            }
        }
        if next == Next::StreamEnd {
            return Ok(State::End);
        }
        self.states.push(State::DocumentEnd);
        if implicit && !matches!(next, Next::Directive | Next::DocumentStart) {
            self.directives()?;
            let head = self.split_document_head();
            self.build.start_document(start.offset, false, &head);
            return Ok(State::BlockNode);
        }
        self.directives()?;
        let (next, mark, end) = self.peek()?;
        if next != Next::DocumentStart {
            return self.scanner.fault(mark.offset, Expected::Token("`---` before the next document"));
        }
        self.build.start_document(start.offset, true, &[]);
        self.build.content_from(end.offset);
        self.take();
        Ok(State::DocumentContent)
    }

    /// Everything above the last empty line is about the document; what is below, about its first node.
    fn split_document_head(&mut self) -> Vec<Span> {
        let Some(empty) = self.head.iter().rposition(|line| line.is_empty()) else {
            return Vec::new();
        };
        let rest = self.head.split_off(empty + 1);
        self.head.pop();
        mem::replace(&mut self.head, rest)
    }

    fn directives(&mut self) -> Result<(), ParseError> {
        let mut version_seen = false;
        while let (Next::Directive, start, _) = self.peek()? {
            match self.take().map(|token| token.kind) {
                Some(TokenKind::VersionDirective { major, minor }) => {
                    if version_seen {
                        return self.scanner.fault(start.offset, Expected::Directive("one version directive"));
                    }
                    if (major, minor) != (1, 1) {
                        return self.scanner.fault(start.offset, Expected::Version);
                    }
                    version_seen = true;
                }
                Some(TokenKind::TagDirective(parts)) => {
                    let TagParts { handle, rest: prefix } = *parts;
                    if self.tag_directives.iter().any(|(known, _)| *known == handle) {
                        return self.scanner.fault(start.offset, Expected::Directive("each tag handle once"));
                    }
                    self.tag_directives.push((handle, prefix));
                }
                _ => {}
            }
        }
        for (handle, prefix) in [("!", "!"), ("!!", LONG_TAG)] {
            if !self.tag_directives.iter().any(|(known, _)| known == handle) {
                self.tag_directives.push((handle.to_owned(), prefix.to_owned()));
            }
        }
        Ok(())
    }

    fn document_content(&mut self) -> Result<State, ParseError> {
        let (next, start, _) = self.peek()?;
        match next {
            Next::Directive | Next::DocumentStart | Next::DocumentEnd | Next::StreamEnd => {
                let at = self.build.content_start().unwrap_or(start.offset);
                self.build.empty_scalar(at);
                Ok(self.pop_state())
            }
            _ => self.node(true, false),
        }
    }

    fn document_end(&mut self) -> Result<State, ParseError> {
        let (next, start, end) = self.peek()?;
        let explicit = next == Next::DocumentEnd;
        if explicit {
            self.take();
        }
        self.tag_directives.clear();
        let head = mem::take(&mut self.head);
        let foot = mem::take(&mut self.foot);
        self.line.clear();
        self.stem.clear();
        let foot = if foot.is_empty() { head } else { foot };
        self.build.end_document(start.offset, if explicit { end.offset } else { start.offset }, explicit, &foot);
        Ok(State::DocumentStart)
    }

    // Nodes

    /// Parses a node; the state behind it was pushed before.
    fn node(&mut self, block: bool, indentless: bool) -> Result<State, ParseError> {
        let (mut next, start, _) = self.peek()?;
        if next == Next::Alias {
            let comments = self.take_comments();
            if let Some(Token { kind: TokenKind::Alias(name), end, .. }) = self.take() {
                let span = Span { start: start.offset, end: end.offset };
                if !self.build.alias(name, span, &comments) {
                    return self.scanner.fault(start.offset, Expected::UnknownAnchor);
                }
            }
            return Ok(self.pop_state());
        }

        let mut properties = Properties::default();
        let mut properties_end = start;
        while next == Next::Anchor && properties.anchor.is_none() || next == Next::Tag && properties.tag.is_none() {
            match self.take() {
                Some(Token { kind: TokenKind::Anchor(name), end, .. }) => {
                    properties.anchor = Some(name);
                    properties_end = end;
                }
                Some(Token { kind: TokenKind::Tag(parts), end, start: mark }) => {
                    let TagParts { handle, rest: suffix } = *parts;
                    properties.tag = Some(self.full_tag(&handle, suffix, mark)?);
                    properties_end = end;
                }
                _ => {}
            }
            next = self.peek()?.0;
        }
        let (_, mark, _) = self.peek()?;
        let has_properties = properties.anchor.is_some() || properties.tag.is_some();
        let content = mark.offset;

        match next {
            Next::BlockEntry if indentless => {
                self.build.start(Kind::Sequence, Style::Block, start.offset, content, properties, &Comments::default());
                Ok(State::IndentlessSequenceEntry)
            }
            Next::Scalar => {
                let comments = self.take_comments();
                if let Some(Token { kind: TokenKind::Scalar { text, style, end }, .. }) = self.take() {
                    let span = Span { start: start.offset, end };
                    self.build.scalar(text, style, span, content, properties, &comments);
                    self.build.mean_string(style != Style::Plain || self.scanner.means_string(text));
                }
                Ok(self.pop_state())
            }
            Next::FlowSequenceStart | Next::FlowMappingStart => {
                let comments = self.take_comments();
                let (kind, state) = if next == Next::FlowSequenceStart {
                    (Kind::Sequence, State::FlowSequenceFirstEntry)
                } else {
                    (Kind::Mapping, State::FlowMappingFirstKey)
                };
                self.build.start(kind, Style::Flow, start.offset, content, properties, &comments);
                Ok(state)
            }
            Next::BlockSequenceStart | Next::BlockMappingStart if block => {
                let (kind, state) = if next == Next::BlockSequenceStart {
                    (Kind::Sequence, State::BlockSequenceFirstEntry)
                } else {
                    (Kind::Mapping, State::BlockMappingFirstKey)
                };
                let comments = Comments { head: mem::take(&mut self.stem), ..Comments::default() };
                self.build.start(kind, Style::Block, start.offset, content, properties, &comments);
                Ok(state)
            }
            _ if has_properties => {
                let end = properties_end.offset;
                let text = Text { start: end, ..Text::default() };
                let span = Span { start: start.offset, end };
                self.build.scalar(text, Style::Plain, span, end, properties, &Comments::default());
                Ok(self.pop_state())
            }
            _ => self.scanner.fault(mark.offset, Expected::Token("a value")),
        }
    }

    fn full_tag(&self, handle: &str, suffix: String, mark: Mark) -> Result<String, ParseError> {
        if handle.is_empty() {
            return Ok(suffix);
        }
        match self.tag_directives.iter().find(|(known, _)| known == handle) {
            Some((_, prefix)) if !(prefix.is_empty() && suffix.is_empty()) => Ok(format!("{prefix}{suffix}")),
            _ => self.scanner.fault(mark.offset, Expected::Tag("a handle that a %TAG directive defines")),
        }
    }

    fn take_comments(&mut self) -> Comments {
        self.stem.clear();
        Comments { head: mem::take(&mut self.head), line: mem::take(&mut self.line), foot: mem::take(&mut self.foot) }
    }

    /// A value that is not there.
    fn empty(&mut self, at: Mark, then: State) -> State {
        self.build.empty_scalar(at.offset);
        then
    }

    // Block collections

    fn block_sequence_entry(&mut self, first: bool) -> Result<State, ParseError> {
        if first {
            self.peek()?;
            self.take();
        }
        let (next, start, end) = self.peek()?;
        match next {
            Next::BlockEntry => {
                let next = self.pass_entry()?;
                if matches!(next, Next::BlockEntry | Next::BlockEnd) {
                    return Ok(self.empty(end, State::BlockSequenceEntry));
                }
                self.states.push(State::BlockSequenceEntry);
                self.node(true, false)
            }
            Next::BlockEnd => {
                self.take();
                self.build.end_collection(&Comments::default());
                Ok(self.pop_state())
            }
            _ => self
                .scanner
                .fault(start.offset, Expected::Token("`-` or the end of the sequence; check the indentation")),
        }
    }

    fn indentless_sequence_entry(&mut self) -> Result<State, ParseError> {
        let (next, _, end) = self.peek()?;
        if next == Next::BlockEntry {
            let next = self.pass_entry()?;
            if matches!(next, Next::BlockEntry | Next::Key | Next::Value | Next::BlockEnd) {
                return Ok(self.empty(end, State::IndentlessSequenceEntry));
            }
            self.states.push(State::IndentlessSequenceEntry);
            return self.node(true, false);
        }
        self.build.end_collection(&Comments::default());
        Ok(self.pop_state())
    }

    /// Passes a `-`. The head it had becomes the stem if a collection follows.
    fn pass_entry(&mut self) -> Result<Next, ParseError> {
        let before = self.head.len();
        self.take();
        let (next, _, _) = self.peek()?;
        if before > 0 && matches!(next, Next::BlockSequenceStart | Next::BlockMappingStart) {
            let rest = self.head.split_off(before);
            self.stem = mem::replace(&mut self.head, rest);
        }
        Ok(next)
    }

    fn block_mapping_key(&mut self, first: bool) -> Result<State, ParseError> {
        if first {
            self.peek()?;
            self.take();
        }
        let (next, start, end) = self.peek()?;
        match next {
            Next::Key => {
                self.take();
                let (next, _, _) = self.peek()?;
                if matches!(next, Next::Key | Next::Value | Next::BlockEnd) {
                    return Ok(self.empty(end, State::BlockMappingValue));
                }
                self.states.push(State::BlockMappingValue);
                self.node(true, true)
            }
            Next::BlockEnd => {
                let comments = self.take_comments();
                self.take();
                self.build.end_collection(&comments);
                Ok(self.pop_state())
            }
            _ => self
                .scanner
                .fault(start.offset, Expected::Token("a key or the end of the mapping; check the indentation")),
        }
    }

    fn block_mapping_value(&mut self) -> Result<State, ParseError> {
        let (next, start, end) = self.peek()?;
        if next != Next::Value {
            return Ok(self.empty(start, State::BlockMappingKey));
        }
        self.take();
        let (next, _, _) = self.peek()?;
        if matches!(next, Next::Key | Next::Value | Next::BlockEnd) {
            return Ok(self.empty(end, State::BlockMappingKey));
        }
        self.states.push(State::BlockMappingKey);
        self.node(true, true)
    }

    // Flow collections

    fn flow_sequence_entry(&mut self, first: bool) -> Result<State, ParseError> {
        if first {
            self.peek()?;
            self.take();
        }
        let (mut next, mut start, _) = self.peek()?;
        if next != Next::FlowSequenceEnd {
            if !first {
                if next != Next::FlowEntry {
                    return self.scanner.fault(start.offset, Expected::Token("`,` or `]`"));
                }
                self.take();
                (next, start, _) = self.peek()?;
            }
            if next == Next::Key {
                self.take();
                let none = Comments::default();
                self.build.start(Kind::Mapping, Style::Flow, start.offset, start.offset, Properties::default(), &none);
                return Ok(State::FlowSequenceEntryMappingKey);
            }
            if next != Next::FlowSequenceEnd {
                self.states.push(State::FlowSequenceEntry);
                return self.node(false, false);
            }
        }
        self.end_flow_collection()
    }

    fn end_flow_collection(&mut self) -> Result<State, ParseError> {
        let (_, _, end) = self.peek()?;
        let comments = self.take_comments();
        self.take();
        self.build.extend_to(end.offset);
        self.build.end_collection(&comments);
        Ok(self.pop_state())
    }

    fn flow_sequence_entry_mapping_key(&mut self) -> Result<State, ParseError> {
        let (next, _, end) = self.peek()?;
        if !matches!(next, Next::Value | Next::FlowEntry | Next::FlowSequenceEnd) {
            self.states.push(State::FlowSequenceEntryMappingValue);
            return self.node(false, false);
        }
        // libyaml passes this token here, whatever it is.
        self.take();
        Ok(self.empty(end, State::FlowSequenceEntryMappingValue))
    }

    fn flow_sequence_entry_mapping_value(&mut self) -> Result<State, ParseError> {
        let (next, start, _) = self.peek()?;
        if next == Next::Value {
            self.take();
            let (next, _, _) = self.peek()?;
            if !matches!(next, Next::FlowEntry | Next::FlowSequenceEnd) {
                self.states.push(State::FlowSequenceEntryMappingEnd);
                return self.node(false, false);
            }
        }
        Ok(self.empty(start, State::FlowSequenceEntryMappingEnd))
    }

    fn flow_sequence_entry_mapping_end(&mut self) -> Result<State, ParseError> {
        self.peek()?;
        self.build.end_collection(&Comments::default());
        Ok(State::FlowSequenceEntry)
    }

    fn flow_mapping_key(&mut self, first: bool) -> Result<State, ParseError> {
        if first {
            self.peek()?;
            self.take();
        }
        let (mut next, start, _) = self.peek()?;
        if next != Next::FlowMappingEnd {
            if !first {
                if next != Next::FlowEntry {
                    return self.scanner.fault(start.offset, Expected::Token("`,` or `}`"));
                }
                self.take();
                (next, _, _) = self.peek()?;
            }
            if next == Next::Key {
                self.take();
                let (next, start, _) = self.peek()?;
                if matches!(next, Next::Value | Next::FlowEntry | Next::FlowMappingEnd) {
                    return Ok(self.empty(start, State::FlowMappingValue));
                }
                self.states.push(State::FlowMappingValue);
                return self.node(false, false);
            }
            if next != Next::FlowMappingEnd {
                self.states.push(State::FlowMappingEmptyValue);
                return self.node(false, false);
            }
        }
        self.end_flow_collection()
    }

    fn flow_mapping_value(&mut self, empty: bool) -> Result<State, ParseError> {
        let (next, mut start, _) = self.peek()?;
        if !empty && next == Next::Value {
            self.take();
            let next;
            (next, start, _) = self.peek()?;
            if !matches!(next, Next::FlowEntry | Next::FlowMappingEnd) {
                self.states.push(State::FlowMappingKey);
                return self.node(false, false);
            }
        }
        Ok(self.empty(start, State::FlowMappingKey))
    }
}

fn next(token: &Token) -> Next {
    match token.kind {
        // The stream's start was taken before the first production.
        TokenKind::StreamStart | TokenKind::StreamEnd => Next::StreamEnd,
        TokenKind::VersionDirective { .. } | TokenKind::TagDirective(_) => Next::Directive,
        TokenKind::DocumentStart => Next::DocumentStart,
        TokenKind::DocumentEnd => Next::DocumentEnd,
        TokenKind::BlockSequenceStart => Next::BlockSequenceStart,
        TokenKind::BlockMappingStart => Next::BlockMappingStart,
        TokenKind::BlockEnd => Next::BlockEnd,
        TokenKind::FlowSequenceStart => Next::FlowSequenceStart,
        TokenKind::FlowSequenceEnd => Next::FlowSequenceEnd,
        TokenKind::FlowMappingStart => Next::FlowMappingStart,
        TokenKind::FlowMappingEnd => Next::FlowMappingEnd,
        TokenKind::BlockEntry => Next::BlockEntry,
        TokenKind::FlowEntry => Next::FlowEntry,
        TokenKind::Key => Next::Key,
        TokenKind::Value => Next::Value,
        TokenKind::Alias(_) => Next::Alias,
        TokenKind::Anchor(_) => Next::Anchor,
        TokenKind::Tag(_) => Next::Tag,
        TokenKind::Scalar { .. } => Next::Scalar,
    }
}

const LONG_TAG: &str = "tag:yaml.org,2002:";

/// Comment lines taken by one node.
#[derive(Default)]
struct Comments {
    head: Vec<Span>,
    line: Vec<Span>,
    foot: Vec<Span>,
}

/// A container whose content is being read.
struct Open {
    node: u32,
    /// The key before the current one.
    previous_key: Option<u32>,
    /// The key whose value comes next.
    key: Option<u32>,
}

/// The tree so far.
#[derive(Default)]
struct Build<'t> {
    text: &'t str,
    nodes: Vec<NodeData>,
    open: Vec<Open>,
    documents: Vec<DocumentData>,
    content_from: Option<u32>,
    tags: Vec<String>,
    anchors: Vec<Span>,
    anchored: HashMap<&'t str, u32>,
    attached: Vec<Attached>,
    comment_lines: Vec<Span>,
}

impl Build<'_> {
    fn start_document(&mut self, start: u32, explicit_start: bool, head: &[Span]) {
        let head = self.keep(head);
        let root = self.nodes.len() as u32;
        let span = Span { start, end: start };
        self.documents.push(DocumentData { root, span, explicit_start, head, ..DocumentData::default() });
        self.content_from = None;
    }

    fn content_from(&mut self, offset: u32) {
        self.content_from = Some(offset);
    }

    fn content_start(&self) -> Option<u32> {
        self.content_from
    }

    fn end_document(&mut self, content_end: u32, end: u32, explicit_end: bool, foot: &[Span]) {
        let foot = self.keep(foot);
        if let Some(document) = self.documents.last_mut() {
            document.span.end = end;
            document.content_end = content_end;
            document.explicit_end = explicit_end;
            document.foot = foot;
        }
    }

    fn keep(&mut self, lines: &[Span]) -> Range<u32> {
        let start = self.comment_lines.len() as u32;
        self.comment_lines.extend_from_slice(lines);
        start..self.comment_lines.len() as u32
    }

    fn attach(&mut self, node: u32, comments: &Comments) {
        if comments.head.is_empty() && comments.line.is_empty() && comments.foot.is_empty() {
            return;
        }
        let (head, line, foot) = (self.keep(&comments.head), self.keep(&comments.line), self.keep(&comments.foot));
        *self.attached(node) = Attached { head, line, foot };
    }

    fn attached(&mut self, node: u32) -> &mut Attached {
        let data = &mut self.nodes[node as usize];
        if data.comments == 0 {
            self.attached.push(Attached::default());
            data.comments = self.attached.len() as u32;
        }
        &mut self.attached[data.comments as usize - 1]
    }

    fn foot(&self, node: u32) -> Range<u32> {
        match self.nodes[node as usize].comments {
            0 => 0..0,
            place => self.attached[place as usize - 1].foot.clone(),
        }
    }

    /// Moves a foot comment from one node to another.
    fn move_foot(&mut self, from: u32, to: u32) {
        let foot = self.foot(from);
        self.attached(to).foot = foot;
        self.attached(from).foot = 0..0;
    }

    fn push(&mut self, kind: Kind, style: Style, text: Text, span: Span, content: u32, properties: Properties) -> u32 {
        let node = self.nodes.len() as u32;
        let tag = properties.tag.map_or(0, |tag| {
            let tag = match tag.strip_prefix(LONG_TAG) {
                Some(name) => format!("!!{name}"),
                None => tag,
            };
            self.tags.push(tag);
            self.tags.len() as u32
        });
        let anchor = properties.anchor.map_or(0, |name| {
            let range = name.start as usize..(name.start + name.length) as usize;
            self.anchored.insert(&self.text[range], node);
            self.anchors.push(Span { start: name.start, end: name.start + name.length });
            self.anchors.len() as u32
        });
        self.nodes.push(NodeData {
            kind,
            style,
            is_string: false,
            text,
            start: span.start,
            content,
            finish: span.end,
            end: node + 1,
            tag,
            anchor,
            comments: 0,
        });
        node
    }

    fn scalar(
        &mut self,
        text: Text,
        style: Style,
        span: Span,
        content: u32,
        properties: Properties,
        comments: &Comments,
    ) {
        let node = self.push(Kind::Scalar, style, text, span, content, properties);
        self.attach(node, comments);
        self.end_node(node);
    }

    /// The scalar that was read last is a string, or it is not.
    fn mean_string(&mut self, is_string: bool) {
        if let Some(node) = self.nodes.last_mut() {
            node.is_string = is_string;
        }
    }

    fn empty_scalar(&mut self, at: u32) {
        let text = Text { start: at, ..Text::default() };
        let span = Span { start: at, end: at };
        self.scalar(text, Style::Plain, span, at, Properties::default(), &Comments::default());
    }

    /// False if there is no such anchor.
    fn alias(&mut self, name: Text, span: Span, comments: &Comments) -> bool {
        let range = name.start as usize..(name.start + name.length) as usize;
        let Some(&target) = self.anchored.get(&self.text[range]) else {
            return false;
        };
        let node = self.push(Kind::Alias, Style::Plain, name, span, span.start, Properties::default());
        self.nodes[node as usize].anchor = target;
        self.attach(node, comments);
        self.end_node(node);
        true
    }

    fn start(
        &mut self,
        kind: Kind,
        style: Style,
        start: u32,
        content: u32,
        properties: Properties,
        comments: &Comments,
    ) {
        let span = Span { start, end: content };
        let node = self.push(kind, style, Text::default(), span, content, properties);
        self.attach(node, comments);
        self.open.push(Open { node, previous_key: None, key: None });
    }

    /// The innermost container reaches to here at least.
    fn extend_to(&mut self, offset: u32) {
        if let Some(open) = self.open.last() {
            self.nodes[open.node as usize].finish = offset;
        }
    }

    /// Closes the innermost container. Its line and foot comments are those of its end; a block mapping hands its foot
    /// to its last key.
    fn end_collection(&mut self, comments: &Comments) {
        let Some(open) = self.open.pop() else { return };
        let end = self.nodes.len() as u32;
        self.nodes[open.node as usize].end = end;
        let (line, foot) = (self.keep(&comments.line), self.keep(&comments.foot));
        let data = &self.nodes[open.node as usize];
        let block_mapping = data.kind == Kind::Mapping && data.style == Style::Block;
        if data.comments != 0 || !line.is_empty() || !foot.is_empty() {
            let attached = self.attached(open.node);
            attached.line = line;
            attached.foot = foot;
        }
        if block_mapping
            && !self.foot(open.node).is_empty()
            && let Some(key) = open.previous_key
        {
            self.move_foot(open.node, key);
        }
        self.end_node(open.node);
    }

    /// A node is whole: its container learns of it.
    fn end_node(&mut self, node: u32) {
        let finish = self.nodes[node as usize].finish;
        let Some(open) = self.open.last_mut() else { return };
        let container = open.node;
        let data = &mut self.nodes[container as usize];
        data.finish = data.finish.max(finish);
        if data.kind != Kind::Mapping {
            return;
        }
        let block = data.style == Style::Block;
        match open.key.take() {
            None => {
                open.key = Some(node);
                let previous = open.previous_key;
                // A foot that the key of a block mapping brings is about the entry before it.
                if block
                    && let Some(previous) = previous
                    && !self.foot(node).is_empty()
                {
                    self.move_foot(node, previous);
                }
            }
            Some(key) => {
                open.previous_key = Some(key);
                if self.foot(key).is_empty() && !self.foot(node).is_empty() {
                    self.move_foot(node, key);
                }
            }
        }
    }
}
