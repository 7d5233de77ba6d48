//! The performance table: bulla and the programs it replaces do the same work in the same run, and the ratio counts.
//!
//! ```text
//! inputs ──▶ files ──▶ measure(peer), measure(bulla), in turn, N times ──▶ medians ──▶ table (Markdown)
//! ```
//!
//! `benches/run.sh` builds what is measured and calls this. Inputs come from a fixed seed. What each program made is checked:
//! sops opens what bulla encrypted and the reverse, and bulla gives the input back byte for byte. This program holds no
//! document in memory: Linux counts the peak of the process that starts a program as the program's own.

mod check;
mod cluster;
mod controller;
mod external;
mod files;
mod inputs;
mod manifests;
mod measure;
mod sealing;
mod table;
mod tree;

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::table::Row;

/// What to measure, from the command line.
#[expect(clippy::struct_excessive_bools, reason = "the flags of a command line")]
struct Options {
    /// The release build that is measured.
    bulla: PathBuf,
    /// With the 10 MB file, for which sops takes minutes.
    large: bool,
    /// The controllers instead of files.
    controller: bool,
    /// The controllers that read external stores instead of files.
    external: bool,
    /// Only the trees of files.
    tree: bool,
    /// Only what looks for plain secrets.
    check: bool,
}

fn main() -> ExitCode {
    let options = match parse(std::env::args_os().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            say(&message);
            return ExitCode::from(2);
        }
    };
    let folder = tempfile::tempdir().expect("a folder for the inputs can be made");
    if options.controller {
        let table = controller::measure(&options.bulla, folder.path());
        std::io::stdout().lock().write_all(table.as_bytes()).expect("standard output takes the table");
        return ExitCode::SUCCESS;
    }
    if options.external {
        let table = external::measure(&options.bulla);
        std::io::stdout().lock().write_all(table.as_bytes()).expect("standard output takes the table");
        return ExitCode::SUCCESS;
    }
    if options.check {
        let (table, holds) = check::measure(&options.bulla, folder.path());
        std::io::stdout().lock().write_all(table.as_bytes()).expect("standard output takes the table");
        return if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let mut rows: Vec<Row> = Vec::new();
    tree::measure(&options.bulla, folder.path(), &mut rows);
    let (mut checks, mut holds) = (String::new(), true);
    if !options.tree {
        files::measure(&options.bulla, folder.path(), options.large, &mut rows);
        sealing::measure(&options.bulla, folder.path(), &mut rows);
        (checks, holds) = check::measure(&options.bulla, folder.path());
    }
    let mut out = std::io::stdout().lock();
    let floor = measure::floor(&folder.path().join("nothing"));
    write!(out, "{}{checks}", table::render(&rows, floor)).expect("standard output takes the table");
    if holds && rows.iter().all(Row::holds) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Options, String> {
    let mut bulla = None;
    let (mut large, mut controller, mut external, mut tree, mut check) = (false, false, false, false, false);
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        match argument.to_str() {
            Some("--bulla") => bulla = arguments.next().map(PathBuf::from),
            Some("--large") => large = true,
            Some("--controller") => controller = true,
            Some("--external") => external = true,
            Some("--tree") => tree = true,
            Some("--check") => check = true,
            _ => return Err(format!("unknown argument: {}", argument.display())),
        }
    }
    let bulla =
        bulla.ok_or("usage: bulla-benches --bulla PROGRAM [--large | --controller | --external | --tree | --check]")?;
    // The programs run in other folders.
    let bulla = std::path::absolute(&bulla).map_err(|error| format!("{}: {error}", bulla.display()))?;
    Ok(Options { bulla, large, controller, external, tree, check })
}

/// Progress, on standard error: the table alone goes to standard output.
fn say(message: &str) {
    // A closed standard error is no reason to stop measuring.
    writeln!(std::io::stderr(), "bench: {message}").ok();
}
