//! Flags as SOPS reads them, which is as Go's package `flag` and urfave/cli v1 do.
//!
//! ```text
//! -name  --name           a switch, or a flag whose value is the next argument, whatever that is
//! --name=value            also for switches: `--in-place=false`
//! --                      what follows are arguments
//! sops -d FILE --extract  the old style: behind the first argument nothing is a flag any more
//! sops decrypt FILE -i    a command: its flags are moved before its arguments first, up to `--`
//! ```
//! A flag that is not given has the value of its environment variable, if that is set, also to nothing. The last one given counts; a
//! list takes all, and the variable not at all then. One flag in both its forms (`-d --decrypt`) is an error.
//!
//! Source: Go 1.26 `flag/flag.go`, urfave/cli 1.22.17 `command.go`, `context.go`, `flag_*.go`. The messages are theirs: tools look for them.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use crate::sops::go::quoted;

/// What a flag takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing, or `true` or `false` behind an equals sign. Off if it is not given.
    Switch,
    /// The same, and on.
    SwitchOn,
    /// A text.
    Text,
    /// A text, with this one if none is given.
    TextOr(&'static str),
    /// A whole number; 0 if none is given.
    Number,
    /// Texts: it may be given several times.
    List,
}

/// A flag.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flag {
    /// Its names; the first one is how it is asked for.
    pub(super) names: &'static [&'static str],
    pub(super) kind: Kind,
    /// The environment variable that stands for it.
    pub(super) variable: Option<&'static str>,
    /// What `--help` says.
    pub(super) help: &'static str,
}

impl Flag {
    pub(super) const fn new(names: &'static [&'static str], kind: Kind, help: &'static str) -> Self {
        Self { names, kind, variable: None, help }
    }

    /// The same with an environment variable.
    pub(super) const fn or(self, variable: &'static str) -> Self {
        Self { variable: Some(variable), ..self }
    }

    pub(super) fn is_switch(&self) -> bool {
        matches!(self.kind, Kind::Switch | Kind::SwitchOn)
    }
}

/// Who gave a flag its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Nobody,
    Variable,
    CommandLine,
}

/// The value of a flag.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Switch(bool),
    Text(OsString),
    Number(i64),
    List(Vec<OsString>),
}

/// A command line that was read.
#[derive(Debug, Default)]
pub(super) struct Flags {
    values: HashMap<&'static str, (Value, By)>,
    /// What is no flag.
    pub(super) arguments: Vec<OsString>,
}

/// Why a command line cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FlagError {
    /// A flag is wrong.
    Usage(String),
    /// The environment variable of a flag is wrong.
    Variable(String),
}

impl FlagError {
    pub(super) fn message(&self) -> &str {
        match self {
            Self::Usage(message) | Self::Variable(message) => message,
        }
    }
}

/// Reads `arguments`, by `known`. What was read up to an error is given, too: a shell asks for completions in the middle of a line.
pub(super) fn read(
    known: &[Flag],
    arguments: &[OsString],
    variable: impl Fn(&str) -> Option<OsString>,
) -> (Flags, Result<(), FlagError>) {
    let mut flags = Flags::default();
    for flag in known {
        match initial(flag, &variable) {
            Ok(value) => flags.values.insert(flag.names[0], value),
            Err(error) => return (flags, Err(FlagError::Variable(error))),
        };
    }
    let mut seen: Vec<&'static str> = Vec::new();
    let mut rest = arguments;
    let result = loop {
        match flags.read_one(known, &mut rest, &mut seen) {
            Ok(true) => {}
            Ok(false) => break forms(known, &seen),
            Err(error) => break forms(known, &seen).and(Err(error)),
        }
    };
    flags.arguments = rest.to_vec();
    (flags, result.map_err(FlagError::Usage))
}

/// [`read`] for a command, whose flags may stand behind its arguments.
pub(super) fn read_reordered(
    known: &[Flag],
    arguments: &[OsString],
    variable: impl Fn(&str) -> Option<OsString>,
) -> (Flags, Result<(), FlagError>) {
    read(known, &reorder(known, arguments), variable)
}

impl Flags {
    /// Is this switch on?
    pub(super) fn is(&self, name: &str) -> bool {
        matches!(self.values.get(name), Some((Value::Switch(true), _)))
    }

    /// The text of a flag; empty if it was not given.
    pub(super) fn text(&self, name: &str) -> String {
        self.raw(name).to_string_lossy().into_owned()
    }

    /// The text of a flag that names a file.
    pub(super) fn raw(&self, name: &str) -> &OsStr {
        match self.values.get(name) {
            Some((Value::Text(text), _)) => text,
            _ => OsStr::new(""),
        }
    }

    /// The number of a flag; 0 if it was not given.
    pub(super) fn number(&self, name: &str) -> i64 {
        match self.values.get(name) {
            Some((Value::Number(number), _)) => *number,
            _ => 0,
        }
    }

    /// The texts of a flag.
    pub(super) fn list(&self, name: &str) -> Vec<String> {
        match self.values.get(name) {
            Some((Value::List(list), _)) => list.iter().map(|text| text.to_string_lossy().into_owned()).collect(),
            _ => Vec::new(),
        }
    }

    /// Was it given, on the command line or by its variable?
    pub(super) fn is_given(&self, name: &str) -> bool {
        self.values.get(name).is_some_and(|(_, by)| *by != By::Nobody)
    }

    /// Reads one flag. `false` where they end.
    fn read_one(
        &mut self,
        known: &[Flag],
        rest: &mut &[OsString],
        seen: &mut Vec<&'static str>,
    ) -> Result<bool, String> {
        let Some((first, after)) = rest.split_first() else { return Ok(false) };
        let bytes = first.as_bytes();
        if bytes.len() < 2 || bytes[0] != b'-' {
            return Ok(false);
        }
        let name = bytes.strip_prefix(b"--").unwrap_or(&bytes[1..]);
        if bytes == b"--" {
            *rest = after;
            return Ok(false);
        }
        if matches!(name.first(), None | Some(b'-' | b'=')) {
            return Err(format!("bad flag syntax: {}", first.to_string_lossy()));
        }
        *rest = after;
        let (name, value) = match name.iter().position(|byte| *byte == b'=') {
            Some(at) => (&name[..at], Some(OsStr::from_bytes(&name[at + 1..]).to_os_string())),
            None => (name, None),
        };
        let known = known.iter().find_map(|flag| {
            let spelt = flag.names.iter().find(|known| known.as_bytes() == name)?;
            Some((flag, *spelt))
        });
        let Some((flag, name)) = known else {
            return Err(format!("flag provided but not defined: -{}", String::from_utf8_lossy(name)));
        };
        let value = match value {
            Some(value) => value,
            None if flag.is_switch() => OsString::from("true"),
            None => match after.split_first() {
                Some((value, after)) => {
                    *rest = after;
                    value.clone()
                }
                None => return Err(format!("flag needs an argument: -{name}")),
            },
        };
        self.set(flag, name, value)?;
        if !seen.contains(&name) {
            seen.push(name);
        }
        Ok(true)
    }

    fn set(&mut self, flag: &Flag, name: &str, value: OsString) -> Result<(), String> {
        let text = value.to_string_lossy();
        let value = match flag.kind {
            Kind::Switch | Kind::SwitchOn => Value::Switch(
                read_switch(&text)
                    .ok_or_else(|| format!("invalid boolean value {} for -{name}: parse error", quoted(&text)))?,
            ),
            Kind::Number => Value::Number(
                read_number(&text)
                    .map_err(|reason| format!("invalid value {} for flag -{name}: {reason}", quoted(&text)))?,
            ),
            Kind::Text | Kind::TextOr(_) => Value::Text(value),
            Kind::List => {
                let mut list = match self.values.remove(flag.names[0]) {
                    Some((Value::List(list), By::CommandLine)) => list,
                    _ => Vec::new(),
                };
                list.push(value);
                Value::List(list)
            }
        };
        self.values.insert(flag.names[0], (value, By::CommandLine));
        Ok(())
    }
}

/// The value of a flag before the command line is read.
fn initial(flag: &Flag, variable: impl Fn(&str) -> Option<OsString>) -> Result<(Value, By), String> {
    let given = flag.variable.and_then(variable);
    let by = if given.is_some() { By::Variable } else { By::Nobody };
    let value = match flag.kind {
        Kind::Switch | Kind::SwitchOn => Value::Switch(match &given {
            None => flag.kind == Kind::SwitchOn,
            Some(text) if text.is_empty() => false,
            Some(text) => {
                let text = text.to_string_lossy();
                read_switch(&text).ok_or_else(|| {
                    let names = flag.names.join(", ");
                    let reason = format!("strconv.ParseBool: parsing {}: invalid syntax", quoted(&text));
                    format!("could not parse {text} as bool value for flag {names}: {reason}")
                })?
            }
        }),
        Kind::Text => Value::Text(given.unwrap_or_default()),
        Kind::TextOr(usual) => Value::Text(given.unwrap_or_else(|| usual.into())),
        Kind::Number => Value::Number(0),
        Kind::List => {
            let given = given.unwrap_or_default();
            let parts = given.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
            Value::List(parts.filter(|part| !part.is_empty()).map(|part| OsString::from_vec(part.to_vec())).collect())
        }
    };
    Ok((value, by))
}

/// Two forms of one flag are refused.
fn forms(known: &[Flag], seen: &[&'static str]) -> Result<(), String> {
    for flag in known {
        let mut given = flag.names.iter().filter(|name| seen.contains(name));
        if let (Some(first), Some(second)) = (given.next(), given.next()) {
            return Err(format!("Cannot use two forms of the same flag: {second} {first}"));
        }
    }
    Ok(())
}

/// Flags first, then arguments, as urfave/cli does it. It takes whatever follows a flag without `=` for its value, switches included:
/// what follows a switch is still read as an argument afterwards, but comes before those that stood in front of it.
fn reorder(known: &[Flag], arguments: &[OsString]) -> Vec<OsString> {
    let (mut flags, mut others) = (Vec::new(), Vec::new());
    let mut may_be_value = false;
    for (index, argument) in arguments.iter().enumerate() {
        let is_flag = is_flag(known, argument);
        if may_be_value && !is_flag {
            may_be_value = false;
            flags.push(argument.clone());
        } else if argument == "--" {
            others.insert(0, argument.clone());
            others.extend_from_slice(&arguments[index + 1..]);
            break;
        } else if is_flag {
            may_be_value = !argument.as_bytes().contains(&b'=');
            flags.push(argument.clone());
        } else {
            others.push(argument.clone());
        }
    }
    flags.append(&mut others);
    flags
}

fn is_flag(known: &[Flag], argument: &OsStr) -> bool {
    let bytes = argument.as_bytes();
    if bytes == b"-" || bytes == b"--" {
        return false;
    }
    let Some(name) = bytes.strip_prefix(b"--").or_else(|| bytes.strip_prefix(b"-")) else { return false };
    let name = name.split(|byte| *byte == b'=').next().unwrap_or_default();
    known.iter().any(|flag| flag.names.iter().any(|known| known.as_bytes() == name))
}

/// What Go's `strconv.ParseBool` takes.
pub(super) fn read_switch(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

/// What Go's `strconv.ParseInt` takes with base 0; `_` between digits only.
fn read_number(text: &str) -> Result<i64, &'static str> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let prefixed = [("0x", 16), ("0b", 2), ("0o", 8), ("0", 8)];
    let (digits, base) = prefixed
        .into_iter()
        .filter(|_| lower.len() > 1)
        .find_map(|(prefix, base)| Some((lower.strip_prefix(prefix)?, base)))
        .unwrap_or((&lower, 10));
    let lonely = |digits: &str| digits.starts_with('_') && base == 10 || digits.ends_with('_') || digits.contains("__");
    if lonely(digits) || (base == 10 && digits.contains('_')) {
        return Err("parse error");
    }
    i64::from_str_radix(&format!("{sign}{}", digits.replace('_', "")), base).map_err(|error| match error.kind() {
        std::num::IntErrorKind::PosOverflow | std::num::IntErrorKind::NegOverflow => "value out of range",
        _ => "parse error",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLAGS: &[Flag] = &[
        Flag::new(&["decrypt", "d"], Kind::Switch, ""),
        Flag::new(&["local"], Kind::SwitchOn, "").or("LOCAL"),
        Flag::new(&["output"], Kind::Text, ""),
        Flag::new(&["age", "a"], Kind::Text, "").or("AGE"),
        Flag::new(&["indent"], Kind::Number, ""),
        Flag::new(&["service"], Kind::List, "").or("SERVICE"),
    ];

    fn words(text: &str) -> Vec<OsString> {
        text.split_whitespace().map(OsString::from).collect()
    }

    fn show(flags: &Flags) -> String {
        let mut shown: Vec<String> = Vec::new();
        for flag in FLAGS.iter().filter(|flag| flags.is_given(flag.names[0])) {
            let name = flag.names[0];
            shown.push(match flag.kind {
                Kind::Switch | Kind::SwitchOn => format!("{name}={}", flags.is(name)),
                Kind::Number => format!("{name}={}", flags.number(name)),
                Kind::List => format!("{name}={}", flags.list(name).join("+")),
                Kind::Text | Kind::TextOr(_) => format!("{name}={}", flags.text(name)),
            });
        }
        let arguments: Vec<_> = flags.arguments.iter().map(|argument| argument.to_string_lossy()).collect();
        format!("{} | {}", shown.join(" "), arguments.join(" "))
    }

    #[test]
    fn flags_are_read_as_go_reads_them() {
        for (line, expected) in [
            ("-d --output x file -e", "decrypt=true output=x | file -e"),
            ("--d -output=x=y file", "decrypt=true output=x=y | file"),
            ("-d=false --local=F", "decrypt=false local=false | "),
            ("--output -d file", "output=-d | file"),
            ("--output= file", "output= | file"),
            ("--output a --output b", "output=b | "),
            ("-- -d", " | -d"),
            ("- -d", " | - -d"),
            ("--service a --service b,c", "service=a+b,c | "),
            ("--indent 0x10", "indent=16 | "),
            ("--indent -3", "indent=-3 | "),
        ] {
            let (flags, result) = read(FLAGS, &words(line), |_| None);
            assert_eq!(result, Ok(()), "{line}");
            assert_eq!(show(&flags), expected, "{line}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_as_go_says_it() {
        for (line, expected) in [
            ("--nothing", "flag provided but not defined: -nothing"),
            ("-nothing=x", "flag provided but not defined: -nothing"),
            ("---d", "bad flag syntax: ---d"),
            ("-=d", "bad flag syntax: -=d"),
            ("-d --output", "flag needs an argument: -output"),
            ("-d=yes", r#"invalid boolean value "yes" for -d: parse error"#),
            ("--indent two", r#"invalid value "two" for flag -indent: parse error"#),
            (
                "--indent 99999999999999999999",
                r#"invalid value "99999999999999999999" for flag -indent: value out of range"#,
            ),
            ("-d --decrypt", "Cannot use two forms of the same flag: d decrypt"),
            ("--decrypt -d --nothing", "Cannot use two forms of the same flag: d decrypt"),
        ] {
            let error = read(FLAGS, &words(line), |_| None).1.unwrap_err();
            assert_eq!(error, FlagError::Usage(expected.to_owned()), "{line}");
        }
    }

    #[test]
    fn variables_count_until_the_command_line_says_otherwise() {
        let variable = |value: &'static str| move |_: &str| Some(OsString::from(value));
        let (flags, _) = read(&FLAGS[3..4], &words("x"), variable("one"));
        assert_eq!((flags.text("age"), flags.is_given("age")), ("one".to_owned(), true));
        let (flags, _) = read(&FLAGS[3..4], &words("-a two"), variable("one"));
        assert_eq!(flags.text("age"), "two");
        let (flags, _) = read(&FLAGS[5..], &words("x"), variable("one, two"));
        assert_eq!(flags.list("service"), ["one", "two"]);
        let (flags, _) = read(&FLAGS[5..], &words("--service three"), variable("one, two"));
        assert_eq!(flags.list("service"), ["three"]);
        assert!(!read(&FLAGS[1..2], &[], variable("")).0.is("local"));
        assert!(!read(&FLAGS[1..2], &[], variable("0")).0.is("local"));
        assert_eq!(
            read(&FLAGS[1..2], &[], variable("no")).1.unwrap_err().message(),
            r#"could not parse no as bool value for flag local: strconv.ParseBool: parsing "no": invalid syntax"#
        );
    }

    #[test]
    fn flags_of_a_command_may_follow_its_arguments() {
        for (line, expected) in [
            ("file -d", "-d file"),
            ("file --output x -d", "--output x -d file"),
            ("file --output -d x", "--output -d x file"),
            ("file -d=true other", "-d=true file other"),
            ("one -d two", "-d two one"),
            ("file -- -d", "-- file -d"),
            ("file --nothing", "file --nothing"),
            ("file - -d", "-d file -"),
        ] {
            assert_eq!(reorder(FLAGS, &words(line)), words(expected), "{line}");
        }
    }
}
