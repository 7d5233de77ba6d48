//! What Git would commit now: the files in its index, as they are there.

use std::ffi::OsStr;
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use bulla_check::Tree;
use bulla_wipe::Wiping;

use crate::error::CommandError;
use crate::exit::Exit;
use crate::git::{self, git};

use super::select::LARGEST;

/// A file of the index.
pub(super) struct Staged {
    /// From the root of the repository.
    pub(super) path: PathBuf,
    /// The same for people and rules, with `/`.
    pub(super) shown: String,
    /// As Git writes it: `100644` or `100755`.
    pub(super) mode: String,
    /// The name of its content.
    pub(super) object: String,
    pub(super) bytes: Wiping<Vec<u8>>,
}

/// The files that are new or changed in the index, as they are there. Symbolic links and submodules have no content.
///
/// # Errors
/// [`Exit::Input`] if this is no repository, or there is no Git.
pub(super) fn staged(paths: &[PathBuf]) -> Result<Vec<Staged>, CommandError> {
    const LIST: [&str; 9] =
        ["diff", "--cached", "--raw", "-z", "--no-abbrev", "--no-renames", "--no-relative", "--diff-filter=ACMT", "--"];
    let mut list = git(Path::new("."), LIST);
    list.args(paths);
    let list = git::answer(list, None).map_err(|error| {
        // Outside of a repository it says something else than that.
        let reason = git::top().err().unwrap_or(error);
        CommandError::from(reason).hint("`--staged` is for a directory of a Git repository")
    })?;
    let mut fields = git::names(&list);
    let mut files: Vec<Staged> = Vec::new();
    while let (Some(change), Some(path)) = (fields.next(), fields.next()) {
        // `:100644 100644 OLD NEW M`
        let change = change.to_string_lossy();
        let mut columns = change.split(' ').skip(1);
        let (mode, object) = (columns.next().unwrap_or_default(), columns.nth(1).unwrap_or_default());
        if mode.starts_with("100") {
            files.push(Staged {
                path: PathBuf::from(path),
                shown: path.to_string_lossy().into_owned(),
                mode: mode.to_owned(),
                object: object.to_owned(),
                bytes: Wiping::default(),
            });
        }
    }
    read_contents(files)
}

/// Asks one process for all contents. Files that are too large to be manifests are passed over, as they are in directories.
fn read_contents(files: Vec<Staged>) -> Result<Vec<Staged>, CommandError> {
    if files.is_empty() {
        return Ok(files);
    }
    let mut git = git(Path::new("."), ["cat-file", "--batch"]);
    let mut git = git.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(|error| refused(&error))?;
    let objects: Vec<&str> = files.iter().map(|file| file.object.as_str()).collect();
    let objects = objects.join("\n") + "\n";
    let stdin = git.stdin.take();
    // It answers while it is asked: who only asks waits for ever once the pipe is full.
    let asked = std::thread::spawn(move || stdin.map_or(Ok(()), |mut stdin| stdin.write_all(objects.as_bytes())));
    let mut answers = io::BufReader::new(git.stdout.take().ok_or_else(|| refused(&io::Error::other("no output")))?);
    let mut read = Vec::with_capacity(files.len());
    for file in files {
        let bytes = content(&mut answers).map_err(|error| refused(&error).at(&file.shown))?;
        read.extend(bytes.map(|bytes| Staged { bytes, ..file }));
    }
    let _ = asked.join();
    git.wait().map_err(|error| refused(&error))?;
    Ok(read)
}

/// `OBJECT blob SIZE`, a line break, the content, a line break. `None` if it is too large.
fn content(answers: &mut impl io::BufRead) -> io::Result<Option<Wiping<Vec<u8>>>> {
    let mut head = String::new();
    answers.read_line(&mut head)?;
    let size = head.trim_end().rsplit_once(' ').and_then(|(_, size)| size.parse::<usize>().ok());
    let size = size.ok_or_else(|| io::Error::other("an object is missing"))?;
    if size as u64 > LARGEST {
        io::copy(&mut io::Read::take(&mut *answers, size as u64 + 1), &mut io::sink())?;
        return Ok(None);
    }
    let mut bytes = Wiping::new(vec![0; size]);
    answers.read_exact(&mut bytes)?;
    answers.read_exact(&mut [0])?;
    Ok(Some(bytes))
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

/// Is this the index that `git commit FILE` makes for one commit only? What is changed there is missing in the one that stays.
pub(super) fn is_for_one_commit(index: Option<&OsStr>) -> bool {
    index.and_then(|path| Path::new(path).file_name()).is_some_and(|name| name.as_bytes().starts_with(b"next-index-"))
}

/// The name that `content` has as the content of `path`, with the filters of that path applied. `stores` keeps it.
pub(super) fn object_of(top: &Path, path: &Path, content: &[u8], stores: bool) -> Result<String, CommandError> {
    let mut hash = git(top, ["hash-object", "--stdin"]);
    if stores {
        hash.arg("-w");
    }
    let mut option = std::ffi::OsString::from("--path=");
    option.push(path);
    hash.arg(option);
    let answer = git::answer(hash, Some(content))?;
    Ok(String::from_utf8_lossy(&answer).trim_end().to_owned())
}

/// Puts other objects in the place of staged ones: all or none. Files that somebody staged anew meanwhile are left, and named.
pub(super) fn restage(top: &Path, changes: &[(&Staged, String)]) -> Result<Vec<String>, CommandError> {
    let mut current = git(top, ["ls-files", "--stage", "-z", "--"]);
    current.args(changes.iter().map(|(file, _)| &file.path));
    let current = git::answer(current, None)?;
    // `100644 OBJECT 0`, a tab, the name.
    let is_current = |file: &Staged| {
        let line = [file.mode.as_bytes(), b" ", file.object.as_bytes(), b" 0\t", file.path.as_os_str().as_bytes()];
        let line = line.concat();
        git::names(&current).any(|entry| entry.as_bytes() == line)
    };
    let (mut lines, mut left) = (Vec::new(), Vec::new());
    for (file, object) in changes {
        if !is_current(file) {
            left.push(file.shown.clone());
            continue;
        }
        lines.extend_from_slice(format!("{} {object}\t", file.mode).as_bytes());
        lines.extend_from_slice(file.path.as_os_str().as_bytes());
        lines.push(0);
    }
    git::answer(git(top, ["update-index", "-z", "--index-info"]), Some(&lines))?;
    Ok(left)
}
