//! Google Cloud: whose token is used, how a service is asked, and what its errors mean; for keys (KMS) and objects (Cloud Storage).
//!
//! ```text
//! Login ─ a token │ credentials in JSON │ the instance ─ get ─▶ Token, kept until shortly before its end
//!                                                                 │
//! Asked ─ Gcp::call ─▶ POST https://cloudkms.googleapis.com/v1/… ─┴─▶ the answer, or a ServiceError that says who may not what
//! storage   an object is put into a bucket
//! ```
//! The REST form of the API, by the transport that all services share. Where a token goes is decided by the environment alone: to
//! `cloudkms.googleapis.com`, another universe's, or an endpoint that is set. A file names a key, which is a path there and nothing else.
//!
//! Source: Cloud KMS REST v1; Cloud Storage JSON API v1; sops 3.13.3 `gcpkms/keysource.go`; Google's AIP-4110 to 4118 for credentials.

mod answer;
mod credentials;
mod storage;
mod token;

use std::fmt;
use std::sync::Arc;

use bulla_crypto::SecretBytes;
use bulla_wipe::Wiping;
use http::Uri;
use http::header::{AUTHORIZATION, HeaderName};

pub use crate::address::Base;
pub use crate::limits::Limits;
pub use crate::outside::Outside;
pub use crate::proxy::Proxies;
pub use crate::transport::Authorities;

use crate::kept::Kept;
use crate::rest::{Question, Reply, Rest};
use crate::{ServiceError, Surroundings, Tried};
use token::Token;

/// The universe of everybody who has no sovereign cloud of their own.
const USUAL_UNIVERSE: &str = "googleapis.com";
/// Whose quota a call counts against.
const QUOTA_PROJECT: HeaderName = HeaderName::from_static("x-goog-user-project");

/// How Google Cloud is used.
#[derive(Debug)]
pub struct Settings {
    /// Who we are.
    pub login: Login,
    /// Where the service is asked, instead of where the universe has it.
    pub endpoint: Option<Base>,
    /// `googleapis.com`, or a sovereign cloud's.
    pub universe: String,
    /// The project that calls count against (`GOOGLE_CLOUD_QUOTA_PROJECT`), instead of the one that the credentials name.
    pub quota_project: Option<String>,
    /// Which proxies are used.
    pub proxies: Proxies,
    /// The only authorities that are trusted; `None` for those of the system, which are looked for where OpenSSL does.
    pub authorities: Option<Authorities>,
    /// What is waited for, and for how long.
    pub limits: Limits,
    /// The time, and files that credentials name.
    pub outside: Arc<dyn Outside>,
}

impl Settings {
    /// With this login, and everything else as it usually is.
    pub fn new(login: Login, outside: Arc<dyn Outside>) -> Self {
        Self {
            login,
            endpoint: None,
            universe: USUAL_UNIVERSE.to_owned(),
            quota_project: None,
            proxies: Proxies::default(),
            authorities: None,
            limits: Limits::default(),
            outside,
        }
    }
}

/// Whose credentials are used.
#[derive(Debug)]
pub enum Login {
    /// A token, which nobody renews (`GOOGLE_OAUTH_ACCESS_TOKEN`).
    Token {
        /// The token.
        token: SecretBytes,
        /// Where it was found, for messages.
        place: String,
    },
    /// Credentials in JSON, as `gcloud` and the console write them: of a service account, a user, another cloud's workload.
    Credentials {
        /// Their text.
        json: SecretBytes,
        /// Where it was found, for messages.
        place: String,
    },
    /// The service account of the instance or pod that this runs on.
    Instance {
        /// Where the instance tells (`GCE_METADATA_HOST`).
        address: Base,
        /// Where other credentials were looked for, for the message when there is no instance.
        tried: Vec<Tried>,
    },
    /// Nobody's: an emulator asks for none (`STORAGE_EMULATOR_HOST`).
    None,
}

/// What is asked, for messages and permissions.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The permission in the words of IAM: `cloudkms.cryptoKeyVersions.useToDecrypt`.
    pub permission: &'a str,
    /// The role that has it: `roles/cloudkms.cryptoKeyDecrypter`.
    pub role: &'a str,
    /// What it is about: `projects/P/locations/L/keyRings/R/cryptoKeys/K`, `gs://BUCKET/OBJECT`.
    pub resource: &'a str,
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Service {
    Kms,
    Storage,
}

impl Service {
    const fn name(self) -> &'static str {
        match self {
            Self::Kms => "Google Cloud KMS",
            Self::Storage => "Google Cloud Storage",
        }
    }

    /// Its host in every universe.
    const fn host(self) -> &'static str {
        match self {
            Self::Kms => "cloudkms",
            Self::Storage => "storage",
        }
    }

    /// What says another universe.
    const fn universe_variable(self) -> &'static str {
        match self {
            Self::Kms => "SOPS_GCP_KMS_UNIVERSE_DOMAIN",
            Self::Storage => "GOOGLE_CLOUD_UNIVERSE_DOMAIN",
        }
    }
}

/// A service of Google Cloud, for one command.
pub struct Gcp {
    settings: Settings,
    kind: Service,
    base: Base,
    /// What is asked, for messages.
    service: String,
    rest: Rest,
    token: Kept<Token>,
}

impl Gcp {
    /// KMS. Nothing is read or sent before the first call.
    ///
    /// # Errors
    /// [`ServiceError::Settings`] for an endpoint, certificates or a proxy that are none.
    pub fn new(settings: Settings, surroundings: Surroundings) -> Result<Self, ServiceError> {
        Self::of(Service::Kms, settings, surroundings)
    }

    /// Cloud Storage, for [`Gcp::put`]. Nothing is read or sent before the first call.
    ///
    /// # Errors
    /// [`ServiceError::Settings`] for an endpoint, certificates or a proxy that are none.
    pub fn storage(settings: Settings, surroundings: Surroundings) -> Result<Self, ServiceError> {
        Self::of(Service::Storage, settings, surroundings)
    }

    fn of(kind: Service, settings: Settings, surroundings: Surroundings) -> Result<Self, ServiceError> {
        let name = kind.name();
        if !is_domain(&settings.universe) {
            return Err(ServiceError::Settings(format!("`{}` is not a universe of Google Cloud", settings.universe)));
        }
        let (base, service) = match &settings.endpoint {
            Some(endpoint) => (endpoint.clone(), format!("{name} ({endpoint})")),
            None => {
                let base = format!("https://{}.{}", kind.host(), settings.universe).parse();
                let base = base.map_err(|error| ServiceError::Settings(format!("{name}: {error}")))?;
                (base, name.to_owned())
            }
        };
        let rest = Rest::new(settings.authorities.as_ref(), &settings.proxies, settings.limits, surroundings)?;
        Ok(Self { settings, kind, base, service, rest, token: Kept::default() })
    }

    /// Sends `body`, an object in JSON, to `path` below the endpoint, and gives the answer of a success. No part of `path` is `..`.
    ///
    /// # Errors
    /// What the last answer means.
    pub async fn call(
        &self,
        asked: &Asked<'_>,
        path: &str,
        body: Wiping<Vec<u8>>,
    ) -> Result<Wiping<Vec<u8>>, ServiceError> {
        self.ask(asked, Question::post(&self.service, self.uri(path)?, body)).await
    }

    fn uri(&self, path: &str) -> Result<Uri, ServiceError> {
        let refuse = |error| ServiceError::Settings(format!("no request to {} can be made: {error}", self.service));
        self.base.join(path).map_err(refuse)
    }

    /// Asks with a token, and with another one if that was not accepted.
    async fn ask(&self, asked: &Asked<'_>, mut question: Question<'_>) -> Result<Wiping<Vec<u8>>, ServiceError> {
        let mut token = self.token().await?;
        let mut reply = self.send(&mut question, &token).await?;
        if reply.status == 401 && token.is_renewable {
            self.token.forget(&token).await;
            token = self.token().await?;
            reply = self.send(&mut question, &token).await?;
        }
        if reply.status == 200 {
            return Ok(reply.body);
        }
        let principal =
            if reply.status == 403 { token::principal(self, &token).await } else { token.principal.clone() };
        Err(answer::meaning(&reply, asked, &self.service, &principal))
    }

    async fn send(&self, question: &mut Question<'_>, token: &Token) -> Result<Reply, ServiceError> {
        if let Some(header) = &token.header {
            question.headers.insert(AUTHORIZATION, header.clone());
        }
        if let Some(project) = &token.quota_project {
            question.headers.insert(QUOTA_PROJECT, project.clone());
        }
        self.rest.ask(question).await
    }

    async fn token(&self) -> Result<Arc<Token>, ServiceError> {
        self.token.get(|| token::get(&self.settings, self.kind, &self.rest, &self.service)).await
    }
}

impl fmt::Debug for Gcp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gcp").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// Can this be the end of a host's name, and nothing else?
fn is_domain(text: &str) -> bool {
    let is_label =
        |label: &str| !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    text.len() <= 200 && text.contains('.') && text.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_universe_is_the_end_of_a_host_and_nothing_else() {
        for universe in ["googleapis.com", "s3nsapis.fr", "apis-berlin-build0.goog"] {
            assert!(is_domain(universe), "{universe}");
        }
        for universe in ["", "com", "evil.example/x", "a@evil.example", "a..b", ".a", "a.b:80", "a.b?x", "a b.c"] {
            assert!(!is_domain(universe), "{universe}");
        }
    }
}
