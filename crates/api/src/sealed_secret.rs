//! `SealedSecret`: a Secret that may lie in Git, because only the cluster's controller can open its values.
//!
//! Source: sealed-secrets 0.38.4 `pkg/apis/sealedsecrets/v1alpha1/types.go` and `helm/sealed-secrets/crds`. Field order is upstream's
//! order of output. Invariant: no type here holds a plaintext; what is in a SealedSecret is public.

mod decode;

use std::borrow::Cow;
use std::collections::BTreeMap;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use schemars::JsonSchema;
use serde::ser::SerializeStruct as _;
use serde::{Serialize, Serializer};
use serde_json::Value;

/// API group of SealedSecret.
pub const GROUP: &str = "bitnami.com";
/// API version of SealedSecret, without the group.
pub const VERSION: &str = "v1alpha1";
/// `apiVersion` as manifests write it.
pub const API_VERSION: &str = "bitnami.com/v1alpha1";
/// `kind` as manifests write it.
pub const KIND: &str = "SealedSecret";
/// Name of the resource in URLs.
pub const PLURAL: &str = "sealedsecrets";

/// On a SealedSecret, or on a Secret to be sealed: the values open under every name in every namespace of the cluster.
pub const CLUSTER_WIDE_ANNOTATION: &str = "sealedsecrets.bitnami.com/cluster-wide";
/// On a SealedSecret, or on a Secret to be sealed: the values open under every name of one namespace.
pub const NAMESPACE_WIDE_ANNOTATION: &str = "sealedsecrets.bitnami.com/namespace-wide";
/// On an existing Secret: a SealedSecret of the same name may take it over.
pub const MANAGED_ANNOTATION: &str = "sealedsecrets.bitnami.com/managed";
/// On an existing Secret: a SealedSecret of the same name adds its keys, and leaves the others alone.
pub const PATCH_ANNOTATION: &str = "sealedsecrets.bitnami.com/patch";
/// In `spec.template.metadata.annotations`: the Secret gets no owner reference, so it survives its SealedSecret.
pub const SKIP_SET_OWNER_REFERENCES_ANNOTATION: &str = "sealedsecrets.bitnami.com/skip-set-owner-references";
/// Label of a Secret that holds a sealing key; the value `active` puts it into use.
pub const SEALING_KEY_LABEL: &str = "sealedsecrets.bitnami.com/sealed-secrets-key";

/// A Secret whose values are encrypted with the public key of a controller, one by one.
///
/// Serialises as a whole manifest, `apiVersion` and `kind` included. Read it with [`SealedSecret::from_json`] or
/// [`SealedSecret::decode`], which name the field that is wrong and never quote it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SealedSecret {
    /// Standard metadata. Name and namespace are those of the Secret to be made; an annotation tells the scope.
    pub metadata: ObjectMeta,
    /// What is sealed, and what the Secret made of it looks like.
    pub spec: SealedSecretSpec,
    /// What the controller made of it; `None` before it came by.
    pub status: Option<SealedSecretStatus>,
}

/// The sealed values, and the shape of the Secret that they go into.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SealedSecretSpec {
    /// Shape of the Secret that is made: its metadata, its type, and values composed by template.
    #[serde(skip_serializing_if = "SecretTemplate::is_empty")]
    #[schemars(default)]
    pub template: SecretTemplate,
    /// Deprecated: the whole Secret sealed as one value, base64. Use `encryptedData`; an object has one of the two.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", default, extend("format" = "byte"))]
    pub data: Option<String>,
    /// One sealed value for each key of the Secret, base64.
    #[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
    pub encrypted_data: BTreeMap<String, String>,
}

/// Shape of the Secret that is made of a SealedSecret. Everything here is public.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretTemplate {
    /// Metadata of the Secret: its labels and annotations go here, not on the SealedSecret. Name and namespace are ignored, the Secret
    /// has those of the SealedSecret.
    #[serde(skip_serializing_if = "TemplateMetadata::is_empty")]
    #[schemars(default, extend("nullable" = true, "x-kubernetes-preserve-unknown-fields" = true))]
    pub metadata: TemplateMetadata,
    /// Type of the Secret, `Opaque` if absent. It cannot be changed once the Secret exists.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", default)]
    pub kind: Option<String>,
    /// Whether the Secret is made immutable: its values can then be neither changed nor released from this until it is deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool", default)]
    pub immutable: Option<bool>,
    /// Values in plain text, not base64, each a Go template in which the unsealed values are at hand under their keys. A sealed value of
    /// the same key has precedence.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(default, extend("nullable" = true))]
    pub data: BTreeMap<String, String>,
}

/// Metadata for the Secret that is made. What is not named here is kept in [`TemplateMetadata::other`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TemplateMetadata {
    /// Ignored: the Secret has the name of the SealedSecret.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", default)]
    pub name: Option<String>,
    /// Ignored: the Secret has the namespace of the SealedSecret.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", default)]
    pub namespace: Option<String>,
    /// Labels of the Secret.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(default)]
    pub labels: BTreeMap<String, String>,
    /// Annotations of the Secret.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(default)]
    pub annotations: BTreeMap<String, String>,
    /// Finalizers of the Secret, set when it is created.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    pub finalizers: Vec<String>,
    /// Every other field of the metadata, as it was written. `ownerReferences` has a meaning together with
    /// [`SKIP_SET_OWNER_REFERENCES_ANNOTATION`]; the rest has none.
    #[serde(flatten)]
    #[schemars(skip)]
    pub other: BTreeMap<String, Value>,
}

/// How the last attempt of the controller went.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SealedSecretStatus {
    /// Observations of the current state, `Synced` first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    pub conditions: Vec<Condition>,
    /// `metadata.generation` of the specification that the conditions speak of. Older than the object's own: the controller has not come
    /// by yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64", default)]
    pub observed_generation: Option<i64>,
}

/// One observation of the state of a SealedSecret.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What is observed. `Synced`: the Secret holds what is sealed here. `Ready`: the same, with a reason. `Stalled`: trying again will
    /// not help until somebody changes something. `Checked`: what the controller needs in order to know after a restart that nothing
    /// has changed.
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
    /// `metadata.generation` of the specification that this condition speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64", default)]
    pub observed_generation: Option<i64>,
    /// When this condition was last written.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", default, extend("format" = "date-time"))]
    pub last_update_time: Option<Time>,
    /// When the status of this condition last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", default, extend("format" = "date-time"))]
    pub last_transition_time: Option<Time>,
}

/// Status of a [`Condition`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum ConditionStatus {
    /// It is so.
    True,
    /// It is not so.
    False,
    /// Not known, or written by another program as something else than `True` or `False`.
    Unknown,
}

impl ConditionStatus {
    /// Reads the `status` of a condition.
    pub(crate) fn from_json(value: &Value) -> Option<Self> {
        Some(match value.as_str()? {
            "True" => Self::True,
            "False" => Self::False,
            _ => Self::Unknown,
        })
    }
}

impl SealedSecret {
    /// `metadata.name`, empty if absent.
    pub fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    /// `metadata.namespace`, empty if absent.
    pub fn namespace(&self) -> &str {
        self.metadata.namespace.as_deref().unwrap_or_default()
    }

    /// Value of an annotation of the SealedSecret itself.
    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.metadata.annotations.as_ref()?.get(name).map(String::as_str)
    }
}

impl SealedSecretStatus {
    /// The condition of this type.
    pub fn condition(&self, kind: &str) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.kind == kind)
    }
}

impl SecretTemplate {
    /// Whether it says nothing at all.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl TemplateMetadata {
    /// Whether it says nothing at all.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Serialize for SealedSecret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct(KIND, 4 + usize::from(self.status.is_some()))?;
        object.serialize_field("kind", KIND)?;
        object.serialize_field("apiVersion", API_VERSION)?;
        object.serialize_field("metadata", &self.metadata)?;
        object.serialize_field("spec", &self.spec)?;
        match &self.status {
            Some(status) => object.serialize_field("status", status)?,
            None => object.skip_field("status")?,
        }
        object.end()
    }
}

impl kube::Resource for SealedSecret {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        KIND.into()
    }

    fn group((): &()) -> Cow<'_, str> {
        GROUP.into()
    }

    fn version((): &()) -> Cow<'_, str> {
        VERSION.into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        PLURAL.into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}
