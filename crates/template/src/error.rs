//! Why a template was not read or not executed: the place, the function, the reason; never data.

use std::fmt;

/// Why a template gave no result.
///
/// Names in it are those that the template itself is written with (functions, keys behind a dot, variables); no value,
/// no literal and no output is ever part of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {}{reason}", Call(.function.as_deref()))]
pub struct TemplateError {
    /// Whether the template could not be read, or not be executed.
    pub stage: Stage,
    /// The line in the template, from 1.
    pub line: usize,
    /// The column in bytes, from 1.
    pub column: usize,
    /// The function that was called, if it was one that failed.
    pub function: Option<String>,
    /// What is wrong.
    pub reason: Reason,
}

struct Call<'a>(Option<&'a str>);

impl fmt::Display for Call<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |name| write!(f, "`{name}`: "))
    }
}

/// When it went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The template is malformed: it fails with any data.
    Parse,
    /// It failed with this data.
    Execute,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// Against the grammar.
    #[error("{0}")]
    Syntax(&'static str),
    /// A function that does not exist.
    #[error("there is no function `{0}`")]
    NoFunction(String),
    /// A function that exists upstream and is not executed here.
    #[error("the function `{name}` is not available: {because}")]
    Refused {
        /// Its name.
        name: &'static str,
        /// What it would need.
        because: Refusal,
    },
    /// A variable that has not been declared.
    #[error("there is no variable `{0}`")]
    NoVariable(String),
    /// A template that is not defined.
    #[error("there is no template of the name that is given here")]
    NoTemplate,
    /// Two definitions of one name.
    #[error("a template of this name is defined already")]
    DefinedTwice,
    /// The data has no such key.
    #[error("there is no key `{0}`")]
    NoKey(String),
    /// A key behind a dot, asked of something that has no keys.
    #[error("cannot look for the key `{key}` in a value of type {found}")]
    NotAMap {
        /// The key.
        key: String,
        /// Go's name of the type.
        found: &'static str,
    },
    /// Too many or too few arguments.
    #[error("takes {expected}, not {found}")]
    Arguments {
        /// How many it takes.
        expected: Count,
        /// How many there are.
        found: usize,
    },
    /// An argument of the wrong type.
    #[error("an argument should be of type {expected}, and is of type {found}")]
    Type {
        /// Go's name of the type that the function takes.
        expected: &'static str,
        /// Go's name of the type that was given.
        found: &'static str,
    },
    /// Something else that cannot be done.
    #[error("{0}")]
    Invalid(&'static str),
    /// The template itself ended with `fail`. Its message may hold a secret and is not shown.
    #[error("the template calls it to end")]
    Failed,
    /// A limit was reached.
    #[error("{0}")]
    Limit(Limit),
}

/// How many arguments a function takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// So many.
    Exactly(usize),
    /// So many or more.
    AtLeast(usize),
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (least, number) = match self {
            Self::Exactly(number) => ("", number),
            Self::AtLeast(number) => ("at least ", number),
        };
        write!(f, "{least}{number} argument{}", if *number == 1 { "" } else { "s" })
    }
}

/// Why a function of an upstream is not executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Its result would change with every run, and so would the Secret.
    #[error("it reads the clock")]
    Clock,
    /// As above.
    #[error("it draws random numbers")]
    Randomness,
    /// It would make what the controller sees visible to whoever may write a template.
    #[error("it reads the environment")]
    Environment,
    /// It would carry values out.
    #[error("it asks the network")]
    Network,
    /// Nobody has needed it yet.
    #[error("it is not implemented")]
    NotImplemented,
}

/// A limit of [`Limits`](crate::Limits).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Limit {
    /// The template is too long.
    #[error("the template is too long")]
    Template,
    /// Too much was written.
    #[error("the output is too long")]
    Output,
    /// Too much was done.
    #[error("the template takes too many steps")]
    Steps,
    /// Too many bytes were made on the way.
    #[error("the template takes too much memory")]
    Memory,
    /// Too many levels, of actions, parentheses, templates that call each other, or values in values.
    #[error("it is nested too deeply")]
    Depth,
}

impl From<Limit> for Reason {
    fn from(limit: Limit) -> Self {
        Self::Limit(limit)
    }
}

impl TemplateError {
    pub(crate) fn at(stage: Stage, input: &[u8], offset: usize, reason: Reason) -> Self {
        let before = &input[..offset.min(input.len())];
        let line_start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
        let line = before.split(|&byte| byte == b'\n').count();
        Self { stage, line, column: before.len() - line_start + 1, function: None, reason }
    }
}
