//! The command line of SOPS, under its name: a link called `sops` to this program, or `bulla sops …`.
//!
//! ```text
//! flags       Go's syntax of flags             table       every command, with its flags
//! help, completion, version                    failure     messages and exit codes of sops
//! file        from flags to a file: format, rule, keys, what opens it, where the result goes
//! old_style   sops [-d|-e|-r|--set] FILE        one file for each command: encrypt, decrypt, edit, …
//! tree_path   ["db"]["hosts"][0]               report      why the data key could not be had, in sops' words
//! ```
//! It does what sops 3.13.3 does, by the libraries that the commands of `bulla` stand on, too: files are edited and not printed anew. What
//! is otherwise is in `docs/differences.md`, and `tests/sops` holds every invocation there against the real program.
//!
//! Source: sops 3.13.3 `cmd/sops`, urfave/cli 1.22.17.

mod completion;
mod dates;
mod decrypt;
mod edit;
mod encrypt;
mod exec;
mod failure;
mod file;
mod filestatus;
mod flags;
mod go;
mod groups;
mod help;
mod keyservice;
mod old_style;
mod publish;
mod recipe;
mod report;
mod rotate;
mod rules;
mod set;
mod table;
mod tree_path;
mod updatekeys;
mod version;

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use bulla_sops::FORMAT_VERSION;

use crate::context::Context;
use crate::hardening;
use failure::Failure;
use flags::{FlagError, Flags};
use go::Level;
use table::{COMMANDS, Command, HELP, ROOT};

type Outcome = Result<(), Failure>;

/// What a command does.
#[derive(Debug, Clone, Copy)]
enum Action {
    Run(fn(&Run<'_>) -> Outcome),
    /// It has commands of its own.
    Commands(&'static [Command]),
}

/// One run of a command.
struct Run<'a> {
    cx: &'a Context,
    /// Was the person warned of the configuration already? It is read more than once.
    warned: AtomicBool,
    /// The flags in front of the command; in the old style those are all there are.
    global: &'a Flags,
    /// The flags and arguments of the command.
    flags: &'a Flags,
}

impl Run<'_> {
    /// Writes to standard output.
    fn print(&self, data: &[u8]) -> Outcome {
        self.cx.print(data).map_err(|error| Failure::from(error).with_code(1))
    }

    /// Tells what is not as it was meant.
    fn warn(&self, message: &str) {
        self.log(Level::Warning, message, &[]);
    }

    /// Tells what was done, if somebody wants to know.
    fn inform(&self, message: &str) {
        if self.global.is("verbose") || self.flags.is("verbose") {
            self.log(Level::Info, message, &[]);
        }
    }

    /// Whether this is the first time that something about the configuration could be said.
    fn warns_of_configuration(&self) -> bool {
        !self.warned.swap(true, Ordering::Relaxed)
    }

    fn log(&self, level: Level, message: &str, fields: &[(&str, &str)]) {
        self.log_as("CMD", level, message, fields);
    }

    /// A line of the log by another part of sops.
    fn log_as(&self, logger: &str, level: Level, message: &str, fields: &[(&str, &str)]) {
        self.cx.say(&go::log_line(logger, level, message, fields, self.cx.now()));
    }

    /// The arguments of the command.
    fn arguments(&self) -> &[OsString] {
        &self.flags.arguments
    }
}

/// What it is called.
pub(crate) const NAME: &str = "sops";

/// Is this program called by the name of SOPS?
pub(crate) fn is_its_name(program: &OsStr) -> bool {
    Path::new(program).file_name().is_some_and(|name| name == NAME)
}

/// Runs `sops` with these arguments.
pub(crate) fn run(arguments: &[OsString]) -> ExitCode {
    hardening::forbid_dumps();
    let cx = Context::new(false);
    match dispatch(&cx, arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            cx.say(&failure.render(cx.now()));
            failure.code().into()
        }
    }
}

fn dispatch(cx: &Context, arguments: &[OsString]) -> Outcome {
    let (completing, arguments) = match arguments.split_last() {
        Some((last, others)) if last == completion::ASKED => (true, others),
        _ => (false, arguments),
    };
    let known = ROOT.concat();
    let (global, read) = flags::read(&known, arguments, variable);
    let command = global.arguments.first().and_then(|name| COMMANDS.iter().find(|command| name == command.name));
    let is_help = global.arguments.first().is_some_and(|name| name == "help" || name == "h");
    if completing && command.is_none() {
        let names = if is_help { Vec::new() } else { completion::names(COMMANDS) };
        let text = completion::suggestions(arguments, &known, &names, with_help());
        return print(cx, &text);
    }
    let run = Run { cx, warned: AtomicBool::new(false), global: &global, flags: &global };
    if !completing {
        if let Err(error) = read {
            if let FlagError::Usage(error) = &error {
                print(cx, &format!("Incorrect Usage. {error}\n\n{}", help::of_program()))?;
            }
            return Err(Failure::fatal(error.message()));
        }
        if global.is("help") {
            return print(cx, &help::of_program());
        }
        if global.is("version") {
            return version::version(&run);
        }
        audit::refuse()?;
    }
    let rest = global.arguments.get(1..).unwrap_or_default();
    match command {
        Some(command) => {
            run_command(cx, &global, command, &format!("sops {}", command.name), rest, completing.then_some(arguments))
        }
        None if is_help => help_of(cx, "sops", COMMANDS, rest),
        None => old_style::run(&run),
    }
}

/// Runs a command with its arguments; `asked` is the line that a shell wants to have completed.
fn run_command(
    cx: &Context,
    global: &Flags,
    command: &Command,
    name: &str,
    arguments: &[OsString],
    asked: Option<&[OsString]>,
) -> Outcome {
    let mut known = command.all_flags();
    known.push(HELP);
    let action = match command.action {
        Action::Run(action) => action,
        Action::Commands(inner) => return run_inner(cx, global, command, inner, name, arguments, asked),
    };
    let (flags, read) = flags::read_reordered(&known, arguments, variable);
    if let Some(line) = asked {
        let known = [ROOT.concat(), known].concat();
        return print(cx, &completion::suggestions(line, &known, &[], with_help()));
    }
    if let Err(error) = read {
        let message = error.message();
        print(cx, &format!("Incorrect Usage: {message}\n\n{}", help::of_command(name, command)))?;
        return Err(Failure::fatal(message));
    }
    if flags.is("help") {
        return print(cx, &help::of_command(name, command));
    }
    action(&Run { cx, warned: AtomicBool::new(false), global, flags: &flags })
}

/// Runs a command of a command: `sops groups add`.
fn run_inner(
    cx: &Context,
    global: &Flags,
    command: &Command,
    inner: &'static [Command],
    name: &str,
    arguments: &[OsString],
    asked: Option<&[OsString]>,
) -> Outcome {
    let (flags, read) = flags::read(&[HELP], arguments, variable);
    let chosen = flags.arguments.first();
    let rest = flags.arguments.get(1..).unwrap_or_default();
    let found = chosen.and_then(|chosen| inner.iter().find(|command| chosen == command.name));
    if let (Some(line), None) = (asked, found) {
        return print(cx, &completion::suggestions(line, &[HELP], &completion::names(inner), with_help()));
    }
    if let (Err(error), None) = (read, asked) {
        let message = error.message();
        print(cx, &format!("Incorrect Usage. {message}\n\n{}", help::of_commands(name, command)))?;
        return Err(Failure::fatal(message));
    }
    if flags.is("help") {
        return print(cx, &help::of_commands(name, command));
    }
    match (found, chosen) {
        (Some(command), _) => run_command(cx, global, command, &format!("{name} {}", command.name), rest, asked),
        (None, Some(word)) if word != "help" && word != "h" => Err(no_topic(word)),
        (None, Some(_)) if !rest.is_empty() => help_of(cx, name, inner, rest),
        _ => print(cx, &help::of_commands(name, command)),
    }
}

/// `help COMMAND`
fn help_of(cx: &Context, name: &str, commands: &[Command], topic: &[OsString]) -> Outcome {
    let Some(topic) = topic.first() else { return print(cx, &help::of_program()) };
    let command = commands.iter().find(|command| topic == command.name).ok_or_else(|| no_topic(topic))?;
    print(cx, &help::of_command(&format!("{name} {}", command.name), command))
}

fn no_topic(topic: &OsStr) -> Failure {
    Failure::new(3, format!("No help topic for '{}'", topic.to_string_lossy()))
}

fn print(cx: &Context, text: &str) -> Outcome {
    cx.print(text.as_bytes()).map_err(Failure::from)
}

fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// Does the shell show what a command does beside its name?
fn with_help() -> bool {
    variable("_CLI_ZSH_AUTOCOMPLETE_HACK").is_some_and(|value| value == "1")
}

/// SOPS writes down in a database who decrypts what, if this file says which. That is not done here, so nothing else is, either.
mod audit {
    use bulla_doc::{Document, Format, Node};

    use super::Failure;

    const FILE: &str = "/etc/sops/audit.yaml";

    /// # Errors
    /// If this machine wants an audit. A file that cannot be read says nothing, to SOPS neither.
    pub(super) fn refuse() -> Result<(), Failure> {
        let Ok(text) = std::fs::read(FILE) else { return Ok(()) };
        if !names_a_database(&text) {
            return Ok(());
        }
        Err(Failure::fatal(format!("{FILE} asks for an audit in a database, which bulla does not write"))
            .hint("use the original sops on this machine; or take the file away, if nobody needs the audit"))
    }

    pub(super) fn names_a_database(text: &[u8]) -> bool {
        let Ok(document) = Document::parse(text, Format::Yaml) else { return true };
        let databases = document.branches().next().and_then(|top| top.get("backends")?.get("postgres"));
        databases
            .is_some_and(|databases| databases.children().any(|item: Node<'_>| item.kind() != bulla_doc::Kind::Comment))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_audit_is_asked_for_where_a_database_is_named() {
        for (text, asked) in [
            ("", false),
            ("backends: {}", false),
            ("backends:\n  postgres:\n  # none\n", false),
            ("backends:\n  postgres:\n  - connection_string: x\n", true),
            ("}", true),
        ] {
            assert_eq!(audit::names_a_database(text.as_bytes()), asked, "{text}");
        }
    }

    #[test]
    fn it_goes_by_its_name() {
        for (program, is_it) in [("sops", true), ("/usr/bin/sops", true), ("./bulla", false), ("sops-3", false)] {
            assert_eq!(is_its_name(OsStr::new(program)), is_it, "{program}");
        }
    }
}
