//! Git, asked as the program: what it ignores, what it would commit. Its own answers are right by definition, and take 2 ms.
//!
//! Names are bytes, closed by NUL (`-z`), so that spaces, line breaks and bytes that are no text are names as any other; pathspecs
//! are taken as they are spelt.

use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use bulla_wipe::Wiping;

use crate::error::CommandError;
use crate::exit::Exit;

/// Why Git gave no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GitError {
    /// It could not be run.
    #[error("git cannot be run")]
    Missing(#[source] std::io::Error),
    /// It refused. The first line that it wrote: names and reasons, never content.
    #[error("git refuses: {0}")]
    Refused(String),
}

impl From<GitError> for CommandError {
    fn from(error: GitError) -> Self {
        Self::new(Exit::Input, error)
    }
}

/// A command of Git, run in `directory`.
pub(crate) fn git<S: AsRef<OsStr>>(directory: &Path, arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new("git");
    command.args(arguments);
    if directory != Path::new(".") {
        command.current_dir(directory);
    }
    // What it says is told apart by us, and is not to depend on the user's language.
    command.env("LC_ALL", "C").env("GIT_OPTIONAL_LOCKS", "0").env("GIT_LITERAL_PATHSPECS", "1");
    command
}

/// What it writes to standard output, given `input`.
///
/// # Errors
/// [`GitError`].
pub(crate) fn answer(mut command: Command, input: Option<&[u8]>) -> Result<Wiping<Vec<u8>>, GitError> {
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(GitError::Missing)?;
    let stdin = child.stdin.take();
    let output = std::thread::scope(|scope| {
        // Whoever only writes waits for ever once the pipe of the answer is full. One that goes away early says why by itself.
        if let (Some(mut stdin), Some(input)) = (stdin, input) {
            scope.spawn(move || stdin.write_all(input).ok());
        }
        child.wait_with_output()
    });
    let output = output.map_err(GitError::Missing)?;
    let stdout = Wiping::new(output.stdout);
    if output.status.success() {
        return Ok(stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let first = said.lines().next().unwrap_or("it does not say why");
    Err(GitError::Refused(first.trim_start_matches("fatal: ").trim_start_matches("error: ").to_owned()))
}

/// The names in an answer that closes each by NUL.
pub(crate) fn names(answer: &[u8]) -> impl Iterator<Item = &OsStr> {
    answer.split(|byte| *byte == 0).filter(|name| !name.is_empty()).map(OsStr::from_bytes)
}

/// The top of the work tree that the current directory lies in.
///
/// # Errors
/// [`GitError`]; also without a work tree.
pub(crate) fn top() -> Result<PathBuf, GitError> {
    let answer = answer(git(Path::new("."), ["rev-parse", "--show-toplevel"]), None)?;
    let line = answer.strip_suffix(b"\n").unwrap_or(&answer);
    Ok(PathBuf::from(OsString::from_vec(line.to_vec())))
}

/// Is there a repository at `directory` or above, by the looks of it?
pub(crate) fn is_repository(directory: &Path) -> bool {
    let Ok(directory) = std::path::absolute(directory) else { return false };
    directory.ancestors().any(|ancestor| ancestor.join(".git").exists())
}
