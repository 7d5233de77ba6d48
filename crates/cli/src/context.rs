//! What the outside gives to a command: environment, clock, randomness, standard streams. Met here and nowhere else.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, IsTerminal as _, Write as _};
use std::os::fd::AsFd as _;
use std::path::PathBuf;

use jiff::Timestamp;
use rand::SeedableRng as _;
use rand::rngs::{StdRng, SysRng};

use crate::error::{CommandError, Styles};
use crate::exit::Exit;
use crate::shown::escape;

/// What a shell reports for a program that SIGPIPE ended.
const SIGPIPE: i32 = 128 + 13;

/// The outside of one run. Shared by the threads of a command.
#[derive(Debug)]
pub(crate) struct Context {
    /// Whether only warnings and errors are told.
    quiet: bool,
}

impl Context {
    pub(crate) fn new(quiet: bool) -> Self {
        Self { quiet }
    }

    /// Whether only warnings and errors are told.
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// An environment variable. One that is empty counts as not set, as it does for SOPS.
    #[expect(clippy::unused_self, reason = "the environment belongs to the context")]
    pub(crate) fn variable(&self, name: &str) -> Option<OsString> {
        std::env::var_os(name).filter(|value| !value.is_empty())
    }

    /// The environment variables whose names begin so, but for those that are empty.
    #[expect(clippy::unused_self, reason = "the environment belongs to the context")]
    pub(crate) fn variables_below(&self, prefix: &str) -> Vec<(String, OsString)> {
        let named = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
        named.filter(|(name, value)| name.starts_with(prefix) && !value.is_empty()).collect()
    }

    /// The home directory, if there is one.
    pub(crate) fn home(&self) -> Option<PathBuf> {
        self.variable("HOME").map(PathBuf::from)
    }

    /// What this host calls itself.
    #[expect(clippy::unused_self, reason = "the host belongs to the context")]
    pub(crate) fn host_name(&self) -> String {
        rustix::system::uname().nodename().to_string_lossy().into_owned()
    }

    /// What time it is.
    #[expect(clippy::unused_self, reason = "the clock belongs to the context")]
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    /// A generator seeded by the operating system. One for each thread that needs one.
    ///
    /// # Errors
    /// If the operating system has no randomness to give.
    #[expect(clippy::unused_self, reason = "randomness belongs to the context")]
    pub(crate) fn rng(&self) -> Result<StdRng, CommandError> {
        StdRng::try_from_rng(&mut SysRng)
            .map_err(|error| CommandError::new(Exit::Failed, format!("the system gives no randomness: {error}")))
    }

    /// Whether a person is at the other end of standard input.
    #[expect(clippy::unused_self, reason = "standard streams belong to the context")]
    pub(crate) fn stdin_is_terminal(&self) -> bool {
        io::stdin().is_terminal()
    }

    /// Whether a person is at the other end of standard error.
    #[expect(clippy::unused_self, reason = "standard streams belong to the context")]
    pub(crate) fn stderr_is_terminal(&self) -> bool {
        io::stderr().is_terminal()
    }

    /// Whether a person is at the other end of standard output.
    #[expect(clippy::unused_self, reason = "standard streams belong to the context")]
    pub(crate) fn stdout_is_terminal(&self) -> bool {
        io::stdout().is_terminal()
    }

    /// Writes data to standard output, past the buffer of the standard library, which nobody would wipe.
    ///
    /// # Errors
    /// [`Exit::Output`]. A reader that went away ends the program as SIGPIPE would: it wanted no more.
    #[expect(clippy::unused_self, reason = "standard streams belong to the context")]
    pub(crate) fn print(&self, mut data: &[u8]) -> Result<(), CommandError> {
        let stdout = io::stdout().lock();
        while !data.is_empty() {
            match rustix::io::write(stdout.as_fd(), data) {
                Ok(written) => data = &data[written..],
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::PIPE) => std::process::exit(SIGPIPE),
                Err(error) => {
                    return Err(CommandError::new(Exit::Output, io::Error::from(error)).at("standard output"));
                }
            }
        }
        Ok(())
    }

    /// Tells what was done.
    pub(crate) fn status(&self, message: impl fmt::Display) {
        if !self.quiet {
            say(&format!("{}\n", escape(&message.to_string())));
        }
    }

    /// Tells what is dangerous, or not as it was meant.
    #[expect(clippy::unused_self, reason = "standard streams belong to the context")]
    pub(crate) fn warn(&self, message: impl fmt::Display) {
        say(&format!("{} {}\n", Styles.warning("warning:"), escape(&message.to_string())));
    }

    /// Writes a text to standard error as it is.
    #[expect(clippy::unused_self, reason = "standard streams belong to the context")]
    pub(crate) fn say(&self, text: &str) {
        say(text);
    }

    /// Shows an error.
    #[expect(clippy::unused_self, reason = "standard streams belong to the context")]
    pub(crate) fn show(&self, error: &CommandError) {
        say(&error.render());
    }
}

fn say(text: &str) {
    // Where standard error is gone there is nobody to tell.
    let _ = anstream::stderr().lock().write_all(text.as_bytes());
}
