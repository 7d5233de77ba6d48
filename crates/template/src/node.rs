//! What a template is once it has been read.

use std::sync::Arc;

use crate::functions::Function;
use crate::value::Text;

/// Actions and the text between them.
pub(crate) type List = Vec<Node>;

/// A part of a template.
pub(crate) enum Node {
    /// Written as it is.
    Text(Text),
    /// `{{pipeline}}`: its value is written, unless it declares a variable.
    Action(Pipe),
    /// `{{if}}` and `{{with}}`: the branches in order, then `{{else}}`. With `with`, the dot is the value.
    Choice { with: bool, branches: Vec<(Pipe, List)>, otherwise: List },
    /// `{{range}}`; `otherwise` where there was nothing to go through.
    Range { pipe: Pipe, list: List, otherwise: List },
    /// `{{template}}`, and what is left of `{{block}}`.
    Template { offset: usize, name: Vec<u8>, pipe: Option<Pipe> },
    /// `{{break}}`.
    Break,
    /// `{{continue}}`.
    Continue,
}

/// Commands, of which each takes the value of the one before as its last argument.
pub(crate) struct Pipe {
    pub(crate) offset: usize,
    /// `=` instead of `:=`.
    pub(crate) assigns: bool,
    /// The variables that are set to its value.
    pub(crate) variables: Vec<Arc<str>>,
    pub(crate) commands: Vec<Command>,
}

/// A function or a value, and arguments. There is at least the first word.
pub(crate) struct Command {
    pub(crate) words: Vec<Operand>,
}

/// One word of a command.
pub(crate) struct Operand {
    pub(crate) offset: usize,
    pub(crate) word: Word,
}

/// What the word is.
pub(crate) enum Word {
    Dot,
    Nil,
    Bool(bool),
    Number(Number),
    Text(Text),
    /// `.a.b`.
    Field(Vec<Arc<str>>),
    /// `$x.a.b`.
    Variable(Arc<str>, Vec<Arc<str>>),
    Function(&'static Function),
    /// `(…)`.
    Pipe(Box<Pipe>),
    /// `(…).a.b`.
    Chain(Box<Operand>, Vec<Arc<str>>),
}

/// A number as it is written: what it can be depends on who takes it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Number {
    /// If it is an integer.
    pub(crate) integer: Option<i64>,
    pub(crate) float: f64,
    /// Whether it is a float where nobody says what it should be.
    pub(crate) spelled_as_float: bool,
}
