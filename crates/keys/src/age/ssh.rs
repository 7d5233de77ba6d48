//! SSH keys as recipients and identities: `ssh-ed25519` and `ssh-rsa`.
//!
//! ```text
//! -> ssh-ed25519 <first 4 bytes of SHA-256 of the public key> <X25519 share>
//! -> ssh-rsa     <first 4 bytes of SHA-256 of the public key>
//! ```
//!
//! Ours, and not the `age` crate's, because that one decrypts with the crate `rsa`, which leaks timing (RUSTSEC-2023-0071) and stops
//! at 4096 bits: here private keys work in aws-lc-rs only, and `rsa` is not part of the program. The four bytes tell whose a stanza
//! is before a passphrase is asked. Source: filippo.io/age 1.3.1 `agessh`.

use std::collections::HashSet;
use std::fmt;

use age::{DecryptError, EncryptError};
use age_core::format::{FileKey, Stanza};
use age_core::primitives::{aead_encrypt, hkdf};
use age_core::secrecy::ExposeSecret as _;
use bulla_crypto::{PrivateKey, PublicKey, encoding, hybrid};
use curve25519_dalek::edwards::CompressedEdwardsY;
use sha2::{Digest as _, Sha256, Sha512};
use zeroize::Zeroizing;

use super::curve::Scalar;
use super::stanza::{self, WRAPPED_FILE_KEY};

const ED25519: &str = "ssh-ed25519";
const RSA: &str = "ssh-rsa";
const ED25519_LABEL: &[u8] = b"age-encryption.org/v1/ssh-ed25519";
const RSA_LABEL: &[u8] = b"age-encryption.org/v1/ssh-rsa";

/// A public key that age can encrypt to.
#[derive(Clone)]
pub(super) enum Recipient {
    Ed25519 {
        /// The key on the X25519 curve.
        point: [u8; 32],
        /// The key as SSH writes it.
        wire: Vec<u8>,
    },
    Rsa(PublicKey),
}

/// Why a line is not such a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum SshError {
    #[error("expected `ssh-ed25519` or `ssh-rsa`, the key in base64, and optionally a comment")]
    Malformed,
    #[error("SSH keys of type `{0}` cannot encrypt: `ssh-ed25519` and `ssh-rsa` can")]
    Type(String),
    #[error(transparent)]
    Rsa(#[from] bulla_crypto::KeyError),
}

impl Recipient {
    /// Reads a line as in `authorized_keys` or a `.pub` file, with or without a comment.
    pub(super) fn parse(line: &str) -> Result<Self, SshError> {
        let mut words = line.split_ascii_whitespace();
        let (Some(name), Some(key)) = (words.next(), words.next()) else { return Err(SshError::Malformed) };
        let wire = encoding::decode_go(key.as_bytes()).map_err(|_| SshError::Malformed)?;
        let recipient = Self::from_wire(wire)?;
        if recipient.name() == name { Ok(recipient) } else { Err(SshError::Malformed) }
    }

    /// Takes a key as SSH writes it.
    pub(super) fn from_wire(wire: Vec<u8>) -> Result<Self, SshError> {
        let mut rest = Wire(&wire);
        let name = rest.string().ok_or(SshError::Malformed)?;
        if name == RSA.as_bytes() {
            return Ok(Self::Rsa(PublicKey::from_ssh_wire(&wire)?));
        }
        if name != ED25519.as_bytes() {
            return Err(match std::str::from_utf8(name) {
                Ok(name) if name.len() < 64 && name.chars().all(|c| c.is_ascii_graphic()) => {
                    SshError::Type(name.to_owned())
                }
                _ => SshError::Malformed,
            });
        }
        let key = rest.string().ok_or(SshError::Malformed)?;
        let key = CompressedEdwardsY::from_slice(key).map_err(|_| SshError::Malformed)?;
        let point = key.decompress().ok_or(SshError::Malformed)?.to_montgomery().to_bytes();
        if !rest.0.is_empty() {
            return Err(SshError::Malformed);
        }
        Ok(Self::Ed25519 { point, wire })
    }

    /// The name of the kind, which is also that of its stanzas.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Ed25519 { .. } => ED25519,
            Self::Rsa(_) => RSA,
        }
    }

    /// Whether the stanza says that it is for this key. Two keys in four thousand million answer for each other.
    pub(super) fn is_named_in(&self, stanza: &Stanza) -> bool {
        stanza.tag == self.name() && stanza.args.first() == Some(&self.short())
    }

    /// The key as SSH writes it.
    pub(super) fn wire(&self) -> Vec<u8> {
        match self {
            Self::Ed25519 { wire, .. } => wire.clone(),
            Self::Rsa(key) => key.to_ssh_wire(),
        }
    }

    /// The four bytes that stanzas name the key by.
    fn short(&self) -> String {
        stanza::encode_argument(&Sha256::digest(self.wire())[..4])
    }
}

/// As `ssh-keygen -l` shows it: kind and fingerprint.
impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fingerprint = stanza::encode_argument(&Sha256::digest(self.wire()));
        write!(f, "{} SHA256:{fingerprint}", self.name())
    }
}

impl age::Recipient for Recipient {
    fn wrap_file_key(&self, file_key: &FileKey) -> Result<(Vec<Stanza>, HashSet<String>), EncryptError> {
        let mut args = vec![self.short()];
        let body = match self {
            Self::Rsa(key) => hybrid::seal_oaep(key, file_key.expose_secret(), RSA_LABEL),
            Self::Ed25519 { point, wire } => {
                let ephemeral = Scalar::ephemeral();
                let key = ed25519_key(&ephemeral, point, wire, [ephemeral.public(), point])
                    .ok_or_else(|| EncryptError::Io(std::io::Error::other("the SSH key is a point of low order")))?;
                args.push(stanza::encode_argument(ephemeral.public()));
                aead_encrypt(&key, file_key.expose_secret())
            }
        };
        Ok((vec![Stanza { tag: self.name().to_owned(), args, body }], HashSet::new()))
    }
}

/// A private key that opens what was encrypted to its [`Recipient`].
pub(super) struct Identity {
    recipient: Recipient,
    secret: Secret,
}

enum Secret {
    Ed25519(Scalar),
    Rsa(Box<PrivateKey>),
}

impl Identity {
    pub(super) fn from_rsa(key: PrivateKey) -> Self {
        Self { recipient: Recipient::Rsa(key.public_key().clone()), secret: Secret::Rsa(Box::new(key)) }
    }

    /// From the seed of an Ed25519 key and its public half as SSH writes it. `None` if they do not belong together.
    pub(super) fn from_ed25519(seed: &[u8; 32], wire: Vec<u8>) -> Option<Self> {
        let mut hash = Zeroizing::new([0; 64]);
        hash.copy_from_slice(&Sha512::digest(seed));
        let mut scalar = Zeroizing::new([0; 32]);
        scalar.copy_from_slice(&hash[..32]);
        let scalar = Scalar::new(&scalar);
        let recipient = Recipient::from_wire(wire).ok()?;
        match &recipient {
            Recipient::Ed25519 { point, .. } if point == scalar.public() => {
                Some(Self { recipient, secret: Secret::Ed25519(scalar) })
            }
            _ => None,
        }
    }

    pub(super) fn recipient(&self) -> &Recipient {
        &self.recipient
    }
}

impl age::Identity for Identity {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        if stanza.tag != self.recipient.name() {
            return None;
        }
        let arguments = match self.secret {
            Secret::Ed25519(_) => 2,
            Secret::Rsa(_) => 1,
        };
        if stanza.args.len() != arguments {
            return Some(Err(DecryptError::InvalidHeader));
        }
        if !self.recipient.is_named_in(stanza) {
            return None;
        }
        // From here on the stanza is ours, and failing is an error.
        Some(match (&self.secret, &self.recipient) {
            (Secret::Rsa(key), _) => key
                .open_oaep(&stanza.body, RSA_LABEL)
                .and_then(|opened| stanza::file_key(opened.expose_secret()))
                .ok_or(DecryptError::DecryptionFailed),
            (Secret::Ed25519(scalar), recipient) => open_ed25519(scalar, &recipient.wire(), stanza),
        })
    }
}

fn open_ed25519(scalar: &Scalar, wire: &[u8], stanza: &Stanza) -> Result<FileKey, DecryptError> {
    let share: [u8; 32] = stanza::argument(&stanza.args[1]).ok_or(DecryptError::InvalidHeader)?;
    if stanza.body.len() != WRAPPED_FILE_KEY {
        return Err(DecryptError::InvalidHeader);
    }
    let key = ed25519_key(scalar, &share, wire, [&share, scalar.public()]).ok_or(DecryptError::InvalidHeader)?;
    stanza::open_file_key(&key, &stanza.body).ok_or(DecryptError::DecryptionFailed)
}

/// The key that wraps the file key: of what both sides share, tied to the SSH key and to both points.
fn ed25519_key(ours: &Scalar, theirs: &[u8; 32], wire: &[u8], points: [&[u8; 32]; 2]) -> Option<Zeroizing<[u8; 32]>> {
    let shared = ours.agree(theirs)?;
    let tweak = Scalar::new(&hkdf(wire, ED25519_LABEL, b""));
    let shared = tweak.agree(&shared)?;
    let salt = points.map(|point| &point[..]).concat();
    Some(Zeroizing::new(hkdf(&salt, ED25519_LABEL, &*shared)))
}

/// A reader of SSH's wire format: strings with their length in four bytes before them.
pub(super) struct Wire<'a>(pub(super) &'a [u8]);

impl<'a> Wire<'a> {
    pub(super) fn number(&mut self) -> Option<u32> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*number))
    }

    pub(super) fn string(&mut self) -> Option<&'a [u8]> {
        let length = self.number()?;
        let (string, rest) = self.0.split_at_checked(length as usize)?;
        self.0 = rest;
        Some(string)
    }
}
