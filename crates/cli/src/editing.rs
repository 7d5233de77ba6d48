//! Editing encrypted text with a person's own editor: the machinery of every `edit`, under any name.
//!
//! ```text
//! text ─ workplace: a directory of the user only, in memory ─ editor, until it ends ─ encrypt ─ the caller writes the file
//!                     │                                              ▲        │
//!                     │ every save                                   └── again┘ if it cannot be encrypted
//!                     ▼
//!                  recovery file: the text, encrypted for the readers of the file; gone when the file is written
//! ```
//! Plaintext is in memory and nowhere else, unless that is asked for. What was saved in the editor is not lost, whatever dies: the
//! editor, this program, the machine, or the file that somebody else changed meanwhile.

mod editor;
mod recovery;
mod workplace;

use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use bulla_wipe::Wiping;

use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::terminal::Terminal;
pub(crate) use editor::Editor;
pub(crate) use recovery::{Kept, Recovery};
pub(crate) use workplace::{OnDisk, Workplace};

/// How often it is looked whether the editor saved something.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What is edited, and how the edited text becomes a file again.
pub(crate) trait Work: Sync {
    /// The text encrypted for whoever can open the file, be it a document or not. It is kept until the file is written.
    ///
    /// # Errors
    /// If it cannot be encrypted; the editing goes on without.
    fn keep(&self, text: &[u8]) -> Result<Wiping<Vec<u8>>, CommandError>;

    /// The file with this text in it, encrypted; `None` if that is the file as it is.
    ///
    /// # Errors
    /// Why it cannot be; [`Work::again`] is asked then.
    fn encrypt(&self, text: &[u8]) -> Result<Option<Wiping<Vec<u8>>>, CommandError>;

    /// Says why the text cannot be encrypted, and asks what is to be done.
    fn again(&self, error: &CommandError, cx: &Context) -> Again {
        // Without a person at a terminal there is nobody to correct it, and asking again would never end.
        if !Terminal.is_there() {
            return Again::Leave;
        }
        cx.show(error);
        let question = "The file cannot be encrypted so. Enter to edit it again, `q` to throw the changes away:";
        match Terminal.line(question).as_deref().map(str::trim) {
            None => Again::Leave,
            Some("q") => Again::ThrowAway,
            Some(_) => Again::Edit,
        }
    }
}

/// What is done with a text that cannot be encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Again {
    /// Edit it once more.
    Edit,
    /// Stop; the text is kept.
    Leave,
    /// Stop; the text goes.
    ThrowAway,
}

/// One editing of one file.
pub(crate) struct Session<'a> {
    pub(crate) cx: &'a Context,
    pub(crate) editor: &'a Editor,
    pub(crate) workplace: &'a Workplace,
    pub(crate) recovery: &'a Recovery,
    pub(crate) work: &'a dyn Work,
}

impl Session<'_> {
    /// Has `text` edited until it can be encrypted, and gives the encrypted file to `write`.
    ///
    /// # Errors
    /// [`Exit::Unchanged`] if it is as it was; [`Exit::Editor`]; what [`Work::encrypt`] and `write` say. Unless the person threw the
    /// changes away they are in the recovery file then, and the error says so.
    pub(crate) fn run(
        &self,
        text: &[u8],
        write: impl FnOnce(&[u8]) -> Result<(), CommandError>,
    ) -> Result<(), CommandError> {
        self.workplace.write(text)?;
        let mut saved = Wiping::new(text.to_vec());
        let encrypted = loop {
            let ran = self.watch(&mut saved);
            let edited = self.workplace.read().map_err(|error| self.recovery.told_in(error))?;
            self.save(&edited, &mut saved);
            if let Err(error) = ran {
                return Err(self.recovery.told_in(error));
            }
            match self.work.encrypt(&edited) {
                Ok(Some(encrypted)) => break encrypted,
                Ok(None) => {
                    self.recovery.remove();
                    return Err(CommandError::new(Exit::Unchanged, "nothing was changed, so nothing was written"));
                }
                Err(error) => match self.work.again(&error, self.cx) {
                    Again::Edit => {}
                    Again::Leave => return Err(self.recovery.told_in(error)),
                    Again::ThrowAway => {
                        self.recovery.remove();
                        return Err(CommandError::new(
                            error.exit(),
                            "the changes were thrown away; the file is as it was",
                        ));
                    }
                },
            }
        };
        write(&encrypted).map_err(|error| self.recovery.told_in(error))?;
        self.recovery.remove();
        Ok(())
    }

    /// Runs the editor, and keeps what it saves while it runs.
    fn watch(&self, saved: &mut Wiping<Vec<u8>>) -> Result<(), CommandError> {
        let (done, ended) = channel::<()>();
        // Not once the thread runs: the editor may have saved by then.
        let mut before = self.workplace.state();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                while ended.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                    let now = self.workplace.state();
                    if now != before
                        && let Ok(text) = self.workplace.read()
                    {
                        self.save(&text, saved);
                        before = now;
                    }
                }
            });
            let ran = self.editor.run(self.workplace.file());
            drop(done);
            ran
        })
    }

    /// Keeps `text` in the recovery file, unless that is what is there.
    fn save(&self, text: &[u8], saved: &mut Wiping<Vec<u8>>) {
        // Whoever empties a file on the way to writing it anew, as some editors do, has not written anything.
        if **saved == *text || text.is_empty() {
            return;
        }
        // It is a second line of defence: where it cannot be written, the editing goes on.
        if let Ok(encrypted) = self.work.keep(text)
            && self.recovery.write(&encrypted).is_ok()
        {
            *saved = Wiping::new(text.to_vec());
        }
    }
}

/// The name under which the editor sees the text of the file at `path`: editors choose the syntax by it.
pub(crate) fn name_of(path: &Path) -> &Path {
    path.file_name().map_or(Path::new("secret"), Path::new)
}
