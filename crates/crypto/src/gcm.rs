//! AES-256-GCM with any nonce that Go's `cipher.NewGCMWithNonceSize` takes: one byte or more.
//!
//! SOPS writes 32 bytes, and other writers of its format 12; both go to the `aes-gcm` crate, whose nonce length is part of the type.
//! Other lengths, which SOPS opens just the same, are put together here from the same blocks (GHASH, AES, CTR) by NIST SP 800-38D §7;
//! a property test holds that against `aes-gcm`. Only opening: nothing is ever sealed with such a nonce.

use aes::Aes256;
use aes::cipher::consts::{U12, U32};
use aes::cipher::{InnerIvInit as _, KeyInit as _, StreamCipher as _, StreamCipherCoreWrapper};
use aes_gcm::AesGcm;
use aes_gcm::aead::AeadInOut as _;
use aes_gcm::aead::inout::InOutBuf;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use ctr::CtrCore;
use ctr::flavors::Ctr32BE;
use ghash::universal_hash::UniversalHash as _;
use ghash::{Block, GHash};
use zeroize::Zeroize as _;

/// Length of the tag in bytes.
pub(crate) const TAG_LENGTH: usize = 16;

/// The bytes are not what was sealed with this key, nonce and additional data.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct AuthenticationFailed;

/// One key, its schedule computed once. Wiped on drop (feature `zeroize` of the crates below).
pub(crate) struct Gcm {
    aes: Aes256,
    usual: AesGcm<Aes256, U32>,
}

impl Gcm {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        let aes = Aes256::new(key.into());
        Self { usual: AesGcm::from(aes.clone()), aes }
    }

    /// Seals `plaintext` into `ciphertext`, of the same length, and returns the tag.
    pub(crate) fn seal(
        &self,
        nonce: &[u8; 32],
        additional_data: &[u8],
        plaintext: &[u8],
        ciphertext: &mut [u8],
    ) -> [u8; TAG_LENGTH] {
        let buffer = InOutBuf::new(plaintext, ciphertext).expect("callers make room of the plaintext's length");
        self.usual
            .encrypt_inout_detached(nonce.into(), additional_data, buffer)
            .expect("AES-GCM fails beyond 64 GiB only, and documents end at 4 GiB")
            .into()
    }

    /// Opens `bytes` in place. They are untouched if that fails.
    pub(crate) fn open(
        &self,
        nonce: &[u8],
        additional_data: &[u8],
        bytes: &mut [u8],
        tag: &[u8; TAG_LENGTH],
    ) -> Result<(), AuthenticationFailed> {
        if let Ok(nonce) = <&[u8; 32]>::try_from(nonce) {
            self.usual
                .decrypt_inout_detached(nonce.into(), additional_data, bytes.into(), tag.into())
                .map_err(|_| AuthenticationFailed)
        } else if let Ok(nonce) = <&[u8; 12]>::try_from(nonce) {
            AesGcm::<Aes256, U12>::from(self.aes.clone())
                .decrypt_inout_detached(nonce.into(), additional_data, bytes.into(), tag.into())
                .map_err(|_| AuthenticationFailed)
        } else {
            self.open_with_any_nonce(nonce, additional_data, bytes, tag)
        }
    }

    /// [`Gcm::open`] for a nonce of any length but 12 bytes.
    fn open_with_any_nonce(
        &self,
        nonce: &[u8],
        additional_data: &[u8],
        bytes: &mut [u8],
        tag: &[u8; TAG_LENGTH],
    ) -> Result<(), AuthenticationFailed> {
        let first_counter = self.ghash(&[], nonce);
        let core = CtrCore::<&Aes256, Ctr32BE>::inner_iv_init(&self.aes, &first_counter);
        let mut stream = StreamCipherCoreWrapper::from_core(core);
        let mut expected = [0; TAG_LENGTH];
        stream.apply_keystream(&mut expected);
        for (byte, hash) in expected.iter_mut().zip(self.ghash(additional_data, bytes)) {
            *byte ^= hash;
        }
        verify_slices_are_equal(&expected, tag).map_err(|_| AuthenticationFailed)?;
        stream.apply_keystream(bytes);
        Ok(())
    }

    /// GHASH of both parts, each padded to whole blocks, and of their lengths in bits.
    fn ghash(&self, additional_data: &[u8], bytes: &[u8]) -> Block {
        use aes::cipher::BlockCipherEncrypt as _;

        let mut key = ghash::Key::default();
        self.aes.encrypt_block(&mut key);
        let mut hash = GHash::new(&key);
        key.zeroize();
        hash.update_padded(additional_data);
        hash.update_padded(bytes);
        let mut lengths = Block::default();
        lengths[..8].copy_from_slice(&(additional_data.len() as u64 * 8).to_be_bytes());
        lengths[8..].copy_from_slice(&(bytes.len() as u64 * 8).to_be_bytes());
        hash.update(&[lengths]);
        hash.finalize()
    }
}

#[cfg(test)]
mod tests {
    use aes::cipher::array::ArraySize;
    use aes::cipher::consts::{U1, U7, U8, U13, U16, U17, U24, U60, U64};
    use proptest::prelude::*;

    use super::*;

    /// Seals with the `aes-gcm` crate and opens with ours, and with every bit of the first and last byte flipped.
    fn opens_what_the_crate_seals<N: ArraySize>(
        key: [u8; 32],
        additional_data: &[u8],
        text: &[u8],
    ) -> Result<(), TestCaseError> {
        let nonce = vec![key[0]; N::USIZE];
        let sealer = AesGcm::<Aes256, N>::new(&key.into());
        let mut sealed = text.to_vec();
        let nonce_array = nonce.as_slice().try_into().unwrap();
        let tag: [u8; 16] =
            sealer.encrypt_inout_detached(nonce_array, additional_data, sealed.as_mut_slice().into()).unwrap().into();
        let gcm = Gcm::new(&key);

        let mut opened = sealed.clone();
        prop_assert_eq!(gcm.open(&nonce, additional_data, &mut opened, &tag), Ok(()));
        prop_assert_eq!(&opened, text);
        if N::USIZE != 12 {
            opened.copy_from_slice(&sealed);
            let result = gcm.open_with_any_nonce(&nonce, additional_data, &mut opened, &tag);
            prop_assert_eq!(result, Ok(()));
            prop_assert_eq!(&opened, text);
        }

        for bit in 0..8 {
            let mut other_tag = tag;
            other_tag[15] ^= 1 << bit;
            opened.copy_from_slice(&sealed);
            let result = gcm.open(&nonce, additional_data, &mut opened, &other_tag);
            prop_assert_eq!(result, Err(AuthenticationFailed));
            prop_assert_eq!(&opened, &sealed, "untouched");
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn every_nonce_length_agrees_with_aes_gcm(key: [u8; 32], additional_data: Vec<u8>, text: Vec<u8>) {
            opens_what_the_crate_seals::<U1>(key, &additional_data, &text)?;
            opens_what_the_crate_seals::<U7>(key, &additional_data, &text)?;
            opens_what_the_crate_seals::<U8>(key, &additional_data, &text)?;
            opens_what_the_crate_seals::<U12>(key, &additional_data, &text)?;
            opens_what_the_crate_seals::<U13>(key, &additional_data, &text)?;
            opens_what_the_crate_seals::<U16>(key, &additional_data, &text)?;
            opens_what_the_crate_seals::<U17>(key, &additional_data, &text)?;
            opens_what_the_crate_seals::<U24>(key, &additional_data, &text)?;
            opens_what_the_crate_seals::<U32>(key, &additional_data, &text)?;
            opens_what_the_crate_seals::<U60>(key, &additional_data, &text)?;
            opens_what_the_crate_seals::<U64>(key, &additional_data, &text)?;
        }
    }
}
