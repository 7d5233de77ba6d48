//! Secret → SealedSecret.
//!
//! Each value of `data` and `stringData` is sealed on its own; everything else of the Secret moves to `spec.template`, save what a live
//! object has from the API server. Source: sealed-secrets 0.38.4 `pkg/kubeseal/kubeseal.go`, `sealedsecret_expansion.go`.

use std::collections::BTreeMap;

use bulla_api::sealed_secret::{SealedSecret, SealedSecretSpec, SecretTemplate, TemplateMetadata};
use bulla_crypto::encoding::{self, Base64Error};
use bulla_crypto::{PublicKey, SecretBytes, hybrid};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use rand_core::CryptoRng;
use serde_json::{Map, Value};

use crate::scope::Scope;

/// Fields of a live object's metadata that the API server keeps; they mean nothing in a template.
const SERVER_FIELDS: [&str; 8] = [
    "selfLink",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "ownerReferences",
];

/// Annotations in which `kubectl apply` and kubecfg keep a copy of what was applied: the plaintext.
const COPIES_OF_THE_SECRET: [&str; 2] =
    ["kubectl.kubernetes.io/last-applied-configuration", "kubecfg.ksonnet.io/last-applied-configuration"];

/// What the command line says beside the Secret.
#[derive(Clone, Debug, Default)]
pub struct SealOptions {
    /// Scope to seal for; `None` takes it from the annotations of the Secret.
    pub scope: Option<Scope>,
    /// Name that replaces the Secret's own.
    pub name: Option<String>,
    /// Namespace that was asked for; a Secret of another one is refused, unless it is sealed cluster-wide.
    pub namespace: Option<String>,
    /// Namespace of a Secret that names none, where nothing was asked for.
    pub default_namespace: Option<String>,
    /// Whether a Secret without any value is sealed.
    pub allow_empty_data: bool,
}

/// Why a Secret could not be sealed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// It is another kind of object.
    #[error("not a Secret of v1: `{field}` is {}", .found.as_deref().map_or("absent".to_owned(), |found| format!("`{found}`")))]
    Kind {
        /// `kind` or `apiVersion`.
        field: &'static str,
        /// What stands there.
        found: Option<String>,
    },
    /// A field is of the wrong type.
    #[error("`{field}`: expected {expected}")]
    Type {
        /// Path of the field, `data.password` for example.
        field: String,
        /// What belongs there.
        expected: &'static str,
    },
    /// A value of `data` is not base64.
    #[error("`data.{key}` is not base64 (plain text belongs to `stringData`)")]
    Base64 {
        /// Key of the value.
        key: String,
        /// Where it is not.
        source: Base64Error,
    },
    /// There is no value in it.
    #[error(
        "secret.data is empty in input Secret, assuming this is an error and aborting. To work with empty data, --allow-empty-data can be used"
    )]
    Empty,
    /// It has no name, and none was given.
    #[error("missing metadata.name in input Secret")]
    NoName,
    /// It has no namespace, and none was given; only cluster-wide values do without.
    #[error("secret must declare a namespace")]
    NoNamespace,
    /// It says another namespace than the one asked for.
    #[error("namespace mismatch: input secret is in namespace {found:?} but {asked:?} was specified")]
    NamespaceMismatch {
        /// The Secret's own.
        found: String,
        /// The one asked for.
        asked: String,
    },
}

/// Seals one value for one place and returns the base64 that `spec.encryptedData` holds. The value may be empty.
pub fn seal_item(
    value: &[u8],
    key: &PublicKey,
    scope: Scope,
    namespace: &str,
    name: &str,
    rng: &mut dyn CryptoRng,
) -> String {
    encoding::encode(&hybrid::seal(key, value, &scope.label(namespace, name), rng))
}

/// Seals a Secret, given as its manifest in JSON, for the holder of the private key of `key`.
///
/// The result has the Secret's name and namespace and, of its annotations, the one of the scope; its labels and the other annotations
/// are in the template only. `stringData` has precedence over `data`. The manifest holds plaintext and is the caller's to wipe.
///
/// # Errors
/// [`SealError`]; nothing was sealed then.
pub fn seal(
    secret: &Value,
    key: &PublicKey,
    options: &SealOptions,
    rng: &mut dyn CryptoRng,
) -> Result<SealedSecret, SealError> {
    let manifest = secret_manifest(secret)?;
    let values = values_of(manifest)?;
    if values.is_empty() && !options.allow_empty_data {
        return Err(SealError::Empty);
    }

    let mut metadata = template_metadata_of(manifest.get("metadata"))?;
    if let Some(scope) = options.scope {
        scope.annotate(&mut metadata.annotations);
    }
    let scope = Scope::of(Some(&metadata.annotations));
    let name = options.name.clone().filter(|name| !name.is_empty()).or_else(|| metadata.name.take());
    let name = name.filter(|name| !name.is_empty()).ok_or(SealError::NoName)?;
    let namespace = namespace_of(metadata.namespace.take(), scope, options)?;
    metadata.name = Some(name.clone());
    metadata.namespace.clone_from(&namespace);

    let label_namespace = namespace.as_deref().unwrap_or_default();
    let encrypted_data = values
        .iter()
        .map(|(item, value)| (item.clone(), seal_item(value.expose_secret(), key, scope, label_namespace, &name, rng)))
        .collect();
    let mut annotations = BTreeMap::new();
    scope.annotate(&mut annotations);
    Ok(SealedSecret {
        metadata: ObjectMeta {
            name: Some(name),
            namespace,
            annotations: Some(annotations).filter(|annotations| !annotations.is_empty()),
            ..ObjectMeta::default()
        },
        spec: SealedSecretSpec {
            template: SecretTemplate {
                metadata,
                kind: optional_string("type", manifest.get("type"))?.filter(|kind| !kind.is_empty()),
                immutable: present(manifest.get("immutable"))
                    .map(|value| value.as_bool().ok_or_else(|| mismatch("immutable", "a boolean")))
                    .transpose()?,
                data: BTreeMap::new(),
            },
            data: None,
            encrypted_data,
        },
        status: None,
    })
}

/// The fields of a manifest that is a Secret of v1.
pub(crate) fn secret_manifest(secret: &Value) -> Result<&Map<String, Value>, SealError> {
    let manifest =
        secret.as_object().ok_or(SealError::Type { field: "the manifest".to_owned(), expected: "an object" })?;
    for (field, expected) in [("apiVersion", "v1"), ("kind", "Secret")] {
        let found = manifest.get(field).and_then(Value::as_str);
        if found != Some(expected) {
            return Err(SealError::Kind { field, found: found.map(str::to_owned) });
        }
    }
    Ok(manifest)
}

fn namespace_of(found: Option<String>, scope: Scope, options: &SealOptions) -> Result<Option<String>, SealError> {
    let found = found.filter(|namespace| !namespace.is_empty());
    if scope == Scope::ClusterWide {
        return Ok(found);
    }
    match (found, &options.namespace) {
        (Some(found), Some(asked)) if found != *asked => {
            Err(SealError::NamespaceMismatch { found, asked: asked.clone() })
        }
        (Some(found), _) => Ok(Some(found)),
        (None, asked) => {
            let given = asked.as_ref().or(options.default_namespace.as_ref()).filter(|namespace| !namespace.is_empty());
            given.cloned().map(Some).ok_or(SealError::NoNamespace)
        }
    }
}

pub(crate) fn values_of(manifest: &Map<String, Value>) -> Result<BTreeMap<String, SecretBytes>, SealError> {
    let mut values = BTreeMap::new();
    for (item, value) in entries("data", manifest.get("data"))? {
        let text = string_or_null(|| format!("data.{item}"), value, "base64 in a string")?;
        let bytes =
            encoding::decode_go(text.as_bytes()).map_err(|source| SealError::Base64 { key: item.clone(), source })?;
        values.insert(item.clone(), SecretBytes::new(bytes));
    }
    for (item, value) in entries("stringData", manifest.get("stringData"))? {
        let text = string_or_null(|| format!("stringData.{item}"), value, "a string")?;
        values.insert(item.clone(), SecretBytes::new(text.as_bytes().to_vec()));
    }
    Ok(values)
}

pub(crate) fn template_metadata_of(value: Option<&Value>) -> Result<TemplateMetadata, SealError> {
    let mut metadata = TemplateMetadata::default();
    for (field, value) in entries("metadata", value)? {
        let path = format!("metadata.{field}");
        match field.as_str() {
            "name" => metadata.name = optional_string(&path, Some(value))?,
            "namespace" => metadata.namespace = optional_string(&path, Some(value))?,
            "labels" => metadata.labels = strings(&path, value)?,
            "annotations" => metadata.annotations = strings(&path, value)?,
            "finalizers" => metadata.finalizers = list_of_strings(&path, value)?,
            field if SERVER_FIELDS.contains(&field) || value.is_null() => {}
            field => {
                metadata.other.insert(field.to_owned(), value.clone());
            }
        }
    }
    for annotation in COPIES_OF_THE_SECRET {
        metadata.annotations.remove(annotation);
    }
    Ok(metadata)
}

fn strings(path: &str, value: &Value) -> Result<BTreeMap<String, String>, SealError> {
    entries(path, Some(value))?
        .map(|(name, value)| {
            Ok((name.clone(), string_or_null(|| format!("{path}.{name}"), value, "a string")?.to_owned()))
        })
        .collect()
}

fn list_of_strings(path: &str, value: &Value) -> Result<Vec<String>, SealError> {
    let Some(value) = present(Some(value)) else { return Ok(Vec::new()) };
    let items = value.as_array().ok_or_else(|| mismatch(path, "a list of strings"))?;
    items
        .iter()
        .map(|item| item.as_str().map(str::to_owned).ok_or_else(|| mismatch(path, "a list of strings")))
        .collect()
}

fn entries<'a>(
    path: &str,
    value: Option<&'a Value>,
) -> Result<impl Iterator<Item = (&'a String, &'a Value)>, SealError> {
    let object =
        present(value).map(|value| value.as_object().ok_or_else(|| mismatch(path, "an object"))).transpose()?;
    Ok(object.into_iter().flatten())
}

pub(crate) fn optional_string(path: &str, value: Option<&Value>) -> Result<Option<String>, SealError> {
    present(value).map(|value| value.as_str().map(str::to_owned).ok_or_else(|| mismatch(path, "a string"))).transpose()
}

/// `null` counts as the empty string, as in Go.
fn string_or_null<'a>(
    path: impl FnOnce() -> String,
    value: &'a Value,
    expected: &'static str,
) -> Result<&'a str, SealError> {
    match value {
        Value::Null => Ok(""),
        Value::String(text) => Ok(text),
        _ => Err(mismatch(path(), expected)),
    }
}

fn present(value: Option<&Value>) -> Option<&Value> {
    value.filter(|value| !value.is_null())
}

fn mismatch(path: impl Into<String>, expected: &'static str) -> SealError {
    SealError::Type { field: path.into(), expected }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use bulla_api::sealed_secret::{CLUSTER_WIDE_ANNOTATION, NAMESPACE_WIDE_ANNOTATION};
    use bulla_crypto::PrivateKey;
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;
    use serde_json::json;

    use super::*;

    static KEY: LazyLock<PrivateKey> = LazyLock::new(|| PrivateKey::generate(2048).unwrap());

    fn sealed(secret: &Value, options: &SealOptions) -> Result<SealedSecret, SealError> {
        seal(secret, KEY.public_key(), options, &mut StdRng::seed_from_u64(1))
    }

    fn opened(sealed: &SealedSecret, item: &str) -> Vec<u8> {
        let scope = Scope::of(sealed.metadata.annotations.as_ref());
        let bytes = encoding::decode_go(sealed.spec.encrypted_data[item].as_bytes()).unwrap();
        let label = scope.label(sealed.namespace(), sealed.name());
        hybrid::open(&KEY, &bytes, &label).unwrap().expose_secret().to_vec()
    }

    fn secret(metadata: &Value) -> Value {
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"password": "hunter2"}})
    }

    #[test]
    fn the_template_has_all_of_the_secret_that_means_something() {
        let result = sealed(
            &json!({
                "apiVersion": "v1", "kind": "Secret",
                "metadata": {
                    "name": "db", "namespace": "shop",
                    "labels": {"app": "shop"},
                    "annotations": {
                        "note": "kept",
                        "kubectl.kubernetes.io/last-applied-configuration": "{\"stringData\":{\"password\":\"hunter2\"}}",
                        "kubecfg.ksonnet.io/last-applied-configuration": "hunter2",
                        "sealedsecrets.bitnami.com/namespace-wide": "true",
                    },
                    "finalizers": ["a/b"],
                    "uid": "1", "resourceVersion": "2", "generation": 3, "selfLink": "x", "creationTimestamp": null,
                    "deletionTimestamp": "2026-01-01T00:00:00Z", "deletionGracePeriodSeconds": 1,
                    "ownerReferences": [{"kind": "X"}],
                    "managedFields": [{"manager": "kubectl"}],
                },
                "type": "kubernetes.io/basic-auth", "immutable": true,
                "data": {"username": "YWRtaW4=", "password": "b2xk"},
                "stringData": {"password": "hunter2"},
            }),
            &SealOptions::default(),
        )
        .unwrap();
        assert_eq!(opened(&result, "username"), b"admin");
        assert_eq!(opened(&result, "password"), b"hunter2", "stringData has precedence");
        let mut manifest = serde_json::to_value(&result).unwrap();
        assert_eq!(
            manifest["spec"].as_object_mut().unwrap().remove("encryptedData").unwrap().as_object().unwrap().len(),
            2
        );
        assert_eq!(
            manifest,
            json!({
                "kind": "SealedSecret", "apiVersion": "bitnami.com/v1alpha1",
                "metadata": {"name": "db", "namespace": "shop", "annotations": {NAMESPACE_WIDE_ANNOTATION: "true"}},
                "spec": {"template": {
                    "metadata": {
                        "name": "db", "namespace": "shop", "labels": {"app": "shop"},
                        "annotations": {"note": "kept", NAMESPACE_WIDE_ANNOTATION: "true"},
                        "finalizers": ["a/b"], "managedFields": [{"manager": "kubectl"}],
                    },
                    "type": "kubernetes.io/basic-auth", "immutable": true,
                }},
            })
        );
    }

    #[test]
    fn the_scope_comes_from_the_option_or_from_the_annotations() {
        for (option, annotation, expected) in [
            (None, None, Scope::Strict),
            (None, Some(CLUSTER_WIDE_ANNOTATION), Scope::ClusterWide),
            (Some(Scope::NamespaceWide), None, Scope::NamespaceWide),
            (Some(Scope::NamespaceWide), Some(CLUSTER_WIDE_ANNOTATION), Scope::NamespaceWide),
            (Some(Scope::Strict), Some(CLUSTER_WIDE_ANNOTATION), Scope::Strict),
        ] {
            let mut metadata = json!({"name": "db", "namespace": "shop"});
            if let Some(annotation) = annotation {
                metadata["annotations"] = json!({annotation: "true"});
            }
            let result = sealed(&secret(&metadata), &SealOptions { scope: option, ..SealOptions::default() }).unwrap();
            assert_eq!(Scope::of(result.metadata.annotations.as_ref()), expected, "{option:?} {annotation:?}");
            assert_eq!(Scope::of(Some(&result.spec.template.metadata.annotations)), expected);
            assert_eq!(opened(&result, "password"), b"hunter2");
        }
    }

    #[test]
    fn names_and_namespaces_follow_kubeseal() {
        let some = |text: &str| Some(text.to_owned());
        let cluster_wide = json!({CLUSTER_WIDE_ANNOTATION: "true"});
        for (metadata, name, namespace, default_namespace, expected) in [
            (json!({"name": "db", "namespace": "shop"}), None, None, None, Ok(("db", "shop"))),
            (json!({"name": "db", "namespace": "shop"}), some("other"), some("shop"), some("x"), Ok(("other", "shop"))),
            (json!({"namespace": "shop"}), some("other"), None, None, Ok(("other", "shop"))),
            (json!({"namespace": "shop"}), None, None, None, Err(SealError::NoName)),
            (json!({"name": "", "namespace": "shop"}), some(""), None, None, Err(SealError::NoName)),
            (json!({"name": "db"}), None, None, None, Err(SealError::NoNamespace)),
            (json!({"name": "db"}), None, None, some("default"), Ok(("db", "default"))),
            (json!({"name": "db"}), None, some("shop"), some("default"), Ok(("db", "shop"))),
            (
                json!({"name": "db", "namespace": "shop"}),
                None,
                some("pay"),
                None,
                Err(SealError::NamespaceMismatch { found: "shop".to_owned(), asked: "pay".to_owned() }),
            ),
            (json!({"name": "db", "annotations": cluster_wide}), None, None, some("default"), Ok(("db", ""))),
            (
                json!({"name": "db", "namespace": "shop", "annotations": cluster_wide}),
                None,
                some("pay"),
                None,
                Ok(("db", "shop")),
            ),
        ] {
            let options = SealOptions { name, namespace, default_namespace, ..SealOptions::default() };
            let result = sealed(&secret(&metadata), &options);
            let found = result.as_ref().map(|sealed| (sealed.name(), sealed.namespace())).map_err(Clone::clone);
            assert_eq!(found, expected, "{metadata} {options:?}");
            if let Ok(sealed) = &result {
                assert_eq!(opened(sealed, "password"), b"hunter2");
            }
        }
    }

    #[test]
    fn what_is_not_a_secret_with_values_is_refused_without_its_values() {
        let manifest = |fields: Value| {
            let mut manifest =
                json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db", "namespace": "shop"}});
            manifest.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            manifest
        };
        for (manifest, expected) in [
            (json!(["hunter2"]), "`the manifest`: expected an object"),
            (json!({"kind": "Secret"}), "not a Secret of v1: `apiVersion` is absent"),
            (json!({"apiVersion": "v1", "kind": "List", "items": []}), "not a Secret of v1: `kind` is `List`"),
            (manifest(json!({"data": {}})), &SealError::Empty.to_string()),
            (
                manifest(json!({"data": {"password": "hunter2!"}})),
                "`data.password` is not base64 (plain text belongs to `stringData`)",
            ),
            (manifest(json!({"data": {"password": 12}})), "`data.password`: expected base64 in a string"),
            (manifest(json!({"stringData": {"password": {}}})), "`stringData.password`: expected a string"),
            (manifest(json!({"stringData": "hunter2"})), "`stringData`: expected an object"),
            (manifest(json!({"stringData": {"a": ""}, "immutable": "yes"})), "`immutable`: expected a boolean"),
            (manifest(json!({"stringData": {"a": ""}, "type": 1})), "`type`: expected a string"),
            (
                manifest(json!({"stringData": {"a": ""}, "metadata": {"labels": {"a": 1}}})),
                "`metadata.labels.a`: expected a string",
            ),
        ] {
            assert_eq!(sealed(&manifest, &SealOptions::default()).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn empty_and_absent_values_are_values() {
        let manifest = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db", "namespace": "shop"},
            "data": {"a": "", "b": null}, "stringData": {"c": ""},
        });
        let result = sealed(&manifest, &SealOptions::default()).unwrap();
        for item in ["a", "b", "c"] {
            assert_eq!(opened(&result, item), b"");
        }
        let nothing = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db", "namespace": "shop"}, "data": null});
        let options = SealOptions { allow_empty_data: true, ..SealOptions::default() };
        assert!(sealed(&nothing, &options).unwrap().spec.encrypted_data.is_empty());
    }
}
