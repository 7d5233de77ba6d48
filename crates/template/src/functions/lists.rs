//! Functions over lists. Lists are never changed: each function makes a new one.

use crate::error::Reason;
use crate::functions::Type::{Any, Int};
use crate::functions::general::{equal, is_empty};
use crate::functions::numbers::to_int;
use crate::functions::{Function, function, integer, items, spelled, texts};
use crate::value::{Item, ListKind, Work};

pub(crate) static FUNCTIONS: &[Function] = &[
    function("append", &[Any; 2], None, append),
    function("mustAppend", &[Any; 2], None, append),
    function("push", &[Any; 2], None, append),
    function("mustPush", &[Any; 2], None, append),
    function("chunk", &[Int, Any], None, chunk),
    function("mustChunk", &[Int, Any], None, chunk),
    function("compact", &[Any], None, compact),
    function("mustCompact", &[Any], None, compact),
    function("concat", &[], Some(Any), concat),
    function("first", &[Any], None, first),
    function("mustFirst", &[Any], None, first),
    function("has", &[Any; 2], None, has),
    function("mustHas", &[Any; 2], None, has),
    function("initial", &[Any], None, initial),
    function("mustInitial", &[Any], None, initial),
    function("last", &[Any], None, last),
    function("mustLast", &[Any], None, last),
    function("list", &[], Some(Any), |work, arguments| work.list(ListKind::Any, arguments.to_vec())),
    function("tuple", &[], Some(Any), |work, arguments| work.list(ListKind::Any, arguments.to_vec())),
    function("prepend", &[Any; 2], None, prepend),
    function("mustPrepend", &[Any; 2], None, prepend),
    function("rest", &[Any], None, rest),
    function("mustRest", &[Any], None, rest),
    function("reverse", &[Any], None, reverse),
    function("mustReverse", &[Any], None, reverse),
    function("slice", &[Any], Some(Any), slice),
    function("mustSlice", &[Any], Some(Any), slice),
    function("sortAlpha", &[Any], None, sort),
    function("uniq", &[Any], None, unique),
    function("mustUniq", &[Any], None, unique),
    function("without", &[Any], Some(Any), without),
    function("mustWithout", &[Any], Some(Any), without),
];

fn append(work: &mut Work, arguments: &[Item]) -> Result<Item, Reason> {
    let mut list = items(work, &arguments[0])?;
    list.push(arguments[1].clone());
    work.list(ListKind::Any, list)
}

fn prepend(work: &mut Work, arguments: &[Item]) -> Result<Item, Reason> {
    let mut list = items(work, &arguments[0])?;
    list.insert(0, arguments[1].clone());
    work.list(ListKind::Any, list)
}

fn chunk(work: &mut Work, arguments: &[Item]) -> Result<Item, Reason> {
    let list = items(work, &arguments[1])?;
    let size = usize::try_from(integer(arguments, 0)).ok().filter(|size| *size > 0);
    let size = size.ok_or(Reason::Invalid("a chunk has to have a size"))?;
    let chunks = list.chunks(size).map(|chunk| work.list(ListKind::Any, chunk.to_vec())).collect::<Result<_, _>>()?;
    work.list(ListKind::Lists, chunks)
}

fn compact(work: &mut Work, arguments: &[Item]) -> Result<Item, Reason> {
    let list = items(work, &arguments[0])?;
    let kept = list.into_iter().filter(|item| !is_empty(work, item)).collect();
    work.list(ListKind::Any, kept)
}

fn concat(work: &mut Work, arguments: &[Item]) -> Result<Item, Reason> {
    let mut all = Vec::new();
    for list in arguments {
        all.extend(items(work, list)?);
        work.allow(all.len())?;
    }
    if all.is_empty() { work.nil_list(ListKind::Any) } else { work.list(ListKind::Any, all) }
}

fn first(work: &mut Work, arguments: &[Item]) -> Result<Item, Reason> {
    Ok(items(work, &arguments[0])?.into_iter().next().unwrap_or(Item::Nil))
}

fn last(work: &mut Work, arguments: &[Item]) -> Result<Item, Reason> {
    Ok(items(work, &arguments[0])?.pop().unwrap_or(Item::Nil))
}

fn rest(work: &mut Work, arguments: &[Item]) -> Result<Item, Reason> {
    let list = items(work, &arguments[0])?;
    match list.split_first() {
        Some((_, rest)) => work.list(ListKind::Any, rest.to_vec()),
        None => work.nil_list(ListKind::Any),
    }
}

fn initial(work: &mut Work, arguments: &[Item]) -> Result<Item, Reason> {
    let mut list = items(work, &arguments[0])?;
    match list.pop() {
        Some(_) => work.list(ListKind::Any, list),
        None => work.nil_list(ListKind::Any),
    }
}

fn reverse(work: &mut Work, arguments: &[Item]) -> Result<Item, Reason> {
    let list = items(work, &arguments[0])?.into_iter().rev().collect();
    work.list(ListKind::Any, list)
}

fn has(work: &mut Work, arguments: &[Item]) -> Result<Item, Reason> {
    if matches!(arguments[1], Item::Nil) {
        return Ok(Item::Bool(false));
    }
    let list = items(work, &arguments[1])?;
    contains(work, &list, &arguments[0]).map(Item::Bool)
}

fn contains(work: &mut Work, list: &[Item], item: &Item) -> Result<bool, Reason> {
    for one in list {
        if equal(work, item, one)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn unique(work: &mut Work, arguments: &[Item]) -> Result<Item, Reason> {
    let mut kept = Vec::new();
    for item in items(work, &arguments[0])? {
        if !contains(work, &kept, &item)? {
            kept.push(item);
        }
    }
    work.list(ListKind::Any, kept)
}

fn without(work: &mut Work, arguments: &[Item]) -> Result<Item, Reason> {
    let mut kept = Vec::new();
    for item in items(work, &arguments[0])? {
        if !contains(work, &arguments[1..], &item)? {
            kept.push(item);
        }
    }
    work.list(ListKind::Any, kept)
}

/// Sprig's, which takes the place of Go's and takes no strings.
fn slice(work: &mut Work, arguments: &[Item]) -> Result<Item, Reason> {
    let list = items(work, &arguments[0])?;
    let kind = if let Item::List(id) = arguments[0] { work.list_of(id).kind } else { ListKind::Any };
    if list.is_empty() {
        return Ok(Item::Nil);
    }
    let start = arguments.get(1).map_or(0, to_int);
    let end = arguments.get(2).map_or(list.len() as i64, to_int);
    let range = usize::try_from(start).ok().zip(usize::try_from(end).ok());
    let part =
        range.and_then(|(start, end)| list.get(start..end)).ok_or(Reason::Invalid("the index is out of range"))?;
    work.list(kind, part.to_vec())
}

fn sort(work: &mut Work, arguments: &[Item]) -> Result<Item, Reason> {
    let mut all = match &arguments[0] {
        list @ Item::List(_) => texts(work, list)?,
        item => vec![spelled(work, item)?],
    };
    work.spend(all.len().saturating_mul(all.len().max(1).ilog2() as usize) / 8)?;
    all.sort();
    work.list(ListKind::Strings, all.into_iter().map(Item::Text).collect())
}
