//! Writing: whole or not at all. The new file is complete and on disk before it takes the place of the old one.
//!
//! ```text
//! file without a name in the target's directory (O_TMPFILE) ─ write ─ owner, mode, ACL ─ fsync
//!     ─ lock the old file, compare it with what was read ─ name it, rename it over the old one ─ fsync of the directory
//! ```
//!
//! While it has no name, no signal, crash or power cut can leave it behind: it may hold plaintext. Where the system has no such files,
//! a named one is guarded by [`cleanup`](crate::cleanup), which helps against all but SIGKILL.
//! Symbolic links are followed, so that the link stays. Invariant: after an error the old file is as it was.
//!
//! A file whose place no other can take is written over where it is only an output, and under the name `sops` ([`replace_or_overwrite`]).

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::fs::{Access, AtFlags, CWD, FlockOperation, Gid, Uid, XattrFlags};
use rustix::io::Errno;

use crate::cleanup::{self, Guard};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::files::read::read_all;

/// How long a lock of somebody else is waited for. One of ours is held while a file is written.
const LONGEST_LOCK: Duration = Duration::from_secs(5);
/// How long before it is tried again.
const LOCK_AGAIN: Duration = Duration::from_millis(10);

/// Who may read a file that did not exist before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readers {
    /// The user only: it holds a secret.
    Owner,
    /// Whoever the umask lets: it is encrypted.
    Everybody,
}

/// Puts `content` in the place of the file at `path`, which held `read` when it was read. Tells whether anything changed.
///
/// Mode, owner and access control lists are kept. The lock makes sure that of two commands that change the same file at the same
/// time one fails; programs that do not lock are noticed unless they write in the instant between the comparison and the rename.
///
/// # Errors
/// [`Exit::ChangedMeanwhile`] if the file is another than the one that was read; [`Exit::Output`] otherwise.
pub(crate) fn replace(path: &Path, read: &[u8], content: &[u8]) -> Result<Replaced, CommandError> {
    let target = fs::canonicalize(path).map_err(|error| failed(path, WriteError::Open(error)))?;
    replace_target(&target, Some(read), content, Immovable::Refuse).map_err(|error| failed(path, error))
}

/// Like [`replace`], but a file whose place no other can take (it is a mount of its own, as single files in containers are, or another
/// user's, or in a directory that only others may write to) is written over. That is what SOPS does with every file.
///
/// # Errors
/// As of [`replace`].
pub(crate) fn replace_or_overwrite(path: &Path, read: &[u8], content: &[u8]) -> Result<Replaced, CommandError> {
    let target = fs::canonicalize(path).map_err(|error| failed(path, WriteError::Open(error)))?;
    replace_target(&target, Some(read), content, Immovable::Overwrite).map_err(|error| failed(path, error))
}

/// Writes `content` to `path`, new or not. What is no regular file (a terminal, a pipe, `/dev/null`) is written to as it is.
///
/// # Errors
/// [`Exit::Output`].
pub(crate) fn create(path: &Path, content: &[u8], readers: Readers) -> Result<(), CommandError> {
    create_target(path, content, readers).map_err(|error| failed(path, error))
}

/// Writes `content` to a file that must not exist yet.
///
/// # Errors
/// [`Exit::Output`], also if there is a file.
pub(crate) fn create_new(path: &Path, content: &[u8], readers: Readers) -> Result<(), CommandError> {
    let write = || {
        let mut draft = Draft::beside(path, readers.mode()).map_err(WriteError::Draft)?;
        draft.file.write_all(content).map_err(WriteError::Write)?;
        draft.file.sync_all().map_err(WriteError::Write)?;
        draft.name_it(path).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => WriteError::Exists,
            _ => WriteError::Rename(error),
        })
    };
    write().map_err(|error| failed(path, error))
}

impl Readers {
    fn mode(self) -> u32 {
        match self {
            Self::Owner => 0o600,
            Self::Everybody => 0o666,
        }
    }
}

/// What [`replace`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Replaced {
    /// Whether the content is another now.
    pub(crate) changed: bool,
    /// Whether the file has other names (hard links), which still hold the old content.
    pub(crate) other_names: bool,
}

/// What becomes of a file whose place no other can take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Immovable {
    /// It stays as it is.
    Refuse,
    /// Its bytes are replaced: a power cut may leave a part of either content.
    Overwrite,
}

/// Why a file was not written.
#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error("cannot be opened for writing")]
    Open(#[source] io::Error),
    #[error("is not a regular file, so it cannot be changed in place")]
    NotRegular,
    #[error("exists already")]
    Exists,
    #[error("is read-only")]
    ReadOnly(#[source] io::Error),
    #[error("was changed by somebody else meanwhile, so it was left as it is")]
    Changed,
    #[error("somebody holds a lock on it, and did not let go in {} s, so it was left as it is", .0.as_secs())]
    Locked(Duration),
    #[error("cannot create a file beside it")]
    Draft(#[source] io::Error),
    #[error("cannot give the new file the owner of the old one")]
    Owner(#[source] io::Error),
    #[error("cannot give the new file the permissions of the old one")]
    Permissions(#[source] io::Error),
    #[error("cannot be written")]
    Write(#[source] io::Error),
    #[error("the new file is written, but cannot take the place of the old one")]
    Rename(#[source] io::Error),
}

impl WriteError {
    /// Whether the file could still be written over.
    fn leaves_the_bytes(&self) -> bool {
        use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem, ResourceBusy};
        match self {
            Self::Draft(error) => matches!(error.kind(), PermissionDenied | ReadOnlyFilesystem),
            Self::Rename(error) => error.kind() == ResourceBusy,
            Self::Owner(_) | Self::Permissions(_) => true,
            _ => false,
        }
    }
}

fn failed(path: &Path, error: WriteError) -> CommandError {
    let (exit, hint) = match &error {
        WriteError::Changed => (Exit::ChangedMeanwhile, Some("run the command again")),
        WriteError::Locked(_) => (
            Exit::ChangedMeanwhile,
            Some(
                "another command may be at work on the file: `lslocks` tells which; run the command again when it is done",
            ),
        ),
        WriteError::Exists => (Exit::Output, Some("name another file, or move this one away")),
        WriteError::NotRegular => (Exit::Output, Some("leave out `--in-place` to write to standard output")),
        WriteError::Draft(error) if error.kind() == io::ErrorKind::NotFound => {
            (Exit::Output, Some("its directory does not exist: make it first, with `mkdir -p`"))
        }
        WriteError::Draft(_) => {
            (Exit::Output, Some("files are replaced as a whole, so their directory must be writable too"))
        }
        WriteError::Rename(error) if error.kind() == io::ErrorKind::ResourceBusy => {
            (Exit::Output, Some("the file is a mount of its own; mount its directory, and it can be replaced"))
        }
        WriteError::Owner(_) => {
            (Exit::Output, Some("run it as the owner of the file, or write elsewhere with `--output`"))
        }
        WriteError::Write(error) if error.kind() == io::ErrorKind::StorageFull => {
            (Exit::Output, Some("the file is as it was; free some space and run the command again"))
        }
        _ => (Exit::Output, None),
    };
    let failed = CommandError::new(exit, error).at(path.display());
    hint.into_iter().fold(failed, CommandError::hint)
}

fn replace_target(
    target: &Path,
    read: Option<&[u8]>,
    content: &[u8],
    immovable: Immovable,
) -> Result<Replaced, WriteError> {
    if !fs::metadata(target).map_err(WriteError::Open)?.is_file() {
        return Err(WriteError::NotRegular);
    }
    rustix::fs::accessat(CWD, target, Access::WRITE_OK, AtFlags::EACCESS)
        .map_err(|error| WriteError::ReadOnly(error.into()))?;
    if read == Some(content) {
        return Ok(Replaced { changed: false, other_names: false });
    }
    let (old, metadata) = lock(target, LONGEST_LOCK)?;
    if let Some(read) = read {
        let now = read_all(&old, metadata.len()).map_err(WriteError::Open)?;
        if *now != *read {
            return Err(WriteError::Changed);
        }
    }
    match take_place(target, &old, &metadata, content) {
        Ok(()) => Ok(Replaced { changed: true, other_names: metadata.nlink() > 1 }),
        Err(error) if immovable == Immovable::Overwrite && error.leaves_the_bytes() => {
            overwrite(target, &old, content)?;
            Ok(Replaced { changed: true, other_names: false })
        }
        Err(error) => Err(error),
    }
}

/// A new file in the place of the old one.
fn take_place(target: &Path, old: &File, metadata: &fs::Metadata, content: &[u8]) -> Result<(), WriteError> {
    let mut draft = Draft::beside(target, 0o600).map_err(WriteError::Draft)?;
    draft.file.write_all(content).map_err(WriteError::Write)?;
    imitate(old, metadata, &draft.file)?;
    draft.file.sync_all().map_err(WriteError::Write)?;
    draft.rename(target).map_err(WriteError::Rename)
}

/// Other bytes in the same file, which `old` has open and locked: room for them first, then all at once; after an error, the old ones.
fn overwrite(target: &Path, old: &File, content: &[u8]) -> Result<(), WriteError> {
    let before = read_all(old, old.metadata().map_err(WriteError::Open)?.len()).map_err(WriteError::Open)?;
    let file = fs::OpenOptions::new().write(true).open(target).map_err(WriteError::Open)?;
    #[cfg(target_os = "linux")]
    match rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::KEEP_SIZE, 0, content.len() as u64) {
        Err(Errno::OPNOTSUPP | Errno::INVAL) | Ok(()) => {}
        Err(error) => return Err(WriteError::Write(error.into())),
    }
    let put = |bytes: &[u8]| {
        file.write_all_at(bytes, 0)?;
        file.set_len(bytes.len() as u64)?;
        file.sync_all()
    };
    put(content).map_err(|error| {
        let _ = put(&before);
        WriteError::Write(error)
    })
}

fn create_target(path: &Path, content: &[u8], readers: Readers) -> Result<(), WriteError> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => {
            let target = fs::canonicalize(path).map_err(WriteError::Open)?;
            replace_target(&target, None, content, Immovable::Overwrite).map(drop)
        }
        Ok(metadata) if metadata.is_dir() => Err(WriteError::Open(io::ErrorKind::IsADirectory.into())),
        Ok(metadata) => {
            debug_assert!(metadata.file_type().is_fifo() || !metadata.is_file());
            let mut file = fs::OpenOptions::new().write(true).open(path).map_err(WriteError::Open)?;
            file.write_all(content).map_err(WriteError::Write)
        }
        // The link stays, and what it leads to is made; a chain of links ends somewhere, or the system says that it does not.
        Err(error) if error.kind() == io::ErrorKind::NotFound && path.is_symlink() => {
            let target = fs::read_link(path).map_err(WriteError::Open)?;
            create_target(&path.parent().unwrap_or(Path::new("")).join(target), content, readers)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut draft = Draft::beside(path, readers.mode()).map_err(WriteError::Draft)?;
            draft.file.write_all(content).map_err(WriteError::Write)?;
            draft.file.sync_all().map_err(WriteError::Write)?;
            draft.rename(path).map_err(WriteError::Rename)
        }
        Err(error) => Err(WriteError::Open(error)),
    }
}

/// Opens the file that is at `target` now, under an exclusive lock. Where locks do not work there is none. Whoever may read a file may
/// lock it, so a lock of somebody else is waited for so long and not for ever.
fn lock(target: &Path, longest: Duration) -> Result<(File, fs::Metadata), WriteError> {
    let mut left = longest;
    loop {
        let file = File::open(target).map_err(WriteError::Open)?;
        while let Err(Errno::WOULDBLOCK | Errno::INTR) =
            rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)
        {
            left = left.checked_sub(LOCK_AGAIN).ok_or(WriteError::Locked(longest))?;
            thread::sleep(LOCK_AGAIN);
        }
        let locked = file.metadata().map_err(WriteError::Open)?;
        // While we waited, the holder of the lock may have put another file there.
        let current = fs::metadata(target).map_err(WriteError::Open)?;
        if (locked.dev(), locked.ino()) == (current.dev(), current.ino()) {
            return Ok((file, locked));
        }
    }
}

/// Owner, mode and access control lists of `old` for `new`. Without them a group might come to read what it could not.
fn imitate(old: &File, metadata: &fs::Metadata, new: &File) -> Result<(), WriteError> {
    let draft = new.metadata().map_err(WriteError::Owner)?;
    if (metadata.uid(), metadata.gid()) != (draft.uid(), draft.gid()) {
        rustix::fs::fchown(new, Some(Uid::from_raw(metadata.uid())), Some(Gid::from_raw(metadata.gid())))
            .map_err(|error| WriteError::Owner(error.into()))?;
    }
    new.set_permissions(fs::Permissions::from_mode(metadata.mode() & 0o7777)).map_err(WriteError::Permissions)?;
    copy_attributes(old, new).map_err(WriteError::Permissions)
}

/// Extended attributes. The access control list must be taken over; of the rest, what may be.
fn copy_attributes(old: &File, new: &File) -> io::Result<()> {
    const ACCESS_CONTROL_LIST: &[u8] = b"system.posix_acl_access";
    let mut names = vec![0; 64 << 10];
    let Ok(length) = rustix::fs::flistxattr(old, &mut names[..]) else {
        return Ok(()); // the file system has none
    };
    for name in names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let mut value = vec![0; 64 << 10];
        let copied = rustix::fs::fgetxattr(old, name, &mut value[..])
            .and_then(|length| rustix::fs::fsetxattr(new, name, &value[..length], XattrFlags::empty()));
        if name == ACCESS_CONTROL_LIST {
            copied?;
        }
    }
    Ok(())
}

/// A file that will take the place of another, in the same directory.
struct Draft {
    file: File,
    /// Its name, if it could not be made without one.
    name: Option<Guard>,
    directory: PathBuf,
}

impl Draft {
    fn beside(target: &Path, mode: u32) -> io::Result<Self> {
        let directory = match target.parent() {
            Some(parent) if parent != Path::new("") => parent.to_path_buf(),
            _ => PathBuf::from("."),
        };
        #[cfg(target_os = "linux")]
        match nameless(&directory, mode) {
            Ok(file) => return Ok(Self { file, name: None, directory }),
            // The file system, or an old kernel, has no files without a name.
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
        Self::named(directory, mode)
    }

    fn named(directory: PathBuf, mode: u32) -> io::Result<Self> {
        let guard = cleanup::guard(&fresh_name(&directory))?;
        let file = fs::OpenOptions::new().read(true).write(true).create_new(true).mode(mode).open(guard.path())?;
        Ok(Self { file, name: Some(guard), directory })
    }

    /// Gives it its name, over whatever has it now, and makes that last.
    fn rename(self, target: &Path) -> io::Result<()> {
        let name = match self.name {
            Some(guard) => guard,
            None => self.give_name()?,
        };
        fs::rename(name.path(), target)?;
        // A directory that cannot be synced (some network file systems) keeps its promise as well as it can.
        let _ = File::open(&self.directory).and_then(|directory| directory.sync_all());
        Ok(())
    }

    /// Gives it its name, unless something has that already.
    fn name_it(self, target: &Path) -> io::Result<()> {
        match &self.name {
            Some(guard) => fs::hard_link(guard.path(), target)?,
            None => self.link(target)?,
        }
        let _ = File::open(&self.directory).and_then(|directory| directory.sync_all());
        Ok(())
    }

    fn give_name(&self) -> io::Result<Guard> {
        let guard = cleanup::guard(&fresh_name(&self.directory))?;
        self.link(guard.path())?;
        Ok(guard)
    }

    #[cfg(target_os = "linux")]
    fn link(&self, name: &Path) -> io::Result<()> {
        use std::os::fd::AsRawFd as _;
        let open = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        Ok(rustix::fs::linkat(CWD, open, CWD, name, AtFlags::SYMLINK_FOLLOW)?)
    }

    #[cfg(not(target_os = "linux"))]
    #[expect(clippy::unused_self, reason = "files without a name exist on Linux only")]
    fn link(&self, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(target_os = "linux")]
fn nameless(directory: &Path, mode: u32) -> rustix::io::Result<File> {
    use rustix::fs::{Mode, OFlags};
    if !Path::new("/proc/self/fd").exists() {
        return Err(Errno::OPNOTSUPP); // it could never be given a name
    }
    let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
    rustix::fs::open(directory, flags, Mode::from_raw_mode(mode)).map(File::from)
}

/// A name in `directory` that nothing has.
pub(crate) fn fresh_name(directory: &Path) -> PathBuf {
    use std::hash::{BuildHasher as _, RandomState};
    // Not a secret: it only must not collide, and opening it refuses if it does.
    directory.join(format!(".bulla-{:016x}.tmp", RandomState::new().hash_one(std::process::id())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_replaced_file_keeps_its_mode_and_leaves_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.yaml");
        for mode in [0o600, 0o640, 0o644, 0o755] {
            fs::write(&path, "old").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert!(replace(&path, b"old", b"new").unwrap().changed);
            assert_eq!(fs::read(&path).unwrap(), b"new");
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, mode);
        }
        assert_eq!(names(directory.path()), ["a.yaml"]);
    }

    #[test]
    fn the_same_content_is_not_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.yaml");
        fs::write(&path, "same").unwrap();
        let before = fs::metadata(&path).unwrap();
        assert!(!replace(&path, b"same", b"same").unwrap().changed);
        assert_eq!(fs::metadata(&path).unwrap().ino(), before.ino());
    }

    #[test]
    fn a_symbolic_link_stays_and_its_target_changes() {
        let directory = tempfile::tempdir().unwrap();
        let (real, link) = (directory.path().join("real/a.yaml"), directory.path().join("link.yaml"));
        fs::create_dir(directory.path().join("real")).unwrap();
        fs::write(&real, "old").unwrap();
        std::os::unix::fs::symlink("real/a.yaml", &link).unwrap();
        replace(&link, b"old", b"new").unwrap();
        create(&link, b"newer", Readers::Owner).unwrap();
        assert!(link.is_symlink());
        assert_eq!(fs::read(&real).unwrap(), b"newer");
        assert_eq!(names(directory.path()), ["link.yaml", "real"]);
    }

    #[test]
    fn a_file_that_changed_meanwhile_is_left_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.yaml");
        fs::write(&path, "theirs").unwrap();
        let error = replace(&path, b"old", b"new").unwrap_err();
        assert_eq!(error.exit(), Exit::ChangedMeanwhile);
        assert_eq!(fs::read(&path).unwrap(), b"theirs");
        assert_eq!(names(directory.path()), ["a.yaml"]);
    }

    #[test]
    fn of_many_writers_at_once_exactly_one_wins() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.yaml");
        for round in 0..20 {
            fs::write(&path, "old").unwrap();
            let contents: Vec<String> = (0..8).map(|writer| format!("{round} by {writer}")).collect();
            let won: Vec<&String> = thread::scope(|scope| {
                let write = |content: &String| replace(&path, b"old", content.as_bytes()).is_ok();
                let writers: Vec<_> =
                    contents.iter().map(|content| (content, scope.spawn(move || write(content)))).collect();
                writers.into_iter().filter_map(|(content, writer)| writer.join().unwrap().then_some(content)).collect()
            });
            assert_eq!(won.len(), 1);
            assert_eq!(fs::read_to_string(&path).unwrap(), *won[0]);
        }
        assert_eq!(names(directory.path()), ["a.yaml"]);
    }

    #[test]
    fn a_lock_of_somebody_else_is_not_waited_for_for_ever() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.yaml");
        fs::write(&path, "old").unwrap();
        let holder = File::open(&path).unwrap();
        rustix::fs::flock(&holder, FlockOperation::LockShared).unwrap();
        let error = lock(&path, Duration::from_millis(30)).unwrap_err();
        assert!(matches!(error, WriteError::Locked(_)));
        let error = failed(&path, error);
        assert_eq!(error.exit(), Exit::ChangedMeanwhile);
        assert!(error.render().contains("somebody holds a lock on it"), "{}", error.render());
        drop(holder);
        assert!(lock(&path, Duration::ZERO).is_ok());
    }

    #[test]
    fn where_files_need_a_name_it_goes_the_same_way() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.yaml");
        let draft = |content: &[u8]| {
            let mut draft = Draft::named(directory.path().to_path_buf(), 0o600).unwrap();
            draft.file.write_all(content).unwrap();
            draft
        };
        draft(b"first").name_it(&path).unwrap();
        assert_eq!(draft(b"second").name_it(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"first");
        draft(b"third").rename(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"third");
        drop(draft(b"given up"));
        assert_eq!(names(directory.path()), ["a.yaml"]);
    }

    #[test]
    fn other_names_of_a_file_are_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let (path, other) = (directory.path().join("a.yaml"), directory.path().join("b.yaml"));
        fs::write(&path, "old").unwrap();
        fs::hard_link(&path, &other).unwrap();
        assert!(replace(&path, b"old", b"new").unwrap().other_names);
        assert_eq!(fs::read(&other).unwrap(), b"old");
    }

    #[test]
    fn a_new_secret_is_for_its_owner_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key.txt");
        create(&path, b"secret", Readers::Owner).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        assert_eq!(names(directory.path()), ["key.txt"]);
        assert_eq!(create_new(&path, b"another", Readers::Owner).unwrap_err().exit(), Exit::Output);
        assert_eq!(fs::read(&path).unwrap(), b"secret");
        create_new(&directory.path().join("new.txt"), b"secret", Readers::Owner).unwrap();
        assert_eq!(names(directory.path()), ["key.txt", "new.txt"]);
        assert_eq!(create(directory.path(), b"x", Readers::Owner).unwrap_err().exit(), Exit::Output);
        create(Path::new("/dev/null"), b"x", Readers::Owner).unwrap();
    }

    #[test]
    fn what_a_link_leads_to_is_made_beside_what_it_names() {
        let directory = tempfile::tempdir().unwrap();
        let link = |target: &str, name: &str| std::os::unix::fs::symlink(target, directory.path().join(name)).unwrap();
        fs::create_dir(directory.path().join("deep")).unwrap();
        link("deep/second", "first");
        link("../real", "deep/second");
        link("b", "a");
        link("a", "b");
        create(&directory.path().join("first"), b"x", Readers::Owner).unwrap();
        assert_eq!(fs::read(directory.path().join("real")).unwrap(), b"x");
        assert!(directory.path().join("deep/second").is_symlink());
        assert_eq!(create(&directory.path().join("a"), b"x", Readers::Owner).unwrap_err().exit(), Exit::Output);
    }
}
