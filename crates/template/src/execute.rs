//! A template and its data become bytes.
//!
//! Source: observation of Go 1.26 `text/template`. Recursion is bounded by [`Limits::depth`](crate::Limits), work by its steps.

use std::sync::Arc;

use bulla_wipe::Wiping;

use crate::error::{Count, Limit, Reason, Stage, TemplateError};
use crate::format;
use crate::functions::{Body, Function, Type};
use crate::node::{Command, List, Node, Number, Operand, Pipe, Word};
use crate::options::{Limits, MissingKey, Options};
use crate::parse::Definitions;
use crate::value::{Item, MapKind, Value, Work};

/// Executes the template `name` of `definitions`, and takes from `left` what it took.
pub(crate) fn execute(
    name: &[u8],
    input: &[u8],
    definitions: &Definitions,
    options: &Options,
    left: &mut Limits,
    data: &Value,
) -> Result<Wiping<Vec<u8>>, TemplateError> {
    let mut execution = Execution {
        definitions,
        options,
        limits: *left,
        work: Work::new(left),
        out: Wiping::default(),
        variables: Vec::new(),
        offset: 0,
        function: None,
        depth: 0,
    };
    let done = execution.whole(name, data);
    left.steps = execution.work.steps();
    left.output = left.output.saturating_sub(execution.out.len());
    done.map_err(|reason| TemplateError {
        function: execution.function.map(str::to_owned),
        ..TemplateError::at(Stage::Execute, input, execution.offset, reason)
    })?;
    Ok(execution.out)
}

struct Execution<'t> {
    definitions: &'t Definitions,
    options: &'t Options,
    limits: Limits,
    work: Work,
    out: Wiping<Vec<u8>>,
    variables: Vec<(Arc<str>, Item)>,
    /// Where in the template this is.
    offset: usize,
    /// The function that failed.
    function: Option<&'static str>,
    depth: usize,
}

/// How a list ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    On,
    Break,
    Continue,
}

type Executed<T> = Result<T, Reason>;

/// A value, and the keys that are asked of it.
type Receiver<'t> = (Item, &'t [Arc<str>]);

impl<'t> Execution<'t> {
    fn whole(&mut self, name: &[u8], data: &Value) -> Executed<()> {
        let definitions = self.definitions;
        let data = self.work.import(data, 0)?;
        self.variables.push((Arc::from("$"), data.clone()));
        if let Some(list) = definitions.get(name) {
            self.list(&data, list)?;
        }
        Ok(())
    }

    fn list(&mut self, dot: &Item, list: &'t List) -> Executed<Flow> {
        for node in list {
            self.work.spend(1)?;
            let flow = match node {
                Node::Text(text) => self.write(text).map(|()| Flow::On),
                Node::Action(pipe) => self.action(dot, pipe).map(|()| Flow::On),
                Node::Choice { with, branches, otherwise } => self.choice(dot, *with, branches, otherwise),
                Node::Range { pipe, list, otherwise } => self.range(dot, pipe, list, otherwise),
                Node::Template { offset, name, pipe } => {
                    self.template(dot, *offset, name, pipe.as_ref()).map(|()| Flow::On)
                }
                Node::Break => Ok(Flow::Break),
                Node::Continue => Ok(Flow::Continue),
            }?;
            if flow != Flow::On {
                return Ok(flow);
            }
        }
        Ok(Flow::On)
    }

    fn write(&mut self, bytes: &[u8]) -> Executed<()> {
        if self.out.len() + bytes.len() > self.limits.output {
            return Err(Limit::Output.into());
        }
        self.out.append(bytes);
        Ok(())
    }

    fn action(&mut self, dot: &Item, pipe: &'t Pipe) -> Executed<()> {
        let item = self.pipeline(dot, pipe)?;
        if !pipe.variables.is_empty() {
            return Ok(());
        }
        self.offset = pipe.offset;
        match item {
            Item::Missing => self.write(b"<no value>"),
            Item::Text(text) => self.write(&text),
            item => {
                let text = format::plain(&mut self.work, &item)?;
                self.write(&text)
            }
        }
    }

    fn choice(&mut self, dot: &Item, with: bool, branches: &'t [(Pipe, List)], otherwise: &'t List) -> Executed<Flow> {
        self.enter()?;
        let mark = self.variables.len();
        let mut flow = None;
        for (pipe, list) in branches {
            let item = self.pipeline(dot, pipe)?;
            if self.work.is_true(&item) {
                flow = Some(self.list(if with { &item } else { dot }, list)?);
                break;
            }
        }
        let flow = match flow {
            Some(flow) => flow,
            None => self.list(dot, otherwise)?,
        };
        self.variables.truncate(mark);
        self.depth -= 1;
        Ok(flow)
    }

    fn range(&mut self, dot: &Item, pipe: &'t Pipe, list: &'t List, otherwise: &'t List) -> Executed<Flow> {
        self.enter()?;
        let outer = self.variables.len();
        let collection = self.pipeline(dot, pipe)?;
        let went = self.iterate(pipe, &collection, list)?;
        let flow = if went { Flow::On } else { self.list(dot, otherwise)? };
        self.variables.truncate(outer);
        self.depth -= 1;
        Ok(flow)
    }

    /// Executes `list` for each item; `false` if there is none. What the list changes in the collection is not seen.
    fn iterate(&mut self, pipe: &'t Pipe, collection: &Item, list: &'t List) -> Executed<bool> {
        self.offset = pipe.offset;
        match collection {
            Item::Missing | Item::Nil => Ok(false),
            Item::Int(number) | Item::Int64(number) => {
                one_variable(pipe)?;
                let is_int = matches!(collection, Item::Int(_));
                for index in 0..*number {
                    let item = if is_int { Item::Int(index) } else { Item::Int64(index) };
                    if !self.iteration(pipe, Item::Missing, &item, list)? {
                        break;
                    }
                }
                Ok(*number > 0)
            }
            Item::Byte(number) => {
                one_variable(pipe)?;
                for index in 0..*number {
                    if !self.iteration(pipe, Item::Missing, &Item::Byte(index), list)? {
                        break;
                    }
                }
                Ok(*number > 0)
            }
            Item::List(id) => {
                let length = self.work.list_of(*id).items.len();
                for place in 0..length {
                    let item = self.work.list_of(*id).items[place].clone();
                    if !self.iteration(pipe, Item::Int(place as i64), &item, list)? {
                        break;
                    }
                }
                Ok(length > 0)
            }
            Item::Map(id) => {
                let count = self.work.map_of(*id).entries.len();
                self.work.spend(count)?;
                let entries: Vec<_> =
                    self.work.map_of(*id).entries.iter().map(|(key, item)| (key.clone(), item.clone())).collect();
                for (key, item) in entries {
                    if !self.iteration(pipe, Item::Text(key), &item, list)? {
                        break;
                    }
                }
                Ok(count > 0)
            }
            Item::Bool(_) | Item::Float(_) | Item::Text(_) => {
                Err(Reason::Type { expected: "list, map or integer", found: self.work.type_name(collection) })
            }
        }
    }

    /// `false` if it ends the range.
    fn iteration(&mut self, pipe: &'t Pipe, index: Item, item: &Item, list: &'t List) -> Executed<bool> {
        self.work.spend(1)?;
        let mark = self.variables.len();
        match (&pipe.variables[..], pipe.assigns) {
            ([], _) => {}
            ([name], true) => self.assign(name, item.clone())?,
            ([first, second, ..], true) => {
                self.assign(first, index)?;
                self.assign(second, item.clone())?;
            }
            ([_], false) => self.variables[mark - 1].1 = item.clone(),
            ([_, _, ..], false) => {
                self.variables[mark - 1].1 = item.clone();
                self.variables[mark - 2].1 = index;
            }
        }
        let flow = self.list(item, list)?;
        self.variables.truncate(mark);
        Ok(flow != Flow::Break)
    }

    fn template(&mut self, dot: &Item, offset: usize, name: &[u8], pipe: Option<&'t Pipe>) -> Executed<()> {
        self.offset = offset;
        let definitions = self.definitions;
        let list = definitions.get(name).ok_or(Reason::NoTemplate)?;
        self.enter()?;
        let dot = match pipe {
            Some(pipe) => self.pipeline(dot, pipe)?,
            None => Item::Missing,
        };
        // No variable of the caller is known inside; those that the pipeline declares are known behind.
        let inside = vec![(Arc::from("$"), dot.clone())];
        let variables = std::mem::replace(&mut self.variables, inside);
        self.list(&dot, list)?;
        self.variables = variables;
        self.depth -= 1;
        Ok(())
    }

    fn pipeline(&mut self, dot: &Item, pipe: &'t Pipe) -> Executed<Item> {
        self.offset = pipe.offset;
        let mut value = None;
        for command in &pipe.commands {
            value = Some(match self.command(dot, command, value)? {
                Item::Nil => Item::Missing,
                item => item,
            });
        }
        let value = value.unwrap_or(Item::Missing);
        for name in &pipe.variables {
            if pipe.assigns {
                self.assign(name, value.clone())?;
            } else {
                self.variables.push((Arc::clone(name), value.clone()));
            }
        }
        Ok(value)
    }

    fn assign(&mut self, name: &str, item: Item) -> Executed<()> {
        let variable = self.variables.iter_mut().rev().find(|(known, _)| **known == *name);
        let (_, value) = variable.ok_or_else(|| Reason::NoVariable(name.to_owned()))?;
        *value = item;
        Ok(())
    }

    /// `last` is the value of the command before, which becomes the last argument.
    fn command(&mut self, dot: &Item, command: &'t Command, last: Option<Item>) -> Executed<Item> {
        let first = &command.words[0];
        self.offset = first.offset;
        self.work.spend(1)?;
        if let Word::Function(function) = first.word {
            return self.call(dot, function, first.offset, &command.words[1..], last);
        }
        if command.words.len() > 1 || last.is_some() {
            // Of a key that is missing Go asks for another key before it looks at the arguments.
            if self.options.missing_key == MissingKey::NoValue
                && let Some((item, names)) = self.receiver(dot, first)?
                && let Some((_, names)) = names.split_last()
                && matches!(self.fields(item, names)?, Item::Missing)
            {
                return Ok(Item::Missing);
            }
            return Err(Reason::Invalid("only a function takes arguments"));
        }
        match &first.word {
            Word::Nil => Err(Reason::Invalid("`nil` is no command")),
            Word::Number(number) => constant(number),
            _ => self.operand(dot, first),
        }
    }

    /// The value of a word that stands for itself.
    fn operand(&mut self, dot: &Item, operand: &'t Operand) -> Executed<Item> {
        if let Some((item, names)) = self.receiver(dot, operand)? {
            self.offset = operand.offset;
            return self.fields(item, names);
        }
        self.offset = operand.offset;
        match &operand.word {
            Word::Dot => Ok(dot.clone()),
            Word::Nil => Ok(Item::Nil),
            Word::Bool(bool) => Ok(Item::Bool(*bool)),
            Word::Number(number) => constant(number),
            Word::Text(text) => Ok(Item::Text(text.clone())),
            Word::Function(function) => self.call(dot, function, operand.offset, &[], None),
            Word::Pipe(pipe) => {
                self.enter()?;
                let item = self.pipeline(dot, pipe)?;
                self.depth -= 1;
                Ok(item)
            }
            // These have a receiver.
            Word::Field(_) | Word::Variable(..) | Word::Chain(..) => Ok(Item::Missing),
        }
    }

    /// What a word asks keys of, and which.
    fn receiver(&mut self, dot: &Item, operand: &'t Operand) -> Executed<Option<Receiver<'t>>> {
        self.offset = operand.offset;
        match &operand.word {
            Word::Field(names) => Ok(Some((dot.clone(), names))),
            Word::Variable(name, names) => {
                let variable = self.variables.iter().rev().find(|(known, _)| *known == *name);
                let item = variable.ok_or_else(|| Reason::NoVariable((**name).to_owned()))?.1.clone();
                Ok(Some((item, names)))
            }
            Word::Chain(operand, names) => Ok(Some((self.operand(dot, operand)?, names))),
            _ => Ok(None),
        }
    }

    fn fields(&mut self, mut item: Item, names: &[Arc<str>]) -> Executed<Item> {
        for name in names {
            let found = match &item {
                Item::Missing => None,
                Item::Map(id) => self.work.map_of(*id).entries.get(name.as_bytes()).cloned(),
                _ => return Err(Reason::NotAMap { key: (**name).to_owned(), found: self.work.type_name(&item) }),
            };
            item = match (found, self.options.missing_key) {
                (Some(found), _) => found,
                (None, MissingKey::NoValue) => Item::Missing,
                (None, MissingKey::Error) => return Err(Reason::NoKey((**name).to_owned())),
            };
        }
        Ok(item)
    }

    fn call(
        &mut self,
        dot: &Item,
        function: &'static Function,
        offset: usize,
        words: &'t [Operand],
        last: Option<Item>,
    ) -> Executed<Item> {
        self.enter()?;
        let count = words.len() + usize::from(last.is_some());
        let fixed = function.fixed.len();
        if count < fixed || count > fixed && function.rest.is_none() {
            let expected = if function.rest.is_some() { Count::AtLeast(fixed) } else { Count::Exactly(fixed) };
            return self.failed(function, offset, Reason::Arguments { expected, found: count });
        }
        let item = match function.body {
            Body::And | Body::Or => self.shortcut(dot, matches!(function.body, Body::Or), words, last)?,
            Body::Call(body) => {
                let kind = |place: usize| function.fixed.get(place).copied().or(function.rest).unwrap_or(Type::Any);
                let mut arguments = Vec::with_capacity(count);
                for (place, word) in words.iter().enumerate() {
                    match self.argument(dot, kind(place), word) {
                        Ok(argument) => arguments.push(argument),
                        Err(reason @ Reason::Type { .. }) => return self.failed(function, word.offset, reason),
                        Err(reason) => return Err(reason),
                    }
                }
                if let Some(last) = last {
                    match self.checked(last, kind(words.len())) {
                        Ok(argument) => arguments.push(argument),
                        Err(reason) => return self.failed(function, offset, reason),
                    }
                }
                let read =
                    arguments.iter().map(|argument| if let Item::Text(text) = argument { text.len() } else { 0 }).sum();
                self.work.read(read)?;
                match body(&mut self.work, &arguments) {
                    Ok(item) => item,
                    Err(reason) => return self.failed(function, offset, reason),
                }
            }
        };
        self.depth -= 1;
        Ok(item)
    }

    fn failed(&mut self, function: &'static Function, offset: usize, reason: Reason) -> Executed<Item> {
        // The innermost function is the one that failed.
        if self.function.is_none() {
            self.function = Some(function.name);
            self.offset = offset;
        }
        Err(reason)
    }

    /// `and` and `or`: arguments behind the one that decides are not looked at.
    fn shortcut(&mut self, dot: &Item, or: bool, words: &'t [Operand], last: Option<Item>) -> Executed<Item> {
        let mut value = Item::Missing;
        for word in words {
            value = self.argument(dot, Type::Reflected, word)?;
            if self.work.is_true(&value) == or {
                return Ok(value);
            }
        }
        Ok(last.unwrap_or(value))
    }

    fn argument(&mut self, dot: &Item, kind: Type, operand: &'t Operand) -> Executed<Item> {
        self.work.spend(1)?;
        self.offset = operand.offset;
        let wrong = |found| Err(Reason::Type { expected: kind.name(), found });
        match (&operand.word, kind) {
            (Word::Nil, Type::Any) => Ok(Item::Nil),
            (Word::Nil, Type::Reflected) => Ok(Item::Missing),
            (Word::Nil, Type::Map) => self.work.nil_map(),
            (Word::Nil, _) => wrong("nil"),
            (Word::Number(number), Type::Int) => match number.integer {
                Some(integer) => Ok(Item::Int(integer)),
                None => wrong("float64"),
            },
            (Word::Number(number), Type::Float) => Ok(Item::Float(number.float)),
            (Word::Number(_), Type::Text | Type::Bool | Type::Map) => wrong("number"),
            (Word::Bool(_), Type::Text | Type::Int | Type::Float | Type::Map) => wrong("bool"),
            (Word::Text(_), Type::Bool | Type::Int | Type::Float | Type::Map) => wrong("string"),
            _ => {
                let item = self.operand(dot, operand)?;
                self.checked(item, kind)
            }
        }
    }

    /// The item, if it can be an argument of this type.
    fn checked(&mut self, item: Item, kind: Type) -> Executed<Item> {
        let fits = match (&item, kind) {
            (Item::Missing, Type::Any) => return Ok(Item::Nil),
            (Item::Missing, Type::Map) => return self.work.nil_map(),
            (_, Type::Any | Type::Reflected)
            | (Item::Bool(_), Type::Bool)
            | (Item::Int(_), Type::Int)
            | (Item::Float(_), Type::Float)
            | (Item::Text(_), Type::Text) => true,
            (Item::Map(id), Type::Map) => self.work.map_of(*id).kind == MapKind::Any,
            _ => false,
        };
        if fits { Ok(item) } else { Err(Reason::Type { expected: kind.name(), found: self.work.type_name(&item) }) }
    }

    /// One level deeper. What ends with an error is not continued, so only success comes back up.
    fn enter(&mut self) -> Executed<()> {
        self.depth += 1;
        if self.depth > self.limits.depth { Err(Limit::Depth.into()) } else { Ok(()) }
    }
}

fn one_variable(pipe: &Pipe) -> Executed<()> {
    if pipe.variables.len() > 1 {
        return Err(Reason::Invalid("a range over a number sets one variable"));
    }
    Ok(())
}

/// What a number is where nobody says what it should be.
fn constant(number: &Number) -> Executed<Item> {
    if number.spelled_as_float {
        return Ok(Item::Float(number.float));
    }
    number.integer.map(Item::Int).ok_or(Reason::Invalid("the number overflows int"))
}
