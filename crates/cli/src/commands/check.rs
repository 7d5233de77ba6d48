//! `bulla check`

mod staged;

use std::fs;
use std::path::{Path, PathBuf};

use bulla_check::output::{self, Sarif};
use bulla_check::{Configuration, Report, Rule, Tree, check as check_file};
use bulla_wipe::Wiping;
use ignore::WalkBuilder;
use rayon::prelude::*;

use crate::app::Failure;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::files::{read_bytes, read_file};
use staged::{Index, Staged, staged};

/// Files that are found in a directory and are larger hold no manifests.
const LARGEST: u64 = 16 << 20;

/// Find secrets in plain text, and encrypted files that are not what they say
///
/// Every file that Git does not ignore is looked at, whatever its name. No key is needed, and no output holds a value. The rules are
/// in docs/check.md.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  bulla check                                  everything below this directory; exit code 1 if something is found
  bulla check --staged                         what would be committed now, for a pre-commit hook
  bulla check --format sarif > bulla.sarif     for code scanning
  bulla check --without KS006 clusters/        all rules but one")]
pub(crate) struct CheckArgs {
    /// Files and directories; this directory if none is named
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Look at what would be committed now, as it is in Git's index
    #[arg(long, conflicts_with = "no_ignore")]
    staged: bool,

    /// How findings are written to standard output
    #[arg(long, value_enum, default_value_t = FormatName::Text, value_name = "FORMAT")]
    format: FormatName,

    /// Leave out this rule
    #[arg(long, value_name = "RULE", value_parser = parse_rule)]
    without: Vec<Rule>,

    /// Files that cannot be read as what they say they are count as findings
    #[arg(long)]
    strict: bool,

    /// Look at files that Git ignores, too
    #[arg(long)]
    no_ignore: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum FormatName {
    /// For people
    Text,
    /// For programs
    Json,
    /// SARIF 2.1.0, for code scanning
    Sarif,
    /// Workflow commands, which GitHub shows beside the code
    Github,
}

fn parse_rule(id: &str) -> Result<Rule, String> {
    id.parse::<Rule>().map_err(|error| error.to_string())
}

pub(crate) fn check(cx: &Context, args: &CheckArgs) -> Result<(), Failure> {
    let configuration = Configuration { disabled: args.without.clone() };
    let results: Vec<_> = if args.staged {
        let one = |file: &Staged| Ok(check_file(&file.path, &file.bytes, &Index, &configuration));
        staged(&args.files)?.par_iter().map(one).collect()
    } else {
        let one = |file: &PathBuf| -> Result<Report, CommandError> {
            let source = read_file(file)?;
            Ok(check_file(&shown(file), &source.bytes, &Beside { no_ignore: args.no_ignore }, &configuration))
        };
        select(&args.files, args.no_ignore)?.par_iter().map(one).collect()
    };
    let files = results.len();

    let mut reports = Vec::new();
    let mut failed = Vec::new();
    for result in results {
        match result {
            Ok(report) if report.findings.is_empty() && report.unread.is_none() => {}
            Ok(report) => reports.push(report),
            Err(error) => {
                cx.show(&error);
                failed.push(error.exit());
            }
        }
    }
    cx.print(written(&reports, args.format).as_bytes())?;
    let found: usize = reports.iter().map(|report| report.findings.len()).sum();
    let unread = reports.iter().filter(|report| report.unread.is_some()).count();
    cx.status(summary(files, found, unread));
    if found > 0 || (args.strict && unread > 0) {
        failed.push(Exit::Failed);
    }
    Failure::of_codes(failed).map_or(Ok(()), Err)
}

fn written(reports: &[Report], format: FormatName) -> String {
    match format {
        FormatName::Text => output::text(reports),
        FormatName::Json => format!("{:#}\n", output::json(reports)),
        FormatName::Sarif => {
            let about = Sarif { version: env!("CARGO_PKG_VERSION"), documentation: "docs/check.md" };
            format!("{:#}\n", output::sarif(reports, about))
        }
        FormatName::Github => output::annotations(reports),
    }
}

fn summary(files: usize, found: usize, unread: usize) -> String {
    let count = |number: usize, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
    let mut line = format!("{} checked, {}", count(files, "file"), count(found, "finding"));
    if unread > 0 {
        line = format!("{line}, {unread} not read");
    }
    line
}

/// As it is shown, and as rules see it: with `/`, without `./` before it.
fn shown(file: &Path) -> String {
    let shown = file.to_string_lossy();
    shown.strip_prefix("./").unwrap_or(&shown).to_owned()
}

/// The files that `paths` mean, each once and in order. Names that begin with a dot count: `.env` is one.
fn select(paths: &[PathBuf], no_ignore: bool) -> Result<Vec<PathBuf>, CommandError> {
    let here = [PathBuf::from(".")];
    let mut files = Vec::new();
    for path in if paths.is_empty() { &here } else { paths } {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let first = files.len();
        for entry in walk(path, no_ignore).build() {
            let entry = entry.map_err(|error| CommandError::new(Exit::Input, error).at(path.display()))?;
            let is_file = entry.file_type().is_some_and(|kind| kind.is_file());
            if is_file && entry.metadata().is_ok_and(|metadata| metadata.len() <= LARGEST) {
                files.push(entry.into_path());
            }
        }
        files[first..].sort();
    }
    let mut seen = std::collections::HashSet::new();
    files.retain(|file| seen.insert(file.clone()));
    Ok(files)
}

fn walk(directory: &Path, no_ignore: bool) -> WalkBuilder {
    let mut builder = WalkBuilder::new(directory);
    builder
        .hidden(false)
        .ignore(false)
        .git_ignore(!no_ignore)
        .git_exclude(!no_ignore)
        .git_global(!no_ignore)
        .parents(!no_ignore)
        .filter_entry(|entry| entry.file_name() != ".git");
    builder
}

/// The files beside the one that is looked at, as far as Git has them.
struct Beside {
    no_ignore: bool,
}

impl Tree for Beside {
    fn read(&self, path: &str) -> Option<Wiping<Vec<u8>>> {
        let path = Path::new(path);
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.len() <= LARGEST) {
            return None;
        }
        let mut entries = walk(directory, self.no_ignore).max_depth(Some(1)).build().filter_map(Result::ok);
        entries.find(|entry| Some(entry.file_name()) == path.file_name())?;
        read_bytes(path).ok()
    }
}
