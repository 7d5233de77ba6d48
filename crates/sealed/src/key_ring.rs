//! The private keys of a cluster: which one seals, and in which order they are tried to open something.
//!
//! ```text
//! key Secret ─ tls.key, tls.crt ─ SealingKey ─┐
//! key Secret ─ tls.key, tls.crt ─ SealingKey ─┴─ KeyRing ─ active()  newest with a certificate: its certificate is handed out
//!                                                        └ opener()  likeliest key first, then newest first
//! ```
//!
//! A sealed value does not tell its key, and a wrong key costs a private-key operation (5 ms for 4096 bits), so the order matters: with
//! twelve keys in random order an item costs six of them. [`Opener`] tries, for the items of one object, the key that opened the item
//! before; for its first item the keys of the [`Hint`], then the better of two guesses (the key that was active when the object was last
//! changed; the key that opened another object just now), then the rest, newest first.
//!
//! Source: sealed-secrets 0.38.4 `pkg/controller/{keys,keyregistry}.go`.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::hmac;
use bulla_crypto::{KeyError, OpenError, PrivateKey, SecretBytes, hybrid};
use jiff::Timestamp;

use crate::certificate::{Certificate, CertificateError};

/// Length of [`SealingKey::id`].
const ID_LENGTH: usize = 12;

/// What decides which key is the newest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyOrder {
    /// From when on its certificate is valid; upstream's default since 0.29.
    #[default]
    CertificateNotBefore,
    /// When its Secret was created.
    SecretCreation,
}

/// Why a Secret that is labelled as a sealing key opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeySecretError {
    /// There is no private key in it.
    #[error("`tls.key` is missing")]
    Missing,
    /// Its private key cannot be used.
    #[error("`tls.key` cannot be used: {0}")]
    PrivateKey(#[source] KeyError),
}

/// One sealing key, as a key Secret holds it.
pub struct SealingKey {
    name: String,
    created: Timestamp,
    private: PrivateKey,
    certificate: Result<Certificate, CertificateError>,
    digest_key: hmac::Key,
}

impl SealingKey {
    /// Reads `tls.key` and `tls.crt` of the Secret `name`.
    ///
    /// A certificate that is missing, broken or of another key leaves a key that opens but does not seal, see
    /// [`SealingKey::certificate`]; upstream would hand out such a certificate, and what is sealed with it would be lost.
    ///
    /// # Errors
    /// [`KeySecretError`] if there is no usable private key.
    pub fn from_secret(
        name: &str,
        created: Timestamp,
        tls_key: Option<&[u8]>,
        tls_crt: Option<&[u8]>,
    ) -> Result<Self, KeySecretError> {
        let private =
            PrivateKey::from_pem(tls_key.ok_or(KeySecretError::Missing)?).map_err(KeySecretError::PrivateKey)?;
        let certificate = tls_crt.ok_or(CertificateError::Absent).and_then(Certificate::from_pem);
        Ok(Self::new(name, created, private, certificate))
    }

    /// A key that is not read from a Secret: `name` is what messages call it.
    pub fn new(
        name: &str,
        created: Timestamp,
        private: PrivateKey,
        certificate: Result<Certificate, CertificateError>,
    ) -> Self {
        let certificate = certificate.and_then(|certificate| {
            let fits = certificate.public_key().fingerprint() == private.public_key().fingerprint();
            if fits { Ok(certificate) } else { Err(CertificateError::OtherKey) }
        });
        let root = hmac::Key::new(hmac::HMAC_SHA256, private.to_pkcs1_der().expose_secret());
        let digest_key = hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&root, b"bulla: key of digests, 1").as_ref());
        Self { name: name.to_owned(), created, private, certificate, digest_key }
    }

    /// Name of its Secret.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// When its Secret was created.
    pub fn created(&self) -> Timestamp {
        self.created
    }

    /// Fingerprint of its public key, as OpenSSH prints it.
    pub fn fingerprint(&self) -> &str {
        self.private.public_key().fingerprint()
    }

    /// A short name of its public key: the first twelve digits of the fingerprint.
    pub fn id(&self) -> &str {
        let digits = self.fingerprint().trim_start_matches("SHA256:");
        &digits[..ID_LENGTH.min(digits.len())]
    }

    /// Its certificate, or why it does not seal.
    ///
    /// # Errors
    /// What is wrong with the certificate. The key opens what was sealed with it all the same.
    pub fn certificate(&self) -> Result<&Certificate, &CertificateError> {
        self.certificate.as_ref()
    }

    /// The private key itself: to store it, or to export it.
    pub fn private_key(&self) -> &PrivateKey {
        &self.private
    }

    /// HMAC-SHA-256 of `parts`, under a key that only who has this private key can compute. Each part is bound with its length.
    ///
    /// For digests of secrets that are stored where others can read them: without the key nothing can be guessed and checked.
    pub fn keyed_digest(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.digest_key);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(context.sign().as_ref());
        digest
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealingKey")
            .field("name", &self.name)
            .field("fingerprint", &self.fingerprint())
            .finish_non_exhaustive()
    }
}

/// All keys of a cluster, newest first. Clones share their keys and what they learnt from opening.
#[derive(Clone, Debug)]
pub struct KeyRing {
    keys: Vec<Arc<SealingKey>>,
    order: KeyOrder,
    experience: Arc<Experience>,
}

impl KeyRing {
    /// A ring without keys.
    pub fn new(order: KeyOrder) -> Self {
        Self { keys: Vec::new(), order, experience: Arc::default() }
    }

    /// Adds a key. One of the same name is replaced.
    pub fn insert(&mut self, key: impl Into<Arc<SealingKey>>) {
        let key = key.into();
        self.keys.retain(|other| other.name != key.name);
        self.keys.push(key);
        let order = self.order;
        // Of keys of the same time the one that was there first counts as the newest, as upstream.
        self.keys.sort_by(|a, b| {
            ordering_time(b, order)
                .cmp(&ordering_time(a, order))
                .then_with(|| a.created.cmp(&b.created))
                .then_with(|| a.name.cmp(&b.name))
        });
    }

    /// Takes a key out, and tells whether there was one of this name.
    pub fn remove(&mut self, name: &str) -> bool {
        let before = self.keys.len();
        self.keys.retain(|key| key.name != name);
        self.keys.len() != before
    }

    /// Every key, newest first.
    pub fn keys(&self) -> &[Arc<SealingKey>] {
        &self.keys
    }

    /// The key that seals: the newest that has a certificate.
    pub fn active(&self) -> Option<&Arc<SealingKey>> {
        self.keys.iter().find(|key| key.certificate.is_ok())
    }

    /// The time that decides how new `key` is.
    pub fn ordering_time(&self, key: &SealingKey) -> Timestamp {
        ordering_time(key, self.order)
    }

    /// The key with this [`SealingKey::id`].
    pub fn by_id(&self, id: &str) -> Option<&Arc<SealingKey>> {
        self.keys.iter().find(|key| key.id() == id)
    }

    /// Opens the items of one object, likeliest key first.
    pub fn opener(&self, hint: &Hint) -> Opener<'_> {
        Opener::new(self, hint)
    }

    /// Private-key operations that this ring and its clones have made. Grows only.
    pub fn private_key_operations(&self) -> u64 {
        self.experience.operations.load(Ordering::Relaxed)
    }
}

fn ordering_time(key: &SealingKey, order: KeyOrder) -> Timestamp {
    match (order, &key.certificate) {
        (KeyOrder::CertificateNotBefore, Ok(certificate)) => certificate.not_before(),
        _ => key.created,
    }
}

/// What is known of an object that may tell which key it was sealed with. Wrong hints cost time and nothing else.
#[derive(Clone, Debug, Default)]
pub struct Hint {
    /// [`SealingKey::id`]s of the keys that opened an earlier version of it, likeliest first.
    pub keys: Vec<String>,
    /// When it was last changed: it was sealed before that, most likely with the key that was the newest then.
    pub changed: Option<Timestamp>,
}

/// What opening has cost and taught so far.
#[derive(Debug, Default)]
struct Experience {
    operations: AtomicU64,
    guesses: Mutex<Guesses>,
}

/// Two ways to guess the key of an object, and how well each has done lately: 1 is always, 0 is never.
#[derive(Debug, Default)]
struct Guesses {
    latest: Option<String>,
    by_time: f32,
    by_latest: f32,
}

/// Weight of the last guess in the score of its kind: about the last eight count.
const WEIGHT: f32 = 0.125;

/// Opens sealed values of one object with the keys of a ring.
#[derive(Debug)]
pub struct Opener<'ring> {
    ring: &'ring KeyRing,
    /// Indices into the ring, in the order of the next attempt.
    order: Vec<usize>,
    /// Indices of the keys that opened something, the latest last.
    used: Vec<usize>,
    by_time: Option<usize>,
}

/// No key opened a sealed value. One reason for each key, in the order tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotOpened {
    /// Name of the key's Secret, and why it did not open the value.
    pub tried: Vec<(String, OpenError)>,
}

impl<'ring> Opener<'ring> {
    fn new(ring: &'ring KeyRing, hint: &Hint) -> Self {
        let keys = &ring.keys;
        let by_time = hint.changed.and_then(|changed| {
            // Newest first: the first that was there already.
            keys.iter().position(|key| ordering_time(key, ring.order) <= changed)
        });
        let guesses = ring.experience.guesses.lock().unwrap_or_else(PoisonError::into_inner);
        let by_latest =
            guesses.latest.as_ref().and_then(|latest| keys.iter().position(|key| key.fingerprint() == *latest));
        let pair = if guesses.by_time >= guesses.by_latest { [by_time, by_latest] } else { [by_latest, by_time] };
        drop(guesses);
        let hinted = hint.keys.iter().filter_map(|id| keys.iter().position(|key| key.id() == *id));
        let mut order: Vec<usize> = Vec::with_capacity(keys.len());
        for index in hinted.chain(pair.into_iter().flatten()).chain(0..keys.len()) {
            // The same key may lie in two Secrets: trying it once is enough.
            if !order.iter().any(|other| keys[*other].fingerprint() == keys[index].fingerprint()) {
                order.push(index);
            }
        }
        Self { ring, order, used: Vec::new(), by_time }
    }

    /// Opens `sealed`, which was sealed with `label`.
    ///
    /// # Errors
    /// [`NotOpened`] with one reason for each key tried. It ends early where no other key can help: the value is truncated, or a key
    /// fits and the value is damaged.
    pub fn open(&mut self, sealed: &[u8], label: &[u8]) -> Result<SecretBytes, NotOpened> {
        let mut tried = Vec::new();
        for position in 0..self.order.len() {
            let index = self.order[position];
            let key = &self.ring.keys[index];
            let opened = hybrid::open(&key.private, sealed, label);
            if !matches!(opened, Err(OpenError::Truncated | OpenError::OtherKeySize { .. })) {
                self.ring.experience.operations.fetch_add(1, Ordering::Relaxed);
            }
            match opened {
                Ok(plaintext) => {
                    self.succeeded(position);
                    return Ok(plaintext);
                }
                Err(error) => {
                    tried.push((key.name.clone(), error));
                    if matches!(error, OpenError::Truncated | OpenError::Damaged) {
                        break;
                    }
                }
            }
        }
        Err(NotOpened { tried })
    }

    /// The keys that opened something so far, in no particular order.
    pub fn used(&self) -> impl Iterator<Item = &'ring Arc<SealingKey>> {
        self.used.iter().map(|index| &self.ring.keys[*index])
    }

    /// The key that opened the latest value; `None` before the first.
    pub(crate) fn latest(&self) -> Option<&'ring SealingKey> {
        if self.used.is_empty() {
            return None;
        }
        // What opened a value is tried first for the next.
        self.order.first().map(|index| &*self.ring.keys[*index])
    }

    /// The ring that it opens with.
    pub fn ring(&self) -> &'ring KeyRing {
        self.ring
    }

    fn succeeded(&mut self, position: usize) {
        let index = self.order.remove(position);
        self.order.insert(0, index);
        if self.used.is_empty() {
            self.learn(index);
        }
        if !self.used.contains(&index) {
            self.used.push(index);
        }
    }

    fn learn(&self, index: usize) {
        let fingerprint = self.ring.keys[index].fingerprint();
        let mut guesses = self.ring.experience.guesses.lock().unwrap_or_else(PoisonError::into_inner);
        let score = |old: f32, right: bool| old * (1.0 - WEIGHT) + if right { WEIGHT } else { 0.0 };
        if self.by_time.is_some() {
            guesses.by_time = score(guesses.by_time, self.by_time == Some(index));
        }
        guesses.by_latest = score(guesses.by_latest, guesses.latest.as_deref() == Some(fingerprint));
        guesses.latest = Some(fingerprint.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use bulla_crypto::pem;
    use jiff::SignedDuration;
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;
    use crate::certificate::CertificateRequest;

    /// DER of keys, made once: they take a second each.
    static KEYS: LazyLock<Vec<SecretBytes>> =
        LazyLock::new(|| (0..4).map(|_| PrivateKey::generate(2048).unwrap().to_pkcs1_der()).collect());

    fn private(index: usize) -> PrivateKey {
        PrivateKey::from_pkcs1_der(KEYS[index].expose_secret()).unwrap()
    }

    fn day(day: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * day)
    }

    fn certificate(index: usize, not_before: i64) -> Certificate {
        let request = CertificateRequest {
            common_name: "",
            not_before: day(not_before),
            valid_for: SignedDuration::from_hours(24),
        };
        Certificate::generate(&private(index), &request, &mut StdRng::seed_from_u64(1)).unwrap()
    }

    fn key(index: usize, not_before: i64, created: i64) -> SealingKey {
        SealingKey::new(&format!("key-{index}"), day(created), private(index), Ok(certificate(index, not_before)))
    }

    fn ring(order: KeyOrder, keys: impl IntoIterator<Item = SealingKey>) -> KeyRing {
        let mut ring = KeyRing::new(order);
        keys.into_iter().for_each(|key| ring.insert(key));
        ring
    }

    fn sealed(index: usize) -> Vec<u8> {
        hybrid::seal(private(index).public_key(), b"value", b"shop/db", &mut StdRng::seed_from_u64(2))
    }

    #[test]
    fn the_newest_key_seals_by_either_order_and_the_first_of_equals_wins() {
        for (order, keys, expected) in [
            (KeyOrder::CertificateNotBefore, vec![key(0, 1, 9), key(1, 2, 1)], "key-1"),
            (KeyOrder::SecretCreation, vec![key(0, 1, 9), key(1, 2, 1)], "key-0"),
            (KeyOrder::CertificateNotBefore, vec![key(0, 5, 2), key(1, 5, 1)], "key-1"),
            (KeyOrder::CertificateNotBefore, vec![key(1, 5, 1), key(0, 5, 1)], "key-0"),
        ] {
            assert_eq!(ring(order, keys).active().unwrap().name(), expected, "{order:?}");
        }
        assert!(KeyRing::new(KeyOrder::default()).active().is_none());
    }

    #[test]
    fn a_key_whose_certificate_is_wrong_opens_and_does_not_seal() {
        let pem_key = pem::encode("RSA PRIVATE KEY", KEYS[0].expose_secret());
        let other = certificate(1, 9).to_pem();
        for (tls_crt, expected) in [
            (Some(other.as_bytes()), CertificateError::OtherKey),
            (Some(&b"nonsense"[..]), CertificateError::Absent),
            (None, CertificateError::Absent),
        ] {
            let key = SealingKey::from_secret("key-0", day(9), Some(pem_key.as_bytes()), tls_crt).unwrap();
            assert_eq!(key.certificate().unwrap_err(), &expected);
            let ring = ring(KeyOrder::default(), [key]);
            assert!(ring.active().is_none());
            assert_eq!(ring.opener(&Hint::default()).open(&sealed(0), b"shop/db").unwrap().expose_secret(), b"value");
        }
    }

    #[test]
    fn a_secret_without_a_usable_private_key_is_no_sealing_key() {
        for (tls_key, expected) in [
            (None, KeySecretError::Missing),
            (Some(&b"nonsense"[..]), KeySecretError::PrivateKey(KeyError::NoPrivateKey)),
            (
                Some(&b"-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n"[..]),
                KeySecretError::PrivateKey(KeyError::Malformed),
            ),
        ] {
            assert_eq!(SealingKey::from_secret("key", day(0), tls_key, None).unwrap_err(), expected);
        }
    }

    #[test]
    fn the_items_of_one_object_cost_one_operation_each_once_its_key_is_known() {
        let ring = ring(KeyOrder::default(), (0..4).zip(0..).map(|(index, time)| key(index, time, 0)));
        let mut opener = ring.opener(&Hint::default());
        for _ in 0..5 {
            opener.open(&sealed(0), b"shop/db").unwrap(); // the oldest: three wrong keys first, once
        }
        assert_eq!(ring.private_key_operations(), 3 + 5);
        assert_eq!(opener.used().map(|key| key.name()).collect::<Vec<_>>(), ["key-0"]);
        // The next object is tried with the key of the one before.
        ring.opener(&Hint::default()).open(&sealed(0), b"shop/db").unwrap();
        assert_eq!(ring.private_key_operations(), 9);
    }

    #[test]
    fn hints_come_first_and_the_better_guess_next() {
        let ring = ring(KeyOrder::default(), (0..4).zip(0..).map(|(index, time)| key(index, time * 10, 0)));
        let id =
            |index: usize| ring.keys().iter().find(|key| key.name() == format!("key-{index}")).unwrap().id().to_owned();
        let cost = |hint: &Hint, index| {
            let before = ring.private_key_operations();
            ring.opener(hint).open(&sealed(index), b"shop/db").unwrap();
            ring.private_key_operations() - before
        };
        assert_eq!(cost(&Hint { keys: vec![id(0)], changed: None }, 0), 1);
        // Each object was changed while its key was the newest; their keys take turns.
        for (index, time) in [(1, 15), (2, 25), (3, 35), (0, 5), (1, 15), (2, 25), (3, 35), (0, 5)] {
            assert_eq!(cost(&Hint { keys: vec![], changed: Some(day(time)) }, index), 1, "{index}");
        }
        // A restored cluster: every object is younger than every key, and one old key opens them all.
        let restored = Hint { keys: vec![], changed: Some(day(99)) };
        let costs: Vec<_> = (0..20).map(|_| cost(&restored, 1)).collect();
        assert_eq!(costs[10..], [1; 10], "{costs:?}");
        assert_eq!(cost(&Hint { keys: vec!["unknown".to_owned()], changed: None }, 1), 1);
    }

    #[test]
    fn every_key_that_was_tried_is_named_with_its_reason() {
        let ring = ring(KeyOrder::default(), [key(0, 0, 0), key(1, 1, 0)]);
        let not_opened = ring.opener(&Hint::default()).open(&sealed(2), b"shop/db").unwrap_err();
        let reason = OpenError::NotForThisKeyOrLabel;
        assert_eq!(not_opened.tried, [("key-1".to_owned(), reason), ("key-0".to_owned(), reason)]);
        // A truncated value and a damaged one end the search.
        let mut value = sealed(1);
        *value.last_mut().unwrap() ^= 1;
        let tried = ring.opener(&Hint::default()).open(&value, b"shop/db").unwrap_err().tried;
        assert_eq!(tried, [("key-1".to_owned(), OpenError::Damaged)]);
        let tried = ring.opener(&Hint::default()).open(&value[..100], b"shop/db").unwrap_err().tried;
        assert_eq!(tried, [("key-1".to_owned(), OpenError::Truncated)]);
    }

    #[test]
    fn another_key_size_costs_no_operation() {
        let ring = ring(KeyOrder::default(), [key(0, 0, 0), key(1, 1, 0)]);
        let mut value = 512_u16.to_be_bytes().to_vec();
        value.resize(2 + 512 + 16, 7);
        ring.opener(&Hint::default()).open(&value, b"").unwrap_err();
        assert_eq!(ring.private_key_operations(), 0);
    }

    #[test]
    fn the_same_key_in_two_secrets_is_tried_once() {
        let twice = SealingKey::new("copy", day(0), private(0), Ok(certificate(0, 0)));
        let ring = ring(KeyOrder::default(), [key(0, 0, 0), twice]);
        assert_eq!(ring.opener(&Hint::default()).open(&sealed(1), b"").unwrap_err().tried.len(), 1);
        let mut ring = ring.clone();
        assert!(ring.remove("key-0"));
        assert!(!ring.remove("key-0"));
        assert!(ring.opener(&Hint::default()).open(&sealed(0), b"shop/db").is_ok());
    }

    #[test]
    fn a_keyed_digest_depends_on_the_key_and_on_where_parts_end() {
        let (one, two) = (key(0, 0, 0), key(1, 0, 0));
        let digest = one.keyed_digest(&[b"ab", b"c"]);
        assert_eq!(digest, key(0, 5, 5).keyed_digest(&[b"ab", b"c"]), "neither name nor certificate matters");
        assert_ne!(digest, one.keyed_digest(&[b"a", b"bc"]));
        assert_ne!(digest, two.keyed_digest(&[b"ab", b"c"]));
    }

    #[test]
    fn debug_shows_names_and_fingerprints_only() {
        let text = format!("{:?}", ring(KeyOrder::default(), [key(0, 0, 0)]));
        assert!(text.contains("key-0") && text.contains("SHA256:"), "{text}");
        assert!(text.len() < 400, "{text}");
    }
}
