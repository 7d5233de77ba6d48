//! One command over many files: in parallel, told in order, and a file that fails does not stop the others.

use std::fmt::Write as _;
use std::num::NonZero;

use rayon::prelude::*;

use crate::app::Failure;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::files::Selected;
use crate::progress::Progress;

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was done.
    Done,
    /// It was passed over, because there is nothing to do for it.
    Skipped,
    /// It was looked at, and is not as it should be. That is told in its notes.
    Failed(Exit),
}

/// What a file has to say, kept until it is its turn.
#[derive(Debug, Default)]
pub(crate) struct Notes(Vec<Note>);

#[derive(Debug)]
enum Note {
    Status(String),
    Warning(String),
    Error(CommandError),
}

impl Notes {
    /// Something to know.
    pub(crate) fn status(&mut self, text: impl Into<String>) {
        self.0.push(Note::Status(text.into()));
    }

    /// Something dangerous.
    pub(crate) fn warn(&mut self, text: impl Into<String>) {
        self.0.push(Note::Warning(text.into()));
    }

    /// What is wrong with a file whose outcome is [`Outcome::Failed`].
    pub(crate) fn error(&mut self, error: CommandError) {
        self.0.push(Note::Error(error));
    }

    pub(crate) fn tell(&self, cx: &Context) {
        for note in &self.0 {
            match note {
                Note::Status(text) => cx.status(text),
                Note::Warning(text) => cx.warn(text),
                Note::Error(error) => cx.show(error),
            }
        }
    }
}

/// Does `work` for every file, and gives what it found out about files, by name and in order, whether others failed or not. `done` is what
/// has happened to a file then: `encrypted`.
///
/// The outcome is the exit code of the failures if they have one in common, else [`Exit::Failed`]. They are shown already.
pub(crate) fn collect<T: Send>(
    cx: &Context,
    files: &[Selected],
    done: &str,
    work: impl Fn(&Selected, &mut Notes) -> Result<(Outcome, Option<T>), CommandError> + Sync,
) -> (Vec<(String, T)>, Result<(), Failure>) {
    let progress = Progress::new(files.len(), cx.is_quiet());
    let one = |file: &Selected| {
        let mut notes = Notes::default();
        let result = work(file, &mut notes);
        progress.step();
        (notes, result)
    };
    // A single file does not pay for the start of other threads.
    let results: Vec<_> = match files {
        [file] => vec![one(file)],
        files => match threads_for(files.len()) {
            Ok(threads) => threads.install(|| files.par_iter().map(one).collect()),
            Err(_) => files.iter().map(one).collect(),
        },
    };
    drop(progress);
    let (mut completed, mut skipped, mut failures) = (0, 0, Vec::<Exit>::new());
    let mut found = Vec::new();
    for (file, (notes, result)) in files.iter().zip(results) {
        notes.tell(cx);
        match result {
            Ok((outcome, finding)) => {
                match outcome {
                    Outcome::Done => completed += 1,
                    Outcome::Skipped => skipped += 1,
                    Outcome::Failed(exit) => failures.push(exit),
                }
                found.extend(finding.map(|finding| (file.origin.to_string(), finding)));
            }
            Err(error) => {
                cx.show(&error);
                failures.push(error.exit());
            }
        }
    }
    if files.len() != 1 || files.iter().any(|file| file.found) {
        let mut line = format!("{} {done}", count(completed));
        for (number, what) in [(skipped, "passed over"), (failures.len(), "failed")] {
            if number > 0 {
                let _ = write!(line, ", {number} {what}");
            }
        }
        cx.status(line);
    }
    (found, Failure::of_codes(failures).map_or(Ok(()), Err))
}

/// More threads than cores: a file that is written back is waited for until it is on the disk, and the disk takes many at once.
fn threads_for(files: usize) -> Result<rayon::ThreadPool, rayon::ThreadPoolBuildError> {
    const FOR_EACH_CORE: usize = 4;
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    rayon::ThreadPoolBuilder::new().num_threads(files.min(FOR_EACH_CORE * cores)).build()
}

fn count(files: usize) -> String {
    if files == 1 { "1 file".to_owned() } else { format!("{files} files") }
}
