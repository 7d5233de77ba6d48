//! To which Vault servers a token may be sent.
//!
//! A file names the server that unwraps its data key, and nothing authenticates that. Whoever follows it blindly gives their token to
//! the author of the file. So a token goes where the environment says: to `VAULT_ADDR`, or, if it is set, where
//! `SOPS_HC_VAULT_ALLOWLIST` says and nowhere else. Source of the list's form: sops 3.13.3 `hcvault/keysource.go`.

use crate::address::{Address, AddressError, NamedBy};

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
