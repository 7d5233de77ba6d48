//! What an error of a vault means. Pure, so that every case is a line of a table.
//!
//! ```text
//! 403 {"error": {"code": "Forbidden", "message": "Caller is not authorized to perform action on resource. … Caller: appid=…;oid=…;iss=…
//!      Action: 'Microsoft.KeyVault/vaults/keys/decrypt/action' Resource: '/subscriptions/…' …", "innererror": {"code": "ForbiddenByRbac"}}}
//! 403 … "The user, group or application 'appid=…;oid=…;iss=…' does not have keys decrypt permission on key vault 'shop;location=…'."
//! ```
//! The first is of a vault with roles, the second of one with access policies. Codes that are not known become
//! [`ServiceError::Unexpected`] with what was said.

use serde::Deserialize;

use super::{Address, Asked};
use crate::ServiceError;
use crate::rest::{Reply, reason, shown};

/// The role that may do with keys what SOPS does.
const ROLE: &str = "Key Vault Crypto User";
/// The same, of a Managed HSM.
const HSM_ROLE: &str = "Managed HSM Crypto User";

#[derive(Deserialize, Default)]
struct Body {
    #[serde(default)]
    error: Failure,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Failure {
    code: String,
    message: String,
    innererror: Option<Inner>,
}

#[derive(Deserialize)]
struct Inner {
    #[serde(default)]
    code: String,
}

/// What an answer means that is no success.
pub(super) fn meaning(reply: &Reply, asked: &Asked<'_>, vault: &Address, principal: &str) -> ServiceError {
    let failure = reply.json::<Body>().unwrap_or_default().error;
    let inner = failure.innererror.as_ref().map_or("", |inner| &*inner.code);
    let (address, key) = (vault.to_string(), asked.key.to_owned());
    let code = if inner.is_empty() { &*failure.code } else { inner };
    let reason = reason(&failure.message, code);
    match (reply.status, code) {
        (429, _) => ServiceError::Throttled { address, attempts: reply.attempts, retry_after: reply.retry_after },
        (401, _) => ServiceError::Rejected { address, principal: principal.to_owned(), reason },
        (
            403,
            "KeyDisabled"
            | "KeyExpired"
            | "KeyNotYetValid"
            | "KeyOperationForbidden"
            | "ForbiddenByFirewall"
            | "ForbiddenByConnection",
        )
        | (409, _) => ServiceError::Unusable { key, reason },
        (403, _) => denied(&failure.message, asked, vault, principal),
        (404, _) => ServiceError::UnknownKey { key, reason },
        (400, "BadParameter") if asked.operation == "decrypt" => ServiceError::Unfit { key, reason },
        _ if reply.is_passing() => ServiceError::Unavailable { address, reason },
        (status, _) => ServiceError::Unexpected { address, status, reason },
    }
}

/// Who may not do what, and the command that grants it.
fn denied(message: &str, asked: &Asked<'_>, vault: &Address, principal: &str) -> ServiceError {
    let field = |name: &str, end: &[char]| {
        let rest = message.split_once(name)?.1.split(end).next()?.trim();
        Some(shown(rest)).filter(|text| !text.is_empty())
    };
    let object = field("oid=", &[';', '\'', '\r', '\n', ' ']);
    let whose = match (field("appid=", &[';', '\'', '\r', '\n', ' ']), &object) {
        (Some(application), Some(object)) => format!("{principal} (appid {application}, oid {object})"),
        (None, Some(object)) => format!("{principal} (oid {object})"),
        _ => principal.to_owned(),
    };
    let action = field("Action: '", &['\'']).unwrap_or_else(|| format!("keys/{}", asked.operation));
    let resource = field("Resource: '", &['\'']);
    let object = object.as_deref().unwrap_or("OBJECT-ID");
    let name = vault.host().split('.').next().unwrap_or_default();
    let by_role =
        |scope: &str| format!("az role assignment create --assignee {object} --role \"{ROLE}\" --scope {scope}");
    let grant = if vault.host().contains(".managedhsm.") {
        format!(
            "az keyvault role assignment create --hsm-name {name} --assignee {object} --role \"{HSM_ROLE}\" --scope /keys"
        )
    } else if let Some(scope) = resource.as_deref().filter(|scope| scope.starts_with("/subscriptions/")) {
        by_role(&vault_of(scope))
    } else if message.contains("permission on key vault") {
        format!("az keyvault set-policy --name {name} --object-id {object} --key-permissions {}", asked.operation)
    } else {
        format!(
            "the role `{ROLE}` on the vault, or, if it has access policies, the key permission `{}`",
            asked.operation
        )
    };
    ServiceError::Denied { principal: whose, action, resource: resource.unwrap_or_else(|| asked.key.to_owned()), grant }
}

/// The vault in the id of one of its keys: that is where roles are given.
fn vault_of(resource: &str) -> String {
    let parts: Vec<&str> = resource.split('/').collect();
    let vaults = parts.iter().position(|part| part.eq_ignore_ascii_case("vaults"));
    vaults.map_or_else(|| resource.to_owned(), |at| parts[..parts.len().min(at + 2)].join("/"))
}

#[cfg(test)]
mod tests {
    use bulla_wipe::Wiping;
    use http::HeaderMap;
    use serde_json::json;

    use super::*;

    const KEY: &str = "https://shop.vault.azure.net/keys/sops/0123";
    const ASKED: Asked<'_> = Asked { operation: "decrypt", key: KEY };

    fn reply(status: u16, body: &str) -> Reply {
        let body = Wiping::new(body.as_bytes().to_vec());
        Reply { status, headers: HeaderMap::new(), body, attempts: 5, retry_after: None }
    }

    fn error(status: u16, code: &str, inner: &str, message: &str) -> ServiceError {
        let mut body = json!({"error": {"code": code, "message": message}});
        if !inner.is_empty() {
            body["error"]["innererror"] = json!({"code": inner});
        }
        let vault = "https://shop.vault.azure.net".parse().unwrap();
        meaning(&reply(status, &body.to_string()), &ASKED, &vault, "the application `a`")
    }

    #[test]
    fn every_code_has_its_meaning() {
        for (status, code, inner, message, expected) in [
            (404, "KeyNotFound", "", "not found", "there is no key KEY: not found (KeyNotFound)"),
            (
                400,
                "BadParameter",
                "",
                "The parameter is incorrect.",
                "KEY did not make this wrapped key, or the wrapped key was changed: The parameter is incorrect. (BadParameter)",
            ),
            (403, "Forbidden", "KeyDisabled", "x", "KEY cannot be used: x (KeyDisabled)"),
            (403, "Forbidden", "ForbiddenByFirewall", "x", "KEY cannot be used: x (ForbiddenByFirewall)"),
            (
                401,
                "Unauthorized",
                "",
                "AKV10032: Invalid issuer.",
                "https://shop.vault.azure.net does not accept the application `a`: AKV10032: Invalid issuer. (Unauthorized)",
            ),
            (429, "Throttled", "", "x", "https://shop.vault.azure.net is asked too often: it refused 5 attempts"),
            (503, "", "", "", "https://shop.vault.azure.net cannot answer: it gave no reason"),
            (403, "Forbidden", "", "", "the application `a` may not keys/decrypt KEY"),
            (418, "Teapot", "", "x", "https://shop.vault.azure.net answered 418: x (Teapot)"),
        ] {
            assert_eq!(error(status, code, inner, message).to_string(), expected.replace("KEY", KEY));
        }
        let vault = "https://shop.vault.azure.net".parse().unwrap();
        for body in ["", "<html>", "[]", r#"{"error":"x"}"#, r#"{"error":{"innererror":7}}"#] {
            let error = meaning(&reply(502, body), &ASKED, &vault, "nobody");
            assert_eq!(error.to_string(), "https://shop.vault.azure.net cannot answer: it gave no reason", "{body}");
        }
    }

    #[test]
    fn a_missing_permission_comes_with_the_command_that_grants_it() {
        let told = |message: &str| match error(403, "Forbidden", "", message) {
            ServiceError::Denied { principal, action, resource, grant } => {
                format!("{principal} | {action} | {resource} | {grant}")
            }
            error => panic!("{error}"),
        };
        let scope = "/subscriptions/s/resourcegroups/g/providers/microsoft.keyvault/vaults/shop";
        assert_eq!(
            told(&format!(
                "Caller is not authorized to perform action on resource.\r\nIf role assignments changed recently, wait.\r\nCaller: \
                 appid=a;oid=o;iss=https://sts.windows.net/t/\r\nAction: 'Microsoft.KeyVault/vaults/keys/decrypt/action'\r\nResource: \
                 '{scope}/keys/sops/0123'\r\nAssignment: (not found)"
            )),
            format!(
                "the application `a` (appid a, oid o) | Microsoft.KeyVault/vaults/keys/decrypt/action | {scope}/keys/sops/0123 | \
                 az role assignment create --assignee o --role \"Key Vault Crypto User\" --scope {scope}"
            )
        );
        assert_eq!(
            told(
                "The user, group or application 'appid=a;oid=o;numgroups=0;iss=https://sts.windows.net/t/' does not have keys decrypt \
                 permission on key vault 'shop;location=westeurope'."
            ),
            format!(
                "the application `a` (appid a, oid o) | keys/decrypt | {KEY} | \
                 az keyvault set-policy --name shop --object-id o --key-permissions decrypt"
            )
        );
        assert!(told("").ends_with(
            "the role `Key Vault Crypto User` on the vault, or, if it has access policies, the key permission `decrypt`"
        ));
    }
}
