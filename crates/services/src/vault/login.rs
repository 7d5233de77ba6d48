//! How we show Vault who we are: a token that is there, or one that it gives us for something else.

use std::fmt;

use bulla_crypto::SecretBytes;
use bulla_wipe::Wiping;

use super::object;
use crate::token::Bearer;
use crate::{ServiceError, Tried};

/// Our credentials.
#[derive(Debug)]
pub enum Login {
    /// None were found; where they were looked for. It is asked without, since what answers may add some (Vault Agent); if it does not,
    /// that is told.
    None(Vec<Tried>),
    /// None are sent: what stands between us and Vault adds them.
    Anonymous,
    /// A token.
    Token {
        /// The token.
        token: SecretBytes,
        /// Where it was found: `VAULT_TOKEN`, a path. For messages.
        place: String,
    },
    /// A role and its secret, exchanged for a token (`auth/approle`).
    AppRole {
        /// Where the method is mounted, below `auth/`.
        mount: String,
        /// The role's id. Not a secret.
        role_id: String,
        /// Its secret.
        secret_id: SecretBytes,
    },
    /// The token of a service account, exchanged for one of Vault, which asks the API server about it (`auth/kubernetes`).
    Kubernetes {
        /// Where the method is mounted, below `auth/`.
        mount: String,
        /// The role to take.
        role: String,
        /// The service account's token.
        service_account: Bearer,
    },
    /// A signed token, exchanged for one of Vault, which knows the signer's keys (`auth/jwt`).
    Jwt {
        /// Where the method is mounted, below `auth/`.
        mount: String,
        /// The role to take; `None` for the method's usual one.
        role: Option<String>,
        /// The signed token.
        token: Bearer,
    },
}

/// What is sent to get a token.
pub(super) struct Exchange {
    /// Below `/v1/`.
    pub(super) path: String,
    pub(super) body: Wiping<Vec<u8>>,
}

impl Login {
    /// Whose credentials these are, for messages. Begins a sentence.
    pub fn principal(&self) -> String {
        match self {
            Self::None(_) => "nobody".to_owned(),
            Self::Anonymous => "whoever has no token".to_owned(),
            Self::Token { place, .. } => format!("the token from `{place}`"),
            Self::AppRole { role_id, .. } => format!("the AppRole `{role_id}`"),
            Self::Kubernetes { role, .. } => format!("the Kubernetes role `{role}`"),
            Self::Jwt { role: Some(role), .. } => format!("the JWT role `{role}`"),
            Self::Jwt { role: None, mount, .. } => format!("the default role of `auth/{mount}`"),
        }
    }

    /// What to send for a token; `None` where there is one, or nothing to send.
    pub(super) async fn exchange(&self) -> Result<Option<Exchange>, ServiceError> {
        let exchange = match self {
            Self::None(_) | Self::Anonymous | Self::Token { .. } => return Ok(None),
            Self::AppRole { mount, role_id, secret_id } => {
                let fields = [("role_id", role_id.as_bytes()), ("secret_id", secret_id.expose_secret())];
                Exchange::new(mount, &fields)
            }
            Self::Kubernetes { mount, role, service_account } => {
                let token = service_account.token().await?;
                Exchange::new(mount, &[("role", role.as_bytes()), ("jwt", token.expose_secret())])
            }
            Self::Jwt { mount, role, token } => {
                let token = token.token().await?;
                match role {
                    Some(role) => Exchange::new(mount, &[("role", role.as_bytes()), ("jwt", token.expose_secret())]),
                    None => Exchange::new(mount, &[("jwt", token.expose_secret())]),
                }
            }
        };
        Ok(Some(exchange))
    }

    /// What was exchanged is not accepted. Says whether there may be another one.
    pub(super) fn reject(&self) -> bool {
        match self {
            Self::Kubernetes { service_account: token, .. } | Self::Jwt { token, .. } => token.reject(),
            Self::None(_) | Self::Anonymous | Self::Token { .. } | Self::AppRole { .. } => false,
        }
    }
}

impl Exchange {
    fn new(mount: &str, fields: &[(&str, &[u8])]) -> Self {
        Self { path: format!("auth/{}/login", mount.trim_matches('/')), body: object(fields) }
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").field("path", &self.path).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_login_sends_what_its_method_takes_and_shows_no_secret() {
        let secret = || SecretBytes::new(b"hunter2".to_vec());
        let role = Login::AppRole { mount: "ci".into(), role_id: "r".into(), secret_id: secret() };
        let pod =
            Login::Kubernetes { mount: "/kubernetes/".into(), role: "r".into(), service_account: secret().into() };
        let jwt = |role: Option<&str>| Login::Jwt {
            mount: "jwt".into(),
            role: role.map(str::to_owned),
            token: secret().into(),
        };
        for (login, path, body) in [
            (&role, "auth/ci/login", &br#"{"role_id":"r","secret_id":"hunter2"}"#[..]),
            (&pod, "auth/kubernetes/login", br#"{"role":"r","jwt":"hunter2"}"#),
            (&jwt(Some("r")), "auth/jwt/login", br#"{"role":"r","jwt":"hunter2"}"#),
            (&jwt(None), "auth/jwt/login", br#"{"jwt":"hunter2"}"#),
        ] {
            let exchange = login.exchange().await.unwrap().unwrap();
            assert_eq!((&*exchange.path, &**exchange.body), (path, body));
            assert!(!format!("{login:?} {exchange:?} {}", login.principal()).contains("hunter2"));
            assert!(!login.reject(), "there is no other one");
        }
        let token = Login::Token { token: secret(), place: "VAULT_TOKEN".into() };
        assert!(token.exchange().await.unwrap().is_none());
    }
}
