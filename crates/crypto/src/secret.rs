//! Types that hold secrets: they wipe themselves, and nothing prints, compares, copies or serialises them by accident.
//!
//! Getting at the bytes is one call, [`SecretBytes::expose_secret`] or [`DataKey::expose_secret`], which a reviewer can search for.
//! Invariant: a buffer that held a secret is wiped before its memory is given back, when it has to grow included.

use std::fmt;
use std::mem;

use bulla_wipe::Wiping;
use rand_core::CryptoRng;
use zeroize::{Zeroize, Zeroizing};

/// Secret bytes of any length: a plaintext, a key file, a share of a data key. Wiped on drop.
///
/// No `Clone`, `PartialEq`, `Display` or `Serialize`; `Debug` shows neither bytes nor length.
#[derive(Default)]
pub struct SecretBytes(Wiping<Vec<u8>>);

impl SecretBytes {
    /// Takes over `bytes` without copying them.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Wiping::new(bytes))
    }

    /// The bytes themselves. What is copied out of here is the caller's to wipe.
    pub fn expose_secret(&self) -> &[u8] {
        &self.0
    }

    /// Number of bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no byte at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Gives up the wrapper, for callers that must edit or hand on a `Vec`. The result still wipes itself.
    pub fn into_exposed(self) -> Wiping<Vec<u8>> {
        self.0
    }

    /// Empties the buffer and gives it `length` zero bytes, to be written in place. What was there before is wiped, also when the
    /// memory is too small and a larger one is taken.
    pub(crate) fn renew(&mut self, length: usize) -> &mut [u8] {
        if self.0.capacity() < length {
            // Assigning drops the old buffer, which wipes it. Growing in place would leave its bytes behind.
            self.0 = Wiping::with_capacity(length.max(64));
        } else {
            self.0.as_mut_slice().zeroize();
            self.0.clear();
        }
        self.0.resize(length, 0);
        &mut self.0
    }

    /// Shortens to `length` bytes and wipes the rest.
    pub(crate) fn shorten(&mut self, length: usize) {
        if let Some(rest) = self.0.get_mut(length..) {
            rest.zeroize();
        }
        self.0.truncate(length);
    }
}

impl From<Vec<u8>> for SecretBytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self::new(bytes)
    }
}

impl From<Wiping<Vec<u8>>> for SecretBytes {
    fn from(bytes: Wiping<Vec<u8>>) -> Self {
        Self(bytes)
    }
}

impl From<Zeroizing<Vec<u8>>> for SecretBytes {
    fn from(mut bytes: Zeroizing<Vec<u8>>) -> Self {
        Self::new(mem::take(&mut bytes))
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretBytes(..)")
    }
}

/// The 256-bit data key of one SOPS document. Wiped on drop; no `Clone`, `PartialEq` or `Serialize`; `Debug` shows no bytes.
///
/// The bytes live on the heap, so that moving the key leaves no copy on the stack.
pub struct DataKey(Box<Zeroizing<[u8; DataKey::LENGTH]>>);

impl DataKey {
    /// Length of a data key in bytes.
    pub const LENGTH: usize = 32;

    /// Fills a new key in place, so that no copy stays on the stack.
    pub fn init_with(fill: impl FnOnce(&mut [u8; Self::LENGTH])) -> Self {
        let mut key = Box::new(Zeroizing::new([0; Self::LENGTH]));
        fill(&mut key);
        Self(key)
    }

    /// A new key from `rng`.
    pub fn generate(rng: &mut dyn CryptoRng) -> Self {
        Self::init_with(|key| rng.fill_bytes(key))
    }

    /// The bytes themselves: to wrap the key for a recipient, or to split it into shares.
    pub fn expose_secret(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }

    /// The same key as [`SecretBytes`], the form that master keys wrap.
    pub fn to_secret_bytes(&self) -> SecretBytes {
        SecretBytes::new(self.0.to_vec())
    }
}

impl TryFrom<&SecretBytes> for DataKey {
    type Error = DataKeyLengthError;

    fn try_from(secret: &SecretBytes) -> Result<Self, Self::Error> {
        if secret.len() != Self::LENGTH {
            return Err(DataKeyLengthError { length: secret.len() });
        }
        Ok(Self::init_with(|key| key.copy_from_slice(secret.expose_secret())))
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey(..)")
    }
}

/// What a master key unwrapped is not a data key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a data key has 32 bytes, this one has {length}")]
pub struct DataKeyLengthError {
    /// Length found, in bytes.
    pub length: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_byte_and_no_length() {
        let secret = SecretBytes::new(b"hunter2".to_vec());
        assert_eq!(format!("{secret:?}"), "SecretBytes(..)");
        let key = DataKey::init_with(|key| key.fill(7));
        assert_eq!(format!("{key:?}"), "DataKey(..)");
    }

    #[test]
    fn a_data_key_is_32_bytes_and_nothing_else() {
        for length in [0, 16, 31, 33, 64] {
            let error = DataKey::try_from(&SecretBytes::new(vec![1; length])).unwrap_err();
            assert_eq!(error, DataKeyLengthError { length });
        }
        let key = DataKey::try_from(&SecretBytes::new(vec![1; 32])).unwrap();
        assert_eq!(key.expose_secret(), &[1; 32]);
        assert_eq!(key.to_secret_bytes().expose_secret(), &[1; 32]);
    }

    #[test]
    fn a_renewed_buffer_holds_zeros_whether_it_grew_or_not() {
        let mut buffer = SecretBytes::new(b"a secret of some length".to_vec());
        for length in [4, 0, 23, 5000, 17] {
            assert!(buffer.renew(length).iter().all(|byte| *byte == 0), "{length}");
            assert_eq!(buffer.len(), length);
            buffer.renew(length).fill(0xff);
        }
        buffer.shorten(3);
        assert_eq!(buffer.expose_secret(), [0xff; 3]);
        buffer.shorten(9);
        assert_eq!(buffer.len(), 3, "shortening never lengthens");
    }
}
