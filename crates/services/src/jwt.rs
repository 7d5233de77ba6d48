//! Signed tokens by which a program shows who it is: header and claims in JSON, a signature by its private key.
//!
//! ```text
//! base64({"alg": "RS256", …}) . base64({"iss": …, "iat": …, "exp": …}) . base64(signature of both)
//! ```
//! Source: RFC 7515 and 7518. The private key is aws-lc's to handle.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{self, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bulla_crypto::SecretBytes;
use bulla_wipe::Wiping;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::Value;

/// How it is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    /// `RS256`: RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// `PS256`: RSASSA-PSS with SHA-256.
    Ps256,
}

impl Algorithm {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
        }
    }
}

/// The RSA key in `pem`, in one of the two usual forms. What is wrong with it is not told: that may quote it.
pub(crate) fn key(pem: &[u8]) -> Option<RsaKeyPair> {
    match PrivateKeyDer::from_pem_slice(pem).ok()? {
        PrivateKeyDer::Pkcs8(der) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).ok(),
        PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()).ok(),
        _ => None,
    }
}

/// A token with these claims. `header` has what there is to say beside the algorithm.
///
/// # Errors
/// If the key cannot sign.
pub(crate) fn sign(
    key: &RsaKeyPair,
    algorithm: Algorithm,
    mut header: Value,
    claims: &Value,
) -> Result<SecretBytes, String> {
    header["alg"] = algorithm.name().into();
    header["typ"] = "JWT".into();
    let text = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let mut token = Wiping::new(format!("{}.{}", text(&header), text(claims)));
    let encoding = match algorithm {
        Algorithm::Rs256 => &signature::RSA_PKCS1_SHA256,
        Algorithm::Ps256 => &signature::RSA_PSS_SHA256,
    };
    let mut signed = vec![0; key.public_modulus_len()];
    key.sign(encoding, &SystemRandom::new(), token.as_bytes(), &mut signed)
        .map_err(|_| "its private key cannot sign".to_owned())?;
    token.append(".");
    token.append(&URL_SAFE_NO_PAD.encode(signed));
    Ok(token.into_bytes().into())
}
