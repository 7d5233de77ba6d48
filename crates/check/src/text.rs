//! A stream that is being looked at: the file itself, or a text inside one of its values, with its place in the file.

use std::cell::OnceCell;
use std::ops::Range;

use bulla_sops::{KeyPath, PathStep};
use bulla_yaml::{Node, Position, Span, Stream, Style};

use crate::lines::Lines;
use crate::place::Place;
use crate::template::Template;

/// How deep texts may lie within values of texts.
pub(crate) const DEPTH: usize = 3;

/// A stream, and where it lies.
pub(crate) struct Text<'s> {
    pub(crate) stream: &'s Stream,
    pub(crate) template: Option<&'s Template<'s>>,
    origin: Option<Origin>,
    lines: OnceCell<Lines>,
}

/// The value of a file that a text lies in.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    path: KeyPath,
    place: OriginPlace,
    depth: usize,
}

#[derive(Debug, Clone, Copy)]
enum OriginPlace {
    /// The text is spelt in another way than it reads: all of it is in the place of the value.
    Whole(Position, Position),
    /// A literal block: the inner line 1, column 1 would be here.
    Lines { line: isize, column: isize },
}

impl<'s> Text<'s> {
    pub(crate) fn new(stream: &'s Stream, template: Option<&'s Template<'s>>, origin: Option<Origin>) -> Self {
        Self { stream, template, origin, lines: OnceCell::new() }
    }

    /// How many values of files it lies within.
    pub(crate) fn depth(&self) -> usize {
        self.origin.as_ref().map_or(0, |origin| origin.depth)
    }

    /// The way to `place` from the top of the file.
    pub(crate) fn path(&self, place: &Place<'_>) -> KeyPath {
        let mut path = place.path(self.origin.as_ref().map(|origin| &origin.path));
        if self.template.is_some() {
            for step in &mut path.steps {
                if let PathStep::Key(key) = step
                    && key.len() > 4
                    && key.bytes().all(|byte| byte == b'H')
                {
                    "{{…}}".clone_into(key);
                }
            }
        }
        path
    }

    /// Does an action of a template write this scalar, or a part of it?
    pub(crate) fn is_templated(&self, node: Node<'_>) -> bool {
        self.template.is_some_and(|template| template.has_action(&node.content_span().range()))
    }

    /// The place in the file of a node.
    pub(crate) fn region(&self, node: Node<'_>) -> (Position, Position) {
        self.region_of(node.content_span().range())
    }

    /// The place in the file of these bytes of the text.
    pub(crate) fn region_of(&self, span: Range<usize>) -> (Position, Position) {
        if let Some(Origin { place: OriginPlace::Whole(start, end), .. }) = self.origin {
            return (start, end);
        }
        let text = self.stream.text();
        // A block scalar ends behind its last line break, which is at the start of the next line.
        let trimmed = text.get(span.clone()).map_or(0, |inner| inner.trim_end().len());
        let end = if trimmed == 0 { span.end } else { span.start + trimmed };
        (self.position(span.start), self.position(end))
    }

    fn position(&self, offset: usize) -> Position {
        let text = self.stream.text();
        let inner = self.lines.get_or_init(|| Lines::new(text)).position(text, offset);
        match self.origin {
            None => inner,
            Some(Origin { place: OriginPlace::Whole(start, _), .. }) => start,
            Some(Origin { place: OriginPlace::Lines { line, column }, .. }) => {
                let shift = |number: usize, by: isize| number.checked_add_signed(by).filter(|&n| n > 0).unwrap_or(1);
                Position { line: shift(inner.line, line - 1), column: shift(inner.column, column - 1) }
            }
        }
    }

    /// The place of a text that is the value of `place`; `None` if it lies too deep.
    pub(crate) fn origin(&self, place: &Place<'s>) -> Option<Origin> {
        let depth = self.depth() + 1;
        let whole = || {
            let (start, end) = self.region(place.node);
            OriginPlace::Whole(start, end)
        };
        let is_whole = self.origin.as_ref().is_some_and(|origin| matches!(origin.place, OriginPlace::Whole(..)));
        let place_of = if is_whole || place.node.style() != Style::Literal { None } else { self.literal(place.node) };
        let origin = Origin { path: self.path(place), place: place_of.unwrap_or_else(whole), depth };
        (depth <= DEPTH).then_some(origin)
    }

    /// Where the lines of a literal block are.
    fn literal(&self, node: Node<'s>) -> Option<OriginPlace> {
        let Span { start, end } = node.content_span();
        let spelt = self.stream.text().get(start as usize..end as usize)?;
        let header = spelt.find('\n')? + 1;
        let (mut from, mut empty) = (header, 0);
        while let Some(length) = spelt[from..].find('\n')
            && spelt[from..from + length].trim().is_empty()
        {
            from += length + 1;
            empty += 1;
        }
        let spaces = |line: &str| line.len() - line.trim_start_matches(' ').len();
        let outer = self.position(start as usize + from + spaces(&spelt[from..]));
        let inner = spaces(node.value().lines().nth(empty)?);
        let line = outer.line as isize - empty as isize;
        let column = outer.column as isize - inner as isize;
        Some(OriginPlace::Lines { line, column })
    }
}
