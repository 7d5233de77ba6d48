//! JSON → [`ExternalSecret`], with what is not supported named.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use serde::Deserialize as _;
use serde_json::Value;

use super::{
    Binding, Condition, ConversionStrategy, CreationPolicy, DataFrom, DataItem, DecodingStrategy, DeletionPolicy,
    ExternalSecret, ExternalSecretSpec, ExternalSecretStatus, Interval, MergePolicy, NullBytePolicy, RefreshPolicy,
    RemoteReference, Source, StoreKind, StoreReference, Target, Template, TemplateMetadata,
};
use crate::ConditionStatus;
use crate::duration;
use crate::fields::{DecodeError, Fields, present};

impl ExternalSecret {
    /// Reads `spec` and `status` out of `data`, the rest of an object whose metadata is known already.
    ///
    /// A `status` that cannot be read counts as absent.
    ///
    /// # Errors
    /// [`DecodeError`] for the first field that is missing or of another type or value than documented. What is well-formed and not
    /// supported is no error: see [`ExternalSecret::unsupported`].
    pub fn decode(metadata: ObjectMeta, data: &Value) -> Result<Self, DecodeError> {
        let spec = present(data.get("spec")).ok_or_else(|| DecodeError::Missing { field: "spec".to_owned() })?;
        let mut unsupported = Vec::new();
        let spec = spec_of(Fields::new("spec", spec)?, &mut unsupported)?;
        let status = data.get("status").map(ExternalSecretStatus::from_json).unwrap_or_default();
        Ok(Self { metadata, spec, status, unsupported })
    }
}

impl ExternalSecretStatus {
    /// Reads a `status`. What has another shape is left out.
    pub fn from_json(status: &Value) -> Self {
        let text = |name: &str| status.get(name).and_then(Value::as_str).map(str::to_owned);
        Self {
            conditions: conditions_of(status),
            refresh_time: status.get("refreshTime").and_then(|time| Time::deserialize(time).ok()),
            synced_resource_version: text("syncedResourceVersion"),
            binding: status
                .pointer("/binding/name")
                .and_then(Value::as_str)
                .map(|name| Binding { name: name.to_owned() }),
            observed_generation: status.get("observedGeneration").and_then(Value::as_i64),
        }
    }
}

/// The conditions of a status of this group.
pub(crate) fn conditions_of(status: &Value) -> Vec<Condition> {
    let conditions = status.get("conditions").and_then(Value::as_array);
    conditions.into_iter().flatten().filter_map(condition_of).collect()
}

fn condition_of(value: &Value) -> Option<Condition> {
    let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    Some(Condition {
        kind: text("type")?,
        status: ConditionStatus::from_json(value.get("status")?)?,
        reason: text("reason"),
        message: text("message"),
        last_transition_time: value.get("lastTransitionTime").and_then(|time| Time::deserialize(time).ok()),
    })
}

type Unsupported = Vec<String>;

fn spec_of(mut fields: Fields, unsupported: &mut Unsupported) -> Result<ExternalSecretSpec, DecodeError> {
    let interval = match fields.value("refreshInterval") {
        None => Interval::DEFAULT,
        Some(value) => {
            let nanoseconds = value.as_str().and_then(duration::parse);
            Interval(nanoseconds.ok_or_else(|| DecodeError::Value {
                field: fields.path("refreshInterval"),
                expected: "a duration, such as `1h` or `5m30s`",
            })?)
        }
    };
    let policies = [
        ("Periodic", RefreshPolicy::Periodic),
        ("OnChange", RefreshPolicy::OnChange),
        ("CreatedOnce", RefreshPolicy::CreatedOnce),
    ];
    let spec = ExternalSecretSpec {
        secret_store_ref: match fields.object("secretStoreRef")? {
            Some(reference) => store_reference_of(reference, unsupported)?,
            None => None,
        },
        target: match fields.object("target")? {
            Some(target) => target_of(target, unsupported)?,
            None => Target::default(),
        },
        refresh_policy: fields
            .word("refreshPolicy", &policies, "`Periodic`, `OnChange` or `CreatedOnce`")?
            .unwrap_or_default(),
        refresh_interval: interval,
        data: each(fields.objects("data")?, unsupported, data_item_of)?,
        data_from: each(fields.objects("dataFrom")?, unsupported, data_from_of)?,
    };
    fields.rest(unsupported);
    Ok(spec)
}

fn each<T>(
    items: Vec<Fields>,
    unsupported: &mut Unsupported,
    read: impl Fn(Fields, &mut Unsupported) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    items.into_iter().map(|item| read(item, unsupported)).collect()
}

/// A reference without a name is as good as none.
fn store_reference_of(
    mut fields: Fields,
    unsupported: &mut Unsupported,
) -> Result<Option<StoreReference>, DecodeError> {
    let kinds = [("SecretStore", StoreKind::Namespaced), ("ClusterSecretStore", StoreKind::Cluster)];
    let name = fields.filled_text("name")?;
    let kind = fields.word("kind", &kinds, "`SecretStore` or `ClusterSecretStore`")?.unwrap_or_default();
    fields.rest(unsupported);
    Ok(name.map(|name| StoreReference { name, kind }))
}

fn target_of(mut fields: Fields, unsupported: &mut Unsupported) -> Result<Target, DecodeError> {
    let creation = [
        ("Owner", CreationPolicy::Owner),
        ("Orphan", CreationPolicy::Orphan),
        ("Merge", CreationPolicy::Merge),
        ("None", CreationPolicy::None),
        ("CreateOrMerge", CreationPolicy::CreateOrMerge),
    ];
    let deletion =
        [("Retain", DeletionPolicy::Retain), ("Delete", DeletionPolicy::Delete), ("Merge", DeletionPolicy::Merge)];
    let target = Target {
        name: fields.filled_text("name")?,
        creation_policy: fields
            .word("creationPolicy", &creation, "`Owner`, `Orphan`, `Merge`, `CreateOrMerge` or `None`")?
            .unwrap_or_default(),
        deletion_policy: fields.word("deletionPolicy", &deletion, "`Retain`, `Delete` or `Merge`")?.unwrap_or_default(),
        immutable: fields.boolean("immutable")?.unwrap_or_default(),
        template: match fields.object("template")? {
            Some(template) => Some(template_of(template, unsupported)?),
            None => None,
        },
    };
    fields.rest(unsupported);
    Ok(target)
}

fn template_of(mut fields: Fields, unsupported: &mut Unsupported) -> Result<Template, DecodeError> {
    let policies = [("Replace", MergePolicy::Replace), ("Merge", MergePolicy::Merge)];
    let template = Template {
        kind: fields.filled_text("type")?,
        engine_version: fields.word("engineVersion", &[("v2", ())], "`v2`")?.map(|()| "v2".to_owned()),
        merge_policy: fields.word("mergePolicy", &policies, "`Replace` or `Merge`")?.unwrap_or_default(),
        metadata: match fields.object("metadata")? {
            Some(mut metadata) => {
                let read = TemplateMetadata {
                    labels: metadata.strings("labels")?,
                    annotations: metadata.strings("annotations")?,
                    finalizers: metadata.list_of_strings("finalizers")?,
                };
                metadata.rest(unsupported);
                read
            }
            None => TemplateMetadata::default(),
        },
        data: fields.strings("data")?,
    };
    fields.rest(unsupported);
    Ok(template)
}

fn data_item_of(mut fields: Fields, unsupported: &mut Unsupported) -> Result<DataItem, DecodeError> {
    let remote = fields.object("remoteRef")?;
    let item = DataItem {
        secret_key: fields.needed_text("secretKey")?,
        remote_ref: remote_of(
            remote.ok_or_else(|| DecodeError::Missing { field: fields.path("remoteRef") })?,
            unsupported,
        )?,
        source_ref: source_of(&mut fields, unsupported)?,
    };
    fields.rest(unsupported);
    Ok(item)
}

fn data_from_of(mut fields: Fields, unsupported: &mut Unsupported) -> Result<DataFrom, DecodeError> {
    let extract = match fields.object("extract")? {
        Some(extract) => Some(remote_of(extract, unsupported)?),
        None => None,
    };
    let item = DataFrom { extract, source_ref: source_of(&mut fields, unsupported)? };
    fields.rest(unsupported);
    Ok(item)
}

fn source_of(fields: &mut Fields, unsupported: &mut Unsupported) -> Result<Option<Source>, DecodeError> {
    let Some(mut source) = fields.object("sourceRef")? else { return Ok(None) };
    let store_ref = match source.object("storeRef")? {
        Some(reference) => store_reference_of(reference, unsupported)?,
        None => None,
    };
    source.rest(unsupported);
    Ok(Some(Source { store_ref }))
}

fn remote_of(mut fields: Fields, unsupported: &mut Unsupported) -> Result<RemoteReference, DecodeError> {
    let conversion = [("Default", ConversionStrategy::Default), ("Unicode", ConversionStrategy::Unicode)];
    let decoding = [
        ("None", DecodingStrategy::None),
        ("Base64", DecodingStrategy::Base64),
        ("Base64URL", DecodingStrategy::Base64Url),
        ("Auto", DecodingStrategy::Auto),
    ];
    let null_bytes = [("Ignore", NullBytePolicy::Ignore), ("Fail", NullBytePolicy::Fail)];
    let reference = RemoteReference {
        key: fields.text("key")?.ok_or_else(|| DecodeError::Missing { field: fields.path("key") })?,
        property: fields.filled_text("property")?,
        version: fields.filled_text("version")?,
        conversion_strategy: fields
            .word("conversionStrategy", &conversion, "`Default` or `Unicode`")?
            .unwrap_or_default(),
        decoding_strategy: fields
            .word("decodingStrategy", &decoding, "`None`, `Base64`, `Base64URL` or `Auto`")?
            .unwrap_or_default(),
        null_byte_policy: fields.word("nullBytePolicy", &null_bytes, "`Ignore` or `Fail`")?.unwrap_or_default(),
    };
    // Written out by many, and what is done anyway.
    match fields.filled_text("metadataPolicy")?.as_deref() {
        None | Some("None") => {}
        Some(_) => unsupported.push(format!("{}: Fetch", fields.path("metadataPolicy"))),
    }
    fields.rest(unsupported);
    Ok(reference)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn decode(spec: &Value) -> Result<ExternalSecret, DecodeError> {
        ExternalSecret::decode(
            ObjectMeta { name: Some("db".to_owned()), ..ObjectMeta::default() },
            &json!({"spec": spec}),
        )
    }

    #[test]
    fn what_most_people_write_is_read_whole() {
        let read = decode(&json!({
            "refreshInterval": "1h0m0s",
            "secretStoreRef": {"name": "vault", "kind": "ClusterSecretStore"},
            "target": {"name": "app", "creationPolicy": "Orphan", "deletionPolicy": "Delete", "template": {
                "engineVersion": "v2", "mergePolicy": "Replace", "type": "kubernetes.io/dockerconfigjson",
                "metadata": {"labels": {"a": "b"}, "annotations": {}}, "data": {"url": "{{ .url }}"},
            }},
            "data": [{"secretKey": "password", "remoteRef": {
                "key": "prod/db", "property": "password", "version": "3",
                "conversionStrategy": "Default", "decodingStrategy": "Base64", "metadataPolicy": "None",
            }}],
            "dataFrom": [{"extract": {"key": "prod/all"}, "sourceRef": {"storeRef": {"name": "other"}}}],
        }))
        .unwrap();
        assert_eq!(read.unsupported, Vec::<String>::new());
        assert_eq!(read.target_name(), "app");
        assert_eq!(read.spec.refresh_interval, Interval::DEFAULT);
        let names: Vec<_> = read.stores().iter().map(|it| (it.kind.as_str(), it.name.as_str())).collect();
        assert_eq!(names, [("SecretStore", "other"), ("ClusterSecretStore", "vault")]);
        assert_eq!(read.spec.data[0].remote_ref.decoding_strategy, DecodingStrategy::Base64);
        assert_eq!(decode(&json!({})).unwrap().target_name(), "db");
    }

    #[test]
    fn what_is_not_supported_is_named_and_never_passed_over() {
        let read = decode(&json!({
            "syncWindows": {"kind": "deny"},
            "refreshIntervall": "1h",
            "target": {"manifest": {"kind": "ConfigMap"}, "template": {"templateFrom": [{"literal": "x"}]}},
            "data": [{"secretKey": "a", "remoteRef": {"key": "k", "metadataPolicy": "Fetch"}}],
            "dataFrom": [
                {"find": {"name": {"regexp": "x"}}},
                {"extract": {"key": "k"}, "rewrite": [{"regexp": {}}]},
                {"sourceRef": {"generatorRef": {"kind": "Password", "name": "p"}}},
                {"rewrite": []},
            ],
        }))
        .unwrap();
        assert_eq!(
            read.unsupported,
            [
                "spec.target.template.templateFrom",
                "spec.target.manifest",
                "spec.data[0].remoteRef.metadataPolicy: Fetch",
                "spec.dataFrom[0].find",
                "spec.dataFrom[1].rewrite",
                "spec.dataFrom[2].sourceRef.generatorRef",
                "spec.syncWindows",
                "spec.refreshIntervall",
            ]
        );
    }

    #[test]
    fn an_error_names_the_field() {
        for (spec, expected) in [
            (
                json!({"refreshInterval": "soon"}),
                "`spec.refreshInterval`: expected a duration, such as `1h` or `5m30s`",
            ),
            (json!({"refreshInterval": 60}), "`spec.refreshInterval`: expected a duration, such as `1h` or `5m30s`"),
            (
                json!({"target": {"creationPolicy": "hunter2"}}),
                "`spec.target.creationPolicy`: expected `Owner`, `Orphan`, `Merge`, `CreateOrMerge` or `None`",
            ),
            (json!({"data": [{"secretKey": "a"}]}), "`spec.data[0].remoteRef` is missing"),
            (json!({"data": [{"remoteRef": {"key": "k"}}]}), "`spec.data[0].secretKey` is missing"),
            (json!({"dataFrom": [{"extract": {"property": "x"}}]}), "`spec.dataFrom[0].extract.key` is missing"),
            (
                json!({"target": {"template": {"data": {"a": 1}}}}),
                "`spec.target.template.data.a`: expected a string, found a number",
            ),
            (json!([]), "`spec`: expected an object, found a list"),
        ] {
            assert_eq!(decode(&spec).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn a_status_of_another_shape_counts_as_none() {
        for status in [json!("x"), json!({"conditions": 1, "refreshTime": 3, "binding": []}), json!(null)] {
            assert_eq!(ExternalSecretStatus::from_json(&status), ExternalSecretStatus::default());
        }
    }
}
