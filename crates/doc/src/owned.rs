//! Trees that are not in a file yet: metadata, what an alias stood for, new documents.

use bulla_wipe::Wiping;
use bulla_yaml::{Timestamp, Writer, double_quoted};

use crate::Format;
use crate::spell::{json_string, json_value, plain_value};
use crate::tree::{Kind, Node, Value};

/// A tree of values.
#[derive(Clone, Debug, PartialEq)]
pub enum Tree {
    /// Entries in order.
    Mapping(Vec<Item>),
    /// Items in order.
    Sequence(Vec<Item>),
    /// A value.
    Scalar(Scalar),
}

/// Something in a container.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// A line of a comment.
    Comment {
        /// What stands behind the `#`.
        text: String,
        /// Does it stand on the line of the value that follows here?
        inline: bool,
    },
    /// Of a mapping.
    Entry {
        /// Its key.
        key: String,
        /// Its value.
        value: Tree,
    },
    /// Of a list.
    Element(Tree),
}

/// An owned [`Value`].
#[derive(Clone, PartialEq)]
pub enum Scalar {
    /// Nothing.
    Null,
    /// A boolean.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A floating point number.
    Float(f64),
    /// A date and time.
    Time(Timestamp),
    /// Text or bytes; wiped when dropped.
    String(Wiping<Vec<u8>>),
}

impl std::fmt::Debug for Scalar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Scalar(..)")
    }
}

impl Scalar {
    /// A view of it.
    pub fn as_value(&self) -> Value<'_> {
        match self {
            Scalar::Null => Value::Null,
            Scalar::Bool(value) => Value::Bool(*value),
            Scalar::Int(value) => Value::Int(*value),
            Scalar::Float(value) => Value::Float(*value),
            Scalar::Time(value) => Value::Time(*value),
            Scalar::String(bytes) => Value::String(bytes.as_slice().into()),
        }
    }
}

impl From<&Value<'_>> for Scalar {
    fn from(value: &Value<'_>) -> Scalar {
        match value {
            Value::Null => Scalar::Null,
            Value::Bool(value) => Scalar::Bool(*value),
            Value::Int(value) => Scalar::Int(*value),
            #[expect(clippy::cast_precision_loss, reason = "there is no wider integer; SOPS refuses such values")]
            Value::Unsigned(value) => Scalar::Float(*value as f64),
            Value::Float(value) => Scalar::Float(*value),
            Value::Time(value) => Scalar::Time(*value),
            Value::String(bytes) => Scalar::String(Wiping::new(bytes.to_vec())),
        }
    }
}

impl Tree {
    /// A string.
    pub fn string(text: &str) -> Tree {
        Tree::Scalar(Scalar::String(Wiping::new(text.as_bytes().to_vec())))
    }

    /// A mapping of these entries.
    pub fn mapping<K: Into<String>>(entries: impl IntoIterator<Item = (K, Tree)>) -> Tree {
        Tree::Mapping(entries.into_iter().map(|(key, value)| Item::Entry { key: key.into(), value }).collect())
    }

    /// A list of these items.
    pub fn sequence(items: impl IntoIterator<Item = Tree>) -> Tree {
        Tree::Sequence(items.into_iter().map(Item::Element).collect())
    }

    /// Everything in `node`. Trees are worked on by recursion: [`Node::is_deeper_than`] tells beforehand which are too deep for it.
    pub fn copy_of(node: Node<'_>) -> Tree {
        let item = |child: Node<'_>| match (child.kind(), child.key()) {
            (Kind::Comment, _) => Item::Comment { text: child.comment().to_owned(), inline: child.is_inline() },
            (_, Some(key)) => Item::Entry { key: key.to_owned(), value: Tree::copy_of(child) },
            (_, None) => Item::Element(Tree::copy_of(child)),
        };
        match node.kind() {
            Kind::Mapping => Tree::Mapping(node.children().map(item).collect()),
            Kind::Sequence => Tree::Sequence(node.children().map(item).collect()),
            Kind::Scalar | Kind::Comment => Tree::Scalar(Scalar::from(&node.value())),
        }
    }

    /// How many containers lie one in the other, itself included.
    pub fn depth(&self) -> usize {
        let mut deepest = 0;
        let mut waiting = vec![(self, 0)];
        while let Some((tree, around)) = waiting.pop() {
            let (Tree::Mapping(items) | Tree::Sequence(items)) = tree else { continue };
            deepest = deepest.max(around + 1);
            waiting.extend(items.iter().filter_map(|item| match item {
                Item::Comment { .. } => None,
                Item::Entry { value, .. } | Item::Element(value) => Some((value, around + 1)),
            }));
        }
        deepest
    }

    /// On one line, as a flow collection of YAML or as JSON.
    pub(crate) fn on_one_line(&self, format: Format) -> Wiping<String> {
        let mut text = Wiping::default();
        self.append_to_line(&mut text, format);
        text
    }

    fn append_to_line(&self, text: &mut Wiping<String>, format: Format) {
        let string = |text: &str| {
            Wiping::new(match format {
                Format::Yaml => double_quoted(text),
                _ => json_string(text),
            })
        };
        let (open, close, items) = match self {
            Tree::Scalar(scalar) => {
                let spelt = match (scalar.as_value(), format) {
                    (Value::String(bytes), Format::Yaml) => match std::str::from_utf8(&bytes) {
                        Ok(text) => double_quoted(text),
                        Err(_) => format!("!!binary \"{}\"", base64_of(&bytes)),
                    },
                    (value, Format::Yaml) => plain_value(&value).unwrap_or_default(),
                    (value, _) => json_value(&value),
                };
                return text.append(&Wiping::new(spelt));
            }
            Tree::Mapping(items) => ("{", "}", items),
            Tree::Sequence(items) => ("[", "]", items),
        };
        text.append(open);
        let mut is_first = true;
        for item in items {
            let (key, value) = match (self, item) {
                (Tree::Mapping(_), Item::Entry { key, value }) => (Some(key), value),
                (Tree::Sequence(_), Item::Element(value)) => (None, value),
                _ => continue,
            };
            if !is_first {
                text.append(", ");
            }
            is_first = false;
            if let Some(key) = key {
                text.append(&string(key));
                text.append(": ");
            }
            value.append_to_line(text, format);
        }
        text.append(close);
    }

    /// Hands the tree to a writer as the value of the key, or the item, that was begun.
    pub(crate) fn feed(&self, writer: &mut Writer) {
        match self {
            Tree::Scalar(scalar) => feed_scalar(&scalar.as_value(), writer),
            Tree::Mapping(items) | Tree::Sequence(items) => {
                if matches!(self, Tree::Mapping(_)) {
                    writer.start_mapping();
                } else {
                    writer.start_sequence();
                }
                feed_items(items, writer);
                writer.end();
            }
        }
    }

    /// With `indent` of JSON for each level, and `depth` levels around it.
    pub(crate) fn write_json(&self, text: &mut String, indent: &str, depth: usize) {
        let (open, close, items) = match self {
            Tree::Scalar(scalar) => return text.push_str(&json_value(&scalar.as_value())),
            Tree::Mapping(items) => ('{', '}', items),
            Tree::Sequence(items) => ('[', ']', items),
        };
        text.push(open);
        let mut first = true;
        for item in items {
            let value = match item {
                Item::Comment { .. } => continue,
                Item::Entry { value, .. } | Item::Element(value) => value,
            };
            text.push_str(if first { "\n" } else { ",\n" });
            first = false;
            text.extend(std::iter::repeat_n(indent, depth + 1));
            if let Item::Entry { key, .. } = item {
                text.push_str(&json_string(key));
                text.push_str(": ");
            }
            value.write_json(text, indent, depth + 1);
        }
        if !first {
            text.push('\n');
            text.extend(std::iter::repeat_n(indent, depth));
        }
        text.push(close);
    }
}

fn base64_of(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

pub(crate) fn feed_items(items: &[Item], writer: &mut Writer) {
    for item in items {
        match item {
            Item::Comment { text, inline: true } => writer.inline_comment(text),
            Item::Comment { text, inline: false } => writer.comment(text),
            Item::Entry { key, value } => {
                writer.key(key);
                value.feed(writer);
            }
            Item::Element(value) => value.feed(writer),
        }
    }
}

pub(crate) fn feed_scalar(value: &Value<'_>, writer: &mut Writer) {
    match value {
        Value::String(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => writer.string(text),
            Err(_) => writer.plain(&format!("!!binary {}", base64_of(bytes))),
        },
        value => writer.plain(&plain_value(value).unwrap_or_default()),
    }
}
