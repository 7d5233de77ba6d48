//! What was saved in the editor and is not yet in the file: kept encrypted, in the user's own directory for state, until the file is written.
//!
//! ```text
//! ~/.local/state/bulla/edits/NAME-HASH.json     $XDG_STATE_HOME; without a home, beside the file: .NAME.bulla-edit.json
//!     {"file": …, "text": …, "of": …, "sops": {…}}   a SOPS file of its own, for the readers of the one that is edited
//! ```
//! `of` is the encrypted MAC of the file as it was: it tells whether the file has changed since. Nothing in it is plain.

use std::fs::{self, DirBuilder};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use bulla_wipe::Wiping;

use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::files::{Readers, create};

/// So many recovery files of one target are kept apart.
const MOST: u32 = 100;

/// The recovery file of one editing.
#[derive(Debug)]
pub(crate) struct Recovery {
    /// Where it goes.
    path: PathBuf,
    /// Where those of earlier ones are, the last one last.
    earlier: Vec<PathBuf>,
    /// What the file is called on the command line.
    target: PathBuf,
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
        // What an earlier editing left is not written over.
        let free = (1..MOST).find(|number| !named(*number).exists()).unwrap_or(MOST);
        let earlier = (1..free).map(named).collect();
        Self { path: named(free), earlier, target: target.to_path_buf() }
    }

    /// What an earlier editing of the target left, the last one.
    pub(crate) fn earlier(&self) -> Option<Kept> {
        let path = self.earlier.last()?.clone();
        let written = fs::metadata(&path).and_then(|metadata| metadata.modified()).ok()?;
        let bytes = crate::files::read_bytes(&path).ok()?;
        Some(Kept { path, bytes, saved: jiff::Timestamp::try_from(written).ok()? })
    }

    /// Goes on where the earlier editing ended: with its file, which is this one's then.
    pub(crate) fn take_over(&mut self) {
        if let Some(earlier) = self.earlier.pop() {
            self.path = earlier;
        }
    }

    /// Throws away what earlier editings left.
    pub(crate) fn forget(&mut self) {
        // The first name is free again then.
        for earlier in self.earlier.drain(..).rev() {
            self.path = earlier;
            let _ = fs::remove_file(&self.path);
        }
    }

    /// Puts `encrypted` there, whole or not at all.
    ///
    /// # Errors
    /// [`Exit::Output`].
    pub(crate) fn write(&self, encrypted: &[u8]) -> Result<(), CommandError> {
        if let Some(directory) = self.path.parent() {
            // What is wrong with it is told by the writing.
            let _ = DirBuilder::new().recursive(true).mode(0o700).create(directory);
        }
        create(&self.path, encrypted, Readers::Owner)
    }

    /// Removes it: the work is in the file, or was thrown away.
    pub(crate) fn remove(&self) {
        // Mostly there is none. One that cannot be removed holds nothing plain, and is offered at the next edit.
        let _ = fs::remove_file(&self.path);
    }

    /// `error` with the way back to what was edited, if something is kept.
    pub(crate) fn told_in(&self, error: CommandError) -> CommandError {
        if !self.path.exists() {
            return error;
        }
        let hint = format!(
            "what was saved is kept, encrypted, in `{}`: `bulla edit --recover {}` goes on with it",
            self.path.display(),
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
