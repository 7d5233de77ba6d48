//! Why a service did not do what it was asked.

use std::fmt;
use std::time::Duration;

/// A place where credentials or identities were looked for, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Tried {
    /// An environment variable, a path, a program, a credential source.
    pub place: String,
    /// What was there: `not set`, `1 identity, for age1…`, `line 3: unknown identity type`.
    pub outcome: String,
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.place, self.outcome)
    }
}

/// Why a service did not do it: wrap, unwrap, or give a secret.
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
    /// There are none. Nothing was sent that shows who we are.
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
    /// There is no such bucket.
    #[error("there is no bucket {bucket}: {reason}")]
    NoBucket {
        /// Its name.
        bucket: String,
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
    /// The key is there, and is not to be used: disabled, about to be deleted, made for something else.
    #[error("{key} cannot be used: {reason}")]
    Unusable {
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
        /// When it wants to be asked again, from now; `None` where it does not say.
        retry_after: Option<Duration>,
    },
    /// There is no token of the service account that was to log in.
    #[error("no token of the service account {service_account}: {reason}")]
    NoToken {
        /// `namespace/name`.
        service_account: String,
        /// Why.
        reason: String,
        /// May it be there later, with nothing changed?
        is_transient: bool,
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
