//! To which vaults a token may be sent.
//!
//! A file names the vault that unwraps its data key, and nothing authenticates that. Whoever follows it blindly gives a token to the author
//! of the file, good for an hour and for every vault. So a token goes to hosts that are vaults by their name, which only Azure can
//! make, in the cloud whose authority the environment names; or, if `BULLA_AZURE_VAULT_ALLOWLIST` is set, to the addresses in it and nowhere
//! else.

use crate::address::{Address, AddressError, Base};

/// What the hosts of vaults end in, by the authority of their cloud.
const CLOUDS: [(&str, [&str; 2]); 4] = [
    ("login.microsoftonline.com", ["vault.azure.net", "managedhsm.azure.net"]),
    ("login.chinacloudapi.cn", ["vault.azure.cn", "managedhsm.azure.cn"]),
    ("login.partner.microsoftonline.cn", ["vault.azure.cn", "managedhsm.azure.cn"]),
    ("login.microsoftonline.us", ["vault.usgovcloudapi.net", "managedhsm.usgovcloudapi.net"]),
];

/// To which vaults a token may be sent.
#[derive(Debug, Clone)]
pub struct AllowedVaults {
    endings: Vec<&'static str>,
    /// `BULLA_AZURE_VAULT_ALLOWLIST`
    only: Option<Vec<Address>>,
}

impl AllowedVaults {
    /// For the cloud of `authority`, and the text of `BULLA_AZURE_VAULT_ALLOWLIST`: addresses separated by commas.
    ///
    /// # Errors
    /// Which address cannot be read, and why.
    pub fn read(authority: &Base, list: Option<&str>) -> Result<Self, String> {
        let host = authority.address().host();
        let endings = CLOUDS.iter().find(|(of, _)| *of == host).map_or_else(Vec::new, |(_, endings)| endings.to_vec());
        let only = list.map(str::trim).filter(|list| !list.is_empty()).map(|list| {
            let addresses: Result<Vec<Address>, AddressError> = list.split(',').map(str::parse).collect();
            addresses.map_err(|error| format!("`BULLA_AZURE_VAULT_ALLOWLIST`: {error}"))
        });
        Ok(Self { endings, only: only.transpose()? })
    }

    /// What a token must be for to be sent to `vault`; `None` if none may be.
    pub(super) fn resource(&self, vault: &Address) -> Option<String> {
        let known = self.endings.iter().find(|ending| is_below(vault.host(), ending));
        match &self.only {
            // As Azure names what a token is for: the part of the host that all vaults of a kind have.
            Some(only) if only.contains(vault) => Some(match (known, vault.host().split_once('.')) {
                (Some(ending), _) => format!("https://{ending}"),
                (None, Some((_, rest))) => format!("https://{rest}"),
                (None, None) => format!("https://{}", vault.host()),
            }),
            None if vault.is_encrypted() && vault.port() == 443 => Some(format!("https://{}", known?)),
            Some(_) | None => None,
        }
    }
}

/// Is `host` one name and then `ending`?
fn is_below(host: &str, ending: &str) -> bool {
    let name = host.strip_suffix(ending).and_then(|rest| rest.strip_suffix('.'));
    name.is_some_and(|name| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLIC: &str = "https://login.microsoftonline.com";

    #[test]
    fn a_token_goes_to_vaults_of_its_cloud_only() {
        for (authority, vault, resource) in [
            (PUBLIC, "https://shop.vault.azure.net", Some("https://vault.azure.net")),
            (PUBLIC, "https://SHOP.vault.azure.net:443/", Some("https://vault.azure.net")),
            (PUBLIC, "https://shop.managedhsm.azure.net", Some("https://managedhsm.azure.net")),
            (PUBLIC, "http://shop.vault.azure.net", None),
            (PUBLIC, "https://shop.vault.azure.net:8443", None),
            (PUBLIC, "https://vault.azure.net", None),
            (PUBLIC, "https://.vault.azure.net", None),
            (PUBLIC, "https://a.b.vault.azure.net", None),
            (PUBLIC, "https://shop.vault.azure.net.evil.example", None),
            (PUBLIC, "https://evilvault.azure.net", None),
            (PUBLIC, "https://shop.vault.azure.cn", None),
            ("https://login.chinacloudapi.cn/", "https://shop.vault.azure.cn", Some("https://vault.azure.cn")),
            (
                "https://login.microsoftonline.us",
                "https://s.vault.usgovcloudapi.net",
                Some("https://vault.usgovcloudapi.net"),
            ),
            ("https://login.evil.example", "https://shop.vault.azure.net", None),
        ] {
            let allowed = AllowedVaults::read(&authority.parse().unwrap(), None).unwrap();
            // A host without a name before its ending is no URL.
            let found = vault.parse().ok().and_then(|vault| allowed.resource(&vault));
            assert_eq!(found.as_deref(), resource, "{authority} {vault}");
        }
    }

    #[test]
    fn a_list_is_all_that_counts() {
        let list = " https://shop.vault.azure.net, http://127.0.0.1:8080, https://a.vault.local.azurestack.external";
        let allowed = AllowedVaults::read(&PUBLIC.parse().unwrap(), Some(list)).unwrap();
        for (vault, resource) in [
            ("https://shop.vault.azure.net", Some("https://vault.azure.net")),
            ("https://other.vault.azure.net", None),
            ("https://a.vault.local.azurestack.external", Some("https://vault.local.azurestack.external")),
            ("http://127.0.0.1:8080", Some("https://0.0.1")),
            ("http://127.0.0.1:8081", None),
        ] {
            assert_eq!(allowed.resource(&vault.parse().unwrap()).as_deref(), resource, "{vault}");
        }
        let error = AllowedVaults::read(&PUBLIC.parse().unwrap(), Some("shop.vault.azure.net")).unwrap_err();
        assert!(error.starts_with("`BULLA_AZURE_VAULT_ALLOWLIST`: "), "{error}");
    }
}
