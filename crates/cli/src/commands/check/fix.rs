//! `bulla check --fix`: what is plain is encrypted by the path's rule, or sealed, where it lies.
//!
//! ```text
//! findings of a file ─ way: a rule of .sops.yaml is for it ─▶ encrypt ─┐
//!                         ╰ none is, and there is a certificate ─▶ seal ─┴─ checked once more ─ written whole or not at all
//! ```
//! The content is made in memory and looked at as any other; it is only written if what it is made for is gone. With `--staged` the
//! file of the work tree is what is changed, and only if it is what is staged: then both become the same again.

mod seal;

use std::path::{Path, PathBuf};

use bulla_check::{Alone, Configuration, Finding, Report, Rule, Tree, check as check_file};
use bulla_sealed::Certificate;
use bulla_wipe::Wiping;
use rayon::prelude::*;

use crate::cluster::{certificate_at, valid};
use crate::context::Context;
use crate::error::{CommandError, InFile as _};
use crate::exit::Exit;
use crate::files::{manifest_format_of_name, read_bytes, replace};
use crate::git;
use crate::recipients::{FileRecipe, NoRecipe, RecipeArgs, Recipients};

use super::staged::{Staged, is_for_one_commit, object_of, restage};

/// What is done about findings.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Fixing")]
pub(super) struct FixArgs {
    /// Encrypt what is plain by the rule in .sops.yaml for its path; without a rule, seal Secrets with the certificate of --cert
    ///
    /// Files are changed in place, whole or not at all. With --staged, so is what is staged, if the file holds nothing else. What
    /// cannot be fixed is said, with why, and the exit code is 1.
    #[arg(long)]
    pub(super) fix: bool,

    /// Tell what --fix would do, and write nothing
    #[arg(long, requires = "fix")]
    pub(super) plan: bool,

    /// Certificate to seal with: a file, or an address (http:// or https://)
    #[arg(long, value_name = "FILE|URL", env = "SEALED_SECRETS_CERT", hide_env_values = true)]
    cert: Option<String>,

    /// Take the rules from this file and not from the .sops.yaml above the file
    #[arg(long, value_name = "FILE", env = "SOPS_CONFIG", hide_env_values = true)]
    config: Option<PathBuf>,
}

/// A file with findings.
pub(super) enum File<'f> {
    /// In the work tree.
    Tree(&'f Path),
    /// In the index.
    Staged(&'f Staged),
}

/// How a file is mended.
enum Way {
    Encrypt(Box<FileRecipe>),
    Seal,
}

/// A file that is mended, not yet written.
struct Mended {
    bytes: Wiping<Vec<u8>>,
    /// What was done to it.
    done: String,
    warnings: Vec<String>,
}

/// All that mending needs.
struct Mender<'m> {
    cx: &'m Context,
    plan: bool,
    certificate: Option<Certificate>,
    configuration: &'m Configuration,
    tree: &'m (dyn Tree + Sync),
    /// The top of the work tree, for what is staged.
    top: PathBuf,
}

/// Mends what can be mended, and tells it. Errors are told; what is left is found by looking again.
///
/// # Errors
/// If no file can be mended: the certificate cannot be had, the index is one that does not stay.
pub(super) fn fix(
    cx: &Context,
    args: &FixArgs,
    files: &[(File<'_>, &Report)],
    configuration: &Configuration,
    tree: &(dyn Tree + Sync),
) -> Result<(), CommandError> {
    let rules = RecipeArgs::of_rules(args.config.clone());
    let recipients = rules.check(cx)?;
    let cert = args.cert.as_deref().filter(|cert| !cert.is_empty());
    let is_staged = files.iter().any(|(file, _)| matches!(file, File::Staged(_)));
    if is_staged && is_for_one_commit(cx.variable("GIT_INDEX_FILE").as_deref()) {
        return Err(CommandError::new(
            Exit::Failed,
            "`git commit FILE` commits what is not staged, so nothing was fixed",
        )
        .hint("`git add` the files, and commit without naming them"));
    }
    let top = if is_staged { git::top()? } else { PathBuf::new() };

    let mut ways = Vec::new();
    for (file, report) in files {
        let mendable = report.findings.iter().any(|finding| finding.rule.left_because().is_none());
        if mendable {
            let path = path_of(file, &top);
            match way(&recipients, &path, &report.findings, cert.is_some()) {
                Ok(way) => ways.push((file, path, &report.findings[..], way)),
                Err(error) => cx.show(&error.at(shown_of(file))),
            }
        }
    }
    let seals = ways.iter().any(|(.., way)| matches!(way, Way::Seal));
    let certificate = cert.filter(|_| seals).map(|cert| valid(certificate_at(cert)?, cx)).transpose()?;
    let mender = Mender { cx, plan: args.plan, certificate, configuration, tree, top };
    let results: Vec<_> = ways.par_iter().map(|(file, path, found, way)| mender.mend(file, path, found, way)).collect();

    let mut restaged = Vec::new();
    for ((file, ..), result) in ways.iter().zip(results) {
        match result {
            Ok((mended, object)) => {
                for warning in &mended.warnings {
                    cx.warn(format_args!("{}: {warning}", shown_of(file)));
                }
                let would = if args.plan { "to be " } else { "" };
                cx.status(format_args!("{}: {would}{}", shown_of(file), mended.done));
                if let (File::Staged(staged), Some(object)) = (file, object) {
                    restaged.push((*staged, object));
                }
            }
            Err(error) => cx.show(&error.at(shown_of(file))),
        }
    }
    if !restaged.is_empty() {
        let hint = "the files are fixed, what is staged is not: `git add` them";
        let left = restage(&mender.top, &restaged).map_err(|error| error.hint(hint))?;
        for file in left {
            cx.warn(format_args!("{file}: it was staged anew meanwhile, so what is staged was left; `git add` it"));
        }
    }
    Ok(())
}

/// Why findings are left that no rule and no certificate mends, a line for each rule and file.
pub(super) fn tell_what_is_left(cx: &Context, reports: &[&Report]) {
    for report in reports {
        let mut told: Vec<Rule> = Vec::new();
        for finding in &report.findings {
            if let Some(reason) = finding.rule.left_because()
                && !told.contains(&finding.rule)
            {
                cx.status(format_args!("{}: {} is left: {reason}", finding.file, finding.rule));
                told.push(finding.rule);
            }
        }
    }
}

fn shown_of(file: &File<'_>) -> String {
    match file {
        File::Tree(path) => super::select::shown(path),
        File::Staged(staged) => staged.shown.clone(),
    }
}

fn path_of(file: &File<'_>, top: &Path) -> PathBuf {
    match file {
        File::Tree(path) => path.to_path_buf(),
        File::Staged(staged) => top.join(&staged.path),
    }
}

/// Whether the file is encrypted or sealed. The rule for its path counts most: who writes one has said how such files are kept.
fn way(
    recipients: &Recipients<'_>,
    path: &Path,
    findings: &[Finding],
    has_certificate: bool,
) -> Result<Way, CommandError> {
    let found = |rule: Rule| findings.iter().any(|finding| finding.rule == rule);
    let not_fixed = |reason: &str| CommandError::new(Exit::Failed, format!("not fixed: {reason}"));
    if let Some(reason) = Rule::KS011.left_because().filter(|_| found(Rule::KS011)) {
        return Err(not_fixed(reason).hint(Rule::KS011.hint()));
    }
    if manifest_format_of_name(path).is_none() {
        return Err(not_fixed("only files named `.yaml`, `.yml` and `.json` are encrypted").hint(Rule::KS009.hint()));
    }
    match recipients.for_file(Some(path)) {
        Ok(recipe) => {
            for rule in [Rule::KS003, Rule::KS004, Rule::KS005] {
                if let Some(reason) = rule.left_because().filter(|_| found(rule)) {
                    return Err(not_fixed(reason).hint(rule.hint()));
                }
            }
            return Ok(Way::Encrypt(Box::new(recipe)));
        }
        Err(NoRecipe::Failed(error)) if error.exit() != Exit::NoRecipient => return Err(error),
        Err(_) => {}
    }
    if !has_certificate {
        return Err(not_fixed("no rule in `.sops.yaml` is for it")
            .hint("write one, or name the cluster's certificate with `--cert`: Secrets are sealed then"));
    }
    if !found(Rule::KS001) {
        return Err(not_fixed("no rule in `.sops.yaml` is for it, and nothing but a Secret can be sealed"));
    }
    Ok(Way::Seal)
}

impl Mender<'_> {
    /// Mends one file and writes it. With the object to be staged, if the file is.
    fn mend(
        &self,
        file: &File<'_>,
        path: &Path,
        findings: &[Finding],
        way: &Way,
    ) -> Result<(Mended, Option<String>), CommandError> {
        let read = self.read(file, path)?;
        let shown = shown_of(file);
        let mended = match way {
            Way::Encrypt(recipe) => self.encrypt(recipe, path, &shown, &read)?,
            Way::Seal => self.seal(path, &shown, &read, findings)?,
        };
        if self.plan {
            return Ok((mended, None));
        }
        let object = match file {
            File::Tree(_) => None,
            // It is kept before anything changes: what cannot be staged is not written either.
            File::Staged(staged) => Some(object_of(&self.top, &staged.path, &mended.bytes, true)?),
        };
        let replaced = replace(path, &read, &mended.bytes)?;
        let mut mended = mended;
        if replaced.changed && replaced.other_names {
            mended.warnings.push("the file has other names (hard links), which still hold what was in it".to_owned());
        }
        Ok((mended, object))
    }

    /// The content that is mended: the file's. Of a staged file it must be what is staged, or something would be lost.
    fn read(&self, file: &File<'_>, path: &Path) -> Result<Wiping<Vec<u8>>, CommandError> {
        let refused = |reason: &str| {
            CommandError::new(Exit::Failed, format!("not fixed: {reason}"))
                .hint("stage all of it, or put the rest away: `git stash --keep-index`")
        };
        if let File::Staged(staged) = file {
            let is_file = std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file());
            let bytes =
                read_bytes(path).ok().filter(|_| is_file).ok_or_else(|| refused("it is not in the work tree"))?;
            if object_of(&self.top, &staged.path, &bytes, false)? != staged.object {
                return Err(refused("what is staged is not what is in the file"));
            }
            return Ok(bytes);
        }
        read_bytes(path).map_err(|error| CommandError::new(Exit::Input, error))
    }

    fn encrypt(&self, recipe: &FileRecipe, path: &Path, shown: &str, plain: &[u8]) -> Result<Mended, CommandError> {
        let format =
            manifest_format_of_name(path).ok_or_else(|| CommandError::new(Exit::Usage, "of no known format"))?;
        let mut rng = self.cx.rng()?;
        let encrypted = recipe.encrypt(self.cx, plain, format, &mut rng)?;
        let report = check_file(shown, &encrypted.bytes, self.tree, self.configuration);
        if let Some(left) = report.findings.iter().find(|finding| finding.rule.left_because().is_none()) {
            let place = left.path.as_ref().map(|path| format!(" at {path}")).unwrap_or_default();
            return Err(CommandError::new(
                Exit::Failed,
                format!("not fixed: the rule in `.sops.yaml` for it leaves {} readable{place}", left.rule),
            )
            .hint("let the rule name what is secret, as `encrypted_regex: ^(data|stringData)$` does for Secrets"));
        }
        let copies = encrypted.summary.plain_copies.iter();
        let warnings = copies.map(|place| format!("the alias at {place} is a copy in plain text now")).collect();
        Ok(Mended { bytes: encrypted.bytes, done: "encrypted".to_owned(), warnings })
    }

    fn seal(&self, path: &Path, shown: &str, plain: &[u8], findings: &[Finding]) -> Result<Mended, CommandError> {
        let no_certificate = || CommandError::new(Exit::Usage, "no certificate to seal with");
        let certificate = self.certificate.as_ref().ok_or_else(no_certificate)?;
        let format =
            manifest_format_of_name(path).ok_or_else(|| CommandError::new(Exit::Usage, "of no known format"))?;
        let sealed = seal::seal(plain, format, findings, certificate, &mut self.cx.rng()?)?;
        let of_templates = |findings: &[Finding]| findings.iter().filter(|f| f.rule == Rule::KC202).count();
        let report = check_file(shown, &sealed.bytes, &Alone, self.configuration);
        if of_templates(&report.findings) > of_templates(findings) {
            let message = "not fixed: what stands in its annotations would stay readable in the SealedSecret";
            return Err(CommandError::new(Exit::Failed, message).hint("take it out of there first"));
        }
        if report.findings.iter().any(|finding| finding.rule == Rule::KS001) {
            return Err(CommandError::new(Exit::Failed, "not fixed: sealing leaves a Secret readable")).in_file(path);
        }
        let names: Vec<String> = sealed.names.iter().map(|name| format!("`{name}`")).collect();
        Ok(Mended { bytes: sealed.bytes, done: format!("sealed: {}", names.join(", ")), warnings: Vec::new() })
    }
}
