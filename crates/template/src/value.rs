//! The data of templates, and the values that they make of it.
//!
//! ```text
//! Value ─ given by the caller, a tree ──▶ Item: what a template handles; lists and maps lie in a Work and are named by number
//! ```
//! Lists and maps are named by number because maps may be changed by templates (`set`), and so may come to contain
//! themselves. They live as long as the execution; what a [`Work`] may hold is limited. Texts are wiped when they go.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use bulla_wipe::Wiping;

use crate::error::{Limit, Reason};
use crate::options::Limits;

/// Data for a template, in Go's types.
#[derive(Clone, Default)]
pub enum Value {
    /// `nil`.
    #[default]
    Nil,
    /// `bool`.
    Bool(bool),
    /// `int`.
    Int(i64),
    /// `float64`.
    Float(f64),
    /// `string`: any bytes.
    String(Wiping<Vec<u8>>),
    /// `[]any`.
    List(Vec<Value>),
    /// `map[string]any`.
    Map(BTreeMap<String, Value>),
    /// `map[string]string`: what both upstreams give to their templates. Functions that take a `map[string]any` refuse it.
    Strings(BTreeMap<String, Wiping<Vec<u8>>>),
}

impl Value {
    /// A string of these bytes.
    pub fn string(bytes: impl Into<Vec<u8>>) -> Self {
        Self::String(Wiping::new(bytes.into()))
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nil => "Nil",
            Self::Bool(_) => "Bool(..)",
            Self::Int(_) => "Int(..)",
            Self::Float(_) => "Float(..)",
            Self::String(_) => "String(..)",
            Self::List(_) => "List(..)",
            Self::Map(_) => "Map(..)",
            Self::Strings(_) => "Strings(..)",
        })
    }
}

/// Bytes that are shared, and wiped when the last owner goes.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Text(Arc<Wiping<Vec<u8>>>);

impl Text {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        Self::from(bytes.to_vec())
    }
}

impl From<Vec<u8>> for Text {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Wiping::new(bytes)))
    }
}

impl From<Wiping<Vec<u8>>> for Text {
    fn from(bytes: Wiping<Vec<u8>>) -> Self {
        Self(Arc::new(bytes))
    }
}

impl Deref for Text {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl Borrow<[u8]> for Text {
    fn borrow(&self) -> &[u8] {
        self
    }
}

impl Ord for Text {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (**self).cmp(&**other)
    }
}

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// A value while a template is executed.
#[derive(Clone)]
pub(crate) enum Item {
    /// No value at all, as of a key that is missing: Go's zero `reflect.Value`.
    Missing,
    /// A `nil` that stands in a list or map.
    Nil,
    Bool(bool),
    /// `int`.
    Int(i64),
    /// `int64`.
    Int64(i64),
    /// `uint8`: one byte of a string.
    Byte(u8),
    Float(f64),
    Text(Text),
    List(ListId),
    Map(MapId),
}

/// Which list of a [`Work`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct ListId(usize);

/// Which map of a [`Work`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct MapId(usize);

/// What a list holds, in Go's types.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ListKind {
    /// `[]interface {}`.
    Any,
    /// `[]string`.
    Strings,
    /// `[]int`.
    Ints,
    /// `[][]interface {}`.
    Lists,
}

/// What a map holds, in Go's types.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum MapKind {
    /// `map[string]interface {}`.
    Any,
    /// `map[string]string`.
    Strings,
}

/// A list.
pub(crate) struct List {
    pub(crate) kind: ListKind,
    /// Go's nil, which behaves as an empty list but for `null` in JSON.
    pub(crate) is_nil: bool,
    pub(crate) items: Vec<Item>,
}

/// A map, in the order of its keys' bytes.
pub(crate) struct Map {
    pub(crate) kind: MapKind,
    /// Go's nil, in which nothing can be set.
    pub(crate) is_nil: bool,
    pub(crate) entries: BTreeMap<Text, Item>,
}

/// What an execution has made, and what it still may do.
pub(crate) struct Work {
    lists: Vec<List>,
    maps: Vec<Map>,
    steps: u64,
    memory: usize,
    depth: usize,
}

/// What an item of a list or map is taken to need beside its text, in bytes.
const ITEM: usize = 64;

impl Work {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { lists: Vec::new(), maps: Vec::new(), steps: limits.steps, memory: limits.memory, depth: limits.depth }
    }

    /// Takes `steps` from what may still be done.
    pub(crate) fn spend(&mut self, steps: usize) -> Result<(), Reason> {
        let steps = u64::try_from(steps).unwrap_or(u64::MAX);
        self.steps = self.steps.checked_sub(steps).ok_or(Limit::Steps)?;
        Ok(())
    }

    /// What may still be done.
    pub(crate) fn steps(&self) -> u64 {
        self.steps
    }

    /// Takes the steps of reading `bytes`.
    pub(crate) fn read(&mut self, bytes: usize) -> Result<(), Reason> {
        self.spend(bytes / 256)
    }

    /// Takes `bytes` from what may still be made; asked before they are.
    pub(crate) fn allow(&mut self, bytes: usize) -> Result<(), Reason> {
        self.memory = self.memory.checked_sub(bytes).ok_or(Limit::Memory)?;
        Ok(())
    }

    /// How many bytes may still be made.
    pub(crate) fn room(&self) -> usize {
        self.memory
    }

    /// How deeply values may be nested.
    pub(crate) fn depth(&self) -> usize {
        self.depth
    }

    /// A text, paid for.
    pub(crate) fn text(&mut self, bytes: impl Into<Text>) -> Result<Item, Reason> {
        let text = bytes.into();
        self.allow(text.len() + ITEM)?;
        Ok(Item::Text(text))
    }

    pub(crate) fn list(&mut self, kind: ListKind, items: Vec<Item>) -> Result<Item, Reason> {
        self.allow((items.len() + 1) * ITEM)?;
        self.lists.push(List { kind, is_nil: false, items });
        Ok(Item::List(ListId(self.lists.len() - 1)))
    }

    pub(crate) fn nil_list(&mut self, kind: ListKind) -> Result<Item, Reason> {
        self.allow(ITEM)?;
        self.lists.push(List { kind, is_nil: true, items: Vec::new() });
        Ok(Item::List(ListId(self.lists.len() - 1)))
    }

    pub(crate) fn map(&mut self, kind: MapKind, entries: BTreeMap<Text, Item>) -> Result<Item, Reason> {
        self.allow((entries.len() + 1) * 2 * ITEM)?;
        self.maps.push(Map { kind, is_nil: false, entries });
        Ok(Item::Map(MapId(self.maps.len() - 1)))
    }

    pub(crate) fn nil_map(&mut self) -> Result<Item, Reason> {
        self.allow(ITEM)?;
        self.maps.push(Map { kind: MapKind::Any, is_nil: true, entries: BTreeMap::new() });
        Ok(Item::Map(MapId(self.maps.len() - 1)))
    }

    pub(crate) fn list_of(&self, id: ListId) -> &List {
        &self.lists[id.0]
    }

    pub(crate) fn map_of(&self, id: MapId) -> &Map {
        &self.maps[id.0]
    }

    /// Sets a key of a map, for all who have it.
    pub(crate) fn set(&mut self, id: MapId, key: Text, item: Item) -> Result<(), Reason> {
        self.allow(2 * ITEM)?;
        self.maps[id.0].entries.insert(key, item);
        Ok(())
    }

    /// Removes a key of a map, for all who have it.
    pub(crate) fn unset(&mut self, id: MapId, key: &[u8]) {
        self.maps[id.0].entries.remove(key);
    }

    /// Takes over what the caller gave. Its memory is not counted, since the caller has it already; but reading it is.
    pub(crate) fn import(&mut self, value: &Value, depth: usize) -> Result<Item, Reason> {
        if depth > self.depth {
            return Err(Limit::Depth.into());
        }
        self.spend(1)?;
        let (kind, entries) = match value {
            Value::Nil => return Ok(if depth == 0 { Item::Missing } else { Item::Nil }),
            Value::Bool(bool) => return Ok(Item::Bool(*bool)),
            Value::Int(integer) => return Ok(Item::Int(*integer)),
            Value::Float(float) => return Ok(Item::Float(*float)),
            Value::String(bytes) => {
                self.read(bytes.len())?;
                return Ok(Item::Text(Text::from(bytes.clone())));
            }
            Value::List(values) => {
                let items = values.iter().map(|value| self.import(value, depth + 1)).collect::<Result<_, _>>()?;
                self.lists.push(List { kind: ListKind::Any, is_nil: false, items });
                return Ok(Item::List(ListId(self.lists.len() - 1)));
            }
            Value::Map(entries) => {
                let item = |(key, value): (&String, _)| Ok((Text::new(key.as_bytes()), self.import(value, depth + 1)?));
                (MapKind::Any, entries.iter().map(item).collect::<Result<_, Reason>>()?)
            }
            Value::Strings(entries) => {
                self.spend(entries.len())?;
                self.read(entries.values().map(|text| text.len()).sum())?;
                let item = |(key, value): (&String, &Wiping<Vec<u8>>)| {
                    (Text::new(key.as_bytes()), Item::Text(Text::from(value.clone())))
                };
                (MapKind::Strings, entries.iter().map(item).collect())
            }
        };
        self.maps.push(Map { kind, is_nil: false, entries });
        Ok(Item::Map(MapId(self.maps.len() - 1)))
    }

    /// Go's name of the item's type.
    pub(crate) fn type_name(&self, item: &Item) -> &'static str {
        match item {
            Item::Missing | Item::Nil => "<nil>",
            Item::Bool(_) => "bool",
            Item::Int(_) => "int",
            Item::Int64(_) => "int64",
            Item::Byte(_) => "uint8",
            Item::Float(_) => "float64",
            Item::Text(_) => "string",
            Item::List(id) => match self.list_of(*id).kind {
                ListKind::Any => "[]interface {}",
                ListKind::Strings => "[]string",
                ListKind::Ints => "[]int",
                ListKind::Lists => "[][]interface {}",
            },
            Item::Map(id) => match self.map_of(*id).kind {
                MapKind::Any => "map[string]interface {}",
                MapKind::Strings => "map[string]string",
            },
        }
    }

    /// Whether `if` takes it as true.
    pub(crate) fn is_true(&self, item: &Item) -> bool {
        match item {
            Item::Missing | Item::Nil => false,
            Item::Bool(bool) => *bool,
            Item::Int(integer) | Item::Int64(integer) => *integer != 0,
            Item::Byte(byte) => *byte != 0,
            Item::Float(float) => *float != 0.0,
            Item::Text(text) => !text.is_empty(),
            Item::List(id) => !self.list_of(*id).items.is_empty(),
            Item::Map(id) => !self.map_of(*id).entries.is_empty(),
        }
    }
}
