//! YAML as External Secrets reads and writes it: through JSON, by the second version of go-yaml.
//!
//! What is written is what is read as the same by any version. In what is read, `yes` and `on` are true, as in YAML 1.1; all
//! numbers are floats, as in JSON. Dates, tags, merge keys and keys that are floats are refused here.
//!
//! Source: observation of `sigs.k8s.io/yaml` 1.6 on `go.yaml.in/yaml/v2` 2.4.

use std::collections::BTreeMap;

use bulla_wipe::Wiping;
use bulla_yaml::{Kind, Node, Resolved, Style, double_quoted, literal, resolve, string_style};

use crate::error::{Limit, Reason};
use crate::float;
use crate::functions::Type::{Any, Text};
use crate::functions::json::spell_float;
use crate::functions::{Function, function, text};
use crate::number::{parse_float, parse_integer};
use crate::unicode::{is_digit, is_letter};
use crate::value::{self, Item, ListKind, MapKind, Work};

pub(crate) static FUNCTIONS: &[Function] = &[
    function("fromYaml", &[Text], None, |work, arguments| read(work, text(arguments, 0))),
    function("toYaml", &[Any], None, |work, arguments| match write(work, &arguments[0])? {
        Some(text) => work.text(text),
        None => work.text(Vec::new()),
    }),
];

/// Where lines are folded, in characters.
const WIDTH: usize = 80;

/// The item as YAML, without its last line break; `None` where Go cannot write it.
fn write(work: &mut Work, item: &Item) -> Result<Option<Wiping<Vec<u8>>>, Reason> {
    let mut writer = Writer { work, out: Wiping::default(), column: 0, is_whole: true };
    match item {
        Item::List(_) | Item::Map(_) => writer.block(item, 0, true, 0)?,
        item => writer.scalar(item, 2, false)?,
    }
    let Writer { out, is_whole, .. } = writer;
    Ok(is_whole.then_some(out))
}

struct Writer<'w> {
    work: &'w mut Work,
    out: Wiping<Vec<u8>>,
    column: usize,
    is_whole: bool,
}

type Done = Result<(), Reason>;

impl Writer<'_> {
    fn put(&mut self, text: &str) -> Done {
        if self.out.len() + text.len() > self.work.room() {
            return Err(Limit::Memory.into());
        }
        self.out.append(text.as_bytes());
        self.column = match text.rfind('\n') {
            Some(place) => text[place + 1..].chars().count(),
            None => self.column + text.chars().count(),
        };
        Ok(())
    }

    fn line(&mut self, indent: usize) -> Done {
        self.put("\n")?;
        self.put(&" ".repeat(indent))
    }

    /// A list or map, its entries indented by `indent`. `here` says that the first one continues the line.
    fn block(&mut self, item: &Item, indent: usize, here: bool, depth: usize) -> Done {
        if depth > self.work.depth() {
            return Err(Limit::Depth.into());
        }
        let mut here = here;
        match item {
            Item::List(id) => {
                let list = self.work.list_of(*id);
                let (is_nil, items) = (list.is_nil, list.items.clone());
                if items.is_empty() {
                    return self.put(if is_nil { "null" } else { "[]" });
                }
                for item in items {
                    if !std::mem::take(&mut here) {
                        self.line(indent)?;
                    }
                    self.put("-")?;
                    self.value(&item, indent, false, depth + 1)?;
                }
            }
            Item::Map(id) => {
                let map = self.work.map_of(*id);
                let is_nil = map.is_nil;
                let entries: Vec<(value::Text, Item)> =
                    map.entries.iter().map(|(key, item)| (key.clone(), item.clone())).collect();
                if entries.is_empty() {
                    return self.put(if is_nil { "null" } else { "{}" });
                }
                self.work.spend(entries.len())?;
                for (key, item) in in_order(entries) {
                    if !std::mem::take(&mut here) {
                        self.line(indent)?;
                    }
                    if key.len() > 128 || key.contains(&b'\n') {
                        return Err(Reason::Invalid("a key that is longer than 128 bytes or a line"));
                    }
                    self.string(&key, indent + 2, true)?;
                    self.put(":")?;
                    self.value(&item, indent, true, depth + 1)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// What stands behind a key or a dash of a container that is indented by `indent`.
    fn value(&mut self, item: &Item, indent: usize, behind_key: bool, depth: usize) -> Done {
        self.work.spend(1)?;
        let (is_block, is_list) = match item {
            Item::List(id) => (!self.work.list_of(*id).items.is_empty(), true),
            Item::Map(id) => (!self.work.map_of(*id).entries.is_empty(), false),
            _ => (false, false),
        };
        if !is_block || !behind_key {
            self.put(" ")?;
        }
        match item {
            // The dashes of a list stand below its key.
            Item::List(_) | Item::Map(_) => {
                let inner = if is_list && behind_key { indent } else { indent + 2 };
                self.block(item, inner, !(is_block && behind_key), depth)
            }
            item => self.scalar(item, indent + 2, false),
        }
    }

    fn scalar(&mut self, item: &Item, indent: usize, is_key: bool) -> Done {
        match item {
            Item::Text(text) => self.string(text, indent, is_key),
            Item::Bool(bool) => self.put(if *bool { "true" } else { "false" }),
            Item::Int(integer) | Item::Int64(integer) => self.put(&integer.to_string()),
            Item::Byte(byte) => self.put(&byte.to_string()),
            Item::Float(float) => match spell_float(*float) {
                Some(spelled) => {
                    let integer = parse_integer(&spelled, 10).map(|integer| integer.to_string());
                    let unsigned = || spelled.parse::<u64>().ok().map(|integer| integer.to_string());
                    let spelled = integer.or_else(unsigned).unwrap_or_else(|| float::spell(*float, 'g', None));
                    self.put(&spelled)
                }
                None => {
                    self.is_whole = false;
                    Ok(())
                }
            },
            Item::Missing | Item::Nil | Item::List(_) | Item::Map(_) => self.put("null"),
        }
    }

    fn string(&mut self, bytes: &[u8], indent: usize, is_key: bool) -> Done {
        let mut string = Wiping::<String>::default();
        for chunk in bytes.utf8_chunks() {
            string.append(chunk.valid());
            for _ in chunk.invalid() {
                string.append("\u{fffd}");
            }
        }
        // On the way through JSON such characters stand as they are, and YAML has them not, or folds them.
        if string.contains(
            |character| matches!(character, '\u{7f}'..='\u{84}' | '\u{86}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}'),
        ) {
            self.is_whole = false;
            return Ok(());
        }
        if string.contains(['\u{85}', '\u{feff}']) {
            return Err(Reason::Invalid("a character that YAML folds away"));
        }
        let style = match string_style(&string, false) {
            Style::Literal if is_key || string.contains('\t') => Style::DoubleQuoted,
            _ if *string == *"<<" => Style::Plain,
            style => style,
        };
        match style {
            Style::Literal => {
                let hint = string.starts_with([' ', '\n', '\u{2028}', '\u{2029}']).then_some(2);
                let mut block = Wiping::new(literal(&string, indent, hint));
                // The next line begins by itself.
                if block.ends_with('\n') {
                    block.pop();
                }
                self.put(&block)
            }
            Style::Plain => self.folded(&string, indent, is_key, false),
            Style::SingleQuoted => {
                self.put("'")?;
                self.folded(&string, indent, is_key, true)?;
                self.put("'")
            }
            _ => self.double_quoted(&string, indent, is_key),
        }
    }

    /// Plain or between single quotes: broken at a single space behind the last column.
    fn folded(&mut self, text: &str, indent: usize, is_key: bool, quoted: bool) -> Done {
        let mut spaces = false;
        for (place, character) in text.char_indices() {
            if character == ' ' {
                let before_space = text[place + 1..].starts_with(' ');
                let inside = !quoted || place > 0 && place + 1 < text.len();
                if !is_key && !spaces && self.column > WIDTH && inside && !before_space {
                    self.line(indent)?;
                } else {
                    self.put(" ")?;
                }
                spaces = true;
            } else {
                if quoted && character == '\'' {
                    self.put("'")?;
                }
                self.put(character.encode_utf8(&mut [0; 4]))?;
                spaces = false;
            }
        }
        Ok(())
    }

    fn double_quoted(&mut self, text: &str, indent: usize, is_key: bool) -> Done {
        self.put("\"")?;
        let mut spaces = false;
        for (place, character) in text.char_indices() {
            match character {
                ' ' => {
                    if !is_key && !spaces && self.column > WIDTH && place > 0 && place + 1 < text.len() {
                        self.line(indent)?;
                        if text[place + 1..].starts_with(' ') {
                            self.put("\\")?;
                        }
                    } else {
                        self.put(" ")?;
                    }
                }
                '!'..='~' if !matches!(character, '"' | '\\') => self.put(character.encode_utf8(&mut [0; 4]))?,
                _ => {
                    let spelled = double_quoted(character.encode_utf8(&mut [0; 4]));
                    self.put(&spelled[1..spelled.len() - 1])?;
                }
            }
            spaces = character == ' ';
        }
        self.put("\"")
    }
}

/// The entries as go-yaml orders keys: letters behind all else, digits by the number that they are.
fn in_order(entries: Vec<(value::Text, Item)>) -> Vec<(value::Text, Item)> {
    let mut keyed: Vec<(Vec<char>, (value::Text, Item))> = Vec::with_capacity(entries.len());
    for (key, item) in entries {
        let characters: Vec<char> = String::from_utf8_lossy(&key).chars().collect();
        // Not by `sort`, which may panic where this is no order.
        let place = keyed.partition_point(|(known, _)| !is_less(&characters, known));
        keyed.insert(place, (characters, (key, item)));
    }
    keyed.into_iter().map(|(_, entry)| entry).collect()
}

fn is_less(one: &[char], other: &[char]) -> bool {
    for (place, (&a, &b)) in one.iter().zip(other).enumerate() {
        if a == b {
            continue;
        }
        match (is_letter(a), is_letter(b)) {
            (true, true) => return a < b,
            (false, false) => {}
            (_, is_letter) => return is_letter,
        }
        let follows_number = (a == '0' || b == '0')
            && one[..place].iter().rev().take_while(|&&digit| is_digit(digit)).any(|&digit| digit != '0');
        let number = |characters: &[char]| {
            let digits = characters[place..].iter().take_while(|&&digit| is_digit(digit));
            digits.fold((i64::from(follows_number), 0), |(number, count), &digit| {
                (number.wrapping_mul(10).wrapping_add(i64::from(u32::from(digit)) - 48), count + 1)
            })
        };
        let (one, other) = (number(one), number(other));
        return if one == other { a < b } else { one < other };
    }
    one.len() < other.len()
}

/// The map that the first document of `input` is.
fn read(work: &mut Work, input: &[u8]) -> Result<Item, Reason> {
    work.spend(input.len() / 16)?;
    let stream = bulla_yaml::parse(input).map_err(|_| Reason::Invalid("this is no YAML"))?;
    let Some(document) = stream.documents().next() else {
        return work.map(MapKind::Any, BTreeMap::new());
    };
    match convert(work, document.root(), 0)? {
        Item::Nil => work.map(MapKind::Any, BTreeMap::new()),
        map @ Item::Map(_) => Ok(map),
        _ => Err(Reason::Invalid("this is no map")),
    }
}

fn convert(work: &mut Work, node: Node<'_>, depth: usize) -> Result<Item, Reason> {
    if depth > work.depth() {
        return Err(Limit::Depth.into());
    }
    work.spend(1)?;
    if node.is_tagged() {
        return Err(Reason::Invalid("a tag"));
    }
    match node.kind() {
        Kind::Alias => convert(work, node.target(), depth + 1),
        Kind::Scalar => scalar(work, node),
        Kind::Sequence => {
            let items = node.children().map(|child| convert(work, child, depth + 1)).collect::<Result<_, _>>()?;
            work.list(ListKind::Any, items)
        }
        Kind::Mapping => {
            let mut entries = BTreeMap::new();
            let mut children = node.children();
            while let (Some(key), Some(child)) = (children.next(), children.next()) {
                let key = self::key(work, key)?;
                entries.insert(key, convert(work, child, depth + 1)?);
            }
            work.map(MapKind::Any, entries)
        }
    }
}

fn key(work: &mut Work, node: Node<'_>) -> Result<value::Text, Reason> {
    let node = if node.kind() == Kind::Alias { node.target() } else { node };
    if node.kind() != Kind::Scalar || node.is_tagged() {
        return Err(Reason::Invalid("a key that is no text"));
    }
    if node.style() == Style::Plain {
        if node.value() == "<<" {
            return Err(Reason::Invalid("a merge key"));
        }
        match scalar(work, node)? {
            Item::Text(text) => return Ok(text),
            Item::Bool(bool) => return Ok(value::Text::new(if bool { b"true" } else { b"false" })),
            Item::Float(_) => {
                let integer = parse_integer(&node.value().replace('_', ""), 0);
                let spelled = integer.ok_or(Reason::Invalid("a key that is a float"))?.to_string();
                return Ok(value::Text::from(spelled.into_bytes()));
            }
            _ => return Err(Reason::Invalid("a key that is null")),
        }
    }
    Ok(value::Text::new(node.value().as_bytes()))
}

/// What a scalar means in YAML 1.1, as go-yaml 2 has it.
fn scalar(work: &mut Work, node: Node<'_>) -> Result<Item, Reason> {
    let spelled = node.value();
    if node.style() != Style::Plain {
        return work.text(spelled.as_bytes().to_vec());
    }
    match spelled {
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => return Ok(Item::Bool(true)),
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => return Ok(Item::Bool(false)),
        _ => {}
    }
    match resolve(spelled) {
        Resolved::Null => return Ok(Item::Nil),
        Resolved::Bool(bool) => return Ok(Item::Bool(bool)),
        Resolved::Timestamp(_) => return Err(Reason::Invalid("a date")),
        _ => {}
    }
    let is_number = spelled.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '+' | '-' | '.'));
    if is_number {
        let plain = Wiping::new(spelled.replace('_', ""));
        let infinite = spelled.trim_start_matches(['+', '-']).trim_start_matches('.').to_ascii_lowercase();
        if spelled.contains('.') && matches!(&infinite[..], "inf" | "nan") {
            return Err(Reason::Invalid("a number that JSON has not"));
        }
        #[expect(clippy::cast_precision_loss, reason = "JSON's numbers are read as floats")]
        if let Some(integer) = parse_integer(&plain, 0) {
            return Ok(Item::Float(integer as f64));
        }
        let is_decimal =
            plain.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-'));
        if is_decimal && let Some(float) = parse_float(&plain).filter(|float| float.is_finite()) {
            return Ok(Item::Float(float));
        }
    }
    work.text(spelled.as_bytes().to_vec())
}
