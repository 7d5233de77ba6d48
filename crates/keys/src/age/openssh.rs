//! Private keys of SSH in their files: `OPENSSH PRIVATE KEY`, with or without a passphrase, and the older PEM forms without.
//!
//! ```text
//! "openssh-key-v1\0"  cipher  derivation  its options  number of keys: 1  public key  private part
//! private part: the same number twice, kind, numbers, comment, padding 1 2 3 …; encrypted as a whole
//! ```
//!
//! Ciphers: `none`, `aes256-ctr` (what ssh-keygen writes) and `aes256-cbc` (what it wrote), the ones that Go's reader, and so SOPS,
//! knows; derivation: `bcrypt`. The public key stands outside, so whether a key fits is known before the passphrase is asked.
//! Keys that were encrypted the old way (`Proc-Type: 4,ENCRYPTED`) are refused with the command that converts them.
//! Source: OpenSSH `PROTOCOL.key`; Go `x/crypto/ssh` `keys.go`.

use aes::Aes256;
use aes::cipher::{BlockCipherDecrypt as _, KeyInit as _, KeyIvInit as _, StreamCipher as _};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use bulla_crypto::hybrid::PrivateNumbers;
use bulla_crypto::{KeyError, PrivateKey, SecretBytes, pem};
use zeroize::Zeroizing;

use super::ssh::{Identity, Recipient, SshError, Wire};

const MAGIC: &[u8] = b"openssh-key-v1\0";
/// An Ed25519 key as PKCS#8 up to its seed. RFC 8410.
const ED25519_PKCS8: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// What a file holds.
pub(super) enum SshKey {
    /// A key, ready to use.
    Open(Identity),
    /// A key that needs a passphrase.
    Locked(LockedKey),
}

/// Why a file is not an SSH key that age can use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum PrivateKeyError {
    #[error("no private key in it: expected a PEM block `OPENSSH PRIVATE KEY`")]
    NoKey,
    #[error("the private key is damaged")]
    Malformed,
    #[error(
        "the private key is encrypted in the old PEM form, which is not supported: convert it with `ssh-keygen -p -f FILE`"
    )]
    OldEncryption,
    #[error("the private key is encrypted with `{0}`, which is not supported: `aes256-ctr` is")]
    Cipher(String),
    #[error(transparent)]
    Kind(#[from] SshError),
}

impl From<KeyError> for PrivateKeyError {
    fn from(error: KeyError) -> Self {
        Self::Kind(SshError::Rsa(error))
    }
}

/// Reads the first private key of a file.
pub(super) fn read(file: &SecretBytes) -> Result<SshKey, PrivateKeyError> {
    for block in pem::blocks(file.expose_secret()) {
        let content = block.content.expose_secret();
        match block.label {
            _ if block.has_headers && block.label.ends_with(b"PRIVATE KEY") => {
                return Err(PrivateKeyError::OldEncryption);
            }
            b"OPENSSH PRIVATE KEY" => return read_openssh(content),
            b"RSA PRIVATE KEY" => {
                return Ok(SshKey::Open(Identity::from_rsa(PrivateKey::from_pkcs1_der(content)?)));
            }
            b"PRIVATE KEY" => return read_pkcs8(content),
            _ => {}
        }
    }
    Err(PrivateKeyError::NoKey)
}

fn read_pkcs8(der: &[u8]) -> Result<SshKey, PrivateKeyError> {
    let Some(seed) = der.strip_prefix(&ED25519_PKCS8) else {
        return Ok(SshKey::Open(Identity::from_rsa(PrivateKey::from_pkcs8_der(der)?)));
    };
    let seed: &[u8; 32] = seed.try_into().map_err(|_| PrivateKeyError::Malformed)?;
    let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| PrivateKeyError::Malformed)?;
    let wire = [&[0, 0, 0, 11], &b"ssh-ed25519"[..], &[0, 0, 0, 32], pair.public_key().as_ref()].concat();
    Identity::from_ed25519(seed, wire).map(SshKey::Open).ok_or(PrivateKeyError::Malformed)
}

fn read_openssh(content: &[u8]) -> Result<SshKey, PrivateKeyError> {
    let read = |mut wire: Wire<'_>| {
        let cipher = wire.string()?.to_vec();
        let derivation = wire.string()?.to_vec();
        let options = wire.string()?.to_vec();
        let count = wire.number()?;
        let public = wire.string()?.to_vec();
        let private = Zeroizing::new(wire.string()?.to_vec());
        (count == 1).then_some((cipher, derivation, options, public, private))
    };
    let (cipher, derivation, options, public, private) =
        content.strip_prefix(MAGIC).and_then(|rest| read(Wire(rest))).ok_or(PrivateKeyError::Malformed)?;
    let recipient = Recipient::from_wire(public)?;
    if cipher == b"none" {
        let identity = read_private(&private, &recipient).ok_or(PrivateKeyError::Malformed)?;
        return Ok(SshKey::Open(identity));
    }
    let unsupported = || PrivateKeyError::Cipher(String::from_utf8_lossy(&cipher).escape_default().to_string());
    let cipher = match &cipher[..] {
        b"aes256-ctr" => Cipher::Counter,
        b"aes256-cbc" => Cipher::Chain,
        _ => return Err(unsupported()),
    };
    let mut options = Wire(&options);
    let (Some(salt), Some(rounds), b"bcrypt") = (options.string(), options.number(), &derivation[..]) else {
        return Err(PrivateKeyError::Malformed);
    };
    Ok(SshKey::Locked(LockedKey { recipient, cipher, salt: salt.to_vec(), rounds, private }))
}

#[derive(Clone, Copy)]
enum Cipher {
    Counter,
    Chain,
}

/// A private key that needs a passphrase.
pub(super) struct LockedKey {
    recipient: Recipient,
    cipher: Cipher,
    salt: Vec<u8>,
    rounds: u32,
    private: Zeroizing<Vec<u8>>,
}

impl LockedKey {
    /// The public half, which is not encrypted.
    pub(super) fn recipient(&self) -> &Recipient {
        &self.recipient
    }

    /// `None`: the passphrase is wrong (or the file damaged; nothing tells which).
    pub(super) fn unlock(&self, passphrase: &SecretBytes) -> Option<Identity> {
        let mut derived = Zeroizing::new([0; 48]);
        bcrypt_pbkdf::bcrypt_pbkdf(passphrase.expose_secret(), &self.salt, self.rounds, &mut *derived).ok()?;
        let (key, start) = derived.split_first_chunk::<32>()?;
        let start: &[u8; 16] = start.try_into().ok()?;
        let mut private = self.private.clone();
        match self.cipher {
            Cipher::Counter => {
                ctr::Ctr128BE::<Aes256>::new(key.into(), start.into()).apply_keystream(&mut private);
            }
            Cipher::Chain => decrypt_chain(&Aes256::new(key.into()), *start, &mut private)?,
        }
        read_private(&private, &self.recipient)
    }
}

/// Undoes CBC in place. `None` if the length is not whole blocks.
fn decrypt_chain(aes: &Aes256, mut previous: [u8; 16], bytes: &mut [u8]) -> Option<()> {
    let (blocks, []) = bytes.as_chunks_mut::<16>() else { return None };
    for block in blocks {
        let ciphertext = *block;
        aes.decrypt_block(block.into());
        for (byte, before) in block.iter_mut().zip(previous) {
            *byte ^= before;
        }
        previous = ciphertext;
    }
    Some(())
}

/// Reads the private part, which must belong to `recipient`.
fn read_private(private: &[u8], recipient: &Recipient) -> Option<Identity> {
    let mut wire = Wire(private);
    if wire.number()? != wire.number()? {
        return None;
    }
    let identity = match wire.string()? {
        b"ssh-ed25519" => {
            let _public = wire.string()?;
            let secret = wire.string()?; // seed, and the public key once more
            let (seed, _) = secret.split_first_chunk::<32>()?;
            Identity::from_ed25519(seed, recipient.wire())?
        }
        b"ssh-rsa" => {
            let mut number = || wire.string();
            let (modulus, public_exponent, private_exponent) = (number()?, number()?, number()?);
            let (coefficient, prime_p, prime_q) = (number()?, number()?, number()?);
            let key = PrivateKey::from_numbers(&PrivateNumbers {
                modulus,
                public_exponent,
                private_exponent,
                prime_p,
                prime_q,
                coefficient,
            });
            Identity::from_rsa(key.ok()?)
        }
        _ => return None,
    };
    let _comment = wire.string()?;
    let padded_right = wire.0.iter().enumerate().all(|(index, byte)| usize::from(*byte) == index + 1);
    (padded_right && identity.recipient().wire() == recipient.wire()).then_some(identity)
}
