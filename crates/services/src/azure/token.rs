//! A token, by the first source that is there.
//!
//! ```text
//! secret, certificate, federated   POST AUTHORITY/TENANT/oauth2/v2.0/token        grant_type=client_credentials
//! service                          GET  IDENTITY_ENDPOINT?api-version=2019-08-01   X-IDENTITY-HEADER
//! machine                          GET  169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01
//! az, azd                          what these programs print
//! ```
//! As azidentity has it: a source that is not there is passed over; one that is there and fails ends the search, but for the programs,
//! in which nobody may be logged in.

use std::time::Duration;

use aws_lc_rs::digest::{self, SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bulla_crypto::SecretBytes;
use http::header::{HeaderName, HeaderValue};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde::{Deserialize, Deserializer};
use serde_json::json;

use super::{Settings, Source};
use crate::address::Target;
use crate::rest::{Question, Reply, Rest, bearer, escape, shown};
use crate::{ServiceError, Tried, jwt, outside};

/// How long the machine is waited for. Most programs run on none of Azure's, and there it does not answer.
const MACHINE_LIMIT: Duration = Duration::from_secs(1);
const MACHINE: &str = "/metadata/identity/oauth2/token?api-version=2018-02-01";
/// How long a signed assertion is good for.
const ASSERTION_LIFE: u64 = 600;
/// How long a token counts that does not say how long it is good for: those who gave it keep it themselves.
const USUAL_LIFE: Duration = Duration::from_mins(5);
const ASSERTION: &[u8] = b"urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A token.
pub(super) struct Token {
    pub(super) header: HeaderValue,
    /// Whose it is, for messages.
    pub(super) principal: String,
}

/// What answers a request for a token, in its four spellings.
#[derive(Deserialize)]
struct Given {
    #[serde(alias = "accessToken", alias = "token")]
    access_token: Option<String>,
    #[serde(default, deserialize_with = "number")]
    expires_in: Option<u64>,
    #[serde(default, deserialize_with = "number")]
    expires_on: Option<u64>,
}

/// What refuses one.
#[derive(Deserialize)]
struct Refused {
    error: Option<String>,
    error_description: Option<String>,
}

/// A number, also as a text; anything else is none.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(value.as_u64().or_else(|| value.as_str()?.parse().ok()))
}

/// A secret, and how long it is good for.
type Lent = (SecretBytes, Option<Duration>);

/// Why a source gives nothing.
enum Miss {
    /// It is not there: the next one may be.
    Absent(Tried),
    /// It is there, and fails.
    Failed(ServiceError),
}

impl From<ServiceError> for Miss {
    fn from(error: ServiceError) -> Self {
        Self::Failed(error)
    }
}

/// A token for `resource`, and how long it is good for.
pub(super) async fn get(
    settings: &Settings,
    rest: &Rest,
    resource: &str,
) -> Result<(Token, Option<Duration>), ServiceError> {
    let search = Search { settings, rest, resource };
    let mut tried = Vec::new();
    for source in &settings.sources {
        match search.of(source).await {
            Ok((secret, life)) => {
                let principal = principal(source);
                let header = bearer(secret.expose_secret()).map_err(|reason| ServiceError::Rejected {
                    address: resource.to_owned(),
                    principal: principal.clone(),
                    reason,
                })?;
                return Ok((Token { header, principal }, life));
            }
            Err(Miss::Absent(place)) => tried.push(place),
            Err(Miss::Failed(error)) => return Err(error),
        }
    }
    Err(ServiceError::NoCredentials { address: "Azure Key Vault".to_owned(), tried })
}

fn principal(source: &Source) -> String {
    match source {
        Source::Missing(_) => "nobody".to_owned(),
        Source::Secret { client_id, .. }
        | Source::Certificate { client_id, .. }
        | Source::Federated { client_id, .. } => format!("the application `{client_id}`"),
        Source::Service { client_id: Some(id), .. } | Source::Machine { client_id: Some(id) } => {
            format!("the managed identity `{id}`")
        }
        Source::Service { client_id: None, .. } => "the managed identity of this service".to_owned(),
        Source::Machine { client_id: None } => "the managed identity of this machine".to_owned(),
        Source::Az => "who is logged in to `az`".to_owned(),
        Source::Azd => "who is logged in to `azd`".to_owned(),
    }
}

struct Search<'a> {
    settings: &'a Settings,
    rest: &'a Rest,
    resource: &'a str,
}

impl Search<'_> {
    async fn of(&self, source: &Source) -> Result<Lent, Miss> {
        match source {
            Source::Missing(tried) => Err(Miss::Absent(tried.clone())),
            Source::Secret { tenant, client_id, secret } => {
                let fields = [("client_secret", secret.expose_secret())];
                Ok(self.credentials(tenant, client_id, &fields, &principal(source)).await?)
            }
            Source::Certificate { tenant, client_id, pem, place, with_chain } => {
                let refuse = |reason: &str| ServiceError::Settings(format!("`{place}`: {reason}"));
                let assertion =
                    self.assertion(tenant, client_id, pem, *with_chain).map_err(|reason| refuse(&reason))?;
                let fields = [("client_assertion_type", ASSERTION), ("client_assertion", assertion.expose_secret())];
                Ok(self.credentials(tenant, client_id, &fields, &principal(source)).await?)
            }
            Source::Federated { tenant, client_id, path } => {
                let name = path.clone();
                let token = outside::blocking(&self.settings.outside, move |outside| outside.read(&name)).await?;
                let token = token.map_err(|reason| {
                    ServiceError::Settings(format!("`AZURE_FEDERATED_TOKEN_FILE` ({path}): {reason}"))
                })?;
                let assertion = token.expose_secret().trim_ascii();
                let fields = [("client_assertion_type", ASSERTION), ("client_assertion", assertion)];
                Ok(self.credentials(tenant, client_id, &fields, &principal(source)).await?)
            }
            Source::Service { endpoint, secret, client_id } => {
                Ok(self.of_service(endpoint, secret, client_id.as_deref(), &principal(source)).await?)
            }
            Source::Machine { client_id } => self.of_machine(client_id.as_deref(), &principal(source)).await,
            Source::Az => {
                let arguments = ["account", "get-access-token", "-o", "json", "--resource", self.resource];
                self.of_program("az", &arguments).await
            }
            Source::Azd => {
                let scope = format!("{}/.default", self.resource);
                self.of_program("azd", &["auth", "token", "-o", "json", "--no-prompt", "--scope", &scope]).await
            }
        }
    }

    /// By OAuth's client credentials.
    async fn credentials(
        &self,
        tenant: &str,
        client_id: &str,
        shown_as: &[(&str, &[u8])],
        principal: &str,
    ) -> Result<Lent, ServiceError> {
        let service = self.settings.authority.to_string();
        let uri = self.settings.authority.join(&token_path(tenant)?);
        let uri = uri.map_err(|error| ServiceError::Settings(format!("`AZURE_TENANT_ID`: {error}")))?;
        let scope = format!("{}/.default", self.resource);
        let mut fields = vec![
            ("grant_type", &b"client_credentials"[..]),
            ("client_id", client_id.as_bytes()),
            ("scope", scope.as_bytes()),
        ];
        fields.extend_from_slice(shown_as);
        let reply = self.rest.ask(&Question::form(&service, uri, &fields)).await?;
        if reply.status == 200 { self.lent(&reply, &service) } else { Err(refusal(&reply, &service, principal)) }
    }

    /// A token by which an application shows that it has the private key of its certificate.
    fn assertion(
        &self,
        tenant: &str,
        client_id: &str,
        pem: &SecretBytes,
        with_chain: bool,
    ) -> Result<SecretBytes, String> {
        let key =
            jwt::key(pem.expose_secret()).ok_or("there is no RSA private key in PEM, without a passphrase, in it")?;
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.expose_secret()).collect();
        let certificates = certificates.map_err(|_| "a certificate in it is none")?;
        let certificate = certificates.first().ok_or("there is no certificate in PEM in it")?;
        let print = URL_SAFE_NO_PAD.encode(digest::digest(&SHA256, certificate));
        let mut header = json!({"x5t#S256": print});
        if with_chain {
            header["x5c"] = certificates.iter().map(|certificate| STANDARD.encode(certificate)).collect();
        }
        let path = token_path(tenant).map_err(|error| error.to_string())?;
        let now = outside::seconds(&*self.settings.outside);
        let [a, b, c, d] = [(); 4].map(|()| self.rest.random());
        let claims = json!({
            "aud": format!("{}{path}", self.settings.authority),
            "iss": client_id,
            "sub": client_id,
            "jti": format!("{a:08x}{b:08x}{c:08x}{d:08x}"),
            "nbf": now,
            "iat": now,
            "exp": now + ASSERTION_LIFE,
        });
        jwt::sign(&key, jwt::Algorithm::Ps256, header, &claims)
    }

    async fn of_service(
        &self,
        endpoint: &str,
        secret: &SecretBytes,
        client_id: Option<&str>,
        principal: &str,
    ) -> Result<Lent, ServiceError> {
        let refuse = |reason: String| ServiceError::Settings(format!("`IDENTITY_ENDPOINT`: {reason}"));
        let target: Target = endpoint.parse().map_err(|error| refuse(format!("{error}")))?;
        let service = format!("the service's identity ({})", target.base);
        let mut path = target.path;
        path.push_str(if path.contains('?') { "&" } else { "?" });
        path.push_str("api-version=2019-08-01");
        let uri = target.base.join(&self.with_query(path, client_id)).map_err(|error| refuse(error.to_string()))?;
        let mut header = HeaderValue::from_bytes(secret.expose_secret())
            .map_err(|_| ServiceError::Settings("`IDENTITY_HEADER` is no header".to_owned()))?;
        header.set_sensitive(true);
        let question = Question::get(&service, uri).with(HeaderName::from_static("x-identity-header"), header);
        let reply = self.rest.ask(&question).await?;
        if reply.status == 200 { self.lent(&reply, &service) } else { Err(refusal(&reply, &service, principal)) }
    }

    async fn of_machine(&self, client_id: Option<&str>, principal: &str) -> Result<Lent, Miss> {
        let machine = &self.settings.machine;
        let place = format!("the identity of this machine ({machine})");
        let absent = |outcome: String| Miss::Absent(Tried { place: place.clone(), outcome });
        let uri = machine.join(&self.with_query(MACHINE.to_owned(), client_id));
        let uri = uri.map_err(|error| ServiceError::Settings(format!("{place}: {error}")))?;
        let metadata = (HeaderName::from_static("metadata"), HeaderValue::from_static("true"));
        let question = Question::get(&place, uri).with(metadata.0, metadata.1);
        let reply = match self.rest.probe(&question, MACHINE_LIMIT).await {
            Ok(reply) => reply,
            Err(ServiceError::Unreachable { reason, .. }) => return Err(absent(reason)),
            Err(error) => return Err(absent(error.to_string())),
        };
        match reply.status {
            200 => self.lent(&reply, &place).map_err(|error| absent(error.to_string())),
            // It answers, and is busy: it is what was looked for.
            429 => Ok(self.again(&question, principal).await?),
            400 if client_id.is_some() => Err(Miss::Failed(refusal(&reply, &place, principal))),
            status => Err(absent(format!("it answered {status}: {}", said(&reply)))),
        }
    }

    async fn again(&self, question: &Question<'_>, principal: &str) -> Result<Lent, ServiceError> {
        let reply = self.rest.ask(question).await?;
        if reply.status == 200 {
            self.lent(&reply, question.service)
        } else {
            Err(refusal(&reply, question.service, principal))
        }
    }

    async fn of_program(&self, program: &'static str, arguments: &[&str]) -> Result<Lent, Miss> {
        let owned: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let printed = outside::blocking(&self.settings.outside, move |outside| {
            let arguments: Vec<&str> = owned.iter().map(String::as_str).collect();
            outside.run(program, &arguments)
        });
        let absent = |outcome: String| Miss::Absent(Tried { place: program.to_owned(), outcome });
        let printed = printed.await?.map_err(|reason| absent(shown(&reason)))?;
        let given: Option<Given> = serde_json::from_slice(printed.expose_secret()).ok();
        let lent = given.and_then(|given| self.life(given));
        lent.ok_or_else(|| absent("what it prints is no token".to_owned()))
    }

    fn with_query(&self, mut path: String, client_id: Option<&str>) -> String {
        path.push_str("&resource=");
        path.push_str(&escape(self.resource));
        if let Some(client_id) = client_id {
            path.push_str("&client_id=");
            path.push_str(&escape(client_id));
        }
        path
    }

    fn lent(&self, reply: &Reply, service: &str) -> Result<Lent, ServiceError> {
        let lent = reply.json::<Given>().and_then(|given| self.life(given));
        lent.ok_or_else(|| reply.unexpected(service, "the answer lacks a token"))
    }

    fn life(&self, given: Given) -> Option<Lent> {
        let token = SecretBytes::new(given.access_token.filter(|token| !token.is_empty())?.into_bytes());
        let now = outside::seconds(&*self.settings.outside);
        let life = given.expires_in.or_else(|| Some(given.expires_on?.saturating_sub(now)));
        Some((token, Some(life.map_or(USUAL_LIFE, Duration::from_secs))))
    }
}

/// Where a tenant's tokens are, below the authority.
fn token_path(tenant: &str) -> Result<String, ServiceError> {
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    if tenant.is_empty() || tenant.starts_with('.') || !tenant.bytes().all(is_good) {
        return Err(ServiceError::Settings("`AZURE_TENANT_ID` is not the id or the domain of a tenant".to_owned()));
    }
    Ok(format!("/{tenant}/oauth2/v2.0/token"))
}

fn refusal(reply: &Reply, service: &str, principal: &str) -> ServiceError {
    let address = service.to_owned();
    match reply.status {
        429 => ServiceError::Throttled { address, attempts: reply.attempts, retry_after: reply.retry_after },
        400 | 401 | 403 => ServiceError::Rejected { address, principal: principal.to_owned(), reason: said(reply) },
        _ if reply.is_passing() => ServiceError::Unavailable { address, reason: said(reply) },
        _ => reply.unexpected(service, &said(reply)),
    }
}

/// Why there is no token: `AADSTS7000215: Invalid client secret provided.` What follows are ids of the request.
fn said(reply: &Reply) -> String {
    let refused: Option<Refused> = reply.json();
    let text = refused.and_then(|refused| refused.error_description.or(refused.error));
    let text = text.map(|text| shown(text.split(" Trace ID:").next().unwrap_or_default()));
    text.filter(|text| !text.is_empty()).unwrap_or_else(|| "it gave no reason".to_owned())
}
