//! A directory that only its user can enter, held by its descriptor: what is put in its place, or in the place of what is in it, is left alone.
//!
//! ```text
//! made, 0700 ─ opened ─ files are made in it, and overwritten, by the descriptor
//!                └ given to another user: from here on nothing in it is written to; it is emptied by the descriptor, and its name is
//!                  removed with the rights of that user, who can move it and put a link there
//! ```

use std::ffi::CString;
use std::fs::{DirBuilder, File};
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, fstat, mknodat, open, openat, statat, unlinkat};

use crate::child::User;
use crate::cleanup::{self, Guard};
use crate::files::fresh_name;

/// A directory of ours, until it is dropped.
#[derive(Debug)]
pub(crate) struct PrivateDirectory {
    guard: Guard,
    opened: OwnedFd,
    is_given: bool,
}

impl PrivateDirectory {
    /// A new one in `parent`, of a name that nothing has.
    pub(crate) fn new(parent: &Path) -> io::Result<Self> {
        let guard = cleanup::guard(&fresh_name(parent))?;
        DirBuilder::new().mode(0o700).create(guard.path())?;
        let opened = open(guard.path(), OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
        // Whoever owns `parent` may have been faster.
        let found = fstat(&opened)?;
        if found.st_uid != rustix::process::geteuid().as_raw() || found.st_mode & 0o077 != 0 {
            return Err(io::Error::other("somebody else put another directory in the place of ours"));
        }
        Ok(Self { guard, opened, is_given: false })
    }

    /// Where it was made.
    pub(crate) fn path(&self) -> &Path {
        self.guard.path()
    }

    /// A new file in it, of this name, which is no path.
    pub(crate) fn create(&self, name: &Path) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(openat(&self.opened, name, flags, Mode::RUSR | Mode::WUSR)?.into())
    }

    /// A new fifo in it, of this name, which is no path.
    pub(crate) fn make_fifo(&self, name: &Path) -> io::Result<Fifo> {
        mknodat(&self.opened, name, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
        let made = statat(&self.opened, name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(Fifo {
            directory: self.opened.try_clone()?,
            name: name.to_path_buf(),
            identity: identity(&made),
            #[cfg(target_os = "linux")]
            _made: openat(&self.opened, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?,
        })
    }

    /// Makes `user` the owner of it and of what is in it.
    pub(crate) fn give(&mut self, user: &User) -> io::Result<()> {
        for name in self.names()? {
            user.give(&self.opened, &name)?;
        }
        self.is_given = true;
        self.guard.belongs_to(user);
        user.give_opened(&self.opened)
    }

    /// Overwrites what is in it, backups of editors included. Once it was given away, nothing.
    pub(crate) fn overwrite(&self) {
        if self.is_given {
            return;
        }
        for name in self.names().unwrap_or_default() {
            // A fifo is not waited for.
            let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let Ok(file) = openat(&self.opened, &name, flags, Mode::empty()) else { continue };
            let Ok(found) = fstat(&file) else { continue };
            if FileType::from_raw_mode(found.st_mode) == FileType::RegularFile && found.st_nlink == 1 {
                let zeros = vec![0; usize::try_from(found.st_size).unwrap_or_default()];
                let _ = File::from(file).write_all(&zeros);
            }
        }
    }

    /// Removes it, with everything in it.
    pub(crate) fn remove(&self) {
        if self.is_given {
            // Wherever it is now. Of a link, and of one of several names, only that name goes.
            for name in self.names().unwrap_or_default() {
                let _ = unlinkat(&self.opened, &name, AtFlags::empty());
            }
        }
        self.guard.remove();
    }

    fn names(&self) -> io::Result<Vec<CString>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.opened)? {
            let name = entry?.file_name().to_owned();
            if !matches!(name.to_bytes(), b"." | b"..") {
                names.push(name);
            }
        }
        Ok(names)
    }
}

impl Drop for PrivateDirectory {
    fn drop(&mut self) {
        self.remove();
    }
}

/// A fifo that was made in a private directory.
#[derive(Debug)]
pub(crate) struct Fifo {
    directory: OwnedFd,
    name: PathBuf,
    identity: (u64, u64),
    /// As long as it is held no other file gets its number.
    #[cfg(target_os = "linux")]
    _made: OwnedFd,
}

impl Fifo {
    /// Opens it for writing, which waits for a reader.
    ///
    /// # Errors
    /// Also if something else has its name by now: its directory may be another user's.
    pub(crate) fn open(&self) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = openat(&self.directory, &self.name, flags, Mode::empty())?;
        let found = fstat(&opened)?;
        if FileType::from_raw_mode(found.st_mode) != FileType::Fifo || identity(&found) != self.identity {
            return Err(io::Error::other("something else has its name"));
        }
        Ok(opened.into())
    }
}

/// Device and inode: what no other file has meanwhile.
#[expect(clippy::unnecessary_cast, reason = "the widths differ between systems")]
fn identity(found: &Stat) -> (u64, u64) {
    (found.st_dev as u64, found.st_ino as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use rustix::fs::CWD;

    fn directory() -> (tempfile::TempDir, PrivateDirectory) {
        let parent = tempfile::tempdir().unwrap();
        let directory = PrivateDirectory::new(parent.path()).unwrap();
        (parent, directory)
    }

    #[test]
    fn it_is_for_the_user_only_and_goes() {
        let (parent, directory) = directory();
        directory.create(Path::new("own")).unwrap().write_all(b"a").unwrap();
        assert!(directory.create(Path::new("own")).is_err());
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(directory.path()), mode(&directory.path().join("own"))), (0o700, 0o600));
        fs::create_dir(directory.path().join("deep")).unwrap();
        drop(directory);
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_is_overwritten_is_no_link() {
        let (parent, directory) = directory();
        let target = parent.path().join("target");
        fs::write(&target, "stays").unwrap();
        directory.create(Path::new("own")).unwrap().write_all(b"goes").unwrap();
        symlink(&target, directory.path().join("link")).unwrap();
        fs::hard_link(&target, directory.path().join("hard")).unwrap();
        directory.overwrite();
        assert_eq!(fs::read(&target).unwrap(), b"stays");
        assert_eq!(fs::read(directory.path().join("own")).unwrap(), [0; 4]);
    }

    #[test]
    fn what_is_put_in_its_place_stays_as_it_is() {
        let (parent, directory) = directory();
        let (victim, away) = (parent.path().join("victim"), parent.path().join("away"));
        fs::create_dir(&victim).unwrap();
        fs::write(victim.join("file"), "stays").unwrap();
        directory.create(Path::new("own")).unwrap().write_all(b"goes").unwrap();
        fs::rename(directory.path(), &away).unwrap();
        symlink(&victim, directory.path()).unwrap();
        directory.overwrite();
        assert_eq!(fs::read(away.join("own")).unwrap(), [0; 4], "the directory that was made");
        drop(directory);
        assert_eq!(fs::read(victim.join("file")).unwrap(), b"stays");
    }

    #[test]
    fn what_was_given_away_is_removed_and_not_written_to() {
        if !rustix::process::geteuid().is_root() {
            return; // Only root gives anything away.
        }
        let (parent, mut directory) = directory();
        fs::set_permissions(parent.path(), fs::Permissions::from_mode(0o1777)).unwrap();
        let nobody = User::find("nobody").unwrap();
        let theirs = parent.path().join("victim");
        fs::create_dir(&theirs).unwrap();
        fs::write(theirs.join("file"), "stays").unwrap();
        directory.create(Path::new("own")).unwrap().write_all(b"goes").unwrap();
        directory.give(&nobody).unwrap();
        directory.overwrite();
        assert_eq!(fs::read(directory.path().join("own")).unwrap(), b"goes");
        // What that user can do, and then some: a directory that they may not remove.
        let away = parent.path().join("away");
        fs::rename(directory.path(), &away).unwrap();
        fs::rename(&theirs, directory.path()).unwrap();
        let path = directory.path().to_path_buf();
        drop(directory);
        assert_eq!(fs::read(path.join("file")).unwrap(), b"stays");
        assert_eq!(fs::read_dir(away).unwrap().count(), 0);

        let mut directory = PrivateDirectory::new(parent.path()).unwrap();
        directory.create(Path::new("own")).unwrap();
        directory.give(&nobody).unwrap();
        let path = directory.path().to_path_buf();
        drop(directory);
        assert!(!path.exists());
    }

    #[test]
    fn a_fifo_is_opened_as_itself_or_not_at_all() {
        let (parent, directory) = directory();
        let (victim, path) = (parent.path().join("victim"), directory.path().join("pipe"));
        fs::write(&victim, "stays").unwrap();
        let fifo = directory.make_fifo(Path::new("pipe")).unwrap();
        let reader = std::thread::spawn({
            let path = path.clone();
            move || fs::read(path).unwrap()
        });
        fifo.open().unwrap().write_all(b"a").unwrap();
        assert_eq!(reader.join().unwrap(), b"a");

        fs::remove_file(&path).unwrap();
        symlink(&victim, &path).unwrap();
        assert!(fifo.open().is_err());
        fs::remove_file(&path).unwrap();
        fs::hard_link(&victim, &path).unwrap();
        assert!(fifo.open().is_err());
        assert_eq!(fs::read(&victim).unwrap(), b"stays");
        fs::remove_file(&path).unwrap();
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let reader = std::thread::spawn(move || fs::read(path).unwrap());
        assert!(fifo.open().is_err());
        assert_eq!(reader.join().unwrap(), b"");
    }
}
