//! The identities of one command: where they came from, what they are, and which of them opens a file.
//!
//! ```text
//! sources, in order ─ parsed once ─┬─ ready: X25519, post-quantum, SSH
//!                                  ├─ a command's output, run when nothing before fits, once per recipient
//!                                  ├─ plugins
//!                                  ├─ SSH keys with a passphrase, asked for if the file names the key
//!                                  └─ identity files with a passphrase, asked for last
//! ```
//!
//! They are tried in that order of trouble, and within it in the order of the sources. A source that cannot be read or parsed stops
//! nothing: it is named if nothing else fits. Source of the rules: sops 3.13.3 `age/keysource.go`, `age/encrypted_keys.go`.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::fmt;
use std::io::Read as _;
use std::sync::{Arc, Mutex, OnceLock};

use age::{DecryptError, Decryptor};
use age_core::format::{FileKey, Stanza};
use bulla_crypto::SecretBytes;
use zeroize::Zeroizing;

use super::identity::{ARMOR, Identity, is_armor, open_file, reader, reason};
use super::places::IdentityKind;
use super::prompt::{NoPrompt, PassphraseRequest, PluginCallbacks, Prompt, Purpose};
use super::source::{IdentitySource, Lock, Source, SourceContent, State, locked};
use crate::{Tried, UnwrapError, WrappedKey};

/// How often a passphrase is asked for.
const ATTEMPTS: u32 = 3;
/// Longest data key, or share of one, that is taken out of a file. They have 32 and 33 bytes.
const LONGEST_SECRET: usize = 4096;

/// All identities that a command may use. Shared by the keys that it unwraps with ([`super::AgeKey`]).
pub struct AgeIdentities {
    sources: Vec<Source>,
    prompt: Arc<dyn Prompt>,
    /// What [`AgeIdentities::fit`] looks in.
    likely: OnceLock<Likely>,
}

/// Whose files these identities may open.
struct Likely {
    recipients: HashSet<String>,
    plugins: HashSet<String>,
}

impl AgeIdentities {
    /// Reads the sources, in order. Nothing is asked yet, and no command is run.
    pub fn new(sources: Vec<IdentitySource>, prompt: Arc<dyn Prompt>) -> Self {
        let sources = sources.into_iter().map(Source::read).collect();
        Self { sources, prompt, likely: OnceLock::new() }
    }

    /// None at all: for commands that only encrypt.
    pub fn none() -> Self {
        Self::new(Vec::new(), Arc::new(NoPrompt))
    }

    /// Every source with what was there, in order.
    pub fn tried(&self) -> Vec<Tried> {
        self.sources.iter().map(Source::tried).collect()
    }

    /// The recipients of the identities that are ready: to tell whether a file is for one of them without opening it. Plugins and
    /// what a passphrase protects are not among them, SSH keys (without a comment) are.
    pub fn recipients(&self) -> Vec<String> {
        let ready = self.sources.iter().filter_map(|source| match &source.state {
            State::Ready(identities) => Some(identities),
            _ => None,
        });
        ready.flatten().filter_map(Identity::recipient).collect()
    }

    /// Whether one of the identities that are ready is for this recipient, or a plugin among them is its plugin.
    pub(super) fn fit(&self, recipient: &str) -> bool {
        let likely = self.likely.get_or_init(|| Likely {
            recipients: self.recipients().into_iter().collect(),
            plugins: self.plugins().collect(),
        });
        // An SSH key may have a comment behind it; a plugin's recipient is `age1NAME1…`.
        let without_comment = recipient.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
        let plugin = recipient.strip_prefix("age1").and_then(|rest| rest.rsplit_once('1')).map(|(name, _)| name);
        likely.recipients.contains(&without_comment) || plugin.is_some_and(|name| likely.plugins.contains(name))
    }

    fn plugins(&self) -> impl Iterator<Item = String> {
        let ready = self.sources.iter().filter_map(|source| match &source.state {
            State::Ready(identities) => Some(identities),
            _ => None,
        });
        ready.flatten().filter_map(|identity| match identity {
            Identity::Plugin(identity) => Some(identity.plugin().to_owned()),
            _ => None,
        })
    }

    /// Who is asked.
    pub(super) fn prompt(&self) -> Arc<dyn Prompt> {
        Arc::clone(&self.prompt)
    }

    /// Opens what was encrypted to one of these identities, and tells how many programs were started for that. See
    /// [`crate::MasterKey::unwrap`].
    pub(super) fn unwrap(
        &self,
        recipient: &str,
        wrapped: &WrappedKey,
        started: impl FnOnce(usize),
    ) -> Result<Option<SecretBytes>, UnwrapError> {
        let attempt = Attempt::new(self, recipient);
        let outcome = self.open(&attempt, wrapped);
        started(attempt.started.get());
        outcome
    }

    /// The same with what is ready. See [`crate::MasterKey::unwrap_quietly`].
    pub(super) fn unwrap_quietly(
        &self,
        recipient: &str,
        wrapped: &WrappedKey,
    ) -> Result<Option<SecretBytes>, UnwrapError> {
        self.open(&Attempt { is_quiet: true, ..Attempt::new(self, recipient) }, wrapped)
    }

    fn open(&self, attempt: &Attempt<'_>, wrapped: &WrappedKey) -> Result<Option<SecretBytes>, UnwrapError> {
        let malformed = |error: &DecryptError| UnwrapError::Malformed(reason(error));
        let decryptor =
            Decryptor::new_buffered(reader(wrapped.as_str().as_bytes())).map_err(|error| malformed(&error))?;
        let stream = match decryptor.decrypt(std::iter::once(attempt as &dyn age::Identity)) {
            Ok(stream) => stream,
            Err(DecryptError::NoMatchingKeys) if attempt.is_quiet => return Ok(None),
            Err(DecryptError::NoMatchingKeys) => return self.no_match(&attempt.faults.borrow()),
            Err(DecryptError::DecryptionFailed | DecryptError::InvalidMac) => return Err(UnwrapError::Damaged),
            Err(error) => return Err(malformed(&error)),
        };
        // Room for all at once: growing would leave copies of the secret behind.
        let mut secret = Zeroizing::new(Vec::with_capacity(LONGEST_SECRET + 64));
        stream.take(LONGEST_SECRET as u64 + 1).read_to_end(&mut secret).map_err(|error| {
            // A line of the armor, or the payload under it.
            if is_armor(&error) { UnwrapError::Malformed(ARMOR.to_owned()) } else { UnwrapError::Damaged }
        })?;
        if secret.len() > LONGEST_SECRET {
            return Err(UnwrapError::Malformed("longer than any data key".to_owned()));
        }
        Ok(Some(secret.into()))
    }

    /// What to say when no identity fits: an error if something was in the way.
    fn no_match(&self, faults: &[(String, String)]) -> Result<Option<SecretBytes>, UnwrapError> {
        let mut any = false;
        let mut broken = !faults.is_empty();
        for source in &self.sources {
            match &source.state {
                State::Absent(_) => {}
                State::Broken(_) => broken = true,
                State::Ready(identities) => any |= !identities.is_empty(),
                State::LockedSsh(..) | State::LockedFile(..) | State::Deferred(..) => any = true,
            }
        }
        if any && !broken {
            return Ok(None);
        }
        let mut tried = self.tried();
        for (place, outcome) in faults {
            match tried.iter_mut().find(|tried| tried.place == *place) {
                Some(known) => known.outcome.clone_from(outcome),
                None => tried.push(Tried { place: place.clone(), outcome: outcome.clone() }),
            }
        }
        Err(UnwrapError::NoIdentity(tried))
    }
}

impl fmt::Debug for AgeIdentities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.tried()).finish()
    }
}

/// One file being opened: an identity of the `age` crate that stands for all of ours, and remembers what went wrong with which source.
pub(super) struct Attempt<'a> {
    identities: &'a AgeIdentities,
    recipient: &'a str,
    faults: RefCell<Vec<(String, String)>>,
    /// How many programs were started.
    started: Cell<usize>,
    /// With what is ready only.
    is_quiet: bool,
}

/// The outcome of an identity, as the `age` crate has it: `None` if it does not fit.
type Outcome = Option<Result<FileKey, DecryptError>>;

impl age::Identity for Attempt<'_> {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Outcome {
        self.unwrap_stanzas(std::slice::from_ref(stanza))
    }

    fn unwrap_stanzas(&self, stanzas: &[Stanza]) -> Outcome {
        let sources = &self.identities.sources;
        let deferred = || sources.iter().filter_map(|source| self.run(source));
        // Silent ones first, and the person last.
        let ready = sources.iter().find_map(|source| self.ready(source, stanzas));
        if self.is_quiet {
            return ready;
        }
        ready
            .or_else(|| deferred().find_map(|source| self.ready(&source, stanzas)))
            .or_else(|| sources.iter().find_map(|source| self.plugins(source, stanzas)))
            .or_else(|| deferred().find_map(|source| self.plugins(&source, stanzas)))
            .or_else(|| sources.iter().find_map(|source| self.locked_ssh(source, stanzas)))
            .or_else(|| sources.iter().find_map(|source| self.locked_file(source, stanzas)))
            .or_else(|| deferred().find_map(|source| self.locked_file(&source, stanzas)))
    }
}

impl<'a> Attempt<'a> {
    pub(super) fn new(identities: &'a AgeIdentities, recipient: &'a str) -> Self {
        Self { identities, recipient, faults: RefCell::default(), started: Cell::default(), is_quiet: false }
    }

    fn fault(&self, source: &str, reason: String) {
        let mut faults = self.faults.borrow_mut();
        if !faults.iter().any(|(known, _)| known == source) {
            faults.push((source.to_owned(), reason));
        }
    }

    /// The identities that need nobody.
    fn ready(&self, source: &Source, stanzas: &[Stanza]) -> Outcome {
        source.with_open(|identities| self.first(&source.name, identities, stanzas, false))?
    }

    /// The plugins.
    fn plugins(&self, source: &Source, stanzas: &[Stanza]) -> Outcome {
        source.with_open(|identities| self.first(&source.name, identities, stanzas, true))?
    }

    /// The first of the identities that fits, among the plugins or among the others.
    fn first(&self, source: &str, identities: &[Identity], stanzas: &[Stanza], plugins: bool) -> Outcome {
        identities.iter().find_map(|identity| match identity {
            Identity::Plugin(identity) if plugins => self.plugin(source, identity, stanzas),
            Identity::X25519(identity) if !plugins => age::Identity::unwrap_stanzas(identity, stanzas),
            Identity::PostQuantum(identity) if !plugins => age::Identity::unwrap_stanzas(&**identity, stanzas),
            Identity::Ssh(identity) if !plugins => age::Identity::unwrap_stanzas(&**identity, stanzas),
            _ => None,
        })
    }

    fn plugin(&self, source: &str, identity: &age::plugin::Identity, stanzas: &[Stanza]) -> Outcome {
        let name = identity.plugin();
        let callbacks = PluginCallbacks { prompt: Arc::clone(&self.identities.prompt), plugin: name.to_owned() };
        let outcome = age::plugin::IdentityPluginV1::new(name, std::slice::from_ref(identity), callbacks)
            .map_err(DecryptError::PluginResolve)
            .inspect(|_| self.started.update(|programs| programs + 1))
            .map_or_else(|error| Some(Err(error)), |plugin| age::Identity::unwrap_stanzas(&plugin, stanzas));
        match outcome {
            Some(Err(error)) => {
                let why = match error {
                    DecryptError::PluginResolve(_) => format!("`age-plugin-{name}` is not in PATH"),
                    error => format!("`age-plugin-{name}` failed: {}", reason(&error)),
                };
                self.fault(source, why);
                None
            }
            outcome => outcome,
        }
    }

    /// An SSH key with a passphrase, if the file names it.
    fn locked_ssh(&self, source: &Source, stanzas: &[Stanza]) -> Outcome {
        let (State::LockedSsh(key, lock), IdentityKind::Ssh { may_ask }) = (&source.state, source.kind) else {
            return None;
        };
        if !stanzas.iter().any(|stanza| key.recipient().is_named_in(stanza)) {
            return None;
        }
        if !may_ask {
            self.fault(&source.name, "needs a passphrase, which is not asked for here".to_owned());
            return None;
        }
        let unlock = |passphrase: &SecretBytes| match key.unlock(passphrase) {
            Some(identity) => Ok(vec![Identity::Ssh(Box::new(identity))]),
            None => Err(None),
        };
        let identities = self.open(source, lock, Purpose::SshKey(&source.name), unlock)?;
        self.first(&source.name, &identities, stanzas, false)
    }

    /// An identity file with a passphrase, if the file has stanzas that such identities could open.
    fn locked_file(&self, source: &Source, stanzas: &[Stanza]) -> Outcome {
        let State::LockedFile(file, lock) = &source.state else { return None };
        if stanzas.iter().all(|stanza| stanza.tag.starts_with("ssh-")) {
            return None;
        }
        let unlock = |passphrase: &SecretBytes| open_file(file, passphrase);
        let identities = self.open(source, lock, Purpose::IdentityFile(&source.name), unlock)?;
        self.first(&source.name, &identities, stanzas, false)
            .or_else(|| self.first(&source.name, &identities, stanzas, true))
    }

    /// Opens a lock, once for all: asks until the passphrase is right or there is no point in asking again. An error of `unlock` is a
    /// wrong passphrase (`None`), or something that no passphrase helps.
    fn open(
        &self,
        source: &Source,
        lock: &Mutex<Lock>,
        purpose: Purpose<'_>,
        unlock: impl Fn(&SecretBytes) -> Result<Vec<Identity>, Option<String>>,
    ) -> Option<Arc<Vec<Identity>>> {
        // Held while asking: who comes second waits for the answer, and is not asked the same.
        let mut lock = locked(lock);
        let mut attempt = 1;
        while matches!(*lock, Lock::Closed) {
            let Some(passphrase) = self.identities.prompt.passphrase(&PassphraseRequest { purpose, attempt }) else {
                *lock = Lock::Stuck("needs a passphrase, and none was given".to_owned());
                break;
            };
            match unlock(&passphrase) {
                Ok(identities) => *lock = Lock::Open(Arc::new(identities)),
                Err(Some(why)) => *lock = Lock::Stuck(why),
                Err(None) if attempt == ATTEMPTS => {
                    *lock = Lock::Stuck(format!("the passphrase was wrong {ATTEMPTS} times"));
                }
                Err(None) => attempt += 1,
            }
        }
        match &*lock {
            Lock::Open(identities) => Some(Arc::clone(identities)),
            Lock::Stuck(why) => {
                self.fault(&source.name, why.clone());
                None
            }
            Lock::Closed => None,
        }
    }

    /// Runs a deferred source for this recipient, unless it has been.
    fn run(&self, source: &Source) -> Option<Arc<Source>> {
        let State::Deferred(read, cache) = &source.state else { return None };
        let mut cache = locked(cache);
        let known = cache.entry(self.recipient.to_owned()).or_insert_with(|| {
            self.started.update(|programs| programs + 1);
            let content = match read(self.recipient) {
                Ok(content) => SourceContent::Found(content),
                Err(why) => SourceContent::Unreadable(why),
            };
            Arc::new(Source::read(IdentitySource { name: source.name.clone(), kind: source.kind, content }))
        });
        if let State::Broken(why) = &known.state {
            self.fault(&source.name, why.clone());
        }
        // A key with a passphrase has none who could be asked for it: what a command prints is used as it is.
        if let State::LockedSsh(..) = &known.state {
            self.fault(&source.name, "needs a passphrase, which is not asked for here".to_owned());
        }
        Some(Arc::clone(known))
    }
}
