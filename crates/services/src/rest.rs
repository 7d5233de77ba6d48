//! Questions to services that speak JSON over HTTP: a bounded number at once, asked again where that may help, answers with a limit.
//!
//! ```text
//! Question ─ Rest::ask ─▶ attempt ─ 429, 5xx, silence ─▶ again, after a wait that grows and differs
//!                           └─▶ Reply: status, headers, body; what it means is the caller's
//! ```
//! No redirect is followed: but for buckets none of these services sends one, and a token is for the server that it was got for. A server that gave no
//! answer at all counts as silent for some seconds, so that a thousand files do not wait for it one after the other.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bulla_wipe::Wiping;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Request, Uri};
use http_body_util::Full;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::proxy::{Proxies, Ways};
use crate::transport::{self, Authorities, Http, ReadError};
use crate::{Limits, ServiceError, Surroundings};

/// How long a server that did not answer counts as one that does not.
const SILENCE_COUNTS: Duration = Duration::from_secs(5);

/// A client of several servers, whose calls count together.
pub(crate) struct Rest {
    http: Http,
    limits: Limits,
    surroundings: Surroundings,
    calls: Semaphore,
    /// Servers that gave no answer: why, and when.
    silent: Mutex<HashMap<String, (String, Instant)>>,
}

/// One request, whichever attempt it is.
#[derive(Debug)]
pub(crate) struct Question<'a> {
    /// Whom it is asked of, for messages.
    pub(crate) service: &'a str,
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// May the answer be that it is asked of the wrong server? It is read then, and not followed.
    pub(crate) takes_redirects: bool,
}

/// What was answered, whole.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Wiping<Vec<u8>>,
    /// How often it was asked.
    pub(crate) attempts: u32,
    /// When the server wants to be asked again.
    pub(crate) retry_after: Option<Duration>,
}

impl<'a> Question<'a> {
    pub(crate) fn get(service: &'a str, uri: Uri) -> Self {
        Self {
            service,
            method: Method::GET,
            uri,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            takes_redirects: false,
        }
    }

    /// Sends `body`, whatever it is.
    pub(crate) fn send(service: &'a str, method: Method, uri: Uri, body: Wiping<Vec<u8>>) -> Self {
        Self { method, body: transport::to_bytes(body), ..Self::get(service, uri) }
    }

    /// Sends `body`, an object in JSON.
    pub(crate) fn post(service: &'a str, uri: Uri, body: Wiping<Vec<u8>>) -> Self {
        Self::send(service, Method::POST, uri, body).with(CONTENT_TYPE, HeaderValue::from_static("application/json"))
    }

    /// Sends `fields` as a form, as tokens are asked for.
    pub(crate) fn form(service: &'a str, uri: Uri, fields: &[(&str, &[u8])]) -> Self {
        Self::send(service, Method::POST, uri, form(fields))
            .with(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"))
    }

    pub(crate) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }
}

impl Reply {
    /// What serde says of a text may quote it, so nothing of that is told.
    pub(crate) fn json<'a, T: serde::Deserialize<'a>>(&'a self) -> Option<T> {
        serde_json::from_slice(&self.body).ok()
    }

    /// It is not what the service answers. `reason` quotes nothing of it.
    pub(crate) fn unexpected(&self, service: &str, reason: &str) -> ServiceError {
        ServiceError::Unexpected { address: service.to_owned(), status: self.status, reason: reason.to_owned() }
    }

    /// May it be answered otherwise in a moment?
    pub(crate) fn is_passing(&self) -> bool {
        matches!(self.status, 408 | 500 | 502 | 503 | 504)
    }
}

impl Rest {
    /// # Errors
    /// [`ServiceError::Settings`] for certificates and proxies that are none.
    pub(crate) fn new(
        authorities: Option<&Authorities>,
        proxies: &Proxies,
        limits: Limits,
        surroundings: Surroundings,
    ) -> Result<Self, ServiceError> {
        let tls = transport::tls(authorities, None, true).map_err(ServiceError::Settings)?;
        let ways = Ways::new(proxies).map_err(ServiceError::Settings)?;
        Ok(Self {
            http: transport::client_through(tls, Arc::new(ways), None),
            limits,
            surroundings,
            calls: Semaphore::new(limits.calls.max(1)),
            silent: Mutex::default(),
        })
    }

    /// Any number: what makes one request another than the last.
    pub(crate) fn random(&self) -> u32 {
        self.surroundings.random()
    }

    /// Asks until there is an answer that is final, whatever its status is.
    ///
    /// # Errors
    /// [`ServiceError::Unreachable`] if none comes, [`ServiceError::Unexpected`] for one that is too long.
    pub(crate) async fn ask(&self, question: &Question<'_>) -> Result<Reply, ServiceError> {
        // Nobody closes it; if somebody did, there would be no bound, and no harm.
        let _permit = self.calls.acquire().await;
        let server = question.uri.authority().map(ToString::to_string).unwrap_or_default();
        if let Some((reason, at)) = self.silent().get(&server)
            && at.elapsed() < SILENCE_COUNTS
        {
            return Err(ServiceError::Unreachable { address: question.service.to_owned(), reason: reason.clone() });
        }
        let mut attempts = 1;
        loop {
            let retry_after = match self.attempt(question, self.limits.attempt).await {
                Ok(mut reply) => {
                    let most = match reply.status {
                        429 => self.limits.throttled_attempts,
                        _ if reply.is_passing() => self.limits.attempts,
                        _ => 0,
                    };
                    if attempts >= most {
                        reply.attempts = attempts;
                        return Ok(reply);
                    }
                    reply.retry_after
                }
                Err(Fault::Final(error)) => return Err(error),
                Err(Fault::Silent { reason, is_lasting }) => {
                    if is_lasting || attempts >= self.limits.silent_attempts {
                        self.silent().insert(server, (reason.clone(), Instant::now()));
                        return Err(ServiceError::Unreachable { address: question.service.to_owned(), reason });
                    }
                    None
                }
            };
            let (limits, fraction) = (&self.limits, self.surroundings.fraction());
            let wait = transport::wait(attempts, fraction, retry_after, limits.first_wait, limits.longest_wait);
            tokio::time::sleep(wait).await;
            attempts += 1;
        }
    }

    /// Asks once, and waits no longer than this: what most machines do not have, the service that tells a machine who it is.
    ///
    /// # Errors
    /// As [`Rest::ask`].
    pub(crate) async fn probe(&self, question: &Question<'_>, limit: Duration) -> Result<Reply, ServiceError> {
        self.attempt(question, limit).await.map_err(|fault| match fault {
            Fault::Final(error) => error,
            Fault::Silent { reason, .. } => ServiceError::Unreachable { address: question.service.to_owned(), reason },
        })
    }

    async fn attempt(&self, question: &Question<'_>, limit: Duration) -> Result<Reply, Fault> {
        match tokio::time::timeout(limit, self.send(question)).await {
            Ok(outcome) => outcome,
            Err(_) => {
                let reason = format!("no answer within {} seconds", limit.as_secs());
                Err(Fault::Silent { reason, is_lasting: false })
            }
        }
    }

    async fn send(&self, question: &Question<'_>) -> Result<Reply, Fault> {
        let request = Request::builder().method(&question.method).uri(&question.uri);
        let mut request = request.body(Full::new(question.body.clone())).map_err(|error| {
            let reason = format!("no request to {} can be made: {error}", question.service);
            Fault::Final(ServiceError::Settings(reason))
        })?;
        request.headers_mut().clone_from(&question.headers);
        let response = self.http.request(request).await.map_err(|error| Fault::Silent {
            reason: transport::chain(&error),
            is_lasting: transport::is_about_tls(&error),
        })?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let retry_after = transport::retry_after(&response);
        let unexpected = |reason: String| {
            Fault::Final(ServiceError::Unexpected { address: question.service.to_owned(), status, reason })
        };
        if matches!(status, 300..=399) && !question.takes_redirects {
            return Err(unexpected("it redirects, which no such service does".to_owned()));
        }
        let body = transport::read(response, self.limits.answer).await.map_err(|error| match error {
            ReadError::Broken(reason) => Fault::Silent { reason, is_lasting: false },
            ReadError::TooLong(limit) => unexpected(format!("the answer is longer than {limit} bytes")),
        })?;
        Ok(Reply { status, headers, body, attempts: 1, retry_after })
    }

    fn silent(&self) -> MutexGuard<'_, HashMap<String, (String, Instant)>> {
        // A panic elsewhere leaves at worst something out, which is found again.
        self.silent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why an attempt gave no answer.
enum Fault {
    /// There was none. `is_lasting`: there will be none either in a moment.
    Silent { reason: String, is_lasting: bool },
    /// Another attempt would end in the same.
    Final(ServiceError),
}

/// The header that shows a token.
///
/// # Errors
/// If it has characters that no token has: then nothing is sent.
pub(crate) fn bearer(token: &[u8]) -> Result<HeaderValue, String> {
    let mut text = Wiping::new(b"Bearer ".to_vec());
    text.append(token.trim_ascii());
    let header = HeaderValue::from_bytes(&text).ok().filter(|_| text.len() > 7);
    let mut header = header.ok_or_else(|| "it has characters that no token has".to_owned())?;
    header.set_sensitive(true);
    Ok(header)
}

/// What a service says, on one line and not too long.
pub(crate) fn shown(message: &str) -> String {
    const LONGEST: usize = 600;
    message.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(LONGEST).collect()
}

/// What a service says, and the code that it says it with, where there are such.
pub(crate) fn reason(message: &str, code: &str) -> String {
    match (message, code) {
        ("", "") => "it gave no reason".to_owned(),
        ("", code) => shown(code),
        (message, "") => shown(message),
        (message, code) => shown(&format!("{message} ({code})")),
    }
}

fn form(fields: &[(&str, &[u8])]) -> Wiping<Vec<u8>> {
    let mut body = Wiping::<Vec<u8>>::default();
    for (index, (name, text)) in fields.iter().enumerate() {
        body.append(if index == 0 { b"" } else { b"&" });
        body.append(name.as_bytes());
        body.append(b"=");
        for byte in *text {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => body.append(&[*byte]),
                byte => {
                    let digit = |half: u8| b"0123456789ABCDEF"[usize::from(half)];
                    body.append(&[b'%', digit(byte >> 4), digit(byte & 15)]);
                }
            }
        }
    }
    body
}

/// A text for the query of a URI: what is not unreserved is escaped.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => escaped.push(byte as char),
            byte => {
                let _ = write!(escaped, "%{byte:02X}");
            }
        }
    }
    escaped
}

/// A path for a URI: the same, but for its slashes.
pub(crate) fn escape_path(path: &str) -> String {
    path.split('/').map(escape).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_read_as_it_was_meant() {
        let body = form(&[("grant_type", b"refresh_token"), ("secret", "a b&c=é~".as_bytes())]);
        assert_eq!(&**body, b"grant_type=refresh_token&secret=a%20b%26c%3D%C3%A9~");
        assert_eq!(escape("https://vault.azure.net/ é"), "https%3A%2F%2Fvault.azure.net%2F%20%C3%A9");
    }

    #[test]
    fn a_token_is_a_header_or_refused_and_never_shown() {
        assert_eq!(bearer(b" abc\n").unwrap().as_bytes(), b"Bearer abc");
        assert!(!format!("{:?}", bearer(b"hunter2").unwrap()).contains("hunter2"));
        for token in [&b"a\nb"[..], b"", b" \n"] {
            assert_eq!(bearer(token).unwrap_err(), "it has characters that no token has");
        }
    }
}
