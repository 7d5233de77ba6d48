//! KS011: keys that open everything that was ever encrypted for them, in any file.

use crate::context::Context;
use crate::lines::Lines;
use crate::rule::Rule;

/// A key that was found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found {
    pub(crate) what: &'static str,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

const AGE: &[u8] = b"AGE-SECRET-KEY-";
const PGP: &[u8] = b"-----BEGIN PGP PRIVATE KEY BLOCK-----";
const VAULT: &[&[u8]] = &[b"hvs.", b"hvb."];

/// All keys in a file.
pub(crate) fn find(bytes: &[u8]) -> Vec<Found> {
    let mut found = Vec::new();
    for start in memchr::memmem::find_iter(bytes, AGE) {
        let is_inner = start > 0 && (bytes[start - 1].is_ascii_alphanumeric() || bytes[start - 1] == b'-');
        let length = bytes[start..].iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'-').count();
        let text = std::str::from_utf8(&bytes[start..start + length]).unwrap_or_default();
        // Its checksum tells a key from what only looks like one in a document.
        let is_key = has_checksum(text);
        if !is_inner && is_key {
            found.push(Found { what: "an age identity", start, end: start + length });
        }
    }
    for start in memchr::memmem::find_iter(bytes, PGP) {
        let after = &bytes[start + PGP.len()..];
        // A mention is no key.
        let digits =
            after.iter().take(2000).take_while(|byte| **byte != b'-').filter(|byte| byte.is_ascii_alphanumeric());
        if digits.count() > 100 {
            found.push(Found { what: "an OpenPGP private key", start, end: start + PGP.len() });
        }
    }
    for prefix in VAULT {
        for start in memchr::memmem::find_iter(bytes, prefix) {
            let is_inner =
                start > 0 && (bytes[start - 1].is_ascii_alphanumeric() || b"_-.".contains(&bytes[start - 1]));
            let is_digit = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(**byte, b'_' | b'-');
            let rest = &bytes[start + prefix.len()..];
            let length = rest.iter().take_while(is_digit).count();
            let digits = &rest[..length];
            let is_random = length >= 24
                && digits.iter().any(u8::is_ascii_uppercase)
                && digits.iter().any(u8::is_ascii_lowercase)
                && distinct(digits) > 10;
            if !is_inner && is_random {
                found.push(Found { what: "a token of Vault or OpenBao", start, end: start + prefix.len() + length });
            }
        }
    }
    found
}

/// Is it bech32, upper case, with its checksum right? Of any length: `AGE-SECRET-KEY-PQ-1…` is longer than bech32 allows, and
/// the libraries refuse it. Source: BIP 173.
fn has_checksum(text: &str) -> bool {
    const DIGITS: &[u8] = b"QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L";
    const GENERATOR: [u32; 5] = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];
    let Some((prefix, digits)) = text.rsplit_once('1') else { return false };
    if digits.len() < 40 {
        return false;
    }
    let prefix = || prefix.bytes().map(|byte| byte.to_ascii_lowercase());
    let digits =
        digits.bytes().map(|byte| DIGITS.iter().position(|digit| *digit == byte).map_or(u32::MAX, |at| at as u32));
    let expanded =
        prefix().map(|byte| u32::from(byte >> 5)).chain([0]).chain(prefix().map(|byte| u32::from(byte & 31)));
    let mut checksum = 1_u32;
    for value in expanded.chain(digits) {
        if value == u32::MAX {
            return false;
        }
        let top = checksum >> 25;
        checksum = (checksum & 0x01ff_ffff) << 5 ^ value;
        for (bit, generator) in GENERATOR.iter().enumerate() {
            checksum ^= if top >> bit & 1 == 1 { *generator } else { 0 };
        }
    }
    checksum == 1
}

fn distinct(bytes: &[u8]) -> usize {
    let mut seen = [false; 256];
    for byte in bytes {
        seen[usize::from(*byte)] = true;
    }
    seen.iter().filter(|seen| **seen).count()
}

/// Looks at the bytes of any file.
pub(crate) fn check(cx: &mut Context<'_>, bytes: &[u8]) {
    let found = find(bytes);
    if found.is_empty() {
        return;
    }
    let text = String::from_utf8_lossy(bytes);
    // Where bytes were replaced, places would be wrong: such a file has no lines.
    let lines = if matches!(text, std::borrow::Cow::Borrowed(_)) { Some(Lines::new(&text)) } else { None };
    for Found { what, start, end } in found {
        let at = |offset| lines.as_ref().map_or_else(Default::default, |lines| lines.position(&text, offset));
        let (start, end) = if lines.is_some() { (at(start), at(end)) } else { (FIRST, FIRST) };
        cx.add_at(Rule::KS011, (start, end), format!("{what} in plain text"));
    }
}

const FIRST: bulla_yaml::Position = bulla_yaml::Position { line: 1, column: 1 };
