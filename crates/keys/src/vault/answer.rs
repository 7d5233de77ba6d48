//! What an answer of Vault's transit engine means. Pure, so that every case is a line of a table.
//!
//! ```text
//! 200 {"data": {"ciphertext": "vault:v1:…"}}   {"data": {"plaintext": "base64"}}
//! 4xx, 5xx {"errors": ["encryption key not found"]}
//! ```
//! What Vault answers whatever was asked (who may not, who is not known, too often, later) is [`Answer::refusal`]'s.

use bulla_services::ServiceError;
use bulla_services::vault::Answer;
use bulla_wipe::Wiping;
use serde::Deserialize;

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    data: Option<Data<'a>>,
}

#[derive(Deserialize)]
struct Data<'a> {
    ciphertext: Option<&'a str>,
    plaintext: Option<&'a str>,
}

/// A field of an answer that is what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Ciphertext,
    Plaintext,
}

/// The text of `field` in the answer about `key`.
pub(super) fn take(answer: &Answer, field: Field, key: &str) -> Result<Wiping<String>, ServiceError> {
    if answer.status != 200 {
        return Err(refusal(answer, key));
    }
    // What serde says of a text may quote it.
    let body: Body<'_> = serde_json::from_slice(&answer.body)
        .map_err(|_| answer.unexpected("what it sent is not an answer of Vault"))?;
    let text = match field {
        Field::Ciphertext => body.data.and_then(|data| data.ciphertext),
        Field::Plaintext => body.data.and_then(|data| data.plaintext),
    };
    let text =
        text.filter(|text| !text.is_empty()).ok_or_else(|| answer.unexpected("the answer lacks what was asked for"))?;
    Ok(Wiping::new(text.to_owned()))
}

/// 400 is a missing key or a foreign ciphertext: the status does not tell enough.
fn refusal(answer: &Answer, key: &str) -> ServiceError {
    let (key, reason) = (key.to_owned(), answer.said());
    match answer.status {
        400 if reason.contains("encryption key not found") => ServiceError::UnknownKey { key, reason },
        404 => ServiceError::UnknownKey { key, reason },
        400 if reason.contains("invalid ciphertext") || reason.contains("message authentication failed") => {
            ServiceError::Unfit { key, reason }
        }
        _ => answer.refusal(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulla_services::vault::Asked;

    const KEY: &str = "https://vault/v1/transit/keys/k";

    fn answer(status: u16, body: &str) -> Answer {
        let asked = Asked {
            address: "https://vault".to_owned(),
            principal: "the token from `VAULT_TOKEN`".to_owned(),
            capability: "update",
            path: "transit/decrypt/k".to_owned(),
            ..Asked::default()
        };
        Answer { status, body: Wiping::new(body.as_bytes().to_vec()), asked }
    }

    #[test]
    fn every_answer_has_its_meaning() {
        for (status, said, expected) in [
            (403, "permission denied", "the token from `VAULT_TOKEN` may not update `transit/decrypt/k`"),
            (
                400,
                "encryption key not found",
                "there is no key https://vault/v1/transit/keys/k: encryption key not found",
            ),
            (404, "no handler for route", "there is no key https://vault/v1/transit/keys/k: no handler for route"),
            (
                400,
                "invalid ciphertext: unable to decrypt",
                "https://vault/v1/transit/keys/k did not make this wrapped key, or the wrapped key was changed: invalid ciphertext: unable to decrypt",
            ),
            (400, "something else", "https://vault answered 400: something else"),
        ] {
            let answer = answer(status, &format!("{{\"errors\":[\"{said}\"]}}"));
            assert_eq!(take(&answer, Field::Plaintext, KEY).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn what_is_no_answer_of_vault_is_told_without_quoting_it() {
        for body in ["", "hunter2", "{}", r#"{"data":{"plaintext":7}}"#, r#"{"data":{"plaintext":""}}"#, "[]", "null"] {
            let error = take(&answer(200, body), Field::Plaintext, KEY).unwrap_err();
            assert!(matches!(error, ServiceError::Unexpected { status: 200, .. }), "{body}: {error}");
            assert!(!error.to_string().contains("hunter2"));
        }
        let good = answer(200, r#"{"data":{"ciphertext":"c","plaintext":"p"},"x":[1]}"#);
        for (field, text) in [(Field::Ciphertext, "c"), (Field::Plaintext, "p")] {
            assert_eq!(*take(&good, field, KEY).unwrap(), text);
        }
    }
}
