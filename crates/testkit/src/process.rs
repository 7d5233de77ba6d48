//! A program run to its end, or in the background, with what it used.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use wait4::Wait4 as _;

/// A program and how to run it. Standard input is empty unless it is given; the environment is this process's.
#[derive(Debug)]
pub struct Program {
    command: Command,
    input: Option<Vec<u8>>,
    time_limit: Duration,
}

/// A program that ended.
#[derive(Clone, Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to standard output.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error.
    pub stderr: Vec<u8>,
    /// From before it was started until its end was known.
    pub wall: Duration,
    /// Processor time, in the program and in the children that it waited for.
    pub processor: Duration,
    /// The most memory that it held at once, in bytes; or one of the children that it waited for, if that is more.
    ///
    /// Linux hands the peak of the process that starts a program on to it. Where the program needs less than this process
    /// once did, the number is therefore the last of samples, each a millisecond after the other, and a lower bound: measure
    /// small programs from a small one.
    pub peak_memory: u64,
}

/// Why a program has no result.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// It did not start.
    #[error("cannot run `{}`", program.display())]
    Start {
        /// Its path.
        program: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// It was killed when its time was over.
    #[error("`{}` took longer than {limit:?}; it wrote: {stderr}", program.display())]
    TimeLimit {
        /// Its path.
        program: PathBuf,
        /// The time that it had.
        limit: Duration,
        /// What it had written to standard error.
        stderr: String,
    },
    /// Its input, its output or its end could not be handled.
    #[error("cannot follow `{}`", program.display())]
    Follow {
        /// Its path.
        program: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

impl From<Command> for Program {
    fn from(command: Command) -> Self {
        Self { command, input: None, time_limit: Duration::from_mins(1) }
    }
}

impl Program {
    /// The program at `path`, or of this name on `PATH`.
    pub fn new(path: impl AsRef<Path>) -> Self {
        Command::new(path.as_ref()).into()
    }

    /// Appends an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// Appends arguments.
    #[must_use]
    pub fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(arguments);
        self
    }

    /// Sets a variable of the environment.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Removes a variable of the environment.
    #[must_use]
    pub fn env_remove(mut self, name: impl AsRef<OsStr>) -> Self {
        self.command.env_remove(name);
        self
    }

    /// Leaves only the variables that are set after this.
    #[must_use]
    pub fn env_clear(mut self) -> Self {
        self.command.env_clear();
        self
    }

    /// Runs it in this folder.
    #[must_use]
    pub fn current_dir(mut self, folder: impl AsRef<Path>) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Gives it `input` on standard input, through a pipe.
    #[must_use]
    pub fn stdin(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = Some(input.into());
        self
    }

    /// Kills it when it takes longer; a minute unless this is called.
    #[must_use]
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// [`ProcessError`]; a program that ends with a failure is none, see [`Finished::success`].
    pub fn run(self) -> Result<Finished, ProcessError> {
        let limit = self.time_limit;
        self.start()?.finish(limit)
    }

    /// Starts it and lets it run, until [`Running::terminate`] or the drop of what is returned. The time limit does not count.
    ///
    /// # Errors
    /// [`ProcessError::Start`]
    pub fn start(mut self) -> Result<Running, ProcessError> {
        let program = PathBuf::from(self.command.get_program());
        let started = Instant::now();
        let outputs = || -> io::Result<_> { Ok((tempfile::tempfile()?, tempfile::tempfile()?)) };
        let follow = |source| ProcessError::Follow { program: program.clone(), source };
        let (stdout, stderr) = outputs().map_err(follow)?;
        self.command
            .stdin(if self.input.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(stdout.try_clone().map_err(follow)?)
            .stderr(stderr.try_clone().map_err(follow)?);
        let mut child =
            self.command.spawn().map_err(|source| ProcessError::Start { program: program.clone(), source })?;
        if let (Some(mut pipe), Some(input)) = (child.stdin.take(), self.input) {
            // Ends with the program at the latest. A program need not read its input.
            thread::spawn(move || pipe.write_all(&input).ok());
        }
        // A handle, because an id may be another process's once this one was waited for.
        let handle = pidfd_open(Pid::from_child(&child), PidfdFlags::empty());
        let handle = handle.map_err(|error| follow(error.into()))?;
        Ok(Running { program, id: child.id(), child: Some(child), handle, stdout, stderr, started })
    }
}

/// A program that runs in the background. It is killed when this is dropped.
#[derive(Debug)]
pub struct Running {
    program: PathBuf,
    id: u32,
    // `None` once it was waited for.
    child: Option<Child>,
    handle: OwnedFd,
    stdout: File,
    stderr: File,
    started: Instant,
}

impl Running {
    /// Its process id.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Whether it has not ended yet.
    pub fn is_running(&self) -> bool {
        // A process that ended is a zombie, `Z`, until it is waited for.
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.id)).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, fields)| !fields.starts_with('Z'))
    }

    /// What it has written to standard output so far.
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&written(&self.stdout)).into_owned()
    }

    /// What it has written to standard error so far.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&written(&self.stderr)).into_owned()
    }

    /// The most memory that it has held at once so far, in bytes.
    pub fn peak_memory(&self) -> u64 {
        peak_memory_of(&self.id.to_string())
    }

    /// Sends SIGTERM and waits for its end.
    ///
    /// # Errors
    /// [`ProcessError::TimeLimit`] if it does not end within `limit`; it is killed then.
    pub fn terminate(self, limit: Duration) -> Result<Finished, ProcessError> {
        self.signal(Signal::TERM);
        self.finish(limit)
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// [`ProcessError::TimeLimit`] if it does not end within `limit`; it is killed then.
    #[expect(clippy::missing_panics_doc, reason = "the watch does not")]
    pub fn finish(mut self, limit: Duration) -> Result<Finished, ProcessError> {
        let Some(child) = self.child.take() else { unreachable!("only this and the drop take the child") };
        let own_peak = peak_memory_of("self");
        let (result, wall, (killed, sampled)) = thread::scope(|scope| {
            let (ended, end) = mpsc::channel::<()>();
            let watch = scope.spawn(|| self.watch(limit, end));
            let result = child.wait4();
            let wall = self.started.elapsed();
            drop(ended);
            (result, wall, watch.join().expect("the watch does not panic"))
        });
        let program = self.program.clone();
        let used = result.map_err(|source| ProcessError::Follow { program: program.clone(), source })?;
        if killed && used.status.signal() == Some(Signal::KILL.as_raw()) {
            return Err(ProcessError::TimeLimit { program, limit, stderr: self.stderr() });
        }
        let measured = used.rusage.maxrss;
        Ok(Finished {
            status: used.status,
            stdout: written(&self.stdout),
            stderr: written(&self.stderr),
            wall,
            processor: used.rusage.utime + used.rusage.stime,
            peak_memory: if measured > own_peak || sampled == 0 { measured } else { sampled },
        })
    }

    /// Kills the program when `limit` is over, unless `end` is dropped before. Whether it did so, and the peak memory seen.
    #[expect(clippy::needless_pass_by_value, reason = "a receiver cannot be shared between threads")]
    fn watch(&self, limit: Duration, end: Receiver<()>) -> (bool, u64) {
        let until = Instant::now() + limit;
        let (mut killed, mut sampled) = (false, 0);
        loop {
            sampled = sampled.max(self.peak_memory());
            if !killed && Instant::now() >= until {
                self.signal(Signal::KILL);
                killed = true;
            }
            if end.recv_timeout(SAMPLE_PERIOD) != Err(RecvTimeoutError::Timeout) {
                return (killed, sampled);
            }
        }
    }

    fn signal(&self, signal: Signal) {
        // The only failure is that it has ended.
        pidfd_send_signal(&self.handle, signal).ok();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().and_then(|()| child.wait()).ok();
        }
    }
}

impl Finished {
    /// This, if the program ended with success.
    ///
    /// # Panics
    /// If it failed; with what it wrote.
    #[track_caller]
    #[must_use]
    pub fn success(self) -> Self {
        assert!(self.status.success(), "{}: {}{}", self.status, self.stderr_text(), self.stdout_text());
        self
    }

    /// The exit code, unless a signal ended it.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// Standard output as text.
    pub fn stdout_text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text.
    pub fn stderr_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
}

/// How often the memory of a running program is looked at.
const SAMPLE_PERIOD: Duration = Duration::from_millis(1);

/// All that is in a file that another process may be writing at its own position.
fn written(file: &File) -> Vec<u8> {
    let mut content = Vec::new();
    let mut chunk = vec![0; 1 << 16];
    loop {
        match file.read_at(&mut chunk, content.len() as u64) {
            Ok(0) | Err(_) => return content,
            Ok(length) => content.extend_from_slice(&chunk[..length]),
        }
    }
}

/// The line `VmHWM` of a process's status in bytes, or 0 if it has ended.
fn peak_memory_of(process: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = peak.and_then(|peak| peak.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kibibytes.unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Program {
        Program::new("sh").args(["-c", script])
    }

    #[test]
    fn a_program_has_input_environment_folder_outputs_and_an_exit_code() {
        let folder = tempfile::tempdir().unwrap();
        let finished = shell("cat; echo $NAME; pwd -P >&2; exit 3")
            .stdin("input\n")
            .env("NAME", "value")
            .current_dir(folder.path())
            .run()
            .unwrap();
        assert_eq!(finished.stdout_text(), "input\nvalue\n");
        assert_eq!(Path::new(finished.stderr_text().trim()), folder.path().canonicalize().unwrap());
        assert_eq!(finished.code(), Some(3));
    }

    #[test]
    fn an_input_that_is_not_read_and_an_output_of_any_size_are_no_obstacle() {
        let finished = shell("head -c 10000000 /dev/zero").stdin(vec![b'x'; 10_000_000]).run().unwrap().success();
        assert_eq!(finished.stdout.len(), 10_000_000);
    }

    #[test]
    fn time_and_memory_are_measured() {
        let finished = shell("x=$(head -c 200000000 /dev/zero | tr '\\0' x); sleep 0.2").run().unwrap().success();
        assert!(finished.wall >= Duration::from_millis(200), "{:?}", finished.wall);
        assert!(finished.processor > Duration::ZERO);
        assert!(finished.peak_memory > 190_000_000, "{} bytes", finished.peak_memory);
    }

    #[test]
    fn the_memory_of_a_small_program_is_not_that_of_a_large_test() {
        let large = std::hint::black_box(vec![1_u8; 300_000_000]);
        let finished = shell("sleep 0.5").run().unwrap().success();
        assert!(finished.peak_memory < 50_000_000, "{} bytes", finished.peak_memory);
        drop(large);
    }

    #[test]
    fn a_program_that_takes_too_long_is_killed() {
        let started = Instant::now();
        let error = shell("echo before >&2; exec sleep 60").time_limit(Duration::from_secs(1)).run().unwrap_err();
        assert!(matches!(&error, ProcessError::TimeLimit { stderr, .. } if stderr == "before\n"), "{error}");
        assert!(started.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn a_program_that_does_not_exist_is_named() {
        let error = Program::new("/no/such/program").run().unwrap_err();
        assert_eq!(error.to_string(), "cannot run `/no/such/program`");
    }

    #[test]
    fn a_program_in_the_background_can_be_watched_and_ended() {
        let running =
            shell("trap 'echo ended; exit 0' TERM; echo started; while :; do sleep 0.05; done").start().unwrap();
        while !running.stdout().contains("started") {
            thread::sleep(Duration::from_millis(5));
        }
        assert!(running.is_running());
        let finished = running.terminate(Duration::from_secs(20)).unwrap().success();
        assert_eq!(finished.stdout_text(), "started\nended\n");
    }

    #[test]
    fn a_program_in_the_background_does_not_outlive_its_owner() {
        let running = shell("exec sleep 60").start().unwrap();
        let id = running.id();
        drop(running);
        assert_eq!(peak_memory_of(&id.to_string()), 0);
    }
}
