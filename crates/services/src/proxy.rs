//! The way to a server: straight, or through a proxy that a company has between itself and the clouds.
//!
//! ```text
//! https://kms.example.com ─ HTTPS_PROXY, unless NO_PROXY names the host ─ CONNECT ─▶ proxy ─▶ TLS with the server itself
//! http://169.254.169.254, loopback ───────────────────────────────────────────────▶ straight
//! ```
//! The proxy sees which host is asked, and no more: TLS is with the server. What is not encrypted goes to this machine's own services
//! only, and to no proxy.

use std::error::Error;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;

/// Which proxies are used, in the words of the environment.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    /// `HTTPS_PROXY`: `http://proxy.example.com:3128`, with a name and a password where it asks for them.
    pub https: Option<String>,
    /// `NO_PROXY`: hosts, domains and networks that are reached straight, separated by commas.
    pub except: Option<String>,
}

/// Makes connections. What it is given is the address of the server.
#[derive(Debug, Clone)]
pub struct Route {
    straight: HttpConnector,
    proxies: Option<Arc<Matcher>>,
}

impl Route {
    /// Without any proxy.
    pub(crate) fn straight(straight: HttpConnector) -> Self {
        Self { straight, proxies: None }
    }

    /// # Errors
    /// What is wrong with the proxy; its password is not shown.
    pub(crate) fn new(straight: HttpConnector, proxies: &Proxies) -> Result<Self, String> {
        let Some(proxy) = proxies.https.as_deref().map(str::trim).filter(|proxy| !proxy.is_empty()) else {
            return Ok(Self::straight(straight));
        };
        let with_scheme = if proxy.contains("://") { proxy.to_owned() } else { format!("http://{proxy}") };
        let uri: Uri = with_scheme.parse().map_err(|_| "`HTTPS_PROXY` is no URL".to_owned())?;
        if uri.scheme_str() != Some("http") {
            return Err("`HTTPS_PROXY`: only proxies that are asked over `http://` can be used".to_owned());
        }
        if uri.host().is_none_or(str::is_empty) {
            return Err("`HTTPS_PROXY` names no host".to_owned());
        }
        let except = proxies.except.clone().unwrap_or_default();
        Ok(Self { straight, proxies: Some(Arc::new(Matcher::builder().https(with_scheme).no(except).build())) })
    }
}

/// Is it this machine? No proxy reaches that.
fn is_here(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl Service<Uri> for Route {
    type Response = TokioIo<TcpStream>;
    type Error = Box<dyn Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.straight.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let proxy = self.proxies.as_ref().filter(|_| !is_here(&uri)).and_then(|proxies| proxies.intercept(&uri));
        let Some(proxy) = proxy else {
            let connecting = self.straight.call(uri);
            return Box::pin(async move { connecting.await.map_err(Into::into) });
        };
        let mut tunnel = Tunnel::new(proxy.uri().clone(), self.straight.clone());
        if let Some(credentials) = proxy.basic_auth() {
            tunnel = tunnel.with_auth(credentials.clone());
        }
        Box::pin(async move { tunnel.call(uri).await.map_err(Into::into) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(https: &str, except: &str) -> Result<Route, String> {
        let proxies = Proxies { https: Some(https.to_owned()), except: Some(except.to_owned()) };
        Route::new(HttpConnector::new(), &proxies)
    }

    #[test]
    fn a_proxy_is_used_for_what_is_encrypted_and_not_excepted() {
        let route = route("http://me:hunter2@proxy.example.com:3128", "example.org,.internal").unwrap();
        for (uri, through) in [
            ("https://vault.azure.net/keys", true),
            ("https://example.org", false),
            ("https://a.internal", false),
            ("http://169.254.169.254/token", false),
        ] {
            let uri: Uri = uri.parse().unwrap();
            assert_eq!(route.proxies.as_ref().unwrap().intercept(&uri).is_some(), through, "{uri}");
        }
        for (uri, here) in [
            ("https://127.0.0.1:1", true),
            ("https://[::1]:1", true),
            ("https://localhost", true),
            ("https://localhost.example", false),
        ] {
            assert_eq!(is_here(&uri.parse().unwrap()), here, "{uri}");
        }
        assert!(!format!("{route:?}").contains("hunter2"), "{route:?}");
    }

    #[test]
    fn a_proxy_that_is_none_is_refused_and_not_shown() {
        for (proxy, reason) in [
            ("https://me:hunter2@proxy", "over `http://`"),
            ("socks5://proxy", "over `http://`"),
            ("http://", "no URL"),
        ] {
            let error = route(proxy, "").unwrap_err();
            assert!(error.contains(reason) && !error.contains("hunter2"), "{proxy}: {error}");
        }
        assert!(route("", "").unwrap().proxies.is_none());
        assert!(route("proxy:3128", "").unwrap().proxies.is_some());
    }
}
