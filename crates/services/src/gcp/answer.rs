//! What an error of Google Cloud means. Pure, so that every case is a line of a table.
//!
//! ```text
//! 403 {"error": {"code": 403, "status": "PERMISSION_DENIED", "message": "Permission '…' denied on resource '…' (or it may not exist).",
//!      "details": [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "IAM_PERMISSION_DENIED",
//!                   "metadata": {"permission": "…", "resource": "…"}}]}}
//! ```
//! The status in words counts, where there is one (Cloud Storage has none); those that are not known become [`ServiceError::Unexpected`] with what was said.

use serde::Deserialize;

use super::Asked;
use crate::ServiceError;
use crate::rest::{Reply, reason, shown};

#[derive(Deserialize, Default)]
struct Body {
    #[serde(default)]
    error: Failure,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Failure {
    status: String,
    message: String,
    details: Vec<Detail>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Detail {
    reason: String,
    metadata: Metadata,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Metadata {
    permission: Option<String>,
    resource: Option<String>,
}

/// What an answer means that is no success.
pub(super) fn meaning(reply: &Reply, asked: &Asked<'_>, service: &str, principal: &str) -> ServiceError {
    let failure = reply.json::<Body>().unwrap_or_default().error;
    let (address, key) = (service.to_owned(), asked.resource.to_owned());
    let reason = reason(&failure.message, &failure.status);
    let because = |word: &str| failure.details.iter().any(|detail| detail.reason == word);
    match (reply.status, &*failure.status) {
        (429, _) => ServiceError::Throttled { address, attempts: reply.attempts, retry_after: reply.retry_after },
        (401, _) => ServiceError::Rejected { address, principal: principal.to_owned(), reason },
        (403, _) if because("SERVICE_DISABLED") || because("BILLING_DISABLED") || because("CONSUMER_INVALID") => {
            ServiceError::Unusable { key, reason }
        }
        (403, _) => denied(&failure, asked, principal),
        (404, _) if bucket(asked.resource).is_some() => {
            ServiceError::NoBucket { bucket: bucket(asked.resource).unwrap_or_default().to_owned(), reason }
        }
        (404, _) => ServiceError::UnknownKey { key, reason },
        (400, "FAILED_PRECONDITION") => ServiceError::Unusable { key, reason },
        (400, "INVALID_ARGUMENT") if failure.message.contains("ecrypt") || failure.message.contains("iphertext") => {
            ServiceError::Unfit { key, reason }
        }
        _ if reply.is_passing() => ServiceError::Unavailable { address, reason },
        (status, _) => ServiceError::Unexpected { address, status, reason },
    }
}

/// Who may not do what, and the command that grants it.
fn denied(failure: &Failure, asked: &Asked<'_>, principal: &str) -> ServiceError {
    let said = failure.details.iter().find_map(|detail| detail.metadata.permission.as_deref());
    let quoted = |after: &str| failure.message.split_once(after)?.1.split('\'').next().filter(|word| !word.is_empty());
    let permission = said.or_else(|| quoted("ermission '")).unwrap_or(asked.permission);
    let resource = failure.details.iter().find_map(|detail| detail.metadata.resource.as_deref());
    let resource = resource.or_else(|| quoted("on resource '")).unwrap_or(asked.resource);
    let (permission, resource) = (shown(permission), shown(resource));
    // Cloud Storage says whom it refused, and nothing else does where the credentials do not.
    let principal = match failure.message.split_once(" does not have ") {
        Some((said, _)) if said.contains('@') && !said.contains(' ') => &*shown(said),
        _ => principal,
    };
    let grant = match key_parts(asked.resource) {
        _ if permission != asked.permission => format!("a role with `{permission}` on `{resource}`"),
        Some([project, location, ring, key]) => format!(
            "gcloud kms keys add-iam-policy-binding {key} --project {project} --location {location} --keyring {ring} \
             --member {} --role {}",
            member(principal),
            asked.role
        ),
        None => match bucket(asked.resource) {
            Some(bucket) => format!(
                "gcloud storage buckets add-iam-policy-binding gs://{bucket} --member {} --role {}",
                member(principal),
                asked.role
            ),
            None => format!("`{}` on `{resource}` for {}", asked.role, member(principal)),
        },
    };
    ServiceError::Denied { principal: principal.to_owned(), action: permission, resource, grant }
}

/// As policies name who may.
fn member(principal: &str) -> String {
    match principal.split_once('@') {
        Some((_, domain)) if domain.ends_with(".gserviceaccount.com") => format!("serviceAccount:{principal}"),
        Some(_) => format!("user:{principal}"),
        None => "user:WHO".to_owned(),
    }
}

/// The bucket of an object: `gs://BUCKET/OBJECT`.
fn bucket(resource: &str) -> Option<&str> {
    resource.strip_prefix("gs://")?.split('/').next()
}

fn key_parts(resource: &str) -> Option<[&str; 4]> {
    match resource.split('/').collect::<Vec<_>>()[..] {
        ["projects", project, "locations", location, "keyRings", ring, "cryptoKeys", key] => {
            Some([project, location, ring, key])
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;
    use bulla_wipe::Wiping;

    const KEY: &str = "projects/p/locations/global/keyRings/r/cryptoKeys/k";
    const ASKED: Asked<'_> = Asked {
        permission: "cloudkms.cryptoKeyVersions.useToDecrypt",
        role: "roles/cloudkms.cryptoKeyDecrypter",
        resource: KEY,
    };
    const SHOP: &str = "shop@p.iam.gserviceaccount.com";

    fn reply(status: u16, body: &str) -> Reply {
        let body = Wiping::new(body.as_bytes().to_vec());
        Reply { status, headers: HeaderMap::new(), body, attempts: 5, retry_after: None }
    }

    fn error(status: u16, words: &str, message: &str, details: &str) -> ServiceError {
        let message = serde_json::Value::from(message);
        let body =
            format!(r#"{{"error":{{"code":{status},"status":"{words}","message":{message},"details":[{details}]}}}}"#);
        meaning(&reply(status, &body), &ASKED, "Google Cloud KMS", SHOP)
    }

    #[test]
    fn every_status_has_its_meaning() {
        for (status, words, message, expected) in [
            (404, "NOT_FOUND", "CryptoKey x not found.", "there is no key KEY: CryptoKey x not found. (NOT_FOUND)"),
            (
                400,
                "INVALID_ARGUMENT",
                "Decryption failed: verify that 'name' refers to the correct CryptoKey.",
                "KEY did not make this wrapped key, or the wrapped key was changed: Decryption failed: verify that 'name' refers to the correct CryptoKey. (INVALID_ARGUMENT)",
            ),
            (
                400,
                "FAILED_PRECONDITION",
                "KEY/cryptoKeyVersions/1 is not enabled, current state is: DESTROYED.",
                "KEY cannot be used: KEY/cryptoKeyVersions/1 is not enabled, current state is: DESTROYED. (FAILED_PRECONDITION)",
            ),
            (401, "UNAUTHENTICATED", "x", "Google Cloud KMS does not accept SHOP: x (UNAUTHENTICATED)"),
            (429, "RESOURCE_EXHAUSTED", "x", "Google Cloud KMS is asked too often: it refused 5 attempts"),
            (503, "UNAVAILABLE", "x", "Google Cloud KMS cannot answer: x (UNAVAILABLE)"),
            (403, "PERMISSION_DENIED", "", "SHOP may not cloudkms.cryptoKeyVersions.useToDecrypt KEY"),
            (400, "INVALID_ARGUMENT", "bad", "Google Cloud KMS answered 400: bad (INVALID_ARGUMENT)"),
        ] {
            let text = error(status, words, &message.replace("KEY", KEY), "").to_string();
            assert_eq!(text, expected.replace("KEY", KEY).replace("SHOP", SHOP));
        }
        for body in ["", "<html>", "[]", r#"{"error":"x"}"#, r#"{"error":{"details":7}}"#] {
            let error = meaning(&reply(502, body), &ASKED, "Google Cloud KMS", SHOP);
            assert_eq!(error.to_string(), "Google Cloud KMS cannot answer: it gave no reason", "{body}");
        }
    }

    #[test]
    fn a_missing_permission_comes_with_the_command_that_grants_it() {
        let grant = |error| match error {
            ServiceError::Denied { principal, action, resource, grant } => {
                format!("{principal} | {action} | {resource} | {grant}")
            }
            error => panic!("{error}"),
        };
        let words = "Permission 'cloudkms.cryptoKeyVersions.useToDecrypt' denied on resource 'projects/p/locations/global/keyRings/r/cryptoKeys/k' (or it may not exist).";
        let expected = "shop@p.iam.gserviceaccount.com | cloudkms.cryptoKeyVersions.useToDecrypt | projects/p/locations/global/keyRings/r/cryptoKeys/k | \
                        gcloud kms keys add-iam-policy-binding k --project p --location global --keyring r \
                        --member serviceAccount:shop@p.iam.gserviceaccount.com --role roles/cloudkms.cryptoKeyDecrypter";
        assert_eq!(grant(error(403, "PERMISSION_DENIED", words, "")), expected);
        let other = r#"{"reason":"IAM_PERMISSION_DENIED","metadata":{"permission":"iam.serviceAccounts.getAccessToken","resource":"projects/-/x"}}"#;
        let other = grant(error(403, "PERMISSION_DENIED", "", other));
        assert!(other.ends_with("| a role with `iam.serviceAccounts.getAccessToken` on `projects/-/x`"), "{other}");
        let asked = Asked {
            permission: "storage.objects.create",
            role: "roles/storage.objectCreator",
            resource: "gs://b/app.yaml",
        };
        for (message, expected) in [
            (
                "shop@p.iam.gserviceaccount.com does not have storage.objects.create access to the Google Cloud Storage object. Permission 'storage.objects.create' denied on resource (or it may not exist).",
                "shop@p.iam.gserviceaccount.com | storage.objects.create | gs://b/app.yaml | gcloud storage buckets add-iam-policy-binding gs://b \
                 --member serviceAccount:shop@p.iam.gserviceaccount.com --role roles/storage.objectCreator",
            ),
            (
                "me@example.com does not have storage.objects.delete access to the Google Cloud Storage object. Permission 'storage.objects.delete' denied on resource (or it may not exist).",
                "me@example.com | storage.objects.delete | gs://b/app.yaml | a role with `storage.objects.delete` on `gs://b/app.yaml`",
            ),
        ] {
            let body = format!(r#"{{"error":{{"code":403,"message":"{message}"}}}}"#);
            assert_eq!(grant(meaning(&reply(403, &body), &asked, "Google Cloud Storage", "somebody")), expected);
        }
        let missing = r#"{"error":{"code":404,"message":"The specified bucket does not exist."}}"#;
        let missing = meaning(&reply(404, missing), &asked, "Google Cloud Storage", "somebody");
        assert_eq!(missing.to_string(), "there is no bucket b: The specified bucket does not exist.");
        let disabled = error(403, "PERMISSION_DENIED", "API disabled", r#"{"reason":"SERVICE_DISABLED"}"#);
        assert!(matches!(disabled, ServiceError::Unusable { .. }), "{disabled}");
        assert_eq!(member("me@example.com"), "user:me@example.com");
        assert_eq!(member("the token from `X`"), "user:WHO");
    }
}
