//! The grammar of templates, as Go's parser has it.
//!
//! Source: observation of Go 1.26 `text/template/parse`; the tests compare what is accepted. Invariant: recursion is bounded
//! by [`Limits::depth`](crate::Limits), `{{else if}}` and pipelines take none.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::{Limit, Reason, Stage, TemplateError};
use crate::functions::{self, Found};
use crate::lex::{Keyword, Kind, Lexer, Token};
use crate::node::{Command, List, Node, Operand, Pipe, Word};
use crate::quote::{unquote, unquote_character};
use crate::unicode::is_blank;
use crate::value::Text;
use crate::{Options, number};

/// The templates of one input by name, the outermost included.
pub(crate) type Definitions = BTreeMap<Vec<u8>, List>;

/// Reads `input`, which gets the name `name`.
pub(crate) fn parse(name: &[u8], input: &[u8], options: &Options) -> Result<Definitions, TemplateError> {
    let (left, right) = options.delimiters();
    let mut parser = Parser {
        lexer: Lexer::new(input, left, right),
        input,
        options,
        tokens: [Token { kind: Kind::End, start: 0, end: 0 }; 3],
        peeked: 0,
        variables: vec![Arc::from("$")],
        ranges: 0,
        depth: 0,
        definitions: Definitions::new(),
    };
    let root = parser.whole()?;
    parser.define(name.to_vec(), root)?;
    Ok(parser.definitions)
}

struct Parser<'i> {
    lexer: Lexer<'i>,
    input: &'i [u8],
    options: &'i Options,
    /// Tokens that were looked at, the next one at `peeked - 1`.
    tokens: [Token; 3],
    peeked: usize,
    /// Those that can be used here.
    variables: Vec<Arc<str>>,
    /// How many `{{range}}` are around this.
    ranges: usize,
    depth: usize,
    definitions: Definitions,
}

/// What a pipeline belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Context {
    Choice,
    Range,
    Other,
}

/// What ended a list.
enum Ending {
    End,
    /// `{{else}}`; the keyword of `{{else if}}` and `{{else with}}` is the next token.
    Else,
}

enum Part {
    Node(Node),
    Ending(Ending),
}

type Parsed<T> = Result<T, TemplateError>;

impl Parser<'_> {
    fn whole(&mut self) -> Parsed<List> {
        let mut list = List::new();
        loop {
            let token = self.peek();
            match token.kind {
                Kind::End => return Ok(list),
                Kind::LeftDelimiter => {
                    self.next();
                    if self.next_word().kind == Kind::Keyword(Keyword::Define) {
                        self.definition()?;
                        continue;
                    }
                    self.tokens[1] = token;
                    self.peeked = 2;
                }
                _ => {}
            }
            match self.text_or_action()? {
                Part::Node(node) => list.push(node),
                Part::Ending(Ending::End) => return self.syntax("`end` without anything that it ends"),
                Part::Ending(Ending::Else) => return self.syntax("`else` without `if`, `with` or `range`"),
            }
        }
    }

    /// `{{define "name"}} … {{end}}` behind its keyword.
    fn definition(&mut self) -> Parsed<()> {
        let name = self.next_word();
        let name = self.template_name(name)?;
        self.expect_right_delimiter()?;
        self.body(name)
    }

    /// The list of a template of its own, up to its `{{end}}`.
    fn body(&mut self, name: Vec<u8>) -> Parsed<()> {
        let variables = std::mem::replace(&mut self.variables, vec![Arc::from("$")]);
        let ranges = std::mem::take(&mut self.ranges);
        self.enter()?;
        let (list, ending) = self.list()?;
        self.depth -= 1;
        if matches!(ending, Ending::Else) {
            return self.syntax("`else` without `if`, `with` or `range`");
        }
        self.define(name, list)?;
        self.variables = variables;
        self.ranges = ranges;
        Ok(())
    }

    /// An empty template may be defined again, and does not replace one.
    fn define(&mut self, name: Vec<u8>, list: List) -> Parsed<()> {
        match self.definitions.get(&name) {
            Some(known) if !is_empty(known) => {
                if is_empty(&list) {
                    Ok(())
                } else {
                    self.fail(Reason::DefinedTwice)
                }
            }
            _ => {
                self.definitions.insert(name, list);
                Ok(())
            }
        }
    }

    fn list(&mut self) -> Parsed<(List, Ending)> {
        let mut list = List::new();
        while self.peek_word().kind != Kind::End {
            match self.text_or_action()? {
                Part::Node(node) => list.push(node),
                Part::Ending(ending) => return Ok((list, ending)),
            }
        }
        self.syntax("an `end` is missing")
    }

    fn text_or_action(&mut self) -> Parsed<Part> {
        let token = self.next_word();
        match token.kind {
            Kind::Text => Ok(Part::Node(Node::Text(Text::new(&self.input[token.start..token.end])))),
            Kind::LeftDelimiter => self.action(),
            _ => self.unexpected(token),
        }
    }

    fn action(&mut self) -> Parsed<Part> {
        let token = self.next_word();
        let Kind::Keyword(keyword) = token.kind else {
            self.back();
            return Ok(Part::Node(Node::Action(self.pipeline(Context::Other, Kind::RightDelimiter)?)));
        };
        let node = match keyword {
            Keyword::Block => self.block()?,
            Keyword::Break | Keyword::Continue => {
                self.expect_right_delimiter()?;
                if self.ranges == 0 {
                    return self.syntax("`break` and `continue` belong into a `range`");
                }
                if keyword == Keyword::Break { Node::Break } else { Node::Continue }
            }
            Keyword::Define => return self.unexpected(token),
            Keyword::Else => {
                if !matches!(self.peek_word().kind, Kind::Keyword(Keyword::If | Keyword::With)) {
                    self.expect_right_delimiter()?;
                }
                return Ok(Part::Ending(Ending::Else));
            }
            Keyword::End => {
                self.expect_right_delimiter()?;
                return Ok(Part::Ending(Ending::End));
            }
            Keyword::If => self.choice(Keyword::If)?,
            Keyword::With => self.choice(Keyword::With)?,
            Keyword::Range => self.range()?,
            Keyword::Template => {
                let offset = token.start;
                let name = self.next_word();
                let name = self.template_name(name)?;
                let mut pipe = None;
                if self.next_word().kind != Kind::RightDelimiter {
                    self.back();
                    pipe = Some(self.pipeline(Context::Other, Kind::RightDelimiter)?);
                }
                Node::Template { offset, name, pipe }
            }
        };
        Ok(Part::Node(node))
    }

    fn block(&mut self) -> Parsed<Node> {
        let token = self.next_word();
        let name = self.template_name(token)?;
        let pipe = self.pipeline(Context::Other, Kind::RightDelimiter)?;
        self.body(name.clone())?;
        Ok(Node::Template { offset: token.start, name, pipe: Some(pipe) })
    }

    /// `{{if}}` or `{{with}}` behind its keyword. A chain of `{{else if}}` is one node: what each declares is known in all
    /// that follow.
    fn choice(&mut self, keyword: Keyword) -> Parsed<Node> {
        self.enter()?;
        let known = self.variables.len();
        let mut branches = Vec::new();
        let mut otherwise = List::new();
        loop {
            let pipe = self.pipeline(Context::Choice, Kind::RightDelimiter)?;
            let (list, ending) = self.list()?;
            branches.push((pipe, list));
            if matches!(ending, Ending::End) {
                break;
            }
            if self.peek().kind == Kind::Keyword(keyword) {
                self.next();
                continue;
            }
            let ending;
            (otherwise, ending) = self.list()?;
            if matches!(ending, Ending::Else) {
                return self.syntax("a second `else`");
            }
            break;
        }
        self.variables.truncate(known);
        self.depth -= 1;
        Ok(Node::Choice { with: keyword == Keyword::With, branches, otherwise })
    }

    fn range(&mut self) -> Parsed<Node> {
        self.enter()?;
        let known = self.variables.len();
        let pipe = self.pipeline(Context::Range, Kind::RightDelimiter)?;
        self.ranges += 1;
        let (list, ending) = self.list()?;
        self.ranges -= 1;
        let mut otherwise = List::new();
        if matches!(ending, Ending::Else) {
            let ending;
            (otherwise, ending) = self.list()?;
            if matches!(ending, Ending::Else) {
                return self.syntax("a second `else`");
            }
        }
        self.variables.truncate(known);
        self.depth -= 1;
        Ok(Node::Range { pipe, list, otherwise })
    }

    fn template_name(&mut self, token: Token) -> Parsed<Vec<u8>> {
        match token.kind {
            Kind::String | Kind::RawString => self.string(token).map(|text| text.to_vec()),
            _ => self.unexpected(token),
        }
    }

    fn pipeline(&mut self, context: Context, end: Kind) -> Parsed<Pipe> {
        let offset = self.peek_word().start;
        let mut pipe = Pipe { offset, assigns: false, variables: Vec::new(), commands: Vec::new() };
        loop {
            let variable = self.peek_word();
            if variable.kind != Kind::Variable {
                break;
            }
            self.next();
            let adjacent = self.peek();
            let next = self.peek_word();
            let is_comma = next.kind == Kind::Character && self.input[next.start..next.end] == *b",";
            if !matches!(next.kind, Kind::Assign | Kind::Declare) && !is_comma {
                if adjacent.kind == Kind::Space {
                    // The word behind the space is at the front already.
                    self.tokens[1] = adjacent;
                    self.tokens[2] = variable;
                    self.peeked = 3;
                } else {
                    self.tokens[1] = variable;
                    self.peeked = 2;
                }
                break;
            }
            self.next_word();
            let name: Arc<str> = self.spelling(variable).into();
            pipe.variables.push(Arc::clone(&name));
            self.variables.push(name);
            if !is_comma {
                pipe.assigns = next.kind == Kind::Assign;
                break;
            }
            if context != Context::Range || pipe.variables.len() > 1 {
                return self.syntax("too many variables");
            }
            if !matches!(self.peek_word().kind, Kind::Variable | Kind::RightDelimiter | Kind::RightParenthesis) {
                return self.syntax("a `range` can only set variables");
            }
        }
        loop {
            let token = self.next_word();
            if token.kind == end {
                break;
            }
            match token.kind {
                Kind::Bool
                | Kind::CharacterConstant
                | Kind::Complex
                | Kind::Dot
                | Kind::Field
                | Kind::Identifier
                | Kind::Number
                | Kind::Nil
                | Kind::RawString
                | Kind::String
                | Kind::Variable
                | Kind::LeftParenthesis => {
                    self.back();
                    let command = self.command()?;
                    pipe.commands.push(command);
                }
                _ => return self.unexpected(token),
            }
        }
        if pipe.commands.is_empty() {
            return self.syntax("a value is missing");
        }
        let is_constant = |command: &Command| {
            matches!(command.words[0].word, Word::Bool(_) | Word::Dot | Word::Nil | Word::Number(_) | Word::Text(_))
        };
        if pipe.commands[1..].iter().any(is_constant) {
            return self.syntax("a value behind `|` cannot take another");
        }
        Ok(pipe)
    }

    fn command(&mut self) -> Parsed<Command> {
        let mut words = Vec::new();
        loop {
            self.peek_word();
            if let Some(operand) = self.operand()? {
                words.push(operand);
            }
            let token = self.next();
            match token.kind {
                Kind::Space => {}
                Kind::RightDelimiter | Kind::RightParenthesis => {
                    self.back();
                    break;
                }
                Kind::Pipe => break,
                _ => return self.unexpected(token),
            }
        }
        if words.is_empty() {
            return self.syntax("an empty command");
        }
        Ok(Command { words })
    }

    fn operand(&mut self) -> Parsed<Option<Operand>> {
        let Some(mut operand) = self.term()? else {
            return Ok(None);
        };
        if self.peek().kind != Kind::Field {
            return Ok(Some(operand));
        }
        let offset = self.peek().start;
        let mut names = Vec::new();
        while self.peek().kind == Kind::Field {
            let field = self.next();
            names.push(self.field(field));
        }
        match &mut operand.word {
            Word::Field(first) | Word::Variable(_, first) => {
                first.append(&mut names);
                operand.offset = offset;
            }
            Word::Bool(_) | Word::Text(_) | Word::Number(_) | Word::Nil | Word::Dot => {
                return self.syntax("a `.` behind a constant");
            }
            _ => operand = Operand { offset, word: Word::Chain(Box::new(operand), names) },
        }
        Ok(Some(operand))
    }

    fn term(&mut self) -> Parsed<Option<Operand>> {
        let token = self.next_word();
        let word = match token.kind {
            Kind::Identifier => {
                let name = self.spelling(token);
                match functions::find(&name, self.options.language) {
                    Found::Function(function) => Word::Function(function),
                    Found::Refused(name, because) => return self.fail(Reason::Refused { name, because }),
                    Found::Nothing => return self.fail(Reason::NoFunction(name)),
                }
            }
            Kind::Dot => Word::Dot,
            Kind::Nil => Word::Nil,
            Kind::Variable => {
                let name = self.spelling(token);
                match self.variables.iter().find(|known| ***known == *name) {
                    Some(known) => Word::Variable(Arc::clone(known), Vec::new()),
                    None => return self.fail(Reason::NoVariable(name)),
                }
            }
            Kind::Field => Word::Field(vec![self.field(token)]),
            Kind::Bool => Word::Bool(self.input[token.start] == b't'),
            Kind::CharacterConstant => match unquote_character(&self.input[token.start..token.end]) {
                Some(code) => Word::Number(number::character(code)),
                None => return self.syntax("a malformed character"),
            },
            Kind::Number | Kind::Complex => match number::parse(&self.spelling(token)) {
                Ok(number) => Word::Number(number),
                Err(reason) => return self.syntax(reason),
            },
            Kind::LeftParenthesis => {
                self.enter()?;
                let pipe = self.pipeline(Context::Other, Kind::RightParenthesis)?;
                self.depth -= 1;
                Word::Pipe(Box::new(pipe))
            }
            Kind::String | Kind::RawString => Word::Text(self.string(token)?),
            _ => {
                self.back();
                return Ok(None);
            }
        };
        Ok(Some(Operand { offset: token.start, word }))
    }

    fn string(&mut self, token: Token) -> Parsed<Text> {
        match unquote(&self.input[token.start..token.end]) {
            Some(text) => Ok(text),
            None => self.syntax("a malformed string"),
        }
    }

    /// The name behind the dot.
    fn field(&self, token: Token) -> Arc<str> {
        self.spelling(Token { start: token.start + 1, ..token }).into()
    }

    /// Names and numbers are made of characters that are valid.
    fn spelling(&self, token: Token) -> String {
        String::from_utf8_lossy(&self.input[token.start..token.end]).into_owned()
    }

    fn enter(&mut self) -> Parsed<()> {
        self.depth += 1;
        if self.depth > self.options.limits.depth { self.fail(Limit::Depth.into()) } else { Ok(()) }
    }

    fn next(&mut self) -> Token {
        if self.peeked > 0 {
            self.peeked -= 1;
        } else {
            self.tokens[0] = self.lexer.next_token();
        }
        self.tokens[self.peeked]
    }

    fn back(&mut self) {
        self.peeked += 1;
    }

    fn peek(&mut self) -> Token {
        if self.peeked == 0 {
            self.peeked = 1;
            self.tokens[0] = self.lexer.next_token();
        }
        self.tokens[self.peeked - 1]
    }

    fn next_word(&mut self) -> Token {
        loop {
            let token = self.next();
            if token.kind != Kind::Space {
                return token;
            }
        }
    }

    fn peek_word(&mut self) -> Token {
        let token = self.next_word();
        self.back();
        token
    }

    fn expect_right_delimiter(&mut self) -> Parsed<()> {
        let token = self.next_word();
        if token.kind == Kind::RightDelimiter { Ok(()) } else { self.unexpected(token) }
    }

    fn unexpected<T>(&self, token: Token) -> Parsed<T> {
        let reason = match token.kind {
            Kind::Error(reason) => reason,
            Kind::End => "the template ends here",
            Kind::Keyword(_) => "a keyword cannot stand here",
            _ => "this cannot stand here",
        };
        Err(TemplateError::at(Stage::Parse, self.input, token.start, Reason::Syntax(reason)))
    }

    fn syntax<T>(&self, reason: &'static str) -> Parsed<T> {
        self.fail(Reason::Syntax(reason))
    }

    fn fail<T>(&self, reason: Reason) -> Parsed<T> {
        Err(TemplateError::at(Stage::Parse, self.input, self.tokens[0].start, reason))
    }
}

/// Whether nothing but space is written.
fn is_empty(list: &List) -> bool {
    list.iter().all(|node| match node {
        Node::Text(text) => is_blank(text),
        _ => false,
    })
}
