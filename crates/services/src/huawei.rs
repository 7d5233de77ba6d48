//! Huawei Cloud: whose credentials sign, where a region is, and what its errors mean; for keys (KMS), and for what follows.
//!
//! ```text
//! Login ─ an access key │ the instance ─ get ─▶ Credentials, kept until shortly before their end
//!                                                   │
//! Asked ─ Huawei::call ─▶ sign (SDK-HMAC-SHA256) ───┴─▶ POST https://kms.REGION.myhuaweicloud.com/v1.0/PROJECT/kms/… ─▶ the answer, or
//!                                                       a ServiceError that says who may not what
//! ```
//! A request is signed and carries no secret key. It goes to the endpoint of a region, or to where the environment says; a file names the
//! region, and nothing but a region's name passes, which becomes a host below Huawei's domain.
//!
//! Source: Huawei Cloud's API signing guide, KMS v1.0; sops 3.13.3 `hckms/keysource.go` and the SDK below it for where credentials are.

mod answer;
mod credentials;
mod signature;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bulla_crypto::SecretBytes;
use bulla_wipe::Wiping;
use http::header::{HeaderName, HeaderValue};
use serde::Deserialize;

pub use crate::address::Base;
pub use crate::limits::Limits;
pub use crate::outside::Outside;
pub use crate::proxy::Proxies;
pub use crate::transport::Authorities;

use crate::kept::Kept;
use crate::rest::{Question, Reply, Rest, escape};
use crate::{ServiceError, Surroundings, Tried};
use credentials::Credentials;

const PROJECT: HeaderName = HeaderName::from_static("x-project-id");

/// How Huawei Cloud is used.
#[derive(Debug)]
pub struct Settings {
    /// Who we are.
    pub login: Login,
    /// Where KMS is asked in a region, instead of where it is, by the region's name in capitals with underscores: `EU_WEST_101`
    /// (`HUAWEICLOUD_SDK_REGION_KMS_EU_WEST_101`).
    pub endpoints: BTreeMap<String, Base>,
    /// Where projects are asked for, instead of in the region (`HUAWEICLOUD_SDK_IAM_ENDPOINT`).
    pub iam: Option<Base>,
    /// Which proxies are used.
    pub proxies: Proxies,
    /// The only authorities that are trusted; `None` for those of the system, which are looked for where OpenSSL does.
    pub authorities: Option<Authorities>,
    /// What is waited for, and for how long.
    pub limits: Limits,
    /// The time, which signatures hold.
    pub outside: Arc<dyn Outside>,
}

impl Settings {
    /// With this login, and everything else as it usually is.
    pub fn new(login: Login, outside: Arc<dyn Outside>) -> Self {
        Self {
            login,
            endpoints: BTreeMap::new(),
            iam: None,
            proxies: Proxies::default(),
            authorities: None,
            limits: Limits::default(),
            outside,
        }
    }
}

/// Whose credentials are used.
#[derive(Debug)]
pub enum Login {
    /// An access key.
    Key {
        /// Its id. Not a secret.
        id: String,
        /// Its secret.
        secret: SecretBytes,
        /// The token that it is good with, if it is a temporary one.
        security_token: Option<SecretBytes>,
        /// The project; asked for by the region's name, if it is not said.
        project: Option<String>,
        /// Where it was found, for messages.
        place: String,
    },
    /// The agency of the instance that this runs on.
    Instance {
        /// Where the instance tells.
        address: Base,
        /// The project; asked for by the region's name, if it is not said.
        project: Option<String>,
        /// Where other credentials were looked for, for the message when there is no instance.
        tried: Vec<Tried>,
    },
}

/// What is asked, for messages and permissions.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// In the words of IAM: `kms:cmk:decrypt`.
    pub action: &'a str,
    /// The key: `eu-west-101:0d0466b0-…`.
    pub key: &'a str,
}

/// KMS of Huawei Cloud, for one command.
pub struct Huawei {
    settings: Settings,
    rest: Rest,
    credentials: Kept<Credentials>,
    projects: Mutex<HashMap<String, Arc<Kept<String>>>>,
}

#[derive(Deserialize)]
struct Projects {
    #[serde(default)]
    projects: Vec<Project>,
}

#[derive(Deserialize)]
struct Project {
    id: String,
}

impl Huawei {
    /// Nothing is read or sent before the first call.
    ///
    /// # Errors
    /// [`ServiceError::Settings`] for certificates or a proxy that are none.
    pub fn new(settings: Settings, surroundings: Surroundings) -> Result<Self, ServiceError> {
        let rest = Rest::new(settings.authorities.as_ref(), &settings.proxies, settings.limits, surroundings)?;
        Ok(Self { settings, rest, credentials: Kept::default(), projects: Mutex::default() })
    }

    /// Sends `body`, an object in JSON, to an operation of KMS in a region (`encrypt-data`), and gives the answer of a success. The
    /// region is one: small letters, digits and hyphens.
    ///
    /// # Errors
    /// What the last answer means.
    pub async fn call(
        &self,
        asked: &Asked<'_>,
        region: &str,
        operation: &str,
        body: Wiping<Vec<u8>>,
    ) -> Result<Wiping<Vec<u8>>, ServiceError> {
        let base = self.endpoint(region)?;
        let service = format!("Huawei Cloud KMS in {region} ({base})");
        let mut credentials = self.credentials().await?;
        let project = self.project(region, &credentials).await?;
        let uri = base.join(&format!("/v1.0/{project}/kms/{operation}"));
        let uri =
            uri.map_err(|error| ServiceError::Settings(format!("no request to {service} can be made: {error}")))?;
        let mut question = Question::post(&service, uri, body);
        let value = HeaderValue::try_from(&project)
            .map_err(|_| ServiceError::Settings("the project's id is no header".to_owned()))?;
        question.headers.insert(PROJECT, value);
        let mut reply = self.send(&mut question, &base, &credentials).await?;
        if reply.status == 401 && credentials.is_renewable {
            self.credentials.forget(&credentials).await;
            credentials = self.credentials().await?;
            reply = self.send(&mut question, &base, &credentials).await?;
        }
        if reply.status == 200 { Ok(reply.body) } else { Err(answer::meaning(&reply, asked, &service, &credentials)) }
    }

    async fn send(
        &self,
        question: &mut Question<'_>,
        base: &Base,
        credentials: &Credentials,
    ) -> Result<Reply, ServiceError> {
        signature::sign(question, base.address(), credentials, &*self.settings.outside)?;
        self.rest.ask(question).await
    }

    /// Where KMS is in a region.
    fn endpoint(&self, region: &str) -> Result<Base, ServiceError> {
        let variable = region.to_ascii_uppercase().replace('-', "_");
        match self.settings.endpoints.get(&variable) {
            Some(endpoint) => Ok(endpoint.clone()),
            None => of_region("kms", region),
        }
    }

    async fn credentials(&self) -> Result<Arc<Credentials>, ServiceError> {
        self.credentials.get(|| credentials::get(&self.settings, &self.rest)).await
    }

    /// The id of the project in a region: the one that is said, else the only one of the region's name.
    async fn project(&self, region: &str, credentials: &Credentials) -> Result<String, ServiceError> {
        let (Login::Key { project, .. } | Login::Instance { project, .. }) = &self.settings.login;
        let project = match project {
            Some(project) => project.clone(),
            None => {
                let kept = {
                    // A panic elsewhere leaves at worst a project out, which is asked for again.
                    let mut projects = self.projects.lock().unwrap_or_else(PoisonError::into_inner);
                    Arc::clone(projects.entry(region.to_owned()).or_default())
                };
                let project = kept.get(|| async { Ok((self.ask_project(region, credentials).await?, None)) }).await?;
                project.as_ref().clone()
            }
        };
        let is_good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if project.is_empty() || !project.bytes().all(is_good) {
            return Err(ServiceError::Settings("`HUAWEICLOUD_SDK_PROJECT_ID` is not the id of a project".to_owned()));
        }
        Ok(project)
    }

    async fn ask_project(&self, region: &str, credentials: &Credentials) -> Result<String, ServiceError> {
        let base = match &self.settings.iam {
            Some(iam) => iam.clone(),
            None => of_region("iam", region)?,
        };
        let service = format!("Huawei Cloud IAM ({base})");
        let uri = base.join(&format!("/v3/projects?name={}", escape(region)));
        let uri =
            uri.map_err(|error| ServiceError::Settings(format!("no request to {service} can be made: {error}")))?;
        let mut question = Question::get(&service, uri);
        let reply = self.send(&mut question, &base, credentials).await?;
        if reply.status != 200 {
            let asked = Asked { action: "iam:projects:listProjects", key: "the projects of this account" };
            return Err(answer::meaning(&reply, &asked, &service, credentials));
        }
        let found: Option<Projects> = reply.json();
        let found = found.ok_or_else(|| reply.unexpected(&service, "what it sent is not an answer of IAM"))?;
        match &found.projects[..] {
            [project] => Ok(project.id.clone()),
            projects => Err(ServiceError::Settings(format!(
                "{} has {} projects in {region}: set `HUAWEICLOUD_SDK_PROJECT_ID`",
                credentials.principal,
                projects.len()
            ))),
        }
    }
}

impl fmt::Debug for Huawei {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Huawei").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// Where a service is in a region. The one of Europe that is numbered 101 has a domain of its own.
fn of_region(service: &str, region: &str) -> Result<Base, ServiceError> {
    let refuse = || ServiceError::Settings(format!("`{region}` is not a region of Huawei Cloud"));
    let is_good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if region.is_empty() || region.len() > 40 || region.starts_with('-') || !region.bytes().all(is_good) {
        return Err(refuse());
    }
    let domain = if region == "eu-west-101" { "myhuaweicloud.eu" } else { "myhuaweicloud.com" };
    format!("https://{service}.{region}.{domain}").parse().map_err(|_| refuse())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_is_a_part_of_a_host_and_nothing_else() {
        for (region, base) in [
            ("eu-west-101", "https://kms.eu-west-101.myhuaweicloud.eu"),
            ("cn-north-4", "https://kms.cn-north-4.myhuaweicloud.com"),
            ("tr-west-1", "https://kms.tr-west-1.myhuaweicloud.com"),
        ] {
            assert_eq!(of_region("kms", region).unwrap().to_string(), base);
        }
        for region in
            ["", "evil.example/", "a.b", "a@b", "EU-WEST-1", "a:1", "-a", "a\n", "a?", "a#", "é", &"a".repeat(41)]
        {
            assert!(of_region("kms", region).is_err(), "{region:?}");
        }
    }
}
