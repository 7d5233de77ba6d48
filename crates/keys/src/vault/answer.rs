//! What an answer of Vault means. Pure, so that every case is a line of a table.
//!
//! ```text
//! 200 {"data": {"ciphertext": "vault:v1:…"}}   {"data": {"plaintext": "base64"}}   {"auth": {"client_token": "…"}}
//! 4xx, 5xx {"errors": ["1 error occurred:\n\t* permission denied\n\n"]}
//! ```
//! Vault's words are matched where its status does not tell enough: 403 is a bad token or a missing permission, 400 a missing key or a
//! foreign ciphertext. Words seen in Vault 1.21; those that are not known become [`ServiceError::Unexpected`] with what was said.

use bulla_wipe::Wiping;
use serde::Deserialize;

use crate::service::ServiceError;

/// An answer, whole.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Wiping<Vec<u8>>,
}

/// What was asked, for messages.
pub(super) struct Question<'a> {
    pub(super) address: &'a str,
    pub(super) principal: &'a str,
    /// Below `/v1/`, as policies have it.
    pub(super) path: &'a str,
    /// The key in question; `None` for a login.
    pub(super) key: Option<&'a str>,
    /// How often it was asked.
    pub(super) attempts: u32,
}

/// What comes after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// It is final.
    Take,
    /// The same question may be answered later.
    Retry,
}

#[derive(Deserialize)]
struct Errors {
    #[serde(default)]
    errors: Vec<String>,
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    data: Option<Data<'a>>,
    #[serde(borrow)]
    auth: Option<Auth<'a>>,
}

#[derive(Deserialize)]
struct Data<'a> {
    ciphertext: Option<&'a str>,
    plaintext: Option<&'a str>,
}

#[derive(Deserialize)]
struct Auth<'a> {
    client_token: Option<&'a str>,
}

/// A field of an answer that is what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Ciphertext,
    Plaintext,
    Token,
}

impl Answer {
    /// Whether it is worth asking again. A sealed Vault stays sealed until a person comes.
    pub(super) fn next(&self) -> Next {
        match self.status {
            429 | 500 | 502 | 504 => Next::Retry,
            503 if !self.said().contains("sealed") => Next::Retry,
            _ => Next::Take,
        }
    }

    /// The text of `field`.
    pub(super) fn take(&self, field: Field, question: &Question<'_>) -> Result<Wiping<String>, ServiceError> {
        if self.status != 200 {
            return Err(self.error(question));
        }
        let unexpected = |reason: &str| ServiceError::Unexpected {
            address: question.address.to_owned(),
            status: self.status,
            reason: reason.to_owned(),
        };
        // What serde says of a text may quote it.
        let body: Body<'_> =
            serde_json::from_slice(&self.body).map_err(|_| unexpected("what it sent is not an answer of Vault"))?;
        let text = match field {
            Field::Ciphertext => body.data.and_then(|data| data.ciphertext),
            Field::Plaintext => body.data.and_then(|data| data.plaintext),
            Field::Token => body.auth.and_then(|auth| auth.client_token),
        };
        let text =
            text.filter(|text| !text.is_empty()).ok_or_else(|| unexpected("the answer lacks what was asked for"))?;
        Ok(Wiping::new(text.to_owned()))
    }

    /// What it means if it is not a success.
    fn error(&self, question: &Question<'_>) -> ServiceError {
        let reason = self.said();
        let address = question.address.to_owned();
        let key = || question.key.unwrap_or_default().to_owned();
        let is_about_a_key = question.key.is_some();
        match self.status {
            400 | 401 | 403 if !is_about_a_key => {
                ServiceError::Rejected { address, principal: question.principal.to_owned(), reason }
            }
            403 if reason.contains("invalid token") || reason.contains("bad token") => {
                ServiceError::Rejected { address, principal: question.principal.to_owned(), reason }
            }
            400 if reason.contains("missing client token") => {
                ServiceError::Rejected { address, principal: question.principal.to_owned(), reason }
            }
            403 => ServiceError::Denied {
                principal: question.principal.to_owned(),
                action: "update".to_owned(),
                resource: format!("`{}`", question.path),
                grant: format!("path \"{}\" {{ capabilities = [\"update\"] }}", question.path),
            },
            400 if reason.contains("encryption key not found") => ServiceError::UnknownKey { key: key(), reason },
            404 if is_about_a_key => ServiceError::UnknownKey { key: key(), reason },
            400 if reason.contains("invalid ciphertext") || reason.contains("message authentication failed") => {
                ServiceError::Unfit { key: key(), reason }
            }
            429 => ServiceError::Throttled { address, attempts: question.attempts },
            503 => ServiceError::Unavailable { address, reason },
            status => ServiceError::Unexpected { address, status, reason },
        }
    }

    /// What Vault says is wrong, on one line and not too long.
    fn said(&self) -> String {
        const LONGEST: usize = 300;
        let errors = serde_json::from_slice(&self.body).map_or_else(|_| Vec::new(), |body: Errors| body.errors);
        let text = errors.join("; ");
        // `1 error occurred:\n\t* text\n\n`: only the text says something.
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let words = match words.split_once(" occurred: * ") {
            Some((count, rest)) if count.ends_with("error") || count.ends_with("errors") => rest.replace(" * ", ", "),
            _ => words,
        };
        if words.is_empty() { "it gave no reason".to_owned() } else { words.chars().take(LONGEST).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer { status, body: Wiping::new(body.as_bytes().to_vec()) }
    }

    const QUESTION: Question<'_> = Question {
        address: "https://vault",
        principal: "the token from `VAULT_TOKEN`",
        path: "transit/decrypt/k",
        key: Some("https://vault/v1/transit/keys/k"),
        attempts: 4,
    };

    #[test]
    fn every_answer_has_its_meaning() {
        for (status, said, expected, next) in [
            (403, "permission denied", "the token from `VAULT_TOKEN` may not update `transit/decrypt/k`", Next::Take),
            (
                403,
                r"2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n",
                "https://vault does not accept the token from `VAULT_TOKEN`: permission denied, invalid token",
                Next::Take,
            ),
            (
                400,
                "encryption key not found",
                "there is no key https://vault/v1/transit/keys/k: encryption key not found",
                Next::Take,
            ),
            (
                404,
                "no handler for route",
                "there is no key https://vault/v1/transit/keys/k: no handler for route",
                Next::Take,
            ),
            (
                400,
                "invalid ciphertext: unable to decrypt",
                "https://vault/v1/transit/keys/k did not make this wrapped key, or the wrapped key was changed: invalid ciphertext: unable to decrypt",
                Next::Take,
            ),
            (400, "something else", "https://vault answered 400: something else", Next::Take),
            (429, "", "https://vault is asked too often: it refused 4 attempts", Next::Retry),
            (500, "internal error", "https://vault answered 500: internal error", Next::Retry),
            (502, "", "https://vault answered 502: it gave no reason", Next::Retry),
            (503, "Vault is sealed", "https://vault cannot answer: Vault is sealed", Next::Take),
            (503, "starting", "https://vault cannot answer: starting", Next::Retry),
        ] {
            let answer = answer(status, &format!("{{\"errors\":[\"{said}\"]}}"));
            assert_eq!(answer.take(Field::Plaintext, &QUESTION).unwrap_err().to_string(), expected);
            assert_eq!(answer.next(), next, "{status} {said}");
        }
        let login = Question { key: None, path: "auth/approle/login", ..QUESTION };
        let error = answer(400, r#"{"errors":["invalid role or secret ID"]}"#).take(Field::Token, &login).unwrap_err();
        assert!(matches!(error, ServiceError::Rejected { .. }), "{error}");
    }

    #[test]
    fn a_missing_permission_comes_with_the_policy_that_grants_it() {
        let error = answer(403, r#"{"errors":["permission denied"]}"#).take(Field::Plaintext, &QUESTION).unwrap_err();
        let ServiceError::Denied { grant, .. } = error else { panic!("{error}") };
        assert_eq!(grant, r#"path "transit/decrypt/k" { capabilities = ["update"] }"#);
    }

    #[test]
    fn what_is_no_answer_of_vault_is_told_without_quoting_it() {
        for body in ["", "hunter2", "{}", r#"{"data":{"plaintext":7}}"#, r#"{"data":{"plaintext":""}}"#, "[]", "null"] {
            let error = answer(200, body).take(Field::Plaintext, &QUESTION).unwrap_err();
            assert!(matches!(error, ServiceError::Unexpected { status: 200, .. }), "{body}: {error}");
            assert!(!error.to_string().contains("hunter2"));
        }
        let good = answer(200, r#"{"auth":{"client_token":"t"},"data":{"ciphertext":"c","plaintext":"p"},"x":[1]}"#);
        for (field, text) in [(Field::Ciphertext, "c"), (Field::Plaintext, "p"), (Field::Token, "t")] {
            assert_eq!(*good.take(field, &QUESTION).unwrap(), text);
        }
        assert_eq!(answer(500, "<html>").said(), "it gave no reason");
        assert!(answer(500, &format!("{{\"errors\":[\"{}\"]}}", "x".repeat(5000))).said().len() <= 300);
    }
}
