//! The command line: options of every command, and the way to the one that was asked for.

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, FromArgMatches as _, Parser as _, Subcommand};

use crate::commands;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::hardening;

/// Secrets in Git, for Kubernetes: SOPS files and SealedSecrets
///
/// Keys stay readable, values are encrypted, and every change is seen.
#[derive(Debug, clap::Parser)]
#[command(name = "bulla", version, max_term_width = 100, disable_help_subcommand = true)]
#[command(after_help = "`bulla sops …`, or a link to this program that is called `sops`: the command line of SOPS.\n\
    Exit codes are listed in docs/exit-codes.md. Where SOPS has a code for the same thing, it is the same.")]
struct Cli {
    #[command(flatten)]
    global: GlobalArgs,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Args)]
struct GlobalArgs {
    /// Tell nothing but warnings and errors
    #[arg(short, long, global = true, display_order = 900)]
    quiet: bool,
}

// The options of a command are made when it is the one that runs.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
enum Command {
    Encrypt(Box<commands::encrypt::EncryptArgs>),
    Decrypt(Box<commands::decrypt::DecryptArgs>),
    Edit(Box<commands::edit::EditArgs>),
    Get(Box<commands::get::GetArgs>),
    Set(Box<commands::set::SetArgs>),
    Unset(Box<commands::unset::UnsetArgs>),
    Exec(Box<commands::exec::ExecArgs>),
    Verify(Box<commands::verify::VerifyArgs>),
    Status(Box<commands::status::StatusArgs>),
    Rotate(Box<commands::rotate::RotateArgs>),
    Seal(Box<commands::seal::SealArgs>),
    Unseal(Box<commands::unseal::UnsealArgs>),
    Reseal(Box<commands::reseal::ResealArgs>),
    Check(Box<commands::check::CheckArgs>),
    Cert(Box<commands::cert::CertArgs>),
    Keygen(commands::keygen::KeygenArgs),
    Keyservice(Box<commands::keyservice::KeyServiceCommand>),
    Controller(Box<commands::controller::ControllerArgs>),
    Version(commands::version::VersionArgs),
    Completions(commands::completions::CompletionsArgs),
}

/// Runs the program.
pub(crate) fn run() -> ExitCode {
    let cli = match parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    hardening::forbid_dumps();
    let cx = Context::new(cli.global.quiet);
    match cli.command.run(&cx) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            for error in &failure.errors {
                cx.show(error);
            }
            failure.of_program.map_or_else(|| failure.exit.into(), ExitCode::from)
        }
    }
}

/// Help, and errors that name what there is, need the options of every command: where it comes to that, all are made.
fn parse() -> Result<Cli, clap::Error> {
    Cli::try_parse().or_else(|_| Cli::from_arg_matches(&command_line().try_get_matches()?))
}

impl Command {
    fn run(self, cx: &Context) -> Result<(), Failure> {
        match self {
            Self::Encrypt(args) => commands::encrypt::encrypt(cx, &args),
            Self::Decrypt(args) => commands::decrypt::decrypt(cx, &args),
            Self::Edit(args) => commands::edit::edit(cx, &args).map_err(Failure::from),
            Self::Get(args) => commands::get::get(cx, &args),
            Self::Set(args) => commands::set::set(cx, &args),
            Self::Unset(args) => commands::unset::unset(cx, &args),
            Self::Exec(args) => commands::exec::exec(cx, &args),
            Self::Verify(args) => commands::verify::verify(cx, &args),
            Self::Status(args) => commands::status::status(cx, &args),
            Self::Rotate(args) => commands::rotate::rotate(cx, &args),
            Self::Seal(args) => commands::seal::seal(cx, &args).map_err(Failure::from),
            Self::Unseal(args) => commands::unseal::unseal(cx, &args).map_err(Failure::from),
            Self::Reseal(args) => commands::reseal::reseal(cx, &args),
            Self::Check(args) => commands::check::check(cx, &args),
            Self::Cert(args) => commands::cert::cert(cx, &args).map_err(Failure::from),
            Self::Keyservice(args) => commands::keyservice::keyservice(cx, &args).map_err(Failure::from),
            Self::Keygen(args) => commands::keygen::keygen(cx, &args).map_err(Failure::from),
            Self::Controller(args) => commands::controller::controller(cx, *args).map_err(Failure::from),
            Self::Version(args) => commands::version::version(cx, &args).map_err(Failure::from),
            Self::Completions(args) => commands::completions::completions(cx, &args).map_err(Failure::from),
        }
    }
}

/// Everything that went wrong in one run: one error, or one a file.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    errors: Vec<CommandError>,
    /// The exit code of a program that was run: it is ours then.
    of_program: Option<u8>,
}

impl Failure {
    /// A program that was run ended so.
    pub(crate) fn of_program(code: u8) -> Self {
        Self { of_program: Some(code), ..Self::from(Exit::Failed) }
    }

    /// Of errors that were shown already: their common exit code, else [`Exit::Failed`]. `None` if there are none.
    pub(crate) fn of_codes(codes: impl IntoIterator<Item = Exit>) -> Option<Self> {
        codes.into_iter().reduce(|a, b| if a == b { a } else { Exit::Failed }).map(Self::from)
    }
}

/// Nothing failed that would have to be shown.
impl From<Exit> for Failure {
    fn from(exit: Exit) -> Self {
        Self { exit, errors: Vec::new(), of_program: None }
    }
}

impl From<CommandError> for Failure {
    fn from(error: CommandError) -> Self {
        Self { exit: error.exit(), errors: vec![error], of_program: None }
    }
}

/// Shows what clap has to say: help on standard output, or what is wrong with the command line.
fn refuse(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
        ErrorKind::ArgumentConflict => Exit::Conflict.into(),
        _ => Exit::Usage.into(),
    }
}

/// The whole command line.
pub(crate) fn command_line() -> clap::Command {
    let mut command = Cli::command();
    command.build();
    command
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write as _;

    #[test]
    fn the_command_line_holds_together() {
        command_line().debug_assert();
    }

    #[test]
    fn codes_that_differ_are_a_failure_without_a_number() {
        let exit = |codes: &[Exit]| Failure::of_codes(codes.iter().copied()).map(|failure| failure.exit);
        assert_eq!(exit(&[]), None);
        assert_eq!(exit(&[Exit::NoKey, Exit::NoKey]), Some(Exit::NoKey));
        assert_eq!(exit(&[Exit::NoKey, Exit::Input, Exit::NoKey]), Some(Exit::Failed));
    }

    /// `--help` of everything, in one file that the documentation includes.
    #[test]
    fn help_of_everything() {
        let mut text = String::new();
        append_help(command_line().term_width(100), "bulla", &mut text);
        insta::assert_snapshot!(text);
    }

    fn append_help(mut command: clap::Command, name: &str, text: &mut String) {
        command = command.bin_name(name.to_owned());
        let help = command.render_long_help();
        let _ = write!(text, "$ {name} --help\n{help}\n");
        let subcommands: Vec<clap::Command> = command.get_subcommands().cloned().collect();
        for subcommand in subcommands {
            let name = format!("{name} {}", subcommand.get_name());
            append_help(subcommand.term_width(100), &name, text);
        }
    }
}
