//! HTTP as all services speak it: TLS with the authorities that were given, bodies that are wiped, answers with a limit, waits.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bulla_crypto::SecretBytes;
use bulla_wipe::Wiping;
use bytes::Bytes;
use http::Response;
use http::header::RETRY_AFTER;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper_rustls::{ConfigBuilderExt as _, FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::client::WantsClientCert;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};

use crate::danger;
use crate::proxy::{Route, Ways};

/// How long connecting may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// A client that keeps its connections for the next call, and follows no redirect.
pub type Http = Client<HttpsConnector<Route>, Full<Bytes>>;

/// Certificates of authorities in PEM: only servers with a certificate of these are trusted.
#[derive(Debug, Clone)]
pub struct Authorities {
    /// The certificates.
    pub pem: Vec<u8>,
    /// Where they were found, for messages: `VAULT_CACERT`, `caBundle`.
    pub place: String,
}

/// A certificate by which a client shows who it is, and its key.
#[derive(Debug)]
pub struct Identity {
    /// The certificate and those that lead to its authority, in PEM.
    pub certificates: Vec<u8>,
    /// Its private key, in PEM.
    pub key: SecretBytes,
    /// Where they were found, for messages.
    pub place: String,
}

/// A client over connections with this TLS, and without any to addresses that have none.
pub fn client(tls: ClientConfig) -> Http {
    let route = Route::straight(connector(), tls.clone());
    over(tls, route, None)
}

/// The same, through proxies. Certificates are to hold `name` instead of the host that is asked.
pub(crate) fn client_through(tls: ClientConfig, ways: Arc<Ways>, name: Option<ServerName<'static>>) -> Http {
    let route = Route::new(connector(), tls.clone(), ways);
    over(tls, route, name)
}

fn over(tls: ClientConfig, route: Route, name: Option<ServerName<'static>>) -> Http {
    let mut builder = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
    if let Some(name) = name {
        builder = builder.with_server_name_resolver(FixedServerNameResolver::new(name));
    }
    Client::builder(TokioExecutor::new()).build(builder.enable_http1().wrap_connector(route))
}

fn connector() -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_connect_timeout(Some(CONNECT_LIMIT));
    connector
}

/// TLS: only the authorities that were given, else those of the system. `is_needed`: is the first address one with TLS?
///
/// # Errors
/// What is wrong with the certificates, by their place.
pub fn tls(
    authorities: Option<&Authorities>,
    identity: Option<&Identity>,
    is_needed: bool,
) -> Result<ClientConfig, String> {
    let builder = versions()?;
    let builder = match authorities {
        Some(authorities) => builder.with_root_certificates(roots(authorities)?),
        None => match builder.clone().with_native_roots() {
            Ok(builder) => builder,
            // They are needed only if it redirects to an address with TLS.
            Err(_) if !is_needed => builder.with_root_certificates(RootCertStore::empty()),
            Err(error) => return Err(format!("the system's certificates: {error}")),
        },
    };
    shown(builder, identity)
}

/// TLS that trusts whoever answers, see [`danger`].
///
/// # Errors
/// What is wrong with the identity, by its place.
pub(crate) fn tls_with_anybody(identity: Option<&Identity>) -> Result<ClientConfig, String> {
    shown(danger::trust_anybody(versions()?), identity)
}

fn versions() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    builder.map_err(|error| error.to_string())
}

fn shown(
    builder: ConfigBuilder<ClientConfig, WantsClientCert>,
    identity: Option<&Identity>,
) -> Result<ClientConfig, String> {
    let Some(Identity { certificates, key, place }) = identity else { return Ok(builder.with_no_client_auth()) };
    // What is said of a key may not quote it; it is said where it is, and no more.
    let key = PrivateKeyDer::from_pem_slice(key.expose_secret())
        .map_err(|_| format!("there is no private key in PEM in `{place}`"))?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificates).collect();
    let certificates = certificates.map_err(|error| format!("the certificate of `{place}`: {error}"))?;
    builder
        .with_client_auth_cert(certificates, key)
        .map_err(|error| format!("the certificate of `{place}` and its key: {error}"))
}

fn roots(authorities: &Authorities) -> Result<RootCertStore, String> {
    let Authorities { pem, place } = authorities;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| format!("the certificates of `{place}`: {error}"))?;
        roots.add(certificate).map_err(|error| format!("the certificates of `{place}`: {error}"))?;
    }
    if roots.is_empty() {
        return Err(format!("there is no certificate in what `{place}` names"));
    }
    Ok(roots)
}

/// Why a body could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadError {
    /// It has more bytes than this.
    TooLong(usize),
    /// The connection broke.
    Broken(String),
}

/// An answer's body, of at most `limit` bytes. Every part is wiped once it is copied; what the connection read it into is hyper's.
///
/// # Errors
/// [`ReadError`]
pub async fn read(response: Response<hyper::body::Incoming>, limit: usize) -> Result<Wiping<Vec<u8>>, ReadError> {
    let mut body = Limited::new(response.into_body(), limit);
    let mut bytes = Wiping::<Vec<u8>>::default();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            if error.is::<LengthLimitError>() { ReadError::TooLong(limit) } else { ReadError::Broken(chain(&*error)) }
        })?;
        if let Some(data) = frame.data_ref() {
            bytes.append(data);
        }
    }
    Ok(bytes)
}

/// A body that every attempt sends, and that is wiped with the last.
pub fn to_bytes(body: Wiping<Vec<u8>>) -> Bytes {
    struct Owner(Wiping<Vec<u8>>);
    impl AsRef<[u8]> for Owner {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    Bytes::from_owner(Owner(body))
}

/// After how long the server wants to be asked again. A date instead of seconds is not read: there is no clock here.
pub fn retry_after<B>(response: &Response<B>) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// How long to wait after this attempt, the first being 1. `fraction` is random, from 0 to 1: commands of a fleet do not come back
/// together. Each wait is up to twice as long as the last, and none longer than `longest`.
pub fn wait(attempt: u32, fraction: f64, asked_for: Option<Duration>, first: Duration, longest: Duration) -> Duration {
    let most = first.saturating_mul(1 << (attempt - 1).min(10)).min(longest);
    // At least half of it: a wait of nothing is none.
    let wait = most.mul_f64(f64::midpoint(1.0, fraction.clamp(0.0, 1.0)));
    asked_for.map_or(wait, |asked_for| asked_for.min(longest).max(wait))
}

/// An error with its causes. None of them quotes a request or an answer.
pub fn chain(error: &dyn Error) -> String {
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
pub fn is_about_tls(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<rustls::Error>() {
            return true;
        }
        // What an error of input and output holds is not its source, but has one.
        let held = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = held.map(|held| held as &(dyn Error + 'static)).or_else(|| error.source());
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_are_bounded_and_differ() {
        let second = Duration::from_secs(1);
        let (first, longest) = (second / 4, second * 10);
        for (attempt, fraction, asked_for, expected) in [
            (1, 0.0, None, first / 2),
            (1, 1.0, None, first),
            (2, 1.0, None, first * 2),
            (3, 0.0, None, first * 2),
            (40, 1.0, None, longest),
            (1, 1.0, Some(second * 2), second * 2),
            (1, 1.0, Some(second * 3600), longest),
            (4, 1.0, Some(Duration::ZERO), second * 2),
        ] {
            let wait = wait(attempt, fraction, asked_for, first, longest);
            assert_eq!(wait, expected, "{attempt} {fraction} {asked_for:?}");
        }
    }

    #[test]
    fn what_cannot_be_used_for_tls_is_named_by_its_place_and_not_shown() {
        let nothing = Authorities { pem: b"hunter2".to_vec(), place: "caBundle".to_owned() };
        assert!(tls(Some(&nothing), None, true).unwrap_err().contains("no certificate in what `caBundle`"));
        let key = SecretBytes::new(b"hunter2".to_vec());
        let identity = Identity { certificates: Vec::new(), key, place: "auth.cert".to_owned() };
        let error = tls(None, Some(&identity), false).unwrap_err();
        assert!(error.contains("`auth.cert`") && !error.contains("hunter2"), "{error}");
    }
}
