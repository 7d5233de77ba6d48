//! The functions of Go itself.

use crate::error::Reason;
use crate::format;
use crate::functions::Type::{Reflected, Text};
use crate::functions::{Body, Function, Type, function};
use crate::unicode::{characters, is_printable};
use crate::value::{Item, ListKind, MapKind, Work};

pub(crate) static FUNCTIONS: &[Function] = &[
    Function { name: "and", fixed: &[Reflected], rest: Some(Reflected), body: Body::And },
    Function { name: "or", fixed: &[Reflected], rest: Some(Reflected), body: Body::Or },
    function("call", &[Reflected], Some(Reflected), |_, _| Err(Reason::Invalid("there is no function to call"))),
    function("eq", &[Reflected], Some(Reflected), |work, arguments| equals_any(work, arguments).map(Item::Bool)),
    function("ge", &[Reflected; 2], None, |work, arguments| less(work, arguments).map(|less| Item::Bool(!less))),
    function("gt", &[Reflected; 2], None, |work, arguments| {
        less_or_equal(work, arguments).map(|less| Item::Bool(!less))
    }),
    function("html", &[], Some(Type::Any), |work, arguments| escaped(work, arguments, html)),
    function("index", &[Reflected], Some(Reflected), index),
    function("js", &[], Some(Type::Any), |work, arguments| escaped(work, arguments, javascript)),
    function("le", &[Reflected; 2], None, |work, arguments| less_or_equal(work, arguments).map(Item::Bool)),
    function("len", &[Reflected], None, length),
    function("lt", &[Reflected; 2], None, |work, arguments| less(work, arguments).map(Item::Bool)),
    function("ne", &[Reflected; 2], None, |work, arguments| {
        equals_any(work, arguments).map(|equal| Item::Bool(!equal))
    }),
    function("not", &[Reflected], None, |work, arguments| Ok(Item::Bool(!work.is_true(&arguments[0])))),
    function("print", &[], Some(Type::Any), |work, arguments| format::print(work, arguments).map(Item::Text)),
    function("printf", &[Text], Some(Type::Any), |work, arguments| match &arguments[0] {
        Item::Text(format) => format::printf(work, format, &arguments[1..]).map(Item::Text),
        _ => Err(Reason::Invalid("the format is no string")),
    }),
    function("println", &[], Some(Type::Any), |work, arguments| format::println(work, arguments).map(Item::Text)),
    function("slice", &[Reflected], Some(Reflected), slice),
    function("urlquery", &[], Some(Type::Any), |work, arguments| escaped(work, arguments, query)),
];

/// How Go compares a value.
#[derive(PartialEq, Eq)]
enum Kind {
    Bool,
    Integer,
    Unsigned,
    Float,
    Text,
    Other,
}

fn kind(item: &Item) -> Kind {
    match item {
        Item::Bool(_) => Kind::Bool,
        Item::Int(_) | Item::Int64(_) => Kind::Integer,
        Item::Byte(_) => Kind::Unsigned,
        Item::Float(_) => Kind::Float,
        Item::Text(_) => Kind::Text,
        Item::Missing | Item::Nil | Item::List(_) | Item::Map(_) => Kind::Other,
    }
}

fn number(item: &Item) -> Option<i64> {
    match item {
        Item::Int(number) | Item::Int64(number) => Some(*number),
        Item::Byte(byte) => Some(i64::from(*byte)),
        _ => None,
    }
}

/// Whether the first equals one of the others.
fn equals_any(work: &mut Work, arguments: &[Item]) -> Result<bool, Reason> {
    let [first, others @ ..] = arguments else {
        return Ok(false);
    };
    if others.is_empty() {
        return Err(Reason::Invalid("there is nothing to compare with"));
    }
    for other in others {
        if equals(work, first, other)? {
            return Ok(true);
        }
    }
    Ok(false)
}

#[expect(clippy::float_cmp, reason = "that is what `eq` does")]
fn equals(work: &Work, one: &Item, other: &Item) -> Result<bool, Reason> {
    let is_absent = |item: &Item| matches!(item, Item::Missing | Item::Nil);
    if let (Some(one), Some(other)) = (number(one), number(other)) {
        return Ok(one == other);
    }
    if kind(one) != kind(other) {
        if is_absent(one) || is_absent(other) {
            return Ok(false);
        }
        return Err(Reason::Type { expected: work.type_name(one), found: work.type_name(other) });
    }
    let is_nil = |item: &Item| match item {
        Item::List(id) => work.list_of(*id).is_nil,
        Item::Map(id) => work.map_of(*id).is_nil,
        item => is_absent(item),
    };
    match (one, other) {
        (Item::Bool(one), Item::Bool(other)) => Ok(one == other),
        (Item::Float(one), Item::Float(other)) => Ok(one == other),
        (Item::Text(one), Item::Text(other)) => Ok(one == other),
        (Item::List(_), Item::Map(_)) | (Item::Map(_), Item::List(_)) => {
            Err(Reason::Invalid("lists and maps cannot be compared"))
        }
        (one, other) if is_nil(one) || is_nil(other) => Ok(is_nil(one) == is_nil(other)),
        _ => Err(Reason::Invalid("lists and maps cannot be compared")),
    }
}

fn less(work: &mut Work, arguments: &[Item]) -> Result<bool, Reason> {
    let [one, other] = arguments else {
        return Ok(false);
    };
    for item in [one, other] {
        if kind(item) == Kind::Other {
            return Err(Reason::Invalid("such values have no order"));
        }
    }
    match (one, other) {
        _ if number(one).is_some() && number(other).is_some() => Ok(number(one) < number(other)),
        (Item::Float(one), Item::Float(other)) => Ok(one < other),
        (Item::Text(one), Item::Text(other)) => Ok(one < other),
        (Item::Bool(_), Item::Bool(_)) => Err(Reason::Invalid("such values have no order")),
        _ => Err(Reason::Type { expected: work.type_name(one), found: work.type_name(other) }),
    }
}

fn less_or_equal(work: &mut Work, arguments: &[Item]) -> Result<bool, Reason> {
    Ok(less(work, arguments)? || equals_any(work, arguments)?)
}

fn length(work: &mut Work, arguments: &[Item]) -> Result<Item, Reason> {
    let length = match &arguments[0] {
        Item::Text(text) => text.len(),
        Item::List(id) => work.list_of(*id).items.len(),
        Item::Map(id) => work.map_of(*id).entries.len(),
        item => return Err(Reason::Type { expected: "string, list or map", found: work.type_name(item) }),
    };
    Ok(Item::Int(length as i64))
}

fn index(work: &mut Work, arguments: &[Item]) -> Result<Item, Reason> {
    let mut item = arguments[0].clone();
    if matches!(item, Item::Missing | Item::Nil) {
        return Err(Reason::Invalid("there is no value to look into"));
    }
    for index in &arguments[1..] {
        item = match &item {
            Item::Text(text) => {
                let place = place(work, index, text.len())?;
                Item::Byte(*text.get(place).ok_or(Reason::Invalid("the index is out of range"))?)
            }
            Item::List(id) => {
                let place = place(work, index, work.list_of(*id).items.len())?;
                work.list_of(*id).items.get(place).cloned().ok_or(Reason::Invalid("the index is out of range"))?
            }
            Item::Map(id) => match index {
                Item::Text(key) => match work.map_of(*id).entries.get(key) {
                    Some(item) => item.clone(),
                    None if work.map_of(*id).kind == MapKind::Any => Item::Nil,
                    None => work.text(Vec::new())?,
                },
                index => return Err(Reason::Type { expected: "string", found: work.type_name(index) }),
            },
            item => return Err(Reason::Type { expected: "string, list or map", found: work.type_name(item) }),
        };
    }
    Ok(item)
}

/// An index that may be `length` itself.
fn place(work: &Work, index: &Item, length: usize) -> Result<usize, Reason> {
    let number = number(index).ok_or(Reason::Type { expected: "int", found: work.type_name(index) })?;
    let place = usize::try_from(number).ok().filter(|place| *place <= length);
    place.ok_or(Reason::Invalid("the index is out of range"))
}

fn slice(work: &mut Work, arguments: &[Item]) -> Result<Item, Reason> {
    let length = match &arguments[0] {
        Item::Text(text) => text.len(),
        Item::List(id) => work.list_of(*id).items.len(),
        item => return Err(Reason::Type { expected: "string or list", found: work.type_name(item) }),
    };
    let places: Vec<usize> = arguments[1..].iter().map(|index| place(work, index, length)).collect::<Result<_, _>>()?;
    let (start, end) = match (&arguments[0], &places[..]) {
        (Item::Text(_), [_, _, _]) | (_, [_, _, _, _, ..]) => return Err(Reason::Invalid("too many indexes")),
        (_, [_, end, capacity]) if end > capacity => return Err(Reason::Invalid("the indexes are not in order")),
        (_, []) => (0, length),
        (_, [start]) => (*start, length),
        (_, [start, end, ..]) => (*start, *end),
    };
    if start > end {
        return Err(Reason::Invalid("the indexes are not in order"));
    }
    match &arguments[0] {
        Item::List(id) => {
            let (kind, items) = (work.list_of(*id).kind, work.list_of(*id).items[start..end].to_vec());
            work.list(kind, items)
        }
        Item::Text(text) => work.text(text[start..end].to_vec()),
        _ => work.list(ListKind::Any, Vec::new()),
    }
}

/// The arguments as `print` writes them, escaped.
fn escaped(work: &mut Work, arguments: &[Item], escape: fn(char, &[u8], &mut Vec<u8>)) -> Result<Item, Reason> {
    // A missing value is printed as an action would print it.
    let printable = |item: &Item| match item {
        Item::Nil | Item::Missing => work.text(b"<no value>".to_vec()),
        item => Ok(item.clone()),
    };
    let arguments: Vec<Item> = arguments.iter().map(printable).collect::<Result<_, _>>()?;
    let text = format::print(work, &arguments)?;
    let mut out = bulla_wipe::Wiping::<Vec<u8>>::with_capacity(text.len());
    for (character, spelling) in characters(&text) {
        let mut unit = Vec::with_capacity(6);
        escape(character, spelling, &mut unit);
        if out.len() > work.room() {
            return Err(crate::error::Limit::Memory.into());
        }
        out.append(&unit);
    }
    work.text(out)
}

fn html(character: char, spelling: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(match character {
        '\0' => "\u{fffd}".as_bytes(),
        '"' => b"&#34;",
        '\'' => b"&#39;",
        '&' => b"&amp;",
        '<' => b"&lt;",
        '>' => b"&gt;",
        _ => spelling,
    });
}

fn javascript(character: char, spelling: &[u8], out: &mut Vec<u8>) {
    match character {
        '\\' => out.extend_from_slice(b"\\\\"),
        '\'' => out.extend_from_slice(b"\\'"),
        '"' => out.extend_from_slice(b"\\\""),
        '<' | '>' | '&' | '=' | '\0'..='\u{1f}' => {
            out.extend_from_slice(format!("\\u{:04X}", u32::from(character)).as_bytes());
        }
        _ if character.is_ascii() || is_printable(character) => out.extend_from_slice(spelling),
        _ => out.extend_from_slice(format!("\\u{:04X}", u32::from(character)).as_bytes()),
    }
}

/// `url.QueryEscape`.
fn query(_: char, spelling: &[u8], out: &mut Vec<u8>) {
    for &byte in spelling {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(byte),
            b' ' => out.push(b'+'),
            _ => out.extend_from_slice(format!("%{byte:02X}").as_bytes()),
        }
    }
}
