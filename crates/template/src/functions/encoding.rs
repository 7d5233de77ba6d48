//! Base64, base32 and digests.

use bulla_crypto::encoding;
use sha2::{Digest, Sha256, Sha512};

use crate::functions::Type::Text;
use crate::functions::{Function, function, text};
use crate::value::Item;

pub(crate) static FUNCTIONS: &[Function] = &[
    function("adler32sum", &[Text], None, |work, arguments| {
        let (a, b) = text(arguments, 0).iter().fold((1_u32, 0_u32), |(a, b), &byte| {
            let a = (a + u32::from(byte)) % 65521;
            (a, (b + a) % 65521)
        });
        work.text((b << 16 | a).to_string().into_bytes())
    }),
    // What is malformed becomes the text of an error, as it does in sprig.
    function("b32dec", &[Text], None, |work, arguments| match base32(text(arguments, 0)) {
        Ok(decoded) => work.text(decoded),
        Err(place) => work.text(format!("illegal base32 data at input byte {place}").into_bytes()),
    }),
    function("b32enc", &[Text], None, |work, arguments| {
        work.allow(2 * text(arguments, 0).len())?;
        work.text(to_base32(text(arguments, 0)))
    }),
    function("b64dec", &[Text], None, |work, arguments| match encoding::decode_go(text(arguments, 0)) {
        Ok(decoded) => work.text(decoded),
        Err(error) => work.text(error.to_string().into_bytes()),
    }),
    function("b64enc", &[Text], None, |work, arguments| {
        work.allow(text(arguments, 0).len())?;
        work.text(encoding::encode(text(arguments, 0)).into_bytes())
    }),
    function("sha1sum", &[Text], None, |work, arguments| {
        let sum = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, text(arguments, 0));
        digest(work, sum.as_ref())
    }),
    function("sha256sum", &[Text], None, |work, arguments| digest(work, &Sha256::digest(text(arguments, 0)))),
    function("sha512sum", &[Text], None, |work, arguments| digest(work, &Sha512::digest(text(arguments, 0)))),
];

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// Five bytes in eight letters; the last ones are filled up with `=`.
fn to_base32(bytes: &[u8]) -> Vec<u8> {
    let mut letters = Vec::with_capacity(bytes.len().div_ceil(5) * 8);
    for group in bytes.chunks(5) {
        let bits = (0..5).fold(0_u64, |bits, place| bits << 8 | u64::from(group.get(place).copied().unwrap_or(0)));
        let used = (group.len() * 8).div_ceil(5);
        letters.extend((0..8).map(
            |place| {
                if place < used { BASE32[(bits >> (35 - 5 * place)) as usize & 31] } else { b'=' }
            },
        ));
    }
    letters
}

/// As Go decodes it: line breaks are passed over, and the place of an error does not count them.
fn base32(text: &[u8]) -> Result<Vec<u8>, usize> {
    let letters: Vec<u8> = text.iter().copied().filter(|byte| !b"\r\n".contains(byte)).collect();
    let mut decoded = Vec::with_capacity(letters.len() / 8 * 5);
    for (group, start) in letters.chunks(8).zip((0..).step_by(8)) {
        let is_padding = |place: usize| group[place] == b'=' && place >= 2 && start + 8 >= letters.len();
        let used = (0..group.len()).find(|place| is_padding(*place)).unwrap_or(group.len());
        let mut bits = 0_u64;
        for (place, letter) in group[..used].iter().enumerate() {
            let value = BASE32.iter().position(|known| known == letter).ok_or(start + place)?;
            bits |= (value as u64) << (35 - 5 * place);
        }
        if used == group.len() && used < 8 {
            // It ends without what would fill it up. Go names the place where the group began.
            return Err(start);
        }
        if used < group.len() {
            if group.len() < 8 {
                return Err(letters.len());
            }
            if let Some(wrong) = (used + 1..8).find(|place| group[*place] != b'=') {
                return Err(start + wrong - 1);
            }
            if [1, 3, 6].contains(&used) {
                return Err(start + used);
            }
        }
        decoded.extend_from_slice(&bits.to_be_bytes()[3..3 + used * 5 / 8]);
    }
    Ok(decoded)
}

fn digest(work: &mut crate::value::Work, digest: &[u8]) -> Result<Item, crate::error::Reason> {
    let digits = |byte: &u8| [byte >> 4, byte & 15].map(|digit| b"0123456789abcdef"[usize::from(digit)]);
    work.text(digest.iter().flat_map(digits).collect::<Vec<u8>>())
}
