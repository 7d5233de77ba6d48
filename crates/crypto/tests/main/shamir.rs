//! What the Go package of SOPS splits and combines, number for number.

use std::convert::Infallible;
use std::fs;

use bulla_crypto::SecretBytes;
use bulla_crypto::shamir::{combine, split};
use rand_core::{TryCryptoRng, TryRng};

use crate::hex;

/// Randomness that was written down.
struct Recorded(Vec<u8>);

impl TryRng for Recorded {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        unreachable!("coefficients are bytes")
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        unreachable!("coefficients are bytes")
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.copy_from_slice(&self.0);
        Ok(())
    }
}

impl TryCryptoRng for Recorded {}

fn shares(text: &str) -> Vec<SecretBytes> {
    text.split(' ').map(|share| SecretBytes::new(hex(share))).collect()
}

#[test]
fn secrets_are_split_and_combined_as_by_sops() {
    let path = bulla_testkit::workspace().join("tests/vectors/crypto/shamir.txt");
    let (mut splits, mut combines, mut refusals) = (0, 0, 0);
    for line in fs::read_to_string(path).unwrap().lines().filter(|line| !line.starts_with('#')) {
        match line.split('\t').collect::<Vec<_>>().as_slice() {
            ["split", secret, number, threshold, random, expected] => {
                let mut random = Recorded(hex(random));
                let secret = SecretBytes::new(hex(secret));
                let found = split(&secret, number.parse().unwrap(), threshold.parse().unwrap(), &mut random).unwrap();
                // Of 255 shares, the first are written down.
                for (found, expected) in found.iter().zip(shares(expected)) {
                    assert_eq!(found.expose_secret(), expected.expose_secret(), "{line}");
                }
                assert_eq!(found.len().to_string(), *number);
                splits += 1;
            }
            ["combine", given, expected] => {
                let found = combine(&shares(given)).ok().map(|secret| secret.expose_secret().to_vec());
                let expected = (*expected != "error").then(|| hex(expected));
                assert_eq!(found, expected, "{line}");
                combines += usize::from(found.is_some());
                refusals += usize::from(found.is_none());
            }
            _ => panic!("{line}"),
        }
    }
    assert!(splits >= 120 && combines >= 100 && refusals >= 50, "{splits} {combines} {refusals}");
}
