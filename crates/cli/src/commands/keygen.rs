//! `bulla keygen`

use std::path::PathBuf;

use bulla_api::sealed_secret::SEALING_KEY_LABEL;
use bulla_crypto::{PrivateKey, encoding, pem};
use bulla_doc::Format;
use bulla_keys::age::{KeyKind, generate_identity};
use bulla_sealed::{Certificate, CertificateRequest};
use jiff::{SignedDuration, Timestamp, Unit};
use serde_json::json;

use crate::context::Context;
use crate::error::CommandError;
use crate::files::{Readers, create_new};
use crate::manifest::{self, SecretValue};

/// Make a new key
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  bulla keygen age --output ~/.config/sops/age/keys.txt     the place where SOPS and bulla look
  bulla keygen sealing --key sealing.key --cert sealing.crt
  bulla keygen sealing --namespace kube-system | kubectl create -f -")]
pub(crate) struct KeygenArgs {
    #[command(subcommand)]
    kind: Kind,
}

#[derive(Debug, clap::Subcommand)]
enum Kind {
    /// An age identity (X25519), as `age-keygen` makes it
    Age(AgeArgs),
    /// An age identity that is safe against quantum computers (ML-KEM-768 with X25519), as `age-keygen -pq` makes it
    AgePq(AgeArgs),
    /// A sealing key of Sealed Secrets: RSA, with a self-signed certificate
    Sealing(SealingArgs),
}

#[derive(Debug, clap::Args)]
struct AgeArgs {
    /// Write the identity to this new file, for its owner only, and not to standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct SealingArgs {
    /// Write the private key (PEM) to this new file, for its owner only
    ///
    /// Without it and --cert, the key Secret that the controller looks for goes to standard output.
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,

    /// Write the certificate (PEM) to this new file
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,

    /// Namespace of the key Secret: the controller's
    #[arg(short, long, value_name = "NAMESPACE", conflicts_with = "key")]
    namespace: Option<String>,

    /// Length of the key in bits
    #[arg(long, default_value_t = 4096, value_parser = parse_bits)]
    bits: usize,

    #[command(flatten)]
    certificate: NewCertificateArgs,
}

/// What a new certificate says.
#[derive(Debug, clap::Args)]
pub(crate) struct NewCertificateArgs {
    /// Common name of the certificate
    #[arg(long, value_name = "NAME", default_value = "")]
    common_name: String,

    /// For how many days the certificate is valid
    #[arg(long, value_name = "DAYS", default_value_t = 3650, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    days: u32,
}

impl NewCertificateArgs {
    /// Makes a certificate for `key`, valid from now on.
    pub(crate) fn certify(&self, key: &PrivateKey, cx: &Context) -> Result<Certificate, CommandError> {
        let request = CertificateRequest {
            common_name: &self.common_name,
            not_before: cx.now(),
            valid_for: SignedDuration::from_hours(24 * i64::from(self.days)),
        };
        Ok(Certificate::generate(key, &request, &mut cx.rng()?)?)
    }
}

fn parse_bits(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(bits @ (2048 | 3072 | 4096 | 8192)) => Ok(bits),
        _ => Err("expected 2048, 3072, 4096 or 8192".to_owned()),
    }
}

pub(crate) fn keygen(cx: &Context, args: &KeygenArgs) -> Result<(), CommandError> {
    match &args.kind {
        Kind::Age(args) => age(cx, KeyKind::X25519, args),
        Kind::AgePq(args) => age(cx, KeyKind::PostQuantum, args),
        Kind::Sealing(args) => sealing(cx, args),
    }
}

fn age(cx: &Context, kind: KeyKind, args: &AgeArgs) -> Result<(), CommandError> {
    let identity = generate_identity(kind, &mut cx.rng()?);
    let file = identity.to_file(&seconds(cx.now()).to_string());
    match &args.output {
        Some(path) => create_new(path, file.expose_secret(), Readers::Owner)?,
        None => cx.print(file.expose_secret())?,
    }
    cx.status(format_args!("Public key: {}", identity.recipient));
    Ok(())
}

fn sealing(cx: &Context, args: &SealingArgs) -> Result<(), CommandError> {
    let key = PrivateKey::generate(args.bits)?;
    let certificate = args.certificate.certify(&key, cx)?;
    let private = pem::encode("RSA PRIVATE KEY", key.to_pkcs1_der().expose_secret());
    if let (Some(key_file), Some(certificate_file)) = (&args.key, &args.cert) {
        create_new(key_file, private.as_bytes(), Readers::Owner)?;
        create_new(certificate_file, certificate.to_pem().as_bytes(), Readers::Everybody)?;
    } else {
        let secret = key_secret(args.namespace.as_deref(), &private, &certificate);
        cx.print(&manifest::write(&[secret], Format::Yaml))?;
    }
    cx.status(format_args!("Fingerprint: {}", key.public_key().fingerprint()));
    Ok(())
}

/// The Secret in which the controller finds the key. Source: sealed-secrets `pkg/controller/keys.go`.
fn key_secret(namespace: Option<&str>, private: &str, certificate: &Certificate) -> SecretValue {
    let mut metadata = json!({ "generateName": "sealed-secrets-key" });
    if let Some(namespace) = namespace {
        metadata["namespace"] = json!(namespace);
    }
    metadata["labels"] = json!({ SEALING_KEY_LABEL: "active" });
    SecretValue::new(json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        "type": "kubernetes.io/tls",
        "data": { "tls.crt": encoding::encode(certificate.to_pem().as_bytes()), "tls.key": encoding::encode(private.as_bytes()) },
    }))
}

fn seconds(time: Timestamp) -> Timestamp {
    // Rounding down to a second fails only at the ends of what a timestamp can hold.
    time.round(Unit::Second).unwrap_or(time)
}
