//! New identities, as `age-keygen` makes them.

use std::fmt;

use bulla_crypto::SecretBytes;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::curve::Scalar;
use super::{post_quantum, stanza};

/// What kind of identity to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KeyKind {
    /// X25519, `age1…`: what every reader of age understands.
    #[default]
    X25519,
    /// ML-KEM-768 with X25519, `age1pq1…`: safe against quantum computers, for age 1.3 and sops 3.13 or later.
    PostQuantum,
}

/// A new identity and its recipient.
pub struct GeneratedIdentity {
    /// `AGE-SECRET-KEY-1…` or `AGE-SECRET-KEY-PQ-1…`, without a line break.
    pub secret: SecretBytes,
    /// `age1…` or `age1pq1…`.
    pub recipient: String,
}

impl GeneratedIdentity {
    /// The file that `age-keygen` writes. `created` is the time, RFC 3339 with seconds.
    pub fn to_file(&self, created: &str) -> SecretBytes {
        let comments = format!("# created: {created}\n# public key: {}\n", self.recipient);
        let mut file = Vec::with_capacity(comments.len() + self.secret.len() + 1);
        file.extend_from_slice(comments.as_bytes());
        file.extend_from_slice(self.secret.expose_secret());
        file.push(b'\n');
        SecretBytes::new(file)
    }
}

impl fmt::Debug for GeneratedIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GeneratedIdentity").field("recipient", &self.recipient).finish_non_exhaustive()
    }
}

/// Makes an identity from 32 bytes of `rng`.
pub fn generate_identity(kind: KeyKind, rng: &mut dyn CryptoRng) -> GeneratedIdentity {
    let mut bytes = Zeroizing::new([0; 32]);
    rng.fill_bytes(&mut *bytes);
    let (secret, recipient) = match kind {
        KeyKind::X25519 => {
            let mut secret = stanza::to_bech32("age-secret-key-", &*bytes);
            secret.make_ascii_uppercase();
            let recipient = stanza::to_bech32("age", Scalar::new(&bytes).public());
            (secret, recipient.to_string())
        }
        KeyKind::PostQuantum => {
            let identity = post_quantum::Identity::from_seed(bytes);
            (identity.to_text(), identity.recipient().to_string())
        }
    };
    GeneratedIdentity { secret: SecretBytes::new(secret.as_bytes().to_vec()), recipient }
}
