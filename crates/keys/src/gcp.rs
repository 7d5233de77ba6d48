//! Google Cloud KMS.

mod name;

pub use name::{GcpKeyName, GcpNameError};
