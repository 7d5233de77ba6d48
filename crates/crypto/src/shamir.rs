//! Shamir's secret sharing, as SOPS shares a data key between groups of keys: any `threshold` shares give the secret, fewer say nothing.
//!
//! ```text
//! each byte s of the secret    f(x) = s + a₁x + a₂x² + … + aₜ₋₁xᵗ⁻¹    random a, zero included, other ones for every byte
//! share of group i             f(1+i) of every byte, then the byte 1+i: 33 bytes for a data key
//! combine                      the value at 0 of the one polynomial through the points of the shares (Lagrange)
//! ```
//! Arithmetic is that of GF(2⁸) modulo x⁸+x⁴+x³+x+1, the field of AES, without tables and without branches on secrets. Where a share
//! belongs (its last byte) is no secret.
//!
//! Nothing tells whether shares belong together: a share that was changed, or too few of them, give another secret, not an error. What is
//! encrypted with a data key tells.
//!
//! Source: sops 3.13.3 `shamir/shamir.go`, which is that of HashiCorp's Vault; vectors in `tests/vectors/crypto/shamir.txt`.

use rand_core::CryptoRng;

use crate::secret::SecretBytes;

/// Why a secret cannot be split so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SplitError {
    /// There is nothing to split.
    #[error("an empty secret cannot be split")]
    Empty,
    /// Each share would be the secret.
    #[error("a threshold of {0} would make every share the whole secret: it must be 2 at least")]
    Threshold(usize),
    /// Nobody could ever join them.
    #[error("a threshold of {threshold} cannot be reached with {shares} shares")]
    TooFewShares {
        /// How many shares were wanted.
        shares: usize,
        /// How many would be needed.
        threshold: usize,
    },
    /// The field has no place for so many.
    #[error("a secret can be split into 255 shares at most, not into {0}")]
    TooManyShares(usize),
}

/// Why shares cannot be combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CombineError {
    /// One share, or none.
    #[error("two shares are needed at least, and there are {0}")]
    TooFewShares(usize),
    /// They are of different secrets, or damaged.
    #[error("the shares have different lengths: {0} and {1} bytes")]
    Lengths(usize, usize),
    /// It has no room for a secret and its place.
    #[error("a share of {0} bytes holds nothing")]
    TooShort(usize),
    /// No share lies at 0, where the secret is.
    #[error("a share says that it is number 0, and they are counted from 1")]
    Zero,
    /// The same share, or two of different secrets.
    #[error("two shares say that they are number {0}")]
    SamePlace(u8),
}

/// Splits `secret` into so many `shares`, any `threshold` of which give it again. The first share is number 1.
///
/// `rng` gives the coefficients.
///
/// # Errors
/// [`SplitError`]
pub fn split(
    secret: &SecretBytes,
    shares: usize,
    threshold: usize,
    rng: &mut dyn CryptoRng,
) -> Result<Vec<SecretBytes>, SplitError> {
    if secret.is_empty() {
        return Err(SplitError::Empty);
    }
    if threshold < 2 {
        return Err(SplitError::Threshold(threshold));
    }
    if shares < threshold {
        return Err(SplitError::TooFewShares { shares, threshold });
    }
    let last = u8::try_from(shares).map_err(|_| SplitError::TooManyShares(shares))?;

    // One row of coefficients for each byte of the secret.
    let mut coefficients = SecretBytes::default();
    let degree = threshold - 1;
    rng.fill_bytes(coefficients.renew(secret.len() * degree));
    let rows = || coefficients.expose_secret().chunks_exact(degree);
    let share = |x: u8| {
        let mut share = SecretBytes::default();
        let bytes = share.renew(secret.len() + 1);
        for ((y, constant), row) in bytes.iter_mut().zip(secret.expose_secret()).zip(rows()) {
            *y = multiply(row.iter().rev().fold(0, |sum, coefficient| multiply(sum, x) ^ coefficient), x) ^ constant;
        }
        bytes[secret.len()] = x;
        share
    };
    Ok((1..=last).map(share).collect())
}

/// The secret that `shares` give together.
///
/// # Errors
/// [`CombineError`]; not for shares that do not belong together.
pub fn combine(shares: &[SecretBytes]) -> Result<SecretBytes, CombineError> {
    let [first, _, ..] = shares else { return Err(CombineError::TooFewShares(shares.len())) };
    if first.len() < 2 {
        return Err(CombineError::TooShort(first.len()));
    }
    let mut places: Vec<u8> = Vec::with_capacity(shares.len());
    for share in shares {
        let bytes = share.expose_secret();
        match bytes.last() {
            _ if bytes.len() != first.len() => return Err(CombineError::Lengths(first.len(), bytes.len())),
            None | Some(0) => return Err(CombineError::Zero),
            Some(place) if places.contains(place) => return Err(CombineError::SamePlace(*place)),
            Some(place) => places.push(*place),
        }
    }
    let mut secret = SecretBytes::default();
    let bytes = secret.renew(first.len() - 1);
    for (share, place) in shares.iter().zip(&places) {
        let weight = weight(*place, &places);
        for (byte, y) in bytes.iter_mut().zip(share.expose_secret()) {
            *byte ^= multiply(*y, weight);
        }
    }
    Ok(secret)
}

/// What the point at `place` counts in the value at 0: the product of `x / (x - place)` over all other places.
fn weight(place: u8, places: &[u8]) -> u8 {
    let others = places.iter().filter(|other| **other != place);
    others.fold(1, |product, other| multiply(product, multiply(*other, inverse(*other ^ place))))
}

/// The product in the field. The same steps whatever the factors are.
fn multiply(a: u8, b: u8) -> u8 {
    let mut product = 0u8;
    for bit in (0..8).rev() {
        // 0xff or 0: is there something to be carried over, is this bit of `b` set?
        let carry = 0u8.wrapping_sub(product >> 7);
        let set = 0u8.wrapping_sub((b >> bit) & 1);
        product = (product << 1) ^ (carry & 0x1b) ^ (set & a);
    }
    product
}

/// `a` to the power of 254, which is 1/a in a field whose elements but 0 are 255.
fn inverse(a: u8) -> u8 {
    // 254 = 2 + 4 + … + 128
    let mut power = a;
    let mut product = 1;
    for _ in 1..8 {
        power = multiply(power, power);
        product = multiply(product, power);
    }
    product
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn the_field_is_that_of_aes() {
        // FIPS 197, 4.2: {57} · {83} = {c1}, {57} · {13} = {fe}.
        assert_eq!((multiply(0x57, 0x83), multiply(0x57, 0x13)), (0xc1, 0xfe));
        for a in 1..=255 {
            assert_eq!(multiply(a, inverse(a)), 1, "{a}");
            assert_eq!((multiply(a, 0), multiply(a, 1)), (0, a));
        }
        assert_eq!(inverse(0), 0);
    }

    #[test]
    fn what_cannot_be_split_is_refused() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut count = |length, shares, threshold| {
            split(&SecretBytes::new(vec![7; length]), shares, threshold, &mut rng).map(|shares| shares.len())
        };
        for (length, shares, threshold, outcome) in [
            (32, 2, 2, Ok(2)),
            (1, 255, 255, Ok(255)),
            (0, 2, 2, Err(SplitError::Empty)),
            (32, 2, 0, Err(SplitError::Threshold(0))),
            (32, 2, 1, Err(SplitError::Threshold(1))),
            (32, 2, 3, Err(SplitError::TooFewShares { shares: 2, threshold: 3 })),
            (32, 256, 2, Err(SplitError::TooManyShares(256))),
        ] {
            assert_eq!(count(length, shares, threshold), outcome);
        }
    }

    #[test]
    fn what_cannot_be_combined_is_refused() {
        let secret = |shares: &[&[u8]]| {
            let shares: Vec<_> = shares.iter().map(|share| SecretBytes::new(share.to_vec())).collect();
            combine(&shares).map(|secret| secret.expose_secret().to_vec())
        };
        for (shares, error) in [
            (&[][..], CombineError::TooFewShares(0)),
            (&[&[1, 1][..]], CombineError::TooFewShares(1)),
            (&[&[1], &[2]], CombineError::TooShort(1)),
            (&[&[], &[]], CombineError::TooShort(0)),
            (&[&[7, 1], &[7, 7, 2]], CombineError::Lengths(2, 3)),
            (&[&[7, 1], &[]], CombineError::Lengths(2, 0)),
            (&[&[7, 1], &[7, 0]], CombineError::Zero),
            (&[&[7, 1], &[7, 2], &[8, 1]], CombineError::SamePlace(1)),
        ] {
            assert_eq!(secret(shares), Err(error));
        }
    }

    proptest! {
        #[test]
        fn any_shares_up_to_the_threshold_give_the_secret_and_one_less_does_not(
            secret in proptest::collection::vec(any::<u8>(), 16..40),
            (shares, threshold) in (2..9_usize).prop_flat_map(|shares| (Just(shares), 2..=shares)),
            order in Just((0..9_usize).collect::<Vec<_>>()).prop_shuffle(),
            seed: u64,
        ) {
            let secret = SecretBytes::new(secret);
            let split = split(&secret, shares, threshold, &mut StdRng::seed_from_u64(seed)).unwrap();
            prop_assert_eq!(split.len(), shares);
            let chosen = |count: usize| -> Vec<SecretBytes> {
                let chosen = order.iter().filter(|index| **index < shares).take(count);
                chosen.map(|index| SecretBytes::new(split[*index].expose_secret().to_vec())).collect()
            };
            for count in threshold..=shares {
                let combined = combine(&chosen(count)).unwrap();
                prop_assert_eq!(combined.expose_secret(), secret.expose_secret());
            }
            // With 16 bytes or more, another secret comes out but once in 2^128.
            if let Ok(combined) = combine(&chosen(threshold - 1)) {
                prop_assert_ne!(combined.expose_secret(), secret.expose_secret());
            }
            for (index, share) in split.iter().enumerate() {
                prop_assert_eq!(share.len(), secret.len() + 1);
                prop_assert_eq!(usize::from(share.expose_secret()[secret.len()]), index + 1);
            }
        }
    }
}
