//! `bulla cert`

use std::path::PathBuf;

use bulla_crypto::PrivateKey;
use bulla_sealed::Certificate;

use crate::cluster::{CertificateArgs, from_url};
use crate::commands::keygen::NewCertificateArgs;
use crate::context::Context;
use crate::error::{CommandError, InFile as _};
use crate::exit::Exit;
use crate::files::{Readers, create, read_file};

/// Fetch the certificate that secrets are sealed with, look at one, or make one
///
/// Without --cert, --url and --private-key the cluster's controller is asked. A certificate is public: keep it in Git beside the
/// sealed secrets.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  bulla cert --output cert.pem                        the certificate in use in the current cluster
  bulla cert --url http://localhost:8080/v1/cert.pem  from a controller that is reachable
  bulla cert --inspect --cert cert.pem                its fingerprint, and until when it is valid
  bulla cert --private-key old.key > cert.pem         a new certificate for an old key")]
pub(crate) struct CertArgs {
    /// Ask this address (a controller's /v1/cert.pem) and not the API server
    #[arg(long, value_name = "URL")]
    url: Option<String>,

    /// Make a new self-signed certificate for this private key (PEM)
    #[arg(long, value_name = "FILE", conflicts_with = "url")]
    private_key: Option<PathBuf>,

    #[command(flatten)]
    new: NewCertificateArgs,

    /// Show what the certificate says: fingerprint, length of the key, validity; exit code 212 if it is expired
    #[arg(long)]
    inspect: bool,

    /// Write to this file and not to standard output
    #[arg(short, long, value_name = "FILE", conflicts_with = "inspect")]
    output: Option<PathBuf>,

    #[command(flatten)]
    source: CertificateArgs,
}

pub(crate) fn cert(cx: &Context, args: &CertArgs) -> Result<(), CommandError> {
    let certificate = match (&args.private_key, &args.url) {
        (Some(path), _) => {
            let key = PrivateKey::from_pem(&read_file(path)?.bytes).in_file(path)?;
            args.new.certify(&key, cx)?
        }
        (None, Some(url)) => from_url(url)?,
        (None, None) => args.source.get()?,
    };
    if args.inspect {
        return inspect(cx, &certificate);
    }
    let pem = certificate.to_pem();
    match &args.output {
        Some(path) => create(path, pem.as_bytes(), Readers::Everybody),
        None => cx.print(pem.as_bytes()),
    }
}

fn inspect(cx: &Context, certificate: &Certificate) -> Result<(), CommandError> {
    let key = certificate.public_key();
    cx.print(
        format!(
            "fingerprint  {}\nkey          RSA, {} bits\nvalid from   {}\nvalid until  {}\n",
            key.fingerprint(),
            key.bits(),
            certificate.not_before(),
            certificate.not_after(),
        )
        .as_bytes(),
    )?;
    if certificate.expired(cx.now()) {
        return Err(CommandError::new(Exit::Expired, "the certificate is expired, so nothing can be sealed with it"));
    }
    Ok(())
}
