//! Plan → the Secret in the cluster. Idempotent: what is as it should be is not written.

use bulla_api::SealedSecret;

use crate::name::ObjectName;
use crate::plan::{Existing, Plaintext, Refusal, merge, mode};
use crate::secrets::{ApiError, Secrets};

/// Rounds against others who write the same Secret, before it is tried again later.
const ROUNDS: usize = 5;
/// How the API server ends its refusal to change an immutable Secret.
const IMMUTABLE: &str = "field is immutable when `immutable` is set";

/// The Secret holds what it should.
#[derive(Debug)]
pub struct Applied {
    /// The Secret as it is now.
    pub secret: Existing,
    /// Whether it had to be written.
    pub wrote: bool,
}

/// Why it does not.
#[derive(Debug)]
pub enum ApplyError {
    /// It will not, until something changes. With the Secret that is in the way, if that is what it is.
    Refused(Refusal, Option<Existing>),
    /// It may, next time.
    Failed(ApiError),
}

impl From<ApiError> for ApplyError {
    fn from(error: ApiError) -> Self {
        Self::Failed(error)
    }
}

/// Makes the Secret of `sealed` hold `desired`. `existing` is the Secret as it was read before; `None` if there was none.
///
/// # Errors
/// [`ApplyError::Refused`] where [`mode`] or [`merge`] say no or the API server finds the Secret invalid; else [`ApplyError::Failed`].
pub async fn apply(
    secrets: &Secrets,
    sealed: &SealedSecret,
    mut existing: Option<Plaintext>,
    desired: &Plaintext,
) -> Result<Applied, ApplyError> {
    let name = ObjectName::of(&sealed.metadata);
    let mut round = 0;
    loop {
        match once(secrets, sealed, existing.as_ref(), desired).await {
            Err(ApplyError::Failed(error))
                if round < ROUNDS && (error.is_race() || existing.is_some() && error.is_not_found()) =>
            {
                round += 1;
                existing = secrets.get(&name).await?;
            }
            done => return done,
        }
    }
}

async fn once(
    secrets: &Secrets,
    sealed: &SealedSecret,
    existing: Option<&Plaintext>,
    desired: &Plaintext,
) -> Result<Applied, ApplyError> {
    let Some(existing) = existing else {
        let desired = desired.expose_secret();
        let created =
            secrets.create(sealed.namespace(), desired).await.map_err(|error| rejected(error, sealed, None))?;
        let secret = Existing::of(&created);
        // A template that declines the owner reference has just made a Secret that this object may not change again.
        mode(sealed, Some(&secret)).map_err(|refusal| ApplyError::Refused(refusal, Some(secret.clone())))?;
        return Ok(Applied { secret, wrote: true });
    };
    let found = Existing::of(&existing.expose_secret().metadata);
    let refused = |refusal| ApplyError::Refused(refusal, Some(found.clone()));
    let mode = mode(sealed, Some(&found)).map_err(refused)?;
    match merge(existing.expose_secret(), desired.expose_secret(), mode).map_err(refused)? {
        None => Ok(Applied { secret: found, wrote: false }),
        Some(merged) => {
            let replaced = secrets.replace(merged.expose_secret()).await;
            let metadata = replaced.map_err(|error| rejected(error, sealed, Some(&found)))?;
            Ok(Applied { secret: Existing::of(&metadata), wrote: true })
        }
    }
}

fn rejected(error: ApiError, sealed: &SealedSecret, found: Option<&Existing>) -> ApplyError {
    if !error.is_permanent() {
        return ApplyError::Failed(error);
    }
    let message = error.to_string();
    if message.ends_with(IMMUTABLE) {
        return ApplyError::Refused(Refusal::Immutable(ObjectName::of(&sealed.metadata)), found.cloned());
    }
    ApplyError::Refused(Refusal::Rejected(message), None)
}
