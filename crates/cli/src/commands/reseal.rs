//! `bulla reseal`

use std::path::PathBuf;

use bulla_doc::Document;
use bulla_sealed::{Certificate, KeyRing, Resealed, reseal as reseal_document};
use serde_json::json;

use crate::app::Failure;
use crate::batch::{self, Outcome};
use crate::cluster::CertificateArgs;
use crate::context::Context;
use crate::error::{CommandError, InFile as _};
use crate::exit::Exit;
use crate::files::{Selected, WalkArgs, manifest_format_of, read_selected, replace, select};
use crate::sealing_keys;
use crate::shown;

/// Seal the items of SealedSecrets again, for the newest certificate, in place
///
/// Without a cluster, with its private keys: what an older key opens is sealed with the certificate; what its own key opens stays, if
/// that is among the private keys. Scope, name, namespace, comments and layout stay. A file is done as a whole or not at all.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  bulla reseal --private-key keys.yaml --cert cert.pem --plan .
  bulla reseal --private-key keys.yaml --cert cert.pem .
  bulla reseal --private-key keys.yaml --cert cert.pem --check .     exit code 1 while something is sealed for an older key")]
pub(crate) struct ResealArgs {
    /// Files with SealedSecrets, or directories with such files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Private keys: PEM, or key Secrets (also a list) in YAML or JSON; repeatable
    #[arg(long, value_name = "FILE", required = true)]
    private_key: Vec<PathBuf>,

    /// Tell what would be sealed again, and write nothing
    #[arg(long)]
    plan: bool,

    /// As --plan; with exit code 1 if there is something to do
    #[arg(long, conflicts_with = "plan")]
    check: bool,

    /// Tell what was done, or would be, as JSON on standard output
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    certificate: CertificateArgs,

    #[command(flatten)]
    walk: WalkArgs,
}

pub(crate) fn reseal(cx: &Context, args: &ResealArgs) -> Result<(), Failure> {
    let ring = sealing_keys::gather(&args.private_key)?;
    let certificate = args.certificate.get_valid(cx)?;
    let files = select(&args.files, args.walk, cx)?;
    let is_dry = args.plan || args.check;
    let verb = if is_dry { "to seal again" } else { "sealed again" };
    let (done, outcome) = batch::collect(cx, &files, verb, |selected, _| {
        let resealed =
            reseal_one(cx, selected, &ring, &certificate, is_dry).map_err(|error| error.at(&selected.origin))?;
        let is_nothing = resealed.as_ref().is_none_or(|resealed| resealed.resealed.is_empty());
        Ok((if is_nothing { Outcome::Skipped } else { Outcome::Done }, resealed))
    });
    if args.json {
        cx.print(as_json(&done, is_dry).as_bytes())?;
    } else if is_dry {
        let lines =
            done.iter().flat_map(|(file, done)| done.resealed.iter().map(move |item| format!("{file}: {item}\n")));
        cx.print(lines.collect::<String>().as_bytes())?;
    }
    outcome?;
    if args.check && done.iter().any(|(_, done)| !done.resealed.is_empty()) {
        return Err(Exit::Failed.into());
    }
    Ok(())
}

/// `None` for a file without SealedSecrets that was found in a directory.
fn reseal_one(
    cx: &Context,
    selected: &Selected,
    ring: &KeyRing,
    certificate: &Certificate,
    is_dry: bool,
) -> Result<Option<Resealed>, CommandError> {
    let source = read_selected(selected)?;
    let Some(path) = selected.origin.path() else {
        return Err(CommandError::new(
            Exit::Usage,
            "standard input cannot be sealed again: files are written in place",
        ));
    };
    // Most files of a repository are something else, and many are templates.
    if selected.found && !source.bytes.windows(12).any(|window| window == b"SealedSecret") {
        return Ok(None);
    }
    let document = Document::parse(&source.bytes, manifest_format_of(&source)?)?;
    let resealed = reseal_document(&document, ring, certificate.public_key(), &mut cx.rng()?)?;
    if resealed.resealed.is_empty() && resealed.current == 0 && !selected.found {
        return Err(CommandError::new(Exit::Input, "no SealedSecret found"));
    }
    if let (Some(bytes), false) = (&resealed.bytes, is_dry) {
        replace(path, &source.bytes, bytes).in_file(path)?;
    }
    Ok(Some(resealed))
}

fn as_json(done: &[(String, Resealed)], is_dry: bool) -> String {
    let file = |(file, done): &(String, Resealed)| {
        json!({
            "file": file,
            "action": match (done.resealed.is_empty(), is_dry) {
                (true, _) => "none",
                (false, true) => "reseal",
                (false, false) => "resealed",
            },
            "items": done.resealed,
            "current": done.current,
        })
    };
    let list: Vec<_> = done.iter().map(file).collect();
    shown::json(&list.into())
}
