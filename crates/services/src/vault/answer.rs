//! What an answer of Vault means, whatever was asked. Pure, so that every case is a line of a table.
//!
//! ```text
//! 200 {"data": {"ciphertext": "vault:v1:…"}}   {"auth": {"client_token": "…", "lease_duration": 2764800}}
//! 4xx, 5xx {"errors": ["1 error occurred:\n\t* permission denied\n\n"]}
//! ```
//! Vault's words are matched where its status does not tell enough: 403 is a bad token or a missing permission. Words seen in Vault
//! 1.21; those that are not known become [`ServiceError::Unexpected`] with what was said.

use std::time::Duration;

use bulla_wipe::Wiping;
use serde::Deserialize;

use crate::ServiceError;

/// An answer, whole.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its body.
    pub body: Wiping<Vec<u8>>,
    /// What was asked.
    pub asked: Asked,
}

/// What was asked, for messages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// The server.
    pub address: String,
    /// Who asked.
    pub principal: String,
    /// The capability that a policy must grant for it.
    pub capability: &'static str,
    /// Below `/v1/`, as policies have it.
    pub path: String,
    /// How often it was asked.
    pub attempts: u32,
    /// When the server wants to be asked again.
    pub retry_after: Option<Duration>,
}

/// What comes after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// It is final.
    Take,
    /// The same question may be answered later.
    Retry,
    /// The same, and it was asked too often.
    Throttled,
}

#[derive(Deserialize)]
struct Errors {
    #[serde(default)]
    errors: Vec<String>,
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    auth: Option<Auth<'a>>,
}

#[derive(Deserialize)]
struct Auth<'a> {
    client_token: Option<&'a str>,
    #[serde(default)]
    lease_duration: u64,
}

/// What a login gave.
pub(super) struct Given {
    pub(super) token: Wiping<String>,
    /// How long it is good for; `None` for ever.
    pub(super) lease: Option<Duration>,
}

impl Answer {
    /// Whether it is worth asking again. A sealed Vault stays sealed until a person comes.
    pub(super) fn next(&self) -> Next {
        match self.status {
            429 => Next::Throttled,
            500 | 502 | 504 => Next::Retry,
            503 if !self.said().contains("sealed") => Next::Retry,
            _ => Next::Take,
        }
    }

    /// Does it say that the token is none (any more)?
    pub(super) fn is_about_the_token(&self) -> bool {
        match self.status {
            403 => {
                let said = self.said();
                said.contains("invalid token") || said.contains("bad token")
            }
            400 => self.said().contains("missing client token"),
            _ => false,
        }
    }

    /// Does it say that there is no token?
    pub(super) fn is_about_no_token(&self) -> bool {
        matches!(self.status, 401 | 403) || self.is_about_the_token()
    }

    /// The token of a login.
    pub(super) fn token(&self) -> Result<Given, ServiceError> {
        if matches!(self.status, 400 | 401 | 403) {
            return Err(self.rejection());
        }
        if self.status != 200 {
            return Err(self.refusal());
        }
        // What serde says of a text may quote it.
        let body: Body<'_> = serde_json::from_slice(&self.body)
            .map_err(|_| self.unexpected("what it sent is not an answer of Vault"))?;
        let auth = body.auth.and_then(|auth| Some((auth.client_token?, auth.lease_duration)));
        let (token, lease) = auth
            .filter(|(token, _)| !token.is_empty())
            .ok_or_else(|| self.unexpected("the answer lacks what was asked for"))?;
        let lease = (lease > 0).then(|| Duration::from_secs(lease));
        Ok(Given { token: Wiping::new(token.to_owned()), lease })
    }

    /// What it means if it is not a success, as far as it means the same whatever was asked.
    pub fn refusal(&self) -> ServiceError {
        let Asked { address, principal, capability, path, attempts, retry_after } = self.asked.clone();
        if self.is_about_the_token() {
            return self.rejection();
        }
        match self.status {
            403 => ServiceError::Denied {
                principal,
                action: capability.to_owned(),
                resource: format!("`{path}`"),
                grant: format!("path \"{path}\" {{ capabilities = [\"{capability}\"] }}"),
            },
            429 => ServiceError::Throttled { address, attempts, retry_after },
            503 => ServiceError::Unavailable { address, reason: self.said() },
            status => ServiceError::Unexpected { address, status, reason: self.said() },
        }
    }

    /// It is not what Vault answers. `reason` quotes nothing of it.
    pub fn unexpected(&self, reason: &str) -> ServiceError {
        let address = self.asked.address.clone();
        ServiceError::Unexpected { address, status: self.status, reason: reason.to_owned() }
    }

    fn rejection(&self) -> ServiceError {
        let Asked { address, principal, .. } = self.asked.clone();
        ServiceError::Rejected { address, principal, reason: self.said() }
    }

    /// What Vault says is wrong, on one line and not too long.
    pub fn said(&self) -> String {
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
        let asked = Asked {
            address: "https://vault".to_owned(),
            principal: "the token from `VAULT_TOKEN`".to_owned(),
            capability: "update",
            path: "transit/decrypt/k".to_owned(),
            attempts: 4,
            retry_after: None,
        };
        Answer { status, body: Wiping::new(body.as_bytes().to_vec()), asked }
    }

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
                "missing client token",
                "https://vault does not accept the token from `VAULT_TOKEN`: missing client token",
                Next::Take,
            ),
            (400, "something else", "https://vault answered 400: something else", Next::Take),
            (429, "", "https://vault is asked too often: it refused 4 attempts", Next::Throttled),
            (500, "internal error", "https://vault answered 500: internal error", Next::Retry),
            (502, "", "https://vault answered 502: it gave no reason", Next::Retry),
            (503, "Vault is sealed", "https://vault cannot answer: Vault is sealed", Next::Take),
            (503, "starting", "https://vault cannot answer: starting", Next::Retry),
        ] {
            let answer = answer(status, &format!("{{\"errors\":[\"{said}\"]}}"));
            assert_eq!(answer.refusal().to_string(), expected);
            assert_eq!(answer.next(), next, "{status} {said}");
        }
        let login = answer(400, r#"{"errors":["invalid role or secret ID"]}"#);
        assert!(matches!(login.token().err(), Some(ServiceError::Rejected { .. })));
    }

    #[test]
    fn a_missing_permission_comes_with_the_policy_that_grants_it() {
        let error = answer(403, r#"{"errors":["permission denied"]}"#).refusal();
        let ServiceError::Denied { grant, .. } = error else { panic!("{error}") };
        assert_eq!(grant, r#"path "transit/decrypt/k" { capabilities = ["update"] }"#);
    }

    #[test]
    fn what_is_no_answer_of_vault_is_told_without_quoting_it() {
        for body in ["", "hunter2", "{}", r#"{"auth":{"client_token":7}}"#, r#"{"auth":{"client_token":""}}"#, "null"] {
            let error = answer(200, body).token().err().unwrap();
            assert!(matches!(error, ServiceError::Unexpected { status: 200, .. }), "{body}: {error}");
            assert!(!error.to_string().contains("hunter2"));
        }
        for (body, lease) in [
            (r#"{"auth":{"client_token":"t"},"data":null,"x":[1]}"#, None),
            (r#"{"auth":{"client_token":"t","lease_duration":60}}"#, Some(Duration::from_mins(1))),
        ] {
            let given = answer(200, body).token().unwrap();
            assert_eq!((&**given.token, given.lease), ("t", lease));
        }
        assert_eq!(answer(500, "<html>").said(), "it gave no reason");
        assert!(answer(500, &format!("{{\"errors\":[\"{}\"]}}", "x".repeat(5000))).said().len() <= 300);
    }
}
