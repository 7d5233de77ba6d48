//! From flags to a file: which one, in which format, what opens it, and where the result goes.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use bulla_doc::{Format, Layout};
use bulla_keys::{DecryptionOrder, KeySources, OrderError};
use bulla_sops::{DecryptError, EncryptedFile, MetadataError, Opened, ReadError, danger};
use bulla_wipe::Wiping;

use crate::files::{Readers, create, read_all, read_bytes, replace_or_overwrite};
use crate::identities::IdentityArgs;
use crate::recipients::absolute;
use crate::services::KeyServiceArgs;
use crate::wait::block_on;

use super::failure::{Failure, code, missing};
use super::go::quoted;
use super::{Outcome, Run, report, rules};

/// The file that a command is about.
pub(super) struct Target {
    /// Its absolute path; `None` for standard input.
    pub(super) path: Option<PathBuf>,
    /// The absolute path that decides about rule and format; empty for nothing.
    pub(super) name: PathBuf,
    pub(super) input: Format,
    pub(super) output: Format,
    /// Columns to indent by in what is printed anew, where somebody says so.
    pub(super) indent: Option<usize>,
}

impl Target {
    /// The first argument, or standard input where there is none and `from_stdin` allows it.
    ///
    /// # Errors
    /// A file that is not there, a broken configuration.
    pub(super) fn find(run: &Run<'_>) -> Result<Self, Failure> {
        let path = run.arguments().first().map(|name| existing(name)).transpose()?;
        Self::of(run, path)
    }

    /// The file at `path`, which is absolute.
    ///
    /// # Errors
    /// A broken configuration.
    pub(super) fn of(run: &Run<'_>, path: Option<PathBuf>) -> Result<Self, Failure> {
        let given = run.flags.raw("filename-override");
        let name = match (given.is_empty(), &path) {
            (true, path) => path.clone().unwrap_or_default(),
            (false, _) => absolute_of(given)?,
        };
        let input = format_of(&name, &run.flags.text("input-type"));
        let output = format_of(&name, &run.flags.text("output-type"));
        let configured = rules::indent(run, output)?;
        let indent = if run.global.is_given("indent") { Some(run.global.number("indent")) } else { configured };
        Ok(Self { path, name, input, output, indent: columns(indent)? })
    }

    /// The whole file, or standard input.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(super) fn read(&self) -> Result<Wiping<Vec<u8>>, Failure> {
        match &self.path {
            Some(path) => read_file(path),
            None => read_all(std::io::stdin().lock(), 0)
                .map_err(|error| Failure::new(code::INPUT, format!("Error reading from stdin: {error}"))),
        }
    }

    /// Writes what a command made of a file that held `read`: into it, into another one, or to standard output.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn write(&self, run: &Run<'_>, read: &[u8], result: &[u8], readers: Readers) -> Outcome {
        if run.flags.is("in-place") {
            return self.write_in_place(run, read, result);
        }
        let output = run.flags.raw("output");
        if output.is_empty() {
            return run.print(result);
        }
        create(Path::new(output), result, readers)
            .map_err(|error| Failure::of(code::OUTPUT, "Could not open output file for writing", error))
    }

    /// Writes into the file, which held `read`.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn write_in_place(&self, run: &Run<'_>, read: &[u8], result: &[u8]) -> Outcome {
        let Some(path) = &self.path else { return run.print(result) };
        replace_or_overwrite(path, read, result)
            .map_err(|error| Failure::of(code::OUTPUT, "Could not open in-place file for writing", error))?;
        run.inform("File written successfully");
        Ok(())
    }
}

/// Whether `--in-place` and `--output` are both given, which is an error.
pub(super) fn check_destination(run: &Run<'_>) -> Outcome {
    if run.flags.is("in-place") && !run.flags.raw("output").is_empty() {
        return Err(Failure::new(code::CONFLICT, "Error: cannot operate on both --output and --in-place"));
    }
    Ok(())
}

/// Warns of arguments that are not looked at.
pub(super) fn warn_of_more(run: &Run<'_>) {
    let arguments = run.arguments();
    if arguments.len() < 2 {
        return;
    }
    run.warn("More than one positional argument provided. Only the first one will be used!");
    let flag = arguments[1..].iter().rev().find(|argument| argument.as_encoded_bytes().starts_with(b"-"));
    if let Some(flag) = flag {
        run.warn(&format!(
            "Note that one of the ignored positional argument is {}, which looks like a flag. Flags must always be provided before the first positional argument!",
            quoted(&flag.to_string_lossy())
        ));
    }
}

/// The absolute path of a file that must be there.
pub(super) fn existing(name: &OsStr) -> Result<PathBuf, Failure> {
    let path = absolute_of(name)?;
    if is_missing(&path) {
        return Err(missing(code::NO_FILE, "operate on", &path, ""));
    }
    Ok(path)
}

pub(super) fn is_missing(path: &Path) -> bool {
    matches!(std::fs::metadata(path), Err(error) if error.kind() == std::io::ErrorKind::NotFound)
}

pub(super) fn absolute_of(name: &OsStr) -> Result<PathBuf, Failure> {
    if name.is_empty() {
        return absolute(Path::new(".")).map_err(Failure::from);
    }
    absolute(Path::new(name)).map_err(Failure::from)
}

/// The whole file at `path`.
///
/// # Errors
/// If it cannot be read.
pub(super) fn read_file(path: &Path) -> Result<Wiping<Vec<u8>>, Failure> {
    // The name as it is given, relative or not, is what a message says.
    read_bytes(path).map_err(|error| {
        let reason = match error.kind() {
            std::io::ErrorKind::NotFound => format!("open {}: no such file or directory", path.display()),
            std::io::ErrorKind::PermissionDenied => format!("open {}: permission denied", path.display()),
            std::io::ErrorKind::IsADirectory => format!("read {}: is a directory", path.display()),
            _ => format!("read {}: {error}", path.display()),
        };
        Failure::new(code::INPUT, format!("Error reading file: {reason}"))
    })
}

/// The format that is stated, else the one that the end of the name tells, else binary. A word that names none is passed over.
fn format_of(name: &Path, stated: &str) -> Format {
    let name = name.as_os_str().as_encoded_bytes();
    let suffixes: [(&[u8], Format); 5] = [
        (b".yaml", Format::Yaml),
        (b".yml", Format::Yaml),
        (b".json", Format::Json),
        (b".env", Format::Dotenv),
        (b".ini", Format::Ini),
    ];
    let told = suffixes.into_iter().find(|(suffix, _)| name.ends_with(suffix)).map(|(_, format)| format);
    let formats = [Format::Yaml, Format::Json, Format::Dotenv, Format::Ini, Format::Binary];
    let stated = formats.into_iter().find(|format| format.as_str() == stated);
    stated.or(told).unwrap_or(Format::Binary)
}

/// How a format is printed anew, with `indent` where it has any.
pub(super) fn layout(indent: Option<usize>) -> Layout {
    Layout { yaml: indent, json: indent, json_binary: indent }
}

fn columns(indent: Option<i64>) -> Result<Option<usize>, Failure> {
    match indent {
        None | Some(-1) => Ok(None),
        Some(indent) => usize::try_from(indent)
            .map(Some)
            .map_err(|_| Failure::new(code::DUMPING, "Error dumping file: indentation below 0 is not accepted")),
    }
}

/// What this command opens files with.
///
/// # Errors
/// A key service whose address is none, an order of kinds that names one twice.
pub(super) fn sources<'a>(run: &Run<'a>) -> Result<KeySources<'a>, Failure> {
    let order = DecryptionOrder::read_as_sops(&run.flags.text("decryption-order")).map_err(|error| match error {
        OrderError::Duplicate(kind) => {
            Failure::new(code::DUPLICATE_ORDER, format!("Duplicate decryption key type: {kind}"))
        }
        error => Failure::new(code::FAILED, error.to_string()),
    })?;
    let sources = IdentityArgs::default().sources(run.cx)?;
    let mut sources = key_services(run).join(sources, run.cx)?;
    sources.order = order;
    Ok(sources)
}

/// The key services that the flags name.
pub(super) fn key_services(run: &Run<'_>) -> KeyServiceArgs {
    KeyServiceArgs::new(run.flags.list("keyservice"), run.flags.is("enable-local-keyservice"))
}

/// Reads an encrypted file.
///
/// # Errors
/// In the words of sops.
pub(super) fn read_encrypted(bytes: Wiping<Vec<u8>>, format: Format) -> Result<EncryptedFile, Failure> {
    EncryptedFile::read_owned(bytes, format).map_err(|error| unreadable(error, format))
}

/// Why an encrypted file cannot be read.
pub(super) fn unreadable(error: ReadError, format: Format) -> Failure {
    match error {
        ReadError::Metadata(MetadataError::NotEncrypted) => {
            Failure::above(code::FAILED, "sops metadata not found", MetadataError::NotEncrypted)
        }
        ReadError::Metadata(error @ MetadataError::NoKeys { .. }) => {
            Failure::above(code::FAILED, "No keys found in file", error)
        }
        ReadError::Metadata(error) => Failure::of(code::FAILED, "", error),
        ReadError::Parse(error) => Failure::of(code::FAILED, parse_words(format), error),
        error => Failure::of(code::FAILED, "", error),
    }
}

/// How sops begins when it cannot read a document.
fn parse_words(format: Format) -> &'static str {
    match format {
        Format::Yaml => "Error unmarshaling input YAML",
        Format::Json | Format::Ini | Format::Binary => "Could not unmarshal input data",
        Format::Dotenv => "invalid dotenv input line",
    }
}

/// Why a plain document cannot be read.
pub(super) fn unparsable(error: bulla_doc::ParseError, format: Format) -> Failure {
    Failure::of(code::INPUT, &format!("Error unmarshalling file: {}", parse_words(format)), error)
}

/// Decrypts `file`; `--ignore-mac` passes over its MAC.
///
/// # Errors
/// In the words of sops.
pub(super) fn open<'f>(run: &Run<'_>, file: &'f EncryptedFile, ring: &KeySources<'_>) -> Result<Opened<'f>, Failure> {
    let key = block_on(file.data_key(ring)).map_err(report::failure)?;
    if run.flags.is("ignore-mac") {
        let (opened, _) = danger::open_ignoring_mac(file, &key).map_err(undecryptable)?;
        return Ok(opened);
    }
    let (opened, outcome) = danger::open_as_sops(file, &key).map_err(undecryptable)?;
    if let Err(error) = outcome {
        // sops cannot see it, and goes on.
        run.warn(&error.to_string());
    }
    Ok(opened)
}

fn undecryptable(error: DecryptError) -> Failure {
    match error {
        DecryptError::Read(error) => Failure::of(code::FAILED, "", error),
        DecryptError::DataKey(error) => report::failure(error),
        DecryptError::MissingMac => Failure::above(code::MAC, "MAC mismatch. File has no MAC", error),
        DecryptError::Mac { .. } => Failure::of(code::MAC, "Cannot decrypt MAC", error),
        DecryptError::MacMismatch => Failure::above(code::MAC, "MAC mismatch.", error),
        error => Failure::of(code::DECRYPTING, "Error decrypting tree: Error walking tree", error),
    }
}
