//! A token, by the means that each kind of credentials has.
//!
//! ```text
//! a token               as it is
//! service account       a token that its own key signs: nobody is asked
//! user                  POST oauth2.googleapis.com/token              grant_type=refresh_token
//! another's token       POST sts.googleapis.com/v1/token              …token-exchange, then perhaps generateAccessToken
//! impersonated          POST iamcredentials….:generateAccessToken     with the token of who may
//! instance, pod         GET  metadata/…/service-accounts/default/token
//! ```

use std::time::Duration;

use bulla_crypto::SecretBytes;
use bulla_wipe::Wiping;
use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::json;

use super::credentials::{self, Account, Credentials, External, Subject, TOKENS};
use super::{Gcp, Login, Service, Settings, USUAL_UNIVERSE};
use crate::address::{Base, Target};
use crate::rest::{Question, Reply, Rest, bearer, shown};
use crate::{ServiceError, Tried, jwt, outside};

const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// How long a token is good for that we sign or ask for.
const LIFE: Duration = Duration::from_hours(1);
/// How long the instance is waited for. Most programs run on none, and there it does not answer.
const INSTANCE_LIMIT: Duration = Duration::from_secs(1);
/// What only the instance answers with, and only a program asks with.
const FLAVOUR: (HeaderName, HeaderValue) =
    (HeaderName::from_static("metadata-flavor"), HeaderValue::from_static("Google"));
const ACCOUNT: &str = "/computeMetadata/v1/instance/service-accounts/default";

/// A token.
pub(super) struct Token {
    /// `None` for an emulator, which asks for no token.
    pub(super) header: Option<HeaderValue>,
    /// Whose it is, for messages.
    pub(super) principal: String,
    pub(super) quota_project: Option<HeaderValue>,
    /// May there be another one when it is not accepted?
    pub(super) is_renewable: bool,
}

/// What answers a request for a token, in its two spellings.
#[derive(Deserialize)]
struct Given {
    #[serde(alias = "accessToken")]
    access_token: Option<String>,
    expires_in: Option<u64>,
}

/// What refuses one.
#[derive(Deserialize)]
struct Refused {
    error: Option<serde_json::Value>,
    error_description: Option<String>,
}

/// A secret, and how long it is good for.
type Lent = (SecretBytes, Option<Duration>);

/// A token for `service`, and how long it is good for.
pub(super) async fn get(
    settings: &Settings,
    kind: Service,
    rest: &Rest,
    service: &str,
) -> Result<(Token, Option<Duration>), ServiceError> {
    let mut quota_project = settings.quota_project.clone();
    let ((secret, life), principal, is_renewable) = match &settings.login {
        Login::None => {
            let principal = "nobody".to_owned();
            return Ok((Token { header: None, principal, quota_project: None, is_renewable: false }, None));
        }
        Login::Token { token, place } => {
            let secret = SecretBytes::new(token.expose_secret().to_vec());
            ((secret, None), format!("the token from `{place}`"), false)
        }
        Login::Instance { address, tried } => {
            let lent = of_instance(rest, address, tried, service).await?;
            (lent, "the service account of this instance".to_owned(), true)
        }
        Login::Credentials { json, place } => {
            let said = credentials::read(json, place)?;
            let theirs = said.universe.as_deref().unwrap_or(USUAL_UNIVERSE);
            if settings.endpoint.is_none() && theirs != settings.universe {
                return Err(ServiceError::Settings(format!(
                    "the credentials in `{place}` are of the universe `{theirs}`, and `{}` is asked: set `{}`",
                    settings.universe,
                    kind.universe_variable()
                )));
            }
            quota_project = quota_project.or(said.quota_project);
            let exchange = Exchange { settings, rest, place };
            let lent = exchange.of(&said.credentials).await?;
            (lent, principal_of(&said.credentials, place), true)
        }
    };
    let header = bearer(secret.expose_secret()).map_err(|reason| ServiceError::Rejected {
        address: service.to_owned(),
        principal: principal.clone(),
        reason,
    })?;
    let quota_project = quota_project.map(|project| HeaderValue::try_from(project).ok());
    let Some(quota_project) = quota_project.map_or(Some(None), |project| project.map(Some)) else {
        return Err(ServiceError::Settings("the project for quotas is no name of a project".to_owned()));
    };
    Ok((Token { header: Some(header), principal, quota_project, is_renewable }, life))
}

/// Who we are by Google's own word, where the credentials do not say: for a message.
pub(super) async fn principal(gcp: &Gcp, token: &Token) -> String {
    let Login::Instance { address, .. } = &gcp.settings.login else { return token.principal.clone() };
    let email = async {
        let uri = address.join(&format!("{ACCOUNT}/email")).ok()?;
        let question = Question::get("the instance", uri).with(FLAVOUR.0, FLAVOUR.1);
        let reply = gcp.rest.probe(&question, INSTANCE_LIMIT).await.ok().filter(|reply| reply.status == 200)?;
        let email = std::str::from_utf8(&reply.body).ok()?.trim();
        (email.contains('@') && email.len() <= 200).then(|| email.to_owned())
    };
    email.await.unwrap_or_else(|| token.principal.clone())
}

fn principal_of(credentials: &Credentials, place: &str) -> String {
    match credentials {
        Credentials::ServiceAccount { email, .. } => email.clone(),
        Credentials::User { .. } => format!("the user of `{place}`"),
        Credentials::Impersonated { account, .. } => account.email.clone(),
        Credentials::External(external) => match &external.account {
            Some(account) => account.email.clone(),
            None => format!("the workload of `{place}` ({})", external.audience),
        },
    }
}

async fn of_instance(rest: &Rest, address: &Base, tried: &[Tried], service: &str) -> Result<Lent, ServiceError> {
    let uri = address.join(&format!("{ACCOUNT}/token?scopes={SCOPE}"));
    let uri = uri.map_err(|error| ServiceError::Settings(format!("`GCE_METADATA_HOST`: {error}")))?;
    let none = |outcome: String| {
        let mut tried = tried.to_vec();
        tried.push(Tried { place: format!("the metadata of the instance ({address})"), outcome });
        ServiceError::NoCredentials { address: service.to_owned(), tried }
    };
    let question = Question::get("the instance", uri).with(FLAVOUR.0, FLAVOUR.1);
    let reply = match rest.probe(&question, INSTANCE_LIMIT).await {
        Ok(reply) => reply,
        Err(ServiceError::Unreachable { reason, .. }) => return Err(none(reason)),
        Err(error) => return Err(none(error.to_string())),
    };
    if reply.headers.get(&FLAVOUR.0) != Some(&FLAVOUR.1) {
        return Err(none("what answers there is not Google's".to_owned()));
    }
    match reply.status {
        200 => lent(&reply, "the instance", None),
        404 => Err(none("the instance has no service account".to_owned())),
        status => Err(none(format!("it answered {status}"))),
    }
}

/// The token of an answer. `usually`: how long it is good for if it does not say.
fn lent(reply: &Reply, service: &str, usually: Option<Duration>) -> Result<Lent, ServiceError> {
    let given: Option<Given> = reply.json();
    let given = given.and_then(|given| Some((given.access_token.filter(|token| !token.is_empty())?, given.expires_in)));
    let (token, seconds) = given.ok_or_else(|| reply.unexpected(service, "the answer lacks a token"))?;
    Ok((SecretBytes::new(token.into_bytes()), seconds.map(Duration::from_secs).or(usually)))
}

/// Exchanging credentials of `place` for tokens.
struct Exchange<'a> {
    settings: &'a Settings,
    rest: &'a Rest,
    place: &'a str,
}

impl Exchange<'_> {
    async fn of(&self, credentials: &Credentials) -> Result<Lent, ServiceError> {
        match credentials {
            Credentials::ServiceAccount { email, key_id, key } => {
                let now = outside::seconds(&*self.settings.outside);
                let header = if key_id.is_empty() { json!({}) } else { json!({"kid": key_id}) };
                let claims =
                    json!({"iss": email, "sub": email, "scope": SCOPE, "iat": now, "exp": now + LIFE.as_secs()});
                let token = jwt::sign(key, jwt::Algorithm::Rs256, header, &claims);
                let token = token.map_err(|reason| self.refuse(&reason))?;
                Ok((token, Some(LIFE)))
            }
            Credentials::User { client_id, client_secret, refresh_token } => {
                let fields = [
                    ("grant_type", &b"refresh_token"[..]),
                    ("client_id", client_id.as_bytes()),
                    ("client_secret", client_secret.expose_secret()),
                    ("refresh_token", refresh_token.expose_secret()),
                ];
                let target = TOKENS.parse().map_err(|error| self.refuse(&format!("{error}")))?;
                self.form(&target, &fields).await
            }
            Credentials::External(external) => {
                let lent = self.exchange(external).await?;
                match &external.account {
                    Some(account) => self.impersonate(account, &[], &lent.0).await,
                    None => Ok(lent),
                }
            }
            Credentials::Impersonated { source, account, delegates } => {
                // Boxed: they stand on others, a known number of times.
                let (token, _) = Box::pin(self.of(source)).await?;
                self.impersonate(account, delegates, &token).await
            }
        }
    }

    async fn exchange(&self, external: &External) -> Result<Lent, ServiceError> {
        let subject = self.subject(&external.subject).await?;
        let options = external.user_project.as_ref().map(|project| json!({"userProject": project}).to_string());
        let mut fields = vec![
            ("grant_type", &b"urn:ietf:params:oauth:grant-type:token-exchange"[..]),
            ("audience", external.audience.as_bytes()),
            ("scope", SCOPE.as_bytes()),
            ("requested_token_type", b"urn:ietf:params:oauth:token-type:access_token"),
            ("subject_token_type", external.subject_token_type.as_bytes()),
            ("subject_token", subject.expose_secret()),
        ];
        if let Some(options) = &options {
            fields.push(("options", options.as_bytes()));
        }
        self.form(&external.exchange, &fields).await
    }

    /// The token that somebody else gave out.
    async fn subject(&self, subject: &Subject) -> Result<SecretBytes, ServiceError> {
        let (content, field, place) = match subject {
            Subject::File { path, field } => {
                let name = path.clone();
                let content = outside::blocking(&self.settings.outside, move |outside| outside.read(&name)).await?;
                let content = content.map_err(|reason| self.refuse(&format!("`{path}`: {reason}")))?;
                (content, field, path.clone())
            }
            Subject::Address { target, headers, field } => {
                let place = target.base.to_string();
                let mut question = Question::get(&place, self.uri(target)?);
                for (name, value) in headers {
                    let header = HeaderName::try_from(name).ok().zip(HeaderValue::try_from(value).ok());
                    let (name, value) = header.ok_or_else(|| self.refuse("a header of `credential_source` is none"))?;
                    question.headers.insert(name, value);
                }
                let reply = self.rest.ask(&question).await?;
                if reply.status != 200 {
                    return Err(reply.unexpected(&place, "it gives no token"));
                }
                (SecretBytes::from(reply.body), field, place)
            }
        };
        let Some(field) = field else {
            return Ok(SecretBytes::new(content.expose_secret().trim_ascii().to_vec()));
        };
        let read: Option<serde_json::Map<String, serde_json::Value>> =
            serde_json::from_slice(content.expose_secret()).ok();
        let token = read.and_then(|mut read| match read.remove(field)? {
            serde_json::Value::String(token) => Some(SecretBytes::new(token.into_bytes())),
            _ => None,
        });
        token.ok_or_else(|| self.refuse(&format!("there is no text `{field}` in the JSON of `{place}`")))
    }

    async fn impersonate(
        &self,
        account: &Account,
        delegates: &[String],
        token: &SecretBytes,
    ) -> Result<Lent, ServiceError> {
        let service = format!("Google Cloud IAM ({})", account.target.base);
        let body = json!({"scope": [SCOPE], "lifetime": format!("{}s", LIFE.as_secs()), "delegates": delegates});
        let question = Question::post(&service, self.uri(&account.target)?, Wiping::new(body.to_string().into_bytes()));
        let header = bearer(token.expose_secret()).map_err(|reason| self.rejected(&service, reason))?;
        let reply = self.rest.ask(&question.with(AUTHORIZATION, header)).await?;
        if reply.status == 200 {
            return lent(&reply, &service, Some(LIFE));
        }
        let resource = format!("projects/-/serviceAccounts/{}", account.email);
        let asked = super::Asked {
            permission: "iam.serviceAccounts.getAccessToken",
            role: "roles/iam.serviceAccountTokenCreator",
            resource: &resource,
        };
        let principal = format!("the credentials in `{}`", self.place);
        Err(super::answer::meaning(&reply, &asked, &service, &principal))
    }

    async fn form(&self, target: &Target, fields: &[(&str, &[u8])]) -> Result<Lent, ServiceError> {
        let service = format!("Google's service for tokens ({})", target.base);
        let reply = self.rest.ask(&Question::form(&service, self.uri(target)?, fields)).await?;
        match reply.status {
            200 => lent(&reply, &service, None),
            400 | 401 | 403 => Err(self.rejected(&service, said(&reply))),
            429 => Err(ServiceError::Throttled {
                address: service,
                attempts: reply.attempts,
                retry_after: reply.retry_after,
            }),
            _ if reply.is_passing() => Err(ServiceError::Unavailable { address: service, reason: said(&reply) }),
            _ => Err(reply.unexpected(&service, &said(&reply))),
        }
    }

    fn uri(&self, target: &Target) -> Result<http::Uri, ServiceError> {
        target.base.join(&target.path).map_err(|error| self.refuse(&format!("an address in them: {error}")))
    }

    fn rejected(&self, service: &str, reason: String) -> ServiceError {
        let principal = format!("the credentials in `{}`", self.place);
        ServiceError::Rejected { address: service.to_owned(), principal, reason }
    }

    fn refuse(&self, reason: &str) -> ServiceError {
        ServiceError::Settings(format!("the credentials in `{}`: {reason}", self.place))
    }
}

/// Why there is no token, in the words of OAuth: `invalid_grant`, and what it says of that.
fn said(reply: &Reply) -> String {
    let refused: Option<Refused> = reply.json();
    let code = refused.as_ref().and_then(|refused| match refused.error.as_ref()? {
        serde_json::Value::String(code) => Some(code.clone()),
        error => error["message"].as_str().map(str::to_owned),
    });
    let description = refused.and_then(|refused| refused.error_description);
    match (code, description) {
        (Some(code), Some(description)) => shown(&format!("{description} ({code})")),
        (Some(text), None) | (None, Some(text)) => shown(&text),
        (None, None) => "it gave no reason".to_owned(),
    }
}
