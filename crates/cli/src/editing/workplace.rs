//! Where plaintext is a file for a while: a directory of the user only, in memory, gone at the end.
//!
//! Who removes it, whatever ends us:
//! ```text
//! the end, an error            Guard
//! SIGINT, SIGTERM, SIGHUP …    cleanup's thread
//! SIGKILL                      the warden: a shell in a group of its own that waits for our end of a pipe to close
//! ```
//! Memory is a file system of the kernel that has no disk (`tmpfs`, `ramfs`), as `statfs` tells: a directory is not believed by its name.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use bulla_wipe::Wiping;

use crate::child::User;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::files::read_bytes;
use crate::private_directory::PrivateDirectory;

/// Removes the directory when standard input ends, which is when we do. Signals of the terminal are not for it.
const WARDEN: &str = "trap '' HUP INT QUIT TERM; while read -r _; do :; done; exec rm -rf -- \"$1\"";

/// Whether plaintext may lie on a disk where there is no directory in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnDisk {
    /// No: it is an error.
    Refuse,
    /// Yes, and it is told.
    Allow,
}

/// A directory with one file of plaintext.
#[derive(Debug)]
pub(crate) struct Workplace {
    name: PathBuf,
    file: PathBuf,
    directory: PrivateDirectory,
    is_in_memory: bool,
    warden: Option<Child>,
}

impl Workplace {
    /// A place for plaintext that is to be seen under `name`, which is no path.
    ///
    /// # Errors
    /// [`Exit::Output`], also if there is no memory to put it in.
    pub(crate) fn new(cx: &Context, name: &Path, on_disk: OnDisk) -> Result<Self, CommandError> {
        let parent = parent(cx, on_disk)?;
        let failed = |error: io::Error| CommandError::new(Exit::Output, error).at(parent.display());
        let directory = PrivateDirectory::new(&parent).map_err(failed)?;
        let warden = warden(directory.path());
        let is_in_memory = is_in_memory(directory.path());
        let file = directory.path().join(name);
        Ok(Self { name: name.to_path_buf(), file, directory, is_in_memory, warden })
    }

    /// The file. It exists once something was written.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// The directory around it.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Writes the file anew.
    ///
    /// # Errors
    /// [`Exit::Output`].
    pub(crate) fn write(&self, text: &[u8]) -> Result<(), CommandError> {
        self.write_beside(&self.name, text).map(drop)
    }

    /// Another file in the directory, whose name is no path.
    ///
    /// # Errors
    /// [`Exit::Output`].
    pub(crate) fn write_beside(&self, name: &Path, text: &[u8]) -> Result<PathBuf, CommandError> {
        let path = self.directory.path().join(name);
        let written = self.directory.create(name).and_then(|mut file| file.write_all(text));
        written.map_err(|error| CommandError::new(Exit::Output, error).at(path.display()))?;
        Ok(path)
    }

    /// Gives it to `user`, with what is in it. From here on it is removed with their rights, and nothing in it is overwritten: they can
    /// put something else in its place.
    ///
    /// # Errors
    /// [`Exit::Output`].
    pub(crate) fn give(&mut self, user: &User) -> Result<(), CommandError> {
        let given = self.directory.give(user);
        given.map_err(|error| CommandError::new(Exit::Output, error).at(self.directory.path().display()))?;
        let theirs = User::take_on(Some(user), || warden(self.directory.path())).ok().flatten();
        if let Some(mut ours) = std::mem::replace(&mut self.warden, theirs) {
            // Before its pipe is closed, which is its sign.
            let _ = ours.kill();
            let _ = ours.wait();
        }
        Ok(())
    }

    /// What an editor left in the file: some write a new one in the place of the old one.
    ///
    /// # Errors
    /// [`Exit::Editor`].
    pub(crate) fn read(&self) -> Result<Wiping<Vec<u8>>, CommandError> {
        read_bytes(&self.file).map_err(|error| CommandError::new(Exit::Editor, error).at(self.file.display()))
    }

    /// Something that is another when the file was written.
    pub(crate) fn state(&self) -> Option<(u64, u64, i64, i64)> {
        let metadata = fs::metadata(&self.file).ok()?;
        Some((metadata.ino(), metadata.len(), metadata.mtime(), metadata.mtime_nsec()))
    }
}

impl Drop for Workplace {
    fn drop(&mut self) {
        if !self.is_in_memory {
            self.directory.overwrite();
        }
        self.directory.remove();
        if let Some(mut warden) = self.warden.take() {
            drop(warden.stdin.take());
            let _ = warden.wait();
        }
    }
}

/// Where the directory goes.
fn parent(cx: &Context, on_disk: OnDisk) -> Result<PathBuf, CommandError> {
    let runtime = cx.variable("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute() && is_ours(path));
    let places: Vec<PathBuf> = runtime.into_iter().chain([PathBuf::from("/dev/shm")]).collect();
    if let Some(place) = places.iter().find(|place| is_in_memory(place) && is_open(place)) {
        return Ok(place.clone());
    }
    let tried = places.iter().map(|place| format!("`{}`", place.display())).collect::<Vec<_>>().join(" and ");
    if on_disk == OnDisk::Refuse {
        return Err(CommandError::new(
            Exit::Output,
            format!("there is no directory in memory for the plaintext: {tried} is none, or cannot be written to"),
        )
        .hint("mount a tmpfs there, or say `--on-disk` to have the plaintext on a disk while it is needed"));
    }
    let parent = std::env::temp_dir();
    cx.warn(format_args!(
        "the plaintext lies on a disk, in `{}`, as there is no directory in memory; it is overwritten (unless another user has it, \
         by `--user`) and removed at the end, yet the disk may hold copies",
        parent.display()
    ));
    Ok(parent)
}

/// Whoever owns it can replace what is in it: `sudo -E` keeps the variable of another user.
fn is_ours(place: &Path) -> bool {
    fs::metadata(place).is_ok_and(|metadata| metadata.uid() == rustix::process::geteuid().as_raw())
}

fn is_open(place: &Path) -> bool {
    let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
    place.is_dir() && rustix::fs::access(place, access).is_ok()
}

/// Is this directory on a file system without a disk?
#[cfg(target_os = "linux")]
fn is_in_memory(place: &Path) -> bool {
    // `linux/magic.h`. The width of the field differs between processors; the numbers are 32 bits wide.
    const TMPFS: rustix::fs::FsWord = 0x0102_1994;
    const RAMFS: rustix::fs::FsWord = 0x8584_58f6;
    rustix::fs::statfs(place).is_ok_and(|found| matches!(found.f_type & 0xffff_ffff, TMPFS | RAMFS))
}

#[cfg(not(target_os = "linux"))]
fn is_in_memory(_: &Path) -> bool {
    false
}

/// Without a shell there is none, and SIGKILL leaves the directory in memory until the next start of the machine.
fn warden(directory: &Path) -> Option<Child> {
    Command::new("/bin/sh")
        .args(["-c", WARDEN, "bulla"])
        .arg(directory)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    #[cfg(target_os = "linux")]
    fn a_directory_is_in_memory_if_its_file_system_is() {
        assert!(is_in_memory(Path::new("/dev/shm")));
        assert!(!is_in_memory(Path::new("/proc")));
        assert!(!is_in_memory(Path::new("/no/such/place")));
    }

    #[test]
    fn the_plaintext_is_for_the_user_only_and_goes() {
        let place = Workplace::new(&Context::new(true), Path::new("a.yaml"), OnDisk::Allow).unwrap();
        place.write(b"a: x\n").unwrap();
        place.write_beside(Path::new(".a.yaml.swp"), b"a: x\n").unwrap();
        assert!(place.write(b"again").is_err());
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(place.directory()), mode(place.file())), (0o700, 0o600));
        assert_eq!(*place.read().unwrap(), b"a: x\n");
        let directory = place.directory().to_path_buf();
        drop(place);
        assert!(!directory.exists());
    }

    #[test]
    fn when_we_die_the_warden_removes_it() {
        let directory = tempfile::tempdir().unwrap().keep();
        fs::write(directory.join("a.yaml"), "a: x\n").unwrap();
        let mut warden = warden(&directory).unwrap();
        assert!(directory.exists());
        // What the kernel does when a process ends.
        drop(warden.stdin.take());
        assert!(warden.wait().unwrap().success());
        assert!(!directory.exists());
    }
}
