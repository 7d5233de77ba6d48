//! `bulla unseal`

use std::path::PathBuf;

use bulla_api::SealedSecret;
use bulla_doc::Format;
use bulla_sealed::unseal::declines_owner_reference;
use bulla_sealed::{KeyRing, UnsealOptions};

use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::files::{
    ManifestFormatName, Readers, Selected, Source, WalkArgs, create, manifest_format_of, manifest_format_of_name,
    read_selected, select,
};
use crate::manifest::{self, SecretValue};
use crate::sealing_keys;

/// Open SealedSecrets with the controller's private key, without a cluster
///
/// Writes the Secrets in plaintext. The private keys of a cluster are exported with
/// `kubectl -n kube-system get secret -l sealedsecrets.bitnami.com/sealed-secrets-key -o yaml`: keep what this prints offline.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  bulla unseal --private-key keys.yaml shop.sealed.yaml
  bulla unseal --private-key sealing.key --output shop.yaml shop.sealed.yaml
  kubectl get sealedsecret -o yaml | bulla unseal --private-key keys.yaml -")]
pub(crate) struct UnsealArgs {
    /// Files with SealedSecrets, directories, or `-` for standard input
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Private keys: PEM, or key Secrets (also a list) in YAML or JSON; repeatable
    #[arg(long, value_name = "FILE", required = true)]
    private_key: Vec<PathBuf>,

    /// Write to this file, for its owner only, and not to standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Format of the Secrets, if not that of the first SealedSecret
    #[arg(long, value_name = "FORMAT")]
    format: Option<ManifestFormatName>,

    #[command(flatten)]
    walk: WalkArgs,
}

pub(crate) fn unseal(cx: &Context, args: &UnsealArgs) -> Result<(), CommandError> {
    let ring = sealing_keys::gather(&args.private_key)?;
    let mut secrets = Vec::new();
    let mut format = args.format.map(Format::from).or_else(|| manifest_format_of_name(args.output.as_deref()?));
    for selected in select(&args.files, args.walk, cx)? {
        let source = read_selected(&selected)?;
        let input = manifest_format_of(&source)?;
        let opened = open(&source, input, &selected, &ring)?;
        format = format.or(Some(input)).filter(|_| !opened.is_empty()).or(format);
        secrets.extend(opened);
    }
    if secrets.is_empty() {
        return Err(CommandError::new(Exit::Input, "no SealedSecret found"));
    }
    let output = manifest::write(&secrets, format.unwrap_or(Format::Yaml));
    match &args.output {
        Some(path) => create(path, &output, Readers::Owner),
        None => cx.print(&output),
    }
}

fn open(
    source: &Source,
    format: Format,
    selected: &Selected,
    ring: &KeyRing,
) -> Result<Vec<SecretValue>, CommandError> {
    let mut secrets = Vec::new();
    for manifest in manifest::read(source, format)? {
        let is_sealed = manifest.object["kind"] == bulla_api::sealed_secret::KIND;
        if selected.found && !is_sealed {
            continue;
        }
        let place = format!("{}: {}", source.origin, manifest.place);
        let sealed = SealedSecret::from_json(&manifest.object).map_err(|error| {
            let failed = CommandError::from(error).at(&place);
            if manifest.object["kind"] == "Secret" {
                failed.hint("it is not sealed, so there is nothing to open")
            } else {
                failed
            }
        })?;
        let unsealed = bulla_sealed::unseal(&sealed, ring, &UnsealOptions::default())
            .map_err(|error| CommandError::from_unseal(error, &sealed).at(&place))?;
        let mut secret = unsealed.secret;
        if !declines_owner_reference(&sealed) {
            // Outside of a cluster the SealedSecret has no uid, and the API server refuses an owner without one.
            secret.owner_references.clear();
        }
        secrets.push(SecretValue::new(secret.into_manifest()));
    }
    Ok(secrets)
}
