//! Azure: whose token is used, to which vaults it goes, and what their errors mean; for keys (Key Vault, Managed HSM), and for what follows.
//!
//! ```text
//! Source, Source, … ─ the first that is there ─▶ Token for a kind of vault, kept until shortly before its end
//!                                                     │
//! AllowedVaults ─ may it go there? ─▶ Azure::call ─▶ https://NAME.vault.azure.net/keys/… ─▶ the answer, or a ServiceError that says
//!                                                                                           who may not what
//! ```
//! A file names the vault, and a token is sent there; see [`AllowedVaults`] for which hosts that may be. Tokens are got from the authority
//! that the environment names, for the kind of vault that the host's name tells: what a vault says of that is not asked.
//!
//! Source: Key Vault REST 7.4; sops 3.13.3 `azkv/keysource.go`; azidentity 1.14 for the order of the sources.

mod allowed;
mod answer;
mod token;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bulla_crypto::SecretBytes;
use bulla_wipe::Wiping;
use http::header::AUTHORIZATION;

pub use crate::address::{Address, Base};
pub use crate::limits::Limits;
pub use crate::outside::Outside;
pub use crate::proxy::Proxies;
pub use crate::transport::Authorities;
pub use allowed::AllowedVaults;

use crate::kept::Kept;
use crate::rest::{Question, Reply, Rest};
use crate::{ServiceError, Surroundings, Tried};
use token::Token;

/// The version of the API, which all of Azure's clouds have.
const VERSION: &str = "api-version=7.4";

/// How Azure is used.
#[derive(Debug)]
pub struct Settings {
    /// Where a token may come from; the first that is there counts.
    pub sources: Vec<Source>,
    /// Where tokens are got, `https://login.microsoftonline.com` (`AZURE_AUTHORITY_HOST`).
    pub authority: Base,
    /// Where a machine tells who it is (`AZURE_POD_IDENTITY_AUTHORITY_HOST`).
    pub machine: Base,
    /// To which vaults a token may go.
    pub allowed: AllowedVaults,
    /// Which proxies are used.
    pub proxies: Proxies,
    /// The only authorities that are trusted; `None` for those of the system, which are looked for where OpenSSL does.
    pub authorities: Option<Authorities>,
    /// What is waited for, and for how long.
    pub limits: Limits,
    /// The time, files that credentials name, and the programs `az` and `azd`.
    pub outside: Arc<dyn Outside>,
}

/// Where a token may come from.
#[derive(Debug)]
pub enum Source {
    /// Nowhere, and why: for the message when there is no other.
    Missing(Tried),
    /// An application and its secret (`AZURE_CLIENT_SECRET`).
    Secret {
        /// Its tenant.
        tenant: String,
        /// The application's id. Not a secret.
        client_id: String,
        /// Its secret.
        secret: SecretBytes,
    },
    /// An application and its certificate (`AZURE_CLIENT_CERTIFICATE_PATH`).
    Certificate {
        /// Its tenant.
        tenant: String,
        /// The application's id.
        client_id: String,
        /// The certificate and its private key, in PEM.
        pem: SecretBytes,
        /// Where they were found, for messages.
        place: String,
        /// Is the certificate shown whole, for applications that trust its authority?
        with_chain: bool,
    },
    /// An application that trusts a cluster or another issuer, whose token is in a file (workload identity).
    Federated {
        /// Its tenant.
        tenant: String,
        /// The application's id.
        client_id: String,
        /// The file, which somebody renews.
        path: String,
    },
    /// The identity of a service that this runs in (App Service, Functions, Container Apps): `IDENTITY_ENDPOINT`.
    Service {
        /// Where it is asked.
        endpoint: String,
        /// What the service gave its programs to ask with (`IDENTITY_HEADER`).
        secret: SecretBytes,
        /// One of its identities, if not the only one.
        client_id: Option<String>,
    },
    /// The identity of the machine.
    Machine {
        /// One of its identities, if not its own.
        client_id: Option<String>,
    },
    /// Whoever is logged in to `az`.
    Az,
    /// Whoever is logged in to `azd`.
    Azd,
}

/// What is asked, for messages and permissions.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// What is done with the key, in the words of access policies: `decrypt`.
    pub operation: &'a str,
    /// The key: `https://shop.vault.azure.net/keys/sops/0123…`.
    pub key: &'a str,
}

/// The vaults of Azure, for one command.
pub struct Azure {
    settings: Settings,
    rest: Rest,
    tokens: Mutex<HashMap<String, Arc<Kept<Token>>>>,
}

impl Azure {
    /// Nothing is read or sent before the first call.
    ///
    /// # Errors
    /// [`ServiceError::Settings`] for certificates or a proxy that are none, and an authority that is asked in the clear.
    pub fn new(settings: Settings, surroundings: Surroundings) -> Result<Self, ServiceError> {
        if !settings.authority.address().is_encrypted() {
            let reason = format!("`AZURE_AUTHORITY_HOST` ({}) does not begin with `https://`", settings.authority);
            return Err(ServiceError::Settings(reason));
        }
        let rest = Rest::new(settings.authorities.as_ref(), &settings.proxies, settings.limits, surroundings)?;
        Ok(Self { settings, rest, tokens: Mutex::default() })
    }

    /// Where credentials were looked for and are not.
    pub fn tried(&self) -> Vec<Tried> {
        let missing = self.settings.sources.iter().filter_map(|source| match source {
            Source::Missing(tried) => Some(tried.clone()),
            _ => None,
        });
        missing.collect()
    }

    /// Sends `body`, an object in JSON, to `path` of a vault, or reads what is there; gives the answer of a success. No part of `path`
    /// is `..`, and it has no query.
    ///
    /// # Errors
    /// What the last answer means; [`ServiceError::NotAllowed`] if a token may not go there.
    pub async fn call(
        &self,
        asked: &Asked<'_>,
        vault: &Address,
        path: &str,
        body: Option<Wiping<Vec<u8>>>,
    ) -> Result<Wiping<Vec<u8>>, ServiceError> {
        let service = vault.to_string();
        let Some(resource) = self.settings.allowed.resource(vault) else {
            return Err(ServiceError::NotAllowed { address: service });
        };
        let uri = vault.join(&format!("{path}?{VERSION}"));
        let uri =
            uri.map_err(|error| ServiceError::Settings(format!("no request to {service} can be made: {error}")))?;
        let mut question = match body {
            Some(body) => Question::post(&service, uri, body),
            None => Question::get(&service, uri),
        };
        let tokens = self.tokens(&resource);
        let mut token = self.token(&tokens, &resource).await?;
        let mut reply = self.send(&mut question, &token).await?;
        if reply.status == 401 {
            tokens.forget(&token).await;
            token = self.token(&tokens, &resource).await?;
            reply = self.send(&mut question, &token).await?;
        }
        if reply.status == 200 { Ok(reply.body) } else { Err(answer::meaning(&reply, asked, vault, &token.principal)) }
    }

    async fn send(&self, question: &mut Question<'_>, token: &Token) -> Result<Reply, ServiceError> {
        question.headers.insert(AUTHORIZATION, token.header.clone());
        self.rest.ask(question).await
    }

    fn tokens(&self, resource: &str) -> Arc<Kept<Token>> {
        // A panic elsewhere leaves at worst a token out, which is got again.
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(tokens.entry(resource.to_owned()).or_default())
    }

    async fn token(&self, tokens: &Kept<Token>, resource: &str) -> Result<Arc<Token>, ServiceError> {
        tokens.get(|| token::get(&self.settings, &self.rest, resource)).await
    }
}

impl fmt::Debug for Azure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Azure").field("settings", &self.settings).finish_non_exhaustive()
    }
}
