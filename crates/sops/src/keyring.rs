//! Getting the data key: the file's master keys, tried in SOPS' order with what this command has.
//!
//! ```text
//! one group         keys in the order of their kinds ─ the first that unwraps ─▶ data key
//! several groups    each likewise ─▶ its share; as many as the threshold says ─ shamir::combine ─▶ data key
//! ```
//! Of several keys of age or PGP, those that something fits which is here come first: a team of any size is no reason to try sixty others.
//! Groups with a key of age or PGP come first, or what `decryption_order` says. Once there are enough shares, no other key is asked: SOPS goes on through all groups, with a call or a question for a PIN each.

use std::fmt;
use std::sync::Arc;

use bulla_crypto::shamir::{self, CombineError};
use bulla_crypto::{DataKey, DataKeyLengthError, SecretBytes};
use bulla_keys::age::{AgeIdentities, AgeKey};
use bulla_keys::{KeyId, KeyName, KeySources, MasterKey, Source, Tried, UnwrapError};
use bulla_services::NamedBy;

use crate::metadata::{KeyEntry, Metadata};
use crate::wrap::needed;

/// So many keys of services are called for one file. Whoever writes a file with thousands does not have them all called by us.
const MOST_CALLED: usize = 50;
/// So many programs are started for one file: gpg, plugins of age, commands that print identities. What needs none is tried all the same.
const MOST_STARTED: usize = 100;

/// The means of a command to unwrap data keys.
pub trait KeyRing: fmt::Debug + Sync {
    /// The master key that `entry` names, ready to unwrap; `None` for a kind that is not there.
    fn master_key(&self, entry: &KeyEntry) -> Option<Box<dyn MasterKey>>;

    /// The kinds to try first, in this order; the others follow as the file has them.
    fn order(&self) -> &[Source] {
        &[Source::Age, Source::Pgp]
    }
}

/// age only.
impl KeyRing for Arc<AgeIdentities> {
    fn master_key(&self, entry: &KeyEntry) -> Option<Box<dyn MasterKey>> {
        match entry.name() {
            KeyName::Age(recipient) => Some(Box::new(AgeKey::new(recipient, Self::clone(self)))),
            _ => None,
        }
    }
}

/// Keys of every kind that can be used.
impl KeyRing for KeySources<'_> {
    fn master_key(&self, entry: &KeyEntry) -> Option<Box<dyn MasterKey>> {
        self.key(entry.name(), NamedBy::File)
    }

    fn order(&self) -> &[Source] {
        self.order.sources()
    }
}

/// No data key could be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataKeyError {
    /// No master key gave the data key.
    #[error("none of {} could unwrap the data key{}", count(.failures), list(.failures))]
    NoKey {
        /// Why each did not, in the order tried.
        failures: Vec<KeyFailure>,
        /// Where the means to unwrap were looked for, each place once.
        tried: Vec<Tried>,
    },
    /// Too few groups of keys gave their share of the data key.
    #[error(
        "shares of the data key are needed from {needed} of {} groups of keys, and {} gave one{}",
        .groups.len(), count_opened(.groups), list_groups(.groups)
    )]
    TooFewShares {
        /// How many are needed.
        needed: usize,
        /// What became of each group, in their order. All were tried.
        groups: Vec<GroupOutcome>,
        /// Where the means to unwrap were looked for, each place once.
        tried: Vec<Tried>,
    },
    /// The file wants more shares than it has groups, so nobody can open it.
    #[error("the file says that shares of {needed} groups of keys are needed (`shamir_threshold`), and has {groups}")]
    Threshold {
        /// How many it wants.
        needed: usize,
        /// How many it has.
        groups: usize,
    },
    /// The shares are there, and do not go together.
    #[error("the shares of the data key do not go together")]
    Shares(#[from] CombineError),
    /// They give something else.
    #[error("the shares give no data key")]
    Length(#[from] DataKeyLengthError),
}

/// What became of a group of keys.
#[derive(Debug)]
pub struct GroupOutcome {
    /// The key that gave the group's share.
    pub opened: Option<KeyId>,
    /// Why those that were tried before it, or all of them, did not.
    pub failures: Vec<KeyFailure>,
}

/// Why a master key did not give the data key.
#[derive(Debug, thiserror::Error)]
#[error("{id}: {reason}")]
pub struct KeyFailure {
    /// The key.
    pub id: KeyId,
    /// Why.
    pub reason: KeyReason,
}

/// Why a master key did not give the data key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyReason {
    /// There is no way to use keys of this kind.
    #[error("keys of this kind cannot be used")]
    Unsupported,
    /// The entry has no `enc`.
    #[error("the file holds no wrapped data key for it")]
    Empty,
    /// Too many others were asked.
    #[error("not asked: {} other keys were", if *.is_in_a_service { MOST_CALLED } else { MOST_STARTED })]
    TooMany {
        /// Whether it would take a call of a service, and not a program.
        is_in_a_service: bool,
    },
    /// Nothing that is here opens it.
    #[error("no identity here fits it")]
    NotOurs,
    /// It should have worked.
    #[error(transparent)]
    Unwrap(#[from] UnwrapError),
    /// It worked, and what came out is neither a data key nor a share of one.
    #[error("{} has {expected} bytes, this one has {found}", if *.expected == SHARE { "a share of a data key" } else { "a data key" })]
    Length {
        /// How many bytes it should have.
        expected: usize,
        /// How many it has.
        found: usize,
    },
}

fn count(failures: &[KeyFailure]) -> String {
    match failures.len() {
        1 => "the file's 1 master key".to_owned(),
        count => format!("the file's {count} master keys"),
    }
}

fn list(failures: &[KeyFailure]) -> String {
    failures.iter().fold(String::new(), |text, failure| text + "\n  " + &failure.to_string())
}

fn count_opened(groups: &[GroupOutcome]) -> usize {
    groups.iter().filter(|group| group.opened.is_some()).count()
}

fn list_groups(groups: &[GroupOutcome]) -> String {
    let mut text = String::new();
    for (index, group) in groups.iter().enumerate() {
        match &group.opened {
            Some(id) => text = format!("{text}\n  group {}: opened by {id}", index + 1),
            None => {
                let failures = list(&group.failures).replace('\n', "\n  ");
                text = format!("{text}\n  group {}:{failures}", index + 1);
            }
        }
    }
    text
}

/// Gets the data key: from the first master key that can unwrap it, or, where it is split, from as many groups as are needed.
///
/// # Errors
/// [`DataKeyError`], with a reason for every key that was tried.
pub(crate) async fn data_key(metadata: &Metadata, ring: &dyn KeyRing) -> Result<DataKey, DataKeyError> {
    let mut unwrapping = Unwrapping { ring, tried: Vec::new(), called: 0, started: 0 };
    if let [group] = metadata.groups.as_slice() {
        let unwrapped = unwrapping.group(group, DataKey::LENGTH).await;
        return match unwrapped {
            (Some((_, secret)), _) => Ok(DataKey::try_from(&secret)?),
            (None, failures) => Err(DataKeyError::NoKey { failures, tried: unwrapping.tried }),
        };
    }
    let needed = needed(metadata.groups.len(), metadata.threshold());
    if needed > metadata.groups.len() {
        return Err(DataKeyError::Threshold { needed, groups: metadata.groups.len() });
    }
    // Groups with a key of the kinds that come first, which need no service unless that was said, come first.
    let mut groups: Vec<(usize, &Vec<KeyEntry>)> = metadata.groups.iter().enumerate().collect();
    groups.sort_by_key(|(_, group)| group.iter().map(|entry| unwrapping.rank(entry)).min());

    let (mut shares, mut outcomes) = (Vec::new(), Vec::new());
    for (number, group) in groups {
        let (unwrapped, failures) = unwrapping.group(group, SHARE).await;
        let (opened, share) = unwrapped.unzip();
        outcomes.push((number, GroupOutcome { opened, failures }));
        shares.extend(share);
        // Two points make a line: a file that says otherwise was changed.
        if shares.len() >= needed.max(2) {
            return Ok(DataKey::try_from(&shamir::combine(&shares)?)?);
        }
    }
    outcomes.sort_by_key(|(number, _)| *number);
    let groups = outcomes.into_iter().map(|(_, outcome)| outcome).collect();
    Err(DataKeyError::TooFewShares { needed, groups, tried: unwrapping.tried })
}

/// Length of a group's share of a data key: its bytes, and which it is.
const SHARE: usize = DataKey::LENGTH + 1;

/// The keys of one file being tried.
struct Unwrapping<'r> {
    ring: &'r dyn KeyRing,
    /// Where keys that did not work looked for their means.
    tried: Vec<Tried>,
    /// How often services were called.
    called: usize,
    /// How many programs were started.
    started: usize,
}

/// A key of the file, and the means for it.
type Candidate<'e> = (&'e KeyEntry, Option<Box<dyn MasterKey>>);

impl Unwrapping<'_> {
    /// The place of a key's kind in the order; those that are not in it come last.
    fn rank(&self, entry: &KeyEntry) -> usize {
        let order = self.ring.order();
        order.iter().position(|source| *source == entry.source()).unwrap_or(order.len())
    }

    /// What the first key of `group` that can unwraps, and why those before it did not. It must have `length` bytes.
    async fn group(&mut self, group: &[KeyEntry], length: usize) -> (Option<(KeyId, SecretBytes)>, Vec<KeyFailure>) {
        let mut entries: Vec<&KeyEntry> = group.iter().collect();
        entries.sort_by_key(|entry| self.rank(entry));

        let mut failures = Vec::new();
        for of_one_kind in entries.chunk_by(|one, other| one.source() == other.source()) {
            for (entry, key) in self.likely_first(of_one_kind).await {
                match self.entry(entry, key, length).await {
                    Ok(secret) => return (Some((entry.id(), secret)), failures),
                    Err(reason) => failures.push(KeyFailure { id: entry.id(), reason }),
                }
            }
        }
        (None, failures)
    }

    /// The same entries; of age and PGP, those first that something fits which is here.
    async fn likely_first<'e>(&self, entries: &[&'e KeyEntry]) -> Vec<Candidate<'e>> {
        let (mut likely, mut others) = (Vec::new(), Vec::new());
        for entry in entries {
            let key = self.ring.master_key(entry);
            let is_likely = match &key {
                Some(key) if entries.len() > 1 && !entry.source().is_in_a_service() => key.is_likely().await,
                _ => false,
            };
            if is_likely { &mut likely } else { &mut others }.push((*entry, key));
        }
        likely.extend(others);
        likely
    }

    async fn entry(
        &mut self,
        entry: &KeyEntry,
        key: Option<Box<dyn MasterKey>>,
        length: usize,
    ) -> Result<SecretBytes, KeyReason> {
        let key = key.ok_or(KeyReason::Unsupported)?;
        if entry.wrapped().as_str().is_empty() {
            return Err(KeyReason::Empty);
        }
        let is_in_a_service = entry.source().is_in_a_service();
        let (count, most) =
            if is_in_a_service { (&mut self.called, MOST_CALLED) } else { (&mut self.started, MOST_STARTED) };
        let outcome = if *count < most {
            let outcome = key.unwrap(entry.wrapped()).await;
            *count += key.started();
            outcome
        } else {
            match key.unwrap_quietly(entry.wrapped()).await {
                Ok(None) => return Err(KeyReason::TooMany { is_in_a_service }),
                outcome => outcome,
            }
        };
        if !matches!(outcome, Ok(Some(_))) {
            for place in key.tried() {
                if !self.tried.contains(&place) {
                    self.tried.push(place);
                }
            }
        }
        let secret = outcome?.ok_or(KeyReason::NotOurs)?;
        match secret.len() {
            found if found == length => Ok(secret),
            found => Err(KeyReason::Length { expected: length, found }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use bulla_crypto::SecretBytes;
    use bulla_doc::{Document, Format};
    use bulla_keys::fake::{Behaviour, FakeKey};
    use rand::SeedableRng as _;

    use super::*;

    #[derive(Debug, Default)]
    struct Fakes(HashMap<(Source, String), Behaviour>);

    impl KeyRing for Fakes {
        fn master_key(&self, entry: &KeyEntry) -> Option<Box<dyn MasterKey>> {
            let KeyId { source, name } = entry.id();
            let behaviour = *self.0.get(&(source, name.clone()))?;
            Some(Box::new(FakeKey::new(source, name, behaviour)))
        }
    }

    fn ring(keys: &[(Source, &str, Behaviour)]) -> Fakes {
        Fakes(keys.iter().map(|(source, name, behaviour)| ((*source, (*name).to_owned()), *behaviour)).collect())
    }

    async fn wrapped(source: Source, name: &str, length: usize) -> String {
        let key = FakeKey::new(source, name, Behaviour::Works);
        key.wrap(&SecretBytes::new(vec![7; length])).await.unwrap().into_string()
    }

    fn metadata(keys: &str) -> Metadata {
        let text = format!("sops: {{lastmodified: '2026-01-02T03:04:05Z', version: 3.13.3, {keys}}}\n");
        Metadata::read(&Document::parse(text.as_bytes(), Format::Yaml).unwrap()).unwrap()
    }

    #[tokio::test]
    async fn every_key_is_tried_in_order_and_every_reason_is_told() {
        let long = wrapped(Source::Kms, "long", 33).await;
        let metadata = metadata(&format!(
            "kms: [{{arn: none, enc: x}}, {{arn: fails, enc: x}}, {{arn: long, enc: {long}}}], \
             age: [{{recipient: other, enc: x}}, {{recipient: empty}}]"
        ));
        let ring = ring(&[
            (Source::Kms, "fails", Behaviour::Fails),
            (Source::Kms, "long", Behaviour::Works),
            (Source::Age, "other", Behaviour::KnowsNothing),
            (Source::Age, "empty", Behaviour::Works),
        ]);
        let error = data_key(&metadata, &ring).await.unwrap_err();
        let expected = "none of the file's 5 master keys could unwrap the data key
  age other: no identity here fits it
  age empty: the file holds no wrapped data key for it
  kms none: keys of this kind cannot be used
  kms fails: no identity fits: `the fake`: Fails
  kms long: a data key has 32 bytes, this one has 33";
        assert_eq!(error.to_string(), expected);
        let DataKeyError::NoKey { tried, .. } = error else { panic!("another error") };
        assert_eq!(tried.len(), 2);
    }

    #[tokio::test]
    async fn the_first_key_that_works_is_enough() {
        let enc = wrapped(Source::Pgp, "works", 32).await;
        let metadata = metadata(&format!("kms: [{{arn: fails, enc: x}}], pgp: [{{fp: works, enc: {enc}}}]"));
        let ring = ring(&[(Source::Kms, "fails", Behaviour::Fails), (Source::Pgp, "works", Behaviour::Works)]);
        assert_eq!(data_key(&metadata, &ring).await.unwrap().expose_secret(), &[7; 32]);
    }

    #[tokio::test]
    async fn a_file_does_not_have_thousands_of_services_called() {
        let enc = wrapped(Source::Kms, "last", 32).await;
        let list = |count: usize| -> String { (0..count).map(|_| "{arn: fails, enc: x}, ").collect() };
        let ring = ring(&[(Source::Kms, "fails", Behaviour::Fails), (Source::Kms, "last", Behaviour::Works)]);
        let most = metadata(&format!("kms: [{}{{arn: last, enc: {enc}}}]", list(MOST_CALLED - 1)));
        assert!(data_key(&most, &ring).await.is_ok());
        let more = metadata(&format!("kms: [{}{{arn: last, enc: {enc}}}]", list(MOST_CALLED)));
        let error = data_key(&more, &ring).await.unwrap_err().to_string();
        assert!(error.ends_with("kms last: not asked: 50 other keys were"), "{error}");
    }

    #[tokio::test]
    async fn neither_does_it_have_thousands_of_programs_started_and_what_is_here_comes_first() {
        let enc = wrapped(Source::Pgp, "ours", 32).await;
        let list = |count: usize| -> String { (0..count).map(|_| "{fp: theirs, enc: x}, ").collect() };
        let metadata = metadata(&format!("pgp: [{}{{fp: ours, enc: {enc}}}]", list(MOST_STARTED)));
        let fakes = || {
            let keys = [(Source::Pgp, "theirs", Behaviour::Fails), (Source::Pgp, "ours", Behaviour::Works)];
            ring(&keys)
        };
        let error = data_key(&metadata, &fakes()).await.unwrap_err().to_string();
        assert!(error.ends_with("pgp ours: not asked: 100 other keys were"), "{error}");
        assert!(data_key(&metadata, &Knowing(fakes(), "ours")).await.is_ok());
    }

    /// Has a key of which it knows that it has it.
    #[derive(Debug)]
    struct Knowing(Fakes, &'static str);

    #[derive(Debug)]
    struct Known(Box<dyn MasterKey>, bool);

    impl KeyRing for Knowing {
        fn master_key(&self, entry: &KeyEntry) -> Option<Box<dyn MasterKey>> {
            Some(Box::new(Known(self.0.master_key(entry)?, entry.id().name == self.1)))
        }
    }

    #[async_trait::async_trait]
    impl MasterKey for Known {
        fn name(&self) -> KeyName {
            self.0.name()
        }

        async fn wrap(&self, secret: &SecretBytes) -> Result<bulla_keys::WrappedKey, bulla_keys::WrapError> {
            self.0.wrap(secret).await
        }

        async fn unwrap(&self, wrapped: &bulla_keys::WrappedKey) -> Result<Option<SecretBytes>, UnwrapError> {
            assert!(self.1, "no other key is tried");
            self.0.unwrap(wrapped).await
        }

        async fn is_likely(&self) -> bool {
            self.1
        }
    }

    #[tokio::test]
    async fn commands_and_plugins_are_started_a_bounded_number_of_times_and_ready_identities_used_all_the_same() {
        use std::sync::atomic::{AtomicUsize, Ordering};

        use bulla_keys::age::{IdentityKind, IdentitySource, KeyKind, NoPrompt, SourceContent, generate_identity};

        let runs = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&runs);
        let command = move |_: &str| {
            counted.fetch_add(1, Ordering::SeqCst);
            Err("it fails".to_owned())
        };
        let [ours, theirs] =
            [1, 2].map(|seed| generate_identity(KeyKind::X25519, &mut rand::rngs::StdRng::seed_from_u64(seed)));
        let source = |name: &str, content| IdentitySource {
            name: name.to_owned(),
            kind: IdentityKind::Age { several_per_line: false },
            content,
        };
        let identity = ours.to_file("");
        let identities = Arc::new(AgeIdentities::new(
            vec![
                source("ready", SourceContent::Found(identity)),
                source("command", SourceContent::Deferred(Arc::new(command))),
            ],
            Arc::new(NoPrompt),
        ));
        let wrap = |recipient: &str| {
            let key = AgeKey::new(recipient, Arc::clone(&identities));
            key.wrap_blocking(&SecretBytes::new(vec![7; 32])).unwrap().into_string()
        };
        let foreign = wrap(&theirs.recipient);
        let entry = |name: &str, enc: &str| format!("{{recipient: '{name}', enc: {enc:?}}}, ");
        let others: String = (0..300).map(|number| entry(&format!("{}{number}", theirs.recipient), &foreign)).collect();
        assert!(data_key(&metadata(&format!("age: [{others}]")), &identities).await.is_err());
        assert_eq!(runs.load(Ordering::SeqCst), MOST_STARTED);
        // Under a name that does not show whose it is.
        let hidden = entry("age1hidden", &wrap(&ours.recipient));
        assert!(data_key(&metadata(&format!("age: [{others}{hidden}]")), &identities).await.is_ok());
        assert_eq!(runs.load(Ordering::SeqCst), 2 * MOST_STARTED, "what ran is remembered, so others had their turn");
        let known = entry(&ours.recipient, &wrap(&ours.recipient));
        let stranger = entry("age1stranger", &foreign);
        assert!(data_key(&metadata(&format!("age: [{stranger}{known}]")), &identities).await.is_ok());
        assert_eq!(runs.load(Ordering::SeqCst), 2 * MOST_STARTED, "nothing ran for the stranger");
    }

    /// Metadata of groups, each of keys of PGP with the share of `secret` for the group.
    async fn split(groups: &[&[&str]], threshold: usize) -> (Metadata, Vec<String>) {
        let mut rng = rand::rngs::StdRng::seed_from_u64(1);
        let shares = shamir::split(&SecretBytes::new(vec![7; 32]), groups.len(), threshold, &mut rng).unwrap();
        let (mut text, mut encs) = (String::new(), Vec::new());
        for (group, share) in groups.iter().zip(&shares) {
            let mut keys = String::new();
            for name in *group {
                let key = FakeKey::new(Source::Pgp, *name, Behaviour::Works);
                let enc = key.wrap(share).await.unwrap().into_string();
                keys = format!("{keys}{{fp: {name}, enc: {enc}}}, ");
                encs.push(enc);
            }
            text = format!("{text}{{pgp: [{keys}], age: []}}, ");
        }
        (metadata(&format!("key_groups: [{text}], shamir_threshold: {threshold}")), encs)
    }

    fn keys(names: &[(&str, Behaviour)]) -> Counting {
        let keys: Vec<_> = names.iter().map(|(name, behaviour)| (Source::Pgp, *name, *behaviour)).collect();
        Counting(ring(&keys), std::sync::Mutex::default())
    }

    /// Remembers which keys were asked for.
    #[derive(Debug)]
    struct Counting(Fakes, std::sync::Mutex<Vec<String>>);

    impl KeyRing for Counting {
        fn master_key(&self, entry: &KeyEntry) -> Option<Box<dyn MasterKey>> {
            self.1.lock().unwrap().push(entry.id().name);
            self.0.master_key(entry)
        }
    }

    #[tokio::test]
    async fn as_many_groups_are_opened_as_are_needed_and_no_key_is_asked_beyond() {
        use Behaviour::{KnowsNothing, Works};
        let (metadata, _) = split(&[&["a", "b"], &["c"], &["d"], &["e"]], 2).await;
        let ring = keys(&[("a", KnowsNothing), ("b", Works), ("c", KnowsNothing), ("d", Works), ("e", Works)]);
        assert_eq!(data_key(&metadata, &ring).await.unwrap().expose_secret(), &[7; 32]);
        assert_eq!(*ring.1.lock().unwrap(), ["a", "b", "c", "d"]);
    }

    #[tokio::test]
    async fn groups_that_need_no_service_come_first_and_are_told_in_their_own_order() {
        let mut rng = rand::rngs::StdRng::seed_from_u64(1);
        let shares = shamir::split(&SecretBytes::new(vec![7; 32]), 3, 2, &mut rng).unwrap();
        let mut text = String::new();
        for ((list, field, source), share) in
            [("kms", "arn", Source::Kms), ("pgp", "fp", Source::Pgp), ("age", "recipient", Source::Age)]
                .iter()
                .zip(&shares)
        {
            let enc = FakeKey::new(*source, "k", Behaviour::Works).wrap(share).await.unwrap().into_string();
            text = format!("{text}{{{list}: [{{{field}: k, enc: {enc}}}]}}, ");
        }
        let metadata = metadata(&format!("key_groups: [{text}], shamir_threshold: 2"));
        let of = |pgp| {
            let works = Behaviour::Works;
            let keys = ring(&[(Source::Kms, "k", works), (Source::Pgp, "k", pgp), (Source::Age, "k", works)]);
            Counting(keys, std::sync::Mutex::default())
        };
        let enough = of(Behaviour::Works);
        assert_eq!(data_key(&metadata, &enough).await.unwrap().expose_secret(), &[7; 32]);
        assert_eq!(enough.1.lock().unwrap().len(), 2, "AWS was not called");
        assert!(data_key(&metadata, &of(Behaviour::Fails)).await.is_ok(), "AWS was called for want of another");
        let none = Counting(ring(&[(Source::Age, "k", Behaviour::Works)]), std::sync::Mutex::default());
        let DataKeyError::TooFewShares { groups, .. } = data_key(&metadata, &none).await.unwrap_err() else {
            panic!("another error")
        };
        let opened: Vec<bool> = groups.iter().map(|group| group.opened.is_some()).collect();
        assert_eq!(opened, [false, false, true]);
    }

    #[tokio::test]
    async fn where_too_few_groups_give_their_share_every_reason_is_told_by_group() {
        use Behaviour::{Fails, KnowsNothing, Works};
        let (metadata, _) = split(&[&["a", "b"], &["c"], &["d"]], 2).await;
        let error = data_key(&metadata, &keys(&[("a", KnowsNothing), ("b", Fails), ("c", Works)])).await.unwrap_err();
        let expected = "shares of the data key are needed from 2 of 3 groups of keys, and 1 gave one
  group 1:
    pgp a: no identity here fits it
    pgp b: no identity fits: `the fake`: Fails
  group 2: opened by pgp c
  group 3:
    pgp d: keys of this kind cannot be used";
        assert_eq!(error.to_string(), expected);
        assert!(matches!(error, DataKeyError::TooFewShares { needed: 2, groups, .. } if groups.len() == 3));
    }

    #[tokio::test]
    async fn shares_that_do_not_go_together_are_refused_and_changed_ones_give_another_key() {
        use Behaviour::Works;
        let (_, encs) = split(&[&["a"], &["b"]], 2).await;
        let ring = keys(&[("a", Works), ("b", Works)]);
        let of = |first: &str, second: &str| {
            metadata(&format!("key_groups: [{{pgp: [{{fp: a, enc: {first}}}]}}, {{pgp: [{{fp: b, enc: {second}}}]}}]"))
        };
        assert!(data_key(&of(&encs[0], &encs[1]), &ring).await.is_ok(), "no threshold means all");
        let same_place = encs[0].replace("fake a", "fake b");
        let error = data_key(&of(&encs[0], &same_place), &ring).await.unwrap_err();
        assert!(matches!(error, DataKeyError::Shares(CombineError::SamePlace(1))), "{error}");
        let whole = wrapped(Source::Pgp, "b", 32).await;
        let error = data_key(&of(&encs[0], &whole), &ring).await.unwrap_err().to_string();
        assert!(error.ends_with("group 2:\n    pgp b: a share of a data key has 33 bytes, this one has 32"), "{error}");
        let mut changed = encs[1].clone().into_bytes();
        changed[7] = if changed[7] == b'0' { b'1' } else { b'0' };
        let changed = String::from_utf8(changed).unwrap();
        assert_ne!(data_key(&of(&encs[0], &changed), &ring).await.unwrap().expose_secret(), &[7; 32]);
        let many = metadata("shamir_threshold: 5, key_groups: [{age: [{enc: x}]}, {age: [{enc: x}]}]");
        let error = data_key(&many, &ring).await.unwrap_err();
        assert!(matches!(error, DataKeyError::Threshold { needed: 5, groups: 2 }), "{error}");
    }
}
