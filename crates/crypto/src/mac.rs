//! The MAC of a SOPS document: SHA-512 over its values, as text, in document order, with nothing between them; upper-case hex.
//!
//! Which leaves count, and how a number or a time is spelled, is the document's business (`bulla-sops`). Stored encrypted, as a value
//! of type `str` whose additional data is the date of the last change. Source: sops 3.13.3 `sops.go`.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use sha2::{Digest as _, Sha256, Sha512};
use zeroize::{Zeroize, Zeroizing};

/// The running hash over the values of a document.
pub struct Mac(Sha512);

impl Mac {
    /// The MAC over all values, encrypted or not.
    #[expect(clippy::new_without_default, reason = "which of the two MACs is meant must be said")]
    pub fn new() -> Self {
        Self(Sha512::new())
    }

    /// The MAC over encrypted values only (`mac_only_encrypted: true`). It starts with SHA-256 of `sops`, so that it can never equal
    /// the other kind; the caller leaves out the values that are not encrypted.
    pub fn only_encrypted() -> Self {
        Self(Sha512::new_with_prefix(Sha256::digest(b"sops")))
    }

    /// Adds the text of the next value.
    pub fn update(&mut self, value: &[u8]) {
        self.0.update(value);
    }

    /// The MAC of all that was added.
    pub fn finish(self) -> MacDigest {
        const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
        let mut digest = self.0.finalize();
        let mut hex = Zeroizing::new([0; 128]);
        for (pair, byte) in hex.chunks_exact_mut(2).zip(&digest) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        digest.as_mut_slice().zeroize();
        MacDigest(hex)
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mac(..)")
    }
}

/// A finished MAC: 128 upper-case hex digits. It is a digest of secrets, so it is one itself: wiped on drop, never printed.
pub struct MacDigest(Zeroizing<[u8; 128]>);

impl MacDigest {
    /// The digits, to be encrypted into the document.
    pub fn expose_secret(&self) -> &[u8] {
        &self.0[..]
    }

    /// Whether `stored`, decrypted from a document, is this very text. Takes the same time wherever they differ; upper case only, as
    /// SOPS compares.
    pub fn matches(&self, stored: &[u8]) -> bool {
        verify_slices_are_equal(&self.0[..], stored).is_ok()
    }
}

impl fmt::Debug for MacDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacDigest(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(mac: Mac) -> String {
        String::from_utf8(mac.finish().expose_secret().to_vec()).unwrap()
    }

    #[test]
    fn nothing_hashes_to_the_empty_digest_and_only_encrypted_starts_with_its_mark() {
        let empty = "CF83E1357EEFB8BDF1542850D66D8007D620E4050B5715DC83F4A921D36CE9CE\
                     47D0D13C5D85F2B0FF8318D2877EEC2F63B931BD47417A81A538327AF927DA3E";
        assert_eq!(text(Mac::new()), empty);

        let mut marked = Mac::new();
        marked.update(&[
            0x8a, 0x3f, 0xd2, 0xad, 0x54, 0xce, 0x66, 0x52, 0x7b, 0x10, 0x34, 0xf3, 0xd1, 0x47, 0xbe, 0x0b, 0x0b, 0x97,
            0x5b, 0x3b, 0xf4, 0x4f, 0x72, 0xc6, 0xfd, 0xad, 0xec, 0x81, 0x76, 0xf2, 0x7d, 0x69,
        ]);
        assert_eq!(text(Mac::only_encrypted()), text(marked));
    }

    #[test]
    fn values_are_joined_without_a_separator() {
        let mut apart = Mac::new();
        apart.update(b"ab");
        apart.update(b"");
        apart.update(b"c");
        let mut joined = Mac::new();
        joined.update(b"abc");
        assert_eq!(text(apart), text(joined));
    }

    #[test]
    fn only_the_exact_upper_case_text_matches() {
        let mut mac = Mac::new();
        mac.update(b"helloworld");
        let digest = mac.finish();
        let exact = digest.expose_secret().to_vec();
        assert!(digest.matches(&exact));
        assert!(!digest.matches(&exact.to_ascii_lowercase()));
        assert!(!digest.matches(&exact[..127]));
        assert!(!digest.matches(b""));
        for index in 0..exact.len() {
            let mut other = exact.clone();
            other[index] ^= 1;
            assert!(!digest.matches(&other), "{index}");
        }
    }
}
