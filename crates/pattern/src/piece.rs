//! The pieces that a pattern is put together from, and how deeply they nest.
//!
//! A piece stays open as long as its neighbours may join it, and is then sealed as [`Hir`]:
//! ```text
//! letter, letter           one text (if both or neither ignore case)
//! a sequence in a sequence one sequence
//! letter | letter | class  one class: `a|b` is `[ab]`
//! a choice in a choice     one choice
//! ```
//! Go joins them like this before it measures a pattern's height, so the same patterns nest too deeply. One rule is left
//! out: Go also factors common beginnings out of a choice, and may find what comes of that higher than what is written.
//!
//! Invariant: at most two levels of a piece are not sealed, and `Hir` is freed without recursion; no pattern can exhaust
//! the stack while it is read.

use std::collections::VecDeque;
use std::mem;

use regex_syntax::hir::{Capture, Hir, HirKind, Look, Repetition};

use crate::code_points::CodePoints;

/// A part of a pattern that a repetition can apply to.
#[derive(Debug)]
pub(crate) struct Piece {
    shape: Shape,
    /// Levels of expressions, this one included.
    pub(crate) height: usize,
    /// How often what is innermost is repeated, by the counts around it.
    pub(crate) copies: u32,
}

#[derive(Debug)]
enum Shape {
    Empty,
    /// Code points that each match themselves, or any of their cases.
    Text {
        letters: VecDeque<u32>,
        fold: bool,
    },
    Class(CodePoints),
    /// Its parts are not sequences, and not open choices.
    Sequence(VecDeque<Piece>),
    /// Its parts are not choices, and not open sequences.
    Choice(VecDeque<Piece>),
    Sealed(Hir),
}

/// Whether groups are kept, and under which number.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Captures {
    /// They are of no interest.
    Dropped,
    /// They are kept; no group has this number or a higher one.
    Kept {
        /// A number for a group that is not one of the pattern.
        unused: u32,
    },
}

/// A repetition operator.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Repeat {
    pub(crate) min: u32,
    /// `None`: as often as it goes.
    pub(crate) max: Option<u32>,
    pub(crate) greedy: bool,
}

impl Piece {
    pub(crate) fn empty() -> Self {
        Self::leaf(Shape::Empty)
    }

    pub(crate) fn letter(letter: u32, fold: bool) -> Self {
        Self::leaf(Shape::Text { letters: VecDeque::from([letter]), fold })
    }

    pub(crate) fn look(look: Look) -> Self {
        Self::leaf(Shape::Sealed(Hir::look(look)))
    }

    /// One character of a set. A set of one letter, or of the two cases of one, counts as text.
    pub(crate) fn class(mut points: CodePoints) -> Self {
        points.tidy();
        match *points.ranges() {
            [(first, last)] if first == last => Self::letter(first, false),
            [(first, last)] | [(first, _), (_, last)]
                if points.len() == 2 && CodePoints::cases(first) == points && first != last =>
            {
                Self::letter(first, true)
            }
            _ => Self::leaf(Shape::Class(points)),
        }
    }

    /// All of `pieces`, in order; made by [`append`], so only the last two may still be one text.
    pub(crate) fn sequence(mut pieces: Vec<Self>, captures: Captures) -> Self {
        join_texts(&mut pieces);
        match pieces.len() {
            0 => Self::empty(),
            1 => pieces.remove(0),
            _ => Self::join(pieces, Kind::Sequence, captures),
        }
    }

    /// One of `branches`, the earlier rather than the later. There is at least one.
    pub(crate) fn choice(mut branches: Vec<Self>, captures: Captures) -> Self {
        if branches.len() > 1 {
            branches = join_classes(branches);
        }
        match branches.len() {
            1 => branches.remove(0),
            _ => Self::join(branches, Kind::Choice, captures),
        }
    }

    /// A capturing group. It is one level more, and nothing joins what is in it.
    pub(crate) fn captured(self, index: u32, captures: Captures) -> Self {
        let (height, copies) = (self.height + 1, self.copies);
        let mut hir = self.into_hir(captures);
        if let Captures::Kept { .. } = captures {
            hir = Hir::capture(Capture { index, name: None, sub: Box::new(hir) });
        }
        Self { height, copies, shape: Shape::Sealed(hir) }
    }

    pub(crate) fn repeated(self, Repeat { min, max, greedy }: Repeat, captures: Captures) -> Self {
        let copies = match max.unwrap_or(min.max(1)) {
            // Nothing is left of what is inside.
            0 => 1,
            times => self.copies.saturating_mul(times),
        };
        let height = self.height + 1;
        let sub = Box::new(self.into_hir(captures));
        Self { shape: Shape::Sealed(Hir::repetition(Repetition { min, max, greedy, sub })), height, copies }
    }

    pub(crate) fn into_hir(self, captures: Captures) -> Hir {
        match self.shape {
            Shape::Empty => Hir::empty(),
            Shape::Text { letters, fold } => text(letters, fold),
            Shape::Class(points) => points.to_hir(),
            Shape::Sequence(parts) => Hir::concat(parts.into_iter().map(|part| part.into_hir(captures)).collect()),
            Shape::Choice(parts) => {
                alternation(parts.into_iter().map(|part| part.into_hir(captures)).collect(), captures)
            }
            Shape::Sealed(hir) => hir,
        }
    }

    fn leaf(shape: Shape) -> Self {
        Self { shape, height: 1, copies: 1 }
    }

    fn join(mut pieces: Vec<Self>, kind: Kind, captures: Captures) -> Self {
        let below = |piece: &Self| piece.height - usize::from(piece.parts(kind) > 0);
        let height = 1 + pieces.iter().map(below).max().unwrap_or(0);
        let copies = pieces.iter().map(|piece| piece.copies).max().unwrap_or(1);

        // The one with the most parts stays where it is and the others go to its ends. So a part moves only to where
        // there are twice as many, and groups in groups do not take quadratic time.
        let most = (0..pieces.len()).max_by_key(|&index| pieces[index].parts(kind)).unwrap_or(0);
        let after = pieces.split_off(most + 1);
        let mut parts = pieces.pop().map(|piece| piece.into_parts(kind, captures)).unwrap_or_default();
        for piece in pieces.into_iter().rev() {
            prepend(piece.into_parts(kind, captures), &mut parts);
        }
        for piece in after {
            parts.extend(piece.into_parts(kind, captures));
        }
        let shape = match kind {
            Kind::Sequence => Shape::Sequence(parts),
            Kind::Choice => Shape::Choice(parts),
        };
        Self { shape, height, copies }
    }

    /// Of how many parts it is made, if it is an open piece of that kind; else 0.
    fn parts(&self, kind: Kind) -> usize {
        match (&self.shape, kind) {
            (Shape::Sequence(parts), Kind::Sequence) | (Shape::Choice(parts), Kind::Choice) => parts.len(),
            _ => 0,
        }
    }

    fn into_parts(self, kind: Kind, captures: Captures) -> VecDeque<Self> {
        let Self { shape, height, copies } = self;
        let shape = match (shape, kind) {
            (Shape::Sequence(parts), Kind::Sequence) | (Shape::Choice(parts), Kind::Choice) => return parts,
            (shape @ (Shape::Sequence(_) | Shape::Choice(_)), _) => {
                Shape::Sealed(Self { shape, height, copies }.into_hir(captures))
            }
            (shape, _) => shape,
        };
        VecDeque::from([Self { shape, height, copies }])
    }

    /// What it matches, if that is always one character.
    fn one_character(&self) -> Option<CodePoints> {
        match &self.shape {
            Shape::Text { letters, fold } if letters.len() == 1 => {
                let letter = letters[0];
                Some(if *fold { CodePoints::cases(letter) } else { CodePoints::of(&[(letter, letter)]) })
            }
            Shape::Class(points) => Some(points.clone()),
            _ => None,
        }
    }
}

/// Adds a piece to those of a sequence. The one before it then is no longer what a repetition applies to, and joins the
/// text before itself.
pub(crate) fn append(pieces: &mut Vec<Piece>, piece: Piece) {
    join_texts(pieces);
    pieces.push(piece);
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Sequence,
    Choice,
}

fn join_texts(pieces: &mut Vec<Piece>) {
    if let [
        ..,
        Piece { shape: Shape::Text { letters, fold }, .. },
        Piece { shape: Shape::Text { letters: more, fold: same }, .. },
    ] = &mut **pieces
        && fold == same
    {
        prepend(mem::take(letters), more);
        mem::swap(letters, more);
        pieces.pop();
    }
}

/// Puts all of `front` in front of what is in `all`, moving the fewer of them.
fn prepend<T>(mut front: VecDeque<T>, all: &mut VecDeque<T>) {
    if front.len() > all.len() {
        front.append(all);
        *all = front;
    } else {
        for item in front.into_iter().rev() {
            all.push_front(item);
        }
    }
}

/// Makes one class of neighbours that match one character each, and one empty branch of several.
fn join_classes(branches: Vec<Piece>) -> Vec<Piece> {
    let is_empty = |piece: &Piece| matches!(piece.shape, Shape::Empty);
    let mut joined = Vec::with_capacity(branches.len());
    let mut branches = branches.into_iter().peekable();
    while let Some(branch) = branches.next() {
        let mut class = branch.one_character();
        let mut others = 0;
        while let Some(points) = &mut class
            && let Some(more) = branches.peek().and_then(Piece::one_character)
        {
            points.add_all(more);
            others += 1;
            branches.next();
        }
        match class {
            Some(points) if others > 0 => joined.push(Piece::class(points)),
            _ if is_empty(&branch) && joined.last().is_some_and(is_empty) => {}
            _ => joined.push(branch),
        }
    }
    joined
}

/// Letters that match themselves, or any of their cases. Surrogates match nothing.
fn text(letters: VecDeque<u32>, fold: bool) -> Hir {
    let mut parts = Vec::new();
    let mut literal = String::new();
    for letter in letters {
        let cases = if fold { CodePoints::cases(letter) } else { CodePoints::default() };
        match char::from_u32(letter) {
            Some(character) if cases.len() <= 1 => literal.push(character),
            _ => {
                parts.push(Hir::literal(mem::take(&mut literal).into_bytes()));
                parts.push(cases.to_hir());
            }
        }
    }
    parts.push(Hir::literal(literal.into_bytes()));
    Hir::concat(parts)
}

fn alternation(mut branches: Vec<Hir>, captures: Captures) -> Hir {
    // `Hir::alternation` takes out a beginning that all branches share: of `.+c|.+b` it makes `.+(?:c|b)`, which finds all
    // of "acb", though the first branch finds "ac". It does not look into a group, and nobody asks for this one.
    let index = match captures {
        Captures::Dropped => 1,
        Captures::Kept { unused } => unused,
    };
    if let Some(first) = branches.first_mut()
        && matches!(first.kind(), HirKind::Concat(_))
    {
        let sub = Box::new(mem::replace(first, Hir::empty()));
        *first = Hir::capture(Capture { index, name: None, sub });
    }
    Hir::alternation(branches)
}
