//! The post-quantum recipients of age, `age1pq1…`, which the `age` crate does not have.
//!
//! ```text
//! -> mlkem768x25519 <enc: ML-KEM-768 ciphertext, X25519 share>
//! <file key under ChaCha20-Poly1305>
//!
//! HPKE base mode (RFC 9180): KEM 0x647a MLKEM768-X25519 (X-Wing), KDF 1 HKDF-SHA256, AEAD 3 ChaCha20-Poly1305,
//! info "age-encryption.org/mlkem768x25519", no additional data, first message.
//! shared secret = SHA3-256(ML-KEM secret, X25519 secret, X25519 share, X25519 public key, "\.//^\")
//! identity = 32 bytes; SHAKE256 of them: 64 bytes of seed for ML-KEM, 32 bytes of private key for X25519
//! ```
//!
//! ML-KEM works in aws-lc-rs, which cannot take a seed; the crate `ml-kem` expands it. A mismatched key is not an error of the KEM
//! (ML-KEM rejects implicitly): it shows when the file key does not open. Sources: filippo.io/age 1.3.1 `pq.go`, filippo.io/hpke 0.4.0,
//! draft-ietf-hpke-pq; C2SP's vectors `hybrid*`.

use std::collections::HashSet;
use std::fmt;
use std::sync::OnceLock;

use age::{DecryptError, EncryptError};
use age_core::format::{FileKey, Stanza};
use age_core::secrecy::ExposeSecret as _;
use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use aws_lc_rs::kem::{Ciphertext, DecapsulationKey, EncapsulationKey, ML_KEM_768};
use ml_kem::{EncodedSizeUser as _, KemCore as _, MlKem768};
use sha3::digest::{ExtendableOutput as _, Update as _, XofReader as _};
use sha3::{Digest as _, Sha3_256, Shake256};
use zeroize::{Zeroize as _, Zeroizing};

use super::curve::Scalar;
use super::stanza::{self, Bech32Error, WRAPPED_FILE_KEY};

const TAG: &str = "mlkem768x25519";
const INFO: &[u8] = b"age-encryption.org/mlkem768x25519";
const RECIPIENT_PREFIX: &str = "age1pq";
const IDENTITY_PREFIX: &str = "AGE-SECRET-KEY-PQ-";

const ENCAPSULATION_KEY: usize = 1184;
const CIPHERTEXT: usize = 1088;
const PUBLIC_KEY: usize = ENCAPSULATION_KEY + 32;
const ENCAPSULATED: usize = CIPHERTEXT + 32;

/// What separates the suites of HPKE: `HPKE` and the numbers of KEM, KDF and AEAD.
const SUITE: &[u8] = b"HPKE\x64\x7a\x00\x01\x00\x03";
/// What separates X-Wing from other uses of the same hash.
const COMBINER_LABEL: &[u8] = br"\.//^\";

/// A public key, `age1pq1…`.
#[derive(Clone)]
pub(super) struct Recipient {
    bytes: Box<[u8; PUBLIC_KEY]>,
}

impl Recipient {
    pub(super) fn parse(text: &str) -> Result<Self, Bech32Error> {
        let bytes = Box::new(*stanza::from_bech32::<PUBLIC_KEY>(RECIPIENT_PREFIX, text)?);
        let recipient = Self { bytes };
        // aws-lc looks at the numbers when it encapsulates, so that is how to find out whether they are a key.
        recipient.encapsulate().ok_or(Bech32Error::Length)?;
        Ok(recipient)
    }

    /// `enc` and the shared secret.
    fn encapsulate(&self) -> Option<([u8; ENCAPSULATED], Zeroizing<[u8; 32]>)> {
        let (lattice, curve) = self.bytes.split_at(ENCAPSULATION_KEY);
        let curve: &[u8; 32] = curve.try_into().ok()?;
        let key = EncapsulationKey::new(&ML_KEM_768, lattice).ok()?;
        let (ciphertext, lattice_secret) = key.encapsulate().ok()?;
        let ephemeral = Scalar::ephemeral();
        let curve_secret = ephemeral.agree(curve)?;
        let mut encapsulated = [0; ENCAPSULATED];
        encapsulated[..CIPHERTEXT].copy_from_slice(ciphertext.as_ref());
        encapsulated[CIPHERTEXT..].copy_from_slice(ephemeral.public());
        let secret = combine(lattice_secret.as_ref(), &curve_secret, ephemeral.public(), curve);
        Some((encapsulated, secret))
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&stanza::to_bech32(RECIPIENT_PREFIX, &*self.bytes))
    }
}

impl age::Recipient for Recipient {
    fn wrap_file_key(&self, file_key: &FileKey) -> Result<(Vec<Stanza>, HashSet<String>), EncryptError> {
        let (encapsulated, secret) = self
            .encapsulate()
            .ok_or_else(|| EncryptError::Io(std::io::Error::other("the post-quantum recipient is not a valid key")))?;
        let mut body = file_key.expose_secret().to_vec();
        let (key, nonce) = schedule(&secret);
        key.seal_in_place_append_tag(nonce, Aad::empty(), &mut body)
            .expect("ChaCha20-Poly1305 fails beyond 256 GiB only");
        let stanza = Stanza { tag: TAG.to_owned(), args: vec![stanza::encode_argument(&encapsulated)], body };
        // age refuses to mix these with recipients that a quantum computer could break.
        Ok((vec![stanza], HashSet::from(["postquantum".to_owned()])))
    }
}

/// A private key, `AGE-SECRET-KEY-PQ-1…`. Its parts are derived when it is first used.
pub(super) struct Identity {
    seed: Zeroizing<[u8; 32]>,
    parts: OnceLock<Parts>,
}

struct Parts {
    lattice: DecapsulationKey,
    curve: Scalar,
    public: Box<[u8; PUBLIC_KEY]>,
}

impl Identity {
    pub(super) fn parse(text: &str) -> Result<Self, Bech32Error> {
        Ok(Self::from_seed(stanza::from_bech32(IDENTITY_PREFIX, text)?))
    }

    pub(super) fn from_seed(seed: Zeroizing<[u8; 32]>) -> Self {
        Self { seed, parts: OnceLock::new() }
    }

    /// `AGE-SECRET-KEY-PQ-1…`
    pub(super) fn to_text(&self) -> Zeroizing<String> {
        let mut text = stanza::to_bech32(&IDENTITY_PREFIX.to_ascii_lowercase(), &*self.seed);
        text.make_ascii_uppercase();
        text
    }

    pub(super) fn recipient(&self) -> Recipient {
        Recipient { bytes: self.parts().public.clone() }
    }

    fn parts(&self) -> &Parts {
        self.parts.get_or_init(|| {
            let mut hash = Shake256::default();
            hash.update(&*self.seed);
            let mut expanded = hash.finalize_xof();
            let mut seeds = Zeroizing::new([[0_u8; 32]; 3]);
            for seed in seeds.iter_mut() {
                expanded.read(seed);
            }
            let [d, z, scalar] = &*seeds;
            let (decapsulation, encapsulation) = MlKem768::generate_deterministic(d.into(), z.into());
            let mut bytes = decapsulation.as_bytes();
            let lattice = DecapsulationKey::new(&ML_KEM_768, &bytes).expect("`ml-kem` and aws-lc write the same form");
            bytes.as_mut_slice().zeroize();
            let curve = Scalar::new(scalar);
            let mut public = Box::new([0; PUBLIC_KEY]);
            public[..ENCAPSULATION_KEY].copy_from_slice(&encapsulation.as_bytes());
            public[ENCAPSULATION_KEY..].copy_from_slice(curve.public());
            Parts { lattice, curve, public }
        })
    }

    fn open(&self, stanza: &Stanza) -> Result<Option<FileKey>, DecryptError> {
        let [argument] = &stanza.args[..] else { return Err(DecryptError::InvalidHeader) };
        let encapsulated: [u8; ENCAPSULATED] = stanza::argument(argument).ok_or(DecryptError::InvalidHeader)?;
        if stanza.body.len() != WRAPPED_FILE_KEY {
            return Err(DecryptError::InvalidHeader);
        }
        let (ciphertext, share) = encapsulated.split_at(CIPHERTEXT);
        let share: &[u8; 32] = share.try_into().map_err(|_| DecryptError::InvalidHeader)?;
        let parts = self.parts();
        let lattice_secret =
            parts.lattice.decapsulate(Ciphertext::from(ciphertext)).map_err(|_| DecryptError::InvalidHeader)?;
        let curve_secret = parts.curve.agree(share).ok_or(DecryptError::InvalidHeader)?;
        let secret = combine(lattice_secret.as_ref(), &curve_secret, share, parts.curve.public());
        let (key, nonce) = schedule(&secret);
        let mut body = Zeroizing::new(stanza.body.clone());
        // Not ours: the secret of another key opens nothing.
        let Ok(opened) = key.open_in_place(nonce, Aad::empty(), &mut body) else { return Ok(None) };
        Ok(stanza::file_key(opened))
    }
}

impl age::Identity for Identity {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        if stanza.tag == TAG { self.open(stanza).transpose() } else { None }
    }
}

/// The shared secret of X-Wing, from those of its halves.
fn combine(lattice: &[u8], curve: &[u8; 32], share: &[u8; 32], public: &[u8; 32]) -> Zeroizing<[u8; 32]> {
    let mut hash = Sha3_256::new();
    for part in [lattice, curve, share, public, COMBINER_LABEL] {
        sha3::Digest::update(&mut hash, part);
    }
    Zeroizing::new(hash.finalize().into())
}

/// The key schedule of HPKE in base mode, up to the key and the nonce of the first message.
fn schedule(shared_secret: &[u8; 32]) -> (LessSafeKey, Nonce) {
    let no_key_id = extract(b"", "psk_id_hash", b"");
    let info = extract(b"", "info_hash", INFO);
    let context = [&[0][..], no_key_id.as_ref(), info.as_ref()].concat();
    let secret = extract(shared_secret, "secret", b"");
    let key = expand(secret.as_ref(), "key", &context, 32);
    let nonce = expand(secret.as_ref(), "base_nonce", &context, 12);
    let key = UnboundKey::new(&CHACHA20_POLY1305, &key[..32]).expect("ChaCha20-Poly1305 takes 32 bytes");
    let nonce = Nonce::try_assume_unique_for_key(&nonce[..12]).expect("ChaCha20-Poly1305 takes 12 bytes");
    (LessSafeKey::new(key), nonce)
}

/// `LabeledExtract` of RFC 9180.
fn extract(salt: &[u8], label: &str, secret: &[u8]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(&hmac::Key::new(HMAC_SHA256, salt));
    for part in [b"HPKE-v1", SUITE, label.as_bytes(), secret] {
        context.update(part);
    }
    context.sign()
}

/// `LabeledExpand` of RFC 9180 for at most 32 bytes, which is one block.
fn expand(key: &[u8], label: &str, info: &[u8], length: u16) -> Zeroizing<[u8; 32]> {
    let mut context = hmac::Context::with_key(&hmac::Key::new(HMAC_SHA256, key));
    for part in [&length.to_be_bytes()[..], b"HPKE-v1", SUITE, label.as_bytes(), info, &[1]] {
        context.update(part);
    }
    let mut block = Zeroizing::new([0; 32]);
    block.copy_from_slice(context.sign().as_ref());
    block
}

#[cfg(test)]
mod tests {
    use age::{Identity as _, Recipient as _};

    use super::*;

    fn identity(byte: u8) -> Identity {
        Identity::from_seed(Zeroizing::new([byte; 32]))
    }

    #[test]
    fn texts_are_read_as_they_are_written() {
        let identity = identity(7);
        let again = Identity::parse(&identity.to_text()).unwrap();
        assert_eq!(*again.seed, [7; 32]);
        let recipient = identity.recipient().to_string();
        assert_eq!(recipient.len(), 1959);
        assert_eq!(Recipient::parse(&recipient).unwrap().to_string(), recipient);
        let mistyped = recipient.replacen('q', "p", 2);
        assert_eq!(Recipient::parse(&mistyped).err(), Some(Bech32Error::Checksum));
    }

    #[test]
    fn a_public_key_with_numbers_too_large_is_refused() {
        let mut bytes = identity(7).recipient().bytes;
        bytes[..3].fill(0xff); // two coefficients of 4095; the modulus is 3329
        let text = stanza::to_bech32(RECIPIENT_PREFIX, &*bytes);
        assert!(Recipient::parse(&text).is_err());
        let mut bytes = identity(7).recipient().bytes;
        bytes[ENCAPSULATION_KEY..].fill(0); // a point of low order
        let text = stanza::to_bech32(RECIPIENT_PREFIX, &*bytes);
        assert!(Recipient::parse(&text).is_err());
    }

    #[test]
    fn opens_what_was_wrapped_for_it_and_nothing_else() {
        let file_key = FileKey::init_with_mut(|key| key.fill(9));
        let (stanzas, labels) = identity(1).recipient().wrap_file_key(&file_key).unwrap();
        assert!(labels.contains("postquantum"));
        let opened = identity(1).unwrap_stanzas(&stanzas).unwrap().unwrap();
        assert_eq!(opened.expose_secret(), &[9; 16]);
        assert!(identity(2).unwrap_stanzas(&stanzas).is_none());

        let [stanza] = &stanzas[..] else { panic!("one stanza") };
        let changed = |change: &dyn Fn(&mut Stanza)| {
            let mut stanza = Stanza { tag: stanza.tag.clone(), args: stanza.args.clone(), body: stanza.body.clone() };
            change(&mut stanza);
            identity(1).unwrap_stanza(&stanza)
        };
        assert!(changed(&|stanza| stanza.body[0] ^= 1).is_none());
        assert!(matches!(changed(&|stanza| stanza.body.push(0)), Some(Err(DecryptError::InvalidHeader))));
        assert!(matches!(changed(&|stanza| stanza.args.clear()), Some(Err(DecryptError::InvalidHeader))));
        assert!(matches!(changed(&|stanza| stanza.args[0].truncate(100)), Some(Err(DecryptError::InvalidHeader))));
    }
}
