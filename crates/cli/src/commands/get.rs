//! `bulla get`

use std::cell::OnceCell;
use std::collections::HashSet;
use std::path::PathBuf;

use bulla_crypto::{SecretBytes, encoding};
use bulla_doc::{Document, Kind, Node, Value};
use bulla_sops::{KeyPath, KeyRing, Place};
use bulla_wipe::Wiping;

use crate::app::Failure;
use crate::batch::{self, Notes, Outcome};
use crate::commands::decrypt::OpeningArgs;
use crate::commands::opened::{DocumentArgs, Form, NoJson, append_json, append_spelt, open_plain, start_line};
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

/// What a file has, by paths as they were typed.
type Values = Vec<(String, Wiping<Vec<u8>>)>;

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
            let mut json = Wiping::default();
            let files = found.iter().map(|(file, values)| (file.as_str(), values));
            append_object(&mut json, 0, files, |json, values| self.append_values(json, 1, values));
            json.append(b"\n");
            cx.print(&json)?;
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
                lines.append(place.as_bytes());
                lines.append(b": ");
                lines.append(value);
                lines.append(b"\n");
            }
        }
        cx.print(&lines)?;
        outcome
    }

    /// What a file has, by the paths as they were typed; all of it without a path.
    fn values(&self, selected: &Selected, ring: &dyn KeyRing, notes: &mut Notes) -> Result<Values, CommandError> {
        let document = open_plain(selected, self.args.input_type, &self.args.opening, ring, notes)?;
        let Some(document) = document else { return Ok(Vec::new()) };
        let branch = match self.args.document.branch(&document) {
            Err(_) if selected.found => return Ok(Vec::new()),
            branch => branch?,
        };
        let secrets = Secrets::new(self.args, &document);
        let form = match (self.args.json, self.paths.len()) {
            (false, _) => Form::OneLine,
            (true, 0 | 1) => Form::Lines { around: 1 },
            (true, _) => Form::Lines { around: 2 },
        };
        if self.paths.is_empty() {
            let all = KeyPath { branch, steps: Vec::new() };
            return Ok(vec![(String::new(), secrets.value_at(&all, form)?)]);
        }
        let mut values = Vec::new();
        for (text, path) in self.texts.iter().zip(&self.paths) {
            let path = path.resolve(&document, branch);
            if !selected.found || find(&document, &path).is_some() {
                values.push((text.clone(), secrets.value_at(&path, form)?));
            }
        }
        Ok(values)
    }

    /// Appends the value of the only path; of several paths an object with them as keys.
    fn append_values(&self, json: &mut Wiping<Vec<u8>>, around: usize, values: &Values) {
        if self.paths.len() > 1 {
            let values = values.iter().map(|(path, value)| (path.as_str(), value));
            append_object(json, around, values, |json, value| json.append(value));
        } else if let Some((_, value)) = values.last() {
            json.append(value);
        }
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
            let form = Form::Lines { around: usize::from(meant.len() > 1) };
            let secrets = Secrets::new(args, document);
            let texts = self.texts.iter().cloned().chain([String::new()]);
            let values = texts.zip(&meant).map(|(text, path)| Ok((text, secrets.value_at(path, form)?)));
            let mut json = Wiping::default();
            self.append_values(&mut json, 0, &values.collect::<Result<Values, CommandError>>()?);
            json.append(b"\n");
            return Ok(json);
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
        Some(node) if is_single(args, document, path, node) => Ok(decoded(document, node)?.into_exposed()),
        Some(node) if !args.encoded && node.kind() == Kind::Mapping => match shown(document)? {
            Some(shown) => extract(&shown, path),
            None => extract(document, path),
        },
        _ => extract(document, path),
    }
}

/// Is it a value of a Secret's `data` that is decoded?
fn is_single(args: &GetArgs, document: &Document, path: &KeyPath, node: Node<'_>) -> bool {
    !args.encoded && node.kind() == Kind::Scalar && is_encoded(document, path)
}

/// A document whose values become JSON, and what its Secrets hold.
struct Secrets<'a> {
    args: &'a GetArgs,
    document: &'a Document,
    /// The document with the `data` of its Secrets as text, once that was needed.
    shown: OnceCell<Option<Document>>,
}

impl<'a> Secrets<'a> {
    fn new(args: &'a GetArgs, document: &'a Document) -> Self {
        Self { args, document, shown: OnceCell::new() }
    }

    fn shown(&self) -> Result<Option<&Document>, CommandError> {
        if self.args.encoded {
            return Ok(None);
        }
        if self.shown.get().is_none() {
            let _ = self.shown.set(shown(self.document)?);
        }
        Ok(self.shown.get().and_then(Option::as_ref))
    }

    /// What is at `path`.
    fn value_at(&self, path: &KeyPath, form: Form) -> Result<Wiping<Vec<u8>>, CommandError> {
        let (args, document) = (self.args, self.document);
        let node = find(document, path).ok_or_else(|| {
            CommandError::new(Exit::Path, format!("there is nothing at `{path}`"))
                .hint("keys are spelled as in the file")
        })?;
        let binary = |place: Place| {
            CommandError::new(Exit::Input, format!("what is at {place} is no text, and JSON has no way to write it"))
                .hint("without `--json` its bytes are printed; with `--encoded` it stays in base64")
        };
        if is_single(args, document, path, node) {
            let bytes = decoded(document, node)?;
            let text = std::str::from_utf8(bytes.expose_secret()).map_err(|_| binary(Place::of(node, document)))?;
            return Ok(text_as(text, form));
        }
        let shown = self.shown()?;
        let node = shown.and_then(|shown| find(shown, path)).unwrap_or(node);
        if let (Kind::Scalar, Value::String(bytes)) = (node.kind(), node.value())
            && let Ok(text) = std::str::from_utf8(&bytes)
        {
            return Ok(text_as(text, form));
        }
        let mut json = Wiping::default();
        append_json(&mut json, node, form).map_err(|reason| match reason {
            NoJson::Bytes(node) => binary(Place::of(node, shown.unwrap_or(document))),
            NoJson::Depth(node) => CommandError::new(
                Exit::Input,
                format!("{}: this nests deeper than 1,000 levels, which are not printed anew", node.position()),
            )
            .hint("without `--json` the document is printed as it is"),
        })?;
        Ok(json)
    }
}

/// A text as JSON; on a line of its own as it is, unless it would not stay there.
fn text_as(text: &str, form: Form) -> Wiping<Vec<u8>> {
    let mut value: Wiping<Vec<u8>> = Wiping::default();
    if matches!(form, Form::OneLine) && !text.contains(char::is_control) {
        value.append(text.as_bytes());
    } else {
        append_spelt(&mut value, text);
    }
    value
}

/// Appends an object; of entries with the same name, the first.
fn append_object<'n, T>(
    json: &mut Wiping<Vec<u8>>,
    around: usize,
    entries: impl Iterator<Item = (&'n str, T)>,
    append: impl Fn(&mut Wiping<Vec<u8>>, T),
) {
    let mut known = HashSet::new();
    json.append(b"{");
    for (name, value) in entries {
        if !known.insert(name) {
            continue;
        }
        if known.len() > 1 {
            json.append(b",");
        }
        start_line(json, around + 1);
        append_spelt(json, name);
        json.append(b": ");
        append(json, value);
    }
    if !known.is_empty() {
        start_line(json, around);
    }
    json.append(b"}");
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
