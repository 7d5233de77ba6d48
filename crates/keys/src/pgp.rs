//! OpenPGP: keys of the user's key ring.

mod name;

pub use name::{PgpKeyName, PgpNameError};
