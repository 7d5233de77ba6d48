//! The private keys of Sealed Secrets, from files: PEM, or key Secrets as `kubectl get secret -o yaml` prints them.

use std::path::{Path, PathBuf};

use bulla_crypto::{KeyError, PrivateKey, SecretBytes, encoding, pem};
use bulla_sealed::{Certificate, CertificateError, KeyOrder, KeyRing, SealingKey};
use jiff::Timestamp;

use crate::error::{CommandError, InFile as _};
use crate::exit::Exit;
use crate::files::{Source, format_of_content, manifest_format_of_name, read_file};
use crate::manifest::{self, Manifest};

/// All private keys of these files.
///
/// # Errors
/// [`Exit::Input`] if a file has none, or one that cannot be used.
pub(crate) fn gather(paths: &[PathBuf]) -> Result<KeyRing, CommandError> {
    let mut ring = KeyRing::new(KeyOrder::default());
    for path in paths {
        let source = read_file(path)?;
        let keys = match pem::blocks(&source.bytes).next() {
            Some(_) => keys_of_pem(&source.bytes, path).in_file(path)?,
            None => keys_of_manifests(&source, path)?,
        };
        for key in keys {
            ring.insert(key);
        }
    }
    Ok(ring)
}

fn keys_of_pem(text: &[u8], path: &Path) -> Result<Vec<SealingKey>, KeyError> {
    let mut keys = Vec::new();
    for block in pem::blocks(text) {
        let private = match block.label {
            b"RSA PRIVATE KEY" => PrivateKey::from_pkcs1_der(block.content.expose_secret())?,
            b"PRIVATE KEY" => PrivateKey::from_pkcs8_der(block.content.expose_secret())?,
            _ => continue,
        };
        let name = format!("{}, key {}", path.display(), keys.len() + 1);
        keys.push(SealingKey::new(&name, Timestamp::UNIX_EPOCH, private, Err(CertificateError::Absent)));
    }
    if keys.is_empty() { Err(KeyError::NoPrivateKey) } else { Ok(keys) }
}

fn keys_of_manifests(source: &Source, path: &Path) -> Result<Vec<SealingKey>, CommandError> {
    let format = manifest_format_of_name(path).unwrap_or_else(|| format_of_content(&source.bytes));
    let mut keys = Vec::new();
    for manifest in manifest::read(source, format)? {
        let place = format!("{}: {}", source.origin, manifest.place);
        keys.push(key_of(&manifest).map_err(|error| error.at(place))?);
    }
    if keys.is_empty() {
        return Err(
            CommandError::new(Exit::Input, "no private key found: expected PEM, or key Secrets").at(path.display())
        );
    }
    Ok(keys)
}

/// The key of one Secret. What an item of a list is, it need not say itself.
fn key_of(manifest: &Manifest) -> Result<SealingKey, CommandError> {
    let object = &manifest.object;
    let field = |key: &str| match (&object["data"][key], &object["stringData"][key]) {
        (_, serde_json::Value::String(text)) => Ok(Some(SecretBytes::new(text.as_bytes().to_vec()))),
        (serde_json::Value::String(text), _) => match encoding::decode_go(text.as_bytes()) {
            Ok(bytes) => Ok(Some(SecretBytes::new(bytes))),
            Err(_) => Err(CommandError::new(Exit::Input, format!("`data.{key}` is not base64"))),
        },
        _ => Ok(None),
    };
    let (private, certificate) = (field("tls.key")?, field("tls.crt")?);
    let metadata = &object["metadata"];
    let created = metadata["creationTimestamp"].as_str().and_then(|time| time.parse().ok());
    let exposed = |bytes: Option<&SecretBytes>| bytes.map(|bytes| Certificate::from_pem(bytes.expose_secret()));
    let private = private.ok_or(bulla_sealed::KeySecretError::Missing)?;
    Ok(SealingKey::new(
        metadata["name"].as_str().unwrap_or("a Secret without a name"),
        created.unwrap_or(Timestamp::UNIX_EPOCH),
        PrivateKey::from_pem(private.expose_secret())?,
        exposed(certificate.as_ref()).unwrap_or(Err(CertificateError::Absent)),
    ))
}
