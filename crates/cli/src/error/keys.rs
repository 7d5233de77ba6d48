//! Errors about who can open a file: data keys, recipients.

use bulla_keys::age::RecipientError;
use bulla_keys::vault::VaultNameError;
use bulla_keys::{Source, Tried, UnwrapError};
use bulla_services::ServiceError;
use bulla_sops::{DataKeyError, KeyFailure, KeyReason};

use crate::error::CommandError;
use crate::exit::Exit;

impl From<RecipientError> for CommandError {
    fn from(error: RecipientError) -> Self {
        Self::new(Exit::Usage, error).hint("`bulla keygen age` makes an identity and prints its recipient")
    }
}

impl From<VaultNameError> for CommandError {
    fn from(error: VaultNameError) -> Self {
        Self::new(Exit::Usage, error)
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
            let of_age = failures.iter().all(|failure| failure.id.source == Source::Age);
            let what = if of_age { "identities" } else { "identities and credentials" };
            failed = failed.detail(format!("{what} were looked for in"));
        }
        for Tried { place, outcome } in tried {
            failed = failed.detail(format!("  {place}: {outcome}"));
        }
        let services: Vec<String> = failures.iter().filter_map(service_hint).collect();
        if !services.is_empty() && failures.iter().all(|failure| failure.id.source != Source::Age) {
            return services.into_iter().fold(failed, Self::hint);
        }
        failed = services.into_iter().fold(failed, Self::hint);
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

fn service_hint(failure: &KeyFailure) -> Option<String> {
    match &failure.reason {
        KeyReason::Unwrap(UnwrapError::Service(error)) => of_service(error),
        _ => None,
    }
}

/// What to do about a service that did not wrap or unwrap.
pub(super) fn of_service(error: &ServiceError) -> Option<String> {
    let hint = match error {
        ServiceError::NotAllowed { address } => format!(
            "if that is your server, say so with VAULT_ADDR={address}; a token that is sent to somebody else's server is theirs"
        ),
        ServiceError::Redirected { target, .. } => {
            format!("if that is your server, too, add both to SOPS_HC_VAULT_ALLOWLIST, or set VAULT_ADDR={target}")
        }
        ServiceError::NoCredentials { .. } => "`vault login` leaves a token; or set VAULT_TOKEN".to_owned(),
        ServiceError::Rejected { .. } => {
            "it may have expired: `vault login` again, or look at it with `vault token lookup`".to_owned()
        }
        ServiceError::Denied { grant, .. } => format!("this policy allows it: {grant}"),
        ServiceError::UnknownKey { .. } => "see the name of the engine and of the key with `vault list`".to_owned(),
        ServiceError::Unavailable { .. } => "`vault status` says more".to_owned(),
        _ => return None,
    };
    Some(hint)
}
