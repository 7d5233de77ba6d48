//! What the credentials of the clouds need of this machine: its clock, files that they name, programs in which somebody is logged in.

use std::io::{self, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use bulla_crypto::SecretBytes;
use bulla_services::{Outside, Proxies};
use bulla_wipe::Wiping;

use super::text;
use crate::context::Context;
use crate::files::{read_all, read_bytes};

/// Longest file with credentials.
const LONGEST_FILE: u64 = 1 << 20;
/// How long a program is waited for.
const PROGRAM_LIMIT: Duration = Duration::from_secs(30);
/// How often it is looked at.
const PERIOD: Duration = Duration::from_millis(20);
/// How much of what a program says is shown.
const LONGEST_COMPLAINT: u64 = 4096;

/// This machine.
#[derive(Debug)]
struct Machine;

/// This machine, as services need it.
pub(super) fn outside() -> Arc<dyn Outside> {
    Arc::new(Machine)
}

/// Which proxies are used for what is encrypted. Nothing else is sent to a cloud, but to what this machine has of it.
pub(super) fn proxies(cx: &Context) -> Result<Proxies, String> {
    Ok(Proxies { https: either(cx, "HTTPS_PROXY")?, except: either(cx, "NO_PROXY")?, ..Proxies::default() })
}

/// A variable by its name in capitals or in small letters.
pub(super) fn either(cx: &Context, name: &str) -> Result<Option<String>, String> {
    Ok(text(cx, name)?.or(text(cx, &name.to_ascii_lowercase())?))
}

/// The content of a file with credentials.
///
/// # Errors
/// The system's reason.
pub(super) fn read(path: &Path) -> io::Result<SecretBytes> {
    let metadata = std::fs::metadata(path)?;
    if metadata.len() > LONGEST_FILE {
        return Err(io::Error::other("longer than 1 MiB"));
    }
    read_bytes(path).map(SecretBytes::from)
}

impl Outside for Machine {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn read(&self, path: &str) -> Result<SecretBytes, String> {
        read(Path::new(path)).map_err(|error| error.to_string())
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Result<SecretBytes, String> {
        run(Command::new(program).args(arguments), PROGRAM_LIMIT).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => "not there".to_owned(),
            _ => error.to_string(),
        })
    }
}

/// What `command` prints, if it succeeds in time.
fn run(command: &mut Command, limit: Duration) -> io::Result<SecretBytes> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        unreachable!("both are piped")
    };
    let printed = thread::spawn(move || read_all(stdout.take(LONGEST_FILE), 0));
    let complaint = thread::spawn(move || {
        let mut text = Vec::new();
        // What cannot be read is not shown.
        let _ = stderr.take(LONGEST_COMPLAINT).read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    });
    let Some(is_success) = wait(&mut child, limit)? else {
        return Err(io::Error::other(format!("no answer within {} seconds", limit.as_secs())));
    };
    let printed: io::Result<Wiping<Vec<u8>>> =
        printed.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)).map_err(io::Error::other);
    if is_success {
        return printed.map(SecretBytes::from);
    }
    let complaint = complaint.join().unwrap_or_default();
    Err(io::Error::other(if complaint.trim().is_empty() { "it failed".to_owned() } else { complaint }))
}

/// Whether it succeeded; `None` if it was not done in time, and was ended.
fn wait(child: &mut Child, limit: Duration) -> io::Result<Option<bool>> {
    let until = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status.success()));
        }
        if Instant::now() >= until {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(PERIOD);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, limit: Duration) -> Result<Vec<u8>, String> {
        let printed = run(Command::new("sh").args(["-c", script]), limit);
        printed.map(|printed| printed.expose_secret().to_vec()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_program_gives_what_it_prints_or_says_why_not() {
        let limit = Duration::from_secs(20);
        assert_eq!(shell("echo token; echo noise >&2", limit).unwrap(), b"token\n");
        assert_eq!(shell("echo token; echo 'log in first' >&2; exit 1", limit).unwrap_err(), "log in first\n");
        assert_eq!(shell("exit 1", limit).unwrap_err(), "it failed");
        assert_eq!(shell("exec sleep 60", Duration::from_millis(50)).unwrap_err(), "no answer within 0 seconds");
        assert_eq!(Machine.run("/no/such/program", &[]).unwrap_err(), "not there");
    }
}
