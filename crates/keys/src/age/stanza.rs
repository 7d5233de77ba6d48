//! Small things that all recipients of age have in common: bech32, and base64 without padding.

use age_core::format::{FILE_KEY_BYTES, FileKey};
use age_core::primitives::{aead_decrypt, bech32_decode, bech32_encode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bech32::Hrp;
use zeroize::Zeroizing;

/// Length of a wrapped file key: the key and a tag.
pub(super) const WRAPPED_FILE_KEY: usize = FILE_KEY_BYTES + 16;

/// Decodes an argument of a stanza: canonical base64 without padding.
pub(super) fn argument<const N: usize>(text: &str) -> Option<[u8; N]> {
    STANDARD_NO_PAD.decode(text).ok()?.try_into().ok()
}

/// Encodes an argument of a stanza.
pub(super) fn encode_argument(bytes: &[u8]) -> String {
    STANDARD_NO_PAD.encode(bytes)
}

/// Opens a file key that was wrapped with a key used once.
pub(super) fn open_file_key(key: &[u8; 32], body: &[u8]) -> Option<FileKey> {
    aead_decrypt(key, FILE_KEY_BYTES, body).ok().and_then(|opened| file_key(&Zeroizing::new(opened)))
}

/// Copies a file key; what it was in is the caller's to wipe.
pub(super) fn file_key(bytes: &[u8]) -> Option<FileKey> {
    let bytes: &[u8; FILE_KEY_BYTES] = bytes.try_into().ok()?;
    Some(FileKey::init_with_mut(|key| key.copy_from_slice(bytes)))
}

/// Decodes bech32 with this prefix (in upper case for secrets).
pub(super) fn from_bech32<const N: usize>(prefix: &str, text: &str) -> Result<Zeroizing<[u8; N]>, Bech32Error> {
    let expected = hrp(prefix);
    bech32_decode(
        text,
        |_| Bech32Error::Checksum,
        |found| if found == expected { Ok(()) } else { Err(Bech32Error::Prefix) },
        |_, bytes| {
            let mut decoded = Zeroizing::new([0; N]);
            let mut length = 0;
            for byte in bytes {
                *decoded.get_mut(length).ok_or(Bech32Error::Length)? = byte;
                length += 1;
            }
            if length == N { Ok(decoded) } else { Err(Bech32Error::Length) }
        },
    )
}

/// Encodes as bech32 with this prefix, in lower case.
pub(super) fn to_bech32(prefix: &str, bytes: &[u8]) -> Zeroizing<String> {
    Zeroizing::new(bech32_encode(hrp(prefix), bytes))
}

fn hrp(prefix: &str) -> Hrp {
    Hrp::parse(prefix).expect("the prefixes are constants of this crate, all of them valid")
}

/// Why a text is not the bech32 that was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Bech32Error {
    #[error("its checksum is wrong: mistyped, or cut")]
    Checksum,
    #[error("it does not start as it should")]
    Prefix,
    #[error("it has the wrong length")]
    Length,
}
