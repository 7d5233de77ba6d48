//! Which key of which vault of Azure: as a URL, and as the three fields of the metadata.

use crate::one_line::OneLine;
use std::fmt;

/// A key of a vault. The texts are kept as they are spelt: they are what the metadata holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AzureKeyName {
    /// `https://NAME.vault.azure.net`
    pub vault_url: String,
    /// The key's name in it.
    pub name: String,
    /// Its version; empty for the newest, which is looked up before it wraps.
    pub version: String,
}

/// Why a text names no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not the URL of a key, like `https://shop.vault.azure.net/keys/sops/VERSION`: {reason}", OneLine(url))]
pub struct AzureNameError {
    /// The text, shortened.
    pub url: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl AzureKeyName {
    /// Reads `https://VAULT/keys/NAME/VERSION`, or the same without a version, as `--azure-kv` and rules have it.
    ///
    /// # Errors
    /// [`AzureNameError`]
    pub fn from_url(url: &str) -> Result<Self, AzureNameError> {
        let url = url.trim();
        let refuse = |reason| AzureNameError { url: url.chars().take(200).collect(), reason };
        let (scheme, rest) = url.split_once("://").ok_or_else(|| refuse("it does not begin with `https://`"))?;
        let (host, path) = rest.split_once('/').ok_or_else(|| refuse("it has no path"))?;
        let (name, version) = match path.split('/').collect::<Vec<_>>().as_slice() {
            ["keys", name] | ["keys", name, ""] => (*name, ""),
            ["keys", name, version] => (*name, *version),
            _ => return Err(refuse("its path is not `/keys/NAME/VERSION`")),
        };
        let name = Self { vault_url: format!("{scheme}://{host}"), name: name.to_owned(), version: version.to_owned() };
        name.check()?;
        Ok(name)
    }

    /// Whether it can be asked for. It becomes a URL, so nothing that would change another part of it passes.
    ///
    /// # Errors
    /// [`AzureNameError`]
    pub fn check(&self) -> Result<(), AzureNameError> {
        let refuse = |reason| AzureNameError { url: self.to_string().chars().take(200).collect(), reason };
        let host = self.vault_url.strip_prefix("https://").or_else(|| self.vault_url.strip_prefix("http://"));
        let host = host.ok_or_else(|| refuse("it does not begin with `https://`"))?;
        let host = host.strip_suffix('/').unwrap_or(host);
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-.:".contains(&byte);
        if host.is_empty() || !host.bytes().all(is_host) {
            return Err(refuse("its host is none"));
        }
        let is_name = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if self.name.is_empty() || !is_name(&self.name) {
            return Err(refuse("names of keys have letters, digits and hyphens"));
        }
        if !is_name(&self.version) {
            return Err(refuse("its version is none"));
        }
        Ok(())
    }
}

/// As SOPS identifies it.
impl fmt::Display for AzureKeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/keys/{}/{}", self.vault_url, self.name, self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart_as_sops_does() {
        for (url, version) in [
            ("https://shop.vault.azure.net/keys/sops/6af1", "6af1"),
            ("https://shop.vault.azure.net/keys/sops", ""),
            (" https://shop.vault.azure.net/keys/sops/ ", ""),
        ] {
            let name = AzureKeyName::from_url(url).unwrap();
            assert_eq!(
                (&*name.vault_url, &*name.name, &*name.version),
                ("https://shop.vault.azure.net", "sops", version)
            );
        }
        for bad in [
            "shop.vault.azure.net/keys/sops/1",
            "https://shop.vault.azure.net",
            "https://shop.vault.azure.net/secrets/sops/1",
            "https://shop.vault.azure.net/keys/sops/1/2",
            "https://shop.vault.azure.net/keys//1",
            "https://shop.vault.azure.net/keys/a?b/1",
            "https://user@evil/keys/a/1",
            "ftp://shop/keys/a/1",
        ] {
            assert!(AzureKeyName::from_url(bad).is_err(), "{bad}");
        }
    }
}
