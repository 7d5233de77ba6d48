//! Base64 and digests.

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
    function("b64dec", &[Text], None, |work, arguments| match encoding::decode_go(text(arguments, 0)) {
        Ok(decoded) => work.text(decoded),
        Err(error) => work.text(error.to_string().into_bytes()),
    }),
    function("b64enc", &[Text], None, |work, arguments| {
        work.allow(text(arguments, 0).len())?;
        work.text(encoding::encode(text(arguments, 0)).into_bytes())
    }),
    function("sha256sum", &[Text], None, |work, arguments| digest(work, &Sha256::digest(text(arguments, 0)))),
    function("sha512sum", &[Text], None, |work, arguments| digest(work, &Sha512::digest(text(arguments, 0)))),
];

fn digest(work: &mut crate::value::Work, digest: &[u8]) -> Result<Item, crate::error::Reason> {
    let digits = |byte: &u8| [byte >> 4, byte & 15].map(|digit| b"0123456789abcdef"[usize::from(digit)]);
    work.text(digest.iter().flat_map(digits).collect::<Vec<u8>>())
}
