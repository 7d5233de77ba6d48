//! What kubeseal sealed, and the crate `rsa` as a second opinion on OAEP: it shares no line with aws-lc.

use std::sync::LazyLock;

use bulla_crypto::hybrid::{self, OpenError, PrivateKey};
use bulla_crypto::{KeyError, PublicKey, encoding, pem};
use bulla_testkit::vectors::vectors;
use proptest::prelude::*;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rsa::Oaep;
use rsa::pkcs1::DecodeRsaPrivateKey as _;
use rsa::traits::PublicKeyParts as _;

use crate::hex;

/// One key for the tests that only need some key: generating takes its time.
static KEY: LazyLock<PrivateKey> = LazyLock::new(|| PrivateKey::generate(2048).unwrap());

fn rng() -> StdRng {
    StdRng::seed_from_u64(7)
}

#[test]
fn what_kubeseal_sealed_ends_as_declared() {
    let vectors = vectors("tests/vectors/crypto/hybrid");
    assert!(vectors.len() >= 17, "vectors went missing: {} left", vectors.len());
    for vector in vectors {
        let header = |name| vector.header(name).unwrap_or_else(|| panic!("{}: no header {name}", vector.name));
        let key = PrivateKey::from_pem(&vector.body).unwrap();
        assert_eq!(key.public_key().fingerprint(), header("fingerprint"), "{}", vector.name);
        let sealed = encoding::decode_go(header("sealed").as_bytes()).unwrap();
        let outcome = match hybrid::open(&key, &sealed, header("label").as_bytes()) {
            Ok(plaintext) => {
                assert_eq!(plaintext.expose_secret(), hex(header("plain")), "{}", vector.name);
                "success"
            }
            Err(OpenError::Truncated) => "truncated",
            Err(OpenError::OtherKeySize { .. }) => "other key size",
            Err(OpenError::NotForThisKeyOrLabel) => "not for this key or label",
            Err(OpenError::Damaged) => "damaged",
            Err(other) => panic!("{}: {other}", vector.name),
        };
        assert_eq!(outcome, header("expect"), "{}: {}", vector.name, header("comment"));
    }
}

#[test]
fn the_crate_rsa_opens_our_oaep_and_we_open_its() {
    let ours = &*KEY;
    let theirs = rsa::RsaPrivateKey::from_pkcs1_der(ours.to_pkcs1_der().expose_secret()).unwrap();
    assert_eq!(theirs.size() * 8, ours.public_key().bits());
    for label in ["", "shop", "shop/database", "ümlaut/\u{1f511}"] {
        let oaep = || Oaep::new_with_label::<rsa::sha2::Sha256, _>(label);
        let key = [9; 32];
        let wrapped = hybrid::seal_oaep(ours.public_key(), &key, label.as_bytes());
        assert_eq!(theirs.decrypt(oaep(), &wrapped).unwrap(), key, "{label:?}");

        let mut rng = rsa::rand_core::OsRng;
        let wrapped = theirs.to_public_key().encrypt(&mut rng, oaep(), &key).unwrap();
        assert_eq!(ours.open_oaep(&wrapped, label.as_bytes()).unwrap().expose_secret(), key);
        assert!(ours.open_oaep(&wrapped, b"another").is_none());
    }
}

#[test]
fn an_unusual_session_key_is_damage_and_no_panic() {
    for length in [0, 16, 31, 33, 190] {
        let wrapped = hybrid::seal_oaep(KEY.public_key(), &vec![1; length], b"a");
        let sealed = [&256_u16.to_be_bytes()[..], &wrapped, &[0; 20]].concat();
        assert_eq!(hybrid::open(&KEY, &sealed, b"a").unwrap_err(), OpenError::Damaged);
    }
}

#[test]
fn keys_survive_every_form() {
    let public = KEY.public_key();
    for key in [
        PrivateKey::from_pkcs1_der(KEY.to_pkcs1_der().expose_secret()).unwrap(),
        PrivateKey::from_pkcs8_der(KEY.to_pkcs8_der().expose_secret()).unwrap(),
        PrivateKey::from_pem(pem::encode("RSA PRIVATE KEY", KEY.to_pkcs1_der().expose_secret()).as_bytes()).unwrap(),
        PrivateKey::from_pem(pem::encode("PRIVATE KEY", KEY.to_pkcs8_der().expose_secret()).as_bytes()).unwrap(),
    ] {
        assert_eq!(key.public_key(), public);
    }
    assert_eq!(&PublicKey::from_spki_der(public.as_spki_der()).unwrap(), public);
    assert_eq!(&PublicKey::from_ssh_wire(&public.to_ssh_wire()).unwrap(), public);
    assert_eq!(format!("{:?}", *KEY), format!("PrivateKey({:?})", public.fingerprint()));
}

#[test]
fn keys_that_cannot_be_used_are_told_apart() {
    let text = |label: &str, der: &[u8]| pem::encode(label, der).to_string();
    let small = rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 1024).unwrap();
    let small = rsa::pkcs1::EncodeRsaPrivateKey::to_pkcs1_der(&small).unwrap();
    let good = KEY.to_pkcs1_der();
    let mut damaged = good.expose_secret().to_vec();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    let certificate = text("CERTIFICATE", b"x");
    for (pem, expected) in [
        (String::new(), KeyError::NoPrivateKey),
        (certificate.clone(), KeyError::NoPrivateKey),
        (text("EC PRIVATE KEY", b"x"), KeyError::NotRsa),
        (text("RSA PRIVATE KEY", b"x"), KeyError::Malformed),
        (text("PRIVATE KEY", b"x"), KeyError::Malformed),
        (text("RSA PRIVATE KEY", small.as_bytes()), KeyError::UnsupportedSize { bits: 1024 }),
        (text("RSA PRIVATE KEY", &damaged), KeyError::Rejected),
    ] {
        assert_eq!(PrivateKey::from_pem(pem.as_bytes()).unwrap_err(), expected, "{pem}");
    }
    // What is no key is passed over.
    let many = certificate + &text("RSA PRIVATE KEY", b"x") + &text("RSA PRIVATE KEY", good.expose_secret());
    assert!(PrivateKey::from_pem(many.as_bytes()).is_ok());
    assert_eq!(PrivateKey::generate(2047).unwrap_err(), KeyError::UnusualSize { bits: 2047 });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn open_undoes_seal(plaintext: Vec<u8>, label in prop::collection::vec(any::<u8>(), 0..80)) {
        let sealed = hybrid::seal(KEY.public_key(), &plaintext, &label, &mut rng());
        prop_assert_eq!(sealed.len(), 2 + 256 + plaintext.len() + 16);
        let opened = hybrid::open(&KEY, &sealed, &label).unwrap();
        prop_assert_eq!(opened.expose_secret(), &plaintext[..]);
        let mut other = label.clone();
        other.push(b'x');
        prop_assert_eq!(hybrid::open(&KEY, &sealed, &other).unwrap_err(), OpenError::NotForThisKeyOrLabel);
    }

    #[test]
    fn a_sealed_value_cut_anywhere_is_refused(plaintext in prop::collection::vec(any::<u8>(), 0..40)) {
        let sealed = hybrid::seal(KEY.public_key(), &plaintext, b"a/b", &mut rng());
        for end in 0..sealed.len() {
            let error = hybrid::open(&KEY, &sealed[..end], b"a/b").unwrap_err();
            let expected = if end < 2 + 256 + 16 { OpenError::Truncated } else { OpenError::Damaged };
            prop_assert_eq!(error, expected, "{} of {}", end, sealed.len());
        }
    }

    #[test]
    fn a_flipped_bit_anywhere_is_refused(bit in any::<prop::sample::Index>()) {
        let mut sealed = hybrid::seal(KEY.public_key(), b"a value", b"a/b", &mut rng());
        let bit = bit.index(sealed.len() * 8);
        sealed[bit / 8] ^= 1 << (bit % 8);
        let error = hybrid::open(&KEY, &sealed, b"a/b").unwrap_err();
        let expected = match bit / 8 {
            0..2 => matches!(error, OpenError::Truncated | OpenError::OtherKeySize { .. }),
            2..258 => error == OpenError::NotForThisKeyOrLabel,
            _ => error == OpenError::Damaged,
        };
        prop_assert!(expected, "bit {bit}: {error}");
    }

    #[test]
    fn garbage_is_refused(garbage: Vec<u8>) {
        prop_assert!(hybrid::open(&KEY, &garbage, b"").is_err());
    }
}

#[test]
fn the_package_of_sealed_secrets_opens_what_we_seal() {
    bulla_testkit::needs_peers!();
    let oracle = bulla_testkit::sealing::SealingOracle::shared();
    let key = pem::encode("RSA PRIVATE KEY", KEY.to_pkcs1_der().expose_secret());
    for (plaintext, label) in
        [(&b"value"[..], "shop/database"), (b"", "shop"), (&[0, 255, 10], ""), (&vec![7; 70_000], "é")]
    {
        let sealed = hybrid::seal(KEY.public_key(), plaintext, label.as_bytes(), &mut rng());
        assert_eq!(oracle.open(&key, &sealed, label.as_bytes()).unwrap(), plaintext, "{label}");
        assert!(oracle.open(&key, &sealed, b"other").is_err(), "{label}");
    }
}
