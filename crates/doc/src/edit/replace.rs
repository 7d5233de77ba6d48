//! A mapping in place of another one, laid out as its place asks: an object of Kubernetes that becomes another object.

use bulla_wipe::Wiping;
use bulla_yaml::{Style, Writer};

use super::Edits;
use crate::Tree;
use crate::owned::feed_items;
use crate::spell::LINE_BREAKS;
use crate::tree::{Kind, Node, Source};

/// How far new entries are indented below their key, as `kubectl` and `kubeseal` write them.
const STEP: usize = 2;

impl<'d> Edits<'d> {
    /// Replaces a mapping, and every comment in it, by `tree`, which is a mapping, too.
    ///
    /// A block of lines becomes a block that is indented as it was; comments above its first key and comments further left than
    /// its keys (at the left edge: those at the left edge) are not in it, and stay. In flow context the new one is on one line. An
    /// object of JSON on several lines becomes one on several lines.
    pub fn replace_mapping(&mut self, mapping: Node<'d>, tree: &Tree) {
        self.replace_mapping_indented(mapping, tree, STEP);
    }

    /// [`Edits::replace_mapping`] with so many blanks (YAML; JSON is indented as it was) before what lies within an entry.
    pub fn replace_mapping_indented(&mut self, mapping: Node<'d>, tree: &Tree, step: usize) {
        let Tree::Mapping(items) = tree else { return self.set_tree(mapping, tree) };
        debug_assert!(mapping.kind() == Kind::Mapping, "only a mapping is replaced by one");
        if let Some(source) = self.flat() {
            return match mapping.key() {
                Some(key) if key == source.format.metadata_key() => self.replace_metadata(source, tree),
                _ => self.set_tree(mapping, tree),
            };
        }
        let Source::Yaml(stream) = &self.document.source else { return self.replace_object(mapping, tree) };
        let node = stream.node_by_number(mapping.data().node as usize);
        if node.style() != Style::Block || items.is_empty() {
            return self.set_tree(mapping, tree);
        }
        let column = self.column(node);
        let start = node.content_span().start as usize;
        let end = node.span().end as usize;
        let end = if end > start && self.line_start(end) == end { end } else { self.line_end(end) };
        let end = self.behind_comments(end, column.max(1));

        let mut writer = Writer::at(step, column);
        feed_items(items, &mut writer);
        let mut lines = writer.finish();
        // The first line continues the one that the mapping begins on.
        lines.drain(..column);
        if !self.document.text()[..end].ends_with(LINE_BREAKS) {
            lines.pop();
        }
        if self.line_break() == "\r\n" {
            *lines = lines.replace('\n', "\r\n");
        }
        self.change(start..end, &lines);
    }

    /// Behind the comment lines from `end` on that are indented by `column` at least, and the empty lines between them.
    fn behind_comments(&self, mut end: usize, column: usize) -> usize {
        let text = self.document.text();
        let mut line = end;
        while line < text.len() {
            let next = self.line_end(line);
            let spelt = text[line..next].trim_end_matches(LINE_BREAKS);
            let content = spelt.trim_start_matches(' ');
            if content.starts_with('#') && spelt.len() - content.len() >= column {
                end = next;
            } else if !content.trim().is_empty() {
                break;
            }
            line = next;
        }
        end
    }

    fn replace_object(&mut self, object: Node<'d>, tree: &Tree) {
        let Source::Json(source) = &self.document.source else { return };
        let text = self.document.text();
        let range = source.span(object.data().node).range();
        if !text[range.clone()].contains('\n') {
            return self.set_tree(object, tree);
        }
        let blanks = |line: usize| text[line..].bytes().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let line = self.line_start(range.start);
        let around = &text[line..line + blanks(line)];
        let first = object.children().next().map(|first| self.line_start(self.entry_start(first)));
        let step = first.filter(|first| *first > line).map(|first| &text[first..first + blanks(first)]);
        let step = step.and_then(|indent| indent.strip_prefix(around)).filter(|step| !step.is_empty()).unwrap_or("  ");
        let mut written = Wiping::<String>::default();
        tree.write_json(&mut written, step, 0);
        let line_break = format!("{}{around}", self.line_break());
        // A line break within a text is spelt `\n` in JSON, so that each of these begins a line.
        let written = Wiping::new(written.replace('\n', &line_break));
        self.change(range, &written);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Document, Format};

    fn tree() -> Tree {
        let inner = Tree::mapping([("x", Tree::string("1")), ("z", Tree::sequence([Tree::string("a\nb\n")]))]);
        Tree::mapping([("kind", Tree::string("New")), ("spec", inner)])
    }

    /// Replaces what `find` leads to.
    fn replaced(text: &str, format: Format, find: &[&str]) -> String {
        let document = Document::parse(text.as_bytes(), format).unwrap();
        let mut edits = Edits::new(&document);
        let mut node = document.branches().next().unwrap();
        for step in find {
            node = match step.parse::<usize>() {
                Ok(index) => node.children().filter(|child| child.kind() != Kind::Comment).nth(index).unwrap(),
                Err(_) => node.get(step).unwrap(),
            };
        }
        edits.replace_mapping(node, &tree());
        let bytes = edits.apply();
        Document::parse(&bytes, format).unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[test]
    fn a_document_of_a_stream_becomes_another_and_the_others_stay() {
        let text = "# licence\n---\n# head\nkind: Old # inline\ndata:\n  a: |\n    b\n  # within\n\n  # and this\n# foot\n---\nb: 'x' # 1\n";
        let expected = "# licence\n---\n# head\nkind: New\nspec:\n  x: \"1\"\n  z:\n    - |\n      a\n      b\n# foot\n---\nb: 'x' # 1\n";
        assert_eq!(replaced(text, Format::Yaml, &[]), expected);
        let windows = |text: &str| text.replace('\n', "\r\n");
        assert_eq!(replaced(&windows(text), Format::Yaml, &[]), windows(expected));
        // As it ended, so it ends.
        assert!(replaced("kind: Old\ndata: {a: b}", Format::Yaml, &[]).ends_with("\n      b"));
        assert_eq!(replaced("--- {kind: Old}\n---\na: 1\n", Format::Yaml, &[]).lines().nth(2), Some("a: 1"));
    }

    #[test]
    fn an_item_of_a_list_keeps_its_place() {
        let text = "items:\n  # above\n  - kind: Old\n    # within\n    a: b\n    # below\n  # next\n  - kind: Other\n";
        let expected = "items:\n  # above\n  - kind: New\n    spec:\n      x: \"1\"\n      z:\n        - |\n          a\n          b\n  # next\n  - kind: Other\n";
        assert_eq!(replaced(text, Format::Yaml, &["items", "0"]), expected);
    }

    #[test]
    fn an_object_of_json_keeps_its_indentation() {
        let text =
            "{\n    \"items\": [\n        {\n            \"kind\": \"Old\"\n        },\n        {\"b\": 1}\n    ]\n}\n";
        let expected = "{\n    \"items\": [\n        {\n            \"kind\": \"New\",\n            \"spec\": {\n                \"x\": \"1\",\n                \"z\": [\n                    \"a\\nb\\n\"\n                ]\n            }\n        },\n        {\"b\": 1}\n    ]\n}\n";
        assert_eq!(replaced(text, Format::Json, &["items", "0"]), expected);
        let one_line = "{\"items\": [{\"kind\": \"Old\"}, {\"b\": 1}]}";
        let expected =
            "{\"items\": [{\"kind\": \"New\", \"spec\": {\"x\": \"1\", \"z\": [\"a\\nb\\n\"]}}, {\"b\": 1}]}";
        assert_eq!(replaced(one_line, Format::Json, &["items", "0"]), expected);
    }
}
