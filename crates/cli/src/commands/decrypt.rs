//! `bulla decrypt`

use std::path::PathBuf;

use bulla_doc::{Document, Format, Layout};
use bulla_sops::{DecryptError, EncryptedFile, KeyRing, MetadataError, Opened, ReadError, danger};
use bulla_wipe::Wiping;
use serde_json::json;

use crate::app::Failure;
use crate::batch::{self, Notes, Outcome};
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::files::{
    FormatName, Origin, Readers, Selected, Source, WalkArgs, create, format_of, read_selected, replace, select,
};
use crate::identities::IdentityArgs;
use crate::key_path::{PathText, extract, nothing_at};
use crate::recipients::layout_for;
use crate::shown::json;
use crate::wait::block_on;

/// Decrypt SOPS files: to standard output, a file, or in place
///
/// What was encrypted comes back byte for byte. A file that was changed after it was encrypted is refused.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  bulla decrypt shop.yaml | kubectl apply -f -
  bulla decrypt --extract db.password shop.yaml
  bulla decrypt --in-place secrets/        every encrypted file below secrets/
  bulla decrypt --output-type dotenv shop.yaml > .env
  git show HEAD~1:shop.yaml | bulla decrypt")]
pub(crate) struct DecryptArgs {
    /// Files, directories, or `-` for standard input
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,

    #[command(flatten)]
    to: DestinationArgs,

    /// Only what is at this path: the text itself, or a part of the document
    #[arg(long, value_name = "PATH", conflicts_with = "in_place")]
    extract: Option<String>,

    /// Tell what was done as JSON on standard output, with `--in-place` or `--output`; no value is in it
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    opening: OpeningArgs,

    #[command(flatten)]
    input: InputArgs,

    #[command(flatten)]
    walk: WalkArgs,
}

/// Where the result goes.
#[derive(Debug, clap::Args)]
pub(crate) struct DestinationArgs {
    /// Write back to the same file, whole or not at all; needed for directories and for several files
    #[arg(short, long)]
    pub(crate) in_place: bool,

    /// Write to this file and not to standard output
    #[arg(short, long, value_name = "FILE", conflicts_with = "in_place")]
    pub(crate) output: Option<PathBuf>,
}

impl DestinationArgs {
    /// Refuses what would mix several files into one, or cannot be written back.
    pub(crate) fn check(&self, files: &[Selected]) -> Result<(), CommandError> {
        let several = files.len() != 1 || files.iter().any(|file| file.found);
        if several && !self.in_place {
            return Err(CommandError::new(
                Exit::Usage,
                format!("there are {} files, and only one place for the result", files.len()),
            )
            .hint("`--in-place` writes each back to its own file"));
        }
        if self.in_place && files.iter().any(|file| file.origin.path().is_none()) {
            return Err(CommandError::new(Exit::Usage, "standard input cannot be written back in place"));
        }
        Ok(())
    }

    /// Refuses to tell what was done where the result itself is printed.
    pub(crate) fn check_json(&self, json: bool) -> Result<(), CommandError> {
        if json && !self.in_place && self.output.is_none() {
            return Err(CommandError::new(
                Exit::Conflict,
                "standard output is where the result goes, so nothing can be told there",
            )
            .hint("`--json` needs `--in-place` or `--output`"));
        }
        Ok(())
    }

    /// Writes the result for `origin`. `read` tells what was read from there; it is asked only if the file is written back.
    pub(crate) fn write(
        &self,
        cx: &Context,
        origin: &Origin,
        read: impl FnOnce() -> Wiping<Vec<u8>>,
        result: &[u8],
        readers: Readers,
        notes: &mut Notes,
    ) -> Result<(), CommandError> {
        match (origin.path(), &self.output) {
            (Some(path), _) if self.in_place => {
                let replaced = replace(path, &read(), result)?;
                if replaced.changed && replaced.other_names {
                    notes.warn(format!(
                        "{origin}: the file has other names (hard links), which still hold what was in it"
                    ));
                }
                Ok(())
            }
            (_, Some(output)) => create(output, result, readers),
            (_, None) => cx.print(result),
        }
    }
}

/// What the input is.
#[derive(Debug, clap::Args)]
pub(crate) struct InputArgs {
    /// Format of the input, if its name does not tell
    #[arg(long, value_name = "FORMAT")]
    pub(crate) input_type: Option<FormatName>,

    /// Format of the output, if it is to be another than that of the input
    #[arg(long, value_name = "FORMAT", conflicts_with = "in_place")]
    pub(crate) output_type: Option<FormatName>,

    /// Name that standard input stands for: it tells the format and, when encrypting, the rule
    #[arg(long, alias = "filename-override", value_name = "NAME")]
    pub(crate) filename: Option<PathBuf>,
}

/// How an encrypted file is opened.
#[derive(Debug, clap::Args)]
pub(crate) struct OpeningArgs {
    #[command(flatten)]
    pub(crate) identity: IdentityArgs,

    /// Go on if the file was changed after it was encrypted: values may have been added, removed or taken from elsewhere
    #[arg(long)]
    pub(crate) ignore_mac: bool,

    /// Go on if comments were changed after it was encrypted, and nothing else
    #[arg(long, conflicts_with = "ignore_mac")]
    pub(crate) ignore_comments: bool,
}

impl OpeningArgs {
    /// Gets the data key and opens every value.
    pub(crate) fn open<'f>(
        &self,
        file: &'f EncryptedFile,
        ring: &dyn KeyRing,
        origin: &Origin,
        notes: &mut Notes,
    ) -> Result<Opened<'f>, CommandError> {
        let key = block_on(file.data_key(ring))?;
        let opened = if self.ignore_mac {
            let (opened, outcome) = danger::open_ignoring_mac(file, &key)?;
            if let Err(error) = outcome {
                notes.warn(format!("{origin}: {error} (going on, because of --ignore-mac)"));
            }
            opened
        } else if self.ignore_comments {
            let (opened, outcome) = danger::open_as_sops(file, &key)?;
            match outcome {
                Err(error @ (DecryptError::Comments | DecryptError::Comment { .. })) => {
                    notes.warn(format!("{origin}: {error} (going on, because of --ignore-comments)"));
                }
                outcome => outcome?,
            }
            opened
        } else {
            file.open(&key)?
        };
        for place in opened.unreadable_comments() {
            notes
                .warn(format!("{origin}: the comment at {place} looks encrypted and does not open; it stays as it is"));
        }
        Ok(opened)
    }
}

pub(crate) fn decrypt(cx: &Context, args: &DecryptArgs) -> Result<(), Failure> {
    let extract = args.extract.as_deref().map(str::parse::<PathText>).transpose()?;
    let files = select(&args.files, args.walk, cx)?;
    args.to.check(&files)?;
    let ring = args.opening.identity.sources(cx)?;
    args.to.check_json(args.json)?;
    let (found, outcome) = batch::collect(cx, &files, "decrypted", |selected, notes| {
        let outcome = decrypt_one(cx, args, selected, extract.as_ref(), &ring, notes);
        let outcome = outcome.map_err(|error| error.at(&selected.origin))?;
        Ok((outcome, (outcome == Outcome::Done).then_some(())))
    });
    if args.json {
        let list: Vec<_> = found.iter().map(|(file, ())| json!({ "file": file, "action": "decrypted" })).collect();
        cx.print(json(&serde_json::Value::Array(list)).as_bytes())?;
    }
    outcome
}

fn decrypt_one(
    cx: &Context,
    args: &DecryptArgs,
    selected: &Selected,
    path: Option<&PathText>,
    ring: &dyn KeyRing,
    notes: &mut Notes,
) -> Result<Outcome, CommandError> {
    let source = read_selected(selected)?;
    if selected.found && !may_be_encrypted(&source.bytes) {
        return Ok(Outcome::Skipped);
    }
    let format = format_of(&source, args.input.input_type, args.input.filename.as_deref())?;
    let Source { origin, bytes } = source;
    let file = match EncryptedFile::read_owned(bytes, format) {
        Err(ReadError::Metadata(MetadataError::NotEncrypted)) if selected.found => return Ok(Outcome::Skipped),
        file => file?,
    };
    let opened = args.opening.open(&file, ring, &origin, notes)?;
    let to = args.input.output_type.map(Format::from).filter(|to| *to != format);
    let layout = match to {
        Some(_) => layout_for(cx, args.input.filename.as_deref().or(origin.path())).unwrap_or_else(|error| {
            notes.warn(format!("{}; it is indented as usual", error.sentence()));
            Layout::default()
        }),
        None => Layout::default(),
    };
    let plain: Wiping<Vec<u8>> = match (path, to) {
        (Some(path), to) => {
            let plain = Document::parse_owned(opened.to_plain(), format)?;
            let path = path.resolve(&plain, 0);
            match to {
                Some(to) => opened.emit_part(&path, to, &layout)?.ok_or_else(|| nothing_at(&path))?,
                None => extract(&plain, &path)?,
            }
        }
        (None, Some(to)) => opened.emit(to, &layout)?,
        (None, None) => opened.to_plain(),
    };
    args.to.write(cx, &origin, || file.document().to_bytes(), &plain, Readers::Owner, notes)?;
    Ok(Outcome::Done)
}

/// Whether it is worth reading a file that was found: most files of a repository are not encrypted, and many are templates.
pub(crate) fn may_be_encrypted(bytes: &[u8]) -> bool {
    bytes.windows(4).any(|window| window == b"sops")
}
