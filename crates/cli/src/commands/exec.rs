//! `bulla exec`

mod names;

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use bulla_crypto::{SecretBytes, encoding};
use bulla_doc::{Document, Kind, Node};
use bulla_sops::{PathStep, Place};
use bulla_wipe::Wiping;

use crate::app::Failure;
use crate::batch::Notes;
use crate::child::{Ended, Handover, Launch, User};
use crate::commands::decrypt::OpeningArgs;
use crate::commands::opened::{open_plain, text_of};
use crate::context::Context;
use crate::editing::{OnDisk, name_of};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::files::{FormatName, Selected, WalkArgs, select};
use crate::key_path::{PathText, find};
use crate::secret_data::is_secret;
use names::Template;

/// Run a program with the values of encrypted files in its environment, or as files in memory
///
/// Values get the names of their keys, nested ones joined by `_`; of Kubernetes Secrets it is what is under `data` (decoded) and
/// `stringData`. Of several files, later ones count before earlier ones. Exit code, signals and standard streams are the program's own.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  bulla exec shop.yaml -- ./server --port 80
  bulla exec --at db --name 'DB_{KEY}' shop.yaml -- psql          db.password becomes DB_PASSWORD
  bulla exec base.yaml prod.yaml -- env                           prod.yaml counts before base.yaml
  bulla exec --as files tls.yaml -- nginx -c {}/nginx.conf        {} is the directory
  bulla exec --as document kubeconfig.yaml -- kubectl --kubeconfig {} get pods")]
#[expect(clippy::struct_excessive_bools, reason = "the flags of a command line")]
pub(crate) struct ExecArgs {
    /// Encrypted files, or directories with such files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,

    /// How the program gets the values
    #[arg(long = "as", value_name = "WAY", default_value = "env")]
    way: Way,

    /// Only what is below this path; the names begin there
    #[arg(long, value_name = "PATH")]
    at: Option<String>,

    /// What a value is called: {path}, {key}, {file}, or {PATH}, {KEY}, {FILE} in capitals, and text around
    #[arg(long, value_name = "TEMPLATE", default_value = "{path}")]
    name: String,

    /// Of `--as document`: a pipe that can be read once, and that is never a file anywhere
    #[arg(long)]
    fifo: bool,

    /// Give the program these values only, and nothing of the environment around
    #[arg(long)]
    pristine: bool,

    /// Run the program as this user, with their groups and home, and without the credentials of our environment
    #[arg(long, value_name = "NAME")]
    user: Option<String>,

    /// Become the program, in the same process
    #[arg(long, conflicts_with = "background")]
    same_process: bool,

    /// Do not wait for the program; its process is told
    #[arg(long)]
    background: bool,

    /// Let files lie on a disk where there is no directory in memory
    #[arg(long)]
    on_disk: bool,

    /// Format of the files, if their names do not tell
    #[arg(long, value_name = "FORMAT")]
    input_type: Option<FormatName>,

    #[command(flatten)]
    opening: OpeningArgs,

    #[command(flatten)]
    walk: WalkArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Way {
    /// Each value in a variable of the environment
    Env,
    /// Each value in a file of a directory, which `{}` in the command stands for
    Files,
    /// Each document as a file, which `{}` stands for; of several, their directory
    Document,
}

/// One value, and what it is called.
struct Named {
    name: String,
    value: Wiping<Vec<u8>>,
}

pub(crate) fn exec(cx: &Context, args: &ExecArgs) -> Result<(), Failure> {
    let ended = run(cx, args)?;
    // Everything that was handed over is gone by now.
    match ended {
        None | Some(Ended::Code(0)) => Ok(()),
        Some(ended) => Err(Failure::of_program(ended.code())),
    }
}

fn run(cx: &Context, args: &ExecArgs) -> Result<Option<Ended>, CommandError> {
    check(args)?;
    let template: Template = args.name.parse()?;
    let at = args.at.as_deref().map(str::parse::<PathText>).transpose()?;
    let user = args.user.as_deref().map(User::find).transpose()?;
    let ring = args.opening.identity.sources(cx)?;
    let files = select(&args.files, args.walk, cx)?;
    let mut documents = Vec::new();
    for file in &files {
        let mut notes = Notes::default();
        let document = open_plain(file, args.input_type, &args.opening, &ring, &mut notes);
        notes.tell(cx);
        documents.extend(document.map_err(|error| error.at(&file.origin))?.map(|document| (file, document)));
    }
    let (environment, handover) = hand_over(cx, args, &documents, at.as_ref(), &template, user.as_ref())?;
    drop(documents);

    let words = match &handover {
        Some((_, stands_for)) => args.command.iter().map(|word| replace_braces(word, stands_for)).collect(),
        None => args.command.clone(),
    };
    let launch = Launch { words, environment, pristine: args.pristine, user, withholds: true };
    if args.same_process {
        return Err(launch.replace());
    }
    if args.background {
        cx.status(format_args!("runs as process {}", launch.background()?));
        return Ok(None);
    }
    launch.run().map(Some)
}

fn check(args: &ExecArgs) -> Result<(), CommandError> {
    let conflict =
        |what: &str, reason: &str| Err(CommandError::new(Exit::Conflict, what.to_owned()).hint(reason.to_owned()));
    if args.background && args.way != Way::Env {
        return conflict("`--background` and files exclude each other", "nobody would be left to remove the files");
    }
    if args.same_process && args.way == Way::Files {
        return conflict(
            "`--same-process` and `--as files` exclude each other",
            "nobody would be left to remove the files",
        );
    }
    if args.fifo && args.way != Way::Document {
        return conflict("`--fifo` is for `--as document`", "say `--as document --fifo`");
    }
    if args.fifo && args.same_process {
        return conflict(
            "`--fifo` and `--same-process` exclude each other",
            "without `--fifo` the program inherits a file in memory",
        );
    }
    Ok(())
}

type Environment = Vec<(OsString, SecretBytes)>;

/// What the program is given: variables, or files and what `{}` stands for.
fn hand_over(
    cx: &Context,
    args: &ExecArgs,
    documents: &[(&Selected, Document)],
    at: Option<&PathText>,
    template: &Template,
    user: Option<&User>,
) -> Result<(Environment, Option<(Handover, PathBuf)>), CommandError> {
    let on_disk = if args.on_disk { OnDisk::Allow } else { OnDisk::Refuse };
    if args.way == Way::Document {
        return Ok((Vec::new(), Some(hand_documents(cx, args, documents, at, user, on_disk)?)));
    }
    let mut all: Vec<Named> = Vec::new();
    for (file, document) in documents {
        let as_variables = args.way == Way::Env;
        let named = values(document, file, at, template, as_variables).map_err(|error| error.at(&file.origin))?;
        let later: HashSet<&str> = named.iter().map(|named| named.name.as_str()).collect();
        all.retain(|earlier| !later.contains(earlier.name.as_str()));
        all.extend(named);
    }
    if args.way == Way::Env {
        return Ok((all.into_iter().map(|named| (named.name.into(), named.value.into())).collect(), None));
    }
    let files: Vec<_> = all.into_iter().map(|named| (PathBuf::from(named.name), named.value)).collect();
    let handover = Handover::files(cx, &files, user, on_disk)?;
    let directory = handover.directory().to_path_buf();
    Ok((Vec::new(), Some((handover, directory))))
}

/// Whole documents as files of their own names.
fn hand_documents(
    cx: &Context,
    args: &ExecArgs,
    documents: &[(&Selected, Document)],
    at: Option<&PathText>,
    user: Option<&User>,
    on_disk: OnDisk,
) -> Result<(Handover, PathBuf), CommandError> {
    let mut files: Vec<(PathBuf, Wiping<Vec<u8>>)> = Vec::new();
    for (file, document) in documents {
        let text = match at {
            Some(at) => {
                crate::key_path::extract(document, &at.resolve(document, 0)).map_err(|error| error.at(&file.origin))?
            }
            None => document.to_bytes(),
        };
        let name = file.origin.path().map_or(Path::new("document"), name_of).to_path_buf();
        if files.iter().any(|(other, _)| *other == name) {
            return Err(CommandError::new(Exit::Usage, format!("two files are called `{}`", name.display()))
                .hint("hand over one of them"));
        }
        files.push((name, text));
    }
    if (args.fifo || args.same_process) && files.len() != 1 {
        return Err(CommandError::new(
            Exit::Usage,
            "`--fifo` and `--same-process` hand over one document, not several",
        ));
    }
    let handover = match files.pop() {
        Some((name, text)) if args.fifo => Handover::fifo(&name, text, user)?,
        Some((_, text)) if args.same_process => Handover::inherited(&text)?,
        last => {
            files.extend(last);
            Handover::files(cx, &files, user, on_disk)?
        }
    };
    let stands_for = if files.len() > 1 { handover.directory() } else { handover.path() }.to_path_buf();
    Ok((handover, stands_for))
}

/// The values of a document by name.
fn values(
    document: &Document,
    file: &Selected,
    at: Option<&PathText>,
    template: &Template,
    as_variables: bool,
) -> Result<Vec<Named>, CommandError> {
    let mut found = Vec::new();
    let mut names: HashMap<String, Node<'_>> = HashMap::new();
    for (node, steps, is_encoded) in leaves(document, at)? {
        // Finding a place reads the document from its beginning: for errors only.
        let place = || Place::of(node, document);
        let mut value = text_of(node);
        if is_encoded {
            let decoded = encoding::decode_go(&value);
            value = Wiping::new(decoded.map_err(|_| {
                CommandError::new(
                    Exit::Input,
                    format!("the value at {} is under `data` of a Secret, and no base64", place()),
                )
            })?);
        }
        if as_variables && value.contains(&0) {
            return Err(CommandError::new(
                Exit::Input,
                format!("the value at {} holds a zero byte, which no variable can", place()),
            )
            .hint("hand it over in a file: `--as files`"));
        }
        let name = if as_variables { template.variable(&steps, file) } else { template.file(&steps, file) };
        let name = name.map_err(|error| error.at(place()))?;
        if let Some(other) = names.insert(name.clone(), node) {
            return Err(CommandError::new(
                Exit::Usage,
                format!("{} and {} are both called `{name}`", Place::of(other, document), place()),
            )
            .hint("`--name` gives other names, `--at` takes a part of the document"));
        }
        found.push(Named { name, value });
    }
    Ok(found)
}

/// The values that count, with the steps that name each, and whether it is base64 of a Secret.
fn leaves<'d>(
    document: &'d Document,
    at: Option<&PathText>,
) -> Result<Vec<(Node<'d>, Vec<PathStep>, bool)>, CommandError> {
    let mut found = Vec::new();
    if let Some(at) = at {
        let path = at.resolve(document, 0);
        let node = find(document, &path).ok_or_else(|| {
            CommandError::new(Exit::Path, format!("there is nothing at `{path}`"))
                .hint("keys are spelled as in the file")
        })?;
        let is_data = crate::secret_data::in_secret(document, &path).is_some_and(|(_, is_data)| is_data);
        // Of a single value, the name is its key.
        let own = path.steps.last().cloned().filter(|_| node.kind() == Kind::Scalar);
        collect(node, own.into_iter().collect(), is_data, &mut found);
        return Ok(found);
    }
    for branch in document.branches() {
        if is_secret(branch) {
            for (field, is_data) in [("stringData", false), ("data", true)] {
                if let Some(node) = branch.get(field) {
                    collect(node, Vec::new(), is_data, &mut found);
                }
            }
            continue;
        }
        collect(branch, Vec::new(), false, &mut found);
    }
    Ok(found)
}

fn collect<'d>(top: Node<'d>, own: Vec<PathStep>, is_data: bool, found: &mut Vec<(Node<'d>, Vec<PathStep>, bool)>) {
    // Documents are read with a limit on their depth; here it is a list, not a call, that grows.
    let mut waiting = vec![(top, own)];
    while let Some((node, steps)) = waiting.pop() {
        if node.kind() == Kind::Scalar {
            found.push((node, steps, is_data));
            continue;
        }
        let mut children = Vec::new();
        for (index, child) in node.children().filter(|child| child.kind() != Kind::Comment).enumerate() {
            let step = child.key().map_or(PathStep::Index(index), |key| PathStep::Key(key.to_owned()));
            children.push((child, [&steps[..], &[step]].concat()));
        }
        waiting.extend(children.into_iter().rev());
    }
}

/// The word with `{}` as the path.
fn replace_braces(word: &OsString, path: &Path) -> OsString {
    let bytes = word.as_bytes();
    let mut replaced = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(at) = rest.windows(2).position(|pair| pair == b"{}") {
        replaced.extend_from_slice(&rest[..at]);
        replaced.extend_from_slice(path.as_os_str().as_bytes());
        rest = &rest[at + 2..];
    }
    replaced.extend_from_slice(rest);
    OsString::from_vec(replaced)
}
