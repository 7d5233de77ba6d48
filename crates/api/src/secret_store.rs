//! `SecretStore` and `ClusterSecretStore`: where ExternalSecrets take their values from, and with whose credentials.
//!
//! Source: external-secrets 2.9.0 `apis/externalsecrets/v1`. A provider that is not here, and a field of one that is, is kept by the API
//! server and named by [`SecretStore::decode`]. Invariant: credentials are references to Secrets, never values; the values of a fake store
//! are for tests.

mod decode;

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use schemars::JsonSchema;
use serde::Serialize;

use crate::external_secret::{Condition, StoreKind};

/// Name of the resource of stores in URLs.
pub const PLURAL: &str = "secretstores";
/// Name of the resource of cluster stores in URLs.
pub const CLUSTER_PLURAL: &str = "clustersecretstores";

/// A store of either kind.
#[derive(Clone, Debug, PartialEq)]
pub struct SecretStore {
    /// Which of the two.
    pub kind: StoreKind,
    /// Standard metadata.
    pub metadata: ObjectMeta,
    /// The store.
    pub spec: SecretStoreSpec,
    /// What the controller found; empty before it came by.
    pub status: SecretStoreStatus,
    /// Paths of fields that say something and are not supported, `spec.provider.gcpsm` for example.
    pub unsupported: Vec<String>,
}

/// Where values come from.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretStoreSpec {
    /// The controller that is to look after this store and its ExternalSecrets; any if absent.
    #[schemars(default)]
    pub controller: String,
    /// The one provider.
    #[schemars(with = "Providers")]
    pub provider: Provider,
    /// In a ClusterSecretStore: the namespaces that may use it. All if there is no condition; one that fits suffices.
    #[schemars(default)]
    pub conditions: Vec<NamespaceCondition>,
    /// How often the store is looked at, in seconds or as `5m`.
    #[schemars(skip)]
    pub refresh_interval: Option<std::time::Duration>,
}

/// Namespaces that may use a cluster store. One of the three has to fit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NamespaceCondition {
    /// Labels of the namespace.
    #[schemars(with = "Selector", default)]
    pub namespace_selector: Option<LabelSelector>,
    /// Its name.
    #[schemars(default)]
    pub namespaces: Vec<String>,
    /// A regular expression that its name, or a part of it, matches.
    #[schemars(default)]
    pub namespace_regexes: Vec<String>,
}

/// What the API server checks of a label selector.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Selector {
    /// Labels with these values.
    #[schemars(default)]
    match_labels: std::collections::BTreeMap<String, String>,
    /// Requirements that all have to be met.
    #[schemars(default)]
    match_expressions: Vec<Requirement>,
}

/// A requirement of a label selector.
#[derive(Serialize, JsonSchema)]
struct Requirement {
    /// The label.
    key: String,
    /// `In`, `NotIn`, `Exists` or `DoesNotExist`.
    operator: String,
    /// Values, for the first two.
    #[schemars(default)]
    values: Vec<String>,
}

/// The provider of a store.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum Provider {
    /// `aws`
    Aws(Box<Aws>),
    /// `vault`
    Vault(Box<Vault>),
    /// `kubernetes`
    Kubernetes(Box<Kubernetes>),
    /// `fake`
    Fake(Fake),
    /// Another one, by its name.
    Unsupported(String),
}

/// The provider: exactly one of these.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct Providers {
    /// AWS Secrets Manager.
    #[schemars(with = "Aws", default)]
    pub aws: Option<Aws>,
    /// HashiCorp Vault or OpenBao, KV engine of version 2 or 1.
    #[schemars(with = "Vault", default)]
    pub vault: Option<Vault>,
    /// Secrets of a Kubernetes cluster, this one or another.
    #[schemars(with = "Kubernetes", default)]
    pub kubernetes: Option<Kubernetes>,
    /// Values that stand in the store itself, for tests.
    #[schemars(with = "Fake", default)]
    pub fake: Option<Fake>,
}

/// A key of a Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SecretKeySelector {
    /// Name of the Secret.
    #[schemars(default)]
    pub name: String,
    /// Its key.
    #[schemars(default)]
    pub key: String,
    /// Its namespace. In a SecretStore that of the store; absent in a ClusterSecretStore: that of the ExternalSecret.
    #[schemars(with = "String", default)]
    pub namespace: Option<String>,
}

/// A service account, whose token is asked for when it is needed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ServiceAccountSelector {
    /// Its name.
    pub name: String,
    /// Its namespace. In a SecretStore that of the store; absent in a ClusterSecretStore: that of the ExternalSecret.
    #[schemars(with = "String", default)]
    pub namespace: Option<String>,
    /// Whom the token is for, beside those that the provider asks for.
    #[schemars(default)]
    pub audiences: Vec<String>,
}

/// Certificates of authorities in a Secret or a ConfigMap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CaProvider {
    /// `Secret` or `ConfigMap`.
    #[serde(rename = "type")]
    #[schemars(with = "String", extend("enum" = ["Secret", "ConfigMap"]))]
    pub kind: CaKind,
    /// Its name.
    pub name: String,
    /// Its key.
    #[schemars(default)]
    pub key: String,
    /// Its namespace, for a ClusterSecretStore.
    #[schemars(with = "String", default)]
    pub namespace: Option<String>,
}

/// Where certificates lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum CaKind {
    /// In a Secret.
    Secret,
    /// In a ConfigMap.
    ConfigMap,
}

/// Amazon Web Services.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Aws {
    /// The service: `SecretsManager`.
    pub service: String,
    /// The region.
    pub region: String,
    /// A role that is assumed.
    #[schemars(default)]
    pub role: String,
    /// The external id with which it is assumed.
    #[serde(rename = "externalID")]
    #[schemars(default)]
    pub external_id: String,
    /// What the key of every reference is prefixed with.
    #[schemars(default)]
    pub prefix: String,
    /// Whose credentials; those of the controller's environment if absent.
    #[schemars(default)]
    pub auth: AwsAuth,
}

/// Credentials for AWS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AwsAuth {
    /// A service account with a role (IRSA).
    #[schemars(with = "AwsJwt", default)]
    pub jwt: Option<AwsJwt>,
    /// Access keys in Secrets.
    #[schemars(with = "AwsSecretRef", default)]
    pub secret_ref: Option<AwsSecretRef>,
}

/// A service account with a role.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AwsJwt {
    /// The service account, annotated with `eks.amazonaws.com/role-arn`; the controller's environment if absent.
    #[schemars(with = "ServiceAccountSelector", default)]
    pub service_account_ref: Option<ServiceAccountSelector>,
}

/// Access keys in Secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AwsSecretRef {
    /// The id of the access key.
    #[serde(rename = "accessKeyIDSecretRef")]
    #[schemars(default)]
    pub access_key_id: SecretKeySelector,
    /// The access key.
    #[serde(rename = "secretAccessKeySecretRef")]
    #[schemars(default)]
    pub secret_access_key: SecretKeySelector,
    /// The token of a session.
    #[serde(rename = "sessionTokenSecretRef")]
    #[schemars(with = "SecretKeySelector", default)]
    pub session_token: Option<SecretKeySelector>,
}

/// HashiCorp Vault or OpenBao.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Vault {
    /// Its address.
    pub server: String,
    /// Where the KV engine is mounted; keys begin with it if absent.
    #[schemars(with = "String", default)]
    pub path: Option<String>,
    /// Version of the engine: `v2` (the default) or `v1`.
    #[schemars(with = "String", default, extend("enum" = ["v1", "v2"]))]
    pub version: KvVersion,
    /// Namespace of Vault Enterprise.
    #[schemars(with = "String", default)]
    pub namespace: Option<String>,
    /// Certificates of the authorities that are trusted, PEM in base64.
    #[schemars(with = "String", default, extend("format" = "byte"))]
    pub ca_bundle: Option<String>,
    /// Where such certificates lie.
    #[schemars(with = "CaProvider", default)]
    pub ca_provider: Option<CaProvider>,
    /// Whose credentials; none, behind an agent that adds them, if absent.
    #[schemars(with = "VaultAuth", default)]
    pub auth: Option<VaultAuth>,
}

/// Versions of the KV engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum KvVersion {
    /// `v1`
    V1,
    /// `v2`
    #[default]
    V2,
}

/// Credentials for Vault: the first of these that is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VaultAuth {
    /// The namespace in which to log in, if it is not that of the keys.
    #[schemars(with = "String", default)]
    pub namespace: Option<String>,
    /// A token.
    #[schemars(with = "SecretKeySelector", default)]
    pub token_secret_ref: Option<SecretKeySelector>,
    /// A role id and a secret id.
    #[schemars(with = "VaultAppRole", default)]
    pub app_role: Option<VaultAppRole>,
    /// The token of a service account.
    #[schemars(with = "VaultKubernetes", default)]
    pub kubernetes: Option<VaultKubernetes>,
    /// A token of another issuer.
    #[schemars(with = "VaultJwt", default)]
    pub jwt: Option<VaultJwt>,
}

/// AppRole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VaultAppRole {
    /// Where the method is mounted, `approle` if absent.
    #[schemars(with = "String", default)]
    pub path: Option<String>,
    /// The role id.
    #[schemars(with = "String", default)]
    pub role_id: Option<String>,
    /// Where the role id lies.
    #[schemars(with = "SecretKeySelector", default)]
    pub role_ref: Option<SecretKeySelector>,
    /// Where the secret id lies.
    pub secret_ref: SecretKeySelector,
}

/// The Kubernetes method.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VaultKubernetes {
    /// Where the method is mounted, `kubernetes` if absent.
    #[schemars(with = "String", default)]
    pub mount_path: Option<String>,
    /// The role in Vault.
    pub role: String,
    /// Whose token; that of the controller's pod if this and `secretRef` are absent.
    #[schemars(with = "ServiceAccountSelector", default)]
    pub service_account_ref: Option<ServiceAccountSelector>,
    /// Where a token lies; its key is `token` if absent.
    #[schemars(with = "SecretKeySelector", default)]
    pub secret_ref: Option<SecretKeySelector>,
}

/// The JWT method.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VaultJwt {
    /// Where the method is mounted, `jwt` if absent.
    #[schemars(with = "String", default)]
    pub path: Option<String>,
    /// The role in Vault.
    #[schemars(with = "String", default)]
    pub role: Option<String>,
    /// Where a token lies.
    #[schemars(with = "SecretKeySelector", default)]
    pub secret_ref: Option<SecretKeySelector>,
    /// Whose token.
    #[schemars(with = "VaultServiceAccountToken", default)]
    pub kubernetes_service_account_token: Option<VaultServiceAccountToken>,
}

/// The token of a service account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VaultServiceAccountToken {
    /// The service account.
    pub service_account_ref: ServiceAccountSelector,
    /// Whom the token is for, `vault` if absent.
    #[schemars(default)]
    pub audiences: Vec<String>,
    /// How long it is valid, in seconds.
    #[schemars(with = "i64", default)]
    pub expiration_seconds: Option<i64>,
}

/// Secrets of a Kubernetes cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Kubernetes {
    /// The API server.
    #[schemars(default)]
    pub server: KubernetesServer,
    /// Whose credentials: exactly one of these.
    #[schemars(default)]
    pub auth: KubernetesAuth,
    /// The namespace of the Secrets, `default` if absent.
    #[schemars(with = "String", default)]
    pub remote_namespace: Option<String>,
}

/// An API server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KubernetesServer {
    /// Its address, `kubernetes.default` if absent.
    #[schemars(with = "String", default)]
    pub url: Option<String>,
    /// Certificates of its authorities, PEM in base64.
    #[schemars(with = "String", default, extend("format" = "byte"))]
    pub ca_bundle: Option<String>,
    /// Where such certificates lie.
    #[schemars(with = "CaProvider", default)]
    pub ca_provider: Option<CaProvider>,
}

/// Credentials for an API server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KubernetesAuth {
    /// A certificate and its key.
    #[schemars(with = "KubernetesCertificate", default)]
    pub cert: Option<KubernetesCertificate>,
    /// A token.
    #[schemars(with = "KubernetesToken", default)]
    pub token: Option<KubernetesToken>,
    /// A service account of this cluster.
    #[schemars(with = "ServiceAccountSelector", default)]
    pub service_account: Option<ServiceAccountSelector>,
}

/// A certificate and its key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KubernetesCertificate {
    /// Where the certificate lies.
    #[schemars(default)]
    pub client_cert: SecretKeySelector,
    /// Where its key lies.
    #[schemars(default)]
    pub client_key: SecretKeySelector,
}

/// A token.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KubernetesToken {
    /// Where it lies.
    #[schemars(default)]
    pub bearer_token: SecretKeySelector,
}

/// Values that stand in the store itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Fake {
    /// The values.
    pub data: Vec<FakeItem>,
    /// What the store says when it is looked at: `0` ready, `1` unknown, `2` an error.
    #[schemars(with = "i32", default)]
    pub validation_result: u8,
}

/// One value of a fake store.
#[derive(Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FakeItem {
    /// What the store calls it.
    pub key: String,
    /// What it is.
    #[schemars(default)]
    pub value: String,
    /// Its version.
    #[schemars(default)]
    pub version: String,
}

impl fmt::Debug for FakeItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeItem").field("key", &self.key).field("version", &self.version).finish_non_exhaustive()
    }
}

/// What was found of a store.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretStoreStatus {
    /// Observations of the current state.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    pub conditions: Vec<Condition>,
    /// `ReadOnly`, `WriteOnly` or `ReadWrite`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", default)]
    pub capabilities: Option<String>,
    /// `metadata.generation` of the specification that the conditions speak of.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64", default)]
    pub observed_generation: Option<i64>,
}

impl SecretStore {
    /// `metadata.name`, empty if absent.
    pub fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }
}

impl Provider {
    /// Its name in a manifest.
    pub fn name(&self) -> &str {
        match self {
            Self::Aws(_) => "aws",
            Self::Vault(_) => "vault",
            Self::Kubernetes(_) => "kubernetes",
            Self::Fake(_) => "fake",
            Self::Unsupported(name) => name,
        }
    }
}

impl SecretStoreStatus {
    /// The condition of this type.
    pub fn condition(&self, kind: &str) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.kind == kind)
    }
}
