//! JSON → [`SealedSecret`], object by object, so that a malformed one is an error of its own and never of the watch.
//!
//! Today's CRD lets the API server refuse a number where a sealed value belongs. Objects from before it, clusters with a looser CRD and
//! files in Git have them all the same. Upstream reads such a value as empty and fails later with `no key could decrypt secret`; here
//! the error names the field and both types. Below `template.metadata` anything may stand; only what is used is judged. `null` counts
//! as absent, as in Go.
//!
//! Invariant: an error names a field and types, and quotes nothing that stands in the object but its keys.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use serde::Deserialize as _;
use serde_json::Value;

use super::{
    API_VERSION, Condition, ConditionStatus, KIND, SealedSecret, SealedSecretSpec, SealedSecretStatus, SecretTemplate,
    TemplateMetadata,
};
use crate::fields::{DecodeError, list_of_strings, mismatch, object, optional_string, present, strings};

impl SealedSecret {
    /// Reads a whole manifest.
    ///
    /// # Errors
    /// [`DecodeError::Kind`] if it is something else; otherwise as [`SealedSecret::decode`].
    pub fn from_json(manifest: &Value) -> Result<Self, DecodeError> {
        let object = object("", manifest)?;
        for (field, expected) in [("apiVersion", API_VERSION), ("kind", KIND)] {
            let found = object.get(field).and_then(Value::as_str);
            if found != Some(expected) {
                return Err(DecodeError::Kind {
                    kind: KIND,
                    version: API_VERSION,
                    field,
                    found: found.map(str::to_owned),
                });
            }
        }
        Self::decode(metadata(object.get("metadata"))?, manifest)
    }

    /// Reads `spec` and `status` out of `data`, the rest of an object whose metadata is known already.
    ///
    /// A `status` that cannot be read counts as absent: the controller writes it anew.
    ///
    /// # Errors
    /// [`DecodeError::Missing`] if there is no `spec`; [`DecodeError::Type`] for the first field, in the order of the specification,
    /// that is of another type than documented.
    pub fn decode(metadata: ObjectMeta, data: &Value) -> Result<Self, DecodeError> {
        let spec = present(data.get("spec")).ok_or_else(|| DecodeError::Missing { field: "spec".to_owned() })?;
        Ok(Self { metadata, spec: spec_of(spec)?, status: present(data.get("status")).and_then(status_of) })
    }
}

impl SealedSecretStatus {
    /// Reads a `status`; `None` if it is of another shape.
    pub fn from_json(value: &Value) -> Option<Self> {
        status_of(value)
    }
}

fn spec_of(value: &Value) -> Result<SealedSecretSpec, DecodeError> {
    let spec = object("spec", value)?;
    Ok(SealedSecretSpec {
        template: present(spec.get("template")).map(template_of).transpose()?.unwrap_or_default(),
        data: optional_string("spec.data", spec.get("data"))?,
        encrypted_data: strings("spec.encryptedData", spec.get("encryptedData"))?,
    })
}

fn template_of(value: &Value) -> Result<SecretTemplate, DecodeError> {
    let template = object("spec.template", value)?;
    Ok(SecretTemplate {
        metadata: present(template.get("metadata")).map(template_metadata_of).transpose()?.unwrap_or_default(),
        kind: optional_string("spec.template.type", template.get("type"))?,
        immutable: present(template.get("immutable"))
            .map(|value| value.as_bool().ok_or_else(|| mismatch("spec.template.immutable", "a boolean", value)))
            .transpose()?,
        data: strings("spec.template.data", template.get("data"))?,
    })
}

fn template_metadata_of(value: &Value) -> Result<TemplateMetadata, DecodeError> {
    const FIELD: &str = "spec.template.metadata";
    const NAMED: [&str; 5] = ["name", "namespace", "labels", "annotations", "finalizers"];
    let fields = object(FIELD, value)?;
    let field = |name: &str| format!("{FIELD}.{name}");
    Ok(TemplateMetadata {
        name: optional_string(&field("name"), fields.get("name"))?,
        namespace: optional_string(&field("namespace"), fields.get("namespace"))?,
        labels: strings(&field("labels"), fields.get("labels"))?,
        annotations: strings(&field("annotations"), fields.get("annotations"))?,
        finalizers: list_of_strings(&field("finalizers"), fields.get("finalizers"))?,
        other: fields
            .iter()
            .filter(|(name, value)| !NAMED.contains(&name.as_str()) && !value.is_null())
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
    })
}

/// Metadata of a manifest. Only the fields that are used are judged; if any other keeps the whole from being read, it is left out.
fn metadata(value: Option<&Value>) -> Result<ObjectMeta, DecodeError> {
    let Some(value) = present(value) else { return Ok(ObjectMeta::default()) };
    let fields = object("metadata", value)?;
    let named = ObjectMeta {
        name: optional_string("metadata.name", fields.get("name"))?,
        namespace: optional_string("metadata.namespace", fields.get("namespace"))?,
        labels: present(fields.get("labels")).map(|labels| strings("metadata.labels", Some(labels))).transpose()?,
        annotations: present(fields.get("annotations"))
            .map(|annotations| strings("metadata.annotations", Some(annotations)))
            .transpose()?,
        ..ObjectMeta::default()
    };
    Ok(ObjectMeta::deserialize(value).unwrap_or(named))
}

fn status_of(value: &Value) -> Option<SealedSecretStatus> {
    let conditions = match present(value.get("conditions")) {
        Some(conditions) => conditions.as_array()?.iter().map(condition_of).collect::<Option<_>>()?,
        None => Vec::new(),
    };
    Some(SealedSecretStatus {
        conditions,
        observed_generation: value.get("observedGeneration").and_then(Value::as_i64),
    })
}

fn condition_of(value: &Value) -> Option<Condition> {
    let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    let time = |name: &str| Time::deserialize(value.get(name)?).ok();
    Some(Condition {
        kind: text("type")?,
        status: ConditionStatus::from_json(value.get("status")?)?,
        reason: text("reason"),
        message: text("message"),
        observed_generation: value.get("observedGeneration").and_then(Value::as_i64),
        last_update_time: time("lastUpdateTime"),
        last_transition_time: time("lastTransitionTime"),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn manifest(spec: &Value) -> Value {
        json!({"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": "db", "namespace": "shop"}, "spec": spec})
    }

    #[test]
    fn what_is_written_is_read_back() {
        let sealed = manifest(&json!({
            "template": {
                "metadata": {"labels": {"app": "shop"}, "annotations": {"a": "b"}, "finalizers": ["x/y"], "managedFields": [{"manager": "m"}]},
                "type": "kubernetes.io/tls",
                "immutable": true,
                "data": {"url": "https://shop"},
            },
            "encryptedData": {"password": "AgB="},
        }));
        let decoded = SealedSecret::from_json(&sealed).unwrap();
        assert_eq!(decoded.spec.template.metadata.other["managedFields"], json!([{"manager": "m"}]));
        assert_eq!(serde_json::to_value(&decoded).unwrap(), sealed);
    }

    #[test]
    fn an_error_names_the_field_and_both_types_and_no_value() {
        for (spec, expected) in [
            (
                json!({"encryptedData": {"ok": "AgB=", "password": 12}}),
                "`spec.encryptedData.password`: expected a string, found a number",
            ),
            (json!({"encryptedData": ["hunter2"]}), "`spec.encryptedData`: expected an object, found a list"),
            (
                json!({"encryptedData": {"password": null}}),
                "`spec.encryptedData.password`: expected a string, found null",
            ),
            (json!({"data": {}}), "`spec.data`: expected a string, found an object"),
            (json!({"template": "hunter2"}), "`spec.template`: expected an object, found a string"),
            (
                json!({"template": {"immutable": "true"}}),
                "`spec.template.immutable`: expected a boolean, found a string",
            ),
            (
                json!({"template": {"data": {"url": {}}}}),
                "`spec.template.data.url`: expected a string, found an object",
            ),
            (
                json!({"template": {"metadata": {"finalizers": ["a", 1]}}}),
                "`spec.template.metadata.finalizers[1]`: expected a string, found a number",
            ),
            (json!("hunter2"), "`spec`: expected an object, found a string"),
            (Value::Null, "`spec` is missing"),
        ] {
            assert_eq!(SealedSecret::from_json(&manifest(&spec)).unwrap_err().to_string(), expected, "{spec}");
        }
    }

    #[test]
    fn another_kind_is_refused_by_name() {
        for (manifest, expected) in [
            (
                json!({"apiVersion": "v1", "kind": "Secret"}),
                "not a SealedSecret of bitnami.com/v1alpha1: `apiVersion` is `v1`",
            ),
            (
                json!({"apiVersion": API_VERSION, "kind": "Secret"}),
                "not a SealedSecret of bitnami.com/v1alpha1: `kind` is `Secret`",
            ),
            (json!({"apiVersion": API_VERSION}), "not a SealedSecret of bitnami.com/v1alpha1: `kind` is absent"),
            (json!([]), "`the manifest`: expected an object, found a list"),
        ] {
            assert_eq!(SealedSecret::from_json(&manifest).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn null_counts_as_absent() {
        let sealed = SealedSecret::from_json(&manifest(&json!({
            "template": {"metadata": {"creationTimestamp": null, "labels": null}, "data": null, "type": null, "immutable": null},
            "data": null,
            "encryptedData": null,
        })))
        .unwrap();
        assert_eq!(sealed.spec, SealedSecretSpec::default());
    }

    #[test]
    fn a_status_of_another_shape_does_not_stop_the_object() {
        for status in [json!("done"), json!({"conditions": "yes"}), json!({"conditions": [{"type": 1}]})] {
            let mut sealed = manifest(&json!({"encryptedData": {}}));
            sealed["status"] = status;
            let decoded = SealedSecret::from_json(&sealed).unwrap();
            assert_eq!(decoded.status.map_or(0, |status| status.conditions.len()), 0);
        }
    }

    #[test]
    fn metadata_that_cannot_be_read_wholly_keeps_what_is_used() {
        let mut sealed = manifest(&json!({"encryptedData": {}}));
        sealed["metadata"]["creationTimestamp"] = json!("yesterday");
        sealed["metadata"]["annotations"] = json!({"a": "b"});
        let decoded = SealedSecret::from_json(&sealed).unwrap();
        assert_eq!((decoded.namespace(), decoded.name(), decoded.annotation("a")), ("shop", "db", Some("b")));
    }
}
