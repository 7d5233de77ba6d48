//! The connection to one Vault server: requests with a token, retried, and redirects that stay where the token may go.
//!
//! Source: HashiCorp's HTTP API of Vault 1.21, which OpenBao keeps. Each try has a time limit; what may succeed later is tried again
//! with a growing wait, a random part of which is not waited, so that the commands of a fleet do not come back together.

use std::sync::Arc;
use std::time::Duration;

use bulla_wipe::Wiping;
use bytes::Bytes;
use http::header::{HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use http::{Method, Request, Response, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as Http;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::{Mutex, Semaphore};

use super::address::Address;
use super::answer::{Answer, Field, Next, Question};
use super::login::Login;
use super::name::escape;
use super::{Settings, VaultKeyName};
use crate::service::{NamedBy, ServiceError, Surroundings};

/// How often a question is asked.
const ATTEMPTS: u32 = 5;
/// How often it is asked if no answer comes: whoever mistyped an address is not kept waiting.
const SILENT_ATTEMPTS: u32 = 3;
/// The longest first wait; each next one is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// No wait is longer, whatever the server asks for.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// How long one attempt may take.
const TIME_LIMIT: Duration = Duration::from_secs(30);
/// How long connecting may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// How many calls are under way at once.
const CALLS: usize = 8;
/// Redirects that are followed in one attempt.
const REDIRECTS: usize = 2;
/// Longest answer in bytes. Those of transit have some hundred.
const LONGEST_ANSWER: usize = 1 << 20;

/// A token, and whether it can be had anew.
struct Token {
    header: HeaderValue,
    exchanged: bool,
}

/// The client for one server.
pub(super) struct Client {
    address: Address,
    /// The same, for messages.
    shown: String,
    settings: Arc<Settings>,
    surroundings: Surroundings,
    http: Http<HttpsConnector<HttpConnector>, Full<Bytes>>,
    calls: Semaphore,
    token: Mutex<Option<Arc<Token>>>,
}

impl Client {
    /// A client that has not connected yet.
    pub(super) fn new(
        address: Address,
        settings: Arc<Settings>,
        surroundings: Surroundings,
    ) -> Result<Self, ServiceError> {
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_connect_timeout(Some(CONNECT_LIMIT));
        let tls = tls(&settings, &address).map_err(ServiceError::Settings)?;
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().wrap_connector(connector);
        let http = Http::builder(TokioExecutor::new()).build(connector);
        let (calls, token, shown) = (Semaphore::new(CALLS), Mutex::default(), address.to_string());
        Ok(Self { address, shown, settings, surroundings, http, calls, token })
    }

    /// Calls `operation` of a key, and gives the field of the answer.
    pub(super) async fn call(
        &self,
        key: &VaultKeyName,
        operation: &str,
        body: Wiping<Vec<u8>>,
        field: Field,
    ) -> Result<Wiping<String>, ServiceError> {
        let path = key.path(operation).map_err(|error| ServiceError::Settings(error.to_string()))?;
        let body = to_bytes(body);
        // Nobody closes it; if somebody did, there would be no bound, and no harm.
        let _call = self.calls.acquire().await;
        let token = self.token().await?;
        let (mut answer, mut attempts) = self.ask(&path, &body, Some(&token)).await?;
        if answer.status == 403 && token.exchanged {
            // It may have expired since it was given to us; another one tells.
            self.forget(&token).await;
            let token = self.token().await?;
            (answer, attempts) = self.ask(&path, &body, Some(&token)).await?;
        }
        let (principal, key) = (self.settings.login.principal(), key.to_string());
        let question = Question { address: &self.shown, principal: &principal, path: &path, key: Some(&key), attempts };
        answer.take(field, &question)
    }

    /// The token: the one that was found, or one that is exchanged for other credentials, once for all calls.
    async fn token(&self) -> Result<Arc<Token>, ServiceError> {
        let mut known = self.token.lock().await;
        if let Some(token) = &*known {
            return Ok(Arc::clone(token));
        }
        let principal = self.settings.login.principal();
        let token = match (&self.settings.login, self.settings.login.exchange()) {
            (_, Some(exchange)) => {
                let (answer, attempts) = self.ask(&exchange.path, &to_bytes(exchange.body), None).await?;
                let path = exchange.path.as_str();
                let question = Question { address: &self.shown, principal: &principal, path, key: None, attempts };
                let token = answer.take(Field::Token, &question)?;
                Token { header: self.header(token.as_bytes())?, exchanged: true }
            }
            (Login::Token { token, .. }, None) => {
                Token { header: self.header(token.expose_secret())?, exchanged: false }
            }
            (Login::None(tried), None) => {
                return Err(ServiceError::NoCredentials { address: self.shown.clone(), tried: tried.clone() });
            }
            (Login::AppRole { .. } | Login::Kubernetes { .. }, None) => {
                unreachable!("these have something to exchange")
            }
        };
        let token = Arc::new(token);
        *known = Some(Arc::clone(&token));
        Ok(token)
    }

    async fn forget(&self, token: &Arc<Token>) {
        let mut known = self.token.lock().await;
        if known.as_ref().is_some_and(|known| Arc::ptr_eq(known, token)) {
            *known = None;
        }
    }

    fn header(&self, token: &[u8]) -> Result<HeaderValue, ServiceError> {
        let mut header = HeaderValue::from_bytes(token).map_err(|_| ServiceError::Rejected {
            address: self.shown.clone(),
            principal: self.settings.login.principal(),
            reason: "it has characters that no token has".to_owned(),
        })?;
        header.set_sensitive(true);
        Ok(header)
    }

    /// Asks until there is an answer that is final, and tells how often.
    async fn ask(&self, path: &str, body: &Bytes, token: Option<&Token>) -> Result<(Answer, u32), ServiceError> {
        let mut attempt = 1;
        loop {
            let outcome = tokio::time::timeout(TIME_LIMIT, self.attempt(path, body, token)).await;
            let outcome = outcome
                .unwrap_or_else(|_| Err(Fault::Silent(format!("no answer within {} seconds", TIME_LIMIT.as_secs()))));
            let asked_for = match outcome {
                Ok((answer, _)) if answer.next() == Next::Take || attempt == ATTEMPTS => return Ok((answer, attempt)),
                Ok((_, asked_for)) => asked_for,
                Err(Fault::Final(error)) => return Err(error),
                Err(Fault::Silent(reason)) if attempt >= SILENT_ATTEMPTS => {
                    return Err(ServiceError::Unreachable { address: self.shown.clone(), reason });
                }
                Err(Fault::Silent(_)) => None,
            };
            tokio::time::sleep(wait(attempt, self.surroundings.fraction(), asked_for)).await;
            attempt += 1;
        }
    }

    /// One attempt: the answer, and how long the server wants us to wait.
    async fn attempt(
        &self,
        path: &str,
        body: &Bytes,
        token: Option<&Token>,
    ) -> Result<(Answer, Option<Duration>), Fault> {
        let mut uri = self.address.join(&format!("/v1/{}", escape(path))).map_err(|error| self.cannot(&error))?;
        for _ in 0..=REDIRECTS {
            let request = self.request(&uri, body, token).map_err(|error| self.cannot(&error))?;
            let response = self.http.request(request).await.map_err(|error| self.no_answer(&error))?;
            if matches!(response.status().as_u16(), 301 | 302 | 307 | 308) {
                uri = self.redirected(&uri, &response)?;
                continue;
            }
            let status = response.status().as_u16();
            let asked_for = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
            let body = read(response).await.map_err(Fault::Silent)?;
            return Ok((Answer { status, body }, asked_for.map(Duration::from_secs)));
        }
        Err(Fault::Final(ServiceError::Unexpected {
            address: self.shown.clone(),
            status: 307,
            reason: "it redirects, and what it redirects to does, too".to_owned(),
        }))
    }

    fn request(&self, uri: &Uri, body: &Bytes, token: Option<&Token>) -> Result<Request<Full<Bytes>>, http::Error> {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(uri)
            .header(http::header::CONTENT_TYPE, "application/json")
            // Vault refuses this header's absence where it is configured so: it keeps browsers out.
            .header(HeaderName::from_static("x-vault-request"), "true");
        if let Some(token) = token {
            request = request.header(HeaderName::from_static("x-vault-token"), token.header.clone());
        }
        if let Some(namespace) = &self.settings.namespace {
            request = request.header(HeaderName::from_static("x-vault-namespace"), namespace);
        }
        request.body(Full::new(body.clone()))
    }

    /// Where `response` sends us, if the token may go there.
    fn redirected<B>(&self, from: &Uri, response: &Response<B>) -> Result<Uri, Fault> {
        let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let refuse = || {
            // Not its path and query: they are whatever the server wanted to show.
            let target = location.parse().ok().and_then(|uri| Address::of(&uri).ok());
            let target = target.map_or_else(|| "an address that is none".to_owned(), |address| address.to_string());
            Fault::Final(ServiceError::Redirected { address: self.shown.clone(), target })
        };
        if location.starts_with('/') && !location.starts_with("//") {
            let address = Address::of(from).map_err(|_| refuse())?;
            return address.join(location).map_err(|_| refuse());
        }
        let uri: Uri = location.parse().map_err(|_| refuse())?;
        let target = Address::of(&uri).map_err(|_| refuse())?;
        if target == self.address || self.settings.allowed.allows(&target, NamedBy::File) {
            Ok(uri)
        } else {
            Err(refuse())
        }
    }

    fn no_answer(&self, error: &hyper_util::client::legacy::Error) -> Fault {
        let reason = chain(error);
        if is_about_tls(error) {
            return Fault::Final(ServiceError::Unreachable { address: self.shown.clone(), reason });
        }
        Fault::Silent(reason)
    }

    fn cannot(&self, error: &http::Error) -> Fault {
        Fault::Final(ServiceError::Settings(format!("no request to {} can be made: {error}", self.shown)))
    }
}

/// Why an attempt gave no answer.
enum Fault {
    /// There was none.
    Silent(String),
    /// Another attempt would end in the same.
    Final(ServiceError),
}

/// How long to wait after this attempt. `fraction` is random, from 0 to 1.
fn wait(attempt: u32, fraction: f64, asked_for: Option<Duration>) -> Duration {
    let longest = FIRST_WAIT.saturating_mul(1 << (attempt - 1).min(10)).min(LONGEST_WAIT);
    // At least half of it: a wait of nothing is none.
    let wait = longest.mul_f64(f64::midpoint(1.0, fraction.clamp(0.0, 1.0)));
    asked_for.map_or(wait, |asked_for| asked_for.min(LONGEST_WAIT).max(wait))
}

/// An answer's body. Every part is wiped once it is copied; what the connection read it into is hyper's.
async fn read(response: Response<hyper::body::Incoming>) -> Result<Wiping<Vec<u8>>, String> {
    let mut body = Limited::new(response.into_body(), LONGEST_ANSWER);
    let mut bytes = Wiping::<Vec<u8>>::default();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| error.to_string())?;
        if let Some(data) = frame.data_ref() {
            bytes.append(data);
        }
    }
    Ok(bytes)
}

/// A body that every attempt sends, and that is wiped with the last.
fn to_bytes(body: Wiping<Vec<u8>>) -> Bytes {
    struct Owner(Wiping<Vec<u8>>);
    impl AsRef<[u8]> for Owner {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    Bytes::from_owner(Owner(body))
}

/// TLS for `address`: only the authorities that were given, else those of the system.
fn tls(settings: &Settings, address: &Address) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    if let Some(pem) = &settings.authorities {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|error| format!("the certificates of `VAULT_CACERT`: {error}"))?;
            roots.add(certificate).map_err(|error| format!("the certificates of `VAULT_CACERT`: {error}"))?;
        }
        if roots.is_empty() {
            return Err("there is no certificate in what `VAULT_CACERT` names".to_owned());
        }
        return Ok(builder.with_root_certificates(roots).with_no_client_auth());
    }
    match builder.clone().with_native_roots() {
        Ok(builder) => Ok(builder.with_no_client_auth()),
        // They are needed only if it redirects to an address with TLS.
        Err(_) if !address.is_encrypted() => {
            Ok(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
        }
        Err(error) => Err(format!("the system's certificates: {error}")),
    }
}

/// An error with its causes. None of them quotes a request or an answer.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        if !text.contains(&message) {
            text.push_str(": ");
            text.push_str(&message);
        }
        cause = error.source();
    }
    text
}

/// Did TLS refuse? A certificate that is not trusted is not trusted at the next attempt either.
fn is_about_tls(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<rustls::Error>() {
            return true;
        }
        // What an error of input and output holds is not its source, but has one.
        let held = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = held.map(|held| held as &(dyn std::error::Error + 'static)).or_else(|| error.source());
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_are_bounded_and_differ() {
        let second = Duration::from_secs(1);
        for (attempt, fraction, asked_for, expected) in [
            (1, 0.0, None, FIRST_WAIT / 2),
            (1, 1.0, None, FIRST_WAIT),
            (2, 1.0, None, FIRST_WAIT * 2),
            (3, 0.0, None, FIRST_WAIT * 2),
            (40, 1.0, None, LONGEST_WAIT),
            (1, 1.0, Some(second * 2), second * 2),
            (1, 1.0, Some(second * 3600), LONGEST_WAIT),
            (4, 1.0, Some(Duration::ZERO), second * 2),
        ] {
            assert_eq!(wait(attempt, fraction, asked_for), expected, "{attempt} {fraction} {asked_for:?}");
        }
    }
}
