//! Reads a pattern in Go's syntax, with the flags that `regexp.Compile` sets (`syntax.Perl`).
//!
//! One pass, without recursion; the open groups are on a stack of their own:
//! ```text
//! group      whole pattern ─ (?i: ─ (      `outer`, and the innermost in `group`
//!   branches   x  y                        finished, each ended by `|`
//!   pieces     a  b*  [c]                  of the branch being read; a repetition applies to the last
//! ```
//! So a repetition applies to what was put down last, across anything that puts nothing down: `a(?i)*` is `a*`, as in Go.
//! Source: Go 1.26 `regexp/syntax/parse.go`.

use std::mem;

use regex_syntax::hir::{Hir, Look};

use crate::class;
use crate::code_points::CodePoints;
use crate::error::{PatternError, PatternErrorKind};
use crate::piece::{Captures, Piece, Repeat, append};

/// Go's limit on expressions inside one another.
const HIGHEST: usize = 1000;

/// Go's limit on the count of a repetition, and on the product of the counts around one expression.
const MOST_COPIES: u32 = 1000;

/// How many ranges all classes of a pattern, and what they are made of, may have together; `\pL` has about 600.
const MOST_RANGES: usize = 1 << 20;

/// What a pattern stands for.
pub(crate) struct Parsed<'p> {
    pub(crate) expression: Hir,
    /// How many levels it has at most.
    pub(crate) height: usize,
    /// The names of its groups, in their order; a group without one has an empty name.
    pub(crate) names: Vec<&'p str>,
}

/// The expression that `pattern` stands for, without its captures.
pub(crate) fn parse(pattern: &str) -> Result<Parsed<'_>, PatternError> {
    read(pattern, Captures::Dropped)
}

/// The same with its captures.
pub(crate) fn parse_with_groups(pattern: &str) -> Result<Parsed<'_>, PatternError> {
    // There is at most one group for each parenthesis, and group 0 is the whole match.
    let most = pattern.bytes().filter(|byte| *byte == b'(').count();
    read(pattern, Captures::Kept { unused: u32::try_from(most + 1).unwrap_or(u32::MAX) })
}

fn read(pattern: &str, captures: Captures) -> Result<Parsed<'_>, PatternError> {
    let parser = Parser {
        pattern,
        captures,
        names: Vec::new(),
        at: 0,
        flags: Flags::default(),
        group: Group::default(),
        outer: Vec::new(),
        ranges: 0,
        last_name_end: pattern.rfind(":]"),
    };
    parser.parse()
}

#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "these are the four switches of the syntax, in any combination")]
struct Flags {
    /// `i`: letters match in all their cases.
    fold: bool,
    /// `m`: `^` and `$` also match where a line starts and ends.
    lines: bool,
    /// `s`: `.` also matches a line feed.
    dot_all: bool,
    /// `U`: repetitions are lazy, and those with `?` behind them greedy.
    lazy: bool,
}

/// A group that is still open, or the whole pattern.
#[derive(Debug, Default)]
struct Group {
    /// The flags in front of it, which hold again behind it.
    flags_outside: Flags,
    /// Its number, if it captures.
    index: Option<u32>,
    branches: Vec<Piece>,
    pieces: Vec<Piece>,
}

struct Parser<'p> {
    pattern: &'p str,
    captures: Captures,
    /// Of the groups that capture, so far.
    names: Vec<&'p str>,
    at: usize,
    flags: Flags,
    /// The innermost open group.
    group: Group,
    /// Those around it.
    outer: Vec<Group>,
    /// How many ranges the classes so far have, and what they are made of.
    ranges: usize,
    /// The last place where a `[:name:]` could end.
    last_name_end: Option<usize>,
}

impl<'p> Parser<'p> {
    fn parse(mut self) -> Result<Parsed<'p>, PatternError> {
        // Where the last repetition starts, if nothing has been read since.
        let mut repetition = None;
        while let Some(character) = self.peek() {
            let start = self.at;
            let repeated = repetition.take();
            match character {
                '(' if self.rest().starts_with("(?") => self.flags_or_group()?,
                '(' => {
                    self.bump();
                    self.open_group(Some(""), self.flags);
                }
                ')' => {
                    self.bump();
                    self.close_group()?;
                }
                '|' => {
                    self.bump();
                    self.end_branch()?;
                }
                '^' => self.look(1, if self.flags.lines { Look::StartLF } else { Look::Start }),
                '$' => self.look(1, if self.flags.lines { Look::EndLF } else { Look::End }),
                '.' => {
                    self.bump();
                    let mut except = CodePoints::default();
                    if !self.flags.dot_all {
                        except.add('\n'.into(), '\n'.into());
                    }
                    self.put_class(except.negated())?;
                }
                '[' => self.class()?,
                '\\' => self.escaped()?,
                '*' | '+' | '?' | '{' => {
                    if let Some((length, repeat)) = operator(self.rest()) {
                        self.at += length;
                        self.repeat(start, repeated, repeat)?;
                        repetition = Some(start);
                    } else {
                        self.bump();
                        self.letter('{');
                    }
                }
                _ => {
                    self.bump();
                    self.letter(character);
                }
            }
        }
        let piece = self.end_group()?;
        if !self.outer.is_empty() {
            return Err(self.whole(PatternErrorKind::MissingParen));
        }
        let height = piece.height;
        Ok(Parsed { expression: piece.into_hir(self.captures), height, names: self.names })
    }

    // Groups and repetitions.

    /// `(?flags)`, `(?flags:`, `(?P<name>`, `(?<name>`.
    fn flags_or_group(&mut self) -> Result<(), PatternError> {
        let start = self.at;
        let rest = self.rest();
        // Go looks for a name only where at least one byte follows.
        for opening in ["(?P<", "(?<"] {
            if rest.len() > opening.len() && rest.starts_with(opening) {
                let Some(end) = rest.find('>') else {
                    return Err(self.error_in(PatternErrorKind::InvalidNamedCapture, start, self.pattern.len()));
                };
                self.at += end + 1;
                let name = &rest[opening.len()..end];
                if name.is_empty() || !name.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric()) {
                    return Err(self.error(PatternErrorKind::InvalidNamedCapture, start));
                }
                self.open_group(Some(name), self.flags);
                return Ok(());
            }
        }

        self.at += "(?".len();
        let mut flags = self.flags;
        let mut value = true;
        // A minus needs a flag behind it.
        let mut complete = true;
        while let Some(character) = self.next() {
            match character {
                'i' => flags.fold = value,
                'm' => flags.lines = value,
                's' => flags.dot_all = value,
                'U' => flags.lazy = value,
                '-' if value => {
                    value = false;
                    complete = false;
                    continue;
                }
                ':' if complete => {
                    self.open_group(None, flags);
                    return Ok(());
                }
                ')' if complete => {
                    self.flags = flags;
                    return Ok(());
                }
                _ => break,
            }
            complete = true;
        }
        Err(self.error(PatternErrorKind::InvalidPerlOp, start))
    }

    /// Opens a group; with a name, which may be empty, one that captures.
    fn open_group(&mut self, name: Option<&'p str>, flags: Flags) {
        self.names.extend(name);
        let index = name.and(u32::try_from(self.names.len()).ok());
        let group = Group { flags_outside: self.flags, index, ..Group::default() };
        self.outer.push(mem::replace(&mut self.group, group));
        self.flags = flags;
    }

    fn end_branch(&mut self) -> Result<(), PatternError> {
        let pieces = mem::take(&mut self.group.pieces);
        let branch = self.checked(Piece::sequence(pieces, self.captures))?;
        self.group.branches.push(branch);
        Ok(())
    }

    fn end_group(&mut self) -> Result<Piece, PatternError> {
        self.end_branch()?;
        let branches = mem::take(&mut self.group.branches);
        self.checked(Piece::choice(branches, self.captures))
    }

    fn close_group(&mut self) -> Result<(), PatternError> {
        let mut piece = self.end_group()?;
        let Some(outer) = self.outer.pop() else {
            return Err(self.whole(PatternErrorKind::UnexpectedParen));
        };
        if let Some(index) = self.group.index {
            piece = self.checked(piece.captured(index, self.captures))?;
        }
        self.flags = self.group.flags_outside;
        self.group = outer;
        self.put(piece);
        Ok(())
    }

    /// Repeats the last piece. `start` is where the operator starts, `repeated` where the one directly before it does.
    fn repeat(&mut self, start: usize, repeated: Option<usize>, operator: Operator) -> Result<(), PatternError> {
        use PatternErrorKind::{InvalidRepeatOp, InvalidRepeatSize, MissingRepeatArgument};

        let Operator { min, max } = operator;
        if min > MOST_COPIES || max.is_some_and(|max| max > MOST_COPIES || max < min) {
            return Err(self.error(InvalidRepeatSize, start));
        }
        let question_mark = self.eat('?');
        if let Some(repeated) = repeated {
            return Err(self.error(InvalidRepeatOp, repeated));
        }
        let Some(piece) = self.group.pieces.pop() else {
            return Err(self.error(MissingRepeatArgument, start));
        };
        let greedy = self.flags.lazy == question_mark;
        let piece = self.checked(piece.repeated(Repeat { min, max, greedy }, self.captures))?;
        // Go looks at what is inside only where there is something to multiply.
        if max.unwrap_or(min) >= 2 && piece.copies > MOST_COPIES {
            return Err(self.error(InvalidRepeatSize, start));
        }
        self.group.pieces.push(piece);
        Ok(())
    }

    // What matches characters or places.

    fn put(&mut self, piece: Piece) {
        append(&mut self.group.pieces, piece);
    }

    fn look(&mut self, length: usize, look: Look) {
        self.at += length;
        self.put(Piece::look(look));
    }

    fn letter(&mut self, letter: impl Into<u32>) {
        self.put(Piece::letter(letter.into(), self.flags.fold));
    }

    fn put_class(&mut self, points: CodePoints) -> Result<(), PatternError> {
        let points = self.counted(points)?;
        self.put(Piece::class(points));
        Ok(())
    }

    /// Counts the ranges of a class, so that a pattern full of large ones does not take all memory.
    fn counted(&mut self, points: CodePoints) -> Result<CodePoints, PatternError> {
        self.ranges += points.ranges().len();
        if self.ranges > MOST_RANGES {
            return Err(self.whole(PatternErrorKind::TooLarge));
        }
        Ok(points)
    }

    /// A backslash outside a class.
    fn escaped(&mut self) -> Result<(), PatternError> {
        let start = self.at;
        match self.rest()[1..].chars().next() {
            Some('A') => self.look(2, Look::Start),
            Some('z') => self.look(2, Look::End),
            Some('b') => self.look(2, Look::WordAscii),
            Some('B') => self.look(2, Look::WordAsciiNegate),
            Some('C') => {
                self.at += 2;
                return Err(self.error(PatternErrorKind::InvalidEscape, start));
            }
            Some('Q') => {
                self.at += 2;
                let rest = self.rest();
                let (text, length) = match rest.find(r"\E") {
                    Some(end) => (&rest[..end], end + 2),
                    None => (rest, rest.len()),
                };
                for letter in text.chars() {
                    self.letter(letter);
                }
                self.at += length;
            }
            _ => {
                if let Some(points) = self.escaped_class()? {
                    self.put_class(points)?;
                } else {
                    let letter = self.escaped_letter()?;
                    self.letter(letter);
                }
            }
        }
        Ok(())
    }

    /// `[…]`.
    fn class(&mut self) -> Result<(), PatternError> {
        let start = self.at;
        self.bump();
        let negated = self.eat('^');
        let mut points = CodePoints::default();
        // A `]` in the first place is a member.
        let mut first = true;
        while first || !self.rest().starts_with(']') {
            first = false;
            let members = if let Some(named) = self.named_class()? {
                named
            } else if let Some(escaped) = self.escaped_class()? {
                escaped
            } else {
                self.range(start)?
            };
            points.add_all(self.counted(members)?);
        }
        self.bump();
        self.put_class(if negated { points.negated() } else { points })
    }

    /// `a` or `a-z`, of the class that starts at `class`.
    fn range(&mut self, class: usize) -> Result<CodePoints, PatternError> {
        let start = self.at;
        let from = self.class_letter(class)?;
        let mut to = from;
        // A `-` in the last place is a member.
        if let Some(after) = self.rest().strip_prefix('-')
            && !after.is_empty()
            && !after.starts_with(']')
        {
            self.bump();
            to = self.class_letter(class)?;
            if to < from {
                return Err(self.error(PatternErrorKind::InvalidCharRange, start));
            }
        }
        let points = CodePoints::of(&[(from, to)]);
        Ok(if self.flags.fold { points.folded() } else { points })
    }

    fn class_letter(&mut self, class: usize) -> Result<u32, PatternError> {
        match self.peek() {
            Some('\\') => self.escaped_letter(),
            Some(letter) => {
                self.bump();
                Ok(letter.into())
            }
            None => Err(self.error(PatternErrorKind::MissingBracket, class)),
        }
    }

    /// `[:alpha:]` and `[:^alpha:]` inside a class. Without a `:]` behind it, `[:` is no more than two characters.
    fn named_class(&mut self) -> Result<Option<CodePoints>, PatternError> {
        let start = self.at;
        // Without this a class full of `[:` would be searched through from each of them.
        if self.last_name_end.is_none_or(|last| last < start + 2) {
            return Ok(None);
        }
        let Some((name, _)) = self.rest().strip_prefix("[:").and_then(|rest| rest.split_once(":]")) else {
            return Ok(None);
        };
        self.at += "[:".len() + name.len() + ":]".len();
        let (name, negated) = match name.strip_prefix('^') {
            Some(name) => (name, true),
            None => (name, false),
        };
        match class::posix(name) {
            Some(points) => Ok(Some(self.group_class(points, negated))),
            None => Err(self.error(PatternErrorKind::InvalidCharRange, start)),
        }
    }

    /// `\d`, `\pL`, `\p{Greek}` and their opposites, if that is what comes next.
    fn escaped_class(&mut self) -> Result<Option<CodePoints>, PatternError> {
        let start = self.at;
        let mut characters = self.rest().chars();
        let (Some('\\'), Some(letter)) = (characters.next(), characters.next()) else { return Ok(None) };
        if let Some(points) = class::perl(letter.to_ascii_lowercase()) {
            self.at += 2;
            return Ok(Some(self.group_class(points, letter.is_ascii_uppercase())));
        }
        if !letter.eq_ignore_ascii_case(&'p') {
            return Ok(None);
        }

        self.at += 2;
        let mut name = self.rest();
        if self.eat('{') {
            let Some(end) = self.rest().find('}') else {
                return Err(self.error_in(PatternErrorKind::InvalidCharRange, start, self.pattern.len()));
            };
            name = &self.rest()[..end];
            self.at += end + 1;
        } else {
            self.bump();
            name = &name[..self.at - (start + 2)];
        }
        let (name, inner_negated) = match name.strip_prefix('^') {
            Some(name) => (name, true),
            None => (name, false),
        };
        let points = class::unicode(name, self.flags.fold)
            .ok_or_else(|| self.error(PatternErrorKind::InvalidCharRange, start))?;
        Ok(Some(if (letter == 'P') == inner_negated { points } else { points.negated() }))
    }

    /// An ASCII class, which includes the other cases of its letters before it is negated.
    fn group_class(&self, points: CodePoints, negated: bool) -> CodePoints {
        let points = if self.flags.fold { points.folded() } else { points };
        if negated { points.negated() } else { points }
    }

    /// A backslash and what it makes one code point of, inside or outside a class.
    fn escaped_letter(&mut self) -> Result<u32, PatternError> {
        let start = self.at;
        self.bump();
        let Some(character) = self.next() else {
            return Err(self.error(PatternErrorKind::TrailingBackslash, self.at));
        };
        let letter = match character {
            // One digit would be a back reference.
            '1'..='7' if !self.rest().starts_with(|next: char| next.is_digit(8)) => None,
            '0'..='7' => {
                let digits = self.rest().bytes().take(2).take_while(|byte| matches!(byte, b'0'..=b'7')).count();
                let octal = &self.pattern[self.at - 1..self.at + digits];
                self.at += digits;
                u32::from_str_radix(octal, 8).ok()
            }
            'x' => self.hexadecimal(),
            'a' => Some(0x07),
            'f' => Some(0x0C),
            'n' => Some(0x0A),
            'r' => Some(0x0D),
            't' => Some(0x09),
            'v' => Some(0x0B),
            _ if character.is_ascii() && !character.is_ascii_alphanumeric() => Some(character.into()),
            _ => None,
        };
        letter.ok_or_else(|| self.error(PatternErrorKind::InvalidEscape, start))
    }

    /// What follows `\x`: two digits, or any number of them in braces. Leaves off behind the first that is wrong.
    fn hexadecimal(&mut self) -> Option<u32> {
        let first = self.next()?;
        if first != '{' {
            let second = self.next();
            return Some(first.to_digit(16)? * 16 + second?.to_digit(16)?);
        }
        let mut letter = None;
        loop {
            match self.next()? {
                '}' => return letter,
                digit => {
                    let more = letter.unwrap_or(0) * 16 + digit.to_digit(16)?;
                    letter = Some(more).filter(|&letter| letter <= u32::from(char::MAX));
                    letter?;
                }
            }
        }
    }

    // The place in the pattern.

    fn rest(&self) -> &'p str {
        &self.pattern[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let character = self.peek()?;
        self.at += character.len_utf8();
        Some(character)
    }

    fn bump(&mut self) {
        self.next();
    }

    fn eat(&mut self, character: char) -> bool {
        let eaten = self.peek() == Some(character);
        if eaten {
            self.bump();
        }
        eaten
    }

    fn checked(&self, piece: Piece) -> Result<Piece, PatternError> {
        if piece.height > HIGHEST {
            return Err(self.whole(PatternErrorKind::NestingDepth));
        }
        Ok(piece)
    }

    /// An error in what was read since `start`.
    fn error(&self, kind: PatternErrorKind, start: usize) -> PatternError {
        self.error_in(kind, start, self.at)
    }

    fn error_in(&self, kind: PatternErrorKind, start: usize, end: usize) -> PatternError {
        PatternError::new(kind, start, &self.pattern[start..end])
    }

    fn whole(&self, kind: PatternErrorKind) -> PatternError {
        PatternError::new(kind, 0, self.pattern)
    }
}

/// A repetition as it is written, counts out of bounds included.
#[derive(Debug, Clone, Copy)]
struct Operator {
    min: u32,
    max: Option<u32>,
}

/// The repetition operator at the start of `rest`, and its length. A `{` may be none: `{,2}`, `{a}`, `{01}`.
fn operator(rest: &str) -> Option<(usize, Operator)> {
    let (min, max) = match rest.as_bytes().first()? {
        b'*' => (0, None),
        b'+' => (1, None),
        b'?' => (0, Some(1)),
        _ => return counts(rest),
    };
    Some((1, Operator { min, max }))
}

/// `{2}`, `{2,}` or `{2,3}`. A number too large for its type is too large for a count.
fn counts(rest: &str) -> Option<(usize, Operator)> {
    let inside = rest.strip_prefix('{')?;
    let length = inside.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b',').count();
    if inside.as_bytes().get(length) != Some(&b'}') {
        return None;
    }
    let (min, max) = match inside[..length].split_once(',') {
        None => {
            let count = number(&inside[..length])?;
            (count, Some(count))
        }
        Some((min, "")) => (number(min)?, None),
        Some((min, max)) => (number(min)?, Some(number(max)?)),
    };
    Some((length + 2, Operator { min, max }))
}

fn number(digits: &str) -> Option<u32> {
    let leading_zero = digits.len() > 1 && digits.starts_with('0');
    if digits.is_empty() || leading_zero || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse().unwrap_or(u32::MAX))
}
