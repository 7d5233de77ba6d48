//! Google Cloud: whose credentials are used, and where KMS and Cloud Storage are.
//!
//! ```text
//! GOOGLE_CREDENTIALS                                    a path to credentials, or their JSON
//! GOOGLE_OAUTH_ACCESS_TOKEN                             a token
//! GOOGLE_APPLICATION_CREDENTIALS                        a path to credentials
//! ~/.config/gcloud/application_default_credentials.json what `gcloud auth application-default login` left
//! GCE_METADATA_HOST                                     where the instance tells who it is, if not at 169.254.169.254
//! SOPS_GCP_KMS_ENDPOINT  SOPS_GCP_KMS_UNIVERSE_DOMAIN   where KMS is, if not at cloudkms.googleapis.com
//! STORAGE_EMULATOR_HOST                                 where Cloud Storage is, if not at storage.googleapis.com; nobody logs in there
//! GOOGLE_CLOUD_UNIVERSE_DOMAIN                          the universe of Cloud Storage
//! GOOGLE_CLOUD_QUOTA_PROJECT  HTTPS_PROXY  NO_PROXY
//! ```
//! The first of the first five counts, as in SOPS. Nothing of this is read before a key or a bucket of Google Cloud is met. KMS is always asked by
//! its REST form, so `SOPS_GCP_KMS_CLIENT_TYPE` says nothing new.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bulla_crypto::SecretBytes;
use bulla_keys::gcp::GcpKms;
use bulla_services::gcp::{Base, Gcp, Login, Settings};
use bulla_services::{ServiceError, Surroundings, Tried};

use super::outside::{outside, proxies, read};
use super::{random, runtime, text};
use crate::context::Context;

/// Where every instance of Google Cloud tells who it is.
const INSTANCE: &str = "169.254.169.254";

/// KMS of Google Cloud, for this command.
pub(super) fn kms(cx: &Context) -> Arc<GcpKms> {
    Arc::new(GcpKms::new(settings(cx), Surroundings::new(runtime, random(cx))))
}

fn settings(cx: &Context) -> Result<Settings, String> {
    let mut settings = Settings::new(login(cx)?, outside());
    settings.endpoint = text(cx, "SOPS_GCP_KMS_ENDPOINT")?.map(|endpoint| address(&endpoint)).transpose()?;
    if let Some(universe) = text(cx, "SOPS_GCP_KMS_UNIVERSE_DOMAIN")? {
        settings.universe = universe;
    }
    settings.quota_project = text(cx, "GOOGLE_CLOUD_QUOTA_PROJECT")?;
    settings.proxies = proxies(cx)?;
    Ok(settings)
}

/// Cloud Storage, for this command.
///
/// # Errors
/// What is wrong with the environment.
pub(super) fn storage(cx: &Context, surroundings: Surroundings) -> Result<Gcp, ServiceError> {
    Gcp::storage(storage_settings(cx).map_err(ServiceError::Settings)?, surroundings)
}

fn storage_settings(cx: &Context) -> Result<Settings, String> {
    let emulator = text(cx, "STORAGE_EMULATOR_HOST")?.filter(|host| !host.is_empty());
    let login = if emulator.is_some() { Login::None } else { login(cx)? };
    let mut settings = Settings::new(login, outside());
    settings.endpoint = emulator.map(|host| emulator_address(&host)).transpose()?;
    if let Some(universe) = text(cx, "GOOGLE_CLOUD_UNIVERSE_DOMAIN")? {
        settings.universe = universe;
    }
    settings.quota_project = text(cx, "GOOGLE_CLOUD_QUOTA_PROJECT")?;
    settings.proxies = proxies(cx)?;
    Ok(settings)
}

/// A URL whose path means nothing, or a host and a port, without TLS: as the client for Go has it.
fn emulator_address(host: &str) -> Result<Base, String> {
    let url = if host.contains("://") { host.to_owned() } else { format!("http://{host}") };
    let base: Base = url.parse().map_err(|error| format!("`STORAGE_EMULATOR_HOST`: {error}"))?;
    Ok(base.address().clone().into())
}

/// A URL, or, as the other form of the API has it, a host and a port.
fn address(endpoint: &str) -> Result<Base, String> {
    let url = if endpoint.contains("://") { endpoint.to_owned() } else { format!("https://{endpoint}") };
    url.parse().map_err(|error| format!("`SOPS_GCP_KMS_ENDPOINT`: {error}"))
}

fn login(cx: &Context) -> Result<Login, String> {
    let mut tried = Vec::new();
    let mut look = |place: &str, outcome: &str| {
        tried.push(Tried { place: place.to_owned(), outcome: outcome.to_owned() });
    };
    let file = |variable: &str, path: &Path| {
        let json = read(path).map_err(|error| format!("`{variable}` ({}): {error}", path.display()))?;
        Ok::<_, String>(Login::Credentials { json, place: path.display().to_string() })
    };
    if let Some(credentials) = cx.variable("GOOGLE_CREDENTIALS") {
        let path = Path::new(&credentials);
        if path.is_file() {
            return file("GOOGLE_CREDENTIALS", path);
        }
        let json = credentials.into_encoded_bytes();
        return Ok(Login::Credentials { json: SecretBytes::new(json), place: "GOOGLE_CREDENTIALS".to_owned() });
    }
    look("GOOGLE_CREDENTIALS", "not set");
    if let Some(token) = text(cx, "GOOGLE_OAUTH_ACCESS_TOKEN")? {
        let token = SecretBytes::new(token.into_bytes());
        return Ok(Login::Token { token, place: "GOOGLE_OAUTH_ACCESS_TOKEN".to_owned() });
    }
    look("GOOGLE_OAUTH_ACCESS_TOKEN", "not set");
    if let Some(path) = cx.variable("GOOGLE_APPLICATION_CREDENTIALS").map(PathBuf::from) {
        return file("GOOGLE_APPLICATION_CREDENTIALS", &path);
    }
    look("GOOGLE_APPLICATION_CREDENTIALS", "not set");
    if let Some(home) = cx.home() {
        let path = home.join(".config/gcloud/application_default_credentials.json");
        let place = path.display().to_string();
        match read(&path) {
            Ok(json) => return Ok(Login::Credentials { json, place }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => look(&place, "not there"),
            Err(error) => return Err(format!("`{place}`: {error}")),
        }
    }
    let host = text(cx, "GCE_METADATA_HOST")?.unwrap_or_else(|| INSTANCE.to_owned());
    let address = format!("http://{host}").parse().map_err(|error| format!("`GCE_METADATA_HOST`: {error}"))?;
    Ok(Login::Instance { address, tried })
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_endpoint_is_a_url_or_a_host() {
        for (endpoint, address) in [
            ("cloudkms.s3nsapis.fr:443", "https://cloudkms.s3nsapis.fr"),
            ("https://kms.example.com/prefix/", "https://kms.example.com/prefix"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ] {
            assert_eq!(super::address(endpoint).unwrap().to_string(), address);
        }
        for (host, address) in [
            ("127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("https://fake.example.com/storage/v1/", "https://fake.example.com"),
        ] {
            assert_eq!(super::emulator_address(host).unwrap().to_string(), address);
        }
        assert!(super::address("ftp://x").unwrap_err().starts_with("`SOPS_GCP_KMS_ENDPOINT`: "));
    }
}
