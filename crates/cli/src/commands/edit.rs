//! `bulla edit`

mod editor;

use std::path::{Path, PathBuf};

use bulla_doc::Format;
use bulla_sops::{EncryptedFile, Opened};
use bulla_wipe::Wiping;

use crate::batch::Notes;
use crate::commands::decrypt::OpeningArgs;
use crate::context::Context;
use crate::error::{CommandError, InFile as _};
use crate::exit::Exit;
use crate::files::{FormatName, Readers, Source, create_new, format_of, read_file, replace};
use crate::recipients::RecipeArgs;
use crate::terminal::Terminal;
use crate::wait::block_on;
use editor::{Editor, Workplace};

/// Open an encrypted file in an editor, and encrypt it again afterwards
///
/// What is not changed keeps its ciphertext. A file that does not exist yet is made. The editor is $SOPS_EDITOR, $EDITOR or vi; it gets the
/// plaintext in memory, where there is a directory for that ($XDG_RUNTIME_DIR, /dev/shm), and that is removed at the end, also on Ctrl-C.
/// If nothing was changed, nothing is written, and the exit code is 200.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  bulla edit shop.yaml
  EDITOR='code --wait' bulla edit shop.yaml
  bulla edit --age age1… new.yaml")]
pub(crate) struct EditArgs {
    /// Encrypted file, or one that does not exist yet
    file: PathBuf,

    #[command(flatten)]
    opening: OpeningArgs,

    /// Format of the file, if its name does not tell
    #[arg(long, value_name = "FORMAT")]
    input_type: Option<FormatName>,

    #[command(flatten)]
    recipe: RecipeArgs,
}

pub(crate) fn edit(cx: &Context, args: &EditArgs) -> Result<(), CommandError> {
    let editor = Editor::find(cx)?;
    let is_new =
        matches!(std::fs::symlink_metadata(&args.file), Err(error) if error.kind() == std::io::ErrorKind::NotFound);
    if is_new { edit_new(cx, args, &editor) } else { edit_existing(cx, args, &editor) }
}

fn edit_existing(cx: &Context, args: &EditArgs, editor: &Editor) -> Result<(), CommandError> {
    let source = read_file(&args.file)?;
    let format = format_of(&source, args.input_type, None)?;
    let ring = args.opening.identity.sources(cx)?;
    let mut notes = Notes::default();
    let file = EncryptedFile::read(&source.bytes, format).in_file(&args.file)?;
    let opened = args.opening.open(&file, &ring, &source.origin, &mut notes).in_file(&args.file)?;
    notes.tell(cx);

    let workplace = Workplace::new(cx, &args.file)?;
    workplace.write(&opened.to_plain())?;
    let encrypted = edit_until_good(cx, editor, &workplace, |text| update(cx, &opened, text, &args.file))?;
    match replace(&args.file, &source.bytes, &encrypted) {
        Err(error) if error.exit() == Exit::ChangedMeanwhile => Err(keep(cx, &args.file, &encrypted, error)),
        replaced => replaced.map(drop),
    }
}

/// The edited file, encrypted; `None` if nothing changed.
fn update(
    cx: &Context,
    opened: &Opened<'_>,
    text: &[u8],
    path: &Path,
) -> Result<Option<Wiping<Vec<u8>>>, CommandError> {
    let edited = opened.update(text, cx.now(), &mut cx.rng()?).in_file(path)?;
    let Some(summary) = edited.summary else { return Ok(None) };
    for place in &summary.plain_copies {
        cx.warn(format_args!("{}: the alias at {place} is a copy in plain text", path.display()));
    }
    Ok(Some(edited.bytes))
}

fn edit_new(cx: &Context, args: &EditArgs, editor: &Editor) -> Result<(), CommandError> {
    let empty = Source { origin: crate::files::Origin::File(args.file.clone()), bytes: Wiping::default() };
    let format = format_of(&empty, args.input_type, None)?;
    let recipients = args.recipe.check(cx)?;
    let recipe = recipients.for_file(Some(&args.file)).map_err(CommandError::from)?;
    let example = match format {
        Format::Yaml => "example_key: example value\n",
        Format::Json => "{\n\t\"example_key\": \"example value\"\n}\n",
    };
    let workplace = Workplace::new(cx, &args.file)?;
    workplace.write(example.as_bytes())?;
    let encrypted = edit_until_good(cx, editor, &workplace, |text| {
        if text == example.as_bytes() {
            return Ok(None);
        }
        let mut rng = cx.rng()?;
        let encrypted = recipe.with(cx, |recipe| block_on(bulla_sops::encrypt(text, format, recipe, &mut rng)));
        Ok(Some(encrypted.in_file(&args.file)?.bytes))
    })?;
    create_new(&args.file, &encrypted, Readers::Everybody)
}

/// Lets a person edit until `encrypt` takes the text, or they give up. `encrypt` gives `None` if nothing changed.
fn edit_until_good(
    cx: &Context,
    editor: &Editor,
    workplace: &Workplace,
    encrypt: impl Fn(&[u8]) -> Result<Option<Wiping<Vec<u8>>>, CommandError>,
) -> Result<Wiping<Vec<u8>>, CommandError> {
    loop {
        editor.run(workplace)?;
        match encrypt(&workplace.read()?) {
            Ok(Some(encrypted)) => return Ok(encrypted),
            Ok(None) => return Err(CommandError::new(Exit::Unchanged, "nothing was changed, so nothing was written")),
            Err(error) => {
                // Without a person at a terminal there is nobody to correct it, and asking again would never end.
                if Terminal
                    .line("The file cannot be encrypted so. Enter to edit it again, `q` to throw the changes away:")
                    .is_none_or(|answer| answer.trim() == "q")
                {
                    return Err(error);
                }
                cx.show(&error);
            }
        }
    }
}

/// Somebody else changed the file while it was edited: neither version may be lost, so ours goes beside it, encrypted.
fn keep(cx: &Context, path: &Path, encrypted: &[u8], error: CommandError) -> CommandError {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let suffix = path.extension().map(|suffix| format!(".{}", suffix.to_string_lossy())).unwrap_or_default();
    let seconds = cx.now().as_second();
    let beside = path.with_file_name(format!("{stem}.edited-{seconds}{suffix}"));
    match create_new(&beside, encrypted, Readers::Everybody) {
        Ok(()) => error.hint_instead(format!("your version is in `{}`, encrypted: merge the two", beside.display())),
        Err(_) => error.hint_instead("your version could not be kept, either"),
    }
}
