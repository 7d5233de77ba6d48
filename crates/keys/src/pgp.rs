//! OpenPGP: the user's gpg wraps data keys, and unwraps them with what it has: its keyrings, its agent, a smartcard.
//!
//! ```text
//! metadata   pgp: created_at, enc (an armored message), fp (a fingerprint, of a subkey if it ends in `!`)
//! wrap       gpg --no-default-recipient --yes --encrypt -a -r FP --trusted-key ID --no-encrypt-to    ID: the last 16 digits of FP
//! unwrap     gpg -d
//! both       behind `--status-fd 2`: lines for programs, among those for people, say what went wrong
//! ```
//! gpg finds its keys itself (`GNUPGHOME`), has its agent ask for passphrases, and reads the keyrings of its older versions; so nothing of
//! OpenPGP is done here. It is run on a thread of its own, is given what it reads and gives what it writes through pipes, and writes no file.
//!
//! ```text
//! several keys             ─▶ gpg --list-secret-keys, once: those that are here are tried first
//! many files, one key with a passphrase ─▶ one `gpg -d` until the key is open: a person is asked once
//!                                        └ cancelled, no terminal, no pinentry: the others fail with the same, and ask nobody
//! ```
//! Source: sops 3.13.3 `pgp/keysource.go`; GnuPG 2.2 and 2.4 `doc/DETAILS`.

mod error;
mod keyring;
mod name;
mod run;
mod said;

use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bulla_crypto::SecretBytes;
use bulla_wipe::Wiping;
use tokio::sync::{OnceCell, Semaphore};

pub use error::{GpgError, HeldBack, Unusable};
pub use name::{PgpKeyName, PgpNameError};

use crate::{KeyName, MasterKey, UnwrapError, WrapError, WrappedKey};
use run::Run;

/// Longest wrapped key in bytes. One for a key of RSA with 4,096 bits has 900.
const LONGEST_WRAPPED: usize = 1 << 16;
/// Longest data key, or share of one, in bytes; ours have 32 and 33.
const LONGEST_SECRET: usize = 1 << 10;
/// So many gpg run at once.
const AT_ONCE: usize = 4;

/// gpg, as one command uses it.
pub struct Gpg {
    program: OsString,
    /// What it finds in its environment besides that of this process.
    variables: Vec<(OsString, OsString)>,
    running: Semaphore,
    turns: Mutex<HashMap<String, Arc<Turn>>>,
    /// The fingerprints of the secret keys that it has, or whose card it knows.
    secret: OnceCell<Vec<String>>,
}

/// Who may unwrap with one key: one at a time until it is known to be open.
struct Turn {
    free: Semaphore,
    state: Mutex<State>,
}

#[derive(Clone)]
enum State {
    Closed,
    Open,
    /// A person was asked, or could not be: for all that follows, too.
    Stuck(GpgError),
}

impl Gpg {
    /// `program` is a path, or a name that is looked for in `PATH`; `variables` come on top of the environment of this process: a
    /// `GPG_TTY` where the user has set none, say.
    pub fn new(
        program: impl Into<OsString>,
        variables: impl IntoIterator<Item = (impl Into<OsString>, impl Into<OsString>)>,
    ) -> Self {
        let variables = variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        Self {
            program: program.into(),
            variables,
            running: Semaphore::new(AT_ONCE),
            turns: Mutex::default(),
            secret: OnceCell::new(),
        }
    }

    fn turn(&self, name: &PgpKeyName) -> Arc<Turn> {
        let mut turns = locked(&self.turns);
        let closed = || Turn { free: Semaphore::new(1), state: Mutex::new(State::Closed) };
        Arc::clone(turns.entry(name.fingerprint.clone()).or_insert_with(|| Arc::new(closed())))
    }

    /// Whether it has the secret key of this name. It is asked once, for all of them.
    async fn has_secret(&self, name: &PgpKeyName) -> bool {
        let digits = name.fingerprint.replace(' ', "");
        let digits = digits.trim_end_matches('!');
        let digits = digits.strip_prefix("0x").unwrap_or(digits).to_ascii_uppercase();
        let fingerprints = self.secret.get_or_init(|| keyring::secret_fingerprints(self)).await;
        !digits.is_empty() && fingerprints.iter().any(|fingerprint| fingerprint.ends_with(&digits))
    }

    /// Runs it. Its status lines are among what it says.
    async fn run(
        &self,
        arguments: Vec<String>,
        input: Wiping<Vec<u8>>,
        longest: usize,
    ) -> Result<run::Ended, GpgError> {
        // It is never closed.
        let _running = self.running.acquire().await.ok();
        let run = Run { program: self.program.clone(), variables: self.variables.clone(), arguments };
        run.on_a_thread(input, longest).await
    }
}

impl fmt::Debug for Gpg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gpg").field("program", &self.program).finish_non_exhaustive()
    }
}

/// One key of OpenPGP.
#[derive(Debug)]
pub struct PgpKey {
    name: PgpKeyName,
    gpg: Arc<Gpg>,
    /// How often gpg ran to unwrap.
    started: AtomicUsize,
}

impl PgpKey {
    /// The key of this name. Whether it is one shows when it is used; [`PgpKeyName::check`] tells beforehand.
    pub fn new(name: PgpKeyName, gpg: Arc<Gpg>) -> Self {
        Self { name, gpg, started: AtomicUsize::new(0) }
    }

    async fn encrypt(&self, secret: &SecretBytes) -> Result<String, GpgError> {
        let fingerprint = self.fingerprint()?;
        let input = Wiping::new(secret.expose_secret().to_vec());
        let ended = self.gpg.run(wrap_arguments(&fingerprint), input, LONGEST_WRAPPED).await?;
        if !ended.succeeded {
            let error = said::of_wrapping(&ended);
            return Err(match error {
                GpgError::CannotBeUsed(Unusable::Unknown) => keyring::why_unusable(&self.gpg, &fingerprint).await,
                error => error,
            });
        }
        let wrapped = String::from_utf8_lossy(&ended.output).trim().to_owned();
        if wrapped.is_empty() { Err(GpgError::Nothing) } else { Ok(wrapped) }
    }

    async fn decrypt(&self, wrapped: &WrappedKey) -> Result<SecretBytes, UnwrapError> {
        let fingerprint = self.fingerprint()?;
        let turn = self.gpg.turn(&self.name);
        let _turn = turn.free.acquire().await.ok();
        if let State::Stuck(error) = &*locked(&turn.state) {
            return Err(error.clone().into());
        }
        let input = Wiping::new(wrapped.as_str().as_bytes().to_vec());
        let ended = self.gpg.run(vec!["-d".to_owned()], input, LONGEST_SECRET).await?;
        self.started.fetch_add(1, Ordering::Relaxed);
        if ended.succeeded {
            turn.is_open();
            if ended.output.is_empty() {
                return Err(GpgError::Nothing.into());
            }
            return Ok(ended.output.into());
        }
        let error = said::of_unwrapping(&ended)?;
        if error.is_of_a_person() {
            *locked(&turn.state) = State::Stuck(error.clone());
        }
        Err(match error {
            GpgError::NoSecretKey { of, .. } => keyring::why_no_secret_key(&self.gpg, &fingerprint, of).await,
            error => error,
        }
        .into())
    }

    /// As gpg is given it.
    fn fingerprint(&self) -> Result<String, GpgError> {
        Ok(PgpKeyName::from_argument(&self.name.fingerprint)?.fingerprint)
    }
}

impl Turn {
    fn is_open(&self) {
        let mut state = locked(&self.state);
        if matches!(*state, State::Closed) {
            *state = State::Open;
            self.free.add_permits(AT_ONCE - 1);
        }
    }
}

/// As sops gives them; a key is trusted for this call because the user names it.
fn wrap_arguments(fingerprint: &str) -> Vec<String> {
    let digits = if fingerprint.ends_with('!') { 17 } else { 16 };
    // It is ASCII.
    let trusted = &fingerprint[fingerprint.len().saturating_sub(digits)..];
    [
        "--no-default-recipient",
        "--yes",
        "--encrypt",
        "-a",
        "-r",
        fingerprint,
        "--trusted-key",
        trusted,
        "--no-encrypt-to",
    ]
    .map(str::to_owned)
    .to_vec()
}

#[async_trait]
impl MasterKey for PgpKey {
    fn name(&self) -> KeyName {
        KeyName::Pgp(self.name.clone())
    }

    async fn wrap(&self, secret: &SecretBytes) -> Result<WrappedKey, WrapError> {
        Ok(WrappedKey::new(self.encrypt(secret).await?))
    }

    async fn unwrap(&self, wrapped: &WrappedKey) -> Result<Option<SecretBytes>, UnwrapError> {
        if wrapped.as_str().len() > LONGEST_WRAPPED {
            return Err(UnwrapError::Malformed(format!("it is longer than {LONGEST_WRAPPED} bytes")));
        }
        Ok(Some(self.decrypt(wrapped).await?))
    }

    fn started(&self) -> usize {
        self.started.load(Ordering::Relaxed)
    }

    async fn is_likely(&self) -> bool {
        self.gpg.has_secret(&self.name).await
    }
}

/// Locks, also after a panic of another thread: what is behind these locks is whole at every moment.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_those_of_sops() {
        for (fingerprint, trusted) in [
            ("FBC7B9E2A4F9289AC0C1D4843D16CEE4A27381B4", "3D16CEE4A27381B4"),
            ("71D962851765394F76DB9CFC25294A17CD90507F!", "25294A17CD90507F!"),
            ("3D16CEE4A27381B4", "3D16CEE4A27381B4"),
        ] {
            let expected = format!(
                "--no-default-recipient --yes --encrypt -a -r {fingerprint} --trusted-key {trusted} --no-encrypt-to"
            );
            assert_eq!(wrap_arguments(fingerprint).join(" "), expected);
        }
    }
}
