//! The services that hold keys: how a command reaches them, and with which credentials. All of it comes from the environment.
//!
//! ```text
//! VAULT_ADDR  SOPS_HC_VAULT_ALLOWLIST                   where a token may go
//! VAULT_TOKEN                                           a token
//! VAULT_ROLE_ID  VAULT_SECRET_ID                        an AppRole
//! BULLA_VAULT_KUBERNETES_ROLE                           a role for this pod's service account
//! ~/.vault-token                                        what `vault login` left
//! BULLA_VAULT_AUTH_PATH                                 where the method of the role is mounted, if not where it usually is
//! VAULT_NAMESPACE  VAULT_CACERT
//! ```
//! The first of the four that is set counts. Nothing of this is read before a key of Vault is met. AWS is in [`aws`],
//! the other clouds in [`gcp`], [`azure`] and [`huawei`], what is published into in [`buckets`], what these need of the machine in [`outside`], and gpg in [`gpg`].

mod aws;
mod azure;
mod buckets;
mod gcp;
mod gpg;
mod huawei;
mod key_services;
mod outside;

use std::io;
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use bulla_crypto::SecretBytes;
use bulla_keys::age::AgeIdentities;
use bulla_keys::vault::Vault;
use bulla_keys::{DecryptionOrder, KeySources};
use bulla_services::vault::{Address, AddressError, AllowedAddresses, Authorities, Client, Login, Settings};
use bulla_services::{NamedBy, Surroundings, Tried};
use bulla_wipe::Wiping;
use rand::Rng as _;
use tokio::runtime::{Builder, Handle, Runtime};

use crate::context::Context;
use crate::files::read_bytes;

pub(crate) use buckets::{Bucket, Buckets};
pub(crate) use gpg::gpg;
pub(crate) use key_services::KeyServiceArgs;

/// Where a pod finds the token of its service account.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// The means of this command to use keys of every kind, with these identities of age. No service is met before a key of it is.
pub(crate) fn key_sources(cx: &Context, age: Arc<AgeIdentities>) -> KeySources<'_> {
    KeySources {
        age,
        vault: LazyLock::new(Box::new(|| vault(cx))),
        kms: LazyLock::new(Box::new(|| aws::kms(cx))),
        gcp: LazyLock::new(Box::new(|| gcp::kms(cx))),
        azure: LazyLock::new(Box::new(|| azure::key_vault(cx))),
        huawei: LazyLock::new(Box::new(|| huawei::kms(cx))),
        pgp: LazyLock::new(Box::new(|| gpg(cx))),
        memory: Arc::default(),
        order: DecryptionOrder::default(),
        is_here: true,
        services: Arc::default(),
    }
}

/// The Vault servers of this command.
fn vault(cx: &Context) -> Arc<Vault> {
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

/// What spreads retries.
fn random(cx: &Context) -> impl Fn() -> u32 + Send + Sync + use<> {
    let rng = cx.rng().ok().map(Mutex::new);
    move || match &rng {
        // A panic elsewhere leaves the generator as good as it was.
        Some(rng) => rng.lock().unwrap_or_else(PoisonError::into_inner).next_u32(),
        // It only spreads retries.
        None => 0,
    }
}

/// The runtime that carries all calls of the process. It is started with the first one.
fn runtime() -> io::Result<Handle> {
    static RUNTIME: Mutex<Option<Runtime>> = Mutex::new(None);
    let mut runtime = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(runtime) = &*runtime {
        return Ok(runtime.handle().clone());
    }
    // One thread: who waits for an answer waits elsewhere.
    let started = Builder::new_multi_thread().worker_threads(1).thread_name("services").enable_all().build()?;
    Ok(runtime.insert(started).handle().clone())
}

fn settings(cx: &Context) -> Result<Settings, String> {
    let usual = text(cx, "VAULT_ADDR")?;
    let list = text(cx, "SOPS_HC_VAULT_ALLOWLIST")?;
    let authorities = match cx.variable("VAULT_CACERT") {
        None => None,
        Some(path) => {
            let path = Path::new(&path);
            let read = std::fs::read(path);
            let pem = read.map_err(|error| format!("`VAULT_CACERT` ({}): {error}", path.display()))?;
            Some(Authorities { pem, place: "VAULT_CACERT".to_owned() })
        }
    };
    Ok(Settings {
        namespace: text(cx, "VAULT_NAMESPACE")?,
        authorities,
        allowed: AllowedAddresses::read(usual.as_deref(), list.as_deref())?,
        ..Settings::new(login(cx)?)
    })
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

/// A variable, which is text or an error.
fn text(cx: &Context, name: &str) -> Result<Option<String>, String> {
    let value = cx.variable(name).map(std::ffi::OsString::into_string).transpose();
    value.map_err(|_| format!("`{name}` is not UTF-8 text"))
}

fn trimmed(secret: &Wiping<Vec<u8>>) -> SecretBytes {
    SecretBytes::new(secret.trim_ascii().to_vec())
}
