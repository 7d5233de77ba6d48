//! One run of gpg, from its start to its end.
//!
//! ```text
//! input ──▶ standard input      fed by a thread of its own: who does not read it does not stop us
//! output ◀─ standard output     into one buffer that never grows and is wiped
//! said ◀─── standard error      lines for people, and with `--status-fd 2` lines for programs; a limit, and the rest is read away
//! ```
//! There is no time limit: a person may be asked.

use std::ffi::OsString;
use std::io::{self, ErrorKind, Read, Write as _};
use std::process::{Command, Stdio};
use std::thread;

use bulla_wipe::{Wiping, wipe};
use tokio::sync::oneshot;

use super::GpgError;

/// So much of what it says is kept, in bytes.
const LONGEST_SAID: usize = 1 << 16;

/// What to run.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) program: OsString,
    pub(super) variables: Vec<(OsString, OsString)>,
    /// Behind `--status-fd 2`.
    pub(super) arguments: Vec<String>,
}

/// How it ended.
pub(super) struct Ended {
    pub(super) succeeded: bool,
    /// `exit status: 2`
    pub(super) status: String,
    pub(super) output: Wiping<Vec<u8>>,
    /// Wiped, since a configuration can make gpg say session keys.
    pub(super) said: Wiping<String>,
}

impl Run {
    /// Runs it elsewhere, so that whoever waits for it blocks nobody.
    pub(super) async fn on_a_thread(self, input: Wiping<Vec<u8>>, longest: usize) -> Result<Ended, GpgError> {
        let (done, outcome) = oneshot::channel();
        let program = self.program.to_string_lossy().into_owned();
        let failed = |reason: String| GpgError::NotRun { program, reason };
        let work = move || {
            // Nobody waits for it any more: then it is for nobody.
            let _ = done.send(self.to_the_end(&input, longest));
        };
        if let Err(error) = thread::Builder::new().name("gpg".to_owned()).spawn(work) {
            return Err(failed(error.to_string()));
        }
        outcome.await.unwrap_or_else(|_| Err(failed("its thread was stopped".to_owned())))
    }

    fn to_the_end(&self, input: &[u8], longest: usize) -> Result<Ended, GpgError> {
        let program = || self.program.to_string_lossy().into_owned();
        let failed = |error: io::Error| match error.kind() {
            ErrorKind::NotFound => GpgError::NotInstalled { program: program() },
            _ => GpgError::NotRun { program: program(), reason: error.to_string() },
        };
        let mut child = Command::new(&self.program)
            .args(["--status-fd", "2"])
            .args(&self.arguments)
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        thread::scope(|scope| {
            if let Some(mut stdin) = stdin {
                scope.spawn(move || stdin.write_all(input));
            }
            let said = scope.spawn(move || {
                stderr.map(|mut stderr| {
                    let said = read(&mut stderr, LONGEST_SAID);
                    let _ = io::copy(&mut stderr, &mut io::sink());
                    said
                })
            });
            let output =
                stdout.map_or_else(|| Ok(Content::Whole(Wiping::default())), |mut stdout| read(&mut stdout, longest));
            if !matches!(output, Ok(Content::Whole(_))) {
                // It has ended, or has nothing more that is wanted.
                let _ = child.kill();
            }
            let status = child.wait().map_err(failed)?;
            let said = match said.join() {
                Ok(Some(Ok(Content::Whole(said) | Content::Longer(said)))) => said,
                _ => Wiping::default(),
            };
            match output.map_err(failed)? {
                Content::Longer(_) => Err(GpgError::TooMuch { longest }),
                Content::Whole(output) => Ok(Ended {
                    succeeded: status.success(),
                    status: status.to_string(),
                    output,
                    said: Wiping::new(String::from_utf8_lossy(&said).into_owned()),
                }),
            }
        })
    }
}

/// What was read.
enum Content {
    Whole(Wiping<Vec<u8>>),
    /// There is more.
    Longer(Wiping<Vec<u8>>),
}

/// Reads `longest` bytes at most, into memory that does not move.
fn read(source: &mut impl Read, longest: usize) -> io::Result<Content> {
    let mut buffer = Wiping::new(vec![0; longest]);
    let mut length = 0;
    while length < longest {
        match source.read(&mut buffer[length..]) {
            Ok(0) => {
                buffer.truncate(length);
                return Ok(Content::Whole(buffer));
            }
            Ok(more) => length += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let mut one = [0];
    let more = source.read(&mut one)?;
    wipe(&mut one);
    Ok(if more == 0 { Content::Whole(buffer) } else { Content::Longer(buffer) })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn run_of(program: impl Into<OsString>) -> Run {
        Run { program: program.into(), variables: vec![("NAME".into(), "value".into())], arguments: Vec::new() }
    }

    /// Runs a program of this text.
    fn run(text: &str, input: &[u8], longest: usize) -> Result<Ended, GpgError> {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("program");
        std::fs::write(&program, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
        run_of(program).to_the_end(input, longest)
    }

    #[test]
    fn it_is_fed_heard_and_given_variables() {
        let ended = run("cat; echo \"$NAME $1\" >&2; exit 3", b"input", 100).unwrap();
        assert!(!ended.succeeded);
        assert_eq!(
            (ended.status.as_str(), &ended.output[..], ended.said.as_str()),
            ("exit status: 3", &b"input"[..], "value --status-fd\n")
        );
    }

    #[test]
    fn nothing_that_it_does_with_its_pipes_stops_us() {
        // It reads nothing, says much, and writes exactly what may be.
        let ended = run("head -c 300000 /dev/zero >&2; head -c 100 /dev/zero", &vec![b'x'; 300_000], 100).unwrap();
        assert!(ended.succeeded && ended.output.len() == 100);
        let error = run("exec cat /dev/zero", b"", 100).map(drop).unwrap_err();
        assert_eq!(error, GpgError::TooMuch { longest: 100 });
    }

    #[test]
    fn a_program_that_is_not_there_is_told_from_one_that_does_not_run() {
        let error = |program: &str| run_of(program).to_the_end(b"", 1).map(drop).unwrap_err();
        assert_eq!(error("/nowhere/gpg").to_string(), "`/nowhere/gpg` is not installed, or not in PATH");
        assert!(error("/").to_string().starts_with("cannot run `/`: "));
    }
}
