//! A program that answers one JSON object a line (`tests/peers/jsonlines`), kept running for the whole test process.
//!
//! Each thread that asks has a connection of its own, which goes back to the others afterwards. The programs end when
//! their standard input closes, and so with this process.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Why there is no answer. None of these is a fault of the tests.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The library returned this error.
    #[error("{0}")]
    Error(String),
    /// The library panicked with this message; a program that uses it would have crashed.
    #[error("panic: {0}")]
    Panic(String),
    /// The program ended, by a fault that Go cannot catch or because the request took too long; its last words.
    #[error("the program ended: {0}")]
    Ended(String),
}

pub(crate) struct Lines {
    program: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

struct Connection {
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
    last_words: File,
}

#[derive(Deserialize)]
struct Failure {
    error: Option<String>,
    panic: Option<String>,
}

impl Lines {
    pub(crate) fn new(program: PathBuf) -> Self {
        Self { program, idle: Mutex::default() }
    }

    /// The answer to `request`, which is the operation `operation`.
    pub(crate) fn ask<A: DeserializeOwned>(&self, operation: &str, request: &impl Serialize) -> Result<A, Refusal> {
        let mut connection = self.take().unwrap_or_else(|| self.connect());
        let mut line = serde_json::to_vec(&Request { op: operation, request }).expect("requests have string keys only");
        line.push(b'\n');
        let mut answer = Vec::new();
        let exchange =
            connection.requests.write_all(&line).and_then(|()| connection.answers.read_until(b'\n', &mut answer));
        if exchange.is_err() || !answer.ends_with(b"\n") {
            return Err(Refusal::Ended(connection.last_words()));
        }
        self.give_back(connection);
        // An answer with documents and an error is one; only an error is a refusal.
        serde_json::from_slice(&answer).map_err(|mismatch| match serde_json::from_slice(&answer) {
            Ok(Failure { error: Some(message), .. }) => Refusal::Error(message),
            Ok(Failure { panic: Some(message), .. }) => Refusal::Panic(message),
            _ => panic!("cannot read the answer to {operation}: {mismatch}: {}", String::from_utf8_lossy(&answer)),
        })
    }

    fn take(&self) -> Option<Connection> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn give_back(&self, connection: Connection) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
    }

    fn connect(&self) -> Connection {
        let last_words = tempfile::tempfile().expect("a temporary file");
        let errors = last_words.try_clone().expect("a second handle to a temporary file");
        let mut child = Command::new(&self.program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run {}: {error}", self.program.display()));
        Connection {
            requests: child.stdin.take().expect("standard input is piped"),
            answers: BufReader::with_capacity(1 << 20, child.stdout.take().expect("standard output is piped")),
            child,
            last_words,
        }
    }
}

impl Connection {
    /// The end of what the program wrote to standard error before it ended.
    fn last_words(mut self) -> String {
        drop(self.requests);
        let status = self.child.wait().expect("the program is a child that was not waited for");
        let mut words = String::new();
        self.last_words.rewind().and_then(|()| self.last_words.read_to_string(&mut words)).ok();
        // Go names the cause first and the stacks of all goroutines after it.
        let cause: Vec<&str> = words.lines().take(3).collect();
        format!("{status}: {}", cause.join(" "))
    }
}

#[derive(Serialize)]
struct Request<'a, R> {
    op: &'a str,
    #[serde(flatten)]
    request: &'a R,
}
