//! The order in which the keys of a file are tried: `--decryption-order age,kms`, `SOPS_DECRYPTION_ORDER`.
//!
//! Kinds that are not named follow, in the order of the file. Source: sops 3.13.3 `cmd/sops/main.go` (`decryptionOrder`).

use crate::{Source, UnknownSource};

/// Kinds of keys in the order in which they are tried; others follow. age and PGP come first where nothing is said: they need no service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecryptionOrder(Vec<Source>);

/// Why a text is no order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OrderError {
    /// A kind comes twice.
    #[error("the key type `{0}` is named twice in the decryption order")]
    Duplicate(String),
    /// There is no such kind.
    #[error(transparent)]
    Unknown(#[from] UnknownSource),
}

impl Default for DecryptionOrder {
    fn default() -> Self {
        Self(vec![Source::Age, Source::Pgp])
    }
}

impl DecryptionOrder {
    /// Reads kinds of keys, separated by commas. A text without any is the default.
    ///
    /// # Errors
    /// [`OrderError`]
    pub fn read(text: &str) -> Result<Self, OrderError> {
        let names: Vec<&str> = text.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
        if names.is_empty() {
            return Ok(Self::default());
        }
        refuse_duplicates(&names)?;
        Ok(Self(names.into_iter().map(str::parse).collect::<Result<_, _>>()?))
    }

    /// Reads as SOPS does: names that it does not know are passed over, and blanks count.
    ///
    /// # Errors
    /// [`OrderError::Duplicate`]
    pub fn read_as_sops(text: &str) -> Result<Self, OrderError> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let names: Vec<&str> = text.split(',').collect();
        refuse_duplicates(&names)?;
        Ok(Self(names.into_iter().filter_map(|name| name.parse().ok()).collect()))
    }

    /// The kinds that come first.
    pub fn sources(&self) -> &[Source] {
        &self.0
    }
}

fn refuse_duplicates(names: &[&str]) -> Result<(), OrderError> {
    let repeated = names.iter().enumerate().find(|(index, name)| names[..*index].contains(name));
    repeated.map_or(Ok(()), |(_, name)| Err(OrderError::Duplicate((*name).to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_read_strictly_or_as_by_sops() {
        use Source::{Age, AzureKv, Kms, Pgp};
        let unknown = "aws".parse::<Source>().unwrap_err();
        for (text, ours, of_sops) in [
            ("", Ok(vec![Age, Pgp]), Ok(vec![Age, Pgp])),
            ("pgp,age", Ok(vec![Pgp, Age]), Ok(vec![Pgp, Age])),
            ("kms", Ok(vec![Kms]), Ok(vec![Kms])),
            ("azure_kv, kms,", Ok(vec![AzureKv, Kms]), Ok(vec![AzureKv])),
            ("aws,kms", Err(OrderError::Unknown(unknown)), Ok(vec![Kms])),
            ("age,age", Err(OrderError::Duplicate("age".to_owned())), Err(OrderError::Duplicate("age".to_owned()))),
            ("x,kms,x", Err(OrderError::Duplicate("x".to_owned())), Err(OrderError::Duplicate("x".to_owned()))),
            (",", Ok(vec![Age, Pgp]), Err(OrderError::Duplicate(String::new()))),
        ] {
            assert_eq!(DecryptionOrder::read(text).map(|order| order.0), ours, "{text}");
            assert_eq!(DecryptionOrder::read_as_sops(text).map(|order| order.0), of_sops, "{text}");
        }
    }
}
