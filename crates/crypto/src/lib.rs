//! The cryptography of bulla: what SOPS does to one value, what Sealed Secrets does to one item, and the types that hold secrets.
//!
//! ```text
//! value     plaintext ─ ValueCipher(DataKey) ─ ENC[AES256_GCM,data:…,iv:…,tag:…,type:…]
//! mac       values in document order ─ SHA-512 ─ upper-case hex ─ encrypted as a value
//! outline   keys, structure, types, comments ─ keyed digest ─ the nonce of the MAC
//! hybrid    plaintext ─ AES-256-GCM under a one-off key ─ RSA-OAEP of that key, label = scope
//! shamir    a data key split into shares, any `threshold` of which give it
//! secret    SecretBytes, DataKey: wiped on drop, printed never
//! encoding  base64 with the exact tolerance of Go        pem  keys and certificates as text
//! ```
//!
//! No file, clock, environment or terminal is met here, and randomness is passed in. The two exceptions are inside aws-lc-rs, which
//! takes its own: the seed of OAEP in [`hybrid::seal`], and [`hybrid::PrivateKey::generate`].
//!
//! Sources: sops 3.13.3 `aes/cipher.go` and `sops.go`, sealed-secrets 0.38.4 `pkg/crypto`, Go 1.26 `encoding/base64` and `encoding/pem`.
//! Invariant: no error here carries a plaintext, a part of one, or a digest of one.

mod der;
pub mod encoding;
mod gcm;
pub mod hybrid;
pub mod mac;
pub mod outline;
pub mod pem;
pub mod secret;
pub mod shamir;
pub mod value;

pub use hybrid::{KeyError, OpenError, PrivateKey, PublicKey};
pub use mac::{Mac, MacDigest};
pub use outline::{Coverage, Outline, OutlineDigest};
pub use secret::{DataKey, DataKeyLengthError, SecretBytes};
pub use value::{EncryptedValue, ValueCipher, ValueError, ValueKind};
