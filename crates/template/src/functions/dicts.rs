//! Functions over maps with keys that are strings. `set` and `unset` change the map that they are given.
//!
//! Go has no order of keys; here `keys` and `values` follow the keys' bytes, so that the same data gives the same Secret.

use std::collections::BTreeMap;

use crate::error::{Limit, Reason};
use crate::functions::Type::{Any, Map as Dict, Text as Key};
use crate::functions::{Function, function, spelled};
use crate::value::{Item, ListKind, MapId, MapKind, Text, Work};

pub(crate) static FUNCTIONS: &[Function] = &[
    function("deepCopy", &[Any], None, |work, arguments| copy_present(work, &arguments[0])),
    function("mustDeepCopy", &[Any], None, |work, arguments| copy_present(work, &arguments[0])),
    function("dict", &[], Some(Any), dict),
    function("dig", &[], Some(Any), dig),
    function("get", &[Dict, Key], None, |work, arguments| {
        let (id, key) = (map(&arguments[0])?, key(&arguments[1])?);
        let found = work.map_of(id).entries.get(&key).cloned();
        found.map_or_else(|| work.text(Vec::new()), Ok)
    }),
    function("hasKey", &[Dict, Key], None, |work, arguments| {
        let (id, key) = (map(&arguments[0])?, key(&arguments[1])?);
        Ok(Item::Bool(work.map_of(id).entries.contains_key(&key)))
    }),
    function("keys", &[], Some(Dict), |work, arguments| {
        let mut keys = Vec::new();
        for item in arguments {
            let id = map(item)?;
            work.spend(work.map_of(id).entries.len())?;
            keys.extend(work.map_of(id).entries.keys().cloned().map(Item::Text));
        }
        work.list(ListKind::Strings, keys)
    }),
    // What cannot be merged is nothing in sprig, but an error with `must`. There is no such pair of maps here.
    function("merge", &[Dict], Some(Dict), |work, arguments| merged(work, arguments, false)),
    function("mergeOverwrite", &[Dict], Some(Dict), |work, arguments| merged(work, arguments, true)),
    function("mustMerge", &[Dict], Some(Dict), |work, arguments| merged(work, arguments, false)),
    function("mustMergeOverwrite", &[Dict], Some(Dict), |work, arguments| merged(work, arguments, true)),
    function("omit", &[Dict], Some(Key), |work, arguments| chosen(work, arguments, false)),
    function("pick", &[Dict], Some(Key), |work, arguments| chosen(work, arguments, true)),
    function("pluck", &[Key], Some(Dict), |work, arguments| {
        let key = key(&arguments[0])?;
        let mut found = Vec::new();
        for item in &arguments[1..] {
            found.extend(work.map_of(map(item)?).entries.get(&key).cloned());
        }
        work.list(ListKind::Any, found)
    }),
    function("set", &[Dict, Key, Any], None, |work, arguments| {
        let (id, key) = (map(&arguments[0])?, key(&arguments[1])?);
        if work.map_of(id).is_nil {
            return Err(Reason::Invalid("nothing can be set in nil"));
        }
        work.set(id, key, arguments[2].clone())?;
        Ok(arguments[0].clone())
    }),
    function("unset", &[Dict, Key], None, |work, arguments| {
        work.unset(map(&arguments[0])?, &key(&arguments[1])?);
        Ok(arguments[0].clone())
    }),
    function("values", &[Dict], None, |work, arguments| {
        let id = map(&arguments[0])?;
        work.spend(work.map_of(id).entries.len())?;
        let values = work.map_of(id).entries.values().cloned().collect();
        work.list(ListKind::Any, values)
    }),
];

fn map(item: &Item) -> Result<MapId, Reason> {
    match item {
        Item::Map(id) => Ok(*id),
        _ => Err(Reason::Invalid("this is no map")),
    }
}

fn key(item: &Item) -> Result<Text, Reason> {
    match item {
        Item::Text(text) => Ok(text.clone()),
        _ => Err(Reason::Invalid("a key is a string")),
    }
}

fn dict(work: &mut Work, arguments: &[Item]) -> Result<Item, Reason> {
    let mut entries = BTreeMap::new();
    for pair in arguments.chunks(2) {
        let value = match pair.get(1) {
            Some(value) => value.clone(),
            None => work.text(Vec::new())?,
        };
        entries.insert(spelled(work, &pair[0])?, value);
    }
    work.map(MapKind::Any, entries)
}

fn chosen(work: &mut Work, arguments: &[Item], picked: bool) -> Result<Item, Reason> {
    let id = map(&arguments[0])?;
    let keys = arguments[1..].iter().map(key).collect::<Result<std::collections::BTreeSet<_>, _>>()?;
    work.spend(work.map_of(id).entries.len())?;
    let entries = work.map_of(id).entries.iter().filter(|(key, _)| keys.contains(*key) == picked);
    let entries = entries.map(|(key, item)| (key.clone(), item.clone())).collect();
    work.map(MapKind::Any, entries)
}

/// `dig "a" "b" default map`.
fn dig(work: &mut Work, arguments: &[Item]) -> Result<Item, Reason> {
    let [keys @ .., default, from] = arguments else {
        return Err(Reason::Invalid("there have to be a key, a default and a map"));
    };
    if keys.is_empty() {
        return Err(Reason::Invalid("there have to be a key, a default and a map"));
    }
    let keys = keys.iter().map(key).collect::<Result<Vec<_>, _>>()?;
    let mut item = from.clone();
    for key in keys {
        let id = map(&item)?;
        if work.map_of(id).kind != MapKind::Any {
            return Err(Reason::Invalid("this is no map of any values"));
        }
        match work.map_of(id).entries.get(&key) {
            Some(found) => item = found.clone(),
            None => return Ok(default.clone()),
        }
    }
    Ok(item)
}

/// Puts what the first map lacks, or has as nothing, into it from each of the others; with `overwrite` all of it.
fn merged(work: &mut Work, arguments: &[Item], overwrite: bool) -> Result<Item, Reason> {
    let into = map(&arguments[0])?;
    for from in &arguments[1..] {
        merge(work, into, map(from)?, overwrite, 0)?;
    }
    Ok(arguments[0].clone())
}

fn merge(work: &mut Work, into: MapId, from: MapId, overwrite: bool, depth: usize) -> Result<(), Reason> {
    if depth > work.depth() {
        return Err(Limit::Depth.into());
    }
    let entries: Vec<(Text, Item)> = work.map_of(from).entries.clone().into_iter().collect();
    work.spend(entries.len())?;
    if work.map_of(into).is_nil && !entries.is_empty() {
        return Err(Reason::Invalid("nothing can be merged into nil"));
    }
    if work.map_of(into).kind != work.map_of(from).kind {
        return Err(Reason::Invalid("maps of different types cannot be merged"));
    }
    for (key, item) in entries {
        let existing = work.map_of(into).entries.get(&key).cloned();
        // What counts as nothing is what `if` takes as false.
        let is_empty = existing.as_ref().is_none_or(|existing| !work.is_true(existing));
        match (&item, &existing) {
            (Item::Nil | Item::Missing, _) if !overwrite => {}
            (Item::Map(from), Some(Item::Map(inner))) => {
                // A map is merged into the one that is there, for all who have that.
                merge(work, *inner, *from, overwrite, depth + 1)?;
                if !work.is_true(&Item::Map(*inner)) {
                    work.set(into, key, item)?;
                }
            }
            _ if overwrite || is_empty => work.set(into, key, item)?,
            _ => {}
        }
    }
    Ok(())
}

fn copy_present(work: &mut Work, item: &Item) -> Result<Item, Reason> {
    copy(work, item, 0)
}

/// The item with all that is in it, so that a change of the one is not seen in the other.
fn copy(work: &mut Work, item: &Item, depth: usize) -> Result<Item, Reason> {
    if depth > work.depth() {
        return Err(Limit::Depth.into());
    }
    work.spend(1)?;
    match item {
        Item::List(id) => {
            let (kind, is_nil, items) =
                (work.list_of(*id).kind, work.list_of(*id).is_nil, work.list_of(*id).items.clone());
            if is_nil {
                return work.nil_list(kind);
            }
            let items = items.iter().map(|item| copy(work, item, depth + 1)).collect::<Result<_, _>>()?;
            work.list(kind, items)
        }
        Item::Map(id) => {
            let (kind, entries) = (work.map_of(*id).kind, work.map_of(*id).entries.clone());
            let copied = |(key, item)| Ok((key, copy(work, &item, depth + 1)?));
            let entries = entries.into_iter().map(copied).collect::<Result<_, Reason>>()?;
            work.map(kind, entries)
        }
        item => Ok(item.clone()),
    }
}
