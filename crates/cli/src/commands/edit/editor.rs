//! The editor, and the place where it finds the plaintext: a directory of the user only, in memory where there is one, removed at the end.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use bulla_wipe::Wiping;

use crate::cleanup::{self, Guard};
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::files::{fresh_name, read_bytes};
use crate::words;

/// A program that edits a file until it ends.
pub(super) struct Editor {
    program: String,
    arguments: Vec<String>,
}

impl Editor {
    /// `SOPS_EDITOR`, `EDITOR`, or vi.
    ///
    /// # Errors
    /// [`Exit::Editor`] if the variable is no command.
    pub(super) fn find(cx: &Context) -> Result<Self, CommandError> {
        for name in ["SOPS_EDITOR", "EDITOR"] {
            if let Some(command) = cx.variable(name) {
                let (program, arguments) = words::split(&command.to_string_lossy())
                    .map_err(|error| CommandError::new(Exit::Editor, error).at(format_args!("${name}")))?;
                return Ok(Self { program, arguments });
            }
        }
        Ok(Self { program: "vi".to_owned(), arguments: Vec::new() })
    }

    /// Runs it until it ends.
    ///
    /// # Errors
    /// [`Exit::Editor`].
    pub(super) fn run(&self, workplace: &Workplace) -> Result<(), CommandError> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).arg(&workplace.file);
        let status = cleanup::with_terminal_lent(|| command.status()).map_err(|error| {
            CommandError::new(Exit::Editor, format!("cannot run the editor `{}`: {error}", self.program))
                .hint("set $EDITOR to a program that is there")
        })?;
        if status.success() {
            return Ok(());
        }
        Err(CommandError::new(Exit::Editor, format!("the editor `{}` failed: {status}", self.program))
            .hint("the file is as it was"))
    }
}

/// A directory whose files are kept in memory, if the system has one that we may write to.
fn in_memory(cx: &Context) -> Option<PathBuf> {
    let runtime = cx.variable("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
    runtime.into_iter().chain([PathBuf::from("/dev/shm")]).find(|path| {
        let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
        path.is_dir() && rustix::fs::access(path, access).is_ok()
    })
}

/// Where the plaintext is while it is edited.
pub(super) struct Workplace {
    file: PathBuf,
    _directory: Guard,
}

impl Workplace {
    /// A place for the plaintext of the file at `path`; the editor sees its name.
    ///
    /// # Errors
    /// [`Exit::Output`].
    pub(super) fn new(cx: &Context, path: &Path) -> Result<Self, CommandError> {
        let parent = in_memory(cx).unwrap_or_else(std::env::temp_dir);
        let failed = |error: io::Error| CommandError::new(Exit::Output, error).at(parent.display());
        let directory = cleanup::guard(&fresh_name(&parent)).map_err(failed)?;
        DirBuilder::new().mode(0o700).create(directory.path()).map_err(failed)?;
        let file = directory.path().join(path.file_name().unwrap_or_default());
        Ok(Self { file, _directory: directory })
    }

    pub(super) fn write(&self, text: &[u8]) -> Result<(), CommandError> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.file);
        file.and_then(|mut file| file.write_all(text))
            .map_err(|error| CommandError::new(Exit::Output, error).at(self.file.display()))
    }

    /// What the editor left: some write a new file in the place of the old one.
    pub(super) fn read(&self) -> Result<Wiping<Vec<u8>>, CommandError> {
        let text = read_bytes(&self.file);
        text.map_err(|error| CommandError::new(Exit::Editor, error).at(self.file.display()))
    }
}

impl Drop for Workplace {
    fn drop(&mut self) {
        // The directory goes with its guard; what is on a disk is overwritten before.
        if let Ok(length) = fs::metadata(&self.file).map(|metadata| metadata.len()) {
            let zeros = vec![0; length as usize];
            let _ = OpenOptions::new().write(true).open(&self.file).and_then(|mut file| file.write_all(&zeros));
        }
    }
}
