//! Huawei Cloud KMS.

mod name;

pub use name::{HuaweiKeyName, HuaweiNameError};
