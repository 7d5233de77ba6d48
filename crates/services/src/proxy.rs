//! The way to a server: straight, or through a proxy that a company has between itself and the clouds. As Go goes it, and so sops.
//!
//! ```text
//! https://kms.example.com ─ HTTPS_PROXY, unless NO_PROXY names the host ─ CONNECT or SOCKS ─▶ proxy ─▶ TLS with the server itself
//! http://vault.internal ─── HTTP_PROXY, likewise ─ the request itself, or SOCKS ────────────▶ proxy ─▶ server
//! loopback ─────────────────────────────────────────────────────────────────────────────────▶ straight
//! ```
//! The proxy sees which host is asked, and no more: TLS is with the server. What is not encrypted is seen by it; only Vault's client
//! sends such a thing to another machine, and only if it is told so ([`Proxies::http`], [`Proxies::all`]).
//!
//! Source: golang.org/x/net 0.57 `http/httpproxy`; Go's `net/http` `transport.go`.

mod except;
mod stream;

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{HeaderValue, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use rustls::ClientConfig;
use tower_service::Service;

use except::Except;
pub use stream::Stream;

/// Where a SOCKS proxy listens if nothing is said.
const SOCKS_PORT: u16 = 1080;

/// Which proxies are used, in the words of the environment.
#[derive(Clone, Default)]
pub struct Proxies {
    /// `HTTPS_PROXY`, for what is encrypted: `http://proxy.example.com:3128`, `https://…` or `socks5://…`, with a name and a password
    /// where it asks for them.
    pub https: Option<String>,
    /// `HTTP_PROXY`, for what is not.
    pub http: Option<String>,
    /// `NO_PROXY`: hosts, domains and networks that are reached straight, separated by commas.
    pub except: Option<String>,
    /// One for everything instead, whatever the others say, and the variable that names it: `VAULT_PROXY_ADDR`.
    pub all: Option<(&'static str, String)>,
}

/// A proxy, and how it is asked.
#[derive(Debug, Clone)]
struct Proxy {
    intercept: Intercept,
    /// Its address, as connections are made to it.
    uri: Uri,
    is_socks: bool,
}

/// Which way goes where.
#[derive(Debug, Default)]
pub(crate) struct Ways {
    https: Option<Proxy>,
    http: Option<Proxy>,
    except: Except,
    all: Option<Proxy>,
}

/// Makes connections. What it is given is the address of the server.
#[derive(Debug, Clone)]
pub struct Route {
    straight: HttpConnector,
    /// To proxies, which may want TLS themselves.
    to_proxy: HttpsConnector<HttpConnector>,
    ways: Arc<Ways>,
}

impl Ways {
    /// # Errors
    /// What is wrong with a proxy; its password is not shown.
    pub(crate) fn new(proxies: &Proxies) -> Result<Self, String> {
        let read = |variable: &str, proxy: &Option<String>| match proxy {
            Some(proxy) => Proxy::read(variable, proxy),
            None => Ok(None),
        };
        Ok(Self {
            https: read("HTTPS_PROXY", &proxies.https)?,
            http: read("HTTP_PROXY", &proxies.http)?,
            except: Except::read(proxies.except.as_deref().unwrap_or_default()),
            all: match &proxies.all {
                Some((variable, proxy)) => Proxy::read(variable, proxy)?,
                None => None,
            },
        })
    }

    /// The proxy on the way to `uri`.
    fn to(&self, uri: &Uri) -> Option<&Proxy> {
        let is_encrypted = uri.scheme_str() == Some("https");
        if let Some(all) = &self.all {
            return Some(all);
        }
        let proxy = if is_encrypted { &self.https } else { &self.http };
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let port = uri.port_u16().unwrap_or(if is_encrypted { 443 } else { 80 });
        proxy.as_ref().filter(|_| !is_here(host) && !self.except.names(host, port))
    }

    /// What a request to `uri` shows the proxy that reads it: one that is tunnelled through shows it before.
    pub(crate) fn authorization(&self, uri: &Uri) -> Option<&HeaderValue> {
        let proxy = self.to(uri).filter(|proxy| proxy.reads(uri))?;
        proxy.intercept.basic_auth()
    }
}

impl Proxy {
    /// `None` for a variable of nothing but blanks.
    fn read(variable: &str, text: &str) -> Result<Option<Self>, String> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(None);
        }
        let with_scheme = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let uri: Uri = with_scheme.parse().map_err(|_| format!("`{variable}` is no URL"))?;
        let is_socks = match uri.scheme_str() {
            Some("http" | "https") => false,
            Some("socks5" | "socks5h") => true,
            _ => {
                return Err(format!(
                    "`{variable}`: only proxies that are asked over `http://`, `https://` or `socks5://` can be used"
                ));
            }
        };
        if uri.host().is_none_or(str::is_empty) {
            return Err(format!("`{variable}` names no host"));
        }
        let intercept = Matcher::builder().all(with_scheme).build().intercept(&Uri::from_static("https://any"));
        let intercept = intercept.ok_or_else(|| format!("`{variable}` is no URL"))?;
        let mut uri = intercept.uri().clone();
        if is_socks {
            let host = uri.host().unwrap_or_default();
            let authority = format!("{host}:{}", uri.port_u16().unwrap_or(SOCKS_PORT));
            uri = Uri::builder()
                .scheme("http")
                .authority(authority)
                .path_and_query("/")
                .build()
                .map_err(|_| format!("`{variable}` is no URL"))?;
        }
        Ok(Some(Self { intercept, uri, is_socks }))
    }

    /// Is it sent the request itself, instead of what goes through it unread?
    fn reads(&self, uri: &Uri) -> bool {
        !self.is_socks && uri.scheme_str() == Some("http")
    }
}

impl Route {
    /// Without any proxy.
    pub(crate) fn straight(straight: HttpConnector, tls: ClientConfig) -> Self {
        Self::new(straight, tls, Arc::default())
    }

    /// With this TLS to proxies that want it.
    pub(crate) fn new(straight: HttpConnector, tls: ClientConfig, ways: Arc<Ways>) -> Self {
        let builder = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1();
        Self { to_proxy: builder.wrap_connector(straight.clone()), straight, ways }
    }
}

/// Is it this machine? No proxy reaches that.
fn is_here(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl Service<Uri> for Route {
    type Response = Stream;
    type Error = Box<dyn Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.straight.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let Some(proxy) = self.ways.to(&uri) else {
            let connecting = self.straight.call(uri);
            return Box::pin(async move { Ok(Stream::new(MaybeHttpsStream::Http(connecting.await?), false)) });
        };
        if proxy.reads(&uri) {
            let connecting = self.to_proxy.call(proxy.uri.clone());
            return Box::pin(async move { Ok(Stream::new(connecting.await?, true)) });
        }
        if proxy.is_socks {
            let mut through = SocksV5::new(proxy.uri.clone(), self.to_proxy.clone());
            if let Some((name, password)) = proxy.intercept.raw_auth() {
                through = through.with_auth(name.to_owned(), password.to_owned());
            }
            // Where nothing is said it would take the port of TLS.
            let uri = with_port(uri);
            return Box::pin(async move { Ok(Stream::new(through.call(uri).await?, false)) });
        }
        let mut tunnel = Tunnel::new(proxy.uri.clone(), self.to_proxy.clone());
        if let Some(credentials) = proxy.intercept.basic_auth() {
            tunnel = tunnel.with_auth(credentials.clone());
        }
        Box::pin(async move { Ok(Stream::new(tunnel.call(uri).await?, false)) })
    }
}

/// The same address, with its port.
fn with_port(uri: Uri) -> Uri {
    if uri.port().is_some() || uri.scheme_str() != Some("http") {
        return uri;
    }
    let authority = format!("{}:80", uri.host().unwrap_or_default());
    Uri::builder().scheme("http").authority(authority).path_and_query("/").build().unwrap_or(uri)
}

impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxies").field("except", &self.except).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ways(https: &str, except: &str) -> Result<Ways, String> {
        let (https, except) = (Some(https.to_owned()), Some(except.to_owned()));
        Ways::new(&Proxies { https, except, ..Proxies::default() })
    }

    #[test]
    fn a_proxy_is_used_for_what_is_encrypted_and_not_excepted() {
        let ways = ways("http://me:hunter2@proxy.example.com:3128", "example.org,.internal").unwrap();
        for (uri, through) in [
            ("https://vault.azure.net/keys", true),
            ("https://example.org", false),
            ("https://a.internal", false),
            ("http://169.254.169.254/token", false),
            ("https://127.0.0.1:1", false),
            ("https://[::1]:1", false),
            ("https://localhost", false),
            ("https://localhost.example", true),
        ] {
            assert_eq!(ways.to(&uri.parse().unwrap()).is_some(), through, "{uri}");
        }
        assert!(!format!("{ways:?}").contains("hunter2"), "{ways:?}");
    }

    #[test]
    fn what_is_not_encrypted_has_a_proxy_of_its_own_that_is_shown_its_password() {
        let (http, https) = (Some("me:hunter2@one".to_owned()), Some("me:hunter2@two".to_owned()));
        let proxies = Proxies { https, http, ..Proxies::default() };
        assert!(!format!("{proxies:?}").contains("hunter2"), "{proxies:?}");
        let ways = Ways::new(&proxies).unwrap();
        let (plain, encrypted) = (Uri::from_static("http://vault:8200"), Uri::from_static("https://vault:8200"));
        assert_eq!(ways.to(&plain).unwrap().uri, "http://one/");
        assert_eq!(ways.to(&encrypted).unwrap().uri, "http://two/");
        assert!(ways.authorization(&plain).is_some(), "the request itself is sent to the proxy");
        assert!(ways.authorization(&encrypted).is_none(), "that is the server's to read");
    }

    #[test]
    fn one_for_everything_knows_no_exception() {
        let all = Some(("VAULT_PROXY_ADDR", "socks5://proxy".to_owned()));
        let ways = Ways::new(&Proxies { except: Some("*".to_owned()), all, ..Proxies::default() }).unwrap();
        for uri in ["http://127.0.0.1:8200", "https://localhost", "https://vault"] {
            assert_eq!(ways.to(&uri.parse().unwrap()).unwrap().uri, "http://proxy:1080/", "{uri}");
        }
    }

    #[test]
    fn a_proxy_that_is_none_is_refused_and_not_shown() {
        for (proxy, reason) in
            [("ftp://me:hunter2@proxy", "over `http://`"), ("socks4://proxy", "over `http://`"), ("http://", "no URL")]
        {
            let error = ways(proxy, "").unwrap_err();
            assert!(error.contains(reason) && !error.contains("hunter2"), "{proxy}: {error}");
        }
        assert!(ways("", "").unwrap().https.is_none());
        for (proxy, uri) in [
            ("proxy:3128", "http://proxy:3128/"),
            ("https://me:hunter2@proxy", "https://proxy/"),
            ("socks5h://me:hunter2@proxy:9", "http://proxy:9/"),
        ] {
            assert_eq!(ways(proxy, "").unwrap().https.unwrap().uri, uri);
        }
    }
}
