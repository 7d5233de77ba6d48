//! Functions over values of any type: defaults, types, equality.

use crate::error::{Limit, Reason};
use crate::functions::Type::{Any, Bool, Text};
use crate::functions::{Function, function, text};
use crate::value::{Item, Work};

pub(crate) static FUNCTIONS: &[Function] = &[
    function("all", &[], Some(Any), |work, arguments| {
        Ok(Item::Bool(!arguments.iter().any(|item| is_empty(work, item))))
    }),
    function("any", &[], Some(Any), |work, arguments| {
        Ok(Item::Bool(!arguments.iter().all(|item| is_empty(work, item))))
    }),
    function("coalesce", &[], Some(Any), |work, arguments| {
        Ok(arguments.iter().find(|item| !is_empty(work, item)).cloned().unwrap_or(Item::Nil))
    }),
    function("deepEqual", &[Any; 2], None, |work, arguments| equal(work, &arguments[0], &arguments[1]).map(Item::Bool)),
    function("default", &[Any], Some(Any), |work, arguments| {
        Ok(arguments.get(1).filter(|given| !is_empty(work, given)).unwrap_or(&arguments[0]).clone())
    }),
    function("empty", &[Any], None, |work, arguments| Ok(Item::Bool(is_empty(work, &arguments[0])))),
    function("fail", &[Text], None, |_, _| Err(Reason::Failed)),
    function("hello", &[], None, |work, _| work.text(b"Hello!".to_vec())),
    function("kindIs", &[Text, Any], None, |_, arguments| {
        Ok(Item::Bool(kind(&arguments[1]).as_bytes() == text(arguments, 0)))
    }),
    function("kindOf", &[Any], None, |work, arguments| work.text(kind(&arguments[0]).as_bytes().to_vec())),
    function("ternary", &[Any, Any, Bool], None, |_, arguments| {
        Ok(arguments[usize::from(!matches!(arguments[2], Item::Bool(true)))].clone())
    }),
    function("typeIs", &[Text, Any], None, |work, arguments| {
        Ok(Item::Bool(work.type_name(&arguments[1]).as_bytes() == text(arguments, 0)))
    }),
    function("typeIsLike", &[Text, Any], None, |work, arguments| {
        let (name, pointer) = (work.type_name(&arguments[1]), [b"*", text(arguments, 0)].concat());
        Ok(Item::Bool(name.as_bytes() == text(arguments, 0) || name.as_bytes() == pointer))
    }),
    function("typeOf", &[Any], None, |work, arguments| {
        let name = work.type_name(&arguments[0]);
        work.text(name.as_bytes().to_vec())
    }),
];

/// Sprig's `empty`: the zero value of its type.
pub(crate) fn is_empty(work: &Work, item: &Item) -> bool {
    !work.is_true(item)
}

fn kind(item: &Item) -> &'static str {
    match item {
        Item::Missing | Item::Nil => "invalid",
        Item::Bool(_) => "bool",
        Item::Int(_) => "int",
        Item::Int64(_) => "int64",
        Item::Byte(_) => "uint8",
        Item::Float(_) => "float64",
        Item::Text(_) => "string",
        Item::List(_) => "slice",
        Item::Map(_) => "map",
    }
}

/// `reflect.DeepEqual`: of the same type, and so is everything in it.
pub(crate) fn equal(work: &mut Work, one: &Item, other: &Item) -> Result<bool, Reason> {
    equal_at(work, one, other, 0)
}

#[expect(clippy::float_cmp, reason = "that is what it does")]
fn equal_at(work: &mut Work, one: &Item, other: &Item, depth: usize) -> Result<bool, Reason> {
    if depth > work.depth() {
        return Err(Limit::Depth.into());
    }
    work.spend(1)?;
    if work.type_name(one) != work.type_name(other) {
        return Ok(false);
    }
    let pairs: Vec<(Item, Item)> = match (one, other) {
        (Item::Missing | Item::Nil, Item::Missing | Item::Nil) => return Ok(true),
        (Item::Bool(one), Item::Bool(other)) => return Ok(one == other),
        (Item::Int(one), Item::Int(other)) | (Item::Int64(one), Item::Int64(other)) => return Ok(one == other),
        (Item::Byte(one), Item::Byte(other)) => return Ok(one == other),
        (Item::Float(one), Item::Float(other)) => return Ok(one == other),
        (Item::Text(one), Item::Text(other)) => {
            work.read(one.len().min(other.len()))?;
            return Ok(one == other);
        }
        (Item::List(one), Item::List(other)) => {
            let (one, other) = (work.list_of(*one), work.list_of(*other));
            if one.is_nil != other.is_nil || one.items.len() != other.items.len() {
                return Ok(false);
            }
            one.items.iter().cloned().zip(other.items.iter().cloned()).collect()
        }
        (Item::Map(one), Item::Map(other)) => {
            let (one, other) = (work.map_of(*one), work.map_of(*other));
            if one.is_nil != other.is_nil || !one.entries.keys().eq(other.entries.keys()) {
                return Ok(false);
            }
            one.entries.values().cloned().zip(other.entries.values().cloned()).collect()
        }
        _ => return Ok(false),
    };
    work.spend(pairs.len())?;
    for (one, other) in pairs {
        if !equal_at(work, &one, &other, depth + 1)? {
            return Ok(false);
        }
    }
    Ok(true)
}
