//! Vault: where it is, who we are there, and the way to it, by the variables of HashiCorp's client, which is sops', too.
//!
//! ```text
//! VAULT_ADDR  SOPS_HC_VAULT_ALLOWLIST                   where a token may go
//! VAULT_AGENT_ADDR                                      who is asked in place of every server
//! VAULT_TOKEN                                           a token
//! VAULT_ROLE_ID  VAULT_SECRET_ID                        an AppRole
//! BULLA_VAULT_KUBERNETES_ROLE                           a role for this pod's service account
//! ~/.vault-token                                        what `vault login` left
//! BULLA_VAULT_AUTH_PATH                                 where the method of the role is mounted, if not where it usually is
//! VAULT_NAMESPACE  VAULT_HEADERS                        what every request has
//! VAULT_CACERT  VAULT_CACERT_BYTES  VAULT_CAPATH        the only authorities to trust: the first of them
//! VAULT_SKIP_VERIFY  VAULT_TLS_SERVER_NAME              nobody to trust, and another name than the host's
//! VAULT_CLIENT_CERT  VAULT_CLIENT_KEY                   what is shown to a server that asks for a certificate
//! VAULT_PROXY_ADDR  VAULT_HTTP_PROXY                    a proxy for everything, else:
//! HTTPS_PROXY  HTTP_PROXY  NO_PROXY                     those of all services
//! VAULT_CLIENT_TIMEOUT  VAULT_MAX_RETRIES  VAULT_RATE_LIMIT  VAULT_DISABLE_REDIRECTS
//! ```
//! The first of the four places of a token counts. Nothing of this is read before a key of Vault is met.
//!
//! Source: github.com/hashicorp/vault/api 1.23 `client.go`; go-rootcerts 1.0.2.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Once};
use std::time::Duration;

use bulla_api::duration;
use bulla_crypto::SecretBytes;
use bulla_keys::vault::Vault;
use bulla_services::vault::{
    Address, AddressError, AllowedAddresses, Authorities, Client, Identity, Limits, Login, Proxies, Rate, Settings,
};
use bulla_services::{NamedBy, Surroundings, Tried};
use bulla_wipe::Wiping;

use super::outside::{either, proxies, read};
use super::{parse_bool, random, runtime, text};
use crate::context::Context;
use crate::files::read_bytes;

/// Where a pod finds the token of its service account.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";
/// How every certificate in PEM begins.
const CERTIFICATE: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// The Vault servers of this command.
pub(super) fn vault(cx: &Context) -> Arc<Vault> {
    Arc::new(Vault::new(settings(cx), Surroundings::new(runtime, random(cx))))
}

/// A client for the Vault at `address`, which a configuration names, and what carries out its calls.
///
/// # Errors
/// If the address is none, the environment is broken, or a token may not go there.
pub(crate) fn vault_client(cx: &Context, address: &str) -> Result<(Arc<Client>, Surroundings), String> {
    let address: Address = address.parse().map_err(|error: AddressError| error.to_string())?;
    let settings = settings(cx)?;
    if !settings.allowed.allows(&address, NamedBy::Configuration) {
        return Err("`SOPS_HC_VAULT_ALLOWLIST` does not allow this address".to_owned());
    }
    let surroundings = Surroundings::new(runtime, random(cx));
    let client = Client::new(address, Arc::new(settings), surroundings.clone()).map_err(|error| error.to_string())?;
    Ok((Arc::new(client), surroundings))
}

fn settings(cx: &Context) -> Result<Settings, String> {
    let (usual, list) = (text(cx, "VAULT_ADDR")?, text(cx, "SOPS_HC_VAULT_ALLOWLIST")?);
    let agent = text(cx, "VAULT_AGENT_ADDR")?.map(|agent| agent.parse()).transpose();
    let settings = Settings {
        namespace: text(cx, "VAULT_NAMESPACE")?,
        headers: headers(cx)?,
        authorities: authorities(cx)?,
        trusts_anybody: is_set(cx, "VAULT_SKIP_VERIFY")?,
        server_name: text(cx, "VAULT_TLS_SERVER_NAME")?,
        identity: identity(cx)?,
        proxies: all_proxies(cx)?,
        agent: agent.map_err(|error: AddressError| format!("`VAULT_AGENT_ADDR`: {error}"))?,
        follows_redirects: !is_set(cx, "VAULT_DISABLE_REDIRECTS")?,
        allowed: AllowedAddresses::read(usual.as_deref(), list.as_deref())?,
        limits: limits(cx)?,
        time_limit: time_limit(cx)?,
        rate: text(cx, "VAULT_RATE_LIMIT")?.map(|rate| rate_of(&rate)).transpose()?,
        ..Settings::new(match login(cx)? {
            // What an agent is refused is refused to the token that it adds.
            Login::None(_) if cx.variable("VAULT_AGENT_ADDR").is_some() => Login::Anonymous,
            login => login,
        })
    };
    warn(cx, &settings)?;
    Ok(settings)
}

/// Tells once a command what is dangerous in these settings, and what counts for nothing.
fn warn(cx: &Context, settings: &Settings) -> Result<(), String> {
    static TOLD: Once = Once::new();
    let is_srv = is_set(cx, "VAULT_SRV_LOOKUP")?;
    TOLD.call_once(|| {
        if settings.trusts_anybody {
            cx.warn(
                "`VAULT_SKIP_VERIFY` is set: whoever answers in place of Vault is given the token and the data keys; \
                 `VAULT_CACERT` names an authority to trust instead",
            );
        }
        if is_srv {
            cx.warn("`VAULT_SRV_LOOKUP` counts for nothing: a server is asked at the host and the port of its address");
        }
    });
    Ok(())
}

fn headers(cx: &Context) -> Result<Vec<(String, SecretBytes)>, String> {
    let Some(json) = text(cx, "VAULT_HEADERS")? else { return Ok(Vec::new()) };
    let json = Wiping::new(json);
    // What serde says of a text may quote it.
    let headers: BTreeMap<String, String> =
        serde_json::from_str(&json).map_err(|_| "`VAULT_HEADERS` is not an object of texts in JSON".to_owned())?;
    let headers = headers.into_iter().map(|(name, value)| {
        if name.to_ascii_lowercase().starts_with("x-vault-") {
            return Err(format!("`VAULT_HEADERS`: `{name}` is one that the client sets itself"));
        }
        Ok((name, SecretBytes::new(value.into_bytes())))
    });
    headers.collect()
}

/// The authorities of the first variable that is set.
fn authorities(cx: &Context) -> Result<Option<Authorities>, String> {
    if let Some(path) = cx.variable("VAULT_CACERT") {
        let path = Path::new(&path);
        let pem = std::fs::read(path).map_err(|error| format!("`VAULT_CACERT` ({}): {error}", path.display()))?;
        return Ok(Some(Authorities { pem, place: "VAULT_CACERT".to_owned() }));
    }
    if let Some(pem) = text(cx, "VAULT_CACERT_BYTES")? {
        return Ok(Some(Authorities { pem: pem.into_bytes(), place: "VAULT_CACERT_BYTES".to_owned() }));
    }
    let Some(path) = cx.variable("VAULT_CAPATH").map(PathBuf::from) else { return Ok(None) };
    let mut pem = Vec::new();
    for path in files_below(path)? {
        let content = std::fs::read(&path).map_err(|error| format!("`VAULT_CAPATH` ({}): {error}", path.display()))?;
        if !content.windows(CERTIFICATE.len()).any(|part| part == CERTIFICATE) {
            return Err(format!("`VAULT_CAPATH`: there is no certificate in {}", path.display()));
        }
        pem.extend(content);
        pem.push(b'\n');
    }
    Ok(Some(Authorities { pem, place: "VAULT_CAPATH".to_owned() }))
}

/// The files of a folder and of those in it, or the file itself. A link to a folder leads nowhere: what Kubernetes mounts has one
/// beside links to the files in it.
fn files_below(path: PathBuf) -> Result<Vec<PathBuf>, String> {
    let refuse = |path: &Path, error: &io::Error| format!("`VAULT_CAPATH` ({}): {error}", path.display());
    let mut files = Vec::new();
    let mut folders = Vec::new();
    match std::fs::metadata(&path) {
        Ok(metadata) if metadata.is_dir() => folders.push(path),
        Ok(_) => files.push(path),
        Err(error) => return Err(refuse(&path, &error)),
    }
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).map_err(|error| refuse(&folder, &error))? {
            let entry = entry.map_err(|error| refuse(&folder, &error))?;
            let kind = entry.file_type().map_err(|error| refuse(&entry.path(), &error))?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if !(kind.is_symlink() && entry.path().is_dir()) {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    Ok(files)
}

fn identity(cx: &Context) -> Result<Option<Identity>, String> {
    let path = |name: &str| cx.variable(name).map(PathBuf::from);
    let (certificate, key) = match (path("VAULT_CLIENT_CERT"), path("VAULT_CLIENT_KEY")) {
        (Some(certificate), Some(key)) => (certificate, key),
        (None, None) => return Ok(None),
        (Some(_), None) => return Err("`VAULT_CLIENT_CERT` is set, and `VAULT_CLIENT_KEY` is not".to_owned()),
        (None, Some(_)) => return Err("`VAULT_CLIENT_KEY` is set, and `VAULT_CLIENT_CERT` is not".to_owned()),
    };
    let certificates = std::fs::read(&certificate)
        .map_err(|error| format!("`VAULT_CLIENT_CERT` ({}): {error}", certificate.display()))?;
    let key = read(&key).map_err(|error| format!("`VAULT_CLIENT_KEY` ({}): {error}", key.display()))?;
    Ok(Some(Identity { certificates, key, place: "VAULT_CLIENT_CERT, VAULT_CLIENT_KEY".to_owned() }))
}

/// Those of all services, and Vault's own.
fn all_proxies(cx: &Context) -> Result<Proxies, String> {
    let all = |name: &'static str| Ok::<_, String>(text(cx, name)?.map(|proxy| (name, proxy)));
    Ok(Proxies {
        http: either(cx, "HTTP_PROXY")?,
        all: all("VAULT_PROXY_ADDR")?.or(all("VAULT_HTTP_PROXY")?),
        ..proxies(cx)?
    })
}

fn limits(cx: &Context) -> Result<Limits, String> {
    let usual = Limits::default();
    let Some(retries) = text(cx, "VAULT_MAX_RETRIES")? else { return Ok(usual) };
    let retries: u32 = retries.parse().map_err(|_| "`VAULT_MAX_RETRIES` is not a number".to_owned())?;
    let attempts = retries.saturating_add(1);
    Ok(Limits { attempts, silent_attempts: attempts, throttled_attempts: attempts, ..usual })
}

fn time_limit(cx: &Context) -> Result<Option<Duration>, String> {
    let Some(limit) = text(cx, "VAULT_CLIENT_TIMEOUT")? else { return Ok(None) };
    let limit = seconds_or_duration(&limit)
        .ok_or_else(|| "`VAULT_CLIENT_TIMEOUT` is neither seconds nor a duration, such as `30s`".to_owned())?;
    // None says nothing, as for Vault's own client.
    Ok(Some(limit).filter(|limit| !limit.is_zero()))
}

/// `30`, `1m30s`, `2d`.
fn seconds_or_duration(text: &str) -> Option<Duration> {
    const DAY: u64 = 24 * 60 * 60;
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    if let Some(days) = text.strip_suffix('d') {
        return Some(Duration::from_secs(days.parse::<u64>().ok()?.checked_mul(DAY)?));
    }
    Some(Duration::from_nanos(u64::try_from(duration::parse(text)?).ok()?))
}

/// `10`, or `10:50`: in a second, and at once after a pause.
#[expect(clippy::cast_sign_loss, reason = "a negative one is refused below, and becomes 0 before")]
fn rate_of(text: &str) -> Result<Rate, String> {
    let rate = match text.split_once(':') {
        Some((per_second, at_once)) => per_second.parse().ok().zip(at_once.parse().ok()),
        None => text.parse().ok().map(|per_second: f64| (per_second, per_second as u32)),
    };
    let rate = rate.filter(|(per_second, _)| *per_second > 0.0 && per_second.is_finite());
    let (per_second, at_once) =
        rate.ok_or_else(|| "`VAULT_RATE_LIMIT` is no number of calls a second, such as `10` or `10:50`".to_owned())?;
    Ok(Rate { per_second, at_once })
}

fn is_set(cx: &Context, name: &str) -> Result<bool, String> {
    let value = text(cx, name)?.unwrap_or_default();
    if value.is_empty() { Ok(false) } else { parse_bool(&value).map_err(|error| format!("`{name}`: {error}")) }
}

fn login(cx: &Context) -> Result<Login, String> {
    let mut tried = Vec::new();
    let mut not_set = |place: &str| tried.push(Tried { place: place.to_owned(), outcome: "not set".to_owned() });
    if let Some(token) = text(cx, "VAULT_TOKEN")? {
        return Ok(Login::Token { token: trimmed(&Wiping::new(token.into_bytes())), place: "VAULT_TOKEN".to_owned() });
    }
    not_set("VAULT_TOKEN");
    let mount = |usual: &str| Ok::<_, String>(text(cx, "BULLA_VAULT_AUTH_PATH")?.unwrap_or_else(|| usual.to_owned()));
    match (text(cx, "VAULT_ROLE_ID")?, text(cx, "VAULT_SECRET_ID")?) {
        (Some(role_id), secret_id) => {
            // A role may be bound otherwise and need no secret.
            let secret_id = SecretBytes::new(secret_id.unwrap_or_default().into_bytes());
            return Ok(Login::AppRole { mount: mount("approle")?, role_id, secret_id });
        }
        (None, Some(_)) => return Err("`VAULT_SECRET_ID` is set, and `VAULT_ROLE_ID` is not".to_owned()),
        (None, None) => not_set("VAULT_ROLE_ID"),
    }
    if let Some(role) = text(cx, "BULLA_VAULT_KUBERNETES_ROLE")? {
        let token = read_bytes(Path::new(SERVICE_ACCOUNT));
        let token = token.map_err(|error| format!("the service account of `BULLA_VAULT_KUBERNETES_ROLE`: {error}"))?;
        return Ok(Login::Kubernetes { mount: mount("kubernetes")?, role, service_account: trimmed(&token).into() });
    }
    not_set("BULLA_VAULT_KUBERNETES_ROLE");
    let Some(home) = cx.home() else { return Ok(Login::None(tried)) };
    let path = home.join(".vault-token");
    let outcome = match read_bytes(&path) {
        Ok(token) if token.iter().all(u8::is_ascii_whitespace) => "empty".to_owned(),
        Ok(token) => return Ok(Login::Token { token: trimmed(&token), place: path.display().to_string() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => "not there".to_owned(),
        Err(error) => error.to_string(),
    };
    tried.push(Tried { place: path.display().to_string(), outcome });
    Ok(Login::None(tried))
}

fn trimmed(secret: &Wiping<Vec<u8>>) -> SecretBytes {
    SecretBytes::new(secret.trim_ascii().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_as_vaults_own_client_reads_them() {
        for (text, seconds) in [
            ("30", Some(30.0)),
            ("1m30s", Some(90.0)),
            ("1.5s", Some(1.5)),
            ("2d", Some(172_800.0)),
            ("0", Some(0.0)),
            ("-5", None),
            ("-5s", None),
            ("soon", None),
            ("1.5d", None),
        ] {
            assert_eq!(seconds_or_duration(text).map(|limit| limit.as_secs_f64()), seconds, "{text}");
        }
        for (text, rate) in [("10", Some((10.0, 10))), ("0.5:3", Some((0.5, 3))), ("0.5", Some((0.5, 0)))] {
            assert_eq!(rate_of(text).ok().map(|rate| (rate.per_second, rate.at_once)), rate, "{text}");
        }
        for text in ["0", "-1", "inf", "NaN", "x:1", "1:x", "1:-1"] {
            assert!(rate_of(text).is_err(), "{text}");
        }
    }
}
