//! What an error of AWS means. The meaning of a code is pure, so that every case is a line of a table.
//!
//! ```text
//! AccessDeniedException   User: arn:aws:iam::1:user/shop is not authorized to perform: kms:Decrypt on resource: arn:… because …
//! ThrottlingException     NotFoundException     DisabledException     InvalidCiphertextException     ExpiredTokenException     …
//! ```
//! Codes of KMS, S3, STS and of what stands before all services (signatures, tokens). Those that are not known become
//! [`ServiceError::Unexpected`] with what was said.

use std::error::Error;

use aws_sdk_sts::error::{ProvideErrorMetadata, SdkError};

use crate::rest::{reason, shown};
use crate::{Limits, ServiceError, transport};

/// What exchanges the token of a service account for credentials.
pub(super) const WEB_IDENTITY: &str = "sts:AssumeRoleWithWebIdentity";

/// What was asked, for messages and permissions.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// In the words of IAM: `kms:Decrypt`.
    pub action: &'a str,
    /// The ARN of what it is about.
    pub resource: &'a str,
}

/// Why an attempt gave no answer.
#[derive(Debug)]
pub(super) enum Fault {
    /// Nothing was sent, and it is known why.
    Ours(ServiceError),
    /// There was no answer.
    Silent(String),
    /// TLS refused: it will do so again.
    Tls(String),
    /// AWS said why.
    Said(Said),
}

/// What AWS said.
#[derive(Debug, Clone)]
pub(super) struct Said {
    pub(super) status: u16,
    /// `ThrottlingException`; empty if there was none.
    pub(super) code: String,
    pub(super) message: String,
}

impl Fault {
    pub(super) fn of<E>(error: SdkError<E>) -> Self
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        if let Some(error) = ours(&error) {
            return Self::Ours(error.clone());
        }
        match error {
            SdkError::ServiceError(context) => Self::Said(Said {
                status: context.raw().status().as_u16(),
                code: context.err().code().unwrap_or_default().to_owned(),
                message: shown(context.err().message().unwrap_or_default()),
            }),
            SdkError::ResponseError(context) => Self::Said(Said {
                status: context.raw().status().as_u16(),
                code: String::new(),
                message: "what it sent is not an answer of AWS".to_owned(),
            }),
            SdkError::TimeoutError(_) => Self::Silent("no answer in time".to_owned()),
            SdkError::DispatchFailure(_) if transport::is_about_tls(&error) => Self::Tls(said(&error)),
            SdkError::DispatchFailure(ref failure) if failure.is_timeout() => {
                Self::Silent("no answer in time".to_owned())
            }
            SdkError::DispatchFailure(_) => Self::Silent(said(&error)),
            error => Self::Ours(ServiceError::Settings(format!("no request to AWS can be made: {}", said(&error)))),
        }
    }

    /// How many attempts are made at what fails so.
    pub(super) fn attempts(&self, limits: &Limits) -> u32 {
        match self {
            Self::Silent(_) => limits.silent_attempts,
            Self::Said(said) if said.is_throttled() => limits.throttled_attempts,
            Self::Said(said) if said.is_passing() => limits.attempts,
            Self::Ours(_) | Self::Tls(_) | Self::Said(_) => 1,
        }
    }
}

/// The error that one of our own parts gave to the SDK: that of credentials.
pub(super) fn ours<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a ServiceError> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// An error with its causes, without the words that the SDK has for all of them. None of them quotes a request or an answer.
pub(super) fn said(error: &(dyn Error + 'static)) -> String {
    const NOTHING: [&str; 4] =
        ["dispatch failure", "io error", "client error (Connect)", "an error occurred while loading credentials"];
    let (mut words, mut next) = (Vec::<String>::new(), Some(error));
    while let Some(error) = next {
        let message = error.to_string();
        if !NOTHING.contains(&&*message) && !words.last().is_some_and(|last| last.contains(&message)) {
            words.push(message);
        }
        next = error.source();
    }
    if words.is_empty() { error.to_string() } else { shown(&words.join(": ")) }
}

impl Said {
    fn is_throttled(&self) -> bool {
        self.status == 429
            || matches!(
                &*self.code,
                "ThrottlingException"
                    | "Throttling"
                    | "ThrottledException"
                    | "RequestThrottled"
                    | "RequestThrottledException"
                    | "RequestLimitExceeded"
                    | "TooManyRequestsException"
                    | "LimitExceededException"
                    | "SlowDown"
            )
    }

    /// May it be otherwise in a moment?
    fn is_passing(&self) -> bool {
        matches!(self.status, 500 | 502 | 503 | 504)
            || matches!(
                &*self.code,
                "DependencyTimeoutException" | "KMSInternalException" | "KeyUnavailableException" | "InternalFailure"
            )
    }

    fn is_denial(&self) -> bool {
        matches!(&*self.code, "AccessDeniedException" | "AccessDenied" | "UnauthorizedOperation")
    }

    /// Is it a denial that does not say to whom?
    pub(super) fn needs_a_name(&self) -> bool {
        self.is_denial() && self.word_after("User: ").is_none()
    }

    /// The word after `text`: how AWS names who may not do what.
    fn word_after(&self, text: &str) -> Option<&str> {
        let (_, rest) = self.message.split_once(text)?;
        let word = rest.split_whitespace().next()?.trim_end_matches(['.', ',', ';']);
        Some(word).filter(|word| !word.is_empty())
    }

    /// What it means. `caller` is who we are by AWS' own word, `principal` by where the credentials come from.
    pub(super) fn meaning(
        &self,
        asked: &Asked<'_>,
        address: &str,
        caller: Option<&str>,
        principal: &str,
        attempts: u32,
    ) -> ServiceError {
        let (address, key) = (address.to_owned(), asked.resource.to_owned());
        let reason = reason(&self.message, &self.code);
        match &*self.code {
            _ if self.is_throttled() => ServiceError::Throttled { address, attempts, retry_after: None },
            _ if self.is_denial() => self.denied(asked, caller.unwrap_or(principal)),
            "NoSuchBucket" => ServiceError::NoBucket { bucket: bucket_of(&key).to_owned(), reason },
            "NotFoundException" | "ResourceNotFoundException" => ServiceError::UnknownKey { key, reason },
            "InvalidCiphertextException" | "IncorrectKeyException" => ServiceError::Unfit { key, reason },
            "DisabledException"
            | "KMSInvalidStateException"
            | "KeyUnavailableException"
            | "InvalidKeyUsageException" => ServiceError::Unusable { key, reason },
            "ExpiredTokenException"
            | "ExpiredToken"
            | "InvalidIdentityToken"
            | "InvalidIdentityTokenException"
            | "RequestExpired"
            | "RequestTimeTooSkewed"
            | "UnrecognizedClientException"
            | "InvalidClientTokenId"
            | "InvalidToken"
            | "InvalidAccessKeyId"
            | "InvalidSignatureException"
            | "SignatureDoesNotMatch"
            | "IncompleteSignature"
            | "MissingAuthenticationToken"
            | "MissingAuthenticationTokenException" => {
                ServiceError::Rejected { address, principal: principal.to_owned(), reason }
            }
            _ if self.is_passing() => ServiceError::Unavailable { address, reason },
            _ => ServiceError::Unexpected { address, status: self.status, reason },
        }
    }

    /// Who may not do what, and the statement that grants it.
    fn denied(&self, asked: &Asked<'_>, caller: &str) -> ServiceError {
        let principal = self.word_after("User: ").unwrap_or(caller);
        let action = self.word_after("to perform: ").unwrap_or(asked.action);
        let named = self.word_after("on resource: ").filter(|word| word.starts_with("arn:"));
        let resource = named.unwrap_or(asked.resource);
        let mut grant = statement(action, resource);
        if self.message.contains("explicit deny") {
            grant = format!("{grant}, once nothing denies it explicitly: {}", self.message);
        } else if action == WEB_IDENTITY {
            grant = format!(
                "a trust policy of the role whose principal is the cluster's OIDC provider, and whose condition names {principal}"
            );
        } else if action == "sts:AssumeRole" {
            grant = format!("{grant}; and the trust policy of the role must name {principal}");
        } else if is_of_another_account(principal, resource) {
            grant = format!(
                "{grant}; and, because the key is of another account, its key policy must have \
                 {{\"Effect\": \"Allow\", \"Principal\": {{\"AWS\": \"{}\"}}, \"Action\": \"{action}\", \"Resource\": \"*\"}}",
                principal_of(principal)
            );
        }
        ServiceError::Denied {
            principal: principal.to_owned(),
            action: action.to_owned(),
            resource: resource.to_owned(),
            grant,
        }
    }
}

/// The bucket in the ARN of an object of S3.
fn bucket_of(arn: &str) -> &str {
    arn.split_once(":::").map_or(arn, |(_, object)| object.split('/').next().unwrap_or(object))
}

/// A statement of an IAM policy. One about an alias needs a condition: a policy's resource is always a key.
fn statement(action: &str, resource: &str) -> String {
    match resource.split_once(":alias/") {
        Some((place, alias)) if action.starts_with("kms:") => format!(
            "{{\"Effect\": \"Allow\", \"Action\": \"{action}\", \"Resource\": \"{place}:key/*\", \"Condition\": \
             {{\"ForAnyValue:StringEquals\": {{\"kms:ResourceAliases\": \"alias/{alias}\"}}}}}}"
        ),
        _ => format!("{{\"Effect\": \"Allow\", \"Action\": \"{action}\", \"Resource\": \"{resource}\"}}"),
    }
}

/// The account in an ARN.
fn account(arn: &str) -> Option<&str> {
    arn.starts_with("arn:").then(|| arn.split(':').nth(4)).flatten().filter(|account| !account.is_empty())
}

fn is_of_another_account(principal: &str, resource: &str) -> bool {
    matches!((account(principal), account(resource)), (Some(ours), Some(theirs)) if ours != theirs)
}

/// Whom a policy names: of a session, the role.
fn principal_of(caller: &str) -> String {
    let session = caller.split_once(":sts::").and_then(|(partition, rest)| {
        let (account, session) = rest.split_once(":assumed-role/")?;
        Some(format!("{partition}:iam::{account}:role/{}", session.split('/').next()?))
    });
    session.unwrap_or_else(|| caller.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "arn:aws:kms:eu-west-1:123456789012:key/k";
    const ASKED: Asked<'_> = Asked { action: "kms:Decrypt", resource: KEY };

    fn said(status: u16, code: &str, message: &str) -> Said {
        Said { status, code: code.to_owned(), message: shown(message) }
    }

    fn meaning(said: &Said) -> ServiceError {
        said.meaning(&ASKED, "AWS KMS in eu-west-1", Some("arn:aws:iam::123456789012:user/me"), "the profile `p`", 5)
    }

    #[test]
    fn every_code_has_its_meaning() {
        for (status, code, message, expected, attempts) in [
            (
                400,
                "NotFoundException",
                "no such key",
                "there is no key arn:aws:kms:eu-west-1:123456789012:key/k: no such key (NotFoundException)",
                1,
            ),
            (
                400,
                "DisabledException",
                "it is disabled.",
                "arn:aws:kms:eu-west-1:123456789012:key/k cannot be used: it is disabled. (DisabledException)",
                1,
            ),
            (
                400,
                "KMSInvalidStateException",
                "is pending deletion.",
                "arn:aws:kms:eu-west-1:123456789012:key/k cannot be used: is pending deletion. (KMSInvalidStateException)",
                1,
            ),
            (
                400,
                "InvalidCiphertextException",
                "",
                "arn:aws:kms:eu-west-1:123456789012:key/k did not make this wrapped key, or the wrapped key was changed: InvalidCiphertextException",
                1,
            ),
            (
                400,
                "IncorrectKeyException",
                "other",
                "arn:aws:kms:eu-west-1:123456789012:key/k did not make this wrapped key, or the wrapped key was changed: other (IncorrectKeyException)",
                1,
            ),
            (
                400,
                "ThrottlingException",
                "Rate exceeded",
                "AWS KMS in eu-west-1 is asked too often: it refused 5 attempts",
                5,
            ),
            (
                400,
                "ExpiredTokenException",
                "The security token has expired",
                "AWS KMS in eu-west-1 does not accept the profile `p`: The security token has expired (ExpiredTokenException)",
                1,
            ),
            (
                400,
                "UnrecognizedClientException",
                "invalid.",
                "AWS KMS in eu-west-1 does not accept the profile `p`: invalid. (UnrecognizedClientException)",
                1,
            ),
            (500, "KMSInternalException", "x", "AWS KMS in eu-west-1 cannot answer: x (KMSInternalException)", 5),
            (503, "", "", "AWS KMS in eu-west-1 cannot answer: it gave no reason", 5),
            (400, "ValidationException", "bad", "AWS KMS in eu-west-1 answered 400: bad (ValidationException)", 1),
            (
                400,
                "AccessDeniedException",
                "",
                "arn:aws:iam::123456789012:user/me may not kms:Decrypt arn:aws:kms:eu-west-1:123456789012:key/k",
                1,
            ),
        ] {
            let said = said(status, code, message);
            assert_eq!(meaning(&said).to_string(), expected);
            assert_eq!(Fault::Said(said).attempts(&Limits::default()), attempts, "{code}");
        }
        let limits = Limits::default();
        assert_eq!(Fault::Silent(String::new()).attempts(&limits), limits.silent_attempts);
        assert_eq!(Fault::Tls(String::new()).attempts(&limits), 1);
        assert!(shown(&"x ".repeat(5000)).len() <= 600);
    }

    fn grant(asked: &Asked<'_>, message: &str) -> String {
        let said = said(400, "AccessDeniedException", message);
        match said.meaning(asked, "AWS", None, "the profile `p`", 1) {
            ServiceError::Denied { principal, action, resource, grant } => {
                format!("{principal} | {action} | {resource} | {grant}")
            }
            error => panic!("{error}"),
        }
    }

    #[test]
    fn a_missing_permission_comes_with_the_statement_that_grants_it() {
        let alias = Asked { action: "kms:Encrypt", resource: "arn:aws:kms:eu-west-1:123456789012:alias/shop" };
        let role = Asked { action: "sts:AssumeRole", resource: "arn:aws:iam::2:role/r" };
        for (asked, message, expected) in [
            (
                ASKED,
                "User: arn:aws:sts::123456789012:assumed-role/ci/run is not authorized to perform: kms:Decrypt on resource: \
                 arn:aws:kms:eu-west-1:123456789012:key/other because no identity-based policy allows the kms:Decrypt action",
                r#"arn:aws:sts::123456789012:assumed-role/ci/run | kms:Decrypt | arn:aws:kms:eu-west-1:123456789012:key/other | {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "arn:aws:kms:eu-west-1:123456789012:key/other"}"#,
            ),
            (
                alias,
                "",
                r#"the profile `p` | kms:Encrypt | arn:aws:kms:eu-west-1:123456789012:alias/shop | {"Effect": "Allow", "Action": "kms:Encrypt", "Resource": "arn:aws:kms:eu-west-1:123456789012:key/*", "Condition": {"ForAnyValue:StringEquals": {"kms:ResourceAliases": "alias/shop"}}}"#,
            ),
            (
                role,
                "User: arn:aws:iam::1:user/u is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::2:role/r",
                r#"arn:aws:iam::1:user/u | sts:AssumeRole | arn:aws:iam::2:role/r | {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "arn:aws:iam::2:role/r"}; and the trust policy of the role must name arn:aws:iam::1:user/u"#,
            ),
            (
                ASKED,
                "User: arn:aws:sts::9:assumed-role/ci/run is not authorized to perform: kms:Decrypt",
                r#"arn:aws:sts::9:assumed-role/ci/run | kms:Decrypt | arn:aws:kms:eu-west-1:123456789012:key/k | {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "arn:aws:kms:eu-west-1:123456789012:key/k"}; and, because the key is of another account, its key policy must have {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::9:role/ci"}, "Action": "kms:Decrypt", "Resource": "*"}"#,
            ),
        ] {
            assert_eq!(grant(&asked, message), expected);
        }
        let denied = grant(
            &ASKED,
            "User: arn:aws:iam::123456789012:user/u is not authorized to perform: kms:Decrypt with an explicit deny in an identity-based policy",
        );
        assert!(denied.contains("once nothing denies it explicitly"), "{denied}");
    }

    #[test]
    fn who_we_are_is_asked_only_where_aws_does_not_say() {
        assert!(said(400, "AccessDeniedException", "").needs_a_name());
        assert!(!said(400, "AccessDeniedException", "User: arn:aws:iam::1:user/u is not authorized").needs_a_name());
        assert!(!said(400, "NotFoundException", "").needs_a_name());
    }
}
