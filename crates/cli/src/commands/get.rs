//! `bulla get`

use std::path::PathBuf;

use bulla_crypto::{SecretBytes, encoding};
use bulla_doc::{Document, Kind, Node};
use bulla_sops::{KeyPath, Place};
use bulla_wipe::Wiping;
use serde_json::Value as Json;

use crate::batch::Notes;
use crate::commands::decrypt::OpeningArgs;
use crate::commands::opened::{DocumentArgs, open_plain, to_json};
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::files::{FormatName, Origin, Selected};
use crate::key_path::{PathText, extract, find};
use crate::secret_data::{self, is_encoded};

/// Print values of an encrypted file
///
/// A text comes as it is, to the byte, and without a newline of ours; a part of the document in the file's own format. `data` of Kubernetes
/// Secrets is decoded. Several paths need `--json`, or each value gets a newline.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  bulla get shop.yaml db.password
  bulla get secret.yaml data.tls.key > tls.key            decoded
  bulla get --json shop.yaml | jq -r .db.hosts[0]         the whole document
  bulla get --json shop.yaml db.user db.password          {\"db.user\": …, \"db.password\": …}")]
pub(crate) struct GetArgs {
    /// Encrypted file, or `-` for standard input
    file: PathBuf,

    /// What: keys and indices, such as `db.hosts[0]`, or as SOPS writes them (default: all of it)
    #[arg(value_name = "PATH")]
    paths: Vec<String>,

    /// As JSON: the value itself; of several paths an object with the paths as keys
    #[arg(long)]
    json: bool,

    /// Leave the base64 under `data` of Kubernetes Secrets as it is
    #[arg(long)]
    encoded: bool,

    #[command(flatten)]
    document: DocumentArgs,

    #[command(flatten)]
    opening: OpeningArgs,

    /// Format of the file, if its name does not tell
    #[arg(long, value_name = "FORMAT")]
    input_type: Option<FormatName>,
}

pub(crate) fn get(cx: &Context, args: &GetArgs) -> Result<(), CommandError> {
    let paths = args.paths.iter().map(|path| path.parse()).collect::<Result<Vec<PathText>, _>>()?;
    let origin = if args.file.as_os_str() == "-" { Origin::Stdin } else { Origin::File(args.file.clone()) };
    let selected = Selected { origin, found: false };
    let ring = args.opening.identity.sources(cx)?;
    let mut notes = Notes::default();
    let document = open_plain(&selected, args.input_type, &args.opening, &ring, &mut notes);
    notes.tell(cx);
    let printed = document.and_then(|document| match document {
        Some(document) => print(args, &document, &paths),
        None => Ok(Wiping::default()),
    });
    let mut printed = printed.map_err(|error| error.at(&selected.origin))?;
    if cx.stdout_is_terminal() && !printed.ends_with(b"\n") {
        // The prompt of the shell goes to the next line.
        printed.append(b"\n");
    }
    cx.print(&printed)
}

fn print(args: &GetArgs, document: &Document, paths: &[PathText]) -> Result<Wiping<Vec<u8>>, CommandError> {
    let branch = args.document.branch(document)?;
    let mut meant: Vec<KeyPath> = paths.iter().map(|path| path.resolve(document, branch)).collect();
    if meant.is_empty() && !args.json {
        return Ok(document.to_bytes());
    }
    if meant.is_empty() {
        meant.push(KeyPath { branch, steps: Vec::new() });
    }
    if args.json {
        let mut values = Vec::new();
        for path in &meant {
            values.push(json_at(args, document, path)?);
        }
        let value = match (values.len(), values.pop()) {
            (1, Some(value)) => value,
            (_, last) => {
                let values = values.into_iter().chain(last);
                Json::Object(args.paths.iter().cloned().zip(values).collect())
            }
        };
        return Ok(Wiping::new(format!("{value:#}\n").into_bytes()));
    }
    let mut all = Wiping::new(Vec::new());
    for path in &meant {
        all.append(&text_at(args, document, path)?);
        if meant.len() > 1 && !all.ends_with(b"\n") {
            all.append(b"\n");
        }
    }
    Ok(all)
}

fn text_at(args: &GetArgs, document: &Document, path: &KeyPath) -> Result<Wiping<Vec<u8>>, CommandError> {
    match find(document, path) {
        Some(node) if !args.encoded && node.kind() == Kind::Scalar && is_encoded(document, path) => {
            Ok(decoded(document, node)?.into_exposed())
        }
        Some(node) if !args.encoded && node.kind() == Kind::Mapping => match shown(document)? {
            Some(shown) => extract(&shown, path),
            None => extract(document, path),
        },
        _ => extract(document, path),
    }
}

fn json_at(args: &GetArgs, document: &Document, path: &KeyPath) -> Result<Json, CommandError> {
    let node = find(document, path).ok_or_else(|| {
        CommandError::new(Exit::Path, format!("there is nothing at `{path}`")).hint("keys are spelled as in the file")
    })?;
    let binary = |place: Place| {
        CommandError::new(Exit::Input, format!("what is at {place} is no text, and JSON has no way to write it"))
            .hint("without `--json` its bytes are printed; with `--encoded` it stays in base64")
    };
    if !args.encoded && node.kind() == Kind::Scalar && is_encoded(document, path) {
        let bytes = decoded(document, node)?;
        let text = std::str::from_utf8(bytes.expose_secret()).map_err(|_| binary(Place::of(node, document)))?;
        return Ok(text.into());
    }
    let shown = if args.encoded { None } else { shown(document)? };
    let node = shown.as_ref().and_then(|shown| find(shown, path)).unwrap_or(node);
    to_json(node).ok_or_else(|| binary(Place::of(node, shown.as_ref().unwrap_or(document))))
}

/// The document with the `data` of Secrets as text; `None` if it has none.
fn shown(document: &Document) -> Result<Option<Document>, CommandError> {
    let shown = secret_data::show(document.text().as_bytes(), document.format())?;
    Ok(shown.map(|shown| Document::parse(&shown.text, document.format())).transpose()?)
}

fn decoded(document: &Document, node: Node<'_>) -> Result<SecretBytes, CommandError> {
    let characters = node.as_str().unwrap_or_default();
    encoding::decode_go(characters.as_bytes()).map(SecretBytes::new).map_err(|_| {
        let place = Place::of(node, document);
        CommandError::new(Exit::Input, format!("the value at {place} is under `data` of a Secret, and no base64"))
            .hint("`--encoded` prints it as it is")
    })
}
