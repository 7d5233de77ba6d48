//! What a signal must not leave behind: temporary files and directories, some of which hold plaintext, and programs that we started.
//!
//! The first [`guard`] or [`run`] starts a thread that waits for SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1 and SIGUSR2. It removes what is
//! guarded and ends the program with 128 plus the number of the signal, as shells report it; while a program runs that we started, it
//! hands them on, see [`Manner`]. SIGKILL cannot be caught: `files::write` is built so that it leaves nothing, where the system can, and
//! `editing::workplace` has a warden for it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, getpgrp, kill_process, waitid};
use tokio::signal::unix::{SignalKind, signal};

use crate::child::User;

/// How long an editor may take to save what it has when we are ended.
const LAST_WORDS: Duration = Duration::from_millis(300);

static GUARDED: Mutex<Vec<Guarded>> = Mutex::new(Vec::new());
static CHILD: Mutex<Option<(Pid, Manner)>> = Mutex::new(None);

/// A path, and with whose rights it is removed, if not with ours.
struct Guarded {
    path: PathBuf,
    owner: Option<User>,
}

/// A path that is removed, with everything below it, when this is dropped or a signal ends the program.
#[derive(Debug)]
pub(crate) struct Guard(PathBuf);

/// Guards `path`, which need not exist yet.
pub(crate) fn guard(path: &Path) -> io::Result<Guard> {
    start()?;
    lock(&GUARDED).push(Guarded { path: path.to_path_buf(), owner: None });
    Ok(Guard(path.to_path_buf()))
}

impl Guard {
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// It is this user's from now on. They can put something else in its place, so it is removed with their rights.
    pub(crate) fn belongs_to(&self, user: &User) {
        let mut all = lock(&GUARDED);
        all.iter_mut().filter(|guarded| guarded.path == self.0).for_each(|guarded| guarded.owner = Some(user.clone()));
    }

    /// Removes it now, if it is still there.
    pub(crate) fn remove(&self) {
        let owner = lock(&GUARDED).iter().find(|guarded| guarded.path == self.0).and_then(|it| it.owner.clone());
        remove(&self.0, owner.as_ref());
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.remove();
        lock(&GUARDED).retain(|guarded| guarded.path != self.0);
    }
}

/// What becomes of signals while a program runs that we started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Ctrl-C and Ctrl-\ are the editor's, which decides itself what they mean. Whatever else ends us ends it, too.
    Editor,
    /// All go to the program, and we end when it does. What the terminal sends it gets from there.
    Program,
}

/// Runs `command` to its end.
pub(crate) fn run(command: &mut Command, manner: Manner) -> io::Result<ExitStatus> {
    start()?;
    // Locked until it is known whom signals are for: none gets lost in between.
    let mut slot = lock(&CHILD);
    let mut child = command.spawn()?;
    let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    *slot = id.map(|id| (id, manner));
    drop(slot);
    if let Some(id) = id {
        // Its number is its own until it is waited for: nobody else can be sent a signal meanwhile.
        let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while matches!(waitid(WaitId::Pid(id), ended), Err(rustix::io::Errno::INTR)) {}
    }
    *lock(&CHILD) = None;
    child.wait()
}

fn lock<T>(mutex: &'static Mutex<T>) -> MutexGuard<'static, T> {
    // What is in there is whole whatever happened to the thread that held it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes a file, or a directory with everything in it, with the rights of `owner` if it is theirs. Links are not followed.
fn remove(path: &Path, owner: Option<&User>) {
    // There is nobody to tell: either it is gone already, or the directory around it is.
    let remove = || {
        if path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir()) {
            let _ = fs::remove_dir_all(path);
        } else {
            let _ = fs::remove_file(path);
        }
    };
    if User::take_on(owner, remove).is_err() {
        // Whoever may not take on their rights could not run anything of theirs either.
        remove();
    } else if owner.is_some() {
        // They may not be allowed to change the directory around theirs. Of ours, this takes what is empty, and no link.
        let _ = fs::remove_dir(path);
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
    let (mut interrupt, mut terminate, mut hang_up, mut quit, mut first, mut second) = {
        let _entered = runtime.enter();
        let of = |kind| signal(kind);
        (
            of(SignalKind::interrupt())?,
            of(SignalKind::terminate())?,
            of(SignalKind::hangup())?,
            of(SignalKind::quit())?,
            of(SignalKind::user_defined1())?,
            of(SignalKind::user_defined2())?,
        )
    };
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let number = runtime.block_on(async {
            loop {
                let signal = tokio::select! {
                    _ = interrupt.recv() => Signal::INT,
                    _ = terminate.recv() => Signal::TERM,
                    _ = hang_up.recv() => Signal::HUP,
                    _ = quit.recv() => Signal::QUIT,
                    _ = first.recv() => Signal::USR1,
                    _ = second.recv() => Signal::USR2,
                };
                if ends_us(signal) {
                    return signal.as_raw();
                }
            }
        });
        let paths = lock(&GUARDED);
        paths.iter().for_each(|guarded| remove(&guarded.path, guarded.owner.as_ref()));
        // The lock is held to the end, so that nothing new is guarded any more.
        std::process::exit(128 + number);
    })?;
    Ok(())
}

/// Hands a signal on to the program that runs, if one does. Whether it ends us.
fn ends_us(signal: Signal) -> bool {
    let child = lock(&CHILD);
    let Some((id, manner)) = *child else { return true };
    let of_terminal = matches!(signal, Signal::INT | Signal::QUIT);
    match manner {
        Manner::Editor if of_terminal => false,
        Manner::Editor => {
            let _ = kill_process(id, signal);
            // What it saves now is still seen, and kept.
            thread::sleep(LAST_WORDS);
            true
        }
        Manner::Program => {
            if !(of_terminal && is_in_foreground()) {
                let _ = kill_process(id, signal);
            }
            false
        }
    }
}

/// Does the terminal send its signals to our group, and so to what we started as well?
fn is_in_foreground() -> bool {
    let terminal = fs::File::open("/dev/tty");
    terminal.is_ok_and(|terminal| rustix::termios::tcgetpgrp(&terminal).is_ok_and(|group| group == getpgrp()))
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

    #[test]
    fn a_program_ends_as_it_ends() {
        let run = |line: &str| run(Command::new("/bin/sh").args(["-c", line]), Manner::Program).unwrap();
        assert_eq!(run("exit 7").code(), Some(7));
        assert_eq!(run("kill -9 $$").code(), None);
    }
}
