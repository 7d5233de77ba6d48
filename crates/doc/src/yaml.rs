//! A YAML stream as SOPS' tree.

use std::borrow::Cow;
use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bulla_wipe::Wiping;
use bulla_yaml::{Comments, Kind, Resolved, Stream};
use foldhash::fast::RandomState;

use crate::error::{Expected, ParseError};
use crate::tree::{Document, Entry, EntryKind, NONE, Source, Value};

/// How many entries aliases may add.
const EXPANSION_LIMIT: usize = 1_000_000;
/// How many bytes of keys, values and comments aliases may add: so many for each byte of the file, and these in any case.
const EXPANSION_FACTOR: usize = 8;
const EXPANSION_FLOOR: usize = 64 << 20;
/// How deep the copy that an alias stands for may lie, with all around it.
const EXPANSION_DEPTH: u32 = 1_000;

pub(crate) fn read(bytes: Wiping<Vec<u8>>) -> Result<Document, ParseError> {
    let stream = bulla_yaml::parse_owned(bytes)
        .map_err(|error| ParseError { position: error.position, expected: Expected::Yaml(error.expected) })?;
    let mut reader = Reader {
        stream: &stream,
        entries: Vec::with_capacity(stream.node_count() + stream.node_count() / 8),
        roots: Vec::new(),
        tasks: Vec::new(),
        expanded: 0,
        expanded_bytes: 0,
        expansion_limit: stream.text().len().saturating_mul(EXPANSION_FACTOR).max(EXPANSION_FLOOR),
        anchored: vec![false; if stream.has_aliases() { stream.node_count() } else { 0 }],
        seen: HashMap::default(),
    };
    reader.find_anchored();
    for document in stream.documents() {
        reader.read_document(document)?;
    }
    let (entries, roots) = (reader.entries, reader.roots);
    let mut places = Vec::new();
    if stream.has_aliases() {
        places = vec![NONE; stream.node_count()];
        for (entry, data) in entries.iter().enumerate() {
            let is_node = !matches!(data.kind, EntryKind::Comment | EntryKind::InlineComment);
            if is_node && !data.expanded {
                places[data.node as usize] = entry as u32;
            }
        }
    }
    Ok(Document { source: Source::Yaml(stream), entries, roots, places })
}

/// The value of a scalar node, or the name of the tag that it does not fit.
pub(crate) fn value(node: bulla_yaml::Node<'_>) -> Result<Value<'_>, &str> {
    let string = || Ok(Value::String(Cow::Borrowed(node.value().as_bytes())));
    let Some(tag) = node.tag() else {
        return if node.is_string() { string() } else { Ok(convert(node.resolved(), node.value())) };
    };
    let resolved = bulla_yaml::resolve(node.value());
    match (tag, resolved) {
        ("!!null", Resolved::Null)
        | ("!!bool", Resolved::Bool(_))
        | ("!!int", Resolved::Int(_) | Resolved::Unsigned(_))
        | ("!!float", Resolved::Float(_))
        | ("!!timestamp", Resolved::Timestamp(_)) => Ok(convert(resolved, node.value())),
        ("!!float", Resolved::Int(value)) =>
        {
            #[expect(clippy::cast_precision_loss, reason = "what the tag asks for")]
            Ok(Value::Float(value as f64))
        }
        ("!!null" | "!!bool" | "!!int" | "!!float" | "!!timestamp", _) => Err(tag),
        ("!!binary", _) => binary(node.value()).map(|bytes| Value::String(Cow::Owned(bytes))).ok_or(tag),
        _ => string(),
    }
}

/// The value of a scalar node that is a text as it stands.
pub(crate) fn text(node: bulla_yaml::Node<'_>) -> Option<&str> {
    if node.tag().is_none() {
        return node.is_string().then(|| node.value());
    }
    match value(node) {
        Ok(Value::String(Cow::Borrowed(bytes))) => std::str::from_utf8(bytes).ok(),
        _ => None,
    }
}

fn convert(resolved: Resolved, text: &str) -> Value<'_> {
    match resolved {
        Resolved::Null => Value::Null,
        Resolved::Bool(value) => Value::Bool(value),
        Resolved::Int(value) => Value::Int(value),
        Resolved::Unsigned(value) => Value::Unsigned(value),
        Resolved::Float(value) => Value::Float(value),
        Resolved::Timestamp(value) => Value::Time(value),
        Resolved::Merge | Resolved::String => Value::String(Cow::Borrowed(text.as_bytes())),
    }
}

/// Decodes base64 as Go does: line breaks do not count, padding is required.
fn binary(text: &str) -> Option<Vec<u8>> {
    let config = GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical);
    let joined: Vec<u8> = text.bytes().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
    GeneralPurpose::new(&base64::alphabet::STANDARD, config).decode(joined).ok()
}

struct Reader<'s> {
    stream: &'s Stream,
    entries: Vec<Entry>,
    roots: Vec<u32>,
    tasks: Vec<Task<'s>>,
    expanded: usize,
    expanded_bytes: usize,
    expansion_limit: usize,
    /// By node: does an alias stand for it?
    anchored: Vec<bool>,
    seen: HashMap<&'s str, usize, RandomState>,
}

/// What is left to do, the next thing last.
enum Task<'s> {
    Comments {
        comments: Comments<'s>,
        inline: bool,
        context: Context,
    },
    /// A value. If its comments were `handled`, they lie beside it already.
    Value {
        node: bulla_yaml::Node<'s>,
        key: u32,
        handled: bool,
        context: Context,
    },
    End {
        entry: u32,
    },
}

/// What everything read by a task has in common.
#[derive(Clone, Copy)]
struct Context {
    parent: u32,
    depth: u32,
    expanded: bool,
    anchored: bool,
}

impl<'s> Reader<'s> {
    fn find_anchored(&mut self) {
        if self.anchored.is_empty() {
            return;
        }
        for number in 0..self.stream.node_count() {
            let node = self.stream.node_by_number(number);
            if node.kind() == Kind::Alias {
                self.anchored[node.target().number()] = true;
            }
        }
    }

    fn fault<T>(&self, offset: u32, expected: Expected) -> Result<T, ParseError> {
        Err(ParseError { position: self.stream.position(offset), expected })
    }

    fn read_document(&mut self, document: bulla_yaml::Document<'s>) -> Result<(), ParseError> {
        let root = document.root();
        let entry = self.entries.len() as u32;
        self.roots.push(entry);
        self.push(
            EntryKind::Mapping,
            root.number() as u32,
            NONE,
            Context { parent: NONE, depth: 0, expanded: false, anchored: false },
        )?;
        let context = Context { parent: entry, depth: 1, expanded: false, anchored: self.is_anchored(root, false) };
        self.tasks.push(Task::End { entry });
        self.later(document.foot(), false, context);
        match root.kind() {
            Kind::Mapping => {
                self.later(root.foot(), false, context);
                self.entries_later(root, context)?;
                self.later(root.line(), false, context);
                self.later(root.head(), false, context);
            }
            // Nothing behind `---`. A spelt `null` is a value, beside which there is no room for an entry.
            Kind::Scalar if root.span().is_empty() => {
                self.later(root.line(), false, context);
                self.later(root.head(), false, context);
            }
            _ => return self.fault(root.span().start, Expected::Mapping),
        }
        self.later(document.head(), false, context);
        while let Some(task) = self.tasks.pop() {
            self.run(task)?;
        }
        Ok(())
    }

    fn is_anchored(&self, node: bulla_yaml::Node<'s>, inherited: bool) -> bool {
        inherited || self.anchored.get(node.number()).copied().unwrap_or(false)
    }

    fn push(&mut self, kind: EntryKind, node: u32, key: u32, context: Context) -> Result<u32, ParseError> {
        let entry = self.entries.len() as u32;
        if context.expanded {
            self.expanded += 1;
            if self.expanded > EXPANSION_LIMIT {
                return self.fault(0, Expected::Aliases);
            }
        }
        let Context { parent, expanded, anchored, depth } = context;
        if expanded && depth > EXPANSION_DEPTH {
            return self.fault(0, Expected::Depth);
        }
        self.entries.push(Entry { kind, alias: false, expanded, anchored, node, key, parent, end: entry + 1 });
        Ok(entry)
    }

    /// Counts bytes that are in the tree once more than in the file.
    fn expand_bytes(&mut self, bytes: usize) -> Result<(), ParseError> {
        self.expanded_bytes = self.expanded_bytes.saturating_add(bytes);
        if self.expanded_bytes > self.expansion_limit {
            return self.fault(0, Expected::AliasBytes);
        }
        Ok(())
    }

    fn later(&mut self, comments: Comments<'s>, inline: bool, context: Context) {
        if comments.clone().next().is_some() {
            self.tasks.push(Task::Comments { comments, inline, context });
        }
    }

    fn run(&mut self, task: Task<'s>) -> Result<(), ParseError> {
        match task {
            Task::End { entry } => self.entries[entry as usize].end = self.entries.len() as u32,
            Task::Comments { comments, inline, context } => {
                let kind = if inline { EntryKind::InlineComment } else { EntryKind::Comment };
                for comment in comments.filter(|comment| !comment.text.is_empty()) {
                    if context.expanded {
                        self.expand_bytes(comment.text.len())?;
                    }
                    self.push(kind, comment.span.start + 1, comment.span.end, context)?;
                }
            }
            Task::Value { node, key, handled, context } => self.read_value(node, key, handled, context)?,
        }
        Ok(())
    }

    fn read_value(
        &mut self,
        node: bulla_yaml::Node<'s>,
        key: u32,
        mut handled: bool,
        context: Context,
    ) -> Result<(), ParseError> {
        let target = node.target();
        let is_alias = node.kind() == Kind::Alias;
        let inner = Context {
            parent: self.entries.len() as u32,
            depth: context.depth + 1,
            expanded: context.expanded || is_alias,
            anchored: self.is_anchored(target, context.anchored) && !is_alias && !context.expanded,
        };
        if is_alias {
            if (target.id()..target.end()).contains(&node.id()) {
                return self.fault(node.span().start, Expected::Cycle);
            }
            handled = false;
        }
        if inner.expanded {
            let content = if target.kind() == Kind::Scalar { target.value().len() } else { 0 };
            let name = if key == NONE { 0 } else { self.stream.node_by_number(key as usize).target().value().len() };
            self.expand_bytes(content + name)?;
        }
        let kind = match target.kind() {
            Kind::Mapping => EntryKind::Mapping,
            Kind::Sequence => EntryKind::Sequence,
            _ => EntryKind::Scalar,
        };
        // Of an alias the content is the target's, but the place its own.
        let entry = self.push(kind, node.number() as u32, key, Context { anchored: inner.anchored, ..context })?;
        self.entries[entry as usize].alias = is_alias;
        match kind {
            EntryKind::Scalar => {
                if target.tag().is_some()
                    && let Err(tag) = value(target)
                {
                    return self.fault(target.span().start, Expected::Tag(tag.to_owned()));
                }
            }
            _ => {
                self.tasks.push(Task::End { entry });
                if !handled {
                    self.later(target.foot(), false, inner);
                }
                if kind == EntryKind::Mapping {
                    self.entries_later(target, inner)?;
                } else {
                    self.items_later(target, inner);
                }
                if !handled {
                    self.later(target.line(), false, inner);
                    self.later(target.head(), false, inner);
                }
            }
        }
        Ok(())
    }

    fn items_later(&mut self, sequence: bulla_yaml::Node<'s>, context: Context) {
        let first = self.tasks.len();
        for item in sequence.children() {
            self.later(item.head(), false, context);
            self.later(item.line(), true, context);
            self.tasks.push(Task::Value { node: item, key: NONE, handled: true, context });
            self.later(item.foot(), false, context);
        }
        self.tasks[first..].reverse();
    }

    fn entries_later(&mut self, mapping: bulla_yaml::Node<'s>, context: Context) -> Result<(), ParseError> {
        let first = self.tasks.len();
        let mut children = mapping.children();
        // Small mappings are searched, large ones indexed.
        let pairs = if context.expanded { 0 } else { mapping.children().count() / 2 };
        self.seen.clear();
        let mut keys: Vec<&str> = Vec::with_capacity(pairs.min(8));
        while let (Some(key), Some(value)) = (children.next(), children.next()) {
            let name = self.key(key)?;
            if !context.expanded {
                let earlier = if pairs > 8 {
                    self.seen.insert(name, key.number()).is_some()
                } else {
                    let known = keys.contains(&name);
                    keys.push(name);
                    known
                };
                if earlier {
                    return self.duplicate(mapping, key, name);
                }
                if name == "<<" && key.resolved() == Resolved::Merge {
                    self.check_merge(value)?;
                }
            }
            self.later(key.head(), false, context);
            self.later(key.line(), false, context);
            let handled = matches!(value.kind(), Kind::Scalar | Kind::Alias);
            if handled {
                self.later(value.head(), false, context);
                self.later(value.line(), true, context);
            }
            self.tasks.push(Task::Value { node: value, key: key.number() as u32, handled, context });
            if handled {
                self.later(value.foot(), false, context);
            }
            self.later(key.foot(), false, context);
        }
        self.tasks[first..].reverse();
        Ok(())
    }

    fn key(&self, key: bulla_yaml::Node<'s>) -> Result<&'s str, ParseError> {
        let target = key.target();
        let name = if target.kind() == Kind::Scalar { text(target) } else { None };
        name.map_or_else(|| self.fault(key.span().start, Expected::Key), Ok)
    }

    fn duplicate(
        &self,
        mapping: bulla_yaml::Node<'s>,
        key: bulla_yaml::Node<'s>,
        name: &str,
    ) -> Result<(), ParseError> {
        let earlier = mapping.children().step_by(2).find(|earlier| earlier.target().value() == name);
        let line = earlier.map_or(0, |earlier| earlier.position().line);
        self.fault(key.span().start, Expected::Duplicate(line))
    }

    fn check_merge(&self, value: bulla_yaml::Node<'s>) -> Result<(), ParseError> {
        let is_mapping = |node: bulla_yaml::Node<'_>| node.target().kind() == Kind::Mapping;
        let fits = is_mapping(value) || (value.kind() == Kind::Sequence && value.children().all(is_mapping));
        if fits { Ok(()) } else { self.fault(value.span().start, Expected::Merge) }
    }
}
