//! `bulla verify`

use std::collections::HashMap;
use std::path::PathBuf;

use bulla_crypto::{EncryptedValue, encoding};
use bulla_doc::{Document, Format, Node, Step};
use bulla_keys::Source;
use bulla_sops::{
    Coverage, DecryptError, EncryptedFile, KeyRing, METADATA_KEY, MetadataError, Place, ReadError, Status, StatusError,
};
use serde_json::{Value as Json, json};

use crate::app::Failure;
use crate::batch::{self, Notes, Outcome};
use crate::commands::decrypt::{OpeningArgs, may_be_encrypted};
use crate::commands::status::place_json;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::files::{FormatName, Origin, Selected, WalkArgs, format_of, read_selected, select};
use crate::shown;
use crate::wait::block_on;

/// Check that encrypted files are whole: without any key, or with one and the MAC
///
/// Without a key: the metadata is complete, every recipient is one and has the data key, every value that the rule selects has the form of
/// an encrypted one, none is plain, no two values share a nonce. With `--mac` the file is opened, too, and nothing is printed of it.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  bulla verify secrets/             for CI: no key is needed
  bulla verify --mac shop.yaml      whether it was changed after it was encrypted
  bulla verify --json .

The exit code is that of the first fault: 2 metadata, 25 a value, 51 the MAC does not fit, 52 no MAC, 128 no key (--mac).")]
pub(crate) struct VerifyArgs {
    /// Encrypted files, or directories with such files
    #[arg(value_name = "FILE", default_value = ".")]
    files: Vec<PathBuf>,

    /// Open the files and check the MAC, too
    #[arg(long)]
    mac: bool,

    /// Tell what was found as JSON on standard output; no value is in it
    #[arg(long)]
    json: bool,

    /// Format of the files, if their names do not tell
    #[arg(long, value_name = "FORMAT")]
    input_type: Option<FormatName>,

    #[command(flatten)]
    opening: OpeningArgs,

    #[command(flatten)]
    walk: WalkArgs,
}

/// So many faults of a kind are told of a file.
const MOST: usize = 100;
/// How many pairs of values that share a nonce are named.
const MOST_EQUAL: usize = 10;

/// Something that is wrong with a file.
struct Fault {
    kind: &'static str,
    exit: Exit,
    message: String,
    place: Option<Place>,
    hint: Option<&'static str>,
}

/// What was found out about a file.
struct Report {
    values: usize,
    mac: &'static str,
    /// What a MAC that fits covers: `everything`, if bulla wrote it, and `values`.
    covers: Option<&'static str>,
    faults: Vec<Fault>,
}

pub(crate) fn verify(cx: &Context, args: &VerifyArgs) -> Result<(), Failure> {
    let files = select(&args.files, args.walk, cx)?;
    let ring = if args.mac { Some(args.opening.identity.sources(cx)?) } else { None };
    let ring = ring.as_ref().map(|ring| ring as &dyn KeyRing);
    let (found, outcome) = batch::collect(cx, &files, "whole", |selected, notes| {
        let Some(report) = look(args, selected, ring, notes).map_err(|error| error.at(&selected.origin))? else {
            return Ok((Outcome::Skipped, None));
        };
        for fault in &report.faults {
            let error = CommandError::new(fault.exit, fault.message.clone()).at(&selected.origin);
            notes.error(fault.hint.into_iter().fold(error, CommandError::hint));
        }
        let outcome = report.faults.first().map_or(Outcome::Done, |fault| Outcome::Failed(fault.exit));
        Ok((outcome, Some(report)))
    });
    if args.json {
        let list: Vec<Json> = found.iter().map(|(file, report)| as_json(file, report)).collect();
        cx.print(shown::json(&Json::Array(list)).as_bytes())?;
    }
    outcome
}

fn as_json(file: &str, report: &Report) -> Json {
    let fault = |fault: &Fault| {
        json!({
            "fault": fault.kind,
            "exitCode": fault.exit as u8,
            "message": fault.message,
            "at": fault.place.as_ref().map(place_json),
        })
    };
    json!({
        "file": file,
        "whole": report.faults.is_empty(),
        "values": report.values,
        "mac": report.mac,
        "covers": report.covers,
        "faults": report.faults.iter().map(fault).collect::<Vec<_>>(),
    })
}

/// `None` for a file that was found and is not encrypted.
fn look(
    args: &VerifyArgs,
    selected: &Selected,
    ring: Option<&dyn KeyRing>,
    notes: &mut Notes,
) -> Result<Option<Report>, CommandError> {
    let source = read_selected(selected)?;
    if selected.found && !may_be_encrypted(&source.bytes) {
        return Ok(None);
    }
    let format = format_of(&source, args.input_type, None)?;
    let mut report = Report { values: 0, mac: "not checked", covers: None, faults: Vec::new() };
    let status = match bulla_sops::status(&source.bytes, format) {
        Ok(Some(status)) => status,
        Ok(None) if selected.found => return Ok(None),
        Ok(None) => return Err(MetadataError::NotEncrypted.into()),
        Err(StatusError::Read(ReadError::Metadata(error))) => {
            report.faults.push(of_metadata("metadata", CommandError::from(error).sentence()));
            return Ok(Some(report));
        }
        Err(error) => return Err(error.into()),
    };
    report.values = status.encrypted;
    let document = Document::parse(&source.bytes, format)?;
    of_keys(&status, &mut report.faults);
    of_values(&status, &document, &selected.origin, &mut report.faults, notes);
    if let Some(ring) = ring {
        report.mac = check_mac(args, &source.bytes, format, ring, &mut report)?;
    }
    for place in &status.plain_comments {
        notes.warn(format!("{}: the comment at {place} is plain, and encrypted by the file's rule", selected.origin));
    }
    Ok(Some(report))
}

fn of_metadata(kind: &'static str, message: String) -> Fault {
    let hint = Some("the `sops` entry was damaged, by hand or by a merge: restore it from Git");
    Fault { kind, exit: Exit::Input, message, place: None, hint }
}

/// Recipients that are none, or do not have the data key; a MAC that is none.
fn of_keys(status: &Status, faults: &mut Vec<Fault>) {
    let metadata = &status.metadata;
    for key in metadata.keys() {
        if let Err(error) = key.name().check() {
            faults.push(of_metadata("recipient", format!("the recipient {} is none: {error}", key.id())));
        } else if key.wrapped().as_str().trim().is_empty() {
            faults.push(of_metadata("recipient", format!("the recipient {} has no data key (`enc`)", key.id())));
        } else if !is_wrapped(key.source(), key.wrapped().as_str().trim()) {
            faults.push(of_metadata(
                "recipient",
                format!("the data key (`enc`) of the recipient {} is damaged", key.id()),
            ));
        }
    }
    for (number, group) in metadata.groups.iter().enumerate().filter(|(_, group)| group.is_empty()) {
        debug_assert!(group.is_empty());
        faults.push(of_metadata("group", format!("group {} of keys is empty: nobody has its share", number + 1)));
    }
    let groups = metadata.groups.len() as u64;
    if groups > 1 && metadata.shamir_threshold > groups {
        let needed = metadata.shamir_threshold;
        faults.push(of_metadata("group", format!("{needed} groups of keys are needed, and there are {groups}")));
    }
    match metadata.mac.as_deref() {
        None => {
            let message =
                "the file has no MAC: nothing tells whether its values are those that were encrypted".to_owned();
            let hint = Some("restore the file from Git");
            faults.push(Fault { kind: "mac", exit: Exit::MacMissing, message, place: None, hint });
        }
        Some(mac) => {
            if let Some(reason) = EncryptedValue::parse(mac).map_or(Some("it is not encrypted"), |mac| damage(&mac)) {
                faults.push(of_metadata("mac", format!("the MAC is broken: {reason}")));
            }
        }
    }
}

/// Does it have the form of a data key that keys of this kind wrapped? Whether it opens takes the key.
fn is_wrapped(source: Source, text: &str) -> bool {
    let is_armored = |what: &str| {
        text.starts_with(&format!("-----BEGIN {what}-----")) && text.ends_with(&format!("-----END {what}-----"))
    };
    let is_base64 = |text: &str| encoding::decode_go(text.as_bytes()).is_ok_and(|bytes| !bytes.is_empty());
    match source {
        Source::Age => is_armored("AGE ENCRYPTED FILE"),
        Source::Pgp => is_armored("PGP MESSAGE"),
        Source::Kms | Source::GcpKms => is_base64(text),
        Source::HcVault => {
            let version = text.strip_prefix("vault:v").and_then(|rest| rest.split_once(':'));
            version.is_some_and(|(version, wrapped)| version.parse::<u64>().is_ok() && is_base64(wrapped))
        }
        // Of these only the services know the form.
        Source::AzureKv | Source::HcKms => true,
    }
}

/// Values that are plain or damaged, and nonces that come twice.
fn of_values(status: &Status, document: &Document, origin: &Origin, faults: &mut Vec<Fault>, notes: &mut Notes) {
    for place in &status.plain {
        let message = format!("the value at {place} is plain, and encrypted by the file's rule");
        let hint = Some(
            "restore its line from Git, then set it with `bulla set`, which encrypts it; change it at its source, as it was readable",
        );
        faults.push(Fault { kind: "plain", exit: Exit::Value, message, place: Some(place.clone()), hint });
    }
    let mut equal: usize = 0;
    let mut nonces: HashMap<Vec<u8>, (Node<'_>, &str)> = HashMap::new();
    let entries = document.branches().flat_map(Node::children).filter(|entry| entry.key() != Some(METADATA_KEY));
    let texts = entries.flat_map(Node::walk).filter_map(|step| match step {
        Step::Leaf(node) if !node.is_expanded() && !node.is_alias() => Some((node, node.as_str()?)),
        Step::Comment(node) => Some((node, node.comment())),
        _ => None,
    });
    for (node, text) in texts {
        if faults.len() >= MOST {
            return;
        }
        let Some(value) = EncryptedValue::parse(text) else { continue };
        let place = || Place::of(node, document);
        if let Some(reason) = damage(&value) {
            let message = format!("the value at {} is broken: {reason}", place());
            let hint = Some("restore its line from Git; `git log -p` shows when it changed");
            faults.push(Fault { kind: "damaged", exit: Exit::Value, message, place: Some(place()), hint });
            continue;
        }
        let nonce = encoding::decode_go(value.iv.as_bytes()).unwrap_or_default();
        let Some((other, data)) = nonces.insert(nonce, (node, value.data)) else { continue };
        let both = || format!("the values at {} and {}", Place::of(other, document), place());
        if data != value.data {
            let message = format!("{} share a nonce: whoever knows one of them can compute the other", both());
            let hint = Some("change both values at their source, and `bulla rotate --all` the file");
            faults.push(Fault { kind: "nonce", exit: Exit::Value, message, place: Some(place()), hint });
            continue;
        }
        // SOPS does so with equal items of a list, and opens it.
        equal += 1;
        if equal <= MOST_EQUAL {
            notes.warn(format!(
                "{origin}: {} share a nonce, so everybody sees that they are equal; `bulla rotate --all` gives each its own",
                both()
            ));
        }
    }
    if equal > MOST_EQUAL {
        notes.warn(format!("{origin}: so do {} further pairs of values", equal - MOST_EQUAL));
    }
}

/// What is wrong with an encrypted value that can be seen without a key.
fn damage(value: &EncryptedValue<'_>) -> Option<&'static str> {
    const TAG: usize = 16;
    let length = |part: &str| encoding::decode_go(part.as_bytes()).ok().map(|bytes| bytes.len());
    match (length(value.data), length(value.iv), length(value.tag)) {
        (None, _, _) => Some("its data is not base64"),
        (_, None, _) => Some("its nonce is not base64"),
        (_, _, None) => Some("its tag is not base64"),
        (_, Some(0), _) => Some("its nonce is empty"),
        (_, _, Some(tag)) if tag != TAG => Some("its tag has another length than 16 bytes"),
        _ if value.type_name.parse::<bulla_crypto::ValueKind>().is_err() => Some("its type is unknown"),
        _ => None,
    }
}

/// Opens the file. What keys say is an error; what the file says is a fault.
fn check_mac(
    args: &VerifyArgs,
    bytes: &[u8],
    format: Format,
    ring: &dyn KeyRing,
    report: &mut Report,
) -> Result<&'static str, CommandError> {
    debug_assert!(args.mac);
    let file = EncryptedFile::read(bytes, format)?;
    let key = block_on(file.data_key(ring))?;
    let faults = &mut report.faults;
    let (kind, error) = match file.open(&key) {
        Ok(opened) => {
            report.covers = Some(if opened.coverage() == Coverage::Values { "values" } else { "everything" });
            return Ok("fits");
        }
        // Told already, without a key.
        Err(DecryptError::MissingMac) => return Ok("missing"),
        Err(DecryptError::Value { place, source }) => {
            if faults.iter().any(|fault| fault.place.as_ref() == Some(&place)) {
                return Ok("not checked");
            }
            let message = format!("the value at {place} does not open: {source}");
            let hint = Some("restore its line from Git; `git log -p` shows when it changed");
            faults.push(Fault { kind: "value", exit: Exit::Value, message, place: Some(place), hint });
            return Ok("not checked");
        }
        Err(error @ (DecryptError::Mac { .. } | DecryptError::MacMismatch)) => ("does not fit", error),
        Err(error @ (DecryptError::Structure | DecryptError::Comments | DecryptError::Comment { .. })) => {
            ("does not fit", error)
        }
        Err(error) => return Err(error.into()),
    };
    let fault = match error {
        DecryptError::Structure => "structure",
        DecryptError::Comments | DecryptError::Comment { .. } => "comment",
        _ => "mac",
    };
    let message = error.to_string();
    let place = if let DecryptError::Comment { place } = error { Some(place) } else { None };
    let hint = Some("look with `git log -p` for what changed");
    faults.push(Fault { kind: fault, exit: Exit::MacMismatch, message, place, hint });
    Ok(kind)
}
