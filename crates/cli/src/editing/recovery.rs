//! What was saved in the editor and is not yet in the file: kept encrypted, in the user's own directory for state, until the file is written.
//!
//! ```text
//! ~/.local/state/bulla/edits/NAME-HASH.json     $XDG_STATE_HOME; without a home, beside the file: .NAME.bulla-edit.json
//!     {"file": …, "text": …, "of": …, "sops": {…}}   a SOPS file of its own, for the readers of the one that is edited
//! ~/.local/state/bulla/edits/NAME-HASH.2.json   of another editing of the same file, at the same time or left from before
//! ~/.local/state/bulla/edits/NAME-HASH.lock     locked while somebody edits: what they keep is theirs, and offered to nobody else
//! ```
//! `of` is the encrypted MAC of the file as it was: it tells whether the file has changed since. Nothing in it is plain.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use bulla_wipe::Wiping;
use rustix::fs::FlockOperation;

use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::files::{Readers, create};

/// So many recovery files of one target are kept apart.
const MOST: u32 = 100;

/// The recovery file of one editing.
#[derive(Debug)]
pub(crate) struct Recovery {
    /// Ours: nobody else writes or removes it.
    own: Slot,
    /// Those of editings that ended without writing their file, the last one last.
    earlier: Vec<Slot>,
    /// What the file is called on the command line.
    target: PathBuf,
}

/// A name for a recovery file, held as long as this lives.
#[derive(Debug)]
struct Slot {
    path: PathBuf,
    /// Nothing where no lock can be had: what is kept is kept all the same.
    lock: Option<(PathBuf, File)>,
}

impl Slot {
    /// Takes the name, unless another editing has it.
    fn take(path: PathBuf) -> Option<Self> {
        let name = path.with_extension("lock");
        let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&name).ok()?;
        rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).ok()?;
        // Whoever had it may have removed it meanwhile, and somebody else made a new one.
        let is_current = fs::metadata(&name).ok()?.ino() == lock.metadata().ok()?.ino();
        is_current.then_some(Self { path, lock: Some((name, lock)) })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some((name, _)) = &self.lock {
            let _ = fs::remove_file(name);
        }
    }
}

/// What was kept of an earlier edit.
#[derive(Debug)]
pub(crate) struct Kept {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// The recovery file, encrypted.
    pub(crate) bytes: Wiping<Vec<u8>>,
    /// When it was written.
    pub(crate) saved: jiff::Timestamp,
}

impl Recovery {
    /// That of the file at `target`, which need not exist.
    pub(crate) fn of(cx: &Context, target: &Path) -> Self {
        let absolute = fs::canonicalize(target).or_else(|_| std::path::absolute(target));
        let absolute = absolute.unwrap_or_else(|_| target.to_path_buf());
        let name = absolute.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let state = cx.variable("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        let state = state.or_else(|| cx.home().map(|home| home.join(".local/state")));
        let stem = match state {
            Some(state) => {
                let short: String = name.chars().take(60).collect();
                state.join(format!("bulla/edits/{short}-{:016x}", hash(absolute.as_os_str().as_bytes())))
            }
            None => absolute.with_file_name(format!(".{name}.bulla-edit")),
        };
        let named = |number: u32| {
            let mut path = stem.clone().into_os_string();
            path.push(if number == 1 { ".json".to_owned() } else { format!(".{number}.json") });
            PathBuf::from(path)
        };
        if let Some(directory) = stem.parent() {
            // What is wrong with it is told by the writing.
            let _ = DirBuilder::new().recursive(true).mode(0o700).create(directory);
        }
        let (mut own, mut earlier) = (None, Vec::new());
        for path in (1..MOST).map(named) {
            match Slot::take(path) {
                Some(slot) if slot.path.exists() => earlier.push(slot),
                Some(slot) => {
                    own = Some(slot);
                    break;
                }
                // Somebody edits it now.
                None => {}
            }
        }
        let own = own.unwrap_or_else(|| Slot { path: named(MOST + std::process::id()), lock: None });
        Self { own, earlier, target: target.to_path_buf() }
    }

    /// What an earlier editing of the target left, the last one.
    pub(crate) fn earlier(&self) -> Option<Kept> {
        let path = self.earlier.last()?.path.clone();
        let written = fs::metadata(&path).and_then(|metadata| metadata.modified()).ok()?;
        let bytes = crate::files::read_bytes(&path).ok()?;
        Some(Kept { path, bytes, saved: jiff::Timestamp::try_from(written).ok()? })
    }

    /// Goes on where the earlier editing ended: with its file, which is this one's then.
    pub(crate) fn take_over(&mut self) {
        if let Some(earlier) = self.earlier.pop() {
            self.own = earlier;
        }
    }

    /// Throws away what earlier editings left.
    pub(crate) fn forget(&mut self) {
        for earlier in self.earlier.drain(..) {
            let _ = fs::remove_file(&earlier.path);
        }
    }

    /// Puts `encrypted` there, whole or not at all.
    ///
    /// # Errors
    /// [`Exit::Output`].
    pub(crate) fn write(&self, encrypted: &[u8]) -> Result<(), CommandError> {
        create(&self.own.path, encrypted, Readers::Owner)
    }

    /// Removes it: the work is in the file, or was thrown away.
    pub(crate) fn remove(&self) {
        // Mostly there is none. One that cannot be removed holds nothing plain, and is offered at the next edit.
        let _ = fs::remove_file(&self.own.path);
    }

    /// `error` with the way back to what was edited, if something is kept.
    pub(crate) fn told_in(&self, error: CommandError) -> CommandError {
        if !self.own.path.exists() {
            return error;
        }
        let hint = format!(
            "what was saved is kept, encrypted, in `{}`: `bulla edit --recover {}` goes on with it",
            self.own.path.display(),
            self.target.display()
        );
        if error.exit() == Exit::ChangedMeanwhile { error.hint_instead(hint) } else { error.hint(hint) }
    }
}

/// FNV-1a: names of files that do not collide by accident. Another path is noticed when it is opened.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_fnv_1a() {
        for (text, expected) in
            [("", 0xcbf2_9ce4_8422_2325), ("a", 0xaf63_dc4c_8601_ec8c), ("foobar", 0x8594_4171_f739_67e8)]
        {
            assert_eq!(hash(text.as_bytes()), expected, "{text}");
        }
    }
}
