//! Where in the text what stands: lines, entries, containers.

use std::ops::Range;

use bulla_yaml::Style;

use super::Edits;
use crate::Format;
use crate::spell::{self, LINE_BREAKS};
use crate::tree::{Kind, NONE, Node, Source};

impl<'d> Edits<'d> {
    /// Is there nothing but blanks before it on its line?
    pub(super) fn begins_line(&self, offset: usize) -> bool {
        self.document.text()[self.line_start(offset)..offset].bytes().all(|byte| byte == b' ')
    }

    pub(super) fn follows_indicator(&self, offset: usize) -> bool {
        self.document.format() == Format::Yaml && self.document.text()[..offset].ends_with([':', '-', '?'])
    }

    /// The line break that the file uses.
    pub(super) fn line_break(&self) -> &'static str {
        let text = self.document.text();
        match text.find('\n') {
            Some(place) if text[..place].ends_with('\r') => "\r\n",
            _ => "\n",
        }
    }

    /// Where the line of `offset` begins.
    pub(super) fn line_start(&self, offset: usize) -> usize {
        let before = &self.document.text()[..offset];
        before.rfind(LINE_BREAKS).map_or(0, |place| place + before[place..].chars().next().map_or(1, char::len_utf8))
    }

    /// Behind the line break of the line of `offset`; the end of the text if it has none.
    pub(super) fn line_end(&self, offset: usize) -> usize {
        let text = self.document.text();
        let mut rest = text[offset..].char_indices().skip_while(|(_, character)| !LINE_BREAKS.contains(character));
        match (rest.next(), rest.next()) {
            (Some((_, '\r')), Some((place, '\n'))) => offset + place + 1,
            (Some(_), Some((place, _))) => offset + place,
            _ => text.len(),
        }
    }

    /// How far the entries of a block collection are indented; not at all where there is none.
    pub(super) fn column(&self, container: bulla_yaml::Node<'_>) -> usize {
        match container.kind() {
            bulla_yaml::Kind::Mapping | bulla_yaml::Kind::Sequence => {
                let start = container.content_span().start as usize;
                start - self.line_start(start)
            }
            _ => 0,
        }
    }

    /// Where a branch ends with all its comments.
    pub(super) fn branch_end(&self, stream: &bulla_yaml::Stream, branch: Node<'_>) -> usize {
        let place = self.document.roots.iter().position(|&root| root == branch.entry).unwrap_or_default();
        stream.documents().nth(place).map_or(self.document.text().len(), |document| document.content_end() as usize)
    }

    /// The whole lines of an entry or item in block context; `None` if it shares its first line with something else.
    pub(super) fn lines_of(&self, entry: Node<'d>) -> Option<Range<usize>> {
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
    pub(super) fn value_place(&self, container: Node<'d>) -> Option<usize> {
        let Source::Yaml(stream) = &self.document.source else { return None };
        let key = container.data().key;
        if key == NONE {
            return None;
        }
        let end = stream.node_by_number(key as usize).span().end as usize;
        self.document.text()[end..].find(':').map(|place| end + place + 1)
    }

    /// Where the content of a list item begins, behind its dash.
    pub(super) fn item_place(&self, item: Node<'d>) -> Option<usize> {
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
    pub(super) fn container_range(&self, node: Node<'d>) -> Range<usize> {
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

    pub(super) fn flow_start(&self, container: Node<'d>) -> usize {
        match &self.document.source {
            Source::Json(text) => text.span(container.data().node).start as usize,
            Source::Flat(text) => text.token(container.data().node).span.start as usize,
            Source::Binary(_) => 0,
            Source::Yaml(stream) => stream.node_by_number(container.data().node as usize).content_span().start as usize,
        }
    }

    pub(super) fn flow_end(&self, entry: Node<'d>) -> usize {
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

    pub(super) fn entry_start(&self, entry: Node<'d>) -> usize {
        let data = entry.data();
        let place = if data.key == NONE { data.node } else { data.key };
        match &self.document.source {
            Source::Json(text) => text.span(place).start as usize,
            Source::Flat(text) => text.token(place).span.start as usize,
            Source::Binary(_) => 0,
            Source::Yaml(stream) => stream.node_by_number(place as usize).span().start as usize,
        }
    }
}
