//! What an error of Huawei Cloud means. Pure, so that every case is a line of a table.
//!
//! ```text
//! of a service    403 {"error": {"error_code": "KMS.0304", "error_msg": "Policy doesn't allow kms:cmk:decrypt to be performed."}}
//! of its gateway  401 {"error_code": "APIGW.0301", "error_msg": "Incorrect IAM authentication information: …", "request_id": "…"}
//! ```
//! Its codes are many and change with the service; statuses and words count here, and what is not known becomes
//! [`ServiceError::Unexpected`] with what was said.

use serde::Deserialize;

use super::Asked;
use super::credentials::Credentials;
use crate::ServiceError;
use crate::rest::{Reply, reason, shown};

#[derive(Deserialize, Default)]
#[serde(default)]
struct Body {
    error: Failure,
    error_code: String,
    error_msg: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Failure {
    error_code: String,
    error_msg: String,
}

/// What an answer means that is no success.
pub(super) fn meaning(reply: &Reply, asked: &Asked<'_>, service: &str, credentials: &Credentials) -> ServiceError {
    let body = reply.json::<Body>().unwrap_or_default();
    let either = |inner: String, outer: String| if inner.is_empty() { outer } else { inner };
    let message = either(body.error.error_msg, body.error_msg);
    let code = either(body.error.error_code, body.error_code);
    let (address, key, principal) = (service.to_owned(), asked.key.to_owned(), credentials.principal.clone());
    let reason = reason(&message, &code);
    let words = message.to_ascii_lowercase();
    let says = |texts: &[&str]| texts.iter().any(|text| words.contains(text));
    match reply.status {
        429 => ServiceError::Throttled { address, attempts: reply.attempts, retry_after: reply.retry_after },
        401 => ServiceError::Rejected { address, principal, reason },
        400 | 403 if says(&["disabled", "pending deletion", "scheduled for deletion", "not enabled"]) => {
            ServiceError::Unusable { key, reason }
        }
        403 => {
            let action = message.split_once("allow ").and_then(|(_, rest)| rest.split_once(" to be performed"));
            let action = action.map_or_else(|| asked.action.to_owned(), |(action, _)| shown(action));
            let statement = format!(
                "{{\"Version\": \"1.1\", \"Statement\": [{{\"Effect\": \"Allow\", \"Action\": [\"{action}\"]}}]}}"
            );
            let grant = format!("{statement}, in a policy of a group of this user, for the project of the region");
            ServiceError::Denied { principal, action, resource: key, grant }
        }
        404 => ServiceError::UnknownKey { key, reason },
        400 if says(&["not exist", "not found"]) => ServiceError::UnknownKey { key, reason },
        400 if asked.action.ends_with("decrypt") && says(&["decrypt", "ciphertext", "cipher_text"]) => {
            ServiceError::Unfit { key, reason }
        }
        _ if reply.is_passing() => ServiceError::Unavailable { address, reason },
        status => ServiceError::Unexpected { address, status, reason },
    }
}

#[cfg(test)]
mod tests {
    use bulla_crypto::SecretBytes;
    use bulla_wipe::Wiping;
    use http::HeaderMap;

    use super::*;

    fn error(status: u16, body: &str) -> ServiceError {
        let credentials = Credentials {
            id: "AK".to_owned(),
            secret: SecretBytes::new(b"hunter2".to_vec()),
            security_token: None,
            principal: "the access key `AK`".to_owned(),
            is_renewable: false,
        };
        let body = Wiping::new(body.as_bytes().to_vec());
        let reply = Reply { status, headers: HeaderMap::new(), body, attempts: 5, retry_after: None };
        let asked = Asked { action: "kms:cmk:decrypt", key: "eu-west-101:k" };
        meaning(&reply, &asked, "Huawei Cloud KMS", &credentials)
    }

    #[test]
    fn every_answer_has_its_meaning() {
        for (status, code, message, expected) in [
            (404, "KMS.0405", "No such CMK.", "there is no key eu-west-101:k: No such CMK. (KMS.0405)"),
            (403, "KMS.1102", "The CMK is disabled.", "eu-west-101:k cannot be used: The CMK is disabled. (KMS.1102)"),
            (
                400,
                "KMS.0210",
                "Failed to decrypt the ciphertext.",
                "eu-west-101:k did not make this wrapped key, or the wrapped key was changed: Failed to decrypt the ciphertext. (KMS.0210)",
            ),
            (401, "APIGW.0301", "x", "Huawei Cloud KMS does not accept the access key `AK`: x (APIGW.0301)"),
            (429, "APIGW.0308", "x", "Huawei Cloud KMS is asked too often: it refused 5 attempts"),
            (
                403,
                "KMS.0304",
                "Policy doesn't allow kms:cmk:decrypt to be performed.",
                "the access key `AK` may not kms:cmk:decrypt eu-west-101:k",
            ),
            (400, "KMS.0201", "Invalid parameter.", "Huawei Cloud KMS answered 400: Invalid parameter. (KMS.0201)"),
        ] {
            let inner = format!(r#"{{"error":{{"error_code":"{code}","error_msg":"{message}"}},"request_id":"1"}}"#);
            let outer = format!(r#"{{"error_code":"{code}","error_msg":"{message}","request_id":"1"}}"#);
            for body in [inner, outer] {
                assert_eq!(error(status, &body).to_string(), expected);
            }
        }
        for body in ["", "<html>", "[]", r#"{"error":"x"}"#, r#"{"error_msg":7}"#] {
            assert_eq!(error(502, body).to_string(), "Huawei Cloud KMS cannot answer: it gave no reason", "{body}");
        }
        let ServiceError::Denied { grant, .. } = error(403, "") else { panic!("a 403 is a denial") };
        assert!(
            grant.starts_with(
                r#"{"Version": "1.1", "Statement": [{"Effect": "Allow", "Action": ["kms:cmk:decrypt"]}]}"#
            )
        );
    }
}
