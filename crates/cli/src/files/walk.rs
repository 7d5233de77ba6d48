//! Which files a command works on: those that are named, and those found in named directories.

use std::path::{Path, PathBuf};

use ignore::WalkBuilder;
use ignore::overrides::OverrideBuilder;

use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::files::Origin;
use crate::files::format::format_of_name;

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
/// A path that does not exist and has `*`, `?`, `[` or `{` in it is a pattern, as in `.gitignore`: `**` goes through directories. Shells
/// expand most of them before we see them; in quotes, and where a shell would leave them, they come here. What a pattern finds is named:
/// it is taken whatever its name.
///
/// In directories, files are taken by their suffix (`.yaml`, `.yml`, `.json`, `.env`, `.ini`); `.sops.yaml` is never one of them, and
/// symbolic links are
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
        } else if let Some((directory, pattern)) = as_pattern(path) {
            selected.extend(search_for(&directory, &pattern, walk, path)?);
        } else {
            selected.push(Selected { origin: Origin::File(path.clone()), found: false });
        }
    }
    let mut seen = std::collections::HashSet::new();
    selected.retain(|file| seen.insert(file.origin.path().map(Path::to_path_buf)));
    Ok(selected)
}

/// The directory before the first part with a pattern in it, and the pattern from there.
fn as_pattern(path: &Path) -> Option<(PathBuf, String)> {
    let text = path.to_str().filter(|text| text.contains(['*', '?', '[', '{']))?;
    if path.symlink_metadata().is_ok() {
        return None;
    }
    let first = text.find(['*', '?', '[', '{'])?;
    let (directory, pattern) = text[..first].rfind('/').map_or(("", text), |slash| text.split_at(slash + 1));
    let directory = if directory.is_empty() { "." } else { directory };
    Some((PathBuf::from(directory), pattern.to_owned()))
}

/// The files below `directory` that `pattern` fits.
fn search_for(directory: &Path, pattern: &str, walk: WalkArgs, path: &Path) -> Result<Vec<Selected>, CommandError> {
    let wrong = |error| CommandError::new(Exit::Usage, error).at(path.display());
    let mut overrides = OverrideBuilder::new(directory);
    // From the directory on, not in any directory below it.
    overrides.add(&format!("/{pattern}")).map_err(wrong)?;
    let overrides = overrides.build().map_err(wrong)?;
    let mut found = Vec::new();
    for entry in builder(directory, walk).build() {
        let entry = entry.map_err(|error| CommandError::new(Exit::Input, error).at(directory.display()))?;
        let is_file = entry.path().is_file();
        if is_file && overrides.matched(entry.path(), false).is_whitelist() {
            let path = entry.path().strip_prefix("./").unwrap_or(entry.path()).to_path_buf();
            found.push(Selected { origin: Origin::File(path), found: false });
        }
    }
    if found.is_empty() {
        return Err(CommandError::new(Exit::NoFile, "no file fits the pattern").at(path.display()));
    }
    found.sort_by(|a, b| a.origin.path().cmp(&b.origin.path()));
    Ok(found)
}

fn builder(directory: &Path, walk: WalkArgs) -> WalkBuilder {
    let mut builder = WalkBuilder::new(directory);
    builder
        .hidden(!walk.hidden)
        .ignore(false)
        .git_ignore(!walk.no_ignore)
        .git_exclude(!walk.no_ignore)
        .git_global(!walk.no_ignore)
        .parents(!walk.no_ignore)
        .filter_entry(|entry| entry.file_name() != ".git");
    builder
}

fn search(directory: &Path, walk: WalkArgs) -> Result<Vec<Selected>, CommandError> {
    let mut found = Vec::new();
    for entry in builder(directory, walk).build() {
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
    format_of_name(path).is_some() && path.file_name().is_none_or(|name| name != ".sops.yaml")
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
            ("b/d.ini", ""),
            ("b/e.env", ""),
            ("b/.env", ""),
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
        let all = ["a.yaml", "b/a.yml", "b/c.json", "b/d.ini", "b/e.env"];
        assert_eq!(found(tree.path(), false, false), all);
        assert_eq!(
            found(tree.path(), true, false),
            [".hidden/a.yaml", "a.yaml", "b/.env", "b/a.yml", "b/c.json", "b/d.ini", "b/e.env"]
        );
        assert_eq!(found(tree.path(), false, true), [&all[..], &["ignored.yaml"]].concat());
    }

    #[test]
    fn a_pattern_finds_what_fits_it() {
        let tree = tree();
        fs::write(tree.path().join("[x].yaml"), "").unwrap();
        let walk = WalkArgs { hidden: false, no_ignore: false };
        let found = |pattern: &str| -> Vec<String> {
            let selected = select(&[tree.path().join(pattern)], walk, &Context::new(true));
            let selected = selected.unwrap_or_default();
            assert!(selected.iter().all(|file| !file.found));
            let path =
                |file: &Selected| file.origin.path().unwrap().strip_prefix(tree.path()).unwrap().display().to_string();
            selected.iter().map(path).collect()
        };
        for (pattern, expected) in [
            ("*.txt", &["notes.txt"][..]),
            ("**/*.json", &["b/c.json"]),
            ("b/{a,c}.*", &["b/a.yml", "b/c.json"]),
            ("?/a.yml", &["b/a.yml"]),
            ("a.y[a]ml", &["a.yaml"]),
            ("*.md", &[]),
            // A file of that very name is that file.
            ("[x].yaml", &["[x].yaml"]),
        ] {
            assert_eq!(found(pattern), expected, "{pattern}");
        }
        let none = select(&[tree.path().join("*.md")], walk, &Context::new(true)).unwrap_err();
        assert_eq!(none.exit(), Exit::NoFile);
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
