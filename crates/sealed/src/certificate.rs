//! The public half of a sealing key: an X.509 certificate, of which only the key and the validity mean anything.
//!
//! Certificates that are made here look as upstream's do: self-signed, SHA-256 with RSA, a random serial number, `encipherOnly`,
//! `CA:TRUE`. Source: sealed-secrets 0.38.4 `pkg/crypto/keys.go`, `pkg/kubeseal`; client-go `util/cert` for what is read.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use bulla_crypto::{KeyError, PrivateKey, PublicKey, pem};
use jiff::{SignedDuration, Timestamp};
use rand_core::CryptoRng;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, KeyUsagePurpose, PKCS_RSA_SHA256,
    PublicKeyData, SerialNumber, SignatureAlgorithm, SigningKey,
};
use time::OffsetDateTime;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

/// Why there is no certificate to seal with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// The text has no PEM block of a certificate.
    #[error("data does not contain any valid RSA or ECDSA certificates: expected a PEM block `CERTIFICATE`")]
    Absent,
    /// The first certificate cannot be read.
    #[error("the certificate is malformed")]
    Malformed,
    /// The certificate is of another kind of key; sealing needs RSA.
    #[error("expected RSA public key but found {found}")]
    NotRsa {
        /// `ECDSA`, `Ed25519`, or the dotted number of the algorithm.
        found: String,
    },
    /// An RSA key that cannot be used.
    #[error("the key of the certificate cannot be used")]
    Key(#[source] KeyError),
    /// It belongs to another private key: what is sealed with it could not be opened with the key beside it.
    #[error("the certificate belongs to another private key than the one beside it")]
    OtherKey,
    /// A date that no calendar has.
    #[error("the validity of the certificate is out of range")]
    Validity,
    /// It could not be made.
    #[error("the certificate could not be signed")]
    Signing,
}

/// What a new certificate says.
#[derive(Clone, Debug)]
pub struct CertificateRequest<'a> {
    /// Common name of subject and issuer; empty for none, which is upstream's default.
    pub common_name: &'a str,
    /// From when on it is valid: now.
    pub not_before: Timestamp,
    /// For how long: ten years by default, upstream.
    pub valid_for: SignedDuration,
}

/// A certificate with an RSA key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
    public_key: PublicKey,
    not_before: Timestamp,
    not_after: Timestamp,
}

impl Certificate {
    /// Reads the first certificate of a PEM text; what follows it does not count, as everywhere in Sealed Secrets.
    ///
    /// # Errors
    /// [`CertificateError::Absent`] without any; otherwise what is wrong with the first. Expiry is not judged here, see
    /// [`Certificate::expired`].
    pub fn from_pem(text: &[u8]) -> Result<Self, CertificateError> {
        let block = pem::blocks(text)
            .find(|block| block.label == b"CERTIFICATE" && !block.has_headers)
            .ok_or(CertificateError::Absent)?;
        Self::from_der(block.content.expose_secret())
    }

    /// Reads DER.
    ///
    /// # Errors
    /// As [`Certificate::from_pem`].
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| CertificateError::Malformed)?;
        if !rest.is_empty() {
            return Err(CertificateError::Malformed);
        }
        let public_key = PublicKey::from_spki_der(certificate.public_key().raw).map_err(|error| match error {
            KeyError::NotRsa => CertificateError::NotRsa { found: algorithm_name(&certificate) },
            error => CertificateError::Key(error),
        })?;
        let time = |time: x509_parser::time::ASN1Time| {
            Timestamp::from_second(time.timestamp()).map_err(|_| CertificateError::Validity)
        };
        Ok(Self {
            der: der.to_vec(),
            public_key,
            not_before: time(certificate.validity().not_before)?,
            not_after: time(certificate.validity().not_after)?,
        })
    }

    /// Makes a self-signed certificate for `key`. The serial number comes from `rng`.
    ///
    /// # Errors
    /// [`CertificateError::Validity`] if it would end after the year 9999; [`CertificateError::Signing`] if aws-lc refuses.
    pub fn generate(
        key: &PrivateKey,
        request: &CertificateRequest<'_>,
        rng: &mut dyn CryptoRng,
    ) -> Result<Self, CertificateError> {
        let not_after = request.not_before.checked_add(request.valid_for).map_err(|_| CertificateError::Validity)?;
        let date = |time: Timestamp| {
            OffsetDateTime::from_unix_timestamp(time.as_second()).map_err(|_| CertificateError::Validity)
        };
        let mut serial = [0; 16];
        rng.fill_bytes(&mut serial);
        let mut name = DistinguishedName::new();
        if !request.common_name.is_empty() {
            name.push(DnType::CommonName, request.common_name);
        }
        let mut params = CertificateParams::default();
        params.not_before = date(request.not_before)?;
        params.not_after = date(not_after)?;
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        params.distinguished_name = name;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::EncipherOnly];
        let signer =
            Signer(RsaKeyPair::from_pkcs8(key.to_pkcs8_der().expose_secret()).map_err(|_| CertificateError::Signing)?);
        let certificate = params.self_signed(&signer).map_err(|_| CertificateError::Signing)?;
        Self::from_der(certificate.der())
    }

    /// The key that values are sealed with.
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// From when on it is valid; what decides which key seals, by default.
    pub fn not_before(&self) -> Timestamp {
        self.not_before
    }

    /// Until when it is valid.
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// Whether it is past its validity. `kubeseal` refuses to seal with it then; a controller opens on.
    pub fn expired(&self, now: Timestamp) -> bool {
        now > self.not_after
    }

    /// The certificate in DER.
    pub fn as_der(&self) -> &[u8] {
        &self.der
    }

    /// The certificate as one PEM block.
    pub fn to_pem(&self) -> String {
        pem::encode("CERTIFICATE", &self.der).to_string()
    }
}

/// Signs with aws-lc. rcgen's own key pair keeps a copy of the private key that is not wiped.
struct Signer(RsaKeyPair);

impl PublicKeyData for Signer {
    fn der_bytes(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_RSA_SHA256
    }
}

impl SigningKey for Signer {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let mut signature = vec![0; self.0.public_modulus_len()];
        self.0
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
            .map_err(|_| rcgen::Error::RemoteKeyError)?;
        Ok(signature)
    }
}

fn algorithm_name(certificate: &X509Certificate<'_>) -> String {
    match certificate.public_key().algorithm.algorithm.to_id_string().as_str() {
        "1.2.840.10045.2.1" => "ECDSA".to_owned(),
        "1.3.101.112" => "Ed25519".to_owned(),
        "1.3.101.113" => "Ed448".to_owned(),
        "1.2.840.10040.4.1" => "DSA".to_owned(),
        number => number.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use rand::SeedableRng as _;
    use rand::rngs::StdRng;
    use x509_parser::extensions::ParsedExtension;

    use super::*;

    static KEY: LazyLock<PrivateKey> = LazyLock::new(|| PrivateKey::generate(2048).unwrap());

    fn generate(common_name: &str) -> Certificate {
        let request = CertificateRequest {
            common_name,
            not_before: "2026-11-21T10:00:00Z".parse().unwrap(),
            valid_for: SignedDuration::from_hours(87_600),
        };
        Certificate::generate(&KEY, &request, &mut StdRng::seed_from_u64(1)).unwrap()
    }

    #[test]
    fn a_new_certificate_looks_as_upstreams_does() {
        for common_name in ["", "shop"] {
            let made = generate(common_name);
            assert_eq!(made.public_key(), KEY.public_key());
            assert_eq!(made.not_before(), "2026-11-21T10:00:00Z".parse().unwrap());
            assert_eq!(made.not_after(), "2036-11-18T10:00:00Z".parse().unwrap());
            let (_, parsed) = X509Certificate::from_der(made.as_der()).unwrap();
            let expected = if common_name.is_empty() { String::new() } else { format!("CN={common_name}") };
            assert_eq!(parsed.subject().to_string(), expected);
            assert_eq!(parsed.issuer(), parsed.subject());
            assert!(parsed.is_ca());
            let usage = parsed.key_usage().unwrap().unwrap();
            assert!(usage.critical && usage.value.flags == 1 << 7, "encipherOnly and nothing else: {}", usage.value);
            assert!(parsed.basic_constraints().unwrap().unwrap().critical);
            assert!(
                parsed
                    .extensions()
                    .iter()
                    .any(|e| matches!(e.parsed_extension(), ParsedExtension::SubjectKeyIdentifier(_)))
            );
            assert_eq!(parsed.signature_algorithm.algorithm.to_id_string(), "1.2.840.113549.1.1.11");
            assert_ne!(parsed.raw_serial().len(), 0);
        }
    }

    #[test]
    fn the_first_certificate_of_a_text_counts() {
        let (first, second) = (generate("first"), generate("second"));
        let text = format!("# a comment\n{}{}", first.to_pem(), second.to_pem());
        assert_eq!(Certificate::from_pem(text.as_bytes()).unwrap(), first);
        let text = format!("{}{}", first.to_pem(), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
        assert_eq!(Certificate::from_pem(text.as_bytes()).unwrap(), first);
    }

    #[test]
    fn what_is_not_a_certificate_for_sealing_is_told_apart() {
        let elliptic = rcgen::generate_simple_self_signed(vec![]).unwrap().cert.pem();
        let private = pem::encode("RSA PRIVATE KEY", KEY.to_pkcs1_der().expose_secret());
        for (text, expected) in [
            ("", CertificateError::Absent),
            (private.as_str(), CertificateError::Absent),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", CertificateError::Malformed),
            (&elliptic, CertificateError::NotRsa { found: "ECDSA".to_owned() }),
        ] {
            assert_eq!(Certificate::from_pem(text.as_bytes()), Err(expected));
        }
        let mut longer = generate("").as_der().to_vec();
        longer.push(0);
        assert_eq!(Certificate::from_der(&longer), Err(CertificateError::Malformed));
    }

    #[test]
    fn a_certificate_expires_after_its_last_second() {
        let made = generate("");
        assert!(!made.expired(made.not_after()));
        assert!(made.expired(made.not_after() + SignedDuration::from_secs(1)));
    }
}
