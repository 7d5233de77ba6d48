//! Errors about who can open a file: data keys, recipients.

use bulla_keys::age::RecipientError;
use bulla_keys::aws::AwsNameError;
use bulla_keys::pgp::{GpgError, HeldBack, Unusable};
use bulla_keys::{KeyNameError, OrderError, Source, Tried, UnwrapError};
use bulla_services::ServiceError;
use bulla_sops::{DataKeyError, GroupOutcome, KeyFailure, KeyReason};

use crate::error::CommandError;
use crate::exit::Exit;

const KEYGEN: &str = "`bulla keygen age` makes an identity and prints its recipient";

impl From<KeyNameError> for CommandError {
    fn from(error: KeyNameError) -> Self {
        let hint = matches!(error, KeyNameError::Age(_)).then_some(KEYGEN);
        hint.into_iter().fold(Self::new(Exit::Usage, error), Self::hint)
    }
}

impl From<OrderError> for CommandError {
    fn from(error: OrderError) -> Self {
        let exit = if matches!(error, OrderError::Duplicate(_)) { Exit::DuplicateKind } else { Exit::Usage };
        Self::new(exit, error)
    }
}

impl From<RecipientError> for CommandError {
    fn from(error: RecipientError) -> Self {
        KeyNameError::from(error).into()
    }
}

impl From<AwsNameError> for CommandError {
    fn from(error: AwsNameError) -> Self {
        Self::new(Exit::Usage, error)
    }
}

impl From<DataKeyError> for CommandError {
    fn from(error: DataKeyError) -> Self {
        match &error {
            DataKeyError::NoKey { failures, tried } => no_key(failures, tried),
            DataKeyError::TooFewShares { needed, groups, tried } => too_few_shares(*needed, groups, tried),
            DataKeyError::Threshold { .. } | DataKeyError::Shares(_) => Self::new(Exit::NoKey, error)
                .hint("the `sops` entry was damaged, by hand or by a merge: restore it from Git"),
            _ => Self::new(Exit::NoKey, error),
        }
    }
}

fn no_key(failures: &[KeyFailure], tried: &[Tried]) -> CommandError {
    let message = match failures {
        [_] => "no key that is here opens it; it is encrypted for".to_owned(),
        failures => format!("no key that is here opens it; it is encrypted for any of {} keys", failures.len()),
    };
    let mut failed = CommandError::new(Exit::NoKey, message);
    for failure in failures {
        failed = failed.detail(format!("  {}: {}", failure.id, reason(failure)));
    }
    advise(failed, &failures.iter().collect::<Vec<_>>(), tried)
}

/// Every group with what became of its keys.
fn too_few_shares(needed: usize, groups: &[GroupOutcome], tried: &[Tried]) -> CommandError {
    let opened = groups.iter().filter(|group| group.opened.is_some()).count();
    let message = format!(
        "keys of {needed} of its {} groups are needed to open it, and there are keys of {opened} here",
        groups.len()
    );
    let mut failed = CommandError::new(Exit::NoKey, message);
    for (index, group) in groups.iter().enumerate() {
        match &group.opened {
            Some(id) => failed = failed.detail(format!("  group {}: opened by {id}", index + 1)),
            None => {
                failed = failed.detail(format!("  group {}", index + 1));
                for failure in &group.failures {
                    failed = failed.detail(format!("    {}: {}", failure.id, reason(failure)));
                }
            }
        }
    }
    let failures: Vec<_> =
        groups.iter().filter(|group| group.opened.is_none()).flat_map(|group| &group.failures).collect();
    advise(failed, &failures, tried)
}

/// Where the means were looked for, and what to do.
fn advise(mut failed: CommandError, failures: &[&KeyFailure], tried: &[Tried]) -> CommandError {
    if !tried.is_empty() {
        let of_age = failures.iter().all(|failure| failure.id.source == Source::Age);
        let what = if of_age { "identities" } else { "identities and credentials" };
        failed = failed.detail(format!("{what} were looked for in"));
    }
    for Tried { place, outcome } in tried {
        failed = failed.detail(format!("  {place}: {outcome}"));
    }
    let services: Vec<String> = failures.iter().filter_map(|failure| service_hint(failure)).collect();
    let has_age = failures.iter().any(|failure| failure.id.source == Source::Age);
    let is_told = !services.is_empty() && !has_age;
    failed = services.into_iter().fold(failed, CommandError::hint);
    if is_told {
        return failed;
    }
    failed.hint("name the file of your identity with `--identity`; or ask somebody who can open the file to encrypt it for you, too")
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
        KeyReason::Unwrap(error) => of_unwrapping(error, failure.id.source),
        _ => None,
    }
}

fn of_unwrapping(error: &UnwrapError, source: Source) -> Option<String> {
    match error {
        UnwrapError::Service(error) => of_service(error, source),
        UnwrapError::Gpg(error) => of_gpg(error).map(str::to_owned),
        UnwrapError::Nobody(nobody) => nobody.here.as_ref().and_then(|error| of_unwrapping(error, source)),
        _ => None,
    }
}

/// What to do about a service that did not wrap or unwrap.
pub(super) fn of_service(error: &ServiceError, source: Source) -> Option<String> {
    match source {
        Source::Kms => of_aws(error).map(str::to_owned).or_else(|| of_denial(error)),
        Source::GcpKms => of_gcp(error).map(str::to_owned).or_else(|| of_denial(error)),
        Source::AzureKv => of_azure(error).or_else(|| of_denial(error)),
        Source::HcKms => of_huawei(error).map(str::to_owned).or_else(|| of_denial(error)),
        _ => of_vault(error),
    }
}

fn of_denial(error: &ServiceError) -> Option<String> {
    match error {
        ServiceError::Denied { grant, .. } => Some(format!("this policy allows it: {grant}")),
        _ => None,
    }
}

fn of_gcp(error: &ServiceError) -> Option<&'static str> {
    match error {
        ServiceError::NoCredentials { .. } => Some(
            "`gcloud auth application-default login` leaves some; GOOGLE_APPLICATION_CREDENTIALS names a file with others",
        ),
        ServiceError::Rejected { .. } => {
            Some("they may have expired: `gcloud auth application-default login` again; a token is good for an hour")
        }
        ServiceError::UnknownKey { .. } => Some("`gcloud kms keys list --keyring … --location …` says what is there"),
        ServiceError::Unfit { .. } => Some("see in the file's history whether `enc` or `resource_id` was changed"),
        ServiceError::Unusable { .. } => {
            Some("`gcloud kms keys versions list --key …` says their states; one that is disabled can be enabled again")
        }
        ServiceError::Unreachable { .. } => Some("behind a proxy, HTTPS_PROXY counts"),
        _ => None,
    }
}

fn of_huawei(error: &ServiceError) -> Option<&'static str> {
    match error {
        ServiceError::NoCredentials { .. } => Some(
            "set HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK, or write `ak` and `sk` below `[basic]` in ~/.huaweicloud/credentials",
        ),
        ServiceError::Rejected { .. } => Some(
            "the access key may be mistyped or revoked, or this machine's clock wrong: a signature is good for 15 minutes",
        ),
        ServiceError::UnknownKey { .. } => Some("a key is asked for in the region and the project that are named only"),
        ServiceError::Unfit { .. } => Some("see in the file's history whether `enc` or `key_id` was changed"),
        ServiceError::Unusable { .. } => Some("whoever administers it can enable it, or cancel its deletion"),
        ServiceError::Unreachable { .. } => {
            Some("see whether the region is spelt as Huawei Cloud has it; behind a proxy, HTTPS_PROXY counts")
        }
        _ => None,
    }
}

fn of_azure(error: &ServiceError) -> Option<String> {
    let hint = match error {
        ServiceError::NotAllowed { address } => format!(
            "it is no vault of the cloud that AZURE_AUTHORITY_HOST names; if it is yours, say so with \
             BULLA_AZURE_VAULT_ALLOWLIST={address}; a token that is sent to somebody else's server is theirs"
        ),
        ServiceError::NoCredentials { .. } => {
            "`az login` leaves some; or set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET".to_owned()
        }
        ServiceError::Rejected { .. } => {
            "they may have expired, or be of another tenant than the vault: `az account show`".to_owned()
        }
        ServiceError::UnknownKey { .. } => "`az keyvault key list-versions --id …` says what is there".to_owned(),
        ServiceError::Unfit { .. } => {
            "see in the file's history whether `enc`, `name` or `version` was changed".to_owned()
        }
        ServiceError::Unusable { .. } => {
            "`az keyvault key show --id …` says its state; `az keyvault network-rule list` who may reach the vault"
                .to_owned()
        }
        ServiceError::Unreachable { .. } => "behind a proxy, HTTPS_PROXY counts".to_owned(),
        _ => return None,
    };
    Some(hint)
}

fn of_aws(error: &ServiceError) -> Option<&'static str> {
    match error {
        ServiceError::NoCredentials { .. } => {
            Some("`aws sso login` or `aws configure` leaves some; AWS_PROFILE names a profile that has them")
        }
        ServiceError::Rejected { .. } => Some(
            "they may have expired: `aws sso login` again; `aws sts get-caller-identity` says whether they are good",
        ),
        ServiceError::UnknownKey { .. } => {
            Some("`aws kms describe-key` says what is there; a key is asked for in the region of its ARN only")
        }
        ServiceError::Unfit { .. } => Some(
            "the encryption context may be another one than when it was wrapped: see `context` in the file's history",
        ),
        ServiceError::Unusable { .. } => {
            Some("`aws kms describe-key` says its state; whoever administers it can enable it")
        }
        ServiceError::Unreachable { .. } => Some(
            "for a multi-Region key, BULLA_AWS_REPLICA_REGIONS names other regions to ask; behind a proxy, HTTPS_PROXY counts",
        ),
        _ => None,
    }
}

/// What to do about gpg, which did not wrap or unwrap.
pub(super) fn of_gpg(error: &GpgError) -> Option<&'static str> {
    Some(match error {
        GpgError::NotInstalled { .. } => "install GnuPG (gpg), or name the program with SOPS_GPG_EXEC",
        GpgError::NoTerminal => {
            "`export GPG_TTY=$(tty)` says on which terminal gpg asks; without a terminal, unlock the key beforehand"
        }
        GpgError::NoPinentry => "install a pinentry, and name it in ~/.gnupg/gpg-agent.conf: `pinentry-program PATH`",
        GpgError::NoAgent { .. } => {
            "`gpgconf --launch gpg-agent` starts it, or says why not; the path of its socket, in GNUPGHOME, must be short"
        }
        GpgError::NoSecretKey { why: HeldBack::OnCard(_), .. } => {
            "insert the smartcard; `gpg --card-status` says whether gpg sees it"
        }
        GpgError::NoSecretKey { .. } => {
            "`gpg --list-secret-keys` says which are here; is GNUPGHOME the right one? `gpg --import` adds a key"
        }
        GpgError::Card { .. } => "`gpg --card-status` says what the card has and how many attempts are left",
        GpgError::CannotBeUsed(Unusable::NotThere) => {
            "`gpg --import FILE` or `gpg --recv-keys FINGERPRINT` brings it; is GNUPGHOME the right one?"
        }
        GpgError::CannotBeUsed(Unusable::Expired | Unusable::SubkeysExpired) => {
            "its owner can extend it: `gpg --quick-set-expire FINGERPRINT 1y`; then import it again, or remove it from the rule"
        }
        GpgError::Nothing => "try a newer gpg; SOPS_GPG_EXEC names the program",
        _ => return None,
    })
}

fn of_vault(error: &ServiceError) -> Option<String> {
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
        ServiceError::Denied { .. } => return of_denial(error),
        ServiceError::UnknownKey { .. } => "see the name of the engine and of the key with `vault list`".to_owned(),
        ServiceError::Unavailable { .. } => "`vault status` says more".to_owned(),
        ServiceError::Unreachable { reason, .. } => of_silence(reason).to_owned(),
        _ => return None,
    };
    Some(hint)
}

/// What to do about a Vault that gave no answer, by what TLS says of it.
fn of_silence(reason: &str) -> &'static str {
    if reason.contains("not valid for name") {
        "if that is its certificate, VAULT_TLS_SERVER_NAME says by which of the names it is asked"
    } else if reason.contains("peer certificate") {
        "VAULT_CACERT names the authority of its certificate, if it is none of the system's"
    } else if reason.contains("CertificateRequired") {
        "it asks for a certificate of ours: VAULT_CLIENT_CERT and VAULT_CLIENT_KEY name one and its key"
    } else {
        "behind a proxy, HTTPS_PROXY counts"
    }
}
