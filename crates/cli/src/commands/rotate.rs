//! `bulla rotate`

use std::fmt::Write as _;
use std::path::PathBuf;

use bulla_doc::Format;
use bulla_keys::{KeyId, MasterKey};
use bulla_sops::{Difference, EncryptedFile, KeyEntry, KeyRing, MetadataError, NothingSelected, ReadError, Recipe};
use serde_json::json;

use crate::app::Failure;
use crate::batch::{self, Notes, Outcome};
use crate::calls::{Calls, Counter, Opening, opening};
use crate::commands::decrypt::{OpeningArgs, may_be_encrypted};
use crate::context::Context;
use crate::error::{CommandError, InFile as _};
use crate::exit::Exit;
use crate::files::{Selected, Source, WalkArgs, format_of, read_selected, replace, select};
use crate::recipients::{NoRecipe, RecipeArgs, Recipients};
use crate::shown::{self, one_line};
use crate::wait::block_on;

/// Give files a new data key, for whoever the rules name as readers
///
/// Files that agree with their rule are passed over, unless `--all` is given; what no rule and no option names stays as it is in the file.
/// A reader who leaves knows the old data key, so whoever joins or leaves, the data key is a new one, and so is every byte of
/// ciphertext.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  bulla rotate --plan secrets/                 who would join and leave, file by file; nothing is written
  bulla rotate secrets/                        do it
  bulla rotate --check .                       for CI: exit code 1 if a file does not agree with its rule
  bulla rotate --all --before 2026-10-01 .     a new data key for whatever was last written before that day")]
#[expect(clippy::struct_excessive_bools, reason = "the flags of a command line")]
pub(crate) struct RotateArgs {
    /// Encrypted files, or directories with such files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Tell what would be done, and write nothing
    #[arg(long)]
    plan: bool,

    /// As --plan; with exit code 1 if there is something to do
    #[arg(long, conflicts_with = "plan")]
    check: bool,

    /// Files that agree with their rule, too
    #[arg(long)]
    all: bool,

    /// Only files that were last written before this day or time (RFC 3339). After an interruption, what is done already is passed over
    /// so
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    before: Option<jiff::Timestamp>,

    /// Tell what was done, or would be, as JSON on standard output
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    recipe: RecipeArgs,

    #[command(flatten)]
    opening: OpeningArgs,

    #[command(flatten)]
    walk: WalkArgs,
}

/// A day is its first moment in UTC.
fn parse_time(text: &str) -> Result<jiff::Timestamp, String> {
    let moment = if text.contains('T') { text.to_owned() } else { format!("{text}T00:00:00Z") };
    moment.parse().map_err(|_| "expected a day (2026-10-01) or a time (2026-10-01T12:00:00Z)".to_owned())
}

/// What is to be done to a file, and why.
#[derive(Debug)]
struct Entry {
    difference: Difference,
    /// Whether it is rotated, or would be.
    rotates: bool,
    /// Who can open it afterwards.
    readers: Vec<KeyId>,
    /// The call of a service that opens it now.
    opening: Opening,
    /// The calls that it takes, or took.
    calls: Calls,
}

pub(crate) fn rotate(cx: &Context, args: &RotateArgs) -> Result<(), Failure> {
    let recipients = args.recipe.check(cx)?.with_services(&args.opening.identity.key_services, cx)?;
    let files = select(&args.files, args.walk, cx)?;
    let ring = args.opening.identity.sources(cx)?;
    let dry = args.plan || args.check;
    let done = if dry { "to rotate" } else { "rotated" };
    let (mut entries, outcome) = batch::collect(cx, &files, done, |selected, notes| {
        let entry =
            rotate_one(cx, args, selected, &recipients, &ring, notes).map_err(|error| error.at(&selected.origin))?;
        let rotates = entry.as_ref().is_some_and(|entry| entry.rotates);
        Ok((if rotates { Outcome::Done } else { Outcome::Skipped }, entry))
    });
    let mut counter = Counter::default();
    for (_, entry) in entries.iter_mut().filter(|(_, entry)| entry.rotates) {
        entry.calls = counter.count(&entry.opening, &entry.readers);
    }
    if args.json {
        cx.print(as_json(&entries, dry).as_bytes())?;
    } else if dry {
        cx.print(as_text(&entries).as_bytes())?;
        if !counter.total.is_none() {
            cx.status(format_args!("calls of services, at most: {}", counter.total));
        }
    }
    if !dry {
        tell_who_left(cx, &entries);
    }
    outcome?;
    if args.check && entries.iter().any(|(_, entry)| entry.rotates) {
        return Err(Exit::Failed.into());
    }
    Ok(())
}

/// `None` for a file that is not encrypted.
fn rotate_one(
    cx: &Context,
    args: &RotateArgs,
    selected: &Selected,
    recipients: &Recipients<'_>,
    ring: &dyn KeyRing,
    notes: &mut Notes,
) -> Result<Option<Entry>, CommandError> {
    let source = read_selected(selected)?;
    if selected.found && !may_be_encrypted(&source.bytes) {
        return Ok(None);
    }
    let format = format_of(&source, None, None)?;
    let Source { origin, bytes } = source;
    let Some(path) = origin.path() else {
        return Err(CommandError::new(Exit::Usage, "standard input cannot be rotated: files are written in place"));
    };
    let file = match EncryptedFile::read_owned(bytes, format) {
        Err(ReadError::Metadata(MetadataError::NotEncrypted)) if selected.found => return Ok(None),
        file => file?,
    };
    let recipe = match recipients.for_file(Some(path)) {
        Ok(recipe) => Some(recipe.for_encrypted(file.metadata())),
        Err(NoRecipe::NoRuleMatches(_)) => None,
        Err(NoRecipe::Failed(error)) if error.exit() == Exit::NoRecipient => None,
        Err(error) => return Err(error.into()),
    };
    let rotate = |recipe: &Recipe<'_>| rotate_for(cx, args, selected, &file, format, recipe, ring, notes).map(Some);
    match recipe {
        Some(recipe) => recipe.with(cx, rotate),
        None => with_own_readers(cx, &file, ring, rotate),
    }
}

/// Calls `use_it` with what the file says about itself: no rule says anything else.
fn with_own_readers<T>(
    cx: &Context,
    file: &EncryptedFile,
    ring: &dyn KeyRing,
    use_it: impl FnOnce(&Recipe<'_>) -> Result<T, CommandError>,
) -> Result<T, CommandError> {
    let metadata = file.metadata();
    let key = |entry: &KeyEntry| {
        ring.master_key(entry).ok_or_else(|| {
            CommandError::new(Exit::NoRecipient, format!("its reader {} cannot be encrypted for here", entry.id()))
                .hint("name the readers with `--age`, or in a rule")
        })
    };
    let groups = metadata.groups.iter().map(|group| group.iter().map(key).collect::<Result<Vec<_>, _>>());
    let groups = groups.collect::<Result<Vec<_>, _>>()?;
    let groups: Vec<Vec<&dyn MasterKey>> =
        groups.iter().map(|group| group.iter().map(AsRef::as_ref).collect()).collect();
    use_it(&Recipe {
        groups: &groups,
        threshold: metadata.threshold(),
        selector: &metadata.selector,
        mac_only_encrypted: metadata.mac_only_encrypted,
        nothing_selected: NothingSelected::Allow,
        now: cx.now(),
    })
}

#[expect(clippy::too_many_arguments, reason = "all that one file needs, passed on once")]
fn rotate_for(
    cx: &Context,
    args: &RotateArgs,
    selected: &Selected,
    file: &EncryptedFile,
    format: Format,
    recipe: &Recipe<'_>,
    ring: &dyn KeyRing,
    notes: &mut Notes,
) -> Result<Entry, CommandError> {
    let difference = Difference::between(file.metadata(), recipe);
    let last = file.metadata().last_modified.to_string().parse::<jiff::Timestamp>();
    let is_old = args.before.is_none_or(|before| last.is_ok_and(|last| last < before));
    let rotates = (args.all || !difference.is_none()) && is_old;
    let readers = recipe.groups.iter().flatten().map(|key| key.name().id()).collect();
    let entry = Entry { difference, rotates, readers, opening: opening(file.metadata()), calls: Calls::default() };
    if !rotates || args.plan || args.check {
        return Ok(entry);
    }
    let opened = args.opening.open(file, ring, &selected.origin, notes)?;
    let rotated = block_on(opened.rotate(recipe, &mut cx.rng()?))?;
    for place in &rotated.summary.plain_copies {
        notes.warn(format!("{}: the alias at {place} is a copy in plain text now", selected.origin));
    }
    // What is written is read once more: it names these readers and no others.
    let after = EncryptedFile::read(&rotated.bytes, format)?;
    let stray = Difference::between(after.metadata(), recipe);
    if !stray.is_none() {
        return Err(CommandError::new(Exit::Failed, "the rotated file is not for the readers that were asked for"));
    }
    if let Some(path) = selected.origin.path() {
        replace(path, &file.document().to_bytes(), &rotated.bytes).in_file(path)?;
    }
    Ok(entry)
}

fn names(keys: &[KeyId]) -> Vec<&str> {
    keys.iter().map(|key| key.name.as_str()).collect()
}

fn as_json(entries: &[(String, Entry)], dry: bool) -> String {
    let entry = |(file, entry): &(String, Entry)| {
        json!({
            "file": file,
            "action": match (entry.rotates, dry) {
                (false, _) => "none",
                (true, true) => "rotate",
                (true, false) => "rotated",
            },
            "joins": names(&entry.difference.joins),
            "leaves": names(&entry.difference.leaves),
            "readers": names(&entry.readers),
            "selectorChanges": entry.difference.selector.is_some(),
            "macChanges": entry.difference.mac,
            "groupsChange": entry.difference.groups,
            "calls": entry.calls.to_json(),
        })
    };
    let list: Vec<_> = entries.iter().map(entry).collect();
    shown::json(&list.into())
}

fn as_text(entries: &[(String, Entry)]) -> String {
    let mut text = String::new();
    for (file, Entry { difference, .. }) in entries.iter().filter(|(_, entry)| entry.rotates) {
        let _ = writeln!(text, "{}", one_line(file));
        let lines = [("joins", &difference.joins), ("leaves", &difference.leaves)];
        for (what, key) in lines.iter().flat_map(|(what, keys)| keys.iter().map(move |key| (what, key))) {
            let _ = writeln!(text, "  {what:<7} {key}");
        }
        if let Some(selector) = &difference.selector {
            let _ =
                writeln!(text, "  what is encrypted changes; now: {}: {}", selector.kind(), one_line(selector.text()));
        }
        if difference.mac {
            let _ = writeln!(text, "  what the MAC covers changes");
        }
        if difference.groups {
            let _ = writeln!(text, "  the groups of keys change, or how many of them are needed");
        }
        if difference.is_none() {
            let _ = writeln!(text, "  the same readers, a new data key");
        }
    }
    text
}

/// A key that was taken off the list opened what was there until now.
fn tell_who_left(cx: &Context, entries: &[(String, Entry)]) {
    let mut left: Vec<(&KeyId, usize)> = Vec::new();
    for key in entries.iter().filter(|(_, entry)| entry.rotates).flat_map(|(_, entry)| &entry.difference.leaves) {
        match left.iter_mut().find(|(known, _)| *known == key) {
            Some((_, files)) => *files += 1,
            None => left.push((key, 1)),
        }
    }
    for (key, files) in &left {
        cx.status(format_args!("{key} opens {files} of these files no more"));
    }
    if !left.is_empty() {
        cx.status("what they could read is in the history of the repository: change those values where they come from");
    }
}
