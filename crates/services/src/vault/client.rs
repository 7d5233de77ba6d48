//! The connection to one Vault server: requests with a token, retried, and redirects that stay where the token may go.
//!
//! Each attempt has a time limit; what may succeed later is tried again with a growing wait, a random part of which is not waited, so
//! that the commands of a fleet do not come back together.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue, LOCATION};
use http::{Request, Response, Uri};
use http_body_util::Full;
use rustls::pki_types::ServerName;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::Instant;

use super::answer::{Answer, Asked, Next};
use super::login::Login;
use super::rate::Pace;
use super::{Address, Base, Call, Settings};
use crate::proxy::Ways;
use crate::transport::{self, Http, ReadError};
use crate::{NamedBy, ServiceError, Surroundings, Tried};

/// Redirects that are followed in one attempt.
const REDIRECTS: usize = 2;
/// Where a token is asked about itself. The policy `default` allows it.
const ABOUT_ITSELF: &str = "auth/token/lookup-self";
/// Where a token ends itself.
const END_ITSELF: &str = "auth/token/revoke-self";

/// A token, and whether it can be had anew.
struct Token {
    /// `None`: no token is sent.
    header: Option<HeaderValue>,
    exchanged: bool,
    /// Past this moment it is exchanged for another one.
    until: Option<Instant>,
    /// A token as new as this one was denied, too: what is denied is not denied because it is over.
    is_known_good: AtomicBool,
}

/// What came of the last login.
#[derive(Default)]
struct Known {
    token: Option<Arc<Token>>,
    failure: Option<ServiceError>,
}

/// The client for one server.
pub struct Client {
    base: Base,
    /// The same, for messages.
    shown: String,
    settings: Arc<Settings>,
    surroundings: Surroundings,
    http: Http,
    ways: Arc<Ways>,
    headers: Vec<(HeaderName, HeaderValue)>,
    pace: Option<Pace>,
    calls: Semaphore,
    known: Mutex<Known>,
    logins: AtomicU64,
}

/// One request, whichever attempt it is.
struct Question<'a> {
    call: &'a Call<'a>,
    body: &'a Bytes,
    token: Option<&'a Token>,
    namespace: Option<&'a str>,
}

impl Client {
    /// A client that has not connected yet.
    ///
    /// # Errors
    /// [`ServiceError::Settings`] for certificates, proxies and headers that are none.
    pub fn new(
        base: impl Into<Base>,
        settings: Arc<Settings>,
        surroundings: Surroundings,
    ) -> Result<Self, ServiceError> {
        let base = base.into();
        let (http, ways) = connections(&settings, base.address().is_encrypted()).map_err(ServiceError::Settings)?;
        let headers = settings.headers.iter().map(|(name, value)| {
            let mut value = HeaderValue::from_bytes(value.expose_secret()).ok()?;
            value.set_sensitive(true);
            let header = Some((HeaderName::try_from(name).ok()?, value));
            header.filter(|(name, _)| !name.as_str().starts_with("x-vault-") || name == "x-vault-inconsistent")
        });
        let headers: Option<Vec<_>> = headers.collect();
        let headers = headers.ok_or_else(|| {
            ServiceError::Settings("a header is none, or is one that the client sets itself".to_owned())
        })?;
        Ok(Self {
            shown: base.to_string(),
            base,
            surroundings,
            http,
            ways,
            headers,
            pace: settings.rate.map(Pace::new),
            calls: Semaphore::new(settings.limits.calls.max(1)),
            known: Mutex::default(),
            logins: AtomicU64::new(0),
            settings,
        })
    }

    /// The server, for messages.
    pub fn address(&self) -> &str {
        &self.shown
    }

    /// Who we are there, for messages.
    pub fn principal(&self) -> String {
        self.settings.login.principal()
    }

    /// Logs in where that is still to be done.
    ///
    /// # Errors
    /// Those of the login.
    pub async fn log_in(&self) -> Result<(), ServiceError> {
        self.token().await.map(drop)
    }

    /// Sends `call`, and gives its final answer, whatever its status is.
    ///
    /// # Errors
    /// If there is no answer, or no token to ask with.
    pub async fn send(&self, mut call: Call<'_>) -> Result<Answer, ServiceError> {
        let body = transport::to_bytes(std::mem::take(&mut call.body));
        // Nobody closes it; if somebody did, there would be no bound, and no harm.
        let _permit = self.calls.acquire().await;
        let token = self.token().await?;
        let answer = self.ask(self.question(&call, &body, &token)).await?;
        if let Login::None(tried) = &self.settings.login
            && answer.is_about_no_token()
        {
            return Err(self.without_credentials(tried).await);
        }
        if !self.may_be_over(&token, &answer).await? {
            return Ok(answer);
        }
        self.forget(&token).await;
        let token = self.token().await?;
        let answer = self.ask(self.question(&call, &body, &token)).await?;
        if answer.status == 403 {
            token.is_known_good.store(true, Ordering::Relaxed);
        }
        Ok(answer)
    }

    /// Ends the token that was exchanged, if there is one: nobody will ask with it any more.
    ///
    /// # Errors
    /// If there is no answer. What Vault says does not matter: the token ends by itself.
    pub async fn revoke(&self) -> Result<(), ServiceError> {
        let token = self.known.lock().await.token.take();
        let Some(token) = token.filter(|token| token.exchanged) else { return Ok(()) };
        let call = Call::update(END_ITSELF, bulla_wipe::Wiping::default());
        self.ask(self.question(&call, &Bytes::new(), &token)).await.map(drop)
    }

    fn question<'a>(&'a self, call: &'a Call<'a>, body: &'a Bytes, token: &'a Token) -> Question<'a> {
        Question { call, body, token: Some(token), namespace: self.settings.namespace.as_deref() }
    }

    /// Whether another token may be answered otherwise. Where Vault does not say, the token is asked about itself: a login for each
    /// thing that we may not read would leave a token each time.
    async fn may_be_over(&self, token: &Token, answer: &Answer) -> Result<bool, ServiceError> {
        if !token.exchanged {
            return Ok(false);
        }
        if answer.is_about_the_token() {
            return Ok(true);
        }
        if answer.status != 403 || token.is_known_good.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let call = Call::read(ABOUT_ITSELF);
        Ok(self.ask(self.question(&call, &Bytes::new(), token)).await?.status == 403)
    }

    /// The token: the one that was found, or one that is exchanged for other credentials, once for all calls. Those who wait for a
    /// login that fails are told so, and do not try again one after the other.
    async fn token(&self) -> Result<Arc<Token>, ServiceError> {
        let seen = self.logins.load(Ordering::SeqCst);
        let mut known = self.known.lock().await;
        if let Some(token) = &known.token
            && token.until.is_none_or(|until| Instant::now() < until)
        {
            return Ok(Arc::clone(token));
        }
        if let Some(failure) = &known.failure
            && (matches!(self.settings.login, Login::None(_)) || self.logins.load(Ordering::SeqCst) != seen)
        {
            return Err(failure.clone());
        }
        let outcome = self.log_in_anew().await.map(Arc::new);
        self.logins.fetch_add(1, Ordering::SeqCst);
        known.token = outcome.as_ref().ok().map(Arc::clone);
        known.failure = outcome.as_ref().err().cloned();
        outcome
    }

    async fn log_in_anew(&self) -> Result<Token, ServiceError> {
        let login = &self.settings.login;
        let token =
            |header, exchanged, until| Token { header, exchanged, until, is_known_good: AtomicBool::new(false) };
        match login {
            Login::None(_) | Login::Anonymous => Ok(token(None, false, None)),
            Login::Token { token: found, .. } => Ok(token(Some(self.header(found.expose_secret())?), false, None)),
            Login::AppRole { .. } | Login::Kubernetes { .. } | Login::Jwt { .. } => {
                let mut given = self.exchange().await;
                if matches!(given, Err(ServiceError::Rejected { .. })) && login.reject() {
                    given = self.exchange().await;
                }
                let (given, asked_at) = given?;
                // A tenth before its end, so that no call arrives behind it.
                let until = given.lease.and_then(|lease| asked_at.checked_add(lease.mul_f64(0.9)));
                Ok(token(Some(self.header(given.token.as_bytes())?), true, until))
            }
        }
    }

    /// Nobody adds a token on the way: that is so for all calls.
    async fn without_credentials(&self, tried: &[Tried]) -> ServiceError {
        let failure = ServiceError::NoCredentials { address: self.shown.clone(), tried: tried.to_vec() };
        *self.known.lock().await = Known { token: None, failure: Some(failure.clone()) };
        failure
    }

    async fn exchange(&self) -> Result<(super::answer::Given, Instant), ServiceError> {
        let Some(exchange) = self.settings.login.exchange().await? else {
            unreachable!("it is asked of logins that have something to exchange")
        };
        let call = Call::update(&exchange.path, bulla_wipe::Wiping::default());
        let namespace = self.settings.login_namespace.as_deref().or(self.settings.namespace.as_deref());
        let body = transport::to_bytes(exchange.body);
        let asked_at = Instant::now();
        let answer = self.ask(Question { call: &call, body: &body, token: None, namespace }).await?;
        Ok((answer.token()?, asked_at))
    }

    async fn forget(&self, token: &Arc<Token>) {
        let mut known = self.known.lock().await;
        if known.token.as_ref().is_some_and(|known| Arc::ptr_eq(known, token)) {
            known.token = None;
        }
    }

    fn header(&self, token: &[u8]) -> Result<HeaderValue, ServiceError> {
        let mut header = HeaderValue::from_bytes(token).map_err(|_| ServiceError::Rejected {
            address: self.shown.clone(),
            principal: self.principal(),
            reason: "it has characters that no token has".to_owned(),
        })?;
        header.set_sensitive(true);
        Ok(header)
    }

    /// Asks until there is an answer that is final, and tells how often.
    async fn ask(&self, question: Question<'_>) -> Result<Answer, ServiceError> {
        if let Some(pace) = &self.pace {
            pace.wait().await;
        }
        let Some(limit) = self.settings.time_limit else { return self.ask_often(question).await };
        tokio::time::timeout(limit, self.ask_often(question)).await.unwrap_or_else(|_| {
            let reason = format!("no answer within {} seconds", limit.as_secs_f64());
            Err(ServiceError::Unreachable { address: self.shown.clone(), reason })
        })
    }

    async fn ask_often(&self, question: Question<'_>) -> Result<Answer, ServiceError> {
        let limits = &self.settings.limits;
        let mut attempts = 1;
        loop {
            let outcome = tokio::time::timeout(limits.attempt, self.attempt(&question)).await;
            let outcome = outcome.unwrap_or_else(|_| {
                Err(Fault::Silent(format!("no answer within {} seconds", limits.attempt.as_secs())))
            });
            let retry_after = match outcome {
                Ok(mut answer) => {
                    let most = match answer.next() {
                        Next::Take => 0,
                        Next::Retry => limits.attempts,
                        Next::Throttled => limits.throttled_attempts,
                    };
                    if attempts >= most {
                        answer.asked.attempts = attempts;
                        return Ok(answer);
                    }
                    answer.asked.retry_after
                }
                Err(Fault::Final(error)) => return Err(error),
                Err(Fault::Silent(reason)) if attempts >= limits.silent_attempts => {
                    return Err(ServiceError::Unreachable { address: self.shown.clone(), reason });
                }
                Err(Fault::Silent(_)) => None,
            };
            let fraction = self.surroundings.fraction();
            let wait = transport::wait(attempts, fraction, retry_after, limits.first_wait, limits.longest_wait);
            tokio::time::sleep(wait).await;
            attempts += 1;
        }
    }

    async fn attempt(&self, question: &Question<'_>) -> Result<Answer, Fault> {
        let mut uri = self.base.join(&question.call.target()).map_err(|error| self.cannot(&error))?;
        for _ in 0..=REDIRECTS {
            let request = self.request(&uri, question).map_err(|error| self.cannot(&error))?;
            let response = self.http.request(request).await.map_err(|error| self.no_answer(&error))?;
            let status = response.status().as_u16();
            if matches!(status, 301 | 302 | 307 | 308) {
                if !self.settings.follows_redirects {
                    let reason = "it redirects, and that is not to be followed".to_owned();
                    return Err(Fault::Final(self.unexpected(status, reason)));
                }
                uri = self.redirected(&uri, &response)?;
                continue;
            }
            let asked = Asked {
                address: self.shown.clone(),
                principal: self.principal(),
                capability: question.call.capability(),
                path: question.call.path.to_owned(),
                attempts: 1,
                retry_after: transport::retry_after(&response),
            };
            let body = transport::read(response, self.settings.limits.answer).await.map_err(|error| match error {
                ReadError::Broken(reason) => Fault::Silent(reason),
                ReadError::TooLong(limit) => {
                    Fault::Final(self.unexpected(status, format!("the answer is longer than {limit} bytes")))
                }
            })?;
            return Ok(Answer { status, body, asked });
        }
        let reason = "it redirects, and what it redirects to does, too".to_owned();
        Err(Fault::Final(self.unexpected(307, reason)))
    }

    fn request(&self, uri: &Uri, question: &Question<'_>) -> Result<Request<Full<Bytes>>, http::Error> {
        let mut request = Request::builder()
            .method(&question.call.method)
            .uri(uri)
            // Vault refuses this header's absence where it is configured so: it keeps browsers out.
            .header(HeaderName::from_static("x-vault-request"), "true");
        if !question.body.is_empty() {
            request = request.header(http::header::CONTENT_TYPE, "application/json");
        }
        if let Some(header) = question.token.and_then(|token| token.header.as_ref()) {
            request = request.header(HeaderName::from_static("x-vault-token"), header);
        }
        if let Some(namespace) = question.namespace {
            request = request.header(HeaderName::from_static("x-vault-namespace"), namespace);
        }
        if let Some(authorization) = self.ways.authorization(uri) {
            request = request.header(http::header::PROXY_AUTHORIZATION, authorization);
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request.body(Full::new(question.body.clone()))
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
        if target == *self.base.address() || self.settings.allowed.allows(&target, NamedBy::File) {
            Ok(uri)
        } else {
            Err(refuse())
        }
    }

    fn no_answer(&self, error: &hyper_util::client::legacy::Error) -> Fault {
        let reason = transport::chain(error);
        if transport::is_about_tls(error) {
            return Fault::Final(ServiceError::Unreachable { address: self.shown.clone(), reason });
        }
        Fault::Silent(reason)
    }

    fn cannot(&self, error: &http::Error) -> Fault {
        Fault::Final(ServiceError::Settings(format!("no request to {} can be made: {error}", self.shown)))
    }

    fn unexpected(&self, status: u16, reason: String) -> ServiceError {
        ServiceError::Unexpected { address: self.shown.clone(), status, reason }
    }
}

/// Connections as the settings have them, and the ways that they go. `is_encrypted`: is the server's address one with TLS?
fn connections(settings: &Settings, is_encrypted: bool) -> Result<(Http, Arc<Ways>), String> {
    let identity = settings.identity.as_ref();
    let tls = if settings.trusts_anybody {
        transport::tls_with_anybody(identity)?
    } else {
        transport::tls(settings.authorities.as_ref(), identity, is_encrypted)?
    };
    let name = settings.server_name.clone().map(ServerName::try_from).transpose();
    let name = name.map_err(|_| "`VAULT_TLS_SERVER_NAME` is not the name of a server".to_owned())?;
    let ways = Arc::new(Ways::new(&settings.proxies)?);
    Ok((transport::client_through(tls, Arc::clone(&ways), name), ways))
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("address", &self.shown).field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// Why an attempt gave no answer.
enum Fault {
    /// There was none.
    Silent(String),
    /// Another attempt would end in the same.
    Final(ServiceError),
}
