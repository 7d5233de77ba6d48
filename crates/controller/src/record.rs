//! How a controller knows after a restart that nothing has changed, without decrypting anything.
//!
//! With each outcome that took private-key operations to find, the status of the SealedSecret gets a condition `Checked` whose message is
//! a record: a word for the outcome, the ids of the keys that took part, and a digest over all that the outcome depends on:
//!
//! ```text
//! opened   the Secret (uid, resourceVersion) holds what this object (uid, generation, scope, specification) seals
//! blocked  likewise, but the Secret is immutable or of another type: it must change first
//! refused  no key of the ring (all their fingerprints) opens this object
//! ```
//!
//! The digest is an HMAC under a key derived from the private keys it names, so only a controller that has them can write or check it, a
//! forged one is noticed, and it vanishes with a key that leaves the ring. It covers no plaintext: the Secret's `resourceVersion` stands
//! for its content. What a different record costs is one more reconciliation, never a wrong one.
//! Why so: `docs/decisions/0003-record-of-what-was-checked.md`.

use std::fmt;
use std::io;
use std::sync::Arc;

use aws_lc_rs::{constant_time, digest};
use bulla_sealed::{KeyRing, Scope, SealingKey};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

/// Raised when the same object would become another Secret than before, or one where it was refused: older records then no longer
/// hold.
const FORMAT: &str = "2";
/// Bytes of the HMAC that are kept.
const MAC_LENGTH: usize = 16;

/// SHA-256 over everything of a SealedSecret that its Secret depends on. Public data only, and kept in memory only.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

/// One version of a Secret: the content cannot change without a new one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretVersion {
    /// `metadata.uid`
    pub uid: String,
    /// `metadata.resourceVersion`
    pub resource_version: String,
}

impl SecretVersion {
    /// The version that `metadata` tells.
    pub(crate) fn of(metadata: &ObjectMeta) -> Self {
        Self {
            uid: metadata.uid.clone().unwrap_or_default(),
            resource_version: metadata.resource_version.clone().unwrap_or_default(),
        }
    }
}

/// What was found about a SealedSecret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The Secret holds it.
    Opened,
    /// It opens, but the Secret that exists cannot take it.
    Blocked,
    /// No key opens it.
    Refused,
}

/// A verdict and the proof of what it was about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What was found.
    pub verdict: Verdict,
    keys: Vec<String>,
    mac: [u8; MAC_LENGTH],
}

impl Fingerprint {
    /// Of an object with this metadata and these fields, `spec` among them; it need not be well-formed.
    #[expect(clippy::missing_panics_doc, reason = "the reason it cannot fail stands beside it")]
    pub fn of(metadata: &ObjectMeta, data: &Value) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        let mut part = |bytes: &[u8]| {
            context.update(&(bytes.len() as u64).to_be_bytes());
            context.update(bytes);
        };
        for text in [&metadata.namespace, &metadata.name, &metadata.uid] {
            part(text.as_deref().unwrap_or_default().as_bytes());
        }
        part(&metadata.generation.unwrap_or_default().to_be_bytes());
        part(Scope::of(metadata.annotations.as_ref()).as_str().as_bytes());
        // The API server writes the fields of an object in one order, so equal specifications are equal bytes.
        let mut writer = Writer(context);
        if let Some(spec) = data.get("spec") {
            serde_json::to_writer(&mut writer, spec).expect("a JSON value is JSON, and hashing does not fail");
        }
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(writer.0.finish().as_ref());
        Self(fingerprint)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({:02x}{:02x}…)", self.0[0], self.0[1])
    }
}

struct Writer(digest::Context);

impl io::Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Record {
    /// The Secret `version` holds what `fingerprint` seals, opened by `keys`. `None` if there is no key to sign with.
    pub fn opened(
        fingerprint: Fingerprint,
        version: &SecretVersion,
        keys: &[Arc<SealingKey>],
        ring: &KeyRing,
    ) -> Option<Self> {
        Self::sign(Verdict::Opened, fingerprint, Some(version), &signers(keys, ring), ring)
    }

    /// The Secret `version` cannot take what `fingerprint` seals, opened by `keys`.
    pub fn blocked(
        fingerprint: Fingerprint,
        version: &SecretVersion,
        keys: &[Arc<SealingKey>],
        ring: &KeyRing,
    ) -> Option<Self> {
        Self::sign(Verdict::Blocked, fingerprint, Some(version), &signers(keys, ring), ring)
    }

    /// No key of `ring` opens `fingerprint`.
    pub fn refused(fingerprint: Fingerprint, ring: &KeyRing) -> Option<Self> {
        Self::sign(Verdict::Refused, fingerprint, None, &signers(&[], ring), ring)
    }

    /// Whether it was written by a controller with the keys of `ring`, about `fingerprint` and the Secret that exists.
    pub fn holds(&self, fingerprint: Fingerprint, existing: Option<&SecretVersion>, ring: &KeyRing) -> bool {
        let version = match self.verdict {
            Verdict::Refused => None,
            Verdict::Opened | Verdict::Blocked if existing.is_none() => return false,
            Verdict::Opened | Verdict::Blocked => existing,
        };
        let keys: Option<Vec<_>> = self.keys.iter().map(|id| ring.by_id(id).cloned()).collect();
        keys.and_then(|keys| Self::sign(self.verdict, fingerprint, version, &keys, ring))
            .is_some_and(|expected| constant_time::verify_slices_are_equal(&expected.mac, &self.mac).is_ok())
    }

    /// Ids of the keys that took part, for [`bulla_sealed::Hint`].
    pub fn keys(&self) -> &[String] {
        &self.keys
    }

    /// Reads what [`fmt::Display`] writes; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(' ');
        let (format, word, keys, mac) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        if format != FORMAT || parts.next().is_some() || mac.len() != 2 * MAC_LENGTH || !mac.is_ascii() {
            return None;
        }
        let verdict = [Verdict::Opened, Verdict::Blocked, Verdict::Refused].into_iter().find(|it| it.word() == word)?;
        let mut bytes = [0; MAC_LENGTH];
        for (byte, digits) in bytes.iter_mut().zip(mac.as_bytes().chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        }
        Some(Self { verdict, keys: keys.split(',').map(str::to_owned).collect(), mac: bytes })
    }

    /// The HMACs of all keys in a row, each over the one before, so that none can be missing.
    fn sign(
        verdict: Verdict,
        fingerprint: Fingerprint,
        version: Option<&SecretVersion>,
        keys: &[Arc<SealingKey>],
        ring: &KeyRing,
    ) -> Option<Self> {
        let ring_state = match verdict {
            Verdict::Refused => state_of(ring),
            Verdict::Opened | Verdict::Blocked => String::new(),
        };
        let (uid, resource_version) =
            version.map_or(("", ""), |version| (version.uid.as_str(), version.resource_version.as_str()));
        let mut chain: Option<[u8; 32]> = None;
        for key in keys {
            let before = chain.as_ref().map_or(&[][..], |digest| &digest[..]);
            chain = Some(key.keyed_digest(&[
                b"bulla: record",
                FORMAT.as_bytes(),
                verdict.word().as_bytes(),
                &fingerprint.0,
                uid.as_bytes(),
                resource_version.as_bytes(),
                ring_state.as_bytes(),
                before,
            ]));
        }
        let mut mac = [0; MAC_LENGTH];
        mac.copy_from_slice(&chain?[..MAC_LENGTH]);
        Some(Self { verdict, keys: keys.iter().map(|key| key.id().to_owned()).collect(), mac })
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{FORMAT} {} {} ", self.verdict.word(), self.keys.join(","))?;
        self.mac.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Blocked => "blocked",
            Self::Refused => "refused",
        }
    }
}

/// The keys that opened something, in a fixed order; where none was needed, the newest.
fn signers(keys: &[Arc<SealingKey>], ring: &KeyRing) -> Vec<Arc<SealingKey>> {
    let mut signers: Vec<_> =
        if keys.is_empty() { ring.keys().iter().take(1).cloned().collect() } else { keys.to_vec() };
    signers.sort_by(|a, b| a.id().cmp(b.id()));
    signers
}

/// All fingerprints of the ring, in a fixed order.
fn state_of(ring: &KeyRing) -> String {
    let mut fingerprints: Vec<&str> = ring.keys().iter().map(|key| key.fingerprint()).collect();
    fingerprints.sort_unstable();
    fingerprints.dedup();
    fingerprints.join(" ")
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use bulla_crypto::PrivateKey;
    use bulla_sealed::{CertificateError, KeyOrder};
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;

    static KEYS: LazyLock<Vec<Arc<SealingKey>>> = LazyLock::new(|| {
        let key = |index| {
            let private = PrivateKey::generate(2048).unwrap();
            SealingKey::new(&format!("key-{index}"), Timestamp::UNIX_EPOCH, private, Err(CertificateError::Absent))
        };
        (0..3).map(|index| Arc::new(key(index))).collect()
    });

    fn ring(indices: &[usize]) -> KeyRing {
        let mut ring = KeyRing::new(KeyOrder::default());
        for index in indices {
            ring.insert(KEYS[*index].clone());
        }
        ring
    }

    fn metadata() -> ObjectMeta {
        ObjectMeta {
            name: Some("db".to_owned()),
            namespace: Some("shop".to_owned()),
            uid: Some("u".to_owned()),
            generation: Some(1),
            ..ObjectMeta::default()
        }
    }

    fn fingerprint() -> Fingerprint {
        Fingerprint::of(&metadata(), &json!({"spec": {"encryptedData": {"a": "b"}}}))
    }

    fn version(resource_version: &str) -> SecretVersion {
        SecretVersion { uid: "s".to_owned(), resource_version: resource_version.to_owned() }
    }

    #[test]
    fn the_fingerprint_changes_with_all_that_the_secret_depends_on_and_with_nothing_else() {
        let spec = json!({"spec": {"encryptedData": {"a": "b"}}});
        for change in [
            ObjectMeta { name: Some("other".to_owned()), ..metadata() },
            ObjectMeta { namespace: Some("other".to_owned()), ..metadata() },
            ObjectMeta { uid: Some("other".to_owned()), ..metadata() },
            ObjectMeta { generation: Some(2), ..metadata() },
            ObjectMeta {
                annotations: Some([("sealedsecrets.bitnami.com/cluster-wide".to_owned(), "true".to_owned())].into()),
                ..metadata()
            },
        ] {
            assert_ne!(Fingerprint::of(&change, &spec), fingerprint(), "{change:?}");
        }
        for other in [json!({"spec": {"encryptedData": {"a": "c"}}}), json!({"spec": {"encryptedData": {}}}), json!({})]
        {
            assert_ne!(Fingerprint::of(&metadata(), &other), fingerprint(), "{other}");
        }
        let labelled = ObjectMeta {
            labels: Some([("a".to_owned(), "b".to_owned())].into()),
            annotations: Some([("note".to_owned(), "true".to_owned())].into()),
            resource_version: Some("9".to_owned()),
            ..metadata()
        };
        let with_status = json!({"spec": {"encryptedData": {"a": "b"}}, "status": {"observedGeneration": 1}});
        assert_eq!(Fingerprint::of(&labelled, &with_status), fingerprint());
    }

    #[test]
    fn a_record_is_read_as_it_is_written_and_holds() {
        let ring = ring(&[0, 1, 2]);
        let keys = [KEYS[2].clone(), KEYS[0].clone()];
        for record in [
            Record::opened(fingerprint(), &version("1"), &keys, &ring),
            Record::blocked(fingerprint(), &version("1"), &keys, &ring),
            Record::opened(fingerprint(), &version("1"), &[], &ring),
            Record::refused(fingerprint(), &ring),
        ] {
            let record = record.unwrap();
            let text = record.to_string();
            assert_eq!(Record::parse(&text), Some(record.clone()), "{text}");
            assert!(record.holds(fingerprint(), Some(&version("1")), &ring), "{text}");
        }
    }

    #[test]
    fn a_record_does_not_hold_for_anything_else() {
        let all = ring(&[0, 1, 2]);
        let record = Record::opened(fingerprint(), &version("1"), &[KEYS[0].clone(), KEYS[1].clone()], &all).unwrap();
        let other = Fingerprint::of(&metadata(), &json!({}));
        assert!(!record.holds(other, Some(&version("1")), &all), "another object");
        assert!(!record.holds(fingerprint(), Some(&version("2")), &all), "a Secret that was changed");
        assert!(!record.holds(fingerprint(), None, &all), "a Secret that is gone");
        assert!(!record.holds(fingerprint(), Some(&version("1")), &ring(&[0, 2])), "a key that is gone");
        assert!(record.holds(fingerprint(), Some(&version("1")), &ring(&[1, 0])), "a key that has no part in it");
        let mut forged = record.clone();
        forged.verdict = Verdict::Blocked;
        assert!(!forged.holds(fingerprint(), Some(&version("1")), &all), "another verdict");
        let mut fewer = record;
        fewer.keys.pop();
        assert!(!fewer.holds(fingerprint(), Some(&version("1")), &all), "a key left out");

        let refused = Record::refused(fingerprint(), &ring(&[0, 1])).unwrap();
        assert!(refused.holds(fingerprint(), None, &ring(&[0, 1])));
        assert!(!refused.holds(fingerprint(), None, &all), "a new key may open it");
        assert_eq!(Record::refused(fingerprint(), &ring(&[])), None, "nothing to sign with");
    }

    #[test]
    fn what_is_no_record_is_no_record() {
        let text = Record::refused(fingerprint(), &ring(&[0])).unwrap().to_string();
        for other in [
            String::new(),
            "yes".to_owned(),
            text.replace("refused", "known"),
            format!("{text}0"),
            format!("{text} more"),
            text.replacen(FORMAT, "1", 1),
            format!("{}é", &text[..text.len() - 2]),
            format!("{}zz", &text[..text.len() - 2]),
        ] {
            assert_eq!(Record::parse(&other), None, "{other}");
        }
    }
}
