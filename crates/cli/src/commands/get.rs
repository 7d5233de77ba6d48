//! `bulla get`

use std::path::PathBuf;

use bulla_crypto::{SecretBytes, encoding};
use bulla_doc::{Document, Kind, Node};
use bulla_sops::{KeyPath, KeyRing, Place};
use bulla_wipe::Wiping;
use serde_json::Value as Json;

use crate::app::Failure;
use crate::batch::{self, Notes, Outcome};
use crate::commands::decrypt::OpeningArgs;
use crate::commands::opened::{DocumentArgs, open_plain, to_json};
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::files::{FormatName, Selected, WalkArgs, select};
use crate::key_path::{PathText, extract, find};
use crate::secret_data::{self, is_encoded};

/// Print values of encrypted files
///
/// A text comes as it is, to the byte, and without a newline of ours; a part of the document in the file's own format. `data` of Kubernetes
/// Secrets is decoded. Several paths need `--json`, or each value gets a newline. Of a directory, a pattern, or several files (with `--path`)
/// each value gets a line that begins with its file; what is no text of one line stands there as JSON.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  bulla get shop.yaml db.password
  bulla get secret.yaml data.tls.key > tls.key            decoded
  bulla get --json shop.yaml | jq -r .db.hosts[0]         the whole document
  bulla get --json shop.yaml db.user db.password          {\"db.user\": …, \"db.password\": …}
  bulla get secrets/ db.user                              secrets/shop.yaml: …, a line for each file that has it
  bulla get --json --path db.user a.yaml b.yaml           {\"a.yaml\": …, \"b.yaml\": …}")]
pub(crate) struct GetArgs {
    /// Encrypted file, directory, or `-` for standard input
    file: PathBuf,

    /// What: keys and indices, such as `db.hosts[0]`, or as SOPS writes them (default: all of it)
    #[arg(value_name = "PATH")]
    paths: Vec<String>,

    /// The same; whatever else is named is a file then
    #[arg(long, value_name = "PATH")]
    path: Vec<String>,

    /// As JSON: the value itself; of several paths an object with the paths as keys, of several files one with the files as keys
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

    #[command(flatten)]
    walk: WalkArgs,
}

pub(crate) fn get(cx: &Context, args: &GetArgs) -> Result<(), Failure> {
    // Where `--path` says what, everything else says where.
    let (texts, also) = if args.path.is_empty() { (&args.paths, &[][..]) } else { (&args.path, &args.paths[..]) };
    let files: Vec<PathBuf> = std::iter::once(args.file.clone()).chain(also.iter().map(PathBuf::from)).collect();
    let paths = texts.iter().map(|path| path.parse()).collect::<Result<Vec<PathText>, _>>()?;
    let selected = select(&files, args.walk, cx)?;
    let ring = args.opening.identity.sources(cx)?;
    let asked = Asked { args, texts, paths };
    match &selected[..] {
        [one] if !one.found && one.origin.path().is_none_or(|path| path == args.file) => asked.of_one(cx, one, &ring),
        several => asked.of_several(cx, several, &ring),
    }
}

/// What is asked of each file.
struct Asked<'a> {
    args: &'a GetArgs,
    /// As they were typed.
    texts: &'a [String],
    paths: Vec<PathText>,
}

impl Asked<'_> {
    fn of_one(&self, cx: &Context, selected: &Selected, ring: &dyn KeyRing) -> Result<(), Failure> {
        let mut notes = Notes::default();
        let document = open_plain(selected, self.args.input_type, &self.args.opening, ring, &mut notes);
        notes.tell(cx);
        let printed = document.and_then(|document| match document {
            Some(document) => self.print(&document),
            None => Ok(Wiping::default()),
        });
        let mut printed = printed.map_err(|error| error.at(&selected.origin))?;
        if cx.stdout_is_terminal() && !printed.ends_with(b"\n") {
            // The prompt of the shell goes to the next line.
            printed.append(b"\n");
        }
        Ok(cx.print(&printed)?)
    }

    /// Files that were found and have none of it are passed over.
    fn of_several(&self, cx: &Context, files: &[Selected], ring: &dyn KeyRing) -> Result<(), Failure> {
        if self.paths.is_empty() && !self.args.json {
            return Err(CommandError::new(
                Exit::Usage,
                "several files are printed one after the other only value by value",
            )
            .hint("name a path, such as `db.password`; or `--json`, for an object with the files as keys")
            .into());
        }
        let (found, outcome) = batch::collect(cx, files, "read", |selected, notes| {
            let values = self.values(selected, ring, notes).map_err(|error| error.at(&selected.origin))?;
            let outcome = if values.is_empty() { Outcome::Skipped } else { Outcome::Done };
            Ok((outcome, Some(values).filter(|values| !values.is_empty())))
        });
        if self.args.json {
            let all: serde_json::Map<String, Json> =
                found.into_iter().map(|(file, values)| (file, self.as_json(values))).collect();
            cx.print(&Wiping::new(format!("{:#}\n", Json::Object(all)).into_bytes()))?;
            return outcome;
        }
        if found.is_empty() && outcome.is_ok() {
            let paths = self.texts.iter().map(|path| format!("`{path}`")).collect::<Vec<_>>().join(" or ");
            return Err(CommandError::new(Exit::Path, format!("none of the files has {paths}")).into());
        }
        let mut lines = Wiping::<Vec<u8>>::default();
        for (file, values) in &found {
            for (path, value) in values {
                let place = if self.paths.len() > 1 { format!("{file}: {path}") } else { file.clone() };
                let value = match value {
                    Json::String(text) if !text.contains(char::is_control) => text.clone(),
                    value => value.to_string(),
                };
                lines.append(&Wiping::new(format!("{place}: {value}\n").into_bytes()));
            }
        }
        cx.print(&lines)?;
        outcome
    }

    /// What a file has, by the paths as they were typed; all of it without a path.
    fn values(
        &self,
        selected: &Selected,
        ring: &dyn KeyRing,
        notes: &mut Notes,
    ) -> Result<Vec<(String, Json)>, CommandError> {
        let document = open_plain(selected, self.args.input_type, &self.args.opening, ring, notes)?;
        let Some(document) = document else { return Ok(Vec::new()) };
        let branch = match self.args.document.branch(&document) {
            Err(_) if selected.found => return Ok(Vec::new()),
            branch => branch?,
        };
        if self.paths.is_empty() {
            let all = KeyPath { branch, steps: Vec::new() };
            return Ok(vec![(String::new(), json_at(self.args, &document, &all)?)]);
        }
        let mut values = Vec::new();
        for (text, path) in self.texts.iter().zip(&self.paths) {
            let path = path.resolve(&document, branch);
            if !selected.found || find(&document, &path).is_some() {
                values.push((text.clone(), json_at(self.args, &document, &path)?));
            }
        }
        Ok(values)
    }

    fn as_json(&self, mut values: Vec<(String, Json)>) -> Json {
        if self.paths.len() > 1 {
            return Json::Object(values.into_iter().collect());
        }
        values.pop().map(|(_, value)| value).unwrap_or_default()
    }

    fn print(&self, document: &Document) -> Result<Wiping<Vec<u8>>, CommandError> {
        let args = self.args;
        let branch = args.document.branch(document)?;
        let mut meant: Vec<KeyPath> = self.paths.iter().map(|path| path.resolve(document, branch)).collect();
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
                    Json::Object(self.texts.iter().cloned().zip(values).collect())
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
