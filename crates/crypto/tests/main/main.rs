//! Against what the real programs made: vectors in `tests/vectors/crypto`, walked; and against the crate `rsa`.

mod hybrid;
mod shamir;
mod tables;
mod value;

/// Bytes of hex digits.
fn hex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2), "odd number of digits");
    let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("hex digits");
    (0..text.len()).step_by(2).map(byte).collect()
}
