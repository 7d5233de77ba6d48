//! Azure: whose credentials are used, and to which vaults they go.
//!
//! ```text
//! AZURE_TENANT_ID  AZURE_CLIENT_ID   with one of
//!   AZURE_CLIENT_SECRET                                 a secret
//!   AZURE_CLIENT_CERTIFICATE_PATH                       a certificate and its key in PEM (AZURE_CLIENT_SEND_CERTIFICATE_CHAIN)
//!   AZURE_FEDERATED_TOKEN_FILE                          the token of a cluster's service account
//! IDENTITY_ENDPOINT  IDENTITY_HEADER                    the managed identity of a service
//! 169.254.169.254                                       that of the machine (AZURE_POD_IDENTITY_AUTHORITY_HOST)
//! az  azd                                               whoever is logged in there
//! AZURE_TOKEN_CREDENTIALS                               only some of these: `dev`, `prod`, or the name of one
//! AZURE_AUTHORITY_HOST                                  another cloud than the public one
//! BULLA_AZURE_VAULT_ALLOWLIST                           the only vaults that a token may go to
//! HTTPS_PROXY  NO_PROXY
//! ```
//! The first that is there counts, in the order of Microsoft's libraries, and so of SOPS. Nothing of this is read before a key of a vault
//! is met.

use std::path::PathBuf;
use std::sync::Arc;

use bulla_crypto::SecretBytes;
use bulla_keys::azure::KeyVault;
use bulla_services::azure::{AllowedVaults, Base, Limits, Settings, Source};
use bulla_services::{Surroundings, Tried};

use super::outside::{outside, proxies, read};
use super::{random, runtime, text};
use crate::context::Context;

const AUTHORITY: &str = "https://login.microsoftonline.com";
/// Where every machine of Azure tells who it is.
const MACHINE: &str = "http://169.254.169.254";

/// The vaults, for this command.
pub(super) fn key_vault(cx: &Context) -> Arc<KeyVault> {
    Arc::new(KeyVault::new(settings(cx), Surroundings::new(runtime, random(cx))))
}

fn settings(cx: &Context) -> Result<Settings, String> {
    let authority = text(cx, "AZURE_AUTHORITY_HOST")?.unwrap_or_else(|| AUTHORITY.to_owned());
    let authority: Base = authority.parse().map_err(|error| format!("`AZURE_AUTHORITY_HOST`: {error}"))?;
    let machine = text(cx, "AZURE_POD_IDENTITY_AUTHORITY_HOST")?.unwrap_or_else(|| MACHINE.to_owned());
    let machine = machine.parse().map_err(|error| format!("`AZURE_POD_IDENTITY_AUTHORITY_HOST`: {error}"))?;
    let allowed = AllowedVaults::read(&authority, text(cx, "BULLA_AZURE_VAULT_ALLOWLIST")?.as_deref())?;
    Ok(Settings {
        sources: sources(cx)?,
        authority,
        machine,
        allowed,
        proxies: proxies(cx)?,
        authorities: None,
        limits: Limits::default(),
        outside: outside(),
    })
}

/// The kinds of sources, by the names that `AZURE_TOKEN_CREDENTIALS` has for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Environment,
    Workload,
    Managed,
    Az,
    Azd,
}

/// Those that are looked at.
fn kinds(chosen: Option<&str>) -> Result<Vec<Kind>, String> {
    use Kind::{Az, Azd, Environment, Managed, Workload};
    let Some(chosen) = chosen else { return Ok(vec![Environment, Workload, Managed, Az, Azd]) };
    Ok(match &*chosen.to_ascii_lowercase() {
        "dev" => vec![Az, Azd],
        "prod" => vec![Environment, Workload, Managed],
        "environmentcredential" => vec![Environment],
        "workloadidentitycredential" => vec![Workload],
        "managedidentitycredential" => vec![Managed],
        "azureclicredential" => vec![Az],
        "azuredeveloperclicredential" => vec![Azd],
        _ => {
            return Err("`AZURE_TOKEN_CREDENTIALS` is neither `dev` nor `prod`, nor one of `EnvironmentCredential`, \
                        `WorkloadIdentityCredential`, `ManagedIdentityCredential`, `AzureCLICredential`, `AzureDeveloperCLICredential`"
                .to_owned());
        }
    })
}

fn sources(cx: &Context) -> Result<Vec<Source>, String> {
    let kinds = kinds(text(cx, "AZURE_TOKEN_CREDENTIALS")?.as_deref())?;
    let (tenant, client_id) = (text(cx, "AZURE_TENANT_ID")?, text(cx, "AZURE_CLIENT_ID")?);
    let missing = |place: &str| Source::Missing(Tried { place: place.to_owned(), outcome: "not set".to_owned() });
    let application = tenant.zip(client_id.clone());
    kinds
        .into_iter()
        .map(|kind| {
            Ok(match (kind, &application) {
                (Kind::Environment | Kind::Workload, None) => {
                    missing(if client_id.is_none() { "AZURE_CLIENT_ID" } else { "AZURE_TENANT_ID" })
                }
                (Kind::Environment, Some((tenant, client_id))) => of_environment(cx, tenant, client_id)?,
                (Kind::Workload, Some((tenant, client_id))) => match text(cx, "AZURE_FEDERATED_TOKEN_FILE")? {
                    Some(path) => Source::Federated { tenant: tenant.clone(), client_id: client_id.clone(), path },
                    None => missing("AZURE_FEDERATED_TOKEN_FILE"),
                },
                (Kind::Managed, _) => match (text(cx, "IDENTITY_ENDPOINT")?, text(cx, "IDENTITY_HEADER")?) {
                    (Some(endpoint), Some(secret)) => {
                        let secret = SecretBytes::new(secret.into_bytes());
                        Source::Service { endpoint, secret, client_id: client_id.clone() }
                    }
                    _ => Source::Machine { client_id: client_id.clone() },
                },
                (Kind::Az, _) => Source::Az,
                (Kind::Azd, _) => Source::Azd,
            })
        })
        .collect()
}

/// An application, by its secret or its certificate.
fn of_environment(cx: &Context, tenant: &str, client_id: &str) -> Result<Source, String> {
    let (tenant, client_id) = (tenant.to_owned(), client_id.to_owned());
    if let Some(secret) = text(cx, "AZURE_CLIENT_SECRET")? {
        return Ok(Source::Secret { tenant, client_id, secret: SecretBytes::new(secret.into_bytes()) });
    }
    let Some(path) = cx.variable("AZURE_CLIENT_CERTIFICATE_PATH").map(PathBuf::from) else {
        let place = "AZURE_CLIENT_SECRET, AZURE_CLIENT_CERTIFICATE_PATH".to_owned();
        return Ok(Source::Missing(Tried { place, outcome: "not set".to_owned() }));
    };
    let place = format!("AZURE_CLIENT_CERTIFICATE_PATH ({})", path.display());
    let pem = read(&path).map_err(|error| format!("`{place}`: {error}"))?;
    let chain = text(cx, "AZURE_CLIENT_SEND_CERTIFICATE_CHAIN")?;
    let with_chain = chain.is_some_and(|value| value == "1" || value.eq_ignore_ascii_case("true"));
    Ok(Source::Certificate { tenant, client_id, pem, place, with_chain })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_looked_at_can_be_chosen() {
        for (chosen, count) in [
            (None, 5),
            (Some("dev"), 2),
            (Some("prod"), 3),
            (Some("AzureCLICredential"), 1),
            (Some("managedidentitycredential"), 1),
        ] {
            assert_eq!(kinds(chosen).unwrap().len(), count, "{chosen:?}");
        }
        assert!(kinds(Some("hunter2")).unwrap_err().starts_with("`AZURE_TOKEN_CREDENTIALS` is neither"));
    }
}
