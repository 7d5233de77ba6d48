//! A store's specification → its client, with credentials read from Secrets, ConfigMaps and service accounts.
//!
//! ```text
//! SecretStore          references name things of its own namespace; one that names another is refused
//! ClusterSecretStore   references name a namespace; without one, that of whoever asks
//! ```
//! Source: external-secrets 2.9.0 `runtime/esutils/resolvers`.

use std::sync::{Arc, Mutex};

use bulla_api::external_secret::StoreKind;
use bulla_api::secret_store::{
    Aws, AwsAuth, CaKind, CaProvider, Fake, Kubernetes, KvVersion, Provider, SecretKeySelector, ServiceAccountSelector,
    Vault, VaultAuth,
};
use bulla_api::{DecodeError, SecretStore};
use bulla_crypto::{SecretBytes, encoding};
use bulla_services::token::Bearer;
use bulla_services::transport::{Authorities, Identity};
use bulla_services::vault::{self as client, Login};
use bulla_services::{self as services, Surroundings, Tried};
use bulla_stores::aws::{Place, SecretsManager};
use bulla_stores::fake::Verdict;
use bulla_stores::vault::{Engine, Version};
use bulla_stores::{FetchError, Remote, Store, kubernetes};
use k8s_openapi::ByteString;
use rand::Rng as _;
use rand::rngs::StdRng;
use tokio::runtime::Handle;

use super::index::{Index, StoreName};
use super::objects::Objects;
use super::pool::locked;
use super::token::{PodToken, ServiceAccountTokens};
use crate::name::ObjectName;
use crate::record::SecretVersion;
use crate::secrets::{ApiError, Secrets};

/// How long a token is valid that is only exchanged for another one, in seconds: the least that the API server gives.
const SHORT: i64 = 600;
/// What sessions of a role are called in AWS' logs, as upstream calls them.
const AWS_SESSION: &str = "external-secrets-provider-aws";
/// Which role a service account takes in AWS.
const AWS_ROLE: &str = "eks.amazonaws.com/role-arn";
/// For whom its tokens are, if not for STS.
const AWS_AUDIENCE: &str = "eks.amazonaws.com/audience";
/// How long a token is valid that is used as it is, in seconds.
const HOUR: i64 = 3600;

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error("{0} does not exist")]
    NoStore(String),
    #[error("{0} is malformed: {1}")]
    Broken(String, DecodeError),
    #[error("{store} asks for something that is not supported: `{field}`")]
    Unsupported { store: String, field: String },
    #[error("{store} may not be used in the namespace `{namespace}`: none of its `spec.conditions` allows it")]
    NotAllowed { store: String, namespace: String },
    #[error("{0} has a condition that cannot be used: {1}")]
    Condition(String, String),
    #[error("its credentials are in the namespaces of those who use it")]
    Referent,
    #[error("`{field}` names the namespace `{namespace}`, and a SecretStore may only use its own")]
    OtherNamespace { field: String, namespace: String },
    #[error("`{field}`: there is no {kind} `{object}`")]
    NoObject { field: String, kind: &'static str, object: ObjectName },
    #[error("`{field}`: the {kind} `{object}` has no key `{key}`")]
    NoKey { field: String, kind: &'static str, object: ObjectName, key: String },
    #[error("`{field}`: {reason}")]
    Invalid { field: String, reason: String },
    #[error(transparent)]
    Store(FetchError),
    #[error("{0}")]
    Api(ApiError),
}

impl OpenError {
    /// One word for programs.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::NoStore(_) => "StoreNotFound",
            Self::Unsupported { .. } => "Unsupported",
            Self::NotAllowed { .. } => "StoreNotAllowed",
            Self::NoObject { .. } | Self::NoKey { .. } => "CredentialsMissing",
            Self::Broken(..) | Self::Condition(..) | Self::OtherNamespace { .. } | Self::Invalid { .. } => {
                "InvalidStore"
            }
            Self::Referent => "ValidationUnknown",
            Self::Store(error) => error.reason(),
            Self::Api(_) => "ApiServerFailed",
        }
    }

    /// Whether trying again may help though nobody changed anything.
    pub(crate) fn is_transient(&self) -> bool {
        matches!(self, Self::Api(_))
    }
}

/// A store that is being opened.
pub(crate) struct Opening<'a> {
    name: &'a StoreName,
    namespace: &'a str,
    index: &'a Mutex<Index>,
    objects: &'a Objects,
    secrets: &'a Secrets,
    /// The Secrets that were needed, in the versions that were known before they were read: a change in between is then noticed as one.
    pub(crate) used: Vec<(ObjectName, Option<SecretVersion>)>,
    /// Whether something was taken from the namespace of whoever asks.
    pub(crate) referent: bool,
    /// Where AWS is asked, if not where the store's region is.
    pub(crate) aws_endpoint: Option<String>,
}

impl<'a> Opening<'a> {
    /// Begins to open `name` on behalf of an object in `namespace`.
    pub(crate) fn new(
        name: &'a StoreName,
        namespace: &'a str,
        index: &'a Mutex<Index>,
        objects: &'a Objects,
        secrets: &'a Secrets,
    ) -> Self {
        Self { name, namespace, index, objects, secrets, used: Vec::new(), referent: false, aws_endpoint: None }
    }

    /// The client of `store`.
    pub(crate) async fn open(&mut self, store: &SecretStore) -> Result<Arc<dyn Store>, OpenError> {
        match &store.spec.provider {
            Provider::Fake(fake) => Ok(fake_store(fake)),
            Provider::Vault(vault) => self.vault(vault).await,
            Provider::Kubernetes(kubernetes) => self.kubernetes(kubernetes).await,
            Provider::Aws(aws) => self.aws(aws).await,
            Provider::Unsupported(name) => {
                Err(OpenError::Unsupported { store: self.name.to_string(), field: format!("spec.provider.{name}") })
            }
        }
    }

    async fn vault(&mut self, vault: &Vault) -> Result<Arc<dyn Store>, OpenError> {
        const FIELD: &str = "spec.provider.vault";
        let login = self.vault_login(vault.auth.as_ref()).await?;
        let authorities = self.authorities(FIELD, vault.ca_bundle.as_ref(), vault.ca_provider.as_ref()).await?;
        let settings = client::Settings {
            namespace: vault.namespace.clone(),
            login_namespace: vault.auth.as_ref().and_then(|auth| auth.namespace.clone()),
            authorities,
            limits: bulla_stores::LIMITS,
            ..client::Settings::new(login)
        };
        let engine = Engine {
            mount: vault.path.clone(),
            version: match vault.version {
                KvVersion::V1 => Version::One,
                KvVersion::V2 => Version::Two,
            },
        };
        let store = bulla_stores::vault::Vault::new(&vault.server, engine, settings, surroundings());
        store.map(|store| Arc::new(store) as Arc<dyn Store>).map_err(OpenError::Store)
    }

    async fn kubernetes(&mut self, kubernetes: &Kubernetes) -> Result<Arc<dyn Store>, OpenError> {
        const FIELD: &str = "spec.provider.kubernetes";
        let auth = &kubernetes.auth;
        let login = match (&auth.cert, &auth.token, &auth.service_account) {
            (Some(cert), None, None) => {
                let field = format!("{FIELD}.auth.cert");
                let certificates = self.secret_key(&format!("{field}.clientCert"), &cert.client_cert).await?;
                let key = self.secret_key(&format!("{field}.clientKey"), &cert.client_key).await?;
                let certificates = certificates.expose_secret().to_vec();
                kubernetes::Login::Certificate(Identity { certificates, key, place: field })
            }
            (None, Some(token), None) => {
                let token = self.secret_key(&format!("{FIELD}.auth.token.bearerToken"), &token.bearer_token).await?;
                kubernetes::Login::Bearer(token.into())
            }
            (None, None, Some(account)) => {
                let field = format!("{FIELD}.auth.serviceAccount");
                kubernetes::Login::Bearer(self.service_account(&field, account, account.audiences.clone(), HOUR)?)
            }
            _ => {
                let reason = "exactly one of `cert`, `token` and `serviceAccount` has to be there".to_owned();
                return Err(OpenError::Invalid { field: format!("{FIELD}.auth"), reason });
            }
        };
        let server = &kubernetes.server;
        let settings = kubernetes::Settings {
            server: server.url.clone().unwrap_or_else(|| "kubernetes.default".to_owned()),
            authorities: self
                .authorities(&format!("{FIELD}.server"), server.ca_bundle.as_ref(), server.ca_provider.as_ref())
                .await?,
            login,
            namespace: kubernetes.remote_namespace.clone().unwrap_or_else(|| "default".to_owned()),
        };
        let store = kubernetes::Kubernetes::new(settings, surroundings());
        store.map(|store| Arc::new(store) as Arc<dyn Store>).map_err(OpenError::Store)
    }

    async fn aws(&mut self, aws: &Aws) -> Result<Arc<dyn Store>, OpenError> {
        let filled = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        let login = self.aws_login(&aws.auth).await?;
        let settings = services::aws::Settings {
            external_id: filled(&aws.external_id),
            endpoint: self.aws_endpoint.clone(),
            limits: bulla_stores::aws::LIMITS,
            ..services::aws::Settings::new(login, AWS_SESSION.to_owned())
        };
        let place = Place { region: aws.region.clone(), role: filled(&aws.role), prefix: aws.prefix.clone() };
        let store = SecretsManager::new(place, settings, surroundings());
        store.map(|store| Arc::new(store) as Arc<dyn Store>).map_err(OpenError::Store)
    }

    /// A service account with a role, else an access key, else what the pod has.
    async fn aws_login(&mut self, auth: &AwsAuth) -> Result<services::aws::Login, OpenError> {
        const FIELD: &str = "spec.provider.aws.auth";
        if let Some(selector) = auth.jwt.as_ref().and_then(|jwt| jwt.service_account_ref.as_ref()) {
            let field = format!("{FIELD}.jwt.serviceAccountRef");
            let account = self.place(&field, &selector.name, selector.namespace.as_deref())?;
            let metadata = self.objects.service_account(&account).await.map_err(OpenError::Api)?;
            let Some(metadata) = metadata else {
                return Err(OpenError::NoObject { field, kind: "ServiceAccount", object: account });
            };
            let annotation = |name: &str| metadata.annotations.as_ref().and_then(|all| all.get(name)).cloned();
            let Some(role) = annotation(AWS_ROLE) else {
                let reason = format!("the service account `{account}` has no annotation `{AWS_ROLE}`");
                return Err(OpenError::Invalid { field, reason });
            };
            let mut audiences = vec![annotation(AWS_AUDIENCE).unwrap_or_else(|| "sts.amazonaws.com".to_owned())];
            audiences.extend(selector.audiences.iter().cloned());
            let tokens = ServiceAccountTokens::new(self.objects.clone(), account, audiences, SHORT);
            return Ok(services::aws::Login::WebIdentity { role, tokens: Arc::new(tokens) });
        }
        if let Some(keys) = &auth.secret_ref {
            let field = format!("{FIELD}.secretRef.accessKeyIDSecretRef");
            let id = self.secret_key(&field, &keys.access_key_id).await?;
            let id = String::from_utf8(id.expose_secret().to_vec());
            let id = id.map_err(|_| OpenError::Invalid { field, reason: "it is not text".to_owned() })?;
            let field = format!("{FIELD}.secretRef.secretAccessKeySecretRef");
            let secret = self.secret_key(&field, &keys.secret_access_key).await?;
            let session_token = match &keys.session_token {
                Some(selector) => {
                    Some(self.secret_key(&format!("{FIELD}.secretRef.sessionTokenSecretRef"), selector).await?)
                }
                None => None,
            };
            let place = format!("the Secret `{}`", keys.secret_access_key.name);
            return Ok(services::aws::Login::Key { id, secret, session_token, place });
        }
        Ok(services::aws::Login::Environment {
            principal: "what the controller's pod has for AWS".to_owned(),
            tried: ["environment", "web identity", "container", "instance"]
                .map(|place| Tried { place: place.to_owned(), outcome: "no credentials".to_owned() })
                .into(),
        })
    }

    async fn vault_login(&mut self, auth: Option<&VaultAuth>) -> Result<Login, OpenError> {
        const FIELD: &str = "spec.provider.vault.auth";
        let Some(auth) = auth else { return Ok(Login::Anonymous) };
        if let Some(selector) = &auth.token_secret_ref {
            let token = self.secret_key(&format!("{FIELD}.tokenSecretRef"), selector).await?;
            let place = format!("the token in the Secret `{}`", selector.name);
            return Ok(Login::Token { token, place });
        }
        if let Some(role) = &auth.app_role {
            let role_id = match (&role.role_id, &role.role_ref) {
                (Some(id), _) => id.clone(),
                (None, Some(selector)) => {
                    let field = format!("{FIELD}.appRole.roleRef");
                    let id = self.secret_key(&field, selector).await?;
                    let text = String::from_utf8(id.expose_secret().to_vec());
                    text.map_err(|_| OpenError::Invalid { field, reason: "it is not text".to_owned() })?
                }
                (None, None) => {
                    let reason = "neither `roleId` nor `roleRef` is there".to_owned();
                    return Err(OpenError::Invalid { field: format!("{FIELD}.appRole"), reason });
                }
            };
            let secret_id = self.secret_key(&format!("{FIELD}.appRole.secretRef"), &role.secret_ref).await?;
            return Ok(Login::AppRole { mount: mount(role.path.as_ref(), "approle"), role_id, secret_id });
        }
        if let Some(method) = &auth.kubernetes {
            let service_account = match (&method.service_account_ref, &method.secret_ref) {
                (Some(account), _) => {
                    let field = format!("{FIELD}.kubernetes.serviceAccountRef");
                    self.service_account(&field, account, account.audiences.clone(), SHORT)?
                }
                (None, Some(selector)) => {
                    let mut selector = selector.clone();
                    if selector.key.is_empty() {
                        "token".clone_into(&mut selector.key);
                    }
                    let token = self.secret_key(&format!("{FIELD}.kubernetes.secretRef"), &selector).await?;
                    Bearer::Fixed(Arc::new(token))
                }
                (None, None) => Bearer::Source(Arc::new(PodToken::new())),
            };
            let mount = mount(method.mount_path.as_ref(), "kubernetes");
            return Ok(Login::Kubernetes { mount, role: method.role.clone(), service_account });
        }
        if let Some(method) = &auth.jwt {
            let token = match (&method.secret_ref, &method.kubernetes_service_account_token) {
                (Some(selector), _) => {
                    Bearer::Fixed(Arc::new(self.secret_key(&format!("{FIELD}.jwt.secretRef"), selector).await?))
                }
                (None, Some(token)) => {
                    let mut audiences = token.audiences.clone();
                    if audiences.is_empty() {
                        audiences.push("vault".to_owned());
                    }
                    let account = &token.service_account_ref;
                    audiences.extend(account.audiences.iter().cloned());
                    let field = format!("{FIELD}.jwt.kubernetesServiceAccountToken.serviceAccountRef");
                    self.service_account(&field, account, audiences, token.expiration_seconds.unwrap_or(SHORT))?
                }
                (None, None) => {
                    let reason = "neither `secretRef` nor `kubernetesServiceAccountToken` is there".to_owned();
                    return Err(OpenError::Invalid { field: format!("{FIELD}.jwt"), reason });
                }
            };
            return Ok(Login::Jwt { mount: mount(method.path.as_ref(), "jwt"), role: method.role.clone(), token });
        }
        Ok(Login::Anonymous)
    }

    /// The tokens of a service account.
    fn service_account(
        &mut self,
        field: &str,
        selector: &ServiceAccountSelector,
        audiences: Vec<String>,
        seconds: i64,
    ) -> Result<Bearer, OpenError> {
        let account = self.place(field, &selector.name, selector.namespace.as_deref())?;
        let tokens = ServiceAccountTokens::new(self.objects.clone(), account, audiences, seconds);
        Ok(Bearer::Source(Arc::new(tokens)))
    }

    /// Where something that `field` names lies.
    fn place(&mut self, field: &str, name: &str, namespace: Option<&str>) -> Result<ObjectName, OpenError> {
        let namespace = match (self.name.kind, namespace) {
            (StoreKind::Namespaced, None) => self.name.name.namespace.clone(),
            (StoreKind::Namespaced, Some(namespace)) if namespace == self.name.name.namespace => namespace.to_owned(),
            (StoreKind::Namespaced, Some(namespace)) => {
                return Err(OpenError::OtherNamespace { field: field.to_owned(), namespace: namespace.to_owned() });
            }
            (StoreKind::Cluster, Some(namespace)) => namespace.to_owned(),
            (StoreKind::Cluster, None) if self.namespace.is_empty() => return Err(OpenError::Referent),
            (StoreKind::Cluster, None) => {
                self.referent = true;
                self.namespace.to_owned()
            }
        };
        Ok(ObjectName { namespace, name: name.to_owned() })
    }

    /// A key of a Secret.
    async fn secret_key(&mut self, field: &str, selector: &SecretKeySelector) -> Result<SecretBytes, OpenError> {
        let object = self.place(field, &selector.name, selector.namespace.as_deref())?;
        self.used.push((object.clone(), locked(self.index).secret(&object)));
        let secret = self.secrets.get(&object).await.map_err(OpenError::Api)?;
        let Some(secret) = secret else {
            return Err(OpenError::NoObject { field: field.to_owned(), kind: "Secret", object });
        };
        let value = secret.expose_secret().data.as_ref().and_then(|data| data.get(&selector.key));
        let Some(ByteString(value)) = value else {
            return Err(OpenError::NoKey {
                field: field.to_owned(),
                kind: "Secret",
                object,
                key: selector.key.clone(),
            });
        };
        // As upstream: a line break at the end is never part of a token.
        let end = value.trim_ascii_end().len();
        Ok(SecretBytes::new(value[..end].to_vec()))
    }

    /// Certificates of authorities, in PEM.
    async fn authorities(
        &mut self,
        field: &str,
        bundle: Option<&String>,
        provider: Option<&CaProvider>,
    ) -> Result<Option<Authorities>, OpenError> {
        if let Some(bundle) = bundle {
            let place = format!("{field}.caBundle");
            return match encoding::decode_go(bundle.as_bytes()) {
                Ok(pem) => Ok(Some(Authorities { pem, place })),
                Err(error) => Err(OpenError::Invalid { field: place, reason: error.to_string() }),
            };
        }
        let Some(provider) = provider else { return Ok(None) };
        let field = format!("{field}.caProvider");
        if self.name.kind == StoreKind::Cluster && provider.namespace.is_none() {
            let reason = "a ClusterSecretStore has to name the namespace".to_owned();
            return Err(OpenError::Invalid { field, reason });
        }
        match provider.kind {
            CaKind::Secret => {
                let selector = SecretKeySelector {
                    name: provider.name.clone(),
                    key: provider.key.clone(),
                    namespace: provider.namespace.clone(),
                };
                let pem = self.secret_key(&field, &selector).await?;
                Ok(Some(Authorities { pem: pem.expose_secret().to_vec(), place: field }))
            }
            CaKind::ConfigMap => {
                let object = self.place(&field, &provider.name, provider.namespace.as_deref())?;
                let found = self.objects.config_map(&object, &provider.key).await.map_err(OpenError::Api)?;
                let key = provider.key.clone();
                match found {
                    Some(pem) => Ok(Some(Authorities { pem, place: field })),
                    None => Err(OpenError::NoKey { field, kind: "ConfigMap", object, key }),
                }
            }
        }
    }
}

/// Where a method of Vault is mounted.
fn mount(path: Option<&String>, usual: &str) -> String {
    path.map_or(usual, |path| path.trim_matches('/')).to_owned()
}

/// What clients need of the outside.
fn surroundings() -> Surroundings {
    Surroundings::new(|| Handle::try_current().map_err(std::io::Error::other), || rand::make_rng::<StdRng>().next_u32())
}

fn fake_store(fake: &Fake) -> Arc<dyn Store> {
    let items = fake.data.iter().map(|item| {
        let remote = Remote::version(item.key.clone(), item.version.clone());
        (remote, SecretBytes::new(item.value.clone().into_bytes()))
    });
    let verdict = match fake.validation_result {
        0 => Verdict::Ready,
        1 => Verdict::Unknown,
        _ => Verdict::Error,
    };
    Arc::new(bulla_stores::fake::Fake::new(items, verdict))
}
