//! What Git would commit now: the files in its index, as they are there.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use bulla_check::Tree;
use bulla_wipe::Wiping;

use crate::error::CommandError;
use crate::exit::Exit;

/// A file of the index.
pub(super) struct Staged {
    /// From the root of the repository, with `/`.
    pub(super) path: String,
    pub(super) bytes: Wiping<Vec<u8>>,
}

/// The files that are new or changed in the index, as they are there. Symbolic links and submodules have no content.
///
/// # Errors
/// [`Exit::Input`] if this is no repository, or there is no Git.
pub(super) fn staged(paths: &[PathBuf]) -> Result<Vec<Staged>, CommandError> {
    let mut list = Command::new("git");
    list.args(["diff", "--cached", "--raw", "-z", "--no-abbrev", "--no-renames", "--diff-filter=ACMT", "--"])
        .args(paths);
    let list = list.stdin(Stdio::null()).output().map_err(|error| refused(&error))?;
    if !list.status.success() {
        return Err(CommandError::new(
            Exit::Input,
            "`git diff --cached` failed: is this directory in a Git repository?",
        ));
    }
    let text = String::from_utf8_lossy(&list.stdout);
    let mut fields = text.split('\0');
    let mut files = Vec::new();
    while let (Some(change), Some(path)) = (fields.next(), fields.next()) {
        // `:100644 100644 OLD NEW M`
        let mut columns = change.split(' ').skip(1);
        let (mode, object) = (columns.next().unwrap_or_default(), columns.nth(1).unwrap_or_default());
        if mode.starts_with("100") {
            files.push((path.to_owned(), object.to_owned()));
        }
    }
    contents(files)
}

/// Asks one process for all contents.
fn contents(files: Vec<(String, String)>) -> Result<Vec<Staged>, CommandError> {
    if files.is_empty() {
        return Ok(Vec::new());
    }
    let mut git = Command::new("git");
    git.args(["cat-file", "--batch"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut git = git.spawn().map_err(|error| refused(&error))?;
    let objects: Vec<&str> = files.iter().map(|(_, object)| object.as_str()).collect();
    let objects = objects.join("\n") + "\n";
    let stdin = git.stdin.take();
    // It answers while it is asked: who only asks waits for ever once the pipe is full.
    let asked = std::thread::spawn(move || stdin.map_or(Ok(()), |mut stdin| stdin.write_all(objects.as_bytes())));
    let mut answers = io::BufReader::new(git.stdout.take().ok_or_else(|| refused(&io::Error::other("no output")))?);
    let mut staged = Vec::with_capacity(files.len());
    for (path, _) in files {
        let bytes = answer(&mut answers).map_err(|error| refused(&error).at(&path))?;
        staged.push(Staged { path, bytes });
    }
    let _ = asked.join();
    git.wait().map_err(|error| refused(&error))?;
    Ok(staged)
}

/// `OBJECT blob SIZE`, a line break, the content, a line break.
fn answer(answers: &mut impl io::BufRead) -> io::Result<Wiping<Vec<u8>>> {
    let mut head = String::new();
    answers.read_line(&mut head)?;
    let size = head.trim_end().rsplit_once(' ').and_then(|(_, size)| size.parse::<usize>().ok());
    let size = size.ok_or_else(|| io::Error::other("an object is missing"))?;
    let mut bytes = Wiping::new(vec![0; size]);
    answers.read_exact(&mut bytes)?;
    answers.read_exact(&mut [0])?;
    Ok(bytes)
}

fn refused(error: &io::Error) -> CommandError {
    CommandError::new(Exit::Input, format!("git does not answer: {error}"))
}

/// The files beside: those of the index.
pub(super) struct Index;

impl Tree for Index {
    fn read(&self, path: &str) -> Option<Wiping<Vec<u8>>> {
        let mut git = Command::new("git");
        git.args(["cat-file", "blob"]).arg(format!(":{path}"));
        let output = git.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
        output.status.success().then(|| Wiping::new(output.stdout))
    }
}
