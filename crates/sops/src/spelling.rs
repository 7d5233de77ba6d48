//! The spelling of an encrypted value, where its place and type alone would not give it back: `0x1F`, `1.50`, a folded text.
//!
//! ```text
//! ENC[AES256_GCM,data:…,iv:…,tag:…,type:float]~base64(nonce(32) ‖ tag(16) ‖ ciphertext)
//! ```
//! SOPS' reader looks at the beginning of a value only, so what stands behind the bracket is ours: the characters that spelt the value,
//! encrypted like a value, with `~` behind the path as additional data. No path ends so, and no date, so a spelling can never stand
//! for a value or for the MAC, nor the reverse. It is believed only if it opens and reads back as the value it stands beside; SOPS
//! drops it when it writes the file anew, and then the value comes back in a spelling of its own.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bulla_crypto::{EncryptedValue, SecretBytes, ValueCipher, ValueKind, encoding};

/// What separates the spelling from the value, and ends its additional data.
const MARK: u8 = b'~';

/// Length of nonce and tag in bytes.
const NONCE: usize = 32;
const TAG: usize = 16;

/// Appends the encrypted `spelling` of a value with the additional data `path` to `out`. `nonce` is for this alone.
pub(crate) fn append(cipher: &ValueCipher, spelling: &str, path: &[u8], nonce: &[u8; NONCE], out: &mut Vec<u8>) {
    let sealed = cipher.encrypt(spelling.as_bytes(), ValueKind::Str, &additional_data(path), nonce);
    // An empty spelling is not encrypted, and none is stored.
    let Some(value) = EncryptedValue::parse(&sealed) else { return };
    let parts = [value.tag, value.data].map(|part| encoding::decode_go(part.as_bytes()).unwrap_or_default());
    let bytes = [nonce.as_slice(), &parts[0], &parts[1]].concat();
    out.push(MARK);
    out.extend_from_slice(STANDARD.encode(bytes).as_bytes());
}

/// Is `rest`, what follows a value's bracket, a spelling by its form?
pub(crate) fn is_spelling(rest: &str) -> bool {
    rest.as_bytes().first() == Some(&MARK)
}

/// Opens the spelling in `rest`; `None` if there is none, or none that opens.
pub(crate) fn open(cipher: &ValueCipher, rest: &str, path: &[u8]) -> Option<SecretBytes> {
    let bytes = STANDARD.decode(rest.as_bytes().strip_prefix(&[MARK])?).ok()?;
    let (nonce, sealed) = bytes.split_at_checked(NONCE)?;
    let (tag, data) = sealed.split_at_checked(TAG)?;
    let [data, iv, tag] = [data, nonce, tag].map(encoding::encode);
    let value = EncryptedValue { data: &data, iv: &iv, tag: &tag, type_name: ValueKind::Str.as_str(), rest: "" };
    cipher.decrypt(&value, &additional_data(path)).ok().map(|(spelling, _)| spelling)
}

fn additional_data(path: &[u8]) -> Vec<u8> {
    [path, &[MARK]].concat()
}

#[cfg(test)]
mod tests {
    use bulla_crypto::DataKey;

    use super::*;

    #[test]
    fn a_spelling_opens_under_its_path_and_for_nothing_else() {
        let cipher = ValueCipher::new(&DataKey::init_with(|key| key.fill(1)));
        let mut text = cipher.encrypt(b"31", ValueKind::Int, b"a:", &[2; 32]).into_bytes();
        append(&cipher, "0x1F", b"a:", &[3; 32], &mut text);
        let text = String::from_utf8(text).unwrap();

        let value = EncryptedValue::parse(&text).unwrap();
        assert_eq!(cipher.decrypt(&value, b"a:").unwrap().0.expose_secret(), b"31");
        assert!(is_spelling(value.rest) && !value.rest.contains([']', ',']));
        assert_eq!(open(&cipher, value.rest, b"a:").unwrap().expose_secret(), b"0x1F");
        assert!(open(&cipher, value.rest, b"b:").is_none());
        assert!(open(&cipher, &value.rest[..40], b"a:").is_none());
        assert!(open(&cipher, "", b"a:").is_none());

        let bytes = STANDARD.decode(&value.rest[1..]).unwrap();
        let moved = cipher.encrypt(b"0x1F", ValueKind::Str, b"a:", &[3; 32]);
        let as_value = EncryptedValue::parse(&moved).unwrap();
        assert_ne!(STANDARD.decode(as_value.tag).unwrap(), bytes[32..48], "the additional data tells them apart");
    }

    #[test]
    fn an_empty_spelling_is_not_stored() {
        let cipher = ValueCipher::new(&DataKey::init_with(|key| key.fill(1)));
        let mut text = Vec::new();
        append(&cipher, "", b"a:", &[3; 32], &mut text);
        assert!(text.is_empty());
    }
}
