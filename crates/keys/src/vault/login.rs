//! How we show Vault who we are: a token that is there, or one that it gives us for something else.

use bulla_crypto::SecretBytes;
use bulla_wipe::Wiping;

use crate::Tried;

/// The credentials of a command.
#[derive(Debug)]
pub enum Login {
    /// There are none; where they were looked for.
    None(Vec<Tried>),
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
    /// The token of a pod's service account, exchanged for one of Vault (`auth/kubernetes`).
    Kubernetes {
        /// Where the method is mounted, below `auth/`.
        mount: String,
        /// The role to take.
        role: String,
        /// The service account's token.
        service_account: SecretBytes,
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
    pub(super) fn principal(&self) -> String {
        match self {
            Self::None(_) => "nobody".to_owned(),
            Self::Token { place, .. } => format!("the token from `{place}`"),
            Self::AppRole { role_id, .. } => format!("the AppRole `{role_id}`"),
            Self::Kubernetes { role, .. } => format!("the Kubernetes role `{role}`"),
        }
    }

    /// What to send for a token; `None` where there is one, or nothing to send.
    pub(super) fn exchange(&self) -> Option<Exchange> {
        let (mount, fields) = match self {
            Self::None(_) | Self::Token { .. } => return None,
            Self::AppRole { mount, role_id, secret_id } => {
                (mount, [("role_id", role_id.as_bytes()), ("secret_id", secret_id.expose_secret())])
            }
            Self::Kubernetes { mount, role, service_account } => {
                (mount, [("role", role.as_bytes()), ("jwt", service_account.expose_secret())])
            }
        };
        Some(Exchange { path: format!("auth/{mount}/login"), body: object(&fields) })
    }
}

/// A JSON object of texts. Bytes that are no UTF-8 become Vault's to refuse.
pub(super) fn object(fields: &[(&str, &[u8])]) -> Wiping<Vec<u8>> {
    let mut body = Wiping::<Vec<u8>>::default();
    for (index, (name, text)) in fields.iter().enumerate() {
        body.append(if index == 0 { b"{\"" } else { b",\"" });
        body.append(name.as_bytes());
        body.append(b"\":\"");
        for byte in *text {
            match byte {
                b'"' | b'\\' => body.append(&[b'\\', *byte]),
                0..=31 => body.append(format!("\\u{byte:04x}").as_bytes()),
                byte => body.append(&[*byte]),
            }
        }
        body.append(b"\"");
    }
    body.append(b"}");
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_json_whatever_its_texts_are() {
        let body = object(&[("a", b"x\"y\\z\n\x01"), ("b", "é".as_bytes())]);
        let read: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(read, serde_json::json!({"a": "x\"y\\z\n\u{1}", "b": "é"}));
    }

    #[test]
    fn a_login_sends_what_its_method_takes_and_shows_no_secret() {
        let secret = || SecretBytes::new(b"hunter2".to_vec());
        let role = Login::AppRole { mount: "ci".into(), role_id: "r".into(), secret_id: secret() };
        let pod = Login::Kubernetes { mount: "kubernetes".into(), role: "r".into(), service_account: secret() };
        for (login, path, body) in [
            (&role, "auth/ci/login", &br#"{"role_id":"r","secret_id":"hunter2"}"#[..]),
            (&pod, "auth/kubernetes/login", br#"{"role":"r","jwt":"hunter2"}"#),
        ] {
            let exchange = login.exchange().unwrap();
            assert_eq!((&*exchange.path, &**exchange.body), (path, body));
            assert!(!format!("{login:?} {}", login.principal()).contains("hunter2"));
        }
        assert!(Login::Token { token: secret(), place: "VAULT_TOKEN".into() }.exchange().is_none());
    }
}
