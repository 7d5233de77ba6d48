//! What a signal must not leave behind: temporary files and directories, some of which hold plaintext.
//!
//! The first [`guard`] starts a thread that waits for SIGINT, SIGTERM and SIGHUP. It removes what is guarded and ends the program
//! with 128 plus the number of the signal, as shells report it. SIGKILL cannot be caught; `files::write` is built so that it leaves
//! nothing either, where the system can.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::thread;

use tokio::signal::unix::{SignalKind, signal};

static GUARDED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());
static CHILD_HAS_TERMINAL: AtomicBool = AtomicBool::new(false);

/// A path that is removed, with everything below it, when this is dropped or a signal ends the program.
#[derive(Debug)]
pub(crate) struct Guard(PathBuf);

/// Guards `path`, which need not exist yet.
pub(crate) fn guard(path: &Path) -> io::Result<Guard> {
    start()?;
    guarded().push(path.to_path_buf());
    Ok(Guard(path.to_path_buf()))
}

impl Guard {
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        remove(&self.0);
        guarded().retain(|path| *path != self.0);
    }
}

/// Runs `child` while Ctrl-C belongs to it and not to us: an editor decides itself what an interrupt means.
pub(crate) fn with_terminal_lent<T>(child: impl FnOnce() -> T) -> T {
    CHILD_HAS_TERMINAL.store(true, Ordering::SeqCst);
    let result = child();
    CHILD_HAS_TERMINAL.store(false, Ordering::SeqCst);
    result
}

fn guarded() -> MutexGuard<'static, Vec<PathBuf>> {
    // A list of paths is whole whatever happened to the thread that held it.
    GUARDED.lock().unwrap_or_else(PoisonError::into_inner)
}

fn remove(path: &Path) {
    // There is nobody to tell: either it is gone already, or the directory around it is.
    if path.is_dir() {
        let _ = fs::remove_dir_all(path);
    } else {
        let _ = fs::remove_file(path);
    }
}

fn start() -> io::Result<()> {
    static ONCE: Once = Once::new();
    let mut result = Ok(());
    ONCE.call_once(|| result = listen());
    result
}

fn listen() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let (mut interrupt, mut terminate, mut hang_up) = {
        let _entered = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?)
    };
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let number = runtime.block_on(async {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => if !CHILD_HAS_TERMINAL.load(Ordering::SeqCst) { return SignalKind::interrupt() },
                    _ = terminate.recv() => return SignalKind::terminate(),
                    _ = hang_up.recv() => return SignalKind::hangup(),
                }
            }
        });
        let paths = guarded();
        paths.iter().for_each(|path| remove(path));
        // The lock is held to the end, so that nothing new is guarded any more.
        std::process::exit(128 + number.as_raw_value());
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_guarded_is_gone_after_the_guard() {
        let directory = tempfile::tempdir().unwrap();
        let (file, folder) = (directory.path().join("file"), directory.path().join("folder"));
        {
            let guards = [guard(&file).unwrap(), guard(&folder).unwrap()];
            fs::write(guards[0].path(), "x").unwrap();
            fs::create_dir_all(guards[1].path().join("deep")).unwrap();
        }
        assert!(!file.exists() && !folder.exists());
    }
}
