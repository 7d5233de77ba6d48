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

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::io::{BufReader, Read as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use age::armor::ArmoredReader;
use age::{DecryptError, Decryptor};
use age_core::format::{FileKey, Stanza};
use bulla_crypto::SecretBytes;
use zeroize::Zeroizing;

use super::openssh::{self, LockedKey, SshKey};
use super::places::IdentityKind;
use super::prompt::{PassphraseRequest, PluginCallbacks, Prompt, Purpose, secret_string};
use super::{post_quantum, ssh};
use crate::{Tried, UnwrapError, WrappedKey};

/// Longest encrypted identity file, in bytes, as in SOPS.
const LONGEST_FILE: usize = 1 << 24;
/// How often a passphrase is asked for.
const ATTEMPTS: u32 = 3;
/// Largest exponent of scrypt's work that is accepted, as in age: 2^22 takes a minute and 4 GiB.
pub(super) const LARGEST_WORK: u8 = 22;
/// Longest data key, or share of one, that is taken out of a file. They have 32 and 33 bytes.
const LONGEST_SECRET: usize = 4096;

/// One source of identities, as the caller found it.
#[derive(Debug)]
pub struct IdentitySource {
    /// Its name in messages: an environment variable or a path.
    pub name: String,
    /// What kind of identities it should hold.
    pub kind: IdentityKind,
    /// What was found.
    pub content: SourceContent,
}

/// What was found at a source.
pub enum SourceContent {
    /// Nothing, in these words: `not set`, `not there`. No error.
    Absent(String),
    /// Something that could not be read, for this reason.
    Unreadable(String),
    /// The text or file itself.
    Found(SecretBytes),
    /// What a function gives for a recipient: a command's output. It is called when nothing before fits, once per recipient, and may
    /// take its time. The error says why there is none.
    Deferred(Arc<ReadForRecipient>),
}

/// Gives the identities for a recipient, or says why not.
pub type ReadForRecipient = dyn Fn(&str) -> Result<SecretBytes, String> + Send + Sync;

impl fmt::Debug for SourceContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent(why) => f.debug_tuple("Absent").field(why).finish(),
            Self::Unreadable(why) => f.debug_tuple("Unreadable").field(why).finish(),
            Self::Found(_) => f.write_str("Found(..)"),
            Self::Deferred(_) => f.write_str("Deferred(..)"),
        }
    }
}

/// All identities that a command may use. Shared by the keys that it unwraps with ([`super::AgeKey`]).
pub struct AgeIdentities {
    sources: Vec<Source>,
    prompt: Arc<dyn Prompt>,
}

struct Source {
    name: String,
    kind: IdentityKind,
    state: State,
}

/// What became of a source.
enum State {
    Absent(String),
    Broken(String),
    Ready(Vec<Identity>),
    LockedSsh(Box<LockedKey>, Mutex<Lock>),
    LockedFile(SecretBytes, Mutex<Lock>),
    Deferred(Arc<ReadForRecipient>, Mutex<HashMap<String, Arc<Source>>>),
}

/// What a passphrase protects.
enum Lock {
    Closed,
    Open(Arc<Vec<Identity>>),
    /// Never to be asked for again, for this reason.
    Stuck(String),
}

enum Identity {
    X25519(age::x25519::Identity),
    PostQuantum(Box<post_quantum::Identity>),
    Ssh(Box<ssh::Identity>),
    Plugin(age::plugin::Identity),
}

impl AgeIdentities {
    /// Reads the sources, in order. Nothing is asked yet, and no command is run.
    pub fn new(sources: Vec<IdentitySource>, prompt: Arc<dyn Prompt>) -> Self {
        let sources = sources.into_iter().map(Source::read).collect();
        Self { sources, prompt }
    }

    /// None at all: for commands that only encrypt.
    pub fn none() -> Self {
        Self::new(Vec::new(), Arc::new(super::NoPrompt))
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

    /// Who is asked.
    pub(super) fn prompt(&self) -> Arc<dyn Prompt> {
        Arc::clone(&self.prompt)
    }

    /// Opens what was encrypted to one of these identities. See [`crate::MasterKey::unwrap`].
    pub(super) fn unwrap(&self, recipient: &str, wrapped: &WrappedKey) -> Result<Option<SecretBytes>, UnwrapError> {
        let malformed = |error: &DecryptError| UnwrapError::Malformed(reason(error));
        let decryptor =
            Decryptor::new_buffered(reader(wrapped.as_str().as_bytes())).map_err(|error| malformed(&error))?;
        let attempt = Attempt::new(self, recipient);
        let stream = match decryptor.decrypt(std::iter::once(&attempt as &dyn age::Identity)) {
            Ok(stream) => stream,
            Err(DecryptError::NoMatchingKeys) => return self.no_match(&attempt.faults.into_inner()),
            Err(DecryptError::DecryptionFailed | DecryptError::InvalidMac) => return Err(UnwrapError::Damaged),
            Err(error) => return Err(malformed(&error)),
        };
        // Room for all at once: growing would leave copies of the secret behind.
        let mut secret = Zeroizing::new(Vec::with_capacity(LONGEST_SECRET + 64));
        stream.take(LONGEST_SECRET as u64 + 1).read_to_end(&mut secret).map_err(|_| UnwrapError::Damaged)?;
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
        sources
            .iter()
            .find_map(|source| self.ready(source, stanzas))
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
        Self { identities, recipient, faults: RefCell::default() }
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

impl Source {
    fn read(source: IdentitySource) -> Self {
        let IdentitySource { name, kind, content } = source;
        let state = match content {
            SourceContent::Absent(why) => State::Absent(why),
            SourceContent::Unreadable(why) => State::Broken(why),
            SourceContent::Deferred(read) => State::Deferred(read, Mutex::default()),
            SourceContent::Found(content) => match kind {
                IdentityKind::Ssh { .. } => match openssh::read(&content) {
                    Ok(SshKey::Open(identity)) => State::Ready(vec![Identity::Ssh(Box::new(identity))]),
                    Ok(SshKey::Locked(key)) => State::LockedSsh(Box::new(key), Mutex::new(Lock::Closed)),
                    Err(error) => State::Broken(error.to_string()),
                },
                IdentityKind::Age { .. } if is_age_file(&content) => {
                    if content.len() >= LONGEST_FILE {
                        State::Broken("longer than 16 MiB".to_owned())
                    } else {
                        State::LockedFile(content, Mutex::new(Lock::Closed))
                    }
                }
                IdentityKind::Age { several_per_line } => match parse(&content, several_per_line) {
                    Ok(identities) => State::Ready(identities),
                    Err(error) => State::Broken(error.to_string()),
                },
            },
        };
        Self { name, kind, state }
    }

    /// Gives the identities that no passphrase protects, or no longer.
    fn with_open<T>(&self, use_them: impl FnOnce(&[Identity]) -> T) -> Option<T> {
        match &self.state {
            State::Ready(identities) => Some(use_them(identities)),
            State::LockedSsh(_, lock) | State::LockedFile(_, lock) => {
                // Somebody is being asked if it is taken: then it is not open yet.
                let identities = match &*lock.try_lock().ok()? {
                    Lock::Open(identities) => Arc::clone(identities),
                    Lock::Closed | Lock::Stuck(_) => return None,
                };
                Some(use_them(&identities))
            }
            State::Absent(_) | State::Broken(_) | State::Deferred(..) => None,
        }
    }

    fn tried(&self) -> Tried {
        let outcome = match &self.state {
            State::Absent(why) | State::Broken(why) => why.clone(),
            State::Ready(identities) => described(identities),
            State::LockedSsh(key, _) => format!("{}, with a passphrase", key.recipient()),
            State::LockedFile(_, lock) => match &*locked(lock) {
                Lock::Closed => "an identity file with a passphrase, which was not needed".to_owned(),
                Lock::Open(identities) => described(identities),
                Lock::Stuck(why) => why.clone(),
            },
            State::Deferred(_, cache) => {
                let cache = locked(cache);
                let mut outcomes: Vec<String> = cache.values().map(|source| source.tried().outcome).collect();
                outcomes.sort();
                outcomes.dedup();
                if outcomes.is_empty() { "not run".to_owned() } else { outcomes.join(", ") }
            }
        };
        Tried { place: self.name.clone(), outcome }
    }
}

impl Identity {
    /// Its recipient, where that is known.
    fn recipient(&self) -> Option<String> {
        use base64::Engine as _;
        use base64::engine::general_purpose::STANDARD;

        match self {
            Self::X25519(identity) => Some(identity.to_public().to_string()),
            Self::PostQuantum(identity) => Some(identity.recipient().to_string()),
            Self::Ssh(identity) => {
                let recipient = identity.recipient();
                Some(format!("{} {}", recipient.name(), STANDARD.encode(recipient.wire())))
            }
            Self::Plugin(_) => None,
        }
    }

    /// Short enough for a message.
    fn described(&self) -> String {
        match self {
            Self::X25519(identity) => identity.to_public().to_string(),
            Self::PostQuantum(identity) => {
                let recipient = identity.recipient().to_string();
                format!("{}…", &recipient[..24])
            }
            Self::Ssh(identity) => identity.recipient().to_string(),
            Self::Plugin(identity) => format!("a key of `age-plugin-{}`", identity.plugin()),
        }
    }
}

fn described(identities: &[Identity]) -> String {
    match identities {
        [] => "no identity in it".to_owned(),
        [one] => format!("1 identity, for {}", one.described()),
        several => {
            let each: Vec<String> = several.iter().map(Identity::described).collect();
            format!("{} identities, for {}", several.len(), each.join(", "))
        }
    }
}

/// What is wrong with an identity file. The line, never its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum ParseError {
    #[error("line {0}: unknown identity type: expected `AGE-SECRET-KEY-1…`, `AGE-SECRET-KEY-PQ-1…` or `AGE-PLUGIN-…`")]
    UnknownType(usize),
    #[error("line {0}: a damaged identity: its checksum or its length is wrong")]
    Damaged(usize),
}

/// Parses lines of identities. One that is not ends it all, as in SOPS.
fn parse(text: &SecretBytes, several_per_line: bool) -> Result<Vec<Identity>, ParseError> {
    let mut identities = Vec::new();
    for (index, line) in text.expose_secret().split(|byte| *byte == b'\n').enumerate() {
        let number = index + 1;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let line = std::str::from_utf8(line).map_err(|_| ParseError::UnknownType(number))?;
        if several_per_line {
            for word in line.split_whitespace() {
                identities.push(parse_one(word, number)?);
            }
        } else {
            identities.push(parse_one(line, number)?);
        }
    }
    Ok(identities)
}

fn parse_one(text: &str, line: usize) -> Result<Identity, ParseError> {
    let damaged = ParseError::Damaged(line);
    if text.starts_with("AGE-PLUGIN-") {
        text.parse().map(Identity::Plugin).map_err(|_| damaged)
    } else if text.starts_with("AGE-SECRET-KEY-PQ-1") {
        let identity = post_quantum::Identity::parse(text).map_err(|_| damaged)?;
        Ok(Identity::PostQuantum(Box::new(identity)))
    } else if text.starts_with("AGE-SECRET-KEY-1") {
        text.parse().map(Identity::X25519).map_err(|_| damaged)
    } else {
        Err(ParseError::UnknownType(line))
    }
}

/// Reads a file of age, armored or not. White space before the armor is skipped, as Go does and the `age` crate does not.
pub(super) fn reader(file: &[u8]) -> ArmoredReader<BufReader<&[u8]>> {
    let trimmed = file.trim_ascii_start();
    ArmoredReader::new(if trimmed.starts_with(b"-----BEGIN") { trimmed } else { file })
}

fn is_age_file(content: &SecretBytes) -> bool {
    let content = content.expose_secret();
    content.starts_with(b"age-encryption") || content.starts_with(b"-----BEGIN AGE")
}

/// Decrypts an identity file. See [`Attempt::open`] for the errors.
fn open_file(file: &SecretBytes, passphrase: &SecretBytes) -> Result<Vec<Identity>, Option<String>> {
    let why = |error: &DecryptError| Some(reason(error));
    let decryptor = Decryptor::new_buffered(reader(file.expose_secret())).map_err(|error| why(&error))?;
    if !decryptor.is_scrypt() {
        return Err(Some("encrypted, but not with a passphrase".to_owned()));
    }
    let mut identity = age::scrypt::Identity::new(secret_string(passphrase).ok_or(None)?);
    identity.set_max_work_factor(LARGEST_WORK);
    let mut stream = match decryptor.decrypt(std::iter::once(&identity as &dyn age::Identity)) {
        Ok(stream) => stream,
        Err(DecryptError::DecryptionFailed | DecryptError::NoMatchingKeys | DecryptError::KeyDecryptionFailed) => {
            return Err(None);
        }
        Err(error) => return Err(why(&error)),
    };
    let mut text = Zeroizing::new(Vec::with_capacity(file.len() + 64));
    stream.read_to_end(&mut text).map_err(|_| Some("the encrypted identity file is damaged".to_owned()))?;
    match parse(&text.into(), false) {
        Ok(identities) if identities.is_empty() => Err(Some("no identity in it".to_owned())),
        Ok(identities) => Ok(identities),
        Err(error) => Err(Some(error.to_string())),
    }
}

/// An error of the `age` crate in our words: its own are whole paragraphs, in the user's language.
fn reason(error: &DecryptError) -> String {
    match error {
        DecryptError::DecryptionFailed | DecryptError::KeyDecryptionFailed => "decryption failed".to_owned(),
        DecryptError::ExcessiveWork { required, .. } => {
            format!("its passphrase asks for too much work: 2^{required}, more than 2^{LARGEST_WORK}")
        }
        DecryptError::InvalidHeader => "the header is not one of age".to_owned(),
        DecryptError::InvalidMac => "the header was changed".to_owned(),
        DecryptError::Io(_) => "not an age file, or cut".to_owned(),
        DecryptError::NoMatchingKeys => "no key fits".to_owned(),
        DecryptError::UnknownFormat => "an unknown version of age".to_owned(),
        // The messages of plugins.
        other => other.to_string(),
    }
}

/// Locks, also after a panic of another thread: what is behind these locks is whole at every moment.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
