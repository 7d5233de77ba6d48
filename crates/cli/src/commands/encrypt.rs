//! `bulla encrypt`

use std::path::PathBuf;

use bulla_crypto::EncryptedValue;
use bulla_doc::{Document, Format, Node};
use bulla_sops::{EncryptError, Summary};
use serde_json::json;

use crate::app::Failure;
use crate::batch::{self, Notes, Outcome};
use crate::commands::decrypt::{DestinationArgs, InputArgs};
use crate::context::Context;
use crate::error::CommandError;
use crate::files::{Readers, Selected, WalkArgs, format_of, read_selected, select};
use crate::recipients::{NoRecipe, RecipeArgs, Recipients};
use crate::services::KeyServiceArgs;
use crate::shown::json;

/// Encrypt the values of files; keys, comments and layout stay as they are
///
/// Writes SOPS files. Who can open them, and what is encrypted, is said here or by the first rule in .sops.yaml that matches. Below a
/// directory, files that are encrypted already and files that no rule matches are passed over, and named.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  bulla encrypt --age age1… --encrypted-regex '^(data|stringData)$' secret.yaml > secret.enc.yaml
  bulla encrypt --in-place secret.yaml     as the rule in .sops.yaml says
  bulla encrypt --in-place secrets/        every file below secrets/ for which there is a rule
  helm template shop | bulla encrypt --filename shop.yaml - > shop.yaml")]
pub(crate) struct EncryptArgs {
    /// Files, directories, or `-` for standard input
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,

    #[command(flatten)]
    to: DestinationArgs,

    /// Tell what was done as JSON on standard output, with `--in-place` or `--output`; no value is in it
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    input: InputArgs,

    #[command(flatten)]
    recipe: RecipeArgs,

    #[command(flatten)]
    key_services: KeyServiceArgs,

    #[command(flatten)]
    walk: WalkArgs,
}

pub(crate) fn encrypt(cx: &Context, args: &EncryptArgs) -> Result<(), Failure> {
    let recipients = args.recipe.check(cx)?.with_services(&args.key_services, cx)?;
    let files = select(&args.files, args.walk, cx)?;
    args.to.check(&files)?;
    args.to.check_json(args.json)?;
    let (found, outcome) = batch::collect(cx, &files, "encrypted", |selected, notes| {
        encrypt_one(cx, args, selected, &recipients, notes).map_err(|error| error.at(&selected.origin))
    });
    if args.json {
        let list: Vec<_> = found
            .iter()
            .map(|(file, summary)| {
                json!({
                    "file": file,
                    "action": "encrypted",
                    "values": summary.encrypted,
                    "readable": summary.plain,
                    "comments": summary.encrypted_comments,
                })
            })
            .collect();
        cx.print(json(&serde_json::Value::Array(list)).as_bytes())?;
    }
    outcome
}

fn encrypt_one(
    cx: &Context,
    args: &EncryptArgs,
    selected: &Selected,
    recipients: &Recipients<'_>,
    notes: &mut Notes,
) -> Result<(Outcome, Option<Summary>), CommandError> {
    let source = read_selected(selected)?;
    let format = format_of(&source, args.input.input_type, args.input.filename.as_deref())?;
    let recipe = match recipients.for_file(args.input.filename.as_deref().or(source.origin.path())) {
        Err(NoRecipe::NoRuleMatches(_)) if selected.found => {
            notes.status(format!("{}: passed over, no rule matches it", source.origin));
            return Ok((Outcome::Skipped, None));
        }
        recipe => recipe?,
    };
    let to = args.input.output_type.map_or(format, Format::from);
    let converted =
        if to == format { None } else { Some(bulla_sops::convert(&source.bytes, format, to, &recipe.layout)?) };
    let plain: &[u8] = converted.as_deref().unwrap_or(&source.bytes);
    let mut rng = cx.rng()?;
    let encrypted = recipe.encrypt(cx, plain, to, &mut rng);
    let encrypted = match encrypted {
        Err(EncryptError::AlreadyEncrypted(_)) if selected.found => {
            notes.status(format!("{}: passed over, it is encrypted already", source.origin));
            return Ok((Outcome::Skipped, None));
        }
        encrypted => encrypted?,
    };
    for place in &encrypted.summary.plain_copies {
        notes.warn(format!(
            "{}: the alias at {place} stood for something that is encrypted now; it is a copy in plain text",
            source.origin
        ));
    }
    if encrypted.summary.encrypted == 0 {
        notes.warn(format!("{}: no value is encrypted", source.origin));
    }
    if hides_its_kind(&encrypted.bytes, to) {
        notes.warn(format!(
            "{}: its `kind` is encrypted, too, and nothing can tell that it is a manifest; `encrypted_regex: ^(data|stringData)$`, in the rule or as `--encrypted-regex`, leaves it readable",
            source.origin
        ));
    }
    args.to.write(cx, &source.origin, || source.bytes, &encrypted.bytes, Readers::Everybody, notes)?;
    Ok((Outcome::Done, Some(encrypted.summary)))
}

/// Whether a manifest of Kubernetes is none any more, because its kind is encrypted.
fn hides_its_kind(encrypted: &[u8], format: Format) -> bool {
    let mentions_one = std::str::from_utf8(encrypted).is_ok_and(|text| text.contains("apiVersion"));
    if !mentions_one || !matches!(format, Format::Yaml | Format::Json) {
        return false;
    }
    let Ok(document) = Document::parse(encrypted, format) else { return false };
    let is_encrypted = |branch: Node<'_>, key| {
        branch.get(key).and_then(|node| node.as_str().and_then(EncryptedValue::parse)).is_some()
    };
    document.branches().any(|branch| is_encrypted(branch, "apiVersion") && is_encrypted(branch, "kind"))
}
