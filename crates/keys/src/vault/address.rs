//! Addresses of Vault servers, and to which of them a token may be sent.
//!
//! A file names the server that unwraps its data key, and nothing authenticates that. Whoever follows it blindly gives their token to
//! the author of the file. So a token goes where the environment says: to `VAULT_ADDR`, or, if it is set, where
//! `SOPS_HC_VAULT_ALLOWLIST` says and nowhere else. Source of the list's form: sops 3.13.3 `hcvault/keysource.go`.

use std::fmt;
use std::str::FromStr;

use crate::service::NamedBy;
use http::Uri;

/// Scheme, host and port of a server. Two that reach the same are equal, however they are spelt.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    encrypted: bool,
    host: String,
    port: u16,
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

    /// The address in an absolute `uri`, whatever its path.
    pub(super) fn of(uri: &Uri) -> Result<Self, &'static str> {
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
    pub(super) fn join(&self, path: &str) -> Result<Uri, http::Error> {
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

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, usual) = if self.encrypted { ("https", 443) } else { ("http", 80) };
        write!(f, "{scheme}://{}", self.host)?;
        if self.port == usual { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

/// To which addresses a token may be sent.
#[derive(Debug, Clone, Default)]
pub struct AllowedAddresses {
    /// `VAULT_ADDR`.
    usual: Option<Address>,
    /// `SOPS_HC_VAULT_ALLOWLIST`.
    list: Option<List>,
}

#[derive(Debug, Clone)]
enum List {
    All,
    Only(Vec<Address>),
}

impl AllowedAddresses {
    /// From the texts of `VAULT_ADDR` and `SOPS_HC_VAULT_ALLOWLIST`. The second is `all`, `none` or addresses separated by commas.
    ///
    /// # Errors
    /// Which of them cannot be read, and why.
    pub fn read(usual: Option<&str>, list: Option<&str>) -> Result<Self, String> {
        let usual =
            usual.map(str::parse).transpose().map_err(|error: AddressError| format!("`VAULT_ADDR`: {error}"))?;
        let list = match list.map(str::trim) {
            None | Some("") => None,
            Some("all") => Some(List::All),
            Some("none") => Some(List::Only(Vec::new())),
            Some(list) => {
                let addresses: Result<Vec<Address>, AddressError> = list.split(',').map(str::parse).collect();
                Some(List::Only(addresses.map_err(|error| format!("`SOPS_HC_VAULT_ALLOWLIST`: {error}"))?))
            }
        };
        Ok(Self { usual, list })
    }

    /// May a token be sent to `address`, which comes from there?
    pub fn allows(&self, address: &Address, named_by: NamedBy) -> bool {
        match &self.list {
            Some(List::All) => true,
            Some(List::Only(addresses)) => addresses.contains(address),
            None => named_by == NamedBy::Configuration || self.usual.as_ref() == Some(address),
        }
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
    fn a_token_goes_only_where_the_environment_says() {
        let ours = "https://vault:8200";
        for (usual, list, address, from_file, from_configuration) in [
            (None, None, ours, false, true),
            (Some(ours), None, ours, true, true),
            (Some("https://VAULT:8200/"), None, ours, true, true),
            (Some(ours), None, "https://vault:8201", false, true),
            (Some(ours), None, "http://vault:8200", false, true),
            (Some(ours), None, "https://vault.evil.example:8200", false, true),
            (Some(ours), Some("none"), ours, false, false),
            (None, Some("all"), "https://anywhere", true, true),
            (Some(ours), Some("https://a, https://b/"), "https://b", true, true),
            (Some(ours), Some("https://a,https://b"), ours, false, false),
            (None, Some("https://vault"), "https://vault.evil.example", false, false),
        ] {
            let allowed = AllowedAddresses::read(usual, list).unwrap();
            let address: Address = address.parse().unwrap();
            let found = [NamedBy::File, NamedBy::Configuration].map(|by| allowed.allows(&address, by));
            assert_eq!(found, [from_file, from_configuration], "{usual:?} {list:?} {address}");
        }
        assert!(AllowedAddresses::read(Some("vault"), None).unwrap_err().starts_with("`VAULT_ADDR`: `vault` is not"));
        let error = AllowedAddresses::read(None, Some("https://a,")).unwrap_err();
        assert!(error.starts_with("`SOPS_HC_VAULT_ALLOWLIST`: "), "{error}");
    }
}
