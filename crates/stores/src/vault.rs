//! KV secrets of HashiCorp Vault and OpenBao.
//!
//! ```text
//! key            mount `secret`, KV 2          no mount, KV 2          KV 1
//! app/db         secret/data/app/db            app/data/db             secret/app/db, app/db
//! secret/app/db  secret/data/app/db            secret/data/app/db      secret/app/db
//! version 3      …?version=3                                           (has none)
//! ```
//! A secret is an object. As a whole it is that object as Go writes it; a property is first a name, then a path in that text; entries are
//! what Go reads as `float64` and text, so whole numbers above 2^53 lose their last digits there, as they do in External Secrets.
//!
//! A version that was deleted is not there. An engine that is not there is a fault of the store, not a missing secret: nobody's Secret
//! is deleted since a mount was mistyped.
//!
//! Source: external-secrets 2.9.0 `providers/v1/vault/client_get.go`; Vault 1.21 `builtin/logical/kv`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bulla_crypto::SecretBytes;
use bulla_services::vault::{Answer, Base, Call, Client, Settings};
use bulla_services::{ServiceError, Surroundings};
use bulla_wipe::Wiping;

use crate::json::{Escapes, Json, Kind, Numbers, Reader, decimal};
use crate::text::copy;
use crate::{Content, FetchError, Payload, Remote, SelectError, Store, Usable, path};

pub use bulla_services::vault as client;

/// The version of the KV engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Version {
    /// One value a key.
    One,
    /// Versions of each.
    #[default]
    Two,
}

/// Which engine of a server.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Engine {
    /// Where it is mounted; `None` where keys begin with that.
    pub mount: Option<String>,
    /// Its version.
    pub version: Version,
}

/// A KV engine as a store.
pub struct Vault {
    client: Client,
    engine: Engine,
    shown: String,
}

impl Vault {
    /// The engine of the server at `server`, a URL. It is not connected yet. [`crate::LIMITS`] are those to put in `settings`.
    ///
    /// # Errors
    /// [`FetchError::Settings`]
    pub fn new(
        server: &str,
        engine: Engine,
        settings: Settings,
        surroundings: Surroundings,
    ) -> Result<Self, FetchError> {
        let base: Base = server.parse().map_err(|error| FetchError::Settings {
            store: "Vault".to_owned(),
            reason: format!("`server`: {error}"),
        })?;
        let shown = format!("Vault at {base}");
        let refuse = |error: ServiceError| FetchError::of_service(error, shown.clone(), &"");
        let client = Client::new(base, Arc::new(settings), surroundings).map_err(refuse)?;
        Ok(Self { client, engine, shown })
    }

    fn not_found(&self, remote: &Remote, advice: String) -> FetchError {
        FetchError::NotFound { store: self.shown.clone(), key: remote.to_string(), advice }
    }

    fn no_key(&self, remote: &Remote, reason: String) -> FetchError {
        FetchError::Key { store: self.shown.clone(), key: remote.to_string(), reason }
    }

    fn malformed(&self, remote: &Remote, reason: &str) -> FetchError {
        FetchError::Malformed { store: self.shown.clone(), key: remote.to_string(), reason: reason.to_owned() }
    }

    /// The object of a secret, from an answer with status 200.
    fn payload(&self, remote: &Remote, answer: &Answer) -> Result<Payload, FetchError> {
        let json =
            Json::read(&answer.body).map_err(|_| self.malformed(remote, "it is not JSON, or nested too deep"))?;
        let data = json.member("data").ok_or_else(|| self.malformed(remote, "it has no `data`"))?;
        let secret = match self.engine.version {
            Version::One => data,
            Version::Two => data.member("data").ok_or_else(|| {
                self.malformed(remote, "its `data` has no `data`, as KV 2 has; is this engine KV 1, or no KV at all?")
            })?,
        };
        match secret.kind() {
            Kind::Object => {
                let mut text = Wiping::default();
                // Numbers stay as they are spelt, so there is none that could be too large.
                secret
                    .write(Numbers::Spelt, Escapes::Html, &mut text)
                    .map_err(|_| self.malformed(remote, "a number"))?;
                Ok(Payload::new(Object(text)))
            }
            Kind::Null => Err(self.not_found(remote, "what was there is deleted".to_owned())),
            _ => Err(self.malformed(remote, "the secret is not an object")),
        }
    }

    /// What status 404 means: no such engine, the wrong version of the engine, no such secret, no such version, a deleted one.
    fn missing(&self, remote: &Remote, path: &str, answer: &Answer) -> FetchError {
        let unfit = |reason: String| FetchError::Settings { store: self.shown.clone(), reason };
        if answer.said().contains("no handler for route") {
            let reason = format!("there is no engine for `{path}`");
            return match &self.engine.mount {
                Some(_) => unfit(format!("{reason}; see `path` of the store and `vault secrets list`")),
                None => self.no_key(remote, format!("{reason}; the store has no `path`, so the key begins with that")),
            };
        }
        let json = Json::read(&answer.body).ok();
        let warns = json.and_then(|json| json.member("warnings"));
        let warnings = warns.into_iter().flat_map(Json::elements).map(|warning| warning.text(Reader::Go));
        if warnings.into_iter().any(|warning| warning.starts_with(b"Invalid path for a versioned K/V")) {
            return unfit(format!("`{path}` is of a KV 2 engine, and the store says `version: v1`"));
        }
        let metadata = json.and_then(|json| json.member("data")?.member("metadata"));
        let Some(metadata) = metadata else {
            return self.not_found(remote, format!("`vault kv get` would read it at `{path}`"));
        };
        if metadata.member("destroyed").is_some_and(|json| json.kind() == Kind::True) {
            return self.not_found(remote, "this version was destroyed; name another one".to_owned());
        }
        self.not_found(remote, "this version was deleted; `vault kv undelete` brings it back".to_owned())
    }
}

impl Engine {
    /// What is asked for `key`: the path below `/v1/`.
    fn path(&self, key: &str) -> Result<String, String> {
        let key = clean(key).ok_or("it cannot be part of a path of Vault")?;
        let is_second = self.version == Version::Two;
        let Some(mount) = &self.mount else {
            return match key.split_once('/') {
                _ if !is_second || key.contains("/data/") => Ok(key),
                Some((mount, rest)) => Ok(format!("{mount}/data/{rest}")),
                None => Ok(format!("{key}/data")),
            };
        };
        let mount = clean(mount).ok_or_else(|| format!("`{mount}` cannot be where an engine is mounted"))?;
        let below = key.strip_prefix(&mount).and_then(|rest| rest.strip_prefix('/'));
        Ok(match (below, is_second) {
            (Some(below), true) => format!("{mount}/data/{}", below.strip_prefix("data/").unwrap_or(below)),
            (None, true) => format!("{mount}/data/{key}"),
            (Some(below), false) => format!("{mount}/{below}"),
            (None, false) => format!("{mount}/{key}"),
        })
    }
}

/// The path without slashes that mean nothing; `None` if it would lead elsewhere.
fn clean(path: &str) -> Option<String> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let bad =
        parts.is_empty() || parts.iter().any(|part| matches!(*part, "." | "..") || part.chars().any(char::is_control));
    (!bad).then(|| parts.join("/"))
}

#[async_trait]
impl Store for Vault {
    async fn fetch(&self, remote: &Remote) -> Result<Payload, FetchError> {
        let path = self.engine.path(&remote.key).map_err(|reason| self.no_key(remote, reason))?;
        let mut call = Call::read(&path);
        if let Some(version) = &remote.version {
            call = call.with("version", version);
        }
        let answer = self.client.send(call).await;
        let answer = answer.map_err(|error| FetchError::of_service(error, self.shown.clone(), remote))?;
        match answer.status {
            200 => self.payload(remote, &answer),
            404 => Err(self.missing(remote, &path, &answer)),
            400 if remote.version.is_some() => {
                Err(self.no_key(remote, format!("a version of KV 2 is a number: {}", answer.said())))
            }
            _ => Err(FetchError::of_service(answer.refusal(), self.shown.clone(), remote)),
        }
    }

    async fn check(&self) -> Result<Usable, FetchError> {
        let refuse = |error| FetchError::of_service(error, self.shown.clone(), &"its own token");
        let answer = self.client.send(Call::read("auth/token/lookup-self")).await.map_err(refuse)?;
        match (answer.status, answer.refusal()) {
            (200, _) => Ok(Usable::Yes),
            // Whoever may not ask about itself may well be allowed what it is here for.
            (403, ServiceError::Denied { .. }) => Ok(Usable::Unknown),
            (_, error) => Err(refuse(error)),
        }
    }

    async fn close(&self) {
        // Vault ends the token anyway, at its time.
        let _ = self.client.revoke().await;
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault").field("client", &self.client).field("engine", &self.engine).finish_non_exhaustive()
    }
}

/// A secret, as Go writes it.
struct Object(Wiping<Vec<u8>>);

impl Object {
    fn json(&self) -> Result<Json<'_>, SelectError> {
        Json::read(&self.0).map_err(|error| SelectError::of_json(error, "the secret"))
    }
}

impl Content for Object {
    fn whole(&self) -> Result<SecretBytes, SelectError> {
        Ok(copy(&self.0))
    }

    fn property(&self, path: &str) -> Result<SecretBytes, SelectError> {
        let json = self.json()?;
        if let Some(value) = json.member(path) {
            return Ok(match value.kind() {
                Kind::Null => SecretBytes::default(),
                Kind::Text => value.text(Reader::Go).into(),
                _ => copy(value.raw()),
            });
        }
        let found = path::find(json, path)?.ok_or_else(|| SelectError::NoProperty(path.to_owned()))?;
        Ok(found.text().into())
    }

    fn entries(&self, property: Option<&str>) -> Result<BTreeMap<String, SecretBytes>, SelectError> {
        let (text, of) = match property {
            None => (self.whole()?, "the secret".to_owned()),
            Some(property) => (self.property(property)?, format!("the property `{property}`")),
        };
        let refuse = |error| SelectError::of_json(error, &of);
        let json = Json::read(text.expose_secret()).map_err(refuse)?;
        if !matches!(json.kind(), Kind::Object | Kind::Null) {
            return Err(SelectError::NoObject { of });
        }
        let entry = |(name, value): (Wiping<Vec<u8>>, Json<'_>)| {
            let value = match value.kind() {
                Kind::Null => Wiping::default(),
                Kind::Text => value.text(Reader::Go),
                Kind::True | Kind::False => Wiping::new(value.raw().to_vec()),
                Kind::Number if value.number().is_infinite() => return Err(SelectError::Number { of: of.clone() }),
                Kind::Number => Wiping::new(decimal(value.number()).into_bytes()),
                Kind::Array | Kind::Object => {
                    let mut out = Wiping::default();
                    value.write(Numbers::Float, Escapes::Html, &mut out).map_err(refuse)?;
                    out
                }
            };
            Ok((String::from_utf8_lossy(&name).into_owned(), value.into()))
        };
        json.sorted().into_iter().map(entry).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_becomes_the_path_that_external_secrets_asks_for() {
        use Version::{One, Two};
        for (mount, version, key, path) in [
            (Some("secret"), Two, "foo", "secret/data/foo"),
            (Some("secret"), Two, "foo/bar", "secret/data/foo/bar"),
            (Some("secret/path"), Two, "secret/path/foo", "secret/path/data/foo"),
            (Some("secret/path"), Two, "secret/path/data/foo", "secret/path/data/foo"),
            (Some("secret/path"), Two, "secret/foo", "secret/path/data/secret/foo"),
            (Some("secret"), Two, "secret", "secret/data/secret"),
            (Some("secret"), Two, "secrets/foo", "secret/data/secrets/foo"),
            (Some("/secret/"), Two, "/foo//bar/", "secret/data/foo/bar"),
            (Some("secret"), One, "foo", "secret/foo"),
            (Some("secret"), One, "secret/foo", "secret/foo"),
            (Some("secret"), One, "secret/data/foo", "secret/data/foo"),
            (None, Two, "secret/path/foo", "secret/data/path/foo"),
            (None, Two, "secret/path/data/foo", "secret/path/data/foo"),
            (None, Two, "secret", "secret/data"),
            (None, One, "secret/path/foo", "secret/path/foo"),
        ] {
            let engine = Engine { mount: mount.map(str::to_owned), version };
            assert_eq!(engine.path(key).as_deref(), Ok(path), "{mount:?} {version:?} {key}");
        }
        let engine = Engine { mount: Some("secret".to_owned()), version: Two };
        for key in ["../sys/raw", "a/./b", "", "/", "a\nb"] {
            assert!(engine.path(key).is_err(), "{key:?}");
        }
        let engine = Engine { mount: Some("..".to_owned()), version: Two };
        assert!(engine.path("foo").unwrap_err().contains("where an engine is mounted"));
    }

    #[test]
    fn what_is_selected_is_what_external_secrets_gives() {
        let mut text = Wiping::default();
        let secret = br#"{"z": "<a>", "a.b": "dotted", "n": 12345678901234567890, "f": 1.50, "none": null, "yes": true,
            "deep": {"y": [1.0, "&"], "x": 9007199254740993}, "json": "{\"k\": 7}"}"#;
        Json::read(secret).unwrap().write(Numbers::Spelt, Escapes::Html, &mut text).unwrap();
        let secret = Object(text);
        let shown = |secret: SecretBytes| String::from_utf8(secret.expose_secret().to_vec()).unwrap();
        let whole = r#"{"a.b":"dotted","deep":{"x":9007199254740993,"y":[1.0,"\u0026"]},"f":1.50,"json":"{\"k\": 7}","n":12345678901234567890,"none":null,"yes":true,"z":"\u003ca\u003e"}"#;
        assert_eq!(shown(secret.whole().unwrap()), whole);
        for (property, expected) in [
            ("z", "<a>"),
            ("a.b", "dotted"),
            ("n", "12345678901234567890"),
            ("f", "1.50"),
            ("none", ""),
            ("yes", "true"),
            ("deep", r#"{"x":9007199254740993,"y":[1.0,"\u0026"]}"#),
            ("deep.y.1", "&"),
            ("deep.y.0", "1"),
            ("dee*.x", "9007199254740993"),
        ] {
            assert_eq!(shown(secret.property(property).unwrap()), expected, "{property}");
        }
        assert_eq!(secret.property("a.c").unwrap_err(), SelectError::NoProperty("a.c".to_owned()));
        let entries = |property| {
            let entries = secret.entries(property).unwrap();
            entries.into_iter().map(|(name, value)| (name, shown(value))).collect::<Vec<_>>()
        };
        let expected = [
            ("a.b", "dotted"),
            ("deep", r#"{"x":9007199254740992,"y":[1,"\u0026"]}"#),
            ("f", "1.5"),
            ("json", r#"{"k": 7}"#),
            ("n", "12345678901234567000"),
            ("none", ""),
            ("yes", "true"),
            ("z", "<a>"),
        ];
        assert_eq!(entries(None), expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(entries(Some("json")), [("k".to_owned(), "7".to_owned())]);
        assert!(matches!(secret.entries(Some("z")), Err(SelectError::NotJson { .. })));
        assert!(matches!(secret.entries(Some("none")), Err(SelectError::NotJson { .. })));
        assert!(matches!(secret.entries(Some("yes")), Err(SelectError::NoObject { .. })));
    }
}
