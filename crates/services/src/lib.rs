//! Calls to the services where keys and secrets lie: Vault, AWS, Google Cloud, Azure, Huawei Cloud; and what they have in common.
//!
//! ```text
//! keys   ─ a data key to wrap ─┐                   ┌─ vault   one client a server: login, token, retries, redirects
//! stores ─ a secret to fetch ──┴─▶ client of a ────┼─ aws     one session a region and principal, on the SDK
//!                                  service         ├─ gcp, azure, huawei   one token or key, kept; the REST of their KMS
//!                                                  ├─ rest, kept, jwt   what clients without an SDK share: calls, tokens, signatures
//!                                                  └─ transport, proxy   TLS with the authorities given, bodies that are wiped, limits
//!
//! address   where a service is          token   whose service account speaks          error   why it did not work
//! ```
//! No file and no environment variable is met here: settings are values. The runtime and the randomness that spreads retries are
//! handed in as [`Surroundings`]. Three exceptions: the system's certificates are where OpenSSL looks for them; how long a login is
//! good for is measured by the runtime's own clock, which also measures what is waited; and AWS' SDK finds what it needs, see [`aws`].
//! Invariant: no error here carries a token, a secret or an answer with one in it.

pub mod address;
pub mod aws;
pub mod azure;
pub mod checksum;
mod danger;
mod error;
pub mod gcp;
pub mod huawei;
mod jwt;
mod kept;
mod limits;
pub mod outside;
pub mod proxy;
mod rest;
mod surroundings;
pub mod token;
pub mod transport;
pub mod vault;

pub use address::NamedBy;
pub use error::{ServiceError, Tried};
pub use limits::Limits;
pub use outside::Outside;
pub use proxy::Proxies;
pub use surroundings::Surroundings;
pub use token::{TokenError, TokenSource};
