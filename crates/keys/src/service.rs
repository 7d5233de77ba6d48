//! What keys have in common whose private half lies in a service: Vault, later the clouds' KMS.
//!
//! ```text
//! MasterKey::unwrap ─ any executor ─┐                 ┌─ the runtime of [`Surroundings`] ─ the service's client
//!                                   └─ spawned there ─┘  kept for the next call of the command
//! ```
//! Who waits for a key needs no runtime: the call is carried out on the one that [`Surroundings`] names, which is asked for with the
//! first call. So a command that meets no such key starts none. Invariant: no error here carries a token, a secret or an answer
//! with one in it.

use std::fmt;
use std::io;
use std::sync::Arc;

use tokio::runtime::Handle;

use crate::Tried;

/// What the client of a service needs of the outside. Handed in, since libraries draw no randomness and start no threads.
#[derive(Clone)]
pub struct Surroundings {
    runtime: Arc<dyn Fn() -> io::Result<Handle> + Send + Sync>,
    random: Arc<dyn Fn() -> u32 + Send + Sync>,
}

impl Surroundings {
    /// `runtime` names where calls are carried out, and is asked for each; `random` spreads retries, any number does.
    pub fn new(
        runtime: impl Fn() -> io::Result<Handle> + Send + Sync + 'static,
        random: impl Fn() -> u32 + Send + Sync + 'static,
    ) -> Self {
        Self { runtime: Arc::new(runtime), random: Arc::new(random) }
    }

    /// A number between 0 and 1.
    pub(crate) fn fraction(&self) -> f64 {
        f64::from((self.random)()) / f64::from(u32::MAX)
    }

    /// Carries out `call` on the runtime, and waits for it wherever this is awaited.
    pub(crate) async fn carry_out<T: Send + 'static>(
        &self,
        call: impl Future<Output = Result<T, ServiceError>> + Send + 'static,
    ) -> Result<T, ServiceError> {
        let runtime = (self.runtime)().map_err(|error| ServiceError::Settings(format!("no runtime: {error}")))?;
        match runtime.spawn(call).await {
            Ok(outcome) => outcome,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => Err(ServiceError::Settings("the runtime was stopped".to_owned())),
        }
    }
}

impl fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Surroundings")
    }
}

/// Who named a key: that decides whether credentials may go where it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamedBy {
    /// The command line or the configuration: somebody who encrypts said so.
    Configuration,
    /// An encrypted file. Anybody can have written it, to have our credentials sent to them.
    File,
}

/// Why a service did not wrap or unwrap.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// What was configured does not work. Nothing was sent.
    #[error("{0}")]
    Settings(String),
    /// Nobody but the file says that this address is ours. Nothing was sent.
    #[error("the file names {address}, and nothing here says that credentials may be sent there")]
    NotAllowed {
        /// The address.
        address: String,
    },
    /// There are none. Nothing was sent.
    #[error("no credentials for {address} were found")]
    NoCredentials {
        /// Where they would have been sent.
        address: String,
        /// Where they were looked for.
        tried: Vec<Tried>,
    },
    /// The service does not know who that is: revoked, expired, mistyped.
    #[error("{address} does not accept {principal}: {reason}")]
    Rejected {
        /// The service.
        address: String,
        /// Whose credentials, by the place where they were found.
        principal: String,
        /// What it said.
        reason: String,
    },
    /// It knows, and refuses.
    #[error("{principal} may not {action} {resource}")]
    Denied {
        /// Whose credentials.
        principal: String,
        /// The missing permission, in the service's own word.
        action: String,
        /// What it is missing for.
        resource: String,
        /// What would grant it, ready to be copied.
        grant: String,
    },
    /// There is no such key.
    #[error("there is no key {key}: {reason}")]
    UnknownKey {
        /// The key.
        key: String,
        /// What the service said.
        reason: String,
    },
    /// The key is there, and did not make this wrapped key.
    #[error("{key} did not make this wrapped key, or the wrapped key was changed: {reason}")]
    Unfit {
        /// The key.
        key: String,
        /// What the service said.
        reason: String,
    },
    /// It cannot work now: sealed, starting, standing by.
    #[error("{address} cannot answer: {reason}")]
    Unavailable {
        /// The service.
        address: String,
        /// What it said.
        reason: String,
    },
    /// Too many calls, also after the last attempt.
    #[error("{address} is asked too often: it refused {attempts} attempts")]
    Throttled {
        /// The service.
        address: String,
        /// How many.
        attempts: u32,
    },
    /// No answer came.
    #[error("{address} cannot be reached: {reason}")]
    Unreachable {
        /// The service.
        address: String,
        /// Why.
        reason: String,
    },
    /// It sends us elsewhere, where credentials may not go.
    #[error("{address} redirects to {target}, and nothing here says that credentials may be sent there")]
    Redirected {
        /// The service.
        address: String,
        /// The other address.
        target: String,
    },
    /// Anything else.
    #[error("{address} answered {status}: {reason}")]
    Unexpected {
        /// The service.
        address: String,
        /// The status of the answer.
        status: u16,
        /// What it said, or what is wrong with it.
        reason: String,
    },
}
