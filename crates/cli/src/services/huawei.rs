//! Huawei Cloud: whose credentials sign, and where KMS is.
//!
//! ```text
//! HUAWEICLOUD_SDK_AK  HUAWEICLOUD_SDK_SK  HUAWEICLOUD_SDK_SECURITY_TOKEN   an access key
//! ~/.huaweicloud/credentials  HUAWEICLOUD_SDK_CREDENTIALS_FILE             one in a file: `ak`, `sk`, … below `[basic]`
//! 169.254.169.254                                                          the agency of the instance
//! HUAWEICLOUD_SDK_PROJECT_ID                                               the project, else the one of the region's name
//! HUAWEICLOUD_SDK_REGION_KMS_EU_WEST_101                                   where KMS is in a region, if not where it usually is
//! HUAWEICLOUD_SDK_IAM_ENDPOINT  HTTPS_PROXY  NO_PROXY
//! ```
//! The first of the first three counts, as in SOPS. Nothing of this is read before a key of Huawei Cloud is met.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bulla_crypto::SecretBytes;
use bulla_keys::huawei::HuaweiKms;
use bulla_services::huawei::{Base, Login, Settings};
use bulla_services::{Surroundings, Tried};

use super::outside::{outside, proxies, read};
use super::{random, runtime, text};
use crate::context::Context;

/// Where every instance tells who it is.
const INSTANCE: &str = "http://169.254.169.254";
const ENDPOINTS: &str = "HUAWEICLOUD_SDK_REGION_KMS_";

/// KMS of Huawei Cloud, for this command.
pub(super) fn kms(cx: &Context) -> Arc<HuaweiKms> {
    Arc::new(HuaweiKms::new(settings(cx), Surroundings::new(runtime, random(cx))))
}

fn settings(cx: &Context) -> Result<Settings, String> {
    let mut settings = Settings::new(login(cx)?, outside());
    for (name, value) in cx.variables_below(ENDPOINTS) {
        let url = value.into_string().map_err(|_| format!("`{name}` is not UTF-8 text"))?;
        // Of several, the first.
        let url = url.split(',').next().unwrap_or_default();
        let endpoint = url.parse().map_err(|error| format!("`{name}`: {error}"))?;
        settings.endpoints.insert(name[ENDPOINTS.len()..].to_owned(), endpoint);
    }
    settings.iam = text(cx, "HUAWEICLOUD_SDK_IAM_ENDPOINT")?.map(|url| iam(&url)).transpose()?;
    settings.proxies = proxies(cx)?;
    Ok(settings)
}

/// A URL, or a host.
fn iam(endpoint: &str) -> Result<Base, String> {
    let url = if endpoint.contains("://") { endpoint.to_owned() } else { format!("https://{endpoint}") };
    url.parse().map_err(|error| format!("`HUAWEICLOUD_SDK_IAM_ENDPOINT`: {error}"))
}

fn login(cx: &Context) -> Result<Login, String> {
    let mut tried = Vec::new();
    let mut look = |place: &str, outcome: &str| {
        tried.push(Tried { place: place.to_owned(), outcome: outcome.to_owned() });
    };
    let secret = |text: String| SecretBytes::new(text.into_bytes());
    let project = text(cx, "HUAWEICLOUD_SDK_PROJECT_ID")?;
    match (text(cx, "HUAWEICLOUD_SDK_AK")?, text(cx, "HUAWEICLOUD_SDK_SK")?) {
        (Some(id), Some(key)) => {
            let security_token = text(cx, "HUAWEICLOUD_SDK_SECURITY_TOKEN")?.map(secret);
            let place = "HUAWEICLOUD_SDK_AK".to_owned();
            return Ok(Login::Key { id, secret: secret(key), security_token, project, place });
        }
        (Some(_), None) => look("HUAWEICLOUD_SDK_SK", "not set, and `HUAWEICLOUD_SDK_AK` is"),
        (None, _) => look("HUAWEICLOUD_SDK_AK", "not set"),
    }
    let usual = || cx.home().map(|home| home.join(".huaweicloud/credentials"));
    if let Some(path) = cx.variable("HUAWEICLOUD_SDK_CREDENTIALS_FILE").map(PathBuf::from).or_else(usual) {
        let place = path.display().to_string();
        match read(&path) {
            Ok(content) => {
                let mut fields = basic(&content);
                let mut take = |name: &str| fields.remove(name).filter(|text| !text.is_empty());
                if let (Some(id), Some(key)) = (take("ak"), take("sk")) {
                    let (security_token, in_file) = (take("security_token").map(secret), take("project_id"));
                    let project = in_file.or(project);
                    return Ok(Login::Key { id, secret: secret(key), security_token, project, place });
                }
                look(&place, "no `ak` and `sk` below `[basic]`");
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => look(&place, "not there"),
            Err(error) => look(&place, &error.to_string()),
        }
    }
    let address = INSTANCE.parse().map_err(|error| format!("{error}"))?;
    Ok(Login::Instance { address, project, tried })
}

/// What stands below `[basic]` in a file of credentials.
fn basic(content: &SecretBytes) -> BTreeMap<String, String> {
    let text = String::from_utf8_lossy(content.expose_secret());
    let lines = text.lines().map(str::trim).skip_while(|line| *line != "[basic]").skip(1);
    let fields = lines.take_while(|line| !line.starts_with('[')).filter(|line| !line.starts_with(['#', ';']));
    let fields = fields.filter_map(|line| line.split_once('='));
    fields.map(|(name, value)| (name.trim().to_owned(), value.trim().trim_matches('"').to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_credentials_is_read_below_its_section() {
        let file =
            "# mine\n[global]\nak = other\n[basic]\nak = AK\n; sk = old\nsk=\"a=b\"\n\nproject_id = p\n[x]\nsk = no\n";
        let fields = basic(&SecretBytes::new(file.as_bytes().to_vec()));
        let fields: Vec<_> = fields.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(fields, [("ak", "AK"), ("project_id", "p"), ("sk", "a=b")]);
        assert!(basic(&SecretBytes::new(b"ak = AK".to_vec())).is_empty());
    }
}
