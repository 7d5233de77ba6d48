//! AWS: what of the environment is not the SDK's to find, and what is told when it found nothing.
//!
//! ```text
//! AWS_ACCESS_KEY_ID …  AWS_PROFILE  ~/.aws  AWS_WEB_IDENTITY_TOKEN_FILE  the container's and the instance's roles    the SDK finds
//! AWS_ENDPOINT_URL  AWS_ENDPOINT_URL_KMS  AWS_ENDPOINT_URL_S3  AWS_USE_FIPS_ENDPOINT  AWS_USE_DUALSTACK_ENDPOINT     those, too
//! AWS_REGION  AWS_DEFAULT_REGION                        where S3 is asked; a key of KMS names its region
//! AWS_ACCESS_KEY  AWS_SECRET_KEY  AWS_DEFAULT_PROFILE   what the SDK for Go reads beside them
//! AWS_CA_BUNDLE                                         the only authorities to trust
//! AWS_MAX_ATTEMPTS                                      how often a call is tried
//! HTTPS_PROXY  NO_PROXY
//! BULLA_AWS_REPLICA_REGIONS                             where replicas of multi-Region keys are, separated by commas
//! ```
//! Nothing of this is read before a key of KMS or a bucket is met.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bulla_crypto::SecretBytes;
use bulla_keys::aws::Kms;
use bulla_services::aws::{Authorities, Limits, Login, S3, Settings, is_region};
use bulla_services::{ServiceError, Surroundings, Tried};

use super::outside::{outside, proxies};
use super::{random, runtime, text};
use crate::context::Context;

/// Longest name of a role's session.
const LONGEST_SESSION: usize = 64;

/// KMS, for this command.
pub(crate) fn kms(cx: &Context) -> Arc<Kms> {
    let (settings, regions) = match replica_regions(cx) {
        Ok(regions) => (settings(cx), regions),
        Err(error) => (Err(error), Vec::new()),
    };
    Arc::new(Kms::new(settings, regions, Surroundings::new(runtime, random(cx))))
}

/// S3, for this command.
///
/// # Errors
/// What is wrong with the environment.
pub(super) fn s3(cx: &Context, surroundings: Surroundings) -> Result<S3, ServiceError> {
    let settings = settings(cx).map_err(ServiceError::Settings)?;
    let proxies = proxies(cx).map_err(ServiceError::Settings)?;
    S3::new(settings, &proxies, outside(), surroundings)
}

fn settings(cx: &Context) -> Result<Settings, String> {
    let authorities = match cx.variable("AWS_CA_BUNDLE") {
        None => None,
        Some(path) => {
            let path = Path::new(&path);
            let pem = std::fs::read(path).map_err(|error| format!("`AWS_CA_BUNDLE` ({}): {error}", path.display()))?;
            Some(Authorities { pem, place: "AWS_CA_BUNDLE".to_owned() })
        }
    };
    let usual_profile = if cx.variable("AWS_PROFILE").is_none() { text(cx, "AWS_DEFAULT_PROFILE")? } else { None };
    Ok(Settings {
        authorities,
        usual_profile,
        proxies: Some(proxies(cx)?),
        limits: limits(cx)?,
        ..Settings::new(login(cx)?, session_name(&cx.host_name()))
    })
}

/// 0 says nothing, as for AWS' own SDK.
fn limits(cx: &Context) -> Result<Limits, String> {
    let usual = Limits::default();
    let attempts = text(cx, "AWS_MAX_ATTEMPTS")?.map_or(Ok(0), |attempts| attempts.parse());
    match attempts.map_err(|_| "`AWS_MAX_ATTEMPTS` is not a number".to_owned())? {
        0 => Ok(usual),
        attempts => Ok(Limits { attempts, silent_attempts: attempts, throttled_attempts: attempts, ..usual }),
    }
}

/// An access key by the names that only the SDK for Go reads, or by one of them.
fn other_key(cx: &Context) -> Result<Option<Login>, String> {
    let of = |name: &'static str, other: &'static str| {
        Ok::<_, String>(match text(cx, name)? {
            Some(text) => Some((name, text)),
            None => text(cx, other)?.map(|text| (other, text)),
        })
    };
    let id = of("AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY")?;
    let secret = of("AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY")?;
    Ok(match (id, secret) {
        // Those the SDK finds itself.
        (Some(("AWS_ACCESS_KEY_ID", _)), Some(("AWS_SECRET_ACCESS_KEY", _))) => None,
        (Some((place, id)), Some((_, secret))) => Some(Login::Key {
            id,
            secret: SecretBytes::new(secret.into_bytes()),
            session_token: text(cx, "AWS_SESSION_TOKEN")?.map(|token| SecretBytes::new(token.into_bytes())),
            place: place.to_owned(),
        }),
        _ => None,
    })
}

fn replica_regions(cx: &Context) -> Result<Vec<String>, String> {
    let list = text(cx, "BULLA_AWS_REPLICA_REGIONS")?.unwrap_or_default();
    let regions = list.split(',').map(str::trim).filter(|region| !region.is_empty());
    regions
        .map(|region| {
            if is_region(region) {
                Ok(region.to_owned())
            } else {
                Err(format!("`BULLA_AWS_REPLICA_REGIONS`: `{region}` is not a region"))
            }
        })
        .collect()
}

/// What the SDK will find, and in which order it looks.
fn login(cx: &Context) -> Result<Login, String> {
    if let Some(key) = other_key(cx)? {
        return Ok(key);
    }
    let mut tried = Vec::new();
    let mut principal = None;
    let mut look = |place: &str, outcome: &str, found: Option<String>| {
        tried.push(Tried { place: place.to_owned(), outcome: outcome.to_owned() });
        principal = principal.take().or(found);
    };
    let is_set = |name: &str| cx.variable(name).is_some();
    match (is_set("AWS_ACCESS_KEY_ID"), is_set("AWS_SECRET_ACCESS_KEY")) {
        (true, true) => {
            look("AWS_ACCESS_KEY_ID", "set", Some("the access key from `AWS_ACCESS_KEY_ID`".to_owned()));
        }
        (true, false) => look("AWS_SECRET_ACCESS_KEY", "not set, and `AWS_ACCESS_KEY_ID` is", None),
        (false, _) => look("AWS_ACCESS_KEY_ID", "not set", None),
    }
    let profile = text(cx, "AWS_PROFILE")?.or(text(cx, "AWS_DEFAULT_PROFILE")?);
    let profile = profile.unwrap_or_else(|| "default".to_owned());
    let files = [("AWS_SHARED_CREDENTIALS_FILE", "credentials"), ("AWS_CONFIG_FILE", "config")];
    for (variable, name) in files {
        let usual = || cx.home().map(|home| home.join(".aws").join(name));
        let Some(path) = cx.variable(variable).map(PathBuf::from).or_else(usual) else { continue };
        let (outcome, found) = if path.is_file() {
            (format!("nothing of use for the profile `{profile}`"), Some(format!("the profile `{profile}`")))
        } else {
            ("not there".to_owned(), None)
        };
        look(&path.display().to_string(), &outcome, found);
    }
    for (variable, whose) in [
        ("AWS_WEB_IDENTITY_TOKEN_FILE", "the role of `AWS_WEB_IDENTITY_TOKEN_FILE`"),
        ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "the role of this container"),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "the role of this container"),
    ] {
        let found = is_set(variable);
        look(variable, if found { "set" } else { "not set" }, found.then(|| whose.to_owned()));
    }
    let instance = if is_set("AWS_EC2_METADATA_DISABLED") {
        "not asked, by `AWS_EC2_METADATA_DISABLED`"
    } else {
        "it did not answer, or has no role"
    };
    look("the metadata of the instance", instance, Some("the role of this instance".to_owned()));
    Ok(Login::Environment { principal: principal.unwrap_or_default(), tried })
}

/// As SOPS calls it: `sops@` and the host's name, without what AWS does not take.
fn session_name(host: &str) -> String {
    let is_good = |character: &char| character.is_ascii_alphanumeric() || "=,.@_".contains(*character);
    format!("sops@{}", host.chars().filter(is_good).collect::<String>()).chars().take(LONGEST_SESSION).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_called_as_sops_calls_it() {
        assert_eq!(session_name("build-7.example.com"), "sops@build7.example.com");
        assert_eq!(session_name("a b/c+d:é_e"), "sops@abcd_e");
        assert_eq!(session_name(&"x".repeat(100)).len(), 64);
    }
}
