//! The little DER that RSA keys need: reading down to a modulus and an exponent, and changing PKCS#1 into PKCS#8 and back.
//!
//! aws-lc-rs judges whether a key is sound; here it is only taken apart, strictly: minimal lengths, no trailing bytes.
//! SSH's own spelling of a public key is here as well.
//! Sources: RFC 8017 A.1 (PKCS#1), RFC 5208 (PKCS#8), RFC 5280 4.1 (SubjectPublicKeyInfo), RFC 4253 6.6 (SSH).

use zeroize::Zeroizing;

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const SEQUENCE: u8 = 0x30;

/// `SEQUENCE { OID 1.2.840.113549.1.1.1 rsaEncryption, NULL }`
const RSA_ENCRYPTION: [u8; 15] =
    [0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];

/// Modulus and public exponent, big-endian without leading zeros.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RsaPublic<'a> {
    pub(crate) modulus: &'a [u8],
    pub(crate) exponent: &'a [u8],
}

impl RsaPublic<'_> {
    /// Length of the modulus in bits.
    pub(crate) fn bits(&self) -> usize {
        let unused = self.modulus.first().map_or(0, |byte| byte.leading_zeros() as usize);
        self.modulus.len() * 8 - unused
    }
}

/// What a DER structure is, as far as it concerns RSA.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Der<T> {
    /// An RSA key.
    Rsa(T),
    /// A well-formed structure of this kind, for another algorithm.
    OtherAlgorithm,
    /// Not such a structure.
    Malformed,
}

/// Reads a `SubjectPublicKeyInfo`.
pub(crate) fn public_from_spki(der: &[u8]) -> Der<RsaPublic<'_>> {
    fn read(der: &[u8]) -> Option<Der<RsaPublic<'_>>> {
        let mut info = Reader(der).last(SEQUENCE)?;
        let algorithm = info.whole(SEQUENCE)?;
        let key = info.last(BIT_STRING)?;
        if algorithm != RSA_ENCRYPTION {
            return Some(Der::OtherAlgorithm);
        }
        let key = key.0.strip_prefix(&[0])?; // no unused bits
        let mut key = Reader(key).last(SEQUENCE)?;
        let modulus = key.unsigned()?;
        let exponent = key.unsigned()?;
        key.0.is_empty().then_some(Der::Rsa(RsaPublic { modulus, exponent }))
    }
    read(der).unwrap_or(Der::Malformed)
}

/// Modulus and public exponent of a PKCS#1 private key.
pub(crate) fn public_from_pkcs1(der: &[u8]) -> Option<RsaPublic<'_>> {
    let mut key = Reader(der).last(SEQUENCE)?;
    let version = key.unsigned()?;
    let modulus = key.unsigned()?;
    let exponent = key.unsigned()?;
    version.is_empty().then_some(RsaPublic { modulus, exponent })
}

/// The PKCS#1 private key inside a PKCS#8 one.
pub(crate) fn pkcs1_from_pkcs8(der: &[u8]) -> Der<&[u8]> {
    fn read(der: &[u8]) -> Option<Der<&[u8]>> {
        let mut info = Reader(der).last(SEQUENCE)?;
        let version = info.unsigned()?;
        let algorithm = info.whole(SEQUENCE)?;
        // Attributes may follow the key; Go ignores them too.
        let key = info.next(OCTET_STRING)?;
        if !version.is_empty() {
            return None;
        }
        Some(if algorithm == RSA_ENCRYPTION { Der::Rsa(key) } else { Der::OtherAlgorithm })
    }
    read(der).unwrap_or(Der::Malformed)
}

/// Wraps a PKCS#1 private key as PKCS#8, the only form that aws-lc-rs reads.
pub(crate) fn pkcs8_from_pkcs1(key: &[u8]) -> Zeroizing<Vec<u8>> {
    let key_header = header(OCTET_STRING, key.len());
    let version = [INTEGER, 1, 0];
    let length = version.len() + RSA_ENCRYPTION.len() + key_header.len() + key.len();
    let outer_header = header(SEQUENCE, length);
    // Room for all at once: growing would leave copies of the key behind.
    let mut der = Zeroizing::new(Vec::with_capacity(outer_header.len() + length));
    der.extend_from_slice(&outer_header);
    der.extend_from_slice(&version);
    der.extend_from_slice(&RSA_ENCRYPTION);
    der.extend_from_slice(&key_header);
    der.extend_from_slice(key);
    der
}

/// A PKCS#1 private key from its eight numbers, big-endian: `n`, `e`, `d`, `p`, `q`, `d mod (p-1)`, `d mod (q-1)`, `1/q mod p`.
pub(crate) fn pkcs1_from_numbers(numbers: [&[u8]; 8]) -> Zeroizing<Vec<u8>> {
    let significant = numbers.map(|number| {
        let zeros = number.iter().take_while(|byte| **byte == 0).count();
        &number[zeros..]
    });
    // An unsigned number starts with a zero byte if its first bit is set; zero itself is one zero byte.
    let needs_zero = |number: &[u8]| number.first().is_none_or(|byte| byte & 0x80 != 0);
    let length_of = |number: &[u8]| number.len() + usize::from(needs_zero(number));
    let body: usize =
        significant.iter().map(|number| header(INTEGER, length_of(number)).len() + length_of(number)).sum();
    let outer_header = header(SEQUENCE, 3 + body);
    let mut der = Zeroizing::new(Vec::with_capacity(outer_header.len() + 3 + body));
    der.extend_from_slice(&outer_header);
    der.extend_from_slice(&[INTEGER, 1, 0]);
    for number in significant {
        der.extend_from_slice(&header(INTEGER, length_of(number)));
        if needs_zero(number) {
            der.push(0);
        }
        der.extend_from_slice(number);
    }
    der
}

/// A public key as SSH writes it: the strings `ssh-rsa`, exponent and modulus. RFC 4253, 6.6.
pub(crate) fn ssh_wire(public: &RsaPublic<'_>) -> Vec<u8> {
    fn string(wire: &mut Vec<u8>, zero: &[u8], bytes: &[u8]) {
        let length = (zero.len() + bytes.len()) as u32; // a modulus has at most 1024 bytes
        wire.extend_from_slice(&length.to_be_bytes());
        wire.extend_from_slice(zero);
        wire.extend_from_slice(bytes);
    }
    // Numbers are signed in SSH: a zero byte keeps those with their first bit set positive.
    fn sign(number: &[u8]) -> &'static [u8] {
        if number.first().is_some_and(|byte| byte & 0x80 != 0) { &[0] } else { &[] }
    }
    let mut wire = Vec::with_capacity(32 + public.exponent.len() + public.modulus.len());
    string(&mut wire, b"", b"ssh-rsa");
    string(&mut wire, sign(public.exponent), public.exponent);
    string(&mut wire, sign(public.modulus), public.modulus);
    wire
}

/// Reads what [`ssh_wire`] writes.
pub(crate) fn public_from_ssh_wire(wire: &[u8]) -> Der<RsaPublic<'_>> {
    fn string<'a>(wire: &mut &'a [u8]) -> Option<&'a [u8]> {
        let (length, rest) = wire.split_first_chunk()?;
        let (bytes, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        *wire = rest;
        Some(bytes)
    }
    fn unsigned<'a>(wire: &mut &'a [u8]) -> Option<&'a [u8]> {
        match string(wire)? {
            [0, rest @ ..] if rest.first().is_some_and(|byte| byte & 0x80 != 0) => Some(rest),
            [first, ..] if *first == 0 || first & 0x80 != 0 => None,
            number => Some(number),
        }
    }
    fn read(mut wire: &[u8]) -> Option<Der<RsaPublic<'_>>> {
        if string(&mut wire)? != b"ssh-rsa" {
            return Some(Der::OtherAlgorithm);
        }
        let exponent = unsigned(&mut wire)?;
        let modulus = unsigned(&mut wire)?;
        wire.is_empty().then_some(Der::Rsa(RsaPublic { modulus, exponent }))
    }
    read(wire).unwrap_or(Der::Malformed)
}

/// A `SubjectPublicKeyInfo`.
pub(crate) fn spki_from_public(public: &RsaPublic<'_>) -> Vec<u8> {
    fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let content = parts.concat();
        [header(tag, content.len()), content].concat()
    }
    fn integer(number: &[u8]) -> Vec<u8> {
        let zero: &[u8] = if number.first().is_none_or(|byte| byte & 0x80 != 0) { &[0] } else { &[] };
        element(INTEGER, &[zero, number])
    }
    let key = element(SEQUENCE, &[&integer(public.modulus), &integer(public.exponent)]);
    element(SEQUENCE, &[&RSA_ENCRYPTION, &element(BIT_STRING, &[&[0], &key])])
}

/// Tag and length of an element with `length` bytes of content.
fn header(tag: u8, length: usize) -> Vec<u8> {
    let bytes = length.to_be_bytes();
    let significant = &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..];
    match significant {
        [] => vec![tag, 0],
        [short] if *short < 0x80 => vec![tag, *short],
        long => {
            let mut header = vec![tag, 0x80 | long.len() as u8];
            header.extend_from_slice(long);
            header
        }
    }
}

/// What is left of the content of an element.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// The content of the next element, which must have this tag.
    fn next(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (&found, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        if found != tag {
            return None;
        }
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81..=0x84 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                let length = bytes.iter().fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte));
                // DER: the shortest form, or it is not DER.
                let minimal = bytes[0] != 0 && (bytes.len() > 1 || length >= 0x80);
                (minimal.then_some(length)?, rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(content)
    }

    /// The next element with its tag and length.
    fn whole(&mut self, tag: u8) -> Option<&'a [u8]> {
        let start = self.0;
        self.next(tag)?;
        Some(&start[..start.len() - self.0.len()])
    }

    /// The content of the next element, after which nothing may follow.
    fn last(mut self, tag: u8) -> Option<Reader<'a>> {
        let content = self.next(tag)?;
        self.0.is_empty().then_some(Reader(content))
    }

    /// The next element as an unsigned number without its leading zeros: zero is empty.
    fn unsigned(&mut self) -> Option<&'a [u8]> {
        match self.next(INTEGER)? {
            [] => None,
            [0] => Some(&[]),
            [0, rest @ ..] if rest[0] & 0x80 != 0 => Some(rest),
            [first, ..] if *first == 0 || first & 0x80 != 0 => None,
            number => Some(number),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lengths_have_the_shortest_form() {
        for (length, expected) in [
            (0, &[0x30, 0][..]),
            (127, &[0x30, 127]),
            (128, &[0x30, 0x81, 128]),
            (256, &[0x30, 0x82, 1, 0]),
            (65536, &[0x30, 0x83, 1, 0, 0]),
        ] {
            assert_eq!(header(SEQUENCE, length), expected);
        }
        for longer_than_needed in [&[0x04, 0x81, 1, 9][..], &[0x04, 0x82, 0, 1, 9], &[0x04, 0x80]] {
            assert_eq!(Reader(longer_than_needed).next(OCTET_STRING), None);
        }
    }

    #[test]
    fn pkcs1_survives_the_way_through_pkcs8() {
        for length in [0, 1, 100, 128, 1190, 70_000] {
            let key = vec![0x30; length];
            let pkcs8 = pkcs8_from_pkcs1(&key);
            assert_eq!(pkcs8.len(), pkcs8.capacity(), "never grown");
            assert_eq!(pkcs1_from_pkcs8(&pkcs8), Der::Rsa(&key[..]), "{length}");
        }
    }

    #[test]
    fn numbers_are_written_unsigned_and_short() {
        let der = pkcs1_from_numbers([&[0, 0x80], &[3], &[], &[0, 0], &[1], &[2], &[3], &[4]]);
        assert_eq!(der.len(), der.capacity(), "never grown");
        let expected =
            [0x30, 0x1c, 2, 1, 0, 2, 2, 0, 0x80, 2, 1, 3, 2, 1, 0, 2, 1, 0, 2, 1, 1, 2, 1, 2, 2, 1, 3, 2, 1, 4];
        assert_eq!(der[..], expected);
        let public = public_from_pkcs1(&der).unwrap();
        assert_eq!(public, RsaPublic { modulus: &[0x80], exponent: &[3] });
        assert_eq!(public.bits(), 8);
    }

    #[test]
    fn an_elliptic_key_is_another_algorithm() {
        // SEQUENCE { SEQUENCE { OID id-Ed25519 }, BIT STRING }
        let ed25519 = [0x30, 0x0a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x01, 0x00];
        assert_eq!(public_from_spki(&ed25519), Der::OtherAlgorithm);
        assert_eq!(public_from_spki(&ed25519[..11]), Der::Malformed);
        let private = [0x30, 0x0c, 2, 1, 0, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x00];
        assert_eq!(pkcs1_from_pkcs8(&private), Der::OtherAlgorithm);
    }

    proptest! {
        #[test]
        fn garbage_never_panics(der: Vec<u8>) {
            let _ = public_from_spki(&der);
            let _ = public_from_pkcs1(&der);
            let _ = pkcs1_from_pkcs8(&der);
            let _ = public_from_ssh_wire(&der);
        }
    }
}
