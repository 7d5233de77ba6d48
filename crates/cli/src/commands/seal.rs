//! `bulla seal`

use std::path::{Path, PathBuf};

use bulla_crypto::encoding;
use bulla_doc::{Document, Format};
use bulla_sealed::{Certificate, Scope, SealOptions};
use bulla_wipe::Wiping;
use serde_json::json;

use crate::cluster::CertificateArgs;
use crate::context::Context;
use crate::error::{CommandError, InFile as _};
use crate::exit::Exit;
use crate::files::{
    ManifestFormatName, Readers, Selected, Source, WalkArgs, create, manifest_format_of, manifest_format_of_name,
    read_file, read_selected, replace, select,
};
use crate::manifest::{self, Manifest, SecretValue};
use crate::value::ValueArgs;

/// Seal Secrets: every value is encrypted for the cluster's controller, and only that can open it
///
/// Reads Secret manifests (YAML, JSON, streams and lists of them) and writes SealedSecrets. Nothing is written unless everything
/// could be sealed.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  bulla seal --cert cert.pem secret.yaml > secret.sealed.yaml
  kubectl create secret generic db --from-file=user --dry-run=client -o yaml | bulla seal -n shop -
  bulla seal --cert cert.pem --merge-into secret.sealed.yaml more.yaml
  printf %s \"$token\" | bulla seal --merge-into api.sealed.yaml --item token
  printf %s \"$token\" | bulla seal --raw -n shop --name api")]
pub(crate) struct SealArgs {
    /// Files with Secrets, directories, or `-` for standard input
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Where the values open: under one name and namespace (strict), in one namespace, or everywhere
    ///
    /// Without it the annotations of the Secret tell; strict is what they mean if there are none.
    #[arg(long, value_name = "SCOPE", value_parser = parse_scope, env = "SEALED_SECRETS_SCOPE", hide_env_values = true)]
    scope: Option<Scope>,

    /// Namespace of Secrets that name none; Secrets of another one are refused
    #[arg(short, long, value_name = "NAMESPACE", env = "SEALED_SECRETS_NAMESPACE", hide_env_values = true)]
    namespace: Option<String>,

    /// Name that replaces the Secret's own
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// Seal Secrets without any value, too
    #[arg(long)]
    allow_empty_data: bool,

    /// Seal one value, not a Secret, and print what belongs into spec.encryptedData
    #[arg(long, conflicts_with_all = ["files", "merge_into", "format", "output"])]
    raw: bool,

    #[command(flatten)]
    value: ValueArgs,

    /// Add the items to this SealedSecret, in place: the rest of the file stays as it is, and so do items that are not given
    #[arg(long, value_name = "FILE", conflicts_with_all = ["output", "format", "allow_empty_data"])]
    merge_into: Option<PathBuf>,

    /// Seal one value as the item of this name, for --merge-into
    #[arg(long, value_name = "KEY", requires = "merge_into", conflicts_with = "files")]
    item: Option<String>,

    /// Write to this file and not to standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Format of the SealedSecrets, if not that of the first Secret
    #[arg(long, value_name = "FORMAT")]
    format: Option<ManifestFormatName>,

    #[command(flatten)]
    certificate: CertificateArgs,

    #[command(flatten)]
    walk: WalkArgs,
}

fn parse_scope(text: &str) -> Result<Scope, String> {
    text.parse().map_err(|error: bulla_sealed::scope::ScopeError| error.to_string())
}

impl SealArgs {
    /// The namespace asked for. A variable that is empty asks for none.
    fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref().filter(|namespace| !namespace.is_empty())
    }
}

pub(crate) fn seal(cx: &Context, args: &SealArgs) -> Result<(), CommandError> {
    if args.raw {
        return seal_value(cx, args);
    }
    if let Some(path) = &args.merge_into {
        return merge_into(cx, args, path);
    }
    let inputs = select(&args.files, args.walk, cx)?;
    let certificate = args.certificate.get_valid(cx)?;
    let mut format = args.format.map(Format::from).or_else(|| manifest_format_of_name(args.output.as_deref()?));
    let mut sealed = Vec::new();
    for selected in inputs {
        let source = read_selected(&selected)?;
        let input = manifest_format_of(&source)?;
        for manifest in secrets_of(&source, input, &selected)? {
            format = format.or(Some(input));
            sealed.push(seal_one(cx, args, &manifest, &source, &certificate)?);
        }
    }
    if sealed.is_empty() {
        return Err(CommandError::new(Exit::Input, "no Secret found"));
    }
    let output = manifest::write(&sealed, format.unwrap_or(Format::Yaml));
    match &args.output {
        Some(path) => create(path, &output, Readers::Everybody),
        None => cx.print(&output),
    }
}

/// The Secrets of a file. In a file that was found in a directory, everything else is passed over.
fn secrets_of(source: &Source, format: Format, selected: &Selected) -> Result<Vec<Manifest>, CommandError> {
    let mut manifests = manifest::read(source, format)?;
    if selected.found {
        manifests.retain(|manifest| manifest.object["kind"] == "Secret" && manifest.object["apiVersion"] == "v1");
    }
    Ok(manifests)
}

fn seal_one(
    cx: &Context,
    args: &SealArgs,
    manifest: &Manifest,
    source: &Source,
    certificate: &Certificate,
) -> Result<SecretValue, CommandError> {
    let declared = manifest.object["metadata"]["namespace"].as_str().filter(|namespace| !namespace.is_empty());
    // Only who names no namespace gets that of the kubeconfig, and is told: sealed for the wrong one it opens nowhere.
    let default_namespace = match (args.namespace(), declared) {
        (None, None) => args.certificate.cluster.namespace(),
        _ => None,
    };
    let options = SealOptions {
        scope: args.scope,
        name: args.name.clone(),
        namespace: args.namespace().map(str::to_owned),
        default_namespace: default_namespace.clone(),
        allow_empty_data: args.allow_empty_data,
    };
    let place = format!("{}: {}", source.origin, manifest.place);
    let sealed = bulla_sealed::seal(&manifest.object, certificate.public_key(), &options, &mut cx.rng()?)
        .map_err(|error| CommandError::from(error).at(&place))?;
    if default_namespace.is_some() && sealed.metadata.namespace == default_namespace {
        let namespace = default_namespace.unwrap_or_default();
        cx.status(format_args!("{place}: sealed for namespace `{namespace}`, the one of the kubeconfig's context"));
    }
    // Maps with string keys, strings, numbers and booleans: nothing in a SealedSecret fails to serialise.
    Ok(SecretValue::new(serde_json::to_value(&sealed).expect("a SealedSecret is JSON")))
}

/// `--merge-into`: the values of Secrets, or the one of `--item`, into a SealedSecret's file.
fn merge_into(cx: &Context, args: &SealArgs, path: &Path) -> Result<(), CommandError> {
    let file = read_file(path)?;
    let format = manifest_format_of(&file)?;
    let mut given: Vec<(String, SecretValue)> = Vec::new();
    let certificate;
    if let Some(item) = &args.item {
        certificate = args.certificate.get_valid(cx)?;
        let value = args.value.read(&format!("Value of `{item}`"), cx)?;
        let data = json!({ item: encoding::encode(value.expose_secret()) });
        given.push((
            format!("`{item}`"),
            SecretValue::new(json!({ "apiVersion": "v1", "kind": "Secret", "data": data })),
        ));
    } else {
        let inputs = select(&args.files, args.walk, cx)?;
        certificate = args.certificate.get_valid(cx)?;
        for selected in inputs {
            let source = read_selected(&selected)?;
            for manifest in secrets_of(&source, manifest_format_of(&source)?, &selected)? {
                given.push((format!("{}: {}", source.origin, manifest.place), manifest.object));
            }
        }
    }
    if given.is_empty() {
        return Err(CommandError::new(Exit::Input, "no Secret found"));
    }
    let mut bytes = Wiping::new(file.bytes.to_vec());
    let (mut replaced, mut added) = (Vec::new(), Vec::new());
    for (place, mut secret) in given {
        if let Some(name) = &args.name {
            secret["metadata"]["name"] = json!(name);
        }
        // It is the file's that counts; who names one wants to be told if it is another.
        if let (Some(namespace), None) = (args.namespace(), secret["metadata"]["namespace"].as_str()) {
            secret["metadata"]["namespace"] = json!(namespace);
        }
        let document = Document::parse(&bytes, format).in_file(path)?;
        let merged = bulla_sealed::merge(&document, &secret, certificate.public_key(), args.scope, &mut cx.rng()?)
            .map_err(|error| CommandError::from(error).at(&place).at(path.display()))?;
        bytes = merged.bytes;
        replaced.extend(merged.replaced);
        added.extend(merged.added);
    }
    replace(path, &file.bytes, &bytes)?;
    for (what, items) in [("replaced", replaced), ("added", added)] {
        if !items.is_empty() {
            cx.status(format_args!("{}: {what} {}", path.display(), items.join(", ")));
        }
    }
    Ok(())
}

/// `--raw`: one value, for one place.
fn seal_value(cx: &Context, args: &SealArgs) -> Result<(), CommandError> {
    let scope = args.scope.unwrap_or_default();
    let missing = |what: &str| {
        CommandError::new(Exit::Usage, format!("must provide the --{what} flag with --raw and --scope {scope}"))
            .hint("a value opens only in the place that it was sealed for")
    };
    let namespace = match args.namespace() {
        Some(namespace) => namespace,
        None if scope == Scope::ClusterWide => "",
        None => return Err(missing("namespace")),
    };
    let name = match &args.name {
        Some(name) => name.as_str(),
        None if scope == Scope::Strict => return Err(missing("name")),
        None => "",
    };
    let certificate = args.certificate.get_valid(cx)?;
    let value = args.value.read("Value", cx)?;
    let sealed = bulla_sealed::seal_item(
        value.expose_secret(),
        certificate.public_key(),
        scope,
        namespace,
        name,
        &mut cx.rng()?,
    );
    cx.print(format!("{sealed}\n").as_bytes())
}
