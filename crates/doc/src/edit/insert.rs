//! Entries and items that are added: above another, behind the last, in block and in flow.

use bulla_wipe::Wiping;
use bulla_yaml::{Style, Writer};

use super::Edits;
use crate::spell::{self, LINE_BREAKS, in_flow};
use crate::tree::{Kind, NONE, Node, Source};
use crate::{Format, Tree};

impl<'d> Edits<'d> {
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
                None => Wiping::new(format!("{:column$}- {}\n", "", *tree.on_one_line(format))),
            };
            if self.line_break() == "\r\n" {
                *inserted = inserted.replace('\n', "\r\n");
            }
            self.change(lines.start..lines.start, &inserted);
            return;
        }
        let value = tree.on_one_line(format);
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
                self.insert_lines(at, Wiping::new(format!("{:indent$}- {}\n", "", *item)));
                return;
            }
        }
        self.append_flow(sequence, &item);
    }

    fn append_yaml(&mut self, stream: &bulla_yaml::Stream, mapping: Node<'d>, key: &str, tree: &Tree) {
        let node = stream.node_by_number(mapping.data().node as usize);
        if node.style() == Style::Flow {
            self.append_flow(mapping, &format!("{}: {}", spell::flow_key(key), *tree.on_one_line(Format::Yaml)));
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
                // Without any indentation, there is none within either.
                let step = indent.get(around.min(indent.len())..).unwrap_or_default();
                let step = if step.is_empty() && !indent.is_empty() { "\t" } else { step };
                let depth = if step.is_empty() { 1 } else { indent.len() / step.len() };
                let mut value = String::new();
                tree.write_json(&mut value, step, depth);
                let line_break = self.line_break();
                format!("{line_break}{indent}{key}: {}", value.replace('\n', line_break))
            }
            None => format!("{key}: {}", *tree.on_one_line(Format::Json)),
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
