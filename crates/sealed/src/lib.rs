//! Sealed Secrets: values that everybody can seal and only the holder of a cluster's private key can open.
//!
//! ```text
//! certificate   PEM → public key and validity; a new self-signed one for a new key
//! scope         under which name and namespace a value opens → the label it is sealed with
//! seal          Secret ── certificate, scope ──▶ SealedSecret
//! merge         Secret into a SealedSecret's file, in place
//! reseal        the items of a file, for another key, in place
//! key_ring      key Secrets → private keys, in the order in which they are tried
//! template      texts with actions, and the opened items ──▶ values
//! unseal        SealedSecret ── key ring ──▶ Secret, or why not, item by item
//! ```
//!
//! No file, clock, environment or terminal is met here; time and randomness are passed in (aws-lc takes its own for RSA).
//! Source: sealed-secrets 0.38.4 `pkg/apis/sealedsecrets/v1alpha1/sealedsecret_expansion.go`, `pkg/kubeseal`, `pkg/controller`.
//! Invariant: a plaintext leaves this crate as [`SecretBytes`](bulla_crypto::SecretBytes) only, and no error carries one.

pub mod certificate;
pub mod key_ring;
pub mod merge;
pub mod reseal;
pub mod scope;
pub mod seal;
mod template;
pub mod unseal;

pub use certificate::{Certificate, CertificateError, CertificateRequest};
pub use key_ring::{Hint, KeyOrder, KeyRing, KeySecretError, SealingKey};
pub use merge::{MergeError, Merged, merge};
pub use reseal::{ResealError, Resealed, reseal};
pub use scope::Scope;
pub use seal::{SealError, SealOptions, seal, seal_item};
pub use unseal::{ItemError, UnsealError, UnsealOptions, Unsealed, UnsealedSecret, unseal};
