//! The hybrid scheme of Sealed Secrets: RSA-OAEP carries a one-off AES key, AES-256-GCM carries the value.
//!
//! ```text
//! offset 0     2 bytes   big-endian length R of the RSA part: the bytes of the modulus (512 for RSA-4096)
//! offset 2     R bytes   RSA-OAEP of the 32-byte session key: SHA-256 for hash and MGF1, label = the scope
//! offset 2+R   n+16      AES-256-GCM of the value, tag at the end; nonce 12 zero bytes, as the key is used once
//! ```
//!
//! Nothing in it names the key, the scope or the item. Private keys work in aws-lc-rs only, in constant time; it takes sizes of 2048
//! to 8192 bits. Source: sealed-secrets 0.38.4 `pkg/crypto/crypto.go`; vectors in `tests/vectors/crypto/hybrid`.

use std::fmt;
use std::sync::Arc;

use aes_gcm::aead::{AeadInOut as _, KeyInit as _};
use aes_gcm::{Aes256Gcm, Nonce};
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::{
    KeySize, OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, OaepPublicEncryptingKey, PrivateDecryptingKey,
    PublicEncryptingKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use rand_core::CryptoRng;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::der::{self, Der, RsaPublic};
use crate::gcm::TAG_LENGTH;
use crate::pem;
use crate::secret::{DataKey, SecretBytes};

const SESSION_KEY_LENGTH: usize = 32;
const LENGTH_PREFIX: usize = 2;

/// Why a key cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The bytes are not a key of the expected form.
    #[error("not a well-formed RSA key")]
    Malformed,
    /// The PEM text has no block with a private key in it.
    #[error("no private key found: expected a PEM block `RSA PRIVATE KEY` or `PRIVATE KEY`")]
    NoPrivateKey,
    /// It is a key, but an elliptic one or the like.
    #[error("not an RSA key")]
    NotRsa,
    /// Too short to be safe, or longer than anybody's.
    #[error("RSA keys of {bits} bits are not supported: from 2048 to 8192 are")]
    UnsupportedSize {
        /// Length of the modulus.
        bits: usize,
    },
    /// Keys are generated in the usual sizes only.
    #[error("cannot generate an RSA key of {bits} bits: 2048, 3072, 4096 or 8192")]
    UnusualSize {
        /// Length asked for.
        bits: usize,
    },
    /// Well-formed, but its numbers do not fit together.
    #[error("the RSA key is not valid: its numbers do not fit together")]
    Rejected,
    /// The generator gave up.
    #[error("the RSA key could not be generated")]
    GenerationFailed,
}

/// Why a sealed value did not open with one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Shorter than it declares: cut, or not a sealed value at all.
    #[error("truncated: the sealed value is shorter than it declares")]
    Truncated,
    /// Sealed for an RSA key of another size, so certainly not for this one. No private-key operation was made.
    #[error("sealed for a key of another size: {} bits, this key has {}", .sealed_bytes * 8, .key_bytes * 8)]
    OtherKeySize {
        /// Bytes of the modulus it was sealed for.
        sealed_bytes: usize,
        /// Bytes of this key's modulus.
        key_bytes: usize,
    },
    /// Another key, or another label. OAEP cannot tell the two apart, so neither can we.
    #[error("sealed for another key or another scope")]
    NotForThisKeyOrLabel,
    /// Key and label are right, and the value was changed after sealing.
    #[error("damaged: the key fits, but the sealed value was changed")]
    Damaged,
}

/// A public RSA key that values are sealed with. Cheap to clone.
#[derive(Clone)]
pub struct PublicKey {
    key: Arc<OaepPublicEncryptingKey>,
    spki: Arc<[u8]>,
    bits: usize,
    fingerprint: Arc<str>,
}

impl PublicKey {
    /// Reads a `SubjectPublicKeyInfo` in DER, as certificates contain it.
    ///
    /// # Errors
    /// [`KeyError::Malformed`], [`KeyError::NotRsa`], [`KeyError::UnsupportedSize`], or [`KeyError::Rejected`] by aws-lc.
    pub fn from_spki_der(der: &[u8]) -> Result<Self, KeyError> {
        let public = match der::public_from_spki(der) {
            Der::Rsa(public) => public,
            Der::OtherAlgorithm => return Err(KeyError::NotRsa),
            Der::Malformed => return Err(KeyError::Malformed),
        };
        let bits = supported_bits(&public)?;
        let key = PublicEncryptingKey::from_der(der)
            .and_then(|key| Ok(OaepPublicEncryptingKey::new(key)?))
            .map_err(|_| KeyError::Rejected)?;
        Ok(Self {
            key: Arc::new(key),
            spki: der.into(),
            bits,
            fingerprint: fingerprint(&der::ssh_wire(&public)).into(),
        })
    }

    /// Reads a key as SSH writes it on the wire: the strings `ssh-rsa`, exponent, modulus, each with its length before it.
    ///
    /// # Errors
    /// As [`PublicKey::from_spki_der`].
    pub fn from_ssh_wire(wire: &[u8]) -> Result<Self, KeyError> {
        match der::public_from_ssh_wire(wire) {
            Der::Rsa(public) => {
                supported_bits(&public)?;
                Self::from_spki_der(&der::spki_from_public(&public))
            }
            Der::OtherAlgorithm => Err(KeyError::NotRsa),
            Der::Malformed => Err(KeyError::Malformed),
        }
    }

    /// The key as SSH writes it on the wire, of which [`PublicKey::fingerprint`] is the digest.
    pub fn to_ssh_wire(&self) -> Vec<u8> {
        match der::public_from_spki(&self.spki) {
            Der::Rsa(public) => der::ssh_wire(&public),
            Der::OtherAlgorithm | Der::Malformed => {
                unreachable!("`from_spki_der` read the same bytes")
            }
        }
    }

    /// The `SubjectPublicKeyInfo` in DER.
    pub fn as_spki_der(&self) -> &[u8] {
        &self.spki
    }

    /// Length of the modulus in bits.
    pub fn bits(&self) -> usize {
        self.bits
    }

    /// The fingerprint as OpenSSH prints it: `SHA256:` and 43 digits of base64. Sealed Secrets names its keys so.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PublicKey").field(&self.fingerprint).finish()
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.spki == other.spki
    }
}

impl Eq for PublicKey {}

/// A private RSA key that opens sealed values. `Debug` shows the fingerprint of its public key.
pub struct PrivateKey {
    key: OaepPrivateDecryptingKey,
    pkcs8: Zeroizing<Vec<u8>>,
    public: PublicKey,
}

impl PrivateKey {
    /// Generates a key of 2048, 3072, 4096 (the default of Sealed Secrets) or 8192 bits. Takes about a second for 4096.
    ///
    /// The randomness is aws-lc's own.
    ///
    /// # Errors
    /// [`KeyError::UnusualSize`] for other sizes, [`KeyError::GenerationFailed`] if aws-lc gives up.
    pub fn generate(bits: usize) -> Result<Self, KeyError> {
        let size = match bits {
            2048 => KeySize::Rsa2048,
            3072 => KeySize::Rsa3072,
            4096 => KeySize::Rsa4096,
            8192 => KeySize::Rsa8192,
            _ => return Err(KeyError::UnusualSize { bits }),
        };
        let key = PrivateDecryptingKey::generate(size).map_err(|_| KeyError::GenerationFailed)?;
        Self::from_parsed(key)
    }

    /// Reads PKCS#8 DER (PEM label `PRIVATE KEY`).
    ///
    /// # Errors
    /// As [`PublicKey::from_spki_der`].
    pub fn from_pkcs8_der(der: &[u8]) -> Result<Self, KeyError> {
        match der::pkcs1_from_pkcs8(der) {
            Der::Rsa(key) => Self::from_pkcs1_der(key),
            Der::OtherAlgorithm => Err(KeyError::NotRsa),
            Der::Malformed => Err(KeyError::Malformed),
        }
    }

    /// Reads PKCS#1 DER (PEM label `RSA PRIVATE KEY`), the form in which Sealed Secrets keeps its keys.
    ///
    /// # Errors
    /// As [`PublicKey::from_spki_der`].
    pub fn from_pkcs1_der(der: &[u8]) -> Result<Self, KeyError> {
        supported_bits(&der::public_from_pkcs1(der).ok_or(KeyError::Malformed)?)?;
        let key = PrivateDecryptingKey::from_pkcs8(&der::pkcs8_from_pkcs1(der)).map_err(|_| KeyError::Rejected)?;
        Self::from_parsed(key)
    }

    /// Reads a key from its numbers. OpenSSH keeps RSA keys so, which is why `bulla-keys` needs it.
    ///
    /// # Errors
    /// As [`PublicKey::from_spki_der`].
    pub fn from_numbers(numbers: &PrivateNumbers<'_>) -> Result<Self, KeyError> {
        let exponent_p = residue::below_prime(numbers.private_exponent, numbers.prime_p).ok_or(KeyError::Malformed)?;
        let exponent_q = residue::below_prime(numbers.private_exponent, numbers.prime_q).ok_or(KeyError::Malformed)?;
        Self::from_pkcs1_der(&der::pkcs1_from_numbers([
            numbers.modulus,
            numbers.public_exponent,
            numbers.private_exponent,
            numbers.prime_p,
            numbers.prime_q,
            &exponent_p,
            &exponent_q,
            numbers.coefficient,
        ]))
    }

    /// Reads the first RSA private key of a PEM text, PKCS#1 or PKCS#8. Other blocks are passed over, as client-go does.
    ///
    /// # Errors
    /// Without any such key: the error of the first block that looked like one, or [`KeyError::NoPrivateKey`].
    pub fn from_pem(text: &[u8]) -> Result<Self, KeyError> {
        let mut first_error = None;
        for block in pem::blocks(text) {
            let der = block.content.expose_secret();
            let key = match block.label {
                b"RSA PRIVATE KEY" => Self::from_pkcs1_der(der),
                b"PRIVATE KEY" => Self::from_pkcs8_der(der),
                b"EC PRIVATE KEY" => Err(KeyError::NotRsa),
                _ => continue,
            };
            match key {
                Ok(key) => return Ok(key),
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        Err(first_error.unwrap_or(KeyError::NoPrivateKey))
    }

    /// The key as PKCS#1 DER (PEM label `RSA PRIVATE KEY`).
    pub fn to_pkcs1_der(&self) -> SecretBytes {
        match der::pkcs1_from_pkcs8(&self.pkcs8) {
            Der::Rsa(key) => SecretBytes::new(key.to_vec()),
            Der::OtherAlgorithm | Der::Malformed => {
                unreachable!("aws-lc wrote it, and `from_parsed` read it")
            }
        }
    }

    /// The key as PKCS#8 DER (PEM label `PRIVATE KEY`).
    pub fn to_pkcs8_der(&self) -> SecretBytes {
        SecretBytes::new(self.pkcs8.to_vec())
    }

    /// The public key of the pair.
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// RSA-OAEP with SHA-256 for hash and MGF1. `None` if the padding is not right: another key, another label, or a changed
    /// ciphertext; nothing tells which. Other schemes than [`open`] build on it (`ssh-rsa` of age).
    pub fn open_oaep(&self, ciphertext: &[u8], label: &[u8]) -> Option<SecretBytes> {
        let mut plaintext = SecretBytes::default();
        let room = plaintext.renew(self.key.min_output_size());
        let length = self.key.decrypt(&OAEP_SHA256_MGF1SHA256, ciphertext, room, Some(label)).ok()?.len();
        plaintext.shorten(length);
        Some(plaintext)
    }

    fn from_parsed(key: PrivateDecryptingKey) -> Result<Self, KeyError> {
        let written: Pkcs8V1Der<'static> = key.as_der().map_err(|_| KeyError::Rejected)?;
        // aws-lc wipes what it wrote when it is dropped; this copy wipes itself.
        let pkcs8 = Zeroizing::new(written.as_ref().to_vec());
        let Der::Rsa(_) = der::pkcs1_from_pkcs8(&pkcs8) else {
            return Err(KeyError::Malformed);
        };
        let spki = key.public_key().as_der().map_err(|_| KeyError::Rejected)?;
        let public = PublicKey::from_spki_der(spki.as_ref())?;
        let key = OaepPrivateDecryptingKey::new(key).map_err(|_| KeyError::Rejected)?;
        Ok(Self { key, pkcs8, public })
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PrivateKey").field(&self.public.fingerprint).finish()
    }
}

/// The numbers of an RSA private key, big-endian, for [`PrivateKey::from_numbers`].
#[expect(missing_debug_implementations, reason = "most of the numbers are secret")]
pub struct PrivateNumbers<'a> {
    /// `n`
    pub modulus: &'a [u8],
    /// `e`
    pub public_exponent: &'a [u8],
    /// `d`
    pub private_exponent: &'a [u8],
    /// `p`
    pub prime_p: &'a [u8],
    /// `q`
    pub prime_q: &'a [u8],
    /// `1/q mod p`
    pub coefficient: &'a [u8],
}

/// Seals `plaintext`, which may be empty, for the holder of the private key.
///
/// `label` must be given again to open it: `namespace/name`, `namespace` or empty, by scope. `rng` gives the session key; the seed of
/// OAEP is aws-lc's own. Length: 2 + modulus + `plaintext` + 16 bytes.
///
/// # Panics
/// If `plaintext` is longer than 64 GiB, where GCM ends.
pub fn seal(key: &PublicKey, plaintext: &[u8], label: &[u8], rng: &mut dyn CryptoRng) -> Vec<u8> {
    let session_key = DataKey::generate(rng);
    let wrapped = seal_oaep(key, session_key.expose_secret(), label);
    let mut sealed = Vec::with_capacity(LENGTH_PREFIX + wrapped.len() + plaintext.len() + TAG_LENGTH);
    let length = u16::try_from(wrapped.len()).expect("a modulus has at most 1024 bytes");
    sealed.extend_from_slice(&length.to_be_bytes());
    sealed.extend_from_slice(&wrapped);
    let start = sealed.len();
    sealed.extend_from_slice(plaintext);
    let tag = Aes256Gcm::new(session_key.expose_secret().into())
        .encrypt_inout_detached(&Nonce::default(), b"", (&mut sealed[start..]).into())
        .expect("AES-GCM fails beyond 64 GiB only, and documents end at 4 GiB");
    sealed.extend_from_slice(&tag);
    sealed
}

/// RSA-OAEP with SHA-256 for hash and MGF1, of a key: at most the modulus minus 66 bytes.
///
/// # Panics
/// If `key_bytes` is longer than that.
pub fn seal_oaep(key: &PublicKey, key_bytes: &[u8], label: &[u8]) -> Vec<u8> {
    let mut wrapped = vec![0; key.key.ciphertext_size()];
    let length = key
        .key
        .encrypt(&OAEP_SHA256_MGF1SHA256, key_bytes, &mut wrapped, Some(label))
        .expect("the key was checked and what it wraps is short, so only memory can fail")
        .len();
    wrapped.truncate(length);
    wrapped
}

/// Opens what [`seal`] made for the public half of `key`.
///
/// # Errors
/// [`OpenError::Truncated`] and [`OpenError::OtherKeySize`] cost nothing. [`OpenError::NotForThisKeyOrLabel`] and
/// [`OpenError::Damaged`] cost one private-key operation (5 ms for 4096 bits).
pub fn open(key: &PrivateKey, sealed: &[u8], label: &[u8]) -> Result<SecretBytes, OpenError> {
    let (prefix, rest) = sealed.split_first_chunk().ok_or(OpenError::Truncated)?;
    let sealed_bytes = usize::from(u16::from_be_bytes(*prefix));
    let (wrapped, value) = rest.split_at_checked(sealed_bytes).ok_or(OpenError::Truncated)?;
    let (ciphertext, tag) = value.split_last_chunk::<TAG_LENGTH>().ok_or(OpenError::Truncated)?;
    let key_bytes = key.key.key_size_bytes();
    if sealed_bytes != key_bytes {
        return Err(OpenError::OtherKeySize { sealed_bytes, key_bytes });
    }
    let session_key = key.open_oaep(wrapped, label).ok_or(OpenError::NotForThisKeyOrLabel)?;
    // Go would take AES-128 and AES-192 keys here too. Nobody makes them: kubeseal writes 32 bytes, always.
    let session_key: &[u8; SESSION_KEY_LENGTH] =
        session_key.expose_secret().try_into().map_err(|_| OpenError::Damaged)?;
    let mut plaintext = SecretBytes::default();
    let buffer = plaintext.renew(ciphertext.len());
    buffer.copy_from_slice(ciphertext);
    Aes256Gcm::new(session_key.into())
        .decrypt_inout_detached(&Nonce::default(), b"", buffer.into(), tag.into())
        .map_err(|_| OpenError::Damaged)?;
    Ok(plaintext)
}

fn supported_bits(public: &RsaPublic<'_>) -> Result<usize, KeyError> {
    let bits = public.bits();
    if (2048..=8192).contains(&bits) { Ok(bits) } else { Err(KeyError::UnsupportedSize { bits }) }
}

/// As OpenSSH prints it: unpadded base64 of SHA-256 over the key as SSH writes it.
fn fingerprint(wire: &[u8]) -> String {
    format!("SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(wire)))
}

/// The exponents for CRT, which OpenSSH leaves out of its files.
mod residue {
    use zeroize::Zeroizing;

    /// `number mod (prime - 1)`, big-endian, as long as `prime`. `None` if `prime` is even, empty or 1.
    ///
    /// Shift and subtract, bit by bit, without a branch or an index that depends on the numbers: they are secret.
    pub(super) fn below_prime(number: &[u8], prime: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let prime = &prime[prime.iter().take_while(|byte| **byte == 0).count()..];
        if prime.last()? & 1 == 0 || prime == [1] {
            return None;
        }
        // Little-endian 32-bit limbs, one more than the modulus needs, for the bit that shifting pushes out.
        let mut modulus = Zeroizing::new(vec![0_u32; prime.len().div_ceil(4) + 1]);
        for (index, byte) in prime.iter().rev().enumerate() {
            modulus[index / 4] |= u32::from(*byte) << (index % 4 * 8);
        }
        modulus[0] &= !1; // prime - 1
        let mut rest = Zeroizing::new(vec![0_u32; modulus.len()]);
        let mut reduced = Zeroizing::new(vec![0_u32; modulus.len()]);
        for byte in number {
            for bit in (0..8).rev() {
                let mut carry = u32::from(byte >> bit & 1);
                for limb in rest.iter_mut() {
                    let shifted = *limb << 1 | carry;
                    carry = *limb >> 31;
                    *limb = shifted;
                }
                let mut borrow = 0;
                for ((reduced, limb), modulus) in reduced.iter_mut().zip(rest.iter()).zip(modulus.iter()) {
                    let difference = u64::from(*limb).wrapping_sub(u64::from(*modulus)).wrapping_sub(borrow);
                    *reduced = difference as u32;
                    borrow = difference >> 63;
                }
                // All ones if the modulus did not fit.
                let keep = 0_u32.wrapping_sub(borrow as u32);
                for (limb, reduced) in rest.iter_mut().zip(reduced.iter()) {
                    *limb = *limb & keep | *reduced & !keep;
                }
            }
        }
        let mut bytes = Zeroizing::new(vec![0; prime.len()]);
        for (index, byte) in bytes.iter_mut().rev().enumerate() {
            *byte = (rest[index / 4] >> (index % 4 * 8)) as u8;
        }
        Some(bytes)
    }

    #[cfg(test)]
    mod tests {
        use proptest::prelude::*;

        use super::*;

        proptest! {
            #[test]
            fn agrees_with_division(number: u128, prime in (3_u64..).prop_map(|number| number | 1)) {
                let residue = below_prime(&number.to_be_bytes(), &prime.to_be_bytes()).unwrap();
                let expected = (number % u128::from(prime - 1)) as u64;
                let bytes = expected.to_be_bytes();
                prop_assert_eq!(&residue[..], &bytes[bytes.len() - residue.len()..]);
            }
        }

        #[test]
        fn an_even_prime_is_refused() {
            for prime in [&[][..], &[0], &[1], &[0, 1], &[4]] {
                assert!(below_prime(&[9], prime).is_none(), "{prime:?}");
            }
        }
    }
}
