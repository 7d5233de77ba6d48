//! Secrets of a cluster: this one, in another namespace, or another one.
//!
//! ```text
//! key db ─ GET /api/v1/namespaces/REMOTE-NAMESPACE/secrets/db ─▶ data: {user: dQ==, tls.crt: …, config.json: …}
//!
//! property user          an entry                whole      the entries as a JSON object of texts
//! property tls.crt       an entry, dot and all   entries    the entries
//! property config.a.b    `a.b` in the JSON that the entry `config` holds
//! ```
//! Only this one call is made, over a connection of our own: a client of Kubernetes would keep copies of what it reads.
//!
//! Source: external-secrets 2.9.0 `providers/v1/kubernetes/client.go`, `validate.go`; Kubernetes 1.36.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bulla_crypto::{SecretBytes, encoding};
use bulla_services::Surroundings;
use bulla_services::address::Base;
use bulla_services::token::Bearer;
use bulla_services::transport::{self, Authorities, Http, Identity, ReadError};
use bulla_wipe::Wiping;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::{Method, Request};
use http_body_util::Full;

use crate::json::{Escapes, Json, Kind, Numbers, Reader, quote};
use crate::text::copy;
use crate::{Content, FetchError, LIMITS, Payload, Remote, SelectError, Store, Usable, path};

/// The longest name of an object.
const LONGEST_NAME: usize = 253;

/// How a cluster is reached.
#[derive(Debug)]
pub struct Settings {
    /// The API server's URL; `https://` may be left out.
    pub server: String,
    /// The only authorities that are trusted; `None` for those of the system.
    pub authorities: Option<Authorities>,
    /// Who we are there.
    pub login: Login,
    /// The namespace whose Secrets are read.
    pub namespace: String,
}

/// Who we are in a cluster.
#[derive(Debug)]
pub enum Login {
    /// A token.
    Bearer(Bearer),
    /// A certificate.
    Certificate(Identity),
}

/// The Secrets of one namespace as a store.
pub struct Kubernetes {
    base: Base,
    http: Http,
    bearer: Option<Bearer>,
    namespace: String,
    surroundings: Surroundings,
    shown: String,
}

/// An answer, whole.
struct Answer {
    status: u16,
    body: Wiping<Vec<u8>>,
    retry_after: Option<Duration>,
}

impl Kubernetes {
    /// The namespace that `settings` names. The cluster is not connected yet.
    ///
    /// # Errors
    /// [`FetchError::Settings`]
    pub fn new(settings: Settings, surroundings: Surroundings) -> Result<Self, FetchError> {
        let Settings { server, authorities, login, namespace } = settings;
        let refuse = |reason| FetchError::Settings { store: "Kubernetes".to_owned(), reason };
        let url = if server.contains("://") { server } else { format!("https://{server}") };
        let base: Base = url.parse().map_err(|error| refuse(format!("`server.url`: {error}")))?;
        if !is_name(&namespace) {
            return Err(refuse(format!("`{namespace}` is not the name of a namespace")));
        }
        let (bearer, identity) = match login {
            Login::Bearer(bearer) => (Some(bearer), None),
            Login::Certificate(identity) => (None, Some(identity)),
        };
        let is_encrypted = base.address().is_encrypted();
        let tls = transport::tls(authorities.as_ref(), identity.as_ref(), is_encrypted).map_err(refuse)?;
        let shown = format!("the namespace `{namespace}` of Kubernetes at {base}");
        Ok(Self { base, http: transport::client(tls), bearer, namespace, surroundings, shown })
    }

    /// Asks, with another token if the first one is not accepted.
    async fn ask(&self, method: &Method, path: &str, body: &str, about: &str) -> Result<Answer, FetchError> {
        let answer = self.ask_until_answered(method, path, body, about).await?;
        if answer.status == 401 && self.bearer.as_ref().is_some_and(Bearer::reject) {
            return self.ask_until_answered(method, path, body, about).await;
        }
        Ok(answer)
    }

    async fn ask_until_answered(
        &self,
        method: &Method,
        path: &str,
        body: &str,
        about: &str,
    ) -> Result<Answer, FetchError> {
        let store = || self.shown.clone();
        let authorization = self.authorization(about).await?;
        let mut attempt = 1;
        loop {
            let outcome = self.attempt(method, path, body, authorization.as_ref(), about);
            let silence = match tokio::time::timeout(LIMITS.attempt, outcome).await {
                Ok(Ok(answer)) if !matches!(answer.status, 500 | 502..=504) || attempt == LIMITS.attempts => {
                    return Ok(answer);
                }
                Ok(Ok(_)) => None,
                Ok(Err(Fault::Final(error))) => return Err(error),
                Ok(Err(Fault::Silent(reason))) => Some(reason),
                Err(_) => Some(format!("no answer within {} seconds", LIMITS.attempt.as_secs())),
            };
            if let Some(reason) = silence
                && attempt >= LIMITS.silent_attempts
            {
                return Err(FetchError::Unreachable { store: store(), reason });
            }
            let fraction = self.surroundings.fraction();
            tokio::time::sleep(transport::wait(attempt, fraction, None, LIMITS.first_wait, LIMITS.longest_wait)).await;
            attempt += 1;
        }
    }

    async fn authorization(&self, about: &str) -> Result<Option<HeaderValue>, FetchError> {
        let Some(bearer) = &self.bearer else { return Ok(None) };
        let token = bearer.token().await;
        let token = token.map_err(|error| FetchError::of_service(error, self.shown.clone(), &about))?;
        let mut text = Wiping::<Vec<u8>>::default();
        text.append(b"Bearer ");
        text.append(token.expose_secret().trim_ascii());
        let mut header = HeaderValue::from_bytes(&text)
            .map_err(|_| self.rejected("it has characters that no token has".to_owned()))?;
        header.set_sensitive(true);
        Ok(Some(header))
    }

    async fn attempt(
        &self,
        method: &Method,
        path: &str,
        body: &str,
        authorization: Option<&HeaderValue>,
        about: &str,
    ) -> Result<Answer, Fault> {
        let unusable = |error: http::Error| {
            Fault::Final(FetchError::Settings { store: self.shown.clone(), reason: error.to_string() })
        };
        let uri = self.base.join(path).map_err(unusable)?;
        let mut request = Request::builder().method(method).uri(uri).header(ACCEPT, "application/json");
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let request = request.body(Full::new(body.to_owned().into())).map_err(unusable)?;
        let response = self.http.request(request).await.map_err(|error| {
            let reason = transport::chain(&error);
            if transport::is_about_tls(&error) {
                Fault::Final(FetchError::Unreachable { store: self.shown.clone(), reason })
            } else {
                Fault::Silent(reason)
            }
        })?;
        let (status, retry_after) = (response.status().as_u16(), transport::retry_after(&response));
        let body = transport::read(response, LIMITS.answer).await.map_err(|error| match error {
            ReadError::Broken(reason) => Fault::Silent(reason),
            ReadError::TooLong(limit) => {
                Fault::Final(self.malformed(about, &format!("the answer is longer than {limit} bytes")))
            }
        })?;
        Ok(Answer { status, body, retry_after })
    }

    /// What an answer means that is no success.
    fn refusal(&self, answer: &Answer, action: &str, about: &str, name: Option<&str>) -> FetchError {
        let store = self.shown.clone();
        let said = said(&answer.body);
        match answer.status {
            401 => self.rejected(said.unwrap_or_else(|| "it gave no reason".to_owned())),
            403 => self.forbidden(said.as_deref(), action, name),
            404 if said.is_some() => FetchError::NotFound {
                store,
                key: about.to_owned(),
                advice: "see the name, and `remoteNamespace` of the store".to_owned(),
            },
            429 => FetchError::Throttled { store, retry_after: answer.retry_after },
            status if status >= 500 => {
                let reason = said.unwrap_or_else(|| "it gave no reason".to_owned());
                FetchError::Unavailable { store, reason: format!("status {status}: {reason}") }
            }
            status => {
                let reason = said.unwrap_or_else(|| "is this the address of an API server?".to_owned());
                self.malformed(about, &format!("status {status}: {reason}"))
            }
        }
    }

    fn rejected(&self, reason: String) -> FetchError {
        let principal = match &self.bearer {
            Some(Bearer::Source(source)) => format!("the service account `{}`", source.service_account()),
            Some(Bearer::Fixed(_)) => "its token".to_owned(),
            None => "its certificate".to_owned(),
        };
        FetchError::Rejected { store: self.shown.clone(), principal, reason }
    }

    /// The API server says who may not: `User "system:serviceaccount:shop:reader" cannot get resource "secrets"`.
    fn forbidden(&self, said: Option<&str>, action: &str, name: Option<&str>) -> FetchError {
        let user = said.and_then(|said| said.split_once("User \"")?.1.split_once('"')).map(|(user, _)| user);
        let names = name.map_or_else(String::new, |name| format!(", resourceNames: [{name}]"));
        FetchError::Forbidden {
            store: self.shown.clone(),
            principal: user.map_or_else(|| "whoever its credentials are of".to_owned(), |user| format!("`{user}`")),
            action: action.to_owned(),
            resource: match name {
                Some(name) => format!("the Secret `{}/{name}`", self.namespace),
                None => format!("Secrets of `{}`", self.namespace),
            },
            grant: format!(
                "a Role in `{}` with `{{apiGroups: [\"\"], resources: [secrets]{names}, verbs: [{action}]}}`, bound to them",
                self.namespace
            ),
        }
    }

    fn malformed(&self, about: &str, reason: &str) -> FetchError {
        FetchError::Malformed { store: self.shown.clone(), key: about.to_owned(), reason: reason.to_owned() }
    }
}

/// Why an attempt gave no answer.
enum Fault {
    /// There was none.
    Silent(String),
    /// Another attempt would end in the same.
    Final(FetchError),
}

#[async_trait]
impl Store for Kubernetes {
    /// There are no versions: that of `remote` is not looked at, as External Secrets does not.
    async fn fetch(&self, remote: &Remote) -> Result<Payload, FetchError> {
        let about = format!("`{}`", remote.key);
        if !is_name(&remote.key) {
            let reason = "it is not the name of a Secret".to_owned();
            return Err(FetchError::Key { store: self.shown.clone(), key: about, reason });
        }
        let path = format!("/api/v1/namespaces/{}/secrets/{}", self.namespace, remote.key);
        let answer = self.ask(&Method::GET, &path, "", &about).await?;
        if answer.status != 200 {
            return Err(self.refusal(&answer, "get", &about, Some(&remote.key)));
        }
        let malformed = |reason: &str| self.malformed(&about, reason);
        let json = Json::read(&answer.body).map_err(|_| malformed("it is not JSON, or nested too deep"))?;
        if json.member("kind").is_none_or(|kind| **kind.text(Reader::Go) != *b"Secret") {
            return Err(malformed("it is not a Secret"));
        }
        let mut entries = BTreeMap::new();
        if let Some(data) = json.member("data") {
            for (name, value) in data.sorted() {
                let value =
                    encoding::decode_go(&value.text(Reader::Go)).map_err(|_| malformed("an entry is not base64"))?;
                entries.insert(String::from_utf8_lossy(&name).into_owned(), SecretBytes::new(value));
            }
        }
        Ok(Payload::new(Entries(entries)))
    }

    /// Asks what we may do in the namespace: `get` on Secrets, be it only on some of them.
    async fn check(&self) -> Result<Usable, FetchError> {
        let about = "what we may do there";
        let body = serde_json::json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectRulesReview",
            "spec": {"namespace": self.namespace},
        });
        let path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
        let answer = self.ask(&Method::POST, path, &body.to_string(), about).await?;
        match answer.status {
            200 | 201 => {}
            // Whoever may not ask may well be allowed to read.
            403 | 404 => return Ok(Usable::Unknown),
            _ => return Err(self.refusal(&answer, "create", about, None)),
        }
        let status = Json::read(&answer.body).ok().and_then(|json| json.member("status"));
        let status = status.ok_or_else(|| self.malformed(about, "it is not JSON, or has no `status`"))?;
        let has = |rule: Json<'_>, field: &str, word: &[u8]| {
            let mut words = rule.member(field).into_iter().flat_map(Json::elements).map(|word| word.text(Reader::Go));
            words.any(|found| **found == *word || **found == *b"*")
        };
        let mut rules = status.member("resourceRules").into_iter().flat_map(Json::elements);
        if rules
            .any(|rule| has(rule, "verbs", b"get") && has(rule, "resources", b"secrets") && has(rule, "apiGroups", b""))
        {
            return Ok(Usable::Yes);
        }
        if status.member("incomplete").is_some_and(|json| json.kind() == Kind::True) {
            return Ok(Usable::Unknown);
        }
        Err(self.forbidden(None, "get", None))
    }
}

impl fmt::Debug for Kubernetes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kubernetes").field("store", &self.shown).field("bearer", &self.bearer).finish_non_exhaustive()
    }
}

/// What a `Status` of the API says. Not secret: it names objects and users.
fn said(body: &[u8]) -> Option<String> {
    const LONGEST: usize = 300;
    let json = Json::read(body).ok()?;
    let message = json.member("message")?.text(Reader::Go);
    if **json.member("kind")?.text(Reader::Go) != *b"Status" {
        return None;
    }
    let message = String::from_utf8_lossy(&message);
    Some(message.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(LONGEST).collect())
}

/// Can it be the name of an object, and so be part of a path?
fn is_name(name: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends = [name.bytes().next(), name.bytes().next_back()];
    name.len() <= LONGEST_NAME
        && ends.into_iter().all(|end| end.is_some_and(is_letter))
        && name.bytes().all(|byte| is_letter(byte) || matches!(byte, b'-' | b'.'))
}

/// The entries of a Secret.
struct Entries(BTreeMap<String, SecretBytes>);

impl Content for Entries {
    fn whole(&self) -> Result<SecretBytes, SelectError> {
        let mut out = Wiping::<Vec<u8>>::default();
        for (index, (name, value)) in self.0.iter().enumerate() {
            out.append(if index == 0 { b"{" } else { b"," });
            quote(name.as_bytes(), Escapes::Plain, &mut out);
            out.append(b":");
            quote(value.expose_secret(), Escapes::Plain, &mut out);
        }
        out.append(if self.0.is_empty() { b"{}" } else { b"}" });
        Ok(out.into())
    }

    fn property(&self, property: &str) -> Result<SecretBytes, SelectError> {
        if let Some(value) = self.0.get(property) {
            return Ok(copy(value.expose_secret()));
        }
        let missing = || SelectError::NoProperty(property.to_owned());
        let (entry, path) = property
            .split_once('.')
            .filter(|(entry, path)| !entry.is_empty() && !path.is_empty())
            .ok_or_else(missing)?;
        let value = self.0.get(entry).ok_or_else(missing)?;
        let json = Json::read(value.expose_secret());
        let json = json.map_err(|error| SelectError::of_json(error, &format!("the entry `{entry}`")))?;
        Ok(path::find(json, path)?.ok_or_else(missing)?.text().into())
    }

    /// With a property: the members of the JSON object that an entry holds, each as JSON; strings keep their quotes.
    fn entries(&self, property: Option<&str>) -> Result<BTreeMap<String, SecretBytes>, SelectError> {
        let Some(property) = property else {
            return Ok(self.0.iter().map(|(name, value)| (name.clone(), copy(value.expose_secret()))).collect());
        };
        let entry = self.entry(property)?.ok_or_else(|| SelectError::NoProperty(property.to_owned()))?;
        let of = format!("the entry of `{property}`");
        let refuse = |error| SelectError::of_json(error, &of);
        let json = Json::read(entry.expose_secret()).map_err(refuse)?;
        if !matches!(json.kind(), Kind::Object | Kind::Null) {
            return Err(SelectError::NoObject { of });
        }
        let entry = |(name, value): (Wiping<Vec<u8>>, Json<'_>)| {
            let mut out = Wiping::default();
            value.write(Numbers::Float, Escapes::Plain, &mut out).map_err(refuse)?;
            Ok((String::from_utf8_lossy(&name).into_owned(), out.into()))
        };
        json.sorted().into_iter().map(entry).collect()
    }
}

impl Entries {
    /// The entry that a path leads to: with its dots as part of the name, else as a path, of which only patterns can lead somewhere.
    fn entry(&self, property: &str) -> Result<Option<&SecretBytes>, SelectError> {
        // GJSON looks for it among names; what they hold is text to it, into which no path leads. So their places stand for them.
        let mut names = Wiping::<Vec<u8>>::default();
        names.append(b"{");
        for (index, name) in self.0.keys().enumerate() {
            if index > 0 {
                names.append(b",");
            }
            quote(name.as_bytes(), Escapes::Plain, &mut names);
            names.append(format!(":{index}").as_bytes());
        }
        names.append(b"}");
        let json = Json::read(&names).map_err(|error| SelectError::of_json(error, "the secret"))?;
        let mut found = None;
        if property.contains('.') {
            found = path::find(json, &property.replace('.', "\\."))?;
        }
        if found.is_none() {
            found = path::find(json, property)?;
        }
        let place = found.and_then(|found| str::from_utf8(&found.text()).ok()?.parse::<usize>().ok());
        Ok(place.and_then(|place| self.0.values().nth(place)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries() -> Entries {
        let entries = [
            ("config.json", &br#"{"a": {"b": 1.50}, "s": "<x>", "n": null}"#[..]),
            ("config", br#"{"json": {"a": "other"}, "list": [1, "two"]}"#),
            ("user", b"<u>"),
            ("bytes", b"\xff\x00"),
        ];
        Entries(entries.into_iter().map(|(name, value)| (name.to_owned(), copy(value))).collect())
    }

    fn shown(secret: &SecretBytes) -> &str {
        str::from_utf8(secret.expose_secret()).unwrap()
    }

    #[test]
    fn what_is_selected_is_what_external_secrets_gives() {
        let secret = entries();
        let whole = r#"{"bytes":"\ufffd\u0000","config":"{\"json\": {\"a\": \"other\"}, \"list\": [1, \"two\"]}","config.json":"{\"a\": {\"b\": 1.50}, \"s\": \"<x>\", \"n\": null}","user":"<u>"}"#;
        assert_eq!(shown(&secret.whole().unwrap()), whole);
        for (property, expected) in [
            ("user", "<u>"),
            ("config.json", r#"{"a": {"b": 1.50}, "s": "<x>", "n": null}"#),
            ("config.json.a", "other"),
            ("config.list.1", "two"),
        ] {
            assert_eq!(shown(&secret.property(property).unwrap()), expected, "{property}");
        }
        for property in ["nothing", "user.", ".user", "config.nothing", "nothing.a"] {
            assert_eq!(secret.property(property).unwrap_err(), SelectError::NoProperty(property.to_owned()));
        }
        let error = secret.property("user.a").unwrap_err();
        assert_eq!(error.to_string(), "the entry `user` is not JSON, at byte 0; only JSON has properties and entries");
        assert_eq!(secret.entries(None).unwrap().len(), 4);
        for property in ["config.json", r"config\.json", "*.json", "config?json"] {
            let entries = secret.entries(Some(property)).unwrap();
            let entries: Vec<_> = entries.iter().map(|(name, value)| (name.as_str(), shown(value))).collect();
            assert_eq!(entries, [("a", r#"{"b":1.5}"#), ("n", "null"), ("s", r#""<x>""#)], "{property}");
        }
        assert!(matches!(secret.entries(Some("user")), Err(SelectError::NotJson { .. })));
        assert!(matches!(secret.entries(Some("nothing")), Err(SelectError::NoProperty(_))));
        assert_eq!(shown(&Entries(BTreeMap::new()).whole().unwrap()), "{}");
    }

    #[test]
    fn a_key_cannot_lead_to_another_object() {
        for (name, expected) in [
            ("db", true),
            ("a.b-1", true),
            ("1", true),
            ("", false),
            ("../configmaps/a", false),
            ("..", false),
            ("a/b", false),
            ("a?b", false),
            ("A", false),
            ("-a", false),
            (&"a".repeat(254), false),
        ] {
            assert_eq!(is_name(name), expected, "{name}");
        }
    }
}
