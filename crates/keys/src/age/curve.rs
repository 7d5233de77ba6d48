//! X25519, through aws-lc-rs. Results that are all zero, which points of low order give, are refused.

use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use aws_lc_rs::rand;
use zeroize::Zeroizing;

/// A private key: any 32 bytes, which the curve clamps.
pub(super) struct Scalar {
    key: PrivateKey,
    public: [u8; 32],
}

impl Scalar {
    /// Takes 32 bytes for a private key.
    pub(super) fn new(bytes: &[u8; 32]) -> Self {
        let key = PrivateKey::from_private_key(&X25519, bytes).expect("any 32 bytes are a private key of X25519");
        let public = key.compute_public_key().expect("every private key of X25519 has a public one");
        let public = public.as_ref().try_into().expect("a public key of X25519 has 32 bytes");
        Self { key, public }
    }

    /// A new one, for one message.
    pub(super) fn ephemeral() -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        rand::fill(&mut *bytes).expect("aws-lc ends the process rather than run out of randomness");
        Self::new(&bytes)
    }

    pub(super) fn public(&self) -> &[u8; 32] {
        &self.public
    }

    /// The secret shared with the holder of `public`, or `None` if it is all zero.
    pub(super) fn agree(&self, public: &[u8; 32]) -> Option<Zeroizing<[u8; 32]>> {
        let peer = UnparsedPublicKey::new(&X25519, public);
        agree(&self.key, peer, (), |shared| {
            let mut secret = Zeroizing::new([0; 32]);
            secret.copy_from_slice(shared);
            // aws-lc checks this, too. It decides whether a stranger can choose the key, so it is not left to a library's version.
            let any = shared.iter().fold(0, |any, byte| any | byte);
            if any == 0 { Err(()) } else { Ok(secret) }
        })
        .ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_agree_and_low_order_points_are_refused() {
        let (ours, theirs) = (Scalar::ephemeral(), Scalar::ephemeral());
        assert_eq!(*ours.agree(theirs.public()).unwrap(), *theirs.agree(ours.public()).unwrap());
        let mut one = [0; 32];
        one[0] = 1;
        let mut order_eight = [0xec; 32]; // p - 1
        order_eight[1..31].fill(0xff);
        order_eight[31] = 0x7f;
        for point in [[0; 32], one, order_eight] {
            assert!(ours.agree(&point).is_none());
        }
    }
}
