//! `ExternalSecret`: which values of an external store become which Secret. It holds references only, so it may lie in Git.
//!
//! Source: external-secrets 2.9.0 `apis/externalsecrets/v1`. Both served versions, `v1` and `v1beta1`, have this one shape. What the
//! upstream CRD has and this program does not do yet is kept by the API server and named by [`ExternalSecret::decode`], never passed
//! over. Invariant: no value of a store is in these types; a template may hold whatever its author wrote into it.

mod decode;

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use schemars::JsonSchema;
use serde::Serialize;

use crate::ConditionStatus;

pub(crate) use decode::conditions_of;

/// API group of the kinds of External Secrets.
pub const GROUP: &str = "external-secrets.io";
/// The version that is stored.
pub const VERSION: &str = "v1";
/// The older version of the same shape, served as well.
pub const OLD_VERSION: &str = "v1beta1";
/// `apiVersion` as manifests write it.
pub const API_VERSION: &str = "external-secrets.io/v1";
/// `kind` as manifests write it.
pub const KIND: &str = "ExternalSecret";
/// Name of the resource in URLs.
pub const PLURAL: &str = "externalsecrets";

/// Finalizer that upstream puts on every ExternalSecret.
pub const FINALIZER: &str = "externalsecrets.external-secrets.io/externalsecret-cleanup";
/// Label of a Secret that is made of an ExternalSecret; `true`.
pub const MANAGED_LABEL: &str = "reconcile.external-secrets.io/managed";
/// Label of such a Secret with the digest of the ExternalSecret's name, under `creationPolicy: Owner`.
pub const CREATED_BY_LABEL: &str = "reconcile.external-secrets.io/created-by";
/// Annotation of such a Secret with a digest of its data.
pub const DATA_HASH_ANNOTATION: &str = "reconcile.external-secrets.io/data-hash";

/// The values of external stores that become one Secret.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExternalSecret {
    /// Standard metadata.
    pub metadata: ObjectMeta,
    /// What is fetched, and the Secret that it becomes.
    pub spec: ExternalSecretSpec,
    /// What the controller made of it; empty before it came by.
    pub status: ExternalSecretStatus,
    /// Paths of fields that say something and are not supported, `spec.dataFrom[0].find` for example.
    pub unsupported: Vec<String>,
}

/// What is fetched from where, and the Secret that it becomes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExternalSecretSpec {
    /// The store that is asked wherever no other is named.
    #[schemars(with = "StoreReference", default)]
    pub secret_store_ref: Option<StoreReference>,
    /// The Secret that is made.
    #[schemars(default)]
    pub target: Target,
    /// When values are fetched again: `Periodic` (the default) after `refreshInterval` and whenever this object changes, `OnChange` only
    /// when it changes, `CreatedOnce` never.
    #[schemars(with = "String", default, extend("enum" = ["CreatedOnce", "Periodic", "OnChange"]))]
    pub refresh_policy: RefreshPolicy,
    /// How long values count as fresh, as `1h` or `5m30s`; zero fetches them once.
    #[schemars(with = "String", default)]
    pub refresh_interval: Interval,
    /// One key of the Secret each.
    #[schemars(default)]
    pub data: Vec<DataItem>,
    /// Several keys of the Secret each. Of equal keys the later one counts, and those of `data` before all of these.
    #[schemars(default)]
    pub data_from: Vec<DataFrom>,
}

/// A store of a namespace or of the whole cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct StoreReference {
    /// Its name.
    #[schemars(default, length(min = 1, max = 253))]
    pub name: String,
    /// `SecretStore` (the default), in the namespace of this object, or `ClusterSecretStore`.
    #[schemars(with = "String", default, extend("enum" = ["SecretStore", "ClusterSecretStore"]))]
    pub kind: StoreKind,
}

/// The two kinds of stores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub enum StoreKind {
    /// `SecretStore`, of one namespace.
    #[default]
    #[serde(rename = "SecretStore")]
    Namespaced,
    /// `ClusterSecretStore`, for all namespaces.
    #[serde(rename = "ClusterSecretStore")]
    Cluster,
}

/// When values are fetched again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum RefreshPolicy {
    /// After the interval, and when the object changes.
    #[default]
    Periodic,
    /// When the object changes.
    OnChange,
    /// Never again.
    CreatedOnce,
}

/// A duration as Go writes it, in nanoseconds. Not above zero: once and never again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Interval(pub i64);

/// The Secret that is made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// Its name, that of this object if absent.
    #[schemars(
        with = "String",
        default,
        length(min = 1, max = 253),
        pattern("^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
    )]
    pub name: Option<String>,
    /// `Owner`: made, owned and gone with this object. `Orphan`: made and left. `Merge`: an existing one is added to. `CreateOrMerge`: made
    /// or added to. `None`: nothing is written.
    #[schemars(with = "String", default, extend("enum" = ["Owner", "Orphan", "Merge", "None", "CreateOrMerge"]))]
    pub creation_policy: CreationPolicy,
    /// What happens when the store has a value no more. `Retain`: the Secret stays as it is. `Delete`: the key goes, and the Secret with its
    /// last one. `Merge`: the key goes, the Secret stays.
    #[schemars(with = "String", default, extend("enum" = ["Delete", "Merge", "Retain"]))]
    pub deletion_policy: DeletionPolicy,
    /// Whether the Secret is made immutable.
    #[schemars(default)]
    pub immutable: bool,
    /// Its shape, and values composed by template.
    #[schemars(with = "Template", default)]
    pub template: Option<Template>,
}

/// What is done to the Secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum CreationPolicy {
    /// Made, overwritten, owned.
    #[default]
    Owner,
    /// Made, overwritten, not owned.
    Orphan,
    /// Added to if it exists.
    Merge,
    /// Not touched.
    None,
    /// Made, or added to.
    CreateOrMerge,
}

/// What follows when a store has a value no more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum DeletionPolicy {
    /// An error; the Secret stays as it is.
    #[default]
    Retain,
    /// The key goes, and the Secret with its last one.
    Delete,
    /// The key goes.
    Merge,
}

/// The shape of the Secret.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Template {
    /// Type of the Secret.
    #[serde(rename = "type")]
    #[schemars(with = "String", default)]
    pub kind: Option<String>,
    /// The engine: only `v2`.
    #[schemars(with = "String", default, extend("enum" = ["v2"]))]
    pub engine_version: Option<String>,
    /// `Replace` (the default): what was fetched is at hand for templates and gets into the Secret only through them. `Merge`: it gets there
    /// as well.
    #[schemars(with = "String", default, extend("enum" = ["Replace", "Merge"]))]
    pub merge_policy: MergePolicy,
    /// Metadata of the Secret, instead of labels and annotations of this object.
    #[schemars(default)]
    pub metadata: TemplateMetadata,
    /// Go templates over what was fetched, one for each key.
    #[schemars(default)]
    pub data: BTreeMap<String, String>,
}

/// Whether what was fetched gets into the Secret beside what templates make of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum MergePolicy {
    /// It does not.
    #[default]
    Replace,
    /// It does.
    Merge,
}

/// Metadata of the Secret.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct TemplateMetadata {
    /// Labels; their values are templates.
    #[schemars(default)]
    pub labels: BTreeMap<String, String>,
    /// Annotations; their values are templates.
    #[schemars(default)]
    pub annotations: BTreeMap<String, String>,
    /// Finalizers.
    #[schemars(default)]
    pub finalizers: Vec<String>,
}

/// One key of the Secret.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DataItem {
    /// The key in the Secret.
    #[schemars(length(min = 1, max = 253), pattern("^[-._a-zA-Z0-9]+$"))]
    pub secret_key: String,
    /// The value in the store.
    pub remote_ref: RemoteReference,
    /// Another store than that of the whole.
    #[schemars(with = "Source", default)]
    pub source_ref: Option<Source>,
}

/// Several keys of the Secret.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DataFrom {
    /// An object in the store whose fields become keys.
    #[schemars(with = "RemoteReference", default)]
    pub extract: Option<RemoteReference>,
    /// Another store than that of the whole.
    #[schemars(with = "Source", default)]
    pub source_ref: Option<Source>,
}

/// Where something comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Source {
    /// A store.
    #[schemars(with = "StoreReference", default)]
    pub store_ref: Option<StoreReference>,
}

/// A value in a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RemoteReference {
    /// What the store calls it.
    pub key: String,
    /// A field within it, as `password` or `users.0.name`; the whole if absent.
    #[schemars(with = "String", default)]
    pub property: Option<String>,
    /// Its version, in the store's own words; the current one if absent.
    #[schemars(with = "String", default)]
    pub version: Option<String>,
    /// What becomes of characters in the names of fields that a Secret's keys cannot have. `Default`: `_`. `Unicode`: `_U1234_`.
    #[schemars(with = "String", default, extend("enum" = ["Default", "Unicode"]))]
    pub conversion_strategy: ConversionStrategy,
    /// How the value is encoded in the store: `None` (the default), `Base64`, `Base64URL`, `Auto`.
    #[schemars(with = "String", default, extend("enum" = ["Auto", "Base64", "Base64URL", "None"]))]
    pub decoding_strategy: DecodingStrategy,
    /// `Fail` refuses a value that has a null byte.
    #[schemars(with = "String", default, extend("enum" = ["Ignore", "Fail"]))]
    pub null_byte_policy: NullBytePolicy,
}

/// What becomes of characters that a Secret's key cannot have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum ConversionStrategy {
    /// `_`
    #[default]
    Default,
    /// `_U1234_`
    Unicode,
}

/// How a value is encoded in its store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum DecodingStrategy {
    /// It is not.
    #[default]
    None,
    /// Base64.
    Base64,
    /// Base64 of the alphabet for URLs.
    #[serde(rename = "Base64URL")]
    Base64Url,
    /// Whichever of the two it can be, or not at all.
    Auto,
}

/// What is thought of null bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum NullBytePolicy {
    /// Nothing.
    #[default]
    Ignore,
    /// They are refused.
    Fail,
}

/// How the last attempts of the controller went.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExternalSecretStatus {
    /// Observations of the current state.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    pub conditions: Vec<Condition>,
    /// When the last successful pass began.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", default, extend("format" = "date-time", "nullable" = true))]
    pub refresh_time: Option<Time>,
    /// What of this object that pass saw: its generation, and a digest of labels and annotations.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", default)]
    pub synced_resource_version: Option<String>,
    /// The Secret that was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Binding", default)]
    pub binding: Option<Binding>,
    /// `metadata.generation` of the specification that the conditions speak of.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64", default)]
    pub observed_generation: Option<i64>,
}

/// The name of a Secret, where programs by the Service Binding specification look for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Binding {
    /// Its name.
    #[schemars(default)]
    pub name: String,
}

/// One observation of the state of an object of this group.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What is observed: `Ready`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    #[schemars(with = "String")]
    pub status: ConditionStatus,
    /// One word for programs: why the condition has this status.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", default)]
    pub reason: Option<String>,
    /// One sentence for people: what happened, and what helps.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", default)]
    pub message: Option<String>,
    /// When the status of this condition last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", default, extend("format" = "date-time"))]
    pub last_transition_time: Option<Time>,
}

impl StoreKind {
    /// The kind as manifests write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Namespaced => "SecretStore",
            Self::Cluster => "ClusterSecretStore",
        }
    }
}

impl Interval {
    /// Nanoseconds of what applies where nothing is said: an hour.
    pub const DEFAULT: Self = Self(3_600_000_000_000);

    /// How long; `None` if values are fetched once.
    pub fn duration(self) -> Option<std::time::Duration> {
        u64::try_from(self.0).ok().filter(|nanoseconds| *nanoseconds > 0).map(std::time::Duration::from_nanos)
    }
}

impl Default for Interval {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Serialize for Interval {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("{}ns", self.0))
    }
}

impl ExternalSecret {
    /// The name of the Secret that it becomes.
    pub fn target_name(&self) -> &str {
        let own = self.metadata.name.as_deref().unwrap_or_default();
        self.spec.target.name.as_deref().unwrap_or(own)
    }

    /// The stores that it asks, each once.
    pub fn stores(&self) -> Vec<&StoreReference> {
        let sources = self.spec.data.iter().map(|item| item.source_ref.as_ref());
        let sources = sources.chain(self.spec.data_from.iter().map(|item| item.source_ref.as_ref()));
        let mut stores: Vec<_> = sources.filter_map(|source| self.store_of(source)).collect();
        stores.extend(&self.spec.secret_store_ref);
        stores.sort_unstable();
        stores.dedup();
        stores
    }

    /// The store that something with this source comes from.
    pub fn store_of<'a>(&'a self, source: Option<&'a Source>) -> Option<&'a StoreReference> {
        source.and_then(|source| source.store_ref.as_ref()).or(self.spec.secret_store_ref.as_ref())
    }
}

impl ExternalSecretStatus {
    /// The condition of this type.
    pub fn condition(&self, kind: &str) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.kind == kind)
    }
}
