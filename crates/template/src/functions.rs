//! The functions of templates: what each takes, and where it is.
//!
//! A function has Go's signature: a literal becomes what it takes, any other value has to be of its type. The order of
//! arguments is sprig's, which puts the value that comes from a pipeline last.

mod builtin;
mod dicts;
mod encoding;
mod general;
mod json;
mod lists;
mod numbers;
mod paths;
mod patterns;
mod refused;
mod strings;
mod urls;
mod yaml;

use crate::error::{Reason, Refusal};
use crate::format;
use crate::options::Language;
use crate::value::{Item, Text, Work};

/// A function.
pub(crate) struct Function {
    pub(crate) name: &'static str,
    /// The types of the arguments that there must be.
    pub(crate) fixed: &'static [Type],
    /// The type of all others.
    pub(crate) rest: Option<Type>,
    pub(crate) body: Body,
}

/// What is executed.
#[derive(Clone, Copy)]
pub(crate) enum Body {
    Call(Call),
    /// Looks at its arguments itself.
    And,
    /// Likewise.
    Or,
}

/// Arguments are of the types that the function declares.
pub(crate) type Call = fn(&mut Work, &[Item]) -> Result<Item, Reason>;

/// The type of an argument.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    /// `interface {}`: a missing value is nil.
    Any,
    /// `reflect.Value`: a missing value stays one.
    Reflected,
    /// `string`.
    Text,
    Bool,
    Int,
    /// `float64`.
    Float,
    /// `map[string]interface {}`.
    Map,
}

impl Type {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Any | Self::Reflected => "interface {}",
            Self::Text => "string",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Float => "float64",
            Self::Map => "map[string]interface {}",
        }
    }
}

/// What there is of a name.
pub(crate) enum Found {
    Function(&'static Function),
    Refused(&'static str, Refusal),
    Nothing,
}

/// The function `name` of `language`.
pub(crate) fn find(name: &str, language: Language) -> Found {
    let (own, shared): (&[Function], &[&[Function]]) = match language {
        Language::Go => (&[], &[]),
        Language::SealedSecrets => (&[], SPRIG),
        Language::ExternalSecrets => (yaml::FUNCTIONS, SPRIG),
    };
    // What has the name of one of Go's functions replaces it.
    let tables = [own].into_iter().chain(shared.iter().copied()).chain([builtin::FUNCTIONS]);
    let function = tables.flatten().find(|function| function.name == name);
    if let Some(function) = function {
        return Found::Function(function);
    }
    match refused::find(name, language) {
        Some((name, because)) => Found::Refused(name, because),
        None => Found::Nothing,
    }
}

const SPRIG: &[&[Function]] = &[
    strings::FUNCTIONS,
    lists::FUNCTIONS,
    dicts::FUNCTIONS,
    general::FUNCTIONS,
    numbers::FUNCTIONS,
    encoding::FUNCTIONS,
    json::FUNCTIONS,
    patterns::FUNCTIONS,
    paths::FUNCTIONS,
    urls::FUNCTIONS,
];

/// A row of a table.
pub(crate) const fn function(name: &'static str, fixed: &'static [Type], rest: Option<Type>, call: Call) -> Function {
    Function { name, fixed, rest, body: Body::Call(call) }
}

/// The text that a function declared as its argument at `place`.
pub(crate) fn text(arguments: &[Item], place: usize) -> &[u8] {
    match arguments.get(place) {
        Some(Item::Text(text)) => text,
        _ => &[],
    }
}

/// The integer that a function declared as its argument at `place`.
pub(crate) fn integer(arguments: &[Item], place: usize) -> i64 {
    match arguments.get(place) {
        Some(Item::Int(integer)) => *integer,
        _ => 0,
    }
}

/// The items of a list; anything else is of the wrong type.
pub(crate) fn items(work: &mut Work, item: &Item) -> Result<Vec<Item>, Reason> {
    match item {
        Item::List(id) => {
            let items = work.list_of(*id).items.clone();
            work.spend(items.len())?;
            Ok(items)
        }
        item => Err(Reason::Type { expected: "list", found: work.type_name(item) }),
    }
}

/// Sprig's `strval`: a string as it is, anything else as `%v` writes it.
pub(crate) fn spelled(work: &mut Work, item: &Item) -> Result<Text, Reason> {
    match item {
        Item::Text(text) => Ok(text.clone()),
        item => format::plain(work, item),
    }
}

/// Sprig's `strslice`: what a list holds as texts, without nil; anything else as a list of itself.
pub(crate) fn texts(work: &mut Work, item: &Item) -> Result<Vec<Text>, Reason> {
    let items = match item {
        Item::List(_) => items(work, item)?,
        item => vec![item.clone()],
    };
    let present = items.iter().filter(|item| !matches!(item, Item::Nil | Item::Missing));
    present.map(|item| spelled(work, item)).collect()
}
