//! Credentials in JSON, as `gcloud`, the console and Terraform write them.
//!
//! ```text
//! service_account                a private key, which signs a token for an hour
//! authorized_user                a refresh token of somebody who logged in, exchanged for a token
//! external_account               the token of another cloud, cluster or CI, exchanged for one (workload identity federation)
//! impersonated_service_account   one of these, exchanged for a token of a service account
//! ```
//! They come from the environment, not from an encrypted file: the addresses in them are the user's own. Source: AIP-4112, 4113, 4117.

use aws_lc_rs::signature::RsaKeyPair;
use bulla_crypto::SecretBytes;
use serde::Deserialize;

use crate::address::Target;
use crate::{ServiceError, jwt};

/// Where a user's refresh token is exchanged.
pub(super) const TOKENS: &str = "https://oauth2.googleapis.com/token";
/// How many credentials may stand on others.
const DEEPEST: usize = 3;

/// Credentials, ready to use.
pub(super) enum Credentials {
    /// A private key of a service account.
    ServiceAccount { email: String, key_id: String, key: Box<RsaKeyPair> },
    /// Somebody who logged in.
    User { client_id: String, client_secret: SecretBytes, refresh_token: SecretBytes },
    /// A workload that shows the token of somebody else.
    External(Box<External>),
    /// A service account that others may speak for.
    Impersonated { source: Box<Self>, account: Account, delegates: Vec<String> },
}

/// A workload that shows the token of somebody else.
pub(super) struct External {
    pub(super) audience: String,
    pub(super) subject_token_type: String,
    /// Where it is exchanged.
    pub(super) exchange: Target,
    pub(super) subject: Subject,
    /// The service account for which what comes out is exchanged again.
    pub(super) account: Option<Account>,
    /// Whose quota an exchange of a workforce pool counts against.
    pub(super) user_project: Option<String>,
}

/// Where the token of somebody else is.
pub(super) enum Subject {
    /// In a file, which they renew.
    File { path: String, field: Option<String> },
    /// At an address.
    Address { target: Target, headers: Vec<(String, String)>, field: Option<String> },
}

/// A service account, and where tokens of it are asked for.
pub(super) struct Account {
    pub(super) email: String,
    pub(super) target: Target,
}

/// What is read of the JSON, whatever kind it is.
#[derive(Deserialize)]
struct Text {
    #[serde(rename = "type", default)]
    kind: String,
    client_email: Option<String>,
    private_key: Option<String>,
    private_key_id: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
    refresh_token: Option<String>,
    quota_project_id: Option<String>,
    universe_domain: Option<String>,
    audience: Option<String>,
    subject_token_type: Option<String>,
    token_url: Option<String>,
    service_account_impersonation_url: Option<String>,
    workforce_pool_user_project: Option<String>,
    credential_source: Option<SourceText>,
    source_credentials: Option<Box<Text>>,
    #[serde(default)]
    delegates: Vec<String>,
}

#[derive(Deserialize)]
struct SourceText {
    file: Option<String>,
    url: Option<String>,
    #[serde(default)]
    headers: std::collections::BTreeMap<String, String>,
    format: Option<FormatText>,
    environment_id: Option<String>,
    executable: Option<serde::de::IgnoredAny>,
    certificate: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct FormatText {
    #[serde(rename = "type")]
    kind: Option<String>,
    subject_token_field_name: Option<String>,
}

/// What the JSON says beside who we are.
pub(super) struct Said {
    pub(super) credentials: Credentials,
    pub(super) quota_project: Option<String>,
    pub(super) universe: Option<String>,
}

/// Reads credentials that were found in `place`.
///
/// # Errors
/// [`ServiceError::Settings`], which quotes nothing of them.
pub(super) fn read(json: &SecretBytes, place: &str) -> Result<Said, ServiceError> {
    let refuse = |reason: String| ServiceError::Settings(format!("the credentials in `{place}`: {reason}"));
    let mut text: Text = serde_json::from_slice(json.expose_secret())
        .map_err(|_| refuse("they are not the JSON that `gcloud` and the console write".to_owned()))?;
    let said = |text: &mut Option<String>| text.take().filter(|text| !text.is_empty());
    let (quota_project, universe) = (said(&mut text.quota_project_id), said(&mut text.universe_domain));
    Ok(Said { credentials: credentials(text, DEEPEST).map_err(refuse)?, quota_project, universe })
}

fn credentials(text: Text, deepest: usize) -> Result<Credentials, String> {
    let lacks = |name: &str| format!("a `{name}` is missing");
    let need = |value: Option<String>, name: &str| value.filter(|text| !text.is_empty()).ok_or_else(|| lacks(name));
    match &*text.kind {
        "service_account" => {
            let pem = SecretBytes::new(need(text.private_key, "private_key")?.into_bytes());
            let key = jwt::key(pem.expose_secret()).ok_or("its `private_key` is no RSA key in PEM")?;
            let email = need(text.client_email, "client_email")?;
            Ok(Credentials::ServiceAccount {
                email,
                key_id: text.private_key_id.unwrap_or_default(),
                key: Box::new(key),
            })
        }
        "authorized_user" => {
            let secret = |value, name| Ok::<_, String>(SecretBytes::new(need(value, name)?.into_bytes()));
            Ok(Credentials::User {
                client_id: need(text.client_id, "client_id")?,
                client_secret: secret(text.client_secret, "client_secret")?,
                refresh_token: secret(text.refresh_token, "refresh_token")?,
            })
        }
        "external_account" => {
            let source = text.credential_source.ok_or_else(|| lacks("credential_source"))?;
            Ok(Credentials::External(Box::new(External {
                audience: need(text.audience, "audience")?,
                subject_token_type: need(text.subject_token_type, "subject_token_type")?,
                exchange: address(&need(text.token_url, "token_url")?)?,
                subject: subject(source)?,
                account: text.service_account_impersonation_url.as_deref().map(account).transpose()?,
                user_project: text.workforce_pool_user_project,
            })))
        }
        "impersonated_service_account" => {
            if deepest <= 1 {
                return Err("too many of them stand on others".to_owned());
            }
            let source = text.source_credentials.ok_or_else(|| lacks("source_credentials"))?;
            let url = need(text.service_account_impersonation_url, "service_account_impersonation_url")?;
            Ok(Credentials::Impersonated {
                source: Box::new(credentials(*source, deepest - 1)?),
                account: account(&url)?,
                delegates: text.delegates,
            })
        }
        "" => Err("they have no `type`".to_owned()),
        kind => {
            let kind: String = kind.chars().take(60).collect();
            Err(format!(
                "those of the type `{kind}` cannot be used: `service_account`, `authorized_user`, `external_account` and \
                 `impersonated_service_account` can"
            ))
        }
    }
}

fn subject(source: SourceText) -> Result<Subject, String> {
    if source.environment_id.is_some() || source.executable.is_some() || source.certificate.is_some() {
        return Err(
            "a `credential_source` with `file` or `url` can be used; one of AWS, a program or a certificate cannot"
                .to_owned(),
        );
    }
    let field = match source.format {
        None => None,
        Some(format) => match format.kind.as_deref() {
            None | Some("text") => None,
            Some("json") => {
                let name = "the `credential_source` lacks `subject_token_field_name`";
                Some(format.subject_token_field_name.ok_or(name)?)
            }
            Some(_) => return Err("the `credential_source` has a format that is neither `text` nor `json`".to_owned()),
        },
    };
    match (source.file, source.url) {
        (Some(path), _) => Ok(Subject::File { path, field }),
        (None, Some(url)) => {
            Ok(Subject::Address { target: address(&url)?, headers: source.headers.into_iter().collect(), field })
        }
        (None, None) => Err("the `credential_source` has neither `file` nor `url`".to_owned()),
    }
}

/// `https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/NAME@PROJECT.iam.gserviceaccount.com:generateAccessToken`
fn account(url: &str) -> Result<Account, String> {
    let email = url.rsplit('/').next().and_then(|last| last.strip_suffix(":generateAccessToken"));
    let email = email.ok_or("`service_account_impersonation_url` does not end in `EMAIL:generateAccessToken`")?;
    Ok(Account { email: email.to_owned(), target: address(url)? })
}

fn address(url: &str) -> Result<Target, String> {
    url.parse().map_err(|error| format!("{error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(json: &str) -> String {
        match read(&SecretBytes::new(json.as_bytes().to_vec()), "GOOGLE_CREDENTIALS") {
            Ok(_) => panic!("{json} is taken"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn credentials_that_are_none_are_told_without_quoting_them() {
        for (json, reason) in [
            ("hunter2", "not the JSON"),
            (r#"{"type":7,"private_key":"hunter2"}"#, "not the JSON"),
            (r#"{"private_key":"hunter2"}"#, "no `type`"),
            (r#"{"type":"gdch_service_account"}"#, "the type `gdch_service_account` cannot be used"),
            (r#"{"type":"service_account","client_email":"a@b"}"#, "a `private_key` is missing"),
            (r#"{"type":"service_account","client_email":"a@b","private_key":"hunter2"}"#, "no RSA key in PEM"),
            (r#"{"type":"authorized_user","client_id":"i","client_secret":"hunter2"}"#, "a `refresh_token` is missing"),
            (r#"{"type":"external_account"}"#, "a `credential_source` is missing"),
            (
                r#"{"type":"external_account","audience":"a","subject_token_type":"t","token_url":"https://s/v1",
                    "credential_source":{"environment_id":"aws1"}}"#,
                "one of AWS, a program or a certificate cannot",
            ),
            (
                r#"{"type":"external_account","audience":"a","subject_token_type":"t","token_url":"ftp://s/v1",
                    "credential_source":{"file":"/t"}}"#,
                "is not an address",
            ),
            (
                r#"{"type":"external_account","audience":"a","subject_token_type":"t","token_url":"https://s/v1",
                    "credential_source":{"file":"/t","format":{"type":"json"}}}"#,
                "subject_token_field_name",
            ),
            (
                r#"{"type":"impersonated_service_account","service_account_impersonation_url":"https://h/x",
                    "source_credentials":{"type":"authorized_user","client_id":"i","client_secret":"hunter2","refresh_token":"hunter2"}}"#,
                "does not end in `EMAIL:generateAccessToken`",
            ),
        ] {
            let error = refused(json);
            assert!(error.starts_with("the credentials in `GOOGLE_CREDENTIALS`: "), "{error}");
            assert!(error.contains(reason) && !error.contains("hunter2"), "{json}: {error}");
        }
    }

    #[test]
    fn credentials_stand_on_others_only_so_deep() {
        let mut json =
            r#"{"type":"authorized_user","client_id":"i","client_secret":"s","refresh_token":"r"}"#.to_owned();
        for depth in 0..60 {
            let url = "https://iam/v1/projects/-/serviceAccounts/a@p:generateAccessToken";
            json = format!(
                r#"{{"type":"impersonated_service_account","service_account_impersonation_url":"{url}","source_credentials":{json}}}"#
            );
            let outcome = read(&SecretBytes::new(json.as_bytes().to_vec()), "x");
            assert_eq!(outcome.is_ok(), depth < DEEPEST - 1, "{depth}");
        }
    }
}
