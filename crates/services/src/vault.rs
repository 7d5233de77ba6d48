//! HashiCorp Vault and OpenBao: the client of one server, which keys (transit) and stores (KV) share.
//!
//! ```text
//! Call ─ Client::send ─▶ Answer      GET or POST below /v1/, with the token and the namespace
//!          │
//!          ├─ no token yet, or it is over ─▶ Login: auth/MOUNT/login ─▶ token, kept until shortly before its end
//!          ├─ 429, 5xx, silence ─▶ again, after a wait       307 ─▶ there, if the token may go there
//!          └─ 403 ─▶ is the token still one? if not, another one
//! ```
//! What an answer means beyond its status is the caller's: a key, a secret. What all have in common is [`Answer::refusal`].
//! Tokens and bodies lie in memory that is wiped, but for what the HTTP library copies into its buffers.
//!
//! Source: HashiCorp's HTTP API of Vault 1.21, which OpenBao keeps.

mod allowed;
mod answer;
mod client;
mod login;
mod rate;

use std::fmt::Write as _;
use std::time::Duration;

use bulla_crypto::SecretBytes;
use bulla_wipe::Wiping;
use http::Method;

pub use crate::address::{Address, AddressError, Base};
pub use crate::limits::Limits;
pub use crate::proxy::Proxies;
pub use crate::transport::{Authorities, Identity};
pub use allowed::AllowedAddresses;
pub use answer::{Answer, Asked};
pub use client::Client;
pub use login::Login;
pub use rate::Rate;

use crate::rest::escape_path;
use crate::{NamedBy, ServiceError};

/// How Vault is used.
#[derive(Debug)]
pub struct Settings {
    /// Who we are.
    pub login: Login,
    /// The namespace of requests (`VAULT_NAMESPACE`).
    pub namespace: Option<String>,
    /// The namespace of the login, if it is another one.
    pub login_namespace: Option<String>,
    /// Headers that every request has. What they say may be a secret of a gateway.
    pub headers: Vec<(String, SecretBytes)>,
    /// The only authorities that are trusted; `None` for those of the system, which are looked for where OpenSSL does,
    /// `SSL_CERT_FILE` included.
    pub authorities: Option<Authorities>,
    /// Is whoever answers trusted, whatever certificate it has (`VAULT_SKIP_VERIFY`)? It is given the token then.
    pub trusts_anybody: bool,
    /// The name that certificates of servers hold, if it is not the host's (`VAULT_TLS_SERVER_NAME`).
    pub server_name: Option<String>,
    /// What we show to a server that asks for a certificate (`VAULT_CLIENT_CERT`, `VAULT_CLIENT_KEY`).
    pub identity: Option<Identity>,
    /// The way to servers.
    pub proxies: Proxies,
    /// Who is asked in place of every server (`VAULT_AGENT_ADDR`): it knows its server itself.
    pub agent: Option<Address>,
    /// Are redirects followed, as far as the token may go (`VAULT_DISABLE_REDIRECTS`)?
    pub follows_redirects: bool,
    /// Where a token may go, beside the address that the client is for.
    pub allowed: AllowedAddresses,
    /// What is waited for, and for how long.
    pub limits: Limits,
    /// How long all attempts at a call may take together (`VAULT_CLIENT_TIMEOUT`).
    pub time_limit: Option<Duration>,
    /// How many calls a second there may be (`VAULT_RATE_LIMIT`).
    pub rate: Option<Rate>,
}

impl Settings {
    /// With this login, and everything else as it usually is.
    pub fn new(login: Login) -> Self {
        Self {
            login,
            namespace: None,
            login_namespace: None,
            headers: Vec::new(),
            authorities: None,
            trusts_anybody: false,
            server_name: None,
            identity: None,
            proxies: Proxies::default(),
            agent: None,
            follows_redirects: true,
            allowed: AllowedAddresses::default(),
            limits: Limits::default(),
            time_limit: None,
            rate: None,
        }
    }

    /// Whom to ask about what is at `address`, which comes from there: that server, or the agent in its place.
    ///
    /// # Errors
    /// [`ServiceError::NotAllowed`] if credentials may not go there.
    pub fn whom_to_ask(&self, address: Address, named_by: NamedBy) -> Result<Address, ServiceError> {
        // It is the agent that is given the token, and the environment names it; the list still counts for what it asks.
        let named_by = if self.agent.is_some() { NamedBy::Configuration } else { named_by };
        if !self.allowed.allows(&address, named_by) {
            return Err(ServiceError::NotAllowed { address: address.to_string() });
        }
        Ok(self.agent.clone().unwrap_or(address))
    }
}

/// What is asked of Vault.
#[derive(Debug)]
pub struct Call<'a> {
    method: Method,
    /// Below `/v1/`, as policies have it; nothing in it is escaped yet.
    path: &'a str,
    query: Vec<(&'a str, &'a str)>,
    body: Wiping<Vec<u8>>,
}

impl<'a> Call<'a> {
    /// Reads what is at `path`. The caller sees to it that no part of it is `..`.
    pub fn read(path: &'a str) -> Self {
        Self { method: Method::GET, path, query: Vec::new(), body: Wiping::default() }
    }

    /// Sends `body`, an object in JSON, to `path`.
    pub fn update(path: &'a str, body: Wiping<Vec<u8>>) -> Self {
        Self { method: Method::POST, path, query: Vec::new(), body }
    }

    /// The same, with a parameter.
    #[must_use]
    pub fn with(mut self, name: &'a str, value: &'a str) -> Self {
        self.query.push((name, value));
        self
    }

    /// The capability that a policy must grant for it.
    fn capability(&self) -> &'static str {
        if self.method == Method::GET { "read" } else { "update" }
    }

    /// Path and query of its URI.
    fn target(&self) -> String {
        let mut target = format!("/v1/{}", escape_path(self.path));
        for (index, (name, value)) in self.query.iter().enumerate() {
            target.push(if index == 0 { '?' } else { '&' });
            // A slash stands for itself in a query, too.
            let _ = write!(target, "{}={}", escape_path(name), escape_path(value));
        }
        target
    }
}

/// A JSON object of texts. Bytes that are no UTF-8 become Vault's to refuse.
pub fn object(fields: &[(&str, &[u8])]) -> Wiping<Vec<u8>> {
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
    fn a_call_becomes_a_target_in_which_nothing_is_read_otherwise() {
        let call = Call::read("secret/data/a b/c?d#e%2e-é").with("version", "3&x=1").with("list", "true");
        assert_eq!(call.target(), "/v1/secret/data/a%20b/c%3Fd%23e%252e-%C3%A9?version=3%26x%3D1&list=true");
        assert_eq!(call.capability(), "read");
        assert_eq!(Call::update("transit/encrypt/k", object(&[])).capability(), "update");
    }
}
