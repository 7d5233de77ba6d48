//! Which key of which Vault: as a URI, and as the three fields of the metadata.

use crate::one_line::OneLine;
use std::fmt;

use bulla_services::vault::{Address, AddressError};

/// A key of a transit engine. The texts are kept as they are spelt: they are what the metadata holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct VaultKeyName {
    /// `https://vault.example.com:8200`.
    pub address: String,
    /// Where the transit engine is mounted: `transit`, `teams/shop/transit`.
    pub engine_path: String,
    /// The key's name in it.
    pub key_name: String,
}

/// Why a text names no key of Vault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VaultNameError {
    /// It is no URI of a key.
    #[error(
        "`{uri}` is not the URI of a transit key, like `https://vault.example.com:8200/v1/transit/keys/name`: {reason}"
    )]
    Uri {
        /// The text, shortened.
        uri: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The server's address is none.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// Engine or key cannot be part of a path.
    #[error("`{}` cannot be part of a path of Vault", OneLine(path))]
    Path {
        /// The text.
        path: String,
    },
}

impl VaultKeyName {
    /// Reads `https://host:port/v1/ENGINE/keys/NAME`, as `--hc-vault-transit` and creation rules have it. The engine may have slashes.
    ///
    /// # Errors
    /// [`VaultNameError`]
    pub fn from_uri(uri: &str) -> Result<Self, VaultNameError> {
        let uri = uri.trim();
        let refuse = |reason| VaultNameError::Uri { uri: uri.chars().take(200).collect(), reason };
        let (scheme, rest) = uri.split_once("://").ok_or_else(|| refuse("it does not begin with `https://`"))?;
        let (host, path) = rest.split_once('/').ok_or_else(|| refuse("it has no path"))?;
        if path.contains(['?', '#']) {
            return Err(refuse("a query or fragment means nothing"));
        }
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let [version, engine @ .., _, key] = parts.as_slice() else { return Err(refuse("its path is too short")) };
        let is_version = |part: &str| {
            part.strip_prefix('v')
                .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
        };
        if !is_version(version) {
            return Err(refuse("its path does not begin with `/v1/`; servers behind a prefix are not supported"));
        }
        if engine.is_empty() {
            return Err(refuse("its path is too short"));
        }
        let name =
            Self { address: format!("{scheme}://{host}"), engine_path: engine.join("/"), key_name: (*key).to_owned() };
        name.check()?;
        Ok(name)
    }

    /// Whether requests can be made for it.
    ///
    /// # Errors
    /// [`VaultNameError`]
    pub fn check(&self) -> Result<Address, VaultNameError> {
        let address = self.address.parse()?;
        self.path("keys")?;
        Ok(address)
    }

    /// The path of an operation below `/v1/`, as policies have it. Made of a file's texts, so it must not climb out of its engine.
    pub(super) fn path(&self, operation: &str) -> Result<String, VaultNameError> {
        let clean = |text: &str| {
            let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty()).collect();
            let bad = parts.is_empty()
                || parts.iter().any(|part| matches!(*part, "." | "..") || part.chars().any(char::is_control));
            if bad { Err(VaultNameError::Path { path: text.to_owned() }) } else { Ok(parts.join("/")) }
        };
        let key = clean(&self.key_name)?;
        if key.contains('/') {
            return Err(VaultNameError::Path { path: key });
        }
        Ok(format!("{}/{operation}/{key}", clean(&self.engine_path)?))
    }
}

/// As SOPS identifies it.
impl fmt::Display for VaultKeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/v1/{}/keys/{}", self.address, self.engine_path, self.key_name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_is_taken_apart_as_sops_does() {
        for (uri, address, engine, key) in [
            ("https://vault:8200/v1/transit/keys/name", "https://vault:8200", "transit", "name"),
            ("https://vault:8200/v1/a/b/c/keys/name", "https://vault:8200", "a/b/c", "name"),
            ("http://127.0.0.1/v1/transit/keys/name/", "http://127.0.0.1", "transit", "name"),
            (" https://vault/v1/sops/encrypt/k ", "https://vault", "sops", "k"),
        ] {
            let name = VaultKeyName::from_uri(uri).unwrap();
            assert_eq!((&*name.address, &*name.engine_path, &*name.key_name), (address, engine, key));
        }
        for (uri, reason) in [
            ("vault:8200/v1/transit/keys/name", "does not begin with `https://`"),
            ("https://vault", "no path"),
            ("https://vault/v1/keys/name", "too short"),
            ("https://vault/prefix/v1/transit/keys/name", "behind a prefix"),
            ("https://vault/v/transit/keys/name", "behind a prefix"),
            ("https://vault/v1/transit/keys/name?x=1", "a query"),
            ("ftp://vault/v1/transit/keys/name", "does not begin with"),
            ("https://vault/v1/transit/../keys/name", "cannot be part of a path"),
            ("https://vault/v1/transit/keys/..", "cannot be part of a path"),
        ] {
            let error = VaultKeyName::from_uri(uri).unwrap_err().to_string();
            assert!(error.contains(reason), "{uri}: {error}");
        }
    }

    #[test]
    fn a_file_cannot_make_us_call_anything_but_its_engine() {
        let name = |engine: &str, key: &str| VaultKeyName {
            address: "https://vault".to_owned(),
            engine_path: engine.to_owned(),
            key_name: key.to_owned(),
        };
        assert_eq!(name("/transit//a/", "k").path("decrypt").unwrap(), "transit/a/decrypt/k");
        for (engine, key) in
            [("..", "k"), ("a/../sys", "k"), ("a", "../k"), ("a", "b/c"), ("", "k"), ("a", ""), ("a\n", "k")]
        {
            assert!(name(engine, key).path("decrypt").is_err(), "{engine:?} {key:?}");
        }
    }
}
