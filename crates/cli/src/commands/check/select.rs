//! Which files are looked at: those that Git has or would take, as `git ls-files --cached --others --exclude-standard` lists them.
//!
//! What is tracked counts, ignored or not. Symbolic links have no content of their own, and submodules and other repositories
//! below are not this one's. Outside of a repository, every file counts.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use bulla_check::Tree;
use bulla_wipe::Wiping;
use ignore::WalkBuilder;

use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::files::read_bytes;
use crate::git::{self, GitError, git};

/// Files that are found in a directory or among what is staged, and are larger, hold no manifests.
pub(super) const LARGEST: u64 = 16 << 20;

/// The files that `paths` mean, each once and in order. Names that begin with a dot count: `.env` is one.
pub(super) fn select(cx: &Context, paths: &[PathBuf], no_ignore: bool) -> Result<Vec<PathBuf>, CommandError> {
    let here = [PathBuf::from(".")];
    let mut files = Vec::new();
    for path in if paths.is_empty() { &here } else { paths } {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let first = files.len();
        files.extend(search(cx, path, no_ignore)?);
        files[first..].sort();
        if first == files.len() && !paths.is_empty() && !no_ignore && git::is_repository(path) {
            cx.status(format_args!("{}: nothing in it that Git does not ignore", path.display()));
        }
    }
    let mut seen = HashSet::new();
    files.retain(|file| seen.insert(file.clone()));
    Ok(files)
}

fn search(cx: &Context, directory: &Path, no_ignore: bool) -> Result<Vec<PathBuf>, CommandError> {
    if no_ignore {
        return walk(directory, false);
    }
    match list(directory) {
        Ok(names) => Ok(names.into_iter().filter(|file| is_looked_at(file)).collect()),
        Err(error) => {
            // Without a repository there is nothing to ignore; a repository that Git refuses is another matter.
            let is_repository = git::is_repository(directory);
            if is_repository {
                cx.warn(format_args!(
                    "{}: {error}; what .gitignore names is left out, tracked or not",
                    directory.display()
                ));
            }
            walk(directory, is_repository)
        }
    }
}

/// Is it a file with content, and no larger than what is looked at? What is deleted and still tracked is none.
fn is_looked_at(file: &Path) -> bool {
    fs::symlink_metadata(file).is_ok_and(|metadata| metadata.is_file() && metadata.len() <= LARGEST)
}

/// The names that Git lists below `directory`.
fn list(directory: &Path) -> Result<Vec<PathBuf>, GitError> {
    let listed = git(directory, ["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let listed = git::answer(listed, None)?;
    let is_here = directory == Path::new(".");
    let mut names: Vec<PathBuf> =
        git::names(&listed).map(|name| if is_here { PathBuf::from(name) } else { directory.join(name) }).collect();
    // What is not merged is listed once a side.
    names.sort();
    names.dedup();
    Ok(names)
}

/// Every file below `directory`.
fn walk(directory: &Path, ignores: bool) -> Result<Vec<PathBuf>, CommandError> {
    let mut builder = WalkBuilder::new(directory);
    builder
        .hidden(false)
        .ignore(false)
        .git_ignore(ignores)
        .git_exclude(ignores)
        .git_global(ignores)
        .parents(ignores)
        .filter_entry(|entry| entry.file_name() != ".git");
    let mut files = Vec::new();
    for entry in builder.build() {
        let entry = entry.map_err(|error| CommandError::new(Exit::Input, error).at(directory.display()))?;
        if is_looked_at(entry.path()) {
            files.push(entry.into_path());
        }
    }
    Ok(files)
}

/// As it is shown, and as rules see it: with `/`, without `./` before it.
pub(super) fn shown(file: &Path) -> String {
    let shown = file.to_string_lossy();
    shown.strip_prefix("./").unwrap_or(&shown).to_owned()
}

/// The files beside the one that is looked at, as far as Git has them or would take them.
pub(super) struct Beside {
    no_ignore: bool,
    /// What is looked at anyway. Only of what is not does Git have to be asked.
    known: HashSet<String>,
}

impl Beside {
    pub(super) fn new(files: &[PathBuf], no_ignore: bool) -> Self {
        Self { no_ignore, known: files.iter().map(|file| shown(file)).collect() }
    }
}

impl Tree for Beside {
    fn read(&self, path: &str) -> Option<Wiping<Vec<u8>>> {
        let file = Path::new(path);
        if !is_looked_at(file) || !(self.no_ignore || self.known.contains(path) || !is_ignored(file)) {
            return None;
        }
        read_bytes(file).ok()
    }
}

/// Does Git ignore this file, which it does not track?
fn is_ignored(file: &Path) -> bool {
    let (Some(directory), Some(name)) = (file.parent(), file.file_name()) else { return false };
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let mut asked = git(directory, ["check-ignore", "--quiet"]);
    // This one refuses to take names literally; behind `./` they are.
    asked
        .env_remove("GIT_LITERAL_PATHSPECS")
        .arg(Path::new(".").join(name))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    asked.status().is_ok_and(|status| status.success())
}
