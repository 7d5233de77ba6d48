//! Programs that are run with secrets, in their environment or as files: the machinery of every `exec`, under any name.
//!
//! ```text
//! Launch ─┬─ run           wait; signals are handed on; the exit code is the program's
//!         ├─ background    leave it to itself
//!         └─ replace       become it
//! handover: a file that only the program's user can read: once (a fifo), as often as it likes (in memory), or by number (memfd)
//! user: another user, with their groups
//! ```
//! What a program is given is its own then: its environment can be read by its user in `/proc`, and so can ours by root.

mod credentials;
mod handover;
mod user;

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Command, ExitStatus, Stdio};

use bulla_crypto::SecretBytes;

use crate::cleanup::{self, Manner};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::hardening;
use credentials::is_credential;
pub(crate) use handover::Handover;
pub(crate) use user::User;

/// A program and what it is given.
#[derive(Debug)]
pub(crate) struct Launch {
    /// The program and its arguments; never empty.
    pub(crate) words: Vec<OsString>,
    /// Variables with secrets, and others. They count before what is there already.
    pub(crate) environment: Vec<(OsString, SecretBytes)>,
    /// Whether it gets these variables only, and nothing of our own environment.
    pub(crate) pristine: bool,
    /// As whom it runs, if not as us.
    pub(crate) user: Option<User>,
    /// Whether another user gets our environment without the credentials in it.
    pub(crate) withholds: bool,
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// By itself, with this code.
    Code(u8),
    /// By this signal.
    Signal(u8),
}

impl Ended {
    /// The exit code that says the same of us, as a shell would: 128 and the number of the signal.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Code(code) => code,
            Self::Signal(number) => number.saturating_add(128),
        }
    }
}

impl From<ExitStatus> for Ended {
    fn from(status: ExitStatus) -> Self {
        let number = |number: i32| u8::try_from(number & 0xff).unwrap_or(u8::MAX);
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Code(number(code)),
            (None, signal) => Self::Signal(number(signal.unwrap_or_default())),
        }
    }
}

impl Launch {
    /// Runs it to its end.
    ///
    /// # Errors
    /// [`Exit::Failed`] if it does not start, 127 or 126 being a shell's words for that.
    pub(crate) fn run(&self) -> Result<Ended, CommandError> {
        let mut command = self.command()?;
        let user = self.user.as_ref();
        let ran = User::take_on(user, || cleanup::run(&mut command, Manner::Program))?;
        Ok(ran.map_err(|error| self.failed(&error))?.into())
    }

    /// Starts it, with no streams of ours, and gives the number of its process.
    ///
    /// # Errors
    /// As [`Launch::run`].
    pub(crate) fn background(&self) -> Result<u32, CommandError> {
        let mut command = self.command()?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let started = User::take_on(self.user.as_ref(), || command.spawn())?;
        Ok(started.map_err(|error| self.failed(&error))?.id())
    }

    /// Becomes it. Returns only if that fails.
    pub(crate) fn replace(&self) -> CommandError {
        let mut command = match self.command() {
            Ok(command) => command,
            Err(error) => return error,
        };
        match User::take_on(self.user.as_ref(), || command.exec()) {
            Ok(error) => self.failed(&error),
            Err(error) => error,
        }
    }

    fn command(&self) -> Result<Command, CommandError> {
        let (program, arguments) =
            self.words.split_first().ok_or_else(|| CommandError::new(Exit::Usage, "there is no program to run"))?;
        let mut command = Command::new(program);
        command.args(arguments);
        if self.pristine {
            command.env_clear();
        }
        if let Some(user) = &self.user {
            if self.withholds {
                for (name, _) in std::env::vars_os().filter(|(name, _)| is_credential(name)) {
                    command.env_remove(name);
                }
            }
            command.env("HOME", &user.home).env("USER", &user.name).env("LOGNAME", &user.name);
        }
        for (name, value) in &self.environment {
            // The kernel copies it into the program's memory, from a buffer of the standard library that nobody wipes.
            command.env(name, OsStr::from_bytes(value.expose_secret()));
        }
        hardening::restore_limit();
        Ok(command)
    }

    fn failed(&self, error: &io::Error) -> CommandError {
        let program = self.words.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
        let failed = CommandError::new(Exit::Failed, format!("cannot run `{program}`: {error}"));
        match error.kind() {
            io::ErrorKind::NotFound => {
                failed.hint("the first word behind `--` is a program; for a line of the shell, say `sh -c`")
            }
            io::ErrorKind::ArgumentListTooLong => {
                failed.hint("the system limits how long a value in the environment is: hand it over in a file")
            }
            _ => failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(line: &str) -> Vec<OsString> {
        vec!["/bin/sh".into(), "-c".into(), line.into()]
    }

    fn launch(line: &str, pristine: bool) -> Launch {
        let environment = vec![("BULLA_TEST_SECRET".into(), SecretBytes::new(b"a b".to_vec()))];
        Launch { words: shell(line), environment, pristine, user: None, withholds: true }
    }

    #[test]
    fn the_exit_code_is_that_of_the_program() {
        for (line, expected) in [
            ("exit 0", Ended::Code(0)),
            ("exit 7", Ended::Code(7)),
            ("kill -TERM $$", Ended::Signal(15)),
            ("test \"$BULLA_TEST_SECRET\" = 'a b'", Ended::Code(0)),
        ] {
            assert_eq!(launch(line, false).run().unwrap(), expected, "{line}");
        }
        assert_eq!(Ended::Signal(15).code(), 143);
    }

    #[test]
    fn a_pristine_program_gets_nothing_else() {
        let line = "test -z \"$CARGO_MANIFEST_DIR\" && test -n \"$BULLA_TEST_SECRET\"";
        assert_eq!(launch(line, true).run().unwrap(), Ended::Code(0));
        assert_eq!(launch(line, false).run().unwrap(), Ended::Code(1));
    }

    #[test]
    fn what_does_not_start_is_named() {
        let launch = Launch { words: vec!["/no/such/program".into()], ..launch("", false) };
        assert!(launch.run().unwrap_err().render().contains("cannot run `/no/such/program`"));
    }
}
