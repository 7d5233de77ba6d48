//! Which files a command works on: those that are named, and those found in named directories.

use std::path::{Path, PathBuf};

use ignore::WalkBuilder;

use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::files::Origin;

/// How directories are searched.
#[derive(Debug, Clone, Copy, clap::Args)]
#[command(next_help_heading = "Directories")]
pub(crate) struct WalkArgs {
    /// Look into files and directories whose name begins with a dot, too
    #[arg(long)]
    hidden: bool,

    /// Look at files that Git ignores, too
    #[arg(long)]
    no_ignore: bool,
}

/// One file to work on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selected {
    pub(crate) origin: Origin,
    /// Found in a directory, not named: what does not fit is passed over.
    pub(crate) found: bool,
}

/// The files that `paths` mean, in order, each once. Without any it is standard input, unless that is a terminal.
///
/// In directories, files are taken by their suffix (`.yaml`, `.yml`, `.json`); `.sops.yaml` is never one of them, and symbolic links are
/// not followed.
///
/// # Errors
/// [`Exit::NoFile`] if nothing is named and standard input is a terminal, or a path does not exist.
pub(crate) fn select(paths: &[PathBuf], walk: WalkArgs, cx: &Context) -> Result<Vec<Selected>, CommandError> {
    if paths.is_empty() {
        if cx.stdin_is_terminal() {
            return Err(CommandError::new(Exit::NoFile, "no file was named, and standard input is a terminal")
                .hint("name a file, or `-` to type it in"));
        }
        return Ok(vec![Selected { origin: Origin::Stdin, found: false }]);
    }
    let mut selected: Vec<Selected> = Vec::new();
    for path in paths {
        if path == Path::new("-") {
            selected.push(Selected { origin: Origin::Stdin, found: false });
        } else if path.is_dir() {
            selected.extend(search(path, walk)?);
        } else {
            selected.push(Selected { origin: Origin::File(path.clone()), found: false });
        }
    }
    let mut seen = std::collections::HashSet::new();
    selected.retain(|file| seen.insert(file.origin.path().map(Path::to_path_buf)));
    Ok(selected)
}

fn search(directory: &Path, walk: WalkArgs) -> Result<Vec<Selected>, CommandError> {
    let mut builder = WalkBuilder::new(directory);
    builder
        .hidden(!walk.hidden)
        .ignore(false)
        .git_ignore(!walk.no_ignore)
        .git_exclude(!walk.no_ignore)
        .git_global(!walk.no_ignore)
        .parents(!walk.no_ignore)
        .filter_entry(|entry| entry.file_name() != ".git");
    let mut found = Vec::new();
    for entry in builder.build() {
        let entry = entry.map_err(|error| CommandError::new(Exit::Input, error).at(directory.display()))?;
        let is_file = entry.file_type().is_some_and(|kind| kind.is_file());
        if is_file && is_document(entry.path()) {
            found.push(Selected { origin: Origin::File(entry.into_path()), found: true });
        }
    }
    found.sort_by(|a, b| a.origin.path().cmp(&b.origin.path()));
    Ok(found)
}

fn is_document(path: &Path) -> bool {
    let suffix = path.extension().and_then(|suffix| suffix.to_str());
    matches!(suffix, Some("yaml" | "yml" | "json")) && path.file_name().is_none_or(|name| name != ".sops.yaml")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn tree() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (path, content) in [
            (".git/config.yaml", ""),
            (".gitignore", "ignored.yaml\n"),
            (".sops.yaml", ""),
            (".hidden/a.yaml", ""),
            ("b/c.json", ""),
            ("b/a.yml", ""),
            ("a.yaml", ""),
            ("ignored.yaml", ""),
            ("notes.txt", ""),
        ] {
            let path = directory.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        std::os::unix::fs::symlink("a.yaml", directory.path().join("link.yaml")).unwrap();
        directory
    }

    fn found(directory: &Path, hidden: bool, no_ignore: bool) -> Vec<String> {
        let cx = Context::new(true);
        select(&[directory.to_path_buf()], WalkArgs { hidden, no_ignore }, &cx)
            .unwrap()
            .iter()
            .map(|file| file.origin.path().unwrap().strip_prefix(directory).unwrap().display().to_string())
            .collect()
    }

    #[test]
    fn a_directory_gives_its_documents_in_order() {
        let tree = tree();
        let all = ["a.yaml", "b/a.yml", "b/c.json"];
        assert_eq!(found(tree.path(), false, false), all);
        assert_eq!(found(tree.path(), true, false), [&[".hidden/a.yaml"], &all[..]].concat());
        assert_eq!(found(tree.path(), false, true), [&all[..], &["ignored.yaml"]].concat());
    }

    #[test]
    fn a_named_file_is_taken_whatever_its_name_and_once() {
        let tree = tree();
        let (notes, ignored) = (tree.path().join("notes.txt"), tree.path().join("ignored.yaml"));
        let paths = [notes.clone(), ignored.clone(), notes.clone(), PathBuf::from("-")];
        let selected = select(&paths, WalkArgs { hidden: false, no_ignore: false }, &Context::new(true)).unwrap();
        let origins: Vec<Origin> = selected.into_iter().map(|file| file.origin).collect();
        assert_eq!(origins, [Origin::File(notes), Origin::File(ignored), Origin::Stdin]);
    }
}
