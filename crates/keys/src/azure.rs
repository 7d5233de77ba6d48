//! Azure Key Vault.

mod name;

pub use name::{AzureKeyName, AzureNameError};
