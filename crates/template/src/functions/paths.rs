//! Paths with slashes, taken apart without a look at any file.

use crate::error::Reason;
use crate::functions::Type::Text;
use crate::functions::{Function, function, text};
use crate::value::{Item, Work};

pub(crate) static FUNCTIONS: &[Function] = &[
    function("base", &[Text], None, base),
    function("clean", &[Text], None, clean),
    function("dir", &[Text], None, directory),
    function("ext", &[Text], None, extension),
    function("isAbs", &[Text], None, |_, arguments| Ok(is_absolute(arguments))),
    // Those of the system that Go runs on, which has slashes.
    function("osBase", &[Text], None, base),
    function("osClean", &[Text], None, clean),
    function("osDir", &[Text], None, directory),
    function("osExt", &[Text], None, extension),
    function("osIsAbs", &[Text], None, |_, arguments| Ok(is_absolute(arguments))),
];

fn base(work: &mut Work, arguments: &[Item]) -> Result<Item, Reason> {
    let path = text(arguments, 0);
    let end = path.iter().rposition(|&byte| byte != b'/').map_or(0, |last| last + 1);
    let name = path[..end].rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    work.text(match (path.is_empty(), name.is_empty()) {
        (true, _) => b".".to_vec(),
        (false, true) => b"/".to_vec(),
        (false, false) => name.to_vec(),
    })
}

fn clean(work: &mut Work, arguments: &[Item]) -> Result<Item, Reason> {
    work.text(cleaned(text(arguments, 0)))
}

fn directory(work: &mut Work, arguments: &[Item]) -> Result<Item, Reason> {
    let path = text(arguments, 0);
    let end = path.iter().rposition(|&byte| byte == b'/').map_or(0, |last| last + 1);
    work.text(cleaned(&path[..end]))
}

fn extension(work: &mut Work, arguments: &[Item]) -> Result<Item, Reason> {
    let name = text(arguments, 0).rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    let dot = name.iter().rposition(|&byte| byte == b'.').unwrap_or(name.len());
    work.text(name[dot..].to_vec())
}

fn is_absolute(arguments: &[Item]) -> Item {
    Item::Bool(text(arguments, 0).starts_with(b"/"))
}

/// The shortest path that means the same, as far as that can be told from the path.
fn cleaned(path: &[u8]) -> Vec<u8> {
    let absolute = path.starts_with(b"/");
    let mut names: Vec<&[u8]> = Vec::new();
    for name in path.split(|&byte| byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." if names.last().is_some_and(|last| *last != b"..") => drop(names.pop()),
            b".." if absolute => {}
            name => names.push(name),
        }
    }
    let mut cleaned = if absolute { b"/".to_vec() } else { Vec::new() };
    cleaned.extend(names.join(&b'/'));
    if cleaned.is_empty() { b".".to_vec() } else { cleaned }
}
