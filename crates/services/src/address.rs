//! Where a service is: scheme, host, port, and what its paths begin with.

use std::fmt;
use std::str::FromStr;

use http::Uri;

/// Who named a key: that decides whether credentials may go where it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamedBy {
    /// The command line or the configuration: somebody who encrypts said so.
    Configuration,
    /// An encrypted file. Anybody can have written it, to have our credentials sent to them.
    File,
}

/// Scheme, host and port of a server. Two that reach the same are equal, however they are spelt.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    encrypted: bool,
    host: String,
    port: u16,
}

/// An address, and a path below which all others are: a server behind a proxy, `https://rancher.example.com/k8s/clusters/c-1`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Base {
    address: Address,
    /// Without a slash at its end; empty, or with one at its start.
    path: String,
}

/// An address with its path and query: where a token is exchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) base: Base,
    /// With a slash at its start.
    pub(crate) path: String,
}

/// A text that is no address of a server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an address like `https://vault.example.com:8200`: {reason}")]
pub struct AddressError {
    text: String,
    reason: &'static str,
}

impl Address {
    /// Is what is sent there encrypted on the way?
    pub fn is_encrypted(&self) -> bool {
        self.encrypted
    }

    /// Its host, in small letters.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Its port, the usual one of its scheme included.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address in an absolute `uri`, whatever its path.
    pub(crate) fn of(uri: &Uri) -> Result<Self, &'static str> {
        let encrypted = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err("it does not begin with `https://` or `http://`"),
        };
        let authority = uri.authority().ok_or("it names no host")?;
        if authority.as_str().contains('@') {
            return Err("it holds a user's name");
        }
        let host = authority.host().to_ascii_lowercase();
        if host.is_empty() {
            return Err("it names no host");
        }
        Ok(Self { encrypted, host, port: authority.port_u16().unwrap_or(if encrypted { 443 } else { 80 }) })
    }

    /// A URI there, whose path and query are `path`, with the slash.
    pub(crate) fn join(&self, path: &str) -> Result<Uri, http::Error> {
        let scheme = if self.encrypted { "https" } else { "http" };
        Uri::builder().scheme(scheme).authority(format!("{}:{}", self.host, self.port)).path_and_query(path).build()
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let refuse = |reason| AddressError { text: text.chars().take(200).collect(), reason };
        let uri: Uri = text.trim().parse().map_err(|_| refuse("it is no URL"))?;
        let address = Self::of(&uri).map_err(refuse)?;
        if uri.path() != "/" || uri.query().is_some() {
            return Err(refuse("it has a path"));
        }
        Ok(address)
    }
}

impl Base {
    /// The server's address.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// A URI below it, whose path and query are `path`, with the slash.
    ///
    /// # Errors
    /// If `path` has what no URI has.
    pub fn join(&self, path: &str) -> Result<Uri, http::Error> {
        self.address.join(&format!("{}{path}", self.path))
    }
}

impl From<Address> for Base {
    fn from(address: Address) -> Self {
        Self { address, path: String::new() }
    }
}

impl FromStr for Base {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let refuse = |reason| AddressError { text: text.chars().take(200).collect(), reason };
        let uri: Uri = text.trim().parse().map_err(|_| refuse("it is no URL"))?;
        let address = Address::of(&uri).map_err(refuse)?;
        if uri.query().is_some() {
            return Err(refuse("it has a query"));
        }
        Ok(Self { address, path: uri.path().trim_end_matches('/').to_owned() })
    }
}

impl FromStr for Target {
    type Err = AddressError;

    fn from_str(url: &str) -> Result<Self, AddressError> {
        let url = url.trim();
        let after_scheme = url.find("://").map_or(0, |at| at + 3);
        let path_at = url[after_scheme..].find(['/', '?', '#']).map_or(url.len(), |at| at + after_scheme);
        let base = Base::from(url[..path_at].parse::<Address>()?);
        let path = match &url[path_at..] {
            path if path.starts_with('/') => path.to_owned(),
            query => format!("/{query}"),
        };
        Ok(Self { base, path })
    }
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.address, self.path)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, usual) = if self.encrypted { ("https", 443) } else { ("http", 80) };
        write!(f, "{scheme}://{}", self.host)?;
        if self.port == usual { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_address_are_equal_and_what_is_none_is_refused() {
        for (text, shown) in [
            ("https://Vault.Example.com", "https://vault.example.com"),
            ("https://vault.example.com:443/", "https://vault.example.com"),
            ("http://127.0.0.1:8200", "http://127.0.0.1:8200"),
            (" https://[::1]:8200 ", "https://[::1]:8200"),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), shown);
        }
        for (text, reason) in [
            ("vault.example.com:8200", "begin with"),
            ("unix:///run/vault.sock", "no URL"),
            ("https://me@vault", "a user's name"),
            ("https://vault/prefix", "has a path"),
            ("https://vault?x=1", "has a path"),
            ("https://", "no URL"),
            ("", "no URL"),
        ] {
            let error = text.parse::<Address>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn a_target_is_taken_apart() {
        for (url, base, path) in [
            ("https://sts.googleapis.com/v1/token", "https://sts.googleapis.com", "/v1/token"),
            ("http://169.254.169.254?x=1", "http://169.254.169.254", "/?x=1"),
            ("http://127.0.0.1:80/a?b=/c", "http://127.0.0.1", "/a?b=/c"),
            ("https://h", "https://h", "/"),
        ] {
            let target: Target = url.parse().unwrap();
            assert_eq!((target.base.to_string(), &*target.path), (base.to_owned(), path));
        }
        assert!("ftp://h/x".parse::<Target>().is_err() && "h/x".parse::<Target>().is_err());
    }

    #[test]
    fn a_base_keeps_its_path() {
        for (text, shown, joined) in [
            ("https://vault:8200", "https://vault:8200", "https://vault:8200/v1/a"),
            (
                "https://Rancher/k8s/clusters/c-1/",
                "https://rancher/k8s/clusters/c-1",
                "https://rancher:443/k8s/clusters/c-1/v1/a",
            ),
        ] {
            let base: Base = text.parse().unwrap();
            assert_eq!(base.to_string(), shown);
            assert_eq!(base.join("/v1/a").unwrap().to_string(), joined);
        }
        assert!("https://vault?x=1".parse::<Base>().unwrap_err().to_string().contains("a query"));
        assert!("vault".parse::<Base>().unwrap_err().to_string().contains("begin with"));
    }
}
