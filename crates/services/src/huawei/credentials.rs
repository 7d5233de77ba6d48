//! Credentials that sign: an access key that was found, or the temporary one of the instance's agency.
//!
//! ```text
//! instance   PUT 169.254.169.254/meta-data/latest/api/token       a token for questions, where the instance asks for one
//!            GET 169.254.169.254/openstack/latest/securitykey     {"credential": {access, secret, securitytoken, expires_at}}
//! ```

use std::time::Duration;

use bulla_crypto::SecretBytes;
use http::header::{HeaderName, HeaderValue};
use http::{Method, Uri};
use serde::Deserialize;

use super::{Base, Login, Settings};
use crate::rest::{Question, Rest};
use crate::{ServiceError, Tried};

/// How long the instance is waited for. Most programs run on none, and there it does not answer.
const INSTANCE_LIMIT: Duration = Duration::from_secs(1);
/// How long the credentials of the instance count. They are good for hours, and the instance renews them before their end.
const INSTANCE_LIFE: Duration = Duration::from_mins(10);
const TOKEN: &str = "/meta-data/latest/api/token";
const KEY: &str = "/openstack/latest/securitykey";
const TOKEN_LIFE: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-metadata-token-ttl-seconds"), HeaderValue::from_static("21600"));

/// What signs.
pub(super) struct Credentials {
    pub(super) id: String,
    pub(super) secret: SecretBytes,
    pub(super) security_token: Option<SecretBytes>,
    /// Whose they are, for messages.
    pub(super) principal: String,
    /// May there be others when they are not accepted?
    pub(super) is_renewable: bool,
}

#[derive(Deserialize)]
struct Given {
    credential: Option<KeyText>,
}

#[derive(Deserialize)]
struct KeyText {
    access: String,
    secret: String,
    securitytoken: Option<String>,
}

/// The credentials, and how long they count.
pub(super) async fn get(settings: &Settings, rest: &Rest) -> Result<(Credentials, Option<Duration>), ServiceError> {
    match &settings.login {
        Login::Key { id, secret, security_token, place, .. } => {
            let copy = |secret: &SecretBytes| SecretBytes::new(secret.expose_secret().to_vec());
            let credentials = Credentials {
                id: id.clone(),
                secret: copy(secret),
                security_token: security_token.as_ref().map(copy),
                principal: format!("the access key `{id}` from `{place}`"),
                is_renewable: false,
            };
            Ok((credentials, None))
        }
        Login::Instance { address, tried, .. } => {
            let none = |outcome: String| {
                let mut tried = tried.clone();
                tried.push(Tried { place: format!("the metadata of the instance ({address})"), outcome });
                ServiceError::NoCredentials { address: "Huawei Cloud".to_owned(), tried }
            };
            Ok((of_instance(rest, address).await.map_err(none)?, Some(INSTANCE_LIFE)))
        }
    }
}

async fn of_instance(rest: &Rest, address: &Base) -> Result<Credentials, String> {
    let uri = |path: &str| address.join(path).map_err(|error| error.to_string());
    let ask = async |question: Question<'_>| {
        let reply = rest.probe(&question, INSTANCE_LIMIT).await;
        reply.map_err(|error| match error {
            ServiceError::Unreachable { reason, .. } => reason,
            error => error.to_string(),
        })
    };
    let token = ask(put(uri(TOKEN)?)).await?;
    let mut question = Question::get("the instance", uri(KEY)?);
    // Older instances ask for none, and know no such path.
    if token.status == 200 {
        let mut value = HeaderValue::from_bytes(token.body.trim_ascii()).map_err(|_| "its token is no header")?;
        value.set_sensitive(true);
        question = question.with(HeaderName::from_static("x-metadata-token"), value);
    }
    let reply = ask(question).await?;
    if reply.status != 200 {
        return Err(format!("it answered {}: the instance may have no agency", reply.status));
    }
    let key = reply.json::<Given>().and_then(|given| given.credential).ok_or("what it sent is no access key")?;
    let token = key.securitytoken.filter(|token| !token.is_empty());
    Ok(Credentials {
        principal: format!("the agency of this instance (access key `{}`)", key.access),
        id: key.access,
        secret: SecretBytes::new(key.secret.into_bytes()),
        security_token: token.map(|token| SecretBytes::new(token.into_bytes())),
        is_renewable: true,
    })
}

fn put(uri: Uri) -> Question<'static> {
    let question = Question { method: Method::PUT, ..Question::get("the instance", uri) };
    question.with(TOKEN_LIFE.0, TOKEN_LIFE.1)
}
