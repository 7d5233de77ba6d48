//! Changes to dotenv and INI: whole lines come and go, values change in place.
//!
//! The metadata of dotenv is lines at the end, that of INI a section at the end with an empty line before it, as SOPS writes them.

use std::ops::Range;

use bulla_wipe::Wiping;

use super::{EditError, Edits};
use crate::Format;
use crate::flat::{DEFAULT_SECTION, INI_SECTION, LIST, MAP, Text, comment_reads_as};
use crate::owned::{Item, Scalar, Tree};
use crate::spell::flat as spell;
use crate::tree::{Kind, NONE, Node, Source};

impl<'d> Edits<'d> {
    /// The source, if it is of lines.
    pub(super) fn flat(&self) -> Option<&'d Text> {
        match &self.document.source {
            Source::Flat(text) => Some(text),
            _ => None,
        }
    }

    /// Can the file hold `tree` in `container` under `key`, and will it be read back?
    ///
    /// YAML and JSON hold everything; dotenv and INI texts only, and not all of them.
    ///
    /// # Errors
    /// [`EditError::Unwritable`]
    pub fn accepts(&self, container: Node<'_>, key: Option<&str>, tree: &Tree) -> Result<(), EditError> {
        let refuse = |reason| Err(EditError::Unwritable(reason));
        let key = key.unwrap_or_default();
        match self.document.format() {
            Format::Yaml | Format::Json => Ok(()),
            Format::Binary => refuse("a binary file is one value; replace it as a whole"),
            Format::Dotenv => {
                let Tree::Scalar(scalar) = tree else {
                    return refuse("a dotenv file holds texts only, no mappings and no lists");
                };
                if !spell::is_dotenv_key(key) {
                    return refuse(
                        "a key of a dotenv file has no `=`, begins neither with `#` nor with `sops_`, and is on one line",
                    );
                }
                match text_of(scalar) {
                    Some(text) if spell::is_dotenv_value(&text) => Ok(()),
                    _ => refuse(
                        "a dotenv file cannot hold a backslash before an `n`, nor bytes that are no text: SOPS reads `\\n` as a line break",
                    ),
                }
            }
            Format::Ini => match tree {
                Tree::Mapping(items) if container.parent().is_none() => {
                    if !spell::is_ini_section(key) {
                        return refuse("the name of a section of an INI file is on one line, without `]`, `#` and `;`");
                    }
                    items.iter().try_for_each(|item| match item {
                        Item::Entry { key, value } => accepts_ini(key, value),
                        Item::Comment { .. } => Ok(()),
                        Item::Element(_) => refuse("a section of an INI file holds texts under keys"),
                    })
                }
                _ if container.parent().is_none() => {
                    refuse("an INI file holds texts in sections: name the section, then the key")
                }
                tree => accepts_ini(key, tree),
            },
        }
    }

    pub(super) fn append_flat(&mut self, source: &'d Text, mapping: Node<'d>, key: &str, tree: &Tree) {
        let format = source.format;
        if let Some(prefix) = metadata_prefix(mapping, key, format) {
            return self.append_metadata(source, &prefix, tree);
        }
        match format {
            Format::Ini if mapping.parent().is_none() => {
                let lines = [format!("[{key}]\n"), ini_lines(tree)].concat();
                let at = self.sections_end(source);
                self.insert_section(at, lines);
            }
            Format::Ini => {
                let at = source.token(mapping.data().node).lines.end as usize;
                let mut line = ini_line(key, 0, tree);
                let rest = &source.text()[at..];
                // Keys above all sections, where there were none.
                if source.string(mapping.data().key) == DEFAULT_SECTION
                    && mapping.children().next().is_none()
                    && !rest.is_empty()
                {
                    line.push('\n');
                }
                self.insert_flat(at, line);
            }
            _ => {
                let at = metadata_lines(mapping).first().map_or(source.text().len(), |lines| lines.start);
                self.insert_flat(at, dotenv_line(key, tree));
            }
        }
    }

    /// Adds the metadata, or with a `prefix` a field to it.
    fn append_metadata(&mut self, source: &'d Text, prefix: &str, tree: &Tree) {
        let mut fields = Vec::new();
        flatten(tree, prefix.to_owned(), &mut fields);
        let ini = source.format == Format::Ini;
        let root = Node { document: self.document, entry: 0 };
        let known = metadata_lines(root);
        let lines = metadata_fields(&fields, source.format);
        match known.last() {
            Some(last) => self.insert_flat(last.end, lines),
            None if ini => self.insert_section(source.text().len(), format!("[{INI_SECTION}]\n{lines}")),
            None => self.insert_flat(source.text().len(), lines),
        }
    }

    /// The entry that [`Edits::append`] made, copied from another document.
    pub(super) fn append_metadata_of(&mut self, source: &'d Text, entry: Node<'_>) {
        let Source::Flat(other) = &entry.document.source else {
            return self.append_metadata(source, "", &Tree::copy_of(entry));
        };
        let root = Node { document: entry.document, entry: 0 };
        let mut lines = String::new();
        for range in metadata_lines(root) {
            lines.push_str(&other.text()[range]);
            if !lines.ends_with('\n') {
                lines.push('\n');
            }
        }
        if source.format == Format::Ini {
            self.insert_section(source.text().len(), lines.replace("\r\n", "\n"));
        } else {
            self.insert_flat(source.text().len(), lines);
        }
    }

    /// Puts other metadata in place of the one that is there.
    pub(super) fn replace_metadata(&mut self, source: &'d Text, tree: &Tree) {
        let lines = metadata_lines(Node { document: self.document, entry: 0 });
        let Some(first) = lines.first() else { return };
        let mut fields = Vec::new();
        flatten(tree, String::new(), &mut fields);
        let mut new = metadata_fields(&fields, source.format);
        if source.format == Format::Ini {
            let header = &source.text()[first.clone()];
            let header = header.find('\n').map_or(header, |place| &header[..place]).trim_end();
            new.insert_str(0, &format!("{header}\n"));
        }
        if !source.text()[..first.end].ends_with('\n') {
            new.pop();
        }
        self.change(first.clone(), &Wiping::new(self.own_breaks(new)));
        for range in &lines[1..] {
            self.change(range.clone(), "");
        }
    }

    pub(super) fn remove_metadata(&mut self) {
        let document = self.document;
        let text = document.text();
        for range in metadata_lines(Node { document, entry: 0 }) {
            let mut start = range.start;
            // Whoever added the metadata used one line break for all of it.
            let first = text[range.clone()].find('\n').map_or("", |place| &text[range.start..range.start + place]);
            let windows = document.format() == Format::Ini && first.ends_with('\r');
            let without_break = |text: &'d str| text.strip_suffix(if windows { "\r\n" } else { "\n" });
            if document.format() == Format::Ini
                && let Some(before) = without_break(&text[..start])
                && (before.is_empty() || before.ends_with('\n'))
            {
                start = before.len();
            }
            // As the file ends without a line break, so it ended before.
            if range.end == text.len() && !text.ends_with('\n') {
                start = without_break(&text[..start]).map_or(start, str::len);
            }
            self.change(start..range.end, "");
        }
    }

    pub(super) fn remove_flat(&mut self, source: &'d Text, entry: Node<'d>) {
        let mut lines = source.token(entry.data().node).lines.range();
        let text = source.text();
        if entry.kind() == Kind::Mapping
            && let Some(rest) = text[lines.end..].strip_prefix("\r\n").or_else(|| text[lines.end..].strip_prefix('\n'))
        {
            // The empty line behind a section goes with it.
            lines.end = text.len() - rest.len();
        }
        self.change(lines, "");
    }

    /// Puts `tree` in place of a value or of all keys of a section.
    pub(super) fn set_flat_tree(&mut self, source: &'d Text, node: Node<'d>, tree: &Tree) {
        match (node.kind(), tree) {
            (Kind::Mapping, Tree::Mapping(_)) => {
                let section = source.token(node.data().node);
                let header = section.span.end as usize;
                let text = source.text();
                let start = if section.span.start == section.span.end {
                    header
                } else {
                    text[header..].find('\n').map_or(text.len(), |place| header + place + 1)
                };
                let end = (section.lines.end as usize).max(start);
                self.change(start..end, &self.own_breaks(ini_lines(tree)));
            }
            (_, Tree::Scalar(scalar)) => self.set_value(node, &scalar.as_value()),
            // What the file cannot hold was refused.
            _ => {}
        }
    }

    /// Replaces the text of a comment. Of several lines all are comments, whatever they begin with.
    pub(super) fn set_flat_comment(&mut self, source: &'d Text, comment: Node<'d>, text: &str) {
        let token = source.token(comment.data().node);
        if source.format == Format::Dotenv {
            return self.change(token.span.range(), text);
        }
        let mut lines = String::with_capacity(text.len());
        for (number, line) in text.split_inclusive('\n').enumerate() {
            if number > 0 && !line.trim().is_empty() && !line.trim_start().starts_with(['#', ';']) {
                lines.push_str("; ");
            }
            lines.push_str(line);
        }
        if token.needs_line {
            lines = self.own_breaks(format!("; {lines}\n"));
        }
        self.change(token.span.range(), &Wiping::new(lines));
        if token.tail.start != token.tail.end {
            self.change(token.tail.range(), "");
        }
    }

    /// Spells a comment exactly so, as [`Node::comment_spelling`] gave it.
    pub fn set_comment_spelling(&mut self, comment: Node<'d>, spelling: &str) {
        let Some((source, (above, behind))) = self.flat().zip(comment_parts(spelling)) else { return };
        let token = source.token(comment.data().node);
        match above {
            Some(above) => self.change(token.span.range(), above),
            None => {
                // The line that it got goes again.
                let text = source.text();
                let place = token.span.start as usize;
                let start = text[..place].rfind('\n').map_or(0, |place| place + 1);
                let end = text[place..].find('\n').map_or(text.len(), |end| place + end + 1);
                self.change(start..end, "");
            }
        }
        self.change(token.tail.range(), behind);
    }

    fn insert_section(&mut self, at: usize, mut lines: String) {
        let text = self.document.text();
        if !text[..at].trim_start_matches('\u{feff}').is_empty() {
            lines.insert(0, '\n');
        }
        self.insert_flat(at, lines);
    }

    /// Inserts whole lines, each with its line break.
    fn insert_flat(&mut self, at: usize, mut lines: String) {
        let text = self.document.text();
        if at > 0 && !text[..at].ends_with('\n') && !lines.is_empty() && &text[..at] != "\u{feff}" {
            lines.insert(0, '\n');
            // As the file ended without a line break, so it ends now.
            lines.pop();
        }
        let lines = Wiping::new(self.own_breaks(lines));
        self.change(at..at, &lines);
    }

    /// With the line breaks of the file.
    fn own_breaks(&self, lines: String) -> String {
        match self.flat_break() {
            "\n" => lines,
            line_break => lines.replace('\n', line_break),
        }
    }

    /// The line break of the file. In dotenv a carriage return would be part of the value.
    fn flat_break(&self) -> &'static str {
        let text = self.document.text();
        match self.document.format() {
            Format::Ini if !text.contains('\n') && text.ends_with('\r') => "\r\n",
            Format::Ini => self.line_break(),
            _ => "\n",
        }
    }

    /// Gives a value a new one. What stands behind it on its line goes above it, where the new quotes ask for that: SOPS reads no comment
    /// behind them.
    pub(super) fn set_flat_value(&mut self, source: &'d Text, scalar: Node<'d>, spelling: &str) {
        let value = source.token(scalar.data().node);
        let text = source.text();
        let end = value.span.end as usize;
        let line = &text[end..text[end..].find('\n').map_or(text.len(), |place| end + place)];
        let behind = line.trim();
        if source.format == Format::Ini && !behind.is_empty() && spelling.starts_with(['`', '"']) {
            let above = self.own_breaks(format!("{behind}\n"));
            self.change(value.lines.start as usize..value.lines.start as usize, &above);
            self.change(end..end + line.trim_end().len(), "");
        }
        let blank = if source.format == Format::Ini && value.span.start == value.span.end { " " } else { "" };
        self.change(value.span.range(), &[blank, spelling].concat());
    }

    /// Where the last section ends that is not the metadata.
    fn sections_end(&self, source: &Text) -> usize {
        let root = Node { document: self.document, entry: 0 };
        let sections = root.children().filter(|section| section.kind() == Kind::Mapping);
        let own = sections.filter(|section| section.key() != Some(INI_SECTION));
        own.map(|section| source.token(section.data().node).lines.end as usize).max().unwrap_or(0)
    }
}

impl Node<'_> {
    /// The characters of a comment that is not spelt as its text is: one of several lines, or partly behind a value. `None` for all that
    /// come back from their text alone.
    pub fn comment_spelling(self) -> Option<String> {
        let Source::Flat(source) = &self.document.source else { return None };
        if self.kind() != Kind::Comment || source.format != Format::Ini {
            return None;
        }
        let token = source.token(self.data().node);
        let above = &source.text()[token.span.range()];
        let behind = &source.text()[token.tail.range()];
        if token.needs_line {
            return Some(format!("-:{behind}"));
        }
        let is_text = above == self.comment() && behind.is_empty();
        (!is_text).then(|| format!("{}:{above}{behind}", above.len()))
    }
}

/// Is a comment spelt as [`Node::comment_spelling`] gave it read as `text`?
pub fn comment_reads(spelling: &str, text: &str) -> bool {
    comment_parts(spelling).is_some_and(|(above, behind)| comment_reads_as(above, behind, text))
}

/// What stands above, and what behind.
fn comment_parts(spelling: &str) -> Option<(Option<&str>, &str)> {
    let (length, rest) = spelling.split_once(':')?;
    if length == "-" {
        return Some((None, rest));
    }
    let (above, behind) = rest.split_at_checked(length.parse().ok()?)?;
    Some((Some(above), behind))
}

fn text_of(scalar: &Scalar) -> Option<String> {
    match scalar {
        Scalar::String(bytes) => str::from_utf8(bytes).ok().map(str::to_owned),
        other => Some(spell::text_of(&other.as_value()).into_owned()),
    }
}

fn accepts_ini(key: &str, tree: &Tree) -> Result<(), EditError> {
    let Tree::Scalar(scalar) = tree else {
        return Err(EditError::Unwritable("a section of an INI file holds texts only, no mappings and no lists"));
    };
    if !spell::is_ini_key(key) {
        return Err(EditError::Unwritable(
            "a key of an INI file is not empty, on one line, and begins neither with `#` nor with `;`",
        ));
    }
    match text_of(scalar) {
        Some(text) if spell::is_ini_value(&text) => Ok(()),
        _ => Err(EditError::Unwritable("there is no way to quote this text in an INI file so that SOPS reads it back")),
    }
}

fn scalar_text(tree: &Tree) -> Wiping<String> {
    Wiping::new(match tree {
        Tree::Scalar(scalar) => spell::text_of(&scalar.as_value()).into_owned(),
        _ => String::new(),
    })
}

fn dotenv_line(key: &str, tree: &Tree) -> String {
    format!("{key}={}\n", spell::dotenv_value(&scalar_text(tree)))
}

/// A key of INI with its value, the key padded to `width`.
fn ini_line(key: &str, width: usize, tree: &Tree) -> String {
    let key = spell::ini_key(key);
    let blanks = width.saturating_sub(key.len());
    format!("{key}{:blanks$} = {}\n", "", spell::ini_value(&scalar_text(tree), None))
}

/// The keys of a section.
fn ini_lines(tree: &Tree) -> String {
    let Tree::Mapping(items) = tree else { return String::new() };
    let entries = || {
        items.iter().filter_map(|item| match item {
            Item::Entry { key, value } => Some((key, value)),
            _ => None,
        })
    };
    let width = entries().map(|(key, _)| spell::ini_key(key).len()).max().unwrap_or(0);
    entries().map(|(key, value)| ini_line(key, width, value)).collect()
}

/// The flattened key of `key` in `mapping` behind a prefix that all have, if it belongs to the metadata; of the metadata itself none.
fn metadata_prefix(mapping: Node<'_>, key: &str, format: Format) -> Option<String> {
    if mapping.parent().is_none() {
        return (key == format.metadata_key()).then(String::new);
    }
    let mut steps = vec![key.to_owned()];
    let mut node = mapping;
    while let Some(outer) = node.parent() {
        if outer.parent().is_none() {
            steps.reverse();
            return (node.key() == Some(format.metadata_key())).then(|| steps.concat());
        }
        let last = steps.len() - 1;
        if !steps[last].starts_with(LIST) {
            steps[last].insert_str(0, MAP);
        }
        steps.push(match node.key() {
            Some(key) => key.to_owned(),
            None => {
                let index = outer.children().take_while(|item| item.entry != node.entry).count();
                format!("{LIST}{index}")
            }
        });
        node = outer;
    }
    None
}

/// The lines of fields with flattened keys.
fn metadata_fields(fields: &[(String, String)], format: Format) -> String {
    let ini = format == Format::Ini;
    let width = if ini { fields.iter().map(|(key, _)| spell::ini_key(key).len()).max().unwrap_or(0) } else { 0 };
    let mut lines = String::new();
    for (key, text) in fields {
        if ini {
            lines.push_str(&ini_line(key, width, &Tree::string(&spell::dotenv_value(text))));
        } else {
            lines.push_str(&dotenv_line(&[format.metadata_key(), key].concat(), &Tree::string(text)));
        }
    }
    lines
}

/// The values of a tree with their flattened keys.
fn flatten(tree: &Tree, key: String, fields: &mut Vec<(String, String)>) {
    let separated = |mark: &str, name: &str| if key.is_empty() { name.to_owned() } else { [&key, mark, name].concat() };
    match tree {
        Tree::Scalar(scalar) => fields.push((key, spell::text_of(&scalar.as_value()).into_owned())),
        Tree::Mapping(items) => {
            for item in items {
                if let Item::Entry { key, value } = item {
                    flatten(value, separated(MAP, key), fields);
                }
            }
        }
        Tree::Sequence(items) => {
            let elements = items.iter().filter_map(|item| match item {
                Item::Element(value) => Some(value),
                _ => None,
            });
            for (number, value) in elements.enumerate() {
                flatten(value, separated(LIST, &number.to_string()), fields);
            }
        }
    }
}

/// The whole lines of the metadata, those that follow each other as one.
fn metadata_lines(root: Node<'_>) -> Vec<Range<usize>> {
    let Source::Flat(source) = &root.document.source else { return Vec::new() };
    let key = source.format.metadata_key();
    let mut lines: Vec<Range<usize>> = Vec::new();
    for entry in root.children().filter(|entry| entry.key() == Some(key)) {
        if source.format == Format::Ini {
            lines.push(source.token(entry.data().key).lines.range());
            continue;
        }
        let leaves = entry.walk().filter_map(|step| match step {
            crate::tree::Step::Leaf(leaf) => Some(source.token(leaf.data().node).lines.range()),
            _ => None,
        });
        lines.extend(leaves);
    }
    lines.sort_by_key(|range| range.start);
    lines.dedup_by(|later, earlier| {
        let follows = earlier.end == later.start;
        if follows {
            earlier.end = later.end;
        }
        follows
    });
    debug_assert!(root.data().parent == NONE, "the metadata lies at the top");
    lines
}
