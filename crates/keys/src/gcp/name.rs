//! Which key of Google Cloud KMS: its resource id.

use crate::one_line::OneLine;

/// A key, by its resource id as it is spelt.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GcpKeyName {
    /// `projects/…/locations/…/keyRings/…/cryptoKeys/…`
    pub resource_id: String,
}

/// Why a text names no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{}` is not the resource id of a key, like `projects/P/locations/L/keyRings/R/cryptoKeys/K`",
    OneLine(resource_id)
)]
pub struct GcpNameError {
    /// The text, shortened.
    pub resource_id: String,
}

impl GcpKeyName {
    /// Reads a resource id as `--gcp-kms` and rules have it; blanks within it go, as in SOPS.
    ///
    /// # Errors
    /// [`GcpNameError`]
    pub fn from_argument(text: &str) -> Result<Self, GcpNameError> {
        let name = Self { resource_id: text.replace(' ', "") };
        name.check()?;
        Ok(name)
    }

    /// Whether it can be asked for. It becomes a path, so nothing but a resource id passes.
    ///
    /// # Errors
    /// [`GcpNameError`]
    pub fn check(&self) -> Result<(), GcpNameError> {
        const COLLECTIONS: [&str; 4] = ["projects", "locations", "keyRings", "cryptoKeys"];
        let refuse = || GcpNameError { resource_id: self.resource_id.chars().take(200).collect() };
        let parts: Vec<&str> = self.resource_id.split('/').collect();
        let pairs = parts.chunks(2).zip(COLLECTIONS);
        // A project of a domain is `example.com:name`.
        let is_name = |name: &str| {
            !name.is_empty()
                && !matches!(name, "." | "..")
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte))
        };
        if parts.len() != 8 || !pairs.into_iter().all(|(pair, kind)| pair[0] == kind && is_name(pair[1])) {
            return Err(refuse());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_a_resource_id_passes() {
        let good = "projects/p-1/locations/global/keyRings/r/cryptoKeys/k";
        assert!(GcpKeyName::from_argument(&format!(" {good} ")).is_ok());
        assert!(GcpKeyName::from_argument(&good.replace("p-1", "example.com:p-1")).is_ok());
        for bad in [
            "",
            "projects/p/locations/l/keyRings/r",
            "projects/p/locations/l/keyRings/r/cryptoKeys/",
            "projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1",
            "projects/../locations/l/keyRings/r/cryptoKeys/k",
            "projects/p/locations/l/keyRings/r/cryptoKeys/k?x=1",
            "projects/p/locations/l/rings/r/cryptoKeys/k",
        ] {
            assert!(GcpKeyName::from_argument(bad).is_err(), "{bad}");
        }
    }
}
