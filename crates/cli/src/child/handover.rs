//! A plaintext as a file that a program reads, and that is nowhere once the program has ended.

use std::fs::File;
use std::io::{self, Seek as _, Write as _};
use std::os::fd::IntoRawFd as _;
use std::path::{Path, PathBuf};
use std::thread;

use bulla_wipe::Wiping;

use crate::child::User;
use crate::context::Context;
use crate::editing::{OnDisk, Workplace};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::private_directory::PrivateDirectory;

/// One file or several, there until this is dropped.
#[derive(Debug)]
pub(crate) enum Handover {
    /// A pipe with a name, in a directory of its user: what was read once is gone.
    Fifo { path: PathBuf, _directory: PrivateDirectory },
    /// Files in memory, or on a disk where that was allowed.
    Files { first: PathBuf, workplace: Workplace },
    /// A file without a name that the program inherits; nothing has to be removed, whatever ends us.
    Inherited { path: PathBuf },
}

impl Handover {
    /// The plaintext as a fifo of this name, which is no path. It never lies anywhere, so any directory for temporary files will do.
    ///
    /// # Errors
    /// [`Exit::Output`].
    pub(crate) fn fifo(name: &Path, plain: Wiping<Vec<u8>>, user: Option<&User>) -> Result<Self, CommandError> {
        let parent = std::env::temp_dir();
        let failed = |error: io::Error| CommandError::new(Exit::Output, error).at(parent.display());
        let mut directory = PrivateDirectory::new(&parent).map_err(failed)?;
        let path = directory.path().join(name);
        let fifo = directory.make_fifo(name).map_err(failed)?;
        if let Some(user) = user {
            directory.give(user).map_err(failed)?;
        }
        // It waits for a reader, and for ever if there is none: it ends with us.
        thread::spawn(move || {
            let _ = fifo.open().and_then(|mut pipe| pipe.write_all(&plain));
        });
        Ok(Self::Fifo { path, _directory: directory })
    }

    /// Files of these names, which are no paths, that can be read as often as one likes.
    ///
    /// # Errors
    /// [`Exit::Output`].
    pub(crate) fn files(
        cx: &Context,
        files: &[(PathBuf, Wiping<Vec<u8>>)],
        user: Option<&User>,
        on_disk: OnDisk,
    ) -> Result<Self, CommandError> {
        let mut named = files.iter();
        let (name, plain) =
            named.next().ok_or_else(|| CommandError::new(Exit::Usage, "there is nothing to hand over"))?;
        let mut workplace = Workplace::new(cx, name, on_disk)?;
        workplace.write(plain)?;
        for (name, plain) in named {
            workplace.write_beside(name, plain)?;
        }
        if let Some(user) = user {
            workplace.give(user)?;
        }
        Ok(Self::Files { first: workplace.file().to_path_buf(), workplace })
    }

    /// A file that the program has open already when it starts: for one that we become, with nobody left to clean up.
    ///
    /// # Errors
    /// [`Exit::Output`], also where the system has no such files.
    pub(crate) fn inherited(plain: &[u8]) -> Result<Self, CommandError> {
        let failed = |error: io::Error| CommandError::new(Exit::Output, error).at("a file in memory");
        let mut file = memory_file().map_err(failed)?;
        file.write_all(plain).and_then(|()| file.rewind()).map_err(failed)?;
        // It is the program's: closing it would take it away.
        let path = PathBuf::from(format!("/proc/self/fd/{}", file.into_raw_fd()));
        Ok(Self::Inherited { path })
    }

    /// The file; of several, the first.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Fifo { path, .. } | Self::Inherited { path } => path,
            Self::Files { first, .. } => first,
        }
    }

    /// The directory around the files; for a file without a name, the file.
    pub(crate) fn directory(&self) -> &Path {
        match self {
            Self::Files { workplace, .. } => workplace.directory(),
            Self::Fifo { path, .. } => path.parent().unwrap_or(path),
            Self::Inherited { path } => path,
        }
    }
}

#[cfg(target_os = "linux")]
fn memory_file() -> io::Result<File> {
    use rustix::fs::{MemfdFlags, memfd_create};
    // Without CLOEXEC: it is to be inherited.
    Ok(File::from(memfd_create("bulla", MemfdFlags::empty())?))
}

#[cfg(not(target_os = "linux"))]
fn memory_file() -> io::Result<File> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::child::{Ended, Launch};
    use std::fs;
    use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};

    fn plain() -> Wiping<Vec<u8>> {
        Wiping::new(b"a: x\n".to_vec())
    }

    fn ends(line: String) -> Ended {
        Launch {
            words: vec!["/bin/sh".into(), "-c".into(), line.into()],
            environment: Vec::new(),
            pristine: false,
            user: None,
            withholds: true,
        }
        .run()
        .unwrap()
    }

    #[test]
    fn a_fifo_is_read_once_and_goes() {
        let handover = Handover::fifo(Path::new("a.yaml"), plain(), None).unwrap();
        let metadata = fs::metadata(handover.path()).unwrap();
        assert!(metadata.file_type().is_fifo());
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
        let (path, directory) = (handover.path().display().to_string(), handover.directory().to_path_buf());
        assert_eq!(ends(format!("test \"$(cat '{path}')\" = 'a: x'")), Ended::Code(0));
        drop(handover);
        assert!(!directory.exists());
    }

    #[test]
    fn files_are_read_as_often_as_one_likes_and_go() {
        let files = [("a.yaml".into(), plain()), ("b.yaml".into(), plain())];
        let handover = Handover::files(&Context::new(true), &files, None, OnDisk::Allow).unwrap();
        let directory = handover.directory().to_path_buf();
        let line = format!("cd '{}' && cat a.yaml a.yaml b.yaml | wc -l | grep -q 3", directory.display());
        assert_eq!(ends(line), Ended::Code(0));
        drop(handover);
        assert!(!directory.exists());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_file_without_a_name_is_inherited() {
        let handover = Handover::inherited(&plain()).unwrap();
        assert_eq!(ends(format!("test \"$(cat {})\" = 'a: x'", handover.path().display())), Ended::Code(0));
    }
}
