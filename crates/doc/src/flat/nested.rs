//! The metadata of a file of lines, from flattened keys to the mapping that it is.
//!
//! ```text
//! age__list_0__map_enc = …      →   age: [{enc: …}]
//! ```

use std::collections::HashMap;
use std::ops::Range;

use super::{Builder, Field, Token};
use crate::error::{Expected, ParseError};
use crate::tree::{EntryKind, NONE};

/// What stands before the key of a mapping within a mapping or list.
pub(crate) const MAP: &str = "__map_";
/// What stands before the index of an item.
pub(crate) const LIST: &str = "__list_";

/// How deep the metadata may be; SOPS' own is six levels.
const DEPTH_LIMIT: usize = 64;

/// One level of the metadata.
#[derive(Default)]
struct Level {
    value: Option<Token>,
    /// The levels in it, each with the place of its name.
    keys: Vec<(Range<usize>, usize)>,
    items: Vec<(usize, usize)>,
    /// Where it is named first.
    place: usize,
}

/// A level by the one around it, and by its key (`Err`) or index (`Ok`) there.
type Known<'t> = HashMap<(usize, Result<usize, &'t str>), usize>;

impl<'t> Builder<'t> {
    /// Adds the metadata as an entry `key` of `root`.
    pub(super) fn nest(&mut self, key: Token, root: u32, fields: &[Field]) -> Result<(), ParseError> {
        let mut levels = vec![Level { place: key.span.start as usize, ..Level::default() }];
        let mut known = Known::new();
        for field in fields {
            self.place(field, &mut levels, &mut known)?;
        }
        let key = self.push(key);
        self.emit(&levels, 0, key, root)
    }

    /// Puts a field on its level.
    fn place(&self, field: &Field, levels: &mut Vec<Level>, known: &mut Known<'t>) -> Result<(), ParseError> {
        let text: &'t str = self.text;
        let (mut level, mut rest, mut is_index) = (0, field.key.clone(), false);
        for depth in 0.. {
            if depth > DEPTH_LIMIT {
                return self.fault(field.key.start, Expected::Metadata("at most 64 levels"));
            }
            let names = &text[rest.clone()];
            let next = [MAP, LIST].into_iter().filter_map(|mark| Some((names.find(mark)?, mark))).min();
            let part = rest.start..rest.start + next.map_or(names.len(), |(place, _)| place);
            let name = &text[part.clone()];
            // What is no number is 0 to SOPS, too.
            let step = if is_index { Ok(name.parse().unwrap_or(0)) } else { Err(name) };
            let outer = level;
            level = *known.entry((outer, step)).or_insert(levels.len());
            if level == levels.len() {
                levels.push(Level { place: part.start, ..Level::default() });
                match step {
                    Ok(index) => levels[outer].items.push((index, level)),
                    Err(_) => levels[outer].keys.push((part, level)),
                }
            }
            let Some((place, mark)) = next else { break };
            is_index = mark == LIST;
            rest.start += place + mark.len();
        }
        if levels[level].value.is_some() {
            return self.fault(field.key.start, Expected::Metadata("each field once"));
        }
        levels[level].value = Some(field.value);
        Ok(())
    }

    /// Writes a level and all in it; no deeper than [`DEPTH_LIMIT`].
    fn emit(&mut self, levels: &[Level], level: usize, key: u32, parent: u32) -> Result<(), ParseError> {
        let Level { value, keys, items, place } = &levels[level];
        let kinds = usize::from(value.is_some()) + usize::from(!keys.is_empty()) + usize::from(!items.is_empty());
        if kinds > 1 {
            return self
                .fault(*place, Expected::Metadata("a field to be a value, a mapping or a list, not several of them"));
        }
        if let Some(value) = value {
            let value = self.push(*value);
            self.entry(EntryKind::Scalar, value, key, parent);
            return Ok(());
        }
        let kind = if items.is_empty() { EntryKind::Mapping } else { EntryKind::Sequence };
        let token = Token::verbatim(*place..*place);
        let token = self.push(token);
        let entry = self.entry(kind, token, key, parent);
        for (name, inner) in keys {
            let key = Token::verbatim(name.clone());
            let key = self.push(key);
            self.emit(levels, *inner, key, entry)?;
        }
        let mut items = items.clone();
        items.sort_unstable();
        for (number, (index, inner)) in items.into_iter().enumerate() {
            if index != number {
                return self.fault(levels[inner].place, Expected::Metadata("lists without gaps, counted from 0"));
            }
            self.emit(levels, inner, NONE, entry)?;
        }
        self.close(entry);
        Ok(())
    }
}
