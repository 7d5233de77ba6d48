//! Which key of Huawei Cloud KMS: its region and id.

use crate::one_line::OneLine;

/// A key, as it is spelt.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HuaweiKeyName {
    /// `REGION:UUID`
    pub key_id: String,
}

/// Why a text names no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a key of Huawei Cloud, like `eu-west-101:0d0466b0-e727-4d9c-b35d-f84bb474a37f`", OneLine(key_id))]
pub struct HuaweiNameError {
    /// The text, shortened.
    pub key_id: String,
}

impl HuaweiKeyName {
    /// Reads `REGION:UUID` as `--hckms` and rules have it.
    ///
    /// # Errors
    /// [`HuaweiNameError`]
    pub fn from_argument(text: &str) -> Result<Self, HuaweiNameError> {
        let name = Self { key_id: text.trim().to_owned() };
        name.check()?;
        Ok(name)
    }

    /// Whether it can be asked for.
    ///
    /// # Errors
    /// [`HuaweiNameError`]
    pub fn check(&self) -> Result<(), HuaweiNameError> {
        self.parts().map(drop)
    }

    /// Region and id. The region becomes a part of a host's name, so nothing but one passes.
    pub(crate) fn parts(&self) -> Result<(&str, &str), HuaweiNameError> {
        let is_region = |text: &str| {
            text.len() <= 40
                && text.starts_with(|first: char| first.is_ascii_lowercase())
                && !text.ends_with('-')
                && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        };
        let is_id = |text: &str| {
            !text.is_empty() && text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
        };
        self.key_id
            .split_once(':')
            .filter(|(region, id)| is_region(region) && is_id(id))
            .ok_or_else(|| HuaweiNameError { key_id: self.key_id.chars().take(200).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_a_region_becomes_a_part_of_a_host() {
        let name = HuaweiKeyName::from_argument(" eu-west-101:0d0466b0-e727-4d9c-b35d-f84bb474a37f ").unwrap();
        assert_eq!(name.parts().unwrap(), ("eu-west-101", "0d0466b0-e727-4d9c-b35d-f84bb474a37f"));
        for bad in ["", "x", "eu-west-101:", ":0d04", "evil.example.com/:0d04", "EU:0d04", "eu-:0d04", "eu:0d04/x"] {
            assert!(HuaweiKeyName::from_argument(bad).is_err(), "{bad}");
        }
    }
}
