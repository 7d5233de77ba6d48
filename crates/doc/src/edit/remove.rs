//! Entries and items that go, with their lines.

use super::{EditError, Edits};
use crate::spell::{self, LINE_BREAKS, in_flow};
use crate::tree::{Kind, Node};

impl<'d> Edits<'d> {
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
    pub(super) fn keep_empty(&mut self, entry: Node<'d>, end: usize) {
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
}
