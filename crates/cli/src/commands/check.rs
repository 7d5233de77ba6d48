//! `bulla check`

mod fix;
mod select;
mod staged;

use std::path::PathBuf;

use bulla_check::output::{self, Sarif};
use bulla_check::{Configuration, Report, Rule, Tree, check as check_file};
use rayon::prelude::*;

use crate::app::Failure;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::files::read_file;
use crate::shown;
use fix::{File, FixArgs, fix};
use select::{Beside, select, shown};
use staged::{Index, Staged, staged};

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
  bulla check --without KS006 clusters/        all rules but one
  bulla check --fix                            encrypt what is plain, by the rules in .sops.yaml
  bulla check --fix --plan --cert cert.pem     what would be encrypted or sealed, and what cannot be")]
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

    #[command(flatten)]
    fixing: FixArgs,
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

/// What is looked at.
enum Files {
    Tree { files: Vec<PathBuf>, beside: Beside },
    Index(Vec<Staged>),
}

type Looked = Result<Report, CommandError>;

pub(crate) fn check(cx: &Context, args: &CheckArgs) -> Result<(), Failure> {
    let configuration = Configuration { disabled: args.without.clone() };
    let files = Files::select(cx, args)?;
    let mut results: Vec<Looked> = files.look(&configuration, |_| true);
    let mut failed = Vec::new();
    let before = count(&results);
    if args.fixing.fix {
        let fixed = files.fix(cx, &args.fixing, &results, &configuration);
        failed.extend(fixed.err().inspect(|error| cx.show(error)).map(|_| Exit::Failed));
        if !args.fixing.plan {
            files.look_again(cx, args, &mut results, &configuration)?;
        }
        let reports: Vec<&Report> = results.iter().flatten().collect();
        fix::tell_what_is_left(cx, &reports);
    }
    let files = results.len();
    let found = count(&results);

    let mut reports = Vec::new();
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
    let unread = reports.iter().filter(|report| report.unread.is_some()).count();
    cx.status(summary(files, args.fixing.fix.then(|| before.saturating_sub(found)), found, unread));
    if found > 0 || (args.strict && unread > 0) {
        failed.push(Exit::Failed);
    }
    Failure::of_codes(failed).map_or(Ok(()), Err)
}

fn count(results: &[Looked]) -> usize {
    results.iter().flatten().map(|report| report.findings.len()).sum()
}

impl Files {
    fn select(cx: &Context, args: &CheckArgs) -> Result<Self, CommandError> {
        if args.staged {
            return Ok(Self::Index(staged(&args.files)?));
        }
        let files = select(cx, &args.files, args.no_ignore)?;
        let beside = Beside::new(&files, args.no_ignore);
        Ok(Self::Tree { files, beside })
    }

    /// Looks at those files that are `wanted`, by their number.
    fn look(&self, configuration: &Configuration, wanted: impl Fn(usize) -> bool + Sync) -> Vec<Looked> {
        match self {
            Self::Tree { files, beside } => {
                let wanted = files.par_iter().enumerate().filter(|(number, _)| wanted(*number));
                let one = |(_, file): (usize, &PathBuf)| {
                    let source = read_file(file)?;
                    Ok(check_file(&shown(file), &source.bytes, beside, configuration))
                };
                wanted.map(one).collect()
            }
            Self::Index(files) => {
                let wanted = files.par_iter().enumerate().filter(|(number, _)| wanted(*number));
                wanted.map(|(_, file)| Ok(check_file(&file.shown, &file.bytes, &Index, configuration))).collect()
            }
        }
    }

    fn fix(
        &self,
        cx: &Context,
        args: &FixArgs,
        results: &[Looked],
        configuration: &Configuration,
    ) -> Result<(), CommandError> {
        let files: Vec<File<'_>> = match self {
            Self::Tree { files, .. } => files.iter().map(|file| File::Tree(file)).collect(),
            Self::Index(files) => files.iter().map(File::Staged).collect(),
        };
        let tree: &(dyn Tree + Sync) = match self {
            Self::Tree { beside, .. } => beside,
            Self::Index(_) => &Index,
        };
        let of_reports =
            files.into_iter().zip(results).filter_map(|(file, result)| Some((file, result.as_ref().ok()?)));
        let found: Vec<_> = of_reports.filter(|(_, report)| !report.findings.is_empty()).collect();
        if found.is_empty() { Ok(()) } else { fix(cx, args, &found, configuration, tree) }
    }

    /// Looks once more at the files that had findings: as they are now, whatever was done to them.
    fn look_again(
        self,
        cx: &Context,
        args: &CheckArgs,
        results: &mut [Looked],
        configuration: &Configuration,
    ) -> Result<(), CommandError> {
        let had_findings = |result: &Looked| result.as_ref().is_ok_and(|report| !report.findings.is_empty());
        if !results.iter().any(had_findings) {
            return Ok(());
        }
        let now = match self {
            Self::Tree { .. } => self,
            // The index is read anew; in it, a file may have another place.
            Self::Index(files) => {
                let Self::Index(mut now) = Self::select(cx, args)? else { return Ok(()) };
                let place = |file: &Staged| files.iter().position(|old| old.path == file.path);
                now.retain(|file| place(file).is_some());
                now.sort_by_key(place);
                if now.len() != files.len() {
                    return Err(CommandError::new(Exit::ChangedMeanwhile, "other files are staged now")
                        .hint("run the command again"));
                }
                Self::Index(now)
            }
        };
        let places: Vec<usize> =
            results.iter().enumerate().filter(|(_, result)| had_findings(result)).map(|(place, _)| place).collect();
        let looked = now.look(configuration, |number| places.binary_search(&number).is_ok());
        for (place, result) in places.into_iter().zip(looked) {
            results[place] = result;
        }
        Ok(())
    }
}

fn written(reports: &[Report], format: FormatName) -> String {
    match format {
        FormatName::Text => output::text(reports),
        FormatName::Json => shown::json(&output::json(reports)),
        FormatName::Sarif => {
            let about = Sarif { version: env!("CARGO_PKG_VERSION"), documentation: "docs/check.md" };
            shown::json(&output::sarif(reports, about))
        }
        FormatName::Github => output::annotations(reports),
    }
}

fn summary(files: usize, fixed: Option<usize>, found: usize, unread: usize) -> String {
    let count = |number: usize, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
    let findings = match fixed {
        Some(fixed) => format!("{} fixed, {found} left", count(fixed, "finding")),
        None => count(found, "finding"),
    };
    let unread = if unread > 0 { format!(", {unread} not read") } else { String::new() };
    format!("{} checked, {findings}{unread}", count(files, "file"))
}
