//! Why a store gave nothing, and why nothing was selected of what it gave.

use std::fmt;
use std::time::Duration;

use bulla_services::ServiceError;

use crate::json::{DEEPEST, JsonError};
use crate::path::PathError;

/// Why a fetch gave nothing. `store` is the store as messages call it: `Vault at https://vault:8200`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// There is no such secret, or no such version, or it was deleted.
    #[error("{store} has no secret {key}; {advice}")]
    NotFound {
        /// The store.
        store: String,
        /// Key and version.
        key: String,
        /// Where to look.
        advice: String,
    },
    /// The store knows who asks, and refuses.
    #[error("{store}: {principal} may not {action} {resource}; this allows it: {grant}")]
    Forbidden {
        /// The store.
        store: String,
        /// Whose credentials.
        principal: String,
        /// The missing permission, in the store's own word.
        action: String,
        /// What it is missing for.
        resource: String,
        /// What would grant it, ready to be copied.
        grant: String,
    },
    /// The store does not know who asks: revoked, expired, mistyped.
    #[error("{store} does not accept {principal}: {reason}; give the store other credentials")]
    Rejected {
        /// The store.
        store: String,
        /// Whose credentials.
        principal: String,
        /// What it said.
        reason: String,
    },
    /// There are no credentials to ask with: no token of the service account.
    #[error("there are no credentials for {store}: {reason}")]
    NoCredentials {
        /// The store.
        store: String,
        /// Why.
        reason: String,
        /// May there be some later, with nothing changed?
        is_transient: bool,
    },
    /// Too many calls.
    #[error("{store} is asked too often; {}", Later(*.retry_after))]
    Throttled {
        /// The store.
        store: String,
        /// When it wants to be asked again, from now; `None` where it does not say.
        retry_after: Option<Duration>,
    },
    /// No answer came.
    #[error(
        "{store} cannot be reached: {reason}; see its address, the network policies in between and its certificate"
    )]
    Unreachable {
        /// The store.
        store: String,
        /// Why.
        reason: String,
    },
    /// It answers, and cannot work now: sealed, starting, an error inside of it.
    #[error("{store} cannot answer: {reason}; it is asked again")]
    Unavailable {
        /// The store.
        store: String,
        /// What it said.
        reason: String,
    },
    /// It answered something that it should not.
    #[error("{store} did not answer about {key} as such a store does: {reason}")]
    Malformed {
        /// The store.
        store: String,
        /// Key and version.
        key: String,
        /// What is wrong with the answer. Quotes nothing of it.
        reason: String,
    },
    /// The key is none that such a store can have.
    #[error("{store} can have no secret {key}: {reason}")]
    Key {
        /// The store.
        store: String,
        /// Key and version.
        key: String,
        /// Why.
        reason: String,
    },
    /// What the store was built with does not work.
    #[error("{store} cannot be used: {reason}")]
    Settings {
        /// The store.
        store: String,
        /// Why.
        reason: String,
    },
}

impl FetchError {
    /// A word for a condition's reason.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "SecretNotFound",
            Self::Forbidden { .. } => "AccessDenied",
            Self::Rejected { .. } => "CredentialsRejected",
            Self::NoCredentials { .. } => "CredentialsMissing",
            Self::Throttled { .. } => "Throttled",
            Self::Unreachable { .. } => "StoreUnreachable",
            Self::Unavailable { .. } => "StoreUnavailable",
            Self::Malformed { .. } => "MalformedAnswer",
            Self::Key { .. } => "InvalidKey",
            Self::Settings { .. } => "InvalidStore",
        }
    }

    /// May the same fetch succeed later, with nothing changed by anybody but the store?
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Throttled { .. } | Self::Unreachable { .. } | Self::Unavailable { .. } => true,
            Self::NoCredentials { is_transient, .. } => *is_transient,
            Self::NotFound { .. }
            | Self::Forbidden { .. }
            | Self::Rejected { .. }
            | Self::Malformed { .. }
            | Self::Key { .. }
            | Self::Settings { .. } => false,
        }
    }

    /// Is it about the store or our credentials, and so the same for every key? Then there is no use in asking for the next one.
    pub fn is_about_the_store(&self) -> bool {
        !matches!(self, Self::NotFound { .. } | Self::Forbidden { .. } | Self::Malformed { .. } | Self::Key { .. })
    }

    /// What a service's error means for `key` in `store`.
    pub(crate) fn of_service(error: ServiceError, store: String, key: &impl fmt::Display) -> Self {
        match error {
            ServiceError::Denied { principal, action, resource, grant } => {
                Self::Forbidden { store, principal, action, resource, grant }
            }
            ServiceError::Rejected { principal, reason, .. } => Self::Rejected { store, principal, reason },
            ServiceError::Throttled { retry_after, .. } => Self::Throttled { store, retry_after },
            ServiceError::Unreachable { reason, .. } => Self::Unreachable { store, reason },
            ServiceError::Unavailable { reason, .. } => Self::Unavailable { store, reason },
            ServiceError::Unexpected { status, reason, .. } if status >= 500 => {
                Self::Unavailable { store, reason: format!("status {status}: {reason}") }
            }
            ServiceError::Unexpected { status: 200, reason, .. } => {
                Self::Malformed { store, key: key.to_string(), reason }
            }
            ServiceError::Unexpected { status, reason, .. } => {
                Self::Malformed { store, key: key.to_string(), reason: format!("status {status}: {reason}") }
            }
            ServiceError::NoToken { service_account, reason, is_transient } => {
                let reason = format!("no token of the service account `{service_account}`: {reason}");
                Self::NoCredentials { store, reason, is_transient }
            }
            ServiceError::NoCredentials { tried, .. } => {
                let tried: Vec<_> = tried.iter().map(ToString::to_string).collect();
                let reason = if tried.is_empty() { "none were given".to_owned() } else { tried.join("; ") };
                Self::NoCredentials { store, reason, is_transient: false }
            }
            error => Self::Settings { store, reason: error.to_string() },
        }
    }
}

/// When to ask again.
struct Later(Option<Duration>);

impl fmt::Display for Later {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(wait) => write!(f, "it wants to be asked again in {} seconds", wait.as_secs()),
            None => f.write_str("it is asked again later"),
        }
    }
}

/// Why nothing was selected of what a store holds. Whoever reports it names store and key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SelectError {
    /// It has no such property, which means in this store the same as no such secret.
    #[error("it has no property `{0}`")]
    Missing(String),
    /// It has no such property.
    #[error("it has no property `{0}`; see how it is spelt, and that dots which are part of a name are written `\\.`")]
    NoProperty(String),
    /// It has parts only if it is JSON, and it is not.
    #[error("{of} is not JSON, at byte {offset}; only JSON has properties and entries")]
    NotJson {
        /// What: `the secret`, `the property `a``.
        of: String,
        /// Where the text stops being JSON.
        offset: usize,
    },
    /// It has no entries.
    #[error("{of} is not a JSON object; only an object has entries")]
    NoObject {
        /// What: `the secret`, `the property `a``.
        of: String,
    },
    /// Its JSON goes too deep.
    #[error("{of} is nested deeper than {DEEPEST} levels")]
    TooDeep {
        /// What.
        of: String,
    },
    /// A number that has no value where it is needed: 1e999.
    #[error("{of} has a number that is too large")]
    Number {
        /// What.
        of: String,
    },
    /// The path is none, or one that we do not read.
    #[error(transparent)]
    Path(#[from] PathError),
}

impl SelectError {
    /// A word for a condition's reason.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Missing(_) => "SecretNotFound",
            Self::NoProperty(_) => "PropertyNotFound",
            Self::NotJson { .. } | Self::NoObject { .. } | Self::TooDeep { .. } | Self::Number { .. } => "UnfitContent",
            Self::Path(_) => "InvalidProperty",
        }
    }

    /// Does it count as a secret that is not there? Then `deletionPolicy` decides.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Missing(_))
    }

    /// What is wrong with the JSON of `of`.
    pub(crate) fn of_json(error: JsonError, of: &str) -> Self {
        let of = of.to_owned();
        match error {
            JsonError::NotJson(offset) => Self::NotJson { of, offset },
            JsonError::TooDeep => Self::TooDeep { of },
            JsonError::Number => Self::Number { of },
        }
    }
}
