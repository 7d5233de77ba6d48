//! `bulla edit`

use std::path::{Path, PathBuf};

use bulla_doc::{Document, Format};
use bulla_sops::{EncryptedFile, KeyRing, NothingSelected, Opened, Recipe, Selector};
use bulla_wipe::Wiping;

use crate::batch::Notes;
use crate::commands::decrypt::OpeningArgs;
use crate::context::Context;
use crate::editing::{Editor, Kept, OnDisk, Recovery, Session, Work, Workplace, name_of};
use crate::error::{CommandError, InFile as _};
use crate::exit::Exit;
use crate::files::{FormatName, Origin, Readers, Source, create_new, format_of, read_file, replace};
use crate::recipients::{FileRecipe, RecipeArgs};
use crate::secret_data::{self, Shown};
use crate::terminal::Terminal;
use crate::wait::block_on;

/// Open encrypted files in an editor, and encrypt them again afterwards
///
/// What is not changed keeps its ciphertext. A file that does not exist yet is made. The editor is $SOPS_EDITOR, $EDITOR, or vim, nano or
/// vi; it gets the plaintext in memory ($XDG_RUNTIME_DIR, /dev/shm), and that is removed at the end, whatever ends us. The `data` of
/// Kubernetes Secrets is text there. What is saved in the editor and not yet in the file is kept encrypted, and offered at the next edit.
/// If nothing was changed, nothing is written, and the exit code is 200. Of several files the next is opened when the last one is written.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  bulla edit shop.yaml
  EDITOR='code --wait' bulla edit shop.yaml
  bulla edit --age age1… new.yaml
  bulla edit staging.yaml production.yaml  one after the other
  bulla edit --recover shop.yaml           go on with what was not written the last time")]
#[expect(clippy::struct_excessive_bools, reason = "the flags of a command line")]
pub(crate) struct EditArgs {
    /// Encrypted files, or such as do not exist yet
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    #[command(flatten)]
    opening: OpeningArgs,

    /// Format of the file, if its name does not tell
    #[arg(long, value_name = "FORMAT")]
    input_type: Option<FormatName>,

    /// Leave the base64 under `data` of Kubernetes Secrets as it is
    #[arg(long)]
    encoded: bool,

    /// Go on with what an earlier edit did not write
    #[arg(long, conflicts_with = "forget")]
    recover: bool,

    /// Throw away what an earlier edit did not write
    #[arg(long)]
    forget: bool,

    /// Let the plaintext lie on a disk where there is no directory in memory
    #[arg(long)]
    on_disk: bool,

    #[command(flatten)]
    recipe: RecipeArgs,
}

pub(crate) fn edit(cx: &Context, args: &EditArgs) -> Result<(), CommandError> {
    let editor = Editor::find(cx)?;
    let (mut is_changed, mut unchanged) = (false, None);
    for (number, path) in args.files.iter().enumerate() {
        match edit_one(cx, args, path, &editor) {
            Ok(()) => is_changed = true,
            Err(error) if error.exit() == Exit::Unchanged => unchanged = Some(error),
            Err(error) => {
                let left: Vec<String> =
                    args.files[number + 1..].iter().map(|path| path.display().to_string()).collect();
                return Err(if left.is_empty() {
                    error
                } else {
                    error.hint(format!("not opened yet: {}", left.join(" ")))
                });
            }
        }
    }
    match unchanged {
        Some(error) if !is_changed => Err(error),
        _ => Ok(()),
    }
}

fn edit_one(cx: &Context, args: &EditArgs, path: &Path, editor: &Editor) -> Result<(), CommandError> {
    let is_new = matches!(std::fs::symlink_metadata(path), Err(error) if error.kind() == std::io::ErrorKind::NotFound);
    if is_new { edit_new(cx, args, path, editor) } else { edit_existing(cx, args, path, editor) }
}

/// A file that is there, and opened.
pub(crate) struct Existing<'a> {
    pub(crate) cx: &'a Context,
    pub(crate) path: &'a Path,
    pub(crate) opened: &'a Opened<'a>,
    /// Which version of the file it is: its encrypted MAC, which no other has.
    pub(crate) version: &'a str,
    /// What stands in the editor in place of the document, if something else does.
    pub(crate) shown: Option<Shown>,
}

impl Work for Existing<'_> {
    fn keep(&self, text: &[u8]) -> Result<Wiping<Vec<u8>>, CommandError> {
        let file = absolute(self.path);
        let text = readable(text)?;
        let entries = [("file", file.as_str()), ("of", self.version), ("text", text)];
        self.opened.seal_beside(&entries, self.cx.now(), &mut self.cx.rng()?).in_file(self.path)
    }

    fn encrypt(&self, text: &[u8]) -> Result<Option<Wiping<Vec<u8>>>, CommandError> {
        let stored;
        let text = match &self.shown {
            Some(shown) if *shown.text == *text => return Ok(None),
            Some(shown) => {
                stored = shown.stored(text).in_file(self.path)?;
                &stored[..]
            }
            None => text,
        };
        let edited = self.opened.update(text, self.cx.now(), &mut self.cx.rng()?).in_file(self.path)?;
        let Some(summary) = edited.summary else { return Ok(None) };
        for place in &summary.plain_copies {
            self.cx.warn(format_args!("{}: the alias at {place} is a copy in plain text", self.path.display()));
        }
        Ok(Some(edited.bytes))
    }
}

fn edit_existing(cx: &Context, args: &EditArgs, path: &Path, editor: &Editor) -> Result<(), CommandError> {
    let source = read_file(path)?;
    let format = format_of(&source, args.input_type, None)?;
    let ring = args.opening.identity.sources(cx)?;
    let mut notes = Notes::default();
    let file = EncryptedFile::read(&source.bytes, format).in_file(path)?;
    let opened = args.opening.open(&file, &ring, &source.origin, &mut notes).in_file(path)?;
    notes.tell(cx);

    let mut recovery = Recovery::of(cx, path);
    let kept = earlier_text(cx, args, path, &mut recovery, &ring, file.metadata().mac.as_deref())?;
    let plain = opened.to_plain();
    let shown = if args.encoded { None } else { secret_data::show(&plain, format).in_file(path)? };
    let start = kept.as_ref().or(shown.as_ref().map(|shown| &shown.text)).unwrap_or(&plain).clone();
    let version = file.metadata().mac.as_deref().unwrap_or_default();
    let work = Existing { cx, path, opened: &opened, version, shown };
    let workplace = Workplace::new(cx, name_of(path), on_disk(args))?;
    Session { cx, editor, workplace: &workplace, recovery: &recovery, work: &work }.run(&start, |encrypted| {
        tell_other_names(cx, path, replace(path, &source.bytes, encrypted)?.other_names);
        Ok(())
    })
}

fn tell_other_names(cx: &Context, path: &Path, other_names: bool) {
    if other_names {
        cx.warn(format_args!(
            "{}: the file has other names (hard links), which still hold what was in it",
            path.display()
        ));
    }
}

/// A file that is not there yet.
struct New<'a> {
    cx: &'a Context,
    path: &'a Path,
    format: Format,
    recipe: &'a FileRecipe,
    example: &'a str,
}

impl Work for New<'_> {
    fn keep(&self, text: &[u8]) -> Result<Wiping<Vec<u8>>, CommandError> {
        let entries = [("file", absolute(self.path)), ("of", String::new()), ("text", readable(text)?.to_owned())];
        let document = bulla_doc::Tree::mapping(entries.map(|(name, text)| (name, bulla_doc::Tree::string(&text))));
        let document = bulla_doc::write(&[document], Format::Json, None);
        let mut rng = self.cx.rng()?;
        let selector = Selector::default();
        let encrypted = self.recipe.with(self.cx, |recipe| {
            let nothing_selected = NothingSelected::Allow;
            let recipe = Recipe { selector: &selector, mac_only_encrypted: false, nothing_selected, ..*recipe };
            block_on(bulla_sops::encrypt(&document, Format::Json, &recipe, &mut rng))
        });
        Ok(encrypted.in_file(self.path)?.bytes)
    }

    fn encrypt(&self, text: &[u8]) -> Result<Option<Wiping<Vec<u8>>>, CommandError> {
        if text == self.example.as_bytes() {
            return Ok(None);
        }
        let mut rng = self.cx.rng()?;
        let encrypted = self.recipe.encrypt(self.cx, text, self.format, &mut rng);
        Ok(Some(encrypted.in_file(self.path)?.bytes))
    }
}

fn edit_new(cx: &Context, args: &EditArgs, path: &Path, editor: &Editor) -> Result<(), CommandError> {
    let empty = Source { origin: Origin::File(path.to_path_buf()), bytes: Wiping::default() };
    let format = format_of(&empty, args.input_type, None)?;
    let recipients = args.recipe.check(cx)?.with_services(&args.opening.identity.key_services, cx)?;
    let recipe = recipients.for_file(Some(path)).map_err(CommandError::from)?;
    let example = match format {
        Format::Yaml => "example_key: example value\n".to_owned(),
        Format::Json => {
            let indent = recipe.layout.json.map_or_else(|| "\t".to_owned(), |blanks| " ".repeat(blanks));
            format!("{{\n{indent}\"example_key\": \"example value\"\n}}\n")
        }
        Format::Dotenv => "EXAMPLE_KEY=example value\n".to_owned(),
        Format::Ini => "[example section]\nexample_key = example value\n".to_owned(),
        Format::Binary => "example value\n".to_owned(),
    };
    let mut recovery = Recovery::of(cx, path);
    let ring = args.opening.identity.sources(cx)?;
    let kept = earlier_text(cx, args, path, &mut recovery, &ring, None)?;
    let start = kept.unwrap_or_else(|| Wiping::new(example.as_bytes().to_vec()));
    let work = New { cx, path, format, recipe: &recipe, example: &example };
    let workplace = Workplace::new(cx, name_of(path), on_disk(args))?;
    Session { cx, editor, workplace: &workplace, recovery: &recovery, work: &work }
        .run(&start, |encrypted| create_new(path, encrypted, Readers::Everybody))
}

fn on_disk(args: &EditArgs) -> OnDisk {
    if args.on_disk { OnDisk::Allow } else { OnDisk::Refuse }
}

/// The path by which a recovery file knows its target.
fn absolute(path: &Path) -> String {
    std::fs::canonicalize(path).or_else(|_| std::path::absolute(path)).unwrap_or_default().display().to_string()
}

fn readable(text: &[u8]) -> Result<&str, CommandError> {
    std::str::from_utf8(text).map_err(|_| CommandError::new(Exit::Input, "the edited text is not UTF-8"))
}

/// What an earlier edit left, if the person wants to go on with it.
fn earlier_text(
    cx: &Context,
    args: &EditArgs,
    path: &Path,
    recovery: &mut Recovery,
    ring: &dyn KeyRing,
    version: Option<&str>,
) -> Result<Option<Wiping<Vec<u8>>>, CommandError> {
    let Some(kept) = recovery.earlier() else {
        if args.recover {
            return Err(CommandError::new(Exit::NoFile, "there is nothing to recover: no earlier edit left anything")
                .at(path.display()));
        }
        return Ok(None);
    };
    let answer = match (args.recover, args.forget) {
        (true, _) => "r".to_owned(),
        (_, true) => "f".to_owned(),
        _ => {
            let question = format!(
                "An earlier edit of {} was not written; what was saved in it at {} is kept. [r]ecover it, [f]orget it, or Enter to leave it \
                 and edit the file:",
                path.display(),
                kept.saved.strftime("%Y-%m-%d %H:%M UTC")
            );
            Terminal.line(&question).unwrap_or_else(|| {
                cx.warn(format_args!(
                    "an earlier edit of {} was not written; what was saved in it is kept: `bulla edit --recover` goes on with it, \
                     `--forget` throws it away",
                    path.display()
                ));
                String::new()
            })
        }
    };
    match answer.trim() {
        "r" => {
            let text = open_kept(cx, args, path, &kept, ring, version).in_file(&kept.path)?;
            recovery.take_over();
            Ok(Some(text))
        }
        "f" => {
            recovery.forget();
            Ok(None)
        }
        _ => Ok(None),
    }
}

fn open_kept(
    cx: &Context,
    args: &EditArgs,
    path: &Path,
    kept: &Kept,
    ring: &dyn KeyRing,
    version: Option<&str>,
) -> Result<Wiping<Vec<u8>>, CommandError> {
    let file = EncryptedFile::read(&kept.bytes, Format::Json)?;
    let mut notes = Notes::default();
    let opened = args.opening.open(&file, ring, &Origin::File(kept.path.clone()), &mut notes)?;
    let document = Document::parse_owned(opened.to_plain(), Format::Json)?;
    let field = |name| document.branches().next()?.get(name)?.as_str();
    if field("file") != Some(absolute(path).as_str()) {
        return Err(CommandError::new(Exit::Input, "it is of another file"));
    }
    if version.is_some_and(|version| field("of") != Some(version)) {
        cx.warn(format_args!(
            "{} was changed since what is recovered was edited: saving it takes the place of those changes; look with `git diff` \
             afterwards",
            path.display()
        ));
    }
    let text = field("text").ok_or_else(|| CommandError::new(Exit::Input, "it has no text"))?;
    Ok(Wiping::new(text.as_bytes().to_vec()))
}
