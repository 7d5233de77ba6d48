//! One encrypted value, as SOPS writes it: `ENC[AES256_GCM,data:…,iv:…,tag:…,type:…]`, each part standard base64.
//!
//! `iv` is 32 bytes, not GCM's usual 12; `tag` is 16. The additional data is the key path, each key closed by `:` (`db:user:`); an
//! index adds nothing. The type is written beside the ciphertext and **not** authenticated: who edits a file can turn a `str` into an
//! `int` that does not parse. An empty value is never encrypted.
//!
//! Source: sops 3.13.3 `aes/cipher.go`; vectors in `tests/vectors/crypto/value`.
//! Invariant: plaintext leaves this module only as [`SecretBytes`], and no error here carries a value.

use std::fmt;
use std::str::FromStr;

use crate::encoding::{self, Base64Error};
use crate::gcm::{Gcm, TAG_LENGTH};
use crate::outline::{Coverage, Covering, OutlineDigest, Salt};
use crate::secret::{DataKey, SecretBytes};

const START: &str = "ENC[AES256_GCM,data:";
const IV: &str = ",iv:";
const TAG: &str = ",tag:";
const TYPE: &str = ",type:";

/// Ciphertexts up to this many bytes are made on the stack.
const ON_STACK: usize = 256;

/// What a value was before it became text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ValueKind {
    /// `str`: any bytes, UTF-8 or not.
    Str,
    /// `int`: decimal digits with an optional sign.
    Int,
    /// `float`: never with an exponent.
    Float,
    /// `bool`: written `True` or `False`.
    Bool,
    /// `time`: RFC 3339.
    Time,
    /// `bytes`: raw bytes. Read, for old files; SOPS no longer writes it.
    Bytes,
    /// `comment`: the text after `#`.
    Comment,
}

impl ValueKind {
    /// The name that stands after `type:`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Str => "str",
            Self::Int => "int",
            Self::Float => "float",
            Self::Bool => "bool",
            Self::Time => "time",
            Self::Bytes => "bytes",
            Self::Comment => "comment",
        }
    }
}

impl fmt::Display for ValueKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ValueKind {
    type Err = ValueError;

    /// Case counts, as in SOPS.
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Ok(match name {
            "str" => Self::Str,
            "int" => Self::Int,
            "float" => Self::Float,
            "bool" => Self::Bool,
            "time" => Self::Time,
            "bytes" => Self::Bytes,
            "comment" => Self::Comment,
            _ => return Err(ValueError::UnknownType),
        })
    }
}

/// Why an encrypted value could not be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ValueError {
    /// The text does not have the form of an encrypted value: probably nobody encrypted it.
    #[error("not an encrypted value: expected `ENC[AES256_GCM,data:…,iv:…,tag:…,type:…]`")]
    NotEncrypted,
    /// One of the parts is not base64. The file was damaged.
    #[error("`{part}` of the encrypted value is not base64")]
    Base64 {
        /// The part that is broken.
        part: Part,
        /// Where in that part.
        source: Base64Error,
    },
    /// `iv` decodes to nothing. The file was damaged.
    #[error("`iv` of the encrypted value is empty")]
    EmptyNonce,
    /// The value was changed, or moved here from another path, or encrypted with another data key.
    #[error(
        "authentication failed: the value was changed, moved from another path, or encrypted with another data key"
    )]
    Authentication,
    /// The value is authentic, but its type is none of those that SOPS knows.
    #[error(
        "unknown type of the encrypted value: expected `str`, `int`, `float`, `bool`, `time`, `bytes` or `comment`"
    )]
    UnknownType,
}

/// A base64 part of an encrypted value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The ciphertext.
    Data,
    /// The nonce.
    Iv,
    /// The authentication tag.
    Tag,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Data => "data",
            Self::Iv => "iv",
            Self::Tag => "tag",
        })
    }
}

/// The parts of an encrypted value, as they are spelled: found, not yet decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EncryptedValue<'a> {
    /// Base64 of the ciphertext.
    pub data: &'a str,
    /// Base64 of the nonce.
    pub iv: &'a str,
    /// Base64 of the tag.
    pub tag: &'a str,
    /// Name of the type, see [`ValueKind`].
    pub type_name: &'a str,
    /// What follows the closing bracket. SOPS ignores it.
    pub rest: &'a str,
}

impl<'a> EncryptedValue<'a> {
    /// Finds the parts as the reader of SOPS does, with the regular expression
    /// `^ENC\[AES256_GCM,data:(.+),iv:(.+),tag:(.+),type:(.+)\]`: greedy from the left, each part at least one character and none
    /// with a line break, any text after the last `]`. `None` if it does not match.
    pub fn parse(text: &'a str) -> Option<Self> {
        let after_start = text.strip_prefix(START)?;
        let line = &after_start[..after_start.find('\n').unwrap_or(after_start.len())];
        // Greedy from the left means: each separator is the last one that leaves room for the rest, so search from the right.
        let end = line.rfind(']')?;
        let (before_type, type_name) = split_last(&line[..end], TYPE)?;
        let (before_tag, tag) = split_last(before_type, TAG)?;
        let (data, iv) = split_last(before_tag, IV)?;
        if data.is_empty() {
            return None;
        }
        Some(Self { data, iv, tag, type_name, rest: &after_start[end + 1..] })
    }

    /// The nonce, if it has the 32 bytes that SOPS writes: to encrypt an unchanged value to the same text again.
    pub fn nonce(&self) -> Option<[u8; 32]> {
        encoding::decode_go(self.iv.as_bytes()).ok()?.try_into().ok()
    }
}

impl<'a> TryFrom<&'a str> for EncryptedValue<'a> {
    type Error = ValueError;

    /// [`EncryptedValue::parse`] with [`ValueError::NotEncrypted`] for `None`.
    fn try_from(text: &'a str) -> Result<Self, Self::Error> {
        Self::parse(text).ok_or(ValueError::NotEncrypted)
    }
}

/// Splits at the last `separator` that leaves at least one byte after it. A separator starts with a comma and has none inside.
fn split_last<'a>(text: &'a str, separator: &str) -> Option<(&'a str, &'a str)> {
    let mut end = text.len();
    loop {
        // Base64 has no commas: the first one from the right is nearly always the one.
        end = text.as_bytes()[..end].iter().rposition(|&byte| byte == b',')?;
        if let Some(after) = text[end..].strip_prefix(separator)
            && !after.is_empty()
        {
            return Some((&text[..end], after));
        }
    }
}

/// Encrypts and decrypts the values of one document. The AES key schedule is computed once; wiped on drop.
pub struct ValueCipher {
    gcm: Gcm,
    covering: Covering,
}

impl ValueCipher {
    /// The cipher with `key`, which it does not keep itself.
    pub fn new(key: &DataKey) -> Self {
        Self { gcm: Gcm::new(key.expose_secret()), covering: Covering::new(key) }
    }

    /// Encrypts one value. See [`ValueCipher::encrypt_into`].
    ///
    /// # Panics
    /// As there.
    pub fn encrypt(&self, plaintext: &[u8], kind: ValueKind, additional_data: &[u8], nonce: &[u8; 32]) -> String {
        let mut text = Vec::new();
        self.encrypt_into(plaintext, kind, additional_data, nonce, &mut text);
        String::from_utf8(text).expect("base64 and the words around it are ASCII")
    }

    /// Appends the encrypted form of `plaintext` to `out`; ASCII. Nothing is appended for an empty `plaintext`: SOPS never encrypts
    /// one, and its reader would not recognise it.
    ///
    /// `additional_data` is the key path (`db:user:`). `nonce` is random and used once, or that of the value of which this is the
    /// unchanged plaintext under the unchanged path and key.
    ///
    /// # Panics
    /// If `plaintext` is longer than 64 GiB, where GCM ends.
    pub fn encrypt_into(
        &self,
        plaintext: &[u8],
        kind: ValueKind,
        additional_data: &[u8],
        nonce: &[u8; 32],
        out: &mut Vec<u8>,
    ) {
        if plaintext.is_empty() {
            return;
        }
        let mut on_stack = [0; ON_STACK];
        let mut on_heap = Vec::new();
        let ciphertext = if let Some(room) = on_stack.get_mut(..plaintext.len()) {
            room
        } else {
            on_heap.resize(plaintext.len(), 0);
            on_heap.as_mut_slice()
        };
        let tag = self.gcm.seal(nonce, additional_data, plaintext, ciphertext);

        out.reserve(encrypted_length(plaintext.len(), kind));
        out.extend_from_slice(START.as_bytes());
        encoding::encode_into(ciphertext, out);
        out.extend_from_slice(IV.as_bytes());
        encoding::encode_into(nonce, out);
        out.extend_from_slice(TAG.as_bytes());
        encoding::encode_into(&tag, out);
        out.extend_from_slice(TYPE.as_bytes());
        out.extend_from_slice(kind.as_str().as_bytes());
        out.push(b']');
    }

    /// The nonce to encrypt `mac` with, under its `date`, so that it covers `outline`, too. `salt` is random.
    pub fn covering_nonce(&self, outline: &OutlineDigest, mac: &[u8], date: &[u8], salt: Salt) -> [u8; 32] {
        self.covering.nonce(outline, mac, date, salt)
    }

    /// What `stored`, which opened as `mac` under `date`, says about a document with this outline.
    pub fn coverage(&self, stored: &EncryptedValue<'_>, outline: &OutlineDigest, mac: &[u8], date: &[u8]) -> Coverage {
        let nonce = encoding::decode_go(stored.iv.as_bytes()).unwrap_or_default();
        self.covering.coverage(outline, mac, date, &nonce)
    }

    /// Opens one value. `additional_data` is the key path it was encrypted under.
    ///
    /// The bytes are those that were encrypted; that an `int` is a number, and so on, is for the caller to see.
    ///
    /// # Errors
    /// In this order, as SOPS checks: [`ValueError::Base64`] for the first broken part, [`ValueError::EmptyNonce`],
    /// [`ValueError::Authentication`], [`ValueError::UnknownType`].
    pub fn decrypt(
        &self,
        value: &EncryptedValue<'_>,
        additional_data: &[u8],
    ) -> Result<(SecretBytes, ValueKind), ValueError> {
        let mut plaintext = SecretBytes::default();
        let kind = self.decrypt_into(value, additional_data, &mut plaintext)?;
        Ok((plaintext, kind))
    }

    /// [`ValueCipher::decrypt`] into a buffer that is used again: its old content is wiped, and it is empty after an error.
    ///
    /// # Errors
    /// As [`ValueCipher::decrypt`].
    pub fn decrypt_into(
        &self,
        value: &EncryptedValue<'_>,
        additional_data: &[u8],
        plaintext: &mut SecretBytes,
    ) -> Result<ValueKind, ValueError> {
        let result = self.decrypt_in_place(value, additional_data, plaintext);
        if result.is_err() {
            plaintext.renew(0);
        }
        result
    }

    fn decrypt_in_place(
        &self,
        value: &EncryptedValue<'_>,
        additional_data: &[u8],
        buffer: &mut SecretBytes,
    ) -> Result<ValueKind, ValueError> {
        let (data, tag) = (value.data.as_bytes(), value.tag.as_bytes());
        let room = encoding::decoded_capacity(data.len()) + encoding::decoded_capacity(tag.len());
        let bytes = buffer.renew(room);
        let broken = |part| move |source| ValueError::Base64 { part, source };

        let data_length = encoding::decode_go_slice(data, bytes).map_err(broken(Part::Data))?;
        let mut on_stack = [0; 64];
        let mut on_heap = Vec::new();
        let nonce_room = encoding::decoded_capacity(value.iv.len());
        let nonce = if let Some(room) = on_stack.get_mut(..nonce_room) {
            room
        } else {
            on_heap.resize(nonce_room, 0);
            on_heap.as_mut_slice()
        };
        let nonce_length = encoding::decode_go_slice(value.iv.as_bytes(), nonce).map_err(broken(Part::Iv))?;
        let nonce = &nonce[..nonce_length];
        let tag_length = encoding::decode_go_slice(tag, &mut bytes[data_length..]).map_err(broken(Part::Tag))?;
        if nonce.is_empty() {
            return Err(ValueError::EmptyNonce);
        }

        // SOPS joins both parts and takes the last 16 bytes for the tag, so a file that splits them elsewhere opens too.
        let length = (data_length + tag_length).checked_sub(TAG_LENGTH).ok_or(ValueError::Authentication)?;
        let (sealed, after) = bytes.split_at_mut(length);
        let tag = after.first_chunk().ok_or(ValueError::Authentication)?;
        self.gcm.open(nonce, additional_data, sealed, tag).map_err(|_| ValueError::Authentication)?;
        buffer.shorten(length);
        value.type_name.parse()
    }
}

impl fmt::Debug for ValueCipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ValueCipher(..)")
    }
}

/// Length in bytes of the encrypted form of a plaintext of `length` bytes, which is not 0.
fn encrypted_length(length: usize, kind: ValueKind) -> usize {
    let words = START.len() + IV.len() + TAG.len() + TYPE.len() + kind.as_str().len() + 1;
    words + encoding::encoded_length(length) + encoding::encoded_length(32) + encoding::encoded_length(TAG_LENGTH)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KINDS: [ValueKind; 7] = [
        ValueKind::Str,
        ValueKind::Int,
        ValueKind::Float,
        ValueKind::Bool,
        ValueKind::Time,
        ValueKind::Bytes,
        ValueKind::Comment,
    ];

    fn cipher(byte: u8) -> ValueCipher {
        ValueCipher::new(&DataKey::init_with(|key| key.fill(byte)))
    }

    fn open(text: &str, additional_data: &[u8]) -> Result<Vec<u8>, ValueError> {
        let value = EncryptedValue::try_from(text)?;
        let (plaintext, _) = cipher(1).decrypt(&value, additional_data)?;
        Ok(plaintext.expose_secret().to_vec())
    }

    #[test]
    fn every_kind_has_its_name_and_no_other() {
        for kind in KINDS {
            assert_eq!(kind.as_str().parse::<ValueKind>().unwrap(), kind);
        }
        for name in ["", "Str", "str ", "integer", "null"] {
            assert_eq!(name.parse::<ValueKind>(), Err(ValueError::UnknownType), "{name:?}");
        }
    }

    #[test]
    fn nothing_is_encrypted_to_nothing() {
        assert_eq!(cipher(1).encrypt(b"", ValueKind::Str, b"a:", &[0; 32]), "");
    }

    #[test]
    fn appending_reserves_once_and_keeps_what_was_there() {
        for length in [1, 255, 256, 257, 100_000] {
            let mut out = b"a: ".to_vec();
            out.reserve_exact(encrypted_length(length, ValueKind::Comment));
            let capacity = out.capacity();
            cipher(1).encrypt_into(&vec![b'x'; length], ValueKind::Comment, b":", &[3; 32], &mut out);
            assert_eq!(out.len(), 3 + encrypted_length(length, ValueKind::Comment));
            assert_eq!(out.capacity(), capacity);
            assert!(out.starts_with(b"a: ENC[AES256_GCM,data:"));
        }
    }

    #[test]
    fn the_type_is_judged_after_the_authentication() {
        let text = cipher(1).encrypt(b"x", ValueKind::Str, b"a:", &[0; 32]);
        let renamed = text.replace("type:str", "type:int");
        assert_eq!(open(&renamed, b"a:").unwrap(), b"x", "the type is not authenticated");
        let unknown = text.replace("type:str", "type:null");
        assert_eq!(open(&unknown, b"a:"), Err(ValueError::UnknownType));
        assert_eq!(open(&unknown, b"b:"), Err(ValueError::Authentication));
    }

    #[test]
    fn a_broken_part_is_named_and_the_buffer_is_empty_after_it() {
        let text = cipher(1).encrypt(b"plain text", ValueKind::Str, b"a:", &[0; 32]);
        let value = EncryptedValue::parse(&text).unwrap();
        let broken = |part| ValueError::Base64 { part, source: Base64Error { offset: 1 } };
        for (value, expected) in [
            (EncryptedValue { data: "A*==", ..value }, broken(Part::Data)),
            (EncryptedValue { iv: "A*==", ..value }, broken(Part::Iv)),
            (EncryptedValue { tag: "A*==", ..value }, broken(Part::Tag)),
            (EncryptedValue { iv: "\r", ..value }, ValueError::EmptyNonce),
            (EncryptedValue { tag: "AAAA", data: "AAAA", ..value }, ValueError::Authentication),
            (EncryptedValue { iv: "AAAA", ..value }, ValueError::Authentication),
        ] {
            let mut buffer = SecretBytes::new(b"from the last value".to_vec());
            let error = cipher(1).decrypt_into(&value, b"a:", &mut buffer).unwrap_err();
            assert_eq!(error, expected);
            assert!(buffer.is_empty());
        }
    }

    #[test]
    fn a_tag_split_elsewhere_opens_as_in_sops() {
        let text = cipher(1).encrypt(b"hello", ValueKind::Str, b"a:", &[0; 32]);
        let value = EncryptedValue::parse(&text).unwrap();
        let mut joined = encoding::decode_go(value.data.as_bytes()).unwrap();
        joined.extend(encoding::decode_go(value.tag.as_bytes()).unwrap());
        let (data, tag) = (encoding::encode(&joined[..2]), encoding::encode(&joined[2..]));
        let moved = EncryptedValue { data: &data, tag: &tag, ..value };
        assert_eq!(cipher(1).decrypt(&moved, b"a:").unwrap().0.expose_secret(), b"hello");
    }

    #[test]
    fn the_nonce_comes_back_if_it_has_32_bytes() {
        let text = cipher(1).encrypt(b"x", ValueKind::Str, b"a:", &[9; 32]);
        let value = EncryptedValue::parse(&text).unwrap();
        assert_eq!(value.nonce(), Some([9; 32]));
        assert_eq!(EncryptedValue { iv: "AAAA", ..value }.nonce(), None);
        assert_eq!(EncryptedValue { iv: "*", ..value }.nonce(), None);
    }

    proptest! {
        #[test]
        fn decrypt_undoes_encrypt(
            plaintext in prop::collection::vec(any::<u8>(), 1..600),
            additional_data: Vec<u8>,
            nonce: [u8; 32],
            kind in prop::sample::select(&KINDS[..]),
            rest in "[^\\]\n]*",
        ) {
            let text = cipher(1).encrypt(&plaintext, kind, &additional_data, &nonce) + &rest;
            let value = EncryptedValue::parse(&text).unwrap();
            prop_assert_eq!(value.rest, rest);
            let (opened, found) = cipher(1).decrypt(&value, &additional_data).unwrap();
            prop_assert_eq!(opened.expose_secret(), &plaintext[..]);
            prop_assert_eq!(found, kind);
            prop_assert_eq!(
                cipher(2).decrypt(&value, &additional_data).unwrap_err(),
                ValueError::Authentication
            );
        }

        #[test]
        fn a_flipped_bit_anywhere_is_refused(
            plaintext in prop::collection::vec(any::<u8>(), 1..80),
            nonce: [u8; 32],
        ) {
            let text = cipher(1).encrypt(&plaintext, ValueKind::Str, b"a:b:", &nonce);
            let value = EncryptedValue::parse(&text).unwrap();
            for part in [Part::Data, Part::Iv, Part::Tag] {
                let spelled = match part {
                    Part::Data => value.data,
                    Part::Iv => value.iv,
                    Part::Tag => value.tag,
                };
                let mut bytes = encoding::decode_go(spelled.as_bytes()).unwrap();
                for bit in 0..bytes.len() * 8 {
                    bytes[bit / 8] ^= 1 << (bit % 8);
                    let changed = encoding::encode(&bytes);
                    bytes[bit / 8] ^= 1 << (bit % 8);
                    let value = match part {
                        Part::Data => EncryptedValue { data: &changed, ..value },
                        Part::Iv => EncryptedValue { iv: &changed, ..value },
                        Part::Tag => EncryptedValue { tag: &changed, ..value },
                    };
                    let error = cipher(1).decrypt(&value, b"a:b:").unwrap_err();
                    prop_assert_eq!(error, ValueError::Authentication, "{} bit {}", part, bit);
                }
            }
            for path in [&b"a:c:"[..], b"a:b", b"", b":"] {
                let error = cipher(1).decrypt(&value, path).unwrap_err();
                prop_assert_eq!(error, ValueError::Authentication);
            }
        }

        #[test]
        fn a_text_cut_anywhere_is_refused(
            plaintext in prop::collection::vec(any::<u8>(), 1..80),
            nonce: [u8; 32],
        ) {
            let text = cipher(1).encrypt(&plaintext, ValueKind::Float, b"a:", &nonce);
            for end in 0..text.len() {
                prop_assert_eq!(open(&text[..end], b"a:"), Err(ValueError::NotEncrypted), "{}", end);
            }
        }

        #[test]
        fn any_text_parses_or_not_without_a_panic(text in "(ENC\\[AES256_GCM,data:)?(,iv:|,tag:|,type:|\\]|\n|\r|[a-zA-Z=é])*") {
            if let Some(value) = EncryptedValue::parse(&text) {
                let _ = cipher(1).decrypt(&value, b"");
            }
        }
    }
}
