//! Errors about who can open a file: data keys, recipients.

use bulla_keys::age::RecipientError;
use bulla_keys::{Tried, UnwrapError};
use bulla_sops::{DataKeyError, KeyFailure, KeyReason};

use crate::error::CommandError;
use crate::exit::Exit;

impl From<RecipientError> for CommandError {
    fn from(error: RecipientError) -> Self {
        Self::new(Exit::Usage, error).hint("`bulla keygen age` makes an identity and prints its recipient")
    }
}

impl From<DataKeyError> for CommandError {
    fn from(error: DataKeyError) -> Self {
        let DataKeyError::NoKey { failures, tried } = &error else {
            return Self::new(Exit::NoKey, error);
        };
        let message = match failures.as_slice() {
            [_] => "no key that is here opens it; it is encrypted for".to_owned(),
            failures => format!("no key that is here opens it; it is encrypted for any of {} keys", failures.len()),
        };
        let mut failed = Self::new(Exit::NoKey, message);
        for failure in failures {
            failed = failed.detail(format!("  {}: {}", failure.id, reason(failure)));
        }
        if !tried.is_empty() {
            failed = failed.detail("identities were looked for in");
        }
        for Tried { place, outcome } in tried {
            failed = failed.detail(format!("  {place}: {outcome}"));
        }
        failed.hint("name the file of your identity with `--identity`; or ask somebody who can open the file to encrypt it for you, too")
    }
}

/// Why a key did not work. Where identities were looked for is told once, for all keys.
fn reason(failure: &KeyFailure) -> String {
    match &failure.reason {
        KeyReason::Unwrap(UnwrapError::NoIdentity(_)) => "no identity was found that could be tried".to_owned(),
        reason => reason.to_string(),
    }
}
