//! The editor: whatever the user has said, run until it ends.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cleanup::{self, Manner};
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::words;

/// What is started where no variable says anything, the first that is there. Source: sops 3.13.3 `cmd/sops/edit.go`.
const WITHOUT_A_WORD: [&str; 3] = ["vim", "nano", "vi"];

/// Of Vim: no swap file, no history of what was typed and yanked, no backup, no file to undo from. Each may lie on a disk.
const VIM_LEAVES_NOTHING: [&str; 5] = ["-n", "-i", "NONE", "-c", "set nobackup nowritebackup noundofile"];

/// Vim, by its own names, and what distributions call its builds: `vim.basic`, `vim.tiny`.
const VIM: [&str; 15] = [
    "vim", "nvim", "gvim", "mvim", "vimx", "evim", "rvim", "rgvim", "gview", "rgview", "eview", "vimdiff", "gvimdiff",
    "mvimdiff", "nvimdiff",
];

/// Names that Vim has as well as other editors, which know nothing of its options.
const MAYBE_VIM: [&str; 4] = ["vi", "view", "ex", "rview"];

/// What Vim says of itself, and so is in the program.
const SAYS_VIM: &[u8] = b"Vi IMproved";

/// A program that edits a file until it ends.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Editor {
    program: PathBuf,
    arguments: Vec<String>,
}

impl Editor {
    /// `SOPS_EDITOR`, `EDITOR`, or what is there of vim, nano, vi. Split into words as SOPS does; no shell runs.
    ///
    /// # Errors
    /// [`Exit::Editor`] if the variable is no command, or no editor is there.
    pub(crate) fn find(cx: &Context) -> Result<Self, CommandError> {
        let folders = cx.variable("PATH").unwrap_or_default();
        for name in ["SOPS_EDITOR", "EDITOR"] {
            if let Some(command) = cx.variable(name) {
                let (program, arguments) = words::split(&command.to_string_lossy())
                    .map_err(|error| CommandError::new(Exit::Editor, error).at(format_args!("${name}")))?;
                return Ok(Self::of(program.into(), arguments, &folders));
            }
        }
        let found = WITHOUT_A_WORD.into_iter().find_map(|name| find_program(name, &folders));
        found.map(|program| Self::of(program, Vec::new(), &folders)).ok_or_else(|| {
            CommandError::new(Exit::Editor, "no editor: $EDITOR is not set, and there is no vim, nano or vi")
                .hint("set $EDITOR to a program that is there")
        })
    }

    fn of(program: PathBuf, mut arguments: Vec<String>, folders: &OsStr) -> Self {
        if is_vim(&program, folders) {
            arguments.extend(VIM_LEAVES_NOTHING.map(str::to_owned));
        }
        Self { program, arguments }
    }

    /// Runs it on `file` until it ends.
    ///
    /// # Errors
    /// [`Exit::Editor`].
    pub(crate) fn run(&self, file: &Path) -> Result<(), CommandError> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).arg(file);
        let program = self.program.display();
        let status = cleanup::run(&mut command, Manner::Editor).map_err(|error| {
            CommandError::new(Exit::Editor, format!("cannot run the editor `{program}`: {error}"))
                .hint("set $EDITOR to a program that is there")
        })?;
        if status.success() {
            return Ok(());
        }
        Err(CommandError::new(Exit::Editor, format!("the editor `{program}` failed: {status}"))
            .hint("the file is as it was"))
    }
}

/// Is it Vim, by its name or by what it is?
fn is_vim(program: &Path, folders: &OsStr) -> bool {
    let Some(name) = program.file_name().and_then(OsStr::to_str) else { return false };
    if is_name_of_vim(name) {
        return true;
    }
    if !MAYBE_VIM.contains(&name) {
        return false;
    }
    let found =
        if program.parent() == Some(Path::new("")) { find_program(name, folders) } else { Some(program.into()) };
    // `/usr/bin/vi` may lead to `/etc/alternatives/vi`, and that to `vim.basic`.
    let Some(found) = found.and_then(|found| found.canonicalize().ok()) else { return false };
    if found.file_name().and_then(OsStr::to_str).is_some_and(is_name_of_vim) {
        return true;
    }
    let Ok(content) = std::fs::read(found) else { return false };
    let is_script = content.starts_with(b"#!");
    // Where `vi` is a script, it starts the `vim` or the `vi` that is there.
    memmem(&content, SAYS_VIM) || is_script && memmem(&content, b"/vim")
}

fn is_name_of_vim(name: &str) -> bool {
    VIM.contains(&name) || name.starts_with("vim.") || name.starts_with("vim-")
}

fn memmem(content: &[u8], wanted: &[u8]) -> bool {
    content.windows(wanted.len()).any(|window| window == wanted)
}

/// The program of this name in `folders`, as PATH has them.
fn find_program(name: &str, folders: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(folders).map(|folder| folder.join(name)).find(|path| {
        path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vim_leaves_nothing_and_others_are_run_as_they_are() {
        for (command, expected) in [
            ("vim", true),
            ("/usr/bin/nvim -p", true),
            ("vim.tiny", true),
            ("gvimdiff -f", true),
            ("vi", false),
            ("code --wait", false),
            ("sh -c vim", false),
        ] {
            let (program, arguments) = words::split(command).unwrap();
            let editor = Editor::of(program.into(), arguments, OsStr::new(""));
            assert_eq!(editor.arguments.ends_with(&VIM_LEAVES_NOTHING.map(str::to_owned)), expected, "{command}");
        }
    }

    #[test]
    fn vi_is_vim_where_it_leads_there_or_is_built_from_it() {
        let folder = tempfile::tempdir().unwrap();
        let make = |name: &str, content: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
            path
        };
        let link = |from: &str, to: &str| {
            let path = folder.path().join(from);
            let _ = std::fs::remove_file(&path);
            std::os::unix::fs::symlink(folder.path().join(to), path).unwrap();
        };
        make("vim.basic", b"");
        make("busybox", b"\x7fELF BusyBox");
        make("minimal", b"\x7fELF VIM - Vi IMproved 9.1");
        make("script", b"#!/bin/sh\ntest -f /usr/bin/vim && exec /usr/bin/vim \"$@\"\n");
        for (target, expected) in
            [("vim.basic", true), ("busybox", false), ("minimal", true), ("script", true), ("nowhere", false)]
        {
            link("alternative", target);
            link("vi", "alternative");
            let is_vim = |program: &Path| is_vim(program, folder.path().as_os_str());
            assert_eq!(is_vim(Path::new("vi")), expected, "{target}");
            assert_eq!(is_vim(&folder.path().join("vi")), expected, "{target}");
        }
    }

    #[test]
    fn a_program_is_found_where_it_can_be_run() {
        let folder = tempfile::tempdir().unwrap();
        let [first, second] = ["first", "second"].map(|name| folder.path().join(name));
        for (place, mode) in [(&first, 0o644), (&second, 0o755)] {
            std::fs::create_dir(place).unwrap();
            std::fs::write(place.join("vim"), "").unwrap();
            std::fs::set_permissions(place.join("vim"), std::fs::Permissions::from_mode(mode)).unwrap();
        }
        let folders = std::env::join_paths([&first, &second]).unwrap();
        assert_eq!(find_program("vim", &folders), Some(second.join("vim")));
        assert_eq!(find_program("nano", &folders), None);
    }
}
