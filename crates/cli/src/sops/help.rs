//! Help, in the layout of sops.

use std::fmt::Write as _;

use super::flags::{Flag, Kind};
use super::table::{COMMANDS, Command, ROOT};
use super::{Action, FORMAT_VERSION};

/// What `sops --help` says.
pub(super) fn of_program() -> String {
    let mut commands: Vec<(String, String)> = rows(COMMANDS);
    commands.push(("help, h".to_owned(), "list the commands, or show the help of one".to_owned()));
    format!(
        "NAME:\n   sops - the command line of SOPS, by bulla {}\n\n\
         USAGE:\n\
         \x20  sops [flags] FILE              edit FILE; with -d, -e or -r: decrypt, encrypt, rotate it\n\
         \x20  sops [flags] COMMAND [flags]   a command; its flags may stand before and behind its arguments\n\n\
         \x20  Who can open a new file is said by flags, by the environment, or by the first rule in the .sops.yaml\n\
         \x20  of the current directory, or of one above, whose path_regex matches the file. Flags behind FILE are ignored.\n\
         \x20  Editors: $SOPS_EDITOR, $EDITOR, vim, nano, vi. Programs: $SOPS_GPG_EXEC.\n\n\
         VERSION:\n   {FORMAT_VERSION}\n\n\
         COMMANDS:\n{}\n\
         GLOBAL OPTIONS:\n{}",
        env!("CARGO_PKG_VERSION"),
        columns(&commands),
        columns(&flag_rows(&ROOT.concat()))
    )
}

/// What `sops COMMAND --help` says; `name` is the command with what stands before it.
pub(super) fn of_command(name: &str, command: &Command) -> String {
    let flags = command.all_flags();
    let options = if flags.is_empty() { "" } else { " [command options]" };
    let arguments = if command.arguments.is_empty() { "[arguments...]" } else { command.arguments };
    let mut text = format!("NAME:\n   {name} - {}\n\nUSAGE:\n   {name}{options} {arguments}\n", command.help);
    if !flags.is_empty() {
        let _ = write!(text, "\nOPTIONS:\n{}   \n", columns(&flag_rows(&flags)));
    }
    text
}

/// What a command says that has commands of its own.
pub(super) fn of_commands(name: &str, command: &Command) -> String {
    let commands = match command.action {
        Action::Commands(commands) => columns(&rows(commands)),
        Action::Run(_) => String::new(),
    };
    format!(
        "NAME:\n   {name} - {}\n\nUSAGE:\n   {name} command [command options] [arguments...]\n\nCOMMANDS:\n{commands}\n\
         OPTIONS:\n   --help, -h  {}\n   \n",
        command.help,
        super::table::HELP.help
    )
}

fn rows(commands: &[Command]) -> Vec<(String, String)> {
    commands.iter().map(|command| (command.name.to_owned(), command.help.to_owned())).collect()
}

fn flag_rows(flags: &[Flag]) -> Vec<(String, String)> {
    flags
        .iter()
        .map(|flag| {
            let value = if flag.is_switch() { "" } else { " value" };
            let names: Vec<String> = flag.names.iter().map(|name| format!("{}{value}", dashed(name))).collect();
            let mut help = flag.help.to_owned();
            match flag.kind {
                Kind::Number => help.push_str(" (default: 0)"),
                Kind::TextOr(usual) => {
                    let _ = write!(help, " (default: \"{usual}\")");
                }
                _ => {}
            }
            if let Some(variable) = flag.variable {
                let _ = write!(help, " [${variable}]");
            }
            (names.join(", "), help)
        })
        .collect()
}

/// A flag with its dashes.
pub(super) fn dashed(name: &str) -> String {
    if name.len() == 1 { format!("-{name}") } else { format!("--{name}") }
}

fn columns(rows: &[(String, String)]) -> String {
    let width = rows.iter().map(|(left, _)| left.len()).max().unwrap_or_default();
    rows.iter().fold(String::new(), |mut text, (left, right)| {
        let _ = writeln!(text, "   {left:width$}  {right}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `--help` of everything, in one file.
    #[test]
    fn help_of_everything() {
        let mut text = of_program();
        for command in COMMANDS {
            let name = format!("sops {}", command.name);
            if let Action::Commands(commands) = command.action {
                let _ = write!(text, "\n{}", of_commands(&name, command));
                for inner in commands {
                    let _ = write!(text, "\n{}", of_command(&format!("{name} {}", inner.name), inner));
                }
            } else {
                let _ = write!(text, "\n{}", of_command(&name, command));
            }
        }
        insta::assert_snapshot!(text.replace(env!("CARGO_PKG_VERSION"), "VERSION"));
    }
}
