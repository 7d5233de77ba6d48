//! A server of the tests as a process: it says on its first line where it listens, and ends when its standard input does.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdin, Command, Stdio};

use serde::de::DeserializeOwned;

/// A server that was started here. It ends with this value, or with the process.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    /// Open for as long as it is to run.
    _input: ChildStdin,
}

impl Running {
    /// Starts `command`, which is called `name` in messages, and gives what it says of itself when it listens.
    ///
    /// # Panics
    /// If it does not start; the message says why.
    pub(crate) fn start<Ready: DeserializeOwned>(name: &str, command: &mut Command) -> (Self, Ready) {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name} ({command:?}): {error}"));
        let (input, output) = (child.stdin.take().expect("it is piped"), child.stdout.take().expect("it is piped"));
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line).expect("what it says is text");
        let ready = serde_json::from_str(&line);
        let ready = ready.unwrap_or_else(|error| panic!("{name} did not start: {error}: {line}"));
        (Self { child, _input: input }, ready)
    }

    /// The same for the script `server.py` of a set of Python, without what a developer has set.
    ///
    /// # Panics
    /// If it does not start, or the set has not been built; the message says why.
    pub(crate) fn script<Ready: DeserializeOwned>(name: &str, set: crate::peers::Set) -> (Self, Ready) {
        let programs = crate::peers::folder(set).join("bin");
        let mut python = Command::new(programs.join("python"));
        Self::start(name, python.args(["-I", "-B"]).arg(programs.join("server.py")).env_clear())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended; then there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
