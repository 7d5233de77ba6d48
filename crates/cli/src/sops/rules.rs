//! The configuration: `--config`, `SOPS_CONFIG`, or the `.sops.yaml` of the current directory or of one above it. sops looks from there
//! and not from the file, so that is what happens under its name. A broken configuration makes every command fail.
//!
//! Keys that mean nothing are passed over as by sops, with a warning on a terminal: a misspelt selector leaves values in plain text.

use std::path::{Path, PathBuf};

use bulla_doc::Format;
use bulla_sops::rules::{FILE_NAME, Rules, RulesError, UnknownKeys};

use crate::error::CommandError;
use crate::recipients::absolute;

use super::Run;
use super::failure::{Failure, code};
use super::file::read_file;
use super::go::quoted;

/// How often it is looked one directory further up.
const DEEPEST: usize = 100;

/// The name that people expect, too.
const OTHER_NAME: &str = ".sops.yml";

/// A configuration that was read.
pub(super) struct Configuration {
    pub(super) path: PathBuf,
    pub(super) rules: Rules,
}

/// The columns by which a configuration has files of this format indented, if there is one.
///
/// # Errors
/// If it cannot be read.
pub(super) fn indent(run: &Run<'_>, format: Format) -> Result<Option<i64>, Failure> {
    let Some(configuration) = configuration(run)? else { return Ok(None) };
    let stores = configuration.rules.stores();
    Ok(match format {
        Format::Yaml => Some(stores.yaml),
        Format::Json => Some(stores.json),
        Format::Binary => Some(stores.json_binary),
        Format::Dotenv | Format::Ini => None,
    })
}

/// The configuration of this run, if there is one.
///
/// # Errors
/// If it cannot be read.
pub(super) fn configuration(run: &Run<'_>) -> Result<Option<Configuration>, Failure> {
    let given = run.global.raw("config");
    let path = if given.is_empty() { find(run)? } else { Some(PathBuf::from(given)) };
    path.map(|path| load(run, path)).transpose()
}

/// The configuration of a command that cannot do without.
///
/// # Errors
/// If there is none, or it cannot be read.
pub(super) fn required(run: &Run<'_>) -> Result<Configuration, Failure> {
    configuration(run)?.ok_or_else(|| Failure::new(code::FAILED, "config file not found"))
}

fn load(run: &Run<'_>, path: PathBuf) -> Result<Configuration, Failure> {
    let text = read_file(&path).map_err(|failure| {
        let reason = failure.message().replace("Error reading file: ", "");
        Failure::new(code::FAILED, format!("could not read config file: {reason}"))
    })?;
    let directory = absolute(&path).map_err(Failure::from)?.parent().map(Path::to_path_buf).unwrap_or_default();
    let broken = |error: RulesError| {
        Failure::of(code::FAILED, "error loading config", CommandError::from(error).at(path.display()))
    };
    let rules = Rules::read(&text, &directory, UnknownKeys::Ignore).map_err(broken)?;
    // Programs that call sops put what it says into what it prints (helm-secrets), and SOPS' own tests have a key that nobody knows.
    if run.cx.stderr_is_terminal()
        && run.warns_of_configuration()
        && let Err(error) = Rules::read(&text, &directory, UnknownKeys::Refuse)
    {
        run.warn(&format!("{}: {error}", path.display()));
    }
    Ok(Configuration { path, rules })
}

/// The `.sops.yaml` that counts here.
fn find(run: &Run<'_>) -> Result<Option<PathBuf>, Failure> {
    let here = absolute(Path::new(".")).map_err(Failure::from)?;
    let mut other = None;
    let mut found = None;
    for directory in here.ancestors().take(DEEPEST) {
        if directory.join(FILE_NAME).exists() {
            found = Some(directory.join(FILE_NAME));
            break;
        }
        if other.is_none() && directory.join(OTHER_NAME).exists() {
            other = Some(directory.join(OTHER_NAME));
        }
    }
    if let Some(other) = other.filter(|_| run.warns_of_configuration()) {
        let other = quoted(&other.to_string_lossy());
        let instead = match &found {
            Some(found) => format!("; using {} instead", quoted(&found.to_string_lossy())),
            None => String::new(),
        };
        run.warn(&format!(
            "ignoring {other} when searching for config file; the config file must be called \"{FILE_NAME}\"{instead}"
        ));
    }
    Ok(found)
}
