//! What the MAC of SOPS leaves out, covered all the same: by the nonce under which the MAC is encrypted.
//!
//! ```text
//! outline   keys, structure, types and lengths ─ SHA-256 ┐
//!           comments                           ─ SHA-256 ┤  key: HMAC-SHA-256 of the data key
//! nonce     salt (8 bytes, random) ‖ mark (8) ‖ of the values (8) ‖ of the comments (8)
//!           mark = HMAC(key, "mark" ‖ salt)     of … = HMAC(key, "values" | "comments" ‖ salt ‖ digest ‖ MAC ‖ date)
//! ```
//! SOPS takes any 32 bytes for a nonce, so it reads such a file as ever; when it writes a MAC of its own, the nonce is a random one,
//! and the mark is gone with it. Nobody without the data key can take the mark off: under another nonce the MAC does not open.
//! The MAC and its date are part of what is digested, so the nonce is another for every MAC, whatever the salt.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use sha2::{Digest as _, Sha256};
use zeroize::{Zeroize as _, Zeroizing};

use crate::secret::DataKey;

/// Length of each of the four parts of a nonce.
const PART: usize = 8;

/// The salt of a nonce.
pub type Salt = [u8; PART];

/// The running digests over what the MAC leaves out of a document.
#[derive(Clone)]
pub struct Outline {
    values: Sha256,
    comments: Sha256,
}

impl Outline {
    /// The outline of nothing.
    #[expect(clippy::new_without_default, reason = "it begins a digest, as `Mac::new` does")]
    pub fn new() -> Self {
        Self { values: Sha256::new(), comments: Sha256::new() }
    }

    /// Adds what is known of the next value, key or container. It must tell where it ends.
    pub fn add_value(&mut self, bytes: &[u8]) {
        self.values.update(bytes);
    }

    /// Adds what is known of the next comment. It must tell where it ends.
    pub fn add_comment(&mut self, bytes: &[u8]) {
        self.comments.update(bytes);
    }

    /// The digests of all that was added.
    pub fn finish(self) -> OutlineDigest {
        let digest = |hash: Sha256| {
            let mut digest = hash.finalize();
            let kept = Zeroizing::new(digest.into());
            digest.as_mut_slice().zeroize();
            kept
        };
        OutlineDigest { values: digest(self.values), comments: digest(self.comments) }
    }
}

impl fmt::Debug for Outline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Outline(..)")
    }
}

/// A finished outline. It holds digests of comments, which may be secret: wiped on drop, never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct OutlineDigest {
    values: Zeroizing<[u8; 32]>,
    comments: Zeroizing<[u8; 32]>,
}

impl fmt::Debug for OutlineDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OutlineDigest(..)")
    }
}

/// What the nonce of a MAC says about the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coverage {
    /// It is no nonce of ours: SOPS, or another program, wrote the MAC, and it covers values only.
    Values,
    /// Everything is as it was when the MAC was written.
    Whole,
    /// The values are, and a key, a type, the structure or where one value ends and the next begins is not.
    OtherValues,
    /// All is but the comments.
    OtherComments,
}

/// Makes nonces for the MAC of one document, and reads them.
pub(crate) struct Covering(hmac::Key);

impl Covering {
    pub(crate) fn new(key: &DataKey) -> Self {
        let root = hmac::Key::new(hmac::HMAC_SHA256, key.expose_secret());
        Self(hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&root, b"bulla: key of outlines, 1").as_ref()))
    }

    /// The nonce that covers `outline`, beside `mac` and its `date`.
    pub(crate) fn nonce(&self, outline: &OutlineDigest, mac: &[u8], date: &[u8], salt: Salt) -> [u8; 4 * PART] {
        let mut nonce = [0; 4 * PART];
        let parts = [
            salt,
            self.part(b"mark", salt, &[]),
            self.part(b"values", salt, &[&outline.values[..], mac, date]),
            self.part(b"comments", salt, &[&outline.comments[..], mac, date]),
        ];
        nonce.copy_from_slice(parts.as_flattened());
        nonce
    }

    /// What `nonce` says about a document with this outline, MAC and date.
    pub(crate) fn coverage(&self, outline: &OutlineDigest, mac: &[u8], date: &[u8], nonce: &[u8]) -> Coverage {
        let (Some(salt), 32) = (nonce.first_chunk::<PART>(), nonce.len()) else { return Coverage::Values };
        let expected = self.nonce(outline, mac, date, *salt);
        let is = |part: usize| {
            let range = part * PART..(part + 1) * PART;
            verify_slices_are_equal(&expected[range.clone()], &nonce[range]).is_ok()
        };
        match (is(1), is(2), is(3)) {
            (false, ..) => Coverage::Values,
            (true, false, _) => Coverage::OtherValues,
            (true, true, false) => Coverage::OtherComments,
            (true, true, true) => Coverage::Whole,
        }
    }

    fn part(&self, what: &[u8], salt: Salt, texts: &[&[u8]]) -> Salt {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(what);
        context.update(&salt);
        // The first is a digest and the second a MAC, of one length each.
        for text in texts {
            context.update(text);
        }
        let mut part = [0; PART];
        part.copy_from_slice(&context.sign().as_ref()[..PART]);
        part
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: &[u8] = &[b'A'; 128];
    const DATE: &[u8] = b"2026-01-02T03:04:05Z";

    fn outline(values: &[u8], comments: &[u8]) -> OutlineDigest {
        let mut outline = Outline::new();
        outline.add_value(values);
        outline.add_comment(comments);
        outline.finish()
    }

    fn covering(byte: u8) -> Covering {
        Covering::new(&DataKey::init_with(|key| key.fill(byte)))
    }

    #[test]
    fn a_nonce_tells_what_is_another() {
        let nonce = covering(1).nonce(&outline(b"v", b"c"), MAC, DATE, [7; 8]);
        for (key, values, comments, date, expected) in [
            (1, "v", "c", DATE, Coverage::Whole),
            (1, "w", "c", DATE, Coverage::OtherValues),
            (1, "w", "d", DATE, Coverage::OtherValues),
            (1, "v", "d", DATE, Coverage::OtherComments),
            (1, "v", "c", &b"2026-01-02T03:04:06Z"[..], Coverage::OtherValues),
            (2, "v", "c", DATE, Coverage::Values),
        ] {
            let outline = outline(values.as_bytes(), comments.as_bytes());
            assert_eq!(covering(key).coverage(&outline, MAC, date, &nonce), expected, "{key} {values} {comments}");
        }
    }

    #[test]
    fn no_part_of_a_nonce_can_be_another() {
        let whole = outline(b"v", b"c");
        let nonce = covering(1).nonce(&whole, MAC, DATE, [7; 8]);
        for place in 0..nonce.len() {
            let mut changed = nonce;
            changed[place] ^= 1;
            let expected =
                [Coverage::Values, Coverage::Values, Coverage::OtherValues, Coverage::OtherComments][place / 8];
            assert_eq!(covering(1).coverage(&whole, MAC, DATE, &changed), expected, "{place}");
        }
        assert_eq!(covering(1).coverage(&whole, MAC, DATE, &nonce[..31]), Coverage::Values);
        assert_eq!(covering(1).coverage(&whole, MAC, DATE, &[]), Coverage::Values);
    }

    #[test]
    fn the_nonce_of_another_mac_is_another_under_the_same_salt() {
        let whole = outline(b"v", b"c");
        let nonce = covering(1).nonce(&whole, MAC, DATE, [7; 8]);
        assert_ne!(nonce, covering(1).nonce(&whole, &[b'B'; 128], DATE, [7; 8]));
        assert_ne!(nonce, covering(1).nonce(&whole, MAC, b"2026-01-02T03:04:06Z", [7; 8]));
    }
}
